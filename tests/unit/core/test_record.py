"""What a run looks like, told by its events alone."""

from __future__ import annotations

import itertools
import random
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlab.core.events import (
    Expanded,
    Failure,
    Finished,
    Logged,
    Lost,
    NodeInfo,
    Progressed,
    RunEnded,
    RunStarted,
    Started,
    Status,
)
from fanlab.core.expand import CALL, Shape
from fanlab.core.record import NodeRecord, Record, call_shape
from fanlab.core.spec import Argument

BOOM = Failure("ValueError", "boom")


def info(name: str, kind: str = "call") -> NodeInfo:
    return NodeInfo(name, name, kind, ("output",), (), ())


def begin(*nodes: NodeInfo) -> RunStarted:
    return RunStarted("f" * 32, "sweep-1", "sweep", {"path": "a.csv"}, nodes, None, 10.0, 4242)


def expanded(node: str, shape: Shape) -> Expanded:
    return Expanded(node, shape, (), 11.0)


def finished(node: str, start: int, *statuses: Status, attempt: int = 1) -> Finished:
    count = len(statuses)
    failures = {start + i: BOOM for i, status in enumerate(statuses) if status == Status.FAILED}
    return Finished(
        node, start, bytes(statuses), attempt, 77,
        array("d", [20.0] * count), array("d", [21.0] * count), array("q", [1024] * count),
        tuple(None if status == Status.FAILED else b"packed" for status in statuses), failures,
    )  # fmt: skip


def told(*events) -> Record:
    record = Record()
    for event in events:
        record.apply(event)
    return record


def looks(record: Record) -> dict:
    """Everything that can be seen of a record."""
    nodes = {
        name: {slot: getattr(node, slot) for slot in NodeRecord.__slots__} | {"overall": node.overall()}
        for name, node in record.nodes.items()
    }
    return {name: value for name, value in vars(record).items() if name != "nodes"} | {"seen": nodes}


GOOD, BAD = Status.COMPLETED, Status.FAILED
EVENTS = [
    begin(info("load"), info("fit", "map"), info("best")),
    expanded("load", CALL),
    Started("load", 0, 1, 77, 20.0),
    Logged("load", 0, "stdout", "reading", 20.1),
    Progressed("load", 0, 1.0, 2.0),
    finished("load", 0, GOOD),
    expanded("fit", Shape(4, ("a", "b", "c", "d"), ((1, 4),))),
    Started("fit", 2, 2, 78, 22.0),
    finished("fit", 2, BAD, GOOD, attempt=2),
    finished("fit", 0, Status.CACHED),
    Lost("fit", 1, 2, Status.CANCELLED, ""),
    expanded("best", CALL),
    Lost("best", 0, 1, Status.SKIPPED, "fit"),
    RunEnded("failed", 30.0),
]


def test_the_same_events_give_the_same_record():
    assert looks(told(*EVENTS)) == looks(told(*EVENTS))


@pytest.mark.parametrize("cut", range(len(EVENTS) + 1))
def test_a_record_taken_up_in_the_middle_ends_the_same(cut):
    record = told(*EVENTS[:cut])

    for event in EVENTS[cut:]:
        record.apply(event)

    assert looks(record) == looks(told(*EVENTS))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_how_branches_are_grouped_into_events_does_not_matter(seed):
    chance = random.Random(seed)
    statuses = [chance.choice([GOOD, BAD, Status.CACHED]) for _ in range(20)]
    cuts = [0, *sorted(chance.sample(range(1, 20), chance.randint(0, 10))), 20]
    parts = [finished("fit", a, *statuses[a:b]) for a, b in itertools.pairwise(cuts)]
    chance.shuffle(parts)
    start = [begin(info("fit", "map")), expanded("fit", Shape(20, None, ((1, 20),)))]

    whole, pieces = told(*start, finished("fit", 0, *statuses)), told(*start, *parts)

    assert looks(whole) == looks(pieces)


def test_a_run_tells_what_it_is():
    record = told(*EVENTS)

    assert (record.id, record.name, record.pipeline) == ("f" * 32, "sweep-1", "sweep")
    assert record.parameters == {"path": "a.csv"}
    assert (record.status, record.start, record.end, record.process) == ("failed", 10.0, 30.0, 4242)


def test_a_run_is_running_until_it_ends():
    record = told(*EVENTS[:-1])

    assert (record.status, record.end) == ("running", 0.0)


def test_a_finished_range_fills_the_columns_of_its_branches_only():
    fit = told(*EVENTS[:9]).nodes["fit"]

    assert list(fit.statuses) == [Status.QUEUED, Status.QUEUED, BAD, GOOD]
    assert list(fit.attempts) == [0, 0, 2, 2]
    assert list(fit.begun) == [0.0, 0.0, 20.0, 20.0]
    assert list(fit.ended) == [0.0, 0.0, 21.0, 21.0]
    assert list(fit.workers) == [0, 0, 77, 77]
    assert list(fit.peaks) == [0, 0, 1024, 1024]
    assert fit.outputs == [None, None, None, b"packed"]
    assert fit.failures == {2: BOOM}


def test_a_started_branch_is_running_with_its_worker_and_attempt():
    fit = told(*EVENTS[:8]).nodes["fit"]

    assert fit.branch_status(2) is Status.RUNNING
    assert (fit.attempts[2], fit.workers[2], fit.begun[2]) == (2, 78, 22.0)


def test_a_start_that_is_told_after_the_end_changes_nothing():
    record = told(*EVENTS[:9])
    record.apply(Started("fit", 3, 2, 79, 30.0))
    fit = record.nodes["fit"]

    assert list(fit.statuses) == [Status.QUEUED, Status.QUEUED, BAD, GOOD]
    assert (fit.workers[3], fit.begun[3]) == (77, 20.0)


def test_a_branch_that_ended_may_start_again_with_the_next_attempt():
    record = told(*EVENTS[:9])
    record.apply(Started("fit", 2, 3, 79, 30.0))

    assert record.nodes["fit"].branch_status(2) is Status.RUNNING


def test_lines_are_kept_in_order_by_branch():
    fit = told(
        begin(info("fit", "map")),
        expanded("fit", Shape(2)),
        Logged("fit", 1, "stdout", "one", 1.0),
        Logged("fit", 0, "stderr", "other", 1.5),
        Logged("fit", 1, "stdout", "two", 2.0),
    ).nodes["fit"]

    assert fit.logs == {1: [("stdout", "one", 1.0), ("stdout", "two", 2.0)], 0: [("stderr", "other", 1.5)]}


def test_the_latest_progress_is_kept():
    events = [begin(info("fit")), expanded("fit", CALL), Progressed("fit", 0, 1.0, 4.0), Progressed("fit", 0, 2.0, 4.0)]

    assert told(*events).nodes["fit"].progress == {0: (2.0, 4.0)}


def test_metadata_of_several_ranges_is_kept_by_branch():
    first, second = finished("fit", 0, GOOD), finished("fit", 1, GOOD)
    first.__class__.__setattr__  # events are frozen: metadata comes with the event
    with_metadata = [
        Finished(e.node, e.start, e.statuses, 1, 1, e.begun, e.ended, e.peaks, e.outputs, {}, {e.start: {"n": e.start}})
        for e in (first, second)
    ]

    fit = told(begin(info("fit", "map")), expanded("fit", Shape(2)), *with_metadata).nodes["fit"]

    assert fit.metadata == {0: {"n": 0}, 1: {"n": 1}}


def test_the_arguments_of_a_fan_out_are_those_told_with_its_branches():
    items = (Argument("x", (1, 2), False, True),)

    fit = told(begin(info("fit", "map")), Expanded("fit", Shape(2), items, 11.0)).nodes["fit"]

    assert (fit.arguments, fit.queued) == (items, 11.0)


# one status for a node


def node_of(*statuses: Status) -> NodeRecord:
    events = [finished("fit", i, status) for i, status in enumerate(statuses) if status != Status.QUEUED]
    return told(begin(info("fit", "map")), expanded("fit", Shape(len(statuses))), *events).nodes["fit"]


Q, R, S, X, K = Status.QUEUED, Status.RUNNING, Status.SKIPPED, Status.CANCELLED, Status.CACHED


@pytest.mark.parametrize(
    ("statuses", "overall"),
    [
        ([GOOD, GOOD], GOOD),
        ([K, K], K),
        ([K, GOOD], GOOD),
        ([Q, Q], Q),
        ([Q, GOOD], R),
        ([Q, K], R),
        ([Q, R], R),
        ([R, GOOD], R),
        ([BAD, R, GOOD], BAD),
        ([BAD, S, X, Q], BAD),
        ([R, X, S], R),
        ([X, S, GOOD], X),
        ([S, GOOD], S),
        ([S, Q, GOOD], S),
        ([], GOOD),
    ],
    ids=lambda value: "-".join(status.word for status in value) or "none" if isinstance(value, list) else "",
)
def test_a_node_has_the_status_that_matters_most(statuses, overall):
    assert node_of(*statuses).overall() is overall


def test_branches_are_counted_by_status():
    node = node_of(GOOD, K, GOOD, BAD)

    assert (node.count(GOOD), node.count(GOOD, K), node.count(BAD), node.count(Q)) == (2, 3, 1, 0)


def test_the_counts_of_a_run_are_the_sums_of_its_nodes():
    assert told(*EVENTS).counts() == {Q: 0, R: 0, GOOD: 2, K: 1, BAD: 1, S: 1, X: 1}


# nodes whose branches never became known


def test_a_node_whose_branches_are_not_known_yet_is_one_queued_row():
    node = told(begin(info("fit", "map"))).nodes["fit"]

    assert (list(node.branches()), node.name(0), node.branch_status(0), node.count(Q)) == ([0], "fit", Q, 1)
    assert node.overall() is Q


@pytest.mark.parametrize("status", [S, X], ids=lambda status: status.word)
def test_a_node_lost_before_its_branches_were_known_is_one_row(status):
    node = told(begin(info("fit", "map")), Lost("fit", 0, None, status, "load")).nodes["fit"]

    assert (list(node.branches()), node.name(0)) == ([0], "fit")
    assert (node.branch_status(0), node.overall(), node.because) == (status, status, "load")
    assert node.branch_failure(0) is None


def test_a_node_that_failed_as_a_whole_has_its_failure_in_its_one_row():
    record = told(begin(info("fit", "map")), Lost("fit", 0, None, BAD, "fit", BOOM))

    assert record.nodes["fit"].branch_failure(0) is BOOM
    assert [(node.info.name, branch, failure) for node, branch, failure in record.failures()] == [("fit", 0, BOOM)]
    assert record.counts()[BAD] == 1


def test_branches_that_are_lost_say_why():
    node = told(*EVENTS).nodes["best"]

    assert (node.branch_status(0), node.because) == (S, "fit")


def test_a_node_without_branches_has_no_rows():
    assert list(node_of().branches()) == []


# order and names


def test_branches_are_walked_in_call_order_however_they_ended():
    record = told(*EVENTS)

    assert [node.name(branch) for node, branch in record.walk()] == [
        "load", "fit[a]", "fit[b]", "fit[c]", "fit[d]", "best",
    ]  # fmt: skip


def test_failures_are_told_in_call_order():
    record = told(
        begin(info("a", "map"), info("b")),
        expanded("b", CALL),
        finished("b", 0, BAD),
        expanded("a", Shape(3)),
        finished("a", 2, BAD),
        finished("a", 0, BAD),
    )

    assert [(node.info.name, branch) for node, branch, _ in record.failures()] == [("a", 0), ("a", 2), ("b", 0)]


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        (Shape(2), ["fit[0]", "fit[1]"]),
        (Shape(2, ("us", "eu")), ["fit[us]", "fit[eu]"]),
        (Shape(1, (("us", 0),)), ["fit[us,0]"]),
        (Shape(2, ("us", "eu"), (), ("0.1", "0.2")), ["fit[0.1]", "fit[0.2]"]),
    ],
    ids=["numbers", "keys", "parts", "labels"],
)
def test_a_branch_bears_its_label_key_or_number(shape, names):
    record = told(begin(info("fit", "map")), expanded("fit", shape))

    assert [node.name(branch) for node, branch in record.walk()] == names


def test_a_plain_call_bears_the_name_of_its_node():
    assert [node.name(branch) for node, branch in told(begin(info("load"))).walk()] == ["load"]


def test_only_a_plain_call_has_a_shape_from_the_start():
    assert (call_shape(info("load")), call_shape(info("fit", "map"))) == (CALL, None)


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (Failure("ValueError", "boom"), "ValueError: boom"),
        (Failure("ValueError", "first\nsecond"), "ValueError: first"),
        (Failure("KeyboardInterrupt", ""), "KeyboardInterrupt"),
    ],
    ids=["plain", "two-lines", "no-message"],
)
def test_a_failure_in_one_line_is_the_last_of_a_traceback(failure, line):
    assert failure.line == line


def test_a_status_is_read_as_a_word():
    assert [status.word for status in Status] == [
        "queued", "running", "completed", "cached", "failed", "skipped", "cancelled",
    ]  # fmt: skip
