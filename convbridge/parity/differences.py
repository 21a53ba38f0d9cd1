"""Two results that differ: where, by how much, and how it looks there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from convbridge.parity.symptoms import locate

__all__ = ["Difference", "difference", "neighbourhood"]

Array = np.ndarray[Any, Any]
Place = tuple[int, ...]

#: How many rows and columns are shown on each side of the worst element.
_AROUND = (1, 2)


class Difference(NamedTuple):
    """What :func:`difference` finds.

    Attributes
    ----------
    wrong : numpy.ndarray of bool
        Where the two are further apart than the bound.
    apart : numpy.ndarray of float64
        How far; infinity where they cannot be subtracted.
    fraction : numpy.ndarray of float64
        The same over the bound; 0 where the two are the same.
    """

    wrong: Array
    apart: Array
    fraction: Array

    @property
    def first(self) -> Place:
        """The first wrong element, in row-major order."""
        return tuple(int(n) for n in np.argwhere(self.wrong)[0])

    @property
    def worst(self) -> Place:
        """The element that is furthest beyond its bound; of equals the one that is furthest off."""
        flat = np.lexsort((self.apart.ravel(), self.fraction.ravel()))[-1]
        return tuple(int(n) for n in np.unravel_index(flat, self.apart.shape))

    def __str__(self) -> str:
        where = locate(self.wrong)
        return f"{int(self.wrong.sum())} of {self.wrong.size} elements differ{f', {where}' if where else ''}"


def difference(a: Array, b: Array, bound: Array) -> Difference:
    """Compare two arrays of one shape, element by element.

    Parameters
    ----------
    a, b : numpy.ndarray
        A NaN equals a NaN, an infinity itself.
    bound : numpy.ndarray of float64
        How far they may be apart; a NaN allows nothing.

    Returns
    -------
    Difference

    Examples
    --------
    >>> print(difference(np.array([1.0, np.nan, 2.0]), np.array([1.0, np.nan, 2.5]), np.full(3, 0.1)))
    1 of 3 elements differ, all at index 2 of axis 0, the last
    """
    wide = [array.astype(np.longdouble) for array in (a, b)]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        same = (wide[0] == wide[1]) | (np.isnan(wide[0]) & np.isnan(wide[1]))
        apart = np.where(same, 0, np.abs(wide[0] - wide[1])).astype(np.float64)
        apart[np.isnan(apart)] = np.inf
        fraction = np.where(same, 0, apart / bound)
    fraction[np.isnan(fraction)] = np.inf
    return Difference(~(fraction <= 1), apart, fraction)


def neighbourhood(a: Array, b: Array, place: Place, names: tuple[str, str]) -> str:
    """Show what stands around one element in both arrays.

    Parameters
    ----------
    a, b : numpy.ndarray
        Of one shape.
    place : tuple of int
        The element.
    names : (str, str)
        Headings.

    Returns
    -------
    str
        Some lines; "" for arrays without axes.

    Examples
    --------
    >>> print(neighbourhood(np.eye(3), 2 * np.eye(3), (0, 0), ("f", "g")))
    around [0, 0], that is [0:2, 0:3]
      f      g
      1 0 0  2 0 0
      0 1 0  0 2 0
    """
    if not place:
        return ""
    shown = [slice(n, n + 1) for n in place]
    for axis, around in zip((-2, -1), _AROUND):
        if len(place) >= -axis:
            start = max(place[axis] - around, 0)
            shown[axis] = slice(start, min(place[axis] + around + 1, a.shape[axis]))
    blocks = [_block(array[tuple(shown)]) for array in (a, b)]
    width = max(len(names[0]), *(len(line) for line in blocks[0]))
    lines = [f"{left:{width}}  {right}" for left, right in zip((names[0], *blocks[0]), (names[1], *blocks[1]))]
    window = [f"{part.start}:{part.stop}" if part.stop - part.start > 1 else str(part.start) for part in shown]
    head = f"around [{', '.join(map(str, place))}], that is [{', '.join(window)}]"
    return "\n".join([head, *(f"  {line}".rstrip() for line in lines)])


def _block(values: Array) -> list[str]:
    rows = values.reshape(-1, values.shape[-1])
    words = [[f"{float(value):.6g}" for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*words)]
    return [" ".join(word.rjust(width) for word, width in zip(row, widths)) for row in words]
