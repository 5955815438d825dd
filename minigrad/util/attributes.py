"""Attributes of this package's objects: one that their class doesn't know has no effect."""

from __future__ import annotations

from functools import cache


@cache
def attributes(cls: type) -> frozenset[str]:
    """Return the names that a class declares, and those that its methods mention."""
    found = {*dir(cls), *getattr(cls, "_options", ())}
    for base in cls.__mro__:
        found.update(getattr(base, "__annotations__", ()))
        for member in vars(base).values():
            code = getattr(getattr(member, "fget", member), "__code__", None)
            found.update(getattr(code, "co_names", ()))
    return frozenset(found)


def refuse_unknown(thing: object, name: str, label: str = "", *, strict: bool = True) -> None:
    """Refuse an attribute that the object's class, if it is of this package, doesn't know.

    If it isn't `strict`, a name that resembles none of the known ones is accepted.
    """
    cls: type = type(thing)
    ours = cls.__module__.startswith("minigrad.") and not name.startswith("_")
    if ours and name not in attributes(cls):
        from minigrad.util.lookup import guess

        known = {*dir(thing), *getattr(thing, "_options", ())} - {name}
        way = guess(name, [other for other in known if not other.startswith("_")])
        if not way and not strict:
            return
        way = way or f"for attributes of your own, derive a class from {cls.__name__}"
        raise AttributeError(f"{label or cls.__name__} has no attribute '{name}': {way}")
