"""Convolution and pooling with TensorFlow's operators and convbridge's semantics.

TensorFlow picks its kernels by the processor it finds, and some of them return
uninitialised memory, corrupt the heap or have no gradient for legal calls. So
a call is first rewritten into one that every kernel gets right:

* padding is put on with ``tf.pad``, the operator then runs ``VALID``;
* channels last, the one layout with kernels for every dtype and gradient; a
  call that needs nothing of the rest stays in NCHW where a probe shows, once a
  process, that the processor's operator takes that (:func:`_takes_nchw`);
* an axis whose kernel has one element is subsampled, not strided;
* rows and columns that no window reads are cut off, and an axis with a single
  output has stride 1;
* a dilated kernel becomes a dense one on every d-th row and column
  (``tf.space_to_batch``), groups become separate convolutions, depthwise ones
  the depthwise operator.

All of it also works inside ``tf.function``, where the batch and the image may
be of unknown size: lengths are then scalars of the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import tensorflow as tf

from convbridge.dispatch import NotPlannedError
from convbridge.geometry import Pair, Sides, window_size
from convbridge.selection import precision
from convbridge_tensorflow.arrays import length, on_host

Array = Any


def _channels_last(X: Array, data_format: str) -> Array:
    return X if data_format == "NHWC" else tf.transpose(X, (0, 2, 3, 1))


def _as_given(Y: Array, data_format: str) -> Array:
    return Y if data_format == "NHWC" else tf.transpose(Y, (0, 3, 1, 2))


def _pad(image: Array, padding: Sides, value: float) -> Array:
    """Put a constant around the image, and make an empty batch a batch of one.

    Kernels return wrong shapes for empty batches. A batch that is empty only
    when the graph runs gets an image here, which :func:`_own_batch` removes.
    """
    spare = 0 if image.shape[0] is not None else tf.cast(tf.equal(tf.shape(image)[0], 0), tf.int32)
    top, bottom, left, right = padding
    if all(type(side) is int and side == 0 for side in (spare, *padding)):
        return image
    return tf.pad(
        image, [[0, spare], [top, bottom], [left, right], [0, 0]], constant_values=tf.constant(value, image.dtype)
    )


def _own_batch(Y: Array, X: Array) -> Array:
    return Y if X.shape[0] is not None else Y[: tf.shape(X)[0]]


def _take(image: Array, axis: int, start: Any, stop: Any, step: int) -> Array:
    return image[(slice(None),) * axis + (slice(start, stop, step),)]


def _count_windows(image: Array, axis: int, window: int, stride: int) -> Any:
    """Count the windows along an axis: an int, or a scalar of the graph after a check that one fits."""
    n = length(image, axis)
    if type(n) is not int:
        check = tf.debugging.assert_greater_equal(
            n, window, message=f"The window ({window}) must fit into the padded input along axis {axis} of NHWC."
        )
        with tf.control_dependencies([] if check is None else [check]):
            n = tf.identity(n)
    return (n - window) // stride + 1


# --------------------------------------------------------------------------- convolution


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
    if isinstance(X, _Eager) and _stays_nchw(
        tuple(X.shape), tuple(weight.shape), X.dtype.name, stride, padding, dilation, groups, data_format
    ):
        return _native(stride, padding, bias is not None)(X, weight, bias)
    dtype = _compute_dtype(X)
    image = _pad(_channels_last(tf.cast(X, dtype), data_format), padding, 0.0)
    kernel = tf.transpose(tf.cast(weight, dtype), (2, 3, 1, 0))
    if image.shape[3] is None:
        image = tf.ensure_shape(image, (None, None, None, kernel.shape[2] * groups))
    Y = _correlate(image, kernel, stride, dilation, groups)
    if bias is not None:
        Y = tf.nn.bias_add(Y, tf.cast(bias, dtype))
    return _own_batch(_as_given(tf.cast(Y, X.dtype), data_format), X)


#: A tensor that has values; a graph's layouts are the business of its compiler.
_Eager = tf.__internal__.EagerTensor


@cache
def _takes_nchw() -> bool:
    """Tell whether this process' operator takes NCHW, forward and for both gradients, and gets it right.

    TensorFlow itself has channels-last kernels alone on the processor; oneDNN,
    which may be switched off, also has the others, in float32.
    """
    if tf.config.list_physical_devices("GPU"):
        return False  # which device runs a call is known only when it runs
    raw = tf.raw_ops
    image = tf.reshape(tf.range(2.0 * 3 * 5 * 6), (2, 3, 5, 6))
    kernel = tf.reshape(tf.range(3.0 * 2 * 3 * 4), (3, 2, 3, 4))
    grad = tf.reshape(tf.range(2.0 * 4 * 3 * 5), (2, 4, 3, 5))
    found = []
    for data_format, move in (("NCHW", tf.identity), ("NHWC", lambda x: tf.transpose(x, (0, 2, 3, 1)))):
        options = {"strides": (1, 1, 1, 1), "padding": "VALID", "data_format": data_format}
        X, dY = move(image), move(grad)
        try:
            Y = raw.Conv2D(input=X, filter=kernel, **options)
            dX = raw.Conv2DBackpropInput(input_sizes=X.shape, filter=kernel, out_backprop=dY, **options)
            dW = raw.Conv2DBackpropFilter(input=X, filter_sizes=kernel.shape, out_backprop=dY, **options)
        except tf.errors.OpError:
            return False
        found.append((_channels_last(Y, data_format), _channels_last(dX, data_format), dW))
    return all(bool(tf.reduce_all(tf.equal(a, b))) for a, b in zip(*found))


def _stays_nchw(
    X_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    dtype: str,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
    data_format: str,
) -> bool:
    """Tell whether a call is dense and safe as it stands (see :func:`_correlate`), and in NCHW."""
    if data_format != "NCHW" or dtype != "float32" or groups != 1 or dilation != (1, 1) or X_shape[0] == 0:
        return False
    sizes = (X_shape[2] + padding.top + padding.bottom, X_shape[3] + padding.left + padding.right)
    for n, taps, step in zip(sizes, weight_shape[2:], stride):
        if step > 1 and (taps == 1 or n - taps < step or (n - taps) % step):
            return False
    return tf.executing_eagerly() and _takes_nchw()


def _native(stride: Pair, padding: Sides, has_bias: bool) -> Callable[..., Array]:
    """Return the operators for calls of :func:`_stays_nchw`, with their arguments made once."""
    raw = tf.raw_ops
    top, bottom, left, right = padding
    is_padded = any(padding)
    sides, order = tf.constant([[0, 0], [0, 0], [top, bottom], [left, right]]), tf.constant((2, 3, 1, 0))
    options = {"strides": (1, 1, *stride), "padding": "VALID", "data_format": "NCHW"}

    def run(X: Array, weight: Array, bias: Array | None) -> Array:
        image = raw.Pad(input=X, paddings=sides) if is_padded else X
        Y = raw.Conv2D(input=image, filter=raw.Transpose(x=weight, perm=order), **options)
        return raw.BiasAdd(value=Y, bias=bias, data_format="NCHW") if has_bias else Y

    return run


def _compute_dtype(X: Array) -> Any:
    """Compute halves on the CPU in single precision, which rounds once at the end.

    The processor's own bfloat16 kernels fill up blocks of channels with zeros,
    and those times an infinite pixel make NaNs where there are none.
    """
    if X.dtype in (tf.float16, tf.bfloat16) and on_host(X) and precision() == "exact":
        return tf.float32
    return X.dtype


def _correlate(image: Array, kernel: Array, stride: Pair, dilation: Pair, groups: int) -> Array:
    """Reduce a padded call to dense, safe ones, axis by axis."""
    steps, spread = list(stride), list(dilation)
    outputs: list[Any] = [None, None]
    for i, axis in enumerate((1, 2)):
        taps = kernel.shape[i]
        count = _count_windows(image, axis, window_size(taps, spread[i]), steps[i])
        if taps == 1:
            image = _take(image, axis, None, None, steps[i])
            steps[i] = spread[i] = 1
            continue
        image = _take(image, axis, None, (count - 1) * steps[i] + window_size(taps, spread[i]), 1)
        if type(count) is int and count == 1:
            steps[i] = 1
        outputs[i] = count
    if spread != [1, 1]:
        return _dilated(image, kernel, (steps[0], steps[1]), (spread[0], spread[1]), groups)

    def strided() -> Array:
        return _dense(image, kernel, (steps[0], steps[1]), groups)

    unknown = [count for count, step in zip(outputs, steps) if step > 1 and not isinstance(count, int)]
    if not unknown:
        return strided()

    def subsampled() -> Array:
        return _dense(image, kernel, (1, 1), groups)[:, :: steps[0], :: steps[1]]

    # Only when the graph runs is it known whether an axis has a single output.
    return tf.cond(tf.reduce_any([tf.equal(count, 1) for count in unknown]), subsampled, strided)


def _dilated(image: Array, kernel: Array, stride: Pair, dilation: Pair, groups: int) -> Array:
    """Split the image into its d-th rows and columns, correlate them densely, interleave the results.

    Zeros inserted into the kernel would do it too, but would turn an infinite
    pixel that no window reads into a NaN.
    """
    sizes = [length(image, 1), length(image, 2)]
    missing = [-n % d for n, d in zip(sizes, dilation)]
    outputs = [n - window_size(k, d) + 1 for n, k, d in zip(sizes, kernel.shape[:2], dilation)]
    phases = tf.space_to_batch(image, dilation, [[0, missing[0]], [0, missing[1]]])
    dense = _dense(phases, kernel, (1, 1), groups)
    Y = tf.batch_to_space(dense, dilation, [[0, 0], [0, 0]])
    return Y[:, : outputs[0] : stride[0], : outputs[1] : stride[1]]


def _dense(image: Array, kernel: Array, stride: Pair, groups: int) -> Array:
    """Run the operators: dense, depthwise, or one dense convolution a group."""
    if groups == 1:
        return tf.nn.conv2d(image, kernel, stride, "VALID")
    kh, kw, per_group, outputs = kernel.shape
    if per_group == 1:
        return _depthwise(image, tf.reshape(kernel, (kh, kw, groups, outputs // groups)), stride)
    return tf.concat(
        [
            tf.nn.conv2d(part, bank, stride, "VALID")
            for part, bank in zip(tf.split(image, groups, 3), tf.split(kernel, groups, 3))
        ],
        axis=3,
    )


def _depthwise(image: Array, kernel: Array, stride: Pair) -> Array:
    """Run the depthwise operator, which knows no unequal strides on every processor."""
    if stride[0] == stride[1]:
        return tf.nn.depthwise_conv2d(image, kernel, (1, *stride, 1), "VALID")
    Y = tf.nn.depthwise_conv2d(image, kernel, (1, 1, 1, 1), "VALID")
    return Y[:, :: stride[0], :: stride[1]]


# --------------------------------------------------------------------------- pooling


def max_pool2d(
    X: Array,
    pool_size: Pair,
    *,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    data_format: str,
) -> Array:
    """Take the maximum of every window; padding counts as minus infinity.

    The operator loses NaNs and turns a window of minus infinities into the
    lowest finite number, so it is asked only where there are none of them.
    """
    image = _cut(_pad(_channels_last(X, data_format), padding, float("-inf")), pool_size, stride, dilation)

    def native() -> Array:
        return tf.nn.max_pool2d(image, pool_size, stride, "VALID")

    def careful() -> Array:
        # Columns first, then rows: the first of equals is then the first in row-major order.
        columns = _fold(image, 2, pool_size[1], stride[1], dilation[1], _first_maximum)
        return _fold(columns, 1, pool_size[0], stride[0], dilation[0], _first_maximum)

    if dilation != (1, 1):
        Y = careful()
    else:
        Y = tf.cond(tf.reduce_all(tf.constant(float("-inf"), X.dtype) < X), native, careful)
    return _own_batch(_as_given(Y, data_format), X)


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
    image = _channels_last(X, data_format)
    if image.dtype in (tf.float16, tf.bfloat16):
        image = tf.cast(image, tf.float32)  # a sum of halves overflows long before its average does
    padded = _pad(image, padding, 0.0)
    if counted is padding and dilation == (1, 1):
        Y = tf.nn.avg_pool2d(_cut(padded, pool_size, stride, dilation), pool_size, stride, "VALID")
    else:
        Y = _sum_windows(padded, pool_size, stride, dilation)
        if counted is padding:
            Y /= pool_size[0] * pool_size[1]
        else:
            Y /= _window_counts(image, pool_size, stride, padding, counted, dilation)
    return _own_batch(_as_given(tf.cast(Y, X.dtype), data_format), X)


def _cut(image: Array, pool_size: Pair, stride: Pair, dilation: Pair) -> Array:
    """Cut off the rows and columns that no window reads, after a check that one fits."""
    for i, axis in enumerate((1, 2)):
        window = window_size(pool_size[i], dilation[i])
        outputs = _count_windows(image, axis, window, stride[i])
        image = _take(image, axis, None, (outputs - 1) * stride[i] + window, 1)
    return image


def _fold(image: Array, axis: int, kernel: int, stride: int, dilation: int, combine: Any) -> Array:
    """Combine the elements of every window along one axis, from the first to the last."""
    outputs = _count_windows(image, axis, window_size(kernel, dilation), stride)

    def tap(offset: int) -> Array:
        start = offset * dilation
        return _take(image, axis, start, start + (outputs - 1) * stride + 1, stride)

    result = tap(0)
    for offset in range(1, kernel):
        result = combine(result, tap(offset))
    return result


def _first_maximum(best: Array, other: Array) -> Array:
    """Keep the larger; of equals the first, and a NaN once it is met."""
    return tf.where((best >= other) | tf.math.is_nan(best), best, other)


def _sum_windows(image: Array, pool_size: Pair, stride: Pair, dilation: Pair) -> Array:
    """Sum every window, rows first and then columns."""
    rows = _fold(image, 1, pool_size[0], stride[0], dilation[0], tf.add)
    return _fold(rows, 2, pool_size[1], stride[1], dilation[1], tf.add)


def _window_counts(
    image: Array, pool_size: Pair, stride: Pair, padding: Sides, counted: Sides, dilation: Pair
) -> Array:
    """Count what an average divides by: pool an image of ones like the image itself."""
    ones = tf.ones((1, length(image, 1), length(image, 2), 1), image.dtype)
    uncounted = Sides(*(all_of - part for all_of, part in zip(padding, counted)))
    for sides, value in ((counted, 1), (uncounted, 0)):
        top, bottom, left, right = sides
        ones = tf.pad(ones, [[0, 0], [top, bottom], [left, right], [0, 0]], constant_values=value)
    return _sum_windows(ones, pool_size, stride, dilation)


# --------------------------------------------------------------------------- gradients


def _gradients(compute: Any, inputs: tuple[Array, ...], grad_output: Array) -> tuple[Array, ...]:
    """Run a function under a tape of its own and return the gradients."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        Y = compute(*inputs)
    return tape.gradient(Y, inputs, output_gradients=grad_output)


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
        return max_pool2d(X, pool_size, stride=stride, padding=padding, dilation=dilation, data_format=data_format)

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
    if dtype not in ("float32", "float64") or not tf.executing_eagerly():
        return None
    stays = _stays_nchw((1, 1, h, w), (1, 1, kh, kw), dtype, (1, 1), Sides(0, 0, 0, 0), (1, 1), 1, "NCHW")
    raw, reshape = tf.raw_ops.Conv2D, tf.raw_ops.Reshape
    # with one channel a change of the layout is a reshape
    image, kernel = tf.constant((1, 1, h, w) if stays else (1, h, w, 1)), tf.constant((kh, kw, 1, 1))
    result = tf.constant((h - kh + 1, w - kw + 1))
    options = {"strides": (1, 1, 1, 1), "padding": "VALID", "data_format": "NCHW" if stays else "NHWC"}

    def run(X: Array, K: Array) -> Array:
        if not tf.executing_eagerly():
            raise NotPlannedError  # a compiler wants to see the shapes
        Y = raw(input=reshape(tensor=X, shape=image), filter=reshape(tensor=K, shape=kernel), **options)
        return reshape(tensor=Y, shape=result)

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
    if not _stays_nchw(X_shape, weight_shape, dtype, stride, padding, dilation, groups, data_format):
        return None

    native = _native(stride, padding, has_bias)

    def run(X: Array, weight: Array, bias: Array | None) -> Array:
        if not tf.executing_eagerly():
            raise NotPlannedError  # a compiler wants to see the shapes
        return native(X, weight, bias)

    return run
