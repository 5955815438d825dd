"""Other libraries' names of classes, options and attributes, and what takes their place here."""

# fmt: off
SYNONYMS = {
    # layers and activations
    "Linear": "dense", "adaptive_avg_pool1d": "global_average_pooling1d",
    "adaptive_avg_pool2d": "global_average_pooling2d",
    "adaptive_max_pool1d": "global_max_pooling1d", "adaptive_max_pool2d": "global_max_pooling2d",
    "avg_pool1d": "average_pooling1d",
    "avg_pool2d": "average_pooling2d", "batch_norm1d": "batch_norm", "batch_norm2d": "batch_norm",
    "batch_normalization": "batch_norm",
    "conv_transpose2d": "conv2d_transpose", "fully_connected": "dense",
    "hard_sigmoid": "hardsigmoid", "hard_tanh": "hardtanh", "layer_normalization": "layer_norm",
    "linear": "identity", "max_pool1d": "max_pooling1d", "max_pool2d": "max_pooling2d",
    "model": "sequential", "module": "layer", "swish": "silu",
    "unflatten": "reshape", "upsample": "up_sampling2d",
    # losses and metrics
    "acc": "accuracy", "auc": "roc_auc pr_auc", "bce_loss_with_logits": "bce_with_logits",
    "binary_cross_entropy": "bce bce_with_logits", "binary_crossentropy": "bce bce_with_logits",
    "binary_focal_crossentropy": "focal_with_logits",
    "categorical_accuracy": "accuracy", "categorical_crossentropy": "cross_entropy",
    "cosine": "cosine_similarity", "cosine_embedding": "cosine_similarity",
    "f1_score": "f1", "focal": "focal_with_logits", "kl_divergence": "kl_div",
    "kld": "kl_div", "kullback_leibler_divergence": "kl_div", "mae": "l1",
    "mean_absolute_error": "mae l1", "mean_squared_error": "mse",
    "nll": "cross_entropy", "poisson": "poisson_nll", "r2_score": "r2",
    "root_mean_squared_error": "rmse",
    "smooth_l1": "huber", "sparse_categorical_accuracy": "accuracy",
    "sparse_categorical_crossentropy": "cross_entropy", "val_acc": "val_accuracy",
    "sigmoid_focal": "focal_with_logits",
    "sparse_top_k_categorical_accuracy": "top_5_accuracy top_k_accuracy",
    "top_k_categorical_accuracy": "top_5_accuracy top_k_accuracy", "triplet": "triplet_margin",
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
    "on_batch_begin": "", "on_batch_end": "on_update_end", "on_predict_begin": "",
    "on_predict_end": "", "on_test_begin": "", "on_test_end": "", "on_train_batch_begin": "",
    "on_train_batch_end": "on_update_end", "on_update_begin": "", "on_update_start": "",
    "on_epoch_finish": "on_epoch_end", "on_epoch_start": "on_epoch_begin",
    "on_train_epoch_end": "on_epoch_end", "on_train_epoch_start": "on_epoch_begin",
    "on_train_finish": "on_train_end", "on_train_start": "on_train_begin",
    "reduce_lr_on_plateau": "reduce_on_plateau", "register_keras_serializable": "register",
    "step_lr": "step_decay",
    # options of layers, initializers and regularizers
    "activity_regularizer": "", "dilation": "dilation_rate", "drop_rate": "rate", "eps": "epsilon",
    "kernel_initializer": "weight_initializer",
    "kernel_regularizer": "weight_regularizer", "l1": "strength", "l2": "strength",
    "maxlen": "length", "maxval": "scale", "minval": "scale", "negative_slope": "slope",
    "out_channels": "filters", "out_features": "units",
    "p": "rate", "scale_factor": "size", "std": "scale", "stddev": "scale", "stride": "strides",
    "target_shape": "shape",
    # attributes
    "requires_grad": "trainable",
    # options of models and losses
    "beta": "delta", "generator": "rng", "random_state": "rng", "seed": "rng",
    "size_average": "reduction",
    # options of optimizers, schedules and callbacks
    "T_max": "decay_steps", "alpha": "slope rho final_learning_rate strength",
    "betas": "beta_1 beta_2", "clipnorm": "clip_norm", "clipvalue": "clip_value",
    "eta_min": "final_learning_rate", "filename": "path", "filepath": "path",
    "gamma": "decay_rate", "global_clipnorm": "clip_norm",
    "learning_rate": "initial_learning_rate",
    "learning_rate_init": "learning_rate", "max_iter": "epochs", "nb_epoch": "epochs",
    "criterion": "loss", "solver": "optimizer", "lr": "learning_rate initial_learning_rate",
    "min_lr": "min_learning_rate", "step_size": "decay_steps", "threshold": "min_delta",
    "warmup_target": "initial_learning_rate",
}
"""Class names in snake case, and several meanings separated by a space; "" suggests nothing."""

_MODEL_SHAPE = "the model takes it, as in Sequential([...], input_shape=(2,))"
_BY_NAME = 'metrics go by name, as in compile(..., metrics=["recall"])'
_NUMPY = "use NumPy's functions"
_SEED = "pass rng to the model, as in Sequential([...], rng=0)"
_WORDS = "number the words with a dict, then use pad_sequences"
_TRAINED = "use [p for p in model.parameters if p.trainable]"
_FROZEN = "use [p for p in model.parameters if not p.trainable]"
_HERE = "all names are in minigrad itself, as in minigrad.ReLU"

ATTRIBUTES = {
    "add_weight": "in build, assign a Parameter, as in self.weight = Parameter(array)",
    "count_params": "read model.parameters.size",
    "cpu": "all arrays are NumPy's", "cuda": "all arrays are NumPy's",
    "eval": "leave it out: predict, and forward(x, training=False), run in inference",
    "fit_generator": "pass the generator function to fit",
    "get_layer": 'index the model, as in model["dense_1"] or model[0]',
    "get_weights": "read model.parameters.value, or the value of each parameter",
    "kernel": "the parameter is named weight",
    "load_state_dict": "use model.load_weights(path)",
    "metrics_names": "read the keys of what model.evaluate(x, y) returns",
    "modules": "iterate over model.children",
    "moving_mean": "read running_mean", "moving_variance": "read running_variance",
    "non_trainable_variables": _FROZEN, "non_trainable_weights": _FROZEN,
    "predict_on_batch": "use model.predict(x)",
    "predict_classes": "use model.predict(x).argmax(axis=1)",
    "predict_proba": "use model.predict(x), the output of the last layer",
    "reset_states": "leave it out: no layer keeps a state from batch to batch",
    "set_weights": "assign to model.parameters.value, or to the value of each parameter",
    "state_dict": "use model.save_weights(path), or dict(model.named_parameters())",
    "numpy": "use its value, a NumPy array",
    "stop_training": "in a callback, set trainer.stop = True",
    "to_json": "use model.save(path), which keeps the layers, too",
    "to": "use model.astype(dtype) for another dtype",
    "train": "use fit, or forward(x, training=True)",
    "trainable_variables": _TRAINED, "trainable_weights": _TRAINED,
    "weights": "read model.parameters",
    "zero_grad": "leave it out: backward assigns the gradients anew",
    "show": "end a notebook cell with the film, or use film.to_html(path)",
}
"""What to do instead of reading such an attribute of a model, a layer or a film."""

HINTS = ATTRIBUTES | {
    # attributes that a Sequential has, but no graph
    "pop": "use model.layers.pop(), before the model is built",
    "layers": "iterate over model.children",
    # options
    "batch_first": "leave it out: the batch axis comes first",
    "early_stopping": "use callbacks=[EarlyStopping()]",
    "gradient_accumulation_steps": "use fit(accumulate=...)",
    "initial_epoch": "leave it out: fit continues from the last epoch",
    "initial_state": "use LSTM(8, initial_state=True)(x, state)",
    "input_dim": _MODEL_SHAPE, "input_shape": _MODEL_SHAPE,
    "mask_zero": "masks are explicit: pass Mask(0)(ids) to the layers that take a mask",
    "mask": "pass the mask as an input, as in LSTM(8)(x, mask)",
    "return_dict": "leave it out: evaluate returns a dict",
    "training": "leave it out: only fit trains, and a frozen BatchNorm keeps its statistics",
    "truncating": "cut the sequences first, as in sequence[:length]",
    # public names
    "Activation": "it is a base class: use ReLU(), or Dense(3, activation='relu')",
    "GradientTape": "use model.forward(x), model.backward(delta) and optimizer.step(parameters)",
    "Normalization": "scale the data first, as in (x - x.mean(axis=0)) / x.std(axis=0)",
    "TextVectorization": _WORDS, "Tokenizer": _WORDS,
    "TimeDistributed": "leave it out: Dense works on the last axis",
    "backend": _NUMPY, "math": _NUMPY, "ops": _NUMPY,
    "clear_session": "leave it out: nothing is global",
    "manual_seed": _SEED, "random": _SEED, "set_random_seed": _SEED, "set_seed": _SEED,
    "timeseries_dataset_from_array": "use np.lib.stride_tricks.sliding_window_view(x, length)",
    "load_model": "use minigrad.load(path)",
    "utils": _HERE, "datasets": "pass NumPy arrays, such as those of sklearn.datasets",
    "Accuracy": _BY_NAME, "Precision": _BY_NAME, "Recall": _BY_NAME,
    "DataLoader": "pass arrays to fit, or an iterable of batches",
    "Tensor": "use NumPy arrays", "tensor": "use NumPy arrays",
    "functional": _HERE, "nn": _HERE, "optim": _HERE,
    "load_weights": "use model.load_weights(path)",
    "no_grad": "leave it out: predict and forward(..., training=False) keep nothing for backward",
    "to_categorical": "leave it out: CrossEntropyLoss takes class indices",
}
"""What to do instead, for names that no single name here replaces."""

INSTEAD = {
    "activation=function": "derive a class from Activation with function(z) and derivative(z)",
    "activation=int": "the data gives the number of inputs, so pass the number of outputs only",
    "layers=Input": "an Input comes first; a graph is Model(inputs=..., outputs=...)",
    "layers=Symbol": "a graph is Model(inputs=..., outputs=...)",
    "layers=list": "pass Chain([...])",
    "loss=function": "derive a class from Loss with terms(prediction, target)",
    "optimizer=function": "derive a class from Optimizer with update(value, grad, state)",
}
"""What to pass in place of a value, by the argument and the type that came."""
