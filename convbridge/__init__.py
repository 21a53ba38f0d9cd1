"""One API for 2-D convolution and pooling over NumPy, PyTorch, TensorFlow and Apache MXNet.

Importing convbridge imports NumPy and nothing else that is heavy: no
framework, no plugin, no file. A framework is imported when its backend first
runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from convbridge.layers import AvgPool2D, Conv2D, MaxPool2D, comp_conv2d
from convbridge.registry import available_backends, import_framework
from convbridge.selection import get_backend, set_backend, use_backend, use_precision

if TYPE_CHECKING:
    from convbridge.gradients import conv2d_vjp, pool2d_vjp
    from convbridge.learning import LearnedKernel, learn_kernel

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
    "to_numpy",
    "use_backend",
    "use_precision",
]

#: What is imported when it is first named: submodules, and names that not every program needs.
_LAZY = {
    "chapter": "chapter",
    "kernels": "kernels",
    "parity": "parity",
    "registry": "registry",
    "conv2d_vjp": "gradients",
    "pool2d_vjp": "gradients",
    "LearnedKernel": "learning",
    "learn_kernel": "learning",
}


def __getattr__(name: str) -> Any:
    """Import what is in ``_LAZY``."""
    if name not in _LAZY:
        raise AttributeError(f"module 'convbridge' has no attribute {name!r}")
    import importlib

    module = importlib.import_module(f"convbridge.{_LAZY[name]}")
    return module if name == _LAZY[name] else getattr(module, name)
