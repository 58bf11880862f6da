"""A notebook gives the same results on every backend: one word is all that changes."""

import json
from pathlib import Path

import matplotlib
import pandas as pd
import pytest

import fanlab

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = {
    name: [
        "".join(cell["source"])
        for cell in json.loads((ROOT / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    for name in ("ensemble", "sweep")
}


@pytest.fixture
def results(bare, tmp_path, monkeypatch):
    """Run a notebook's cells on a backend, with a store of its own; the results of every run, by pipeline."""
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "agg")
    matplotlib.use("agg")

    def results(name, backend):
        fanlab.configure(store=tmp_path / f"store-{name}-{backend}", backend=backend, n_jobs=2)
        bare.reset(new_session=True)
        for source in NOTEBOOKS[name]:
            bare.run_cell(source, store_history=True).raise_error()
        runs = fanlab.Client().list_pipeline_runs(limit=None)
        assert {run.environment["backend"] for run in runs if run.environment} == {backend}
        return {run.pipeline: run.results for run in runs}

    return results


@pytest.mark.cluster
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_gives_the_same_results_on_every_backend(results, name, dask, ray):
    expected = results(name, "sequential")
    assert expected
    for backend in ("threading", "loky", "dask", "ray"):
        found = results(name, backend)
        assert found.keys() == expected.keys()
        for pipeline, table in expected.items():
            pd.testing.assert_frame_equal(found[pipeline], table)
