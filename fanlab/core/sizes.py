"""Numbers of bytes as people write them."""

from __future__ import annotations

import re

from ..errors import StepCallError

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def size(text: int | str, what: str = "store_limit") -> int:
    """A number of bytes, as such or as `10 GB` (powers of 1000) or `10 GiB` (of 1024).

    Raises StepCallError, which says `what` it is that was given.

    >>> size("1.5 kB")
    1500
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(text).strip().lower())
    unit = _UNITS.get(found[2]) if found is not None else None
    if isinstance(text, bool) or found is None or unit is None:
        raise StepCallError(f"{what} is {text!r}", do='give a number of bytes, or a text like "500 MB" or "10 GB"')
    return int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit
