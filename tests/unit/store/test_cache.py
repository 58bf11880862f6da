"""Rows of finished branches: found by key, the newest first, and kept within the events' own transaction."""

from array import array

import pytest

from fanlab.core.events import RunStarted
from fanlab.core.keys import KEY_BYTES
from fanlab.store.cache import Entry, Kept, Taken
from fanlab.store.database import Store


def key(number):
    return number.to_bytes(KEY_BYTES, "big")


def row(numbers, outputs, code="c", node="fit", start=0, repeated=False):
    kept = Kept(tuple(outputs), array("d", [0.5] * len(outputs)))
    return Entry(code, node, start, 1.0, repeated, True, b"".join(map(key, numbers)), kept)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def keep(store):
    """Write rows as a run of this name."""

    def keep(run, *rows, **more):
        store.write(run, [RunStarted(run, run, "p", {}, (), None, 1.0, 1)], Taken(list(rows), **more))

    return keep


def outputs(known, *numbers):
    return [None if place is None else known.outputs([place])[0] for place in known.places(list(map(key, numbers)))]


def test_what_is_kept_is_found_by_its_key(store, keep):
    keep("r1", row([1, 2], [b"one", b"two"]), row([3], [b"three"], start=2))
    known = store.known("c")
    assert outputs(known, 3, 1, 4) == [b"three", b"one", None]
    places = known.places([key(3), key(2)])
    assert known.outputs(places) == (b"three", b"two")
    assert [known.branch(place) for place in places] == [("fit", 2), ("fit", 1)]
    assert {known.row(place).run for place in places} == {"r1"}
    assert known.kept(places[0])[0].seconds == array("d", [0.5])


def test_other_code_has_nothing(store, keep):
    keep("r1", row([1], [b"one"]))
    assert outputs(store.known("d"), 1) == [None]


def test_what_was_made_last_is_found(store, keep):
    keep("r1", row([1, 2], [b"one", b"two"]))
    keep("r2", row([1], [b"anew"]))
    known = store.known("c")
    assert outputs(known, 1, 2) == [b"anew", b"two"]
    assert known.row(known.places([key(1)])[0]).run == "r2"


def test_rows_that_were_made_anew_are_told_and_can_be_removed(store, keep):
    keep("r1", row([1, 2], [b"one", b"two"]), row([3], [b"three"]))
    keep("r2", row([1, 2], [b"1", b"2"]))
    known = store.known("c")
    assert len(known.superseded) == 1
    keep("r3", superseded=known.superseded)
    known = store.known("c")
    assert known.superseded == []
    assert outputs(known, 1, 2, 3) == [b"1", b"2", b"three"]


def test_a_row_that_is_removed_meanwhile_is_not_there(store, keep):
    keep("r1", row([1, 2], [b"one", b"two"]), row([3], [b"three"]))
    known = store.known("c")
    with store.changing() as database:
        database.execute("delete from cached where number = 1")
    places = known.places([key(1), key(3), key(4)])
    assert known.present(places) == [None, places[1], None]


def test_repeats_are_known_of(store, keep):
    keep("r1", row([1], [b"one"]))
    assert not store.known("c").repeated
    keep("r2", row([2], [b"two"], repeated=True))
    assert store.known("c").repeated


def test_a_store_opened_anew_finds_it_too(store, keep):
    keep("r1", row([1], [b"one"]))
    assert outputs(Store(store.root).known("c"), 1) == [b"one"]


def test_events_and_rows_are_kept_together_or_not_at_all(store, keep):
    keep("r1", row([1], [b"one"]))
    with pytest.raises(Exception):  # a run of that name is there
        keep("r1", row([2], [b"two"]))
    assert outputs(store.known("c"), 2) == [None]


def test_blobs_are_kept_once(store, keep):
    keep("r1", blobs={"d1": b"first"})
    keep("r2", blobs={"d1": b"first", "d2": b"second"})
    assert [store.blob(digest) for digest in ("d1", "d2", "d3")] == [b"first", b"second", None]


def test_many_branches_are_found_in_few_rows(store, keep):
    keep(
        "r1", *(row(range(i, i + 250), [b"%d" % n for n in range(i, i + 250)], start=i) for i in range(0, 10_000, 250))
    )
    known = store.known("c")
    places = known.places(list(map(key, range(10_000))))
    assert known.outputs(places) == tuple(b"%d" % n for n in range(10_000))
    assert len(known.rows(places)) == 40
