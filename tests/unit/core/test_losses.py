"""How losses spread: to exactly those that need what is lost."""

import pytest

from fanlab.core.events import Status
from fanlab.core.expand import Shape
from fanlab.core.graph import Link
from fanlab.core.losses import Dropped, Losses
from fanlab.core.standing import COUNT, Fresh, Standing


@pytest.fixture
def standing():
    return Standing()


@pytest.fixture
def told():
    """The nodes that were settled or completed, in order."""
    return []


@pytest.fixture
def losses(standing, told):
    def settle(name):
        standing.states[name].settled = True
        told.append(("settled", name))

    return Losses(standing, settle, lambda name: told.append(("complete", name)))


@pytest.fixture
def add(standing):
    def add(name, size=None):
        standing.add(name, probe=False)
        if size is not None:
            state = standing.states[name]
            state.shape, state.left = Shape(size, strides=((1, size),)), size
            state.status = bytearray(size)

    return add


def test_a_lost_branch_takes_along_the_branch_that_is_made_of_it(losses, standing, add):
    add("fit", 3)
    add("score", 3)
    standing.links["fit"].append(("score", Link("fit", 0)))
    losses.branch("fit", 1, "load")
    assert losses.dropped == [
        Dropped("fit", 1, 2, Status.SKIPPED, "load"),
        Dropped("score", 1, 2, Status.SKIPPED, "load"),
    ]


def test_a_branch_that_runs_is_not_dropped(losses, standing, add):
    add("fit", 2)
    standing.states["fit"].status[0] = Status.RUNNING
    losses.branch("fit", 0, "load")
    assert losses.dropped == []


def test_a_failed_branch_takes_along_whoever_needs_the_whole_node(losses, standing, add):
    add("fit", 2)
    add("report", 1)
    standing.whole["fit"].append(("report", None))
    losses.ended("fit", 0)
    assert losses.dropped == [Dropped("report", 0, 1, Status.SKIPPED, "fit")]
    assert standing.states["fit"].broken == "fit"


def test_who_needs_the_whole_node_is_dropped_once(losses, standing, add):
    add("fit", 2)
    add("report", 1)
    standing.whole["fit"].append(("report", None))
    losses.ended("fit", 0)
    losses.ended("fit", 1)
    assert len(losses.dropped) == 1


def test_who_needs_another_branch_stays(losses, standing, add):
    add("fit", 2)
    add("report", 1)
    standing.readers("fit", 1).append(("report", None))
    losses.ended("fit", 0)
    assert losses.dropped == []


def test_branches_behind_a_failed_first_one_are_not_tried(losses, standing, add, told):
    add("fit", 3)
    standing.states["fit"].status[0], standing.states["fit"].left = Status.FAILED, 2
    losses.behind_probe("fit")
    assert losses.dropped == [Dropped("fit", i, i + 1, Status.SKIPPED, "fit") for i in (1, 2)]
    assert told == [("settled", "fit")]


def test_a_node_whose_number_can_never_be_known_is_dropped_whole_and_all_that_count_by_it(losses, standing, add, told):
    for name in ("items", "fit", "score"):
        add(name)
    standing.whole["items"].append(("fit", COUNT))
    standing.sized["fit"].append("score")
    losses.node("items", "load", Status.SKIPPED)
    assert losses.dropped == [Dropped(name, 0, None, Status.SKIPPED, "load") for name in ("items", "fit", "score")]
    assert told == [("settled", "items"), ("settled", "fit"), ("settled", "score")]


def test_a_node_that_was_growing_gets_no_more_branches(losses, standing, add, told):
    add("fit", 2)
    standing.states["fit"].growing = True
    losses.node("fit", "load", Status.SKIPPED)
    assert not standing.states["fit"].growing
    assert told == [("complete", "fit"), ("settled", "fit")]


def test_those_that_grow_by_the_items_of_a_lost_branch_are_told(losses, standing, add):
    add("fit", 2)
    add("score")
    standing.growers["fit"]["score"] = True
    losses.branch("fit", 0, "load")
    assert standing.states["score"].fresh == [Fresh(0, 1, "load")]
