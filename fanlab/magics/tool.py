"""%fanlab: what a notebook asks about its store's runs, and does with them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from IPython.core.error import UsageError

from ..client import Client
from ..doctor import examine
from ..runs import Run
from .pipeline import Pipelines

WORDS = {
    "runs": "list the latest runs",
    "show": "show the run RUN",
    "resume": "run what has not finished in the last run, or in RUN",
    "doctor": "check the installation",
    "gc": "remove stored values that no run needs, and runs by age, last use or size",
    "clear": "remove all runs and values of the store",
}

OF_GC = ("older_than", "unused_for", "max_size")  # the options of gc
_EVER = 1e9  # seconds into the future: every run began before that


def answer(shell: Any, pipelines: Pipelines, options: argparse.Namespace) -> Any:
    """Do what one of the words stands for. Raises UsageError for an option that is another word's."""
    __tracebackhide__ = True
    word, run = options.what, options.run
    given = {name: value for name in OF_GC if (value := getattr(options, name)) is not None}
    if given and word != "gc":
        raise UsageError(f"%fanlab {word} takes no --{next(iter(given)).replace('_', '-')}: that is for %fanlab gc")
    if word == "gc" and run is not None:
        raise UsageError(f"%fanlab gc takes options only, not {run!r}")
    do: dict[str, Callable[[], Any]] = {
        "runs": _runs,
        "show": lambda: _show(pipelines, run),
        "resume": partial(_resume, pipelines, run),  # no lambda: what the body raises shows no line of ours
        "doctor": lambda: _doctor(shell),
        "gc": lambda: print(Client().gc(**given)),  # noqa: T201 (what a person asked for)
        "clear": lambda: print(Client().gc(older_than=-_EVER)),  # noqa: T201
    }
    return do[word]()


def _doctor(shell: Any) -> None:
    kernel = getattr(shell, "kernel", None) is not None
    client = "a Jupyter kernel" if kernel else "no Jupyter kernel: a terminal or script"
    for finding in examine(client):
        print(finding.line)  # noqa: T201 (what a person asked to read)


def _show(pipelines: Pipelines, run: str | None) -> Run:
    if run is None:
        raise UsageError("%fanlab show takes a run's name: %fanlab runs lists them")
    return _found(pipelines, run)


def _resume(pipelines: Pipelines, name: str | None) -> Any:
    """Run what is missing. The run of a cell leaves its names in the notebook, as the cell does."""
    __tracebackhide__ = True
    here = list(pipelines.last_runs().values())
    if name is None and not here:
        raise UsageError("%fanlab resume has no run to take up yet: name one, %fanlab runs lists them")
    run = here[-1] if name is None else _found(pipelines, name)
    made = pipelines.cell(run.pipeline)
    if made is not None and made.pipeline.last_run is run:
        return made.run(run)
    return run.resume()


def _found(pipelines: Pipelines, name: str) -> Run:
    """A run by its name, a beginning of it, or its pipeline's name: of this notebook, else of the store."""
    here = pipelines.last_runs()
    if name in here:
        return here[name]
    client = Client()
    run = client.get_pipeline(name).last_run if name in client._store.pipelines() else client.get_pipeline_run(name)
    return next((known for known in here.values() if known.name == run.name), run)


def _runs() -> Any:
    import pandas as pd

    rows = [
        {
            "run": run.name,
            "pipeline": run.pipeline,
            "status": run.status,
            "start": run.start_time,
            "seconds": run.duration,
        }
        for run in Client().list_pipeline_runs(limit=20)
    ]
    return pd.DataFrame(rows, columns=["run", "pipeline", "status", "start", "seconds"])
