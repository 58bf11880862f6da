"""What `import fanlab` promises: names, docstrings, and that it is light."""

import inspect

import pytest

import fanlab


def test_the_public_names_are_sorted_and_there_is_none_twice():
    assert sorted(set(fanlab.__all__), key=str) == sorted(fanlab.__all__) == fanlab.__all__


def test_dir_shows_the_public_names_and_the_version():
    assert dir(fanlab) == sorted([*fanlab.__all__, "__version__"])


@pytest.mark.parametrize("name", fanlab.__all__)
def test_every_public_name_is_there(name):
    assert getattr(fanlab, name).__name__ == name


def test_a_star_import_gives_the_public_names():
    namespace = {}
    exec("from fanlab import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(fanlab.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError) as caught:
        fanlab.pipelin  # noqa: B018
    assert str(caught.value) == "module 'fanlab' has no attribute 'pipelin'"


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert fanlab.__version__ == version("fanlab")


@pytest.mark.parametrize("name", fanlab.__all__)
def test_every_public_name_has_a_docstring(name):
    assert inspect.getdoc(getattr(fanlab, name))


def members():
    for name in fanlab.__all__:
        found = getattr(fanlab, name)
        if inspect.isclass(found):
            for attribute, value in vars(found).items():
                if not attribute.startswith("_") and (callable(value) or isinstance(value, property)):
                    yield pytest.param(value, id=f"{name}.{attribute}")


@pytest.mark.parametrize("member", list(members()))
def test_every_public_method_and_property_has_a_docstring(member):
    assert inspect.getdoc(member)


def test_no_submodule_bears_a_public_name():
    import pkgutil

    assert not {module.name for module in pkgutil.iter_modules(fanlab.__path__)} & set(fanlab.__all__)


HEAVY = ("pandas", "numpy", "joblib", "IPython", "ipywidgets", "sqlite3", "graphviz", "cloudpickle")


def loaded(python, program):
    return python(f"import sys\n{program}\nprint([m for m in {HEAVY} if m in sys.modules])").strip()


def test_importing_fanlab_loads_nothing_heavy(python):
    assert loaded(python, "import fanlab") == "[]"


def test_marking_a_step_and_a_pipeline_loads_neither_pandas_nor_ipython(python):
    found = loaded(python, "from fanlab import step\n@step\ndef f(x): return x")
    assert not set(eval(found)) & {"pandas", "numpy", "IPython", "ipywidgets"}


def test_fanlab_in_a_process_says_nothing_on_its_streams(python):
    assert python("import fanlab; fanlab.step; fanlab.pipeline; fanlab.Client") == ""
