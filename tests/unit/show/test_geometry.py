"""Where the live view's boxes are put, with graphviz and without."""

import shutil

import pytest

from fanlab.show import geometry
from fanlab.show.geometry import HEIGHT, WIDTH, Layouts, layered, order, parsed, path, source
from fanlab.show.layout import render

DIAMOND = ((), (0,), (0,), (1, 2))
LONG = tuple((() if number < 5 else (number - 5, number - 3)) for number in range(200))


@pytest.fixture(params=["dot", "wasi", "layers"])
def picture_of(request, monkeypatch, tmp_path):
    if request.param == "layers":
        return layered
    if request.param == "wasi":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif shutil.which("dot") is None:
        pytest.skip("dot is not installed")
    return lambda needs: parsed(render(source(needs), "plain"), len(needs))


def overlapping(picture):
    boxes = list(enumerate(picture.boxes))
    return [
        (one, other)
        for one, (x, y) in boxes
        for other, (to_x, to_y) in boxes[:one]
        if abs(x - to_x) < WIDTH and abs(y - to_y) < HEIGHT
    ]


@pytest.mark.parametrize("needs", [(), ((),), DIAMOND, LONG], ids=["none", "one", "diamond", "200"])
def test_no_two_boxes_overlap(picture_of, needs):
    assert overlapping(picture_of(needs)) == []


def test_a_node_is_right_of_all_that_it_waits_for(picture_of):
    boxes = picture_of(LONG).boxes
    assert all(boxes[before][0] + WIDTH < boxes[number][0] for number, needs in enumerate(LONG) for before in needs)


def test_every_box_is_inside_the_picture(picture_of):
    picture = picture_of(LONG)
    assert all(
        -1 <= x <= picture.width - WIDTH + 1 and -1 <= y <= picture.height - HEIGHT + 1 for x, y in picture.boxes
    )


def test_a_line_goes_from_the_right_of_a_box_to_the_left_of_another(picture_of):
    picture = picture_of(DIAMOND)
    assert sorted(curve[:2] for curve in picture.curves) == [(0, 1), (0, 2), (1, 3), (2, 3)]
    for start, stop, points in picture.curves:
        (x, y), (to_x, to_y) = picture.boxes[start], picture.boxes[stop]
        assert points[0] == pytest.approx((x + WIDTH, y + HEIGHT / 2), abs=2)
        assert points[-1] == pytest.approx((to_x, to_y + HEIGHT / 2), abs=2)


def test_points_are_a_path_of_curves():
    assert path([(0, 1), (2, 3), (4, 5), (6, 7)]) == "M0,1 C2,3 4,5 6,7"


def test_where_nothing_can_lay_out_there_are_layers(monkeypatch):
    monkeypatch.setattr(geometry, "render", lambda *_: 1 / 0)
    assert Layouts().picture(DIAMOND) == layered(DIAMOND)


def test_graphviz_is_not_waited_for_and_taken_when_it_has_answered(monkeypatch, until):
    import threading

    go = threading.Event()
    monkeypatch.setattr(geometry, "render", lambda *given: go.wait(30) and render(*given))
    layouts = Layouts()
    assert layouts.picture(LONG) == layered(LONG)
    go.set()
    until(lambda: layouts.picture(LONG) != layered(LONG))


def test_a_graph_that_has_grown_is_laid_out_anew(until):
    layouts = Layouts()
    layouts.picture(DIAMOND)
    until(lambda: len(layouts.picture((*DIAMOND, (3,))).boxes) == 5)


def test_nodes_in_call_order_stay_in_it():
    assert order(DIAMOND) == [0, 1, 2, 3]


def test_a_node_called_before_what_it_waits_for_comes_after_it():
    assert order(((2,), (), (1,))) == [1, 2, 0]
