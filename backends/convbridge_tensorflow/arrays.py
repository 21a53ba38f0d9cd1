"""TensorFlow tensors: conversion and the few operations that the facade needs."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import tensorflow as tf

from convbridge import chapter, functional, gradients, layers

Array = Any

#: The classes of which calls are planned: no symbols of a graph, no variables.
PLAIN = (tf.__internal__.EagerTensor,)  # not type(tf.constant(0)), which would start the devices

# AutoGraph rewrites whatever a traced function calls, line by line. The facade has nothing
# to rewrite: its conditions are about shapes and arguments, not about tensors.
for _module in (chapter, functional, gradients, layers):
    for _function in vars(_module).values():
        if inspect.isfunction(_function) and _function.__module__ == _module.__name__:
            _function.autograph_info__ = {}  # type: ignore[attr-defined]


def asarray(obj: Any, dtype: str | None = None, like: Array | None = None) -> Array:
    """Copy a NumPy array into a tensor, or cast a tensor; a variable becomes its value."""
    if isinstance(obj, np.ndarray):
        wanted = dtype or obj.dtype.name
        # NumPy has no bfloat16; and a big-endian array is taken for a little-endian one without a copy
        host = np.array(obj, "float32" if wanted == "bfloat16" else wanted, order="C")
        tensor = tf.constant(host)
    else:
        tensor = tf.convert_to_tensor(obj)
        wanted = dtype or tensor.dtype.name
    return tensor if tensor.dtype.name == wanted else tf.cast(tensor, wanted)


def to_numpy(x: Array) -> np.ndarray[Any, Any]:
    """Return a copy; bfloat16 becomes float32."""
    tensor = tf.convert_to_tensor(x)
    return np.array((tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor).numpy())


def dtype_name(x: Array) -> str:
    """Name the dtype as NumPy spells it."""
    return str(tf.as_dtype(x.dtype).name)


def shape(x: Array) -> tuple[Any, ...]:
    """Return the shape; inside ``tf.function`` an axis may be None."""
    return tuple(tf.TensorShape(x.shape).as_list())


def length(x: Array, axis: int) -> Any:
    """Return an axis' length: an int, or a scalar of the graph being traced."""
    static = x.shape[axis]
    return tf.shape(x)[axis] if static is None else static


def add_leading_axes(x: Array, count: int) -> Array:
    """Put ``count`` axes of length 1 in front."""
    return x[(tf.newaxis,) * count] if count else x


def drop_leading_axes(x: Array, count: int) -> Array:
    """Remove ``count`` axes of length 1 from the front."""
    return tf.squeeze(x, list(range(count))) if count else x


def flip(x: Array) -> Array:
    """Reverse the rows and the columns of a matrix."""
    return tf.reverse(x, (0, 1))


def tensordot(a: Array, b: Array) -> Array:
    """Contract the last axis of ``a`` with the first axis of ``b``."""
    # halves round once, at the end; without oneDNN their products would be cut off instead
    wide = tf.float64 if a.dtype == tf.float64 else tf.float32
    return tf.cast(tf.tensordot(tf.cast(a, wide), tf.cast(b, wide), axes=1), a.dtype)


def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    """Give the same elements another shape."""
    return tf.reshape(x, shape)


def empty_batch(shape: tuple[int, ...], inputs: tuple[Array, ...]) -> Array:
    """Return a tensor without elements, through which gradients of zero flow to ``inputs``."""
    total = tf.add_n([tf.reduce_sum(x) for x in inputs])
    return tf.broadcast_to(total, shape)


def zeros(shape: tuple[int, ...], like: Array) -> Array:
    """Return zeros of the dtype, and where it lives, of ``like``."""
    return tf.zeros(shape, like.dtype)


def deliver(x: Array, like: Array | None) -> Array:
    """Hand a result to the caller, as it is."""
    return x


def on_host(x: Array) -> bool:
    """Tell whether a tensor lives in the machine's memory rather than a device's."""
    return "GPU" not in (getattr(x, "device", "") or "")


def survives_fork() -> bool:
    """Tell that TensorFlow does not."""
    return False


def devices() -> tuple[str, ...]:
    """Name the devices that TensorFlow sees."""
    return tuple(device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices())
