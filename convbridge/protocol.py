"""What a backend must supply.

A backend is a package. Its ``__init__.py`` holds ``SPEC``, a
:class:`BackendSpec`, and imports no framework: it may be absent, it may be
heavy, it may be installed and broken. Beside it lie four modules, and two more
that it need not have, which satisfy the protocols below (PEP 544; mypy and a
signature test check them):

``arrays``
    The few array operations that the facade needs.
``chapter``
    The loops as the book teaches them.
``ops``
    The framework's own operators, with convbridge's semantics.
``layers``
    Layers that are at home in the framework.
``listing``, optional
    The book's own listing, and the framework's autograd around it.
``lesson``, optional
    What the chapters do with a layer: give it numbers, train it.

What stands in :class:`PlannedArraysModule` and :class:`PreparedOpsModule` may
be left out: calls are then the same, and their dispatch takes longer.

A backend trusts its arguments. The facade has checked them: four integers of
padding, pairs of integers, arrays of the backend's own type and of one dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from convbridge.geometry import Pair, Sides

__all__ = [
    "Array",
    "ArraysModule",
    "BackendSpec",
    "ChapterModule",
    "Conv2DConfig",
    "LayersModule",
    "LessonModule",
    "ListingModule",
    "OpsModule",
    "PlannedArraysModule",
    "Pool2DConfig",
    "PreparedOpsModule",
]

#: An array of whichever framework; only the backend that owns it knows more.
Array = Any


class BackendSpec(NamedTuple):
    """The facts about a backend that are known without importing its framework.

    Attributes
    ----------
    name : str
        What ``backend=`` and ``CONVBRIDGE_BACKEND`` call it.
    package : str
        Import name of the package that holds the modules.
    framework : str
        Import name of the framework.
    array_types : tuple of str
        ``"module:Class"`` of the framework's tensors; subclasses count too.
    layer_types : tuple of str
        ``"module:Class"`` of the framework's layers.
    symbol_types : tuple of str
        ``"module:Class"`` of what stands for a tensor in a graph and has no
        numbers; functions refuse it.
    symbol_hint : str
        A sentence for that refusal: where such a value can be computed.
    aliases : tuple of str
        Other names for the same backend.
    install_hint : str
        The command that installs the framework.
    unsupported : mapping
        ``"operation"`` or ``"operation[dtype]"`` to the reason why the
        framework cannot do it. The one table of known gaps: it raises the
        run-time error and marks the tests.
    max_elements : int
        The most elements that one of its arrays may hold.
    """

    name: str
    package: str
    framework: str
    array_types: tuple[str, ...] = ()
    layer_types: tuple[str, ...] = ()
    symbol_types: tuple[str, ...] = ()
    symbol_hint: str = ""
    aliases: tuple[str, ...] = ()
    install_hint: str = ""
    unsupported: Mapping[str, str] = {}
    max_elements: int = 2**62


class ArraysModule(Protocol):
    """The smallest set of array operations that ``functional.py`` needs."""

    def asarray(self, obj: Any, dtype: str | None = None, like: Array | None = None) -> Array:
        """Convert a NumPy array, or cast an own tensor, placed where ``like`` lives."""

    def to_numpy(self, x: Array) -> Any:
        """Return a NumPy array with memory of its own."""

    def dtype_name(self, x: Array) -> str:
        """Name the dtype as NumPy spells it."""

    def shape(self, x: Array) -> tuple[Any, ...]:
        """Return the shape; an axis that is not known yet is None."""

    def length(self, x: Array, axis: int) -> Any:
        """Return an axis' length: an int, or a scalar of the running graph."""

    def add_leading_axes(self, x: Array, count: int) -> Array:
        """Put ``count`` axes of length 1 in front."""

    def drop_leading_axes(self, x: Array, count: int) -> Array:
        """Remove ``count`` axes of length 1 from the front."""

    def flip(self, x: Array) -> Array:
        """Reverse the rows and the columns of a matrix."""

    def tensordot(self, a: Array, b: Array) -> Array:
        """Contract the last axis of ``a`` with the first axis of ``b``."""

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        """Give the same elements another, fully known shape."""

    def empty_batch(self, shape: tuple[int, ...], inputs: tuple[Array, ...]) -> Array:
        """Return an array without elements, which still depends on ``inputs``."""

    def zeros(self, shape: tuple[int, ...], like: Array) -> Array:
        """Return zeros of the dtype, and where it lives, of ``like``."""

    def deliver(self, x: Array, like: Array | None) -> Array:
        """Hand a result to the caller: computed, and of the kind of array that ``like`` is."""

    def on_host(self, x: Array) -> bool:
        """Tell whether an array lives in the machine's memory rather than a device's."""

    def survives_fork(self) -> bool:
        """Tell whether an operation works in the forked child of a process that had computed."""

    def devices(self) -> tuple[str, ...]:
        """Name the devices that the framework sees."""


class OpsModule(Protocol):
    """The framework's own operators. X is NCHW or NHWC, the weight always OIHW."""

    def conv2d(
        self,
        X: Array,
        weight: Array,
        bias: Array | None,
        *,
        stride: Pair,
        padding: Sides,
        dilation: Pair,
        groups: int,
        data_format: str,
    ) -> Array:
        """Cross-correlate."""

    def max_pool2d(
        self,
        X: Array,
        pool_size: Pair,
        *,
        stride: Pair,
        padding: Sides,
        dilation: Pair,
        data_format: str,
    ) -> Array:
        """Take the maximum of every window; padding counts as minus infinity."""

    def avg_pool2d(
        self,
        X: Array,
        pool_size: Pair,
        *,
        stride: Pair,
        padding: Sides,
        counted: Sides,
        dilation: Pair,
        data_format: str,
    ) -> Array:
        """Average every window over the image and the ``counted`` part of its padding.

        ``counted is padding`` where every window has the same divisor.
        """

    def conv2d_vjp(
        self,
        X: Array,
        weight: Array,
        bias: Array | None,
        grad_output: Array,
        *,
        stride: Pair,
        padding: Sides,
        dilation: Pair,
        groups: int,
        data_format: str,
    ) -> tuple[Array, Array, Array | None]:
        """Return the gradients of X, weight and bias."""

    def max_pool2d_vjp(
        self,
        X: Array,
        pool_size: Pair,
        grad_output: Array,
        *,
        stride: Pair,
        padding: Sides,
        dilation: Pair,
        data_format: str,
    ) -> Array:
        """Return the gradient of X: each window's goes to the first of its maxima."""

    def avg_pool2d_vjp(
        self,
        X: Array,
        pool_size: Pair,
        grad_output: Array,
        *,
        stride: Pair,
        padding: Sides,
        counted: Sides,
        dilation: Pair,
        data_format: str,
    ) -> Array:
        """Return the gradient of X: each window's is shared by its elements."""


class PlannedArraysModule(ArraysModule, Protocol):
    """Optional: a backend whose calls may be planned, see :mod:`convbridge.dispatch`."""

    @property
    def PLAIN(self) -> tuple[type, ...]:  # noqa: N802  (a constant of the module)
        """The very classes, no subclasses, whose shapes are always known and which ``ops`` computes as they are."""


class PreparedOpsModule(OpsModule, Protocol):
    """Optional: operators for calls whose shapes are known, with all that depends on shapes done once.

    What is returned takes arrays of the classes in ``PLAIN``, of these shapes
    and this dtype, in any layout in memory and on any device, and returns
    what is delivered, bit for bit what the general way gives; or it raises,
    and the call goes the general way. None: always the general way. Either
    function may be left out.
    """

    def prepare_corr2d(
        self, X_shape: tuple[int, ...], K_shape: tuple[int, ...], dtype: str
    ) -> Callable[..., Array] | None:
        """Return what takes (X, K), two matrices."""

    def prepare_conv2d(
        self,
        X_shape: tuple[int, ...],
        weight_shape: tuple[int, ...],
        has_bias: bool,
        dtype: str,
        *,
        stride: Pair,
        padding: Sides,
        dilation: Pair,
        groups: int,
        data_format: str,
    ) -> Callable[..., Array] | None:
        """Return what takes (X, weight, bias); bias is None where ``has_bias`` is false."""


class ChapterModule(Protocol):
    """The book's functions, written as the book writes them."""

    Conv2D: Any

    def corr2d(self, X: Array, K: Array) -> Array:
        """Cross-correlate a matrix with a kernel."""

    def corr2d_multi_in(self, X: Array, K: Array) -> Array:
        """Sum the cross-correlations of all input channels."""

    def corr2d_multi_in_out(self, X: Array, K: Array) -> Array:
        """Stack one such sum for every output channel."""

    def corr2d_multi_in_out_1x1(self, X: Array, K: Array) -> Array:
        """Do the same for 1x1 kernels as a matrix product."""

    def pool2d(self, X: Array, pool_size: Pair, mode: str = "max") -> Array:
        """Pool a matrix with stride 1."""

    def comp_conv2d(self, conv2d: Any, X: Array) -> Array:
        """Add batch and channel, apply a layer, remove them again."""


class LayersModule(Protocol):
    """Layers of the framework's own kind, built from a checked configuration.

    A Conv2D has ``config``, ``weight``, ``bias``, ``get_weights()``,
    ``set_weights(weights)`` and ``to_native()``.
    """

    Conv2D: Any
    MaxPool2D: Any
    AvgPool2D: Any

    def read_native(self, layer: Any) -> tuple[Conv2DConfig, list[Any]]:
        """Read the framework's own convolution layer: its arguments, and its weights as OIHW and (O,).

        Raises an error for a layer of another kind or without weights.
        """

    def apply(self, layer: Any, X: Array) -> Array:
        """Run any layer of the framework on a matrix, adding and removing batch and channel.

        X is a tensor of the framework or a NumPy array, which takes the
        layer's dtype and device.
        """


class ListingModule(Protocol):
    """The book's listing as a reader would type it, and what the framework's autograd makes of functions."""

    def corr2d_in_place(self, X: Array, K: Array) -> Array:
        """Cross-correlate a matrix with a kernel, assigning to elements."""

    def differentiate(self, function: Callable[..., Any], X: Any, K: Any) -> tuple[Any, Any]:
        """Differentiate the sum of ``function(X, K)`` at two NumPy arrays; what the framework raises is passed on.

        Returns NumPy arrays, or None where the framework returns None.
        """


class LessonModule(Protocol):
    """What the chapters do with a layer, by the framework's own means."""

    def fill(self, layer: Any, weight: Any, bias: Any) -> None:
        """Give the chapter's layer a weight (kh, kw) and a bias (1,), NumPy arrays of float32."""

    def learn(
        self, X: Any, Y: Any, weight: Any, learning_rate: float, steps: int, use_bias: bool
    ) -> tuple[Any, float | None, list[float]]:
        """Learn the kernel that turns X (H, W) into Y (H', W'), from a weight (kh, kw); NumPy arrays of one dtype.

        Returns the weight as a NumPy array, the bias or None, and the loss
        before each step.
        """


class Conv2DConfig(NamedTuple):
    """The checked arguments of a convolution layer, the same in every backend."""

    kernel_size: Pair
    in_channels: int
    out_channels: int
    stride: Pair
    padding: Any
    dilation: Pair
    groups: int
    use_bias: bool
    data_format: str
    dtype: str


class Pool2DConfig(NamedTuple):
    """The checked arguments of a pooling layer, the same in every backend."""

    kernel_size: Pair
    stride: Pair
    padding: Any
    dilation: Pair
    ceil_mode: bool
    count_include_pad: bool
    data_format: str
