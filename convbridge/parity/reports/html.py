"""The report as one page: the matrix, and behind each cell what it was made of.

The page is a single file without any request to anywhere. The table and the
lists are written here; ``assets/report.js`` filters them and opens a cell from
the data that stands in the page as JSON, ``assets/report.css`` is what the
page's own parts look like. What all pages of convbridge share comes from
:mod:`convbridge.web`.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from itertools import groupby
from typing import Any

from convbridge.parity.reports.data import by_cell, cells_in_order, detail_data, failing_cells, plain
from convbridge.parity.reports.words import (
    SYMBOLS,
    against,
    backend_options,
    call,
    cell_text,
    duration,
    headline,
    how_much,
    number,
    operand_notes,
    share,
    summary,
    unsupported_reasons,
    visible,
)
from convbridge.parity.results import (
    CRASHED,
    EQUAL,
    FAILURES,
    MISSING,
    ORACLE,
    REAL_DIFFERENCE,
    ROUNDING,
    UNSUPPORTED,
    VERDICTS,
    Cell,
    Comparison,
    Detail,
    Matrix,
    Row,
    severity,
)
from convbridge.web import document

__all__ = ["render"]

#: What a page may weigh; details that do not fit are left out, which the page says.
_LARGEST = 2_900_000

#: Comparisons that are listed one by one: the failures of a cell, of a page, and the worst of the others.
_FAILURES_OF_A_CELL, _FAILURES_OF_A_PAGE, _WORST = 20, 1000, 5

#: Failing cells in the list above the matrix.
_FAILING_CELLS = 30

_Data = dict[str, Any]


def render(matrix: Matrix) -> str:
    """Write a matrix as a page.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    str
        A whole HTML document; write it as UTF-8.

    Examples
    --------
    >>> page = render(Matrix())
    >>> "Nothing was compared" in page, "http" in page.replace("http-equiv", "")
    (True, False)
    """
    cells = cells_in_order(matrix)
    title, mood = headline(matrix)
    body = "\n".join(
        [
            '<main id="main" class="page report">',
            f'<header class="headline {mood}"><p class="muted small">convbridge parity</p>',
            f"<h1>{escape(title)}</h1><p>{escape(summary(matrix))}.</p></header>",
            _participants(matrix),
            _failures(matrix, list(cells)),
            _table(matrix, cells),
            _reasons(matrix),
            _EXPLANATION,
            "</main>",
            _PANEL,
        ]
    )
    data = _data(matrix, cells)
    data["details"] = _details(matrix, data, _LARGEST - len(body) - len(_json(data)))
    # "<" could end the element, whatever its type
    embedded = f'<script type="application/json" id="report-data">{_json(data)}</script>'
    return document(
        f"{title}: parity of {', '.join(p.name for p in matrix.participants) or 'nothing'}",
        f"{body}\n{embedded}",
        style=_asset("report.css"),
        script=_asset("report.js"),
    )


def _asset(name: str) -> str:
    return files("convbridge.parity.reports").joinpath("assets", name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def _slug(verdict: str) -> str:
    return verdict.lower().replace(" ", "-")


# --------------------------------------------------------------------------- the text of the page


def _participants(matrix: Matrix) -> str:
    cards = []
    for participant in matrix.participants:
        text, badge = participant.framework or participant.backend, ""
        if participant.problem:
            text, badge = participant.problem, '<span class="badge missing">missing</span>'
        elif participant.recorded:
            badge = '<span class="badge missing">recorded</span>'
        cards.append(f"<li class=card><strong>{escape(participant.name)}</strong> {badge}<br>{escape(text)}</li>")
    facts = {**matrix.facts, "time": duration(matrix.seconds)}
    terms = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    return "\n".join(
        [
            '<section aria-labelledby="who"><h2 id="who">Who took part</h2>',
            f'<ul class="participants">{"".join(cards)}</ul>',
            f'<details class="facts" open><summary>Where and how it ran</summary><dl>{terms}</dl></details></section>',
        ]
    )


def _failures(matrix: Matrix, rows: list[Row]) -> str:
    """List what failed; each line opens its cell."""
    failing, new = failing_cells(matrix)
    if not failing:
        return ""
    columns = matrix.pairs
    items = []
    for row, left, right in new[:_FAILING_CELLS]:
        worst = max(failing[row, left, right], key=severity)
        others = len(failing[row, left, right]) - 1
        items.append(
            f'<li><button type="button" class="open" data-cell="{rows.index(row)}-{columns.index((left, right))}">'
            f"{_swatch(worst.verdict)} <span><strong>{escape(str(row))}</strong>, "
            f"{escape(left)} against {escape(against(right))}</span></button>"
            f'<p class="small">{escape(how_much(worst))}'
            + (f" <span class=muted>and {number(others)} more</span>" if others else "")
            + "</p></li>"
        )
    rest = []
    if len(new) > _FAILING_CELLS:
        rest.append(f"{number(len(new) - _FAILING_CELLS)} more cells failed; the matrix shows them.")
    if len(failing) > len(new):
        rest.append(f"{number(len(failing) - len(new))} cells of pairs failed because of these.")
    return "\n".join(
        [
            '<section aria-labelledby="failed"><h2 id="failed">What failed</h2>',
            f'<ul class="failures">{"".join(items)}</ul>',
            f'<p class="muted">{" ".join(rest)}</p></section>',
        ]
    )


def _swatch(verdict: str) -> str:
    return f'<span class="cell {_slug(verdict)}" aria-hidden="true">{SYMBOLS[verdict]}</span>'


# --------------------------------------------------------------------------- the matrix


def _table(matrix: Matrix, cells: dict[Row, dict[tuple[str, str], Cell]]) -> str:
    if not cells:
        return ""
    columns = matrix.pairs
    counts = Counter(cell.verdict for found in cells.values() for cell in found.values())
    alone = sum(right == ORACLE for _, right in columns)
    groups = [("against the exact result", alone), ("against each other", len(columns) - alone)]
    heads = "".join(f'<th scope="colgroup" colspan="{n}" class="first">{words}</th>' for words, n in groups if n)
    names = "".join(
        f'<th scope="col"{_first(place, alone)}>{escape(left)}'
        + ("" if right == ORACLE else f'<span class="muted"> and </span>{escape(right)}')
        + "</th>"
        for place, (left, right) in enumerate(columns)
    )
    bodies = []
    numbers = {row: place for place, row in enumerate(cells)}
    for (operation, implementation), rows in groupby(cells, key=lambda row: (row.operation, row.implementation)):
        head = f"<span>{escape(operation)} <small>{escape(implementation)}</small></span>"
        lines = "\n".join(_row(numbers[row], row, cells[row], columns, alone) for row in rows)
        bodies.append(
            f'<tbody><tr class="group"><th scope="rowgroup" colspan="{len(columns) + 1}">{head}</th></tr>\n'
            f"{lines}\n</tbody>"
        )
    return "\n".join(
        [
            '<section aria-labelledby="matrix-title"><h2 id="matrix-title">The matrix</h2>',
            "<p>A cell sums up all cases of its row between two. Open one to see them: click it, or go there with "
            "the arrow keys and press Enter.</p>",
            _filters(counts),
            '<div class="matrix-box"><table class="matrix" role="grid" aria-labelledby="matrix-title">',
            f'<thead><tr><th scope="col" rowspan="2" class="corner">results</th>{heads}</tr><tr>{names}</tr></thead>',
            *bodies,
            "</table></div>",
            "<noscript><p>Filters and cells need JavaScript; the matrix can be read without.</p></noscript></section>",
        ]
    )


def _first(place: int, alone: int) -> str:
    return ' class="first"' if place in (0, alone) else ""


def _row(
    index: int, row: Row, cells: Mapping[tuple[str, str], Cell], columns: list[tuple[str, str]], alone: int
) -> str:
    fields = []
    for place, (left, right) in enumerate(columns):
        cell = cells.get((left, right))
        content = '<span class="nothing">·</span>'
        if cell is not None:
            used = f' style="--used:{min(cell.fraction, 1):.0%}"' if cell.verdict == ROUNDING else ""
            label = f"{left} against {against(right)}, {row}: {cell.verdict}"
            if cell.verdict == ROUNDING:
                label += f", at most {share(cell.fraction)} of the bound"
            content = (
                f'<button type="button" class="cell {_slug(cell.verdict)}" id="cell-{index}-{place}" tabindex="-1" '
                f'aria-label="{escape(label)}"{used}>{cell_text(cell)}</button>'
            )
        fields.append(f"<td{_first(place, alone)}>{content}</td>")
    head = f'<th scope="row">{escape(f"{row.kind} {row.dtype}")}</th>'
    return f'<tr data-row="{index}" data-kind="{row.kind}">{head}{"".join(fields)}</tr>'


def _filters(counts: Counter[str]) -> str:
    """Legend and filter in one: a box for each verdict, with what its symbol means."""
    boxes = "".join(
        f'<label><input type="checkbox" name="verdict" value="{_slug(verdict)}" '
        f'checked> {_swatch(verdict)} {escape(verdict)} <span class="muted">{number(counts[verdict])}</span></label>'
        for verdict in VERDICTS
        if counts[verdict]
    )
    kinds = "".join(
        f'<label><input type="checkbox" name="kind" value="{kind}" checked> {kind}s</label>'
        for kind in ("value", "gradient")
    )
    return "\n".join(
        [
            '<form class="filters" role="search" aria-label="Filter the matrix">',
            '<label class="words">Rows with <input type="search" name="words" placeholder="conv2d float32" '
            'autocomplete="off" spellcheck="false"></label>',
            f"<fieldset><legend>Verdict</legend>{boxes}</fieldset>",
            f"<fieldset><legend>Kind</legend>{kinds}</fieldset>",
            '<button type="reset">Show all</button> <span role="status" class="muted small"></span>',
            "</form>",
        ]
    )


def _reasons(matrix: Matrix) -> str:
    reasons = unsupported_reasons(matrix.comparisons)
    if not reasons:
        return ""
    items = "".join(
        f"<tr><td>{number(count)}</td><td>{escape(reason)}</td></tr>" for reason, count in reasons.most_common()
    )
    return "\n".join(
        [
            '<section aria-labelledby="gaps"><h2 id="gaps">What is unsupported, and why</h2>',
            f'<table class="reasons"><thead><tr><th scope="col">results</th><th scope="col">reason</th></tr></thead>'
            f"<tbody>{items}</tbody></table></section>",
        ]
    )


_EXPLANATION = f"""
<section aria-labelledby="how"><h2 id="how">How to read it</h2>
<p>Two computations of one convolution add the same products in another order, so they need not return the same
bits. How far rounding can carry a result is a theorem, not a tolerance: for a sum of <var>n</var> products in a
precision with the unit roundoff <var>u</var> it is <code>n u / (1 - n u)</code> times the sum of the products'
absolute values (N. Higham, <cite>Accuracy and Stability of Numerical Algorithms</cite>, chapter 3), whatever the
order.</p>
<ul class="legend">
<li>{_swatch(EQUAL)} <span><strong>equal</strong>: the same numbers. Against the exact result it means: the exact
result, rounded once. What can be computed without rounding has to be equal.</span></li>
<li>{_swatch(ROUNDING)} <span><strong>rounding</strong>: different numbers, and rounding explains it. The number is
the largest fraction of the bound that was used; two results may differ by the sum of their bounds.</span></li>
<li>{_swatch(REAL_DIFFERENCE)} <span><strong>REAL DIFFERENCE</strong>: more than rounding can explain, in so many
results. One of the two is wrong.</span></li>
<li>{_swatch(CRASHED)} <span><strong>crashed</strong>: so many calls raised, or ended their process.</span></li>
<li>{_swatch(UNSUPPORTED)} <span><strong>unsupported</strong>: the backend refuses it, and says why.</span></li>
<li>{_swatch(MISSING)} <span><strong>missing</strong>: asked for, and not there.</span></li>
</ul></section>"""

_PANEL = """
<dialog id="panel" aria-labelledby="panel-title">
<header><h2 id="panel-title"></h2><button type="button" id="panel-close">Close <kbd>Esc</kbd></button></header>
<div id="panel-body"></div>
</dialog>"""


# --------------------------------------------------------------------------- the data of the panel


def _data(matrix: Matrix, cells: dict[Row, dict[tuple[str, str], Cell]]) -> _Data:
    """Return what the panel shows, the numbers of the cases apart."""
    columns = matrix.pairs
    listed = by_cell(matrix)
    failing = sum(any(comparison.verdict in FAILURES for comparison in found) for found in listed.values())
    most = max(3, min(_FAILURES_OF_A_CELL, _FAILURES_OF_A_PAGE // max(failing, 1)))
    shown: dict[str, _Data] = {}
    names: dict[str, None] = {}
    for index, (row, found) in enumerate(cells.items()):
        for pair, cell in found.items():
            chosen = _chosen(listed[(row, *pair)], matrix.details, most)
            names.update(dict.fromkeys(comparison.case for comparison in chosen))
            shown[f"{index}-{columns.index(pair)}"] = _cell(cell, listed[(row, *pair)], chosen)
    return {
        "symbols": {verdict: [SYMBOLS[verdict], _slug(verdict)] for verdict in VERDICTS},
        "rows": [str(row) for row in cells],
        "columns": [_column(matrix, left, right) for left, right in columns],
        "cells": shown,
        "cases": {
            name: {
                "call": call(matrix.cases[name]),
                "arguments": operand_notes(matrix.cases[name]),
                "shell": shlex.quote(name),
                "dtype": matrix.cases[name].dtype,
            }
            for name in names
        },
    }


def _column(matrix: Matrix, left: str, right: str) -> _Data:
    backends = [p.backend for p in matrix.participants if p.name in (left, right) and not p.recorded and not p.problem]
    return {
        "left": left,
        "right": right,
        "title": f"{left} against {against(right)}",
        "options": backend_options(matrix, left, right),
        "backends": backends or ["numpy"],
        "exact": right == ORACLE,
    }


def _chosen(comparisons: list[Comparison], details: Mapping[tuple[str, str], Detail], most: int) -> list[Comparison]:
    """Choose what is listed one by one: failures, and of the others those that say most."""
    failures = [comparison for comparison in comparisons if comparison.verdict in FAILURES]
    others = [comparison for comparison in comparisons if comparison.verdict not in FAILURES]
    others.sort(key=lambda c: (*severity(c), (c.case, c.result) in details), reverse=True)
    failures.sort(key=lambda c: (*severity(c), (c.case, c.result) in details), reverse=True)
    return failures[:most] + others[:_WORST]


def _cell(cell: Cell, comparisons: list[Comparison], chosen: list[Comparison]) -> _Data:
    counted = []
    for verdict in VERDICTS:
        if cell.counts[verdict]:
            exact = sum(c.exact for c in comparisons if c.verdict == verdict)
            words = f"{number(exact)} of them had to be, bit for bit" if verdict == EQUAL and exact else ""
            if verdict == ROUNDING:
                words = f"at most {share(max(c.fraction for c in comparisons if c.verdict == verdict))} of the bound"
            counted.append([verdict, number(cell.counts[verdict]), words])
    silent = (UNSUPPORTED, MISSING)
    reasons = Counter(c.reason for c in comparisons if c.verdict in silent and c.reason)
    failures = sum(c.verdict in FAILURES for c in comparisons)
    return {
        "counts": counted,
        "total": number(len(comparisons)),
        "reasons": [[number(count), visible(reason)] for reason, count in reasons.most_common()],
        "unlisted": number(failures - sum(c.verdict in FAILURES for c in chosen)) if failures else "0",
        "shown": [[c.case, c.result, c.verdict, how_much(c)] for c in chosen],
    }


def _details(matrix: Matrix, data: _Data, room: int) -> dict[str, _Data]:
    """Return the numbers of the cases that are listed: of failures first, then the small ones, as many as fit."""
    failed = {(c.case, c.result) for c in matrix.failures}
    wanted = {(case, result) for cell in data["cells"].values() for case, result, *_ in cell["shown"]}
    found: dict[str, _Data] = {}

    def cost(key: tuple[str, str]) -> tuple[bool, int]:
        detail = matrix.details[key]
        return key not in failed, detail.value.size * (3 + len(detail.outputs))

    for case, result in sorted(wanted & set(matrix.details), key=cost):
        written = _short(detail_data(matrix.cases[case], result, matrix.details[case, result]))
        inputs = written.pop("inputs")
        # all results of a case have the same inputs
        size = len(_json([case, result, written])) + (0 if case in found else len(_json(inputs)) + 50)
        if size <= room:
            room -= size
            found.setdefault(case, {"inputs": inputs, "results": {}})["results"][result] = written
    return found


def _short(detail: _Data) -> _Data:
    """Leave out what the page can do without; the report in JSON has it."""
    outputs = detail["outputs"]
    if all(array["dtype"] != "float64" for array in outputs.values()):
        detail["value"].pop("rest", None)  # float64 holds the exact value of these closely enough
    detail["bound"].pop("rest", None)
    for digits in (detail["bound"]["values"], detail["value"].get("rest", [])):
        digits[:] = [plain(float(f"{float(digit):.6g}")) for digit in digits]
    named: dict[str, Any] = {}
    for name, array in outputs.items():
        # many agree to the last bit
        same = next((other for other, kept in named.items() if kept == array), None)
        named[name] = array if same is None else {"as": same}
    return {**{name: detail[name] for name in ("exact", "value", "bound", "inputs")}, "outputs": named}
