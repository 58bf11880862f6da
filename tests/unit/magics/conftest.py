"""An IPython shell with fanlab loaded, and ways to run cells in it and to read what they say."""

import re

import pytest

STEPS = """\
from fanlab import step

@step
def inv(x):
    return 1 / x

@step
def total(values):
    return sum(values.values()) if isinstance(values, dict) else sum(values)
"""


@pytest.fixture
def shell(bare):
    """A shell with fanlab and two steps, which are its first cell."""
    bare.run_line_magic("load_ext", "fanlab")
    bare.run_cell(STEPS, store_history=True).raise_error()
    return bare


@pytest.fixture
def run(shell):
    """Run a cell and return its value; whatever it raises is raised here."""

    def run(text):
        result = shell.run_cell(text, store_history=True)
        result.raise_error()
        return result.result

    return run


@pytest.fixture
def told(shell, capsys):
    """Run a cell that must fail, and return the text that stands under it, fanlab's lines of progress left out."""

    def told(text):
        capsys.readouterr()
        result = shell.run_cell(text, store_history=True)
        assert not result.success
        shown = capsys.readouterr()
        progress = re.compile(r"^fanlab: .*\n", re.MULTILINE)
        return re.sub(r"\x1b\[[0-9;]*m", "", shown.out + progress.sub("", shown.err)).strip("\n")

    return told
