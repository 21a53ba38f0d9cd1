"""Laws that every backend must obey, whatever the right numbers are.

A law says that two computations give the same: the result of a translated image
is the translated result; a kernel split into its channels gives parts that add
up to the whole. No oracle says what the numbers are, so a mistake that a
backend shared with the oracle would show here.

With whole numbers nothing is rounded, and the two sides are equal bit for bit.
With others the two sides are balls (:mod:`convbridge.parity.trials`), and may
differ by the sum of their radii, which are derived and not guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import convbridge
from convbridge.parity import bounds
from convbridge.parity.trials import Ball, Sides, Trial, exact, joined, rounding

__all__ = ["LAWS", "Law", "verdicts"]

Array = np.ndarray[Any, Any]
Claims = Iterator[tuple[Ball, Ball]]


class Law(NamedTuple):
    """What is claimed.

    Attributes
    ----------
    statement : str
        In words.
    claims : callable
        Called with a :class:`~convbridge.parity.trials.Trial`; yields the two
        sides of each claim.
    """

    statement: str
    claims: Callable[[Trial], Claims]


#: The laws by name.
LAWS: dict[str, Law] = {}


def _law(statement: str) -> Callable[[Callable[[Trial], Claims]], Callable[[Trial], Claims]]:
    def register(function: Callable[[Trial], Claims]) -> Callable[[Trial], Claims]:
        LAWS[function.__name__.strip("_").replace("_", " ")] = Law(statement, function)
        return function

    return register


def verdicts(law: str, backend: str, *, dtype: str, whole: bool, seed: int) -> list[bounds.Verdict]:
    """Try a law once.

    Parameters
    ----------
    law : str
        A key of :data:`LAWS`.
    backend : str
        Who computes.
    dtype : {"float32", "float64"}
        Of the computation.
    whole : bool
        Whether the numbers are integers, and both sides must be equal.
    seed : int
        Draws the numbers and the geometry.

    Returns
    -------
    list of Verdict
        One for each claim of the law.

    Examples
    --------
    >>> [verdict.kind for verdict in verdicts("channels add up", "numpy", dtype="float32", whole=True, seed=0)]
    ['equal']
    """
    found = []
    for left, right in LAWS[law].claims(Trial(backend, dtype, whole, np.random.default_rng(seed))):
        comparable = left.value.shape == right.value.shape
        allowed = left.radius + right.radius if comparable and not whole else 0.0
        found.append(bounds.judge(left.value, right.value, allowed))
    return found


# --------------------------------------------------------------------------- what both operations obey


class _Geometry(NamedTuple):
    """Sizes at which the windows come out even: the last one ends where the padded image ends."""

    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: Sides

    @classmethod
    def draw(cls, trial: Trial) -> _Geometry:
        kernel, stride, dilation, padding = trial.pair(2, 3), trial.pair(1, 3), trial.pair(1, 2), trial.sides()
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation)]
        height, width = (trial.between(2, 4) * s + span - sum(ends) for s, span, ends in zip(stride, spans, padding))
        return cls((height, width), kernel, stride, dilation, padding)

    def keywords(self, arrange: Callable[[Any], Any] = lambda pair: pair) -> dict[str, Any]:
        return {name: arrange(getattr(self, name)) for name in ("stride", "dilation", "padding")}


def _both_operations(trial: Trial, X: Array, weight: Array, keywords: dict[str, Any]) -> list[Ball]:
    """Run a convolution and both poolings with windows of the kernel's size."""
    pooled = [trial.pool2d(X, weight.shape[2:], mode, **keywords) for mode in ("max", "avg")]
    return [trial.conv2d(X, weight, **keywords), *pooled]


def _turned(array: Array) -> Array:
    return array[..., ::-1, ::-1]


def _transposed(array: Array) -> Array:
    return np.swapaxes(array, -1, -2)


@_law("An image moved by a stride gives the result moved by one, where both see it.")
def _translation(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    keywords = {**shape.keywords(), "padding": 0}
    (sh, sw), (height, width) = shape.stride, (n + 2 for n in shape.size)
    canvas = trial.numbers(2, 2, height + sh, width + sw)
    weight = trial.numbers(3, 2, *shape.kernel)
    here = _both_operations(trial, canvas[:, :, :height, :width], weight, keywords)
    there = _both_operations(trial, canvas[:, :, sh:, sw:], weight, keywords)
    for a, b in zip(here, there):
        yield a.moved(lambda Y: Y[:, :, 1:, 1:]), b.moved(lambda Y: Y[:, :, :-1, :-1])


@_law("Image, kernel and padding turned by 180 degrees give the turned result; 'same_upper' becomes 'same_lower'.")
def _turning_around(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    X, weight = trial.numbers(2, 2, *shape.size), trial.numbers(3, 2, *shape.kernel)
    keywords = shape.keywords()
    mirrored = {**keywords, "padding": tuple(ends[::-1] for ends in shape.padding)}
    plain = _both_operations(trial, X, weight, keywords)
    for a, b in zip(plain, _both_operations(trial, _turned(X), _turned(weight), mirrored)):
        yield a.moved(_turned), b
    steps = {"stride": (2, 1), "dilation": shape.dilation}
    weight = trial.numbers(3, 2, 3, 2)
    upper = _both_operations(trial, X, weight, {**steps, "padding": "same_upper"})
    lower = _both_operations(trial, _turned(X), _turned(weight), {**steps, "padding": "same_lower"})
    for a, b in zip(upper, lower):
        yield a.moved(_turned), b


@_law("With height and width exchanged in every argument, the result is the transposed one.")
def _transposition(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    X, weight = trial.numbers(2, 2, *shape.size), trial.numbers(3, 2, *shape.kernel)
    plain = _both_operations(trial, X, weight, shape.keywords())
    exchanged = shape.keywords(lambda pair: pair[::-1])
    for a, b in zip(plain, _both_operations(trial, _transposed(X), _transposed(weight), exchanged)):
        yield a.moved(_transposed), b


@_law("An image of a batch gives what it gives alone.")
def _images_of_a_batch_do_not_meet(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    X, weight = trial.numbers(3, 2, *shape.size), trial.numbers(3, 2, *shape.kernel)
    together = _both_operations(trial, X, weight, shape.keywords())
    one = trial.between(0, 2)
    for a, b in zip(together, _both_operations(trial, X[one : one + 1], weight, shape.keywords())):
        yield a.moved(lambda Y: Y[one : one + 1]), b


@_law("An image or a kernel times a power of two gives the result times it, bit for bit: no rounding changes.")
def _powers_of_two_pass_through(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    X, weight = trial.numbers(2, 2, *shape.size), trial.numbers(3, 2, *shape.kernel)
    factor = 2.0 ** trial.between(1, 20)
    plain = _both_operations(trial, X, weight, shape.keywords())
    for a, b in zip(plain, _both_operations(trial, X * X.dtype.type(factor), weight, shape.keywords())):
        yield exact(a.value * factor), exact(b.value)
    scaled = trial.conv2d(X, weight / weight.dtype.type(factor), **shape.keywords())
    yield exact(plain[0].value / factor), exact(scaled.value)


@_law("The result of a sum of images is the sum of their results; of an average too.")
def _linear_in_the_image(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    first, second = (trial.numbers(2, 2, *shape.size) for _ in range(2))
    weight = trial.numbers(3, 2, *shape.kernel)
    parts = [trial.conv2d(X, weight, **shape.keywords()) for X in (first, second)]
    yield trial.conv2d(first + second, weight, **shape.keywords()), parts[0].plus(parts[1])
    # an average of whole numbers is rounded, unless the divisor is a power of two
    window = (2, 4) if trial.whole else shape.kernel
    size = [max(n, 7) for n in shape.size]
    first, second = (trial.numbers(2, 2, *size) for _ in range(2))
    parts = [trial.pool2d(X, window, "avg", **shape.keywords()) for X in (first, second)]
    yield trial.pool2d(first + second, window, "avg", **shape.keywords()), parts[0].plus(parts[1])


# --------------------------------------------------------------------------- convolution alone


@_law("The result of a sum of kernels and of biases is the sum of the results.")
def _linear_in_the_kernel(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    X = trial.numbers(2, 2, *shape.size)
    weights, biases = ([trial.numbers(3, *rest) for _ in range(2)] for rest in ((2, *shape.kernel), ()))
    parts = [trial.conv2d(X, weight, bias, **shape.keywords()) for weight, bias in zip(weights, biases)]
    yield trial.conv2d(X, sum(weights), sum(biases), **shape.keywords()), parts[0].plus(parts[1])


@_law("The results of the first channels and of the others add up to the result of all.")
def _channels_add_up(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    channels, here = trial.between(2, 5), trial.between(1, 4)
    X, weight = trial.numbers(2, channels, *shape.size), trial.numbers(3, channels, *shape.kernel)
    here = min(here, channels - 1)
    parts = [trial.conv2d(X[:, part], weight[:, part], **shape.keywords()) for part in (slice(here), slice(here, None))]
    yield trial.conv2d(X, weight, **shape.keywords()), parts[0].plus(parts[1])


@_law("A convolution in groups is one convolution for each group of channels.")
def _groups_stand_side_by_side(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    per_group, outputs = trial.pair(1, 2)
    X, weight = trial.numbers(2, 2 * per_group, *shape.size), trial.numbers(2 * outputs, per_group, *shape.kernel)
    halves = zip(np.split(X, 2, axis=1), np.split(weight, 2))
    parts = [trial.conv2d(image, bank, **shape.keywords()) for image, bank in halves]
    yield trial.conv2d(X, weight, **shape.keywords(), groups=2), joined(*parts)


@_law("Correlating with K1 and then K2 is correlating once with their full convolution.")
def _two_kernels_are_one(trial: Trial) -> Claims:
    X = trial.numbers(1, 1, trial.between(7, 10), trial.between(7, 10))
    first, second = (trial.numbers(1, 1, *trial.pair(1, 3)) for _ in range(2))
    (kh, kw) = second.shape[2:]
    # the full convolution, with the kernel turned as convolve2d turns it
    both = trial.conv2d(first, _turned(second), padding=(kh - 1, kw - 1))
    yield trial.conv2d(trial.conv2d(X, first), second), trial.conv2d(X, both)


@_law("convolve2d is corr2d with the kernel turned by 180 degrees.")
def _convolution_turns_its_kernel(trial: Trial) -> Claims:
    X, K = trial.numbers(7, 6), trial.numbers(*trial.pair(1, 3))
    radius = bounds.conv2d_bound(X[None, None], _turned(K)[None, None], dtype=trial.dtype)[0, 0]
    results = [
        convbridge.convolve2d(X, K, backend=trial.backend),
        convbridge.corr2d(X, _turned(K).copy(), backend=trial.backend),
    ]
    convolved, correlated = (Ball(convbridge.to_numpy(Y).astype(np.longdouble), radius) for Y in results)
    yield convolved, correlated
    yield convolved, trial.conv2d(X[None, None], _turned(K)[None, None]).moved(lambda Y: Y[0, 0])


@_law("A 1x1 kernel is a matrix times the pixels that the stride leaves.")
def _single_pixels_are_a_matrix_product(trial: Trial) -> Claims:
    channels, outputs = trial.pair(1, 5)
    (sh, sw) = stride = trial.pair(1, 3)
    X, weight = trial.numbers(2, channels, 5, 6), trial.numbers(outputs, channels, 1, 1)
    matrix, pixels = weight[:, :, 0, 0].astype(np.longdouble), X[:, :, ::sh, ::sw].astype(np.longdouble)
    product = np.tensordot(pixels, matrix, axes=(1, 1)).transpose(0, 3, 1, 2)
    size = np.tensordot(np.abs(pixels), np.abs(matrix), axes=(1, 1)).transpose(0, 3, 1, 2)
    yield trial.conv2d(X, weight, stride=stride), Ball(product, rounding(size, channels))
    one = convbridge.corr2d_multi_in_out_1x1(X[0], weight, backend=trial.backend)
    same = trial.conv2d(X[:1], weight)
    yield Ball(convbridge.to_numpy(one).astype(np.longdouble)[None], same.radius), same


@_law("<conv(X, W) + b, G> = <X, dX> + <b, db> and <conv(X, W), G> = <W, dW>, for any G.")
def _gradients_are_the_transposed_operator(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    groups = trial.between(1, 2)
    X, weight = trial.numbers(2, 2 * groups, *shape.size), trial.numbers(3 * groups, 2, *shape.kernel)
    bias, keywords = trial.numbers(3 * groups), {**shape.keywords(), "groups": groups}
    plain, biased = (trial.conv2d(X, weight, b, **keywords) for b in (None, bias))
    G = trial.numbers(*plain.value.shape)
    dX, dW, db = trial.conv2d_vjp(X, weight, bias, G, **keywords)
    yield biased.dot(G), dX.dot(X).plus(db.dot(bias))
    yield plain.dot(G), dW.dot(weight)


# --------------------------------------------------------------------------- pooling alone


@_law("<pool(X), G> = <X, dX>, for any G: a maximum chooses pixels, an average weighs them.")
def _gradients_of_pooling_are_transposed(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    for mode in ("max", "avg"):
        window = (2, 4) if mode == "avg" and trial.whole else shape.kernel  # whole averages must not be rounded
        X = trial.numbers(2, 2, *(max(n, 7) for n in shape.size))
        pooled = trial.pool2d(X, window, mode, **shape.keywords())
        G = trial.numbers(*pooled.value.shape)
        yield pooled.dot(G), trial.pool2d_vjp(X, window, G, mode, **shape.keywords()).dot(X)


@_law("A function that never falls may be applied before or after a maximum, and so may a maximum of two images.")
def _maxima_keep_the_order(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    X, Z = (trial.numbers(2, 2, *shape.size) for _ in range(2))
    of_X, of_Z = (trial.pool2d(image, shape.kernel, "max", **shape.keywords()).value for image in (X, Z))
    pooled = of_X.astype(trial.dtype)
    yield trial.pool2d(X * np.abs(X) - 9, shape.kernel, "max", **shape.keywords()), exact(pooled * np.abs(pooled) - 9)
    both = trial.pool2d(np.maximum(X, Z), shape.kernel, "max", **shape.keywords())
    yield both, exact(np.maximum(of_X, of_Z))
    of_negative = trial.pool2d(-X, shape.kernel, "max", **shape.keywords()).value
    yield trial.pool2d(np.abs(X), shape.kernel, "max", **shape.keywords()), exact(np.maximum(of_X, of_negative))


@_law("The maximum along the height and then the width is that of the window; so is that of smaller windows.")
def _two_maxima_are_one(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    X = trial.numbers(2, 2, *shape.size)
    rows, columns = (
        {
            name: tuple(pair if axis == wanted else neutral for axis, pair in enumerate(getattr(shape, name)))
            for name, neutral in (("stride", 1), ("dilation", 1), ("padding", (0, 0)))
        }
        for wanted in (0, 1)
    )
    (kh, kw) = shape.kernel
    along_height = trial.pool2d(X, (kh, 1), "max", **rows).value.astype(trial.dtype)
    whole = trial.pool2d(X, shape.kernel, "max", **shape.keywords())
    yield trial.pool2d(along_height, (1, kw), "max", **columns), whole
    X = trial.numbers(1, 2, 8, 7)
    twice = trial.pool2d(trial.pool2d(X, shape.kernel, "max").value.astype(trial.dtype), (2, 3), "max")
    yield twice, trial.pool2d(X, (kh + 1, kw + 2), "max")


@_law("No average of pixels is below the smallest or above the largest of them.")
def _averages_lie_between(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    X = trial.numbers(2, 2, *shape.size)
    average = trial.pool2d(X, shape.kernel, "avg", **shape.keywords(), count_include_pad=False)
    for sign in (1, -1):
        largest = trial.pool2d(sign * X, shape.kernel, "max", **shape.keywords()).value
        clipped = np.minimum(sign * average.value, largest)
        yield Ball(clipped, average.radius), average.times(sign)


@_law("An average is a convolution of each channel with ones, over the number of pixels in the window.")
def _averages_are_a_box(trial: Trial) -> Claims:
    shape = _Geometry.draw(trial)
    X, box = trial.numbers(2, 3, *shape.size), np.ones((3, 1, *shape.kernel), trial.dtype)
    sums = trial.conv2d(X, box, **shape.keywords(), groups=3)
    pixels = trial.conv2d(np.ones_like(X), box, **shape.keywords(), groups=3).value
    for counted, divisors in ((True, np.full_like(pixels, box[0].size)), (False, pixels)):
        average = trial.pool2d(X, shape.kernel, "avg", **shape.keywords(), count_include_pad=counted)
        if trial.whole:  # an exact sum, divided once
            yield average, exact(sums.value.astype(trial.dtype) / divisors.astype(trial.dtype))
        else:
            quotient, size = sums.value / divisors, np.abs(sums.value / divisors)
            yield average, Ball(quotient, sums.radius / divisors.astype(float) + rounding(size, 1))
