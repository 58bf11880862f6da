"""What mkdocstrings does with fanlab's docstrings: the examples in them are shown as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"(?:^[ \t]*>>> .*\n?(?:^[ \t]*\S.*\n?)*)+", re.MULTILINE)


class Examples(griffe.Extension):
    """Puts each doctest into a fence."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(
                lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", obj.docstring.value
            )
