"""Put what the benchmarks measured into the README, between its two marks."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- speed: made from benchmarks/results by scripts/readme.py -->", "<!-- end of speed -->"
AGAINST_JOBLIB = (
    "10,000 no-ops, cache off, warm",
    "8 no-ops, warm",
    "200 MB array to 16 branches: time",
    "16 x 20 MB into a fan-in: time",
    "a killed worker",
)


def rows(path: Path) -> list[list[str]]:
    """The cells of a page's table, its two head lines left out."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def speed() -> str:
    """The block of the README: against joblib, and where it has been measured against other tools."""
    measured = {row[0]: row for row in rows(RESULTS / "bench.md")}
    machine = next(line for line in (RESULTS / "bench.md").read_text().splitlines() if line.startswith("On "))
    told = [f"| {name} | {measured[name][1]} | {measured[name][2]} |" for name in AGAINST_JOBLIB]
    parts = [machine, "", "| against joblib | measured | |", "|---|---|---|", *told]
    peers = RESULTS / "peers.md"
    if peers.exists():
        lines = peers.read_text(encoding="utf-8").splitlines()
        parts += ["", *lines[2:]]
    return "\n".join([BEGIN, "", *parts, "", END])


def filled(text: str) -> str:
    """A README with its block made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + speed() + after


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
