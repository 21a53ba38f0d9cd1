"""The exceptions, and how a message describes what it received.

Every error of convbridge is a :class:`ConvbridgeError` and also the built-in
exception that a Python programmer expects, so ``except ValueError`` works
without knowing this module. A message names the argument as it is spelled in
the signature, says what is allowed, and ends with ``Received: ...``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "BackendBrokenError",
    "BackendNotInstalledError",
    "BackendOperationError",
    "ConvbridgeError",
    "MixedBackendsError",
    "ShapeError",
    "UnknownBackendError",
    "UnsupportedOperationError",
    "received",
]


class ConvbridgeError(Exception):
    """The base of every error that convbridge raises on purpose."""

    if not TYPE_CHECKING:
        # TensorFlow raises an error of a traced function anew, with its own notes, and keeps
        # the class of only those that are constructed like a plain Exception.
        __init__ = Exception.__init__


class ArgumentError(ConvbridgeError, ValueError):
    """An argument has the right type and a value that is not allowed."""


class ArgumentTypeError(ConvbridgeError, TypeError):
    """An argument has a type that is not allowed (a bool as a stride, a complex array)."""


class ShapeError(ConvbridgeError, ValueError):
    """Shapes that do not fit each other, or a result too large to hold."""


class UnknownBackendError(ConvbridgeError, ValueError):
    """A backend name that nobody registered."""


class BackendNotInstalledError(ConvbridgeError, ImportError):
    """A known backend whose framework is not installed."""


class BackendBrokenError(ConvbridgeError, ImportError):
    """A backend that is installed and cannot be imported; the cause is chained."""


class UnsupportedOperationError(ConvbridgeError, NotImplementedError):
    """An operation that one framework does not have; the message says why."""


class MixedBackendsError(ConvbridgeError, TypeError):
    """Tensors of two frameworks in one call, or a tensor that contradicts the chosen backend."""


class BackendOperationError(ConvbridgeError, RuntimeError):
    """A framework failed inside a call that convbridge had checked; the cause is chained."""


_LONGEST_REPR = 120


def describe(value: Any) -> str:
    """Describe a value for the end of a message: arrays by type, shape and dtype.

    Parameters
    ----------
    value : object
        Anything a caller may have passed.

    Returns
    -------
    str
        At most about 120 characters, on one line.

    Examples
    --------
    >>> import numpy as np
    >>> describe(np.zeros((2, 3)))
    'numpy.ndarray of shape (2, 3) and dtype float64'
    >>> describe((1, 2.5))
    '(1, 2.5)'
    """
    shape = getattr(value, "shape", None)
    if shape is not None and not isinstance(value, type):
        kind = type(value)
        try:
            axes = tuple(shape)
        except (TypeError, ValueError):  # a tensor of unknown rank has no axes to list
            axes = None
        dtype = getattr(value, "dtype", None)
        dtype = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or dtype
        return f"{kind.__module__.partition('.')[0]}.{kind.__name__} of shape {axes} and dtype {dtype}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a broken __repr__ must not hide the message it was meant for
        text = f"an object of type {type(value).__name__}"
    return text if len(text) <= _LONGEST_REPR else f"{text[: _LONGEST_REPR - 3]}..."


def received(**arguments: Any) -> str:
    """Build the ``Received: ...`` end of a message.

    Parameters
    ----------
    **arguments
        The arguments by the names that stand in the signature.

    Returns
    -------
    str
        ``"Received: name=value, name=value"``.

    Examples
    --------
    >>> received(stride=0)
    'Received: stride=0'
    """
    return "Received: " + ", ".join(f"{name}={describe(value)}" for name, value in arguments.items())
