"""The documentation site builds without a warning, and its pages load nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADING = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src", "video": "src"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Built as `make docs` does, with a proxy that nobody answers at, so that nothing can come from the network."""
    folder = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, **nowhere, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


class Links(HTMLParser):
    """What a page loads, and where its links go."""

    def __init__(self, path):
        super().__init__()
        self.loaded, self.linked = [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag in LOADING and attributes.get(LOADING[tag]):
            self.loaded.append(attributes[LOADING[tag]])
        if tag == "a" and attributes.get("href"):
            self.linked.append(attributes["href"])


def pages(site):
    found = [path for path in site.rglob("*.html") if path.name != "404.html"]
    assert len(found) > 30
    return found


def test_pages_load_nothing_from_the_network(site):
    for path in pages(site):
        assert not [where for where in Links(path).loaded if urlsplit(where).netloc or where.startswith("//")]
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", path.read_text(encoding="utf-8"))


def test_what_pages_load_and_link_is_there(site):
    for path in pages(site):
        found = Links(path)
        for where in found.loaded + found.linked:
            parts = urlsplit(where)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            assert (path.parent / parts.path).exists(), f"{path.name} names {where}"


def test_every_notebook_is_a_page(site):
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        assert (site / "notebooks" / f"{notebook.stem}.html").exists()
