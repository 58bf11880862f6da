"""The decorator @step, and what cannot be one."""

from __future__ import annotations

import datetime as dt
import inspect
import typing
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Never, overload

from .core.spec import RESERVED, Options, Step
from .core.typed import P, R
from .errors import StepDefinitionError, check_options, listed
from .place import Place

RetryOn = type[BaseException] | tuple[type[BaseException], ...]


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    function: None = None,
    /,
    *,
    name: str | None = ...,
    retries: int = ...,
    retry_delay: float = ...,
    retry_backoff: float = ...,
    retry_on: RetryOn = ...,
    timeout: float | None = ...,
    enable_cache: bool | None = ...,
    expires_after: float | dt.timedelta | None = ...,
    max_parallel: int | None = ...,
    version: str | None = ...,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retries: int = 0,
    retry_delay: float = 0.0,
    retry_backoff: float = 1.0,
    retry_on: RetryOn = Exception,
    timeout: float | None = None,
    enable_cache: bool | None = None,
    expires_after: float | dt.timedelta | None = None,
    max_parallel: int | None = None,
    version: str | None = None,
    **unknown: Never,
) -> Step | Callable[[Callable[..., Any]], Step]:
    """Mark a function as a step, bare (`@step`) or with options (`@step(retries=2)`).

    After a failure with one of the exceptions `retry_on`, a branch is tried again up to `retries` times;
    attempt k is followed by a wait of `retry_delay * retry_backoff**(k-1)` seconds. A branch that runs longer
    than `timeout` seconds is ended. `max_parallel` bounds how many branches run at once.
    What it returned is used again where code and arguments are the same, for `expires_after` seconds (or a
    timedelta); `enable_cache=False` runs it each time, and wins over its pipeline's. `version` is part of its code.
    Outside a pipeline it stays a plain function. Raises StepDefinitionError for one that cannot be a step,
    and StepCallError for an option that there is not.

    >>> @step
    ... def double(x):
    ...     return 2 * x
    >>> double(4)
    8
    """
    check_options("@step", unknown, ["name", *(option.name for option in fields(Options))])
    options = Options(
        retries, retry_delay, retry_backoff, retry_on, timeout, enable_cache, max_parallel, version, expires_after
    )
    if function is None:
        return lambda found: _step(found, name, options)
    return _step(function, name, options)


def _step(function: Callable[..., Any], name: str | None, options: Options) -> Step:
    name = name or getattr(function, "__name__", None)
    _check(function, name)
    return Step(function, str(name), _output_names(function, str(name)), options)


def _check(function: Any, name: str | None) -> None:
    """Raise StepDefinitionError for what cannot be a step, with the way out."""
    code = getattr(function, "__code__", None)
    place = str(Place(code.co_filename, code.co_firstlineno)) if code is not None else None
    if isinstance(function, (staticmethod, classmethod)) or not callable(function):
        raise StepDefinitionError(
            f"@step takes a function, not {type(function).__name__}", place, "put @step on a function at top level"
        )
    if name is None:
        raise StepDefinitionError(
            f"{function!r} has no name to call the step by", place, 'use step(name="...")(function)'
        )
    if isinstance(function, Step):
        raise StepDefinitionError(
            f"'{name}' is a step already", place, "use .with_options(...) for a copy with other options"
        )
    parent = getattr(function, "__qualname__", name).rpartition(".")[0]
    if parent and not parent.endswith("<locals>"):
        raise StepDefinitionError(
            f"'{name}' is a method of {parent}, which cannot be a step",
            place,
            "make it a function that takes the object as an argument",
        )
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise StepDefinitionError(
            f"step '{name}' is a generator, whose value cannot be stored", place, "return a list instead of using yield"
        )
    if inspect.iscoroutinefunction(function):
        raise StepDefinitionError(
            f"step '{name}' is async, which steps cannot be yet",
            place,
            "make it a plain function that calls asyncio.run(...)",
        )
    taken = [parameter for parameter in _parameters(function) if parameter in RESERVED]
    if taken:
        raise StepDefinitionError(
            f"step '{name}' has a parameter called '{taken[0]}', which calls in a pipeline use themselves",
            place,
            f"call it something else, for example '{name}_{taken[0]}'",
        )


def _parameters(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except ValueError:  # written in C without a signature
        return []


def _output_names(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    """The outputs that a return annotation names: `Annotated[int, "answer"]`, `tuple[A, B]`, else "output"."""
    try:
        hint = typing.get_type_hints(function, include_extras=True).get("return")
    except Exception:  # noqa: BLE001 (an annotation that cannot be read names nothing)
        return ("output",)
    parts = typing.get_args(hint) if typing.get_origin(hint) is tuple else ()
    if len(parts) < 2 or Ellipsis in parts:
        return (_annotated(hint) or "output",)
    names = tuple(_annotated(part) or f"output_{i}" for i, part in enumerate(parts))
    if len(set(names)) < len(names):
        raise StepDefinitionError(
            f"step '{name}' names two outputs alike: {listed(names)}", do="give each a name of its own"
        )
    return names


def _annotated(hint: Any) -> str | None:
    return next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, str)), None)
