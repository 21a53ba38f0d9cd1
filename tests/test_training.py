"""Layers at home: containers, optimizers, saving, and the same loss curve everywhere."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from layer_cases import Case, installed, numbers, of_convbridge, tensor

import convbridge
from convbridge import AvgPool2D, Conv2D, MaxPool2D, registry, to_numpy
from convbridge.errors import (
    MixedBackendsError,
)
from convbridge.parity import oracle
from convbridge.teaching import learning

BACKENDS = tuple(registry.BUILTIN)
#: A wide layer with everything that can be stored.
WIDE = {"kernel_size": (3, 2), "in_channels": 4, "out_channels": 6, "groups": 2}


# --------------------------------------------------------------------------- nets in the frameworks' containers


class NumpyNet:
    """What a user of NumPy writes: layers in a row, forward and backward."""

    def __init__(self, layers):
        self.layers = layers

    def __call__(self, X):
        for layer in self.layers:
            X = layer(X)
        return X

    def backward(self, gradient):
        for layer in reversed(self.layers):
            gradient = layer.backward(gradient)
        return gradient

    def weighted(self):
        return [layer for layer in self.layers if hasattr(layer, "weight")]


def layers_of(backend, seed, data_format="NCHW", dtype="float32"):
    common = {"data_format": data_format, "backend": backend}
    return [
        Conv2D(3, 1, 4, padding="same", seed=seed, dtype=dtype, **common),
        MaxPool2D(2, **common),
        Conv2D((2, 3), 4, 2, padding=((1, 0), (2, 1)), groups=2, seed=seed + 1, dtype=dtype, **common),
        AvgPool2D(3, stride=2, ceil_mode=True, **common),
    ]


def net_of(backend, seed, data_format="NCHW", dtype="float32", hybridize=False):
    """Put the layers into the framework's own container."""
    layers = layers_of(backend, seed, data_format, dtype)
    if backend == "numpy":
        return NumpyNet(layers)
    if backend == "torch":
        import torch

        return torch.nn.Sequential(*layers)
    if backend == "tensorflow":
        import keras

        image = (1, 8, 8) if data_format == "NCHW" else (8, 8, 1)
        return keras.Sequential([keras.Input(image, dtype=dtype), *layers])
    net = convbridge.import_framework("mxnet").gluon.nn.HybridSequential()
    net.add(*layers)
    net.initialize()
    if hybridize:
        net.hybridize()
    return net


def convolutions(net):
    return [layer for layer in getattr(net, "layers", net) if hasattr(getattr(layer, "config", None), "groups")]


def images(data_format="NCHW", dtype="float32"):
    X = numbers(9, 3, 1, 8, 8, dtype=dtype)
    return X if data_format == "NCHW" else np.moveaxis(X, 1, 3).copy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_a_container_computes_what_its_layers_compute(backend, data_format, dtype):
    X = tensor(images(data_format, dtype), backend)
    expected = X
    for layer in layers_of(backend, 1, data_format, dtype):
        expected = layer(expected)
    for hybridize in (False, True) if backend == "mxnet" else (False,):
        found = to_numpy(net_of(backend, 1, data_format, dtype, hybridize)(X))
        assert found.dtype == dtype
        assert found.tobytes() == to_numpy(expected).tobytes()


# --------------------------------------------------------------------------- one step of the frameworks' optimizers


def steps_of(backend, net, X, target, rate, count, hybridize=False):
    """Take steps of plain gradient descent on the sum of squares with the framework's own optimizer; return losses."""
    losses = []
    if backend == "numpy":
        for _ in range(count):
            error = net(X) - target
            losses.append(float((error**2).sum()))
            net.backward(2 * error)
            for layer in net.weighted():
                layer.weight = layer.weight - rate * layer.grad_weight
                layer.bias = layer.bias - rate * layer.grad_bias
    elif backend == "torch":
        import torch

        optimizer = torch.optim.SGD(net.parameters(), lr=rate)
        for _ in range(count):
            loss = (net(tensor(X, backend)) - tensor(target, backend)).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    elif backend == "tensorflow":
        import keras

        def sum_of_squares(y_true, y_pred):
            return keras.ops.sum(keras.ops.square(y_pred - y_true))

        net.compile(optimizer=keras.optimizers.SGD(rate), loss=sum_of_squares)
        history = net.fit(X, target, batch_size=len(X), epochs=count, shuffle=False, verbose=0)
        losses = history.history["loss"]
    else:
        mx = convbridge.import_framework("mxnet")
        trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": rate})
        for _ in range(count):
            with mx.autograd.record():
                loss = (net(tensor(X, backend)) - tensor(target, backend)).square().sum()
            loss.backward()
            trainer.step(1)
            losses.append(float(loss.asscalar()))
    return losses


def test_the_frameworks_own_optimizer_trains(backend):
    trains(backend)


def test_gluons_optimizer_trains_a_hybridized_net(mx):
    trains("mxnet", hybridize=True)


def trains(backend, hybridize=False):
    """Check that losses fall, that every weight moves, and that the first step is NumPy's first step."""
    X = images()
    net, plain = net_of(backend, 3, hybridize=hybridize), net_of("numpy", 3)
    target = numbers(4, *plain(X).shape)
    before = [array for layer in convolutions(net) for array in layer.get_weights()]
    # one step: a gradient of the framework's, and one of NumPy's; both in float32
    (first,) = steps_of(backend, net, X, target, 0.001, 1)
    (wanted,) = steps_of("numpy", plain, X, target, 0.001, 1)
    assert abs(first - wanted) < 1e-4 * wanted
    after = [array for layer in convolutions(net) for array in layer.get_weights()]
    expected = [array for layer in plain.weighted() for array in layer.get_weights()]
    assert len(before) == len(after) == len(expected) == 4
    for old, new, numpys in zip(before, after, expected):
        assert not (old == new).any()
        assert abs(new - numpys).max() <= 1e-3 * abs(numpys - old).max()
    losses = steps_of(backend, net, X, target, 0.001, 40)
    assert losses[-1] < losses[0] < first
    assert all(later <= earlier for earlier, later in itertools.pairwise(losses))


def test_tf_function_around_a_training_step(keras):
    import tensorflow as tf

    X, net, eager = images(), net_of("tensorflow", 3), net_of("tensorflow", 3)
    target = tf.constant(numbers(4, *eager(X).shape))

    def step(model):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(tf.constant(X)) - target))
        for variable, gradient in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables)):
            variable.assign_sub(0.001 * gradient)
        return loss

    traced = tf.function(lambda: step(net))
    for _ in range(3):
        np.testing.assert_allclose(float(traced()), float(step(eager)), rtol=1e-5)


# --------------------------------------------------------------------------- saved and loaded


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_the_same_bits_after_loading(backend, tmp_path, data_format, dtype):
    """Trained in its framework's container by its framework's optimizer, saved, loaded into another net."""
    X = tensor(images(data_format, dtype), backend)
    net = net_of(backend, 1, data_format, dtype)
    drawn = to_numpy(net(X))
    steps_of(backend, net, images(data_format, dtype), numbers(4, *drawn.shape, dtype=dtype), 0.001, 3)
    wanted = to_numpy(net(X))
    assert not (wanted == drawn).any()
    other = net_of(backend, 77, data_format, dtype)
    assert not (to_numpy(other(X)) == wanted).any()
    if backend == "numpy":
        path = tmp_path / "net.npz"
        np.savez(path, *(array for layer in net.weighted() for array in layer.get_weights()))
        with np.load(path) as stored:
            arrays = iter([stored[name] for name in stored.files])
            for layer in other.weighted():
                layer.set_weights([next(arrays), next(arrays)])
    elif backend == "torch":
        import torch

        torch.save(net.state_dict(), tmp_path / "net.pt")
        assert other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True)).missing_keys == []
    elif backend == "tensorflow":
        import keras

        net.save(tmp_path / "net.keras")
        other = keras.models.load_model(tmp_path / "net.keras", compile=False)  # the loss is no function of Keras
        assert [layer.config for layer in convolutions(other)] == [layer.config for layer in convolutions(net)]
    else:
        net.save_parameters(str(tmp_path / "net.params"))
        other.load_parameters(str(tmp_path / "net.params"))
    found = to_numpy(other(X))
    assert found.dtype == dtype
    assert found.tobytes() == wanted.tobytes()


def test_keras_weights_alone(keras, tmp_path):
    net, other = net_of("tensorflow", 1), net_of("tensorflow", 77)
    net.save_weights(tmp_path / "net.weights.h5")
    other.load_weights(tmp_path / "net.weights.h5")
    assert to_numpy(other(images())).tobytes() == to_numpy(net(images())).tobytes()


def test_gluon_loads_into_a_net_that_was_never_initialized(mx, tmp_path):
    net = net_of("mxnet", 1)
    net.save_parameters(str(tmp_path / "net.params"))
    other = mx.gluon.nn.HybridSequential()
    other.add(*layers_of("mxnet", 77))
    other.load_parameters(str(tmp_path / "net.params"))
    X = tensor(images(), "mxnet")
    assert to_numpy(other(X)).tobytes() == to_numpy(net(X)).tobytes()


def test_a_whole_module_is_pickled(torch, tmp_path):
    net = net_of("torch", 1)
    torch.save(net, tmp_path / "net.pt")
    other = torch.load(tmp_path / "net.pt", weights_only=False)
    X = tensor(images(), "torch")
    assert to_numpy(other(X)).tobytes() == to_numpy(net(X)).tobytes()


# --------------------------------------------------------------------------- other frameworks' tensors


@pytest.mark.parametrize(("mine", "theirs"), list(itertools.permutations(BACKENDS, 2)))
def test_a_tensor_of_another_framework(mine, theirs):
    installed(mine, theirs)
    X = numbers(0, 1, 1, 6, 6)
    layers = [make(2, backend=mine) for make in (Conv2D, MaxPool2D, AvgPool2D)]
    if mine == "mxnet":
        hybridized = [make(2, backend=mine) for make in (Conv2D, MaxPool2D, AvgPool2D)]
        for layer in hybridized:
            layer.hybridize()
        layers += hybridized
    for layer in layers:
        if theirs == "numpy":  # neutral
            assert (convbridge.selection.framework_of(layer(X)) or "numpy") == mine
            continue
        with pytest.raises(MixedBackendsError, match="convert"):
            layer(tensor(X, theirs))


def run_keras_on_torch(program):
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={
            **os.environ,
            "KERAS_BACKEND": "torch",
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        },
    )


def test_keras_on_another_backend(keras, torch):
    """The functions need no Keras; the layers do, and say so."""
    done = run_keras_on_torch(
        "import numpy as np, convbridge\n"
        "from convbridge.errors import BackendBrokenError\n"
        "X = np.arange(9.0).reshape(3, 3)\n"
        "print(convbridge.to_numpy(convbridge.corr2d(X, [[0, 1], [2, 3]], backend='tensorflow')).tolist())\n"
        "print(convbridge.to_numpy(convbridge.pool2d(X, 2, backend='tensorflow')).tolist())\n"
        "dX, dW, db = convbridge.conv2d_vjp(X[None, None], X[None, None], None, [[[[1.0]]]], backend='tensorflow')\n"
        "print(np.array_equal(convbridge.to_numpy(dX)[0, 0], X))\n"
        "for make in (lambda: convbridge.Conv2D(3, backend='tf'), lambda: convbridge.MaxPool2D(2, backend='tf')):\n"
        "    try:\n"
        "        make()\n"
        "    except BackendBrokenError as error:\n"
        "        print(error)\n"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["[[19.0, 25.0], [37.0, 43.0]]", "[[4.0, 5.0], [7.0, 8.0]]", "True"]
    assert len(lines) == 5
    for line in lines[3:]:
        assert "need Keras to run on TensorFlow" in line
        assert "KERAS_BACKEND='torch'" in line


# --------------------------------------------------------------------------- the same loss curve


def descend(backend, case, weights, X, Y, rate, steps):
    """Gradient descent by hand around convbridge's layer; the framework differentiates. Return the losses."""
    dtype = X.dtype.name
    layer = of_convbridge(backend)(case, weights, dtype)
    image, target = tensor(X, backend), tensor(Y, backend)
    losses = []

    def note(error):
        losses.append(float(np.sum(np.square(to_numpy(error), dtype=np.float64))))

    for _ in range(steps):
        if backend == "numpy":
            error = layer(image) - target
            layer.backward(2 * error)
            layer.weight = layer.weight - rate * layer.grad_weight
            layer.bias = layer.bias - rate * layer.grad_bias
        elif backend == "torch":
            import torch

            error = layer(image) - target
            gradients = torch.autograd.grad(error.square().sum(), list(layer.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(layer.parameters(), gradients):
                    parameter -= rate * gradient
        elif backend == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                error = layer(image) - target
                loss = tf.reduce_sum(tf.square(error))
            for variable, gradient in zip(layer.weights, tape.gradient(loss, layer.weights)):
                variable.assign_sub(rate * gradient)
        else:
            mx = convbridge.import_framework("mxnet")
            with mx.autograd.record():
                error = layer(image) - target
                loss = error.square().sum()
            loss.backward()
            for parameter in layer.collect_params().values():
                parameter.set_data(parameter.data() - rate * parameter.grad())
        note(error)
    return np.array(losses)


def windows_of(X, case):
    """Lay out what a weight meets, one row for every output pixel: the matrix A, with a column for the bias.

    Column by column the answer of the convolution to a kernel that is 1 at one
    place, by the float64 oracle: exact, for these are copies of pixels.
    """
    (kh, kw), inputs = case.kernel, case.channels[0]
    units = np.eye(inputs * kh * kw).reshape(-1, inputs, kh, kw)
    answers = oracle.conv2d(X.astype("float64"), units, **case.keywords())
    matrix = np.moveaxis(answers, 1, 3).reshape(-1, len(units))
    return np.hstack([matrix, np.ones((len(matrix), 1))]).astype("float64")


CURVES = {
    "small": Case(kernel=(1, 2), channels=(1, 1)),
    "channels": Case(kernel=(3, 2), channels=(2, 3), padding=1),
    "stride and dilation": Case(kernel=(2, 3), channels=(3, 2), stride=(2, 1), dilation=(1, 2), padding="same_lower"),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CURVES)
def test_the_same_loss_curve_in_every_backend(name, dtype):
    """200 steps from one seed, on one set of data: pairwise within the bound of docs/training.md, exactly followed."""
    case, steps = CURVES[name], 200
    inputs, outputs = case.channels
    X = numbers(11, 4, inputs, 8, 7, dtype=dtype)
    start = Conv2D(case.kernel, inputs, outputs, seed=5, dtype=dtype, backend="numpy", **case.keywords()).get_weights()
    Y = numbers(12, *oracle.conv2d(X, *start, **case.keywords()).shape, dtype=dtype)
    A = windows_of(X, case)
    y = np.moveaxis(Y, 1, 3).reshape(-1, outputs).astype("float64")
    problem = learning.Problem.of_windows(A.T @ A, A.T @ y, float((y**2).sum()), len(A))
    assert problem.eigenvalues[0] > 1e-3 * problem.eigenvalues[-1]  # nothing here is nearly singular
    rate = 0.5 * problem.largest_rate
    w = np.vstack([start[0].reshape(outputs, -1).T, start[1][None]]).astype("float64")

    exact, moving, wide = [], w.astype(np.longdouble), A.astype(np.longdouble)
    for _ in range(steps):
        residual = wide @ moving - y
        exact.append(float((residual**2).sum()))
        moving = moving - np.longdouble(rate) * 2 * (wide.T @ residual)
    curves = {"exact": np.array(exact)}
    for backend in convbridge.available_backends():
        if backend in BACKENDS:
            curves[backend] = descend(backend, case, start, X, Y, rate, steps)
            assert len(curves[backend]) == steps

    used = 0.0
    for (first, a), (second, b) in itertools.combinations(curves.items(), 2):
        bound = learning.drift(problem, np.stack([a, b]), w, rate, dtype)
        apart = abs(a - b)
        assert (apart <= bound).all(), (first, second, float((apart / bound).max()))
        used = max(used, float((apart / bound).max()))
        # the bound says something: it stays far below what a step changes, and does not grow with their number
        assert bound.max() < {"float32": 1e-2, "float64": 1e-11}[dtype] * a[0]
        assert bound[-1] <= 1.5 * bound[steps // 2]
    assert 0 < used <= 1
    assert exact[-1] < 0.9 * exact[0]


def test_a_wrong_gradient_leaves_the_curve():
    """The bound can be exceeded: by a gradient that is off by a hundredth, by a bias that stays."""
    case, steps, dtype = CURVES["channels"], 200, "float32"
    X = numbers(11, 4, 2, 8, 7)
    start = Conv2D(case.kernel, 2, 3, seed=5, backend="numpy", **case.keywords()).get_weights()
    Y = numbers(12, *oracle.conv2d(X, *start, **case.keywords()).shape)
    A = windows_of(X, case)
    y = np.moveaxis(Y, 1, 3).reshape(-1, 3).astype("float64")
    problem = learning.Problem.of_windows(A.T @ A, A.T @ y, float((y**2).sum()), len(A))
    rate = 0.5 * problem.largest_rate
    w = np.vstack([start[0].reshape(3, -1).T, start[1][None]]).astype("float64")

    def follow(wrong):
        moving, losses = w, []
        for _ in range(steps):
            residual = A @ moving - y
            losses.append((residual**2).sum())
            moving = moving - wrong * rate * 2 * (A.T @ residual)
        return np.array(losses)

    rows = np.ones((len(w), 1))
    still = rows.copy()
    still[-1] = 0
    good = follow(rows)
    for wrong in (rows * 1.01, still):
        bad = follow(wrong)
        assert (abs(good - bad) > learning.drift(problem, np.stack([good, bad]), w, rate, dtype)).any()
