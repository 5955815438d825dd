"""Exercise "momentum": gradient descent that forgets its velocity.

v <- 0.9 v + g, and then theta <- theta - eta v. `update` changes `value` (theta) and the arrays of
`state` in place, as in value -= ...; `grad` (g) is read-only, and self.rate is eta. `slots` names
the arrays of `state`, which are zero at first. Fix update.
"""

from minigrad import Optimizer


class MyMomentum(Optimizer):
    slots = ("velocity",)

    def update(self, value, grad, state):
        velocity = 0.9 * state["velocity"] + grad
        value -= self.rate * velocity
