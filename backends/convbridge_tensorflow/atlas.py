"""What the atlas asks TensorFlow: one function an entry, in TensorFlow's own words.

``convbridge atlas`` runs the functions, shows their sources and puts what they
return next to what the three other frameworks return; the other backends have
the same functions. Each is what a user of TensorFlow would write, without any
of convbridge's care. A function takes the entry's arrays, whose channels stand
before the pixels as in the other frameworks, and may change them; it returns
one result or a dictionary of named ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

Input = np.ndarray[Any, Any]

#: Which processes the entries run in: a name and its environment variables.
#: TensorFlow reads the variable once; unset, the processor decides.
VARIANTS: dict[str, dict[str, str]] = {
    "oneDNN on": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "oneDNN off": {"TF_ENABLE_ONEDNN_OPTS": "0"},
}


# --------------------------------------------------------------------------- padding


def same_even_kernel(X: Input, K: Input) -> Any:
    """Keep the size of the image under an even kernel."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "SAME")
    return tf.transpose(Y, [0, 3, 1, 2])


def same_with_stride(X: Input, K: Input) -> Any:
    """Ask for 'same' and a stride of 2."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 2, "SAME")
    return tf.transpose(Y, [0, 3, 1, 2])


def half_kernel_padding(X: Input, K: Input) -> Any:
    """Pad by half of an odd kernel, at a stride of 2."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 2, "SAME")
    return tf.transpose(Y, [0, 3, 1, 2])


def one_sided_padding(X: Input, K: Input) -> Any:
    """Pad one row at the top and one column at the left."""
    padding = [[0, 0], [1, 0], [1, 0], [0, 0]]
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, padding)
    return tf.transpose(Y, [0, 3, 1, 2])


def negative_padding(X: Input, K: Input) -> Any:
    """Pad by minus one."""
    padding = [[0, 0], [-1, -1], [-1, -1], [0, 0]]
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, padding)
    return tf.transpose(Y, [0, 3, 1, 2])


def infinite_kernel(X: Input, K: Input) -> Any:
    """Let an infinite kernel element meet the padding."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "SAME")
    return tf.transpose(Y, [0, 3, 1, 2])


def padded_maximum(X: Input) -> Any:
    """Take the maximum of padded windows."""
    padded = tf.pad(X.transpose(0, 2, 3, 1), [[0, 0], [1, 1], [1, 1], [0, 0]])
    Y = tf.nn.max_pool2d(padded, 3, 2, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def padding_beyond_window(X: Input) -> Any:
    """Pad by as much as the window is wide."""
    x = tf.constant(X.transpose(0, 2, 3, 1))
    Y = tf.nn.max_pool2d(x, 2, 2, [[0, 0], [2, 2], [2, 2], [0, 0]])
    return tf.transpose(Y, [0, 3, 1, 2])


# --------------------------------------------------------------------------- strides


def depthwise_dilation(X: Input, K: Input) -> Any:
    """Convolve each channel, with a stride of 2 and a dilation of 2."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 0, 1)
    Y = tf.nn.depthwise_conv2d(x, k, [1, 2, 2, 1], "VALID", dilations=[2, 2])
    return tf.transpose(Y, [0, 3, 1, 2])


def depthwise_strides(X: Input, K: Input) -> Any:
    """Convolve each channel, with another stride on each axis."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 0, 1)
    Y = tf.nn.depthwise_conv2d(x, k, [1, 2, 1, 1], "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def fractional_stride(X: Input, K: Input) -> Any:
    """Ask for a stride of one and a half."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1.5, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def default_stride(X: Input) -> Any:
    """Pool without saying a stride."""
    Y = tf.nn.max_pool2d(X.transpose(0, 2, 3, 1), 2, None, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def huge_stride(X: Input, K: Input) -> Any:
    """Ask for a stride that needs more than 32 bits."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 2**40, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def one_output_column(X: Input, K: Input) -> Any:
    """Stride along an axis on which one window fits."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, [1, 2], "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def ported_stride(X: Input, K: Input) -> Any:
    """Run the book's layer with padding (0, 1) and strides (3, 4)."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, [3, 4], "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


# --------------------------------------------------------------------------- shapes


def channels_first(X: Input, K: Input) -> Any:
    """Hold the channels before the pixels."""
    return tf.nn.conv2d(X, K.transpose(2, 3, 1, 0), 1, "VALID", data_format="NCHW")


def channels_last(X: Input, K: Input) -> Any:
    """Hold the channels after the pixels."""
    return tf.nn.conv2d(X, K.transpose(2, 3, 1, 0), 1, "VALID")


def kernel_layout(X: Input, K: Input) -> Any:
    """Give the kernel in the layout of another framework."""
    k = K  # PyTorch's: out, in, rows, columns
    Y = tf.nn.conv2d(X.transpose(0, 2, 3, 1), k, 1, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def channel_mismatch(X: Input, K: Input) -> Any:
    """Give an image with twice the channels of the kernel."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def three_axes(X: Input, K: Input) -> Any:
    """Forget the axis of the batch."""
    Y = tf.nn.conv2d(X.transpose(1, 2, 0), K.transpose(2, 3, 1, 0), 1, "VALID")
    return tf.transpose(Y, [2, 0, 1])


def kernel_too_large(X: Input, K: Input) -> Any:
    """Give a kernel that does not fit into the image."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def empty_batch(X: Input, K: Input) -> Any:
    """Convolve a batch without images."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def zero_channels(X: Input, K: Input, b: Input) -> Any:
    """Convolve an image without channels, with a bias."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "VALID") + b
    return tf.transpose(Y, [0, 3, 1, 2])


def zero_groups(X: Input, K: Input) -> Any:
    """Split the channels into no groups."""
    layer = tf.keras.layers.Conv2D(K.shape[0], K.shape[2:], groups=0)
    return layer(X.transpose(0, 2, 3, 1))


def flipped_kernel(X: Input, K: Input) -> Any:
    """Convolve."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def one_nan(X: Input, K: Input) -> Any:
    """Count the results that one NaN reaches."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "VALID")
    return tf.math.count_nonzero(tf.math.is_nan(Y))


# --------------------------------------------------------------------------- pooling


def window_too_large(X: Input) -> Any:
    """Pool with a window that does not fit into the image."""
    Y = tf.nn.max_pool2d(X.transpose(0, 2, 3, 1), 3, 1, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def nan_in_window(X: Input) -> Any:
    """Take the maximum of a window with a NaN, and of a window of NaNs."""
    Y = tf.nn.max_pool2d(X.transpose(0, 2, 3, 1), 2, 2, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def minus_infinity(X: Input) -> Any:
    """Take the maximum of minus infinities."""
    Y = tf.nn.max_pool2d(X.transpose(0, 2, 3, 1), 2, 2, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def average_at_border(X: Input) -> Any:
    """Average windows that hold padding."""
    Y = tf.nn.avg_pool2d(X.transpose(0, 2, 3, 1), 3, 1, "SAME")
    return tf.transpose(Y, [0, 3, 1, 2])


def ceil_mode(X: Input) -> Any:
    """Let the last window stick out."""
    Y = tf.nn.max_pool2d(X.transpose(0, 2, 3, 1), 2, 2, "SAME")
    return tf.transpose(Y, [0, 3, 1, 2])


def global_average(X: Input) -> Any:
    """Average each channel as a whole."""
    return tf.keras.layers.GlobalAveragePooling2D()(X.transpose(0, 2, 3, 1))


def half_average(X: Input) -> Any:
    """Average 256 thousands in half precision."""
    Y = tf.nn.avg_pool2d(X.transpose(0, 2, 3, 1), 16, 16, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def integer_average(X: Input) -> Any:
    """Average integers."""
    Y = tf.nn.avg_pool2d(X.transpose(0, 2, 3, 1), 2, 2, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


# --------------------------------------------------------------------------- dtypes


def float64_maximum(X: Input) -> Any:
    """Pool an array of float64."""
    Y = tf.nn.max_pool2d(X.transpose(0, 2, 3, 1), 2, 2, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def array_of_float64(X: Input) -> Any:
    """Make an array of the framework."""
    return tf.constant(X)


def integers_times_floats(X: Input, K: Input) -> Any:
    """Convolve an image of integers with a kernel of floats."""
    x, k = tf.constant(X.transpose(0, 2, 3, 1)), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def int8_overflow(X: Input, K: Input) -> Any:
    """Add up four times 100 in eight bits."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def denormals(X: Input, K: Input) -> Any:
    """Convolve a number smaller than the smallest normal one."""
    x, k = X.transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def reversed_image(X: Input, K: Input) -> Any:
    """Convolve an image that NumPy reads backwards."""
    x, k = X[..., ::-1].transpose(0, 2, 3, 1), K.transpose(2, 3, 1, 0)
    Y = tf.nn.conv2d(x, k, 1, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


# --------------------------------------------------------------------------- gradients


def loop_gradient(X: Input, K: Input) -> Any:
    """Differentiate the book's loop."""
    x, k = tf.Variable(X), tf.Variable(K)
    with tf.GradientTape() as tape:
        Y = tf.Variable(tf.zeros((2, 2)))
        for i in range(2):
            for j in range(2):
                Y[i, j].assign(tf.reduce_sum(x[i : i + 2, j : j + 2] * k))
        total = tf.reduce_sum(Y)
    dX, dK = tape.gradient(total, [x, k])
    return {"dX": dX, "dK": dK}


def two_backwards(X: Input, K: Input) -> Any:
    """Ask for the kernel's gradient twice."""
    x, k = X.transpose(0, 2, 3, 1), tf.Variable(K.transpose(2, 3, 1, 0))
    for _ in range(2):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(tf.nn.conv2d(x, k, 1, "VALID"))
        dK = tape.gradient(total, k)
    return tf.transpose(dK, [3, 2, 0, 1])


def ties(X: Input) -> Any:
    """Differentiate the maximum of equal numbers."""
    x = tf.Variable(X)
    with tf.GradientTape() as tape:
        total = tf.reduce_max(x)
    return tape.gradient(total, x)


def nan_gradient(X: Input) -> Any:
    """Differentiate the maximum of a window with a NaN."""
    x = tf.Variable(X.transpose(0, 2, 3, 1))
    with tf.GradientTape() as tape:
        Y = tf.nn.max_pool2d(x, 2, 2, "VALID")
    dX = tf.transpose(tape.gradient(Y, x), [0, 3, 1, 2])
    return {"Y": tf.transpose(Y, [0, 3, 1, 2]), "dX": dX}


def ceil_gradient(X: Input) -> Any:
    """Differentiate an average whose last windows stick out."""
    x = tf.Variable(X.transpose(0, 2, 3, 1))
    with tf.GradientTape() as tape:
        Y = tf.nn.avg_pool2d(x, 2, 2, "SAME")
    dX = tf.transpose(tape.gradient(Y, x), [0, 3, 1, 2])
    return {"Y": tf.transpose(Y, [0, 3, 1, 2]), "dX": dX}


def grouped_gradient(X: Input, K: Input) -> Any:
    """Differentiate a convolution in two groups."""
    x, k = X.transpose(0, 2, 3, 1), tf.Variable(K.transpose(2, 3, 1, 0))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.nn.conv2d(x, k, 1, "VALID"))
    return tf.transpose(tape.gradient(total, k), [3, 2, 0, 1])


def dilated_gradient(X: Input, K: Input) -> Any:
    """Differentiate a dilated convolution."""
    x, k = X.transpose(0, 2, 3, 1), tf.Variable(K.transpose(2, 3, 1, 0))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.nn.conv2d(x, k, 1, "VALID", dilations=2))
    return tf.transpose(tape.gradient(total, k), [3, 2, 0, 1])


def integer_gradient(X: Input, K: Input) -> Any:
    """Differentiate a sum of products of integers."""
    x = tf.Variable(X)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(x * K)
    return tape.gradient(total, x)


def strided_1x1_training(X: Input, K: Input) -> Any:
    """Compute the gradient of a strided kernel of one element, 500 times."""
    x, k = tf.constant(X.transpose(0, 2, 3, 1)), tf.Variable(K.transpose(2, 3, 1, 0))
    for _ in range(500):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(tf.nn.conv2d(x, k, [1, 2], "VALID"))
        dK = tape.gradient(total, k)
    return tf.transpose(dK, [3, 2, 0, 1])


# --------------------------------------------------------------------------- errors and layers


def error_read_twice(X: Input) -> Any:
    """Read a result again after its error."""
    Y = tf.nn.max_pool2d(tf.constant(X.transpose(0, 2, 3, 1)), 2, 1, "VALID")
    return tf.transpose(Y, [0, 3, 1, 2])


def fresh_layer(X: Input) -> Any:
    """Run a layer that nobody has trained on zeros."""
    tf.random.set_seed(0)
    Y = tf.keras.layers.Conv2D(1, 3)(X.transpose(0, 2, 3, 1))
    return tf.transpose(Y, [0, 3, 1, 2])
