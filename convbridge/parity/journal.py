"""Keeping what was judged: by ``assert_parity`` in a test, by a run of the matrix.

Nobody keeps anything until a journal is opened; then every judgement of the
process goes into it, whichever thread makes it. The pytest plugin opens one for
``--convbridge-report`` and writes the page. An entry is plain data, so it can
come from another process.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from convbridge.parity.results import CRASHED, EQUAL, MISSING, REAL_DIFFERENCE, ROUNDING, UNSUPPORTED, Matrix

if TYPE_CHECKING:
    from convbridge.parity.comparison import Check

__all__ = ["Entry", "record", "record_matrix", "record_parity", "recording"]


class Entry(NamedTuple):
    """One judgement.

    Attributes
    ----------
    what : str
        What was compared: "output", "gradient of X", a row of the matrix.
    left, right : str
        Of whom; "oracle" is the exact result.
    verdict : str
        One of :data:`convbridge.parity.results.VERDICTS`.
    fraction : float
        The largest fraction of the bound that was used; infinity where there
        is no finite one.
    difference : float
        The largest difference.
    basis : str
        What decided: "rounding bound", "statistical bound", "must be equal".
    cause : str
        What explains a real difference: "SAME_LOWER padding"; "" if nothing
        does, or there is none.
    reason : str
        Where and how much, or why something is unsupported, missing or crashed;
        what follows the first line is shown when it is asked for.
    comparisons : int
        How many comparisons it sums up.
    test : str
        The test that made it; the plugin fills it in.
    """

    what: str
    left: str
    right: str
    verdict: str
    fraction: float = 0.0
    difference: float = 0.0
    basis: str = ""
    cause: str = ""
    reason: str = ""
    comparisons: int = 1
    test: str = ""


# A list and no context variable: a test may compare in threads of its own.
_open: list[list[Entry]] = []


@contextmanager
def recording() -> Iterator[list[Entry]]:
    """Keep every judgement made inside the ``with`` block.

    Yields
    ------
    list of Entry
        It grows as they are made; whoever reads it may empty it.

    Examples
    --------
    >>> with recording() as entries:
    ...     record(Entry("output", "torch", "numpy", "rounding", fraction=0.25))
    >>> record(Entry("output", "torch", "numpy", "equal"))
    >>> [entry.verdict for entry in entries]
    ['rounding']
    """
    entries: list[Entry] = []
    _open.append(entries)
    try:
        yield entries
    finally:
        _open[:] = [other for other in _open if other is not entries]


def record(entry: Entry) -> None:
    """Keep one judgement, if somebody asked for them.

    Parameters
    ----------
    entry : Entry

    Examples
    --------
    >>> record(Entry("output", "torch", "numpy", "equal"))
    """
    plain = entry._replace(fraction=float(entry.fraction), difference=float(entry.difference))  # no NumPy scalars
    for entries in _open:
        entries.append(plain)


def record_parity(left: str, right: str, checks: Iterable[Check], problems: Iterable[str]) -> None:
    r"""Keep what ``assert_parity`` found.

    Parameters
    ----------
    left, right : str
        What was compared.
    checks : iterable of Check
        What agrees.
    problems : iterable of str
        What does not: messages, whose first line ends with what is wrong and
        one of whose lines may name the likely cause.

    Examples
    --------
    >>> message = "f and g differ in output: 3 of 9 elements differ\n  likely cause: g is f with SAME_LOWER padding"
    >>> with recording() as entries:
    ...     record_parity("f", "g", [], [message])
    >>> entries[0].what, entries[0].verdict, entries[0].cause
    ('output', 'REAL DIFFERENCE', 'g is f with SAME_LOWER padding')
    """
    if not _open:
        return
    for check in checks:
        verdict = ROUNDING if check.difference else EQUAL
        record(Entry(check.name, left, right, verdict, check.fraction, check.difference, check.judgement))
    for message in problems:
        what = re.search(r" differ in (.+?)(: |$)", message.partition("\n")[0])
        cause = re.search(r"^ *likely cause: (.+)$", message, re.MULTILINE)
        entry = Entry(what[1] if what else "", left, right, REAL_DIFFERENCE, reason=message)
        record(entry._replace(cause=cause[1]) if cause else entry)


def record_matrix(matrix: Matrix) -> None:
    """Keep what a run of the matrix found, a cell at a time.

    Parameters
    ----------
    matrix : Matrix

    Examples
    --------
    >>> from convbridge.parity.lattice import lattice
    >>> from convbridge.parity.matrix import run_matrix
    >>> matrix = run_matrix(["numpy"], cases=lattice(lambda case: "conv2d/1x1/NCHW/float64" in case.name))
    >>> with recording() as entries:
    ...     record_matrix(matrix)
    >>> [(entry.what, entry.left, entry.right, entry.comparisons) for entry in entries]
    [('conv2d native value float64', 'numpy', 'oracle', 2)]
    """
    if not _open:
        return
    for row, cells in matrix.cells().items():
        for (left, right), cell in cells.items():
            entry = Entry(str(row), left, right, cell.verdict, comparisons=sum(cell.counts.values()))
            worst = cell.worst
            if worst is not None:
                basis = "must be equal" if worst.exact else "rounding bound"
                entry = entry._replace(
                    fraction=worst.fraction,
                    difference=worst.difference,
                    basis="" if worst.verdict in (UNSUPPORTED, MISSING, CRASHED) else basis,
                    reason=worst.reason,
                )
            record(entry)
