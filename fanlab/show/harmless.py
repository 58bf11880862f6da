"""Text of users made fit to be shown: no terminal codes, no control characters, no more than a page can take."""

from __future__ import annotations

import re

# https://en.wikipedia.org/wiki/ANSI_escape_code: CSI and OSC sequences, then other escapes
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")
# Characters that move, overwrite or turn round what stands near them; they are shown by their number.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def harmless(text: str, most: int) -> str:
    r"""The text without terminal codes; control and direction characters by number; cut to `most`, which it says.

    >>> harmless("\x1b[31mred\x1b[0m", 80)
    'red'
    >>> harmless("a\x00b", 80)
    'a\\x00b'
    >>> harmless("x" * 1000, 5)
    'xxxxx… (1,000 characters)'
    """
    length = len(text)
    kept = text[: most * 4]  # codes take room that is not shown
    kept = _SURROGATE.sub("\ufffd", _CONTROL.sub(_number, _ANSI.sub("", kept)))
    if len(kept) <= most and length <= most * 4:
        return kept
    return f"{kept[:most]}… ({length:,} characters)"


def _number(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
