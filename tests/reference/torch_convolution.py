"""Write convolution.json: what PyTorch's convolutions and pooling make of given inputs and deltas.

Run it by hand where PyTorch is installed: python tests/reference/torch_convolution.py
"""

from functools import partial

import torch
from torch import nn
from torch.nn import functional
from torch_layers import data, run, write

LENGTHS, CHANNELS, FILTERS = (5, 4), 2, 3


class ChannelsLast(nn.Module):
    """Runs a layer on channels-last arrays, on a padded input, and crops its output."""

    def __init__(self, layer, *, pads=(), fill=0.0, crop=()):
        super().__init__()
        self.layer, self.pads, self.fill, self.crop = layer, pads, fill, crop

    def forward(self, x):
        x = self.layer(functional.pad(x.movedim(-1, 1), self.pads, value=self.fill))
        return x[(..., *self.crop)].movedim(1, -1)


class MeanInside(nn.Module):
    """The mean of a padded window without its padding, whose zeros PyTorch would count."""

    def __init__(self, pool, pads):
        super().__init__()
        self.pool, self.pads = pool, pads

    def forward(self, x):
        ones = functional.pad(torch.ones_like(x), self.pads)
        return self.pool(functional.pad(x, self.pads)) / self.pool(ones)


def same(kernel, strides=1, dilation=1):
    """Return Keras's padding of two axes for PyTorch's `pad`, which takes the last axis first."""
    pads = []
    for n, k in zip(LENGTHS, kernel, strict=True):
        total = max((-(-n // strides) - 1) * strides + (k - 1) * dilation + 1 - n, 0)
        pads = [total // 2, total - total // 2, *pads]
    return tuple(pads)


def conv(*args, **options):
    return partial(nn.Conv2d, CHANNELS, FILTERS, *args, **options)


def conv1d(*args, **options):
    return partial(nn.Conv1d, CHANNELS, FILTERS, *args, **options)


def transpose(*args, **options):
    return partial(nn.ConvTranspose2d, CHANNELS, FILTERS, *args, **options)


CASES = {
    "Conv2D(3, 3)": conv(3),
    "Conv2D(3, (2, 3), strides=2, padding=1)": conv((2, 3), 2, 1),
    "Conv2D(3, (3, 1), strides=(1, 2), padding=(2, 0))": conv((3, 1), (1, 2), (2, 0)),
    "Conv2D(3, 2, dilation_rate=(2, 3))": conv(2, dilation=(2, 3)),
    "Conv2D(3, 2, strides=2, dilation_rate=2, padding=1, use_bias=False)": conv(
        2, 2, 1, 2, bias=False
    ),
    "Conv2D(3, (4, 3), padding='same')": (conv((4, 3)), {"pads": same((4, 3))}),
    "Conv2D(3, (2, 3), strides=2, padding='same')": (conv((2, 3), 2), {"pads": same((2, 3), 2)}),
    "Conv2D(3, 2, dilation_rate=2, padding='same')": (
        conv(2, dilation=2),
        {"pads": same((2, 2), dilation=2)},
    ),
    "Conv2D(3, 2, activation='tanh')": lambda: nn.Sequential(conv(2)(), nn.Tanh()),
    "Conv1D(3, 3, strides=2, padding=1)": conv1d(3, 2, 1),
    "Conv1D(3, 2, dilation_rate=2, padding='causal')": (conv1d(2, dilation=2), {"pads": (2, 0)}),
    "Conv1D(3, 4, padding='same')": (conv1d(4), {"pads": (1, 2)}),
    "Conv2DTranspose(3, (2, 3))": transpose((2, 3)),
    "Conv2DTranspose(3, (3, 2), strides=2, padding=1)": transpose((3, 2), 2, 1),
    "Conv2DTranspose(3, (2, 1), strides=(1, 3), dilation_rate=2, use_bias=False)": transpose(
        (2, 1), (1, 3), dilation=2, bias=False
    ),
    "Conv2DTranspose(3, (3, 4), strides=2, padding='same')": (
        transpose((3, 4), 2),
        {"crop": (slice(0, 10), slice(1, 9))},
    ),
    "MaxPooling2D()": partial(nn.MaxPool2d, 2),
    "MaxPooling2D(3, strides=(1, 2), padding=1)": partial(nn.MaxPool2d, 3, (1, 2), 1),
    "MaxPooling2D((2, 3), strides=1, padding='same')": (
        partial(nn.MaxPool2d, (2, 3), 1),
        {"pads": same((2, 3)), "fill": -torch.inf},
    ),
    "MaxPooling1D(3, strides=1)": partial(nn.MaxPool1d, 3, 1),
    "AveragePooling2D()": partial(nn.AvgPool2d, 2),
    "AveragePooling2D(3, strides=(1, 2), padding=1)": partial(
        nn.AvgPool2d, 3, (1, 2), 1, count_include_pad=False
    ),
    "AveragePooling2D((2, 3), strides=2, padding='same')": lambda: MeanInside(
        nn.AvgPool2d((2, 3), 2), same((2, 3), 2)
    ),
    "AveragePooling1D(3, strides=1)": partial(nn.AvgPool1d, 3, 1),
    "GlobalMaxPooling2D()": lambda: nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()),
    "GlobalMaxPooling1D()": lambda: nn.Sequential(nn.AdaptiveMaxPool1d(1), nn.Flatten()),
    "GlobalAveragePooling2D()": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "GlobalAveragePooling1D()": lambda: nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten()),
    "UpSampling2D((2, 3))": partial(nn.Upsample, scale_factor=(2, 3)),
    "UpSampling2D((2, 3), interpolation='bilinear')": partial(
        nn.Upsample, scale_factor=(2, 3), mode="bilinear"
    ),
}


def cases(dtype):
    """Return all cases by the code that makes our layer."""
    found = {}
    for code, case in CASES.items():
        make, around = case if isinstance(case, tuple) else (case, {})
        lengths = LENGTHS[:1] if "1D" in code else LENGTHS
        x = data((2, *lengths, CHANNELS), 0).tolist()
        found[code] = run(ChannelsLast(make(), **around), [x], dtype)
    return found


if __name__ == "__main__":
    write("convolution.json", cases("float64"))
