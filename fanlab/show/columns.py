"""Columns of pandas tables: a NumPy dtype where a column is complete, a nullable one where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.expand import key_label
from ..core.seal import is_scalar

_PLAIN = {bool, int, float, complex, str}


class _Absent:
    """In place of a value that there is not."""


ABSENT: Any = _Absent()
_GAPS = {_Absent, type(None)}


def column(values: Sequence[Any]) -> Any:
    """A column of values, of which some may be ABSENT or None. Never of objects where all are numbers."""
    import pandas as pd

    kinds = set(map(type, values))
    if not kinds & _GAPS:
        try:
            return pd.Series(values, dtype=None if _are_scalars(values, kinds) else object).array
        except UnicodeEncodeError:
            return column(spelled(values))
    present = [value for value in values if type(value) not in _GAPS]
    dtype = _nullable(present)
    if dtype is not None:
        try:
            return nullable(values, dtype)
        except UnicodeEncodeError:
            return column(spelled(values))
        except (OverflowError, TypeError, ValueError):  # whole numbers beyond 64 bits
            pass
    elif present and _are_scalars(present, kinds - _GAPS):
        inferred = pd.Series(present)
        if inferred.dtype != object:  # dates and the like have a gap of their own
            return pd.Series([None if type(value) in _GAPS else value for value in values], dtype=inferred.dtype).array
    return pd.Series(_with_na(values), dtype=object).array


def text_column(values: Sequence[Any]) -> Any:
    """A column of text, nullable where a value is ABSENT or there is none at all."""
    import pandas as pd

    try:
        return pd.Series(values).array if values and not set(map(type, values)) & _GAPS else nullable(values, "string")
    except UnicodeEncodeError:
        return text_column(spelled(values))


def branch_column(keys: Sequence[Any]) -> Any:
    """Branches' keys: whole numbers where all are, else text."""
    import pandas as pd

    kinds = set(map(type, keys))
    if kinds - _GAPS <= {int}:
        return nullable(keys, "Int64") if kinds != {int} else pd.Series(keys).array
    return text_column([key if key is ABSENT else key_label(key) for key in keys])


def nullable(values: Sequence[Any], dtype: str) -> Any:
    """A column of one of pandas' own dtypes, with pd.NA for what there is not."""
    import pandas as pd

    return pd.array(_with_na(values), dtype=dtype)  # type: ignore[call-overload]


def spelled(values: Sequence[Any]) -> list[Any]:
    """The values with halves of characters, which names of files may have, spelled out: pandas cannot hold them."""
    return [v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for v in values]


def _with_na(values: Sequence[Any]) -> list[Any]:
    import pandas as pd

    return [pd.NA if type(value) in _GAPS else value for value in values]


def _are_scalars(values: Sequence[Any], kinds: set[type]) -> bool:
    return kinds <= _PLAIN or all(map(is_scalar, values))


def _nullable(present: Sequence[Any]) -> str | None:
    """The dtype of an incomplete column of such values; None where pandas has none of its own for them."""
    kinds = {_kind(value) for value in present} if set(map(type, present)) - _PLAIN else _kinds(present)
    if kinds == {"int"}:
        return "Int64"
    if kinds and kinds <= {"int", "float"}:
        return "Float64"
    return {"bool": "boolean", "str": "string"}.get(next(iter(kinds))) if len(kinds) == 1 else None


def _kinds(present: Sequence[Any]) -> set[str]:
    return {kind.__name__ for kind in set(map(type, present))}


def _kind(value: Any) -> str:
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return "bool"
    if isinstance(value, str):
        return "str"
    package = type(value).__module__
    if isinstance(value, int) or (package == "numpy" and getattr(value.dtype, "kind", "") in "iu"):
        return "int"
    if isinstance(value, float) or (package == "numpy" and getattr(value.dtype, "kind", "") == "f"):
        return "float"
    return "other"
