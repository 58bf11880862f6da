"""How many branches go into a batch, from what is known of their duration."""

import pytest

from fanlab.core.pace import BATCH_SECONDS, Pace


def known(seconds, branches=1):
    pace = Pace()
    pace.heard(branches, seconds * branches)
    return pace


@pytest.mark.parametrize("waiting", [1, 2, 10, 100_000])
def test_a_batch_is_one_branch_while_the_duration_is_unknown(waiting):
    assert Pace().size(waiting, 4) == 1


def test_the_time_of_a_batch_is_unknown_until_one_has_ended():
    assert Pace().seconds(10) is None


def test_the_time_of_a_batch_is_its_branches_times_what_one_takes():
    assert known(0.25).seconds(4) == 1.0


@pytest.mark.parametrize("seconds", [BATCH_SECONDS, 1.0, 3600.0])
def test_long_branches_go_one_by_one(seconds):
    assert known(seconds).size(1000, 2) == 1


def test_a_batch_takes_about_its_time():
    pace = known(0.001, branches=1000)
    assert pace.size(10**6, 2) == BATCH_SECONDS / 0.001


def test_a_batch_is_at_most_four_times_the_largest_so_far():
    pace = known(0.0001)
    sizes = []
    for _ in range(4):
        sizes.append(pace.size(10**6, 2))
        pace.heard(sizes[-1], 0.0001 * sizes[-1])
    assert sizes == [4, 16, 64, 256]


def test_a_batch_is_at_most_half_a_fair_share_of_what_waits():
    pace = known(0.001, branches=1000)
    assert [pace.size(waiting, 4) for waiting in (800, 80, 40)] == [100, 10, 5]


def test_a_batch_is_not_made_shorter_than_two_milliseconds_to_share_it():
    pace = known(0.0001, branches=1000)
    assert [pace.size(waiting, 4) for waiting in (80, 21, 8, 1)] == [20, 20, 8, 1]


def test_a_batch_is_never_empty():
    assert known(0.0001, branches=1000).size(1, 64) == 1


def test_branches_that_take_no_time_that_a_clock_tells_still_have_a_size():
    assert known(0.0, branches=10).size(10**6, 2) == 40


def test_the_latest_batches_count_most():
    pace = known(1.0)
    for _ in range(30):
        pace.heard(1, 0.01)
    assert pace.seconds(1) == pytest.approx(0.01, rel=0.01)


def test_one_odd_batch_does_not_count_for_everything():
    pace = known(0.01)
    pace.heard(1, 1.0)
    assert 0.01 < pace.seconds(1) < 0.5
