"""What a browser makes of a page: as far as tests ask for it, and a real one where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--dump-dom",
)  # fmt: skip

BROWSER_MARKS = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

_EMPTY = {"meta", "img", "br", "link", "input", "hr", "base", "source", "embed"}


@dataclass
class Element:
    """One of a page, with all text below it."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, tag: str, css: str = "") -> list[Element]:
        """Those of a tag below it, in their order; css: of that class."""
        found = []
        for child in self.children:
            if (not tag or child.tag == tag) and (
                not css or css in (child.attributes.get("class") or "").split()
            ):
                found.append(child)
            found += child.all(tag, css)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in _EMPTY:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read(page: str) -> Element:
    """The page's elements; every element that is opened has to be closed."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is not closed"
    return reader.open[0]


def ask_browser(page: str, body: str, folder: Path, *, width: int = 1280) -> Any:
    """Does something on a page, as a script's body, in a window of that width; gives what it returns."""
    file = folder / "page.html"
    script = (
        f"<script>addEventListener('load', () => {{ const found = (() => {{ {body} }})();"
        "document.body.innerHTML = ''; document.body.id = 'found';"
        "document.body.textContent = JSON.stringify(found); });</script></body>"
    )
    file.write_text(page.replace("</body>", script), encoding="utf-8")
    command = [str(CHROMIUM), *_FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900"]
    done = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    text = done.stdout.partition('id="found">')[2].partition("</body>")[0]
    return json.loads(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
