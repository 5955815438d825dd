"""The examples with other libraries reach their figures."""

import pytest

from helpers import EXAMPLES, run_example

WITH_OTHERS = "continue_in_torch", "pretrained_layers", "serve_onnx"


@pytest.mark.parametrize("name", WITH_OTHERS)
def test_example(name: str, tmp_path, monkeypatch) -> None:
    (path,) = (path for path in EXAMPLES if path.stem == name)
    monkeypatch.chdir(tmp_path)
    run_example(path, monkeypatch)
