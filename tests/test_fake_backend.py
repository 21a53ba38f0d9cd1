"""The third-party backend that other tests make wrong on purpose: before that, the whole library works on it.

Its operators and gradients are judged by ``test_fuzz.py`` and
``test_gradient_parity.py``, which also show that each planted fault is found.
"""

from __future__ import annotations

import numpy as np
import pytest

import convbridge
from convbridge import chapter, comp_conv2d, protocol, registry, to_numpy
from convbridge.errors import MixedBackendsError

X = np.arange(9, dtype="float32").reshape(3, 3)
K = np.arange(4, dtype="float32").reshape(2, 2)
GOLDEN = [[19, 25], [37, 43]]


@pytest.fixture(autouse=True)
def fake(install):
    install("fake")


def exact(result, wanted):
    assert convbridge.selection.framework_of(result) == "fake"
    np.testing.assert_array_equal(to_numpy(result), wanted)


@pytest.mark.parametrize("module", ["arrays", "ops", "chapter", "layers"])
def test_it_has_the_names_of_the_protocol(module):
    wanted = getattr(protocol, f"{module.capitalize()}Module")
    found = getattr(registry.load("fake"), module)
    names = [*wanted.__annotations__, *(name for name in vars(wanted) if not name.startswith("_"))]
    assert [name for name in names if not callable(getattr(found, name, None))] == []


def test_functions_and_the_chapters_loops():
    for correlate in (convbridge.corr2d, chapter.corr2d):
        exact(correlate(X, K, backend="fake"), GOLDEN)
    for pool in (convbridge.pool2d, chapter.pool2d):
        exact(pool(X, 2, backend="fake"), [[4, 5], [7, 8]])
    exact(convbridge.convolve2d(X, K[::-1, ::-1], backend="fake"), GOLDEN)
    exact(convbridge.corr2d_multi_in_out_1x1(X[None], K[:2, :1, None, None], backend="fake"), [0 * X, 2 * X])
    exact(convbridge.conv2d(np.ones((0, 1, 3, 3)), np.ones((2, 1, 2, 2)), backend="fake"), np.ones((0, 2, 2, 2)))


def test_gradients():
    dX, dW, db = convbridge.conv2d_vjp(X[None, None], K[None, None], [0], np.ones((1, 1, 2, 2)), backend="fake")
    exact(dX, [[[[0, 1, 1], [2, 6, 4], [2, 5, 3]]]])
    exact(dW, [[[[8, 12], [20, 24]]]])
    exact(db, [4])
    empty = np.ones((0, 1, 3, 3))
    for found, like in zip(
        convbridge.conv2d_vjp(empty, K[None, None], None, np.ones((0, 1, 2, 2)), backend="fake"), (empty, K[None, None])
    ):
        exact(found, 0 * like)
    exact(convbridge.pool2d_vjp(X, 2, [[1, 2], [3, 4]], backend="fake"), [[0, 0, 0], [0, 1, 2], [0, 3, 4]])


def test_layers():
    layer = convbridge.Conv2D(2, padding=((1, 0), (0, 1)), seed=3, backend="fake")
    twin = convbridge.Conv2D(2, padding=((1, 0), (0, 1)), seed=3, backend="numpy")
    image, grad = X[None, None], np.ones((1, 1, 3, 3), "float32")
    exact(layer(image), twin(image))
    np.testing.assert_array_equal(layer.backward(grad), twin.backward(grad))
    exact(layer.grad_weight, twin.grad_weight)
    for copied in (convbridge.Conv2D.from_native(layer), convbridge.Conv2D.from_native(layer.to_native())):
        assert type(copied).__module__ == type(layer).__module__
        exact(copied(image), twin(image))
    there = convbridge.Conv2D.from_native(layer, backend="numpy")
    assert there.get_weights()[0].tobytes() == twin.get_weights()[0].tobytes()
    layer.set_weights([[[[[0, 1], [2, 3]]]], [1]])
    exact(comp_conv2d(layer, X)[1:, :2], np.add(GOLDEN, 1))
    exact(convbridge.MaxPool2D(2, stride=1, backend="fake")(image), [[[[4, 5], [7, 8]]]])
    exact(comp_conv2d(convbridge.AvgPool2D(3, backend="fake"), X), [[4]])
    assert comp_conv2d(chapter.Conv2D((2, 2), backend="fake"), X).shape == (2, 2)
    with pytest.raises(MixedBackendsError):
        twin(convbridge.asarray(image, backend="fake"))


def test_learning_a_kernel():
    image = np.ones((6, 8), "float32")
    image[:, 2:6] = 0
    learned = [
        convbridge.learn_kernel(image, image[:, :-1] - image[:, 1:], (1, 2), seed=0, backend=backend)
        for backend in ("fake", "numpy")
    ]
    exact(learned[0].weight, learned[1].weight)
    assert learned[0].losses == learned[1].losses
