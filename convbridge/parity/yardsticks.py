"""How far two right answers may be apart: four yardsticks, each of which says what it is.

derived
    Both calls are known, so the bound is a theorem
    (:mod:`convbridge.parity.bounds`): the sum of both sides' own.
statistical
    Nothing is known but that rounding errors are many and small. The function
    itself shows how large they come out: see :func:`measured`.
ops
    The user counts the roundings.
given
    The user gives the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from convbridge.errors import ArgumentError, received
from convbridge.parity import bounds
from convbridge.parity.calls import Call
from convbridge.parity.cases import Case
from convbridge.parity.expected import expected
from convbridge.parity.precision import SIGNIFICANDS
from convbridge.parity.sides import Result, Side

__all__ = ["Run", "Yardstick", "counted", "derived", "given", "measured", "not_derivable", "products"]

Array = np.ndarray[Any, Any]

#: Calls a side on arrays, or differentiates it there.
Run = Callable[[Side, Sequence[Array]], Mapping[str, Result]]

#: How often the inputs are moved to measure what that does.
PATTERNS = 8
#: How many times the measured error two right answers may be apart. Errors of
#: 6 standard deviations do not happen; the rest is for a side that adds in
#: another order: against that of the moved inputs, the error of a sum of n
#: terms one by one grows like sqrt(n) / 4, which is 40 for 25,000 terms.
TIMES = 256
#: Products that a derived bound may cost; the oracle does some ten million a second.
MOST_PRODUCTS = 2**29


class Yardstick(NamedTuple):
    """A bound for each result, and what it is.

    Attributes
    ----------
    words : str
        For the message: the judgement and its numbers.
    bounds : mapping
        The way to each result to how far the two sides may be apart.
    """

    words: str
    bounds: Mapping[str, Array]


def products(case: Case) -> int:
    """Count the products of a call, roughly: what an oracle costs.

    Parameters
    ----------
    case : Case
        Of a convolution or a pooling.

    Returns
    -------
    int

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> products(random_case(0, 3)) < 2000
    True
    """
    call = Call.of(case, "Y")
    weight = call.operands.get("weight")
    each = prod(call.window) * (call.operands["X"].shape[1] if weight is None else prod(weight.shape[:2]))
    return int(len(call.operands["X"]) * prod(call.output_size) * each)


def derived(
    sides: tuple[Side, Side], calls: tuple[Case | None, Case | None], way: str, result: str
) -> Yardstick | None:
    """Add up the rounding bounds of two known calls.

    Parameters
    ----------
    sides : pair of Side
        f and g.
    calls : pair of Case or None
        What they compute.
    way : str
        To the one result that they have.
    result : {"Y", "dX"}
        What it is.

    Returns
    -------
    Yardstick or None
        None where one of the calls is not known, or too large.

    Examples
    --------
    >>> import convbridge
    >>> layer = convbridge.MaxPool2D(2, backend="numpy")
    >>> from convbridge.parity.sides import read_inputs
    >>> side, inputs = Side("f", layer, "numpy", "NCHW"), read_inputs(np.ones((1, 1, 2, 2)))
    >>> call = side.known_call(inputs, "float64")
    >>> print(derived((side, side), (call, call), "output", "Y"))
    Yardstick(words='the derived bound, that of rounding: pool2d in float64 on both sides', bounds={'output': array...
    """
    found, names = [], []
    for side, case in zip(sides, calls):
        if case is None or case.dtype not in SIGNIFICANDS or products(case) > MOST_PRODUCTS:
            return None
        answer = expected(case)[result]
        assert answer is not None
        found.append(side.back(np.zeros_like(answer.bound) if answer.exact else answer.bound))
        names.append(f"{case.function} in {case.dtype}")
    if found[0].shape != found[1].shape:
        return None
    both = f"{names[0]} on both sides" if names[0] == names[1] else " and ".join(names)
    return Yardstick(f"the derived bound, that of rounding: {both}", {way: found[0] + found[1]})


def measured(
    run: Run,
    sides: tuple[Side, Side],
    results: tuple[Mapping[str, Result], Mapping[str, Result]],
    arrays: Sequence[Array],
    seed: int,
) -> Yardstick:
    """Measure the errors of rounding, by moving every input to a neighbouring number.

    A float's neighbours are as good a reading of the input as the float itself.
    What the result does when each input moves to one of its two neighbours, by
    chance, is what rounding does to it: the conditioning of the function, and
    its own rounding, which falls out differently each time. The root mean
    square of that over some patterns is the error of an element. To it are
    added, as squares: an eighth of the error of the whole array, for elements
    that happened not to move; one rounding of the element; and an eighth of one
    of the whole array, for functions that forget what moved. Two right answers
    are at most 256 times the root of that sum apart.

    That is no theorem. The quieter of the two sides is asked, so a side that
    computes in lower precision than it says cannot excuse itself by its own
    noise; two such sides can.

    Parameters
    ----------
    run : callable
        Calls a side on inputs, or differentiates it.
    sides : pair of Side
        f and g.
    results : pair of mapping
        What they return for the arrays themselves.
    arrays : sequence of numpy.ndarray
        What moves: the inputs, and for gradients what the results are weighed
        with. Some of them are floats.
    seed : int
        Of the patterns.

    Returns
    -------
    Yardstick

    Raises
    ------
    ArgumentError
        If no input can be moved.

    Examples
    --------
    >>> from convbridge.parity.sides import read_inputs
    >>> side, inputs = Side("f", np.exp, None, "NCHW"), read_inputs(np.ones(3))
    >>> run = lambda side, arrays: side.run(inputs.with_arrays(arrays))
    >>> found = run(side, inputs.arrays)
    >>> bound = measured(run, (side, side), (found, found), inputs.arrays, seed=0).bounds["output"]
    >>> bool((bound > 1e-15).all() and (bound < 1e-12).all())
    True
    """
    if not any(array.dtype.kind == "f" and array.any() for array in arrays):
        raise ArgumentError(
            "inputs must hold floats that can be moved, if the bound is to be measured; give bound= or ops= instead. "
            f"{received(inputs=arrays[0] if arrays else arrays)}"
        )
    noises = [_noise(partial(run, side), base, arrays, seed) for side, base in zip(sides, results)]
    allowed = {}
    for way in results[0].keys() & results[1].keys():
        first, second = (result[way] for result in results)
        if first.values.shape != second.values.shape:
            continue
        bits = [SIGNIFICANDS.get(result.dtype, 53) for result in (first, second)]
        # the side of fewer bits may be off by what it is off; of equals, the quieter one
        candidates = [noise[way] for noise, own in zip(noises, bits) if own == min(bits)]
        noise = min(candidates, key=lambda each: float(np.mean(each**2)))
        size = np.where(np.isfinite(first.values), np.abs(first.values.astype(np.float64)), 0)
        own = 2.0 ** -min(bits) * size
        squares = noise**2 + own**2 + (np.mean(noise**2) + np.mean(own**2)) / 64
        allowed[way] = TIMES * np.sqrt(squares)
    return Yardstick(
        f"the statistical bound: {TIMES} times the error measured by moving the inputs to neighbouring numbers "
        f"({PATTERNS} patterns, seed {seed})",
        allowed,
    )


def _noise(
    run: Callable[[Sequence[Array]], Mapping[str, Result]],
    base: Mapping[str, Result],
    arrays: Sequence[Array],
    seed: int,
) -> dict[str, Array]:
    """Return the root mean square of what each element does when the inputs move."""
    rng = np.random.default_rng(seed)
    squares = {way: np.zeros(result.values.shape) for way, result in base.items()}
    for _ in range(PATTERNS):
        moved = run([_neighbours(array, rng) for array in arrays])
        for way, result in moved.items():
            if way in squares and result.values.shape == squares[way].shape:
                with np.errstate(invalid="ignore"):
                    change = result.values.astype(np.float64) - base[way].values.astype(np.float64)
                squares[way] += np.where(np.isfinite(change), change, 0) ** 2
    return {way: np.sqrt(total / PATTERNS) for way, total in squares.items()}


def _neighbours(array: Array, rng: np.random.Generator) -> Array:
    if array.dtype.kind != "f":
        return array
    ends = np.where(rng.random(array.shape) < 0.5, -np.inf, np.inf).astype(array.dtype)
    return np.where(
        array == 0, array, np.nextafter(array, ends)
    )  # a zero's neighbours are not numbers that anyone means


def not_derivable(sides: tuple[Side, Side]) -> ArgumentError:
    """Return the error for a derived bound that was asked for and cannot be had.

    Parameters
    ----------
    sides : pair of Side
        f and g.

    Returns
    -------
    ArgumentError

    Examples
    --------
    >>> side = Side("f", np.exp, None, "NCHW")
    >>> raise not_derivable((side, side))
    Traceback (most recent call last):
    ...
    convbridge.errors.ArgumentError: bound='derived' must have two calls that convbridge can read, ...
    """
    f, g = (side.function for side in sides)
    return ArgumentError(
        "bound='derived' must have two calls that convbridge can read, not too large for its oracle: layers of "
        f"convolution or pooling, or functools.partial of conv2d or pool2d. {received(f=f, g=g)}"
    )


def counted(ops: int, results: tuple[Mapping[str, Result], Mapping[str, Result]]) -> Yardstick:
    """Allow both sides so many roundings in a row, on numbers as large as the largest of the result.

    Parameters
    ----------
    ops : int
        How many.
    results : pair of mapping
        Of f and g.

    Returns
    -------
    Yardstick

    Examples
    --------
    >>> result = {"output": Result(np.array([1.0, 2.0]), "float64")}
    >>> counted(10, (result, result)).bounds["output"] / 2**-53
    array([40., 40.])
    """
    allowed = {}
    for way in results[0].keys() & results[1].keys():
        pair = [result[way] for result in results]
        if pair[0].values.shape != pair[1].values.shape:
            continue
        total = 0.0
        for values, dtype in pair:
            finite = np.abs(values[np.isfinite(values)].astype(np.float64))
            error = bounds.gamma(ops, dtype) if dtype in SIGNIFICANDS and dtype != "tf32" else 0.0
            total += error * float(finite.max(initial=0.0))
        allowed[way] = np.full(pair[0].values.shape, total)
    return Yardstick(f"a bound of {ops} roundings on each side, of the largest number of the result", allowed)


def given(bound: Any, results: Mapping[str, Result]) -> Yardstick:
    """Take the bound that the user gives, for every result.

    Parameters
    ----------
    bound : array_like
        Not negative; a number, or of a shape that broadcasts to the results'.
    results : mapping
        Of f.

    Returns
    -------
    Yardstick

    Raises
    ------
    ArgumentError
        If it is something else.

    Examples
    --------
    >>> given(0.5, {"output": Result(np.ones(2), "float64")})
    Yardstick(words='the given bound 0.5', bounds={'output': array([0.5, 0.5])})
    """
    try:
        number = np.asarray(bound, np.float64)
        allowed = {way: np.broadcast_to(number, result.values.shape) for way, result in results.items()}
    except (TypeError, ValueError):
        number, allowed = np.array(-1.0), {}
    if not (number >= 0).all():
        raise ArgumentError(
            "bound must be 'derived', 'statistical', or how far the results may be apart: a number or an array of "
            f"their shape, not negative. {received(bound=bound)}"
        )
    words = f"the given bound {float(number):g}" if number.ndim == 0 else "the given bound, an array"
    return Yardstick(words, allowed)
