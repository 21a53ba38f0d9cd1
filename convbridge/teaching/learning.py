"""Learning a kernel on several backends: how fast, how well, and how far they may part.

The loss of :func:`convbridge.learn_kernel` is a quadratic function of the
kernel, so everything about its loop follows from one small matrix: which
learning rates converge, how many steps they need, which loss no kernel can go
below, and how far rounding can carry two backends apart. What may live here:
that arithmetic, which is NumPy in float64, and running the loop on several
backends; no files and no printing. docs/training.md has the proofs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np

from convbridge.errors import ShapeError, received
from convbridge.functional import to_numpy
from convbridge.learning import learn_kernel
from convbridge.parity.bounds import gamma, unit_roundoff

__all__ = ["Lesson", "Problem", "Run", "chapter_images", "drift", "judge_runs", "learn"]

Array = np.ndarray[Any, Any]

#: Elements of the windows that are laid out at once: 64 MiB.
_ELEMENTS = 2**23

#: An eigenvalue this much smaller than the largest is a rounding error of it.
_RELATIVELY_ZERO = 2.0**-40

#: The part of the largest learning rate that is used.
_MARGIN = 0.9

#: By how much the error of the kernel shrinks in the steps that :attr:`Problem.steps` proposes.
_SHRINK = 0.01
_STEPS = (10, 500)


class Problem(NamedTuple):
    """The least-squares problem that a pair of images poses.

    The windows of X are the rows of a matrix A (with a column of ones for a
    bias), Y is a vector y, and the loss of the weights w is ``|A w - y|**2``.

    Attributes
    ----------
    gram : numpy.ndarray, shape (k, k)
        ``A.T @ A``.
    moment : numpy.ndarray, shape (k, outputs)
        ``A.T @ y``.
    energy : float
        ``|y|**2``.
    rows : int
        How many windows there are.
    eigenvalues : numpy.ndarray, shape (k,)
        Of ``gram``, ascending, not below 0.
    """

    gram: Array
    moment: Array
    energy: float
    rows: int
    eigenvalues: Array

    @classmethod
    def of_windows(cls, gram: Array, moment: Array, energy: float, rows: int) -> Problem:
        """Add the eigenvalues to what was summed up over the windows."""
        return cls(gram, moment, energy, rows, np.maximum(np.linalg.eigvalsh(gram), 0.0))

    @classmethod
    def of(cls, X: Array, Y: Array, kernel_size: tuple[int, int], *, use_bias: bool = False) -> Problem:
        """Sum up a pair of images.

        Parameters
        ----------
        X : numpy.ndarray, shape (H, W)
        Y : numpy.ndarray, shape (H - kh + 1, W - kw + 1)
        kernel_size : (int, int)
        use_bias : bool

        Returns
        -------
        Problem

        Raises
        ------
        ShapeError
            If Y has not the shape of ``corr2d(X, kernel)``.

        Examples
        --------
        >>> Problem.of(np.array([[1.0, 2.0, 3.0]]), np.ones((1, 2)), (1, 2)).gram
        array([[ 5.,  8.],
               [ 8., 13.]])
        """
        kh, kw = kernel_size
        height, width = X.shape[0] - kh + 1, X.shape[1] - kw + 1
        if Y.shape != (height, width) or min(height, width) < 1:
            raise ShapeError(f"Y must have the shape of corr2d(X, kernel), {(height, width)}. {received(Y=Y)}")
        size = kh * kw + use_bias
        gram, moment = np.zeros((size, size)), np.zeros((size, 1))
        strip = max(1, _ELEMENTS // (width * size))
        for top in range(0, height, strip):
            rows = min(strip, height - top)
            part = X[top : top + rows + kh - 1].astype(np.float64)
            windows = np.lib.stride_tricks.sliding_window_view(part, (kh, kw)).reshape(rows * width, kh * kw)
            if use_bias:
                windows = np.hstack([windows, np.ones((rows * width, 1))])
            gram += windows.T @ windows
            moment += windows.T @ Y[top : top + rows].astype(np.float64).reshape(-1, 1)
        return cls.of_windows(gram, moment, float(np.square(Y, dtype=np.float64).sum()), height * width)

    @property
    def largest_rate(self) -> float:
        """The learning rate at and beyond which the loop diverges: 1 / the largest eigenvalue.

        A step multiplies the error along an eigenvector with ``1 - 2 * rate *
        eigenvalue``, which stays below 1 in size for smaller rates.
        """
        largest = float(self.eigenvalues[-1])
        return 1 / largest if largest > 0 else math.inf

    @property
    def safe_rate(self) -> float:
        """Nine tenths of :attr:`largest_rate`.

        Along the eigenvector of the largest eigenvalue, which for a photograph
        is its brightness, the error shrinks to 0.8 a step; along the others
        the loop is almost as fast as it can be.
        """
        return _MARGIN * self.largest_rate if math.isfinite(self.largest_rate) else 1.0

    @property
    def steps(self) -> int:
        """How many steps of :attr:`safe_rate` make a hundredth of the kernel's error, between 10 and 500.

        Along an eigenvector of 0 the loss does not change, so nothing is
        learned there with any rate, and it does not count.
        """
        largest = float(self.eigenvalues[-1])
        counting = self.eigenvalues[self.eigenvalues > _RELATIVELY_ZERO * largest]
        if not counting.size:
            return _STEPS[0]
        slowest = float(np.abs(1 - 2 * self.safe_rate * counting).max())
        return int(min(max(math.ceil(math.log(_SHRINK) / math.log(slowest)), _STEPS[0]), _STEPS[1]))

    @property
    def optimum(self) -> Array:
        """The weights of the smallest loss, shape (k, outputs); the shortest of them if there are several."""
        return np.linalg.lstsq(self.gram, self.moment, rcond=_RELATIVELY_ZERO)[0]

    @property
    def smallest_loss(self) -> float:
        """The loss of :attr:`optimum`, not below 0."""
        return max(self.energy - float((self.moment * self.optimum).sum()), 0.0)


def drift(problem: Problem, losses: Array, initial: Array, rate: float, dtype: str) -> Array:
    """Bound the difference that rounding can make between the losses of two backends.

    Parameters
    ----------
    problem : Problem
    losses : numpy.ndarray, shape (2, steps)
        What the two reported before each step.
    initial : numpy.ndarray, shape (k, outputs)
        The weights that both started from.
    rate : float
        The learning rate.
    dtype : str
        In which both computed.

    Returns
    -------
    numpy.ndarray, shape (steps,)
        Infinity from the first loss that is no number.

    Notes
    -----
    Proved in docs/training.md. In short: a step is a linear map that makes
    differences between two weights ``rho`` times as long, ``rho = max |1 - 2
    rate eigenvalue|``, at most 1 for a rate that converges; to which each
    backend adds its own rounding errors, bounded as in
    :mod:`convbridge.parity.bounds`. The errors that enter are known from the
    losses themselves, for the residual is what a loss is the square of.

    Examples
    --------
    >>> problem = Problem.of(np.eye(3), np.eye(3)[:, :2], (1, 2))
    >>> bound = drift(problem, np.ones((2, 4)), np.zeros((2, 1)), 0.1, "float64")
    >>> bool((np.diff(bound) > 0).all() and bound[-1] < 1e-13)
    True
    """
    (k, outputs), n = problem.moment.shape, problem.rows
    u, g_k, g_n = unit_roundoff(dtype), gamma(k, dtype), gamma(n, dtype)
    g_sum, g_gram = gamma(n * outputs + 1, "float64"), gamma(n + k * k + 2, "float64")
    bound = np.full(losses.shape[1], np.inf)
    if not max(g_k, g_n, g_sum, g_gram) < 0.5:  # so many terms that nothing is promised
        return bound
    # The norms of A. What is known of them was summed up in float64 itself, so each is taken at its largest.
    trace = float(np.trace(problem.gram))
    frobenius = math.sqrt(trace * (1 + 2 * g_gram))
    slack = 2 * g_gram * trace
    top, bottom = float(problem.eigenvalues[-1]) + slack, max(float(problem.eigenvalues[0]) - slack, 0.0)
    spectral = math.sqrt(top)
    rho = max(abs(1 - 2 * rate * top), abs(1 - 2 * rate * bottom))
    # How long the weights can be: they stay around the optimum, as far as that is one.
    centre = problem.optimum
    middle, distance = float(np.linalg.norm(centre)), float(np.linalg.norm(initial - centre))
    defect = float(np.linalg.norm(problem.moment - problem.gram @ centre))
    defect += slack * middle + 2 * g_gram * frobenius * math.sqrt(problem.energy)
    # A product that falls below the normal numbers may be flushed to zero.
    tiny = float(np.finfo(dtype).tiny) * (k + n) * math.sqrt((k + n) * outputs)

    apart = 0.0  # the distance between the two backends' weights
    away = 0.0  # the distance of either from the weights of exact arithmetic
    for step, pair in enumerate(losses.T):
        if not (np.isfinite(pair).all() and math.isfinite(apart)):
            break
        weights = middle + distance + away
        lengths = [math.sqrt(float(loss) * (1 + 2 * g_sum)) for loss in pair]
        wrong = [g_k * frobenius * weights + u * length + tiny for length in lengths]
        bound[step] = sum(lengths) * (spectral * apart + sum(wrong)) + g_sum * sum(x * x for x in lengths)
        added = []
        for length, off in zip(lengths, wrong):
            gradient = 2 * (spectral + g_n * frobenius) * length + tiny
            gradient_off = 2 * spectral * off + 2 * g_n * frobenius * length + tiny
            added.append(rate * (gradient_off + 5 * u * gradient) + u * weights + tiny)
        apart = rho * apart + sum(added)
        away = rho * away + max(added)
        distance = rho * distance + 2 * rate * defect
    return bound


class Run(NamedTuple):
    """What one backend learned.

    Attributes
    ----------
    backend : str
    weight : numpy.ndarray, shape (kh, kw)
    bias : float or None
    losses : numpy.ndarray, shape (steps,)
        Before each step.
    weights : numpy.ndarray, shape (steps, kh, kw)
        After each step.
    biases : numpy.ndarray, shape (steps,), or None
        The same.
    """

    backend: str
    weight: Array
    bias: float | None
    losses: Array
    weights: Array
    biases: Array | None


class Lesson(NamedTuple):
    """The same kernel learned on several backends, and the verdict.

    Attributes
    ----------
    problem : Problem
    runs : tuple of Run
    rate : float
        The learning rate.
    kind : {"equal", "rounding", "REAL DIFFERENCE"}
        The worst verdict on the losses of any two backends.
    difference : float
        The largest difference between any two losses of the same step.
    fraction : float
        The largest part of the bound that was used.
    between : (str, str)
        The two backends that the verdict is about.
    """

    problem: Problem
    runs: tuple[Run, ...]
    rate: float
    kind: Literal["equal", "rounding", "REAL DIFFERENCE"]
    difference: float
    fraction: float
    between: tuple[str, str]

    @property
    def diverged(self) -> bool:
        """Whether a loss grew, or left the numbers."""
        return any(run.losses.size and not run.losses[-1] <= run.losses[0] for run in self.runs)

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.kind == "equal":
            return "equal: all losses are the same numbers"
        where = f"between {self.between[0]} and {self.between[1]}"
        if self.kind == "rounding":
            return (
                f"rounding: the largest difference of two losses, {self.difference:.3g} {where}, is explained; "
                f"{self.fraction:.2g} of the bound is used"
            )
        return f"REAL DIFFERENCE: {self.difference:.6g} {where}, more than rounding can explain"

    def __repr__(self) -> str:
        # without the numbers of the problem, which a tuple would print
        return f"<Lesson on {', '.join(run.backend for run in self.runs)}; {self.sentence}>"

    def _repr_html_(self) -> str:
        from convbridge.notebook import teaching

        return teaching.lesson(self)


def chapter_images() -> tuple[Array, Array]:
    """Return the chapter's pair: an image with a black bar, and its edges.

    Returns
    -------
    X : numpy.ndarray, shape (6, 8)
    Y : numpy.ndarray, shape (6, 7)

    Examples
    --------
    >>> X, Y = chapter_images()
    >>> X[0].tolist(), Y[0].tolist()
    ([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0])
    """
    X = np.ones((6, 8))
    X[:, 2:6] = 0
    return X, X[:, :-1] - X[:, 1:]


def learn(
    X: Array,
    Y: Array,
    initial: Array,
    backends: Sequence[str],
    *,
    rate: float,
    steps: int,
    use_bias: bool = False,
    progress: Callable[[str, int], None] = lambda backend, step: None,
) -> Lesson:
    """Learn one kernel on several backends, and compare their losses.

    Parameters
    ----------
    X, Y : numpy.ndarray
        As for :func:`convbridge.learn_kernel`, of one dtype, which is the
        dtype of the computation.
    initial : numpy.ndarray, shape (kh, kw)
        Where all start.
    backends : sequence of str
        Canonical names.
    rate : float
        The learning rate.
    steps : int
    use_bias : bool
    progress : callable, optional
        Told the backend and the number of steps done.

    Returns
    -------
    Lesson

    Raises
    ------
    ConvbridgeError
        As for :func:`convbridge.learn_kernel`.

    Examples
    --------
    >>> lesson = learn(*chapter_images(), np.zeros((1, 2)), ["numpy"], rate=0.03, steps=10)
    >>> lesson.kind, lesson.runs[0].weight.round(3).tolist()
    ('equal', [[0.988, -0.988]])
    """
    dtype = X.dtype.name
    size = (initial.shape[0], initial.shape[1])
    problem = Problem.of(X, Y, size, use_bias=use_bias)
    runs = []
    for name in backends:
        weights: list[Array] = []
        biases: list[float] = []

        def watch(step: int, weight: Any, bias: Any, weights: Any = weights, biases: Any = biases) -> None:
            weights.append(to_numpy(weight))
            biases.extend([] if bias is None else to_numpy(bias).tolist())

        with np.errstate(all="ignore"):  # a loss that leaves the numbers is a result here
            found = learn_kernel(
                X,
                Y,
                size,
                learning_rate=rate,
                steps=steps,
                use_bias=use_bias,
                initial=initial.astype(dtype),
                progress=lambda step, loss, name=name: progress(name, step),  # type: ignore[misc]
                watch=watch,
                backend=name,
            )
        bias = None if found.bias is None else float(to_numpy(found.bias)[0])
        after = np.array(weights, dtype).reshape(-1, *size)
        along = np.array(biases) if use_bias else None
        runs.append(Run(name, to_numpy(found.weight), bias, np.array(found.losses), after, along))
    return judge_runs(problem, runs, initial.astype(dtype), rate, dtype)


def judge_runs(problem: Problem, runs: Sequence[Run], initial: Array, rate: float, dtype: str) -> Lesson:
    """Compare every two loss curves of the same problem, within the bound of :func:`drift`.

    Parameters
    ----------
    problem : Problem
    runs : sequence of Run
        From the same start, with the same learning rate.
    initial : numpy.ndarray, shape (kh, kw)
        Where all started; a bias started at 0.
    rate : float
        The learning rate.
    dtype : str
        In which all computed.

    Returns
    -------
    Lesson

    Examples
    --------
    >>> X, Y = chapter_images()
    >>> start = np.zeros((1, 2))
    >>> one = learn(X, Y, start, ["numpy"], rate=0.03, steps=10)
    >>> other = one.runs[0]._replace(backend="other", losses=one.runs[0].losses * 1.01)
    >>> judge_runs(one.problem, [*one.runs, other], start, 0.03, "float64").kind
    'REAL DIFFERENCE'
    """
    biases = [0.0] * (problem.gram.shape[0] - initial.size)
    start = np.append(initial.reshape(-1), biases).astype(np.float64)[:, None]
    kind: Any = "equal"
    difference, fraction, between = 0.0, 0.0, (runs[0].backend, runs[0].backend)
    for a, b in combinations(runs, 2):
        apart, used = _judge(problem, np.stack([a.losses, b.losses]), start, rate, dtype)
        if apart > 0 and (used > 1, apart) > (kind == "REAL DIFFERENCE", difference):
            kind = "rounding" if used <= 1 else "REAL DIFFERENCE"
            difference, between = apart, (a.backend, b.backend)
        fraction = max(fraction, used)
    return Lesson(problem, tuple(runs), rate, kind, difference, fraction, between)


def _judge(problem: Problem, losses: Array, initial: Array, rate: float, dtype: str) -> tuple[float, float]:
    """Return the largest difference of two curves, and the largest part of the bound that they use.

    Where the rate diverges, the curves end at the first loss that is no number.
    """
    finite = np.isfinite(losses)
    both = finite.all(axis=0)
    end = losses.shape[1] if both.all() else int(np.argmin(both))
    if end < losses.shape[1] and finite[:, end].any() and rate < problem.largest_rate:
        return math.inf, math.inf
    apart = np.abs(losses[0, :end] - losses[1, :end])
    if not apart.any():
        return 0.0, 0.0
    with np.errstate(over="ignore"):
        allowed = drift(problem, losses[:, :end], initial, rate, dtype)
    return float(apart.max()), float((apart[apart > 0] / allowed[apart > 0]).max())
