"""The frames of inlined pipelines: around what is theirs, and around nothing else."""

import pytest

from fanlab.show import geometry
from fanlab.show.frames import framed, group_of
from fanlab.show.geometry import HEIGHT, WIDTH, Layouts, drawn, layered

# load -> (one: fit -> (one.deep: score)) -> report, and beside it (two: fit -> score), called in turns
NEEDS = ((), (0,), (0,), (1,), (2,), (3, 4), (0,))
GROUPS = ("", "one", "two", "one.deep", "two", "", "")


@pytest.fixture(params=["dot", "wasi"])
def picture(request, monkeypatch, tmp_path):
    if request.param == "wasi":
        monkeypatch.setenv("PATH", str(tmp_path))
    return framed(drawn(NEEDS, GROUPS), GROUPS)


def held(frame, picture):
    return {number for number, box in enumerate(picture.boxes) if frame.holds(box)}


def test_each_inlined_pipeline_has_a_frame_around_its_own_nodes(picture):
    found, frames = picture
    assert {frame.name: held(frame, found) for frame in frames} == {"one": {1, 3}, "two": {2, 4}, "one.deep": {3}}


def test_the_outer_frame_comes_first_and_holds_the_inner_one(picture):
    frames = {frame.name: frame for frame in picture[1]}
    outer, inner = frames["one"], frames["one.deep"]
    assert list(frames).index("one") < list(frames).index("one.deep")
    assert outer.left < inner.left
    assert outer.top < inner.top
    assert inner.left + inner.width < outer.left + outer.width
    assert inner.top + inner.height < outer.top + outer.height


def test_frames_beside_each_other_have_no_place_in_common(picture):
    one, two = (next(frame for frame in picture[1] if frame.name == name) for name in ("one", "two"))
    assert one.top + one.height < two.top or two.top + two.height < one.top


def test_every_frame_is_inside_the_picture(picture):
    found, frames = picture
    for frame in frames:
        assert -1 <= frame.left <= frame.left + frame.width <= found.width + 1
        assert -1 <= frame.top <= frame.top + frame.height <= found.height + 1


def test_room_for_a_frame_moves_boxes_and_lines_together():
    plain = layered(((), (0,)))
    found, (frame,) = framed(plain, ("one", "one"))
    assert (frame.left, frame.top) == (0, 0)
    assert found.boxes[0][0] > plain.boxes[0][0]
    _, _, points = found.curves[0]
    assert points[0] == (found.boxes[0][0] + WIDTH, found.boxes[0][1] + HEIGHT / 2)


def test_a_pipeline_whose_nodes_stand_around_another_has_no_frame():
    picture = layered(((), (0,), (1,)))
    assert framed(picture, ("one", "", "one")) == (picture, [])


def test_without_inlined_pipelines_the_picture_stays_as_it_is():
    picture = layered(((), (0,)))
    assert framed(picture, ("", "")) == (picture, [])


def test_a_graph_of_other_groups_is_laid_out_anew(monkeypatch):
    asked = []
    monkeypatch.setattr(geometry, "render", lambda source, _: asked.append(source) or "stop")
    layouts = Layouts()
    for groups in (("one", "one"), ("one", "")):
        layouts.picture(((), (0,)), groups)
        layouts._thread.join()
    assert len(asked) == 2


def test_the_group_is_what_stands_before_the_last_dot():
    assert [group_of(name) for name in ("fit", "one.fit", "one.deep.fit")] == ["", "one", "one.deep"]


def test_dots_in_a_steps_own_name_are_no_pipelines():
    found = [group_of(name, "sk.fit") for name in ("sk.fit", "sk.fit_2", "one.sk.fit", "one.deep.sk.fit_2", "one.mine")]
    assert found == ["", "", "one", "one.deep", "one"]
