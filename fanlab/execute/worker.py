"""What runs inside a worker: open the inputs, call the step, store the outputs, tell what happened.

Every worker process pays for its imports: core, store, errors, and its own small helpers beside it.
Over 300 lines: the loop over the branches of a batch, and the steps of that loop, read as one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..core.batch import Answer, Batch, BatchDone, BatchReleased, Column, Hole, RunHeader
from ..core.context import RUNNING, Running
from ..core.events import Event, Failure, Finished, Logged, Progressed, Started, Status
from ..core.expand import Items, items_of
from ..core.seal import Packed, Stored, is_scalar, rebuild, seal
from ..core.spec import RECORDER
from ..errors import CannotSend, CannotStore, FanlabError, FanOutError, listed
from ..store.artifacts import Artifacts
from ..store.codecs import pack, pack_scalar, type_name
from ..store.formats import Unsaved
from ..store.hashes import steady
from ..store.travel import leave_home
from .capture import Capture, end_lines
from .failure import failure_of
from .faults import Faults
from .imported import Imported
from .page import Note, Page
from .surroundings import enter

try:
    import resource
except ImportError:  # not a Unix
    resource = None  # type: ignore[assignment]

TELL_SECONDS = 0.05  # how often a batch of short branches tells what has finished
_BLOBS_KEPT = 256
_PICKLABLE = "return data that can be pickled: lists instead of generators, no open files, locks or connections"
_UNLIMITED = sys.maxsize
_PEAK_SECONDS = 0.001  # branches shorter than this share a look at the memory

Tell = Callable[[str, Event | Answer, bool], None]  # the run, what happened, whether it has to be told now


class StaleModules(Exception):  # noqa: N818
    """A module of the user's that this process has imported says something else by now: another process has to run."""


class MissingBlob(Exception):  # noqa: N818
    """A batch refers to bytes that this worker does not have: it was started anew since they were sent."""


class Bench:
    """Runs batches one at a time and remembers what they share."""

    def __init__(
        self,
        tell: Tell,
        capture: Capture,
        page: Page | Note | None = None,
        *,
        at_home: bool = True,
        interrupts: bool = False,
    ) -> None:
        self.tell, self.capture, self.page = tell, capture, page
        self.interrupts = interrupts  # whether a KeyboardInterrupt is the user's, and not the step's own
        self._at_home = at_home  # in the kernel itself: its directory and path are right already
        self._blobs: dict[bytes, bytes] = {}
        self._opened: dict[bytes, Any] = {}
        self._entered: bytes | None = None
        self._imported = Imported()
        if not at_home:
            leave_home()
        self._stores: dict[str, Artifacts] = {}
        self._lock = threading.Lock()
        self._asked: set[int] = set()  # batches that have been asked back and have not come yet
        self.number = -1  # the batch that runs,
        self.at = -1  # the branch that it has got to,
        self.limit = _UNLIMITED  # and the first one that it must not start

    def receive(self, blobs: Mapping[bytes, bytes]) -> None:
        """Take in bytes that batches will refer to. The oldest are forgotten; they are sent again when needed."""
        self._blobs.update(blobs)
        while len(self._blobs) > _BLOBS_KEPT:
            oldest = next(iter(self._blobs))
            del self._blobs[oldest]
            self._opened.pop(oldest, None)

    def run(self, batch: Batch) -> None:
        """Run a batch and tell of it. Raises MissingBlob or StaleModules, and KeyboardInterrupt where one arrives."""
        if any(key not in self._blobs for key in batch.blobs):
            raise MissingBlob
        if not self._at_home and self._imported.stale():
            raise StaleModules
        header: RunHeader = self._open(batch.header)
        if not self._at_home and self._entered != batch.header:
            enter(header)
            self._entered = batch.header
        artifacts = self._stores.setdefault(header.store, Artifacts(header.store))
        recorder = RECORDER.set(None)  # a step called inside a running step is a plain call
        try:
            with self._modules(batch), steady():
                _Work(self, batch, header, artifacts).run()
        finally:
            RECORDER.reset(recorder)
            if self.page is not None:
                self.page.idle()
        self.tell(batch.run, BatchDone(batch.number), True)

    @contextlib.contextmanager
    def _modules(self, batch: Batch) -> Iterator[None]:
        """Have import statements inside the batch's functions find what the kernel has, while they run."""
        if self._at_home:
            yield
            return
        with contextlib.suppress(CannotSend):  # told by each branch
            self._imported.lend(self._code(batch)[2])
        try:
            yield
        finally:
            self._imported.take_back()

    def begin(self, number: int) -> None:
        """A batch begins; what has been asked back of it before it came is never started."""
        with self._lock:
            self.at, self.number = -1, number
            self.limit = 0 if number in self._asked else _UNLIMITED
            self._asked.discard(number)

    def release(self, run: str, number: int) -> None:
        """Give back what has not been started of a batch: the one that runs, or one that has not come yet.

        Called in another thread than the one that runs branches, which sets `at` before it looks at `limit`:
        so whatever lies behind `at`, read once the limit is set, will not be started.
        """
        with self._lock:
            if self.number == number:
                self.limit = self.at + 1
                start = self.at + 1
            else:
                self._asked.add(number)
                start = 0
        self.tell(run, BatchReleased(number, start), True)

    def function(self, batch: Batch) -> Callable[..., Any]:
        """The batch's function, opened once. Raises CannotSend if it cannot be."""
        return self._code(batch)[0]

    def retry_on(self, batch: Batch) -> Any:
        """The exceptions that the batch's step retries on."""
        try:
            return self._code(batch)[1]
        except CannotSend:
            return ()

    def _code(self, batch: Batch) -> tuple[Callable[..., Any], Any, dict[str, Any]]:
        try:
            return self._open(batch.code)  # type: ignore[no-any-return]
        except Exception as error:
            raise CannotSend(
                f"step '{batch.node}' cannot be opened in a worker: {type(error).__name__}: {error}",
                do="make what it imports importable from the notebook's folder, or install it",
            ) from error

    def shared(self, batch: Batch) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that the batch's branches share, with holes."""
        return self._open(batch.shared)  # type: ignore[no-any-return]

    def _open(self, key: bytes) -> Any:
        if key not in self._opened:
            self._opened[key] = pickle.loads(self._blobs[key])
        return self._opened[key]


class _Work:
    """One batch being run: columns that fill up, told every so often."""

    def __init__(self, bench: Bench, batch: Batch, header: RunHeader, artifacts: Artifacts) -> None:
        self._bench, self._batch, self._artifacts = bench, batch, artifacts
        self._pid = os.getpid()
        self._running = Running(header, batch, self._progress)
        self._untold = batch.start
        self._faults = Faults()
        self._peak = 0
        self._clear()

    def run(self) -> None:
        """Run the branches in order, up to the first that has been asked back."""
        bench, batch = self._bench, self._batch
        token = RUNNING.set(self._running)
        bench.begin(batch.number)
        try:
            with bench.capture.to(self._log):
                self._loop()
        finally:  # an interrupt loses no finished branch
            RUNNING.reset(token)
            self._flush()  # before nothing can be asked back any more: what is done is never given back
            bench.number = -1

    def _loop(self) -> None:
        """What is done for each branch; kept short, since a branch may take no longer than this."""
        bench, batch, running, capture, page = (
            self._bench,
            self._batch,
            self._running,
            self._bench.capture,
            self._bench.page,
        )
        rows = self._plain_rows()
        with contextlib.suppress(CannotSend):  # told by each branch; what opening it takes is no branch's time
            bench.function(batch)
        told = measured = 0.0
        now = time.time()
        behind = time.monotonic() - now
        for branch in range(batch.start, batch.start + batch.size):
            bench.at = branch
            if branch >= bench.limit:
                bench.tell(batch.run, BatchReleased(batch.number, branch), True)
                break
            if page is not None:
                page.write(batch.number, branch, now + behind)
            running.branch = branch
            if now - told > TELL_SECONDS:
                told = now
                self._flush()
                bench.tell(batch.run, Started(batch.node, branch, batch.attempt, self._pid, now), True)
                _reset_peak()
            outputs: bytes | None = None
            try:
                args, kwargs = self._row(branch - batch.start) if rows is None else next(rows)
                outputs = self._stored(bench.function(batch)(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 (whatever a step raises is its failure)
                self._fail(branch, error)
            if capture.held:
                end_lines()
            if running.metadata:
                self._metadata[branch], running.metadata = running.metadata, {}
            self._begun.append(now)
            now = time.time()
            if now - measured > _PEAK_SECONDS:
                measured, self._peak = now, _peak_kb()
            self._ended.append(now)
            self._statuses.append(Status.FAILED if outputs is None else Status.COMPLETED)
            self._outputs.append(outputs)
            self._peaks.append(self._peak)

    def _fail(self, branch: int, error: BaseException) -> None:
        bench, batch = self._bench, self._batch
        if isinstance(error, KeyboardInterrupt) and bench.interrupts:
            raise error
        self._failures[branch] = failure_of(error, bench.retry_on(batch))
        if batch.halt:
            bench.limit = 0

    def _plain_rows(self) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]] | None:
        """The arguments of each branch where nothing has to be opened for them; else None."""
        try:
            args, kwargs = self._bench.shared(self._batch)
        except Exception:  # noqa: BLE001 (told by each branch)
            return None
        columns: list[Iterable[Any]] = []
        for value in (*args, *kwargs.values()):
            column = self._batch.columns[value.position] if isinstance(value, Hole) else None
            if column is not None and column.kind == "plain":
                columns.append(column.values)
            elif is_scalar(value):
                columns.append(itertools.repeat(value, self._batch.size))
            else:
                return None
        if not columns:
            return itertools.repeat(((), {}), self._batch.size)
        if not kwargs:
            return ((row, {}) for row in zip(*columns, strict=True))
        count, names = len(args), tuple(kwargs)
        return ((row[:count], dict(zip(names, row[count:], strict=True))) for row in zip(*columns, strict=True))

    def _row(self, offset: int) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of one branch, opened."""
        args, kwargs = self._bench.shared(self._batch)
        opened = [self._value(position, sealed, offset) for position, sealed in enumerate(args)]
        return opened, {name: self._value(name, sealed, offset) for name, sealed in kwargs.items()}

    def _stored(self, value: Any) -> bytes:
        outputs = self._batch.outputs
        if len(outputs) == 1:
            packed = pack_scalar(outputs[0], value) or pack({outputs[0]: self._keep(value)})
        else:
            packed = pack(self._keep_each(value))
        if self._batch.explode:
            self._explode(value)
        return packed

    def _value(self, name: object, sealed: Any, offset: int) -> Any:
        """One argument of a branch, opened anew, so that a change in place stays in the branch."""
        if isinstance(sealed, Hole):
            column: Column = self._batch.columns[sealed.position]
            sealed = column.values[offset]
            if column.kind == "plain":
                return sealed
            if column.kind == "packed":
                sealed = Packed(sealed, column.output)

        def leaf(found: Any) -> Any:
            if isinstance(found, Packed):
                return self._artifacts.value(found)
            return self._artifacts.get(found) if isinstance(found, Stored) else found

        try:
            return rebuild(sealed, leaf)
        except FanlabError:
            raise
        except Exception as error:
            what = f"argument '{name}'" if isinstance(name, str) else f"argument {name}"
            raise CannotSend(
                f"{what} of '{self._batch.node}' cannot be opened in a worker: {type(error).__name__}: {error}",
                do="make its class importable from the notebook's folder, or pass plain data",
            ) from error

    def _explode(self, value: Any) -> None:
        """Store the items of a value that is mapped over, each for itself, so that it need not be opened for them."""
        named = dict(zip(self._batch.outputs, value, strict=False)) if len(self._batch.outputs) > 1 else {}
        for output in self._batch.explode:
            with contextlib.suppress(FanOutError):  # told when the map is made
                items = items_of(named.get(output, value))
                if items is not None:
                    sealed = seal(items, self._keep, self._whole)
                    self._items.setdefault(self._running.branch, {})[output] = sealed

    def _keep_each(self, value: Any) -> dict[str, Stored]:
        batch = self._batch
        count = len(value) if isinstance(value, (tuple, list)) else None
        if count != len(batch.outputs):
            held = type_name(value) if count is None else f"{type_name(value)} of {count}"
            raise CannotStore(
                f"'{batch.node}' has {len(batch.outputs)} outputs ({listed(batch.outputs)}), but returned one {held}",
                do="return a tuple with one value for each, or change the annotation or .unpack(n)",
            )
        return {name: self._keep(item) for name, item in zip(batch.outputs, value, strict=True)}

    def _keep(self, value: Any) -> Stored:
        try:
            return self._artifacts.put(value, f"of '{self._batch.node}'")
        except FanlabError:
            raise
        except Exception as error:
            raise CannotStore(
                f"the result of '{self._batch.node}', of type {type_name(value)}, cannot be stored: {error}",
                do=error.do if isinstance(error, Unsaved) else _PICKLABLE,
            ) from error

    def _whole(self, made: Any) -> Any:
        found = self._faults.of(made)
        if found is None:
            return made
        part, bad, why = found
        raise CannotStore(
            f"{part}the result of '{self._batch.node}', of type {type_name(bad)}, cannot be stored: {why}",
            do=_PICKLABLE,
        )

    def _log(self, stream: str, text: str) -> None:
        logged = Logged(self._batch.node, self._running.branch, stream, text, time.time())
        self._bench.tell(self._batch.run, logged, False)

    def _progress(self, done: float, total: float | None) -> None:
        progressed = Progressed(self._batch.node, self._running.branch, done, total)
        self._bench.tell(self._batch.run, progressed, False)

    def _clear(self) -> None:
        self._statuses = bytearray()
        self._outputs: list[bytes | None] = []
        self._begun, self._ended, self._peaks = array("d"), array("d"), array("q")
        self._failures: dict[int, Failure] = {}
        self._metadata: dict[int, Mapping[str, Any]] = {}
        self._items: dict[int, dict[str, Items]] = {}

    def _flush(self) -> None:
        batch = self._batch
        if not self._statuses:
            return
        finished = Finished(
            batch.node, self._untold, bytes(self._statuses), batch.attempt, self._pid,
            self._begun, self._ended, self._peaks, tuple(self._outputs), self._failures, self._metadata, self._items,
        )  # fmt: skip
        self._untold += len(self._statuses)
        self._clear()
        self._bench.tell(batch.run, finished, False)


def _peak_kb() -> int:
    return 0 if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _reset_peak() -> None:
    """Let the peak begin anew (Linux, proc(5): "5" resets the high-water mark). Too slow for every short branch."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
