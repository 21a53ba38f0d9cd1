"""A call in one form, so that whoever alters it needs to know only that one.

A user writes ``padding="same"``, an image of two, three or four axes, channels
first or last, a function of the chapters. A :class:`Call` is the same question
with channels first, four axes, and the padding in numbers. It can be asked of
the oracle, and so can every altered copy of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from convbridge.parity import bounds, oracle, second_oracle
from convbridge.parity.cases import Case, Operand
from convbridge.parity.expected import expected

__all__ = ["Call", "Ends", "Finish", "Prediction", "canonical", "extend"]

Array = np.ndarray[Any, Any]
Ends = tuple[int, int]
#: What is done to a result, and to its bound, before they are compared.
Finish = Callable[[Array], Array]


class Prediction(NamedTuple):
    """What a result would be, and how far rounding may carry it: longdouble and float64, of one shape."""

    value: Array
    bound: Array


class Call(NamedTuple):
    """One result of one convolution or pooling.

    Attributes
    ----------
    kind : {"conv", "max", "avg"}
    result : {"Y", "dX", "dW", "db"}
        Which one is asked for.
    operands : mapping
        X (N, C, H, W), and of a convolution weight (O, C / groups, kh, kw) and
        bias (O,) where there is one; grad_output (N, O, H', W') where a
        gradient is asked for. As the dtype of the computation holds them.
    window, stride, dilation : (int, int)
        ``window`` is the kernel's size.
    sides : ((int, int), (int, int))
        Padding: ((top, bottom), (left, right)).
    groups, ceil_mode, counted
        ``counted`` is ``count_include_pad``.
    dtype : str
        Of the computation.
    word : str
        The padding as the caller named it, "" if in numbers.
    channels_last : bool
        How the caller's images lie in memory.
    """

    kind: str
    result: str
    operands: Mapping[str, Array]
    window: Ends
    stride: Ends
    sides: tuple[Ends, Ends]
    dilation: Ends
    groups: int
    ceil_mode: bool
    counted: bool
    dtype: str
    word: str
    channels_last: bool

    @staticmethod
    def of(case: Case, result: str) -> Call:
        """Bring a case into this form.

        Parameters
        ----------
        case : Case
            Any.
        result : str
            One of ``case.results``.

        Returns
        -------
        Call

        Examples
        --------
        >>> from convbridge.parity.cases import random_case
        >>> call = Call.of(random_case(0, 3), "Y")
        >>> call.kind, call.is_possible, call.sides
        ('conv', True, ((0, 0), (0, 0)))
        """
        operands, keywords = dict(case.exact_operands()), case.keywords
        function = case.base_function
        if "K" in operands:
            kernels = operands.pop("K")
            if function == "convolve2d":
                kernels = kernels[..., ::-1, ::-1]
            if function == "corr2d_multi_in":
                kernels = kernels[None]
            operands["weight"] = _four_axes(kernels)
        if case.function == "chapter.corr2d_vjp":  # differentiates the sum of all outputs
            shape = [n - k + 1 for n, k in zip(operands["X"].shape, operands["weight"].shape[2:])]
            operands["grad_output"] = np.ones(shape)
        channels_last = _channels_last(case)
        for name in ("X", "grad_output"):
            if name in operands:
                operands[name] = _channels_first(operands[name], channels_last)
        kind = keywords.get("mode", "max") if function == "pool2d" else "conv"
        window = oracle.two(keywords["pool_size"]) if kind != "conv" else oracle.two(operands["weight"].shape[2:])
        stride, dilation = keywords.get("stride", 1), oracle.two(keywords.get("dilation", 1))
        steps = window if stride is None else oracle.two(stride)
        padding = keywords.get("padding", 0)
        call = Call(
            kind,
            result,
            operands,
            window,
            steps,
            ((0, 0), (0, 0)),
            dilation,
            int(keywords.get("groups", 1)),
            keywords.get("ceil_mode", False),
            keywords.get("count_include_pad", True),
            case.dtype,
            padding.lower() if isinstance(padding, str) else "",
            channels_last,
        )
        return call._replace(sides=oracle.sides(padding, call.size, call.span, steps))

    @property
    def size(self) -> Ends:
        """Height and width of the image."""
        height, width = self.operands["X"].shape[2:]
        return height, width

    @property
    def span(self) -> Ends:
        """Height and width that a window spans, dilation included."""
        return self.dilation[0] * (self.window[0] - 1) + 1, self.dilation[1] * (self.window[1] - 1) + 1

    @property
    def output_size(self) -> Ends:
        """Height and width of Y."""
        return tuple(  # type: ignore[return-value]
            oracle.output_size(self.size[i], self.span[i], self.stride[i], self.sides[i], self.ceil_mode)
            for i in (0, 1)
        )

    @property
    def is_possible(self) -> bool:
        """Whether a window fits, and the gradient of the result has its shape."""
        grad = self.operands.get("grad_output")
        out = self.output_size
        channels = self.operands["X"].shape[1]
        if "weight" in self.operands:
            outputs, per_group = self.operands["weight"].shape[:2]
            if per_group * self.groups != channels or outputs % self.groups:
                return False
            channels = outputs
        return min(out) > 0 and (grad is None or grad.shape[1:] == (channels, *out))

    def altered(self, **operands: Array | None) -> Call:
        """Return the call with other operands; None leaves one out."""
        kept = {name: array for name, array in {**self.operands, **operands}.items() if array is not None}
        weight = kept.get("weight")
        window = self.window if weight is None else (weight.shape[2], weight.shape[3])
        return self._replace(operands=kept, window=window)

    def _keywords(self) -> dict[str, Any]:
        keywords: dict[str, Any] = {"stride": self.stride, "padding": self.sides, "dilation": self.dilation}
        if self.kind == "conv":
            return {**keywords, "groups": self.groups}
        return {**keywords, "mode": self.kind, "ceil_mode": self.ceil_mode, "count_include_pad": self.counted}

    def value(self) -> Array:
        """Return the exact result quickly, by the oracle that walks over nothing.

        Returns
        -------
        numpy.ndarray of longdouble
        """
        given, keywords = self.operands, self._keywords()
        if self.result == "Y" and self.kind == "conv":
            return second_oracle.conv2d(given["X"], given["weight"], given.get("bias"), **keywords)
        if self.result == "Y":
            return second_oracle.pool2d(given["X"], self.window, **keywords)
        if self.kind != "conv":
            return second_oracle.pool2d_vjp(given["X"], self.window, given["grad_output"], **keywords)
        bias = np.zeros(len(given["weight"]))
        dX, dW, db = second_oracle.conv2d_vjp(given["X"], given["weight"], bias, given["grad_output"], **keywords)
        found = {"dX": dX, "dW": dW, "db": db}[self.result]
        assert found is not None
        return found

    def reach(self) -> float:
        """Bound the rounding bound itself, by the number of terms and the largest of them.

        A result that is further off than this, anywhere, is not explained by
        the call. So most hypotheses are refused for the price of :meth:`value`.

        Returns
        -------
        float
        """
        largest = {
            name: float(np.abs(array[np.isfinite(array)]).max(initial=0.0)) for name, array in self.operands.items()
        }
        image, kernels, grad = largest["X"], largest.get("weight", 1.0), largest.get("grad_output", 0.0)
        taps = prod(self.window)
        outputs = len(self.operands["X"]) * prod(self.output_size)
        terms, product = {
            "Y": (taps * self.operands["X"].shape[1], image * kernels),
            "dX": (taps * len(self.operands.get("weight", " ")), kernels * grad),
            "dW": (outputs, image * grad),
            "db": (outputs, grad),
        }[self.result]
        smallest = float(np.finfo("float32" if self.dtype == "bfloat16" else self.dtype).tiny)
        error = bounds.gamma(2 * terms + 2, self.dtype)
        return float(2 * error * (terms * product + largest.get("bias", 0.0)) + terms * smallest)

    def predict(self, *, strict: bool = True) -> Prediction:
        """Return the exact result and the rounding bound.

        Parameters
        ----------
        strict : bool, default True
            Where nothing can be rounded but the end, return that and the bound
            0.

        Returns
        -------
        Prediction
        """
        operands = dict(self.operands)
        function, keywords = "conv2d" if self.kind == "conv" else "pool2d", self._keywords()
        if self.kind != "conv":
            keywords["pool_size"] = self.window
        if self.result == "Y":
            operands.pop("grad_output", None)
        else:
            function += "_vjp"
            if self.kind == "conv":
                operands.setdefault("bias", np.zeros(len(operands["weight"])))
        arguments = {name: Operand(array, self.dtype, "contiguous", False) for name, array in operands.items()}
        answer = expected(Case(0, 0, function, arguments, keywords, self.dtype))[self.result]
        assert answer is not None
        if answer.exact and strict:
            return Prediction(answer.rounded.astype(np.longdouble), np.zeros(answer.bound.shape))
        return Prediction(answer.value, answer.bound)


def canonical(array: Array, case: Case, result: str) -> Array:
    """Bring a result of a case into the form in which a :class:`Call` returns it.

    Parameters
    ----------
    array : numpy.ndarray
        As a backend returned it.
    case : Case
        What it was asked.
    result : str
        One of ``case.results``.

    Returns
    -------
    numpy.ndarray
        A view.

    Examples
    --------
    >>> from convbridge.parity.lattice import lattice
    >>> case = next(case for case in lattice() if case.name == "conv2d/2x2-stride3/NHWC/float32/whole")
    >>> canonical(np.zeros((2, 5, 4, 3)), case, "Y").shape
    (2, 3, 5, 4)
    """
    if result == "db" or array.ndim > 4:
        return array
    return _four_axes(array) if result == "dW" else _channels_first(array, _channels_last(case))


def _channels_last(case: Case) -> bool:
    return case.keywords.get("data_format", "NCHW") == "NHWC" and case.operands["X"].values.ndim > 2


def _channels_first(image: Array, channels_last: bool) -> Array:
    return _four_axes(np.moveaxis(image, -1, -3) if channels_last and image.ndim > 2 else image)


def _four_axes(array: Array) -> Array:
    return array.reshape((1,) * (4 - array.ndim) + array.shape)


def extend(image: Array, ends: Sequence[Ends], fill: float) -> Array:
    """Put pixels around an image, or cut some off where a number is negative.

    Parameters
    ----------
    image : numpy.ndarray, shape (..., H, W)
    ends : ((int, int), (int, int))
        How many at the top and bottom, left and right.
    fill : float
        What they hold.

    Returns
    -------
    numpy.ndarray

    Examples
    --------
    >>> extend(np.array([[1, 2, 3]]), ((0, 1), (-1, 0)), 0).tolist()
    [[2, 3], [0, 0]]
    """
    for axis, (before, after) in zip((-2, -1), ends):
        length = image.shape[axis]
        image = np.take(image, range(max(-before, 0), max(length - max(-after, 0), 0)), axis)
        widths = [(0, 0)] * image.ndim
        widths[axis] = (max(before, 0), max(after, 0))
        image = np.pad(image, widths, constant_values=fill)
    return image
