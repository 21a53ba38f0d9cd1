"""A sample of the random cases on every backend, and proof that wrong backends do not pass it.

``CONVBRIDGE_FUZZ_CASES`` and ``CONVBRIDGE_FUZZ_SEED`` choose another sample;
``python -m convbridge.parity.fuzz`` runs large ones.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from convbridge import registry
from convbridge.parity import fuzz
from convbridge.parity.cases import LAYOUTS, random_case, random_cases

CASES = int(os.environ.get("CONVBRIDGE_FUZZ_CASES", "300"))
SEED = int(os.environ.get("CONVBRIDGE_FUZZ_SEED", "20240229"))


def test_backend_agrees_with_the_oracle(backend):
    summary = fuzz.run([backend], CASES, SEED)
    assert not summary.failures, "\n".join(map(str, summary.failures[:5]))
    found = summary.backends[backend]
    assert found.cases == CASES
    assert found.equal + found.rounding == CASES


def test_every_entry_of_the_tables_of_gaps_is_met(backend):
    """An entry that no case matches would be a claim that nobody checks."""
    table = registry.spec(backend).unsupported
    met = {case.gap(table) for case in random_cases(3000, 0)} - {None}
    assert met == set(table.values())


#: A fault, how a failure must describe it, and the operators that have it.
WRONG = {
    "tf32": (
        "times the rounding bound",
        """
        def _short(x):  # ten bits of fraction, as a tensor core keeps of float32
            return (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) if x.dtype == np.float32 else x
        _conv2d = conv2d
        def conv2d(X, weight, bias, **keywords):
            return _conv2d(_short(np.asarray(X)), _short(np.asarray(weight)), bias, **keywords)
    """,
    ),
    "one product too few": (
        "elements differ",
        """
        _conv2d = conv2d
        def conv2d(X, weight, bias, **keywords):
            weight = np.array(weight)
            weight[..., -1, -1] = 0
            return _conv2d(X, weight, bias, **keywords)
    """,
    ),
    "true convolution": (
        "elements differ",
        """
        _conv2d = conv2d
        def conv2d(X, weight, bias, **keywords):
            return _conv2d(X, weight[:, :, ::-1, ::-1], bias, **keywords)
    """,
    ),
    "no bias": (
        "elements differ",
        """
        _conv2d = conv2d
        def conv2d(X, weight, bias, **keywords):
            return _conv2d(X, weight, None, **keywords)
    """,
    ),
    "padding on the other side": (
        "elements differ",
        """
        _conv2d = conv2d
        def conv2d(X, weight, bias, *, padding, **keywords):
            top, bottom, left, right = padding
            return _conv2d(X, weight, bias, padding=type(padding)(bottom, top, left, right), **keywords)
    """,
    ),
    "groups in another order": (
        "elements differ",
        """
        _conv2d = conv2d
        def conv2d(X, weight, bias, *, groups, data_format, **keywords):
            Y = _conv2d(X, weight, bias, groups=groups, data_format=data_format, **keywords)
            if groups > 1:
                Y = np.flip(Y, 1 if data_format == "NCHW" else 3)
            return Y
    """,
    ),
    "max pooling that pads with zeros": (
        "elements differ (must be equal)",
        """
        def max_pool2d(X, pool_size, *, padding, data_format, **keywords):
            nowhere = type(padding)(0, 0, 0, 0)
            X = base._pad(base._channels_first(np.asarray(X), data_format), padding, 0.0)
            Y = base.max_pool2d(X, pool_size, padding=nowhere, data_format="NCHW", **keywords)
            return base._as_given(Y, data_format).view(Tensor)
    """,
    ),
    "max pooling that loses NaN": (
        "not nan",
        """
        _max_pool2d = max_pool2d
        def max_pool2d(X, pool_size, **keywords):
            return _max_pool2d(np.where(np.isnan(X), -np.inf, X), pool_size, **keywords)
    """,
    ),
    "divisor counts everything": (
        "elements differ",
        """
        _avg_pool2d = avg_pool2d
        def avg_pool2d(X, pool_size, *, padding, counted, **keywords):
            return _avg_pool2d(X, pool_size, padding=padding, counted=padding, **keywords)
    """,
    ),
    "reciprocal instead of a division": (
        "elements differ (must be equal)",
        """
        _avg_pool2d = avg_pool2d
        def avg_pool2d(X, pool_size, *, padding, counted, **keywords):
            Y = _avg_pool2d(X, pool_size, padding=padding, counted=counted, **keywords)
            if counted == padding:
                n = pool_size[0] * pool_size[1]
                Y = np.rint(Y * n) * (Y.dtype.type(1) / Y.dtype.type(n)) if (np.rint(Y * n) == Y * n).all() else Y
            return Y.view(Tensor)
    """,
    ),
    "float32 for float64": (
        "returned float32, not float64",
        """
        _conv2d = conv2d
        def conv2d(X, weight, bias, **keywords):
            return _conv2d(X, weight, bias, **keywords).astype(np.float32)
    """,
    ),
    "a NaN that spreads": (
        "nan, not",
        """
        _conv2d = conv2d
        def conv2d(X, weight, bias, **keywords):
            return _conv2d(X, weight, bias, **keywords) + 0 * np.sum(X)
    """,
    ),
    "writes to its input": (
        "changed its input X",
        """
        _max_pool2d = max_pool2d
        def max_pool2d(X, pool_size, **keywords):
            Y = _max_pool2d(X, pool_size, **keywords)
            X[...] = 0
            return Y
    """,
    ),
    "returns its input": (
        "shares memory with an input",
        """
        _max_pool2d = max_pool2d
        def max_pool2d(X, pool_size, **keywords):
            Y = _max_pool2d(X, pool_size, **keywords)
            return X if X.shape == Y.shape and (X == Y).all() else Y
    """,
    ),
    "warns": (
        "warned: UserWarning: as some frameworks do",
        """
        import warnings
        _max_pool2d = max_pool2d
        def max_pool2d(X, pool_size, **keywords):
            warnings.warn("as some frameworks do", stacklevel=1)
            return _max_pool2d(X, pool_size, **keywords)
    """,
    ),
    "raises": (
        "raised RuntimeError: internal error",
        """
        def conv2d(X, weight, bias, *, dilation, **keywords):
            raise RuntimeError("internal error")
    """,
    ),
}


def test_the_fake_backend_is_right_before_it_is_made_wrong(install):
    install("fake")
    summary = fuzz.run(["fake"], 300, 1)
    assert not summary.failures, "\n".join(map(str, summary.failures[:5]))


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_backend_fails(install, fault, capsys):
    problem, ops = WRONG[fault]
    install("fake", ops=ops)
    arguments = ["--backends", "fake", "--cases", "300", "--seed", "1"]
    assert fuzz.main(arguments) == 1
    shown = capsys.readouterr().out
    assert problem in shown
    assert "--seed 1 --only" in shown


def test_a_documented_gap_is_refused_and_does_not_count(install):
    install("fake", gaps={"max_pool2d[float32]": "It is Monday."})
    summary = fuzz.run(["fake"], 40, 1)
    found = summary.backends["fake"]
    assert not summary.failures
    assert found.cases == 40
    assert found.unsupported["It is Monday."] > 0


def test_a_backend_that_refuses_everything_fails(install, capsys):
    install(
        "fake",
        ops="""
        from convbridge.errors import UnsupportedOperationError
        def conv2d(*arguments, **keywords):
            raise UnsupportedOperationError("not today")
        max_pool2d = avg_pool2d = conv2d
        """,
    )
    assert fuzz.main(["--backends", "fake", "--cases", "20"]) == 1
    assert "not today" in capsys.readouterr().out


def test_the_failing_case_can_be_run_again(install, capsys):
    install("fake", ops=WRONG["true convolution"][1])
    failure = fuzz.run(["fake"], 50, 7).failures[0]
    assert fuzz.main(["--backends", "fake", "--seed", "7", "--only", str(failure.case.number)]) == 1
    assert failure.problem in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--backends", "nonsense"], ["--backends", "missing"]])
def test_a_missing_backend_is_exit_2(install, arguments, capsys):
    install("missing", framework="no_such_framework")
    assert fuzz.main([*arguments, "--cases", "1"]) == 2
    assert "Received" in capsys.readouterr().err


def test_bad_usage_is_exit_2(capsys):
    with pytest.raises(SystemExit) as stopped:
        fuzz.main(["--cases", "-1"])
    assert stopped.value.code == 2


def test_cases_are_drawn_again_from_two_integers():
    first, second = random_case(3, 4), random_case(3, 4)
    assert str(first) == str(second)
    for a, b in zip(first.operands.values(), second.operands.values()):
        np.testing.assert_array_equal(a.values, b.values)
    assert str(random_case(3, 5)) != str(first) != str(random_case(4, 4))


def test_cases_cover_what_they_promise():
    drawn = list(random_cases(3000, 0))
    operands = [operand for case in drawn for operand in case.operands.values()]
    assert {operand.layout for operand in operands} == {*LAYOUTS, "list"}
    assert {operand.dtype for operand in operands} == {
        *("float16", "bfloat16", "float32", "float64", "bool", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32"),
    }
    assert {case.function for case in drawn} == {
        *("conv2d", "pool2d", "corr2d", "convolve2d", "corr2d_multi_in", "corr2d_multi_in_out"),
        "corr2d_multi_in_out_1x1",
    }
    words = {case.keywords["padding"].lower() for case in drawn if isinstance(case.keywords.get("padding"), str)}
    assert words == {"valid", "same", "same_upper", "same_lower", "chapter"}
    convolutions = [case for case in drawn if case.function == "conv2d"]
    assert any(case.operands["X"].values.size == 0 for case in convolutions)
    assert any(case.keywords["groups"] > 1 and case.operands["weight"].values.shape[1] == 1 for case in convolutions)
    special = [operand.values for operand in operands if operand.values.dtype.kind == "f"]
    for test in (np.isnan, np.isposinf, np.isneginf):
        assert any(test(values).any() for values in special)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 1), (3,), (0, 2, 2, 2)])
def test_layouts_hold_the_same_numbers_in_memory_of_their_own(layout, shape):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    array = LAYOUTS[layout](values)
    np.testing.assert_array_equal(array, values)
    assert not np.shares_memory(array, values)


def test_layouts_are_what_they_are_called():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    built = {name: copy(values) for name, copy in LAYOUTS.items()}
    assert built["fortran"].flags.f_contiguous
    assert not built["transposed"].flags.c_contiguous
    assert min(built["reversed"].strides) < 0
    assert not built["strided"].flags.forc
    assert not built["unaligned"].flags.aligned
    assert not built["big-endian"].dtype.isnative
    assert not built["read-only"].flags.writeable
