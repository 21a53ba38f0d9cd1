"""The judgements of a test run as one page: each test, what it compared, the verdict and why.

What ``--convbridge-report`` writes. A matrix has a page of its own
(:mod:`convbridge.parity.reports.html`); here a row of it is one line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from convbridge.parity.journal import Entry
from convbridge.parity.reports.words import against, number, share
from convbridge.parity.results import CRASHED, EQUAL, FAILURES, REAL_DIFFERENCE, ROUNDING, VERDICTS
from convbridge.web import document

__all__ = ["render"]

#: The classes of convbridge/web/style.css.
_BADGES = {EQUAL: "ok", ROUNDING: "rounding", REAL_DIFFERENCE: "bad", CRASHED: "bad"}

_STYLE = """
.judgements { width: 100%; }
.judgements thead th { position: sticky; top: 0; background: var(--surface); }
.judgements td { min-width: 6rem; overflow-wrap: anywhere; }
.judgements td.why { min-width: 16rem; }
.judgements td.number { text-align: end; white-space: nowrap; }
.judgements tr.bad { background: var(--bad-surface); }
.judgements .test { font-family: var(--mono); font-size: 0.8125rem; min-width: 12rem; }
.toolbar label { display: inline-flex; align-items: center; gap: 0.4rem; min-height: 2.5rem; }
.toolbar [type="checkbox"] { width: 1.2rem; height: 1.2rem; }
"""

_SCRIPT = """
const rows = [...document.querySelectorAll("tbody tr")];
const words = document.getElementById("words"), failed = document.getElementById("failed");
const shown = document.getElementById("shown");
const filter = () => {
  const wanted = words.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = (failed.checked && !row.classList.contains("bad")) || !wanted.every((word) => text.includes(word));
    count += !row.hidden;
  }
  shown.textContent = `${count} of ${rows.length} lines`;
};
words.addEventListener("input", filter);
failed.addEventListener("change", filter);
"""


def render(entries: Sequence[Entry], facts: Sequence[str] = ()) -> str:
    """Write judgements as a page.

    Parameters
    ----------
    entries : sequence of Entry
        In the order in which they were made.
    facts : sequence of str, optional
        About the run: versions, backends.

    Returns
    -------
    str
        A whole HTML document; write it as UTF-8.

    Examples
    --------
    >>> page = render([Entry("output", "torch", "numpy", "REAL DIFFERENCE", 321.0, cause="SAME_LOWER padding")])
    >>> "1 of 1 judgement is bad" in page, "SAME_LOWER padding" in page
    (True, True)
    """
    bad = sum(entry.verdict in FAILURES for entry in entries)
    total = f"{number(len(entries))} judgement{'s' * (len(entries) != 1)}"
    if not entries:
        title = "Nothing was judged"
    elif bad:
        title = f"{number(bad)} of {total} {'is' if bad == 1 else 'are'} bad"
    else:
        title = f"All of {total} agree" if len(entries) > 1 else "The one judgement agrees"
    body = [
        f'<main id="main" class="page"><h1>{escape(title)}</h1>',
        f"<p>{escape(_counts(entries))}</p>" if entries else "<p>No test compared anything by convbridge.</p>",
        f'<ul class="muted small">{"".join(f"<li>{escape(fact)}</li>" for fact in facts)}</ul>' if facts else "",
        *(_table(entries) if entries else ()),
        "</main>",
    ]
    return document(f"{title}: convbridge", "\n".join(body), style=_STYLE, script=_SCRIPT if entries else "")


def _counts(entries: Sequence[Entry]) -> str:
    counts = Counter(entry.verdict for entry in entries)
    tests = len({entry.test for entry in entries if entry.test})
    found = ", ".join(f"{number(counts[verdict])} {verdict}" for verdict in VERDICTS if counts[verdict])
    return f"{found}, from {number(tests)} test{'s' * (tests != 1)}." if tests else f"{found}."


def _table(entries: Sequence[Entry]) -> list[str]:
    heads = ("test", "what was compared", "of whom", "verdict", "of the bound", "largest difference", "why")
    return [
        '<div class="toolbar"><label>Words <input id="words" type="search" autocomplete="off"></label>',
        '<label><input id="failed" type="checkbox"> only what is bad</label>',
        '<span id="shown" class="muted" role="status"></span></div>',
        '<div class="scroll" tabindex="0" role="region" aria-label="Judgements"><table class="judgements">',
        f"<thead><tr>{''.join(f'<th scope=col>{head}</th>' for head in heads)}</tr></thead><tbody>",
        *(_row(entry) for entry in entries),
        "</tbody></table></div>",
    ]


def _row(entry: Entry) -> str:
    what = entry.what if entry.comparisons == 1 else f"{entry.what} ({number(entry.comparisons)} comparisons)"
    # what was not computed has no numbers
    numbers = (share(entry.fraction), f"{entry.difference:.3g}") if entry.basis else ("", "")
    why = [entry.basis, f"explained by: {entry.cause}" if entry.cause else "", entry.reason]
    badge = f'<span class="badge {_BADGES.get(entry.verdict, "missing")}">{escape(entry.verdict)}</span>'
    cells = [
        f'<td class="test">{escape(entry.test)}</td>',
        f"<td>{escape(what)}</td><td>{escape(entry.left)} and {escape(against(entry.right))}</td><td>{badge}</td>",
        *(f'<td class="number">{text}</td>' for text in numbers),
        f'<td class="why">{escape("; ".join(part for part in why if part))}</td>',
    ]
    return f"<tr{' class=bad' if entry.verdict in FAILURES else ''}>{''.join(cells)}</tr>"
