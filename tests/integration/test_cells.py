"""Step and combine cells in a real kernel: lines, debugging, completion and help, as a front end asks for them."""

import re

import pytest

pytestmark = pytest.mark.kernel

FIRST = "from fanlab import step\n@step\ndef sq(x):\n    return {'y': x * x}"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory, new_kernel):
    """One kernel for all tests here."""
    found = new_kernel(tmp_path_factory.mktemp("cells"))
    assert found.run(f"%load_ext fanlab\n{FIRST}") == []
    found.run("%%pipeline demo -j 2\nsquares = sq.map([1, 2, 3])")
    yield found
    found.close()


def plain(output):
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"]))


def completed(notebook, code):
    """What a front end is offered at the end of some code."""
    reply = notebook.ask("complete", code, len(code))
    return [code[: reply["cursor_start"]] + match for match in reply["matches"]]


def test_a_step_cell_leaves_no_output(notebook):
    assert notebook.run("%%step scale(x, by=2)\ny = x * by\ny + 1") == []
    assert notebook.value("scale(3)") == "7"


def test_a_step_cell_runs_in_workers_and_its_lines_are_told(notebook):
    notebook.run("%%step bad(x) --retries 1\ny = x\n\n1 / y")
    cell = int(notebook.value("len(In) - 2"))
    error = notebook.run("%%pipeline p -j 2\nbad(0)")[-1]
    assert plain(error) == (
        "PipelineError: bad (x=0) failed: ZeroDivisionError: division by zero\n"
        f"  where: Cell In[{cell}], line 4, in bad: return 1 / y\n"
        "  do:    mend the step and run again; error.run.results has everything that finished"
    )


def test_a_step_cell_that_calls_another_shows_both_lines(notebook):
    notebook.run("%%step inner(x)\n1 / x")
    notebook.run("%%step outer(x)\n# above\ninner(x)")
    inner = int(notebook.value("len(In) - 3"))
    text = plain(notebook.run("outer(0)")[-1])
    assert f"Cell In[{inner}], line 2, in inner(x)" in text
    assert f"Cell In[{inner + 1}], line 3, in outer(x)" in text
    assert "fanlab/" not in text


def test_a_syntax_error_of_a_cell_is_all_that_is_shown(notebook):
    (error,) = notebook.run("%%step f(x)\nx x")
    cell = int(notebook.value("len(In) - 2"))
    assert error["ename"] == "SyntaxError"
    assert plain(error).split("\n")[:2] == [f"  Cell In[{cell}], line 2", "    x x"]
    assert "fanlab" not in plain(error)


def test_debug_goes_to_the_line_of_the_step(notebook):
    notebook.run("%%step broken(x)\nlocal = x + 1\nlocal / 0")
    notebook.run("%%pipeline p --allow-failed\nbroken.map([1, 2])")
    error = notebook.run("p.last_run['broken'][1].debug()")[-1]
    assert error["ename"] == "ZeroDivisionError"
    assert "----> 3     return local / 0" in plain(error)
    assert "fanlab/" not in plain(error)
    assert notebook.value("import sys\nsys.last_traceback.tb_next is not None") == "True"
    frames = "import traceback\n[(f.name) for f in traceback.extract_tb(sys.last_traceback)][-1]"
    assert notebook.value(frames) == "'broken'"


def test_a_rerun_takes_over_the_rest(notebook):
    notebook.run("%%pipeline r -j 2\nsq.map([1, 2, 3])")
    statuses = notebook.run("again = r.last_run.rerun(r.last_run.results.query('y == 4'))")
    assert statuses[-1]["data"]["text/plain"] == "r: completed\n  ✓ sq  3 of 3 completed"
    assert notebook.value("again.profile['status'].tolist()") == "['cached', 'completed', 'cached']"


def test_running_only_the_combine_cell_runs_no_branch(notebook):
    notebook.run("%%pipeline demo -j 2\nsquares = sq.map([1, 2, 3])")
    assert notebook.value("%%combine best --from demo\nint(results['y'].max())") == "9"
    assert notebook.value("%%combine best --from demo\nint(results['y'].min())") == "1"
    assert notebook.value("best") == "1"
    assert notebook.value("from fanlab import Client\nlen(Client().get_pipeline('demo').runs)") == "2"


def test_a_combine_cell_shows_its_prints_and_its_value(notebook):
    outputs = notebook.run("%%combine best --from demo\nprint('seen')\nlen(results)")
    assert [(output["kind"], output.get("text") or output["data"]["text/plain"]) for output in outputs] == [
        ("stream", "seen\n"),
        ("execute_result", "3"),
    ]


def test_sql_shows_a_table_although_it_ends_with_a_semicolon(notebook):
    (output,) = notebook.run("%%combine top --from demo --sql\nSELECT x, y FROM results ORDER BY y DESC;")
    assert output["data"]["text/plain"] == "   x  y\n0  3  9\n1  2  4\n2  1  1"


def test_options_are_completed(notebook):
    assert "%%pipeline p --allow-failed" in completed(notebook, "%%pipeline p --al")
    assert completed(notebook, "%%combine c --s") == ["%%combine c --sql", "%%combine c --step"]


def test_names_are_completed(notebook):
    assert completed(notebook, "%%combine c --from de") == ["%%combine c --from demo"]
    assert completed(notebook, "%%combine c --from=de") == ["%%combine c --from=demo"]
    assert completed(notebook, "%%combine c --from demo --step s") == ["%%combine c --from demo --step sq"]


def test_a_body_is_completed_as_any_code(notebook):
    notebook.run("alphabet = 1")
    assert "%%pipeline p\nx = alphabet" in completed(notebook, "%%pipeline p\nx = alphab")


@pytest.mark.parametrize("magic", ["%%pipeline", "%%step", "%%combine", "%fanlab"])
def test_help_is_shown_for_every_magic(notebook, magic):
    (page,) = notebook.ask("execute", f"{magic}?")["payload"]
    assert f"  {magic} " in page["data"]["text/plain"]


def test_help_is_shown_for_a_step_cell(notebook):
    notebook.run("%%step documented(x, by=2)\n'''Scales.'''\nx * by")
    text = re.sub(r"\x1b\[[0-9;]*m", "", notebook.ask("inspect", "documented", 4)["data"]["text/plain"])
    assert "documented(x, by=2)" in text
    assert "Scales." in text


def test_settings_hold_for_cells_that_say_nothing(notebook):
    notebook.run("import os\n@step(enable_cache=False)\ndef pid(i):\n    return os.getpid()")
    notebook.run("%config FanlabMagics.backend = 'sequential'")
    notebook.run("%%pipeline p\nhere = pid(0)")
    notebook.run("%%pipeline p --backend loky\nthere = pid(0)")
    notebook.run("%config FanlabMagics.backend = None")
    assert notebook.value("here == os.getpid(), there == os.getpid()") == "(True, False)"


def test_ipython_without_a_kernel_runs_the_cells(python):
    out = python(
        """
        import sys
        from IPython.terminal.interactiveshell import TerminalInteractiveShell
        from traitlets.config import Config

        config = Config()
        config.HistoryManager.enabled = False
        config.TerminalInteractiveShell.simple_prompt = True
        shell = TerminalInteractiveShell.instance(config=config)
        for cell in (
            "%load_ext fanlab",
            "%%step inv(x)\\n1 / x",
            "%%pipeline p -j 1\\nxs = inv.map([1, 2])",
            "%%combine n\\nlen(results)",
            "list(xs)",
            "%unload_ext fanlab",
        ):
            shell.run_cell(cell, store_history=True).raise_error()
        """
    )
    assert [line for line in out.splitlines() if line] == ["Out[4]: 2", "Out[5]: [1.0, 0.5]"]
