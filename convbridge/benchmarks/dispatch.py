"""What a call of convbridge adds to the raw call of its framework: printed, not asserted.

Every row is one problem in one backend, timed in three ways in the same run:
the raw call, the raw call again (A/A: what is not 1.00 there is noise), and
convbridge. A raw call is what one would write by hand for the same arrays: the
axes that a matrix lacks and the weight's layout are part of it. NumPy has no
operator, so its raw call is one block of im2col and one product. LeNet's first
layer is padded: there the raw calls use their operators' own padding, which
skips products of zeros, while convbridge puts zeros around the image, as an
infinite kernel element must meet them; that is no dispatch, and counted.

The samples of all ways come in random order, each after a call that warms the
caches. The fastest and the median of many are shown; what is added is the
difference of the fastest, since what disturbs a sample makes it slower. It is
also stated in plain Python calls, which the same run measures: a function of
two arguments and a keyword that returns one of them.

MXNet's calls wait for a thread of its engine, and when that wakes up scatters
by more than the call takes: the fastest sample is the luckiest. There every
sample is one call, there are more of them, and medians are compared.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

import convbridge
from convbridge.benchmarks.timing import progress

__all__ = ["measure_backends", "text"]

Array = np.ndarray[Any, Any]
Pair = tuple[Callable[..., Any], Callable[..., Any]]

#: Short, so that some samples escape whatever else the machine does.
SAMPLE_SECONDS = 0.0005
#: Backends whose calls wait for another thread, and how many times as many samples they take.
WAITING, MORE = {"mxnet"}, 20
#: Nanoseconds added, or a share of the raw call.
TARGETS = {
    ("numpy", "corr2d"): 250,
    ("numpy", "conv2d"): 400,
    ("torch", "corr2d"): 420,
    ("torch", "conv2d"): 600,
    ("tensorflow", ""): 0.03,
    ("mxnet", ""): 0.03,
}


class Case(NamedTuple):
    """One problem in one backend."""

    backend: str
    name: str
    raw: Any
    own: Any


def images(shape: tuple[int, ...], weight: tuple[int, ...]) -> tuple[Array, Array]:
    """Return an image and a weight of small numbers."""
    rng = np.random.default_rng(0)
    return rng.standard_normal(shape).astype("float32"), rng.standard_normal(weight).astype("float32")


#: conv2d's problems; LeNet's two layers, without and with padding.
PROBLEMS: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {
    "conv2d 8x8": ((1, 1, 8, 8), (1, 1, 3, 3), 0),
    "conv2d LeNet 1": ((1, 1, 28, 28), (6, 1, 5, 5), 2),
    "conv2d LeNet 2": ((1, 6, 14, 14), (16, 6, 5, 5), 0),
}


def numpy_cases() -> Pair:
    """Return the raw ``corr2d`` and ``conv2d``: a block of im2col and one product."""

    def correlate(X: Array, K: Array) -> Any:
        c, h, w = X.shape
        o, _, kh, kw = K.shape
        s, t = h - kh + 1, w - kw + 1
        a, b, d = X.strides
        view: Array = np.ndarray((c, kh, kw, s, t), X.dtype, X, 0, (a, b, d, b, d))
        columns = view.reshape(c * kh * kw, s * t)
        return K.reshape(o, -1).dot(columns).reshape(1, o, s, t)

    def conv2d(X: Array, K: Array, p: int) -> Any:
        if p:
            n, c, h, w = X.shape
            padded = np.zeros((n, c, h + 2 * p, w + 2 * p), X.dtype)
            padded[:, :, p : p + h, p : p + w] = X
            X = padded
        return correlate(X[0], K)

    def corr2d(X: Array, K: Array) -> Any:
        h, w = X.shape
        kh, kw = K.shape
        a, b = X.strides
        s, t = h - kh + 1, w - kw + 1
        view: Array = np.ndarray((kh, kw, s, t), X.dtype, X, 0, (a, b, a, b))
        return K.ravel().dot(view.reshape(kh * kw, s * t)).reshape(s, t)

    return corr2d, conv2d


def torch_cases() -> Pair:
    """Return the raw ``corr2d`` and ``conv2d``: what ``torch.nn.functional`` has."""
    import torch

    torch.set_num_threads(1)
    correlate = torch.nn.functional.conv2d

    def corr2d(X: Any, K: Any) -> Any:
        return correlate(X.view(1, 1, 8, 8), K.view(1, 1, 3, 3)).view(6, 6)

    def conv2d(X: Any, K: Any, p: int) -> Any:
        return correlate(X, K, padding=p) if p else correlate(X, K)

    return corr2d, conv2d


def tensorflow_cases() -> Pair:
    """Return the raw ``corr2d`` and ``conv2d``: what ``tf.nn`` has, in NCHW where the processor has it."""
    import tensorflow as tf

    probe = tf.zeros((1, 1, 8, 8)), tf.zeros((3, 3, 1, 1))
    try:
        tf.nn.conv2d(*probe, 1, "VALID", data_format="NCHW")
        native = True
    except tf.errors.OpError:
        native = False

    def corr2d(X: Any, K: Any) -> Any:
        Y = tf.nn.conv2d(tf.reshape(X, (1, 8, 8, 1)), tf.reshape(K, (3, 3, 1, 1)), 1, "VALID")
        return tf.reshape(Y, (6, 6))

    def conv2d(X: Any, K: Any, p: int) -> Any:
        weight = tf.transpose(K, (2, 3, 1, 0))
        if native:
            sides = [[0, 0], [0, 0], [p, p], [p, p]] if p else "VALID"
            return tf.nn.conv2d(X, weight, 1, sides, data_format="NCHW")
        sides = [[0, 0], [p, p], [p, p], [0, 0]] if p else "VALID"
        return tf.transpose(tf.nn.conv2d(tf.transpose(X, (0, 2, 3, 1)), weight, 1, sides), (0, 3, 1, 2))

    return corr2d, conv2d


def mxnet_cases() -> Pair:
    """Return the raw ``corr2d`` and ``conv2d``: what ``mx.nd`` has, waited for."""
    nd = convbridge.import_framework("mxnet").nd

    def corr2d(X: Any, K: Any) -> Any:
        Y = nd.Convolution(X.reshape((1, 1, 8, 8)), K.reshape((1, 1, 3, 3)), no_bias=True, kernel=(3, 3), num_filter=1)
        Y = Y.reshape((6, 6))
        Y.wait_to_read()
        return Y

    def conv2d(X: Any, K: Any, p: int) -> Any:
        kernel = K.shape
        Y = nd.Convolution(X, K, no_bias=True, kernel=kernel[2:], num_filter=kernel[0], pad=(p, p))
        Y.wait_to_read()
        return Y

    return corr2d, conv2d


RAW: dict[str, Callable[[], Pair]] = {
    "numpy": numpy_cases,
    "torch": torch_cases,
    "tensorflow": tensorflow_cases,
    "mxnet": mxnet_cases,
}


def cases(names: Sequence[str]) -> Iterator[Case]:
    """Build every problem for the backends asked for, those whose raw calls are known."""
    for backend in names:
        if backend not in RAW:
            continue
        corr2d, conv2d = RAW[backend]()
        X, K = (convbridge.asarray(x, backend=backend) for x in images((8, 8), (3, 3)))
        yield Case(
            backend,
            "corr2d 8x8",
            lambda X=X, K=K, f=corr2d: f(X, K),
            lambda X=X, K=K: convbridge.corr2d(X, K),
        )
        for name, (shape, weight, padding) in PROBLEMS.items():
            X, K = (convbridge.asarray(x, backend=backend) for x in images(shape, weight))
            yield Case(
                backend,
                name,
                lambda X=X, K=K, p=padding, f=conv2d: f(X, K, p),
                lambda X=X, K=K, p=padding: convbridge.conv2d(X, K, padding=p),
            )


def keras_cases(names: Sequence[str]) -> Iterator[Case]:
    """Keras' operator in place of convbridge, for comparison, on the backend that Keras has chosen."""
    if "tensorflow" not in names or find_spec("keras") is None:
        return
    import keras

    chosen = keras.backend.backend()
    if chosen not in names:
        return
    _, conv2d = RAW[chosen]()
    X, K = (convbridge.asarray(x, backend=chosen) for x in images(*PROBLEMS["conv2d 8x8"][:2]))
    last, weight = (
        convbridge.asarray(convbridge.to_numpy(x).transpose(axes), backend=chosen)
        for x, axes in ((X, (0, 2, 3, 1)), (K, (2, 3, 1, 0)))
    )
    yield Case(chosen, "keras.ops.conv", lambda: conv2d(X, K, 0), lambda: keras.ops.conv(last, weight))


def per_call(function: Callable[[], Any], count: int) -> float:
    """Return nanoseconds per call of ``count`` calls, after one that warms the caches."""
    function()
    start = time.perf_counter_ns()
    for _ in repeat(None, count):
        function()
    return (time.perf_counter_ns() - start) / count


def plain(X: Any, K: Any, *, backend: str | None = None) -> Any:
    """Do nothing: what a plain Python call costs."""
    return X


def unit() -> tuple[float, float]:
    """Return the nanoseconds of a function that makes a plain Python call, and of one that does not."""
    X = K = None
    return per_call(lambda: plain(X, K), 5000), per_call(lambda: X, 5000)


def measure(rows: Sequence[Case], repetitions: int) -> tuple[dict[tuple[int, str], list[float]], tuple[float, float]]:
    """Time every way of every case in random order; return the samples, and the fastest of :func:`unit`."""
    ways: dict[tuple[int, str], tuple[Callable[[], Any], int]] = {}
    for i, case in enumerate(rows):
        raw, own = convbridge.to_numpy(case.raw()), convbridge.to_numpy(case.own())
        if not np.allclose(raw.ravel(), own.ravel(), rtol=1e-4, atol=1e-4):
            raise RuntimeError(f"{case.backend} {case.name}: the raw call computes something else")
        count = max(1, int(SAMPLE_SECONDS * 1e9 / min(per_call(case.raw, 20) for _ in range(5))))
        count = 1 if case.backend in WAITING else count
        ways[i, "raw"] = ways[i, "again"] = (case.raw, count)
        ways[i, "own"] = (case.own, count)
    samples: dict[tuple[int, str], list[float]] = {way: [] for way in ways}
    units = []
    for number in range(repetitions):
        progress(f"dispatch, {number}/{repetitions}")
        order = [way for way in ways for _ in range(MORE if rows[way[0]].backend in WAITING else 1)]
        random.shuffle(order)
        for way in order:
            samples[way].append(per_call(*ways[way]))
        units.append(unit())
    progress("")
    with_call, without = zip(*units)
    return samples, (min(with_call), min(without))


def judged(
    rows: Sequence[Case], samples: dict[tuple[int, str], list[float]], units: tuple[float, float]
) -> Iterator[dict[str, Any]]:
    """Return one dictionary a case: times in nanoseconds, differences, ratios, the target."""
    call = units[0] - units[1]
    for i, case in enumerate(rows):
        raw, again, own = (samples[i, way] for way in ("raw", "again", "own"))
        both = raw + again  # the same call: twice the samples of the quieter number
        typical: Callable[[list[float]], float] = statistics.median if case.backend in WAITING else min
        added = typical(own) - typical(both)
        target = TARGETS.get((case.backend, case.name.split()[0]), TARGETS.get((case.backend, "")))
        target = None if case.name.startswith("keras") else target
        share = added / typical(both)
        is_share = target is not None and target < 1
        yield {
            "backend": case.backend,
            "case": case.name,
            "raw": {"min": min(both), "median": statistics.median(both)},
            "own": {"min": min(own), "median": statistics.median(own)},
            "added": added,
            "added_median": statistics.median(own) - statistics.median(both),
            "added_in_plain_calls": added / call,
            "ratio": 1 + share,
            "control": typical(again) / typical(raw),
            "control_median": statistics.median(again) / statistics.median(raw),
            "target": target,
            "reached": None if target is None else bool((share if is_share else added) <= target),
        }


def measure_backends(names: Sequence[str], repetitions: int = 300, *, keras: bool = True) -> dict[str, Any]:
    """Measure what convbridge adds in some backends.

    Parameters
    ----------
    names : sequence of str
        Canonical names of backends that are loaded.
    repetitions : int
        Samples of each way.
    keras : bool
        Whether Keras' operator is measured too, on the backend that Keras has chosen.

    Returns
    -------
    dict
        ``samples``, the nanoseconds of a ``plain_call``, and ``rows``: one
        dictionary a problem, with times in nanoseconds.

    Examples
    --------
    >>> found = measure_backends(["numpy"], 2, keras=False)
    >>> [row["case"] for row in found["rows"]]
    ['corr2d 8x8', 'conv2d 8x8', 'conv2d LeNet 1', 'conv2d LeNet 2']
    """
    rows = [*cases(names), *(keras_cases(names) if keras else ())]
    samples, units = measure(rows, repetitions)
    return {
        "samples": repetitions,
        "plain_call": units[0] - units[1],
        "rows": list(judged(rows, samples, units)),
    }


def text(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table.

    Parameters
    ----------
    found : dict
        From :func:`measure_backends`.

    Yields
    ------
    str
        At most 80 characters.

    Examples
    --------
    >>> next(text({"samples": 2, "plain_call": 30.0, "rows": []}))
    'dispatch: what convbridge adds to a raw call, in nanoseconds'
    """
    yield "dispatch: what convbridge adds to a raw call, in nanoseconds"
    yield f"fastest (median) of {found['samples']} samples; a plain Python call takes {found['plain_call']:.0f} ns"
    if any(row["backend"] in WAITING for row in found["rows"]):
        yield f"{' and '.join(WAITING)} waits for a thread: medians of {MORE * found['samples']} calls are compared"
    yield f"{'':26}{'raw':>15}{'convbridge':>17}{'added':>8}{'calls':>8}{'A/A':>6}"
    for row in found["rows"]:
        label = f"{row['backend']:11}{row['case']:15}"
        raw, own = (f"{row[way]['min']:.0f} ({row[way]['median']:.0f})" for way in ("raw", "own"))
        yield f"{label}{raw:>15}{own:>17}{row['added']:8.0f}{row['added_in_plain_calls']:8.4g}{row['control']:6.2f}"
    yield ""
    yield "added, per cent of raw; target"
    for row in found["rows"]:
        target = row["target"]
        if target is not None:
            words = f"at most {target:.0%}" if target < 1 else f"at most {target} ns"
            verdict = "reached" if row["reached"] else "MISSED"
            yield f"{row['backend']:11}{row['case']:15}{row['ratio'] - 1:8.1%}   {words}: {verdict}"
