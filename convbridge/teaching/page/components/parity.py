"""The parity matrix in the page: every row of the lattice, with as many cases of each as a class has patience for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convbridge.parity.cases import Case
from convbridge.parity.lattice import lattice
from convbridge.parity.matrix import run_matrix
from convbridge.parity.reports.data import cells_in_order, plain
from convbridge.parity.reports.words import call
from convbridge.parity.results import (
    CRASHED,
    EQUAL,
    ORACLE,
    REAL_DIFFERENCE,
    ROUNDING,
    Cell,
    Comparison,
    Matrix,
    Row,
    row_of,
)
from convbridge.teaching.page.components.component import Component

__all__ = ["COMPONENT", "chosen"]

#: Cases of a row.
_CASES = 6


def chosen() -> list[Case]:
    """Choose cases of every row of the lattice, evenly over the row.

    Returns
    -------
    list of Case

    Examples
    --------
    >>> cases = chosen()
    >>> {row_of(case) for case in cases} == {row_of(case) for case in lattice()}
    True
    """
    rows: dict[Row, list[Case]] = {}
    for case in lattice():
        rows.setdefault(row_of(case), []).append(case)
    return [
        cases[place]
        for cases in rows.values()
        for place in dict.fromkeys(i * len(cases) // _CASES for i in range(_CASES))
    ]


def _gather(names: Sequence[str]) -> dict[str, Any]:
    matrix = run_matrix(names, cases=chosen(), isolated=True)
    cells = cells_in_order(matrix)
    columns = matrix.pairs
    used = [comparison.fraction for comparison in matrix.comparisons if comparison.verdict == ROUNDING]
    exact = sum(comparison.exact and comparison.verdict == EQUAL for comparison in matrix.comparisons)
    return {
        "cases": len(matrix.cases),
        "lattice": len(lattice()),
        "comparisons": len(matrix.comparisons),
        "counts": dict(matrix.counts()),
        "exact": exact,
        "used": plain(float(max(used, default=0.0))),
        "rows": [list(row) for row in cells],
        "columns": [[left, "" if right == ORACLE else right] for left, right in columns],
        "cells": [
            [_cell(matrix, found[pair]) if pair in found else None for pair in columns] for found in cells.values()
        ],
    }


def _cell(matrix: Matrix, cell: Cell) -> dict[str, Any]:
    return {
        "verdict": cell.verdict,
        "counts": dict(cell.counts),
        "exact": cell.exact,
        "fraction": plain(float(cell.fraction)),
        "reasons": dict(cell.reasons),
        "worst": None if cell.worst is None else _comparison(matrix, cell.worst),
    }


def _comparison(matrix: Matrix, comparison: Comparison) -> dict[str, Any]:
    """Describe the comparison that used most of its bound, and the element in which it did."""
    written = {
        "case": comparison.case,
        "result": comparison.result,
        "verdict": comparison.verdict,
        "fraction": plain(float(comparison.fraction)),
        "call": call(matrix.cases[comparison.case]),
        "at": None,
    }
    detail = matrix.details.get((comparison.case, comparison.result))
    if comparison.verdict != ROUNDING or detail is None:
        return written
    left = detail.outputs[comparison.left].astype(np.longdouble)
    alone = comparison.right == ORACLE
    right = detail.value if alone else detail.outputs[comparison.right].astype(np.longdouble)
    # between two that may both be off, their bounds add up
    allowed = detail.bound * (1 if alone else 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nan_to_num(np.abs(left - right) / allowed, nan=0.0, posinf=0.0)
    at = np.unravel_index(int(np.argmax(share)), left.shape)
    return {
        **written,
        "at": [int(i) for i in at],
        "left": _digits(left[at]),
        "right": _digits(right[at]),
        "off": _digits(np.abs(left - right)[at]),
        "allowed": _digits(allowed[at]),
    }


def _digits(value: Any) -> str:
    return f"{value:.17g}" if abs(value) >= 1e-3 or not value else f"{value:.3g}"


def _body(_: Any) -> str:
    """Leave everything to the script: the sentences are in the language that is chosen."""
    return '<div class="matrix card"></div>'


def _differences(gathered: dict[str, Any]) -> list[str]:
    counts = gathered["counts"]
    bad = [f"{counts[verdict]} {verdict}" for verdict in (REAL_DIFFERENCE, CRASHED) if counts.get(verdict)]
    return [f"in the parity matrix: {', '.join(bad)}: convbridge parity shows where"] if bad else []


COMPONENT = Component(
    "parity", _gather, _body, scripts=("parity.js",), styles=("parity.css",), differences=_differences
)
