"""Every row of every backend's table of gaps, tried out on the framework itself.

A row is a claim about a framework, and frameworks change: a probe here calls
the framework directly, past convbridge, and must be refused. A row without a
probe fails, and so does a probe without a row. The probes of one backend run in
a process of their own with its framework alone, since another one can lend it a
dtype, and since an error that MXNet reports late can hit the next call.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

import convbridge
from convbridge import registry
from convbridge.errors import UnsupportedOperationError

#: Backend to a program that defines PROBES: row to calls without arguments, all of which the framework refuses.
PROGRAMS = {
    "numpy": """
import numpy as np

rows = ("conv2d", "max_pool2d", "avg_pool2d", "asarray")
PROBES = {f"{row}[bfloat16]": [lambda: np.dtype("bfloat16"), lambda: np.ones(2, "bfloat16")] for row in rows}
""",
    "torch": """
import torch
import torch.nn.functional as F

def probes(dtype):
    x = torch.ones((1, 1, 2, 2)).to(dtype)
    return [
        lambda: x + x,
        lambda: x - x,
        lambda: x < x,
        lambda: x.max(),
        lambda: torch.maximum(x, x),
        lambda: x[0, 0] @ x[0, 0],
        lambda: F.conv2d(x, x),
        lambda: F.max_pool2d(x, 2),
        lambda: F.avg_pool2d(x, 2),
    ]

PROBES = {f"asarray[{name}]": probes(getattr(torch, name)) for name in ("uint16", "uint32", "uint64")}
""",
    "tensorflow": "PROBES = {}",
    "mxnet": """
import numpy as np
from convbridge import registry

mx = registry.import_framework("mxnet")
nd = mx.nd

def computed(x):
    x.wait_to_read()
    return x

def made(dtype):
    image = nd.ones((1, 1, 2, 2))
    return [
        lambda: computed(nd.ones((2, 2), dtype=dtype)),
        lambda: computed(image.astype(dtype)),
        lambda: computed(nd.cast(image, dtype=dtype)),
    ]

half = nd.ones((1, 1, 2, 2)).astype("float16")
# The name "bfloat16" is NumPy's to know, which does where the package ml_dtypes was imported. This is MXNet's own.
short = nd.ones((1, 1, 2, 2)).astype(np.dtype([("bfloat16", np.uint16)]))
border = {"mode": "constant", "pad_width": (0, 0, 0, 0, 1, 1, 1, 1), "constant_value": 0}
single = {"kernel": (2, 2), "num_filter": 1, "no_bias": True}
rows = ("conv2d", "max_pool2d", "avg_pool2d", "asarray")
PROBES = {
    "conv2d[float16]": [
        lambda: computed(nd.Convolution(half, half, **single)),
        lambda: computed(nd.dot(half[0, 0], half[0, 0])),
    ],
    **{
        f"{row}[bfloat16]": [
            lambda: computed(nd.pad(short, **border)),
            lambda: computed(nd.Pooling(short, kernel=(2, 2), pool_type="sum")),
            lambda: computed(nd.dot(short[0, 0], short[0, 0])),
        ]
        for row in rows
    },
    **{f"asarray[{name}]": made(name) for name in ("int16", "uint16", "uint32", "uint64")},
}
""",
}

#: Call every probe and print, row by row, what it raised; null where it raised nothing.
REPORT = """
import json

def outcome(probe):
    try:
        probe()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None

print(json.dumps({row: [outcome(probe) for probe in probes] for row, probes in PROBES.items()}))
"""


@cache
def outcomes(backend):
    """Return row to what each of its probes raised."""
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAMS[backend] + REPORT],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_every_row_has_a_probe_and_every_probe_a_row(backend):
    assert set(outcomes(backend)) == set(registry.spec(backend).unsupported)


def test_the_framework_still_refuses(backend):
    works = {row: found for row, found in outcomes(backend).items() if not found or None in found}
    assert not works, f"{backend} computes these now, so the rows must go: {works}"


#: What the framework must say, so that a probe is not refused for a reason of its own (a typing error, say).
WORDS = {
    "numpy": ("data type 'bfloat16' not understood",),
    "torch": ("not implemented for 'UInt",),
    "tensorflow": (),
    "mxnet": (
        "FP16 gemm on cpu",
        "dot only supports float32",
        "Unknown type enum 12",
        "Invalid Input: '",
        "numpy.",
    ),
}


def test_the_refusals_are_about_the_dtype(backend):
    for row, found in outcomes(backend).items():
        for message in found:
            assert any(words in message for words in WORDS[backend]), f"{row}: {message}"


def test_a_row_refuses_the_operation_and_its_gradient(backend):
    """One table for both directions, with its reason in the message."""
    table = registry.spec(backend).unsupported
    calls = {
        "conv2d": (lambda X, g: convbridge.conv2d(X, X), lambda X, g: convbridge.conv2d_vjp(X, X, None, g)),
        "max_pool2d": (lambda X, g: convbridge.pool2d(X, 2), lambda X, g: convbridge.pool2d_vjp(X, 2, g)),
        "avg_pool2d": (lambda X, g: convbridge.pool2d(X, 2, "avg"), lambda X, g: convbridge.pool2d_vjp(X, 2, g, "avg")),
    }
    for row, reason in table.items():
        operation, _, dtype = row.removesuffix("]").partition("[")
        if f"asarray[{dtype}]" in table:  # already the array cannot be made
            with pytest.raises(UnsupportedOperationError) as refused:
                convbridge.asarray([1], dtype=dtype, backend=backend)
            assert table[f"asarray[{dtype}]"] in str(refused.value)
            continue
        X, grad = (convbridge.asarray(n, dtype=dtype, backend=backend) for n in ([[[[1, 2], [3, 4]]]], [[[[1]]]]))
        for call in calls[operation]:
            with pytest.raises(UnsupportedOperationError) as refused:
                call(X, grad)
            assert reason in str(refused.value)


def test_a_bfloat16_array_of_mxnet_is_known_as_one():
    """NumPy sees a record of integers; what can be done with it is to cast it."""
    if "mxnet" not in convbridge.available_backends():
        pytest.skip("mxnet is not installed")
    image = convbridge.asarray([[1, 2], [3, 4]], dtype="float32", backend="mxnet")
    short = image.astype(np.dtype([("bfloat16", np.uint16)]))
    with pytest.raises(
        UnsupportedOperationError, match="max_pool2d in bfloat16 is not supported by the backend 'mxnet'"
    ):
        convbridge.pool2d(short, 2)
    assert convbridge.to_numpy(short).tolist() == [[1, 2], [3, 4]]
    assert convbridge.asarray(short, dtype="float64").asnumpy().tolist() == [[1, 2], [3, 4]]
    assert convbridge.corr2d(short, np.ones((1, 1))).dtype == np.float64
