"""What a running step can ask about itself, set around each branch."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from .batch import RunHeader


@dataclass(frozen=True, slots=True)
class Running:
    """The branch that runs here now."""

    header: RunHeader
    node: str
    branch: int
    name: str  # as in run.steps
    key: Any  # None for a plain call
    attempt: int
    progress: Callable[[float, float | None], None]
    metadata: dict[str, Any] = field(default_factory=dict)


RUNNING: ContextVar[Running | None] = ContextVar("fanlab_running", default=None)
