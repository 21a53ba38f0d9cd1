"""The bounds are theorems, the verdict is strict, and the oracle says what a pencil says."""

from __future__ import annotations

import numpy as np
import pytest

from convbridge.parity import bounds, oracle
from convbridge.parity.bounds import conv2d_bound, gamma, judge, pool2d_bound, unit_roundoff

# --------------------------------------------------------------------------- bounds


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_unit_roundoff_is_half_an_ulp_of_one(dtype):
    assert unit_roundoff(dtype) == np.finfo(dtype).eps / 2
    assert bounds._smallest_subnormal(dtype) == np.finfo(dtype).smallest_subnormal


def test_bfloat16_has_eight_bits_and_the_range_of_float32():
    assert unit_roundoff("bfloat16") == 2.0**-8
    # eight bits: 1 + 2**-7 is the next number after 1, and halfway there rounds to even
    assert oracle.round_to(np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8]), "bfloat16").tolist() == [1.0, 1 + 2.0**-6]
    assert bounds._smallest_subnormal("bfloat16") == np.finfo("float32").smallest_subnormal * 2.0**16


def test_unknown_dtypes_are_refused():
    with pytest.raises(ValueError, match="dtype must be one of"):
        unit_roundoff("int8")


def test_gamma():
    u = 2.0**-24
    assert gamma(0, "float32") == 0
    assert gamma(7, "float32") == 7 * u / (1 - 7 * u)
    assert gamma(256, "bfloat16") == np.inf
    assert gamma(255, "bfloat16") == 255.0


def test_conv2d_bound_counts_products_and_the_bias():
    X, W = np.full((1, 4, 5, 5), -2.0), np.full((6, 2, 3, 2), 0.5)
    bound = conv2d_bound(X, W, dtype="float64", groups=2)
    np.testing.assert_allclose(bound, gamma(12, "float64") * 12, rtol=1e-15)
    bound = conv2d_bound(X, W, np.full(6, -3.0), dtype="float64", groups=2)
    np.testing.assert_allclose(bound, gamma(13, "float64") * 15, rtol=1e-15)


def test_bounds_are_zero_where_nothing_is_rounded():
    X = np.zeros((1, 1, 4, 4))
    X[0, 0, 0, 0] = 1
    bound = conv2d_bound(X, np.ones((1, 1, 2, 2)), dtype="float16")
    assert bound[0, 0, 0, 0] > 0
    assert not bound[0, 0, 1:].any()
    assert not pool2d_bound(X, 2, "max", dtype="float16").any()


def test_pool2d_bound_knows_the_divisor():
    X = np.full((3, 3), 4.0)
    both = {"dtype": "float64", "padding": 1, "stride": 2}
    np.testing.assert_allclose(pool2d_bound(X, 2, "avg", **both)[0, 0], gamma(5, "float64") * 1, rtol=1e-15)
    without = pool2d_bound(X, 2, "avg", **both, count_include_pad=False)
    np.testing.assert_allclose(without[0, 0], gamma(5, "float64") * 4, rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("order", ["forward", "backward", "pairwise", "smallest last"])
def test_every_order_of_summation_is_within_the_bound(dtype, order):
    rng = np.random.default_rng(0)
    for _ in range(200):
        x, w = ((rng.standard_normal(40) * 10.0 ** rng.uniform(-1, 1, 40)).astype(dtype) for _ in range(2))
        products = x * w
        if order == "backward":
            products = products[::-1]
        elif order == "smallest last":
            products = products[np.argsort(-np.abs(products))]
        if order == "pairwise":
            while len(products) > 1:
                products = np.concatenate([products[0:-1:2] + products[1::2], products[len(products) // 2 * 2 :]])
            total = products[0]
        else:
            total = products.dtype.type(0)
            for product in products:
                total = total + product
        exact = np.sum(x.astype(np.longdouble) * w.astype(np.longdouble))
        shaped = (x.reshape(1, 1, 5, 8), w.reshape(1, 1, 5, 8))
        bound = conv2d_bound(*shaped, dtype=dtype) + conv2d_bound(*shaped, dtype="longdouble")
        verdict = judge(np.full((1, 1, 1, 1), total, np.longdouble), np.full((1, 1, 1, 1), exact), bound)
        assert verdict.kind in ("equal", "rounding")


def test_underflow_is_within_the_bound():
    x = np.full((1, 1, 1, 3), 2.0**-14, np.float16)
    w = np.full((1, 1, 1, 3), 1.5 * 2.0**-11, np.float16)
    computed = (x * w).sum(dtype=np.float16).reshape(1, 1, 1, 1)  # every product is half way between two subnormals
    exact = oracle.conv2d(x, w)
    assert abs(float(computed[0, 0, 0, 0]) - float(exact[0, 0, 0, 0])) > gamma(3, "float16") * float(exact[0, 0, 0, 0])
    assert judge(computed.astype(np.longdouble), exact, conv2d_bound(x, w, dtype="float16")).kind == "rounding"


# --------------------------------------------------------------------------- the verdict


def test_judge_says_equal():
    a = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.5])
    b = np.array([-0.0, 0.0, np.nan, np.inf, -np.inf, 1.5])
    assert judge(a, b, 0.0) == ("equal", 0.0, 0.0)
    assert judge(np.empty((0, 2)), np.empty((0, 2)), 0.0).kind == "equal"


def test_judge_says_rounding_up_to_the_bound_and_no_further():
    a, b = np.array([1.0, 2.0]), np.array([1.25, 2.0])
    assert judge(a, b, np.array([0.25, 0.0])) == ("rounding", 0.25, 1.0)
    assert judge(a, b, np.array([0.2499, 0.0])).kind == "REAL DIFFERENCE"
    assert judge(a, b, np.array([0.0, 9.0])) == ("REAL DIFFERENCE", 0.25, np.inf)


def test_the_fraction_is_the_largest_not_that_of_the_largest_difference():
    verdict = judge(np.array([1.0, 100.0]), np.array([1.5, 101.0]), np.array([1.0, 10.0]))
    assert verdict == ("rounding", 1.0, 0.5)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1.0, np.nan], [1.0, 2.0]),
        ([1.0, 2.0], [np.nan, 2.0]),
        ([np.inf], [-np.inf]),
        ([np.inf], [1.0]),
        ([np.nan], [np.inf]),
        ([1.0], [1.0, 1.0]),
        ([1.0], [[1.0]]),
    ],
)
def test_judge_never_explains_these_by_rounding(a, b):
    verdict = judge(np.array(a), np.array(b), np.inf)
    assert verdict == ("REAL DIFFERENCE", np.inf, np.inf)


def test_another_dtype_is_a_real_difference():
    assert judge(np.ones(2, np.float32), np.ones(2), np.inf).kind == "REAL DIFFERENCE"


def test_a_bound_that_is_no_number_promises_nothing():
    assert judge(np.array([1.0]), np.array([2.0]), np.array([np.nan])).kind == "REAL DIFFERENCE"


def test_a_planted_error_is_flagged():
    """One element of a real convolution, moved by twice its bound."""
    rng = np.random.default_rng(1)
    X, W = rng.standard_normal((2, 3, 8, 8), np.float32), rng.standard_normal((4, 3, 3, 3), np.float32)
    exact = oracle.conv2d(X, W)
    bound = conv2d_bound(X, W, dtype="float32") + conv2d_bound(X, W, dtype="longdouble")
    computed = exact.astype(np.float32).astype(np.longdouble)
    assert judge(computed, exact, bound).kind == "rounding"
    computed[1, 2, 3, 4] += 2 * bound[1, 2, 3, 4]
    verdict = judge(computed, exact, bound)
    assert verdict.kind == "REAL DIFFERENCE"
    assert 1 < verdict.fraction <= 3


def test_ten_bit_products_are_flagged():
    """What a tensor core computes by default (TF32) is not what float32 promises."""
    rng = np.random.default_rng(2)
    X, W = rng.standard_normal((1, 1, 6, 6), np.float32), rng.standard_normal((1, 1, 3, 3), np.float32)
    short = [(a.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) for a in (X, W)]
    verdict = judge(oracle.conv2d(*short), oracle.conv2d(X, W), conv2d_bound(X, W, dtype="float32"))
    assert verdict.kind == "REAL DIFFERENCE"


# --------------------------------------------------------------------------- the oracle, by hand


def test_special_values_stay_where_they_are():
    X = np.ones((1, 1, 5, 5))
    X[0, 0, 0, 0], X[0, 0, 4, 4] = np.nan, np.inf
    Y = oracle.conv2d(X, np.ones((1, 1, 2, 2)))[0, 0]
    assert np.argwhere(np.isnan(Y)).tolist() == [[0, 0]]
    assert np.argwhere(np.isposinf(Y)).tolist() == [[3, 3]]
    assert (Y[np.isfinite(Y)] == 4).all()


def test_padding_zeros_are_multiplied():
    Y = oracle.conv2d(np.ones((1, 1, 2, 2)), np.full((1, 1, 1, 1), np.inf), padding=1)[0, 0]
    assert np.isnan(Y[0]).all()
    assert np.isposinf(Y[1, 1])


def test_max_pooling_rules():
    X = np.array([[-3.0, np.nan, -5.0], [-np.inf, -np.inf, -7.0], [-np.inf, -np.inf, -9.0]])
    pooled = oracle.pool2d(X, 2).astype(float)
    np.testing.assert_array_equal(pooled, [[np.nan, np.nan], [-np.inf, -7.0]])
    assert float(oracle.pool2d(np.full((1, 1), -4.0), 2, padding=1)[0, 0]) == -4.0


def test_average_divisors():
    X = np.full((3, 3), 6.0)
    both = {"stride": 2, "ceil_mode": True}
    # the overhang never counts, the padding as asked
    assert oracle.pool2d(X, 2, "avg", **both).astype(float).tolist() == [[6.0, 6.0], [6.0, 6.0]]
    padded = {**both, "padding": ((1, 0), (0, 0))}
    assert oracle.pool2d(X, 2, "avg", **padded).astype(float).tolist() == [[3.0, 3.0], [6.0, 6.0]]
    alone = oracle.pool2d(X, 2, "avg", **padded, count_include_pad=False)
    assert alone.astype(float).tolist() == [[6.0, 6.0], [6.0, 6.0]]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_quotients_of_exact_sums_are_rounded_once(dtype):
    """The comment in fuzz.py about double rounding, tried out."""
    fraction_bits = {"bfloat16": 8, "float16": 11, "float32": 24}[dtype]
    rng = np.random.default_rng(0)
    sums, divisors = rng.integers(1, 2**fraction_bits, 4000), rng.integers(1, 26, 4000)
    rounded = oracle.round_to(sums.astype(np.float64) / divisors, dtype)
    for total, divisor, value in zip(sums.tolist(), divisors.tolist(), rounded.tolist()):
        # |value - total / divisor| <= half an ulp, in integers
        shift = 200
        _, exponent = np.frexp(value)
        half_ulp = 2 ** (shift + int(exponent) - fraction_bits - 1)
        scaled = int(value * 2.0**40) << (shift - 40)
        assert abs(scaled * divisor - (total << shift)) <= half_ulp * divisor
