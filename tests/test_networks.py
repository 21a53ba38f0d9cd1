"""The networks of the book as stacks: the sizes that it prints, and parameters counted by hand."""

from __future__ import annotations

import pytest

from convbridge.errors import ArgumentError
from convbridge.geometry import receptive_field
from convbridge.teaching import stack
from convbridge.teaching.networks import NETWORKS, find, names

#: Heights (and widths) after each layer, as the book prints them block by block.
SIZES = {
    "one-layer": [2],
    "two-layers": [2, 1],
    "ten-layers": [236, 232, 228, 224, 220, 216, 212, 208, 204, 200],
    "lenet": [28, 14, 10, 5],
    "alexnet": [54, 26, 26, 12, 12, 12, 12, 5],
    "vgg11": [224, 112, 112, 56, 56, 56, 28, 28, 28, 14, 14, 14, 7],
    "nin": [54, 54, 54, 26, 26, 26, 26, 12, 12, 12, 12, 5, 5, 5, 5, 1],
    "googlenet": [48, 24, 24, 24, 12],
    "resnet18": [112, 56, *[56] * 4, *[28] * 4, *[14] * 4, *[7] * 4, 1],
    "densenet": [48, 24],
}

#: Weights and biases of all layers.
PARAMETERS = {
    "two-layers": 2 * (4 + 1),
    "lenet": (25 + 1) * 6 + (25 * 6 + 1) * 16,
    "googlenet": (49 + 1) * 64 + (64 + 1) * 64 + (64 * 9 + 1) * 192,
    # of the convolutions of a VGG-11 for colour images, less two input channels
    "vgg11": 9_220_480 - 2 * 9 * 64,
}

FIELDS = {"one-layer": 2, "two-layers": 3, "ten-layers": 41, "lenet": 16, "alexnet": 195, "vgg11": 150, "densenet": 11}


def walk(name):
    network = find(name)
    return stack.walk(stack.parse(network.layers), network.size, network.channels)


@pytest.mark.parametrize("name", names())
def test_sizes_are_those_of_the_book(name):
    steps = walk(name)
    assert [step.size for step in steps] == [(size, size) for size in SIZES[name]]
    assert all(step.parameters is not None for step in steps)
    layers = [
        {
            "kernel_size": step.layer.kernel_size,
            "stride": step.layer.stride,
            "dilation": step.layer.dilation,
            "padding": step.padding,
        }
        for step in steps
    ]
    assert receptive_field(layers).size == steps[-1].field


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    assert sum(step.parameters for step in walk(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", FIELDS)
def test_fields(name):
    assert walk(name)[-1].field == (FIELDS[name], FIELDS[name])


def test_names():
    assert set(SIZES) == set(names()) == {network.name for network in NETWORKS}
    assert len(names()) == len(NETWORKS)
    assert find(" VGG11 ").title == "VGG-11"
    with pytest.raises(ArgumentError, match=r"name must be one of .*lenet.*Received: name='vgg12'"):
        find("vgg12")
