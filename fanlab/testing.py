"""The pytest plugin: nbval compares notebooks as people saved them, and tests of pipelines get fixtures.

It is loaded whenever pytest starts in an environment that has fanlab, so it imports nothing of fanlab by itself.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# What nbval leaves out, as pairs for re.sub. Pictures differ between machines that have `dot` and those that have
# not; a cell's number depends on what was run before it.
_LEFT_OUT = {
    r'<div style="[^"]*"><img name="fanlab"[^>]*></div>': "",
    r"\bCell In\[\d+\], line": "Cell In[n], line",
}
_folder = pytest.StashKey[str]()  # of the stores of a session's notebooks


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --fanlab-store."""
    parser.getgroup("fanlab").addoption(
        "--fanlab-store",
        metavar="DIR",
        help="the store of the notebooks that nbval runs; else FANLAB_STORE, else an empty one for each notebook",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let the cells of one notebook run in one process, where pytest-xdist shares tests out."""
    if _compares_notebooks(config) and getattr(config.option, "dist", None) == "load":
        config.option.dist = "loadfile"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the stores of this session."""
    folder = config.stash.get(_folder, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Generator[None, list[Any], list[Any]]:  # noqa: ARG001 (pytest's name)
    """Tell nbval what to leave out of each notebook's comparison."""
    found = yield
    for collector in found:
        if _is_notebook(collector):
            collector.sanitize_patterns.update(_LEFT_OUT)
    return found


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the cells of a notebook together and in their order, whatever has shuffled the tests."""
    if not _compares_notebooks(config):
        return
    cells: dict[Any, list[pytest.Item]] = {}
    for item in items:
        if _is_notebook(item.parent):
            cells.setdefault(item.parent, []).append(item)
    ordered: list[pytest.Item] = []
    for item in items:
        if not _is_notebook(item.parent):
            ordered.append(item)
        else:
            ordered += sorted(cells.pop(item.parent, []), key=_number)
    items[:] = ordered


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Give a notebook's kernel, which is started with its first cell, a store of its own."""
    notebook: Any = item.parent
    if not _is_notebook(notebook) or notebook.kernel is not None:
        return (yield)
    before = os.environ.get("FANLAB_STORE")
    asked = item.config.getoption("--fanlab-store") or before
    os.environ["FANLAB_STORE"] = os.path.abspath(asked) if asked else tempfile.mkdtemp(dir=_root(item.config))
    try:
        return (yield)
    finally:
        if before is None:
            del os.environ["FANLAB_STORE"]
        else:
            os.environ["FANLAB_STORE"] = before


def _root(config: pytest.Config) -> str:
    if _folder not in config.stash:
        config.stash[_folder] = tempfile.mkdtemp(prefix="fanlab-nbval-")
    return config.stash[_folder]


def _compares_notebooks(config: pytest.Config) -> bool:
    option = config.option
    return bool(getattr(option, "nbval", False) or getattr(option, "nbval_lax", False))


def _is_notebook(collector: Any) -> bool:
    """Whether a collector is nbval's of one notebook; nbval is never imported for it."""
    kind = type(collector)
    return kind.__name__ == "IPyNbFile" and kind.__module__.partition(".")[0] == "nbval"


def _number(cell: Any) -> int:
    return int(cell.cell_num)


@pytest.fixture
def fanlab_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty store for this test, whatever folder it works in, and for the kernels and programs that it starts."""
    folder = tmp_path / "fanlab-store"
    monkeypatch.setenv("FANLAB_STORE", str(folder))
    with _settings(store=str(folder)):
        yield folder


@pytest.fixture
def fanlab_sequential() -> Iterator[None]:
    """Runs of this test run in its process, one branch after the other, whatever backend they ask for.

    So breakpoints, coverage and patches reach the steps. A step's timeout is not kept.
    """
    with _settings(inline=True):
        yield


@contextmanager
def _settings(**values: Any) -> Iterator[None]:
    """Other settings for a while."""
    from .core.settings import change, settings

    before = settings()
    change(**values)
    try:
        yield
    finally:
        change(**{name: getattr(before, name) for name in values})
