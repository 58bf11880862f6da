"""What each call waits for, the order of a graph, and what depends on what."""

from __future__ import annotations

import pytest

from fanlab.core.graph import Graph, Link, references
from fanlab.core.spec import Step, unmapped
from fanlab.core.trace import trace
from fanlab.errors import GraphError


def work(*args, **kwargs):
    return args


A, B, C, D = (Step(work, name) for name in "abcd")


def graph(body) -> Graph:
    return trace("sweep", body, (), {}).graph


def needs(body, name):
    return graph(body).needs[name]


def diamond():
    top = A()
    D(B(top), C(top))


def test_the_nodes_are_in_call_order():
    assert list(graph(diamond).nodes) == ["a", "b", "c", "d"]


def test_an_edge_leads_from_what_is_needed_to_what_needs_it():
    assert graph(diamond).edges() == [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]


def test_an_edge_is_told_once_however_often_it_is_needed():
    def body():
        value = A()
        B(value, [value], x=value, after=value)

    assert graph(body).edges() == [("a", "b")]


def test_the_depth_of_a_node_is_the_longest_way_to_it():
    def body():
        value = A()
        D(value, C(B(value)))

    assert dict(graph(body).depth) == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_the_depth_counts_an_after_too():
    def body():
        A(after="b")
        B()

    assert dict(graph(body).depth) == {"a": 1, "b": 0}


def test_descendants_are_everything_that_needs_a_node():
    found = graph(diamond)

    assert {name: found.descendants(name) for name in found.nodes} == {
        "a": {"b", "c", "d"},
        "b": {"d"},
        "c": {"d"},
        "d": set(),
    }


def test_a_long_chain_has_its_depth_without_deep_recursion():
    def body():
        value = A()
        for _ in range(5000):
            value = B(value)

    found = graph(body)

    assert found.depth["b_5000"] == 5000
    assert len(found.descendants("a")) == 5000


def test_a_long_chain_in_reverse_call_order_has_its_depth():
    def body():
        for i in range(3000):
            A(id=f"n{i}", after=f"n{i + 1}")
        A(id="n3000")

    assert graph(body).depth["n0"] == 3000


def test_a_graph_cannot_be_changed():
    found = graph(diamond)

    with pytest.raises(TypeError):
        found.nodes["e"] = found.nodes["a"]
    with pytest.raises(AttributeError):
        found.nodes = {}


def test_a_circle_is_spelled_out_in_the_order_of_running():
    def body():
        A(after="c")
        B(after="a")
        C(after="b")

    with pytest.raises(GraphError) as raised:
        graph(body)

    assert raised.value.what == (
        "the calls wait for each other in a circle: 'a' -> 'b' -> 'c' -> 'a' (each runs before the next)"
    )


def test_a_circle_is_told_without_the_way_that_leads_to_it():
    def body():
        D(after="a")
        A(after="b")
        B(after="a")

    with pytest.raises(GraphError, match=r"in a circle: 'a' -> 'b' -> 'a' \("):
        graph(body)


# needs


def test_a_plain_argument_holds_the_whole_node():
    assert needs(lambda: B([A()]), "b").gates == (("a", None),)


def test_one_branch_as_an_argument_holds_for_that_branch_only():
    assert needs(lambda: B(A.map([1, 2])[1]), "b").gates == (("a", 1),)


def test_branches_as_an_argument_are_needed_whole():
    assert needs(lambda: B(A.map([1, 2])), "b").gates == (("a", None),)


def test_mapped_branches_are_needed_branch_by_branch():
    found = needs(lambda: B.map([1, 2], A.map([1, 2])), "b")

    assert (found.gates, found.links) == ((), (Link("a", 1),))


def test_an_unmapped_argument_is_needed_whole():
    found = needs(lambda: B.map([1, 2], unmapped(A.map([1, 2]))), "b")

    assert (found.gates, found.links) == ((("a", None),), ())


def test_an_item_of_a_mapped_list_holds_its_own_branch_only():
    def body():
        many = A.map([1, 2])
        B.map([0, many[1], [many, many]])

    found = needs(body, "b")

    assert found.gates == ()
    assert found.items == ((0, 1, ("a", 1)), (0, 2, ("a", None)))


def test_items_are_counted_by_mapped_argument():
    found = needs(lambda: B.map("shared", [1, 2], [0, A()]), "b")

    assert found.items == ((1, 1, ("a", None)),)


def test_a_mapped_output_is_needed_whole_and_tells_the_number_of_branches():
    found = needs(lambda: B.map(A()), "b")

    assert (found.gates, found.sizes) == ((("a", None),), (("a", None),))


def test_references_are_found_in_order_at_any_depth():
    seen = []

    def body():
        first, second, many = A(), B(), C.map([1])
        seen.append([repr(found) for found in references([first, {"x": (second, [many])}, "text", first])])

    graph(body)

    assert seen == [["<Output of 'a'>", "<Output of 'b'>", "<Branches of 'c'>", "<Output of 'a'>"]]


@pytest.mark.parametrize("value", [1, "text", None, [], {}, [1, {"x": (2,)}], {1, 2}], ids=repr)
def test_a_literal_has_no_references(value):
    assert list(references(value)) == []
