"""What a warm worker takes over from the kernel at each run."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from ..core.batch import RunHeader
from ..store.formats import register_format
from ..store.hashes import register_hash
from ..store.travel import by_value


def enter(header: RunHeader) -> None:
    """Take over what a warm worker has from its start: directory, environment, path, logging level, warning filters."""
    os.chdir(header.directory)
    sys.path[:] = header.path
    kept = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    environment = {**kept, **dict(header.environment)}
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
    logging.getLogger().setLevel(header.log_level)
    for kind, function in header.hashes:
        register_hash(kind, function)
    for kind, save, load in header.formats:
        register_format(kind, save, load)
    warnings.filters[:] = list(header.warning_filters)  # type: ignore[index]
    warnings.simplefilter("default", BytesWarning, append=True)  # tells Python that the list has changed


def moved(header: RunHeader, *, near: bool) -> RunHeader:
    """A run's header for a worker that an engine has started: what the engine has set up there stays.

    On the kernel's machine that is little; on another one the worker's own variables and path come first,
    and a working directory that is not there is replaced by the store's.
    """
    kernels = dict(header.environment)
    if near:
        own = {name: value for name, value in os.environ.items() if name.startswith(_ENGINES)}
        environment, path = {**kernels, **own}, header.path
    else:
        environment = {**kernels, **os.environ}
        path = (*sys.path, *(entry for entry in header.path if entry not in sys.path and os.path.isdir(entry)))
    directory = header.directory if os.path.isdir(header.directory) else header.store
    return header._replace(environment=tuple(environment.items()), path=path, directory=directory)


# What says which devices and how many threads a worker has been given.
_ENGINES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "DASK_", "RAY_", "SLURM_")


def portable(filters: Iterator[Any]) -> tuple[Any, ...]:
    """Those of the kernel's warning filters, or registered hashes and formats, that can travel."""
    found = []
    for entry in filters:
        try:
            by_value(entry)
        except Exception:  # noqa: BLE001 (a filter for a class that cannot travel cannot meet it there)
            continue
        found.append(entry)
    return tuple(found)
