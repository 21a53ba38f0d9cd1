"""The array arguments of a call: who computes them, their shapes, their dtype.

Every function that takes arrays reads them here, before it converts any: a
call that is going to be refused costs no copy. NumPy arrays, scalars and
nested lists are neutral, a framework's tensor is looked at and left alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convbridge import dispatch
from convbridge.errors import ArgumentError, ArgumentTypeError, MixedBackendsError, ShapeError, received
from convbridge.protocol import Array
from convbridge.registry import Backend, spec
from convbridge.selection import framework_of, framework_of_symbol, resolve

__all__ = ["FLOAT_DTYPES", "Operands", "compute_dtype", "host_array"]

FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64")


def _hidden_tensor(obj: Any) -> Any:
    """Return a framework's tensor or symbol hidden in nested lists, or None."""
    for item in obj:
        if isinstance(item, (list, tuple)):
            found = _hidden_tensor(item)
            if found is not None:
                return found
        elif (framework_of(item) or framework_of_symbol(item)) is not None:
            return item
    return None


def host_array(obj: Any, name: str) -> np.ndarray[Any, Any]:
    """Read a neutral argument as a NumPy array.

    Parameters
    ----------
    obj : array_like
        A NumPy array, a scalar, nested lists, anything with ``__array__``.
    name : str
        The argument's name, for the message.

    Returns
    -------
    numpy.ndarray
        Of booleans, integers or floats; shares memory with ``obj`` where it
        can.

    Raises
    ------
    ArgumentError
        For ragged lists.
    ArgumentTypeError
        For text, objects, complex numbers, masked arrays, symbolic values.
    MixedBackendsError
        For tensors inside lists.

    Examples
    --------
    >>> host_array([[1, 2]], "X").shape
    (1, 2)
    """
    owner = framework_of_symbol(obj)
    if owner is not None:  # of a symbol its type is shown: a proxy answers whatever it is asked with another proxy
        raise ArgumentTypeError(
            f"{name} must hold numbers, not stand for them in a graph. {spec(owner).symbol_hint} "
            f"{received(**{name: type(obj)})}"
        )
    if isinstance(obj, np.ma.MaskedArray):
        raise ArgumentTypeError(
            f"{name} must not be a masked array, whose mask would be lost; use its filled(...). "
            f"{received(**{name: obj})}"
        )
    if isinstance(obj, (list, tuple)):
        tensor = _hidden_tensor(obj)
        if tensor is not None:
            shown = type(tensor) if framework_of_symbol(tensor) else tensor
            raise MixedBackendsError(
                f"{name} must be one array, not a list of tensors; stack them with their framework first. "
                f"{received(**{name: shown})}"
            )
    try:
        array = np.asarray(obj)
    except (ValueError, TypeError, OverflowError) as cause:
        raise ArgumentError(
            f"{name} must be a rectangular array of numbers ({cause}). {received(**{name: obj})}"
        ) from None
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ArgumentTypeError(f"{name} must hold real numbers, not {array.dtype}. {received(**{name: obj})}")
    return array


def compute_dtype(stored: str, name: str, obj: Any) -> str:
    """Return the dtype in which an argument takes part.

    Parameters
    ----------
    stored : str
        Its own dtype.
    name : str
        The argument's name, for the message.
    obj : object
        The argument, for the message.

    Returns
    -------
    str
        A float stays; integers and booleans count as float32.

    Raises
    ------
    ArgumentTypeError
        For everything else.

    Examples
    --------
    >>> compute_dtype("float64", "X", None), compute_dtype("uint8", "X", None)
    ('float64', 'float32')
    """
    if stored in FLOAT_DTYPES:
        return stored
    if stored.startswith(("int", "uint", "bool")):
        return "float32"
    raise ArgumentTypeError(
        f"{name} must hold real numbers: {', '.join(FLOAT_DTYPES)}, integers or booleans. {received(**{name: obj})}"
    )


def _promote(dtypes: set[str]) -> str:
    """Promote floats among themselves, as NumPy does."""
    if len(dtypes) == 1:
        return next(iter(dtypes))
    return "float64" if "float64" in dtypes else "float32"


class Operands:
    """The array arguments of one call: who computes them, their shapes, their dtype.

    Nothing is converted until :meth:`arrays` is asked, so that a call that is
    going to be refused costs no copy.
    """

    def __init__(self, backend: str | None, **named: Any) -> None:
        self.since = dispatch.generation()
        #: As they came: what is neutral becomes a NumPy array in ``named``.
        self.given = tuple(named.values())
        #: Whether nothing but the signature decided that the call may run.
        self.is_settled = False
        self.backend: Backend = resolve(backend, *named.values())
        self.named: dict[str, Any] = {}
        self.shapes: dict[str, tuple[Any, ...]] = {}
        self.like: Any = None
        dtypes = set()
        own = self.backend.arrays
        for name, obj in named.items():
            if obj is None:
                raise ArgumentTypeError(f"{name} must be an array. {received(**{name: obj})}")
            if framework_of(obj) is None:
                obj = host_array(obj, name)
                self.shapes[name] = obj.shape
                dtypes.add(compute_dtype(obj.dtype.name, name, obj))
            else:
                self.like = obj if self.like is None else self.like
                dtypes.add(compute_dtype(own.dtype_name(obj), name, obj))
                self.shapes[name] = self._tensor_shape(obj, name)
            self.named[name] = obj
        self.dtype = _promote(dtypes)

    def _tensor_shape(self, obj: Any, name: str) -> tuple[Any, ...]:
        try:
            return self.backend.arrays.shape(obj)
        except ValueError:
            raise ShapeError(f"{name} must have a known number of axes. {received(**{name: obj})}") from None

    def axes(self, name: str, ranks: tuple[int, ...], layout: str, *, known: bool = False) -> tuple[Any, ...]:
        """Return a shape after checking its rank and that no axis but the batch is empty."""
        shape = self.shapes[name]
        if len(shape) not in ranks:
            raise ShapeError(
                f"{name} must have {' or '.join(map(str, ranks))} axes {layout}, not {len(shape)}. "
                f"{received(**{name: self.named[name]})}"
            )
        checked = shape[1:] if len(shape) == 4 and layout.startswith("(N") else shape
        if any(n == 0 for n in checked):
            raise ShapeError(
                f"{name} must have at least one element along every axis {layout}. "
                f"{received(**{name: self.named[name]})}"
            )
        if known and any(n is None for n in shape):
            raise ShapeError(f"{name} must have a fully known shape. {received(**{name: self.named[name]})}")
        return shape

    def arrays(self, operation: str) -> list[Array]:
        """Convert everything to the backend's arrays of one dtype, on one device."""
        self.backend.start(operation, self.dtype)
        convert = self.backend.arrays.asarray
        return [convert(obj, self.dtype, self.like) for obj in self.named.values()]

    def run(
        self,
        operation: str,
        compute: Callable[..., Array],
        key: tuple[Any, ...] | None,
        prepare: Callable[[], Callable[..., Array] | None] | None = None,
    ) -> Array:
        """Convert, compute and deliver; leave a plan for the next call of this signature.

        Parameters
        ----------
        operation : str
            Name of an operation of :class:`convbridge.protocol.OpsModule`.
        compute : callable
            Takes the converted arrays to the result. It outlives the call, so
            it must not hold an array.
        key : tuple or None
            Of the plan; None where the call has none.
        prepare : callable, optional
            Returns what takes the arrays, where no conversion is needed, to
            what is delivered; or None.

        Returns
        -------
        array
        """
        arrays = self.arrays(operation)
        own, like = self.backend.arrays, self.like
        result = own.deliver(compute(*arrays), like)
        given = self.given
        plain = getattr(own, "PLAIN", None)
        # a fork may have left the framework without its threads, which is found out at every call
        if key is None or plain is None or not self.is_settled or self.backend.was_forked:
            return result
        if dispatch.is_plain(given, plain):
            ready = all(type(a) in plain and a.dtype == b.dtype for a, b in zip(given, arrays))
            prepared = prepare() if prepare is not None and ready else None
            dispatch.remember(key, prepared or self._plan(compute), self.since)
        return result

    def _plan(self, compute: Callable[..., Array]) -> Callable[..., Array]:
        """Return a plan that converts, computes and delivers, and holds no array."""
        convert, deliver = self.backend.arrays.asarray, self.backend.arrays.deliver
        dtype, is_neutral = self.dtype, self.like is None

        def plan(*arrays: Any) -> Array:
            like = None if is_neutral else arrays[0]
            converted = [None if array is None else convert(array, dtype, like) for array in arrays]
            return deliver(compute(*converted), like)

        return plan
