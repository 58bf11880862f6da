"""A combine cell as a run of one node, which names the run whose results it has seen and is drawn behind it."""

from __future__ import annotations

import os
import time
import uuid
from array import array
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from ..core.events import Combined, Event, Expanded, Failure, Finished, Logged, NodeInfo, RunEnded, RunStarted, Status
from ..core.expand import CALL
from ..core.seal import Ref
from ..errors import NotFound, listed, near
from ..execute.failure import failure_of
from ..runs import Run
from ..store.codecs import pack, type_name
from .copied import copied

if TYPE_CHECKING:
    import pandas as pd


def rows_of(run: Run, step: str | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The results that a combine cell sees, and the nodes that it is drawn behind.

    With `step`: the rows of its calls, or of the node of this name. Raises NotFound with the nearest names.
    """
    nodes = run._record.nodes
    if step is None:
        read = {need for node in nodes.values() for need in node.info.needs}
        return run.results, tuple(name for name in nodes if name not in read)
    found = tuple(name for name, node in nodes.items() if node.info.step == step) or (step,)
    if step not in nodes and found == (step,):
        known = dict.fromkeys([*(node.info.step for node in nodes.values()), *nodes])
        raise NotFound(
            f"run '{run.name}' has no step '{step}'", do=near(step, known) or f"its steps are {listed(known)}"
        )
    return run._rows(found), found


def combine(name: str, run: Run, nodes: Collection[str], step: str | None, call: Callable[[], Any]) -> Any:
    """Call `call`, record it as the run of a node `name` that has read `run`, and return its value."""
    __tracebackhide__ = True
    cell = _Cell(name, run, step)
    lines: list[Event] = []
    status, failure = Status.CANCELLED, None
    value: Any = None
    begun = time.time()
    try:
        with copied(lambda stream, line: lines.append(Logged(name, 0, stream, line, time.time()))):
            value = call()
        status = Status.COMPLETED
    except Exception as error:
        status, failure = Status.FAILED, failure_of(error)
        raise
    finally:
        cell.end(status, begun, value, failure, lines)
        run._note(Combined(name, cell.run, tuple(nodes), status))
    return value


class _Cell:
    """What is recorded of one combine cell."""

    def __init__(self, name: str, run: Run, step: str | None) -> None:
        self._name, self._store, self._id = name, run._store, uuid.uuid4().hex
        self.run = self._store.run_name(name)
        parameters = {"results": run.name} if step is None else {"results": run.name, "step": step}
        node = NodeInfo(name, name, "call", ("output",), (), ())
        now = time.time()
        self._write(
            RunStarted(
                self._id, self.run, name, parameters, (node,), Ref(name, None, None), now, os.getpid(), run.name
            ),
            Expanded(name, CALL, (), now),
        )

    def end(
        self, status: Status, begun: float, value: Any, failure: Failure | None, lines: Sequence[Event] = ()
    ) -> None:
        """Keep what became of it, and what it has printed."""
        outputs, events = None, list(lines)
        if status is Status.COMPLETED:
            try:
                outputs = pack({"output": self._store.artifacts.put(value, f"of '{self._name}'")})
            except Exception as error:  # noqa: BLE001 (a figure, say: the cell has it, the store does not)
                text = f"the value, of type {type_name(value)}, cannot be stored: {error}"
                events.append(Logged(self._name, 0, "warning", text, time.time()))
        finished = Finished(
            self._name, 0, bytes([status]), 1, os.getpid(), array("d", [begun]), array("d", [time.time()]),
            array("q", [0]), (outputs,), {0: failure} if failure is not None else {},
        )  # fmt: skip
        self._write(*events, finished, RunEnded(status.word, time.time()))

    def _write(self, *events: Event) -> None:
        self._store.write(self._id, events)
