"""The key of a branch: identity of its work, from its step's code and what it receives, made for many at once.

A key never depends on the process, the time, the run, or where in a fan-out its branch stands.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

KEY_BYTES = 16
SEED_BYTES = 4  # of a key: numpy and scikit-learn take seeds below 2**32
_LONGEST = 64  # characters; of a longer text its digest stands in the key
_NUMBERS = {type(None), bool, int, float, complex}

Digest = Callable[[bytes], bytes]  # KEY_BYTES of them


def blake(data: bytes) -> bytes:
    """A digest from the standard library; a run uses a faster one."""
    return hashlib.blake2b(data, digest_size=KEY_BYTES).digest()


class Texts:
    """Tells sealed values as texts, equal for equal content in any process and without a line break.

    `leaf` tells what is no number, text, list, tuple or dict: stored values, the outputs of other branches, dates.
    `digest_of_file` says what a path's file holds, None where it names none.
    """

    def __init__(self, leaf: Callable[[Any], str], digest_of_file: Callable[[str], str | None]) -> None:
        self._leaf, self._digest_of_file = leaf, digest_of_file
        self.files: dict[str, str] = {}  # what has been told by its file's content

    def of(self, value: Any) -> str:
        """The text of one value. Raises what `leaf` raises."""
        kind = type(value)
        if kind in _NUMBERS:
            return _number(value)
        if kind is str:
            return self.path(value) or short(repr(value))
        if kind is list:
            return short(f"[{','.join(map(self.of, value))}]")
        if kind is tuple:
            return short(f"({','.join(map(self.of, value))})")
        if kind is dict:  # in its order, which a step can see
            return short(f"{{{','.join(f'{self.of(k)}:{self.of(v)}' for k, v in value.items())}}}")
        return self._leaf(value)

    def many(self, values: Sequence[Any]) -> list[str]:
        """The text of each value."""
        if set(map(type, values)) <= _NUMBERS:
            with contextlib.suppress(ValueError):
                return list(map(repr, values))
        return [self.of(value) for value in values]

    def path(self, path: str) -> str | None:
        """The text of a path whose file is there, with what that holds; None for any other text."""
        found = self._digest_of_file(path)
        if found is None:
            return None
        self.files[path] = found
        return f"file {short(repr(path))} {found}"


def _number(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return short(hex(value))


def short(text: str) -> str:
    """A text that is not longer than it need be to be told from others."""
    return text if len(text) <= _LONGEST else f"digest {blake(text.encode(errors='surrogatepass')).hex()}"


def branch_keys(
    code: str,
    outputs: Sequence[str],
    shared: Mapping[str, str],
    mapped: Mapping[str, Sequence[str]],
    size: int,
    digest: Digest = blake,
) -> list[bytes]:
    """The keys of `size` branches from the texts of their arguments; of mapped ones there is a text for each branch.

    An argument counts the same whether it is mapped or shared, and wherever it stands in the call.
    """
    parts = [f"{code}\n{' '.join(outputs)}\n"]
    columns: list[Iterable[str]] = []
    for name in sorted([*shared, *mapped]):
        parts[-1] += f"{name}="
        if name in mapped:
            columns.append(mapped[name])
            parts.append("\n")
        else:
            parts[-1] += f"{shared[name]}\n"
    before = [part.encode() for part in parts]
    if not columns:
        return [digest(before[0])] * size
    if len(columns) == 1:
        first, last = before
        return [digest(b"%b%b%b" % (first, text.encode(), last)) for text in columns[0]]
    return [
        digest(b"".join(part + text.encode() for part, text in zip(before, row, strict=False)) + before[-1])
        for row in zip(*columns, strict=True)
    ]


def numbered(key: bytes, number: int, digest: Digest = blake) -> bytes:
    """The key of the call that comes after `number` equal ones in its run."""
    return digest(b"%b %d" % (key, number)) if number else key


def seed_of(key: bytes) -> int:
    """An integer for reproducible random numbers, below 2**32."""
    return int.from_bytes(key[:SEED_BYTES], "little")


def split(blob: bytes) -> list[bytes]:
    """The keys in a row of them."""
    return [blob[start : start + KEY_BYTES] for start in range(0, len(blob), KEY_BYTES)]
