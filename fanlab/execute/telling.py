"""Arguments of branches told as texts, which their keys are made of."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import Any, TypeVar

from ..core.batch import Column
from ..core.keys import Texts, blake, short
from ..core.record import NodeRecord
from ..core.seal import Packed, Stored
from ..errors import CannotSend, Unhashable
from ..store.codecs import load, scalar, unpack
from ..store.files import file_digest
from ..store.hashes import hash_value
from .values import Values

Told = TypeVar("Told")
Value = TypeVar("Value")


class Telling:
    """Of one node: what all its branches share is told once."""

    def __init__(self, values: Values, digest_of_file: Callable[[str], str | None] = file_digest) -> None:
        self._values = values
        self._texts = Texts(self._leaf, digest_of_file)
        self._shared: dict[str, str] | None = None

    @property
    def files(self) -> dict[str, str]:
        """By path: the digest of what each argument that is a file held when it was told."""
        return self._texts.files

    def arguments(self, node: NodeRecord, start: int, stop: int) -> tuple[dict[str, str], dict[str, list[str]]]:
        """The texts of shared arguments, and of mapped ones for branches from start up to stop.

        Raises CannotSend for what cannot be sent either, FanOutError for a fan-in with too few values, and
        Unhashable for what has no content that can be compared.
        """
        shape = node.shape
        assert shape is not None  # only branches that are known have arguments
        if shape.tree is not None:  # a reduce's calls take two values each
            columns = self._values.operands(node, start, stop)
            only = node.arguments[0].name
            return {}, {str(side): _of(only, self._column, column) for side, column in enumerate(columns)}
        if self._shared is None:
            shared = ((a.name, self._values.ready(a.value)) for a in node.arguments if not a.mapped)
            self._shared = {name: _of(name, self._texts.of, value) for name, value in shared}
        columns = self._values.columns(node.arguments, shape, start, stop)
        names = [argument.name for argument in node.arguments if argument.mapped]
        return self._shared, {n: _of(n, self._column, column) for n, column in zip(names, columns, strict=True)}

    def _column(self, column: Column) -> list[str]:
        if column.kind != "packed":
            return self._texts.many(column.values)
        plain = [scalar(packed or b"\0") for packed in column.values]
        if all(is_plain for is_plain, _ in plain) and column.output in (None, "output"):
            return self._texts.many([found for _, found in plain])
        return [self._outputs(packed, column.output) for packed in column.values]

    def _leaf(self, value: Any) -> str:
        if isinstance(value, Stored):
            return self._stored(value)
        if isinstance(value, Packed):
            return self._outputs(value.outputs, value.output)
        if isinstance(value, pathlib.PurePath):
            return f"path {self._texts.path(os.fspath(value)) or short(repr(value))}"
        if isinstance(value, tuple):  # a NamedTuple
            fields = ",".join(map(self._texts.of, value))
            return short(f"{type(value).__qualname__}({fields})")
        return f"hash {hash_value(value)}"

    def _outputs(self, packed: bytes | None, output: str | None) -> str:
        if not packed:
            raise CannotSend("a branch that it needs has no value")
        plain, value = scalar(packed)
        if plain and output in (None, "output"):
            return self._texts.of(value)
        outputs = unpack(packed)
        if output is not None:
            return self._stored(outputs[output])
        texts = [self._stored(stored) for stored in outputs.values()]
        return texts[0] if len(texts) == 1 else short(f"({','.join(texts)})")

    def _stored(self, stored: Stored) -> str:
        if stored.inline is not None and stored.type.startswith("pathlib."):
            return self._leaf(load(stored.inline))
        told = self._values.names(stored)
        held = [text for name in told if (text := self._texts.path(name)) is not None]
        return f"hash {stored.hash} file {blake(' '.join(held).encode()).hex()}" if held else f"hash {stored.hash}"


def _of(name: str, tell: Callable[[Value], Told], value: Value) -> Told:
    """What is told of an argument's value. Raises Unhashable with the argument's name."""
    try:
        return tell(value)
    except Unhashable as error:
        raise Unhashable(f"its argument '{name}': {error.what}", do=error.do) from error
