"""A solution of the exercise."""

from minigrad import Optimizer


class MyMomentum(Optimizer):
    slots = ("velocity",)

    def update(self, value, grad, state):
        velocity = state["velocity"]
        velocity *= 0.9
        velocity += grad
        value -= self.rate * velocity
