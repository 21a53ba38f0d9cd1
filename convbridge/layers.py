"""The layers: check the arguments, draw the weights, build the framework's own layer.

``Conv2D(...)`` returns a layer of the framework that runs: a
``torch.nn.Module``, a ``keras.layers.Layer``, a Gluon ``HybridBlock``, or the
NumPy layer. Whatever the framework, a weight is OIHW, a layer holds its
checked arguments as ``layer.config``, and the same seed draws the same
weights, bit for bit. ``get_weights`` and ``set_weights`` speak NumPy in every
framework; ``Conv2D.from_native`` and ``to_native`` exchange layers with the
frameworks' own.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from convbridge.errors import ArgumentError, ArgumentTypeError, ShapeError, UnsupportedOperationError, received
from convbridge.functional import DATA_FORMATS, to_numpy
from convbridge.geometry import (
    Sides,
    check_pool_padding,
    flag_argument,
    integer,
    needs_size,
    pair,
    parse_padding,
    resolve_padding,
    window_size,
    word_argument,
)
from convbridge.operands import FLOAT_DTYPES, Operands, host_array
from convbridge.protocol import Array, Conv2DConfig, Pool2DConfig
from convbridge.selection import framework_of, framework_of_layer, resolve

__all__ = [
    "AvgPool2D",
    "Conv2D",
    "MaxPool2D",
    "check_one_channel",
    "check_weights",
    "comp_conv2d",
    "initial_weights",
]


def initial_weights(config: Conv2DConfig, seed: int | None) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """Draw the initial weight and bias of a layer.

    The weight is uniform between plus and minus ``1 / sqrt(fan_in)``, the bias
    is zero. Both are drawn by NumPy in float64 and rounded once, so a seed
    means the same numbers in every backend.

    Parameters
    ----------
    config : Conv2DConfig
        Of the layer.
    seed : int or None
        None draws fresh numbers.

    Returns
    -------
    weight : numpy.ndarray, shape (O, C / groups, kh, kw)
    bias : numpy.ndarray, shape (O,), or None

    Examples
    --------
    >>> from convbridge.protocol import Conv2DConfig
    >>> config = Conv2DConfig((1, 2), 1, 1, (1, 1), 0, (1, 1), 1, True, "NCHW", "float32")
    >>> weight, bias = initial_weights(config, seed=0)
    >>> weight.shape, bias.tolist()
    ((1, 1, 1, 2), [0.0])
    """
    shape = weight_shape(config)
    bound = 1 / sqrt(prod(shape[1:]))
    weight = np.random.default_rng(seed).uniform(-bound, bound, shape)
    # NumPy has no bfloat16: float32 is rounded to it by the framework that has
    stored = np.float32 if config.dtype == "bfloat16" else np.dtype(config.dtype)
    return weight.astype(stored), np.zeros(config.out_channels, stored) if config.use_bias else None


def weight_shape(config: Conv2DConfig) -> tuple[int, int, int, int]:
    """Return the shape of a layer's weight, OIHW.

    Parameters
    ----------
    config : Conv2DConfig
        Of the layer.

    Returns
    -------
    (int, int, int, int)

    Examples
    --------
    >>> from convbridge.protocol import Conv2DConfig
    >>> weight_shape(Conv2DConfig((1, 2), 4, 6, (1, 1), 0, (1, 1), 2, True, "NCHW", "float32"))
    (6, 2, 1, 2)
    """
    return (config.out_channels, config.in_channels // config.groups, *config.kernel_size)


def check_weights(config: Conv2DConfig, weights: Any) -> list[np.ndarray[Any, Any]]:
    """Read new weights for a layer, all of them before any is used.

    Parameters
    ----------
    config : Conv2DConfig
        Of the layer.
    weights : sequence of array_like
        The weight (OIHW) and, if the layer has one, the bias (O,).

    Returns
    -------
    list of numpy.ndarray
        Copies in the layer's dtype (float32 for bfloat16, which NumPy lacks).

    Raises
    ------
    ShapeError
        For a wrong number of arrays, or a wrong shape.
    ArgumentTypeError
        For text, objects, complex numbers.

    Examples
    --------
    >>> from convbridge.protocol import Conv2DConfig
    >>> config = Conv2DConfig((1, 2), 1, 1, (1, 1), 0, (1, 1), 1, True, "NCHW", "float32")
    >>> [array.shape for array in check_weights(config, [[[[[1, -1]]]], [0]])]
    [(1, 1, 1, 2), (1,)]
    """
    shapes: list[tuple[int, ...]] = [weight_shape(config)]
    if config.use_bias:
        shapes.append((config.out_channels,))
    if not isinstance(weights, (list, tuple)) or len(weights) != len(shapes):
        raise ShapeError(
            f"weights must be a list of {len(shapes)}: the weight{' and the bias' if config.use_bias else ''}. "
            f"{received(weights=weights)}"
        )
    stored = "float32" if config.dtype == "bfloat16" else config.dtype
    checked = []
    for position, (array, shape) in enumerate(zip(weights, shapes)):
        values = to_numpy(array) if framework_of(array) is not None else host_array(array, f"weights[{position}]")
        if values.shape != shape:
            raise ShapeError(
                f"weights[{position}] must have the shape {shape}. {received(**{f'weights[{position}]': array})}"
            )
        checked.append(np.array(values, stored))
    return checked


def fixed_sides(config: Any) -> Sides:
    """Resolve a layer's padding without an image.

    Parameters
    ----------
    config : Conv2DConfig or Pool2DConfig
        Of the layer.

    Returns
    -------
    Sides

    Raises
    ------
    UnsupportedOperationError
        For "same" with a stride, whose amount depends on the image.

    Examples
    --------
    >>> from convbridge.protocol import Conv2DConfig
    >>> fixed_sides(Conv2DConfig((3, 2), 1, 1, (1, 1), "same", (1, 1), 1, True, "NCHW", "float32"))
    Sides(top=1, bottom=1, left=0, right=1)
    """
    wanted = parse_padding(config.padding)
    if needs_size(wanted, config.stride):
        raise UnsupportedOperationError(
            "padding by 'same' with a stride depends on the image's size, which is not known here: give it in "
            f"numbers. {received(padding=config.padding, stride=config.stride)}"
        )
    return resolve_padding(wanted, (1, 1), config.kernel_size, config.stride, config.dilation)


class Conv2D:
    """Build a convolution layer of the framework that runs.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Height and width of the kernel.
    in_channels, out_channels : int, default 1
        Of the images that go in and come out.
    stride, padding, dilation, groups, data_format
        As for :func:`convbridge.conv2d`.
    use_bias : bool, default True
        Whether to add a bias to each output channel.
    dtype : str, default "float32"
        Of weight and bias.
    seed : int, optional
        Draws the same initial weights in every backend.
    backend : str, optional
        Whose layer; default as in :mod:`convbridge.selection`.

    Returns
    -------
    layer
        A ``torch.nn.Module``, a ``keras.layers.Layer``, a Gluon
        ``HybridBlock`` or a NumPy layer; call it on a batch of images.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For arguments out of range or of a wrong type.
    UnsupportedOperationError
        For a dtype that the framework cannot compute in.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Convolutional Layers".

    Examples
    --------
    >>> import numpy as np
    >>> layer = Conv2D(3, padding=1, seed=0, backend="numpy")
    >>> layer(np.ones((1, 1, 8, 8), "float32")).shape
    (1, 1, 8, 8)
    """

    def __new__(
        cls,
        kernel_size: Any,
        in_channels: int = 1,
        out_channels: int = 1,
        *,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        use_bias: bool = True,
        data_format: str = "NCHW",
        dtype: str = "float32",
        seed: int | None = None,
        backend: str | None = None,
    ) -> Any:
        """Check the arguments and build the layer."""
        parse_padding(padding)
        config = Conv2DConfig(
            kernel_size=pair(kernel_size, "kernel_size"),
            in_channels=integer(in_channels, "in_channels", 1),
            out_channels=integer(out_channels, "out_channels", 1),
            stride=pair(stride, "stride"),
            padding=padding,
            dilation=pair(dilation, "dilation"),
            groups=integer(groups, "groups", 1),
            use_bias=flag_argument(use_bias, "use_bias"),
            data_format=word_argument(data_format, "data_format", DATA_FORMATS),
            dtype=word_argument(dtype, "dtype", FLOAT_DTYPES),
        )
        for name in ("in_channels", "out_channels"):
            if getattr(config, name) % config.groups:
                raise ArgumentError(
                    f"groups must divide {name}. "
                    f"{received(groups=groups, in_channels=in_channels, out_channels=out_channels)}"
                )
        if seed is not None:
            seed = integer(seed, "seed", 0)
        target = resolve(backend)
        target.start("conv2d", config.dtype)
        weight, bias = initial_weights(config, seed)
        return target.layers.Conv2D(config, weight, bias)

    @staticmethod
    def from_native(layer: Any, *, data_format: str | None = None, backend: str | None = None) -> Any:
        """Build a layer of convbridge from a framework's own convolution layer.

        Parameters
        ----------
        layer : torch.nn.Conv2d, keras.layers.Conv2D, mxnet.gluon.nn.Conv2D
            Built and initialised; or a layer of convbridge itself. Its weights
            are copied, with what its padding words mean.
        data_format : {"NCHW", "NHWC"}, optional
            Layout of the images; default: the layer's own.
        backend : str, optional
            Whose layer to build; default: the framework of ``layer``.

        Returns
        -------
        layer
            As :class:`Conv2D` builds; ``layer.to_native()`` is the way back.

        Raises
        ------
        ArgumentTypeError
            For what is no layer of a known framework.
        UnsupportedOperationError
            For a layer of another kind (transposed, causal, with an
            activation, not padded by zeros), saying which.
        ArgumentError
            For a layer that has no weights yet.

        Examples
        --------
        >>> import numpy as np
        >>> first = Conv2D(3, padding="same", seed=0, backend="numpy")
        >>> second = Conv2D.from_native(first, data_format="NHWC")
        >>> second(np.ones((1, 5, 5, 1))).shape, np.array_equal(first.weight, second.weight)
        ((1, 5, 5, 1), True)
        """
        owner = framework_of_layer(layer)
        if owner is None:
            raise ArgumentTypeError(
                f"layer must be a convolution layer of a framework that convbridge knows. {received(layer=layer)}"
            )
        if isinstance(getattr(layer, "config", None), Conv2DConfig):
            config, weights = layer.config, layer.get_weights()
        else:
            config, weights = resolve(owner).layers.read_native(layer)
        if data_format is not None:
            config = config._replace(data_format=word_argument(data_format, "data_format", DATA_FORMATS))
        target = resolve(backend or owner)
        target.start("conv2d", config.dtype)
        checked = check_weights(config, weights)
        return target.layers.Conv2D(config, checked[0], checked[1] if config.use_bias else None)


class _Pool2D:
    """What the two pooling layers share: the arguments and their checks."""

    _layer = ""

    def __new__(
        cls,
        pool_size: Any,
        *,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        data_format: str = "NCHW",
        backend: str | None = None,
    ) -> Any:
        """Check the arguments and build the layer."""
        kernel = pair(pool_size, "pool_size")
        steps = kernel if stride is None else pair(stride, "stride")
        spread = pair(dilation, "dilation")
        wanted = parse_padding(padding)
        if not needs_size(wanted, steps):
            sides = resolve_padding(wanted, (1, 1), kernel, steps, spread)
            for axis in (0, 1):
                check_pool_padding(
                    sides[2 * axis], sides[2 * axis + 1], window_size(kernel[axis], spread[axis]), padding
                )
        config = Pool2DConfig(
            kernel_size=kernel,
            stride=steps,
            padding=padding,
            dilation=spread,
            ceil_mode=flag_argument(ceil_mode, "ceil_mode"),
            count_include_pad=flag_argument(count_include_pad, "count_include_pad"),
            data_format=word_argument(data_format, "data_format", DATA_FORMATS),
        )
        return getattr(resolve(backend).layers, cls._layer)(config)


class MaxPool2D(_Pool2D):
    """Build a layer that takes the maximum of every window.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of the window.
    stride : int, (int, int) or None, default None
        None means ``pool_size``, as in every framework.
    padding, dilation, ceil_mode, count_include_pad, data_format
        As for :func:`convbridge.pool2d`.
    backend : str, optional
        Whose layer; default as in :mod:`convbridge.selection`.

    Returns
    -------
    layer
        Of the framework that runs.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For arguments out of range or of a wrong type.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Pooling", "Padding and Stride".

    Examples
    --------
    >>> import numpy as np
    >>> MaxPool2D(3, padding=1, stride=2, backend="numpy")(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 5.,  7.],
             [13., 15.]]]])
    """

    _layer = "MaxPool2D"


class AvgPool2D(_Pool2D):
    """Build a layer that averages every window.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of the window.
    stride : int, (int, int) or None, default None
        None means ``pool_size``, as in every framework.
    padding, dilation, ceil_mode, count_include_pad, data_format
        As for :func:`convbridge.pool2d`.
    backend : str, optional
        Whose layer; default as in :mod:`convbridge.selection`.

    Returns
    -------
    layer
        Of the framework that runs.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For arguments out of range or of a wrong type.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Pooling".

    Examples
    --------
    >>> import numpy as np
    >>> AvgPool2D(2, backend="numpy")(np.arange(16.0).reshape(1, 1, 4, 4))
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """

    _layer = "AvgPool2D"


def check_callable(conv2d: Any) -> None:
    """Refuse what is no layer.

    Parameters
    ----------
    conv2d : object
        What the caller passed as a layer.

    Raises
    ------
    ArgumentTypeError
        If it cannot be called.

    Examples
    --------
    >>> check_callable(abs)
    """
    if not callable(conv2d):
        raise ArgumentTypeError(f"conv2d must be a layer. {received(conv2d=conv2d)}")


def check_one_channel(shape: Any, channels_last: bool, layer: Any) -> None:
    """Refuse a layer's result that is not a batch of one image with one channel.

    Parameters
    ----------
    shape : sequence of int
        Of the result.
    channels_last : bool
        Where its channels are.
    layer : object
        For the message.

    Raises
    ------
    ShapeError

    Examples
    --------
    >>> check_one_channel((1, 1, 8, 8), False, None)
    """
    axes = tuple(shape)
    if len(axes) != 4 or axes[0] != 1 or axes[3 if channels_last else 1] != 1:
        raise ShapeError(
            "conv2d must return a batch of one image with one channel, not an array of shape "
            f"{axes}. {received(conv2d=layer)}"
        )


def comp_conv2d(conv2d: Any, X: Any, *, backend: str | None = None) -> Array:
    """Apply a layer to a matrix: add batch and channel, call it, remove them again.

    Parameters
    ----------
    conv2d : layer
        A layer of convbridge, of a chapter, or of a framework itself
        (``torch.nn.Conv2d``, ``keras.layers.Conv2D`` in its own layout,
        ``mxnet.gluon.nn.Conv2D``, which is initialised only if nobody has),
        with one input and one output channel.
    X : array_like, shape (H, W)
        The image.
    backend : str, optional
        Who computes; default: the framework of the layer.

    Returns
    -------
    array, shape (H', W')

    Raises
    ------
    ShapeError
        If X is no matrix, or the layer returns more than one channel.
    ArgumentTypeError
        If ``conv2d`` cannot be called.
    MixedBackendsError
        If the layer belongs to another framework than X or ``backend``.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Padding and Stride".

    Examples
    --------
    >>> import numpy as np
    >>> comp_conv2d(Conv2D(3, padding=1, stride=2, backend="numpy"), np.ones((8, 8))).shape
    (4, 4)
    """
    check_callable(conv2d)
    target = resolve(backend, X, layer=conv2d)
    operands = Operands(target.name, X=X)
    operands.axes("X", (2,), "(H, W)")
    result = target.layers.apply(conv2d, operands.named["X"])
    if framework_of(result) not in (None, target.name) or len(target.arrays.shape(result)) != 2:
        raise ShapeError(
            f"conv2d must return one image of one channel, that is a matrix. {received(conv2d=conv2d, result=result)}"
        )
    return result
