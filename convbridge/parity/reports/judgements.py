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

_HEADS = ("verdict", "what was compared", "of whom", "of the bound", "largest difference", "why")

# On a narrow screen a row becomes a block, and each cell says what it is.
_STYLE = """
.judgements { width: 100%; }
.judgements td { overflow-wrap: anywhere; }
.judgements td.number { text-align: end; white-space: nowrap; }
.judgements td.why { width: 30%; }
.judgements tr.failed { background: var(--bad-surface); }
.judgements th.test { padding-top: 1.2rem; font: 600 0.875rem/1.4 var(--mono); overflow-wrap: anywhere; }
.facts { padding: 0; list-style: none; }
.toolbar label { display: inline-flex; align-items: center; gap: 0.4rem; min-height: 2.5rem; }
.toolbar [type="checkbox"] { width: 1.2rem; height: 1.2rem; }
@media screen and (max-width: 52rem) {
  .judgements :is(tbody, tr, td, th) { display: block; width: auto; border: 0; }
  .judgements thead { display: none; }
  .judgements tr { padding-block: 0.5rem; border-bottom: 1px solid var(--line); }
  .judgements td { padding-block: 0.1rem; }
  .judgements td:empty { display: none; }
  .judgements td.number { text-align: start; }
  .judgements td[data-head]::before { content: attr(data-head) ": "; color: var(--muted); font-size: 0.875rem; }
  .judgements td.why { width: auto; }
}
"""

_SCRIPT = """
const groups = [...document.querySelectorAll(".judgements tbody")];
const words = document.getElementById("words"), failed = document.getElementById("failed");
const shown = document.getElementById("shown");
const filter = () => {
  const wanted = words.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let count = 0, all = 0;
  for (const group of groups) {
    const [head, ...rows] = group.rows;
    let here = 0;
    for (const row of rows) {
      const text = `${head.textContent} ${row.textContent}`.toLowerCase();
      const kept = !failed.checked || row.classList.contains("failed");
      row.hidden = !kept || !wanted.every((word) => text.includes(word));
      here += !row.hidden;
    }
    group.hidden = !here;
    count += here;
    all += rows.length;
  }
  shown.textContent = `${count} of ${all} lines`;
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
    >>> "1 of 1 judgement failed" in page, "SAME_LOWER padding" in page
    (True, True)
    """
    bad = sum(entry.verdict in FAILURES for entry in entries)
    total = f"{number(len(entries))} judgement{'s' * (len(entries) != 1)}"
    if not entries:
        title = "Nothing was judged"
    elif bad:
        title = f"{number(bad)} of {total} failed"
    else:
        title = f"All {total} agree" if len(entries) > 1 else "The one judgement agrees"
    body = [
        f'<main id="main" class="page"><h1>{escape(title)}</h1>',
        f"<p>{escape(_counts(entries))}</p>" if entries else "<p>No test compared anything by convbridge.</p>",
        f'<ul class="facts muted small">{"".join(f"<li>{escape(fact)}</li>" for fact in facts)}</ul>' if facts else "",
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
    tests: dict[str, list[Entry]] = {}
    for entry in entries:
        tests.setdefault(entry.test, []).append(entry)
    return [
        '<div class="toolbar"><label>Words <input id="words" type="search" autocomplete="off"></label>',
        '<label><input id="failed" type="checkbox"> only what failed</label>',
        '<span id="shown" class="muted" role="status"></span></div>',
        '<div class="scroll"><table class="judgements">',
        f"<thead><tr>{''.join(f'<th scope=col>{head}</th>' for head in _HEADS)}</tr></thead>",
        *(_group(test, mine) for test, mine in tests.items()),
        "</table></div>",
    ]


def _group(test: str, entries: Sequence[Entry]) -> str:
    name = escape(test or "outside of a test")
    head = f'<tr><th class="test" colspan="{len(_HEADS)}" scope="rowgroup">{name}</th></tr>'
    return f"<tbody>{head}{''.join(map(_row, entries))}</tbody>"


def _row(entry: Entry) -> str:
    reason, _, rest = entry.reason.partition("\n")
    why = [entry.basis, entry.cause and f"likely cause: {entry.cause}", reason]
    texts = [
        "",
        entry.what if entry.comparisons == 1 else f"{entry.what} ({number(entry.comparisons)} comparisons)",
        f"{entry.left} and {against(entry.right)}",
        share(entry.fraction) if entry.basis else "",  # what was not computed has no numbers
        f"{entry.difference:.3g}" if entry.basis else "",
        "; ".join(part for part in why if part),
    ]
    kinds = ("", "", "", "number", "number", "why")
    badge = f'<td><span class="badge {_BADGES.get(entry.verdict, "missing")}">{escape(entry.verdict)}</span></td>'
    cells = [
        f'<td class="{kind}" data-head="{head}">{escape(text)}</td>'
        for kind, head, text in list(zip(kinds, _HEADS, texts))[1:]
    ]
    if rest:
        details = f"<details><summary>the whole message</summary><pre>{escape(entry.reason)}</pre></details></td>"
        cells[-1] = cells[-1].removesuffix("</td>") + details
    return f"<tr{' class=failed' if entry.verdict in FAILURES else ''}>{badge}{''.join(cells)}</tr>"
