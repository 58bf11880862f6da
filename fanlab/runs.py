"""Runs as people hold them: Run, StepRun and Artifact, views on a record and its store.

Over 300 lines: everything that a run can be asked, most of it in a line each.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import os
import threading
import time
from collections.abc import Callable, Collection, Generator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from .core.again import without
from .core.carry import Carried
from .core.events import Event
from .core.graph import Graph
from .core.pending import Pending
from .core.record import Record
from .core.retold import retold
from .core.seal import Stored
from .core.selection import chosen
from .errors import NotAvailable, NotFound, PipelineError, StepCallError, StoreError, listed, near
from .execute.expanding import Keep
from .execute.runner import Runner
from .execute.values import Values
from .failing import raise_failure
from .place import shell
from .reasons import Reasons, Why, together
from .show.text import record_text
from .step_runs import Artifact, StepRun, moment
from .store.database import Store

if TYPE_CHECKING:
    import graphviz
    import pandas as pd

    from .show.timeline import Timeline


_Shown = TypeVar("_Shown")
_Args = ParamSpec("_Args")


def _of_one_moment(
    read: Callable[Concatenate[Run, _Args], _Shown],
) -> Callable[Concatenate[Run, _Args], _Shown]:
    """A method that reads much of a run's record: it does not change meanwhile, where the run goes on in a thread."""

    @functools.wraps(read)
    def wrapped(run: Run, /, *args: _Args.args, **kwargs: _Args.kwargs) -> _Shown:
        __tracebackhide__ = True
        with run._runner.changing if run._runner is not None else contextlib.nullcontext():
            return read(run, *args, **kwargs)

    return wrapped


class Run:
    """One execution of a pipeline: what it did, what came out, and what it took."""

    def __init__(self, record: Record, store: Store) -> None:
        self._record, self._store = record, store
        self._values = Values(record, store.artifacts)
        self._shown: object = None  # the execution of a cell that has shown the record already
        self._runner: Runner | None = None  # of a run of this process
        self._graph: Graph | None = None
        self._again: Callable[[Run], Run] | None = None  # runs its pipeline, taking over what the given run has
        self._bind: Callable[[Run], None] | None = None  # binds the names of the cell that it ran for
        self._chosen: Mapping[str, Collection[int]] = {}  # branches, by node, that a run which takes this up runs again
        self._thread: threading.Thread | None = None
        self._fault: BaseException | None = None  # what ended a run in the background, other than a step

    @property
    def name(self) -> str:
        """Its unique name, {pipeline}-{date}-{time} in UTC."""
        return self._record.name

    @property
    def id(self) -> str:
        """Its unique id, 32 hexadecimal digits."""
        return self._record.id

    @property
    def pipeline(self) -> str:
        """The name of its pipeline."""
        return self._record.pipeline

    @property
    def status(self) -> str:
        """One of running, completed, failed, cancelled, interrupted (its process ended before it did)."""
        return self._record.status

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The pipeline's arguments, defaults included."""
        return MappingProxyType({name: self._values.open(value) for name, value in self._record.parameters.items()})

    @property
    def start_time(self) -> dt.datetime | None:
        """When it began, in UTC."""
        return moment(self._record.start)

    @property
    def end_time(self) -> dt.datetime | None:
        """When it ended, in UTC; None while it runs."""
        return moment(self._record.end)

    @property
    def duration(self) -> float | None:
        """How long it took, in seconds; None while it runs."""
        return self._record.end - self._record.start if self._record.end else None

    @property
    def environment(self) -> Mapping[str, Any]:
        """What it ran in: python, platform, backend, packages (imported ones, with their versions) and git_commit."""
        return MappingProxyType(dict(self._record.environment))

    @property
    @_of_one_moment
    def steps(self) -> dict[str, StepRun]:
        """Every node and branch in call order, by name."""
        return {node.name(branch): StepRun(self, node, branch) for node, branch in self._record.walk()}

    @_of_one_moment
    def __getitem__(self, name: str) -> StepRun | list[StepRun]:
        """One StepRun; for a fan-out's name the list of its branches. Raises NotFound with the nearest names."""
        node = self._record.nodes.get(name)
        if node is not None:
            found = [StepRun(self, node, branch) for branch in node.branches()]
            return found if node.mapped else found[0]
        steps = self.steps
        if name in steps:
            return steps[name]
        inner = next(
            (n.inner for n in self._record.nodes.values() if n.inner and name.startswith(f"{n.info.name}[")), None
        )
        for branch in inner.branches() if inner is not None else ():
            if inner is not None and inner.name(branch) == name:  # a call of a reduce, which is no row of its own
                return StepRun(self, inner, branch)
        raise NotFound(
            f"run '{self.name}' has no step '{name}'",
            do=near(name, [*self._record.nodes, *steps]) or f"its steps are {listed(self._record.nodes)}",
        )

    def load(self) -> Any:
        """The value of what the body returned, once it has ended. Raises its PipelineError if it has not completed."""
        __tracebackhide__ = True
        if self.wait().status != "completed":
            raise_failure(self)
        return self._values.open(self._record.returned)

    @property
    @_of_one_moment
    def results(self) -> pd.DataFrame:
        """One row per node and branch in call order: arguments, outputs, status, error. See show.table.results."""
        from .show.table import results

        return results(self._record, self._artifact)

    @property
    @_of_one_moment
    def profile(self) -> pd.DataFrame:
        """What each row of `results` took, and why it ran: reason, attempts, worker, times. See show.profile."""
        from .show.profile import profile

        reasons = Reasons(self._record, self._store, self._table)
        return profile(self._record, lambda node: [reasons.why(node, branch).words for branch in node.branches()])

    @_of_one_moment
    def why(self, name: str) -> Why:
        """Why a step or branch ran or was taken from the store: which part of its code or arguments changed.

        It is compared with the latest earlier run of the pipeline that had this node. The text ends with the
        source before and now where code changed, which is `.diff` too. For a fan-out's name it says how many
        branches ran for which reason. Raises NotFound with the nearest names.
        """
        found, reasons = self[name], Reasons(self._record, self._store, self._table)
        if not isinstance(found, list):
            return reasons.why(found._node, found._number)
        return together([reasons.why(step._node, step._number) for step in found])

    @_of_one_moment
    def diff(self, other: Run) -> pd.DataFrame:
        """The branches whose arguments, outputs, status or code differ from those of another run, or that one has not.

        On the branch's name: step, differs (what), and arguments, output and status of this run and of the other.
        Raises StepCallError for what is no run.
        """
        from .show.difference import Side, difference

        if not isinstance(other, Run):
            raise StepCallError(f"diff() takes a Run, not {other!r}", do="get one with Client().get_pipeline_run(name)")
        return difference(*(Side(run._record, run._store.artifacts, run._table) for run in (self, other)))

    @property
    @_of_one_moment
    def dag(self) -> graphviz.Digraph:
        """The graph of the run; a fan-out is one node with its count."""
        from .show.layout import digraph

        return digraph(self._record)

    @_of_one_moment
    def timeline(self) -> Timeline:
        """Which branch ran when, on which worker: a picture that a notebook shows; see show.timeline.Timeline."""
        from .show.timeline import Timeline

        return Timeline(self._record, time.time())

    @_of_one_moment
    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write it as one page that needs nothing else: the record, the timeline, every branch, errors, environment."""
        from .show.page import made_with, page

        text = page(self._record, self.results, self.profile, made_with(), time.time())
        Path(path).write_text(text, encoding="utf-8")

    def wait(self, timeout: float | None = None) -> Run:
        """Wait until it has ended, or for so many seconds; returns the run and raises nothing of its steps."""
        __tracebackhide__ = True
        if self._thread is not None:
            self._thread.join(timeout)
        if self._fault is not None and self._record.failure is None and not isinstance(self._fault, PipelineError):
            raise self._fault
        return self

    def cancel(self) -> None:
        """End it: running branches are killed where the backend can, what has finished stays. From any thread."""
        if self._runner is not None and self.status == "running":
            self._runner.cancel()

    def resume(self) -> Run:
        """Run its pipeline once more with what has finished in this one taken over, and return the new Run.

        The body runs again with the same arguments and the steps as they are defined now; a step whose code
        has been defined anew since runs again, and so does what depends on it. Raises PipelineError as a call does.
        """
        return self._take_up(self)

    def rerun(self, names_or_rows: Any) -> Run:
        """Run some of its steps once more, and what depends on them; the rest is taken over. Returns the new Run.

        Steps are chosen by name: a node, a branch, a pattern for nodes (`"fit*"`), or a list of them; or by rows of
        `results`, as in `run.rerun(run.results.query("score < 0.5"))`. What has not finished runs too, as in resume.
        Works for a run of another process too, with the steps as they were recorded there. Raises NotFound with the
        nearest names, and PipelineError as a call does.
        """
        __tracebackhide__ = True
        if self.status == "running":
            raise NotAvailable(f"run '{self.name}' still runs", do="wait for it with run.wait(), or run.cancel() it")
        graph = self._graph or retold(self._record)  # of another process
        earlier = Run(without(self._record, graph, chosen(self._record, names_or_rows)), self._store)
        earlier._graph = self._graph
        earlier._chosen = {
            name: [b for b in node.branches() if node.branch_status(b) is not self._record.nodes[name].branch_status(b)]
            for name, node in earlier._record.nodes.items()
        }
        return self._take_up(earlier)

    def _take_up(self, earlier: Run) -> Run:
        __tracebackhide__ = True
        run = (self._again or self._recorded())(earlier)
        if run.status != "completed":
            raise_failure(run)
        return run

    def _recorded(self) -> Callable[[Run], Run]:
        """What runs its pipeline once more in another process than its own: as it was recorded there.

        Raises NotAvailable where nothing was.
        """
        recipe = self._record.recipe
        if recipe is None:
            raise NotAvailable(
                f"run '{self.name}' cannot be run again here: {self._record.refused or 'its process ended too soon'}",
                do="run its pipeline again: what finished is taken from the store",
            )
        try:
            again: Callable[[Run], Run] = self._store.artifacts.get(recipe).again
        except StoreError:
            raise
        except Exception as error:
            raise NotAvailable(
                f"run '{self.name}' cannot be run again here: what was recorded of it cannot be opened: {error}",
                do="run its pipeline again: what finished is taken from the store",
            ) from error
        return again

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait in an event loop and give its value. Raises its PipelineError if it has not completed."""
        yield from asyncio.get_running_loop().run_in_executor(None, self.wait).__await__()
        return self.load()

    @_of_one_moment
    def logs(self, name: str) -> list[str]:
        """The lines that one step or branch printed, in order. Raises NotFound with the nearest names."""
        found = self[name]
        return [line for step in found for line in step.logs] if isinstance(found, list) else found.logs

    @_of_one_moment
    def __repr__(self) -> str:
        return record_text(self._record)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if getattr(shell(), "kernel", None) is None:  # a terminal: nobody sees a picture
            display({"text/plain": repr(self)}, raw=True)
        elif self._shown is None or self._shown != this_cell():
            display(self._bundle(), raw=True)

    @_of_one_moment
    def _bundle(self) -> dict[str, str]:
        """The record as a notebook shows it."""
        from .show.html import bundle

        return bundle(self._record)

    @_of_one_moment
    def _table(self, record: Record, node: str) -> pd.DataFrame:
        """The rows of one node, as a step receives them that asks for its results."""
        from .show.table import results

        return results(record, self._artifact, only={node})

    @_of_one_moment
    def _rows(self, nodes: Collection[str]) -> pd.DataFrame:
        """The rows of some nodes, with the columns that they have."""
        from .show.table import results

        return results(self._record, self._artifact, only=nodes)

    def _made_of(self, value: Pending) -> Any:
        """What a fan-in would receive of branches, opened."""
        values = Values(self._record, self._store.artifacts, self._table)
        return values.open(values.seal_value(value))

    def _note(self, event: Event) -> None:
        """Keep something that happened after its end."""
        self._store.write(self._record.id, [event])
        self._record.apply(event)

    def _run_again(self) -> None:
        """Resume it for the cell that it ran for, whose names are bound to what comes out."""
        if self._again is not None:
            run = self._again(self)
            run._bind = self._bind
            if run._bind is not None:
                run._bind(run)

    def _attach(self, runner: Runner, graph: Graph) -> None:
        self._runner, self._graph = runner, graph

    def _taking_over(self, earlier: Run, graph: Graph) -> Keep:
        """What tells, of each node, which branches `earlier` has finished and this run need not run."""
        return Carried(earlier._record, earlier._graph, self._record, graph).branches

    def _artifact(self, name: str, stored: Stored, field: str | None, kind: str | None) -> Artifact:
        return Artifact(self._store, stored, name, field, kind)


def this_cell() -> object:
    """What tells this execution of a cell from any other: the request for it, whose cell need not be numbered."""
    parent = getattr(shell(), "parent_header", None) or {}
    return parent.get("header", parent).get("msg_id") or getattr(shell(), "execution_count", 0)
