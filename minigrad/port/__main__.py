"""`python -m minigrad.port program.py` says what a program for Keras has to change."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from minigrad.port import findings


def main(arguments: Sequence[str]) -> int:
    """Run the command, and return its exit status: 1 if there is something to change."""
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.port", description="Say what a program for Keras has to change."
    )
    parser.add_argument("program", type=Path, help="a Python file; it is read, and isn't run")
    path = parser.parse_args(arguments).program
    try:
        found = findings(path.read_text())
    except (OSError, SyntaxError, ValueError) as error:
        raise SystemExit(f"{path}: {error}") from None
    lines: dict[tuple[str, str], list[str]] = {}
    for line, text, way in found:
        lines.setdefault((text, way), []).append(str(line))
    for (text, way), where in lines.items():
        print(f"{', '.join(where)}: {text} -> {way}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
