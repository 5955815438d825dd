"""A prediction and a target that are passed in the wrong order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def refuse_exchanged(prediction: NDArray[Any], target: NDArray[Any], owner: str) -> None:
    """Refuse one-hot rows as the prediction beside a target of the same shape."""
    one_hot = np.isin(prediction, (0, 1)).all() and (prediction.sum(axis=-1) == 1).all()
    if one_hot and prediction.shape == target.shape:
        raise ValueError(f"{owner} expects the prediction first, then the target: exchange the two")
