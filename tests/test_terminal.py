"""The width and the colors of the terminal that text is printed on."""

import io
import os

import pytest

from minigrad.util.terminal import Terminal


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1


@pytest.fixture
def sized(monkeypatch: pytest.MonkeyPatch):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WT_SESSION", "on")  # for Windows

    def set_columns(columns: int) -> FakeTerminal:
        monkeypatch.setattr(os, "get_terminal_size", lambda fd: os.terminal_size((columns, 24)))
        return FakeTerminal()

    return set_columns


def test_a_terminal_has_its_width_and_color(sized, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Terminal.of(sized(47)) == (47, True)
    monkeypatch.setattr("sys.stdout", sized(133))
    assert Terminal.of() == (133, True)


def test_a_terminal_of_unknown_width_has_80_columns(sized, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Terminal.of(sized(0)).width == 80

    def fail(_: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "get_terminal_size", fail)
    assert Terminal.of(FakeTerminal()).width == 80


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_color_can_be_off(sized, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert Terminal.of(sized(60)) == (60, False)


def test_an_empty_no_color_is_not_set(sized, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    assert Terminal.of(sized(60)).color


def test_a_file_has_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Terminal.of(io.StringIO()) == (80, False)
    monkeypatch.setattr("sys.stdout", None)  # a program without a console
    assert Terminal.of() == (80, False)
