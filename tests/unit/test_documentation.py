"""Nothing that people can use is undocumented: public names, errors, options of magics and of the program."""

import doctest
import importlib.util
import inspect
import re
import tomllib
from pathlib import Path

import pytest
import typer
from IPython.core.inputtransformer2 import TransformerManager

import fanlab
from fanlab import errors
from fanlab.cli.app import app
from fanlab.magics.cells import FanlabMagics

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("**/*.md"))
ERRORS = [name for name, found in vars(errors).items() if inspect.isclass(found) and issubclass(found, Exception)]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def section(name, title):
    """The text of a page under one of its headings of the second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page(name), re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no section '{title}'"
    return found[1]


@pytest.mark.parametrize("name", fanlab.__all__)
def test_a_public_name_is_in_the_reference(name):
    where = "reference/errors.md" if name in ERRORS else "reference/python.md"
    assert f"::: fanlab.{name}\n" in page(where)


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_public_and_in_the_reference_and_in_its_modules_tree(name):
    assert name in fanlab.__all__
    assert f"::: fanlab.{name}\n" in page("reference/errors.md")
    assert re.search(rf"\b{name}\b", errors.__doc__)


def magic_options():
    magics = FanlabMagics.magics
    for kind, sign in (("cell", "%%"), ("line", "%")):
        for name in magics[kind]:
            if kind == "line" and name in magics["cell"]:
                continue  # it says to type the other
            function = getattr(FanlabMagics, magics[kind][name])
            for action in function.parser._actions:
                words = action.option_strings or [action.metavar or action.dest]
                for word in words if action.choices is None or action.option_strings else action.choices:
                    if word not in ("-h", "--help"):
                        yield pytest.param(sign + name, word, id=f"{sign}{name} {word}")


@pytest.mark.parametrize(("magic", "word"), list(magic_options()))
def test_a_magics_option_is_in_the_reference(magic, word):
    assert re.search(rf"`{re.escape(word)}[`=]", section("reference/magics.md", magic))


def program():
    return typer.main.get_command(app)


def program_options():
    for name, command in program().commands.items():
        yield pytest.param(name, None, id=name)
        for parameter in command.params:
            for word in parameter.opts if parameter.param_type_name == "option" else ():
                yield pytest.param(name, word, id=f"{name} {word}")


@pytest.mark.parametrize(("command", "word"), list(program_options()))
def test_a_command_and_its_options_are_in_the_reference(command, word):
    found = section("reference/cli.md", f"fanlab {command}")
    assert word is None or f"`{word}`" in found


def test_the_programs_own_options_are_in_the_reference():
    for parameter in program().params:
        for word in parameter.opts:
            assert f"`{word}`" in page("reference/cli.md")


def test_every_parameter_of_the_programs_commands_has_a_help():
    for command in program().commands.values():
        assert command.help
        assert not [parameter.name for parameter in command.params if not parameter.help]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_python_in_a_page_is_python(path):
    for found in FENCE.findall(path.read_text(encoding="utf-8")):
        cell = re.sub(r"^%.*\n", "", found, flags=re.MULTILINE)
        compile(TransformerManager().transform_cell(cell), str(path), "exec")


@pytest.mark.parametrize("path", [path for path in PAGES if ">>>" in path.read_text()], ids=lambda path: path.stem)
def test_examples_in_a_page_give_what_it_says(path):
    result = doctest.testfile(str(path), module_relative=False)
    assert result.attempted > 10
    assert result.failed == 0


def test_every_layer_is_named_where_the_house_is_described():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [name.removeprefix("fanlab.") for layer in layers for name in layer.split(" | ")]
    drawn = (DOCS / "assets" / "house.svg").read_text(encoding="utf-8")
    for name in names:
        assert f"`{name}`" in page("architecture.md")
        assert f"`{name}`" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
        assert re.search(rf"\b{name}\b", drawn)


def test_a_decision_is_listed_and_says_what_it_costs():
    decisions = sorted((DOCS / "decisions").glob("0*.md"))
    assert len(decisions) > 10
    index = page("decisions/index.md")
    for number, path in enumerate(decisions, 1):
        text = path.read_text(encoding="utf-8")
        title = text.splitlines()[0]
        assert title.startswith(f"# {number:04}: ")
        assert f"| [{number:04}]({path.name}) | {title[8:]} |" in index
        for word in ("**Question.**", "**Choice.**", "**Why.**", "**What it costs.**"):
            assert word in text


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.match(r"[\w-]+", text)[0] for text in needed} - {"fanlab"}
    reasons = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Dependencies, and why")[2]
    rows = [row.split("|")[1] for row in reasons.splitlines() if row.startswith("| ")]
    listed = {name.strip() for row in rows for name in row.split(",")}
    assert not names - listed


def test_the_readme_tells_what_the_benchmarks_measured():
    spec = importlib.util.spec_from_file_location("readme", ROOT / "scripts" / "readme.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script.filled(text) == text, "run scripts/readme.py"


def test_what_the_readme_links_to_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for where in re.findall(r"\]\(([^)#]+)\)", text):
        assert where.startswith("https://") or (ROOT / where).exists(), where
