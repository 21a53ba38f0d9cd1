"""The designed kernels: against their definitions, against SciPy's numbers, and their names."""

from __future__ import annotations

import math

import numpy as np
import pytest

import convbridge
from convbridge import kernels
from convbridge.errors import ArgumentError, ArgumentTypeError

IMAGE = np.random.default_rng(0).integers(0, 256, (12, 14)).astype(np.float64)


def correlate(kernel):
    return convbridge.to_numpy(convbridge.corr2d(IMAGE, kernel, backend="numpy"))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("order", [1, 2, 3, 6])
def test_derivative_is_the_forward_difference(order, axis):
    np.testing.assert_array_equal(correlate(kernels.derivative(order, axis=axis)), np.diff(IMAGE, order, axis=axis))


@pytest.mark.parametrize("order", [1, 2, 5, 20, 52])
def test_derivative_is_the_smallest(order):
    weights = kernels.derivative(order)
    assert weights.shape == (1, order + 1)
    # zero on every polynomial of a lower degree, d! on x**d: in whole numbers, which do not round
    exact = [int(w) for w in weights[0]]
    for degree in range(order):
        assert sum(w * k**degree for k, w in enumerate(exact)) == 0
    assert sum(w * k**order for k, w in enumerate(exact)) == math.factorial(order)


def test_the_chapters_edges():
    np.testing.assert_array_equal(kernels.vertical_edges(), [[1, -1]])
    np.testing.assert_array_equal(kernels.vertical_edges(), -kernels.derivative(1))
    np.testing.assert_array_equal(kernels.horizontal_edges(), kernels.vertical_edges().T)
    np.testing.assert_array_equal(kernels.second_derivative(), [[1, -2, 1]])


@pytest.mark.parametrize("name", ["sobel", "prewitt", "scharr"])
def test_gradient_operators(name):
    build = getattr(kernels, name)
    ramp_x = np.tile(np.arange(5.0), (5, 1))
    assert not np.any(build(axis=1).sum())
    np.testing.assert_array_equal(build(axis=0), build(axis=1).T)
    # a ramp towards the right answers along axis 1, with a positive sign, and not along axis 0
    assert (convbridge.corr2d(ramp_x, build(axis=1), backend="numpy") > 0).all()
    assert not convbridge.corr2d(ramp_x, build(axis=0), backend="numpy").any()


def test_laplacian_is_the_sum_of_second_derivatives():
    inner = np.diff(IMAGE, 2, axis=0)[:, 1:-1] + np.diff(IMAGE, 2, axis=1)[1:-1]
    np.testing.assert_array_equal(correlate(kernels.laplacian()), inner)
    np.testing.assert_array_equal(correlate(kernels.sharpen()), IMAGE[1:-1, 1:-1] - inner)
    assert kernels.laplacian(neighbours=8).sum() == 0
    assert kernels.sharpen(neighbours=8).sum() == 1


def test_box_is_average_pooling():
    pooled = convbridge.pool2d(IMAGE, (3, 2), "avg", backend="numpy")
    np.testing.assert_allclose(correlate(kernels.box((3, 2))), pooled, rtol=1e-15)
    np.testing.assert_array_equal(kernels.integral(4), np.ones((4, 4)))


@pytest.mark.parametrize("size", [1, 2, 3, 5, (3, 8)])
@pytest.mark.parametrize("sigma", [None, 0.4, 1.0, 7.5])
def test_gaussian_is_a_separable_bell(size, sigma):
    kernel = kernels.gaussian(size, sigma=sigma)
    assert kernel.sum() == pytest.approx(1, abs=1e-15)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], rtol=1e-15)
    height, width = (size, size) if isinstance(size, int) else size
    bells = []
    for n in (height, width):
        s = sigma or 0.3 * ((n - 1) * 0.5 - 1) + 0.8
        x = np.arange(n) - (n - 1) / 2
        bell = np.exp(-(x**2) / (2 * s * s))
        bells.append(bell / bell.sum())
    np.testing.assert_allclose(kernel, np.outer(*bells), rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("sigma", [1e-300, 5e-324, 1e300])
def test_gaussian_has_no_extremes(sigma):
    with np.errstate(all="raise", under="ignore"):
        kernel = kernels.gaussian(4, sigma=sigma)
    assert kernel.sum() == 1
    assert np.isfinite(kernel).all()


def test_laplacian_of_gaussian():
    # the second derivatives of a smoothed image, here of x**2 + y**2, whose Laplacian is 4 everywhere
    y, x = np.mgrid[:30, :30].astype(np.float64)
    result = convbridge.corr2d(x**2 + y**2, kernels.laplacian_of_gaussian(2.0), backend="numpy")
    np.testing.assert_allclose(result, 4, rtol=0.01)
    assert abs(kernels.laplacian_of_gaussian(3.3).sum()) < 1e-15


def test_binomial_is_exact():
    np.testing.assert_array_equal(kernels.binomial(5) * 256, np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]))
    assert kernels.binomial((1, 53)).sum() == 1


def test_every_result_has_the_dtype_asked_for():
    for name in kernels.names():
        assert kernels.named(name).dtype == np.float64
        assert kernels.named(name, dtype="float32").dtype == np.float32
    assert kernels.sobel(dtype="int8").dtype == np.int8


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: kernels.derivative(0), ArgumentError, "order must be positive"),
        (lambda: kernels.derivative(53), ArgumentError, "order must be at most 52"),
        (lambda: kernels.derivative(True), ArgumentTypeError, "order"),
        (lambda: kernels.derivative(1.0), ArgumentTypeError, "order"),
        (lambda: kernels.derivative(1, axis=2), ArgumentError, "axis must be 0"),
        (lambda: kernels.derivative(1, axis=-1), ArgumentError, "axis"),
        (lambda: kernels.box(0), ArgumentError, "size must be positive"),
        (lambda: kernels.box((3, 2, 1)), ArgumentError, "size"),
        (lambda: kernels.box(10**6), ArgumentError, "size must be at most"),
        (lambda: kernels.box(3, dtype="int32"), ArgumentError, "dtype must be a float"),
        (lambda: kernels.box(3, dtype="complex64"), ArgumentTypeError, "dtype"),
        (lambda: kernels.box(3, dtype="nonsense"), ArgumentTypeError, "dtype"),
        (lambda: kernels.identity(4), ArgumentError, "size must be odd"),
        (lambda: kernels.gaussian(sigma=0), ArgumentError, "sigma must be finite"),
        (lambda: kernels.gaussian(sigma="a"), ArgumentTypeError, "sigma must be a number"),
        (lambda: kernels.gaussian(sigma=float("nan")), ArgumentError, "sigma must be finite"),
        (lambda: kernels.gaussian(sigma=1e6), ArgumentError, "sigma must give a kernel"),
        (lambda: kernels.laplacian_of_gaussian(0.1), ArgumentError, "sigma must be between"),
        (lambda: kernels.laplacian_of_gaussian(1.0, size=4), ArgumentError, "size must be odd"),
        (lambda: kernels.laplacian(neighbours=6), ArgumentError, "neighbours must be 4 or 8"),
        (lambda: kernels.diagonal_edges(anti=1), ArgumentTypeError, "anti must be True or False"),
        (lambda: kernels.binomial(54), ArgumentError, "size must be at most 53"),
        (lambda: kernels.named(3), ArgumentTypeError, "name must be a string"),
        (lambda: kernels.named("vertical-edgs"), ArgumentError, "Did you mean 'vertical-edges'"),
        (lambda: kernels.named("sobel"), ArgumentError, "Did you mean 'sobel-x'"),
        (lambda: kernels.named("gausian-5"), ArgumentError, "Did you mean 'gaussian'"),
        (lambda: kernels.named("vertical-edges-3"), ArgumentError, "takes no number"),
        (lambda: kernels.named("box:colour=3"), ArgumentError, "takes no argument but 'size'"),
        (lambda: kernels.named("box:dtype=3"), ArgumentError, "takes no argument but 'size'"),
        (lambda: kernels.named("box-"), ArgumentError, "must end in a number"),
        (lambda: kernels.named("box-0"), ArgumentError, "size must be positive"),
        (lambda: kernels.named(""), ArgumentError, "name must be one of"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "Received: " in str(caught.value)


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("vertical-edges", kernels.vertical_edges()),
        ("Vertical_Edges", kernels.vertical_edges()),
        ("derivative", kernels.derivative(1)),
        ("derivative-3", kernels.derivative(3)),
        ("derivative:3", kernels.derivative(3)),
        ("derivative-y-2", kernels.derivative(2, axis=0)),
        ("derivative:order=2,axis=0", kernels.derivative(2, axis=0)),
        ("second-derivative-y", kernels.second_derivative(axis=0)),
        ("sobel-x", kernels.sobel()),
        ("sobel-y", kernels.sobel(axis=0)),
        ("laplacian-8", kernels.laplacian(neighbours=8)),
        ("laplacian-of-gaussian-2.5", kernels.laplacian_of_gaussian(2.5)),
        ("antidiagonal-edges", kernels.diagonal_edges(anti=True)),
        ("box", kernels.box(3)),
        ("box-5", kernels.box(5)),
        ("box-2x7", kernels.box((2, 7))),
        ("gaussian-7", kernels.gaussian(7)),
        ("gaussian:sigma=1.5", kernels.gaussian(sigma=1.5)),
        ("gaussian:size=3,sigma=2", kernels.gaussian(3, sigma=2)),
    ],
)
def test_named(name, kernel):
    np.testing.assert_array_equal(kernels.named(name), kernel)


def test_every_name_works_and_every_table_entry_is_public():
    assert set(kernels.designs()) == set(kernels.names())
    for name, design in kernels.designs().items():
        assert kernels.named(name).ndim == 2
        assert design.build.__name__ in kernels.__all__
        assert design.summary
