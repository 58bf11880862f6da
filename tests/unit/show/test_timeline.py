"""The timeline: one lane a worker, bars to scale, and small however many branches there are."""

import base64
import re
import xml.etree.ElementTree as ET
from array import array

import pytest

from fanlab.core.events import Expanded, Failure, Finished, NodeInfo, RunEnded, RunStarted, Status
from fanlab.core.expand import Shape
from fanlab.core.record import Record
from fanlab.show.timeline import Timeline, timeline_svg

SVG = "{http://www.w3.org/2000/svg}"


def record(*bars, names=("load", "fit"), end=10.0):
    """A run that began at 100; bars are (node, worker, start, seconds, status)."""
    found = Record()
    infos = tuple(NodeInfo(name, name, "map", ("output",), (), ()) for name in names)
    found.apply(RunStarted("1", "sweep-1", "sweep", {}, infos, None, 100.0, 1))
    for number, name in enumerate(names):
        mine = [bar for bar in bars if bar[0] == number]
        found.apply(Expanded(name, Shape(len(mine)), (), 100.0))
        for branch, (_, worker, start, seconds, status) in enumerate(mine):
            failures = {branch: Failure("ValueError", "no")} if status is Status.FAILED else {}
            found.apply(
                Finished(
                    name,
                    branch,
                    bytes([status]),
                    1,
                    worker,
                    array("d", [100 + start]),
                    array("d", [100 + start + seconds]),
                    array("q", [0]),
                    (None,),
                    failures,
                )
            )
    found.apply(RunEnded("completed", 100.0 + end))
    return found


def bars(svg):
    """(title, x, width, fill, y) of each bar."""
    found = []
    for group in ET.fromstring(svg).findall(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        if rect is not None:
            found.append(
                (
                    group.find(f"{SVG}title").text,
                    *(float(rect.get(k)) for k in ("x", "width")),
                    rect.get("fill"),
                    float(rect.get("y")),
                )
            )
    return found


def texts(svg):
    return [found.text or "" for found in ET.fromstring(svg).iter(f"{SVG}text")]


def test_bars_are_to_scale_and_say_what_they_are():
    (load, fit) = bars(timeline_svg(record((0, 7, 0, 5, Status.COMPLETED), (1, 7, 5, 2.5, Status.COMPLETED)), 0))
    assert load[0] == "load: 5 s, from 0 s"
    assert fit[0] == "fit: 2.5 s, from 5 s"
    assert load[2] == pytest.approx(2 * fit[2])
    assert fit[1] == pytest.approx(load[1] + load[2])
    assert load[3] != fit[3]


def test_each_worker_has_a_lane():
    svg = timeline_svg(record((0, 7, 0, 5, Status.COMPLETED), (1, 8, 0, 5, Status.COMPLETED)), 0)
    assert [text for text in texts(svg) if text.startswith("worker")] == ["worker 1", "worker 2"]
    assert len({bar[4] for bar in bars(svg)}) == 2


def test_branches_that_run_at_once_in_one_process_stand_below_each_other():
    svg = timeline_svg(record((0, 7, 0, 5, Status.COMPLETED), (1, 7, 1, 5, Status.COMPLETED)), 0)
    assert [text for text in texts(svg) if text.startswith("worker")] == ["worker 1"]
    assert len({bar[4] for bar in bars(svg)}) == 2


def test_a_failed_branch_is_told_by_glyph_and_colour():
    svg = timeline_svg(record((1, 7, 0, 5, Status.FAILED)), 0)
    assert bars(svg)[0][0] == "fit, failed: 5 s, from 0 s"
    assert "✗ fit" in texts(svg)


def test_a_bar_of_many_branches_of_which_some_failed_is_underlined_and_says_how_many():
    many = [(1, 7, 0.001 * number, 0.001, Status.FAILED if number == 9 else Status.COMPLETED) for number in range(100)]
    (group,) = [
        group
        for group in ET.fromstring(timeline_svg(record(*many), 0)).findall(f"{SVG}g")
        if group.find(f"{SVG}rect") is not None
    ]
    whole, under = group.findall(f"{SVG}rect")
    assert group.find(f"{SVG}title").text == "fit, 100 branches, 1 failed: 0.1 s, from 0 s"
    assert under.get("fill") != whole.get("fill")
    assert float(under.get("height")) < float(whole.get("height"))


def test_what_was_taken_over_from_an_earlier_run_is_left_out():
    svg = timeline_svg(record((0, 7, -50, 5, Status.CACHED), (1, 7, 1, 5, Status.COMPLETED)), 0)
    assert [bar[0] for bar in bars(svg)] == ["fit: 5 s, from 1 s"]


def test_a_run_in_which_nothing_ran_says_so():
    assert "no branch has run" in texts(timeline_svg(record(), 0))


def test_many_short_branches_are_one_bar_and_a_small_picture():
    many = [(1, 7 + number % 2, number // 2 * 0.001, 0.001, Status.COMPLETED) for number in range(10_000)]
    svg = timeline_svg(record(*many, end=5.0), 0)
    assert len(svg) < 100_000
    assert sum(int(re.search(r", ([\d,]+) branches", bar[0])[1].replace(",", "")) for bar in bars(svg)) == 10_000


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><img onerror=x>', "\x1b[31m", "\x00", "\ud800", "x" * 10**6]
)
def test_the_picture_is_well_formed_whatever_a_step_is_called(name):
    elements = [
        found.tag
        for found in ET.fromstring(timeline_svg(record((0, 7, 0, 5, Status.COMPLETED), names=(name,)), 0)).iter()
    ]
    plain = [
        found.tag
        for found in ET.fromstring(timeline_svg(record((0, 7, 0, 5, Status.COMPLETED), names=("load",)), 0)).iter()
    ]
    assert elements == plain


def test_a_notebook_shows_it_as_an_image_that_nbval_leaves_out(tmp_path):
    found = Timeline(record((0, 7, 0, 5, Status.COMPLETED)), 0)
    html = found._repr_html_()
    assert '<img name="fanlab" alt="The timeline of sweep" ' in html
    assert base64.b64decode(re.search(r'base64,([^"]*)"', html)[1]).decode() == found.svg
    assert repr(found) == "<the timeline of sweep>"
    found.save(tmp_path / "timeline.svg")
    assert (tmp_path / "timeline.svg").read_text(encoding="utf-8") == found.svg
