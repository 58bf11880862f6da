"""Fan-outs over items, groups and pairs, on every executor."""

import time
from pathlib import Path

import pandas as pd
import pytest

from fanlab import get_step_context, step, unmapped


@step
def words(line):
    return line.split()


@step
def upper(word):
    return word.upper()


@step
def letters(word):
    return list(word)


@step
def gather(xs):
    return xs


@step
def add(a, b):
    return a + b


@step
def size(xs):
    return len(xs)


def test_a_map_over_items_is_as_long_as_they_are_together_and_in_order(pipe):
    @pipe
    def sweep():
        return upper.map(words.map(["a b", "", "c a b"]).flatten())

    run = sweep()

    assert run.load() == ["A", "B", "C", "A", "B"]
    assert list(run.results.index)[3:] == ["upper[0,0]", "upper[0,1]", "upper[2,0]", "upper[2,1]", "upper[2,2]"]


def test_items_of_a_keyed_fan_out_are_keyed_all_the_way(pipe):
    @pipe
    def sweep():
        found = upper.map(words.map({"us": "a b", "de": ""}).flatten())
        return found, gather(found), gather(words.map({"us": "a b"}).flatten())

    ours, theirs, flat = sweep().load()

    assert ours == theirs == {("us", 0): "A", ("us", 1): "B"}
    assert flat == {("us", 0): "a", ("us", 1): "b"}


def test_maps_nest_three_deep_over_ragged_and_empty_lists(pipe):
    @pipe
    def sweep():
        return upper.map(letters.map(words.map(["ab c", "", "def g"]).flatten()).flatten())

    run = sweep()

    assert "".join(run.load()) == "ABCDEFG"
    assert [name for name in run.steps if name.startswith("upper")][:3] == [
        "upper[0,0,0]",
        "upper[0,0,1]",
        "upper[0,1,0]",
    ]


def test_zero_items_make_zero_branches(pipe):
    @pipe
    def sweep():
        return gather(upper.map(words.map(["", ""]).flatten())), gather(upper.map(words.map([]).flatten()))

    assert sweep().load() == ([], [])


def test_a_map_over_items_does_not_wait_for_a_slow_branch(pipe, until, request):
    if "sequential" in request.node.name:
        pytest.skip("it runs one branch at a time")
    flag = Path("first").absolute()

    @step
    def lists(i):
        limit = time.monotonic() + 60
        while i == 0 and not flag.exists():  # until an item of the other branch has run
            assert time.monotonic() < limit
            time.sleep(0.005)
        return [i, i]

    @step
    def note(i):
        flag.touch()
        return i

    @pipe
    def sweep():
        return note.map(lists.map([0, 1]).flatten())

    assert sweep().load() == [0, 0, 1, 1]


def test_items_of_several_outputs_meet_without_waiting_for_a_slow_branch(pipe, until, request):
    if "sequential" in request.node.name:
        pytest.skip("it runs one branch at a time")
    flag = Path("first").absolute()

    @step
    def pairs(i):
        limit = time.monotonic() + 60
        while i == 0 and not flag.exists():  # until an item of the other branch has run
            assert time.monotonic() < limit
            time.sleep(0.005)
        return {"a": i, "b": i}, [i + 1] * 2

    @step
    def both(low, high):
        flag.touch()
        return (low, high)

    @pipe
    def sweep():
        low, high = pairs.map([0, 1]).unpack(2)
        return both.map(low.flatten(), high.flatten())

    assert sweep().load() == {(0, "a"): (0, 1), (0, "b"): (0, 1), (1, "a"): (1, 2), (1, "b"): (1, 2)}


def test_items_of_several_outputs_that_differ_in_length_fail_in_their_place(pipe, failed):
    @step
    def pairs(i):
        return [i], [i] * i

    @pipe
    def sweep():
        low, high = pairs.map([1, 2]).unpack(2)
        return add.map(low.flatten(), high.flatten())

    error = failed(sweep)
    assert str(error) == (
        "add[1] failed: FanOutError: the mapped arguments of 'add' over the items of 'pairs[1]' differ in length: "
        "a has 1, b has 2\n"
        f"  where: test_spreading.py, line {sweep.__wrapped__.__code__.co_firstlineno + 3}\n"
        "  do:    give them equal lengths, mark a shared one with unmapped(...), or combine them with .product(...)"
    )
    assert error.run["add[0,0]"].load() == 2


def test_a_failed_branch_has_no_items_and_the_others_go_on(pipe, failed):
    @step
    def lists(i):
        if i == 1:
            raise ValueError("no list")
        return [i, i]

    @pipe
    def sweep():
        found = add.map(lists.map([0, 1, 2]).flatten(), unmapped(1))
        return gather(found), gather(found.successful())

    run = failed(sweep).run

    assert {name: row.status for name, row in run.steps.items()} == {
        "lists[0]": "completed",
        "lists[1]": "failed",
        "lists[2]": "completed",
        "add[0,0]": "completed",
        "add[0,1]": "completed",
        "add[1]": "skipped",
        "add[2,0]": "completed",
        "add[2,1]": "completed",
        "gather": "skipped",
        "gather_2": "completed",
    }
    assert run["gather_2"].load() == [1, 1, 3, 3]


def test_a_value_that_is_no_list_fails_in_the_place_of_its_items(pipe, failed):
    @step
    def maybe(i):
        return [i] if i else i

    @pipe
    def sweep():
        return add.map(maybe.map([0, 1]).flatten(), unmapped(1))

    error = failed(sweep)

    assert str(error) == (
        "add[0] (b=1) failed: FanOutError: 'add' maps over the output of 'maybe[0]', which is a int\n"
        f"  where: test_spreading.py, line {sweep.__wrapped__.__code__.co_firstlineno + 2}\n"
        "  do:    let 'maybe' return a list, range, dict, tuple or 1-D array"
    )
    assert error.run["add[1,0]"].load() == 2


def test_a_product_over_items_and_a_list(pipe):
    @pipe
    def sweep():
        return add.product(words.map(["a b", "c"]).flatten(), ["x", "y"])

    assert sweep().load() == ["ax", "ay", "bx", "by", "cx", "cy"]


def test_two_maps_over_the_same_items_meet_item_by_item(pipe):
    @pipe
    def sweep():
        items = words.map(["a b", "c"]).flatten()
        return add.map(upper.map(items), upper.map(items, id="again"))

    assert sweep().load() == ["AA", "BB", "CC"]


def test_items_with_a_template_or_a_probe_are_named_when_all_are_known(pipe):
    @pipe
    def sweep():
        items = words.map(["a b", "c"]).flatten()
        upper.map(items, id="{word}")
        upper.map(items, probe=True)

    assert [name for name in sweep().steps if name.startswith("upper")] == [
        "upper[a]", "upper[b]", "upper[c]", "upper_2[0,0]", "upper_2[0,1]", "upper_2[1,0]",
    ]  # fmt: skip


def test_groups_are_keyed_by_their_values_in_the_order_of_the_first(pipe):
    @step
    def score(x, alpha):
        return x * alpha

    @pipe
    def sweep():
        return gather.map(score.product(x=[2, 1], alpha=[1, 10]).group_by("x"))

    run = sweep()

    assert run.load() == {2: [2, 20], 1: [1, 10]}
    assert list(run.results.index)[-2:] == ["gather[2]", "gather[1]"]


def test_words_are_counted_by_map_items_groups_and_reduce(pipe):
    @step
    def one(word):
        return {word: 1}

    @pipe
    def sweep():
        ones = one.map(words.map(["a b", "b c b"]).flatten())
        return size.map(ones.group_by("word")), add.reduce(size.map(ones.group_by("word"), id="sizes"))

    assert sweep().load() == ({"a": 1, "b": 3, "c": 1}, 5)


def test_a_group_starts_when_it_is_complete(pipe, request):
    if "sequential" in request.node.name:
        pytest.skip("it runs one branch at a time")
    flag = Path("grouped").absolute()

    @step
    def slow(x, i):
        limit = time.monotonic() + 60
        while x == "b" and not flag.exists():
            assert time.monotonic() < limit
            time.sleep(0.005)
        return i

    @step
    def note(xs):
        flag.touch()
        return xs

    @pipe
    def sweep():
        return note.map(slow.map(["b", "a", "a"], range(3)).group_by("x"))

    assert sweep().load() == {"b": [0], "a": [1, 2]}


def test_a_failure_takes_only_its_group(pipe, failed):
    @step
    def inverse(x, y):
        return 1 / y

    @pipe
    def sweep():
        return gather.map(inverse.map(["a", "b", "a"], [1, 0, 2]).group_by("x"))

    run = failed(sweep).run

    assert {name: row.status for name, row in run.steps.items() if name.startswith("gather")} == {
        "gather[a]": "completed",
        "gather[b]": "skipped",
    }


def test_groups_by_a_computed_argument(pipe):
    @step
    def parity(n):
        return n % 2

    @pipe
    def sweep():
        return gather.map(add.map(parity.map(range(5)), range(5)).group_by("a"))

    assert sweep().load() == {0: [0, 2, 4], 1: [2, 4]}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16])
def test_a_reduce_is_one_row_and_keeps_the_order_of_its_items(pipe, count):
    @pipe
    def sweep():
        return add.reduce(upper.map([chr(97 + i) for i in range(count)]))

    run = sweep()

    assert run.load() == "ABCDEFGHIJKLMNOP"[:count]
    assert list(run.results.index)[count:] == ["add"]
    assert list(run.profile.index) == list(run.results.index)


def test_a_reduce_takes_lists_outputs_items_and_what_succeeded(pipe):
    @step
    def odd(x):
        return 1 // (x % 2)

    @pipe
    def sweep():
        return (
            add.reduce([1, 2, upper.map(["a"]) and 3]),
            add.reduce(words("x y z")),
            add.reduce(words.map(["a b", "c"]).flatten()),
            add.reduce(odd.map(range(5)).successful()),
            add.reduce(upper.map({"k": "a", "l": "b"})),
        )

    assert sweep().load() == (6, "xyz", "abc", 2, "AB")


def test_a_failed_call_of_a_reduce_is_named_and_the_reduce_is_one_failed_row(pipe, failed):
    @pipe
    def sweep():
        return add.reduce([1, 2, "x", 4])

    error = failed(sweep)

    assert str(error).startswith("add[0,1] failed: TypeError: ")
    assert list(error.run.results["status"]) == ["failed"]


def test_what_a_reduce_of_nothing_says(pipe, failed):
    @pipe
    def sweep():
        return add.reduce(words(""))

    assert str(failed(sweep)) == (
        "add failed: FanOutError: 'add' has nothing to reduce: there are no items\n"
        f"  where: test_spreading.py, line {sweep.__wrapped__.__code__.co_firstlineno + 2}\n"
        "  do:    give it at least one, or put a first value in front of the items"
    )


def test_the_calls_of_a_reduce_know_their_names_and_write_to_its_log(pipe):
    @step
    def join(a, b):
        print(get_step_context().step_name)
        return a + b

    @pipe
    def sweep():
        return join.reduce([1, 2, 3])

    assert sorted(sweep().logs("join")) == ["join[0,0]", "join[1,0]"]


def test_several_fan_outs_and_values_meet_in_one_fan_in(pipe):
    @step
    def meet(a, b, table, c, d):
        return a, b, list(table.index), c, d

    @pipe
    def sweep():
        fits = upper.map({"us": "x", "de": "y"})
        return meet(fits, [size("abc"), words.map(["p q"])], fits.results, words.map(["p q"]).flatten(), fits["de"])

    assert sweep().load() == (
        {"us": "X", "de": "Y"},
        [3, [["p", "q"]]],
        ["upper[us]", "upper[de]"],
        ["p", "q"],
        "Y",
    )


def test_records_of_a_frame_are_mapped_with_items(pipe):
    @pipe
    def sweep():
        return add.map_records(pd.DataFrame({"a": [1, 2], "b": [10, 20]}))

    assert sweep().load() == [11, 22]


def test_resume_takes_over_items_groups_and_pairs(pipe, failed):
    @step
    def risky(word):
        with open(f"ran-{word}", "a") as file:
            file.write(".")
        if word == "b" and not Path("mended").exists():
            raise ValueError("not yet")
        return word

    @pipe
    def sweep():
        found = risky.map(words.map(["a b", "c"]).flatten())
        return add.reduce(found), gather.map(found.group_by("word"))

    run = failed(sweep).run
    Path("mended").touch()
    again = run.resume()

    assert again.load() == ("abc", {"a": ["a"], "b": ["b"], "c": ["c"]})
    assert {path.name: path.read_text() for path in Path.cwd().glob("ran-*")} == {
        "ran-a": ".",
        "ran-b": "..",
        "ran-c": ".",
    }


def test_a_call_of_a_reduce_is_found_by_its_name_with_its_inputs_and_can_be_debugged(pipe, failed):
    @pipe
    def sweep():
        return add.reduce([1, 2, "x", 4, 5])

    run = failed(sweep).run

    assert [run[f"add[{place}]"].status for place in ("0,0", "0,1", "1,0", "2,0")] == [
        "completed",
        "failed",
        "skipped",
        "skipped",
    ]
    assert list(run["add[0,1]"].inputs.values()) == ["x", 4]
    assert run["add[0,0]"].load() == 3
    with pytest.raises(TypeError):
        run["add[0,1]"].debug()


def test_branches_of_items_and_groups_tell_their_inputs(pipe):
    @pipe
    def sweep():
        ones = upper.map(words.map(["a b", "a"]).flatten())
        gather.map(ones.group_by("word"))
        add.reduce(ones)

    run = sweep()

    assert run["upper[0,1]"].inputs == {"word": "b"}
    assert run["gather[a]"].inputs == {"xs": ["A", "A"]}
    assert run["add"].inputs == {"items": ["A", "B", "A"]}
    assert run["gather[a]"].debug() == ["A", "A"]


def test_a_running_call_of_a_reduce_finds_its_own_step_run(pipe):
    @step
    def join(a, b):
        return f"{a}{b}{get_step_context().step_run.name}"

    @pipe
    def sweep():
        return join.reduce([1, 2])

    assert sweep().load() == "12join[0,0]"


def test_records_that_are_computed_are_mapped_when_they_are_there(pipe):
    @step
    def rows(kind):
        found = [{"a": 1, "b": 10}, {"a": 2, "b": 20}]
        return {"list": found, "frame": pd.DataFrame(found), "keyed": {"us": found[0], "de": found[1]}, "no": []}[kind]

    @step
    def row(i):
        return {"a": i, "b": i * 100}

    @step
    def minus(a, b, c):
        return a - b - c

    @pipe
    def sweep():
        return (
            add.map_records(rows("list")),
            add.map_records(rows("frame"), id="{a}"),
            gather(add.map_records(rows("keyed"))),
            gather(add.map_records(rows("no"))),
            add.map_records(row.map([1, 2])),
            minus.map_records(row.map({"x": 1}), c=gather(1)),
        )

    run = sweep()

    assert run.load() == ([11, 22], [11, 22], {"us": 11, "de": 22}, [], [101, 202], {"x": -100})
    assert [name for name in run.steps if name.startswith("add_2")] == ["add_2[1]", "add_2[2]"]


def test_computed_rows_that_are_no_records_or_do_not_fit_fail_their_map(pipe, failed):
    @step
    def rows(kind):
        return 3 if kind == "number" else [{"a": 1, "c": 2}]

    @pipe
    def sweep(kind):
        return add.map_records(rows(kind))

    line = sweep.__wrapped__.__code__.co_firstlineno + 2
    assert str(failed(sweep, "number")) == (
        "add failed: FanOutError: add.map_records() takes a list of dicts, a DataFrame or a ParameterGrid, not int\n"
        f"  where: test_spreading.py, line {line}\n"
        "  do:    use .map(...) for lists of values"
    )
    assert str(failed(sweep, "fields")).startswith(
        "add failed: StepCallError: step 'add' .map_records() missing a required argument: 'b'\n"
    )
