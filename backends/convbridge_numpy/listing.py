"""The book's own listing in NumPy, and what differentiating it takes.

The book assigns every sum to an element of an array made beforehand. The same
two functions in the three other backends show what their autograd makes of
that; ``convbridge compare autograd`` runs all four. What computes is in
``chapter.py`` and ``ops.py``; here is only what a reader of the book would
type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convbridge.errors import UnsupportedOperationError, received

Array = np.ndarray[Any, Any]


def corr2d_in_place(X: Array, K: Array) -> Array:
    """Cross-correlate X with K, assigning to the elements of Y."""
    h, w = K.shape
    Y = np.zeros((X.shape[0] - h + 1, X.shape[1] - w + 1), dtype=X.dtype)
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


def differentiate(function: Callable[..., Any], X: Array, K: Array) -> tuple[Array | None, Array | None]:
    """Run ``function(X, K)`` and say what differentiates it: NumPy does not.

    Parameters
    ----------
    function : callable
        Of two matrices.
    X, K : numpy.ndarray
        Where.

    Returns
    -------
    dX, dK : numpy.ndarray or None
        Nothing, here.

    Raises
    ------
    UnsupportedOperationError
        Always: arrays of NumPy do not remember how they were computed.

    Examples
    --------
    >>> differentiate(corr2d_in_place, np.eye(2), np.eye(1))
    Traceback (most recent call last):
    ...
    convbridge.errors.UnsupportedOperationError: NumPy has no autograd: its arrays do not remember how they were
    computed. convbridge.conv2d_vjp returns the gradients, written by hand. Received: backend='numpy'
    """
    function(X, K)
    raise UnsupportedOperationError(
        "NumPy has no autograd: its arrays do not remember how they were computed. convbridge.conv2d_vjp returns "
        f"the gradients, written by hand. {received(backend='numpy')}"
    )
