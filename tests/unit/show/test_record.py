"""The record as text and as HTML: stable, and safe whatever a user writes."""

import base64
import html
import html.parser
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fanlab import pipeline, step
from fanlab.client import Client
from fanlab.errors import PipelineError
from fanlab.show.html import bundle, record_html, tag
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


LINE = fails.function.__code__.co_firstlineno + 3
PLACE = f"test_record.py, line {LINE}, in fails: raise ValueError(text)"


def test_the_text_has_a_line_per_node():
    assert record_text(record(sweep)) == "sweep: completed\n  ✓ mapped  3 of 3 completed\n  ✓ total   completed"


def test_the_text_counts_what_failed_and_shows_the_error_with_its_line():
    assert record_text(record(partly)).splitlines() == [
        "partly: failed",
        "  ✗ fails  1 of 2 completed, 1 failed",
        "  ⊘ total  skipped",
        "  fails[1]: ValueError: no",
        f"    {PLACE}",
    ]


def test_the_text_shows_three_errors_of_a_kind_and_counts_the_rest():
    def body():
        fails.map(["a", "b", "c", "d", "e"])

    assert record_text(record(body)).splitlines()[2:] == [
        "  fails[0]: ValueError: a",
        "  fails[1]: ValueError: b",
        "  fails[2]: ValueError: c",
        "  and 2 more like these",
        f"    {PLACE}",
    ]


def test_the_text_shows_three_kinds_of_errors_and_counts_the_rest():
    @step
    def various(kind):
        raise kind("no")

    def body():
        various.map([ValueError, KeyError, OSError, TypeError, TypeError])

    assert record_text(record(body)).splitlines()[-1] == "  and 2 more failed"


def test_equal_errors_are_told_once():
    def body():
        fails.map(["no"] * 5 + ["yes"])

    assert record_text(record(body)).splitlines()[2:] == [
        "  fails[0], fails[1], fails[2] and 2 more: ValueError: no",
        "  fails[5]: ValueError: yes",
        f"    {PLACE}",
    ]


def test_the_record_and_the_error_of_a_run_put_the_same_failures_together():
    def body():
        fails.map(["no", "yes"])
        same(fails("no"))

    with pytest.raises(PipelineError) as caught:
        pipeline(backend="sequential")(body)()

    assert caught.value.what == "fails[0] (text='no') failed: ValueError: no (and 2 more like it)"
    assert record_text(caught.value.run._record).splitlines()[-3:] == [
        "  fails[0], fails_2: ValueError: no",
        "  fails[1]: ValueError: yes",
        f"    {PLACE}",
    ]


def test_equal_errors_of_different_lines_are_told_apart():
    @step
    def other(text):
        raise ValueError(text)

    def body():
        fails("no")
        other("no")

    assert [line.split(":")[0] for line in record_text(record(body)).splitlines()[3:]] == [
        "  fails",
        f"    test_record.py, line {LINE}, in fails",
        "  other",
        f"    test_record.py, line {other.function.__code__.co_firstlineno + 2}, in other",
    ]


def test_a_record_of_very_many_steps_is_cut_and_says_so():
    def body():
        for _ in range(203):
            same(1)

    found = record(body)
    assert len(record_text(found).splitlines()) == 202
    assert record_text(found).splitlines()[-1] == "  and 3 more steps"
    assert Reader(record_html(found)).elements.count("tr") == 202
    assert "and 3 more steps" in record_html(found)


def test_an_error_of_several_lines_is_one_line_of_the_text():
    assert record_text(record(lambda: fails("one\ntwo"))).splitlines()[-2] == "  fails: ValueError: one"


def test_a_fan_out_without_branches_is_completed():
    assert record_text(record(lambda: same.map([]))).splitlines()[-1] == "  ✓ same  0 of 0 completed"


def test_a_fan_out_that_never_became_known_is_skipped():
    assert record_text(record(lambda: same.map(fails("no")))).splitlines()[2] == "  ⊘ same   skipped"


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


def rows(html):
    """The text of each row of the first table."""
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    return ["|".join(Reader(row).text) for row in body.split("</tr>")[:-1]]


def test_the_html_has_a_row_per_node():
    assert rows(record_html(record(sweep))) == ["✓|mapped|3 of 3 completed", "✓|total|completed"]


def test_the_html_tells_states_by_glyph_and_word():
    assert rows(record_html(record(partly))) == ["✗|fails|1 of 2 completed, 1 failed", "⊘|total|skipped"]


def test_the_html_opens_to_the_branches():
    found = record_html(record(partly)).partition("<details")[2]
    assert "".join(Reader(f"<details{found}").text).startswith("fails: 2 branches")
    assert rows(found) == ["fails[0]|text=''|✓ completed", "fails[1]|text='no'|✗ failed|ValueError: no"]


def test_a_plain_call_has_nothing_to_open():
    assert "details" not in Reader(record_html(record(lambda: same(1)))).elements


def test_of_many_branches_those_without_a_value_are_shown_first_and_it_is_said():
    def body():
        fails.map([""] * 300 + ["no"], id="many")

    found = record_html(record(body)).partition("<details")[2]
    assert "many: 301 branches, 200 of them here, first those without a value; results has all" in found
    shown = rows(found)
    assert len(shown) == 200
    assert shown[0].startswith("many[0]|")
    assert shown[-2:] == ["many[198]|text=''|✓ completed", "many[300]|text='no'|✗ failed|ValueError: no"]


def test_several_fan_outs_share_the_rows():
    def body():
        same.map(range(150), id="one")
        same.map(range(150), id="two")

    opened = record_html(record(body)).split("<details")[1:]
    assert [len(rows(found)) for found in opened] == [100, 100]


def test_the_html_has_the_line_of_an_error():
    assert PLACE in "".join(Reader(record_html(record(partly))).text)


def test_the_html_holds_what_an_untrusted_notebook_may():
    found = Reader(record_html(record(partly), draw=True))
    kept = {"div", "strong", "span", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "img"}
    assert set(found.elements) <= kept
    assert set(found.attributes) <= {"style", "scope", "name", "alt", "src"}


def picture(html):
    """The SVG of a record's image."""
    data = re.search(r'src="data:image/svg\+xml;base64,([^"]*)"', html)[1]
    return base64.b64decode(data).decode()


def test_the_graph_is_an_image_that_holds_its_own_data_and_says_what_it_is():
    found = record_html(record(partly), draw=True)
    assert '<img name="fanlab" alt="The graph of partly" ' in found
    assert ET.fromstring(picture(found)).tag == "{http://www.w3.org/2000/svg}svg"


def test_only_a_front_end_has_the_graph_drawn(monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("dot was started"))
    found = record(partly)
    assert "<img" not in record_html(found)
    assert record_text(found)


def test_only_the_image_differs_between_machines():
    found = record(partly)
    drawn = record_html(found, draw=True)
    assert re.sub(r'<div style="[^"]*"><img name="fanlab"[^>]*></div>', "", drawn) == record_html(found)


def test_a_record_is_shown_where_nothing_can_be_drawn(monkeypatch):
    def broken(record):
        raise OSError("no room for pictures")

    monkeypatch.setattr("fanlab.show.svg.graph_svg", broken)
    found = record(partly)
    assert bundle(found) == {"text/html": record_html(found), "text/plain": record_text(found)}


def test_a_wide_picture_is_scrolled_and_not_made_small():
    def chain():
        found = same(0)
        for _ in range(12):
            found = same(found)

    assert "max-width:none" in record_html(record(chain), draw=True)
    assert "max-width:100%" in record_html(record(sweep), draw=True)


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
    assert f"ValueError: {text}" in "".join(shown.text)


@pytest.mark.parametrize(
    "text", ["\x1b[31mred\x1b[0m", "\x1b]8;;http://x\x07link", "\x00\x07\x08", "\ud800", "אב\u202eגד", "x" * 10**7]
)
def test_control_characters_and_very_long_texts_do_not_reach_the_record(text):
    @step(name=text)
    def user(given):
        raise ValueError(text)

    found = record(lambda: user.map({text: text}))
    for shown in bundle(found).values():
        assert len(shown) < 20_000
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\ud800-\udfff]", shown)
        shown.encode()


def test_the_html_shows_the_name_of_a_pipeline_as_text():
    @pipeline(name="<b>bold</b>", backend="sequential")
    def named():
        same(1)

    assert "b" not in Reader(record_html(named()._record)).elements


def test_attributes_are_escaped():
    assert tag("td", "a", title='"><script>') == '<td title="&quot;&gt;&lt;script&gt;">a</td>'


def test_a_record_has_no_paths_of_one_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()

    @step
    def read(path, folder):
        return open(path).read()

    def body():
        read.map([tmp_path / "data" / "a.csv", str(tmp_path / "b.csv"), Path("c.csv")], tmp_path.parent / "else" / "d")

    found = record(body)
    text = html.unescape(record_html(found))

    assert str(tmp_path.parent) not in text
    assert "path=PosixPath('data/a.csv'), folder=PosixPath('…/d')" in text
    assert "path='b.csv'" in text
    assert "No such file or directory: 'data/a.csv'" in text
    assert str(tmp_path.parent) not in record_text(found)


def test_what_a_body_raised_itself_is_told_with_its_line():
    def body():
        same(1).load()
        raise KeyError("no")

    made = here(body)
    with pytest.raises(KeyError):
        made()

    line = body.__code__.co_firstlineno + 2
    assert record_text(made.last_run._record).splitlines() == [
        "body: failed",
        "  ✓ same  completed",
        "  the body: KeyError: 'no'",
        f'    test_record.py, line {line}, in body: raise KeyError("no")',
    ]
    assert "<strong>the body</strong>\nKeyError: &#x27;no&#x27;\n" in record_html(made.last_run._record)
