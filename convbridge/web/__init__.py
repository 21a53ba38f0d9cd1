"""The shell of every page that convbridge writes: one HTML5 document, one look.

A page is a single file that loads nothing: its styles and its script stand in
it, and its content security policy forbids the rest, so that it can be kept,
mailed and opened from a disk. What all pages look like is in ``style.css``
beside this file: colours as custom properties, light and dark, print, the
basic elements. A page brings its body, and its own styles and script.
"""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files

__all__ = ["document"]

#: Nothing but what the file holds: no request leaves the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def document(title: str, body: str, *, style: str = "", script: str = "", language: str = "en") -> str:
    """Return a self-contained HTML5 document with the look of convbridge's pages.

    Parameters
    ----------
    title : str
        Plain text; it is escaped.
    body : str
        HTML, everything between the tags of ``<body>``; it is not escaped. An
        element with the id ``main`` is what the link "Skip to the content" leads to.
    style, script : str, optional
        CSS after the shared styles, JavaScript at the end of the body.
    language : str, optional
        Of the text, as in ``<html lang="...">``.

    Returns
    -------
    str
        It ends with a newline; write it as UTF-8.

    Examples
    --------
    >>> page = document("Numbers & more", '<main id="main"><h1>Numbers</h1></main>')
    >>> page.splitlines()[0]
    '<!doctype html>'
    >>> "<title>Numbers &amp; more</title>" in page
    True
    """
    shared = files(__name__).joinpath("style.css").read_text(encoding="utf-8")
    # The end tag inside a string would end the script; JavaScript reads "<\/" as "</".
    script = re.sub(r"</(?=script)", r"<\\/", script, flags=re.IGNORECASE)
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="{escape(language)}">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)}</title>",
            '<link rel="icon" href="data:,">',  # or a browser asks the server for one
            f"<style>\n{shared.strip()}\n{style.strip()}\n</style>",
            "</head>",
            "<body>",
            '<a class="skip-link" href="#main">Skip to the content</a>',
            body.strip(),
            *([f"<script>\n{script.strip()}\n</script>"] if script else []),
            "</body>",
            "</html>",
            "",
        ]
    )
