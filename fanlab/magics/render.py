"""How IPython shows fanlab's own errors: what, where and what to do, without our frames."""

from __future__ import annotations

import traceback

from ..errors import FanlabError
from ..place import Place, is_own


def render(error: FanlabError) -> list[str]:
    """The lines that stand in a cell instead of a traceback."""
    shown = FanlabError(error.what, error.where or _where(error), error.do)
    return [f"{type(error).__name__}: {shown}"]


def _where(error: FanlabError) -> str | None:
    """The last line of the user's own that led to the error."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if is_own(f.filename)]
    return str(Place(frames[-1].filename, frames[-1].lineno or 0)) if frames else None
