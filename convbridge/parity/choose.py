"""Choosing cases by words, as ``--select 'conv2d and float64 and not NHWC'`` does.

A word stands for the cases in whose description it occurs: the name of the
case, its operation, implementation, kind and dtype. ``and``, ``or``, ``not``
and parentheses join words, with the precedence that they have in Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from convbridge.errors import ArgumentError, received
from convbridge.parity.cases import Case

__all__ = ["chooser"]

Choice = Callable[[Case], bool]


def _described(case: Case) -> str:
    return " ".join((case.name, case.operation, case.implementation, case.kind, case.dtype)).lower()


class _Reader:
    """Reads an expression from left to right, one method for each level of precedence."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.words = re.findall(r"[()]|[^\s()]+", expression)
        self.position = 0

    def wrong(self, what: str) -> ArgumentError:
        return ArgumentError(
            f"select must be words joined by 'and', 'or', 'not' and parentheses: {what}. "
            f"{received(select=self.expression)}"
        )

    def next_is(self, *wanted: str) -> bool:
        found = self.position < len(self.words) and self.words[self.position].lower() in wanted
        self.position += found
        return found

    def whole(self) -> Choice:
        choice = self.either()
        if self.position < len(self.words):
            raise self.wrong(f"{self.words[self.position]!r} is not expected where it stands")
        return choice

    def either(self) -> Choice:
        choices = [self.both()]
        while self.next_is("or"):
            choices.append(self.both())
        return lambda case: any(choice(case) for choice in choices)

    def both(self) -> Choice:
        choices = [self.negated()]
        while self.next_is("and"):
            choices.append(self.negated())
        return lambda case: all(choice(case) for choice in choices)

    def negated(self) -> Choice:
        if self.next_is("not"):
            denied = self.negated()
            return lambda case: not denied(case)
        return self.word()

    def word(self) -> Choice:
        if self.next_is("("):
            choice = self.either()
            if not self.next_is(")"):
                raise self.wrong("a parenthesis is not closed")
            return choice
        if self.position == len(self.words) or self.words[self.position].lower() in ("and", "or", ")"):
            raise self.wrong("a word is missing")
        word = self.words[self.position].lower()
        self.position += 1
        return lambda case: word in _described(case)


def chooser(expression: str) -> Choice:
    """Read an expression.

    Parameters
    ----------
    expression : str
        Words, ``and``, ``or``, ``not``, parentheses. Case does not matter. The
        empty expression chooses all.

    Returns
    -------
    callable
        Of a :class:`convbridge.parity.cases.Case`; True for those chosen.

    Raises
    ------
    ArgumentError
        If it cannot be read.

    Examples
    --------
    >>> from convbridge.parity.lattice import lattice
    >>> chosen = lattice(chooser("conv2d and not (gradient or float32)"))
    >>> sorted({case.dtype for case in chosen}), {case.kind for case in chosen}
    (['bfloat16', 'float16', 'float64'], {'value'})
    """
    return _Reader(expression).whole() if expression.strip() else lambda case: True
