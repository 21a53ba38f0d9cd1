"""The book's own listing in TensorFlow, and what TensorFlow's tape makes of it.

The book assigns every sum to an element of a variable made beforehand, because
a tensor cannot be assigned to. The same two functions in the three other
backends show what happens there; ``convbridge compare autograd`` runs all
four. What computes is in ``chapter.py`` and ``ops.py``; here is only what a
reader of the book would type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

Array = Any


def corr2d_in_place(X: Array, K: Array) -> Array:
    """Cross-correlate X with K, assigning to the elements of Y."""
    h, w = K.shape
    Y = tf.Variable(tf.zeros((X.shape[0] - h + 1, X.shape[1] - w + 1), dtype=X.dtype))
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j].assign(tf.reduce_sum(X[i : i + h, j : j + w] * K))
    return Y


def differentiate(
    function: Callable[..., Any], X: np.ndarray[Any, Any], K: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any] | None, np.ndarray[Any, Any] | None]:
    """Differentiate the sum of ``function(X, K)`` by TensorFlow's tape.

    Parameters
    ----------
    function : callable
        Of two tensors, to be called on matrices.
    X, K : numpy.ndarray
        Where.

    Returns
    -------
    dX, dK : numpy.ndarray or None
        What the framework returns, None included; whatever it raises is passed
        on.

    Examples
    --------
    >>> differentiate(corr2d_in_place, np.eye(2), np.ones((1, 1)))
    (None, None)
    """
    tensors = [tf.constant(array) for array in (X, K)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(function(*tensors))
    dX, dK = tape.gradient(total, tensors)
    return None if dX is None else dX.numpy(), None if dK is None else dK.numpy()
