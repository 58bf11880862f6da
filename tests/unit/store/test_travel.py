"""What travels to a worker arrives as it is here: code with its file and lines, modules with their globals."""

import copy
import datetime as dt
import decimal
import enum
import importlib
import linecache
import pickle
import subprocess
import sys
import textwrap

import cloudpickle
import pytest

from fanlab.store import travel
from fanlab.store.hashes import hash_value
from fanlab.store.travel import dumps


def made(source, name):
    """A name that a program in `<a cell>` defines, as a notebook's cell would."""
    namespace = {"__name__": "__main__"}
    exec(compile(source, "<a cell>", "exec"), namespace)
    return namespace[name]


def test_a_function_keeps_its_file_name():
    function = pickle.loads(dumps(made("def f(x):\n    return x + 1", "f")))
    assert function(1) == 2
    assert function.__code__.co_filename == "<a cell>"


def test_a_function_keeps_its_lines():
    function = pickle.loads(dumps(made("\n\ndef f(x):\n    return x", "f")))
    assert function.__code__.co_firstlineno == 3


def test_a_function_inside_another_keeps_its_file_name():
    inner = pickle.loads(dumps(made("def f(x):\n    return lambda: x", "f")))(5)
    assert inner() == 5
    assert inner.__code__.co_filename == "<a cell>"


def test_the_methods_of_a_class_keep_their_file_name():
    arrived = pickle.loads(dumps(made("class C:\n    def m(self):\n        return 3", "C")))
    assert arrived().m() == 3
    assert arrived.m.__code__.co_filename == "<a cell>"


def test_a_cached_property_of_a_class_arrives():
    source = """
from functools import cached_property
class C:
    @cached_property
    def slow(self):
        return [3]
"""
    here = made(source, "C")()
    assert here.slow == [3]
    arrived = pickle.loads(dumps(type(here)))()
    assert arrived.slow is arrived.slow
    assert arrived.slow == [3]
    assert vars(pickle.loads(dumps(here))) == {"slow": [3]}


AROUND = """
from contextlib import contextmanager
from functools import cache, lru_cache, singledispatch, singledispatchmethod

OFFSET = 1

@lru_cache(maxsize=7, typed=True)
def remembers(n):
    return n + OFFSET if n < 2 else remembers(n - 1) + remembers(n - 2)

@singledispatch
def depth(value):
    return OFFSET

@depth.register
def _(value: list):
    return 1 + max(map(depth, value))

@contextmanager
def opened():
    yield OFFSET

class C:
    @cache
    def slow(self):
        return [OFFSET]

    @singledispatchmethod
    def told(self, value):
        return "anything"

    @told.register
    def _(self, value: int):
        return "a number"
"""


def arrived(name):
    here = made(AROUND, name)
    for value in (here, [here]):
        with pytest.raises(travel.OwnCode):
            travel.by_name(value)
    return pickle.loads(dumps(here))


def test_a_function_that_remembers_arrives_with_what_it_is_around():
    there = arrived("remembers")
    assert there(5) == 13
    assert there.cache_parameters() == {"maxsize": 7, "typed": True}
    assert there.__name__ == "remembers"


def test_a_function_that_is_chosen_by_type_arrives_with_all_of_them():
    there = arrived("depth")
    assert there([[3], 4]) == 3
    assert list(there.registry) == [object, list]


def test_a_function_of_an_installed_decorator_arrives():
    with arrived("opened")() as value:
        assert value == 1


def test_methods_that_functools_has_wrapped_arrive():
    there = arrived("C")()
    assert there.slow() is there.slow()
    assert (there.told(1), there.told("1")) == ("a number", "anything")


def test_what_is_the_users_own_is_never_told_by_name():
    instance = made("class C:\n    pass", "C")()
    for value in (instance, [instance], {"a": (instance,)}, type(instance), made("def f(): pass", "f")):
        with pytest.raises(travel.OwnCode):
            travel.by_name(value)
    assert pickle.loads(travel.by_name([1, dt.date(2020, 1, 1), decimal.Decimal])) == [
        1,
        dt.date(2020, 1, 1),
        decimal.Decimal,
    ]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A module of the user's, by its source."""
    monkeypatch.syspath_prepend(str(tmp_path))
    names = []

    def project(source):
        name = f"project{len(names)}_of_{tmp_path.name}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        names.append(name)
        return importlib.import_module(name)

    yield project
    for name in names:
        del sys.modules[name]


MODULE = """
import threading
LIMIT = 3
LOCK = threading.Lock()
class Model:
    size = 1
    def grow(self):
        return self.size + LIMIT
def f(x):
    return x + LIMIT
"""


def test_a_modules_function_goes_with_its_globals_as_they_are_now(project):
    module = project(MODULE)
    module.LIMIT = 10
    arrived = pickle.loads(travel.by_value(module.f))
    module.LIMIT = 20
    assert arrived(1) == 11
    assert arrived is not module.f


def test_of_a_module_only_what_is_used_goes(project):
    module = project(MODULE)
    with pytest.raises(TypeError):
        travel.by_value(module)  # its lock
    arrived = pickle.loads(travel.by_value(module, uses={module.__name__: frozenset({"f"})}))
    assert arrived.f(1) == 4
    assert not hasattr(arrived, "LIMIT")
    assert arrived.__name__ == module.__name__
    assert arrived is not module


def test_by_name_a_modules_function_is_the_one_here(project):
    module = project(MODULE)
    assert pickle.loads(travel.by_value(module.f, modules=False)) is module.f


def test_cloudpickle_is_left_as_it_was(project):
    module = project(MODULE)
    before = cloudpickle.list_registry_pickle_by_value()
    travel.by_value(module.f)
    with pytest.raises(TypeError):
        travel.by_value((module.f, module.LOCK))
    assert cloudpickle.list_registry_pickle_by_value() == before
    cloudpickle.register_pickle_by_value(module)  # the user's own wish
    try:
        travel.by_value(module.f)
        assert module.__name__ in cloudpickle.list_registry_pickle_by_value()
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def test_an_instance_is_one_of_the_living_class_if_that_is_the_same(project):
    module = project(MODULE)
    pickled = travel.by_value(module.Model())
    assert type(pickle.loads(pickled)) is module.Model


def test_the_living_class_keeps_what_it_has(project):
    module = project(MODULE)
    pickled = travel.by_value(module.Model())
    method = module.Model.grow
    pickle.loads(pickled)
    assert module.Model.grow is method


@pytest.mark.parametrize(
    "change", ["module.LIMIT = 4", "module.Model.size = 2", "module.Model = None", "del module.Model"]
)
def test_it_is_one_of_its_own_class_if_the_living_one_is_another(project, change):
    module = project(MODULE)
    pickled = travel.by_value(module.Model())
    exec(change)
    first, second = pickle.loads(pickled), pickle.loads(pickled)
    assert type(first) is type(second) is not getattr(module, "Model", None)
    assert first.grow() == 4


def test_classes_that_refer_to_one_another_arrive_as_one():
    source = "class A:\n    def other(self): return B\nclass B(A):\n    def other(self): return A"
    namespace = {"__name__": "elsewhere"}
    exec(compile(source, "<a cell>", "exec"), namespace)
    a, b = pickle.loads(travel.by_value((namespace["A"], namespace["B"])))
    assert a().other() is b
    assert b().other() is a
    assert issubclass(b, a)


def test_a_class_has_the_same_key_after_its_instances_have_been_pickled():
    kind = made("class C:\n    __slots__ = ('a',)", "C")
    before = hash_value(kind)
    travel.by_value(kind())
    copy.copy(kind())
    assert hash_value(kind) == before


CELL = '''
import math
SCALE = 2
class Model:
    """A model."""
    def f(self, value):
        other = (value
            and SCALE)
        return other
def work(x):
    """Work."""
    return (lambda item: Model().f(item)
        and math.sqrt(item))(x)
'''
ELSEWHERE = """
import pickle, sys
from fanlab.store.hashes import hash_value
print(hash_value(pickle.loads(bytes.fromhex(sys.stdin.read()))))
"""


@pytest.mark.parametrize("name", ["work", "Model"])
def test_code_has_the_same_key_where_its_source_is_not(name):
    file = f"<ipython-input-{name}>"
    linecache.cache[file] = (len(CELL), None, CELL.splitlines(True), file)
    namespace = {"__name__": "__main__"}
    exec(compile(CELL, file, "exec"), namespace)
    value = namespace[name]
    pickled = travel.by_value(value).hex()
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], input=pickled, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == hash_value(value), done.stderr


def test_a_class_inside_a_function_comes_back_as_itself():
    class Kind(enum.Enum):
        RED = 1

    assert pickle.loads(dumps([Kind.RED]))[0] is Kind.RED
