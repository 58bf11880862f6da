"""Measures what the design promises, as ratios in one process run; prints a table and writes it with a plot.

python benchmarks/bench.py            every row
python benchmarks/bench.py few cpu    some rows
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import faults
import memory
import overhead
import recall
from plot import bars, table

RESULTS = Path(__file__).parent / "results"
ROWS = {
    function.__name__: function
    for function in (
        overhead.no_ops, recall.first_and_second, recall.plan, overhead.few, overhead.cpu, overhead.first_branch,
        overhead.imports,
        memory.to_many, memory.into_one, faults.death, faults.timeout, faults.interrupt,
        overhead.hundred_thousand, overhead.schedule_alone,
    )
}  # fmt: skip


def main() -> None:
    """Measure the rows that were asked for, and write them down if it was all of them."""
    wanted = sys.argv[1:] or list(ROWS)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FANLAB_STORE"] = os.path.join(folder, "store")
        for name in wanted:
            for row in ROWS[name]():
                found.append(row)
                bound = f"{'at least' if row.least else 'at most'} {row.reach:g} wanted"
                verdict = "yes" if row.reached else "NO"
                print(f"{row.name}: {row.figure}; {row.ratio:.2f} {row.unit}, {bound}: {verdict}", flush=True)
    if wanted == list(ROWS):
        machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, " + ", ".join(
            f"{package} {version(package)}" for package in ("joblib", "numpy", "pandas")
        )
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "bench.md").write_text(table(found, machine))
        (RESULTS / "bench.svg").write_text(bars(found))


if __name__ == "__main__":
    main()
