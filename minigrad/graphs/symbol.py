"""Symbols: the values of a graph, which layers are called on, and their operators."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any, NoReturn, TypeAlias

from typing_extensions import override

from minigrad.util.config import Configurable, registered
from minigrad.util.lookup import guess
from minigrad.util.names import kind_of

Operand: TypeAlias = "Symbol | float"


class Symbol:
    """A value in a graph: an `Input`, or the output of a layer.

    An operator calls a layer: `a + b`, `a - b` and `a * b` call `Add`, `Subtract` and `Multiply`,
    or with a number `Rescaling`; `a @ b` is a `Dot` of matrices, and `a[:, :2]` a `Slice`, whose
    first index is the batch.

    >>> from minigrad import Dense, Input
    >>> gate = Dense(3, "sigmoid")(Input((3,)))
    >>> (1 - gate).layer
    Rescaling(-1.0, offset=1.0)
    """

    __array_ufunc__ = None  # an array on the left leaves the operator to the symbol

    def __init__(self, layer: Any, sources: tuple[Symbol, ...]) -> None:
        self.layer = layer
        self.sources = sources

    def __add__(self, other: Operand) -> Symbol:
        if isinstance(other, Symbol):
            return _made("Add", self, other)
        return self._rescaled(1.0, offset=_number(other, "+"))

    __radd__ = __add__

    def __sub__(self, other: Operand) -> Symbol:
        if isinstance(other, Symbol):
            return _made("Subtract", self, other)
        return self._rescaled(1.0, offset=-_number(other, "-"))

    def __rsub__(self, other: float) -> Symbol:
        return self._rescaled(-1.0, offset=_number(other, "-"))

    def __mul__(self, other: Operand) -> Symbol:
        if isinstance(other, Symbol):
            return _made("Multiply", self, other)
        return self._rescaled(_number(other, "*"))

    __rmul__ = __mul__

    def __truediv__(self, other: float) -> Symbol:
        return self._rescaled(1 / _number(other, "/"))

    def __neg__(self) -> Symbol:
        return self._rescaled(-1.0)

    def __matmul__(self, other: Symbol) -> Symbol:
        return _made("Dot", self, other, axes=(-1, -2))

    def __getitem__(self, index: Any) -> Symbol:
        first, *others = index if isinstance(index, tuple) else (index,)
        if first is not Ellipsis and not (isinstance(first, slice) and first == slice(None)):
            raise IndexError(
                f"an index of {self!r} expects ':' first, for the batch, got {first!r}: write "
                "symbol[:, ...]"
            )
        return _made("Slice", self, index=(first, *others) if first is Ellipsis else (*others,))

    def __iter__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} is one symbol, and can't be unpacked: write symbol[:, :8] for a part, such "
            "as the h that return_state=True puts before the c"
        )

    def _rescaled(self, scale: float, *, offset: float = 0.0) -> Symbol:
        """Return scale x + offset, or the symbol itself, with which `sum` begins."""
        if (scale, offset) == (1.0, 0.0):
            return self
        return _made("Rescaling", self, scale=scale, offset=offset)

    @override
    def __repr__(self) -> str:
        return f"the output of {self.layer.label}"


def call(layer: Any, inputs: tuple[Any, ...], unknown: Iterable[str] = ()) -> Symbol:
    """Return the symbol of a layer's output for symbols, or a list of them, as in Keras.

    Refuse what isn't a symbol, and options.
    """
    first = inputs[0] if len(inputs) == 1 else None
    if isinstance(first, (list, tuple)) and any(isinstance(s, Symbol) for s in first):
        inputs = (*first,)
    if names := [*unknown]:
        ways = [way for name in names if (way := guess(name, ()))] or ["pass options to its class"]
        raise TypeError(
            f"a call of {layer.label} expects inputs only, got {', '.join(map(repr, names))}: "
            f"{'; '.join(ways)}"
        )
    if not inputs or not all(isinstance(symbol, Symbol) for symbol in inputs):
        got = ", ".join(map(kind_of, inputs)) or "nothing"
        way = "for arrays use forward(x)" + " or predict(x)" * hasattr(layer, "predict")
        raise TypeError(
            f"{layer.label} can be called on an Input, or on what layers called on one give, got "
            f"{got}: {way}"
        )
    return Symbol(layer, inputs)


def output_of(layer: Any) -> Symbol:
    """Return the symbol that `connect` gave a layer; of its first call, if it is called twice."""
    symbol: Symbol | None = vars(layer).get("_output")
    if symbol is None:
        raise RuntimeError(
            f"{layer.label} has no output: only a layer that stands in the chain or the graph of a "
            "built model has one"
        )
    return symbol


def _made(kind: str, *inputs: Any, **options: Any) -> Symbol:
    """Call a new layer, whose class is found by name: this room knows no layers."""
    return call(registered(Configurable)[kind](**options), inputs)


def _number(value: Any, operator: str) -> float:
    if not isinstance(value, Real):
        raise TypeError(
            f"{operator} of a graph expects symbols or a symbol and a number, got {kind_of(value)}"
        )
    return float(value)
