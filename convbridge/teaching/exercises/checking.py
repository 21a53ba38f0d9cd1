"""Reading an answer, and saying what is wrong with it.

Nothing is compared with a stored answer: what an exercise demands is computed
from what was answered. ``exercise-checks.js`` does the same in the page, and a
test compares the two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from convbridge.errors import ConvbridgeError
from convbridge.teaching.exercises.exercise import Case, Exercise, Part
from convbridge.teaching.exercises.formulas import compute

__all__ = ["LARGEST", "LARGEST_WHOLE", "Cells", "Verdict", "check", "letter", "parse_number"]

Array = np.ndarray[Any, Any]

#: A part of an answer as it was typed: rows of cells; a choice is one cell with a letter.
Cells = Sequence[Sequence[str]]

#: Of numbers that are typed, so that no sum overflows, and of sizes, so that every answer is quick.
LARGEST, LARGEST_WHOLE = 1e6, 64

#: Answers are small numbers. What float64 adds to them by rounding is far below this, a digit that is wrong far above.
_TOLERANCE = 1e-9

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII)


class Verdict(NamedTuple):
    """What a check found.

    Attributes
    ----------
    kind : {"right", "wrong", "unreadable"}
    key : str
        Of the sentence, see :func:`convbridge.teaching.exercises.texts`.
    values : mapping
        For the places of the sentence: numbers and strings; "part" and "about"
        may be keys of other texts.
    output : numpy.ndarray or None
        What was computed from the answer, if that is what is wrong.
    at : (int, int) or None
        Where in the output, or in the answer.
    """

    kind: Literal["right", "wrong", "unreadable"]
    key: str
    values: Mapping[str, Any] = {}
    output: Array | None = None
    at: tuple[int, int] | None = None

    @property
    def is_right(self) -> bool:
        """Whether the answer was right."""
        return self.kind == "right"


def letter(option: int) -> str:
    """Name an option of a choice: a, b, c."""
    return "abcdefgh"[option]


def parse_number(text: str) -> float | None:
    """Read a number as the page does: decimals and fractions.

    Parameters
    ----------
    text : str

    Returns
    -------
    float or None
        None for what is no finite number.

    Examples
    --------
    >>> parse_number("-1/4"), parse_number("2.5"), parse_number("two")
    (-0.25, 2.5, None)
    """
    above, *more = text.strip().replace("−", "-", 1).lower().split("/")
    if more:
        a, b = parse_number(above), parse_number(more[0])
        return a / b if len(more) == 1 and a is not None and b else None
    if not _NUMBER.fullmatch(above.strip()):
        return None
    value = float(above)
    return value if math.isfinite(value) else None


class _UnreadableError(Exception):
    def __init__(self, say: str, part: int, values: Mapping[str, Any], at: tuple[int, int] | None = None):
        super().__init__(say)
        self.say, self.part, self.values, self.at = say, part, values, at


def _read(exercise: Exercise, number: int, cells: Cells) -> Array:
    """Read a part of an answer; raises _UnreadableError."""
    part = exercise.parts[number]
    if part.chooses:
        letters = [letter(i) for i in range(len(exercise.options))]
        typed = cells[0][0].strip().lower() if cells and cells[0] else ""
        if not typed:
            raise _UnreadableError("nothing", number, {})
        if typed not in letters:
            raise _UnreadableError("option", number, {"letters": ", ".join(letters), "typed": typed})
        return np.array([[letters.index(typed)]], np.float64)
    widest = part.most or part.columns
    width = len(cells[0]) if cells else 0
    if (
        len(cells) != part.rows
        or any(len(row) != width for row in cells)
        or not (1 if part.most else part.columns) <= width <= widest
    ):
        raise _UnreadableError("shape", number, {"rows": part.rows, "columns": f"1–{widest}" if part.most else widest})
    return np.array([[_cell(part, number, text, (i, j)) for j, text in enumerate(row)] for i, row in enumerate(cells)])


def _cell(part: Part, number: int, text: str, at: tuple[int, int]) -> float:
    if not text.strip():
        if part.blanks:
            return 0.0
        raise _UnreadableError("empty", number, {}, at)
    value = parse_number(text)
    if value is None:
        raise _UnreadableError("number", number, {"typed": text.strip()}, at)
    if abs(value) > LARGEST:
        raise _UnreadableError("large", number, {"typed": text.strip(), "largest": LARGEST}, at)
    if part.least is not None and not (value.is_integer() and part.least <= value <= LARGEST_WHOLE):
        raise _UnreadableError(
            "whole", number, {"least": part.least, "largest": LARGEST_WHOLE, "typed": text.strip()}, at
        )
    return value


def check(exercise: Exercise, typed: Sequence[Cells], facts: Mapping[str, int] | None = None) -> Verdict:
    """Check an answer.

    Parameters
    ----------
    exercise : Exercise
    typed : sequence of Cells
        A part of the answer for each part of the exercise.
    facts : mapping, optional
        As for :func:`~convbridge.teaching.exercises.formulas.compute`.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> from convbridge.teaching.exercises import find
    >>> check(find("second-derivative"), [[["1", "-2", "1"]]]).kind
    'right'
    >>> check(find("second-derivative"), [[["1", "-2", "2"]]]).key
    'exercises.say.should-be-zero'
    """
    if len(typed) != len(exercise.parts):
        return Verdict("unreadable", "exercises.say.parts", {"parts": len(exercise.parts), "typed": len(typed)})
    try:
        answers = [_read(exercise, i, cells) for i, cells in enumerate(typed)]
    except _UnreadableError as error:
        values = {"part": _name(exercise, error.part), **error.values}
        if error.at:
            values |= {"row": error.at[0], "column": error.at[1]}
        return Verdict("unreadable", f"exercises.say.{error.say}", values, None, error.at)
    for case in exercise.cases:
        verdict = _try(exercise, case, answers, facts)
        if verdict is not None:
            return verdict
    return Verdict("right", "exercises.right")


def _name(exercise: Exercise, part: int) -> str:
    """Return the name of a part, or the key of the text that names it."""
    return exercise.parts[part].name or f"exercises.{exercise.name}.part.{part}"


def _try(exercise: Exercise, case: Case, answers: list[Array], facts: Mapping[str, int] | None) -> Verdict | None:
    """Return what is wrong with an answer in one case; None if nothing is."""
    prefix = f"exercises.{exercise.name}"

    about = f"{prefix}.given.{case.about}" if case.about >= 0 else _name(exercise, case.got.get("part", 0))
    try:
        got = compute(case.got, answers, facts)
    except ConvbridgeError:
        return Verdict("wrong", "exercises.say.impossible", {"about": about})
    wanted = None if isinstance(case.wanted, str) else compute(case.wanted, answers, facts)
    if wanted is not None and got.shape != wanted.shape:
        shapes = {"got": " × ".join(map(str, got.shape)), "wanted": " × ".join(map(str, wanted.shape))}
        return Verdict("wrong", "exercises.say.output-shape", {"about": about, **shapes}, got)
    bad = _bad(got, case.wanted) if wanted is None else _bad(got, wanted, zeros=case.zeros)
    if not bad.any():
        return None
    row, column = (int(i) for i in np.argwhere(bad)[0])
    values = {"about": about, "row": row, "column": column, "got": float(got[row, column])}
    values |= {"count": int(bad.sum()), "all": got.size, "first": float(got[0, 0])}
    if wanted is not None:
        values["wanted"] = float(wanted[row, column])
    say = case.say
    for formula, mistake in case.mistakes:
        other = compute(formula, answers, facts)
        if other.shape == got.shape and not _bad(got, other).any():
            say = mistake
            break
    key = f"{prefix}.say.{say}" if say else f"exercises.say.{_usual(case, got[row, column])}"
    return Verdict("wrong", key, values, got, (row, column))


def _usual(case: Case, got: float) -> str:
    """Name the message that fits what was wanted; one about the answer itself does not give the number away."""
    if case.wanted == "equal":
        return "should-be-equal" if abs(got) > _TOLERANCE else "should-not-be-zero"
    if isinstance(case.wanted, str) or case.zeros:
        return "should-be-zero" if abs(got) > _TOLERANCE else "should-not-be-zero"
    return "off" if case.got["op"] == "answer" else "differs"


def _bad(got: Array, wanted: Array | str, *, zeros: bool = False) -> Array:
    """Say where an output is not what it should be."""
    bad: Array
    small = np.abs(got) <= _TOLERANCE
    if isinstance(wanted, str):
        bad = ~small if wanted == "zero" else small
        return bad | _bad(got, np.full_like(got, got[0, 0])) if wanted == "equal" else bad
    if zeros:
        bad = small != (np.abs(wanted) <= _TOLERANCE)
        return bad
    bad = np.abs(got - wanted) > _TOLERANCE * np.maximum(1, np.maximum(np.abs(got), np.abs(wanted)))
    return bad
