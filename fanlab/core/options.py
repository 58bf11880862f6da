"""The options of a step, and which values they take."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

from ..errors import StepDefinitionError


@dataclass(frozen=True, slots=True)
class Options:
    """How a step runs. Delays are seconds; attempt k waits `retry_delay * retry_backoff**(k-1)`."""

    retries: int = 0
    retry_delay: float = 0.0
    retry_backoff: float = 1.0
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = Exception
    timeout: float | None = None
    enable_cache: bool | None = None
    max_parallel: int | None = None
    version: str | None = None
    expires_after: float | dt.timedelta | None = None

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            if value == option.default or option.name not in _TAKES:
                continue
            fits, wanted = _TAKES[option.name]
            if not fits(value):
                raise StepDefinitionError(f"{option.name} of a step is {value!r}", do=f"give {wanted}")

    @property
    def lifetime(self) -> float | None:
        """For how many seconds what it returned may be used again; None: for ever."""
        if isinstance(self.expires_after, dt.timedelta):
            return self.expires_after.total_seconds()
        return self.expires_after

    def delay(self, attempt: int) -> float:
        """Seconds to wait after this attempt has failed."""
        return self.retry_delay * self.retry_backoff ** (attempt - 1)


def _count(least: int) -> Callable[[Any], bool]:
    return lambda value: _is(value, Integral) and value >= least


def _number(value: Any) -> bool:
    return _is(value, Real) and value >= 0 and math.isfinite(value)


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _exceptions(value: Any) -> bool:
    found = value if isinstance(value, tuple) else (value,)
    return bool(found) and all(isinstance(one, type) and issubclass(one, BaseException) for one in found)


_TAKES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "retries": (_count(0), "a whole number of new attempts, 0 or more"),
    "retry_delay": (_number, "a number of seconds, 0 or more"),
    "retry_backoff": (_number, "a factor by which each further delay is longer"),
    "retry_on": (_exceptions, "an exception class, or a tuple of them"),
    "timeout": (lambda value: _number(value) and value > 0, "a number of seconds above 0, or None"),
    "max_parallel": (_count(1), "a whole number of branches, 1 or more, or None"),
    "expires_after": (
        lambda value: isinstance(value, dt.timedelta) or _number(value),
        "seconds or a timedelta, or None",
    ),
}
