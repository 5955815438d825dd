"""A solution of the exercise."""

import numpy as np

from minigrad import Loss


class MyCrossEntropy(Loss):
    takes_logits = True

    def terms(self, prediction, target):
        powers = np.exp(prediction - prediction.max(axis=1, keepdims=True))
        p = powers / powers.sum(axis=1, keepdims=True)
        return -(target * np.log(p)).sum(axis=1), p - target
