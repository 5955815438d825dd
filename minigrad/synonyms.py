"""What other libraries call things that have other names here, for messages."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "binary_crossentropy": ("bce", "bce_with_logits"),
    "categorical_crossentropy": ("cross_entropy",),
    "sparse_categorical_crossentropy": ("cross_entropy",),
    "mean_squared_error": ("mse",),
    "mean_absolute_error": ("l1", "mae"),
    "mae": ("l1",),
    "acc": ("accuracy",),
    "swish": ("silu",),
    "linear": ("identity",),
    "lr": ("learning_rate",),
    "on_train_start": ("on_train_begin",),
    "on_train_finish": ("on_train_end",),
    "on_epoch_start": ("on_epoch_begin",),
    "on_epoch_finish": ("on_epoch_end",),
    "on_train_epoch_start": ("on_epoch_begin",),
    "on_train_epoch_end": ("on_epoch_end",),
}
