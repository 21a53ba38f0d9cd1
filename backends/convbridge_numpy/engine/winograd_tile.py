"""Which tiles Winograd's filtering takes, if any: a count of what each size costs.

Idea
    Every number here is for one pair of a channel and an output, and counts
    multiplications of transformed numbers, as many as take that time. Weights are
    read, and multiplied once for each tile; a tile's pixels and results are
    transformed, which all outputs or channels share. A direct engine multiplies
    once for each pixel and element of the kernel, and copies windows.
Weights
    A function transforms them in every call. A layer has them transformed, and
    may have to compare them with those that it has.
Source
    Timed step by step for kernels of 3 to 9 and all tiles; over some 400 random
    shapes the choice takes 1 to 4 % more time than the best one would.
"""

from __future__ import annotations

from convbridge.geometry import Pair
from convbridge_numpy.engine import cook_toom, products

#: Kernels that are worth filtering: of 2x2 too little is saved, and larger ones have few channels.
KERNELS = range(3, 12)

#: Outputs of a tile along an axis.
TILES = (4, 3, 2)

#: For a number that is read from beyond the second-level cache, for one of a kernel before and after its transform, and
#: for calling all steps once, whatever they do.
READING, TRANSFORMING_WEIGHT, CALLING = 24, 70, 2**21

#: For a pixel of a tile, for a point along its rows, and for one of all its points; results take a part of that, and
#: what is dilated, whose pixels and results lie apart, more.
TAKING, ROWS, COLUMNS, RESULTS, DILATED = 45, 50, 18, 0.75, 1.6

#: For a direct engine's multiplication, and for copying a pixel, which is done once for each column of the kernel.
MULTIPLYING, COPYING = 0.71, 1.65

#: How much longer direct products take with fewer outputs than a block of them has, and by how many pixels a row of
#: them seems to be longer.
FEW, FEW_OUTPUTS, ENDS = 1.25, 32, 3

#: Numbers of transformed weights that a function still transforms.
TRANSFORMED_WEIGHTS = 2**22


def winograd_tile(
    images: int,
    channels: int,
    outputs: int,
    kernel: int,
    out_size: Pair,
    *,
    dilation: Pair = (1, 1),
    kept: bool = False,
) -> int:
    """Choose the tiles for a convolution without stride and groups.

    Parameters
    ----------
    images, channels, outputs : int
        N, C and O.
    kernel : int
        Its height and width.
    out_size, dilation : (int, int)
        Of the operation and its result.
    kept : bool
        Whether weights are transformed once for many calls.

    Returns
    -------
    int
        Outputs of a tile along an axis, 4, 3 or 2; 0 where a direct engine is faster.

    Examples
    --------
    >>> [winograd_tile(1, 512, 512, 3, (size, size), kept=True) for size in (7, 14, 28)]
    [2, 2, 4]
    >>> winograd_tile(1, 128, 128, 7, (28, 28), kept=True)
    3
    """
    if kernel not in KERNELS:
        return 0
    row = out_size[1] * (images if out_size[1] < products.NARROW else 1)
    slower = (1 + ENDS / row) * (FEW if outputs < FEW_OUTPUTS else 1)
    direct = (MULTIPLYING * slower * kernel + COPYING) * kernel
    costs = {0: direct * (images * out_size[0] * out_size[1] + READING)}
    parts = dilation[0] * dilation[1]  # images that are not dilated
    down, across = (-(-size // apart) for size, apart in zip(out_size, dilation))
    for tile in TILES:
        points = cook_toom.form(tile, kernel).points
        if not kept and channels * outputs * points**2 > TRANSFORMED_WEIGHTS:
            continue
        tiles = parts * images * -(-down // tile) * -(-across // tile)
        transform = TAKING * tile**2 + ROWS * tile * points + COLUMNS * points**2
        transforms = (1 / outputs + RESULTS / channels) * transform * tiles * (DILATED if dilation[1] > 1 else 1)
        weights = kernel**2 * READING if kept else TRANSFORMING_WEIGHT * (kernel**2 + points**2)
        calls = CALLING * parts / (channels * outputs)
        costs[tile] = points**2 * (tiles + READING * parts) + weights + transforms + calls
    return min(costs, key=costs.__getitem__)
