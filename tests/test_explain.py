"""Every hypothesis explains what it predicts, nothing else is explained, and the words are right."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest

import convbridge
from convbridge.errors import ArgumentError, ArgumentTypeError, ShapeError
from convbridge.parity import hypotheses, oracle, precision, symptoms
from convbridge.parity.calls import Call, Prediction
from convbridge.parity.cases import random_cases
from convbridge.parity.explain import CAUSES, explain_call
from convbridge.parity.gradient_cases import random_gradient_case
from convbridge.parity.lattice import lattice
from convbridge.parity.results import row_of
from convbridge.testing import explain


def numbers(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def spread(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) * 10.0 ** rng.uniform(-3, 3, shape)).astype("float32")


# --------------------------------------------------------------------------- every hypothesis is found again


@cache
def calls():
    """Return calls of every kind: each option of the fixed cases once, some with NaN and infinities."""
    kinds = ("float32/spread", "float32/special", "float32/whole")
    chosen = [case for case in lattice() if case.name.endswith(kinds) and "/NHWC/" not in case.name]
    wanted = [case for case in chosen if "pool2d" in case.function or "conv2d" in case.function]
    return [Call.of(case, result) for case in wanted[::5] for result in case.results if result != "db"]


def predicted():
    """Return for each name up to three calls and what would come out with it, if that is something else."""
    found = {}
    for call in calls():
        right, seen = call.predict(), set()
        for alternative in hypotheses.alternatives(call, np.zeros(right.value.shape)):
            if alternative.name in seen or len(found.get(alternative.name, ())) == 3:
                continue
            value = alternative.call.predict().value
            value = alternative.finish(value) if alternative.finish else value
            result = oracle.round_to(np.array(value), call.dtype)
            if result.size and explain_call(result, call).differs:
                seen.add(alternative.name)
                found.setdefault(alternative.name, []).append((call, result))
    return found


@pytest.mark.filterwarnings("error")
def test_every_hypothesis_explains_what_it_predicts():
    found = predicted()
    missing = set(hypotheses.CAUSES) - set(found) - {"bias-order"}  # that one is read off the result
    assert not missing
    named = 0
    for name, pairs in found.items():
        for call, result in pairs:
            explanation = explain_call(result, call)
            assert name in (explanation.name, *explanation.also), (name, call, str(explanation))
            named += explanation.name == name
    assert named > 0.8 * sum(map(len, found.values()))


def test_every_cause_has_a_sentence_of_its_own():
    assert len(set(CAUSES.values())) == len(CAUSES)
    assert all(sentence and sentence[-1] != "." for sentence in CAUSES.values())
    assert len(CAUSES) == 3 + sum(len(module.CAUSES) for module in (hypotheses, precision, symptoms))


@pytest.mark.parametrize("name", ["bias-order", "bias-missing", "bias-doubled"])
def test_biases(name):
    X, K, b = numbers(2, 3, 5, 5), numbers(4, 3, 2, 2, seed=1), numbers(4, seed=2)
    wrong = {"bias-order": b[[1, 3, 0, 2]], "bias-missing": 0 * b, "bias-doubled": 2 * b}[name]
    found = explain(convbridge.conv2d(X, K, wrong, backend="numpy"), X=X, weight=K, bias=b)
    assert found.name == name
    if name == "bias-order":
        assert "1, 3, 0, 2" in found.cause


# --------------------------------------------------------------------------- precision


def cut(array, bits):
    mantissa, exponent = np.frexp(array)
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits).astype(array.dtype)


@pytest.mark.parametrize(
    ("name", "bits", "dtype"),
    [("tf32", 11, "float32"), ("bfloat16", 8, "float32"), ("float32", 24, "float64"), ("bfloat16", 8, "float64")],
)
def test_operands_of_fewer_bits(name, bits, dtype):
    X, K = numbers(2, 3, 6, 6, dtype=dtype), numbers(4, 3, 3, 3, seed=1, dtype=dtype)
    found = explain(convbridge.conv2d(cut(X, bits), cut(K, bits), backend="numpy"), X=X, weight=K)
    assert found.name == name
    assert f"operands rounded to it, sums in {dtype}" in found.cause
    assert found.fraction <= 1


@pytest.mark.parametrize(("name", "dtype"), [("float16", "float32"), ("float32", "float64"), ("float16", "float64")])
def test_all_in_lower_precision(name, dtype):
    X, K = numbers(2, 3, 6, 6, dtype=dtype), numbers(4, 3, 3, 3, seed=1, dtype=dtype)
    low = convbridge.conv2d(X.astype(name), K.astype(name), backend="numpy").astype(dtype)
    assert explain(low, X=X, weight=K).name == name
    grad = numbers(2, 4, 4, 4, seed=2, dtype=dtype)
    dX, dW, _ = convbridge.conv2d_vjp(*(a.astype(name) for a in (X, K)), None, grad.astype(name), backend="numpy")
    for result, gradient in (("dX", dX), ("dW", dW)):
        found = explain(gradient.astype(dtype), X=X, weight=K, grad_output=grad, result=result)
        assert found.name == name


@pytest.mark.parametrize("tile", [2, 4, 6])
def test_winograd_matrices_filter(tile):
    A, G, B = precision.winograd_matrices(tile)
    d, g = np.arange(1.0, tile + 3), np.array([3.0, -1.0, 2.0])
    np.testing.assert_allclose(A.T @ ((G @ g) * (B.T @ d)), np.correlate(d, g, "valid"), atol=1e-12)


def test_winograd_of_a_framework():
    """Without oneDNN, from a batch of 16 on, PyTorch takes NNPACK's minimal filtering, where the build has it."""
    torch = pytest.importorskip("torch")
    if not torch.backends.nnpack.is_available():
        pytest.skip("this build of PyTorch has no NNPACK")
    X, K = spread(16, 3, 8, 8), numbers(4, 3, 3, 3, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about Intel's GPUs
        with torch.backends.mkldnn.flags(enabled=False):
            Y = torch.nn.functional.conv2d(torch.tensor(X), torch.tensor(K), padding=1).numpy()
    found = explain(Y[:4], X=X[:4], weight=K, padding=1)
    assert found.name == "winograd"
    assert found.fraction <= 1


def test_an_error_of_the_right_size_alone_is_no_lower_precision():
    X, K = numbers(2, 3, 6, 6), numbers(4, 3, 3, 3, seed=1)
    Y = convbridge.conv2d(X, K, backend="numpy")
    for error in (2.0**-8, 2.0**-11):
        found = explain(Y * (1 + error * numbers(*Y.shape, seed=3)), X=X, weight=K)
        assert found.name == ""


def test_whole_numbers_are_no_lower_precision():
    X, K = np.round(4 * numbers(1, 1, 5, 5)), np.round(4 * numbers(1, 1, 2, 2, seed=1))
    Y = convbridge.conv2d(X, K, backend="numpy")
    Y[0, 0, 1, 2] += 1
    assert explain(Y, X=X, weight=K).name == ""


# --------------------------------------------------------------------------- symptoms

WANTED = np.arange(1.0, 49).reshape(2, 3, 2, 4) ** 1.5
STRANGE = WANTED[::-1, :, :, ::-1].copy()
STRANGE[0, 0] += 5


@pytest.mark.parametrize(
    ("name", "actual"),
    [
        ("scaled", WANTED / 3),
        ("transposed", WANTED.transpose(0, 2, 3, 1)),
        ("reinterpreted", WANTED.transpose(0, 2, 3, 1).reshape(WANTED.shape)),
        ("flipped", WANTED[:, :, ::-1]),
        ("channel-order", WANTED[:, [1, 2, 0]]),
        ("shifted", np.concatenate([WANTED[..., :1], WANTED[..., :-1]], axis=3)),
        ("offset", WANTED + 7),
        ("channel-offset", WANTED + np.array([1.0, -2, 3])[:, None, None]),
        ("channel-scale", WANTED * np.array([1.0, -2, 3])[:, None, None]),
        ("all-zero", 0 * WANTED),
        ("some-zero", WANTED * (np.arange(4) != 3)),
        ("nan", np.where(WANTED.max() == WANTED, np.nan, WANTED)),
        ("reduced-precision", cut(WANTED, 11)),
        ("another-order", WANTED.reshape(-1)[np.random.default_rng(0).permutation(48)].reshape(WANTED.shape)),
        ("", STRANGE),
    ],
)
def test_symptoms(name, actual):
    wanted = Prediction(WANTED.astype(np.longdouble), 1e-9 * WANTED)
    found = ""
    for symptom in symptoms.symptoms(wanted, actual.astype(np.longdouble), "float64"):
        value, bound = symptom.prediction
        with np.errstate(invalid="ignore"):
            fits = (np.abs(actual - value) <= bound) | (np.isnan(actual) & np.isnan(value))
        if value.shape == actual.shape and fits.all():
            found = symptom.name
            break
    assert found == name


def test_the_gradients_of_sums():
    X, K, grad = numbers(3, 2, 5, 5), numbers(2, 2, 3, 3, seed=1), numbers(3, 2, 3, 3, seed=2)
    _, dW, _ = convbridge.conv2d_vjp(X, K, None, grad, backend="numpy")
    asked = {"X": X, "weight": K, "grad_output": grad, "result": "dW"}
    assert explain(2 * dW, **asked).name == "accumulated-twice"
    assert explain(dW / 3, **asked).cause.endswith("over the batch")
    assert explain(dW / 9, **asked).cause.endswith("over all positions")
    assert explain(dW / 27, **asked).cause.endswith("over batch and positions")
    assert explain(dW * 3, **asked).cause.endswith("by 3, the size of the batch")
    assert explain(dW * 0.7, **asked).cause.endswith("by 0.7")
    assert explain(-dW, **asked).cause.endswith("by -1")


def test_a_row_of_zeros_is_located():
    X, K = numbers(1, 2, 6, 6), numbers(3, 2, 3, 3, seed=1)
    Y = convbridge.conv2d(X, K, backend="numpy")
    Y[:, :, -1] = 0
    found = explain(Y, X=X, weight=K)
    assert (found.name, found.cause.partition(": ")[2]) == ("some-zero", "all at index 3 of axis 2, the last")


# --------------------------------------------------------------------------- words, and what is no explanation


def test_the_words_of_an_explanation():
    X, K = numbers(1, 1, 6, 6), numbers(1, 1, 3, 3, seed=1)
    Y = convbridge.conv2d(X, K, stride=2, padding="same_lower", backend="numpy")
    found = explain(Y, operation="conv2d", X=X, weight=K, stride=2, padding="same_upper")
    assert str(found).startswith("explained by: SAME_LOWER padding (largest difference left ")
    assert " of the rounding bound; the same here: " in str(found)
    assert "padding-swapped" in found.also
    assert found.differs
    assert 0 <= found.fraction <= 1
    assert found == explain(Y, operation="conv2d", X=X, weight=K, stride=2, padding="same_upper")


def test_the_words_where_nothing_is_wrong():
    X, K = numbers(1, 1, 6, 6), numbers(1, 1, 3, 3, seed=1)
    found = explain(convbridge.conv2d(X, K, backend="numpy"), X=X, weight=K)
    assert not found.differs
    assert str(found).startswith("no difference (largest difference ")
    assert found.tried == ("no-difference",)


def test_the_words_where_nothing_explains():
    X, K = numbers(1, 1, 6, 6), numbers(1, 1, 3, 3, seed=1)
    Y = convbridge.conv2d(X, K[..., ::-1, ::-1], backend="numpy")
    Y[0, 0, 1, 2] += 1
    found = explain(Y, X=X, weight=K)
    assert (found.name, found.cause) == ("", None)
    assert str(found).startswith(f"not explained by any of {len(found.tried)} hypotheses; closest: a flipped kernel")
    assert "(94% of the elements)" in str(found)
    assert found.residual > 0.5
    assert found.fraction > 1


def test_a_hypothesis_that_leaves_more_than_the_bound_explains_nothing():
    X, K = numbers(1, 2, 6, 6), numbers(2, 2, 3, 3, seed=1)
    flipped = {"X": X, "weight": K[..., ::-1, ::-1].copy()}
    Y = convbridge.conv2d(**flipped, backend="numpy").astype("float64")
    assert explain(Y.astype("float32"), X=X, weight=K).name == "flipped-kernel"
    Y[0, 0, 0, 0] += 1e-4
    assert explain(Y.astype("float32"), X=X, weight=K).name == ""


def test_sums_of_integers_must_be_exact():
    X, K = np.arange(16.0).reshape(1, 1, 4, 4), np.arange(4.0).reshape(1, 1, 2, 2)
    Y = convbridge.conv2d(X, K, backend="numpy")
    Y[0, 0, 0, 0] = np.nextafter(Y[0, 0, 0, 0], np.inf)
    assert explain(Y, X=X, weight=K).name == "inexact"


@pytest.mark.parametrize(
    ("returned", "dtype", "name"),
    [("float32", "float64", "dtype"), ("float64", "float32", "dtype"), ("int64", "float32", "dtype")],
)
def test_another_dtype(returned, dtype, name):
    X, K = 9 * numbers(1, 2, 6, 6, dtype=dtype), numbers(2, 2, 3, 3, seed=1, dtype=dtype)
    found = explain(convbridge.conv2d(X, K, backend="numpy").astype(returned), X=X, weight=K)
    assert found.name == name
    assert found.cause.endswith(f"{returned}, not {dtype}")


def test_tensors_of_a_framework_are_read(backend):
    X, K = numbers(1, 2, 6, 6), numbers(2, 2, 3, 3, seed=1)
    x, k = (convbridge.asarray(array, backend=backend) for array in (X, K))
    Y = convbridge.conv2d(x, k, padding=1)
    assert explain(Y, X=x, weight=k, padding=1).name == "no-difference"
    assert explain(Y, X=x, weight=k, padding=1, dilation=1, stride=1, bias=[1, 2]).name == "bias-missing"


def test_poolings_are_explained():
    X = numbers(1, 2, 6, 6)
    Y = convbridge.pool2d(X, 3, "avg", padding=1, count_include_pad=False, backend="numpy")
    asked = {"operation": "pool2d", "X": X, "pool_size": 3, "padding": 1}
    assert explain(Y, mode="avg", **asked).name == "padding-counted"
    Y = np.maximum(convbridge.pool2d(-np.abs(X), 3, padding=1, backend="numpy"), -9)
    Y[:, :, [0, -1]] = Y[..., [0, -1]] = 0
    assert explain(Y, **{**asked, "X": -np.abs(X)}).name == "zero-padding"


# --------------------------------------------------------------------------- no false alarm, no crash


def test_random_results_need_no_explanation(backend):
    gaps = convbridge.registry.spec(backend).unsupported
    checked = 0
    for case in [*random_cases(120, 5), *random_cases(60, 5, random_gradient_case)]:
        if case.gap(gaps) is None:
            for name, result in zip(case.results, case.call(backend, case.arguments(backend))):
                if result is not None:
                    found = explain(result, case, result=name)
                    assert not found.differs, (str(case), name, str(found))
                    checked += 1
    assert checked > 150


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("seed", range(3))
def test_nonsense_is_no_crash(seed):
    rng = np.random.default_rng(seed)
    rows = {}
    for case in [*random_cases(60, seed), *random_cases(40, seed, random_gradient_case)]:
        rows.setdefault(row_of(case), case)
    gaps = convbridge.registry.spec("numpy").unsupported
    for case in rows.values():
        if case.gap(gaps) is not None:
            continue
        for name, result in zip(case.results, case.call("numpy", case.arguments("numpy"))):
            if result is not None and result.size > 8:
                nonsense = rng.choice([0.0, 1.5, -3.0, np.nan, np.inf, 3e4], result.shape).astype(result.dtype)
                explain(nonsense, case, result=name)
                explain(result[..., :-1], case, result=name)
                assert explain(np.zeros(3, result.dtype), case, result=name).name == ""


# --------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"operation": "dense"}, ArgumentError, "operation must be conv2d or pool2d"),
        ({"X": None}, ArgumentError, "X must be given"),
        ({"weight": None}, ArgumentError, "weight must be given"),
        ({"result": "dX"}, ArgumentError, "grad_output must be given"),
        ({"result": "dZ"}, ArgumentError, "result must be"),
        ({"stride": 0}, ArgumentError, "stride"),
        ({"dtype": "int8"}, ArgumentError, "dtype must be"),
        ({"weight": np.ones((1, 2, 2, 2))}, ShapeError, "channels"),
        ({"X": "text"}, ArgumentTypeError, "real numbers"),
        ({"strides": 2}, TypeError, "strides"),
    ],
)
def test_bad_arguments(arguments, error, message):
    asked = {"X": np.ones((1, 1, 3, 3)), "weight": np.ones((1, 1, 2, 2)), **arguments}
    with pytest.raises(error, match=message):
        explain(np.ones((1, 1, 2, 2)), **asked)
