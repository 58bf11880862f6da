"""%%pipeline: runs a cell's body as a pipeline and leaves its names in the notebook."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError

from ..client import Client
from ..errors import near
from ..exports import export, value_of
from ..failing import raise_failure
from ..pipelines import Pipeline
from ..plans import Plan
from ..runs import Run
from .body import Body


class Pipelines:
    """The pipelines of one shell: those that its cells have made, and others that its names are bound to."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._cells: dict[str, CellPipeline] = {}

    def make(self, name: str, body: Body, n_jobs: int | None, backend: str | None) -> CellPipeline:
        """The pipeline of a cell that is about to run."""
        return CellPipeline(self._shell, self, name, body, n_jobs, backend)

    def keep(self, made: CellPipeline) -> None:
        """Remember a cell's pipeline that has run: it is the one of its name from now on."""
        self._cells[made.name] = made

    def cell(self, name: str) -> CellPipeline | None:
        """The cell that made the pipeline of this name, unless the name is bound to another one by now."""
        made = self._cells.get(name)
        bound = self._shell.user_ns.get(name)
        return None if isinstance(bound, Pipeline) and made is not None and bound is not made.pipeline else made

    def last_runs(self) -> dict[str, Run]:
        """The latest run of each pipeline of this notebook, the latest of all last."""
        found = {made.name: made.pipeline.last_run for made in self._cells.values()}
        for value in list(self._shell.user_ns.values()):
            if isinstance(value, Pipeline):
                found[value.name] = value.last_run
        runs = [run for run in found.values() if run is not None and run.name]
        return {run.pipeline: run for run in sorted(runs, key=lambda run: run._record.start)}

    def source(self, name: str | None) -> Run:
        """The run that a %%combine cell reads. Raises UsageError if there is none."""
        runs = self.last_runs()
        if name is None:
            if not runs:
                raise UsageError(
                    "%%combine has no pipeline to read yet: run a %%pipeline cell first, or name one with --from"
                )
            return list(runs.values())[-1]
        bound = self._shell.user_ns.get(name)
        if isinstance(bound, Pipeline) and bound.last_run is not None:
            return bound.last_run
        if name in runs:
            return runs[name]
        client = Client()
        known = client._store.pipelines()
        found = (client.get_pipeline_run(run) for run in (client._store.run_names(name) if name in known else ()))
        run = next((run for run in found if not run._record.reads), None)
        if run is None:
            hint = near(name, [*runs, *known]) or "run its %%pipeline cell first"
            raise UsageError(f"%%combine --from: there is no pipeline '{name}': {hint}")
        return run


class CellPipeline:
    """The pipeline that one %%pipeline cell is."""

    def __init__(
        self, shell: Any, pipelines: Pipelines, name: str, body: Body, n_jobs: int | None, backend: str | None
    ) -> None:
        self._shell, self._pipelines, self.name, self._body = shell, pipelines, name, body
        self._namespace: dict[str, Any] = {}
        self._returned: Any = None
        self.pipeline = Pipeline(self._call, name, n_jobs=n_jobs, backend=backend)
        self.pipeline._lasts = lambda: body.lasting(self._namespace or shell.user_ns)

    def plan(self, fresh: bool | str) -> Plan:
        """What running it would do; nothing runs, and no name is bound but its own."""
        __tracebackhide__ = True
        plan = self.pipeline.with_options(fresh=fresh).plan()
        self._shell.user_ns.setdefault(self.name, self.pipeline)
        return plan

    def run(self, earlier: Run | None = None, *, allow_failed: bool = False, fresh: bool | str = False) -> Any:
        """Run the body, bind its names in one update, and return its last expression's value.

        What `earlier` has finished is taken over, what is `fresh` runs whatever the store has of it: a step, or all.
        Raises PipelineError for a run that has not completed.
        """
        __tracebackhide__ = True
        before = self.pipeline.last_run
        try:
            run = self.pipeline._run((), {}, earlier, fresh)
        except BaseException as error:
            last = self.pipeline.last_run
            if last is not None and last is not before and last.name:  # else the body has raised before anything ran
                if isinstance(error, KeyboardInterrupt):
                    self._bind(last)
                else:  # the names are as they were, but what has run can be looked at, and taken up
                    self._pipelines.keep(self)
                    self._shell.user_ns[self.name] = self.pipeline
            raise
        self._bind(run)
        if run.status != "completed" and not allow_failed:
            raise_failure(run)
        return value_of(self._returned, run)

    def _call(self) -> Any:
        """The body, run in one copy of the notebook's namespace."""
        __tracebackhide__ = True
        self._namespace = dict(self._shell.user_ns)
        self._returned = self._body.run(self._namespace)
        return self._returned

    def _bind(self, run: Run) -> None:
        self._pipelines.keep(self)
        names = {key: self._namespace[key] for key in self._body.names if key in self._namespace}
        self._shell.user_ns.update({**export(names, run), self.name: self.pipeline})
        run._bind = self._bind  # when what failed in it is run again from its view
