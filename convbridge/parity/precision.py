"""Which lower precision a result was computed in: the closed list, and how each is told from the others.

Lower precision leaves traces. Operands rounded to fewer bits give a result
that is *exact for the rounded operands*, to the last bit that the sum can
promise: that is as tight as any other hypothesis. A sum kept in fewer bits
leaves a result whose last bits are zero. Winograd's minimal filtering leaves
errors of the size of a tile's largest pixel where a small result was due. So
no hypothesis here is believed for its size alone: each asks for its trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from convbridge.parity import bounds, oracle
from convbridge.parity.calls import Call, Prediction, extend
from convbridge.parity.hypotheses import Alternative

__all__ = ["CAUSES", "SIGNIFICANDS", "alternatives", "keep_bits", "round_bits", "winograd_matrices"]

Array = np.ndarray[Any, Any]

#: Name to the sentence that a report shows.
CAUSES = {
    "float32": "float32 in the place of float64",
    "tf32": "TF32, float32 with 11 significant bits",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "winograd": "Winograd's minimal filtering",
}

#: Significant bits, the hidden one included.
SIGNIFICANDS = {"bfloat16": 8, "float16": 11, "tf32": 11, "float32": 24, "float64": 53}


def round_bits(values: Array, precision: str, *, truncate: bool = False) -> Array:
    """Round to fewer significant bits, in the dtype that the numbers have.

    Parameters
    ----------
    values : numpy.ndarray
        Of float64 or narrower.
    precision : str
        A key of :data:`SIGNIFICANDS`. float16 also loses range.
    truncate : bool, default False
        Cut the bits off instead of rounding to nearest even.

    Returns
    -------
    numpy.ndarray
        Of the same dtype.

    Examples
    --------
    >>> round_bits(np.array([1 + 2**-10 + 2**-11]), "tf32") - 1, round_bits(np.array([1.9999]), "tf32", truncate=True)
    (array([0.00195312]), array([1.99902344]))
    """
    if precision in ("float16", "float32") and not truncate:
        return oracle.round_to(values, precision).astype(values.dtype)
    return keep_bits(values, SIGNIFICANDS[precision], truncate=truncate)


def keep_bits(values: Array, bits: int, *, truncate: bool = False) -> Array:
    """Round to so many significant bits, whatever the exponent.

    Parameters
    ----------
    values : numpy.ndarray
        Of float64 or narrower.
    bits : int
    truncate : bool, default False
        As for :func:`round_bits`.

    Returns
    -------
    numpy.ndarray
        Of the same dtype.

    Examples
    --------
    >>> keep_bits(np.array([5.0, 11.0]), 2).tolist()
    [4.0, 12.0]
    """
    mantissa, exponent = np.frexp(values.astype(np.float64))
    scaled = np.ldexp(mantissa, bits)
    with np.errstate(invalid="ignore"):
        return np.ldexp(np.trunc(scaled) if truncate else np.rint(scaled), exponent - bits).astype(values.dtype)


def alternatives(call: Call, right: Prediction, actual: Array) -> Iterator[Alternative]:
    """Yield every lower precision that a call may have been computed in.

    Parameters
    ----------
    call : Call
        What should have been computed.
    right : Prediction
        Its result and rounding bound, as if it had to be rounded.
    actual : numpy.ndarray
        What came out instead.

    Yields
    ------
    Alternative

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> call = Call.of(random_case(0, 3), "Y")
    >>> list(dict.fromkeys(alternative.name for alternative in alternatives(call, call.predict(), np.zeros(1))))
    ['tf32', 'float16', 'bfloat16']
    """
    stated = SIGNIFICANDS[call.dtype]
    lower = [name for name, bits in SIGNIFICANDS.items() if bits < stated][::-1]
    for name in lower:
        if name == "tf32" and call.dtype != "float32":
            continue
        for truncate, but in product((False, True), ("bias", "")):  # a bias is mostly added where the sums are
            if but == "" and "bias" not in call.operands:
                continue
            rounded = {
                key: round_bits(array, name, truncate=truncate) for key, array in call.operands.items() if key != but
            }
            how = f"operands {'cut' if truncate else 'rounded'} to it, sums in {call.dtype}"
            yield Alternative(name, how, call.altered(**rounded))
        if name == "tf32":  # the tensor cores' way to multiply; nobody stores it
            continue
        trace = partial(_last_bits_are_zero, oracle.round_to(right.value, call.dtype), name)
        yield Alternative(name, "the result rounded to it", _RoundedResult(right, name), None, trace)
        computed = _Computed(call._replace(dtype=name), actual)
        size = partial(_has_the_size, right, computed)
        yield Alternative(name, "all of it", computed, None, size if name == "float32" else trace)
    if _winograd_applies(call):
        for tile in (2, 4, 6):
            candidate = _Winograd(call, right, tile)
            yield Alternative("winograd", f"F({tile}, 3)", candidate, None, candidate.left_its_trace)


# --------------------------------------------------------------------------- traces


def _last_bits_are_zero(right: Array, precision: str, actual: Array) -> bool:
    """Tell whether all numbers have just the bits of a lower precision, though the right ones have more."""
    finite = np.isfinite(actual) & np.isfinite(right)
    actual, right = actual[finite], right[finite]
    kept = round_bits(actual, precision) == actual
    full = keep_bits(actual, SIGNIFICANDS[precision] - 2) != actual  # or it was a precision still lower
    return bool(kept.all() and full.any() and (round_bits(right, precision) != right).any())


def _has_the_size(right: Prediction, computed: _Computed, actual: Array) -> bool:
    """Tell whether most errors are of the size that a lower precision makes, 1e-4 of its bound."""
    allowed = computed.predict().bound
    told = np.isfinite(right.value) & (allowed > 0)
    return bool(told.any()) and bool(np.median(np.abs(actual - right.value)[told] / allowed[told]) > 1e-4)


class _Computed(NamedTuple):
    """A call in a lower precision, whose largest numbers overflow."""

    call: Call
    actual: Array

    @property
    def is_possible(self) -> bool:
        return True

    def predict(self) -> Prediction:
        value, bound = self.call.predict()
        if value.shape == self.actual.shape:
            largest = np.finfo("float32" if self.call.dtype == "bfloat16" else self.call.dtype).max
            with np.errstate(invalid="ignore"):
                over = np.isinf(self.actual) & (np.abs(value) + bound >= largest)
            value = np.where(over, np.copysign(np.inf, value), value)
        return Prediction(value, bound)


class _RoundedResult(NamedTuple):
    """The right result, rounded to a lower precision at the end."""

    right: Prediction
    precision: str

    @property
    def is_possible(self) -> bool:
        return True

    def predict(self) -> Prediction:
        value, bound = self.right
        unit = 2.0 ** -SIGNIFICANDS[self.precision]
        with np.errstate(invalid="ignore"):
            return Prediction(value, bound + unit * (np.abs(value).astype(np.float64) + bound))


# --------------------------------------------------------------------------- Winograd


def _winograd_applies(call: Call) -> bool:
    return (
        call.kind == "conv"
        and call.result == "Y"
        and (call.window, call.stride, call.dilation)
        == (
            (3, 3),
            (1, 1),
            (1, 1),
        )
    )


def winograd_matrices(tile: int) -> tuple[Array, Array, Array]:
    """Build the transforms of F(m, 3): m outputs of a 3-tap correlation from m + 2 products.

    The image's tile d, the kernel g: ``A.T @ ((G @ g) * (B.T @ d))``. The
    product of two polynomials is found from its values at m + 1 points and at
    infinity; correlation is its transpose.

    Parameters
    ----------
    tile : {2, 4, 6}
        m.

    Returns
    -------
    A, G, B : numpy.ndarray of float64
        (m + 2, m), (m + 2, 3), (m + 2, m + 2).

    Notes
    -----
    Source: A. Lavin, S. Gray, *Fast Algorithms for Convolutional Neural
    Networks*, 2016.

    Examples
    --------
    >>> A, G, B = winograd_matrices(2)
    >>> d, g = np.array([1.0, 2, 3, 4]), np.array([1.0, 0, 2])
    >>> A.T @ ((G @ g) * (B.T @ d))
    array([ 7., 10.])
    """
    points = np.array([0.0, 1, -1, 2, -2, 0.5, -0.5][: tile + 1])
    others = [np.delete(points, j) for j in range(tile + 1)]
    scale = np.array([np.prod(point - rest) for point, rest in zip(points, others)])
    A = np.vstack([points[:, None] ** np.arange(tile), np.eye(tile)[-1:]])
    G = np.vstack([points[:, None] ** np.arange(3) / scale[:, None], np.eye(3)[-1:]])
    rows = [np.append(np.poly(rest)[::-1], 0.0) for rest in others]
    return A, G, np.array([*rows, np.poly(points)[::-1]]).T


class _Winograd(NamedTuple):
    """A convolution by minimal filtering, in tiles that start at the first output."""

    call: Call
    right: Prediction
    tile: int

    @property
    def is_possible(self) -> bool:
        return True

    def predict(self) -> Prediction:
        """Return the right result, and how far Winograd's algorithm may be from it.

        Each of the four transforms is two inner products, each product is
        rounded, and channels are added up: so many roundings act on the same
        sums of absolute values. Two more for each constant that is itself
        rounded.
        """
        call, m = self.call, self.tile
        A, G, B = (np.abs(matrix) for matrix in winograd_matrices(m))
        weight, bias = np.abs(call.operands["weight"]).astype(np.float64), call.operands.get("bias")
        tiles = [-(-n // m) for n in call.output_size]
        ends = [(before, count * m + 2 - n - before) for count, n, (before, _) in zip(tiles, call.size, call.sides)]
        image = extend(np.abs(call.operands["X"]).astype(np.float64), ends, 0.0)
        batch, outputs, per_group = len(image), len(weight), weight.shape[1]
        banks = np.einsum("ap,gocpq,bq->gocab", G, weight.reshape(call.groups, -1, per_group, 3, 3), G)
        bound = np.zeros((batch, outputs, tiles[0] * m, tiles[1] * m))
        for i, j in np.ndindex(*tiles):
            piece = image[:, :, i * m : i * m + m + 2, j * m : j * m + m + 2]
            piece = piece.reshape(batch, call.groups, per_group, m + 2, m + 2)
            seen = np.einsum("ra,ngcrs,sb->ngcab", B, piece, B)
            sums = np.einsum("gocab,ngcab->ngoab", banks, seen)
            made = np.einsum("ai,ngoab,bj->ngoij", A, sums, A).reshape(batch, outputs, m, m)
            bound[:, :, i * m : (i + 1) * m, j * m : (j + 1) * m] = made
        bound = bound[:, :, : call.output_size[0], : call.output_size[1]]
        if bias is not None:
            bound = bound + np.abs(bias)[:, None, None]
        roundings = 4 * (m + 2) + 2 * 3 + 1 + per_group + 6 + 1
        return Prediction(self.right.value, bound * bounds.gamma(roundings, call.dtype))

    def left_its_trace(self, actual: Array) -> bool:
        """Tell whether errors too large for a sum of products stand where Winograd's are far larger."""
        value, bound = self.right
        allowed = self.predict().bound
        suspects = (allowed > 64 * bound) & np.isfinite(value)
        error = np.abs(actual - value)
        wrong = error > bound
        if not wrong.any() or not suspects.any():
            return False
        used = error[suspects] / allowed[suspects]  # rounding errors are all about as large as their scale says
        return bool(
            wrong[suspects].mean() > 0.2 and suspects[wrong].mean() > 0.9 and used.max() < 100 * np.median(used)
        )
