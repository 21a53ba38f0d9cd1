"""The book's own listing in MXNet, and what MXNet's autograd makes of it.

The book assigns every sum to an element of an array made beforehand. The same
two functions in the three other backends show what happens there; ``convbridge
compare autograd`` runs all four. What computes is in ``chapter.py`` and
``ops.py``; here is only what a reader of the book would type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convbridge_mxnet._compat import autograd_lock
from convbridge_mxnet._compat import mxnet as mx
from convbridge_mxnet.arrays import asarray

Array = Any

nd = mx.nd


def corr2d_in_place(X: Array, K: Array) -> Array:
    """Cross-correlate X with K, assigning to the elements of Y."""
    h, w = K.shape
    Y = nd.zeros((X.shape[0] - h + 1, X.shape[1] - w + 1), dtype=X.dtype)
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


def differentiate(
    function: Callable[..., Any], X: np.ndarray[Any, Any], K: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any] | None, np.ndarray[Any, Any] | None]:
    """Differentiate the sum of ``function(X, K)`` by MXNet's autograd.

    Parameters
    ----------
    function : callable
        Of two arrays, to be called on matrices.
    X, K : numpy.ndarray
        Where.

    Returns
    -------
    dX, dK : numpy.ndarray or None
        What the framework returns; whatever it raises is passed on.

    Examples
    --------
    >>> differentiate(corr2d_in_place, np.eye(2), np.ones((1, 1)))
    Traceback (most recent call last):
    ...
    mxnet.base.MXNetError: ...Inplace operations (+=, -=, x[:]=, etc) are not supported when recording with autograd...
    """
    arrays = [asarray(array) for array in (X, K)]
    for array in arrays:
        array.attach_grad()
    with autograd_lock:
        with mx.autograd.record():
            total = function(*arrays).sum()
        total.backward()
        dX, dK = (array.grad.asnumpy() for array in arrays)
    return dX, dK
