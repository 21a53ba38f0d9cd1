"""Numbers with a radius, and a backend that returns them.

A :class:`Ball` is a result and how far from it the exact one may be; its
operations carry the radius along, and carry it upwards. A :class:`Trial` draws operands and runs a
backend on them; the radii of its results are those of
:mod:`convbridge.parity.bounds`. The laws are written with both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import convbridge
from convbridge.parity import bounds, oracle

__all__ = ["Ball", "Trial", "exact", "joined", "rounding"]

Array = np.ndarray[Any, Any]
Sides = tuple[tuple[int, int], tuple[int, int]]


class Ball(NamedTuple):
    """Numbers, and how far from them the exact ones may be.

    Attributes
    ----------
    value : numpy.ndarray of longdouble
    radius : numpy.ndarray of float64
        Of the same shape.

    Examples
    --------
    >>> ball = Ball(np.array([1, 2], np.longdouble), np.array([0.5, 0.25]))
    >>> ball.moved(np.flip).radius.tolist(), float(ball.plus(ball).radius[0]) >= 1.0
    ([0.25, 0.5], True)
    """

    value: Array
    radius: Array

    def moved(self, arrange: Callable[[Array], Array]) -> Ball:
        """Rearrange the elements, or choose some of them."""
        return Ball(arrange(self.value), arrange(self.radius))

    def plus(self, other: Ball) -> Ball:
        """Add, with the rounding of the addition in longdouble."""
        total = self.value + other.value
        return Ball(total, (self.radius + other.radius + rounding(total, 1)) * UPWARDS)

    def times(self, factor: Any) -> Ball:
        """Multiply by exact numbers."""
        exactly = np.asarray(factor, np.longdouble)
        product = self.value * exactly
        return Ball(product, (self.radius * np.abs(exactly).astype(np.float64) + rounding(product, 1)) * UPWARDS)

    def dot(self, other: Any) -> Ball:
        """Multiply by exact numbers, element by element, and add everything up."""
        products = self.times(other)
        roundings = rounding(np.abs(products.value).sum(), products.value.size)
        return Ball(products.value.sum(), (products.radius.sum() + roundings) * UPWARDS)


#: Radii are computed in float64: more than what that loses in a million operations.
UPWARDS = 1 + 2.0**-32


def rounding(value: Any, steps: int) -> Any:
    """Bound what some roundings in longdouble change.

    Parameters
    ----------
    value : array_like
        What is rounded, or a bound of it.
    steps : int
        How often.

    Returns
    -------
    numpy.ndarray of float64

    Examples
    --------
    >>> bool(0 < rounding([1.0], 3)[0] <= 4 * np.finfo(float).eps)
    True
    """
    return np.abs(np.asarray(value, np.float64)) * bounds.gamma(steps, "longdouble")


def exact(array: Any) -> Ball:
    """Make a ball of exact numbers.

    Parameters
    ----------
    array : array_like

    Returns
    -------
    Ball

    Examples
    --------
    >>> exact([1.0]).radius.tolist()
    [0.0]
    """
    value = np.asarray(array, np.longdouble)
    return Ball(value, np.zeros(value.shape))


def joined(*balls: Ball) -> Ball:
    """Put results one after another along the axis of the channels.

    Parameters
    ----------
    *balls : Ball
        In NCHW.

    Returns
    -------
    Ball

    Examples
    --------
    >>> joined(exact(np.ones((1, 2, 3, 3))), exact(np.ones((1, 1, 3, 3)))).value.shape
    (1, 3, 3, 3)
    """
    return Ball(*(np.concatenate(parts, axis=1) for parts in zip(*balls)))


@dataclass
class Trial:
    """One try of a law: who computes, with which numbers.

    Attributes
    ----------
    backend : str
    dtype : {"float32", "float64"}
    whole : bool
        Whether all numbers are small integers.
    rng : numpy.random.Generator
        Draws numbers and geometries.

    Examples
    --------
    >>> trial = Trial("numpy", "float32", True, np.random.default_rng(0))
    >>> trial.pool2d(np.eye(3), 2, "max").value.astype(int).tolist()
    [[1, 1], [1, 1]]
    """

    backend: str
    dtype: str
    whole: bool
    rng: np.random.Generator

    def numbers(self, *shape: int) -> Array:
        """Draw operands: integers up to 4, or fractions of 1 that can be added without rounding.

        Four bits of the significand stay free, so a sum of a few operands is
        exact; their products are not.
        """
        if self.whole:
            return self.rng.integers(-4, 5, shape).astype(self.dtype)
        bits = {"float32": 20, "float64": 49}[self.dtype]
        return (self.rng.integers(-(2**bits), 2**bits, shape) * 2.0**-bits).astype(self.dtype)

    def between(self, low: int, high: int) -> int:
        """Draw an integer; both ends are possible."""
        return int(self.rng.integers(low, high + 1))

    def pair(self, low: int, high: int) -> tuple[int, int]:
        """Draw a number for the height and one for the width."""
        return self.between(low, high), self.between(low, high)

    def sides(self) -> Sides:
        """Draw a padding of at most 1 on each side."""
        return self.pair(0, 1), self.pair(0, 1)

    def conv2d(self, X: Any, weight: Any, bias: Any = None, **keywords: Any) -> Ball:
        """Run the backend on arrays, or on balls whose values it returned before."""
        image, kernels = (part if isinstance(part, Ball) else exact(part) for part in (X, weight))
        x, k = (part.value.astype(self.dtype) for part in (image, kernels))
        radius = bounds.conv2d_bound(x, k, bias, dtype=self.dtype, **keywords)
        # |X K - x k| <= |X - x| |K| + |x| |K - k| for the exact X and K near the given x and k
        for a, b in ((image.radius, np.abs(kernels.value) + kernels.radius), (np.abs(image.value), kernels.radius)):
            if a.any() and b.any():
                radius = (radius + oracle.conv2d(a, b, **keywords).astype(np.float64)) * UPWARDS
        return self._ball(convbridge.conv2d(x, k, bias, **keywords, backend=self.backend), radius)

    def _ball(self, result: Any, radius: Array) -> Ball:
        return Ball(convbridge.to_numpy(result).astype(np.longdouble), radius)

    def conv2d_vjp(self, X: Array, weight: Array, bias: Any, grad: Array, **keywords: Any) -> list[Ball]:
        """Run the backend's gradients; without that of a bias that is None."""
        operands = (X, weight, bias, grad)
        found = convbridge.conv2d_vjp(*operands, **keywords, backend=self.backend)
        radii = bounds.conv2d_vjp_bound(*operands, dtype=self.dtype, **keywords)
        return [self._ball(part, radius) for part, radius in zip(found, radii) if radius is not None]

    def pool2d(self, X: Array, pool_size: Any, mode: str, **keywords: Any) -> Ball:
        """Run the backend."""
        result = convbridge.pool2d(X, pool_size, mode, **keywords, backend=self.backend)
        radius = bounds.pool2d_bound(X, pool_size, mode, dtype=self.dtype, **keywords)
        return self._ball(result, radius)

    def pool2d_vjp(self, X: Array, pool_size: Any, grad: Array, mode: str, **keywords: Any) -> Ball:
        """Run the backend's gradient."""
        result = convbridge.pool2d_vjp(X, pool_size, grad, mode, **keywords, backend=self.backend)
        radius = bounds.pool2d_vjp_bound(X, pool_size, grad, mode, dtype=self.dtype, **keywords)
        return self._ball(result, radius)
