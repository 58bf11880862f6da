"""Which folder is the store, and that it is one of ours."""

from __future__ import annotations

import os

from ..core.settings import settings
from ..errors import StoreError


def current() -> str:
    """The store's folder: as configured, else FANLAB_STORE, else .fanlab in the working directory."""
    return settings().store or os.path.abspath(os.environ.get("FANLAB_STORE") or ".fanlab")


def prepare(root: str) -> None:
    """Make the folder, for its owner only. Raises StoreError if it cannot be made or is somebody else's."""
    try:
        os.makedirs(root, mode=0o700, exist_ok=True)
        owner = os.stat(root).st_uid
        ignore = os.path.join(root, ".gitignore")
        if not os.path.exists(ignore) and os.access(root, os.W_OK):
            with open(ignore, "w") as file:
                file.write("*\n")
    except OSError as error:
        raise StoreError(
            f"the store {root} cannot be used: {error.strerror or error}",
            do="set FANLAB_STORE, or fanlab.configure(store=...), to a folder that can be written",
        ) from error
    if owner != os.geteuid():
        raise StoreError(
            f"the store {root} belongs to another user",
            do="artifacts are pickles, so only a store of your own is opened: set FANLAB_STORE to one",
        )
