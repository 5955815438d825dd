"""The program of a run: in minigrad, where it gives the same losses, in Keras and in PyTorch."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final

from minigrad.core.layer import Layer
from minigrad.initializers import Constant, Normal
from minigrad.layers import Activation, BatchNorm, Chain, Dense, Dropout, Residual
from minigrad.models.sequential import Sequential
from minigrad.playground.networks import (
    blocks_of,
    make_loss,
    make_model,
    make_optimizer,
    make_regularizer,
    metrics_of,
)  # fmt: skip
from minigrad.playground.problems import PROBLEMS, hold_out, standardized, with_features
from minigrad.playground.script import Script
from minigrad.playground.settings import Problem, Settings
from minigrad.util.repr import pretty
from minigrad.util.spelling import snake_case

_ROOMS: Final = ("minigrad", "minigrad.initializers", "minigrad.regularizers")
_DATA: Final = {"data", "rows", "noise", "test_share", "scale", "standardize", "points"}


def minigrad_source(script: Script) -> str:
    """Return the program that makes the run again, with the same losses."""
    script.check_complete()
    s = script.settings
    model = make_model(s, Problem(s))
    shape = f"input_shape={model.input_shape}"
    made = pretty(model).replace(shape, f"{shape}, rng={s.seed}")
    parts = ["\n".join(_data_lines(s)), f"model = {made}\n{_compiled(s)}\n" + _steps(script, model)]
    test = s.test_share > 0
    if script.steps:
        s = script.settings.changed(_changes(script))
        test = s.test_share > 0
    shown = ['print("training", model.evaluate(x, y))']
    shown += ['print("test", model.evaluate(x_test, y_test))'] if test else []
    body = "\n\n".join([*parts, "\n".join(shown)])
    return f"{_imports(body)}\n\n{body}\n"


def _changes(script: Script) -> dict[str, Any]:
    """Return all settings that the steps changed, as they are at the end."""
    changes = dict[str, Any]()
    for kind, *given in script.steps:
        if kind == "set":
            changes |= given[0]
    return changes


def _data_lines(s: Settings) -> Iterator[str]:
    """Yield the lines that make x, y, x_test and y_test."""
    if s.data == "own":
        rows = "\n".join(f"    {row}," for row in s.points)
        yield f"points = np.array([\n{rows}\n], dtype=float)"
        target = "points[:, -1].astype(int)" if Problem(s).kind == "classes" else "points[:, -1:]"
        yield f"x, y = points[:, :-1], {target}"
    else:
        yield f"x, y = {s.data}(rows={s.rows}, noise={s.noise}, seed={s.seed})"
    if s.scale != 1:
        yield f"x = x * {s.scale}"
    yield f"x, y, x_test, y_test = hold_out(x, y, share={s.test_share}, seed={s.seed})"
    if s.standardize:
        yield "x, x_test = standardized(x, x_test)"
    if s.features != ["x0", "x1"]:
        yield f"x, x_test = (with_features(rows, {s.features}) for rows in (x, x_test))"


def _compiled(s: Settings) -> str:
    metrics = metrics_of(Problem(s))
    given = f"optimizer={make_optimizer(s)!r}, loss={make_loss(s)!r}"
    return f"model.compile({given}{f', metrics={metrics}' if metrics else ''})"


def _steps(script: Script, model: Sequential) -> str:
    """Return the lines that train, and that change something on the way."""
    s, lines, paths = script.settings, list[str](), [block.path for block in blocks_of(model)]
    for kind, *given in script.steps:
        if kind == "fit":
            lines.append(
                f"model.fit(x, y, epochs={given[0]}, batch_size={s.batch_size}, verbose=0)"
            )
        elif kind == "set":
            s = s.changed(given[0])
            lines += _changed(s, given[0], paths)
        else:
            layer, source, unit, value = given
            place = f"bias.value[{unit}]" if source is None else f"weight.value[{source}, {unit}]"
            lines.append(f'model["{paths[layer]}"].{place} = {value!r}')
    return "\n".join(lines)


def _changed(s: Settings, changes: dict[str, Any], paths: list[str]) -> Iterator[str]:
    """Yield the lines that change settings of a running training."""
    if changes.keys() & _DATA:
        yield from _data_lines(s)
    if changes.keys() & {"optimizer", "loss"}:
        yield _compiled(s)
    elif "learning_rate" in changes:
        yield f"model.optimizer.learning_rate = {s.learning_rate}"
    if changes.keys() & {"regularizer", "strength"}:
        yield f"for name in {paths}:"
        yield f"    model[name].weight.regularizer = {make_regularizer(s)!r}"


def _imports(body: str) -> str:
    """Return the imports of a program, by the names that it uses."""
    used = {*re.findall(r"\b([A-Z]\w*)(?=\()", body)}
    lines = ["import numpy as np\n"] if "np." in body else []
    for room in _ROOMS:
        found = sorted(name for name in used if hasattr(import_module(room), name))
        used -= {*found}
        lines += [f"from {room} import {', '.join(found)}"] if found else []
    functions = (*PROBLEMS, "hold_out", "standardized", "with_features")
    made = [name for name in functions if re.search(rf"[=(] ?{name}\(", body)]
    return "\n".join(
        [*lines, f"from minigrad.playground.problems import {', '.join(sorted(made))}"]
    )


# Other libraries. They draw other initial weights, so that their losses are others.


def _final(script: Script) -> tuple[Settings, Sequential, int]:
    """Return the settings at the end of a run, a model of them, and the epochs."""
    s = script.settings.changed(_changes(script))
    epochs = sum(step[1] for step in script.steps if step[0] == "fit")
    return s, make_model(s, Problem(s)), epochs or 100


def _standalone(s: Settings) -> str:
    """Return the data, with the source of the functions that make it."""
    functions: list[Callable[..., Any]] = [hold_out]
    functions += [PROBLEMS[s.data]] if s.data != "own" else []
    functions += [standardized] if s.standardize else []
    functions += [with_features] if s.features != ["x0", "x1"] else []
    texts = [_without_docstring(function) for function in functions]
    return "\n\n\n".join([*texts, "\n".join(_data_lines(s))])


def _without_docstring(function: Callable[..., Any]) -> str:
    source = textwrap.dedent(inspect.getsource(function))
    source = re.sub(r'\n +"""(.|\n)*?"""', "", source, count=1)
    return re.sub(r"(: int|: float|: Array)\b|( ->.*(?=:\n))", "", source).rstrip()


def _flat(layers: list[Layer]) -> Iterator[Layer]:
    for layer in layers:
        yield from _flat(layer.layers) if isinstance(layer, Chain) else (layer,)


def keras_source(script: Script) -> str:
    """Return a program for Keras with the same network, data and optimizer."""
    s, model, epochs = _final(script)
    lines = [f"h = inputs = keras.Input(({model.input_shape[0]},))"] if model.input_shape else []
    for layer in model.layers:
        if isinstance(layer, Residual):
            lines.append("shortcut = h")
            lines += [f"h = {_keras_layer(one)}(h)" for one in _flat([layer.layer])]
            lines.append("h = keras.layers.Add()([shortcut, h])")
        else:
            lines.append(f"h = {_keras_layer(layer)}(h)")
    losses = {
        "BCEWithLogitsLoss": "BinaryCrossentropy(from_logits=True)",
        "CrossEntropyLoss": "SparseCategoricalCrossentropy(from_logits=True)",
        "MSELoss": "MeanSquaredError()", "L1Loss": "MeanAbsoluteError()", "HuberLoss": "Huber()",
    }  # fmt: skip
    rate = f"learning_rate={s.learning_rate}"
    optimizers = {
        "SGD": f"SGD({rate})", "Momentum": f"SGD({rate}, momentum=0.9)",
        "Adam": f"Adam({rate}, epsilon=1e-8)",
        "RMSprop": f"RMSprop({rate}, rho=0.99, epsilon=1e-8)",
        "Adagrad": f"Adagrad({rate}, initial_accumulator_value=0.0, epsilon=1e-10)",
    }  # fmt: skip
    metrics = ""
    if Problem(s).kind == "binary":
        threshold = 0.0 if "Logits" in s.loss else 0.5
        metrics = f", metrics=[keras.metrics.BinaryAccuracy(threshold={threshold})]"
    elif Problem(s).kind == "classes":
        metrics = ', metrics=["accuracy"]'
    lines += [
        "model = keras.Model(inputs, h)",
        f"model.compile(\n    optimizer=keras.optimizers.{optimizers[s.optimizer]},\n"
        f"    loss=keras.losses.{losses[s.loss]}{metrics},\n)",
        f"model.fit(x, y, epochs={epochs}, batch_size={s.batch_size}, verbose=0)",
        'print("training", model.evaluate(x, y, verbose=0))',
    ]
    lines += ['print("test", model.evaluate(x_test, y_test, verbose=0))'] * (s.test_share > 0)
    head = f"import keras\nimport numpy as np\n\nkeras.utils.set_random_seed({s.seed})"
    return "\n\n\n".join([head, _standalone(s)]) + "\n\n" + "\n".join(lines) + "\n"


def _keras_layer(layer: Layer) -> str:
    match layer:
        case Dense():
            options = [str(layer.units)]
            if layer.activation is not None:
                options.append(f"activation={_keras_activation(layer.activation)}")
            weight, bias = (_keras_initializer(getattr(layer, f"{n}_initializer")) for n in _HELD)
            options += [f"kernel_initializer={weight}"] if weight != '"glorot_uniform"' else []
            options += [f"bias_initializer={bias}"] if bias != '"zeros"' else []
            if layer.weight_regularizer is not None:
                options.append(
                    f"kernel_regularizer=keras.regularizers.{layer.weight_regularizer!r}"
                )
            return f"keras.layers.Dense({', '.join(options)})"
        case BatchNorm():
            return "keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)"
        case Dropout():
            return f"keras.layers.Dropout({layer.rate})"
    return f"keras.layers.Activation({_keras_activation(layer)})"


_HELD: Final = ("weight", "bias")


def _keras_activation(layer: Layer) -> str:
    name = _name(layer)
    return "keras.layers.LeakyReLU(negative_slope=0.01)" if name == "leaky_relu" else f'"{name}"'


def _name(layer: Layer) -> str:
    return snake_case(type(layer).__name__)


def _keras_initializer(given: Any) -> str:
    if isinstance(given, Constant):
        return f"keras.initializers.Constant({given.value})"
    if isinstance(given, Normal):
        return f"keras.initializers.RandomNormal(stddev={given.scale})"
    return f'"{given if isinstance(given, str) else snake_case(type(given).__name__)}"'


def torch_source(script: Script) -> str:
    """Return a program for PyTorch with the same network, data and optimizer."""
    s, model, epochs = _final(script)
    kind, residual = Problem(s).kind, any(isinstance(layer, Residual) for layer in model.layers)
    layers = "\n".join(
        f"    {_torch_layer(layer)}," for layer in model.layers for layer in _parts(layer)
    )
    rate, wide = f"model.parameters(), lr={s.learning_rate}", kind == "classes"
    optimizers = {
        "SGD": f"SGD({rate})", "Momentum": f"SGD({rate}, momentum=0.9)", "Adam": f"Adam({rate})",
        "RMSprop": f"RMSprop({rate}, alpha=0.99)", "Adagrad": f"Adagrad({rate}, eps=1e-10)",
    }  # fmt: skip
    starts = {
        "glorot_uniform": "nn.init.xavier_uniform_(layer.weight)",
        "he_normal": 'nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")',
        "large": "nn.init.normal_(layer.weight, std=2.0)",
        "equal": "nn.init.constant_(layer.weight, 0.5)",
    }
    size = {"L1": "abs", "L2": "square"}.get(s.regularizer)
    penalty = f"{s.strength} * sum(layer.weight.{size}().sum() for layer in linear)"
    tested = '    print("test", loss_function(model(x_test), y_test).item())'
    lines = [
        "import numpy as np", "import torch", "from torch import nn", "",
        f"torch.manual_seed({s.seed})", "torch.set_default_dtype(torch.float64)", "", "",
        *([_TORCH_RESIDUAL, "", ""] if residual else []),
        _standalone(s),
        f"x, x_test = torch.tensor(x), torch.tensor(x_test)\n"
        f"y, y_test = torch.tensor(y{', dtype=torch.long' * wide}), "
        f"torch.tensor(y_test{', dtype=torch.long' * wide})", "",
        f"model = nn.Sequential(\n{layers}\n)",
        "linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]",
        "for layer in linear:",
        f"    {starts[s.initializer]}",
        f"    nn.init.constant_(layer.bias, {s.initial_bias} if layer is not linear[-1] else 0.0)"
        if s.initial_bias else "    nn.init.zeros_(layer.bias)",
        f"optimizer = torch.optim.{optimizers[s.optimizer]}",
        f"loss_function = nn.{s.loss}()", "",
        f"for epoch in range({epochs}):",
        f"    for batch in torch.randperm(len(x)).split({s.batch_size}):",
        "        loss = loss_function(model(x[batch]), y[batch])",
        *([f"        loss = loss + {penalty}"] if size else []),
        "        optimizer.zero_grad()",
        "        loss.backward()",
        "        optimizer.step()", "",
        "model.eval()", "with torch.no_grad():",
        '    print("training", loss_function(model(x), y).item())',
        *([tested] if s.test_share else []),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _parts(layer: Layer) -> Iterator[Layer]:
    """Yield a layer as PyTorch has it: an activation is a layer of its own."""
    yield layer
    if isinstance(layer, Dense) and layer.activation is not None:
        yield layer.activation


def _torch_layer(layer: Layer) -> str:
    match layer:
        case Dense():
            assert layer.input_shape is not None
            return f"nn.Linear({layer.input_shape[0]}, {layer.units})"
        case BatchNorm():
            return f"nn.BatchNorm1d({layer.gamma.shape[0]})"
        case Dropout():
            return f"nn.Dropout({layer.rate})"
        case Residual():
            inner = [_torch_layer(part) for one in _flat([layer.layer]) for part in _parts(one)]
            return f"Residual({', '.join(inner)})"
        case Activation():
            return f"nn.{type(layer).__name__}()"
    raise TypeError(f"{layer.label} has no code in PyTorch")


_TORCH_RESIDUAL: Final = """class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)"""

SOURCES: Final[dict[str, Callable[[Script], str]]] = {
    "minigrad": minigrad_source, "keras": keras_source, "torch": torch_source
}  # fmt: skip
"""What writes a program, by library."""
