"""%%step: the function that a cell becomes, its options, its lines, and what is said to wrong ones."""

import ast
import inspect

import pytest

from fanlab import Step
from fanlab.core.code_source import definition
from fanlab.core.spec import Options
from fanlab.errors import PipelineError, StepDefinitionError

FIT = "%%step fit(x, *, by=2)\ny = x * by\ny + 1"


def test_the_last_expression_is_the_value(run):
    run(FIT)
    assert run("fit(3), fit(3, by=10)") == (7, 31)


def test_the_name_is_bound_to_a_step(run):
    run(FIT)
    assert isinstance(run("fit"), Step)
    assert run("fit.name, fit.outputs, fit.options") == ("fit", ("output",), Options())


def test_the_cell_has_no_value(run):
    assert run(FIT) is None


def test_names_that_the_body_assigns_stay_in_it(run):
    run(FIT)
    run("fit(3)")
    assert run("'y' in globals(), 'x' in globals()") == (False, False)


def test_the_body_sees_the_names_of_the_notebook_as_they_are_when_it_runs(run):
    run("scale = 2")
    run("%%step fit(x)\nx * scale")
    assert run("scale = 5\nfit(3)") == 15


def test_a_step_cell_runs_on_workers(run):
    run("%%step where(i)\nimport os\nos.getpid()")
    run("%%pipeline p -j 2\npids = where.map(range(3))")
    assert run("import os\nos.getpid() in pids.load()") is False


def test_several_step_cells_may_call_each_other(run):
    run("%%step one(x)\nx + 1")
    run("%%step two(x)\none(x) * 2")
    assert run("%%pipeline p\ntwo(3)") == 8


@pytest.mark.parametrize(
    ("cell", "call", "value"),
    [
        ("%%step f()\n1", "f()", 1),
        ("%%step f ( x )\nx", "f(1)", 1),
        ("%%step f(*args, **kwargs)\nargs, kwargs", "f(1, a=2)", ((1,), {"a": 2})),
        ("%%step f(a, /, b, *, c=3)\na, b, c", "f(1, b=2)", (1, 2, 3)),
        ("%%step f(sep=' (,) -> ')\nsep", "f()", " (,) -> "),
        ("%%step f(sep='\"')\nsep", "f()", '"'),
        ("%%step f(x=(1, [2, {3: 4}]))\nx", "f()", (1, [2, {3: 4}])),
        ("%%step f(x: int = 1)\nx", "f()", 1),
        ("%%step größe(maß)\nmaß", "größe(2)", 2),
        ("%%step f(x)\nif x:\n    return 'early'\n'late'", "f(1), f(0)", ("early", "late")),
        ("%%step f(x)\nx += 1", "f(1)", None),
        ("%%step f(x)\n# nothing but a comment", "f(1)", None),
        ("%%step f()\n'text'", "f()", "text"),
        ("%%step f()\n'''doc'''\n2", "f(), f.__doc__", (2, "doc")),
        ("%%step f()\nx = 1; x + 1;", "f()", 2),
        ("%%step f(n)\ndef g(m):\n    return m * n\ng(3)", "f(2)", 6),
        ("%%step f(n)\nclass A:\n    m = 3\nA.m * n", "f(2)", 6),
        ("%%step f()\nt = '''a\n  b\nc'''\nt", "f()", "a\n  b\nc"),
        ("%%step f()\nt = f'''a\n{1 + 1}\nc'''\nt", "f()", "a\n2\nc"),
        ("%%step f()\nx = [\n1,\n   2]\nx", "f()", [1, 2]),
        ("%%step f()\nx = 1 + \\\n2\nx", "f()", 3),
        ("%%step f(x)\nif x:\n\ty = 1\nelse:\n\ty = 2\ny", "f(0)", 2),
        ("%%step f()\nglobal seen\nseen = 4\nseen", "f(), seen", (4, 4)),
        ("%%step f()\n[i for i in range(3)]", "f()", [0, 1, 2]),
    ],
)  # fmt: skip
def test_a_cell_is_the_body_of_the_function(run, cell, call, value):
    run(cell)
    assert run(call) == value
    source = inspect.getsource(run(cell.split("(")[0].split()[-1]))
    ast.parse(source)


def test_every_option_of_a_step_can_be_given(run):
    run(
        "class Own(Exception): pass\nwait = 0.5\n"
        "import json"
    )  # fmt: skip
    run(
        "%%step fit(x) --retries 3 --retry-delay wait --retry-backoff=2 --retry-on Own,OSError,json.JSONDecodeError"
        " --timeout 9.5 --no-enable-cache --expires-after 60 --max-parallel 2 --version 'v 1'\nx"
    )
    own, decode = run("Own, json.JSONDecodeError")
    assert run("fit.options") == Options(3, 0.5, 2.0, (own, OSError, decode), 9.5, False, 2, "v 1", expires_after=60.0)


def test_options_may_stand_before_the_signature(run):
    run("%%step --retries 3 --enable-cache fit(x)\nx")
    assert run("fit.options") == Options(retries=3, enable_cache=True)


def test_a_return_annotation_names_outputs(run):
    run("from typing import Annotated")
    run("%%step half(x) -> tuple[Annotated[int, 'low'], Annotated[int, 'high']] --retries 1\nx // 2, x - x // 2")
    assert run("half.outputs, half.options.retries") == (("low", "high"), 1)


def test_a_failed_attempt_is_tried_again(run, tmp_path):
    run("from pathlib import Path")
    run("%%step once(path) --retries 1\nif not Path(path).exists():\n    Path(path).touch()\n    raise OSError\n'done'")
    assert run("%%pipeline p\nonce('flag')") == "done"


# what shows its source


def test_its_source_is_that_of_a_function(run):
    run("%%step fit(x, sep='#') --retries 2\n# a comment\ny = '''a\nb'''\n\ny + sep * x  # the end\n\n")
    text = "def fit(x, sep='#'):\n    # a comment\n    y = '''a\nb'''\n\n    return y + sep * x  # the end\n"
    assert run("import inspect\ninspect.getsource(fit)") == text


def test_a_copy_with_other_options_has_the_same_source(run):
    run(FIT)
    assert run("import inspect\ninspect.getsource(fit) == inspect.getsource(fit.with_options(retries=1))") is True


def test_the_source_says_what_the_function_does(run):
    run("%%step fit(x, by=2)\nfor i in range(by):\n    x += i\nx")
    made = {}
    exec(inspect.getsource(run("fit")), made)
    assert made["fit"].__code__.co_code == run("fit.function.__code__.co_code")


def test_whatever_compares_code_finds_where_it_comes_from(run):
    run("\n\n%%step fit(x, by=2)\n\nfor i in range(by):\n    x += i\nt = '''a\nb'''\nx")
    found = definition(run("fit.function.__code__"))
    assert found.text == "def fit(x, by=2):\n    for i in range(by):\n        x += i\n    t = 'a\\nb'\n    return x"


def test_the_source_of_a_body_with_a_magic_is_python(run):
    run("%%step here()\nfolder = %pwd\nfolder")
    assert run("here() == get_ipython().run_line_magic('pwd', '')") is True
    ast.parse(inspect.getsource(run("here")))


def test_transformers_of_the_notebook_change_it(run, shell):
    class Doubled(ast.NodeTransformer):
        def visit_Constant(self, node):
            return ast.Constant(node.value * 2 if type(node.value) is int else node.value)

    shell.ast_transformers.append(Doubled())
    run("%%step two()\n1")
    shell.ast_transformers.pop()
    assert run("two()") == 2


def test_its_signature_is_that_of_the_line(run):
    run("%%step fit(x: int, /, *rest, by=2) -> float\nx")
    assert run("import inspect\nstr(inspect.signature(fit))") == "(x: int, /, *rest, by=2) -> float"


@pytest.mark.parametrize("marks", ["?", "??"])
def test_question_marks_show_it(run, capsys, marks):
    run(FIT)
    capsys.readouterr()
    run(f"fit{marks}")
    text = capsys.readouterr().out
    assert "fit(x, *, by=2)" in text
    assert ("return y + 1" in text) == (marks == "??")


# lines


def test_an_error_is_at_the_line_of_the_cell(run, told):
    run("\n%%step bad(x)\n\ny = 1\n\n1 / x\n")
    text = told("bad(0)")
    assert "Cell In[2], line 6, in bad(x)" in text
    assert "----> 6     return 1 / x" in text
    assert "fanlab/" not in text


def test_a_failed_branch_is_told_with_the_line_of_the_cell(run, told):
    run("%%step bad(x)\ny = 1\n1 / x")
    assert told("%%pipeline p\nbad(0)") == (
        "PipelineError: bad (x=0) failed: ZeroDivisionError: division by zero\n"
        "  where: Cell In[2], line 3, in bad: return 1 / x\n"
        "  do:    mend the step and run again; error.run.results has everything that finished"
    )


def test_an_error_of_a_default_is_at_the_line_of_the_magic(told):
    text = told("\n%%step bad(x=1 / 0)\nx")
    assert "----> 2 def bad(x=1 / 0):" in text
    assert "fanlab/" not in text


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("%%step bad(x)\ny = x x", "  Cell In[2], line 2\n    y = x x\n          ^\nSyntaxError: invalid syntax"),
        ("%%step bad(x y)\n1", "  Cell In[2], line 1\n    %%step bad(x y)\n                 ^\nSyntaxError: invalid syntax"),
        (
            "%%step bad(x, x)\n1",
            "  Cell In[2], line 1\n    %%step bad(x, x)\n                  ^\nSyntaxError: duplicate argument 'x' in function definition",
        ),
        ("%%step bad(x)\nbreak", "  Cell In[2], line 2\n    break\n    ^\nSyntaxError: 'break' outside loop"),
        (
            "%%step bad(x)\n\nawait x",
            "  Cell In[2], line 3\n    await x\n    ^\nSyntaxError: 'await' outside async function",
        ),
    ],
)  # fmt: skip
def test_a_syntax_error_is_told_at_its_line_and_nothing_else(told, cell, shown):
    assert told(cell) == shown


# wrong lines


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "the following arguments are required: NAME(SIGNATURE)"),
        ("fit", "%%step takes NAME(SIGNATURE), for example fit(frame, alpha=1.0), not 'fit'"),
        ("2x(a)", "%%step takes NAME(SIGNATURE), for example fit(frame, alpha=1.0), not '2x(a)'"),
        ("class(a)", "%%step takes a name that a variable can have, not 'class'"),
        ("fit(a", "%%step: the signature has no end: all of it stands on the line of the magic"),
        ("fit(a='x)", "%%step: the signature has no end: all of it stands on the line of the magic"),
        ("fit(a) b", "unrecognized arguments: b"),
        ("fit(a) --retrys 2", "%%step has no option --retrys: did you mean --retries or --retry-on or --retry-delay?"),
        ("fit(a) --retries two", "%%step --retries takes a whole number or the name of one, not 'two'"),
        ("fit(a) --timeout soon", "%%step --timeout takes a number or the name of one, not 'soon'"),
        (
            "fit(a) --retry-on ValuError",
            "%%step --retry-on: 'ValuError' is no exception: did you mean 'ValueError' or 'TabError' or 'NameError'?",
        ),
        (
            "fit(a) --retry-on 7",
            "%%step --retry-on: '7' is no exception: name classes with commas between, as ValueError,OSError",
        ),
    ],
)  # fmt: skip
def test_a_wrong_line_is_told_in_one_line(told, line, message):
    assert told(f"%%step {line}\na") == f"UsageError: {message}"


def test_a_generator_is_refused(run):
    with pytest.raises(StepDefinitionError) as caught:
        run("%%step fit(x)\nyield x")
    assert str(caught.value) == (
        "step 'fit' is a generator, whose value cannot be stored\n"
        "  where: Cell In[2], line 1\n"
        "  do:    return a list instead of using yield"
    )


def test_a_wrong_cell_leaves_the_name_as_it_was(run, told):
    run("fit = 'mine'")
    told("%%step fit(x)\nx x")
    told("%%step fit(x) --retries many\nx")
    assert run("fit") == "mine"


def test_a_step_cell_works_when_another_program_calls_it(run, shell):
    shell.run_cell_magic("step", "fit(x)", "x + 1\n")
    assert run("fit(1)") == 2


def test_the_line_magic_says_what_to_type(told):
    assert told("%step fit(x)") == (
        "UsageError: %step is for whole cells: begin one with %%step NAME(SIGNATURE), and write its body below"
    )


def test_an_option_of_a_failed_branch_is_kept(run):
    run("%%step fit(x) --retries 2\n1 / x")
    with pytest.raises(PipelineError) as caught:
        run("%%pipeline p\nfit(0)")
    assert caught.value.run["fit"].attempts == 3
