"""What the NumPy backend returns is the same, bit for bit, in every call and process with as many threads."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

import convbridge
from convbridge import dispatch, processes

#: Prints digests of what the engines return, twice in a process: memory that is used again must not show.
PROGRAM = """
import hashlib
import numpy as np
import convbridge

rng = np.random.default_rng(7)
CASES = [  # images, channels, outputs, size, kernel, stride, padding, groups
    (1, 3, 64, 61, 7, 2, 3, 1), (8, 6, 16, 14, 5, 1, 0, 1), (2, 64, 64, 28, 3, 1, 1, 1), (8, 96, 80, 13, 3, 1, 1, 1),
    (2, 64, 96, 29, 3, 2, 1, 1), (1, 64, 256, 28, 1, 1, 0, 1), (8, 256, 64, 7, 1, 1, 0, 1),
    (2, 32, 32, 30, 3, 1, 1, 32), (2, 64, 64, 14, 3, 1, 1, 8), (1, 160, 320, 20, 5, 1, 2, 1),
    (1, 1, 1, 300, 15, 1, 0, 1), (1, 1, 1, 300, 63, 1, 0, 1),
]

def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]

for number, channels, outputs, size, kernel, stride, padding, groups in CASES:
    X = rng.standard_normal((number, channels, size, size), np.float32)
    weight = rng.standard_normal((outputs, channels // groups, kernel, kernel), np.float32)
    arguments = dict(stride=stride, padding=padding, groups=groups)
    for precision in ("exact", "fast"):
        for _ in range(2):
            with convbridge.use_precision(precision):
                Y = convbridge.conv2d(X, weight, **arguments)
                dX, dW, _ = convbridge.conv2d_vjp(X, weight, None, np.ones_like(Y) * X.flat[0], **arguments)
            print(precision, kernel, channels, digest(Y), digest(dX), digest(dW))
for mode in ("max", "avg"):
    print(mode, digest(convbridge.pool2d(rng.standard_normal((2, 8, 30, 30)), 3, mode)))
"""


def printed(threads):
    run = subprocess.run(
        processes.command(PROGRAM),
        env=processes.environment(OPENBLAS_NUM_THREADS=str(threads), CONVBRIDGE_BACKEND="numpy"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@pytest.mark.parametrize("threads", [1, 2])
def test_two_processes_return_the_same_bits(threads):
    first, second = printed(threads), printed(threads)
    assert len(first) == 12 * 2 * 2 + 2
    assert first == second
    assert first[:-2:2] == first[1:-2:2]  # the first call and the second


@pytest.mark.parametrize("small", [False, True], ids=["large products", "small products"])
@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_call_and_those_that_are_planned_return_the_same_bits(precision, dtype, small, set_small_products):
    """Of sizes around the one from which on a call goes the whole way; and so does a layer, in "exact" those."""
    set_small_products(small)
    rng, short = np.random.default_rng(11), 0
    for _ in range(150):
        channels, outputs, kernel = rng.integers(1, 20), rng.integers(1, 40), rng.integers(1, 6)
        size, padding, stride = rng.integers(kernel, 40), rng.integers(0, kernel), rng.integers(1, 3)
        X = rng.standard_normal((1, channels, size, size)).astype(dtype)
        weight = rng.standard_normal((outputs, channels, kernel, kernel)).astype(dtype)
        arguments = {"padding": int(padding), "stride": int(stride), "backend": "numpy"}
        layer = convbridge.Conv2D(
            int(kernel), int(channels), int(outputs), dtype=dtype, use_bias=False, seed=0, **arguments
        )
        layer.set_weights([weight])
        dispatch.forget()
        with convbridge.use_precision(precision):
            calls = [convbridge.conv2d(X, weight, **arguments) for _ in range(2)]
            layers = [layer(X) for _ in range(2)]
            matrices = [convbridge.corr2d(X[0, 0], weight[0, 0], backend="numpy") for _ in range(2)]
        assert all((one == calls[0]).all() for one in calls[1:] + (layers if precision == "exact" else [])), arguments
        assert (layers[0] == layers[1]).all(), arguments
        assert (matrices[0] == matrices[1]).all()
        names = [plan.__qualname__ for plan in dispatch.PLANS.values()]
        short += any("Operands" not in name and "batch" not in name for name in names)
    assert 30 < short < 150
