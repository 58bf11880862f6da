"""What a running step can ask about itself, set around each batch and moved on from branch to branch."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from .batch import Batch, RunHeader
from .keys import KEY_BYTES, seed_of


class Running:
    """The branch that runs here now."""

    __slots__ = ("batch", "branch", "header", "metadata", "progress")

    def __init__(self, header: RunHeader, batch: Batch, progress: Callable[[float, float | None], None]) -> None:
        self.header, self.batch, self.progress = header, batch, progress
        self.branch = batch.start
        self.metadata: dict[str, Any] = {}

    @property
    def node(self) -> str:
        """The name of the node."""
        return self.batch.node

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.batch.attempt

    @property
    def name(self) -> str:
        """The branch's name, as in run.steps."""
        if not self.batch.mapped:
            return self.batch.node
        offset = self.branch - self.batch.start
        label = self.batch.labels[offset] if self.batch.labels is not None else str(self.branch)
        return f"{self.batch.node}[{label}]"

    @property
    def key(self) -> Any:
        """The branch's key; None for a plain call."""
        if not self.batch.mapped:
            return None
        return self.branch if self.batch.keys is None else self.batch.keys[self.branch - self.batch.start]

    @property
    def seed(self) -> int | None:
        """An integer that depends on the branch's code and arguments only; None where it has no key."""
        offset = (self.branch - self.batch.start) * KEY_BYTES
        return seed_of(self.batch.work[offset : offset + KEY_BYTES]) if self.batch.work is not None else None


RUNNING: ContextVar[Running | None] = ContextVar("fanlab_running", default=None)
