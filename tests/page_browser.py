"""A page in a browser as the tests of its sections see it: opened by a link, watched, and asked what it shows."""

from __future__ import annotations

import re

import numpy as np

from convbridge.teaching.page.sections import SECTIONS

#: Link to section.
SECTION = {link: section.name for section in SECTIONS for link in section.links}


class Opened:
    """The page, one of its sections, and everything that it complains of or asks for."""

    def __init__(self, page, address):
        self.page, self.address, self.complaints, self.requests = page, address, [], []
        self.section = None
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def load(self, link):
        """Open a link as if it came by mail."""
        self.page.goto("about:blank")  # or only the part behind the # would be followed
        self.page.goto(self.address + link)
        self.at(link)

    def go(self, link):
        """Follow a link inside of the page."""
        self.page.evaluate(
            """(link) => new Promise((done) => {
                if (location.hash === link) return done();
                addEventListener("hashchange", () => setTimeout(done), { once: true });
                location.hash = link;
            })""",
            link,
        )
        self.at(link)

    def follow(self, name):
        """Click on a link of the section, by its whole text, and wait until it is the current one."""
        self.section.get_by_role("link", name=name, exact=True).click()
        self.current(name)

    def current(self, name):
        """Wait until a link is the current one: the page follows an event."""
        self.section.locator("a[aria-current=true]", has_text=re.compile(f"^{re.escape(name)}$")).wait_for()

    def at(self, link):
        name = re.match(r"#([\w-]*)", link)[1]
        self.section = self.page.locator(f"#section-{SECTION.get(name, 'cross-correlation')}")

    def grids(self, name):
        """The numbers of the grids whose name begins with a word."""
        tables = self.section.locator(f".grids table[aria-label^='{name}']")
        return tables.evaluate_all(
            """(tables) => tables.map((table) => [...table.rows].map((row) =>
                [...row.cells].map((cell) => cell.querySelector("input")?.value ?? cell.textContent)))"""
        )

    def outputs(self):
        return np.array(self.grids("Output"), dtype=object)

    def lit(self):
        return self.section.locator(".grids table[aria-label^='Input'] td.lit").evaluate_all(
            "(cells) => cells.map((cell) => cell.dataset.at)"
        )

    def sentence(self):
        return self.section.locator(".sum").inner_text()

    def value(self):
        return self.section.locator(".outputs td.lit").inner_text()

    def problem(self):
        box = self.section.locator(".problem")
        return box.inner_text() if box.is_visible() else ""

    def press(self, name):
        self.section.get_by_role("button", name=name, exact=True).click()

    def hash(self):
        """The address bar's part behind the page, once the page has written it: its clock is the one that counts."""
        return self.page.evaluate("new Promise((done) => setTimeout(() => done(location.hash), 350))")

    def open_all(self, within="body"):
        """Open every box and wait until the page has filled it."""
        self.page.locator(f"{within} details:not([open])").evaluate_all(
            """(boxes) => Promise.all(boxes.map((box) => new Promise((done) => {
                box.addEventListener("toggle", () => setTimeout(done), { once: true });
                box.open = true;
            })))"""
        )

    def controls(self):
        details = self.section.locator("details.controls")
        if not details.evaluate("(details) => details.open"):
            details.locator("summary").click()
        return details

    def too_wide(self):
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
