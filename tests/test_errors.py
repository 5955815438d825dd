"""Errors name the layer or argument, what was expected, what came, and what to do."""

import copy
import pickle

import numpy as np
import pytest

from helpers import says
from minigrad import (
    SGD,
    BatchNorm,
    Chain,
    Dense,
    DivergedError,
    Dropout,
    History,
    Layer,
    Loss,
    MSELoss,
    Parallel,
    Parameter,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Tanh,
    check_gradients,
)

X, Y = np.full((8, 2), 0.5), np.full((8, 1), 0.5)


def make(*, units: int = 1, compiled: bool = True) -> Sequential:
    model = Sequential([Dense(3), Sigmoid(), Dense(units)], input_shape=(2,), rng=0)
    if compiled:
        model.compile(optimizer=SGD(learning_rate=0.1), loss=MSELoss())
    return model


def test_backward_before_forward() -> None:
    model = make()
    with says(RuntimeError, "backward of Dense 'dense_1' was called before forward"):
        model.layers[0].backward(X)
    with says(RuntimeError, "backward of Sequential was called before forward"):
        model.backward(Y)
    model.forward(X, training=False)
    with says(RuntimeError, "call forward(..., training=True) first"):
        model.backward(Y)


def test_wrong_feature_count() -> None:
    model = Sequential([Dense(3, name="first")], input_shape=(64,), rng=0)
    for call in (model.forward, model.predict, model.layers[0].forward):
        with says(ValueError, "Dense 'first' expects input of shape (batch, 64), got (32, 63)"):
            call(np.zeros((32, 63)))


def test_hints_for_images_and_for_a_batch_size_in_input_shape() -> None:
    model = Sequential([Dense(3)], input_shape=(64,), rng=0)
    with says(ValueError, "(batch, 64), got (9, 8, 8): put Flatten() first, or pass x.reshape(len"):
        model.predict(np.zeros((9, 8, 8)))
    model = Sequential([Dense(3)], input_shape=(100, 4), rng=0)
    with says(ValueError, "x[np.newaxis]; if 100 is the batch size, pass input_shape=(4,)"):
        model.predict(np.zeros((100, 4)))


@pytest.mark.parametrize(
    ("units", "shape", "message"),
    [
        (3, (8,), "shape (8, 3), got (8,): give the last layer 1 unit, or y of shape (batch, 3)"),
        (1, (1, 8), "x has shape (8, 2), y has shape (1, 8)"),
        (3, (8, 1), "expects targets of the predictions' shape (8, 3), got (8, 1)"),
        (1, (8, 3), "expects targets of the predictions' shape (8, 1), got (8, 3)"),
        (1, (7, 1), "x has shape (8, 2), y has shape (7, 1)"),
        (1, (8, 1, 1), "shape (8, 1), got (8, 1, 1)"),
    ],
)
def test_targets_of_the_wrong_shape_are_refused(
    units: int, shape: tuple[int, ...], message: str
) -> None:
    model = make(units=units)
    before = model.parameters.value.copy()
    with says(ValueError, message):
        model.fit(X, np.zeros(shape), verbose=0)
    with says(ValueError, message):
        model.evaluate(X, np.zeros(shape))
    np.testing.assert_array_equal(model.parameters.value, before)


@pytest.mark.parametrize("shape", [(8,), (1,), (8, 3), (3,), (1, 1)])
def test_loss_refuses_to_broadcast(shape: tuple[int, ...]) -> None:
    with says(ValueError, f"MSELoss expects targets of the predictions' shape (8, 2), got {shape}"):
        MSELoss().forward(np.zeros((8, 2)), np.zeros(shape))


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.full((8, 2), 2**53 + 1), ValueError, "9007199254740993"),
        (np.zeros((8, 2), object), TypeError, "has dtype object"),
        (np.full((8, 2), "a"), TypeError, "has dtype <U1"),
        (np.zeros((8, 2), complex), TypeError, "has dtype complex128"),
        (np.zeros((0, 2)), ValueError, "is empty: its shape is (0, 2)"),
        (np.full((8, 2), np.nan), ValueError, "holds nan at index (0, 0)"),
        (np.where(np.arange(16).reshape(8, 2) == 5, np.inf, 0), ValueError, "inf at index (2, 1)"),
        (3.0, ValueError, "is a single number"),
    ],
)
@pytest.mark.parametrize("argument", ["x", "y"])
def test_unsuitable_data_is_refused(
    argument: str, bad, error: type[Exception], message: str
) -> None:
    model = make(units=2)
    x, y = (bad, np.zeros((len(X), 2))) if argument == "x" else (X, bad)
    calls = [model.evaluate, lambda x, y: model.fit(x, y, verbose=0)]
    calls.append(lambda x, y: check_gradients(model, x, y, MSELoss()))
    if argument == "x":
        calls.append(lambda x, y: model.predict(x))
    for call in calls:
        with pytest.raises(error) as caught:
            call(x, y)
        told = str(caught.value)
        if argument == "y" and np.size(bad) != 16:
            assert told.startswith(("y ", "x and y"))
        else:
            assert told.startswith(argument + " ")
            assert message in told


def test_same_layer_twice_is_refused() -> None:
    layer = Dense(2)
    with says(ValueError, "Dense is twice in Sequential", "weight=first.weight"):
        Sequential([layer, Sigmoid(), layer])
    with says(ValueError, "Dense", "twice", "Parameter"):
        Sequential([layer, Chain([Sigmoid(), layer])])


def test_two_layers_of_one_name_are_refused() -> None:
    with says(ValueError, "two layers of Sequential are named 'hidden'"):
        Sequential([Dense(2, name="hidden"), Dense(2, name="hidden")])


def test_something_else_in_place_of_a_layer_is_refused() -> None:
    with says(TypeError, "Sequential expects a Layer as layers[1], got <class"):
        Sequential([Dense(2), Sigmoid])  # type: ignore[list-item]
    with says(ValueError, "Sequential needs at least one layer"):
        Sequential([])


@pytest.mark.parametrize(
    ("layer", "missing"), [(Dense(3), "weight"), (BatchNorm(), "gamma"), (Dropout(0.5), "rng")]
)
def test_unbuilt_layer_has_no_parameters(layer: Layer, missing: str) -> None:
    name = type(layer).__name__
    with says(AttributeError, f"{name} has no attribute '{missing}' before it is built: put it in"):
        layer.forward(X)
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(copied) == repr(layer)
    with pytest.raises(AttributeError, match=r"has no attribute 'wieght'$"):
        _ = make().layers[0].wieght  # type: ignore[attr-defined]


def test_forward_without_training() -> None:
    class Twice(Layer):
        def forward(self, x):
            return 2 * x

    class Options(Layer):
        def forward(self, x, **options):
            return 2 * x

    with says(TypeError, "Twice 'twice_1' expects forward(self, x, *, training=True), got forward"):
        Sequential([Twice()], input_shape=(2,))
    assert Sequential([Options()], input_shape=(2,)).predict(X)[0, 0] == 1.0


def test_backward_that_returns_nothing() -> None:
    class Mute(Tanh):
        def backward(self, delta):
            super().backward(delta)

    message = "backward of Mute 'mute_1' returned None: return dJ/dinput"
    first, inner = Sequential([Mute(), Dense(1)]), Sequential([Dense(2), Chain([Mute()]), Dense(1)])
    inner.compile(optimizer="sgd", loss="mse")
    with says(TypeError, message):
        inner.fit(X, Y, verbose=0)
    for model in (first, inner, Mute(name="mute_1")):
        with says(TypeError, message):
            check_gradients(model, X, X if isinstance(model, Mute) else Y, "mse")


def test_loss_with_incomplete_definition() -> None:
    class Square(Loss):
        def forward(self, prediction, target, **options):
            return float(((prediction - target) ** 2).mean())

    class Lone(Loss):
        def __init__(self) -> None:
            pass

        def terms(self, prediction, target):
            return prediction - target

    model = make()
    for loss, error, message in (
        (Square(), NotImplementedError, "Square must define terms(prediction, target)"),
        (Lone(), TypeError, "terms of Lone must return a pair"),
    ):
        model.compile(optimizer="sgd", loss=loss)
        with says(error, message):
            model.fit(X, Y, verbose=0)
        with says(error, message):
            check_gradients(model, X, Y, loss)


def test_custom_loss_without_super_init_is_a_mean() -> None:
    class Half(Loss):
        def __init__(self) -> None:
            self.factor = 0.5

        def terms(self, prediction, target):
            error = prediction - target
            return self.factor * error**2, 2 * self.factor * error

    assert Half().forward(X, X + 1) == 0.5


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: Dense(3, ReLU), "activation expects a Layer, got <class"),
        (lambda: Dense(3, ReLU), "pass an object, ReLU()"),
        (lambda: Dense(3, np.tanh), "got <ufunc 'tanh'>: pass an object, Tanh()"),
        (lambda: Dense("3"), "Dense expects a whole number units >= 1, got '3'"),
        (
            lambda: Dense(3, weight=np.ones((2, 3))),
            "got an ndarray: for numbers use weight_initializer",
        ),
        (lambda: Dense(3, 8), "activation expects a Layer, got 8: the data gives the number of in"),
        (
            lambda: Dense(3, bias=False),
            "got a bool: for numbers use bias_initializer, for none use_bias",
        ),
        (lambda: Dense(3, use_bias="False"), "Dense expects use_bias True or False, got 'False'"),
        (
            lambda: Dense(3, bias=3),
            "Dense expects a Parameter of another layer as bias, got an int",
        ),
        (lambda: Reshape(6), "Reshape expects a tuple of int as shape, got 6"),
        (lambda: Reshape((2.5,)), "Reshape expects a tuple of int as shape, got (2.5,)"),
        (lambda: Sequential(Dense(3)), "expects a list of layers, got Dense(3): pass a list"),
        (lambda: Parallel(Dense(3)), "expects a list of layers, got Dense(3): pass a list"),
        (lambda: Sequential([Dense(3)], input_shape=4), "got 4: pass input_shape=(4,)"),
        (lambda: SGD().step(make()), "got a Sequential: pass model.parameters"),
        (lambda: make().compile(optimizer="sgd", loss="mse", metrics="mae"), "metrics=['mae']"),
        (lambda: make().predict(np.ma.array(X)), "x is a MaskedArray, not a plain array: pass x.f"),
    ],
)
def test_argument_of_the_wrong_type(make_it, message: str) -> None:
    with says(TypeError, message):
        make_it()


def test_shared_bias_with_use_bias_false_is_refused() -> None:
    with says(ValueError, "use_bias=False: leave one out"):
        Dense(3, use_bias=False, bias=Parameter(np.zeros(3)))


def test_sparse_matrix_is_refused() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with says(TypeError, "x is a csr_matrix, not a plain array: pass x.toarray()"):
        make().predict(sparse.csr_matrix(X))


def test_only_activations_are_suggested_for_activation() -> None:
    with pytest.raises(ValueError, match=r"'log_softmax'.*'softmax'") as caught:
        Dense(3, "zzz")
    assert "'dense'" not in str(caught.value)


def test_unknown_name_in_history_and_metric_that_returns_an_array() -> None:
    with says(KeyError, "the history has no 'acc'", "did you mean 'accuracy'", "'loss'"):
        _ = History(loss=[1.0], accuracy=[0.5])["acc"]
    model = make()
    model.compile(optimizer="sgd", loss="mse", metrics=[np.subtract])
    with says(TypeError, "metric 'subtract' must return a number", "shape ("):
        model.evaluate(X, Y)


def test_an_unbuilt_model_has_no_parameters() -> None:
    with says(RuntimeError, "Sequential isn't built yet, so it has no parameters: pass input_sh"):
        _ = Sequential([Dense(2)]).parameters


def test_a_layer_without_parameters_has_none() -> None:
    assert Sequential([Sigmoid()], input_shape=(2,)).parameters.size == 0


def test_an_uncompiled_model() -> None:
    for call in (make(compiled=False).fit, make(compiled=False).evaluate):
        with says(RuntimeError, "call model.compile(optimizer=..., loss=...) first"):
            call(X, Y)


def test_unknown_names_in_compile() -> None:
    model = make()
    with says(ValueError, "optimizer='sdg' is not known: did you mean 'sgd'?"):
        model.compile(optimizer="sdg", loss="mse")
    with says(TypeError, "optimizer expects an Optimizer, got 3: pass an object, or a name"):
        model.compile(optimizer=3, loss="mse")  # type: ignore[arg-type]
    with says(TypeError, "loss expects a Loss, got <class"):
        model.compile(optimizer="sgd", loss=MSELoss)  # type: ignore[arg-type]
    with says(ValueError, "metric 'rmes' is not known: did you mean 'rmse'?"):
        model.compile(optimizer="sgd", loss="mse", metrics=["rmes"])
    with says(ValueError, "activation='sigmod' is not known: did you mean 'sigmoid'?"):
        Dense(3, activation="sigmod")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "fit expects a whole number epochs >= 1, got 0"),
        ({"batch_size": 2.5}, "fit expects a whole number batch_size >= 1, got 2.5"),
        ({"validation_split": 1.0}, "fit expects 0 <= validation_split < 1, got 1.0"),
        ({"sample_weight": np.ones(3)}, "sample_weight expects shape (8,)"),
        ({"sample_weight": -np.ones(8)}, "sample_weight expects weights >= 0"),
        ({"class_weight": {7: 1.0}}, "class_weight has no weight for class 0.5: it has [7]"),
    ],
)
def test_options_out_of_range(options, message: str) -> None:
    with says(ValueError, message):
        make().fit(X, Y, verbose=0, **options)


def test_layers_and_arrays_that_do_not_fit_the_input_shape() -> None:
    dense = Dense(3)
    Sequential([dense], input_shape=(2,), rng=0)
    with says(ValueError, "Dense 'dense_1' was built for input of shape (2,) and gets (5,)"):
        Sequential([dense], input_shape=(5,), rng=0)
    with says(ValueError, "Dense 'dense_1' needs the length of the last axis, got (4, None)"):
        Sequential([Dense(3)], input_shape=(4, None))
    with says(ValueError, "the weight of Dense 'dense_1' has shape (2, 3), got an initial array"):
        Sequential([Dense(3, weight_initializer=np.ones((3, 2)))], input_shape=(2,))


def test_one_optimizer_for_two_models_is_refused() -> None:
    sgd = SGD(learning_rate=0.1, momentum=0.9)
    sgd.step(make().parameters)
    with says(ValueError, "this SGD has the state of 13 parameters", "got 17"):
        sgd.step(make(units=2).parameters)


def test_delta_of_the_wrong_shape_is_refused() -> None:
    model = make()
    model.forward(X)
    with says(ValueError, "Sequential expects delta of shape (8, 1), got (1, 1)"):
        model.backward(np.ones((1, 1)))
    sigmoid = Sigmoid(name="out")
    sigmoid.forward(np.zeros((8, 3)))
    with says(ValueError, "Sigmoid 'out' expects delta of shape (8, 3), got (8, 1)"):
        sigmoid.backward(np.ones((8, 1)))


class Broken(Tanh):
    """Returns NaN for a batch of three rows."""

    def __init__(self, where: str) -> None:
        super().__init__(name="broken")
        self.where = where

    def forward(self, x, *, training=True):
        a = super().forward(x, training=training)
        return a * np.nan if self.where == "forward" and x.shape[0] == 3 else a

    def backward(self, delta):
        back = super().backward(delta)
        return back * np.nan if self.where == "backward" and len(delta) == 3 else back


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("forward", "the output of Broken 'broken' is not finite"),
        ("backward", "the input delta of Broken 'broken' is not finite"),
    ],
)
def test_training_stops_at_nan_and_names_the_place(where: str, place: str) -> None:
    model = Sequential([Dense(4), Broken(where), Dense(2)], input_shape=(2,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1), loss=MSELoss())
    start = model.parameters.value.copy()
    x, y = np.random.default_rng(0).normal(size=(2, 11, 2))
    with says(DivergedError, "epoch 1, batch 3", place, "the beginning of this fit"):
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.parameters.value, start, strict=True)


def test_diverging_run_stops_without_a_warning() -> None:
    model = Sequential([Dense(8), ReLU(), Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer=SGD(learning_rate=1e6), loss=MSELoss())
    with says(DivergedError, "learning rate 1000000.0"):
        model.fit(X, Y, epochs=100, verbose=0)
    assert np.isfinite(model.parameters.value).all()
    with says(DivergedError, "the loss is not finite"):
        make().fit(X, np.full((8, 1), 1e200), verbose=0)


@pytest.mark.parametrize("epochs", [1, 3])
def test_step_that_overflows_is_reported(epochs: int) -> None:
    model = Sequential([Dense(1)], input_shape=(2,), rng=0)
    start = model.parameters.value.copy()
    model.compile(optimizer=SGD(learning_rate=1e308), loss=MSELoss())
    with says(DivergedError, "training stopped at the end of epoch 1", "(learning rate 1e+308)"):
        model.fit(X, np.full((8, 1), 1e5), epochs=epochs, batch_size=None, verbose=0)
    np.testing.assert_array_equal(model.parameters.value, start, strict=True)


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: Dense(3, name=3), TypeError, ("Dense expects name as text", "3")),
        (lambda: Parameter(1.0, name=None), TypeError, ("Parameter expects name", "None")),
        (lambda: Dense(10**30), ValueError, ("units", "below 2**63")),
        (lambda: MSELoss(reduction=np.ones(2)), ValueError, ("reduction", "'mean' or 'sum'")),
        (lambda: Chain(np.array(1.5)), TypeError, ("expects a list of layers", "1.5")),
        (lambda: Dense(2, activation=int), TypeError, ("activation", "int")),
        (lambda: Dense(2, weight_initializer=[]), ValueError, ("weight", "shape (0,)")),
        (lambda: SGD(learning_rate=lambda step: None).rate, ValueError, ("SGD", "got None")),
        (lambda: Sequential([Dense(1)], dtype={"a": "b"}), ValueError, ("dtype", "float32")),
        (lambda: Sequential([Dense(1)], input_shape=[[1], [2]]), ValueError, ("last axis",)),
        (lambda: fitted(class_weight=np.ones(2)), TypeError, ("class_weight expects a dict",)),
        (lambda: compiled().train_on_batch(np.ones((2, 2)), np.array(1.5)), ValueError, ("y",)),
        (lambda: fitted(verbose=np.ones(2)), ValueError, ("verbose", "'auto'")),
        (lambda: fitted(callbacks=np.array(1)), TypeError, ("callbacks expects a list",)),
        (lambda: compiled(loss=np.ones(2)), TypeError, ("loss expects a Loss",)),
        (lambda: compiled(metrics=np.array(1)), TypeError, ("metrics expects a list",)),
        (lambda: compiled().predict([[1, 2]], verbose=[]), ValueError, ("predict", "verbose")),
    ],
)
def test_options_of_another_type_are_refused(make, error, parts) -> None:
    def build() -> None:
        made = make()
        if isinstance(made, Dense):
            Sequential([made], input_shape=(3,), rng=0)

    with says(error, *parts):
        build()


def compiled(**options) -> Sequential:
    model = Sequential([Dense(1, "sigmoid")], input_shape=(2,), rng=0)
    model.compile(**{"optimizer": "sgd", "loss": "bce", **options})
    return model


def fitted(**options) -> None:
    compiled().fit([[0, 1], [1, 0]], [0, 1], **options)


def test_a_delta_that_is_no_array_is_refused() -> None:
    model = compiled()
    model.forward(np.ones((2, 2)))
    with says(ValueError, "Sequential", "(2, 1)", "list"):
        model.backward([[1], [1]])
