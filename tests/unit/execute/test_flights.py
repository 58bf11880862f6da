"""Batches on their way: what is still to come of them, and who answers for a lost one."""

from array import array

import pytest

from fanlab.core.events import Finished, Status
from fanlab.core.spec import Options, Step
from fanlab.execute.flights import RESTARTS, Flight, Flights


def work(x):
    return x


def other(x):
    return x


STEP = Step(work, "work")


def flight(number=1, start=0, stop=10, node="work", step=STEP):
    return Flight(number, node, step, start, stop, 1)


def finished(start, count, node="work", attempt=1):
    nothing = array("d", [0.0] * count)
    return Finished(
        node,
        start,
        bytes([Status.COMPLETED]) * count,
        attempt,
        7,
        nothing,
        nothing,
        array("q", [0] * count),
        (b"",) * count,
    )


@pytest.fixture
def flights():
    return Flights()


def test_flights_are_counted_and_found_by_number(flights):
    one, two = flight(1), flight(2, 10, 20)
    flights.add(one)
    flights.add(two)
    assert len(flights) == 2
    assert list(flights) == [one, two]
    assert flights.get(2) is two
    assert flights.get(3) is None


def test_a_flight_comes_back_once(flights):
    one = flight()
    flights.add(one)
    assert flights.pop(1) is one
    assert flights.pop(1) is None
    assert len(flights) == 0


def test_what_has_finished_is_no_longer_to_come(flights):
    one = flight()
    flights.add(one)
    flights.heard(finished(0, 4))
    flights.heard(finished(4, 1))
    assert (one.start, one.stop) == (5, 10)


def test_what_has_finished_of_another_batch_changes_nothing(flights):
    one, two = flight(1, 0, 10), flight(2, 0, 10, node="other")
    flights.add(one)
    flights.add(two)
    flights.heard(finished(0, 4, node="other"))
    assert (one.start, two.start) == (0, 4)


def test_a_step_without_a_limit_is_never_full(flights):
    for number in range(100):
        flights.add(flight(number, number, number + 1))
    assert not flights.full(STEP)


def test_a_step_is_full_with_as_many_batches_as_its_limit(flights):
    step = Step(work, "work", options=Options(max_parallel=2))
    flights.add(flight(1, step=step))
    assert not flights.full(step)
    flights.add(flight(2, step=step))
    assert flights.full(step)
    flights.pop(1)
    assert not flights.full(step)


def test_two_nodes_of_one_function_share_its_limit(flights):
    step = Step(work, "work", options=Options(max_parallel=1))
    flights.add(flight(1, node="first", step=step))
    assert flights.full(Step(work, "again", options=Options(max_parallel=1)))
    assert not flights.full(Step(other, "other", options=Options(max_parallel=1)))


def test_the_running_branch_is_charged(flights):
    assert flights.charged(flight(), 3, waited=False) == 3


@pytest.mark.parametrize("culprit", [None, 4, 10])
def test_nobody_is_charged_where_none_of_its_branches_ran(culprit, flights):
    assert flights.charged(flight(start=5), culprit, waited=False) is None


def test_the_first_branch_is_charged_when_its_batch_is_lost_time_and_again(flights):
    charged = [flights.charged(flight(start=5), None, waited=False) for _ in range(RESTARTS + 1)]
    assert charged == [None] * RESTARTS + [5]


def test_nobody_is_charged_whose_batch_waited_behind_another_however_often(flights):
    charged = [flights.charged(flight(start=5), None, waited=True) for _ in range(3 * RESTARTS)]
    assert charged == [None] * len(charged)


def test_what_comes_back_belongs_to_the_batch_that_still_waits_for_it(flights):
    one, two = flight(1, 0, 4), flight(2, 4, 8)
    flights.add(one)
    flights.add(two)
    flights.heard(finished(0, 4))  # its worker has not said yet that the batch is done
    assert flights.heard(finished(4, 1))
    flights.pop(1)
    assert flights.heard(finished(5, 3))
    assert (one.start, two.start) == (4, 8)


def test_what_no_flight_waits_for_is_late(flights):
    flights.add(flight(1, 0, 4))
    flights.add(flight(2, 4, 8))
    flights.pop(1)
    assert [flights.heard(finished(start, 1)) for start in (0, 4, 4)] == [False, True, False]


@pytest.mark.parametrize("late", [finished(0, 5), finished(0, 2, attempt=2)])
def test_what_is_told_late_counts_for_no_batch_that_it_is_not_a_part_of(flights, late):
    """Its branches have been sent again, in other parts, or for another attempt."""
    one = flight(1, 0, 4)
    flights.add(one)
    assert not flights.heard(late)
    assert (one.start, one.stop) == (0, 4)
