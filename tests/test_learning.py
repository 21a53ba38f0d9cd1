"""learn_kernel: the book's numbers on every backend, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import convbridge
from convbridge import LearnedKernel, chapter, conv2d, learn_kernel, to_numpy
from convbridge.errors import ArgumentError, ArgumentTypeError, ConvbridgeError, MixedBackendsError, ShapeError
from convbridge.teaching import learning

X = np.ones((6, 8))
X[:, 2:6] = 0
Y = X[:, :-1] - X[:, 1:]

#: The start, the losses of every second step, the learned kernel: what the book's example gives.
GOLDEN = {
    "zeros": ([[0, 0]], [4.915200, 0.824634, 0.138351, 0.023211, 0.003894], [0.9884708, -0.9884708]),
    "halves": ([[0.5, 0.5]], [14.515200, 4.756794, 1.748963, 0.682918, 0.274110], [1.042158, -0.934784]),
}


def exactly(initial, rate, steps, use_bias=False):
    """Follow the loop in extended precision, as its definition reads; return losses, kernel, bias."""
    kernel = np.array(initial, np.longdouble)
    bias = np.longdouble(0)
    losses = []
    for _ in range(steps):
        error = kernel[0, 0] * X[:, :-1] + kernel[0, 1] * X[:, 1:] + bias - Y
        losses.append((error**2).sum())
        kernel = kernel - rate * 2 * np.array([[(error * X[:, :-1]).sum(), (error * X[:, 1:]).sum()]])
        bias = bias - rate * 2 * error.sum() if use_bias else bias
    return np.array(losses, np.float64), kernel.astype(np.float64), float(bias)


# --------------------------------------------------------------------------- the book's numbers


@pytest.mark.parametrize("start", GOLDEN)
def test_golden_in_float64(backend, start):
    initial, losses, kernel = GOLDEN[start]
    found = learn_kernel(X, Y, (1, 2), initial=initial, backend=backend)
    assert isinstance(found, LearnedKernel)
    assert found.bias is None
    assert all(type(loss) is float for loss in found.losses)
    assert [f"{loss:.6f}" for loss in found.losses[1::2]] == [f"{loss:.6f}" for loss in losses]
    weight = to_numpy(found.weight)
    assert weight.dtype == np.float64
    assert abs(weight - kernel).max() < 0.5e-6  # the book prints six decimals


@pytest.mark.parametrize("start", GOLDEN)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_golden_to_rounding(backend, start, dtype):
    """Within the proved bound of the exact curve, and the weights in the dtype of the images."""
    initial = np.array(GOLDEN[start][0], dtype)
    rate, steps = 0.03, 10
    images = X.astype(dtype), Y.astype(dtype)
    found = learn_kernel(*images, (1, 2), learning_rate=rate, steps=steps, initial=initial, backend=backend)
    weight = to_numpy(found.weight)
    assert weight.dtype == dtype
    assert weight.shape == (1, 2)
    losses, kernel, _ = exactly(initial, rate, steps)
    problem = learning.Problem.of(X, Y, (1, 2))
    bound = learning.drift(
        problem, np.stack([losses, found.losses]), initial.astype(np.float64).reshape(2, 1), rate, dtype
    )
    assert (abs(losses - found.losses) <= bound).all()
    assert bound.max() < 1e-3 * losses[0] if dtype == "float32" else bound.max() < 1e-10
    # each of the ten steps rounds a few times, and none grows: the eigenvalues are 6 and 30
    assert abs(weight - kernel).max() <= 10 * 10 * 42 * np.finfo(dtype).eps


def test_the_variant_with_a_bias(backend):
    found = learn_kernel(X, Y, (1, 2), learning_rate=0.01, steps=100, use_bias=True, initial=[[0, 0]], backend=backend)
    assert to_numpy(found.bias).shape == (1,)
    assert [f"{value:.4f}" for value in to_numpy(found.weight).ravel()] == ["1.0000", "-1.0000"]
    assert abs(to_numpy(found.bias)).max() < 0.5e-4
    losses, kernel, bias = exactly([[0, 0]], 0.01, 100, use_bias=True)
    np.testing.assert_allclose(to_numpy(found.weight), kernel, rtol=0, atol=1e-12)
    assert abs(float(to_numpy(found.bias)[0]) - bias) < 1e-12
    assert len(found.losses) == 100
    assert abs(losses - found.losses).max() < 1e-12


def test_a_bias_that_is_needed(backend):
    """Y + 1 cannot be had by this kernel without one."""
    options = {"learning_rate": 0.01, "steps": 300, "initial": [[0, 0]], "backend": backend}
    with_bias = learn_kernel(X, Y + 1, (1, 2), use_bias=True, **options)
    without = learn_kernel(X, Y + 1, (1, 2), **options)
    assert abs(float(to_numpy(with_bias.bias)[0]) - 1) < 1e-3
    assert with_bias.losses[-1] < 1e-4 < 1 < without.losses[-1]


def test_the_learned_kernel_is_used_like_any_other(backend):
    found = learn_kernel(X, Y, (1, 2), steps=60, initial=[[0, 0]], backend=backend)
    edges = convbridge.corr2d(convbridge.asarray(X, backend=backend), found.weight)
    assert abs(to_numpy(edges) - Y).max() < 1e-3
    slow = chapter.corr2d(X, to_numpy(found.weight), backend=backend)
    assert abs(to_numpy(slow) - to_numpy(edges)).max() < 1e-14


# --------------------------------------------------------------------------- options


def test_steps_are_counted(backend):
    seen = []
    found = learn_kernel(
        X, Y, (1, 2), steps=3, initial=[[0, 0]], progress=lambda *told: seen.append(told), backend=backend
    )
    assert seen == [(1, found.losses[0]), (2, found.losses[1]), (3, found.losses[2])]
    assert found.losses[0] == 12.0


def test_the_kernel_is_watched(backend):
    seen = []
    found = learn_kernel(
        X,
        Y,
        (1, 2),
        steps=3,
        use_bias=True,
        initial=[[0, 0]],
        watch=lambda step, weight, bias: seen.append((step, to_numpy(weight), to_numpy(bias))),
        backend=backend,
    )
    assert [step for step, _, _ in seen] == [1, 2, 3]
    for steps, weight, bias in seen:
        same = learn_kernel(X, Y, (1, 2), steps=steps, use_bias=True, initial=[[0, 0]], backend=backend)
        np.testing.assert_array_equal(weight, to_numpy(same.weight))
        np.testing.assert_array_equal(bias, to_numpy(same.bias))
    np.testing.assert_array_equal(seen[-1][1], to_numpy(found.weight))


def test_no_steps_return_the_start(backend):
    found = learn_kernel(X, Y, (1, 2), steps=0, use_bias=True, initial=[[3, 4]], backend=backend)
    assert found.losses == ()
    assert to_numpy(found.weight).tolist() == [[3, 4]]
    assert to_numpy(found.bias).tolist() == [0]


def test_the_start_is_drawn_like_a_layers_weights(backend):
    first = learn_kernel(X, Y, (1, 2), steps=0, seed=5, backend=backend)
    layer = convbridge.Conv2D((1, 2), seed=5, dtype="float64", backend="numpy")
    assert to_numpy(first.weight).tobytes() == layer.get_weights()[0].tobytes()
    assert (
        to_numpy(learn_kernel(X, Y, (1, 2), steps=0, seed=6, backend=backend).weight).tolist()
        != to_numpy(first.weight).tolist()
    )
    single = learn_kernel(X.astype("float32"), Y.astype("float32"), (1, 2), steps=0, seed=5, backend=backend)
    assert to_numpy(single.weight).dtype == np.float32
    drawn = [to_numpy(learn_kernel(X, Y, (1, 2), steps=0, backend=backend).weight).tolist() for _ in range(2)]
    assert drawn[0] != drawn[1]


def test_arguments_are_left_alone(backend):
    initial = convbridge.asarray(np.array([[0.5, 0.5]]), backend=backend)
    image, target = convbridge.asarray(X, backend=backend), convbridge.asarray(Y, backend=backend)
    found = learn_kernel(image, target, (1, 2), initial=initial)
    assert to_numpy(initial).tolist() == [[0.5, 0.5]]
    assert (to_numpy(image) == X).all()
    assert (to_numpy(target) == Y).all()
    assert (convbridge.selection.framework_of(found.weight) or "numpy") == backend


def test_tensors_that_want_gradients_get_none():
    """The loop is its own; nothing is recorded through it, and nothing accumulates in its arguments."""
    torch = pytest.importorskip("torch")
    image = torch.tensor(X, requires_grad=True)
    start = torch.tensor([[0.5, 0.5]], dtype=torch.float64, requires_grad=True)
    found = learn_kernel(image, torch.tensor(Y), (1, 2), initial=start)
    assert image.grad is None
    assert start.grad is None
    assert [f"{loss:.6f}" for loss in found.losses[1::2]] == [f"{loss:.6f}" for loss in GOLDEN["halves"][1]]


def test_integers_and_lists_compute_in_float32(backend):
    found = learn_kernel(X.astype(int).tolist(), Y.astype(int).tolist(), [1, 2], initial=[[0, 0]], backend=backend)
    assert to_numpy(found.weight).dtype == np.float32
    assert abs(to_numpy(found.weight) - GOLDEN["zeros"][2]).max() < 1e-6


def test_a_rate_that_is_too_large_diverges(backend):
    """At 1/30 and beyond: the factor of the largest eigenvalue is -1 and beyond."""
    found = learn_kernel(X, Y, (1, 2), learning_rate=0.035, steps=40, initial=[[0.5, 0.5]], backend=backend)
    assert found.losses[-1] > found.losses[20] > found.losses[10]


# --------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"learning_rate": 0}, ArgumentError, "learning_rate must be positive"),
        ({"learning_rate": -1.0}, ArgumentError, "learning_rate must be positive"),
        ({"learning_rate": float("nan")}, ArgumentError, "learning_rate must be positive and finite"),
        ({"learning_rate": float("inf")}, ArgumentError, "learning_rate must be positive and finite"),
        ({"learning_rate": "0.1"}, ArgumentTypeError, "learning_rate must be a number"),
        ({"learning_rate": True}, ArgumentTypeError, "learning_rate must be a number"),
        ({"steps": -1}, ArgumentError, "steps"),
        ({"steps": 2.5}, ArgumentTypeError, "steps"),
        ({"seed": -1}, ArgumentError, "seed"),
        ({"seed": "x"}, ArgumentTypeError, "seed"),
        ({"use_bias": 1}, ArgumentTypeError, "use_bias"),
        ({"kernel_size": 0}, ArgumentError, "kernel_size"),
        ({"kernel_size": (1, 9)}, ShapeError, "kernel_size must fit into X"),
        ({"kernel_size": (2, 2)}, ShapeError, "Y must have the shape of corr2d"),
        ({"initial": [[0, 0, 0]]}, ShapeError, "initial must have the shape"),
        ({"initial": [0, 0]}, ShapeError, "initial must have 2 axes"),
        ({"initial": [["a", "b"]]}, ArgumentTypeError, "initial must hold real numbers"),
        ({"X": X[0]}, ShapeError, "X must have 2 axes"),
        ({"Y": Y[:5]}, ShapeError, "Y must have the shape"),
        ({"Y": None}, ArgumentTypeError, "Y must be an array"),
        ({"X": X * 1j}, ArgumentTypeError, "X must hold real numbers"),
    ],
)
def test_bad_input(backend, changes, error, message):
    arguments = {"X": X, "Y": Y, "kernel_size": (1, 2), "backend": backend, **changes}
    with pytest.raises(error, match=message) as caught:
        learn_kernel(**arguments)
    assert isinstance(caught.value, ConvbridgeError)
    assert "Received: " in str(caught.value)


def test_tensors_of_two_frameworks():
    torch = pytest.importorskip("torch")
    with pytest.raises(MixedBackendsError):
        learn_kernel(torch.tensor(X), Y, (1, 2), backend="numpy")


# --------------------------------------------------------------------------- what the eigenvalues say


def test_the_problem_of_the_book():
    """Windows (1,1) 3 times, (1,0), (0,0), (0,1) a row: the Gram matrix and its eigenvalues by hand."""
    problem = learning.Problem.of(X, Y, (1, 2))
    assert problem.gram.tolist() == [[18, 12], [12, 18]]
    np.testing.assert_allclose(problem.eigenvalues, [6, 30], rtol=1e-14)
    assert abs(problem.largest_rate - 1 / 30) < 1e-16
    np.testing.assert_allclose(problem.optimum.ravel(), [1, -1], rtol=1e-14)
    assert problem.smallest_loss < 1e-13


@pytest.mark.parametrize("use_bias", [False, True])
def test_the_problem_against_least_squares(use_bias):
    rng = np.random.default_rng(0)
    image, target = rng.random((9, 10)), rng.random((7, 9))
    problem = learning.Problem.of(image, target, (3, 2), use_bias=use_bias)
    windows = np.array([image[i : i + 3, j : j + 2].ravel() for i in range(7) for j in range(9)])
    if use_bias:
        windows = np.hstack([windows, np.ones((63, 1))])
    wanted, remaining, _, singular = np.linalg.lstsq(windows, target.ravel(), rcond=None)
    np.testing.assert_allclose(problem.optimum[:, 0], wanted, rtol=1e-10)
    np.testing.assert_allclose(problem.smallest_loss, remaining[0], rtol=1e-10)
    np.testing.assert_allclose(problem.eigenvalues, singular[::-1] ** 2, rtol=1e-10)


def test_strips_make_no_difference(monkeypatch):
    rng = np.random.default_rng(0)
    image, target = rng.integers(0, 9, (40, 30)) * 1.0, rng.integers(0, 9, (38, 28)) * 1.0
    whole = learning.Problem.of(image, target, (3, 3))
    monkeypatch.setattr(learning, "_ELEMENTS", 28 * 9 * 5)
    strips = learning.Problem.of(image, target, (3, 3))
    assert (whole.gram == strips.gram).all()
    assert (whole.moment == strips.moment).all()


def test_the_safe_rate_converges_and_the_largest_does_not():
    rng = np.random.default_rng(3)
    image = rng.random((12, 12))
    target = np.asarray(convbridge.corr2d(image, [[1.0, -2.0], [0.5, 1.0]], backend="numpy"))
    problem = learning.Problem.of(image, target, (2, 2))
    for factor, falls in ((0.9, True), (1.1, False)):
        losses = learn_kernel(
            image,
            target,
            (2, 2),
            learning_rate=factor * problem.largest_rate,
            steps=problem.steps,
            initial=np.zeros((2, 2)),
            backend="numpy",
        ).losses
        assert (losses[-1] < 1e-3 * losses[0]) is falls


def test_a_blank_image_has_nothing_to_learn():
    problem = learning.Problem.of(np.zeros((5, 5)), np.ones((4, 4)), (2, 2))
    assert problem.largest_rate == float("inf")
    assert problem.safe_rate == 1
    assert problem.steps == 10
    assert problem.smallest_loss == 16
    lesson = learning.learn(np.ones((5, 5)), np.ones((4, 4)), np.zeros((2, 2)), ["numpy"], rate=0.01, steps=30)
    assert not lesson.diverged
    assert lesson.problem.smallest_loss < 1e-12


# --------------------------------------------------------------------------- the bound can be exceeded


def losses_of(step_factor, noise=0.0, steps=50, dtype=np.float64):
    kernel, losses = np.zeros((1, 1, 1, 2), dtype), []
    for _ in range(steps):
        error = np.asarray(conv2d(X[None, None].astype(dtype), kernel, backend="numpy")) - Y.astype(dtype)
        losses.append(float((error.astype(np.float64) ** 2).sum()))
        gradient = np.array([(error * X[:, :-1]).sum(), (error * X[:, 1:]).sum()], dtype).reshape(1, 1, 1, 2)
        kernel = kernel - dtype(0.03) * step_factor * 2 * gradient + noise
    return np.array(losses)


@pytest.mark.parametrize(
    ("wrong", "dtype"),
    [
        ({"step_factor": 1 + 1e-9}, "float64"),
        ({"step_factor": 1, "noise": 1e-10}, "float64"),
        ({"step_factor": 1.01}, "float32"),
        ({"step_factor": 0.5}, "float32"),
    ],
)
def test_a_loop_that_is_wrong_leaves_the_bound(wrong, dtype):
    kind = np.dtype(dtype).type
    problem = learning.Problem.of(X, Y, (1, 2))
    both = np.stack([losses_of(1, dtype=kind), losses_of(**wrong, dtype=kind)])
    bound = learning.drift(problem, both, np.zeros((2, 1)), 0.03, dtype)
    assert (abs(both[0] - both[1]) > bound).any()
    right = np.stack([both[0], losses_of(1, dtype=kind)])
    assert (abs(right[0] - right[1]) <= bound).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_backend_that_leaves_the_numbers_is_a_real_difference(monkeypatch, value):
    def broken(*arguments, backend, **options):
        found = learn_kernel(*arguments, backend="numpy", **options)
        return found if backend == "numpy" else found._replace(losses=(*found.losses[:-1], value))

    monkeypatch.setattr(learning, "learn_kernel", broken)
    lesson = learning.learn(X, Y, np.zeros((1, 2)), ["numpy", "other"], rate=0.03, steps=10)
    assert lesson.kind == "REAL DIFFERENCE"
    assert lesson.diverged
