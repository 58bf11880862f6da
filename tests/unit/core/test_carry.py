"""What a run may take over from an earlier one: finished branches whose function, arguments and inputs are the same."""

from array import array

import pytest

from fanlab.core.carry import Carried
from fanlab.core.events import Expanded, Finished, NodeInfo, RunStarted, Status
from fanlab.core.expand import CALL
from fanlab.core.record import Record
from fanlab.core.spec import Step
from fanlab.core.trace import trace

GOOD, BAD, GONE = Status.COMPLETED, Status.FAILED, Status.CANCELLED


def work(x):
    return x


def other(x, y=0):
    return x, y


WORK, AFTER = Step(work, "work"), Step(work, "after")


def played(body, statuses=None, enable_cache=False):
    """A record and graph of a body whose nodes ended with these statuses; without them it has just begun."""
    traced = trace("sweep", body, (), {}, enable_cache)
    record = Record()
    infos = tuple(
        NodeInfo(name, node.step.name, node.kind, node.outputs, node.arguments, ())
        for name, node in traced.graph.nodes.items()
    )
    record.apply(RunStarted("id", "sweep-1", "sweep", {}, infos, None, 0.0, 1))
    for name, node in traced.graph.nodes.items():
        shape = traced.shapes.get(name) or CALL
        record.apply(Expanded(name, shape, node.arguments, 0.0))
        for branch, status in enumerate((statuses or {}).get(name, ())):
            output = f"{name}{branch}".encode() if status is GOOD else None
            stamp = array("d", [1.0 + branch])
            record.apply(
                Finished(
                    name, branch, bytes([status]), 1, 77, stamp, stamp, array("q", [5]), (output,), {},
                    {branch: {"note": branch}} if status is GOOD else {},
                )
            )  # fmt: skip
    return record, traced


def carried(before, now, statuses, enable_cache=False):
    """What the second body takes over from the first, by node."""
    earlier, earlier_trace = played(before, statuses)
    record, traced = played(now, enable_cache=enable_cache)
    carrying = Carried(earlier, earlier_trace.graph, record, traced.graph)
    return {name: carrying.branches(name, traced.shapes.get(name) or CALL) for name in traced.graph.nodes}


def test_a_completed_call_is_taken_over_with_what_is_known_of_it():
    def body():
        WORK(1)

    (found,) = carried(body, body, {"work": [GOOD]})["work"].values()
    assert found.statuses == bytes([Status.CACHED])
    assert found.outputs == (b"work0",)
    assert (list(found.begun), list(found.ended), found.worker, list(found.peaks)) == ([1.0], [1.0], 77, [5])
    assert found.metadata == {0: {"note": 0}}


def test_only_finished_branches_are_taken_over():
    def body():
        WORK.map([1, 2, 3, 4])

    found = carried(body, body, {"work": [GOOD, BAD, GONE, Status.CACHED]})["work"]
    assert sorted(found) == [0, 3]


def test_what_an_earlier_run_did_not_have_is_not_taken_over():
    def before():
        WORK(1)

    def now():
        WORK(1)
        AFTER(2)

    found = carried(before, now, {"work": [GOOD]})
    assert sorted(found["work"]) == [0]
    assert found["after"] == {}


def test_other_literal_arguments_are_other_work():
    def before():
        WORK(1)

    def now():
        WORK(2)

    assert carried(before, now, {"work": [GOOD]})["work"] == {}


@pytest.mark.parametrize(("was", "now"), [(1, 1.0), (1, True), ("1", 1), ([1], (1,))])
def test_equal_arguments_of_other_types_are_other_work(was, now):
    assert carried(lambda: WORK(was), lambda: WORK(now), {"work": [GOOD]})["work"] == {}


def test_another_function_of_the_same_name_is_other_work():
    def before():
        WORK(1)

    def now():
        Step(other, "work")(1)

    assert carried(before, now, {"work": [GOOD]})["work"] == {}


def test_another_number_of_branches_is_other_work():
    def before():
        WORK.map([1, 2])

    def now():
        WORK.map([1, 2, 3])

    assert carried(before, now, {"work": [GOOD, GOOD]})["work"] == {}


def test_other_keys_are_other_work():
    def before():
        WORK.map({"a": 1, "b": 2})

    def now():
        WORK.map({"a": 1, "c": 2})

    assert carried(before, now, {"work": [GOOD, GOOD]})["work"] == {}


def test_what_depends_on_other_work_is_other_work():
    def before():
        AFTER(WORK(1))

    def now():
        AFTER(WORK(2))

    assert carried(before, now, {"work": [GOOD], "after": [GOOD]}) == {"work": {}, "after": {}}


def test_nothing_is_taken_over_of_a_node_that_is_looked_up_by_its_key():
    def body():
        WORK(1)

    assert carried(body, body, {"work": [GOOD]}, enable_cache=True)["work"] == {}


def test_what_depends_on_the_same_work_is_taken_over():
    def body():
        AFTER(WORK(1))

    found = carried(body, body, {"work": [GOOD], "after": [GOOD]})
    assert [sorted(branches) for branches in found.values()] == [[0], [0]]


def test_a_map_over_branches_is_taken_over_branch_by_branch():
    def body():
        AFTER.map(WORK.map([1, 2, 3]))

    found = carried(body, body, {"work": [GOOD, BAD, GOOD], "after": [GOOD, GONE, BAD]})
    assert {name: sorted(branches) for name, branches in found.items()} == {"work": [0, 2], "after": [0]}
