"""The record as text and as HTML: stable, and safe whatever a user writes."""

import html.parser

import pytest

from fanlab import pipeline, step
from fanlab.client import Client
from fanlab.errors import PipelineError
from fanlab.show.html import record_html, tag
from fanlab.show.text import record_text

here = pipeline(backend="sequential")


@step
def same(x):
    return x


@step
def fails(text):
    if text:
        raise ValueError(text)


def record(body):
    made = here(body)
    try:
        return made()._record
    except PipelineError as error:
        return error.run._record


class Reader(html.parser.HTMLParser):
    """What a browser would see: elements, their attributes, and text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.text = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text.append(data)


def sweep():
    return same(same.map([1, 2, 3], id="mapped"), id="total")


def partly():
    return same(fails.map(["", "no"]), id="total")


def test_the_text_has_a_line_per_node():
    assert record_text(record(sweep)) == "sweep: completed\n  mapped  3 of 3 completed\n  total   completed"


def test_the_text_counts_what_failed_and_shows_the_error():
    assert record_text(record(partly)) == (
        "partly: failed\n  fails  1 of 2 completed, 1 failed\n  total  skipped\n  fails[1]: ValueError: no"
    )


def test_the_text_shows_three_errors_and_counts_the_rest():
    def body():
        fails.map(["a", "b", "c", "d", "e"])

    assert record_text(record(body)).splitlines()[2:] == [
        "  fails[0]: ValueError: a",
        "  fails[1]: ValueError: b",
        "  fails[2]: ValueError: c",
        "  and 2 more failed",
    ]


def test_an_error_of_several_lines_is_one_line_of_the_text():
    assert record_text(record(lambda: fails("one\ntwo"))).splitlines()[-1] == "  fails: ValueError: one"


def test_a_fan_out_without_branches_is_completed():
    assert record_text(record(lambda: same.map([]))).splitlines()[-1] == "  same  0 of 0 completed"


def test_a_fan_out_that_never_became_known_is_skipped():
    assert record_text(record(lambda: same.map(fails("no")))).splitlines()[2] == "  same   skipped"


@pytest.mark.parametrize("body", [sweep, partly])
def test_text_and_html_are_the_same_for_two_runs(body):
    first, second = record(body), record(body)
    assert record_text(first) == record_text(second)
    assert record_html(first) == record_html(second)


@pytest.mark.parametrize("body", [sweep, partly])
def test_text_and_html_are_the_same_from_the_store(body):
    live = record(body)
    kept = Client().get_pipeline_run(live.name)._record
    assert record_text(kept) == record_text(live)
    assert record_html(kept) == record_html(live)


def test_the_html_has_a_row_per_node():
    found = Reader(record_html(record(sweep)))
    assert found.elements.count("tr") == 3
    assert "".join(found.text) == "sweep: completedstepbranches✓mapped3 of 3 completed✓totalcompleted"


def test_the_html_tells_states_by_glyph():
    assert [text for text in Reader(record_html(record(partly))).text if text in "✓✗⊘"] == ["✗", "⊘"]


def test_the_html_has_no_script_and_no_style_element():
    found = Reader(record_html(record(partly)))
    assert set(found.elements) <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "pre"}
    assert set(found.attributes) <= {"style", "scope"}


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b 'c' \"d\""])
def test_the_html_shows_what_a_user_wrote_as_text(text):
    @step(name=text)
    def user():
        raise ValueError(text)

    plain = record_html(record(lambda: fails("no")))
    shown = Reader(record_html(record(lambda: user())))
    assert shown.elements == Reader(plain).elements
    assert shown.attributes == Reader(plain).attributes
    assert text in "".join(shown.text)
    assert f"{text}: ValueError: {text}" in "".join(shown.text)


def test_the_html_shows_the_name_of_a_pipeline_as_text():
    @pipeline(name="<b>bold</b>", backend="sequential")
    def named():
        same(1)

    assert "b" not in Reader(record_html(named()._record)).elements


def test_attributes_are_escaped():
    assert tag("td", "a", title='"><script>') == '<td title="&quot;&gt;&lt;script&gt;">a</td>'
