"""Columns, tensors and batches of other libraries give the same training as arrays."""

from typing import Any

import numpy as np
import pytest

from helpers import DLPack, says
from minigrad import Dense, Input, Model, Sequential
from minigrad.interop.datasets import DatasetBatches

X = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
Y = X.sum(axis=1)
NAMES = ["a", "b"]


def make() -> Sequential:
    model = Sequential([Dense(3, "tanh"), Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer="adam", loss="mse")
    return model


def same(x: Any, y: Any, **options: Any) -> None:
    """Compare training, evaluation and prediction with those of arrays."""
    arrays, others = make(), make()
    arrays.fit(X, Y, validation_data=(X, Y), verbose=0)
    others.fit(x, y, validation_data=(x, y), verbose=0)
    np.testing.assert_array_equal(others.parameters.value, arrays.parameters.value)
    assert others.history == arrays.history
    assert others.evaluate(x, y) == arrays.evaluate(X, Y)
    np.testing.assert_array_equal(others.predict(x), arrays.predict(X), strict=True)


class TestColumns:
    def test_pandas(self) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(X, columns=NAMES)
        same(frame, pandas.Series(Y))
        same(frame.astype({"a": "Float32"}), pandas.Series(Y, dtype="Float32"))
        same(pandas.Series([*X]), Y)  # of arrays
        with says(TypeError, "x['c']", "it holds 'text'"):
            make().predict(frame.assign(c="text"))
        with says(ValueError, "x holds nan at index (3, 0)"):
            make().fit(frame.assign(a=frame["a"].astype("Float32").mask(frame.index == 3)), Y)

    def test_pandas_columns_in_arrow(self) -> None:
        pytest.importorskip("pyarrow")
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(X, columns=NAMES).convert_dtypes(dtype_backend="pyarrow")
        same(frame, pandas.Series(Y))

    def test_polars(self) -> None:
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame(X, schema=NAMES)
        same(frame, polars.Series(Y))
        same(frame.select(polars.concat_list("a", "b"))["a"], Y)
        with says(TypeError, "x is a LazyFrame", "pass x.collect()"):
            make().predict(frame.lazy())
        with says(TypeError, "x has dtype object", "it holds 'text'"):
            make().predict(frame.with_columns(polars.lit("text").alias("b")))
        with says(ValueError, "x holds nan at index (0, 1)"):
            make().fit(frame.with_columns(b=None), Y)

    def test_arrow(self) -> None:
        arrow = pytest.importorskip("pyarrow")
        table = arrow.table(dict(zip(NAMES, X.T, strict=True)))
        same(table, arrow.array(Y))
        same(table.to_batches()[0], arrow.chunked_array([Y[:20], Y[20:]]))
        same(arrow.FixedSizeListArray.from_arrays(arrow.array(X.ravel()), 2), Y)
        with says(TypeError, "x has dtype object", "it holds 'text'"):
            make().predict(arrow.table({"a": ["text"], "b": ["more"]}))


class TestTensors:
    @pytest.mark.parametrize("module", ["torch", "jax.numpy"])
    def test_tensors(self, module: str) -> None:
        tensors = pytest.importorskip(module)
        same(tensors.asarray(X), tensors.asarray(Y))
        same([*tensors.asarray(X)], Y)
        same(DLPack(tensors.asarray(X)), DLPack(tensors.asarray(Y)))

    def test_dlpack_alone(self) -> None:
        same(DLPack(X), DLPack(Y))

    def test_dtypes_that_numpy_lacks(self) -> None:
        torch = pytest.importorskip("torch")
        x = torch.asarray(X)
        with says(TypeError, "x is a Tensor", "BFloat16", "pass x.float()"):
            make().predict(x.bfloat16())
        with says(TypeError, "x is a DLPack that NumPy can't convert"):
            make().predict(DLPack(x.bfloat16()))
        with says(TypeError, "x has dtype complex64; expected real numbers"):
            make().predict(x.to(torch.complex64))
        for moved, way in ((x.requires_grad_(), "detach()"), (x.to("meta"), "cpu()")):
            with says(TypeError, "x is a Tensor", way):
                make().predict(moved)
        with says(TypeError, "x is a DLPack that NumPy can't convert", "gradient"):
            make().predict(DLPack(x.requires_grad_()))

    def test_bfloat16_of_jax(self) -> None:
        jnp = pytest.importorskip("jax.numpy")
        with says(TypeError, "x has dtype bfloat16", "x.astype('float32')"):
            make().predict(jnp.asarray(X, dtype=jnp.bfloat16))
        make().predict(jnp.asarray(X, dtype=jnp.bfloat16).astype("float32"))


class TestBatches:
    def test_data_loader(self) -> None:
        torch = pytest.importorskip("torch")
        data = torch.utils.data.TensorDataset(torch.asarray(X), torch.asarray(Y))
        loader = torch.utils.data.DataLoader(data, batch_size=16)
        arrays, loaded = make(), make()
        arrays.fit(X, Y, epochs=3, batch_size=16, shuffle=False, validation_data=(X, Y), verbose=0)
        loaded.fit(loader, epochs=3, validation_data=loader, verbose=0)
        np.testing.assert_array_equal(loaded.parameters.value, arrays.parameters.value)
        np.testing.assert_allclose(loaded.history["val_loss"], arrays.history["val_loss"])
        shuffled = torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)
        assert loaded.fit(shuffled, epochs=2, verbose=0).epochs == 2

    @pytest.fixture
    def dataset(self) -> Any:
        datasets = pytest.importorskip("datasets")
        rows = {"x": X.tolist(), "y": Y, "weight": np.ones(60), "a": X[:, 0], "b": X[:, 1]}
        return datasets.Dataset.from_dict(rows)

    @pytest.mark.parametrize("form", [None, "numpy", "torch", "arrow", "pandas", "polars"])
    @pytest.mark.parametrize("x", ["x", NAMES], ids=str)
    @pytest.mark.parametrize("stream", [False, True])
    def test_dataset(self, dataset: Any, form: str | None, x: Any, stream: bool) -> None:
        if form not in (None, "numpy"):
            pytest.importorskip(form.replace("arrow", "pyarrow"))
        if stream:
            dataset = dataset.to_iterable_dataset()
        arrays, batched = make(), make()
        arrays.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0)
        batches = DatasetBatches(dataset.with_format(form), x, "y", batch_size=16, shuffle=False)
        batched.fit(batches, epochs=3, validation_data=batches, verbose=0)
        np.testing.assert_array_equal(batched.parameters.value, arrays.parameters.value)
        assert stream or len(batches) == 4

    def test_columns_of_a_dataset(self, dataset: Any) -> None:
        same(dataset["x"], dataset["y"])

    def test_numbers_keep_their_precision(self) -> None:
        datasets = pytest.importorskip("datasets")
        data = datasets.Dataset.from_dict({"x": [0.1, 0.2], "y": [1, 2]})
        ((x, y),) = DatasetBatches(data, ["x"], "y", shuffle=False)
        np.testing.assert_array_equal(x, [[0.1], [0.2]])
        assert np.asarray(y).dtype.kind == "i"

    @pytest.mark.parametrize("stream", [False, True])
    def test_order_of_rows(self, dataset: Any, stream: bool) -> None:
        if stream:
            dataset = dataset.to_iterable_dataset()

        def epochs(rng: int) -> list[list[float]]:
            batches = DatasetBatches(dataset, "x", "y", rng=rng)
            return [[y for _, part in batches for y in part] for _ in range(2)]

        first, second = epochs(0)
        assert first != second
        assert sorted(first) == sorted(second) == sorted(Y.astype(float))
        assert epochs(0) == [first, second]
        assert epochs(1) != [first, second]

    def test_several_inputs_and_weights(self, dataset: Any) -> None:
        a, b = Input((2,), name="first"), Input((1,), name="second")
        model = Model(inputs=[a, b], outputs={"p": Dense(1)(a), "q": Dense(1)(b)}, rng=0)
        model.compile(optimizer="sgd", loss={"p": "mse", "q": "mse"})
        batches = DatasetBatches(
            dataset,
            {"first": "x", "second": ["a"]},
            {"p": "y", "q": "b"},
            sample_weight={"p": "weight", "q": "weight"},
        )
        assert set(model.fit(batches, verbose=0)) == {"loss", "p_loss", "q_loss"}

    def test_wrong_dataset(self, dataset: Any) -> None:
        import datasets

        with says(TypeError, "got a DatasetDict", "dataset['train']"):
            DatasetBatches(datasets.DatasetDict(train=dataset), "x", "y")
        with says(ValueError, "got 'wait'", "'weight'"):
            DatasetBatches(dataset, {"first": ["x", "wait"]}, "y")
        with says(ValueError, "batch_size >= 1"):
            DatasetBatches(dataset, "x", "y", batch_size=0)
