"""What arrays and tables of libraries consist of: found by the names of their classes, so that none is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import xxhash

Token = Callable[[Any], bytes]
_CHUNK = 8 << 20  # bytes of an array that is not in C order: so much of it is copied at once


def _array(value: Any, token: Token) -> bytes:
    """A NumPy array: dtype, shape, and its items in C order, whatever order they and their bytes lie in memory in."""
    if not value.dtype.isnative:  # NumPy's own pickles turn them around
        value = value.astype(value.dtype.newbyteorder("="))
    dtype = value.dtype
    head = f"{dtype.str} {value.shape} ".encode()
    if dtype.names is not None:  # there may be anything between its fields
        return head + b"".join(
            b"%d:%b" % (len(name), name.encode()) + token(_base(value[name])) for name in dtype.names
        )
    if dtype.char in "gG":  # the same
        return head + token([repr(item) for item in _base(value).ravel()])
    if dtype.hasobject or dtype.kind not in "biufcmMSUV":
        return head + token(_base(value).ravel().tolist())
    flat = _base(value)
    if flat.size and flat.flags.c_contiguous:
        return head + xxhash.xxh3_128_digest(_bytes(flat))
    state = xxhash.xxh3_128()
    for piece in _pieces(flat):
        state.update(_bytes(piece))
    return head + state.digest()


def _base(value: Any) -> Any:
    return sys.modules["numpy"].asarray(value)


def _bytes(array: Any) -> Any:
    return array.reshape(-1).view("u1").data


def _pieces(array: Any) -> Iterator[Any]:
    """An array that does not lie in C order, in pieces that do: never a copy of all of it."""
    numpy = sys.modules["numpy"]
    if array.size:
        rows = max(1, _CHUNK // max(1, array[:1].nbytes))
        for start in range(0, len(array), rows):
            yield numpy.ascontiguousarray(array[start : start + rows])


def _masked_array(value: Any, token: Token) -> bytes:
    numpy = sys.modules["numpy"]
    return token(numpy.ma.getmaskarray(value)) + token(value.filled()) + token(value.fill_value)


def _scalar(value: Any, token: Token) -> bytes:
    return _array(_base(value), token)


def _dtype(value: Any, token: Token) -> bytes:
    return token(repr(value))


def _frame(value: Any, token: Token) -> bytes:
    """A DataFrame by its columns, however pandas has them lie together."""
    columns = [token(value.iloc[:, position].array) for position in range(value.shape[1])]
    return b"".join([token(value.columns), token(value.index), token(value.attrs), *columns])


def _series(value: Any, token: Token) -> bytes:
    return token(value.name) + token(value.index) + token(value.attrs) + token(value.array)


def _index(value: Any, token: Token) -> bytes:
    return token([*value.names, getattr(value, "freqstr", None)]) + token(value.array)  # a step of dates is its own


def _range_index(value: Any, token: Token) -> bytes:
    return token((value.name, value.start, value.stop, value.step))


def _multi_index(value: Any, token: Token) -> bytes:
    levels = [value.get_level_values(level) for level in range(value.nlevels)]
    return token(list(value.names)) + b"".join(token(level.array) for level in levels)


def _categories(value: Any, token: Token) -> bytes:
    return token(value.codes) + token(value.categories) + token(value.ordered)


def _extension(value: Any, token: Token) -> bytes:
    return token(value.to_numpy())


def _masked(value: Any, token: Token) -> bytes:
    """Numbers with missing ones: what lies under a missing one is not part of it."""
    missing = value.isna()
    return token(repr(value.dtype)) + token(missing) + token(value.to_numpy(value.dtype.numpy_dtype, na_value=0))


def _texts(value: Any, token: Token) -> bytes:
    """Texts with missing ones, kept as Python's own."""
    return token(repr(value.dtype)) + token(value.to_numpy(object, na_value=None).tolist())


def _arrow_backed(value: Any, token: Token) -> bytes:
    return token(repr(value.dtype)) + token(value.__arrow_array__())


def _arrow_array(value: Any, _: Token) -> bytes:
    """A column of Arrow's, as it is written: without what lies before and behind it in memory."""
    arrow = sys.modules["pyarrow"]
    column = value.combine_chunks() if hasattr(value, "combine_chunks") else value
    chunks = column.chunks if hasattr(column, "chunks") else [column]  # none where there is too much for one
    head = f"{value.type} {len(value)} ".encode()
    written = (arrow.record_batch([chunk], ["column"]).serialize() for chunk in chunks if len(chunk))
    return head + b"".join(map(xxhash.xxh3_128_digest, written))


def _arrow_table(value: Any, token: Token) -> bytes:
    return token(str(value.schema)) + b"".join(map(token, value.columns))


TELL: dict[str, Callable[[Any, Token], bytes]] = {
    "numpy.ndarray": _array,
    "numpy.ma.MaskedArray": _masked_array,
    "numpy.ma.core.MaskedArray": _masked_array,
    "numpy.generic": _scalar,
    "numpy.dtype": _dtype,
    "pyarrow.lib.Array": _arrow_array,
    "pyarrow.lib.ChunkedArray": _arrow_array,
    "pyarrow.lib.RecordBatch": _arrow_table,
    "pyarrow.lib.Table": _arrow_table,
}
_PANDAS = {  # by class, with the modules that pandas 2 and pandas 3 say that it is in
    _frame: "DataFrame core.frame.DataFrame",
    _series: "Series core.series.Series",
    _range_index: "RangeIndex core.indexes.range.RangeIndex",
    _multi_index: "MultiIndex core.indexes.multi.MultiIndex",
    _index: "Index core.indexes.base.Index",
    _categories: "Categorical core.arrays.categorical.Categorical",
    _extension: "arrays.NumpyExtensionArray core.arrays.numpy_.NumpyExtensionArray",
    _masked: "core.arrays.masked.BaseMaskedArray",
    _arrow_backed: "arrays.ArrowExtensionArray core.arrays.arrow.array.ArrowExtensionArray "
    "arrays.ArrowStringArray core.arrays.string_arrow.ArrowStringArray",
    _texts: "arrays.StringArray core.arrays.string_.StringArray",
}
TELL.update({f"pandas.{name}": told for told, names in _PANDAS.items() for name in names.split()})
