"""Formulas as plain data: what an exercise computes, here by the library and in the page by its engine.

A formula is a matrix (nested lists; an image of several channels is a list of
matrices) or a dictionary with the operation's name under "op". The functions
below write such dictionaries; :func:`compute` computes them with the NumPy
backend, and ``exercise-checks.js`` has the same operations under the same
names. What may live here: one function that writes and one that computes each
operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from convbridge import functional, geometry

__all__ = [
    "Formula",
    "answer",
    "average",
    "columns",
    "compute",
    "convolve",
    "correlate",
    "fact",
    "field",
    "flat",
    "maximum",
    "minimum",
    "mix",
    "pick",
    "product",
    "scale",
    "size",
    "varies",
]

Array = np.ndarray[Any, Any]

#: A matrix or a dictionary; both can be written as JSON.
Formula = Any


def answer(part: int = 0) -> Formula:
    """Write a part of the learner's answer."""
    return {"op": "answer", "part": part}


def correlate(X: Formula, K: Formula, *, bias: float = 0, stride: Formula = 1, padding: int = 0) -> Formula:
    """Write a cross-correlation, summed over the channels, plus a bias."""
    return {"op": "correlate", "X": X, "K": K, "bias": bias, "stride": stride, "padding": padding}


def convolve(X: Formula, K: Formula) -> Formula:
    """Write a true convolution of a matrix: the kernel flipped both ways."""
    return {"op": "convolve", "X": X, "K": K}


def maximum(X: Formula, window: int, *, stride: int = 1, padding: int = 0) -> Formula:
    """Write a maximum pooling of a matrix."""
    return {"op": "maximum", "X": X, "window": window, "stride": stride, "padding": padding}


def average(X: Formula, window: int, *, stride: int = 1) -> Formula:
    """Write an average pooling of a matrix."""
    return {"op": "average", "X": X, "window": window, "stride": stride}


def minimum(X: Formula, window: int) -> Formula:
    """Write the smallest number of every window of a matrix."""
    return {"op": "minimum", "X": X, "window": window}


def varies(X: Formula, window: int) -> Formula:
    """Write 1 for every window of a matrix that holds different numbers, 0 for the others."""
    return {"op": "varies", "X": X, "window": window}


def mix(W: Formula, X: Formula) -> Formula:
    """Write a convolution with 1x1 kernels: W is outputs x channels, X is channels x pixels."""
    return {"op": "mix", "W": W, "X": X}


def product(A: Formula, X: Formula) -> Formula:
    """Write the product of a matrix with all elements of another, row after row, as one column."""
    return {"op": "product", "A": A, "X": X}


def flat(X: Formula) -> Formula:
    """Write the elements of a matrix, row after row, as one column."""
    return {"op": "flat", "X": X}


def scale(by: Formula, X: Formula) -> Formula:
    """Write a matrix times a number."""
    return {"op": "scale", "by": by, "X": X}


def size(image: Formula, kernel: Formula, *, padding: Formula = 0, stride: Formula = 1) -> Formula:
    """Write the output's height and width; the padding is that of each side."""
    return {"op": "size", "image": image, "kernel": kernel, "padding": padding, "stride": stride}


def field(kernel: int, layers: Formula) -> Formula:
    """Write height and width of the receptive field of so many layers with the same kernel."""
    return {"op": "field", "kernel": kernel, "layers": layers}


def columns(X: Formula) -> Formula:
    """Write how many columns a matrix has."""
    return {"op": "columns", "X": X}


def pick(X: Formula, row: int, column: int) -> Formula:
    """Write one element."""
    return {"op": "pick", "X": X, "row": row, "column": column}


def fact(name: str) -> Formula:
    """Write something that was found by running a framework."""
    return {"op": "fact", "name": name}


# --------------------------------------------------------------------------- computing


def compute(formula: Formula, answers: Sequence[Array] = (), facts: Mapping[str, int] | None = None) -> Array:
    """Compute a formula.

    Parameters
    ----------
    formula : Formula
    answers : sequence of numpy.ndarray
        The parts of the learner's answer.
    facts : mapping, optional
        What running the frameworks found.

    Returns
    -------
    numpy.ndarray of float64
        A matrix; for nested lists what they hold.

    Raises
    ------
    ConvbridgeError
        For what cannot be computed, such as a stride of 0.

    Examples
    --------
    >>> compute(correlate([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]])).tolist()
    [[19.0, 25.0], [37.0, 43.0]]
    """
    if not isinstance(formula, Mapping):
        return np.array(formula, np.float64)
    operation = formula["op"]
    if operation == "answer":
        return answers[formula["part"]]
    if operation == "fact":
        return np.array([[(facts or {})[formula["name"]]]], np.float64)
    operands = {name: compute(part, answers, facts) for name, part in formula.items() if name != "op"}
    return _OPERATIONS[operation](**operands)


def _whole(value: Array) -> Any:
    """Read a matrix of one or two whole numbers, or one number, as the library's arguments have them."""
    numbers = tuple(int(number) for number in value.ravel())
    return numbers if len(numbers) > 1 else numbers[0]


def _both(value: Array) -> tuple[int, int]:
    numbers = _whole(value)
    return numbers if isinstance(numbers, tuple) else (numbers, numbers)


def _image(X: Array) -> Array:
    """Put the axes in front that a matrix, or a stack of channels, lacks."""
    return X[(None,) * (4 - X.ndim)]


def _correlate(X: Array, K: Array, bias: Array, stride: Array, padding: Array) -> Array:
    strides, sides = _whole(stride), _whole(padding)
    Y: Array = functional.conv2d(_image(X), _image(K), stride=strides, padding=sides, backend="numpy")
    total: Array = Y[0, 0] + bias
    return total


def _pool(mode: str) -> Callable[..., Array]:
    def pool(X: Array, window: Array, stride: Array, **padding: Array) -> Array:
        sides = {name: _whole(value) for name, value in padding.items()}
        Y: Array = functional.pool2d(X, _whole(window), mode, stride=_whole(stride), backend="numpy", **sides)
        return Y

    return pool


def _windows(X: Array, window: Array) -> Array:
    """Return every window of a matrix as one row of numbers, along a third axis."""
    windows = np.lib.stride_tricks.sliding_window_view(X, _both(window))
    return windows.reshape(*windows.shape[:2], -1)


def _varies(X: Array, window: Array) -> Array:
    different: Array = np.ptp(_windows(X, window), axis=2) > 0
    return different.astype(np.float64)


def _mix(W: Array, X: Array) -> Array:
    Y: Array = functional.conv2d(X[None, :, None, :], W[:, :, None, None], backend="numpy")
    return Y[0, :, 0, :]


def _size(image: Array, kernel: Array, padding: Array, stride: Array) -> Array:
    axes = zip(_both(image), _both(kernel), _both(padding), _both(stride))
    return np.array([[geometry.output_size(n, k, s, p, p) for n, k, p, s in axes]], np.float64)


def _field(kernel: Array, layers: Array) -> Array:
    return np.array([geometry.receptive_field([_both(kernel)] * _whole(layers)).size], np.float64)


_OPERATIONS: dict[str, Callable[..., Array]] = {
    "correlate": _correlate,
    "convolve": lambda X, K: functional.convolve2d(X, K, backend="numpy"),
    "maximum": _pool("max"),
    "average": _pool("avg"),
    "minimum": lambda X, window: _windows(X, window).min(axis=2),
    "varies": _varies,
    "mix": _mix,
    "product": lambda A, X: A @ X.reshape(-1, 1),
    "flat": lambda X: X.reshape(-1, 1),
    "scale": lambda by, X: by.ravel()[0] * X,
    "size": _size,
    "field": _field,
    "columns": lambda X: np.array([[X.shape[-1]]], np.float64),
    "pick": lambda X, row, column: X[int(row) : int(row) + 1, int(column) : int(column) + 1],
}
