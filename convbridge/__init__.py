"""One API for 2-D convolution and pooling over NumPy, PyTorch, TensorFlow and Apache MXNet.

Importing convbridge imports nothing that is heavy; naming one of its functions
imports NumPy and what the function needs, never a framework, a plugin or a
file. A framework is imported when its backend first runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convbridge.errors import (
        ArgumentError,
        ArgumentTypeError,
        BackendBrokenError,
        BackendNotInstalledError,
        BackendOperationError,
        ConvbridgeError,
        MixedBackendsError,
        ShapeError,
        UnknownBackendError,
        UnsupportedOperationError,
    )
    from convbridge.functional import (
        asarray,
        conv2d,
        convolve2d,
        corr2d,
        corr2d_multi_in,
        corr2d_multi_in_out,
        corr2d_multi_in_out_1x1,
        pool2d,
        to_numpy,
    )
    from convbridge.geometry import ReceptiveField, output_shape, receptive_field, same_padding
    from convbridge.gradients import conv2d_vjp, pool2d_vjp
    from convbridge.layers import AvgPool2D, Conv2D, MaxPool2D, comp_conv2d
    from convbridge.learning import LearnedKernel, learn_kernel
    from convbridge.registry import available_backends, import_framework
    from convbridge.selection import get_backend, set_backend, use_backend, use_precision

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "AvgPool2D",
    "BackendBrokenError",
    "BackendNotInstalledError",
    "BackendOperationError",
    "Conv2D",
    "ConvbridgeError",
    "LearnedKernel",
    "MaxPool2D",
    "MixedBackendsError",
    "ReceptiveField",
    "ShapeError",
    "UnknownBackendError",
    "UnsupportedOperationError",
    "__version__",
    "asarray",
    "available_backends",
    "chapter",
    "comp_conv2d",
    "conv2d",
    "conv2d_vjp",
    "convolve2d",
    "corr2d",
    "corr2d_multi_in",
    "corr2d_multi_in_out",
    "corr2d_multi_in_out_1x1",
    "get_backend",
    "import_framework",
    "kernels",
    "learn_kernel",
    "output_shape",
    "parity",
    "pool2d",
    "pool2d_vjp",
    "receptive_field",
    "registry",
    "same_padding",
    "set_backend",
    "testing",
    "to_numpy",
    "use_backend",
    "use_precision",
]

#: Where each name is at home. A module is imported when one of its names is first used, so that who only looks in,
#: as a plugin of pytest does in every run of every project, does not wait for NumPy.
_HOMES = {
    "ArgumentError": "errors",
    "ArgumentTypeError": "errors",
    "BackendBrokenError": "errors",
    "BackendNotInstalledError": "errors",
    "BackendOperationError": "errors",
    "ConvbridgeError": "errors",
    "MixedBackendsError": "errors",
    "ShapeError": "errors",
    "UnknownBackendError": "errors",
    "UnsupportedOperationError": "errors",
    "asarray": "functional",
    "conv2d": "functional",
    "convolve2d": "functional",
    "corr2d": "functional",
    "corr2d_multi_in": "functional",
    "corr2d_multi_in_out": "functional",
    "corr2d_multi_in_out_1x1": "functional",
    "pool2d": "functional",
    "to_numpy": "functional",
    "ReceptiveField": "geometry",
    "output_shape": "geometry",
    "receptive_field": "geometry",
    "same_padding": "geometry",
    "conv2d_vjp": "gradients",
    "pool2d_vjp": "gradients",
    "AvgPool2D": "layers",
    "Conv2D": "layers",
    "MaxPool2D": "layers",
    "comp_conv2d": "layers",
    "LearnedKernel": "learning",
    "learn_kernel": "learning",
    "available_backends": "registry",
    "import_framework": "registry",
    "get_backend": "selection",
    "set_backend": "selection",
    "use_backend": "selection",
    "use_precision": "selection",
}

_SUBMODULES = {"chapter", "errors", "geometry", "kernels", "parity", "registry", "testing"}


def __getattr__(name: str) -> Any:
    """Import what is first named now."""
    import importlib

    if name in _HOMES:
        value = getattr(importlib.import_module(f"convbridge.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return importlib.import_module(f"convbridge.{name}")
    raise AttributeError(f"module 'convbridge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
