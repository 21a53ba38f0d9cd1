"""A little language for stacks of layers: what size comes out, and how far it sees.

``conv 11 s4 p2 | pool 3 s2`` is a stack of two layers. The words of a layer,
in any order after its kind and its kernel:

=============  ==============================================================
``conv K``     convolution; the kernel is ``K`` or ``HxW``
``pool K``     max pooling, also ``maxpool``; the stride is the window unless
               ``s`` says otherwise
``avgpool K``  average pooling, the same otherwise
``sN``         stride, ``N`` or ``HxW``
``pN``         padding: ``N`` on all sides, ``HxW``, or with both ends of an
               axis ``TOP:BOTTOMxLEFT:RIGHT``
``pWORD``      ``psame``, ``psame_lower``, ``pchapter``, ``pvalid``
``dN``         dilation, ``N`` or ``HxW``
``cN``         output channels (convolution only)
``gN``         groups (convolution only)
``ceil``       ceil mode (pooling only)
``N * conv``   the same layer N times
=============  ==============================================================

Layers are separated by ``|`` or ``;``, or stand on lines of their own. What may live here:
the parser, and the walk through the stack with the arithmetic of
:mod:`convbridge.geometry`; no printing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from convbridge.errors import ArgumentError, ConvbridgeError, received
from convbridge.geometry import (
    PADDING_WORDS,
    Pair,
    ReceptiveField,
    check_pool_padding,
    integer,
    output_shape,
    pair,
    receptive_field,
    same_padding,
    window_size,
)

__all__ = ["Layer", "Step", "Walk", "parse", "parse_padding_text", "parse_size", "walk"]

#: More layers than any network has; beyond it a repetition is a slip of the pen.
MOST_LAYERS = 1000

#: A receptive field or a jump beyond this many pixels is no longer about images.
FARTHEST = 2**63

Sides = tuple[Pair, Pair]


class Layer(NamedTuple):
    """One layer as it was written.

    Attributes
    ----------
    text : str
        Its words, with single spaces.
    position : int
        Where it starts in the stack's text, counted from 1.
    kind : {"conv", "pool"}
    mode : {"", "max", "avg"}
        Of pooling.
    kernel_size, stride, dilation : (int, int)
    padding : ((int, int), (int, int)) or str
    ceil_mode : bool
    channels : int or None
        Output channels, where the text names them.
    groups : int
        Of a convolution.
    """

    text: str
    position: int
    kind: str
    mode: str
    kernel_size: Pair
    stride: Pair
    padding: Sides | str
    dilation: Pair
    ceil_mode: bool
    channels: int | None
    groups: int


class Step(NamedTuple):
    """What holds after a layer.

    Attributes
    ----------
    layer : Layer
    padding : ((int, int), (int, int))
        What the layer's padding comes to, ((top, bottom), (left, right)).
    size : (int, int)
        Height and width of the output.
    channels : int or None
        Of the output, where they are known.
    parameters : int or None
        Weights and biases of the layer, where the channels are known.
    multiply_adds : int or None
        Products that are added up for the whole output, those with the
        padding's zeros included; pooling has none. Where the channels are known.
    field : (int, int)
        Receptive field of one output element, in input elements.
    jump : (int, int)
        Distance between the fields of two neighbours.
    start : (int, int)
        Row and column where the first element's field starts.
    """

    layer: Layer
    padding: Sides
    size: Pair
    channels: int | None
    parameters: int | None
    multiply_adds: int | None
    field: Pair
    jump: Pair
    start: Pair


class Walk(tuple[Step, ...]):
    """An image's way through a stack of layers: the steps, one a layer.

    Attributes
    ----------
    size : (int, int)
        Of the image.
    channels : int or None
        Of the image, if they are known.
    """

    size: Pair
    channels: int | None

    def __repr__(self) -> str:
        return "\n".join(
            f"{step.layer.text}: {step.size[0]}x{step.size[1]}, sees {step.field[0]}x{step.field[1]}" for step in self
        )

    def _repr_html_(self) -> str:
        from convbridge.notebook import teaching

        return teaching.walk(self)


_PAIR = re.compile(r"(\d{1,10})(?:x(\d{1,10}))?")
_SIDES = re.compile(r"(\d{1,10})(?::(\d{1,10}))?(?:x(\d{1,10})(?::(\d{1,10}))?)?")
_REPEAT = re.compile(r"(\d{1,10})\s*\*\s*")
_FORM = "a layer is 'conv K', 'pool K' or 'avgpool K', then any of sN, pN, dN, cN, gN, ceil"

#: What a layer's text begins with, and the kind and mode that it means.
_KINDS = {"conv": ("conv", ""), "pool": ("pool", "max"), "maxpool": ("pool", "max"), "avgpool": ("pool", "avg")}


def parse_size(text: str, name: str = "size") -> Pair:
    """Read ``224`` or ``224x320``.

    Parameters
    ----------
    text : str
        Height, or height and width.
    name : str, default "size"
        What to call it in a message.

    Returns
    -------
    (int, int)

    Raises
    ------
    ArgumentError
        For any other form, and for zero.

    Examples
    --------
    >>> parse_size("224"), parse_size("224x320")
    ((224, 224), (224, 320))
    """
    found = _PAIR.fullmatch(text.strip().lower())
    if not found:
        raise ArgumentError(f"{name} must be a number or HEIGHTxWIDTH, such as 224 or 224x320. {received(size=text)}")
    return pair((int(found[1]), int(found[2] or found[1])), name)


def parse(text: str) -> tuple[Layer, ...]:
    """Read a stack of layers.

    Parameters
    ----------
    text : str
        As the module's docstring says.

    Returns
    -------
    tuple of Layer

    Raises
    ------
    ArgumentError, ArgumentTypeError
        Naming the layer, its number and where it stands.

    Examples
    --------
    >>> first, second = parse("conv 11 s4 p2 c96 | pool 3 s2")
    >>> first.kernel_size, first.stride, first.padding, first.channels
    ((11, 11), (4, 4), ((2, 2), (2, 2)), 96)
    >>> second.kind, second.stride
    ('pool', (2, 2))
    """
    if re.search(r"(^|[|;])\s*([|;]|$)", text):
        raise ArgumentError(f"layers must not be empty: {_FORM}. {received(layers=text)}")
    layers: list[Layer] = []
    for written, position in _pieces(text):
        try:
            repeated = _REPEAT.match(written)
            count = integer(int(repeated[1]), "repetition", 1) if repeated else 1
            layer = _parse_layer(written[repeated.end() :] if repeated else written, position)
        except ConvbridgeError as error:
            raise _located(error, len(layers) + 1, written, position) from None
        if len(layers) + count > MOST_LAYERS:
            raise ArgumentError(f"layers must be at most {MOST_LAYERS}. {received(layers=written)}")
        layers += [layer] * count
    return tuple(layers)


def _pieces(text: str) -> Iterator[tuple[str, int]]:
    """Yield every layer's text and its position; skip empty lines."""
    position = 0
    for piece in re.split(r"([|;\n])", text):
        written = piece.strip()
        if written and written not in "|;":
            yield written, position + len(piece) - len(piece.lstrip()) + 1
        position += len(piece)


def _located(error: ConvbridgeError, number: int, written: str, position: int) -> ConvbridgeError:
    """Return the same kind of error, saying which layer it is about."""
    return type(error)(f"layer {number} ({written!r}, at character {position}): {error}")


def _parse_layer(written: str, position: int) -> Layer:
    words = written.lower().split()
    name = words.pop(0)
    if name not in _KINDS:
        from difflib import get_close_matches  # only a message needs it

        near = get_close_matches(name, _KINDS, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"{_FORM}.{hint} {received(layer=written)}")
    kind, mode = _KINDS[name]
    if not words:
        raise ArgumentError(f"{name} must be followed by its kernel size, K or HxW. {received(layer=written)}")
    kernel = _read_pair(words.pop(0), "kernel_size", 1)
    fields: dict[str, Any] = {}
    for word in words:
        field, value = _read_word(word, kind)
        if field in fields:
            raise ArgumentError(f"{field} must be given once. {received(layer=written)}")
        fields[field] = value
    return Layer(
        text=" ".join([name, *written.split()[1:]]),
        position=position,
        kind=kind,
        mode=mode,
        kernel_size=kernel,
        stride=fields.get("stride", kernel if kind == "pool" else (1, 1)),
        padding=fields.get("padding", ((0, 0), (0, 0))),
        dilation=fields.get("dilation", (1, 1)),
        ceil_mode=fields.get("ceil_mode", False),
        channels=fields.get("channels"),
        groups=fields.get("groups", 1),
    )


def _read_word(word: str, kind: str) -> tuple[str, Any]:
    """Read one word after the kernel size."""
    if word == "ceil":
        if kind != "pool":
            raise ArgumentError(f"ceil is for pooling only. {received(word=word)}")
        return "ceil_mode", True
    letter, rest = word[0], word[1:].lstrip("=")
    if letter == "s":
        return "stride", _read_pair(rest, "stride", 1)
    if letter == "d":
        return "dilation", _read_pair(rest, "dilation", 1)
    if letter in "cg":
        name = {"c": "channels", "g": "groups"}[letter]
        if kind != "conv":
            raise ArgumentError(f"{name} are for convolutions only: pooling keeps channels. {received(word=word)}")
        if not re.fullmatch("[0-9]{1,10}", rest):
            raise ArgumentError(f"{name} must be a whole number. {received(word=word)}")
        return name, integer(int(rest), name, 1)
    if letter == "p":
        return "padding", parse_padding_text(rest)
    raise ArgumentError(f"{_FORM}. {received(word=word)}")


def _read_pair(text: str, name: str, minimum: int) -> Pair:
    found = _PAIR.fullmatch(text)
    if not found:
        raise ArgumentError(f"{name} must be N or HxW in whole numbers. {received(**{name: text})}")
    return pair((int(found[1]), int(found[2] or found[1])), name, minimum=minimum)


def parse_padding_text(text: str) -> Sides | str:
    """Read padding: a word, ``N``, ``HxW`` or ``TOP:BOTTOMxLEFT:RIGHT``.

    Parameters
    ----------
    text : str

    Returns
    -------
    ((int, int), (int, int)) or str
        ((top, bottom), (left, right)), or the word.

    Raises
    ------
    ArgumentError
        For any other form.

    Examples
    --------
    >>> parse_padding_text("1:2x0"), parse_padding_text("same")
    (((1, 2), (0, 0)), 'same')
    """
    if text in PADDING_WORDS:
        return text
    found = _SIDES.fullmatch(text)
    if not found:
        raise ArgumentError(
            f"padding must be N, HxW, TOP:BOTTOMxLEFT:RIGHT or one of {', '.join(PADDING_WORDS)}. "
            f"{received(padding=text)}"
        )
    top, bottom, left, right = found.groups()
    left, right = (top, bottom) if left is None else (left, right)
    numbers = [integer(int(n), "padding", 0) for n in (top, bottom or top, left, right or left)]
    return (numbers[0], numbers[1]), (numbers[2], numbers[3])


def walk(layers: tuple[Layer, ...], size: Any, channels: int | None = None) -> Walk:
    """Follow an image through a stack of layers.

    Parameters
    ----------
    layers : tuple of Layer
        From :func:`parse`.
    size : int or (int, int)
        Height and width of the image.
    channels : int, optional
        Of the image; without it the first convolution's parameters are
        unknown.

    Returns
    -------
    Walk
        A tuple of :class:`Step`, one a layer.

    Raises
    ------
    ShapeError, ArgumentError
        Naming the layer into which the image does not fit.

    Examples
    --------
    The chapter's ten layers of 5x5:

    >>> steps = walk(parse("10 * conv 5"), 240)
    >>> steps[-1].size, steps[-1].field
    ((200, 200), (41, 41))
    >>> walk(parse("conv 5 | pool 2"), 28)
    conv 5: 24x24, sees 5x5
    pool 2: 12x12, sees 6x6
    """
    image = now = pair(size, "size")
    depth = first_depth = None if channels is None else integer(channels, "channels", 1)
    seen = ReceptiveField((1, 1), (1, 1), (0, 0))
    steps = []
    for number, layer in enumerate(layers, 1):
        try:
            _check_groups(layer, depth)
            sides = _sides(layer, now)
            now = output_shape(
                now,
                layer.kernel_size,
                stride=layer.stride,
                padding=sides,
                dilation=layer.dilation,
                ceil_mode=layer.ceil_mode,
            )
        except ConvbridgeError as error:
            raise _located(error, number, layer.text, layer.position) from None
        weights = _weights(layer, depth)
        parameters = weights if not weights else weights + (layer.channels or 0)
        multiply_adds = weights if not weights else weights * now[0] * now[1]
        depth = layer.channels if layer.kind == "conv" else depth
        seen = _look_through(seen, layer, sides)
        if max(*seen.size, *seen.jump) > FARTHEST:
            raise ArgumentError(f"layers must not see farther than 2**63 pixels. {received(layers=layer.text)}")
        steps.append(Step(layer, sides, now, depth, parameters, multiply_adds, seen.size, seen.jump, seen.start))
    walked = Walk(steps)
    walked.size, walked.channels = image, first_depth
    return walked


def _look_through(seen: ReceptiveField, layer: Layer, sides: Sides) -> ReceptiveField:
    """Put one more layer on top of a stack: its own field, in the units of the stack's jump."""
    # Padding in numbers: what a word adds is known now that the image's size is.
    own = receptive_field(
        [
            {
                "kernel_size": layer.kernel_size,
                "stride": layer.stride,
                "dilation": layer.dilation,
                "padding": sides,
            }
        ]
    )
    size = [field + (window - 1) * jump for field, window, jump in zip(seen.size, own.size, seen.jump)]
    start = [first + offset * jump for first, offset, jump in zip(seen.start, own.start, seen.jump)]
    jump = [below * above for below, above in zip(seen.jump, own.jump)]
    return ReceptiveField((size[0], size[1]), (jump[0], jump[1]), (start[0], start[1]))


def _sides(layer: Layer, size: Pair) -> Sides:
    """Return a layer's padding in numbers, checked as pooling needs it."""
    if isinstance(layer.padding, str):
        sides = same_padding(size, layer.kernel_size, stride=layer.stride, dilation=layer.dilation, mode=layer.padding)
    else:
        sides = layer.padding
    if layer.kind == "pool":
        for (before, after), kernel, dilation in zip(sides, layer.kernel_size, layer.dilation):
            check_pool_padding(before, after, window_size(kernel, dilation), sides)
    return sides


def _check_groups(layer: Layer, depth: int | None) -> None:
    """Refuse groups that would not be equally large."""
    for what, channels in (("input", depth), ("output", layer.channels)):
        if channels is not None and channels % layer.groups:
            raise ArgumentError(f"groups must divide the {what} channels ({channels}). {received(groups=layer.groups)}")


def _weights(layer: Layer, depth: int | None) -> int | None:
    """Count the weights without biases; pooling has none."""
    if layer.kind == "pool":
        return 0
    if layer.channels is None or depth is None:
        return None
    return depth // layer.groups * layer.kernel_size[0] * layer.kernel_size[1] * layer.channels
