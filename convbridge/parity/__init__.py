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

What is exact, and what rounding may do:

``bounds``
    The bounds, and :func:`judge`.
``oracle``, ``oracle_gradients``
    The definition of every operation, written out; they share no code with a backend.
``second_oracle``, ``agreement``
    The same by other means, and the insistence that both agree.
``expected``
    What the oracle says about a case: values, bounds, what must be exact.
``laws``, ``trials``
    What must hold whatever the numbers are, and numbers that know how far off they may be.

Cases:

``cases``, ``gradient_cases``
    Random calls: geometry, dtypes, memory layouts, special values.
``lattice``, ``choose``
    The fixed cases, and choosing some of them by words.

Runs:

``observe``
    One case on one backend, and what is said about its results.
``matrix``, ``worker``, ``serial``
    All cases on all backends, each in a process of its own; what they say to each other.
``results``, ``reports``
    What a run found, as data; as text, page, JSON and JUnit XML.
``recorded``
    Answers in a file, compared where a framework cannot be installed.
``fuzz``
    Many random cases in this process.

Causes, and users' own code (:mod:`convbridge.testing`):

``explain``, ``calls``, ``hypotheses``, ``precision``, ``symptoms``
    What explains a difference, by a closed list.
``comparison``, ``sides``, ``tree``, ``differences``, ``yardsticks``
    The parts of ``assert_parity``.
``conformance``, ``contract``, ``layer_checks``, ``journal``
    Whether a backend is one; what was judged, kept for a report.
"""

from __future__ import annotations

from typing import Any

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
    "run_matrix",
    "unit_roundoff",
]


def __getattr__(name: str) -> Any:
    # who asks for a bound needs neither backends nor processes
    if name == "run_matrix":
        from convbridge.parity.matrix import run_matrix

        return run_matrix
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
