"""Names of other libraries, and misspelt ones, are answered by the names that there are."""

import copy
import inspect
import pickle
import re

import numpy as np
import pytest

import minigrad
from minigrad import (
    L2,
    SGD,
    Adam,
    BatchNorm,
    BCEWithLogitsLoss,
    CosineDecay,
    CSVLogger,
    Dense,
    Dropout,
    EarlyStopping,
    LayerNorm,
    LeakyReLU,
    ModelCheckpoint,
    Normal,
    Optimizer,
    ReduceOnPlateau,
    Reshape,
    RMSprop,
    Sequential,
    StepDecay,
    confusion_matrix,
    load,
    softmax,
)
from minigrad.callbacks.base import Callback
from minigrad.metrics.named import METRICS
from minigrad.util.config import Configurable, registered
from minigrad.util.names import guess, snake_case
from minigrad.util.synonyms import ATTRIBUTES, OPTIONS, SYNONYMS

X, Y = np.full((8, 2), 0.5), np.full((8, 1), 0.5)


def make() -> Sequential:
    model = Sequential([Dense(3, "tanh"), Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer="sgd", loss="mse")
    return model


def says(error: type[Exception], message: str):
    return pytest.raises(error, match=re.escape(message))


def own_classes() -> list[type]:
    return [c for c in registered(Configurable).values() if c.__module__.startswith("minigrad.")]


def options() -> set[str]:
    calls = [*own_classes(), *vars(Sequential).values(), minigrad.load]
    calls += [c for c in vars(minigrad).values() if isinstance(c, type) and issubclass(c, Callback)]
    return {name for call in calls if callable(call) for name in inspect.signature(call).parameters}


def test_a_synonym_leads_to_what_there_is() -> None:
    figures = {"val_accuracy", "top_5_accuracy"}
    classes = {snake_case(cls.__name__) for cls in own_classes()}
    known = classes | figures | set(METRICS) | options()
    known |= set(map(snake_case, minigrad.__all__)) | set(vars(Callback))
    for table in (SYNONYMS, OPTIONS):
        for name, meant in table.items():
            for other in meant:
                assert " " in other or {other, f"{other}_loss"} & known, (name, other)


def test_the_tables_are_sorted_in_their_groups() -> None:
    for table in ("SYNONYMS", "OPTIONS", "ATTRIBUTES"):
        text = inspect.getsource(minigrad.util.synonyms)
        for group in text.partition(f"\n{table}: ")[2].partition("\n}")[0].split("    # ")[1:]:
            names = re.findall(r'^    "(\w+)"', group, re.MULTILINE)
            assert names == sorted(names)


def test_an_optimizers_own_attributes_are_no_synonyms() -> None:
    """Those are refused by `compile`, which takes them for another library's options."""
    for cls in registered(Optimizer).values():
        assert not set(inspect.signature(cls).parameters) & SYNONYMS.keys()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("xavier_uniform", "glorot_uniform"),
        ("xavier_normal", "glorot_normal"),
        ("glorot", "glorot_uniform' or 'glorot_normal"),
        ("kaiming_uniform", "he_uniform"),
        ("kaiming_normal", "he_normal"),
        ("random_normal", "normal"),
        ("GlorotUniform", "glorot_uniform"),
    ],
)
def test_initializers_of_other_libraries(name: str, meant: str) -> None:
    with says(ValueError, f"did you mean '{meant}'? Known"):
        Dense(3, weight_initializer=name)


@pytest.mark.parametrize(
    ("loss", "meant"),
    [
        ("MeanSquaredError", "mse"),
        ("MSELoss", "mse"),
        ("SmoothL1Loss", "huber"),
        ("nll", "cross_e"),
    ],
)
def test_losses_of_other_libraries(loss: str, meant: str) -> None:
    with says(ValueError, f"did you mean '{meant}"):
        Sequential([Dense(1)]).compile(optimizer="sgd", loss=loss)


@pytest.mark.parametrize(
    ("make_it", "meant"),
    [
        (lambda: Dense(3, weight_regularizer=L2(0.1)), "did you mean 'weight_regularizer'?"),
        (lambda: Dense(3, kernel_regularizer=L2(0.1)), "did you mean 'weight_regularizer'?"),
        (lambda: Dense(3, bias_regularizer=L2(0.1)), "did you mean 'bias_regularizer'?"),
        (lambda: Dense(3, kernel_initializer="zeros"), "did you mean 'weight_initializer'?"),
        (lambda: Dense(3, input_dim=2), ": pass input_shape=(input_dim,) to Sequential; the known"),
        (lambda: Dense(out_features=3), "did you mean 'units'?"),
        (lambda: LeakyReLU(negative_slope=0.1), "did you mean 'slope'?"),
        (lambda: LeakyReLU(alpha=0.1), "did you mean 'slope'?"),
        (lambda: Dropout(p=0.1), "did you mean 'rate'?"),
        (lambda: Dropout(0.1, seed=1), ": pass rng= to Sequential; the known ones are 'name', 'ra"),
        (lambda: LayerNorm(axis=-1), ": it works along the last axis; the known ones are"),
        (lambda: BatchNorm(num_features=3), ": leave it out, as it is found when the layer is bui"),
        (lambda: LayerNorm(eps=1e-3), "did you mean 'epsilon'?"),
        (lambda: Reshape(target_shape=(2,)), "did you mean 'shape'?"),
        (lambda: Normal(stddev=0.1), "did you mean 'scale'?"),
        (lambda: L2(l2=0.1), "did you mean 'strength'?"),
        (lambda: Sequential([Dense(1)], seed=1), "did you mean 'rng'?"),
        (lambda: Sequential([Dense(1)], random_state=1), "did you mean 'rng'?"),
        (lambda: BCEWithLogitsLoss(pos_weight=3.0), ": pass class_weight= to fit; the known ones"),
        (lambda: SGD(lr=0.1), "did you mean 'learning_rate'?"),
        (lambda: SGD(clipnorm=0.1), "did you mean 'clip_norm'?"),
        (lambda: Adam(betas=(0.9, 0.99)), "did you mean 'beta_1' or 'beta_2'?"),
        (lambda: RMSprop(alpha=0.9), "did you mean 'rho'?"),
        (lambda: CosineDecay(learning_rate=0.1), "did you mean 'initial_learning_rate'?"),
        (lambda: CosineDecay(T_max=10), "did you mean 'decay_steps'?"),
        (lambda: StepDecay(step_size=10), "did you mean 'decay_steps'?"),
    ],
)
def test_options_of_other_libraries(make_it, meant: str) -> None:
    with says(TypeError, meant):
        make_it()


def test_what_has_no_counterpart_is_not_guessed() -> None:
    assert guess("p", ["epsilon", "p_value"], option=True) == ""
    assert guess("acc", ["mac"]) == ""
    assert guess("foo", minigrad.__all__) == ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Add", "Parallel"),
        ("BatchNorm1d", "BatchNorm"),
        ("BatchNormalization", "BatchNorm"),
        ("Concatenate", "Parallel"),
        ("CosineAnnealingLR", "CosineDecay"),
        ("LayerNormalization", "LayerNorm"),
        ("Linear", "Dense"),
        ("MeanAbsoluteError", "L1Loss"),
        ("MeanSquaredError", "MSELoss"),
        ("Module", "Layer"),
        ("ReduceLROnPlateau", "ReduceOnPlateau"),
        ("SmoothL1Loss", "HuberLoss"),
        ("StepLR", "StepDecay"),
        ("Swish", "SiLU"),
        ("batchnorm", "BatchNorm"),
        ("load_model", "load"),
        ("mse", "MSELoss"),
    ],
)
def test_public_names_of_other_libraries(name: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=rf"'{name}': did you mean '{meant}'\?$"):
        getattr(minigrad, name)


def test_public_names_that_are_nothing_here() -> None:
    with says(AttributeError, "has no attribute 'Input': pass input_shape= to Sequential"):
        _ = minigrad.Input  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"^module 'minigrad' has no attribute 'Xyzzy'$"):
        _ = minigrad.Xyzzy  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"^module 'minigrad' has no attribute '_dense'$"):
        _ = minigrad._dense  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(ATTRIBUTES.keys() - {"history"}))
def test_attributes_of_other_libraries(name: str) -> None:
    model = make()
    for layer in (model, model.layers[0], Dense(3)):
        assert not hasattr(layer, name)
        with says(AttributeError, f"{layer.label} has no attribute '{name}': {ATTRIBUTES[name]}"):
            getattr(layer, name)


def test_what_is_named_in_their_place_is_there() -> None:
    model = make()
    dense, norm = model["dense_1"], BatchNorm()
    norm.build((2,), np.random.default_rng(0))
    said = " ".join(ATTRIBUTES.values())
    for name in ("parameters", "named_parameters", "load_weights", "save_weights", "predict"):
        assert name in said
        assert hasattr(model, name)
    for there in ("trainable", "weight", "running_mean", "running_variance"):
        assert there in said
        assert hasattr(dense, there) or hasattr(norm, there)


def test_a_history_is_the_dictionary_itself() -> None:
    history = make().fit(X, Y, verbose=0)
    with says(AttributeError, "History has no attribute 'history': it is the dictionary itself"):
        _ = history.history  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"^History has no attribute 'epoch'$"):
        _ = history.epoch  # type: ignore[attr-defined]
    for copied in (copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert copied == history
        assert type(copied) is type(history)


def test_a_layer_is_no_function() -> None:
    model = make()
    with says(TypeError, "Sequential is no function: call model.predict(x), or forward(x) to go"):
        model(X)  # type: ignore[operator]
    with says(TypeError, "Dense 'dense_1' is no function: call forward(x)"):
        model["dense_1"](X)  # type: ignore[operator]


def test_calls_that_python_would_refuse_in_its_own_words(tmp_path) -> None:
    model = make()
    for call, message in (
        (lambda: EarlyStopping("val_loss", 5), "EarlyStopping takes these by name: monitor=..., p"),
        (
            lambda: EarlyStopping(patient=5),
            "EarlyStopping has no option 'patient': did you mean 'p",
        ),
        (lambda: ReduceOnPlateau(min_lr=0.1), "did you mean 'min_learning_rate'?"),
        (lambda: ReduceOnPlateau(verbose=1), ": it is an option of fit; the known ones are 'fact"),
        (lambda: ModelCheckpoint(filepath="a"), "no option 'filepath': did you mean 'path'?"),
        (lambda: CSVLogger(), "CSVLogger needs path=..."),
        (lambda: model.predict(X, batch_size=4), "predict has no option 'batch_size': it is an op"),
        (lambda: model.predict(X, 4), "predict takes these by name: threads=..."),
        (lambda: model.predict(), "predict needs x=..."),
        (lambda: model.evaluate(X, Y, verbose=0), "evaluate has no option 'verbose': it is an op"),
        (lambda: model.evaluate(X, Y, np.ones(8)), "evaluate takes these by name: sample_weight="),
        (lambda: model.save(tmp_path / "net", overwrite=True), ": leave it out, as an old file is"),
        (lambda: model.save(), "save needs path=..."),
        (lambda: model.load_weights(filepath="net"), "did you mean 'path'?"),
        (lambda: load("net", custom_object={}), "load has no option 'custom_object': did you mean"),
        (lambda: model.compile(), "compile needs optimizer=..., loss=..."),
        (lambda: model.compile(optimizer="sgd", criterion="mse"), "did you mean 'loss'?"),
        (lambda: softmax(X, axis=1), "softmax has no option 'axis': it works along the last axis;"),
        (lambda: confusion_matrix(Y, Y, thresh=0), "did you mean 'threshold'?"),
    ):
        with says(TypeError, message):
            call()


def test_a_callback_of_ones_own_names_its_options() -> None:
    class Every(Callback):
        def __init__(self, *, epochs: int) -> None:
            self.epochs = epochs

    class Second(Every): ...

    assert Second(epochs=2).epochs == 2
    with says(TypeError, "Second has no option 'epoch': did you mean 'epochs'?"):
        Second(epoch=2)  # type: ignore[call-arg]
    with says(TypeError, "Every takes these by name: epochs=..."):
        Every(2)  # type: ignore[misc]
