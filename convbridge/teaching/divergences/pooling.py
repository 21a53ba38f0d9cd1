"""Pooling: what a maximum does with NaN, what an average divides by, and which windows there are."""

from __future__ import annotations

import numpy as np

from convbridge.teaching.divergences.entry import Entry, count

__all__ = ["ENTRIES"]

_NAN = np.nan

ENTRIES = (
    Entry(
        name="window-too-large",
        title="A pooling window one larger than the image",
        question="A 3x3 window on a 2x2 image. No window fits.",
        inputs={"X": count(1, 1, 2, 2)},
        call="pool2d(X, 3)",
        why="With oneDNN, TensorFlow divides by a size that is zero here: an integer division by zero is a signal of "
        "the processor and no exception, so it ends the process. Without oneDNN it returns an empty array.",
        promise="A window must fit into the padded image.",
        threads=("tensorflow/tensorflow#125509", "tensorflow/tensorflow#88481"),
    ),
    Entry(
        name="nan-in-window",
        title="NaN vanishes in max pooling",
        question="The maximum of a window that holds one NaN, and of a window that holds nothing else.",
        inputs={"X": np.array([[[[_NAN, 1, _NAN, _NAN], [2, 3, _NAN, _NAN]]]], "float32")},
        call="pool2d(X, 2, stride=2)",
        why="A NaN is neither larger nor smaller than any number. A loop that keeps the larger of two numbers and "
        "starts from the lowest finite one never keeps a NaN, and returns where it started if there is nothing else. "
        "A net that produced NaNs seems to work again behind its next pooling layer.",
        promise="A NaN in a window is its maximum, in every backend; MXNet and TensorFlow get help for it.",
        threads=(
            "tensorflow/tensorflow#2501",
            "tensorflow/tensorflow#125965",
            "tensorflow/tensorflow#125968",
            "keras-team/keras#16158",
        ),
    ),
    Entry(
        name="minus-infinity",
        title="The maximum of minus infinities is not minus infinity",
        question="Max pooling of an image that holds nothing but minus infinity.",
        inputs={"X": np.full((1, 1, 2, 2), -np.inf, "float32")},
        call="pool2d(X, 2)",
        why="TensorFlow and MXNet start from the lowest finite number, which is larger than minus infinity.",
        promise="Minus infinity, in every backend.",
    ),
    Entry(
        name="average-at-border",
        title="What an average at the border divides by",
        question="The average of 3x3 windows over an image of nines, with a row of padding around it.",
        inputs={"X": np.full((1, 1, 3, 3), 9, "float32")},
        call="pool2d(X, 3, 'avg', padding=1)",
        why="PyTorch and MXNet count the padding as pixels unless told otherwise and divide by 9 everywhere. "
        "TensorFlow's 'SAME' divides by the number of pixels of the image, 4 in a corner, and has no switch for it.",
        promise="The padding counts unless count_include_pad=False; the divisors are computed by the library, in every "
        "backend, from ones that are pooled like the image.",
    ),
    Entry(
        name="ceil-mode",
        title="Windows that stick out, and one that is not there",
        question="Max pooling whose last windows may stick out of the image: ceil mode in PyTorch, the convention "
        "'full' in MXNet, 'SAME' in TensorFlow.",
        inputs={"X": count(1, 1, 3, 3)},
        call="pool2d(X, 2, stride=2, padding=1, ceil_mode=True)",
        why="Rounding the number of windows up can leave a last window that lies in the padding alone. PyTorch drops "
        "it. MXNet keeps it and returns the lowest finite number for it. TensorFlow has no ceil mode; 'SAME' has as "
        "many windows here, but they start at another pixel.",
        promise="PyTorch's rule in every backend: a last window starts inside the image or its leading padding. No "
        "framework's own mode is called, since it is nothing but more padding at the end.",
    ),
    Entry(
        name="global-average",
        title="A global average with and without its axes",
        question="The average of each channel as a whole.",
        inputs={"X": count(1, 2, 2, 2)},
        call="pool2d(X, X.shape[2:], 'avg')",
        why="Keras and NumPy take the two axes away, unless told to keep them; PyTorch and MXNet keep them with length "
        "1, so that a convolution can follow.",
        promise="Pooling keeps all axes.",
    ),
    Entry(
        name="half-average",
        title="The average of 256 thousands is infinite",
        question="The average of 16x16 pixels of 1000 in float16.",
        inputs={"X": np.full((1, 1, 16, 16), 1000, "float16")},
        call="pool2d(X, 16, 'avg')",
        why="The sum is 256000 and the largest number of float16 is 65504. TensorFlow adds up in float16; the others "
        "in a wider type, and round at the end.",
        promise="Halves are added up in float32 and rounded once, in every backend.",
    ),
    Entry(
        name="integer-average",
        title="The average of 1, 2, 3 and 4 in integers",
        question="Average pooling of an image of int64.",
        inputs={"X": count(1, 1, 2, 2).astype("int64")},
        call="pool2d(X, 2, 'avg')",
        why="PyTorch keeps the dtype and cuts off what stands behind the point. TensorFlow and MXNet average floats "
        "only, and MXNet says so when the result is read.",
        promise="Integers are converted to float32 first, in every backend.",
    ),
)
