"""Runs that are taken up in another process: by the program again, or by their name."""

import textwrap

import pytest

PROGRAM = """
import os
import sys
from fanlab import pipeline, step
from fanlab.client import Client

FACTOR = 10

def note(name):
    with open("ran.txt", "a") as file:
        file.write(f"{name} ")

@step
def kept(x):
    note(f"kept{x}")
    if x == 3 and not os.path.exists("mended"):
        raise ValueError("not yet")
    return FACTOR * x

@step(enable_cache=False)
def always(x):
    note(f"always{x}")
    return x

@step
def total(values):
    note("total")
    return sum(values)

@pipeline(n_jobs=1)
def sweep(xs, more=0):
    return total(kept.map(xs)), always.map(xs), more
"""


@pytest.fixture
def broken(python, tmp_path):
    """A run that failed in a process that is gone; its name."""
    name = python(
        PROGRAM + "\ntry:\n    sweep([1, 2, 3], more=7)\nexcept RuntimeError as error:\n    print(error.run.name)\n"
    )
    assert sorted((tmp_path / "ran.txt").read_text().split()) == [
        "always1", "always2", "always3", "kept1", "kept2", "kept3",
    ]  # fmt: skip
    (tmp_path / "ran.txt").write_text("")
    (tmp_path / "mended").touch()
    return name.strip()


def test_a_run_is_taken_up_in_a_process_that_knows_nothing_of_it(broken, python, tmp_path):
    out = python(
        f"""
        from fanlab.client import Client
        again = Client().get_pipeline_run({broken!r}).resume()
        print(again.load(), again.status)
        print(sorted({{name: found.status for name, found in again.steps.items()}}.items()))
        """
    ).splitlines()
    assert out[0] == "(60, [1, 2, 3], 7) completed"
    assert (tmp_path / "ran.txt").read_text().split() == ["kept3", "total"]
    assert out[1] == str(
        sorted(
            {
                "kept[0]": "cached", "kept[1]": "cached", "kept[2]": "completed", "total": "completed",
                "always[0]": "cached", "always[1]": "cached", "always[2]": "cached",
            }.items()
        )
    )  # fmt: skip


def test_branches_are_chosen_in_a_process_that_knows_nothing_of_the_run(broken, python, tmp_path):
    out = python(
        f"""
        from fanlab.client import Client
        again = Client().get_pipeline_run({broken!r}).resume()
        found = Client().get_pipeline_run(again.name).rerun(["kept[0]", "always[1]"])
        print(found.load())
        print({{name: step.status for name, step in found.steps.items()}})
        """
    ).splitlines()
    assert out[0] == "(60, [1, 2, 3], 7)"
    ran = {
        "kept[0]": "completed", "kept[1]": "cached", "kept[2]": "cached", "total": "completed",
        "always[0]": "cached", "always[1]": "completed", "always[2]": "cached",
    }  # fmt: skip
    assert out[1] == str(ran)
    assert sorted((tmp_path / "ran.txt").read_text().split()) == ["always2", "kept1", "kept3", "total", "total"]


def test_the_program_again_takes_up_what_is_in_the_store(broken, python, tmp_path):
    python(PROGRAM + "\nprint(sweep([1, 2, 3], more=7).load())\n")
    assert sorted((tmp_path / "ran.txt").read_text().split()) == ["always1", "always2", "always3", "kept3", "total"]


def test_what_cannot_be_recorded_is_told_where_it_is_asked_for(python, tmp_path):
    python(
        """
        import threading
        from fanlab import pipeline, step

        @step
        def one():
            return 1

        lock = threading.Lock()

        @pipeline(backend="sequential")
        def sweep():
            lock.locked()
            return one()

        sweep()
        """
    )
    out = python(
        """
        from fanlab.client import Client
        from fanlab import NotAvailable
        run = Client().get_pipeline("sweep").last_run
        try:
            run.resume()
        except NotAvailable as error:
            print(str(error).replace(run.name, "RUN"))
        """
    )
    assert out == textwrap.dedent(
        """\
        run 'RUN' cannot be run again here: its body or its arguments cannot be pickled: cannot pickle '_thread.lock' object
          do:    run its pipeline again: what finished is taken from the store
        """
    )
