"""Unknown names and options: the error suggests the name that was meant."""

import inspect
import pickle
from functools import partial

import numpy as np
import pytest

import minigrad
from helpers import says
from minigrad import (
    L2,
    SGD,
    Adam,
    CosineDecay,
    Dense,
    Dropout,
    EarlyStopping,
    History,
    Input,
    Layer,
    LayerNorm,
    LeakyReLU,
    Model,
    ModelCheckpoint,
    MSELoss,
    Normal,
    Parameter,
    ReduceOnPlateau,
    Reshape,
    RMSprop,
    Sequential,
    StepDecay,
    Tanh,
)
from minigrad.callbacks.base import Callback
from minigrad.metrics.named import METRICS
from minigrad.util.config import Configurable, as_object, registered
from minigrad.util.lookup import guess
from minigrad.util.options import check_bool, check_fraction, check_int, check_number
from minigrad.util.spelling import snake_case
from minigrad.util.synonyms import SYNONYMS


def test_every_synonym_leads_to_a_known_name() -> None:
    classes = [c for c in registered(Configurable).values() if c.__module__.startswith("minigrad.")]
    classes += [
        c for c in vars(minigrad).values() if isinstance(c, type) and issubclass(c, Callback)
    ]
    known = {name for cls in [*classes, Sequential] for name in inspect.signature(cls).parameters}
    known |= {"val_accuracy", "top_5_accuracy", *METRICS, *map(snake_case, minigrad.__all__)}
    known |= {*vars(Callback), *vars(Parameter), *inspect.signature(MSELoss).parameters}
    known |= {
        *inspect.signature(Sequential.fit).parameters,
        *inspect.signature(Sequential.compile).parameters,
        *inspect.signature(minigrad.pad_sequences).parameters,
    }
    for name, meant in SYNONYMS.items():
        for other in meant.split():
            assert {other, f"{other}_loss"} & known, (name, other)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("xavier_uniform", "glorot_uniform"),
        ("glorot", "glorot_uniform' or 'glorot_normal"),
        ("kaiming_normal", "he_normal"),
        ("GlorotUniform", "glorot_uniform"),
        ("glorot_unifrom", "glorot_uniform"),
    ],
)
def test_initializers_of_other_libraries(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"weight_initializer='{name}' .*mean '{meant}'.* Known"):
        Dense(3, weight_initializer=name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MeanSquaredError", "mse"),
        ("MSELoss", "mse"),
        ("SmoothL1Loss", "huber"),
        ("nll", "cross_entropy"),
        ("binary_crossentropy", "bce' or 'bce_with_logits"),
    ],
)
def test_losses_of_other_libraries(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"loss='{name}' .*did you mean '{meant}'\?"):
        Sequential([Dense(1)]).compile(optimizer="sgd", loss=name)


@pytest.mark.parametrize(
    ("make", "option", "meant"),
    [
        (lambda: Dense(3, kernel_regularizer=L2(0.1)), "kernel_regularizer", "weight_regularizer"),
        (lambda: Dense(3, kernel_initializer="zeros"), "kernel_initializer", "weight_initializer"),
        (lambda: Dense(out_features=3), "out_features", "units"),
        (lambda: LeakyReLU(negative_slope=0.1), "negative_slope", "slope"),
        (lambda: LeakyReLU(alpha=0.1), "alpha", "slope"),
        (lambda: Dropout(p=0.1), "p", "rate"),
        (lambda: LayerNorm(eps=1e-3), "eps", "epsilon"),
        (lambda: Reshape(target_shape=(2,)), "target_shape", "shape"),
        (lambda: Normal(stddev=0.1), "stddev", "scale"),
        (lambda: L2(l2=0.1), "l2", "strength"),
        (lambda: Sequential([Dense(1)], seed=1), "seed", "rng"),
        (lambda: SGD(lr=0.1), "lr", "learning_rate"),
        (lambda: Adam(betas=(0.9, 0.99)), "betas", "beta_1' or 'beta_2"),
        (lambda: RMSprop(alpha=0.9), "alpha", "rho"),
        (lambda: CosineDecay(learning_rate=0.1), "learning_rate", "initial_learning_rate"),
        (lambda: CosineDecay(T_max=10), "T_max", "decay_steps"),
        (lambda: StepDecay(step_size=10), "step_size", "decay_steps"),
        (lambda: ReduceOnPlateau(min_lr=0.1), "min_lr", "min_learning_rate"),
        (lambda: ModelCheckpoint(filepath="a"), "filepath", "path"),
        (lambda: EarlyStopping(patience=5, min_dleta=0), "min_dleta", "min_delta"),
        (lambda: Dense(3, use_bais=False), "use_bais", "use_bias"),
        (lambda: Tanh(nmae="a"), "nmae", "name"),
    ],
)
def test_unknown_options(make, option: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"no option '{option}': did you mean '{meant}'") as caught:
        make()
    assert "Known: '" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: SGD(lr=0.1, clipnorm=1.0, x=1), ["'lr' (did you mean", "'clip_norm'?), 'x'. K"]),
        (lambda: Dense(3, kernel_init=0, input_dim=2), ["'kernel_init'", "input_shape=(2,)"]),
        (lambda: EarlyStopping("loss", min_dleta=0, verbos=1), ["'min_delta'", "'verbos'"]),
        (lambda: Model(Tanh()).compile("sgd", "mse", metric=[], x=1), ["'metrics'", "'x'"]),
        (lambda: Dense(3)(Input((2,)), mask=1, x=2), ["'mask', 'x'", "LSTM(8)(x, mask)"]),
    ],
)
def test_all_unknown_options_are_named(make, parts: list[str]) -> None:
    with says(TypeError, *parts):
        make()


def test_unknown_option_without_a_suggestion() -> None:
    with pytest.raises(TypeError, match=r"Dropout has no option 'x': the known ones are 'name', "):
        Dropout(0.1, x=1)  # type: ignore[call-arg]
    assert guess("p", ["epsilon", "p_value"]) == ""
    assert guess("acc", ["mac"]) == ""
    assert guess("foo", minigrad.__all__) == ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BatchNorm1d", "BatchNorm"),
        ("BatchNormalization", "BatchNorm"),
        ("AvgPool2d", "AveragePooling2D"),
        ("Conv2d", "Conv2D"),
        ("ConvTranspose2d", "Conv2DTranspose"),
        ("CosineAnnealingLR", "CosineDecay"),
        ("LayerNormalization", "LayerNorm"),
        ("Linear", "Dense"),
        ("MeanAbsoluteError", "L1Loss"),
        ("Module", "Layer"),
        ("ReduceLROnPlateau", "ReduceOnPlateau"),
        ("SmoothL1Loss", "HuberLoss"),
        ("Swish", "SiLU"),
        ("batchnorm", "BatchNorm"),
        ("load_model", "load"),
        ("mse", "MSELoss"),
    ],
)
def test_public_names_of_other_libraries(name: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=rf"'{name}': did you mean '{meant}'\?( |$)"):
        getattr(minigrad, name)


@pytest.mark.parametrize("name", ["Xyzzy", "_dense"])
def test_unknown_public_name_without_a_suggestion(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"^module 'minigrad' has no attribute '{name}'$"):
        getattr(minigrad, name)


class Wide(Layer):
    def __init__(self, width: int, *, name: str = "") -> None:
        super().__init__(name=name)
        self.width = width


class Wider(Wide):
    """A subclass without its own __init__."""


class WithOptions(Layer):
    def __init__(self, **options: int) -> None:
        super().__init__()


@pytest.mark.parametrize("cls", [Dense, SGD, Wide, Wider, Normal, Callback, Sequential, Layer])
def test_signature_of_a_class_is_that_of_its_init(cls: type) -> None:
    own = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
    assert list(inspect.signature(cls).parameters.values()) == list(own)[1:]


def test_custom_layer_checks_options_too() -> None:
    layer = Wider(3, name="a")
    assert layer.get_config() == {"width": 3, "name": "a"}
    assert repr(pickle.loads(pickle.dumps(layer))) == "Wider(3, name='a')"
    with pytest.raises(TypeError, match="Wider has no option 'witdh': did you mean 'width'"):
        Wider(witdh=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"WithOptions takes \*options: name its arguments"):
        WithOptions(width=3)


def test_get_config_needs_every_argument_as_an_attribute() -> None:
    class Forgetful(Layer):
        def __init__(self, width: int) -> None:
            super().__init__()

    with pytest.raises(TypeError, match=r"Forgetful .* argument 'width': set self.width"):
        Forgetful(3).get_config()


@pytest.mark.parametrize("value", [None, Tanh, np.tanh])
def test_object_of_another_kind(value) -> None:
    with pytest.raises(TypeError, match=r"activation expects a Layer, got .*: pass an object"):
        as_object(Layer, value, "activation")


@pytest.mark.parametrize(
    ("check", "value", "error"),
    [
        (check_int, 2.5, ValueError),
        (check_int, 0, ValueError),
        (check_int, True, TypeError),
        (check_int, "3", TypeError),
        (check_fraction, 1, ValueError),
        (check_fraction, np.nan, ValueError),
        (check_number, np.inf, ValueError),
        (check_number, 1j, TypeError),
        (check_bool, "False", TypeError),
        (check_bool, 0, TypeError),
    ],
)
def test_numeric_options_out_of_range(check, value, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"fit expects .*option.*, got {value!r}"):
        check(value, "option", "fit")


@pytest.mark.parametrize(
    ("create", "name"),
    [
        (SGD, "nesterov"),
        (minigrad.EarlyStopping, "restore_best_weights"),
        (partial(minigrad.ModelCheckpoint, "net"), "save_best_only"),
    ],
)
def test_bool_options_refuse_strings(create, name: str) -> None:
    with pytest.raises(TypeError, match=f"expects {name} True or False, got 'False'"):
        create(**{name: "False"})


def test_numeric_options_become_plain_numbers() -> None:
    values = [check_int(np.int64(2), "n", ""), check_number(np.float32(0.5), "x", "")]
    values.append(check_bool(np.bool_(True), "b", ""))
    assert [(type(v), v) for v in values] == [(int, 2), (float, 0.5), (bool, True)]


def test_attribute_that_a_history_does_not_have() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'epoch'$"):
        _ = History().epoch  # type: ignore[attr-defined]
