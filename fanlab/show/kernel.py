"""The live view in a notebook's kernel: a widget while the run goes on, the record when it has ended."""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core.events import Event
from ..core.record import Record
from ..place import shell
from .details import branch_details, lanes, names
from .layout import render
from .snapshot import Snapshots

BEGIN_SECONDS = 0.05  # before the layout begins
FIRST_SECONDS = 0.1  # a run shorter than this shows its record only, without a flash
SOON_SECONDS = 0.3  # one that should end within this shows no view either,
LONGEST_SECONDS = 1.0  # unless it has gone on for so long against all estimates
EVERY_SECONDS = 0.1  # between snapshots
SELDOM_SECONDS = 1.0  # between those that take long to make
ANSWER_SECONDS = 0.25  # between answers to what the page watches
LONG_SECONDS = 2.0  # a run that takes longer may end when no page is there to take its record
SHARE = 0.05  # of a run's time that the view may take

_kept: dict[str, InKernel] = {}  # by pipeline: views whose page may ask to run what failed again, or for the record


@dataclass(frozen=True, slots=True)
class Controls:
    """What a view can do with its run."""

    cancel: Callable[[], None]
    again: Callable[[], object]  # run what has failed once more, here and now
    workers: Callable[[], int]  # how many branches run at once


def prepare() -> None:
    """Load what the first view needs, in a thread, while the person still writes: it takes some tenths of a second."""

    def work() -> None:
        with contextlib.suppress(Exception):  # told by the doctor, and by the view not being there
            importlib.import_module("fanlab.show.widget")
            render("digraph { a }", "plain")

    threading.Thread(target=work, name="fanlab-prepare", daemon=True).start()


def captured() -> bool:
    """Whether an Output widget takes what is displayed: it knows no updates of displays (ipywidgets' OutputModel)."""
    ip = shell()
    parent = getattr(ip, "parent_header", {}).get("header", {})
    if parent.get("msg_type") == "comm_msg":
        return True
    output: Any = getattr(sys.modules.get("ipywidgets"), "Output", None)
    if output is None:  # not loaded, or about to be, in another thread: there is none yet
        return False
    made = list(sys.modules["ipywidgets.widgets.widget"]._instances.values())
    return any(isinstance(found, output) and found.msg_id == parent.get("msg_id") for found in made)


def cell_of(parent: dict[str, Any]) -> dict[str, str]:
    """The cell that a request runs, the request, and the page's session with the kernel; {} if a front end tells less.

    A page that was loaded anew knows from it where to put what is sent for a request that is not its own.
    """
    header, cell = parent.get("header", {}), parent.get("metadata", {}).get("cellId")
    return {"id": cell, "request": header["msg_id"], "session": header["session"]} if cell else {}


class InKernel:
    """One display that begins and ends empty, so that a saved notebook holds the record only.

    Everything is sent from the thread that runs the cell, and only when it is asked to `pulse`: a kernel's output
    belongs to the cell whose thread sends it. What the page says comes in a thread of its own (a subshell).
    """

    def __init__(self, record: Record, controls: Controls, bundle: Callable[[Record], dict[str, str]]) -> None:
        from IPython.display import display

        self._record, self._controls, self._bundle = record, controls, bundle
        self._snapshots = Snapshots(record)
        self._display: Any = display
        self._begun = time.monotonic()
        self._context, self._parent = contextvars.copy_context(), getattr(shell(), "parent_header", {})
        self._widget: Any = None
        self._graph: dict[str, Any] = {}
        self._changed = True
        self._next = self._next_answer = 0.0
        self._taken = True  # whether a page has the record, as far as can be told
        self._again = False  # whether the page wants what has failed to run again when the run has ended
        self._watched: dict[str, Any] = {}
        self._answered: dict[str, Any] = {}
        self._broken = False
        self._captured = captured()
        self._handle = None if self._captured else display({}, raw=True, display_id=True)

    def see(self, event: Event) -> None:  # noqa: ARG002 (any event will do)
        """Note that the next snapshot differs from the last."""
        self._changed = True

    def make_way(self) -> None:
        """Nothing is in the way: what is printed has its own place in the cell's output."""

    def pulse(self) -> None:
        """Show how the run stands, if it is time."""
        now, before = time.monotonic(), time.thread_time()
        if now < self._next or now - self._begun < BEGIN_SECONDS or self._broken:
            return
        try:
            if now - self._begun < FIRST_SECONDS:
                if self._worthwhile(now):
                    self._snapshots.begin()
                self._next = min(now + BEGIN_SECONDS / 2, self._begun + FIRST_SECONDS)
                return
            if self._widget is not None:
                self._send()
            elif self._worthwhile(now):
                self._open()
                now, before = time.monotonic(), time.thread_time()  # what it takes to begin does not put off the next
        except Exception:  # noqa: BLE001 (a run that cannot draw still runs, and shows its record)
            self._broken = True
        pause = min(max(EVERY_SECONDS, (time.thread_time() - before) / SHARE), SELDOM_SECONDS)
        self._next = max(self._next + pause, now + pause / 2)  # a pulse that comes late does not make all others late
        if self._watched and self._widget is not None and now >= self._next_answer:
            self._answer_seldom(now)

    def close(self) -> None:
        """Empty the display and show the record; keep the widget where a page may ask to run again."""
        with contextlib.suppress(Exception):
            kept = _kept.pop(self._record.pipeline, None)
            if kept is not None:
                kept._leave(self._record.status)
        if self._widget is not None:
            with contextlib.suppress(Exception):
                self._end()
        if self._handle is not None:
            self._handle.update({}, raw=True)
        self._display(self._bundle(self._record), raw=True)
        if self._widget is None:
            with contextlib.suppress(Exception):
                self._open_late()

    # sending

    def _worthwhile(self, now: float) -> bool:
        """Whether the run goes on for long enough to be looked at."""
        if not self._record.id:
            return False
        left = self._state()["left"]
        return left is None or left > SOON_SECONDS or now - self._begun > LONGEST_SECONDS

    def _make(self, phase: str) -> None:
        from .widget import PipelineWidget

        self._graph = self._snapshots.graph()
        self._widget = PipelineWidget(self._graph, self._state(), self._hear, cell_of(self._parent), phase)

    def _open(self) -> None:
        self._make("running")
        if self._handle is not None:
            self._handle.update(self._widget.bundle, raw=True)
        else:
            self._display(self._widget.bundle, raw=True)
        self._changed = False

    def _open_late(self) -> None:
        """What has failed before a view was worthwhile can be run again too: the page offers it below the record."""
        if self._failed() and cell_of(self._parent) and not self._captured:
            self._make("ended")
            _kept[self._record.pipeline] = self

    def _send(self) -> None:
        if self._changed or self._snapshots.waiting:
            self._changed = False
            graph = self._snapshots.graph()
            if graph != self._graph:
                self._widget.graph = self._graph = graph
            self._widget.state = self._state()

    def _answer_seldom(self, now: float) -> None:
        before = time.thread_time()
        with contextlib.suppress(Exception):
            self._answer()
        self._next_answer = now + max(ANSWER_SECONDS, (time.thread_time() - before) / SHARE)

    def _state(self) -> dict[str, Any]:
        return self._snapshots.state(time.time(), self._controls.workers())

    def _end(self) -> None:
        """The last snapshot, and then the widget goes, unless its page may have a use for it."""
        self._widget.state = self._state()
        self._taken = not self._widget.cell or time.monotonic() - self._begun < LONG_SECONDS
        if self._captured:
            self._leave(self._record.status)
        elif self._useful():
            self._answer()
            self._widget.phase = "ended"
            _kept[self._record.pipeline] = self
            if self._again:
                self._run_again()
        else:
            self._widget.close()

    def _useful(self) -> bool:
        """Whether there is something to run again, or the record may have to be given to a page that comes later."""
        return self._failed() or not self._taken

    def _failed(self) -> bool:
        return self._record.status in ("failed", "cancelled") and self._state()["failed"] > 0

    def _leave(self, status: str) -> None:
        """A run that has ended with this status has taken the view's place."""
        self._widget.send({"kind": "gone", "status": status})
        self._widget.close()

    # hearing, in a thread of the kernel's

    def _hear(self, content: dict[str, Any]) -> None:
        match content:
            case {"kind": "cancel"} if self._widget.phase == "running":
                self._widget.phase = "cancelling"
                self._controls.cancel()
            case {"kind": "again"}:
                self._again = bool(content.get("wanted", True))
                if self._widget.phase == "ended":
                    self._run_again()
            case {"kind": "record"} if not self._taken and self._widget.phase == "ended":
                self._widget.send({"kind": "record", "record": self._bundle(self._record)})
            case {"kind": "taken"} if self._widget.phase == "ended":
                self._taken = True
                if not self._useful() and _kept.get(self._record.pipeline) is self:
                    _kept.pop(self._record.pipeline, None)
                    self._widget.close()
            case {"kind": "watch"}:
                self._watched = content
                self._answered = {}  # what is asked for again has not arrived
                if self._widget.phase == "ended":  # nobody pulses any more
                    self._answer()
            case _:
                pass

    def _answer(self) -> None:
        """Send what is watched and has changed since it was last sent."""
        watched, nodes = self._watched, list(self._record.nodes.values())
        answers: dict[str, Any] = {}
        match watched.get("branch"):
            case [int(number), int(branch)] if 0 <= number < len(nodes) and branch >= 0:
                answers["branch"] = {"node": number, "branch": branch, **branch_details(nodes[number], branch)}
        match watched.get("names"):
            case [int(number), int(start)] if 0 <= number < len(nodes):
                answers["names"] = {"node": number, "start": start, "names": names(nodes[number], start)}
        if watched.get("timeline"):
            answers["timeline"] = lanes(self._record, time.time())
        for kind, answer in answers.items():
            if self._answered.get(kind) != answer:
                self._answered[kind] = answer
                self._widget.send({"kind": kind, **answer})

    def _run_again(self) -> None:
        """Have the failed branches run once more in the kernel's main thread, with the cell's output for its own."""
        ip = shell()
        loop = getattr(getattr(ip, "kernel", None), "io_loop", None)
        if loop is None:
            return
        self._widget.phase = "rerunning"
        context = self._context.copy()

        def work() -> None:
            ip.set_parent(self._parent)
            ip.display_pub.clear_output(wait=True)
            try:
                self._controls.again()
            except (Exception, KeyboardInterrupt):  # noqa: BLE001 (told as a cell's own error is)
                ip.showtraceback()

        loop.add_callback(context.run, work)
