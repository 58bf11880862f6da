"""What of a user's stands in an event as it is, keys of dicts and NamedTuples, and whether it arrives elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..core.expand import Items
from ..core.seal import has_plain_keys
from ..store.travel import fault


class Faults:
    """Finds what does not arrive as it is sent: an event that holds it could not be kept, and its run with it."""

    def __init__(self) -> None:
        self._sound: set[type] = set()  # NamedTuples whose values differ in nothing but their fields

    def of(self, made: Any) -> tuple[str, Any, str] | None:
        """Of a sealed dict, NamedTuple or Items: what in it does not arrive, and why; None if all does.

        That is a key of it, and then the words "a key of " come with it, or the whole.
        """
        if isinstance(made, (dict, Items)):
            found = self.of_keys((made if isinstance(made, dict) else made.keys) or ())
            return None if found is None else ("a key of ", *found)
        kind = type(made)
        if kind in self._sound:
            return None
        why = fault(made)
        if why is not None:
            return "", made, why
        if kind.__bases__ == (tuple,):
            self._sound.add(kind)
        return None

    @staticmethod
    def of_keys(keys: Collection[Any]) -> tuple[Any, str] | None:
        """The first of some keys that does not arrive, and why; None if all do."""
        if has_plain_keys(keys):
            return None
        return next(((key, why) for key in keys if (why := fault(key)) is not None), None)
