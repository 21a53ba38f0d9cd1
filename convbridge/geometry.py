"""All arithmetic on shapes, and every message about it.

Nothing here touches array values or knows a framework. A *window* is what one
output element looks at along one axis: ``dilation * (kernel - 1) + 1`` input
elements. Everything else follows from it:

* the number of outputs is the number of places where a window fits,
  ``floor((n + before + after - window) / stride) + 1``;
* padding words are rules for choosing ``before`` and ``after``;
* ceil mode is nothing but more padding at the end of an axis
  (:func:`ceil_overhang`), so no backend needs to know about it;
* a receptive field is the window of a whole stack of layers.

Sizes may also be scalars of a framework (TensorFlow inside ``tf.function``,
where an image size is known only when the graph runs), so the arithmetic that
needs a size uses operators alone.

References
----------
.. [1] V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep
   learning", arXiv:1603.07285, 2016.
.. [2] *Dive into Deep Learning*, section "Padding and Stride".
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from convbridge.errors import ArgumentError, ArgumentTypeError, ShapeError, received

__all__ = [
    "NO_PADDING",
    "PADDING_WORDS",
    "Padding",
    "Pair",
    "ReceptiveField",
    "Sides",
    "ceil_overhang",
    "check_fit",
    "output_shape",
    "output_size",
    "pair",
    "parse_padding",
    "receptive_field",
    "resolve_padding",
    "same_padding",
    "window_size",
]

Pair = tuple[int, int]

#: Integers handed to a framework stay below this: several frameworks keep
#: shape parameters in 32 bits and wrap, crash or loop beyond it.
INTEGER_LIMIT = 2**31

#: The padding words, in the order in which messages list them.
PADDING_WORDS = ("valid", "same", "same_upper", "same_lower", "chapter")


class Sides(NamedTuple):
    """Elements added around an image, one number a side."""

    top: int
    bottom: int
    left: int
    right: int


NO_PADDING = Sides(0, 0, 0, 0)


class Padding(NamedTuple):
    """What a caller asked for: four numbers, or a word that needs a size to become four."""

    sides: Sides | None
    word: str


# --------------------------------------------------------------------------- integers


def integer(value: Any, name: str, minimum: int, *, argument: Any = None) -> int:
    """Return ``value`` as an int, or say why it is none.

    Parameters
    ----------
    value : object
        Anything with ``__index__``, except bool.
    name : str
        The argument's name in the caller's signature.
    minimum : int
        The smallest value allowed.
    argument : object, optional
        The whole argument, where ``value`` is one of its elements.

    Returns
    -------
    int

    Raises
    ------
    ArgumentTypeError
        For a bool, a float, a string.
    ArgumentError
        For an integer below ``minimum`` or not below 2**31.

    Examples
    --------
    >>> integer(3, "stride", 1)
    3
    """
    shown = value if argument is None else argument
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        raise ArgumentTypeError(
            f"{name} must be made of integers, and a bool is not one here. {received(**{name: shown})}"
        )
    try:
        number = operator.index(value)
    except Exception:  # a tensor of floats may raise whatever its framework raises
        raise ArgumentTypeError(
            f"{name} must be an integer or a pair of integers (height, width). {received(**{name: shown})}"
        ) from None
    if number < minimum:
        what = "positive" if minimum == 1 else f"at least {minimum}"
        raise ArgumentError(f"{name} must be {what}. {received(**{name: shown})}")
    if number >= INTEGER_LIMIT:
        raise ArgumentError(f"{name} must be below 2**31. {received(**{name: shown})}")
    return number


def _is_sequence(value: Any) -> bool:
    """Tell a list, tuple or one-dimensional array from a scalar and from a string."""
    if isinstance(value, (str, bytes, Mapping)):
        return False
    if isinstance(value, Sequence):
        return True
    return bool(getattr(value, "ndim", 0))


def pair(value: Any, name: str, *, minimum: int = 1) -> Pair:
    """Normalise an integer, or a pair of them, to ``(height, width)``.

    Parameters
    ----------
    value : int or (int, int)
        One number stands for both axes.
    name : str
        The argument's name in the caller's signature, for the message.
    minimum : int, default 1
        The smallest value allowed.

    Returns
    -------
    (int, int)

    Raises
    ------
    ArgumentTypeError
        For bools, floats, strings.
    ArgumentError
        For a sequence of another length, or a number out of range.

    Examples
    --------
    >>> pair(3, "kernel_size")
    (3, 3)
    >>> pair((1, 2), "stride")
    (1, 2)
    """
    if type(value) is int:  # the usual call, without the general path's checks
        if minimum <= value < INTEGER_LIMIT:
            return (value, value)
    elif _is_sequence(value):
        items = tuple(value)
        if len(items) != 2:
            raise ArgumentError(
                f"{name} must be an integer or a pair of integers (height, width). {received(**{name: value})}"
            )
        return (
            integer(items[0], name, minimum, argument=value),
            integer(items[1], name, minimum, argument=value),
        )
    number = integer(value, name, minimum)
    return (number, number)


def word_argument(value: Any, name: str, allowed: tuple[str, ...]) -> str:
    """Return a word if it is allowed.

    Parameters
    ----------
    value : str
        What the caller passed.
    name : str
        The argument's name in the caller's signature, for the message.
    allowed : tuple of str
        The words.

    Returns
    -------
    str

    Raises
    ------
    ArgumentTypeError
        For anything but a string.
    ArgumentError
        For another word.

    Examples
    --------
    >>> word_argument("max", "mode", ("max", "avg"))
    'max'
    """
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} must be one of {allowed}. {received(**{name: value})}")
    if value not in allowed:
        raise ArgumentError(f"{name} must be one of {allowed}. {received(**{name: value})}")
    return value


def flag_argument(value: Any, name: str) -> bool:
    """Return a flag as a bool.

    Parameters
    ----------
    value : bool
        What the caller passed.
    name : str
        The argument's name in the caller's signature, for the message.

    Returns
    -------
    bool

    Raises
    ------
    ArgumentTypeError
        For anything but a bool, also for 0 and 1.

    Examples
    --------
    >>> flag_argument(True, "ceil_mode")
    True
    """
    if not isinstance(value, bool) and type(value).__name__ not in ("bool_", "bool"):
        raise ArgumentTypeError(f"{name} must be True or False. {received(**{name: value})}")
    return bool(value)


# --------------------------------------------------------------------------- padding


_PADDING_FORMS = (
    "padding must be n, (ph, pw), ((top, bottom), (left, right)) with integers of at least 0, or one of "
    + ", ".join(repr(word) for word in PADDING_WORDS)
)


def parse_padding(padding: Any) -> Padding:
    """Read the ``padding`` argument, without knowing the image.

    Parameters
    ----------
    padding : int, (int, int), ((int, int), (int, int)) or str
        The same number on all sides; one a height, one a width; all four
        sides; or a word, in any case.

    Returns
    -------
    Padding
        Four numbers, or the word that becomes four in
        :func:`resolve_padding`.

    Raises
    ------
    ArgumentTypeError
        For bools and floats.
    ArgumentError
        For unknown words, negative numbers, sequences of another form.

    Examples
    --------
    >>> parse_padding((2, 1)).sides
    Sides(top=2, bottom=2, left=1, right=1)
    >>> parse_padding("SAME").word
    'same_upper'
    """
    if type(padding) is int and 0 <= padding < INTEGER_LIMIT:
        return Padding(Sides(padding, padding, padding, padding), "")
    if isinstance(padding, str):
        word = padding.lower()
        if word not in PADDING_WORDS:
            raise ArgumentError(f"{_PADDING_FORMS}. {received(padding=padding)}")
        if word == "valid":
            return Padding(NO_PADDING, "")
        return Padding(None, "same_upper" if word == "same" else word)
    if not _is_sequence(padding):
        number = integer(padding, "padding", 0)
        return Padding(Sides(number, number, number, number), "")
    axes = tuple(padding)
    if len(axes) != 2:
        raise ArgumentError(f"{_PADDING_FORMS}. {received(padding=padding)}")
    nested = [_is_sequence(axis) for axis in axes]
    if not any(nested):
        height, width = (integer(axis, "padding", 0, argument=padding) for axis in axes)
        return Padding(Sides(height, height, width, width), "")
    if not all(nested) or any(len(tuple(axis)) != 2 for axis in axes):
        raise ArgumentError(f"{_PADDING_FORMS}. {received(padding=padding)}")
    top, bottom, left, right = (integer(side, "padding", 0, argument=padding) for axis in axes for side in axis)
    return Padding(Sides(top, bottom, left, right), "")


def window_size(kernel: int, dilation: int = 1) -> int:
    """Return how many input elements a kernel spans along one axis.

    Parameters
    ----------
    kernel : int
        Elements of the kernel along the axis.
    dilation : int, default 1
        Distance between two of them.

    Returns
    -------
    int
        ``dilation * (kernel - 1) + 1``.

    Examples
    --------
    >>> window_size(3, dilation=2)
    5
    """
    return dilation * (kernel - 1) + 1


def _split_same(word: str, size: Any, window: int, stride: int) -> tuple[Any, Any]:
    """Return (before, after) of one axis for a padding word.

    ``same_upper`` and ``same_lower`` keep ceil(size / stride) outputs and put
    the odd element at the end or at the start; ``chapter`` adds window - 1
    whatever the stride, the larger half at the start [2]_.
    """
    if word == "chapter" or stride == 1:
        total = window - 1
    else:
        missing = ((size + stride - 1) // stride - 1) * stride + window - size
        # max(missing, 0) without a comparison: the size may be a graph's scalar.
        total = (missing + abs(missing)) // 2
    small = total // 2
    return (small, total - small) if word == "same_upper" else (total - small, small)


def resolve_padding(padding: Padding, size: tuple[Any, Any], kernel: Pair, stride: Pair, dilation: Pair) -> Sides:
    """Turn what the caller asked for into four numbers.

    Parameters
    ----------
    padding : Padding
        From :func:`parse_padding`.
    size : (int, int)
        Height and width of the image; read only by ``same_*`` with a stride.
    kernel, stride, dilation : (int, int)
        Of the operation.

    Returns
    -------
    Sides

    Examples
    --------
    >>> resolve_padding(parse_padding("same"), (4, 4), (3, 3), (2, 2), (1, 1))
    Sides(top=0, bottom=1, left=0, right=1)
    >>> resolve_padding(parse_padding("chapter"), (4, 4), (2, 2), (1, 1), (1, 1))
    Sides(top=1, bottom=0, left=1, right=0)
    """
    if padding.sides is not None:
        return padding.sides
    top, bottom = _split_same(padding.word, size[0], window_size(kernel[0], dilation[0]), stride[0])
    left, right = _split_same(padding.word, size[1], window_size(kernel[1], dilation[1]), stride[1])
    return Sides(top, bottom, left, right)


def needs_size(padding: Padding, stride: Pair) -> bool:
    """Tell whether :func:`resolve_padding` will read the image's size.

    Parameters
    ----------
    padding : Padding
        From :func:`parse_padding`.
    stride : (int, int)
        Of the operation.

    Returns
    -------
    bool

    Examples
    --------
    >>> needs_size(parse_padding("same"), (2, 2)), needs_size(parse_padding("same"), (1, 1))
    (True, False)
    """
    return padding.sides is None and padding.word != "chapter" and stride != (1, 1)


def ceil_overhang(window: int, stride: int, after: int) -> int:
    """Return the padding at an axis' end that turns floor mode into ceil mode.

    Ceil mode keeps a last window that sticks out at the end, if it starts
    inside the image or its leading padding (PyTorch's rule). With ``m = n +
    before`` possible starts, the number of outputs is ``ceil(min(m, m + after -
    window + stride) / stride)``; floor mode gives exactly that when the end is
    padded by ``min(window - 1, after + stride - 1)``, whatever ``n`` is.

    Parameters
    ----------
    window : int
        Span of the window, see :func:`window_size`.
    stride : int
        Step between windows.
    after : int
        The padding that the caller asked for at the end; less than ``window``.

    Returns
    -------
    int
        How much to add to ``after``.

    Examples
    --------
    Four elements, windows of 3 every 2: floor mode has one, ceil mode two.

    >>> extra = ceil_overhang(window=3, stride=2, after=0)
    >>> output_size(4, 3, 2, 0, 0), output_size(4, 3, 2, 0, extra)
    (1, 2)
    """
    return min(window - 1, after + stride - 1) - after


def output_size(size: int, window: int, stride: int, before: int, after: int) -> int:
    """Count the windows that fit along one axis (0 or less: none does).

    Parameters
    ----------
    size : int
        Elements of the axis.
    window : int
        Span of the window, see :func:`window_size`.
    stride : int
        Step between windows.
    before, after : int
        Padding at the two ends.

    Returns
    -------
    int

    Examples
    --------
    >>> output_size(8, window=3, stride=2, before=1, after=1)
    4
    """
    return (size + before + after - window) // stride + 1


def check_fit(size: int, window: int, before: int, after: int, axis: str, kernel_name: str) -> None:
    """Refuse a window that is larger than the padded image.

    Parameters
    ----------
    size, window, before, after : int
        Of one axis.
    axis : str
        "height" or "width", for the message.
    kernel_name : str
        The argument that sets the window: "weight", "K", "pool_size".

    Raises
    ------
    ShapeError
        If no window fits.

    Examples
    --------
    >>> check_fit(2, 3, 0, 0, "height", "K")
    Traceback (most recent call last):
        ...
    convbridge.errors.ShapeError: K must fit into the padded input: its window is 3 along the \
height, the padded input only 2 (2 + 0 + 0). Received: window=3, input=2, padding=(0, 0)
    """
    if size + before + after < window:
        raise ShapeError(
            f"{kernel_name} must fit into the padded input: its window is {window} along the {axis}, the padded "
            f"input only {size + before + after} ({size} + {before} + {after}). "
            f"{received(window=window, input=size, padding=(before, after))}"
        )


# --------------------------------------------------------------------------- public helpers


def _image_size(size: Any, name: str) -> Pair:
    return pair(size, name, minimum=1)


def same_padding(
    size: Any, kernel_size: Any, *, stride: Any = 1, dilation: Any = 1, mode: str = "same_upper"
) -> tuple[Pair, Pair]:
    """Compute the four numbers that a padding word stands for.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the image.
    kernel_size : int or (int, int)
        Of the kernel or the pooling window.
    stride, dilation : int or (int, int), default 1
        Of the operation.
    mode : str, default "same_upper"
        Any padding word: "same" and "same_upper" (TensorFlow, ONNX: the odd
        element at the bottom and right), "same_lower" (ONNX: at the top and
        left), "chapter" (the book: dilation * (k - 1) in total whatever the
        stride, the larger half at the top and left), "valid".

    Returns
    -------
    ((int, int), (int, int))
        ``((top, bottom), (left, right))``, as :func:`convbridge.conv2d` takes it.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For sizes that are not positive integers, and for an unknown word.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Padding and Stride"; the ONNX operator
    specification for ``auto_pad``.

    Examples
    --------
    The same image and kernel, three meanings of "same":

    >>> same_padding(4, 3, stride=2)
    ((0, 1), (0, 1))
    >>> same_padding(4, 3, stride=2, mode="same_lower")
    ((1, 0), (1, 0))
    >>> same_padding(4, 3, stride=2, mode="chapter")
    ((1, 1), (1, 1))
    """
    if not isinstance(mode, str):
        raise ArgumentTypeError(f"mode must be one of {', '.join(PADDING_WORDS)}. {received(mode=mode)}")
    if mode.lower() not in PADDING_WORDS:
        raise ArgumentError(f"mode must be one of {', '.join(PADDING_WORDS)}. {received(mode=mode)}")
    sides = resolve_padding(
        parse_padding(mode),
        _image_size(size, "size"),
        pair(kernel_size, "kernel_size"),
        pair(stride, "stride"),
        pair(dilation, "dilation"),
    )
    return (sides.top, sides.bottom), (sides.left, sides.right)


def output_shape(
    size: Any,
    kernel_size: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Pair:
    """Compute the height and width that a convolution or pooling returns.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the image.
    kernel_size : int or (int, int)
        Of the kernel or the pooling window.
    stride, dilation : int or (int, int), default 1
        Of the operation.
    padding : int, pair, pair of pairs or str, default 0
        As for :func:`convbridge.conv2d`.
    ceil_mode : bool, default False
        Keep a last window that sticks out at the end (pooling only).

    Returns
    -------
    (int, int)

    Raises
    ------
    ShapeError
        If the kernel is larger than the padded image.
    ArgumentError, ArgumentTypeError
        For arguments out of range.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Padding and Stride":
    ``floor((n - k + p + s) / s)`` with ``p`` the total padding of an axis.

    Examples
    --------
    >>> output_shape(8, 3, padding=1, stride=2)
    (4, 4)
    >>> output_shape((8, 8), (3, 5), padding=(0, 1), stride=(3, 4))
    (2, 2)
    """
    kernel, steps, spread = pair(kernel_size, "kernel_size"), pair(stride, "stride"), pair(dilation, "dilation")
    image = _image_size(size, "size")
    sides = resolve_padding(parse_padding(padding), image, kernel, steps, spread)
    ends = ((sides.top, sides.bottom), (sides.left, sides.right))
    ceil_mode = flag_argument(ceil_mode, "ceil_mode")
    result = []
    for axis, n, k, s, d, (before, after) in zip(("height", "width"), image, kernel, steps, spread, ends):
        window = window_size(k, d)
        if ceil_mode:
            check_pool_padding(before, after, window, padding)
            after += ceil_overhang(window, s, after)
        check_fit(n, window, before, after, axis, "kernel_size")
        result.append(output_size(n, window, s, before, after))
    return result[0], result[1]


def check_pool_padding(before: int, after: int, window: int, padding: Any) -> None:
    """Refuse pooling padding that would fill a whole window.

    Parameters
    ----------
    before, after : int
        Padding at the two ends of an axis.
    window : int
        Span of the window along it.
    padding : object
        The argument as the caller wrote it, for the message.

    Raises
    ------
    ArgumentError
        If either end has at least ``window`` elements.

    Examples
    --------
    >>> check_pool_padding(1, 1, 3, 1)
    """
    if before >= window or after >= window:
        raise ArgumentError(
            f"padding of each side must be smaller than the pooling window ({window}). {received(padding=padding)}"
        )


class ReceptiveField(NamedTuple):
    """What one element of a feature map sees of the input.

    Attributes
    ----------
    size : (int, int)
        Height and width of the input region, in input elements.
    jump : (int, int)
        Distance between the regions of two neighbouring elements.
    start : (int, int)
        Row and column of the first element's region; negative inside padding.
    """

    size: Pair
    jump: Pair
    start: Pair

    def _repr_html_(self) -> str:
        from convbridge.notebook import teaching

        return teaching.field(self)


def _layer_geometry(layer: Any) -> tuple[Pair, Pair, Pair, Padding]:
    """Read kernel, stride, dilation and padding from a mapping, a size or a layer object."""
    if isinstance(layer, Mapping):
        unknown = set(layer) - {"kernel_size", "stride", "dilation", "padding"}
        if unknown or "kernel_size" not in layer:
            raise ArgumentError(
                "layers must hold kernel sizes, layers, or mappings with kernel_size and optionally stride, "
                f"dilation, padding. {received(layers=dict(layer))}"
            )
        fields = dict(layer)
    elif hasattr(layer, "config") and hasattr(layer.config, "kernel_size"):
        config = layer.config
        fields = {name: getattr(config, name) for name in ("kernel_size", "stride", "dilation", "padding")}
    else:
        fields = {"kernel_size": layer}
    return (
        pair(fields["kernel_size"], "kernel_size"),
        pair(fields.get("stride", 1), "stride"),
        pair(fields.get("dilation", 1), "dilation"),
        parse_padding(fields.get("padding", 0)),
    )


def receptive_field(layers: Sequence[Any]) -> ReceptiveField:
    """Compute what one output element of a stack of layers sees.

    Parameters
    ----------
    layers : sequence
        From the input upwards. Each is a kernel size (an int or a pair, with
        stride 1), a mapping with ``kernel_size`` and optionally ``stride``,
        ``dilation`` and ``padding``, or a layer of convbridge.

    Returns
    -------
    ReceptiveField
        Its size, the jump between neighbours, and where the first one starts.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For kernel sizes or strides that are not positive integers, and for
        "same" padding with a stride, whose amount depends on the image.

    Notes
    -----
    Going up one layer, the field grows by ``(window - 1) * jump`` and the jump
    is multiplied by the stride. Source: *Dive into Deep Learning*, "Feature
    Map and Receptive Field".

    Examples
    --------
    One 2x2 layer sees 2x2, two see 3x3:

    >>> receptive_field([2]).size, receptive_field([2, 2]).size
    ((2, 2), (3, 3))
    >>> receptive_field([{"kernel_size": 7, "stride": 2, "padding": 3}, {"kernel_size": 3, "stride": 2}])
    ReceptiveField(size=(11, 11), jump=(4, 4), start=(-3, -3))
    """
    if not _is_sequence(layers):
        raise ArgumentTypeError(f"layers must be a sequence, from the input upwards. {received(layers=layers)}")
    size, jump, start = [1, 1], [1, 1], [0, 0]
    for layer in layers:
        kernel, stride, dilation, padding = _layer_geometry(layer)
        if needs_size(padding, stride):
            raise ArgumentError(
                "padding of a layer with a stride must be given in numbers: what 'same' adds depends on the image. "
                f"{received(padding=padding.word)}"
            )
        sides = resolve_padding(padding, (0, 0), kernel, stride, dilation)
        for axis, before in enumerate((sides.top, sides.left)):
            start[axis] -= before * jump[axis]
            size[axis] += (window_size(kernel[axis], dilation[axis]) - 1) * jump[axis]
            jump[axis] *= stride[axis]
    return ReceptiveField((size[0], size[1]), (jump[0], jump[1]), (start[0], start[1]))
