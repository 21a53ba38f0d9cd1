"""Random cases on backends, every result judged by the oracle.

``python -m convbridge.parity.fuzz --cases 10000 --seed 0`` runs that many on
every backend that is installed, in this process; ``--gradients`` runs gradients
instead, and ``--precision fast`` convolutions that are large enough for engines
which trade accuracy for speed, each held to its own bound. What is looked at is
in :mod:`convbridge.parity.observe`, what must come out exactly in
:mod:`convbridge.parity.expected`.

Exit codes: 0 good, 1 a failure, 2 bad usage or a missing backend.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from convbridge import registry
from convbridge.errors import ConvbridgeError
from convbridge.parity.cases import Case, random_case, random_cases
from convbridge.parity.expected import Answer, Expected, expected, relaxed
from convbridge.parity.fast_cases import random_fast_case
from convbridge.parity.gradient_cases import random_gradient_case
from convbridge.parity.observe import Judgement, Outcome, judge_outcome, observe
from convbridge.parity.results import EQUAL, FAILURES, UNSUPPORTED

__all__ = ["Answer", "BackendSummary", "Expected", "Failure", "Summary", "check", "expected", "main", "run"]

Progress = Callable[[int, int], None]

#: Enough failures to see a pattern; more would only take time.
MOST_FAILURES = 50


class Failure(NamedTuple):
    """A case that a backend got wrong."""

    backend: str
    case: Case
    problem: str
    precision: str = "exact"

    def __str__(self) -> str:
        again = f"--backends {self.backend} --seed {self.case.seed} --only {self.case.number}"
        if self.case.function.endswith("_vjp"):
            again = f"--gradients {again}"
        if self.precision == "fast":
            again = f"--precision fast {again}"
        return f"{self.backend}: {self.case}\n    {self.problem}\n    again: python -m convbridge.parity.fuzz {again}"


@dataclass
class BackendSummary:
    """The counts of one backend."""

    cases: int = 0
    equal: int = 0
    rounding: int = 0
    exact: int = 0
    #: Cases in which an engine traded accuracy for speed.
    traded: int = 0
    #: How much of the bound was used, at most: name of the result to fraction.
    fractions: dict[str, float] = field(default_factory=dict)
    unsupported: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    @property
    def largest_fraction(self) -> float:
        """The largest of all results."""
        return max(self.fractions.values(), default=0.0)

    def count(self, answer: Answer, verdicts: dict[str, Judgement]) -> None:
        """Count a case that is right."""
        if all(verdict.verdict == EQUAL for verdict in verdicts.values()):
            self.equal += 1
        else:
            self.rounding += 1
        self.exact += all(expected.exact for expected in answer.values() if expected is not None)
        for name, verdict in verdicts.items():
            self.fractions[name] = max(self.fractions.get(name, 0.0), verdict.fraction)


@dataclass
class Summary:
    """What a run found."""

    seed: int
    backends: dict[str, BackendSummary]

    @property
    def failures(self) -> list[Failure]:
        """The failures of all backends."""
        return [failure for summary in self.backends.values() for failure in summary.failures]

    def __str__(self) -> str:
        lines = []
        for name, found in self.backends.items():
            used = ", ".join(f"{part} {fraction:.3f}".strip() for part, fraction in sorted(found.fractions.items()))
            lines.append(
                f"{name}: {found.cases} cases, {found.equal} equal ({found.exact} had to be, bit for bit), "
                f"{found.rounding} within the rounding bound (at most {used or '0.000'} of it), "
                f"{len(found.failures)} failed"
            )
            if found.traded:
                lines.append(f"  {found.traded} traded accuracy for speed, and have a bound of their own")
            lines += [f"  {number} refused as documented: {reason}" for reason, number in found.unsupported.items()]
        lines.append(f"seed {self.seed}")
        return "\n".join(lines)


# --------------------------------------------------------------------------- one case


def check(case: Case, backend: str, answer: Answer) -> tuple[str | None, dict[str, Judgement]]:
    """Run a case on a backend and look at everything that was promised.

    Parameters
    ----------
    case : Case
        Any.
    backend : str
        A canonical name.
    answer : dict
        The oracle's, from :func:`convbridge.parity.expected.expected`.

    Returns
    -------
    problem : str or None
        What is wrong.
    verdicts : dict
        How the numbers of each result compare.

    Examples
    --------
    >>> case = random_case(0, 3)
    >>> check(case, "numpy", expected(case))[0] is None
    True
    """
    return _judged(case, observe(case, backend), answer)


def _judged(case: Case, outcome: Outcome, answer: Answer) -> tuple[str | None, dict[str, Judgement]]:
    verdicts = judge_outcome(case, outcome, answer)
    for name, verdict in verdicts.items():
        if verdict.verdict in FAILURES:
            return outcome.reason or f"{name}: {verdict.reason}", verdicts
    return None, verdicts


# --------------------------------------------------------------------------- many cases


def run(
    backends: Sequence[str],
    count: int,
    seed: int,
    progress: Progress | None = None,
    *,
    cases: Iterable[Case] = (),
    gradients: bool = False,
    precision: str = "exact",
) -> Summary:
    """Run random cases until every backend has computed ``count`` of them.

    Parameters
    ----------
    backends : sequence of str
        Names or aliases.
    count : int
        Cases for each backend. Those that it refuses as documented do not
        count, so a backend without half precision meets more cases.
    seed : int
        Draws the cases.
    progress : callable, optional
        Called with the cases done and the cases to do, all backends together.
    cases : iterable of Case, optional
        Run these instead of random ones.
    gradients : bool, default False
        Draw gradients instead of forward calls.
    precision : {"exact", "fast"}
        As for :func:`convbridge.use_precision`; in "fast" large convolutions are drawn.

    Returns
    -------
    Summary

    Raises
    ------
    ConvbridgeError
        If a backend is unknown, missing or broken.

    Examples
    --------
    >>> summary = run(["numpy"], 20, seed=0)
    >>> summary.backends["numpy"].cases, summary.failures
    (20, [])
    """
    chosen = [registry.canonical_name(name, "backends") for name in backends]
    # In the registry's order: PyTorch must be imported before TensorFlow.
    chosen = [registry.load(name).name for name in registry.names() if name in chosen]
    summary = Summary(seed, {name: BackendSummary() for name in chosen})
    # More than half of all cases refused would be no backend; this only keeps a broken table from running forever.
    draw = random_gradient_case if gradients else random_fast_case if precision == "fast" else random_case
    for case in cases or random_cases(2 * count + 100, seed, draw):
        waiting = [
            name
            for name, found in summary.backends.items()
            if found.cases < count and len(found.failures) < MOST_FAILURES
        ]
        if not waiting:
            break
        answer = None
        for name in waiting:
            found = summary.backends[name]
            outcome, problem = observe(case, name, precision), None
            if outcome.status == UNSUPPORTED:
                found.unsupported[outcome.reason] += 1
            else:
                answer = answer or expected(case)
                found.cases += 1
                own = relaxed(case, answer, outcome.traded)
                problem, verdicts = _judged(case, outcome, own)
                found.traded += bool(outcome.traded)
                if problem is None:
                    found.count(own, verdicts)
            if problem:
                found.failures.append(Failure(name, case, problem, precision))
        if progress:
            progress(sum(found.cases for found in summary.backends.values()), count * len(chosen))
    return summary


class _ProgressLine:
    """One line on standard error, with the time left; silent where nobody watches."""

    def __init__(self) -> None:
        self.start = self.shown = time.monotonic()
        self.watched = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.watched and now - self.shown >= 0.5 and done:
            self.shown = now
            left = (now - self.start) * (total - done) / done
            print(f"\r{done} of {total} cases, {left:.0f} s left  ", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.watched:
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: the process' own.

    Returns
    -------
    int
        The exit code.

    Examples
    --------
    >>> main(["--cases", "5", "--seed", "1", "--backends", "numpy"])  # doctest: +ELLIPSIS
    numpy: 5 cases, ...
    seed 1
    0
    >>> main(["--gradients", "--cases", "5", "--seed", "1", "--backends", "numpy"])  # doctest: +ELLIPSIS
    numpy: 5 cases, ...
    seed 1
    0
    """
    parser = argparse.ArgumentParser(prog="python -m convbridge.parity.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=_not_negative, default=1000, help="for each backend (default: 1000)")
    parser.add_argument("--seed", type=_not_negative, default=0, help="of the random draws (default: 0)")
    parser.add_argument("--backends", default="", help="comma-separated names (default: all that are installed)")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--gradients", action="store_true", help="run gradients instead of forward calls")
    chosen.add_argument(
        "--precision", default="exact", choices=("exact", "fast"), help="fast: large convolutions (default: exact)"
    )
    parser.add_argument("--only", type=_not_negative, metavar="NUMBER", help="run only this case of the seed")
    options = parser.parse_args(arguments)
    names = [name.strip() for name in options.backends.split(",") if name.strip()] or registry.available_backends()
    fast = options.precision == "fast"
    draw = random_gradient_case if options.gradients else random_fast_case if fast else random_case
    cases = () if options.only is None else [draw(options.seed, options.only)]
    line = _ProgressLine()
    try:
        summary = run(
            names,
            options.cases,
            options.seed,
            line,
            cases=cases,
            gradients=options.gradients,
            precision=options.precision,
        )
    except ConvbridgeError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        line.close()
    for failure in summary.failures:
        print(failure)
    print(summary)
    short = options.only is None and any(found.cases < options.cases for found in summary.backends.values())
    if short:
        print(f"Not every backend computed {options.cases} cases.")
    return 1 if summary.failures or short else 0


if __name__ == "__main__":
    sys.exit(main())
