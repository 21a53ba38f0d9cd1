"""Running one case on one backend, and judging what came out.

:func:`observe` makes the call and looks at everything that needs no oracle:
the inputs must be as they were, the result must have memory of its own, no
warning may reach the user, a gap in the backend's table must be refused with
its reason, and nothing else may be. What it returns is plain data, which can
be sent to another process or kept in a file. :func:`judge_outcome` compares it
with the oracle's answer, :func:`judge_pair` with another backend's.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from convbridge import registry
from convbridge.errors import UnsupportedOperationError
from convbridge.functional import to_numpy
from convbridge.parity import bounds
from convbridge.parity.cases import Case
from convbridge.parity.expected import Answer, Expected
from convbridge.parity.results import CRASHED, REAL_DIFFERENCE, UNSUPPORTED
from convbridge.selection import use_precision, watch_trades

__all__ = ["Judgement", "Outcome", "judge_outcome", "judge_pair", "observe"]

Array = np.ndarray[Any, Any]


class Outcome(NamedTuple):
    """What a backend did with a case.

    Attributes
    ----------
    status : {"answered", "unsupported", "missing", "crashed", "wrong"}
        "crashed" also means that it raised; "wrong" that it broke a promise
        other than that of its numbers.
    values : mapping
        Name of the result to its numbers, None where None was returned.
    dtypes : mapping
        Name of the result to its dtype, as the framework names it.
    reason : str
        Why, for all but "answered".
    traded : tuple of str
        Engines that traded accuracy for speed, as "fast" allows.
    """

    status: str
    values: Mapping[str, Array | None] = {}
    dtypes: Mapping[str, str] = {}
    reason: str = ""
    traded: tuple[str, ...] = ()


class Judgement(NamedTuple):
    """What is said about one result: the verdict, and everything that a comparison keeps."""

    verdict: str
    exact: bool = False
    difference: float = 0.0
    fraction: float = 0.0
    reason: str = ""


# --------------------------------------------------------------------------- the call


def _snapshot(arguments: dict[str, Any]) -> dict[str, Array]:
    return {
        name: np.array(argument) if isinstance(argument, (np.ndarray, list)) else to_numpy(argument)
        for name, argument in arguments.items()
    }


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())


def _said(error: BaseException) -> str:
    return " ".join(f"raised {type(error).__name__}: {error}".split())


def observe(case: Case, backend: str, precision: str = "exact") -> Outcome:
    """Run a case on a backend and look at everything that needs no oracle.

    Parameters
    ----------
    case : Case
        Any.
    backend : str
        A canonical name of a backend that is installed.
    precision : {"exact", "fast"}
        As for :func:`convbridge.use_precision`.

    Returns
    -------
    Outcome

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> outcome = observe(random_case(0, 3), "numpy")
    >>> outcome.status, list(outcome.values)
    ('answered', ['Y'])
    """
    gap = case.gap(registry.load(backend).spec.unsupported)
    if gap is not None:
        return _refused(case, backend, gap)
    arguments = case.arguments(backend)
    before = _snapshot(arguments)
    with warnings.catch_warnings(record=True) as warned, use_precision(precision), watch_trades() as noted:
        warnings.simplefilter("always")
        try:
            results = dict(zip(case.results, case.call(backend, arguments), strict=True))
            values = {name: None if result is None else to_numpy(result) for name, result in results.items()}
        except UnsupportedOperationError as error:
            # A framework that cannot differentiate a loop says so; of operators the table must have told.
            loop = case.implementation == "chapter" and case.kind == "gradient"
            reason = str(error).partition(" Received: ")[0]
            return Outcome(UNSUPPORTED, reason=reason) if loop else Outcome(CRASHED, reason=_said(error))
        except Exception as error:  # whatever a backend raises is what a report shows
            return Outcome(CRASHED, reason=_said(error))
    if warned:
        return Outcome("wrong", reason=f"warned: {warned[0].category.__name__}: {warned[0].message}")
    if noted and precision == "exact":
        return Outcome("wrong", reason=f"traded accuracy for speed in 'exact': {', '.join(sorted(noted))}")
    after = _snapshot(arguments)
    for name in before:
        if not _same(before[name], after[name]):
            return Outcome("wrong", reason=f"changed its input {name}")
    problem = _shared_memory(arguments, results, values)
    if problem:
        return Outcome("wrong", reason=problem)
    dtype_name = registry.load(backend).arrays.dtype_name
    dtypes = {name: dtype_name(result) for name, result in results.items() if result is not None}
    return Outcome("answered", values, dtypes, traded=tuple(sorted(noted)))


def _refused(case: Case, backend: str, reason: str) -> Outcome:
    """Check that a documented gap is refused with its reason."""
    try:
        case.call(backend, case.arguments(backend))
    except UnsupportedOperationError as error:
        if reason in str(error):
            return Outcome(UNSUPPORTED, reason=reason)
        return Outcome("wrong", reason=f"refused without its documented reason: {error}")
    except Exception as error:  # whatever a backend raises is what a report shows
        return Outcome("wrong", reason=f"a documented gap {_said(error)}")
    return Outcome("wrong", reason=f"computed what its table says that it cannot: {reason}")


def _shared_memory(arguments: dict[str, Any], results: dict[str, Any], values: dict[str, Array | None]) -> str | None:
    """Overwrite the inputs that can be, and see whether a result changes with them."""
    if any(result is argument for result in results.values() for argument in arguments.values()):
        return "returned its input itself"
    for argument in arguments.values():
        if isinstance(argument, np.ndarray) and argument.flags.writeable:
            argument[...] = 77
    for name, result in results.items():
        before = values[name]
        if before is not None and not _same(before, to_numpy(result)):
            return f"{name} shares memory with an input"
    named = {**{f"the result {name}": result for name, result in results.items()}, **arguments}
    for name, result in results.items():
        for other, array in named.items():
            if (
                isinstance(result, np.ndarray)
                and isinstance(array, np.ndarray)
                and array is not result
                and np.shares_memory(result, array)
            ):
                return f"{name} shares memory with {other}"
    return None


# --------------------------------------------------------------------------- the judgement


def judge_outcome(case: Case, outcome: Outcome, answer: Answer) -> dict[str, Judgement]:
    """Compare a backend's results with the exact ones.

    Parameters
    ----------
    case : Case
        What was computed.
    outcome : Outcome
        What the backend made of it.
    answer : dict
        What :func:`convbridge.parity.expected.expected` says about the case.

    Returns
    -------
    dict
        Name of the result to :class:`Judgement`. A result that is None and has
        to be is not in it.

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> from convbridge.parity.expected import expected
    >>> case = random_case(0, 3)
    >>> judge_outcome(case, observe(case, "numpy"), expected(case))["Y"].verdict
    'rounding'
    """
    if outcome.status != "answered":
        verdict = REAL_DIFFERENCE if outcome.status == "wrong" else outcome.status
        return {name: Judgement(verdict, reason=outcome.reason) for name, wanted in answer.items() if wanted}
    found: dict[str, Judgement] = {}
    for name, wanted in answer.items():
        values = outcome.values.get(name)
        if values is None and wanted is None:
            continue
        problem = _wrong_form(case, values, outcome.dtypes.get(name, ""), wanted)
        if values is None or wanted is None or problem:
            found[name] = Judgement(REAL_DIFFERENCE, False, float("inf"), float("inf"), problem)
            continue
        compared = bounds.judge(values, wanted.rounded, 0.0)
        if compared.kind != bounds.EQUAL and not wanted.exact:
            compared = bounds.judge(values.astype(np.longdouble), wanted.value, wanted.bound)
        reason = _describe(values, wanted, compared) if compared.kind == bounds.REAL_DIFFERENCE else ""
        found[name] = Judgement(compared.kind, wanted.exact, compared.difference, compared.fraction, reason)
    return found


def judge_pair(a: Array, b: Array, wanted: Expected, of_b: Expected | None = None) -> Judgement:
    """Compare the results of two backends, each of which may be off by its bound.

    Parameters
    ----------
    a, b : numpy.ndarray
        One result of a case each.
    wanted : Expected
        What the oracle says about it.
    of_b : Expected, optional
        What is asked of ``b``, where that is something else.

    Returns
    -------
    Judgement

    Examples
    --------
    >>> ones = np.ones(2)
    >>> judge_pair(ones, ones, Expected(ones, ones, ones, False)).verdict
    'equal'
    """
    each = (wanted, of_b or wanted)
    exact = all(part.exact for part in each)
    verdict = bounds.judge(a, b, 0.0 if exact else each[0].bound + each[1].bound)
    reason = _difference(a, b, verdict, exact) if verdict.kind == bounds.REAL_DIFFERENCE else ""
    return Judgement(verdict.kind, exact, verdict.difference, verdict.fraction, reason)


def _wrong_form(case: Case, values: Array | None, dtype: str, wanted: Expected | None) -> str:
    """Say what is wrong with one result, its numbers apart."""
    if values is None:
        return "returned None, where a result belongs"
    if wanted is None:
        return "returned a result, where None belongs"
    if dtype != case.dtype:
        return f"returned {dtype}, not {case.dtype}"
    if values.shape != wanted.value.shape:
        return f"returned the shape {values.shape}, not {wanted.value.shape}"
    if values.dtype != wanted.rounded.dtype:
        return f"to_numpy made {values.dtype} of it, not {wanted.rounded.dtype}"
    return ""


def _describe(values: Array, wanted: Expected, verdict: bounds.Verdict) -> str:
    target = wanted.rounded if wanted.exact else wanted.value
    return _difference(values, target, verdict, wanted.exact, None if wanted.exact else wanted.bound)


def _difference(a: Array, b: Array, verdict: bounds.Verdict, exact: bool, bound: Array | None = None) -> str:
    """Say how many elements differ and show the first."""
    if a.shape != b.shape:
        return f"the shapes differ: {a.shape} and {b.shape}"
    wide, target = a.astype(np.longdouble), b.astype(np.longdouble)
    wrong = ~((wide == target) | (np.isnan(wide) & np.isnan(target)))
    if bound is not None:
        with np.errstate(invalid="ignore"):
            wrong &= ~(np.isfinite(wide) & np.isfinite(target) & (np.abs(wide - target) <= bound))
    place = tuple(int(n) for n in np.argwhere(wrong)[0])
    what = "must be equal" if exact else f"{verdict.fraction:.3g} times the rounding bound"
    return (
        f"{int(wrong.sum())} of {a.size} elements differ ({what}); the first at {place}: "
        f"{float(wide[place])!r}, not {float(target[place])!r}"
    )
