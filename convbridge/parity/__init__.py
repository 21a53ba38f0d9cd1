"""Parity: what it means that two backends agree, and the tools that decide it.

Two computations of the same convolution need not return the same bits: they
add the same products in another order. They agree if rounding alone explains
their difference, and how much rounding can explain is a theorem, not a
tolerance (:mod:`convbridge.parity.bounds`). So there are three verdicts:

"equal"
    The same values. Whatever can be computed without rounding must be equal:
    maxima, and sums of integers that are small enough.
"rounding"
    Different values, no further apart than the sum of the two bounds.
"REAL DIFFERENCE"
    Anything else: one of the two is wrong.

``bounds``
    The bounds, and :func:`judge`.
``oracle``
    The definition of every operation, written out; shares no code with a backend.
``oracle_gradients``
    The same for their gradients.
``cases``, ``gradient_cases``
    Random calls: geometry, dtypes, memory layouts, special values.
``fuzz``
    Runs the cases on backends and judges every result by the oracle.
"""

from __future__ import annotations

from convbridge.parity.bounds import (
    Verdict,
    conv2d_bound,
    conv2d_vjp_bound,
    gamma,
    judge,
    pool2d_bound,
    pool2d_vjp_bound,
    unit_roundoff,
)

__all__ = [
    "Verdict",
    "conv2d_bound",
    "conv2d_vjp_bound",
    "gamma",
    "judge",
    "pool2d_bound",
    "pool2d_vjp_bound",
    "unit_roundoff",
]
