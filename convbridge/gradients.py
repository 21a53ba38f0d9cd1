"""Vector-Jacobian products: what a gradient of the result means for the inputs.

The same steps as in :mod:`convbridge.functional`, with one more argument. The
three frameworks differentiate their own operators, NumPy has its backward
passes written by hand; all return fresh arrays, and nothing accumulates.
"""

from __future__ import annotations

from typing import Any

from convbridge.errors import ArgumentTypeError, received
from convbridge.functional import read_conv2d, read_pool2d
from convbridge.protocol import Array

__all__ = ["conv2d_vjp", "pool2d_vjp"]


def _needed(grad_output: Any) -> None:
    if grad_output is None:
        raise ArgumentTypeError(f"grad_output must be an array. {received(grad_output=grad_output)}")


def conv2d_vjp(
    X: Any,
    weight: Any,
    bias: Any,
    grad_output: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    data_format: str = "NCHW",
    backend: str | None = None,
) -> tuple[Array, Array, Array | None]:
    """Differentiate :func:`convbridge.conv2d`.

    Parameters
    ----------
    X, weight, bias
        As for :func:`convbridge.conv2d`; bias may be None.
    grad_output : array_like
        The gradient of a scalar with respect to the result; of its shape.
    stride, padding, dilation, groups, data_format, backend
        As for :func:`convbridge.conv2d`.

    Returns
    -------
    dX, dW, db : array
        The gradients of X, weight and bias, of their shapes, in the dtype of
        the computation. db is None where bias is.

    Raises
    ------
    ShapeError
        If grad_output has not the shape of the result, and as for
        :func:`convbridge.conv2d`.
    ArgumentError, ArgumentTypeError, MixedBackendsError, UnsupportedOperationError
        As for :func:`convbridge.conv2d`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Learning a Kernel", and its chapter on
    backpropagation.

    Examples
    --------
    >>> import numpy as np
    >>> X, K = np.arange(9.0).reshape(1, 1, 3, 3), np.arange(4.0).reshape(1, 1, 2, 2)
    >>> dX, dW, db = conv2d_vjp(X, K, np.zeros(1), np.ones((1, 1, 2, 2)), backend="numpy")
    >>> dW[0, 0], db
    (array([[ 8., 12.],
           [20., 24.]]), array([4.]))
    """
    _needed(grad_output)
    call = read_conv2d(X, weight, bias, stride, padding, dilation, groups, data_format, backend, grad_output)
    operands = call.operands
    own = operands.backend.arrays
    arrays = dict(zip(operands.named, operands.arrays("conv2d")))
    if call.result[0] == 0:
        found = [own.zeros(tuple(arrays[name].shape), arrays[name]) for name in operands.named if name != "grad_output"]
    else:
        dX, dW, db = operands.backend.ops.conv2d_vjp(
            arrays["X"],
            arrays["weight"],
            arrays.get("bias"),
            arrays["grad_output"],
            stride=call.stride,
            padding=call.padding,
            dilation=call.dilation,
            groups=call.groups,
            data_format=data_format,
        )
        found = [dX, dW, db]
    delivered = [None if x is None else own.deliver(x, operands.like) for x in (*found, None)]
    return delivered[0], delivered[1], delivered[2]


def pool2d_vjp(
    X: Any,
    pool_size: Any,
    grad_output: Any,
    mode: str = "max",
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    data_format: str = "NCHW",
    backend: str | None = None,
) -> Array:
    """Differentiate :func:`convbridge.pool2d`.

    Parameters
    ----------
    X, pool_size
        As for :func:`convbridge.pool2d`.
    grad_output : array_like
        The gradient of a scalar with respect to the result; of its shape.
    mode, stride, padding, dilation, ceil_mode, count_include_pad, data_format, backend
        As for :func:`convbridge.pool2d`.

    Returns
    -------
    dX : array
        Of the shape of X. A maximum hands its gradient to the first of equals
        in row-major order, an average shares it out.

    Raises
    ------
    ShapeError
        If grad_output has not the shape of the result, and as for
        :func:`convbridge.pool2d`.
    ArgumentError, ArgumentTypeError, MixedBackendsError, UnsupportedOperationError
        As for :func:`convbridge.pool2d`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Pooling", and its chapter on
    backpropagation.

    Examples
    --------
    >>> import numpy as np
    >>> pool2d_vjp(np.ones((2, 2)), 2, np.ones((1, 1)), backend="numpy")
    array([[1., 0.],
           [0., 0.]])
    >>> pool2d_vjp(np.ones((2, 2)), 2, np.ones((1, 1)), "avg", backend="numpy")
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    _needed(grad_output)
    call = read_pool2d(
        X, pool_size, mode, stride, padding, dilation, ceil_mode, count_include_pad, data_format, backend, grad_output
    )
    operands = call.operands
    ops, own = operands.backend.ops, operands.backend.arrays
    image, grad = operands.arrays(f"{mode}_pool2d")
    rank = len(call.result)
    if rank == 4 and call.result[0] == 0:
        return own.deliver(own.zeros(tuple(image.shape), image), operands.like)
    batch, grad = own.add_leading_axes(image, 4 - rank), own.add_leading_axes(grad, 4 - rank)
    layout = "NCHW" if rank == 2 else data_format
    if mode == "max":
        dX = ops.max_pool2d_vjp(
            batch,
            call.kernel,
            grad,
            stride=call.stride,
            padding=call.padding,
            dilation=call.dilation,
            data_format=layout,
        )
    else:
        dX = ops.avg_pool2d_vjp(
            batch,
            call.kernel,
            grad,
            stride=call.stride,
            padding=call.padding,
            counted=call.counted,
            dilation=call.dilation,
            data_format=layout,
        )
    return own.deliver(own.drop_leading_axes(dX, 4 - rank), operands.like)
