"""Convolution and pooling in NumPy beside PyTorch, and SciPy where it filters images.

``python benchmarks/convolution.py`` runs everything (half an hour on two
cores); ``--quick`` a part of every table in about a minute; ``--only`` some of
them. What is called is the backend's operator, not the facade, whose own cost
is measured elsewhere; ``--facade`` calls ``convbridge.conv2d`` instead, and
``--layer`` a ``convbridge.Conv2D``, which in "fast" keeps what engines make of
its weights (forward, unseen, depthwise, grouped). Sizes are in :mod:`shapes`,
how time is taken in :mod:`timing`.

Tables
    forward     45 layers of networks, batches of 1 and 8, and two networks' sums
    unseen      shapes that the planner was not tuned on
    depthwise   MobileNet's
    grouped     ResNeXt's
    filter      one image of 1080 x 1920 with one kernel
    pool        max and average
    dX, dW      the gradients of the layers
    memory      what a call allocates beyond its result
"""

from __future__ import annotations

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from convbridge.benchmarks import timing

timing.fix_process()

import numpy as np  # noqa: E402
import torch  # noqa: E402

import convbridge  # noqa: E402
from convbridge import registry, selection  # noqa: E402
from convbridge.benchmarks import shapes  # noqa: E402
from convbridge.benchmarks.shapes import Layer  # noqa: E402
from convbridge.geometry import Sides  # noqa: E402

torch.set_num_threads(1)

TABLES = ("forward", "unseen", "depthwise", "grouped", "filter", "pool", "dX", "dW", "memory")


def geometry(layer: Layer) -> dict[str, Any]:
    p = layer.padding
    return {
        "stride": (layer.stride, layer.stride),
        "padding": Sides(p, p, p, p),
        "dilation": (layer.dilation, layer.dilation),
        "groups": layer.groups,
        "data_format": "NCHW",
    }


def arrays(layer: Layer, batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((batch, layer.channels, layer.size, layer.width or layer.size)).astype(np.float32)
    kernel = (layer.kernel, layer.kernel_width or layer.kernel)
    weight = rng.standard_normal((layer.outputs, layer.channels // layer.groups, *kernel)).astype(np.float32)
    return X, weight


def forward(layer: Layer, batch: int, options: argparse.Namespace) -> timing.Case:
    def build() -> dict[str, Callable[[], Any]]:
        X, weight = arrays(layer, batch)
        keywords = geometry(layer)
        ops = registry.load("numpy").ops
        x, w = torch.from_numpy(X), torch.from_numpy(weight)
        calls: dict[str, Callable[[], Any]] = {
            "NumPy": lambda: ops.conv2d(X, weight, None, **keywords),
            timing.REFERENCE: lambda: torch.nn.functional.conv2d(
                x, w, None, layer.stride, layer.padding, layer.dilation, layer.groups
            ),
        }
        p = layer.padding
        public = {**keywords, "padding": ((p, p), (p, p))}
        if options.facade:
            calls["NumPy"] = lambda: convbridge.conv2d(X, weight, **public, backend="numpy")
        if options.layer:
            kernel = (weight.shape[2], weight.shape[3])
            own_layer = convbridge.Conv2D(
                kernel, layer.channels, layer.outputs, **public, use_bias=False, backend="numpy"
            )
            own_layer.set_weights([weight])
            calls["NumPy"] = lambda: own_layer(X)
        for name in options.backends:
            own = [convbridge.asarray(array, backend=name) for array in (X, weight)]
            calls[name] = lambda own=own: convbridge.conv2d(*own, **public)
        return calls

    return timing.Case(layer.family, f"b{batch} {layer.name}", build)


def gradient(layer: Layer, batch: int, which: str) -> timing.Case:
    def build() -> dict[str, Callable[[], Any]]:
        from convbridge_numpy.engine import gradients

        X, weight = arrays(layer, batch)
        x, w = torch.from_numpy(X), torch.from_numpy(weight)
        keywords = {name: value for name, value in geometry(layer).items() if name != "data_format"}
        y = torch.nn.functional.conv2d(x, w, None, layer.stride, layer.padding, layer.dilation, layer.groups)
        grad = np.random.default_rng(1).standard_normal(y.shape).astype(np.float32)
        g = torch.from_numpy(grad)
        pairs = [[value, value] for value in (layer.stride, layer.padding, layer.dilation)]
        mask = [which == "dX", which == "dW", False]

        def ours() -> Any:
            if which == "dX":
                return gradients.conv2d_input(weight, grad, (X.shape[2], X.shape[3]), **keywords)
            return gradients.conv2d_weight(X, grad, (weight.shape[2], weight.shape[3]), **keywords)

        return {
            "NumPy": ours,
            timing.REFERENCE: lambda: torch.ops.aten.convolution_backward(
                g, x, w, None, *pairs, False, [0, 0], layer.groups, mask
            ),
        }

    return timing.Case(layer.family, f"b{batch} {layer.name}", build)


def image_filter(kernel: int, separable: bool, options: argparse.Namespace) -> timing.Case:
    def build() -> dict[str, Callable[[], Any]]:
        rng = np.random.default_rng(0)
        X = rng.standard_normal(shapes.FILTER_SIZE).astype(np.float32)
        K = rng.standard_normal((kernel, kernel)).astype(np.float32)
        if separable:
            K = np.outer(rng.standard_normal(kernel), rng.standard_normal(kernel)).astype(np.float32)
        keywords = geometry(Layer("", 1, 1, 0, kernel))
        ops = registry.load("numpy").ops
        X4, K4 = X[None, None], K[None, None]
        x, k = torch.from_numpy(X4), torch.from_numpy(K4)
        calls: dict[str, Callable[[], Any]] = {
            "NumPy": lambda: ops.conv2d(X4, K4, None, **keywords),
            timing.REFERENCE: lambda: torch.nn.functional.conv2d(x, k),
        }
        try:
            from scipy import ndimage

            calls["SciPy"] = lambda: ndimage.correlate(X, K, mode="constant")
        except ImportError:
            pass
        for name in options.backends:
            own = [convbridge.asarray(array, backend=name) for array in (X4, K4)]
            calls[name] = lambda own=own: convbridge.conv2d(*own)
        return calls

    return timing.Case("rank 1" if separable else "any kernel", f"1080x1920 {kernel}x{kernel}", build)


def pooling(layer: Layer, batch: int, mode: str) -> timing.Case:
    def build() -> dict[str, Callable[[], Any]]:
        X = np.random.default_rng(0).standard_normal((batch, layer.channels, layer.size, layer.size))
        X = X.astype(np.float32)
        p = layer.padding
        size, stride, sides = (layer.kernel, layer.kernel), (layer.stride, layer.stride), Sides(p, p, p, p)
        ops = registry.load("numpy").ops
        x = torch.from_numpy(X)
        keywords = {"stride": stride, "padding": sides, "dilation": (1, 1), "data_format": "NCHW"}
        functional = torch.nn.functional
        if mode == "max":
            return {
                "NumPy": lambda: ops.max_pool2d(X, size, **keywords),
                timing.REFERENCE: lambda: functional.max_pool2d(x, layer.kernel, layer.stride, p),
            }
        return {
            "NumPy": lambda: ops.avg_pool2d(X, size, counted=sides, **keywords),
            timing.REFERENCE: lambda: functional.avg_pool2d(x, layer.kernel, layer.stride, p),
        }

    return timing.Case(mode, f"b{batch} {layer.name}", build)


def stacks(results: list[timing.Result]) -> dict[str, float]:
    """Print the sums of whole networks' convolutions."""
    found = {}
    fastest = {result.name: {who: min(times) for who, times in result.seconds.items()} for result in results}
    print("\nwhole stacks of convolutions, NumPy / PyTorch")
    for network, layers in shapes.STACKS.items():
        for batch in (1, 8):
            if not all(f"b{batch} {name}" in fastest for name in layers):
                continue
            sums = {
                who: sum(count * fastest[f"b{batch} {name}"][who] for name, count in layers.items())
                for who in ("NumPy", timing.REFERENCE, timing.CONTROL)
            }
            found[f"{network} b{batch}"] = sums["NumPy"] / sums[timing.REFERENCE]
            print(
                f"{network} b{batch}: {sums['NumPy'] / sums[timing.REFERENCE]:.3f} "
                f"({sums['NumPy'] * 1e3:.1f} / {sums[timing.REFERENCE] * 1e3:.1f} ms; "
                f"control {sums[timing.CONTROL] / sums[timing.REFERENCE]:.3f})"
            )
    return found


def memory(layers: list[Layer], batches: tuple[int, ...]) -> dict[str, Any]:
    """Print what a call allocates beyond its result at its peak, scratch memory that is kept included.

    The target is 8 MiB or twice input plus output, whichever is more.
    """
    ops = registry.load("numpy").ops
    from convbridge_numpy.engine import arena

    rows = []
    for layer in layers:
        for batch in batches:
            X, weight = arrays(layer, batch)
            keywords = geometry(layer)
            arena.release()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            Y = ops.conv2d(X, weight, None, **keywords)
            peak = tracemalloc.get_traced_memory()[1] - before
            tracemalloc.stop()
            extra, allowed = peak - Y.nbytes, max(8 * 2**20, 2 * (X.nbytes + Y.nbytes))
            rows.append((extra / allowed, f"b{batch} {layer.name}", extra, allowed))
    rows.sort(reverse=True)
    print("\nextra memory of a call, in MiB: the ten that come nearest to what is allowed")
    for fraction, name, extra, allowed in rows[:10]:
        print(f"{name:60}{extra / 2**20:10.2f} of {allowed / 2**20:10.2f} ({fraction:.2f})")
    return {"title": "memory", "cases": [{"name": name, "extra": e, "allowed": a} for _, name, e, a in rows]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(TABLES), help="tables, comma-separated (default: all)")
    parser.add_argument("--quick", action="store_true", help="every third case, fewer samples: about a minute")
    called = parser.add_mutually_exclusive_group()
    called.add_argument("--facade", action="store_true", help="call convbridge.conv2d instead of the operator")
    called.add_argument("--layer", action="store_true", help="call a layer, which keeps transformed weights in fast")
    parser.add_argument("--precision", default="exact", choices=("exact", "fast"))
    parser.add_argument("--with", dest="backends", default="", help="more backends: tensorflow, mxnet")
    parser.add_argument("--match", default="", help="only cases whose names hold this")
    parser.add_argument("--passes", type=int, default=3, help="over each table (default: 3)")
    parser.add_argument("--rounds", type=int, default=7, help="samples in a pass (default: 7)")
    parser.add_argument("--cpu-time", action="store_true", help="time of the processor, for a machine with other work")
    parser.add_argument("--json", help="write all samples to this file")
    options = parser.parse_args()
    if options.cpu_time:
        timing.clock = time.process_time
    options.backends = [name for name in options.backends.split(",") if name]
    wanted = options.only.split(",")
    if set(wanted) - set(TABLES):
        parser.error(f"--only takes {', '.join(TABLES)}")
    batches = (1, 8)
    layers = [(layer, batch) for layer in shapes.NETWORKS for batch in batches]
    tables: dict[str, list[timing.Case]] = {
        "forward": [forward(layer, batch, options) for layer, batch in layers],
        "unseen": [forward(layer, batch, options) for layer in shapes.UNSEEN for batch in batches],
        "depthwise": [forward(layer, batch, options) for layer in shapes.DEPTHWISE for batch in batches],
        "grouped": [forward(layer, batch, options) for layer in shapes.GROUPED for batch in batches],
        "filter": [image_filter(k, rank_1, options) for rank_1 in (False, True) for k in shapes.FILTER_KERNELS],
        "pool": [pooling(layer, 8, mode) for mode in ("max", "avg") for layer in shapes.POOLINGS],
        "dX": [gradient(layer, batch, "dX") for layer, batch in layers],
        "dW": [gradient(layer, batch, "dW") for layer, batch in layers],
    }
    found: dict[str, Any] = {"header": timing.header(("numpy", "torch", "scipy", "tensorflow", "mxnet")), "tables": []}
    print(", ".join(f"{name} {value}" for name, value in found["header"].items()))
    how = "layers" if options.layer else "facade" if options.facade else "operators"
    print(f"one thread, fixed heap; precision {options.precision}; {how}")
    passes, rounds, budget = (1, 3, 0.15) if options.quick else (options.passes, options.rounds, 3.0)
    with selection.use_precision("fast") if options.precision == "fast" else nullcontext():
        for name in wanted:
            if name == "memory":
                chosen = shapes.NETWORKS + shapes.UNSEEN + shapes.DEPTHWISE + shapes.GROUPED
                found["tables"].append(memory(chosen, batches))
                continue
            cases = [case for case in tables[name] if options.match in case.name]
            if options.quick and not options.match:
                cases = cases[::5] if len(cases) > 40 else cases[::2]
            if not cases:
                continue
            results = timing.run(cases, passes, rounds, budget)
            found["tables"].append(timing.show(f"{name}: NumPy beside PyTorch, ratios of time", results))
            if name == "forward":
                found["stacks"] = stacks(results)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
