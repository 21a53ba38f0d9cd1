"""The NumPy backend: what a user without any framework gets, and the fastest way to read one.

``arrays`` converts, ``chapter`` teaches, ``ops`` computes with the engine in
``engine/``, ``layers`` holds layers. This file imports nothing but the
description of a backend.
"""

from convbridge.protocol import BackendSpec

SPEC = BackendSpec(
    name="numpy",
    package="convbridge_numpy",
    framework="numpy",
    array_types=(),  # NumPy arrays are neutral: they are computed by whoever was chosen
    layer_types=tuple(
        f"convbridge_numpy.{name}"
        for name in ("layers:Conv2D", "layers:MaxPool2D", "layers:AvgPool2D", "chapter:Conv2D")
    ),
    aliases=("np",),
    install_hint="pip install numpy",
    unsupported={
        f"{operation}[bfloat16]": "NumPy has no bfloat16 of its own."
        for operation in ("conv2d", "max_pool2d", "avg_pool2d", "asarray")
    },
)
