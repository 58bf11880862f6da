"""What travels to a worker arrives with the file and the lines of its code."""

import pickle

from fanlab.execute.travel import dumps


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
