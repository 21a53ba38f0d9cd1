"""The atlas as one HTML page, from a run and nothing else.

The page is generated: its numbers, errors and sources are those of the run
that it is given, and a framework that was not there is shown as missing. What
may live here: turning a run into HTML. Its look is in ``assets``, on top of
what all pages share (:mod:`convbridge.web`).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from convbridge.teaching.atlas_results import (
    LOUD,
    NONE,
    OK,
    SILENT,
    Answer,
    Atlas,
    Finding,
    Outcome,
    Participant,
    as_text,
)
from convbridge.teaching.divergences import GROUPS
from convbridge.teaching.page.code import highlight
from convbridge.web import document

__all__ = ["page"]

#: Kind of a verdict to the class of its badge.
_BADGES = {OK: "ok", LOUD: "rounding", SILENT: "bad", NONE: "missing"}

_LEGEND = (
    (OK, "same, refuses", "what convbridge promises: the same numbers, or an error where it raises one too"),
    (LOUD, "raises", "an error where convbridge computes"),
    (SILENT, "differs, shape, None", "another answer, without a word"),
    (SILENT, "accepts", "an answer where convbridge refuses, because there is no right one"),
    (SILENT, "dies", "the process ends; Python cannot catch it"),
)


def page(atlas: Atlas) -> str:
    """Return the page of a run.

    Parameters
    ----------
    atlas : Atlas

    Returns
    -------
    str
        A self-contained HTML5 document.

    Examples
    --------
    >>> from convbridge.teaching.atlas import run
    >>> from convbridge.teaching.divergences import find
    >>> html = page(run(find(["fractional-stride"]), ["numpy"]))
    >>> html.startswith("<!doctype html>"), 'id="fractional-stride"' in html
    (True, True)
    """
    assets = files("convbridge.teaching") / "assets"
    style, script = (assets.joinpath(name).read_text(encoding="utf-8") for name in ("atlas.css", "atlas.js"))
    body = [_header(atlas), '<main id="main" class="page">', _tools(), _overview(atlas)]
    for group, findings in _grouped(atlas):
        body.append(f'<section data-group aria-labelledby="{_id(group)}">')
        body.append(f'<h2 id="{_id(group)}">{escape(group.capitalize())}</h2>')
        body += [_entry(finding, atlas.participants) for finding in findings]
        body.append("</section>")
    body += ["</main>", _footer(atlas)]
    return document("Where the frameworks disagree: convbridge atlas", "\n".join(body), style=style, script=script)


def _id(group: str) -> str:
    return "group-" + "-".join(word.strip(",") for word in group.split())


def _grouped(atlas: Atlas) -> list[tuple[str, list[Finding]]]:
    found = {finding.entry.name: finding for finding in atlas.findings}
    groups = (
        (group, [found[entry.name] for entry in entries if entry.name in found]) for group, entries in GROUPS.items()
    )
    return [(group, findings) for group, findings in groups if findings]


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nobody"


# --------------------------------------------------------------------------- the whole


def _header(atlas: Atlas) -> str:
    asked = [f"{who.backend} {who.version}" for who in atlas.participants if not who.problem]
    unpromised = sum(not finding.entry.promised for finding in atlas.findings)
    broken = [finding.entry.name for finding in atlas.findings if not finding.kept]
    if broken:
        kept = f"convbridge did not keep its own promise in {_joined(broken)}."
    else:
        kept = f"convbridge gave one answer on all of them in {len(atlas.findings) - unpromised} entries"
        kept += f" and promises nothing in {unpromised}." if unpromised else "."
    return f"""<header class="page">
<h1>Where the frameworks disagree</h1>
<p class="lede">{len(atlas.findings)} questions about convolution and pooling, put to {escape(_joined(asked))}, each in
its own words. Every number, every error and every source on this page comes from one run.
{escape(kept)}</p>
</header>"""


def _tools() -> str:
    return """<div id="tools" class="toolbar" role="search" hidden>
<label class="filter"><span>Filter</span>
<input id="filter" type="search" placeholder="stride, NaN, mxnet, raises" autocomplete="off" spellcheck="false"></label>
<label class="check"><input id="silent" type="checkbox"> Only silent differences</label>
<output id="count" class="muted" for="filter silent"></output>
</div>"""


def _overview(atlas: Atlas) -> str:
    rows = []
    columns = len(atlas.participants) + 1
    for group, findings in _grouped(atlas):
        rows.append(f'<tbody data-group><tr class="group"><th colspan="{columns}" scope="rowgroup">')
        rows.append(f"{escape(group.capitalize())}</th></tr>")
        for finding in findings:
            name, title = finding.entry.name, escape(finding.entry.title)
            rows.append(f'<tr {_marks(finding)}><th scope="row"><a href="#{name}">{title}</a></th>')
            for backend, answers in finding.by_backend().items():
                alike = len({answer.word for answer in answers}) == 1
                shown = [answers[0]._replace(variant="")] if alike else answers
                cells = "".join(_says(answer.word, answer, quiet=answer.kind == OK) for answer in shown)
                rows.append(f'<td data-framework="{escape(backend)}">{cells}</td>')
            rows.append("</tr>")
        rows.append("</tbody>")
    heads = "".join(f'<th scope="col">{escape(who.backend)}</th>' for who in atlas.participants)
    legend = "".join(
        f'<dt><span class="{"quiet" if kind == OK else f"badge {_BADGES[kind]}"}">{escape(words)}</span></dt>'
        f"<dd>{escape(text)}</dd>"
        for kind, words, text in _LEGEND
    )
    return f"""<section aria-labelledby="overview">
<h2 id="overview">Overview</h2>
<dl class="legend small">{legend}</dl>
<table class="overview">
<thead><tr><th scope="col">Question</th>{heads}</tr></thead>
{"".join(rows)}
</table>
</section>"""


def _marks(finding: Finding) -> str:
    return f'data-entry="{finding.entry.name}"' + (" data-silent" if finding.who(SILENT) else "")


def _says(words: str, answer: Answer, *, quiet: bool = False) -> str:
    """Show a verdict; quietly where only the others are to stand out."""
    variant = f"<small>{escape(answer.variant)}</small>" if answer.variant else ""
    kind = "quiet" if quiet else f"badge {_BADGES[answer.kind]}"
    return f'<div class="says">{variant}<span class="{kind}">{escape(words)}</span></div>'


def _footer(atlas: Atlas) -> str:
    asked = {}
    for who in atlas.participants:
        variants = f", asked with {_joined(who.variants)}" if who.variants else ""
        asked[who.backend] = who.version + variants if who.version else "missing"
    facts = {name: value for name, value in atlas.circumstances.items() if name.lower() not in asked} | asked
    terms = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())
    missing = "".join(
        f'<p><span class="badge missing">missing</span> {escape(who.backend)}: {escape(who.problem)}</p>'
        for who in atlas.participants
        if who.problem
    )
    return f"""<footer class="page circumstances small">
<h2>How these answers came about</h2>
<p>Each framework ran in processes of its own, and after a death in a new one. oneDNN is a library of kernels that
TensorFlow and MXNet can be told to use or not; where the answer depends on it, both are shown. Left alone, TensorFlow
for Linux uses it on processors with one of the flags avx512_vnni, avx512_bf16, avx_vnni or amx. Numbers in memory that
nobody wrote to change from run to run.</p>
{missing}
<dl>{terms}</dl>
<p>Made by <code>convbridge atlas --html</code>.</p>
</footer>"""


# --------------------------------------------------------------------------- one entry


def _entry(finding: Finding, participants: Sequence[Participant]) -> str:
    entry = finding.entry
    inputs = "".join(f"<pre>{escape(as_text(name, array))}</pre>" for name, array in entry.inputs.items())
    versions = {who.backend: who.version for who in participants}
    frameworks = "".join(
        _framework(finding, backend, versions[backend], answers) for backend, answers in finding.by_backend().items()
    )
    promises = "".join(
        f'<div class="answer"><p>{_promise_badge(finding)} on {escape(_joined(names))}</p>{_outcome(outcome)}</div>'
        for names, outcome in finding.promises
    )
    threads = (
        f'<p class="threads muted small">Reported in {escape(", ".join(entry.threads))}.</p>' if entry.threads else ""
    )
    return f"""<article class="entry card" id="{entry.name}" {_marks(finding)} aria-labelledby="{entry.name}-title">
<h3 id="{entry.name}-title"><a href="#{entry.name}">{escape(entry.title)}</a></h3>
<p>{escape(entry.question)}</p>
<div class="inputs">{inputs}</div>
<div class="frameworks">{frameworks}</div>
<section class="part promise"><header><h4>convbridge</h4></header>{_code(entry.call)}
<div>{promises}</div></section>
<div class="because"><div><h4>Why they differ</h4><p>{escape(entry.why)}</p></div>
<div><h4>What convbridge does</h4><p>{escape(entry.promise)}</p></div></div>
{threads}</article>"""


def _promise_badge(finding: Finding) -> str:
    if not finding.entry.promised:
        return '<span class="badge missing">not promised</span>'
    return '<span class="badge ok">promised</span>' if finding.kept else '<span class="badge bad">broken promise</span>'


def _framework(finding: Finding, backend: str, version: str, answers: Sequence[Answer]) -> str:
    source = _code(finding.sources[backend]) if finding.sources[backend] else ""
    shown = "".join(
        f'<div class="answer">{_says(finding.says(answer), answer)}{_outcome(answer.native)}</div>'
        for answer in answers
    )
    title = f'{escape(backend)} <span class="muted">{escape(version)}</span>'
    return f'<section class="part"><header><h4>{title}</h4></header>{source}<div>{shown}</div></section>'


def _outcome(outcome: Outcome) -> str:
    text = escape(outcome.text)
    return f"<pre>{text}</pre>" if outcome.kind == "numbers" else f'<p class="error">{text}</p>'


# --------------------------------------------------------------------------- code


def _code(source: str) -> str:
    """Return Python with its keywords, strings, numbers and comments marked."""
    (marked,) = highlight({"": source}).values()
    return f'<div class="code"><pre><code>{marked}</code></pre></div>'
