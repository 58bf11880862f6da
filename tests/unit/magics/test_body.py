"""A cell's body: the lines of its errors, the names that it leaves, and the statements that it cannot have."""

import pytest


def test_the_names_that_a_body_assigns_are_bound(run):
    run("%%pipeline p\nx = inv(4)\na, (b, *c) = 1, (2, 3, 4)\nd: int = 5\ne = f = 6\ne += 1")
    assert run("x, a, b, c, d, e, f") == (0.25, 1, 2, [3, 4], 5, 7, 6)


def test_imports_are_bound(run):
    run("%%pipeline p\nimport json, os.path\nimport math as m\nfrom math import pi, tau as t\nx = inv(4)")
    assert run("json.__name__, os.__name__, m.__name__, pi < t") == ("json", "os", "math", True)


def test_names_with_an_underscore_are_not_bound(run):
    run("%%pipeline p\n_private = 1\n__dunder = 2\nx = inv(4)")
    assert run("'_private' in globals(), '__dunder' in globals()") == (False, False)


def test_loop_targets_are_not_bound(run):
    run("%%pipeline p\nfor i, (j, k) in [(1, (2, 3))]:\n    x = inv(i)\ny = [inv(n) for n in (1, 2)]")
    assert run("[name in globals() for name in ('i', 'j', 'k', 'n')]") == [False] * 4


def test_a_loop_leaves_an_equal_name_of_the_notebook_as_it_was(run):
    run("i = 'mine'")
    run("%%pipeline p\nfor i in (1, 2):\n    x = inv(i)")
    assert run("i") == "mine"


def test_names_in_blocks_are_bound(run):
    run(
        "%%pipeline p\n"
        "import contextlib\n"
        "if True:\n    a = inv(1)\nelse:\n    a = 0\n"
        "for i in (1, 2):\n    b = inv(i)\n"
        "with contextlib.nullcontext(7) as c:\n    d = 8\n"
        "try:\n    e = 9\nfinally:\n    f = 10\n"
        "while (g := 11) > 12:\n    pass\n"
        "match 1:\n    case _:\n        h = 12"
    )
    assert run("a, b, c, d, e, f, g, h") == (1.0, 0.5, 7, 8, 9, 10, 11, 12)


def test_a_name_in_a_block_that_did_not_run_is_not_bound(run):
    run("%%pipeline p\nx = inv(1)\nif False:\n    never = 1")
    assert run("'never' in globals()") is False


def test_a_body_sees_the_names_of_the_notebook(run):
    run("four = 4")
    assert run("%%pipeline p\nx = inv(four)\nx") == 0.25


def test_a_lambda_in_a_body_sees_the_names_of_the_body(run):
    assert run("%%pipeline p\nn = 4\nmake = lambda: inv(n)\nx = make()\nx") == 0.25


def test_a_magic_in_a_body_works(run):
    assert run("%%pipeline p\nhere = %pwd\nx = inv(4)\nhere") == run("%pwd")


@pytest.mark.parametrize(
    ("above", "between", "line"), [("", "", 3), ("", "\n", 4), ("", "\n\n\n", 6), ("\n\n", "", 5), ("\n", "\n\n", 6)]
)
class TestLines:
    """Blank lines above the magic's line, and between it and the body."""

    def test_an_error_of_the_body_is_at_its_line(self, told, above, between, line):
        text = told(f"{above}%%pipeline p\n{between}x = inv(4)\n1 / 0\n\n")
        assert f"Cell In[2], line {line}\n" in text
        assert f"----> {line} 1 / 0" in text

    def test_an_error_of_fanlab_is_at_its_line(self, told, above, between, line):
        text = told(f"{above}%%pipeline p\n{between}x = inv(4)\nx + 1\n")
        assert f"\n  where: Cell In[2], line {line}\n" in text

    def test_a_syntax_error_is_at_its_line(self, told, above, between, line):
        text = told(f"{above}%%pipeline p\n{between}x = inv(4)\ny = x x\n")
        assert f"  Cell In[2], line {line}\n    y = x x\n" in text
        assert text.endswith("SyntaxError: invalid syntax")

    def test_a_refused_statement_is_at_its_line(self, told, above, between, line):
        text = told(f"{above}%%pipeline p\n{between}x = inv(4)\nreturn x\n")
        assert f"(Cell In[2], line {line})" in text

    def test_an_error_of_a_combine_cell_is_at_its_line(self, run, told, above, between, line):
        run("%%pipeline p\nx = inv(4)")
        text = told(f"{above}%%combine c\n{between}n = len(results)\nn / 0\n")
        assert f"Cell In[3], line {line}\n" in text
        assert f"----> {line} n / 0" in text


def test_a_traceback_has_no_frame_of_fanlab(told):
    text = told("%%pipeline p\nx = inv(4)\n1 / 0")
    assert "fanlab/" not in text


REFUSED = [
    ("def f():\n    pass", "def", "define functions and steps in a cell of their own, then call them here"),
    ("async def f():\n    pass", "async def", "define functions and steps in a cell of their own, then call them here"),
    ("@step\ndef f():\n    pass", "def", "define functions and steps in a cell of their own, then call them here"),
    ("class A:\n    pass", "class", "define classes in a cell of their own"),
    ("y = await x", "await", "magics run without an event loop: await in a cell of its own and use the value here"),
    ("async for i in x:\n    pass", "async for", "magics run without an event loop: loop in a cell of its own"),
    ("async with x:\n    pass", "async with", "magics run without an event loop: do it in a cell of its own"),
    ("yield x", "yield", "a cell has no caller to yield to"),
    ("y = yield", "yield", "a cell has no caller to yield to"),
    ("yield from x", "yield", "a cell has no caller to yield to"),
    ("return x", "return", "the value of a cell is its last expression"),
    ("global x", "global", "names of the notebook are there already; assign them in a cell of their own"),
    ("nonlocal x", "nonlocal", "a cell has no enclosing function"),
]


@pytest.mark.parametrize("magic", ["pipeline", "combine"])
@pytest.mark.parametrize(("statement", "what", "do"), REFUSED)
def test_a_statement_that_a_body_cannot_have_is_refused(run, told, magic, statement, what, do):
    run("%%pipeline p\nx = inv(4)")
    line = 4 if statement.startswith("@") else 3
    assert told(f"%%{magic} p\nn = 1\n{statement}") == (
        f"UsageError: a %%{magic} body cannot hold `{what}` (Cell In[3], line {line}): {do}"
    )


def test_a_statement_deep_in_a_block_is_refused(told):
    text = told("%%pipeline p\nif True:\n    for i in (1, 2):\n        class A:\n            pass")
    assert text == (
        "UsageError: a %%pipeline body cannot hold `class` (Cell In[2], line 4): define classes in a cell of their own"
    )


def test_a_refused_body_runs_nothing(run, told):
    told("%%pipeline p\nprint('ran')\nx = inv(4)\nreturn x")
    assert run("'p' in globals(), 'x' in globals()") == (False, False)


def test_a_body_works_when_another_magic_calls_it(run, shell):
    shell.run_cell_magic("pipeline", "p", "x = inv(4)")
    assert run("x") == 0.25


def test_an_error_of_a_body_that_another_program_runs_names_the_magic(shell):
    with pytest.raises(ZeroDivisionError) as caught:
        shell.run_cell_magic("pipeline", "p", "x = inv(4)\n1 / 0")
    frame = caught.traceback[-1]
    assert (str(frame.path), frame.lineno + 1) == ("<%%pipeline>", 3)
