"""Lengths of time as people write them."""

from __future__ import annotations

from ..errors import StepCallError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def span(text: str) -> float:
    """Seconds that a text as `30d`, `12h`, `90m` or `3600` stands for. Raises StepCallError for anything else.

    >>> span("12h"), span("1.5m"), span("3600")
    (43200.0, 90.0, 3600.0)
    """
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _SECONDS else (text, "s")
    try:
        found = float(number) * _SECONDS[unit]
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise StepCallError(f"{text!r} is no time", do="write it as 30d, 12h, 90m or 3600s")
    return found
