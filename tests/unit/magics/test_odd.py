"""Odd lines and bodies: whatever is typed, no traceback comes out of fanlab's own files."""

import re
import sys
import traceback
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from fanlab.errors import FanlabError
from fanlab.place import PACKAGE

SETUP = """\
%load_ext fanlab
%config FanlabMagics.backend = 'sequential'
from fanlab import step
@step
def inv(x):
    return 1 / x
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """One shell for all of them: what an odd cell leaves behind must not matter to the next."""
    patch = pytest.MonkeyPatch()
    patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
    patch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    patch.chdir(tmp_path_factory.mktemp("odd"))
    InteractiveShell.clear_instance()
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell = InteractiveShell.instance(config=config)
    shell.run_cell(SETUP).raise_error()
    shell.run_cell("%%pipeline demo\nxs = inv.map([1, 2])").raise_error()
    yield shell
    InteractiveShell.clear_instance()
    patch.undo()


def check(shell, capsys, text):
    """Run a cell, which may fail as it likes, but not with fanlab's insides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python, about odd code
        result = shell.run_cell(text, store_history=True)
    shown = capsys.readouterr()
    for stream in (shown.out, shown.err):
        assert PACKAGE not in stream
        assert not re.search(r"File \S*fanlab/", stream)
    error = result.error_before_exec or result.error_in_exec
    if error is not None and not isinstance(error, (UsageError, FanlabError, SyntaxError)):
        last = traceback.extract_tb(error.__traceback__)[-1]
        assert not last.filename.startswith(PACKAGE), f"{error!r} at {last}"


BODIES = {
    "empty": "",
    "a blank line": "\n",
    "blanks": "   \n\t\n  ",
    "a comment": "# nothing",
    "a pass": "pass",
    "dots": "...",
    "a semicolon": ";",
    "semicolons": "1;;2",
    "a value hidden": "1;",
    "unicode": "größe = 'ß→😀'\ngröße",
    "unicode names": "变量 = inv(1)\n变量",
    "a letter that normalises": "ﬁ = 1\nfi",
    "right to left": "x = '\u202eabc\u202c'",
    "a zero-width space": "x\u200b = 1",
    "a non-breaking space": "x\u00a0= 1",
    "smart quotes": "x = “text”",
    "a byte order mark": "\ufeffx = 1",
    "a lone surrogate": "x = '\ud800'",
    "a null byte": "x = '\0'",
    "a bell": "x = '\a'\x07",
    "a form feed": "\x0cx = 1\n\x0cx",
    "a vertical tab": "x = 1\x0b\nx",
    "line separators": "x = 1\u2028y = 2\u2029x",
    "a next line": "x = 1\x85y = 2",
    "carriage returns": "x = 1\r\nx\r\n",
    "a bare carriage return": "x = 1\rx",
    "tabs": "if 1:\n\tx = 1\n\ty = 2\nx",
    "mixed tabs": "if 1:\n\tx = 1\n        y = 2",
    "an indented body": "    x = inv(1)\n    x",
    "a first line indented": "  x = 1\ny = 2",
    "an unfinished text": "x = 'abc",
    "an unfinished triple": "x = '''abc\ndef",
    "an unfinished bracket": "x = (1,\n2",
    "a bracket too many": "x = 1)",
    "a backslash": "\\",
    "a backslash at the end": "x = 1 \\",
    "a continued line": "x = 1 + \\\n  2\nx",
    "quotes": "'''\"\"\"'''",
    "raw texts": "r'\\' + b'\\x00'.decode()",
    "an f-string": "f'{inv(1)!r:>{10}}'",
    "percent": "'%s %%' % 'a'",
    "a magic": "%pwd",
    "a magic assigned": "x = %pwd\nx",
    "an unknown magic": "%nosuchmagic a b",
    "a cell magic inside": "%%time\nx = 1",
    "its own magic inside": "%%pipeline q\ninv(1)",
    "a line magic of ours": "%pipeline x",
    "the tool inside": "%fanlab runs",
    "a shell line": "!echo hello",
    "a shell line assigned": "x = !echo hello\nx",
    "a double shell": "!!echo a",
    "a question": "inv?",
    "two questions": "inv??",
    "a quoted call": ",inv 1",
    "a slash call": "/inv 1",
    "a lambda": "(lambda: inv(1))()",
    "a walrus": "(y := inv(1))",
    "a star": "*a, b = [1, 2, 3]\na",
    "a del": "x = 1\ndel x",
    "a del of ours": "del inv",
    "an import": "import os, sys as s\nfrom math import *",
    "a future import": "from __future__ import annotations",
    "a late future import": "x = 1\nfrom __future__ import annotations",
    "an unknown import": "import nosuchmodule",
    "a def": "def f(): pass",
    "a class": "class A: pass",
    "a return": "return 1",
    "a yield": "yield 1",
    "an await": "await inv(1)",
    "a comprehension with await": "[await x async for x in y]",
    "a global": "global x",
    "a nonlocal": "nonlocal x",
    "a break": "break",
    "a match": "match 1:\n    case x:\n        y = x\ny",
    "a try star": "try:\n    1 / 0\nexcept* ZeroDivisionError:\n    x = 1",
    "a type alias": "type X = int",
    "an exception": "1 / 0",
    "an interrupt": "raise KeyboardInterrupt",
    "a name error": "nosuchname",
    "a recursion": "f = lambda: f()\nf()",
    "a value tested": "x = inv(1)\nif x: pass",
    "a value iterated": "for i in inv(1): pass",
    "a value unpacked": "a, b = inv(1)",
    "a value compared": "inv(1) == 1",
    "a value printed": "print(inv(1))",
    "a failing step": "inv(0)",
    "a map of nothing": "inv.map([])",
    "a map of a number": "inv.map(1)",
    "a step with wrong arguments": "inv(1, 2, 3)",
    "an unknown option": "inv.map([1], nosuch=1)",
    "a step called by keyword": "inv(x=1)",
    "a step redefined": "inv = 1",
    "builtins hidden": "print = list = dict = tuple = None\ninv(1)",
    "results assigned": "results = 1\nresults",
    "very long": "x = " + " + ".join(["1"] * 5000),
    "very many lines": "\n".join(["x = 1"] * 3000),
    "a very long name": f"{'x' * 10_000} = 1",
    "a very long text": f"x = '{'y' * 100_000}'",
    "deep brackets": "(" * 500 + ")" * 500,
    "deep lists": "[" * 90 + "]" * 90,
    "deep operators": "-" * 3000 + "1",
    "a large number": "9" * 5000,
    "markup": "'<script>alert(1)</script>&amp;'",
    "a template": "'{{x}} {0} $x {x}'",
    "SQL": "SELECT * FROM results",
    "a docstring": "'''a text'''\ninv(1)",
    "annotations": "x: int\ny: 'nosuch' = 1",
    "an ellipsis call": "inv(...)",
    "dunder": "__name__, __file__",
    "a private name": "_x = inv(1)\n_x",
    "underscores": "_ = inv(1)\n__ = 2",
    "exit": "x = exit",
    "get_ipython": "get_ipython()",
}
LINES = {
    "pipeline": [
        "", " ", "p q", "2x", "class", "a.b", "p;", "p # comment", "'p'", '"p', "p'q", "p -j", "p -j x", "p -j 1.5", "p -j -1 ",
        "p --n-jobs==2", "p --backend", "p --backend=nosuch", "p --nosuch", "p --", "-- p", "-", "p -x", "p {x}", "p $x", "p {1/0}",
        "größe", "😀", "p\t-j\t1", "p" * 5000, "p --allow-failed --allow-failed", "p -j1 --n-jobs=2", "\\", "p \\", "(p)", "p\x00q",
        "--help", "-h", "p?", "p=1", "@p", "%p", "%%p", "!p", "p -j 99999999999999999999", "p \ud800",
    ],
    "step": [
        "", "f", "f(", "f)", "f()", "f(x", "f(x))", "f(x) y", "f(x=)", "f(x y)", "f(*)", "f(**)", "f(/, x)", "f(x, x)", "f(id)", "f(after)",
        "f(x='()')", "f(x=\"'\")", "f(x='", "f(x=[1, (2, {3: '}'})])", "f(x) ->", "f(x) -> ", "f(x) -> int", "f(x) -> 'a b'", "f(x) -> -1",
        "f(x) --retries", "f(x) --retries x", "f(x) --retries -1", "--retries 1", "--retries 1 f(x)", "f(x) --retry-on", "f(x) --retry-on ,",
        "f(x) --retry-on int", "f(x) --timeout=nan", "f(x) --nosuch", "class(x)", "2(x)", "(x)", "lambda: x", "f(x): pass", "f(lambda: x)",
        "f(x=lambda: (yield))", "größe(ß='→')", "f(😀)", "f(x) # comment", "f(x);", "f (x)", "f(x=1/0)", "f(x=nosuch)", "f(x: nosuch)",
        "f(x=await y)", "f(x=(y:=1))", "f" * 3000 + "()", "f(" + "x=(" * 300 + ")" * 300 + ")", "f(x\x00)", "f(x='\ud800')", "f(x)\t--retries\t1",
    ],
    "combine": [
        "", "c", "c d", "demo", "c --from", "c --from demo", "c --from=demo", "c --from nosuch", "c --from 'de mo'", "c --from ''", "c --step",
        "c --step inv", "c --step nosuch", "c --step ''", "c --sql", "c --sql --step inv", "2x", "results", "c --nosuch", "c --from demo --from demo",
        "c --from {x}", "c --from größe", "c --from \x00", "c --from %", "c --step '*'",
    ],
}  # fmt: skip
TOOL = ["", "nosuch", "runs x", "runs x y", "show", "show ''", "show nosuch", "show %", "show größe", "show \x00", "resume", "resume nosuch",
        "resume ''", "resume demo", "--nosuch", "-x", "show '", "runs;", "runs # comment", "runs {x}", "?", "show " + "x" * 5000]  # fmt: skip
CASES = {
    **{f"{magic} {name}": f"%%{magic} {line}\n{body}" for name, body in BODIES.items() for magic, line in (
        ("pipeline", "p"), ("step", "made(x=1)"), ("combine", "c --from demo"),
    )},
    **{f"sql {name}": f"%%combine c --from demo --sql\n{body}" for name, body in list(BODIES.items())[:40]},
    **{f"%%{magic} line {i}": f"%%{magic} {line}\ninv(1)" for magic, lines in LINES.items() for i, line in enumerate(lines)},
    **{f"%{magic} line {i}": f"%{magic} {line}" for magic, lines in LINES.items() for i, line in enumerate(lines[:10])},
    **{f"%fanlab line {i}": f"%fanlab {line}" for i, line in enumerate(TOOL)},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_odd_cell_shows_nothing_of_fanlabs_insides(shell, capsys, name):
    check(shell, capsys, CASES[name])


WORDS = st.sampled_from(
    ["p", "f(x)", "f(", ")", "--from", "demo", "--sql", "--step", "inv", "-j", "1", "--nosuch", "'", '"', "=", "->", "%", "\\", "{x}", "#", ";"]
)  # fmt: skip
PARTS = st.sampled_from(
    ["x", "=", "inv(1)", "inv.map([1])", "(", ")", "[", "]", "\n", "    ", "\t", ";", "#", "'", '"""', "%pwd", "!true", "?", "if x:", "for i in", ":", ",",
     ".", "lambda", "1", "results", "await", "\\", "\x0c", "\r", "ß", "\u2028"]
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    magic=st.sampled_from(["pipeline", "step", "combine"]),
    line=st.lists(WORDS, max_size=6).map(" ".join) | st.text(max_size=20).filter(lambda text: "\n" not in text),
    body=st.lists(PARTS, max_size=12).map(" ".join) | st.text(max_size=30),
)
def test_any_cell_shows_nothing_of_fanlabs_insides(shell, capsys, magic, line, body):
    check(shell, capsys, f"%%{magic} {line}\n{body}")
