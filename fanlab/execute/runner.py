"""Drives one run: the loop in which everything that happens to it meets.

Over 300 lines, since it brings the rooms of a run together; what each of them does is in their own files.
"""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..core.batch import Unread
from ..core.caught import Caught
from ..core.code_key import CodeKeys
from ..core.events import Event, Failure, NodeInfo, Recorded, Returned, RunEnded, RunStarted
from ..core.expand import Shape
from ..core.graph import need
from ..core.pending import Gathered, Output, Pending
from ..core.record import Record
from ..core.schedule import Schedule
from ..core.settings import settings
from ..core.trace import Trace
from ..errors import CannotSend, NotAvailable, StepCallError, StoreError
from ..store.clearing import keep_within
from ..store.database import Store
from ..store.hashes import hash_value, steady
from .base import Deliver, Executor, Message
from .course import Course
from .dispatch import Dispatch
from .endings import Endings
from .expanding import Expanding, Keep
from .hearing import Hearing
from .journal import Journal, Watcher
from .recall import Fresh, Recall
from .retries import Retries
from .sending import Sending
from .values import Tabulate, Values

PULSE_SECONDS = 0.1  # how long the loop waits at most before watchers may show something
CLOCK_SECONDS = 0.02  # the same while a branch has a timeout, or may have to be given back


@dataclass(frozen=True, slots=True)
class Job:
    """What a runner is asked to run."""

    id: str
    name: str
    pipeline: str
    parameters: dict[str, Any]
    trace: Trace  # of a body that waits for values: so far, its graph grows
    stop_on_failure: bool = False


class Cancelled(Exception):  # noqa: N818
    """Somebody has asked for the run's end."""


class _Cancel:
    """In the inbox: somebody asks for the run's end."""


class Runner:
    """Runs a traced pipeline. `run` returns when everything has ended, and raises only what is not a step's fault.

    Where a body waits for values, `begin` takes in what it has recorded so far, `load` runs until a value is there,
    `returned` takes in the rest, and `end` runs it.
    """

    def __init__(
        self,
        job: Job,
        store: Store,
        record: Record,
        executor: Callable[[str, Deliver], Executor],
        watchers: list[Watcher],
        keep: Keep | None = None,
        tabulate: Tabulate | None = None,
        fresh: Fresh | None = None,
        note: Callable[[], Event] | None = None,
    ) -> None:
        self._job, self._record = job, record
        graph = job.trace.graph
        schedule = Schedule(graph)
        self._values = Values(record, store.artifacts, tabulate)
        codes = CodeKeys(hash_value)
        recall = Recall(record, graph, store, self._values, codes, fresh or Fresh())
        self._journal = Journal(job.id, store, record, watchers, recall)
        dispatch = Dispatch(
            job.id,
            job.name,
            job.pipeline,
            store.root,
            self._values,
            graph,
            codes,
            recall.keys,
            halt=job.stop_on_failure,
        )
        self._refuse_edited = dispatch.refuse_edited
        self._inbox: queue.SimpleQueue[Message | _Cancel] = queue.SimpleQueue()
        self._make_executor = executor
        retries = Retries(graph, schedule)
        self._course = Course(graph, record, self._journal, schedule, retries, job.stop_on_failure)
        self._expanding = Expanding(self._course, self._values, keep)
        self._endings = Endings(self._course)
        self._hearing = Hearing(self._course, self._endings)
        self._sending = Sending(self._course, dispatch, self._expanding.passed_on, recall.look_up)
        self._caught = Caught()
        self._note = note  # told when there is time for it, and before the end
        self._open = contextlib.ExitStack()
        self._store = store
        self._taken = 0  # how many of the graph's nodes
        self._ended = False

    @property
    def backend(self) -> str:
        """Where its branches run, from its beginning on."""
        return self._course.executor.name

    @property
    def workers(self) -> int:
        """How many branches run at once, from its beginning on."""
        return self._course.executor.slots

    @property
    def in_this_thread(self) -> bool:
        """Whether steps run in the thread that goes on with the run."""
        return self._course.executor.immediate

    @property
    def changing(self) -> contextlib.AbstractContextManager[Any]:
        """Held while the record changes: who reads much of it in another thread takes it, and sees one moment."""
        return self._journal.changing

    def cancel(self) -> None:
        """Ask for the run's end, from any thread."""
        self._inbox.put(_Cancel())

    def run(self) -> None:
        """Run to the end. On an interrupt: end the workers, keep what is finished, and raise it again."""
        self.begin()
        self.end()

    def begin(self, *, whole: bool = True) -> None:
        """Take in what the body has recorded: the `whole` of it, or so far."""
        job = self._job
        self._open.enter_context(self._store.running())
        self._course.executor = self._make_executor(job.id, self._deliver)
        with self._closing():
            infos = self._take_in()
            returned = self._values.seal_value(job.trace.returned) if whole else None
            parameters = {
                name: self._values.seal_value(value, f"of parameter '{name}'") for name, value in job.parameters.items()
            }
            self._journal.emit(
                [RunStarted(job.id, job.name, job.pipeline, parameters, infos, returned, time.time(), os.getpid())]
            )

    def foresee(self) -> Schedule:
        """Take in what the body has recorded and what the store has of it; the schedule says what is left."""
        self.begin()
        self._over()
        self._journal.save()
        return self._course.schedule

    def load(self, value: Pending) -> Any:
        """Take in what has been recorded since, go on until a value is there, and return it.

        Raises NotAvailable where there will be none, and Cancelled.
        """
        node, branch = need(value)
        tolerant = isinstance(value, Gathered)
        with self._closing():
            self._extend(tolerant=(node,) if tolerant else ())
            while not (self._over() or self._course.schedule.ended(node, branch)):
                self._go_on()
            self._journal.save()  # what the body does now may end the process
        found = self._record.nodes[node]
        branches = [branch or 0] if isinstance(value, Output) else found.branches()
        if not tolerant and (found.shape is None or any(found.outputs[b] is None for b in branches)):
            self._caught.add((node, branch))
            raise NotAvailable(f"'{node}' has no value: it is {found.overall().word}")
        return self._values.open(self._values.seal_value(value))

    def shape(self, node: str) -> Shape | None:
        """The branches of a node, once they are known."""
        found = self._record.nodes.get(node)
        return found.shape if found is not None and not found.growing else None

    def end(self, going: Callable[[], object] = lambda: None) -> None:
        """Run the rest to its end; `going` is called when the branches that can be known by then are."""
        with contextlib.suppress(Cancelled), self._closing():
            self._expanding.expand()
            going()
            while not self._over():
                self._go_on()
            if not self._course.stopped:  # else what the body has caught is why something did not run
                self._tell_handled()
            self._close("failed" if self._record.unhandled() else "completed")

    def returned(self, value: Any) -> None:
        """A body that has waited for values has ended."""
        with self._closing():
            self._extend()
            self._journal.emit([Returned(self._values.seal_value(value))])

    def abandon(self, failure: Failure | None) -> None:
        """The body has raised: the run fails. Without a failure of its own, what was recorded runs to its end."""
        if self._ended:
            return
        with contextlib.suppress(Cancelled), self._closing():
            if failure is None:
                self._extend(strict=self._caught.let_go())
                while not self._over():
                    self._go_on()
                self._tell_handled()
            else:
                self._cancel()
            self._close("failed", failure)

    def _extend(self, strict: Iterable[str] = (), tolerant: Iterable[str] = ()) -> None:
        """Take in what has been recorded since, and that the body reads nodes and does or does not survive failures."""
        before = self._course.graph.tolerated()
        self._course.graph.read(strict, tolerant)
        infos = self._take_in()
        after, new = self._course.graph.tolerated(), {info.name for info in infos}
        changed = {name: name in after for name in before ^ after if name not in new}
        if infos or changed:
            self._journal.emit([Recorded(infos, changed, time.time())])

    def _tell_handled(self) -> None:
        """Tell which failures the body has caught and gone on after."""
        handled = self._caught.handled(self._course.graph, self._record)
        if handled:
            self._journal.emit([Recorded((), dict.fromkeys(sorted(handled), True), time.time())])

    @contextlib.contextmanager
    def _closing(self) -> Iterator[None]:
        """Whatever is raised here ends the run: workers are ended, what is finished is kept."""
        if self._ended:
            raise NotAvailable(
                f"run '{self._job.name}' has ended: it is {self._record.status}",
                do="let the exception that ended it pass, and run the pipeline again",
            )
        try:
            yield
        except BaseException:
            if not self._ended:
                try:
                    self._cancel()
                except KeyboardInterrupt:  # one more, while the first is carried out
                    self._cancel()
                finally:
                    self._close("cancelled")
            raise

    def _close(self, status: str, failure: Failure | None = None) -> None:
        self._ended = True
        with self._open:
            try:
                self._course.executor.shutdown()
            finally:  # an interrupt meanwhile leaves no run that has not ended
                if self._record.id:
                    self._tell_note()
                    self._journal.emit([RunEnded(status, time.time(), failure)])
                    self._journal.save()
        limit = settings().store_limit
        if limit is not None:
            keep_within(self._store, limit)

    def _take_in(self) -> tuple[NodeInfo, ...]:
        """New nodes of the body, in the schedule; what is told of them."""
        graph = self._course.graph
        names = list(islice(graph.nodes, self._taken, None))
        self._taken += len(names)
        self._refuse_timeouts(names)
        self._refuse_edited(graph.nodes[name] for name in names)
        with steady():
            sealed = self._expanding.seal(names, self._job.trace.shapes)
        self._course.schedule.extend()
        self._sending.extend(names)
        tolerated = graph.tolerated()
        return tuple(
            NodeInfo(
                name, graph.nodes[name].step.name, graph.nodes[name].kind, graph.nodes[name].outputs, sealed[name],
                tuple(dict.fromkeys(graph.needs[name].nodes())), name in tolerated,
            )
            for name in names
        )  # fmt: skip

    def _over(self) -> bool:
        """Start what may start; whether nothing is left."""
        self._expanding.expand()
        self._sending.start(self._inbox_is_quiet)
        while self._course.schedule.moved:  # by what was found in the store, or ran here and now
            self._expanding.expand()
            self._sending.start(self._inbox_is_quiet)
        self._course.tell_dropped()
        return self._course.schedule.done and not self._course.flights

    def _refuse_timeouts(self, names: list[str]) -> None:
        executor = self._course.executor
        if executor.can_kill or settings().inline:
            return
        for name in names:
            node = self._course.graph.nodes[name]
            if node.step.options.timeout is not None:
                raise StepCallError(
                    f"'{name}' has a timeout, which the backend '{executor.name}' cannot keep",
                    where=str(node.place),
                    do="use backend='loky', which can end a branch, or leave the timeout out",
                )

    def _inbox_is_quiet(self) -> bool:
        """Whether nothing has been told that could forbid to start more, where that has to be known before."""
        return self._inbox.empty() or not (self._course.executor.immediate or self._job.stop_on_failure)

    def _go_on(self) -> None:
        """Take in what has been told since, or wait a moment for it.

        Raises Cancelled where that was asked for, and CannotSend where something told cannot be opened.
        """
        with contextlib.suppress(queue.Empty):
            messages = [self._inbox.get(timeout=self._patience()), *self._told()]
            self._hear(messages)
            for message in messages:
                if isinstance(message, _Cancel):
                    raise Cancelled
                if isinstance(message, Unread):
                    raise CannotSend(
                        f"a worker of run '{self._job.name}' told what the kernel cannot open: {message.reason}",
                        do="have in the kernel what the workers have, or return plain keys, and dicts for NamedTuples",
                    )
        self._tick()

    def _tick(self) -> None:
        """What is done every now and then."""
        self._tell_note()
        self._endings.end_overdue()
        self._journal.tick()

    def _tell_note(self) -> None:
        note, self._note = self._note, None
        if note is not None:
            self._journal.emit([note()])

    def _patience(self) -> float:
        flights, retry = self._course.flights, self._course.retries.wait
        if any(flight.step.options.timeout is not None or flight.stop - flight.start > 1 for flight in flights):
            return CLOCK_SECONDS
        return PULSE_SECONDS if retry is None else min(PULSE_SECONDS, retry)

    def _hear(self, messages: Iterable[Message | _Cancel]) -> None:
        self._hearing.receive([message for message in messages if not isinstance(message, (_Cancel, Unread))])

    def _told(self) -> Iterator[Message | _Cancel]:
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._inbox.get_nowait()

    def _deliver(self, message: Message) -> None:
        """What executors call: from their threads, or in this one while submit has not returned."""
        if not self._course.executor.immediate:
            self._inbox.put(message)
            return
        self._hear([message])
        self._tick()

    def _cancel(self) -> None:
        """End what runs and drop what has not begun; what was finished stays."""
        if not self._record.id:
            return
        with contextlib.suppress(StoreError):  # which may be what has ended the run
            self._hear(self._told())
            self._endings.end_all()
