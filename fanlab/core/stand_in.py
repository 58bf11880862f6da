"""Steps replaced in a body for a test: by a value, or by another function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import StepCallError, listed, near
from .spec import RECORDER, Recorder, Step


@dataclass(slots=True)
class _StandIns:
    """What stands in while one recorder records a body, and which steps it has met."""

    values: Mapping[str, Any]
    recorder: Recorder | None
    met: set[str] = field(default_factory=set)


_NOW: ContextVar[_StandIns | None] = ContextVar("fanlab_stand_ins", default=None)


def stood_in(step: Step, recorder: Recorder) -> Step:
    """The step that is recorded in place of this one, which is itself unless something stands in for it."""
    now = _NOW.get()
    if now is None or now.recorder is not recorder:  # a pipeline in a running step is no business of the body's
        return step
    now.met.add(step.name)
    if step.name not in now.values:
        return step
    value = now.values[step.name]
    function = value if callable(value) else _giving(value)
    return replace(step, function=function, options=replace(step.options, enable_cache=False))  # and so never a hit


@contextmanager
def standing_in(pipeline: str, body: Callable[..., Any], values: Mapping[str, Any]) -> Iterator[Callable[..., Any]]:
    """The body as it records stand-ins, until the block ends; it raises StepCallError for steps it does not call."""
    active = [True]

    @functools.wraps(body)
    def replaced(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if not active:
            return body(*args, **kwargs)
        outer, recorder = _NOW.get(), RECORDER.get()
        inherited = outer.values if outer is not None and outer.recorder is recorder else {}
        now = _StandIns({**values, **inherited}, recorder)
        token = _NOW.set(now)
        try:
            returned = body(*args, **kwargs)
        finally:
            _NOW.reset(token)
            if outer is not None:
                outer.met |= now.met
        _check(pipeline, values, now.met)
        return returned

    try:
        yield replaced
    finally:
        active.clear()


def _check(pipeline: str, values: Mapping[str, Any], met: set[str]) -> None:
    for name in values:
        if name not in met:
            raise StepCallError(
                f"pipeline '{pipeline}' calls no step '{name}' that could be mocked",
                do=near(name, met) or f"the steps that it calls are {listed(sorted(met))}",
            )


def _giving(value: Any) -> Callable[..., Any]:
    def stand_in(*_: Any, **__: Any) -> Any:
        return value

    return stand_in
