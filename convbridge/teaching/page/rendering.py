"""The page put together: sections, sentences, the run as data, scripts and styles, in one document.

What may live here: turning a run into HTML. Sentences are in ``texts``, what
happens in the browser in ``assets``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from convbridge.teaching.page.code import highlight
from convbridge.teaching.page.components import COMPONENTS
from convbridge.teaching.page.markup import text
from convbridge.teaching.page.running import Run, example_data
from convbridge.teaching.page.sections import SECTIONS, Section
from convbridge.teaching.page.texts import LANGUAGES, TEXTS
from convbridge.web import document

__all__ = ["render", "scripts", "styles"]

#: In the order in which they stand in the page, each using those before it; the components' come in the middle.
_BEFORE = (
    *("engine.js", "words.js", "state.js", "grids.js", "stepper.js"),
    *("model.js", "controls.js", "explorer.js", "frameworks.js"),
)
_AFTER = ("page.js",)


def scripts() -> tuple[str, ...]:
    """Name the page's scripts, in the order in which they stand in it."""
    own = dict.fromkeys(name for component in COMPONENTS.values() for name in component.scripts)
    return (*_BEFORE, "components.js", "examples.js", *own, *_AFTER)


def styles() -> tuple[str, ...]:
    """Name the page's style sheets."""
    return ("page.css", *dict.fromkeys(name for component in COMPONENTS.values() for name in component.styles))


def render(run: Run) -> str:
    """Write the page of a run.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
        A self-contained HTML5 document; write it as UTF-8.

    Examples
    --------
    >>> from convbridge.teaching.page.running import run
    >>> page = render(run(["numpy"], components={}))
    >>> page.startswith("<!doctype html>"), 'id="section-pooling"' in page
    (True, True)
    """
    assets = files("convbridge.teaching.page") / "assets"

    def read(names: tuple[str, ...]) -> str:
        return "\n".join(assets.joinpath(name).read_text(encoding="utf-8") for name in names)

    sections = _shown(run)
    body = "\n".join(
        [
            _header(sections),
            '<main id="main" class="page">',
            f'<noscript><p class="card">{TEXTS["noscript"][0]}</p></noscript>',
            *(_section(number, section, run) for number, section in enumerate(sections, 1)),
            "</main>",
            _footer(run),
            f'<script type="application/json" id="page-data">{_json(_data(run))}</script>',
        ]
    )
    return document(
        "convbridge: convolution, step by step, in four frameworks",
        body,
        style=read(styles()),
        script=read(scripts()),
    )


def _json(value: Any) -> str:
    """Write JSON that cannot end the element it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c")


def _data(run: Run) -> dict[str, Any]:
    present = [one.name for one in run.participants if not one.problem]
    functions = dict.fromkeys(name for sources in run.sources.values() for name in sources)
    marked = {name: highlight({who: run.sources[who][name] for who in present}) for name in functions}
    return {
        "texts": {language: {key: TEXTS[key][i] for key in TEXTS} for i, language in enumerate(LANGUAGES)},
        "participants": [one._asdict() for one in run.participants],
        "sections": {
            section.name: {"component": section.component or "examples", "links": list(section.links)}
            for section in _shown(run)
        },
        "examples": {comparison.example.name: example_data(comparison) for comparison in run.comparisons},
        "code": marked,
        "components": run.gathered,
    }


def _shown(run: Run) -> list[Section]:
    """Return the sections of which there is something to show."""
    return [section for section in SECTIONS if not section.component or section.component in run.gathered]


def _header(sections: Sequence[Section]) -> str:
    titles = [text("a", f"section.{section.name}.title", f'href="#section-{section.name}"') for section in sections]
    links = "".join(f"<li>{title}</li>" for title in titles)
    buttons = "".join(
        f'<button type="button" data-language="{language}" lang="{language}" translate="no" '
        f'aria-pressed="{"true" if i == 0 else "false"}">{name}</button>'
        for i, (language, name) in enumerate(LANGUAGES.items())
    )
    return f"""<header class="page top">
<div class="languages" role="group" data-text-label="language" aria-label="{escape(TEXTS["language"][0])}">
{buttons}</div>
{text("h1", "title")}
{text("p", "lede", 'class="lede"')}
<nav data-text-label="contents" aria-label="{escape(TEXTS["contents"][0])}"><ol class="contents">{links}</ol></nav>
</header>"""


#: What the script of the examples fills: links to them, the grids, the comparison of the frameworks.
_EXAMPLES = """<div class="choice"></div>
<div class="explorer card"></div>
<div class="frameworks"></div>"""


def _section(number: int, section: Section, run: Run) -> str:
    title = f"section.{section.name}.title"
    paragraphs = "".join(text("p", f"section.{section.name}.{i}") for i in range(1, section.paragraphs + 1))
    name = section.component
    body = COMPONENTS[name].body(run.gathered[name]) if name else _EXAMPLES
    return f"""<section class="chapter" id="section-{section.name}" data-section="{section.name}" \
aria-labelledby="title-{section.name}">
<h2 id="title-{section.name}"><span class="number" aria-hidden="true">{number}</span> {text("span", title)}</h2>
<div class="prose">{paragraphs}</div>
{body}
</section>"""


def _footer(run: Run) -> str:
    present = [f"{one.name} {one.version}" for one in run.participants if not one.problem]
    missing = "".join(
        f'<p><span class="badge missing" data-text="missing">{TEXTS["missing"][0]}</span> '
        f'<span translate="no">{escape(one.name)}: {escape(one.problem)}</span></p>'
        for one in run.participants
        if one.problem
    )
    facts = {**run.facts, "backends": ", ".join(present)}
    terms = "".join(
        f'<dt data-text="fact.{name}">{TEXTS[f"fact.{name}"][0]}</dt><dd translate="no">{escape(value)}</dd>'
        for name, value in facts.items()
    )
    return f"""<footer class="page small">
{text("h2", "footer.title")}
{text("p", "footer.text")}
{missing}
<dl class="facts">{terms}</dl>
</footer>"""
