"""PyTorch: equal outputs, gradients and next steps, both ways."""

import copy

import numpy as np
import pytest

from helpers import Scale, masked, rows_for, says, tensors, varied
from minigrad import (
    GRU,
    L2,
    LSTM,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    BatchNorm,
    Bidirectional,
    Chain,
    Concatenate,
    Conv1D,
    Dense,
    Embedding,
    ExponentialDecay,
    Flatten,
    Graph,
    Hardsigmoid,
    Input,
    Lambda,
    LayerNorm,
    Mask,
    Model,
    MSELoss,
    MultiHeadAttention,
    Nadam,
    Parallel,
    PositionEmbedding,
    Residual,
    RMSprop,
    Sequential,
)
from minigrad.checks.single import model_of
from minigrad.core.layer import Layer, walk
from minigrad.layers.recurrent import Recurrent
from minigrad.util.config import registered

torch = pytest.importorskip("torch")
nn = torch.nn
from minigrad.interop.torch import from_torch, to_torch, to_torch_training
from minigrad.interop.torch.layers import MODULES


def assert_equal(model, module, x, rtol=1e-9) -> None:
    """Compare outputs in inference, outputs in training, and dJ/dx."""
    given = tensors(model, x)
    module.eval()
    np.testing.assert_allclose(module(*given).detach(), model.predict(x), rtol=1e-9, atol=1e-9)
    if any(layer.stochastic for _, layer in walk(model)):
        return
    module.train()
    output = module(*given)
    np.testing.assert_allclose(output.detach(), model.forward(x), rtol=1e-9, atol=1e-9)
    if not output.requires_grad:
        return  # a mask has no slope
    delta = np.random.default_rng(1).normal(size=output.shape)
    output.backward(torch.from_numpy(delta))
    back = model.backward(delta)
    for tensor, wanted in zip(given, back if isinstance(back, tuple) else [back], strict=True):
        if tensor.grad is not None:
            np.testing.assert_allclose(tensor.grad, wanted, rtol=rtol, atol=1e-9)


LACKING = {
    "AveragePooling2D(pool_size=(3, 2), strides=(2, 1), padding='same')": "'same'",
    "PReLU(shared_axes=(), slope_initializer='normal')": "(2, 3)",
    "Lambda(squares, squares_back)": "torch.nn.Module",
}
"""What no module holds, and a part of the message."""


def test_every_layer(any_layer_example) -> None:
    layer, shape = any_layer_example
    if repr(layer) in LACKING:
        with says((TypeError, ValueError), type(layer).__name__, LACKING[repr(layer)]):
            to_torch(model_of(layer, shape))
        return
    model = varied(model_of(layer, shape))
    x = rows_for(layer, shape)
    inner = layer.layer if isinstance(layer, Bidirectional) else layer
    held = isinstance(inner, (Recurrent, Mask, MultiHeadAttention))
    cells = isinstance(inner, LSTM) and inner.return_state  # an nn.LSTM returns the last c only
    lacking = masked(layer, shape) and (cells or not held)
    if lacking or getattr(layer, "dropout", 0) or getattr(layer, "key_dim", None):
        with says(ValueError, type(inner).__name__):
            to_torch(model)
        return
    module = to_torch(model)
    # PyTorch's Hardsigmoid has the slope 1/6 in float32.
    rtol = 1e-6 if isinstance(layer, Hardsigmoid) else 1e-9
    assert_equal(model, module, x, rtol)
    if isinstance(layer, Bidirectional) and masked(layer, shape):
        return  # it comes back as Parallel, which takes no mask
    again = from_torch(module, shape).astype("float64")
    assert_equal(again, module, x, rtol)


def test_every_registered_layer_has_a_module() -> None:
    layers = {c for c in registered(Layer).values() if c.__module__.startswith("minigrad.")}
    containers = {Chain, Graph, Model, Sequential, Residual, Parallel, Bidirectional}
    assert layers == containers | {*MODULES, Lambda}


def small(*, dtype="float64", **compiled):
    """Return a compiled model with most kinds of weights, trained for two epochs, and its data."""
    layers = [
        Embedding(7, 4),
        PositionEmbedding(),
        Residual([MultiHeadAttention(2), LayerNorm()]),
        Conv1D(4, 3, padding="same", activation="gelu"),
        BatchNorm(),
        GRU(4, return_sequences=True),
        Bidirectional(LSTM(3)),
        Dense(2),
    ]
    model = Sequential(layers, input_shape=(5,), rng=0, dtype=dtype)
    model["conv1d_1"].trainable = False
    model.compile(**compiled)
    rng = np.random.default_rng(0)
    x, y = rng.integers(7, size=(8, 5)), rng.normal(size=(8, 2)).astype(dtype)
    model.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=0)
    return model, x, y


def torch_steps(module, optimizer, x, y, steps=3) -> None:
    module.train()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(module(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimizer.step()


def same_parameters(model, other) -> None:
    for ours, theirs in zip(model.parameters, other.parameters, strict=True):
        # The bias of attention's keys has no slope: adaptive steps enlarge its rounding errors.
        np.testing.assert_allclose(theirs.value, ours.value, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(learning_rate=0.1),
        SGD(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        RMSprop(learning_rate=0.01),
        RMSprop(learning_rate=0.01, momentum=0.5),
        Adagrad(learning_rate=0.1),
        Adam(learning_rate=0.01, weight_decay=0.1),
        AdamW(learning_rate=0.01, weight_decay=0.1),
        Adam(learning_rate=0.01, amsgrad=True),
        Nadam(learning_rate=0.01, weight_decay=0.1),
    ],
    ids=repr,
)
def test_next_steps_are_the_same_both_ways(optimizer) -> None:
    model, x, y = small(optimizer=copy.deepcopy(optimizer), loss="mse")
    module, there = to_torch_training(model)
    torch_steps(module, there, x, y)
    model.fit(x, y, epochs=3, batch_size=None, verbose=0)
    back = from_torch(module, (5,), optimizer=there, loss=MSELoss())
    same_parameters(model, back)
    np.testing.assert_allclose(back.predict(x), model.predict(x), rtol=1e-7)
    assert repr(back.optimizer) == repr(model.optimizer)
    assert [p.trainable for p in back.parameters] == [p.trainable for p in model.parameters]
    for one in model, back:
        one.fit(x, y, epochs=2, batch_size=None, verbose=0)
    same_parameters(model, back)


def test_an_optimizer_that_has_made_no_step() -> None:
    model = Sequential([Dense(2)], input_shape=(3,), rng=0)
    model.compile(optimizer=Adam(), loss="mse")
    module, there = to_torch_training(model)
    assert not there.state
    assert from_torch(module, (3,), optimizer=there, loss="mse").optimizer.steps == 0


def test_dtype_is_kept() -> None:
    model, x, y = small(dtype="float32", optimizer="adam", loss="mse")
    module, there = to_torch_training(model)
    torch_steps(module, there, x, y, steps=1)
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    back = from_torch(module, (5,), optimizer=there, loss="mse")
    assert back.dtype == "float32"
    assert {v.dtype.name for v in back.optimizer.state.values()} == {"float32"}


def test_a_graph_with_shared_weights_goes_both_ways() -> None:
    a, b = Input((4,), name="a"), Input((4,), name="b")
    encoder, last = Dense(3, "tanh"), Dense(2)
    both = Concatenate()(encoder(a), encoder(b))
    model = Model(inputs=[a, b], outputs={"one": last(both), "forward": Dense(1)(both)}, rng=0)
    module = to_torch(model)
    assert len([*module.parameters()]) == len(model.parameters)
    x = {n: np.random.default_rng(0).normal(size=(3, 4)) for n in "ab"}
    wanted = model.predict(x)
    given = {n: torch.from_numpy(v) for n, v in x.items()}
    for arguments in [given], given.values():
        output = module(*arguments)
        for name in wanted:
            np.testing.assert_allclose(output[name].detach(), wanted[name], rtol=1e-12)
    back = from_torch(module, ())
    assert len(back.parameters) == len(model.parameters)
    for name in wanted:
        np.testing.assert_allclose(back.predict(x)[name], wanted[name], rtol=1e-12)


def cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(
            nn.Conv2d(3, 4, (3, 2), padding=1, stride=(1, 2)), nn.BatchNorm2d(4), nn.ReLU()
        ),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding="same", bias=False),
        nn.ZeroPad2d((1, 1, 2, 2)),
        nn.Conv2d(6, 5, 2, dilation=2),
        nn.GroupNorm(5, 5),
        nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(70, 4),
        nn.LayerNorm(4),
    ).double()


def test_channels_first_modules_become_channels_last_layers() -> None:
    module = cnn()
    model = from_torch(module, (10, 9, 3))
    x = np.random.default_rng(0).normal(size=(2, 10, 9, 3))
    wanted = module.eval()(torch.from_numpy(x).movedim(-1, 1)).detach()
    np.testing.assert_allclose(model.predict(x), wanted, rtol=1e-9, atol=1e-12)
    again = to_torch(model).eval()(torch.from_numpy(x)).detach()
    np.testing.assert_allclose(again, wanted, rtol=1e-9, atol=1e-12)


def test_padding_after_a_transposed_convolution_is_that_of_the_next_layer() -> None:
    torch.manual_seed(0)
    layers = nn.ConvTranspose2d(1, 2, 4, padding=1), nn.ZeroPad2d(1), nn.Conv2d(2, 1, 3)
    module = nn.Sequential(*layers).double()
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 1))
    wanted = module(torch.from_numpy(x).movedim(-1, 1)).detach().movedim(1, -1)
    found = from_torch(module, (5, 4, 1)).predict(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("length", [7, 8])
def test_sequences_with_channels_first(length) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.ConstantPad1d((2, 0), 0.0),
        nn.Conv1d(3, 4, 3),
        nn.BatchNorm1d(4),
        nn.MaxPool1d(3, 2, padding=1),
        nn.AvgPool1d(2, ceil_mode=length == 8),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
        nn.Softmax(dim=1),
    ).double()
    model = from_torch(module, (length, 3))
    assert model["conv1d_1"].padding == "causal"
    x = np.random.default_rng(0).normal(size=(2, length, 3))
    wanted = module.eval()(torch.from_numpy(x).movedim(-1, 1)).detach()
    np.testing.assert_allclose(model.predict(x), wanted, rtol=1e-9)


def test_both_biases_of_a_trained_recurrent_module_are_read() -> None:
    torch.manual_seed(0)
    for kind in nn.RNN, nn.GRU, nn.LSTM:
        module = kind(3, 4, batch_first=True).double()
        model = from_torch(module, (None, 3))
        x = np.random.default_rng(0).normal(size=(2, 5, 3))
        wanted = module(torch.from_numpy(x))[0].detach()
        np.testing.assert_allclose(model.predict(x), wanted, rtol=1e-9, atol=1e-12)
    there = torch.optim.Adam(module.parameters())
    module(torch.from_numpy(x))[0].sum().backward()
    there.step()
    with says(ValueError, "LSTM", "bias"):
        from_torch(module, (None, 3), optimizer=there, loss="mse")


def test_first_layers_of_a_network_in_a_model() -> None:
    module = cnn().float()
    first = from_torch(module[:3], (10, 9, 3))
    first.trainable = False
    model = Sequential([first, Flatten(), Dense(2)], input_shape=(10, 9, 3), dtype="float32")
    x = np.random.default_rng(0).normal(size=(4, 10, 9, 3)).astype("float32")
    before = first.predict(x)
    wanted = module[:3].eval()(torch.from_numpy(x).movedim(-1, 1)).detach().movedim(1, -1)
    np.testing.assert_allclose(before, wanted, rtol=1e-4, atol=1e-5)
    model.compile(optimizer="adam", loss="mse")
    weights = first["conv2d_1"].weight.value.copy()
    model.fit(x, np.ones((4, 2)), verbose=0)
    np.testing.assert_array_equal(first["conv2d_1"].weight.value, weights)


@pytest.mark.parametrize(
    ("module", "shape", "parts"),
    [
        (nn.Linear(2, 2, dtype=torch.float16), (2,), ["float16", "float()"]),
        (nn.Sequential(nn.GLU()), (2,), ["GLU '0'"]),
        (nn.Conv2d(4, 4, 1, groups=2), (3, 3, 4), ["Conv2d", "groups=1", "2"]),
        (nn.Conv2d(2, 2, 1, padding=1, padding_mode="circular"), (3, 3, 2), ["circular"]),
        (nn.Sequential(nn.Conv2d(1, 2, 1), nn.Linear(3, 2)), (3, 3, 1), ["Linear '1'", "first"]),
        (nn.Sequential(nn.Linear(2, 2), nn.Conv1d(2, 2, 1)), (3, 2), ["Conv1d '1'", "last"]),
        (nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten()), (3, 3, 1), ["Flatten", "Sequential"]),
        (nn.Sequential(nn.ZeroPad2d((0, 1, 0, 0)), nn.Conv2d(1, 1, 1)), (3, 3, 1), ["(0, 1)"]),
        (
            nn.Sequential(nn.ConstantPad2d(1, 2.0), nn.Conv2d(1, 1, 3)),
            (5, 5, 1),
            ["value=0", "2.0"],
        ),
        (nn.Sequential(nn.ZeroPad2d(1), nn.MaxPool2d(3)), (7, 7, 1), ["value=-inf", "0.0"]),
        (nn.Sequential(nn.ZeroPad2d(1), nn.BatchNorm2d(1)), (5, 5, 1), ["ZeroPad2d", "BatchNorm"]),
        (
            nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(1, 1, 3, padding="same")),
            (5, 5, 1),
            ["'valid'", "'same'"],
        ),
        (nn.Sequential(nn.ZeroPad2d(1)), (5, 5, 1), ["ZeroPad2d"]),
        (
            nn.Sequential(nn.ConvTranspose2d(1, 1, 3, padding=1), nn.ZeroPad2d((0, -1, 0, -1))),
            (5, 5, 1),
            ["ConvTranspose2d '0'", "[0, 0, 0, 0]", "[0, -1, 0, -1]"],
        ),
        (
            nn.Sequential(nn.Conv1d(2, 2, 1), nn.LSTM(2, 2, batch_first=True)),
            (2, 2),
            ["LSTM '1'", "first"],
        ),
        (nn.AvgPool2d(2, divisor_override=3), (4, 4, 1), ["divisor_override=None", "3"]),
        (nn.Linear(3, 2), (2,), ["Linear", "(3, 2)", "(2,)"]),
        (nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(9, 2)), (3, 3, 1), ["(9, 2)"]),
        (nn.BatchNorm1d(2, affine=False), (2,), ["affine"]),
        (nn.LSTM(2, 2, num_layers=2, batch_first=True), (3, 2), ["num_layers=1"]),
        (nn.LSTM(2, 2), (3, 2), ["batch_first=True"]),
        (nn.AvgPool2d(2, padding=1), (4, 4, 1), ["count_include_pad=False"]),
        (nn.AdaptiveAvgPool2d(2), (4, 4, 1), ["output_size=1"]),
        (nn.Embedding(3, 2, padding_idx=0), (4,), ["padding_idx=None"]),
        (nn.Upsample(scale_factor=2, mode="bicubic"), (4, 4, 1), ["nearest", "bicubic"]),
        (
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            (4, 4, 1),
            ["align_corners=False"],
        ),
    ],
)
def test_modules_that_no_layer_holds(module, shape, parts) -> None:
    with says((TypeError, ValueError), *parts):
        from_torch(module, shape)


def test_optimizers_that_have_no_counterpart() -> None:
    module = nn.Linear(2, 2)
    for there, part in (
        (torch.optim.NAdam(module.parameters(), decoupled_weight_decay=True), "decoupled"),
        (torch.optim.SGD(module.parameters(), momentum=0.9, dampening=0.1), "dampening=0.1"),
        (torch.optim.Rprop(module.parameters()), "Rprop"),
        (torch.optim.SGD([{"params": module.weight}, {"params": module.bias}]), "2"),
    ):
        with says((TypeError, ValueError), part):
            from_torch(module, (2,), optimizer=there, loss="mse")
    with says(TypeError, "loss"):
        from_torch(module, (2,), optimizer=torch.optim.SGD(module.parameters()))
    with says(TypeError, "torch.nn.Module", "Dense"):
        from_torch(Dense(2), (2,))


def test_models_that_no_module_holds() -> None:
    with says(TypeError, "Model", "Dense"):
        to_torch(Dense(2))
    with says(RuntimeError, "input_shape"):
        to_torch(Sequential([Dense(2)]))
    with says(TypeError, "Scale 'scale_1'"):
        to_torch(Sequential([Scale()], input_shape=(2,)))
    model = Sequential([Conv1D(2, 3, strides=2, padding="same")], input_shape=(None, 2))
    with says(ValueError, "Conv1D 'conv1d_1'", "same"):
        to_torch(model)
    model = Sequential([Dense(2)], input_shape=(2,))
    with says(RuntimeError, "compile"):
        to_torch_training(model)
    for options, part in (
        ({"clip_norm": 1.0}, "clip_norm"),
        ({"momentum": 0.9}, "learning_rate_factor=0.5 of 'dense_1.weight'"),
        ({"learning_rate": ExponentialDecay(initial_learning_rate=0.1, decay_rate=0.9)}, "Decay"),
    ):
        model.compile(optimizer=SGD(**options), loss="mse")
        model["dense_1"].learning_rate_factor = 0.5 if "momentum" in options else 1.0
        with says(ValueError, part):
            to_torch_training(model)
    model.compile(optimizer="lion", loss="mse")
    with says(TypeError, "RMSprop", "Lion"):
        to_torch_training(model)
    model = Sequential([Dense(2, weight_regularizer=L2(0.1))], input_shape=(2,))
    model.compile(optimizer=SGD(), loss="mse")
    with says(ValueError, "L2", "dense_1.weight"):
        to_torch_training(model)


def test_to_torch_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    small(optimizer="sgd", loss="mse")
    to_torch(Sequential([Dense(2)], input_shape=(2,)))
    assert torch.equal(torch.get_rng_state(), before)
