"""NumPy arrays: conversion and the few operations that the facade needs."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: The classes of which calls are planned.
PLAIN = (np.ndarray,)


def asarray(obj: Any, dtype: str | None = None, like: Array | None = None) -> Array:
    """Convert to a C-contiguous array of native byte order."""
    wanted = np.dtype(dtype) if dtype else obj.dtype.newbyteorder("=")
    return np.ascontiguousarray(obj, wanted).reshape(obj.shape)


def to_numpy(x: Array) -> Array:
    """Return a copy."""
    return np.array(x)


def dtype_name(x: Array) -> str:
    """Name the dtype as NumPy spells it."""
    return str(x.dtype.name)


def shape(x: Array) -> tuple[Any, ...]:
    """Return the shape."""
    return x.shape


def length(x: Array, axis: int) -> Any:
    """Return an axis' length."""
    return x.shape[axis]


def add_leading_axes(x: Array, count: int) -> Array:
    """Put ``count`` axes of length 1 in front."""
    return x.reshape((1,) * count + x.shape)


def drop_leading_axes(x: Array, count: int) -> Array:
    """Remove ``count`` axes of length 1 from the front."""
    return x.reshape(x.shape[count:])


def flip(x: Array) -> Array:
    """Reverse the rows and the columns of a matrix."""
    return x[::-1, ::-1]


def tensordot(a: Array, b: Array) -> Array:
    """Contract the last axis of ``a`` with the first axis of ``b``."""
    with np.errstate(all="ignore"):  # infinities and NaNs are values here, as in the other frameworks
        # not tensordot: its dot leaves a product by the one number 0 out, and 0 times infinity is NaN
        product: Array = np.matmul(a.reshape(-1, a.shape[-1]), b.reshape(b.shape[0], -1))
    return product.reshape(a.shape[:-1] + b.shape[1:])


def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    """Give the same elements another shape."""
    return x.reshape(shape)


def empty_batch(shape: tuple[int, ...], inputs: tuple[Array, ...]) -> Array:
    """Return an array without elements."""
    return np.empty(shape, inputs[0].dtype)


def zeros(shape: tuple[int, ...], like: Array) -> Array:
    """Return zeros of the dtype, and where it lives, of ``like``."""
    return np.zeros(shape, like.dtype)


def deliver(x: Array, like: Array | None) -> Array:
    """Hand a result to the caller, as it is."""
    return x


def on_host(x: Array) -> bool:
    """Tell that the array lives in the machine's memory."""
    return True


def survives_fork() -> bool:
    """Tell that NumPy does."""
    return True


def devices() -> tuple[str, ...]:
    """Name the devices."""
    return ("cpu",)
