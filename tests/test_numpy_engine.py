"""Every engine of the NumPy backend by itself, whatever the planner would choose here; the planner; scratch memory.

The random cases of the parity tests run through the planner, so they meet only
the engines that this machine and its threads call for. Here each engine
computes every shape that it may be given, in integers that must come out
exactly, and with NaN and infinities in the image.
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
from convbridge_numpy import ops
from convbridge_numpy.engine import (
    arena,
    convolve,
    gradients,
    im2col,
    lowered,
    lowered_weight,
    machine,
    passes,
    plan,
    pool,
    products,
    toeplitz,
)
from convbridge_numpy.engine.window import Window
from together import together

from convbridge.geometry import Sides
from convbridge.parity import bounds, oracle


def whole(seed, *shape, dtype="float32"):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


#: images, channels, outputs, size, kernel, stride, padding, dilation
SHAPES = [
    (1, 1, 1, (9, 40), (3, 3), (1, 1), (0, 0, 0, 0), (1, 1)),
    (2, 3, 5, (11, 13), (3, 2), (1, 1), (1, 2, 0, 3), (1, 1)),
    (3, 20, 70, (7, 9), (3, 3), (2, 1), (2, 0, 1, 1), (1, 1)),
    (2, 33, 65, (10, 6), (2, 3), (1, 2), (0, 0, 0, 0), (1, 2)),
    (2, 4, 8, (12, 12), (5, 5), (3, 2), (4, 4, 4, 4), (1, 1)),
    (2, 17, 9, (4, 5), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
    (3, 9, 80, (6, 7), (1, 1), (2, 3), (0, 0, 0, 0), (1, 1)),
    (1, 8, 3, (8, 8), (3, 3), (1, 1), (3, 3, 3, 3), (3, 2)),
    (2, 2, 2, (3, 2), (2, 2), (4, 4), (0, 1, 1, 0), (1, 1)),
    (3, 70, 9, (9, 7), (3, 3), (1, 1), (1, 3, 0, 1), (2, 1)),
]


def may_compute(engine, shape):
    _, channels, _, _, kernel, stride, padding, dilation = shape
    if engine.startswith("pointwise"):
        return kernel == (1, 1) and not any(padding)
    if engine.startswith("lowered"):  # groups as well: one of them is as good as many
        return dilation[0] == 1 or (engine == "lowered.channels_last" and stride[0] == 1)
    if engine.startswith(("winograd", "fourier")):
        return False  # no integers come out of it: see below
    if engine.startswith(("toeplitz", "banded")):
        return channels == 1 and dilation[0] == 1
    return channels == 1 if engine in ("depthwise.channels_last", "shifted.by_channel") else True


#: Files whose engines compute one input channel a group, in blocks.
BY_CHANNEL = ("banded", "depthwise", "shifted")

PAIRS = [(engine, shape) for engine in convolve.ENGINES for shape in SHAPES if may_compute(engine, shape)]


def setting(engine, shape, dtype="float32"):
    number, channels, outputs, size, kernel, stride, padding, dilation = shape
    X, weight = whole(1, number, channels, *size, dtype=dtype), whole(2, outputs, channels, *kernel, dtype=dtype)
    window = Window.of(size, kernel, stride, Sides(*padding), dilation)
    keywords = {"stride": stride, "padding": (padding[:2], padding[2:]), "dilation": dilation}
    return X, weight, window, keywords


def test_every_engine_computes_something_here():
    inexact = {engine for engine in convolve.ENGINES if engine.startswith(("winograd", "fourier"))}
    assert {engine for engine, _ in PAIRS} == set(convolve.ENGINES) - inexact


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("engine", "shape"), PAIRS)
def test_engines_are_exact_for_integers(engine, shape, dtype):
    X, weight, window, keywords = setting(engine, shape, dtype)
    wanted = oracle.conv2d(X, weight, **keywords)
    for channels_last in (False, True):
        result = np.empty((len(X), len(weight), *window.outputs), dtype)
        if channels_last:
            result = np.empty((len(X), *window.outputs, len(weight)), dtype).transpose(0, 3, 1, 2)
        result[...] = np.nan
        convolve.ENGINES[engine](X, weight, window, result)
        np.testing.assert_array_equal(result, wanted.astype(dtype))


@pytest.mark.parametrize(("engine", "shape"), PAIRS)
def test_engines_keep_what_is_not_finite_where_it_is(engine, shape):
    X, weight, window, keywords = setting(engine, shape)
    X[0, 0, 1, 1], X[-1, -1, -1, 0], X[0, -1, 2, 1] = np.nan, np.inf, -np.inf
    wanted = oracle.conv2d(X, weight, **keywords)
    result = np.zeros((len(X), len(weight), *window.outputs), "float32")
    with np.errstate(all="ignore"):
        convolve.ENGINES[engine](X, weight, window, result)
    np.testing.assert_array_equal(result, wanted.astype("float32"))


@pytest.mark.parametrize(("engine", "shape"), PAIRS)
def test_engines_take_any_strides_and_small_blocks(engine, shape, monkeypatch):
    for module in (im2col, lowered, toeplitz, *(getattr(convolve, name) for name in BY_CHANNEL), convolve.pointwise):
        monkeypatch.setattr(module, "BLOCK_BYTES", 512)
    monkeypatch.setattr(lowered, "PLANAR_BYTES", 512)
    monkeypatch.setattr(im2col, "MOST_BYTES", 512)
    monkeypatch.setattr(products, "SMALL_PRODUCT", 2000)
    for cached in (products.chunk_of_pixels, lowered._channels_in_a_part):  # as they are here, without what is known
        monkeypatch.setattr(sys.modules[cached.__module__], cached.__name__, cached.__wrapped__)
    X, weight, window, keywords = setting(engine, shape)
    wanted = oracle.conv2d(X, weight, **keywords)
    spread = np.zeros((*X.shape[:3], 2 * X.shape[3]), "float32")[..., ::2].transpose(0, 1, 3, 2).copy().swapaxes(2, 3)
    spread[...] = X
    flipped = np.ascontiguousarray(weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)).transpose(1, 0, 2, 3)[
        :, :, ::-1, ::-1
    ]
    result = np.empty((len(X), len(weight), *window.outputs), "float32")
    convolve.ENGINES[engine](spread, flipped, window, result)
    np.testing.assert_array_equal(result, wanted.astype("float32"))


@pytest.mark.parametrize("add_from", [1, 32])
def test_channels_are_added_in_parts(add_from, monkeypatch):
    """Whatever is saved by it, and with images side by side."""
    monkeypatch.setattr(lowered, "_channels_in_a_part", lambda row, *shape: add_from)
    X, weight = whole(1, 3, 33, 6, 5), whole(2, 9, 33, 3, 3)
    window = Window.of((6, 5), (3, 3), (1, 1), Sides(1, 1, 1, 1), (1, 1))
    for result in (np.empty((3, 9, 6, 5), "float32"), np.empty((3, 6, 5, 9), "float32").transpose(0, 3, 1, 2)):
        convolve.ENGINES["lowered.channels_last"](X, weight, window, result)
        np.testing.assert_array_equal(result, oracle.conv2d(X, weight, padding=1))


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if may_compute("im2col.planar", shape)])
def test_columns_from_shifted_images(shape, monkeypatch):
    monkeypatch.setattr(im2col, "MANY_NUMBERS", 0)
    monkeypatch.setattr(passes, "WORTH", 2)
    for block_bytes in (600, im2col.BLOCK_BYTES):
        monkeypatch.setattr(im2col, "BLOCK_BYTES", block_bytes)
        X, weight, window, keywords = setting("im2col.planar", shape)
        result = np.full((len(X), len(weight), *window.outputs), np.nan, "float32")
        convolve.ENGINES["im2col.planar"](X[..., ::-1, :], weight, window, result)
        np.testing.assert_array_equal(result, oracle.conv2d(X[..., ::-1, :], weight, **keywords))


def test_parts_keep_tiles_wide():
    assert lowered._channels_in_a_part(56, 64, 64, 3, 3, 4) == 64
    assert lowered._channels_in_a_part(56, 256, 256, 3, 3, 4) < 256
    assert lowered._channels_in_a_part(8, 4096, 512, 3, 3, 8) * 4096 * 9 * 8 <= 2 * plan.COPIED_WEIGHTS
    assert products.chunk_of_pixels(56, 2304, 64) < 8 <= products.chunk_of_pixels(56, 9 * 128, 64)


GROUPED = [name for name in convolve.ENGINES if name.startswith(BY_CHANNEL) or name.endswith("grouped")]


@pytest.mark.parametrize("small_blocks", [False, True])
@pytest.mark.parametrize("engine", GROUPED)
def test_groups_with_several_kernels(engine, small_blocks, monkeypatch):
    if small_blocks:
        monkeypatch.setattr(lowered, "PLANAR_BYTES", 600)
        monkeypatch.setattr(convolve.depthwise, "STRIP_BYTES", 600)
        monkeypatch.setattr(convolve.depthwise, "MOST_CHANNELS", 4)
        for name in BY_CHANNEL:
            monkeypatch.setattr(getattr(convolve, name), "BLOCK_BYTES", 600)
    settings = (((1, 1), Sides(1, 0, 2, 1)), ((2, 3), Sides(0, 0, 0, 0)), ((3, 2), Sides(3, 1, 1, 3)))
    if engine == "pointwise.grouped":
        settings = (((1, 1), Sides(0, 0, 0, 0)), ((2, 3), Sides(0, 0, 0, 0)))
    each = 1 if engine in ("depthwise.channels_last", "banded.by_channel", "shifted.by_channel") else 3
    X, weight = whole(1, 2, 6 * each, 9, 8), whole(2, 18, each, 3, 2)
    X[0, 1, 4, 4], X[1, 0, 0, 1] = 2e6, -(2**20)
    if engine == "pointwise.grouped":
        weight = weight[:, :, :1, :1]
    for stride, padding in settings:
        for channels_last in (False, True):
            window = Window.of((9, 8), weight.shape[2:], stride, padding, (1, 1))
            result = np.full((2, 18, *window.outputs), np.nan, "float32")
            if channels_last:
                result = np.full((2, *window.outputs, 18), np.nan, "float32").transpose(0, 3, 1, 2)
            convolve.ENGINES[engine](X, weight, window, result)
            sides = (padding[:2], padding[2:])
            wanted = oracle.conv2d(X, weight, stride=stride, padding=sides, groups=6)
            np.testing.assert_array_equal(result, wanted)


def test_long_runs_of_channels(monkeypatch):
    """A run by themselves, and repeated for every pixel of a row."""
    X, weight = whole(1, 2, 5, 6, 7), whole(2, 5, 1, 3, 3)
    window = Window.of((6, 7), (3, 3), (1, 1), Sides(1, 1, 1, 1), (1, 1))
    for long in (1, 512):
        monkeypatch.setattr(convolve.depthwise, "LONG_RUN", long)
        result = np.empty((2, 5, 6, 7), "float32")
        convolve.ENGINES["depthwise.channels_last"](X, weight, window, result)
        np.testing.assert_array_equal(result, oracle.conv2d(X, weight, padding=1, groups=5))


def test_runs_that_would_share_their_place_in_the_cache():
    X, weight = whole(1, 1, 128, 5, 4), whole(2, 256, 1, 3, 3)
    window = Window.of((5, 4), (3, 3), (2, 1), Sides(1, 1, 1, 1), (1, 1))
    result = np.empty((1, 256, 3, 4), "float32")
    convolve.ENGINES["depthwise.channels_last"](X, weight, window, result)
    np.testing.assert_array_equal(result, oracle.conv2d(X, weight, stride=(2, 1), padding=1, groups=128))


@pytest.mark.parametrize("engine", ["banded.by_channel", "shifted.by_channel"])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("where", ["image", "weight"])
@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan, np.float32(3e38)])
def test_banded_matrices_keep_to_themselves_what_is_not_finite(number, where, stride, engine):
    X, weight = whole(1, 2, 3, 11, 9), whole(2, 6, 1, 3, 2)
    (X if where == "image" else weight)[1, 0, 1, 1] = number
    window = Window.of((11, 9), (3, 2), stride, Sides(1, 1, 1, 0), (1, 1))
    results = np.empty((2, 2, 6, *window.outputs), "float32")
    with np.errstate(all="ignore"):
        convolve.ENGINES[engine](X, weight, window, results[0])
        convolve.ENGINES["depthwise.by_group"](X, weight, window, results[1])
    np.testing.assert_array_equal(*results)
    assert np.isfinite(results[0]).mean() > 0.5


@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (0, 0, 0, 0), (2, 0, 5, 4), (9, 8, 7, 9), (0, 1, 0, 1)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 2), (2, 1), (3, 3)])
def test_products_move_within_their_row(padding, stride):
    """What crossed the seam between two rows, channels or images would show in the sum."""
    for size, kernel, dilation in (((14, 14), (3, 3), (1, 1)), ((9, 8), (2, 5), (3, 1)), ((8, 12), (3, 3), (2, 4))):
        X, weight = whole(1, 3, 4, *size), whole(2, 8, 1, *kernel)
        window = Window.of(size, kernel, stride, Sides(*padding), dilation)
        result = np.full((3, 8, *window.outputs), np.nan, "float32")
        convolve.ENGINES["shifted.by_channel"](X, weight, window, result)
        keywords = {"stride": stride, "dilation": dilation, "padding": (padding[:2], padding[2:])}
        np.testing.assert_array_equal(result, oracle.conv2d(X, weight, groups=4, **keywords))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [80, 81])
def test_every_second_column_whatever_lies_behind_it(width, dtype):
    rows = np.arange(2 * 40 * 90, dtype=dtype).reshape(2, 40, 90)[:, ::-1, :width]
    for start, step in ((0, 2), (1, 2), (5, 2), (0, 1), (1, 3)):
        for count in {(width - start + step - 1) // step, 30 // step}:
            target = np.full((2, 40, 2, count), np.nan, dtype)
            passes.copy_columns(target[:, :, 1], rows, slice(start, start + (count - 1) * step + 1, step))
            np.testing.assert_array_equal(target[:, :, 1], rows[..., start::step][..., :count])
            assert np.isnan(target[:, :, 0]).all()
    last = np.arange(80 * 101, dtype=dtype).reshape(80, 101)  # the end of its memory is the end of a pair's first half
    target = np.empty((80, 51), dtype)
    passes.copy_columns(target, last, slice(0, 101, 2))
    np.testing.assert_array_equal(target, last[:, ::2])


@pytest.mark.parametrize("size", [1, 1023, 1024, 2500])
def test_finite_sees_every_number(size):
    numbers = np.full(size, -3e38, "float32")
    assert passes.finite(numbers)
    for place in {0, size // 2, size - 1}:
        for number in (np.inf, -np.inf, np.nan):
            spoilt = numbers.copy()
            spoilt[place] = number
            with np.errstate(invalid="ignore"):
                assert not passes.finite(spoilt)


def test_one_channel_a_group_has_four_engines(monkeypatch):
    def engine(channels, kernel, size, **options):
        return plan.plan(1, channels, channels, (kernel, kernel), (size, size), groups=channels, **options).engine

    monkeypatch.setattr(plan.machine, "small_kernels", lambda: True)
    plan.plan.cache_clear()
    try:
        assert engine(32, 3, 112) == engine(192, 7, 28) == engine(1, 5, 1080) == "banded.by_channel"
        assert engine(1, 9, 1080) == "toeplitz.filter_image"
        assert engine(512, 3, 10) == engine(64, 5, 7) == "depthwise.channels_last"
        assert engine(64, 3, 56, channels_last=True) == "depthwise.channels_last"
        assert engine(512, 3, 14) == engine(64, 3, 56, stride=(2, 2)) == "shifted.by_channel"
        assert engine(32, 3, 112, dilation=(2, 1)) == "shifted.by_channel"
        assert engine(8, 3, 20) == engine(32, 3, 112, dilation=(12, 1)) == "depthwise.by_group"
        monkeypatch.setattr(plan.machine, "small_kernels", lambda: False)
        plan.plan.cache_clear()
        assert engine(32, 3, 112) == "depthwise.by_group"
        assert engine(192, 7, 28) == engine(512, 3, 14) == "depthwise.channels_last"
    finally:
        plan.plan.cache_clear()


def test_filter_within_the_bound():
    rng = np.random.default_rng(0)
    X, weight = rng.standard_normal((1, 1, 90, 150)).astype("float32"), rng.standard_normal((1, 1, 15, 15))
    weight = weight.astype("float32")
    assert plan.plan(1, 1, 1, (15, 15), (76, 136)).engine == "toeplitz.filter_image"
    ours = convolve.conv2d(X, weight, (1, 1), Sides(0, 0, 0, 0), (1, 1), 1)
    difference = np.abs(ours - oracle.conv2d(X, weight))
    assert (difference <= bounds.conv2d_bound(X, weight, dtype="float32")).all()


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("channels", [2, 20])
@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 2, 3, 0)])
def test_gradients_of_many_and_few_channels(stride, channels, padding):
    """<conv(X), G> = <X, dX> = <W, dW>, exactly in integers, for any X: so the gradients are the transposed maps."""
    X, weight = whole(1, 2, channels, 21, 20), whole(2, 5, channels, 3, 4)
    sides = Sides(*padding)
    keywords = (stride, sides, (1, 1), 1)
    Y = convolve.conv2d(X, weight, *keywords)
    G = whole(3, *Y.shape)
    dX = gradients.conv2d_input(weight, G, (21, 20), *keywords)
    dW = gradients.conv2d_weight(X, G, (3, 4), *keywords)
    total = (Y * G).sum(dtype="float64")
    assert (dX * X).sum(dtype="float64") == total
    assert (dW * weight).sum(dtype="float64") == total


ROWS = [shape for shape in SHAPES if shape[7][0] == 1]


@pytest.mark.parametrize("small_blocks", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", ROWS)
def test_weight_gradient_from_lowered_rows(shape, dtype, small_blocks, monkeypatch):
    """What im2col gives, exactly in integers, in whatever layout and blocks, NaN where it has NaN."""
    if small_blocks:
        monkeypatch.setattr(lowered_weight, "BLOCK_BYTES", 512)
        monkeypatch.setattr(lowered_weight, "GRADIENT_BYTES", 4000)
        monkeypatch.setattr(lowered_weight, "COLUMNS", 8)
        monkeypatch.setattr(machine, "SMALL_PRODUCT", 1000)
    X, weight, window, _ = setting(1, shape, dtype)
    G = whole(3, len(X), len(weight), *window.outputs, dtype=dtype)
    last = np.ascontiguousarray(G.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for value in (1, np.nan, np.inf):
        X[-1, -1, 1, 0] *= value
        wanted, ours = np.full_like(weight, 7), np.full_like(weight, 8)
        with np.errstate(all="ignore"):
            gradients._weight_of_group(X, G, window, wanted)
            for grad in (G, last):
                lowered_weight.weight_gradient(X, grad, window, ours)
                np.testing.assert_array_equal(ours, wanted)


def test_weight_gradient_from_lowered_rows_where_it_is_faster(monkeypatch, set_small_products):
    set_small_products(True)
    taken = []
    compute = lowered_weight.weight_gradient
    monkeypatch.setattr(lowered_weight, "weight_gradient", lambda *a: taken.append(a[0].shape) or compute(*a))
    for size, kernel, groups in ((28, 3, 1), (28, 3, 2), (7, 3, 1), (28, 1, 1)):
        X, G = whole(1, 1, 64, size, size), whole(2, 1, 16, size, size)
        side = kernel // 2
        keywords = ((1, 1), Sides(side, side, side, side), (1, 1), groups)
        dW = gradients.conv2d_weight(X, G, (kernel, kernel), *keywords)
        weight = whole(3, *dW.shape)
        Y = convolve.conv2d(X, weight, *keywords)
        assert (dW * weight).sum(dtype="float64") == (Y * G).sum(dtype="float64")
    assert taken == [(1, 64, 28, 28), (1, 32, 28, 28), (1, 32, 28, 28)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 13])
@pytest.mark.parametrize("combine", [np.maximum, np.add])
@pytest.mark.parametrize("dilation", [1, 2])
def test_windows_by_doubling(size, combine, dilation, monkeypatch):
    X = whole(1, 3, 30, 31)
    window = (size - 1) * dilation + 1
    wanted = np.stack([
        combine.reduce(X[:, y : y + window : dilation, x : x + window : dilation], axis=(1, 2))
        for y in range(31 - window)
        for x in range(32 - window)
    ], axis=1).reshape(3, 31 - window, 32 - window)  # fmt: skip
    for block in (2**19, 256):
        monkeypatch.setattr(pool, "BLOCK_BYTES", block)
        ours = pool.reduce_windows(X, (size, size), (1, 1), (dilation, dilation), combine)
        np.testing.assert_array_equal(ours, wanted)


def test_plan_tells_its_reason(set_small_products):
    set_small_products(True)
    assert plan.plan(1, 64, 64, (3, 3), (56, 56)).engine == "lowered.channels_last"
    assert plan.plan(1, 3, 64, (11, 11), (55, 55), stride=(4, 4), padded=True).engine == "lowered.channels_last"
    assert plan.plan(1, 3, 64, (9, 9), (64, 64), stride=(3, 3)).engine == "lowered.planar"
    set_small_products(False)
    found = plan.plan(1, 64, 64, (3, 3), (56, 56))
    assert found.engine == "im2col.channels_last"
    assert found.reason


def test_plan_table_names_every_engine():
    for engine in convolve.ENGINES:
        assert f"\n{engine} " in plan.__doc__


def test_scratch_memory_is_bounded_and_given_back():
    X, weight = whole(1, 8, 64, 40, 40), whole(2, 64, 64, 3, 3)
    keywords = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, "data_format": "NCHW"}
    held = []

    def work():
        ops.conv2d(X, weight, None, padding=Sides(1, 1, 1, 1), **keywords)
        held.append(sum(buffer.nbytes for buffer in arena._kept.buffers))
        arena.release()
        held.append(sum(buffer.nbytes for buffer in arena._kept.buffers))

    together(work)
    assert 0 < held[0] <= arena.KEPT_BYTES
    assert held[1] == 0


def test_nested_scratch_is_not_shared():
    with arena.Scratch() as outer:
        first = outer((1000,), np.dtype("float32"))
        with arena.Scratch() as inner:
            second = inner((1000,), np.dtype("float32"))
            assert not np.shares_memory(first, second)
        third = outer((1000,), np.dtype("float32"))
        assert not np.shares_memory(first, third)
        assert first.ctypes.data % arena.ALIGNMENT == 0


def test_threads_compute_side_by_side():
    X, weight = whole(1, 2, 16, 30, 30), whole(2, 16, 16, 3, 3)
    wanted = oracle.conv2d(X, weight, padding=1)
    keywords = {"stride": (1, 1), "dilation": (1, 1), "groups": 1, "data_format": "NCHW"}
    wrong = []

    def work(factor):
        for _ in range(30):
            Y = ops.conv2d(X * factor, weight, None, padding=Sides(1, 1, 1, 1), **keywords)
            if not (factor * wanted == Y).all():
                wrong.append(factor)

    together(*(partial(work, np.float32(factor)) for factor in (1, 2, 3, 4)))
    assert not wrong
