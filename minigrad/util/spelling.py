"""The spelling of class names in options and paths."""

from __future__ import annotations

import re


def snake_case(name: str) -> str:
    """Turn a class name into the name that an option takes.

    >>> snake_case("GlorotUniform"), snake_case("LeakyReLU"), snake_case("MSELoss")
    ('glorot_uniform', 'leaky_relu', 'mse_loss')
    >>> snake_case("Conv2DTranspose"), snake_case("SimpleRNN"), snake_case("RMSNorm")
    ('conv2d_transpose', 'simple_rnn', 'rms_norm')
    """
    name = re.sub(r"(?<=[0-9])D", "d", name)
    for word in ("PReLU", "ReLU", "SiLU", "RMSprop", "AdamW"):
        name = name.replace(word, word.capitalize())
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
