"""Tests for a backend, anybody's: ``pytest --pyargs convbridge.conformance --convbridge-backends=yours``.

The checks of :func:`convbridge.testing.run_conformance`, one test each: the
description, names and signatures first, then the table of gaps, the matrix a
row at a time, the laws, the layers. The fixture ``backend`` comes from
convbridge's pytest plugin, which is there wherever convbridge is installed.

The file has no name that pytest looks for: it is collected when it is named,
and not when somebody runs the doctests of the package.
"""

from __future__ import annotations

from functools import cache

import pytest

from convbridge.parity import conformance
from convbridge.parity.cases import Case
from convbridge.parity.matrix import run_matrix
from convbridge.parity.reports import words
from convbridge.parity.results import EQUAL, ROUNDING, Row, row_of

#: Random cases beside the fixed ones.
RANDOM_CASES = 600


def _fail_with(problems: list[str]) -> None:
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@cache
def _rows() -> dict[Row, list[Case]]:
    found: dict[Row, list[Case]] = {}
    for case in conformance.cases_of_conformance(RANDOM_CASES):
        found.setdefault(row_of(case), []).append(case)
    return found


def _checks(*sections: str) -> list[tuple[str, str]]:
    return [(section, check) for section in sections for check in conformance.CHECKS[section]]


@pytest.mark.parametrize(("section", "check"), _checks("names", "gaps"))
def test_description(backend: str, section: str, check: str) -> None:
    """The description, names, signatures, the table of gaps."""
    _fail_with(conformance.run_check(backend, section, check))


@pytest.mark.parametrize("row", _rows(), ids=str)
def test_matrix(backend: str, row: Row) -> None:
    """One row of the matrix; skipped, with the reason, where the backend does not compute it."""
    matrix = run_matrix([backend], cases=_rows()[row])
    _fail_with([message for _, message in conformance.matrix_problems(matrix)])
    if not matrix.counts().keys() & {EQUAL, ROUNDING}:
        pytest.skip("; ".join(words.unsupported_reasons(matrix.comparisons)))


@pytest.mark.parametrize(("section", "check"), _checks("laws", "layers"))
def test_laws_and_layers(backend: str, section: str, check: str) -> None:
    """The laws, the layers."""
    _fail_with(conformance.run_check(backend, section, check))
