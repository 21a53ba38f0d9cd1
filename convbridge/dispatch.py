"""Plans: what is left of a call once its signature is known.

Checking a call and deciding who computes it takes ten times as long as
multiplying two small matrices. All of it depends on nothing but the classes,
shapes and dtypes of the arrays, the other arguments and the choices in force;
so the first call of a signature goes the whole way (:mod:`convbridge.functional`)
and leaves a *plan* behind, a callable that takes the arrays straight to the
operator. A later call with an equal key runs the plan. Nothing is skipped by
that: equal keys would pass, or fail, the same checks.

What keeps this right:

* a call that was refused leaves no plan, so it is refused again in the same
  words; a plan that raises hands its call back to the whole way, unless it
  is the framework that failed (``BackendOperationError``);
* ``1 == 1.0 == True``, also as a key, so the exact types of the arguments
  belong to it (:func:`exact`); what is not made of plain numbers and words
  (a list, a NumPy integer) has no key;
* the backend that was chosen, and the precision, belong to it;
* only arrays of the very classes that a backend lists in ``PLAIN`` are
  planned: no subclasses, no symbols, no sizes that only a graph will know;
* what a plan meets beyond its key (the layout in memory, the device) is the
  affair of the conversions and operators that it runs;
* whether a large result fits into memory depends on the moment, so such a
  call is never planned; nor is anything in a forked process;
* new backends, a new environment and a fork drop all plans (:func:`forget`),
  also those that a call in another thread was about to leave.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["LIMIT", "PLANS", "NotPlannedError", "exact", "forget", "generation", "is_plain", "remember"]

#: A program has a few signatures; one that never stops making new ones starts over here.
LIMIT = 1024

#: Key of a call to what takes its arrays to the result.
PLANS: dict[tuple[Any, ...], Callable[..., Any]] = {}

#: How often everything was forgotten.
_generation = 0

_PLAIN_ARGUMENTS = frozenset((int, bool, str, type(None)))


class NotPlannedError(Exception):
    """Raised by a plan that meets what it was not made for: the call goes the whole way; nobody sees this."""


def exact(value: Any) -> tuple[Any, ...]:
    """Return an argument as part of a key: with the types of everything in it.

    Parameters
    ----------
    value : object
        Numbers, words and tuples of them.

    Returns
    -------
    tuple

    Raises
    ------
    TypeError
        For anything else, which has no key.

    Examples
    --------
    >>> exact(1) == exact(True), exact((1, 2)) == exact((1, 2))
    (False, True)
    """
    kind = type(value)
    if kind is tuple:
        kinds = tuple(map(type, value))
        if _PLAIN_ARGUMENTS.issuperset(kinds):
            return (kinds, value)  # the same said shorter, for most
        return (tuple, *map(exact, value))
    if kind in _PLAIN_ARGUMENTS:
        return (kind, value)
    raise TypeError(kind)


def is_plain(arrays: Any, plain: tuple[type, ...]) -> bool:
    """Tell whether arrays are all neutral, or all of a backend's own classes, with shapes of plain integers.

    Parameters
    ----------
    arrays : iterable
        The array arguments of a call.
    plain : tuple of type
        The backend's own classes.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_plain([np.ones(2)], ()), is_plain([np.ma.ones(2)], ()), is_plain([[1, 2]], ())
    (True, False, False)
    """
    kinds = {type(array) for array in arrays}
    return (kinds == {np.ndarray} or kinds.issubset(plain)) and all(
        type(n) is int for array in arrays for n in array.shape
    )


def generation() -> int:
    """Return what a call notes at its start, for :func:`remember`.

    Returns
    -------
    int

    Examples
    --------
    >>> generation() == generation()
    True
    """
    return _generation


def remember(key: tuple[Any, ...], plan: Callable[..., Any], since: int) -> None:
    """Keep a plan; drop all of them first when there are too many.

    Parameters
    ----------
    key : tuple
        Of the call.
    plan : callable
        Takes its arrays to the result.
    since : int
        The :func:`generation` at the start of the call.

    Examples
    --------
    >>> remember(("example",), print, since=generation() - 1)
    >>> ("example",) in PLANS
    False
    """
    if len(PLANS) >= LIMIT:
        PLANS.clear()
    if since == _generation:
        PLANS[key] = plan


def forget() -> None:
    """Drop all plans.

    Examples
    --------
    >>> forget()
    >>> len(PLANS)
    0
    """
    global _generation
    _generation += 1
    PLANS.clear()


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=forget)
