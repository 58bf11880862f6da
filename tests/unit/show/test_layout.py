"""The graph of a run as graphviz source and as SVG, with and without the `dot` program."""

import re
import shutil
import xml.etree.ElementTree as ET

import pytest

from fanlab import pipeline, step
from fanlab.errors import PipelineError
from fanlab.show.layout import svg

here = pipeline(backend="sequential")


@step
def same(x):
    return x


@step
def fails():
    raise ValueError("no")


@pytest.fixture
def run():
    @here
    def sweep():
        source = same([1, 2, 3], id="source")
        return same(same.map(source, id="mapped"), id="total", after=source)

    return sweep()


@pytest.fixture(params=["dot", "wasi"])
def renderer(request, monkeypatch, tmp_path):
    if request.param == "wasi":
        monkeypatch.setenv("PATH", str(tmp_path))
        assert shutil.which("dot") is None
    elif shutil.which("dot") is None:
        pytest.skip("dot is not installed")
    return request.param


def nodes(dag):
    return dict(re.findall(r'^\t(n\d+) \[label="([^"]*)"', dag.source, re.MULTILINE))


def edges(dag):
    return re.findall(r"^\t(n\d+) -> (n\d+)$", dag.source, re.MULTILINE)


def test_a_fan_out_is_one_node_with_its_count(run):
    assert nodes(run.dag) == {
        "n0": r"source\ncompleted",
        "n1": r"mapped ×3\n3 of 3 completed",
        "n2": r"total\ncompleted",
    }


def test_each_dependency_is_one_edge(run):
    assert sorted(edges(run.dag)) == [("n0", "n1"), ("n0", "n2"), ("n1", "n2")]


def test_a_wide_fan_out_is_one_node_too():
    @here
    def wide():
        same.map(range(200))

    assert nodes(wide().dag) == {"n0": r"same ×200\n200 of 200 completed"}


def test_a_fan_out_that_never_became_known_has_no_count():
    @here
    def unknown():
        same.map(fails())

    with pytest.raises(PipelineError) as caught:
        unknown()
    assert nodes(caught.value.run.dag) == {"n0": r"fails\nfailed", "n1": r"same\nskipped"}


def test_order_without_data_is_an_edge_to_what_comes_later():
    @here
    def ordered():
        same(1, id="second", after="first")
        same(2, id="first")

    assert edges(ordered().dag) == [("n1", "n0")]


def test_the_source_is_the_same_for_two_runs():
    @here
    def sweep():
        same(same.map([1, 2]))

    assert sweep().dag.source == sweep().dag.source


@pytest.mark.parametrize("name", ['say "hi"', "<b>bold</b>", "back\\nslash", "a & b", "émile → ☃"])
def test_any_name_is_drawn_as_it_is_written(name, renderer):
    @here
    def named():
        same.with_options(name=name)(1)

    texts = [found.text for found in ET.fromstring(svg(named().dag.source)).iter() if found.tag.endswith("}text")]
    assert texts == [name, "completed"]


def test_the_graph_is_drawn_as_svg_with_an_element_per_node(run, renderer):
    drawn = ET.fromstring(svg(run.dag.source))
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    groups = [found.get("id") for found in drawn.iter("{http://www.w3.org/2000/svg}g") if found.get("class") == "node"]
    assert sorted(groups) == ["n0", "n1", "n2"]


def test_the_graph_shows_itself_in_a_notebook(run, renderer):
    bundle = run.dag._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/html", "text/plain"}  # image/svg+xml is not shown in a notebook that is not trusted
    assert '<img name="fanlab" alt="The pipeline&#x27;s graph" src="data:image/svg+xml;base64,' in bundle["text/html"]
    assert bundle["text/plain"] == "<the pipeline's graph>"
