"""The fixed cases: every option of every operation, named, the same on every machine.

Random cases find what nobody thought of; these are the ones that somebody did
think of, small enough to be read in a report. A geometry is crossed with the
memory formats, the dtypes and the kinds of numbers; the name of a case says all
of it, ``conv2d/3x3-stride2-pad1/NHWC/float32/whole``, and also seeds its
numbers.

Kinds of numbers:

whole
    Few small integers, so that sums are exact and maxima tie.
spread
    Normal, over six orders of magnitude: rounding is as bad as it gets.
negative
    Below zero, so that a padding of zeros shows in a maximum.
special
    Normal, with NaN and infinities among them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from convbridge.parity import oracle
from convbridge.parity.cases import Case, Operand
from convbridge.parity.gradient_cases import result_shape

__all__ = ["lattice"]

Array = np.ndarray[Any, Any]
Shapes = Mapping[str, tuple[int, ...]]

#: The exponents of two between which "spread" spreads: six orders of magnitude, fewer where the range is short. Powers
#: of two, since libraries do not agree on the last bit of others.
_EXPONENTS = {"float64": 10, "float32": 10, "float16": 2, "bfloat16": 3}


class Geometry(NamedTuple):
    """What a case computes, its numbers apart.

    Attributes
    ----------
    name : str
        The options that are not the default, in short.
    shapes : mapping
        Argument name to shape, channels first.
    keywords : mapping
        As a caller would write them.
    """

    name: str
    shapes: Shapes
    keywords: Mapping[str, Any]


# --------------------------------------------------------------------------- numbers


def _numbers(label: str, argument: str, shape: tuple[int, ...], kind: str, dtype: str) -> Array:
    rng = np.random.default_rng(zlib.crc32(f"{label}/{argument}".encode()))
    numbers = rng.integers(-4, 5, shape).astype(np.float64) if kind == "whole" else rng.standard_normal(shape)
    if kind == "spread":
        numbers = np.ldexp(numbers, rng.integers(-_EXPONENTS[dtype], _EXPONENTS[dtype] + 1, shape))
    if kind == "negative":
        numbers = -np.abs(numbers)
    if kind == "special" and argument == "X":
        where = rng.random(shape)
        for number, value in enumerate((np.nan, np.inf, -np.inf)):
            numbers[(where >= 0.06 * number) & (where < 0.06 * (number + 1))] = value
    return oracle.round_to(numbers, dtype)


def _case(function: str, label: str, geometry: Geometry, data_format: str, dtype: str, kind: str) -> Case:
    shapes, keywords = dict(geometry.shapes), dict(geometry.keywords)
    if data_format == "NHWC":
        keywords["data_format"] = data_format
        shapes["X"] = (*shapes["X"][:-3], *shapes["X"][-2:], shapes["X"][-3])
    if function.endswith("d_vjp") and not function.startswith("chapter."):
        complete = {"stride": 1, "padding": 0, "dilation": 1, "data_format": "NCHW", **keywords}
        shapes["grad_output"] = result_shape(shapes, complete)
    integers = dtype == "int64"
    operands = {}
    for name, shape in shapes.items():
        numbers = _numbers(label, name, shape, kind, "float64" if integers else dtype)
        # NumPy has no bfloat16, so those must be tensors; whatever else a call may get, random cases give it
        operands[name] = Operand(
            numbers.astype(np.int64) if integers else numbers, dtype, "contiguous", dtype == "bfloat16"
        )
    return Case(0, 0, function, operands, keywords, "float32" if integers else dtype, label)


def _cases(function: str, geometry: Geometry, formats: tuple[str, ...], numbers: Mapping[str, str]) -> Iterator[Case]:
    """Cross a geometry with formats, dtypes and the kinds of numbers of each dtype."""
    for data_format in formats:
        for dtype, kinds in numbers.items():
            for kind in kinds.split():
                name = f"{geometry.name}/{data_format}" if len(geometry.shapes["X"]) > 2 else geometry.name
                label = f"{function}/{name}/{dtype}/{kind}"
                yield _case(function, label, geometry, data_format, dtype, kind)


# --------------------------------------------------------------------------- geometries


def _name(kernel: tuple[int, ...], keywords: Mapping[str, Any]) -> str:
    def write(value: Any) -> str:
        return "x".join([write(part) for part in value]) if isinstance(value, tuple) else str(value)

    short = {"stride": "stride", "padding": "pad", "dilation": "dilation", "groups": "groups"}
    parts = [write(kernel)]
    for word, value in keywords.items():
        if word in short:
            parts.append(value if isinstance(value, str) else f"{short[word]}{write(value)}")
        elif word == "ceil_mode" and value:
            parts.append("ceil")
        elif word == "count_include_pad" and not value:
            parts.append("uncounted")
    return "-".join(parts)


def _convolution(
    kernel: tuple[int, int],
    size: tuple[int, int] = (6, 5),
    *,
    batch: int = 2,
    channels: int = 2,
    outputs: int = 3,
    bias: bool = False,
    **keywords: Any,
) -> Geometry:
    groups = keywords.get("groups", 1)
    shapes: dict[str, tuple[int, ...]] = {
        "X": (batch, channels, *size),
        "weight": (outputs, channels // groups, *kernel),
    }
    if bias:
        shapes["bias"] = (outputs,)
    name = _name(kernel, keywords) + ("-bias" if bias else "")
    others: dict[str, tuple[Any, Any]] = {"batch": (batch, 2), "in": (channels, 2), "size": (size, (6, 5))}
    for word, (value, default) in others.items():
        if value != default:
            name += f"-{word}{value if isinstance(value, int) else f'{value[0]}x{value[1]}'}"
    return Geometry(name, shapes, keywords)


def _convolutions() -> list[Geometry]:
    make = _convolution
    words = ("valid", "same_upper", "same_lower", "chapter")
    return [
        # kernels: square and not, odd and even, as large as the image
        *(make(kernel) for kernel in ((1, 1), (2, 2), (3, 3), (3, 2), (1, 4), (4, 1), (6, 5))),
        make((2, 3), bias=True),
        # strides, one larger than the kernel
        make((3, 3), stride=2, bias=True),
        make((3, 2), stride=(2, 1)),
        make((2, 2), stride=(1, 3), bias=True),
        make((2, 2), stride=3),
        make((1, 1), stride=2, bias=True),
        make((1, 1), stride=(1, 2), channels=1, outputs=1),
        make((1, 2), (2, 3), stride=(1, 2), channels=1, outputs=1),
        # padding in every form, every word with even kernels and strides
        make((3, 3), padding=1, bias=True),
        make((3, 3), padding=(2, 1)),
        make((2, 3), padding=((1, 0), (0, 2)), bias=True),
        make((3, 3), padding=((0, 3), (2, 0)), stride=2),
        *(make((2, 4), padding=word) for word in words),
        *(make((3, 3), padding=word, stride=2, bias=True) for word in words),
        *(make((2, 5), (7, 6), padding=word, stride=(3, 2)) for word in words),
        *(make((2, 3), padding=word, dilation=2) for word in words[1:]),
        # dilation, alone and with a stride
        make((2, 2), dilation=2, bias=True),
        make((3, 2), (7, 6), dilation=(2, 3)),
        make((2, 2), (7, 7), dilation=2, stride=2, padding=1, bias=True),
        make((3, 3), (8, 7), dilation=3, stride=(2, 1), padding=((2, 1), (0, 1))),
        # groups, depthwise, depthwise with a multiplier
        make((3, 3), channels=4, outputs=2, groups=2, bias=True),
        make((2, 2), channels=4, outputs=6, groups=2, stride=2),
        make((3, 3), channels=3, outputs=3, groups=3, padding=1, bias=True),
        make((2, 3), channels=2, outputs=6, groups=2, dilation=2, padding=1),
        make((3, 3), (7, 7), channels=3, outputs=6, groups=3, stride=2, dilation=2, padding=2),
        make((1, 1), channels=4, outputs=4, groups=4, stride=2),
        # sizes at the edge
        make((3, 3), (3, 3), bias=True),
        make((2, 2), (3, 3), stride=2, channels=1, outputs=1),
        make((2, 2), (1, 1), padding=1, bias=True),
        make((1, 3), (1, 8), batch=1),
        make((3, 1), (8, 1), batch=1, bias=True),
        make((2, 2), batch=0, bias=True),
        make((3, 3), batch=5, channels=1, outputs=1),
        make((2, 2), (4, 4), channels=9, outputs=2, bias=True),
    ]


def _pooling(window: tuple[int, int], shape: tuple[int, ...] = (2, 2, 6, 5), **keywords: Any) -> Geometry:
    name = _name(window, keywords)
    if shape != (2, 2, 6, 5):
        name += f"-{'x'.join(map(str, shape))}"
    return Geometry(name, {"X": shape}, {"pool_size": window, **keywords})


def _poolings() -> list[Geometry]:
    make = _pooling
    words = ("same_upper", "same_lower", "chapter")
    return [
        # windows and ranks
        *(make(window) for window in ((1, 1), (2, 2), (3, 2), (1, 4), (6, 5))),
        make((2, 2), (6, 5)),
        make((3, 3), (2, 6, 5), stride=2, padding=1),
        make((2, 3), (0, 2, 6, 5)),
        make((2, 2), (1, 5, 3, 3)),
        # strides: none written is the window, gaps between windows
        make((2, 2), stride=None),
        make((3, 3), stride=2),
        make((2, 3), stride=(3, 1)),
        make((1, 1), stride=2),
        # padding, counted or not
        make((3, 3), padding=1),
        make((3, 3), padding=1, count_include_pad=False),
        make((3, 2), padding=((2, 0), (0, 1)), stride=2),
        make((3, 2), padding=((0, 1), (1, 0)), stride=2, count_include_pad=False),
        *(make((3, 3), padding=word, stride=2) for word in words),
        *(make((2, 4), padding=word, count_include_pad=False) for word in words),
        # ceil mode: windows that stick out, and one that would start outside and is dropped
        make((2, 2), stride=2, ceil_mode=True),
        make((3, 3), stride=2, ceil_mode=True),
        make((3, 3), stride=2, padding=1, ceil_mode=True),
        make((3, 3), stride=2, padding=1, ceil_mode=True, count_include_pad=False),
        make((1, 1), (2, 2, 4, 4), stride=2, ceil_mode=True),
        make((2, 2), (2, 2, 5, 5), stride=3, padding=1, ceil_mode=True),
        make((3, 3), (1, 1, 2, 2), stride=2, ceil_mode=True),
        make((3, 2), stride=(2, 3), padding=((1, 0), (0, 1)), ceil_mode=True, count_include_pad=False),
        # dilation
        make((2, 2), dilation=2),
        make((3, 2), (2, 2, 7, 6), dilation=(2, 3), stride=2, padding=1),
        make((2, 2), dilation=2, padding=1, stride=2, ceil_mode=True),
        make((3, 3), (2, 2, 7, 7), dilation=2, padding=2, count_include_pad=False),
    ]


def _matrices() -> dict[str, list[Geometry]]:
    """Return the chapters' functions of one image, which have no keywords."""
    sizes = (((3, 3), (2, 2)), ((6, 8), (1, 2)), ((5, 4), (3, 3)), ((4, 4), (4, 4)), ((1, 5), (1, 1)))
    found: dict[str, list[Geometry]] = {
        "corr2d": [],
        "corr2d_multi_in": [],
        "corr2d_multi_in_out": [],
        "corr2d_multi_in_out_1x1": [],
    }
    for size, kernel in sizes:
        name = f"{size[0]}x{size[1]}-{kernel[0]}x{kernel[1]}"
        found["corr2d"].append(Geometry(name, {"X": size, "K": kernel}, {}))
        found["corr2d_multi_in"].append(Geometry(name, {"X": (2, *size), "K": (2, *kernel)}, {}))
        found["corr2d_multi_in_out"].append(Geometry(name, {"X": (3, *size), "K": (2, 3, *kernel)}, {}))
        found["corr2d_multi_in_out_1x1"].append(Geometry(name[:3] + "-1x1", {"X": (3, *size), "K": (2, 3, 1, 1)}, {}))
    return found


# --------------------------------------------------------------------------- all of them

_FORMATS = ("NCHW", "NHWC")
_WIDE = {"float32": "whole spread", "float64": "whole spread"}
_HALVES = {"float16": "whole spread", "bfloat16": "whole spread"}


def _all() -> Iterator[Case]:
    convolutions, poolings = _convolutions(), _poolings()
    for number, geometry in enumerate(convolutions):
        yield from _cases("conv2d", geometry, _FORMATS, {"float32": "whole spread special", "float64": "whole spread"})
        if number % 3 == 0:
            yield from _cases("conv2d", geometry, _FORMATS[:1], {**_HALVES, "int64": "whole"})
    for number, geometry in enumerate(poolings):
        formats = _FORMATS if len(geometry.shapes["X"]) > 2 else _FORMATS[:1]
        for mode in ("max", "avg"):
            named = geometry._replace(name=f"{mode}-{geometry.name}", keywords={**geometry.keywords, "mode": mode})
            numbers = {"float32": "whole spread negative special", "float64": "whole spread"}
            yield from _cases("pool2d", named, formats, numbers)
            if number % 3 == 0:
                yield from _cases("pool2d", named, formats[:1], {**_HALVES, "int64": "whole"})
    for geometry in convolutions:
        yield from _cases("conv2d_vjp", geometry, _FORMATS, _WIDE)
    for geometry in poolings:
        formats = _FORMATS if len(geometry.shapes["X"]) > 2 else _FORMATS[:1]
        for mode in ("max", "avg"):
            named = geometry._replace(name=f"{mode}-{geometry.name}", keywords={**geometry.keywords, "mode": mode})
            yield from _cases("pool2d_vjp", named, formats, _WIDE)
    for function, geometries in _matrices().items():
        for geometry in geometries:
            for name in (function, f"chapter.{function}"):
                yield from _cases(name, geometry, _FORMATS[:1], _WIDE)
            if function == "corr2d":
                yield from _cases("convolve2d", geometry, _FORMATS[:1], _WIDE)
                yield from _cases("chapter.corr2d_vjp", geometry, _FORMATS[:1], _WIDE)
    for size, window in (((3, 3), (2, 2)), ((5, 4), (3, 2)), ((4, 4), (4, 4)), ((1, 5), (1, 1))):
        for mode in ("max", "avg"):
            name = f"{mode}-{size[0]}x{size[1]}-{window[0]}x{window[1]}"
            geometry = Geometry(name, {"X": size}, {"pool_size": window, "mode": mode})
            yield from _cases("chapter.pool2d", geometry, _FORMATS[:1], _WIDE)


def _large() -> Iterator[Case]:
    """Yield cases that an engine for many numbers may compute in "fast"."""
    make = partial(_convolution, batch=1, channels=64, outputs=64)
    some = {"float32": "whole spread"}
    for geometry in (make((3, 3), (34, 34), bias=True), make((3, 3), (28, 28), padding=((1, 1), (2, 0)), batch=2)):
        yield from _cases("conv2d", geometry, _FORMATS, _WIDE)
    for geometry in (
        make((3, 3), (28, 28), padding="same_upper", channels=128, outputs=128, groups=2),
        make((5, 5), (30, 32), padding=1),
        make((7, 7), (30, 30), padding=((3, 3), (3, 2))),
    ):
        yield from _cases("conv2d", geometry, _FORMATS[:1], some)
    filters = _convolution((27, 28), (155, 160), batch=1, channels=1, outputs=1)
    yield from _cases("conv2d", filters, _FORMATS[:1], some)
    # what such an engine must leave to others
    for geometry in (make((3, 3), (41, 41), stride=2), make((3, 3), (24, 24), dilation=2), make((3, 2), (34, 33))):
        yield from _cases("conv2d", geometry, _FORMATS[:1], some)
    matrix = Geometry("64x34x34-3x3", {"X": (64, 34, 34), "K": (64, 64, 3, 3)}, {})
    yield from _cases("corr2d_multi_in_out", matrix, _FORMATS[:1], some)


def lattice(keep: Callable[[Case], bool] | None = None, *, precision: str = "exact") -> list[Case]:
    """Return the fixed cases.

    Parameters
    ----------
    keep : callable, optional
        Which of them; default: all.
    precision : {"exact", "fast"}
        In "fast" there are some more, large enough for engines that pay only
        then.

    Returns
    -------
    list of Case
        Each with a name of its own, in a fixed order.

    Examples
    --------
    >>> cases = lattice()
    >>> len(cases) > 2000, len({case.name for case in cases}) == len(cases)
    (True, True)
    >>> cases[0].name
    'conv2d/1x1/NCHW/float32/whole'
    """
    every = chain(_all(), _large()) if precision == "fast" else _all()
    return [case for case in every if keep is None or keep(case)]
