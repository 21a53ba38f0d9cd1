"""Two oracles of different kinds agree on every sort of case, and a fault in either one is seen."""

from __future__ import annotations

import ast
import inspect
from itertools import product

import numpy as np
import pytest

from convbridge.parity import agreement, oracle, oracle_gradients, second_oracle
from convbridge.parity.agreement import OracleDisagreement, check
from convbridge.parity.cases import Case, Operand, random_case
from convbridge.parity.expected import expected
from convbridge.parity.gradient_cases import random_gradient_case

SEED = 20240531
DRAWS = {"value": random_case, "gradient": random_gradient_case}
ORACLES = {"first": (oracle, oracle_gradients), "second": (second_oracle, second_oracle)}


def oracles_agree(kind, count):
    """Run cases through both; return how many there were of each function, and the fraction of the bound used."""
    seen, used = {}, 0.0
    for number in range(count):
        case = DRAWS[kind](SEED, number)
        used = max(used, check(case, expected(case)))
        seen[case.function] = seen.get(case.function, 0) + 1
    return seen, used


# --------------------------------------------------------------------------- they agree


@pytest.mark.parametrize(("kind", "functions"), [("value", 7), ("gradient", 2)])
def test_the_oracles_agree_on_random_cases(kind, functions):
    seen, used = oracles_agree(kind, 500)
    assert len(seen) == functions
    assert 0 < used <= 1  # they add in different orders, so they are two computations and not one


def test_the_second_oracle_imports_nothing_of_the_library():
    tree = ast.parse(inspect.getsource(second_oracle))
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert set(modules) == {"__future__", "itertools", "typing", "numpy"}


def test_the_oracles_are_interchangeable():
    for first, names in ((oracle, ("conv2d", "pool2d")), (oracle_gradients, ("conv2d_vjp", "pool2d_vjp"))):
        for name in names:
            assert inspect.signature(getattr(first, name)) == inspect.signature(getattr(second_oracle, name))
    assert set(second_oracle.__all__) == {"conv2d", "pool2d", "conv2d_vjp", "pool2d_vjp"}


WORDS = ("valid", "SAME", "same_upper", "Same_Lower", "chapter")


def test_they_read_padding_words_and_ceil_mode_alike():
    """Every small axis there is; one axis in a test stands for both, since they are read alike."""
    counted = 0
    for n, kernel, stride, dilation in product(range(1, 8), range(1, 4), range(1, 5), (1, 2, 3)):
        reach = dilation * (kernel - 1)
        numbers = [((before, after), (0, 0)) for before, after in product(range(min(reach, 3) + 1), repeat=2)]
        for padding, ceil_mode in product((*WORDS, *numbers), (False, True)):
            ends = oracle.sides(padding, (n, 1), (reach + 1, 1), (stride, 1))[0]
            if reach and max(ends) > reach:
                continue
            windows = oracle.output_size(n, reach + 1, stride, ends, ceil_mode)
            if windows < 1:
                continue
            column = np.empty((n, 1))
            keywords = {"stride": (stride, 1), "padding": padding, "dilation": (dilation, 1), "ceil_mode": ceil_mode}
            rows, _ = second_oracle._axes(column, (kernel, 1), *keywords.values())
            places = np.add.outer(np.arange(windows) * stride - ends[0], np.arange(kernel) * dilation)
            np.testing.assert_array_equal(
                rows.pixels, np.where((places >= 0) & (places < n), places, n), err_msg=f"{n} {kernel} {keywords}"
            )
            counted += 1
    assert counted > 5000


def _case(function, keywords, dtype="float64", label="by hand", **arrays):
    operands = {name: Operand(np.asarray(array, dtype), dtype, "contiguous", False) for name, array in arrays.items()}
    return Case(0, 0, function, operands, keywords, dtype, label)


inf, nan = np.inf, np.nan
NOTHING = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "data_format": "NCHW"}
POOL = {"stride": 1, "padding": 0, "dilation": 1, "ceil_mode": False, "count_include_pad": True, "data_format": "NCHW"}
#: What random draws meet rarely, and what must come out, from the definition.
BY_HAND = {
    "zeros of the padding are multiplied": (
        _case("conv2d", {**NOTHING, "padding": ((0, 0), (1, 0))}, X=[[[[2.0]]]], weight=[[[[inf]]]]),
        [[[[nan, inf]]]],
    ),
    "infinities of both signs": (
        _case("conv2d", NOTHING, X=[[[[inf, -inf, 1.0]]]], weight=[[[[1.0, 1.0]]]]),
        [[[[nan, -inf]]]],
    ),
    "a dilated window looks past an infinity": (
        _case("conv2d", {**NOTHING, "dilation": (1, 2)}, X=[[[[1.0, inf, 2.0]]]], weight=[[[[1.0, 1.0]]]]),
        [[[[3.0]]]],
    ),
    "a batch of zero": (
        _case("conv2d", NOTHING, X=np.ones((0, 1, 3, 3)), weight=np.ones((2, 1, 2, 2))),
        np.ones((0, 2, 2, 2)),
    ),
    "the first NaN of a window": (
        _case("pool2d", {**POOL, "pool_size": (1, 2), "mode": "max"}, X=[[nan, 1.0, -inf, -inf]]),
        [[nan, 1.0, -inf]],
    ),
    "a dilated window that touches no pixel": (
        _case("pool2d", {**POOL, "pool_size": (1, 2), "mode": "max", "dilation": 3, "padding": (0, 1)}, X=[[1.0, 2.0]]),
        [[-inf]],
    ),
    "an average of nothing": (
        _case(
            "pool2d",
            {**POOL, "pool_size": (1, 2), "mode": "avg", "dilation": 3, "padding": (0, 1), "count_include_pad": False},
            X=[[1.0, 2.0]],
        ),
        [[nan]],
    ),
    "ceil mode drops what starts behind the image": (
        _case("pool2d", {**POOL, "pool_size": 1, "mode": "max", "stride": 2, "ceil_mode": True}, X=[[1.0, 2.0]]),
        [[1.0]],
    ),
    "what sticks out does not count": (
        _case("pool2d", {**POOL, "pool_size": 2, "mode": "avg", "stride": 2, "ceil_mode": True}, X=[[4.0, 4.0, 4.0]]),
        [[4.0, 4.0]],
    ),
    "of equals the first": (
        _case(
            "pool2d_vjp",
            {**POOL, "pool_size": (2, 2), "mode": "max"},
            X=[[1.0, 3.0, 3.0], [3.0, 3.0, 3.0]],
            grad_output=[[1.0, 10.0]],
        ),
        [[0.0, 11.0, 0.0], [0.0, 0.0, 0.0]],
    ),
    "padding is an equal among minus infinities": (
        _case(
            "pool2d_vjp",
            {**POOL, "pool_size": (1, 2), "mode": "max", "padding": (0, 1)},
            X=[[-inf, -inf]],
            grad_output=[[1.0, 10.0, 100.0]],
        ),
        [[10.0, 100.0]],
    ),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_both_say_what_the_definition_says(name):
    case, wanted = BY_HAND[name]
    answer = expected(case)
    assert check(case, answer) == 0
    (said,) = answer.values()
    np.testing.assert_array_equal(said.value, np.asarray(wanted, np.longdouble))


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_a_batch_of_zero_has_gradients_of_zero(data_format):
    shape = (0, 3, 4, 4)
    keywords = {**NOTHING, "data_format": data_format}
    X = np.empty(shape if data_format == "NCHW" else (0, 4, 4, 3))
    grad = np.empty((0, 2, 3, 3) if data_format == "NCHW" else (0, 3, 3, 2))
    dX, dW, db = second_oracle.conv2d_vjp(X, np.ones((2, 3, 2, 2)), np.ones(2), grad, **keywords)
    assert dX.shape == X.shape
    assert not dW.any()
    assert not db.any()


def test_float64_instead_of_longdouble_holds_too(monkeypatch):
    """On some platforms there is nothing wider than float64."""
    monkeypatch.setattr(np, "longdouble", np.float64)
    assert expected(random_case(SEED, 0))["Y"].value.dtype == np.float64
    for kind in DRAWS:
        _, used = oracles_agree(kind, 200)
        assert 0 < used <= 1


# --------------------------------------------------------------------------- a fault in either one is seen


def _swapped(real):
    """Exchange the two numbers of a pair."""
    return lambda *arguments: real(*arguments)[::-1]


def _window_starts_of_floor(first, end, size, reach, step, ceil_mode):
    return [start for start in range(first, end, step) if start + reach < end + (step - 1) * ceil_mode]


def _swapped_steps(real):
    def axes(image, kernel, stride, *others):
        return real(image, kernel, np.broadcast_to(stride, 2)[::-1], *others)

    return axes


def _last_of_the_largest(seen):
    windows = np.moveaxis(seen, -2, -3)
    flat = windows.reshape(*windows.shape[:-2], -1)
    last = flat.shape[-1] - 1 - flat[..., ::-1].argmax(axis=-1)
    return np.moveaxis((np.arange(flat.shape[-1]) == last[..., None]).reshape(windows.shape), -3, -2)


def _last_maximum(image, rows, columns):
    place, best = (rows[0], columns[0]), -np.inf
    for y, x in product(rows, columns):
        value = image[y][x] if 0 <= y < len(image) and 0 <= x < len(image[0]) else -np.inf
        if value != value:
            return y, x
        if value >= best:
            place, best = (y, x), value
    return place


def _ceil_without_the_exception(n, window, stride, ends, ceil_mode=False):
    room = n + sum(ends) - window
    return (-(-room // stride) if ceil_mode else room // stride) + 1


def _divisor_off(real):
    def pool(*arguments, **keywords):
        result, divisors = real(*arguments, **keywords)
        return result, divisors + 1

    return pool


def _flag_ignored(real):
    return lambda rows, columns, count_include_pad: real(rows, columns, True)


def _swap_sides(real):
    return lambda *arguments: tuple(ends[::-1] for ends in real(*arguments))


#: Which oracle, the name of what is replaced, how it is built from the real one, and the kinds of cases that see it.
FAULTS = {
    "padding on the other side": ("first", "sides", _swap_sides, ("value", "gradient")),
    "height and width of the padding swapped": ("first", "sides", _swapped, ("value", "gradient")),
    "stride and dilation swapped between the axes": ("first", "two", _swapped, ("value", "gradient")),
    "off by one in ceil mode": ("first", "output_size", lambda _: _ceil_without_the_exception, ("value",)),
    "a wrong divisor": ("first", "_pool", _divisor_off, ("value",)),
    "the last of equals": ("first", "_first_maximum", lambda _: _last_maximum, ("gradient",)),
    "a word's odd zero on the other side": ("second", "_padding_of_a_word", _swapped, ("value", "gradient")),
    "stride swapped between the axes": ("second", "_axes", _swapped_steps, ("value", "gradient")),
    "ceil mode keeps every window": ("second", "_window_starts", lambda _: _window_starts_of_floor, ("value",)),
    "padding always counted": ("second", "_divisors", _flag_ignored, ("value", "gradient")),
    "the last of the equal": ("second", "_first_of_the_largest", lambda _: _last_of_the_largest, ("gradient",)),
}
SEEN_BY = [(fault, kind) for fault, (*_, kinds) in FAULTS.items() for kind in kinds]


@pytest.mark.parametrize(("fault", "kind"), SEEN_BY)
def test_a_fault_in_one_oracle_is_seen(fault, kind, monkeypatch):
    which, name, build, _ = FAULTS[fault]
    cases = [DRAWS[kind](SEED, number) for number in range(150)]  # first, for the draws ask the first oracle for sizes
    for module in {module for module in ORACLES[which] if hasattr(module, name)}:
        monkeypatch.setattr(module, name, build(getattr(module, name)))
    for case in cases:
        try:
            answer = expected(case)
        except (IndexError, ValueError):
            continue  # the faulty first oracle asks for pixels that are not there
        try:
            check(case, answer)
        except OracleDisagreement as error:
            if "for the first oracle" in str(error):
                return
    pytest.fail("no case shows the fault in its numbers")


def test_the_message_names_the_place():
    case = _case("conv2d", NOTHING, X=np.arange(9.0).reshape(1, 1, 3, 3), weight=np.ones((1, 1, 2, 2)))
    answer = expected(case)
    answer["Y"].value[0, 0, 1, 0] += 1e-12
    with pytest.raises(OracleDisagreement) as caught:
        check(case, answer)
    text = str(caught.value)
    assert text.startswith("by hand, conv2d(X=float64[1, 1, 3, 3]")
    assert "Y differs at 1 of 4 places, the first at (0, 0, 1, 0): 20.000000000001" in text
    assert "20.0 for the second" in text


def test_another_shape_and_a_missing_result_are_seen():
    case = random_gradient_case(SEED, next(n for n in range(50) if "weight" in random_gradient_case(SEED, n).operands))
    answer = expected(case)
    narrow = answer["dX"]._replace(value=answer["dX"].value[..., :-1])
    with pytest.raises(OracleDisagreement, match="dX has the shape"):
        check(case, {**answer, "dX": narrow})
    bad = case._replace(
        operands={
            **case.operands,
            "grad_output": case.operands["grad_output"]._replace(values=np.ones((9, 9, 9, 9), np.float32)),
        }
    )
    with pytest.raises(OracleDisagreement, match="the second oracle cannot compute it"):
        check(bad, answer)
    gone = {**answer, "db": None if answer["db"] is not None else answer["dW"]}
    with pytest.raises(OracleDisagreement, match="only one oracle returns db"):
        check(case, gone)


# --------------------------------------------------------------------------- finite differences guard both


def _differences(function, array, step):
    """Differentiate ``function``, which returns a scalar, by the definition of a derivative."""
    slopes = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        moved = array.copy()
        moved[place] += step
        slopes[place] = (function(moved) - function(array)) / step
    return slopes


GEOMETRIES = [
    {"stride": 1, "padding": 0, "dilation": 1},
    {"stride": (2, 1), "padding": ((1, 0), (0, 1)), "dilation": 1},
    {"stride": (1, 2), "padding": "same_upper", "dilation": (2, 1)},
    {"stride": 2, "padding": "chapter", "dilation": 1},
]


@pytest.mark.parametrize("which", ORACLES)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_finite_differences_guard_the_gradients_of_convolution(which, geometry):
    """A convolution is linear in each operand, so with whole numbers a difference is the derivative, exactly."""
    forward, backward = ORACLES[which]
    rng = np.random.default_rng(1)
    operands = [rng.integers(-4, 5, shape).astype(float) for shape in ((2, 4, 5, 4), (2, 2, 2, 3), (2,))]
    keywords = {**geometry, "groups": 2}
    G = rng.integers(-4, 5, forward.conv2d(*operands, **keywords).shape)

    for position, gradient in enumerate(backward.conv2d_vjp(*operands, G, **keywords)):

        def scalar(array, position=position):
            return float((forward.conv2d(*operands[:position], array, *operands[position + 1 :], **keywords) * G).sum())

        np.testing.assert_array_equal(gradient, _differences(scalar, operands[position], 1.0))


@pytest.mark.parametrize("which", ORACLES)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("mode", ["max", "avg"])
def test_finite_differences_guard_the_gradients_of_pooling(which, geometry, mode):
    """Between ties a maximum is linear too: here all pixels differ by one, and move by a quarter."""
    forward, backward = ORACLES[which]
    rng = np.random.default_rng(2)
    X = rng.permutation(60).reshape(3, 5, 4).astype(float)
    for ceil_mode, count_include_pad in product((False, True), repeat=2):
        keywords = {**geometry, "ceil_mode": ceil_mode, "count_include_pad": count_include_pad}
        G = rng.integers(-4, 5, forward.pool2d(X, (2, 2), mode, **keywords).shape)
        gradient = backward.pool2d_vjp(X, (2, 2), G, mode, **keywords)

        def scalar(array, keywords=keywords, G=G):
            return float((forward.pool2d(array, (2, 2), mode, **keywords) * G).sum())

        # divisors are 1, 2 and 4, so averages are exact
        np.testing.assert_array_equal(gradient, _differences(scalar, X, 0.25))


def test_a_gradient_on_the_wrong_pixel_fails_the_differences():
    X, K, G = np.arange(16.0).reshape(1, 1, 4, 4), np.arange(1.0, 5.0).reshape(1, 1, 2, 2), np.ones((1, 1, 3, 3))
    slopes = _differences(lambda image: float((oracle.conv2d(image, K) * G).sum()), X, 1.0)
    wrong = second_oracle.conv2d_vjp(X, K[..., ::-1, ::-1], None, G)[0]
    assert (wrong != slopes).any()
    assert agreement.bounds.judge(wrong, slopes.astype(np.longdouble), 1e-9).kind == "REAL DIFFERENCE"
