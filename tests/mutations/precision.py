"""Lower precision than was asked for."""

from __future__ import annotations

import numpy as np

from . import fault


def cut(array, bits):
    """Round to so many significant bits."""
    mantissa, exponent = np.frexp(array)
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits).astype(array.dtype)


@fault("TF32", "conv2d", "tf32", select="float32 and not int64")
def _(right, X, weight, bias, **keywords):
    return right(cut(X, 11), cut(weight, 11), bias, **keywords)


@fault("TF32, truncated", "conv2d", "tf32", select="float32 and not int64")
def _(right, X, weight, bias, **keywords):
    X, weight = (
        (array.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) for array in map(np.array, (X, weight))
    )
    return right(X, weight, bias, **keywords)


@fault("bfloat16 operands", "conv2d", "bfloat16", select="float32 and not int64")
def _(right, X, weight, bias, **keywords):
    return right(cut(X, 8), cut(weight, 8), bias, **keywords)


@fault("float16 inside float32", "conv2d", "float16", select="float32 and not int64 and not special")
def _(right, X, weight, bias, **keywords):
    with np.errstate(over="ignore"):
        halves = [None if array is None else array.astype(np.float16) for array in (X, weight, bias)]
    return right(*halves, **keywords).astype(X.dtype)


@fault("float32 inside float64", "conv2d", "float32", select="float64")
def _(right, X, weight, bias, **keywords):
    singles = [None if array is None else array.astype(np.float32) for array in (X, weight, bias)]
    return right(*singles, **keywords).astype(X.dtype)


@fault("float32 inside float64", "avg_pool2d", "float32", select="float64")
def _(right, X, window, **keywords):
    return right(X.astype(np.float32), window, **keywords).astype(X.dtype)


@fault("float32 result of float64", "conv2d", "dtype", select="float64")
def _(right, X, weight, bias, **keywords):
    return right(X, weight, bias, **keywords).astype(np.float32)


def minimal_filtering(tile, data, kernel, combine):
    """Return a convolution by Winograd's algorithm, from its three transforms."""

    def conv2d(right, X, weight, bias, *, stride, padding, dilation, groups, data_format):
        keywords = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        if weight.shape[2:] != (3, 3) or (stride, dilation, groups) != ((1, 1), (1, 1), 1) or data_format == "NHWC":
            return right(X, weight, bias, **keywords, data_format=data_format)
        top, bottom, left, right_side = padding
        height, width = X.shape[2] + top + bottom - 2, X.shape[3] + left + right_side - 2
        rows, columns = -(-height // tile), -(-width // tile)
        ends = ((top, rows * tile + 2 - X.shape[2] - top), (left, columns * tile + 2 - X.shape[3] - left))
        image = np.pad(X, ((0, 0), (0, 0), *ends))
        Y = np.zeros((len(X), len(weight), rows * tile, columns * tile), X.dtype)
        G, B, A = (np.array(matrix, X.dtype) for matrix in (kernel, data, combine))
        banks = G @ weight @ G.T
        for i, j in np.ndindex(rows, columns):
            piece = image[:, :, i * tile : i * tile + tile + 2, j * tile : j * tile + tile + 2]
            products = np.einsum("ocab,ncab->noab", banks, B @ piece @ B.T)
            Y[:, :, i * tile : (i + 1) * tile, j * tile : (j + 1) * tile] = A @ products @ A.T
        Y = np.ascontiguousarray(Y[:, :, :height, :width])
        return Y if bias is None else Y + bias[:, None, None]

    return conv2d


WINOGRAD = "3x3 and nchw and spread and float32 and not (stride2 or dilation3 or groups2 or groups3)"

fault("Winograd F(2, 3)", "conv2d", "winograd", select=WINOGRAD)(
    minimal_filtering(
        2,
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, -1]],
    )
)
fault("Winograd F(4, 3)", "conv2d", "winograd", select=WINOGRAD)(
    minimal_filtering(
        4,
        [
            *([4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]),
            *([0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]),
        ],
        [
            *([1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6]),
            *([1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]),
        ],
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    )
)
