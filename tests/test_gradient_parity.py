"""Gradients are judged: the oracle, its bounds and the random cases; that backends pass, and wrong gradients do not.

``CONVBRIDGE_FUZZ_CASES`` and ``CONVBRIDGE_FUZZ_SEED`` choose another sample;
``python -m convbridge.parity.fuzz --gradients`` runs large ones.
"""

from __future__ import annotations

import os
import textwrap

import numpy as np
import pytest

import convbridge
from convbridge import registry
from convbridge.parity import bounds, fuzz, oracle, oracle_gradients
from convbridge.parity.cases import LAYOUTS, random_cases
from convbridge.parity.gradient_cases import random_gradient_case, result_shape

CASES = int(os.environ.get("CONVBRIDGE_FUZZ_CASES", "300"))
SEED = int(os.environ.get("CONVBRIDGE_FUZZ_SEED", "20240229"))

# --------------------------------------------------------------------------- against the oracle


def test_backend_agrees_with_the_oracle(backend):
    summary = fuzz.run([backend], CASES, SEED, gradients=True)
    assert not summary.failures, "\n".join(map(str, summary.failures[:5]))
    found = summary.backends[backend]
    assert found.cases == CASES
    assert found.equal + found.rounding == CASES


def test_every_entry_of_the_tables_of_gaps_is_met(backend):
    table = registry.spec(backend).unsupported
    met = {case.gap(table) for case in random_cases(3000, 0, random_gradient_case)} - {None}
    assert met == set(table.values())


# --------------------------------------------------------------------------- the oracle itself


def _arrays(case, rng, draw):
    arrays = {name: draw(rng, operand.values.shape) for name, operand in case.operands.items()}
    return arrays, (arrays.pop("X"), arrays.pop("weight", None), arrays.pop("bias", None), arrays.pop("grad_output"))


def _numbers(rng, shape):
    return rng.standard_normal(shape).astype(np.longdouble)


def _distinct(rng, shape):
    """Numbers no two of which are closer than 1, so that a small step changes no maximum."""
    return rng.permutation(int(np.prod(shape))).reshape(shape).astype(np.longdouble)


def _central_difference(f, array):
    """Differentiate a number by every element, from its values on both sides."""
    step = np.longdouble(2.0**-12)
    slopes = np.zeros(array.shape, np.longdouble)
    for place in np.ndindex(array.shape):
        moved = []
        for sign in (1, -1):
            there = array.copy()
            there[place] += sign * step
            moved.append(f(there))
        slopes[place] = (moved[0] - moved[1]) / (2 * step)
    return slopes


def _small(function, count, seed):
    """Draw cases of one function that are cheap enough to be evaluated twice for each of their elements."""
    chosen = (
        case
        for case in random_cases(None, seed, random_gradient_case)
        if case.function == function and 0 < sum(operand.values.size for operand in case.operands.values()) < 250
    )
    return [next(chosen) for _ in range(count)]


def test_finite_differences_guard_the_gradients_of_convolution():
    """The function is linear in every factor: the central difference is the derivative, but for rounding."""
    rng = np.random.default_rng(0)
    for case in _small("conv2d_vjp", 25, 1):
        _, (X, W, b, grad) = _arrays(case, rng, _numbers)
        found = oracle_gradients.conv2d_vjp(X, W, b, grad, **case.keywords)

        def loss(X, W, b, grad=grad, keywords=case.keywords):
            return (oracle.conv2d(X, W, b, **keywords) * grad).sum()

        slopes = [
            _central_difference(lambda x, W=W, b=b: loss(x, W, b), X),
            _central_difference(lambda w, X=X, b=b: loss(X, w, b), W),
            None if b is None else _central_difference(lambda c, X=X, W=W: loss(X, W, c), b),
        ]
        for gradient, slope in zip(found, slopes):
            assert (gradient is None) == (slope is None)
            if slope is not None:
                np.testing.assert_allclose(
                    gradient.astype(float), slope.astype(float), rtol=0, atol=1e-11, err_msg=str(case)
                )


@pytest.mark.parametrize("mode", ["max", "avg"])
def test_finite_differences_guard_the_gradients_of_pooling(mode):
    """Between ties a maximum is linear, an average is everywhere."""
    rng = np.random.default_rng(0)
    for case in _small("pool2d_vjp", 40, 2):
        keywords = {**case.keywords, "mode": mode}
        size = keywords.pop("pool_size")
        _, (X, _, _, grad) = _arrays(case, rng, _numbers)
        X = _distinct(rng, X.shape)
        if not np.isfinite(oracle.pool2d(X, size, **keywords)).all():
            continue  # a dilated window that straddles the image has no derivative
        slope = _central_difference(lambda x, g=grad, s=size, k=keywords: (oracle.pool2d(x, s, **k) * g).sum(), X)
        found = oracle_gradients.pool2d_vjp(X, size, grad, **keywords)
        np.testing.assert_allclose(found.astype(float), slope.astype(float), rtol=0, atol=1e-11, err_msg=str(case))


def test_gradients_are_adjoint_exactly():
    """<grad, conv(V, W)> = <dX, V>, <grad, conv(X, U)> = <dW, U>: with integers every digit must agree."""
    rng = np.random.default_rng(3)

    def draw(rng, shape):
        return rng.integers(-9, 10, shape).astype(np.longdouble)

    done = 0
    for case in random_cases(500, 4, random_gradient_case):
        if case.function != "conv2d_vjp":
            continue
        done += 1
        _, (X, W, b, grad) = _arrays(case, rng, draw)
        dX, dW, db = oracle_gradients.conv2d_vjp(X, W, b, grad, **case.keywords)
        V, U = draw(rng, X.shape), draw(rng, W.shape)
        assert (oracle.conv2d(V, W, **case.keywords) * grad).sum() == (dX * V).sum(), str(case)
        assert (oracle.conv2d(X, U, **case.keywords) * grad).sum() == (dW * U).sum(), str(case)
        if b is not None:
            c = draw(rng, b.shape)
            assert (oracle.conv2d(0 * X, W, c, **case.keywords) * grad).sum() == (db * c).sum(), str(case)
    assert done > 200


# --------------------------------------------------------------------------- bounds


def test_windows_on_a_pixel_is_the_largest_count():
    for kernel in range(1, 6):
        for stride in range(1, 6):
            for dilation in range(1, 5):
                for windows in (1, 2, 3, 40):
                    met = np.bincount(
                        [i * stride + p * dilation for i in range(windows) for p in range(kernel)],
                    )
                    bound = bounds.windows_on_a_pixel(kernel, stride, dilation, windows)
                    assert met.max() <= bound
                    if windows == 40:  # enough of them: the bound is reached
                        assert met.max() == bound, (kernel, stride, dilation)


def test_vjp_bounds_count_products():
    X, W, b = np.full((2, 4, 6, 6), -2.0), np.full((6, 2, 3, 3), 0.5), np.zeros(6)
    grad = np.full((2, 6, 4, 4), 3.0)
    dX, dW, db = bounds.conv2d_vjp_bound(X, W, b, grad, dtype="float64", groups=2)
    np.testing.assert_allclose(dX[0, 0, 3, 3], bounds.gamma(27, "float64") * 27 * 1.5, rtol=1e-15)
    np.testing.assert_allclose(dW, bounds.gamma(32, "float64") * 32 * 6, rtol=1e-15)
    np.testing.assert_allclose(db, bounds.gamma(31, "float64") * 32 * 3, rtol=1e-15)
    keywords = {"dtype": "float64", "stride": 2, "groups": 2}
    assert bounds.conv2d_vjp_bound(X, W, None, grad[:, :, :2, :2], **keywords)[2] is None
    dX = bounds.conv2d_vjp_bound(X, W, None, grad[:, :, :2, :2], **keywords)[0]
    np.testing.assert_allclose(dX[0, 0, 2, 2], bounds.gamma(12, "float64") * 12 * 1.5, rtol=1e-15)


def test_vjp_bounds_of_pooling():
    X, grad = np.zeros((4, 4)), np.full((3, 3), -2.0)
    bound = bounds.pool2d_vjp_bound(X, 2, grad, dtype="float64")
    np.testing.assert_allclose(bound[1, 1], bounds.gamma(3, "float64") * 2, rtol=1e-15)
    assert not bound[3].any()  # nothing arrives there
    bound = bounds.pool2d_vjp_bound(X, 2, grad, "avg", dtype="float64")
    np.testing.assert_allclose(bound[1, 1], bounds.gamma(5, "float64") * 2, rtol=1e-15)
    assert not bounds.pool2d_vjp_bound(X, 2, grad[:2, :2], dtype="float16", stride=2).any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("accumulator", ["own", "float32"])
def test_any_order_of_summation_is_within_the_bounds(dtype, accumulator):
    """A gradient added up product by product, in its own precision or, halves, in a wider one."""
    rng = np.random.default_rng(5)
    wide = np.dtype(dtype if accumulator == "own" or dtype == "float64" else "float32")
    for _ in range(60):
        outputs = int(rng.integers(1, 6))
        X = (rng.standard_normal((1, 1, 2, outputs + 1)) * 10.0 ** rng.uniform(-1, 1, (1, 1, 2, outputs + 1))).astype(
            dtype
        )
        W, grad = rng.standard_normal((1, 1, 2, 2)).astype(dtype), rng.standard_normal((1, 1, 1, outputs)).astype(dtype)
        b = np.zeros(1, dtype)
        dX, dW, db = np.zeros(X.shape, wide), np.zeros(W.shape, wide), np.zeros(1, wide)
        for j in rng.permutation(outputs):
            g = grad[0, 0, 0, j].astype(wide)
            for p in range(2):
                for q in range(2):
                    dX[0, 0, p, j + q] += W[0, 0, p, q].astype(wide) * g
                    dW[0, 0, p, q] += X[0, 0, p, j + q].astype(wide) * g
            db[0] += g
        exact = oracle_gradients.conv2d_vjp(X, W, b, grad)
        allowed = [bounds.conv2d_vjp_bound(X, W, b, grad, dtype=d) for d in (dtype, "longdouble")]
        for found, value, own, slack in zip((dX, dW, db), exact, *allowed):
            verdict = bounds.judge(found.astype(dtype).astype(np.longdouble), value, own + slack)
            assert verdict.kind != bounds.REAL_DIFFERENCE, verdict


def test_a_planted_error_is_flagged():
    rng = np.random.default_rng(1)
    X, W, grad = (rng.standard_normal(shape, np.float32) for shape in ((2, 3, 8, 8), (4, 3, 3, 3), (2, 4, 6, 6)))
    exact = oracle_gradients.conv2d_vjp(X, W, None, grad)
    allowed = bounds.conv2d_vjp_bound(X, W, None, grad, dtype="float32")
    for value, bound in zip(exact[:2], allowed[:2]):
        computed = value.astype(np.float32).astype(np.longdouble)
        assert bounds.judge(computed, value, bound).kind == "rounding"
        computed[1, 2, 0, 0] += 2 * bound[1, 2, 0, 0]
        assert bounds.judge(computed, value, bound).kind == "REAL DIFFERENCE"


# --------------------------------------------------------------------------- wrong gradients do not pass

#: What the faults are planted into.
RIGHT = "_conv2d_vjp, _max_pool2d_vjp, _avg_pool2d_vjp = conv2d_vjp, max_pool2d_vjp, avg_pool2d_vjp\n"

#: A fault, how a failure must describe it, and the gradients that have it.
WRONG = {
    "a kernel that is not flipped": (
        "dX: ",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            dX = _conv2d_vjp(X, weight[:, :, ::-1, ::-1], bias, grad_output, **keywords)[0]
            return (dX, *_conv2d_vjp(X, weight, bias, grad_output, **keywords)[1:])
    """,
    ),
    "one product too few": (
        "dW: ",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            dX, dW, db = _conv2d_vjp(X, weight, bias, grad_output, **keywords)
            short = np.array(grad_output)
            short[..., -1, -1] = 0
            return dX, _conv2d_vjp(X, weight, bias, short, **keywords)[1], db
    """,
    ),
    "the mean over the batch": (
        "db: ",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            dX, dW, db = _conv2d_vjp(X, weight, bias, grad_output, **keywords)
            return dX, dW, None if db is None else (db / len(X)).astype(db.dtype).view(Tensor)
    """,
    ),
    "ten-bit products": (
        "times the rounding bound",
        """
        def _short(x):  # as a tensor core keeps of float32
            return (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) if x.dtype == np.float32 else x
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            return _conv2d_vjp(_short(np.asarray(X)), weight, bias, _short(np.asarray(grad_output)), **keywords)
    """,
    ),
    "a bias gradient without a bias": (
        "db: returned a result, where None belongs",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            return _conv2d_vjp(X, weight, np.zeros(len(weight), X.dtype), grad_output, **keywords)
    """,
    ),
    "no bias gradient": (
        "db: returned None, where a result belongs",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            return (*_conv2d_vjp(X, weight, bias, grad_output, **keywords)[:2], None)
    """,
    ),
    "the transposed weight gradient": (
        "dW: returned the shape",
        """
        def conv2d_vjp(X, weight, bias, grad_output, **keywords):
            dX, dW, db = _conv2d_vjp(X, weight, bias, grad_output, **keywords)
            return dX, dW.transpose(2, 3, 1, 0), db
    """,
    ),
    "ties to the last": (
        "elements differ",
        """
        def max_pool2d_vjp(X, pool_size, grad_output, *, data_format, **keywords):
            height, width = X.shape[2:] if data_format == "NCHW" else X.shape[1:3]
            slope = np.arange(height * width).reshape(height, width) / (2 * height * width)
            if data_format == "NHWC":
                slope = slope[:, :, None]
            if (np.rint(X) == X).all():
                X = np.asarray(X, np.float64) + slope
            dX = _max_pool2d_vjp(X, pool_size, grad_output, data_format=data_format, **keywords)
            return dX.astype(grad_output.dtype)
    """,
    ),
    "a NaN that gets no gradient": (
        "elements differ",
        """
        def max_pool2d_vjp(X, pool_size, grad_output, **keywords):
            return _max_pool2d_vjp(np.where(np.isnan(X), -np.inf, X), pool_size, grad_output, **keywords)
    """,
    ),
    "the divisor of a full window": (
        "elements differ",
        """
        def avg_pool2d_vjp(X, pool_size, grad_output, *, padding, counted, **keywords):
            return _avg_pool2d_vjp(X, pool_size, grad_output, padding=padding, counted=padding, **keywords)
    """,
    ),
    "returns the gradient it got": (
        "shares memory with",
        """
        def avg_pool2d_vjp(X, pool_size, grad_output, **keywords):
            dX = _avg_pool2d_vjp(X, pool_size, grad_output, **keywords)
            same = dX.shape == grad_output.shape and (dX == grad_output).all()
            return grad_output if same else dX
    """,
    ),
    "writes to its input": (
        "changed its input grad_output",
        """
        def avg_pool2d_vjp(X, pool_size, grad_output, **keywords):
            dX = _avg_pool2d_vjp(X, pool_size, grad_output, **keywords)
            grad_output /= pool_size[0] * pool_size[1]
            return dX
    """,
    ),
    "float32 for float64": (
        "dX: returned float32, not float64",
        """
        def max_pool2d_vjp(X, pool_size, grad_output, **keywords):
            return _max_pool2d_vjp(X, pool_size, grad_output, **keywords).astype(np.float32)
    """,
    ),
    "raises": (
        "raised RuntimeError: no gradient registered",
        """
        def conv2d_vjp(*arguments, **keywords):
            raise RuntimeError("no gradient registered")
    """,
    ),
}


def test_the_fake_backend_is_right_before_it_is_made_wrong(install):
    install("fake")
    summary = fuzz.run(["fake"], 300, 1, gradients=True)
    assert not summary.failures, "\n".join(map(str, summary.failures[:5]))


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_gradient_fails(install, fault, capsys):
    problem, ops = WRONG[fault]
    install("fake", ops=RIGHT + textwrap.dedent(ops))
    assert fuzz.main(["--gradients", "--backends", "fake", "--cases", "300", "--seed", "1"]) == 1
    shown = capsys.readouterr().out
    assert problem in shown
    assert "--gradients --backends fake --seed 1 --only" in shown


def test_a_documented_gap_is_refused_and_does_not_count(install):
    install("fake", gaps={"conv2d[float64]": "It is Monday."})
    summary = fuzz.run(["fake"], 40, 1, gradients=True)
    found = summary.backends["fake"]
    assert not summary.failures
    assert found.cases == 40
    assert found.unsupported["It is Monday."] > 0


def test_the_failing_case_can_be_run_again(install, capsys):
    install("fake", ops=RIGHT + textwrap.dedent(WRONG["the mean over the batch"][1]))
    failure = fuzz.run(["fake"], 100, 7, gradients=True).failures[0]
    again = ["--gradients", "--backends", "fake", "--seed", "7", "--only", str(failure.case.number)]
    assert fuzz.main(again) == 1
    assert failure.problem in capsys.readouterr().out


# --------------------------------------------------------------------------- the cases


def test_cases_are_drawn_again_from_two_integers():
    first, second = random_gradient_case(3, 4), random_gradient_case(3, 4)
    assert str(first) == str(second)
    for a, b in zip(first.operands.values(), second.operands.values()):
        np.testing.assert_array_equal(a.values, b.values)
    assert str(random_gradient_case(3, 5)) != str(first) != str(random_gradient_case(4, 4))


def test_cases_cover_what_they_promise():
    drawn = list(random_cases(3000, 0, random_gradient_case))
    operands = [operand for case in drawn for operand in case.operands.values()]
    assert {operand.layout for operand in operands} == {*LAYOUTS, "list"}
    assert {case.dtype for case in drawn} == {"float16", "bfloat16", "float32", "float64"}
    words = {case.keywords["padding"].lower() for case in drawn if isinstance(case.keywords["padding"], str)}
    assert words == {"valid", "same", "same_upper", "same_lower", "chapter"}
    convolutions = [case for case in drawn if case.function == "conv2d_vjp"]
    assert len(convolutions) > 1000
    assert {case.keywords["data_format"] for case in convolutions} == {"NCHW", "NHWC"}
    assert {"bias" in case.operands for case in convolutions} == {True, False}
    assert any(case.operands["X"].values.size == 0 for case in convolutions)
    assert any(case.keywords["groups"] > 1 and case.operands["weight"].values.shape[1] == 1 for case in convolutions)
    assert any(np.ndim(case.keywords["padding"]) == 2 for case in convolutions)
    pools = [case for case in drawn if case.function == "pool2d_vjp"]
    for name in ("ceil_mode", "count_include_pad"):
        assert {case.keywords[name] for case in pools} == {True, False}
    for mode in ("max", "avg"):
        images = [case.operands["X"].values for case in pools if case.keywords["mode"] == mode]
        assert {image.ndim for image in images} == {2, 3, 4}
        assert sum(0 < len(np.unique(image)) <= 3 for image in images) > 100  # ties
    assert any(np.isnan(case.operands["grad_output"].values).any() for case in pools)
    overlapping = [case for case in pools if case.keywords["stride"] is not None]
    assert (
        sum(
            max(oracle.two(case.keywords["pool_size"])) > 1 == min(oracle.two(case.keywords["stride"]))
            for case in overlapping
        )
        > 100
    )


def test_many_cases_must_be_exact():
    """A bound that everything falls under would hide a wrong tie; a good part must agree bit for bit."""
    answers = [fuzz.expected(case) for case in random_cases(400, 0, random_gradient_case)]
    exact = dict.fromkeys(("dX", "dW", "db"), 0)
    for answer in answers:
        for name, expected in answer.items():
            exact[name] += expected is not None and expected.exact
    assert min(exact.values()) > 30, exact


def test_forward_shapes_are_the_functions_own():
    """The shape that a gradient is drawn with, against the forward call."""
    for case in random_cases(300, 5):
        if case.function not in ("conv2d", "pool2d"):
            continue
        shapes = {name: operand.values.shape for name, operand in case.operands.items()}
        arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        found = getattr(convbridge, case.function)(**arrays, **case.keywords, backend="numpy")
        assert found.shape == result_shape(shapes, case.keywords), str(case)
