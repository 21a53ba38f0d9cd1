"""The chapters' examples with their printed numbers, by every backend, chosen in every way."""

from __future__ import annotations

import contextvars
from contextlib import nullcontext

import numpy as np
import pytest

import convbridge
from convbridge import chapter, selection
from convbridge.parity import judge, oracle, pool2d_bound
from convbridge.parity.bounds import conv2d_bound

X33 = np.arange(9).reshape(3, 3)
K22 = np.arange(4).reshape(2, 2)
X_CHANNELS = np.stack([X33, X33 + 1])
K_CHANNELS = np.stack([K22, K22 + 1])
K_BANK = np.stack([K_CHANNELS, K_CHANNELS + 1, K_CHANNELS + 2])
X68 = np.ones((6, 8))
X68[:, 2:6] = 0
EDGE = np.array([[1.0, -1.0]])
X44 = np.arange(16, dtype=np.float32).reshape(4, 4)
ONE_BY_ONE = (
    np.random.default_rng(8).integers(-9, 10, (3, 3, 3)),
    np.random.default_rng(9).integers(-9, 10, (2, 3, 1, 1)),
)

DIAGONAL_EDGES = np.eye(6, 7) - np.eye(6, 7, k=-1)

#: What both the chapters' loops and the native operators must return, to the last bit:
#: name to (function, array arguments, other arguments, result, dtype).
EXAMPLES = {
    "1 corr2d": ("corr2d", (X33, K22), {}, [[19, 25], [37, 43]], "float32"),
    "4 edges": ("corr2d", (X68, EDGE), {}, [[0, 1, 0, 0, 0, -1, 0]] * 6, "float64"),
    "4 no edges in the transpose": ("corr2d", (X68.T, EDGE), {}, np.zeros((8, 5)), "float64"),
    "4 edges of the transpose": ("corr2d", (X68.T, EDGE.T), {}, np.transpose([[0, 1, 0, 0, 0, -1, 0]] * 6), "float64"),
    "4 diagonal": ("corr2d", (np.eye(6, 8), EDGE), {}, DIAGONAL_EDGES, "float64"),
    "6 several inputs": ("corr2d_multi_in", (X_CHANNELS, K_CHANNELS), {}, [[56, 72], [104, 120]], "float32"),
    "7 several outputs": (
        "corr2d_multi_in_out",
        (X_CHANNELS, K_BANK),
        {},
        [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]],
        "float32",
    ),
    "8 1x1": (
        "corr2d_multi_in_out_1x1",
        ONE_BY_ONE,
        {},
        np.einsum("chw,oc->ohw", ONE_BY_ONE[0], ONE_BY_ONE[1][:, :, 0, 0]),
        "float32",
    ),
    "8 1x1 as a general kernel": (
        "corr2d_multi_in_out",
        ONE_BY_ONE,
        {},
        np.einsum("chw,oc->ohw", ONE_BY_ONE[0], ONE_BY_ONE[1][:, :, 0, 0]),
        "float32",
    ),
    "10 max": ("pool2d", (X33,), {"pool_size": (2, 2)}, [[4, 5], [7, 8]], "float32"),
    "10 avg": ("pool2d", (X33,), {"pool_size": (2, 2), "mode": "avg"}, [[2, 3], [5, 6]], "float32"),
}


# --------------------------------------------------------------------------- six ways to choose a backend


def by_argument(backend, function, arrays, others):
    return function(*arrays, **others, backend=backend)


def by_context(backend, function, arrays, others):
    with convbridge.use_backend(backend):
        return function(*arrays, **others)


def by_tensor(backend, function, arrays, others):
    tensors = [convbridge.asarray(array, backend=backend) for array in arrays]
    return function(*tensors, **others)


def by_set_backend(backend, function, arrays, others):
    convbridge.set_backend(backend)
    return function(*arrays, **others)


def by_default(backend, function, arrays, others):
    return function(*arrays, **others)


WAYS = {
    "backend=": by_argument,
    "use_backend": by_context,
    "tensor": by_tensor,
    "set_backend": by_set_backend,
    "environment": by_default,
    "default": by_default,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("module", [convbridge, chapter], ids=["native", "chapter"])
def test_examples_in_six_ways(module, example, way, backend, environment, agree):
    function, arrays, others, numbers, dtype = EXAMPLES[example]
    if way == "environment":
        environment(backend)
    # nobody chose: NumPy computes, whatever else is installed
    owner = "numpy" if way == "default" else backend
    agree(WAYS[way](backend, getattr(module, function), arrays, others), numbers, owner, dtype)


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("module", [convbridge, chapter], ids=["native", "chapter"])
def test_examples_as_nested_lists(module, example, backend, agree):
    function, arrays, others, numbers, dtype = EXAMPLES[example]
    lists = [array.tolist() for array in arrays]
    agree(getattr(module, function)(*lists, **others, backend=backend), numbers, backend, dtype)


# --------------------------------------------------------------------------- examples of the native operators alone


def test_1_true_convolution_flips_the_kernel(backend, agree):
    agree(convbridge.convolve2d(X33, K22, backend=backend), [[5, 11], [23, 29]], backend)


def as_batch(array):
    return array.reshape((1,) * (4 - array.ndim) + array.shape)


def test_2_padding(backend, agree):
    result = convbridge.conv2d(as_batch(X33), as_batch(K22), padding=1, backend=backend)
    agree(result, [[[[0, 3, 8, 4], [9, 19, 25, 10], [21, 37, 43, 16], [6, 7, 8, 0]]]], backend)


@pytest.mark.parametrize("data_format", ["NCHW", "NHWC"])
def test_3_stride(data_format, backend, agree):
    X, wanted = as_batch(X33), np.array([[[[0, 8], [6, 8]]]])
    if data_format == "NHWC":
        X, wanted = np.moveaxis(X, 1, 3), np.moveaxis(wanted, 1, 3)
    agree(
        convbridge.conv2d(X, as_batch(K22), padding=1, stride=(3, 2), data_format=data_format, backend=backend),
        wanted,
        backend,
    )


COMP_CONV2D = [
    ({"kernel_size": 3, "padding": 1}, (8, 8)),
    ({"kernel_size": (5, 3), "padding": (2, 1)}, (8, 8)),
    ({"kernel_size": 3, "padding": 1, "stride": 2}, (4, 4)),
    # the TensorFlow edition drops the padding and prints (2, 1)
    ({"kernel_size": (3, 5), "padding": (0, 1), "stride": (3, 4)}, (2, 2)),
]


@pytest.mark.parametrize(("arguments", "shape"), COMP_CONV2D, ids=str)
@pytest.mark.parametrize(
    ("module", "data_format"),
    # the chapters know one layout
    [(convbridge, "NCHW"), (convbridge, "NHWC"), (chapter, "NCHW")],
    ids=["native", "native NHWC", "chapter"],
)
def test_9_comp_conv2d(module, data_format, arguments, shape, backend):
    layer = convbridge.Conv2D(**arguments, data_format=data_format, seed=0, backend=backend)
    X = np.random.default_rng(0).random((8, 8), np.float32)
    result = convbridge.to_numpy(module.comp_conv2d(layer, X))
    assert result.shape == shape
    weight = convbridge.to_numpy(parameter(layer, "weight"))
    keywords = {"stride": arguments.get("stride", 1), "padding": arguments["padding"]}
    bias = np.zeros(1, np.float32)
    exact = oracle.conv2d(as_batch(X), weight, bias, **keywords)[0, 0]
    bound = conv2d_bound(as_batch(X), weight, bias, dtype="float32", **keywords)[0, 0]
    assert judge(result.astype(np.longdouble), exact, bound).kind != "REAL DIFFERENCE"


POOLING_LAYERS = [
    ("MaxPool2D", X44, {"pool_size": 3}, [[10]]),
    ("MaxPool2D", X44, {"pool_size": 3, "padding": 1, "stride": 2}, [[5, 7], [13, 15]]),
    ("MaxPool2D", X44, {"pool_size": (2, 3), "stride": (2, 3), "padding": (0, 1)}, [[5, 7], [13, 15]]),
    # padding with zeros would give zeros
    ("MaxPool2D", X44 - 20, {"pool_size": 3, "padding": 1, "stride": 2}, [[-15, -13], [-7, -5]]),
    ("AvgPool2D", X44, {"pool_size": 2}, [[2.5, 4.5], [10.5, 12.5]]),
]


@pytest.mark.parametrize(("kind", "X", "arguments", "wanted"), POOLING_LAYERS, ids=str)
def test_11_pooling_layers(kind, X, arguments, wanted, backend, agree):
    layer = getattr(convbridge, kind)(**arguments, backend=backend)
    agree(layer(as_batch(X)), [[wanted]], backend)
    mode = "max" if kind == "MaxPool2D" else "avg"
    keywords = {"stride": None, **arguments}
    agree(convbridge.pool2d(X, mode=mode, **keywords, backend=backend), wanted, backend)


def test_11_two_channels(backend, agree):
    X = np.stack([X44, X44 + 1])[None]
    layer = convbridge.MaxPool2D(3, padding=1, stride=2, backend=backend)
    agree(layer(X), [[[[5, 7], [13, 15]], [[6, 8], [14, 16]]]], backend)


def test_11_layers_follow_the_selection(backend, environment, agree):
    """A layer belongs to the backend that was chosen when it was made."""
    with convbridge.use_backend(backend):
        layer = convbridge.MaxPool2D(3)
    agree(layer(as_batch(X44)), [[[[10]]]], backend)
    environment(backend)
    agree(convbridge.MaxPool2D(3)(as_batch(X44)), [[[[10]]]], backend)
    agree(convbridge.comp_conv2d(convbridge.Conv2D(2), X44 * 0), np.zeros((3, 3)), backend)


#: What the chapters leave to the operators and layers: name to function, arrays, keywords, numbers.
OPERATORS = {
    "1 true convolution": ("convolve2d", (X33, K22), {}, [[5, 11], [23, 29]]),
    "2 padding": (
        "conv2d",
        (as_batch(X33), as_batch(K22)),
        {"padding": 1},
        [[[[0, 3, 8, 4], [9, 19, 25, 10], [21, 37, 43, 16], [6, 7, 8, 0]]]],
    ),
    "3 stride": ("conv2d", (as_batch(X33), as_batch(K22)), {"padding": 1, "stride": (3, 2)}, [[[[0, 8], [6, 8]]]]),
    **{
        f"11 {kind} {arguments}": (
            "pool2d",
            (X,),
            {"mode": kind[:3].lower(), "stride": None, **arguments},
            wanted,
        )
        for kind, X, arguments, wanted in POOLING_LAYERS
    },
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("example", OPERATORS)
def test_operators_in_six_ways(example, way, backend, environment, agree):
    function, arrays, others, numbers = OPERATORS[example]
    if way == "environment":
        environment(backend)
    owner = "numpy" if way == "default" else backend
    arrays = tuple(np.asarray(array, np.float32) for array in arrays)
    agree(WAYS[way](backend, getattr(convbridge, function), arrays, others), numbers, owner)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "tensor"])
@pytest.mark.parametrize(("arguments", "shape"), COMP_CONV2D, ids=str)
@pytest.mark.parametrize("module", [convbridge, chapter], ids=["native", "chapter"])
def test_9_layers_in_every_way_a_layer_can_be_chosen(module, arguments, shape, way, backend, environment):
    """A tensor chooses nothing here: the layer is there before it."""
    if way == "environment":
        environment(backend)
    layer = WAYS[way](backend, convbridge.Conv2D, (), {**arguments, "seed": 0})
    result = module.comp_conv2d(layer, np.ones((8, 8), np.float32))
    assert convbridge.to_numpy(result).shape == shape
    owner = "numpy" if way == "default" else backend
    assert (convbridge.selection.framework_of(result) or "numpy") == owner


def test_12_output_sizes():
    for n in range(1, 12):
        for k in range(1, 5):
            for s in range(1, 4):
                top, bottom = convbridge.same_padding(n, k, stride=s, mode="chapter")[0]
                assert (top + bottom, top - bottom) == (k - 1, (k - 1) % 2)  # the larger half at the top
                assert convbridge.output_shape(n, k, stride=s, padding="chapter")[0] == (n + s - 1) // s
                for p in range(3):
                    if n + 2 * p >= k:
                        assert convbridge.output_shape(n, k, stride=s, padding=p)[0] == (n - k + 2 * p + s) // s


def test_13_receptive_fields():
    assert convbridge.receptive_field([2]).size == (2, 2)
    assert convbridge.receptive_field([2, 2]).size == (3, 3)
    size = (240, 240)
    for _ in range(10):
        size = convbridge.output_shape(size, 5)
    assert size == (200, 200)
    assert convbridge.receptive_field([5] * 10).size == (41, 41)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_chapter_loops_are_within_the_rounding_bound(dtype, backend):
    """Random numbers too, not only integers: the loops are the definition that a reader trusts."""
    rng = np.random.default_rng(5)
    X, K = rng.standard_normal((3, 5, 6)).astype(dtype), rng.standard_normal((2, 3, 2, 3)).astype(dtype)
    result = convbridge.to_numpy(chapter.corr2d_multi_in_out(X, K, backend=backend))
    bound = sum(conv2d_bound(X[None], K, dtype=d)[0] for d in (dtype, "longdouble"))
    assert result.dtype.name == dtype
    assert judge(result.astype(np.longdouble), oracle.conv2d(X[None], K)[0], bound).kind != "REAL DIFFERENCE"
    for mode in ("max", "avg"):
        result = convbridge.to_numpy(chapter.pool2d(X[0], (2, 3), mode, backend=backend))
        bound = sum(pool2d_bound(X[0], (2, 3), mode, dtype=d) for d in (dtype, "longdouble"))
        exact = oracle.pool2d(X[0], (2, 3), mode)
        assert judge(result.astype(np.longdouble), exact, bound).kind != "REAL DIFFERENCE"


# --------------------------------------------------------------------------- mistakes that are not mirrored


def parameter(layer, name):
    """Read a layer's parameter as the backend's array: Gluon wraps it, the others do not."""
    found = getattr(layer, name)
    return found.data() if hasattr(found, "set_data") else found


def set_parameter(layer, name, value):
    """Give a layer's parameter a value, by whichever word its framework has for it."""
    found = getattr(layer, name)
    value = np.asarray(value, np.float32)
    if isinstance(found, np.ndarray):
        found[...] = value
    elif hasattr(found, "assign"):
        found.assign(value)
    elif hasattr(found, "set_data"):
        found.set_data(convbridge.asarray(value, backend="mxnet"))
    else:
        found.data = convbridge.asarray(value, backend="torch")


def test_layer_is_built_from_the_kernel_size_not_from_the_input(backend):
    """A Keras ``build(self, kernel_size)`` receives the input's shape: weight (6, 8), output (1, 1)."""
    layer = chapter.Conv2D((1, 2), backend=backend)
    X = np.ones((6, 8), np.float32)
    shapes = [tuple(layer.weight.shape)]
    result = layer(convbridge.asarray(X, backend=backend))
    shapes.append(tuple(parameter(layer, "weight").shape))
    assert shapes == [(1, 2), (1, 2)]  # height first
    assert tuple(result.shape) == (6, 7)


def test_bias_is_added_to_the_sum_not_to_the_weight(backend, agree):
    layer = chapter.Conv2D((2, 2), backend=backend)
    image = convbridge.asarray(X33.astype(np.float32), backend=backend)
    layer(image)  # Gluon's parameters have no values before the first call
    set_parameter(layer, "weight", K22)
    set_parameter(layer, "bias", [0.5])
    result = layer(image)
    wanted = [[19.5, 25.5], [37.5, 43.5]]  # and not [[23, 31], [47, 55]]
    values = convbridge.to_numpy(result)
    np.testing.assert_array_equal(values, wanted)
    agree(convbridge.conv2d(as_batch(X33), as_batch(K22), [0.5], backend=backend), [[wanted]], backend, "float64")
    native = convbridge.Conv2D(2, backend=backend)
    convbridge.comp_conv2d(native, X33)
    set_parameter(native, "weight", as_batch(K22))
    set_parameter(native, "bias", [0.5])
    agree(convbridge.comp_conv2d(native, X33), wanted, backend)


@pytest.mark.parametrize("module", [convbridge, chapter], ids=["native", "chapter"])
def test_float64_is_not_lost(module, backend, agree):
    """The TensorFlow loop forces float32; output buffers of the others are float32 whatever goes in."""
    X = X33 + 2.0**-40
    agree(module.corr2d(X, np.ones((1, 1)), backend=backend), X, backend, "float64")
    agree(module.pool2d(X, 1, backend=backend), X, backend, "float64")
    agree(module.pool2d(X, 1, "avg", backend=backend), X, backend, "float64")


@pytest.mark.parametrize("module", [convbridge, chapter], ids=["native", "chapter"])
@pytest.mark.parametrize("image", [np.int64, np.uint8, np.bool_])
def test_integer_image_and_float_kernel(module, image, backend, agree):
    """An integer buffer truncates 0.5 to 0; TensorFlow refuses to multiply the two."""
    X = np.ones((2, 2), image)
    agree(module.corr2d(X, np.array([[0.5, 0.25]], np.float32), backend=backend), [[0.75], [0.75]], backend)
    agree(module.pool2d(np.array([[1, 0]], image), (1, 2), "avg", backend=backend), [[0.5]], backend)


def _torch_gradient(function, X, K):
    import torch

    X, K = (torch.tensor(np.asarray(array, np.float32), requires_grad=True) for array in (X, K))
    function(X, K).sum().backward()
    return X.grad.numpy(), K.grad.numpy()


def _tensorflow_gradient(function, X, K):
    import tensorflow as tf

    X, K = (tf.Variable(np.asarray(array, np.float32)) for array in (X, K))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(function(X, K))
    gradients = tape.gradient(total, (X, K))
    assert None not in gradients  # TensorFlow's way of saying that it lost track
    return [gradient.numpy() for gradient in gradients]


def _mxnet_gradient(function, X, K):
    mx = convbridge.import_framework("mxnet")
    X, K = (convbridge.asarray(np.asarray(array, np.float32), backend="mxnet") for array in (X, K))
    X.attach_grad()
    K.attach_grad()
    with mx.autograd.record():
        total = function(X, K).sum()
    total.backward()
    return X.grad.asnumpy(), K.grad.asnumpy()


GRADIENTS = {"torch": _torch_gradient, "tensorflow": _tensorflow_gradient, "mxnet": _mxnet_gradient}


@pytest.mark.parametrize("module", [convbridge, chapter], ids=["native", "chapter"])
def test_loops_and_operators_can_be_differentiated(module, backend):
    """TensorFlow's loop gave None, MXNet's raised; every loop of the library has the gradient."""
    if backend not in GRADIENTS:
        pytest.skip(f"{backend} has no automatic differentiation")
    dX, dK = GRADIENTS[backend](module.corr2d, X33, K22)
    np.testing.assert_array_equal(dX, [[0, 1, 1], [2, 6, 4], [2, 5, 3]])
    np.testing.assert_array_equal(dK, [[8, 12], [20, 24]])
    dX, dK = GRADIENTS[backend](module.corr2d_multi_in_out, X_CHANNELS, K_BANK)
    assert dX.shape == X_CHANNELS.shape
    np.testing.assert_array_equal(dK, np.broadcast_to([[[8, 12], [20, 24]], [[12, 16], [24, 28]]], K_BANK.shape))
    for mode, wanted in (("max", np.outer([0, 1, 1], [0, 1, 1])), ("avg", np.outer([1, 2, 1], [1, 2, 1]) / 4)):
        # the kernel takes part so that the same helper serves, and its gradient is the output
        dX, dK = GRADIENTS[backend](lambda X, K, mode=mode: module.pool2d(X, 2, mode) * K, X33, np.ones((2, 2)))
        np.testing.assert_array_equal(dX, wanted)


def test_comp_conv2d_leaves_the_callers_weights_alone(backend):
    """An MXNet listing initialises the caller's layer anew at every call."""
    layer = convbridge.Conv2D(3, padding=1, backend=backend)
    first = convbridge.to_numpy(convbridge.comp_conv2d(layer, X44))
    before = convbridge.to_numpy(parameter(layer, "weight"))
    second = convbridge.to_numpy(chapter.comp_conv2d(layer, X44))
    np.testing.assert_array_equal(convbridge.to_numpy(parameter(layer, "weight")), before)
    np.testing.assert_array_equal(first, second)
    assert np.abs(before).max() > 0


def test_native_layers_of_mxnet_are_initialised_only_if_nobody_has(backend):
    if backend != "mxnet":
        pytest.skip("only MXNet's layers are made without weights and without an image")
    gluon = convbridge.import_framework("mxnet").gluon
    fresh = gluon.nn.Conv2D(1, 3, padding=1)
    assert tuple(convbridge.comp_conv2d(fresh, X44).shape) == (4, 4)
    weight = fresh.weight.data().asnumpy()
    convbridge.comp_conv2d(fresh, X44)
    chapter.comp_conv2d(fresh, X44)
    np.testing.assert_array_equal(fresh.weight.data().asnumpy(), weight)


@pytest.mark.parametrize("mode", ["mean", "MAX", "", "min", None, 1])
@pytest.mark.parametrize("module", [convbridge, chapter], ids=["native", "chapter"])
def test_unknown_modes_raise(module, mode, backend):
    with pytest.raises((ValueError, TypeError), match=r"mode must be one of .*max.*avg.*Received: mode=") as caught:
        module.pool2d(X33, 2, mode, backend=backend)
    assert isinstance(caught.value, convbridge.ConvbridgeError)


def test_functions_return_something_new(backend):
    """A listing whose corr2d is a stub returns None; and results are nobody else's memory."""
    for function, arrays, others, _, _ in EXAMPLES.values():
        for module in (convbridge, chapter):
            result = getattr(module, function)(*arrays, **others, backend=backend)
            assert result is not None
            assert all(result is not array for array in arrays)


def test_a_fresh_context_has_no_choice():
    """The six ways above start from nothing chosen."""
    assert contextvars.Context().run(convbridge.get_backend) == "numpy"
    with nullcontext():
        assert selection.framework_of(X33) is None
