"""The exercises, from a neuron to attention: the right result of each, and the usual mistakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.data.arrays import Array
from minigrad.lessons.exercise import (
    FEATURES,
    DropoutExercise,
    Exercise,
    LayerExercise,
    LossExercise,
    Numbers,
    OptimizerExercise,
    Pair,
    Update,
)
from minigrad.lessons.mistakes import ROWS

_EPSILON = 1e-5
_M = 0.9  # the momentum


def _sigmoid(z: Array) -> Array:
    a: Array = 1 / (1 + np.exp(-z))
    return a


def _softmax(z: Array) -> Array:
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _one_row(terms: Array) -> dict[str, Array]:
    """Return the mistakes of taking one row of a gradient instead of the sum over the rows."""
    return {f"is the term of row {i} only: sum over the rows": term for i, term in enumerate(terms)}


# Elementwise functions


def _curve(n: Numbers) -> dict[str, Array]:
    """Return the mistakes in the dJ/dx of an elementwise function."""
    x, delta, a, slope = n.x, n.delta, n.forward(n.x), n.slope(n.x)
    return {
        "is delta: the derivative is missing": delta,
        "is g'(z): multiply it by delta": slope,
        "is delta g'(-z): take the derivative at z, not at -z": delta * n.slope(-x),
        "is delta g'(a): take the derivative at z, not at a = g(z)": delta * n.slope(a),
        "is delta a: multiply by the derivative g'(z), not by a = g(z)": delta * a,
        "is delta z: multiply by the derivative g'(z), not by z": delta * x,
        "is delta z (1 - z): the formula is a (1 - a), with a": delta * x * (1 - x),
        "is delta (1 - a^2): that is the derivative of tanh": delta * (1 - a**2),
        "is delta / g'(z): the chain rule multiplies": delta / slope,
        "is delta + g'(z): the chain rule multiplies": delta + slope,
    }


def _sigmoid_curve(n: Numbers) -> dict[str, Array]:
    missing = "is delta (1 - a): the derivative is a (1 - a), so a factor a is missing"
    return {**_curve(n), missing: n.delta * (1 - n.forward(n.x))}


# Layers with a parameter


def _factor(n: Numbers) -> dict[str, Array]:
    """Return the mistakes in the dJ/dx of a multiplication by the parameter."""
    return {
        "is delta: multiply it by the parameter": n.delta,
        "is delta x: that is for the parameter; dJ/dx is delta times the parameter": n.delta * n.x,
    }


def _product_gradient(n: Numbers) -> dict[str, Array]:
    squared = {"is x^T x: the second factor must be delta": n.x.T @ n.x}
    return {**_one_row(n.x[:, :, None] * n.delta[:, None, :]), **squared}


def _scale_gradient(n: Numbers) -> dict[str, Array]:
    x, delta = n.x.sum(axis=0), n.delta.sum(axis=0)
    return {
        **_one_row(n.delta * n.x),
        "is the sum of delta: multiply it by x first, then sum": delta,
        "is the sum of x: multiply it by delta first, then sum": x,
        "is (sum of x) (sum of delta): multiply row by row first, then sum": x * delta,
    }


def _neuron(x: Array, weight: Array, bias: Array) -> Array:
    return _sigmoid(x @ weight + bias)


def _neuron_deltas(n: Numbers) -> dict[str, Array]:
    """Return what is taken for delta = dJ/dz, by mistake."""
    a = n.forward(n.x)
    return {
        "uses dJ/da where delta = dJ/dz belongs: multiply by a (1 - a) first": n.delta,
        "lacks the factor dJ/da: delta is dJ/da a (1 - a)": a * (1 - a),
        "lacks the factor a: delta is dJ/da a (1 - a)": n.delta * (1 - a),
        "lacks the factor 1 - a: delta is dJ/da a (1 - a)": n.delta * a,
    }


def _neuron_weight(n: Numbers) -> dict[str, Array]:
    a = n.forward(n.x)
    delta = n.delta * a * (1 - a)
    return {
        **{words: n.x.T @ wrong for words, wrong in _neuron_deltas(n).items()},
        **_one_row((n.x * delta)[..., None]),
        "is the sum of x: multiply it by delta": n.x.sum(axis=0)[:, None],
    }


def _neuron_bias(n: Numbers) -> dict[str, Array]:
    return {words: wrong.sum(axis=0) for words, wrong in _neuron_deltas(n).items()}


def _neuron_input(n: Numbers) -> dict[str, Array]:
    a, weight = n.forward(n.x), n.values["weight"]
    delta = n.delta * a * (1 - a)
    return {
        **{words: wrong @ weight.T for words, wrong in _neuron_deltas(n).items()},
        "is delta x: that is for the weight; dJ/dx is delta times the weight": delta * n.x,
        "is the weight: multiply it by delta": weight.T + 0 * delta,
    }


# Losses


def _squared(a: Array, t: Array) -> dict[str, Array]:
    return {
        "is (a - t)^2: that is the term itself": (a - t) ** 2,
        "is 2 a: the target is missing": 2 * a,
        "is |a - t|: keep the sign of a - t": abs(a - t),
        "is 2 |a - t|: keep the sign of a - t": 2 * abs(a - t),
        "is the sign of a - t: that is for the absolute error": np.sign(a - t),
    }


def _classes(rng: np.random.Generator) -> Pair:
    return rng.normal(size=(ROWS, FEATURES)), np.eye(FEATURES)[rng.integers(FEATURES, size=ROWS)]


def _cross_entropy(z: Array, t: Array) -> Array:
    return np.asarray(-(t * np.log(_softmax(z))).sum(axis=1))


def _cross_entropy_mistakes(z: Array, t: Array) -> dict[str, Array]:
    p = _softmax(z)
    return {
        "is -t / p: that is the derivative by p; by the logits z it is p - t": -t / p,
        "is p: subtract the target": p,
        "is -t: the probabilities are missing": -t,
        "is z - t: use the probabilities p, not the logits z": z - t,
        "is t (p - t): the other classes have a derivative, too": t * (p - t),
        "is (p - t) p (1 - p): the softmax is in p - t already": (p - t) * p * (1 - p),
        "is -log p: that is the term itself": -np.log(p),
    }


# Optimizers


def _descend(rule: Callable[[Array, Array, float], tuple[Array, Array]]) -> Update:
    """Return the update by a rule (gradient g, velocity v, rate r) -> (change, next velocity)."""

    def update(value: Array, g: Array, r: float, state: dict[str, Any]) -> Array:
        change, state["v"] = rule(g, state.get("v", np.zeros_like(g)), r)
        return value - change

    return update


# Softmax and normalization


def _softmax_mistakes(n: Numbers) -> dict[str, Array]:
    a, delta = n.forward(n.x), n.delta
    return {
        "is delta: the derivative is missing": delta,
        "is delta a (1 - a): z_i changes the other outputs, too; subtract the sum of delta a": (
            delta * a * (1 - a)
        ),
        "is a delta: subtract the sum of delta a from delta": a * delta,
        "is delta - sum(delta a): multiply it by a": delta - (delta * a).sum(axis=1, keepdims=True),
        "subtracts the sum of delta: the sum is of delta a": (
            a * (delta - delta.sum(axis=1, keepdims=True))
        ),
        "adds the sum of delta a: subtract it": a
        * (delta + (delta * a).sum(axis=1, keepdims=True)),
        "sums over the rows: sum over the outputs of a row, axis=1": (
            a * (delta - (delta * a).sum(axis=0))
        ),
        "sums over all rows and outputs: sum over the outputs of a row, axis=1": (
            a * (delta - (delta * a).sum())
        ),
    }


def _standardize(x: Array) -> Array:
    centered = x - x.mean(axis=1, keepdims=True)
    return np.asarray(centered / np.sqrt(centered.var(axis=1, keepdims=True) + _EPSILON))


def _standardize_mistakes(n: Numbers) -> dict[str, Array]:
    a, delta = n.forward(n.x), n.delta

    def mean(array: Array, axis: int = 1) -> Array:
        return np.asarray(array.mean(axis=axis, keepdims=True))

    s = np.sqrt(n.x.var(axis=1, keepdims=True) + _EPSILON)
    both = delta - mean(delta) - a * mean(delta * a)
    return {
        "is delta: the derivative is missing": delta,
        "is delta / s: the mean and s depend on x, too": delta / s,
        "lacks the mean of delta a: s depends on x, too": (delta - mean(delta)) / s,
        "lacks the mean of delta: the mean of x depends on x, too": (delta - a * mean(delta * a))
        / s,
        "lacks the division by s": both,
        "is multiplied by s: divide by s": both * s,
        "lacks the factor a before the mean of delta a": (delta - mean(delta) - mean(delta * a))
        / s,
        "takes sums instead of means": (
            (delta - delta.sum(axis=1, keepdims=True) - a * (delta * a).sum(axis=1, keepdims=True))
            / s
        ),
        "takes means over the rows: take them over the features of a row, axis=1": (
            (delta - mean(delta, 0) - a * mean(delta * a, 0)) / s
        ),
        "uses x in place of the output a": (delta - mean(delta) - n.x * mean(delta * n.x)) / s,
    }


# Convolution and pooling


def _convolve(x: Array, kernel: Array) -> Array:
    places = x.shape[1] - len(kernel) + 1
    return np.asarray(sum(w * x[:, m : m + places] for m, w in enumerate(kernel)))


def _convolution_kernel(n: Numbers) -> dict[str, Array]:
    size, places = len(n.values["kernel"]), n.delta.shape[1]
    windows = np.stack([n.x[:, m : m + places] for m in range(size)], axis=-1)
    terms = windows * n.delta[..., None]  # by row, place and element of the kernel
    right = terms.sum(axis=(0, 1))
    return {
        "is reversed: element m belongs to x[:, m : m + places]": right[::-1],
        "is a mean over the places: every place uses the same kernel, so sum": right / places,
        "is the term of the first place only: sum over the places": terms[:, 0].sum(axis=0),
        "is the term of the last place only: sum over the places": terms[:, -1].sum(axis=0),
        "is the sum of x: multiply it by delta first": windows.sum(axis=(0, 1)),
        **_one_row(terms.sum(axis=1)),
    }


def _convolution_input(n: Numbers) -> dict[str, Array]:
    kernel, places = n.values["kernel"], n.delta.shape[1]

    def spread(kernel: Array, add: bool = True) -> Array:
        back = np.zeros_like(n.x)
        for m, w in enumerate(kernel):
            part = back[:, m : m + places]
            part[...] = w * n.delta + (part if add else 0)
        return back

    return {
        "is that of the reversed kernel: element m of the kernel belongs to place + m": (
            spread(kernel[::-1])
        ),
        "overwrites where windows overlap: add the terms (+=)": spread(kernel, add=False),
        "lacks the kernel: multiply delta by its elements": spread(np.ones_like(kernel)),
        "is the term of the first element only: add those of all": spread(
            kernel * (np.arange(len(kernel)) == 0)
        ),
    }


def _pool(x: Array) -> Array:
    return np.asarray(x.reshape(len(x), -1, 2).max(axis=2))


def _pool_mistakes(n: Numbers) -> dict[str, Array]:
    pairs = n.x.reshape(len(n.x), -1, 2)
    delta = np.repeat(n.delta, 2, axis=1)
    largest = (pairs == pairs.max(axis=2, keepdims=True)).reshape(n.x.shape)
    first = np.arange(n.x.shape[1]) % 2 == 0
    return {
        "is delta at both numbers of a pair: the smaller one doesn't change the output": delta,
        "is delta / 2 at both numbers of a pair: that is for a mean": delta / 2,
        "gives delta to the smaller number of a pair": delta * ~largest,
        "gives delta to the first number of each pair: give it to the larger": delta * first,
        "gives delta to the second number of each pair: give it to the larger": delta * ~first,
        "is delta x: the slope of a maximum is 1": delta * largest * n.x,
        "is 1 at the larger number: multiply by delta": 1.0 * largest,
    }


# Through time


def _recur(x: Array, w: Array, u: Array) -> Array:
    h = np.zeros((len(x), x.shape[1] + 1))
    for t in range(x.shape[1]):
        h[:, t + 1] = np.tanh(w * x[:, t] + u * h[:, t])
    return h[:, 1:]


def _through_time(n: Numbers, mistake: str = "") -> dict[str, Array]:
    """Return the gradients of `_recur`, with a mistake."""
    (w,), (u,), h = n.values["w"], n.values["u"], n.forward(n.x)
    before = np.hstack([np.zeros((len(h), 1)), h[:, :-1]])
    deltas = np.zeros_like(h)
    back: Array = np.zeros(len(h))
    for t in reversed(range(h.shape[1])):
        slope = h[:, t] * (1 - h[:, t]) if mistake == "sigmoid" else 1 - h[:, t] ** 2
        given = n.delta[:, t] + (0 if mistake == "cut" else back)
        if mistake == "slope late":  # the slope is applied to what arrives from outside only
            deltas[:, t] = n.delta[:, t] * slope + back
        else:
            deltas[:, t] = given * (1 if mistake == "no slope" else slope)
        back = (1 if mistake == "no u" else w if mistake == "w for u" else u) * deltas[:, t]
    inputs = n.x if mistake != "after" else h
    states = h if mistake == "after" else before
    right = {"w": (deltas * inputs).sum(), "u": (deltas * states).sum()}
    return {"x": w * deltas, **{name: np.array([total]) for name, total in right.items()}}


_TIME = {
    "cut": "lacks what comes back from the next step: add u times its delta",
    "no slope": "uses dJ/dh where delta = dJ/dz belongs: multiply by the slope 1 - h^2 first",
    "slope late": "adds u times the next delta after the slope: multiply the whole sum by 1 - h^2",
    "no u": "lacks the factor u on the way back through time",
    "w for u": "uses w on the way back through time: the way is by u",
    "sigmoid": "uses h (1 - h), the derivative of the sigmoid: that of tanh is 1 - h^2",
}


def _time_mistakes(of: str, n: Numbers) -> dict[str, Array]:
    found = {words: _through_time(n, mistake)[of] for mistake, words in _TIME.items()}
    if of == "u":
        found["uses h of the same step: u is multiplied by h of the step before"] = _through_time(
            n, "after"
        )["u"]
    if of == "x":
        found["is delta: multiply it by w"] = _through_time(n)["x"] / n.values["w"]
    return found


# Attention


def _attend(x: Array) -> Array:
    return np.asarray(_attention_weights(x) @ x)


def _attention_weights(x: Array) -> Array:
    return _softmax(x @ x.transpose(0, 2, 1) / np.sqrt(x.shape[2]))


def _attend_mistakes(n: Numbers) -> dict[str, Array]:
    x, a, root = n.x, _attention_weights(n.x), np.sqrt(n.x.shape[2])
    value = a.transpose(0, 2, 1) @ n.delta
    d_a = n.delta @ x.transpose(0, 2, 1)
    d_s = a * (d_a - (d_a * a).sum(axis=2, keepdims=True))
    query, key = d_s @ x / root, d_s.transpose(0, 2, 1) @ x / root
    loose = a * d_a  # without the sum of the softmax
    unscaled = d_s + d_s.transpose(0, 2, 1)
    return {
        "is that of the values alone: x is the query and the key, too": value,
        "lacks the way through the keys": value + query,
        "lacks the way through the queries": value + key,
        "lacks the way through the values": query + key,
        "lacks the division by the root of the features": value + unscaled @ x,
        "counts the queries twice: the keys need dJ/ds transposed": value + 2 * query,
        "lacks the sum in the softmax's backward": (
            value + (loose + loose.transpose(0, 2, 1)) @ x / root
        ),
        "takes a for a^T on the way to the values": a @ n.delta + query + key,
    }


_EXERCISES: tuple[Exercise, ...] = (
    LayerExercise(
        "slope", "a sigmoid without derivative", _sigmoid, mistakes={"x": _sigmoid_curve}
    ),
    LayerExercise(
        "neuron",
        "a neuron whose delta is computed too late",
        _neuron,
        {"weight": (FEATURES, 1), "bias": (1,)},
        {"weight": _neuron_weight, "bias": _neuron_bias, "x": _neuron_input},
    ),
    LayerExercise(
        "product",
        "a matrix product with its factors in the wrong order",
        lambda x, weight: x @ weight,
        {"weight": (FEATURES, FEATURES)},
        {
            "weight": _product_gradient,
            "x": lambda n: {
                **_factor(n),
                "is delta W: transpose W": n.delta @ n.values["weight"],
            },
        },
    ),
    LayerExercise(
        "bias",
        "a gradient that isn't summed over the rows",
        lambda x, bias: x + bias,
        {"bias": (FEATURES,)},
        {"bias": lambda n: _one_row(n.delta)},
    ),
    LossExercise(
        "squared",
        "a squared error whose derivative lacks a factor",
        lambda a, t: (a - t) ** 2,
        _squared,
    ),
    OptimizerExercise(
        "momentum",
        "gradient descent that forgets its velocity",
        _descend(lambda g, v, r: (r * (_M * v + g), _M * v + g)),
        {
            "is r g: the velocity is missing, or isn't kept in state": _descend(
                lambda g, v, r: (r * g, v)
            ),
            "climbs: subtract the step": _descend(lambda g, v, r: (-r * (_M * v + g), _M * v + g)),
            "lacks the learning rate": _descend(lambda g, v, _: (_M * v + g, _M * v + g)),
            "lacks the factor momentum": _descend(lambda g, v, r: (r * (v + g), v + g)),
            "has 1 - momentum before g: here g has no factor": _descend(
                lambda g, v, r: (r * (_M * v + (1 - _M) * g), _M * v + (1 - _M) * g)
            ),
            "uses the velocity of the step before: update v first": _descend(
                lambda g, v, r: (r * v, _M * v + g)
            ),
            "has momentum before g: it belongs before v": _descend(
                lambda g, v, r: (r * (v + _M * g), v + _M * g)
            ),
            "adds the gradient twice: v has it already": _descend(
                lambda g, v, r: (r * (_M * v + g + g), _M * v + g)
            ),
        },
    ),
    LayerExercise(
        "softplus",
        "a half-written layer",
        lambda x: np.log1p(np.exp(x)),
        mistakes={"x": _curve},
    ),
    LayerExercise(
        "scale",
        "a layer written from scratch",
        lambda x, factor: x * factor,
        {"factor": (FEATURES,)},
        {
            "factor": _scale_gradient,
            "x": lambda n: {
                **_factor(n),
                "is the parameter: multiply it by delta": n.values["factor"] + 0 * n.delta,
            },
        },
    ),
    DropoutExercise("dropout", "dropout that scales in the wrong mode"),
    LayerExercise(
        "softmax",
        "a softmax that is taken for a sigmoid",
        _softmax,
        mistakes={"x": _softmax_mistakes},
    ),
    LossExercise(
        "crossentropy",
        "a cross-entropy of logits with the derivative by p",
        _cross_entropy,
        _cross_entropy_mistakes,
        _classes,
    ),
    LayerExercise(
        "standardize",
        "a normalization that forgets its mean and deviation",
        _standardize,
        mistakes={"x": _standardize_mistakes},
        input_shape=(4,),
    ),
    LayerExercise(
        "convolution",
        "a convolution with its kernel reversed",
        _convolve,
        {"kernel": (3,)},
        {"kernel": _convolution_kernel, "x": _convolution_input},
        input_shape=(6,),
    ),
    LayerExercise(
        "pooling",
        "a maximum that gives everyone a share",
        _pool,
        mistakes={"x": _pool_mistakes},
        input_shape=(6,),
    ),
    LayerExercise(
        "recurrent",
        "a recurrent unit that doesn't look back",
        _recur,
        {"w": (1,), "u": (1,)},
        {
            "w": lambda n: _time_mistakes("w", n),
            "u": lambda n: _time_mistakes("u", n),
            "x": lambda n: _time_mistakes("x", n),
        },
        input_shape=(4,),
    ),
    LayerExercise(
        "attention",
        "attention without the way through the keys",
        _attend,
        mistakes={"x": _attend_mistakes},
        input_shape=(3, 2),
    ),
)
EXERCISES: Mapping[str, Exercise] = {exercise.name: exercise for exercise in _EXERCISES}
