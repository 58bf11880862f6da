"""Where two runs differ: branches by name, with what differs."""

import numpy as np
import pytest

from fanlab import pipeline, step
from fanlab.client import Client

here = pipeline(backend="sequential")


@step
def double(x):
    if x < 0:
        raise ValueError("negative")
    return 2 * x


@step
def total(values):
    return np.full(20_000, sum(values))


@here
def sweep(xs):
    return total(double.map(xs))


def rows(frame):
    return {name: row.dropna().to_dict() for name, row in frame.iterrows()}


def test_equal_runs_do_not_differ():
    frame = sweep([1, 2]).diff(sweep([1, 2]))
    assert len(frame) == 0
    assert list(frame) == [
        "step", "differs", "arguments", "arguments_other", "output", "output_other", "status", "status_other",
    ]  # fmt: skip


def test_each_branch_that_differs_is_a_row():
    before, now = sweep([1, 2]), sweep([1, 3, 4])
    found = rows(now.diff(before))
    assert found["double[1]"] == {
        "step": "double", "differs": "arguments, outputs", "arguments": "x=3", "arguments_other": "x=2",
        "output": "6", "output_other": "4", "status": "completed", "status_other": "completed",
    }  # fmt: skip
    assert found["double[2]"]["differs"] == "only here"
    assert found["total"]["differs"] == "arguments, outputs"
    assert found["total"]["output"].startswith("numpy.ndarray ")
    assert "double[0]" not in found
    assert rows(before.diff(now))["double[2]"]["differs"] == "only in the other"


def test_a_failure_is_a_difference():
    good = sweep([1])
    with pytest.raises(RuntimeError) as caught:
        sweep([-1])
    found = rows(caught.value.run.diff(good))
    assert found["double[0]"]["status"] == "failed"
    assert found["double[0]"]["differs"] == "arguments, outputs, status"
    assert found["total"]["status"] == "skipped"


def test_other_code_is_a_difference():
    def runs(text):
        space = {"step": step, "here": here}
        exec(f"@step\ndef one():\n    return {text}\n@here\ndef p():\n    return one()\n", space)
        return space["p"]()

    assert rows(runs("int(1)").diff(runs("1")))["one"]["differs"] == "code"


def test_runs_read_from_the_store_can_be_compared():
    before, now = sweep([1]), sweep([2])
    client = Client()
    assert rows(client.get_pipeline_run(now.name).diff(client.get_pipeline_run(before.name))) == rows(now.diff(before))
