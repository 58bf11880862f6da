"""What a pipeline would do if it were called now: its body is traced, and the store is asked."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import TYPE_CHECKING, NoReturn

from .calling import Order
from .core.events import Status
from .core.expand import Shape
from .core.graph import need
from .core.pending import Pending
from .core.plan import Forecast, NodePlan, grouped
from .core.record import NodeRecord, Record
from .core.schedule import Schedule
from .core.trace import Trace, trace
from .execute.foresight import NoRoom, OnlyRead
from .execute.runner import Job, Runner
from .reasons import Reasons
from .runs import Run
from .store.database import shared

if TYPE_CHECKING:
    import graphviz

_MOST_COMPARED = 1000  # branches of a node whose reasons are told one by one


class Plan:
    """What a run would do. Its text says of each node whether it is cached or would run, and why."""

    def __init__(self, forecast: Forecast, record: Record) -> None:
        self._forecast, self._record = forecast, record

    @property
    def pipeline(self) -> str:
        """The name of the pipeline."""
        return self._forecast.pipeline

    @property
    def nodes(self) -> dict[str, NodePlan]:
        """What is known of each node in call order, by name."""
        return {node.name: node for node in self._forecast.nodes}

    @property
    def seconds(self) -> float | None:
        """About how long it would take, from earlier runs; None where nobody knows."""
        return self._forecast.seconds

    @property
    def dag(self) -> graphviz.Digraph:
        """The graph; a fan-out is one node with its count."""
        from .show.layout import digraph

        return digraph(self._record)

    def __repr__(self) -> str:
        return self._forecast.text

    def _repr_html_(self) -> str:
        from .show.plan import plan_html

        return plan_html(self._forecast, self._record)


class _Stopped(BaseException):
    """The body waits for a value that only a run can give."""


class _Body:
    """Stands for the run while a body is traced: there are values of what is in the store only."""

    def __init__(self, order: Order, workers: int) -> None:
        self._order, self._workers = order, workers
        self.stopped = ""
        self.record, self.store = Record(), OnlyRead(shared())
        self.schedule: Schedule | None = None

    def load(self, traced: Trace, value: Pending) -> NoReturn:
        """Stop here."""
        self.stopped = need(value)[0]
        self.look(traced, whole=False)
        raise _Stopped

    def shape(self, node: str) -> Shape | None:  # noqa: ARG002
        """Nothing has run."""
        return None

    def look(self, traced: Trace, *, whole: bool) -> None:
        """Find what the store has of what has been recorded; the schedule says what is left."""
        order, store = self._order, self.store
        run = Run(self.record, store)
        job = Job(uuid.uuid4().hex, order.name, order.name, order.parameters, traced, stop_on_failure=False)
        runner = Runner(
            job, store, self.record, lambda *_: NoRoom(self._workers), [], None, run._table,
            order.fresh_of(traced, whole=whole),
        )  # fmt: skip
        self.schedule = runner.foresee()


def plan(order: Order, workers: int) -> Plan:
    """The plan of an order. Raises what its body raises."""
    __tracebackhide__ = True
    body = _Body(order, workers)
    try:
        traced = trace(order.name, order.body, order.args, order.kwargs, order.enable_cache, body)
        body.look(traced, whole=True)
    except _Stopped:
        pass
    reasons = Reasons(body.record, body.store)
    nodes = tuple(_planned(body.record, node, body.schedule, reasons) for node in body.record.nodes.values())
    return Plan(Forecast(order.name, nodes, workers, body.stopped), body.record)


def _planned(record: Record, node: NodeRecord, schedule: Schedule | None, reasons: Reasons) -> NodePlan:
    name, calls = node.info.name, record.calls(node.info.name)
    if node.failure is not None:
        return NodePlan(name, node.info.step, 0, 0, 0, (), (), None, node.failure.line)
    if node.passes_on:
        return NodePlan(name, node.info.step, 1, 0, 0, (), (), None, passes_on=True)
    known = node.shape is not None and not node.growing
    size = len(calls.statuses) if known else None
    cached = calls.count(Status.CACHED) if node.shape is not None else 0
    ranges = schedule.ready(name) if known and schedule is not None else []
    ready = [branch for start, stop in ranges for branch in range(start, stop)]
    told = Counter(reasons.cause(node, branch if node.inner is None else 0).words for branch in ready[:_MOST_COMPARED])
    waits: tuple[str, ...] = ()
    if size is None or cached + len(ready) < size:
        waits = tuple(source for source in node.info.needs if not _settled(record, source)) or (name,)
    left = (size if size is not None else 1) - cached
    mean = _mean_seconds(reasons, name) if left else None
    return NodePlan(
        name, node.info.step, size, cached, len(ready), grouped(list(told.elements())), waits,
        mean * left if mean is not None else None,
    )  # fmt: skip


def _settled(record: Record, name: str) -> bool:
    """Whether all of a node is in the store."""
    calls = record.calls(name)
    if calls.passes_on:
        return calls.overall() is Status.COMPLETED
    return calls.shape is not None and calls.count(Status.CACHED) == len(calls.statuses)


def _mean_seconds(reasons: Reasons, name: str) -> float | None:
    """How long a branch of a node took in the latest earlier run in which some ran."""
    for record in reasons.runs():
        if name not in record.nodes:
            continue
        node = record.calls(name)
        times = [end - begin for begin, end in zip(node.begun, node.ended, strict=True) if begin and end]
        if times:
            return sum(times) / len(times)
    return None
