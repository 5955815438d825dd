"""Exercise "crossentropy": a cross-entropy of logits with the derivative by p.

The predictions are logits z. p = softmax(z), and the term of a row is -(sum over k of t_k log p_k),
where t is 1 at the right class and 0 elsewhere. `terms` returns the term of each row, and its
derivative by each z_k. The one below is the derivative by p_k. Find the derivative by z_k (it is
shorter), and fix it.
"""

import numpy as np

from minigrad import Loss


class MyCrossEntropy(Loss):
    takes_logits = True

    def terms(self, prediction, target):
        powers = np.exp(prediction - prediction.max(axis=1, keepdims=True))
        p = powers / powers.sum(axis=1, keepdims=True)
        return -(target * np.log(p)).sum(axis=1), -target / p
