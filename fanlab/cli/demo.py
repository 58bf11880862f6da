"""The pipeline of `fanlab demo`, which finds the longest function of Python's own packages.

It reads what every Python brings along, so that it needs no data and no other package.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

from ..pipelines import pipeline
from ..steps import step

PACKAGES = (
    "asyncio", "collections", "concurrent", "email", "html", "http", "importlib", "json",
    "logging", "multiprocessing", "unittest", "urllib", "xml", "zoneinfo",
)  # fmt: skip


@step
def read(package: str) -> dict[str, Any]:
    """Count one package's files, lines and functions, and find its longest function."""
    folder = Path(str(importlib.import_module(package).__file__)).parent
    texts = {file: file.read_text(encoding="utf-8") for file in sorted(folder.rglob("*.py"))}
    functions = [
        (int(node.end_lineno or 0) - node.lineno + 1, node.name)
        for text in texts.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    length, longest = max(functions)
    lines = sum(text.count("\n") for text in texts.values())
    return {"files": len(texts), "lines": lines, "functions": len(functions), "longest": longest, "length": length}


@step
def compare(counts: dict[str, dict[str, Any]]) -> str:
    """Say what all packages together have, and which one has the longest function."""
    best = max(counts, key=lambda package: int(counts[package]["length"]))
    total = sum(count["functions"] for count in counts.values())
    found = counts[best]
    return (
        f"Of {total:,} functions in {len(counts)} packages, the longest is {found['longest']} of {best}: "
        f"{found['length']} lines."
    )


@pipeline
def demo() -> Any:
    """Read each package in a branch of its own, and compare what came back."""
    return compare(read.map({package: package for package in PACKAGES}))
