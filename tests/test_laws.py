"""Every law holds on every backend, and a fault that breaks it is seen."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from convbridge import dispatch, registry
from convbridge.parity.laws import LAWS, verdicts
from convbridge.parity.trials import Ball, Trial, joined

SEEDS = range(3)
KINDS = list(product(("float32", "float64"), (True, False)))


@pytest.mark.parametrize("law", LAWS)
def test_the_law_holds(backend, law):
    for (dtype, whole), seed in product(KINDS, SEEDS):
        found = verdicts(law, backend, dtype=dtype, whole=whole, seed=seed)
        kinds = {verdict.kind for verdict in found}
        assert kinds <= ({"equal"} if whole else {"equal", "rounding"}), (LAWS[law].statement, dtype, seed, found)
        assert found


# --------------------------------------------------------------------------- faults


def _then(change):
    """Build a fault that changes what the real function returned."""
    return lambda real: lambda *arguments, **keywords: change(np.array(real(*arguments, **keywords)))


def _kernel(change):
    """Build a fault that changes the kernel before the real function sees it."""

    def build(real):
        return lambda X, weight, bias, **keywords: real(X, change(np.array(weight)), bias, **keywords)

    return build


def _gradient(position, change):
    """Build a fault in one of the gradients of a convolution."""

    def build(real):
        def conv2d_vjp(*arguments, **keywords):
            found = list(real(*arguments, **keywords))
            found[position] = change(found[position])
            return tuple(found)

        return conv2d_vjp

    return build


def _set(array, place, value):
    array[place] = value
    return array


def _zeros_around_maxima(real):
    def max_pool2d(X, pool_size, *, padding, **keywords):
        top, bottom, left, right = padding
        padded = np.pad(X, ((0, 0), (0, 0), (top, bottom), (left, right)))
        return real(padded, pool_size, padding=type(padding)(0, 0, 0, 0), **keywords)

    return max_pool2d


def _sum_for_average(real):
    return lambda X, pool_size, **keywords: real(X, pool_size, **keywords) * np.prod(pool_size, dtype=X.dtype)


def _padding_always_counted(real):
    def avg_pool2d(X, pool_size, *, padding, counted, **keywords):
        return real(X, pool_size, padding=padding, counted=padding, **keywords)

    return avg_pool2d


def _halves(X):
    return np.asarray(X, np.float16).astype(X.dtype)


LAST_TAP, LAST_ROW = (..., -1, -1), (..., -1, slice(None))
#: The law, what breaks it, the module and the function of the NumPy backend that get the fault, and the fault.
FAULTS = [
    ("translation", "a row that is not computed", "ops", "conv2d", _then(lambda Y: _set(Y, LAST_ROW, 0))),
    ("translation", "a row that is not pooled", "ops", "max_pool2d", _then(lambda Y: _set(Y, LAST_ROW, 0))),
    ("turning around", "one product too few", "ops", "conv2d", _kernel(lambda K: _set(K, LAST_TAP, 0))),
    ("transposition", "one product too few", "ops", "conv2d", _kernel(lambda K: _set(K, (..., -1, 0), 0))),
    ("images of a batch do not meet", "the first for all", "ops", "avg_pool2d", _then(lambda Y: Y * 0 + Y[:1])),
    ("powers of two pass through", "steps of a thousandth", "ops", "conv2d", _then(lambda Y: np.round(Y, 3))),
    ("linear in the image", "nothing below zero", "ops", "conv2d", _then(lambda Y: np.maximum(Y, 0))),
    ("linear in the image", "averages of absolute values", "ops", "avg_pool2d", _then(np.abs)),
    ("linear in the kernel", "kernels without a sign", "ops", "conv2d", _kernel(np.abs)),
    ("channels add up", "something added once", "ops", "conv2d", _then(lambda Y: Y + Y.dtype.type(0.125))),
    ("groups stand side by side", "outputs in another order", "ops", "conv2d", _then(lambda Y: Y[:, ::-1])),
    ("two kernels are one", "true convolution", "ops", "conv2d", _kernel(lambda K: K[..., ::-1, ::-1])),
    ("two kernels are one", "half precision", "ops", "conv2d", _then(_halves)),
    ("convolution turns its kernel", "it does not", "arrays", "flip", lambda real: lambda K: K),
    ("single pixels are a matrix product", "channels reversed", "ops", "conv2d", _kernel(lambda K: K[:, ::-1])),
    ("single pixels are a matrix product", "half precision", "arrays", "tensordot", _then(_halves)),
    (
        "gradients are the transposed operator",
        "dX elsewhere",
        "ops",
        "conv2d_vjp",
        _gradient(0, lambda d: d[..., ::-1]),
    ),
    (
        "gradients are the transposed operator",
        "dW turned",
        "ops",
        "conv2d_vjp",
        _gradient(1, lambda d: d[..., ::-1, :]),
    ),
    ("gradients are the transposed operator", "db doubled", "ops", "conv2d_vjp", _gradient(2, lambda d: 2 * d)),
    ("gradients of pooling are transposed", "moved by one", "ops", "max_pool2d_vjp", _then(lambda d: np.roll(d, 1, 3))),
    ("gradients of pooling are transposed", "doubled", "ops", "avg_pool2d_vjp", _then(lambda d: 2 * d)),
    ("maxima keep the order", "zeros around the image", "ops", "max_pool2d", _zeros_around_maxima),
    ("two maxima are one", "a column that is not pooled", "ops", "max_pool2d", _then(lambda Y: _set(Y, (..., -1), 9))),
    ("averages lie between", "a sum", "ops", "avg_pool2d", _sum_for_average),
    ("averages are a box", "padding always counted", "ops", "avg_pool2d", _padding_always_counted),
]


def test_every_law_has_a_fault_that_breaks_it():
    assert {law for law, *_ in FAULTS} == set(LAWS)


def put(monkeypatch, place, name, function):
    """Let a function with a fault compute every call: plans of earlier ones, and prepared ones, are other functions."""
    monkeypatch.setattr(place, name, function)
    monkeypatch.delattr(place, f"prepare_{name}", raising=False)
    dispatch.forget()


@pytest.mark.parametrize(("law", "fault", "module", "name", "build"), FAULTS, ids=[f"{f[0]}: {f[1]}" for f in FAULTS])
def test_a_fault_breaks_the_law(law, fault, module, name, build, monkeypatch):
    place = getattr(registry.load("numpy"), module)
    put(monkeypatch, place, name, build(getattr(place, name)))
    for dtype, whole in KINDS:
        if whole and fault == "half precision":
            continue  # whole numbers of this size are exact in half precision too
        found = [v for seed in range(10) for v in verdicts(law, "numpy", dtype=dtype, whole=whole, seed=seed)]
        assert any(verdict.kind == "REAL DIFFERENCE" for verdict in found), f"unseen in {dtype}, whole={whole}"


def test_a_difference_of_one_unit_in_the_last_place_breaks_whole_numbers(monkeypatch):
    ops = registry.load("numpy").ops
    nearly = _then(lambda Y: np.concatenate([np.nextafter(Y[:1], 99, dtype=Y.dtype), Y[1:]]))
    put(monkeypatch, ops, "conv2d", nearly(ops.conv2d))
    law = "images of a batch do not meet"
    assert any(
        verdict.kind != "equal"
        for seed in range(10)
        for verdict in verdicts(law, "numpy", dtype="float64", whole=True, seed=seed)
    )


# --------------------------------------------------------------------------- balls


def test_balls_hold_what_they_promise():
    """Numbers somewhere in the balls, put through the same operations, stay in the balls."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        values, radii = rng.standard_normal((2, 3, 4)), rng.random((2, 3, 4))
        factor = rng.standard_normal((3, 4))
        a, b = (Ball(v.astype(np.longdouble), r) for v, r in zip(values, radii))
        x, y = values + radii * rng.uniform(-1, 1, radii.shape)
        for ball, number in (
            (a.plus(b), x + y),
            (a.times(factor), x * factor),
            (a.dot(factor), (x * factor).sum()),
            (a.moved(np.transpose), x.T),
            (joined(a, b), np.concatenate([x, y], axis=1)),
        ):
            assert (np.abs(ball.value - number) <= ball.radius + 1e-15).all()


def test_a_convolution_of_balls_holds_what_it_promises():
    """The error that the first convolution makes grows in the second as the radius says."""
    rng = np.random.default_rng(1)
    trial = Trial("numpy", "float32", False, rng)
    X, K = trial.numbers(1, 1, 6, 6), trial.numbers(1, 1, 2, 2)
    radii = 2.0**-10 * rng.random(X.shape), 2.0**-10 * rng.random(K.shape)
    result = trial.conv2d(Ball(X.astype(np.longdouble), radii[0]), Ball(K.astype(np.longdouble), radii[1]))
    alone = trial.conv2d(X, K)
    assert (result.value == alone.value).all()
    assert (result.radius > 100 * alone.radius).all()
    wide = Trial("numpy", "float64", False, rng)
    for _ in range(20):
        near = [part + radius * rng.uniform(-1, 1, radius.shape) for part, radius in zip((X, K), radii)]
        assert (np.abs(wide.conv2d(*near).value - result.value) <= result.radius).all()


def test_numbers_can_be_added_without_rounding():
    for dtype, whole in KINDS:
        trial = Trial("numpy", dtype, whole, np.random.default_rng(2))
        a, b = trial.numbers(500), trial.numbers(500)
        assert a.dtype == dtype
        assert ((a + b).astype(np.longdouble) == a.astype(np.longdouble) + b).all()
        assert whole == bool((a == np.rint(a)).all())
