"""A call's arguments bound to its step's parameters, copied, and told apart into mapped and shared ones."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..errors import FanOutError, StepCallError, near
from ..place import here
from .expand import Items, items_of
from .pending import Branches, Flattened, Gathered, Grouped, Output, Pending
from .seal import rebuild
from .spec import RESERVED, Argument, Step, Unmapped


@functools.lru_cache(maxsize=128)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def bind(step: Step, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Argument]:
    """The arguments of a call with their parameters' names. Raises StepCallError if they do not fit."""
    try:
        signature = _signature(step.function)
    except ValueError:  # some functions written in C do not tell theirs
        return [Argument(f"args[{i}]", a) for i, a in enumerate(args)] + [
            Argument(k, a, True) for k, a in kwargs.items()
        ]
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        _refuse_arguments(step, kind, signature, kwargs, str(error))
    positional = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_POSITIONAL), "")
    names = [p.name for p in positional[: len(args)]]
    names += [f"{rest}[{i}]" for i in range(len(args) - len(names))]
    return [Argument(n, a) for n, a in zip(names, args, strict=True)] + [
        Argument(k, a, True) for k, a in kwargs.items()
    ]


def _refuse_arguments(step: Step, kind: str, signature: inspect.Signature, kwargs: dict[str, Any], error: str) -> None:
    called = f"step '{step.name}'{f' .{kind}()' if kind else ''}"
    parameters = list(signature.parameters)
    unknown = [name for name in kwargs if name not in parameters and f"'{name}'" in error]
    hint = near(unknown[0], [*parameters, *RESERVED]) if unknown else ""
    raise StepCallError(
        f"{called} {error}",
        where=str(here()),
        do=hint or f"its parameters are {signature}",
    )


def mapped(step: Step, kind: str, argument: Argument) -> Argument:
    """An argument of a map or product with its items told apart, or shared. Raises FanOutError for a set."""
    value = argument.value
    if isinstance(value, Unmapped):
        return replace(argument, value=copied(value.value))
    if isinstance(value, Gathered):
        raise FanOutError(
            f"argument '{argument.name}' of {step.name}.{kind}() is {value!r}, which cannot be mapped over",
            where=str(here()),
            do="map over the branches themselves, or give it to a step and map over what that returns",
        )
    if isinstance(value, (Output, Branches, Flattened, Grouped)):
        return replace(argument, mapped=True)
    try:
        items = items_of(value)
    except FanOutError as error:
        error = FanOutError(f"argument '{argument.name}' of {step.name}.{kind}(): {error.what}", do=error.do)
        raise placed(error) from None
    if items is None:
        return replace(argument, value=value)
    return replace(argument, value=copied(items), mapped=True)


def reduced(step: Step, items: Any) -> Argument:
    """What a step reduces, as its one argument.

    Raises FanOutError for what has no items, StepCallError for a step that does not take two values.
    """
    try:
        _signature(step.function).bind(None, None)
    except TypeError:
        signature = _signature(step.function)
        raise StepCallError(
            f"step '{step.name}' .reduce() calls it with two values, but its parameters are {signature}",
            where=str(here()),
            do="let it take two values, such as def add(a, b)",
        ) from None
    except ValueError:  # written in C without a signature
        pass
    value = items.value if isinstance(items, Unmapped) else items
    if isinstance(value, (Output, Branches, Flattened)) or (isinstance(value, Gathered) and value._kind != "results"):
        return Argument("items", value, mapped=True)
    found = items_of(value) if not isinstance(value, Pending) else None
    if found is None:
        raise FanOutError(
            f"{step.name}.reduce() takes items, not {value!r}"
            if isinstance(value, Pending)
            else f"{step.name}.reduce() takes items, not {type(value).__name__}",
            where=str(here()),
            do="give it Branches, branches.successful(), a list, or an Output that is one",
        )
    return Argument("items", copied(Items(found.values)), mapped=True)


def refuse_nothing_to_map(step: Step, kind: str, arguments: tuple[Argument, ...]) -> None:
    """Raise FanOutError for a map over nothing, saying what each argument is."""
    given = ", ".join(f"{a.name} is {type(a.value).__name__}" for a in arguments) or "there are no arguments"
    raise FanOutError(
        f"{step.name}.{kind}() has nothing to map over: {given}",
        where=str(here()),
        do="pass a list, range, dict, array, Output or Branches; unmapped(...) marks what all branches share; "
        "for a DataFrame's rows use map_records(...)",
    )


def copied(value: Any) -> Any:
    """Containers anew, all the way down, so that later changes in the body do not reach the graph."""
    try:
        return rebuild(value, lambda leaf: copied(leaf.value) if isinstance(leaf, Unmapped) else leaf)
    except RecursionError:
        raise StepCallError(
            f"a {type(value).__name__} holds itself, or is nested too deeply to be an argument",
            where=str(here()),
            do="give the step what it needs of it, or make it inside the step",
        ) from None


def placed(error: FanOutError) -> FanOutError:
    """The same error with the user's line."""
    return FanOutError(error.what, str(here()), error.do)
