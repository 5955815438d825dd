"""Other libraries' names of classes and constructor options, and the names here."""

# fmt: off
SYNONYMS = {
    # layers and activations
    "Linear": "dense", "adaptive_avg_pool1d": "global_average_pooling1d",
    "adaptive_avg_pool2d": "global_average_pooling2d",
    "adaptive_max_pool1d": "global_max_pooling1d", "adaptive_max_pool2d": "global_max_pooling2d",
    "add": "parallel", "average": "parallel", "avg_pool1d": "average_pooling1d",
    "avg_pool2d": "average_pooling2d", "batch_norm1d": "batch_norm", "batch_norm2d": "batch_norm",
    "batch_normalization": "batch_norm", "concatenate": "parallel",
    "conv_transpose2d": "conv2d_transpose", "fully_connected": "dense",
    "hard_sigmoid": "hardsigmoid", "hard_tanh": "hardtanh", "layer_normalization": "layer_norm",
    "linear": "identity", "max_pool1d": "max_pooling1d", "max_pool2d": "max_pooling2d",
    "model": "sequential", "module": "layer", "swish": "silu",
    "unflatten": "reshape", "upsample": "up_sampling2d",
    # losses and metrics
    "acc": "accuracy", "bce_loss_with_logits": "bce_with_logits",
    "binary_cross_entropy": "bce bce_with_logits", "binary_crossentropy": "bce bce_with_logits",
    "binary_focal_crossentropy": "focal_with_logits",
    "categorical_accuracy": "accuracy", "categorical_crossentropy": "cross_entropy",
    "cosine": "cosine_similarity", "cosine_embedding": "cosine_similarity",
    "f1_score": "f1", "focal": "focal_with_logits", "kl_divergence": "kl_div",
    "kld": "kl_div", "kullback_leibler_divergence": "kl_div", "mae": "l1",
    "mean_absolute_error": "l1 mae", "mean_squared_error": "mse",
    "nll": "cross_entropy", "poisson": "poisson_nll", "r2_score": "r2",
    "root_mean_squared_error": "rmse",
    "smooth_l1": "huber", "sparse_categorical_accuracy": "accuracy",
    "sparse_categorical_crossentropy": "cross_entropy", "val_acc": "val_accuracy",
    "sigmoid_focal": "focal_with_logits", "sparse_top_k_categorical_accuracy": "top_5_accuracy",
    "top_k_categorical_accuracy": "top_5_accuracy", "triplet": "triplet_margin",
    # initializers
    "glorot": "glorot_uniform glorot_normal", "he": "he_uniform he_normal",
    "kaiming": "he_uniform he_normal", "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform", "random_normal": "normal", "random_uniform": "uniform",
    "xavier": "glorot_uniform glorot_normal", "xavier_normal": "glorot_normal",
    "xavier_uniform": "glorot_uniform",
    # learning rates, callbacks and functions
    "NAdam": "nadam", "cosine_annealing_lr": "cosine_decay", "exponential_lr": "exponential_decay",
    "gradcheck": "check_gradients", "lambda_lr": "learning_rate_scheduler",
    "linear_lr": "warmup", "sequential_lr": "warmup",
    "learning_rate_schedule": "schedule", "load_model": "load", "lr_scheduler": "schedule",
    "on_epoch_finish": "on_epoch_end", "on_epoch_start": "on_epoch_begin",
    "on_train_epoch_end": "on_epoch_end", "on_train_epoch_start": "on_epoch_begin",
    "on_train_finish": "on_train_end", "on_train_start": "on_train_begin",
    "reduce_lr_on_plateau": "reduce_on_plateau", "register_keras_serializable": "register",
    "step_lr": "step_decay",
    # options of layers, initializers and regularizers
    "dilation": "dilation_rate", "drop_rate": "rate", "eps": "epsilon",
    "kernel_initializer": "weight_initializer",
    "kernel_regularizer": "weight_regularizer", "l1": "strength", "l2": "strength",
    "maxval": "scale", "minval": "scale", "negative_slope": "slope", "out_channels": "filters",
    "out_features": "units",
    "p": "rate", "scale_factor": "size", "std": "scale", "stddev": "scale", "stride": "strides",
    "target_shape": "shape",
    # options of models and losses
    "beta": "delta", "generator": "rng", "random_state": "rng", "seed": "rng",
    "size_average": "reduction",
    # options of optimizers, schedules and callbacks
    "T_max": "decay_steps", "alpha": "slope rho final_learning_rate strength",
    "betas": "beta_1 beta_2", "clipnorm": "clip_norm", "clipvalue": "clip_value",
    "eta_min": "final_learning_rate", "filename": "path", "filepath": "path",
    "gamma": "decay_rate", "global_clipnorm": "clip_norm",
    "learning_rate": "initial_learning_rate", "lr": "learning_rate initial_learning_rate",
    "min_lr": "min_learning_rate", "step_size": "decay_steps", "threshold": "min_delta",
}
"""Class names in snake case, and several meanings separated by a space."""
