"""A run's page: complete, self-contained, and safe whatever a user writes."""

import base64
import html.parser
import re
import xml.etree.ElementTree as ET

import pytest

from fanlab import pipeline, step
from fanlab.errors import PipelineError

here = pipeline(backend="sequential")
HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style></title><svg onload=alert(1)>",
    "\x1b[31mred\x1b[0m", "\x00\x07", "\ud800", "אב\u202eגד", "a & b 'c'",
]  # fmt: skip


class Reader(html.parser.HTMLParser):
    """Elements with their attributes, and texts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, tuple(name for name, _ in attributes)))

    def handle_data(self, data):
        self.text.append(data)


@step
def load():
    return [1, 2, 3]


@step
def fit(x, text="no"):
    if x == 2:
        raise ValueError(text)
    return {"score": x / 2, "label": f"<b>{x}</b>"}


@step
def total(found):
    return len(found)


@pytest.fixture
def page(tmp_path):
    """The page of a run, as text."""

    def page(body):
        try:
            run = here(body)()
        except PipelineError as error:
            run = error.run
        run.to_html(tmp_path / "run.html")
        return (tmp_path / "run.html").read_text(encoding="utf-8")

    return page


def sweep():
    return total(fit.map(load()).successful())


def row(page, name):
    """The texts of a branch's cells."""
    found = re.search(rf"<tr[^>]*><td>{re.escape(name)}</td>.*?</tr>", page)[0]
    return [re.sub("<[^>]*>", "", cell) for cell in found.split("</td>")[:-1]]


def test_the_page_has_every_part(page):
    found = page(sweep)
    assert re.findall("<h2>(.*?)</h2>", found) == ["Steps", "Timeline", "Errors", "Branches", "Environment"]
    assert '<h1>sweep <span class="completed">completed</span></h1>' in found
    assert found.startswith("<!doctype html>")


def test_a_run_without_errors_has_no_part_for_them(page):
    assert "<h2>Errors</h2>" not in page(lambda: load())


def test_the_page_needs_nothing_else_and_runs_nothing(page):
    found = page(sweep)
    assert "default-src &#x27;none&#x27;" in found
    assert not re.search(r"<script|<link|<iframe|@import|url\(|https?://(?!www\.w3\.org)", found)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in re.findall('src="([^"]*)"', found))


def test_every_branch_is_in_it_with_arguments_values_and_what_it_took(page):
    found = page(sweep)
    cells = row(found, "fit[0]")
    assert cells[:6] == ["fit[0]", "1", "0.5", "&lt;b&gt;1&lt;/b&gt;", "✓ completed", "1"]
    assert float(cells[7]) >= 0
    assert row(found, "fit[1]")[1:5] == ["2", "", "", "✗ failed"]
    assert row(found, "fit[1]")[-1] == "ValueError: no"
    assert row(found, "total")[1:3] == ["2", "✓ completed"]


def test_an_error_has_its_traceback(page):
    found = "".join(Reader(page(sweep)).text)
    line = fit.function.__code__.co_firstlineno + 3
    assert f"test_page.py, line {line}, in fit\n    raise ValueError(text)\nValueError: no" in found
    assert "fit[1]: ValueError: no" in found


def test_equal_errors_are_told_once(page):
    found = page(lambda: fit.map([2] * 50))
    assert found.count("<pre>") == 1
    assert "fit[0], fit[1], fit[2] and 47 more" in found
    assert len(re.findall('<tr class="without">', found)) == 50


def test_its_pictures_are_drawings(page):
    pictures = re.findall(r'alt="([^"]*)" src="data:image/svg\+xml;base64,([^"]*)"', page(sweep))
    assert [alt for alt, _ in pictures] == ["The graph of sweep", "The timeline of sweep"]
    for _, data in pictures:
        assert ET.fromstring(base64.b64decode(data)).tag.endswith("}svg")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_users_wrote_is_text(page, text):
    def body():
        odd = fit.with_options(name=text)
        return odd.map({text: 2, "plain": 1}, text=text)

    def plain():
        return fit.map({"odd": 2, "plain": 1}, text="no")

    found = Reader(page(here(body).with_options(name=text)._body))
    assert found.elements == Reader(page(plain)).elements
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", "".join(found.text))
    if not re.search("[\x00-\x1f\ud800\u202e]", text):
        assert f"ValueError: {text}" in "".join(found.text)


def test_ten_million_characters_do_not_make_a_large_page(page):
    assert len(page(lambda: fit.map([2, 1], text="x" * 10**7))) < 100_000


def test_of_very_many_branches_those_without_a_value_come_first(page, monkeypatch):
    monkeypatch.setattr("fanlab.show.page.MOST_BRANCHES", 20)
    found = page(lambda: fit.map([1] * 99 + [2]))
    assert "fit: 100 branches, 20 of them here, first those without a value" in found
    assert row(found, "fit[99]")[-1] == "ValueError: no"
    assert "fit[18]" in found
    assert "<td>fit[19]</td>" not in found


def test_a_run_that_goes_on_has_a_page_too(tmp_path, until):
    @step
    def waits():
        until(lambda: (tmp_path / "go").exists())

    @pipeline(backend="threading")
    def slow():
        waits()

    run = slow.start()
    until(lambda: run.status == "running" and run.steps)
    run.to_html(tmp_path / "run.html")
    (tmp_path / "go").touch()
    run.wait()
    assert '<span class="running">running</span>' in (tmp_path / "run.html").read_text(encoding="utf-8")
