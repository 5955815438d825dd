"""Write recurrent.json: what PyTorch's recurrent layers make of given inputs, weights and deltas.

Run it by hand where PyTorch is installed: python tests/reference/torch_recurrent.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

ROWS, STEPS, FEATURES, UNITS = 2, 4, 3, 2
KINDS = {"SimpleRNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Layer(nn.Module):
    """One or two directions, merged; all steps in a direction's own order, or the last one."""

    def __init__(self, kind, *, sequences, backwards=False, merge=None, bias=True):
        super().__init__()
        self.kind, self.sequences, self.backwards, self.merge = kind, sequences, backwards, merge
        self.rnn = KINDS[kind](
            FEATURES, UNITS, batch_first=True, bias=bias, bidirectional=merge is not None
        )
        self.parts = PARTS if bias else PARTS[:2]
        self.suffixes = ["l0"] if merge is None else ["l0", "l0_reverse"]

    def forward(self, x):
        outputs, last = self.rnn(x.flip(1) if self.backwards else x)
        if not self.sequences:
            last = last[0] if self.kind == "LSTM" else last
            outputs = torch.cat([*last], dim=-1)
        if self.merge in ("add", "mean"):
            outputs = outputs[..., :UNITS] + outputs[..., UNITS:]
        return outputs / 2 if self.merge == "mean" else outputs

    def ours(self, read):
        """Return what `read` finds for our parameters; PyTorch's second bias is the GRU's d."""
        found = []
        for suffix in self.suffixes:
            arrays = [read(getattr(self.rnn, f"{p}_{suffix}")).double() for p in self.parts]
            found += [arrays[0].T.tolist(), arrays[1].T.tolist()]
            if len(arrays) == 4:
                found.append(arrays[2].tolist())
                found += [arrays[3][-UNITS:].tolist()] * (self.kind == "GRU")
        return found


def cells():
    """Return PyTorch's layers by the code that makes ours."""
    found = {}
    for kind in KINDS:
        for sequences in (False, True):
            for backwards in (False, True):
                code = f"{kind}({UNITS}, return_sequences={sequences}, go_backwards={backwards})"
                found[code] = Layer(kind, sequences=sequences, backwards=backwards)
            for merge in ("concat", "add", "mean"):
                inner = f"{kind}({UNITS}, return_sequences={sequences})"
                code = f"Bidirectional({inner}, merge='{merge}')"
                found[code] = Layer(kind, sequences=sequences, merge=merge)
        found[f"{kind}({UNITS}, use_bias=False)"] = Layer(kind, sequences=False, bias=False)
    return found


def data(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).round(3)


def run(layer, dtype):
    """Return a layer's outputs and gradients, in the form of torch_layers.py."""
    dtype = getattr(torch, dtype)
    layer = layer.to(dtype)
    for index, (name, parameter) in enumerate(layer.rnn.named_parameters()):
        numbers = data(parameter.shape, 100 + index)
        if "bias_hh" in name:  # the first bias has the whole sum
            numbers[: None if layer.kind != "GRU" else -UNITS] = 0
        parameter.data = torch.tensor(numbers, dtype=dtype)
    rows = data((ROWS, STEPS, FEATURES), 0).tolist()
    x = torch.tensor(rows, dtype=dtype, requires_grad=True)
    output = layer(x)
    delta = data(output.shape, 200).tolist()
    layer.zero_grad()
    output.backward(torch.tensor(delta, dtype=dtype))
    step = {
        "input": rows,
        "delta": delta,
        "output": output.double().tolist(),
        "input_delta": x.grad.double().tolist(),
        "gradients": layer.ours(lambda p: p.grad),
        "buffers": [],
    }
    inference = output.double().tolist()
    return {"parameters": layer.ours(lambda p: p.data), "steps": [step], "inference": inference}


def cases(dtype):
    return {code: run(layer, dtype) for code, layer in cells().items()}


if __name__ == "__main__":
    document = {"made_with": f"PyTorch {torch.__version__}", "cases": cases("float64")}
    text = json.dumps(document)
    Path(__file__).with_name("recurrent.json").write_text(text + "\n")
