"""A doctor for networks: what keeps one from learning, with the evidence in numbers.

| kind | what is wrong |
|---|---|
| not_finite | NaN or infinity, and where it began |
| constant_inputs, unscaled_inputs, constant_targets | the data |
| unusable_targets | the loss can't take such targets |
| targets_out_of_range, loss_mismatch | the last activation can't give what the loss asks for |
| saturated_units, dead_units, identical_units | units that don't learn, or not apart |
| vanishing_gradients, exploding_gradients | deltas unlike in size from layer to layer |
| wrong_gradients | a `backward` that isn't the derivative |
| learning_rate | gradient descent above its limit of stability |
| capacity | ten rows can't be learned by heart |
"""

from minigrad.diagnose.doctor import diagnose
from minigrad.diagnose.findings import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
