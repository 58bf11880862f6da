"""A second run costs only what changed: over every backend, with what a person sees of it."""

import datetime as dt
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fanlab
from fanlab import get_step_context, pipeline, step, unmapped
from fanlab.client import Client
from fanlab.store import hashes

BIG = 20_000  # floats: more than the database holds itself


@pytest.fixture
def fans(pipe, ran):
    """A fan-out and its sum."""

    @step
    def double(x):
        ran(f"double{x}")
        return 2 * x

    @step
    def total(values):
        ran("total")
        return sum(values)

    @pipe
    def fans(xs):
        return total(double.map(xs))

    return fans


def test_the_second_run_runs_nothing(fans, ran, statuses):
    first = fans([1, 2, 3])
    assert ran.since() == ["double1", "double2", "double3", "total"]
    again = fans([1, 2, 3])
    assert again.load() == 12
    assert ran.since() == []
    assert set(statuses(again).values()) == {"cached"}
    assert {found.cached_from for found in again.steps.values()} == {first.name}
    assert {found.cached_from for found in first.steps.values()} == {None}


def test_one_more_item_runs_one_branch_and_what_reads_it(fans, ran):
    fans([1, 2])
    ran.since()
    assert fans([0, 1, 2]).load() == 6
    assert ran.since() == ["double0", "total"]


def test_another_order_runs_only_what_sees_it(fans, ran):
    fans([1, 2, 3])
    ran.since()
    assert fans([3, 1, 2]).load() == 12
    assert ran.since() == ["total"]


def test_an_earlier_state_is_a_hit_again(fans, ran):
    fans([1]), fans([2])
    ran.since()
    assert fans([1]).load() == 2
    assert ran.since() == []


def test_what_is_equal_stops_an_edit_there(pipe, ran):
    @step
    def load(x):
        ran("load")
        return x // 10

    @step
    def fit(value):
        ran("fit")
        return value + 1

    @pipe
    def sweep(x):
        return fit(load(x))

    sweep(41)
    ran.since()
    assert sweep(42).load() == 5
    assert ran.since() == ["load"]


def test_branches_follow_their_inputs_one_by_one(pipe, ran):
    @step
    def half(x):
        return x // 2

    @step
    def square(y):
        ran(f"square{y}")
        return y * y

    @pipe
    def sweep(xs):
        return square.map(half.map(xs))

    sweep([2, 4, 6])
    ran.since()
    assert sweep([3, 4, 8]).load() == [1, 4, 16]
    assert ran.since() == ["square4"]


def test_equal_calls_of_one_run_are_drawn_each_and_found_again(pipe):
    @step
    def draw():
        return os.urandom(4).hex()

    @step
    def of(x):
        return f"{x} {os.urandom(4).hex()}"

    @pipe
    def draws(count):
        return [draw() for _ in range(count)], of.map([7] * count)

    first = draws(5).load()
    assert len({*first[0], *first[1]}) == 10
    assert draws(5).load() == first
    calls, mapped = draws(7).load()
    assert (calls[:5], mapped[:5]) == first
    assert len({*calls, *mapped}) == 14


def test_branches_with_equal_inputs_find_what_was_theirs(pipe):
    @step
    def flag(x):
        time.sleep(0.02 * (5 - x))  # so that they end in another order
        return True

    @step
    def draw(value):
        return os.urandom(4).hex()

    @pipe
    def sweep():
        return draw.map(flag.map(range(5)))

    first = sweep()
    assert len(set(first.load())) == 5
    again = sweep()
    assert again.load() == first.load()
    pd.testing.assert_frame_equal(again.results, first.results)


def test_a_dynamic_map_is_found_too(pipe, ran, statuses):
    @step
    def names():
        return ["a", "b", {"c": 1}]

    @step
    def size(name):
        ran("size")
        return len(name)

    @pipe
    def sweep():
        return size.map(names())

    sweep()
    ran.since()
    again = sweep()
    assert again.load() == [1, 1, 1]
    assert ran.since() == []
    assert list(statuses(again).values()) == ["cached"] * 4


def test_a_value_that_is_none_is_found(pipe, statuses):
    @step
    def nothing():
        return None

    @pipe
    def sweep():
        return nothing()

    sweep()
    assert statuses(sweep()) == {"nothing": "cached"}


def test_several_outputs_and_large_values_are_found(pipe, ran):
    @step
    def split() -> tuple[np.ndarray, int]:
        ran("split")
        return np.arange(BIG, dtype=float), BIG

    @step
    def mean(values, count):
        ran("mean")
        return float(values.sum() / count)

    @pipe
    def sweep():
        values, count = split()
        return mean(values, count)

    first = sweep().load()
    ran.since()
    assert sweep().load() == first
    assert ran.since() == []


def test_literals_count_by_their_content(pipe, ran):
    @step
    def total(frame):
        ran("total")
        return int(frame["a"].sum())

    @pipe
    def sweep(values):
        return total(pd.DataFrame({"a": values}))

    sweep([1, 2])
    ran.since()
    assert sweep([1, 2]).load() == 3
    assert ran.since() == []
    assert sweep([1, 3]).load() == 4
    assert ran.since() == ["total"]


# what is not kept


def test_only_what_completed_is_kept(pipe, ran, failed):
    @step
    def picky(x):
        ran(f"picky{x}")
        if x == 2 and not os.path.exists("mended"):
            raise ValueError("two")
        return x

    @pipe
    def sweep():
        return picky.map([1, 2, 3])

    run = failed(sweep).run
    assert [found.status for found in run["picky"]] == ["completed", "failed", "completed"]
    ran.since()
    Path("mended").touch()
    run = sweep()
    assert run.load() == [1, 2, 3]
    assert ran.since() == ["picky2"]
    assert run.why("picky[1]") == "ran: it failed before"


@pytest.mark.parametrize(
    ("of_step", "of_pipeline", "runs"),
    [(None, True, False), (None, False, True), (False, True, True), (True, False, False)],
)
def test_a_step_that_says_enable_cache_wins_over_its_pipeline(pipe, ran, of_step, of_pipeline, runs):
    @step(enable_cache=of_step)
    def work():
        ran("work")
        return 1

    @pipe
    def sweep():
        return work()

    sweep = sweep.with_options(enable_cache=of_pipeline)
    sweep()
    ran.since()
    assert sweep().load() == 1
    assert ran.since() == (["work"] if runs else [])


def test_one_call_can_leave_the_cache_off(pipe, ran):
    @step
    def work(x):
        ran(f"work{x}")
        return x

    @pipe
    def sweep():
        return work(1), work.with_options(enable_cache=False)(2)

    sweep()
    ran.since()
    run = sweep()
    assert ran.since() == ["work2"]
    assert run.why("work_2") == "ran: the cache is off"


def test_an_inlined_pipeline_keeps_its_own_enable_cache(pipe, ran):
    @step
    def work(x):
        ran(f"work{x}")
        return x

    @pipeline(enable_cache=False)
    def inner():
        return work(2)

    @pipe
    def outer():
        return work(1), inner()

    outer()
    ran.since()
    outer()
    assert ran.since() == ["work2"]


@pytest.mark.parametrize(
    ("fresh", "runs"),
    [
        (True, ["double1", "total"]), ("double", ["double1"]), (["total"], ["total"]), ("double_2", []), (False, []),
    ],
)  # fmt: skip
def test_fresh_runs_what_it_names_whatever_the_store_has(fans, ran, fresh, runs):
    fans([1])
    ran.since()
    if fresh == "double_2":
        with pytest.raises(fanlab.StepCallError) as caught:
            fans.with_options(fresh=fresh)([1])
        assert str(caught.value) == (
            "fresh='double_2': pipeline 'fans' has no step or node of that name\n  do:    did you mean 'double'?"
        )
    else:
        assert fans.with_options(fresh=fresh)([1]).load() == 2
    assert ran.since() == runs


def test_what_ran_fresh_is_what_is_found_next(pipe):
    @step
    def draw():
        return os.urandom(4).hex()

    @pipe
    def draws():
        return draw()

    first = draws().load()
    second = draws.with_options(fresh=True)()
    assert second.load() != first
    assert second.why("draw") == "ran: it was asked for with fresh"
    assert draws().load() == second.load()


@pytest.mark.parametrize(
    ("after", "runs"), [(3600, []), (dt.timedelta(hours=1), []), (0, ["work"]), (dt.timedelta(0), ["work"])]
)
def test_what_has_expired_runs_again(pipe, ran, after, runs):
    @step(expires_after=after)
    def work():
        ran("work")
        return 1

    @pipe
    def sweep():
        return work()

    sweep()
    ran.since()
    run = sweep()
    assert ran.since() == runs
    if runs:
        assert run.why("work") == "ran: it had expired"


def test_what_is_chosen_to_run_again_runs_with_what_depends_on_it(pipe, ran):
    @step
    def draw(x):
        ran(f"draw{x}")
        return os.urandom(4).hex()

    @step
    def read(text):
        ran("read")
        return len(text)

    @pipe
    def sweep():
        return read.map(draw.map([1, 2]))

    run = sweep()
    ran.since()
    again = run.rerun("draw[1]")
    assert ran.since() == ["draw2", "read"]
    assert again.why("draw[1]") == "ran: it was chosen to run again"
    assert again.steps["draw[0]"].status == "cached"


# what has no key


class Place:
    """A key of a dict whose content nobody can tell."""

    def __reduce__(self):
        return Place, ()


@pytest.fixture
def untold(monkeypatch):
    """What tells a Place fails."""
    monkeypatch.setattr(hashes, "_registered", {})
    monkeypatch.setattr(hashes, "_tellers", {})
    fanlab.register_hash(Place, lambda place: place.nowhere)


@pytest.mark.parametrize("mapped", [False, True])
def test_an_argument_that_cannot_be_keyed_is_named_and_its_branches_run_again(pipe, ran, untold, capsys, mapped):
    @step
    def count(places, x):
        ran("count")
        return len(places) + x

    @pipe
    def sweep():
        places = {Place(): 1}
        return count.map([places, places], 1) if mapped else count.map(unmapped(places), [1, 1])

    why = (
        "its argument 'places': the function that tells what a Place is raised AttributeError: "
        "'Place' object has no attribute 'nowhere'"
    )
    for _ in range(2):
        run = sweep()
        assert run.load() == [2, 2]
        assert ran.since() == ["count", "count"]
        assert capsys.readouterr().err == f"fanlab: 'count' runs without the cache: {why}\n"
        assert run.why("count[0]") == f"ran: it cannot be keyed: {why}"


def test_code_that_cannot_be_keyed_is_named_and_its_branches_run_again(pipe, ran, untold, capsys):
    place = Place()

    @step
    def count(x):
        ran("count")
        return x if place else 0

    @pipe
    def sweep():
        return count.map([1, 2])

    for _ in range(2):
        assert sweep().load() == [1, 2]
        assert ran.since() == ["count", "count"]
        assert capsys.readouterr().err == (
            "fanlab: 'count' runs without the cache: its closure variable 'place': the function that tells what a Place "
            "is raised AttributeError: 'Place' object has no attribute 'nowhere'\n"
        )


# what comes back


def test_recorded_lines_come_back_in_call_order(pipe, capsys):
    @step
    def first():
        time.sleep(0.05)
        print("one")
        return 1

    @step
    def second():
        print("two")
        return 2

    @step
    def each(x):
        print(f"each {x}")
        return x

    @pipe
    def sweep():
        first(), second()
        return each.map([1, 2])

    cold = sweep()
    shown = capsys.readouterr().out
    assert shown == "one\ntwo\n"
    warm = sweep()
    assert capsys.readouterr().out == shown
    assert warm.logs("each") == cold.logs("each") == ["each 1", "each 2"]
    assert warm.steps["first"].logs == ["one"]
    assert {found.status for found in warm.steps.values()} == {"cached"}


@pytest.mark.filterwarnings("default")
def test_recorded_warnings_come_back(pipe, capsys):
    import warnings

    @step
    def warns():
        warnings.warn("mind the gap", UserWarning, stacklevel=2)
        return 1

    @pipe
    def sweep():
        return warns()

    sweep()
    first = capsys.readouterr().err
    sweep()
    assert capsys.readouterr().err == first
    assert "mind the gap" in first


def test_logged_metadata_comes_back(pipe):
    @step
    def work(x):
        get_step_context().log_metadata({"twice": 2 * x})
        return x

    @pipe
    def sweep():
        return work.map([1, 2])

    sweep()
    again = sweep()
    assert list(again.results["twice"]) == [2, 4]
    assert again.steps["work[1]"].metadata == {"twice": 4}


def test_results_are_equal_for_a_cold_and_a_cached_run(pipe):
    @step
    def work(x):
        get_step_context().log_metadata({"m": x})
        return {"value": x / 2, "array": np.full(BIG, x)}

    @step
    def count(values):
        return len(values)

    @pipe
    def sweep():
        return count(work.map([1, 2]))

    cold, warm = sweep().results, sweep().results
    pd.testing.assert_frame_equal(cold, warm)


def test_a_cached_run_is_kept_and_read_like_any_other(pipe):
    @step
    def work(x):
        print("working")
        return x

    @pipe
    def sweep():
        return work.map([1, 2])

    first, again = sweep(), sweep()
    read = Client().get_pipeline_run(again.name)
    assert read.load() == [1, 2]
    assert read.steps["work[0]"].status == "cached"
    assert read.steps["work[0]"].cached_from == first.name
    assert read.steps["work[0]"].logs == ["working"]
    assert list(read.profile["reason"]) == [f"cached from {first.name}"] * 2
    Client().delete_pipeline_run(first.name)
    assert sweep().load() == [1, 2]


# files and damage


def test_a_path_counts_by_what_its_file_holds(pipe, ran):
    @step
    def read(path):
        ran("read")
        with open(path) as file:
            return file.read()

    @pipe
    def sweep(path):
        return read(path)

    for path in ("data.txt", Path("data.txt")):
        Path("data.txt").write_text("one")
        sweep(path)
        ran.since()
        os.utime("data.txt", (1, 1))
        assert sweep(path).load() == "one"
        assert ran.since() == []
        Path("data.txt").write_text("two")
        run = sweep(path)
        assert run.load() == "two"
        assert ran.since() == ["read"]
        assert run.why("read") == "ran: the content of the file data.txt, the argument path, changed"


def test_a_returned_path_is_found_only_while_its_file_holds_the_same(pipe, ran):
    @step
    def write():
        ran("write")
        Path("out.txt").write_text("out")
        return Path("out.txt")

    @pipe
    def sweep():
        return write()

    sweep()
    ran.since()
    sweep()
    assert ran.since() == []
    Path("out.txt").write_text("spoilt")
    run = sweep()
    assert ran.since() == ["write"]
    assert run.why("write") == "ran: the file 'out.txt' that it returned has changed"
    Path("out.txt").unlink()
    sweep()
    assert ran.since() == ["write"]


@pytest.mark.parametrize(
    "returned",
    [
        pytest.param(lambda name: name, id="a text"),
        pytest.param(lambda name: [name, Path(name)], id="a list"),
        pytest.param(lambda name: {"rows": 3, "path": (Path(name), 1.5)}, id="a dict of a tuple"),
        pytest.param(lambda name: [name] * 3000 + ["none/such/file" * 5] * 3000, id="a list in an artifact file"),
    ],
)
def test_a_file_that_a_returned_value_names_counts_by_what_it_holds(pipe, returned):
    @step
    def write(number):
        Path("out.txt").write_text(f"number {number}")
        return returned("out.txt")

    @step
    def read(named):
        while not isinstance(named, (str, Path)):
            named = next(iter(named.values() if isinstance(named, dict) else named))
            named = Path("out.txt") if named == 3 else named
        return Path(named).read_text()

    @pipe
    def sweep(number):
        return read(write(number))

    assert [sweep(number).load() for number in (1, 2, 1)] == ["number 1", "number 2", "number 1"]
    assert list(sweep(1).profile["status"]) == ["cached", "cached"]
    Path("out.txt").write_text("spoilt")
    assert sweep(1).load() == "number 1"


@pytest.mark.parametrize("kind", [str, Path])
def test_a_step_that_takes_a_list_of_files_from_another_runs_again_when_one_of_them_has_changed(pipe, kind):
    @step
    def found():
        return [kind("a.txt"), kind("b.txt")]

    @step
    def joined(paths):
        return "".join(Path(path).read_text() for path in paths)

    @pipe
    def sweep():
        return joined(found())

    Path("a.txt").write_text("a")
    Path("b.txt").write_text("b")
    assert sweep().load() == "ab"
    Path("b.txt").write_text("c")
    run = sweep()
    assert run.load() == "ac"
    assert run.why("joined") == "ran: the argument paths changed: a file that 'found' returned holds something else"


def spoil_by_a_byte(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.unlink(), id="missing"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="cut short"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes() + b"x"), id="longer"),
        pytest.param(spoil_by_a_byte, id="another byte"),
    ],
)
def test_a_damaged_artifact_is_made_anew(pipe, ran, damage):
    @step
    def make():
        ran("make")
        return np.arange(BIG, dtype=float)

    @step
    def total(values):
        ran("total")
        return float(values.sum())

    @pipe
    def sweep():
        made = make()
        return made, total(made)

    first = sweep()
    ran.since()
    damage(Path(first.steps["make"].output.path))
    run = sweep()
    assert run.load()[0].sum() == run.load()[1] == BIG * (BIG - 1) / 2
    assert ran.since() == ["make"]
    assert run.why("make") == "ran: what it returned is missing or damaged in the store"


# seeds


@pytest.fixture
def seeds(pipe):
    @step
    def seed(x):
        return get_step_context().seed

    @pipe
    def seeds(xs):
        return seed.map(xs)

    return seeds


@pytest.mark.parametrize("cache", [True, False])
def test_a_seed_depends_on_code_and_arguments_only(seeds, cache):
    sweep = seeds.with_options(enable_cache=cache)
    one, two, three = sweep([1, 2, 3]).load()
    assert len({one, two, three}) == 3
    assert sweep([3, 4, 1]).load()[::2] == [three, one]
    assert all(0 <= seed < 2**32 for seed in (one, two, three))


def test_a_seed_is_the_same_with_the_cache_on_and_off(seeds):
    assert seeds.with_options(enable_cache=False)([1, 2]).load() == seeds([1, 2]).load()


def test_equal_calls_have_seeds_of_their_own_that_come_again(seeds):
    sweep = seeds.with_options(enable_cache=False)
    first = sweep([1, 1, 1]).load()
    assert len(set(first)) == 3
    assert sweep([1, 1, 1]).load() == first
