# ruff: noqa: B023  (every lambda here is called before its loop goes on)
"""The traps of divergences that PyTorch sets; run by test_traps.py.

Every function says what the native operator does today, and demands the right
answer or the clear error from convbridge.
"""

from __future__ import annotations

import threading
import warnings

import numpy as np
import torch
from convbridge_torch import ops
from harness import exact, fails, integers, main, refused, spawned, trap

import convbridge
from convbridge import ArgumentError, ShapeError, conv2d, pool2d
from convbridge.parity import bounds, oracle

warnings.filterwarnings("ignore", "TF32 acceleration on top of oneDNN")  # what PyTorch says when oneDNN is switched


def _flags():
    """Return NNPACK's switch; asking is setting it to the same."""
    (nnpack,) = torch.backends.nnpack.set_flags(True)
    torch.backends.nnpack.set_flags(nnpack)
    return nnpack, torch.backends.cudnn.conv.fp32_precision, torch.backends.mkldnn.enabled


def _spread(seed, *shape):
    """Return numbers of very different sizes, which fast convolutions mix up."""
    random = np.random.default_rng(seed)
    return (random.standard_normal(shape) * 10.0 ** random.uniform(-3, 3, shape)).astype("float32")


@trap("T23")
def nnpack():
    """Without oneDNN a batch of 16 goes to NNPACK, whose Winograd and FFT exceed the bound thousands of times."""
    before = _flags()
    assert before[0], "NNPACK is off from the start: nothing would be tested"
    with torch.backends.mkldnn.flags(enabled=False):
        for kernel, padding in ((3, 1), (5, 2), (3, 0)):
            X, K, b = _spread(1, 16, 4, 12, 12), _spread(2, 5, 4, kernel, kernel), _spread(3, 5)
            wanted = oracle.conv2d(X, K, b, padding=padding)
            bound = bounds.conv2d_bound(X, K, b, dtype="float32", padding=padding)
            _within(conv2d(torch.tensor(X), torch.tensor(K), torch.tensor(b), padding=padding), wanted, bound)
            layer = convbridge.Conv2D(kernel, 4, 5, padding=padding, backend="torch")
            with torch.no_grad():
                layer.weight.copy_(torch.tensor(K))
                layer.bias.copy_(torch.tensor(b))
                _within(layer(torch.tensor(X)), wanted, bound)
            # What the trap is: the same call with NNPACK breaks the bound.
            native = torch.nn.functional.conv2d(torch.tensor(X), torch.tensor(K), torch.tensor(b), padding=padding)
            assert bounds.judge(native.numpy(), wanted.astype("float32"), 2 * bound).kind == bounds.REAL_DIFFERENCE
        # One huge pixel and one NaN touch the windows that they are in, and no others.
        X, K = np.ones((16, 1, 12, 12), "float32"), np.ones((1, 1, 3, 3), "float32")
        X[0, 0, 5, 5] = 1e8
        Y = conv2d(torch.tensor(X), torch.tensor(K))
        _within(Y, oracle.conv2d(X, K), bounds.conv2d_bound(X, K, dtype="float32"))
        assert int((Y == 9).sum()) == Y.numel() - 9
        X[0, 0, 5, 5] = np.nan
        assert int(torch.isnan(conv2d(torch.tensor(X), torch.tensor(K))).sum()) == 9
        assert _flags()[0] is before[0]
        with convbridge.use_precision("fast"):
            fast = conv2d(torch.tensor(_spread(1, 16, 4, 12, 12)), torch.tensor(_spread(2, 5, 4, 3, 3)))
        assert fast.shape == (16, 5, 10, 10)
    assert _flags() == before


def _within(result, wanted, bound):
    verdict = bounds.judge(result.detach().numpy(), wanted.astype("float32"), bound + np.spacing(np.abs(wanted)))
    assert verdict.kind != bounds.REAL_DIFFERENCE, verdict


@trap("T23-threads")
def nnpack_in_threads():
    """The switch belongs to the process: the last of several threads restores it, and no call runs with it on."""
    before = _flags()
    X, K = _spread(1, 16, 3, 10, 10), _spread(2, 4, 3, 3, 3)
    wanted, bound = oracle.conv2d(X, K), bounds.conv2d_bound(X, K, dtype="float32")
    failures = []

    def work():
        try:
            for _ in range(50):
                _within(conv2d(torch.tensor(X), torch.tensor(K)), wanted, bound)
                refused(ShapeError, lambda: conv2d(torch.ones(16, 2, 9, 9), torch.tensor(K)), "X has 2")
        except BaseException as error:  # a thread's exception would be printed and forgotten
            failures.append(error)

    with torch.backends.mkldnn.flags(enabled=False):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # One call comes and goes while another is in it.
        with ops._exact_mode:
            _within(conv2d(torch.tensor(X), torch.tensor(K)), wanted, bound)
            assert not _flags()[0]
    if failures:
        raise failures[0]
    assert _flags() == before


@trap("T14")
def dilation_that_wraps():
    X, K = torch.arange(16.0).reshape(1, 1, 4, 4), torch.ones(1, 1, 3, 3)
    for dilation in (2**63 - 1, 2**63, 2**31, (1, 2**63 - 1)):
        refused(ArgumentError, lambda: conv2d(X, K, dilation=dilation), "dilation must be below 2**31")
        refused(ArgumentError, lambda: pool2d(X, 3, dilation=dilation), "dilation must be below 2**31")
    refused(ShapeError, lambda: conv2d(X, K, dilation=2**31 - 1), "weight must fit")
    for dilation in (2**31 - 1, 2**30):  # with a single tap it has no effect
        exact(conv2d(X, torch.ones(1, 1, 1, 1), dilation=dilation), X)
        exact(pool2d(X, 1, dilation=dilation), X)


@trap("T16")
def negative_padding():
    X, K = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2)
    for padding in (-1, (0, -1), ((0, 0), (-1, 0))):
        refused(ArgumentError, lambda: conv2d(X, K, padding=padding), "padding must be at least 0")
        refused(ArgumentError, lambda: pool2d(X, 2, padding=padding), "padding must be at least 0")


@trap("T24")
def edits_between_forward_and_backward():
    """Edits through ``.data`` escape PyTorch's bookkeeping; convbridge makes none, and hands out no other view."""
    X = torch.tensor(integers(1, 1, 1, 4, 4), requires_grad=True)
    K = torch.tensor(integers(2, 1, 1, 2, 2), requires_grad=True)
    versions = X._version, K._version
    Y = conv2d(X, K, padding=1)
    pooled = pool2d(X, 2)
    # Writing to what convbridge handed out, or was handed, changes nothing that a gradient is made of.
    for view in (convbridge.to_numpy(K), convbridge.to_numpy(X), convbridge.to_numpy(Y), convbridge.to_numpy(pooled)):
        view[...] = 1e6
    host = integers(3, 1, 1, 2, 2)
    copied = convbridge.asarray(host, backend="torch")
    host[...] = 1e6
    exact(copied, integers(3, 1, 1, 2, 2))
    Y.sum().backward(retain_graph=True)
    clean = X.grad.clone()
    exact(clean, np.full((1, 1, 4, 4), K.detach().sum()))
    assert (X._version, K._version) == versions
    # An edit that PyTorch does see is still refused at the backward pass.
    with torch.no_grad():
        K -= 1
    fails(RuntimeError, lambda: Y.sum().backward(), "modified by an inplace operation")


def _in_another_process():
    X, K = integers(1, 8, 16, 32, 32), integers(2, 16, 16, 3, 3)
    exact(conv2d(torch.tensor(X), torch.tensor(K))[:1, :1], oracle.conv2d(X[:1], K[:1]))


@trap("T8")
def another_process():
    """PyTorch's threads do not survive a fork, and the child waits for them; a spawned process has its own."""
    _in_another_process()
    spawned(_in_another_process)


if __name__ == "__main__":
    main()
