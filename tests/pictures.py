"""Takes the README's pictures of a page: ``python tests/pictures.py page.html`` (``make pictures``)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from page_browser import Opened
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"

WIDTH = 1280

#: What is left around it, in pixels.
MARGIN = 10


class Picture(NamedTuple):
    """Where it is taken, what is pressed there, and the elements that it begins and ends with."""

    link: str
    pressed: tuple[str, ...]
    first: str
    last: str


PICTURES = {
    "page-cross-correlation.png": Picture("#corr2d", ("Next", "Next"), ".explorer", ".frameworks"),
    "page-atlas.png": Picture("#atlas&entry=same-even-kernel", (), ".heads", "[data-entry='half-kernel-padding']"),
}


def take(page_file):
    """Open a page at each link, and keep what a wide screen shows of it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        screen = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light", locale="en-GB")
        opened = Opened(screen, Path(page_file).resolve().as_uri())
        for name, picture in PICTURES.items():
            opened.load(picture.link)
            for label in picture.pressed:
                opened.section.get_by_role("button", name=label, exact=True).click()
            screen.mouse.move(0, 0)
            screen.evaluate("document.activeElement.blur()")
            first, last = (opened.section.locator(one).first for one in (picture.first, picture.last))
            top = first.evaluate("(element) => element.getBoundingClientRect().top + scrollY") - MARGIN
            bottom = last.evaluate("(element) => element.getBoundingClientRect().bottom + scrollY") + MARGIN
            clip = {"x": 0, "y": top, "width": WIDTH, "height": bottom - top}
            screen.screenshot(path=IMAGES / name, full_page=True, clip=clip)
        browser.close()


if __name__ == "__main__":
    take(sys.argv[1])
