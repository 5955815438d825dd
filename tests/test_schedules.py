"""Learning rate schedules and ReduceOnPlateau."""

import copy
import json
import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import minigrad
from helpers import torch_script
from minigrad import (
    SGD,
    Adam,
    CosineDecay,
    Dense,
    ExponentialDecay,
    Parameter,
    ReduceOnPlateau,
    Schedule,
    Sequential,
    StepDecay,
    Warmup,
    register,
)
from minigrad.util.serialization import from_config, to_config

REFERENCE = Path(__file__).with_name("reference") / "optimizers.json"
EXAMPLES = [
    StepDecay(initial_learning_rate=0.5, decay_rate=0.3, decay_steps=3),
    ExponentialDecay(initial_learning_rate=0.5, decay_rate=0.9),
    ExponentialDecay(initial_learning_rate=0.5, decay_rate=0.9, decay_steps=4),
    CosineDecay(initial_learning_rate=0.5, decay_steps=7),
    CosineDecay(initial_learning_rate=0.5, decay_steps=7, warmup_steps=3, final_learning_rate=0.1),
    Warmup(0.5, warmup_steps=3),
    Warmup(ExponentialDecay(initial_learning_rate=0.5, decay_rate=0.9), warmup_steps=2),
]
X, Y = np.linspace(0, 1, 12)[:, None], np.linspace(0, 1, 12)


def close(ours, theirs) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-15)


def make(name: str, options) -> Schedule:
    if name == "Warmup":
        return Warmup(0.5, **options)
    return getattr(minigrad, name)(initial_learning_rate=0.5, **options)


def test_warmup_before_a_schedule() -> None:
    cosine = CosineDecay(initial_learning_rate=0.5, decay_steps=7)
    both = CosineDecay(initial_learning_rate=0.5, decay_steps=7, warmup_steps=3)
    warm = Warmup(cosine, warmup_steps=3)
    assert [warm(step) for step in range(12)] == [both(step) for step in range(12)]
    assert warm.initial_learning_rate == Warmup(0.5, warmup_steps=1).initial_learning_rate == 0.5


@pytest.mark.parametrize(
    "case", json.loads(REFERENCE.read_text())["schedules"], ids=lambda c: c["name"]
)
def test_recorded_pytorch_results(case) -> None:
    schedule = make(case["name"], case["options"])
    close([schedule(step) for step in range(12)], case["rates"])


def test_installed_pytorch() -> None:
    theirs = torch_script("optimizers")
    for name, options, schedulers, changes in theirs.SCHEDULES:
        schedule = make(name, options)
        rates = theirs.rates(schedulers, changes, 0.5, 12)
        close([schedule(step) for step in range(12)], rates)


def test_formulas() -> None:
    step, one, four, cosine, warm = EXAMPLES[:5]
    for t in range(15):
        close(step(t), 0.5 * 0.3 ** math.floor(t / 3))
        close(one(t), 0.5 * 0.9**t)
        close(four(t), 0.5 * 0.9 ** (t / 4))
        close(cosine(t), 0.25 * (1 + math.cos(math.pi * t / 7)) if t < 7 else 0)
    close([warm(t) for t in range(4)], [0.125, 0.25, 0.375, 0.5])
    close([warm(t + 3) for t in range(7)], [0.1 + 0.8 * cosine(t) for t in range(7)])
    assert [warm(t) for t in (10, 11, 1000)] == [0.1] * 3


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_config_and_repr_round_trip(schedule: Schedule) -> None:
    optimizer = Adam(learning_rate=schedule)
    config = json.loads(json.dumps(to_config(optimizer, "optimizer")))
    again = from_config(config)
    by_repr = eval(repr(optimizer), vars(minigrad))
    for twin in (again, by_repr, copy.deepcopy(optimizer)):
        assert repr(twin) == repr(optimizer)
        assert [twin.learning_rate(t) for t in range(9)] == [schedule(t) for t in range(9)]


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_optimizer_uses_the_schedule(schedule: Schedule, momentum: float) -> None:
    scheduled, by_hand = Parameter(np.zeros(3)), Parameter(np.zeros(3))
    optimizer = SGD(learning_rate=schedule, momentum=momentum)
    plain = SGD(learning_rate=1.0, momentum=momentum)
    for t in range(9):
        scheduled.grad = by_hand.grad = np.array([1.0, t, -2.0])
        assert optimizer.rate == schedule(t)
        optimizer.step([scheduled])
        if schedule(t):
            plain.learning_rate = schedule(t)
            plain.step([by_hand])
        np.testing.assert_array_equal(scheduled.value, by_hand.value, strict=True)
    assert optimizer.learning_rate is schedule


def test_schedule_continues_over_several_fits() -> None:
    model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    schedule = ExponentialDecay(initial_learning_rate=0.1, decay_rate=0.5)
    model.compile(optimizer=SGD(learning_rate=schedule), loss="mse")
    optimizer = model.optimizer
    for epochs in (2, 1):
        model.fit(X, Y, epochs=epochs, batch_size=4, verbose=0)
    assert optimizer.steps == 9
    assert optimizer.rate == 0.1 * 0.5**9
    optimizer.learning_rate = 0.25
    assert optimizer.rate == 0.25
    optimizer.learning_rate = StepDecay(initial_learning_rate=8, decay_rate=0.5, decay_steps=3)
    assert optimizer.rate == 1


def test_custom_schedule() -> None:
    @register
    class InverseRoot(Schedule):
        def __call__(self, step: int) -> float:
            return self.initial_learning_rate / np.sqrt(step + 1)

    optimizer = SGD(learning_rate=InverseRoot(initial_learning_rate=0.5))
    optimizer.steps = 3
    assert optimizer.rate == 0.25
    assert type(optimizer.rate) is float
    again = from_config(to_config(optimizer, "optimizer"))
    assert repr(again) == "SGD(learning_rate=InverseRoot(0.5))"
    with pytest.raises(NotImplementedError, match="Schedule must define __call__"):
        _ = SGD(learning_rate=Schedule(initial_learning_rate=0.5)).rate


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: StepDecay(initial_learning_rate=0, decay_rate=0.5, decay_steps=1),
            ValueError,
            "StepDecay expects initial_learning_rate > 0, got 0",
        ),
        (
            lambda: Warmup(0, warmup_steps=1),
            ValueError,
            "Warmup expects learning_rate > 0, got 0",
        ),
        (
            lambda: Warmup(0.1, warmup_steps=0),
            ValueError,
            "Warmup expects a whole number warmup_steps >= 1, got 0",
        ),
        (
            lambda: StepDecay(initial_learning_rate=1, decay_rate=0.5, decay_steps=0),
            ValueError,
            "StepDecay expects a whole number decay_steps >= 1, got 0",
        ),
        (
            lambda: ExponentialDecay(initial_learning_rate=1, decay_rate=0),
            ValueError,
            "ExponentialDecay expects decay_rate > 0, got 0",
        ),
        (
            lambda: CosineDecay(initial_learning_rate=1, decay_steps=5, warmup_steps=-1),
            ValueError,
            "CosineDecay expects a whole number warmup_steps >= 0, got -1",
        ),
        (
            lambda: CosineDecay(initial_learning_rate=1, decay_steps=5, final_learning_rate=-1),
            ValueError,
            "CosineDecay expects final_learning_rate >= 0, got -1",
        ),
        (
            lambda: ReduceOnPlateau(factor=1),
            ValueError,
            "ReduceOnPlateau expects 0 < factor < 1, got 1",
        ),
        (
            lambda: ReduceOnPlateau(min_delta=-1),
            ValueError,
            "ReduceOnPlateau expects min_delta >= 0, got -1",
        ),
        (
            lambda: ReduceOnPlateau(patience=0),
            ValueError,
            "ReduceOnPlateau expects a whole number patience >= 1, got 0",
        ),
    ],
)
def test_options_out_of_range(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(message)


class FakeTrainer:
    """A trainer for ReduceOnPlateau, with given losses."""

    reported = ("loss", "val_loss")
    metrics: ClassVar = {}

    def __init__(self, rate: float = 1.0) -> None:
        self.optimizer = SGD(learning_rate=rate)
        self.history: dict[str, list[float]] = {}
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def rates(self, plateau: ReduceOnPlateau, losses: list[float]) -> list[float]:
        """Return the learning rate after each epoch."""
        plateau.on_train_begin(self)
        seen = []
        for epoch, loss in enumerate(losses, start=1):
            plateau.on_epoch_end(self, epoch, {plateau.monitor: loss})
            seen.append(self.optimizer.rate)
        return seen


LOSSES = [5.0, 4.0, 4.5, 3.95, 4.0, 3.0, 3.5, 3.5, 3.5, 2.95, 2.95, math.nan, 2.0]


def test_plateau_reduces_the_learning_rate() -> None:
    plateau = ReduceOnPlateau(factor=0.5, patience=2, min_delta=0.1)
    rates = [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625]
    assert FakeTrainer().rates(plateau, LOSSES) == rates
    above = ReduceOnPlateau(factor=0.5, patience=2, min_delta=0.1, mode="max")
    assert FakeTrainer().rates(above, [-loss for loss in LOSSES]) == rates
    least = ReduceOnPlateau(factor=0.5, patience=2, min_delta=0.1, min_learning_rate=0.2)
    assert FakeTrainer().rates(least, LOSSES) == [max(rate, 0.2) for rate in rates]
    assert FakeTrainer(rate=0.1).rates(least, LOSSES) == [0.1] * len(LOSSES)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("patience", [1, 2, 3])
def test_plateau_is_pytorchs_with_patience_minus_1(mode, patience: int) -> None:
    torch = pytest.importorskip("torch")
    losses = np.random.default_rng(patience).normal(size=60).cumsum().round(1).tolist()
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        theirs, mode, 0.5, patience - 1, threshold=0.25, threshold_mode="abs"
    )
    rates = []
    for loss in losses:
        scheduler.step(loss)
        rates.append(theirs.param_groups[0]["lr"])
    ours = ReduceOnPlateau(factor=0.5, patience=patience, min_delta=0.25, mode=mode)
    assert FakeTrainer().rates(ours, losses)[:20] == rates[:20]
    assert rates[20] < 1


def test_plateau_continues_from_the_history() -> None:
    whole, first, second = (ReduceOnPlateau(factor=0.5, patience=3) for _ in range(3))
    through = FakeTrainer().rates(whole, LOSSES)
    run = FakeTrainer()
    rates = run.rates(first, LOSSES[:7])
    run.history = {"val_loss": LOSSES[:7]}
    assert rates + run.rates(second, LOSSES[7:]) == through


def test_plateau_in_fit() -> None:
    model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    model.compile(optimizer=SGD(learning_rate=1e-9), loss="mse")
    plateau = ReduceOnPlateau(monitor="loss", factor=0.5, patience=2)
    for epochs in (2, 2, 3):
        model.fit(X, Y, epochs=epochs, callbacks=[plateau], verbose=0)
    assert model.optimizer.learning_rate == 1e-9 / 8


def test_plateau_reports_reductions() -> None:
    run = FakeTrainer()
    run.rates(ReduceOnPlateau(factor=0.5, patience=2, min_learning_rate=0.3), [1.0] * 9)
    assert run.said == [
        "learning rate 0.5 after epoch 3: no better val_loss in 2 epochs",
        "learning rate 0.3 after epoch 5: no better val_loss in 2 epochs",
    ]
    at_once = FakeTrainer()
    at_once.rates(ReduceOnPlateau(patience=1), [math.nan])
    assert at_once.said == ["learning rate 0.1 after epoch 1: no better val_loss in 1 epoch"]


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (2, 4)])
def test_verbose_0_silences_plateau(verbose, lines: int, capsys) -> None:
    model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    model.compile(optimizer=SGD(learning_rate=1e-9), loss="mse")
    plateau = ReduceOnPlateau(monitor="loss", patience=2)
    model.fit(X, Y, epochs=3, callbacks=[plateau], verbose=verbose)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == lines
    assert said[3:] == ["learning rate 1e-10 after epoch 3: no better loss in 2 epochs"][:lines]


def test_plateau_with_wrong_monitor() -> None:
    model = Sequential([Dense(1)], input_shape=(1,), rng=0)
    model.compile(optimizer="sgd", loss="mse")
    with pytest.raises(ValueError, match="ReduceOnPlateau monitors 'val_loss', which isn't"):
        model.fit(X, Y, callbacks=[ReduceOnPlateau()], verbose=0)
