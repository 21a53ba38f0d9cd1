"""What the atlas asks NumPy: one function an entry, in NumPy's own words.

``convbridge atlas`` runs the functions, shows their sources and puts what they
return next to what the three other frameworks return; the other backends have
the same functions. Each is what a user of NumPy, and of SciPy where NumPy has
no word for it, would write, without any of convbridge's care. A function takes
the entry's arrays and may change them; it returns one result or a dictionary
of named ones. What NumPy has no operator for raises UnsupportedOperationError.
"""

# NumPy's types are narrower than its functions, and a user's code has none of our casts.
# mypy: disable-error-code="call-overload"

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convbridge.errors import UnsupportedOperationError

Input = np.ndarray[Any, Any]

#: Which processes the entries run in: a name and its environment variables.
VARIANTS: dict[str, dict[str, str]] = {"": {}}

NO_AUTOGRAD = "NumPy has no autograd."
NO_LAYERS = "NumPy has no layers."


# --------------------------------------------------------------------------- padding


def same_even_kernel(X: Input, K: Input) -> Any:
    """Keep the size of the image under an even kernel."""
    from scipy import signal

    Y = signal.correlate2d(X[0, 0], K[0, 0], mode="same")
    Z = signal.correlate(X[0, 0], K[0, 0], mode="same")
    return {"correlate2d": Y[None, None], "correlate": Z[None, None]}


def same_with_stride(X: Input, K: Input) -> Any:
    """Ask for 'same' and a stride of 2."""
    from scipy import signal

    return signal.correlate2d(X[0, 0], K[0, 0], mode="same")[None, None, ::2, ::2]


def half_kernel_padding(X: Input, K: Input) -> Any:
    """Pad by half of an odd kernel, at a stride of 2."""
    padded = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    return np.einsum("nchwij,ocij->nohw", windows, K)


def one_sided_padding(X: Input, K: Input) -> Any:
    """Pad one row at the top and one column at the left."""
    padded = np.pad(X, ((0, 0), (0, 0), (1, 0), (1, 0)))
    windows = sliding_window_view(padded, K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K)


def negative_padding(X: Input, K: Input) -> Any:
    """Pad by minus one."""
    padded = np.pad(X, ((0, 0), (0, 0), (-1, -1), (-1, -1)))
    windows = sliding_window_view(padded, K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K)


def infinite_kernel(X: Input, K: Input) -> Any:
    """Let an infinite kernel element meet the padding."""
    padded = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, K.shape[2:], axis=(2, 3))
    return (windows * K[0, 0]).sum(axis=(4, 5))


def padded_maximum(X: Input) -> Any:
    """Take the maximum of padded windows."""
    padded = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2].max(axis=(4, 5))


def padding_beyond_window(X: Input) -> Any:
    """Pad by as much as the window is wide."""
    padded = np.pad(X, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=-np.inf)
    return sliding_window_view(padded, (2, 2), axis=(2, 3))[:, :, ::2, ::2].max(axis=(4, 5))


# --------------------------------------------------------------------------- strides


def depthwise_dilation(X: Input, K: Input) -> Any:
    """Convolve each channel, with a stride of 2 and a dilation of 2."""
    windows = sliding_window_view(X, (3, 3), axis=(2, 3))[:, :, ::2, ::2, ::2, ::2]
    return np.einsum("nchwij,cij->nchw", windows, K[:, 0])


def depthwise_strides(X: Input, K: Input) -> Any:
    """Convolve each channel, with another stride on each axis."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))[:, :, ::2, ::1]
    return np.einsum("nchwij,cij->nchw", windows, K[:, 0])


def fractional_stride(X: Input, K: Input) -> Any:
    """Ask for a stride of one and a half."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))[:, :, ::1.5, ::1.5]
    return np.einsum("nchwij,ocij->nohw", windows, K)


def default_stride(X: Input) -> Any:
    """Pool without saying a stride."""
    return sliding_window_view(X, (2, 2), axis=(2, 3)).max(axis=(4, 5))


def huge_stride(X: Input, K: Input) -> Any:
    """Ask for a stride that needs more than 32 bits."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))[:, :, :: 2**40, :: 2**40]
    return np.einsum("nchwij,ocij->nohw", windows, K)


def one_output_column(X: Input, K: Input) -> Any:
    """Stride along an axis on which one window fits."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))[:, :, :, ::2]
    return np.einsum("nchwij,ocij->nohw", windows, K)


def ported_stride(X: Input, K: Input) -> Any:
    """Run the book's layer with padding (0, 1) and strides (3, 4)."""
    padded = np.pad(X, ((0, 0), (0, 0), (0, 0), (1, 1)))
    windows = sliding_window_view(padded, K.shape[2:], axis=(2, 3))[:, :, ::3, ::4]
    return np.einsum("nchwij,ocij->nohw", windows, K)


# --------------------------------------------------------------------------- shapes


def channels_first(X: Input, K: Input) -> Any:
    """Hold the channels before the pixels."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K)


def channels_last(X: Input, K: Input) -> Any:
    """Hold the channels after the pixels."""
    windows = sliding_window_view(X, K.shape[2:], axis=(1, 2))
    return np.einsum("nhwcij,ocij->nhwo", windows, K)


def kernel_layout(X: Input, K: Input) -> Any:
    """Give the kernel in the layout of another framework."""
    K = K.transpose(2, 3, 1, 0)  # TensorFlow's: rows, columns, in, out
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K)


def channel_mismatch(X: Input, K: Input) -> Any:
    """Give an image with twice the channels of the kernel."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K)


def three_axes(X: Input, K: Input) -> Any:
    """Forget the axis of the batch."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K)


def kernel_too_large(X: Input, K: Input) -> Any:
    """Give a kernel that does not fit into the image."""
    from scipy import signal

    return signal.correlate2d(X[0, 0], K[0, 0], mode="valid")[None, None]


def empty_batch(X: Input, K: Input) -> Any:
    """Convolve a batch without images."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K)


def zero_channels(X: Input, K: Input, b: Input) -> Any:
    """Convolve an image without channels, with a bias."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K) + b[:, None, None]


def zero_groups(X: Input, K: Input) -> Any:
    """Split the channels into no groups."""
    parts = zip(np.split(X, 0, axis=1), np.split(K, 0))
    windows = [(sliding_window_view(x, k.shape[2:], axis=(2, 3)), k) for x, k in parts]
    return np.concatenate([np.einsum("nchwij,ocij->nohw", w, k) for w, k in windows], axis=1)


def flipped_kernel(X: Input, K: Input) -> Any:
    """Convolve."""
    from scipy import signal

    return signal.convolve2d(X[0, 0], K[0, 0], mode="valid")[None, None]


def one_nan(X: Input, K: Input) -> Any:
    """Count the results that one NaN reaches."""
    from scipy import signal

    return np.isnan(signal.correlate(X, K, mode="valid")).sum()


# --------------------------------------------------------------------------- pooling


def window_too_large(X: Input) -> Any:
    """Pool with a window that does not fit into the image."""
    return sliding_window_view(X, (3, 3), axis=(2, 3)).max(axis=(4, 5))


def nan_in_window(X: Input) -> Any:
    """Take the maximum of a window with a NaN, and of a window of NaNs."""
    return sliding_window_view(X, (2, 2), axis=(2, 3))[:, :, ::2, ::2].max(axis=(4, 5))


def minus_infinity(X: Input) -> Any:
    """Take the maximum of minus infinities."""
    return sliding_window_view(X, (2, 2), axis=(2, 3)).max(axis=(4, 5))


def average_at_border(X: Input) -> Any:
    """Average windows that hold padding."""
    padded = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return sliding_window_view(padded, (3, 3), axis=(2, 3)).mean(axis=(4, 5))


def ceil_mode(X: Input) -> Any:
    """Let the last window stick out."""
    raise UnsupportedOperationError("NumPy has no ceil mode.")


def global_average(X: Input) -> Any:
    """Average each channel as a whole."""
    return X.mean(axis=(2, 3))


def half_average(X: Input) -> Any:
    """Average 256 thousands in half precision."""
    return sliding_window_view(X, (16, 16), axis=(2, 3)).mean(axis=(4, 5))


def integer_average(X: Input) -> Any:
    """Average integers."""
    return sliding_window_view(X, (2, 2), axis=(2, 3)).mean(axis=(4, 5))


# --------------------------------------------------------------------------- dtypes


def float64_maximum(X: Input) -> Any:
    """Pool an array of float64."""
    return sliding_window_view(X, (2, 2), axis=(2, 3)).max(axis=(4, 5))


def array_of_float64(X: Input) -> Any:
    """Make an array of the framework."""
    return np.array(X)


def integers_times_floats(X: Input, K: Input) -> Any:
    """Convolve an image of integers with a kernel of floats."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K)


def int8_overflow(X: Input, K: Input) -> Any:
    """Add up four times 100 in eight bits."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K)


def denormals(X: Input, K: Input) -> Any:
    """Convolve a number smaller than the smallest normal one."""
    windows = sliding_window_view(X, K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K)


def reversed_image(X: Input, K: Input) -> Any:
    """Convolve an image that NumPy reads backwards."""
    windows = sliding_window_view(X[..., ::-1], K.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, K)


# --------------------------------------------------------------------------- gradients


def loop_gradient(X: Input, K: Input) -> Any:
    """Differentiate the book's loop."""
    raise UnsupportedOperationError(NO_AUTOGRAD)


def two_backwards(X: Input, K: Input) -> Any:
    """Ask for the kernel's gradient twice."""
    raise UnsupportedOperationError(NO_AUTOGRAD)


def ties(X: Input) -> Any:
    """Differentiate the maximum of equal numbers."""
    raise UnsupportedOperationError(NO_AUTOGRAD)


def nan_gradient(X: Input) -> Any:
    """Differentiate the maximum of a window with a NaN."""
    raise UnsupportedOperationError(NO_AUTOGRAD)


def ceil_gradient(X: Input) -> Any:
    """Differentiate an average whose last windows stick out."""
    raise UnsupportedOperationError(NO_AUTOGRAD)


def grouped_gradient(X: Input, K: Input) -> Any:
    """Differentiate a convolution in two groups."""
    raise UnsupportedOperationError(NO_AUTOGRAD)


def dilated_gradient(X: Input, K: Input) -> Any:
    """Differentiate a dilated convolution."""
    raise UnsupportedOperationError(NO_AUTOGRAD)


def integer_gradient(X: Input, K: Input) -> Any:
    """Differentiate a sum of products of integers."""
    raise UnsupportedOperationError(NO_AUTOGRAD)


def strided_1x1_training(X: Input, K: Input) -> Any:
    """Compute the gradient of a strided kernel of one element, 500 times."""
    raise UnsupportedOperationError(NO_AUTOGRAD)


# --------------------------------------------------------------------------- errors and layers


def error_read_twice(X: Input) -> Any:
    """Read a result again after its error."""
    return sliding_window_view(X, (2, 2), axis=(2, 3)).max(axis=(4, 5))


def fresh_layer(X: Input) -> Any:
    """Run a layer that nobody has trained on zeros."""
    raise UnsupportedOperationError(NO_LAYERS)
