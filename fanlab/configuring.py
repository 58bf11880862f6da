"""Checks what `fanlab.configure` is given, and sets it."""

from __future__ import annotations

import os
from typing import Any

from .core.settings import change
from .core.sizes import size
from .execute.backends import check_backend, workers

KEEP: Any = ...  # for what is not given: it stays as it is


def configure(store: Any, n_jobs: Any, backend: Any, store_limit: Any) -> None:
    """Set what is given. Raises StepCallError, and then sets nothing."""
    if n_jobs is not KEEP and n_jobs is not None:
        workers(n_jobs)
    if backend is not KEEP and backend is not None:
        check_backend(backend)
    given = {
        "store": store if store in (KEEP, None) else os.path.abspath(os.fspath(store)),
        "n_jobs": n_jobs,
        "backend": backend,
        "store_limit": store_limit if store_limit in (KEEP, None) else size(store_limit),
    }
    change(**{name: value for name, value in given.items() if value is not KEEP})
