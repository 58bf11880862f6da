"""Paths as a record shows them: what is only so on one machine is left out."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Any


def local(value: Any) -> Any:
    """An absolute path relative to the working directory, where it is below it; any other Path by its name.

    >>> str(local(PurePath("/home/somebody/data.csv")))
    '…/data.csv'
    """
    if isinstance(value, PurePath) and value.is_absolute():
        inside = within(str(value))
        return type(value)(inside if inside != str(value) else os.path.join("…", value.name))
    return within(value) if type(value) is str and os.path.isabs(value) else value


def within(text: str) -> str:
    """A text without the working directory in front of what is below it."""
    try:
        folder = os.getcwd()
    except OSError:  # which is gone
        return text
    return text.replace(folder + os.sep, "") if len(folder) > 1 else text
