"""Artifacts: values as files named by their content, written atomically and mapped privately."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import struct
from typing import Any

from ..core.seal import Packed, Stored
from ..errors import NotFound, StoreError, listed
from . import codecs, formats
from .hashes import hash_value

_MAGIC = b"fanlab1\n"
_CHUNK = 8 << 20  # bytes at a write: more is not faster, and one write takes at most 2 GiB
_PAGE = 4096  # buffers start on pages, so that NumPy and Arrow find them aligned in the map
_HEAD = struct.Struct("<QQ")  # number of buffers, length of the pickle; then each buffer's length
_serial = itertools.count()


class Artifacts:
    """The artifact files of one store. Safe for many processes: a file appears whole or not at all."""

    def __init__(self, root: str) -> None:
        self._root = os.path.join(root, "artifacts")
        self._checked: set[str] = set()

    def put(self, value: Any, name: str | None = None) -> Stored:
        """Keep a value; a large one becomes a file. Raises what pickling raises, and StoreError for a full disk."""
        if not formats.any_is_registered():
            return self._put(value, name)
        with formats.once():
            return self._put(value, name)

    def _put(self, value: Any, name: str | None) -> Stored:
        body, buffers = codecs.dump(value)
        nbytes = len(body) + sum(buffer.nbytes for buffer in buffers)
        kind = codecs.type_name(value)
        if not buffers and nbytes <= codecs.INLINE_BYTES:
            return Stored(kind, nbytes, _hash(value) or codecs.digest(body), body)
        found = codecs.digest(body, buffers)
        self._write(found, body, buffers, name or kind)
        return Stored(kind, nbytes, _hash(value) or found, None, codecs.summary(value), found)

    def keep(self, kind: str, body: bytes, buffers: list[memoryview]) -> Stored:
        """Keep what is pickled already. Raises StoreError for a full disk."""
        nbytes = len(body) + sum(buffer.nbytes for buffer in buffers)
        found = codecs.digest(body, buffers)
        if not buffers and nbytes <= codecs.INLINE_BYTES:
            return Stored(kind, nbytes, found, body)
        self._write(found, body, buffers, kind)
        return Stored(kind, nbytes, found, None, (), found)

    def get(self, stored: Stored) -> Any:
        """The value, anew at each call: changing it in place changes no other. Raises StoreError if it is damaged."""
        if stored.inline is not None:
            return codecs.load(stored.inline)
        body, buffers = self._read(stored)
        return codecs.load(body, buffers)

    def pickled(self, stored: Stored) -> bytes:
        """The pickle of a value that has no large buffers. Raises StoreError if it is damaged."""
        return stored.inline if stored.inline is not None else bytes(self._read(stored)[0])

    def value(self, packed: Packed) -> Any:
        """The value of one branch's output; of all its outputs as a tuple where none is named."""
        plain, value = codecs.scalar(packed.outputs)
        if plain and packed.output in (None, "output"):
            return value
        outputs = codecs.unpack(packed.outputs)
        if packed.output is None:
            values = tuple(self.get(stored) for stored in outputs.values())
            return values[0] if len(values) == 1 else values
        if packed.output not in outputs:
            raise NotFound(f"there is no output '{packed.output}'", do=f"the outputs are {listed(outputs)}")
        return self.get(outputs[packed.output])

    def intact(self, stored: Stored) -> bool:
        """Whether a value is there as it was written: by its file's size and time, else by its hash."""
        if stored.inline is not None:
            return True
        try:
            self._read(stored, trust_time=True)
        except StoreError:
            return False
        return True

    def path(self, stored: Stored) -> str | None:
        """The file of a value, None for one that is kept in the database."""
        return None if stored.inline is not None else self._path(stored.digest or stored.hash)

    def _path(self, digest: str) -> str:
        return os.path.join(self._root, digest[:2], digest[2:])

    def _write(self, digest: str, body: bytes, buffers: list[memoryview], what: str) -> None:
        path = self._path(digest)
        if _is_written(path, digest):
            return
        temporary = f"{path}.{os.getpid()}.{next(_serial)}.tmp"
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            with open(temporary, "xb", buffering=0 if buffers else -1) as file:
                if buffers and hasattr(os, "posix_fallocate"):  # a full disk is told now, and the rest is faster
                    os.posix_fallocate(file.fileno(), 0, _size(body, buffers))
                lengths = struct.pack(f"<{len(buffers)}Q", *(buffer.nbytes for buffer in buffers))
                _write_all(file, memoryview(_MAGIC + _HEAD.pack(len(buffers), len(body)) + lengths + body))
                for buffer in buffers:
                    file.seek(_aligned(file.tell()))
                    _write_all(file, buffer)
                os.utime(file.fileno(), ns=(_stamp(digest),) * 2)
            os.replace(temporary, path)
        except OSError as error:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise StoreError(
                f"the value {what} cannot be written to the store: {error.strerror or error}",
                do="make room on the disk, or set FANLAB_STORE to a folder that can be written",
            ) from error

    def _read(self, stored: Stored, *, trust_time: bool = False) -> tuple[memoryview, list[memoryview]]:
        """A file's pickle and buffers. One that is damaged is removed, so that it is written anew."""
        named = stored.digest or stored.hash
        path = self._path(named)
        damaged = StoreError(
            f"the stored {stored.type} {stored.hash[:8]} is missing or damaged", do="run its step again to make it anew"
        )
        try:
            with open(path, "rb") as file:
                written = os.fstat(file.fileno()).st_mtime_ns == _stamp(named)
                view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        except OSError as error:
            raise damaged from error
        except ValueError as error:  # it is empty
            _remove(path)
            raise damaged from error
        try:
            body, buffers = _parts(view)
            if not (written and (trust_time or named in self._checked)):
                if codecs.digest(body, buffers) != named:
                    raise ValueError("other bytes than were written")
                self._checked.add(named)
                with contextlib.suppress(OSError):  # a store that can only be read
                    os.utime(path, ns=(_stamp(named),) * 2)
        except (ValueError, struct.error) as error:
            _remove(path)
            raise damaged from error
        return body, buffers


def _stamp(digest: str) -> int:
    """The time that a file with this content bears, in ns: whoever writes to it afterwards gives it another one."""
    return (1_000_000_000 + int(digest[:7], 16)) * 1_000_000_000


def _is_written(path: str, digest: str) -> bool:
    """Whether a file is there and nobody has written to it since. Its being of use once more is noted."""
    try:
        found = os.stat(path)
        if found.st_mtime_ns != _stamp(digest) or not found.st_size:
            return False
        with contextlib.suppress(OSError):
            os.utime(path, ns=(found.st_mtime_ns,) * 2)  # which sets the time of the last change of its status
    except OSError:
        return False
    return True


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _hash(value: Any) -> str | None:
    """The hash of a value's content; None where it has none, and is what its bytes are."""
    try:
        return hash_value(value)
    except Exception:  # noqa: BLE001 (a value's own code is asked what it consists of)
        return None


def _write_all(file: Any, view: memoryview) -> None:
    """Write a buffer whole: an unbuffered file may take less of it at a time."""
    written = 0
    while written < view.nbytes:
        written += file.write(view[written : written + _CHUNK])


def _size(body: bytes, buffers: list[memoryview]) -> int:
    """How long the file of a value is."""
    end = len(_MAGIC) + _HEAD.size + 8 * len(buffers) + len(body)
    for buffer in buffers:
        end = _aligned(end) + buffer.nbytes
    return end


def _parts(view: memoryview) -> tuple[memoryview, list[memoryview]]:
    """The pickle and the buffers in a mapped file. Raises ValueError for a file that is not one or is cut short."""
    if view[: len(_MAGIC)] != _MAGIC:
        raise ValueError("no artifact file")
    position = len(_MAGIC)
    count, length = _HEAD.unpack_from(view, position)
    position += _HEAD.size
    if count > len(view) // 8:
        raise ValueError("more buffers than bytes")
    lengths = struct.unpack_from(f"<{count}Q", view, position)
    position += 8 * count
    body = view[position : position + length]
    position += length
    buffers = []
    for size in lengths:
        position = _aligned(position)
        buffers.append(view[position : position + size])
        position += size
    if position != len(view):
        raise ValueError("cut short, or longer than it was")
    return body, buffers


def _aligned(position: int) -> int:
    return -(-position // _PAGE) * _PAGE
