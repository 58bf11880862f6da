"""What the page may ask for of a branch: complete where it is small, and always bounded."""

import json
from array import array

import pytest

from fanlab import pipeline, step
from fanlab.core.events import Expanded, Finished, Logged, NodeInfo, RunEnded, RunStarted, Status
from fanlab.core.expand import Shape
from fanlab.core.record import Record
from fanlab.errors import PipelineError
from fanlab.show.details import branch_details, lanes, names


@step
def fit(alpha, word="w"):
    print("fitting", alpha)
    if alpha == 13:
        raise ValueError("unlucky <b>13</b>")
    return alpha


def run_of(*args, **kwargs):
    @pipeline(backend="sequential")
    def sweep():
        return fit.map(*args, **kwargs)

    try:
        return sweep()._record
    except PipelineError as error:
        return error.run._record


def detail(record, branch, node="fit"):
    return branch_details(record.nodes[node], branch)


def test_a_branch_has_its_name_arguments_times_and_lines():
    found = detail(run_of([1, 2], word=["a", "b"]), 1)
    assert (found["name"], found["status"], found["attempts"]) == ("fit[1]", "completed", 1)
    assert found["arguments"] == [["alpha", "2"], ["word", "'b'"]]
    assert 0 < found["begun"] <= found["ended"]
    assert found["log"] == {"count": 1, "lines": [["stdout", "fitting 2"]]}


def test_a_branch_that_failed_has_the_lines_round_the_one_that_raised():
    found = detail(run_of([13]), 0)
    assert found["error"]["line"] == "ValueError: unlucky <b>13</b>"
    (frame,) = found["error"]["frames"]
    assert frame["function"] == "fit"
    assert dict(frame["lines"])[frame["line"]] == '        raise ValueError("unlucky <b>13</b>")'
    assert [number for number, _ in frame["lines"]] == [frame["line"] + offset for offset in (-2, -1, 0, 1)]


def test_the_details_can_be_sent_as_json():
    json.dumps(detail(run_of([13]), 0))


def test_a_branch_that_is_not_known_yet_is_told_by_its_node():
    record = run_of([1])
    record.nodes["fit"].shape = None
    assert detail(record, 5)["name"] == "fit"


def test_of_many_lines_the_last_are_kept_and_all_counted():
    record = run_of([1])
    for number in range(5_000):
        record.apply(Logged("fit", 0, "stdout", f"line {number}", 0.0))
    log = detail(record, 0)["log"]
    assert log["count"] == 5_001
    assert log["lines"][-1] == ["stdout", "line 4999"]
    assert len(log["lines"]) == 200


@pytest.mark.parametrize("text", ["x" * 10_000_000, "\x1b[0m" * 2_000_000, "\r" * 5_000_000, "🦊" * 3_000_000])
def test_a_line_of_10_mb_is_cut(text):
    record = run_of([1])
    for _ in range(50):
        record.apply(Logged("fit", 0, "stdout", text, 0.0))
    assert len(json.dumps(detail(record, 0), ensure_ascii=False)) < 100_000


def test_a_line_that_was_written_over_shows_what_stands_there_last():
    record = run_of([1])
    record.apply(Logged("fit", 0, "stderr", "10%\r50%\r100%", 0.0))
    assert detail(record, 0)["log"]["lines"][-1] == ["stderr", "100%"]


def test_long_arguments_and_errors_are_cut():
    @step
    def long(text):
        raise ValueError(text)

    @pipeline(backend="sequential")
    def sweep():
        long.map(["y" * 1_000_000])

    with pytest.raises(PipelineError) as caught:
        sweep()
    found = branch_details(caught.value.run._record.nodes["long"], 0)
    assert len(json.dumps(found)) < 10_000


def test_names_are_those_of_the_keys():
    assert names(run_of({"us": 1, "eu": 2}).nodes["fit"], 0) == ["us", "eu"]


def test_names_come_in_bounded_parts():
    record = run_of({f"k{number}": number for number in range(3_000)})
    assert names(record.nodes["fit"], 2_990) == [f"k{number}" for number in range(2_990, 3_000)]
    assert len(names(record.nodes["fit"], 0)) == 2_000


def test_branches_that_are_numbered_need_no_names():
    assert names(run_of([1, 2]).nodes["fit"], 0) is None


def test_the_timeline_has_a_lane_for_each_worker_with_every_branch_in_it():
    record = run_of(range(500))
    told = lanes(record, record.end)
    assert len(told["lanes"]) == 1
    ((_, (lane,)),) = told["lanes"]
    assert sum(bar[4] for bar in lane) == 500


def test_short_branches_side_by_side_are_one_bar():
    record = run_of(range(5_000))
    assert len(json.dumps(lanes(record, record.end))) < 40_000


def test_a_failed_branch_marks_its_bar():
    record = run_of([1, 13])
    assert any(bar[3] for _, own in lanes(record, record.end)["lanes"] for lane in own for bar in lane)


def ran(*bars):
    """The record of a run that began at 100 and ended at 110; bars are (process, start, seconds, status)."""
    record = Record()
    record.apply(RunStarted("1", "s-1", "s", {}, (NodeInfo("fit", "fit", "map", ("output",), (), ()),), None, 100.0, 1))
    record.apply(Expanded("fit", Shape(len(bars)), (), 100.0))
    for branch, (worker, start, seconds, status) in enumerate(bars):
        times = array("d", [100.0 + start]), array("d", [100.0 + start + seconds])
        record.apply(Finished("fit", branch, bytes([status]), 1, worker, *times, array("q", [0]), (None,), {}))
    record.apply(RunEnded("completed", 110.0))
    return [[[bar[1:3] for bar in lane] for lane in own] for _, own in lanes(record, 0)["lanes"]]


DONE = Status.COMPLETED


def test_what_one_process_runs_at_once_is_in_lanes_of_their_own():
    assert ran((7, 0, 4, DONE), (7, 1, 4, DONE), (7, 4, 2, DONE)) == [[[[0, 4], [4, 2]], [[1, 4]]]]


def test_short_branches_of_two_threads_are_one_bar_a_lane():
    many = [(7, 0.001 * (number // 2), 0.001, DONE) for number in range(10_000)]
    ((one, other),) = ran(*many)
    assert (len(one), len(other)) == (1, 1)
    assert one[0] == pytest.approx([0, 5], abs=0.01)


def test_what_was_taken_over_is_in_no_lane():
    assert ran((7, -50, 5, Status.CACHED), (7, -50, 5, DONE), (7, 1, 2, DONE)) == [[[[1, 2]]]]


def test_a_worker_whose_clock_is_behind_begins_at_the_start():
    assert ran((7, -1, 3, DONE)) == [[[[0, 2]]]]
