"""Weights of a layer as an engine needs them, kept from call to call.

Idea
    Winograd's transform of 512 x 256 kernels takes a third of the time of a
    convolution of 28 x 28 pixels with them, and bringing them into another order
    up to a seventh. A layer computes with the same weights again and again, so
    it keeps what was made of them.
Safety
    Weights change in many ways: they are replaced, written to in place, moved by
    an optimizer through a view. No flag sees all of that. But whoever writes to
    an array has a reference to it, and Python counts those: weights that nobody
    but the layer refers to, and that it has not handed out since they were last
    looked at, are what they were (:class:`Held`). Else they are compared, bit by
    bit, with a copy. What is used was made of the copy, so the two belong
    together whatever other threads do.
Cost
    Nothing; or reading the weights and the copy: 0.2 ms for 256 x 256 kernels of
    float32, where transforming them takes 4 to 15; weights that have changed are
    mostly told apart by the first block.
Memory
    For 3x3 five times the weights: the copy, and the transforms, 36 numbers for 9. A
    layer that sees both large and small images may need two forms of them.
    Weights in another order are as large as they were, and have no copy: to
    compare takes as long as to order anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

import numpy as np

Array = np.ndarray[Any, Any]
Made = TypeVar("Made")

#: Numbers that are compared at a time, so that a difference is found early and the answer stays in the cache.
BLOCK = 2**16


class Held:
    """An array, and whether anyone but its owner may have written to it.

    Parameters
    ----------
    array : ndarray
        Belongs to the owner from now on.

    Notes
    -----
    ``numpy.ndarray.resize`` asks the same question in the same way. What counts
    as a reference are variables, views, buffers and arrays of other frameworks
    on the same memory; an address that was taken down as a number does not.

    Examples
    --------
    >>> held = Held(np.zeros(3))
    >>> held.look()[1] is held.look()[1] is not None
    True
    >>> mine = held.hand_out()
    >>> held.look()[1] is None
    True
    """

    def __init__(self, array: Array) -> None:
        self._array, self._since = array, object()

    def hand_out(self) -> Array:
        """Return the array to somebody who may write to it."""
        array = self._array  # counted from here on, so what a thread sees after the next line is not trusted
        self._since = object()
        return array

    def replace(self, array: Array) -> None:
        """Hold another array."""
        # a thread that looks in between finds that something has changed, whichever of the two it has seen
        self._since = object()
        self._array = array
        self._since = object()

    def look(self) -> tuple[Array, object | None]:
        """Return the array, to be read, and what stays the same while nobody can have written to it.

        Returns
        -------
        array : ndarray
        since : object or None
            None if somebody else can write to it at any time.
        """
        since = self._since
        alone = self._references() == _ALONE
        array = self._array
        own = type(array) is np.ndarray and array.flags.owndata
        return array, since if alone and own and since is self._since else None

    def _references(self) -> int:
        return _count(self._array)


def _uncounted(_: object) -> int:
    return -1


# Interpreters without a global lock count the references of each thread apart, others do not count.
_counts = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
_count: Callable[[object], int] = sys.getrefcount if _counts else _uncounted
_ALONE = Held(np.empty(0))._references() if _counts else 0


class Entry(NamedTuple):
    """What was made, of which weights, and since when they were looked at."""

    copy: Array | None
    made: Any
    since: object | None


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
        self._entries: dict[tuple[Any, ...], Entry] = {}
        self._parts: dict[Any, Kept] = {}
        self.since: object | None = None

    def now(self, since: object | None) -> Kept:
        """Return the same for one call.

        Parameters
        ----------
        since : object or None
            As :meth:`Held.look` returned it.

        Returns
        -------
        Kept
        """
        call = Kept()
        call._entries, call._parts, call.since = self._entries, self._parts, since
        return call

    def made_of(self, weight: Array, make: Callable[..., Made], *arguments: Any) -> Made:
        """Return ``make(weight, *arguments)``, from an earlier call if the weights are what they were.

        Parameters
        ----------
        weight : ndarray
            Any strides.
        make : callable
            Takes much longer than comparing.
        *arguments
            Hashable; few different ones, each of which has a result of its own.

        Returns
        -------
        object
            Only to be read.
        """
        key = self._key(weight, make, arguments)
        entry = self._entries.get(key)  # one read and one write, so threads see a whole entry or none
        if entry is None or not (self._knows(entry) or (entry.copy is not None and same_bits(entry.copy, weight))):
            copy = np.array(weight, order="C")
            entry = Entry(copy, make(copy, *arguments), self.since)
            self._entries[key] = entry
        elif entry.since is not self.since:
            self._entries[key] = entry._replace(since=self.since)
        made: Made = entry.made
        return made

    def ordered(self, weight: Array, make: Callable[..., Made], *arguments: Any) -> Made | None:
        """Do the same if the weights need not be compared, else nothing.

        Parameters
        ----------
        weight, make, *arguments
            As for :meth:`made_of`; but may take as long as comparing.

        Returns
        -------
        object or None
            Only to be read.
        """
        if self.since is None:
            return None
        key = self._key(weight, make, arguments)
        entry = self._entries.get(key)
        if entry is None or not self._knows(entry):
            entry = self._entries[key] = Entry(None, make(weight, *arguments), self.since)
        made: Made = entry.made
        return made

    @staticmethod
    def _key(weight: Array, make: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Tell apart what is made of the weights; they may come in the dtype of an image, and some of them alone."""
        return (make, weight.dtype.char, weight.shape, *arguments)

    def _knows(self, entry: Entry) -> bool:
        return self.since is not None and entry.since is self.since

    def part(self, name: Any) -> Kept:
        """Return what is kept of some of the weights.

        Parameters
        ----------
        name : hashable
            Of a group of channels or the like; few different ones.

        Returns
        -------
        Kept
        """
        return self._parts.setdefault(name, Kept()).now(self.since)

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
