"""What two arrays tell about each other, whatever was computed: the closed list.

A whole net has no oracle, and a known call may go wrong in a way that nobody
listed. What is left is to look at the two results: the same numbers in another
order, times a constant, with a constant added to each channel. Each symptom
alters the one array and says how; :mod:`convbridge.parity.explain` and
``assert_parity`` compare that with the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from convbridge.parity.calls import Prediction
from convbridge.parity.precision import SIGNIFICANDS, keep_bits, round_bits

__all__ = ["CAUSES", "Symptom", "locate", "symptoms"]

Array = np.ndarray[Any, Any]

#: Name to the sentence that a report shows.
CAUSES = {
    "accumulated-twice": "a gradient accumulated twice",
    "mean": "a mean in the place of a sum",
    "scaled": "the same values, scaled",
    "transposed": "the same values, axes swapped",
    "reinterpreted": "the same memory, read in another layout",
    "flipped": "the same values, flipped",
    "channel-order": "channels in another order",
    "shifted": "the same values, one element further",
    "offset": "a constant added",
    "channel-offset": "a constant added to each channel (a bias, the mean of a BatchNorm)",
    "channel-scale": "each channel scaled (the variance of a BatchNorm)",
    "all-zero": "nothing but zeros",
    "some-zero": "zeros in the place of some values",
    "nan": "NaN where none belongs, the rest right",
    "reduced-precision": "lower precision: the last bits of every number are zero",
    "another-order": "the same values in another order",
}


class Symptom(NamedTuple):
    """One of :data:`CAUSES`, and what the altered array is."""

    name: str
    detail: str
    prediction: Prediction


def symptoms(
    wanted: Prediction, actual: Array, dtype: str, *, sums: Mapping[str, int] | None = None
) -> Iterator[Symptom]:
    """Yield what ``wanted`` would be with each symptom.

    Parameters
    ----------
    wanted : Prediction
        One result, and how far another may be from it.
    actual : numpy.ndarray
        The other one.
    dtype : str
        Of the computation.
    sums : mapping, optional
        For a gradient: what its sum is taken over, in words, to how many.

    Yields
    ------
    Symptom
        Always in the same order, with the shape of ``actual``.

    Examples
    --------
    >>> wanted = Prediction(np.arange(6.0).reshape(2, 3), np.zeros((2, 3)))
    >>> twice = 2 * wanted.value
    >>> [found.name for found in symptoms(wanted, twice, "float64") if np.array_equal(found.prediction.value, twice)]
    ['scaled']
    """
    value, bound = wanted
    if value.size == 0 or actual.size == 0:
        return
    yield from _lost(value, bound, actual)
    yield from _in_other_places(value, bound, actual.shape)
    if value.shape != actual.shape:
        return
    yield from _scaled(value, bound, actual, sums)
    yield from _by_channel(value, bound, actual)
    yield from _shifted(value, bound, actual)
    yield from _with_fewer_bits(value, bound, actual, dtype)
    yield from _sorted(value, bound, actual)


def locate(mask: Array) -> str:
    """Say where the marked elements of an array lie, if they have an index in common.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        With at least one True.

    Returns
    -------
    str
        "" if they are spread over every axis.

    Examples
    --------
    >>> locate(np.array([[False, False, True], [False, False, True]]))
    'all at index 2 of axis 1, the last'
    """
    words = []
    for axis, indices in enumerate(np.nonzero(mask)):
        length = mask.shape[axis]
        if length > 1 and len(set(indices.tolist())) == 1:
            index = int(indices[0])
            words.append(f"index {index} of axis {axis}{', the last' if index == length - 1 else ''}")
    return f"all at {' and '.join(words)}" if words else ""


def _lost(value: Array, bound: Array, actual: Array) -> Iterator[Symptom]:
    """Find zeros and NaN where numbers belong."""
    if value.shape != actual.shape:
        return
    with np.errstate(invalid="ignore"):
        zeros = (actual == 0) & ~(np.abs(value) <= bound)
    lost = np.isnan(actual) & ~np.isnan(value)
    if (actual == 0).all():
        yield Symptom("all-zero", "", Prediction(np.zeros_like(value), np.zeros(value.shape)))
    elif zeros.any():
        yield Symptom("some-zero", locate(zeros), Prediction(np.where(zeros, 0, value), bound))
    if lost.any():
        yield Symptom("nan", locate(lost), Prediction(np.where(lost, np.nan, value), bound))


def _in_other_places(value: Array, bound: Array, shape: tuple[int, ...]) -> Iterator[Symptom]:
    """Axes swapped, memory reinterpreted, axes flipped."""
    axes = range(value.ndim)
    if 2 <= value.ndim <= 4:
        for order in permutations(axes):
            if order != tuple(axes) and tuple(value.shape[axis] for axis in order) == shape:
                moved = Prediction(value.transpose(order), bound.transpose(order))
                yield Symptom("transposed", f"to the order {order}", moved)
        for order in permutations(axes):
            if order != tuple(axes) and value.size == np.prod(shape):
                read = Prediction(value.transpose(order).reshape(shape), bound.transpose(order).reshape(shape))
                yield Symptom("reinterpreted", f"that of the order {order}", read)
    if value.shape == shape:
        long = [axis for axis in axes if shape[axis] > 1]
        for chosen in [(axis,) for axis in long] + [tuple(long[-2:])]:
            yield Symptom(
                "flipped", f"along {_axes(chosen)}", Prediction(np.flip(value, chosen), np.flip(bound, chosen))
            )


def _axes(axes: tuple[int, ...]) -> str:
    return f"ax{'is' if len(axes) == 1 else 'es'} {' and '.join(map(str, axes))}"


def _scaled(value: Array, bound: Array, actual: Array, sums: Mapping[str, int] | None) -> Iterator[Symptom]:
    """Multiply by one number, found where it is told best."""
    told = np.isfinite(value) & np.isfinite(actual) & (np.abs(value) > 2 * bound)
    if not told.any():
        return
    place = np.unravel_index(np.argmax(np.where(told, np.abs(value), -1)), value.shape)
    slack = float(bound[place] / np.abs(value[place]))
    found = float(actual[place] / value[place])
    simple = float(Fraction(found).limit_denominator(64))
    # a simple number if it may be one: then nothing of it was measured
    factor, slack = (simple, 0.0) if abs(simple - found) <= 2 * slack * abs(found) + 1e-12 else (found, 4 * slack)
    if factor in (0.0, 1.0) or (told.sum() < 3 and factor != simple):
        return
    name, detail = "scaled", f"by {factor:g}"
    if sums is not None:
        means = [words for words, n in sums.items() if n > 1 and abs(found * n - 1) < 1e-4]
        multiples = [words for words, n in sums.items() if n > 2 and factor == n]
        if multiples:
            detail += f", the size of {multiples[0]}"
        elif factor == 2:
            name, detail = "accumulated-twice", ""
        elif means:
            name, detail = "mean", f"over {means[0]}"
    with np.errstate(invalid="ignore"):
        scaled = Prediction(value * factor, abs(factor) * (bound + slack * np.abs(value).astype(np.float64)))
    yield Symptom(name, detail, scaled)


def _by_channel(value: Array, bound: Array, actual: Array) -> Iterator[Symptom]:
    """Something constant along all axes but one."""
    with np.errstate(invalid="ignore", divide="ignore"):
        difference, quotient = actual - value, actual / value
    yield from _constant("offset", "", value, bound, difference, tuple(range(value.ndim)))
    for channel in sorted({1, value.ndim - 1}) if value.ndim > 1 else ():  # channels first or last
        others = tuple(axis for axis in range(value.ndim) if axis != channel)
        yield from _constant("channel-offset", f"along axis {channel}", value, bound, difference, others)
        if np.prod([value.shape[axis] for axis in others]) > 2:
            scale = _median(np.where(np.abs(value) > 4 * bound, quotient, np.nan), others)
            allowed = 4 * (np.abs(scale).astype(np.float64) + 1) * bound
            with np.errstate(invalid="ignore"):
                if (np.abs((scale - 1) * value) > 2 * allowed).any():
                    yield Symptom("channel-scale", f"along axis {channel}", Prediction(value * scale, allowed))
        order = _order_of_channels(
            np.moveaxis(value, channel, 0), np.moveaxis(bound, channel, 0), np.moveaxis(actual, channel, 0)
        )
        if order is not None:
            moved = Prediction(np.take(value, order, channel), np.take(bound, order, channel))
            yield Symptom("channel-order", f"{', '.join(map(str, order))} along axis {channel}", moved)


def _constant(
    name: str, detail: str, value: Array, bound: Array, difference: Array, others: tuple[int, ...]
) -> Iterator[Symptom]:
    if np.prod([value.shape[axis] for axis in others]) > 2:  # of two numbers, any difference is nearly constant
        constant = _median(np.where(np.isfinite(difference), difference, np.nan), others)
        slack = np.max(bound, axis=others, keepdims=True, where=np.isfinite(bound), initial=0.0)
        if (np.abs(constant) > 2 * slack).any():  # or it is the rounding that is constant
            with np.errstate(invalid="ignore"):
                yield Symptom(name, detail, Prediction(value + constant, bound + slack + bound))


def _median(values: Array, axes: tuple[int, ...]) -> Array:
    """Return the median of what is not NaN, and 0 where nothing is."""
    counted = np.isfinite(values).any(axis=axes, keepdims=True)
    filled = np.where(counted, values, 0)
    return np.asarray(np.nanmedian(np.where(np.isfinite(filled), filled, np.nan), axis=axes, keepdims=True))


def _order_of_channels(value: Array, bound: Array, actual: Array) -> list[int] | None:
    """Find for every slice of ``actual`` the slice of ``value`` that it is, each once."""
    order: list[int] = []
    for one in actual:
        with np.errstate(invalid="ignore"):
            near = [
                i
                for i in range(len(value))
                if i not in order
                and (
                    (np.abs(one - value[i]) <= bound[i]) | (one == value[i]) | (np.isnan(one) & np.isnan(value[i]))
                ).all()
            ]
        if not near:
            return None
        order.append(near[0])
    return order


def _shifted(value: Array, bound: Array, actual: Array) -> Iterator[Symptom]:
    """One element further along one of the last two axes; what came in at the end is anyone's."""
    for axis in range(max(value.ndim - 3, 0), value.ndim):
        if value.shape[axis] < 3:
            continue
        for step in (1, -1):
            here = [slice(None)] * value.ndim
            here[axis] = slice(0, 1) if step == 1 else slice(-1, None)
            moved, allowed = np.roll(value, step, axis), np.roll(bound, step, axis)
            moved[tuple(here)] = actual[tuple(here)]
            yield Symptom("shifted", f"{step:+d} along axis {axis}", Prediction(moved, allowed))


def _with_fewer_bits(value: Array, bound: Array, actual: Array, dtype: str) -> Iterator[Symptom]:
    """Keep the last bits zero, and the rest as near as that allows."""
    finite = np.isfinite(actual) & np.isfinite(value)
    for name in ("float32", "float16", "bfloat16"):
        if SIGNIFICANDS[name] >= SIGNIFICANDS.get(dtype, 0):
            continue
        stored, right = actual[finite], value[finite].astype(np.float64)
        # small integers fit into few bits, too: the numbers must need all that the format has
        full = bool((keep_bits(stored, SIGNIFICANDS[name] - 2) != stored).any())
        if full and (round_bits(stored, name) == stored).all() and (round_bits(right, name) != right).any():
            # what a net computes in few bits is off by more than one rounding; a sixteenth is no coincidence
            unit = 2.0 ** -SIGNIFICANDS[name]
            with np.errstate(invalid="ignore"):
                largest = float(np.abs(value[finite]).max(initial=0.0))
                yield Symptom("reduced-precision", f"{name}", Prediction(value, bound + 16 * unit * largest))


def _sorted(value: Array, bound: Array, actual: Array) -> Iterator[Symptom]:
    """Put the same numbers where they stand in the other."""
    if np.isfinite(value).all() and np.isfinite(actual).all():
        places = np.argsort(np.argsort(actual, axis=None, kind="stable"), kind="stable").reshape(actual.shape)
        slack = float(bound.max())
        yield Symptom("another-order", "", Prediction(np.sort(value, axis=None)[places], np.full(value.shape, slack)))
