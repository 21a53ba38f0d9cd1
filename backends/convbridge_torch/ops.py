"""Convolution and pooling with PyTorch's operators and convbridge's semantics.

Padding is always put on with ``torch.constant_pad_nd`` and the operator then
runs without any: its own padding is symmetric, limited to half a pooling
window, and skips the products of an infinite kernel element with the zeros.
NHWC is a permuted view, which PyTorch computes natively in its channels-last
memory format.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own convention)

from convbridge.dispatch import NotPlannedError
from convbridge.geometry import Pair, Sides, output_size, window_size
from convbridge.selection import precision

Array = torch.Tensor

#: PyTorch's switches, part of which its type stubs do not know.
_switches: Any = torch.backends


def _channels_first(X: Array, data_format: str) -> Array:
    return X if data_format == "NCHW" else X.permute(0, 3, 1, 2)


def _as_given(Y: Array, data_format: str) -> Array:
    return Y if data_format == "NCHW" else Y.permute(0, 2, 3, 1)


def _pad(X: Array, padding: Sides, value: float) -> Array:
    """Put a constant around the image; without padding, return it as it is."""
    if not any(padding):
        return X
    top, bottom, left, right = padding
    return torch.constant_pad_nd(X, (left, right, top, bottom), value)


class _ExactMode:
    """Switch off what breaks the rounding bound, for as long as any thread needs it.

    NNPACK (Winograd and FFT, taken on the CPU without oneDNN from a batch of
    16 on) and TF32 (on CUDA) are settings of the process. The first to enter
    remembers and changes them, the last to leave restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._nnpack = True
        self._conv_precision = "none"

    def __enter__(self) -> None:
        with self._lock:
            if self._depth == 0:
                (self._nnpack,) = _switches.nnpack.set_flags(False)
                self._conv_precision = _switches.cudnn.conv.fp32_precision
                _switches.cudnn.conv.fp32_precision = "ieee"
            self._depth += 1

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                _switches.nnpack.set_flags(self._nnpack)
                _switches.cudnn.conv.fp32_precision = self._conv_precision


_exact_mode = _ExactMode()


#: Whether this build of PyTorch has oneDNN, which keeps the bound on the CPU.
_HAS_ONEDNN: bool = _switches.mkldnn.is_available()


def _bounded(X: Array) -> Any:
    """Keep the rounding bound in "exact"; do nothing where PyTorch keeps it by itself.

    A compiler that traces a layer can follow neither the switches nor a
    context variable, so a compiled graph runs with the settings of the process.
    """
    if torch.compiler.is_compiling() or (not X.is_cuda and _HAS_ONEDNN and _switches.mkldnn.enabled):
        return nullcontext()
    return nullcontext() if precision() == "fast" else _exact_mode


def conv2d(
    X: Array,
    weight: Array,
    bias: Array | None,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    data_format: str,
) -> Array:
    """Cross-correlate."""
    dtype = _compute_dtype(X)
    image = _pad(_channels_first(X, data_format).to(dtype), padding, 0.0)
    image, stride = _unstrided(image, weight, stride, dilation)
    with _bounded(X):
        Y = F.conv2d(image, weight.to(dtype), None if bias is None else bias.to(dtype), stride, 0, dilation, groups)
    return _as_given(Y, data_format).to(X.dtype)


def _compute_dtype(X: Array) -> torch.dtype:
    """Compute halves on the CPU in single precision, which rounds once at the end.

    The processor's own bfloat16 kernels fill up blocks of channels with zeros,
    and those times an infinite pixel make NaNs where there are none.
    """
    if X.dtype.itemsize == 2 and X.device.type == "cpu" and precision() == "exact":
        return torch.float32
    return X.dtype


def _unstrided(image: Array, weight: Array, stride: Pair, dilation: Pair) -> tuple[Array, Pair]:
    """Take the stride from an axis with a single output, or whose kernel has one element.

    oneDNN returns garbage for some of the former: in bfloat16 for a stride of
    (1, s) and an output one element wide, in float32 too if the one channel
    of the image has an unusual stride in memory. For some of the latter the
    gradient of the weight writes past its memory.
    """
    steps = list(stride)
    for i, axis in enumerate((2, 3)):
        if steps[i] == 1:
            continue
        window = window_size(weight.shape[axis], dilation[i])
        if weight.shape[axis] == 1:
            image = image[(slice(None),) * axis + (slice(None, None, steps[i]),)]
            steps[i] = 1
        elif output_size(image.shape[axis], window, steps[i], 0, 0) == 1:
            image = image.narrow(axis, 0, window)
            steps[i] = 1
    return image, (steps[0], steps[1])


def max_pool2d(
    X: Array,
    pool_size: Pair,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    data_format: str,
) -> Array:
    """Take the maximum of every window; padding counts as minus infinity."""
    image = _pad(_channels_first(X, data_format), padding, -torch.inf)
    Y = F.max_pool2d(image, pool_size, stride, 0, dilation)
    return _as_given(Y, data_format)


def avg_pool2d(
    X: Array,
    pool_size: Pair,
    *,
    stride: Pair,
    padding: Sides,
    counted: Sides,
    dilation: Pair,
    data_format: str,
) -> Array:
    """Average every window over the image and the ``counted`` part of its padding."""
    # Halves are summed in single precision: their sum overflows long before their average does.
    image = _channels_first(X, data_format).to(torch.promote_types(X.dtype, torch.float32))
    sums = _sum_windows(_pad(image, padding, 0.0), pool_size, stride, dilation)
    if counted is padding:
        Y = sums / (pool_size[0] * pool_size[1])
    else:
        Y = sums / _window_counts(image, pool_size, stride, padding, counted, dilation)
    return _as_given(Y, data_format).to(X.dtype)


def _sum_windows(image: Array, pool_size: Pair, stride: Pair, dilation: Pair) -> Array:
    """Sum every window; the averaging operator knows no dilation, so that is done axis by axis."""
    if dilation == (1, 1):
        return F.avg_pool2d(image, pool_size, stride, divisor_override=1)
    rows = _fold(image, 2, pool_size[0], stride[0], dilation[0], torch.add)
    return _fold(rows, 3, pool_size[1], stride[1], dilation[1], torch.add)


def _fold(image: Array, axis: int, kernel: int, stride: int, dilation: int, combine: Any) -> Array:
    """Combine the elements of every window along one axis, from the first to the last."""
    count = output_size(image.shape[axis], window_size(kernel, dilation), stride, 0, 0)

    def tap(offset: int) -> Array:
        start = offset * dilation
        return image[(slice(None),) * axis + (slice(start, start + (count - 1) * stride + 1, stride),)]

    result = tap(0)
    for offset in range(1, kernel):
        result = combine(result, tap(offset))
    return result


def _first_maximum(best: Array, other: Array) -> Array:
    """Keep the larger; of equals the first, and a NaN once it is met."""
    return torch.where((best >= other) | best.isnan(), best, other)


def _window_counts(
    image: Array, pool_size: Pair, stride: Pair, padding: Sides, counted: Sides, dilation: Pair
) -> Array:
    """Count what an average divides by: pool an image of ones like the image itself."""
    ones = image.new_ones((1, 1, *image.shape[2:]))
    uncounted = Sides(*(all_of - part for all_of, part in zip(padding, counted)))
    ones = _pad(_pad(ones, counted, 1.0), uncounted, 0.0)
    return _sum_windows(ones, pool_size, stride, dilation)


# --------------------------------------------------------------------------- gradients


def _gradients(compute: Any, inputs: tuple[Array, ...], grad_output: Array) -> tuple[Array, ...]:
    """Run a function on detached inputs and return fresh gradients, whatever mode the caller is in."""
    with torch.enable_grad():
        leaves = tuple(x.detach().requires_grad_() for x in inputs)
        return torch.autograd.grad(compute(*leaves), leaves, grad_output.detach())


def conv2d_vjp(
    X: Array,
    weight: Array,
    bias: Array | None,
    grad_output: Array,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    data_format: str,
) -> tuple[Array, Array, Array | None]:
    """Return the gradients of X, weight and bias."""

    def compute(X: Array, weight: Array, bias: Array | None = None) -> Array:
        return conv2d(
            X,
            weight,
            bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            data_format=data_format,
        )

    with _bounded(X):
        found = _gradients(compute, (X, weight) if bias is None else (X, weight, bias), grad_output)
    return found[0], found[1], None if bias is None else found[2]


def max_pool2d_vjp(
    X: Array,
    pool_size: Pair,
    grad_output: Array,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    data_format: str,
) -> Array:
    """Return the gradient of X: each window's goes to the first of its maxima."""

    def compute(X: Array) -> Array:
        if not torch.isnan(X).any():
            return max_pool2d(X, pool_size, stride=stride, padding=padding, dilation=dilation, data_format=data_format)
        # of several NaNs the operator chooses the last
        image = _pad(_channels_first(X, data_format), padding, -torch.inf)
        columns = _fold(image, 3, pool_size[1], stride[1], dilation[1], _first_maximum)
        return _as_given(_fold(columns, 2, pool_size[0], stride[0], dilation[0], _first_maximum), data_format)

    return _gradients(compute, (X,), grad_output)[0]


def avg_pool2d_vjp(
    X: Array,
    pool_size: Pair,
    grad_output: Array,
    *,
    stride: Pair,
    padding: Sides,
    counted: Sides,
    dilation: Pair,
    data_format: str,
) -> Array:
    """Return the gradient of X: each window's is shared by its elements."""

    def compute(X: Array) -> Array:
        return avg_pool2d(
            X,
            pool_size,
            stride=stride,
            padding=padding,
            counted=counted,
            dilation=dilation,
            data_format=data_format,
        )

    return _gradients(compute, (X,), grad_output)[0]


# --------------------------------------------------------------------------- prepared calls


def prepare_corr2d(X_shape: tuple[int, ...], K_shape: tuple[int, ...], dtype: str) -> Callable[..., Array] | None:
    """Work out, once for many calls, how matrices of these shapes and this dtype are correlated."""
    (h, w), (kh, kw) = X_shape, K_shape
    out_h, out_w = h - kh + 1, w - kw + 1
    if not _keeps_the_bound(dtype, 1):
        return None
    wanted, correlate, may_be_cuda = getattr(torch, dtype), torch.conv2d, _may_be_cuda()
    image, kernel, result = _form(1, 1, h, w), _form(1, 1, kh, kw), _form(out_h, out_w)

    def run(X: Array, K: Array) -> Array:
        if may_be_cuda and X.is_cuda:
            raise NotPlannedError
        # views, not reshapes, which a tensor that is not dense would pass
        Y = correlate(X.view_as(image), K.view_as(kernel)).view_as(result)
        return Y if Y.dtype is wanted else Y.to(wanted)  # automatic mixed precision changes it

    return run


def prepare_conv2d(
    X_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    has_bias: bool,
    dtype: str,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    data_format: str,
) -> Callable[..., Array] | None:
    """Work out, once for many calls, how :func:`conv2d` computes these shapes; None where it has to look each time."""
    if not _keeps_the_bound(dtype, X_shape[0]) or data_format != "NCHW":
        return None
    sizes = (X_shape[2] + padding.top + padding.bottom, X_shape[3] + padding.left + padding.right)
    for n, k, step, spread in zip(sizes, weight_shape[2:], stride, dilation):
        if step > 1 and (k == 1 or output_size(n, window_size(k, spread), step, 0, 0) == 1):
            return None  # see _unstrided
    wanted, correlate, strided, may_be_cuda = getattr(torch, dtype), torch.conv2d, torch.strided, _may_be_cuda()
    top, bottom, left, right = padding
    pad, around, is_padded = torch.constant_pad_nd, (left, right, top, bottom), any(padding)
    # a number is read in less time than a pair
    steps: Any = stride[0] if stride[0] == stride[1] else stride
    gaps: Any = dilation[0] if dilation[0] == dilation[1] else dilation

    def run(X: Array, weight: Array, bias: Array | None) -> Array:
        if X.layout is not strided or (may_be_cuda and X.is_cuda):
            raise NotPlannedError
        Y = correlate(pad(X, around, 0.0) if is_padded else X, weight, bias, steps, 0, gaps, groups)
        return Y if Y.dtype is wanted else Y.to(wanted)  # automatic mixed precision changes it

    def run_plain(X: Array, weight: Array, bias: Array | None) -> Array:
        if X.layout is not strided or (may_be_cuda and X.is_cuda):
            raise NotPlannedError
        Y = correlate(pad(X, around, 0.0) if is_padded else X, weight, bias)  # what is left out need not be read
        return Y if Y.dtype is wanted else Y.to(wanted)

    is_plain = (stride, dilation, groups) == ((1, 1), (1, 1), 1)
    return run_plain if is_plain else run


def _form(*shape: int) -> Array:
    """Return a tensor that is nothing but a shape, with one byte of memory.

    To view a tensor as another takes less time than to read the numbers of a
    shape. It comes from NumPy in the one way that no mode, no transform and no
    tracer of PyTorch sees, for it outlives those that are active.
    """
    return torch.utils.dlpack.from_dlpack(np.ndarray(shape, np.uint8, bytearray(1), 0, (0,) * len(shape)))


def _may_be_cuda() -> bool:
    """Tell whether a tensor can live where TF32 has to be switched off."""
    return torch.cuda.is_available()


def _keeps_the_bound(dtype: str, batch: int) -> bool:
    """Tell whether the processor's operator needs no switch and no cast; NNPACK takes batches from 16 on."""
    return dtype in ("float32", "float64") and batch < 16
