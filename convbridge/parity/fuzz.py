"""Random cases on backends, every result judged by the oracle.

``python -m convbridge.parity.fuzz --cases 10000 --seed 0`` runs that many on
every backend that is installed; ``--gradients`` runs gradients instead. One case is more than its numbers: the result
must have the promised dtype and shape and memory of its own, the inputs must
be as they were, no warning may reach the user, and a gap in the backend's
table of known gaps must be refused, and nothing else.

What can be computed exactly must be: maxima; sums of integers whose absolute
values add up to less than the dtype holds; and the averages of those, which
are one correctly rounded division of an exact sum. Of the gradients: those of
maxima where no two windows meet; sums of integers; and what averages hand on
where all divisors are powers of two. Everything else must be within the bound
of :mod:`convbridge.parity.bounds`.

Exit codes: 0 good, 1 a failure, 2 bad usage or a missing backend.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from convbridge import registry
from convbridge.errors import ConvbridgeError, UnsupportedOperationError
from convbridge.functional import to_numpy
from convbridge.parity import bounds, oracle, oracle_gradients
from convbridge.parity.cases import Case, random_case, random_cases
from convbridge.parity.gradient_cases import random_gradient_case, random_gradient_cases

__all__ = ["Answer", "BackendSummary", "Expected", "Failure", "Summary", "check", "expected", "main", "run"]

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int], None]

#: Enough failures to see a pattern; more would only take time.
MOST_FAILURES = 50


class Expected(NamedTuple):
    """What the oracle says about one result of a case.

    Attributes
    ----------
    value : numpy.ndarray of longdouble
        The exact result, as exact as longdouble is.
    rounded : numpy.ndarray
        The same, rounded once to the dtype of the result.
    bound : numpy.ndarray of float64
        How far a result may be from ``value``; the oracle's own rounding is
        included.
    exact : bool
        Whether the result must be ``rounded``, bit for bit.
    """

    value: Array
    rounded: Array
    bound: Array
    exact: bool


#: What the oracle says about a case: name of the result to its value, or None where None is to be returned.
Answer = dict[str, Expected | None]


class Failure(NamedTuple):
    """A case that a backend got wrong."""

    backend: str
    case: Case
    problem: str

    def __str__(self) -> str:
        again = f"--backends {self.backend} --seed {self.case.seed} --only {self.case.number}"
        if self.case.function.endswith("_vjp"):
            again = f"--gradients {again}"
        return f"{self.backend}: {self.case}\n    {self.problem}\n    again: python -m convbridge.parity.fuzz {again}"


@dataclass
class BackendSummary:
    """The counts of one backend."""

    cases: int = 0
    equal: int = 0
    rounding: int = 0
    exact: int = 0
    #: How much of the bound was used, at most: name of the result to fraction.
    fractions: dict[str, float] = field(default_factory=dict)
    unsupported: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    @property
    def largest_fraction(self) -> float:
        """The largest of all results."""
        return max(self.fractions.values(), default=0.0)

    def count(self, answer: Answer, verdicts: dict[str, bounds.Verdict]) -> None:
        """Count a case that is right."""
        if all(verdict.kind == bounds.EQUAL for verdict in verdicts.values()):
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
            lines += [f"  {number} refused as documented: {reason}" for reason, number in found.unsupported.items()]
        lines.append(f"seed {self.seed}")
        return "\n".join(lines)


# --------------------------------------------------------------------------- the oracle's answer

_SIGNIFICAND = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}


def _whole(arrays: Iterable[Array]) -> bool:
    """Tell whether all numbers are integers, apart from NaN and infinities."""
    return all(bool((np.rint(array) == array)[np.isfinite(array)].all()) for array in arrays)


def _sums_are_exact(magnitude: Array, dtype: str) -> bool:
    """Tell whether integers add up without rounding, in any order.

    Every partial sum is an integer no larger than the sum of the absolute
    values. Windows with NaN or infinities have nothing to round.
    """
    finite = magnitude[np.isfinite(magnitude)]
    return bool((finite <= 2.0 ** _SIGNIFICAND[dtype]).all())


def expected(case: Case) -> Answer:
    """Compute what a case must return.

    Parameters
    ----------
    case : Case
        Any.

    Returns
    -------
    dict
        One :class:`Expected`, or None, for each of ``case.results``.

    Examples
    --------
    >>> answer = expected(random_case(0, 3))[""]
    >>> answer.value.shape == answer.bound.shape == answer.rounded.shape
    True
    """
    operands = case.exact_operands()
    if case.function == "conv2d_vjp":
        return _expected_conv_gradients(case, operands)
    if case.function == "pool2d_vjp":
        return {"dX": _expected_pool_gradient(case, operands["X"], operands["grad_output"])}
    return {"": _expected_pool(case, operands["X"]) if case.function == "pool2d" else _expected_conv(case, operands)}


def _expected_conv(case: Case, operands: dict[str, Array]) -> Expected:
    X, weight = operands["X"], operands["weight" if case.function == "conv2d" else "K"]
    lost: tuple[int, ...] = ()  # the leading axes that the function does not return
    if case.function in ("corr2d", "convolve2d"):
        X, weight, lost = X[None, None], weight[None, None], (0, 0)
        if case.function == "convolve2d":
            weight = weight[..., ::-1, ::-1]
    elif case.function == "corr2d_multi_in":
        X, weight, lost = X[None], weight[None], (0, 0)
    elif case.function != "conv2d":
        X, lost = X[None], (0,)
    bias = operands.get("bias")
    value = oracle.conv2d(X, weight, bias, **case.keywords)[lost]
    allowed = [bounds.conv2d_bound(X, weight, bias, dtype=d, **case.keywords)[lost] for d in (case.dtype, "longdouble")]
    exact = False
    if _whole(operands.values()):
        sizes = [None if array is None else np.abs(array) for array in (X, weight, bias)]
        exact = _sums_are_exact(oracle.conv2d(*sizes, **case.keywords), case.dtype)
    return Expected(value, oracle.round_to(value, case.dtype), allowed[0] + allowed[1], exact)


def _expected_pool(case: Case, X: Array) -> Expected:
    value = oracle.pool2d(X, **case.keywords)
    if case.keywords["mode"] == "max":
        return Expected(value, oracle.round_to(value, case.dtype), np.zeros(value.shape), True)
    allowed = [bounds.pool2d_bound(X, dtype=d, **case.keywords) for d in (case.dtype, "longdouble")]
    keywords = {name: keyword for name, keyword in case.keywords.items() if name != "mode"}
    exact = _whole([X]) and _sums_are_exact(oracle.pool2d_sums(np.abs(X), **keywords)[0], case.dtype)
    rounded = oracle.round_to(value, case.dtype)
    if exact:
        # Division is correctly rounded in float64; from there to a dtype of at most 25 bits a second rounding
        # changes nothing (Figueroa 1995: 53 >= 2 * 24 + 2), but from longdouble to float64 it might.
        with np.errstate(invalid="ignore"):
            sums, divisors = (part.astype(np.float64) for part in oracle.pool2d_sums(X, **keywords))
            rounded = oracle.round_to(np.asarray(sums / divisors), case.dtype)
    return Expected(value, rounded, allowed[0] + allowed[1], exact)


def _expected_conv_gradients(case: Case, operands: dict[str, Array]) -> Answer:
    arrays = [operands.get(name) for name in ("X", "weight", "bias", "grad_output")]
    values = oracle_gradients.conv2d_vjp(*arrays, **case.keywords)
    own, oracles = (bounds.conv2d_vjp_bound(*arrays, dtype=d, **case.keywords) for d in (case.dtype, "longdouble"))
    sizes: tuple[Array | None, ...] = (None, None, None)
    if _whole(operands.values()):
        sizes = oracle_gradients.conv2d_vjp(
            *(None if array is None else np.abs(array) for array in arrays), **case.keywords
        )
    answer: Answer = dict.fromkeys(case.results)
    for name, value, bound, slack, size in zip(case.results, values, own, oracles, sizes):
        if value is not None and bound is not None and slack is not None:
            exact = size is not None and _sums_are_exact(size, case.dtype)
            answer[name] = Expected(value, oracle.round_to(value, case.dtype), bound + slack, exact)
    return answer


def _expected_pool_gradient(case: Case, X: Array, grad: Array) -> Expected:
    keywords = {name: keyword for name, keyword in case.keywords.items() if name != "pool_size"}
    arguments: tuple[Any, ...] = (X, case.keywords["pool_size"], grad)
    value = oracle_gradients.pool2d_vjp(*arguments, **keywords)
    own, slack = (bounds.pool2d_vjp_bound(*arguments, dtype=d, **keywords) for d in (case.dtype, "longdouble"))
    exact = not own.any()  # no two gradients meet
    unit = _unit_of_shares(case, X)
    if not exact and unit is not None and _whole([grad]):
        sizes = oracle_gradients.pool2d_vjp(X, case.keywords["pool_size"], np.abs(grad), **keywords)
        exact = _sums_are_exact(sizes / unit, case.dtype)
    return Expected(value, oracle.round_to(value, case.dtype), own + slack, exact)


def _unit_of_shares(case: Case, X: Array) -> float | None:
    """Return what all shares of whole gradients are multiples of; None if a division rounds."""
    if case.keywords["mode"] == "max":
        return 1.0
    keywords = {name: keyword for name, keyword in case.keywords.items() if name != "mode"}
    _, divisors = oracle.pool2d_sums(X, **keywords)
    mantissas, _ = np.frexp(divisors)
    # Over a power of two an integer is exact, also by way of a reciprocal. A window without an element shares nothing.
    return 1 / float(divisors.max(initial=1.0)) if np.isin(mantissas, (0.0, 0.5)).all() else None


# --------------------------------------------------------------------------- one case


def _snapshot(arguments: dict[str, Any]) -> dict[str, Array]:
    return {
        name: np.array(argument) if isinstance(argument, (np.ndarray, list)) else to_numpy(argument)
        for name, argument in arguments.items()
    }


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())


def check(case: Case, backend: str, answer: Answer) -> tuple[str | None, dict[str, bounds.Verdict]]:
    """Run a case on a backend and look at everything that was promised.

    Parameters
    ----------
    case : Case
        A case that the backend must be able to compute.
    backend : str
        A canonical name.
    answer : dict
        The oracle's, from :func:`expected`.

    Returns
    -------
    problem : str or None
        What is wrong.
    verdicts : dict
        How the numbers of each result compare, as far as it came to that.

    Examples
    --------
    >>> case = random_case(0, 3)
    >>> check(case, "numpy", expected(case))[0] is None
    True
    """
    arguments = case.arguments(backend)
    before = _snapshot(arguments)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            results = dict(zip(case.results, case.call(backend, arguments), strict=True))
            values = {name: None if result is None else to_numpy(result) for name, result in results.items()}
        except Exception as error:  # a fuzz run reports whatever a backend raises and goes on
            return f"raised {type(error).__name__}: {error}", {}
    if warned:
        return f"warned: {warned[0].category.__name__}: {warned[0].message}", {}
    for name, result in results.items():
        problem = _wrong_form(case, backend, result, values[name], answer[name])
        if problem:
            return f"{name} {problem}".strip(), {}
    after = _snapshot(arguments)
    for name in before:
        if not _same(before[name], after[name]):
            return f"changed its input {name}", {}
    problem = _shared_memory(arguments, results, values)
    if problem:
        return problem, {}
    verdicts: dict[str, bounds.Verdict] = {}
    for name, wanted in answer.items():
        found = values[name]
        if found is None or wanted is None:
            continue
        verdict = bounds.judge(found, wanted.rounded, 0.0)
        if verdict.kind != bounds.EQUAL and not wanted.exact:
            verdict = bounds.judge(found.astype(np.longdouble), wanted.value, wanted.bound)
        verdicts[name] = verdict
        if verdict.kind == bounds.REAL_DIFFERENCE:
            return f"{name} {_describe_difference(found, wanted, verdict)}".strip(), verdicts
    return None, verdicts


def _wrong_form(case: Case, backend: str, result: Any, values: Array | None, wanted: Expected | None) -> str | None:
    """Say what is wrong with one result, its numbers apart."""
    if values is None or wanted is None:
        return None if (values is None) == (wanted is None) else f"returned {result!r}, wrongly"
    dtype = registry.load(backend).arrays.dtype_name(result)
    if dtype != case.dtype:
        return f"returned {dtype}, not {case.dtype}"
    if values.shape != wanted.value.shape:
        return f"returned the shape {values.shape}, not {wanted.value.shape}"
    if values.dtype != wanted.rounded.dtype:
        return f"to_numpy made {values.dtype} of it, not {wanted.rounded.dtype}"
    return None


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
            return f"{name} returned memory that it shares with an input".strip()
    named = {**{f"the result {name}".strip(): result for name, result in results.items()}, **arguments}
    for name, result in results.items():
        for other, array in named.items():
            if (
                isinstance(result, np.ndarray)
                and isinstance(array, np.ndarray)
                and array is not result
                and np.shares_memory(result, array)
            ):
                return f"{name} returned memory that it shares with {other}".strip()
    return None


def _describe_difference(values: Array, answer: Expected, verdict: bounds.Verdict) -> str:
    wide = values.astype(np.longdouble)
    target = answer.rounded.astype(np.longdouble) if answer.exact else answer.value
    wrong = ~((wide == target) | (np.isnan(wide) & np.isnan(target)))
    if not answer.exact:
        with np.errstate(invalid="ignore"):
            wrong &= ~(np.abs(wide - target) <= answer.bound)
    place = tuple(int(n) for n in np.argwhere(wrong)[0])
    what = "must be equal" if answer.exact else f"{verdict.fraction:.3g} times the rounding bound"
    return (
        f"{int(wrong.sum())} of {values.size} elements differ ({what}); the first at {place}: "
        f"{float(wide[place])!r}, not {float(target[place])!r}"
    )


# --------------------------------------------------------------------------- many cases


def _refuses(case: Case, backend: str, reason: str) -> str | None:
    """Check that a documented gap is refused with its reason; return what is wrong."""
    try:
        case.call(backend, case.arguments(backend))
    except UnsupportedOperationError as error:
        return None if reason in str(error) else f"refused without its documented reason: {error}"
    except Exception as error:  # a fuzz run reports whatever a backend raises and goes on
        return f"a documented gap raised {type(error).__name__}: {error}"
    return f"computed what its table says that it cannot: {reason}"


def run(
    backends: Sequence[str],
    count: int,
    seed: int,
    progress: Progress | None = None,
    *,
    cases: Iterable[Case] = (),
    gradients: bool = False,
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
    draw = random_gradient_cases if gradients else random_cases
    for case in cases or draw(2 * count + 100, seed):
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
            reason = case.gap(registry.spec(name).unsupported)
            if reason is not None:
                found.unsupported[reason] += 1
                problem = _refuses(case, name, reason)
            else:
                answer = answer or expected(case)
                found.cases += 1
                problem, verdicts = check(case, name, answer)
                if problem is None:
                    found.count(answer, verdicts)
            if problem:
                found.failures.append(Failure(name, case, problem))
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
    parser.add_argument("--gradients", action="store_true", help="run gradients instead of forward calls")
    parser.add_argument("--only", type=_not_negative, metavar="NUMBER", help="run only this case of the seed")
    options = parser.parse_args(arguments)
    names = [name.strip() for name in options.backends.split(",") if name.strip()] or registry.available_backends()
    draw = random_gradient_case if options.gradients else random_case
    cases = () if options.only is None else [draw(options.seed, options.only)]
    line = _ProgressLine()
    try:
        summary = run(names, options.cases, options.seed, line, cases=cases, gradients=options.gradients)
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
