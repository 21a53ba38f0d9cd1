"""Which algorithm computes a convolution: a table of shapes, and the reason for each row.

``plan(...)`` looks at numbers alone, so the same call is always computed in the
same way, and anyone can ask why. The rows, of which the first that fits is
taken (P is the number of output pixels of the whole batch):

=====================  ==================================================================
engine                 where
=====================  ==================================================================
depthwise.by_channel   one input channel for each group
grouped                other groups: each is planned by itself
winograd.four_by_four  only in "fast": 3x3 without stride; in a layer, which keeps its weights
                       transformed, where that takes the fewest steps [2]_; else for at least
                       32 channels and images of 20 x 20
winograd.two_by_two    only in "fast", in a layer: likewise; few pixels and many channels
fourier.filter_image   only in "fast": one channel, few kernels of at least 27 x 27, no stride,
                       large images
toeplitz.filter_image  one channel, few kernels, and images that are not small
pointwise.small        1x1, no padding, few channels; small products [1]_
pointwise.merged       1x1, no padding, a batch of images of few pixels
pointwise.large        other 1x1 without padding
im2col.planar          next to nothing to compute
lowered.planar         few channels, small weights; small products [1]_
lowered.channels_last  more channels, enough pixels to reorder the weights for; small
                       products [1]_
im2col.channels_last   enough pixels, weights that fit the cache
im2col.planar          the rest: few pixels, large weights
=====================  ==================================================================

.. [1] Only where :func:`convbridge_numpy.engine.machine.small_products` says
   that they are fast: OpenBLAS on AVX-512, one thread.
.. [2] :func:`winograd_tile` counts them.

All but Winograd's and Fourier's keep the rounding bound of a dot product.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from convbridge.geometry import Pair
from convbridge_numpy.engine import machine

#: Weights that an engine may copy, in bytes: more would not stay in the cache, nor within the promised memory.
COPIED_WEIGHTS = 5 * 2**20

#: Numbers of weights that are worth transforming for one call.
TRANSFORMED_WEIGHTS = 2**20

#: Multiplications in the time in which a number is read from beyond the second-level cache.
READING = 24

#: Multiplications in the time in which a channel's pixel is transformed, and an output's; and how much
#: longer they take with tiles of 2 x 2.
TRANSFORM_PIXEL, TRANSFORM_OUTPUT, TRANSFORM_TWO = 143, 107, 1.5

#: How much longer the direct engines take than their multiplications: they copy windows.
COPYING = 1.3

#: Elements of a kernel from which on Fourier transforms take less time than products.
LARGE_KERNEL = 27**2

#: Elements of the matrix of columns below which Python takes longer than the arithmetic.
FEW_NUMBERS = 25_000


class Plan(NamedTuple):
    """What was decided, and why.

    Attributes
    ----------
    engine : str
        Module and function under ``convbridge_numpy.engine``.
    reason : str
        In words.
    """

    engine: str
    reason: str


@lru_cache(maxsize=512)
def plan(
    images: int,
    channels: int,
    outputs: int,
    kernel: Pair,
    out_size: Pair,
    *,
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    padded: bool = False,
    groups: int = 1,
    item_size: int = 4,
    fast: bool = False,
    kept: bool = False,
) -> Plan:
    """Choose an engine.

    Parameters
    ----------
    images, channels, outputs : int
        N, C and O.
    kernel, out_size, stride, dilation : (int, int)
        Of the operation and its result.
    padded : bool
        Whether there is padding.
    groups : int
        Blocks of channels.
    item_size : int
        Bytes of an element.
    fast : bool
        Whether accuracy may be traded for speed.
    kept : bool
        Whether weights are transformed once for many calls.

    Returns
    -------
    Plan

    Examples
    --------
    >>> plan(1, 2048, 512, (1, 1), (7, 7)).engine
    'pointwise.large'
    """
    if groups > 1:
        if groups == channels:
            return Plan("depthwise.by_channel", "one input channel a group: nothing to multiply matrices for")
        return Plan("grouped", "every group is a convolution of its own")
    pixels = out_size[0] * out_size[1]
    depth = channels * kernel[0] * kernel[1]
    small = machine.small_products()
    plain = kernel == (3, 3) and stride == dilation == (1, 1)
    tile = winograd_tile(images, channels, outputs, out_size, kept) if fast and plain else 0
    if tile == 4:
        return Plan("winograd.four_by_four", "a quarter of the multiplications, where rounding may be larger")
    if tile == 2:
        return Plan("winograd.two_by_two", "fewer multiplications, and fewer weights to read than with larger tiles")
    large = kernel[0] * kernel[1] >= LARGE_KERNEL and max(kernel) <= 256 and pixels >= 2**14
    if fast and channels == 1 and outputs <= 4 and large and stride == dilation == (1, 1):
        return Plan("fourier.filter_image", "a kernel so large that two transforms take less")
    if channels == 1 and outputs <= 4 and kernel[1] > 1 and dilation[0] == 1 and stride[1] <= 2 and pixels >= 2**12:
        return Plan(
            "toeplitz.filter_image", "one channel: stretches of outputs give BLAS more than one row to multiply"
        )
    if kernel == (1, 1) and not padded:
        if small and outputs >= 8 and (channels <= 96 or (channels <= 256 and outputs <= 64)):
            return Plan("pointwise.small", f"{channels} channels, {outputs} outputs: too thin to pack into panels")
        if images > 1 and pixels <= 128 and images * pixels * channels * item_size <= 2**23:
            return Plan("pointwise.merged", f"{pixels} pixels an image: the weights are read once for the batch")
        return Plan("pointwise.large", "the image is the matrix")
    if depth * images * pixels <= FEW_NUMBERS:
        return Plan("im2col.planar", "so little to do that the fewest steps win")
    if small and dilation[0] == 1:
        if depth <= 400 and channels <= 16:
            return Plan("lowered.planar", f"{channels} channels: rows of pixels are the longest runs")
        if depth <= 1700 and images * pixels >= 300 and depth * outputs * item_size <= COPIED_WEIGHTS:
            return Plan("lowered.channels_last", f"C kh kw = {depth}: small products, enough pixels to reorder for")
    if channels >= 8 and images * pixels >= 300 and depth * outputs * item_size <= COPIED_WEIGHTS:
        return Plan("im2col.channels_last", "enough pixels to reorder images and weights for longer runs")
    return Plan("im2col.planar", "the weights serve as they are")


def winograd_tile(images: int, channels: int, outputs: int, out_size: Pair, kept: bool) -> int:
    """Choose the tiles for Winograd's filtering of 3x3 kernels, by the time of a multiplication of a direct engine.

    Every number below is for one pair of a channel and an output: weights are
    read, multiplied once for each tile or pixel, and the pixels of the tiles
    transformed, which all outputs or channels share. A layer also compares its
    weights with those that it has transformed.

    Parameters
    ----------
    images, channels, outputs, out_size, kept
        As for :func:`plan`.

    Returns
    -------
    int
        Outputs of a tile along an axis, 4 or 2; 0 where a direct engine is faster.

    Examples
    --------
    >>> [winograd_tile(1, 512, 512, (size, size), kept=True) for size in (7, 14, 28)]
    [0, 2, 4]
    """
    if not kept:
        enough = min(channels, outputs) >= 32 and min(out_size) >= 20
        return 4 if enough and 9 * channels * outputs <= TRANSFORMED_WEIGHTS else 0
    pixels = images * out_size[0] * out_size[1]
    costs = {0: COPYING * 9 * (pixels + READING)}
    for tile, factor in ((4, 1.0), (2, TRANSFORM_TWO)):
        tiles = images * -(-out_size[0] // tile) * -(-out_size[1] // tile)
        transforms = factor * (TRANSFORM_PIXEL / outputs + TRANSFORM_OUTPUT / channels) * tiles * tile**2
        costs[tile] = (tile + 2) ** 2 * (tiles + READING) + transforms + 2 * 9 * READING
    return min(costs, key=costs.__getitem__)
