"""A parameter's gradient is a sum: over rows, over layers that share it, and its penalty."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from minigrad.core.parameters import Parameter
from minigrad.data.arrays import Array
from minigrad.explain.lines import Factors, Limit, Line, Step, Term, at, summed
from minigrad.explain.places import Place


def gradient_step(
    place: Place,
    attribute: str,
    *,
    title: str,
    right: str,
    unit: str,
    tag: str,
    products: Callable[[int], Array | None],
    factors: Callable[[int, int], Factors],
) -> Step:
    """Tell the gradient of a parameter as a sum, over the rows where there are several.

    Args:
        place: the layer.
        attribute: of the parameter.
        title: what is computed, in words.
        right: the right side of the equation, for one row.
        unit: what counts the numbers of the parameter, such as "j,k".
        tag: the tutorial's equation.
        products: for a flat index, what is added up, of shape (terms,), or None.
        factors: for a flat index and a term, what that is a product of.
    """
    symbol, name, parameter = place.parameters[attribute]
    penalty = _Penalty(symbol, parameter, told=name == f"∂J/∂{symbol}")
    values = place.gradients[attribute] + penalty.gradient
    rows = len(place.output)

    def tell(_: int, index: int, limit: Limit) -> Line:
        made, value = products(index), float(values.ravel()[index])
        if made is None:
            return Line(at(name, parameter.shape, index), value)
        return summed(
            at(name, parameter.shape, index),
            value,
            made,
            lambda term: factors(index, term),
            limit=limit,
            last=penalty.terms(index),
        )

    left = at(name, parameter.shape, unit)
    return Step(
        phase="backward",
        path=place.path,
        title=title + (", over all rows" if rows > 1 else ""),
        equation=f"{left} = {'Σ_rows ' if rows > 1 else ''}{right}{penalty.equation}",
        tag=tag,
        name=name,
        symbol=None,
        shape=parameter.shape,
        values=lambda _: values,
        tell=tell,
    )


def shared_steps(places: Sequence[Place]) -> Iterator[Step]:
    """Tell the gradient of each parameter that several layers share: the sum of their parts."""
    parts: dict[str, list[tuple[Place, str]]] = {}
    for place in places:
        for attribute, (symbol, name, _) in place.parameters.items():
            if name != f"∂J/∂{symbol}" and not place.enters and place.delta is not None:
                parts.setdefault(symbol, []).append((place, attribute))
    for symbol, held in parts.items():
        yield _shared_step(symbol, held)


def _shared_step(symbol: str, held: list[tuple[Place, str]]) -> Step:
    gradients = np.stack([place.gradients[attribute] for place, attribute in held])
    names = [place.parameters[attribute][1] for place, attribute in held]
    parameter = held[0][0].parameters[held[0][1]][2]
    penalty = _Penalty(symbol, parameter, told=True)
    values = gradients.sum(axis=0) + penalty.gradient
    flat = gradients.reshape(len(held), -1)

    def tell(_: int, index: int, limit: Limit) -> Line:
        return summed(
            at(f"∂J/∂{symbol}", parameter.shape, index),
            values.ravel()[index],
            flat[:, index],
            lambda part: ((at(names[part], parameter.shape, index), float(flat[part, index])),),
            limit=limit,
            last=penalty.terms(index),
        )

    return Step(
        phase="backward",
        path=held[0][0].path,
        title=f"gradient of a parameter that {len(held)} places share",
        equation=f"∂J/∂{symbol} = {' + '.join(names)}{penalty.equation}",
        tag="as 7",
        name=f"∂J/∂{symbol}",
        symbol=None,
        shape=parameter.shape,
        values=lambda _: values,
        tell=tell,
    )


class _Penalty:
    """What a parameter's penalty adds to its gradient; nothing for part of a gradient."""

    def __init__(self, symbol: str, parameter: Parameter, *, told: bool) -> None:
        self.gradient: Array = np.zeros_like(parameter.value)
        self.equation = ""
        self._name, self._shape = f"∂penalty/∂{symbol}", parameter.shape
        if parameter.regularizer is not None and told:
            self.gradient = parameter.regularizer.derivative(parameter.value)
            self.equation = f" + {self._name}"

    def terms(self, index: int) -> tuple[Term, ...]:
        """Return the term to add, if there is one."""
        if not self.equation:
            return ()
        value = float(self.gradient.ravel()[index])
        return (Term(((at(self._name, self._shape, index), value),), value),)
