"""A path is the names on the way to a layer or a parameter, with dots between."""


def join(path: str, name: str) -> str:
    """Return the path of what has this name in the layer at `path`; a model's own path is empty.

    >>> join("dense_1", "weight"), join("", "dense_1")
    ('dense_1.weight', 'dense_1')
    """
    return f"{path}.{name}" if path else name


def apart(path: str) -> tuple[str, str]:
    """Return the path of the layer that holds what is at `path`, and its own name there.

    >>> apart("residual_1.dense_1.weight"), apart("dense_1")
    (('residual_1.dense_1', 'weight'), ('', 'dense_1'))
    """
    holder, _, name = path.rpartition(".")
    return holder, name
