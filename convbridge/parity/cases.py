"""Random calls that every backend must answer alike.

A :class:`Case` is one call of one public function: its operands, each with a
dtype, a memory layout and a form (NumPy array, nested lists, or a tensor of
the framework under test), and its keywords. Every case is legal and can be
built again from two integers, a seed and a number, so a failure is reported
as those two.

What the draws cover: every function of :mod:`convbridge.functional`; strides,
dilations and kernels that differ along the axes; padding in every form and
word; groups up to depthwise with a channel multiplier; both data formats;
batches of zero; every dtype, mixed ones included; memory that is transposed,
reversed, strided, unaligned, of foreign byte order or read-only; NaN and
infinities; ties; numbers spread over six orders of magnitude; integers that
must come out exactly.

Calls of the gradients are drawn in :mod:`convbridge.parity.gradient_cases`,
with the draws of this file and the same :class:`Case`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count as count_from
from typing import Any, NamedTuple

import numpy as np

from convbridge.parity import oracle

__all__ = ["Case", "Operand", "draw_conv2d", "draw_operands", "draw_pool2d", "random_case", "random_cases"]

Array = np.ndarray[Any, Any]
Generator = np.random.Generator

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int64", "int32", "uint8", "bool", "int8", "int16", "uint16", "uint32")
FUNCTIONS = ("corr2d", "convolve2d", "corr2d_multi_in", "corr2d_multi_in_out", "corr2d_multi_in_out_1x1")
#: What a function returns, where that is not one result, Y.
RESULTS = {"conv2d_vjp": ("dX", "dW", "db"), "pool2d_vjp": ("dX",), "chapter.corr2d_vjp": ("dX", "dW")}


class Operand(NamedTuple):
    """One array argument.

    Attributes
    ----------
    values : numpy.ndarray
        Contiguous, in native byte order; bfloat16 is held as float32.
    dtype : str
        As NumPy spells it.
    layout : str
        A key of :data:`LAYOUTS`, or "list".
    native : bool
        Whether the call gets a tensor of the framework under test.
    """

    values: Array
    dtype: str
    layout: str
    native: bool

    def build(self, backend: str) -> Any:
        """Return the argument itself, new at every call.

        Parameters
        ----------
        backend : str
            Whose tensor, if it is to be one.

        Returns
        -------
        object
            A NumPy array in this layout, nested lists, or a tensor.
        """
        if self.layout == "list":
            return self.values.tolist()
        array = LAYOUTS[self.layout](self.values)
        if not self.native:
            return array
        from convbridge.functional import asarray

        return asarray(array, dtype=self.dtype, backend=backend)


class Case(NamedTuple):
    """One call.

    Attributes
    ----------
    seed, number : int
        From which :func:`random_case`, or the draw of a gradient, draws it again.
    function : str
        Its name in :mod:`convbridge`; "chapter.corr2d" is the chapter's.
    operands : mapping
        Argument name to :class:`Operand`, in the order of the signature.
    keywords : mapping
        The other arguments, as a caller would write them.
    dtype : str
        Of the computation and of the result.
    label : str
        The name of a case that was not drawn.
    """

    seed: int
    number: int
    function: str
    operands: Mapping[str, Operand]
    keywords: Mapping[str, Any]
    dtype: str
    label: str = ""

    @property
    def name(self) -> str:
        """What tells the case from all others, and finds it again."""
        return self.label or f"{'gradient' if self.kind == 'gradient' else 'random'}:{self.seed}:{self.number}"

    @property
    def kind(self) -> str:
        """Whether it asks for a "value" or for a "gradient"."""
        return "gradient" if self.function.endswith("_vjp") else "value"

    @property
    def implementation(self) -> str:
        """Who is called: the "chapter" or the "native" operator."""
        return "chapter" if self.function.startswith("chapter.") else "native"

    @property
    def base_function(self) -> str:
        """The function's name without the chapter in front and the gradient behind."""
        return self.function.removeprefix("chapter.").removesuffix("_vjp")

    @property
    def operation(self) -> str:
        """The backend's operator behind the function, as its table of gaps names it."""
        return f"{self.keywords['mode']}_pool2d" if self.base_function == "pool2d" else "conv2d"

    @property
    def results(self) -> tuple[str, ...]:
        """The names of what the function returns."""
        return RESULTS.get(self.function, ("Y",))

    def gap(self, unsupported: Mapping[str, str]) -> str | None:
        """Look the case up in a backend's table of known gaps.

        Parameters
        ----------
        unsupported : mapping
            ``SPEC.unsupported`` of the backend.

        Returns
        -------
        str or None
            The reason why the backend must refuse the case.
        """
        # in the order in which a call meets them: tensors are made first
        wanted = [f"asarray[{operand.dtype}]" for operand in self.operands.values() if operand.native]
        wanted += [self.operation, f"{self.operation}[{self.dtype}]"]
        return next((unsupported[key] for key in wanted if key in unsupported), None)

    def arguments(self, backend: str) -> dict[str, Any]:
        """Build the array arguments, new at every call.

        Parameters
        ----------
        backend : str
            The backend under test.

        Returns
        -------
        dict
        """
        return {name: operand.build(backend) for name, operand in self.operands.items()}

    def call(self, backend: str, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
        """Run the case.

        Parameters
        ----------
        backend : str
            Who computes.
        arguments : mapping
            From :meth:`arguments`.

        Returns
        -------
        tuple of array
            Of the backend, one for each of :attr:`results`.
        """
        import convbridge

        if self.function == "chapter.corr2d_vjp":
            return _differentiated_loop(backend, arguments)
        if self.function == "conv2d_vjp":
            arguments = {"bias": None, **arguments}
        module: Any = convbridge.chapter if self.implementation == "chapter" else convbridge
        function: Callable[..., Any] = getattr(module, self.function.removeprefix("chapter."))
        returned = function(**arguments, **self.keywords, backend=backend)
        return returned if isinstance(returned, tuple) else (returned,)

    def exact_operands(self) -> dict[str, Array]:
        """Return the operands as the dtype of the computation holds them.

        Returns
        -------
        dict
            Argument name to array, for the oracle.
        """
        return {name: oracle.round_to(operand.values, self.dtype) for name, operand in self.operands.items()}

    def __str__(self) -> str:
        operands = (
            f"{name}={operand.dtype}{list(operand.values.shape)} {operand.layout}{' tensor' if operand.native else ''}"
            for name, operand in self.operands.items()
        )
        keywords = (f"{name}={value!r}" for name, value in self.keywords.items())
        return f"{self.function}({', '.join((*operands, *keywords))}) in {self.dtype}"


def _differentiated_loop(backend: str, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
    """Differentiate the sum of the chapter's cross-correlation by the framework's own autograd."""
    from convbridge import chapter, registry
    from convbridge.errors import UnsupportedOperationError, received

    listing = registry.load(backend).listing
    if listing is None:
        raise UnsupportedOperationError(
            f"The backend says nothing about autograd: it has no listing.py. {received(backend=backend)}"
        )
    X, K = (np.asarray(arguments[name]) for name in ("X", "K"))
    return tuple(listing.differentiate(lambda x, k: chapter.corr2d(x, k, backend=backend), X, K))


# --------------------------------------------------------------------------- memory layouts


def _transposed(values: Array) -> Array:
    return np.swapaxes(values, 0, -1).copy().swapaxes(0, -1)


def _reversed(values: Array) -> Array:
    flipped = tuple(slice(None, None, -1) for _ in values.shape)
    return values[flipped].copy()[flipped]


def _strided(values: Array) -> Array:
    # what lies between the elements must not be read: make it conspicuous
    wide = np.full([2 * n for n in values.shape], np.array(111).astype(values.dtype))
    view = wide[tuple(slice(None, None, 2) for _ in values.shape)]
    view[...] = values
    return view


def _unaligned(values: Array) -> Array:
    memory = np.empty(values.nbytes + 1, np.uint8)
    view: Array = memory[1:].view(values.dtype).reshape(values.shape)
    view[...] = values
    return view


def _read_only(values: Array) -> Array:
    array = values.copy()
    array.flags.writeable = False
    return array


#: How an operand may lie in memory: name to a function that copies it there.
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": np.array,
    "fortran": lambda values: np.array(values, order="F"),
    "transposed": _transposed,
    "reversed": _reversed,
    "strided": _strided,
    "unaligned": _unaligned,
    "big-endian": lambda values: values.astype(values.dtype.newbyteorder(">")),
    "read-only": _read_only,
}


# --------------------------------------------------------------------------- draws


def _choice(rng: Generator, options: Any, weights: Any = None) -> Any:
    return options[rng.choice(len(options), p=weights)]


def _number(rng: Generator, value: int) -> Any:
    """Write an integer as a caller may: now and then it comes out of NumPy."""
    return np.int64(value) if rng.random() < 0.1 else value


def _pair(rng: Generator, values: tuple[int, int]) -> Any:
    """Write a pair in one of its forms."""
    if values[0] == values[1] and rng.random() < 0.7:
        return _number(rng, values[0])
    forms: tuple[Callable[[tuple[int, int]], Any], ...] = (tuple, list, np.array)
    return _choice(rng, forms, [0.8, 0.1, 0.1])(values)


def _draw_pair(rng: Generator, low: int, high: int, one: float) -> tuple[int, int]:
    """Draw two numbers, both ``low`` with probability ``one``, equal half of the remaining time."""
    if rng.random() < one:
        return low, low
    first, second = (int(n) for n in rng.integers(low, high + 1, 2))
    return (first, first) if rng.random() < 0.5 else (first, second)


def _padding(rng: Generator, limits: tuple[int, int]) -> Any:
    """Draw a padding in any form; no number exceeds the limit of its axis."""
    form = rng.random()
    if form < 0.2:
        return 0
    if form < 0.45:
        word = _choice(rng, ("valid", "same", "same_upper", "same_lower", "chapter"))
        return _choice(rng, (str.lower, str.upper, str.title))(word)
    height, width = (int(limit) + 1 for limit in limits)
    if form < 0.6:
        return _number(rng, int(rng.integers(0, min(height, width))))
    if form < 0.75:
        return _pair(rng, (int(rng.integers(0, height)), int(rng.integers(0, width))))
    top, bottom = (int(n) for n in rng.integers(0, height, 2))
    left, right = (int(n) for n in rng.integers(0, width, 2))
    return _choice(rng, (((top, bottom), (left, right)), [[top, bottom], [left, right]]))


def _spans(kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    return dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1


def _is_legal(
    size: tuple[int, int],
    span: tuple[int, int],
    stride: tuple[int, int],
    padding: Any,
    ceil_mode: bool = False,
    *,
    pooling: bool = False,
) -> bool:
    """Tell whether at least one window fits, and pooling's padding is smaller than it."""
    ends = oracle.sides(padding, size, span, stride)
    for axis in (0, 1):
        if pooling and max(ends[axis]) >= span[axis]:
            return False
        if oracle.output_size(size[axis], span[axis], stride[axis], ends[axis], ceil_mode) < 1:
            return False
    return True


def _values(rng: Generator, shape: tuple[int, ...], dtype: str, whole: bool, special: float) -> Array:
    """Draw numbers of a dtype.

    Whole numbers are few and small, so that sums stay exact and maxima tie.
    Others are normal, half the time spread over six orders of magnitude (two
    for float16, whose range is short). ``special`` is the probability of NaN
    and of each infinity, an element at a time.
    """
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype in INTEGERS:
        low = 0 if dtype.startswith("u") else -4
        return rng.integers(low, 5, shape).astype(dtype)
    if whole:
        numbers = rng.integers(-4, 5, shape).astype(np.float64)
    else:
        numbers = rng.standard_normal(shape)
        if rng.random() < 0.5:
            decades = 1 if dtype == "float16" else 3
            numbers = numbers * 10.0 ** rng.uniform(-decades, decades, shape)
        if rng.random() < 0.2:
            numbers = -np.abs(numbers)  # zeros of a padding that should be minus infinity stand out
    if special:
        where = rng.random(shape)
        for number, value in enumerate((np.nan, np.inf, -np.inf)):
            numbers = np.where((where >= number * special) & (where < (number + 1) * special), value, numbers)
    return oracle.round_to(np.asarray(numbers), dtype)


def draw_operands(
    rng: Generator, shapes: Mapping[str, tuple[int, ...]], special_in: tuple[str, ...] = ("X",)
) -> tuple[dict[str, Operand], str]:
    """Draw the array arguments and work out the dtype of the computation.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.
    shapes : mapping
        Argument name to shape.
    special_in : tuple of str, default ("X",)
        The arguments that may hold NaN and infinities: a few special pixels, no
        special kernels, or nothing finite would be left to compare.

    Returns
    -------
    operands : dict
        Argument name to :class:`Operand`.
    dtype : str
        Of the computation.

    Examples
    --------
    >>> operands, dtype = draw_operands(np.random.default_rng(0), {"X": (2, 3)})
    >>> operands["X"].values.shape
    (2, 3)
    """
    main = _choice(rng, (*FLOATS, "integer"), [0.45, 0.3, 0.08, 0.05, 0.12])
    mixed = rng.random() < 0.1
    whole = rng.random() < 0.4
    special = 0.0 if rng.random() < 0.75 else _choice(rng, (0.01, 0.05, 0.3))
    tensors = rng.random() < 0.4
    operands: dict[str, Operand] = {}
    for name, shape in shapes.items():
        drawn = _choice(rng, ("float32", "float64", "float16", "integer")) if mixed and operands else main
        dtype = _choice(rng, INTEGERS) if drawn == "integer" else drawn
        values = _values(rng, shape, dtype, whole, special if name in special_in else 0.0)
        native = dtype == "bfloat16" or (tensors and rng.random() < 0.8)
        layout = "contiguous" if rng.random() < 0.4 else _choice(rng, tuple(LAYOUTS))
        if not native and values.size and dtype in ("float64", "int64", "bool") and rng.random() < 0.15:
            layout = "list"
        operands[name] = Operand(values, dtype, layout, native)
    floats = {"float32" if operand.dtype in INTEGERS else operand.dtype for operand in operands.values()}
    dtype = floats.pop() if len(floats) == 1 else "float64" if "float64" in floats else "float32"
    return operands, dtype


def draw_conv2d(rng: Generator) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """Draw the shapes and the keywords of a convolution.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.

    Returns
    -------
    shapes : dict
        Of X, weight and, half the time, bias.
    keywords : dict
        In every form in which a caller may write them.

    Examples
    --------
    >>> shapes, keywords = draw_conv2d(np.random.default_rng(0))
    >>> len(shapes["X"]), sorted(keywords)
    (4, ['data_format', 'dilation', 'groups', 'padding', 'stride'])
    """
    while True:
        size = tuple(int(n) for n in rng.integers(1, 13, 2))
        kernel = _draw_pair(rng, 1, 5, 0.1)
        stride, dilation = _draw_pair(rng, 1, 4, 0.4), _draw_pair(rng, 1, 3, 0.6)
        padding = _padding(rng, (4, 4))
        if _is_legal((size[0], size[1]), _spans(kernel, dilation), stride, padding):
            break
    groups = int(_choice(rng, (1, 2, 3, 4), [0.6, 0.2, 0.1, 0.1]))
    per_group = int(rng.integers(1, 4)) if rng.random() < 0.6 else 1  # with groups: depthwise
    out_channels = groups * int(rng.integers(1, 4))
    batch = int(_choice(rng, (0, 1, 2, 3, 4), [0.04, 0.4, 0.3, 0.16, 0.1]))
    data_format = _choice(rng, ("NCHW", "NHWC"))
    channels = groups * per_group
    image = (batch, channels, *size) if data_format == "NCHW" else (batch, *size, channels)
    shapes: dict[str, tuple[int, ...]] = {"X": image, "weight": (out_channels, per_group, *kernel)}
    if rng.random() < 0.5:
        shapes["bias"] = (out_channels,)
    keywords = {
        "stride": _pair(rng, stride),
        "padding": padding,
        "dilation": _pair(rng, dilation),
        "groups": _number(rng, groups),
        "data_format": data_format,
    }
    return shapes, keywords


def draw_pool2d(rng: Generator) -> tuple[dict[str, tuple[int, ...]], dict[str, Any]]:
    """Draw the shape and the keywords of a pooling.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the draws come from.

    Returns
    -------
    shapes : dict
        Of X, which has two, three or four axes.
    keywords : dict
        In every form in which a caller may write them; pool_size is one.

    Examples
    --------
    >>> shapes, keywords = draw_pool2d(np.random.default_rng(0))
    >>> keywords["mode"] in ("max", "avg"), list(shapes)
    (True, ['X'])
    """
    while True:
        size = tuple(int(n) for n in rng.integers(1, 13, 2))
        kernel = _draw_pair(rng, 1, 5, 0.05)
        stride: tuple[int, int] | None = None if rng.random() < 0.15 else _draw_pair(rng, 1, 4, 0.3)
        dilation = _draw_pair(rng, 1, 3, 0.7)
        span = _spans(kernel, dilation)
        padding = _padding(rng, (min(span[0] - 1, 4), min(span[1] - 1, 4)))
        ceil_mode = bool(rng.random() < 0.5)
        steps = kernel if stride is None else stride
        if _is_legal((size[0], size[1]), span, steps, padding, ceil_mode, pooling=True):
            break
    data_format = _choice(rng, ("NCHW", "NHWC"))
    rank = int(_choice(rng, (2, 3, 4), [0.15, 0.15, 0.7]))
    batch, channels = int(_choice(rng, (0, 1, 2, 3, 4), [0.04, 0.4, 0.3, 0.16, 0.1])), int(rng.integers(1, 7))
    if rank == 2:
        image: tuple[int, ...] = (size[0], size[1])
    else:
        image = (channels, *size) if data_format == "NCHW" else (*size, channels)
    keywords = {
        "pool_size": _pair(rng, kernel),
        "mode": _choice(rng, ("max", "avg")),
        "stride": None if stride is None else _pair(rng, stride),
        "padding": padding,
        "dilation": _pair(rng, dilation),
        "ceil_mode": ceil_mode,
        "count_include_pad": bool(rng.random() < 0.5),
        "data_format": data_format,
    }
    return {"X": (batch, *image) if rank == 4 else image}, keywords


def _chapter(rng: Generator, function: str) -> dict[str, tuple[int, ...]]:
    """Draw the shapes of one of the chapters' functions, which have no keywords."""
    size = [int(n) for n in rng.integers(1, 13, 2)]
    kernel = [1, 1] if function.endswith("1x1") else [int(rng.integers(1, min(n, 5) + 1)) for n in size]
    if function in ("corr2d", "convolve2d"):
        return {"X": tuple(size), "K": tuple(kernel)}
    channels, outputs = (int(n) for n in rng.integers(1, 5, 2))
    leading = (channels,) if function == "corr2d_multi_in" else (outputs, channels)
    return {"X": (channels, *size), "K": (*leading, *kernel)}


def random_case(seed: int, number: int) -> Case:
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
    >>> str(random_case(0, 1)) == str(random_case(0, 1)), random_case(0, 1) is random_case(0, 1)
    (True, False)
    """
    rng = np.random.default_rng([seed, number])
    keywords: dict[str, Any] = {}
    function = _choice(rng, ("conv2d", "pool2d", *FUNCTIONS), [0.45, 0.4, *[0.03] * 5])
    if function == "conv2d":
        shapes, keywords = draw_conv2d(rng)
    elif function == "pool2d":
        shapes, keywords = draw_pool2d(rng)
    else:
        shapes = _chapter(rng, function)
    operands, dtype = draw_operands(rng, shapes)
    return Case(seed, number, function, operands, keywords, dtype)


def random_cases(count: int | None, seed: int, draw: Callable[[int, int], Case] = random_case) -> Iterator[Case]:
    """Draw legal cases.

    Parameters
    ----------
    count : int or None
        How many; None never ends.
    seed : int
        Not negative.
    draw : callable, default :func:`random_case`
        Draws a case from the seed and its number.

    Yields
    ------
    Case

    Examples
    --------
    >>> [case.number for case in random_cases(3, seed=0)]
    [0, 1, 2]
    """
    for number in count_from() if count is None else range(count):
        yield draw(seed, number)
