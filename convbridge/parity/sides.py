"""One of two callables under comparison: how it wants its inputs, what it returns, what it is known to compute.

A callable belongs to a framework, or to none. Its inputs are NumPy arrays and
are converted for it; its results become NumPy arrays again. Where it is a
convolution or a pooling that convbridge can read (a layer of convbridge or of
a framework, one of convbridge's functions with all but the image filled in),
the call is known, and with it the exact result.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import convbridge
from convbridge import registry
from convbridge.errors import ArgumentError, ArgumentTypeError, ConvbridgeError, UnsupportedOperationError, received
from convbridge.functional import to_numpy
from convbridge.operands import host_array
from convbridge.parity.cases import Case, Operand
from convbridge.parity.tree import flatten
from convbridge.protocol import Conv2DConfig, Pool2DConfig
from convbridge.selection import framework_of, framework_of_layer, resolve

__all__ = ["Inputs", "Result", "Side", "owner_of", "read_inputs"]

Array = np.ndarray[Any, Any]

#: What NHWC has where NCHW has its axes, and back.
_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


class Inputs(NamedTuple):
    """The arrays of a call, with the names of the arguments or without."""

    arrays: tuple[Array, ...]
    keys: tuple[str, ...] | None
    labels: tuple[str, ...]

    def with_arrays(self, arrays: Sequence[Array]) -> Inputs:
        """Return the same call on other arrays."""
        return self._replace(arrays=tuple(arrays))


def read_inputs(inputs: Any) -> Inputs:
    """Read what a user wants two callables to be called on.

    Parameters
    ----------
    inputs : array_like, tuple or list of array_like, mapping
        One argument, several, or several by name.

    Returns
    -------
    Inputs

    Raises
    ------
    ArgumentTypeError
        For tensors of a framework, and what is no array.

    Examples
    --------
    >>> read_inputs({"x": np.zeros(2)}).labels
    ("inputs['x']",)
    """
    if isinstance(inputs, Mapping):
        named = {f"inputs[{key!r}]": value for key, value in inputs.items()}
    elif isinstance(inputs, (tuple, list)):
        named = {f"inputs[{number}]": value for number, value in enumerate(inputs)}
    else:
        named = {"inputs": inputs}
    for label, value in named.items():
        if framework_of(value) is not None:
            raise ArgumentTypeError(
                f"{label} must be a NumPy array, which both sides can be given; convert it with convbridge.to_numpy. "
                f"{received(inputs=value)}"
            )
    arrays = tuple(np.array(host_array(value, label)) for label, value in named.items())
    return Inputs(arrays, tuple(inputs) if isinstance(inputs, Mapping) else None, tuple(named))


class Result(NamedTuple):
    """One array that came out, channels first if the side's layout says that they were last."""

    values: Array
    dtype: str


def owner_of(function: Any) -> str | None:
    """Find the backend that a callable belongs to.

    Parameters
    ----------
    function : callable
        A layer, a method of one, a partial function; anything else belongs to
        nobody.

    Returns
    -------
    str or None

    Examples
    --------
    >>> owner_of(partial(convbridge.conv2d, backend="np")), owner_of(len)
    ('numpy', None)
    """
    owner = framework_of_layer(function)
    if owner is None and isinstance(function, partial):
        named = function.keywords.get("backend")
        if isinstance(named, str):
            return registry.canonical_name(named, "backend=")
        found = [owner_of(function.func), *map(framework_of, (*function.args, *function.keywords.values()))]
        return next(filter(None, found), None)
    bound_to = getattr(function, "__self__", None)
    return framework_of_layer(bound_to) if owner is None and bound_to is not None else owner


class Side:
    """A callable, the framework whose tensors it takes, and where its images have their channels.

    Parameters
    ----------
    name : str
        "f" or "g".
    function : callable
    backend : str, optional
        Canonical name; None passes NumPy arrays.
    layout : {"NCHW", "NHWC"}

    Examples
    --------
    >>> side = Side("f", np.negative, None, "NHWC")
    >>> side.run(read_inputs(np.ones((1, 2, 3, 4))))["output"].values.shape
    (1, 2, 3, 4)
    """

    def __init__(self, name: str, function: Callable[..., Any], backend: str | None, layout: str) -> None:
        self.name, self.function, self.layout = name, function, layout
        self.backend = None if backend is None else registry.load(backend)

    def __str__(self) -> str:
        function = self.function.func if isinstance(self.function, partial) else self.function
        kind = getattr(function, "__name__", None) or type(function).__name__
        return f"{self.backend.name if self.backend else 'any framework'}, {kind}"

    def there(self, array: Array) -> Array:
        """Give an array of images the side's layout; others stay."""
        return np.ascontiguousarray(array.transpose(_TO_LAST)) if self._moves(array) else array

    def back(self, array: Array) -> Array:
        """Undo :meth:`there`."""
        return np.ascontiguousarray(array.transpose(_TO_FIRST)) if self._moves(array) else array

    def _moves(self, array: Array) -> bool:
        return self.layout == "NHWC" and array.ndim == 4

    def _tensor(self, array: Array) -> Any:
        return array if self.backend is None else self.backend.arrays.asarray(array)

    def _call(self, inputs: Inputs, tensors: Sequence[Any]) -> dict[str, Any]:
        try:
            if inputs.keys is None:
                return flatten(self.function(*tensors))
            return flatten(self.function(**dict(zip(inputs.keys, tensors))))
        except Exception as cause:  # whatever a framework raises, the reader must learn on which side
            words = " ".join(f"{type(cause).__name__}: {cause}".split())
            raise ArgumentError(
                f"{self.name} must run on the inputs (as tensors of {self.backend.name if self.backend else 'NumPy'}; "
                f"backends= names another framework): it raised {words}. {received(**{self.name: self.function})}"
            ) from cause

    def run(self, inputs: Inputs) -> dict[str, Result]:
        """Call it.

        Parameters
        ----------
        inputs : Inputs
            Channels first.

        Returns
        -------
        dict
            The way to each output to its :class:`Result`.

        Raises
        ------
        ArgumentError
            If it raises, or returns what is no array; the cause is chained.
        """
        outputs = self._call(inputs, [self._tensor(self.there(array)) for array in inputs.arrays])
        found = {}
        for way, output in outputs.items():
            owner = framework_of(output)
            try:
                values = to_numpy(output)
            except ConvbridgeError as cause:
                raise ArgumentError(
                    f"{self.name} must return arrays, tensors, or a nest of them, also at {way}. "
                    f"{received(**{way.partition('[')[0]: output})}"
                ) from cause
            dtype = values.dtype.name if owner is None else registry.load(owner).arrays.dtype_name(output)
            found[way] = Result(self.back(values), dtype)
        if not found:
            raise ArgumentError(f"{self.name} must return at least one array. {received(**{self.name: self.function})}")
        return found

    def gradients(self, inputs: Inputs, weights: Mapping[str, Array]) -> dict[str, Result]:
        """Differentiate every output, weighed, with respect to every input of floats.

        Parameters
        ----------
        inputs : Inputs
            Channels first.
        weights : mapping
            The way to each output to an array of its shape: what is
            differentiated is the sum of output times weight.

        Returns
        -------
        dict
            A name for each pair of output and input to the gradient.

        Raises
        ------
        ArgumentError
            If no framework is known that could differentiate.
        UnsupportedOperationError
            If the framework has no autograd, and the callable no ``backward``.
        """
        wanted = [n for n, array in enumerate(inputs.arrays) if array.dtype.kind == "f"]
        found = {}
        for way, weight in weights.items():
            for number in wanted:
                gradient = self._gradient(inputs, number, way, weight)
                name = f"gradient of {way} with respect to {inputs.labels[number]}"
                found[name] = Result(self.back(gradient), gradient.dtype.name)
        return found

    def _gradient(self, inputs: Inputs, number: int, way: str, weight: Array) -> Array:
        there = [self.there(array) for array in inputs.arrays]
        weight = self.there(weight)
        backward = getattr(self.function, "backward", None)
        if callable(backward) and len(there) == 1:  # a layer that brings its own backward pass
            self._call(inputs, [self._tensor(there[0])])
            return to_numpy(backward(self._tensor(weight)))
        if self.backend is None or self.backend.listing is None:
            raise ArgumentError(
                f"{self.name} must belong to a framework that differentiates; backends= names it. "
                f"{received(**{self.name: self.function})}"
            )

        def weighed(x: Any, weight: Any) -> Any:
            tensors = [x if n == number else self._tensor(array) for n, array in enumerate(there)]
            return self._call(inputs, tensors)[way] * weight

        try:
            gradient, _ = self.backend.listing.differentiate(weighed, there[number], weight)
        except UnsupportedOperationError as cause:
            raise UnsupportedOperationError(f"{self.name} cannot be differentiated: {cause}") from cause
        return np.zeros_like(there[number]) if gradient is None else np.asarray(gradient)

    # ----------------------------------------------------------------------- what is known

    def known_call(self, inputs: Inputs, dtype: str, weight: Array | None = None) -> Case | None:
        """Return the call that the side makes, if it can be read.

        Parameters
        ----------
        inputs : Inputs
            Channels first.
        dtype : str
            Of the result, and so of the computation.
        weight : numpy.ndarray, optional
            The gradient of the result; if given, the call is its gradient.

        Returns
        -------
        Case or None
            In the side's layout.
        """
        if len(inputs.arrays) != 1:
            return None
        read = _of_convbridge(self.function) or _of_layer(self.function)
        if read is None:
            return None
        function, arrays, keywords = read
        arrays = {"X": self.there(inputs.arrays[0]), **arrays}
        if weight is not None:
            function, arrays["grad_output"] = f"{function}_vjp", self.there(weight)
        operands = {name: Operand(array, array.dtype.name, "contiguous", False) for name, array in arrays.items()}
        return Case(0, 0, function, operands, keywords, dtype)


_Read = tuple[str, dict[str, Array], dict[str, Any]]


def _of_convbridge(function: Any) -> _Read | None:
    """Read one of convbridge's functions with everything but the image filled in."""
    if not isinstance(function, partial) or function.func not in (convbridge.conv2d, convbridge.pool2d):
        return None
    if function.args or "X" in function.keywords:  # then what is given is not the image
        return None
    try:
        bound = inspect.signature(function.func).bind(None, **function.keywords)
    except TypeError:
        return None
    bound.apply_defaults()
    given = {name: value for name, value in bound.arguments.items() if name not in ("X", "backend")}
    arrays = {name: to_numpy(given.pop(name)) for name in ("weight", "bias") if given.get(name) is not None}
    given.pop("bias", None)
    return function.func.__name__, arrays, given


def _of_layer(layer: Any) -> _Read | None:
    """Read a layer of convbridge, or a framework's own convolution."""
    config, weights = getattr(layer, "config", None), None
    if isinstance(config, Pool2DConfig):
        keywords = config._asdict()
        return "pool2d", {}, {"pool_size": keywords.pop("kernel_size"), "mode": layer.mode, **keywords}
    owner = framework_of_layer(layer)
    if isinstance(config, Conv2DConfig):
        weights = layer.get_weights()
    elif owner is not None:
        with suppress(ConvbridgeError):
            config, weights = resolve(owner).layers.read_native(layer)
    if weights is None or not isinstance(config, Conv2DConfig):
        return None
    keywords = {name: getattr(config, name) for name in ("stride", "padding", "dilation", "groups", "data_format")}
    return "conv2d", dict(zip(("weight", "bias"), weights)), keywords
