"""The layers: check the arguments, draw the weights, build the framework's own layer.

``Conv2D(...)`` returns a layer of the framework that runs: a
``torch.nn.Module``, a ``keras.layers.Layer``, a Gluon ``HybridBlock``, or the
NumPy layer. Whatever the framework, a weight is OIHW, a layer holds its
checked arguments as ``layer.config``, and the same seed draws the same
weights, bit for bit.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from convbridge.errors import ArgumentError, ArgumentTypeError, ShapeError, received
from convbridge.functional import DATA_FORMATS, FLOAT_DTYPES
from convbridge.geometry import (
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
from convbridge.protocol import Array, Conv2DConfig, Pool2DConfig
from convbridge.selection import framework_of, resolve

__all__ = ["AvgPool2D", "Conv2D", "MaxPool2D", "comp_conv2d", "initial_weights"]


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
    shape = (config.out_channels, config.in_channels // config.groups, *config.kernel_size)
    bound = 1 / sqrt(prod(shape[1:]))
    weight = np.random.default_rng(seed).uniform(-bound, bound, shape)
    # NumPy has no bfloat16: float32 is rounded to it by the framework that has
    stored = np.float32 if config.dtype == "bfloat16" else np.dtype(config.dtype)
    return weight.astype(stored), np.zeros(config.out_channels, stored) if config.use_bias else None


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
        target.require("conv2d", config.dtype)
        weight, bias = initial_weights(config, seed)
        return target.layers.Conv2D(config, weight, bias)


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
    from convbridge.functional import Operands

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
