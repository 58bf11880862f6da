"""Random pipelines of maps, items, groups and reduces, whose batches end in any order, against a plain evaluation."""

from __future__ import annotations

import itertools
import random
from concurrent.futures import Future

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanlab.core.events import Finished
from fanlab.core.pending import Branches
from fanlab.core.record import Record
from fanlab.core.seal import Packed
from fanlab.core.spec import Step
from fanlab.core.trace import trace
from fanlab.execute.capture import AT_HOME
from fanlab.execute.runner import Job, Runner
from fanlab.execute.worker import Bench
from fanlab.store.artifacts import Artifacts
from fanlab.store.database import Store

MANY = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
FAILURE, SKIPPED = "failure", "skipped"


# What the steps do; a value that `breaks` fails its step.


def breaks(salt, value):
    return (value * 31 + salt * 17) % 11 == 0


def one(salt, x):
    if breaks(salt, x):
        raise ValueError("breaks")
    return (x * 7 + salt) % 50


def some(salt, x):
    if breaks(salt, x):
        raise ValueError("breaks")
    return [(x * 3 + i + salt) % 20 for i in range((x + salt) % 4)]


def group(salt, xs):
    return one(salt, sum(xs))


def both(salt, a, b):
    if breaks(salt, a * 2 + b):
        raise ValueError("breaks")
    return (a * 3 + b) % 1000


def total(salt, xs):
    return sum(v * (i + 1) for i, v in enumerate(xs.values() if isinstance(xs, dict) else xs)) + salt


def tried(function, *args):
    try:
        return function(*args)
    except ValueError:
        return FAILURE


def step_of(function, salt, parameters):
    """A step that does what `function` does."""
    names = ", ".join(parameters)
    scope = {"function": function, "salt": salt}
    exec(f"def step({names}):\n    return function(salt, {names})", scope)
    return Step(scope["step"], function.__name__)


# The plain evaluation: a fan-out is a list of [path, value]; a value is FAILURE, SKIPPED, or a value.


class Plain:
    """What each branch should come to, by name."""

    def __init__(self):
        self.status, self.value = {}, {}

    def put(self, name, value):
        self.value[name] = None if value in (FAILURE, SKIPPED) else value
        self.status[name] = "failed" if value == FAILURE else "skipped" if value == SKIPPED else "completed"
        return value

    def map(self, name, function, salt, stream):
        out = []
        for path, value in stream:
            found = SKIPPED if value in (FAILURE, SKIPPED) else tried(function, salt, value)
            out.append([path, self.put(f"{name}[{label(path)}]", found)])
        return out

    def items(self, stream):
        """Each item with its path; one SKIPPED for a branch that has none to give."""
        out = []
        for path, value in stream:
            if value in (FAILURE, SKIPPED):
                out.append([path, SKIPPED])
            else:
                out += [[(*path, i), item] for i, item in enumerate(value)]
        return out

    def groups(self, name, salt, arguments, stream):
        if any(argument == SKIPPED for argument in arguments):
            self.put(name, SKIPPED)
            return None
        members = {}
        for argument, (_, value) in zip(arguments, stream, strict=True):
            members.setdefault(argument, []).append(value)
        out = []
        for key, values in members.items():
            found = SKIPPED if FAILURE in values or SKIPPED in values else tried(group, salt, values)
            out.append([(key,), self.put(f"{name}[{key}]", found)])
        return out

    def reduce(self, name, salt, stream):
        level = [SKIPPED if value == FAILURE else value for _, value in stream]
        if not level:
            return self.put(name, FAILURE)
        failed = False
        while len(level) > 1:
            found = []
            for a, b in itertools.zip_longest(level[::2], level[1::2], fillvalue=None):
                value = a if b is None else SKIPPED if SKIPPED in (a, b) else tried(both, salt, a, b)
                failed = failed or value == FAILURE
                found.append(SKIPPED if value == FAILURE else value)
            level = found
        self.put(name, FAILURE if failed else level[0])
        return level[0]

    def total(self, name, salt, values):
        bad = any(value in (FAILURE, SKIPPED) for value in values)
        return self.put(name, SKIPPED if bad else total(salt, values))


def label(path):
    return ",".join(map(str, path))


class Sweep:
    """One random program, made by reading choices off drawn numbers: it is recorded and evaluated at once."""

    def __init__(self, choices, loads):
        self.choices, self.loads = itertools.chain(choices, itertools.repeat(0)), loads
        self.plain = Plain()

    def pick(self, count):
        return next(self.choices) % count

    def body(self):
        streams = []  # (branches, evaluated, arguments that it maps over or None)
        scalars = []
        for number in range(2 + self.pick(6)):
            name, salt = f"n{number}", self.pick(20)
            kind = self.pick(7) if streams else 0
            if kind == 0:
                values = [self.pick(8) for _ in range(self.pick(5))]
                keyed = self.pick(3) == 0
                given = {f"k{i}": v for i, v in enumerate(values)} if keyed else values
                paths = [(f"k{i}",) if keyed else (i,) for i in range(len(values))]
                evaluated = self.plain.map(name, one, salt, zip(paths, values, strict=True))
                streams.append((step_of(one, salt, ["x"]).map(given, id=name), evaluated, values))
                continue
            branches, evaluated, arguments = streams[self.pick(len(streams))]
            if evaluated is None:
                continue
            if kind == 1:
                found = self.plain.map(name, one, salt, evaluated)
                streams.append((step_of(one, salt, ["x"]).map(branches, id=name), found, None))
            elif kind in (2, 3):
                lists = self.plain.map(f"{name}_lists", some, salt, evaluated)
                outer = step_of(some, salt, ["x"]).map(branches, id=f"{name}_lists")
                items = self.plain.items(lists)
                found = self.plain.map(name, one, salt + 1, items)
                made = step_of(one, salt + 1, ["x"]).map(outer.flatten(), id=name)
                streams.append((made, found, [item for _, item in items]))
            elif kind == 4 and arguments is not None:
                found = self.plain.groups(name, salt, arguments, evaluated)
                streams.append((step_of(group, salt, ["xs"]).map(branches.group_by("x"), id=name), found, None))
            elif kind == 5 and (evaluated or len(streams) > 1):
                if evaluated or not self.known(branches):
                    self.plain.reduce(name, salt, evaluated)
                    scalars.append(step_of(both, salt, ["a", "b"]).reduce(branches, id=name))
            elif kind == 6:
                self.plain.total(name, salt, [value for _, value in evaluated])
                scalars.append(step_of(total, salt, ["xs"])(branches, id=name))
            if self.loads and self.pick(3) == 0:
                got = branches.successful().load()
                got = list(got.values()) if isinstance(got, dict) else got
                assert got == [value for _, value in evaluated if value not in (FAILURE, SKIPPED)]
        return scalars

    @staticmethod
    def known(branches: Branches):
        return branches._recorder.shape(branches._node) is not None


class AnyOrder:
    """An executor whose batches run here, in an order of its own, when it is asked whether it has room."""

    name, slots, can_kill, immediate = "any order", 3, True, False

    def __init__(self, seed, deliver):
        self.random, self.held = random.Random(seed), []
        self.bench = Bench(lambda _, message, __: deliver(message), AT_HOME)

    def room(self):
        if self.held and (len(self.held) == self.slots or self.random.random() < 0.7):
            batch, blobs = self.held.pop(self.random.randrange(len(self.held)))
            self.bench.receive({key: blobs[key] for key in batch.blobs})
            self.bench.run(batch)
        return self.slots - len(self.held)

    def submit(self, batch, blobs, seconds):
        self.held.append((batch, blobs))
        return Future()

    def release(self, number):
        pass

    def running(self, number):
        return None

    def kill(self, number):
        pass

    def shutdown(self):
        pass


class Loader:
    """What a call of a pipeline does for its body, without the rest of it."""

    def __init__(self, begin):
        self.begin, self.runner = begin, None

    def load(self, traced, value):
        if self.runner is None:
            self.runner = self.begin(traced, whole=False)
        return self.runner.load(value)

    def shape(self, node):
        return self.runner.shape(node) if self.runner is not None else None


class Events:
    def __init__(self):
        self.all = []

    def see(self, event):
        self.all.append(event)

    def pulse(self):
        pass


def run(sweep, seed, folder):
    """Run a program; its record and its events."""
    record, events, store = Record(), Events(), Store(str(folder))

    def begin(traced, *, whole):
        job = Job("1" * 32, "sweep-1", "sweep", {}, traced)
        runner = Runner(job, store, record, lambda _, deliver: AnyOrder(seed, deliver), [events])
        runner.begin(whole=whole)
        return runner

    loader = Loader(begin)
    try:
        traced = trace("sweep", sweep.body, (), {}, True, loader)
        if loader.runner is not None:
            loader.runner.returned(traced.returned)
        (loader.runner or begin(traced, whole=True)).end()
    finally:
        store.close()
    return record, events.all


def values(record):
    """The value of each branch by name, None where there is none."""
    artifacts = Artifacts("unused")  # the values are small: no file holds one
    outputs = {node.name(b): node.outputs[b] if node.shape is not None else None for node, b in record.walk()}
    return {name: found and artifacts.value(Packed(found, None)) for name, found in outputs.items()}


@pytest.mark.parametrize("loads", [False, True], ids=["traced", "waiting"])
@MANY
@given(choices=st.lists(st.integers(0, 1000), max_size=60), seed=st.integers(0, 1 << 30))
def test_every_branch_runs_once_with_its_inputs_and_exactly_what_depends_on_failures_is_skipped(
    tmp_path_factory, loads, choices, seed
):
    sweep = Sweep(choices, loads)

    record, events = run(sweep, seed, tmp_path_factory.mktemp("store"))

    found = {node.name(branch): node.branch_status(branch).word for node, branch in record.walk()}
    assert list(found.items()) == list(sweep.plain.status.items())
    assert values(record) == sweep.plain.value
    ended = [(e.node, e.start + i) for e in events if isinstance(e, Finished) for i in range(len(e.statuses))]
    assert len(ended) == len(set(ended))
    assert record.status == ("failed" if record.unhandled() else "completed")


@MANY
@given(choices=st.lists(st.integers(0, 1000), max_size=60), seed=st.integers(0, 1 << 30))
def test_the_events_of_a_run_that_grows_tell_the_same_record_again(tmp_path_factory, choices, seed):
    record, events = run(Sweep(choices, True), seed, tmp_path_factory.mktemp("store"))

    again = Record()
    for event in events:
        again.apply(event)

    assert [(n.name(b), n.branch_status(b), n.outputs[b] if n.shape else None) for n, b in again.walk()] == [
        (n.name(b), n.branch_status(b), n.outputs[b] if n.shape else None) for n, b in record.walk()
    ]
    assert (again.status, again.returned) == (record.status, record.returned)
