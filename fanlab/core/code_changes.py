"""What differs between the code that two keys cover, in words and as a diff of the source."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from .code_parts import Part

_WORDS = {
    "function": "the code of {}",
    "class": "the class {}",
    "global": "the global {}",
    "closure": "the closure variable {}",
    "default": "the default of {}",
    "attribute": "the attribute {}",
    "module": "{}",
    "version": "version=",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not what it was: with its text before and now, None where it was not, or is not, there."""

    kind: str
    name: str
    before: str | None
    now: str | None

    @property
    def words(self) -> str:
        """What has changed, in a few words: `the code of helper changed`, `numpy: 2.4.5 → 2.4.6`."""
        what = _WORDS[self.kind].format(self.name)
        if self.before is None:
            return f"{what} is new"
        if self.now is None:
            return f"{what} is not used any more"
        if self.kind == "module":
            return f"{what}: {self.before} → {self.now}"
        if self.kind in ("function", "class") or self.before == self.now:
            return f"{what} changed"
        return f"{what} changed from {self.before} to {self.now}"

    @property
    def diff(self) -> str:
        """The source before and now, as a unified diff; "" where there is no source that differs."""
        if self.kind not in ("function", "class"):
            return ""
        before, now = (self.before or "").splitlines(), (self.now or "").splitlines()
        lines = difflib.unified_diff(before, now, f"{self.name}, before", f"{self.name}, now", lineterm="")
        return "\n".join(lines)


def changed(before: Sequence[Part], now: Sequence[Part]) -> tuple[Change, ...]:
    """What differs between two lists of parts, code first.

    >>> changed([Part("global", "scale", "a1", "2")], [Part("global", "scale", "b7", "3")])[0].words
    'the global scale changed from 2 to 3'
    """
    old, new = ({(part.kind, part.name): part for part in parts} for parts in (before, now))
    found = []
    for key in sorted({*old, *new}, key=lambda key: (list(_WORDS).index(key[0]), key[1])):
        was, is_ = old.get(key), new.get(key)
        if was is None or is_ is None or was.digest != is_.digest:
            found.append(Change(*key, was.text if was is not None else None, is_.text if is_ is not None else None))
    return tuple(found)
