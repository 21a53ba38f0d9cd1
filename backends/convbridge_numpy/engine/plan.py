"""Which algorithm computes a convolution: a table of shapes, and the reason for each row.

``plan(...)`` looks at shapes and layout alone, so the same call is always
computed in the same way, and anyone can ask why. The rows, of which the first
that fits is taken (P is the number of output pixels of the whole batch):

=======================  ==================================================================
engine                   where
=======================  ==================================================================
depthwise.channels_last  one input channel for each group, many groups, narrow results or
                         channels that are adjacent in memory
shifted.by_channel       one input channel for each group, not too little [3]_: results that are
                         rather narrow, a stride along the width, dilated rows
banded.by_channel        one input channel for each group otherwise, not too little [3]_
pointwise.grouped        few channels a group, 1x1 without stride or padding
lowered.grouped          few channels a group
depthwise.by_group       one or few channels a group otherwise: narrow results of few channels,
                         wide results of one, rows dilated very far
grouped                  other groups: each is planned by itself
winograd.four_by_four    only in "fast": square kernels without stride, where the transforms
winograd.three_by_three  are worth the multiplications that they save [2]_; in a layer, which
winograd.two_by_two      keeps its weights transformed, sooner
fourier.filter_image     only in "fast": one channel, few kernels of at least 27 x 27, no stride,
                         large images
banded.by_channel        one channel, few kernels of at most 7 x 7, images that are not small [3]_
toeplitz.filter_image    one channel, few kernels, and images that are not small
pointwise.large          1x1, no padding, next to nothing to compute; small products [1]_
pointwise.small          1x1, no padding, few outputs of not too many channels; small products [1]_
pointwise.blocked        1x1, no padding or stride, a batch beyond the cache; small products [1]_
pointwise.small          1x1, no padding, few channels; small products [1]_
pointwise.merged         1x1, no padding, a batch of images of few pixels
pointwise.large          other 1x1 without padding
im2col.planar            next to nothing to compute
lowered.planar           few channels and C kh kw, or rows that fill vectors; small products [1]_
lowered.channels_last    more channels, enough pixels to reorder the weights for, the fewer the
                         fewer outputs; in "fast" in a layer, which keeps them in order, any;
                         small products [1]_
im2col.channels_last     few outputs, with small products [1]_; else enough pixels, and weights
                         that fit the cache
im2col.planar            the rest: few pixels, large weights
=======================  ==================================================================

.. [1] Only where :func:`convbridge_numpy.engine.machine.small_products` says
   that they are fast: OpenBLAS on AVX-512, one thread.
.. [2] :mod:`convbridge_numpy.engine.winograd_tile` counts both.
.. [3] Only where :func:`convbridge_numpy.engine.machine.small_kernels` says that
   there are such.

All but Winograd's and Fourier's keep the rounding bound of a dot product.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from convbridge.geometry import Pair
from convbridge_numpy.engine import machine, products
from convbridge_numpy.engine.winograd_tile import winograd_tile

#: Weights that an engine may copy, in bytes: more would not stay in the cache, nor within the promised memory.
COPIED_WEIGHTS = 5 * 2**20

#: Elements of a kernel from which on Fourier transforms take less time than products.
LARGE_KERNEL = 27**2

#: Bytes of a second-level cache, and of what a third-level cache still brings as fast as tiles of pixels need it.
SECOND_CACHE, THIRD_CACHE = 2**21, 2**25

#: Outputs up to which pixels from anywhere in that cache are multiplied where they lie; with more, from half of it: a
#: copy then costs little beside the products, and does not depend on what else is in the cache.
SOME_OUTPUTS = 48

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

#: Outputs of an image that are worth building matrices of kernels with one channel for, and elements of such kernels
#: from which on a copy of each window takes longer than anything else.
ENOUGH_OUTPUTS, MANY_TAPS = 2**14, 25

#: Pixels in a row of results: up to which channels are made adjacent, where matrices are worth building and where they
#: are not; the latter also up to which a row is too short a run to be copied for each column of a kernel; and up to
#: which the products of a stride find room in a cache.
SHORT_ROW, MEDIUM_ROW, LONG_ROW = 11, 16, 256

#: Rows of an image between the first and the last of a dilated kernel beyond which matrices hold too many zeros.
FARTHEST = 16

#: Rows and columns of a kernel up to which a band along the height, which copies the image once for each column, takes
#: less than one along the width, which copies little and multiplies more zeros.
SHORT_BAND = 7

#: Elements of the matrix of columns below which Python takes longer than the arithmetic.
FEW_NUMBERS = 25_000

#: Pixels for which any weights are worth reordering, and multiplications below which fewer never are.
ENOUGH_PIXELS, FEW_PRODUCTS = 300, 2**21

#: Channels that are worth turning an image for, where outputs are too few to fill a large product's panels.
TURNED_CHANNELS, FEW_OUTPUTS = 24, 32


#: Winograd's engines by the outputs of a tile, each with the reason for it.
WINOGRAD = {
    4: ("winograd.four_by_four", "a quarter of a 3x3 kernel's multiplications or less, where rounding may be larger"),
    3: ("winograd.three_by_three", "fewer multiplications, for a size that such tiles divide, or for a large kernel"),
    2: ("winograd.two_by_two", "fewer multiplications, and fewer weights to read than with larger tiles"),
}


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
    channels_last: bool = False,
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
    channels_last : bool
        Whether the channels of the image are adjacent in memory.
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
        each = channels // groups
        return _plan_groups(each, groups, outputs, kernel, out_size, stride, dilation, padded, channels_last)
    pixels = out_size[0] * out_size[1]
    depth = channels * kernel[0] * kernel[1]
    small = machine.small_products()
    if fast and kernel[0] == kernel[1] and stride == (1, 1):
        tile = winograd_tile(images, channels, outputs, kernel[0], out_size, dilation=dilation, kept=kept)
        if tile:
            return Plan(*WINOGRAD[tile])
    large = kernel[0] * kernel[1] >= LARGE_KERNEL and max(kernel) <= 256 and pixels >= 2**14
    if fast and channels == 1 and outputs <= 4 and large and stride == dilation == (1, 1):
        return Plan("fourier.filter_image", "a kernel so large that two transforms take less")
    if channels == 1 and outputs <= 4 and kernel[1] > 1 and dilation[0] == 1 and stride[1] <= 2 and pixels >= 2**12:
        if machine.small_kernels() and max(kernel) <= SHORT_BAND:
            return Plan("banded.by_channel", "one channel: rows of outputs give BLAS more than one row to multiply")
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
        # in "exact" a layer takes what a function takes, and returns the same bits
        in_order = (fast and kept) or _worth_reordering(images * pixels, depth, outputs)
        if (dilation[0] == 1 or stride[0] == 1) and in_order:
            return Plan("lowered.channels_last", f"C kh kw = {depth}: small products, enough pixels to reorder for")
    if small and channels >= TURNED_CHANNELS and outputs <= FEW_OUTPUTS:
        return Plan("im2col.channels_last", f"{outputs} outputs: longer runs, and pixels that fill vectors")
    if channels >= 8 and images * pixels >= ENOUGH_PIXELS and depth * outputs * item_size <= COPIED_WEIGHTS:
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
        near = THIRD_CACHE if outputs <= SOME_OUTPUTS else THIRD_CACHE // 2
        if thin and number <= near:
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


def _worth_reordering(pixels: int, depth: int, outputs: int) -> bool:
    """Tell whether small products save more than it takes to bring the weights into their order.

    With few outputs a large product fills neither vectors nor panels, so that few pixels are enough.
    """
    if pixels >= ENOUGH_PIXELS:
        return True
    return 2 * pixels >= 3 * max(outputs, products.BLOCK) and pixels * depth * outputs >= FEW_PRODUCTS


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
    each: int,
    groups: int,
    outputs: int,
    kernel: Pair,
    out_size: Pair,
    stride: Pair,
    dilation: Pair,
    padded: bool,
    channels_last: bool,
) -> Plan:
    """Choose for several groups of ``each`` channels."""
    taps, width = kernel[0] * kernel[1], out_size[1]
    if each == 1:
        near = dilation[0] == 1 or (kernel[0] - 1) * dilation[0] <= FARTHEST
        matrices = machine.small_kernels() and near and outputs * out_size[0] * width >= ENOUGH_OUTPUTS
        run = groups * (width if stride[1] == 1 else 1)
        narrow = width <= (SHORT_ROW if matrices else MEDIUM_ROW) or (taps >= MANY_TAPS and not matrices)
        if groups >= 32 and (narrow or channels_last) and taps * run <= COPIED_KERNELS:
            return Plan("depthwise.channels_last", f"{width} pixels in a row, {groups} channels: the longer runs")
        strided = stride[1] > 1 and width <= LONG_ROW
        if matrices and (width <= MEDIUM_ROW or strided or dilation[0] > 1):
            return Plan("shifted.by_channel", "one input channel a group: rows of outputs, which move as one line")
        if matrices:
            return Plan("banded.by_channel", "one input channel a group: rows of outputs give BLAS more than one row")
        return Plan("depthwise.by_group", "one input channel a group: nothing to multiply matrices for")
    if each <= FEW_IN_A_GROUP:
        if kernel == stride == (1, 1) and not padded:
            return Plan("pointwise.grouped", "the image is a matrix for each group")
        if dilation[0] == 1 and width > 10:
            return Plan("lowered.grouped", f"{each} channels a group: one call for all groups")
        return Plan("depthwise.by_group", f"{each} channels a group: one call for many groups, with rows joined")
    return Plan("grouped", "every group is a convolution of its own")
