"""Which executor a run gets, and with how many workers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ..core.context import RUNNING
from ..core.settings import settings
from ..errors import StepCallError, near
from . import engines
from .base import Deliver, Executor

BACKENDS = ("loky", "threading", "sequential", *engines.ENGINES)


def choose(n_jobs: int | None, backend: str | None) -> Callable[[str, Deliver], Executor]:
    """What makes the executor of a run: from its options, joblib's active `parallel_config`, `fanlab.configure`.

    `n_jobs` counts as in joblib: None or -1 means all cores (of a cluster: all workers), -2 all but one.
    `backend` may be a cluster's address. Raises StepCallError for a backend that there is not.
    """
    if RUNNING.get() is not None or settings().inline:  # inside a running step: its worker is one of n already
        backend, n_jobs = "sequential", 1
    configured, configured_jobs = _configured() if n_jobs is None or backend is None else (None, None)
    name = backend or configured or settings().backend or "loky"
    check_backend(name)
    asked = next((n for n in (n_jobs, configured_jobs, settings().n_jobs) if n is not None), None)
    if engines.engine_of(name) is not None:
        return engines.choose(name, asked, _client())
    if name == "sequential":
        from .sequential import Sequential

        return lambda _, deliver: Sequential(deliver)
    jobs = workers(asked)
    if name == "threading":
        from .threads import Threads

        return lambda run, deliver: Threads(run, jobs, deliver)
    if _debugged():
        from .sequential import Sequential

        sys.stderr.write("fanlab: a debugger is attached, so branches run one after the other in the kernel\n")
        return lambda _, deliver: Sequential(deliver)
    from .slots import warm

    warm(jobs)  # while the body is traced

    def loky(run: str, deliver: Deliver) -> Executor:
        from .loky import Loky

        return Loky(run, jobs, deliver)

    return loky


def check_backend(name: str) -> None:
    """Raise StepCallError for a backend that there is not."""
    if name not in BACKENDS and engines.engine_of(name) is None:
        raise StepCallError(
            f"there is no backend '{name}'",
            do=near(str(name), BACKENDS) or f"the backends are {', '.join(BACKENDS)}, and a cluster's address",
        )


def _debugged() -> bool:
    """Whether a debugger follows this process: worker processes would wait for it for ever (measured)."""
    debugpy = sys.modules.get("debugpy")
    connected = getattr(debugpy, "is_client_connected", None)
    return bool(connected and connected())


def workers(n_jobs: int | None) -> int:
    """How many workers `n_jobs` means here. Raises StepCallError for 0 and what is no number."""
    import joblib

    if n_jobs is None:
        return int(joblib.cpu_count())
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
        raise StepCallError(f"n_jobs is {n_jobs!r}", do="give a number of workers, or -1 for all cores")
    return n_jobs if n_jobs > 0 else max(1, int(joblib.cpu_count()) + 1 + n_jobs)


def _configured() -> tuple[str | None, int | None]:
    """Backend and n_jobs of an active `joblib.parallel_config`, None each where it says nothing."""
    from joblib import parallel

    config = _config()
    if config is None:
        return None, None
    unset = parallel.default_parallel_config
    chosen = config["backend"] if config["backend"] is not unset["backend"] else None
    jobs = config["n_jobs"] if config["n_jobs"] is not unset["n_jobs"] else None
    kind = type(chosen).__name__
    return _NAMES.get(kind, kind) if chosen is not None else None, jobs


_NAMES = {
    "LokyBackend": "loky",
    "SequentialBackend": "sequential",
    "ThreadingBackend": "threading",
    "DaskDistributedBackend": "dask",
    "RayBackend": "ray",
}


def _config() -> Any:
    """The active `joblib.parallel_config`, None where there is none."""
    from joblib import parallel

    return getattr(parallel._backend, "config", None)  # the only place that tells "not set" from a default


def _client() -> Any:
    """The Dask client of an active `joblib.parallel_config("dask")`, or None."""
    return getattr((_config() or {}).get("backend"), "client", None)
