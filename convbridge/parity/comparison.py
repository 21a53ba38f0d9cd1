"""Comparing two callables, result by result: the work behind ``convbridge.testing.assert_parity``.

First what needs no numbers: the nests of the results, shapes, dtypes. Then a
yardstick for the numbers. Where they differ by more, a message: where, how
much, what stands around the worst element, and the likely cause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convbridge.parity import symptoms, yardsticks
from convbridge.parity.calls import Prediction
from convbridge.parity.cases import Case
from convbridge.parity.differences import difference, neighbourhood
from convbridge.parity.explain import CAUSES, explain
from convbridge.parity.sides import Inputs, Result, Side
from convbridge.parity.yardsticks import Yardstick

__all__ = ["Check", "Comparison", "ParityReport"]

Array = np.ndarray[Any, Any]
Results = Mapping[str, Result]
Pair = tuple[Results, Results]
Calls = tuple[Case | None, Case | None]

#: Products of a call that some hundred oracles may still be asked about.
_MOST_EXPLAINED = 2**21


@dataclass(frozen=True)
class Check:
    """One result of both callables, compared.

    Attributes
    ----------
    name : str
        "output", "output['logits']", "gradient of output with respect to inputs".
    shape : tuple of int
    dtype : str
        Of f's result.
    difference : float
        The largest.
    fraction : float
        The largest fraction of the bound that was used.
    judgement : str
        Which bound, with its numbers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    difference: float
    fraction: float
    judgement: str

    def __str__(self) -> str:
        apart = f"at most {self.difference:.2g} apart, {self.fraction:.2g} of the bound" if self.difference else "equal"
        return f"{self.name} {self.shape} {self.dtype}: {apart}"


@dataclass(frozen=True)
class ParityReport:
    """What :func:`assert_parity` found where all is well.

    Attributes
    ----------
    checks : tuple of Check
        One for each output and gradient.
    """

    checks: tuple[Check, ...]

    @property
    def fraction(self) -> float:
        """The largest fraction of a bound that was used; 0 where all results are equal."""
        return max(check.fraction for check in self.checks)

    def _repr_html_(self) -> str:
        from convbridge.notebook import proof

        return proof.report(self)

    def __str__(self) -> str:
        judgements = dict.fromkeys(check.judgement for check in self.checks)
        return "\n".join([*map(str, self.checks), *(f"judged by {words}" for words in judgements)])


class Comparison:
    """Two sides on the same inputs.

    Attributes
    ----------
    checks : list of Check
        What agrees.
    problems : list of str
        What does not, each a message.

    Examples
    --------
    >>> from convbridge.parity.sides import read_inputs
    >>> sides = Side("f", np.sin, None, "NCHW"), Side("g", np.cos, None, "NCHW")
    >>> comparison = Comparison(sides, read_inputs(np.ones(2)), check_dtype=True, bound=0.1, ops=None, seed=0)
    >>> comparison.compare_values()
    >>> len(comparison.checks), comparison.problems[0].splitlines()[0]
    (0, 'f (any framework, sin) and g (any framework, cos) differ in output: 2 of 2 elements differ')
    """

    def __init__(
        self, sides: tuple[Side, Side], inputs: Inputs, check_dtype: bool, bound: Any, ops: int | None, seed: int
    ) -> None:
        self.sides, self.inputs = sides, inputs
        self.check_dtype, self.bound, self.ops, self.seed = check_dtype, bound, ops, seed
        self.checks: list[Check] = []
        self.problems: list[str] = []
        self.results: Pair = ({}, {})

    def compare_values(self) -> None:
        """Compare what the two return."""
        f, g = self.sides
        self.results = (f.run(self.inputs), g.run(self.inputs))
        self._compare(self.results, self.inputs.arrays, self._run, None)

    def _run(self, side: Side, arrays: Sequence[Array]) -> Results:
        return side.run(self.inputs.with_arrays(arrays))

    def compare_gradients(self) -> None:
        """Compare the gradients of what the two return; only after :meth:`compare_values`."""
        f, g = self.sides
        rng = np.random.default_rng(self.seed)
        weights = {
            way: rng.standard_normal(result.values.shape).astype(result.values.dtype)
            for way, result in self.results[0].items()
            if result.values.dtype.kind == "f"
        }
        count = len(self.inputs.arrays)

        def run(side: Side, arrays: Sequence[Array]) -> Results:
            moved = dict(zip(weights, arrays[count:]))
            return side.gradients(self.inputs.with_arrays(arrays[:count]), moved)

        arrays = (*self.inputs.arrays, *weights.values())
        self._compare((run(f, arrays), run(g, arrays)), arrays, run, weights)

    def _compare(
        self, results: Pair, arrays: Sequence[Array], run: yardsticks.Run, weights: Mapping[str, Array] | None
    ) -> None:
        if results[0].keys() != results[1].keys():
            ways = [", ".join(result) for result in results]
            self.problems.append(f"{self._both()} differ in what they return: {ways[0]} and {ways[1]}")
            return
        calls = self._known_calls(results, weights)
        for way in results[0]:
            self._compare_form(way, results[0][way], results[1][way], calls, weights)
        if self.problems:
            return
        yardstick = self._yardstick(results, arrays, run, calls, weights)
        for way in results[0]:
            self._compare_numbers(way, results[0][way], results[1][way], yardstick, calls, weights)

    def _known_calls(self, results: Pair, weights: Mapping[str, Array] | None) -> Calls:
        if len(results[0]) != 1:
            return None, None
        weight = None if weights is None else next(iter(weights.values()))
        f, g = (
            side.known_call(self.inputs, next(iter(result.values())).dtype, weight)
            for side, result in zip(self.sides, results)
        )
        return f, g

    def _yardstick(
        self,
        results: Pair,
        arrays: Sequence[Array],
        run: yardsticks.Run,
        calls: Calls,
        weights: Mapping[str, Array] | None,
    ) -> Yardstick:
        if self.ops is not None:
            return yardsticks.counted(self.ops, results)
        if self.bound is not None and not isinstance(self.bound, str):
            return yardsticks.given(self.bound, results[0])
        if self.bound != "statistical":
            way = next(iter(results[0]))
            found = yardsticks.derived(self.sides, calls, way, "Y" if weights is None else "dX")
            if found is not None:
                return found
            if self.bound == "derived":
                raise yardsticks.not_derivable(self.sides)
        return yardsticks.measured(run, self.sides, results, arrays, self.seed)

    # ----------------------------------------------------------------------- one result

    def _both(self) -> str:
        return " and ".join(f"{side.name} ({side})" for side in self.sides)

    def _compare_form(self, way: str, f: Result, g: Result, calls: Calls, weights: Mapping[str, Array] | None) -> None:
        if f.values.shape != g.values.shape:
            lines = [f"{self._both()} differ in the shape of {way}: {f.values.shape} and {g.values.shape}"]
            lines += self._causes(f, g, None, calls, weights)
            if sorted(f.values.shape) == sorted(g.values.shape):
                lines.append('the same axes in another order; layouts=("NCHW", "NHWC") transposes those of g')
            self.problems.append("\n  ".join(lines))
        elif self.check_dtype and f.dtype != g.dtype:
            self.problems.append(
                f"{self._both()} differ in the dtype of {way}: {f.dtype} and {g.dtype} (check_dtype=False ignores that)"
            )

    def _compare_numbers(
        self,
        way: str,
        f: Result,
        g: Result,
        yardstick: Yardstick,
        calls: Calls,
        weights: Mapping[str, Array] | None,
    ) -> None:
        bound = yardstick.bounds[way]
        found = difference(f.values, g.values, bound)
        if not found.wrong.any():
            largest, fraction = (float(part.max(initial=0.0)) for part in (found.apart, found.fraction))
            self.checks.append(Check(way, f.values.shape, f.dtype, largest, fraction, yardstick.words))
            return
        lines = [f"{self._both()} differ in {way}: {found}", f"judged by {yardstick.words}"]
        places = {"first": found.first, "worst": found.worst}
        for word, place in places.items():
            lines.append(
                f"{word} at {place}: {float(f.values[place])!r} and {float(g.values[place])!r}, "
                f"{found.apart[place]:.3g} apart, {found.fraction[place]:.3g} times the bound {bound[place]:.3g}"
            )
        lines += neighbourhood(f.values, g.values, found.worst, ("f", "g")).splitlines()
        lines += self._causes(f, g, bound, calls, weights)
        self.problems.append("\n  ".join(lines))

    def _causes(
        self, f: Result, g: Result, bound: Array | None, calls: Calls, weights: Mapping[str, Array] | None
    ) -> list[str]:
        """Say what is likely wrong, by the oracle where a call is known, else by what the numbers tell."""
        result = "Y" if weights is None else "dX"
        small = [case if case is not None and yardsticks.products(case) <= _MOST_EXPLAINED else None for case in calls]
        own = [
            None if case is None else explain(side.there(values.values), case, result=result)
            for side, case, values in zip(self.sides, small, (f, g))
        ]
        wrong = [
            f"likely cause: {side.name} is not what it should be, {found}"
            for side, found in zip(self.sides, own)
            if found is not None and found.differs
        ]
        if wrong:
            return wrong
        for side, case, other, values in zip(self.sides, small, self.sides[::-1], (g, f)):
            if case is not None:  # this side is right, so the other was asked for something else
                found = explain(side.there(values.values), case, result=result)
                return [f"likely cause: {other.name} is {side.name}'s call, {found}"]
        if bound is None:
            return []
        wanted = Prediction(f.values.astype(np.longdouble), bound)
        for symptom in symptoms.symptoms(wanted, g.values.astype(np.longdouble), f.dtype, sums={} if weights else None):
            if not difference(g.values, symptom.prediction.value, symptom.prediction.bound).wrong.any():
                detail = f": {symptom.detail}" if symptom.detail else ""
                return [f"likely cause: g is f with {CAUSES[symptom.name]}{detail}"]
        return ["no likely cause: g is not f in another order, scaled, shifted, or in fewer bits"]
