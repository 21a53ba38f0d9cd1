"""One convolution for every framework: its description, its layer in convbridge, and numbers for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

import convbridge
from convbridge import Conv2D


def numbers(seed, *shape, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def tensor(array, backend):
    return convbridge.asarray(array, backend=backend)


def installed(*names):
    for name in names:
        if name not in convbridge.available_backends():
            pytest.skip(f"{name} is not installed")


class Case(NamedTuple):
    """A convolution, and which framework's own words can say it."""

    kernel: tuple[int, int] = (3, 3)
    channels: tuple[int, int] = (2, 3)
    stride: tuple[int, int] = (1, 1)
    padding: object = 0
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    use_bias: bool = True

    def said_by(self, backend):
        if backend == "numpy":
            return True
        if backend == "tensorflow":
            return self.padding in (0, "same") and 1 in (max(self.stride), max(self.dilation))
        if self.padding == "same":
            return backend == "torch" and self.stride == (1, 1)
        return isinstance(self.padding, int) or np.ndim(self.padding) == 1

    def keywords(self):
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }


def of_convbridge(backend: str) -> Callable:
    def build(case, weights, dtype):
        layer = Conv2D(
            case.kernel, *case.channels, use_bias=case.use_bias, dtype=dtype, backend=backend, **case.keywords()
        )
        layer.set_weights(weights)
        return layer

    return build
