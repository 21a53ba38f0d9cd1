"""Random calls of the gradients that every backend must answer alike.

The geometries, dtypes, memory layouts and numbers are those of
:mod:`convbridge.parity.cases`, with a gradient of the result as one more
operand. What is added: images of very few distinct numbers, so that maxima
tie, and windows of nothing but minus infinity; NaN and infinities in the
gradient of the result.

The image and the kernels of a convolution are finite. A backward pass may meet
zeros that the definition has not (those around a padded gradient, those of
outputs that a stride skips), and times infinity they are NaN; nobody promises
where.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.parity import oracle
from convbridge.parity.cases import Case, Operand, draw_conv2d, draw_operands, draw_pool2d

__all__ = ["random_gradient_case", "result_shape"]

#: What tells these draws from those of the forward calls with the same seed.
STREAM = 1


def result_shape(shapes: dict[str, tuple[int, ...]], keywords: dict[str, Any]) -> tuple[int, ...]:
    """Work out the shape of the result of a drawn call, with the oracle's arithmetic.

    Parameters
    ----------
    shapes, keywords : dict
        From :func:`convbridge.parity.cases.draw_conv2d` or
        :func:`convbridge.parity.cases.draw_pool2d`.

    Returns
    -------
    tuple of int

    Examples
    --------
    >>> flags = {"stride": None, "padding": 0, "dilation": 1, "data_format": "NHWC", "ceil_mode": True}
    >>> result_shape({"X": (1, 5, 4, 3)}, {"pool_size": 2, **flags})
    (1, 3, 2, 3)
    """
    shape = list(shapes["X"])
    last = len(shape) - (1 if keywords["data_format"] == "NHWC" and len(shape) > 2 else 0)
    size = (shape[last - 2], shape[last - 1])
    kernel = oracle.two(shapes["weight"][2:] if "weight" in shapes else keywords["pool_size"])
    stride = kernel if keywords["stride"] is None else oracle.two(keywords["stride"])
    dilation = oracle.two(keywords["dilation"])
    spans = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
    ends = oracle.sides(keywords["padding"], size, spans, stride)
    for axis in (0, 1):
        shape[last - 2 + axis] = oracle.output_size(
            size[axis], spans[axis], stride[axis], ends[axis], keywords.get("ceil_mode", False)
        )
    if "weight" in shapes:
        shape[keywords["data_format"].index("C")] = shapes["weight"][0]
    return tuple(shape)


def _few_numbers(rng: np.random.Generator, operand: Operand) -> Operand:
    """Replace an operand's values by two or three distinct ones, now and then minus infinity among them."""
    values = operand.values
    few = rng.integers(0, int(rng.integers(2, 4)), values.shape).astype(values.dtype)
    if values.dtype.kind == "f" and rng.random() < 0.3:
        few[few == 0] = -np.inf
    return operand._replace(values=few)


def random_gradient_case(seed: int, number: int) -> Case:
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
    >>> case = random_gradient_case(0, 1)
    >>> case.function in ("conv2d_vjp", "pool2d_vjp"), str(case) == str(random_gradient_case(0, 1))
    (True, True)
    """
    rng = np.random.default_rng([seed, number, STREAM])
    if rng.random() < 0.55:
        shapes, keywords = draw_conv2d(rng)
        shapes["grad_output"] = result_shape(shapes, keywords)
        operands, dtype = draw_operands(rng, shapes, special_in=("grad_output",))
        return Case(seed, number, "conv2d_vjp", operands, keywords, dtype)
    shapes, keywords = draw_pool2d(rng)
    shapes["grad_output"] = result_shape(shapes, keywords)
    operands, dtype = draw_operands(rng, shapes, special_in=("X", "grad_output"))
    if rng.random() < 0.35:
        operands["X"] = _few_numbers(rng, operands["X"])
    return Case(seed, number, "pool2d_vjp", operands, keywords, dtype)
