"""A real browser for the tests of the page, and a page that is watched.

``CONVBRIDGE_TEST_BROWSER=chromium`` names the browser that MUST be there, as a
command or a path. Without the variable Debian's Chromium or whatever is found
in its place is used, and nothing is tested where there is none.
"""

from __future__ import annotations

import os
import shutil

import pytest

VARIABLE = "CONVBRIDGE_TEST_BROWSER"


def missing(reason):
    if os.environ.get(VARIABLE):
        pytest.fail(f"{VARIABLE} is set: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    named = os.environ.get(VARIABLE)
    found = [shutil.which(name) for name in ([named] if named else ["chromium", "chromium-browser", "google-chrome"])]
    path = next(filter(None, found), None)
    if path is None:
        missing(f"no browser is found ({named or 'chromium'}): apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()
