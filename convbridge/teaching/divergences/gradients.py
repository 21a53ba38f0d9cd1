"""Gradients: missing, doubled, given to another pixel; and what else a training step meets."""

from __future__ import annotations

import numpy as np

from convbridge.teaching.divergences.entry import Entry, count, ones

__all__ = ["ENTRIES"]

ENTRIES = (
    Entry(
        name="loop-gradient",
        title="Differentiating the book's loop: a gradient, None, or an error",
        question="The book computes each element of Y in a loop and assigns it. What are the gradients of its sum?",
        inputs={"X": count(3, 3, start=0), "K": count(2, 2, start=0)},
        call="dX, dK, _ = conv2d_vjp(X[None, None], K[None, None], None, np.ones((1, 1, 2, 2), 'float32'))\n"
        "{'dX': dX[0, 0], 'dK': dK[0, 0]}",
        why="PyTorch records an assignment to an element like any operation. In TensorFlow only a variable can be "
        "assigned to, and what is assigned is forgotten: the gradient is None, without an error, and a layer built "
        "this way trains its bias alone. MXNet refuses assignments while it records.",
        promise="conv2d_vjp returns the gradients in every backend, and the library's loops build Y from its elements "
        "where assignments cannot be differentiated.",
        threads=("tensorflow/tensorflow#14755", "tensorflow/tensorflow#30234", "apache/mxnet#10844"),
    ),
    Entry(
        name="two-backwards",
        title="A second backward pass adds, overwrites, or starts anew",
        question="The gradient of the kernel, asked for twice.",
        inputs={"X": count(1, 1, 3, 3, start=0), "K": count(1, 1, 2, 2, start=0)},
        call="conv2d_vjp(X, K, None, np.ones((1, 1, 2, 2), 'float32'))[1]",
        why="PyTorch adds to .grad until somebody sets it to zero. MXNet overwrites it unless grad_req='add'. "
        "TensorFlow returns the gradient and keeps nothing.",
        promise="conv2d_vjp returns fresh arrays; nothing adds up.",
    ),
    Entry(
        name="ties",
        title="The gradient of a maximum of equal numbers: one for the first, a quarter each, or one each",
        question="The gradient of the maximum of four ones: of the operator max over the array in each framework, and "
        "of a max pooling in convbridge.",
        inputs={"X": ones(2, 2)},
        call="pool2d_vjp(X, 2, np.ones((1, 1), 'float32'))",
        why="The maximum has no derivative where numbers are equal, and each framework chooses: PyTorch and TensorFlow "
        "share the gradient out, MXNet gives all of it to everyone, so that it adds up to 4. Their pooling operators "
        "do neither: there the first of the equal ones gets it.",
        promise="The first maximum of a window, row by row, gets the gradient, in every backend.",
        threads=("apache/mxnet#18563", "tensorflow/tensorflow#4886", "tensorflow/tensorflow#51682"),
    ),
    Entry(
        name="nan-gradient",
        title="The gradient of a NaN that the forward pass has lost",
        question="Max pooling of a window with a NaN, and its gradient.",
        inputs={"X": np.array([[[[np.nan, 1], [2, 3]]]], "float32")},
        call="{'Y': pool2d(X, 2), 'dX': pool2d_vjp(X, 2, np.ones((1, 1, 1, 1), 'float32'))}",
        why="TensorFlow's forward pass returns the 3 and its backward pass searches for the maximum again, in another "
        "way: it hands the gradient to the NaN, the pixel that the result does not come from.",
        promise="The NaN is the maximum and gets the gradient.",
    ),
    Entry(
        name="ceil-gradient",
        title="A gradient that is not the derivative of its own forward pass",
        question="An average whose last windows stick out of the image, so that they hold two pixels or one, and its "
        "gradient.",
        inputs={"X": count(1, 1, 3, 3)},
        call="options = {'stride': 2, 'ceil_mode': True}\n"
        "dX = pool2d_vjp(X, 2, np.ones((1, 1, 2, 2), 'float32'), 'avg', **options)\n"
        "{'Y': pool2d(X, 2, 'avg', **options), 'dX': dX}",
        why="The forward pass divides by the pixels in a window, the backward pass of MXNet with oneDNN by the "
        "window's size. The last pixel alone makes up its window, so its gradient is 1, and not a quarter. The same "
        "mistake has been made in other projects, independently.",
        promise="Forward and backward use the same divisors, which the library computes.",
        threads=("pytorch/pytorch#198119", "microsoft/onnxruntime#29629", "tracel-ai/burn#5604"),
    ),
    Entry(
        name="grouped-gradient",
        title="Grouped convolutions have a gradient on some processors",
        question="The gradient of the kernels of a convolution in two groups.",
        inputs={"X": count(1, 2, 3, 3), "K": ones(2, 1, 2, 2)},
        call="conv2d_vjp(X, K, None, np.ones((1, 2, 2, 2), 'float32'), groups=2)[1]",
        why="TensorFlow's own kernels for the processor compute grouped convolutions forward only; with oneDNN they "
        "have gradients too, in float32.",
        promise="Gradients everywhere: TensorFlow runs one convolution for each group.",
        threads=("tensorflow/tensorflow#51825",),
    ),
    Entry(
        name="dilated-gradient",
        title="Dilated convolutions have a gradient on some processors",
        question="The gradient of a kernel with a dilation of 2.",
        inputs={"X": count(1, 1, 4, 4), "K": ones(1, 1, 2, 2)},
        call="conv2d_vjp(X, K, None, np.ones((1, 1, 2, 2), 'float32'), dilation=2)[1]",
        why="As with groups: TensorFlow's own kernels for the processor have no backward pass for dilated kernels.",
        promise="Gradients everywhere: TensorFlow rearranges the image so that the kernel need not be dilated.",
        threads=("tensorflow/tensorflow#53631",),
    ),
    Entry(
        name="integer-gradient",
        title="A gradient with respect to integers",
        question="The gradient of a sum of products, one window of a convolution, with respect to an image of int32.",
        inputs={"X": count(2, 2).astype("int32"), "K": count(2, 2).astype("int32")},
        call="dX, dK, _ = conv2d_vjp(X[None, None], K[None, None], None, np.ones((1, 1, 1, 1), 'float32'))\ndX[0, 0]",
        why="PyTorch refuses it at once. TensorFlow writes a warning to its log and returns None. MXNet returns "
        "integers, so anything but a whole number would be cut off.",
        promise="Integers compute as float32, and so do their gradients.",
    ),
    Entry(
        name="strided-1x1-training",
        title="Training a strided 1x1 convolution destroys memory",
        question="The kernel's gradient of a 1x1 convolution with a stride, as a residual network has them, computed "
        "500 times.",
        inputs={"X": ones(1, 1, 6, 6), "K": ones(1, 1, 1, 1)},
        call="conv2d_vjp(X, K, None, np.ones((1, 1, 6, 3), 'float32'), stride=(1, 2))[1]",
        why="TensorFlow's gradient for the kernel, with oneDNN, writes where it must not if the kernel has one "
        "element and few channels and the stride leaves pixels over. The process usually ends some steps later, at a "
        "place that has nothing to do with it.",
        promise="The image is thinned out first and convolved with stride 1, so that the stride never reaches the "
        "operator.",
        destroys=True,
    ),
    Entry(
        name="error-read-twice",
        title="An error that is delivered once, and then numbers",
        question="Max pooling of int32. If there is an error, it is shown, as in a notebook, and the result is read "
        "again.",
        inputs={"X": count(1, 1, 3, 3).astype("int32")},
        call="pool2d(X, 2)",
        why="MXNet computes in the background: the call returns at once, and the error comes when the result is first "
        "read. The second reading gets no error and finds memory that nobody has written to, so the numbers are "
        "whatever it held before and change from run to run.",
        promise="Integers compute as float32. Results are waited for, so that an error surfaces at the call that "
        "caused it, and a failed array is never handed out.",
    ),
    Entry(
        name="fresh-layer",
        title="What a new layer returns for an image of zeros",
        question="A convolution layer as its class makes it, run on zeros: what comes out is its bias.",
        inputs={"X": np.zeros((1, 1, 3, 3), "float32")},
        call="Conv2D(3, seed=0)(asarray(X))",
        why="PyTorch draws the bias from the same distribution as the weight, TensorFlow and MXNet start from zero. "
        "The weights come from three different distributions as well.",
        promise="The bias is zero and the weights are drawn by NumPy, from the seed: the same bits in every backend.",
    ),
)
