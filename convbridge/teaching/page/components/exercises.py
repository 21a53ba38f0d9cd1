"""The exercises in the page: what they ask and what must be true of an answer; the page computes whether it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convbridge.teaching import exercises
from convbridge.teaching.exercises import Exercise
from convbridge.teaching.page.components.component import Component

__all__ = ["COMPONENT", "plain"]


def _gather(names: Sequence[str]) -> dict[str, Any]:
    """Let the frameworks answer what is asked about them; exercises that nobody can answer are left out."""
    facts = exercises.ask(names)
    return {"facts": facts, "exercises": [plain(one) for one in exercises.together(facts)]}


def plain(exercise: Exercise) -> dict[str, Any]:
    """Return an exercise as dictionaries and lists, without its sentences.

    Parameters
    ----------
    exercise : Exercise

    Returns
    -------
    dict

    Examples
    --------
    >>> plain(exercises.find("flip"))["parts"][0]["rows"]
    2
    """
    return {
        "name": exercise.name,
        "given": [given.value for given in exercise.given],
        "parts": [{**part._asdict(), "label": None} for part in exercise.parts],
        "options": [exercises.letter(i) for i in range(len(exercise.options))],
        "cases": [case._asdict() for case in exercise.cases],
        "answer": list(exercise.answer),
        "numbers": dict(exercise.numbers),
    }


def _body(_: Any) -> str:
    """Leave everything to the script: the sentences are in the language that is chosen."""
    return '<div class="exercises"></div>'


COMPONENT = Component(
    "exercises", _gather, _body, scripts=("exercise-checks.js", "exercises.js"), styles=("exercises.css",)
)
