"""An array that computes with NumPy, and writes down what it computes.

minigrad's layers are plain NumPy. To compile them, a step runs once on `Recorded` arrays. Each
holds `c`, the concrete NumPy array, and a `Value`, its place in a `Program`:

    x = recording.given(np.ones(3))     # c = [1, 1, 1], value 0
    y = np.exp(x)                       # c = [e, e, e], value 1; the program gets "1 = exp(0)"
    y += x                              # c changes in place; y's value is now 2 = add(1, 0)

NumPy asks the operands of an operation first whether they want to do it themselves (the protocols
`__array_ufunc__` and `__array_function__`), so a layer doesn't notice. NumPy's own run on `c`
decides dtypes, shapes, branches, and what is a view of what. The program follows:

- An array that was made in the step from nothing, as by `np.zeros`, is a constant (value None)
  until something recorded is written into it.
- A view has a base. It reads the base's value through an instruction, and a write through the view
  gives the base a new value. So the program itself never writes in place.
- `if array:` takes NumPy's branch, and the program gets a guard: an output that says whether the
  branch would be the same for other data.
- A number that leaves, as by `float(array)`, would be the same in every compiled step: refused.
- A random generator is replaced by one that notes each draw, which becomes an input.

A `Program` has no effects and depends on nothing but its inputs. JAX runs it on its own arrays;
`operations` has what the instructions do there.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from os.path import dirname
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray
from typing_extensions import override

from minigrad.compiled import operations
from minigrad.core.cached import Cached
from minigrad.core.optimizer import Optimizer


class NotCompilableError(TypeError):
    """A step does what can't be compiled; the message says where, and what to write instead."""


class Value:
    """A number in a program: the result of one of its instructions."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Instruction(NamedTuple):
    """`function(*arguments, **options)`, with the shape and dtype that NumPy's result has."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    shape: tuple[int, ...] | None
    dtype: np.dtype[Any] | None
    place: str


class Program:
    """Instructions in order; those of `given` are the inputs."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.inputs = 0
        self.outputs: Any = None

    def run(self, inputs: Any) -> Any:
        """Return the outputs as JAX arrays, for inputs in any form with as many arrays."""
        inputs, known = operations.leaves(inputs), list[Any]()

        def found(value: Value) -> Any:
            return known[value.index]

        for instruction in self.instructions:
            if instruction.function is operations.given:
                known.append(inputs[instruction.arguments[0]])
                continue
            arguments = _mapped(Value, found, instruction.arguments)
            options = _mapped(Value, found, instruction.options)
            try:
                result = instruction.function(*arguments, **options)
                if instruction.shape is not None:
                    result = operations.fitted(result, instruction.shape, instruction.dtype)
            except Exception as error:
                raise NotCompilableError(
                    f"{instruction.place} can't be compiled: JAX's "
                    f"{instruction.function.__name__} says {error}"
                ) from error
            known.append(result)
        return _mapped(Value, found, self.outputs)

    def difference(self, other: Program) -> str | None:
        """Return the place of the first instruction that another program has otherwise."""
        for one, two in zip(self.instructions, other.instructions, strict=False):
            if _key(one[:5]) != _key(two[:5]):
                return one.place
        if len(self.instructions) != len(other.instructions):
            return min(self.instructions, other.instructions, key=len)[-1].place
        return None

    def key(self) -> bytes:
        """Return a digest, the same for programs that compute the same."""
        rows = [_key(one[:5]) for one in self.instructions]
        return blake2b(repr((rows, _key(self.outputs))).encode()).digest()


def _key(tree: Any) -> Any:
    """Return something comparable for what instructions hold."""
    if isinstance(tree, np.ndarray):
        return tree.shape, tree.dtype.str, blake2b(np.ascontiguousarray(tree)).hexdigest()
    if isinstance(tree, (tuple, list)):
        return type(tree).__name__, [_key(item) for item in tree]
    if isinstance(tree, dict):
        return [(name, _key(item)) for name, item in tree.items()]
    if isinstance(tree, slice):
        return "slice", _key((tree.start, tree.stop, tree.step))
    if isinstance(tree, Value):
        return "value", tree.index
    return getattr(tree, "__name__", None) or repr(tree)


class Recording:
    """Records a program: a `with` block in which arrays made by NumPy are recorded, too.

    In the block, in this thread, `np.zeros`, `np.array` and the other functions of `_NAMES`
    return recorded constants, since layers write results into such arrays.

    Args:
        objects: those whose methods run.
    """

    def __init__(self, objects: Iterable[object]) -> None:
        self.program = Program()
        self.guards: list[tuple[Value, bool]] = []
        self._replaced = _replaced(objects)

    def __enter__(self) -> Recording:
        self._replaced.__enter__()
        _active.recording = self
        return self

    def __exit__(self, *error: Any) -> None:
        _active.recording = None
        self._replaced.__exit__(*error)

    def given(self, c: Any) -> Recorded:
        """Return an input of the program, with an example of it."""
        self.program.inputs += 1
        value = self.emit(operations.given, (self.program.inputs - 1,), {}, np.shape(c), None)
        return Recorded(c if isinstance(c, (float, int)) else np.array(c), value)

    def emit(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        shape: tuple[int, ...] | None,
        dtype: np.dtype[Any] | None,
    ) -> Value:
        """Append an instruction; recorded arrays among the arguments become their values."""
        return self._append(function, _values(arguments), _values(options), shape, dtype)

    def constant(self, c: Any) -> Value:
        """Return the value of a constant, as it is now."""
        c = np.array(c)
        if c.size > 1 and (c == c.flat[0]).all():
            return self._append(operations.full, (c.shape, c.flat[0]), {}, c.shape, c.dtype)
        return self._append(operations.constant, (c,), {}, c.shape, c.dtype)

    def _append(self, *instruction: Any) -> Value:
        self.program.instructions.append(Instruction(*instruction, place()))
        return Value(len(self.program.instructions) - 1)

    def finish(self, outputs: Any) -> Program:
        """Return the program with these outputs, and "ok": whether all branches are the same."""
        ok = self.constant(True)
        for guard, outcome in self.guards:
            ok = self.emit(operations.same, (ok, guard, outcome), {}, (), np.dtype(bool))
        self.program.outputs = _values({**outputs, "ok": ok})
        return self.program


class _Active(threading.local):
    recording: Recording | None = None


_active = _Active()


class Recorded(NDArrayOperatorsMixin):
    """A NumPy array, or a number, and the value that stands for it in the program.

    `base`, `get` and `put` are those of a view: get(base value, *key) is its value, and
    put(base value, *key, new value) the base's after a write.
    """

    __slots__ = ("_base", "_get", "_put", "_seen", "_value", "c")
    __hash__ = object.__hash__

    def __init__(
        self,
        c: Any,
        value: Value | None = None,
        *,
        base: Recorded | None = None,
        get: tuple[Any, ...] = (),
        put: tuple[Any, ...] = (),
    ) -> None:
        self.c = c
        self._value = value
        self._base = base
        self._get = get
        self._put = put
        self._seen: tuple[Value | None, Value] | None = None

    @property
    def value(self) -> Value | None:
        """The value; None for a constant."""
        if self._base is None:
            return self._value
        below = self._base.value
        if below is None:
            return None
        if self._seen is None or self._seen[0] is not below:
            function, *key = self._get
            value = _recording().emit(function, (below, *key), {}, self.shape, self.dtype)
            self._seen = below, value
        return self._seen[1]

    def _set(self, value: Value) -> None:
        """Give the array a new value; `c` changes afterwards."""
        if self._base is None:
            self._value = value
            return
        base, (function, *key) = self._base, self._put
        below = base.value
        if below is None:
            below = _recording().constant(base.c)
        base._set(_recording().emit(function, (below, *key, value), {}, base.shape, base.dtype))
        self._seen = base.value, value

    def write(self, new: Any, mask: Any = True) -> None:
        """Give all elements, or those of a mask, new values; `c` changes afterwards."""
        if is_constant((self, new, mask)):
            return
        arguments = (new, self.shape, self.dtype)
        if mask is not True:
            arguments = (*arguments, self, mask)
        self._set(
            _recording().emit(operations.assigned, arguments, {}, self.shape, self.dtype)
        )

    def _view(self, c: Any, get: tuple[Any, ...], put: tuple[Any, ...]) -> Any:
        """Return what NumPy made of this array: a view where it made one, else a new array."""
        if isinstance(c, np.ndarray) and isinstance(self.c, np.ndarray) and np.may_share_memory(
            c, self.c
        ):
            return Recorded(c, base=self, get=get, put=put)
        return record(c, get[0], self, *get[1:])

    # What NumPy is asked to do with one of these goes to `functions`, which defines both.

    __array_ufunc__: Any
    __array_function__: Any

    # What an array is.

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.c)

    @property
    def ndim(self) -> int:
        return np.ndim(self.c)

    @property
    def size(self) -> int:
        return int(np.size(self.c))

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.result_type(self.c) if isinstance(self.c, (int, float)) else self.c.dtype  # type: ignore[no-any-return]

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def flags(self) -> Any:
        return self.c.flags

    @property
    def strides(self) -> tuple[int, ...]:
        return self.c.strides  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self.c)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    @override
    def __repr__(self) -> str:
        return f"Recorded({self.c!r})"

    # Numbers that leave: a branch is guarded, others are refused.

    def __bool__(self) -> bool:
        outcome = bool(self.c)
        if (value := self.value) is not None:
            _recording().guards.append((value, outcome))
        return outcome

    def item(self, *index: int) -> Any:
        """Return one element as a number, which stays recorded."""
        if is_constant(self):
            return self.c.item(*index)
        c = self.c.item(*index) if hasattr(self.c, "item") else self.c
        if not isinstance(self.c, np.ndarray):
            return Recorded(c, self.value)
        element = self[index] if len(index) > 1 else self.reshape(-1)[index[0] if index else 0]
        return Recorded(c, element.value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self._leaving("np.asarray", "compute with NumPy's functions"), dtype)

    def __float__(self) -> float:
        return float(self._leaving("float", "use array.item(), or compute with the array"))

    def __int__(self) -> int:
        return int(self._leaving("int", "use array.astype(int)"))

    def __index__(self) -> int:
        return int(self._leaving("an index of", "use np.take_along_axis or np.where"))

    def __complex__(self) -> complex:
        return complex(self._leaving("complex", "compute with real arrays"))

    def tolist(self) -> Any:
        return self._leaving("tolist()", "compute with the array").tolist()

    def _leaving(self, what: str, instead: str) -> Any:
        if self.value is None:
            return self.c
        raise refusal(
            f"{what} of an array would be the same number in every step", instead
        )

    # Views and copies.

    def __getitem__(self, key: Any) -> Any:
        if any(isinstance(k, Recorded) and k.dtype == bool and k.value for k in _keys(key)):
            raise refusal(
                "x[mask] has a shape that depends on the data", "use np.where(mask, x, 0)"
            )
        c = self.c[concrete(key)]
        key = _key_values(key)
        return self._view(c, (operations.index, key), (operations.put, key))

    def __setitem__(self, key: Any, new: Any) -> None:
        if isinstance(new, Recorded) and new._is_at(self, key):
            return  # as in x[key] += 1, which has changed the view already
        if key is Ellipsis or (isinstance(key, slice) and key == slice(None)):
            self.write(new)
        elif isinstance(key, Recorded) and key.dtype == bool:
            if np.ndim(concrete(new)):
                raise refusal(
                    "x[mask] = array has a shape that depends on the data",
                    "use np.copyto(x, array, where=mask)",
                )
            self.write(new, key.reshape(*key.shape, *[1] * (self.ndim - key.ndim)))
        elif not is_constant((self, key, new)):
            c, there = self.c[concrete(key)], _key_values(key)
            view = Recorded(
                c, base=self, get=(operations.index, there), put=(operations.put, there)
            )
            view.write(new)
        self.c[concrete(key)] = concrete(new)

    def _is_at(self, base: Recorded, key: Any) -> bool:
        """Return whether this is the view base[key]."""
        if self is base or (self._base is base and isinstance(self.c, np.ndarray)):
            there = base.c[concrete(key)]
            mine = self.c.__array_interface__
            return isinstance(there, np.ndarray) and mine == there.__array_interface__
        return False

    def reshape(self, *shape: Any, order: Any = "C", copy: bool | None = None) -> Any:
        if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
            shape = tuple(shape[0])
        c = self.c.reshape(shape, order=order)
        function = operations.reshape
        return self._view(c, (function, c.shape, order), (operations.reshaped, self.shape, order))

    def transpose(self, *axes: Any) -> Any:
        if len(axes) == 1 and not isinstance(axes[0], int):
            axes = tuple(axes[0]) if axes[0] is not None else ()
        axes = tuple(a % self.ndim for a in axes) or tuple(reversed(range(self.ndim)))
        back = tuple(map(int, np.argsort(axes)))
        c = self.c.transpose(axes)
        function = operations.transpose
        return self._view(c, (function, axes), (operations.transposed, back))

    @property
    def T(self) -> Any:  # noqa: N802
        return self.transpose()

    @property
    def turned_base(self) -> Recorded | None:
        """The matrix of which this one is the transpose."""
        return self._base if self._get[:2] == (operations.transpose, (1, 0)) else None

    def swapaxes(self, one: int, two: int) -> Any:
        axes = list(range(self.ndim))
        axes[one], axes[two] = axes[two], axes[one]
        return self.transpose(axes)

    def ravel(self, order: Any = "C") -> Any:
        if order == "C":
            return self.reshape(-1)
        axes = tuple(reversed(range(self.ndim)))
        if order in "KA" and not self.flags.fnc:  # in the order of memory
            axes = tuple(map(int, np.argsort([-n for n in self.strides], kind="stable")))
        return self.transpose(axes).reshape(-1)

    def flatten(self, order: Any = "C") -> Any:
        return self.ravel(order).copy()

    def squeeze(self, axis: Any = None) -> Any:
        return self.reshape(self.c.squeeze(axis).shape)

    def view(self, dtype: Any) -> Any:
        """Return the same bytes as numbers of another type of the same size."""
        c = self.c.view(dtype)
        if c.dtype.itemsize != self.itemsize:
            raise refusal("a view of another item size can't be compiled", "use astype")
        function = operations.bitcast
        return self._view(c, (function, c.dtype.name), (function, self.dtype.name))

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True,
        copy: bool = True,
    ) -> Any:  # fmt: skip
        c = np.dtype(dtype).type(self.c) if np.isscalar(self.c) else None
        if c is None:
            c = self.c.astype(dtype, order=order, casting=casting, copy=copy)
        return self if c is self.c else record(c, operations.converted, self, c.dtype.name)

    def copy(self, order: Any = "C") -> Any:
        return record(self.c.copy(order), operations.copied, self)

    def fill(self, new: Any) -> None:
        self[...] = new


def _method(name: str) -> Callable[..., Any]:
    def method(self: Recorded, *args: Any, **kwargs: Any) -> Any:
        return getattr(np, name)(self, *args, **kwargs)

    return method


for _name in (
    "sum mean prod max min argmax argmin all any var std cumsum cumprod clip round dot repeat take "
    "argsort diagonal trace searchsorted"
).split():
    setattr(Recorded, _name, _method(_name))


def record(c: Any, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return NumPy's result `c` with the value of an instruction; without a recorded input, alone.

    An array that comes of constants is a constant.
    """
    if is_constant((arguments, options)):
        created = _active.recording is not None and isinstance(c, np.ndarray)
        return Recorded(c) if created else c
    recording = _recording()
    if isinstance(c, (tuple, list)):
        whole = recording.emit(function, arguments, options, None, None)
        items = [record(item, operations.item, whole, i) for i, item in enumerate(c)]
        return type(c)(*items) if hasattr(c, "_fields") else type(c)(items)
    shape, dtype = np.shape(c), np.result_type(c)
    return Recorded(c, recording.emit(function, arguments, options, shape, dtype))


def is_constant(tree: Any) -> bool:
    """Return whether nothing among some arguments depends on the inputs."""
    if isinstance(tree, (tuple, list)):
        return all(is_constant(item) for item in tree)
    if isinstance(tree, dict):
        return all(is_constant(item) for item in tree.values())
    return not isinstance(tree, Value) and not (
        isinstance(tree, Recorded) and tree.value is not None
    )


def concrete(tree: Any) -> Any:
    """Return arguments with NumPy's arrays in place of recorded ones."""
    return _mapped(Recorded, lambda array: array.c, tree)


def _values(tree: Any) -> Any:
    """Return arguments with values in place of recorded arrays, and copies of other arrays."""

    def value_of(array: Any) -> Any:
        if isinstance(array, Recorded) and array.value is not None:
            return array.value
        c = concrete(array)
        return _recording().constant(c) if isinstance(c, np.ndarray) else c

    return _mapped((Recorded, np.ndarray), value_of, tree)


def _key_values(key: Any) -> Any:
    """Return an index in the form of instructions: plain numbers where it is constant."""

    def value_of(k: Any) -> Any:
        if isinstance(k, Recorded) and k.value is not None:
            return k.value
        c = concrete(k)
        return c.copy() if isinstance(c, np.ndarray) else int(c)

    return _mapped((Recorded, np.ndarray, np.integer), value_of, key)


def _mapped(kinds: Any, function: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, kinds):
        return function(tree)
    if isinstance(tree, (tuple, list)):
        items = [_mapped(kinds, function, item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if isinstance(tree, dict):
        return {name: _mapped(kinds, function, item) for name, item in tree.items()}
    return tree


def _keys(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _recording() -> Recording:
    if _active.recording is None:
        raise RuntimeError("a recorded array was kept after the recording: keep arrays in the cache")
    return _active.recording


_NAMES = (
    "empty zeros ones full eye array asarray asanyarray ascontiguousarray asfortranarray"
).split()
_ORDERS = {"ascontiguousarray": "C", "asfortranarray": "F"}


def _creator(name: str) -> Callable[..., Any]:
    """Return the function that stands for one of NumPy's that make arrays."""
    original: Callable[..., Any] = getattr(np, name)

    def create(*args: Any, **options: Any) -> Any:
        source = args[0] if args else None
        if _active.recording is None:  # in another thread
            return original(*args, **options)
        if name == "empty":  # zeros, so that each recording has the same numbers
            return Recorded(np.zeros(*args, **options))
        if name == "full" and not is_constant((args, options)):
            filled = Recorded(original(*concrete(args), **concrete(options)))
            filled.write(options.get("fill_value", args[-1]))
            return filled
        if isinstance(source, Recorded):  # to be converted
            dtype = options.get("dtype", args[1] if len(args) > 1 else None)
            order = options.get("order") or _ORDERS.get(name, "K")
            copy = bool(options.get("copy", name == "array"))
            return source.astype(dtype or source.dtype, order=order, copy=copy)
        if isinstance(source, (list, tuple)) and not is_constant(source):
            return np.stack([_CREATORS["asarray"](item) for item in source])
        made = original(*concrete(args), **concrete(options))
        return made if made is source else Recorded(made)

    return create


_CREATORS = {name: _creator(name) for name in _NAMES}
_ORIGINALS = {id(getattr(np, name)): name for name in _NAMES}


class _NumPy:
    """Stands for the module: its functions that make arrays return recorded ones."""

    def __getattr__(self, name: str) -> Any:
        return _CREATORS.get(name) or getattr(np, name)


_NUMPY = _NumPy()
_LEFT_ALONE = ("numpy", "jax", "jaxlib", "scipy", "minigrad.compiled")


def _namespaces(objects: Iterable[object]) -> list[dict[str, Any]]:
    """Return the global names of all Python modules, and those of the methods of some objects."""
    found = {}
    for name, module in [*sys.modules.items()]:
        python = (getattr(module, "__file__", None) or "main.py").endswith(".py")
        if python and not any(name == n or name.startswith(f"{n}.") for n in _LEFT_ALONE):
            found[id(module)] = vars(module)
    for kind in {base for thing in objects for base in type(thing).__mro__}:
        for method in vars(kind).values():
            names = getattr(method, "__globals__", None)
            if names is not None and not names.get("__name__", "").startswith(_LEFT_ALONE):
                found[id(names)] = names
    return [*found.values()]


@contextmanager
def _replaced(objects: Iterable[object]) -> Iterator[None]:
    """Replace NumPy, and its functions that make arrays, where Python code names them.

    NumPy itself isn't changed: its compiled parts use these functions, too.
    """
    places = []
    for names in _namespaces(objects):
        for name, value in [*names.items()]:
            new = _NUMPY if value is np else _CREATORS.get(_ORIGINALS.get(id(value), ""))
            if new is not None:
                places.append((names, name, value))
                names[name] = new
    try:
        yield
    finally:
        for names, name, value in places:
            names[name] = value


_OUTSIDE = (dirname(__file__), dirname(np.__file__))


def place() -> str:
    """Return where the running step is: the layer, the file and the line."""
    owner, where = "", ""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not where and not path.startswith(_OUTSIDE):
            where = f"{path.rpartition('/')[2]}, line {frame.f_lineno}"
        holder = frame.f_locals.get("self")
        if where and isinstance(holder, (Cached, Optimizer)):
            owner = getattr(holder, "label", type(holder).__name__)
            break
        frame = frame.f_back
    return f"{owner or 'the step'} ({where})"


def refusal(what: str, instead: str, *, owner: str = "") -> NotCompilableError:
    """Return the error for what can't be compiled; the owner is by default where the step is."""
    return NotCompilableError(f"{owner or place()} can't be compiled: {what}: {instead}")
