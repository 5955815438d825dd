"""Data: arrays, DataFrames, tensors, memory-mapped files, iterables of batches, permutations."""

import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from helpers import says, slow
from minigrad import SGD, BatchNorm, CrossEntropyLoss, Dense, MSELoss, Sequential, Tanh
from minigrad.data import permutation
from minigrad.data.class_weight import weighted_by_class
from minigrad.data.permutation import LazyPermutation, random_permutation
from minigrad.data.rows import Form, Rows
from minigrad.data.stream import Stream
from minigrad.data.validation import Picked, split

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(100, 2))
Y = X.sum(axis=1)
WEIGHT = RNG.uniform(size=100)


def make(*, metrics=(), features: int = 2, dtype: str = "float64", **options) -> Sequential:
    shape = {"input_shape": (features,)} if features else {}
    model = Sequential([Dense(3), Tanh(), Dense(1)], rng=4, dtype=dtype, **shape)
    model.compile(optimizer=SGD(learning_rate=0.1), loss="mse", metrics=metrics)
    return model


def same(one: Sequential, other: Sequential) -> None:
    np.testing.assert_array_equal(one.parameters.value, other.parameters.value, strict=True)
    assert one.history == other.history


def batches(x=X, y=Y, *rest) -> list[tuple]:
    return [
        tuple(array[start : start + 32] for array in (x, y, *rest))
        for start in range(0, len(x), 32)
    ]


class TestArgumentsOfFit:
    def test_missing_x(self) -> None:
        with says(TypeError, "x is missing: pass arrays x and y"):
            make().fit()

    def test_uncompiled_model(self) -> None:
        with says(RuntimeError, "fit needs a compiled model"):
            Sequential([Dense(1)]).fit(X, Y)

    def test_missing_y(self) -> None:
        for x in (X, X.astype(int), X[:0]):
            with says(TypeError, "y is missing: x is an ndarray"):
                make().fit(x)
            with says(TypeError, "y is missing"):
                make().evaluate(x)

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            ((X, Y), "batch 1 of x is an ndarray of shape (100, 2); without y, x is an iterable"),
            ([[0.0, 1.0], [1.0, 1.0]], "batch 1 of x is a list of 2 (float, float); without y"),
            ([(X,)], "batch 1 of x is a tuple of 1 (ndarray)"),
            ([(X, None)], "batch 1 of x is a tuple of 2 (ndarray, NoneType)"),
            ([{"x": X, "y": Y}], "batch 1 of x is a dict"),
            ({"x": X, "y": Y}, "y is missing: x is a dict"),
            ("data.csv", "y is missing: x is a str"),
            (3, "x is an int; expected arrays x and y"),
        ],
    )
    def test_x_that_is_not_an_iterable_of_batches(self, x, message: str) -> None:
        with says(TypeError, message):
            make().fit(x)

    @pytest.mark.parametrize("rows", [99, 101])
    def test_unequal_lengths_do_not_build_the_model(self, rows: int) -> None:
        model = make(features=0)
        with says(
            ValueError,
            f"x and y must have the same number of rows: x has shape ({rows}, 2)",
            "(100,)",
        ):
            model.fit(RNG.uniform(size=(rows, 2)), Y)
        assert model.output_shape is None

    def test_one_dimensional_x(self) -> None:
        model = make(features=1)
        message = "expects input of shape (batch, 1), got (100,): give each row its one feature, x"
        for call in (model.fit, model.evaluate, lambda x, y: model.predict(x)):
            with says(ValueError, message):
                call(Y, Y)
        model.fit(Y.reshape(-1, 1), Y, verbose=0)
        with says(ValueError, "the rows are single numbers: reshape x to (batch, 1)"):
            make(features=0).fit(Y, Y)

    def test_one_row_without_batch_axis(self) -> None:
        with says(ValueError, "expects input of shape (batch, 2), got (2,)"):
            make().predict(X[0])

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"validation_split": 0.5}, ValueError, "validation_split needs arrays x and y"),
            ({"batch_size": 8}, ValueError, "batch_size needs arrays x and y"),
            ({"sample_weight": WEIGHT}, TypeError, "sample_weight needs x and y: batches are (x"),
        ],
    )
    def test_options_that_need_arrays(self, options, error, message: str) -> None:
        with says(error, message):
            make().fit(batches(), **options)

    def test_validation_data_and_validation_split(self) -> None:
        with says(ValueError, "validation_data or validation_split, not both"):
            make().fit(X, Y, validation_data=(X, Y), validation_split=0.5)

    @pytest.mark.parametrize("data", [(X, Y[:3]), [(X[:5], Y[:4])], [X, Y[:4]]])
    def test_errors_name_validation_data(self, data) -> None:
        with says(ValueError, "validation_data: "):
            make().fit(X, Y, validation_data=data)

    @pytest.mark.parametrize("weight", ["equal", [1.0, 2.0]])
    def test_class_weight_must_be_a_dict(self, weight) -> None:
        with says(TypeError, "class_weight expects a dict"):
            make().fit(X, np.round(Y / 2), class_weight=weight, verbose=0)


class TestArrayTypes:
    def test_lists(self) -> None:
        arrays, lists = make(), make()
        arrays.fit(X, Y, verbose=0)
        lists.fit(X.tolist(), Y.tolist(), verbose=0)
        same(arrays, lists)

    def test_lists_of_unequal_length(self) -> None:
        ragged = [[1.0], [1.0, 2.0]]
        with says(ValueError, "x is a list that NumPy can't convert"):
            make().fit(ragged, [0.0, 1.0])
        with says(ValueError, "batch 1: x is a list that NumPy can't convert"):
            make().fit([(ragged, [0.0, 1.0])])
        with says(ValueError, "sample_weight is a list that NumPy can't convert"):
            make().fit(X, Y, sample_weight=ragged)

    def test_dataframes_and_series(self) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(X, columns=["a", "b"], index=range(100, 0, -1))
        series = pandas.Series(Y, index=frame.index)
        arrays, frames = make(), make()
        arrays.fit(X, Y, validation_split=0.2, sample_weight=WEIGHT, verbose=0)
        weight = pandas.Series(WEIGHT)
        frames.fit(frame, series, validation_split=0.2, sample_weight=weight, verbose=0)
        same(arrays, frames)
        np.testing.assert_array_equal(frames.predict(frame), arrays.predict(X), strict=True)
        assert frames.evaluate(frame, series) == arrays.evaluate(X, Y)
        mixed = frame.assign(c="text")
        with says(TypeError, "x['c'] has dtype object; expected real numbers: it holds 'text'"):
            frames.fit(mixed, series)
        kinds = frame.assign(a=frame["a"] > 0, b=frame["b"].astype("Float64"))
        np.testing.assert_array_equal(
            frames.predict(kinds), frames.predict(np.column_stack([X[:, 0] > 0, X[:, 1]]))
        )

    def test_object_arrays(self) -> None:
        with says(TypeError, "x has dtype object; expected real numbers: it holds 'a'"):
            make().predict(np.array([[0.5, "a"]], dtype=object))
        with says(ValueError, "are its rows of unequal length?"):
            make().predict(np.array([[0.5], [0.5, 0.5]], dtype=object))
        column = np.array([None, *X], dtype=object)[1:]  # of arrays
        np.testing.assert_array_equal(make().predict(column), make().predict(X))
        with says(TypeError, "pass x.astype(float)"):
            make().predict(X.astype(object))

    def test_tensors(self) -> None:
        torch = pytest.importorskip("torch")
        x, y = torch.tensor(X), torch.tensor(Y)
        arrays, tensors = make(), make()
        arrays.fit(X, Y, verbose=0)
        tensors.fit(x, y, verbose=0)
        same(arrays, tensors)
        for call in (tensors.fit, lambda x, y: tensors.fit(y.detach(), x), tensors.evaluate):
            with says(
                TypeError, "is a Tensor that NumPy can't convert to an array: Can't call numpy"
            ):
                call(x.clone().requires_grad_(), y.clone().requires_grad_())

    def test_objects_with_array_method(self) -> None:
        class Column:
            def __init__(self, values: np.ndarray) -> None:
                self.values = values

            def __array__(self, dtype=None, copy=None) -> np.ndarray:
                return self.values

        arrays, columns = make(), make()
        arrays.fit(X, Y, verbose=0)
        columns.fit(Column(X), Column(Y), verbose=0)
        same(arrays, columns)

    def test_data_is_not_written_to(self) -> None:
        x, y, weight = X.copy(), Y.copy(), WEIGHT.copy()
        for array in (x, y, weight):
            array.flags.writeable = False
        make(metrics=["mae"]).fit(
            x, y, sample_weight=weight, epochs=2, validation_split=0.3, verbose=0
        )
        np.testing.assert_array_equal(x, X)


BOOLEANS = X > 0.5


class TestConversion:
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    @pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int8, bool])
    @pytest.mark.parametrize("batch_size", [7, None])
    def test_integers_and_booleans_are_converted(self, kind, dtype: str, batch_size) -> None:
        x, y = BOOLEANS.astype(kind), BOOLEANS[:, 0].astype(kind)
        expected, found = make(dtype=dtype), make(dtype=dtype)
        options = {"batch_size": batch_size, "validation_split": 0.2, "epochs": 2, "verbose": 0}
        expected.fit(x.astype(dtype), y.astype(dtype), **options)
        found.fit(x, y, **options)
        same(found, expected)
        assert found.evaluate(x, y) == expected.evaluate(x.astype(dtype), y.astype(dtype))
        np.testing.assert_array_equal(found.predict(x), expected.predict(x.astype(dtype)))

    def test_batches_of_integers_are_converted(self) -> None:
        expected, found = make(), make()
        expected.fit(batches(BOOLEANS.astype(float), BOOLEANS[:, 0].astype(float)), verbose=0)
        found.fit(batches(BOOLEANS.astype(int), BOOLEANS[:, 0]), verbose=0)
        same(found, expected)

    def test_or_gate_of_lists(self) -> None:
        model = make()
        model.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 1], verbose=0)
        assert np.isfinite(model.history["loss"]).all()

    def test_rows_are_taken_in_the_dtype(self) -> None:
        form = Form(MSELoss(), (1,), network=make().network, dtype=np.dtype(np.float32))
        rows = Rows(BOOLEANS, Y, None, form)
        assert rows.take(slice(3)).x.dtype == np.float32
        assert {batch.x.dtype for batch in rows.batches(32, None)} == {np.dtype("float32")}
        assert rows.chunk == 16 * 2**20 // (2 * 8 + 8)

    @pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1])
    def test_integers_beyond_2_53_are_refused(self, value: int) -> None:
        x, y = np.ones((100, 2), np.int64), np.ones(100, np.int64)
        make().fit(x * 2**53, y, verbose=0)
        x[3, 1] = y[3] = value
        with says(ValueError, f"x holds {value} at index (3, 1)"):
            make().fit(x, Y)
        with says(ValueError, f"y holds {value} at index (3, 0)"):
            make().fit(X, y)
        with says(ValueError, f"x holds {value} at index (3, 1)"):
            make().predict(x)

    def test_class_indices_need_a_loss_for_classes(self) -> None:
        model = Sequential([Dense(3)], input_shape=(2,))
        model.compile(optimizer="sgd", loss="mse")
        with says(
            ValueError, "got (100,): give the last layer 1 unit, or y of shape (batch, 3), or"
        ):
            model.fit(X, np.arange(100) % 3)


class TestUnsuitableArrays:
    """x, y and sample_weight are validated in the same way."""

    @pytest.mark.parametrize("name", ["x", "y", "sample_weight"])
    @pytest.mark.parametrize(
        ("spoil", "error", "message"),
        [
            (lambda a: np.ma.masked_array(a, mask=a > 0.5), TypeError, "is a MaskedArray"),
            (lambda a: list(np.ma.masked_array(a, mask=a > 0.5)), TypeError, "not a plain array"),
            (lambda a: a + 0j, TypeError, "has dtype complex128"),
            (lambda a: a.astype(str), TypeError, "has dtype <U"),
            (lambda a: a.astype("M8[s]"), TypeError, "has dtype datetime64[s]"),
            (lambda a: a.astype("m8[s]"), TypeError, "has dtype timedelta64[s]"),
            (lambda a: np.where(a > 0.5, np.nan, a), ValueError, "holds nan at index"),
            (lambda a: np.where(a > 0.5, np.inf, a), ValueError, "holds inf at index"),
            (lambda a: "1", (TypeError, ValueError), " "),
            (lambda a: 1.0, ValueError, " "),
        ],
    )
    def test_in_fit_and_evaluate(self, name: str, spoil, error, message: str) -> None:
        data = {"x": X, "y": Y, "sample_weight": WEIGHT}
        data[name] = spoil(data[name])
        for call in (make().fit, make().evaluate):
            with says(error, message, name):
                call(**data)

    def test_sparse_matrices(self) -> None:
        sparse = pytest.importorskip("scipy.sparse").csr_matrix(X)
        for data in ((sparse, Y), (X, sparse), (X, Y, sparse)):
            with says(TypeError, "toarray()"):
                make().fit(X, Y, validation_data=data)

    @pytest.mark.parametrize(
        ("weight", "message"),
        [
            (WEIGHT[:3], "sample_weight expects shape (100,), a weight for each row, got (3,)"),
            (-WEIGHT, "sample_weight expects weights >= 0"),
            (0 * WEIGHT, "sample_weight expects a weight above zero"),
        ],
    )
    def test_wrong_weights(self, weight, message: str) -> None:
        with says(ValueError, message):
            make().fit(X, Y, sample_weight=weight)


class TestClassWeight:
    def test_validation_rows_have_no_class_weight(self) -> None:
        labels = np.arange(100) % 3
        model = Sequential([Dense(3)], input_shape=(2,), rng=0)
        model.compile(optimizer="sgd", loss=CrossEntropyLoss())
        options = {"sample_weight": WEIGHT, "validation_split": 0.3, "verbose": 0}
        history = model.fit(X, labels, class_weight={0: 1.0, 1: 2.0, 2: 50.0}, **options)
        _, held_out = split(Rows(X, labels, WEIGHT), 0.3, model.validation_seed)
        measured = model.evaluate(held_out.x, held_out.y, sample_weight=held_out.weight)
        assert history["val_loss"][-1] == pytest.approx(measured["loss"], rel=1e-14)

    def test_labels_split_by_index(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("minigrad.data.validation._COPY_BYTES", 0)
        train, _ = split(Rows(X, np.arange(100) % 2), 0.3, seed=0)
        weight = weighted_by_class(train, {0: 1, 1: 5}, (1,)).weight
        np.testing.assert_array_equal(weight, np.where(train.y[:] == 0, 1.0, 5.0))


class TestStepsPerEpoch:
    @staticmethod
    def endless() -> Iterator[tuple]:
        while True:
            yield from batches()

    @pytest.mark.parametrize(
        "source", [batches(), lambda: iter(batches())], ids=["list", "function"]
    )
    def test_next_epoch_continues_with_the_same_iterator(self, source) -> None:
        endless, other, by_hand = make(), make(), make()
        history = endless.fit(self.endless(), epochs=3, steps_per_epoch=3, verbose=0)
        other.fit(source, epochs=3, steps_per_epoch=3, verbose=0)
        nine = [*batches(), *batches(), batches()[0]]
        for start in (0, 3, 6):
            by_hand.fit(nine[start : start + 3], verbose=0)
        assert history.epochs == 3
        same(endless, by_hand)
        same(other, by_hand)

    def test_iterator_that_ends_too_early(self) -> None:
        with says(
            ValueError, "x is a list_iterator that is exhausted after 1 batches of this epoch"
        ):
            make().fit(iter(batches()), epochs=3, steps_per_epoch=3, verbose=0)

    def test_count_is_known(self) -> None:
        stream = Stream(self.endless(), steps=5).of(Form(MSELoss(), (1,)))
        assert stream.count(None) == 5
        assert [len(list(stream.batches(None, None))) for _ in range(2)] == [5, 5]

    @pytest.mark.parametrize(
        ("data", "steps", "error"),
        [((X, Y), 3, ValueError), ((batches(),), 0, ValueError), ((batches(),), "3", TypeError)],
    )
    def test_wrong_steps(self, data, steps, error) -> None:
        with says(error, "steps_per_epoch"):
            make().fit(*data, steps_per_epoch=steps)


class TestBatches:
    def test_list_is_iterated_each_epoch(self) -> None:
        arrays, listed = make(metrics=["mae"]), make(metrics=["mae"])
        arrays.fit(X, Y, epochs=3, shuffle=False, validation_data=(X[:9], Y[:9]), verbose=0)
        listed.fit(batches(), epochs=3, validation_data=[(X[:9], Y[:9])], verbose=0)
        same(arrays, listed)

    @pytest.mark.parametrize("kind", ["function", "iterable", "sequence", "zip"])
    def test_other_iterables(self, kind: str) -> None:
        class Loader:
            def __iter__(self) -> Iterator[tuple]:
                return iter(batches())

        class Batches:
            def __len__(self) -> int:
                return 4

            def __getitem__(self, index: int) -> tuple:
                return batches()[index]

        x, y = zip(*batches(), strict=True)
        source = {
            "function": lambda: (batch for batch in batches()),
            "iterable": Loader(),
            "sequence": Batches(),
            "zip": lambda: zip(x, y, strict=True),
        }[kind]
        listed, other = make(), make()
        listed.fit(batches(), epochs=2, verbose=0)
        other.fit(source, epochs=2, verbose=0)
        same(listed, other)

    def test_generator_lasts_one_epoch(self) -> None:
        listed, once = make(features=0), make(features=0)
        listed.fit(batches(), verbose=0)
        once.fit((batch for batch in batches()), verbose=0)
        same(listed, once)
        before = once.parameters.value.copy()
        generator = (batch for batch in batches())
        with says(
            ValueError, "x is a generator, which is exhausted after one epoch, and epochs is 2"
        ):
            once.fit(generator, epochs=2)
        assert len(list(generator)) == 4
        with says(ValueError, "validation_data: x is a generator, which is exhausted"):
            once.fit(X, Y, epochs=2, validation_data=(batch for batch in batches()))
        np.testing.assert_array_equal(once.parameters.value, before, strict=True)

    def test_exhausted_iterators(self) -> None:
        iterator = iter(batches())
        with says(ValueError, "exhausted after 0 batches of this epoch: pass a list"):
            make().fit(lambda: iterator, epochs=2, verbose=0)
        with says(ValueError, "x is an iterable without batches"):
            make().fit([])

    def test_batches_with_sample_weight(self) -> None:
        arrays, listed = make(), make()
        arrays.fit(X, Y, sample_weight=WEIGHT, shuffle=False, epochs=2, verbose=0)
        listed.fit(batches(X, Y, WEIGHT), epochs=2, verbose=0)
        same(arrays, listed)
        measured = arrays.evaluate(X, Y, sample_weight=WEIGHT)
        assert listed.evaluate(batches(X, Y, WEIGHT)) == pytest.approx(measured, rel=1e-14)
        validated = make().fit(X, Y, validation_data=(X, Y, WEIGHT), verbose=0)
        assert (
            validated["val_loss"] != make().fit(X, Y, validation_data=(X, Y), verbose=0)["val_loss"]
        )

    def test_class_weight_with_batches(self) -> None:
        labels = np.arange(100) % 3
        weights = {0: 1.0, 1: 2.0, 2: 5.0}
        models = []
        for _ in range(2):
            model = Sequential([Dense(3)], input_shape=(2,), rng=0)
            model.compile(optimizer="sgd", loss=CrossEntropyLoss())
            models.append(model)
        models[0].fit(X, labels, class_weight=weights, shuffle=False, verbose=0)
        models[1].fit(batches(X, labels), class_weight=weights, verbose=0)
        same(*models)

    def test_batches_of_different_sizes(self) -> None:
        model = make()
        parts = [(X[:1], Y[:1]), (X[1:90], Y[1:90]), (X[90:], Y[90:])]
        history = model.fit(parts, verbose=0)
        twin = make()
        losses = [twin.fit(x, y, batch_size=None, verbose=0)["loss"][0] for x, y in parts]
        np.testing.assert_array_equal(model.parameters.value, twin.parameters.value, strict=True)
        assert history["loss"][0] == pytest.approx(np.average(losses, weights=[1, 89, 10]))
        assert model.evaluate(parts) == pytest.approx(model.evaluate(X, Y), rel=1e-14)

    @pytest.mark.parametrize(
        ("bad", "error", "message"),
        [
            ((X[:5, :1], Y[:5]), ValueError, "batch 3: Dense 'dense_1' expects input of shape"),
            ((X[:5] * np.nan, Y[:5]), ValueError, "batch 3: x holds nan at index (0, 0)"),
            ((X[:5], Y[:4]), ValueError, "batch 3: x and y must have the same number of rows"),
            ((X[:5] > 0, Y[:5] * 1j), TypeError, "batch 3: y has dtype complex128"),
            (X[:5], TypeError, "batch 3 of x is an ndarray of shape (5, 2)"),
        ],
    )
    def test_errors_name_the_batch(self, bad, error: type[Exception], message: str) -> None:
        model, twin = make(), make()
        with says(error, message):
            model.fit([*batches()[:2], bad], verbose=0)
        twin.fit(batches()[:2], verbose=0)
        np.testing.assert_array_equal(model.parameters.value, twin.parameters.value, strict=True)

    def test_iterable_without_length(self) -> None:
        class Unsized:
            def __iter__(self) -> Iterator[tuple]:
                return iter(batches())

            def __len__(self) -> int:
                raise TypeError("no length")

        listed, unsized = make(), make()
        listed.fit(batches(), epochs=2, verbose=0)
        unsized.fit(Unsized(), epochs=2, verbose=0)
        same(listed, unsized)

    def test_iterable_that_reuses_its_arrays(self) -> None:
        def source():
            x, y = np.empty((20, 2)), np.empty(20)
            for start in range(0, 100, 20):
                x[...], y[...] = X[start : start + 20], Y[start : start + 20]
                yield x, y

        expected, found = (make(metrics=["mse"]) for _ in range(2))
        expected.fit(X, Y, batch_size=20, shuffle=False, verbose=0)
        found.fit(source, verbose=0)
        assert found.history["mse"] == pytest.approx(expected.history["mse"])
        assert found.evaluate(source)["mse"] == pytest.approx(expected.evaluate(X, Y)["mse"])

    def test_torch_data_loader(self) -> None:
        torch = pytest.importorskip("torch")
        data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
        loader = torch.utils.data.DataLoader(data, batch_size=32)
        listed, loaded = make(), make()
        listed.fit(batches(), epochs=2, verbose=0)
        loaded.fit(loader, epochs=2, verbose=0)
        same(listed, loaded)


class TestSplit:
    def test_split_is_random_and_repeatable(self) -> None:
        rows = Rows(np.arange(100.0).reshape(100, 1), np.arange(100.0))
        train, held_out = split(rows, 0.2, seed=3)
        both = np.concatenate([train.y, held_out.y])
        np.testing.assert_array_equal(np.sort(both), rows.y, strict=True)
        assert len(held_out) == 20
        assert held_out.y.min() < 50 < held_out.y.max()
        again = split(rows, 0.2, seed=3)[1]
        np.testing.assert_array_equal(again.y, held_out.y, strict=True)

    @pytest.mark.parametrize("batch_size", [None, 7, 32])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_large_array_is_split_by_index(
        self, batch_size: int | None, weighted: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        options = {"sample_weight": WEIGHT} if weighted else {}
        copied, picked = make(metrics=["mae"]), make(metrics=["mae"])
        for model, most in ((copied, 10**9), (picked, 10)):
            monkeypatch.setattr("minigrad.data.validation._COPY_BYTES", most)
            model.fit(
                X, Y, validation_split=0.3, batch_size=batch_size, epochs=2, verbose=0, **options
            )
        same(copied, picked)

    def test_one_batch_of_rows_split_by_index(self, monkeypatch: pytest.MonkeyPatch) -> None:
        expected, found = (
            Sequential([BatchNorm(), Dense(1)], input_shape=(2,), rng=0) for _ in range(2)
        )
        for model in (expected, found):
            model.compile(optimizer="sgd", loss="mse")
            model.fit(X, Y, batch_size=None, validation_split=0.2, epochs=2, verbose=0)
            monkeypatch.setattr("minigrad.data.validation._COPY_BYTES", 0)
        assert found.history == expected.history

    def test_part_with_zero_weights_is_refused(self) -> None:
        model = make()
        weight = np.ones(len(X))
        model.fit(X, Y, validation_split=0.5, sample_weight=weight, verbose=0)
        assert model.validation_seed is not None
        numbered = Rows(X, np.arange(100.0)[:, None])
        _, validation = split(numbered, 0.5, model.validation_seed)
        weight[validation.y.ravel().astype(int)] = 0
        with says(ValueError, "all 50 rows to validate have weight 0"):
            model.fit(X, Y, validation_split=0.5, sample_weight=weight, verbose=0)

    def test_rows_picked_by_index(self) -> None:
        array, index = RNG.uniform(size=(9, 3)), np.array([7, 0, 2])
        picked = Picked(array, index)
        assert (len(picked), picked.shape, picked.dtype) == (3, (3, 3), np.float64)
        np.testing.assert_array_equal(picked[1:], array[[0, 2]], strict=True)
        np.testing.assert_array_equal(np.asarray(picked), array[index], strict=True)
        single = np.asarray(picked, dtype=np.float32)
        np.testing.assert_array_equal(single, array[index].astype(np.float32), strict=True)


ROWS, FEATURES = 100_000, 100


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with x.npy of 80 MB and y.npy."""
    folder = tmp_path_factory.mktemp("stored")
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float64, (ROWS, FEATURES))
    for start in range(0, ROWS, 10_000):
        x[start : start + 10_000] = RNG.uniform(size=(10_000, FEATURES))
    np.save(folder / "y.npy", np.asarray(x[:, :2].sum(axis=1)))
    x.flush()
    return folder


class TestFiles:
    @pytest.mark.parametrize("dtype", ["float64", slow("float32")])
    @pytest.mark.parametrize(
        "options",
        [{}, {"batch_size": None}, {"validation_split": 0.3}, {"shuffle": False}],
        ids=str,
    )
    def test_file_is_read_in_small_pieces(
        self, stored: Path, dtype: str, options, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("rows._CHUNK_BYTES", "validation._COPY_BYTES"):
            monkeypatch.setattr(f"minigrad.data.{name}", 2**20)
        x, y = (np.load(stored / f"{name}.npy", mmap_mode="r") for name in "xy")
        model = make(features=FEATURES, dtype=dtype)
        model.fit(x[:64], y[:64], verbose=0)  # what is made once
        tracemalloc.start()
        model.fit(x, y, **{"batch_size": 256, **options}, verbose=0, threads=1)
        model.evaluate(x, y)
        model.predict(x, threads=1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < x.nbytes / 4

    def test_file_gives_the_same_as_an_array(self, stored: Path) -> None:
        file, array = make(features=FEATURES), make(features=FEATURES)
        for model, mode in ((file, "r"), (array, None)):
            x, y = (np.load(stored / f"{name}.npy", mmap_mode=mode) for name in "xy")
            model.fit(x[:5000], y[:5000], batch_size=100, validation_split=0.2, verbose=0)
        same(file, array)

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    def test_process_memory_does_not_grow_by_the_file(self, stored: Path) -> None:
        grown = subprocess.check_output(
            [sys.executable, "-c", GROWTH, str(stored), str(FEATURES)], text=True
        )
        assert int(grown) < ROWS * FEATURES * 8 / 3


GROWTH = """
import sys
import numpy as np
from minigrad import Dense, Sequential
x = np.lib.format.open_memmap(sys.argv[1] + "/x.npy", "r")
y = np.load(sys.argv[1] + "/y.npy")
model = Sequential([Dense(3), Dense(1)], input_shape=(int(sys.argv[2]),), rng=0)
model.compile(optimizer="sgd", loss="mse")
model.fit(np.zeros((2000, x.shape[1])), np.zeros(2000), batch_size=None, verbose=0)

def own() -> int:
    # what the process has of its own; pages of the file can be dropped at any time
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["RssAnon"].split()[0]) * 1024

import threading
most, done = [own()], threading.Event()
def watch():
    while not done.wait(0.005):
        most.append(own())
watcher = threading.Thread(target=watch)
watcher.start()
before = own()
model.fit(x, y, batch_size=None, verbose=0)
model.predict(x)
done.set()
watcher.join()
print(max(most) - before)
"""


SOURCES = [np.random.default_rng, np.random.RandomState]


class TestPermutation:
    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("rows", [1, 2, 3, 10, 255, 256, 257, 4097, 100_000])
    def test_each_row_occurs_once(self, rows: int, source) -> None:
        order = LazyPermutation(rows, source(1))[:]
        np.testing.assert_array_equal(np.sort(order), np.arange(rows), strict=True)

    def test_slices_are_parts_of_one_permutation(self) -> None:
        order = LazyPermutation(1000, np.random.default_rng(2))
        pieces = [order[start : start + 300] for start in range(0, 1000, 300)]
        assert [len(piece) for piece in pieces] == [300, 300, 300, 100]
        np.testing.assert_array_equal(np.concatenate(pieces), order[:], strict=True)

    @pytest.mark.parametrize("count", [100, slow(400)])
    def test_statistics_of_a_random_permutation(self, count: int) -> None:
        rows = 5000
        rng = np.random.default_rng(3)
        found = np.stack([LazyPermutation(rows, rng)[:] for _ in range(count)])
        # The position of a row, and the row after it, don't depend on its number.
        positions = np.argsort(found, axis=1)[:, [0, 1, rows // 2, rows - 1]]
        error = rows / np.sqrt(12 * count)
        assert (np.abs(positions.mean(axis=0) - (rows - 1) / 2) < 4 * error).all()
        for order in found[:5]:
            assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 4 / np.sqrt(rows)
            assert abs(np.corrcoef(np.arange(rows), order)[0, 1]) < 4 / np.sqrt(rows)
        # A random permutation has one fixed point on average.
        assert abs((found == np.arange(rows)).sum(axis=1).mean() - 1) < 4 / np.sqrt(count)

    def test_each_permutation_differs_and_a_seed_repeats_it(self) -> None:
        rng, same = np.random.default_rng(4), np.random.default_rng(4)
        first, second = LazyPermutation(100, rng)[:], LazyPermutation(100, rng)[:]
        assert (first != second).any()
        np.testing.assert_array_equal(first, LazyPermutation(100, same)[:], strict=True)

    def test_only_large_permutations_are_lazy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert isinstance(random_permutation(10, np.random.default_rng(0)), np.ndarray)
        monkeypatch.setattr(permutation, "_MOST_IN_MEMORY", 9)
        assert isinstance(random_permutation(10, np.random.default_rng(0)), LazyPermutation)
        rows = Rows(np.arange(10.0)[:, None], np.arange(10.0)[:, None])
        batches = [batch.x.ravel() for batch in rows.batches(4, np.random.default_rng(0))]
        assert [len(batch) for batch in batches] == [4, 4, 2]
        seen = np.concatenate(batches)
        assert (seen != np.arange(10)).any()
        np.testing.assert_array_equal(np.sort(seen), np.arange(10.0), strict=True)
