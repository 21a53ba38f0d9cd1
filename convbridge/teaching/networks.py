"""The chapters' stacks of layers, and the networks of the book, in the language of :mod:`convbridge.teaching.stack`.

What may live here: one entry for each network, as *Dive into Deep Learning*
builds it. A stack has no branches, so a network stands here with the path that
has none, and without its fully connected layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from convbridge.errors import ArgumentError, received

__all__ = ["NETWORKS", "Network", "find", "names"]


class Network(NamedTuple):
    """A stack of layers that has a name.

    Attributes
    ----------
    name : str
        As on the command line and in a link.
    title : str
        What it is called in every language; "" where that is not one name.
    size : (int, int)
        Height and width of the image that the book shows it.
    channels : int
        Of that image.
    layers : str
        As :func:`convbridge.teaching.stack.parse` reads it.
    """

    name: str
    title: str
    size: tuple[int, int]
    channels: int
    layers: str


def _join(*parts: str) -> str:
    return " | ".join(parts)


def _vgg_blocks(blocks: Iterable[tuple[int, int]]) -> str:
    """Write blocks of the VGG network: so many convolutions with so many channels, and a pooling that halves."""
    return _join(*(f"{count} * conv 3 p1 c{channels} | pool 2 s2" for count, channels in blocks))


def _nin_block(convolution: str, channels: int) -> str:
    """Write a block of "network in network": a convolution, and two of 1x1 that look at the channels alone."""
    return f"{convolution} c{channels} | 2 * conv 1 c{channels}"


def _residual_blocks(channels: int, first: str = "") -> str:
    """Write two residual blocks, four convolutions, without the way around them."""
    if not first:
        return f"4 * conv 3 p1 c{channels}"
    return _join(f"conv 3 {first} p1 c{channels}", f"3 * conv 3 p1 c{channels}")


#: What ResNet, DenseNet and GoogLeNet begin with: it leaves a quarter of the height and the width.
_STEM = "conv 7 s2 p3 c64 | pool 3 s2 p1"

NETWORKS: tuple[Network, ...] = (
    Network("one-layer", "", (3, 3), 1, "conv 2 c1"),
    Network("two-layers", "", (3, 3), 1, "2 * conv 2 c1"),
    Network("ten-layers", "", (240, 240), 1, "10 * conv 5 c1"),
    Network(
        "lenet",
        "LeNet",
        (28, 28),
        1,
        _join("conv 5 p2 c6", "avgpool 2 s2", "conv 5 c16", "avgpool 2 s2"),
    ),
    Network(
        "alexnet",
        "AlexNet",
        (224, 224),
        1,
        _join(
            "conv 11 s4 p1 c96",
            "pool 3 s2",
            "conv 5 p2 c256",
            "pool 3 s2",
            "2 * conv 3 p1 c384",
            "conv 3 p1 c256",
            "pool 3 s2",
        ),
    ),
    Network("vgg11", "VGG-11", (224, 224), 1, _vgg_blocks([(1, 64), (1, 128), (2, 256), (2, 512), (2, 512)])),
    Network(
        "nin",
        "NiN",
        (224, 224),
        1,
        _join(
            _nin_block("conv 11 s4", 96),
            "pool 3 s2",
            _nin_block("conv 5 p2", 256),
            "pool 3 s2",
            _nin_block("conv 3 p1", 384),
            "pool 3 s2",
            _nin_block("conv 3 p1", 10),
            "avgpool 5",
        ),
    ),
    Network("googlenet", "", (96, 96), 1, _join(_STEM, "conv 1 c64", "conv 3 p1 c192", "pool 3 s2 p1")),
    Network(
        "resnet18",
        "",
        (224, 224),
        1,
        _join(
            _STEM,
            _residual_blocks(64),
            *(_residual_blocks(channels, "s2") for channels in (128, 256, 512)),
            "avgpool 7",
        ),
    ),
    Network("densenet", "", (96, 96), 1, _STEM),
)

_BY_NAME = {network.name: network for network in NETWORKS}


def names() -> tuple[str, ...]:
    """Return the names of all networks, the chapters' examples first."""
    return tuple(_BY_NAME)


def find(name: str) -> Network:
    """Return the network of a name.

    Parameters
    ----------
    name : str
        In any case.

    Returns
    -------
    Network

    Raises
    ------
    ArgumentError
        If there is none.

    Examples
    --------
    >>> find("LeNet").layers
    'conv 5 p2 c6 | avgpool 2 s2 | conv 5 c16 | avgpool 2 s2'
    """
    try:
        return _BY_NAME[name.strip().lower()]
    except KeyError:
        raise ArgumentError(f"name must be one of {', '.join(_BY_NAME)}. {received(name=name)}") from None
