"""The magics themselves: parse the line, hand on, bind what came back."""

from __future__ import annotations

import keyword
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand, output_can_be_silenced
from IPython.core.magic_arguments import argument, magic_arguments

from ..api import Pipeline
from ..client import Client
from ..doctor import examine
from ..errors import near
from ..execute.backends import BACKENDS
from ..exports import export, value_of
from ..failing import raise_failure
from ..runs import Run
from .arguments import number, parse
from .body import Body, CellText, compile_body


@magics_class
class FanlabMagics(Magics):
    """%%pipeline, %%combine and %fanlab of one shell."""

    shell: Any

    def __init__(self, shell: Any, cell: CellText) -> None:
        super().__init__(shell)
        self._cell = cell
        self._runs: dict[str, Run] = {}  # the latest of each pipeline in this kernel, the last one last

    @no_var_expand
    @output_can_be_silenced
    @cell_magic
    @magic_arguments()
    @argument("name", metavar="NAME", help="what the pipeline is called; bound to it afterwards")
    @argument("-j", "--n-jobs", metavar="N", help="how many workers; -1 for all cores (the default)")
    @argument("--backend", choices=BACKENDS, help="where branches run")
    @argument("--allow-failed", action="store_true", help="report failed branches without raising")
    def pipeline(self, line: str, cell: str) -> Any:
        """Run the cell as a pipeline's body: its step calls become a graph, which runs on all cores.

        Afterwards the names that the body assigned are plain values, and NAME is the pipeline:
        NAME.last_run.results is the table of all branches.
        """
        __tracebackhide__ = True
        options = parse(self.pipeline, "%%pipeline", line)
        _check_name("%%pipeline", options.name)
        jobs = number(self.shell, "%%pipeline", "--n-jobs", options.n_jobs)
        body = compile_body(self.shell, self._cell.raw, "pipeline", cell)
        return self._run(options.name, body, jobs, options.backend, options.allow_failed)

    @no_var_expand
    @output_can_be_silenced
    @cell_magic
    @magic_arguments()
    @argument("name", metavar="NAME", help="bound to the cell's value")
    @argument("--from", dest="source", metavar="PIPELINE", help="whose results; the last one run, if left out")
    @argument("--allow-failed", action="store_true", help="take the results of a run with failed branches too")
    def combine(self, line: str, cell: str) -> Any:
        """Run the cell as a fan-in: `results` is the table of a pipeline's last run, NAME becomes the cell's value.

        Other names that the body assigns stay in the cell.
        """
        __tracebackhide__ = True
        options = parse(self.combine, "%%combine", line)
        _check_name("%%combine", options.name)
        run = self._source(options.source)
        if run.status != "completed" and not options.allow_failed:
            raise UsageError(
                f"the last run of '{run.pipeline}' is {run.status}: mend it and run it again, "
                "or take what it has with --allow-failed"
            )
        body = compile_body(self.shell, self._cell.raw, "combine", cell)
        value = body.run({**self.shell.user_ns, "results": run.results})
        self.shell.user_ns[options.name] = value
        return value

    @no_var_expand
    @line_magic
    @magic_arguments()
    @argument("what", choices=("runs", "show", "doctor"), help="list runs, show one, or check the installation")
    @argument("run", nargs="?", metavar="RUN", help="a run's name, or a beginning of it (for show)")
    def fanlab(self, line: str) -> Any:
        """List the store's runs, show one of them, or check that everything fanlab needs is there."""
        __tracebackhide__ = True
        options = parse(self.fanlab, "%fanlab", line)
        if options.what == "doctor":
            kernel = getattr(self.shell, "kernel", None) is not None
            client = "a Jupyter kernel" if kernel else "no Jupyter kernel: a terminal or script"
            for finding in examine(client):
                print(finding.line)  # noqa: T201 (what a person asked to read)
            return None
        if options.what == "show":
            if options.run is None:
                raise UsageError("%fanlab show takes a run's name: %fanlab runs lists them")
            return Client().get_pipeline_run(options.run)
        return _runs_table(Client().list_pipeline_runs(limit=20))

    def _run(self, name: str, body: Body, jobs: int | None, backend: str | None, allow_failed: bool) -> Any:
        """Run a body as the pipeline `name`, and bind its names in one update."""
        __tracebackhide__ = True
        namespace: dict[str, Any] = {}

        def call() -> Any:
            __tracebackhide__ = True
            namespace.clear()
            namespace.update(self.shell.user_ns)
            return body.run(namespace)

        returned: list[Any] = []

        def keep() -> Any:
            __tracebackhide__ = True
            returned[:] = [call()]
            return returned[0]

        made = Pipeline(keep, name, n_jobs=jobs, backend=backend)
        try:
            run = made._run((), {})
        except KeyboardInterrupt:
            if made.last_run is not None and made.last_run.name:
                self._bind(name, made, made.last_run, body, namespace)
            raise
        self._bind(name, made, run, body, namespace)
        if run.status != "completed" and not allow_failed:
            raise_failure(run)
        return value_of(returned[0], run)

    def _bind(self, name: str, made: Pipeline, run: Run, body: Body, namespace: dict[str, Any]) -> None:
        self._runs.pop(name, None)
        self._runs[name] = run
        names = {key: namespace[key] for key in body.names if key in namespace}
        self.shell.user_ns.update({**export(names, run), name: made})

    def _source(self, name: str | None) -> Run:
        """The run that a combine cell reads. Raises UsageError if there is none."""
        if name is None:
            if not self._runs:
                raise UsageError(
                    "%%combine has no pipeline to read yet: run a %%pipeline cell first, or name one with --from"
                )
            return list(self._runs.values())[-1]
        bound = self.shell.user_ns.get(name)
        if isinstance(bound, Pipeline) and bound.last_run is not None:
            return bound.last_run
        if name in self._runs:
            return self._runs[name]
        client = Client()
        known = client._store.pipelines()
        if name not in known:
            hint = near(name, [*self._runs, *known]) or "run its %%pipeline cell first"
            raise UsageError(f"%%combine --from: there is no pipeline '{name}': {hint}")
        return client.get_pipeline(name).last_run


def _check_name(magic: str, name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"{magic} takes a name that a variable can have, not {name!r}")


def _runs_table(runs: list[Run]) -> Any:
    import pandas as pd

    rows = [
        {
            "run": run.name,
            "pipeline": run.pipeline,
            "status": run.status,
            "start": run.start_time,
            "seconds": run.duration,
        }
        for run in runs
    ]
    return pd.DataFrame(rows, columns=["run", "pipeline", "status", "start", "seconds"])
