"""What the oracle says about a case: exact values, how far a result may be from them, and what must be exact.

What can be computed exactly must be: maxima; sums of integers whose absolute
values add up to less than the dtype holds; and the averages of those, which
are one correctly rounded division of an exact sum. Of the gradients: those of
maxima where no two windows meet; sums of integers; and what averages hand on
where all divisors are powers of two. Everything else must be within the bound
of :mod:`convbridge.parity.bounds`; or of :mod:`convbridge.parity.bounds_fast`
where an engine traded accuracy for speed, as "fast" allows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import numpy as np

from convbridge.parity import bounds, bounds_fast, oracle, oracle_gradients
from convbridge.parity.cases import Case

__all__ = ["Answer", "Expected", "expected", "relaxed"]

Array = np.ndarray[Any, Any]


class Expected(NamedTuple):
    """What the oracle says about one result of a case.

    Attributes
    ----------
    value : numpy.ndarray of longdouble
        The exact result, as exact as longdouble is.
    rounded : numpy.ndarray
        The same, rounded once to the dtype of the result.
    bound : numpy.ndarray of float64
        How far a result may be from ``value``; the oracle's own rounding is
        included.
    exact : bool
        Whether the result must be ``rounded``, bit for bit.
    """

    value: Array
    rounded: Array
    bound: Array
    exact: bool


#: What the oracle says about a case: name of the result to its value, or None where None is to be returned.
Answer = dict[str, Expected | None]

_SIGNIFICAND = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}


def _whole(arrays: Iterable[Array]) -> bool:
    """Tell whether all numbers are integers, apart from NaN and infinities."""
    return all(bool((np.rint(array) == array)[np.isfinite(array)].all()) for array in arrays)


def _sums_are_exact(magnitude: Array, dtype: str) -> bool:
    """Tell whether integers add up without rounding, in any order.

    Every partial sum is an integer no larger than the sum of the absolute
    values. Windows with NaN or infinities have nothing to round.
    """
    finite = magnitude[np.isfinite(magnitude)]
    return bool((finite <= 2.0 ** _SIGNIFICAND[dtype]).all())


def expected(case: Case) -> Answer:
    """Compute what a case must return.

    Parameters
    ----------
    case : Case
        Any.

    Returns
    -------
    dict
        One :class:`Expected`, or None, for each of ``case.results``.

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> answer = expected(random_case(0, 3))["Y"]
    >>> answer.value.shape == answer.bound.shape == answer.rounded.shape
    True
    """
    operands = case.exact_operands()
    function = case.base_function
    if case.kind == "gradient":
        if function == "pool2d":
            return {"dX": _expected_pool_gradient(case, operands["X"], operands["grad_output"])}
        return _expected_conv_gradients(case, operands) if function == "conv2d" else _expected_of_loop(case, operands)
    return {"Y": _expected_pool(case, operands["X"]) if function == "pool2d" else _expected_conv(case, operands)}


def relaxed(case: Case, answer: Answer, traded: Collection[str]) -> Answer:
    """Ask less of engines that traded accuracy for speed: their own bound, and no bits.

    Parameters
    ----------
    case : Case
        Any.
    answer : dict
        What :func:`expected` says about it.
    traded : collection of str
        Names of the engines, as they noted them in "fast".

    Returns
    -------
    dict
        The same, unless such an engine can have computed the case.

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> case = random_case(0, 3)
    >>> answer = expected(case)
    >>> relaxed(case, answer, ()) is answer
    True
    """
    wanted = answer.get("Y")
    if not traded or wanted is None or case.base_function == "pool2d":
        return answer
    X, weight, bias, lost = _as_conv2d(case, case.exact_operands())
    more = bounds_fast.conv2d_bound(traded, X, weight, bias, dtype=case.dtype, **case.keywords)
    if more is None:
        return answer
    # the bound so far holds the oracle's own roundings
    return {**answer, "Y": wanted._replace(bound=wanted.bound + (more[lost] if more.ndim else more), exact=False)}


def _as_conv2d(case: Case, operands: dict[str, Array]) -> tuple[Array, Array, Array | None, tuple[int, ...]]:
    """Return X, weight and bias of the convolution that a case is, and the leading axes that it does not return."""
    function = case.base_function
    X, weight = operands["X"], operands["weight" if function == "conv2d" else "K"]
    lost: tuple[int, ...] = ()
    if function in ("corr2d", "convolve2d"):
        X, weight, lost = X[None, None], weight[None, None], (0, 0)
        if function == "convolve2d":
            weight = weight[..., ::-1, ::-1]
    elif function == "corr2d_multi_in":
        X, weight, lost = X[None], weight[None], (0, 0)
    elif function != "conv2d":
        X, lost = X[None], (0,)
    return X, weight, operands.get("bias"), lost


def _expected_conv(case: Case, operands: dict[str, Array]) -> Expected:
    X, weight, bias, lost = _as_conv2d(case, operands)
    value = oracle.conv2d(X, weight, bias, **case.keywords)[lost]
    allowed = [bounds.conv2d_bound(X, weight, bias, dtype=d, **case.keywords)[lost] for d in (case.dtype, "longdouble")]
    exact = False
    if _whole(operands.values()):
        sizes = [None if array is None else np.abs(array) for array in (X, weight, bias)]
        exact = _sums_are_exact(oracle.conv2d(*sizes, **case.keywords), case.dtype)
    return Expected(value, oracle.round_to(value, case.dtype), allowed[0] + allowed[1], exact)


def _expected_pool(case: Case, X: Array) -> Expected:
    value = oracle.pool2d(X, **case.keywords)
    if case.keywords["mode"] == "max":
        return Expected(value, oracle.round_to(value, case.dtype), np.zeros(value.shape), True)
    allowed = [bounds.pool2d_bound(X, dtype=d, **case.keywords) for d in (case.dtype, "longdouble")]
    keywords = {name: keyword for name, keyword in case.keywords.items() if name != "mode"}
    exact = _whole([X]) and _sums_are_exact(oracle.pool2d_sums(np.abs(X), **keywords)[0], case.dtype)
    rounded = oracle.round_to(value, case.dtype)
    if exact:
        # Division is correctly rounded in float64; from there to a dtype of at most 25 bits a second rounding
        # changes nothing (Figueroa 1995: 53 >= 2 * 24 + 2), but from longdouble to float64 it might.
        with np.errstate(invalid="ignore"):
            sums, divisors = (part.astype(np.float64) for part in oracle.pool2d_sums(X, **keywords))
            rounded = oracle.round_to(np.asarray(sums / divisors), case.dtype)
    return Expected(value, rounded, allowed[0] + allowed[1], exact)


def _expected_conv_gradients(case: Case, operands: dict[str, Array]) -> Answer:
    arrays = [operands.get(name) for name in ("X", "weight", "bias", "grad_output")]
    values = oracle_gradients.conv2d_vjp(*arrays, **case.keywords)
    own, oracles = (bounds.conv2d_vjp_bound(*arrays, dtype=d, **case.keywords) for d in (case.dtype, "longdouble"))
    sizes: tuple[Array | None, ...] = (None, None, None)
    if _whole(operands.values()):
        sizes = oracle_gradients.conv2d_vjp(
            *(None if array is None else np.abs(array) for array in arrays), **case.keywords
        )
    answer: Answer = dict.fromkeys(case.results)
    for name, value, bound, slack, size in zip(case.results, values, own, oracles, sizes):
        if value is not None and bound is not None and slack is not None:
            exact = size is not None and _sums_are_exact(size, case.dtype)
            answer[name] = Expected(value, oracle.round_to(value, case.dtype), bound + slack, exact)
    return answer


def _expected_of_loop(case: Case, operands: dict[str, Array]) -> Answer:
    """Return the gradients of the sum of all outputs of the chapter's matrix loop."""
    X, K = operands["X"], operands["K"]
    shape = (X.shape[0] - K.shape[0] + 1, X.shape[1] - K.shape[1] + 1)
    arrays = {"X": X[None, None], "weight": K[None, None], "grad_output": np.ones((1, 1, *shape))}
    answer = _expected_conv_gradients(case, arrays)
    return {
        name: None if part is None else Expected(part.value[0, 0], part.rounded[0, 0], part.bound[0, 0], part.exact)
        for name, part in answer.items()
    }


def _expected_pool_gradient(case: Case, X: Array, grad: Array) -> Expected:
    keywords = {name: keyword for name, keyword in case.keywords.items() if name != "pool_size"}
    arguments: tuple[Any, ...] = (X, case.keywords["pool_size"], grad)
    value = oracle_gradients.pool2d_vjp(*arguments, **keywords)
    own, slack = (bounds.pool2d_vjp_bound(*arguments, dtype=d, **keywords) for d in (case.dtype, "longdouble"))
    exact = not own.any()  # no two gradients meet
    unit = _unit_of_shares(case, X)
    if not exact and unit is not None and _whole([grad]):
        sizes = oracle_gradients.pool2d_vjp(X, case.keywords["pool_size"], np.abs(grad), **keywords)
        exact = _sums_are_exact(sizes / unit, case.dtype)
    return Expected(value, oracle.round_to(value, case.dtype), own + slack, exact)


def _unit_of_shares(case: Case, X: Array) -> float | None:
    """Return what all shares of whole gradients are multiples of; None if a division rounds."""
    if case.keywords["mode"] == "max":
        return 1.0
    keywords = {name: keyword for name, keyword in case.keywords.items() if name != "mode"}
    _, divisors = oracle.pool2d_sums(X, **keywords)
    mantissas, _ = np.frexp(divisors)
    # Over a power of two an integer is exact, also by way of a reciprocal. A window without an element shares nothing.
    return 1 / float(divisors.max(initial=1.0)) if np.isin(mantissas, (0.0, 0.5)).all() else None
