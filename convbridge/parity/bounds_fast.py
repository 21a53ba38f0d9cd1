"""How far a result may lie from the exact one in "fast", engine by engine.

"exact" promises the bound of a dot product (:mod:`convbridge.parity.bounds`).
Engines that trade accuracy for speed promise something else, which is derived
here in the same way: every rounding on the way multiplies a term by ``1 + d``
with ``|d| <= u``; ``n`` of them by ``1 + theta`` with ``|theta| <= gamma_n``
[1]_; and what they multiply is bounded by the same computation with absolute
values.

An engine that computes in such a way says so
(:func:`convbridge.selection.note_trade`), and only then its result is judged by
the bound that stands here under its name; one without a name here keeps the
bound of a dot product. On a CPU the frameworks' convolutions keep it in "fast"
too. TF32, which "fast" allows them on CUDA, rounds both operands of a product
to 11 significant bits before it is added up in float32: to ``gamma_n`` come two
roundings of ``2**-11``, so ``(2 * 2**-11 + 2**-22 + 2 gamma_n) conv(|X|, |weight|)``
bounds it. No run on a CPU needs that.

References
----------
.. [1] N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
   2002, lemma 3.1.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any

import numpy as np

from convbridge.parity import bounds, oracle

__all__ = ["FOURIER", "WINOGRAD", "WINOGRAD_TWO", "conv2d_bound", "fourier_bound", "winograd_bound"]

Array = np.ndarray[Any, Any]

#: The names of the engines that :func:`winograd_bound` and :func:`fourier_bound` are about; of Winograd's, two of many.
WINOGRAD, WINOGRAD_TWO, FOURIER = "Winograd F(4x4, 3x3)", "Winograd F(2x2, 3x3)", "Fourier"

#: All of Winograd's: tiles and kernels.
_WINOGRAD = re.compile(r"Winograd F\((?P<tile>[234])x(?P=tile), (?P<kernel>\d+)x(?P=kernel)\)")

#: Where polynomials are evaluated; infinity follows.
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)


def _one_piece(tile: int, taps: int) -> tuple[Array, Array, Array]:
    """Return the absolute values of B^T, G and A^T for a kernel that is not cut, by another way than the engine's.

    Values of a polynomial at the points are a matrix V times its coefficients.
    The transforms of weights and outputs are the first columns of V; that of the
    pixels is the inverse of V, transposed, with each row brought to whole
    numbers by what its last entry lacks of 1, which the weights then get.
    """
    number = tile + taps - 1
    V = np.zeros((number, number))
    V[:-1] = np.vander(_POINTS[: number - 1], number, increasing=True)
    V[-1, -1] = 1
    B = np.linalg.inv(V).T
    lead = np.array([row[np.abs(row) > 1e-9][-1] for row in B])[:, None]
    G = np.zeros((number, taps))
    G[:-1], G[-1, -1] = V[:-1, :taps], 1
    A = np.zeros((tile, number))
    A[:, :-1], A[-1, -1] = V[:-1, :tile].T, 1
    return np.round(np.abs(B / lead)), np.abs(G * lead), np.abs(A)


@lru_cache(maxsize=64)
def _transforms(tile: int, kernel: int) -> tuple[Array, Array, Array]:
    """Return them for a kernel in pieces as equal as can be, none longer than there are points for."""
    pieces = -(-kernel // (len(_POINTS) + 2 - tile))
    lengths = [kernel // pieces + (index < kernel % pieces) for index in range(pieces)]
    found, start = [], 0
    for length in lengths:
        B, G, A = _one_piece(tile, length)
        after = kernel - start - length
        found.append((np.pad(B, ((0, 0), (start, after))), np.pad(G, ((0, 0), (start, after))), A.T))
        start += length
    B, G, A = map(np.vstack, zip(*found))
    return B, G, A.T


def winograd_bound(
    X: Any, weight: Any, bias: Any = None, *, dtype: str, padding: Any = 0, dilation: Any = 1, tile: int = 4
) -> Array:
    """Bound the rounding error of Winograd's minimal filtering, element by element.

    With the transforms ``Y = A^T [(G W G^T) * (B^T X B)] A`` the error is at most

        gamma_n |A|^T [ sum over channels of (|G| |W| |G|^T) * (|B|^T |X| |B|) ] |A|

    with ``n = C + k k + 3 + 2 s + 2 p`` for a kernel of k x k, where a tile sees s
    pixels along an axis and has p products: ``k k + 3`` roundings in the weights
    (as many terms, entries of G that are no machine numbers, and their product),
    twice s in the pixels, C in the sum over the channels, twice p in the results;
    one more for a bias. For tiles of 4 x 4 and a 3x3 kernel that is C + 36, for
    tiles of 2 x 2 C + 28.
    Products with zeros, by which a transform of several tiles is filled up, and
    their sums are exact. Where products
    are subnormal, half the smallest number comes for each of them: k k in a
    transformed weight, one for each channel. As in :mod:`convbridge.parity.bounds`
    the other half pays for the roundings that follow. Pixels and results are
    multiplied by integers, which does not underflow.

    Parameters
    ----------
    X : numpy.ndarray, shape (N, C, H, W)
        The numbers that take part, as the dtype of the computation holds them.
    weight : numpy.ndarray, shape (O, C, k, k)
        Likewise.
    bias : numpy.ndarray, shape (O,), optional
        Likewise.
    dtype : str
        "float32" or "float64".
    padding : int, pair or pair of pairs
        In numbers, as for :func:`convbridge.conv2d`.
    dilation : int or pair
        Likewise.
    tile : {4, 3, 2}
        Outputs of a tile along an axis.

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
    down, across = (int(step) for step in np.broadcast_to(dilation, 2))
    size = kernels.shape[2]
    window = (down * (size - 1) + 1, across * (size - 1) + 1)
    sides = oracle.sides(padding, (image.shape[2], image.shape[3]), window, (1, 1))
    padded = np.pad(image, ((0, 0), (0, 0), *sides))
    out_h, out_w = padded.shape[2] - window[0] + 1, padded.shape[3] - window[1] + 1
    magnitude, lost = np.zeros((2, len(image), len(kernels), out_h, out_w))
    for row, column in np.ndindex(min(down, out_h), min(across, out_w)):
        found = _of_tiles(padded[:, :, row::down, column::across], kernels, tile)
        magnitude[:, :, row::down, column::across], lost[:, :, row::down, column::across] = found
    B = _transforms(tile, size)[0]
    n = kernels.shape[1] + size**2 + 3 + 2 * sum(B.shape)
    if bias is not None:
        magnitude += np.abs(np.asarray(bias, np.float64)).reshape(-1, 1, 1)
        n += 1
    with np.errstate(over="ignore"):
        bound = bounds.gamma(n, dtype) * magnitude + lost * float(np.finfo(dtype).smallest_subnormal)
    # some hundred operations in float64 made the bound, all on positive numbers
    return np.asarray(bound * (1 + 2.0**-32))


def _of_tiles(image: Array, kernels: Array, tile: int) -> tuple[Array, Array]:
    """Compute with absolute values, and count what underflow may add: for an image that is padded and not dilated."""
    number, channels, height, width = image.shape
    outputs, size = kernels.shape[0], kernels.shape[2]
    B, G, A = _transforms(tile, size)
    out_h, out_w = height - size + 1, width - size + 1
    down, across = -(-out_h // tile), -(-out_w // tile)
    filled = np.pad(image, ((0, 0), (0, 0), (0, down * tile - out_h), (0, across * tile - out_w)))
    every_window: Any = np.lib.stride_tricks.sliding_window_view(filled, (1, 1, B.shape[1], B.shape[1]))
    pixels = B @ every_window[:, :, ::tile, ::tile, 0, 0] @ B.T
    summed = np.einsum("ocij,nctuij->notuij", G @ kernels @ G.T, pixels, optimize=True)
    tiny = size**2 * pixels.sum(axis=1, keepdims=True) + channels

    def back(products: Array) -> Array:
        tiles = (A @ products @ A.T).transpose(0, 1, 2, 4, 3, 5)
        return tiles.reshape(number, -1, down * tile, across * tile)[:, :, :out_h, :out_w]

    return back(summed), np.broadcast_to(back(tiny), (number, outputs, out_h, out_w))


def conv2d_bound(
    traded: Collection[str],
    X: Any,
    weight: Any,
    bias: Any = None,
    *,
    dtype: str,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    data_format: str = "NCHW",
) -> Array | None:
    """Bound what the engines that computed a convolution add to the bound of a dot product.

    Parameters
    ----------
    traded : collection of str
        Names of engines, as they noted them.
    X, weight, bias, dtype, stride, padding, dilation, groups, data_format
        As for :func:`convbridge.parity.bounds.conv2d_bound`.

    Returns
    -------
    numpy.ndarray of float64, or None
        With the shape of the result, or one for all; 0 for groups with numbers that are not
        finite, which must be computed directly. None where the bound of a dot
        product must be kept: no name that is known, or a call that no such
        engine can compute.

    Examples
    --------
    >>> X, weight = np.ones((1, 2, 6, 6)), np.ones((2, 1, 3, 3))
    >>> conv2d_bound({WINOGRAD}, X, weight, dtype="float32", groups=2).shape
    (1, 2, 4, 4)
    >>> conv2d_bound({WINOGRAD}, X, weight, dtype="float32", groups=2, stride=2) is None
    True
    """
    if np.any(np.asarray(stride) != 1) or dtype not in ("float32", "float64"):
        return None
    image = np.moveaxis(np.asarray(X), -1, 1) if data_format == "NHWC" else np.asarray(X)
    weight = np.asarray(weight)
    if FOURIER in traded and groups == image.shape[1] == 1 and np.all(np.asarray(dilation) == 1):
        return fourier_bound(X, weight)
    kernels = {(size, size): tile for tile, size in _winograd_forms(traded)}
    tile = kernels.get(weight.shape[2:], 0)
    if not tile:
        return None
    biases = [None] * groups if bias is None else np.split(np.asarray(bias), groups)
    parts = []
    for pixels, banks, own in zip(np.split(image, groups, axis=1), np.split(weight, groups), biases):
        finite = all(np.isfinite(part).all() for part in (pixels, banks))
        pixels, banks = (np.where(np.isfinite(part), part, 0) for part in (pixels, banks))
        bound = winograd_bound(pixels, banks, own, dtype=dtype, padding=padding, dilation=dilation, tile=tile)
        parts.append(bound if finite else np.zeros(bound.shape))
    whole = np.concatenate(parts, axis=1)
    return np.moveaxis(whole, 1, -1) if data_format == "NHWC" else whole


def _winograd_forms(traded: Collection[str]) -> list[tuple[int, int]]:
    """Return tiles and kernels of all of Winograd's engines among the names."""
    found = filter(None, map(_WINOGRAD.fullmatch, traded))
    return [(int(match["tile"]), int(match["kernel"])) for match in found]


def fourier_bound(X: Any, weight: Any) -> Array:
    """Bound what Fourier transforms in float64 add to the bound of a dot product.

    Each transform of ``n`` numbers has an error of at most ``f = 8 u log2(n)``
    times the norm of its result ([1]_, theorem 24.2, with weights that are off
    by u). By Cauchy's inequality the product of two spectra hands on
    ``2 f |X|_2 |K|_2``, its own roundings are less than ``f / 4`` of that, and
    the way back adds ``f |X|_2 |K|_1``, where ``|.|_1`` is the sum of absolute
    values. ``4 f |X|_2 |K|_1`` is more than all of it, and the norm of an image
    more than that of each of its tiles, whose sides have at most 256 or 8 times
    as many pixels as the kernel's. What underflows is far below 1e-300 times
    either operand. Rounding to the dtype of the result, and adding a bias, is
    less than the bound of a dot product allows.

    Parameters
    ----------
    X : numpy.ndarray, shape (N, 1, H, W) or (N, H, W, 1)
        Finite.
    weight : numpy.ndarray, shape (O, 1, kh, kw)
        Finite.

    Returns
    -------
    numpy.ndarray of float64, shape ()
        For every element: the larger of all images and kernels.

    Examples
    --------
    >>> bool(fourier_bound(np.ones((1, 1, 99, 99)), np.ones((1, 1, 31, 31))) < 1e-8)
    True
    """
    image, kernels = np.abs(np.asarray(X, np.longdouble)), np.abs(np.asarray(weight, np.longdouble))
    pixels = np.sqrt((image**2).sum(axis=(1, 2, 3))).max(initial=0.0)
    sums = kernels.sum(axis=(1, 2, 3)).max(initial=0.0)
    steps = sum(float(np.log2(max(256, 8 * k))) for k in kernels.shape[2:])
    error = 4 * 8 * bounds.unit_roundoff("float64") * steps * pixels * sums + 1e-300 * (1 + pixels + sums)
    return np.asarray(error, np.float64) * (1 + 2.0**-32)
