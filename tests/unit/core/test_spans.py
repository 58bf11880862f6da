"""Lengths of time as people write them."""

import pytest

from fanlab.core.spans import span
from fanlab.errors import StepCallError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 2592000), ("12h", 43200), ("90m", 5400), ("2w", 1209600), ("0.5s", 0.5), ("7", 7)],
)
def test_a_time_is_a_number_with_a_unit(text, seconds):
    assert span(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "soon", "-3d", "inf", "nan", "3 days"])
def test_what_is_no_time_is_told(text):
    with pytest.raises(StepCallError) as caught:
        span(text)
    assert str(caught.value) == f"{text!r} is no time\n  do:    write it as 30d, 12h, 90m or 3600s"
