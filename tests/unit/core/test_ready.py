"""Ranges of ready branches, tried against a plain list of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanlab import Step
from fanlab.core.ready import Ready
from fanlab.core.trace import trace

MOST = 12
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["put", "put_first", "drop", "take"]), st.integers(0, MOST - 1), st.integers(1, MOST))
)


def of(names):
    """Ready for a graph of steps in a row, each with a branch of the one before."""

    def body():
        found = 1
        for name in names:
            found = Step(lambda x: x, name)(found)
        return found

    ready = Ready(trace("sweep", body, (), {}).graph)
    for name in names:
        ready.add(name)
    return ready


def branches(ready, name):
    return [branch for start, stop in ready.of(name) for branch in range(start, stop)]


@given(ACTIONS)
def test_branches_leave_in_the_order_in_which_they_came(actions):
    ready, model = of(["a"]), list[int]()
    for action, first, count in actions:
        some = [branch for branch in range(first, min(first + count, MOST)) if action == "drop" or branch not in model]
        if action == "put" and len(some) == count:
            ready.put("a", first, first + count)
            model += some
        elif action == "put_first" and first not in model:
            ready.put_first("a", first)
            assert first in range(*ready.of("a")[0])  # beside its neighbours, where they are the first
            model = branches(ready, "a")
        elif action == "drop":
            ready.drop("a", first, first + count)
            model = [branch for branch in model if branch not in some]
        elif action == "take" and model:
            start, stop = ready.take("a", count)
            assert list(range(start, stop)) == model[: stop - start]
            assert 1 <= stop - start <= count
            del model[: stop - start]
        assert branches(ready, "a") == model
        assert ready.next(()) == ("a" if model else None)


def test_the_deepest_node_goes_first():
    ready = of(["a", "b"])
    ready.put("a", 0, 2)
    ready.put("b", 0, 1)
    assert ready.next(()) == "b"
    ready.take("b", 1)
    assert ready.next(()) == "a"


def test_a_blocked_node_is_passed_over_and_not_forgotten():
    ready = of(["a", "b"])
    ready.put("a", 0, 1)
    ready.put("b", 0, 1)
    assert ready.next({"b"}) == "a"
    assert ready.next({"a", "b"}) is None
    assert ready.next(()) == "b"


@pytest.mark.parametrize(("branch", "ranges"), [(4, [(4, 8)]), (8, [(5, 9)]), (2, [(2, 3), (5, 8)])])
def test_a_branch_beside_the_first_range_joins_it(branch, ranges):
    ready = of(["a"])
    ready.put("a", 5, 8)
    ready.put_first("a", branch)
    assert ready.of("a") == ranges


def test_a_range_behind_the_last_joins_it():
    ready = of(["a"])
    ready.put("a", 0, 2)
    ready.put("a", 2, 5)
    assert ready.of("a") == [(0, 5)]


def test_a_node_can_be_cleared():
    ready = of(["a"])
    ready.put("a", 0, 2)
    ready.clear("a")
    assert (ready.of("a"), ready.next(())) == ([], None)
