"""The words of all reports: one symbol for each verdict, one sentence for a run, one command for a case."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from convbridge.parity.cases import Case
from convbridge.parity.results import (
    CRASHED,
    EQUAL,
    MISSING,
    ORACLE,
    REAL_DIFFERENCE,
    ROUNDING,
    UNSUPPORTED,
    Cell,
    Comparison,
    Matrix,
)

__all__ = [
    "SYMBOLS",
    "against",
    "backend_options",
    "call",
    "cell_text",
    "command",
    "counted",
    "duration",
    "headline",
    "how_much",
    "number",
    "operand_notes",
    "share",
    "summary",
    "unsupported_reasons",
    "visible",
]

#: What stands in a cell; told apart without colour.
SYMBOLS = {EQUAL: "=", ROUNDING: "~", UNSUPPORTED: "-", MISSING: "?", REAL_DIFFERENCE: "!", CRASHED: "x"}


def visible(text: str) -> str:
    r"""Write what cannot be seen as Python would: the messages of frameworks hold anything.

    Parameters
    ----------
    text : str

    Returns
    -------
    str

    Examples
    --------
    >>> print(visible("\x1b[31mno\x00"))
    \x1b[31mno\x00
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def number(count: int) -> str:
    """Write a count with separators.

    Parameters
    ----------
    count : int

    Returns
    -------
    str

    Examples
    --------
    >>> number(27412)
    '27,412'
    """
    return f"{count:,}"


def share(fraction: float) -> str:
    """Write a fraction of a bound: as many digits as say something.

    Parameters
    ----------
    fraction : float

    Returns
    -------
    str

    Examples
    --------
    >>> share(0.43219), share(0.9996), share(0.001), share(321000.0), share(float("inf"))
    ('0.43', '0.9996', '0.00', '3.2e+05', 'inf')
    """
    if 0.99 < fraction < 1:
        return f"{fraction:.4f}" if fraction < 0.99995 else "0.9999"  # 1 would say that the bound is used up
    return f"{fraction:.2f}" if fraction < 10 else f"{fraction:.2g}"


def duration(seconds: float) -> str:
    """Write a time as people say it.

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str

    Examples
    --------
    >>> duration(2.34), duration(151), duration(3725)
    ('2.3 s', '2 min 31 s', '1 h 2 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def against(name: str) -> str:
    """Name the other side of a comparison in a sentence.

    Parameters
    ----------
    name : str
        A participant, or the oracle.

    Returns
    -------
    str

    Examples
    --------
    >>> against("oracle"), against("torch")
    ('the exact result', 'torch')
    """
    return "the exact result" if name == ORACLE else name


def cell_text(cell: Cell) -> str:
    """Write a cell: the symbol, and the fraction of the bound or the number of failures.

    Parameters
    ----------
    cell : Cell

    Returns
    -------
    str

    Examples
    --------
    >>> cell = Cell()
    >>> cell.add(Comparison("random:0:3", "Y", "torch", "oracle", "rounding", fraction=0.431))
    >>> cell_text(cell)
    '~0.43'
    """
    verdict = cell.verdict
    if verdict == ROUNDING:
        return SYMBOLS[verdict] + share(cell.fraction)
    if verdict in (REAL_DIFFERENCE, CRASHED):
        return f"{SYMBOLS[verdict]} {number(cell.counts[verdict])}"
    return SYMBOLS[verdict]


def how_much(comparison: Comparison) -> str:
    """Say in a line what a comparison found.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> how_much(Comparison("random:0:3", "Y", "torch", "oracle", "rounding", False, 1.5e-8, 0.25))
    'largest difference 1.5e-08; 0.25 of the bound'
    >>> how_much(Comparison("random:0:3", "Y", "torch", "oracle", "equal"))
    'the same numbers'
    """
    if comparison.verdict == EQUAL:
        return "the same numbers"
    parts = [visible(comparison.reason)] if comparison.reason else []
    if comparison.verdict in (ROUNDING, REAL_DIFFERENCE) and np.isfinite(comparison.difference):
        parts.append(f"largest difference {comparison.difference:.3g}")
        if np.isfinite(comparison.fraction) and not comparison.reason:
            parts.append(f"{share(comparison.fraction)} of the bound")
    return "; ".join(parts) or comparison.verdict


def headline(matrix: Matrix) -> tuple[str, str]:
    """Say the result in a few words.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    words : str
    mood : {"ok", "bad", "missing"}

    Examples
    --------
    >>> headline(Matrix())
    ('Nothing was compared', 'missing')
    """
    counts = matrix.counts()
    found = []
    if counts[REAL_DIFFERENCE]:
        found.append(f"{number(counts[REAL_DIFFERENCE])} real difference{'s' * (counts[REAL_DIFFERENCE] > 1)}")
    if counts[CRASHED]:
        found.append(f"{number(counts[CRASHED])} crashed")
    found += [f"{participant.name} is missing" for participant in matrix.participants if participant.problem]
    if found:
        return ", ".join(found), "bad"
    return ("No real difference", "ok") if matrix.agrees else ("Nothing was compared", "missing")


def summary(matrix: Matrix) -> str:
    """Sum a run up in one sentence.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    str

    Examples
    --------
    >>> summary(Matrix(seconds=2.5))
    '0 comparisons of 0 cases: 0 equal, 0 within rounding, 0 unsupported, 0 REAL DIFFERENCE, 0 crashed, in 2.5 s'
    """
    return f"{counted(matrix)}, in {duration(matrix.seconds)}"


def counted(matrix: Matrix) -> str:
    """Sum a run up without the time that it took.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    str

    Examples
    --------
    >>> counted(Matrix())
    '0 comparisons of 0 cases: 0 equal, 0 within rounding, 0 unsupported, 0 REAL DIFFERENCE, 0 crashed'
    """
    counts = matrix.counts()
    exact = sum(comparison.exact and comparison.verdict == EQUAL for comparison in matrix.comparisons)
    used = max((c.fraction for c in matrix.comparisons if c.verdict == ROUNDING), default=None)
    parts = [
        f"{number(counts[EQUAL])} equal" + (f" ({number(exact)} of them had to be)" if exact else ""),
        f"{number(counts[ROUNDING])} within rounding"
        + ("" if used is None else f" (at most {share(used)} of the bound)"),
        f"{number(counts[UNSUPPORTED])} unsupported",
        *([f"{number(counts[MISSING])} missing"] if counts[MISSING] else []),
        f"{number(counts[REAL_DIFFERENCE])} {REAL_DIFFERENCE}",
        f"{number(counts[CRASHED])} crashed",
    ]
    comparisons, cases = number(len(matrix.comparisons)), number(len(matrix.cases))
    return f"{comparisons} comparisons of {cases} cases: {', '.join(parts)}"


def unsupported_reasons(comparisons: Iterable[Comparison]) -> Counter[str]:
    """Count why comparisons were unsupported.

    Parameters
    ----------
    comparisons : iterable of Comparison

    Returns
    -------
    collections.Counter
        Reason to number.

    Examples
    --------
    >>> unsupported_reasons([Comparison("random:0:3", "Y", "mxnet", "oracle", "unsupported", reason="No bfloat16.")])
    Counter({'No bfloat16.': 1})
    """
    return Counter(visible(c.reason) or "no reason given" for c in comparisons if c.verdict == UNSUPPORTED)


# --------------------------------------------------------------------------- to see it again


def backend_options(matrix: Matrix, left: str, right: str) -> str:
    """Return the options of ``convbridge parity`` that choose two participants.

    Parameters
    ----------
    matrix : Matrix
    left, right : str
        Names of participants; one may be the oracle, which always takes part.

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge.parity.results import Participant
    >>> backend_options(Matrix([Participant("numpy", "numpy"), Participant("torch", "torch")]), "torch", "oracle")
    '--backends torch'
    """
    chosen = [participant for participant in matrix.participants if participant.name in (left, right)]
    live = [participant.backend for participant in chosen if not participant.recorded]
    options = [f"--backends {shlex.quote(','.join(live))}"] if live else []
    if any(participant.recorded for participant in chosen):
        options.append(f"--against {shlex.quote(matrix.facts.get('against', 'FILE'))}")
    return " ".join(options)


def command(matrix: Matrix, comparison: Comparison) -> str:
    """Return the command that makes one comparison again.

    Parameters
    ----------
    matrix : Matrix
    comparison : Comparison

    Returns
    -------
    str
        For a shell.

    Examples
    --------
    >>> from convbridge.parity.results import Participant
    >>> matrix = Matrix([Participant("numpy", "numpy"), Participant("torch", "torch")])
    >>> command(matrix, Comparison("random:0:3", "Y", "numpy", "torch", "equal"))
    'convbridge parity --only random:0:3 --backends numpy,torch'
    """
    options = backend_options(matrix, comparison.left, comparison.right)
    if "precision" in matrix.facts:
        options = f"{options} --precision {shlex.quote(matrix.facts['precision'])}"
    return f"convbridge parity --only {shlex.quote(comparison.case)} {options}".rstrip()


def call(case: Case) -> str:
    """Write a case as a call in Python, without its backend.

    Parameters
    ----------
    case : Case

    Returns
    -------
    str
        With the operands and ``BACKEND`` as variables. NumPy has no bfloat16, so ``bfloat16`` is
        to be a function that makes a tensor of an array.

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> print(call(random_case(0, 11)))  # doctest: +ELLIPSIS
    convbridge.pool2d(X, pool_size=np.array([3, 1]), mode='max', ..., backend=BACKEND)
    """
    gradient = case.kind == "gradient"
    if gradient and case.implementation == "chapter":
        # no function of the library: the framework's own autograd runs through the book's loop
        names, function = ", ".join(case.operands), case.function.removesuffix("_vjp")
        loop = f"lambda {names}: convbridge.{function}({names}, backend=BACKEND)"
        return f"convbridge.registry.load(BACKEND).listing.differentiate({loop}, {names})"
    arrays = {name: f"bfloat16({name})" if case.dtype == "bfloat16" else name for name in case.operands}
    # the arrays of a gradient are not its first arguments, and its bias has no default
    arguments = [f"{name}={array}" if gradient else array for name, array in arrays.items()]
    arguments += ["bias=None"] if case.function == "conv2d_vjp" and "bias" not in case.operands else []
    arguments += [f"{name}={_literal(value)}" for name, value in case.keywords.items()]
    return f"convbridge.{case.function}({', '.join(arguments)}, backend=BACKEND)"


def _literal(value: Any) -> str:
    """Write a keyword's value so that Python reads it with NumPy imported as np."""
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()!r})"
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({value.item()!r})"
    return repr(value)


def operand_notes(case: Case) -> dict[str, str]:
    """Say of each array argument how the call got it.

    Parameters
    ----------
    case : Case

    Returns
    -------
    dict
        Argument name to dtype, shape and how it lies in memory.

    Examples
    --------
    >>> from convbridge.parity.cases import Operand
    >>> operands = {"X": Operand(np.ones((2, 3)), "float64", "fortran", True)}
    >>> operand_notes(Case(0, 0, "corr2d", operands, {}, "float64"))
    {'X': 'float64 (2, 3), fortran, a tensor'}
    """
    return {
        name: f"{operand.dtype} {operand.values.shape}, "
        + ("nested lists" if operand.layout == "list" else operand.layout)
        + (", a tensor" if operand.native else "")
        for name, operand in case.operands.items()
    }
