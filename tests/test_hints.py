"""What people write who know Keras, PyTorch and scikit-learn: it works, or the error says how."""

import copy
import inspect
import pickle
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from helpers import says
from minigrad import (
    LSTM,
    SGD,
    Adam,
    BCELoss,
    CrossEntropyLoss,
    Dense,
    Dropout,
    Embedding,
    History,
    Input,
    Layer,
    LearningRateScheduler,
    LogSoftmax,
    Loss,
    Model,
    MSELoss,
    MultiHeadAttention,
    Parameter,
    ReLU,
    Sequential,
    Softmax,
)
from minigrad.callbacks.base import Callback
from minigrad.checks.rules import Candidate, by_name
from minigrad.core.layer import walk
from minigrad.core.optimizer import Optimizer
from minigrad.film import Film
from minigrad.util.attributes import attributes
from minigrad.util.synonyms import HINTS

X = np.random.default_rng(0).normal(size=(8, 2))
Y = X[:, :1] + 1
ROOT = Path(__file__).parents[1]


def make(*, units: int = 1, rng: int = 0) -> Any:
    model = Sequential([Dense(3, "tanh"), Dense(units)], input_shape=(2,), rng=rng)
    model.compile(optimizer="sgd", loss="mse")
    return model


@pytest.mark.parametrize(
    "habit",
    [
        "model.compile('sgd', 'mse', ['mae']); assert 'mae' in model.metrics",
        "assert Adam(0.5).learning_rate == SGD(0.5).learning_rate == 0.5",
        "assert minigrad.CosineDecay(0.5, decay_steps=2)(0) == 0.5",
        "model.compile('sgd', 'mse', metrics=None); assert not model.metrics",
        "model.fit(X, Y, verbose=0, callbacks=None, class_weight=None, validation_data=None)",
        "h = model.fit(X, Y, verbose=0); assert h.history['loss'] == h['loss']",
        "a, b = Input((2,)), Input((2,)); Model([a, b], minigrad.Add()([a, b])).predict([X, X])",
        "a = Input((2,)); assert Model(a, Dense(3)(a)).output_shape == (3,)",
        "from minigrad.layers import Input as Same; assert Same is Input",
        "from minigrad.models import Model as Same; assert Same is Model",
        "from minigrad import callbacks, initializers, layers, losses, metrics, models, optimizers",
        "assert minigrad.callbacks.Adam is minigrad.regularizers.Adam is Adam",
        "assert minigrad.EarlyStopping('loss').monitor == 'loss'",
        "assert minigrad.ReduceOnPlateau('loss').monitor == 'loss'",
    ],
)
def test_a_habit_of_keras_works(habit: str) -> None:
    exec(habit, {**globals(), "model": make()})


@pytest.mark.parametrize("first", [[Input((2,))], []])
def test_a_model_made_layer_by_layer(first: list[Any]) -> None:
    model = Sequential(rng=0)
    for layer in [*first, Dense(3, "tanh"), Dense(1)]:
        model.add(layer)
    model.compile("sgd", "mse")
    assert bool(first) is (model.output_shape is not None)
    model.fit(X, Y, verbose=0)
    expected = make()
    expected.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X), strict=True)
    with says(TypeError, "built", "Sequential([*model.layers, ...])"):
        model.add(Dense(1))


def test_a_layer_that_can_not_be_added() -> None:
    model = Sequential(input_shape=(2,))
    for use in (lambda m: m.forward(X), lambda m: m.parameters, lambda m: m.compile("sgd", "mse")):
        with says(ValueError, "Sequential needs at least one layer"):
            use(model)
    with says(ValueError, "input_shape=(2,)", "Input((3,))"):
        model.add(Input((3,)))
    with says(TypeError, "layers[0]", "'relu'", "ReLU()"):
        model.add("relu")
    model.add(Dense(3))
    with says(TypeError, "layers[1]", "Input comes first"):
        model.add(Input((2,)))
    with says(ValueError, "Dense", "twice"):
        model.add(model[0])
    assert model.predict(X).shape == (8, 3)


@pytest.mark.parametrize(
    ("attempt", "remedy"),
    [
        ("model.get_weights()", "model.parameters.value"),
        ("model.set_weights([])", "model.parameters.value"),
        ("model.get_layer('dense_1')", 'model["dense_1"]'),
        ("model.count_params()", "model.parameters.size"),
        ("model.state_dict()", "dict(model.named_parameters())"),
        ("model.zero_grad()", ""),
        ("model.weights", "model.parameters"),
        ("model.predict_classes(x)", "model.predict(x).argmax(axis=1)"),
        ("model.to('float32')", "model.astype(dtype)"),
        ("film.show()", "film.to_html(path)"),
        ("minigrad.Recall()", 'compile(..., metrics=["recall"])'),
        ("minigrad.nn.ReLU()", "minigrad.ReLU"),
        ("model.metrics_names", "model.evaluate(x, y)"),
        ("minigrad.models.load_model(path)", "minigrad.load"),
        ("minigrad.set_random_seed(0)", "Sequential([...], rng=0)"),
        ("minigrad.ops.square(x)", ""),
        ("minigrad.GradientTape()", "model.forward(x)"),
        ("minigrad.layers.Normalization()", "(x - x.mean(axis=0)) / x.std(axis=0)"),
        ("minigrad.load_weights(path)", "model.load_weights(path)"),
    ],
)
def test_attribute_of_another_library(attempt: str, remedy: str, tmp_path: Path) -> None:
    model = make()
    names = {**globals(), "model": model, "x": X, "y": Y}
    names |= {"path": tmp_path / "file", "dtype": "float32"}
    names["film"] = model.film(X, Y, frames=3, epochs=3, verbose=0)
    names["history"] = model.history
    with pytest.raises(AttributeError) as caught:
        eval(attempt, names)
    assert remedy in str(caught.value)
    if "load" in remedy:
        model.save_weights(tmp_path / "file")
    if remedy and "..." not in remedy:
        eval(remedy, names)


def test_hints_name_nothing_that_exists() -> None:
    model, owners = make(), [Layer, Model, Sequential, Parameter, History, Film, Loss, SGD]
    elsewhere = {"Activation", "input_shape", "input_dim", "load_weights", "pop"}
    elsewhere |= {"layers"}  # of a Sequential
    for name in HINTS.keys() - elsewhere:
        assert name not in minigrad.__all__
        assert not any(hasattr(owner, name) for owner in [*owners, model]), name
        for method in (Model.fit, Model.evaluate, Model.predict, Model.compile, Model.film):
            assert name not in inspect.signature(method).parameters


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("from minigrad import BatchNormalization", "BatchNorm"),
        ("from minigrad.layers import Conv2d", "Conv2D"),
        ("from minigrad.losses import MeanSquaredError", "MSELoss"),
        ("from minigrad.initializers import XavierUniform", "GlorotUniform"),
        ("from minigrad.metrics import f1_score", "f1"),
        ("from minigrad.metrics import AUC", "roc_auc"),
        ("from minigrad.metrics import SparseTopKCategoricalAccuracy", "top_k_accuracy"),
        ("from minigrad.models import Sequentail", "Sequential"),
        ("import minigrad; minigrad.regularizers.l2(0.1)", "L2"),
        ("import minigrad.layers; minigrad.layers.Conv2d", "Conv2D"),
        ("import minigrad.optimizers; minigrad.optimizers.Sgd", "SGD"),
    ],
)
def test_import_of_an_unknown_name(line: str, meant: str) -> None:
    with pytest.raises((ImportError, AttributeError), match=rf"{meant}\b"):
        exec(line, {})


def test_an_unknown_name_is_no_error_for_hasattr() -> None:
    assert not hasattr(minigrad, "BatchNormalization")
    assert not hasattr(minigrad.layers, "Conv2d")
    code = "from minigrad import interop, checks; from minigrad.layers import conv2d"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError" in ran.stderr
    assert "'Conv2D'" in ran.stderr


def test_an_unknown_name_at_the_top_level_of_a_script() -> None:
    code = "import minigrad; minigrad.layers.BatchNormalization"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stderr.count("did you mean") == 1  # Python adds no other guess
    assert "'BatchNorm'? (for a whole program: python -m minigrad.port FILE)\n" in ran.stderr


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("utils", "Multiply"),
        ("Recall", "ReLU"),
        ("no_grad", "Normal"),
        ("concatenate", "Parallel"),
        ("functional", "Bidirectional"),
        ("keras", "Zeros"),
        ("train", "Tanh"),
    ],
)
def test_no_suggestion_that_misleads(name: str, wrong: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(minigrad, name)
    assert wrong not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_batch_end", "'on_update_end'?"),
        ("on_train_batch_end", "'on_update_end'?"),
        ("on_batch_begin", "the known ones"),
        ("on_test_begin", "the known ones"),
    ],
)
def test_callback_methods_of_keras(name: str, meant: str) -> None:
    with says(TypeError, name, meant):
        type("Mine", (Callback,), {name: lambda self, trainer: None})


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda m: m.compile("sgd", "mse", [], {}), ("compile", "got 4", "'loss_weights'")),
        (lambda m: m.compile(optimizer="sgd", criterion="mse"), ("compile", "did you mean 'loss'")),
        (lambda m: m.fit(X, Y, initial_epoch=3), ("fit has no option 'initial_epoch'", "contin")),
        (lambda m: m.fit(X, Y, epoch=3), ("fit", "did you mean 'epochs'")),
        (lambda m: m.evaluate(X, Y, return_dict=True), ("evaluate", "'return_dict'", "a dict")),
        (lambda m: m.film(X, Y, epoch=3), ("film has no option 'epoch'", "did you mean 'epochs'")),
        (lambda m: m.film(X, Y, frame=3), ("film has no option 'frame'", "did you mean 'frames'")),
        (lambda m: Dense(3, input_shape=(2,)), ("Dense", "Sequential([...], input_shape=(2,))")),
        (lambda m: Input((2,), nam="a", x=1), ("Input", "'nam' (did you mean 'name'?), 'x'")),
        (lambda m: Embedding(9, 3, mask_zero=True), ("Embedding", "Mask(0)")),
        (lambda m: minigrad.Activation("relu"), ("Activation", "ReLU()", "activation='relu'")),
        (lambda m: Dense(3)(Input((2,)), training=False), ("Dense", "'training'", "leave it out")),
        (lambda m: LSTM(3)(Input((4, 2)), mask=1), ("LSTM", "'mask'", "LSTM(8)(x, mask)")),
        (lambda m: LSTM(3)(Input((4, 2)), initial_state=1), ("LSTM", "initial_state=True")),
        (lambda m: Dense(3)(Input((2,)), units=1), ("Dense", "'units'", "to its class")),
        (lambda m: [*LSTM(3, return_state=True)(Input((4, 2)))], ("one symbol", "symbol[:, :8]")),
        (lambda m: minigrad.pad_sequences([[1]], maxlen=3), ("pad_sequences", "mean 'length'")),
        (lambda m: minigrad.pad_sequences([[1]], truncating="post"), ("sequence[:length]",)),
        (lambda m: Adam(gradient_accumulation_steps=2), ("Adam", "fit(accumulate=...)")),
        (lambda m: LSTM(3, batch_first=True), ("LSTM", "'batch_first'", "first")),
        (lambda m: Dense(4, 8), ("activation", "got 8", "number of outputs")),
        (lambda m: Dense(4, np.tanh), ("activation", "Tanh()")),
        (lambda m: Dense(4, lambda z: z), ("activation", "derive a class from Activation")),
        (lambda m: Sequential([Dense(3), "relu"]), ("layers[1]", "'relu'", "ReLU()")),
        (lambda m: Sequential([Dense(3), Dropout]), ("layers[1]", "Dropout(...)")),
        (lambda m: Sequential([Dense(3), Input((2,))]), ("layers[1]", "Input comes first")),
        (lambda m: Sequential([Dense(1)(Input((2,)))]), ("layers[0]", "Model(inputs=")),
        (
            lambda m: m.compile(optimizer="sgd", loss=lambda t, p: t - p),
            ("loss expects a Loss", "terms(prediction, target)"),
        ),
    ],
)
def test_arguments_of_other_libraries(call, parts: tuple[str, ...]) -> None:
    with says(TypeError, *parts):
        call(make())


def test_a_type_error_inside_a_method_is_kept() -> None:
    model = make()
    model.compile(optimizer="sgd", loss="mse", metrics=[lambda target, prediction: 1 + "a"])
    with says(TypeError, "unsupported operand"):
        model.evaluate(X, Y)
    with says(TypeError, "missing 1 required positional argument: 'x'"):
        model.predict()


def test_the_signatures_of_methods_are_their_own() -> None:
    assert [*inspect.signature(Model.compile).parameters] == [
        "self",
        "optimizer",
        "loss",
        "metrics",
        "loss_weights",
    ]
    assert Model.compile.__doc__.startswith("Set how")


@pytest.mark.parametrize("shape", [(2,), [2]])
def test_an_input_before_the_layers_gives_the_input_shape(shape) -> None:
    model = Sequential([Input(shape), Dense(3), Dense(1)], rng=0)
    same = Sequential([Dense(3), Dense(1)], input_shape=(2,), rng=0)
    np.testing.assert_array_equal(model.predict(X), same.predict(X))
    assert repr(model) == repr(same)
    with says(ValueError, "(3,)", "Input((2,))"):
        Sequential([Input((2,)), Dense(1)], input_shape=(3,))
    with says(ValueError, "at least one layer"):
        Sequential([Input((2,))])


def test_a_subclass_of_model_that_passes_no_network() -> None:
    class Torch(Model):
        def __init__(self) -> None:
            super().__init__()
            self.first = Dense(3)

    class Late(Model):
        def __init__(self) -> None:
            self.first = Dense(3)

    with says(TypeError, "Torch expects a layer", "super().__init__(Chain([...]))"):
        Torch()
    for use in (lambda m: m.compile(optimizer="sgd", loss="mse"), lambda m: m.forward(X)):
        with says(AttributeError, "Late", "super().__init__(network)"):
            use(Late())


def test_a_sequential_without_layers() -> None:
    with says(ValueError, "Sequential", "pass a list of layers"):
        Sequential([])


def test_a_training_of_frozen_parameters_warns() -> None:
    model = make()
    model.trainable = False
    for train in (model.fit, model.train_on_batch):
        with pytest.warns(UserWarning, match="all parameters are frozen") as caught:
            train(X, Y)
        assert caught[0].filename == __file__
    model[0].trainable = True
    model.fit(X, Y, verbose=0)


def test_targets_with_more_columns_than_units() -> None:
    for y in (X, np.zeros((8, 3))):
        with says(ValueError, "(8, 1)", f"{y.shape}", f"the last layer {y.shape[1]} units"):
            make().fit(X, y, verbose=0)
    with says(ValueError, "(8, 3)", "(8, 1)", "the last layer 1 unit,"):
        make(units=3).fit(X, Y, verbose=0)


def test_rows_of_unequal_length() -> None:
    with says(ValueError, "unequal length", "pad"):
        make().fit([[1, 2], [3]], [1, 2])


MISSPELT = [
    (lambda m: m[0], "trainabel", False, "Dense 'dense_1'", "'trainable'"),
    (lambda m: m[0].activation, "nmae", "a", "Tanh 'tanh'", "'name'"),
    (lambda m: m, "trainabel", False, "Sequential", "'trainable'"),
    (lambda m: m[0].weight, "requires_grad", False, "dense_1.weight", "'trainable'"),
    (lambda m: m[0].weight, "data", np.ones((2, 3)), "dense_1.weight", "derive a class"),
    (lambda m: m.loss, "reducton", "sum", "MSELoss", "'reduction'"),
    (lambda m: m[0], "lr", 0.1, "Dense 'dense_1'", "derive a class"),
]


@pytest.mark.parametrize(("part", "name", "value", "owner", "meant"), MISSPELT)
def test_a_misspelt_attribute_is_refused_by_fit(part, name, value, owner, meant) -> None:
    model = make()
    setattr(part(model), name, value)
    with says(TypeError, owner, f"'{name}'", meant):
        model.fit(X, Y, verbose=0)
    assert name not in vars(part(model))
    model.fit(X, Y, verbose=0)  # it is undone


@pytest.mark.parametrize(("part", "name", "value", "owner", "meant"), MISSPELT[:2])
def test_a_misspelt_attribute_is_refused_in_training_by_hand(part, name, value, owner, meant):
    model, loss, sgd = make(), MSELoss(), SGD(learning_rate=0.1)

    def step() -> None:
        loss.forward(model.forward(X), Y)
        model.backward(loss.backward())
        sgd.step(model.parameters)

    for steps in (0, 1, 2):
        for _ in range(steps):
            step()
        setattr(part(model), name, value)
        with says(TypeError, owner, f"'{name}'", meant):
            step()
        step()


def test_a_misspelt_attribute_is_refused_when_the_model_is_built() -> None:
    dense = Dense(3)
    dense.trainabel = False  # type: ignore[attr-defined]
    with says(TypeError, "Dense 'dense_1'", "'trainable'"):
        Sequential([dense], input_shape=(2,))


@pytest.mark.parametrize(
    ("name", "meant"), [("lr", "'learning_rate'"), ("momentun", "'momentum'"), ("x", "derive a")]
)
def test_an_optimizer_refuses_a_misspelt_attribute_at_once(name: str, meant: str) -> None:
    sgd = SGD(learning_rate=0.1)
    with says(AttributeError, "SGD", f"'{name}'", meant):
        setattr(sgd, name, 5)
    sgd.learning_rate, sgd.momentum = 0.5, 0.9
    assert repr(copy.deepcopy(sgd)) == "SGD(learning_rate=0.5, momentum=0.9)"
    assert pickle.loads(pickle.dumps(Adam())).steps == 0


def test_attributes_of_subclasses_and_models_are_free() -> None:
    class Noted(Dense):
        pass

    class Own(SGD):
        pass

    model, optimizer = Sequential([Noted(1)], input_shape=(2,)), Own()
    optimizer.note = model[0].note = model[0].trainabel = "mine"
    model.encoder, model.note = model[0], "of the user"
    model.compile(optimizer=optimizer, loss="mse")
    model.fit(X, Y, verbose=0)
    assert copy.deepcopy(model).note == "of the user"
    assert model[0].trainabel == "mine"


def test_layers_know_the_attributes_that_they_set(any_layer_example) -> None:
    candidate = Candidate(*any_layer_example)
    model = candidate.model()
    model.forward(by_name(model, candidate.x(rows=5, seed=1)))
    for _, layer in walk(model):
        public = {name for name in vars(layer) if not name.startswith("_")}
        assert public <= attributes(type(layer))


def test_losses_and_optimizers_know_the_attributes_that_they_set(example) -> None:
    known = attributes(type(example))
    assert vars(example).keys() <= known
    if isinstance(example, Optimizer):
        make().compile(optimizer=example, loss="mse")
        parameter = Parameter(np.ones(3))
        example.step([parameter])
        assert vars(example).keys() <= known


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.predict(X),
        lambda m: m.evaluate(X, Y),
        lambda m: m.fit(X, Y, verbose=0),
        lambda m: m.forward(X),
        lambda m: m.forward(X, training=False),
        lambda m: m.parameters,
    ],
)
def test_something_else_where_a_parameter_or_a_layer_is(use) -> None:
    model = make()
    use(model)
    weight, activation = model[0].weight, model[0].activation
    model[0].weight = np.ones((2, 3))
    with says(
        TypeError, "Dense 'dense_1' expects a Parameter as weight", "ndarray", "weight.value"
    ):
        use(model)
    model[0].activation = "relu"
    with says(TypeError, "Dense 'dense_1' expects a Layer as activation", "ReLU()"):
        use(model)
    assert model[0].weight is weight
    assert model[0].activation is activation
    model[0].weight.value = np.ones((2, 3))
    model[0].activation = ReLU()
    model[0].bias = None
    use(model)
    assert model.parameters.size == 6 + 4


def test_something_else_where_a_parameter_or_a_layer_will_be() -> None:
    for name, value in (("weight", np.ones((2, 3))), ("activation", "relu")):
        dense = Dense(3)
        setattr(dense, name, value)
        with pytest.raises(TypeError, match=r"expects a Parameter|in place of a layer"):
            Sequential([dense], input_shape=(2,))


@pytest.mark.parametrize(
    "operation",
    [
        lambda x, w: x @ w,
        lambda x, w: w @ x.T,
        lambda x, w: w * x,
        lambda x, w: x + w,
        lambda x, w: w - x,
        lambda x, w: -w,
        lambda x, w: w**2,
        lambda x, w: w[0],
        lambda x, w: [*w],
        lambda x, w: np.asarray(w),
        lambda x, w: np.exp(w),
        lambda x, w: np.dot(x, w),
        lambda x, w: np.einsum("ij,jk", x, w),
        lambda x, w: np.maximum(x, w),
        lambda x, w: w.T,
        lambda x, w: w.sum(),
        lambda x, w: w.numpy(),
    ],
)
def test_a_parameter_in_place_of_its_value(operation) -> None:
    with says((TypeError, AttributeError), "Parameter", "value"):
        operation(np.ones((2, 2)), Parameter(np.ones((2, 2))))


@pytest.mark.parametrize("layer", [Softmax, LogSoftmax, partial(Dense, 1, "softmax")])
def test_softmax_over_one_unit_warns(layer) -> None:
    with pytest.warns(UserWarning, match="oftmax.* over 1 unit .*Sigmoid"):
        Sequential([Dense(1), layer()], input_shape=(2,))


@pytest.mark.parametrize("target", [np.arange(3), np.eye(3), np.eye(3, dtype=int)])
def test_target_and_prediction_the_wrong_way_round(target) -> None:
    prediction = np.random.default_rng(0).normal(size=(3, 3))
    with says((TypeError, ValueError), "CrossEntropyLoss", "exchange the two"):
        CrossEntropyLoss().forward(target, prediction)
    with says(ValueError, "adds up to"):
        CrossEntropyLoss().forward(prediction, np.ones((3, 3)))
    with says(TypeError, "exchange the two"):
        BCELoss().forward(np.array([0, 1]), np.array([0.5, 0.5]))
    with says(TypeError, "int64: pass prediction.astype(float)"):
        MSELoss().forward(np.array([0, 1]), np.array([1, 1]))


def test_a_schedule_of_the_epoch_and_the_learning_rate() -> None:
    def halve(epoch: int, rate: float) -> float:
        return rate / 2

    def inverse(epoch: int, base: float = 0.5) -> float:
        return base / epoch

    for schedule, rates in ((halve, [0.5, 0.25]), (inverse, [0.5, 0.25]), (float, [1.0, 2.0])):
        model = make()
        model.compile(optimizer=SGD(learning_rate=1.0), loss="mse")
        for rate in rates:
            model.fit(X, Y, callbacks=[LearningRateScheduler(schedule)], verbose=0)
            assert model.optimizer.rate == rate


def test_estimators_of_scikit_learn() -> None:
    pytest.importorskip("sklearn")
    from minigrad.interop.sklearn import MinigradClassifier, MinigradRegressor

    with says(TypeError, "MinigradClassifier has no option 'max_iter'", "'epochs'"):
        MinigradClassifier(max_iter=3)
    with says(TypeError, "MinigradRegressor", "got 1", "'model'"):
        MinigradRegressor(make())
    with says(TypeError, "a function of (input_shape, outputs, rng)", "Sequential"):
        MinigradClassifier(model=make()).fit(X, Y[:, 0] > 1)


@pytest.mark.parametrize("folder", ["minigrad", "docs", "examples", "."])
def test_no_page_installs_the_other_project_of_this_name(folder: str) -> None:
    for path in (ROOT / folder).glob("*" if folder == "." else "**/*"):
        if path.suffix in (".md", ".py", ".ipynb", ".html") and "_build" not in path.parts:
            text = path.read_text("utf-8")
            assert not re.search(r"pip install[^\n&#]* ['\"]?minigrad(?!-)\b", text), path


def test_attention_of_a_query_a_key_and_a_value() -> None:
    h = Input((5, 8))
    with says(
        ValueError, "MultiHeadAttention", "(5,) or (5, 5)", "(5, 8)", "the query and the value"
    ):
        Model(inputs=h, outputs=MultiHeadAttention(2)(h, h, h))
