"""What runs is what was keyed: a project's modules as they are in the kernel, reloaded, edited or changed by hand."""

import functools
import importlib
import os
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

import fanlab
from fanlab import step
from fanlab.store import formats, hashes
from fanlab.store.hashes import hash_value

helpers = None  # the module of a test's project
FACTOR = 3

HELPERS = """\
SCALE = 2

class Model:
    def __init__(self, x):
        self.x = x

    def double(self):
        return self.x * SCALE

class Refused(Exception):
    pass

def clean(x):
    return x * SCALE

def refuse(x):
    raise Refused(x)
"""


class Base:
    offset = 100


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A module of the project, imported; and a way to write it anew, with a time that nobody can overlook."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "helpers.py"
    path.write_text(HELPERS)
    module = importlib.import_module("helpers")
    later = iter(range(10, 100, 10))

    def write(old, new):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        at = time.time() + next(later)
        os.utime(path, (at, at))

    globals()["helpers"] = module
    yield write
    sys.modules.pop("helpers", None)


def values(pipe, function, *args):
    """What a step made of a function returns for each of some arguments."""
    worked = step(function)

    @pipe
    def run():
        return worked.map(list(args))

    return run().load()


def test_a_global_of_a_module_that_was_changed_here_counts_there(pipe, project):
    def through_module(x):
        return helpers.clean(x)

    clean = helpers.clean

    def by_name(x):
        return clean(x) + helpers.SCALE

    assert values(pipe, through_module, 1, 2) == [2, 4]
    helpers.SCALE = 5
    assert values(pipe, through_module, 1, 2) == [5, 10]
    assert values(pipe, by_name, 1, 2) == [10, 15]


def test_a_global_that_a_class_inside_the_step_reads_goes_with_it(pipe, monkeypatch):
    def makes_a_class(x):
        class Found(Base):
            scale = FACTOR

        return Found.scale * x + Found.offset

    assert values(pipe, makes_a_class, 1, 2) == [103, 106]
    monkeypatch.setitem(globals(), "FACTOR", 5)
    assert values(pipe, makes_a_class, 1, 2) == [105, 110]


def test_it_counts_for_an_import_inside_the_step(pipe, project):
    def inside(x):
        import helpers
        from helpers import clean

        return clean(x) + helpers.SCALE

    assert values(pipe, inside, 1) == [4]
    helpers.SCALE = 5
    assert values(pipe, inside, 1) == [10]


def test_a_module_that_was_edited_and_reloaded_runs_as_it_is_now(pipe, project):
    def through_module(x):
        return helpers.clean(x)

    assert values(pipe, through_module, 1) == [2]
    project("return x * SCALE\n\ndef refuse", "return x + 100\n\ndef refuse")
    importlib.reload(helpers)
    assert values(pipe, through_module, 1) == [101]


def test_a_module_that_was_edited_and_not_reloaded_stops_the_run(pipe, project):
    def through_module(x):
        return helpers.clean(x)

    assert values(pipe, through_module, 1) == [2]
    project("return x * SCALE\n\ndef refuse", "return x + 100\n\ndef refuse")
    with pytest.raises(fanlab.NotReloaded) as caught:
        values(pipe, through_module, 1)
    error = caught.value
    assert error.what == (
        "step 'through_module' would run code that its file does not have any more: helpers.clean (helpers.py, line 13)"
    )
    assert error.do == "reload the module and run its import again, or use `%autoreload 2`"
    importlib.reload(helpers)
    assert values(pipe, through_module, 1) == [101]


def test_an_edit_elsewhere_in_a_module_does_not_stop_it(pipe, project):
    def through_module(x):
        return helpers.clean(x)

    project("SCALE = 2", "# a comment\n\n\nSCALE = 2")
    project("raise Refused(x)", "raise Refused(x, 1)")
    assert values(pipe, through_module, 1) == [2]


def test_an_old_function_of_a_reloaded_module_stops_the_run(pipe, project):
    clean = helpers.clean

    def by_name(x):
        return clean(x)

    project("return x * SCALE\n\ndef refuse", "return x + 100\n\ndef refuse")
    importlib.reload(helpers)
    with pytest.raises(fanlab.NotReloaded, match="run its import again"):
        values(pipe, by_name, 1)


def test_a_module_that_only_the_step_imports_is_read_anew_after_an_edit(pipe, project, tmp_path):
    (tmp_path / "lonely.py").write_text("def f(x):\n    return x + 1\n")

    def inside(x):
        from lonely import f

        return f(x)

    try:
        before = values(pipe, inside, 1)
        sys.modules.pop("lonely", None)
        (tmp_path / "lonely.py").write_text("def f(x):\n    return x + 1000\n")
        os.utime(tmp_path / "lonely.py", (time.time() + 5,) * 2)
        assert (before, values(pipe, inside, 1)) == ([2], [1001])
    finally:
        sys.modules.pop("lonely", None)


def test_instances_of_a_modules_class_are_of_that_class_on_both_sides(pipe, project):
    def grow(model):
        assert isinstance(model, helpers.Model)
        return helpers.Model(model.double())

    (found,) = values(pipe, grow, helpers.Model(3))
    assert type(found) is helpers.Model
    assert found.x == 6


def test_an_exception_of_a_modules_class_is_of_that_class_here(pipe, project):
    def refuse(x):
        helpers.refuse(x)

    with pytest.raises(fanlab.PipelineError) as caught:
        values(pipe, refuse, 1)
    assert type(caught.value.__cause__) is helpers.Refused


def test_a_module_that_cannot_be_sent_goes_by_name(pipe, project, tmp_path):
    source = "import threading\nLOCK = threading.Lock()\ndef f(x):\n    with LOCK:\n        return x + 1\n"
    (tmp_path / "locked.py").write_text(source)
    locked = importlib.import_module("locked")

    def through(x):
        return locked.f(x)

    try:
        assert values(pipe, through, 1) == [2]
    finally:
        del sys.modules["locked"]


def test_a_value_has_the_hash_there_that_it_has_here(pipe, project):
    made = step(lambda x: helpers.Model(x))

    @pipe
    def run():
        return made.map([3, 4])

    found = [one.output.hash for one in run().steps.values()]
    assert found == [hash_value(helpers.Model(3)), hash_value(helpers.Model(4))]


class Handle:
    """Something whose state says nothing about it."""

    def __init__(self, name):
        self.name, self.made = name, time.time()


def test_a_registered_hash_counts_there_too(pipe):
    fanlab.register_hash(Handle, lambda handle: handle.name)
    try:
        made = step(lambda name: Handle(name))

        @pipe
        def run():
            return made.map(["a", "a", "b"])

        first, second, third = [found.output.hash for found in run().steps.values()]
        assert first == second == hash_value(Handle("a")) != third
    finally:
        hashes._registered.clear()
        hashes._tellers.clear()


class Sealed:
    """Something that no pickle can hold."""

    def __init__(self, name):
        self.name, self.lock = name, threading.Lock()

    def __reduce__(self):
        raise TypeError("it is sealed")


def test_a_registered_format_holds_there_too(pipe, statuses):
    fanlab.register_format(
        Sealed, lambda value, path: Path(path).write_text(value.name), lambda path: Sealed(Path(path).read_text())
    )
    try:
        made = step(lambda outer, name: {"it": Sealed(outer.name + name)})
        seen = step(lambda one, length: one["it"].name * length)

        @pipe
        def run():
            return seen.map(made.map(Sealed("a"), ["b", "c" * 70_000]), 2)

        assert run().load() == ["abab", ("a" + "c" * 70_000) * 2]
        again = run()
        assert set(statuses(again).values()) == {"cached"}
        assert again.load() == ["abab", ("a" + "c" * 70_000) * 2]
        assert next(iter(again.steps.values())).load()["it"].name == "ab"
    finally:
        formats._registered.clear()
        formats._by_name.clear()


LIMIT, CHOSEN = 1, [1, 3]


@step
def looks_up(frame):
    return frame.query("v > @LIMIT or v in @CHOSEN")["v"].tolist(), eval("LIMIT + 1")


def test_a_global_that_only_a_text_names_is_there(pipe, monkeypatch):
    @pipe
    def run():
        return looks_up(pd.DataFrame({"v": [1, 2, 3, 4]}))

    assert run().load() == ([1, 2, 3, 4], 2)
    monkeypatch.setitem(globals(), "LIMIT", 3)
    assert run().load() == ([1, 3, 4], 4)


@functools.lru_cache
def remembers(x):
    return x * FACTOR


@functools.singledispatch
def told(x):
    return FACTOR


@told.register
def _(x: list):
    return [told(item) for item in x]


@step
def calls(function, x):
    return function(x), remembers(1), told([2])


def test_functions_that_functools_has_wrapped_go_as_globals_and_as_arguments(pipe, monkeypatch):
    @pipe
    def run():
        return calls.map([remembers, told], x=[5, [5]])

    assert run().load() == [(15, 3, [3]), ([3], 3, [3])]
    monkeypatch.setitem(globals(), "FACTOR", 4)
    remembers.cache_clear()
    assert run().load() == [(20, 4, [4]), ([4], 4, [4])]
