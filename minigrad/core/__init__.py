"""The core: how a batch becomes a step. Read its modules in this order.

1. `parameters`: a trainable array and its gradient; the flat vectors of a whole model.
2. `cached`: the cache rule, for what `backward` needs of `forward`.
3. `layer`: the contract of a layer; how layers are walked and built.
4. `chain`: layers one after another.
5. `loss`: one number for a batch, and its derivative by the prediction.
6. `optimizer`: changes the parameters from their gradients.
7. `gradient`: J and its gradient for a batch.
8. `trainer`: fit, epoch, step.
9. `model`: a network with a dtype, an rng and the flat vectors.
"""
