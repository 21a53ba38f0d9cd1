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

from collections.abc import Collection
from typing import Any

import numpy as np

from convbridge.parity import bounds, oracle

__all__ = ["FOURIER", "WINOGRAD", "WINOGRAD_TWO", "conv2d_bound", "fourier_bound", "winograd_bound"]

Array = np.ndarray[Any, Any]

#: The names of the engines that :func:`winograd_bound` and :func:`fourier_bound` are about.
WINOGRAD, WINOGRAD_TWO, FOURIER = "Winograd F(4x4, 3x3)", "Winograd F(2x2, 3x3)", "Fourier"

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

#: The same of F(2x2, 3x3).
_PIXELS_TWO = np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]], float)
_WEIGHTS_TWO = np.array([[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, 1 / 2, 1 / 2], [0, 0, 1]])
_OUTPUTS_TWO = np.array([[1, 1, 1, 0], [0, 1, 1, 1]], float)

#: Outputs of a tile along an axis: absolute values of the transforms of pixels, weights and outputs.
_TRANSFORMS = {4: (_PIXELS, _WEIGHTS, _OUTPUTS), 2: (_PIXELS_TWO, _WEIGHTS_TWO, _OUTPUTS_TWO)}


def winograd_bound(X: Any, weight: Any, bias: Any = None, *, dtype: str, padding: Any = 0, tile: int = 4) -> Array:
    """Bound the rounding error of Winograd's F(4x4, 3x3) or F(2x2, 3x3), element by element.

    With the transforms ``Y = A^T [(G W G^T) * (B^T X B)] A`` the error is at most

        gamma_n |A|^T [ sum over channels of (|G| |W| |G|^T) * (|B|^T |X| |B|) ] |A|

    with ``n = C + 34``: ten roundings in the weights (nine terms, and entries of
    G that are no machine numbers), twice six in the pixels, C in the sum over
    the channels, twice six in the results; one more for a bias. Tiles of 2 x 2
    see four pixels along an axis instead of six, so there ``n = C + 26``.
    Products with zeros, by which a transform of several tiles is filled up, and
    their sums are exact. Where products
    are subnormal, half the smallest number comes for each of them: nine in a
    transformed weight, one for each channel. As in :mod:`convbridge.parity.bounds`
    the other half pays for the roundings that follow. Pixels are multiplied by
    integers, which does not underflow.

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
    tile : {4, 2}
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
    number, channels, height, width = image.shape
    (top, bottom), (left, right) = oracle.sides(padding, (height, width), (3, 3), (1, 1))
    out_h, out_w = height + top + bottom - 2, width + left + right - 2
    B, G, A = _TRANSFORMS[tile]
    seen_pixels = tile + 2
    down, across = -(-out_h // tile), -(-out_w // tile)
    padded = np.zeros((number, channels, down * tile + 2, across * tile + 2))
    rows, columns = min(height, padded.shape[2] - top), min(width, padded.shape[3] - left)
    padded[:, :, top : top + rows, left : left + columns] = image[:, :, :rows, :columns]
    every_window: Any = np.lib.stride_tricks.sliding_window_view(padded, (1, 1, seen_pixels, seen_pixels))
    seen = every_window[:, :, ::tile, ::tile, 0, 0]
    pixels = B @ seen @ B.T
    weights = G @ kernels @ G.T
    summed = np.einsum("ocij,nctuij->notuij", weights, pixels, optimize=True)
    tiles = A @ summed @ A.T
    magnitude = tiles.transpose(0, 1, 2, 4, 3, 5).reshape(number, len(kernels), down * tile, across * tile)
    magnitude = magnitude[:, :, :out_h, :out_w]
    n = channels + 10 + 4 * seen_pixels
    if bias is not None:
        magnitude = magnitude + np.abs(np.asarray(bias, np.float64)).reshape(-1, 1, 1)
        n += 1
    lost = A @ (9 * pixels.sum(axis=1, keepdims=True).transpose(0, 2, 3, 1, 4, 5) + channels) @ A.T
    lost = lost.transpose(0, 3, 1, 4, 2, 5).reshape(number, 1, down * tile, across * tile)[:, :, :out_h, :out_w]
    with np.errstate(over="ignore"):
        bound = bounds.gamma(n, dtype) * magnitude + lost * float(np.finfo(dtype).smallest_subnormal)
    # some hundred operations in float64 made the bound, all on positive numbers
    return np.asarray(bound * (1 + 2.0**-32))


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
    plain = all(np.all(np.asarray(steps) == 1) for steps in (stride, dilation))
    if not plain or dtype not in ("float32", "float64"):
        return None
    image = np.moveaxis(np.asarray(X), -1, 1) if data_format == "NHWC" else np.asarray(X)
    weight = np.asarray(weight)
    if FOURIER in traded and groups == image.shape[1] == 1:
        return fourier_bound(X, weight)
    tile = 4 if WINOGRAD in traded else 2 if WINOGRAD_TWO in traded else 0
    if not tile or weight.shape[2:] != (3, 3):
        return None
    biases = [None] * groups if bias is None else np.split(np.asarray(bias), groups)
    parts = []
    for pixels, kernels, own in zip(np.split(image, groups, axis=1), np.split(weight, groups), biases):
        finite = all(np.isfinite(part).all() for part in (pixels, kernels))
        pixels, kernels = (np.where(np.isfinite(part), part, 0) for part in (pixels, kernels))
        bound = winograd_bound(pixels, kernels, own, dtype=dtype, padding=padding, tile=tile)
        parts.append(bound if finite else np.zeros(bound.shape))
    whole = np.concatenate(parts, axis=1)
    return np.moveaxis(whole, 1, -1) if data_format == "NHWC" else whole


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
