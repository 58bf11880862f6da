"""A class or a module that is changed between two runs: what is in the store never comes back with code of before."""

import os
import sys
from pathlib import Path

import pytest

MODEL = """\
class Model:
    def __init__(self, a):
        self.a = a
    def predict(self):
        return ("first", self.a)
"""
STEPS = """\
@step
def fit(a):
    return Model(a)
@step
def made(a):
    return KINDS[0](a)
@step
def same(x):
    return x
@step
def use(model):
    return model.predict()
@step
def use_all(models):
    return [model.predict() for model in models]
"""
CELL = """%%pipeline p --backend {backend} -j 2
one = fit(1)
used = use(one)
many = fit.map([1, 2])
all_used = use_all(many)
other = made(3)
given = same(instance)
given_used = use(given)
"""
SEEN = "{one.predict()[0], used[0], many[0].predict()[0], *(u[0] for u in all_used), other.predict()[0], given.predict()[0], given_used[0]}"
STATUSES = "{found.status for found in p.last_run.steps.values()}"


@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_an_instance_of_a_class_that_was_defined_anew_is_made_anew_and_undo_is_a_hit(run, backend):
    cell = CELL.format(backend=backend)

    def defined(word):
        run(MODEL.replace("first", word))
        run("KINDS, instance = [Model], Model(4)")
        run(cell)
        assert run("type(one) is Model and type(many[1]) is Model and type(other) is Model")
        return run(SEEN), run(STATUSES)

    run(STEPS)
    assert defined("first") == ({"first"}, {"completed"})
    assert defined("first") == ({"first"}, {"cached"})
    assert defined("second") == ({"second"}, {"completed"})
    assert defined("first") == ({"first"}, {"cached"})


def test_an_instance_in_a_run_of_before_keeps_the_code_that_it_was_made_with(run):
    run(STEPS + MODEL)
    run("%%pipeline p --backend sequential\none = fit(1)")
    run("before = p.last_run")
    run(MODEL.replace("first", "second"))
    assert run("before['fit'].load().predict(), type(before['fit'].load()) is Model") == (("first", 1), False)


HELPERS = """\
LIMIT = 1

def clean(x):
    return ("first", x)


class Tool:
    def __init__(self, x):
        self.x = x

    def go(self):
        return ("first", self.x, LIMIT)

    @staticmethod
    def still():
        return "first"
"""
USES = """\
%load_ext autoreload
%autoreload 2
import reloaded_helpers
from reloaded_helpers import Tool, clean as c
@step
def cleaned(x):
    return c(x), reloaded_helpers.clean(x), Tool.still()
@step
def made(x):
    return Tool(x)
@step
def gone(tool):
    return tool.go()
"""
RELOADING = """%%pipeline p --backend {backend} -j 2
words = cleaned(1)
tool = made(2)
went = gone(tool)
given = gone(reloaded_helpers.Tool(3))
"""
WENT = "words, tool.go(), went, given, isinstance(tool, reloaded_helpers.Tool)"


@pytest.fixture
def helpers(tmp_path, monkeypatch, shell):
    """A project module that is written with another word or limit; each text is newer than the one before."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path, saved = Path(tmp_path, "reloaded_helpers.py"), []

    def write(word, limit=1):
        text = HELPERS.replace("first", word).replace("LIMIT = 1", f"LIMIT = {limit}")
        if path.exists() and path.read_text() == text:
            return
        path.write_text(text)
        saved.append(path.stat().st_mtime_ns + len(saved) * 2_000_000_000)
        os.utime(path, ns=(saved[-1],) * 2)

    yield write
    shell.run_line_magic("autoreload", "0")
    sys.modules.pop("reloaded_helpers", None)


@pytest.mark.parametrize("backend", ["sequential", "loky"])
def test_what_autoreload_changes_runs_as_it_is_now(run, helpers, backend):
    def went(word, limit=1):
        helpers(word, limit)
        run(RELOADING.format(backend=backend))
        assert run(WENT) == (((word, 1), (word, 1), word), (word, 2, limit), (word, 2, limit), (word, 3, limit), True)
        return run("[found.status for found in p.last_run.steps.values()]")

    helpers("first")
    run(USES)
    assert went("first") == ["completed"] * 4
    assert went("first") == ["cached"] * 4
    assert went("other") == ["completed"] * 4
    assert went("first") == ["cached"] * 4
    assert went("first", limit=2) == ["completed"] * 4  # a method of the class that all of them use reads it
