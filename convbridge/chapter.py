"""The chapters' own loops, dispatched: the same names as in the book.

Each function checks its arguments as :mod:`convbridge.functional` does and
then runs the loop of the backend's ``chapter.py``, which is written to be read
next to the book. The loops are slow on purpose; their results are the
definition that the fast operators are compared with.
"""

from __future__ import annotations

from typing import Any

from convbridge.errors import ArgumentError, ShapeError, received
from convbridge.functional import POOL_MODES, check_channels
from convbridge.geometry import check_fit, pair, word_argument
from convbridge.layers import check_callable
from convbridge.operands import Operands
from convbridge.protocol import Array
from convbridge.selection import resolve

__all__ = [
    "Conv2D",
    "comp_conv2d",
    "corr2d",
    "corr2d_multi_in",
    "corr2d_multi_in_out",
    "corr2d_multi_in_out_1x1",
    "pool2d",
]


def _check_window(image: tuple[Any, ...], kernel: tuple[Any, ...], name: str) -> None:
    for axis in (-2, -1):
        if image[axis] is None:
            raise ShapeError(f"X must have a fully known shape for a Python loop. {received(X_shape=image)}")
        check_fit(image[axis], kernel[axis], 0, 0, "height" if axis == -2 else "width", name)


def _run(operands: Operands, function: str) -> Array:
    own = operands.backend
    return own.arrays.deliver(getattr(own.chapter, function)(*operands.arrays("conv2d")), operands.like)


def corr2d(X: Any, K: Any, *, backend: str | None = None) -> Array:
    """Cross-correlate a matrix with a kernel, by the chapter's loop.

    Parameters
    ----------
    X : array_like, shape (H, W)
        The image.
    K : array_like, shape (kh, kw)
        The kernel.
    backend : str, optional
        Whose loop; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array, shape (H - kh + 1, W - kw + 1)

    Raises
    ------
    ShapeError, ArgumentTypeError, MixedBackendsError
        As for :func:`convbridge.corr2d`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "The Cross-Correlation Operation".

    Examples
    --------
    >>> corr2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]], backend="numpy")
    array([[19., 25.],
           [37., 43.]], dtype=float32)
    """
    operands = Operands(backend, X=X, K=K)
    image = operands.axes("X", (2,), "(H, W)")
    _check_window(image, operands.axes("K", (2,), "(kh, kw)", known=True), "K")
    return _run(operands, "corr2d")


def corr2d_multi_in(X: Any, K: Any, *, backend: str | None = None) -> Array:
    """Sum the cross-correlations of all input channels, by the chapter's loop.

    Parameters
    ----------
    X : array_like, shape (C, H, W)
        The image.
    K : array_like, shape (C, kh, kw)
        One kernel a channel.
    backend : str, optional
        Whose loop; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array, shape (H - kh + 1, W - kw + 1)

    Raises
    ------
    ShapeError, ArgumentTypeError, MixedBackendsError
        As for :func:`convbridge.corr2d_multi_in`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Multiple Input Channels".

    Examples
    --------
    >>> import numpy as np
    >>> X, K = np.arange(9).reshape(3, 3), np.arange(4).reshape(2, 2)
    >>> corr2d_multi_in(np.stack([X, X + 1]), np.stack([K, K + 1]), backend="numpy")
    array([[ 56.,  72.],
           [104., 120.]], dtype=float32)
    """
    operands = Operands(backend, X=X, K=K)
    image = operands.axes("X", (3,), "(C, H, W)")
    kernel = operands.axes("K", (3,), "(C, kh, kw)", known=True)
    check_channels(operands, image, kernel[0])
    _check_window(image, kernel, "K")
    return _run(operands, "corr2d_multi_in")


def corr2d_multi_in_out(X: Any, K: Any, *, backend: str | None = None) -> Array:
    """Stack one multi-channel cross-correlation for each output channel.

    Parameters
    ----------
    X : array_like, shape (C, H, W)
        The image.
    K : array_like, shape (O, C, kh, kw)
        The kernels.
    backend : str, optional
        Whose loop; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array, shape (O, H - kh + 1, W - kw + 1)

    Raises
    ------
    ShapeError, ArgumentTypeError, MixedBackendsError
        As for :func:`convbridge.corr2d_multi_in_out`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Multiple Output Channels".

    Examples
    --------
    >>> import numpy as np
    >>> X, K = np.arange(9).reshape(1, 3, 3), np.arange(4).reshape(1, 2, 2)
    >>> corr2d_multi_in_out(X, np.stack([K, K + 1]), backend="numpy").shape
    (2, 2, 2)
    """
    operands = Operands(backend, X=X, K=K)
    image = operands.axes("X", (3,), "(C, H, W)")
    kernel = operands.axes("K", (4,), "(O, C, kh, kw)", known=True)
    check_channels(operands, image, kernel[1])
    _check_window(image, kernel, "K")
    return _run(operands, "corr2d_multi_in_out")


def corr2d_multi_in_out_1x1(X: Any, K: Any, *, backend: str | None = None) -> Array:
    """Compute 1x1 kernels as the chapter does, as a matrix product.

    Parameters
    ----------
    X : array_like, shape (C, H, W)
        The image.
    K : array_like, shape (O, C, 1, 1)
        The kernels.
    backend : str, optional
        Whose function; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array, shape (O, H, W)

    Raises
    ------
    ShapeError, ArgumentTypeError, MixedBackendsError
        As for :func:`convbridge.corr2d_multi_in_out_1x1`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "1 x 1 Convolutional Layer".

    Examples
    --------
    >>> import numpy as np
    >>> corr2d_multi_in_out_1x1(np.ones((3, 2, 2)), np.ones((2, 3, 1, 1)), backend="numpy").shape
    (2, 2, 2)
    """
    operands = Operands(backend, X=X, K=K)
    image = operands.axes("X", (3,), "(C, H, W)")
    kernel = operands.axes("K", (4,), "(O, C, 1, 1)", known=True)
    if kernel[2:] != (1, 1):
        raise ShapeError(f"K must be of height and width 1. {received(K=K)}")
    check_channels(operands, image, kernel[1])
    _check_window(image, kernel, "K")
    return _run(operands, "corr2d_multi_in_out_1x1")


def pool2d(X: Any, pool_size: Any, mode: str = "max", *, backend: str | None = None) -> Array:
    """Pool a matrix with stride 1, by the chapter's loop.

    Parameters
    ----------
    X : array_like, shape (H, W)
        The image.
    pool_size : int or (int, int)
        Height and width of the window.
    mode : {"max", "avg"}, default "max"
        What a window becomes.
    backend : str, optional
        Whose loop; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array, shape (H - ph + 1, W - pw + 1)

    Raises
    ------
    ArgumentError, ArgumentTypeError, ShapeError
        As for :func:`convbridge.pool2d`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Maximum Pooling and Average Pooling".

    Examples
    --------
    >>> pool2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], (2, 2), "avg", backend="numpy")
    array([[2., 3.],
           [5., 6.]], dtype=float32)
    """
    window = pair(pool_size, "pool_size")
    word_argument(mode, "mode", POOL_MODES)
    operands = Operands(backend, X=X)
    image = operands.axes("X", (2,), "(H, W)")
    _check_window(image, window, "pool_size")
    (matrix,) = operands.arrays(f"{mode}_pool2d")
    own = operands.backend
    return own.arrays.deliver(own.chapter.pool2d(matrix, window, mode), operands.like)


def Conv2D(kernel_size: Any, *, backend: str | None = None) -> Any:  # noqa: N802  (the book's name)
    """Build the chapter's layer: one kernel, one bias, ``corr2d`` and a sum.

    Parameters
    ----------
    kernel_size : int or (int, int)
        Height and width of the kernel.
    backend : str, optional
        Whose layer; default as in :mod:`convbridge.selection`.

    Returns
    -------
    layer
        Called on a matrix; its ``weight`` is drawn at random, its ``bias`` 0.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For a kernel size that is not made of positive integers.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Convolutional Layers".

    Examples
    --------
    >>> import numpy as np
    >>> Conv2D((1, 2), backend="numpy")(np.ones((6, 8), "float32")).shape
    (6, 7)
    """
    return resolve(backend).chapter.Conv2D(pair(kernel_size, "kernel_size"))


def comp_conv2d(conv2d: Any, X: Any, *, backend: str | None = None) -> Array:
    """Apply a layer of images to a matrix, by the chapter's function.

    Parameters
    ----------
    conv2d : layer
        With one input and one output channel.
    X : array_like, shape (H, W)
        The image.
    backend : str, optional
        Who computes; default: the framework of the layer.

    Returns
    -------
    array, shape (H', W')

    Raises
    ------
    ArgumentError
        For a layer of convbridge in NHWC.
    ShapeError, ArgumentTypeError, MixedBackendsError
        As for :func:`convbridge.comp_conv2d`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Padding and Stride".

    Examples
    --------
    >>> import convbridge, numpy as np
    >>> comp_conv2d(convbridge.Conv2D(3, padding=1, backend="numpy"), np.ones((8, 8))).shape
    (8, 8)
    """
    check_callable(conv2d)
    config = getattr(conv2d, "config", None)
    if getattr(config, "data_format", "NCHW") != "NCHW":
        raise ArgumentError(
            "conv2d must be a layer of the chapters' layout, NCHW; convbridge.comp_conv2d takes the others. "
            f"{received(conv2d=conv2d)}"
        )
    target = resolve(backend, X, layer=conv2d)
    operands = Operands(target.name, X=X)
    operands.axes("X", (2,), "(H, W)")
    dtype = getattr(config, "dtype", operands.dtype)
    return target.chapter.comp_conv2d(conv2d, target.arrays.asarray(operands.named["X"], dtype, operands.like))
