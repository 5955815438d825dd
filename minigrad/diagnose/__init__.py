"""A doctor for networks: what keeps one from learning, with the evidence in numbers.

| kind | what is wrong |
|---|---|
| not_finite | NaN or infinity, and where it began |
| constant_inputs, unscaled_inputs, constant_targets | the data |
| unusable_targets | the loss can't take such targets |
| unscaled_targets | targets far off the scale of the first predictions |
| class_numbers, squared_classes | classes learned by the squared error |
| targets_out_of_range, loss_mismatch | the last activation can't give what the loss asks for |
| saturated_units, dead_units, identical_units | units that don't learn, or not apart |
| vanishing_gradients, exploding_gradients | deltas unlike in size from layer to layer |
| wrong_gradients | a `backward` that isn't the derivative |
| linear_stack | Dense layers with no activation between them |
| learning_rate | above the limit of stability, or out of all proportion by trial |
| capacity | ten rows can't be learned by heart |
"""

from minigrad.diagnose.doctor import diagnose
from minigrad.diagnose.findings import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "diagnose"]
