"""Kernels designed by hand: edges, derivatives, blurs, sharpening.

Each function returns a matrix, ready to be the ``K`` of
:func:`convbridge.corr2d`, and says where its numbers come from. What may live
here: a function from a few arguments to a fixed matrix of weights, and the
names under which the command line knows it (:func:`named`).

Three conventions hold throughout:

* kernels are meant for **cross-correlation**: the weight at ``[i, j]``
  multiplies the pixel at ``[i, j]`` of the window;
* ``axis`` is the axis *along which the kernel looks for change*, as in NumPy:
  ``axis=1`` differentiates along a row, from left to right, and so finds
  vertical edges; ``axis=0`` differentiates from top to bottom;
* arrays are float64 unless ``dtype`` says otherwise.

References
----------
.. [1] A. Zhang, Z. C. Lipton, M. Li and A. J. Smola, *Dive into Deep
   Learning*, "Convolutions for Images", with its exercises.
.. [2] R. C. Gonzalez and R. E. Woods, *Digital Image Processing*, 4th ed.,
   Pearson, 2018, chapters 3 and 10.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from convbridge.errors import ArgumentError, ArgumentTypeError, received
from convbridge.geometry import integer, pair

__all__ = [
    "Design",
    "binomial",
    "box",
    "derivative",
    "designs",
    "diagonal_edges",
    "emboss",
    "gaussian",
    "horizontal_edges",
    "identity",
    "integral",
    "laplacian",
    "laplacian_of_gaussian",
    "named",
    "names",
    "prewitt",
    "scharr",
    "second_derivative",
    "sharpen",
    "sobel",
    "vertical_edges",
]

Kernel = np.ndarray[Any, np.dtype[Any]]

#: A kernel beyond this many elements along one axis is a slip of the pen.
LARGEST = 4096

#: The largest order whose binomial coefficients, and their sum, are exact in float64.
HIGHEST_ORDER = 52


# --------------------------------------------------------------------------- arguments


def _finish(weights: Any, dtype: Any) -> Kernel:
    """Store weights in the dtype that was asked for, if it can hold them."""
    exact = np.asarray(weights, np.float64)
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        raise ArgumentTypeError(f"dtype must name a real dtype, such as 'float32'. {received(dtype=dtype)}") from None
    if wanted.kind not in "if":
        raise ArgumentTypeError(f"dtype must be a float or a signed integer. {received(dtype=dtype)}")
    stored = exact.astype(wanted)
    if wanted.kind == "i" and not np.array_equal(stored, exact):
        raise ArgumentError(f"dtype must be a float for a kernel whose weights are fractions. {received(dtype=dtype)}")
    return stored


def _axis(axis: Any) -> int:
    number = integer(axis, "axis", 0)
    if number > 1:
        raise ArgumentError(f"axis must be 0 (top to bottom) or 1 (left to right). {received(axis=axis)}")
    return number


def _along(weights: Any, axis: Any) -> Any:
    """Turn a kernel that looks along the rows to look along ``axis``."""
    matrix = np.atleast_2d(np.asarray(weights, np.float64))
    return matrix if _axis(axis) == 1 else matrix.T


def _size(size: Any, *, odd: bool = False) -> tuple[int, int]:
    height, width = pair(size, "size")
    if max(height, width) > LARGEST:
        raise ArgumentError(f"size must be at most {LARGEST}. {received(size=size)}")
    if odd and not (height % 2 and width % 2):
        raise ArgumentError(f"size must be odd, so that there is a middle. {received(size=size)}")
    return height, width


def _neighbours(neighbours: Any) -> int:
    number = integer(neighbours, "neighbours", 1)
    if number not in (4, 8):
        raise ArgumentError(f"neighbours must be 4 or 8. {received(neighbours=neighbours)}")
    return number


def _positive(value: Any, name: str) -> float:
    """Return a finite float greater than zero."""
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise ArgumentTypeError(f"{name} must be a number. {received(**{name: value})}")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentTypeError(f"{name} must be a number. {received(**{name: value})}") from None
    if not (0 < number < math.inf):
        raise ArgumentError(f"{name} must be finite and greater than 0. {received(**{name: value})}")
    return number


# --------------------------------------------------------------------------- edges and derivatives


def vertical_edges(*, dtype: Any = "float64") -> Kernel:
    """Return the chapter's edge detector: a pixel minus its right neighbour.

    Parameters
    ----------
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (1, 2)
        ``[[1, -1]]``: 1 where white turns black going right, -1 where black
        turns white. It is ``-derivative(1)``.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Object Edge Detection in Images" [1]_.

    Examples
    --------
    >>> import convbridge
    >>> X = [[1, 1, 0, 0, 0, 0, 1, 1]]
    >>> convbridge.corr2d(X, vertical_edges(), backend="numpy").tolist()
    [[0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0]]
    """
    return _finish([[1, -1]], dtype)


def horizontal_edges(*, dtype: Any = "float64") -> Kernel:
    """Return the chapter's edge detector, transposed: a pixel minus the one below.

    Parameters
    ----------
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (2, 1)

    Notes
    -----
    Source: *Dive into Deep Learning*, "Convolutions for Images", exercise on
    transposing K [1]_.

    Examples
    --------
    >>> horizontal_edges().tolist()
    [[1.0], [-1.0]]
    """
    return _finish([[1], [-1]], dtype)


def diagonal_edges(*, anti: bool = False, dtype: Any = "float64") -> Kernel:
    """Return Roberts' cross: a pixel minus its diagonal neighbour.

    Parameters
    ----------
    anti : bool, default False
        False compares with the neighbour below right, True the one on the
        right with the one below.
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (2, 2)

    Notes
    -----
    An answer to the chapter's exercise on diagonal edges [1]_. Source: L. G.
    Roberts, "Machine perception of three-dimensional solids", MIT, 1963.

    Examples
    --------
    >>> diagonal_edges().tolist()
    [[1.0, 0.0], [0.0, -1.0]]
    >>> diagonal_edges(anti=True).tolist()
    [[0.0, 1.0], [-1.0, 0.0]]
    """
    if not isinstance(anti, (bool, np.bool_)):
        raise ArgumentTypeError(f"anti must be True or False. {received(anti=anti)}")
    return _finish([[0, 1], [-1, 0]] if anti else [[1, 0], [0, -1]], dtype)


def derivative(order: int, *, axis: int = 1, dtype: Any = "float64") -> Kernel:
    """Return the smallest kernel for a derivative of a given order.

    Parameters
    ----------
    order : int
        How often to differentiate, from 1 to 52.
    axis : {0, 1}, default 1
        Along which to differentiate; 1 is left to right.
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (1, order + 1) or (order + 1, 1)
        The binomial coefficients with alternating signs, the last one
        positive. Cross-correlating with it is the forward difference, applied
        ``order`` times, that is ``numpy.diff(X, order, axis)``.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For an order that is not an integer of that range, or another axis.

    Notes
    -----
    ``order + 1`` weights are the fewest possible: a derivative of order d is
    zero on every polynomial of a lower degree, which d weights can only be if
    all are zero. Source: *Dive into Deep Learning*, "Convolutions for Images",
    exercise "What is the minimum size of a kernel to obtain a derivative of
    degree d?" [1]_.

    Examples
    --------
    >>> derivative(1).tolist(), derivative(3).tolist()
    ([[-1.0, 1.0]], [[-1.0, 3.0, -3.0, 1.0]])

    Sampled at whole numbers, x**2 has the second difference 2:

    >>> import convbridge
    >>> convbridge.corr2d([[0, 1, 4, 9, 16]], derivative(2), backend="numpy").tolist()
    [[2.0, 2.0, 2.0]]
    """
    degree = integer(order, "order", 1)
    if degree > HIGHEST_ORDER:
        raise ArgumentError(
            f"order must be at most {HIGHEST_ORDER}, so that every weight is exact in float64. {received(order=order)}"
        )
    weights = [(-1) ** (degree - k) * math.comb(degree, k) for k in range(degree + 1)]
    return _finish(_along(weights, axis), dtype)


def second_derivative(*, axis: int = 1, dtype: Any = "float64") -> Kernel:
    """Return the kernel of the second derivative.

    Parameters
    ----------
    axis : {0, 1}, default 1
        Along which to differentiate; 1 is left to right.
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (1, 3) or (3, 1)
        ``[[1, -2, 1]]``, which is ``derivative(2)``.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Convolutions for Images", exercise
    "What is the form of a kernel for the second derivative?" [1]_.

    Examples
    --------
    >>> second_derivative().tolist()
    [[1.0, -2.0, 1.0]]
    """
    return derivative(2, axis=axis, dtype=dtype)


def _smoothed_difference(weights: tuple[int, int, int], axis: Any, dtype: Any) -> Kernel:
    """Differentiate along one axis over two pixels, smooth along the other."""
    return _finish(_along(np.outer(weights, (-1, 0, 1)), axis), dtype)


def sobel(*, axis: int = 1, dtype: Any = "float64") -> Kernel:
    """Return Sobel's operator: a central difference, smoothed by (1, 2, 1).

    Parameters
    ----------
    axis : {0, 1}, default 1
        Along which to differentiate; 1 finds vertical edges.
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (3, 3)
        Divide by 8 for the derivative in units of one pixel.

    Notes
    -----
    Source: I. Sobel and G. Feldman, "A 3x3 isotropic gradient operator for
    image processing", Stanford Artificial Intelligence Project, 1968.

    Examples
    --------
    >>> sobel().tolist()
    [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]
    """
    return _smoothed_difference((1, 2, 1), axis, dtype)


def prewitt(*, axis: int = 1, dtype: Any = "float64") -> Kernel:
    """Return Prewitt's operator: a central difference, averaged over three lines.

    Parameters
    ----------
    axis : {0, 1}, default 1
        Along which to differentiate; 1 finds vertical edges.
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (3, 3)

    Notes
    -----
    Source: J. M. S. Prewitt, "Object enhancement and extraction", in *Picture
    Processing and Psychopictorics*, Academic Press, 1970.

    Examples
    --------
    >>> prewitt(axis=0).tolist()
    [[-1.0, -1.0, -1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    return _smoothed_difference((1, 1, 1), axis, dtype)


def scharr(*, axis: int = 1, dtype: Any = "float64") -> Kernel:
    """Return Scharr's operator: a central difference, smoothed by (3, 10, 3).

    Parameters
    ----------
    axis : {0, 1}, default 1
        Along which to differentiate; 1 finds vertical edges.
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (3, 3)
        The direction of a gradient measured with it depends less on the
        direction than with :func:`sobel`.

    Notes
    -----
    Source: H. Scharr, "Optimal operators in digital image processing",
    dissertation, Heidelberg, 2000.

    Examples
    --------
    >>> scharr()[1].tolist()
    [-10.0, 0.0, 10.0]
    """
    return _smoothed_difference((3, 10, 3), axis, dtype)


def laplacian(*, neighbours: int = 4, dtype: Any = "float64") -> Kernel:
    """Return the Laplacian: the sum of the neighbours minus as many times the middle.

    Parameters
    ----------
    neighbours : {4, 8}, default 4
        Whether the diagonal neighbours count.
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (3, 3)
        With 4 neighbours, the sum of the second derivatives along both axes.

    Notes
    -----
    Source: Gonzalez and Woods, section "Using the Second Derivative for Image
    Sharpening" [2]_.

    Examples
    --------
    >>> laplacian().tolist()
    [[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]
    >>> laplacian(neighbours=8)[1].tolist()
    [1.0, -8.0, 1.0]
    """
    if _neighbours(neighbours) == 4:
        return _finish([[0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype)
    return _finish([[1, 1, 1], [1, -8, 1], [1, 1, 1]], dtype)


def laplacian_of_gaussian(sigma: float = 1.4, *, size: Any = None, dtype: Any = "float64") -> Kernel:
    """Return the Laplacian of a Gaussian, which smooths before it differentiates.

    Parameters
    ----------
    sigma : float, default 1.4
        Standard deviation of the Gaussian, in pixels, at least 0.25 (a
        narrower one falls between the pixels).
    size : int or (int, int), optional
        Odd. Default: four standard deviations to each side.
    dtype : str, default "float64"
        A float dtype.

    Returns
    -------
    numpy.ndarray
        Sampled at the pixels and shifted to a sum of zero, so that a constant
        image becomes zero.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For a sigma out of range, or an even size.

    Notes
    -----
    Source: D. Marr and E. Hildreth, "Theory of edge detection", Proceedings of
    the Royal Society B 207, 1980.

    Examples
    --------
    >>> K = laplacian_of_gaussian(1.4)
    >>> K.shape, bool(abs(K.sum()) < 1e-15), bool(K[6, 6] < 0)
    ((13, 13), True, True)
    """
    spread = _positive(sigma, "sigma")
    if not 0.25 <= spread <= LARGEST:
        raise ArgumentError(f"sigma must be between 0.25 and {LARGEST}. {received(sigma=sigma)}")
    height, width = _size(_reach(spread, 4.0) if size is None else size, odd=True)
    squares = _grid(height)[:, None] ** 2 + _grid(width) ** 2
    bell = np.exp(-squares / (2 * spread**2))
    weights = (squares - 2 * spread**2) / spread**4 * bell / bell.sum()
    return _finish(weights - weights.mean(), dtype)


# --------------------------------------------------------------------------- smoothing


def _grid(size: int) -> Any:
    """Return the pixels' distances from the middle."""
    return np.arange(size) - (size - 1) / 2


def _reach(sigma: float, deviations: float) -> int:
    """Return the odd size that covers some standard deviations to each side."""
    half = math.ceil(deviations * sigma)
    if 2 * half + 1 > LARGEST:
        raise ArgumentError(f"sigma must give a kernel of at most {LARGEST} pixels. {received(sigma=sigma)}")
    return 2 * half + 1


def box(size: Any = 3, *, dtype: Any = "float64") -> Kernel:
    """Return the average over a window, the box blur.

    Parameters
    ----------
    size : int or (int, int), default 3
        Height and width of the window.
    dtype : str, default "float64"
        A float dtype.

    Returns
    -------
    numpy.ndarray, shape (height, width)
        Equal weights that sum to 1. Average pooling with stride 1 is
        cross-correlation with it.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For a size that is not made of positive integers.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Convolutions for Images", exercise on
    blur kernels, and "Pooling" [1]_.

    Examples
    --------
    >>> box(2).tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    height, width = _size(size)
    return _finish(np.full((height, width), 1 / (height * width)), dtype)


def integral(size: Any = 3, *, dtype: Any = "float64") -> Kernel:
    """Return the sum over a window, the discrete integral.

    Parameters
    ----------
    size : int or (int, int), default 3
        Height and width of the window.
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (height, width)
        Ones: :func:`box` times the number of pixels.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For a size that is not made of positive integers.

    Notes
    -----
    Source: *Dive into Deep Learning*, "Convolutions for Images", exercise "How
    would you design a kernel for an integral?" [1]_.

    Examples
    --------
    >>> integral((1, 3)).tolist()
    [[1.0, 1.0, 1.0]]
    """
    return _finish(np.ones(_size(size)), dtype)


def gaussian(size: Any = None, *, sigma: float | None = None, dtype: Any = "float64") -> Kernel:
    """Return a Gaussian blur.

    Parameters
    ----------
    size : int or (int, int), optional
        Height and width. Default: three standard deviations to each side, or
        5 if ``sigma`` is not given either.
    sigma : float, optional
        Standard deviation in pixels. Default: ``0.3 * ((size - 1) / 2 - 1) +
        0.8`` along each axis, the rule of OpenCV's ``getGaussianKernel``.
    dtype : str, default "float64"
        A float dtype.

    Returns
    -------
    numpy.ndarray, shape (height, width)
        The bell curve sampled at the pixels, scaled to a sum of 1.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For a size that is not made of positive integers, or a sigma that is
        not greater than 0.

    Notes
    -----
    Source: Gonzalez and Woods, section "Lowpass Gaussian Filter Kernels" [2]_.

    Examples
    --------
    >>> K = gaussian(3, sigma=1.0)
    >>> K.round(4).tolist()
    [[0.0751, 0.1238, 0.0751], [0.1238, 0.2042, 0.1238], [0.0751, 0.1238, 0.0751]]
    >>> gaussian(sigma=1.5).shape
    (11, 11)
    """
    spread = None if sigma is None else _positive(sigma, "sigma")
    if size is None:
        size = 5 if spread is None else _reach(spread, 3.0)
    height, width = _size(size)
    return _finish(np.outer(_bell(height, spread), _bell(width, spread)), dtype)


def _bell(size: int, sigma: float | None) -> Any:
    """Sample a bell curve that sums to 1."""
    deviation = 0.3 * ((size - 1) / 2 - 1) + 0.8 if sigma is None else sigma
    distance = np.abs(_grid(size))
    with np.errstate(over="ignore"):
        # Measured from the pixels next to the middle, so that the narrowest bell of even size is no 0 / 0.
        exponent = (distance - distance.min()) * (distance + distance.min()) / 2
        bell = np.exp(-((np.sqrt(exponent) / deviation) ** 2))
    return bell / bell.sum()


def binomial(size: Any = 3, *, dtype: Any = "float64") -> Kernel:
    """Return the binomial blur: Pascal's triangle, the Gaussian of whole numbers.

    Parameters
    ----------
    size : int or (int, int), default 3
        Height and width, each at most 53.
    dtype : str, default "float64"
        A float dtype.

    Returns
    -------
    numpy.ndarray, shape (height, width)
        Binomial coefficients divided by a power of two, so every weight is
        exact. It is the average of 2 applied ``size - 1`` times.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For a size that is not made of integers of that range.

    Notes
    -----
    Source: B. Jähne, *Digital Image Processing*, 6th ed., Springer, 2005,
    section "Binomial Filter".

    Examples
    --------
    >>> (binomial(3) * 16).tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    height, width = _size(size)
    if max(height, width) > HIGHEST_ORDER + 1:
        raise ArgumentError(f"size must be at most {HIGHEST_ORDER + 1}. {received(size=size)}")
    column, row = ([math.comb(n - 1, k) / 2 ** (n - 1) for k in range(n)] for n in (height, width))
    return _finish(np.outer(np.array(column), np.array(row)), dtype)


# --------------------------------------------------------------------------- others


def identity(size: Any = 3, *, dtype: Any = "float64") -> Kernel:
    """Return the kernel that changes nothing: 1 in the middle.

    Parameters
    ----------
    size : int or (int, int), default 3
        Height and width, odd.
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (height, width)

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For a size that is not made of odd positive integers.

    Notes
    -----
    Source: the unit impulse of Gonzalez and Woods, section "Spatial
    Correlation and Convolution" [2]_.

    Examples
    --------
    >>> identity((1, 3)).tolist()
    [[0.0, 1.0, 0.0]]
    """
    height, width = _size(size, odd=True)
    weights = np.zeros((height, width))
    weights[height // 2, width // 2] = 1
    return _finish(weights, dtype)


def sharpen(*, neighbours: int = 4, dtype: Any = "float64") -> Kernel:
    """Return a sharpening kernel: the image minus its Laplacian.

    Parameters
    ----------
    neighbours : {4, 8}, default 4
        Of the :func:`laplacian`.
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (3, 3)
        The weights sum to 1, so flat regions stay as they are.

    Notes
    -----
    Source: Gonzalez and Woods, section "Using the Second Derivative for Image
    Sharpening" [2]_.

    Examples
    --------
    >>> sharpen().tolist()
    [[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]
    """
    return _finish(identity(3) - laplacian(neighbours=neighbours), dtype)


def emboss(*, dtype: Any = "float64") -> Kernel:
    """Return the emboss kernel: the image plus its slope towards the lower right.

    Parameters
    ----------
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray, shape (3, 3)
        The weights sum to 1; edges look as if lit from the upper left.

    Notes
    -----
    Source: the kernel of image editors, the average of Prewitt's operators
    along both axes added to the image.

    Examples
    --------
    >>> emboss().tolist()
    [[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]]
    """
    return _finish([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], dtype)


# --------------------------------------------------------------------------- names


class Design(NamedTuple):
    """One entry of the table of names.

    Attributes
    ----------
    build : callable
        The function of this module.
    summary : str
        What it does, in a few words.
    parameter : str
        The argument that a bare number after the name sets; "" if none.
    fixed : mapping
        Arguments that the name itself sets.
    """

    build: Callable[..., Kernel]
    summary: str
    parameter: str = ""
    fixed: Mapping[str, Any] = {}


_DESIGNS: dict[str, Design] = {
    "vertical-edges": Design(vertical_edges, "a pixel minus its right neighbour, the chapter's"),
    "horizontal-edges": Design(horizontal_edges, "a pixel minus the one below"),
    "diagonal-edges": Design(diagonal_edges, "Roberts' cross: a pixel minus the one below right"),
    "antidiagonal-edges": Design(diagonal_edges, "Roberts' other cross", fixed={"anti": True}),
    "derivative": Design(derivative, "derivative of order N, left to right", "order"),
    "derivative-y": Design(derivative, "derivative of order N, top to bottom", "order", {"axis": 0}),
    "second-derivative": Design(second_derivative, "second derivative, left to right"),
    "second-derivative-y": Design(second_derivative, "second derivative, top to bottom", fixed={"axis": 0}),
    "sobel-x": Design(sobel, "Sobel's operator, vertical edges"),
    "sobel-y": Design(sobel, "Sobel's operator, horizontal edges", fixed={"axis": 0}),
    "prewitt-x": Design(prewitt, "Prewitt's operator, vertical edges"),
    "prewitt-y": Design(prewitt, "Prewitt's operator, horizontal edges", fixed={"axis": 0}),
    "scharr-x": Design(scharr, "Scharr's operator, vertical edges"),
    "scharr-y": Design(scharr, "Scharr's operator, horizontal edges", fixed={"axis": 0}),
    "laplacian": Design(laplacian, "Laplacian of 4 or 8 neighbours", "neighbours"),
    "laplacian-of-gaussian": Design(laplacian_of_gaussian, "Marr-Hildreth edges of standard deviation N", "sigma"),
    "box": Design(box, "average over N x N pixels", "size"),
    "integral": Design(integral, "sum over N x N pixels (with --range scale)", "size"),
    "gaussian": Design(gaussian, "Gaussian blur of N x N pixels (or gaussian:sigma=1.5)", "size"),
    "binomial": Design(binomial, "binomial blur of N x N pixels", "size"),
    "sharpen": Design(sharpen, "the image minus its Laplacian of 4 or 8 neighbours", "neighbours"),
    "emboss": Design(emboss, "lit from the upper left"),
    "identity": Design(identity, "changes nothing", "size"),
}

#: What the parametrised names stand for without their number.
_DEFAULTS = {"derivative": 1, "derivative-y": 1}

_VALUE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")


def names() -> tuple[str, ...]:
    """Return the names that :func:`named` knows.

    Returns
    -------
    tuple of str
        Those of designs with a size or an order also take it after a hyphen
        or a colon: "box-5", "derivative:3".

    Examples
    --------
    >>> names()[:3]
    ('vertical-edges', 'horizontal-edges', 'diagonal-edges')
    """
    return tuple(_DESIGNS)


def designs() -> dict[str, Design]:
    """Return the table of names, for a program that lists it.

    Returns
    -------
    dict
        Name to :class:`Design`; a copy.

    Examples
    --------
    >>> designs()["box"].parameter
    'size'
    """
    return dict(_DESIGNS)


def _number(text: str, name: str) -> Any:
    """Read "5", "1.5" or "3x5"."""
    if re.fullmatch(r"\d{1,9}x\d{1,9}", text):
        height, width = text.split("x")
        return int(height), int(width)
    if not _VALUE.fullmatch(text):
        raise ArgumentError(f"name must end in a number such as 5, 1.5 or 3x5. {received(name=name)}")
    return int(text) if re.fullmatch(r"[+-]?\d{1,9}", text) else float(text)


def _unknown(name: str) -> ArgumentError:
    from difflib import get_close_matches  # only a message needs it

    stem = re.split(r"[:\d]", name.lower().replace("_", "-"))[0].rstrip("-")
    near = [known for known in _DESIGNS if stem and known.startswith(stem)]
    near = near or get_close_matches(stem, _DESIGNS, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ArgumentError(f"name must be one of {', '.join(_DESIGNS)}.{hint} {received(name=name)}")


def named(name: str, *, dtype: Any = "float64") -> Kernel:
    """Return the kernel of a name, as the command line spells it.

    Parameters
    ----------
    name : str
        One of :func:`names`, in any case; designs with a size or an order
        take it after a hyphen or a colon ("box-5", "derivative:3", "box-1x7");
        any argument can be given by its name ("gaussian:sigma=1.5",
        "box:size=3").
    dtype : str, default "float64"
        Of the kernel.

    Returns
    -------
    numpy.ndarray

    Raises
    ------
    ArgumentError, ArgumentTypeError
        For an unknown name, with the nearest one, or a number that the design
        does not allow.

    Examples
    --------
    >>> named("vertical-edges").tolist()
    [[1.0, -1.0]]
    >>> named("derivative-3").tolist()
    [[-1.0, 3.0, -3.0, 1.0]]
    >>> named("gaussian:sigma=0.5").shape
    (5, 5)
    """
    if not isinstance(name, str):
        raise ArgumentTypeError(f"name must be a string. {received(name=name)}")
    text = name.strip().lower().replace("_", "-")
    found = _DESIGNS.get(text)
    if found is not None:
        stem, rest = text, ""
    else:
        # The longest name that fits: "derivative-y-3" is derivative-y, "laplacian-8" is laplacian.
        fitting = [known for known in _DESIGNS if re.match(re.escape(known) + r"[-:]", text)]
        if not fitting:
            raise _unknown(name)
        stem = max(fitting, key=len)
        found, rest = _DESIGNS[stem], text[len(stem) + 1 :]
    arguments = dict(found.fixed)
    if found.parameter and stem in _DEFAULTS:
        arguments[found.parameter] = _DEFAULTS[stem]
    for part in rest.split(",") if rest or stem != text else ():
        key, equals, value = part.partition("=")
        if not equals:
            key, value = found.parameter, part
        # A word after the name is a slip in the name; a number is a slip in the argument.
        if not key or not _takes(found.build, key):
            if not equals and not _VALUE.match(part):
                raise _unknown(name)
            takes = f"no argument but {found.parameter!r}" if found.parameter else "no number"
            raise ArgumentError(f"name {stem!r} takes {takes}. {received(name=name)}")
        arguments[key] = _number(value, name)
    return found.build(**arguments, dtype=dtype)


def _takes(function: Callable[..., Any], argument: str) -> bool:
    """Tell whether a design has this argument, dtype apart, which is not part of a name."""
    code = function.__code__
    return argument != "dtype" and argument in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
