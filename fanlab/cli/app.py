"""The commands of `fanlab`: each takes its words apart, hands on, and prints."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from importlib.metadata import version as version_of
from typing import Annotated

import typer

from ..client import Client
from ..core.sizes import size
from ..core.spans import span
from ..errors import FanlabError, NotFound, listed, near
from ..runs import Run
from . import tables
from .values import pairs, read

app = typer.Typer(
    help="Fan-out/fan-in pipelines: run them without a notebook, and look at their runs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="a run's name, a beginning of it, its id, or its pipeline's name")
]
FAILED, INTERRUPTED = 1, 130


class Format(StrEnum):
    """How `fanlab results` writes."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def main() -> None:
    """Run a command. The process ends with 0, 1 for a failure, 2 for words not understood, 130 for an interrupt."""
    try:
        app()
    except FanlabError as error:
        tables.say_error(error)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _version(wanted: bool) -> None:
    if wanted:
        tables.say(f"fanlab {version_of('fanlab')}")
        raise typer.Exit


@app.callback()
def options(
    store: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="the store; else FANLAB_STORE, else .fanlab")
    ] = None,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="say which")] = False,
) -> None:
    """What all commands share."""
    if store is not None:
        os.environ["FANLAB_STORE"] = os.path.abspath(store)  # which a notebook's kernel inherits


@app.command()
def run(
    target: Annotated[str, typer.Argument(metavar="NOTEBOOK|MODULE:PIPELINE", help="a .ipynb, or module:pipeline")],
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="an argument; repeatable")
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="where the executed notebook is written")
    ] = None,
    n_jobs: Annotated[int | None, typer.Option("-j", "--n-jobs", metavar="N", help="how many workers")] = None,
    backend: Annotated[str | None, typer.Option(metavar="NAME", help="where branches run")] = None,
) -> None:
    """Run a notebook, or a pipeline of a module, and end with 1 if it fails.

    A notebook runs in a new kernel and is written beside as NAME-executed.ipynb; its parameters are the names
    that the cell with the tag `parameters` assigns. A pipeline's parameters are those of its function.
    """
    given = pairs(parameter or ())
    if target.endswith(".ipynb"):
        if n_jobs is not None or backend is not None:
            raise typer.BadParameter("a notebook's %%pipeline cells say their own --n-jobs and --backend")
        from .notebook import run_notebook

        written, error = run_notebook(target, given, output)
        tables.say(f"written: {written}")
        if error is not None:
            tables.say(error, errors=True)
            raise typer.Exit(FAILED)
        return
    module, colon, name = target.rpartition(":")
    if not colon or not module or not name:
        raise typer.BadParameter(f"{target!r} is neither a notebook (.ipynb) nor MODULE:PIPELINE")
    if output is not None:
        raise typer.BadParameter("--output is for notebooks: see `fanlab results` for a pipeline's values")
    from .module import run_pipeline

    done = run_pipeline(module, name, given, n_jobs, backend)
    tables.say(repr(done))
    tables.say(f"run: {done.name}")
    if done.status != "completed":
        raise typer.Exit(FAILED)


@app.command()
def runs(
    pipeline: Annotated[str | None, typer.Argument(metavar="[PIPELINE]", help="only this one's")] = None,
    status: Annotated[str | None, typer.Option(help="only those that are completed, failed, …")] = None,
    limit: Annotated[int, typer.Option(help="at most so many")] = 20,
) -> None:
    """List runs, the latest first."""
    client = Client()
    if pipeline is not None:
        client.get_pipeline(pipeline)  # which says what is near if there is none
    found = client.list_pipeline_runs(pipeline, status, limit=limit)
    if found:
        tables.runs_table(found)
    else:
        tables.say("no runs", errors=True)


@app.command()
def show(name: RunName) -> None:
    """Show a run's record: its steps, how many branches are done, and the first errors."""
    found = _find(name)
    tables.runs_table([found])
    tables.say(f"\n{found!r}")


@app.command()
def results(
    name: RunName,
    format: Annotated[Format, typer.Option("-f", "--format", help="how it is written")] = Format.table,
    output: Annotated[str | None, typer.Option("-o", "--output", metavar="FILE", help="where; else printed")] = None,
    step: Annotated[str | None, typer.Option(metavar="STEP", help="only this step's rows")] = None,
) -> None:
    """Write a run's table: a row for each step and branch, with arguments, outputs, status and error."""
    from .write import write

    frame = _find(name).results
    if step is not None:
        known = list(dict.fromkeys(frame["step"]))
        if step not in known:
            raise NotFound(f"the run has no step '{step}'", do=near(step, known) or f"its steps are {listed(known)}")
        frame = frame[frame["step"] == step]
    write(frame, format, output)


@app.command()
def why(
    name: RunName,
    step: Annotated[str | None, typer.Argument(metavar="[STEP]", help="a step or a branch; else all of them")] = None,
) -> None:
    """Say why steps and branches ran, or where their values came from."""
    found = _find(name)
    if step is not None:
        tables.say(found.why(step))
    else:
        tables.frame_table(found.profile[["status", "reason"]])


@app.command()
def diff(
    name: RunName,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="the run that it is compared with")],
) -> None:
    """Show the branches of two runs whose arguments, outputs, status or code differ."""
    frame = _find(name).diff(_find(other))
    if frame.empty:
        tables.say("the runs do not differ")
    else:
        tables.frame_table(frame)


@app.command()
def gc(
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="forget runs that began longer ago, as in 30d, 12h or 90m")
    ] = None,
    unused_for: Annotated[
        str | None, typer.Option(metavar="TIME", help="forget runs whose values nobody has used for so long")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help='then the least recently used, until so much is left: "10 GB"')
    ] = None,
) -> None:
    """Make room in the store: forget runs by age or size, and remove values that nothing refers to."""
    most = read(lambda text: size(text, "--max-size"), max_size)
    tables.say(str(Client().gc(read(span, older_than), read(span, unused_for), most)))


@app.command()
def doctor() -> None:
    """Check that everything fanlab needs is there and works."""
    from ..doctor import examine

    findings = examine("no Jupyter kernel: the program fanlab")
    for finding in findings:
        tables.say(finding.line)
    if not all(finding.works for finding in findings):
        raise typer.Exit(FAILED)


@app.command()
def demo() -> None:
    """Run a small pipeline over Python's own packages, and print its table."""
    from .demo import demo as pipeline

    done = pipeline()
    frame = done.results
    columns = ["files", "lines", "functions", "longest", "length"]
    tables.frame_table(frame[frame["step"] == "read"].set_index("branch")[columns])
    tables.say(f"\n{done.load()}\n\nNow try: fanlab runs, fanlab show demo, fanlab results demo --format csv")


def _find(name: str) -> Run:
    """A run by its own name, or the latest one of the pipeline with that name."""
    client = Client()
    try:
        return client.get_pipeline_run(name)
    except NotFound:
        history = client.get_pipeline(name) if name in client._store.pipelines() else None
        if history is None:
            raise
        return history.last_run
