"""The picture of a run's graph: a card per node, whatever the renderer, and well-formed whatever a user writes."""

import shutil
import xml.etree.ElementTree as ET

import pytest

from fanlab import pipeline, step
from fanlab.core.events import Combined, Status
from fanlab.errors import PipelineError
from fanlab.show.svg import fitted, graph_svg, text_width

SVG = "{http://www.w3.org/2000/svg}"
here = pipeline(backend="sequential")


@step
def same(x):
    return x


@step
def fails(x):
    if x == 2:
        raise ValueError("no")


def drawn(body):
    try:
        record = here(body)()._record
    except PipelineError as error:
        record = error.run._record
    return ET.fromstring(graph_svg(record))


def cards(picture):
    """Of each card its texts."""
    groups = [group for group in picture.iter(f"{SVG}g") if (group.get("id") or "").startswith("n")]
    return [[found.text for found in group.iter(f"{SVG}text") if found.text] for group in groups]


def sweep():
    source = same([1, 2, 3], id="source")
    return same(fails.map(source, id="mapped"), id="total")


@pytest.fixture(params=["dot", "wasi", "neither"])
def renderer(request, monkeypatch, tmp_path):
    if request.param == "dot":
        assert shutil.which("dot"), "make test installs it"
        return
    monkeypatch.setenv("PATH", str(tmp_path))
    if request.param == "neither":
        monkeypatch.setattr("fanlab.show.geometry.render", lambda *_: 1 / 0)


def test_a_card_tells_name_state_and_of_a_fan_out_the_count(renderer):
    assert cards(drawn(sweep)) == [
        ["source", "completed"],
        ["×3", "mapped", "2 completed, 1 failed"],
        ["total", "skipped"],
    ]


def test_a_line_leads_to_each_card_that_waits_for_another(renderer):
    paths = [found for found in drawn(sweep).iter(f"{SVG}path") if found.get("marker-end")]
    assert len(paths) == 2


def test_cards_do_not_overlap(renderer):
    def body():
        source = same(1)
        for _ in range(5):
            same(source)

    places = [
        tuple(map(float, group.get("transform")[10:-1].split()))
        for group in drawn(body).iter(f"{SVG}g")
        if (group.get("id") or "").startswith("n")
    ]
    assert len(places) == 6
    for number, (x, y) in enumerate(places):
        assert all(abs(x - a) >= 190 or abs(y - b) >= 74 for a, b in places[:number])


def test_a_completed_fan_out_counts_its_branches():
    assert cards(drawn(lambda: same.map(range(1200)))) == [["×1,200", "same", "1,200 of 1,200 completed"]]


def test_a_fan_out_is_one_stack_of_cards_with_a_bar_of_its_parts():
    (group,) = [g for g in drawn(sweep).iter(f"{SVG}g") if g.get("id") == "n1"]
    widths = [float(found.get("width")) for found in group.iter(f"{SVG}rect")]
    assert widths[:3] == [190, 190, 190]
    whole, done, failed = widths[3:]
    assert done == pytest.approx(whole * 2 / 3, abs=0.01)
    assert failed == pytest.approx(whole / 3, abs=0.01)


def test_a_fan_out_whose_branches_never_became_known_has_an_empty_bar():
    assert cards(drawn(lambda: same.map(fails(2)))) == [["fails", "failed"], ["same", "skipped"]]


def test_a_combine_cell_that_read_the_run_is_its_last_card():
    @here
    def sweep():
        return same.map([1, 2])

    record = sweep()._record
    record.apply(Combined("best", "best-1", ("same",), Status.COMPLETED))
    picture = ET.fromstring(graph_svg(record))
    texts = [found.text for found in picture.iter(f"{SVG}text") if found.text]
    assert texts[-2:] == ["best", "combine cell, completed"]
    assert len([found for found in picture.iter(f"{SVG}path") if found.get("marker-end")]) == 1


def test_an_inlined_pipeline_is_framed_and_its_name_stands_once():
    @here
    def inner():
        return same(same(1))

    picture = drawn(lambda: inner())
    assert cards(picture) == [["same", "completed"], ["same_2", "completed"]]
    assert [found.text for found in picture.findall(f"{SVG}text")] == ["inner"]


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img onerror=x>',
        "a & b",
        "\x1b[31mred\x1b[0m",
        "\x00\x08",
        "\ud800",
        "אב\u202eגד",
        "x" * 10**7,
    ],
)
def test_the_picture_is_well_formed_whatever_a_step_is_called(name):
    @here
    def plain():
        same(1)

    @here
    def odd():
        same.with_options(name=name)(1)

    elements = [found.tag for found in drawn(lambda: same.with_options(name=name)(1)).iter()]
    assert elements == [found.tag for found in ET.fromstring(graph_svg(plain()._record)).iter()]
    assert len(graph_svg(odd()._record)) < 10_000


def test_a_long_name_is_cut_to_the_card():
    name, _ = cards(drawn(lambda: same.with_options(name="a_name_that_is_longer_than_any_card")(1)))[0]
    assert name.startswith("a_name_that")
    assert name.endswith("…")


def test_text_is_cut_to_a_width():
    assert fitted("short", 100, 12) == "short"
    cut = fitted("a text that is far too long", 100, 12)
    assert cut.endswith("…")
    assert text_width(cut, 12) <= 100
