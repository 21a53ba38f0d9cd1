"""Numbers and dtypes: precision that is lost without a word, and numbers that are too large or too small."""

from __future__ import annotations

import numpy as np

from convbridge.teaching.divergences.entry import Entry, count, ones

__all__ = ["ENTRIES"]

#: The first whole number that float32 does not have.
_BEYOND_FLOAT32 = 2.0**24 + 1

ENTRIES = (
    Entry(
        name="float64-maximum",
        title="Max pooling of float64 returns float32",
        question="The maximum of an array of float64 that holds a number float32 does not have.",
        inputs={"X": np.array([[[[_BEYOND_FLOAT32, 1], [1, 1]]]])},
        call="pool2d(X, 2)",
        why="tf.nn.max_pool2d converts an array of NumPy by its own rule, and that makes float32 of everything. "
        "tf.constant(X) would have kept the dtype, and so do tf.nn.avg_pool2d and tf.nn.conv2d, given the same array.",
        promise="Every array is converted with its dtype before an operator sees it; float64 is computed in float64.",
    ),
    Entry(
        name="array-of-float64",
        title="An array made of float64 is float32",
        question="An array of the framework, made from one of NumPy.",
        inputs={"X": np.array([_BEYOND_FLOAT32])},
        call="asarray(X)",
        why="nd.array makes float32 of everything for which no dtype is given, whatever the source holds.",
        promise="asarray keeps the dtype in every backend.",
    ),
    Entry(
        name="integers-times-floats",
        title="An image of integers times a kernel of one half is zero",
        question="The convolution of int32 with float32.",
        inputs={"X": count(1, 1, 2, 2).astype("int32"), "K": np.full((1, 1, 2, 2), 0.5, "float32")},
        call="conv2d(X, K)",
        why="The image is a tensor, the kernel an array of NumPy: TensorFlow converts the array to the tensor's dtype, "
        "and 0.5 as an int32 is 0. With two tensors it would have raised, as PyTorch and MXNet do.",
        promise="Integers become float32, and floats are promoted among themselves as NumPy does, before a framework "
        "sees them.",
    ),
    Entry(
        name="int8-overflow",
        title="Four times 100 in eight bits",
        question="The sum of four pixels of 100 in int8, whose largest number is 127.",
        inputs={"X": np.full((1, 1, 2, 2), 100, "int8"), "K": np.ones((1, 1, 2, 2), "int8")},
        call="conv2d(X, K)",
        why="NumPy and PyTorch add up in int8 and wrap around. MXNet with oneDNN adds up in 32 bits and then "
        "saturates, as quantized nets want it. TensorFlow has no such kernel.",
        promise="Integers compute as float32 and so does the result, as in the book's outputs.",
    ),
    Entry(
        name="denormals",
        title="Numbers below the smallest normal one are zero, or not",
        question="1e-40 times 1 in float32, whose smallest normal number is about 1.2e-38.",
        inputs={"X": np.full((1, 1, 1, 1), 1e-40, "float32"), "K": ones(1, 1, 1, 1)},
        call="conv2d(X, K)",
        why="Processors compute with denormal numbers slowly. TensorFlow therefore sets the switch that takes them for "
        "zero in its threads; the other frameworks leave it alone.",
        promise="Nothing is promised here: no framework offers a choice for each call.",
        promised=False,
    ),
    Entry(
        name="reversed-image",
        title="An image read backwards",
        question="A view of NumPy with a negative stride, as a mirrored image is.",
        inputs={"X": count(1, 1, 1, 4), "K": count(1, 1, 1, 2)},
        call="conv2d(X[..., ::-1], K)",
        why="PyTorch's tensors have no negative strides, so an array that has them cannot be taken over as it is.",
        promise="Any array of NumPy is taken, and copied where a framework needs it.",
    ),
)
