"""Shapes and layouts: what is accepted though it does not fit, and what that costs."""

from __future__ import annotations

import numpy as np

from convbridge.teaching.divergences.entry import Entry, count, ones

__all__ = ["ENTRIES"]

_ONE_NAN = ones(16, 1, 128, 128)
_ONE_NAN[0, 0, 64, 64] = np.nan

ENTRIES = (
    Entry(
        name="channels-first",
        title="Channels before pixels: works on one laptop, raises on the next",
        question="An image in the layout NCHW.",
        inputs={"X": count(1, 1, 3, 3), "K": ones(1, 1, 2, 2)},
        call="conv2d(X, K)",
        why="TensorFlow has no NCHW kernel of its own for the processor; oneDNN has one. TensorFlow for Linux turns "
        "oneDNN on by itself where the processor has certain instructions, so the same wheel and the same program "
        "work or raise with the machine.",
        promise="NCHW and NHWC in every backend, on every processor: where the framework has one of them, the array "
        "is transposed.",
    ),
    Entry(
        name="channels-last",
        title="Channels after pixels: an error about something else",
        question="An image in the layout NHWC.",
        inputs={"X": count(1, 3, 3, 1), "K": ones(1, 1, 2, 2)},
        call="conv2d(X, K, data_format='NHWC')",
        why="MXNet's convolution takes the word NHWC, but on the processor it has no kernel for it; its pooling has "
        "one. With oneDNN the error comes from inside the library, when the result is read, and speaks of dilation.",
        promise="data_format='NHWC' in every backend; the kernel stays OIHW.",
    ),
    Entry(
        name="kernel-layout",
        title="A kernel in another framework's layout is accepted",
        question="A kernel for 2 input channels and 1 output channel, in the layout of another framework: TensorFlow's "
        "order of axes for the three others, PyTorch's for TensorFlow.",
        inputs={"X": count(1, 2, 3, 3), "K": count(1, 2, 2, 2)},
        call="layer = Conv2D((2, 2), in_channels=2, out_channels=1, use_bias=False)\n"
        "layer.set_weights([K.transpose(2, 3, 1, 0)])\n"
        "layer(X)",
        why="A function that gets nothing but two arrays reads the kernel's size and the numbers of channels from the "
        "kernel. If the axes happen to fit, it computes, with another kernel size and other channels. MXNet is told "
        "kernel and num_filter as well, compares, and refuses.",
        promise="One layout, OIHW, in every backend. A layer knows its kernel size and its channels and refuses "
        "weights of any other shape.",
    ),
    Entry(
        name="channel-mismatch",
        title="Channels that do not fit become groups",
        question="An image of 4 channels and two kernels of 2 channels.",
        inputs={"X": ones(1, 4, 2, 2), "K": ones(2, 2, 2, 2)},
        call="conv2d(X, K)",
        why="tf.nn.conv2d has no argument for groups: it divides the image's channels by the kernel's. A kernel that "
        "was made for another image is therefore a grouped convolution whenever the division comes out even.",
        promise="The channels must match; groups are asked for with groups=.",
    ),
    Entry(
        name="three-axes",
        title="One axis forgotten: another result, an error, or the end of the process",
        question="An image without the axis of the batch.",
        inputs={"X": count(1, 3, 3), "K": ones(1, 1, 2, 2)},
        call="conv2d(X, K)",
        why="PyTorch takes it for a single image. TensorFlow with oneDNN looks for an axis that is not there, and the "
        "check that notices is an assertion, which ends the process. Without oneDNN, in float64 or inside a "
        "tf.function the same call raises.",
        promise="conv2d takes four axes and says so; corr2d takes a matrix.",
        threads=("tensorflow/tensorflow#111453", "tensorflow/tensorflow#74913", "tensorflow/tensorflow#125859"),
    ),
    Entry(
        name="kernel-too-large",
        title="A kernel larger than the image: an answer all the same",
        question="A 3x3 kernel on a 2x2 image, without padding. No window fits.",
        inputs={"X": count(1, 1, 2, 2), "K": count(1, 1, 3, 3)},
        call="conv2d(X, K)",
        why="The formula gives 0 rows, and nobody has to object to that. SciPy's 'valid' swaps its two arguments if "
        "only that makes them fit, and correlates the kernel with the image. TensorFlow with oneDNN returns an array "
        "of the image's shape that nobody wrote to, so its numbers are what the memory held before and change from "
        "run to run; without oneDNN it returns an empty one.",
        promise="A kernel must fit into the padded image.",
        threads=("scipy/scipy#5897", "tensorflow/tensorflow#64396", "tensorflow/tensorflow#109175"),
    ),
    Entry(
        name="empty-batch",
        title="A batch without images",
        question="The last batch of a filtered data set may hold nothing. What is its convolution?",
        inputs={"X": ones(0, 1, 3, 3), "K": ones(1, 1, 2, 2)},
        call="conv2d(X, K)",
        why="An empty result, one would think, with the shape of any other. TensorFlow with oneDNN returns early, with "
        "the shape of its input. In MXNet a size of 0 means that it is not known yet.",
        promise="An empty result of the right shape, and gradients of zeros; no framework is asked.",
    ),
    Entry(
        name="zero-channels",
        title="An image without channels, and a bias",
        question="5 kernels of no channels, with a bias of ones.",
        inputs={"X": ones(1, 0, 3, 3), "K": ones(5, 0, 2, 2), "b": ones(5)},
        call="conv2d(X, K, b)",
        why="A sum of no products is 0, so the result is the bias: NumPy says so. PyTorch returns an array of no "
        "channels, has lost the 5 kernels and does not add the bias. The others object, or not, with their kernels.",
        promise="Every axis but the batch has at least one element.",
        threads=("pytorch/pytorch#56998", "pytorch/pytorch#101356"),
    ),
    Entry(
        name="zero-groups",
        title="No groups: a division by zero that ends the process",
        question="A convolution with groups=0.",
        inputs={"X": ones(1, 2, 3, 3), "K": ones(2, 2, 2, 2)},
        call="conv2d(X, K, groups=0)",
        why="MXNet divides the channels by the number of groups before it checks that number. An integer division by "
        "zero in C++ is a signal of the processor and not an exception, and Python cannot catch it.",
        promise="groups is positive and divides the channels; it is checked before a framework sees it.",
    ),
    Entry(
        name="flipped-kernel",
        title="A convolution, and what is called one",
        question="The convolution of an image and a kernel.",
        inputs={"X": count(1, 1, 3, 3, start=0), "K": count(1, 1, 2, 2, start=0)},
        call="conv2d(X, K)",
        why="In mathematics a convolution flips the kernel along both axes, and SciPy's convolve2d does. Deep learning "
        "calls the cross-correlation by that name: a kernel that is learnt comes out flipped or not, as the "
        "operation needs it.",
        promise="conv2d and corr2d are the cross-correlation, in every backend; convolve2d flips.",
    ),
    Entry(
        name="one-nan",
        title="How far one bad pixel reaches depends on the algorithm",
        question="16 images of 128x128 ones with a single NaN, at the middle of the first one, and a 9x9 kernel. 81 "
        "windows see the NaN. How many results are NaN?",
        inputs={"X": _ONE_NAN, "K": ones(1, 1, 9, 9)},
        call="np.isnan(to_numpy(conv2d(X, K))).sum()",
        why="A direct sum uses a pixel for its own windows only. Fast algorithms compute with transforms of blocks of "
        "pixels, or of the whole image: NNPACK, which PyTorch takes from 16 images on where oneDNN is absent or off, "
        "and the Fourier transform, which SciPy takes when it expects it to be faster. One NaN then reaches its "
        "whole block, and one very large pixel costs its block all digits.",
        promise="Direct algorithms, unless use_precision('fast') allows others: each result depends on its own window.",
        threads=("pytorch/pytorch#157237", "pytorch/pytorch#90142"),
    ),
)
