"""Checks what `fanlab.configure` is given, and sets it."""

from __future__ import annotations

import os
import re
from typing import Any

from .core.settings import change
from .errors import StepCallError
from .execute.backends import check_backend, workers

KEEP: Any = ...  # for what is not given: it stays as it is
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


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


def size(text: int | str) -> int:
    """A number of bytes, as such or as `10 GB` (powers of 1000) or `10 GiB` (of 1024). Raises StepCallError.

    >>> size("1.5 kB")
    1500
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(text).strip().lower())
    unit = _UNITS.get(found[2]) if found is not None else None
    if isinstance(text, bool) or found is None or unit is None:
        raise StepCallError(f"store_limit is {text!r}", do='give a number of bytes, or a text like "500 MB" or "10 GB"')
    return int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit
