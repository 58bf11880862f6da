"""What `fanlab.configure` has set for all runs of this process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Settings:
    """Defaults of runs; None everywhere: nothing has been set."""

    store: str | None = None  # the store's folder, absolute
    n_jobs: int | None = None
    backend: str | None = None
    store_limit: int | None = None  # bytes; above it the store is cleared of what was used least recently
    inline: bool = False  # for tests: every run in its own process, branch after branch, and no timeouts


_now = Settings()


def settings() -> Settings:
    """The settings as they are now."""
    return _now


def change(**values: Any) -> None:
    """Set some of them for what starts from now on."""
    global _now
    _now = replace(_now, **values)
