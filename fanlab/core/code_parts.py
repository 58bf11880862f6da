"""What a code key covers, and what a function or class consists of, read off the live object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

MISSING: Any = object()
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_WIDEST = 80
_DERIVED = {  # attributes of a class that follow from others, or from where it stands
    "__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__wrapped__", "__parameters__",
    "__firstlineno__", "__static_attributes__", "__abstractmethods__", "_abc_impl", "__slotnames__",
    "__annotations__", "__annotations_cache__", "__annotate_func__", "__annotate__",
    "__dataclass_fields__",  # told field by field
    "_member_map_", "_value2member_map_", "_member_names_", "_unhashable_values_", "_hashable_values_",
    "_unhashable_values_map_",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a code key covers."""

    kind: str  # "function", "class", "global", "closure", "default", "attribute", "module" or "version"
    name: str  # as a person knows it: `helper`, `helpers.clean`, `scale`, `numpy`
    digest: str  # of its content
    text: str  # normalised source, or a short repr


def module_of(thing: Any) -> str | None:
    """The module that a function or class is defined in; a function's globals know it best."""
    if isinstance(thing, FunctionType):
        thing = thing.__globals__.get("__name__", thing.__module__)
    else:
        thing = getattr(thing, "__module__", None)
    return thing if isinstance(thing, str) else None


def defaults(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """A function's defaults, by the parameter's name."""
    values, code = function.__defaults__ or (), function.__code__
    yield from zip(code.co_varnames[code.co_argcount - len(values) : code.co_argcount], values, strict=False)
    yield from sorted((function.__kwdefaults__ or {}).items())


def cells(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """A function's closure variables that have a value."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not bound yet
            continue


def annotated(thing: Any) -> str:
    """The annotations of a function or class, as text: decorators read them, and a step's outputs are named by them."""
    try:
        found = thing.__annotations__ if isinstance(thing, FunctionType) else vars(thing).get("__annotations__", {})
        return ", ".join(f"{name}: {_annotation(value)}" for name, value in found.items())
    except Exception:  # noqa: BLE001 (an annotation that cannot be read says nothing)
        return ""


def _annotation(value: Any) -> str:
    return value.__qualname__ if isinstance(value, type) else _ADDRESS.sub("", repr(value))


def attributes(thing: type) -> dict[str, Any]:
    """What a class defines, without what follows from it."""
    members = getattr(thing, "__members__", {}) if _is_enum(thing) else {}
    found = {f"{name} =": member.value for name, member in members.items()}
    for name, field in vars(thing).get("__dataclass_fields__", {}).items():
        found[f"{name}:"] = (
            field.default, field.default_factory, field.init, field.repr, field.compare, field.kw_only, field.hash
        )  # fmt: skip
    for name, value in vars(thing).items():
        left_out = name in _DERIVED or name in members or type(value).__name__ in _SLOTS
        found.update({} if left_out else {name: value})
    return dict(sorted(found.items()))


_SLOTS = {"member_descriptor", "getset_descriptor"}


def _is_enum(thing: type) -> bool:
    return any(base.__module__ == "enum" and base.__qualname__ == "Enum" for base in thing.__mro__)


def attribute(module: ModuleType, name: str) -> Any:
    """An attribute of a module, which may make it when asked; MISSING if it has none."""
    found = vars(module).get(name, MISSING)
    try:
        return getattr(module, name) if found is MISSING else found
    except Exception:  # noqa: BLE001 (a module's own code may run)
        return MISSING


def is_descriptor(thing: Any) -> bool:
    """Whether a thing is a method of a class written in C."""
    kinds = ("method_descriptor", "wrapper_descriptor", "method-wrapper", "classmethod_descriptor")
    return type(thing).__name__ in kinds


def is_wrapper(thing: Any) -> bool:
    """Whether an object has been put in place of a function, as functools.lru_cache does."""
    return callable(thing) and hasattr(thing, "__dict__") and callable(vars(thing).get("__wrapped__"))


def short(value: Any) -> str:
    """A value in a few words: itself where that is short, else what kind of thing it is."""
    kind = type(value)
    plain = (bool, int, float, complex, str, bytes, type(None))
    if kind in plain or (kind in (list, tuple) and len(value) <= 8 and all(type(item) in plain for item in value)):
        text = repr(value)
        return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."
    if kind in (list, tuple, dict, set, frozenset):
        return f"{kind.__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    return f"{kind.__qualname__} {shape}" if type(shape) is tuple else kind.__qualname__
