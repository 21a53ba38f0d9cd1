"""From pixels to filtered pixels: convolution by a backend, then numbers that a file can hold.

The convolution is computed in float64 by whichever backend was chosen; all
that follows is NumPy, so that the backends' files can only differ where their
convolutions do. And those differ by rounding, about 1e-13 of the largest
product, which matters at one place: a result that is exactly halfway between
two pixel values, such as 12.5, may come out as 12.499999999999998 from another
order of summation and be rounded down instead of to even. So results are first
rounded to multiples of 2**-20: a half is one of them, all backends arrive at
it, and from there on compute the same. What remains is a result that by
coincidence lies halfway between that half and the next multiple, to 13 digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import convbridge
from convbridge import memory
from convbridge.commands.images import Picture
from convbridge.geometry import check_fit, output_size, parse_padding, resolve_padding

__all__ = ["BORDERS", "RANGES", "apply"]

Array = np.ndarray[Any, Any]

RANGES = ("auto", "clip", "absolute", "centre", "scale")

#: What lies outside the image, and NumPy's name for it.
BORDERS = {"zero": "constant", "edge": "edge", "reflect": "reflect"}

_STEPS = 2.0**20

#: Most products that one call of a backend is given. Frameworks copy every
#: window of a float64 image before they multiply: this keeps the copy at 128 MiB.
_PRODUCTS = 2**24


def apply(
    picture: Picture,
    kernel: Array,
    *,
    padding: Any,
    border: str,
    range_name: str,
    backend: str,
    advance: Callable[[float], None] = lambda part: None,
) -> Picture:
    """Cross-correlate every colour with a kernel; opacity passes through.

    Parameters
    ----------
    picture : Picture
    kernel : numpy.ndarray, shape (kh, kw)
    padding : int, pair, pair of pairs or str
        As for :func:`convbridge.conv2d`.
    border : {"zero", "edge", "reflect"}
        What the padding is made of.
    range_name : {"auto", "clip", "absolute", "centre", "scale"}
        How results become pixels, see :func:`to_pixels`.
    backend : str
        Who computes.
    advance : callable, optional
        Told the part of the work that was just done; the parts sum to 1.

    Returns
    -------
    Picture
        Of the same kind.

    Raises
    ------
    ShapeError
        If the kernel is larger than the padded image, or the result too large.

    Examples
    --------
    >>> image = np.array([[0, 200, 200, 0]], np.uint8)[..., None]
    >>> edges = apply(Picture(image, None), np.array([[1.0, -1.0]]), padding="valid",
    ...               border="zero", range_name="auto", backend="numpy")
    >>> edges.colours[..., 0].tolist()
    [[200, 0, 200]]
    """
    wanted = parse_padding(padding)
    size = (picture.colours.shape[0], picture.colours.shape[1])
    kh, kw = kernel.shape
    sides = resolve_padding(wanted, size, (kh, kw), (1, 1), (1, 1))
    for n, k, before, after, axis in ((size[0], kh, *sides[:2], "height"), (size[1], kw, *sides[2:], "width")):
        check_fit(n, k, before, after, axis, "kernel")
    height, width = output_size(size[0], kh, 1, *sides[:2]), output_size(size[1], kw, 1, *sides[2:])
    around = ((sides.top, sides.bottom), (sides.left, sides.right))
    channels = picture.colours.shape[2]
    kept = channels if range_name == "scale" else 1
    memory.check_size((kept, height, width), (height + kh - 1, width + kw - 1), "float64", 2**62)

    derivative = is_derivative(kernel)
    dtype = picture.colours.dtype
    results = np.empty((kept, height, width))
    colours = np.empty((height, width, channels), dtype)
    for channel in range(channels):
        result = results[channel % kept]
        plane = np.pad(picture.colours[..., channel], around, BORDERS[border]).astype(np.float64)  # type: ignore[call-overload]
        _correlate(plane, kernel, result, backend, lambda part: advance(part / channels))
        if range_name != "scale":
            colours[..., channel] = to_pixels(result, dtype, range_name, derivative)
    if range_name == "scale":  # one scale for all colours, or they would change their hue
        colours = np.moveaxis(to_pixels(results, dtype, range_name, derivative), 0, -1)
    # Where a result stands on the image: a word keeps the image where it is, a number the kernel's middle.
    anchor = (sides.top, sides.left) if wanted.sides is None else ((kh - 1) // 2, (kw - 1) // 2)
    alpha = picture.alpha
    if alpha is not None:
        opacity = np.pad(alpha, around, BORDERS[border])  # type: ignore[call-overload]
        alpha = opacity[anchor[0] : anchor[0] + height, anchor[1] : anchor[1] + width]
    return picture._replace(colours=colours, alpha=alpha)


def _correlate(plane: Array, kernel: Array, result: Array, backend: str, advance: Callable[[float], None]) -> None:
    """Fill ``result`` strip by strip, so that memory does not grow with the image times the kernel."""
    height, width = result.shape
    kh = kernel.shape[0]
    rows = max(1, _PRODUCTS // (width * kernel.size))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = convbridge.conv2d(plane[None, None, top : bottom + kh - 1], kernel[None, None], backend=backend)
        result[top:bottom] = convbridge.to_numpy(strip)[0, 0]
        advance((bottom - top) / height)


def is_derivative(kernel: Array) -> bool:
    """Tell whether a kernel answers to change alone: whether its weights sum to 0.

    Parameters
    ----------
    kernel : numpy.ndarray

    Returns
    -------
    bool

    Examples
    --------
    >>> is_derivative(np.array([[1.0, -1.0]])), is_derivative(np.array([[0.5, 0.5]]))
    (True, False)
    """
    return bool(abs(math.fsum(kernel.flat)) <= 1e-9 * math.fsum(np.abs(kernel).flat))


def to_pixels(results: Array, dtype: Any, range_name: str, derivative: bool) -> Array:
    """Turn results of a convolution into what an image file holds.

    Parameters
    ----------
    results : numpy.ndarray of float64
    dtype : numpy.dtype
        Of the image. Unsigned integers have no negative values; the other
        kinds do, and then only "scale" and "absolute" change anything but
        what does not fit.
    range_name : {"auto", "clip", "absolute", "centre", "scale"}
        "clip" cuts off what is out of range; "absolute" drops the sign first;
        "centre" shifts 0 to the middle of the range; "scale" stretches the
        smallest to the largest result over the range. "auto" is "absolute"
        for unsigned pixels of a kernel that finds changes, else "clip".
    derivative : bool
        See :func:`is_derivative`.

    Returns
    -------
    numpy.ndarray of ``dtype``

    Examples
    --------
    >>> values = np.array([-100.0, 12.5, 300.0])
    >>> for name in ("clip", "absolute", "centre", "scale"):
    ...     print(name, to_pixels(values, np.uint8, name, derivative=True).tolist())
    clip [0, 12, 255]
    absolute [100, 12, 255]
    centre [28, 140, 255]
    scale [0, 72, 255]
    """
    kind = np.dtype(dtype)
    whole = kind.kind in "iu"
    low, high = (0.0, 1.0) if not whole else (float(np.iinfo(kind).min), float(np.iinfo(kind).max))
    if range_name == "auto":
        range_name = "absolute" if derivative and kind.kind == "u" else "clip"
    values = np.rint(results * _STEPS) / _STEPS if whole else results
    if range_name == "absolute":
        values = np.abs(values)
    elif range_name == "centre" and kind.kind == "u":
        values = values + (high + 1) / 2
    elif range_name == "scale":
        smallest, largest = values.min(), values.max()
        top = max(high, 1.0)
        values = (values - smallest) * (top / (largest - smallest)) if largest > smallest else np.zeros_like(values)
    pixels: Array = np.rint(np.clip(values, low, high)) if whole else values
    return pixels.astype(kind)
