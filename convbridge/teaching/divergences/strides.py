"""Strides and dilations: combinations that are computed wrongly, and numbers that are no strides."""

from __future__ import annotations

from convbridge.teaching.divergences.entry import Entry, count, ones

__all__ = ["ENTRIES"]

ENTRIES = (
    Entry(
        name="depthwise-dilation",
        title="A depthwise convolution with stride and dilation computes something else",
        question="Each channel on its own, every second window, every second pixel in it.",
        inputs={"X": count(1, 1, 7, 7), "K": ones(1, 1, 2, 2)},
        call="conv2d(X, K, stride=2, dilation=2, groups=X.shape[1])",
        why="tf.nn.depthwise_conv2d turns the dilation into a rearrangement of the image (space to batch) and then "
        "applies the stride to the rearranged image, where neighbours are two pixels apart. Only some of its windows "
        "are the ones that were asked for; for other sizes even the shape is another. Nothing says so, in eager mode, "
        "in a graph or under XLA.",
        promise="What the definition says; TensorFlow's depthwise operator is never called with both.",
        threads=(
            "tensorflow/tensorflow#57128",
            "tensorflow/tensorflow#100237",
            "tensorflow/tensorflow#113320",
            "tensorflow/tensorflow#127827",
        ),
    ),
    Entry(
        name="depthwise-strides",
        title="Different strides on the two axes, for some processors",
        question="A depthwise convolution that moves by 2 down and by 1 to the right.",
        inputs={"X": count(1, 1, 3, 3), "K": ones(1, 1, 2, 2)},
        call="conv2d(X, K, stride=(2, 1), groups=X.shape[1])",
        why="TensorFlow's own depthwise kernel knows one stride. oneDNN's knows two, and TensorFlow chooses between "
        "them by the processor that it finds.",
        promise="Two strides in every backend: TensorFlow runs a dense convolution for each group instead.",
    ),
    Entry(
        name="fractional-stride",
        title="A stride of one and a half",
        question="A convolution with stride=1.5.",
        inputs={"X": count(1, 1, 3, 3), "K": ones(1, 1, 2, 2)},
        call="conv2d(X, K, stride=1.5)",
        why="TensorFlow converts every attribute of an operator to the type that it needs, and a float to an integer "
        "by cutting off what stands behind the point.",
        promise="Integers only, and nothing that has to be rounded to be one.",
    ),
    Entry(
        name="default-stride",
        title="The stride of a pooling that nobody gave a stride",
        question="Pooling with a 2x2 window, and nothing more said.",
        inputs={"X": count(1, 1, 4, 4)},
        call="pool2d(X, 2)",
        why="PyTorch's functions and everybody's layers move by the window's size; the functions of TensorFlow and "
        "MXNet move by 1.",
        promise="The function pool2d is the book's: stride 1 unless said otherwise, and stride=None for the window's "
        "size. The layers MaxPool2D and AvgPool2D move by the window's size, as in every framework.",
    ),
    Entry(
        name="huge-stride",
        title="A stride that needs more than 32 bits",
        question="A convolution with a stride of 2 to the power of 40, of which one window is left.",
        inputs={"X": count(1, 1, 3, 3), "K": ones(1, 1, 2, 2)},
        call="conv2d(X, K, stride=2**40)",
        why="TensorFlow's graph keeps strides in 64 bits and its kernels in 32. One way checks that the number fits "
        "and raises; the pass that prepares oneDNN's kernels checks it with an assertion, which ends the process. "
        "Python's try and except cannot catch that.",
        promise="Every size is below 2**31, and checked before a framework sees it.",
        threads=("tensorflow/tensorflow#97165", "tensorflow/tensorflow#85257"),
    ),
    Entry(
        name="one-output-column",
        title="A legal convolution that returns memory nobody wrote to",
        question="Two images of one channel, a 1x2 kernel, a stride of 2 along an axis on which one window fits.",
        inputs={"X": count(2, 1, 2, 3, start=0), "K": ones(1, 1, 1, 2)},
        call="conv2d(X, K, stride=(1, 2))",
        why="With oneDNN, TensorFlow leaves part of the result unwritten if there is one channel, more than one image, "
        "and one column of output at a stride: every second number is whatever the memory held before, and changes "
        "from run to run. With two channels, one image or float64 the same call is right.",
        promise="An axis with one window has stride 1 and is cut to that window before TensorFlow sees it.",
    ),
    Entry(
        name="ported-stride",
        title="The book's layer, ported, prints another shape",
        question="The book's example with kernel (3, 5), padding (0, 1) and strides (3, 4), on 8x8.",
        inputs={"X": ones(1, 1, 8, 8), "K": ones(1, 1, 3, 5)},
        call="conv2d(X, K, stride=(3, 4), padding=(0, 1))",
        why="A TensorFlow layer takes no numbers for padding, only 'same' and 'valid', so the port of the example "
        "leaves the padding out, and one window less fits into a row.",
        promise="The same call, the same shape and the same numbers in every backend.",
    ),
)
