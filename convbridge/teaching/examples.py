"""The chapters' examples, as data: inputs, and the calls that compute them.

No result is written here; results come from running the calls
(:mod:`convbridge.teaching.compare`). What may live here: an example is a name,
a few arrays, and for each way to compute the same thing (the chapter's
function, the framework's layer, the framework's operator) one :class:`Call`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from convbridge.errors import ArgumentError, received

__all__ = ["AUTOGRAD", "EXAMPLES", "Call", "Example", "LayerCall", "find"]

Array = np.ndarray[Any, Any]

Kind = Literal["chapter", "layer", "operator"]


class LayerCall(NamedTuple):
    """How a layer is made.

    Attributes
    ----------
    layer : {"Conv2D", "MaxPool2D", "AvgPool2D"}
        The public name.
    window : int or (int, int)
        Its first argument: the kernel's or the window's size.
    options : mapping
        Its keywords.
    weight, bias : str
        The inputs that become its weight and its bias; "" for a layer that
        has none.
    """

    layer: str
    window: Any
    options: Mapping[str, Any] = {}
    weight: str = ""
    bias: str = ""

    @property
    def text(self) -> str:
        """The expression that makes the layer."""
        return _expression(self.layer, [repr(self.window)], self.options)


class Call(NamedTuple):
    """One way to compute an example.

    Attributes
    ----------
    kind : {"chapter", "layer", "operator"}
        The book's function, the framework's layer, or the framework's operator.
    function : str
        Its public name, in :mod:`convbridge.chapter` or :mod:`convbridge`; ""
        for a layer that is called itself, the book's or the framework's.
    inputs : tuple of str
        Names of the example's arrays, in the order of the arguments.
    options : mapping
        Further keywords.
    lift : int or tuple of int
        How many axes (channel, batch) each array needs in front; the result
        loses those of the first again.
    layer : LayerCall, optional
        The layer that is called, or that is the function's first argument.
    bias : str
        The input that is the keyword ``bias``; "" for none.
    """

    kind: Kind
    function: str
    inputs: tuple[str, ...]
    options: Mapping[str, Any] = {}
    lift: int | tuple[int, ...] = 0
    layer: LayerCall | None = None
    bias: str = ""

    @property
    def lifts(self) -> tuple[int, ...]:
        """How many axes each array needs in front."""
        return (self.lift,) * len(self.inputs) if isinstance(self.lift, int) else self.lift

    @property
    def source(self) -> str:
        """What of the chapter it runs: a function, or its layer; "" if nothing."""
        if self.kind != "chapter":
            return ""
        return self.function or (self.layer.layer if self.layer else "")

    @property
    def text(self) -> str:
        """The expression, as a reader would type it.

        Examples
        --------
        >>> Call("operator", "conv2d", ("X", "K"), {"padding": 1}, lift=2).text
        'conv2d(X[None, None], K[None, None], padding=1)[0, 0]'
        """
        arguments = [name + _axes("None", lift) for name, lift in zip(self.inputs, self.lifts)]
        where = "chapter." if self.kind == "chapter" else ""
        function = self.function
        if self.layer is not None:
            if function:
                arguments.insert(0, self.layer.text)
            else:
                function = self.layer.text
        if self.bias:
            arguments.append(f"bias={self.bias}")
        return _expression(where + function, arguments, self.options) + _axes("0", self.lifts[0])


def _axes(index: str, count: int) -> str:
    """Write an index that adds or drops leading axes."""
    return f"[{', '.join([index] * count)}]" if count else ""


def _expression(function: str, arguments: Sequence[str], options: Mapping[str, Any]) -> str:
    keywords = [f"{name}={value!r}" for name, value in options.items()]
    return f"{function}({', '.join([*arguments, *keywords])})"


class Example(NamedTuple):
    """One example of the chapters.

    Attributes
    ----------
    name : str
        What the command line calls it.
    title : str
        A line about it.
    note : str
        What there is to see, in a sentence or two.
    inputs : mapping of str to numpy.ndarray
        Integers compute as float32, as everywhere in convbridge.
    calls : tuple of Call
        They all compute the same; the last one is the operator.
    """

    name: str
    title: str
    note: str
    inputs: Mapping[str, Array]
    calls: tuple[Call, ...]

    @property
    def operator(self) -> Call:
        """The call of the framework's own operator."""
        return self.calls[-1]


# --------------------------------------------------------------------------- inputs


def _constant(array: Any) -> Array:
    """Return an array that nobody can change by accident."""
    constant: Array = np.array(array)
    constant.flags.writeable = False
    return constant


X33 = _constant(np.arange(9).reshape(3, 3))
K22 = _constant(np.arange(4).reshape(2, 2))
K22_FLIPPED = _constant(K22[::-1, ::-1])
X233 = _constant(np.stack([X33, X33 + 1]))
K222 = _constant(np.stack([K22, K22 + 1]))
K3222 = _constant(np.stack([K222, K222 + 1, K222 + 2]))
BAR = _constant(np.repeat([[1, 1, 0, 0, 0, 0, 1, 1]], 6, axis=0))
EDGE = _constant([[1, -1]])
X44 = _constant(np.arange(16).reshape(4, 4))


def _random(seed: int, *shape: int) -> Array:
    """Draw what the chapter draws at random; a seed makes it the same numbers in every run."""
    return _constant(np.random.default_rng(seed).random(shape, dtype=np.float32))


# --------------------------------------------------------------------------- the calls that recur


def _correlation(function: str) -> tuple[Call, ...]:
    """Return the chapter's function and the operator of the same name."""
    return (Call("chapter", function, ("X", "K")), Call("operator", function, ("X", "K")))


def _convolution_layer(window: Any, **options: Any) -> tuple[Call, ...]:
    """Return the chapter's comp_conv2d around a layer, and the operator."""
    layer = LayerCall("Conv2D", window, options, weight="K")
    return (
        Call("chapter", "comp_conv2d", ("X",), layer=layer),
        Call("operator", "conv2d", ("X", "K"), options, lift=2),
    )


def _biased_layer(window: Any, lift: tuple[int, int], **options: Any) -> tuple[Call, ...]:
    """Return the framework's layer with a weight and a bias, and the operator."""
    layer = LayerCall("Conv2D", window, options, weight="K", bias="b")
    return (
        Call("layer", "", ("X",), lift=lift[:1], layer=layer),
        Call("operator", "conv2d", ("X", "K"), lift=lift, bias="b"),
    )


def _pooling_layer(window: Any, *, lift: int = 2, **options: Any) -> tuple[Call, ...]:
    """Return the framework's pooling layer, and the operator."""
    stride = {} if "stride" in options else {"stride": None}
    return (
        Call("layer", "", ("X",), lift=lift, layer=LayerCall("MaxPool2D", window, options)),
        Call("operator", "pool2d", ("X",), {"pool_size": window, **stride, **options}),
    )


_LEFT_TO_LAYER = "The chapter's pool2d has no padding and no stride; it uses the framework's layer here."


EXAMPLES: tuple[Example, ...] = (
    Example(
        "corr2d",
        "Cross-correlation of a matrix with a kernel",
        "Lay K on every 2x2 window of X, multiply, add up: the first window gives 0*0 + 1*1 + 3*2 + 4*3.",
        {"X": X33, "K": K22},
        _correlation("corr2d"),
    ),
    Example(
        "layer-bias",
        "A layer: the cross-correlation with its weight, plus its bias",
        "The layer's weight is K, its bias b, which is added to every element of the output. Added to the weight "
        "instead, as one of the notes does, it would count once for each element of a window, times that element.",
        {"X": X33, "K": K22, "b": _constant(np.array([0.5], np.float32))},
        (
            Call("chapter", "", ("X",), layer=LayerCall("Conv2D", (2, 2), weight="K", bias="b")),
            *_biased_layer(2, (2, 2)),
        ),
    ),
    Example(
        "layer-bias-channels",
        "One bias for each output channel",
        "Two channels in, three channels out: three sets of kernels and three biases, not six.",
        {"X": X233, "K": K3222, "b": _constant(np.array([0.5, 1, -1], np.float32))},
        _biased_layer(2, (1, 0), in_channels=2, out_channels=3),
    ),
    Example(
        "convolution",
        "True convolution: cross-correlation with the kernel flipped both ways",
        "Deep learning calls cross-correlation convolution; mathematics flips the kernel first.",
        {"X": X33, "K": K22, "K_flipped": K22_FLIPPED},
        (Call("chapter", "corr2d", ("X", "K_flipped")), Call("operator", "convolve2d", ("X", "K"))),
    ),
    Example(
        "padding",
        "Padding: zeros around the image",
        "One row and one column of zeros on every side, so that the corners are used as often as the middle.",
        {"X": X33, "K": K22},
        _convolution_layer(2, padding=1),
    ),
    Example(
        "padding-stride",
        "Stride: the window moves by three rows and by two columns",
        "Every third row and every second column of the padded example.",
        {"X": X33, "K": K22},
        _convolution_layer(2, padding=1, stride=(3, 2)),
    ),
    Example(
        "edges-vertical",
        "Edge detection: from white to black is 1, from black to white is -1",
        "The kernel subtracts from each pixel its right neighbour, so only vertical edges remain.",
        {"X": BAR, "K": EDGE},
        _correlation("corr2d"),
    ),
    Example(
        "edges-horizontal",
        "The same with image and kernel transposed: horizontal edges",
        "The transposed kernel subtracts from each pixel the one below.",
        {"X": _constant(BAR.T), "K": _constant(EDGE.T)},
        _correlation("corr2d"),
    ),
    Example(
        "edges-transposed",
        "The transposed image with the same kernel: nothing",
        "This kernel looks along the rows alone, and no row of the transposed image changes.",
        {"X": _constant(BAR.T), "K": EDGE},
        _correlation("corr2d"),
    ),
    Example(
        "edges-diagonal",
        "A diagonal line",
        "A diagonal changes along every row: 1 on the line, -1 to the left of it.",
        {"X": _constant(np.eye(6, 8, dtype=np.int64)), "K": EDGE},
        _correlation("corr2d"),
    ),
    Example(
        "channels-in",
        "Several input channels: one kernel each, and the sum",
        "Every channel is cross-correlated with its own kernel; the results are added.",
        {"X": X233, "K": K222},
        _correlation("corr2d_multi_in"),
    ),
    Example(
        "channels-out",
        "Several output channels: one set of kernels each",
        "Three sets of kernels make three images; the first is that of channels-in.",
        {"X": X233, "K": K3222},
        _correlation("corr2d_multi_in_out"),
    ),
    Example(
        "channels-1x1",
        "A 1x1 kernel is a matrix product over the channels",
        "The chapter multiplies matrices, the operator convolves: they may differ by rounding, and by no more.",
        {"X": _random(1, 3, 3, 3), "K": _random(2, 2, 3, 1, 1)},
        (
            Call("chapter", "corr2d_multi_in_out_1x1", ("X", "K")),
            Call("chapter", "corr2d_multi_in_out", ("X", "K")),
            Call("operator", "corr2d_multi_in_out_1x1", ("X", "K")),
            Call("operator", "corr2d_multi_in_out", ("X", "K")),
        ),
    ),
    Example(
        "layer-padding",
        "A layer with a 3x3 kernel and padding 1 keeps 8x8",
        "k - 1 rows and columns of zeros in total keep the size.",
        {"X": _random(3, 8, 8), "K": _random(4, 3, 3)},
        _convolution_layer(3, padding=1),
    ),
    Example(
        "layer-padding-rectangle",
        "A 5x3 kernel with padding 2 and 1 keeps 8x8 too",
        "Height and width are padded for themselves.",
        {"X": _random(5, 8, 8), "K": _random(6, 5, 3)},
        _convolution_layer((5, 3), padding=(2, 1)),
    ),
    Example(
        "layer-stride",
        "Stride 2 halves height and width",
        "From 8x8 to 4x4.",
        {"X": _random(7, 8, 8), "K": _random(8, 3, 3)},
        _convolution_layer(3, padding=1, stride=2),
    ),
    Example(
        "layer-stride-rectangle",
        "A 3x5 kernel, padding 0 and 1, stride 3 and 4",
        "floor((8 - 3 + 0 + 3) / 3) = 2 rows and floor((8 - 5 + 2 + 4) / 4) = 2 columns.",
        {"X": _random(9, 8, 8), "K": _random(10, 3, 5)},
        _convolution_layer((3, 5), padding=(0, 1), stride=(3, 4)),
    ),
    Example(
        "pool-max",
        "Maximum pooling",
        "The largest number of every 2x2 window.",
        {"X": X33},
        (
            Call("chapter", "pool2d", ("X",), {"pool_size": (2, 2)}),
            Call("operator", "pool2d", ("X",), {"pool_size": (2, 2)}),
        ),
    ),
    Example(
        "pool-avg",
        "Average pooling",
        "The mean of every 2x2 window.",
        {"X": X33},
        (
            Call("chapter", "pool2d", ("X",), {"pool_size": (2, 2), "mode": "avg"}),
            Call("operator", "pool2d", ("X",), {"pool_size": (2, 2), "mode": "avg"}),
        ),
    ),
    Example(
        "pool-layer",
        "A pooling layer's stride is its window unless told otherwise",
        f"One 3x3 window fits. {_LEFT_TO_LAYER}",
        {"X": X44},
        _pooling_layer(3),
    ),
    Example(
        "pool-layer-stride",
        "Pooling with padding 1 and stride 2",
        _LEFT_TO_LAYER,
        {"X": X44},
        _pooling_layer(3, padding=1, stride=2),
    ),
    Example(
        "pool-layer-rectangle",
        "A 2x3 window, padding 0 and 1, stride 2 and 3",
        _LEFT_TO_LAYER,
        {"X": X44},
        _pooling_layer((2, 3), padding=(0, 1), stride=(2, 3)),
    ),
    Example(
        "pool-layer-channels",
        "Pooling keeps the channels apart",
        f"Two channels in, two channels out: nothing is added up. {_LEFT_TO_LAYER}",
        {"X": _constant(np.stack([X44, X44 + 1]))},
        _pooling_layer(3, lift=1, padding=1, stride=2),
    ),
    Example(
        "pool-layer-negative",
        "The padding of a maximum is minus infinity",
        f"Padding with zeros would return zeros for this negative image. {_LEFT_TO_LAYER}",
        {"X": _constant(X44 - 20)},
        _pooling_layer(3, padding=1, stride=2),
    ),
)


#: The one example that is not about what calls return but about differentiating
#: them; :mod:`convbridge.teaching.autograd` runs it.
AUTOGRAD = Example(
    "autograd",
    "Differentiating the listing, the loop, the operator",
    "The gradients of the sum of corr2d(X, K). The book's listing assigns to the elements of Y, which each framework "
    "takes in its own way; the library's loop and the framework's operator must return the same gradients.",
    {"X": X33, "K": K22},
    (),
)


def find(names: Sequence[str] = (), among: tuple[Example, ...] = EXAMPLES) -> tuple[Example, ...]:
    """Return examples by name, or all of them.

    Parameters
    ----------
    names : sequence of str, optional
        Names, or the beginning of several up to a hyphen: "edges" is all
        examples about edges. Default: every example.
    among : tuple of Example, optional
        Where to look.

    Returns
    -------
    tuple of Example
        Each once, in the order of the chapters.

    Raises
    ------
    ArgumentError
        For an unknown name, with the nearest one.

    Examples
    --------
    >>> [example.name for example in find(["pool-max", "corr2d"])]
    ['corr2d', 'pool-max']
    >>> len(find(["edges"]))
    4
    """
    if not names:
        return among
    wanted = set()
    for name in names:
        fitting = [example.name for example in among if example.name == name]
        fitting = fitting or [example.name for example in among if example.name.startswith(f"{name}-")]
        if not fitting:
            from difflib import get_close_matches  # only a message needs it

            known = [example.name for example in among]
            near = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ArgumentError(f"example must be one of {', '.join(known)}.{hint} {received(example=name)}")
        wanted.update(fitting)
    return tuple(example for example in among if example.name in wanted)
