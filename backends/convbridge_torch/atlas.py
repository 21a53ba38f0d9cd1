"""What the atlas asks PyTorch: one function an entry, in PyTorch's own words.

``convbridge atlas`` runs the functions, shows their sources and puts what they
return next to what the three other frameworks return; the other backends have
the same functions. Each is what a user of PyTorch would write, without any of
convbridge's care. A function takes the entry's arrays and may change them; it
returns one result or a dictionary of named ones.
"""

# Parts of PyTorch have no types, and some of the calls are wrong on purpose.
# mypy: disable-error-code="arg-type, call-overload, no-untyped-call"

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own convention)

Input = np.ndarray[Any, Any]

#: Which processes the entries run in: a name and its environment variables.
VARIANTS: dict[str, dict[str, str]] = {"": {}}


# --------------------------------------------------------------------------- padding


def same_even_kernel(X: Input, K: Input) -> Any:
    """Keep the size of the image under an even kernel."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), padding="same")


def same_with_stride(X: Input, K: Input) -> Any:
    """Ask for 'same' and a stride of 2."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), stride=2, padding="same")


def half_kernel_padding(X: Input, K: Input) -> Any:
    """Pad by half of an odd kernel, at a stride of 2."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), stride=2, padding=1)


def one_sided_padding(X: Input, K: Input) -> Any:
    """Pad one row at the top and one column at the left."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), padding=((1, 0), (1, 0)))


def negative_padding(X: Input, K: Input) -> Any:
    """Pad by minus one."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), padding=-1)


def infinite_kernel(X: Input, K: Input) -> Any:
    """Let an infinite kernel element meet the padding."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), padding=1)


def padded_maximum(X: Input) -> Any:
    """Take the maximum of padded windows."""
    return F.max_pool2d(torch.tensor(X), 3, stride=2, padding=1)


def padding_beyond_window(X: Input) -> Any:
    """Pad by as much as the window is wide."""
    return F.max_pool2d(torch.tensor(X), 2, stride=2, padding=2)


# --------------------------------------------------------------------------- strides


def depthwise_dilation(X: Input, K: Input) -> Any:
    """Convolve each channel, with a stride of 2 and a dilation of 2."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), stride=2, dilation=2, groups=X.shape[1])


def depthwise_strides(X: Input, K: Input) -> Any:
    """Convolve each channel, with another stride on each axis."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), stride=(2, 1), groups=X.shape[1])


def fractional_stride(X: Input, K: Input) -> Any:
    """Ask for a stride of one and a half."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), stride=1.5)


def default_stride(X: Input) -> Any:
    """Pool without saying a stride."""
    return F.max_pool2d(torch.tensor(X), 2)


def huge_stride(X: Input, K: Input) -> Any:
    """Ask for a stride that needs more than 32 bits."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), stride=2**40)


def one_output_column(X: Input, K: Input) -> Any:
    """Stride along an axis on which one window fits."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), stride=(1, 2))


def ported_stride(X: Input, K: Input) -> Any:
    """Run the book's layer with padding (0, 1) and strides (3, 4)."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), stride=(3, 4), padding=(0, 1))


# --------------------------------------------------------------------------- shapes


def channels_first(X: Input, K: Input) -> Any:
    """Hold the channels before the pixels."""
    return F.conv2d(torch.tensor(X), torch.tensor(K))


def channels_last(X: Input, K: Input) -> Any:
    """Hold the channels after the pixels."""
    Y = F.conv2d(torch.tensor(X).permute(0, 3, 1, 2), torch.tensor(K))
    return Y.permute(0, 2, 3, 1)


def kernel_layout(X: Input, K: Input) -> Any:
    """Give the kernel in the layout of another framework."""
    K = K.transpose(2, 3, 1, 0)  # TensorFlow's: rows, columns, in, out
    return F.conv2d(torch.tensor(X), torch.tensor(K))


def channel_mismatch(X: Input, K: Input) -> Any:
    """Give an image with twice the channels of the kernel."""
    return F.conv2d(torch.tensor(X), torch.tensor(K))


def three_axes(X: Input, K: Input) -> Any:
    """Forget the axis of the batch."""
    return F.conv2d(torch.tensor(X), torch.tensor(K))


def kernel_too_large(X: Input, K: Input) -> Any:
    """Give a kernel that does not fit into the image."""
    return F.conv2d(torch.tensor(X), torch.tensor(K))


def empty_batch(X: Input, K: Input) -> Any:
    """Convolve a batch without images."""
    return F.conv2d(torch.tensor(X), torch.tensor(K))


def zero_channels(X: Input, K: Input, b: Input) -> Any:
    """Convolve an image without channels, with a bias."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), torch.tensor(b))


def zero_groups(X: Input, K: Input) -> Any:
    """Split the channels into no groups."""
    return F.conv2d(torch.tensor(X), torch.tensor(K), groups=0)


def flipped_kernel(X: Input, K: Input) -> Any:
    """Convolve."""
    return F.conv2d(torch.tensor(X), torch.tensor(K))


def one_nan(X: Input, K: Input) -> Any:
    """Count the results that one NaN reaches."""
    x, k = torch.tensor(X), torch.tensor(K)
    Y = F.conv2d(x, k)
    with torch.backends.mkldnn.flags(enabled=False):
        Z = F.conv2d(x, k)
    return {"with oneDNN": Y.isnan().sum(), "without oneDNN": Z.isnan().sum()}


# --------------------------------------------------------------------------- pooling


def window_too_large(X: Input) -> Any:
    """Pool with a window that does not fit into the image."""
    return F.max_pool2d(torch.tensor(X), 3, stride=1)


def nan_in_window(X: Input) -> Any:
    """Take the maximum of a window with a NaN, and of a window of NaNs."""
    return F.max_pool2d(torch.tensor(X), 2, stride=2)


def minus_infinity(X: Input) -> Any:
    """Take the maximum of minus infinities."""
    return F.max_pool2d(torch.tensor(X), 2)


def average_at_border(X: Input) -> Any:
    """Average windows that hold padding."""
    return F.avg_pool2d(torch.tensor(X), 3, stride=1, padding=1)


def ceil_mode(X: Input) -> Any:
    """Let the last window stick out."""
    return F.max_pool2d(torch.tensor(X), 2, stride=2, padding=1, ceil_mode=True)


def global_average(X: Input) -> Any:
    """Average each channel as a whole."""
    return F.adaptive_avg_pool2d(torch.tensor(X), 1)


def half_average(X: Input) -> Any:
    """Average 256 thousands in half precision."""
    return F.avg_pool2d(torch.tensor(X), 16)


def integer_average(X: Input) -> Any:
    """Average integers."""
    return F.avg_pool2d(torch.tensor(X), 2)


# --------------------------------------------------------------------------- dtypes


def float64_maximum(X: Input) -> Any:
    """Pool an array of float64."""
    return F.max_pool2d(torch.tensor(X), 2)


def array_of_float64(X: Input) -> Any:
    """Make an array of the framework."""
    return torch.tensor(X)


def integers_times_floats(X: Input, K: Input) -> Any:
    """Convolve an image of integers with a kernel of floats."""
    return F.conv2d(torch.tensor(X), torch.tensor(K))


def int8_overflow(X: Input, K: Input) -> Any:
    """Add up four times 100 in eight bits."""
    return F.conv2d(torch.tensor(X), torch.tensor(K))


def denormals(X: Input, K: Input) -> Any:
    """Convolve a number smaller than the smallest normal one."""
    return F.conv2d(torch.tensor(X), torch.tensor(K))


def reversed_image(X: Input, K: Input) -> Any:
    """Convolve an image that NumPy reads backwards."""
    return F.conv2d(torch.from_numpy(X[..., ::-1]), torch.from_numpy(K))


# --------------------------------------------------------------------------- gradients


def loop_gradient(X: Input, K: Input) -> Any:
    """Differentiate the book's loop."""
    x = torch.tensor(X, requires_grad=True)
    k = torch.tensor(K, requires_grad=True)
    Y = torch.zeros((2, 2))
    for i in range(2):
        for j in range(2):
            Y[i, j] = (x[i : i + 2, j : j + 2] * k).sum()
    Y.sum().backward()
    return {"dX": x.grad, "dK": k.grad}


def two_backwards(X: Input, K: Input) -> Any:
    """Ask for the kernel's gradient twice."""
    x, k = torch.tensor(X), torch.tensor(K, requires_grad=True)
    for _ in range(2):
        F.conv2d(x, k).sum().backward()
    return k.grad


def ties(X: Input) -> Any:
    """Differentiate the maximum of equal numbers."""
    x = torch.tensor(X, requires_grad=True)
    x.max().backward()
    return x.grad


def nan_gradient(X: Input) -> Any:
    """Differentiate the maximum of a window with a NaN."""
    x = torch.tensor(X, requires_grad=True)
    Y = F.max_pool2d(x, 2)
    Y.sum().backward()
    return {"Y": Y, "dX": x.grad}


def ceil_gradient(X: Input) -> Any:
    """Differentiate an average whose last windows stick out."""
    x = torch.tensor(X, requires_grad=True)
    Y = F.avg_pool2d(x, 2, stride=2, ceil_mode=True)
    Y.sum().backward()
    return {"Y": Y, "dX": x.grad}


def grouped_gradient(X: Input, K: Input) -> Any:
    """Differentiate a convolution in two groups."""
    x, k = torch.tensor(X), torch.tensor(K, requires_grad=True)
    F.conv2d(x, k, groups=2).sum().backward()
    return k.grad


def dilated_gradient(X: Input, K: Input) -> Any:
    """Differentiate a dilated convolution."""
    x, k = torch.tensor(X), torch.tensor(K, requires_grad=True)
    F.conv2d(x, k, dilation=2).sum().backward()
    return k.grad


def integer_gradient(X: Input, K: Input) -> Any:
    """Differentiate a sum of products of integers."""
    x = torch.tensor(X, requires_grad=True)
    (x * torch.tensor(K)).sum().backward()
    return x.grad


def strided_1x1_training(X: Input, K: Input) -> Any:
    """Compute the gradient of a strided kernel of one element, 500 times."""
    x, k = torch.tensor(X), torch.tensor(K, requires_grad=True)
    for _ in range(500):
        k.grad = None
        F.conv2d(x, k, stride=(1, 2)).sum().backward()
    return k.grad


# --------------------------------------------------------------------------- errors and layers


def error_read_twice(X: Input) -> Any:
    """Read a result again after its error."""
    return F.max_pool2d(torch.tensor(X), 2, stride=1)


def fresh_layer(X: Input) -> Any:
    """Run a layer that nobody has trained on zeros."""
    torch.manual_seed(0)
    return torch.nn.Conv2d(1, 1, 3)(torch.tensor(X))
