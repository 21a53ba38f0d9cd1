"""What a run of the matrix found: plain data, without any way of finding it.

A :class:`Matrix` holds everything that a report shows. It is built by
:mod:`convbridge.parity.matrix` and read by :mod:`convbridge.parity.reports`;
neither knows the other.

The words: a *case* is one call; a *participant* is who answered it, a backend
of this process' machine or one recorded elsewhere; a *comparison* is one
result of one case, of two participants or of one and the oracle; a *row* of the
matrix holds the cases of one operation, implementation, kind and dtype; a
*cell* sums up the comparisons of a row between the same two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from convbridge.parity.cases import Case

__all__ = [
    "CRASHED",
    "EQUAL",
    "MISSING",
    "ORACLE",
    "REAL_DIFFERENCE",
    "ROUNDING",
    "UNSUPPORTED",
    "VERDICTS",
    "Cell",
    "Comparison",
    "Detail",
    "Matrix",
    "Participant",
    "Row",
    "row_of",
    "severity",
]

Array = np.ndarray[Any, Any]

EQUAL, ROUNDING, UNSUPPORTED, MISSING = "equal", "rounding", "unsupported", "missing"
REAL_DIFFERENCE, CRASHED = "REAL DIFFERENCE", "crashed"
#: From the best to the worst; the last three fail a run, "missing" because a backend was asked for.
VERDICTS = (EQUAL, ROUNDING, UNSUPPORTED, MISSING, REAL_DIFFERENCE, CRASHED)
FAILURES = frozenset((MISSING, REAL_DIFFERENCE, CRASHED))

#: The other side of a comparison with the exact result.
ORACLE = "oracle"


class Participant(NamedTuple):
    """Who answers.

    Attributes
    ----------
    name : str
        As the columns show it: "torch", or "mxnet (recorded)".
    backend : str
        Canonical name.
    framework : str
        The framework and its version: "torch 2.13.0"; "" if it is missing.
    recorded : bool
        Whether its answers come from a file.
    problem : str
        Why it is missing or broken; "" if it answers.
    """

    name: str
    backend: str
    framework: str = ""
    recorded: bool = False
    problem: str = ""


class Row(NamedTuple):
    """What the cases of one row have in common."""

    operation: str
    implementation: str
    kind: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.operation} {self.implementation} {self.kind} {self.dtype}"


def row_of(case: Case) -> Row:
    """Return the row that a case belongs to.

    Parameters
    ----------
    case : Case

    Returns
    -------
    Row

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> row_of(random_case(0, 3)).implementation
    'native'
    """
    operation = case.operation if case.base_function in ("conv2d", "pool2d") else case.base_function
    return Row(operation, case.implementation, case.kind, case.dtype)


class Comparison(NamedTuple):
    """One result of one case, compared.

    Attributes
    ----------
    case : str
        :attr:`Case.name`, a key of :attr:`Matrix.cases`.
    result : str
        "Y", "dX", "dW" or "db".
    left, right : str
        Names of participants; ``right`` may be :data:`ORACLE`.
    verdict : str
        One of :data:`VERDICTS`.
    exact : bool
        Whether the two had to be equal bit for bit.
    difference : float
        The largest ``|left - right|``; infinity where they cannot be subtracted,
        0 where nothing was compared.
    fraction : float
        The largest ``|left - right| / bound``.
    reason : str
        Why something is unsupported, missing, crashed, or different in another
        way than by its numbers.
    """

    case: str
    result: str
    left: str
    right: str
    verdict: str
    exact: bool = False
    difference: float = 0.0
    fraction: float = 0.0
    reason: str = ""


class Detail(NamedTuple):
    """The numbers behind one result of one case, kept for the cases that a report can open.

    Attributes
    ----------
    inputs : mapping
        Argument name to array, as the dtype of the computation holds it.
    value : numpy.ndarray
        The exact result, in longdouble; where it had to be exact, rounded once
        to the result's dtype.
    bound : numpy.ndarray of float64
        How far one participant may be from it; zeros if it had to be exact.
    outputs : mapping
        Participant to its result. Who gave none is absent.
    """

    inputs: Mapping[str, Array]
    value: Array
    bound: Array
    outputs: Mapping[str, Array]


@dataclass
class Cell:
    """The comparisons of one row between two participants, summed up."""

    counts: Counter[str] = field(default_factory=Counter)
    #: How many of them had to be equal bit for bit.
    exact: int = 0
    #: The comparison that used most of its bound; the first failure if there is one.
    worst: Comparison | None = None
    #: Reason to how often it was given.
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def verdict(self) -> str:
        """The worst verdict in it; "unsupported" only if nothing was computed."""
        computed = [word for word in VERDICTS if self.counts[word] and word != UNSUPPORTED]
        return computed[-1] if computed else UNSUPPORTED

    @property
    def fraction(self) -> float:
        """The largest fraction of a bound that was used."""
        return self.worst.fraction if self.worst is not None else 0.0

    def add(self, comparison: Comparison) -> None:
        """Count one comparison."""
        self.counts[comparison.verdict] += 1
        self.exact += comparison.exact
        if comparison.reason:
            self.reasons[comparison.reason] += 1
        if self.worst is None or severity(comparison) > severity(self.worst):
            self.worst = comparison


def severity(comparison: Comparison) -> tuple[int, float]:
    """Order comparisons: the worst verdict last, among equal ones the larger fraction of the bound.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    (int, float)

    Examples
    --------
    >>> fine = Comparison("case", "Y", "torch", ORACLE, ROUNDING, fraction=0.5)
    >>> severity(fine) < severity(fine._replace(verdict=REAL_DIFFERENCE))
    True
    """
    # what was not computed says less than what was
    rank = -1 if comparison.verdict == UNSUPPORTED else VERDICTS.index(comparison.verdict)
    return rank, comparison.fraction


@dataclass
class Matrix:
    """Everything that one run found.

    Attributes
    ----------
    participants : list of Participant
        In the order of the columns, those that are missing included.
    cases : dict
        Name to :class:`Case`, in the order in which they ran.
    comparisons : list of Comparison
    details : dict
        ``(case, result)`` to :class:`Detail`, for every failure (up to a limit) and for the worst
        comparison of every cell.
    facts : dict
        What identifies the run: "convbridge", "python", "numpy", "platform",
        "processor", "date", "selection" (what was asked for, in words), "seed".
    seconds : float
        What it took.
    """

    participants: list[Participant] = field(default_factory=list)
    cases: dict[str, Case] = field(default_factory=dict)
    comparisons: list[Comparison] = field(default_factory=list)
    details: dict[tuple[str, str], Detail] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def __repr__(self) -> str:
        from convbridge.parity.reports.words import counted

        return f"<Matrix: {counted(self)}>"

    def _repr_html_(self) -> str:
        from convbridge.notebook import proof

        return proof.matrix(self)

    @property
    def failures(self) -> list[Comparison]:
        """The comparisons that fail the run."""
        return [comparison for comparison in self.comparisons if comparison.verdict in FAILURES]

    @property
    def agrees(self) -> bool:
        """Whether something was compared and nothing failed."""
        return not self.failures and any(c.verdict in (EQUAL, ROUNDING) for c in self.comparisons)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The columns: each participant with the oracle, then every two participants."""
        names = [participant.name for participant in self.participants]
        with_oracle = [(name, ORACLE) for name in names]
        return with_oracle + [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]

    def counts(self) -> Counter[str]:
        """Count the verdicts of all comparisons.

        Returns
        -------
        collections.Counter
            Verdict to number.
        """
        return Counter(comparison.verdict for comparison in self.comparisons)

    def cells(self) -> dict[Row, dict[tuple[str, str], Cell]]:
        """Sum the comparisons up.

        Returns
        -------
        dict
            Row to the cells of its columns, in the order in which the rows' first cases ran.
        """
        found: dict[Row, dict[tuple[str, str], Cell]] = {}
        rows = {name: row_of(case) for name, case in self.cases.items()}
        for comparison in self.comparisons:
            row = found.setdefault(rows[comparison.case], {})
            row.setdefault((comparison.left, comparison.right), Cell()).add(comparison)
        return found
