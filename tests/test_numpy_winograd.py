"""Winograd's minimal filtering: its transforms, its values within their own bound, and whatever is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from convbridge_numpy.engine import convolve, cook_toom, winograd
from convbridge_numpy.engine.window import Window

import convbridge
import convbridge.selection
from convbridge.geometry import Sides
from convbridge.parity import bounds, bounds_fast, oracle

WINOGRAD = {4: "winograd.four_by_four", 3: "winograd.three_by_three", 2: "winograd.two_by_two"}


def whole(seed, *shape, dtype="float32"):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(dtype)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


#: How Winograd's engine cuts its work: as usual, in the smallest blocks, all images at once, few tiles in a product.
CUTS = {
    "usual": {},
    "blocks": {"BLOCK_BYTES": 1, "ENOUGH_TILES": 1, "SMALL_PRODUCT": 9000},
    "images": {"BLOCK_BYTES": 10 * 2**20},
    "products": {"MOST_CHUNK": 5},
}


@pytest.mark.parametrize("tile", WINOGRAD)
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("padding", "size"),
    [((0, 0, 0, 0), (20, 23)), ((1, 1, 1, 1), (6, 5)), ((0, 3, 2, 1), (3, 9)), ((2, 1, 0, 9), (19, 34))],
)
def test_winograd_within_its_own_bound(tile, cut, dtype, padding, size, monkeypatch):
    for name, value in CUTS[cut].items():
        monkeypatch.setattr(winograd, name, value)
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((3, 33, *size)) * 10.0 ** rng.integers(-3, 4, (3, 33, 1, 1))).astype(dtype)
    weight = rng.standard_normal((99, 33, 3, 3)).astype(dtype)
    window = Window.of(size, (3, 3), (1, 1), Sides(*padding), (1, 1))
    result = np.full((3, 99, *window.outputs), np.nan, dtype)
    convolve.ENGINES[WINOGRAD[tile]](X, weight, window, result)
    sides = (padding[:2], padding[2:])
    wanted = oracle.conv2d(X, weight, padding=sides)
    bound = bounds_fast.winograd_bound(X, weight, dtype=dtype, padding=sides, tile=tile)
    assert (np.abs(result - wanted) <= bound).all()
    assert (np.abs(result * 1.01 - wanted) > bound).any()
    last = np.full((3, *window.outputs, 99), np.nan, dtype).transpose(0, 3, 1, 2)
    convolve.ENGINES[WINOGRAD[tile]](np.repeat(X, 2, axis=3)[..., ::2], weight[:, :, ::-1][:, :, ::-1], window, last)
    assert (last == result).all()


@pytest.mark.parametrize("tile", WINOGRAD)
@pytest.mark.parametrize(
    ("kernel", "dilation"),
    [(3, (2, 3)), (3, (1, 12)), (4, (1, 1)), (5, (1, 1)), (5, (2, 1)), (7, (1, 1)), (11, (1, 1))],
)
@pytest.mark.parametrize(("padding", "size"), [((0, 0, 0, 0), (21, 26)), ((5, 4, 0, 30), (12, 34))])
@pytest.mark.parametrize("cut", CUTS)
def test_winograd_of_large_and_dilated_kernels(tile, kernel, dilation, padding, size, cut, monkeypatch):
    for name, value in CUTS[cut].items():
        monkeypatch.setattr(winograd, name, value)
    X, weight = normal(0, 2, 5, *size), normal(1, 35, 5, kernel, kernel)
    window = Window.of(size, (kernel, kernel), (1, 1), Sides(*padding), dilation)
    result = np.full((2, 35, *window.outputs), np.nan, "float32")
    with convbridge.selection.watch_trades() as noted:
        convolve.ENGINES[WINOGRAD[tile]](X, weight, window, result)
    keywords = {"padding": (padding[:2], padding[2:]), "dilation": dilation}
    wanted = oracle.conv2d(X, weight, **keywords)
    bound = bounds_fast.conv2d_bound(noted, X, weight, dtype="float32", **keywords)
    assert (np.abs(result - wanted) <= bound).all()
    assert (np.abs(result * 1.01 - wanted) > bound).any()
    X[1, 0, -1, -1] = np.nan
    with convbridge.selection.watch_trades() as noted:
        convolve.ENGINES[WINOGRAD[tile]](X, weight, window, result)
    assert noted == set()
    np.testing.assert_array_equal(np.isnan(result), np.isnan(oracle.conv2d(X, weight, **keywords)))


@pytest.mark.parametrize("tile", WINOGRAD)
@pytest.mark.parametrize("kernel", range(2, 12))
def test_transforms_filter_and_are_those_of_the_bound(tile, kernel):
    form = cook_toom.form(tile, kernel)
    pixels, weights = np.arange(1.0, form.seen + 1) ** 2, (-1.0) ** np.arange(kernel) * np.arange(2, kernel + 2)
    outputs = form.outputs @ ((form.weights @ weights) * (form.pixels @ pixels))
    np.testing.assert_allclose(outputs, np.correlate(pixels, weights, "valid"), rtol=1e-12, atol=1e-10)
    for ours, theirs in zip((form.pixels, form.weights, form.outputs), bounds_fast._transforms(tile, kernel)):
        np.testing.assert_allclose(np.abs(ours), theirs, rtol=1e-13)
    assert all((matrix == np.round(matrix)).all() for matrix in (form.pixels, form.outputs))


@pytest.mark.parametrize("tile", WINOGRAD)
def test_winograd_does_not_keep_the_bound_of_a_dot_product(tile):
    """What an output owes to a pixel comes about, through its tile, by way of weights that it does not need."""
    X, weight = np.zeros((1, 1, 6, 6), "float32"), np.random.default_rng(1).standard_normal((1, 1, 3, 3))
    X[0, 0, 1, 1], weight = 1e6, weight.astype("float32")
    weight[0, 0, 1, 1] = 1e-4
    result = np.zeros((1, 1, 4, 4), "float32")
    window = Window.of((6, 6), (3, 3), (1, 1), Sides(0, 0, 0, 0), (1, 1))
    convolve.ENGINES[WINOGRAD[tile]](X, weight, window, result)
    difference = np.abs(result - oracle.conv2d(X, weight))
    assert (difference > bounds.conv2d_bound(X, weight, dtype="float32")).any()
    assert (difference <= bounds_fast.winograd_bound(X, weight, dtype="float32", tile=tile)).all()


def test_the_bound_of_small_tiles_is_smaller():
    X, weight = whole(1, 1, 64, 12, 12), whole(2, 64, 64, 3, 3)
    small, large = (bounds_fast.winograd_bound(X, weight, dtype="float32", tile=tile) for tile in (2, 4))
    assert (small < large).all()


def test_winograd_only_in_fast_and_only_for_finite_images():
    X, weight = whole(1, 1, 64, 34, 34), whole(2, 64, 64, 3, 3)
    wanted = oracle.conv2d(X, weight)
    np.testing.assert_array_equal(convbridge.conv2d(X, weight, backend="numpy"), wanted)
    with convbridge.selection.use_precision("fast"):
        fast = convbridge.conv2d(X, weight, backend="numpy")
        X[0, 3, 5, 5] = np.inf
        infinite = convbridge.conv2d(X, weight, backend="numpy")
    assert (fast != wanted).any()
    assert (np.abs(fast - wanted) <= bounds_fast.winograd_bound(whole(1, 1, 64, 34, 34), weight, dtype="float32")).all()
    np.testing.assert_array_equal(infinite, oracle.conv2d(X, weight))
