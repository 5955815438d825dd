"""A solution of the exercise."""

from minigrad import Loss


class MySquared(Loss):
    def terms(self, prediction, target):
        error = prediction - target
        return error**2, 2 * error
