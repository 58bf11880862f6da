"""A cell magic's body as compiled code whose lines are the notebook cell's own."""

from __future__ import annotations

import ast
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

from IPython.core.error import UsageError

from ..errors import FanlabError
from ..place import file_label

_REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.FunctionDef: ("def", "define functions and steps in a cell of their own, then call them here"),
    ast.AsyncFunctionDef: ("async def", "define functions and steps in a cell of their own, then call them here"),
    ast.ClassDef: ("class", "define classes in a cell of their own"),
    ast.Await: ("await", "magics run without an event loop: await in a cell of its own and use the value here"),
    ast.AsyncFor: ("async for", "magics run without an event loop: loop in a cell of its own"),
    ast.AsyncWith: ("async with", "magics run without an event loop: do it in a cell of its own"),
    ast.Yield: ("yield", "a cell has no caller to yield to"),
    ast.YieldFrom: ("yield", "a cell has no caller to yield to"),
    ast.Return: ("return", "the value of a cell is its last expression"),
    ast.Global: ("global", "names of the notebook are there already; assign them in a cell of their own"),
    ast.Nonlocal: ("nonlocal", "a cell has no enclosing function"),
}


class CellSyntaxError(FanlabError):
    """A cell that Python cannot parse, shown as IPython shows a syntax error of a plain cell: without a stack."""

    def __init__(self, shell: Any, error: SyntaxError) -> None:
        super().__init__(str(error))
        self._shell, self.error = shell, error

    def _render_traceback_(self) -> list[str]:
        return self._shell.SyntaxTB.structured_traceback(SyntaxError, self.error, [])  # type: ignore[no-any-return]


CellSyntaxError.__name__ = "SyntaxError"  # what front ends and notebook tests call it


class CellText:
    """Remembers the exact text of the cell that runs: history keeps it without trailing blank lines."""

    def __init__(self) -> None:
        self.raw = ""

    def remember(self, info: Any) -> None:
        """Called by IPython before each cell."""
        self.raw = info.raw_cell or ""


@dataclass(frozen=True, slots=True)
class Body:
    """Compiled code: statements, and the last expression if the body ends with one."""

    statements: CodeType
    last: CodeType | None
    names: tuple[str, ...]  # assigned at top level: no loop targets, none that starts with _

    def lasting(self, namespace: Mapping[str, Any]) -> LastingBody:
        """The body with those names of a notebook that it uses, for another process."""
        codes, used = [code for code in (self.statements, self.last) if code is not None], set[str]()
        while codes:
            code = codes.pop()
            used.update(code.co_names)
            codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        names = {name: namespace[name] for name in used if name in namespace and name not in self.names}
        return LastingBody(self, names)

    def run(self, namespace: dict[str, Any]) -> Any:
        """Run it and return the last expression's value, None without one."""
        __tracebackhide__ = True
        exec(self.statements, namespace)
        return eval(self.last, namespace) if self.last is not None else None


@dataclass(frozen=True, slots=True)
class LastingBody:
    """A body with what it needs of its notebook."""

    body: Body
    names: Mapping[str, Any]

    def __call__(self) -> Any:
        """Run it."""
        return self.body.run({"__name__": "__main__", **self.names})


def compile_body(shell: Any, raw: str, magic: str, cell: str) -> Body:
    """A body compiled under the cell's own file name and line numbers.

    Raises UsageError for statements that a body cannot have, CellSyntaxError for what is no Python.
    """
    __tracebackhide__ = True
    text = cell_source(shell, raw, magic, cell)
    tree = parsed(shell, text, magic)
    _refuse(tree, magic, text.file)
    last = tree.body[-1] if tree.body else None
    expression = ast.Expression(last.value) if isinstance(last, ast.Expr) else None
    if expression is not None:
        tree.body.pop()
    return Body(
        compiled(shell, tree, text, magic, "exec"),
        compiled(shell, expression, text, magic, "eval") if expression is not None else None,
        tuple(n for n in dict.fromkeys(_assigned(tree.body)) if not n.startswith("_")),
    )


@dataclass(frozen=True, slots=True)
class Source:
    """A body as Python, at the lines that it has in its cell."""

    text: str  # blank lines stand for what is above the body
    file: str  # the name that its traceback lines get
    line: int  # of the magic


def cell_source(shell: Any, raw: str, magic: str, cell: str) -> Source:
    """The body of a cell.

    Its file name is that of the raw cell, which is also what the front end's debugger knows
    (ipykernel/compiler.py: get_code_name hashes the raw cell).
    """
    blank = len(cell) - len(cell.lstrip("\n"))
    try:
        body = "\n" * blank + shell.transform_cell(cell)  # which drops leading blank lines
    except SyntaxError as error:  # from a transformer of the notebook's own
        raise CellSyntaxError(shell, error) from None
    if not raw.rstrip().endswith(cell.rstrip()):  # called by run_cell_magic: there is no such cell
        return Source(
            "\n" + body,
            f"<%%{magic} {zlib.crc32(cell.encode('utf-8', 'replace')):08x}>" if magic == "step" else f"<%%{magic}>",
            1,
        )
    above = raw.rstrip()[: len(raw.rstrip()) - len(cell.rstrip())].count("\n")
    number = len(shell.user_ns.get("In", [])) - 1
    try:
        name = shell.compile.cache(raw, number, raw_code=raw)
    except UnicodeError as error:  # lone surrogates
        raise _unreadable(error, magic) from None
    return Source("\n" * above + body, name, max(above, 1))


def parsed(shell: Any, source: Source, magic: str) -> ast.Module:
    """The body's syntax tree. Raises CellSyntaxError, and UsageError for what Python cannot take at all."""
    __tracebackhide__ = True
    try:
        return shell.transform_ast(shell.compile.ast_parse(source.text, filename=source.file))  # type: ignore[no-any-return]
    except SyntaxError as error:
        raise CellSyntaxError(shell, error) from None
    except _UNREADABLE as error:
        raise _unreadable(error, magic) from None


def compiled(shell: Any, tree: ast.AST, source: Source, magic: str, mode: str) -> CodeType:
    """A tree as code under its cell's file name. Raises as `parsed`."""
    __tracebackhide__ = True
    try:
        return shell.compile(tree, source.file, mode)  # type: ignore[no-any-return]
    except SyntaxError as error:
        raise CellSyntaxError(shell, error) from None
    except _UNREADABLE as error:
        raise _unreadable(error, magic) from None


def _unreadable(error: BaseException, magic: str) -> UsageError:
    return UsageError(f"a %%{magic} body that Python cannot read: {error}")


# Null bytes, lone surrogates, and code that is nested too deeply; a syntax error says so itself.
_UNREADABLE = (ValueError, RecursionError, MemoryError, OverflowError)


def _refuse(tree: ast.Module, magic: str, name: str) -> None:
    for node in ast.walk(tree):
        found = _REFUSED.get(type(node))
        if found is not None:
            what, do = found
            line = getattr(node, "lineno", 0)
            raise UsageError(f"a %%{magic} body cannot hold `{what}` ({file_label(name)}, line {line}): {do}")


def _assigned(statements: list[ast.stmt]) -> list[str]:
    """Names that top-level statements bind, in order, blocks included; loop targets are the loop's own."""
    found: list[str] = []
    for statement in statements:
        match statement:
            case ast.Assign(targets=targets):
                found += [name for target in targets for name in _targets(target)]
            case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
                found += _targets(target)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found += [(alias.asname or alias.name).partition(".")[0] for alias in names if alias.name != "*"]
            case ast.With(items=items):
                found += [name for item in items if item.optional_vars for name in _targets(item.optional_vars)]
            case _:
                pass
        found += [node.target.id for node in _own_expressions(statement) if isinstance(node, ast.NamedExpr)]
        for block in ("body", "orelse", "finalbody"):
            found += _assigned(getattr(statement, block, []))
        for handler in getattr(statement, "handlers", []) + getattr(statement, "cases", []):
            found += _assigned(handler.body)
    return found


def _own_expressions(statement: ast.stmt) -> list[ast.AST]:
    """The expressions of a statement itself, without the blocks in it."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Lambda, ast.stmt)):
            continue
        found.append(node)
        waiting += ast.iter_child_nodes(node)
    return found


def _targets(target: ast.expr) -> list[str]:
    match target:
        case ast.Name(id=name):
            return [name]
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [name for part in parts for name in _targets(part)]
        case ast.Starred(value=value):
            return _targets(value)
        case _:
            return []
