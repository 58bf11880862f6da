"""The schedule, tried on random graphs with random orders of finishing against a model without any cleverness."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fanlab.core.events import Status
from fanlab.core.expand import CALL, Shape, Source, combine
from fanlab.core.losses import Dropped
from fanlab.core.schedule import Schedule
from fanlab.core.spec import Step, unmapped
from fanlab.core.trace import Trace, trace
from fanlab.errors import FanOutError

GOOD = (Status.COMPLETED, Status.CACHED)
LARGEST = 40  # branches of one node in a random graph
MANY = settings(
    max_examples=800, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
SOME = settings(MANY, max_examples=300)


def work(*args, **kwargs):
    return args


WORK = Step(work, "work")


def recorded(body) -> Trace:
    return trace("sweep", body, (), {})


# ---------------------------------------------------------------------------------------------------------------------
# random pipelines: a list of Calls, each of which refers to earlier ones by position
#
# A reference is (j, None) for the whole of call j, or (j, k) for its branch k. An argument is one of
#   ("items", [references or None, ...])   a literal list; None stands for an item that is a plain value
#   ("output", j)                          the value of the plain call j
#   ("branches", j)                        the branches of the fan-out j
#   ("shared", reference)                  what all branches share


@dataclass
class Call:
    kind: str
    arguments: list
    after: list  # references
    later: int | None  # a call further down that this one comes after, by name
    length: int | None  # how many items its value has; None: it is no list
    fails: frozenset  # branches that fail if they run
    known: int | None = 1  # how many branches, if the body can tell
    most: int = 1


def mapped(call: Call) -> list:
    return [argument for argument in call.arguments if call.kind != "call" and argument[0] != "shared"]


def gates(calls: list[Call], i: int) -> list:
    """What the whole of call i waits for."""
    call = calls[i]
    found = list(call.after)
    for form, value in call.arguments:
        if form == "shared":
            found.append(value)
        elif call.kind == "call" and form == "items":
            found += [reference for reference in value if reference is not None]
        elif form == "output" or call.kind == "call":
            found.append((value, None))
    if call.later is not None:
        found.append((call.later, None))
    return found


def reached(calls: list[Call], i: int) -> set[int]:
    """Everything that call i depends on, itself too."""
    found, waiting = {i}, [i]
    while waiting:
        j = waiting.pop()
        new = {source for source, _ in gates(calls, j)}
        for form, value in mapped(calls[j]):
            new |= {r[0] for r in value if r is not None} if form == "items" else {value}
        waiting += new - found
        found |= new
    return found


class Tape:
    """Choices read off drawn bytes, so that drawing a pipeline is fast and a smaller tape is a simpler pipeline."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def pick(self, options):
        self.at += 1
        return options[(self.data[self.at - 1] if self.at <= len(self.data) else 0) % len(options)]

    def often(self, one_in: int) -> bool:
        return self.pick(range(one_in)) == one_in - 1


def pipeline_of(data: bytes) -> list[Call]:
    tape = Tape(data)
    calls: list[Call] = []
    count = tape.pick(range(1, 11))
    laters = []
    for i in range(count):
        kind = tape.pick(["call", "map", "product", "map", "call", "product"])
        fewest = 0 if kind == "call" else 1
        arguments = [_argument(tape, calls) for _ in range(tape.pick([fewest, 1, 2, 2]))]
        after = [_reference(tape, calls) for _ in range(tape.pick([0, 0, 0, 0, 1, 2]))] if i else []
        call = Call(kind, arguments, after, None, tape.pick([2, 2, 2, 2, 3, 3, 1, 0, None]), frozenset())
        if kind != "call":
            _give_size(calls, call)
            if i and tape.often(6):
                call.arguments.append(("shared", _reference(tape, calls)))
        call.fails = frozenset(tape.pick(range(4)) for _ in range(tape.pick([0, 0, 0, 1, 2])))
        if i + 1 < count and tape.often(8):
            laters.append((i, tape.pick(range(i + 1, count))))
        calls.append(call)
    for i, later in laters:
        if i not in reached(calls, later):
            calls[i].later = later
    return calls


def _reference(tape: Tape, calls: list[Call]) -> tuple[int, int | None]:
    j = tape.pick(range(len(calls) - 1, -1, -1))
    branches = min(calls[j].known or 0, 4) if calls[j].kind != "call" else 0
    return j, tape.pick([None, *range(branches)])


def _argument(tape: Tape, calls: list[Call]) -> tuple:
    plain = [j for j, call in enumerate(calls) if call.kind == "call"]
    fans = [j for j, call in enumerate(calls) if call.kind != "call"]
    form = tape.pick(["items", "branches", "output", "branches", "output"])
    if form == "branches" and fans:
        return form, tape.pick(fans[::-1])
    if form == "output" and plain:
        return form, tape.pick(plain[::-1])
    size = tape.pick([2, 2, 2, 3, 3, 1, 0])
    return "items", [_reference(tape, calls) if calls and tape.often(3) else None for _ in range(size)]


def pipelines():
    return st.binary(min_size=150, max_size=150).map(pipeline_of)


def _give_size(calls: list[Call], call: Call) -> None:
    """Keep a fan-out small, and one of known lengths free of lengths that differ."""

    def known(argument):
        form, value = argument
        return len(value) if form == "items" else calls[value].known if form == "branches" else None

    def most(argument):
        form, value = argument
        return len(value) if form == "items" else calls[value].most if form == "branches" else 3

    sizes = [known(argument) for argument in call.arguments]
    if call.kind == "map" and None not in sizes and len(set(sizes)) > 1:
        call.arguments = [call.arguments[0], ("items", [None] * sizes[0])]
    if call.kind == "product" and most(call.arguments[0]) * most(call.arguments[-1]) > LARGEST:
        call.arguments = call.arguments[:1]
    sizes = [known(argument) for argument in call.arguments]
    mosts = [most(argument) for argument in call.arguments]
    call.most = mosts[0] * mosts[-1] if call.kind == "product" and len(mosts) > 1 else max(mosts)
    if None in sizes:
        call.known = None
    elif call.kind == "product":
        call.known = sizes[0] * sizes[1] if len(sizes) > 1 else sizes[0]
    else:
        call.known = sizes[0]


def record(calls: list[Call]) -> Trace:
    def body():
        made = []

        def refer(reference):
            if reference is None:
                return 0
            j, k = reference
            return made[j] if k is None else made[j][k]

        def give(form, value):
            if form == "items":
                return [refer(reference) for reference in value]
            return unmapped(refer(value)) if form == "shared" else made[value]

        for i, call in enumerate(calls):
            arguments = [give(*argument) for argument in call.arguments]
            after = [refer(reference) for reference in call.after]
            if call.later is not None:
                after.append(f"n{call.later}")
            make = {"call": WORK, "map": WORK.map, "product": WORK.product}[call.kind]
            made.append(make(*arguments, id=f"n{i}", after=after))

    return recorded(body)


# ---------------------------------------------------------------------------------------------------------------------
# the model: what must come of it, whatever the order


@dataclass
class Expected:
    """`size` None: it never gets branches. `loose`: depending on the order, it is dropped before its size is known."""

    size: int | None
    branches: dict[int, Status] = field(default_factory=dict)
    needs: dict[int, list] = field(default_factory=dict)  # references, by branch
    whole: frozenset = frozenset()  # statuses that the node may get as a whole
    loose: bool = False
    blocked: bool = False  # something that the whole node waits for is lost

    def lost(self, k: int | None) -> bool:
        if self.size is None:
            return True
        if k is not None:
            return self.branches[k] != Status.COMPLETED
        return self.blocked or any(status != Status.COMPLETED for status in self.branches.values())


def expect(calls: list[Call]) -> list[Expected]:
    found: dict[int, Expected] = {}

    def get(i: int) -> Expected:
        if i not in found:
            found[i] = compute(i)
        return found[i]

    def compute(i: int) -> Expected:
        call = calls[i]
        blocked = any(get(j).lost(k) for j, k in gates(calls, i))
        sources = mapped(call)
        lengths, items, unsized, broken = [], [], False, False
        loose = blocked and call.kind != "call" and call.known is None
        for form, value in sources:
            if form == "items":
                items.append([[] if reference is None else [reference] for reference in value])
            elif form == "output":
                unsized |= get(value).lost(None)
                broken |= calls[value].length is None
                items.append([[]] * (calls[value].length or 0))
            else:
                source = get(value)
                loose |= source.loose
                unsized |= source.size is None
                items.append([[(value, k)] for k in range(source.size or 0)])
            lengths.append(len(items[-1]))
        if unsized:
            return Expected(None, whole=frozenset([Status.SKIPPED]), blocked=blocked)
        if broken or (call.kind == "map" and len(set(lengths)) > 1):
            either = [Status.SKIPPED] if loose else []
            return Expected(None, whole=frozenset([Status.FAILED, *either]), loose=loose, blocked=blocked)
        if call.kind == "call":
            rows = [()]
        elif call.kind == "map":
            rows = list(zip(*items, strict=True))
        else:
            rows = list(itertools.product(*items))
        result = Expected(len(rows), loose=loose, blocked=blocked, whole=frozenset([Status.SKIPPED] if loose else []))
        for k, row in enumerate(rows):
            result.needs[k] = [*gates(calls, i), *itertools.chain(*row)]
            lost = any(get(j).lost(b) for j, b in result.needs[k])
            result.branches[k] = Status.SKIPPED if lost else Status.FAILED if k in call.fails else Status.COMPLETED
        return result

    return [get(i) for i in range(len(calls))]


def depths(calls: list[Call]) -> list[int]:
    direct = []
    for i, call in enumerate(calls):
        sources = {j for j, _ in gates(calls, i)}
        for form, value in mapped(call):
            sources |= {r[0] for r in value if r is not None} if form == "items" else {value}
        direct.append(sources)

    def depth(i):
        return 1 + max((depth(j) for j in direct[i]), default=-1)

    return [depth(i) for i in range(len(calls))]


# ---------------------------------------------------------------------------------------------------------------------
# a run of it: everything that a runner may do, in a random order, checked at each move


class Play:
    def __init__(self, calls: list[Call], seed: int, again: float = 0.0) -> None:
        self.calls, self.expected, self.depths = calls, expect(calls), depths(calls)
        self.random, self.again = random.Random(seed), again
        self.trace = record(calls)
        self.schedule = Schedule(self.trace.graph)
        self.sizes: dict[int, int] = {}
        self.whole: dict[int, Status] = {}
        self.final: dict[tuple[int, int], Status] = {}
        self.started: set[tuple[int, int]] = set()
        self.running: set[tuple[int, int]] = set()
        self.settle()

    def settle(self) -> None:
        """Answer what is asked, and take in what is dropped."""
        for name in self.schedule.expandable():
            self.expand(int(name[1:]))
            self.take_drops()
        self.take_drops()

    def expand(self, i: int) -> None:
        assert i not in self.sizes
        assert i not in self.whole
        shape = self.trace.shapes.get(f"n{i}") or self.shape(i)
        if shape is None:
            self.schedule.fail(f"n{i}")
            return
        self.schedule.expand(f"n{i}", shape)
        self.sizes[i] = shape.size

    def shape(self, i: int) -> Shape | None:
        call, sources = self.calls[i], []
        if call.kind == "call":
            return CALL
        for position, (form, value) in enumerate(mapped(call)):
            if form == "output":
                assert self.final[value, 0] in GOOD, "asked for a size before the value was there"
                length = self.calls[value].length
                if length is None:
                    return None
            else:
                length = len(value) if form == "items" else self.sizes[value]
            sources.append(Source(f"x{position}", length))
        try:
            return combine(call.kind, f"n{i}", sources)
        except FanOutError:
            return None

    def take_drops(self) -> None:
        for drop in self.schedule.dropped:
            self.drop(drop)

    def drop(self, drop: Dropped) -> None:
        i = int(drop.node[1:])
        if drop.stop is None:
            assert i not in self.sizes
            assert i not in self.whole
            self.whole[i] = drop.status
            return
        for k in range(drop.start, drop.stop):
            assert (i, k) not in self.started, "dropped after it had started"
            self.end(i, k, drop.status)

    def end(self, i: int, k: int, status: Status) -> None:
        assert (i, k) not in self.final, "ended twice"
        self.final[i, k] = status

    def complete(self, reference) -> bool:
        i, k = reference
        if i not in self.sizes:
            return False
        if k is not None:
            return self.final.get((i, k)) in GOOD
        if not self.sizes[i]:
            return all(self.complete(gate) for gate in gates(self.calls, i))
        return all(self.final.get((i, b)) in GOOD for b in range(self.sizes[i]))

    def ready(self) -> dict[int, int]:
        """How many branches of each call may start now, by the model."""
        counts = {}
        for i, size in self.sizes.items():
            free = [
                k
                for k in range(size)
                if (i, k) not in self.started
                and (i, k) not in self.final
                and all(self.complete(reference) for reference in self.expected[i].needs[k])
            ]
            if free:
                counts[i] = len(free)
        return counts

    def start(self, i: int) -> None:
        most = self.random.randint(1, 4)
        start, stop = self.schedule.take(f"n{i}", most)
        assert 0 < stop - start <= most
        for k in range(start, stop):
            assert (i, k) not in self.started, "started twice"
            assert (i, k) not in self.final, "started after it was dropped"
            assert all(self.complete(reference) for reference in self.expected[i].needs[k]), "started too early"
            self.started.add((i, k))
            self.running.add((i, k))

    def finish_some(self) -> None:
        i, start = self.random.choice(sorted(self.running))
        if self.random.random() < self.again:
            self.schedule.again(f"n{i}", start)
            self.running.remove((i, start))
            self.started.remove((i, start))
            return
        stop, most = start + 1, self.random.randint(1, 4)
        while (i, stop) in self.running and stop - start < most:
            stop += 1
        good = self.random.choice(GOOD)
        statuses = [Status.FAILED if k in self.calls[i].fails else good for k in range(start, stop)]
        for k, status in zip(range(start, stop), statuses, strict=True):
            self.running.remove((i, k))
            self.end(i, k, status)
        self.schedule.finish(f"n{i}", start, bytes(statuses))

    def step(self) -> bool:
        """One move at random; False where there is none left."""
        ready = self.ready()
        for i in self.sizes:
            assert self.schedule.waiting(f"n{i}") == ready.get(i, 0), f"n{i} holds back or offers too much"
        name = self.schedule.next()
        assert name == (min((-self.depths[i], i, f"n{i}") for i in ready)[2] if ready else None)
        if name is not None and (not self.running or self.random.random() < 0.5):
            self.start(int(name[1:]))
        elif self.running:
            self.finish_some()
        else:
            return False
        self.settle()
        return True

    def fates(self) -> None:
        """Compare everything with the model."""
        assert self.schedule.done
        assert not self.running
        assert not list(self.schedule.expandable())
        for i, expected in enumerate(self.expected):
            if i in self.whole:
                assert self.whole[i] in expected.whole
                continue
            assert self.sizes.get(i) == expected.size
            got = {k: self.final.get((i, k)) for k in range(self.sizes[i])}
            assert {k: Status.COMPLETED if status in GOOD else status for k, status in got.items()} == expected.branches


def playable(calls: list[Call]) -> bool:
    """Leave out what the design does not settle: fan-outs without branches behind a failure or beside references."""
    expected = expect(calls)
    for i, call in enumerate(calls):
        if call.kind == "product" and expected[i].size == 0:
            for form, value in mapped(call):
                if form == "items" and any(reference is not None for reference in value):
                    return False
                if form == "branches" and expected[value].size:
                    return False
        for form, value in mapped(call):
            if form == "branches" and expected[value].blocked and not expected[value].size:
                return False
    return True


@MANY
@given(calls=pipelines(), seed=st.integers(0, 2**32))
def test_whatever_the_order_each_branch_starts_once_after_its_inputs_and_exactly_the_dependents_of_failures_are_skipped(
    calls, seed
):
    assume(playable(calls))
    play = Play(calls, seed)

    while play.step():
        pass

    play.fates()


@SOME
@given(calls=pipelines(), seed=st.integers(0, 2**32))
def test_branches_that_have_to_start_again_change_nothing_in_the_end(calls, seed):
    assume(playable(calls))
    play = Play(calls, seed, again=0.3)

    while play.step():
        pass

    play.fates()


@SOME
@given(calls=pipelines(), seed=st.integers(0, 2**32), moves=st.integers(0, 40))
def test_a_stop_at_any_moment_cancels_what_has_not_started_and_ends_when_running_branches_do(calls, seed, moves):
    assume(playable(calls))
    play = Play(calls, seed)
    for _ in range(moves):
        play.step()
    ended, whole, running = dict(play.final), dict(play.whole), set(play.running)

    play.schedule.stop()
    play.settle()

    assert play.schedule.next() is None
    assert play.schedule.done == (not running)
    while play.running:
        play.finish_some()
        play.settle()
        assert play.schedule.next() is None
    assert play.schedule.done
    for i in range(len(calls)):
        if i not in play.sizes:
            assert play.whole[i] == whole.get(i, Status.CANCELLED)
            continue
        for k in range(play.sizes[i]):
            ran = Status.FAILED if k in calls[i].fails else GOOD
            if (i, k) in ended:
                assert play.final[i, k] == ended[i, k]
            elif (i, k) in running:
                assert play.final[i, k] in (ran if ran is GOOD else [ran])
            else:
                assert play.final[i, k] == Status.CANCELLED


# ---------------------------------------------------------------------------------------------------------------------
# single claims


def opened(body, **shapes: Shape) -> Schedule:
    """A schedule of a body; nodes whose branches the body cannot tell take them from `shapes`, where they are there."""
    traced = recorded(body)
    schedule = Schedule(traced.graph)
    for name in schedule.expandable():
        schedule.expand(name, traced.shapes.get(name) or shapes[name])
    return schedule


def step(name: str) -> Step:
    return Step(work, name)


def good(count: int) -> bytes:
    return bytes([Status.COMPLETED]) * count


A, B, C, D = step("a"), step("b"), step("c"), step("d")
FAILED = bytes([Status.FAILED])


def test_a_branch_of_a_map_of_a_map_is_ready_as_soon_as_its_own_input_is():
    schedule = opened(lambda: B.map(A.map([1, 2, 3])))
    schedule.take("a", 3)

    schedule.finish("a", 1, good(1))

    assert schedule.next() == "b"
    assert schedule.take("b", 10) == (1, 2)


def test_a_fan_in_waits_for_every_branch():
    schedule = opened(lambda: B(A.map([1, 2])))
    schedule.take("a", 2)

    schedule.finish("a", 0, good(1))
    early = schedule.next()
    schedule.finish("a", 1, good(1))

    assert (early, schedule.next()) == (None, "b")


def test_a_call_that_takes_one_branch_does_not_wait_for_the_others():
    schedule = opened(lambda: B(A.map([1, 2])[1]))
    schedule.take("a", 2)

    schedule.finish("a", 1, good(1))

    assert schedule.next() == "b"


def test_a_cached_branch_counts_as_completed():
    schedule = opened(lambda: B(A()))
    schedule.take("a", 1)

    schedule.finish("a", 0, bytes([Status.CACHED]))

    assert schedule.next() == "b"


def test_the_branches_of_a_map_over_an_output_are_asked_for_when_its_value_is_there():
    schedule = opened(lambda: B.map(A()))
    schedule.take("a", 1)

    before = list(schedule.expandable())
    schedule.finish("a", 0, good(1))

    assert (before, list(schedule.expandable())) == ([], ["b"])


def test_the_branches_of_a_map_of_a_map_over_an_output_are_asked_for_when_those_it_maps_over_are_told():
    schedule = opened(lambda: C.map(B.map(A())))
    schedule.take("a", 1)
    schedule.finish("a", 0, good(1))

    asked = []
    for name in schedule.expandable():
        asked.append(name)
        schedule.expand(name, Shape(2, None, ((1, 2),)))

    assert asked == ["b", "c"]
    assert schedule.next() == "b"


def test_a_fan_in_of_no_branches_starts_at_once():
    schedule = opened(lambda: B(A.map([])))

    assert schedule.next() == "b"


def test_a_fan_in_of_no_branches_waits_for_what_they_come_after():
    def body():
        first = C()
        B(A.map([], after=first))

    schedule = opened(body)
    schedule.take("c", 1)

    early = schedule.next()
    schedule.finish("c", 0, good(1))

    assert (early, schedule.next()) == (None, "b")


def test_a_failed_branch_takes_only_its_own_line_of_a_map_of_maps_and_the_fan_in_with_it():
    schedule = opened(lambda: D(C.map(B.map(A.map([1, 2, 3])))))
    schedule.take("a", 3)

    schedule.finish("a", 0, good(1) + FAILED + good(1))

    assert sorted(schedule.dropped) == [
        ("b", 1, 2, Status.SKIPPED, "a"),
        ("c", 1, 2, Status.SKIPPED, "a"),
        ("d", 0, 1, Status.SKIPPED, "a"),
    ]
    assert schedule.take("b", 10) == (0, 1)
    assert schedule.take("b", 10) == (2, 3)


def test_in_a_product_a_failed_branch_takes_every_combination_that_holds_it():
    schedule = opened(lambda: B.product(A.map([1, 2]), [7, 8, 9]))
    schedule.take("a", 2)

    schedule.finish("a", 0, FAILED + good(1))

    assert [drop[:3] for drop in schedule.dropped] == [("b", 0, 1), ("b", 1, 2), ("b", 2, 3)]
    assert schedule.take("b", 10) == (3, 6)


def test_in_a_product_a_failed_branch_of_the_last_argument_takes_one_combination_in_each_round():
    schedule = opened(lambda: B.product([7, 8, 9], A.map([1, 2])))
    schedule.take("a", 2)

    schedule.finish("a", 0, FAILED + good(1))

    assert [drop[1] for drop in schedule.dropped] == [0, 2, 4]
    assert [schedule.take("b", 10) for _ in range(3)] == [(1, 2), (3, 4), (5, 6)]


def test_a_failure_skips_what_comes_after_it():
    def body():
        A()
        B(after="a")

    schedule = opened(body)
    schedule.take("a", 1)

    schedule.finish("a", 0, FAILED)

    assert schedule.dropped == [("b", 0, 1, Status.SKIPPED, "a")]
    assert schedule.done


def test_what_would_be_mapped_over_a_failed_output_is_skipped_as_a_whole():
    schedule = opened(lambda: C.map(B.map(A())))
    schedule.take("a", 1)

    schedule.finish("a", 0, FAILED)

    assert sorted(schedule.dropped) == [("b", 0, None, Status.SKIPPED, "a"), ("c", 0, None, Status.SKIPPED, "a")]
    assert schedule.done


def test_a_node_whose_branches_cannot_be_told_fails_as_a_whole_and_its_readers_are_skipped():
    schedule = opened(lambda: C(B.map(A())))
    schedule.take("a", 1)
    schedule.finish("a", 0, good(1))
    list(schedule.expandable())

    schedule.fail("b")

    assert sorted(schedule.dropped) == [("b", 0, None, Status.FAILED, "b"), ("c", 0, 1, Status.SKIPPED, "b")]
    assert schedule.done


def test_what_has_been_dropped_is_told_once():
    schedule = opened(lambda: B(A()))
    schedule.take("a", 1)
    schedule.finish("a", 0, FAILED)

    assert [len(schedule.dropped), len(schedule.dropped)] == [1, 0]


def test_a_branch_that_starts_again_is_offered_again():
    schedule = opened(lambda: A.map([1, 2, 3]))
    schedule.take("a", 3)

    schedule.again("a", 1)

    assert schedule.next() == "a"
    assert schedule.take("a", 10) == (1, 2)
    assert not schedule.done


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_branches_that_start_again_go_before_those_that_have_not_started(order):
    schedule = opened(lambda: A.map(range(6)))
    schedule.take("a", 3)

    for branch in order:
        schedule.again("a", branch)

    taken = [schedule.take("a", 1)[0] for _ in range(6) if schedule.next()]
    assert sorted(taken[:3]) == [0, 1, 2]
    assert taken[3:] == [3, 4, 5]


def test_the_deepest_node_goes_first():
    def body():
        fits = A.map(range(100))
        B.map(fits)
        C()

    schedule = opened(body)
    schedule.take("a", 2)

    schedule.finish("a", 0, good(2))

    assert schedule.next() == "b"


def test_nodes_of_one_depth_go_in_call_order():
    schedule = opened(lambda: (C(), A(), B()))

    order = []
    while (name := schedule.next()) is not None:
        schedule.take(name, 1)
        order.append(name)

    assert order == ["c", "a", "b"]


def test_no_more_branches_start_than_are_asked_for():
    schedule = opened(lambda: A.map(range(10)))

    assert [schedule.take("a", 4), schedule.take("a", 4), schedule.take("a", 4)] == [(0, 4), (4, 8), (8, 10)]
    assert schedule.next() is None


def test_the_number_of_branches_that_are_ready_is_known():
    schedule = opened(lambda: A.map(range(10)))
    schedule.take("a", 3)

    assert schedule.waiting("a") == 7


def test_it_is_done_only_when_running_branches_have_ended():
    schedule = opened(lambda: A.map([1, 2]))
    schedule.take("a", 2)

    schedule.finish("a", 0, good(1))
    early = schedule.done
    schedule.finish("a", 1, good(1))

    assert (early, schedule.done) == (False, True)


def test_a_stop_cancels_ready_waiting_and_unsized_nodes():
    schedule = opened(lambda: (C.map(A()), D(B())))
    schedule.take("b", 1)

    schedule.stop()

    assert sorted(schedule.dropped) == [
        ("a", 0, 1, Status.CANCELLED, ""),
        ("c", 0, None, Status.CANCELLED, ""),
        ("d", 0, 1, Status.CANCELLED, ""),
    ]
    assert not schedule.done
    schedule.finish("b", 0, good(1))
    assert schedule.done


def test_a_hundred_thousand_branches_of_a_map_of_a_map_are_moved_in_ranges():
    size, batch = 100_000, 1000
    schedule = opened(lambda: C(B.map(A.map(range(size)))))
    taken = {"a": [], "b": [], "c": []}

    while (name := schedule.next()) is not None:
        start, stop = schedule.take(name, batch)
        taken[name].append((start, stop))
        schedule.finish(name, start, good(stop - start))

    ranges = [(start, start + batch) for start in range(0, size, batch)]
    assert taken == {"a": ranges, "b": ranges, "c": [(0, 1)]}
    assert schedule.done


def test_a_long_chain_of_calls_is_skipped_without_deep_recursion():
    def body():
        value = A()
        for _ in range(5000):
            value = B(value)

    schedule = opened(body)
    schedule.take("a", 1)

    schedule.finish("a", 0, FAILED)

    assert len(schedule.dropped) == 5000
    assert schedule.done


@pytest.mark.parametrize("mapped_again", [1, 2], ids=["map-of-map", "map-of-map-of-map"])
def test_a_long_line_of_failures_leaves_every_other_line_alone(mapped_again):
    size = 1000

    def body():
        value = A.map(range(size))
        for _ in range(mapped_again):
            value = B.map(value)

    schedule = opened(body)
    schedule.take("a", size)

    schedule.finish("a", 0, bytes([Status.FAILED, Status.COMPLETED]) * (size // 2))

    assert {drop.start for drop in schedule.dropped} == set(range(0, size, 2))
    assert schedule.waiting("b") == size // 2
