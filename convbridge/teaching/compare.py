"""Running an example on several backends, and judging whether they agree.

Every number comes from running the calls of an example, every source from the
file of the module that ran. What may live here: running, reading sources,
judging, and the results as plain data; no printing, and nothing about any one
framework.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from itertools import combinations
from types import CodeType, ModuleType
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np

from convbridge import functional, registry
from convbridge.geometry import pair
from convbridge.parity.bounds import Verdict, conv2d_bound, judge, pool2d_bound
from convbridge.protocol import Conv2DConfig, Pool2DConfig
from convbridge.teaching.examples import Call, Example, LayerCall

__all__ = ["BackendRun", "Comparison", "Result", "chapter_sources", "compare", "rounding_bound", "run_on"]

Array = np.ndarray[Any, Any]

#: Integers compute as float32, and so do the examples' random numbers.
DTYPE = "float32"

_SEVERITY = {"equal": 0, "rounding": 1, "REAL DIFFERENCE": 2}


class Result(NamedTuple):
    """What one call of an example returned on one backend.

    Attributes
    ----------
    kind : {"chapter", "layer", "operator"}
    call : str
        The expression that was computed.
    output : numpy.ndarray or None
        None if the call raised.
    error : str
        Type and message of what it raised; "" if it returned.
    """

    kind: str
    call: str
    output: Array | None
    error: str

    def to_json(self) -> dict[str, Any]:
        """Return the result as lists and strings; NaN and infinities as strings."""
        if self.output is None:
            return {"kind": self.kind, "call": self.call, "error": self.error}
        return {
            "kind": self.kind,
            "call": self.call,
            "output": _plain(self.output.tolist()),
            "shape": list(self.output.shape),
            "dtype": self.output.dtype.name,
        }


class _Outcome(Protocol):
    """Anything that JSON can be made of."""

    def to_json(self) -> dict[str, Any]: ...


Outcome = TypeVar("Outcome", bound=_Outcome)


class BackendRun(NamedTuple, Generic[Outcome]):
    """An example on one backend.

    Attributes
    ----------
    backend : str
    version : str
        Of the framework.
    sources : dict
        Name to source of the chapter's functions and of what they call, from
        :func:`chapter_sources`; empty where the example uses the framework's
        layer instead.
    results : tuple of Result
        One for each call of the example; of another kind in an example that is
        not about the calls' outputs (:mod:`convbridge.teaching.autograd`).
    """

    backend: str
    version: str
    sources: dict[str, str]
    results: tuple[Outcome, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the run as dictionaries, lists and strings."""
        return {
            "backend": self.backend,
            "version": self.version,
            "source": "\n\n".join(self.sources.values()),
            "results": [result.to_json() for result in self.results],
        }


class Comparison(NamedTuple):
    """An example on several backends, and the verdict.

    Attributes
    ----------
    example : Example
    runs : tuple of BackendRun
    kind : {"equal", "rounding", "REAL DIFFERENCE", "ERROR"}
        The worst verdict on any two results; "ERROR" if a call raised.
    difference : float
        The largest difference between any two results.
    fraction : float
        The largest part of the rounding bound that two results used.
    between : (str, str)
        The two results that the verdict is about.
    what : str
        What was compared, in the plural.
    """

    example: Example
    runs: tuple[BackendRun[Any], ...]
    kind: Literal["equal", "rounding", "REAL DIFFERENCE", "ERROR"]
    difference: float
    fraction: float
    between: tuple[str, str]
    what: str = "results"

    @property
    def agrees(self) -> bool:
        """Whether every call returned and rounding explains every difference."""
        return self.kind in ("equal", "rounding")

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.kind == "ERROR":
            return f"ERROR: {self.between[0]} returned no {self.what[:-1]}"
        if self.kind == "equal":
            return f"equal: all {self.what} hold the same numbers"
        pair_text = f"between {self.between[0]} and {self.between[1]}"
        if self.kind == "rounding":
            return (
                f"rounding: the largest difference, {self.difference:.3g} {pair_text}, is "
                f"{self.fraction:.0%} of what rounding can explain"
            )
        if self.difference == float("inf"):
            return f"REAL DIFFERENCE {pair_text}: shapes, dtypes, NaNs or infinities differ"
        return f"REAL DIFFERENCE: {self.difference:.6g} {pair_text}, more than rounding can explain"

    def __repr__(self) -> str:
        # without the sources and all numbers, which a tuple would print
        return f"<Comparison of {self.example.name} on {', '.join(run.backend for run in self.runs)}; {self.sentence}>"

    def _repr_html_(self) -> str:
        from convbridge.notebook import teaching

        return teaching.comparison(self)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as dictionaries, lists and strings."""
        return {
            "name": self.example.name,
            "title": self.example.title,
            "note": self.example.note,
            "inputs": {name: array.tolist() for name, array in self.example.inputs.items()},
            "backends": [run.to_json() for run in self.runs],
            "verdict": {
                "kind": self.kind,
                "difference": _plain(self.difference),
                "fraction_of_bound": _plain(self.fraction),
                "between": list(self.between),
                "sentence": self.sentence,
            },
        }


def _plain(value: Any) -> Any:
    """Replace what JSON has no number for by its name."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if np.isfinite(value) else str(value)


# --------------------------------------------------------------------------- sources


def _names_in(code: CodeType) -> Iterator[str]:
    """Yield the names that a function looks up, those of nested functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _functions_of(member: Any) -> list[Any]:
    """Return a function itself, or the methods of a class."""
    if inspect.isclass(member):
        return [inspect.unwrap(method) for method in vars(member).values() if inspect.isfunction(method)]
    return [inspect.unwrap(member)]


def _needed(module: ModuleType, name: str, found: dict[str, Any]) -> None:
    """Collect a member of a module and, through it, the members that it calls."""
    member = getattr(module, name)
    found[name] = member
    for function in _functions_of(member):
        for other in _names_in(function.__code__):
            candidate = vars(module).get(other)
            if (
                other not in found
                and (inspect.isfunction(candidate) or inspect.isclass(candidate))
                and candidate.__module__ == module.__name__
            ):
                _needed(module, other, found)


def chapter_sources(backend: str, *functions: str) -> dict[str, str]:
    """Return the sources of chapter functions, and of what they call, from the installed file.

    Parameters
    ----------
    backend : str
        A canonical name.
    *functions : str
        Names in the backend's ``chapter`` module.

    Returns
    -------
    dict
        Name to source, in the order of the file; without what other modules
        supply.

    Raises
    ------
    BackendNotInstalledError, BackendBrokenError
        As for :func:`convbridge.registry.load`.

    Examples
    --------
    >>> sources = chapter_sources("numpy", "corr2d_multi_in")
    >>> list(sources)
    ['corr2d', 'corr2d_multi_in']
    >>> sources["corr2d"].splitlines()[0]
    'def corr2d(X: Array, K: Array) -> Array:'
    """
    return sources_in(registry.load(backend).chapter, *functions)


def sources_in(module: Any, *functions: str) -> dict[str, str]:
    """Return the sources of a module's functions, and of what they call there, from the installed file.

    Parameters
    ----------
    module : module
    *functions : str
        Names in it.

    Returns
    -------
    dict
        As for :func:`chapter_sources`.

    Examples
    --------
    >>> from convbridge.teaching import compare
    >>> list(sources_in(compare, "chapter_sources"))
    ['_names_in', '_functions_of', '_needed', 'chapter_sources', 'sources_in']
    """
    found: dict[str, Any] = {}
    for name in functions:
        _needed(module, name, found)
    try:
        lines = {name: inspect.getsourcelines(member) for name, member in found.items()}
    except (OSError, TypeError):  # installed without sources, or written in another language
        return {name: f"# {name}: the source is not installed\n" for name in functions}
    return {name: "".join(lines[name][0]) for name in sorted(lines, key=lambda name: lines[name][1])}


# --------------------------------------------------------------------------- running


def _chapter_layer(backend: registry.Backend, call: LayerCall, inputs: dict[str, Array]) -> Any:
    """Make the chapter's layer, which draws its weight, and give it the example's weight and bias."""
    layer = backend.chapter.Conv2D(pair(call.window, "window"))
    weight, bias = (inputs[name].astype(DTYPE) for name in (call.weight, call.bias))
    if backend.lesson is not None:
        backend.lesson.fill(layer, weight, bias)
    else:  # a backend whose layer keeps plain arrays needs no more
        layer.weight, layer.bias = (backend.arrays.asarray(array, DTYPE) for array in (weight, bias))
    return layer


def _layer(backend: registry.Backend, call: LayerCall, inputs: dict[str, Array]) -> Any:
    """Make a layer that has the example's weight and bias, or no bias.

    The public constructors draw their weights; the backend's take them.
    """
    options = dict(call.options)
    window = pair(call.window, "window")
    stride = options.pop("stride", 1 if call.weight else window)
    padding = options.pop("padding", 0)
    if not call.weight:
        pooling = Pool2DConfig(
            kernel_size=window,
            stride=pair(stride, "stride"),
            padding=padding,
            dilation=(1, 1),
            ceil_mode=False,
            count_include_pad=True,
            data_format="NCHW",
            **options,
        )
        return getattr(backend.layers, call.layer)(pooling)
    weight = _with_axes(inputs[call.weight].astype(DTYPE), 4)
    bias = inputs[call.bias].astype(DTYPE) if call.bias else None
    channels = {"in_channels": weight.shape[1], "out_channels": weight.shape[0]}
    convolution = Conv2DConfig(
        kernel_size=window,
        stride=pair(stride, "stride"),
        padding=padding,
        dilation=(1, 1),
        groups=1,
        use_bias=bias is not None,
        data_format="NCHW",
        dtype=DTYPE,
        **{**channels, **options},
    )
    return getattr(backend.layers, call.layer)(convolution, weight, bias)


def _with_axes(array: Array, count: int) -> Array:
    """Put the axes in front that an array lacks."""
    return array.reshape((1,) * (count - array.ndim) + array.shape)


def _compute(backend: registry.Backend, call: Call, example: Example) -> Array:
    """Run one call and return its result as a NumPy array."""
    from convbridge import chapter

    inputs = dict(example.inputs)
    arrays = [_with_axes(inputs[name], inputs[name].ndim + lift) for name, lift in zip(call.inputs, call.lifts)]
    layer = None
    if call.layer is not None:
        is_the_chapters = call.kind == "chapter" and not call.function
        layer = (_chapter_layer if is_the_chapters else _layer)(backend, call.layer, inputs)
    if layer is not None and not call.function:
        X = functional.asarray(arrays[0], dtype=DTYPE, backend=backend.name)
        result = layer(X)
    else:
        module: Any = chapter if call.kind == "chapter" else functional
        first = [] if layer is None else [layer]
        options = {**call.options, **({"bias": inputs[call.bias]} if call.bias else {})}
        result = getattr(module, call.function)(*first, *arrays, **options, backend=backend.name)
    # Here, and not later: some frameworks report an error only when the numbers are read.
    output = functional.to_numpy(result)
    return output.reshape(output.shape[call.lifts[0] :])


def _attempt(backend: registry.Backend, call: Call, example: Example) -> Result:
    try:
        return Result(call.kind, call.text, _compute(backend, call, example), "")
    except Exception as error:  # whatever a backend raises belongs into the comparison, as its result
        return Result(call.kind, call.text, None, f"{type(error).__name__}: {error}")


def run_on(example: Example, backend: str) -> BackendRun[Result]:
    """Run all calls of an example on one backend.

    Parameters
    ----------
    example : Example
    backend : str
        A canonical name.

    Returns
    -------
    BackendRun
        Errors inside a call are part of it.

    Raises
    ------
    BackendNotInstalledError, BackendBrokenError
        As for :func:`convbridge.registry.load`.

    Examples
    --------
    >>> from convbridge.teaching.examples import find
    >>> run = run_on(find(["pool-max"])[0], "numpy")
    >>> [result.output.tolist() for result in run.results]
    [[[4.0, 5.0], [7.0, 8.0]], [[4.0, 5.0], [7.0, 8.0]]]
    """
    loaded = registry.load(backend)
    functions = dict.fromkeys(call.source for call in example.calls if call.source)
    return BackendRun(
        backend=backend,
        version=loaded.version,
        sources=chapter_sources(backend, *functions) if functions else {},
        results=tuple(_attempt(loaded, call, example) for call in example.calls),
    )


# --------------------------------------------------------------------------- judging


def rounding_bound(example: Example) -> Array:
    """Bound the rounding error of one result of an example.

    Parameters
    ----------
    example : Example

    Returns
    -------
    numpy.ndarray
        Element by element, in the shape of the result.

    Examples
    --------
    >>> from convbridge.teaching.examples import find
    >>> bound = rounding_bound(find(["corr2d"])[0])
    >>> bound.shape, bool(bound.max() < 1e-4)
    ((2, 2), True)
    """
    call = example.operator
    options = dict(call.options)
    X, *rest = (example.inputs[name].astype(DTYPE) for name in call.inputs)
    if call.function == "pool2d":
        if options.get("stride", 1) is None:
            options["stride"] = options["pool_size"]
        return pool2d_bound(X, dtype=DTYPE, **options)
    weight = rest[0][::-1, ::-1] if call.function == "convolve2d" else rest[0]
    # Batch and output channel; of a matrix, the input channel too.
    image, kernel = _with_axes(X, 4), _with_axes(weight, 4)
    bias = example.inputs[call.bias].astype(DTYPE) if call.bias else None
    bound = conv2d_bound(image, kernel, bias, dtype=DTYPE, **options)
    dropped = 2 if weight.ndim < 4 else 1
    return bound.reshape(bound.shape[dropped:])


def compare(example: Example, backends: Sequence[str]) -> Comparison:
    """Run an example on several backends and compare every result with every other.

    Parameters
    ----------
    example : Example
    backends : sequence of str
        Canonical names.

    Returns
    -------
    Comparison

    Raises
    ------
    BackendNotInstalledError, BackendBrokenError
        As for :func:`convbridge.registry.load`.

    Examples
    --------
    >>> from convbridge.teaching.examples import find
    >>> comparison = compare(find(["corr2d"])[0], ["numpy"])
    >>> comparison.kind, comparison.difference
    ('equal', 0.0)
    """
    runs = tuple(run_on(example, backend) for backend in backends)
    named = [
        (f"{run.backend} {_role(result, call, example)}", result)
        for run in runs
        for result, call in zip(run.results, example.calls)
    ]
    for title, result in named:
        if result.output is None:
            return Comparison(example, runs, "ERROR", float("nan"), float("nan"), (title, title))
    bound = rounding_bound(example)
    worst = Verdict("equal", 0.0, 0.0)
    between = (named[0][0], named[0][0])
    outputs = [(title, result.output) for title, result in named if result.output is not None]
    for (title_a, a), (title_b, b) in combinations(outputs, 2):
        # Each of the two may be off by the bound. One of another shape has no bound, and needs none.
        verdict = judge(a, b, 2 * bound if a.shape == bound.shape else 0.0)
        if (_SEVERITY[verdict.kind], verdict.difference) > (_SEVERITY[worst.kind], worst.difference):
            worst, between = verdict, (title_a, title_b)
    return Comparison(example, runs, worst.kind, worst.difference, worst.fraction, between)


def _role(result: Result, call: Call, example: Example) -> str:
    """Name a result in a sentence: its kind, and its function where the kind is not enough."""
    alone = sum(other.kind == call.kind for other in example.calls) == 1
    return result.kind if alone else f"{result.kind} {call.function}"
