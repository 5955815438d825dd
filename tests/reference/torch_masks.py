"""Write masks.json: what PyTorch's recurrent layers compute for packed sequences.

Run it by hand where PyTorch is installed: python tests/reference/torch_masks.py
"""

import json
from pathlib import Path

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch_recurrent import FEATURES, KINDS, UNITS, Layer, data

LENGTHS, STEPS = [5, 2, 1, 4], 5


def run(layer, dtype):
    """Return the outputs and gradients of both directions, with zeros at the padding."""
    dtype = getattr(torch, dtype)
    layer = layer.to(dtype)
    for index, (name, parameter) in enumerate(layer.rnn.named_parameters()):
        numbers = data(parameter.shape, 100 + index)
        if "bias_hh" in name:  # the first bias has the whole sum
            numbers[: None if layer.kind != "GRU" else -UNITS] = 0
        parameter.data = torch.tensor(numbers, dtype=dtype)
    rows = data((len(LENGTHS), STEPS, FEATURES), 0)
    delta = data((len(LENGTHS), STEPS, 2 * UNITS), 200)
    for row, length in enumerate(LENGTHS):
        delta[row, length:] = 0
    x = torch.tensor(rows, dtype=dtype, requires_grad=True)
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    outputs, _ = layer.rnn(packed)
    output, _ = pad_packed_sequence(outputs, batch_first=True)
    output.backward(torch.tensor(delta, dtype=dtype))
    return {
        "input": rows.tolist(),
        "lengths": LENGTHS,
        "delta": delta.tolist(),
        "parameters": layer.ours(lambda p: p.data),
        "output": output.double().tolist(),
        "input_delta": x.grad.double().tolist(),
        "gradients": layer.ours(lambda p: p.grad),
    }


def cases(dtype):
    return {kind: run(Layer(kind, sequences=True, merge="concat"), dtype) for kind in KINDS}


if __name__ == "__main__":
    document = {"made_with": f"PyTorch {torch.__version__}", "cases": cases("float64")}
    text = json.dumps(document)
    Path(__file__).with_name("masks.json").write_text(text + "\n")
