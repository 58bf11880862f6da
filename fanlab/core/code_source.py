"""The source that a code object was compiled from, normalised: no decorators, docstring, comments or layout."""

from __future__ import annotations
import __future__

import ast
import contextlib
import hashlib
import itertools
import linecache
import os
import time
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType

from .code_form import form_of, nested

_FUTURES = 0
for _feature in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _feature).compiler_flag
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_RELOADED = "__autoreload_class__."  # see IPython.extensions.deduperreload
_Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Range = tuple[int, tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Definition:
    """A function's source, and its code compiled anew from the normalised syntax tree."""

    text: str
    code: CodeType


class _Statement:
    """A statement of a file or cell; compiled when a function of it is asked for."""

    def __init__(self, tree: ast.stmt, file: str) -> None:
        self._tree, self._file = tree, file
        self.first = min([tree.lineno, *(node.lineno for node in getattr(tree, "decorator_list", ()))])
        self.last = tree.end_lineno or tree.lineno
        self.defines = {name for node in ast.walk(tree) if (name := _name(node))}
        self._compiled: list[tuple[CodeType, Definition | None]] | None = None

    def codes(self, futures: int) -> list[tuple[CodeType, Definition | None]]:
        """The code objects in it as it compiles by itself; of functions and lambdas, with their definitions."""
        if self._compiled is None:  # all functions of a statement have the future features of who asks first
            self._compiled = list(self._compile(futures))
        return self._compiled

    def of(self, codes: list[CodeType]) -> list[CodeType]:
        """Those of a file's code objects that are in this statement."""
        return [code for code in codes if self.first <= code.co_firstlineno <= self.last]

    def _compile(self, futures: int) -> Iterator[tuple[CodeType, Definition | None]]:
        tree = ast.Module([self._tree], [])
        module = compile(tree, self._file, "exec", futures, dont_inherit=True)
        nodes = [node for node in ast.walk(tree) if isinstance(node, _Node)]
        ranges = {id(node): _range(node) for node in nodes}
        _normalise(tree)
        twin = compile(tree, self._file, "exec", futures, dont_inherit=True)
        for code, other in itertools.islice(zip(nested(module), nested(twin), strict=True), 1, None):
            node = _of(code, nodes, ranges)
            yield code, Definition(_text(node), other) if node is not None else None


class _File:
    """A parsed file or cell, as it was when it was read."""

    def __init__(self, stamp: object, name: str, text: str) -> None:
        self.stamp, self._name, self._text = stamp, name, text
        self._compiled: list[CodeType] | None = None
        try:
            self.statements = [_Statement(node, name) for node in parse(text).body]
        except (SyntaxError, ValueError):
            self.statements = []

    def codes(self, futures: int) -> list[CodeType]:
        """The code objects in it as it compiles as a whole: what is imported above matters to the compiler."""
        if self._compiled is None:
            module = compile(self._text, self._name, "exec", futures, dont_inherit=True)
            self._compiled = list(nested(module))[1:]
        return self._compiled


_files: dict[str, _File] = {}


def parse(text: str) -> ast.Module:
    """A text's syntax tree. Raises SyntaxError, and ValueError for text that no source can be.

    Python before 3.11.8 and 3.12.2 counts the depth of all threads' trees in one place, and may raise SystemError for
    a sound text while another thread parses too (python/cpython#106905): then it is parsed once more.
    """
    with contextlib.suppress(SystemError):
        return ast.parse(text)
    return ast.parse(text)


def definition(code: CodeType) -> Definition | None:
    """Where a function's code comes from; None where there is no source, or it compiles to something else."""
    file = _file(code.co_filename)
    if file is None:
        return None
    futures = code.co_flags & _FUTURES
    for statement in file.statements:
        if statement.first <= code.co_firstlineno <= statement.last:
            codes = statement.codes(futures)
            found = next((defined for other, defined in codes if other == code), None)
            if found is not None:
                return found
            whole = [
                other for other in file.codes(futures) if statement.first <= other.co_firstlineno <= statement.last
            ]
            if code in whole and len(whole) == len(codes):
                return codes[whole.index(code)][1]
    return _moved(code, file, futures)


def _moved(code: CodeType, file: _File, futures: int) -> Definition | None:
    """The same function elsewhere in its file: lines above it have come or gone since."""
    digest = None
    for statement in file.statements:
        if code.co_name not in statement.defines:
            continue
        codes = statement.codes(futures)
        whole = statement.of(file.codes(futures))
        for number, (other, defined) in enumerate(codes):
            if defined is not None and _is_named(other, code):
                digest = digest or form_of(code).digest
                again = [other, *(whole[number : number + 1] if len(whole) == len(codes) else ())]
                if any(form_of(each).digest == digest for each in again):
                    return defined
    return None


def _is_named(written: CodeType, code: CodeType) -> bool:
    """Whether a function that is written in a file bears the name of one that runs.

    `%autoreload` compiles a method that has been edited by itself, in a class of a name of its own.
    """
    if code.co_qualname.startswith(_RELOADED):
        return written.co_qualname.endswith(code.co_qualname[len(_RELOADED) - 1 :])
    return written.co_qualname == code.co_qualname


def source_digest(file: str) -> str:
    """The digest of a module's source, without its comments, layout and docstrings; of another file, of its bytes."""
    try:
        with open(file, "rb") as opened:
            content = opened.read()
    except OSError:
        return ""
    if file.endswith(".py"):
        with contextlib.suppress(SyntaxError, ValueError):
            tree = ast.parse(content)
            _normalise(tree)
            _without_docstring(tree)
            content = ast.dump(tree).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def is_edited(function: FunctionType) -> bool:
    """Whether the file of a module's function has been changed since this process began, and says something else now.

    A program cannot be reloaded, and a module whose loader rewrites code never agrees with its file.
    """
    name, code = function.__globals__.get("__name__"), function.__code__
    loader = function.__globals__.get("__loader__")
    if name in ("__main__", None) or type(loader) is not SourceFileLoader:
        return False
    try:
        changed = os.stat(code.co_filename).st_mtime
    except OSError:
        return False
    return changed >= STARTED and definition(code) is None


def _began() -> float:
    """When this process began, as seconds since the epoch; where the system does not tell, when it came here."""
    try:
        with open("/proc/self/stat") as stat, open("/proc/uptime") as uptime:
            ticks = int(stat.read().rpartition(")")[2].split()[19])
            return time.time() - float(uptime.read().split()[0]) + ticks / os.sysconf("SC_CLK_TCK") - 1
    except (OSError, ValueError, IndexError):
        return time.time()


STARTED = _began()


def _file(name: str) -> _File | None:
    """The file or cell of that name as it is now."""
    known = _files.get(name)
    try:
        found = os.stat(name)
    except OSError:
        return _cell(name, known)
    stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
    if known is None or known.stamp != stamp:
        try:
            with tokenize.open(name) as file:
                known = _files[name] = _File(stamp, name, file.read())
        except (OSError, SyntaxError, UnicodeDecodeError):
            return None
    return known


def _cell(name: str, known: _File | None) -> _File | None:
    """A cell that IPython has run: its text is kept under the name that its code objects bear."""
    lines = linecache.getlines(name)
    if not lines:
        return None
    text = "".join(lines)
    if known is None or known.stamp != text:
        if text.startswith("%%"):  # the magic is no Python; what follows keeps its lines
            text = text[text.find("\n") :]
        known = _files[name] = _File("".join(lines), name, text)
    return known


def _name(node: ast.AST) -> str | None:
    if isinstance(node, _FUNCTIONS):
        return node.name
    return "<lambda>" if isinstance(node, ast.Lambda) else None


def _range(node: _Node) -> _Range:
    """The line that a function's code says it starts at, and where its body begins and ends."""
    body = node.body if isinstance(node, ast.Lambda) else node.body[0]
    first = min([node.lineno, *(found.lineno for found in getattr(node, "decorator_list", ()))])
    return first, (body.lineno, body.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _of(code: CodeType, nodes: list[_Node], ranges: dict[int, _Range]) -> _Node | None:
    """The syntax tree of a code object: by name and line, and by column where a line has several."""
    found = [node for node in nodes if _name(node) == code.co_name and ranges[id(node)][0] == code.co_firstlineno]
    if len(found) > 1:
        spots = [(line, column) for line, _, column, _ in code.co_positions() if line is not None and column]
        around = [node for node in found if all(ranges[id(node)][1] <= s <= ranges[id(node)][2] for s in spots)]
        found = sorted(around, key=lambda node: ranges[id(node)][1], reverse=True)
    return found[0] if found else None


def _text(node: _Node) -> str:
    if isinstance(node, ast.Lambda):
        return ast.unparse(node)
    decorators, node.decorator_list = node.decorator_list, []
    try:
        return ast.unparse(node)
    finally:
        node.decorator_list = decorators


def _normalise(tree: ast.Module) -> None:
    """Take docstrings and positions out of a syntax tree, in place.

    Each function, class and comprehension is on one line, and no two of them on the same: what the
    compiler makes of a tree depends on which parts share a line.
    """
    keep_docstrings = any(isinstance(node, ast.Attribute) and node.attr == "__doc__" for node in ast.walk(tree))
    count = 0
    waiting: list[tuple[ast.AST, int]] = [(tree, 0)]
    while waiting:
        node, line = waiting.pop()
        if isinstance(node, _SCOPES):
            count += 1
            line = count
            if not keep_docstrings and isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                _without_docstring(node)
        if hasattr(node, "lineno"):
            node.lineno = node.end_lineno = line  # type: ignore[attr-defined]
            node.col_offset = node.end_col_offset = 0  # type: ignore[attr-defined]
        waiting += [(child, line) for child in ast.iter_child_nodes(node)]


def _without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) -> None:
    if ast.get_docstring(node, clean=False) is not None:
        node.body[:1] = [] if len(node.body) > 1 else [ast.Pass(lineno=1, col_offset=0, end_lineno=1, end_col_offset=0)]
