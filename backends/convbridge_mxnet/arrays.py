"""MXNet arrays: conversion, the few operations that the facade needs, and the first values of parameters.

MXNet has two kinds of arrays, ``mx.nd.NDArray`` and its subclass
``mx.np.ndarray``. Everything computes on the first; :func:`deliver` returns
the second to whoever came with it. Operations run asynchronously and report
their errors to whoever waits first: :func:`finish` waits, so that errors
surface at the call.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from convbridge.errors import ArgumentTypeError, BackendOperationError, received
from convbridge_mxnet._compat import mxnet as mx

Array = Any

nd = mx.nd

#: The classes of which calls are planned: dense arrays.
PLAIN = (nd.NDArray,)


def _reason(cause: Exception) -> str:
    """Find the sentence in MXNet's message, which is a C++ stack trace with one line that says something."""
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    for line in reversed(lines):
        if "Error: " in line:
            return line.partition("Error: ")[2]
    return lines[-1] if lines else "it gives no reason."


def finish(compute: Any) -> Array:
    """Run a computation and wait for it; MXNet's error becomes ours, here and not later.

    A failed array must not be read again (it would return whatever memory it
    has), so it goes no further than this function, and what MXNet still has
    queued is waited for, or the error would surface a second time elsewhere.
    """
    try:
        result = compute()
        result.wait_to_read()
    except mx.base.MXNetError as cause:
        with suppress(mx.base.MXNetError):  # the same error, delivered to the second who waits
            nd.waitall()
        raise BackendOperationError(f"MXNet failed: {_reason(cause)} {received(backend='mxnet')}") from cause
    return result


def asarray(obj: Any, dtype: str | None = None, like: Array | None = None) -> Array:
    """Copy a NumPy array to where ``like`` lives, or cast an array."""
    if isinstance(obj, nd.NDArray):
        if obj.stype != "default":
            raise ArgumentTypeError(f"Arrays must be dense. {received(stype=obj.stype)}")
        if isinstance(obj, mx.np.ndarray):
            obj = obj.as_nd_ndarray()  # a view; gradients pass
        if dtype is None or dtype_name(obj) == dtype:
            return obj
        if 0 in obj.shape:  # to MXNet a length of 0 means "unknown", and it casts nothing that is
            return asarray(np.empty(obj.shape, dtype), like=obj)
        return obj.astype(dtype)
    host = np.array(obj, dtype or obj.dtype.name, order="C")
    # not mx.nd.array, which looks for SciPy matrices and makes SciPy warn
    return mx.ndarray.ndarray.array(host, ctx=None if like is None else like.ctx, dtype=host.dtype.name)


def to_numpy(x: Array) -> np.ndarray[Any, Any]:
    """Return a copy; bfloat16 becomes float32."""
    return np.asarray((x.astype("float32") if dtype_name(x) == "bfloat16" else x).asnumpy())


def dtype_name(x: Array) -> str:
    """Name the dtype as NumPy spells it; MXNet's bfloat16 is a record of one field, which has that name."""
    dtype = np.dtype(x.dtype)
    return str(dtype.names[0] if dtype.names else dtype.name)


def shape(x: Array) -> tuple[Any, ...]:
    """Return the shape."""
    return tuple(x.shape)


def length(x: Array, axis: int) -> Any:
    """Return an axis' length."""
    return x.shape[axis]


def add_leading_axes(x: Array, count: int) -> Array:
    """Put ``count`` axes of length 1 in front."""
    return x.reshape((1,) * count + tuple(x.shape)) if count else x


def drop_leading_axes(x: Array, count: int) -> Array:
    """Remove ``count`` axes of length 1 from the front."""
    return x.reshape(tuple(x.shape)[count:]) if count else x


def flip(x: Array) -> Array:
    """Reverse the rows and the columns of a matrix."""
    return nd.reverse(x, axis=(0, 1))


def tensordot(a: Array, b: Array) -> Array:
    """Contract the last axis of ``a`` with the first axis of ``b``."""
    return finish(lambda: nd.dot(a, b))


def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    """Give the same elements another shape."""
    return x.reshape(shape)


def empty_batch(shape: tuple[int, ...], inputs: tuple[Array, ...]) -> Array:
    """Return an array without elements."""
    return asarray(np.empty(shape, dtype_name(inputs[0])), like=inputs[0])


def zeros(shape: tuple[int, ...], like: Array) -> Array:
    """Return zeros of the dtype, and where it lives, of ``like``."""
    return asarray(np.zeros(shape, dtype_name(like)), like=like)


def deliver(x: Array, like: Array | None) -> Array:
    """Hand a result to the caller: computed, and of the kind of array that ``like`` is."""
    finish(lambda: x)
    return x.as_np_ndarray() if isinstance(like, mx.np.ndarray) else x


def initialize_where_nobody_has(block: Any) -> None:
    """Give every parameter of a Gluon block that has no value yet its initial one, and leave the others alone."""
    for parameter in block.collect_params().values():
        try:
            parameter.list_ctx()
        except RuntimeError:  # Gluon's word for "not initialized"; a deferred one answers
            parameter.initialize()


def on_host(x: Array) -> bool:
    """Tell whether an array lives in the machine's memory rather than a device's."""
    return bool(x.ctx.device_type.startswith("cpu"))


def survives_fork() -> bool:
    """Tell that MXNet does not."""
    return False


def devices() -> tuple[str, ...]:
    """Name the devices that MXNet sees."""
    return ("cpu", *(f"gpu({i})" for i in range(mx.context.num_gpus())))
