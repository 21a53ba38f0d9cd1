"""Every public function, every backend: what is refused, and in which words.

A message names the argument as it is spelled in the signature and ends with
"Received: ...". Nothing here may reach a framework: some of these calls would
end the process there.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pytest

import convbridge
from convbridge import chapter, geometry, memory, selection
from convbridge.errors import ArgumentTypeError, ConvbridgeError, ShapeError, UnsupportedOperationError

X = np.ones((2, 4, 5, 6), np.float32)
W = np.ones((6, 4, 3, 2), np.float32)
B = np.zeros(6, np.float32)
M = np.ones((5, 6), np.float32)
HUGE = 2**31


class Bad(NamedTuple):
    """A call: the function's name, its arguments, the argument to blame, the exception."""

    function: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    blamed: str
    kind: type[Exception]

    def __str__(self) -> str:
        def show(value):
            text = f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else repr(value)
            return re.sub(r" at 0x\w+", "", text)[:40]

        parts = [*map(show, self.arguments), *(f"{name}={show(value)}" for name, value in self.keywords.items())]
        return f"{self.function}({', '.join(parts)})"


def conv(blamed, kind, x=X, w=W, **keywords):
    return Bad("conv2d", (x, w), keywords, blamed, kind)


def pool(blamed, kind, x=X, size=2, **keywords):
    return Bad("pool2d", (x, size), keywords, blamed, kind)


BAD_STEPS: list[tuple[Any, type[Exception]]] = [
    (0, ValueError),
    (-1, ValueError),
    ((1, 0), ValueError),
    (True, TypeError),
    (np.True_, TypeError),
    ((1, False), TypeError),
    (1.0, TypeError),
    (1.5, TypeError),
    (np.float32(2), TypeError),
    ((1, 2.5), TypeError),
    ("2", TypeError),
    (None, TypeError),
    ({}, TypeError),
    ((), ValueError),
    ((1,), ValueError),
    ((1, 2, 3), ValueError),
    (HUGE, ValueError),
    ((1, HUGE), ValueError),
    (10**30, ValueError),
]
BAD_PADDINGS: list[tuple[Any, type[Exception]]] = [
    (-1, ValueError),
    ((0, -1), ValueError),
    (((0, 0), (0, -1)), ValueError),
    (True, TypeError),
    ((0, True), TypeError),
    (0.5, TypeError),
    ((1, 1.0), TypeError),
    (None, TypeError),
    ("full", ValueError),
    ("", ValueError),
    ("same ", ValueError),
    ((1, 2, 3), ValueError),
    ((1, 2, 3, 4), ValueError),
    (((1, 2), 3), ValueError),
    (((1, 2), (3, 4, 5)), ValueError),
    (((1, 2), (3, 4), (5, 6)), ValueError),
    ((), ValueError),
    (HUGE, ValueError),
]
BAD_ARRAYS: list[tuple[Any, type[Exception]]] = [
    (np.ones(X.shape, complex), TypeError),
    (np.full(X.shape, "a"), TypeError),
    (np.full(X.shape, None), TypeError),
    (np.zeros(X.shape, "datetime64[s]"), TypeError),
    (np.zeros(X.shape, [("a", "f4")]), TypeError),
    (np.ma.masked_array(X, mask=X > 0), TypeError),
    (None, TypeError),
    ("image.png", TypeError),
    (object(), TypeError),
    ({"a": 1}, TypeError),
    ([[1, 2], [3]], ValueError),
    ([[[1]], [[1, 2]]], ValueError),
    ([1j, 2], TypeError),
]

CASES = [
    # ranks and empty axes
    *(conv("X", ValueError, x) for x in (1.0, X[0], X[0, 0], X[None], np.ones(3))),
    *(conv("weight", ValueError, w=w) for w in (W[0], W[None], 1.0)),
    *(conv("bias", ValueError, bias=b) for b in (0.0, B[None], B[:5], np.zeros(7), np.zeros(0), np.zeros(1))),
    *(conv("X", ValueError, X[:, :, :n, :m]) for n, m in ((0, 6), (5, 0))),
    conv("X", ValueError, X[:, :0], W[:, :0]),
    *(conv("weight", ValueError, w=w) for w in (W[:0], W[:, :, :0], W[:, :, :, :0])),
    # channels and groups
    conv("weight", ValueError, w=W[:, :3]),
    conv("weight", ValueError, w=W[:, :2]),  # some frameworks would take it for two groups
    conv("weight", ValueError, x=X[:, :3]),
    conv("weight", ValueError, data_format="NHWC"),
    conv("groups", ValueError, groups=2),
    conv("groups", ValueError, w=W[:5, :2], groups=2),
    *(conv("groups", kind, groups=g) for g, kind in ((0, ValueError), (-1, ValueError), (HUGE, ValueError))),
    *(conv("groups", TypeError, groups=g) for g in (True, 1.0, None, "1", (1, 1))),
    # a kernel larger than the padded input
    conv("weight", ValueError, w=np.ones((1, 4, 6, 1))),
    conv("weight", ValueError, w=np.ones((1, 4, 1, 7))),
    conv("weight", ValueError, dilation=3),
    conv("weight", ValueError, w=np.ones((1, 4, 8, 1)), padding=1),
    pool("pool_size", ValueError, size=(6, 1)),
    pool("pool_size", ValueError, size=(1, 7)),
    pool("pool_size", ValueError, size=2, dilation=5),
    pool("pool_size", ValueError, size=8, padding=1),
    pool("pool_size", ValueError, size=8, stride=2, ceil_mode=True),
    # numbers
    *(conv(name, kind, **{name: value}) for name in ("stride", "dilation") for value, kind in BAD_STEPS),
    *(pool("dilation", kind, dilation=value) for value, kind in BAD_STEPS),
    *(pool("stride", kind, stride=value) for value, kind in BAD_STEPS if value is not None),
    *(pool("pool_size", kind, size=value) for value, kind in BAD_STEPS),
    *(conv("padding", kind, padding=value) for value, kind in BAD_PADDINGS),
    *(pool("padding", kind, padding=value) for value, kind in BAD_PADDINGS),
    # padding not smaller than the pooling window
    *(pool("padding", ValueError, size=2, padding=p) for p in (2, (0, 2), ((0, 2), (0, 0)), ((1, 1), (3, 0)))),
    *(pool("padding", ValueError, size=2, padding=2, ceil_mode=True, mode=mode) for mode in ("max", "avg")),
    pool("padding", ValueError, size=1, padding=1),
    # words and flags
    *(pool("mode", kind, mode=m) for m, kind in (("mean", ValueError), ("MAX", ValueError), ("", ValueError))),
    *(pool("mode", TypeError, mode=m) for m in (None, 1, ["max"])),
    *(conv("data_format", kind, data_format=f) for f, kind in (("NWHC", ValueError), ("nchw", ValueError))),
    *(pool("data_format", kind, data_format=f) for f, kind in (("channels_last", ValueError), (None, TypeError))),
    *(pool(name, TypeError, **{name: v}) for name in ("ceil_mode", "count_include_pad") for v in (1, None, "yes")),
    # arrays
    *(conv("X", kind, x=array) for array, kind in BAD_ARRAYS),
    *(conv("weight", kind, w=array) for array, kind in BAD_ARRAYS),
    *(conv("bias", kind, bias=array) for array, kind in BAD_ARRAYS if array is not None),
    *(pool("X", kind, x=array) for array, kind in BAD_ARRAYS),
    pool("X", ValueError, x=np.ones(4)),
    pool("X", ValueError, x=X[None]),
    pool("X", ValueError, x=X[:, :0]),
    pool("X", ValueError, x=X[:, :, :0]),
    # the chapters' functions
    *(Bad("corr2d", (array, M), {}, "X", kind) for array, kind in BAD_ARRAYS),
    *(Bad("convolve2d", (M, array), {}, "K", kind) for array, kind in BAD_ARRAYS),
    *(Bad(name, args, {}, "X", ValueError) for name in ("corr2d", "convolve2d") for args in ((M[None], M), (M[0], M))),
    *(Bad(name, args, {}, "K", ValueError) for name in ("corr2d", "convolve2d") for args in ((M, M[None]), (M, M[0]))),
    *(Bad(name, (M[:2], M), {}, "K", ValueError) for name in ("corr2d", "convolve2d")),
    *(Bad(name, (M[:, :0], M), {}, "X", ValueError) for name in ("corr2d", "convolve2d")),
    Bad("corr2d_multi_in", (M, X[0]), {}, "X", ValueError),
    Bad("corr2d_multi_in", (X[0], M), {}, "K", ValueError),
    Bad("corr2d_multi_in", (X[0], X[0, :3]), {}, "K", ValueError),
    Bad("corr2d_multi_in", (X[0, :, :4], X[0]), {}, "K", ValueError),
    Bad("corr2d_multi_in_out", (M, W), {}, "X", ValueError),
    Bad("corr2d_multi_in_out", (X[0], X[0]), {}, "K", ValueError),
    Bad("corr2d_multi_in_out", (X[0], W[:, :3]), {}, "K", ValueError),
    Bad("corr2d_multi_in_out", (X[0, :, :2], W), {}, "K", ValueError),
    Bad("corr2d_multi_in_out_1x1", (X[0], W), {}, "K", ValueError),
    Bad("corr2d_multi_in_out_1x1", (X[0], W[:, :3, :1, :1]), {}, "K", ValueError),
    Bad("corr2d_multi_in_out_1x1", (M, W[:, :, :1, :1]), {}, "X", ValueError),
    # layers
    *(Bad("Conv2D", (value,), {}, "kernel_size", kind) for value, kind in BAD_STEPS),
    *(Bad("Conv2D", (3,), {name: value}, name, kind) for name in ("stride", "dilation") for value, kind in BAD_STEPS),
    *(Bad("Conv2D", (3,), {"padding": value}, "padding", kind) for value, kind in BAD_PADDINGS),
    *(
        Bad("Conv2D", (3,), {name: value}, name, kind)
        for name in ("in_channels", "out_channels", "groups")
        for value, kind in ((0, ValueError), (-1, ValueError), (True, TypeError), (1.0, TypeError), (None, TypeError))
    ),
    Bad("Conv2D", (3, 4, 4), {"groups": 3}, "groups", ValueError),
    Bad("Conv2D", (3, 4, 3), {"groups": 2}, "groups", ValueError),
    *(Bad("Conv2D", (3,), {"use_bias": value}, "use_bias", TypeError) for value in (1, None, "no")),
    *(
        Bad("Conv2D", (3,), {"data_format": v}, "data_format", kind)
        for v, kind in (("CHW", ValueError), (1, TypeError))
    ),
    *(
        Bad("Conv2D", (3,), {"dtype": v}, "dtype", kind)
        for v, kind in (("int32", ValueError), ("complex64", ValueError))
    ),
    *(
        Bad("Conv2D", (3,), {"seed": v}, "seed", kind)
        for v, kind in ((-1, ValueError), (1.5, TypeError), ("a", TypeError))
    ),
    *(Bad(layer, (value,), {}, "pool_size", kind) for layer in ("MaxPool2D", "AvgPool2D") for value, kind in BAD_STEPS),
    *(
        Bad(layer, (2,), {"stride": value}, "stride", kind)
        for layer in ("MaxPool2D", "AvgPool2D")
        for value, kind in BAD_STEPS
        if value is not None
    ),
    *(
        Bad(layer, (2,), {"padding": value}, "padding", kind)
        for layer in ("MaxPool2D", "AvgPool2D")
        for value, kind in [*BAD_PADDINGS, (2, ValueError), (((0, 0), (0, 2)), ValueError)]
    ),
    *(Bad("MaxPool2D", (2,), {name: 1}, name, TypeError) for name in ("ceil_mode", "count_include_pad")),
    Bad("AvgPool2D", (2,), {"data_format": "NHCW"}, "data_format", ValueError),
    *(Bad("comp_conv2d", (layer, M), {}, "conv2d", TypeError) for layer in (None, 3, "conv", M)),
    # conversion
    *(Bad("asarray", (array,), {}, "obj", kind) for array, kind in BAD_ARRAYS),
    *(Bad("asarray", (M,), {"dtype": d}, "dtype", TypeError) for d in ("complex64", "object", "U3", "no", 3, "")),
]


def convert(value, backend):
    """Hand the arrays over as the backend's own tensors, where they can be that."""
    usable = type(value) is np.ndarray and value.dtype == np.float32
    return convbridge.asarray(value, backend=backend) if usable else value


def refused(case, call):
    with pytest.raises(case.kind) as caught:
        call()
    error, message = caught.value, str(caught.value)
    assert isinstance(error, ConvbridgeError), repr(error)
    named, _, received = message.partition("Received: ")
    assert re.search(rf"\b{case.blamed}\b", named), message
    assert received, message
    assert "\n" not in message


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_input_is_refused(case, backend):
    function = getattr(convbridge, case.function)
    refused(case, lambda: function(*case.arguments, **case.keywords, backend=backend))
    tensors = [convert(value, backend) for value in case.arguments]
    keywords = {name: convert(value, backend) for name, value in case.keywords.items()}
    refused(case, lambda: function(*tensors, **keywords, backend=backend))


CHAPTER = [
    *(
        case
        for case in CASES
        if case.function in ("corr2d", "corr2d_multi_in", "corr2d_multi_in_out", "corr2d_multi_in_out_1x1")
    ),
    *(Bad("pool2d", (M, value), {}, "pool_size", kind) for value, kind in BAD_STEPS),
    *(Bad("pool2d", (array, 2), {}, "X", kind) for array, kind in BAD_ARRAYS),
    *(Bad("pool2d", (array, 2), {}, "X", ValueError) for array in (X, X[0], M[0], M[:0])),
    Bad("pool2d", (M, 2, "mean"), {}, "mode", ValueError),
    Bad("pool2d", (M, 2, None), {}, "mode", TypeError),
    Bad("pool2d", (M, 7), {}, "pool_size", ValueError),
    *(Bad("Conv2D", (value,), {}, "kernel_size", kind) for value, kind in BAD_STEPS),
    *(Bad("comp_conv2d", (layer, M), {}, "conv2d", TypeError) for layer in (None, 3, "conv", M)),
]


@pytest.mark.parametrize("case", CHAPTER, ids=str)
def test_bad_input_of_the_chapters_functions_is_refused(case, backend):
    function = getattr(chapter, case.function)
    refused(case, lambda: function(*case.arguments, **case.keywords, backend=backend))
    tensors = [convert(value, backend) for value in case.arguments]
    refused(case, lambda: function(*tensors, **case.keywords, backend=backend))


SHAPES = [
    *(Bad("output_shape", (value, 3), {}, "size", kind) for value, kind in BAD_STEPS),
    *(Bad("output_shape", (8, value), {}, "kernel_size", kind) for value, kind in BAD_STEPS),
    *(Bad("output_shape", (8, 3), {n: value}, n, kind) for n in ("stride", "dilation") for value, kind in BAD_STEPS),
    *(Bad("output_shape", (8, 3), {"padding": value}, "padding", kind) for value, kind in BAD_PADDINGS),
    *(Bad("output_shape", (8, 3), {"ceil_mode": value}, "ceil_mode", TypeError) for value in (1, None, "yes")),
    Bad("output_shape", (2, 3), {}, "kernel_size", ValueError),
    Bad("output_shape", (8, 2), {"padding": 2, "ceil_mode": True}, "padding", ValueError),
    *(Bad("same_padding", (value, 3), {}, "size", kind) for value, kind in BAD_STEPS),
    *(Bad("same_padding", (8, value), {}, "kernel_size", kind) for value, kind in BAD_STEPS),
    *(Bad("same_padding", (8, 3), {n: value}, n, kind) for n in ("stride", "dilation") for value, kind in BAD_STEPS),
    *(Bad("same_padding", (8, 3), {"mode": m}, "mode", kind) for m, kind in (("full", ValueError), (1, TypeError))),
    *(Bad("receptive_field", ([value],), {}, "kernel_size", kind) for value, kind in BAD_STEPS if value != {}),
    Bad("receptive_field", ([{"stride": 2}],), {}, "layers", ValueError),
    Bad("receptive_field", ([{"kernel_size": 2, "strides": 2}],), {}, "layers", ValueError),
    Bad("receptive_field", ([{"kernel_size": 2, "stride": 0}],), {}, "stride", ValueError),
    Bad("receptive_field", ([{"kernel_size": 3, "stride": 2, "padding": "same"}],), {}, "padding", ValueError),
    *(Bad("receptive_field", (value,), {}, "layers", TypeError) for value in (None, 3)),
    *(Bad("to_numpy", (array,), {}, "x", kind) for array, kind in BAD_ARRAYS),
]


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_bad_input_without_a_backend_is_refused(case):
    refused(case, lambda: getattr(convbridge, case.function)(*case.arguments, **case.keywords))


# --------------------------------------------------------------------------- what cannot be held

SMALL, ONE = np.ones((1, 1, 2, 2), np.float32), np.ones((1, 1, 1, 1), np.float32)
TOO_LARGE = {
    "conv2d": lambda backend: convbridge.conv2d(SMALL, ONE, padding=2**30, backend=backend),
    "conv2d, all sides": lambda backend: convbridge.conv2d(SMALL, ONE, padding=2**31 - 1, backend=backend),
    "conv2d, small result": lambda backend: convbridge.conv2d(
        SMALL, ONE, padding=2**25, stride=2**31 - 1, backend=backend
    ),
    "max_pool2d": lambda backend: convbridge.pool2d(SMALL, 2**24, padding=2**23, backend=backend),
    "avg_pool2d": lambda backend: convbridge.pool2d(SMALL, 2**24, "avg", padding=2**23, backend=backend),
    "pool2d of a matrix": lambda backend: convbridge.pool2d(SMALL[0, 0], 2**24, padding=2**23, backend=backend),
}


@pytest.mark.parametrize("call", TOO_LARGE)
def test_what_cannot_be_held_is_refused(call, backend):
    with pytest.raises(ShapeError, match=r"must (each have fewer than|fit into memory).*Received: "):
        TOO_LARGE[call](backend)


@pytest.mark.parametrize("own", [False, True], ids=["arrays", "tensors"])
def test_the_size_is_given_in_words_before_anything_is_allocated(own, backend, monkeypatch):
    """With a machine of one mebibyte, so that the sizes are the same on every machine."""
    monkeypatch.setattr(memory, "_available", lambda: 2**20)
    image, kernel = (convert(array, backend) if own else array for array in (SMALL, ONE))
    with pytest.raises(ShapeError, match=r"together they take 1\.1 GiB, of which 1\.0 MiB are available.*Received: "):
        convbridge.conv2d(image, kernel, padding=6000, backend=backend)
    with pytest.raises(ShapeError, match=r"GiB, of which 1\.0 MiB are available.*Received: "):
        convbridge.pool2d(image, 12001, padding=12000, backend=backend)


def test_a_batch_of_many_kernels_is_refused_before_it_is_converted(backend, monkeypatch):
    monkeypatch.setattr(memory, "_available", lambda: 2**20)
    image = np.broadcast_to(np.float32(1), (64, 1, 1024, 1024))  # 4 bytes that look like 256 MiB
    with pytest.raises(ShapeError, match=r"fit into memory.*Received: "):
        convbridge.conv2d(image, np.ones((4, 1, 1, 1), np.float32), backend=backend)


# --------------------------------------------------------------------------- what must work all the same


def test_a_batch_of_zero_is_fine(backend):
    for dtype in ("float32", "float64"):
        result = convbridge.conv2d(X[:0].astype(dtype), W.astype(dtype), B.astype(dtype), backend=backend)
        assert tuple(result.shape) == (0, 6, 3, 5)
        assert convbridge.to_numpy(result).dtype == dtype
        for mode in ("max", "avg"):
            result = convbridge.pool2d(X[:0].astype(dtype), 2, mode, data_format="NHWC", backend=backend)
            assert tuple(result.shape) == (0, 3, 4, 6)


def test_inputs_are_not_written_to_and_may_be_read_only(backend):
    def frozen(array):
        array = array.copy()
        array.flags.writeable = False
        return array

    x, w, b, m = (frozen(array) for array in (X, W, B, M))
    calls = {
        "conv2d": (convbridge.conv2d, (x, w, b)),
        "max": (convbridge.pool2d, (x, 2)),
        "avg": (convbridge.pool2d, (x, 2, "avg")),
        "identity": (convbridge.pool2d, (x, 1)),
        "corr2d": (convbridge.corr2d, (m, m)),
        "convolve2d": (convbridge.convolve2d, (m, m)),
        "chapter.corr2d": (chapter.corr2d, (m, m)),
        "chapter.pool2d": (chapter.pool2d, (m, (1, 1))),
    }
    for name, (function, arguments) in calls.items():
        result = function(*arguments, backend=backend)
        for argument in arguments:
            assert result is not argument, name
            if isinstance(result, np.ndarray) and isinstance(argument, np.ndarray):
                assert not np.shares_memory(result, argument), name
        copy = convbridge.to_numpy(result)
        copy[...] = -7  # what to_numpy returns is the caller's own
        assert not (convbridge.to_numpy(result) == -7).any(), name
    for array, original in ((x, X), (w, W), (b, B), (m, M)):
        np.testing.assert_array_equal(array, original)


def test_a_tensor_is_a_copy_of_its_source(backend):
    source = M.copy()
    tensor = convbridge.asarray(source, backend=backend)
    if tensor is not source and not isinstance(tensor, np.ndarray):
        source[...] = -7
    np.testing.assert_array_equal(convbridge.to_numpy(tensor), M)


def test_unsupported_dtypes_say_why(backend):
    from convbridge import registry

    table = registry.spec(backend).unsupported
    for key, reason in table.items():
        operation, _, dtype = key.rstrip("]").partition("[")
        if operation == "asarray":
            if dtype == "bfloat16":
                with pytest.raises(UnsupportedOperationError) as caught:
                    convbridge.asarray(M, dtype=dtype, backend=backend)
            else:
                with pytest.raises(UnsupportedOperationError) as caught:
                    convbridge.asarray(M.astype(dtype), backend=backend)
        elif dtype == "float16":
            halves = X.astype(dtype)
            function, second = (
                (convbridge.conv2d, (W.astype(dtype),))
                if operation == "conv2d"
                else (convbridge.pool2d, (2, operation[:3]))
            )
            with pytest.raises(UnsupportedOperationError) as caught:
                function(halves, *second, backend=backend)
        else:  # no such array can be made to hand in
            assert f"asarray[{dtype}]" in table
            continue
        assert isinstance(caught.value, NotImplementedError)
        assert reason in str(caught.value)
        assert "Received: " in str(caught.value)


def test_integers_may_come_from_anywhere(backend):
    wanted = convbridge.to_numpy(convbridge.conv2d(X, W, stride=2, padding=1, backend=backend))
    for one, two in ((np.int64(1), np.int8(2)), (np.array(1), np.array(2)), (np.array([1, 1]), [2, 2])):
        result = convbridge.conv2d(X, W, stride=two, padding=one, groups=np.int32(1), backend=backend)
        np.testing.assert_array_equal(convbridge.to_numpy(result), wanted)


def test_messages_do_not_print_arrays():
    with pytest.raises(ShapeError) as caught:
        convbridge.conv2d(np.ones((3, 100, 100)), W)
    assert "shape (3, 100, 100) and dtype float64" in str(caught.value)
    assert len(str(caught.value)) < 300
    with pytest.raises(ArgumentTypeError) as caught:
        convbridge.corr2d(["x" * 10000], M)
    assert len(str(caught.value)) < 400


def test_the_padding_words_are_listed():
    with pytest.raises(ValueError, match="padding must be") as caught:
        geometry.parse_padding("full")
    for word in geometry.PADDING_WORDS:
        assert repr(word) in str(caught.value)
    assert selection.get_backend() == "numpy"
