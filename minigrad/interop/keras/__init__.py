"""Keras: models as Keras models of `keras.layers`, and back."""

from importlib.util import find_spec

from minigrad.util.optional import optional

try:
    optional("keras", "minigrad.interop.keras", least="3.9")
except ImportError as missing:
    if find_spec("keras") is None or "expects" in str(missing):
        raise
    raise ImportError(
        f"minigrad.interop.keras needs a backend of Keras ({missing.__cause__}): set the "
        "environment variable KERAS_BACKEND to jax, torch or tensorflow, and install it"
    ) from missing

from minigrad.interop.keras.model import from_keras, to_keras, to_keras_training

__all__ = ["from_keras", "to_keras", "to_keras_training"]
