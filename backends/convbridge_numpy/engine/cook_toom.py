"""The transforms of Winograd's minimal filtering, for any size of tiles and kernels: made, not listed.

Idea
    Two polynomials are multiplied by multiplying their values at enough points,
    and a correlation is that, transposed: m outputs of a kernel with r elements
    take m + r - 1 products, one for each point, instead of m r (Toom, Cook). With
    0, 1, -1, 2, -2 and infinity as points the transforms of pixels and outputs
    are small integers.
Large kernels
    More than six points would be fractions or larger numbers, whose powers round
    too much. A kernel that would need them is cut into pieces, each filtered by
    itself, and what they give is added: seven elements are four and three, which
    for 3 outputs take 6 and 5 products instead of 21.
Two axes
    A tile of an image is transformed along its rows and along its columns by the
    same matrices.
Rounding
    The entries are as large as 8, and what they add up cancels.
    :mod:`convbridge.parity.bounds_fast` derives a bound from their absolute values.
Source
    S. Winograd, *Arithmetic Complexity of Computations*, 1980; A. Lavin, S. Gray,
    "Fast Algorithms for Convolutional Neural Networks", 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Where polynomials are evaluated, in the order in which they are taken, before infinity.
POINTS = (0, 1, -1, 2, -2)


@dataclass(frozen=True, eq=False)
class Form:
    """The transforms for one size of tiles and kernels, along one axis.

    Attributes
    ----------
    name : str
        As :func:`convbridge.selection.note_trade` and :mod:`convbridge.parity.bounds_fast` know it.
    tile, kernel : int
        Outputs of a tile, and elements of a kernel.
    pixels, weights, outputs : ndarray
        B^T, (points, seen); G, (points, kernel); A^T, (tile, points).
    """

    name: str
    tile: int
    kernel: int
    pixels: Array
    weights: Array
    outputs: Array

    @property
    def points(self) -> int:
        """Products of a tile."""
        return len(self.pixels)

    @property
    def seen(self) -> int:
        """Pixels that a tile depends on."""
        return self.tile + self.shared

    @property
    def shared(self) -> int:
        """Those of them that the next tile depends on, too."""
        return self.kernel - 1


def minimal(tile: int, taps: int) -> tuple[Array, Array, Array]:
    """Make the transforms F(tile, taps) of a correlation, in one piece.

    Parameters
    ----------
    tile, taps : int
        Outputs, and elements of the kernel, at least 2: together at most two more than there are :data:`POINTS`.

    Returns
    -------
    pixels, weights, outputs : ndarray of float64
        B^T, (tile + taps - 1, tile + taps - 1); G, (tile + taps - 1, taps); A^T, (tile, tile + taps - 1).

    Examples
    --------
    Two outputs of three elements from four products:

    >>> B, G, A = minimal(2, 3)
    >>> A @ ((G @ [1, 0, 2]) * (B @ [1, 2, 3, 4]))
    array([ 7., 10.])
    """
    points = np.array(POINTS[: tile + taps - 2], float)
    others = [np.delete(points, index) for index in range(len(points))]
    scale = np.array([np.prod(point - rest) for point, rest in zip(points, others)])
    pixels = np.zeros((len(points) + 1, len(points) + 1))
    for row, rest in zip(pixels, others):  # the polynomial that is 0 at all other points
        row[:-1] = np.poly(rest)[::-1]
    pixels[-1] = np.poly(points)[::-1]
    weights = np.vstack([np.vander(points, taps, increasing=True) / scale[:, None], np.eye(taps)[-1]])
    outputs = np.hstack([np.vander(points, tile, increasing=True).T, np.eye(tile)[:, -1:]])
    return pixels, weights, outputs


@lru_cache(maxsize=64)
def form(tile: int, kernel: int) -> Form:
    """Make the transforms for one size of tiles and kernels.

    Parameters
    ----------
    tile, kernel : int
        Outputs of a tile, 2 to 4; elements of a kernel, at least 2.

    Returns
    -------
    Form
        The same object for the same numbers.

    Examples
    --------
    >>> four = form(4, 3)
    >>> four.name, four.seen, four.points
    ('Winograd F(4x4, 3x3)', 6, 6)

    In two pieces there are more products than pixels:

    >>> form(3, 7).seen, form(3, 7).points
    (9, 11)
    """
    pieces = np.array_split(np.arange(kernel), -(-kernel // (len(POINTS) + 2 - tile)))
    pixels, weights, outputs = [], [], []
    for piece in pieces:
        B, G, A = minimal(tile, len(piece))
        pixels.append(np.zeros((len(B), tile + kernel - 1)))
        pixels[-1][:, piece[0] : piece[0] + len(B)] = B
        weights.append(np.zeros((len(B), kernel)))
        weights[-1][:, piece] = G
        outputs.append(A)
    name = f"Winograd F({tile}x{tile}, {kernel}x{kernel})"
    return Form(name, tile, kernel, np.vstack(pixels), np.vstack(weights), np.hstack(outputs))
