"""Fan-out/fan-in pipelines in a notebook: steps, branches on all cores, one table of results."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, Never

if TYPE_CHECKING:
    from .client import Client, get_step_context
    from .core.spec import Branches, Output, Step, unmapped
    from .errors import (
        CannotSend,
        CannotStore,
        FanlabError,
        FanOutError,
        GraphError,
        NotAvailable,
        NotFound,
        NotReloaded,
        NoValueYet,
        PipelineError,
        StepCallError,
        StepDefinitionError,
        StepTimeout,
        StoreError,
        Unhashable,
        WorkerDied,
    )
    from .pipelines import Pipeline, pipeline
    from .plans import Plan
    from .runs import Run
    from .step_runs import Artifact, StepRun
    from .steps import step
    from .store.formats import register_format
    from .store.hashes import register_hash

# Where each public name lives: it is loaded when first used, so that `import fanlab` stays light.
_HOMES = {
    "client": ("Client", "get_step_context"),
    "core.spec": ("Branches", "Output", "Step", "unmapped"),
    "errors": (
        "CannotSend", "CannotStore", "FanOutError", "FanlabError", "GraphError", "NoValueYet", "NotAvailable",
        "NotFound", "NotReloaded", "PipelineError", "StepCallError", "StepDefinitionError", "StepTimeout",
        "StoreError", "Unhashable", "WorkerDied",
    ),
    "pipelines": ("Pipeline", "pipeline"),
    "plans": ("Plan",),
    "runs": ("Run",),
    "step_runs": ("Artifact", "StepRun"),
    "steps": ("step",),
    "store.formats": ("register_format",),
    "store.hashes": ("register_hash",),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Artifact",
    "Branches",
    "CannotSend",
    "CannotStore",
    "Client",
    "FanOutError",
    "FanlabError",
    "GraphError",
    "NoValueYet",
    "NotAvailable",
    "NotFound",
    "NotReloaded",
    "Output",
    "Pipeline",
    "PipelineError",
    "Plan",
    "Run",
    "Step",
    "StepCallError",
    "StepDefinitionError",
    "StepRun",
    "StepTimeout",
    "StoreError",
    "Unhashable",
    "WorkerDied",
    "configure",
    "get_step_context",
    "pipeline",
    "register_format",
    "register_hash",
    "step",
    "unmapped",
]


def configure(
    *,
    store: str | os.PathLike[str] | None = ...,  # type: ignore[assignment]
    n_jobs: int | None = ...,  # type: ignore[assignment]
    backend: str | None = ...,  # type: ignore[assignment]
    store_limit: int | str | None = ...,  # type: ignore[assignment]
    **unknown: Never,
) -> None:
    """Set what runs of this process use from now on; what is left out stays, None is the default again.

    `store` is the store's folder, which goes before FANLAB_STORE. `n_jobs` and `backend` hold where neither a
    call's options nor an active `joblib.parallel_config` says otherwise. Above `store_limit` (bytes, or a text
    like "10 GB") the store is cleared of what was used least recently.
    Raises StepCallError for what cannot be.
    """
    from .configuring import configure
    from .errors import check_options

    check_options("fanlab.configure", unknown, ("store", "n_jobs", "backend", "store_limit"))
    configure(store, n_jobs, backend, store_limit)


def load_ipython_extension(shell: Any) -> None:
    """Called by `%load_ext fanlab`."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Called by `%unload_ext fanlab`."""
    from .magics import unload

    unload(shell)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("fanlab")
    if name in _HOME:
        found = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'fanlab' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
