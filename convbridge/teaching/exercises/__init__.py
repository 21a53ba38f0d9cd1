"""The exercises of the chapters, as data: for the page and for ``convbridge exercise``.

An exercise says what must be true of an answer, never what the answer is:
:mod:`~convbridge.teaching.exercises.checking` computes it, so every kernel that
does what is asked is right. What lives where: the exercises in ``kernels`` and
``layers``, the operations that they are made of in ``formulas``, what is said
about any answer in ``messages``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np

from convbridge.errors import ArgumentError, received
from convbridge.teaching.exercises import kernels, layers
from convbridge.teaching.exercises.checking import Verdict, check, letter, parse_number
from convbridge.teaching.exercises.exercise import Case, Exercise, Given, Part, Text
from convbridge.teaching.exercises.formulas import compute
from convbridge.teaching.exercises.layers import OUTCOMES, gradient
from convbridge.teaching.exercises.messages import MESSAGES

__all__ = [
    "ASKS_FRAMEWORKS",
    "EXERCISES",
    "Case",
    "Exercise",
    "Given",
    "Part",
    "Text",
    "Verdict",
    "ask",
    "check",
    "compute",
    "find",
    "letter",
    "numbers_of",
    "parse_number",
    "sentence",
    "short",
    "texts",
    "together",
]

#: It gets its parts from :func:`together`, one for each framework that was run.
ASKS_FRAMEWORKS = gradient(())

#: In the order of the chapters.
EXERCISES: tuple[Exercise, ...] = (
    *kernels.EXERCISES[:7],
    ASKS_FRAMEWORKS,
    *kernels.EXERCISES[7:],
    *layers.SIZES,
    *layers.CHANNELS,
    *layers.POOLING,
)


def find(name: str, among: Sequence[Exercise] = EXERCISES) -> Exercise:
    """Return an exercise by its name.

    Parameters
    ----------
    name : str
    among : sequence of Exercise, optional

    Returns
    -------
    Exercise

    Raises
    ------
    ArgumentError
        For an unknown name, with the nearest one.

    Examples
    --------
    >>> find("flip").title[0]
    'Convolution instead of cross-correlation'
    """
    for exercise in among:
        if exercise.name == name:
            return exercise
    from difflib import get_close_matches  # only a message needs it

    known = [exercise.name for exercise in among]
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ArgumentError(f"exercise must be one of {', '.join(known)}.{hint} {received(exercise=name)}")


def ask(names: Sequence[str]) -> dict[str, int]:
    """Let frameworks differentiate the book's loop.

    Parameters
    ----------
    names : sequence of str
        Canonical names of backends that are installed.

    Returns
    -------
    dict
        Backend to the place of what happened in
        :data:`~convbridge.teaching.exercises.layers.OUTCOMES`. A backend that
        has no gradients to give, as NumPy, is left out.

    Examples
    --------
    >>> ask(["numpy"])
    {}
    """
    from convbridge.teaching import autograd

    found = {}
    for name in names:
        outcomes = [one.outcome for one in autograd.attempts_on(name).results if one.kind == "listing"]
        if outcomes and outcomes[0] in OUTCOMES:
            found[name] = list(OUTCOMES).index(outcomes[0])
    return found


def together(facts: Mapping[str, int]) -> tuple[Exercise, ...]:
    """Return the exercises that can be checked with what is known of the frameworks.

    Parameters
    ----------
    facts : mapping
        From :func:`ask`.

    Returns
    -------
    tuple of Exercise

    Examples
    --------
    >>> len(EXERCISES) - len(together({}))
    1
    """
    found = (gradient(tuple(facts)) if one is ASKS_FRAMEWORKS else one for one in EXERCISES)
    return tuple(one for one in found if one.parts)


# --------------------------------------------------------------------------- words


def texts(exercises: Sequence[Exercise] = EXERCISES) -> dict[str, Text]:
    """Return every sentence of exercises under its key, in English and in Chinese.

    Parameters
    ----------
    exercises : sequence of Exercise, optional

    Returns
    -------
    dict

    Examples
    --------
    >>> texts()["exercises.flip.part.0"]
    ('Your kernel', '您的核')
    """
    found: dict[str, Text] = {f"exercises.say.{name}": text for name, text in MESSAGES.items()}
    found["exercises.right"] = ("Right!", "答对了！")
    for one in exercises:
        prefix = f"exercises.{one.name}"
        found |= {f"{prefix}.{name}": getattr(one, name) for name in ("title", "question", "hint", "solution")}
        found |= {f"{prefix}.say.{name}": text for name, text in one.says.items()}
        found |= {f"{prefix}.given.{i}": given.label for i, given in enumerate(one.given)}
        found |= {f"{prefix}.part.{i}": part.label for i, part in enumerate(one.parts) if not part.name}
        found |= {f"{prefix}.option.{letter(i)}": text for i, text in enumerate(one.options)}
    return found


def short(value: float) -> str:
    """Write a number as the page does: four digits, a minus sign instead of a hyphen.

    Examples
    --------
    >>> short(-2.0), short(1 / 3), short(326.25)
    ('−2', '0.3333', '326.3')
    """
    # a tie goes away from zero, as in JavaScript
    rounded = Context(prec=4, rounding=ROUND_HALF_UP).create_decimal(Decimal(value))
    number = float(value if float(value).is_integer() else rounded)
    if number.is_integer():
        text = str(int(number))
    elif abs(number) < 1e-6:
        text = np.format_float_scientific(number, trim="-", exp_digits=1)
    else:
        text = np.format_float_positional(number, trim="-")
    return text.replace("-", "−", 1)


def sentence(verdict: Verdict, language: int, exercise: Exercise) -> str:
    """Say a verdict.

    Parameters
    ----------
    verdict : Verdict
    language : {0, 1}
        English or Chinese.
    exercise : Exercise
        Which was checked.

    Returns
    -------
    str

    Examples
    --------
    >>> flip = find("flip")
    >>> sentence(check(flip, [[["0", "1"], ["2", "3"]]]), 0, flip)
    'That is K itself: convolution would flip it.'
    """
    known = texts([exercise])
    filled = {name: value if isinstance(value, str) else short(value) for name, value in verdict.values.items()}
    for name in ("part", "about"):
        if filled.get(name, "") in known:
            filled[name] = known[filled[name]][language]
    return known[verdict.key][language].format_map(filled)


def numbers_of(exercise: Exercise) -> dict[str, str]:
    """Compute the numbers of a solution's sentence.

    Examples
    --------
    >>> numbers_of(find("bias"))
    {'inside': '19', 'first': '19.5', 'mistaken': '23'}
    """
    return {name: short(float(compute(formula)[0, 0])) for name, formula in exercise.numbers.items()}
