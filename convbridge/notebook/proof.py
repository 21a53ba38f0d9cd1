"""Proof in a notebook: the matrix, explanations, and judgements of users' own code.

What may live here: one function for each result that has a display, which
takes the result and returns HTML. The words are those of the other reports
(:mod:`convbridge.parity.reports.words`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convbridge.notebook.parts import details, output, paragraph, table, verdict

if TYPE_CHECKING:
    from convbridge.parity.comparison import ParityReport
    from convbridge.parity.conformance import Conformance
    from convbridge.parity.explain import Explanation
    from convbridge.parity.results import Matrix

__all__ = ["conformance", "explanation", "matrix", "report"]

#: Failures that are listed one by one.
_MOST_FAILURES = 10


def matrix(found: Matrix) -> str:
    """Show a run of the matrix: a cell for each row of cases and each two who answered them.

    Parameters
    ----------
    found : Matrix

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge.parity.results import Matrix
    >>> "Nothing was compared" in matrix(Matrix())
    True
    """
    return output(*_matrix(found))


def _matrix(found: Matrix) -> list[str]:
    from convbridge.parity.reports.data import cells_in_order
    from convbridge.parity.reports.words import SYMBOLS, against, cell_text, counted, headline, how_much
    from convbridge.parity.results import ORACLE, ROUNDING

    title, mood = headline(found)
    columns = found.pairs
    heads = ["results", *(left if right == ORACLE else f"{left} and {right}" for left, right in columns)]
    rows = [
        [str(row), *(cell_text(cells[pair]) if pair in cells else None for pair in columns)]
        for row, cells in cells_in_order(found).items()
    ]
    seen = {cell.verdict for cells in found.cells().values() for cell in cells.values()}
    legend = "; ".join(
        f"{symbol} {word}" + (", with the largest fraction of the bound" * (word == ROUNDING))
        for word, symbol in SYMBOLS.items()
        if word in seen
    )
    caption = f"Each against the exact result, then every two against each other: {legend}"
    failures = [
        (
            comparison.case,
            comparison.result,
            f"{comparison.left} against {against(comparison.right)}",
            how_much(comparison),
        )
        for comparison in found.failures[:_MOST_FAILURES]
    ]
    hidden = len(found.failures) - len(failures)
    return [
        verdict(title, counted(found), good=mood == "ok"),
        table(caption, heads, rows, numbers=False) if rows else "",
        table("What failed", ["case", "result", "of whom", "how much"], failures, numbers=False) if failures else "",
        paragraph(f"{hidden:,} more comparisons failed.") if hidden else "",
    ]


def explanation(found: Explanation) -> str:
    """Show what explains a difference.

    Parameters
    ----------
    found : Explanation

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge.parity.explain import Explanation
    >>> "SAME_LOWER padding" in explanation(Explanation("same-lower", "SAME_LOWER padding", 0.0, 0.0, ("same-lower",)))
    True
    """
    from convbridge.parity.explain import CAUSES

    if found.cause is None:
        word, text, left = "not explained", found.closest and f"closest: {found.closest}", "largest difference"
    elif found.differs:
        word, text, left = "explained", found.cause, "largest difference left"
    else:
        word, text, left = "no difference", "the result is right", "largest difference"
    also = ", ".join(CAUSES[name] for name in found.also)
    rows = zip((left, "of the rounding bound"), _apart(found.residual, found.fraction))
    return output(
        verdict(word, text, good=not found.differs),
        table("How well it fits", ["what", "how much"], rows),
        paragraph(f"{also}: other numbers would tell them apart.", bold="The same here:") if also else "",
        details(
            f"{len(found.tried)} hypotheses were tried", paragraph("; ".join(CAUSES[name] for name in found.tried))
        ),
    )


def report(found: ParityReport) -> str:
    """Show what two callables agree in.

    Parameters
    ----------
    found : ParityReport

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge.parity.comparison import Check, ParityReport
    >>> "0.25" in report(ParityReport((Check("output", (2, 2), "float32", 1e-7, 0.25, "the rounding bound"),)))
    True
    """
    rows = [
        (check.name, str(check.shape), check.dtype, *_apart(check.difference, check.fraction)) for check in found.checks
    ]
    heads = ("result", "shape", "dtype", "largest difference", "of the bound")
    same = not any(check.difference for check in found.checks)
    words = "all results hold the same numbers" if same else "rounding explains every difference"
    return output(
        verdict("parity", words, good=True),
        table("What was compared", heads, rows),
        *(paragraph(how, bold="Judged by") for how in dict.fromkeys(check.judgement for check in found.checks)),
    )


def _apart(difference: float, fraction: float) -> tuple[str, str]:
    from convbridge.parity.reports.words import share

    return f"{difference:.3g}", share(fraction) if difference else "0"


def conformance(found: Conformance) -> str:
    """Show whether a backend keeps the contract.

    Parameters
    ----------
    found : Conformance

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge.parity.conformance import Conformance
    >>> "does not conform" in conformance(Conformance("yours"))
    True
    """
    who = f"{found.backend} ({found.framework})" if found.framework else found.backend
    problems = [(number, str(problem)) for number, problem in enumerate(found.problems[:_MOST_FAILURES], 1)]
    hidden = len(found.problems) - len(problems)
    return output(
        verdict("conforms" if found.conforms else "does not conform", who, good=found.conforms),
        table("Problems", ["", "problem"], problems, numbers=False) if problems else "",
        paragraph(f"{hidden:,} more problems.") if hidden else "",
        paragraph(f"{found.checks} checks of names, gaps, laws and layers."),
        details("The matrix", *_matrix(found.matrix)) if found.matrix is not None else "",
    )
