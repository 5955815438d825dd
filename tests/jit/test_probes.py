"""Ordinary code of users: each gives NumPy's numbers, or a refusal that names layer and line.

A fit that ends at a later check is no silent error either. What no probe may do is to train to
other numbers.
"""

import copy
import itertools

import numpy as np
import pytest

from minigrad import L2, SGD, Adam, Callback, Dense, Layer, Loss, Optimizer, Regularizer, Sequential

pytest.importorskip("jax")

from minigrad.jit import NotCompilableError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 3))
Y = np.sin(X[:, :2])
TABLE = RNG.normal(size=(8, 4))
OPTIONS = {"scale": 1.0}
COUNTS = {"calls": 0}


def layer_of(body: str) -> Layer:
    """Return a layer whose forward runs some lines, and returns x plus `y`."""
    lines = "\n".join(f"        {line}" for line in body.split("; "))
    source = (
        "class Probe(Layer):\n"
        "    scale = 0.5\n"
        "    def build(self, input_shape, rng):\n"
        "        self.rng, self.draw = rng, rng.normal\n"
        "        self.n, self.list, self.dict, self.array = 0, [0.0], {'n': 0}, np.zeros(4)\n"
        "        self.options = OPTIONS\n"
        "        return input_shape\n"
        "    def forward(self, x, *, training=True):\n"
        "        y = 0\n"
        f"{lines}\n"
        "        return x + y\n"
        "    def backward(self, delta):\n"
        "        return delta.copy()\n"
    )
    names = globals()
    scope = {}
    exec(compile(source, "probe.py", "exec"), names, scope)
    kind = scope["Probe"]
    return kind(name="probe")


BODIES = [
    # constants written at recorded indices
    "m = np.ones(4); m[self.rng.integers(4)] = 0; y = m",
    "m = np.ones(x.shape); m[:, self.rng.integers(4)] = 0; y = m",
    "m = np.ones((4, 4)); m.T[self.rng.integers(4)] = 0; y = m[0]",
    "m = np.zeros_like(x); m[np.arange(len(x)), x.argmax(1)] = 1; y = m",
    "m = np.zeros(x.shape); m[np.arange(len(x)), x.argmax(axis=1)] = 1; y = m * x",
    "m = np.zeros_like(x); np.put_along_axis(m, np.argsort(x, 1)[:, :2], 1, 1); y = m",
    "m = np.zeros_like(x); m[x > 0] = 1; y = m",
    "m = np.ones(4); m[x.mean(0) > 0] = 0; y = m",
    "m = np.ones(4); k = x.mean(0).argmax(); m[k] += 3; y = m",
    "m = np.zeros(4); np.add.at(m, x.argmax(1), 0.1); y = m",
    "m = np.zeros((len(x), 4)); r = np.arange(len(x)); m[r, x.argmin(1)] -= 1; y = m",
    "g = np.zeros_like(x); g[:, x.mean(0).argmax()] = 2.5; y = g",
    # tables
    "y = TABLE[x.mean(0).argmax()]",
    "y = TABLE[x.argmax(1)]",
    "y = np.eye(4)[x.argmax(1)]",
    "y = np.eye(8)[self.rng.integers(4)][:4]",
    "y = np.take(TABLE, x.argmax(1), axis=0)",
    "y = np.array([1., 2., 3., 4.])[np.argsort(x.mean(0))]",
    "y = np.take_along_axis(x, np.argsort(x, 1), 1)",
    "y = TABLE[(x[:, 0] > 0).astype(int)]",
    "y = TABLE[x.argmax(1), x.argmin(1)][:, None]",
    "t = TABLE.copy(); y = t[x.mean(0).argmax()]",
    "y = [TABLE[0], TABLE[1]][int(x.sum() > 0)]",
    "y = {0: 0.1, 1: 0.2}.get(x.mean(0).argmax().item(), 0.3)",
    "y = 0.3 if x.mean(0).argmax().item() in {1, 2} else 0.1",
    "y = 0.3 if x.mean(0).argmax().item() in (1, 2) else 0.1",
    "y = np.full((4,), x.mean().item())",
    "y = np.full((x.mean(0).argmax().item() + 1,), 0.5).sum()",
    "k = x.mean(0).argmax().item(); y = np.split(x, [k], axis=1)[1].sum()",
    "k = x.mean(0).argmax().item(); y = x[:, :k].sum()",
    "k = x.mean(0).argmax().item(); y = sum(0.1 for i in range(k))",
    "y = np.zeros(x.mean(0).argmax()).size",
    "y = 0.1 * len(f'{x.mean():.3f}')",
    "y = round(x.mean().item(), 2)",
    "y = round(x.mean().item() * 10)",
    "y = float(x.mean())",
    "y = x.mean().item()",
    "y = int(x.sum())",
    "y = x.mean(0).tolist()",
    "y = hash(x.mean().item()) % 7",
    "y = max(x[0, 0].item(), x[0, 1].item())",
    "y = min([v.item() for v in x[0]])",
    "y = sorted(x[0])[0]",
    "y = 0.1 if str(x.mean()).startswith('-') else 0.2",
    # branches
    "y = 0.5 if x.mean() > 0 else -0.5",
    "y = 0.0 if np.random.rand() < .1 else 1.1",
    "y = 0.0 if self.rng.random() < .3 else 1.1",
    "y = x if np.any(x > 2) else -x",
    "y = 0.1 * (x.sum() > 0 and x[0, 0] > 0)",
    "y = 0.1 if not (x > 0).all() else 0.3",
    "y = 0.1 if x.max() > 2 else 0.2 if x.max() > 1 else 0.3",
    "v = abs(x.mean()); y = sum(0.1 for i in range(5) if v > 2.0**-i)",
    # random draws
    "y = self.draw(size=4)",
    "y = self.rng.normal(size=x.shape)",
    "y = self.rng.permutation(4) * 0.1",
    "y = self.rng.choice(4, 2).sum() * 0.1",
    "b = np.empty(x.shape); self.rng.random(out=b); y = b",
    "self.rng.random(out=self.array); y = self.array",
    "b = np.arange(4.); self.rng.shuffle(b); y = b",
    "y = self.rng.spawn(1)[0].random()",
    "y = self.rng.normal(x.mean(), 0.1)",
    "y = np.random.normal()",
    "y = np.random.default_rng(3).normal(size=4)",
    "y = np.random.default_rng().normal(size=4)",
    "import random; y = random.random()",
    "y = x[self.rng.permutation(len(x))]",
    "y = self.rng.integers(3) * TABLE[self.rng.integers(8)]",
    "y = (self.rng.random(x.shape) < 0.5) * x",
    # state
    "self.n += 1; y = self.n",
    "self.list[0] += 1; y = self.list[0]",
    "self.list.append(1); y = 0.01 * len(self.list)",
    "self.dict['n'] += 1; y = 0.1 * self.dict['n']",
    "self.array[0] += 1; y = self.array",
    "self.array += 0.1; y = self.array",
    "COUNTS['calls'] += 1; y = 0.1 * COUNTS['calls']",
    "type(self).scale *= 0.9; y = self.scale",
    "self.last = x; y = 0.0",
    "y = 0.1 * next(COUNTER)",
    "y = self.options['scale']",
    "y = self.scale",
    "import os; y = float(os.environ.get('NO_SUCH', '0.1'))",
    "import time; y = time.perf_counter() % 1",
    # NumPy's functions and methods
    "y = x.copy(); y.sort()",
    "y = np.sort(x, axis=1)",
    "y = np.partition(x, 2, axis=1)",
    "y = x.copy(); y.partition(2)",
    "y = x.real",
    "y = x.imag",
    "y = sum(x.flat)",
    "y = x.nonzero()[0].sum()",
    "y = 0.1 * np.count_nonzero(x > 0)",
    "y = x.conj()",
    "y = x[x > 0].sum()",
    "y = np.where(x > 0, x, 0.1 * x)",
    "y = np.select([x > 1, x < 0], [x, -x], 0)",
    "y = np.clip(x, -0.5, 0.5)",
    "y = x.copy(); np.clip(y, -0.5, 0.5, out=y)",
    "y = np.isin(x > 0, [True]) * 0.1",
    "y = np.convolve(x[0], [0.5, 0.5], 'same')",
    "y = x.copy(); np.fill_diagonal(y, 0)",
    "y = x.copy(); np.put(y, [0, 1], 0)",
    "y = x.copy(); np.place(y, y > 0, [0.0])",
    "y = np.array([x[0, 0], x[0, 1], 0, 1], dtype=float)",
    "y = np.array([r * 2 for r in x], dtype=np.float64)",
    "y = np.stack([r * 2 for r in x])",
    "y = x[:, [0, 0, 1, 1]]",
    "y = x * np.array([True, False, True, True])",
    "y = x.copy(); y[:, np.array([True, False, True, True])] = 0",
    "y = x[:, np.array([True, False, True, False])].sum()",
    "y = np.einsum('ij,ij->i', x, x)[:, None]",
    "y = np.linalg.norm(x, axis=1, keepdims=True)",
    "y = np.cumsum(x, axis=1)",
    "y = np.diff(x, axis=1, prepend=0)",
    "y = np.pad(x, ((0, 0), (1, 0)))[:, :4]",
    "y = np.roll(x, 1, axis=1)",
    "y = np.outer(x.mean(1), np.ones(4))",
    "y = np.median(x, axis=0)",
    "y = np.percentile(x, 30, axis=0)",
    "y = np.unique(x.argmax(1)).size * 0.1",
    "y = np.histogram(x, 4)[0] * 0.01",
    "y = np.bincount(x.argmax(1), minlength=4) * 0.01",
    "y = np.searchsorted(np.sort(x[:, 0]), 0.0) * 0.01",
    "y = np.apply_along_axis(np.sum, 0, x)",
    "y = np.vectorize(lambda v: v * 2)(x)",
    "y = np.interp(x, [0, 1], [0, 1])",
    "y = np.nan_to_num(x)",
    "y = np.tile(x.mean(0), (len(x), 1))",
    "y = np.repeat(x[:, :2], 2, axis=1)",
    "y = np.triu(x.T @ x)[0]",
    "y = np.linalg.solve(x.T @ x + np.eye(4), np.ones(4))",
    "y = np.fft.rfft(x, axis=1).real.sum()",
    "y = x @ np.ones((4, 4)); y[0] = 1; y[:, ::2] *= 0.5",
    "y = x.T.copy(); y[0] += 1; y = y.T",
    "v = np.zeros_like(x); w = v[:, 1:3]; w += x[:, :2]; y = v",
    "v = np.empty(x.shape); v[:, 0] = x[:, 1]; v[:, 1:] = 0; y = v",
    "x -= 0.1; y = 0.0",
    "y = x.astype(int) * 0.1",
    "y = (x * 3).astype(np.int64) // (x * 3).astype(np.int64).max()",
    "y = np.floor(x * 3) % 2",
    "y = (x > 0) & (x < 1)",
    "y = np.maximum.accumulate(x, axis=1)",
    "y = np.ldexp(x, 2)",
    "y = np.array(x, copy=True)",
    "y = np.ascontiguousarray(x.T).T",
    "y = memoryview(x)[0, 0]",
    "y = np.trapezoid(x, axis=1)[:, None] if hasattr(np, 'trapezoid') else 0",
    "y = np.lib.stride_tricks.sliding_window_view(x, 2, axis=1).sum()",
]
COUNTER = itertools.count()


class Rate(Optimizer):
    """Reads `learning_rate` itself."""

    def update(self, value, grad, state):
        value -= self.learning_rate * grad


class Counting(Optimizer):
    count = 0

    def update(self, value, grad, state):
        self.count += 1
        value -= 0.01 * self.count * grad


class Momentum(Optimizer):
    slots = ("v",)

    def update(self, value, grad, state):
        state["v"] *= 0.9
        state["v"] += grad
        value -= self.rate / (1 + 0.1 * self.steps) * state["v"]


class Tabled(Optimizer):
    rates = (0.1, 0.05, 0.01, 0.001)

    def update(self, value, grad, state):
        value -= self.rates[min(self.steps // 3, 3)] * grad


class CountingLoss(Loss):
    calls = 0

    def terms(self, prediction, target):
        self.calls += 1
        error = prediction - target
        return self.calls * error**2, self.calls * 2 * error


class BranchLoss(Loss):
    def terms(self, prediction, target):
        error = prediction - target
        c = 1.0 if np.abs(error).max() < 2 else 0.5
        return c * error**2, 2 * c * error


class Growing(Regularizer):
    def __init__(self):
        self.n = 0

    def value(self, weight):
        self.n += 1
        return self.n * 0.01 * (weight**2).sum().item()

    def derivative(self, weight):
        return 0.02 * self.n * weight


class Do(Callback):
    """Does something at the end of each epoch."""

    def __init__(self, action):
        self.action = action

    def on_epoch_end(self, trainer, epoch, logs):
        self.action(trainer, epoch)


def new_optimizer(trainer, epoch):
    trainer.optimizer = SGD(learning_rate=0.3 / epoch)


def set_rate(trainer, epoch):
    trainer.optimizer.learning_rate = 0.2 / epoch


def set_options(trainer, epoch):
    trainer.model[1].options["scale"] = float(epoch)


def set_class(trainer, epoch):
    type(trainer.model[1]).scale = float(epoch)


def set_frozen(trainer, epoch):
    trainer.model[0].trainable = epoch % 2 == 0


def set_loss(trainer, epoch):
    trainer.loss.scale = float(epoch)


def scale_weights(trainer, epoch):
    trainer.model[0].weight.value *= 0.9


def clear_slots(trainer, epoch):
    trainer.optimizer.state.clear()


def set_regularizer(trainer, epoch):
    trainer.model[0].weight.regularizer = Growing()


def outcome(
    engine,
    layer,
    *,
    optimizer=None,
    loss="mse",
    action=None,
    regularizer=None,
    metrics=(),
    data=None,
    **options,
):
    """Return what a fit leaves, or the error that ended it."""
    OPTIONS["scale"], COUNTS["calls"] = 1.0, 0
    np.random.seed(0)
    layers = [Dense(4, weight_regularizer=regularizer), *([layer] if layer else []), Dense(2)]
    model = Sequential(layers, input_shape=(3,), rng=0)
    optimizer = optimizer or SGD(learning_rate=0.02)
    model.compile(optimizer=optimizer, loss=loss, metrics=list(metrics))
    callbacks = [Do(action)] if action else []
    options = {"batch_size": 8, "epochs": 4, "callbacks": callbacks, "verbose": 0, **options}
    data = (X.copy(), Y.copy()) if data is None else (data(model),)
    try:
        model.fit(*data, engine=engine, **options)
    except Exception as error:
        return error
    return np.concatenate([model.parameters.value, *model.history.values()])


def check(make, make_options=dict, **options) -> None:
    """Compare both engines: the same numbers, the same error, or a refusal that says where."""
    with np.errstate(all="ignore"):
        expected = outcome("numpy", make and make(), **copy.deepcopy(options), **make_options())
        found = outcome("jax", make and make(), **options, **make_options())
    if isinstance(found, NotCompilableError):
        named = (", line ", "probe", "its code changes", "self.", "step differs")
        assert any(part in str(found) for part in named), found
        return
    if isinstance(expected, Exception):
        assert type(found) is type(expected), f"{expected!r}, {found!r}"
        return
    assert not isinstance(found, Exception), repr(found)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-11)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("body", BODIES)
def test_layers(body: str) -> None:
    check(lambda: layer_of(body))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": Rate(learning_rate=0.05), "action": set_rate},
        {"optimizer": Rate(learning_rate=0.05)},
        {"optimizer": Counting(learning_rate=0.05)},
        {"optimizer": Momentum(learning_rate=0.05)},
        {"optimizer": Tabled(learning_rate=0.05)},
        {"loss": CountingLoss()},
        {"loss": BranchLoss()},
        {"regularizer": Growing()},
        *({"action": action} for action in (new_optimizer, set_rate, set_frozen, set_loss)),
        {"action": scale_weights},
        {"action": clear_slots, "optimizer": Adam()},
        {"action": set_regularizer},
    ],
    ids=lambda options: "-".join(
        getattr(v, "__name__", type(v).__name__) for v in options.values()
    ),
)
def test_optimizers_losses_and_callbacks(options) -> None:
    check(None, **options)


@pytest.mark.parametrize(
    ("body", "action"), [("y = self.options['scale']", set_options), ("y = self.scale", set_class)]
)
def test_a_callback_changes_what_a_layer_reads(body: str, action) -> None:
    check(lambda: layer_of(body), action=action)


@pytest.mark.parametrize("seed", range(4))
def test_no_false_alarm_where_a_gradient_is_rounding(seed: int) -> None:
    from minigrad import BatchNorm, Dropout, ReLU

    layers = [Dense(16), BatchNorm(), ReLU(), Dropout(0.2), Dense(2)]
    model = Sequential(layers, input_shape=(3,), rng=seed, dtype="float32")
    model.compile(optimizer=Adam(learning_rate=0.01), loss="mse")
    model.fit(X, Y, epochs=5, batch_size=8, verbose=0, engine="jax")
    assert np.isfinite(model.parameters.value).all()


def part_of(base: type, body: str):
    """Return a loss, an optimizer or a regularizer whose numbers have a factor c from some lines.

    e is the error, the gradient or the weight.
    """
    lines = "\n".join(f"        {line}" for line in body.split("; "))
    source = (
        f"class Probe({base.__name__}):\n"
        "    slots = ('v',)\n"
        "    n, list, table = 0, [0.0], np.linspace(0.01, 0.1, 8)\n"
        "    def factor(self, e, state=None):\n"
        f"{lines}\n"
        "        return c\n"
    )
    source += {
        "Loss": (
            "    def terms(self, prediction, target):\n"
            "        e = prediction - target\n"
            "        c = self.factor(e)\n"
            "        return c * e**2, 2 * c * e\n"
        ),
        "Regularizer": (
            "    def value(self, weight):\n"
            "        return (self.factor(weight) * weight**2).sum().item()\n"
            "    def derivative(self, weight):\n"
            "        return 2 * self.factor(weight) * weight\n"
        ),
        "Optimizer": (
            "    def update(self, value, grad, state):\n"
            "        value -= 0.1 * self.factor(grad, state) * grad\n"
        ),
    }[base.__name__]
    scope = {}
    exec(compile(source, "probe.py", "exec"), globals(), scope)
    kind = scope["Probe"]
    options = {Loss: {}, Regularizer: {"strength": 0.1}, Optimizer: {"learning_rate": 0.1}}[base]
    return kind(**options)


FACTORS = [
    "c = 0.5",
    "c = OPTIONS['scale']",
    "self.n += 1; c = 0.1 * self.n",
    "self.list[0] += 0.1; c = self.list[0]",
    "COUNTS['calls'] += 1; c = 0.1 * COUNTS['calls']",
    "c = 0.1 * next(COUNTER)",
    "c = np.random.rand()",
    "c = RNG.random()",
    "c = 0.1 if np.abs(e).mean() > 0.3 else 0.2",
    "c = np.where(e > 0, 0.1, 0.2)",
    "c = 0.1 * float(np.abs(e).max())",
    "c = 0.1 * np.abs(e).max().item()",
    "c = self.table[np.abs(e).sum(0).argmax()]",
    "c = TABLE[np.abs(e).reshape(-1).argmax() % 8, 0]",
    "c = 0.1 * np.ones_like(e); c[np.abs(e) > 0.5] = 0.05",
    "c = np.zeros(e.shape); c.reshape(-1)[np.abs(e).argmax()] = 0.1",
    "c = 0.1 * (np.abs(e) >= np.sort(np.abs(e).reshape(-1))[-2])",
    "c = 0.1 / (1 + np.linalg.norm(e))",
    "c = 0.1 * len(e)",
    "c = 0.1 * round(np.abs(e).max().item())",
    "c = {True: 0.1, False: 0.2}[bool(e.sum() > 0)]",
    "c = np.clip(np.abs(e), 0.1, 0.5, out=np.empty(e.shape))",
    "import time; c = 0.1 + time.perf_counter() % 1",
]
OF_OPTIMIZERS = [
    "c = self.rate",
    "c = self.learning_rate * 0.9**self.steps",
    "c = self.rate * self.table[min(self.steps, 7)]",
    "c = self.rate if self.steps < 10 else 0.1 * self.rate",
    "c = 1.0 if self.steps % 5 == 0 else 0.0",
    "state['v'] *= 0.9; state['v'] += e**2; c = 0.1 / (1 + np.sqrt(state['v']))",
    "state['v'] = 0.9 * state['v'] + e; c = 0.1 + 0 * state['v']",
    "state['v'][...] = np.maximum(state['v'], np.abs(e)); c = 0.1 / (1 + state['v'])",
    "e *= 0.5; c = 0.1",
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("body", FACTORS)
@pytest.mark.parametrize("kind", ["loss", "regularizer", "optimizer"])
def test_parts(kind: str, body: str) -> None:
    base = {"loss": Loss, "regularizer": Regularizer, "optimizer": Optimizer}[kind]
    check_parts({kind: lambda: part_of(base, body)})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("body", OF_OPTIMIZERS)
def test_optimizers(body: str) -> None:
    check_parts({"optimizer": lambda: part_of(Optimizer, body)})


def check_parts(made, **options) -> None:
    """Compare both engines, each with parts of its own."""
    check(None, make_options=lambda: {**{name: make() for name, make in made.items()}, **options})


class Data(Callback):
    """Changes data that it was given, at the end of each epoch or of each step."""

    def __init__(self, change, *, each_step=False):
        self.change, self.each_step = change, each_step

    def on_epoch_end(self, trainer, epoch, logs):
        if not self.each_step:
            self.change(epoch)

    def on_update_end(self, trainer):
        if self.each_step:
            self.change(1)


def fitted(engine, change, *, each_step=False, **options):
    """Return what a fit leaves whose data change."""
    x, y = X.copy(), Y.copy()
    weight = np.ones(len(x))
    model = Sequential([Dense(4, "tanh"), Dense(2)], input_shape=(3,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1), loss="mse", metrics=["mae"])
    rng = np.random.default_rng(1)
    callback = Data(lambda epoch: change(x, y, weight, rng), each_step=each_step)
    options = {"batch_size": 8, "epochs": 4, "verbose": 0, "callbacks": [callback], **options}
    model.fit(x, y, sample_weight=weight, engine=engine, **options)
    return np.concatenate([model.parameters.value, *model.history.values()])


def scaled(x, y, weight, rng):
    x *= 0.9


def noisy(x, y, weight, rng):
    y += rng.normal(0, 0.1, y.shape)


def reweighted(x, y, weight, rng):
    weight[::2] *= 0.5


def shuffled(x, y, weight, rng):
    order = rng.permutation(len(x))
    x[...], y[...] = x[order], y[order]


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"batch_size": 20}], ids=str)
@pytest.mark.parametrize("change", [scaled, noisy, reweighted, shuffled])
def test_callbacks_that_change_data(change, options) -> None:
    found, expected = (fitted(engine, change, **options) for engine in ("jax", "numpy"))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def fixed(model):
    return [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 48, 8)]


def uneven(model):
    return [(X[i : i + n], Y[i : i + n]) for i, n in [(0, 8), (8, 3), (11, 8), (19, 1), (20, 8)]]


def augmented(model):
    rng = np.random.default_rng(0)
    return lambda: ((x + rng.normal(0, 0.1, x.shape), y) for x, y in fixed(model))


def reused(model):
    memory = np.empty((8, 3))

    def batches():
        for x, y in fixed(model):
            memory[...] = x
            yield memory, y

    return batches


def hard_rows(model):
    def batches():
        for x, y in fixed(model):
            error = np.abs(model.predict(x) - y).sum(axis=1)
            rows = np.argsort(error)[-4:]
            yield x[rows], y[rows]

    return batches


def by_steps(model):
    return lambda: ((x / (1 + model.optimizer.steps), y) for x, y in fixed(model))


def that_sets_a_rate(model):
    def batches():
        for i, (x, y) in enumerate(fixed(model)):
            model.optimizer.learning_rate = 0.1 / (1 + i)
            yield x, y

    return batches


def that_scales_weights(model):
    def batches():
        for x, y in fixed(model):
            model.parameters.value *= 0.99
            yield x, y

    return batches


def that_freezes(model):
    def batches():
        for i, (x, y) in enumerate(fixed(model)):
            model[0].trainable = i % 2 == 0
            yield x, y

    return batches


def weighted(model):
    return [(x, y, np.linspace(0, 1, 8)) for x, y in fixed(model)]


@pytest.mark.parametrize(
    "data",
    [fixed, uneven, augmented, reused, hard_rows, by_steps, that_sets_a_rate, that_scales_weights,
     that_freezes, weighted],
)  # fmt: skip
def test_streams(data) -> None:
    check(None, data=data, batch_size=32)


def worst(target, prediction):
    return np.abs(prediction - target).max().item()


def counted(target, prediction):
    COUNTS["calls"] += 1
    return float(COUNTS["calls"])


def drawn(target, prediction):
    return float((prediction[np.random.permutation(len(target))] * target).mean())


def into_target(target, prediction):
    target -= prediction
    return float(np.abs(target).mean())


def into_prediction(target, prediction):
    prediction -= target
    return float(np.abs(prediction).mean())


@pytest.mark.parametrize("metric", [worst, counted, drawn, into_target, into_prediction])
def test_metrics(metric) -> None:
    check(None, metrics=[metric], shuffle=False)


def stop_at_2(trainer, epoch):
    trainer.stop = epoch == 2


def clip_weights(trainer, epoch):
    for p in trainer.model.parameters:
        p.value.clip(-0.2, 0.2, out=p.value)


def set_strength(trainer, epoch):
    trainer.model[0].weight.regularizer.strength = 0.1 * epoch


def set_momentum(trainer, epoch):
    trainer.optimizer.momentum = 0.1 * epoch


def zero_slots(trainer, epoch):
    for vector in trainer.optimizer.state.values():
        vector[...] = 0


def set_steps(trainer, epoch):
    trainer.optimizer.steps = 0


def set_reduction(trainer, epoch):
    trainer.loss.reduction = "sum"


def set_attribute(trainer, epoch):
    trainer.model[1].extra = 0.1 * epoch


def share_weight(trainer, epoch):
    trainer.model[0].bias.value[...] = trainer.model[2].bias.value.sum()


@pytest.mark.parametrize(
    "options",
    [
        {"action": stop_at_2},
        {"action": clip_weights},
        {"action": set_strength, "regularizer": L2(0.1)},
        {"action": set_momentum, "optimizer": SGD(learning_rate=0.02, momentum=0.5)},
        {"action": zero_slots, "optimizer": Adam()},
        {"action": set_steps, "optimizer": Adam()},
        {"action": set_reduction},
        {"action": lambda trainer, epoch: trainer.model.predict(X)},
        {"action": lambda trainer, epoch: trainer.model.save(OPTIONS["path"])},
    ],
)
def test_callbacks(options, tmp_path) -> None:
    OPTIONS["path"] = tmp_path / "net.safetensors"
    try:
        check(None, **options)
    finally:
        del OPTIONS["path"]


@pytest.mark.parametrize(
    ("body", "action"),
    [
        ("y = getattr(self, 'extra', 0.0)", set_attribute),
        ("y = self.extra if hasattr(self, 'extra') else x * 0", set_attribute),
        ("y = 0.1 * len(vars(self))", set_attribute),
    ],
)
def test_a_callback_changes_a_layer(body, action) -> None:
    check(lambda: layer_of(body), action=action)


CHANGES = {
    "nothing": lambda model: None,
    "option": lambda model: OPTIONS.update(scale=3.0),
    "class": lambda model: setattr(type(model[1]), "scale", 3.0),
    "attribute": lambda model: setattr(model[1], "n", 5),
    "array": lambda model: model[1].array.__iadd__(1),
    "dict": lambda model: model[1].dict.update(n=4),
    "weight": lambda model: model[0].weight.value.__imul__(2),
    "table": lambda model: TABLE.__imul__(1.1),
}
OF_PREDICTIONS = [
    "y = self.options['scale']",
    "y = self.scale * self.n + self.array + self.dict['n']",
    "y = TABLE[x.argmax(1)]",
    "self.n += 1; y = self.n",
    "self.array += 1; y = self.array",
    "y = self.rng.normal(size=4)",
    "y = np.random.normal(size=4)",
    "y = x.mean(0)",
    "y = x - x[0]",
    "y = 1.0 if x.sum() > 0 else 2.0",
    "y = float(x.sum())",
    "y = np.argsort(x, 1) * 0.1",
    "y = training * 1.0",
    "y = 0.1 * len(x)",
]


def build_and_run(body: str, run) -> list:
    """Return what `run` gives for a model with such a layer, before and after each change."""
    OPTIONS["scale"], COUNTS["calls"] = 1.0, 0
    np.random.seed(0)
    TABLE[...] = np.linspace(-1, 1, 32).reshape(8, 4)
    layer = layer_of(body)
    model = Sequential([Dense(4), layer, Dense(2)], input_shape=(3,), rng=0)
    model.compile(optimizer=SGD(), loss="mse")
    found = []
    reads = "self" in body or "TABLE" in body
    for name in CHANGES if reads else ["nothing", "weight"]:
        CHANGES[name](model)
        found += [run(model), run(model)]
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("body", OF_PREDICTIONS)
@pytest.mark.parametrize("what", ["predict", "objective"])
def test_predict_and_objective(what: str, body: str) -> None:
    def run(engine):
        def of(model):
            if what == "predict":
                return [model.predict(x, engine=engine) for x in (X, X[:5], -X[:3])]
            return model.objective(X, Y, engine=engine)(np.linspace(-1, 1, model.parameters.size))

        return build_and_run(body, of)

    expected = run("numpy")
    try:
        found = run("jax")
    except NotCompilableError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert any(part in said for part in (", line ", "probe", "its code changes", "differs"))
        return
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("epochs", [3, 9])
def test_a_difference_that_appears_later_ends_the_fit_at_a_check(epochs: int, monkeypatch) -> None:
    """What a layer reads in the environment is compared by nobody before."""
    steps = []

    class Watch(Callback):
        def on_update_end(self, trainer):
            steps.append(trainer.model.parameters.value.copy())

    def fit(engine, callbacks):
        monkeypatch.setenv("PROBE_SCALE", "1.0")
        model = Sequential([Dense(4), layer_of(body), Dense(2)], input_shape=(3,), rng=0)
        model.compile(optimizer=SGD(learning_rate=0.02), loss="mse")
        options = {"batch_size": 8, "epochs": epochs, "verbose": 0}
        try:
            model.fit(X, Y, engine=engine, callbacks=callbacks, **options)
        except NotCompilableError as error:
            return model, str(error)
        return model, ""

    def change(trainer, epoch):
        if epoch == 2:
            monkeypatch.setenv("PROBE_SCALE", "1.5")

    body = "import os; y = x * float(os.environ['PROBE_SCALE'])"
    expected, _ = fit("numpy", [Watch(), Do(change)])
    found, said = fit("jax", [Do(change)])
    assert "probe.py, line" in said
    assert "step differs" in said
    assert 0 < found.optimizer.steps <= 12
    assert found.history.epochs == found.optimizer.steps // 6
    assert f"epoch {found.history.epochs}" in said
    np.testing.assert_allclose(found.parameters.value, steps[found.optimizer.steps - 1], rtol=1e-9)
    losses = expected.history["loss"][: found.history.epochs]
    np.testing.assert_allclose(found.history["loss"], losses, rtol=1e-9)
