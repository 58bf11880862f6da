"""Keys of code: what they cover, what they are named by, and what cannot be keyed."""

import functools
import importlib
import linecache
import os
import sys
import textwrap
import threading
import time
from itertools import count

import pytest

from fanlab import step
from fanlab.core import origin
from fanlab.core.code_changes import Change, changed
from fanlab.core.code_key import CodeKeys, code_key
from fanlab.core.code_parts import Part
from fanlab.store.hashes import hash_value

numbers = count()


def cell(source, namespace=None):
    """What a cell defines; its source can be read, as IPython has it."""
    source = textwrap.dedent(source)
    name = f"<ipython-input-{next(numbers)}-test>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    namespace = namespace if namespace is not None else {"__name__": "__main__"}
    exec(compile(source, name, "exec"), namespace)
    return namespace


def key(function):
    return code_key(function, None, hash_value)


def digest(source, name="f"):
    return key(cell(source)[name]).digest


def names(source, name="f"):
    return {f"{part.kind} {part.name}": part.text for part in key(cell(source)[name]).parts if part.name != "Python"}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module of the project, and import it; the same name again writes it anew and later."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made, later = {}, count(10, 10)

    def module(name, source, *, load=True):
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        at = time.time() + next(later)
        os.utime(path, (at, at))
        made[name] = path
        importlib.invalidate_caches()
        return importlib.import_module(name) if load else path

    yield module
    for name in list(sys.modules):
        if name in made or name.partition(".")[0] in {known.partition(".")[0] for known in made}:
            del sys.modules[name]


# names of locals


@pytest.mark.parametrize(
    "use", ["locals()", "vars()", "eval(x)", "exec(x)", "x.query('a > @value')", "sql('select * from value')"]
)
def test_names_of_locals_count_where_something_may_look_them_up(use):
    source = f"def f(x):\n    value = 1\n    return {use}"
    assert digest(source) != digest(source.replace("value = 1", "other = 1"))


def test_they_do_not_count_elsewhere_through_every_kind_of_scope():
    source = """
    def f(x):
        total = x
        def inner(y):
            nonlocal total
            total += y
            return [total + item for item in range(y)]
        with open(x) as file, open(x) as other:
            found = {key: value for key, value in file}
        try:
            pass
        except ValueError as error:
            raise error
        return inner(2), lambda z: z + total, (first := x), first, found, other
    """
    renamed = source
    for before, after in [
        ("total", "t0"), ("inner", "i0"), ("item", "a0"), ("file", "b0"), ("other", "c0"), ("found", "d0"),
        ("key", "e0"), ("value", "g0"), ("error", "h0"), ("first", "j0"),
    ]:  # fmt: skip
        renamed = renamed.replace(before, after)
    renamed = renamed.replace("ValueError", "ValueError")
    assert digest(renamed) == digest(source)
    assert digest(source.replace("return inner(2)", "return inner(3)")) != digest(source)


def test_two_locals_that_change_places_are_another_code():
    assert digest("def f(a, b):\n    c, d = a, b\n    return c") != digest(
        "def f(a, b):\n    c, d = a, b\n    return d"
    )


def test_names_of_arguments_count_since_callers_use_them():
    assert digest("def f(a):\n    return a") != digest("def f(b):\n    return b")
    assert digest("def f(x):\n    return lambda a: a") != digest("def f(x):\n    return lambda b: b")


def test_layout_does_not_count_though_the_compiler_looks_at_lines():
    flat = "def f(a, b):\n    return (a and b or a) if (a or b) else [x for x in a if x and b]"
    tall = """
    def f(a, b):
        return (
            a
            and b
            or a
        ) if (
            a
            or b
        ) else [
            x
            for x in a
            if x
            and b
        ]
    """
    assert digest(flat) == digest(tall)


def test_an_import_in_the_same_cell_does_not_count_though_the_compiler_looks_at_it():
    alone = cell("import math")
    cell("def f(x):\n    return math.sqrt(x)", alone)
    assert key(alone["f"]).digest == digest("import math\ndef f(x):\n    return math.sqrt(x)")


def test_a_docstring_counts_for_code_that_reads_docstrings():
    source = 'def f(x):\n    """One."""\n    return f.__doc__'
    assert digest(source) != digest(source.replace("One", "Two"))


# what is looked up by a text


@pytest.mark.parametrize(
    "use", ["eval('limit + 1')", "x.query('a > @limit')", "sql('select * from limit')", "globals()['limit']"]
)
def test_a_global_counts_that_a_text_names_where_it_may_be_looked_up(use):
    source = f"limit = 1\ndef f(x):\n    return {use}"
    assert digest(source) != digest(source.replace("limit = 1", "limit = 2"))
    assert "global limit" in names(source)


def test_a_text_alone_refers_to_nothing():
    source = "limit = 1\ndef f(x):\n    return 'limit'"
    assert digest(source) == digest(source.replace("limit = 1", "limit = 2"))


# sources


def test_code_without_a_source_is_keyed_by_what_it_does():
    def made(source):
        namespace = {"__name__": "__main__"}
        exec(source, namespace)
        return key(namespace["f"])

    first = made("def f(x):\n    a = x + 1\n    return a")
    assert first.unkeyable is None
    assert first.digest == made("\n\n# comment\ndef f(x):\n    b = x + 1\n    return b").digest
    assert first.digest != made("def f(x):\n    a = x + 2\n    return a").digest
    assert next(part.text for part in first.parts if part.kind == "function") == ""


def test_several_lambdas_in_a_line_have_each_their_own_source():
    namespace = cell("a, b, c = (lambda x: x + 1), (lambda x: x + 2), (lambda: (lambda y: y))()")
    texts = [next(p.text for p in key(namespace[n]).parts if p.kind == "function") for n in "abc"]
    assert texts == ["lambda x: x + 1", "lambda x: x + 2", "lambda y: y"]


def test_the_text_is_the_source_without_decorators_docstring_and_comments():
    source = '''
    import functools
    @functools.lru_cache(
        maxsize=3)
    def f(x,  y = 2):
        """Doc."""
        # comment
        return x+y
    '''
    assert names(source)["function f"] == "def f(x, y=2):\n    return x + y"


def test_a_function_that_is_defined_again_has_the_key_of_its_new_code():
    namespace = cell("def g(x):\n    return 1\ndef f(x):\n    return g(x)")
    before = key(namespace["f"]).digest
    cell("def g(x):\n    return 2", namespace)
    assert key(namespace["f"]).digest != before
    cell("def g(x):\n    return 1", namespace)
    assert key(namespace["f"]).digest == before


def test_code_that_is_replaced_in_place_counts_as_autoreload_leaves_it(module):
    helpers = module("helpers", "def g(x):\n    return 1\n")
    f = cell("import helpers\ndef f(x):\n    return helpers.g(x)")["f"]
    before, old = key(f), helpers.g
    module("helpers", "def g(x):\n    return 2\n")
    importlib.reload(helpers)
    old.__code__ = helpers.g.__code__  # which is what %autoreload does
    helpers.g = old
    now = key(f)
    assert [change.words for change in changed(before.parts, now.parts)] == ["the code of helpers.g changed"]
    assert now.reach.edited == ()


def test_a_method_that_autoreload_compiles_by_itself_counts_as_it_is_written(module):
    source = "class Tool:\n    def go(self, x):\n        return x + {}\n"
    helpers = module("helpers", source.format(1))
    f = cell("import helpers\ndef f(x):\n    return helpers.Tool().go(x)")["f"]
    method = helpers.Tool.go
    module("helpers", source.format(2))
    importlib.reload(helpers)
    written = key(f)
    made = {}
    exec(compile(source.format(2).replace("Tool", "__autoreload_class__"), helpers.__file__, "exec"), made)
    method.__code__ = made["__autoreload_class__"].go.__code__  # which is what %autoreload does
    helpers.Tool.go = method
    now = key(f)
    assert (now.digest, now.reach.edited) == (written.digest, ())


def test_the_name_of_a_class_counts_whatever_it_is_used_as():
    named = [f"class {name}:\n    pass\nKind = {name}\ndef f():\n    return Kind()" for name in ("A", "B", "A")]
    first, second, third = map(digest, named)
    assert first != second
    assert first == third


# modules


def test_the_same_function_counts_the_same_however_it_is_imported(module):
    module("helpers", "LIMIT = 1\ndef g(x):\n    return x + LIMIT\n")
    for source in ("from helpers import g", "from helpers import g as g", "import helpers\ng = helpers.g"):
        assert digest(f"{source}\ndef f(x):\n    return g(x)") == digest(
            "from helpers import g\ndef f(x):\n    return g(x)"
        )


@pytest.mark.parametrize(
    "source",
    [
        "import helpers\ndef f(x):\n    return helpers.g(x)",
        "import helpers as h\ndef f(x):\n    return h.g(x)",
        "from helpers import g as c\ndef f(x):\n    return c(x)",
        "import helpers\ndef f(x):\n    return getattr(helpers, 'g')(x)",
        "import helpers\ndef f(x):\n    h = helpers\n    return h.g(x)",
        "def f(x):\n    import helpers\n    return helpers.g(x)",
        "def f(x):\n    import helpers as h\n    return h.g(x)",
        "def f(x):\n    from helpers import g as c\n    return c(x)",
        "def f(x):\n    from helpers import *",
        "from helpers import *\ndef f(x):\n    return g(x)",
        "def f(x):\n    def inner():\n        import helpers\n        return helpers.g(x)\n    return inner()",
    ],
)
def test_a_modules_function_and_its_global_count_however_they_are_reached(module, source):
    if "import *" in source and source.startswith("def"):
        source = "import helpers\ndef f(x):\n    return [helpers]"
    helpers = module("helpers", "LIMIT = 1\ndef g(x):\n    return x + LIMIT\ndef other(x):\n    return x\n")
    f = cell(source)["f"]
    before = key(f).digest
    assert key(f).digest == before
    helpers.LIMIT = 2
    assert key(f).digest != before


def test_of_a_module_only_what_is_read_counts(module):
    helpers = module("helpers", "LIMIT = 1\nOTHER = 1\ndef g(x):\n    return x + LIMIT\n")
    f = cell("import helpers\ndef f(x):\n    return helpers.g(x)")["f"]
    before = key(f)
    helpers.OTHER = 2
    assert key(f).digest == before.digest
    assert before.reach.uses == {"helpers": frozenset({"g"})}


def test_packages_are_followed_to_the_module_that_is_meant(module):
    module("pack.__init__", "", load=False)
    sub = module("pack.sub", "LIMIT = 1\ndef g(x):\n    return LIMIT\n")
    f = cell("import pack.sub\ndef f(x):\n    return pack.sub.g(x)")["f"]
    before = key(f)
    assert before.reach.uses == {"pack": frozenset({"sub"}), "pack.sub": frozenset({"g"})}
    sub.LIMIT = 2
    assert [change.words for change in changed(before.parts, key(f).parts)] == [
        "the global pack.sub.LIMIT changed from 1 to 2"
    ]


def test_a_module_that_nobody_has_imported_yet_counts_by_its_files(module):
    module("lonely", "from deeper import h\ndef g(x):\n    return h(x)\n", load=False)
    module("deeper", "def h(x):\n    return 1\n", load=False)
    f = cell("def f(x):\n    from lonely import g\n    return g(x)")["f"]
    before = key(f).digest
    module("lonely", '"""Doc."""\nfrom deeper import h  # comment\n\n\ndef g(x):\n    return h(x)\n', load=False)
    assert key(f).digest == before
    module("deeper", "def h(x):\n    return 2\n", load=False)
    assert key(f).digest != before
    assert "lonely" not in sys.modules


def test_an_edited_module_is_told_as_long_as_it_is_not_reloaded(module):
    helpers = module("helpers", "def g(x):\n    return 1\n")
    f = cell("import helpers\ndef f(x):\n    return helpers.g(x)")["f"]
    assert key(f).reach.edited == ()
    module("helpers", "# moved\n\ndef g(x):\n    return 1\n", load=False)
    assert key(f).reach.edited == ()
    module("helpers", "def g(x):\n    return 2\n", load=False)
    (told,) = key(f).reach.edited
    assert told == "helpers.g (helpers.py, line 1)"
    importlib.reload(helpers)
    assert key(f).reach.edited == ()


def test_installed_packages_count_by_name_and_version():
    assert names("import numpy as np\ndef f(x):\n    return np.mean(x)")["module numpy"] == origin.version("numpy")[1]
    assert set(names("import json\ndef f(x):\n    return json.dumps(x)")) == {"function f"}


# what is covered


def test_parts_are_named_as_a_person_knows_them():
    source = """
    scale = 2
    def make(offset):
        def add(x, by=1):
            return x + offset
        return add
    add = make(5)
    class Model:
        weight = 3
        def fit(self, x=4):
            return x
    pick = lambda x: x
    def f(x, alpha=0.5):
        return add(x) + Model().fit() + pick(scale)
    """
    assert {name: text for name, text in names(source).items() if not name.startswith(("function", "class "))} == {
        "attribute Model.weight": "3", "closure add.offset": "5", "default Model.fit.x": "4", "default add.by": "1",
        "default alpha": "0.5", "global scale": "2",
    }  # fmt: skip
    assert {name for name in names(source) if name.startswith("function")} == {
        "function f", "function add", "function Model.fit", "function pick"
    }  # fmt: skip


def test_what_cannot_be_keyed_is_named():
    namespace = cell("def f(x):\n    return lock")
    namespace["lock"] = threading.Lock()
    assert key(namespace["f"]).unkeyable == (
        "its global 'lock': a lock has no content that can be compared: cannot pickle '_thread.lock' object"
    )


def test_a_decorator_of_a_library_counts_with_what_it_was_given():
    source = "import functools\ndef g(x):\n    return x\n@functools.singledispatch\ndef f(x):\n    return 1\n@f.register\ndef _(x: int):\n    return 2\n"
    assert digest(source) != digest(source.replace("return 2", "return 3"))
    assert digest(source) != digest(source.replace("x: int", "x: float"))


def test_class_bodies_inside_functions_count():
    source = "def f(x):\n    class A:\n        size = 1\n        def g(self):\n            return self.size\n    return A().g()"
    assert digest(source) == digest(source.replace("class A", "# comment\n    class A"))
    assert digest(source) != digest(source.replace("size = 1", "size = 2"))


def test_a_method_of_an_object_counts_with_the_object():
    source = "items = [1, 2]\nadd = items.append\ndef f(x):\n    return add(x)"
    assert digest(source) != digest(source.replace("[1, 2]", "[1, 3]"))


def test_a_step_counts_by_its_function_and_its_version():
    plain = cell("from fanlab import step\n@step\ndef g(x):\n    return x\ndef f(x):\n    return g(x)")
    other = cell("from fanlab import step\n@step(version='1')\ndef g(x):\n    return x\ndef f(x):\n    return g(x)")
    bare = cell("def g(x):\n    return x\ndef f(x):\n    return g(x)")
    assert key(plain["f"]).digest == key(bare["f"]).digest != key(other["f"]).digest


def test_code_that_refers_to_itself_has_a_key():
    source = "registry = {}\ndef f(x):\n    return registry['f'](x - 1) if x else [f, registry]\nregistry['f'] = f\nregistry['all'] = registry"
    assert digest(source) == digest(source)
    assert digest(source) != digest(source.replace("x - 1", "x - 2"))


def test_functions_built_in_and_objects_can_be_keyed_too():
    assert key(len).digest == key(len).digest != key(sum).digest
    partial = functools.partial(pow, 2)
    assert key(partial).digest == key(functools.partial(pow, 2)).digest != key(functools.partial(pow, 3)).digest


def test_a_run_asks_once_for_a_steps_key():
    asked = []

    def hashed(value, code=None):
        asked.append(value)
        return hash_value(value, code)

    worked = step(lambda x, y=1: x)
    keys = CodeKeys(hashed)
    assert keys.of(worked) is keys.of(worked)
    assert asked == [1]


# what has changed


def test_the_words_of_each_kind_of_change():
    before = [
        Part(kind, "a", "1", "2")
        for kind in ("global", "closure", "default", "attribute", "module", "function", "class")
    ]
    now = [
        Part(kind, "a", "9", "3")
        for kind in ("global", "closure", "default", "attribute", "module", "function", "class")
    ]
    assert [change.words for change in changed(before, now)] == [
        "the code of a changed", "the class a changed", "the global a changed from 2 to 3",
        "the closure variable a changed from 2 to 3", "the default of a changed from 2 to 3",
        "the attribute a changed from 2 to 3", "a: 2 → 3",
    ]  # fmt: skip
    assert changed(now, now) == ()
    assert [change.words for change in changed([], now[:1])] == ["the global a is new"]
    assert [change.words for change in changed(now[:1], [])] == ["the global a is not used any more"]
    assert Change("global", "frame", "DataFrame (3, 2)", "DataFrame (3, 2)").words == "the global frame changed"


def test_the_diff_of_code_is_of_its_source():
    change = Change("function", "g", "def g(x):\n    return 1", "def g(x):\n    return 2")
    assert change.diff == "--- g, before\n+++ g, now\n@@ -1,2 +1,2 @@\n def g(x):\n-    return 1\n+    return 2"
    assert Change("global", "a", "1", "2").diff == ""
