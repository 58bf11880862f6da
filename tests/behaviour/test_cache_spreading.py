"""A second run of what is spread out, brought together pair by pair, or grown by load: over every backend."""

import pytest

from fanlab import step


@pytest.fixture
def flat(pipe, ran):
    """Words of lines, each in capitals."""

    @step
    def words(line):
        ran(f"words-{line[0]}")
        return line.split()

    @step
    def upper(word):
        ran(f"upper-{word}")
        return word.upper()

    @pipe
    def flat(lines):
        return upper.map(words.map(lines).flatten())

    return flat


@pytest.fixture
def grouped(pipe, ran):
    """The sum of the scores of each x."""

    @step
    def score(x, y):
        ran(f"score-{x}{y}")
        return x * (y // 10)

    @step
    def total(scores):
        ran(f"total-{sum(scores)}")
        return sum(scores)

    @pipe
    def grouped(xs, ys):
        return total.map(score.product(xs, ys).group_by("x"))

    return grouped


@pytest.fixture
def reduced(pipe, ran):
    """The sum of halves, pair by pair, and what follows it."""

    @step
    def half(x):
        ran(f"half{x}")
        return x // 2

    @step
    def add(a, b):
        ran(f"add{a}+{b}")
        return a + b

    @step
    def tell(value):
        ran("tell")
        return f"{value} in all"

    @pipe
    def reduced(xs):
        return tell(add.reduce(half.map(xs)))

    return reduced


@pytest.fixture
def growing(pipe, ran):
    """A value that is halved until it is small: the body waits for each."""

    @step
    def begin(x):
        ran("begin")
        return x // 2 * 2

    @step
    def half(x):
        ran(f"half{x}")
        return x // 2

    @pipe
    def growing(x):
        value = begin(x)
        while value.load() > 1:
            value = half(value)
        return half.map([value, 100])

    return growing


@pytest.fixture
def sweeps(flat, grouped, reduced, growing):
    """All of them, by name."""
    return {"flat": flat, "grouped": grouped, "reduced": reduced, "growing": growing}


@pytest.mark.parametrize(
    ("name", "arguments", "value", "branches"),
    [
        ("flat", (["a b", "c"],), ["A", "B", "C"], 5),
        ("grouped", ([1, 2], [10, 30]), {1: 4, 2: 8}, 6),
        ("reduced", ([2, 4, 6, 8, 10],), "15 in all", 10),
        ("growing", (4,), [0, 50], 5),
    ],
)
def test_the_second_run_runs_nothing(sweeps, ran, statuses, name, arguments, value, branches):
    sweep = sweeps[name]
    assert sweep(*arguments).load() == value
    assert len(ran.since()) == branches
    again = sweep(*arguments)
    assert again.load() == value
    assert ran.since() == []
    assert set(statuses(again).values()) == {"cached"}


def test_items_follow_their_own_branch(flat, ran):
    flat(["a b", "c"])
    ran.since()
    assert flat(["a d", "c"]).load() == ["A", "D", "C"]
    assert ran.since() == ["upper-d", "words-a"]


def test_a_group_follows_its_own_branches(grouped, ran):
    grouped([1, 2], [10, 30])
    ran.since()
    assert grouped([1, 3], [10, 30]).load() == {1: 4, 3: 12}
    assert ran.since() == ["score-310", "score-330", "total-12"]


def test_pairs_follow_their_own_items(reduced, ran):
    reduced([2, 4, 6, 8])
    ran.since()
    assert reduced([2, 4, 6, 10]).load() == "11 in all"
    assert ran.since() == ["add3+5", "add3+8", "half10", "tell"]


def test_a_body_that_waits_for_other_values_goes_another_way(growing, ran):
    growing(4)
    ran.since()
    assert growing(8).load() == [0, 50]
    assert ran.since() == ["begin", "half8"]


@pytest.mark.parametrize(
    ("name", "first", "then", "runs"),
    [
        ("flat", (["a b", "c"],), (["a  b", "c"],), ["words-a"]),
        ("grouped", ([1, 2], [10, 30]), ([1, 2], [11, 30]), ["score-111", "score-211"]),
        ("reduced", ([2, 4, 6],), ([2, 5, 6],), ["half5"]),
        ("growing", (4,), (5,), ["begin"]),
    ],
)
def test_what_is_equal_stops_a_change_there(sweeps, ran, name, first, then, runs):
    sweep = sweeps[name]
    value = sweep(*first).load()
    ran.since()
    assert sweep(*then).load() == value
    assert ran.since() == runs


def test_the_only_item_of_a_reduce_is_passed_on_and_what_follows_is_found(reduced, ran, statuses):
    assert reduced([4]).load() == "2 in all"
    assert ran.since() == ["half4", "tell"]
    again = reduced([5])
    assert again.load() == "2 in all"
    assert ran.since() == ["half5"]
    assert statuses(again) == {"half[0]": "completed", "add": "completed", "tell": "cached"}


def test_a_reduce_of_one_item_says_that_there_is_nothing_to_run(reduced):
    before = repr(reduced.plan([4])).splitlines()
    assert before == [
        "reduced: 1 to run, 1 to be seen",
        "  half  runs: first run",
        "  add   nothing to run: its only item is its value",
        "  tell  depends on 'add'",
    ]
    for run in (reduced([4]), reduced([4])):
        found = run.profile.loc["add"]
        assert (found["status"], found["reason"]) == ("completed", "nothing to run: its only item is its value")
        assert found[["attempts", "worker", "start", "end", "seconds"]].isna().all()
        assert run.why("add") == "nothing to run: its only item is its value"
        assert (run["add"].attempts, run["add"].load()) == (0, 2)
    assert repr(reduced.plan([4])).splitlines() == [
        "reduced: 2 cached",
        "  half  cached",
        "  add   nothing to run: its only item is its value",
        "  tell  cached",
    ]
    assert reduced.plan([4]).nodes["add"].status == "passes on"
    assert reduced.plan([4]).seconds == 0
