"""How what functools has made of a function travels: by that function, since pickle knows of nothing but its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import _lru_cache_wrapper, cached_property, lru_cache, singledispatch
from types import FunctionType
from typing import Any

_DISPATCH = singledispatch(lambda _: None).__code__  # type: ignore[attr-defined]


def is_around(thing: Any) -> bool:
    """Whether a thing stands in the place of a function that it is wrapped around, and bears its name."""
    return isinstance(thing, (FunctionType, _lru_cache_wrapper)) and hasattr(thing, "__wrapped__")


def reduce_around(thing: Any) -> tuple[Any, ...] | None:
    """How a function with a cache, or one that is chosen by the type of its argument, is made anew; else None."""
    if isinstance(thing, _lru_cache_wrapper):
        return _remembering, (thing.__wrapped__, thing.cache_parameters())
    if thing.__code__ is _DISPATCH:
        return singledispatch, (thing.__wrapped__,), list(thing.registry.items()), None, None, _fill_dispatch
    return None


def reduce_cached_property(found: cached_property[Any]) -> tuple[Any, ...]:
    """One by its function and name: before Python 3.12 it has a lock too, which cannot be pickled."""
    return _cached_property, (found.func, found.attrname)


def _remembering(function: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    return lru_cache(**parameters)(function)


def _fill_dispatch(dispatch: Any, functions: Sequence[tuple[type, Callable[..., Any]]]) -> None:
    for kind, function in functions:
        dispatch.register(kind, function)


def _cached_property(function: Callable[[Any], Any], name: str | None) -> cached_property[Any]:
    made = cached_property(function)
    made.attrname = name
    return made
