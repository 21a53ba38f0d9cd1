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

_NO_BFLOAT16 = "MXNet 1.9.1 has no bfloat16 on the CPU."
_HALF_CONVOLUTION = "MXNet 1.9.1 has no float16 matrix product on the CPU ('FP16 gemm on cpu not implemented')."
_FEW_INTEGERS = "MXNet 1.9.1 has no integers but int8, int32, int64 and uint8."

SPEC = BackendSpec(
    name="mxnet",
    package="convbridge_mxnet",
    framework="mxnet",
    array_types=("mxnet.ndarray:NDArray",),
    layer_types=("mxnet.gluon:Block",),
    aliases=("mx",),
    install_hint="pip install 'convbridge[mxnet]' (on NumPy 2: pip install --no-deps mxnet==1.9.1)",
    unsupported={
        "conv2d[float16]": _HALF_CONVOLUTION,
        "conv2d[bfloat16]": _NO_BFLOAT16,
        "max_pool2d[bfloat16]": _NO_BFLOAT16,
        "avg_pool2d[bfloat16]": _NO_BFLOAT16,
        "asarray[bfloat16]": _NO_BFLOAT16,
        **{f"asarray[{dtype}]": _FEW_INTEGERS for dtype in ("int16", "uint16", "uint32", "uint64")},
    },
    max_elements=2**31,
)
