"""Naming the cause of a difference: every hypothesis is tried, the tightest that fits is named.

A hypothesis explains a result if that lies within the rounding bound of what
the altered call is exactly. So an explanation is as strict as the verdict that
asked for it. First the call as it is: most results are right. Then what is
wrong about a call (:mod:`convbridge.parity.hypotheses`), in which precision it
was computed (:mod:`convbridge.parity.precision`), and what the numbers alone
tell (:mod:`convbridge.parity.symptoms`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np

from convbridge import functional
from convbridge.errors import ArgumentError, received
from convbridge.geometry import word_argument
from convbridge.operands import FLOAT_DTYPES, compute_dtype
from convbridge.parity import hypotheses, precision, symptoms
from convbridge.parity.calls import Call, Prediction, canonical
from convbridge.parity.cases import Case, Operand
from convbridge.parity.differences import difference

__all__ = ["CAUSES", "Explanation", "explain", "explain_call"]

Array = np.ndarray[Any, Any]

NO_DIFFERENCE = "no-difference"
DTYPE = "dtype"
INEXACT = "inexact"

#: Equally good hypotheses that the words of an explanation list; ``also`` has them all.
_MOST_ALSO = 2

#: The closed list: every name that an explanation may have, and its sentence.
CAUSES = {
    NO_DIFFERENCE: "no difference",
    DTYPE: "another dtype",
    INEXACT: "within the rounding bound, where nothing is to be rounded",
    **hypotheses.CAUSES,
    **precision.CAUSES,
    **symptoms.CAUSES,
}


@dataclass(frozen=True)
class Explanation:
    """What was found.

    Attributes
    ----------
    name : str
        A key of :data:`CAUSES`; "" if nothing explains the result.
    cause : str or None
        The sentence, with what is special here; None if nothing explains.
    residual : float
        The largest difference that the cause leaves; where none explains, that
        from the right result.
    fraction : float
        The same as a fraction of the rounding bound.
    tried : tuple of str
        The hypotheses that could be asked about this call.
    also : tuple of str
        Those that predict as well for these numbers: other numbers would tell
        them apart.
    closest : str
        Where none explains: the one that gets most elements right, in words.
    """

    name: str
    cause: str | None
    residual: float
    fraction: float
    tried: tuple[str, ...]
    also: tuple[str, ...] = ()
    closest: str = ""

    @property
    def differs(self) -> bool:
        """Whether there is anything to explain."""
        return self.name != NO_DIFFERENCE

    def _repr_html_(self) -> str:
        from convbridge.notebook import proof

        return proof.explanation(self)

    def __str__(self) -> str:
        left = f"largest difference left {self.residual:.2g}, {self.fraction:.2g} of the rounding bound"
        if self.cause is None:
            closest = f"; closest: {self.closest}" if self.closest else ""
            return f"not explained by any of {len(self.tried)} hypotheses{closest}"
        if not self.differs:
            return f"{self.cause} ({left.replace(' left', '')})"
        shown = [CAUSES[name] for name in self.also[:_MOST_ALSO]]
        more = [f"{len(self.also) - len(shown)} more"] if len(self.also) > len(shown) else []
        also = f"; the same here: {', '.join([*shown, *more])}" if shown else ""
        return f"explained by: {self.cause} ({left}{also})"


@dataclass
class _Search:
    """The hypotheses tried so far, for one result."""

    actual: Array
    tried: dict[str, None]
    #: The largest share of elements that anything got right, and what it was.
    nearest: tuple[float, str] = (0.0, "")

    def fit(self, name: str, detail: str, prediction: Prediction) -> Explanation | None:
        """Return an explanation if a prediction is one."""
        self.tried[name] = None
        if prediction.value.shape != self.actual.shape or (name != NO_DIFFERENCE and not self.actual.size):
            return None
        cause = f"{CAUSES[name]}: {detail}" if detail else CAUSES[name]
        right, residual, fraction = _compare(self.actual, prediction)
        if right == 1:
            return Explanation(name, cause, residual, fraction, ())
        if right > self.nearest[0]:
            self.nearest = (right, f"{cause} ({right:.0%} of the elements)")
        return None


def _compare(actual: Array, prediction: Prediction) -> tuple[float, float, float]:
    """Return the share of elements within the bound, the largest difference and its fraction of the bound."""
    wrong, apart, fraction = difference(actual, *prediction)
    return float((~wrong).mean()) if wrong.size else 1.0, float(apart.max(initial=0)), float(fraction.max(initial=0))


def explain_call(actual: Array, call: Call) -> Explanation:
    """Explain a result of a call that is already in its one form.

    Parameters
    ----------
    actual : numpy.ndarray
        In the form of :func:`convbridge.parity.calls.canonical`.
    call : Call

    Returns
    -------
    Explanation

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> call = Call.of(random_case(0, 3), "Y")
    >>> print(explain_call(call.predict().value.astype("float32"), call))
    no difference (largest difference ..., 0.092 of the rounding bound)
    """
    search = _Search(actual.astype(np.longdouble), {})
    right = call.predict()
    found = search.fit(NO_DIFFERENCE, "", right)
    # an unexplained result is close to something only if that is closer than what was asked for
    search.nearest = (search.nearest[0], "")
    stored = "float32" if call.dtype == "bfloat16" else call.dtype
    if actual.dtype != stored:
        found = found or _fit_dtype(search, actual.dtype.name, call)
        if found:
            cause = f"{CAUSES[DTYPE]}: {actual.dtype}, not {call.dtype}"
            found = Explanation(DTYPE, cause, found.residual, found.fraction, ())
    if found is None and actual.dtype.kind == "f":
        found = _tightest(search, call, actual, right)
    tried = tuple(search.tried)
    if found is None:
        residual, fraction = float("inf"), float("inf")
        if actual.shape == right.value.shape:
            _, residual, fraction = _compare(search.actual, right)
        return Explanation("", None, residual, fraction, tried, (), search.nearest[1])
    return Explanation(found.name, found.cause, found.residual, found.fraction, tried, found.also)


def _fit_dtype(search: _Search, dtype: str, call: Call) -> Explanation | None:
    """Compare with the call computed in a float dtype, or brought to integers at its end."""
    if dtype in precision.SIGNIFICANDS:
        return search.fit(DTYPE, "", call._replace(dtype=dtype).predict())
    value = call.predict().value
    whole = [search.fit(DTYPE, "", Prediction(make(value), np.zeros(value.shape))) for make in (np.trunc, np.rint)]
    return whole[0] or whole[1]


def _tightest(search: _Search, call: Call, actual: Array, right: Prediction) -> Explanation | None:
    """Try everything: what is as strict as the verdict first, then by how much it allows."""
    loosely = call.predict(strict=False)
    exact: list[Explanation] = []
    for alternative in hypotheses.alternatives(call, actual):
        exact += _explained(search, alternative, call, right)
    if exact:
        also = dict.fromkeys(found.name for found in exact[1:] if found.name != exact[0].name)
        return Explanation(exact[0].name, exact[0].cause, exact[0].residual, exact[0].fraction, (), tuple(also))
    loose = [
        (_allowed(alternative), found)
        for alternative in precision.alternatives(call, loosely, search.actual)
        for found in _explained(search, alternative, call, right)
    ]
    if loose:
        tightest = min(allowed for allowed, _ in loose)
        return next(found for allowed, found in loose if allowed <= 2 * tightest)
    outputs = call.output_size[0] * call.output_size[1]
    batch = len(call.operands["X"])
    sums = {"the batch": batch, "all positions": outputs, "batch and positions": batch * outputs}
    found = search.fit(INEXACT, "", loosely)
    if found is not None:
        return found
    known = None if call.result == "Y" else sums if call.result != "dX" else {}
    for symptom in symptoms.symptoms(loosely, search.actual, call.dtype, sums=known):
        found = search.fit(*symptom)
        if found is not None:
            return found
    return None


def _allowed(alternative: hypotheses.Alternative) -> float:
    bound = alternative.call.predict().bound
    return float(bound[np.isfinite(bound)].sum())


def _explained(
    search: _Search, alternative: hypotheses.Alternative, call: Call, right: Prediction
) -> Iterator[Explanation]:
    finish = alternative.finish or (lambda array: array)
    if alternative.call is call:
        prediction = right
    else:
        if isinstance(alternative.call, Call) and alternative.evidence is None:
            quick = finish(alternative.call.value())
            reach = Prediction(quick, np.full(quick.shape, alternative.call.reach()))
            if search.fit(alternative.name, alternative.detail, reach) is None:
                return
        prediction = alternative.call.predict()
    found = search.fit(alternative.name, alternative.detail, Prediction(*map(finish, prediction)))
    if found is not None and (alternative.evidence is None or alternative.evidence(search.actual)):
        yield found


def explain(
    actual: Any,
    case: Case | None = None,
    *,
    result: str = "Y",
    operation: str = "conv2d",
    X: Any = None,
    weight: Any = None,
    bias: Any = None,
    grad_output: Any = None,
    dtype: str | None = None,
    **keywords: Any,
) -> Explanation:
    """Name the cause why a convolution's or a pooling's result is not the right one.

    A closed list of hypotheses is tried with the oracle: what was wrong about
    the call, which precision it was computed in, what the numbers alone tell.
    The oracle walks over output pixels in Python, some hundred times: small
    images are explained in a tenth of a second.

    Parameters
    ----------
    actual : array_like or tensor
        What came out.
    case : Case, optional
        The call, as the matrix knows it; instead of all that follows but
        ``result``.
    result : {"Y", "dX", "dW", "db"}, default "Y"
        What ``actual`` is: the result, or which of the gradients.
    operation : {"conv2d", "pool2d"}, default "conv2d"
        What should have been computed.
    X, weight, bias, grad_output : array_like or tensor
        As for :func:`convbridge.conv2d`, :func:`convbridge.pool2d` and their
        gradients.
    dtype : str, optional
        Of the computation; default: that of the operands, as convbridge
        promotes them.
    **keywords
        The other arguments: stride, padding, pool_size, mode, ...

    Returns
    -------
    Explanation

    Raises
    ------
    ArgumentError, ShapeError
        If the call itself is not legal.

    Notes
    -----
    Several hypotheses may predict the same numbers. The tightest one is named,
    the first in the list where they are equally tight; the others are in
    ``also``. Two mistakes at once are not looked for.

    Examples
    --------
    >>> import convbridge
    >>> X, K = np.arange(16.0).reshape(1, 1, 4, 4), np.arange(9.0).reshape(1, 1, 3, 3)
    >>> Y = convbridge.conv2d(X, K, stride=2, padding="same_lower", backend="numpy")
    >>> print(explain(Y, operation="conv2d", X=X, weight=K, stride=2, padding="same_upper"))
    explained by: SAME_LOWER padding (largest difference left 0, 0 of the rounding bound; ...)
    """
    if case is None:
        case = _case(
            result, operation, {"X": X, "weight": weight, "bias": bias, "grad_output": grad_output}, dtype, keywords
        )
    if result not in case.results:
        raise ArgumentError(f"result must be one of {', '.join(case.results)}. {received(result=result)}")
    return explain_call(canonical(functional.to_numpy(actual), case, result), Call.of(case, result))


def _case(result: str, operation: str, given: dict[str, Any], dtype: str | None, keywords: dict[str, Any]) -> Case:
    """Read a call that a user wrote."""
    if operation not in ("conv2d", "pool2d"):
        raise ArgumentError(f"operation must be conv2d or pool2d. {received(operation=operation)}")
    word_argument(result, "result", ("Y", "dX", "dW", "db"))
    if dtype is not None:
        word_argument(dtype, "dtype", FLOAT_DTYPES)
    needed = ["X", *(["weight"] if operation == "conv2d" else []), *([] if result == "Y" else ["grad_output"])]
    for name in needed:
        if given[name] is None:
            raise ArgumentError(f"{name} must be given to explain {result} of {operation}. {received(**{name: None})}")
    arrays = {name: functional.to_numpy(array) for name, array in given.items() if array is not None}
    grad = arrays.pop("grad_output", None)
    function = functional.conv2d if operation == "conv2d" else functional.pool2d
    bound = signature(function).bind(**arrays, **keywords)
    bound.apply_defaults()
    keywords = {name: value for name, value in bound.arguments.items() if name not in (*given, "backend")}
    if operation == "conv2d":
        functional.check_conv2d(arrays["X"], arrays["weight"].shape, **keywords, backend="numpy")
    else:
        functional.check_pool2d(arrays["X"], **keywords, backend="numpy")
    if result != "Y" and grad is not None:
        arrays["grad_output"] = grad
    dtypes = {compute_dtype(array.dtype.name, name, array) for name, array in arrays.items()}
    computed = dtype or (dtypes.pop() if len(dtypes) == 1 else "float64" if "float64" in dtypes else "float32")
    operands = {name: Operand(array, array.dtype.name, "contiguous", False) for name, array in arrays.items()}
    return Case(0, 0, operation if result == "Y" else f"{operation}_vjp", operands, keywords, computed)
