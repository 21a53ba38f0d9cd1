"""Plans: a call that is remembered computes, and refuses, exactly what it did at first."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from functools import partial

import numpy as np
import pytest
from together import together

import convbridge
from convbridge import conv2d, corr2d, dispatch, memory, pool2d, registry, to_numpy
from convbridge.errors import (
    ArgumentTypeError,
    BackendOperationError,
    ConvbridgeError,
    MixedBackendsError,
    ShapeError,
    UnsupportedOperationError,
)
from convbridge.parity import oracle
from convbridge.parity.cases import random_cases
from convbridge.parity.observe import observe


@pytest.fixture(autouse=True)
def nothing_is_planned():
    dispatch.forget()
    yield
    dispatch.forget()


def needs(framework):
    return pytest.mark.skipif(framework not in convbridge.available_backends(), reason=f"{framework} is not installed")


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
    ops = registry.load("numpy").ops
    huge = np.full(3, 3e38, "float32")

    def compute(X, weight, bias=None):
        return X * weight if X is bias else silenced(X, weight, X)

    for silenced in (ops._quietly(compute, True), compute):
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


# --------------------------------------------------------------------------- the choices in force


def test_choices_are_followed_after_a_plan(environment):
    X, K = numbers(4, 4), numbers(2, 2)

    def who():
        return convbridge.selection.framework_of(corr2d(X, K)) or "numpy"

    others = [name for name in convbridge.available_backends() if name != "numpy"]
    assert who() == who() == "numpy"
    for other in others:
        with convbridge.use_backend(other):
            assert who() == who() == other
            with convbridge.use_backend("numpy"):
                assert who() == "numpy"
            assert who() == other
        assert who() == "numpy"
        convbridge.set_backend(other)
        assert who() == who() == other
        convbridge.set_backend(None)
        assert who() == "numpy"
        assert (convbridge.selection.framework_of(corr2d(X, K, backend=other))) == other
        assert who() == "numpy"
        environment(other)
        assert who() == who() == other
        environment("numpy")
        assert who() == "numpy"


def test_a_tensor_contradicts_a_choice_also_after_a_plan(backend):
    if backend == "numpy":
        pytest.skip("NumPy's arrays are neutral")
    X, K = own(numbers(4, 4), backend), own(numbers(2, 2), backend)
    corr2d(X, K)
    corr2d(X, K)
    with convbridge.use_backend("numpy"), pytest.raises(MixedBackendsError):
        corr2d(X, K)
    with pytest.raises(MixedBackendsError):
        corr2d(X, K, backend="numpy")
    convbridge.set_backend("numpy")
    assert same(corr2d(X, K), corr2d(X, K, backend=backend))


def test_each_precision_has_its_plan(backend):
    X, K = own(numbers(4, 4), backend), own(numbers(2, 2), backend)
    corr2d(X, K)
    with convbridge.use_precision("fast"):
        corr2d(X, K)
        assert len(dispatch.PLANS) == 2
    corr2d(X, K)
    assert {key[-1] for key in dispatch.PLANS} == {"exact", "fast"}


def test_refresh_forgets(backend):
    X, K = own(numbers(4, 4), backend), own(numbers(2, 2), backend)
    corr2d(X, K)
    assert dispatch.PLANS
    registry.refresh()
    assert not dispatch.PLANS


def test_a_call_that_refresh_overtakes_leaves_no_plan(monkeypatch):
    module = registry.load("numpy").ops
    compute = module.conv2d

    def overtaken(*arrays, **keywords):
        registry.refresh()
        return compute(*arrays, **keywords)

    monkeypatch.setattr(module, "conv2d", overtaken)
    corr2d(numbers(4, 4), numbers(2, 2))
    assert not dispatch.PLANS
    monkeypatch.undo()
    corr2d(numbers(4, 4), numbers(2, 2))
    assert dispatch.PLANS


FORK = """
import os, sys
import numpy as np
import convbridge
from convbridge import dispatch

X, K = (convbridge.asarray(np.ones(shape, "float32"), backend=sys.argv[1]) for shape in ((4, 4), (2, 2)))
convbridge.corr2d(X, K)
assert len(dispatch.PLANS) == 1
child = os.fork()
if child == 0:
    assert len(dispatch.PLANS) == 0
    try:
        convbridge.corr2d(X, K)
        convbridge.corr2d(X, K)
        code = 10
    except convbridge.BackendOperationError:
        code = 12
    os._exit(code + len(dispatch.PLANS))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(dispatch.PLANS))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_has_no_plans(backend):
    command = [sys.executable, "-c", FORK, backend]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    assert run.stdout.split()[-2:] == ["10" if backend == "numpy" else "12", "1"]


# --------------------------------------------------------------------------- what is never planned


def test_never_planned(backend, monkeypatch):
    X, K = own(numbers(1, 1, 5, 5), backend), own(numbers(1, 1, 2, 2), backend)
    conv2d(numbers(0, 1, 5, 5), K)
    conv2d(X.numpy() if hasattr(X, "numpy") else X.tolist() if backend == "numpy" else X.asnumpy(), K)
    conv2d(X, K, own(numbers(1), backend), stride=[1, 1])
    monkeypatch.setattr(memory, "_ALWAYS_FINE", 50)  # whether it fits depends on the moment
    conv2d(X, K)
    assert not dispatch.PLANS
    monkeypatch.undo()
    conv2d(X, K)
    assert len(dispatch.PLANS) == 1


def test_gaps_are_refused_each_time(backend):
    spec = registry.spec(backend)
    if f"conv2d[{'float16'}]" not in spec.unsupported:
        pytest.skip("this backend has no such gap in a dtype that every backend can store")
    X, K = own(numbers(1, 1, 5, 5, dtype="float16"), backend), own(numbers(1, 1, 2, 2, dtype="float16"), backend)
    for _ in range(3):
        with pytest.raises(UnsupportedOperationError):
            conv2d(X, K)
    assert not dispatch.PLANS


def test_third_parties_need_not_take_part(install):
    install("other")
    for _ in range(2):
        corr2d(numbers(4, 4), numbers(2, 2), backend="other")
    assert not dispatch.PLANS
    install("more", ops="PLAIN = ()\n")
    corr2d(numbers(4, 4), numbers(2, 2), backend="more")
    assert not dispatch.PLANS


# --------------------------------------------------------------------------- bounds, threads


def test_the_number_of_plans_is_bounded(monkeypatch):
    monkeypatch.setattr(dispatch, "LIMIT", 8)
    for size in range(3, 40):
        assert same(corr2d(np.ones((size, 3), "float32"), np.ones((2, 2), "float32")), np.full((size - 1, 2), 4, "f4"))
        assert 1 <= len(dispatch.PLANS) <= 8


def test_threads(monkeypatch):
    monkeypatch.setattr(dispatch, "LIMIT", 5)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(300):
            h, w = rng.integers(2, 8, 2)
            X = np.full((h, w), seed, "float32")
            if not same(corr2d(X, np.ones((2, 2), "float32")), np.full((h - 1, w - 1), 4 * seed, "float32")):
                wrong.append((seed, h, w))
            if rng.random() < 0.02:
                dispatch.forget()

    together(*(partial(work, seed) for seed in range(6)))
    assert not wrong


def test_a_thread_does_not_inherit_a_choice_through_a_plan():
    X, K, found = numbers(4, 4), numbers(2, 2), []
    others = [name for name in convbridge.available_backends() if name != "numpy"]
    if not others:
        pytest.skip("a second backend is needed")
    with convbridge.use_backend(others[0]):
        corr2d(X, K)
        together(lambda: found.append(type(corr2d(X, K))))
    assert found == [np.ndarray]


# --------------------------------------------------------------------------- gradients


def gradients(backend, X, K):
    """Differentiate the sum of squares of a convolution, the way of each framework."""
    if backend == "torch":
        X, K = X.clone().requires_grad_(), K.clone().requires_grad_()
        (conv2d(X, K) ** 2).sum().backward()
        return X.grad, K.grad
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch((X, K))
            loss = tf.reduce_sum(conv2d(X, K) ** 2)
        return tape.gradient(loss, (X, K))
    from convbridge_mxnet import autograd_lock
    from convbridge_mxnet._compat import mxnet as mx

    with autograd_lock:
        X, K = X.copy(), K.copy()
        for array in (X, K):
            array.attach_grad()
        with mx.autograd.record():
            loss = (conv2d(X, K) ** 2).sum()
        loss.backward()
        return X.grad, K.grad


def test_gradients_flow_on_a_hit(backend, plans_run):
    if backend == "numpy":
        pytest.skip("NumPy has no automatic differentiation")
    X, K = own(numbers(1, 1, 6, 6), backend), own(numbers(2, 1, 3, 3), backend)
    first = gradients(backend, X, K)
    assert not plans_run
    for miss, hit in zip(first, gradients(backend, X, K)):
        assert same(miss, hit)
    assert len(plans_run) == 1
    dX, dK, _ = convbridge.conv2d_vjp(X, K, None, conv2d(X, K) * 2)
    for found, wanted in zip(first, (dX, dK)):
        np.testing.assert_allclose(to_numpy(found), to_numpy(wanted), rtol=1e-4, atol=1e-4)


# --------------------------------------------------------------------------- PyTorch


@needs("torch")
def test_torch_tensors_of_other_kinds():
    import torch

    X, K = torch.tensor(numbers(1, 1, 8, 8)), torch.tensor(numbers(1, 1, 3, 3))
    wanted = conv2d(X, K)
    matrix, kernel = X[0, 0], K[0, 0]
    corr2d(matrix, kernel)
    kinds = [torch.Tensor.to_sparse]
    if torch.backends.mkldnn.is_available():
        kinds.append(torch.Tensor.to_mkldnn)
    for put in kinds:
        for call in (
            lambda put=put: conv2d(put(X), K),
            lambda put=put: conv2d(X, put(K)),
            lambda put=put: conv2d(put(X), put(K)),
            lambda put=put: corr2d(put(matrix), kernel),
            lambda put=put: corr2d(put(matrix), put(kernel)),
        ):
            with pytest.raises(ArgumentTypeError, match="dense"):
                call()
    assert conv2d(X.to("meta"), K.to("meta")).device.type == "meta"
    for weight in (torch.nn.Parameter(K), K.clone().requires_grad_()):
        for _ in range(2):
            result = conv2d(X, weight)
            assert result.requires_grad
            assert same(result, wanted)
        with torch.no_grad():
            assert not conv2d(X, weight).requires_grad
    subclass = X.as_subclass(type("Mine", (torch.Tensor,), {}))
    count = len(dispatch.PLANS)
    assert same(conv2d(subclass, K), wanted)
    assert len(dispatch.PLANS) == count
    hit = conv2d(X.to(memory_format=torch.channels_last), K)
    dispatch.forget()
    assert same(hit, conv2d(X.to(memory_format=torch.channels_last), K))
    assert same(corr2d(matrix.T.contiguous().T, kernel), corr2d(matrix, kernel))


@needs("torch")
def test_torch_modes_after_a_plan():
    import torch

    X, K = torch.tensor(numbers(3, 1, 8, 8)), torch.tensor(numbers(2, 1, 3, 3))
    wanted = conv2d(X, K)
    with torch.autocast("cpu", torch.bfloat16):
        hit = conv2d(X, K)
        dispatch.forget()
        assert same(hit, conv2d(X, K))
        assert hit.dtype == torch.float32
    found = torch.func.vmap(lambda x: conv2d(x[None], K)[0])(X)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    batched = [torch.func.vmap(corr2d, (0, None))(X[:, 0], K[0, 0]) for _ in range(2)]
    assert same(*batched)
    with torch.inference_mode():
        assert same(conv2d(X, K), wanted)
    with torch.backends.mkldnn.flags(enabled=False):
        hit = conv2d(X, K)
        dispatch.forget()
        assert same(hit, conv2d(X, K))


@needs("torch")
def test_torch_compiled_functions_follow_the_choices():
    import torch

    X, K = torch.tensor(numbers(1, 1, 8, 8)), torch.tensor(numbers(1, 1, 3, 3))
    wanted = conv2d(X, K)
    compiled = torch.compile(lambda x, k: conv2d(x, k) * 2, backend="eager")
    assert same(compiled(X, K), wanted * 2)
    with convbridge.use_backend("numpy"), pytest.raises(MixedBackendsError):
        compiled(X, K)
    assert same(compiled(X, K), wanted * 2)


# --------------------------------------------------------------------------- TensorFlow


@needs("tensorflow")
def test_tensorflow_symbols_and_variables_are_not_planned():
    import tensorflow as tf

    X, K = tf.constant(numbers(1, 1, 8, 8)), tf.constant(numbers(1, 1, 3, 3))
    traced = tf.function(lambda x: conv2d(x, K))
    np.testing.assert_allclose(traced(X), conv2d(tf.Variable(X), K), atol=1e-5)
    assert not dispatch.PLANS
    conv2d(X, K)
    assert len(dispatch.PLANS) == 1
    dispatch.forget()
    matrix, kernel = X[0, 0], K[0, 0]
    for how in (None, True):  # plans that a graph leaves are fit for eager calls, and the other way round
        constants = tf.function(lambda: (conv2d(X, K), corr2d(matrix, kernel)), jit_compile=how)
        for call in (constants, lambda: (conv2d(X, K), corr2d(matrix, kernel)), constants):
            for result in call():
                np.testing.assert_allclose(np.reshape(result, (6, 6)), to_numpy(conv2d(X, K))[0, 0], atol=1e-5)
    assert len(dispatch.PLANS) == 2
    constants = tf.function(lambda: (conv2d(X, K), corr2d(X[0, 0], K[0, 0])), jit_compile=True)
    np.testing.assert_allclose(constants()[0], conv2d(X, K), atol=1e-5)
    np.testing.assert_allclose(constants()[1], conv2d(X, K)[0, 0], atol=1e-5)


@needs("tensorflow")
def test_tensorflow_channels_first_is_channels_last(monkeypatch):
    """Whole numbers: forward, gradient, and the gradient of the gradient."""
    import tensorflow as tf

    ops = registry.load("tensorflow").ops
    rng = np.random.default_rng(0)

    def everything(X, K, b, keywords):
        with tf.GradientTape() as outer:
            outer.watch((X, K))
            with tf.GradientTape() as inner:
                inner.watch((X, K, b))
                Y = conv2d(X, K, b, **keywords)
                loss = tf.reduce_sum(Y * Y)
            first = inner.gradient(loss, (X, K, b))
            total = tf.add_n([tf.reduce_sum(g) for g in first])
        return [Y, *first, *outer.gradient(total, (X, K))]

    stayed = 0
    for n, c, o, size, kernel, keywords in (
        (1, 1, 1, (8, 8), (3, 3), {}),
        (2, 3, 5, (9, 7), (3, 3), {"stride": 2}),
        (2, 3, 5, (6, 7), (2, 3), {"padding": ((1, 0), (2, 1))}),
        (1, 17, 4, (5, 5), (5, 5), {}),
        (3, 2, 2, (5, 6), (1, 1), {}),
        (1, 2, 33, (1, 9), (1, 3), {"stride": (1, 2)}),
    ):
        X, K, b = (tf.constant(rng.integers(-4, 5, s), tf.float32) for s in ((n, c, *size), (o, c, *kernel), (o,)))
        monkeypatch.undo()
        dispatch.forget()
        stayed += ops._takes_nchw()
        native = [everything(X, K, b, keywords) for _ in range(2)]
        monkeypatch.setattr(ops, "_takes_nchw", lambda: False)
        dispatch.forget()
        for results in zip(everything(X, K, b, keywords), *native):
            for result in results[1:]:
                assert same(results[0], result)
    assert stayed in (0, 6)


@needs("tensorflow")
def test_tensorflow_without_onednn_has_no_channels_first():
    program = "from convbridge_tensorflow import ops; print(ops._takes_nchw())"
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True, env=environment
    )
    assert run.stdout.split()[-1] == "False"


@needs("tensorflow")
def test_importing_the_backend_starts_no_device():
    program = (
        "import convbridge; convbridge.import_framework('tensorflow'); import tensorflow as tf\n"
        "tf.config.threading.set_intra_op_parallelism_threads(1)"
    )
    subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120, check=True)


# --------------------------------------------------------------------------- memory of one's own


def test_nobody_writes_into_a_tensor(backend):
    """A framework's immutable tensor is never writable through what convbridge gives out, nor through what it took."""
    host = numbers(4, 4)
    kept = host.copy()
    tensor = own(host, backend)
    if backend != "numpy":  # NumPy's asarray returns the array itself
        host[...] = 7
        assert same(tensor, kept)
    copy = to_numpy(tensor)
    copy[...] = 9
    assert same(tensor, kept) or backend == "numpy"
    for function in (lambda X: corr2d(X, [[1.0]]), lambda X: pool2d(X, 1), lambda X: corr2d(X, np.ones((1, 1), "f4"))):
        for _ in range(2):
            tensor = own(kept.copy(), backend)
            result = function(tensor)
            values = to_numpy(result)
            assert values.flags.writeable
            values[...] = 5
            assert same(tensor, kept)
            assert not (to_numpy(result) == 5).any()
            source = kept.copy()
            with convbridge.use_backend(backend):
                result = function(source)
            before = to_numpy(result)
            source[...] = 3
            assert same(result, before)


# --------------------------------------------------------------------------- MXNet


def failing(*shape):
    """Return an array whose computation fails, as whoever waits for it first is told."""
    from convbridge_mxnet._compat import mxnet as mx

    return mx.nd.take(mx.nd.ones(shape), own(np.full(1, 9, "float32"), "mxnet"), axis=0, mode="raise")


@needs("mxnet")
def test_mxnet_failures_surface_at_a_call_that_is_planned_and_spoil_no_other(plans_run):
    X, K = own(np.ones((1, 1, 6, 6), "float32"), "mxnet"), own(np.ones((1, 1, 3, 3), "float32"), "mxnet")
    calls = (
        lambda x: conv2d(x, K),
        lambda x: conv2d(x, K, padding=1),
        lambda x: pool2d(x, 2, "avg"),
        lambda x: convbridge.corr2d_multi_in_out(x[0], K),
    )
    for call in calls:
        wanted = call(X)
        before = len(plans_run)
        with pytest.raises(BackendOperationError, match="out of bound"):
            call(failing(1, 1, 6, 6))
        assert same(call(X), wanted)
        assert len(plans_run) == before + 1  # the one that failed does not count


@needs("mxnet")
def test_mxnet_pads_and_convolves_in_one_graph():
    """Whose memory it keeps; nobody else sees that: not an earlier result, not autograd, not a second thread."""
    from convbridge_mxnet import ops

    for dtype, biased, keywords in (
        ("float32", False, {"padding": 1}),
        ("float64", True, {"padding": ((2, 0), (1, 3)), "stride": 2, "dilation": (1, 2), "groups": 2}),
    ):
        dispatch.forget()
        K, b = numbers(4, 2 // keywords.get("groups", 1), 3, 2, dtype=dtype), numbers(4, dtype=dtype)
        K[0, 0, 0, 0] = np.inf  # meets the zeros of the padding
        images = [own(numbers(2, 2, 7, 8, seed=i, dtype=dtype), "mxnet") for i in range(20)]
        K, b = own(K, "mxnet"), own(b, "mxnet") if biased else None
        results = [conv2d(X, K, b, **keywords) for X in images]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ops, "SMALL", 0)
            dispatch.forget()
            for X, result in zip(images, results):
                wanted = conv2d(X, K, b, **keywords)
                assert np.isnan(to_numpy(wanted)).any()
                assert same(result, wanted)
        dispatch.forget()
        conv2d(images[0], K, b, **keywords)
        wrong = []

        def work(start, K=K, b=b, keywords=keywords, images=images, results=results, wrong=wrong):
            wrong += [i for i in range(start, 20, 4) if not same(conv2d(images[i], K, b, **keywords), results[i])]

        together(*(partial(work, i) for i in range(4)))
        assert not wrong


@needs("mxnet")
def test_mxnet_padded_gradients_flow_on_a_hit(plans_run):
    from convbridge_mxnet import autograd_lock
    from convbridge_mxnet._compat import mxnet as mx

    X, K = own(numbers(1, 1, 6, 6), "mxnet"), own(numbers(2, 1, 3, 3), "mxnet")
    Y = conv2d(X, K, padding=2)
    wanted = convbridge.conv2d_vjp(X, K, None, Y, padding=2)
    with autograd_lock:
        for array in (X, K):
            array.attach_grad()
        with mx.autograd.record():
            again = conv2d(X, K, padding=2)
        again.backward(Y)
    assert plans_run
    assert same(again, Y)
    for found, gradient in zip((X.grad, K.grad), wanted):
        assert same(found, gradient)
