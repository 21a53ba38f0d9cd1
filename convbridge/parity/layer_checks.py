"""What a backend's layers promise: the same weights from the same seed, and the functions' meaning.

Each check looks at one backend by its name and yields every problem that it
finds, in words for whoever writes the backend. Weights and images hold small
integers, so a layer and the function that it stands for must return the same
bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import convbridge
from convbridge import registry, selection
from convbridge.errors import ConvbridgeError, ShapeError, UnsupportedOperationError
from convbridge.layers import initial_weights
from convbridge.protocol import Conv2DConfig, Pool2DConfig

__all__ = ["CHECKS", "convolution_layers", "native_layers", "pooling_layers", "seeds", "single_images", "weights"]

Array = np.ndarray[Any, Any]

_CONVOLUTIONS: tuple[dict[str, Any], ...] = (
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (2, 3), "in_channels": 4, "out_channels": 6, "groups": 2, "stride": (2, 1), "use_bias": False},
    {"kernel_size": (2, 3), "in_channels": 2, "out_channels": 3, "padding": ((1, 0), (0, 2)), "dilation": (2, 1)},
    {"kernel_size": 2, "in_channels": 2, "padding": "same", "stride": 2},
)
_POOLINGS: tuple[dict[str, Any], ...] = (
    {"pool_size": 2},
    {"pool_size": (2, 4), "stride": (1, 3), "padding": ((1, 0), (2, 1)), "count_include_pad": False},
    {"pool_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
    {"pool_size": 2, "dilation": (1, 2), "padding": "same", "stride": 1},
)


def _dtypes(backend: str, operation: str) -> Iterator[str]:
    """Yield the wide dtypes that the backend computes in; what it refuses, the matrix checks."""
    gaps = registry.spec(backend).unsupported
    for dtype in ("float32", "float64"):
        if not gaps.keys() & {operation, f"{operation}[{dtype}]", f"asarray[{dtype}]"}:
            yield dtype


def _integers(*shape: int, dtype: str = "float64") -> Array:
    return np.random.default_rng(list(shape)).integers(-4, 5, shape).astype(dtype)


def _layers(backend: str, *, formats: tuple[str, ...] = ("NCHW", "NHWC")) -> Iterator[tuple[Any, Conv2DConfig]]:
    """Yield a convolution layer for every configuration, with the configuration that it must hold."""
    for dtype in _dtypes(backend, "conv2d"):
        for data_format in formats:
            for keywords in _CONVOLUTIONS:
                written = {**keywords, "data_format": data_format, "dtype": dtype}
                layer = convbridge.Conv2D(**written, seed=7, backend=backend)
                defaults = convbridge.Conv2D(**written, backend="numpy").config
                yield layer, defaults


def _set_integers(layer: Any, config: Conv2DConfig) -> list[Array]:
    """Give a layer small integers as its weights, and return them."""
    new = [_integers(*array.shape, dtype=config.dtype) for array in layer.get_weights()]
    layer.set_weights(new)
    return new


def _image(config: Any, channels: int, dtype: str) -> Array:
    shape = (2, channels, 7, 6) if config.data_format == "NCHW" else (2, 7, 6, channels)
    return _integers(*shape, dtype=dtype)


def _differs(found: Any, wanted: Any) -> str:
    """Say how two arrays differ, in dtype, shape or any bit; "" if they do not."""
    a, b = convbridge.to_numpy(found), convbridge.to_numpy(wanted)
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{a.dtype} {a.shape}, not {b.dtype} {b.shape}"
    return "" if np.array_equal(a, b, equal_nan=True) else "other numbers"


def seeds(backend: str) -> Iterator[str]:
    """Check the configuration and the first weights of convolution layers: those of the seed, bit for bit.

    Parameters
    ----------
    backend : str
        A canonical name.

    Yields
    ------
    str
        A problem.

    Examples
    --------
    >>> list(seeds("numpy"))
    []
    """
    for layer, config in _layers(backend):
        if layer.config != config:
            yield f"layer.config must be {config}, not {layer.config}"
        if selection.framework_of_layer(layer) != backend:
            yield f"SPEC.layer_types must name {type(layer).__module__}:{type(layer).__qualname__}"
        wanted = [array for array in initial_weights(config, 7) if array is not None]
        found = layer.get_weights()
        if len(found) != len(wanted):
            yield f"{config}: get_weights() must return {len(wanted)} arrays, not {len(found)}"
        for name, mine, drawn in zip(("weight", "bias"), found, wanted):
            how = _differs(mine, drawn)
            if how:
                yield f"{config}: the {name} drawn from a seed is {how}"


def weights(backend: str) -> Iterator[str]:
    """Check that weights go in and out as copies, and that wrong ones change nothing.

    Parameters
    ----------
    backend : str
        A canonical name.

    Yields
    ------
    str
        A problem.

    Examples
    --------
    >>> list(weights("numpy"))
    []
    """
    for layer, config in _layers(backend, formats=("NCHW",)):
        new = [_integers(*array.shape, dtype=config.dtype) for array in layer.get_weights()]
        given = [array.copy() for array in new]
        layer.set_weights(given)
        for array in (*given, *layer.get_weights()):
            array[...] = 77
        if any(_differs(found, wanted) for found, wanted in zip(layer.get_weights(), new)):
            yield f"{config}: get_weights() must return copies of what set_weights(...) copied"
        try:
            layer.set_weights([np.zeros_like(new[0]), np.zeros(config.out_channels + 1)])
            yield f"{config}: set_weights(...) must refuse arrays of a wrong number or shape"
        except ShapeError:
            if any(_differs(found, wanted) for found, wanted in zip(layer.get_weights(), new)):
                yield f"{config}: set_weights(...) must check all weights before it changes one"


def convolution_layers(backend: str) -> Iterator[str]:
    """Check that a convolution layer computes what :func:`convbridge.conv2d` computes.

    Parameters
    ----------
    backend : str
        A canonical name.

    Yields
    ------
    str
        A problem.

    Examples
    --------
    >>> list(convolution_layers("numpy"))
    []
    """
    for layer, config in _layers(backend):
        new = _set_integers(layer, config)
        X = convbridge.asarray(_image(config, config.in_channels, config.dtype), backend=backend)
        keywords = {name: getattr(config, name) for name in ("stride", "padding", "dilation", "groups", "data_format")}
        how = _differs(layer(X), convbridge.conv2d(X, *new, **keywords, backend=backend))
        if how:
            yield f"{config}: the layer returns {how} than conv2d"
        copied = convbridge.Conv2D.from_native(layer, backend=backend)
        if copied is layer or _differs(copied(X), layer(X)):
            yield f"{config}: Conv2D.from_native(layer) must be another layer that computes the same"


def pooling_layers(backend: str) -> Iterator[str]:
    """Check that pooling layers compute what :func:`convbridge.pool2d` computes.

    Parameters
    ----------
    backend : str
        A canonical name.

    Yields
    ------
    str
        A problem.

    Examples
    --------
    >>> list(pooling_layers("numpy"))
    []
    """
    for mode, kind in (("max", convbridge.MaxPool2D), ("avg", convbridge.AvgPool2D)):
        for dtype in _dtypes(backend, f"{mode}_pool2d"):
            for data_format in ("NCHW", "NHWC"):
                for keywords in _POOLINGS:
                    layer: Any = kind(**keywords, data_format=data_format, backend=backend)
                    config: Pool2DConfig = kind(**keywords, data_format=data_format, backend="numpy").config
                    if layer.config != config:
                        yield f"layer.config must be {config}, not {layer.config}"
                    X = convbridge.asarray(_image(config, 3, dtype), backend=backend)
                    arguments = {**config._asdict(), "mode": mode, "backend": backend}
                    how = _differs(layer(X), convbridge.pool2d(X, arguments.pop("kernel_size"), **arguments))
                    if how:
                        yield f"{kind.__name__}, {config}: the layer returns {how} than pool2d"


def single_images(backend: str) -> Iterator[str]:
    """Check ``comp_conv2d`` and the chapter's layer, which speak of matrices.

    Parameters
    ----------
    backend : str
        A canonical name.

    Yields
    ------
    str
        A problem.

    Examples
    --------
    >>> list(single_images("numpy"))
    []
    """
    for dtype in _dtypes(backend, "conv2d"):
        X, K = _integers(7, 6, dtype=dtype), _integers(1, 1, 3, 2, dtype=dtype)
        wanted = convbridge.conv2d(X[None, None], K, stride=2, padding=1, backend=backend)
        matrix = convbridge.to_numpy(wanted)[0, 0]
        for data_format in ("NCHW", "NHWC"):
            layer: Any = convbridge.Conv2D(
                (3, 2), stride=2, padding=1, use_bias=False, data_format=data_format, dtype=dtype, backend=backend
            )
            layer.set_weights([K])
            how = _differs(convbridge.comp_conv2d(layer, X), matrix)
            if how:
                yield f"comp_conv2d with a layer in {data_format} returns {how}"
        try:
            convbridge.comp_conv2d(convbridge.Conv2D(1, out_channels=2, dtype=dtype, backend=backend), X)
            yield "comp_conv2d must refuse a layer of two channels with a ShapeError"
        except ShapeError:
            pass
    if "float32" in _dtypes(backend, "conv2d"):
        X = _integers(5, 4, dtype="float32")
        chapter: Any = convbridge.chapter.Conv2D((2, 3), backend=backend)
        if selection.framework_of_layer(chapter) != backend:
            yield "SPEC.layer_types must name chapter.Conv2D's class"
        shape = convbridge.to_numpy(convbridge.comp_conv2d(chapter, X, backend=backend)).shape
        if shape != (4, 2):
            yield f"chapter.Conv2D((2, 3)) makes {shape} of a matrix of (5, 4), not (4, 2)"


def native_layers(backend: str) -> Iterator[str]:
    """Check the exchange with the framework's own layers, or that it is refused.

    Parameters
    ----------
    backend : str
        A canonical name.

    Yields
    ------
    str
        A problem.

    Examples
    --------
    >>> list(native_layers("numpy"))
    []
    """
    try:
        registry.load(backend).layers.read_native(object())
        yield "layers.read_native must refuse what is no layer"
    except ConvbridgeError:
        pass
    for layer, config in _layers(backend, formats=("NCHW",)):
        if config.in_channels > 1 or config.out_channels > 1:  # the call below speaks of matrices
            continue
        new = _set_integers(layer, config)
        try:
            native = layer.to_native()
        except UnsupportedOperationError:
            continue
        X = convbridge.asarray(_integers(7, 6, dtype=config.dtype), backend=backend)
        how = _differs(convbridge.comp_conv2d(native, X), convbridge.comp_conv2d(layer, X))
        if how:
            yield f"{config}: to_native() returns a layer that computes {how}"
        copied = convbridge.Conv2D.from_native(native, backend=backend)
        if any(_differs(found, wanted) for found, wanted in zip(copied.get_weights(), new)):
            yield f"{config}: Conv2D.from_native(layer.to_native()) has other weights"


#: Every check of this file, by what it is called in a report.
CHECKS = {
    "weights from a seed": seeds,
    "get_weights and set_weights": weights,
    "Conv2D computes what conv2d computes": convolution_layers,
    "MaxPool2D and AvgPool2D compute what pool2d computes": pooling_layers,
    "comp_conv2d": single_images,
    "layers of the framework itself": native_layers,
}
