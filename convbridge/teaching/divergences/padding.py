"""Padding: words with several meanings, sides that get lost, and what stands in the padding."""

from __future__ import annotations

import numpy as np

from convbridge.teaching.divergences.entry import Entry, count, ones

__all__ = ["ENTRIES"]

_ONE_INFINITY = ones(1, 1, 3, 3)
_ONE_INFINITY[0, 0, 0, 0] = np.inf

ENTRIES = (
    Entry(
        name="same-even-kernel",
        title="'same' under an even kernel has two meanings",
        question="A 2x2 kernel needs one row and one column of padding to keep the image's size. On which side?",
        inputs={"X": count(1, 1, 3, 3), "K": ones(1, 1, 2, 2)},
        call="conv2d(X, K, padding='same')",
        why="The word does not say where the odd row goes. TensorFlow, PyTorch and SciPy's correlate2d put it at the "
        "bottom and the odd column at the right; the book and SciPy's correlate put them at the top and the left. "
        "MXNet's operator does not know the word.",
        promise="'same' is TensorFlow's and ONNX's SAME_UPPER in every backend; 'same_lower' and 'chapter' put the "
        "odd row at the top. Each word becomes four integers before a backend sees it.",
        threads=("scipy/scipy#1968",),
    ),
    Entry(
        name="same-with-stride",
        title="'same' with a stride has a third meaning",
        question="The same word for a 3x3 kernel that moves by 2 over a 4x4 image: which windows does it look at?",
        inputs={"X": count(1, 1, 4, 4), "K": ones(1, 1, 3, 3)},
        call="conv2d(X, K, stride=2, padding='same')",
        why="TensorFlow computes the padding from the stride: two windows of 3 need one row more than the image has, "
        "so it pads once, at the bottom. Taking every second result of stride 1, as here in SciPy, pads on both "
        "sides, and every window starts one pixel earlier. PyTorch refuses the combination.",
        promise="ceil(n / s) results and TensorFlow's windows, in every backend. 'chapter' pads d (k - 1) whatever the "
        "stride, as the book does.",
    ),
    Entry(
        name="half-kernel-padding",
        title="padding=k//2 and 'SAME' give the same shape and other numbers",
        question="An odd kernel, half of it as padding, a stride of 2: what PyTorch's tutorials write as padding=1 and "
        "TensorFlow's as 'SAME'.",
        inputs={"X": count(1, 1, 4, 4), "K": ones(1, 1, 3, 3)},
        call="conv2d(X, K, stride=2, padding=1)",
        why="For images of odd size the two are the same. For even sizes TensorFlow pads one row less, at the top, so "
        "all windows lie one pixel further down and to the right. The shapes agree, so a network carried over from "
        "one framework to another runs, and every layer with a stride looks beside the point.",
        promise="padding=1 is one row on each side, whoever computes.",
    ),
    Entry(
        name="one-sided-padding",
        title="Padding on one side only has a different spelling in each framework, or none",
        question="One row of zeros at the top, one column at the left, nothing at the other sides.",
        inputs={"X": count(1, 1, 2, 2), "K": ones(1, 1, 2, 2)},
        call="conv2d(X, K, padding=((1, 0), (1, 0)))",
        why="The operators of PyTorch and MXNet hold one number for each axis, so both sides are padded alike, and "
        "anything else needs a pad operator in front. TensorFlow takes a list with a pair for each of four axes.",
        promise="((top, bottom), (left, right)) in every backend. It runs the framework's pad operator first, and then "
        "the convolution without padding.",
    ),
    Entry(
        name="negative-padding",
        title="Negative padding crops the image, or not",
        question="A convolution with a padding of minus one.",
        inputs={"X": count(1, 1, 4, 4), "K": ones(1, 1, 2, 2)},
        call="conv2d(X, K, padding=-1)",
        why="Nobody defines it. Where nothing looks at the sign, the formula for the size of the result still gives a "
        "number, and the kernel computes on a cropped image.",
        promise="Padding is at least 0; to crop, slice.",
    ),
    Entry(
        name="infinite-kernel",
        title="Padding is not always multiplied",
        question="A kernel with one infinite element meets the zeros of the padding. Zero times infinity is NaN, if "
        "somebody multiplies.",
        inputs={"X": ones(1, 1, 2, 2), "K": _ONE_INFINITY},
        call="conv2d(X, K, padding=1)",
        why="Some of oneDNN's kernels leave out the products with padding. TensorFlow's own write the zeros down and "
        "multiply them. Which kernel a program meets depends on the framework, on the number of channels and on the "
        "processor.",
        promise="The padding is put on by the pad operator, so it is multiplied like any pixel: NaN, as the definition "
        "has it.",
    ),
    Entry(
        name="padded-maximum",
        title="Zeros around a max pooling hide negative pixels",
        question="Max pooling with padding, on an image of negative numbers.",
        inputs={"X": -count(1, 1, 4, 4)},
        call="pool2d(X, 3, stride=2, padding=1)",
        why="The pooling operators pad with minus infinity, which never is the maximum. Whoever pads the image "
        "beforehand, as one does in NumPy and as the book's port to TensorFlow does, pads with zeros, and zero is "
        "larger than every negative pixel. On the book's own example, the numbers from 0 to 15, it does not show.",
        promise="Max pooling pads with minus infinity in every backend, average pooling with zeros.",
    ),
    Entry(
        name="padding-beyond-window",
        title="Windows that hold nothing but padding",
        question="Max pooling with as much padding as the window is wide, in float64.",
        inputs={"X": np.ones((1, 1, 2, 2))},
        call="pool2d(X, 2, stride=2, padding=2)",
        why="The maximum of no pixels has no value. MXNet starts from the lowest finite number of the dtype and "
        "returns it; NumPy returns the padding that it was given; the others refuse, PyTorch from half a window on.",
        promise="The padding of a side is smaller than the window, so every window holds a pixel.",
    ),
)
