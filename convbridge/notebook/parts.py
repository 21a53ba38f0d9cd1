"""The parts of a notebook's output: grids of numbers, tables, curves, verdicts.

What may live here: HTML of no subject. Every function takes plain data and
escapes it, unless it says that it takes HTML. Their look is in ``style.css``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

__all__ = ["arrays", "code", "curves", "details", "grid", "number", "output", "paragraph", "row", "table", "verdict"]

Array = np.ndarray[Any, Any]

#: Rows and columns of a grid beyond which its middle is left out, and how many then stand at each end.
_MOST, _ENDS = 12, 4

#: Matrices of an array of more axes that are shown.
_MOST_MATRICES = 8

#: Rows of the table of numbers below a curve, and points of a line.
_MOST_ROWS, _MOST_POINTS = 11, 200

#: Strokes that can be told from each other, and from a white and a black page.
_STROKES = ("#3b7fc4", "#c26a12", "#2a8f5a", "#b0578d")

#: Behind numbers above and below zero.
_ABOVE, _BELOW = "59 127 196", "194 106 18"


def output(*parts: str) -> str:
    """Put parts together to what ``_repr_html_`` returns.

    Parameters
    ----------
    *parts : str
        HTML.

    Returns
    -------
    str

    Examples
    --------
    >>> shown = output(paragraph("2 < 3"))
    >>> shown.startswith('<div class="convbridge"><style>'), shown.endswith("<p>2 &lt; 3</p></div>")
    (True, True)
    """
    return f'<div class="convbridge"><style>{_style()}</style>{"".join(parts)}</div>'


@cache
def _style() -> str:
    return files("convbridge.notebook").joinpath("style.css").read_text(encoding="utf-8").partition("*/")[2].strip()


def paragraph(text: str, *, bold: str = "") -> str:
    """Write a paragraph, with some words in bold before it.

    Parameters
    ----------
    text, bold : str

    Returns
    -------
    str

    Examples
    --------
    >>> paragraph("what it is about", bold="edges")
    '<p><strong>edges</strong> what it is about</p>'
    """
    return f"<p><strong>{escape(bold)}</strong> {escape(text)}</p>" if bold else f"<p>{escape(text)}</p>"


def verdict(word: str, text: str, *, good: bool) -> str:
    """Write a verdict: its word in a frame, and what it means here.

    Parameters
    ----------
    word, text : str
    good : bool
        Whether it is what one hopes for.

    Returns
    -------
    str

    Examples
    --------
    >>> verdict("equal", "all results hold the same numbers", good=True)
    '<p><span class="verdict ok">equal</span> all results hold the same numbers</p>'
    """
    return f'<p><span class="verdict {"ok" if good else "bad"}">{escape(word)}</span> {escape(text)}</p>'


def code(marked: str) -> str:
    """Write a listing.

    Parameters
    ----------
    marked : str
        HTML, as :func:`convbridge.teaching.page.code.highlight` returns it.

    Returns
    -------
    str

    Examples
    --------
    >>> code("Y = X")
    '<pre><code>Y = X</code></pre>'
    """
    return f"<pre><code>{marked.strip()}</code></pre>"


def details(summary: str, *parts: str) -> str:
    """Fold parts away.

    Parameters
    ----------
    summary : str
        What stays to be seen.
    *parts : str
        HTML.

    Returns
    -------
    str

    Examples
    --------
    >>> details("more", "<p>...</p>")
    '<details><summary>more</summary><p>...</p></details>'
    """
    return f"<details><summary>{escape(summary)}</summary>{''.join(parts)}</details>"


def row(parts: Iterable[str]) -> str:
    """Put parts next to each other, as many as there is room for.

    Parameters
    ----------
    parts : iterable of str
        HTML.

    Returns
    -------
    str

    Examples
    --------
    >>> row(["<i>a</i>", "<i>b</i>"])
    '<div class="row"><div><i>a</i></div><div><i>b</i></div></div>'
    """
    return f'<div class="row">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: bool = True) -> str:
    """Write a table whose first column names its rows.

    Parameters
    ----------
    caption : str
    heads : sequence of str
        Of all columns; "" for none.
    rows : iterable of sequence
        Text, numbers, or None for an empty cell.
    numbers : bool, default True
        Whether the columns after the first hold numbers.

    Returns
    -------
    str

    Examples
    --------
    >>> shown = table("sizes", ["axis", "n"], [["height", 3]])
    >>> '<tr><th scope="row">height</th><td class="number">3</td></tr>' in shown
    True
    """
    kind = ' class="number"' if numbers else ""
    first, *others = (escape(head) for head in heads)
    head = f'<th scope="col">{first}</th>' + "".join(f'<th scope="col"{kind}>{other}</th>' for other in others)
    body = "".join(
        f'<tr><th scope="row">{_text(name)}</th>{"".join(f"<td{kind}>{_text(cell)}</td>" for cell in cells)}</tr>'
        for name, *cells in rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _text(value: Any) -> str:
    return "" if value is None else escape(number(value) if isinstance(value, float) else str(value))


def number(value: float) -> str:
    """Write a number as a grid shows it: four digits, whole numbers in full.

    Parameters
    ----------
    value : float

    Returns
    -------
    str

    Examples
    --------
    >>> [number(value) for value in (19.0, -0.98847, 123456.0, 1e-7, float("nan"), float("-inf"), -0.0)]
    ['19', '-0.9885', '123456', '1e-07', 'nan', '-inf', '0']
    """
    if float(value).is_integer() and abs(value) < 1e7:
        return str(int(value))
    return f"{value:.4g}"


# --------------------------------------------------------------------------- grids


def arrays(name: str, array: Array) -> str:
    """Write an array as grids: one for a matrix, for more axes one for each of its matrices.

    Parameters
    ----------
    name : str
    array : numpy.ndarray

    Returns
    -------
    str

    Examples
    --------
    >>> arrays("K", np.zeros((2, 1, 2))).count("<table")
    2
    >>> "K[1], 1 × 2" in arrays("K", np.zeros((2, 1, 2)))
    True
    """
    if all(length == 1 for length in array.shape[:-2]):
        return grid(name, array)
    places = list(np.ndindex(array.shape[:-2]))
    shown = [grid(f"{name}[{', '.join(map(str, place))}]", array[place]) for place in places[:_MOST_MATRICES]]
    hidden = len(places) - len(shown)
    return row([*shown, *([paragraph(f"and {hidden} more of {name} {array.shape}")] if hidden else [])])


def grid(name: str, matrix: Array) -> str:
    """Write a matrix as a grid of numbers, the larger ones on more colour.

    Parameters
    ----------
    name : str
    matrix : numpy.ndarray
        Of two axes, or more of length 1 before them. The middle of a large one is left out.

    Returns
    -------
    str

    Examples
    --------
    >>> shown = grid("K", np.array([[0.0, 1.0]]))
    >>> "<caption>K, 1 × 2</caption>" in shown, "<tr><td>0</td><td style=" in shown
    (True, True)
    """
    rows = np.atleast_2d(matrix.reshape(matrix.shape[-2:]))
    finite = np.abs(rows[np.isfinite(rows)]) if rows.dtype.kind == "f" else np.abs(rows)
    largest = float(finite.max(initial=0))
    lines = []
    for i in _places(rows.shape[0]):
        cells = [_cell(None if None in (i, j) else rows[i, j], largest) for j in _places(rows.shape[1])]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    size = " × ".join(map(str, matrix.shape)) or "a number"
    return (
        f'<div class="scroll"><table class="grid"><caption>{escape(name)}, {size}</caption>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _places(count: int) -> Iterator[int | None]:
    """Yield the indices of an axis that are shown, and None for those that are left out."""
    if count <= _MOST:
        yield from range(count)
        return
    yield from range(_ENDS)
    yield None
    yield from range(count - _ENDS, count)


def _cell(value: Any, largest: float) -> str:
    if value is None:
        return "<td>…</td>"
    strength = 0.4 * abs(float(value)) / largest if largest and np.isfinite(value) else 0.0
    tint = f' style="background: rgb({_ABOVE if value > 0 else _BELOW} / {strength:.2f})"' if strength else ""
    return f"<td{tint}>{number(float(value))}</td>"


# --------------------------------------------------------------------------- curves

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 480.0, 200.0, 60.0, 34.0, 10.0


def curves(caption: str, lines: Mapping[str, Sequence[float]]) -> str:
    """Draw numbers over steps, one line for each name; the numbers themselves are folded away below.

    Lines that lie on each other stay visible: their dashes take turns.

    Parameters
    ----------
    caption : str
    lines : mapping
        Name to numbers, one a step. What is not finite is left out of the drawing.

    Returns
    -------
    str

    Examples
    --------
    >>> drawn = curves("loss", {"numpy": [8.0, 4.0, 2.0], "torch": [8.0, 4.0, 2.0]})
    >>> drawn.count("<polyline"), "<svg" in drawn, '<th scope="col" class="number">torch</th>' in drawn
    (2, True, True)
    """
    values = {name: np.asarray(line, np.float64) for name, line in lines.items()}
    steps = max((len(line) for line in values.values()), default=0)
    if not steps:
        return paragraph(f"{caption}: no steps")
    shown = np.concatenate([line[np.isfinite(line)] for line in values.values()])
    parts = [_drawing(caption, values, shown, steps)] if shown.size else []
    chosen = sorted({round(step) for step in np.linspace(0, steps - 1, min(steps, _MOST_ROWS))})
    rows = ([step + 1, *(float(line[step]) for line in values.values())] for step in chosen)
    return "".join([*parts, details(f"{caption} in numbers", table(caption, ["step", *values], rows))])


def _drawing(caption: str, values: Mapping[str, Array], shown: Array, steps: int) -> str:
    low, high = float(shown.min()), float(shown.max())
    logarithmic = low > 0 and high > 100 * low
    scale = np.log10 if logarithmic else np.asarray
    bottom, top = (float(scale(limit)) for limit in (low if logarithmic else min(low, 0.0), high))
    span = (top - bottom) or 1.0

    def place(step: int, value: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - 10) * step / max(steps - 1, 1)
        y = _TOP + (_HEIGHT - _BOTTOM - _TOP) * (top - float(scale(value))) / span
        return f"{x:.1f},{y:.1f}"

    drawn = []
    for index, line in enumerate(values.values()):
        points = [place(step, line[step]) for step in _thinned(len(line)) if np.isfinite(line[step])]
        points = points if len(points) > 1 else points * 2  # one point is no line
        turn = (
            f' stroke-dasharray="8 {8 * len(values) - 8}" stroke-dashoffset="{-8 * index}"' if len(values) > 1 else ""
        )
        colour = _STROKES[index % len(_STROKES)] if len(values) > 1 else "currentColor"
        drawn.append(f'<polyline points="{" ".join(points)}" stroke="{colour}"{turn}/>')
    floor = _HEIGHT - _BOTTOM
    texts = [
        (_LEFT - 6, _TOP + 8, "end", number(float(f"{high:.3g}"))),
        (_LEFT - 6, floor, "end", number(float(f"{low if logarithmic else min(low, 0.0):.3g}"))),
        (_LEFT, floor + 16, "middle", "1"),
        (_WIDTH - 10, floor + 16, "end", str(steps)),
        ((_LEFT + _WIDTH) / 2, floor + 16, "middle", "step"),
    ]
    labels = "".join(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{text}</text>' for x, y, anchor, text in texts)
    words = f"{caption} over {steps} steps{', logarithmic' if logarithmic else ''}"
    names = "".join(
        f'<span style="border-bottom: 3px solid {_STROKES[index % len(_STROKES)]}">{escape(name)}</span> '
        for index, name in enumerate(values)
    )
    legend = f"<p>{escape(words)}: {names}</p>" if len(values) > 1 else paragraph(words)
    return (
        f'{legend}<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" width="{_WIDTH:g}" height="{_HEIGHT:g}" role="img" '
        f'aria-label="{escape(words)}">'
        f'<path d="M{_LEFT:g} {_TOP:g}V{floor:g}H{_WIDTH - 10:g}" fill="none" stroke="currentColor" opacity="0.5"/>'
        f'<g fill="none" stroke-width="2.5">{"".join(drawn)}</g>'
        f'<g font-size="12" fill="currentColor">{labels}</g></svg>'
    )


def _thinned(count: int) -> Iterator[int]:
    """Yield the steps that are drawn: all, or so many that nobody sees the difference."""
    every = max(1, count // _MOST_POINTS)
    yield from range(0, count - 1, every)
    yield count - 1
