"""The definition of every gradient, written out as it reads.

One loop over output pixels, as in :mod:`convbridge.parity.oracle`; inside it
the input positions that the window looks at, by explicit index arithmetic, and
what the output's gradient means for them. An output is a sum of products, so
the gradient of a factor is the sum, over the products it took part in, of the
other factor times the gradient of the output; an average is a sum of shares; a
maximum is one of its elements.

Nothing but the oracle's own reading of padding and sizes is shared, and that
with no backend. Sums are accumulated in ``numpy.longdouble``. Arguments are
trusted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.parity.oracle import Ends, output_size, sides, two

__all__ = ["conv2d_vjp", "pool2d_vjp"]

Array = np.ndarray[Any, Any]


def conv2d_vjp(
    X: Any,
    weight: Any,
    bias: Any,
    grad_output: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    data_format: str = "NCHW",
) -> tuple[Array, Array, Array | None]:
    """Differentiate a convolution, by the definition.

    With ``g`` the group of ``o``, every output pixel ``(b, o, i, j)`` adds, for
    all ``c, p, q``, and with ``y = i s - top + p d, x = j s - left + q d``,

    * ``weight[o, c, p, q] grad_output[b, o, i, j]`` to ``dX[b, g C/G + c, y, x]``,
    * ``X[b, g C/G + c, y, x] grad_output[b, o, i, j]`` to ``dW[o, c, p, q]``,
      the zeros of the padding included: times infinity they are NaN,
    * ``grad_output[b, o, i, j]`` to ``db[o]``.

    Parameters
    ----------
    X, weight, bias, grad_output, stride, padding, dilation, groups, data_format
        As for :func:`convbridge.conv2d_vjp`.

    Returns
    -------
    dX, dW, db : numpy.ndarray of longdouble
        db is None where bias is.

    Examples
    --------
    >>> X, K = np.arange(9).reshape(1, 1, 3, 3), np.arange(4).reshape(1, 1, 2, 2)
    >>> dX, dW, db = conv2d_vjp(X, K, np.zeros(1), np.ones((1, 1, 2, 2)))
    >>> dX[0, 0].astype(int).tolist(), dW[0, 0].astype(int).tolist(), db.astype(int).tolist()
    ([[0, 1, 1], [2, 6, 4], [2, 5, 3]], [[8, 12], [20, 24]], [4])
    """
    image, grad = np.asarray(X, np.longdouble), np.asarray(grad_output, np.longdouble)
    if data_format == "NHWC":
        image, grad = np.moveaxis(image, 3, 1), np.moveaxis(grad, 3, 1)
    kernels = np.asarray(weight, np.longdouble)
    batch, channels, height, width = image.shape
    out_channels, per_group, kh, kw = kernels.shape
    (sh, sw), (dh, dw) = two(stride), two(dilation)
    span = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
    (top, bottom), (left, right) = sides(padding, (height, width), span, (sh, sw))

    padded = np.zeros((batch, channels, top + height + bottom, left + width + right), np.longdouble)
    padded[:, :, top : top + height, left : left + width] = image
    blocks = padded.reshape(batch, groups, 1, per_group, *padded.shape[2:])
    banks = kernels.reshape(1, groups, out_channels // groups, per_group, kh, kw)
    grads = grad.reshape(batch, groups, out_channels // groups, 1, 1, 1, *grad.shape[2:])
    d_blocks, d_banks = np.zeros_like(blocks[:, :, 0]), np.zeros_like(banks[0])
    with np.errstate(invalid="ignore", over="ignore"):
        for i in range(grad.shape[2]):
            rows = np.array([i * sh + p * dh for p in range(kh)])[:, None]
            for j in range(grad.shape[3]):
                columns = np.array([j * sw + q * dw for q in range(kw)])
                here = grads[..., i, j]
                d_blocks[..., rows, columns] += (banks * here).sum(axis=2)
                d_banks += (blocks[..., rows, columns] * here).sum(axis=0)
        db = None if bias is None else grad.sum(axis=(0, 2, 3))
    dX = d_blocks.reshape(padded.shape)[:, :, top : top + height, left : left + width]
    if data_format == "NHWC":
        dX = np.moveaxis(dX, 1, 3)
    return dX, d_banks.reshape(kernels.shape), db


def pool2d_vjp(
    X: Any,
    pool_size: Any,
    grad_output: Any,
    mode: str = "max",
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    data_format: str = "NCHW",
) -> Array:
    """Differentiate a pooling, by the definition.

    An average hands an equal share of its gradient to every element of the
    window that lies in the image: the gradient over the divisor of
    :func:`convbridge.parity.oracle.pool2d`.

    A maximum hands all of its gradient to one element: the first NaN of the
    window if there is one, else the first element that equals the maximum, in
    row-major order *of the window on the padded image*. Padding is minus
    infinity, so it comes into question only in a window whose maximum is minus
    infinity. There it is an equal among equals: where the window's first
    element is padding, the gradient goes to the padding, and so to no pixel.

    Parameters
    ----------
    X, pool_size, grad_output, mode, stride, padding, dilation, ceil_mode, count_include_pad, data_format
        As for :func:`convbridge.pool2d_vjp`.

    Returns
    -------
    numpy.ndarray of longdouble
        With the shape of X.

    Examples
    --------
    >>> pool2d_vjp([[3, 1, 3], [2, 3, 0]], 2, [[10, 1]]).astype(int).tolist()
    [[10, 0, 1], [0, 0, 0]]
    >>> pool2d_vjp(np.full((2, 1), -np.inf), 2, [[4, 1]], padding=((0, 0), (1, 1))).astype(int).tolist()
    [[1], [0]]
    >>> pool2d_vjp(np.ones((2, 2)), 2, [[2]], "avg").astype(float).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    image, grad = np.asarray(X, np.longdouble), np.asarray(grad_output, np.longdouble)
    channels_last = data_format == "NHWC" and image.ndim > 2
    if channels_last:
        image, grad = np.moveaxis(image, -1, -3), np.moveaxis(grad, -1, -3)
    height, width = image.shape[-2:]
    (kh, kw), (dh, dw) = two(pool_size), two(dilation)
    sh, sw = (kh, kw) if stride is None else two(stride)
    span = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
    (top, bottom), (left, right) = sides(padding, (height, width), span, (sh, sw))
    out_h = output_size(height, span[0], sh, (top, bottom), ceil_mode)
    out_w = output_size(width, span[1], sw, (left, right), ceil_mode)

    dX = np.zeros((*image.shape[:-2], height, width), np.longdouble)
    pixels = {at: image[at].tolist() for at in np.ndindex(image.shape[:-2])}  # lists are read faster than arrays
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for i in range(out_h):
            rows = [i * sh + p * dh - top for p in range(kh)]
            for j in range(out_w):
                columns = [j * sw + q * dw - left for q in range(kw)]
                inside = [(y, x) for y in rows for x in columns if 0 <= y < height and 0 <= x < width]
                if mode == "avg":
                    padded_rows = [y for y in rows if -top <= y < height + bottom]
                    padded_columns = [x for x in columns if -left <= x < width + right]
                    divisor = len(padded_rows) * len(padded_columns) if count_include_pad else len(inside)
                    share = grad[..., i, j] / np.longdouble(divisor)
                    for y, x in inside:
                        dX[..., y, x] += share
                    continue
                for at, one_image in pixels.items():
                    y, x = _first_maximum(one_image, rows, columns)
                    if (y, x) in inside:
                        dX[(*at, y, x)] += grad[(*at, i, j)]
    return np.moveaxis(dX, -3, -1) if channels_last else dX


def _first_maximum(image: list[list[Any]], rows: list[int], columns: list[int]) -> Ends:
    """Return the place of a window's maximum: its first NaN, or the first of equals; it may lie in the padding."""
    place, best = (rows[0], columns[0]), -np.inf
    for y in rows:
        for x in columns:
            value = image[y][x] if 0 <= y < len(image) and 0 <= x < len(image[0]) else -np.inf
            if value != value:
                return y, x
            if value > best:
                place, best = (y, x), value
    return place
