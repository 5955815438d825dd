"""Progress on a terminal and elsewhere, and Ctrl-C."""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from minigrad import SGD, Dense, EarlyStopping, Identity, Sequential, Tanh
from minigrad.util import progress as module
from minigrad.util.progress import Progress, fit_line, progress

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(100, 2))
Y = X.sum(axis=1)


@pytest.fixture(autouse=True)
def ctrl_c_raises():
    """Make Ctrl-C raise: a job in the background of a shell ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Terminal(io.StringIO):
    """A terminal of a given width that records its screen."""

    def __init__(self, columns: int = 80) -> None:
        super().__init__()
        self.columns = columns
        self.screen = [""]
        self.drawn: list[str] = []
        self.widest = 0

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 99

    def write(self, text: str) -> int:
        assert "\x1b" not in text
        for piece in re.split(r"(\r|\n)", text):
            if piece == "\n":
                self.screen.append("")
                self.column = 0
            elif piece == "\r":
                self.column = 0
            else:
                old = self.screen[-1]
                self.screen[-1] = old[: self.column] + piece + old[self.column + len(piece) :]
                self.column += len(piece)
                self.widest = max(self.widest, self.column)
        self.drawn.append(self.screen[-1].rstrip())
        return len(text)

    column = 0

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen if line.strip()]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch):
    def use(columns: int = 80, *, redraw: float = 0.0, seconds: float | None = None) -> Terminal:
        made = Terminal(columns)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stdout", made)
        monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((columns, 24)))
        monkeypatch.setattr(module, "_REDRAW_SECONDS", redraw)
        monkeypatch.setattr(module, "_DRAWING_SHARE", 0)
        if seconds is not None:  # each call of the clock takes this long
            now = iter(np.arange(1e6) * seconds)
            monkeypatch.setattr(module, "perf_counter", lambda: float(next(now)))
        return made

    return use


def make(*, metrics=(), layers=None) -> Sequential:
    model = Sequential(layers or [Dense(3), Tanh(), Dense(1)], input_shape=(2,), rng=4)
    model.compile(optimizer=SGD(learning_rate=0.1), loss="mse", metrics=metrics)
    return model


def test_one_plain_line_per_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    model = make(metrics=["mae"])
    for verbose, epochs in (("auto", 9), (1, 1), (2, 1)):
        model.fit(X, Y, epochs=epochs, validation_split=0.1, verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("epoch 1/9  loss ")
    assert lines[9].startswith("epoch 10/10  loss ")
    logs = "  ".join(f"{name} {values[0]:#.4g}" for name, values in model.history.items())
    assert lines[0] == f"epoch 1/9  {logs}"


@pytest.mark.parametrize("tty", [True, False])
def test_verbose_0_prints_nothing(tty: bool, terminal, capsys: pytest.CaptureFixture[str]) -> None:
    screen = terminal() if tty else None
    model = make()
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[EarlyStopping(monitor="loss", patience=1)])
    model.predict(X)
    model.evaluate(X, Y)
    assert (screen.getvalue() if screen else capsys.readouterr().out) == ""
    assert screen is None or screen.drawn == []


@pytest.mark.parametrize("verbose", [3, -1, "loud", None])
def test_verbose_is_checked(verbose) -> None:
    with pytest.raises(ValueError, match="fit expects verbose 'auto', 0, 1 or 2, got"):
        make().fit(X, Y, verbose=verbose)


def test_verbose_selects_the_display(terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal()
    shown = [progress(verbose) for verbose in ("auto", 0, 1, 2)]
    assert [p.in_place for p in shown] == [True, False, True, False]
    assert [p.stream is sys.stdout for p in shown] == [True, False, True, True]
    monkeypatch.setenv("TERM", "dumb")
    assert not progress("auto").in_place
    monkeypatch.setattr(sys, "stdout", None)
    assert progress("auto").stream is None


def test_the_line_on_a_terminal(terminal) -> None:
    screen = terminal(120, seconds=0.5)
    make(metrics=["mae"]).fit(X, Y, epochs=2, batch_size=25, validation_split=0.2)
    middle = re.compile(r"epoch 2/2  \[=+>\.+\]  2/4  \d+/s  loss 0\.\d+  mae 0\.\d+  0:\d\d left")
    assert any(middle.fullmatch(text) for text in screen.drawn)
    assert len(screen.lines) == 2
    assert re.fullmatch(r"epoch 2/2  loss \S+  mae \S+  val_loss \S+  val_mae \S+", screen.lines[1])


def test_the_line_shows_the_logs_of_the_rows_so_far(terminal) -> None:
    screen = terminal(120)
    model, twin = make(metrics=["mae"]), make(metrics=["mae"])
    model.fit(X, Y, batch_size=25, shuffle=False)
    twin.fit(X[:50], Y[:50], batch_size=25, shuffle=False, verbose=0)
    shown = next(text for text in screen.drawn if " 2/4 " in text)
    assert f"loss {twin.history['loss'][0]:#.4g}  mae {twin.history['mae'][0]:#.4g}" in shown


@pytest.mark.parametrize("columns", [1, 2, 10, 20, 30, 40, 60, 79, 80, 81, 100, 200])
@pytest.mark.parametrize("metrics", [(), ("mae", "rmse", "mse")])
def test_the_line_fits_any_width(terminal, columns: int, metrics) -> None:
    screen = terminal(columns)
    make(metrics=metrics).fit(X, Y, epochs=3, batch_size=10, validation_split=0.2)
    assert screen.widest <= max(len("  val_rmse 0.0001234"), columns - 1)
    kept = "\n".join(screen.lines)
    assert [int(number) for number in re.findall(r"epoch (\d)/3", kept)] == [1, 2, 3]
    for name in ("loss", "val_loss", *metrics, *(f"val_{metric}" for metric in metrics)):
        assert len(re.findall(rf"(?<![a-z_]){name} \d", kept)) == 3
    if columns == 200:
        assert len(screen.lines) == 3


def test_a_terminal_of_unknown_width(monkeypatch: pytest.MonkeyPatch, terminal) -> None:
    screen = terminal()
    monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((0, 0)))
    make(metrics=["mae", "rmse", "mse"]).fit(X, Y, epochs=2, batch_size=10)
    assert 60 < screen.widest <= 79


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (
            100,
            "epoch  3/20  [===>................]  12/80  35/s  loss 0.1234  mae 0.9876  0:12 left",
        ),
        (80, "epoch  3/20  [==>............]  12/80  35/s  loss 0.1234  mae 0.9876  0:12 left"),
        (60, " 3/20  [=>....]  12/80  35/s  loss 0.1234  mae 0.9876  0:12"),
        (50, " 3/20  12/80  35/s  loss 0.1234  mae 0.9876  0:12"),
        (40, " 3/20  loss 0.1234  mae 0.9876  0:12"),
        (30, " 3/20  loss 0.1234  0:12"),
        (20, " 3/20  loss 0.1234"),
        (12, " 3/20"),
        (4, " 3/"),
    ],
)
def test_a_narrow_line_drops_the_least_important_parts(columns: int, line: str) -> None:
    parts = [("epoch  3/20", 0), ("12/80", 5), ("35/s", 6), ("loss 0.1234", 1), ("mae 0.9876", 4)]
    assert fit_line([*parts, ("0:12 left", 3)], columns - 1, share=0.15) == line


def test_the_rate_and_the_time_left_are_of_the_whole_run(terminal) -> None:
    screen = terminal(120)
    now = iter([100.0] * 2 + [110.0] * 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "perf_counter", lambda: next(now))
        shown = progress("auto")
        shown.begin(2, 6)
        shown.begin_epoch(40)
        shown.end_epoch({"loss": 1.0})
        shown.begin_epoch(40)
        shown.batch(10, lambda: {"loss": 0.5})  # 50 of 160 batches in 10 seconds
    assert re.search(r"  10/40  5/s  loss 0\.5000  0:22 left", screen.drawn[-1])


def test_the_line_is_redrawn_at_most_ten_times_a_second(terminal) -> None:
    screen = terminal(redraw=0.1)
    before = time.perf_counter()
    make().fit(X, Y, epochs=400, batch_size=10)
    tenths = (time.perf_counter() - before) / 0.1
    assert 0 < len(set(screen.drawn)) <= 2 * tenths + 4


def test_a_long_run_keeps_one_line_per_second(terminal) -> None:
    screen = terminal(seconds=0.01)
    make().fit(X, Y, epochs=100, batch_size=None)
    epochs = [int(re.match(r"epoch +(\d+)/100", line)[1]) for line in screen.lines]
    assert 1 < len(epochs) < 20
    assert epochs[-1] == 100


@pytest.mark.parametrize(("verbose", "most"), [("auto", 20), (1, 20), (2, 100)])
def test_a_long_run_does_not_flood_a_file(
    verbose, most: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter(np.arange(1e6) * 0.05)
    monkeypatch.setattr(module, "perf_counter", lambda: float(next(now)))
    make().fit(X, Y, epochs=100, batch_size=None, verbose=verbose)
    epochs = [int(line.split()[1].split("/")[0]) for line in capsys.readouterr().out.splitlines()]
    assert most / 5 <= len(epochs) <= most
    assert epochs[-1] == 100


def test_an_iterable_of_unknown_length_has_no_bar_in_the_first_epoch(terminal) -> None:
    screen = terminal(120)

    def batches():
        for start in range(0, 100, 25):
            yield X[start : start + 25], Y[start : start + 25]

    make().fit(batches, epochs=2)
    first = [text for text in screen.drawn if text.startswith("epoch 1/2")]
    assert any(re.search(r"  batch 2  \S+/s  loss", text) for text in first)
    assert not any("[" in text for text in first)
    assert any("]  2/4  " in text for text in screen.drawn if text.startswith("epoch 2/2"))


def test_output_of_callbacks_has_its_own_lines(terminal) -> None:
    screen = terminal()
    told = [lambda epoch, logs: print("after", epoch)]
    make().fit(X, Y, epochs=3, batch_size=10, callbacks=told)
    kinds = [line.split()[0] for line in screen.lines]
    assert kinds == ["epoch", "after"] * 3
    assert [line for line in screen.lines if line.startswith("after")] == [
        "after 1", "after 2", "after 3",
    ]  # fmt: skip


def test_output_of_callbacks_in_many_fast_epochs(terminal) -> None:
    screen = terminal(redraw=0.1)
    told = [lambda epoch, logs: print("after", epoch)]
    make().fit(X, Y, epochs=60, batch_size=None, callbacks=told)
    printed = [line for line in screen.lines if line.startswith("after")]
    assert printed == [f"after {epoch}" for epoch in range(1, 61)]


def test_early_stopping_prints_a_message(terminal, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> None:
        stopping = EarlyStopping(monitor="loss", patience=1, min_delta=10)
        make().fit(X, Y, epochs=100, callbacks=[stopping])

    stopped()
    said = "stopped after epoch 2: best loss in epoch 1; its parameters are restored"
    lines = capsys.readouterr().out.splitlines()
    assert [line[:11] for line in lines] == ["epoch   2/1", said[:11]]
    assert lines[-1] == said
    screen = terminal(redraw=0.1)
    stopped()
    assert screen.lines[-2].startswith("epoch   2/100  loss ")
    assert screen.lines[-1] == said


def test_a_character_that_the_encoding_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def größe(target, prediction) -> float:
        return 1.0

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    make(metrics=[größe]).fit(X, Y)
    assert b"gr??e 1.000\n" in raw.getvalue()


def test_an_error_starts_on_its_own_line(terminal) -> None:
    screen = terminal(redraw=0.0)
    model = make()

    def fail(epoch, logs) -> None:
        if epoch == 2:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        model.fit(X, Y, epochs=3, batch_size=10, callbacks=[fail])
    assert screen.screen[-1].strip() == ""
    assert screen.column == 0 or screen.screen[-1] == ""


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_without_a_terminal_no_batch_is_shown(stream) -> None:
    assert not Progress(stream).in_place


def test_a_batch_costs_less_than_a_microsecond_on_a_terminal() -> None:
    line = Progress(Terminal(), in_place=True)
    line.begin(0, 1)
    line._due += 1000
    took = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(10_000):
            line.due()
        took.append((time.perf_counter() - start) / 10_000)
    assert min(took) < 1e-6


# Ctrl-C


class Pressing(Identity):
    """Presses Ctrl-C in the middle of its n-th training step."""

    def __init__(self, step: int, presses: int = 1) -> None:
        super().__init__()
        self.step, self.presses, self.steps = step, presses, 0

    def forward(self, x, *, training=True):
        if training:
            self.steps += 1
            if self.steps == self.step:
                for _ in range(self.presses):
                    signal.raise_signal(signal.SIGINT)
        return super().forward(x, training=training)


def interrupted(step: int, presses: int = 1) -> Sequential:
    model = make(layers=[Dense(3), Pressing(step, presses), Dense(1)])
    model.history.clear()
    return model


@pytest.mark.parametrize(("step", "epochs"), [(3, 0), (4, 1), (7, 1)])
def test_ctrl_c_ends_training_after_the_step(
    step: int, epochs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    model, twin = interrupted(step), interrupted(step=0)
    history = model.fit(X, Y, epochs=5, batch_size=25, shuffle=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == epochs + 1
    assert lines[-1] == (
        f"interrupted after {epochs} of 5 epochs: the parameters are those of the last finished "
        "step"
    )
    assert history.epochs == model.history.epochs == epochs
    assert model.layers[1].steps == step
    for start in [0, 25, 50, 75, 0, 25, 50][:step]:
        part = slice(start, start + 25)
        twin.fit(X[part], Y[part], shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.parameters.value, twin.parameters.value, strict=True)
    assert repr(model).endswith(f"# in the middle of training: {epochs} of 5 epochs are done")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_training_continues_after_ctrl_c() -> None:
    model = interrupted(step=6)
    model.fit(X, Y, epochs=5, batch_size=25, verbose=0)
    history = model.fit(X, Y, epochs=2, batch_size=25, verbose=0)
    assert history.epochs == 2
    assert model.history.epochs == 3
    assert "middle" not in repr(model)


def test_ctrl_c_in_the_last_step_is_not_an_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    model = interrupted(step=1)
    assert model.fit(X, Y, batch_size=None).epochs == 1
    assert "interrupted" not in capsys.readouterr().out


def test_a_second_ctrl_c_raises_at_once() -> None:
    model = interrupted(step=6, presses=2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=5, batch_size=25, verbose=0)
    assert model.history.epochs == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_custom_signal_handler_stays() -> None:
    pressed = []

    def mine(number, frame) -> None:
        pressed.append(number)

    before = signal.signal(signal.SIGINT, mine)
    try:
        model = interrupted(step=2)
        assert model.fit(X, Y, epochs=2, batch_size=25, verbose=0).epochs == 2
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)
    assert pressed == [signal.SIGINT]


def test_training_in_another_thread() -> None:
    model = make()
    thread = threading.Thread(target=lambda: model.fit(X, Y, epochs=2, verbose=0))
    thread.start()
    thread.join()
    assert model.history.epochs == 2


PROGRAM = """
import signal
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)
from minigrad import Dense, Sequential, SGD
model = Sequential([Dense(3), Dense(1)], input_shape=(2,), rng=0)
model.compile(optimizer=SGD(learning_rate=0.01), loss="mse")
x = np.ones((1000, 2))
print("ready", flush=True)
history = model.fit(x, x[:, :1], epochs=10**7)
print("went on with all" if 0 < history.epochs == model.history.epochs else "went on with less")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is needed")
def test_ctrl_c_on_a_real_terminal() -> None:
    import pty

    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    said = b""
    try:
        while b"left" not in said:
            said += os.read(ours, 4096)
        program.send_signal(signal.SIGINT)
        while b"went on with" not in said or not said.endswith(b"\n"):
            said += os.read(ours, 4096)
        assert program.wait(timeout=30) == 0
    finally:
        program.kill()
        program.wait()
        os.close(ours)
    text = said.decode()
    assert "Traceback" not in text
    assert re.search(
        r"\repoch +(\d+)/10000000  loss \S+ *\r\n"
        r"interrupted after \1 of 10000000 epochs: .*\r\nwent on with all\r\n$",
        text,
    )
