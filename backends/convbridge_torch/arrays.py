"""PyTorch tensors: conversion and the few operations that the facade needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from convbridge.errors import ArgumentTypeError, received

Array = torch.Tensor

#: The classes of which calls are planned: no fake tensors of a compiler, nobody's subclass.
PLAIN = (torch.Tensor, torch.nn.Parameter)


def asarray(obj: Any, dtype: str | None = None, like: Array | None = None) -> Array:
    """Copy a NumPy array to where ``like`` lives, or cast a tensor."""
    if isinstance(obj, torch.Tensor):
        if obj.layout is not torch.strided:
            raise ArgumentTypeError(f"Tensors must be dense. {received(layout=obj.layout)}")
        return obj if dtype is None else obj.to(getattr(torch, dtype))
    wanted = dtype or obj.dtype.name
    # NumPy has no bfloat16; and torch refuses big-endian and negatively strided arrays, which a copy cures
    host = np.array(obj, "float32" if wanted == "bfloat16" else wanted, order="C")
    tensor = torch.from_numpy(host)
    if wanted == "bfloat16":
        tensor = tensor.to(torch.bfloat16)
    return tensor if like is None else tensor.to(like.device)


def to_numpy(x: Array) -> np.ndarray[Any, Any]:
    """Return a copy, without the gradient; bfloat16 becomes float32."""
    x = x.detach().to("cpu").resolve_conj().resolve_neg()
    return np.array((x.float() if x.dtype == torch.bfloat16 else x).numpy())


def dtype_name(x: Array) -> str:
    """Name the dtype as NumPy spells it."""
    return str(x.dtype).removeprefix("torch.")


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
    return x.squeeze(tuple(range(count))) if count else x


def flip(x: Array) -> Array:
    """Reverse the rows and the columns of a matrix."""
    return torch.flip(x, (0, 1))


def tensordot(a: Array, b: Array) -> Array:
    """Contract the last axis of ``a`` with the first axis of ``b``."""
    wide = torch.promote_types(a.dtype, torch.float32)  # halves round once, at the end
    result: Array = torch.tensordot(a.to(wide), b.to(wide), dims=1)
    return result.to(a.dtype)


def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    """Give the same elements another shape."""
    return x.reshape(shape)


def empty_batch(shape: tuple[int, ...], inputs: tuple[Array, ...]) -> Array:
    """Return a tensor without elements, through which gradients of zero flow to ``inputs``."""
    total = torch.stack([x.sum() for x in inputs]).sum()
    return total.expand(shape).clone()


def zeros(shape: tuple[int, ...], like: Array) -> Array:
    """Return zeros of the dtype, and where it lives, of ``like``."""
    return like.new_zeros(shape)


def deliver(x: Array, like: Array | None) -> Array:
    """Hand a result to the caller, as it is."""
    return x


def on_host(x: Array) -> bool:
    """Tell whether a tensor lives in the machine's memory rather than a device's."""
    return x.device.type == "cpu"


def survives_fork() -> bool:
    """Tell whether PyTorch does: without threads of its own, as in the workers of a data loader."""
    return torch.get_num_threads() == 1


def devices() -> tuple[str, ...]:
    """Name the devices that PyTorch sees."""
    names = ["cpu"]
    names += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return tuple(names)
