"""Users' text on its way to a page."""

import pytest

from fanlab.show.harmless import harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),  # shown as text, so it may stay
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x00b\x08c", r"a\x00b\x08c"),
        ("bell\x07", r"bell\x07"),
        ("abc\u202efed", r"abc\u202efed"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("שלום", "שלום"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("half \ud83d", "half \ufffd"),
    ],
)
def test_text_keeps_what_can_be_shown(text, shown):
    assert harmless(text, 100) == shown


def test_a_long_text_is_cut_and_says_how_long_it_was():
    assert harmless("x" * 10_000_000, 10) == "xxxxxxxxxx… (10,000,000 characters)"


def test_codes_count_for_nothing():
    assert harmless("\x1b[0m" * 3 + "abc", 10) == "abc"


def test_text_that_is_mostly_codes_is_bounded_too():
    assert len(harmless("\x1b[0m" * 1_000_000, 10)) < 50
