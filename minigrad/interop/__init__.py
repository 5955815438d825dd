"""Adapters to other libraries: one module each, with an extra that installs what it needs.

For models in other libraries, read the modules in this order:

1. `models`: the `Counterpart` of a layer in another library, containers, and checks of the model.
2. `layouts`: the arrays of layers as PyTorch and Keras keep them; `state_dict` reads files of them.
3. `torch`: `modules` (what `torch.nn` lacks), then in both directions `layers` (a table),
   `optimizers` and `model`.
4. `keras`: `layers` and `model`, in both directions, too.
5. `onnx`, to which models are only written.
"""
