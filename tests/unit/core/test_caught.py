"""Which failures count as met by a body, from a graph and a record alone."""

import pytest

from fanlab.core.caught import Caught
from fanlab.core.events import NodeInfo, Status
from fanlab.core.expand import CALL
from fanlab.core.record import NodeRecord, Record
from fanlab.core.spec import Step
from fanlab.core.trace import trace


def work(*args):
    return args


A, B, C = (Step(work, name) for name in "abc")


def chain():
    value = A()
    B(value)
    C(value)


@pytest.fixture
def record():
    """A run in which `a` has failed and what needs it was skipped."""
    found = Record()
    for name, status in (("a", Status.FAILED), ("b", Status.SKIPPED), ("c", Status.SKIPPED)):
        found.nodes[name] = NodeRecord(NodeInfo(name, name, "call", ("output",), (), ()))
        found.nodes[name].shape = CALL
        found.nodes[name].statuses = bytearray([status])
    return found


@pytest.mark.parametrize(
    ("loads", "handled"),
    [("", set()), ("a", set()), ("b", set()), ("abc", {"a"}), ("bc", {"a"})],
)
def test_a_failure_is_handled_where_the_body_has_met_all_that_is_lost_with_it(record, loads, handled):
    caught = Caught()
    for name in loads:
        caught.add((name, None))

    assert caught.handled(trace("sweep", chain, (), {}).graph, record) == handled


def test_what_ended_the_body_was_not_caught(record):
    caught = Caught()
    for name in "abc":
        caught.add((name, None))

    assert caught.let_go() == ("c",)
    assert caught.handled(trace("sweep", chain, (), {}).graph, record) == set()
