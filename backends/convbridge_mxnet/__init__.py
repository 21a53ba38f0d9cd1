"""The Apache MXNet backend.

``arrays`` converts, ``chapter`` teaches, ``ops`` computes with ``mxnet.nd``
and ``mxnet.sym``, ``layers`` holds Gluon ``HybridBlock`` classes, and
``_compat`` keeps MXNet 1.9.1 importable. This file imports nothing but the
description of a backend.
"""

import threading

from convbridge.protocol import BackendSpec

#: MXNet's autograd is not thread-safe: two threads that record and run
#: backward on shared arrays can end the process. Hold this lock around both.
autograd_lock = threading.RLock()

_BFLOAT16_IN_PART = (
    "MXNet 1.9.1 has bfloat16 in some of its operators only: it neither pads nor sums windows nor multiplies matrices "
    "in it."
)
_HALF_CONVOLUTION = "MXNet 1.9.1 has no float16 matrix product on the CPU ('FP16 gemm on cpu not implemented')."
_FEW_INTEGERS = "MXNet 1.9.1 has no integers but int8, int32, int64 and uint8."

SPEC = BackendSpec(
    name="mxnet",
    package="convbridge_mxnet",
    framework="mxnet",
    array_types=("mxnet.ndarray:NDArray",),
    layer_types=("mxnet.gluon:Block",),
    symbol_types=("mxnet.symbol:Symbol",),
    symbol_hint="Symbols belong into a hybridized block; the layers Conv2D, MaxPool2D and AvgPool2D of convbridge are "
    "such blocks.",
    aliases=("mx",),
    install_hint="pip install 'convbridge[mxnet]' (on NumPy 2: pip install --no-deps mxnet==1.9.1)",
    unsupported={
        "conv2d[float16]": _HALF_CONVOLUTION,
        "conv2d[bfloat16]": _BFLOAT16_IN_PART,
        "max_pool2d[bfloat16]": _BFLOAT16_IN_PART,
        "avg_pool2d[bfloat16]": _BFLOAT16_IN_PART,
        "asarray[bfloat16]": _BFLOAT16_IN_PART,
        **{f"asarray[{dtype}]": _FEW_INTEGERS for dtype in ("int16", "uint16", "uint32", "uint64")},
    },
    max_elements=2**31,
)
