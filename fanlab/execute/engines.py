"""Which cluster a run's branches go to: the words and addresses that name one, and the way to it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from ..errors import NotAvailable, StepCallError
from ..store import location
from .base import Deliver, Executor

ENGINES = ("dask", "ray")
_SCHEMES = {"tcp": "dask", "tls": "dask", "ws": "dask", "wss": "dask", "ucx": "dask", "ray": "ray"}
_PACKAGES = {"dask": "distributed", "ray": "ray"}


def engine_of(backend: str) -> str | None:
    """The engine that a backend's word or address names, None where it names none.

    >>> engine_of("tcp://10.0.0.1:8786")
    'dask'
    >>> engine_of("loky")
    """
    scheme, colon, rest = str(backend).partition("://")
    if colon:
        return _SCHEMES.get(scheme) if rest else None
    return backend if backend in ENGINES else None


def choose(backend: str, n_jobs: int | None, client: Any = None) -> Callable[[str, Deliver], Executor]:
    """What makes the executor of a run on a cluster. `client` is a Dask client that joblib has been given.

    Raises NotAvailable where the engine is not installed.
    """
    engine = engine_of(backend)
    assert engine is not None  # the caller has asked
    if importlib.util.find_spec(_PACKAGES[engine]) is None:
        raise NotAvailable(
            f"the backend '{backend}' needs the package '{_PACKAGES[engine]}', which is not installed",
            do=f'install it with: pip install "fanlab[{engine}]"',
        )
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0):
        raise StepCallError(f"n_jobs is {n_jobs!r}", do="give a number of workers, or -1 for all of the cluster's")
    store = location.current()  # where the run's records and values go: now, whatever directory it is later
    address = backend if "://" in backend else None

    def make(run: str, deliver: Deliver) -> Executor:
        from .cluster import Cluster

        made = _connect(engine, address, n_jobs, client)
        jobs = n_jobs
        if jobs is not None and jobs < 0:
            jobs = None if jobs == -1 else max(1, made.size() + 1 + jobs)
        try:
            return Cluster(run, jobs, deliver, made, store)
        except BaseException:
            made.close()
            raise

    return make


def _connect(engine: str, address: str | None, n_jobs: int | None, client: Any) -> Any:
    from .backends import workers

    if engine == "dask":
        from . import dask

        return dask.connect(address, lambda: workers(n_jobs), client)
    from . import ray

    return ray.connect(address, lambda: workers(n_jobs))
