"""The parts of a component."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["Component", "Gathered"]

#: Plain data: dictionaries, lists, strings, finite numbers, true, false, None.
Gathered = Any


def _no_differences(_: Gathered) -> tuple[str, ...]:
    """For what compares nothing."""
    return ()


class Component(NamedTuple):
    """What sections of one kind are made of.

    Attributes
    ----------
    name : str
        Sections name it; its script registers under it.
    gather : callable
        Called once for a page, with the names of the backends that take part;
        returns what the page needs to know of their run, as plain data. The
        script finds it as ``words.data.components[name]``.
    body : callable
        Called with what was gathered; returns the HTML that stands in the
        section below its paragraphs.
    scripts, styles : tuple of str
        Files in ``assets``.
    differences : callable
        Called with what was gathered; returns a line for everything in it that
        rounding does not explain, each with the command that shows it.
    """

    name: str
    gather: Callable[[Sequence[str]], Gathered]
    body: Callable[[Gathered], str]
    scripts: tuple[str, ...]
    styles: tuple[str, ...] = ()
    differences: Callable[[Gathered], Sequence[str]] = _no_differences
