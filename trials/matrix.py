"""Which Pythons and NumPys run it? `python -m trials.matrix` makes an environment for each.

It looks for the interpreters python3.11 to python3.14 and python3.14t, and for those of pyenv, and
tests each with the oldest and the newest NumPy that it can have. Each also predicts in eight
threads. Tests that need packages which can't be installed there are skipped.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSIONS = ["3.11", "3.12", "3.13", "3.14", "3.14t"]
OLDEST = {"3.11": "2.0.0", "3.12": "2.0.0", "3.13": "2.1.0", "3.14": "2.3.3", "3.14t": "2.3.3"}
"""The oldest NumPy with a wheel for a Python."""
FEW = "parameters model optimizers losses data graph threads saving safetensors atomic"
PREDICT = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from minigrad import Dense, ReLU, Sequential
model = Sequential([Dense(64), ReLU(), Dense(3)], input_shape=(8,), rng=0)
x = np.random.default_rng(0).normal(size=(500, 8))
expected = model.predict(x)
with ThreadPoolExecutor(8) as pool:
    for found in pool.map(lambda _: model.predict(x), range(400)):
        assert np.array_equal(found, expected)
print("GIL" if getattr(sys, "_is_gil_enabled", lambda: True)() else "no GIL", np.__version__)
"""


def interpreter(version: str) -> str | None:
    """Return the path of a Python of this version, None if there is none."""
    if found := shutil.which(f"python{version}"):
        return found
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    numbers = sorted(home.glob(f"{version.rstrip('t')}.*{'t' * version.endswith('t')}/bin/python"))
    same = [path for path in numbers if ("t" in path.parts[-3]) == version.endswith("t")]
    return str(same[-1]) if same else None


def tried(python: str, numpy: str, options: list[str]) -> str:
    """Return the last line of the tests in a new environment."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True, capture_output=True)
        own = str(Path(folder, "bin", "python"))
        pip = [own, "-m", "pip", "install", "-q", "--only-binary=:all:"]
        needed = [f"numpy{numpy}", "typing-extensions", "pytest", "hypothesis", "sybil"]
        made = subprocess.run([*pip, *needed], capture_output=True, text=True)
        if made.returncode:
            return f"not tried: {made.stderr.strip().splitlines()[-1]}"
        subprocess.run([*pip, "scikit-learn", "scipy", "safetensors"], capture_output=True)
        said = subprocess.run([own, "-c", PREDICT], capture_output=True, text=True)
        if said.returncode:
            return f"FAILED: {said.stderr.strip().splitlines()[-1]}"
        tests = [f"tests/test_{name}.py" for name in FEW.split()]
        run = [own, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, *options]
        found = subprocess.run(run, capture_output=True, text=True)
        last = found.stdout.strip().splitlines()[-1]
        return f"{'FAILED: ' * bool(found.returncode)}{said.stdout.strip()}: {last}"


def main() -> int:
    """Print a line for each pair of Python and NumPy; 1 if one fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    parser.add_argument("-k", dest="chosen", default="", help="which tests, as for pytest")
    options = parser.parse_args()
    failed = False
    for version in options.versions:
        python = interpreter(version)
        for numpy in (f"=={OLDEST.get(version, '2.0.0')}", ">=2.0"):
            result = "not tried: no such Python here"
            if python:
                result = tried(python, numpy, ["-k", options.chosen] if options.chosen else [])
            failed |= "FAILED" in result
            print(f"Python {version}, numpy{numpy}: {result}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
