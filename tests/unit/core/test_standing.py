"""How nodes stand: what of them is good or lost, and who is told of their branches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanlab.core.events import Status
from fanlab.core.standing import Fresh, Standing, runs_of


@pytest.fixture
def standing():
    found = Standing()
    for name in ("load", "fit", "score"):
        found.add(name, probe=False)
    return found


def stands(standing, *statuses, settled=False, broken=""):
    state = standing.states["load"]
    state.status, state.settled, state.broken = bytearray(statuses), settled, broken
    return state


@pytest.mark.parametrize("status", list(Status))
def test_a_branch_is_good_with_a_value_and_lost_where_there_will_be_none(standing, status):
    state = stands(standing, status)
    assert state.is_good(0) == (status in (Status.COMPLETED, Status.CACHED))
    assert state.is_lost(0) == (status >= Status.FAILED)


@pytest.mark.parametrize("settled", [False, True])
def test_a_branch_that_is_not_known_is_lost_once_its_node_has_ended(standing, settled):
    state = stands(standing, Status.COMPLETED, settled=settled)
    assert (state.is_good(1), state.is_lost(1)) == (False, settled)


@pytest.mark.parametrize(("settled", "broken", "good"), [(False, "", False), (True, "", True), (True, "load", False)])
def test_a_node_is_good_when_it_has_ended_and_nothing_of_it_is_lost(standing, settled, broken, good):
    state = stands(standing, Status.COMPLETED, settled=settled, broken=broken)
    assert (state.is_good(None), state.is_lost(None)) == (good, bool(broken))


def test_a_loss_is_told_with_the_node_that_is_its_reason(standing):
    stands(standing, Status.COMPLETED, Status.SKIPPED, broken="source")
    assert [standing.lost_because("load", branch) for branch in (0, 1, None)] == ["", "source", "source"]


def test_branches_that_have_ended_are_told_with_why_they_have_no_value(standing):
    stands(standing, Status.CACHED, Status.RUNNING, Status.FAILED, broken="load")
    assert list(standing.ended_branches("load")) == [Fresh(0, 1, ""), Fresh(2, 3, "load")]


def test_only_those_that_grow_by_items_are_told_of_branches_that_ended(standing):
    standing.growers["load"] = {"fit": True, "score": False}
    standing.add_fresh("load", Fresh(0, 2, ""))
    assert list(standing.growable) == ["fit"]
    assert (standing.states["fit"].fresh, standing.states["score"].fresh) == ([Fresh(0, 2, "")], [])


def test_all_that_grow_with_a_node_are_told_of_news(standing):
    standing.growers["load"] = {"fit": True, "score": False}
    standing.let_grow("load")
    assert list(standing.growable) == ["fit", "score"]


def test_who_needs_a_branch_is_kept_apart_from_who_needs_the_whole(standing):
    standing.readers("load", None).append(("fit", None))
    standing.readers("load", 1).append(("score", None))
    assert standing.whole["load"] == [("fit", None)]
    assert standing.single == {("load", 1): [("score", None)]}


@given(st.binary(max_size=40), st.integers(0, 3))
def test_runs_are_exactly_where_the_value_is_and_never_touch(states, wanted):
    found = list(runs_of(states, wanted))
    assert [i for run in found for i in range(*run)] == [i for i, state in enumerate(states) if state == wanted]
    assert all(before[1] < after[0] for before, after in zip(found, found[1:], strict=False))
