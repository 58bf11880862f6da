"""A function to the key of its code: what it does, and all that it reaches, recursively."""

from __future__ import annotations

import builtins
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FunctionType, ModuleType
from typing import Any

from ..place import Place
from . import origin
from .code_parts import MISSING, Part, annotated, attribute, attributes, cells, defaults, module_of
from .code_source import is_edited
from .code_token import HashValue, Tokens, known
from .spec import Step


@dataclass(frozen=True, slots=True)
class CodeKey:
    """The identity of a function's work, whatever process, cell or time it is asked in."""

    digest: str  # 32 hexadecimal digits
    parts: tuple[Part, ...]  # sorted
    unkeyable: str | None = None  # why the code cannot be keyed: what it reaches that has no content to compare
    reach: Reach = field(default_factory=lambda: Reach({}, (), ()), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Reach:
    """What of the user's own modules code needs where it runs, and whether that is what their files say."""

    uses: Mapping[str, frozenset[str] | None]  # of each module, which attributes; None: all of them
    imports: tuple[str, ...]  # modules that import statements inside functions bring in
    edited: tuple[str, ...]  # functions whose files say something else by now: `clean (helpers.py, line 12)`


def code_key(function: Any, version: str | None, hash_value: HashValue) -> CodeKey:
    """The key of a function's code, and of everything of the user's that it reaches.

    That is each function and class that it refers to, and the content of globals, closure variables,
    defaults and class attributes; what is installed counts by name and version. `hash_value(value, code)`
    gives the hash of a value's content, and asks `code` about the functions and classes in it.
    """
    walk = _Walk(hash_value)
    walk.go(function)
    if version is not None:
        walk.part("version", "version", version, repr(version))
    walk.part("module", "Python", origin.PYTHON, origin.PYTHON)
    parts = tuple(sorted(walk.parts.values(), key=lambda part: (part.kind, part.name)))
    for part in parts:
        if part.kind in ("module", "version"):
            walk.take(f"{part.kind} {part.name} {part.digest}")
    return CodeKey(walk.state.hexdigest(), parts, walk.unkeyable, walk.reach())


class CodeKeys:
    """The keys of the steps of one run, each made once: code that changes while the run goes on is for the next one."""

    def __init__(self, hash_value: HashValue) -> None:
        self._hash_value = hash_value
        self._known: dict[int, tuple[Step, CodeKey]] = {}

    def of(self, step: Step) -> CodeKey:
        """The key of a step's code."""
        if id(step) not in self._known:
            self._known[id(step)] = (step, code_key(step.function, step.options.version, self._hash_value))
        return self._known[id(step)][1]


class _Walk(Tokens):
    """Goes from a function to everything that it reaches, each thing once, in an order that the code gives."""

    def __init__(self, hash_value: HashValue) -> None:
        super().__init__(hash_value)
        self._roots: dict[int, Any] = {}  # the function that is keyed, and what it is wrapped around
        self._uses: dict[str, set[str] | None] = {}
        self._imports: dict[str, None] = {}
        self._edited: dict[str, None] = {}

    def reach(self) -> Reach:
        """What has been met of the user's own modules."""
        uses = {name: frozenset(used) if used is not None else None for name, used in self._uses.items()}
        return Reach(uses, tuple(self._imports), tuple(self._edited))

    def go(self, function: Any) -> None:
        """Visit a function, and whatever it leads to."""
        bare = function.function if isinstance(function, Step) else function
        self.home = module_of(bare)
        label = getattr(bare, "__name__", type(bare).__name__)
        while bare is not None and id(bare) not in self._roots:
            self._roots[id(bare)] = bare
            bare = getattr(bare, "__wrapped__", None)
        self.refer("global", label, function)
        while self.waiting:
            visit = self.waiting.popleft()
            self.take(f"visit {visit.number}")
            if isinstance(visit.thing, type):
                self._class(visit.thing, visit.label)
            elif isinstance(visit.thing, FunctionType):
                self._function(visit.thing, visit.label)
            else:
                self._whole(visit.thing, visit.label)

    def _function(self, function: FunctionType, label: str) -> None:
        form, text = known(function.__code__)
        if is_edited(function):
            self._edited[f"{label} ({Place(function.__code__.co_filename, function.__code__.co_firstlineno)})"] = None
        digest = hashlib.blake2b(form.digest + annotated(function).encode(), digest_size=16)
        if form.reads_docstring and function.__doc__:
            digest.update(function.__doc__.encode())
        self.part("function", label, digest.hexdigest(), text)
        self.take(digest.hexdigest())
        self._carried(function, label)
        for path in form.reads:
            self._read(function, path)
        for path in form.imports:
            self._imported(function, path)
        for word in form.words:
            if word in function.__globals__ and not word.startswith("__"):
                self._read(function, (word,))
        if hasattr(function, "__wrapped__"):
            self.take(f"wraps {self.any(function.__wrapped__, label)}")

    def _carried(self, function: FunctionType, label: str) -> None:
        """Let count what a function carries with it: defaults, closure variables, attributes."""
        prefix = "" if id(function) in self._roots else f"{label}."
        for name, default in defaults(function):
            self.take(f"default {name}")
            self.refer("default", f"{prefix}{name}", default, name)
        for name, content in cells(function):
            self.take(f"closure {name}")
            self.refer("closure", f"{prefix}{name}", content, name)
        for name in sorted(vars(function)):
            if name != "__wrapped__":
                self.take(f"attribute {name}")
                self.refer("attribute", f"{label}.{name}", vars(function)[name])

    def _read(self, function: FunctionType, path: tuple[str, ...]) -> None:
        """Let count a global, and what is read of it where it is a module."""
        root = function.__globals__.get(path[0], MISSING)
        if root is not MISSING:
            self.take(f"reads {path[0]}")
            module = module_of(function)
            self._follow(root, path, "" if module in (self.home, "__main__", None) else f"{module}.")
        elif not hasattr(builtins, path[0]):
            self.take(f"unbound {path[0]}")

    def _follow(self, thing: Any, path: tuple[str, ...], prefix: str = "") -> None:
        """Let count what a dotted name leads to: through the user's own modules, attribute by attribute."""
        name = f"{prefix}{path[0]}"
        for step in path[1:]:
            if not isinstance(thing, ModuleType) or not origin.is_own(thing.__name__):
                break
            found = attribute(thing, step)
            self.take(f"of {step}")
            if found is MISSING:
                return
            self._use(thing.__name__, step)
            name, thing = f"{thing.__name__}.{step}", found
        self.refer("global", name, thing)

    def _use(self, module: str, name: str) -> None:
        used = self._uses.setdefault(module, set())
        if used is not None:
            used.add(name)

    def _imported(self, function: FunctionType, path: tuple[str, ...]) -> None:
        """Let count what an import statement inside a function brings in."""
        name = origin.absolute(path[0], function.__globals__.get("__package__"))
        self.take(f"imports {name}")
        module = sys.modules.get(name)
        if module is not None and origin.is_own(name):
            self._imports[name] = None
            self._uses.setdefault(name, set())
        if module is None:
            self._unloaded(name)
        elif path[1:] == ("",):  # which is loaded, whatever is read of it
            if not origin.is_own(name):
                self.installed(name)
        elif len(path) > 1 and origin.is_own(name) and attribute(module, path[1]) is MISSING:
            self._unloaded(f"{name}.{path[1]}")
        else:
            self._follow(module, (name, *path[1:]))

    def _unloaded(self, module: str) -> None:
        """Let count a module that only the step itself will import: the user's own by the content of its files."""
        for name, digest in origin.unloaded(module):
            if ("module", name) not in self.parts:
                self.part("module", name, digest, digest[:8])

    def _class(self, thing: type, label: str) -> None:
        found = attributes(thing)
        bases = [base for base in thing.__bases__ if base is not object]
        shown = f"({', '.join(base.__qualname__ for base in bases)})" if bases else ""
        text = f"class {label}{shown}: {', '.join(found)}"
        told = f"{thing.__qualname__}{shown} {list(found)} {annotated(thing)}"  # its values bear its name
        digest = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
        self.part("class", label, digest, text)
        self.take(digest)
        for base in (*bases, *([type(thing)] if type(thing) is not type else ())):
            self.take(f"base {self.any(base, None)}")
        for name, value in found.items():
            self.take(f"attribute {name}")
            self.refer("attribute", f"{label}.{name.rstrip(' =:')}", value)

    def _whole(self, module: ModuleType, label: str) -> None:
        """Let count all of a module, where nobody can tell what is used of it."""
        self._uses[module.__name__] = None
        for name, value in sorted(vars(module).copy().items()):
            if not (name.startswith("__") and name.endswith("__")):
                self.take(f"of {name}")
                self.refer("global", f"{label}.{name}", value)
