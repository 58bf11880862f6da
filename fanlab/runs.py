"""Runs as people hold them: Run, StepRun and Artifact, views on a record and its store."""

from __future__ import annotations

import asyncio
import datetime as dt
import pickle
import threading
from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .core.carry import Carried
from .core.events import Failure, Finished
from .core.expand import Shape
from .core.graph import Graph
from .core.record import NodeRecord, Record
from .core.seal import Packed, Ref, Stored
from .errors import FanlabError, NotAvailable, NotFound, PipelineError, listed, near
from .execute.runner import Runner
from .execute.values import Values
from .place import file_label, shell
from .show.text import record_text
from .store.codecs import fields_of, unpack
from .store.database import Store

if TYPE_CHECKING:
    import graphviz
    import pandas as pd


class Artifact:
    """A stored value: `load()` gives it. Two artifacts are equal if their values' hashes are."""

    def __init__(
        self, store: Store, stored: Stored, name: str, field: str | None = None, type: str | None = None
    ) -> None:
        self._store, self._stored, self._field = store, stored, field
        self.name = name if field is None else f"{name}.{field}"
        self.type = type or stored.type
        self.nbytes = stored.nbytes  # of the whole stored value
        self.hash = stored.hash if field is None else f"{stored.hash}.{field}"

    @property
    def path(self) -> str | None:
        """The file that holds the value, or None for a small one, which the database holds."""
        return self._store.artifacts.path(self._stored)

    def load(self) -> Any:
        """The value, anew at each call. Raises StoreError if its file is missing or damaged."""
        value = self._store.artifacts.get(self._stored)
        return value if self._field is None else (fields_of(value) or {})[self._field]

    def __repr__(self) -> str:
        return f"<{self.type} {self.hash[:8]}>"

    def __eq__(self, other: object) -> bool:
        return self.hash == other.hash if isinstance(other, Artifact) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.hash)


class StepRun:
    """One call, or one branch of a fan-out, in a run. It shows how things stand whenever it is asked."""

    def __init__(self, run: Run, node: NodeRecord, branch: int) -> None:
        self._run, self._node, self._number = run, node, branch

    def __repr__(self) -> str:
        return f"<step run {self.name}: {self.status}>"

    @property
    def name(self) -> str:
        """The name under which `run.steps` has it: `fit`, `fit[2]`, `fit[us]`."""
        return self._node.name(self._number)

    @property
    def step(self) -> str:
        """The name of the step that was called."""
        return self._node.info.step

    @property
    def branch(self) -> Any:
        """Its key in the fan-out: what the mapped dict had, else a number; None where nothing fanned out."""
        return self._node.shape.key(self._number) if self._node.mapped and self._node.shape is not None else None

    @property
    def status(self) -> str:
        """One of queued, running, completed, cached, failed, skipped, cancelled."""
        return self._node.branch_status(self._number).word

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Its arguments as the step received them, opened; those from steps that have no value are left out."""
        found = {}
        for name, sealed in self._arguments().items():
            if not self._run._lacks(sealed):
                found[name] = self._run._values.open(sealed)
        return MappingProxyType(found)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Its scalar arguments as they were passed."""
        from .show.table import arguments_of

        return MappingProxyType(arguments_of(self._node, self._number))

    @property
    def outputs(self) -> dict[str, list[Artifact]]:
        """Name of the output to a list of one Artifact; empty while it runs or if it has no value."""
        packed = self._node.outputs[self._number] if self._node.shape is not None else None
        if packed is None:
            return {}
        return {name: [Artifact(self._run._store, stored, name)] for name, stored in unpack(packed).items()}

    @property
    def output(self) -> Artifact:
        """Its only output. Raises NotAvailable if it has none yet or several."""
        outputs = self.outputs
        if len(outputs) != 1:
            raise NotAvailable(
                f"'{self.name}' has {len(outputs) or 'no'} outputs"
                + (f": {listed(outputs)}" if outputs else f" ({self.status})"),
                do="use .outputs[name][0]" if outputs else "see .error and .status",
            )
        return next(iter(outputs.values()))[0]

    def load(self) -> Any:
        """Its value; a tuple where it has several outputs. Raises NotAvailable if it has none."""
        outputs = self.outputs
        if not outputs:
            raise NotAvailable(f"'{self.name}' has no value: it is {self.status}", do="see .error")
        values = tuple(artifacts[0].load() for artifacts in outputs.values())
        return values[0] if len(values) == 1 else values

    @property
    def start_time(self) -> dt.datetime | None:
        """When it began, in UTC."""
        return _time(self._column("begun"))

    @property
    def end_time(self) -> dt.datetime | None:
        """When it ended, in UTC."""
        return _time(self._column("ended"))

    @property
    def duration(self) -> float | None:
        """How long it ran, in seconds."""
        begun, ended = self._column("begun"), self._column("ended")
        return ended - begun if begun and ended else None

    @property
    def attempts(self) -> int:
        """How often it has been started."""
        return int(self._column("attempts"))

    @property
    def error(self) -> str | None:
        """The last line of its traceback, or None."""
        failure = self._node.branch_failure(self._number)
        return failure.line if failure is not None else None

    @property
    def logs(self) -> list[str]:
        """The lines that it printed, in order."""
        return [text for _, text, _ in self._node.logs.get(self._number, [])]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What it logged with log_metadata."""
        return MappingProxyType(dict(self._node.metadata.get(self._number, {})))

    def _column(self, name: str) -> Any:
        return getattr(self._node, name)[self._number] if self._node.shape is not None else 0

    def _arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        mapped = 0
        for argument in self._node.arguments:
            value = argument.value
            if argument.mapped:
                position, mapped = mapped, mapped + 1
                if self._node.shape is None:
                    continue
                item = self._node.shape.item(position, self._number)
                value = Ref(value.node, item, value.output) if isinstance(value, Ref) else value.values[item]
            found[argument.name] = value
        return found


class Run:
    """One execution of a pipeline: what it did, what came out, and what it took."""

    def __init__(self, record: Record, store: Store) -> None:
        self._record, self._store = record, store
        self._values = Values(record, store.artifacts)
        self._shown = 0  # the number of the cell that has shown the record already
        self._runner: Runner | None = None  # of a run of this process
        self._graph: Graph | None = None
        self._again: Callable[[], Run] | None = None
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
        return _time(self._record.start)

    @property
    def end_time(self) -> dt.datetime | None:
        """When it ended, in UTC; None while it runs."""
        return _time(self._record.end)

    @property
    def duration(self) -> float | None:
        """How long it took, in seconds; None while it runs."""
        return self._record.end - self._record.start if self._record.end else None

    @property
    def steps(self) -> dict[str, StepRun]:
        """Every node and branch in call order, by name."""
        return {node.name(branch): StepRun(self, node, branch) for node, branch in self._record.walk()}

    def __getitem__(self, name: str) -> StepRun | list[StepRun]:
        """One StepRun; for a fan-out's name the list of its branches. Raises NotFound with the nearest names."""
        node = self._record.nodes.get(name)
        if node is not None:
            found = [StepRun(self, node, branch) for branch in node.branches()]
            return found if node.mapped else found[0]
        steps = self.steps
        if name in steps:
            return steps[name]
        raise NotFound(
            f"run '{self.name}' has no step '{name}'",
            do=near(name, [*self._record.nodes, *steps]) or f"its steps are {listed(self._record.nodes)}",
        )

    def load(self) -> Any:
        """The value of what the body returned. Raises the run's PipelineError if it has not completed."""
        if self.status != "completed":
            raise_failure(self)
        return self._values.open(self._record.returned)

    @property
    def results(self) -> pd.DataFrame:
        """One row per node and branch in call order: arguments, outputs, status, error. See show.table.results."""
        from .show.table import results

        return results(self._record, self._artifact)

    @property
    def profile(self) -> pd.DataFrame:
        """What each row of `results` took: attempts, worker, times, memory, bytes. See show.table.profile."""
        from .show.table import profile

        return profile(self._record)

    @property
    def dag(self) -> graphviz.Digraph:
        """The graph of the run; a fan-out is one node with its count."""
        from .show.layout import digraph

        return digraph(self._record)

    def wait(self, timeout: float | None = None) -> Run:
        """Wait until it has ended, or for so many seconds; returns the run and raises nothing of its steps."""
        if self._thread is not None:
            self._thread.join(timeout)
        if self._fault is not None:
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
        if self._again is None:
            raise NotAvailable(
                f"run '{self.name}' cannot be resumed here: it ran in another process",
                do="run its pipeline again in this one",
            )
        run = self._again()
        if run.status != "completed":
            raise_failure(run)
        return run

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait in an event loop and give its value. Raises its PipelineError if it has not completed."""
        yield from asyncio.get_running_loop().run_in_executor(None, self.wait).__await__()
        return self.load()

    def logs(self, name: str) -> list[str]:
        """The lines that one step or branch printed, in order. Raises NotFound with the nearest names."""
        found = self[name]
        return [line for step in found for line in step.logs] if isinstance(found, list) else found.logs

    def __repr__(self) -> str:
        return record_text(self._record)

    def _ipython_display_(self) -> None:
        from IPython.display import display

        from .show.live import bundle

        if not self._shown or self._shown != cell_number():
            display(bundle(self._record), raw=True)

    def _attach(self, runner: Runner, graph: Graph, again: Callable[[], Run]) -> None:
        self._runner, self._graph, self._again = runner, graph, again

    def _begin_thread(self, run: Callable[[], None]) -> None:
        def work() -> None:
            try:
                run()
            except BaseException as fault:  # noqa: BLE001 (told by wait, in the thread that asks)
                self._fault = fault

        self._thread = threading.Thread(target=work, name="fanlab-run", daemon=True)
        self._thread.start()

    def _taking_over(self, earlier: Run, graph: Graph) -> Callable[[str, Shape], dict[int, Finished]]:
        """What tells, of each node, which branches `earlier` has finished and this run need not run."""
        return Carried(earlier._record, earlier._graph, self._record, graph).branches

    def _artifact(self, name: str, stored: Stored, field: str | None) -> Artifact:
        kinds = dict(stored.fields)
        kind = getattr(kinds.get(field or ""), "type", None)
        return Artifact(self._store, stored, name, field, kind)

    def _lacks(self, sealed: Any) -> bool:
        """Whether a sealed argument refers to a branch that has no value."""
        ready = self._values.ready(sealed)
        return any(not packed.outputs for packed in _packed(ready))


def _packed(value: Any) -> list[Packed]:
    if isinstance(value, Packed):
        return [value]
    if isinstance(value, Stored):
        return []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [packed for item in items for packed in _packed(item)]


def raise_failure(run: Run) -> None:
    """Raise the PipelineError of a run that has not completed; its cause is the first step's own exception."""
    record = run._record
    failures = list(record.failures())
    if not failures:
        error = PipelineError(f"run '{run.name}' is {run.status}", do="use run.results for what is finished")
        error.run = run
        raise error
    node, branch, failure = failures[0]
    arguments = StepRun(run, node, branch).parameters
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    more = f" (and {len(failures) - 1} more failed)" if len(failures) > 1 else ""
    found = cause(failure)
    ours = found if isinstance(found, FanlabError) and failure.exception is not None else None
    error = PipelineError(
        f"{node.name(branch)}{f' ({_short(given)})' if given else ''} failed: {failure.type}: "
        f"{ours.what if ours is not None else failure.message}{more}",
        where=(ours.where if ours is not None else None) or where(failure),
        do=(ours.do if ours is not None else None)
        or "mend the step and run again; error.run.results has everything that finished",
    )
    error.run = run
    raise error from found


def where(failure: Failure) -> str | None:
    """The user's line that raised, with its text: the innermost frame outside installed packages."""
    if not failure.frames:
        return None
    own = [frame for frame in failure.frames if "site-packages" not in frame.file and not frame.file.startswith("<")]
    frame = (own or failure.frames)[-1]
    text = frame.text or _line(frame.file, frame.line)
    return f"{file_label(frame.file)}, line {frame.line}, in {frame.function}" + (f": {text}" if text else "")


def cause(failure: Failure) -> BaseException:
    """The exception that a step raised, as far as it could be carried here, with a note of where."""
    found: BaseException | None = None
    if failure.exception is not None:
        try:
            found = pickle.loads(failure.exception)
        except Exception:  # noqa: BLE001 (an exception that cannot be rebuilt is told by its line)
            found = None
    if not isinstance(found, BaseException):
        found = FanlabError(failure.line)
    place = where(failure)
    if place:
        found.add_note(f"raised at {place}")
    return found


def cell_number() -> int:
    """The number of the cell that runs now; 0 outside a notebook."""
    return int(getattr(shell(), "execution_count", 0) or 0)


def _line(file: str, line: int) -> str:
    import linecache

    return linecache.getline(file, line).strip()


def _short(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _time(seconds: float) -> dt.datetime | None:
    return dt.datetime.fromtimestamp(seconds, dt.UTC) if seconds else None
