"""The report in the terminal: who took part, the matrix, what failed, and one sentence.

Eighty columns are enough, and nothing is said by colour alone. The module
imports rich only when it renders: the command line brings it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convbridge.parity.reports.data import Place, cells_in_order, failing_cells
from convbridge.parity.reports.words import (
    SYMBOLS,
    against,
    cell_text,
    command,
    how_much,
    number,
    summary,
    unsupported_reasons,
    visible,
)
from convbridge.parity.results import (
    CRASHED,
    EQUAL,
    MISSING,
    ORACLE,
    REAL_DIFFERENCE,
    ROUNDING,
    UNSUPPORTED,
    VERDICTS,
    Cell,
    Comparison,
    Matrix,
    severity,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = ["render"]

_STYLES = {
    EQUAL: "green",
    ROUNDING: "green",
    UNSUPPORTED: "dim",
    MISSING: "yellow",
    REAL_DIFFERENCE: "bold red",
    CRASHED: "bold red",
}

#: Short enough for all of them to stand in one line; only those that occur do.
_LEGEND = {
    EQUAL: "equal",
    ROUNDING: "0.43 of bound",
    REAL_DIFFERENCE: "REAL DIFFERENCE",
    CRASHED: "crashed",
    UNSUPPORTED: "unsupported",
    MISSING: "missing",
}

#: Failing cells that are described without being asked for.
_SHOWN = 10

#: The facts that a reader of a terminal wants; the other reports have them all.
_FACTS = ("processor", "platform", "selection", "seed", "precision")


def render(matrix: Matrix, console: Console, *, verbose: bool = False) -> None:
    """Print a matrix.

    Parameters
    ----------
    matrix : Matrix
    console : rich.console.Console
        Where to; plain text where that is no terminal.
    verbose : bool, default False
        Describe every failure. Otherwise the first of each of ten cells.

    Examples
    --------
    >>> from rich.console import Console
    >>> render(Matrix(seconds=1.0), Console(width=80))
    0 comparisons of 0 cases: 0 equal, 0 within rounding, 0 unsupported, 0 REAL
    DIFFERENCE, 0 crashed, in 1.0 s
    """
    heads = _heads(matrix, console.width)
    for table in (_participants(matrix, heads), _matrix(matrix, heads)):
        if table.row_count:
            console.print(table)
            console.print()
    occurring = set(matrix.counts())
    if occurring:
        legend = "  ".join(
            f"{SYMBOLS[verdict]}{'' if verdict == ROUNDING else ' '}{words}"
            for verdict, words in _LEGEND.items()
            if verdict in occurring
        )
        console.print(_text(legend, "dim"))
        console.print()
    _print_failures(matrix, console, verbose)
    reasons = unsupported_reasons(matrix.comparisons)
    if reasons:
        table = _grid("", "")
        for reason, count in reasons.most_common():
            table.add_row(_text(f"{number(count)} unsupported:"), _text(reason))
        console.print(table)
        console.print()
    style = "bold green" if matrix.agrees else "bold red" if matrix.failures else "yellow"
    console.print(_text(summary(matrix), style))


def _text(words: str, style: str = "") -> Text:
    """Take words as they are: no markup is read in them, and no message of a framework moves the cursor."""
    from rich.text import Text

    return Text(visible(words), style=style)


def _grid(*styles: str) -> Table:
    """Make a table without lines, whose last column takes what is left."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for place, style in enumerate(styles, 1):
        table.add_column(style=style, no_wrap=place < len(styles))
    return table


# --------------------------------------------------------------------------- who, and the matrix


def _heads(matrix: Matrix, width: int) -> list[str]:
    """Return what stands above the participants' columns: their names, or numbers where names take too much room."""
    names = [participant.name.replace(" (", "\n(") for participant in matrix.participants]
    widest = sum(max(7, *(len(line) for line in name.split("\n"))) + 2 for name in names)
    # 26 for the rows' names, 9 for the pairs
    return names if widest + 35 <= width else [str(place) for place in range(1, len(names) + 1)]


def _participants(matrix: Matrix, heads: list[str]) -> Table:
    table = _grid("", "")
    for participant, head in zip(matrix.participants, heads):
        name = f"{head} {participant.name}" if head.isdecimal() else participant.name
        words, style = participant.framework, ""
        if participant.problem:
            words, style = f"missing: {participant.problem}", _STYLES[MISSING]
        table.add_row(_text(name, "bold"), _text(words, style))
    for name in _FACTS:
        if matrix.facts.get(name):
            table.add_row(_text(name, "dim"), _text(matrix.facts[name], "dim"))
    return table


def _matrix(matrix: Matrix, heads: list[str]) -> Table:
    """Draw rows times participants, and one column for the worst of all pairs."""
    from rich.table import Table

    names = [participant.name for participant in matrix.participants]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("against the exact result", no_wrap=True)
    for head in heads:
        table.add_column(_text(head), no_wrap=True, vertical="bottom")
    if len(names) > 1:
        table.add_column("pairs", no_wrap=True)
    above = ("", "")
    for row, cells in cells_in_order(matrix).items():
        if (row.operation, row.implementation) != above:
            above = row.operation, row.implementation
            table.add_row(_text(" ".join(above), "bold"))
        shown = [cells.get((name, ORACLE)) for name in names]
        if len(names) > 1:
            pairs = [cell for (_, right), cell in cells.items() if right != ORACLE]
            shown.append(max(pairs, key=_badness, default=None))
        texts = (
            _text("" if cell is None else cell_text(cell), _STYLES[cell.verdict] if cell else "") for cell in shown
        )
        table.add_row(_text(f"  {row.kind} {row.dtype}"), *texts)
    return table


def _badness(cell: Cell) -> tuple[int, float]:
    # a pair that cannot be compared says less than one that can
    return -1 if cell.verdict == UNSUPPORTED else VERDICTS.index(cell.verdict), cell.fraction


# --------------------------------------------------------------------------- what failed


def _print_failures(matrix: Matrix, console: Console, verbose: bool) -> None:
    """Describe the failures: of each cell the worst, unless all are asked for."""
    failing, new = failing_cells(matrix)
    for place in failing if verbose else new[:_SHOWN]:
        failures = failing[place]
        shown = failures if verbose else [max(failures, key=severity)]
        for comparison in shown:
            _print_failure(matrix, console, place, comparison)
        if len(failures) > len(shown):
            console.print(_text(f"    and {number(len(failures) - len(shown))} more in this cell", "dim"))
        console.print()
    if not verbose and len(new) > _SHOWN:
        console.print(_text(f"{number(len(new) - _SHOWN)} more cells failed; --verbose describes them all", "bold"))
        console.print()
    if not verbose and len(failing) > len(new):
        console.print(_text(f"{number(len(failing) - len(new))} cells of pairs failed because of these", "dim"))
        console.print()


def _print_failure(matrix: Matrix, console: Console, place: Place, comparison: Comparison) -> None:
    from rich.padding import Padding

    row, left, right = place
    console.print(_text(f"{SYMBOLS[comparison.verdict]} {comparison.verdict}  {row}", _STYLES[comparison.verdict]))
    for words in (
        f"{left} against {against(right)}: {comparison.result} {how_much(comparison)}",
        str(matrix.cases[comparison.case]),
    ):
        console.print(Padding(_text(words), (0, 0, 0, 4), expand=False))
    # in one piece, to be copied
    console.print(_text(f"    again: {command(matrix, comparison)}", "cyan"), soft_wrap=True)
