"""Metadata on their way: scalars as they are, anything else as bytes, which only who asks for them opens."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

from ..core.seal import Stored, is_scalar
from .codecs import type_name
from .travel import dumps


def keep(value: Any) -> Any:
    """A value as it is now, so that it can be sent and kept. Raises whatever pickling and opening it raise.

    The kernel of a cluster's run may lack what its worker has: one that cannot be opened there must not end the run.
    """
    if is_scalar(value) or type(value) is str:
        return value
    data = dumps(value)
    pickle.loads(data)
    return Stored(type_name(value), len(data), "", data)


def opened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as they were logged; in place of one that cannot be opened in this process, a text that says so."""
    return {name: _open(value) if isinstance(value, Stored) else value for name, value in values.items()}


def _open(kept: Stored) -> Any:
    try:
        return pickle.loads(kept.inline or b"")
    except Exception as error:  # noqa: BLE001 (opening raises what it likes)
        return f"<{kept.type} that cannot be opened here: {str(error) or type(error).__name__}>"
