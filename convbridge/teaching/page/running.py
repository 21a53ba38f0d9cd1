"""One run on the installed backends: all that the page shows of the frameworks.

What may live here: running, reading sources from the installed files, and
turning both into plain data. No sentence and no HTML.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

import convbridge
from convbridge import registry
from convbridge.teaching.compare import Comparison, compare, sources_in
from convbridge.teaching.examples import Example, find
from convbridge.teaching.page.components import COMPONENTS, Component
from convbridge.teaching.page.sections import SECTIONS

__all__ = ["Participant", "Run", "example_data", "run", "setup"]

Array = np.ndarray[Any, Any]


class Participant(NamedTuple):
    """A backend, and whether it took part.

    Attributes
    ----------
    name : str
    version : str
        Of its framework; "" if it did not take part.
    problem : str
        Why it did not take part: how to install it, or what is broken.
    """

    name: str
    version: str
    problem: str


class Run(NamedTuple):
    """What a run found.

    Attributes
    ----------
    participants : tuple of Participant
        Those that did not take part included.
    comparisons : tuple of Comparison
        One for each example of the page, in its order.
    sources : mapping
        Backend to function to source: the chapter's as "chapter.corr2d", the
        operator's as "ops.conv2d", each with what it calls in its file.
    facts : mapping
        Versions of the rest, the platform, the date.
    gathered : mapping
        Component to what it found, as plain data.
    """

    participants: tuple[Participant, ...]
    comparisons: tuple[Comparison, ...]
    sources: Mapping[str, Mapping[str, str]]
    facts: Mapping[str, str]
    gathered: Mapping[str, Any]


def run(
    names: Sequence[str],
    problems: Mapping[str, str] | None = None,
    *,
    components: Mapping[str, Component] = COMPONENTS,
) -> Run:
    """Run all that the page shows.

    Parameters
    ----------
    names : sequence of str
        Canonical names of the backends that take part.
    problems : mapping, optional
        Name to reason, for those that do not.
    components : mapping, optional
        What to run besides the examples, a minute or two for all of it. The
        page leaves out the sections of the others.

    Returns
    -------
    Run

    Raises
    ------
    BackendNotInstalledError, BackendBrokenError
        As for :func:`convbridge.registry.load`.

    Examples
    --------
    >>> found = run(["numpy"], {"torch": "not installed"}, components={})
    >>> found.comparisons[0].example.name, found.comparisons[0].kind
    ('corr2d', 'equal')
    >>> [one.problem for one in found.participants]
    ['', 'not installed']
    """
    shown = [name for section in SECTIONS for name in section.examples]
    by_name = {example.name: example for example in find(shown)}
    comparisons = tuple(compare(by_name[name], names) for name in shown)
    backends = {name: registry.load(name) for name in names}
    # In the order of the registry; a third party's follow.
    order = dict.fromkeys([*registry.names(), *names, *(problems or {})])
    participants = tuple(
        Participant(name, backends[name].version if name in backends else "", (problems or {}).get(name, ""))
        for name in order
        if name in backends or name in (problems or {})
    )
    sources = {
        name: {
            function: "\n\n".join(sources_in(getattr(backend, module), member).values())
            for function in dict.fromkeys(function for example in by_name.values() for function in _functions(example))
            for module, _, member in [function.partition(".")]
        }
        for name, backend in backends.items()
    }
    facts = {
        "convbridge": convbridge.__version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "platform": platform.platform(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    gathered = {name: component.gather(names) for name, component in components.items()}
    return Run(participants, comparisons, sources, facts, gathered)


def _functions(example: Example) -> list[str]:
    """Name what an example shows the source of: the chapter's functions, a layer that has a weight, the operator."""
    shown = [f"chapter.{call.source}" for call in example.calls if call.source]
    # a pooling layer holds nothing but its arguments
    layers = [call.layer for call in example.calls if call.kind == "layer"]
    shown += [f"layers.{layer.layer}" for layer in layers if layer is not None and layer.weight]
    operator = example.operator
    mode = operator.options.get("mode", "max")
    return [*shown, f"ops.{mode}_pool2d" if operator.function == "pool2d" else "ops.conv2d"]


# --------------------------------------------------------------------------- as data


def _numbers(array: Array) -> Any:
    """Return nested lists; float32 by the shortest decimals that mean it, what JSON has no number for by its name."""
    if array.ndim:
        return [_numbers(part) for part in array]
    value = float(str(array[()]))
    return value if np.isfinite(value) else str(value)


def _pair(value: Any) -> list[int]:
    return [int(part) for part in value] if isinstance(value, (tuple, list)) else [int(value)] * 2


def setup(example: Example) -> dict[str, Any]:
    """Describe an example as the explorer of the page computes it.

    Parameters
    ----------
    example : Example

    Returns
    -------
    dict
        operation ("correlate", "convolve", "max" or "avg"); X, channels x rows x
        columns; K, output channels x channels x rows x columns, ones for
        pooling; bias, one for each output channel, or None; stride, dilation; padding, a word or [[top, bottom], [left,
        right]]; ceil, counted.

    Examples
    --------
    >>> found = setup(find(["padding-stride"])[0])
    >>> found["operation"], found["stride"], found["padding"]
    ('correlate', [3, 2], [[1, 1], [1, 1]])
    """
    call = example.operator
    options = dict(call.options)
    X = example.inputs["X"]
    X = X.reshape((1,) * (3 - X.ndim) + X.shape)
    if call.function == "pool2d":
        window = _pair(options["pool_size"])
        K = np.ones((1, X.shape[0], *window), np.int64)
        operation = options.get("mode", "max")
        stride = options.get("stride", 1)
        stride = window if stride is None else _pair(stride)
    else:
        K = example.inputs["K"]
        # (O, C, kh, kw); a kernel of three axes has the input channels alone
        K = K.reshape((1,) * (4 - K.ndim) + K.shape)
        operation = "convolve" if call.function == "convolve2d" else "correlate"
        stride = _pair(options.get("stride", 1))
    padding = options.get("padding", 0)
    return {
        "operation": operation,
        "X": _numbers(X),
        "K": _numbers(K),
        "bias": _numbers(example.inputs[call.bias]) if call.bias else None,
        "stride": stride,
        "dilation": _pair(options.get("dilation", 1)),
        "padding": padding if isinstance(padding, str) else [[side, side] for side in _pair(padding)],
        "ceil": options.get("ceil_mode", False),
        "counted": options.get("count_include_pad", True),
    }


def example_data(comparison: Comparison) -> dict[str, Any]:
    """Return what the page knows about an example: how to explore it, and what the backends returned.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict
        Of dictionaries, lists, strings and finite numbers.

    Examples
    --------
    >>> data = example_data(compare(find(["pool-avg"])[0], ["numpy"]))
    >>> data["results"]["numpy"][0]["output"], data["sources"]
    ([[2.0, 3.0], [5.0, 6.0]], ['chapter.pool2d', 'ops.avg_pool2d'])
    """
    finite = {name: getattr(comparison, name) for name in ("difference", "fraction")}
    return {
        "setup": setup(comparison.example),
        "sources": _functions(comparison.example),
        "results": {
            run.backend: [
                {
                    "kind": result.kind,
                    "call": result.call,
                    "output": None if result.output is None else _numbers(result.output),
                    "error": result.error,
                }
                for result in run.results
            ]
            for run in comparison.runs
        },
        "verdict": {
            "kind": comparison.kind,
            "between": list(comparison.between),
            **{name: value if np.isfinite(value) else str(value) for name, value in finite.items()},
        },
    }
