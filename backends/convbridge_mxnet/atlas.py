"""What the atlas asks MXNet: one function an entry, in MXNet's own words.

``convbridge atlas`` runs the functions, shows their sources and puts what they
return next to what the three other frameworks return; the other backends have
the same functions. Each is what a user of MXNet would write, without any of
convbridge's care. A function takes the entry's arrays and may change them; it
returns one result or a dictionary of named ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge_mxnet._compat import mxnet as mx

Input = np.ndarray[Any, Any]

nd = mx.nd

#: Which processes the entries run in: a name and its environment variables.
VARIANTS: dict[str, dict[str, str]] = {
    "oneDNN on": {"MXNET_MKLDNN_ENABLED": "1"},
    "oneDNN off": {"MXNET_MKLDNN_ENABLED": "0"},
}


# --------------------------------------------------------------------------- padding


def same_even_kernel(X: Input, K: Input) -> Any:
    """Keep the size of the image under an even kernel."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True, pad="same")


def same_with_stride(X: Input, K: Input) -> Any:
    """Ask for 'same' and a stride of 2."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(3, 3), num_filter=1, no_bias=True, stride=(2, 2), pad="same")


def half_kernel_padding(X: Input, K: Input) -> Any:
    """Pad by half of an odd kernel, at a stride of 2."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(3, 3), num_filter=1, no_bias=True, stride=(2, 2), pad=(1, 1))


def one_sided_padding(X: Input, K: Input) -> Any:
    """Pad one row at the top and one column at the left."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True, pad=((1, 0), (1, 0)))


def negative_padding(X: Input, K: Input) -> Any:
    """Pad by minus one."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True, pad=(-1, -1))


def infinite_kernel(X: Input, K: Input) -> Any:
    """Let an infinite kernel element meet the padding."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(3, 3), num_filter=1, no_bias=True, pad=(1, 1))


def padded_maximum(X: Input) -> Any:
    """Take the maximum of padded windows."""
    return nd.Pooling(nd.array(X), kernel=(3, 3), pool_type="max", stride=(2, 2), pad=(1, 1))


def padding_beyond_window(X: Input) -> Any:
    """Pad by as much as the window is wide."""
    return nd.Pooling(nd.array(X, dtype=X.dtype), kernel=(2, 2), pool_type="max", stride=(2, 2), pad=(2, 2))


# --------------------------------------------------------------------------- strides


def depthwise_dilation(X: Input, K: Input) -> Any:
    """Convolve each channel, with a stride of 2 and a dilation of 2."""
    x, k, channels = nd.array(X), nd.array(K), X.shape[1]
    return nd.Convolution(
        x, k, kernel=(2, 2), num_filter=channels, num_group=channels, no_bias=True, stride=(2, 2), dilate=(2, 2)
    )


def depthwise_strides(X: Input, K: Input) -> Any:
    """Convolve each channel, with another stride on each axis."""
    x, k, channels = nd.array(X), nd.array(K), X.shape[1]
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=channels, num_group=channels, no_bias=True, stride=(2, 1))


def fractional_stride(X: Input, K: Input) -> Any:
    """Ask for a stride of one and a half."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True, stride=(1.5, 1.5))


def default_stride(X: Input) -> Any:
    """Pool without saying a stride."""
    return nd.Pooling(nd.array(X), kernel=(2, 2), pool_type="max")


def huge_stride(X: Input, K: Input) -> Any:
    """Ask for a stride that needs more than 32 bits."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True, stride=(2**40, 2**40))


def one_output_column(X: Input, K: Input) -> Any:
    """Stride along an axis on which one window fits."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(1, 2), num_filter=1, no_bias=True, stride=(1, 2))


def ported_stride(X: Input, K: Input) -> Any:
    """Run the book's layer with padding (0, 1) and strides (3, 4)."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(3, 5), num_filter=1, no_bias=True, stride=(3, 4), pad=(0, 1))


# --------------------------------------------------------------------------- shapes


def channels_first(X: Input, K: Input) -> Any:
    """Hold the channels before the pixels."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True, layout="NCHW")


def channels_last(X: Input, K: Input) -> Any:
    """Hold the channels after the pixels."""
    x, k = nd.array(X), nd.array(K).transpose((0, 2, 3, 1))
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True, layout="NHWC")


def kernel_layout(X: Input, K: Input) -> Any:
    """Give the kernel in the layout of another framework."""
    K = K.transpose(2, 3, 1, 0)  # TensorFlow's: rows, columns, in, out
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True)


def channel_mismatch(X: Input, K: Input) -> Any:
    """Give an image with twice the channels of the kernel."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=2, no_bias=True)


def three_axes(X: Input, K: Input) -> Any:
    """Forget the axis of the batch."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True)


def kernel_too_large(X: Input, K: Input) -> Any:
    """Give a kernel that does not fit into the image."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(3, 3), num_filter=1, no_bias=True)


def empty_batch(X: Input, K: Input) -> Any:
    """Convolve a batch without images."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True)


def zero_channels(X: Input, K: Input, b: Input) -> Any:
    """Convolve an image without channels, with a bias."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, nd.array(b), kernel=(2, 2), num_filter=5)


def zero_groups(X: Input, K: Input) -> Any:
    """Split the channels into no groups."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=2, num_group=0, no_bias=True)


def flipped_kernel(X: Input, K: Input) -> Any:
    """Convolve."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True)


def one_nan(X: Input, K: Input) -> Any:
    """Count the results that one NaN reaches."""
    x, k = nd.array(X), nd.array(K)
    Y = nd.Convolution(x, k, kernel=K.shape[2:], num_filter=1, no_bias=True)
    return np.isnan(Y.asnumpy()).sum()


# --------------------------------------------------------------------------- pooling


def window_too_large(X: Input) -> Any:
    """Pool with a window that does not fit into the image."""
    return nd.Pooling(nd.array(X), kernel=(3, 3), pool_type="max")


def nan_in_window(X: Input) -> Any:
    """Take the maximum of a window with a NaN, and of a window of NaNs."""
    return nd.Pooling(nd.array(X), kernel=(2, 2), pool_type="max", stride=(2, 2))


def minus_infinity(X: Input) -> Any:
    """Take the maximum of minus infinities."""
    return nd.Pooling(nd.array(X), kernel=(2, 2), pool_type="max")


def average_at_border(X: Input) -> Any:
    """Average windows that hold padding."""
    return nd.Pooling(nd.array(X), kernel=(3, 3), pool_type="avg", pad=(1, 1))


def ceil_mode(X: Input) -> Any:
    """Let the last window stick out."""
    return nd.Pooling(nd.array(X), kernel=(2, 2), pool_type="max", stride=(2, 2), pad=(1, 1), pooling_convention="full")


def global_average(X: Input) -> Any:
    """Average each channel as a whole."""
    return nd.Pooling(nd.array(X), pool_type="avg", global_pool=True)


def half_average(X: Input) -> Any:
    """Average 256 thousands in half precision."""
    return nd.Pooling(nd.array(X, dtype=X.dtype), kernel=(16, 16), pool_type="avg")


def integer_average(X: Input) -> Any:
    """Average integers."""
    return nd.Pooling(nd.array(X, dtype=X.dtype), kernel=(2, 2), pool_type="avg")


# --------------------------------------------------------------------------- dtypes


def float64_maximum(X: Input) -> Any:
    """Pool an array of float64."""
    return nd.Pooling(nd.array(X, dtype=X.dtype), kernel=(2, 2), pool_type="max")


def array_of_float64(X: Input) -> Any:
    """Make an array of the framework."""
    return nd.array(X)


def integers_times_floats(X: Input, K: Input) -> Any:
    """Convolve an image of integers with a kernel of floats."""
    x, k = nd.array(X, dtype=X.dtype), nd.array(K)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True)


def int8_overflow(X: Input, K: Input) -> Any:
    """Add up four times 100 in eight bits."""
    x, k = nd.array(X, dtype=X.dtype), nd.array(K, dtype=K.dtype)
    return nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True)


def denormals(X: Input, K: Input) -> Any:
    """Convolve a number smaller than the smallest normal one."""
    x, k = nd.array(X), nd.array(K)
    return nd.Convolution(x, k, kernel=(1, 1), num_filter=1, no_bias=True)


def reversed_image(X: Input, K: Input) -> Any:
    """Convolve an image that NumPy reads backwards."""
    x, k = nd.array(X[..., ::-1]), nd.array(K)
    return nd.Convolution(x, k, kernel=(1, 2), num_filter=1, no_bias=True)


# --------------------------------------------------------------------------- gradients


def loop_gradient(X: Input, K: Input) -> Any:
    """Differentiate the book's loop."""
    x, k = nd.array(X), nd.array(K)
    x.attach_grad()
    k.attach_grad()
    with mx.autograd.record():
        Y = nd.zeros((2, 2))
        for i in range(2):
            for j in range(2):
                Y[i, j] = (x[i : i + 2, j : j + 2] * k).sum()
        total = Y.sum()
    total.backward()
    return {"dX": x.grad, "dK": k.grad}


def two_backwards(X: Input, K: Input) -> Any:
    """Ask for the kernel's gradient twice."""
    x, k = nd.array(X), nd.array(K)
    k.attach_grad()
    for _ in range(2):
        with mx.autograd.record():
            total = nd.Convolution(x, k, kernel=(2, 2), num_filter=1, no_bias=True).sum()
        total.backward()
    return k.grad


def ties(X: Input) -> Any:
    """Differentiate the maximum of equal numbers."""
    x = nd.array(X)
    x.attach_grad()
    with mx.autograd.record():
        total = x.max()
    total.backward()
    return x.grad


def nan_gradient(X: Input) -> Any:
    """Differentiate the maximum of a window with a NaN."""
    x = nd.array(X)
    x.attach_grad()
    with mx.autograd.record():
        Y = nd.Pooling(x, kernel=(2, 2), pool_type="max")
    Y.backward()
    return {"Y": Y, "dX": x.grad}


def ceil_gradient(X: Input) -> Any:
    """Differentiate an average whose last windows stick out."""
    x = nd.array(X)
    x.attach_grad()
    with mx.autograd.record():
        Y = nd.Pooling(x, kernel=(2, 2), pool_type="avg", stride=(2, 2), pooling_convention="full")
    Y.backward()
    return {"Y": Y, "dX": x.grad}


def grouped_gradient(X: Input, K: Input) -> Any:
    """Differentiate a convolution in two groups."""
    x, k = nd.array(X), nd.array(K)
    k.attach_grad()
    with mx.autograd.record():
        total = nd.Convolution(x, k, kernel=(2, 2), num_filter=2, num_group=2, no_bias=True).sum()
    total.backward()
    return k.grad


def dilated_gradient(X: Input, K: Input) -> Any:
    """Differentiate a dilated convolution."""
    x, k = nd.array(X), nd.array(K)
    k.attach_grad()
    with mx.autograd.record():
        total = nd.Convolution(x, k, kernel=(2, 2), num_filter=1, dilate=(2, 2), no_bias=True).sum()
    total.backward()
    return k.grad


def integer_gradient(X: Input, K: Input) -> Any:
    """Differentiate a sum of products of integers."""
    x, k = nd.array(X, dtype=X.dtype), nd.array(K, dtype=K.dtype)
    x.attach_grad()
    with mx.autograd.record():
        total = (x * k).sum()
    total.backward()
    return x.grad


def strided_1x1_training(X: Input, K: Input) -> Any:
    """Compute the gradient of a strided kernel of one element, 500 times."""
    x, k = nd.array(X), nd.array(K)
    k.attach_grad()
    for _ in range(500):
        with mx.autograd.record():
            total = nd.Convolution(x, k, kernel=(1, 1), num_filter=1, no_bias=True, stride=(1, 2)).sum()
        total.backward()
    return k.grad


# --------------------------------------------------------------------------- errors and layers


def error_read_twice(X: Input) -> Any:
    """Read a result again after its error."""
    Y = nd.Pooling(nd.array(X, dtype=X.dtype), kernel=(2, 2), pool_type="max")
    try:
        Y.wait_to_read()
    except mx.MXNetError as error:
        print(error)
    return Y


def fresh_layer(X: Input) -> Any:
    """Run a layer that nobody has trained on zeros."""
    layer = mx.gluon.nn.Conv2D(1, 3)
    layer.initialize()
    return layer(nd.array(X))
