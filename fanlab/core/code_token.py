"""What code refers to, as tokens: the user's own functions and classes by number, installed ones by version."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

from . import origin
from .code_form import Form, form_of
from .code_parts import Part, cells, is_descriptor, is_wrapper, module_of, short
from .code_source import definition
from .spec import Step

HashValue = Callable[..., str]  # a value, and what tells the functions and classes in it

_FORMS_KEPT = 4096
_KINDS = {
    "global": "its global", "closure": "its closure variable", "default": "the default of", "attribute": "the attribute"
}  # fmt: skip
_HOLDERS = {  # what holds functions, and where
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
    functools.cached_property: ("func",),
    functools.partial: ("func", "args", "keywords", "__dict__"),
    functools.partialmethod: ("func", "args", "keywords"),
    MethodType: ("__func__", "__self__"),
}
_BOUND = (functools.partial, functools.partialmethod, MethodType)  # what holds values too


@dataclass(slots=True)
class Visit:
    """A function, class or module that has been met: its number in the order of meeting, and what to call it."""

    number: int
    label: str
    thing: Any  # kept, so that its id stays its own


class Tokens:
    """Tells what code refers to, and keeps account of what has been told: what is still to be visited, and parts."""

    def __init__(self, hash_value: HashValue) -> None:
        self.state = hashlib.blake2b(digest_size=16)
        self.parts: dict[tuple[str, str], Part] = {}
        self.waiting: deque[Visit] = deque()
        self.unkeyable: str | None = None
        self.home: str | None = None  # the module of the function that is keyed: its own names need no module
        self._hash_value = hash_value
        self._met: dict[int, Visit] = {}
        self._by_name = False  # tell functions and classes by name instead of by number
        self._told = False  # whether one has been told
        self._within: tuple[str, str | None] = ("", None)  # the kind and name of what is looked into
        self._values: dict[tuple[str, str, int], tuple[Any, str]] = {}  # what has been told, kept with its token

    def take(self, text: str) -> None:
        """Let a text count."""
        self.state.update(text.encode("utf-8", "surrogatepass"))
        self.state.update(b"\0")

    def part(self, kind: str, name: str, digest: str, text: str) -> None:
        """Note one thing that the key covers; another one of the same name gets a number."""
        unique, count = name, 1
        while self.parts.get((kind, unique), Part(kind, unique, digest, text)).digest != digest:
            count += 1
            unique = f"{name} ({count})"
        self.parts[kind, unique] = Part(kind, unique, digest, text)

    def refer(self, kind: str, name: str, thing: Any, label: str | None = None) -> None:
        """Let count what a name refers to: code is visited later, a value counts by its content."""
        token = self.code(thing, label or name)
        if token is None:
            token = self._data(kind, name, thing)
        elif type(thing) in _BOUND:
            told = self._named(lambda: self.any(thing, label or name))
            self.part(kind, name, hashlib.blake2b(told.encode(), digest_size=16).hexdigest(), short(thing))
        self.take(token)

    def _data(self, kind: str, name: str, value: Any) -> str:
        """Note a value as a part, and return its token."""
        known = self._values.get((kind, name, id(value)))
        if known is not None:
            return known[1]
        self._told, self._within = False, (kind, name)
        digest = told = self.value(value)
        if self._told:  # numbers depend on what else has been met: a person compares by name
            told = self._named(lambda: self.value(value))
        self._within = ("", None)
        self.part(kind, name, told, short(value))
        self._values[kind, name, id(value)] = (value, digest)
        return digest

    def _named(self, tell: Callable[[], str]) -> str:
        """What `tell` returns when functions and classes are told by name."""
        self._by_name = True
        try:
            return tell()
        finally:
            self._by_name = False

    def value(self, value: Any, lenient: bool = False) -> str:
        """The hash of a value's content. With `lenient`, one that has none counts by its type."""
        try:
            return self._hash_value(value, self.code)
        except Exception as error:  # noqa: BLE001 (a value's own code is asked what it consists of)
            if not lenient and self.unkeyable is None:
                kind, name = self._within
                where = f"{_KINDS[kind]} '{name}': " if name is not None else ""
                self.unkeyable = f"{where}{getattr(error, 'what', error)}"
            return f"{type(value).__module__}.{type(value).__qualname__}"

    def code(self, thing: Any, label: str | None = None) -> str | None:
        """A token for something that is code; None for anything else. What is the user's own is visited later."""
        label = label or self._within[1]
        if isinstance(thing, (FunctionType, type)):
            return self._defined(thing, label)
        if isinstance(thing, Step):
            version = f" version {thing.options.version}" if thing.options.version is not None else ""
            return f"{self.code(thing.function, label or thing.name)}{version}"
        if type(thing) in _HOLDERS:
            held = [getattr(thing, name, None) for name in _HOLDERS[type(thing)]]
            return f"{type(thing).__name__} {' '.join(self.any(part, label) for part in held)}"
        if isinstance(thing, ModuleType):
            return self._module(thing)
        if isinstance(thing, BuiltinFunctionType) or is_descriptor(thing):
            return self._builtin(thing)
        if is_wrapper(thing):
            return f"wrapper {self.any(type(thing), None)} of {self.any(thing.__wrapped__, label)}"
        return None

    def any(self, thing: Any, label: str | None, lenient: bool = False) -> str:
        """A token for code and for values alike."""
        token = self.code(thing, label)
        return token if token is not None else self.value(thing, lenient)

    def installed(self, module: str | None) -> None:
        """Note an installed module, which counts by name and version."""
        name, version = origin.version(module or "builtins")
        if name != "Python" and ("module", name) not in self.parts:
            self.part("module", name, version, version)

    def _defined(self, thing: Any, label: str | None) -> str:
        """A token for a function or class."""
        module = module_of(thing)
        if not origin.is_own(module):
            self.installed(module)
            inside = self._inside(thing, label) if isinstance(thing, FunctionType) else ""
            return f"installed {module}.{thing.__qualname__}{inside}"
        visit = self._meet(thing, self._name_of(thing, label))
        return f"named {visit.label}" if self._by_name else f"number {visit.number}"

    def _meet(self, thing: Any, label: str) -> Visit:
        self._told = True
        visit = self._met.get(id(thing))
        if visit is None:
            visit = self._met[id(thing)] = Visit(len(self._met), label, thing)
            self.waiting.append(visit)
        return visit

    def _name_of(self, thing: Any, label: str | None) -> str:
        """What a person calls a function or class: as it is defined, or, where that says nothing, as it is used."""
        module, name = module_of(thing), thing.__qualname__
        if isinstance(thing, FunctionType) and hasattr(thing, "__wrapped__"):  # which bears the other's name
            return thing.__code__.co_qualname.replace(".<locals>", "")
        if label is not None and ("<lambda>" in name or "<locals>" in name):
            return label
        name = name.rpartition("<locals>.")[2]
        return name if module in (self.home, "__main__", None) else f"{module}.{name}"

    def _inside(self, function: FunctionType, label: str | None) -> str:
        """What an installed function carries of the user's: a decorator's wrapper holds what it decorates."""
        held = [content for _, content in cells(function)]
        held += [function.__wrapped__] if hasattr(function, "__wrapped__") else []
        registry = getattr(function, "registry", None)  # of functools.singledispatch
        if isinstance(registry, MappingProxyType):
            pairs = sorted(registry.items(), key=lambda pair: f"{pair[0].__module__}.{pair[0].__qualname__}")
            held += [each for pair in pairs for each in pair]
        return f"({' '.join(self.any(each, label, lenient=True) for each in held)})" if held else ""

    def _builtin(self, thing: Any) -> str:
        """A token for a function written in C; a method of an object covers the object."""
        owner = getattr(thing, "__self__", None)
        name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", "")
        if owner is not None and not isinstance(owner, (ModuleType, type)):
            return f"method {name} of {self.value(owner)}"
        of = getattr(thing, "__objclass__", owner if isinstance(owner, type) else None)
        module = of.__module__ if of is not None else getattr(thing, "__module__", None)
        if module in sys.modules and origin.is_own(module):
            return f"compiled {module}.{name} {origin.content(module)}"
        self.installed(module)
        return f"installed {module}.{name}"

    def _module(self, module: ModuleType) -> str:
        """A token for a module that is used as a whole."""
        if origin.is_own(module.__name__):
            self._meet(module, module.__name__)
        else:
            self.installed(module.__name__)
        return f"module {module.__name__}"


_forms: dict[int, tuple[CodeType, Form, str]] = {}


def known(code: CodeType) -> tuple[Form, str]:
    """A code object's form and its source. Remembered for the object, which never changes."""
    found = _forms.get(id(code))
    if found is None:
        defined = definition(code)
        form = form_of(defined.code if defined is not None else code)
        return learn(code, form, defined.text if defined is not None else "")
    return found[1], found[2]


def learn(code: CodeType, form: Form, text: str = "") -> tuple[Form, str]:
    """Take the form of a code object from where its source is."""
    if len(_forms) >= _FORMS_KEPT:
        _forms.clear()
    _forms[id(code)] = (code, form, text)
    return form, text


def outline(thing: Any) -> str | None:
    """What a function, class or module is by itself, without what it reaches; None for anything else."""
    if isinstance(thing, Step):
        thing = thing.function
    if isinstance(thing, FunctionType):
        return f"function {module_of(thing)}.{thing.__qualname__} {known(thing.__code__)[0].digest.hex()}"
    if isinstance(thing, ModuleType):
        return f"module {thing.__name__}"
    if isinstance(thing, type):
        return f"class {thing.__module__}.{thing.__qualname__}"
    if type(thing) in _HOLDERS or isinstance(thing, BuiltinFunctionType) or is_descriptor(thing) or is_wrapper(thing):
        return f"{type(thing).__name__} {getattr(thing, '__qualname__', '')}"
    return None
