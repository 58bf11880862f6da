"""What runs inside a worker: open the inputs, call the step, store the outputs, tell what happened.

It is imported by every worker process, so it imports core, store and errors only.
"""

from __future__ import annotations

import io
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Client, Connection
from typing import Any

import cloudpickle

from ..core.batch import Batch, BatchDone, Hole, RunHeader
from ..core.context import RUNNING, Running
from ..core.events import Event, Failure, Finished, Frame, Logged, Progressed, Started, Status
from ..core.seal import Packed, Stored, rebuild
from ..core.spec import RECORDER
from ..errors import CannotSend, CannotStore, FanlabError, listed
from ..place import PACKAGE
from ..store.artifacts import Artifacts
from ..store.codecs import pack, type_name

try:
    import resource
except ImportError:  # not a Unix
    resource = None  # type: ignore[assignment]

TELL_SECONDS = 0.05  # how often a batch of short branches tells what has finished
_BLOBS_KEPT = 256
_LARGEST_EXCEPTION = 1 << 20  # bytes; a larger one travels as its message only

Tell = Callable[[str, Event | BatchDone], None]


class MissingBlob(Exception):  # noqa: N818
    """A batch refers to bytes that this worker does not have: it was started anew since they were sent."""


class Bench:
    """Runs batches one at a time and remembers what they share."""

    def __init__(self, tell: Tell, *, at_home: bool) -> None:
        self._tell = tell
        self._at_home = at_home  # in the kernel itself: its directory and path are right already
        self._blobs: dict[bytes, bytes] = {}
        self._opened: dict[bytes, Any] = {}
        self._entered: bytes | None = None
        self._stores: dict[str, Artifacts] = {}

    def receive(self, blobs: Mapping[bytes, bytes]) -> None:
        """Take in bytes that batches will refer to. The oldest are forgotten; they are sent again when needed."""
        self._blobs.update(blobs)
        while len(self._blobs) > _BLOBS_KEPT:
            oldest = next(iter(self._blobs))
            del self._blobs[oldest]
            self._opened.pop(oldest, None)

    def run(self, batch: Batch) -> None:
        """Run a batch and tell of it. Raises MissingBlob, and KeyboardInterrupt where one arrives."""
        if any(key not in self._blobs for key in batch.blobs):
            raise MissingBlob
        header: RunHeader = self._open(batch.header)
        if not self._at_home and self._entered != batch.header:
            _enter(header)
            self._entered = batch.header
        artifacts = self._stores.setdefault(header.store, Artifacts(header.store))
        recorder = RECORDER.set(None)  # a step called inside a running step is a plain call
        try:
            _Work(self, batch, header, artifacts).run()
        finally:
            RECORDER.reset(recorder)
        self._tell(batch.run, BatchDone(batch.number))

    def tell(self, run: str, event: Event) -> None:
        """Tell the run of an event."""
        self._tell(run, event)

    def function(self, batch: Batch) -> Callable[..., Any]:
        """The batch's function, opened once. Raises CannotSend if it cannot be."""
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
        self._bench, self._batch, self._header, self._artifacts = bench, batch, header, artifacts
        self._pid = os.getpid()
        self._branch = self._untold = batch.start
        self._clear()

    def run(self) -> None:
        """Run the branches in order."""
        batch = self._batch
        with captured(self._log):
            mark = time.time()
            self._start(mark)
            try:
                for offset, items in enumerate(batch.items):
                    self._branch = batch.start + offset
                    begun = time.time()
                    if begun - mark > TELL_SECONDS:
                        self._flush()
                        self._start(begun)
                        mark = begun
                    self._one(offset, items, begun)
            finally:  # an interrupt loses no finished branch
                self._flush()

    def _one(self, offset: int, items: tuple[Any, ...], begun: float) -> None:
        batch = self._batch
        label = batch.labels[offset] if batch.labels is not None else None
        running = Running(
            self._header,
            batch.node,
            self._branch,
            batch.node if label is None else f"{batch.node}[{label}]",
            None if label is None else batch.keys[offset],
            batch.attempt,
            self._progress,
        )
        token = RUNNING.set(running)
        outputs: bytes | None = None
        try:
            outputs = self._call(items)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a step raises is its failure)
            self._failures[self._branch] = failure_of(error)
        finally:
            RUNNING.reset(token)
            _flush_lines()
        if running.metadata:
            self._metadata[self._branch] = running.metadata
        self._statuses.append(Status.FAILED if outputs is None else Status.COMPLETED)
        self._outputs.append(outputs)
        self._begun.append(begun)
        self._ended.append(time.time())
        self._peaks.append(_peak_kb())

    def _call(self, items: tuple[Any, ...]) -> bytes:
        batch = self._batch
        function = self._bench.function(batch)
        args, kwargs = self._bench.shared(batch)

        def value(name: object, sealed: Any) -> Any:
            return self._open(name, items[sealed.position] if isinstance(sealed, Hole) else sealed)

        opened = [value(position, sealed) for position, sealed in enumerate(args)]
        named = {name: value(name, sealed) for name, sealed in kwargs.items()}
        return pack(self._store(function(*opened, **named)))

    def _open(self, name: object, sealed: Any) -> Any:
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

    def _store(self, value: Any) -> dict[str, Any]:
        batch = self._batch
        if len(batch.outputs) == 1:
            return {batch.outputs[0]: self._keep(value)}
        count = len(value) if isinstance(value, (tuple, list)) else None
        if count != len(batch.outputs):
            held = type_name(value) if count is None else f"{type_name(value)} of {count}"
            raise CannotStore(
                f"'{batch.node}' has {len(batch.outputs)} outputs ({listed(batch.outputs)}), but returned one {held}",
                do="return a tuple with one value for each, or change the annotation or .unpack(n)",
            )
        return {name: self._keep(item) for name, item in zip(batch.outputs, value, strict=True)}

    def _keep(self, value: Any) -> Any:
        try:
            return self._artifacts.put(value, f"of '{self._batch.node}'")
        except FanlabError:
            raise
        except Exception as error:
            raise CannotStore(
                f"the result of '{self._batch.node}', of type {type_name(value)}, cannot be stored: {error}",
                do="return data that can be pickled: lists instead of generators, no open files, locks or connections",
            ) from error

    def _start(self, now: float) -> None:
        batch = self._batch
        self._bench.tell(batch.run, Started(batch.node, self._branch, batch.attempt, self._pid, now))

    def _log(self, stream: str, text: str) -> None:
        self._bench.tell(self._batch.run, Logged(self._batch.node, self._branch, stream, text, time.time()))

    def _progress(self, done: float, total: float | None) -> None:
        self._bench.tell(self._batch.run, Progressed(self._batch.node, self._branch, done, total))

    def _clear(self) -> None:
        self._statuses = bytearray()
        self._outputs: list[bytes | None] = []
        self._begun, self._ended, self._peaks = array("d"), array("d"), array("q")
        self._failures: dict[int, Failure] = {}
        self._metadata: dict[int, Mapping[str, Any]] = {}

    def _flush(self) -> None:
        batch = self._batch
        if not self._statuses:
            return
        finished = Finished(
            batch.node, self._untold, bytes(self._statuses), batch.attempt, self._pid,
            self._begun, self._ended, self._peaks, tuple(self._outputs), self._failures, self._metadata,
        )  # fmt: skip
        self._untold += len(self._statuses)
        self._clear()
        self._bench.tell(batch.run, finished)


def failure_of(error: BaseException) -> Failure:
    """An exception as data: its frames outside fanlab, and itself where it can be pickled."""
    frames = tuple(
        Frame(found.filename, found.lineno or 0, found.name, found.line or "")
        for found in traceback.extract_tb(error.__traceback__)
        if not found.filename.startswith(PACKAGE)
    )
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 (an exception whose own text fails is still a failure to tell)
        message = "(its message cannot be read)"
    try:
        pickled: bytes | None = cloudpickle.dumps(error, 5)
    except Exception:  # noqa: BLE001 (what cannot be pickled is told by its type and message)
        pickled = None
    if pickled is not None and len(pickled) > _LARGEST_EXCEPTION:
        pickled = None
    return Failure(type(error).__qualname__, message, frames, pickled)


class _Lines(io.TextIOBase):
    """Stands in for a stream: whole lines go to `target` while one is set, everything else to the real stream."""

    def __init__(self, name: str, real: Any) -> None:
        self._name, self._real, self._held = name, real, ""
        self.target: Callable[[str, str], None] | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.target is None:
            if self._real is not None:
                self._real.write(text)
            return len(text)
        *lines, self._held = (self._held + text).split("\n")
        for line in lines:
            self.target(self._name, line.rstrip("\r").rpartition("\r")[2])
        return len(text)

    def end(self) -> None:
        """Send a line that has no end yet."""
        if self._held and self.target is not None:
            self.target(self._name, self._held.rpartition("\r")[2])
        self._held = ""

    def fileno(self) -> int:
        return int(self._real.fileno())


@contextmanager
def captured(target: Callable[[str, str], None]) -> Iterator[None]:
    """Send what is written to stdout and stderr to `target`, a line at a time."""
    before = sys.stdout, sys.stderr
    streams = []
    for name, stream in zip(("stdout", "stderr"), before, strict=True):
        lines = stream if isinstance(stream, _Lines) and stream.target is None else _Lines(name, stream)
        lines.target = target
        streams.append(lines)
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        for lines in streams:
            lines.end()
            lines.target = None
        sys.stdout, sys.stderr = before


def _flush_lines() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _Lines):
            stream.end()


def _peak_kb() -> int:
    return 0 if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _enter(header: RunHeader) -> None:
    """Take over the kernel's working directory, environment and path, which a warm worker has from its start."""
    os.chdir(header.directory)
    sys.path[:] = header.path
    for name in set(os.environ) - {name for name, _ in header.environment}:
        del os.environ[name]
    os.environ.update(header.environment)


class Sender:
    """A worker's end of the channel: the first event goes at once, those that follow within 20 ms together."""

    PAUSE_SECONDS = 0.02

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        self._held: list[tuple[str, Event | BatchDone]] = []
        self._lock = threading.Lock()
        self._filled = threading.Event()
        threading.Thread(target=self._send_often, name="fanlab-sender", daemon=True).start()
        threading.Thread(target=self._watch, name="fanlab-watch", daemon=True).start()

    def tell(self, run: str, event: Event | BatchDone) -> None:
        """Send an event soon, and at once with all before it where it says that something ended."""
        self._held.append((run, event))
        if isinstance(event, (BatchDone, Started)):
            self.flush()
        else:
            self._filled.set()

    def flush(self) -> None:
        """Send what is held."""
        with self._lock:
            held, self._held = self._held, []
            if held:
                self._connection.send_bytes(cloudpickle.dumps(held, 5))

    def _send_often(self) -> None:
        while True:
            self._filled.wait()
            self._filled.clear()
            self.flush()
            time.sleep(self.PAUSE_SECONDS)

    def _watch(self) -> None:
        """The kernel never sends anything here: an end of the stream means that it is gone."""
        try:
            self._connection.recv_bytes()
        except (EOFError, OSError):
            os._exit(1)


_bench: Bench | None = None


def begin(address: str, key: bytes, slot: int) -> None:
    """Set a worker process up: called once in it, before its first batch."""
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the kernel ends us
    connection = Client(address, authkey=key)
    connection.send_bytes(pickle.dumps((slot, os.getpid()), 5))
    sys.stdout, sys.stderr = _Lines("stdout", sys.stdout), _Lines("stderr", sys.stderr)
    _bench = Bench(Sender(connection).tell, at_home=False)


def ready() -> int:
    """The worker's process id; submitted to have it started."""
    return os.getpid()


def run_batch(payload: bytes) -> None:
    """Run a pickled (Batch, blobs) in a worker process."""
    if _bench is None:
        raise MissingBlob
    batch, blobs = pickle.loads(payload)
    _bench.receive(blobs)
    _bench.run(batch)
