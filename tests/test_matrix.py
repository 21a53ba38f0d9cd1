"""The matrix in one process: what it compares, how it judges, which cases there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import convbridge
from convbridge import parity, registry
from convbridge.errors import ArgumentError, UnknownBackendError
from convbridge.parity.cases import random_cases
from convbridge.parity.choose import chooser
from convbridge.parity.gradient_cases import random_gradient_case
from convbridge.parity.lattice import lattice
from convbridge.parity.results import ORACLE, Comparison, Matrix, Row, severity
from convbridge.parity.serial import case_from, case_named, case_to


def some(words):
    return lattice(chooser(words))


# --------------------------------------------------------------------------- the lattice


def test_the_lattice_is_the_same_every_time():
    first, second = lattice(), lattice()
    assert [case.name for case in first] == [case.name for case in second]
    for one, other in zip(first[::50], second[::50]):
        for name, operand in one.operands.items():
            np.testing.assert_array_equal(operand.values, other.operands[name].values)


def test_the_lattice_holds_every_option():
    cases = lattice()
    assert len(cases) > 2000
    assert len({case.name for case in cases}) == len(cases)
    rows = {(case.operation, case.implementation, case.kind) for case in cases}
    kinds = ("value", "gradient")
    assert rows >= set(itertools.product(("conv2d", "max_pool2d", "avg_pool2d"), ("native",), kinds))
    assert rows >= set(itertools.product(("conv2d", "max_pool2d", "avg_pool2d"), ("chapter",), ("value",)))
    assert {case.dtype for case in cases} == {"float32", "float64", "float16", "bfloat16"}
    words = {keyword for case in cases for keyword in case.keywords.values() if isinstance(keyword, str)}
    assert words >= {"valid", "same_upper", "same_lower", "chapter", "NHWC"}
    assert any(case.keywords.get("ceil_mode") for case in cases)
    assert any(not case.keywords.get("count_include_pad", True) for case in cases)
    assert any(case.keywords.get("groups", 1) > 1 for case in cases)
    assert any(case.operands["X"].values.shape[0] == 0 for case in cases)
    special = [case for case in cases if case.name.endswith("special")]
    assert all(
        not np.isfinite(case.operands["X"].values).all() for case in special if case.operands["X"].values.size > 60
    )


@pytest.mark.parametrize(
    "case", [*lattice()[::200], *random_cases(5, 3), *random_cases(5, 3, random_gradient_case)], ids=str
)
def test_a_case_is_found_by_its_name(case):
    again = case_named(case.name)
    assert str(again) == str(case)
    for name, operand in case.operands.items():
        np.testing.assert_array_equal(operand.values, again.operands[name].values)


def test_a_wrong_name_is_an_error_that_helps():
    with pytest.raises(ArgumentError, match="Did you mean 'conv2d/1x1/NCHW/float32/whole'"):
        case_named("conv2d/1x1/NCHW/float32/hole")


@pytest.mark.parametrize("case", list(random_cases(40, 5)), ids=str)
def test_a_case_written_whole_is_the_same_call(case):
    again = case_from(*case_to(case, whole=True))
    assert again.name == case.name
    assert list(again.operands) == list(case.operands)
    for name, value in case.keywords.items():
        if isinstance(value, str):
            assert again.keywords[name] == value
        elif value is not None:
            np.testing.assert_array_equal(again.keywords[name], value)


# --------------------------------------------------------------------------- choosing


@pytest.mark.parametrize(
    ("words", "one", "other"),
    [
        ("conv2d and float64", "conv2d/1x1/NCHW/float64/whole", "conv2d/1x1/NCHW/float32/whole"),
        ("not NHWC", "conv2d/1x1/NCHW/float32/whole", "conv2d/1x1/NHWC/float32/whole"),
        ("chapter or gradient", "chapter.corr2d/3x3-2x2/float32/whole", "corr2d/3x3-2x2/float32/whole"),
        ("NOT (whole OR spread)", "conv2d/1x1/NCHW/float32/special", "conv2d/1x1/NCHW/float32/whole"),
        ("float64 or float32 and whole", "conv2d/1x1/NCHW/float64/spread", "conv2d/1x1/NCHW/float32/spread"),
    ],
)
def test_words_choose(words, one, other):
    chosen = {case.name for case in some(words)}
    assert one in chosen
    assert other not in chosen


@pytest.mark.parametrize("words", ["and", "conv2d and", "(conv2d", "conv2d)", "not", "a b", "()", "or or"])
def test_unreadable_words_are_an_error(words):
    with pytest.raises(ArgumentError, match="select must be words"):
        chooser(words)


# --------------------------------------------------------------------------- runs


def test_every_backend_agrees_on_a_part_of_the_lattice(backend):
    matrix = parity.run_matrix([backend], cases=lattice()[::9])
    assert matrix.agrees, matrix.failures[:3]
    counts = matrix.counts()
    assert counts["equal"] > 100
    assert counts["rounding"] > 50
    assert max(c.fraction for c in matrix.comparisons) > 0.3  # the cases ask for roundings


def test_all_pairs_are_compared():
    names = convbridge.available_backends()
    matrix = parity.run_matrix(cases=some("conv2d/3x3/NCHW/float32/spread"))
    pairs = [(name, ORACLE) for name in names] + list(itertools.combinations(names, 2))
    assert [(c.left, c.right) for c in matrix.comparisons if c.result == "Y"] == pairs
    assert matrix.pairs == pairs
    assert [participant.framework.split()[0] for participant in matrix.participants] == list(names)


def test_a_pair_may_differ_by_both_bounds(install):
    # each is off by half of its bound, in opposite directions: together by half of the sum of the two
    for name, sign in (("low", "-"), ("high", "+")):
        install(
            name,
            ops=f"""
            _conv2d = conv2d
            def conv2d(X, weight, bias, **keywords):
                size = np.asarray(_conv2d(abs(X), abs(weight), None, **keywords), "f8")
                Y = np.asarray(_conv2d(X, weight, bias, **keywords), "f8")
                return (Y {sign} 9 * 2.0**-24 * size).astype("f4").view(Tensor)
            """,
        )
    matrix = parity.run_matrix(["low", "high"], cases=some("conv2d/3x3/NCHW/float32/spread and value"))
    found = {(c.left, c.right): c for c in matrix.comparisons}
    assert all(c.verdict == "rounding" for c in found.values()), found
    assert 0.4 < found["high", "low"].fraction < 0.8


AN_AVERAGE_THAT_IS_A_MAXIMUM = """
def avg_pool2d(X, pool_size, *, counted, **keywords):
    return max_pool2d(X, pool_size, **keywords)
"""


def test_a_wrong_backend_fails_its_own_cells(install):
    install("fake", ops=AN_AVERAGE_THAT_IS_A_MAXIMUM)
    matrix = parity.run_matrix(["numpy", "fake"], cases=some("2x2-stride2-ceil and float32 and not vjp"))
    assert not matrix.agrees
    assert {c.left for c in matrix.failures if c.right == ORACLE} == {"fake"}
    verdicts = {row.operation: cells["fake", ORACLE].verdict for row, cells in matrix.cells().items()}
    assert verdicts == {"max_pool2d": "equal", "avg_pool2d": "REAL DIFFERENCE"}
    worst = next(c for c in matrix.failures if c.right == ORACLE)
    assert "elements differ" in worst.reason
    detail = matrix.details[worst.case, worst.result]
    assert set(detail.outputs) == {"numpy", "fake"}
    assert detail.outputs["fake"].shape == detail.value.shape == detail.bound.shape


BROKEN = {
    "raises": ("raise RuntimeError('no luck')", "crashed", "raised RuntimeError: no luck"),
    "warns": ("import warnings; warnings.warn('careful'); return good()", "REAL DIFFERENCE", "warned: UserWarning"),
    "writes": ("X[...] = 1; return good()", "REAL DIFFERENCE", "changed its input X"),
    "forgets the bias": (
        "return conv2d(X, weight, 0 * bias, **keywords) if bias.any() else good()",
        "REAL DIFFERENCE",
        "elements differ",
    ),
    "another shape": ("return good()[..., :-1]", "REAL DIFFERENCE", "returned the shape"),
    "another dtype": ("return good().astype('f8')", "REAL DIFFERENCE", "returned float64, not float32"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_every_promise_is_judged(install, fault):
    body, verdict, reason = BROKEN[fault]
    install(
        "fake",
        ops=f"""
        def conv2d(X, weight, bias, **keywords):
            def good():
                b = None if bias is None else np.asarray(bias)
                return base.conv2d(np.asarray(X), np.asarray(weight), b, **keywords).view(Tensor)
            {body}
        """,
    )
    cases = some("conv2d/2x3-bias/NCHW/float32/whole")
    # a tensor of the backend, or the facade's copy would be what is written to
    cases = [c._replace(operands={n: o._replace(native=True) for n, o in c.operands.items()}) for c in cases]
    (comparison,) = parity.run_matrix(["fake"], cases=cases).comparisons
    assert comparison.verdict == verdict
    assert reason in comparison.reason


def test_a_gap_counts_as_unsupported_and_an_undocumented_one_does_not(install):
    reason = "Poolings are not for this one."
    install("documented", gaps={"max_pool2d": reason}, ops="def max_pool2d(X, pool_size, **keywords): raise ValueError")
    cases = some("max-2x2/NCHW/float32/whole and not vjp")
    (comparison,) = parity.run_matrix(["documented"], cases=cases).comparisons
    assert (comparison.verdict, comparison.reason) == ("unsupported", reason)
    assert not parity.run_matrix(["documented"], cases=cases).agrees  # nothing was compared


def test_a_missing_backend_fails(install):
    install("absent", framework="no_such_framework")
    matrix = parity.run_matrix(["numpy", "absent"], cases=some("conv2d/1x1/NCHW"))
    assert not matrix.agrees
    assert {c.left for c in matrix.failures} == {"absent"}
    assert {c.verdict for c in matrix.failures} == {"missing"}
    assert "pip install it" in matrix.participants[1].problem


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"backends": ["nmupy"]}, UnknownBackendError),
        ({"backends": []}, ArgumentError),
        ({"cases": []}, ArgumentError),
        ({"jobs": 0}, ArgumentError),
        ({"cases": 2 * lattice()[:1]}, ArgumentError),
    ],
    ids=str,
)
def test_bad_arguments(arguments, error):
    with pytest.raises(error):
        parity.run_matrix(**{"backends": ["numpy"], **arguments})


def test_progress_reaches_its_end():
    seen = []
    parity.run_matrix(["numpy"], cases=lattice()[:5], progress=lambda *step: seen.append(step))
    assert seen == [(n, 5) for n in range(1, 6)]


def test_the_worst_comparison_stands_for_a_cell():
    fine = Comparison("c", "Y", "a", ORACLE, "rounding", fraction=0.4)
    ordered = [fine._replace(verdict="unsupported"), fine._replace(verdict="equal", fraction=0.0), fine]
    ordered += [
        fine._replace(fraction=0.9),
        fine._replace(verdict="REAL DIFFERENCE", fraction=2.0),
        fine._replace(verdict="crashed"),
    ]
    backwards = ordered[::-1]
    assert sorted(backwards, key=severity) == ordered


def test_an_empty_matrix_does_not_agree():
    assert not Matrix().agrees


def test_rows_say_who_is_called():
    matrix = parity.run_matrix(["numpy"], cases=some("chapter.corr2d/3x3-2x2/float64"))
    assert list(matrix.cells()) == [Row("corr2d", "chapter", "value", "float64")]
    assert registry.load("numpy").spec.name == "numpy"
