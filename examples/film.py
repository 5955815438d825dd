"""Two films: what a learning rate does, and what a sigmoid output can't do.

Run it: python examples/film.py. It writes learning-rate.html and sigmoid.html, pages that play
without a network connection.
"""

from typing import Any

import numpy as np

from minigrad import SGD, Dense, MSELoss, Sequential, Sigmoid
from minigrad.film import Film
from minigrad.lessons.tutorial import FLOOR

EPOCHS = 2000
OPTIONS: dict[str, Any] = {"epochs": EPOCHS, "batch_size": None, "frames": 120, "verbose": 0}


def learning_rate(rate: float) -> Film:
    """Fit a wave with 8 tanh units."""
    x = np.linspace(-1, 1, 60).reshape(-1, 1)
    model = Sequential([Dense(8, "tanh"), Dense(1)], input_shape=(1,), rng=0)
    model.compile(optimizer=SGD(learning_rate=rate), loss=MSELoss())
    return model.film(x, np.sin(3 * x), title=f"Learning rate {rate}", **OPTIONS)


def output(name: str, *last: Sigmoid) -> Film:
    """Learn the sum of two numbers with the tutorial's 2-3-1 network."""
    x = np.random.RandomState(4).rand(1000, 2)
    model = Sequential([Dense(3), Sigmoid(), Dense(1), *last], input_shape=(2,), rng=4)
    model.compile(optimizer=SGD(learning_rate=0.3, momentum=0.9), loss=MSELoss())
    lines = {"1/12, the least of a sigmoid output": FLOOR}
    return model.film(x, x.sum(axis=1), title=name, lines=lines, **OPTIONS)


works, fails = learning_rate(0.1), learning_rate(0.6)
print(works, fails, sep="\n")
works.beside(fails).to_html("learning-rate.html")

sigmoid, linear = output("Sigmoid output", Sigmoid()), output("Linear output")
print(sigmoid, linear, sep="\n")
assert linear.losses[-1] < 1e-4 < FLOOR < sigmoid.losses[-1]
sigmoid.beside(linear).to_html("sigmoid.html")
