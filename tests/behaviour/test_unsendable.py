"""Something of the user's that cannot travel, wherever it stands: it fails its own branch, and nothing else is lost."""

import os
import sys
import threading
from typing import NamedTuple

import pytest

import fanlab
from fanlab import get_step_context, pipeline, step, unmapped
from fanlab.client import Client
from fanlab.place import file_label

LOCK = "cannot pickle '_thread.lock' object"
PLAIN = "\n  do:    pass plain data, or make the object inside the step"
LINE = 0  # of a call
PICKLED = "\n  do:    return data that can be pickled: lists instead of generators, no open files, locks or connections"


class Fixed:
    """Cannot be pickled."""

    def __reduce__(self):
        raise ValueError("it stays here")


class Lost:
    """Cannot be opened again."""

    def __reduce__(self):
        return exec, ("raise ValueError('it is lost')",)


class Pair(NamedTuple):
    a: object
    b: object = 0


class FixedPair(Pair):
    def __reduce__(self):
        raise ValueError("the pair stays here")


class Text(str):
    """A text that holds more than its characters."""

    def __new__(cls, text):
        made = super().__new__(cls, text)
        made.lock = threading.Lock()
        return made


class Told(Exception):
    def __str__(self):
        return Text("told by a text that cannot travel")


class Two(Exception):
    """Cannot be made anew from its arguments."""

    def __init__(self, a, b):
        super().__init__(a)
        self.lock = threading.Lock()


@step
def same(x):
    return x


@step
def add(a, b):
    return a + b


@step
def keyed(kind):
    return {kind(): 1, "b": 2}


@step
def log(name, value=None):
    get_step_context().log_metadata({name(): value() if value else 1})


@step
def later():
    values = [1]
    get_step_context().log_metadata({"values": values})
    values.append(threading.Lock())


@step
def progress(value):
    get_step_context().progress(value())


@step
def fails(kind, *values):
    raise kind(*values)


BODIES = {
    "a key": (
        lambda: same({threading.Lock(): 1}),
        "same",
        f"a key of argument 'x' of step 'same', of type _thread.lock, cannot be sent: {LOCK}{PLAIN}",
    ),
    "a key far inside": (
        lambda: same([{"a": ({"b": {Fixed(): same(1, id="one")}},)}]),
        "same",
        f"a key of argument 'x' of step 'same', of type tests.Fixed, cannot be sent: it stays here{PLAIN}",
    ),
    "a part of a key": (
        lambda: same({("a", threading.Lock()): 1}),
        "same",
        f"a key of argument 'x' of step 'same', of type tuple, cannot be sent: {LOCK}{PLAIN}",
    ),
    "a key that cannot be opened": (
        lambda: same({Lost(): 1}),
        "same",
        f"a key of argument 'x' of step 'same', of type tests.Lost, cannot be sent: it is lost{PLAIN}",
    ),
    "a NamedTuple": (
        lambda: same(FixedPair(1)),
        "same",
        f"argument 'x' of step 'same', of type tests.FixedPair, cannot be sent: the pair stays here{PLAIN}",
    ),
    "a NamedTuple of outputs": (
        lambda: same(FixedPair(same(1, id="one"))),
        "same",
        f"argument 'x' of step 'same', of type tests.FixedPair, cannot be sent: the pair stays here{PLAIN}",
    ),
    "one item": (
        lambda: same.map([{threading.Lock(): 1}]),
        "same[0]",
        f"a key of argument 'x' of step 'same', of type _thread.lock, cannot be sent: {LOCK}{PLAIN}",
    ),
    "a field of a record": (
        lambda: same.map_records([{"x": {Fixed(): 1}}]),
        "same[0]",
        f"a key of argument 'x' of step 'same', of type tests.Fixed, cannot be sent: it stays here{PLAIN}",
    ),
    "an item of a reduce": (
        lambda: add.reduce([{Fixed(): 1}, {}]),
        "add",
        f"a key of argument 'items' of step 'add', of type tests.Fixed, cannot be sent: it stays here{PLAIN}",
    ),
    "a key of a result": (
        lambda: keyed(threading.Lock),
        "keyed",
        f"the result of 'keyed', of type dict, cannot be stored: {LOCK}{PICKLED}",
    ),
    "a key of a result that is mapped over": (
        lambda: same.map(keyed(threading.Lock)),
        "keyed",
        f"the result of 'keyed', of type dict, cannot be stored: {LOCK}{PICKLED}",
    ),
    "a key of a result that is mapped over and cannot be opened": (
        lambda: same.map(keyed(Lost)),
        "keyed",
        f"a key of the result of 'keyed', of type tests.Lost, cannot be stored: it is lost{PICKLED}",
    ),
    "metadata": (
        lambda: log(str, threading.Lock),
        "log",
        f"metadata '' of 'log', of type lock, cannot be sent: {LOCK}\n  do:    log plain data: numbers, text, dates",
    ),
    "metadata that cannot be opened": (
        lambda: log(str, Lost),
        "log",
        "metadata '' of 'log', of type Lost, cannot be sent: it is lost\n  do:    log plain data: numbers, text, dates",
    ),
    "a name of metadata": (
        lambda: log(threading.Lock),
        "log",
        (
            "metadata of 'log' is named by a _thread.lock, not by a text\n"
            '  do:    name each value, as in log_metadata({"rmse": 0.5})'
        ),
    ),
    "progress": (
        lambda: progress(threading.Lock),
        "progress",
        (
            "the progress of 'progress' is told by a _thread.lock, not by a number\n"
            "  do:    call progress(done, total) with numbers, as in progress(3, 10)"
        ),
    ),
    "an error's message": (lambda: fails(Told), "fails", "told by a text that cannot travel"),
    "an attribute of an error": (lambda: fails(Two, 1, 2), "fails", "Two: 1"),
}


@pytest.mark.parametrize("where", BODIES)
def test_what_cannot_travel_fails_its_own_branch_and_says_where_it_stands(pipe, failed, where):
    body, name, message = BODIES[where]

    def sends():
        body()
        same(2, id="other")

    error = failed(pipe(sends))
    assert str(error.__cause__) == message
    for run in (error.run, Client().get_pipeline_run(error.run.name)):
        assert (run.status, run["other"].load()) == ("failed", 2)
        assert (run[name].status, run[name].outputs) == ("failed", {})


# keys that name branches


@pytest.mark.parametrize("call", ["map", "product"])
def test_branches_named_by_what_cannot_travel_fail_together_with_the_line_of_their_call(pipe, failed, call):
    @pipe
    def sends():
        global LINE
        LINE = sys._getframe().f_lineno + 1
        first = getattr(same, call)({Fixed(): 1, "b": 2})
        same.map(first, id="second")
        same(2, id="other")

    error = failed(sends)
    assert str(error.__cause__) == (
        "a key of argument 'x' of step 'same', of type tests.Fixed, cannot be sent: it stays here\n"
        f"  where: {file_label(__file__)}, line {LINE}\n"
        "  do:    give the dict keys that are text or numbers"
    )
    run = Client().get_pipeline_run(error.run.name)
    assert {name: found.status for name, found in run.steps.items()} == {
        "same": "failed",
        "second": "skipped",
        "other": "completed",
    }


# what is no branch's


def test_metadata_are_kept_as_they_were_when_they_were_logged(pipe):
    @pipe
    def logs():
        later()

    run = logs()
    assert run.results.loc["later", "values"] == [1]
    assert Client().get_pipeline_run(run.name).results.loc["later", "values"] == [1]


def open_elsewhere(process):
    """Open a value in any process but one, as where the kernel lacks what its workers have."""
    if os.getpid() == process:
        raise ImportError("No module named 'torch'")
    return Elsewhere(process)


class Elsewhere:
    """Opens in any process but one."""

    def __init__(self, process):
        self.process = process

    def __reduce__(self):
        return open_elsewhere, (self.process,)


@step
def logs_elsewhere(x, process):
    get_step_context().log_metadata({"here": [x], "there": Elsewhere(process)})
    return x


def test_metadata_that_the_kernel_cannot_open_end_no_run(able):
    @able(n_jobs=2)
    def logs():
        return logs_elsewhere.map(range(3), process=unmapped(os.getpid()))

    told = "<tests.Elsewhere that cannot be opened here: No module named 'torch'>"
    run = logs()
    assert run.load() == [0, 1, 2]
    assert dict(run["logs_elsewhere"][1].metadata) == {"here": [1], "there": told}
    assert list(run.results["there"]) == [told] * 3
    assert list(Client().get_pipeline_run(run.name).results["here"]) == [[0], [1], [2]]


@step
def keyed_elsewhere(n, process):
    return {Elsewhere(process): n}


def test_a_key_that_only_the_workers_can_open_ends_the_run_and_loses_nothing(able):
    @able(n_jobs=1)
    def maps():
        before = same(1)
        items = keyed_elsewhere(2, os.getpid(), after=before)
        return same.map(items, id="mapped")

    with pytest.raises(fanlab.CannotSend) as caught:
        maps()
    run = Client().get_pipeline("maps").last_run
    assert str(caught.value) == (
        f"a worker of run '{run.name}' told what the kernel cannot open: ImportError: No module named 'torch'\n"
        "  do:    have in the kernel what the workers have, or return plain keys, and dicts for NamedTuples"
    )
    assert (run.status, run["same"].load()) == ("cancelled", 1)

    @able(n_jobs=1)
    def goes_on():
        return same(3)

    assert goes_on().load() == 3


def test_a_name_of_metadata_is_kept_as_a_plain_text(pipe):
    def name():
        return Text("rmse")

    @pipe
    def logs():
        log(name)

    assert Client().get_pipeline_run(logs().name).results.loc["log", "rmse"] == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({Pair: 1}, None),
        (FixedPair(1), "a tests.FixedPair that the body returned cannot be stored: the pair stays here"),
        (
            [{Fixed(): 1}],
            "a tests.Fixed, a key of a dict that the body returned cannot be stored: it stays here",
        ),
    ],
)
def test_what_a_body_returns_that_cannot_be_kept_is_told_when_it_is_loaded(value, message):
    @pipeline(backend="sequential")
    def returns():
        same(1)
        return value

    run = returns()
    assert run.status == "completed"
    if message is None:
        assert run.load() == value
        return
    for found in (run, Client().get_pipeline_run(run.name)):
        with pytest.raises(fanlab.CannotStore) as caught:
            found.load()
        assert str(caught.value) == message


def test_a_parameter_that_cannot_be_kept_is_told_when_it_is_asked_for():
    @pipeline(backend="sequential")
    def takes(x):
        same(1)

    run = takes({Fixed(): 1})
    assert run.status == "completed"
    with pytest.raises(fanlab.CannotStore) as caught:
        Client().get_pipeline_run(run.name).parameters  # noqa: B018 (asking is what is tried)
    assert str(caught.value) == "a tests.Fixed, a key of a dict of parameter 'x' cannot be stored: it stays here"


def test_keys_of_a_class_of_the_users_that_can_travel_arrive(pipe):
    @pipe
    def sends():
        return same({Pair(1, 2): same(3)}), same.map({Pair("a"): 1, ("b", 2): 2})

    value, mapped = sends().load()
    assert value == {Pair(1, 2): 3}
    assert mapped == {Pair("a"): 1, ("b", 2): 2}


def test_lines_written_as_a_text_of_another_class_are_kept(pipe):
    @step
    def write():
        sys.stdout.write(Text("a line"))

    @pipe
    def writes():
        write()

    assert Client().get_pipeline_run(writes().name).logs("write") == ["a line"]
