"""Whether a backend is one: every check that convbridge has, on anybody's backend.

:func:`run_conformance` goes from the outside to the inside: the description,
names and signatures; the table of gaps; the matrix, that is values, gradients
and promises, over the fixed cases and random ones; the laws; the layers. It
lists every problem, not the first. ``pytest --pyargs convbridge.conformance``
runs the same checks as tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product
from typing import NamedTuple

from convbridge import registry
from convbridge.errors import BackendBrokenError, UnsupportedOperationError
from convbridge.geometry import integer
from convbridge.parity import contract, laws, layer_checks
from convbridge.parity.cases import Case, random_cases
from convbridge.parity.gradient_cases import random_gradient_case
from convbridge.parity.lattice import lattice
from convbridge.parity.matrix import run_matrix
from convbridge.parity.results import REAL_DIFFERENCE, Matrix, row_of

__all__ = [
    "CHECKS",
    "Conformance",
    "Problem",
    "cases_of_conformance",
    "matrix_problems",
    "run_check",
    "run_conformance",
]

Progress = Callable[[int, int], None]

#: Seeds with which every law is tried, in each dtype, with whole numbers and others.
_SEEDS = 3


def _law_problems(backend: str, law: str) -> Iterator[str]:
    for dtype, whole, seed in product(("float32", "float64"), (True, False), range(_SEEDS)):
        try:
            found = laws.verdicts(law, backend, dtype=dtype, whole=whole, seed=seed)
        except UnsupportedOperationError:  # whether it may refuse, the table of gaps says
            continue
        how = f"{dtype}, {'whole numbers' if whole else 'random numbers'}, seed {seed}"
        for verdict in found:
            if verdict.kind == REAL_DIFFERENCE:
                yield f"{laws.LAWS[law].statement} Not so with {how}: {verdict.difference:.3g} apart"


#: Section to its checks: name to a function of a backend's name that returns the problems.
CHECKS: dict[str, dict[str, Callable[[str], Iterable[str]]]] = {
    "names": {
        "SPEC": contract.description,
        "importing the package": contract.no_framework_at_import,
        **{f"{module}.py": partial(contract.names_and_signatures, module=module) for module in contract.MODULES},
        "whose arrays": contract.arrays_are_recognised,
    },
    "gaps": {"something is left": contract.something_is_left, "gaps are real": contract.gaps_are_real},
    "laws": {law: partial(_law_problems, law=law) for law in laws.LAWS},
    "layers": dict(layer_checks.CHECKS),
}

#: Problems that are shown; all of them are kept.
_MOST_SHOWN = 30


class Problem(NamedTuple):
    """What a backend gets wrong."""

    section: str
    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.section}, {self.check}: {self.message}"


@dataclass
class Conformance:
    """What :func:`run_conformance` found.

    Attributes
    ----------
    backend : str
        Canonical name.
    framework : str
        The framework and its version.
    problems : list of Problem
        All of them.
    checks : int
        How many checks ran besides the matrix.
    matrix : Matrix or None
        The run of the matrix; None where it did not come to that.
    seconds : float
        What it took.
    """

    backend: str
    framework: str = ""
    problems: list[Problem] = field(default_factory=list)
    checks: int = 0
    matrix: Matrix | None = None
    seconds: float = 0.0

    @property
    def conforms(self) -> bool:
        """Whether everything was run and nothing was wrong."""
        return self.matrix is not None and self.matrix.agrees and not self.problems

    def _repr_html_(self) -> str:
        from convbridge.notebook import proof

        return proof.conformance(self)

    def __str__(self) -> str:
        from convbridge.parity.reports import words

        verdict = "conforms" if self.conforms else "does not conform"
        who = f"{self.backend} ({self.framework})" if self.framework else self.backend
        lines = [f"{who} {verdict}: {len(self.problems)} problems in {words.duration(self.seconds)}"]
        lines += [f"  {problem}" for problem in self.problems[:_MOST_SHOWN]]
        hidden = len(self.problems) - _MOST_SHOWN
        if hidden > 0:
            lines.append(f"  and {hidden} more")
        lines.append(f"  {self.checks} checks of names, gaps, laws and layers")
        if self.matrix is None:
            lines.append("  the matrix was not run: names and signatures come first")
        else:
            lines.append(f"  {words.summary(self.matrix)}")
            reasons = words.unsupported_reasons(self.matrix.comparisons)
            lines += [f"  unsupported, {number} times: {reason}" for reason, number in reasons.items()]
        return "\n".join(lines)


def run_check(backend: str, section: str, check: str) -> list[str]:
    """Run one check of :data:`CHECKS`.

    Parameters
    ----------
    backend : str
        A canonical name.
    section, check : str
        Which.

    Returns
    -------
    list of str
        The problems; an exception is the last one.

    Examples
    --------
    >>> run_check("numpy", "names", "SPEC")
    []
    """
    found: list[str] = []
    try:
        for problem in CHECKS[section][check](backend):
            found.append(problem)  # noqa: PERF402 - what came before an error is kept
    except BackendBrokenError as error:
        found.append(str(error))
    except Exception as error:  # whatever a backend raises is what the report shows
        found.append(" ".join(f"raised {type(error).__name__}: {error}".split()))
    return found


@cache
def cases_of_conformance(count: int, seed: int = 0) -> tuple[Case, ...]:
    """Return the fixed cases and random ones, a third of which are gradients.

    Parameters
    ----------
    count : int
        How many random ones.
    seed : int
        Draws them.

    Returns
    -------
    tuple of Case

    Examples
    --------
    >>> len(cases_of_conformance(30)) - len(cases_of_conformance(0))
    30
    """
    gradients = count // 3
    drawn = (*random_cases(count - gradients, seed), *random_cases(gradients, seed, random_gradient_case))
    return (*lattice(), *drawn)


def matrix_problems(matrix: Matrix) -> list[tuple[str, str]]:
    """Turn the failures of a matrix into problems.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    list of (str, str)
        Row and message of each, with the command that shows it again.

    Examples
    --------
    >>> matrix_problems(run_matrix(["numpy"], cases=cases_of_conformance(0)[:10]))
    []
    """
    from convbridge.parity.reports import words

    found = []
    for failure in matrix.failures:
        case = matrix.cases[failure.case]
        what = f"{failure.case}, {failure.result}: {failure.verdict}, {words.how_much(failure)}"
        found.append((str(row_of(case)), f"{what}; again: {words.command(matrix, failure)}"))
    return found


def run_conformance(backend: str, *, cases: int = 600, seed: int = 0, progress: Progress | None = None) -> Conformance:
    """Run every check on a backend.

    Parameters
    ----------
    backend : str
        Name or alias; the backend and its framework must be installed.
    cases : int, default 600
        Random cases beside the fixed ones, a third of them gradients.
    seed : int, default 0
        Draws the random cases.
    progress : callable, optional
        Called with what is done and what there is to do, in cases and checks.

    Returns
    -------
    Conformance
        Print it for a report; ``conforms`` is the verdict. If names and
        signatures are wrong, nothing else is run.

    Raises
    ------
    UnknownBackendError, BackendNotInstalledError
        If there is nothing to check.

    Examples
    --------
    >>> result = run_conformance("numpy", cases=10)
    >>> result.conforms, result.problems
    (True, [])
    """
    name = registry.canonical_name(backend, "backend")
    count, seed = integer(cases, "cases", 0), integer(seed, "seed", 0)
    with suppress(BackendBrokenError):  # which the first checks describe
        registry.load(name)
    result = Conformance(name)
    start = time.monotonic()
    todo = cases_of_conformance(count, seed)
    total, done = len(todo) + sum(map(len, CHECKS.values())), 0

    def run_section(section: str) -> None:
        nonlocal done
        for check in CHECKS[section]:
            for message in run_check(name, section, check):
                # what keeps the backend from being imported is met by every check
                if all(message != other.message for other in result.problems):
                    result.problems.append(Problem(section, check, message))
            result.checks += 1
            done += 1
            if progress is not None:
                progress(done, total)

    run_section("names")
    if not result.problems:
        result.framework = registry.load(name).framework
        run_section("gaps")
        shown = done
        result.matrix = run_matrix(
            [name],
            cases=todo,
            progress=None if progress is None else lambda n, _: progress(shown + n, total),
        )
        done += len(todo)
        result.problems += [Problem("matrix", *found) for found in matrix_problems(result.matrix)]
        for section in ("laws", "layers"):
            run_section(section)
    result.seconds = time.monotonic() - start
    return result
