"""The shell of every page: one document that loads nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

from convbridge.web import document


class Page(HTMLParser):
    """What a document consists of."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_document_is_whole():
    text = document(
        "A & <b>", '<main id="main">Hello</main>', style=".x { color: red; }", script="go();", language="de"
    )
    page = Page(text)
    assert text.startswith("<!doctype html>\n")
    assert text.endswith("</html>\n")
    assert "<title>A &amp; &lt;b&gt;</title>" in text
    assert page.all("html") == [{"lang": "de"}]
    assert {"charset": "utf-8"} in page.all("meta")
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    assert ".x { color: red; }" in text
    assert text.index("Hello") < text.index("go();")
    assert "<script" not in document("A", "")


def test_a_document_may_load_nothing():
    (policy,) = [
        meta["content"]
        for meta in Page(document("A", "")).all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    text = document("A", "")
    assert not re.search(r"url\(|@import|https?:|//\w", text)


def test_a_script_cannot_end_itself():
    text = document("A", "", script='show("</script><b>", "</SCRIPT>");')
    assert text.lower().count("</script>") == 1
    assert r'show("<\/script><b>", "<\/SCRIPT>");' in text


def test_the_colours_exist_in_light_and_dark():
    css = document("A", "")
    light, _, dark = css.partition("@media (prefers-color-scheme: dark)")
    dark = dark[: dark.index("\n}\n")]
    names = set(re.findall(r"(--[\w-]+): #", light))
    assert {"--ok", "--rounding", "--bad", "--muted", "--surface", "--text", "--accent"} <= names
    assert set(re.findall(r"(--[\w-]+): #", dark)) == names


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    darker, lighter = sorted((luminance(a), luminance(b)))
    return (lighter + 0.05) / (darker + 0.05)


def test_text_can_be_read_on_its_surface():
    """Text on what it stands on: the ratio of 4.5 that accessibility guidelines ask for."""
    light, _, rest = document("A", "").partition("@media (prefers-color-scheme: dark)")
    for css in (light, rest[: rest.index("\n}\n")]):
        colour = dict(re.findall(r"(--[\w-]+): (#\w{6});", css))
        pairs = [
            (text, on) for text in ("--text", "--muted", "--accent") for on in ("--surface", "--raised", "--sunken")
        ]
        for verdict in ("ok", "rounding", "bad", "missing"):
            pairs += [
                (f"--{verdict}", "--surface"),
                (f"--{verdict}", "--raised"),
                (f"--{verdict}", f"--{verdict}-surface"),
                (f"--on-{verdict}-fill", f"--{verdict}-fill"),
            ]
        for text, on in pairs:
            assert contrast(colour[text], colour[on]) >= 4.5, (text, on, contrast(colour[text], colour[on]))
        # cells that are told apart by their lightness alone
        fills = [luminance(colour[f"--{verdict}-fill"]) for verdict in ("ok", "rounding", "bad")]
        for first, second in pairwise(fills):
            assert (max(first, second) + 0.05) / (min(first, second) + 0.05) >= 1.3
