"""The functions: validate, resolve the backend, call it.

Everything a caller can get wrong is found here, once, in the same words for
every backend; a backend sees four integers of padding, pairs of integers and
arrays of its own of one dtype. The steps are the same in every function:

1. read the arguments that are not arrays (:mod:`convbridge.geometry`);
2. decide who computes (:mod:`convbridge.selection`);
3. read the arrays: what they are, their shapes, the dtype of the computation;
4. resolve padding, check that windows fit and that the result can be held;
5. convert, and call the backend's operator.

A call whose signature has been through all of it before goes straight to 5,
see :mod:`convbridge.dispatch`. So every function first makes a key and looks
for a plan. The key is written out where it is made, for a call of a Python
function costs a fifth of what all of this may.

Of that quick way every exception but a framework's own failure is caught,
because it says nothing about the call: an argument is a list and has no shape,
or raises when asked for one; it has no hash; there is no plan; the plan was not
made for this memory layout or device, which its framework puts into an error of
its own. The whole way then computes, or refuses in convbridge's words. It
starts outside the handler, so that no error which only the quick way saw hangs
on one that a user sees.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from convbridge import memory
from convbridge.dispatch import PLANS, exact
from convbridge.errors import ArgumentTypeError, BackendOperationError, ShapeError, received
from convbridge.geometry import (
    NO_PADDING,
    Padding,
    Pair,
    Sides,
    ceil_overhang,
    check_fit,
    check_pool_padding,
    flag_argument,
    integer,
    needs_size,
    output_size,
    pair,
    parse_padding,
    resolve_padding,
    window_size,
    word_argument,
)
from convbridge.operands import FLOAT_DTYPES, Operands, compute_dtype, host_array
from convbridge.protocol import Array
from convbridge.selection import _choices, framework_of, resolve

__all__ = [
    "asarray",
    "conv2d",
    "convolve2d",
    "corr2d",
    "corr2d_multi_in",
    "corr2d_multi_in_out",
    "corr2d_multi_in_out_1x1",
    "pool2d",
    "to_numpy",
]

DATA_FORMATS = ("NCHW", "NHWC")

# The defaults of conv2d. Small integers and names are the same object everywhere in CPython;
# where they are not, a key is made the longer way, and is as right.
_ZERO, _ONE, _NCHW = 0, 1, "NCHW"

# The choices in force: one object for equal ones.
_choices_now = _choices.get
POOL_MODES = ("max", "avg")


def _spatial_axes(rank: int, data_format: str) -> tuple[int, int]:
    """Return where height and width stand; a matrix has no channels, whatever the format."""
    return (rank - 3, rank - 2) if data_format == "NHWC" and rank > 2 else (rank - 2, rank - 1)


def _fit(
    operands: Operands,
    padding: Padding,
    spatial: tuple[int, int],
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    kernel_name: str,
    *,
    ceil_mode: bool = False,
    pool_padding: Any = None,
) -> tuple[Sides, Sides, tuple[Any, Any]]:
    """Resolve the padding of the operand ``X`` and count the outputs.

    Returns the padding as asked for, the padding with the overhang of ceil
    mode (the same object where there is none), and the output's height and
    width (None where the image's is).
    """
    shape = operands.shapes["X"]
    size = tuple(shape[axis] for axis in spatial)
    if needs_size(padding, stride) and None in size:
        own = operands.backend.arrays
        size_now = tuple(own.length(operands.named["X"], axis) if n is None else n for n, axis in zip(size, spatial))
    else:
        size_now = size
    sides = resolve_padding(padding, (size_now[0], size_now[1]), kernel, stride, dilation)
    ends: list[Any] = []
    outputs: list[Any] = []
    for axis in (0, 1):
        before, after = sides[2 * axis], sides[2 * axis + 1]
        window = window_size(kernel[axis], dilation[axis])
        if pool_padding is not None and type(before) is int:
            check_pool_padding(before, after, window, pool_padding)
        # A graph's scalar comes from "same", whose windows reach the end by themselves.
        if ceil_mode and type(after) is int:
            after += ceil_overhang(window, stride[axis], after)
        n = size[axis]
        if n is None:
            outputs.append(None)
        else:
            check_fit(n, window, before, after, ("height", "width")[axis], kernel_name)
            outputs.append(output_size(n, window, stride[axis], before, after))
        ends += [before, after]
    overhanging = any(now is not asked for now, asked in zip(ends, sides)) and Sides(*ends) != sides
    return sides, Sides(*ends) if overhanging else sides, (outputs[0], outputs[1])


def _check_memory(operands: Operands, sides: Sides, spatial: tuple[int, int], result: tuple[Any, ...]) -> None:
    # A size that only a graph will know is at least 1, and its padding counts in any case.
    padded, least = ([1 if n is None else n for n in sizes] for sizes in (operands.shapes["X"], result))
    if not all(type(n) is int for n in (*padded, *least, *sides)):
        return
    padded[spatial[0]] += sides.top + sides.bottom
    padded[spatial[1]] += sides.left + sides.right
    backend = operands.backend
    on_host = operands.like is None or backend.arrays.on_host(operands.like)
    operands.is_settled = memory.check_size(
        tuple(least), tuple(padded), operands.dtype, backend.spec.max_elements, on_host=on_host
    )


# --------------------------------------------------------------------------- conversion


def asarray(obj: Any, *, dtype: str | None = None, backend: str | None = None) -> Array:
    """Convert to a backend's array; the explicit way from one framework to another.

    Parameters
    ----------
    obj : array_like or tensor
        Nested lists, a NumPy array, a tensor of any framework. The gradient
        of a tensor does not follow it into another framework.
    dtype : str, optional
        Name of a dtype, as NumPy spells it. Default: keep it.
    backend : str, optional
        Where to. Default: the first of ``use_backend``, the framework of
        ``obj``, ``set_backend``, the environment variable, NumPy.

    Returns
    -------
    array
        Of the backend. Its memory is its own, unless ``obj`` already was such
        an array.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For ragged lists, text, objects, complex numbers, an unknown dtype.
    UnsupportedOperationError
        For a dtype that the framework does not have.

    Examples
    --------
    >>> asarray([[1, 2]], dtype="float64", backend="numpy")
    array([[1., 2.]])
    """
    from convbridge.selection import current_choice

    name = dtype if dtype is None else _dtype_argument(dtype)
    owner = framework_of(obj)
    target = resolve(backend if backend is not None else current_choice() or owner)
    own = target.arrays
    if owner is None:
        source: Any = host_array(obj, "obj")
    elif owner == target.name:
        source = obj
    else:
        source = to_numpy(obj)
    stored = own.dtype_name(source) if owner == target.name else source.dtype.name
    compute_dtype(stored, "obj", obj)
    target.start("asarray", name or stored)
    return own.asarray(source, name or stored)


def _dtype_argument(dtype: Any) -> str:
    name = dtype if isinstance(dtype, str) else str(getattr(dtype, "name", None) or getattr(dtype, "__name__", ""))
    if not name.startswith(("float", "bfloat", "int", "uint", "bool")):
        raise ArgumentTypeError(f"dtype must name a real dtype, such as 'float32'. {received(dtype=dtype)}")
    if name != "bfloat16":
        try:
            name = np.dtype(name).name
        except TypeError:
            raise ArgumentTypeError(
                f"dtype must name a real dtype, such as 'float32'. {received(dtype=dtype)}"
            ) from None
    if name not in FLOAT_DTYPES and np.dtype(name).kind not in "biu":
        raise ArgumentTypeError(f"dtype must name a real dtype, such as 'float32'. {received(dtype=dtype)}")
    return name


def to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """Convert anything that convbridge computes with to a NumPy array.

    Parameters
    ----------
    x : array_like or tensor
        Of any framework, on any device.

    Returns
    -------
    numpy.ndarray
        With memory of its own, so writing to it changes nothing else.
        bfloat16 becomes float32, which holds the same values.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For ragged lists, text, objects, complex numbers.

    Examples
    --------
    >>> to_numpy([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    owner = framework_of(x)
    if owner is None:
        return np.array(host_array(x, "x"))
    return np.asarray(resolve(owner).arrays.to_numpy(x))


# --------------------------------------------------------------------------- the general functions


def conv2d(
    X: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    data_format: str = "NCHW",
    backend: str | None = None,
) -> Array:
    """Cross-correlate a batch of images with a bank of kernels.

    Parameters
    ----------
    X : array_like, shape (N, C, H, W), or (N, H, W, C) for ``data_format="NHWC"``
        Images. A batch of zero images is fine.
    weight : array_like, shape (O, C / groups, kh, kw)
        Kernels, in this layout whatever the data format.
    bias : array_like, shape (O,), optional
        Added to each output channel.
    stride : int or (int, int), default 1
        Steps between windows along height and width.
    padding : int, (int, int), ((int, int), (int, int)) or str, default 0
        Zeros around the image: the same on all sides; (height, width);
        ((top, bottom), (left, right)); "valid"; "same" or "same_upper";
        "same_lower"; "chapter". See :func:`convbridge.same_padding`.
    dilation : int or (int, int), default 1
        Distance between the kernel's elements on the image.
    groups : int, default 1
        Blocks of channels that do not see each other; divides C and O.
    data_format : {"NCHW", "NHWC"}, default "NCHW"
        Layout of X and of the result.
    backend : str, optional
        Who computes; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array, shape (N, O, H', W') or (N, H', W', O)
        Of the backend, on the device of the inputs, in the promoted dtype of
        the inputs (integers count as float32). Gradients flow through it.

    Raises
    ------
    ShapeError
        For wrong ranks, channels or groups that do not fit, a kernel larger
        than the padded image, a result too large to hold.
    ArgumentError, ArgumentTypeError
        For other arguments that are out of range or of a wrong type.
    MixedBackendsError
        For tensors of two frameworks.
    UnsupportedOperationError
        For a dtype that the framework cannot compute in.

    Notes
    -----
    Source: *Dive into Deep Learning*, chapter "Convolutional Neural Networks".

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(9).reshape(1, 1, 3, 3)
    >>> K = np.arange(4).reshape(1, 1, 2, 2)
    >>> conv2d(X, K, backend="numpy")
    array([[[[19., 25.],
             [37., 43.]]]], dtype=float32)
    """
    key = None
    try:
        if stride is _ONE and dilation is _ONE and groups is _ONE and data_format is _NCHW:
            # as most calls leave them; to be the same object is to be of the same type
            geometry = None if padding is _ZERO else (exact(padding),)
        else:
            geometry = exact((stride, padding, dilation, groups, data_format))
        key = (
            "conv2d",
            type(X),
            X.shape,
            X.dtype,
            type(weight),
            weight.shape,
            weight.dtype,
            None if bias is None else (type(bias), bias.shape, bias.dtype),
            geometry,
            backend if backend is None else (backend, type(backend)),
            _choices_now(),
        )
        return PLANS[key](X, weight, bias)
    except BackendOperationError:
        raise  # to compute with an array that failed a second time would hide it
    except Exception:
        pass  # that says nothing about the call (see the head of this file): the whole way decides
    return run_conv2d(X, weight, bias, stride, padding, dilation, groups, data_format, backend, key)


def run_conv2d(
    X: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    data_format: Any,
    backend: str | None,
    key: tuple[Any, ...] | None = None,
) -> Array:
    """Go the whole way of :func:`conv2d`; also what a compiler can trace, which cannot follow a context variable."""
    call = read_conv2d(X, weight, bias, stride, padding, dilation, groups, data_format, backend)
    operands = call.operands
    own, ops = operands.backend.arrays, operands.backend.ops
    if call.result[0] == 0 and None not in call.result:
        arrays = operands.arrays("conv2d")
        return own.deliver(own.empty_batch(call.result, tuple(arrays)), operands.like)
    keywords: dict[str, Any] = {
        "stride": call.stride,
        "padding": call.padding,
        "dilation": call.dilation,
        "groups": call.groups,
        "data_format": data_format,
    }
    shapes = (operands.shapes["X"], operands.shapes["weight"], bias is not None, operands.dtype)

    def compute(X: Array, weight: Array, bias: Array | None = None) -> Array:
        return ops.conv2d(X, weight, bias, **keywords)

    def prepare() -> Any:
        make = getattr(ops, "prepare_conv2d", None)
        return None if make is None else make(*shapes, **keywords)

    return operands.run("conv2d", compute, key, prepare)


def check_grad_output(operands: Operands, result: tuple[Any, ...]) -> None:
    """Refuse a ``grad_output`` that has not the shape of the result.

    Parameters
    ----------
    operands : Operands
        With a "grad_output" among them.
    result : tuple
        The shape of the result; None where it is not known yet.

    Raises
    ------
    ShapeError
        With both shapes.

    Examples
    --------
    >>> import numpy as np
    >>> check_grad_output(Operands("numpy", grad_output=np.ones((2, 2))), (2, 2))
    """
    shape = operands.shapes["grad_output"]
    if len(shape) != len(result) or any(a != b for a, b in zip(shape, result) if a is not None and b is not None):
        raise ShapeError(
            f"grad_output must have the shape of the result, {result}. "
            f"{received(grad_output=operands.named['grad_output'])}"
        )


class Conv2DCall(NamedTuple):
    """A call of conv2d that has been checked."""

    operands: Operands
    stride: Pair
    padding: Sides
    dilation: Pair
    groups: int
    result: tuple[Any, ...]


def read_conv2d(
    X: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    data_format: Any,
    backend: str | None,
    grad_output: Any = None,
) -> Conv2DCall:
    """Check the arguments of :func:`conv2d`, and a gradient of its result; work out the geometry."""
    steps, spread = pair(stride, "stride"), pair(dilation, "dilation")
    wanted = parse_padding(padding)
    groups = integer(groups, "groups", 1)
    word_argument(data_format, "data_format", DATA_FORMATS)
    named = {"X": X, "weight": weight}
    if bias is not None:
        named["bias"] = bias
    if grad_output is not None:
        named["grad_output"] = grad_output
    operands = Operands(backend, **named)
    shape = operands.axes("X", (4,), f"({', '.join(data_format)})")
    out_channels, per_group, kh, kw = operands.axes("weight", (4,), "(O, C / groups, kh, kw)", known=True)
    channels = shape[data_format.index("C")]
    if channels is not None and channels != groups * per_group:
        raise ShapeError(
            f"weight must have as many input channels as X divided by groups: X has {channels}, weight {per_group}, "
            f"groups is {groups}. {received(X=X, weight=weight, groups=groups)}"
        )
    if out_channels % groups:
        raise ShapeError(
            f"groups must divide the output channels of weight ({out_channels}). {received(groups=groups)}"
        )
    if bias is not None and operands.axes("bias", (1,), "(O,)") not in ((out_channels,), (None,)):
        raise ShapeError(f"bias must have one element for each output channel ({out_channels}). {received(bias=bias)}")
    spatial = _spatial_axes(4, data_format)
    _, sides, (height, width) = _fit(operands, wanted, spatial, (kh, kw), steps, spread, "weight")
    batch = shape[0]
    result = (batch, out_channels, height, width) if data_format == "NCHW" else (batch, height, width, out_channels)
    _check_memory(operands, sides, spatial, result)
    if grad_output is not None:
        check_grad_output(operands, result)
    return Conv2DCall(operands, steps, sides, spread, groups, result)


def check_conv2d(X: Any, weight_shape: tuple[int, ...], *, backend: str | None = None, **keywords: Any) -> None:
    """Check a call of :func:`conv2d` without computing it; for layers whose framework runs a cached graph.

    Parameters
    ----------
    X : array_like
        As for :func:`conv2d`.
    weight_shape : tuple of int
        (O, C / groups, kh, kw).
    backend : str, optional
        As for :func:`conv2d`.
    **keywords
        stride, padding, dilation, groups and data_format, all of them.

    Raises
    ------
    ShapeError, ArgumentError, ArgumentTypeError, MixedBackendsError
        As for :func:`conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> keywords = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "data_format": "NCHW"}
    >>> check_conv2d(np.ones((1, 1, 3, 3)), (1, 1, 2, 2), **keywords)
    """
    weight = np.broadcast_to(np.float32(0), weight_shape)  # a shape without memory
    read_conv2d(X, weight, None, backend=backend, **keywords)


def pool2d(
    X: Any,
    pool_size: Any,
    mode: str = "max",
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    data_format: str = "NCHW",
    backend: str | None = None,
) -> Array:
    """Pool every window of an image to its maximum or its average.

    Parameters
    ----------
    X : array_like, shape (H, W), (C, H, W) or (N, C, H, W)
        One image or a batch; with ``data_format="NHWC"`` the channels come
        last.
    pool_size : int or (int, int)
        Height and width of the window.
    mode : {"max", "avg"}, default "max"
        A NaN in a window is its maximum and its average.
    stride : int, (int, int) or None, default 1
        Steps between windows; None means ``pool_size``.
    padding : int, (int, int), ((int, int), (int, int)) or str, default 0
        As for :func:`conv2d`; each side smaller than the window. Padding is
        minus infinity for "max", zero for "avg".
    dilation : int or (int, int), default 1
        Distance between the window's elements on the image.
    ceil_mode : bool, default False
        Keep a last window that sticks out at the end, if it starts inside the
        image or its leading padding.
    count_include_pad : bool, default True
        Whether padding counts in an average's divisor. What sticks out in
        ceil mode never counts.
    data_format : {"NCHW", "NHWC"}, default "NCHW"
        Layout of X and of the result.
    backend : str, optional
        Who computes; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array
        With the axes of X. Ties of a maximum send the gradient to the first
        element of the window in row-major order.

    Raises
    ------
    ShapeError
        For a wrong rank, a window larger than the padded image, a result too
        large to hold.
    ArgumentError, ArgumentTypeError
        For other arguments that are out of range or of a wrong type.
    UnsupportedOperationError
        For a dtype that the framework cannot compute in.

    Notes
    -----
    Source: *Dive into Deep Learning*, section "Pooling".

    Examples
    --------
    >>> X = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    >>> pool2d(X, 2, backend="numpy")
    array([[4., 5.],
           [7., 8.]], dtype=float32)
    >>> pool2d(X, 2, "avg", backend="numpy")
    array([[2., 3.],
           [5., 6.]], dtype=float32)
    """
    key = None
    try:
        arguments = (pool_size, mode, stride, padding, dilation, ceil_mode, count_include_pad, data_format, backend)
        key = ("pool2d", type(X), X.shape, X.dtype, exact(arguments), _choices_now())
        return PLANS[key](X)
    except BackendOperationError:
        raise  # to compute with an array that failed a second time would hide it
    except Exception:
        pass  # that says nothing about the call (see the head of this file): the whole way decides
    return run_pool2d(
        X, pool_size, mode, stride, padding, dilation, ceil_mode, count_include_pad, data_format, backend, key
    )


def run_pool2d(
    X: Any,
    pool_size: Any,
    mode: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    data_format: Any,
    backend: str | None,
    key: tuple[Any, ...] | None = None,
) -> Array:
    """Go the whole way of :func:`pool2d`; also what a compiler can trace, which cannot follow a context variable."""
    call = read_pool2d(
        X, pool_size, mode, stride, padding, dilation, ceil_mode, count_include_pad, data_format, backend
    )
    operands = call.operands
    own = operands.backend.arrays
    operation = f"{mode}_pool2d"
    operator = getattr(operands.backend.ops, operation)
    rank = len(call.result)
    if rank == 4 and call.result[0] == 0 and None not in call.result:
        return own.deliver(own.empty_batch(call.result, tuple(operands.arrays(operation))), operands.like)
    keywords: dict[str, Any] = {
        "stride": call.stride,
        "padding": call.padding,
        "dilation": call.dilation,
        "data_format": "NCHW" if rank == 2 else data_format,
    }
    if mode == "avg":
        keywords["counted"] = call.counted
    kernel = call.kernel

    def compute(image: Array) -> Array:
        pooled = operator(own.add_leading_axes(image, 4 - rank), kernel, **keywords)
        return own.drop_leading_axes(pooled, 4 - rank)

    return operands.run(operation, compute, key)


class Pool2DCall(NamedTuple):
    """A call of pool2d that has been checked."""

    operands: Operands
    kernel: Pair
    stride: Pair
    padding: Sides
    counted: Sides
    dilation: Pair
    result: tuple[Any, ...]


def read_pool2d(
    X: Any,
    pool_size: Any,
    mode: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    data_format: Any,
    backend: str | None,
    grad_output: Any = None,
) -> Pool2DCall:
    """Check the arguments of :func:`pool2d`, and a gradient of its result; work out the geometry."""
    kernel = pair(pool_size, "pool_size")
    steps = kernel if stride is None else pair(stride, "stride")
    spread = pair(dilation, "dilation")
    wanted = parse_padding(padding)
    word_argument(mode, "mode", POOL_MODES)
    ceil_mode = flag_argument(ceil_mode, "ceil_mode")
    count_include_pad = flag_argument(count_include_pad, "count_include_pad")
    word_argument(data_format, "data_format", DATA_FORMATS)
    operands = Operands(backend, X=X) if grad_output is None else Operands(backend, X=X, grad_output=grad_output)
    layout = "(N, C, H, W), (C, H, W) or (H, W)" if data_format == "NCHW" else "(N, H, W, C), (H, W, C) or (H, W)"
    shape = operands.axes("X", (2, 3, 4), layout)
    spatial = _spatial_axes(len(shape), data_format)
    asked, sides, (height, width) = _fit(
        operands, wanted, spatial, kernel, steps, spread, "pool_size", ceil_mode=ceil_mode, pool_padding=padding
    )
    result = list(shape)
    result[spatial[0]], result[spatial[1]] = height, width
    _check_memory(operands, sides, spatial, tuple(result))
    if grad_output is not None:
        check_grad_output(operands, tuple(result))
    counted = asked if count_include_pad else NO_PADDING
    # the same object where every window has the same divisor, which spares backends the counting
    counted = sides if all(type(side) is int for side in sides) and counted == sides else counted
    return Pool2DCall(operands, kernel, steps, sides, counted, spread, tuple(result))


def check_pool2d(X: Any, pool_size: Any, mode: str, *, backend: str | None = None, **keywords: Any) -> None:
    """Check a call of :func:`pool2d` without computing it; for layers whose framework runs a cached graph.

    Parameters
    ----------
    X, pool_size, mode
        As for :func:`pool2d`.
    backend : str, optional
        As for :func:`pool2d`.
    **keywords
        stride, padding, dilation, ceil_mode, count_include_pad and
        data_format, all of them.

    Raises
    ------
    ShapeError, ArgumentError, ArgumentTypeError
        As for :func:`pool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> flags = {"ceil_mode": False, "count_include_pad": True, "data_format": "NCHW"}
    >>> check_pool2d(np.ones((3, 3)), 2, "max", stride=1, padding=0, dilation=1, **flags)
    """
    read_pool2d(X, pool_size, mode, backend=backend, **keywords)


# --------------------------------------------------------------------------- the chapters' functions


def _recall(name: str, X: Any, K: Any, backend: str | None) -> tuple[tuple[Any, ...] | None, Array | None]:
    """Return a call's key and, if there is a plan, its result; None for what there is not."""
    key = None
    try:
        key = (name, type(X), X.shape, X.dtype, type(K), K.shape, K.dtype, backend, type(backend), _choices_now())
        return key, PLANS[key](X, K)
    except BackendOperationError:
        raise
    except Exception:
        return key, None  # as in conv2d


def _correlate(
    operands: Operands,
    x_axes: int,
    k_axes: int,
    kernel: tuple[Any, ...],
    key: tuple[Any, ...] | None,
    *,
    flip: bool = False,
) -> Array:
    """Run conv2d on arrays that lack leading axes, and remove those axes again."""
    shape = operands.shapes["X"]
    spatial = (len(shape) - 2, len(shape) - 1)
    size = (kernel[-2], kernel[-1])
    _, sides, (height, width) = _fit(operands, Padding(NO_PADDING, ""), spatial, size, (1, 1), (1, 1), "K")
    _check_memory(operands, sides, spatial, (kernel[0] if k_axes == 0 else 1, height, width))
    own, ops = operands.backend.arrays, operands.backend.ops
    shapes = (shape, kernel, operands.dtype)

    def compute(image: Array, weight: Array) -> Array:
        result = ops.conv2d(
            own.add_leading_axes(image, x_axes),
            own.add_leading_axes(own.flip(weight) if flip else weight, k_axes),
            None,
            stride=(1, 1),
            padding=NO_PADDING,
            dilation=(1, 1),
            groups=1,
            data_format="NCHW",
        )
        return own.drop_leading_axes(result, 1 if k_axes == 0 else 2)

    def prepare() -> Any:
        make = None if flip or k_axes != 2 else getattr(ops, "prepare_corr2d", None)
        return None if make is None else make(*shapes)

    return operands.run("conv2d", compute, key, prepare)


def check_channels(operands: Operands, image: tuple[Any, ...], kernel_channels: int) -> None:
    if image[0] is not None and image[0] != kernel_channels:
        raise ShapeError(
            f"K must have as many input channels as X ({image[0]}), not {kernel_channels}. {received(**operands.named)}"
        )


def corr2d(X: Any, K: Any, *, backend: str | None = None) -> Array:
    """Cross-correlate a matrix with a kernel.

    Parameters
    ----------
    X : array_like, shape (H, W)
        The image.
    K : array_like, shape (kh, kw)
        The kernel.
    backend : str, optional
        Who computes; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array, shape (H - kh + 1, W - kw + 1)

    Raises
    ------
    ShapeError
        For other ranks, and for a kernel larger than the image.
    ArgumentTypeError, MixedBackendsError, UnsupportedOperationError
        As for :func:`conv2d`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "The Cross-Correlation Operation".

    Examples
    --------
    >>> corr2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]], backend="numpy")
    array([[19., 25.],
           [37., 43.]], dtype=float32)
    """
    key = None
    try:
        key = (
            "corr2d",
            type(X),
            X.shape,
            X.dtype,
            type(K),
            K.shape,
            K.dtype,
            backend if backend is None else (backend, type(backend)),
            _choices_now(),
        )
        return PLANS[key](X, K)
    except BackendOperationError:
        raise  # to compute with an array that failed a second time would hide it
    except Exception:
        pass  # that says nothing about the call (see the head of this file): the whole way decides
    operands = Operands(backend, X=X, K=K)
    operands.axes("X", (2,), "(H, W)")
    kernel = operands.axes("K", (2,), "(kh, kw)", known=True)
    return _correlate(operands, 2, 2, kernel, key)


def convolve2d(X: Any, K: Any, *, backend: str | None = None) -> Array:
    """Convolve a matrix with a kernel: :func:`corr2d` with K flipped both ways.

    Parameters
    ----------
    X : array_like, shape (H, W)
        The image.
    K : array_like, shape (kh, kw)
        The kernel.
    backend : str, optional
        Who computes; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array, shape (H - kh + 1, W - kw + 1)

    Raises
    ------
    ShapeError
        For other ranks, and for a kernel larger than the image.
    ArgumentTypeError, MixedBackendsError, UnsupportedOperationError
        As for :func:`conv2d`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Cross-Correlation and Convolution".

    Examples
    --------
    >>> convolve2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]], backend="numpy")
    array([[ 5., 11.],
           [23., 29.]], dtype=float32)
    """
    key, result = _recall("convolve2d", X, K, backend)
    if result is not None:
        return result
    operands = Operands(backend, X=X, K=K)
    operands.axes("X", (2,), "(H, W)")
    kernel = operands.axes("K", (2,), "(kh, kw)", known=True)
    return _correlate(operands, 2, 2, kernel, key, flip=True)


def corr2d_multi_in(X: Any, K: Any, *, backend: str | None = None) -> Array:
    """Cross-correlate each input channel with its kernel, and sum.

    Parameters
    ----------
    X : array_like, shape (C, H, W)
        The image.
    K : array_like, shape (C, kh, kw)
        One kernel a channel.
    backend : str, optional
        Who computes; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array, shape (H - kh + 1, W - kw + 1)

    Raises
    ------
    ShapeError
        For other ranks, different channels, a kernel larger than the image.
    ArgumentTypeError, MixedBackendsError, UnsupportedOperationError
        As for :func:`conv2d`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Multiple Input Channels".

    Examples
    --------
    >>> import numpy as np
    >>> X, K = np.arange(9).reshape(3, 3), np.arange(4).reshape(2, 2)
    >>> corr2d_multi_in(np.stack([X, X + 1]), np.stack([K, K + 1]), backend="numpy")
    array([[ 56.,  72.],
           [104., 120.]], dtype=float32)
    """
    key, result = _recall("corr2d_multi_in", X, K, backend)
    if result is not None:
        return result
    operands = Operands(backend, X=X, K=K)
    image = operands.axes("X", (3,), "(C, H, W)")
    kernel = operands.axes("K", (3,), "(C, kh, kw)", known=True)
    check_channels(operands, image, kernel[0])
    return _correlate(operands, 1, 1, kernel, key)


def corr2d_multi_in_out(X: Any, K: Any, *, backend: str | None = None) -> Array:
    """Cross-correlate with one set of kernels for each output channel.

    Parameters
    ----------
    X : array_like, shape (C, H, W)
        The image.
    K : array_like, shape (O, C, kh, kw)
        The kernels.
    backend : str, optional
        Who computes; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array, shape (O, H - kh + 1, W - kw + 1)

    Raises
    ------
    ShapeError
        For other ranks, different channels, a kernel larger than the image.
    ArgumentTypeError, MixedBackendsError, UnsupportedOperationError
        As for :func:`conv2d`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Multiple Output Channels".

    Examples
    --------
    >>> import numpy as np
    >>> X, K = np.arange(9).reshape(1, 3, 3), np.arange(4).reshape(1, 2, 2)
    >>> corr2d_multi_in_out(X, np.stack([K, K + 1]), backend="numpy")
    array([[[19., 25.],
            [37., 43.]],
    <BLANKLINE>
           [[27., 37.],
            [57., 67.]]], dtype=float32)
    """
    key, result = _recall("corr2d_multi_in_out", X, K, backend)
    if result is not None:
        return result
    operands = Operands(backend, X=X, K=K)
    image = operands.axes("X", (3,), "(C, H, W)")
    kernel = operands.axes("K", (4,), "(O, C, kh, kw)", known=True)
    check_channels(operands, image, kernel[1])
    return _correlate(operands, 1, 0, kernel, key)


def corr2d_multi_in_out_1x1(X: Any, K: Any, *, backend: str | None = None) -> Array:
    """Compute :func:`corr2d_multi_in_out` for 1x1 kernels, as one matrix product.

    Parameters
    ----------
    X : array_like, shape (C, H, W)
        The image; its pixels are the columns of a matrix of C rows.
    K : array_like, shape (O, C, 1, 1)
        The kernels: a matrix of O rows and C columns.
    backend : str, optional
        Who computes; default as in :mod:`convbridge.selection`.

    Returns
    -------
    array, shape (O, H, W)

    Raises
    ------
    ShapeError
        For other ranks, different channels, a kernel that is not 1x1.
    ArgumentTypeError, MixedBackendsError, UnsupportedOperationError
        As for :func:`conv2d`.

    Notes
    -----
    Source: *Dive into Deep Learning*, "1 x 1 Convolutional Layer".

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(8).reshape(2, 2, 2)
    >>> corr2d_multi_in_out_1x1(X, [[[[1]], [[10]]]], backend="numpy")
    array([[[40., 51.],
            [62., 73.]]], dtype=float32)
    """
    key, result = _recall("corr2d_multi_in_out_1x1", X, K, backend)
    if result is not None:
        return result
    operands = Operands(backend, X=X, K=K)
    image = operands.axes("X", (3,), "(C, H, W)")
    kernel = operands.axes("K", (4,), "(O, C, 1, 1)", known=True)
    if kernel[2:] != (1, 1):
        raise ShapeError(f"K must be of height and width 1. {received(K=K)}")
    check_channels(operands, image, kernel[1])
    _check_memory(operands, NO_PADDING, (1, 2), (kernel[0], *image[1:]))
    own = operands.backend.arrays

    def compute(image: Array, weight: Array) -> Array:
        return own.tensordot(own.reshape(weight, (kernel[0], kernel[1])), image)

    return operands.run("conv2d", compute, key)
