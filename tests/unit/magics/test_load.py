"""%load_ext and %unload_ext: complete, and repeatable."""

import pytest


def state(shell):
    """Everything of a shell that an extension could leave something in."""
    magics = shell.magics_manager.magics
    return {
        "cell magics": set(magics["cell"]),
        "line magics": set(magics["line"]),
        "classes of magics": set(shell.magics_manager.registry),
        "callbacks": {event: list(found) for event, found in shell.events.callbacks.items()},
        "attributes": set(vars(shell)),
        "names": set(shell.user_ns) - {"_exit_code"},
        "configurables": [type(found).__name__ for found in shell.configurables],
        "completers": len(shell.Completer.custom_matchers),
        "transformers": (list(shell.input_transformers_post), list(shell.ast_transformers)),
    }


@pytest.fixture
def fresh(bare):
    """A shell in a process in which fanlab has not been loaded yet."""
    bare.run_line_magic("unload_ext", "fanlab")  # with which IPython adds its own magics for extensions
    return bare


def test_load_adds_four_magics(fresh):
    before = state(fresh)
    fresh.run_line_magic("load_ext", "fanlab")
    after = state(fresh)
    assert after["cell magics"] - before["cell magics"] == {"pipeline", "step", "combine"}
    assert after["line magics"] - before["line magics"] == {"pipeline", "step", "combine", "fanlab"}


def test_load_adds_no_name_to_the_notebook(fresh):
    before = state(fresh)["names"]
    fresh.run_line_magic("load_ext", "fanlab")
    assert state(fresh)["names"] == before


def test_unload_leaves_nothing_behind(fresh):
    before = state(fresh)
    fresh.run_line_magic("load_ext", "fanlab")
    fresh.run_line_magic("unload_ext", "fanlab")
    assert state(fresh) == before


def test_load_after_unload_is_as_the_first_load(fresh):
    fresh.run_line_magic("load_ext", "fanlab")
    first = state(fresh)
    fresh.run_line_magic("unload_ext", "fanlab")
    fresh.run_line_magic("load_ext", "fanlab")
    second = state(fresh)
    assert {event: len(found) for event, found in second.pop("callbacks").items()} == {
        event: len(found) for event, found in first.pop("callbacks").items()
    }
    assert second == first


def test_a_second_load_changes_nothing(fresh):
    fresh.run_line_magic("load_ext", "fanlab")
    before = state(fresh)
    fresh.extension_manager.loaded.discard("fanlab")  # else IPython does not call fanlab again
    fresh.run_line_magic("load_ext", "fanlab")
    assert state(fresh) == before


def test_a_second_unload_changes_nothing(fresh):
    fresh.run_line_magic("load_ext", "fanlab")
    fresh.run_line_magic("unload_ext", "fanlab")
    before = state(fresh)
    fresh.extension_manager.loaded.add("fanlab")
    fresh.run_line_magic("unload_ext", "fanlab")
    assert state(fresh) == before


def test_reload_ext_works(run):
    run("%reload_ext fanlab")
    assert run("%%pipeline p\nx = inv(4)\nx") == 0.25


def test_magics_are_not_found_after_unload(shell, told):
    shell.run_line_magic("unload_ext", "fanlab")
    assert told("%%pipeline p\nx = inv(4)") == "UsageError: Cell magic `%%pipeline` not found."
