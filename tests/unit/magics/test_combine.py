"""%%combine: --step, --sql, and what its run leaves behind."""

import sys

import pandas as pd
import pytest

SQUARES = "@step\ndef sq(x):\n    return {'y': x * x, 'root': x, 'parts': [x]}"
DEMO = "%%pipeline demo\nsquares = sq.map([1, 2, 3])\ninv(4)"


@pytest.fixture
def demo(run):
    run(SQUARES)
    run(DEMO)


def test_step_leaves_that_steps_rows_only(run, demo):
    assert run("%%combine found --step sq\nlist(results.index)") == ["sq[0]", "sq[1]", "sq[2]"]


def test_step_and_from_go_together(run, demo):
    run("%%pipeline other\ninv(1)")
    assert run("%%combine found --from demo --step inv\nlist(results.index)") == ["inv"]


def test_a_combine_cell_is_recorded_and_drawn(run, demo):
    run("%%combine best\nint(results['y'].max())")
    run("from fanlab import Client")
    assert run("Client().get_pipeline('best').last_run.load()") == 9
    assert 'label="best\\ncompleted"' in run("demo.last_run.dag.source")


def test_running_only_the_combine_cell_runs_no_branch(run, demo):
    run("%%combine best\n1")
    name = run("demo.last_run.name")
    run("%%combine best\n2")
    assert run("demo.last_run.name") == name
    assert run("best") == 2
    assert list(run("%fanlab runs")["pipeline"]) == ["best", "best", "demo"]


def test_a_combine_cell_shows_what_it_prints(run, demo, capsys):
    capsys.readouterr()
    run("%%combine best\nprint('seen')")
    assert capsys.readouterr().out == "seen\n"


def test_a_combine_cell_is_no_pipeline_to_read(run, demo):
    run("%%combine best\nlen(results)")
    assert run("%%combine again\nlen(results)") == 4


def test_after_a_restart_from_finds_the_pipeline_and_not_a_combine_cell_of_its_name(run, shell, demo):
    run("%%pipeline one\ninv(1)")
    run("%%combine demo --from one\nlen(results)")
    shell.run_line_magic("reload_ext", "fanlab")
    assert run("%%combine n --from demo\nlen(results)") == 4


def test_the_default_is_the_last_run_however_it_was_started(run, demo):
    run("from fanlab import pipeline\n@pipeline\ndef plain():\n    return inv(1)\nplain();")
    assert run("%%combine n\nlen(results)") == 1


def test_allow_failed_may_be_configured(run, shell):
    run("%config FanlabMagics.allow_failed = True")
    run("%%pipeline p\ninv.map([1, 0])")
    assert run("%%combine n\nlen(results)") == 2


# SQL


def test_a_query_gives_a_table(run, demo):
    top = run("%%combine top --from demo --sql\nSELECT x, y FROM results WHERE y > 3 ORDER BY y DESC")
    assert isinstance(top, pd.DataFrame)
    assert top.to_dict("list") == {"x": [3, 2], "y": [9, 4]}
    assert run("top") is top


@pytest.mark.parametrize("end", [";", " ;\n", "  -- the end\n", ";\n-- the end\n"])
def test_a_query_may_end_as_queries_do(run, demo, end):
    assert len(run(f"%%combine top --from demo --sql\nSELECT x FROM results{end}")) == 4


def test_a_query_over_one_steps_rows(run, demo):
    assert len(run("%%combine top --step sq --sql\nFROM results")) == 3


def test_a_query_sees_artifacts_as_text_and_missing_values_as_null(run, demo):
    table = run("%%combine t --sql\nSELECT parts, y, error, status FROM results ORDER BY y NULLS LAST")
    assert table["parts"].iloc[0].startswith("<")
    assert table["y"].isna().tolist() == [False, False, False, True]
    assert table["error"].isna().all()
    assert set(table["status"]) == {"completed"}


def test_a_query_sees_results_only(run, demo, told):
    run("mine = demo.last_run.results")
    for name in ("mine", "query", "shell"):
        assert f"Table with name {name} does not exist" in told(f"%%combine t --from demo --sql\nSELECT * FROM {name}")


def test_a_query_with_a_mistake_is_told_in_duckdbs_words(run, demo, told):
    text = told("%%combine t --from demo --sql\nSELECT x FRM results")
    assert text.startswith('UsageError: %%combine --sql: Parser Error: syntax error at or near "results"')
    assert "fanlab/" not in text
    assert run("'t' in globals()") is False


@pytest.mark.parametrize(("cell", "count"), [("SELECT 1; SELECT 2", 2), ("-- nothing", 0)])
def test_a_query_is_one_statement(demo, told, cell, count):
    assert told(f"%%combine t --from demo --sql\n{cell}") == (
        f"UsageError: a %%combine --sql cell is one query, and this one has {count}"
    )


def test_a_missing_duckdb_names_the_extra(demo, told, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert told("%%combine t --from demo --sql\nSELECT 1") == (
        "UsageError: %%combine --sql needs DuckDB, which is not installed here: pip install 'fanlab[sql]'"
    )


# wrong cells


def test_an_unknown_step_names_the_nearest(run, demo, told):
    name = run("demo.last_run.name")
    assert told("%%combine t --step sqq\nresults") == (
        f"UsageError: %%combine --step: run '{name}' has no step 'sqq': did you mean 'sq'?"
    )


def test_the_name_of_the_pipeline_itself_is_refused(demo, told):
    assert told("%%combine demo --from demo\nresults") == (
        "UsageError: %%combine demo would take the name of the pipeline that it reads: give it another one"
    )


def test_the_line_magic_says_what_to_type(told):
    assert told("%combine best") == (
        "UsageError: %combine is for whole cells: begin one with %%combine NAME, "
        "and write what is to be made of `results` below"
    )


def test_a_combine_cell_that_raises_is_recorded_as_failed(run, demo, told):
    told("%%combine best\n1 / 0")
    assert run("from fanlab import Client\nClient().get_pipeline('best').last_run.status") == "failed"
