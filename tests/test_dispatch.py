"""Plans: a call that is remembered computes, and refuses, exactly what it did at first."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from convbridge_numpy.engine import prepared

import convbridge
from convbridge import conv2d, corr2d, dispatch, pool2d, registry, to_numpy
from convbridge.errors import (
    ArgumentTypeError,
    ConvbridgeError,
    ShapeError,
)
from convbridge.parity import oracle
from convbridge.parity.cases import random_cases
from convbridge.parity.observe import observe

pytestmark = pytest.mark.usefixtures("nothing_is_planned")


def numbers(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def own(values, backend):
    return convbridge.asarray(values, backend=backend)


def same(a, b):
    a, b = to_numpy(a), to_numpy(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# --------------------------------------------------------------------------- a hit is a miss


def test_a_hit_gives_what_a_miss_gives_bit_for_bit(backend, plans_run):
    """Random calls of all functions, every layout, byte order and dtype, whole and special values, arrays and lists."""
    functions = set()
    for case in random_cases(400, seed=5):
        if case.function.startswith("chapter"):
            continue
        dispatch.forget()
        miss = observe(case, backend)
        before = len(plans_run)
        hit = observe(case, backend)
        assert (hit.status, hit.reason, dict(hit.dtypes)) == (miss.status, miss.reason, dict(miss.dtypes)), case
        assert {name: a.tobytes() for name, a in hit.values.items()} == {
            name: a.tobytes() for name, a in miss.values.items()
        }, case
        if len(plans_run) > before:
            functions.add(case.function)
    assert len(plans_run) > 60
    assert functions >= {"conv2d", "pool2d", "corr2d", "convolve2d", "corr2d_multi_in", "corr2d_multi_in_out"}


def test_small_convolutions_that_are_prepared(backend, plans_run):
    count = 0
    rng = np.random.default_rng(0)
    for i in range(150):
        kh, kw = rng.integers(1, 4, 2)
        n, c, o = rng.integers(1, 4, 3)
        h, w = rng.integers(6, 12, 2)
        dtype = ("float32", "float64")[i % 2]
        keywords = {"stride": int(rng.integers(1, 3)), "dilation": int(rng.integers(1, 3)), "padding": i % 3 % 2}
        X, K = (own(numbers(*shape, seed=i, dtype=dtype), backend) for shape in ((n, c, h, w), (o, c, kh, kw)))
        bias = own(numbers(o, seed=i, dtype=dtype), backend) if i % 5 else None
        dispatch.forget()
        first = conv2d(X, K, bias, **keywords)
        assert same(conv2d(X, K, bias, **keywords), first), (X, K, keywords)
        matrix, kernel = (own(numbers(*shape, seed=i, dtype=dtype), backend) for shape in ((h, w), (kh, kw)))
        assert same(corr2d(matrix, kernel), corr2d(matrix, kernel)), (matrix, kernel)
        count += 2
    assert len(plans_run) == count


def test_a_plan_is_what_runs(backend):
    """The test of the tests: a wrong plan shows."""
    X, K = own(numbers(5, 5), backend), own(numbers(2, 2), backend)
    corr2d(X, K)
    (key,) = dispatch.PLANS
    dispatch.PLANS[key] = lambda X, K: "wrong"
    assert isinstance(corr2d(X, K), str)
    assert not isinstance(corr2d(X, own(numbers(2, 3), backend)), str)


CALLS = {
    "corr2d": (corr2d, (5, 5), (2, 2)),
    "convolve2d": (convbridge.convolve2d, (5, 5), (2, 2)),
    "conv2d": (conv2d, (1, 1, 5, 5), (1, 1, 2, 2)),
    "pool2d": (lambda X, K: pool2d(X, 2), (5, 5), (2, 2)),
}


@pytest.mark.parametrize("mistake", [dispatch.NotPlannedError, TypeError("a mistake of ours")], ids=["refuses", "bug"])
@pytest.mark.parametrize("name", CALLS)
def test_a_plan_that_raises_hands_its_call_back(name, backend, mistake, plans_run, monkeypatch):
    function, *shapes = CALLS[name]
    X, K = (own(numbers(*shape), backend) for shape in shapes)
    wanted = function(X, K)

    def plan(*arrays):
        raise mistake

    def plant():
        (key,) = dispatch.PLANS
        dispatch.PLANS[key] = plan

    plant()
    assert same(function(X, K), wanted)
    assert not plans_run
    assert same(function(X, K), wanted)
    assert len(plans_run) == 1, "the whole way leaves a new plan"
    # where the whole way refuses, nothing of the plan hangs on what it says
    plant()
    monkeypatch.setattr(convbridge.functional, "check_fit", refuse)
    with pytest.raises(ShapeError, match="refused") as refusal:
        function(X, K)
    assert refusal.value.__context__ is None


def refuse(*arguments):
    raise ShapeError("refused")


@pytest.mark.parametrize("name", ["corr2d", "conv2d"])
def test_a_mistake_in_the_making_of_a_plan_is_not_hidden(name, backend, monkeypatch):
    def prepare(*shapes, **keywords):
        raise TypeError("a mistake of ours")

    monkeypatch.setattr(registry.load(backend).ops, f"prepare_{name}", prepare, raising=False)
    function, *shapes = CALLS[name]
    with pytest.raises(TypeError, match="a mistake of ours") as mistake:
        function(*(own(numbers(*shape), backend) for shape in shapes))
    assert mistake.value.__context__ is None


def test_plans_hold_no_array(backend):
    import gc
    import weakref

    X, K = own(numbers(5, 5), backend), own(numbers(2, 2), backend)
    if backend == "mxnet":
        pytest.skip("an NDArray takes no weak references")
    functions = (corr2d, convbridge.convolve2d, lambda X, K: pool2d(X, 2))
    for function in functions:
        function(X, K)
    assert len(dispatch.PLANS) == len(functions)
    if backend == "numpy":
        X, K = X.copy(), K.copy()
    seen = [weakref.ref(X), weakref.ref(K)]
    for function in functions:
        function(X, K)
    del X, K
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


# --------------------------------------------------------------------------- what must not hit

CONV = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "data_format": "NCHW"}
POOL = {"stride": 1, "padding": 0, "dilation": 1, "ceil_mode": False, "count_include_pad": True, "data_format": "NCHW"}


class LooksLike:
    """Equal to a word, and hashed as one, and none."""

    def __init__(self, word):
        self.word = word

    def __eq__(self, other):
        return other == self.word

    def __hash__(self):
        return hash(self.word)

    def __repr__(self):  # in the names of tests, which must be the same in every process
        return f"LooksLike({self.word!r})"


def refusal(call):
    with pytest.raises(ConvbridgeError) as caught:
        call()
    assert not isinstance(caught.value.__context__, KeyError)  # of looking for a plan
    return type(caught.value), str(caught.value)


BAD_CONV = [
    {"stride": True},
    {"stride": 1.0},
    {"stride": (1, True)},
    {"stride": (1.0, 1)},
    {"padding": False},
    {"padding": 0.0},
    {"padding": (0, False)},
    {"padding": ((0, 0), (0, False))},
    {"dilation": True},
    {"groups": True},
    {"groups": 1.0},
    {"data_format": LooksLike("NCHW")},
    {"backend": LooksLike("numpy")},
]
BAD_POOL = [
    {"pool_size": True},
    {"pool_size": (1, 1.0)},
    {"stride": True},
    {"ceil_mode": 0},
    {"ceil_mode": 0.0},
    {"count_include_pad": 1},
    {"mode": LooksLike("max")},
]


@pytest.mark.parametrize("good", [{}, {"stride": (1, 1), "padding": (0, 0)}, {"padding": ((0, 0), (0, 0))}])
@pytest.mark.parametrize("bad", BAD_CONV, ids=str)
def test_conv2d_refuses_what_is_equal_to_a_good_argument(bad, good):
    X, K = numbers(1, 1, 5, 5), numbers(1, 1, 2, 2)

    def call():
        return conv2d(X, K, **{**CONV, **good, "backend": "numpy", **bad})

    wanted = refusal(call)
    conv2d(X, K, **{**CONV, **good}, backend="numpy")
    conv2d(X, K, **{**CONV, **good}, backend="numpy")
    assert len(dispatch.PLANS) == 1
    assert refusal(call) == refusal(call) == wanted


def test_a_padding_is_not_taken_for_all_arguments():
    X, K = numbers(1, 1, 5, 5), numbers(1, 1, 2, 2)
    for arguments in ((2, 1, 1, 1, "NCHW"), ((2, 1), 1, 1, 1, "NCHW")):
        stride, padding, dilation, groups, data_format = arguments
        conv2d(X, K, stride=stride, padding=padding, dilation=dilation, groups=groups, data_format=data_format)
        for alike in (arguments, dispatch.exact(arguments), (arguments,)):
            refusal(lambda alike=alike: conv2d(X, K, padding=alike))


def test_keys_of_arguments_are_equal_for_what_is_the_same_alone():
    values = [0, False, None, "0", 1, True, 1.0, (), (0,), (False,), ((0,),), (0, 1), (False, 1), (0, True), ((0, 1),)]
    values += [(int, 0), ((int,), (0,)), ((int, int), (0, 1)), (tuple, (int, 0)), ((0, 1), (2, 3)), ((0, 1), 2)]
    keys = {}
    for value in values:
        try:
            key = dispatch.exact(value)
        except TypeError:
            assert "1.0" in repr(value) or "class" in repr(value)
        else:
            assert keys.setdefault(key, repr(value)) == repr(value)
            assert dispatch.exact(eval(repr(value))) == key
    assert len(keys) == 16


@pytest.mark.parametrize("bad", BAD_POOL, ids=str)
def test_pool2d_refuses_what_is_equal_to_a_good_argument(bad):
    X = numbers(5, 5)

    def call():
        return pool2d(X, **{**POOL, "pool_size": 1, "mode": "max", **bad})

    wanted = refusal(call)
    for size in (1, (1, 1)):
        pool2d(X, size, **POOL)
        pool2d(X, size, **POOL)
    assert len(dispatch.PLANS) == 2
    assert refusal(call) == refusal(call) == wanted


def test_bad_calls_are_refused_each_time(backend):
    X, K = own(numbers(1, 2, 5, 5), backend), own(numbers(2, 2, 2, 2), backend)
    for keywords in ({"stride": 0}, {"padding": -1}, {"groups": 3}, {"padding": "full"}, {"data_format": "CHWN"}):
        wanted = refusal(lambda keywords=keywords: conv2d(X, K, **keywords))
        conv2d(X, K)
        assert refusal(lambda keywords=keywords: conv2d(X, K, **keywords)) == wanted
    for bad in (own(numbers(2, 3, 2, 2), backend), own(numbers(2, 2, 6, 2), backend), own(numbers(2, 2), backend)):
        assert refusal(lambda bad=bad: conv2d(X, bad)) == refusal(lambda bad=bad: conv2d(X, bad))
    assert len(dispatch.PLANS) == 1


def test_what_has_no_key_goes_the_whole_way():
    X, K = numbers(1, 1, 5, 5), numbers(1, 1, 2, 2)
    wanted = conv2d(X, K, stride=2)
    count = len(dispatch.PLANS)
    for stride in (np.int64(2), [2, 2], np.array([2, 2]), (np.int64(2), 2)):
        assert same(conv2d(X, K, stride=stride), wanted)
    assert same(conv2d(X.tolist(), K, stride=2), conv2d(X.astype("float64"), K, stride=2))
    assert len(dispatch.PLANS) == count + 1


def test_subclasses_of_arrays():
    X, K = numbers(5, 5), numbers(2, 2)
    wanted = corr2d(X, K)
    with pytest.raises(ArgumentTypeError, match="masked"):
        corr2d(np.ma.masked_array(X, X > 0), K)
    with pytest.raises(ArgumentTypeError, match="masked"):
        corr2d(X, np.ma.masked_array(K))
    for kind in (np.matrix, type("Mine", (np.ndarray,), {})):
        for image, kernel in ((X.view(kind), K), (X, K.view(kind)), (X.view(kind), K.view(kind))):
            for _ in range(2):
                found = corr2d(image, kernel)
                assert type(found) is np.ndarray
                assert same(found, wanted)

    class Described:
        shape, dtype = X.shape, X.dtype

        def __array__(self, dtype=None, copy=None):
            return X

    assert same(corr2d(Described(), K), wanted)
    assert len(dispatch.PLANS) == 1


def unaligned(values):
    memory = np.zeros(values.nbytes + 1, "uint8")
    view = memory[1:].view(values.dtype).reshape(values.shape)
    view[...] = values
    return view


LAYOUTS = {
    "contiguous": np.array,
    "transposed": lambda x: np.array(x.T).T,
    "reversed": lambda x: np.array(x[..., ::-1])[..., ::-1],
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "unaligned": unaligned,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "read-only": lambda x: np.broadcast_to(x, x.shape),
}


@pytest.mark.parametrize("first", LAYOUTS)
def test_layouts_after_one_another(first):
    X, K, b = numbers(1, 2, 6, 5), numbers(3, 2, 2, 3), numbers(3)
    wanted = conv2d(X, K, b), corr2d(X[0, 0], K[0, 0])
    dispatch.forget()
    for name in (first, *LAYOUTS, first):
        put = LAYOUTS[name]
        assert same(conv2d(put(X), put(K), put(b)), wanted[0])
        assert same(corr2d(put(X[0, 0]), put(K[0, 0])), wanted[1])


#: Sizes of the image and of the kernels, and what else: for small images, 1x1 kernels, batches, groups, channels last.
GEOMETRIES = {
    "1x1": ((1, 40, 20, 20), (70, 40, 1, 1), {}),
    "batch": ((3, 18, 12, 13), (34, 18, 3, 3), {"padding": 1, "stride": 2}),
    "depthwise": ((2, 32, 11, 9), (32, 1, 3, 3), {"groups": 32}),
    "groups": ((2, 64, 7, 9), (66, 32, 3, 2), {"groups": 2}),
    "channels last": ((2, 21, 19, 18), (40, 18, 2, 3), {"data_format": "NHWC", "dilation": 2}),
}


@pytest.mark.parametrize("small", [False, True], ids=["large products", "small products"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_layouts_of_larger_images_after_one_another(geometry, small, set_small_products, plans_run):
    set_small_products(small)
    size, kernels, keywords = GEOMETRIES[geometry]
    X, K, b = numbers(*size), numbers(*kernels), numbers(kernels[0])
    for precision in ("exact", "fast"):
        with convbridge.use_precision(precision):
            wanted = conv2d(X, K, b, **keywords), conv2d(X, K, **keywords)
            for name in ("contiguous", *LAYOUTS):
                put = LAYOUTS[name]
                assert same(conv2d(put(X), put(K), put(b), **keywords), wanted[0])
                assert same(conv2d(put(X), put(K), **keywords), wanted[1])
    assert len(plans_run) >= 2 * 2 * (len(LAYOUTS) - 1)
    np.testing.assert_allclose(wanted[0], oracle.conv2d(X, K, b, **keywords), rtol=1e-4, atol=1e-4)


def test_dtypes_after_one_another(backend):
    for dtype in ("float32", "float64", "int32", "uint8", "bool", "float32"):
        for other in ("float32", "float64", "int32"):
            X, K = np.ones((4, 4), dtype), np.ones((2, 2), other)
            kind = "float64" if "float64" in (dtype, other) else "float32"
            for arrays in ((X, K), (own(X, backend), own(K, backend))):
                for _ in range(2):
                    result = to_numpy(corr2d(*arrays, backend=backend))
                    assert result.dtype == kind
                    assert (result == 4).all()


def test_signed_zeros_infinities_and_nans(backend):
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0], "float32")
    rng = np.random.default_rng(1)
    X, K = np.zeros((5, 5), "float32"), np.zeros((3, 3), "float32")
    corr2d(own(X, backend), own(K, backend))
    with np.errstate(all="raise"):
        for _ in range(30):
            X, K = (own(rng.choice(special, x.shape), backend) for x in (X, K))
            hit = corr2d(X, K)
            dispatch.forget()
            assert same(hit, corr2d(X, K))
            X, K = to_numpy(X), to_numpy(K)


def test_numpy_reports_nothing_and_forgets_nothing_on_a_hit():
    """Overflow and invalid products and sums, whatever the caller has asked NumPy to report."""
    X, K, b = (
        np.full((1, 1, 6, 6), 3e38, "float32"),
        np.full((2, 1, 2, 2), 2, "float32"),
        np.full(2, -np.inf, "float32"),
    )
    for image, weight, bias in ((X, K, None), (X, K, b), (X * np.inf, K * 0, b)):
        dispatch.forget()
        wanted = conv2d(image, weight, bias)
        for how in ("raise", "warn", "ignore"):
            with np.errstate(all=how), warnings.catch_warnings():
                warnings.simplefilter("error")
                before = np.geterr()
                assert same(conv2d(image, weight, bias), wanted)
                corr2d(image[0, 0], weight[0, 0])
                assert np.geterr() == before
        assert len(dispatch.PLANS) == 2


def test_numpy_is_quiet_for_two_at_once():
    """What is silenced may be entered while it runs, as a second thread does."""
    huge = np.full(3, 3e38, "float32")

    def compute(X, weight, bias=None):
        return X * weight if X is bias else silenced(X, weight, X)

    for silenced in (prepared._quietly(compute, True), compute):
        with np.errstate(all="raise"):
            if silenced is compute:  # the test of the test
                with pytest.raises(FloatingPointError):
                    silenced(huge, huge)
            else:
                assert np.isinf(silenced(huge, huge)).all()


@pytest.mark.parametrize("padding", [1, 2, ((1, 0), (2, 1))], ids=str)
def test_padding_meets_what_is_not_finite_on_a_hit(backend, padding, plans_run):
    """A plan that a finite kernel left computes the definition for every other: its zeros are factors like any."""
    shapes = ((1, 2, 5, 5), (3, 2, 3, 3))
    X, K = (np.random.default_rng(2).integers(1, 5, shape).astype("float32") for shape in shapes)
    conv2d(own(X, backend), own(K, backend), padding=padding)
    for i, value in enumerate((np.inf, -np.inf, np.nan)):
        for image_value, kernel_value in ((1, value), (value, 1), (value, np.inf)):
            image, kernel = X.copy(), K.copy()
            image[0, 1, i, 2] *= image_value
            kernel[1, 0, 2 - i, i] *= kernel_value
            found = to_numpy(conv2d(own(image, backend), own(kernel, backend), padding=padding))
            wanted = oracle.conv2d(image, kernel, padding=padding)
            assert np.isfinite(wanted).any()
            assert not np.isfinite(wanted).all()
            np.testing.assert_array_equal(found, wanted)
    assert len(plans_run) == 9
