"""Differentiating the chapters' cross-correlation, in every way there is.

The chapter says that its loop cannot be differentiated. What a framework
really does with it, and with the two things that convbridge offers instead, is
found out by doing it. What may live here: running the attempts and judging
them; what is special about a framework is in its backend's ``listing.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np

from convbridge import chapter, functional, registry
from convbridge.errors import UnsupportedOperationError
from convbridge.gradients import conv2d_vjp
from convbridge.parity.bounds import Verdict, conv2d_vjp_bound, judge
from convbridge.teaching.compare import DTYPE, BackendRun, Comparison, sources_in
from convbridge.teaching.examples import AUTOGRAD

__all__ = ["TITLES", "Attempt", "attempts_on", "compare"]

Array = np.ndarray[Any, Any]

_SEVERITY = {"equal": 0, "rounding": 1, "REAL DIFFERENCE": 2}


#: What is differentiated, by the kind of attempt, in the order in which they are shown.
TITLES = {"listing": "the book's listing", "chapter": "the loop", "operator": "the operator", "vjp": "conv2d_vjp"}


class Attempt(NamedTuple):
    """One way to ask for the gradients of a cross-correlation, and the answer.

    Attributes
    ----------
    kind : {"listing", "chapter", "operator", "vjp"}
        What is differentiated: the book's listing, which assigns in place; the
        library's loop; the framework's operator; or nothing, because the
        library's function returns the gradients.
    call : str
        The expression that was computed.
    outcome : {"gradients", "None", "refused", "raised"}
        "None": the framework returned None where a gradient belongs, and said
        nothing. "refused": the library said that it is not possible.
    gradients : (numpy.ndarray, numpy.ndarray) or None
        Of X and of K.
    message : str
        What was raised.
    """

    kind: Literal["listing", "chapter", "operator", "vjp"]
    call: str
    outcome: Literal["gradients", "None", "refused", "raised"]
    gradients: tuple[Array, Array] | None
    message: str

    @property
    def in_short(self) -> str:
        """The outcome in a word or two."""
        if self.outcome == "None":
            return "None, no error"
        return f"raises {self.message.partition(':')[0]}" if self.outcome == "raised" else self.outcome

    @property
    def acceptable(self) -> bool:
        """Whether the library keeps its word: the listing alone may fail, and nothing else without a word."""
        return self.kind == "listing" or self.outcome in ("gradients", "refused" if self.kind != "vjp" else "")

    def to_json(self) -> dict[str, Any]:
        """Return the attempt as dictionaries, lists and strings."""
        found = None if self.gradients is None else {n: g.tolist() for n, g in zip(("dX", "dK"), self.gradients)}
        return {
            "kind": self.kind,
            "call": self.call,
            "outcome": self.outcome,
            "gradients": found,
            "message": self.message,
        }


def _attempt(kind: Any, call: str, compute: Callable[[], Any]) -> Attempt:
    try:
        dX, dK = compute()
    except UnsupportedOperationError as error:
        return Attempt(kind, call, "refused", None, f"{type(error).__name__}: {error}")
    except Exception as error:  # whatever a framework raises is the result that is shown
        return Attempt(kind, call, "raised", None, f"{type(error).__name__}: {_said(error)}")
    if dX is None or dK is None:
        return Attempt(kind, call, "None", None, "")
    return Attempt(kind, call, "gradients", (np.asarray(dX), np.asarray(dK)), "")


def _said(error: Exception) -> str:
    """Return a framework's message without the places in its own sources that some put around it."""
    lines = str(error).partition("Stack trace")[0].splitlines()
    kept = [line.strip() for line in lines if not line.strip().startswith(("Traceback (", 'File "'))]
    return " ".join(line for line in kept if line).removeprefix(f"{type(error).__name__}: ")


def attempts_on(backend: str) -> BackendRun[Attempt]:
    """Ask one backend for the gradients of the sum of ``corr2d(X, K)``, in every way.

    Parameters
    ----------
    backend : str
        A canonical name.

    Returns
    -------
    BackendRun of Attempt
        The book's listing, the library's loop, the framework's operator, and
        :func:`convbridge.conv2d_vjp`; only the last for a backend that has no
        ``listing.py``.

    Raises
    ------
    BackendNotInstalledError, BackendBrokenError
        As for :func:`convbridge.registry.load`.

    Examples
    --------
    >>> run = attempts_on("numpy")
    >>> [attempt.outcome for attempt in run.results]
    ['refused', 'refused', 'refused', 'gradients']
    >>> run.results[-1].gradients[1].tolist()
    [[8.0, 12.0], [20.0, 24.0]]
    """
    loaded = registry.load(backend)
    X, K = (AUTOGRAD.inputs[name].astype(DTYPE) for name in ("X", "K"))
    sources: dict[str, str] = {}
    results = []
    listing = loaded.listing
    if listing is not None:
        sources = {**sources_in(listing, "corr2d_in_place"), **sources_in(loaded.chapter, "corr2d")}
        ways: tuple[tuple[str, str, Callable[..., Any]], ...] = (
            ("listing", "corr2d_in_place", listing.corr2d_in_place),
            ("chapter", "chapter.corr2d", lambda x, k: chapter.corr2d(x, k, backend=backend)),
            ("operator", "corr2d", lambda x, k: functional.corr2d(x, k, backend=backend)),
        )
        for kind, name, function in ways:
            call = f"differentiate({name}, X, K)"
            results.append(_attempt(kind, call, partial(listing.differentiate, function, X, K)))

    def by_hand() -> list[Array]:
        grad = np.ones((1, 1, X.shape[0] - K.shape[0] + 1, X.shape[1] - K.shape[1] + 1), DTYPE)
        dX, dK, _ = conv2d_vjp(X[None, None], K[None, None], None, grad, backend=backend)
        return [functional.to_numpy(gradient)[0, 0] for gradient in (dX, dK)]

    results.append(_attempt("vjp", "conv2d_vjp(X[None, None], K[None, None], None, grad_output)", by_hand))
    return BackendRun(backend, loaded.version, sources, tuple(results))


def compare(backends: Sequence[str]) -> Comparison:
    """Ask several backends for the gradients, and compare all that they return.

    Parameters
    ----------
    backends : sequence of str
        Canonical names.

    Returns
    -------
    Comparison
        Of the kind "ERROR" if anything but the book's listing returned no
        gradient without the library's saying so.

    Raises
    ------
    BackendNotInstalledError, BackendBrokenError
        As for :func:`convbridge.registry.load`.

    Examples
    --------
    >>> compare(["numpy"]).kind
    'equal'
    """
    runs = tuple(attempts_on(backend) for backend in backends)
    named = [(f"{run.backend} {attempt.kind}", attempt) for run in runs for attempt in run.results]

    def verdict(kind: Any, difference: float, fraction: float, between: tuple[str, str]) -> Comparison:
        return Comparison(AUTOGRAD, runs, kind, difference, fraction, between, "gradients")

    for title, attempt in named:
        if not attempt.acceptable:
            return verdict("ERROR", float("nan"), float("nan"), (title, title))
    X, K = (AUTOGRAD.inputs[name].astype(DTYPE)[None, None] for name in ("X", "K"))
    grad = np.ones((1, 1, X.shape[2] - K.shape[2] + 1, X.shape[3] - K.shape[3] + 1), DTYPE)
    bounds = [bound[0, 0] for bound in conv2d_vjp_bound(X, K, None, grad, dtype=DTYPE)[:2] if bound is not None]
    worst, between = Verdict("equal", 0.0, 0.0), (named[0][0], named[0][0])
    found = [(title, attempt.gradients) for title, attempt in named if attempt.gradients is not None]
    for (title_a, of_a), (title_b, of_b) in combinations(found, 2):
        for a, b, bound in zip(of_a, of_b, bounds):
            # each of the two may be off by the bound; one of another shape has none, and needs none
            found_here = judge(a, b, 2 * bound if a.shape == bound.shape else 0.0)
            if (_SEVERITY[found_here.kind], found_here.difference) > (_SEVERITY[worst.kind], worst.difference):
                worst, between = found_here, (title_a, title_b)
    return verdict(worst.kind, worst.difference, worst.fraction, between)
