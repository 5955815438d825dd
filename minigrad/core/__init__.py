"""The core: how a batch becomes a step. Read its modules in this order.

1. `parameters`: a trainable array and its gradient; one flat vector for a whole model.
2. `cached`: the cache rule, for what `backward` needs of `forward`.
3. `layer`: the contract of a layer; how layers are walked, built and copied.
4. `chain`: layers one after another.
5. `graph`: layers in any order without a cycle; it can be skipped at first.
6. `loss`: one number for a batch, and its derivative by the prediction.
7. `optimizer`: changes the parameters from their gradients.
8. `gradient`: J and its gradient for a batch of any size, in blocks of rows, on several threads.
9. `trainer`: fit, epoch, step.
10. `model`: a network with a dtype, an rng and one vector; what people use.
"""
