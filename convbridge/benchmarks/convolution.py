"""Convolution and pooling: the cases of every table, and the memory of a call.

Sizes are in ``shapes``, the libraries' calls in ``contenders``. NumPy's
operator is called, not the facade, whose own cost is measured in ``dispatch``.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from convbridge import registry
from convbridge.benchmarks import shapes, timing
from convbridge.benchmarks.contenders import Library, SciPy, engine, geometry
from convbridge.benchmarks.shapes import Layer
from convbridge.benchmarks.timing import Call

__all__ = ["BATCHES", "TABLES", "cases", "memory", "stacks"]

Array = np.ndarray[Any, Any]

BATCHES = (1, 8)

#: Every table, and what it says about itself.
TABLES = {
    "forward": "45 layers of networks, batches of 1 and 8",
    "unseen": "shapes that the planner was not tuned on",
    "depthwise": "MobileNet's layers",
    "grouped": "ResNeXt's layers and AlexNet's",
    "filter": "one image of 1080 x 1920, one kernel",
    "pool": "max and average",
    "dX": "gradients of the layers' images",
    "dW": "gradients of the layers' weights",
}


def arrays(layer: Layer, batch: int) -> tuple[Array, Array]:
    """Return an image and a weight of random float32 numbers."""
    rng = np.random.default_rng(0)
    shape = (batch, layer.channels, layer.size, layer.width or layer.size)
    X = rng.standard_normal(shape, np.float32)
    kernel = (layer.kernel, layer.kernel_width or layer.kernel)
    weight = rng.standard_normal((layer.outputs, layer.channels // layer.groups, *kernel), np.float32)
    return X, weight


def forward(layer: Layer, batch: int, libraries: Sequence[Library]) -> timing.Case:
    """Return the case of a layer."""

    def build() -> dict[str, Callable[[], Call]]:
        X, weight = arrays(layer, batch)
        return {library.label: partial(library.convolution, layer, X, weight) for library in libraries}

    return timing.Case(layer.family, f"b{batch} {layer.name}", build)


def gradient(layer: Layer, batch: int, which: str, libraries: Sequence[Library]) -> timing.Case:
    """Return the case of one of a layer's gradients."""

    def build() -> dict[str, Callable[[], Call]]:
        X, weight = arrays(layer, batch)
        grad = np.random.default_rng(1).standard_normal((batch, layer.outputs, *layer.output_size), np.float32)
        return {library.label: partial(library.gradient, which, layer, X, weight, grad) for library in libraries}

    return timing.Case(layer.family, f"b{batch} {layer.name}", build)


def image_filter(kernel: int, separable: bool, libraries: Sequence[Library]) -> timing.Case:
    """Return the case of a large image with one channel."""

    def build() -> dict[str, Callable[[], Call]]:
        rng = np.random.default_rng(0)
        X = rng.standard_normal(shapes.FILTER_SIZE, np.float32)
        K = rng.standard_normal((kernel, kernel), np.float32)
        if separable:
            K = np.outer(rng.standard_normal(kernel, np.float32), rng.standard_normal(kernel, np.float32))
        layer = Layer("filter", 1, 1, X.shape[0], kernel, width=X.shape[1])
        found: dict[str, Callable[[], Call]] = {
            library.label: partial(library.convolution, layer, X[None, None], K[None, None]) for library in libraries
        }
        if find_spec("scipy") is not None:
            found[SciPy.label] = partial(SciPy().filter_image, X, K)
        return found

    return timing.Case("rank 1" if separable else "any kernel", f"1080x1920 {kernel}x{kernel}", build)


def pooling(layer: Layer, batch: int, mode: str, libraries: Sequence[Library]) -> timing.Case:
    """Return the case of a pooling."""

    def build() -> dict[str, Callable[[], Call]]:
        shape = (batch, layer.channels, layer.size, layer.size)
        X = np.random.default_rng(0).standard_normal(shape, np.float32)
        return {library.label: partial(library.pooling, layer, X, mode) for library in libraries}

    return timing.Case(mode, f"b{batch} {layer.name}", build)


def cases(table: str, libraries: Sequence[Library]) -> list[timing.Case]:
    """Return the cases of a table; nothing is computed until they are built.

    Parameters
    ----------
    table : str
        One of :data:`TABLES`.
    libraries : sequence of Library
        The contenders.

    Returns
    -------
    list of Case

    Examples
    --------
    >>> len(cases("forward", []))
    90
    >>> cases("filter", [])[0].name
    '1080x1920 3x3'
    """
    layers = {
        "forward": shapes.NETWORKS,
        "unseen": shapes.UNSEEN,
        "depthwise": shapes.DEPTHWISE,
        "grouped": shapes.GROUPED,
        "dX": shapes.NETWORKS,
        "dW": shapes.NETWORKS,
    }.get(table, [])
    if table in ("dX", "dW"):
        return [gradient(layer, batch, table, libraries) for layer in layers for batch in BATCHES]
    if table == "filter":
        return [image_filter(size, rank_1, libraries) for rank_1 in (False, True) for size in shapes.FILTER_KERNELS]
    if table == "pool":
        return [pooling(layer, 8, mode, libraries) for mode in ("max", "avg") for layer in shapes.POOLINGS]
    return [forward(layer, batch, libraries) for layer in layers for batch in BATCHES]


def stacks(results: Sequence[timing.Result]) -> list[dict[str, Any]]:
    """Sum the fastest samples over whole networks' convolutions.

    Parameters
    ----------
    results : sequence of Result
        Of the table "forward".

    Returns
    -------
    list of dict
        ``network``, ``batch`` and ``seconds`` of each contender that ran all
        of a network's layers. A network is left out if a layer was not
        measured.

    Examples
    --------
    >>> stacks([])
    []
    """
    found = []
    fastest = {result.name: {who: min(times) for who, times in result.seconds.items()} for result in results}
    for network, layers in shapes.STACKS.items():
        for batch in BATCHES:
            rows = [(count, fastest.get(f"b{batch} {name}", {})) for name, count in layers.items()]
            complete = [who for who in rows[0][1] if all(who in row for _, row in rows)]
            if complete:
                sums = {who: sum(count * row[who] for count, row in rows) for who in complete}
                found.append({"network": network, "batch": batch, "seconds": sums})
    return found


def memory(chosen: Sequence[tuple[Layer, int]]) -> list[dict[str, Any]]:
    """Measure what a call of NumPy's operator allocates beyond its result at its peak, kept scratch included.

    The target is 8 MiB or twice input plus output, whichever is more.

    Parameters
    ----------
    chosen : sequence of (Layer, int)
        Layers and batches.

    Returns
    -------
    list of dict
        ``name``, and in bytes ``extra`` and ``allowed``.

    Examples
    --------
    >>> (row,) = memory([(Layer("LeNet", 1, 6, 28, 5, padding=2), 1)])
    >>> row["extra"] < row["allowed"]
    True
    """
    ops = registry.load("numpy").ops
    arena = engine("arena")
    rows = []
    for layer, batch in chosen:
        timing.progress(f"memory: b{batch} {layer.name}")
        X, weight = arrays(layer, batch)
        keywords = geometry(layer)
        arena.release()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        Y = ops.conv2d(X, weight, None, **keywords)
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        allowed = max(8 * 2**20, 2 * (X.nbytes + Y.nbytes))
        rows.append({"name": f"b{batch} {layer.name}", "extra": peak - Y.nbytes, "allowed": allowed})
    timing.progress("")
    return rows
