"""Where the frameworks differ and the process lives: what convbridge answers instead, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

import convbridge
from convbridge import (
    ArgumentError,
    ArgumentTypeError,
    ShapeError,
    chapter,
    comp_conv2d,
    conv2d,
    corr2d,
    pool2d,
    to_numpy,
)
from convbridge.parity import bounds, oracle


def count(*shape, dtype="float32"):
    """Return 1, 2, 3, ... in a shape."""
    return np.arange(1, 1 + int(np.prod(shape)), dtype=dtype).reshape(shape)


def whole(seed, *shape):
    """Return small whole numbers, whose sums and products are exact in float32."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype("float32")


def exact(result, wanted, dtype="float32"):
    values = to_numpy(result)
    assert values.dtype == dtype
    assert values.shape == np.shape(wanted)
    np.testing.assert_array_equal(values, np.asarray(wanted, dtype))


def plane(result):
    return to_numpy(result)[0, 0]


def test_row_9_a_kernel_larger_than_the_image_is_not_swapped_with_it(backend):
    for X, K in (([[1, 2]], [[1, 0, 0, 0, 0]]), (count(2, 2), count(3, 3)), (count(4, 1), count(2, 2))):
        for function in (corr2d, convbridge.convolve2d, chapter.corr2d):
            with pytest.raises(ShapeError, match=r"K must fit into the padded input.*Received: "):
                function(X, K, backend=backend)


def test_row_17_same_is_not_half_of_the_kernel(backend):
    X, K = count(1, 1, 4, 4), np.ones((1, 1, 3, 3))
    at_the_end = [[54, 45], [72, 54]]
    at_the_start = [[14, 30], [57, 99]]
    for padding, wanted in (
        ("same", at_the_end),
        ("SAME_UPPER", at_the_end),
        ("same_lower", at_the_start),
        ("chapter", at_the_start),
        (1, at_the_start),
        (((0, 1), (0, 1)), at_the_end),
    ):
        exact(conv2d(X, K, stride=2, padding=padding, backend=backend)[0, 0], wanted, "float64")
    odd = count(1, 1, 5, 5)
    exact(
        conv2d(odd, K, stride=2, padding="same", backend=backend),
        to_numpy(conv2d(odd, K, stride=2, padding=1, backend=backend)),
        "float64",
    )


@pytest.mark.parametrize("channels", [1, 2])
def test_rows_22_and_23_a_stride_with_a_dilation(backend, channels):
    X = np.concatenate([count(1, 1, 7, 7)] * channels, 1)
    K = np.ones((channels, 1, 2, 2), "float32")
    wanted = [[36, 44, 52], [92, 100, 108], [148, 156, 164]]
    exact(conv2d(X, K, stride=2, dilation=2, groups=channels, backend=backend)[0, channels - 1], wanted)
    other = whole(1, 2, channels, 8, 8)
    keywords = {"stride": 2, "dilation": 3, "groups": channels}
    result = conv2d(other, K, **keywords, backend=backend)
    assert result.shape == (2, channels, 3, 3)
    exact(result, oracle.conv2d(other, K, **keywords))


@pytest.mark.parametrize("stride", [(1, 2), (3, 1), (2, 3)])
@pytest.mark.parametrize("groups", [2, 4])
def test_rows_24_and_29_groups_and_unequal_strides(backend, stride, groups):
    X, K, b = whole(1, 2, 4, 7, 8), whole(2, 8, 4 // groups, 2, 3), whole(3, 8)
    for data_format in ("NCHW", "NHWC"):
        image = X if data_format == "NCHW" else np.moveaxis(X, 1, 3)
        keywords = {"stride": stride, "groups": groups, "data_format": data_format}
        exact(conv2d(image, K, b, **keywords, backend=backend), oracle.conv2d(image, K, b, **keywords))


def test_row_28_the_chapters_last_example_has_one_shape(backend):
    layer = convbridge.Conv2D((3, 5), padding=(0, 1), stride=(3, 4), backend=backend)
    assert tuple(comp_conv2d(layer, np.ones((8, 8), "float32")).shape) == (2, 2)


def test_row_30_channels_that_do_not_match_are_not_groups(backend):
    for image, kernel, groups in (
        ((1, 4, 3, 3), (2, 2, 2, 2), 1),
        ((1, 3, 3, 3), (3, 1, 2, 2), 1),
        ((1, 4, 3, 3), (4, 4, 2, 2), 2),
        ((1, 2, 3, 3), (2, 2, 2, 1), 2),
    ):
        with pytest.raises(ShapeError, match=r"weight must have as many input channels as X .*Received: "):
            conv2d(np.ones(image), np.ones(kernel), groups=groups, backend=backend)


def test_row_32_a_bias_of_another_length_is_not_broadcast(backend):
    X, K = np.ones((1, 1, 3, 3)), np.ones((2, 1, 2, 2))
    for bias in ([1], [1, 2, 3], [[1], [2]], 1, [[1, 2]]):
        with pytest.raises(ShapeError, match=r"bias must have .*Received: "):
            conv2d(X, K, bias, backend=backend)
    exact(conv2d(X, K, [1, 2], backend=backend)[0, :, 0, 0], [5, 6], "float64")


def test_row_36_ceil_mode_pools_a_window_larger_than_the_image(backend):
    X = count(2, 2)
    exact(pool2d(X, 3, stride=3, ceil_mode=True, backend=backend), [[4]])
    exact(pool2d(X, 3, "avg", stride=3, ceil_mode=True, backend=backend), [[2.5]])
    with pytest.raises(ShapeError, match="pool_size must fit"):
        pool2d(X, 3, stride=3, backend=backend)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_37_an_empty_batch_has_the_shape_of_a_full_one(backend, dtype):
    X, K = np.empty((0, 2, 9, 9), dtype), np.ones((6, 1, 3, 3), dtype)
    exact(conv2d(X, K, np.ones(6, dtype), groups=2, backend=backend), np.empty((0, 6, 7, 7)), dtype)
    nhwc = np.empty((0, 9, 9, 2), dtype)
    exact(conv2d(nhwc, K, groups=2, data_format="NHWC", backend=backend), np.empty((0, 7, 7, 6)), dtype)
    for mode in ("max", "avg"):
        exact(pool2d(X, 3, mode, stride=2, ceil_mode=True, backend=backend), np.empty((0, 2, 4, 4)), dtype)
    with pytest.raises(ShapeError, match="weight must fit"):
        conv2d(np.empty((0, 2, 2, 2), dtype), K, groups=2, backend=backend)


def test_rows_38_and_39_axes_of_size_zero(backend):
    for image, kernel in (
        ((1, 0, 3, 3), (5, 0, 2, 2)),
        ((1, 1, 0, 0), (1, 1, 1, 1)),
        ((1, 1, 3, 0), (1, 1, 1, 1)),
        ((1, 1, 3, 3), (0, 1, 1, 1)),
        ((1, 1, 3, 3), (1, 1, 0, 1)),
    ):
        with pytest.raises(ShapeError, match=r"must have at least one element along every axis.*Received: "):
            conv2d(np.ones(image), np.ones(kernel), padding=1, backend=backend)
    for shape in ((0, 3), (0, 3, 3), (1, 0, 3, 3), (1, 1, 0, 3)):
        with pytest.raises(ShapeError, match=r"must have at least one element along every axis.*Received: "):
            pool2d(np.ones(shape), 1, backend=backend)


def test_row_59_padding_is_less_than_any_pixel(backend):
    exact(pool2d(-count(4, 4), 3, stride=2, padding=1, backend=backend), [[-1, -2], [-5, -6]])
    exact(pool2d(-count(4, 4), 3, stride=2, padding="same", backend=backend), [[-1, -3], [-9, -11]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["max", "avg"])
def test_row_60_padding_up_to_the_window_and_no_more(backend, mode, dtype):
    X = 36 * count(4, 5, dtype=dtype)
    for kernel, padding in ((3, 2), (2, 1), ((3, 2), (2, 1)), (3, ((2, 0), (0, 2)))):
        keywords = {"stride": 2, "padding": padding}
        exact(pool2d(X, kernel, mode, **keywords, backend=backend), oracle.pool2d(X, kernel, mode, **keywords), dtype)
    for kernel, padding in ((2, 2), (3, 3), ((3, 2), 2), (3, ((0, 0), (0, 3)))):
        with pytest.raises(ArgumentError, match=r"padding of each side must be smaller .*Received: "):
            pool2d(X, kernel, mode, padding=padding, backend=backend)
    exact(  # a dilated window is larger
        pool2d(X, 2, mode, padding=2, dilation=2, backend=backend),
        oracle.pool2d(X, 2, mode, padding=2, dilation=2),
        dtype,
    )


def test_row_61_an_average_with_four_different_sides(backend):
    keywords = {"stride": (2, 1), "padding": ((1, 0), (0, 2))}
    X = 12 * whole(1, 2, 3, 5, 4)
    exact(pool2d(X, (2, 3), "avg", **keywords, backend=backend), oracle.pool2d(X, (2, 3), "avg", **keywords))


def test_row_62_ceil_mode_drops_a_window_that_starts_outside(backend):
    exact(pool2d(count(4, 4), 1, stride=2, ceil_mode=True, backend=backend), [[1, 3], [9, 11]])
    exact(pool2d(count(4, 4), 1, "avg", stride=2, ceil_mode=True, backend=backend), [[1, 3], [9, 11]])


@pytest.mark.parametrize("mode", ["max", "avg"])
@pytest.mark.parametrize("word", ["same", "same_lower", "chapter", "valid"])
def test_row_63_padding_words_for_pooling(backend, mode, word):
    X = 36 * whole(2, 1, 2, 5, 6)
    for stride in (1, 2, (3, 2)):
        keywords = {"stride": stride, "padding": word}
        exact(pool2d(X, (3, 2), mode, **keywords, backend=backend), oracle.pool2d(X, (3, 2), mode, **keywords))


def test_row_64_whether_padding_counts(backend):
    X = np.ones((3, 3), "float32")
    included = np.float32([[4, 6, 4], [6, 9, 6], [4, 6, 4]]) / np.float32(9)
    exact(pool2d(X, 3, "avg", padding=1, backend=backend), included)
    exact(pool2d(X, 3, "avg", padding=1, count_include_pad=False, backend=backend), X)


def test_row_65_what_sticks_out_does_not_count(backend):
    X = np.ones((4, 4), "float32")
    keywords = {"stride": 2, "padding": 1, "ceil_mode": True}
    sums, divisors = np.float32([[4, 6, 2], [6, 9, 3], [2, 3, 1]]), np.float32([[9, 9, 6], [9, 9, 6], [6, 6, 4]])
    exact(pool2d(X, 3, "avg", **keywords, backend=backend), sums / divisors)
    exact(pool2d(X, 3, "avg", **keywords, count_include_pad=False, backend=backend), np.ones((3, 3)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_rows_67_to_69_nan_and_minus_infinity(backend, dtype, data_format):
    nan, low = np.nan, -np.inf
    windows = [[nan, 1, 2, 3], [1, nan, 2, 3], [1, 2, nan, 3], [1, 2, 3, nan], [nan] * 4, [low] * 4, [low, 1, low, 2]]
    windows += [[nan, low, low, low], [low, low, low, nan], [np.inf, nan, 0, low], [np.inf, low, 0, 1]]
    X = np.array(windows, dtype).reshape(1, len(windows), 2, 2)  # as channels: some kernels depend on their index
    wanted = {
        "max": [nan] * 5 + [low, 2, nan, nan, nan, np.inf],
        "avg": [nan] * 5 + [low, low, nan, nan, nan, nan],
    }
    for mode in ("max", "avg"):
        image, numbers = X, np.reshape(wanted[mode], (1, len(windows), 1, 1))
        if data_format == "NHWC":
            image, numbers = np.moveaxis(image, 1, 3), np.moveaxis(numbers, 1, 3)
        exact(pool2d(image, 2, mode, data_format=data_format, backend=backend), numbers, dtype)
    # one at a time, so that what one window holds does not decide how another is computed
    for window, number in zip(windows, wanted["max"]):
        exact(pool2d(np.array(window, dtype).reshape(2, 2), 2, backend=backend), [[number]], dtype)
        padded = pool2d(np.array(window, dtype).reshape(2, 2), 2, padding=1, stride=2, backend=backend)
        exact(padded, np.reshape(window, (2, 2)), dtype)


@pytest.mark.parametrize("mode", ["max", "avg"])
def test_row_70_dilated_pooling(backend, mode):
    X = 36 * whole(3, 1, 2, 8, 9)
    for keywords in (
        {"dilation": 2},
        {"dilation": (3, 1), "stride": 2, "padding": ((2, 1), (0, 1))},
        {"dilation": (1, 2), "stride": (2, 3), "ceil_mode": True},
        {"dilation": 2, "padding": "same", "stride": 2},
    ):
        exact(pool2d(X, (2, 3), mode, **keywords, backend=backend), oracle.pool2d(X, (2, 3), mode, **keywords))


def test_row_74_an_average_of_halves_does_not_overflow(backend):
    X = np.full((16, 16), 1000, "float16")
    exact(pool2d(X, 16, "avg", backend=backend), [[1000]], "float16")
    exact(pool2d(X, 16, "avg", padding=8, stride=16, count_include_pad=False, backend=backend), X[:2, :2], "float16")


def test_row_77_pooling_keeps_the_dtype(backend):
    X = np.array([[16777217.0, 1], [1, 1]])
    exact(pool2d(X, 2, backend=backend), [[16777217.0]], "float64")
    exact(pool2d(X.tolist(), 2, backend=backend), [[16777217.0]], "float64")
    exact(pool2d(np.array([[1e300, 0]]), (1, 2), "avg", backend=backend), [[5e299]], "float64")
    exact(pool2d(np.array([[7, 9]], "uint8"), (1, 2), backend=backend), [[9]])
    exact(pool2d(np.array([[True, False]]), (1, 2), "avg", backend=backend), [[0.5]])
    for words in (np.array([[1j]]), np.array([["1"]]), np.array([[None]])):
        with pytest.raises(ArgumentTypeError, match=r"X must hold real numbers.*Received: "):
            pool2d(words, 1, backend=backend)


def test_rows_78_and_84_integers_with_fractions(backend):
    X = convbridge.asarray(count(3, 3, dtype="int32"), backend=backend)
    for K, dtype in (
        (np.full((1, 1), 0.5), "float64"),
        (np.full((1, 1), 0.5, "float32"), "float32"),
        ([[0.5]], "float64"),
        (convbridge.asarray(np.full((1, 1), 0.5), backend=backend), "float64"),
    ):
        exact(corr2d(X, K, backend=backend), count(3, 3) / 2, dtype)
        exact(chapter.corr2d(X, K, backend=backend), count(3, 3) / 2, dtype)
    huge = corr2d(np.ones((1, 1), "float32"), np.array([[1e300]]), backend=backend)
    exact(huge, [[1e300]], "float64")


@pytest.mark.parametrize("source", ["int8", "uint8", "int32", "int64", "float32", "float64"])
def test_row_79_conversion_keeps_the_dtype(backend, source):
    number = {"int64": 2**53 + 1, "float64": 16777217.0, "int32": 16777217}.get(source, 100)
    X = np.array([[number, 1]], source)
    kept = convbridge.asarray(X, backend=backend)
    exact(kept, X, source)
    assert to_numpy(kept)[0, 0] == number


def test_row_80_lists(backend):
    exact(conv2d([[[[1, 2], [3, 4]]]], [[[[1, 1]]]], [1], backend=backend), [[[[4], [8]]]])
    exact(pool2d([[1.5, 2.5]], (1, 2), "avg", backend=backend), [[2]], "float64")
    exact(corr2d(((1, 2), (3, 4)), [[1, 0]], backend=backend), [[1], [3]])
    with pytest.raises(ArgumentError, match=r"X must be a rectangular array.*Received: "):
        corr2d([[1, 2], [3]], [[1]], backend=backend)


def test_row_81_memory_layouts(backend):
    base = whole(4, 2, 3, 8, 8)
    K = whole(5, 4, 3, 3, 3)
    read_only = base.copy()
    read_only.setflags(write=False)
    layouts = {
        "reversed": base[:, ::-1, ::-1, ::-1],
        "strided": base[:, :, ::2, 1::2],
        "transposed": base.transpose(0, 1, 3, 2),
        "big-endian": base.astype(">f4"),
        "Fortran": np.asfortranarray(base),
        "channels last": np.ascontiguousarray(base.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "broadcast": np.broadcast_to(base[:1], base.shape),
        "read-only": read_only,
    }
    for name, X in layouts.items():
        before, writable = X.copy(), X.flags.writeable
        for kernel in (K, np.asfortranarray(K), K.astype(">f4"), K[::-1, ::-1]):
            exact(conv2d(X, kernel, backend=backend), oracle.conv2d(X, kernel))
        for mode in ("max", "avg"):
            exact(pool2d(X, 2, mode, backend=backend), oracle.pool2d(X, 2, mode))
        np.testing.assert_array_equal(X, before, err_msg=name)
        assert X.flags.writeable is writable, name


def test_row_82_results_share_no_memory_with_arguments(backend):
    host = count(1, 1, 3, 3)
    X = convbridge.asarray(host, backend=backend)
    one = np.ones((1, 1, 1, 1), "float32")
    results = [
        conv2d(host, one, backend=backend),
        conv2d(X, one, backend=backend),
        pool2d(host, 1, backend=backend),
        pool2d(X, 1, backend=backend),
        pool2d(host, 1, "avg", backend=backend),
        pool2d(X, 1, "avg", backend=backend),
        conv2d(host, one, data_format="NCHW", padding="same", backend=backend),
    ]
    for result in (*results, X):
        to_numpy(result)[...] = 0  # nor do copies handed out with results
    host[...] = 0
    if backend == "numpy":
        X[...] = 0
    elif backend == "torch":
        X.zero_()
    elif backend == "mxnet":
        X[:] = 0
        X.wait_to_read()
    for result in results:
        exact(result, count(1, 1, 3, 3))


def test_row_83_small_integers_do_not_wrap(backend):
    X, K = np.full((3, 3), 200, "uint8"), np.full((2, 2), 2, "uint8")
    for function in (corr2d, chapter.corr2d):
        exact(function(X, K, backend=backend), np.full((2, 2), 1600))
    exact(conv2d(np.full((1, 1, 2, 2), 100, "int8"), np.full((1, 1, 2, 2), 1, "int8"), backend=backend), [[[[400]]]])
    exact(pool2d(X, 2, "avg", backend=backend), np.full((2, 2), 200))
    exact(chapter.pool2d(count(2, 2, dtype="int64"), 2, "avg", backend=backend), [[2.5]])


def test_row_54_the_chapters_loops_keep_float64(backend):
    X, K = count(3, 3, dtype="float64") / 3, np.full((2, 2), 0.1)
    for function in (corr2d, chapter.corr2d):
        result = to_numpy(function(X, K, backend=backend))
        bound = bounds.conv2d_bound(X[None, None], K[None, None], dtype="float64")[0, 0]
        wanted = oracle.conv2d(X[None, None], K[None, None])[0, 0]
        assert result.dtype == "float64"
        assert (np.abs(result - wanted) <= bound).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_88_padding_is_multiplied_like_any_zero(backend, dtype):
    X, K = np.ones((1, 2, 4, 4), dtype), np.ones((3, 2, 3, 3), dtype)
    K[1, 1, 1, 1] = np.inf
    for channels in (3, 1):  # some operators have kernels of their own for many channels
        kernels = np.concatenate([K] * channels)
        result = to_numpy(conv2d(X, kernels, padding=2, backend=backend))
        wanted = oracle.conv2d(X, kernels, padding=2)
        assert np.isnan(wanted).any()
        exact(result, wanted, dtype)


def test_t21_fractions_are_no_strides(backend):
    X, K = np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))
    for value in (1.5, 2.0, (1, 1.5), "1", np.float64(1), None, True, (True, 1), 1j, b"1", {1: 1}):
        for name in ("stride", "dilation"):
            with pytest.raises(ArgumentTypeError, match=rf"{name} must .*Received: "):
                conv2d(X, K, **{name: value}, backend=backend)
        if value is not None:
            with pytest.raises(ArgumentTypeError, match=r"stride must .*Received: "):
                pool2d(X, 2, stride=value, backend=backend)
        with pytest.raises(ArgumentTypeError, match=r"pool_size must .*Received: "):
            pool2d(X, value, backend=backend)
    exact(conv2d(X, K, stride=np.int64(2), backend=backend), np.full((1, 1, 2, 2), 4), "float64")
    exact(conv2d(X, K, stride=np.array([2, 1]), backend=backend), np.full((1, 1, 2, 3), 4), "float64")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_kernel_of_one_zero_meets_infinite_pixels(backend, dtype):
    X = np.full((1, 2, 5), np.inf, dtype)
    K = np.zeros((1, 1, 1, 1), dtype)
    for function in (convbridge.corr2d_multi_in_out_1x1, convbridge.corr2d_multi_in_out):
        assert np.isnan(convbridge.to_numpy(function(X, K, backend=backend))).all()
