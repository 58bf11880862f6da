"""Trees, groups and rows of items: both directions of each join agree, whatever the size."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanlab.core.blocks import Block, Blocks
from fanlab.core.joins import Calls, Groups, Leaves, Order, Tree, grouped
from fanlab.core.seal import Piece
from fanlab.errors import FanOutError


def agree(join, sources, items):
    """Whether an item needs a branch exactly where the branch is needed by the item."""
    forth = {(source, item) for source in range(sources) for item in join.items(source)}
    back = {(source, item) for item in range(items) for source in join.sources(item)}
    return forth == back


@given(size=st.integers(1, 200))
def test_a_tree_takes_each_item_and_each_call_once_and_keeps_their_order(size):
    tree = Tree(size)

    def spread(call):
        return [x for leaf, n in tree.operands(call) for x in ([n] if leaf else spread(n))]

    assert tree.calls == size - 1
    assert size == 1 or spread(tree.calls - 1) == list(range(size))
    assert agree(Leaves(tree), size, max(tree.calls, 1))
    assert agree(Calls(tree), tree.calls, tree.calls)


def test_a_tree_is_made_of_neighbours_level_by_level():
    tree = Tree(5)

    assert [tree.place(call) for call in range(4)] == [(0, 0), (0, 1), (1, 0), (2, 0)]
    assert [tree.operands(call) for call in range(4)] == [
        ((True, 0), (True, 1)),
        ((True, 2), (True, 3)),
        ((False, 0), (False, 1)),
        ((False, 2), (True, 4)),
    ]


@given(size=st.integers(1, 50), data=st.data())
def test_a_tree_over_items_in_another_order_takes_them_in_that_order(size, data):
    order = data.draw(st.permutations(range(size)))
    tree = Tree(size)

    assert agree(Leaves(tree, Order(order)), size, max(tree.calls, 1))


@given(values=st.lists(st.integers(0, 5)), data=st.data())
def test_groups_hold_each_branch_once_in_the_order_of_the_first(values, data):
    order = data.draw(st.permutations(range(len(values))))

    groups = Groups(values, order)

    assert groups.keys == tuple(dict.fromkeys(values[branch] for branch in order))
    assert agree(groups, len(values), len(groups.keys))
    for item, key in enumerate(groups.keys):
        assert list(groups.sources(item)) == [branch for branch in order if values[branch] == key]


@given(order=st.permutations(range(9)))
def test_an_order_leads_there_and_back(order):
    assert agree(Order(order), 9, 9)
    assert [Order(order).sources(item)[0] for item in range(9)] == order


def test_what_names_no_group_is_refused():
    with pytest.raises(FanOutError) as caught:
        grouped("fit", "frame", [1, Piece("pandas.DataFrame")], range(2))

    assert str(caught.value) == (
        "'fit' cannot be grouped by 'frame': a pandas.DataFrame names no group\n"
        "  do:    group by an argument of numbers, texts or dates"
    )


def blocks(*sizes_by_position):
    found = Blocks()
    found.extend(Block((position,), (position,), size) for position, size in sizes_by_position)
    return found


def test_branches_are_numbered_as_they_come_and_ordered_by_where_they_stand():
    found = blocks((2, 2), (0, 1), (1, 0), (3, 1))

    assert [found.path(branch) for branch in range(found.size)] == [(2, 0), (2, 1), (0, 0), (3, 0)]
    assert found.order() == [2, 0, 1, 3]
    assert [found.find(path) for path in [(0, 0), (2, 1), (1, 0)]] == [2, 1, None]


def test_what_is_known_of_a_branch_stays_when_more_become_known():
    found = blocks((1, 2))
    before = [found.path(0), found.path(1), found.order(), found.find((1, 1))]

    found.extend([Block((0,), ("k",), 1, ("a",))])

    assert before[:2] == [found.path(0), found.path(1)]
    assert (found.path(2), found.keyed, found.order()) == (("k", "a"), True, [2, 0, 1])


def test_a_lost_branch_stands_for_its_items():
    found = Blocks()
    found.extend([Block((0,), ("us",), 1, lost=True), Block((1,), ("de",), 2)])

    assert [found.path(branch) for branch in range(3)] == [("us",), ("de", 0), ("de", 1)]
    assert [found.position(branch) for branch in range(3)] == [(0,), (1, 0), (1, 1)]


def test_joins_and_blocks_travel():
    found = blocks((1, 2))

    assert pickle.loads(pickle.dumps(found)) == found
    assert pickle.loads(pickle.dumps(Tree(5))) == Tree(5)
    assert list(pickle.loads(pickle.dumps(Groups("aba", range(3)))).sources(0)) == [0, 2]
