"""Which artifact files a batch reads and an event refers to, and the files on their way."""

import pickle
from array import array

import numpy as np
import pytest

from fanlab.core.batch import Batch, Column
from fanlab.core.events import Finished, Logged
from fanlab.core.expand import Items
from fanlab.core.seal import Packed
from fanlab.execute import cargo
from fanlab.store import codecs
from fanlab.store.artifacts import Artifacts


@pytest.fixture
def store(tmp_path):
    return Artifacts(str(tmp_path / "a"))


def large(number):
    return np.full(20_000, float(number))


def batch(columns):
    return Batch(1, "run", b"h", b"c", b"s", "node", ("output",), True, (), 0, 1, 1, False, columns, None, None)


def name(stored):
    return stored.digest or stored.hash


def test_a_batch_needs_the_files_of_its_shared_and_mapped_arguments(store):
    shared, mapped, packed, inside = (store.put(large(i)) for i in range(4))
    small = store.put([1, 2])
    columns = (
        Column("plain", (7,)),
        Column("sealed", ([mapped, small],)),
        Column("packed", (codecs.pack({"output": packed}), codecs.pack_scalar("output", 3))),
    )
    arguments = pickle.dumps(([shared], {"more": {"k": (Packed(codecs.pack({"output": inside}), None),)}}))
    assert sorted(cargo.needed(batch(columns), arguments)) == sorted(map(name, (shared, mapped, packed, inside)))


def test_a_file_that_is_needed_twice_is_named_once(store):
    stored = store.put(large(1))
    assert cargo.needed(batch((Column("sealed", (stored,)),)), pickle.dumps(([stored], {}))) == [name(stored)]


def test_an_event_refers_to_the_files_of_its_outputs_and_items(store):
    whole, item = store.put(large(1)), store.put(large(2))
    nothing = array("d", [0.0, 0.0])
    event = Finished(
        "node", 0, b"\2\4", 1, 1, nothing, nothing, array("q", [0, 0]),
        (codecs.pack({"output": whole}), None), items={0: {"": Items((item, 3), None)}},
    )  # fmt: skip
    assert sorted(cargo.made(event)) == sorted(map(name, (whole, item)))
    assert cargo.made(Logged("node", 0, "stdout", "text", 0.0)) == []


def test_a_file_is_the_same_value_in_the_other_store(store, tmp_path):
    stored = store.put(large(5))
    there = str(tmp_path / "b")
    assert cargo.lacking(there, [name(stored)]) == [name(stored)]
    cargo.write(there, name(stored), cargo.read(str(tmp_path / "a"), name(stored)))
    assert cargo.lacking(there, [name(stored)]) == []
    assert (Artifacts(there).get(stored) == large(5)).all()


def test_a_file_that_is_there_is_left_alone(store, tmp_path):
    stored = store.put(large(5))
    cargo.write(str(tmp_path / "a"), name(stored), b"other")
    assert (Artifacts(str(tmp_path / "a")).get(stored) == large(5)).all()
