"""How far a result may lie from the exact one in "fast", engine by engine.

"exact" promises the bound of a dot product (:mod:`convbridge.parity.bounds`).
Engines that trade accuracy for speed promise something else, which is derived
here in the same way: every rounding on the way multiplies a term by ``1 + d``
with ``|d| <= u``; ``n`` of them by ``1 + theta`` with ``|theta| <= gamma_n``
[1]_; and what they multiply is bounded by the same computation with absolute
values.

References
----------
.. [1] N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
   2002, lemma 3.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.parity import bounds, oracle

__all__ = ["winograd_bound"]

Array = np.ndarray[Any, Any]

TILE, SEEN = 4, 6

#: The absolute values of the transforms of F(4x4, 3x3), written down apart from the engine's.
_PIXELS = np.array(
    [
        [4, 0, 5, 0, 1, 0],
        [0, 4, 4, 1, 1, 0],
        [0, 4, 4, 1, 1, 0],
        [0, 2, 1, 2, 1, 0],
        [0, 2, 1, 2, 1, 0],
        [0, 4, 0, 5, 0, 1],
    ],
    float,
)
_WEIGHTS = np.array(
    [
        [1 / 4, 0, 0],
        [1 / 6, 1 / 6, 1 / 6],
        [1 / 6, 1 / 6, 1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
_OUTPUTS = np.array([[1, 1, 1, 1, 1, 0], [0, 1, 1, 2, 2, 0], [0, 1, 1, 4, 4, 0], [0, 1, 1, 8, 8, 1]], float)


def winograd_bound(X: Any, weight: Any, bias: Any = None, *, dtype: str, padding: Any = 0) -> Array:
    """Bound the rounding error of Winograd's F(4x4, 3x3), element by element.

    With the transforms ``Y = A^T [(G W G^T) * (B^T X B)] A`` the error is at most

        gamma_n |A|^T [ sum over channels of (|G| |W| |G|^T) * (|B|^T |X| |B|) ] |A|

    with ``n = C + 34``: ten roundings in the weights (nine terms, and entries of
    G that are no machine numbers), twice six in the pixels, C in the sum over
    the channels, twice six in the results; one more for a bias.

    Parameters
    ----------
    X : numpy.ndarray, shape (N, C, H, W)
        The numbers that take part, as the dtype of the computation holds them.
    weight : numpy.ndarray, shape (O, C, 3, 3)
        Likewise.
    bias : numpy.ndarray, shape (O,), optional
        Likewise.
    dtype : str
        "float32" or "float64".
    padding : int, pair or pair of pairs
        In numbers, as for :func:`convbridge.conv2d`.

    Returns
    -------
    numpy.ndarray of float64, shape (N, O, H', W')

    Examples
    --------
    >>> X, weight = np.ones((1, 1, 6, 6)), np.ones((1, 1, 3, 3))
    >>> bound = winograd_bound(X, weight, dtype="float32")
    >>> bound.shape, bool((bound > bounds.conv2d_bound(X, weight, dtype="float32")).all())
    ((1, 1, 4, 4), True)
    """
    image, kernels = np.abs(np.asarray(X, np.float64)), np.abs(np.asarray(weight, np.float64))
    number, channels, height, width = image.shape
    (top, bottom), (left, right) = oracle.sides(padding, (height, width), (3, 3), (1, 1))
    out_h, out_w = height + top + bottom - 2, width + left + right - 2
    down, across = -(-out_h // TILE), -(-out_w // TILE)
    padded = np.zeros((number, channels, down * TILE + 2, across * TILE + 2))
    rows, columns = min(height, padded.shape[2] - top), min(width, padded.shape[3] - left)
    padded[:, :, top : top + rows, left : left + columns] = image[:, :, :rows, :columns]
    every_window: Any = np.lib.stride_tricks.sliding_window_view(padded, (1, 1, SEEN, SEEN))
    seen = every_window[:, :, ::TILE, ::TILE, 0, 0]
    pixels = _PIXELS @ seen @ _PIXELS.T
    weights = _WEIGHTS @ kernels @ _WEIGHTS.T
    summed = np.einsum("ocij,nctuij->notuij", weights, pixels, optimize=True)
    tiles = _OUTPUTS @ summed @ _OUTPUTS.T
    magnitude = tiles.transpose(0, 1, 2, 4, 3, 5).reshape(number, len(kernels), down * TILE, across * TILE)
    magnitude = magnitude[:, :, :out_h, :out_w]
    n = channels + 34
    if bias is not None:
        magnitude = magnitude + np.abs(np.asarray(bias, np.float64)).reshape(-1, 1, 1)
        n += 1
    return np.asarray(bounds.gamma(n, dtype) * magnitude)
