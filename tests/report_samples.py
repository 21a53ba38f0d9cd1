"""Matrices for the tests of the reports; loaded by path, since the tests are no package.

They come out of :func:`run_matrix`. What NumPy's backend alone would never
show comes from participants that stand in for recorded ones: one that rounds
the other way, one that makes mistakes, crashes and refuses, one that is absent.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from convbridge.parity.cases import random_case
from convbridge.parity.expected import expected
from convbridge.parity.gradient_cases import random_gradient_case
from convbridge.parity.matrix import run_matrix
from convbridge.parity.observe import Outcome, observe
from convbridge.parity.results import Participant

ABSENT = "absent is not installed: pip install 'it'"
#: An error message as a framework may write it: markup, control characters, the end of a script.
CRASH = "raised RuntimeError: \x1b[31m[bold]bad\x1b[0m </script><b>& \x00 \ufffe 'end'"
REFUSAL = "The faulty one has no <dilation>."


def neighbour(case, outcome):
    """Move numbers to their neighbours where rounding may, as another order of summation does."""
    values = dict(outcome.values)
    for name, wanted in expected(case).items():
        if wanted is not None and not wanted.exact and case.dtype != "bfloat16":
            moved = np.nextafter(values[name], np.zeros_like(values[name]))
            with np.errstate(invalid="ignore"):
                legal = np.isfinite(values[name]) & (np.abs(moved - wanted.value) <= wanted.bound)
            values[name] = np.where(legal, moved, values[name])
    return outcome._replace(values=values)


def faulty(case, outcome):
    """Make a mistake of each kind, now and then."""
    if np.max(case.keywords.get("dilation", 1)) > 1 and case.number % 3 == 0:
        return Outcome("unsupported", reason=REFUSAL)
    if case.number % 11 == 0:
        return Outcome("crashed", reason=CRASH)
    values = dict(outcome.values)
    name, array = next(iter(values.items()))
    if case.number % 5 == 0 and array.size:
        values[name] = array.copy()
        values[name].flat[-1] = array.flat[-1] * 1.5 + 1
    if case.number % 17 == 0:
        values[name] = array[None]
    return outcome._replace(values=values)


class Fakes:
    """Answers as from a file, made of NumPy's."""

    makers = {  # noqa: RUF012
        "neighbour": neighbour,
        "faulty": faulty,
        "absent": lambda case, outcome: Outcome("missing", reason=ABSENT),
    }

    def __init__(self, *names):
        frameworks = {"neighbour": "neighbour 1.0 <&>", "faulty": "faulty 0.1"}
        self.participants = [
            Participant("", name, frameworks.get(name, ""), problem="" if name in frameworks else ABSENT)
            for name in names
        ]
        self.answer = lru_cache(maxsize=1)(lambda name: observe(self.case, "numpy"))

    def outcome(self, participant, case):
        self.case = case
        outcome = self.answer(case.name)
        return self.makers[participant.backend](case, outcome) if outcome.status == "answered" else outcome


def sound(count=40):
    """Return a matrix without failures, and with unsupported cells."""
    return build(count, "neighbour")


def every_verdict(count=60):
    """Return a matrix with every verdict there is."""
    return build(count, "neighbour", "faulty", "absent")


def build(count, *names):
    cases = [draw(0, number) for number in range(count) for draw in (random_case, random_gradient_case)]
    matrix = run_matrix(["numpy"], cases=cases, records=[Fakes(*names)])
    # nothing that differs from one run to the next
    matrix.facts = {
        "convbridge": "0.1",
        "processor": "A processor @ 2 GHz <&>",
        "platform": "somewhere",
        "selection": "all",
        "seed": "0",
        "date": "2026-01-02T03:04:05+00:00",
    }
    matrix.seconds = 151.2
    return matrix
