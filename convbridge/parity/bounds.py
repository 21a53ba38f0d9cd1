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

from typing import Any, Literal, NamedTuple

import numpy as np

from convbridge.parity import oracle

__all__ = ["Verdict", "conv2d_bound", "gamma", "judge", "pool2d_bound", "unit_roundoff"]

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
