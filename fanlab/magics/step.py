"""%%step: a cell as the body of a step, with the cell's own lines in its tracebacks."""

from __future__ import annotations

import argparse
import ast
import builtins
import io
import linecache
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from IPython.core.error import UsageError

from ..errors import near
from ..steps import step
from .arguments import number, seconds, variable_name
from .body import CellSyntaxError, Source, cell_source, compiled, parsed

_EXAMPLE = "for example fit(frame, alpha=1.0)"


@dataclass(frozen=True, slots=True)
class Header:
    """The part of a line that is a signature."""

    name: str
    text: str  # from the name to the closing parenthesis, or to the end of a return annotation
    line: str  # the whole line that it stands in, without the magic's name


def split_line(line: str) -> tuple[Header | None, str]:
    """A line's signature, and its other words with NAME for it. Raises UsageError for a signature without end.

    >>> header, words = split_line("fit(x, sep=' (') -> int --retries 2")
    >>> header.text, words
    ("fit(x, sep=' (') -> int", 'fit --retries 2')
    """
    begin = _begin(line)
    if begin is None:
        return None, line
    name = line[begin:].partition("(")[0].strip()
    end = _end(line, begin)
    header = Header(name, line[begin:end].strip(), line)
    return header, f"{line[:begin]}{name} {line[end:].lstrip()}".rstrip()


def options_of(shell: Any, options: argparse.Namespace) -> dict[str, Any]:
    """The words of a line as the arguments of @step. Raises UsageError."""
    found = {
        "retries": number(shell, "%%step", "--retries", options.retries),
        "retry_delay": seconds(shell, "%%step", "--retry-delay", options.retry_delay),
        "retry_backoff": seconds(shell, "%%step", "--retry-backoff", options.retry_backoff),
        "retry_on": _exceptions(shell, options.retry_on),
        "timeout": seconds(shell, "%%step", "--timeout", options.timeout),
        "enable_cache": options.enable_cache,
        "expires_after": seconds(shell, "%%step", "--expires-after", options.expires_after),
        "max_parallel": number(shell, "%%step", "--max-parallel", options.max_parallel),
        "version": options.version,
        "name": options.name,
    }
    return {name: value for name, value in found.items() if value is not None}


def define(shell: Any, raw: str, header: Header | None, cell: str, options: dict[str, Any]) -> None:
    """Bind the header's name to a step with the cell as its body. Raises UsageError, CellSyntaxError."""
    __tracebackhide__ = True
    if header is None:
        raise UsageError(f"%%step takes NAME(SIGNATURE), {_EXAMPLE}, not {options['name']!r}")
    variable_name("%%step", header.name)
    source = cell_source(shell, raw, "step", cell)
    function = _function(shell, source, _signature(shell, header, source, raw), header)
    shell.user_ns[header.name] = step(**options)(function)


def _begin(line: str) -> int | None:
    """Where the first word begins that has a parenthesis behind its name."""
    place = 0
    for word in line.split():
        place = line.index(word, place)
        name, parenthesis, _ = word.partition("(")
        after = line[place + len(word) :].lstrip()
        if name.isidentifier() and (parenthesis or after.startswith("(")):
            return place
        place += len(word)
    return None


def _end(line: str, begin: int) -> int:
    """Where the signature ends: behind its last parenthesis, or behind a return annotation."""
    end = None
    depth = 0
    annotated = False
    for kind, text, column in _tokens(line[begin:]):
        if kind == tokenize.OP and text in "([{":
            depth += 1
        elif kind == tokenize.OP and text in ")]}":
            depth -= 1
        elif depth == 0 and end is not None and not annotated:
            if text != "->":
                break
            annotated = True
        elif depth == 0 and annotated and text == "-" and line[begin + column - 1].isspace():
            break
        if depth == 0 and (text == ")" or annotated):
            end = begin + column + len(text)
    if end is None:
        raise UsageError("%%step: the signature has no end: all of it stands on the line of the magic")
    return end


def _tokens(text: str) -> Iterator[tuple[int, str, int]]:
    """Kind, text and column of each token, up to the first that is none."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if not token.string.strip() or (token.type == tokenize.ERRORTOKEN and token.string in "'\""):
                return  # the end of the line, or a text without one
            yield token.type, token.string, token.start[1]
    except (tokenize.TokenError, SyntaxError):
        return


def _signature(shell: Any, header: Header, source: Source, raw: str) -> ast.FunctionDef:
    """The empty function of a header, at the line and columns that it has in its cell."""
    __tracebackhide__ = True
    lines = raw.split("\n")
    above = lines[source.line - 1] if source.line <= len(lines) else ""
    at = above.find(header.text)
    shift = len(above[:at].encode()) - len("def ") if at >= len("def ") else 0
    try:
        tree = ast.parse(f"def {header.text}: pass")
    except SyntaxError as error:
        error.lineno = error.end_lineno = source.line
        error.offset, error.end_offset = (error.offset or 0) + shift, (error.end_offset or 0) + shift
        error.filename, error.text = source.file, above
        raise CellSyntaxError(shell, error) from None
    except ValueError as error:
        raise UsageError(f"a %%step line that Python cannot read: {error}") from None
    (function,) = tree.body
    assert isinstance(function, ast.FunctionDef)  # what else begins with def
    ast.increment_lineno(function, source.line - 1)
    for node in ast.walk(function):
        if isinstance(node, (ast.stmt, ast.expr, ast.arg)):
            node.col_offset += shift
            node.end_col_offset = (node.end_col_offset or 0) + shift
    return function


def _function(shell: Any, source: Source, function: ast.FunctionDef, header: Header) -> FunctionType:
    """The signature with the cell as its body.

    Python's own tools read a function's text where its code says that it is: IPython's tracebacks, `??`, inspect,
    and what compares code. So the cell's text is kept as that of a function, with the same lines, and compiled.
    """
    __tracebackhide__ = True
    tree = parsed(shell, source, "step")
    text = _text(header, source, tree)
    function.body = tree.body or [ast.copy_location(ast.Pass(), function)]
    last = function.body[-1]
    if isinstance(last, ast.Expr):
        function.body[-1] = ast.copy_location(ast.Return(last.value), last)
    code = compiled(shell, ast.Module([function], []), source, "step", "exec")  # errors are at the cell's own columns
    if _says(text, function):  # else transformers of the notebook's own have changed it
        linecache.cache[source.file] = (len(text), None, text.splitlines(keepends=True), source.file)
        code = compiled(shell, ast.parse(text), source, "step", "exec")
    made: dict[str, Any] = {}
    exec(code, shell.user_ns, made)
    found: FunctionType = made[function.name]
    return found


def _text(header: Header, source: Source, tree: ast.Module) -> str:
    """The cell as a function: the magic is a `def`, the body is indented, `return` is before its last expression."""
    lines = source.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        begin = lines[last.lineno - 1].encode()[: last.col_offset].decode()
        lines[last.lineno - 1] = f"{begin}return {lines[last.lineno - 1][len(begin) :]}"
    within = {  # lines of a text that spans several: an indentation would change it
        line
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and node.end_lineno is not None
        for line in range(node.lineno + 1, node.end_lineno + 1)
    }
    body = [
        line if number in within or not line.strip() else f"    {line}"
        for number, line in enumerate(lines[source.line :], source.line + 1)
    ]
    while body and not body[-1].strip():
        body.pop()
    above = [""] * (source.line - 1)
    return "\n".join([*above, f"def {header.text}:", *(body if tree.body else [*body, "    pass"])]) + "\n"


def _says(text: str, function: ast.FunctionDef) -> bool:
    try:
        return [ast.dump(found) for found in ast.parse(text).body] == [ast.dump(function)]
    except (SyntaxError, ValueError):
        return False


def _exceptions(shell: Any, text: str | None) -> tuple[type[BaseException], ...] | None:
    if text is None:
        return None
    found = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        value = _named(shell, name)
        if not (isinstance(value, type) and issubclass(value, BaseException)):
            known = [
                n for n, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
            ]
            hint = near(name, [*known, *shell.user_ns]) or "name classes with commas between, as ValueError,OSError"
            raise UsageError(f"%%step --retry-on: {name!r} is no exception: {hint}")
        found.append(value)
    return tuple(found)


def _named(shell: Any, name: str) -> Any:
    """What a name with dots in it stands for in the notebook, or None."""
    first, *rest = name.split(".")
    value = shell.user_ns.get(first, getattr(builtins, first, None))
    for part in rest:
        value = getattr(value, part, None)
    return value
