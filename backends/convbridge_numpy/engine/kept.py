"""Weights of a layer as an engine needs them, kept from call to call.

Idea
    Winograd's transform of 512 x 256 kernels takes a third of the time of a
    convolution of 28 x 28 pixels with them. A layer computes with the same
    weights again and again, so it keeps what was made of them.
Safety
    Weights change in many ways: they are replaced, written to in place, moved by
    an optimizer through a view. No flag sees all of that, so a copy is kept too
    and compared bit by bit in every call. What is used was made of the copy, so
    the two belong together whatever other threads do.
Cost
    Reading the weights and the copy: 0.2 ms for 256 x 256 kernels of float32,
    where transforming them takes 4 to 15; weights that have changed are mostly
    told apart by the first block.
Memory
    Five times the weights: the copy, and the transforms, 36 numbers for 9. A
    layer that sees both large and small images may need two forms of them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

Array = np.ndarray[Any, Any]
Made = TypeVar("Made")

#: Numbers that are compared at a time, so that a difference is found early and the answer stays in the cache.
BLOCK = 2**16


class Kept:
    """What an engine made of the weights of one layer.

    Examples
    --------
    >>> kept, weight = Kept(), np.ones(3)
    >>> kept.made_of(weight, np.cumsum).tolist()
    [1.0, 2.0, 3.0]
    >>> weight[0] = 5
    >>> kept.made_of(weight, np.cumsum).tolist()
    [5.0, 6.0, 7.0]
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[Any, ...], tuple[Array, Any]] = {}
        self._groups: dict[int, Kept] = {}

    def made_of(self, weight: Array, make: Callable[..., Made], *arguments: Any) -> Made:
        """Return ``make(weight, *arguments)``, from an earlier call if the weights are what they were.

        Parameters
        ----------
        weight : ndarray
            Any strides.
        make : callable
            The same in every call.
        *arguments
            Hashable; few different ones, each of which has a result of its own.

        Returns
        -------
        object
            Only to be read.
        """
        entry = self._entries.get(arguments)  # one read and one write, so threads see a whole entry or none
        if entry is None or not same_bits(entry[0], weight):
            copy = np.array(weight, order="C")
            entry = copy, make(copy, *arguments)
            self._entries[arguments] = entry
        made: Made = entry[1]
        return made

    def group(self, number: int) -> Kept:
        """Return the part of one group of channels.

        Parameters
        ----------
        number : int
            Which.

        Returns
        -------
        Kept
        """
        return self._groups.setdefault(number, Kept())

    def __reduce__(self) -> tuple[type[Kept], tuple[()]]:
        """Leave everything behind where a layer is copied or saved: it can be made again."""
        return Kept, ()


#: What the layer that computes just now keeps.
KEPT: ContextVar[Kept | None] = ContextVar("convbridge_numpy_kept", default=None)


def same_bits(a: Array, b: Array) -> bool:
    """Tell whether two arrays hold the same numbers, down to the signs of zeros and the bits of NaNs.

    Parameters
    ----------
    a, b : ndarray of float32 or float64
        Any shapes and strides.

    Returns
    -------
    bool

    Examples
    --------
    >>> same_bits(np.zeros(2), np.zeros(2)), same_bits(np.zeros(2), -np.zeros(2))
    (True, False)
    """
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    whole = f"i{a.itemsize}"
    rows = max(1, BLOCK * len(a) // max(1, a.size))
    return all(
        np.array_equal(a[first : first + rows].view(whole), b[first : first + rows].view(whole))
        for first in range(0, len(a), rows)
    )
