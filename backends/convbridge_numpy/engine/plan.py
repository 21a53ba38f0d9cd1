"""Which algorithm computes a convolution: a table of shapes, and the reason for each row.

``plan(...)`` looks at numbers alone, so the same call is always computed in the
same way, and anyone can ask why. The rows, of which the first that fits is
taken (P is the number of output pixels of the whole batch):

=======================  ==================================================================
engine                   where
=======================  ==================================================================
depthwise.channels_last  one input channel for each group, many groups, narrow results
pointwise.grouped        few channels a group, 1x1 without stride or padding
lowered.grouped          few channels a group
depthwise.by_group       one or few channels a group otherwise: narrow results of few channels,
                         wide results of one, dilated rows
grouped                  other groups: each is planned by itself
winograd.four_by_four    only in "fast": 3x3 without stride; in a layer, which keeps its weights
                         transformed, where that takes the fewest steps [2]_; else for at least
                         32 channels and images of 20 x 20
winograd.two_by_two      only in "fast", in a layer: likewise; few pixels and many channels
fourier.filter_image     only in "fast": one channel, few kernels of at least 27 x 27, no stride,
                         large images
toeplitz.filter_image    one channel, few kernels, and images that are not small
pointwise.large          1x1, no padding, next to nothing to compute; small products [1]_
pointwise.small          1x1, no padding, few outputs of not too many channels; small products [1]_
pointwise.blocked        1x1, no padding or stride, a batch beyond the cache; small products [1]_
pointwise.small          1x1, no padding, few channels; small products [1]_
pointwise.merged         1x1, no padding, a batch of images of few pixels
pointwise.large          other 1x1 without padding
im2col.planar            next to nothing to compute
lowered.planar           few channels and C kh kw, or rows that fill vectors; small products [1]_
lowered.channels_last    more channels, enough pixels to reorder the weights for, not too
                         narrow; small products [1]_
im2col.channels_last     enough pixels, weights that fit the cache
im2col.planar            the rest: few pixels, large weights
=======================  ==================================================================

.. [1] Only where :func:`convbridge_numpy.engine.machine.small_products` says
   that they are fast: OpenBLAS on AVX-512, one thread.
.. [2] :func:`winograd_tile` counts them.

All but Winograd's and Fourier's keep the rounding bound of a dot product.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from convbridge.geometry import Pair
from convbridge_numpy.engine import machine, products

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

#: Bytes of a second-level cache, and of what a third-level cache still brings as fast as tiles of pixels need it.
SECOND_CACHE, THIRD_CACHE = 2**21, 2**25

#: Pixels of a tile that is worth a product, and channels of which so many and 32 outputs are still a small one.
LEAST_TILE, MOST_CHANNELS = 32, 976

#: Weights of a 1x1 kernel for which one large product of a single image is as fast as small ones.
MANY_WEIGHTS = 2**16

#: Pixels of a single image that are one product with 1x1 kernels, since to cut it up takes longer.
FEW_PIXELS = 300

#: Channels in a group up to which all groups are computed together.
FEW_IN_A_GROUP = 24

#: Weights that are repeated for every pixel of a row, where kernels have one channel.
COPIED_KERNELS = 2**19

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
        return _plan_groups(channels // groups, groups, kernel, out_size, stride, dilation, padded)
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
        return _plan_pointwise(images, channels, outputs, pixels, stride, item_size)
    if depth * images * pixels <= FEW_NUMBERS:
        return Plan("im2col.planar", "so little to do that the fewest steps win")
    if small:
        few = channels <= 16 and (depth <= 180 or (depth <= 400 and _planar_row_fits(out_size[1], depth, outputs)))
        if few and dilation[0] == 1:
            return Plan("lowered.planar", f"{channels} channels: rows of pixels are the longest runs")
        if (dilation[0] == 1 or stride[0] == 1) and images * pixels >= 300:
            return Plan("lowered.channels_last", f"C kh kw = {depth}: small products, enough pixels to reorder for")
    if channels >= 8 and images * pixels >= 300 and depth * outputs * item_size <= COPIED_WEIGHTS:
        return Plan("im2col.channels_last", "enough pixels to reorder images and weights for longer runs")
    return Plan("im2col.planar", "the weights serve as they are")


def _plan_pointwise(images: int, channels: int, outputs: int, pixels: int, stride: Pair, item_size: int) -> Plan:
    """Choose for 1x1 kernels without padding and groups."""
    number = images * pixels * channels * item_size
    if machine.small_products() and outputs >= 8:
        few = images == 1 and pixels <= FEW_PIXELS and channels <= 256
        if few or (images < 8 and pixels * channels * outputs <= machine.SMALL_PRODUCT):
            return Plan("pointwise.large", f"{pixels} pixels: less to do than to cut the work up")
        in_small = Plan("pointwise.small", f"{channels} channels, {outputs} outputs: too thin to pack into panels")
        thin = outputs <= products.BLOCK and channels * outputs * LEAST_TILE <= machine.SMALL_PRODUCT
        if thin and number <= THIRD_CACHE:
            return in_small
        beyond = stride == (1, 1) and (
            number > SECOND_CACHE // 2 if images > 1 else number > SECOND_CACHE and channels * outputs < MANY_WEIGHTS
        )
        if beyond and channels <= MOST_CHANNELS and (outputs > 32 or channels > 256):
            return Plan("pointwise.blocked", "pixels from beyond the cache: copied into it once, for all outputs")
        if thin or channels <= 96:
            return in_small
    if images > 1 and pixels <= 128 and number <= 2**23:
        return Plan("pointwise.merged", f"{pixels} pixels an image: the weights are read once for the batch")
    return Plan("pointwise.large", "the image is the matrix")


def _planar_row_fits(width: int, depth: int, outputs: int) -> bool:
    """Tell whether a row fills vectors of pixels about as well as outputs fill vectors."""
    if outputs < 32:
        return True
    block = min(outputs, products.BLOCK)
    costs = [
        products.row_cost(width, products.chunk_of_pixels(width, depth, block, across=across), across=across)
        for across in (True, False)
    ]
    return costs[0] <= 1.1 * costs[1]


def _plan_groups(
    each: int, groups: int, kernel: Pair, out_size: Pair, stride: Pair, dilation: Pair, padded: bool
) -> Plan:
    """Choose for several groups of ``each`` channels."""
    taps, width = kernel[0] * kernel[1], out_size[1]
    if each == 1:
        run = groups * (width if stride[1] == 1 else 1)
        narrow = width <= 16 or (taps >= 25 and width <= 32)
        if groups >= 32 and narrow and taps * run <= COPIED_KERNELS:
            return Plan("depthwise.channels_last", f"{width} pixels in a row, {groups} channels: the longer runs")
        return Plan("depthwise.by_group", "one input channel a group: nothing to multiply matrices for")
    if each <= FEW_IN_A_GROUP:
        if kernel == stride == (1, 1) and not padded:
            return Plan("pointwise.grouped", "the image is a matrix for each group")
        if dilation[0] == 1 and width > 10:
            return Plan("lowered.grouped", f"{each} channels a group: one call for all groups")
        return Plan("depthwise.by_group", f"{each} channels a group: one call for many groups, with rows joined")
    return Plan("grouped", "every group is a convolution of its own")


def winograd_tile(images: int, channels: int, outputs: int, out_size: Pair, kept: bool) -> int:
    """Choose the tiles for Winograd's filtering of 3x3 kernels, by the time of a multiplication of a direct engine.

    Every number below is for one pair of a channel and an output: weights are
    read, multiplied once for each tile or pixel, and the pixels of the tiles
    transformed, which all outputs or channels share. A layer may also have to
    compare its weights with those that it has transformed.

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
