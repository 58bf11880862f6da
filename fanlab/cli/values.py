"""The values of `-p name=value`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import typer

from ..errors import NotFound, StepCallError, listed, near

Value = TypeVar("Value")
_WORDS = {"true": True, "false": False, "null": None}


def pairs(words: Iterable[str]) -> dict[str, str]:
    """Names and what was written for them. Raises typer.BadParameter for a word without `=` or a name given twice."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"{word!r} is not name=value, as in -p alpha=0.1")
        if name in found:
            raise typer.BadParameter(f"'{name}' is given twice")
        found[name] = text
    return found


def value(text: str) -> Any:
    """What a person meant: a Python literal, `true`, `false` or `null`, and else the text itself.

    >>> value("0.1"), value("[1, 2]"), value("true"), value("houses.csv")
    (0.1, [1, 2], True, 'houses.csv')
    """
    if text in _WORDS:
        return _WORDS[text]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def known(given: Iterable[str], names: Iterable[str], owner: str) -> None:
    """Raise NotFound for a name that `owner` has no parameter for, with the nearest ones."""
    names = list(names)
    for name in given:
        if name not in names:
            do = near(name, names) or (f"its parameters are {listed(names)}" if names else "it has no parameters")
            raise NotFound(f"{owner} has no parameter '{name}'", do=do)


def read(what: Callable[[str], Value], text: str | None) -> Value | None:
    """An option's value as one of fanlab's own readers understands it. Raises typer.BadParameter with what it says.

    >>> from fanlab.core.spans import span
    >>> read(span, "12h"), read(span, None)
    (43200.0, None)
    """
    try:
        return None if text is None else what(text)
    except StepCallError as error:
        raise typer.BadParameter(f"{error.what}: {error.do}") from None
