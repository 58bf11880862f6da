"""%%pipeline, %%combine and %fanlab: what they bind, what they show, and what they say."""

import pytest

from fanlab import Pipeline, Run
from fanlab.errors import GraphError, NotAvailable, NotFound, PipelineError

# %%pipeline: what it binds


def test_the_name_is_the_pipeline(run):
    run("%%pipeline sweep\nx = inv(4)")
    assert isinstance(run("sweep"), Pipeline)
    assert run("sweep.name") == "sweep"


def test_the_pipeline_has_its_last_run(run):
    run("%%pipeline sweep\nx = inv(4)")
    assert isinstance(run("sweep.last_run"), Run)
    assert run("sweep.last_run.pipeline, sweep.last_run.status") == ("sweep", "completed")


def test_an_output_becomes_its_value(run):
    run("%%pipeline p\nx = inv(4)")
    assert run("x") == 0.25


def test_outputs_in_lists_tuples_and_dicts_become_their_values(run):
    run("%%pipeline p\nfound = {'a': [inv(1), 'text'], 'b': (inv(2), inv.map([4]))}")
    assert run("found['a'], found['b'][0], list(found['b'][1])") == ([1.0, "text"], 0.5, [0.25])


def test_branches_become_a_list_like(run):
    run("%%pipeline p\nxs = inv.map([1, 2, 4])")
    assert run("list(xs)") == [1.0, 0.5, 0.25]


def test_plain_values_stay_the_very_objects(run):
    run("data = [1, 2]")
    run("%%pipeline p\nsame = data\nx = inv.map(same)")
    assert run("same is data") is True


def test_the_pipeline_can_be_called_again(run):
    run("n = 2\nfrom fanlab import Run")
    run("%%pipeline p\nx = inv(n)\nx")
    assert run("n = 4\np().load()") == 0.25


def test_the_name_wins_over_an_equal_name_in_the_body(run):
    run("%%pipeline p\np = inv(4)")
    assert isinstance(run("p"), Pipeline)


# %%pipeline: its value


def test_the_value_is_the_last_expressions(run):
    assert run("%%pipeline p\nx = inv(4)\nx") == 0.25


def test_a_body_that_ends_with_a_statement_has_no_value(run):
    assert run("%%pipeline p\nx = inv(4)") is None


def test_the_value_may_hold_outputs(run):
    assert run("%%pipeline p\nx = inv(4)\n{'x': x, 'n': 1}") == {"x": 0.25, "n": 1}


def test_the_value_is_in_out(run, shell):
    run("%%pipeline p\nx = inv(4)\nx")
    assert shell.user_ns["Out"] == {2: 0.25}


@pytest.mark.parametrize("end", [";", " ;", ";  # done", ";\n\n"])
def test_a_trailing_semicolon_hides_the_value(run, shell, end):
    assert run(f"%%pipeline p\nx = inv(4)\nx{end}") is None
    assert shell.user_ns["Out"] == {}


def test_a_semicolon_in_a_comment_hides_nothing(run):
    assert run("%%pipeline p\nx = inv(4)\nx  # shown;") == 0.25


def test_a_hidden_value_has_run(run):
    run("%%pipeline p\nx = inv(4)\ninv(2);")
    assert run("list(p.last_run.steps)") == ["inv", "inv_2"]


# %%pipeline: failures


def test_a_body_that_raises_leaves_the_namespace_as_it_was(shell, run, told):
    run("x, p = 'old', 'mine'")
    told("%%pipeline p\nx = inv(4)\ny = 1\nimport json\n1 / 0")
    assert run("x, p, 'y' in globals(), 'json' in globals()") == ("old", "mine", False, False)


def test_a_body_that_raises_after_steps_have_run_leaves_its_run_and_no_name(run, told):
    run("x = 'old'")
    told("%%pipeline p\nx = inv(4)\ny = x.load()\n1 / 0")
    assert run("x, 'y' in globals(), p.last_run.status, p.last_run['inv'].load()") == ("old", False, "failed", 0.25)


def test_a_failure_that_the_body_waits_for_leaves_its_run_and_no_name(run):
    run("x = 'old'")
    with pytest.raises(PipelineError):
        run("%%pipeline p\nx = inv(0)\nx.load()")
    assert run("x, p.last_run.status") == ("old", "failed")


def test_a_body_may_wait_for_values(run):
    run("%%pipeline p\nx, n = inv(4), 1\nwhile x.load() < 1:\n    x, n = inv(x), n + 1")
    assert run("x, n, list(p.last_run.steps)") == (4.0, 2, ["inv", "inv_2"])


def test_a_body_that_calls_no_step_is_refused_and_binds_nothing(run):
    with pytest.raises(GraphError) as caught:
        run("%%pipeline p\nx = 1")
    assert str(caught.value) == "pipeline 'p' has no steps: its body called none\n  do:    call a @step function in it"
    assert run("'p' in globals(), 'x' in globals()") == (False, False)


def test_a_failed_step_is_told_with_its_arguments_and_line(told):
    assert told("%%pipeline p\nx = inv(0)") == (
        "PipelineError: inv (x=0) failed: ZeroDivisionError: division by zero\n"
        "  where: Cell In[1], line 5, in inv: return 1 / x\n"
        "  do:    mend the step and run again; error.run.results has everything that finished"
    )


def test_a_failed_run_has_its_pipeline_and_its_other_names_bound(run):
    with pytest.raises(PipelineError):
        run("%%pipeline p\nn = 3\ngood = inv(4)\nbad = inv(0)")
    assert run("n, good, p.last_run.status") == (3, 0.25, "failed")


def test_a_failed_name_is_missing_and_not_stale(run):
    run("x = 'old'")
    with pytest.raises(PipelineError):
        run("%%pipeline p\nx = inv(0)")
    assert run("repr(x)") == "<missing: inv failed (ZeroDivisionError: division by zero)>"


def test_a_skipped_name_is_missing_and_says_because_of_what(run):
    with pytest.raises(PipelineError):
        run("%%pipeline p\nx = inv(0)\ny = inv(x)")
    assert run("repr(y)") == "<missing: inv_2 was skipped because 'inv' failed>"


def test_use_of_a_failed_name_raises(run):
    with pytest.raises(PipelineError):
        run("%%pipeline p\nx = inv(0)")
    with pytest.raises(NotAvailable) as caught:
        run("x + 1")
    assert str(caught.value) == (
        "there is no value of 'inv': it failed (ZeroDivisionError: division by zero)\n"
        "  do:    mend its step and run the pipeline cell again"
    )


def test_a_failed_name_in_a_later_pipeline_cell_raises(run):
    with pytest.raises(PipelineError):
        run("%%pipeline p\nx = inv(0)")
    with pytest.raises(NotAvailable):
        run("%%pipeline q\ny = inv(x)")


def test_a_step_that_reads_a_failed_name_says_what_is_missing(run):
    run("%%pipeline p --allow-failed\nxs = inv.map([1, 0])")
    run("@step\ndef first():\n    return xs[0]")
    with pytest.raises(PipelineError) as caught:
        run("%%pipeline q\nfirst()")
    assert str(caught.value) == (
        "first failed: CannotSend: step 'first' cannot be sent to a worker: its global 'xs', of type BranchList: "
        "there is no value of 'inv[1]': it failed (ZeroDivisionError: division by zero)\n"
        "  where: Cell In[4], line 2\n"
        "  do:    mend its step and run the pipeline cell again"
    )


def test_a_partly_failed_map_is_a_list_with_missing_items(run):
    with pytest.raises(PipelineError):
        run("%%pipeline p\nxs = inv.map([1, 0, 4])")
    assert repr(run("list(xs)")) == "[1.0, <missing: inv[1] failed (ZeroDivisionError: division by zero)>, 0.25]"


def test_allow_failed_does_not_raise(run):
    assert run("%%pipeline p --allow-failed\ngood = inv(4)\nbad = inv(0)\ngood") == 0.25
    assert run("p.last_run.status") == "failed"


def test_allow_failed_does_not_hide_an_error_of_the_body(told):
    assert "ZeroDivisionError" in told("%%pipeline p --allow-failed\nx = inv(4)\n1 / 0")


def test_a_mended_step_replaces_what_is_missing(run):
    with pytest.raises(PipelineError):
        run("%%pipeline p\nx = inv(0)")
    run("%%pipeline p\nx = inv(4)")
    assert run("x, p.last_run.status") == (0.25, "completed")


# one pipeline cell after another


def test_branches_of_a_cell_can_be_mapped_over_in_the_next(run):
    run("%%pipeline one\nxs = inv.map([1, 2, 4])")
    run("%%pipeline two\nys = inv.map(xs)")
    assert run("list(ys)") == [1.0, 2.0, 4.0]


def test_branches_of_a_cell_can_be_an_argument_in_the_next(run):
    run("%%pipeline one\nxs = inv.map([1, 2, 4])")
    assert run("%%pipeline two\ntotal(xs)") == 1.75


def test_keyed_branches_keep_their_keys_in_the_next_cell(run):
    run("%%pipeline one\nxs = inv.map({'us': 1, 'de': 2})")
    run("%%pipeline two\nys = inv.map(xs)")
    assert run("ys.load(), list(two.last_run.steps)") == ({"us": 1.0, "de": 2.0}, ["inv[us]", "inv[de]"])


def test_keyed_branches_are_a_dict_as_an_argument_in_the_next_cell(run):
    run("%%pipeline one\nxs = inv.map({'us': 1, 'de': 2})")
    run("@step\ndef kind(values):\n    return type(values).__name__, list(values)")
    assert run("%%pipeline two\nkind(xs)") == ("dict", ["us", "de"])


def test_a_cell_may_use_its_own_earlier_branches(run):
    run("xs = [1, 2]")
    run("%%pipeline p\nxs = inv.map(xs)")
    run("%%pipeline p\nxs = inv.map(xs)")
    assert run("list(xs)") == [1.0, 2.0]


def test_mapping_over_partly_failed_branches_fails_those_only(run):
    run("%%pipeline one --allow-failed\nxs = inv.map([1, 0, 4])")
    run("%%pipeline two --allow-failed\nys = inv.map(xs)")
    assert run("[found.status for found in two.last_run['inv']]") == ["completed", "failed", "completed"]


# %%combine


def test_combine_sees_the_results_of_the_last_pipeline(run):
    run("%%pipeline one\na = inv(1)")
    run("%%pipeline two\nb = inv.map([1, 2])")
    assert run("%%combine n\nlen(results)") == 2


def test_combine_from_names_the_pipeline(run):
    run("%%pipeline one\na = inv(1)")
    run("%%pipeline two\nb = inv.map([1, 2])")
    assert run("%%combine n --from one\nlen(results)") == 1


def test_the_pipeline_run_again_is_the_last_one(run):
    run("%%pipeline one\na = inv(1)")
    run("%%pipeline two\nb = inv.map([1, 2])")
    run("%%pipeline one\na = inv(1)")
    assert run("%%combine n\nlen(results)") == 1


def test_the_value_of_a_combine_cell_is_bound_and_shown(run):
    run("%%pipeline p\nx = inv.map([1, 2, 4])")
    assert run("%%combine best\nfloat(results['output'].min())") == 0.25
    assert run("best") == 0.25


def test_names_that_a_combine_cell_assigns_stay_in_it(run):
    run("%%pipeline p\nx = inv.map([1, 2, 4])")
    run("%%combine best\nsmall = results.nsmallest(1, 'output')\nimport json\nlen(small)")
    assert run("[name in globals() for name in ('small', 'json', 'results')]") == [False] * 3


def test_a_combine_cell_leaves_a_name_results_of_the_notebook_alone(run):
    run("results = 'mine'")
    run("%%pipeline p\nx = inv(4)")
    run("%%combine n\nlen(results)")
    assert run("results") == "mine"


def test_a_combine_cell_that_raises_binds_nothing(run, told):
    run("best = 'old'")
    run("%%pipeline p\nx = inv(4)")
    told("%%combine best\n1 / 0")
    assert run("best") == "old"


def test_a_trailing_semicolon_hides_a_combine_cells_value_and_binds_it(run, shell):
    run("%%pipeline p\nx = inv(4)")
    assert run("%%combine n\nlen(results);") is None
    assert shell.user_ns["Out"] == {}
    assert run("n") == 1


def test_combine_without_a_pipeline_says_what_to_do(told):
    assert told("%%combine best\nresults") == (
        "UsageError: %%combine has no pipeline to read yet: run a %%pipeline cell first, or name one with --from"
    )


def test_combine_from_an_unknown_pipeline_names_the_nearest(run, told):
    run("%%pipeline sweep\nx = inv(4)")
    assert told("%%combine best --from swep\nresults") == (
        "UsageError: %%combine --from: there is no pipeline 'swep': did you mean 'sweep'?"
    )


def test_combine_from_an_unknown_pipeline_without_a_near_one_says_what_to_do(run, told):
    run("%%pipeline sweep\nx = inv(4)")
    assert told("%%combine best --from other\nresults") == (
        "UsageError: %%combine --from: there is no pipeline 'other': run its %%pipeline cell first"
    )


def test_combine_reads_a_pipeline_of_the_store_by_name(run, shell):
    run("%%pipeline sweep\nx = inv.map([1, 2])")
    run("del sweep")
    shell.run_line_magic("reload_ext", "fanlab")  # which knows no run of this kernel
    assert run("%%combine n --from sweep\nlen(results)") == 2


def test_combine_reads_a_pipeline_made_with_the_decorator(run):
    run("from fanlab import pipeline\n@pipeline\ndef plain():\n    return inv.map([1, 2])\nplain();")
    assert run("%%combine n --from plain\nlen(results)") == 2


def test_combine_of_a_failed_run_is_refused(run, told):
    run("%%pipeline p --allow-failed\nx = inv.map([1, 0])")
    assert told("%%combine n\nlen(results)") == (
        "UsageError: the last run of 'p' is failed: mend it and run it again, or take what it has with --allow-failed"
    )


@pytest.mark.parametrize("source", ["", " --from p"])
def test_combine_with_allow_failed_sees_failed_rows(run, source):
    run("%%pipeline p --allow-failed\nx = inv.map([1, 0])")
    assert run(f"%%combine found{source} --allow-failed\nlist(results['status'])") == ["completed", "failed"]


# %fanlab


def test_runs_lists_the_latest_first(run):
    run("%%pipeline one\nx = inv(4)")
    run("%%pipeline two --allow-failed\nx = inv(0)")
    table = run("%fanlab runs")
    assert list(table.columns) == ["run", "pipeline", "status", "start", "seconds"]
    assert list(zip(table["pipeline"], table["status"])) == [("two", "failed"), ("one", "completed")]


def test_runs_of_an_empty_store_is_an_empty_table(run):
    table = run("%fanlab runs")
    assert (len(table), list(table.columns)) == (0, ["run", "pipeline", "status", "start", "seconds"])


def test_show_takes_a_name_or_its_beginning(run):
    run("%%pipeline sweep\nx = inv(4)")
    name = run("sweep.last_run.name")
    assert run(f"%fanlab show {name}").name == run("%fanlab show sw").name == name


def test_a_shown_run_is_its_record(run):
    run("%%pipeline sweep\nx = inv.map([1, 2])")
    assert repr(run("%fanlab show sweep")) == "sweep: completed\n  ✓ inv  2 of 2 completed"


def test_a_shown_run_is_not_drawn_where_there_is_no_page(run, monkeypatch, capsys):
    run("%%pipeline sweep\nx = inv.map([1, 2])")
    monkeypatch.setattr("fanlab.show.svg.graph_svg", lambda record: pytest.fail("it was drawn"))
    capsys.readouterr()
    run("sweep.last_run")
    assert capsys.readouterr().out.endswith("sweep: completed\n  ✓ inv  2 of 2 completed\n")


def test_show_without_a_name_says_what_to_do(told):
    assert told("%fanlab show") == "UsageError: %fanlab show takes a run's name: %fanlab runs lists them"


def test_show_of_an_unknown_run_names_the_nearest(run):
    run("%%pipeline sweep\nx = inv(4)")
    name = run("sweep.last_run.name")
    with pytest.raises(NotFound) as caught:
        run("%fanlab show " + name.replace("sweep", "sweap"))
    assert str(caught.value) == (
        f"there is no run '{name.replace('sweep', 'sweap')}' in the store\n  do:    did you mean '{name}'?"
    )


def test_show_of_an_unknown_run_without_a_near_one_names_the_latest(run):
    run("%%pipeline sweep\nx = inv(4)")
    name = run("sweep.last_run.name")
    with pytest.raises(NotFound) as caught:
        run("%fanlab show other")
    assert str(caught.value) == f"there is no run 'other' in the store\n  do:    the latest run is '{name}'"


def test_show_of_an_unknown_run_is_told_without_a_traceback(told):
    text = told("%fanlab show other")
    assert text.startswith("NotFound: there is no run 'other' in the store\n")
    assert "Traceback" not in text


def test_an_unknown_word_is_told_with_the_known_ones(told):
    assert told("%fanlab shwo") == "UsageError: %fanlab has no 'shwo': did you mean 'show'?"
    assert told("%fanlab xyz") == (
        "UsageError: %fanlab has no 'xyz': it has 'runs', 'show', 'resume', 'doctor', 'gc', 'clear'"
    )


@pytest.mark.parametrize("line", ["%%pipeline inv", "%%combine inv"])
def test_a_cell_does_not_take_the_name_of_a_step(run, told, line):
    run("from fanlab import step\n@step\ndef inv(x):\n    return 1 / x")
    magic, name = line.split()
    assert told(f"{line}\n1") == f"UsageError: {magic} {name} would take the name of a step: give it another one"


def test_gc_keeps_what_runs_need_and_clear_nothing(run, capsys):
    run("%%pipeline p\nx = inv(4)")
    capsys.readouterr()
    run("%fanlab gc")
    assert capsys.readouterr().out == "removed 0 runs and 0 values: 0 bytes\n"
    run("%fanlab clear")
    assert capsys.readouterr().out == "removed 1 runs and 0 values: 0 bytes\n"
    assert len(run("%fanlab runs")) == 0


def test_gc_forgets_runs_by_age_by_last_use_and_by_size(run, capsys):
    for options in ("--older-than 0s", "--unused-for=0s", '--max-size "0 B"', "--max-size=0kB --older-than 7d"):
        run("%%pipeline p\nx = inv(4)")
        capsys.readouterr()
        run("%fanlab gc --older-than 7d --unused-for 3d --max-size 2GB")
        assert capsys.readouterr().out == "removed 0 runs and 0 values: 0 bytes\n"
        run(f"%fanlab gc {options}")
        assert capsys.readouterr().out == "removed 1 runs and 0 values: 0 bytes\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "gc --older-than soon",
            "argument --older-than: 'soon' is no time: write it as 30d, 12h, 90m or 3600s",
        ),
        (
            "gc --max-size much",
            'argument --max-size: it is \'much\': give a number of bytes, or a text like "500 MB" or "10 GB"',
        ),
        ("gc --older 3d", "%fanlab has no option --older: did you mean --older-than?"),
        ("runs --unused-for 3d", "%fanlab runs takes no --unused-for: that is for %fanlab gc"),
        ("gc p", "%fanlab gc takes options only, not 'p'"),
    ],
)
def test_what_gc_cannot_read_is_told_in_one_line(told, line, message):
    assert told(f"%fanlab {line}") == f"UsageError: {message}"


def test_the_help_of_the_tool_tells_the_options_of_gc(shell):
    text = shell.object_inspect_mime("%fanlab")["text/plain"]
    for option in ("--older-than TIME", "--unused-for TIME", "--max-size SIZE"):
        assert option in text


def test_doctor_tells_a_line_for_each_part(run, capsys):
    run("%%pipeline p\nx = inv(4)")
    capsys.readouterr()
    assert run("%fanlab doctor") is None
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Python 3.")
    assert [line.split()[0] for line in lines[1:9]] == [
        "fanlab", "joblib", "pandas", "cloudpickle", "ipykernel", "ipywidgets", "anywidget", "graphviz",
    ]  # fmt: skip
    assert [line.partition(":")[0] for line in lines[9:]] == ["kernel", "store", "workers", "drawing"]
    assert lines[10].startswith("store: 1 runs in ")
    assert not [line for line in lines if "does not work" in line or "is missing" in line]
