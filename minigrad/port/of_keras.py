"""Where Keras differs in more than a name: `minigrad.util.synonyms` has the names."""

from __future__ import annotations

LIBRARIES = ("keras", "minigrad", "tensorflow", "tf_keras")

PACKAGES = (
    "activations", "applications", "backend", "callbacks", "datasets", "initializers", "keras",
    "layers", "losses", "math", "metrics", "models", "nn", "ops", "optimizers", "preprocessing",
    "random", "regularizers", "saving", "schedules", "sequence", "text", "utils",
)  # fmt: skip
"""Keras's packages; every public name is in minigrad itself, too."""

ARRAYS = {"backend", "math", "nn", "ops", "random"}
"""Packages of functions of arrays, which are NumPy's here."""

DEFAULTS: dict[str, dict[str, float]] = {
    "Adagrad": {"learning_rate": 0.001},
    "AdamW": {"weight_decay": 0.004},
    "BatchNorm": {"momentum": 0.01, "epsilon": 0.001},
    "Constant": {"value": 0.0},
    "Cropping1D": {"cropping": 1},
    "Cropping2D": {"cropping": 0},
    "EarlyStopping": {"patience": 0, "restore_best_weights": False},
    "FocalWithLogitsLoss": {"alpha": 0.25},
    "L1": {"strength": 0.01},
    "L1L2": {"l1": 0.0, "l2": 0.0},
    "L2": {"strength": 0.01},
    "LayerNorm": {"epsilon": 0.001},
    "LeakyReLU": {"slope": 0.3},
    "Nadam": {"learning_rate": 0.001},
    "Normal": {"scale": 0.05},
    "RMSprop": {"learning_rate": 0.001, "rho": 0.9},
    "Uniform": {"scale": 0.05},
}
"""Keras's defaults, by class and option of minigrad, where those here are others."""

DIFFERENCES = {
    "BatchNorm": "its momentum is 1 minus Keras's",
    "CosineSimilarityLoss": "it is 1 minus the cosine",
    "CrossEntropyLoss": "it takes logits: leave out the softmax before it, and apply "
    "minigrad.softmax to what predict returns",
    "FocalWithLogitsLoss": "it takes logits: leave out the sigmoid before it, and apply "
    "minigrad.sigmoid to what predict returns",
    "KLDivLoss": "it takes log-probabilities: end in LogSoftmax",
    "PoissonNLLLoss": "log_input=False makes it Keras's",
}
"""How a class differs from its counterpart in Keras."""

METHODS = {
    "call": "a layer has forward(x) and backward(delta), a loss has terms(prediction, target)",
    "train_step": "use model.train_on_batch(x, y), or a Loss with terms(prediction, target)",
}
"""What to write in place of a method of a class derived from one of Keras's."""

RESULTS = {
    "evaluate": "it is a dict: read result['loss'] and so on",
    "test_on_batch": "it is the loss; with return_dict=True it is a dict",
    "train_on_batch": "it is the loss; with return_dict=True it is a dict",
}
"""What a method returns, where Keras's returns a list or a tuple."""
