"""Completion on a magic's line, as IPython's own completer gives it."""

import pytest
from IPython.core.completer import provisionalcompleter

LONG = {"--n-jobs", "--backend", "--allow-failed"}  # some that are its own


@pytest.fixture
def offered(shell):
    """What the word before `|` may become."""

    def offered(text):
        offset = text.index("|")
        code = text.replace("|", "")
        with provisionalcompleter():
            return [found.text for found in shell.Completer.completions(code, offset)]

    return offered


@pytest.fixture
def sweep(run):
    run("%%pipeline sweep\na = inv(4, id='first')\nb = inv.map([1, 2])\ntotal(b)")
    run("%%pipeline other\ninv(4)")


@pytest.mark.parametrize("text", ["%%pipeline p -|", "%%pipeline p --|", "\n%%pipeline p --|\nx = 1", "%%pipeline p |"])
def test_options_of_a_pipeline_cell(offered, text):
    assert set(offered(text)) >= LONG


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%%pipeline p --ba|", ["--backend"]),
        ("%%pipeline p --backend |", ["loky", "threading", "sequential", "dask", "ray"]),
        ("%%pipeline p --backend th|", ["threading"]),
        ("%%pipeline p --backend=th|", ["threading"]),
        ("%%pipeline p --backend=threading --al|", ["--allow-failed"]),
        ("%%step fit(x) --retry-o|", ["--retry-on"]),
        ("%%step fit(x) --retry-on ZeroD|", ["ZeroDivisionError"]),
        ("%%combine c --st|", ["--step"]),
        ("%fanlab |", ["runs", "show", "resume", "doctor", "gc", "clear"]),
        ("%fanlab re|", ["resume"]),
        ("x = 1\n%fanlab do|", ["doctor"]),
        ("%fanlab gc |", ["--older-than", "--unused-for", "--max-size"]),
        ("%fanlab gc --older-than 7d --|", ["--unused-for", "--max-size"]),
    ],
)  # fmt: skip
def test_what_is_typed_is_completed(offered, text, found):
    assert offered(text) == sorted(found)


def test_options_of_gc_are_offered_with_gc_only(offered):
    assert not set(offered("%fanlab runs --|")) & {"--older-than", "--unused-for", "--max-size"}


def test_an_option_that_is_given_is_not_offered_again(offered):
    assert set(offered("%%pipeline p -j 2 --backend=loky --|")) >= {"--allow-failed"}
    assert not set(offered("%%pipeline p -j 2 --backend=loky --|")) & {"--n-jobs", "--backend"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%%combine c --from |", ["other", "sweep"]),
        ("%%combine c --from sw|", ["sweep"]),
        ("%%combine c --from=sw|", ["sweep"]),
        ("%%combine c --from sweep --step |", ["inv", "total", "first"]),
        ("%%combine c --from sweep --step to|", ["total"]),
        ("%%combine c --step |", ["inv"]),
        ("%%pipeline |", ["sweep", "other"]),
        ("%%pipeline sw|", ["sweep"]),
        ("%fanlab show sw|", ["sweep"]),
    ],
)
def test_names_of_this_notebook_are_offered(offered, sweep, text, found):
    assert [name for name in offered(text) if "-20" not in name] == sorted(found)


def test_names_of_the_store_are_offered_after_a_restart(run, shell, offered, sweep):
    name = run("sweep.last_run.name")
    run("del sweep, other")
    shell.run_line_magic("reload_ext", "fanlab")
    assert offered("%%combine c --from sw|") == ["sweep"]
    assert offered("%%combine c --from sweep --step fi|") == ["first"]
    assert offered("%fanlab show sw|") == ["sweep", name]


def test_steps_that_two_runs_share_are_offered_once(offered, sweep):
    assert offered("%%combine c --from sweep --step in|") == ["inv"]


def test_completion_makes_no_store(offered, tmp_path):
    offered("%%combine c --from |")
    assert not (tmp_path / ".fanlab").exists()


def test_a_store_that_cannot_be_read_keeps_nobody_from_typing(offered, tmp_path):
    (tmp_path / ".fanlab").mkdir()
    (tmp_path / ".fanlab" / "runs.sqlite").write_text("no database" * 100)
    assert isinstance(offered("%%combine c --from |"), list)


def test_names_in_a_signature_are_completed_as_anywhere(run, offered):
    run("alphabet = 1")
    assert "alphabet" in offered("%%step fit(x=alphab|")


@pytest.mark.parametrize("text", ["x = 1\n%%pipeline p --|", "%%pipeline p\n--|", "%%time --|", "pipeline --|"])
def test_other_lines_are_left_alone(offered, text):
    assert not set(offered(text)) & LONG


def test_names_of_the_magics_are_completed(offered):
    assert "%%pipeline" in offered("%%pipel|")
    assert "%fanlab" in offered("%fanl|")


def test_a_body_is_completed_as_any_code(run, offered):
    run("alphabet = 1")
    assert "alphabet" in offered("%%pipeline p\nx = alphab|")


def test_nothing_is_offered_after_unload(shell, offered):
    shell.run_line_magic("unload_ext", "fanlab")
    assert not set(offered("%%pipeline p --|")) & LONG
