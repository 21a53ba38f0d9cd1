"""How far rounding may carry a result, and the verdict on two results.

The bounds hold for every order of summation, with and without fused
multiply-add, so a direct algorithm that exceeds one is wrong, and two correct
backends differ by the sum of their bounds at most. They are proved, not
measured: nothing here may be widened until a test passes.

References
----------
.. [1] N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
   SIAM, 2002: section 2.1 (the model of arithmetic, underflow), section 3.1
   (inner products, lemma 3.1, equation 3.5).
"""

from __future__ import annotations

from math import gcd
from typing import Any, Literal, NamedTuple

import numpy as np

from convbridge.parity import oracle, oracle_gradients

__all__ = [
    "Verdict",
    "conv2d_bound",
    "conv2d_vjp_bound",
    "gamma",
    "judge",
    "pool2d_bound",
    "pool2d_vjp_bound",
    "unit_roundoff",
    "windows_on_a_pixel",
]

Array = np.ndarray[Any, Any]

EQUAL: Literal["equal"] = "equal"
ROUNDING: Literal["rounding"] = "rounding"
REAL_DIFFERENCE: Literal["REAL DIFFERENCE"] = "REAL DIFFERENCE"

#: Bits of the significand, the hidden one included, and the exponent of the
#: smallest subnormal number. NumPy has no bfloat16 that could be asked.
_FORMATS = {"bfloat16": (8, -133), "float16": (11, -24), "float32": (24, -149), "float64": (53, -1074)}


def unit_roundoff(dtype: str) -> float:
    """Return the largest relative error of one rounding to nearest.

    Parameters
    ----------
    dtype : str
        "bfloat16", "float16", "float32", "float64", or "longdouble" for the
        type that the oracle accumulates in.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For any other dtype.

    Examples
    --------
    >>> unit_roundoff("float32") == 2.0**-24
    True
    """
    if dtype == "longdouble":
        return float(np.finfo(np.longdouble).eps) / 2
    if dtype not in _FORMATS:
        raise ValueError(f"dtype must be one of {', '.join(_FORMATS)}, longdouble. Received: dtype={dtype!r}")
    return float(2.0 ** -_FORMATS[dtype][0])


def _smallest_subnormal(dtype: str) -> float:
    if dtype == "longdouble":  # underflows to float64's zero where it is wider than float64, which is right here
        return float(np.finfo(np.longdouble).smallest_subnormal)
    return float(2.0 ** _FORMATS[dtype][1])


def gamma(n: int, dtype: str) -> float:
    """Bound the relative error of ``n`` roundings in a row.

    Parameters
    ----------
    n : int
        How many.
    dtype : str
        As for :func:`unit_roundoff`.

    Returns
    -------
    float
        ``n u / (1 - n u)``; infinity where ``n u >= 1``, where nothing is
        promised.

    Examples
    --------
    >>> gamma(1, "float64")
    1.1102230246251568e-16
    >>> gamma(300, "bfloat16")
    inf
    """
    nu = n * unit_roundoff(dtype)
    return nu / (1 - nu) if nu < 1 else float("inf")


def _scaled(magnitude: Array, roundings: int, products: int, dtype: str) -> Array:
    """Return ``gamma * magnitude`` plus what underflow adds, rounded up to float64.

    Where no operand but zeros was added, the result is exact and the bound 0.
    Elsewhere each of the ``products`` (or the one quotient) may fall among the
    subnormal numbers, where its error is no longer relative: half the smallest
    subnormal each, by the model of [1]_, section 2.1; a sum adds none. The
    other half pays for the roundings that act on these errors in turn, of
    which ``gamma <= 1`` at most doubles them.
    """
    if roundings == products == 0:
        return np.zeros(magnitude.shape)
    nothing = magnitude == 0
    with np.errstate(invalid="ignore", over="ignore"):
        bound = magnitude * np.longdouble(gamma(roundings, dtype)) + products * np.longdouble(
            _smallest_subnormal(dtype)
        )
        bound = np.nextafter(bound.astype(np.float64), np.inf)
    bound[nothing] = 0.0
    return bound


def conv2d_bound(
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
) -> Array:
    """Bound the rounding error of one backend's convolution, element by element.

    A result is a sum of ``n = kh kw C / groups`` products. Whatever the order,
    each product meets its own rounding and at most ``n - 1`` additions, so
    ``|result - exact| <= gamma_n conv(|X|, |weight|)`` [1]_. A bias is one more
    term and one more addition.

    For float16 and bfloat16 the same formula holds whether a framework
    accumulates in half precision or in float32 with one rounding at the end:
    the latter is ``u_half + n u_single`` at most, and less than ``gamma_n`` for
    ``n >= 2``; for ``n = 1`` the product is exact in float32.

    Parameters
    ----------
    X, weight, bias : numpy.ndarray
        The numbers that take part, as the dtype of the computation holds them.
    dtype : str
        Of the computation.
    stride, padding, dilation, groups, data_format
        As for :func:`convbridge.conv2d`.

    Returns
    -------
    numpy.ndarray of float64
        With the shape of the result; 0 where the result is exact, not finite
        where a window is not.

    Examples
    --------
    >>> bound = conv2d_bound(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), dtype="float32")
    >>> bool((abs(bound - 4 * gamma(4, "float32")) < 1e-20).all()), bound.shape
    (True, (1, 1, 2, 2))
    """
    weight = np.asarray(weight)
    n = int(np.prod(weight.shape[1:]))
    magnitude = oracle.conv2d(
        np.abs(X),
        np.abs(weight),
        None if bias is None else np.abs(bias),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        data_format=data_format,
    )
    return _scaled(magnitude, n if bias is None else n + 1, n, dtype)


def pool2d_bound(
    X: Any,
    pool_size: Any,
    mode: str = "max",
    *,
    dtype: str,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    data_format: str = "NCHW",
) -> Array:
    """Bound the rounding error of one backend's pooling, element by element.

    A maximum is one of its inputs: the bound is 0. An average of ``n`` numbers
    is ``n - 1`` additions and a division, ``n`` roundings; or a product with a
    reciprocal that was itself rounded (before the sum or after it), ``n + 1``.
    The larger holds for both: ``gamma_{n+1}`` times the average of ``|X|``.

    Parameters
    ----------
    X : numpy.ndarray, shape (H, W), (C, H, W) or (N, C, H, W)
        The numbers that take part, as the dtype of the computation holds them.
    pool_size, mode, stride, padding, dilation, ceil_mode, count_include_pad, data_format
        As for :func:`convbridge.pool2d`.
    dtype : str
        Of the computation.

    Returns
    -------
    numpy.ndarray of float64
        With the shape of the result.

    Examples
    --------
    >>> float(pool2d_bound(np.ones((2, 2)), 2, dtype="float32").max())
    0.0
    >>> bool(pool2d_bound(np.ones((2, 2)), 2, "avg", dtype="float32") >= gamma(5, "float32"))
    True
    """
    magnitude = oracle.pool2d(
        np.abs(X),
        pool_size,
        mode,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        data_format=data_format,
    )
    if mode == "max":
        return np.zeros(magnitude.shape)
    height, width = (pool_size, pool_size) if np.ndim(pool_size) == 0 else pool_size
    n = int(height) * int(width)
    # Only the quotient can underflow, or each of n quotients in an engine that divides first.
    return _scaled(magnitude, n + 1, n, dtype)


def windows_on_a_pixel(kernel: int, stride: int, dilation: int, windows: int) -> int:
    """Bound how many windows look at one element of an axis.

    Window ``i`` sees element ``y`` through its tap ``p`` if ``i s + p d = y``.
    Two solutions differ by a multiple of ``s / gcd(s, d)`` in ``p``, so at most
    one in so many of the kernel's taps meets the same element.

    Parameters
    ----------
    kernel, stride, dilation : int
        Of the operation, along the axis.
    windows : int
        How many there are along the axis.

    Returns
    -------
    int

    Examples
    --------
    >>> windows_on_a_pixel(3, 1, 1, 10), windows_on_a_pixel(3, 2, 1, 10), windows_on_a_pixel(3, 2, 2, 10)
    (3, 2, 3)
    """
    apart = stride // gcd(stride, dilation)
    return min(-(-kernel // apart), windows)


def conv2d_vjp_bound(
    X: Any,
    weight: Any,
    bias: Any,
    grad_output: Any,
    *,
    dtype: str,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    data_format: str = "NCHW",
) -> tuple[Array, Array, Array | None]:
    """Bound the rounding error of one backend's gradients of a convolution, element by element.

    All three are inner products again, so [1]_ gives ``gamma_n`` times the same
    gradient of the absolute values, each with its own ``n``:

    dX
        A pixel meets the ``O / groups`` output channels of its group through
        every tap by which a window looks at it, ``kh kw`` at most and fewer
        with a stride (:func:`windows_on_a_pixel`).
    dW
        A kernel element meets one pixel for every output pixel of the batch:
        ``n = N H' W'``.
    db
        A sum of the same ``N H' W'`` gradients without products, so only their
        ``n - 1`` additions round.

    Zeros that an engine adds (a padded gradient, a kernel spread out) change
    nothing: their products and sums are exact. For halves that are computed in
    float32 and rounded once, ``u_half + n u_single`` is less than ``gamma_n`` as
    in :func:`conv2d_bound`; and a sum of two halves, ``u_half + u_single`` and
    a term of higher order, is less than ``gamma_1 = u_half + u_half**2 + ...``.

    Parameters
    ----------
    X, weight, bias, grad_output : numpy.ndarray
        The numbers that take part, as the dtype of the computation holds them.
    dtype : str
        Of the computation.
    stride, padding, dilation, groups, data_format
        As for :func:`convbridge.conv2d_vjp`.

    Returns
    -------
    dX, dW, db : numpy.ndarray of float64
        0 where the gradient is exact, not finite where its terms are not; db is
        None where bias is.

    Examples
    --------
    >>> ones = np.ones((1, 1, 2, 2))
    >>> dX, dW, db = conv2d_vjp_bound(np.ones((1, 1, 3, 3)), ones, np.ones(1), ones, dtype="float32")
    >>> [bool(bound.max() >= 4 * gamma(n, "float32")) for bound, n in ((dX, 4), (dW, 4), (db, 3))]
    [True, True, True]
    """
    weight, grad = np.asarray(weight), np.asarray(grad_output)
    out_channels, _, kh, kw = weight.shape
    (sh, sw), (dh, dw) = oracle.two(stride), oracle.two(dilation)
    batch = grad.shape[0]
    out_h, out_w = grad.shape[2:] if data_format == "NCHW" else grad.shape[1:3]
    magnitude_x, magnitude_w, magnitude_b = oracle_gradients.conv2d_vjp(
        np.abs(X),
        np.abs(weight),
        bias,
        np.abs(grad),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        data_format=data_format,
    )
    taps = windows_on_a_pixel(kh, sh, dh, out_h) * windows_on_a_pixel(kw, sw, dw, out_w)
    met = out_channels // int(groups) * taps
    outputs = batch * out_h * out_w
    db = None if magnitude_b is None else _scaled(magnitude_b, max(outputs - 1, 0), 0, dtype)
    return _scaled(magnitude_x, met, met, dtype), _scaled(magnitude_w, outputs, outputs, dtype), db


def pool2d_vjp_bound(
    X: Any,
    pool_size: Any,
    grad_output: Any,
    mode: str = "max",
    *,
    dtype: str,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    data_format: str = "NCHW",
) -> Array:
    """Bound the rounding error of one backend's gradient of a pooling, element by element.

    A pixel receives something from each of the ``n`` windows that look at it,
    at most (:func:`windows_on_a_pixel`). For a maximum these are ``n`` numbers,
    handed on as they are and added: ``gamma_{n-1}`` times the sum of the
    absolute values, and 0 where windows do not overlap. An average divides
    first, one more rounding, or multiplies with a rounded reciprocal, two:
    ``gamma_{n+1}``.

    Parameters
    ----------
    X : numpy.ndarray, shape (H, W), (C, H, W) or (N, C, H, W)
        The numbers that take part, as the dtype of the computation holds them.
        They decide where the gradient of a maximum goes.
    pool_size, mode, stride, padding, dilation, ceil_mode, count_include_pad, data_format
        As for :func:`convbridge.pool2d_vjp`.
    grad_output : numpy.ndarray
        As the dtype of the computation holds it.
    dtype : str
        Of the computation.

    Returns
    -------
    numpy.ndarray of float64
        With the shape of X.

    Examples
    --------
    >>> X, grad = np.eye(3), np.ones((2, 2))
    >>> float(pool2d_vjp_bound(X, 2, grad, dtype="float32", stride=2, ceil_mode=True).max())
    0.0
    >>> bool(pool2d_vjp_bound(X, 2, grad, "avg", dtype="float32")[1, 1] >= gamma(5, "float32"))
    True
    """
    grad = np.asarray(grad_output)
    magnitude = oracle_gradients.pool2d_vjp(
        X,
        pool_size,
        np.abs(grad),
        mode,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        data_format=data_format,
    )
    (kh, kw), (dh, dw) = oracle.two(pool_size), oracle.two(dilation)
    sh, sw = (kh, kw) if stride is None else oracle.two(stride)
    out_h, out_w = grad.shape[-3:-1] if data_format == "NHWC" and grad.ndim > 2 else grad.shape[-2:]
    n = windows_on_a_pixel(kh, sh, dh, out_h) * windows_on_a_pixel(kw, sw, dw, out_w)
    if mode == "max":
        return _scaled(magnitude, max(n - 1, 0), 0, dtype)
    return _scaled(magnitude, n + 1, n, dtype)


class Verdict(NamedTuple):
    """What :func:`judge` says.

    Attributes
    ----------
    kind : {"equal", "rounding", "REAL DIFFERENCE"}
    difference : float
        The largest ``|a - b|``; infinity where the two cannot be subtracted.
    fraction : float
        The largest ``|a - b| / bound``: 1 is all that rounding can explain.
    """

    kind: Literal["equal", "rounding", "REAL DIFFERENCE"]
    difference: float
    fraction: float


def judge(a: Array, b: Array, bound: Any) -> Verdict:
    """Decide whether rounding explains the difference of two results.

    Parameters
    ----------
    a, b : numpy.ndarray
        The results. Another shape or another dtype is a real difference. A NaN
        equals a NaN at the same place and nothing else; infinities must be the
        same. The sign of a zero does not count: it depends on whether a sum
        starts from zero or from its first term.
    bound : array_like
        The sum of the bounds of ``a`` and ``b``, element by element or one for
        all.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> a = np.array([1.0, np.nan])
    >>> judge(a, a.copy(), 0.0)
    Verdict(kind='equal', difference=0.0, fraction=0.0)
    >>> judge(a, np.array([1.5, np.nan]), 1.0)
    Verdict(kind='rounding', difference=0.5, fraction=0.5)
    >>> judge(a, np.array([1.5, 2.0]), 1.0)
    Verdict(kind='REAL DIFFERENCE', difference=inf, fraction=inf)
    """
    incomparable = Verdict(REAL_DIFFERENCE, float("inf"), float("inf"))
    if a.shape != b.shape or a.dtype != b.dtype:
        return incomparable
    wide_a, wide_b = a.astype(np.longdouble), b.astype(np.longdouble)
    same = (wide_a == wide_b) | (np.isnan(wide_a) & np.isnan(wide_b))
    if same.all():
        return Verdict(EQUAL, 0.0, 0.0)
    if not (np.isfinite(wide_a) & np.isfinite(wide_b))[~same].all():
        return incomparable
    difference = np.abs(wide_a[~same] - wide_b[~same])
    allowed = np.broadcast_to(np.asarray(bound, np.longdouble), a.shape)[~same]
    with np.errstate(divide="ignore", over="ignore"):
        fraction = difference / allowed
    # a bound that is no number promises nothing, and must not pass for one that was kept
    largest = float("inf") if np.isnan(fraction).any() else float(fraction.max())
    return Verdict(ROUNDING if largest <= 1 else REAL_DIFFERENCE, float(difference.max()), largest)
