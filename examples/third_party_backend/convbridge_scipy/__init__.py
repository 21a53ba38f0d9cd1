"""A backend that computes with SciPy's filters. This file describes it, and imports no SciPy."""

from convbridge.protocol import BackendSpec

_NO_HALF = "SciPy's filters have no half precision ('convolve2d not available for this type')."
_NO_BFLOAT16 = "NumPy, whose arrays SciPy computes on, has no bfloat16."
_OPERATIONS = ("conv2d", "max_pool2d", "avg_pool2d")

SPEC = BackendSpec(
    name="scipy",
    package="convbridge_scipy",
    framework="scipy",
    array_types=(),  # NumPy arrays are neutral, so this backend runs when it is named and only then
    layer_types=(
        "convbridge_scipy.layers:Conv2D",
        "convbridge_scipy.layers:MaxPool2D",  # and AvgPool2D, its subclass
        "convbridge_scipy.chapter:Conv2D",
    ),
    aliases=("sp",),
    install_hint="pip install scipy",
    unsupported={
        **{f"{operation}[float16]": _NO_HALF for operation in _OPERATIONS},
        **{f"{operation}[bfloat16]": _NO_BFLOAT16 for operation in (*_OPERATIONS, "asarray")},
    },
)
