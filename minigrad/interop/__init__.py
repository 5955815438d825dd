"""Adapters to other libraries: one module each, with an extra that installs what it needs.

For models in other libraries, read the modules in this order:

1. `models`: the `Counterpart` of a layer in another library, containers, and checks of the model.
2. `layouts`: the arrays of layers as PyTorch and Keras keep them; `state_dict` reads files of them.
3. `torch`: `modules` (what `torch.nn` lacks), `layers` (the table of counterparts, both ways),
   `optimizers`, `writer` and `reader`.
4. `keras`: the same without modules and optimizers.
5. `onnx`, to which models are only written.
"""
