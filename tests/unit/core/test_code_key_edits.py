"""A table of edits to a small notebook and its modules: which of them change the key of a step, and what why() names."""

import importlib
import linecache
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest

from fanlab.core.code_changes import changed
from fanlab.core.code_key import code_key
from fanlab.store.hashes import hash_value

LATER = count(10, 10)
HELPERS = '''\
"""Of the project."""
from deeper import trim

LIMIT = 10


def clean(x):
    return trim(x) + 1


def unused(x):
    return x


class Scaler:
    factor = 2

    def scale(self, x):
        return x * self.factor
'''
DEEPER = """\
MARGIN = 3


def trim(x):
    return x - MARGIN
"""
NOTEBOOK = '''\
import enum
import functools
import math
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

import gadget
import helpers
from fanlab import step
from helpers import clean as c

scale = 2
unrelated = 1
names = {"ada", "bob", "cyd", "dee"}
options = {"low": 1, "high": [2, 3]}
order = ["a", "b", "c"]
frame = pd.DataFrame({"x": [1, 2], "y": ["p", "q"]})
grid = np.arange(6.0).reshape(2, 3)
first, second = lambda x: x + 1, lambda x: x - 1
rules = {"up": lambda x: x + 1, "down": [lambda x: x - 1]}
half = functools.partial(math.pow, 0.5)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Point:
    x: int
    y: int = 0
    tags: list = field(default_factory=list)


class Base:
    def name(self):
        return "base"


class Model(Base):
    weight = 3

    def __init__(self, bias=1):
        self.bias = bias

    def fit(self, x):
        return self.weight * x + self.bias

    @staticmethod
    def norm(x):
        return abs(x)

    @property
    def size(self):
        return self.weight + 1


class Doubler:
    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x * self.by


double = Doubler(2)


def logged(mark="-"):
    def decorate(function):
        @functools.wraps(function)
        def inner(*args):
            return function(*args)

        return inner

    return decorate


def make(offset):
    def add(x):
        return x + offset

    return add


add = make(5)


def even(n):
    return n == 0 or odd(n - 1)


def odd(n):
    return n != 0 and even(n - 1)


@functools.lru_cache
def slow(x):
    return x**2


def deepest(x):
    return x * scale


def deep(x):
    return deepest(x) + 1


@logged()
def shown(x):
    return x


@step
def other(x):
    return x + 100


@step
def work(path, alpha=0.5, *, beta=1):
    """What it does."""
    total = deep(path) + c(path) + helpers.LIMIT + add(path) + slow(path)
    model = Model()
    total += model.fit(path) + Model.norm(path) + helpers.Scaler().scale(path)
    if path in {"p", "q", "r"} or path in names:
        total += options["low"] + len(order) + len(frame) + grid.sum()
    point = Point(1)
    for rule in (first, second, rules["up"], half, double):
        total += rule(point.x)

    def inner(value):
        return value + total

    total += inner(1) + (lambda z: z * 2)(3) + sum(other(v) for v in [1, 2])
    return total + gadget.turn(even(4)) + shown(1) + Colour.RED.value + np.mean(grid) + alpha * beta
'''
GADGET = '__version__ = "1.0"\n\n\ndef turn(x):\n    return x\n'
FILES = {
    "helpers.py": HELPERS,
    "deeper.py": DEEPER,
    "notebook.py": NOTEBOOK,
    "lib/site-packages/gadget.py": GADGET,
}


@dataclass
class Project:
    """The files of a project, and the notebook that uses them."""

    folder: Path
    files: dict = field(default_factory=dict)
    cells: int = 0

    def write(self):
        """Put the files where they belong, and forget the modules that were loaded from them."""
        for name in ("helpers", "deeper", "gadget"):
            sys.modules.pop(name, None)
        for name, text in self.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            at = time.time() + next(LATER)  # a file system may give two writes the same time
            os.utime(path, (at, at))
        importlib.invalidate_caches()

    def load(self):
        """Run the notebook anew, with the modules as they are now; its namespace."""
        self.write()
        self.cells += 1
        name = f"<ipython-input-{self.cells}-{id(self)}>"
        text = self.files["notebook.py"]
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        namespace = {"__name__": "__main__"}
        exec(compile(text, name, "exec"), namespace)
        return namespace

    def key(self):
        step = self.load()["work"]
        return code_key(step, step.options.version, hash_value)


@pytest.fixture
def project(tmp_path, monkeypatch):
    site = tmp_path / "lib" / "site-packages"
    site.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield Project(tmp_path, dict(FILES))
    for name in {"helpers", "deeper", "gadget"} & set(sys.modules):
        del sys.modules[name]


@dataclass
class Edit:
    """What is replaced in which file, and the parts that are named; none: the key is the same."""

    what: str
    old: str
    new: str
    parts: tuple = ()
    file: str = "notebook.py"


NB, HP, DP, GD = "notebook.py", "helpers.py", "deeper.py", "lib/site-packages/gadget.py"
SAME = [
    Edit("a comment in the step", "    model = Model()", "    model = Model()  # one for all"),
    Edit("a comment line above it", "@step\ndef work", "# the work\n\n\n@step\ndef work"),
    Edit("the docstring", "What it does.", "What it really does."),
    Edit("no docstring", '    """What it does."""\n', ""),
    Edit("a docstring more", "def deep(x):\n", 'def deep(x):\n    """Deep."""\n'),
    Edit("spacing", "total += model.fit(path) + Model.norm(path)", "total += (model.fit(path)\n        + Model.norm( path ))"),
    Edit("a condition over two lines", 'or path in names:', "or (path\n            in names):"),
    Edit("quotes", '{"p", "q", "r"}', "{'p', 'q', 'r'}"),
    Edit("the order of a set in the code", '{"p", "q", "r"}', '{"r", "q", "p"}'),
    Edit("a number written otherwise", "total += inner(1)", "total += inner(0x1)"),
    Edit("a sum of constants worked out", "(3) + sum", "(1 + 2) + sum"),
    Edit("a local renamed", "point", "spot"),
    Edit("a local of a helper renamed", "    def add(x):\n        return x + offset\n\n    return add", "    def plus(x):\n        return x + offset\n\n    return plus"),
    Edit("a local of a nested function renamed", "def inner(value):\n        return value + total\n\n    total += inner(1)", "def nested(value):\n        return value + total\n\n    total += nested(1)"),
    Edit("a variable of a comprehension renamed", "other(v) for v in", "other(w) for w in"),
    Edit("a global that it does not use", "unrelated = 1", "unrelated = 2"),
    Edit("the order of a global set", '{"ada", "bob", "cyd", "dee"}', '{"dee", "cyd", "bob", "ada"}'),
    Edit("the order of a global dict", '{"low": 1, "high": [2, 3]}', '{"high": [2, 3], "low": 1}'),
    Edit("lines above it", "import enum\n", "import enum\n\nanother = 3\n"),
    Edit("an import more", "import math\n", "import math\nimport statistics\n"),
    Edit("functions in another order", "def even(n):\n    return n == 0 or odd(n - 1)\n\n\ndef odd(n):\n    return n != 0 and even(n - 1)", "def odd(n):\n    return n != 0 and even(n - 1)\n\n\ndef even(n):\n    return n == 0 or odd(n - 1)"),
    Edit("how the step is run", "@step\ndef work", "@step(retries=3, max_parallel=2)\ndef work"),
    Edit("a name for the step", "@step\ndef work", "@step(name='labour')\ndef work"),
    Edit("a function of the module that it does not use", "def unused(x):\n    return x", "def unused(x):\n    return 2 * x", file=HP),
    Edit("a comment in the module", "LIMIT = 10", "LIMIT = 10  # at most", file=HP),
    Edit("lines above the module's function", "LIMIT = 10\n", "LIMIT = 10\nother = 1\n\n", file=HP),
    Edit("the code of an installed package whose version stays", "    return x", "    return x + 0", file=GD),
]  # fmt: skip
CHANGED = [
    Edit("the step's own code", "return total +", "return total -", ("function work",)),
    Edit("a constant in the step", "(lambda z: z * 2)", "(lambda z: z * 3)", ("function work",)),
    Edit("the order of two statements", "    total = deep(path) + c(path) + helpers.LIMIT + add(path) + slow(path)\n    model = Model()\n", "    model = Model()\n    total = deep(path) + c(path) + helpers.LIMIT + add(path) + slow(path)\n", ("function work",)),
    Edit("a local that becomes a global", "    point = Point(1)\n", "    global point\n    point = Point(1)\n", ("function work",)),
    Edit("an integer that becomes a float", "point = Point(1)", "point = Point(1.0)", ("function work",)),
    Edit("zero that becomes minus zero", "total += inner(1)", "total += inner(-0.0)", ("function work",)),
    Edit("an argument renamed", "beta", "gamma", ("function work", "default beta", "default gamma")),
    Edit("a default", "alpha=0.5", "alpha=0.6", ("default alpha",)),
    Edit("a keyword's default", "beta=1", "beta=2", ("default beta",)),
    Edit("an annotation", "def work(path,", "def work(path: int,", ("function work",)),
    Edit("a helper", "return deepest(x) + 1", "return deepest(x) + 2", ("function deep",)),
    Edit("a helper two levels down", "return x * scale", "return scale * x", ("function deepest",)),
    Edit("a global constant", "scale = 2", "scale = 3", ("global scale",)),
    Edit("a global constant's type", "scale = 2", "scale = 2.0", ("global scale",)),
    Edit("a global set", '"dee"}', '"eve"}', ("global names",)),
    Edit("a global dict", '"high": [2, 3]', '"high": [2, 4]', ("global options",)),
    Edit("the order of a global list", '["a", "b", "c"]', '["b", "a", "c"]', ("global order",)),
    Edit("one more item of a global list", '["a", "b", "c"]', '["a", "b", "c", "d"]', ("global order",)),
    Edit("a cell of a global DataFrame", '"x": [1, 2]', '"x": [1, 3]', ("global frame",)),
    Edit("a column's type in a global DataFrame", '"x": [1, 2]', '"x": [1.0, 2.0]', ("global frame",)),
    Edit("a column's name in a global DataFrame", '"y": ["p", "q"]', '"z": ["p", "q"]', ("global frame",)),
    Edit("an item of a global array", "np.arange(6.0)", "np.arange(1, 7.0)", ("global grid",)),
    Edit("the shape of a global array", ".reshape(2, 3)", ".reshape(3, 2)", ("global grid",)),
    Edit("a closure variable", "make(5)", "make(6)", ("closure add.offset",)),
    Edit("the code of a closure", "return x + offset", "return x - offset", ("function add",)),
    Edit("one lambda of two in a line", "first, second = lambda x: x + 1, lambda x: x - 1", "first, second = lambda x: x + 2, lambda x: x - 1", ("function first",)),
    Edit("two lambdas that change places", "first, second =", "second, first =", ("function first", "function second")),
    Edit("a lambda in a dict", '"up": lambda x: x + 1', '"up": lambda x: x + 2', ("function rules",)),
    Edit("a lambda in a list in a dict", "[lambda x: x - 1]", "[lambda x: x - 2]", ("function rules (2)",)),
    Edit("what a partial is given", "functools.partial(math.pow, 0.5)", "functools.partial(math.pow, 0.25)", ("global half",)),
    Edit("what a partial calls", "functools.partial(math.pow, 0.5)", "functools.partial(math.hypot, 0.5)", ("global half",)),
    Edit("a method", "self.weight * x + self.bias", "self.weight * x - self.bias", ("function Model.fit",)),
    Edit("a static method", "return abs(x)", "return abs(-x)", ("function Model.norm",)),
    Edit("a property", "return self.weight + 1", "return self.weight + 2", ("function Model.size",)),
    Edit("a class attribute", "weight = 3", "weight = 4", ("attribute Model.weight",)),
    Edit("a method's default", "bias=1", "bias=2", ("default Model.__init__.bias",)),
    Edit("a base class", 'return "base"', 'return "bass"', ("function Base.name",)),
    Edit("no base class any more", "class Model(Base):", "class Model:", ("class Base", "class Model", "function Base.name")),
    Edit("one more method", "    @staticmethod", "    def more(self):\n        pass\n\n    @staticmethod", ("class Model", "function Model.more")),
    Edit("a callable instance's method", "return x * self.by", "return x ** self.by", ("function Doubler.__call__",)),
    Edit("a callable instance's content", "Doubler(2)", "Doubler(3)", ("global double",)),
    Edit("an enum's value", "RED = 1", "RED = 7", ("attribute Colour.RED",)),
    Edit("a dataclass's default", "y: int = 0", "y: int = 1", ()),
    Edit("a dataclass's factory", "default_factory=list", "default_factory=dict", ()),
    Edit("a decorator's wrapper", "return function(*args)", "return function(*args) or 0", ("function logged.decorate.inner",)),
    Edit("what a decorator wraps", "def shown(x):\n    return x", "def shown(x):\n    return -x", ("function shown",)),
    Edit("a decorator less", "@logged()\n", "", ("function logged.decorate.inner",)),
    Edit("one of two that call each other", "n != 0 and", "n > 0 and", ("function odd",)),
    Edit("what lru_cache wraps", "return x**2", "return x**3", ("function slow",)),
    Edit("a step that it calls", "return x + 100", "return x + 200", ("function other",)),
    Edit("a version", "@step\ndef work", "@step(version='2')\ndef work", ("version version",)),
    Edit("a module's function", "return trim(x) + 1", "return trim(x) + 2", ("function helpers.clean",), HP),
    Edit("a module's constant", "LIMIT = 10", "LIMIT = 11", ("global helpers.LIMIT",), HP),
    Edit("a module's class", "return x * self.factor", "return x + self.factor", ("function helpers.Scaler.scale",), HP),
    Edit("a module's class attribute", "factor = 2", "factor = 3", ("attribute helpers.Scaler.factor",), HP),
    Edit("a module that the module imports", "return x - MARGIN", "return x + MARGIN", ("function deeper.trim",), DP),
    Edit("a constant there", "MARGIN = 3", "MARGIN = 4", ("global deeper.MARGIN",), DP),
    Edit("an installed package's version", '"1.0"', '"1.1"', ("module gadget",), GD),
]  # fmt: skip


def parts(before, now):
    return tuple(sorted(f"{change.kind} {change.name}" for change in changed(before.parts, now.parts)))


def edited(project, edit):
    assert edit.old in project.files[edit.file], "the edit finds nothing to replace"
    return replace(project, files={**project.files, edit.file: project.files[edit.file].replace(edit.old, edit.new)})


@pytest.mark.parametrize("edit", SAME, ids=lambda edit: edit.what)
def test_an_edit_of_no_consequence_leaves_the_key_as_it_is(project, edit):
    before = project.key()
    now = edited(project, edit).key()
    assert parts(before, now) == ()
    assert now.digest == before.digest
    assert now.unkeyable is None


@pytest.mark.parametrize("edit", CHANGED, ids=lambda edit: edit.what)
def test_an_edit_of_consequence_changes_the_key_and_is_named(project, edit):
    before = project.key()
    now = edited(project, edit).key()
    assert now.digest != before.digest
    assert now.unkeyable is None
    named = parts(before, now)
    expected = tuple(sorted(edit.parts)) or named
    assert named == expected
    assert named
    assert project.key().digest == before.digest  # undone


def test_the_table_has_at_least_forty_edits_of_different_names():
    names = [edit.what for edit in SAME + CHANGED]
    assert len(set(names)) == len(names) >= 40


@pytest.mark.parametrize("seed", ["0", "1", "20"])
def test_the_key_is_the_same_in_another_process_under_another_hash_seed(project, seed):
    here = project.key().digest
    program = textwrap.dedent(f"""
        import importlib.util, pathlib, sys
        sys.dont_write_bytecode = True
        sys.path[:0] = [{str(project.folder)!r}, {str(project.folder / "lib" / "site-packages")!r}]
        spec = importlib.util.spec_from_file_location("table", {__file__!r})
        table = importlib.util.module_from_spec(spec)
        sys.modules["table"] = table
        spec.loader.exec_module(table)
        print(table.Project(pathlib.Path({str(project.folder)!r}), {project.files!r}, 40).key().digest)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == here, done.stderr
