"""The view for everybody: themes, a screen reader, little motion, large text, and text that means harm."""

import pytest

pytestmark = pytest.mark.browser


def look_closely(notebook):
    """Open a fan-out and choose a branch of it, so that every part of the view is there."""
    notebook.begin()
    notebook.wait_done(1, 8)
    notebook.page.click(".fl-node[data-node='1']")
    notebook.page.click(".fl-cell[data-branch='7']")
    notebook.page.wait_for_selector(".fl-panel .fl-error")


def stop(notebook):
    notebook.command("notebook:interrupt-kernel")
    notebook.wait_idle()


def violations(page):
    """What axe-core finds in the view, in short."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=".fanlab").response["violations"]
    return [(rule["id"], node["html"][:160], node["failureSummary"][:300]) for rule in found for node in rule["nodes"]]


INLINED = """
from fanlab import pipeline

@pipeline
def check():
    return report([load("a"), load("b")])
"""


@pytest.mark.parametrize("theme", ["Light", "Dark", "Dark High Contrast"])
def test_axe_finds_no_violation_in_any_theme(open_notebook, sweep, theme):
    defined, called = sweep(400, 0.25 + len(theme) / 1000, ", bad=7")  # nothing is in the store from another theme
    notebook = open_notebook([defined + INLINED, called + "\ncheck()"])
    notebook.command("apputils:change-theme", {"theme": f"JupyterLab {theme}"})
    notebook.page.wait_for_selector(f"body[data-jp-theme-name='JupyterLab {theme}']", state="attached")
    look_closely(notebook)
    assert notebook.page.inner_text(".fl-frame") == "check"
    notebook.shoot(f"theme-{theme.lower().replace(' ', '-')}")
    assert violations(notebook.page) == []
    for tab in ("steps", "timeline"):
        notebook.page.click(f".fl-tab[data-tab='{tab}']")
        notebook.page.wait_for_selector(".fl-table:visible, .fl-lanes:visible")
        assert violations(notebook.page) == []
        notebook.shoot(f"theme-{theme.lower().replace(' ', '-')}-{tab}")
    stop(notebook)


def test_nothing_moves_for_who_asked_for_it(open_notebook, sweep):
    notebook = open_notebook(sweep(400, 0.2))
    notebook.begin()
    notebook.wait_done(1, 2)
    moving = (
        "[...document.querySelectorAll('.fanlab *')].filter(e => getComputedStyle(e).animationName !== 'none').length"
    )
    notebook.page.emulate_media(reduced_motion="no-preference")
    assert notebook.page.evaluate(moving) > 0
    notebook.page.emulate_media(reduced_motion="reduce")
    assert notebook.page.evaluate(moving) == 0
    stop(notebook)


def test_at_200_percent_nothing_is_cut_off(open_notebook, sweep):
    notebook = open_notebook(sweep(400, 0.25, ", bad=7"))
    notebook.page.set_viewport_size({"width": 590, "height": 620})  # what is left of 1180 x 1240 at 200 %
    look_closely(notebook)
    notebook.shoot("zoomed")
    outside = """() => { const edge = document.querySelector(".fanlab").getBoundingClientRect().right + 1;
        return [...document.querySelectorAll(".fl-head *, .fl-strip *, .fl-panel > *, .fl-failures *, .fl-drawer-head *")]
            .filter(e => e.getBoundingClientRect().right > edge && !e.closest(".fl-hidden")).map(e => e.className); }"""
    assert notebook.page.evaluate(outside) == []
    stop(notebook)


def test_the_live_region_speaks_seldom(open_notebook, sweep):
    notebook = open_notebook(sweep(400, 0.2))
    notebook.begin()
    page = notebook.page
    page.evaluate("""() => { window.said = []; window.begun = performance.now(); const region = document.querySelector(".fanlab [role=status]");
        new MutationObserver(() => window.said.push(region.textContent)).observe(region, {childList: true, characterData: true, subtree: true}); }""")
    page.wait_for_function("+document.querySelector('.fanlab').dataset.updates >= 30")  # ten times a second, if it can
    said, seconds = page.evaluate("[window.said, (performance.now() - window.begun) / 1000]")
    assert len(said) <= 1 + seconds / 10
    stop(notebook)


HOSTILE = r"""
import time
from fanlab import step
SCRIPT = "<script>window.harmed = 1</script>"
IMAGE = "\"><img src=x onerror='window.harmed = 2'>"

@step(name=SCRIPT)
def first(text):
    print(SCRIPT); print(IMAGE); print("\x1b[31mred\x1b[0m and \x1b]0;title\x07bare")
    print("abc\u202efed \u05e9\u05dc\u05d5\u05dd\x00"); print("L" * 10_000_000, flush=True)
    time.sleep(1)
    raise ValueError(IMAGE + SCRIPT + "\x1b[1mbold\x1b[0m")

@step
def slow(n):
    time.sleep(300)
"""


def test_text_that_means_harm_is_shown_as_text(open_notebook):
    cells = [HOSTILE, "%%pipeline sweep -j 2\nfirst.map({IMAGE: IMAGE, 'two': SCRIPT})\nslow(1)"]
    notebook = open_notebook(cells)
    notebook.begin()
    page = notebook.page
    page.wait_for_function("document.querySelectorAll('.fl-failure').length === 2")
    page.click(".fl-failure >> nth=0")
    page.wait_for_selector(".fl-panel .fl-error")
    page.wait_for_function("document.querySelector('.fl-cell').title.includes('onerror')")
    assert page.inner_text(".fl-node-name >> nth=0") == "<script>window.harmed = 1</script>"
    lines = page.locator(".fl-log .fl-line").all_inner_texts()
    assert lines[:4] == [
        "<script>window.harmed = 1</script>",
        "\"><img src=x onerror='window.harmed = 2'>",
        "red and bare",
        "abc\\u202efed שלום\\x00",
    ]
    assert lines[4].startswith("LLL")
    assert lines[4].endswith("… (10,000,000 characters)")
    assert "<img src=x onerror=" in page.inner_text(".fl-error-line")
    assert "bold" in page.inner_text(".fl-error-line")
    assert "\x1b" not in page.inner_text(".fanlab")
    notebook.shoot("hostile")
    page.click(".fl-tab[data-tab='timeline']")
    page.wait_for_selector(".fl-legend li")
    assert page.evaluate("[window.harmed, document.querySelectorAll('.fanlab script, .fanlab img').length]") == [
        None,
        0,
    ]
    stop(notebook)
    assert page.evaluate("window.harmed") is None
