"""The two oracles are asked the same, and must say the same.

A verdict on a backend is worth as much as the oracle behind it, and a mistake
in an oracle makes every backend that shares it look right. So each case goes to
:mod:`convbridge.parity.oracle` and to :mod:`convbridge.parity.second_oracle`,
which have no line in common. Both add in ``numpy.longdouble``, in another
order: they may differ by twice the rounding bound of that type, in maxima and
in sums of whole numbers not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convbridge.parity import bounds, second_oracle
from convbridge.parity.cases import Case

if TYPE_CHECKING:
    from convbridge.parity.expected import Answer

__all__ = ["OracleDisagreement", "check"]

Array = np.ndarray[Any, Any]


class OracleDisagreement(AssertionError):  # noqa: N818 - what it says is that two disagree
    """The two oracles differ by more than rounding: one of them is wrong, and no verdict can be trusted."""


def _call(case: Case) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Read a case as a call of one of the second oracle's functions: its name, arguments, keywords."""
    operands, keywords = case.exact_operands(), dict(case.keywords)
    if case.base_function == "pool2d":
        arguments: tuple[Any, ...] = (operands["X"], keywords.pop("pool_size"))
        if case.kind == "value":
            return "pool2d", arguments, keywords
        return "pool2d_vjp", (*arguments, operands["grad_output"]), keywords
    # the chapters' functions are convolutions whose operands lack leading axes
    X, weight = (array[(None,) * (4 - array.ndim)] for array in list(operands.values())[:2])
    if case.base_function == "convolve2d":
        weight = weight[..., ::-1, ::-1]
    arguments = (X, weight, operands.get("bias"))
    if case.kind == "value":
        return "conv2d", arguments, keywords
    grad = operands.get("grad_output")
    if grad is None:  # a gradient of the sum of all outputs
        grad = np.ones_like(second_oracle.conv2d(*arguments, **keywords))
    return "conv2d_vjp", (*arguments, grad), keywords


def check(case: Case, answer: Answer) -> float:
    """Ask the second oracle, and compare.

    Parameters
    ----------
    case : Case
        Any.
    answer : dict
        What the first oracle says, from :func:`convbridge.parity.expected.expected`.

    Returns
    -------
    float
        The largest fraction of the rounding bound that was used; 0 where the
        two are equal.

    Raises
    ------
    OracleDisagreement
        With the case and the first place where the two differ for real.

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> from convbridge.parity.expected import expected
    >>> case = random_case(0, 3)
    >>> check(case, expected(case)) <= 1
    True
    """
    function, arguments, keywords = _call(case)
    try:
        returned = getattr(second_oracle, function)(*arguments, **keywords)
    except (ValueError, IndexError) as error:  # a gradient has the shape that the first oracle gives the result
        raise OracleDisagreement(f"{case.name}, {case}: the second oracle cannot compute it: {error}") from error
    second = dict(zip(case.results, returned if isinstance(returned, tuple) else (returned,)))
    allowed: dict[str, Any] = {}  # only where they are needed: they cost more than the second oracle
    used = 0.0
    for name, said in answer.items():
        if said is None or second[name] is None:
            if said is not second[name]:
                raise OracleDisagreement(f"{case.name}, {case}: only one oracle returns {name}")
            continue
        own = _without_leading_axes(second[name], said.value.ndim)
        verdict = bounds.judge(own, said.value, 0.0)
        if verdict.kind == bounds.EQUAL:
            continue
        if not allowed:
            found = getattr(bounds, f"{function}_bound")(*arguments, dtype="longdouble", **keywords)
            allowed = dict(zip(case.results, found if isinstance(found, tuple) else (found,)))
        bound = 2 * _without_leading_axes(allowed[name], said.value.ndim)
        verdict = bounds.judge(own, said.value, bound)
        if verdict.kind == bounds.REAL_DIFFERENCE:
            raise OracleDisagreement(f"{case.name}, {case}: {name} {_describe(said.value, own, bound)}")
        used = max(used, verdict.fraction)
    return used


def _without_leading_axes(array: Array, rank: int) -> Array:
    found: Array = array[(0,) * (array.ndim - rank)]
    return found


def _describe(first: Array, second: Array, bound: Array) -> str:
    if first.shape != second.shape:
        return f"has the shape {first.shape} for the first oracle and {second.shape} for the second"
    with np.errstate(invalid="ignore"):
        close = (first == second) | (np.isnan(first) & np.isnan(second)) | (np.abs(first - second) <= bound)
    place = tuple(np.argwhere(~close)[0].tolist())
    return (
        f"differs at {int((~close).sum())} of {first.size} places, the first at {place}: "
        f"{first[place]} for the first oracle, {second[place]} for the second, {float(bound[place]):.3g} allowed"
    )
