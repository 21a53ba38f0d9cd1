"""The parts of an exercise. What may live here: what an exercise is made of, and nothing that computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from convbridge.teaching.exercises.formulas import Formula

__all__ = ["Case", "Exercise", "Given", "Part", "Text", "Wanted"]

#: In English and in Chinese.
Text = tuple[str, str]

#: What must come out: a formula's numbers, or "zero", "nonzero", or "equal" (all the same, and not zero).
Wanted = Formula | Literal["zero", "nonzero", "equal"]


class Given(NamedTuple):
    """A matrix that belongs to the question.

    Attributes
    ----------
    label : Text
    value : Formula
    """

    label: Text
    value: Formula


class Part(NamedTuple):
    """What one part of an answer looks like: a grid of numbers, or a choice.

    Attributes
    ----------
    label : Text
        ("", "") if it has a name.
    rows, columns : int
        Of the grid.
    most : int
        So many columns the learner may choose; 0 for as many as there are.
    chooses : bool
        Whether it is one of the exercise's options, answered by its letter.
    least : int, optional
        The numbers must be whole, and at least this.
    blanks : bool
        Whether an empty cell counts as 0.
    name : str
        A name that is the same in all languages.
    """

    label: Text
    rows: int = 1
    columns: int = 1
    most: int = 0
    chooses: bool = False
    least: int | None = None
    blanks: bool = False
    name: str = ""


class Case(NamedTuple):
    """Something that must be true of an answer.

    Attributes
    ----------
    got : Formula
        Computed from the answer.
    wanted : Wanted
    say : str
        The message if it is not true, from the exercise's ``says``; "" for
        the one of :data:`convbridge.teaching.exercises.messages.MESSAGES` that
        fits what was wanted.
    about : int
        The matrix of the question, or -1 for the answer itself, that the
        message names.
    mistakes : tuple of (Formula, str)
        What else could have come out, and the message that explains it.
    zeros : bool
        Whether it only matters where the zeros are.
    """

    got: Formula
    wanted: Wanted
    say: str = ""
    about: int = -1
    mistakes: tuple[tuple[Formula, str], ...] = ()
    zeros: bool = False


class Exercise(NamedTuple):
    """An exercise of the chapters.

    Attributes
    ----------
    name : str
        What the command line and the address bar call it.
    title, question, hint, solution : Text
        The places of the solution, such as {first}, are filled from ``numbers``.
    parts : tuple of Part
    cases : tuple of Case
        Tried in this order; the first that is not true is what the learner hears.
    answer : tuple of Formula
        An answer that is right, one for each part.
    given : tuple of Given
    says : mapping of str to Text
        Messages of its own.
    numbers : mapping of str to Formula
        Each a matrix of one element.
    options : tuple of Text
        What parts that choose can be.
    """

    name: str
    title: Text
    question: Text
    hint: Text
    solution: Text
    parts: tuple[Part, ...]
    cases: tuple[Case, ...]
    answer: tuple[Formula, ...]
    given: tuple[Given, ...] = ()
    says: Mapping[str, Text] = {}
    numbers: Mapping[str, Formula] = {}
    options: tuple[Text, ...] = ()
