"""Random convolutions large enough for the engines that trade accuracy for speed in "fast".

The dtypes, memory layouts and numbers, NaN and infinities among them, are those
of :mod:`convbridge.parity.cases`; what differs are the sizes: many channels and
kernels of 3 x 3 or 5 x 5, or one channel and a kernel of about 30 x 30. A stride, a
dilation or another kernel, which such engines must leave to others, comes now
and then.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.parity.cases import Case, draw_operands

__all__ = ["random_fast_case"]

#: What tells these draws from the others with the same seed.
STREAM = 2


def random_fast_case(seed: int, number: int) -> Case:
    """Draw one case; the same two integers give the same case on every machine.

    Parameters
    ----------
    seed, number : int
        Not negative.

    Returns
    -------
    Case

    Examples
    --------
    >>> case = random_fast_case(0, 1)
    >>> case.function, min(case.operands["X"].values.shape[1:]) >= 1
    ('conv2d', True)
    """
    rng = np.random.default_rng([seed, number, STREAM])
    keywords: dict[str, Any] = {"padding": tuple(tuple(rng.integers(0, 4, 2).tolist()) for _ in range(2))}
    batch, per_group, outputs, groups, kernel = int(rng.integers(1, 3)), 1, int(rng.integers(1, 3)), 1, (3, 3)
    if rng.random() < 0.15:
        kernel, size = tuple(rng.integers(27, 33, 2).tolist()), tuple(rng.integers(150, 170, 2).tolist())
    else:
        batch, (per_group, outputs) = 1, rng.integers(60, 69, 2).tolist()
        size = tuple(rng.integers(28, 33, 2).tolist())
        groups = 2 if rng.random() < 0.1 else 1
        change = rng.random()
        if change < 0.05:
            keywords["stride"] = (1, 2)
        elif change < 0.1:
            keywords["dilation"] = 2
        elif change < 0.15:
            kernel = (3, 2)
        elif change < 0.3:
            kernel = (5, 5)
    keywords |= {"groups": groups, "data_format": "NCHW" if rng.random() < 0.5 else "NHWC"}
    image = (
        (batch, per_group * groups, *size) if keywords["data_format"] == "NCHW" else (batch, *size, per_group * groups)
    )
    shapes: dict[str, tuple[int, ...]] = {"X": image, "weight": (outputs * groups, per_group, *kernel)}
    if rng.random() < 0.5:
        shapes["bias"] = (outputs * groups,)
    operands, dtype = draw_operands(rng, shapes)
    return Case(seed, number, "conv2d", operands, keywords, dtype)
