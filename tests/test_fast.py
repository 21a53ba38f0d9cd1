"""``use_precision("fast")``: what it changes and what not, its bounds, the matrix in it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from convbridge_numpy.engine import winograd

import convbridge
from convbridge import selection
from convbridge.cli import main
from convbridge.errors import ArgumentError
from convbridge.parity import bounds, bounds_fast, fuzz, oracle, run_matrix
from convbridge.parity.cases import random_cases
from convbridge.parity.choose import chooser
from convbridge.parity.expected import expected, relaxed
from convbridge.parity.gradient_cases import random_gradient_case
from convbridge.parity.lattice import lattice
from convbridge.parity.observe import judge_outcome, judge_pair, observe
from convbridge.parity.serial import case_named, outcome_from, outcome_to

LARGE = "conv2d/3x3-bias-batch1-in64-size34x34/NCHW/float32/"


def fast(X, weight, bias=None, **keywords):
    with convbridge.use_precision("fast"), selection.watch_trades() as noted:
        Y = convbridge.conv2d(X, weight, bias, backend="numpy", **keywords)
    return Y, noted


def normal(seed, *shape, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# --------------------------------------------------------------------------- values


@pytest.mark.parametrize("case", [*random_cases(150, 8), *random_cases(50, 8, random_gradient_case)], ids=str)
def test_nothing_changes_where_no_fast_engine_applies(case):
    if case.gap(convbridge.registry.load("numpy").spec.unsupported) is not None:
        assert observe(case, "numpy", "fast").status == "unsupported"
        return
    one, other = observe(case, "numpy"), observe(case, "numpy", "fast")
    assert one.status == other.status == "answered"
    assert other.traded == ()
    for name, values in one.values.items():
        if values is None:
            assert other.values[name] is None
        else:
            assert values.dtype == other.values[name].dtype
            assert values.tobytes() == other.values[name].tobytes()


@pytest.mark.parametrize("seed", range(12))
def test_values_are_within_the_bound_of_the_engine_that_ran(seed):
    rng = np.random.default_rng(seed)
    dtype = ("float32", "float64")[seed % 2]
    channels, outputs = rng.integers(60, 70, 2).tolist()
    groups = int(rng.choice([1, 1, 2]))
    padding = tuple(tuple(rng.integers(0, 4, 2).tolist()) for _ in range(2))
    size = tuple(rng.integers(32, 38, 2).tolist())
    decades = float(rng.choice([0, 3]))
    X = normal(seed, int(rng.integers(1, 3)), channels * groups, *size, dtype=dtype)
    X *= (10.0 ** rng.uniform(-decades, decades, X.shape)).astype(dtype)
    weight, bias = normal(seed + 1, outputs * groups, channels, 3, 3, dtype=dtype), normal(seed, outputs * groups)
    bias = bias.astype(dtype)
    Y, noted = fast(X, weight, bias, padding=padding, groups=groups)
    assert len(noted) == 1
    assert next(iter(noted)).startswith("Winograd")
    wanted = oracle.conv2d(X, weight, bias, padding=padding, groups=groups)
    bound = bounds_fast.conv2d_bound(noted, X, weight, bias, dtype=dtype, padding=padding, groups=groups)
    apart = np.abs(Y - wanted)
    assert (apart <= bound).all()
    assert (apart > 0).any()
    last, _ = fast(X.transpose(0, 2, 3, 1), weight, bias, padding=padding, groups=groups, data_format="NHWC")
    assert (np.abs(last.transpose(0, 3, 1, 2) - wanted) <= bound).all()
    assert (fast(X, weight, bias, padding=padding, groups=groups)[0] == Y).all()  # and the same in every run


def test_the_bound_notices_a_wrong_tile():
    X, weight = normal(0, 1, 64, 34, 34), normal(1, 64, 64, 3, 3)
    Y, noted = fast(X, weight)
    Y[0, 5, 4:8, 8:12] = Y[0, 5, 4:8, 12:16].copy()
    assert (np.abs(Y - oracle.conv2d(X, weight)) > bounds_fast.conv2d_bound(noted, X, weight, dtype="float32")).any()


@pytest.mark.parametrize("where", ["image", "weight"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e37, -3e37])
def test_numbers_that_would_spread_or_overflow_go_another_way(where, value):
    X, weight = normal(0, 1, 64, 34, 34), normal(1, 64, 64, 3, 3) / 64
    (X if where == "image" else weight).reshape(-1)[5000] = value
    Y, noted = fast(X, weight)
    assert noted == set()
    allowed = bounds.conv2d_bound(X, weight, dtype="float32")
    assert bounds.judge(Y.astype(np.longdouble), oracle.conv2d(X, weight), allowed).kind != "REAL DIFFERENCE"
    assert np.isfinite(Y).any()


def test_the_largest_numbers_that_stay_finite():
    X, weight = normal(0, 1, 64, 34, 34), normal(1, 64, 64, 3, 3)
    X[0, :, :, ::2] = 1e32 * np.sign(X[0, :, :, ::2])
    weight[...] = np.sign(weight)
    Y, noted = fast(X, weight)
    assert noted == {bounds_fast.WINOGRAD}
    assert (np.abs(Y - oracle.conv2d(X, weight)) <= bounds_fast.winograd_bound(X, weight, dtype="float32")).all()


@pytest.mark.parametrize("scale", [1e-20, 1e-23, 1e-38])
def test_underflow_is_in_the_bound(scale):
    X, weight = normal(0, 1, 64, 34, 34) * np.float32(scale), normal(1, 64, 64, 3, 3) * np.float32(scale)
    for image, kernels in ((X, weight), (normal(0, 1, 64, 34, 34), weight), (X, normal(1, 64, 64, 3, 3))):
        Y, noted = fast(image, kernels)
        assert noted == {bounds_fast.WINOGRAD}
        bound = bounds_fast.winograd_bound(image, kernels, dtype="float32")
        assert (np.abs(Y - oracle.conv2d(image, kernels)) <= bound).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("size", "kernel", "padding"),
    [((160, 170), (31, 27), 0), ((100, 300), (29, 40), ((3, 40), (0, 17))), ((20, 700), (5, 150), ((4, 9), (90, 0)))],
)
def test_large_kernels_by_fourier(dtype, size, kernel, padding):
    X, weight, bias = normal(0, 2, 1, *size, dtype=dtype), normal(1, 2, 1, *kernel, dtype=dtype), normal(2, 2)
    X[1, :, :, size[1] // 2 :] = 0
    bias = bias.astype(dtype)
    if size == (20, 700):
        X = np.tile(X, (1, 1, 2, 1))
    Y, noted = fast(X, weight, bias, padding=padding)
    assert noted == {bounds_fast.FOURIER}
    wanted, allowed = oracle.conv2d(X, weight, bias, padding=padding), bounds.conv2d_bound
    bound = allowed(X, weight, bias, dtype=dtype, padding=padding) + bounds_fast.fourier_bound(X, weight)
    assert (np.abs(Y - wanted) <= bound).all()
    assert (np.abs(np.roll(Y, 1, axis=-1) - wanted) > bound).any()
    assert (fast(X, weight, bias, padding=padding)[0] == Y).all()
    X[0, 0, 10, 10] = np.nan
    Y, noted = fast(X, weight, bias, padding=padding)
    assert noted == set()
    assert np.isfinite(Y[1]).all()


# --------------------------------------------------------------------------- the matrix


def test_the_lattice_of_fast_has_cases_that_trade():
    known = {case.name for case in lattice()}
    more = [case for case in lattice(precision="fast") if case.name not in known]
    assert len(lattice(precision="fast")) == len(known) + len(more)
    traded = {case.name: observe(case, "numpy", "fast").traded for case in more}
    assert sum(map(bool, traded.values())) > 20
    assert sum(not names for names in traded.values()) > 5
    assert case_named(more[0].name).name == more[0].name


def test_the_matrix_in_fast():
    cases = lattice(chooser("conv2d/3x3-bias-batch1-in64 and float32 or conv2d/3x3/ and float32"), precision="fast")
    matrix = run_matrix(["numpy"], cases=cases, precision="fast")
    assert matrix.agrees
    assert matrix.facts["precision"] == "fast"
    found = {comparison.case: comparison for comparison in matrix.comparisons}
    assert (found[LARGE + "whole"].verdict, found[LARGE + "whole"].exact) == ("rounding", False)
    assert found["conv2d/3x3/NCHW/float32/whole"].exact
    assert 0.001 < found[LARGE + "spread"].fraction < 1
    exact = run_matrix(["numpy"], cases=cases)
    assert {c.case: c.verdict for c in exact.comparisons}[LARGE + "whole"] == "equal"
    assert "precision" not in exact.facts


def test_the_bound_of_fast_is_for_those_who_trade_and_only_then():
    case = case_named(LARGE + "whole")
    answer, outcome = expected(case), observe(case, "numpy", "fast")
    assert outcome.traded == (bounds_fast.WINOGRAD,)
    own = relaxed(case, answer, outcome.traded)
    assert judge_outcome(case, outcome, own)["Y"].verdict == "rounding"
    assert judge_outcome(case, outcome, answer)["Y"].verdict == "REAL DIFFERENCE"
    assert relaxed(case, answer, ("an engine without a bound",)) is answer
    small = case_named("conv2d/3x2/NCHW/float32/whole")  # no kernel of Winograd's
    assert relaxed(small, expected(small), outcome.traded)["Y"].exact
    direct = observe(case, "numpy").values["Y"]
    pair = judge_pair(outcome.values["Y"], direct, own["Y"], answer["Y"])
    assert (pair.verdict, pair.exact) == ("rounding", False)
    assert judge_pair(outcome.values["Y"], direct + 1, own["Y"], answer["Y"]).verdict == "REAL DIFFERENCE"
    again = outcome_from(*outcome_to(outcome))
    assert again.traded == outcome.traded


def test_a_trade_in_exact_is_a_real_difference(monkeypatch):
    monkeypatch.setattr("convbridge_numpy.ops.precision", lambda: "fast")
    outcome = observe(case_named(LARGE + "spread"), "numpy")
    assert (outcome.status, outcome.reason) == (
        "wrong",
        "traded accuracy for speed in 'exact': Winograd F(4x4, 3x3)",
    )


def test_the_command(capsys):
    arguments = ["--only", LARGE + "whole", "--only", "conv2d/3x3/NCHW/float32/whole", "--backends", "numpy"]
    assert main(["parity", "--precision", "fast", *arguments, "--jobs", "1"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "precision fast" in shown
    assert main(["parity", "--precision", "turbo", *arguments]) == 2
    assert "--precision must be exact or fast, not 'turbo'" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(ArgumentError, match="precision must be"):
        run_matrix(["numpy"], precision="turbo")


def test_the_fuzz_in_fast(capsys, monkeypatch):
    monkeypatch.setattr(fuzz, "random_cases", lambda count, seed, draw: map(partial(draw, seed), (10, 12)))
    found = fuzz.run(["numpy"], 2, 0, precision="fast")
    assert (found.backends["numpy"].traded, found.failures) == (2, [])
    assert "2 traded accuracy for speed" in str(found)
    right = winograd._outputs_along_columns
    monkeypatch.setattr(winograd, "_outputs_along_columns", lambda *arguments: right(*arguments) * np.float32(1.001))
    assert fuzz.main(["--precision", "fast", "--backends", "numpy", "--only", "10", "--cases", "1"]) == 1
    assert "--precision fast --backends numpy" in capsys.readouterr().out
