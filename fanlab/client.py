"""The store's runs and pipelines by name, and what a running step can ask about itself."""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import Any

from .core.context import RUNNING
from .core.events import Started
from .core.sizes import size
from .core.spans import span
from .errors import CannotSend, NotAvailable, NotFound, listed, near
from .runs import Run
from .step_runs import StepRun
from .store import logged
from .store.clearing import Cleared, clear
from .store.codecs import type_name
from .store.database import shared

_TICK = 1e-6  # seconds: what a datetime cannot tell
_STATUSES = ("running", "completed", "failed", "cancelled", "interrupted")


class Client:
    """Reads the runs of a store: in the kernel, in another notebook, after a restart, and inside a running step.

    Without `store` it is the store of the running step, else the one that a run would use here.
    """

    def __init__(self, store: str | None = None) -> None:
        here = RUNNING.get()
        if here is not None and store is None and not here.header.database:
            raise NotAvailable(
                f"the store's runs cannot be read inside '{here.name}': it runs on a worker of a cluster "
                "that is on another machine, or does not see the store",
                do="pass what it needs as an argument; its own name, key, attempt and log_metadata work everywhere",
            )
        self._store = shared(store or (here.header.store if here is not None else None))

    def get_pipeline_run(self, name_id_or_prefix: str) -> Run:
        """A run by name, id, or a beginning that only one has. Raises NotFound with the nearest names."""
        record = self._store.record(self._store.find(name_id_or_prefix))
        here = RUNNING.get()
        if here is not None and here.header.id == record.id:  # what runs is not stored; that we do is known
            record.apply(Started(here.node, here.branch, here.attempt, os.getpid(), time.time()))
        return Run(record, self._store)

    def list_pipeline_runs(
        self,
        pipeline_name: str | None = None,
        status: str | None = None,
        since: dt.datetime | None = None,
        limit: int | None = 20,
    ) -> list[Run]:
        """Runs, the latest first; `since` is the earliest start. Raises NotFound for a status that no run can have."""
        if status is not None and status not in _STATUSES:
            raise NotFound(
                f"no run has the status {status!r}", do=near(status, _STATUSES) or f"use {listed(_STATUSES)}"
            )
        names = self._store.run_names(
            pipeline_name, status, since.timestamp() - _TICK if since is not None else None, limit
        )
        return [self.get_pipeline_run(name) for name in names]

    def get_pipeline(self, name: str) -> PipelineHistory:
        """The runs of one pipeline. Raises NotFound with the nearest names."""
        known = self._store.pipelines()
        if name not in known:
            raise NotFound(
                f"there is no pipeline '{name}' in the store",
                do=near(name, known) or (f"it has {listed(known)}" if known else "the store has no runs yet"),
            )
        return PipelineHistory(self, name)

    def gc(
        self,
        older_than: float | dt.timedelta | str | None = None,
        unused_for: float | dt.timedelta | str | None = None,
        max_size: int | str | None = None,
    ) -> Cleared:
        """Make room: forget runs, with what they left for later ones, and remove values that nothing refers to.

        Runs are forgotten that began longer ago than `older_than`, or whose work nobody used for `unused_for`
        (seconds, a timedelta, or a text like "30d"); then the least recently used ones, until the store takes no
        more than `max_size` (bytes, or a text like "10 GB"). Without any of them only values are removed whose
        runs are gone. What a run that goes on refers to stays.
        """
        most = None if max_size is None else size(max_size, "max_size")
        return clear(self._store, _seconds(older_than), _seconds(unused_for), most)

    def delete_pipeline_run(self, name_id_or_prefix: str) -> None:
        """Forget a run. Raises NotFound with the nearest names."""
        self._store.delete(self._store.find(name_id_or_prefix))


def _seconds(time: float | dt.timedelta | str | None) -> float | None:
    if isinstance(time, str):
        return span(time)
    return time.total_seconds() if isinstance(time, dt.timedelta) else time


class PipelineHistory:
    """A pipeline as the store knows it: its runs."""

    def __init__(self, client: Client, name: str) -> None:
        self._client, self.name = client, name

    @property
    def runs(self) -> list[Run]:
        """Its runs, the latest first."""
        return self._client.list_pipeline_runs(self.name, limit=None)

    @property
    def last_run(self) -> Run:
        """Its latest run."""
        return self._client.list_pipeline_runs(self.name, limit=1)[0]

    @property
    def last_successful_run(self) -> Run | None:
        """Its latest completed run, or None."""
        found = self._client.list_pipeline_runs(self.name, status="completed", limit=1)
        return found[0] if found else None


class StepContext:
    """What the running step can ask about itself."""

    def __init__(self) -> None:
        here = RUNNING.get()
        if here is None:
            raise NotAvailable(
                "get_step_context() works only inside a running step",
                do="call it in the body of a @step function that a pipeline runs",
            )
        self._here = here

    @property
    def pipeline_run(self) -> Run:
        """The run as it stands now: what finished has loadable outputs."""
        return Client().get_pipeline_run(self._here.header.name)

    @property
    def step_run(self) -> StepRun:
        """The running step's own StepRun."""
        found = self.pipeline_run[self.step_name]
        assert isinstance(found, StepRun)  # the name of one branch
        return found

    @property
    def step_name(self) -> str:
        """The name under which `run.steps` has this step."""
        return self._here.name

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self._here.attempt

    @property
    def branch(self) -> Any:
        """The key of this branch; None where nothing fanned out."""
        return self._here.key

    @property
    def seed(self) -> int:
        """An integer below 2**32 for reproducible random numbers: the same whenever this step gets these arguments.

        It depends on the step's code and the content of its arguments only, so that branches have different ones;
        equal calls of one run have different ones too, in their order. Raises NotAvailable where the step has no key.
        """
        found = self._here.seed
        if found is None:
            raise NotAvailable(
                f"'{self._here.name}' has no seed: its code or an argument cannot be keyed, or the cache is off and "
                "its own code does not name `seed`",
                do="write get_step_context().seed in the step itself, and pass it plain data",
            )
        return found

    def log_metadata(self, values: dict[str, Any]) -> None:
        """Keep values with this branch, as they are now: they are columns of `run.results`. Raises CannotSend."""
        kept = {}
        for name, value in values.items():
            if not isinstance(name, str):
                raise CannotSend(
                    f"metadata of '{self._here.name}' is named by a {type_name(name)}, not by a text",
                    do='name each value, as in log_metadata({"rmse": 0.5})',
                )
            try:
                kept[str.__str__(name)] = logged.keep(value)
            except Exception as error:
                kind = type(value).__name__
                raise CannotSend(
                    f"metadata '{name}' of '{self._here.name}', of type {kind}, cannot be sent: {error}",
                    do="log plain data: numbers, text, dates",
                ) from error
        self._here.metadata.update(kept)

    def progress(self, done: float, total: float | None = None) -> None:
        """Say how far this branch is. Raises CannotSend for what is no number."""
        self._here.progress(self._number(done), None if total is None else self._number(total))

    def _number(self, value: Any) -> float:
        if type(value) in (int, float):
            return value  # type: ignore[no-any-return]
        try:
            return float(value)
        except (TypeError, ValueError):
            raise CannotSend(
                f"the progress of '{self._here.name}' is told by a {type_name(value)}, not by a number",
                do="call progress(done, total) with numbers, as in progress(3, 10)",
            ) from None


def get_step_context() -> StepContext:
    """What the running step can ask about itself. Raises NotAvailable (a RuntimeError) outside one."""
    return StepContext()
