"""Films: what they record, and the pages they write."""

import base64
import copy
import json
import pickle
import re
import zlib

import numpy as np
import pytest

from helpers import says
from minigrad import (
    SGD,
    Add,
    BatchNorm,
    Callback,
    Conv1D,
    CrossEntropyLoss,
    Dense,
    Dropout,
    EarlyStopping,
    Flatten,
    Input,
    Model,
    MSELoss,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
)
from minigrad.film import Film
from minigrad.film.moments import folded, moments
from minigrad.film.scenes import spread

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, size=(60, 2))
Y = X.sum(axis=1, keepdims=True)


def make(*layers, rate=0.1, loss="mse", inputs=(2,), **options) -> Sequential:
    layers = layers or (Dense(3), Sigmoid(), Dense(1))
    model = Sequential(layers, input_shape=inputs, rng=4, **options)
    model.compile(optimizer=SGD(learning_rate=rate, momentum=0.5), loss=loss)
    return model


def data(html: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])


def numbers(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text), -15), dtype)


def written(film, tmp_path) -> dict:
    film.to_html(tmp_path / "film.html")
    return data((tmp_path / "film.html").read_text())


def test_numbers_are_those_of_the_run():
    film = (model := make()).film(X, Y, epochs=50, batch_size=None, verbose=0)
    assert film.updates == list(range(51))
    assert film.losses[:-1] == pytest.approx(model.history["loss"], rel=1e-12)
    assert film.losses[-1] == pytest.approx(model.evaluate(X, Y)["loss"], rel=1e-12)
    for updates in (0, 1, 20, 50):
        again = make()
        if updates:
            again.fit(X, Y, epochs=updates, batch_size=None, verbose=0)
        np.testing.assert_array_equal(film.parameters[updates], again.parameters.value)


def test_a_film_changes_no_bit_of_training():
    def train(*callbacks):
        model = make(Dense(8, "relu"), Dropout(0.3), BatchNorm(), Dense(1))
        history = model.fit(X, Y, epochs=9, batch_size=7, callbacks=callbacks, verbose=0)
        return model, history

    plain, history = train()
    filmed, same = train(film := Film(X, Y, frames=5))
    film._repr_html_()
    assert same == history
    np.testing.assert_array_equal(filmed.parameters.value, plain.parameters.value)
    assert filmed.fit(X, Y, epochs=2, verbose=0) == plain.fit(X, Y, epochs=2, verbose=0)


@pytest.mark.parametrize("first", [True, False])
def test_the_order_of_callbacks_does_not_matter(first):
    film, stop = Film(X, Y), EarlyStopping(monitor="loss", patience=3, min_delta=0.01)
    model = make()
    callbacks = [film, stop] if first else [stop, film]
    model.fit(X, Y, epochs=300, callbacks=callbacks, batch_size=30, verbose=0)
    assert film.updates[-1] == 2 * stop.stopped_epoch
    assert film._frames[-1].epoch == stop.stopped_epoch
    again = make()
    again.fit(X, Y, epochs=stop.stopped_epoch, batch_size=30, verbose=0)
    np.testing.assert_array_equal(film.parameters[-1], again.parameters.value)


def test_a_later_fit_continues_the_film():
    film, model = Film(X, Y, frames=30), make()
    for epochs in (10, 25):
        model.fit(X, Y, epochs=epochs, batch_size=15, callbacks=[film], verbose=0)
    assert film.updates[0] == 0
    assert film.updates[-1] == 35 * 4
    assert film.updates == sorted({*film.updates})
    whole = make().film(X, Y, epochs=35, batch_size=15, verbose=0, frames=1000)
    for update, parameters in zip(film.updates, film.parameters, strict=True):
        np.testing.assert_array_equal(parameters, whole.parameters[update])
    with says(ValueError, "Film expects the model that it began with"):
        make(Dense(1)).fit(X, Y, callbacks=[film], verbose=0)


def test_a_loaded_model_continues_to_count():
    (model := make()).fit(X, Y, epochs=3, verbose=0)
    film = model.film(X, Y, epochs=2, verbose=0)
    assert film.updates == [6, 7, 8, 9, 10]


def test_early_updates_are_not_lost():
    film = make(Dense(1)).film(X, Y, epochs=3000, batch_size=None, verbose=0, frames=100)
    gaps = np.diff(film.updates)
    assert 95 <= len(film.updates) <= 100
    assert (film.updates[0], film.updates[-1]) == (0, 3000)
    assert film.updates[:8] == list(range(8))
    assert gaps.max() < 150


def test_spread():
    assert spread([0, 1, 2], 5) == [0, 1, 2]
    for most in (2, 3, 10, 50):
        chosen = spread(np.cbrt(np.arange(1000)).tolist(), most)
        assert chosen[0] == 0
        assert chosen[-1] == 999
        assert 0.9 * most <= len(chosen) <= most


def test_every_update_calls_the_callbacks():
    class Count(Callback):
        calls = 0

        def on_update_end(self, trainer):
            assert trainer.optimizer.steps == self.calls + 1
            self.calls += 1

    count = Count()
    make().fit(X, Y, epochs=3, batch_size=25, callbacks=[count], verbose=0)
    assert count.calls == 9


def test_a_run_that_diverges_is_a_film(tmp_path):
    film = make(rate=50.0).film(X, Y, epochs=500, batch_size=None, verbose=0)
    assert "training stopped at epoch" in film.ended
    told = written(film, tmp_path)["films"][0]
    assert told["ended"]
    assert "Training stopped at epoch" in told["summary"]
    assert all(np.isfinite(p).all() for p in film.parameters)
    assert told["weights"]["parts"][0]["scale"] < 1e6


def test_a_run_that_diverges_at_once_is_a_film_of_one_frame(tmp_path):
    film = make(Dense(1)).film(X, 1e200 * Y, verbose=0)
    assert film.updates == [0]
    assert written(film, tmp_path)["films"][0]["losses"] == [None]


def test_an_explanation_belongs_to_its_frame():
    film = make().film(X, Y, epochs=20, verbose=0)
    for frame in (0, 7, -1):
        model = make()
        model.parameters.value = film.parameters[frame]
        explanation = film.explain(frame, row=3)
        assert explanation.j == pytest.approx(MSELoss().forward(model.predict(X[3:4]), Y[3:4]))
    with says(IndexError, "Film has rows 0 to 59, got 60"):
        film.explain(0, row=60)


@pytest.mark.slow
@pytest.mark.parametrize("frames", [30, 300])
def test_all_frames_of_a_small_network_fit_into_two_megabytes(frames, tmp_path):
    model = make(Dense(8, "tanh"), Dense(8, "tanh"), Dense(1), loss="bce_with_logits")
    film = model.film(X, Y > 0, epochs=200, verbose=0, frames=frames)
    assert len(film.updates) >= 0.95 * frames
    told = written(film, tmp_path)["films"][0]
    assert (tmp_path / "film.html").stat().st_size <= 2_000_000
    assert told["moments"] == list(range(len(film.updates)))  # each is explained
    weights = numbers(told["weights"]["values"], "<f4").reshape(len(film.updates), -1)
    flat = np.array(film.parameters)
    np.testing.assert_allclose(weights[:, :24], flat[:, :24], rtol=1e-6)
    assert weights.shape == flat.shape
    assert told["accuracies"][-1] > 0.9


@pytest.mark.parametrize("count", [1, 2, 9])
def test_folded_pages_unfold(count):
    pages = [
        f'<b>{i}</b>\n{{"a":"z {i} \\" {-i / 70:.6g}","b":{i / 7:.6g},"d":{i * 1e-9:.6g},'
        f'"e":"{i < 4}","c":[{",".join("1" * (i % 3))}]}}\n7'
        for i in range(count)
    ]
    packed = folded(pages)
    made = json.loads(zlib.decompress(base64.b64decode(packed.text), -15))
    planes = numbers(packed.numbers, "u1").reshape(4, -1)
    changes = iter(
        [-(n + 1) // 2 if n % 2 else n // 2 for n in planes.T.copy().view("<u4").ravel().tolist()]
    )
    for template, (_, columns) in enumerate(made["templates"]):
        rows = sum(one == template for one, _ in made["frames"])
        for place, column in enumerate(columns):
            if isinstance(column, int):
                sums = np.cumsum([next(changes) for _ in range(rows)])
                columns[place] = [f"{n / 10**column:.6g}" for n in sums]
    assert next(changes, None) is None
    for page, (template, row) in zip(pages, made["frames"], strict=True):
        pieces, columns = made["templates"][template]
        body = "".join(columns[p][row] if isinstance(p, int) else p for p in pieces).split("\n")
        lines = [body.pop(0) if line is None else line for line in made["shell"]]
        assert "\n".join(lines) == page


@pytest.mark.parametrize("most", [1, 3_000, 20_000, 1_000_000])
def test_moments_fit_and_are_written_once(most):
    written = []

    def page(frame):
        written.append(frame)
        return "\n".join(["<b>", *map(str, np.random.default_rng(frame).normal(size=50)), "</b>"])

    chosen, text = moments(page, range(300), most)
    assert len(written) == len({*written, *chosen}) <= max(9, len(chosen))
    assert (len(chosen) == 300) == (most == 1_000_000)
    assert text.size <= most or len(chosen) == 2
    assert (chosen[0], chosen[-1]) == (0, 299)
    assert np.ptp(np.diff(chosen)) <= 1  # evenly spaced


def residual():
    return make(Dense(4), Residual([Dense(4), ReLU()]), Dense(1)), X, Y


def convolution():
    model = make(Conv1D(3, 3), ReLU(), Flatten(), Dense(2), loss=CrossEntropyLoss(), inputs=(8, 1))
    return model, RNG.normal(size=(20, 8, 1)), np.arange(20) % 2


def wide():
    model = make(Dense(300, "relu"), Dense(4), loss=CrossEntropyLoss(), inputs=(50,))
    return model, RNG.normal(size=(30, 50)), np.eye(4)[np.arange(30) % 4]


def classes():
    return make(Dense(5, "tanh"), Dense(3), loss=CrossEntropyLoss()), X, np.arange(60) % 3


def one_input():
    return make(inputs=(1,), dtype="float32"), X[:, :1], Y


def nested():
    return make(make(Dense(3), BatchNorm()), Sigmoid(), Dense(2)), X, X


def graph():
    inputs = Input((2,), name="x")
    hidden = Dense(3)(inputs)
    model = Model(inputs=inputs, outputs=Dense(1)(Add()(hidden, Dense(3)(hidden))))
    model.compile(optimizer="sgd", loss="mse")
    return model, X, Y


def several_outputs():
    a, b = Input((2,), name="a"), Input((3,), name="b")
    outputs = {"sum": Dense(1)(a), "kind": Dense(2)(Dense(3)(b))}
    model = Model(inputs=[a, b], outputs=outputs)
    model.compile(optimizer="sgd", loss={"sum": "mse", "kind": "cross_entropy"})
    x = {"a": X, "b": RNG.normal(size=(60, 3))}
    return model, x, {"sum": Y, "kind": np.arange(60) % 2}


CASES = {
    residual: ([], "map"),
    convolution: ([], "histograms"),
    wide: ([50, 300, 4], "histograms"),
    classes: ([2, 5, 3], "map"),
    one_input: ([1, 3, 1], "curve"),
    nested: ([2, 3, 2], "map"),
    graph: ([], "map"),
    several_outputs: ([], "histograms"),
}


@pytest.mark.parametrize("made", CASES, ids=lambda made: made.__name__)
def test_any_model_has_a_film(made, tmp_path):
    model, x, y = made()
    film = model.film(x, y, epochs=5, verbose=0, frames=8)
    told = written(film, tmp_path)["films"][0]
    columns, kind = CASES[made]
    assert [column["size"] for column in told["weights"]["columns"]] == columns
    assert told["picture"]["kind"] == kind
    assert len(told["losses"]) == len(film.updates)
    assert (tmp_path / "film.html").stat().st_size <= 2_000_000
    assert all(max(column["shown"]) < column["size"] for column in told["weights"]["columns"])


def test_films_side_by_side(tmp_path):
    films = [
        make(rate=rate).film(X, Y, frames=9, verbose=0, title=f"{rate} </script>", lines={"a": 1})
        for rate in (0.1, 0.2)
    ]
    films[0].beside(films[1]).to_html(tmp_path / "films.html")
    told = data((tmp_path / "films.html").read_text())
    assert [film["title"] for film in told["films"]] == ["0.1 </script>", "0.2 </script>"]
    assert told["films"][0]["lines"] == [["a", 1.0]]
    assert "srcdoc" in films[0].beside(films[1])._repr_html_()
    assert repr(films[0].beside(films[1])).startswith("Films(Film(")


def test_a_film_is_copied_and_pickled():
    film = make().film(X, Y, epochs=3, verbose=0)
    for other in (copy.deepcopy(film), pickle.loads(pickle.dumps(film))):
        assert other.losses == film.losses
        assert repr(other) == repr(film)


def test_wrong_use():
    film = Film(X, Y)
    assert repr(film) == "Film(frames=300): pass it to fit"
    with says(RuntimeError, "Film has no frames: pass it to fit"):
        film.to_html("film.html")
    with says(ValueError, "Film expects a whole number frames >= 2, got 1"):
        Film(X, Y, frames=1)
    with says(TypeError, "batchsize"):
        make().film(X, Y, batchsize=3)
    with says(ValueError, "x and y must have the same number of rows"):
        make().fit(X, Y, callbacks=[Film(X, Y[:5])], verbose=0)


def test_colors_of_predictions_span_the_targets(tmp_path):
    model, x, y = residual()
    told = written(model.film(x, y, epochs=2, verbose=0), tmp_path)["films"][0]
    assert told["picture"]["values_from"] == [y.min(), y.max()]
