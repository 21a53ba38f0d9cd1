"""Learning a kernel from an image and its filtered copy, as the chapter does.

The loop is the chapter's: predict, sum the squared errors, take a step against
the gradient. It runs in whichever framework was chosen, with the gradient
that :func:`convbridge.conv2d_vjp` gives there.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from convbridge.errors import ArgumentError, ArgumentTypeError, ShapeError, received
from convbridge.functional import conv2d, to_numpy
from convbridge.geometry import flag_argument, integer, pair
from convbridge.gradients import conv2d_vjp
from convbridge.layers import initial_weights
from convbridge.operands import Operands
from convbridge.protocol import Array, Conv2DConfig

__all__ = ["LearnedKernel", "learn_kernel"]


class LearnedKernel(NamedTuple):
    """What :func:`learn_kernel` found.

    Attributes
    ----------
    weight : array, shape (kh, kw)
        The kernel, an array of the backend.
    bias : array, shape (1,), or None
        None if none was learned.
    losses : tuple of float
        The sum of squared errors before each step.
    """

    weight: Array
    bias: Array | None
    losses: tuple[float, ...]

    def _repr_html_(self) -> str:
        from convbridge.notebook import teaching

        return teaching.learned(self)


def learn_kernel(
    X: Any,
    Y: Any,
    kernel_size: Any,
    *,
    learning_rate: float = 0.03,
    steps: int = 10,
    use_bias: bool = False,
    initial: Any = None,
    seed: int | None = None,
    progress: Callable[[int, float], None] | None = None,
    watch: Callable[[int, Array, Array | None], None] | None = None,
    backend: str | None = None,
) -> LearnedKernel:
    """Learn the kernel that turns one image into another.

    Parameters
    ----------
    X : array_like, shape (H, W)
        The image.
    Y : array_like, shape (H - kh + 1, W - kw + 1)
        The image that ``corr2d(X, kernel)`` shall give.
    kernel_size : int or (int, int)
        Height and width of the kernel.
    learning_rate : float, default 0.03
        Length of a step, as a multiple of the gradient.
    steps : int, default 10
        How many.
    use_bias : bool, default False
        Learn a bias too; it starts at 0.
    initial : array_like, shape (kh, kw), optional
        The kernel to start from; default: drawn at random.
    seed : int, optional
        For the random start; the same in every backend.
    progress : callable, optional
        Called with the number of steps done and the loss before the last.
    watch : callable, optional
        Called after every step with the number of steps done, the weight and
        the bias or None, arrays of the backend. They are not to be written to.
    backend : str, optional
        Who computes; default as in :mod:`convbridge.selection`.

    Returns
    -------
    LearnedKernel
        The weight, the bias or None, and the loss before each step.

    Raises
    ------
    ShapeError
        For images or an initial kernel whose shapes do not fit.
    ArgumentError, ArgumentTypeError
        For a learning rate that is no positive number, and as for
        :func:`convbridge.corr2d`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Learning a Kernel".

    Examples
    --------
    The chapter's edges, from a kernel of zeros:

    >>> image = np.ones((6, 8))
    >>> image[:, 2:6] = 0
    >>> edges = image[:, :-1] - image[:, 1:]
    >>> found = learn_kernel(image, edges, (1, 2), initial=[[0, 0]], backend="numpy")
    >>> found.weight.round(6)
    array([[ 0.988471, -0.988471]])
    >>> [round(loss, 6) for loss in found.losses[1::2]]
    [4.9152, 0.824634, 0.138351, 0.023211, 0.003894]
    """
    kernel = pair(kernel_size, "kernel_size")
    steps = integer(steps, "steps", 0)
    use_bias = flag_argument(use_bias, "use_bias")
    if isinstance(learning_rate, bool) or not isinstance(learning_rate, Real):
        raise ArgumentTypeError(f"learning_rate must be a number. {received(learning_rate=learning_rate)}")
    if not (isfinite(learning_rate) and learning_rate > 0):
        raise ArgumentError(f"learning_rate must be positive and finite. {received(learning_rate=learning_rate)}")
    rate = float(learning_rate)
    if initial is None:
        # drawn like a layer's first weights, and neutral: it takes the dtype of the images
        config = Conv2DConfig(kernel, 1, 1, (1, 1), 0, (1, 1), 1, False, "NCHW", "float64")
        initial = initial_weights(config, None if seed is None else integer(seed, "seed", 0))[0][0, 0]
        drawn = True
    else:
        drawn = False
    named = {"X": X, "Y": Y} if drawn else {"X": X, "Y": Y, "initial": initial}
    operands = Operands(backend, **named)
    height, width = operands.axes("X", (2,), "(H, W)", known=True)
    if not drawn and operands.axes("initial", (2,), "(kh, kw)", known=True) != kernel:
        raise ShapeError(f"initial must have the shape {kernel}. {received(initial=initial)}")
    target = (height - kernel[0] + 1, width - kernel[1] + 1)
    if min(target) < 1:
        raise ShapeError(f"kernel_size must fit into X ({height}, {width}). {received(kernel_size=kernel_size)}")
    if operands.axes("Y", (2,), "(H - kh + 1, W - kw + 1)", known=True) != target:
        raise ShapeError(f"Y must have the shape of corr2d(X, kernel), {target}. {received(Y=Y)}")

    own, name = operands.backend.arrays, operands.backend.name
    images = dict(zip(named, operands.arrays("conv2d")))
    image, wanted = (own.add_leading_axes(images[key], 2) for key in ("X", "Y"))
    start = own.asarray(initial, operands.dtype, image) if drawn else images["initial"]
    weight = own.add_leading_axes(start, 2)
    bias = own.asarray(np.zeros(1), operands.dtype, image) if use_bias else None

    losses = []
    for step in range(steps):
        error = conv2d(image, weight, bias, backend=name) - wanted
        losses.append(float(np.sum(np.square(to_numpy(error), dtype=np.float64))))
        _, dW, db = conv2d_vjp(image, weight, bias, 2 * error, backend=name)
        weight = weight - rate * dW
        bias = None if bias is None else bias - rate * db
        if progress is not None:
            progress(step + 1, losses[-1])
        if watch is not None:
            watch(step + 1, own.drop_leading_axes(weight, 2), bias)
    learned = own.deliver(own.drop_leading_axes(weight, 2), operands.like)
    return LearnedKernel(learned, bias, tuple(losses))
