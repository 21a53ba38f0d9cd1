"""The book's loops: those of the NumPy backend, since a loop over an array needs no SciPy.

Only the layer is this backend's own: its class tells ``convbridge.comp_conv2d``
who computes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from convbridge_numpy import chapter as loops

corr2d = loops.corr2d
corr2d_multi_in = loops.corr2d_multi_in
corr2d_multi_in_out = loops.corr2d_multi_in_out
corr2d_multi_in_out_1x1 = loops.corr2d_multi_in_out_1x1
pool2d = loops.pool2d
comp_conv2d = loops.comp_conv2d


class Conv2D:
    """A layer that cross-correlates with its weight and adds its bias, a scalar."""

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        self.weight = np.random.default_rng().random(kernel_size, dtype=np.float32)
        self.bias = np.zeros(1, dtype=np.float32)

    def __call__(self, X: Any) -> Any:
        """Return corr2d(X, weight) + bias."""
        return corr2d(X, self.weight) + self.bias
