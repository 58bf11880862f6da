"""What the live view's page gets of a record: small, whole, and without a false promise."""

import json
from array import array

import pytest

from fanlab.core.events import (
    Expanded,
    Failure,
    Finished,
    Lost,
    NodeInfo,
    Progressed,
    RunEnded,
    RunStarted,
    Started,
    Status,
)
from fanlab.core.expand import CALL, Shape
from fanlab.core.record import Record
from fanlab.show.snapshot import Snapshots


def info(name, kind="map", needs=()):
    return NodeInfo(name, name, kind, ("output",), (), needs)


def started(*nodes):
    record = Record()
    record.apply(RunStarted("1" * 32, "sweep-1", "sweep", {}, nodes, None, 1000.0, 1))
    return record


def expand(record, name, size):
    record.apply(Expanded(name, CALL if record.nodes[name].info.kind == "call" else Shape(size), (), 1000.0))


def finish(record, name, start, statuses, seconds=1.0, begun=1001.0):
    count = len(statuses)
    failures = {start + i: Failure("ValueError", "no") for i, status in enumerate(statuses) if status is Status.FAILED}
    record.apply(
        Finished(
            name, start, bytes(statuses), 1, 77, array("d", [begun] * count), array("d", [begun + seconds] * count),
            array("q", [0] * count), (None,) * count, failures,
        )
    )  # fmt: skip


@pytest.fixture
def wide():
    record = started(info("load", "call"), info("fit", needs=("load",)))
    expand(record, "load", 1)
    expand(record, "fit", 10_000)
    return record


def test_equal_branches_side_by_side_are_one_letter_and_a_number(wide):
    finish(wide, "fit", 0, [Status.COMPLETED] * 5 + [Status.FAILED] + [Status.CACHED])
    record_of_fit = Snapshots(wide).state(1010.0)["nodes"][1]
    assert record_of_fit[:2] == [10_000, "d5fhq9993"]


def test_letters_are_the_same_whether_worked_out_at_once_or_as_branches_end(wide):
    seen = Snapshots(wide)
    assert seen.state(1010.0)["nodes"][1][1] == "q10000"
    for start in (0, 4_000, 8_191, 4_096, 500):  # also over the end of a block, and back in an earlier one
        finish(wide, "fit", start, [Status.COMPLETED] * 200 + [Status.FAILED])
        assert seen.state(1010.0) == Snapshots(wide).state(1010.0)
    assert seen.state(1010.0)["nodes"][1][1] == "d200fq299d200fq3299d296fq3894d200fq1608"
    finish(wide, "fit", 0, [Status.COMPLETED] * 10_000)
    assert seen.state(1010.0)["nodes"][1][1] == "d10000"


def test_ten_thousand_branches_that_all_differ_take_less_than_20_kb(wide):
    finish(wide, "fit", 0, [Status.COMPLETED, Status.FAILED] * 5_000)
    assert len(json.dumps(Snapshots(wide).state(1010.0))) < 20_000


def test_ten_thousand_branches_of_which_many_run_take_less_than_20_kb(wide):
    finish(wide, "fit", 0, [Status.COMPLETED, Status.CACHED, Status.QUEUED] * 3_333)
    for branch in range(9_000, 9_064):
        wide.apply(Started("fit", branch, 1, branch, 1001.0))
    assert len(json.dumps(Snapshots(wide).state(1010.0))) < 20_000


def test_the_same_record_gives_the_same_state_however_often_it_is_asked(wide):
    finish(wide, "fit", 0, [Status.COMPLETED] * 50)
    seldom, often = Snapshots(wide), Snapshots(wide)
    for _ in range(3):
        often.state(1010.0, 2)
    finish(wide, "fit", 50, [Status.COMPLETED] * 50)
    assert often.state(1011.0, 2) == seldom.state(1011.0, 2)


def test_a_node_whose_branches_are_not_known_has_no_size():
    record = started(info("load", "call"), info("fit"))
    assert [row[:2] for row in Snapshots(record).state(1010.0)["nodes"]] == [[None, "q"], [None, "q"]]


def test_a_node_that_was_skipped_as_a_whole_says_so():
    record = started(info("fit"))
    record.apply(Lost("fit", 0, None, Status.SKIPPED, "load"))
    assert Snapshots(record).state(1010.0)["nodes"][0][:2] == [None, "s"]


def test_a_node_has_times_from_its_first_branch_to_its_last(wide):
    snapshots = Snapshots(wide)
    finish(wide, "fit", 0, [Status.COMPLETED] * 4_000, begun=1003.0)
    assert snapshots.state(1010.0)["nodes"][1][2:4] == [1003.0, 0.0]
    finish(wide, "fit", 4_000, [Status.COMPLETED] * 6_000, begun=1007.0)
    assert snapshots.state(1010.0)["nodes"][1][2:4] == [1003.0, 1008.0]


def test_a_call_that_tells_its_progress_has_a_share():
    record = started(info("load", "call"))
    expand(record, "load", 1)
    record.apply(Started("load", 0, 1, 7, 1001.0))
    record.apply(Progressed("load", 0, 3.0, 4.0))
    assert Snapshots(record).state(1010.0)["nodes"][0][4] == 0.75


def test_there_is_no_estimate_before_three_branches_are_done(wide):
    snapshots = Snapshots(wide)
    finish(wide, "fit", 0, [Status.COMPLETED] * 2)
    assert snapshots.state(1010.0, 2)["left"] is None


def test_the_estimate_is_the_median_times_what_is_left_shared_by_the_workers():
    record = started(info("fit"))
    expand(record, "fit", 13)
    finish(record, "fit", 0, [Status.COMPLETED], seconds=100.0, begun=1.0)
    finish(record, "fit", 1, [Status.COMPLETED] * 2, seconds=4.0)
    assert Snapshots(record).state(1010.0, 5)["left"] == pytest.approx(10 * 4.0 / 5)


def test_calls_that_are_done_count_for_the_estimate_of_those_that_are_not():
    names = [f"call_{number}" for number in range(5)]
    record = started(*(info(name, "call") for name in names))
    for name in names:
        expand(record, name, 1)
    for name in names[:3]:
        finish(record, name, 0, [Status.COMPLETED], seconds=2.0)
    assert Snapshots(record).state(1010.0, 1)["left"] == pytest.approx(4.0)


def test_what_a_running_branch_has_done_already_is_no_more_to_do():
    record = started(info("fit"))
    expand(record, "fit", 4)
    finish(record, "fit", 0, [Status.COMPLETED] * 3, seconds=4.0)
    record.apply(Started("fit", 3, 1, 7, 1009.0))
    assert Snapshots(record).state(1010.0, 1)["left"] == pytest.approx(3.0)


def test_a_run_that_has_ended_has_nothing_left(wide):
    finish(wide, "fit", 0, [Status.COMPLETED] * 10_000)
    wide.apply(RunEnded("completed", 1020.0))
    state = Snapshots(wide).state(1030.0, 2)
    assert (state["left"], state["ended"], state["status"]) == (None, 1020.0, "completed")


def test_the_first_failures_are_told_and_all_are_counted(wide):
    finish(wide, "fit", 0, [Status.COMPLETED] + [Status.FAILED] * 500)
    state = Snapshots(wide).state(1010.0)
    assert state["failures"] == [[1, branch, f"fit[{branch}]", "ValueError: no"] for branch in (1, 2, 3)]
    assert state["failed"] == 500


def test_busy_counts_the_branches_that_run(wide):
    wide.apply(Started("fit", 0, 1, 7, 1001.0))
    wide.apply(Started("fit", 1, 1, 8, 1001.0))
    state = Snapshots(wide).state(1010.0, 4)
    assert (state["busy"], state["workers"]) == (2, 4)


def test_the_graph_has_a_place_for_each_node_and_a_line_for_each_need(wide):
    graph = Snapshots(wide).graph()
    assert [node["name"] for node in graph["nodes"]] == ["load", "fit"]
    assert [edge[:2] for edge in graph["edges"]] == [[0, 1]]
    assert graph["nodes"][0]["at"][0] < graph["nodes"][1]["at"][0]


def test_a_graph_that_grows_keeps_the_numbers_of_its_nodes(wide):
    snapshots = Snapshots(wide)
    before = snapshots.graph()
    node = type(wide.nodes["fit"])(info("report", "call", ("fit",)))
    wide.nodes["report"] = node
    after = snapshots.graph()
    assert [node["name"] for node in after["nodes"]] == [node["name"] for node in before["nodes"]] + ["report"]
    assert len(snapshots.state(1010.0)["nodes"]) == 3


def test_nodes_are_listed_after_what_they_wait_for():
    record = started(info("late", "call", ("early",)), info("early", "call"))
    assert Snapshots(record).graph()["order"] == [1, 0]


def test_names_of_users_hold_no_terminal_codes():
    record = started(info("\x1b[31mred\x1b[0m\u202e", "call"))
    assert Snapshots(record).graph()["nodes"][0]["name"] == "red\\u202e"
