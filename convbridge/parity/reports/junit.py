"""The report for continuous integration servers: JUnit XML, one test a cell."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from convbridge.parity.reports.data import by_cell, cells_in_order
from convbridge.parity.reports.words import command, how_much, number, share, summary, visible
from convbridge.parity.results import (
    CRASHED,
    FAILURES,
    MISSING,
    REAL_DIFFERENCE,
    ROUNDING,
    UNSUPPORTED,
    VERDICTS,
    Cell,
    Comparison,
    Matrix,
)

__all__ = ["render"]

#: More failures of one cell than this are counted, not listed.
_LISTED = 20

#: The element of a test that did not pass. A backend that is missing or fell gave no wrong answer.
_ELEMENTS = {REAL_DIFFERENCE: "failure", CRASHED: "error", MISSING: "error", UNSUPPORTED: "skipped"}

#: What XML 1.0 cannot hold, not even escaped. The error messages of frameworks may.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(matrix: Matrix) -> str:
    """Write a matrix as JUnit XML.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    str
        It starts with the XML declaration and ends with a newline; write it as UTF-8.

    Examples
    --------
    >>> render(Matrix(seconds=1.5)).splitlines()[2]
    '  <testsuite name="convbridge parity" tests="0" failures="0" errors="0" skipped="0" time="1.500">'
    """
    cells = cells_in_order(matrix)
    comparisons = by_cell(matrix)
    elements = [_ELEMENTS.get(cell.verdict, "") for found in cells.values() for cell in found.values()]
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name="convbridge parity",
        tests=str(len(elements)),
        failures=str(elements.count("failure")),
        errors=str(elements.count("error")),
        skipped=str(elements.count("skipped")),
        time=f"{matrix.seconds:.3f}",
    )
    if "date" in matrix.facts:
        suite.set("timestamp", _legal(matrix.facts["date"]))
    properties = ElementTree.SubElement(suite, "properties")
    participants = {
        f"participant.{participant.name}": participant.problem or participant.framework
        for participant in matrix.participants
    }
    for name, value in {**matrix.facts, **participants}.items():
        ElementTree.SubElement(properties, "property", name=_legal(name), value=_legal(value))
    for row, found in cells.items():
        for (left, right), cell in found.items():
            test = ElementTree.SubElement(
                suite, "testcase", classname=_legal(str(row)), name=_legal(f"{left} vs {right}")
            )
            _outcome(test, matrix, cell, comparisons[row, left, right])
            ElementTree.SubElement(test, "system-out").text = _legal(_counts(cell))
    ElementTree.SubElement(suite, "system-out").text = _legal(summary(matrix))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _legal(text: str) -> str:
    return _ILLEGAL.sub("", text)


def _outcome(test: ElementTree.Element, matrix: Matrix, cell: Cell, comparisons: list[Comparison]) -> None:
    """Say what kept a test from passing."""
    verdict = cell.verdict
    if verdict not in _ELEMENTS:
        return
    if verdict == UNSUPPORTED:
        reasons = "; ".join(f"{visible(reason)} ({number(count)})" for reason, count in cell.reasons.items())
        ElementTree.SubElement(test, _ELEMENTS[verdict], message=_legal(reasons or verdict))
        return
    failures = [comparison for comparison in comparisons if comparison.verdict in FAILURES]
    lines = []
    for comparison in failures[:_LISTED]:
        lines += [
            f"{comparison.verdict}: {comparison.case} {comparison.result}: {how_much(comparison)}",
            f"    {matrix.cases[comparison.case]}",
            f"    again: {command(matrix, comparison)}",
        ]
    if len(failures) > _LISTED:
        lines.append(f"and {number(len(failures) - _LISTED)} more")
    worst = next(comparison for comparison in failures if comparison.verdict == verdict)
    message = f"{number(len(failures))} of {number(len(comparisons))} results: {how_much(worst)}"
    failed = ElementTree.SubElement(test, _ELEMENTS[verdict], type=verdict, message=_legal(message))
    failed.text = _legal("\n".join(lines))


def _counts(cell: Cell) -> str:
    parts = [f"{number(cell.counts[verdict])} {verdict}" for verdict in VERDICTS if cell.counts[verdict]]
    used = f"; at most {share(cell.fraction)} of the bound" if cell.verdict == ROUNDING else ""
    return f"{', '.join(parts)}; {number(cell.exact)} had to be equal bit for bit{used}"
