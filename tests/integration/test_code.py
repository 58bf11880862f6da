"""The whole table of edits in real kernels: keys in two kernels under two hash seeds, and runs with a store."""

import ast
import json
from pathlib import Path

import pytest

from tests.unit.core import test_code_key_edits as table

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(1800)]

# The table's project, with each state of its notebook run as a cell of this kernel.
PREPARE = """
import importlib.util, json, sys
from dataclasses import dataclass
from pathlib import Path
sys.dont_write_bytecode = True
sys.path[:0] = [str(Path("lib/site-packages").absolute()), str(Path.cwd())]
spec = importlib.util.spec_from_file_location("table", {path!r})
table = sys.modules["table"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(table)
import fanlab

@dataclass
class Kernel(table.Project):
    def load(self):
        self.write()
        get_ipython().run_cell(self.files["notebook.py"], silent=True).raise_error()
        return get_ipython().user_ns

    def status(self):
        work = self.load()["work"]
        body = fanlab.pipeline(backend="sequential")(lambda: work(1))
        (found,) = body.start().wait().steps.values()
        return found.status

project = Kernel(Path.cwd(), dict(table.FILES))
"""
KEYS = """
found = {"base": project.key().digest}
for edit in table.SAME + table.CHANGED:
    found[edit.what] = table.edited(project, edit).key().digest
found["undone"] = project.key().digest
"""


@pytest.fixture
def value(new_notebook):
    """What a cell makes of the table, in a new kernel."""

    def value(cell):
        notebook = new_notebook()
        assert notebook.run(PREPARE.format(path=str(Path(table.__file__)))) == []
        assert notebook.run(cell) == []
        found = json.loads(ast.literal_eval(notebook.value("json.dumps(found)")))
        notebook.close()
        return found

    return value


def test_the_table_of_edits_in_two_kernels_under_two_hash_seeds(value, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    first = value(KEYS)
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    assert value(KEYS) == first
    assert first["undone"] == first["base"]
    assert {edit.what for edit in table.SAME if first[edit.what] != first["base"]} == set()
    assert {edit.what for edit in table.CHANGED if first[edit.what] == first["base"]} == set()
    assert len({first[edit.what] for edit in table.CHANGED}) == len(table.CHANGED)


RUNS = """
found = {"first": project.status()}
for edit in table.SAME + table.CHANGED:
    found[edit.what] = table.edited(project, edit).status()
found["undone"] = project.status()
"""


def test_the_table_of_edits_through_runs_in_two_kernels_one_after_the_other(value, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    first = value(RUNS)
    assert (first["first"], first["undone"]) == ("completed", "cached")
    assert {edit.what for edit in table.SAME if first[edit.what] != "cached"} == set()
    assert {edit.what for edit in table.CHANGED if first[edit.what] != "completed"} == set()
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    assert set(value(RUNS).values()) == {"cached"}
