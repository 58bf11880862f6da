"""What is noted of a run: a recipe that can be pickled, and the environment."""

import gc
import pickle
import platform
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

from fanlab import pipeline, step
from fanlab.client import Client
from fanlab.execute import noting
from fanlab.store.artifacts import Artifacts


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(str(tmp_path / "store"))


def test_a_recipe_comes_back_with_its_large_data_apart(artifacts):
    value = {"x": np.arange(100_000)}
    found = noting.noted(lambda: value, artifacts, "loky")
    assert found.refused == ""
    assert found.recipe.inline is None
    assert (artifacts.get(found.recipe)["x"] == value["x"]).all()


def test_a_small_recipe_is_kept_where_it_is(artifacts):
    found = noting.noted(lambda: [1, 2], artifacts, "loky")
    assert pickle.loads(found.recipe.inline) == [1, 2]


@pytest.mark.parametrize(
    ("recipe", "refused"),
    [
        (None, "nothing says how it was made"),
        (lambda: threading.Lock(), "its body or its arguments cannot be pickled: cannot pickle '_thread.lock' object"),
        (lambda: np.zeros(2000), "its body and arguments take more than 0 MB"),
        (lambda: b"x" * 20_000, "its body and arguments take more than 0 MB"),
    ],
)
def test_what_cannot_be_kept_says_why(artifacts, monkeypatch, recipe, refused):
    monkeypatch.setattr(noting, "MOST_BYTES", 10_000)
    found = noting.noted(recipe, artifacts, "loky")
    assert (found.recipe, found.refused) == (None, refused)


def test_the_environment_names_python_and_the_imported_packages():
    found = noting.environment("loky")
    assert found["python"] == platform.python_version()
    assert found["packages"]["numpy"] == np.__version__
    assert "fanlab" in found["packages"]


def test_the_environment_is_told_while_modules_are_being_imported(monkeypatch):
    def imports(phase, _):
        name = f"imported_{len(sys.modules)}"
        sys.modules[name] = types.ModuleType(name)

    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    before = gc.get_threshold()
    gc.callbacks.append(imports)
    gc.set_threshold(1)  # so that there is a collection, and with it an import, between any two entries
    try:
        found = noting.environment("loky")
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(imports)
    assert "fanlab" in found["packages"]


def git(*words):
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_that_of_the_working_directory(tmp_path):
    assert noting.commit(str(tmp_path)) is None
    git("init", "-q", "repository")
    repository, below = str(tmp_path / "repository"), tmp_path / "repository" / "below"
    below.mkdir()
    assert noting.commit(str(below)) is None
    git("-C", repository, "commit", "-q", "--allow-empty", "-m", "one")
    head = git("-C", repository, "rev-parse", "HEAD")
    assert noting.commit(str(below)) == head
    git("-C", repository, "pack-refs", "--all")
    assert noting.commit(str(below)) == head
    git("-C", repository, "worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    assert noting.commit(str(tmp_path / "tree")) == head


def test_a_run_has_its_environment_in_the_store_too():
    @pipeline(backend="sequential")
    def sweep():
        return step(name="one")(lambda: 1)()

    run = sweep()
    assert run.environment["python"] == platform.python_version()
    assert run.environment["backend"] == "sequential"
    assert Client().get_pipeline_run(run.name).environment == run.environment
