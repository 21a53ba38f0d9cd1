"""Plans in each framework: gradients, kinds of tensors, layouts, memory of one's own, late errors."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from together import together

import convbridge
from convbridge import conv2d, corr2d, dispatch, pool2d, registry, to_numpy
from convbridge.errors import (
    ArgumentTypeError,
    BackendOperationError,
    MixedBackendsError,
)

pytestmark = pytest.mark.usefixtures("nothing_is_planned")


def needs(framework):
    return pytest.mark.skipif(framework not in convbridge.available_backends(), reason=f"{framework} is not installed")


def numbers(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def own(values, backend):
    return convbridge.asarray(values, backend=backend)


def same(a, b):
    a, b = to_numpy(a), to_numpy(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


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
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_never_stay_in_nchw(dtype, monkeypatch):
    """Some processors' operators take them, and sum in halves; others refuse them."""
    import tensorflow as tf

    ops = registry.load("tensorflow").ops
    monkeypatch.setattr(ops, "_takes_nchw", lambda: True)
    computed = []
    raw = tf.raw_ops.Conv2D
    monkeypatch.setattr(tf.raw_ops, "Conv2D", lambda **options: computed.append("raw") or raw(**options))
    X, K = (tf.cast(own(numbers(*shape), "tensorflow"), dtype) for shape in ((1, 2, 6, 5), (3, 2, 2, 2)))
    for _ in range(2):
        assert conv2d(X, K).dtype == dtype
        assert corr2d(X[0, 0], K[0, 0]).dtype == dtype
    assert not computed
    with suppress(Exception):  # without oneDNN there is no such operator
        conv2d(tf.cast(X, tf.float32), tf.cast(K, tf.float32))
    assert computed


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
