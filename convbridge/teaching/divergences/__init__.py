"""The entries of the atlas: what is asked, of which arrays, what convbridge promises, and why they differ.

What may live here: questions, inputs, calls and prose. No results: those come
from the run alone (:mod:`convbridge.teaching.atlas`). The native calls are in
the ``atlas.py`` of each backend, under the entry's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from convbridge.errors import ArgumentError, received
from convbridge.teaching.divergences import dtypes, gradients, padding, pooling, shapes, strides
from convbridge.teaching.divergences.entry import Entry

__all__ = ["ENTRIES", "GROUPS", "Entry", "find"]

#: Group to its entries, in the order in which they are shown.
GROUPS: dict[str, tuple[Entry, ...]] = {
    "padding": padding.ENTRIES,
    "strides and dilations": strides.ENTRIES,
    "shapes and layouts": shapes.ENTRIES,
    "pooling": pooling.ENTRIES,
    "numbers and dtypes": dtypes.ENTRIES,
    "gradients, errors and layers": gradients.ENTRIES,
}

#: All entries.
ENTRIES: tuple[Entry, ...] = tuple(entry for entries in GROUPS.values() for entry in entries)


def find(names: Sequence[str]) -> tuple[Entry, ...]:
    """Return entries by their names, in the order of the catalogue.

    Parameters
    ----------
    names : sequence of str
        Empty for all.

    Returns
    -------
    tuple of Entry

    Raises
    ------
    ArgumentError
        For a name that no entry has.

    Examples
    --------
    >>> [entry.name for entry in find(["ties"])]
    ['ties']
    """
    known = [entry.name for entry in ENTRIES]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ArgumentError(f"entry must be one of {', '.join(known)}.{hint} {received(entry=name)}")
    return tuple(entry for entry in ENTRIES if not names or entry.name in names)
