"""Pickles for the way to a worker: what a notebook defines goes by value, with the file and line of its code."""

from __future__ import annotations

import io
import marshal
from collections import ChainMap
from collections.abc import Mapping
from types import CodeType
from typing import Any, ClassVar

import cloudpickle


def _reduce_code(code: CodeType) -> tuple[Any, tuple[bytes]]:
    return marshal.loads, (marshal.dumps(code),)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle drops the file name of code from 3.1.3 on, and with it the cell's lines from every traceback."""

    dispatch_table: ClassVar[Mapping[type, Any]] = ChainMap(
        {CodeType: _reduce_code}, cloudpickle.Pickler.dispatch_table
    )


def dumps(value: Any) -> bytes:
    """A value for a worker of the same Python. Raises whatever pickling it raises."""
    file = io.BytesIO()
    _Pickler(file, 5).dump(value)
    return file.getvalue()
