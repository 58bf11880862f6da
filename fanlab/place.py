"""Where in the user's code something was written, said the way the notebook says it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import Any

_PYTHON = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_OF_A_KERNEL = re.compile(r"[/\\]ipykernel_\d+[/\\]\d+\.py$")
PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file or cell; `file` is the code's file name, which for a cell is the kernel's own."""

    file: str
    line: int

    def __str__(self) -> str:
        """`Cell In[3], line 2` in a notebook, `sweep.py, line 2` elsewhere."""
        return f"{file_label(self.file)}, line {self.line}"


def here() -> Place:
    """The nearest line outside fanlab that leads to this call."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


def is_own(file: str) -> bool:
    """Whether a file is the user's own code, and not fanlab's, an installed package's or Python's."""
    if file.startswith("<"):  # <frozen ...>, <string>; but cells of a terminal's IPython are <ipython-input-...>
        return file.startswith("<ipython")
    if file.endswith((".pyx", ".pxd", ".pxi")):  # compiled code names its source without saying where it is
        return False
    return not file.startswith((PACKAGE, _PYTHON)) and "site-packages" not in file


def file_label(file: str) -> str:
    """The name a person knows a file by: `Cell In[n]`, or a path relative to the working directory."""
    cell = _cell_label(file)
    if cell:
        return cell
    if _OF_A_KERNEL.search(file):  # of another process, whose numbers are not known here
        return "a notebook's cell"
    try:
        relative = os.path.relpath(file)
    except (ValueError, OSError):  # another drive, or a working directory that is gone
        return file
    return os.path.basename(file) if relative.startswith("..") else relative


def shell() -> Any:
    """The running IPython shell, or None; IPython is never imported for it."""
    ipython = sys.modules.get("IPython")
    get = getattr(ipython, "get_ipython", None)
    return get() if get else None


def _cell_label(file: str) -> str | None:
    compiler = getattr(shell(), "compile", None)
    if compiler is None or not hasattr(compiler, "format_code_name"):
        return None
    found = compiler.format_code_name(file)
    return " ".join(found) if found else None
