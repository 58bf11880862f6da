"""What a code object does, without where it stands: its instructions with names of locals and positions left out."""

from __future__ import annotations

import dis
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

Path = tuple[str, ...]

# Callers' names are read by these, or given to them as text: where one is used, names of locals count.
_BY_NAME = frozenset([
    "locals", "vars", "dir", "eval", "exec", "_getframe", "currentframe", "query", "evaluate", "sql", "execute",
    "read_sql", "from_formula",
])  # fmt: skip
_BY_TEXT = _BY_NAME | {"getattr", "attrgetter", "methodcaller", "import_module", "__import__", "globals"}
_WORD = re.compile(r"[^\W\d]\w*")
_SKIPPED = {"EXTENDED_ARG", "CACHE", "NOP", "MAKE_CELL", "COPY_FREE_VARS", "PRECALL"}
_READS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
_UNTOLD = {"__firstlineno__", "__static_attributes__"}  # of a class: where it stands, and what its methods set
_FLAGS = 0x2AC  # *args, **kwargs, generator, coroutine and asynchronous generator


@dataclass(frozen=True, slots=True)
class Form:
    """One code object, and those nested in it."""

    digest: bytes
    reads: tuple[Path, ...]  # a global's name and the attributes read of it, `("np", "mean")`, in the order of use
    imports: tuple[Path, ...]  # of modules imported where it runs: the module and the attributes read of it
    words: tuple[str, ...]  # in its texts, where there is something in it that may look up a global by a text
    reads_docstring: bool


def form_of(code: CodeType) -> Form:
    """The form of a code object. Equal for two that differ in positions and names of locals only."""
    names = {name for inner in nested(code) for name in inner.co_names}
    return _Forming(names).form(code)


def nested(code: CodeType) -> Iterator[CodeType]:
    """A code object and all those inside it, each before what is inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested(constant)


class _Forming:
    """Goes through a code object and those inside it, and collects what they read."""

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._reads: dict[Path, None] = {}
        self._imports: dict[Path, None] = {}
        self._texts: list[str] = []

    def form(self, code: CodeType) -> Form:
        digest = self._digest(code, {})
        by_text = not _BY_TEXT.isdisjoint(self._names)
        words = dict.fromkeys(word for text in self._texts for word in _WORD.findall(text)) if by_text else ()
        return Form(digest, tuple(self._reads), tuple(self._imports), tuple(words), "__doc__" in self._names)

    def _digest(self, code: CodeType, outer: dict[str, str]) -> bytes:
        """The digest of one code object; `outer` says what captured variables are called by."""
        state = hashlib.blake2b(digest_size=16)
        told = [instruction for instruction in dis.get_instructions(code) if instruction.opname not in _SKIPPED]
        locals_ = _Locals(code, outer, not _BY_NAME.isdisjoint(self._names))
        head = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & _FLAGS)
        state.update(repr((head, locals_.arguments, len(code.co_freevars))).encode())
        targets = _targets(told)
        for at, instruction in enumerate(told):
            following = told[at + 1] if at + 1 < len(told) else None
            if following is not None and following.opname == "STORE_NAME" and following.argval in _UNTOLD:
                continue
            state.update(f"\n{instruction.opname} ".encode())
            state.update(self._argument(instruction, locals_, targets))
        state.update(_handlers(code, told))
        self._read(told)
        return state.digest()

    def _argument(self, instruction: dis.Instruction, locals_: _Locals, targets: dict[int, int]) -> bytes:
        """What an instruction works on, as it is the same wherever the code stands."""
        opcode, value = instruction.opcode, instruction.argval
        if opcode in dis.hasconst:
            return self._constant(value, locals_)
        if opcode in dis.hasjrel or opcode in dis.hasjabs:
            return b"%d" % targets.get(value, -1)
        if opcode in dis.haslocal or opcode in dis.hasfree:
            return locals_.told(value).encode()
        if opcode in dis.hasname:
            return str(value).encode()
        return b"" if instruction.arg is None else b"%d" % instruction.arg

    def _constant(self, value: Any, locals_: _Locals) -> bytes:
        """A constant with its type; a set in an order of its own."""
        kind = type(value)
        if kind is CodeType:
            return self._digest(value, locals_.names)
        if kind is tuple or kind is frozenset:
            parts = [self._constant(item, locals_) for item in value]
            return b"%b(%b)" % (kind.__name__.encode(), b",".join(sorted(parts) if kind is frozenset else parts))
        if kind is str:
            self._texts.append(value)
        return f"{kind.__name__}:{value!r}".encode()

    def _read(self, told: list[dis.Instruction]) -> None:
        """Take in which globals and imported modules are read, and what is read of them."""
        modules: dict[str, str] = {}  # local variables that an import statement has bound
        at = 0
        while at < len(told):
            instruction = told[at]
            if instruction.opname in _READS:
                self._reads[(instruction.argval, *_attributes(told, at + 1))] = None
            elif instruction.opname == "IMPORT_NAME":
                self._imported(told, at, modules)
            elif instruction.opcode in dis.haslocal and not instruction.opname.startswith("STORE"):
                names = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
                for name in names:
                    if name in modules:
                        attributes = _attributes(told, at + 1) if name == names[-1] else ()
                        self._imports[(modules[name], *attributes)] = None
            at += 1

    def _imported(self, told: list[dis.Instruction], at: int, modules: dict[str, str]) -> None:
        """Take in an import statement: what it imports, and the variable that it binds."""
        level, wanted = told[at - 2].argval, told[at - 1].argval
        module = "." * level + told[at].argval if isinstance(level, int) else told[at].argval
        if wanted:  # from module import wanted
            self._imports.update(dict.fromkeys((module,) if name == "*" else (module, name) for name in wanted))
            return
        after = at + 1
        while after + 1 < len(told) and told[after].opname in ("IMPORT_FROM", "SWAP", "POP_TOP"):
            after += 1  # import a.b as c
        bound = module if after > at + 1 else module.partition(".")[0]
        if after < len(told) and told[after].opname == "STORE_FAST":
            modules[told[after].argval] = bound
            self._imports[(module, "")] = None  # which is loaded, whatever is read of it
        else:
            self._imports[(module,)] = None


class _Locals:
    """What the variables of one code object are called by: arguments by name, all others by order of use."""

    def __init__(self, code: CodeType, outer: dict[str, str], by_name: bool) -> None:
        count = code.co_argcount + code.co_kwonlyargcount
        count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
        self.arguments = code.co_varnames[:count]
        self._by_name = by_name
        self._depth = outer.get("", "")
        self.names = {name: told for name, told in outer.items() if name in code.co_freevars}
        for name in code.co_freevars:  # of a function that has been taken out of what it was defined in
            self.names.setdefault(name, f"free {name}")
        self.names.update({name: name for name in self.arguments})
        self.names[""] = self._depth + "."

    def told(self, name: str | tuple[str, ...]) -> str:
        if isinstance(name, tuple):  # one instruction for two variables
            return ",".join(self.told(each) for each in name)
        if name not in self.names:
            self.names[name] = name if self._by_name else f"{self._depth}{len(self.names)}"
        return self.names[name]


def _attributes(told: list[dis.Instruction], at: int) -> list[str]:
    """The attributes that are read one of the other from an instruction on."""
    found = []
    while at < len(told) and told[at].opname in _ATTRIBUTES:
        found.append(told[at].argval)
        at += 1
    return found


def _targets(told: list[dis.Instruction]) -> dict[int, int]:
    """The number of the instruction at each offset; an offset of one that is left out is that of the next."""
    found: dict[int, int] = {}
    before = 0
    for number, instruction in enumerate(told):
        for offset in range(before, instruction.offset + 1, 2):
            found[offset] = number
        before = instruction.offset + 2
    return found


def _handlers(code: CodeType, told: list[dis.Instruction]) -> bytes:
    """The exception table: which instructions are guarded by which handler."""
    return b"%d" % len(told) + code.co_exceptiontable
