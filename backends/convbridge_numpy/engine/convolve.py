"""Convolution: the plan, carried out.

The engines lie in files of their own; :mod:`convbridge_numpy.engine.plan` says
which one computes what, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convbridge.geometry import Pair, Sides
from convbridge_numpy.engine import banded, depthwise, fourier, im2col, lowered, pointwise, shifted, toeplitz, winograd
from convbridge_numpy.engine.kept import Kept
from convbridge_numpy.engine.plan import plan
from convbridge_numpy.engine.window import Window

Array = np.ndarray[Any, Any]

Engine = Callable[..., None]

ENGINES: dict[str, Engine] = {
    "banded.by_channel": banded.by_channel,
    "depthwise.by_group": depthwise.by_group,
    "depthwise.channels_last": depthwise.channels_last,
    "fourier.filter_image": fourier.filter_image,
    "shifted.by_channel": shifted.by_channel,
    "toeplitz.filter_image": toeplitz.filter_image,
    "pointwise.grouped": pointwise.grouped,
    "pointwise.blocked": pointwise.blocked,
    "pointwise.small": pointwise.small,
    "pointwise.merged": pointwise.merged,
    "pointwise.large": pointwise.large,
    "lowered.grouped": lowered.grouped,
    "lowered.planar": lowered.planar,
    "lowered.channels_last": lowered.channels_last,
    "im2col.channels_last": im2col.channels_last,
    "im2col.planar": im2col.planar,
    "winograd.four_by_four": winograd.four_by_four,
    "winograd.three_by_three": winograd.three_by_three,
    "winograd.two_by_two": winograd.two_by_two,
}


#: Those that take one argument more: where to keep what they make of the weights.
KEEPING = {
    "pointwise.blocked",
    "pointwise.small",
    "lowered.planar",
    "lowered.channels_last",
    "winograd.four_by_four",
    "winograd.three_by_three",
    "winograd.two_by_two",
}


def conv2d(
    image: Array,
    weight: Array,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    *,
    channels_last: bool = False,
    fast: bool = False,
    kept: Kept | None = None,
) -> Array:
    """Cross-correlate a batch of images with a bank of kernels.

    Parameters
    ----------
    image : ndarray, shape (N, C, H, W)
        Any strides.
    weight : ndarray, shape (O, C / groups, kh, kw)
        Of the same dtype, any strides.
    stride, dilation : (int, int)
        Of the operation.
    padding : Sides
        Zeros around the image.
    groups : int
        Blocks of channels.
    channels_last : bool
        Whether the channels of the result are adjacent in memory.
    fast : bool
        Whether accuracy may be traded for speed.
    kept : Kept, optional
        Where a layer keeps what engines make of its weights.

    Returns
    -------
    ndarray, shape (N, O, H', W')

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> X = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(X, np.arange(4.0).reshape(1, 1, 2, 2), (1, 1), NO_PADDING, (1, 1), 1)[0, 0]
    array([[19., 25.],
           [37., 43.]])
    """
    number, _, height, width = image.shape
    outputs = weight.shape[0]
    window = Window.of((height, width), (weight.shape[2], weight.shape[3]), stride, padding, dilation)
    out_h, out_w = window.outputs
    if channels_last:
        result = np.empty((number, out_h, out_w, outputs), image.dtype).transpose(0, 3, 1, 2)
    else:
        result = np.empty((number, outputs, out_h, out_w), image.dtype)
    into(image, weight, window, groups, result, channels_last=channels_last, fast=fast, kept=kept)
    return result


def into(
    image: Array,
    weight: Array,
    window: Window,
    groups: int,
    result: Array,
    *,
    channels_last: bool = False,
    fast: bool = False,
    kept: Kept | None = None,
) -> None:
    """Do the same with the result at home in an array that is given.

    Parameters
    ----------
    image, weight, groups
        As for :func:`conv2d`.
    window : Window
        The geometry.
    result : ndarray, shape (N, O, H', W')
        Overwritten. The pixels of a channel are evenly spaced.
    channels_last : bool
        Whether the channels of the image are adjacent in memory.
    fast, kept
        As for :func:`conv2d`.
    """
    facts = (image.shape, weight.shape, window, groups, image.itemsize, channels_last)
    engine = choose(*facts, fast=fast, kept=kept is not None)
    if engine is not None:
        ENGINES[engine](image, weight, window, result, *((kept,) if engine in KEEPING else ()))
        return
    per_group, per_bank = image.shape[1] // groups, weight.shape[0] // groups
    for group in range(groups):
        own, bank = slice(group * per_group, (group + 1) * per_group), slice(group * per_bank, (group + 1) * per_bank)
        part = None if kept is None else kept.part(group)
        into(image[:, own], weight[bank], window, 1, result[:, bank], channels_last=channels_last, fast=fast, kept=part)


def choose(
    image: tuple[int, ...],
    weight: tuple[int, ...],
    window: Window,
    groups: int,
    item_size: int,
    channels_last: bool = False,
    *,
    fast: bool,
    kept: bool,
) -> str | None:
    """Ask the planner what computes these shapes.

    Parameters
    ----------
    image, weight : tuple of int
        Shapes (N, C, H, W) and (O, C / groups, kh, kw).
    window, groups
        As for :func:`into`.
    item_size : int
        Bytes of an element.
    channels_last : bool
        As for :func:`into`.
    fast, kept : bool
        Whether accuracy may be traded, and whether a layer keeps its weights.

    Returns
    -------
    str or None
        One of :data:`ENGINES`; None where each group is planned by itself.

    Examples
    --------
    >>> from convbridge.geometry import NO_PADDING
    >>> window = Window.of((7, 7), (1, 1), (1, 1), NO_PADDING, (1, 1))
    >>> choose((1, 2048, 7, 7), (512, 2048, 1, 1), window, 1, 4, fast=False, kept=False)
    'pointwise.large'
    """
    decision = plan(
        image[0],
        image[1],
        weight[0],
        window.kernel,
        window.outputs,
        stride=window.stride,
        dilation=window.dilation,
        padded=window.padded,
        groups=groups,
        item_size=item_size,
        channels_last=channels_last,
        fast=fast,
        kept=kept,
    )
    return None if decision.engine == "grouped" else decision.engine
