"""For tests of one's own: two callables agree, and if not, why; a backend is one.

:func:`assert_parity` calls two callables, of any two frameworks, on the same
numbers and judges whether rounding explains what is between their results.
:func:`explain` names the cause of a wrong convolution or pooling.
:func:`run_conformance` runs every check that convbridge has on a backend.

The judgement is never a tolerance that somebody guessed. Where convbridge knows
what is computed, the bound is a theorem; elsewhere it is measured, and the
message says how (:mod:`convbridge.parity.yardsticks`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from convbridge import registry
from convbridge.errors import ArgumentError, ArgumentTypeError, ConvbridgeError, received
from convbridge.geometry import integer, word_argument
from convbridge.parity import journal
from convbridge.parity.comparison import Check, Comparison, ParityReport
from convbridge.parity.conformance import Conformance, run_conformance
from convbridge.parity.explain import Explanation, explain
from convbridge.parity.sides import Side, owner_of, read_inputs

__all__ = [
    "Check",
    "Conformance",
    "Explanation",
    "ParityError",
    "ParityReport",
    "assert_parity",
    "explain",
    "run_conformance",
]


class ParityError(ConvbridgeError, AssertionError):
    """Two callables differ by more than rounding explains; the message says where, how much, and why."""


def assert_parity(
    f: Callable[..., Any],
    g: Callable[..., Any],
    inputs: Any,
    *,
    backends: Sequence[str | None] = (None, None),
    layouts: Sequence[str] = ("NCHW", "NCHW"),
    gradients: bool = False,
    check_dtype: bool = True,
    bound: Any = None,
    ops: int | None = None,
    seed: int = 0,
) -> ParityReport:
    """Assert that two callables return the same, up to rounding.

    Parameters
    ----------
    f, g : callable
        Layers, nets, functions, of any two frameworks; in the mode in which
        they are to be compared (dropout and batch statistics off).
    inputs : array_like, tuple or list of array_like, mapping
        What both are called on: one argument, several, or several by name. NumPy
        arrays, in the dtype that both take.
    backends : pair of str, optional
        Whose tensors f and g take. Default: that of a layer, a method of a
        layer, a partial function with ``backend=`` or tensors among its
        arguments; any other function gets NumPy arrays.
    layouts : pair of {"NCHW", "NHWC"}
        Where f and g have the channels of their images. ``inputs`` are NCHW; a
        side of NHWC gets its inputs of four axes transposed, and its results
        transposed back.
    gradients : bool, default False
        Compare gradients, too: of each output, weighed with fixed random
        numbers and summed, with respect to each input of floats.
    check_dtype : bool, default True
        Whether the results must have one dtype.
    bound : optional
        "derived", "statistical", or how far results may be apart: a number or
        an array. Default: derived where both calls are known, else
        statistical.
    ops : int, optional
        Instead of ``bound``: so many roundings in a row are allowed on each
        side, relative to the largest number of a result.
    seed : int, default 0
        Of the weights of the gradients and of the measurement.

    Returns
    -------
    ParityReport
        With the fraction of the bound that was used.

    Raises
    ------
    ParityError
        If the results differ: in structure, shape, dtype, or by more than the
        bound. It is an AssertionError; the message shows where and how much,
        and the likely cause.
    ArgumentError, ArgumentTypeError
        For arguments that are not allowed, and a callable that fails on the
        inputs.
    UnsupportedOperationError
        For gradients of a callable that nothing can differentiate.

    Notes
    -----
    Known are the layers of convbridge, the convolution layers of the
    frameworks, and ``functools.partial`` of :func:`convbridge.conv2d` and
    :func:`convbridge.pool2d`: two of those are held to the bound of rounding,
    which is proved. Of anything else the error of rounding is measured, which
    takes eight more calls of each side.

    Examples
    --------
    >>> from functools import partial
    >>> import convbridge, numpy as np
    >>> X, K = np.arange(16.0).reshape(1, 1, 4, 4) / 3, np.arange(4.0).reshape(1, 1, 2, 2)
    >>> f = partial(convbridge.conv2d, weight=K, backend="numpy")
    >>> g = lambda X: sum(X[:, :, p : p + 3, q : q + 3] * K[0, 0, p, q] for p in (1, 0) for q in (1, 0))
    >>> print(assert_parity(f, g, X))
    output (1, 1, 3, 3) float64: at most ... apart, ... of the bound
    judged by the statistical bound: 256 times the error measured by moving the inputs to neighbouring numbers ...
    >>> assert_parity(f, partial(convbridge.conv2d, weight=K[..., ::-1, ::-1], backend="numpy"), X)
    Traceback (most recent call last):
    ...
    convbridge.testing.ParityError: f (numpy, conv2d) and g (numpy, conv2d) differ in output: 9 of 9 elements differ
    ...
    """
    if bound is not None and ops is not None:
        raise ArgumentError(f"ops must not be given beside bound. {received(bound=bound, ops=ops)}")
    if isinstance(bound, str) and bound not in ("derived", "statistical"):
        raise ArgumentError(f"bound must be 'derived', 'statistical', a number or an array. {received(bound=bound)}")
    if ops is not None:
        ops = integer(ops, "ops", 1)
    sides = _sides((f, g), backends, layouts)
    comparison = Comparison(sides, read_inputs(inputs), check_dtype, bound, ops, integer(seed, "seed", 0))
    comparison.compare_values()
    if gradients and not comparison.problems:
        comparison.compare_gradients()
    left, right = (f"{side.name} ({side})" for side in sides)
    journal.record_parity(left, right, comparison.checks, comparison.problems)
    if comparison.problems:
        raise ParityError("\n\n".join(comparison.problems))
    return ParityReport(tuple(comparison.checks))


def _sides(functions: Any, backends: Any, layouts: Any) -> tuple[Side, Side]:
    for name, pair in (("backends", backends), ("layouts", layouts)):
        if isinstance(pair, str) or len(pair) != 2:
            raise ArgumentError(f"{name} must be a pair, for f and for g. {received(**{name: pair})}")
    sides = []
    for name, function, backend, layout in zip("fg", functions, backends, layouts):
        if not callable(function):
            raise ArgumentTypeError(f"{name} must be callable. {received(**{name: function})}")
        owner = owner_of(function) if backend is None else registry.canonical_name(backend, "backends=")
        sides.append(Side(name, function, owner, word_argument(layout, "layouts", ("NCHW", "NHWC"))))
    return sides[0], sides[1]
