"""Whether memory grows with the number of calls or of shapes: printed; ``tests/test_memory.py`` asserts less of it.

A leak is what grows without end, so each backend is run in a process of its
own, and what its process holds (the resident set, after a garbage collection
and after the allocator has given back what is free) is read at even intervals:

calls
    The same convolution and poolings, forward and backward, again and again.
shapes
    The same with a shape that was never seen before every time, which is what
    the frameworks' caches of compiled kernels are keyed by.

Frameworks keep compiled kernels, hundreds of them, so that memory grows while
their caches fill and then levels off: what is linear does not. So the growth
that is reported is that of the last quarter of the readings over the third,
median over median, for medians do not care for one bad reading.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from convbridge.benchmarks.timing import progress

__all__ = ["PROGRAM", "READINGS", "growth", "measure", "measure_backends", "text"]

READINGS = 40

PROGRAM = """
import ctypes, gc, itertools, json, resource, sys
import numpy as np
import convbridge
from convbridge import registry

backend, kind, count, readings = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
allocator = ctypes.CDLL(None)

def held():
    gc.collect()
    if hasattr(allocator, "malloc_trim"):
        allocator.malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

def shapes():
    sizes = itertools.product(range(8, 40), range(8, 40), (1, 2), (1, 2, 3), (1, 2, 4))
    if kind == "calls":
        return itertools.repeat((16, 16, 2, 2, 2), count)
    return itertools.islice(sorted(sizes, key=lambda size: hash(size) % 10007), count)

def run(height, width, batch, channels, outputs):
    X = convbridge.asarray(np.ones((batch, channels, height, width), np.float32), backend=backend)
    W = convbridge.asarray(np.ones((outputs, channels, 3, 3), np.float32), backend=backend)
    b = convbridge.asarray(np.ones(outputs, np.float32), backend=backend)
    Y = convbridge.conv2d(X, W, b, padding=1)
    convbridge.conv2d_vjp(X, W, b, Y, padding=1)
    for mode in ("max", "avg"):
        Y = convbridge.pool2d(X, 2, mode)
        convbridge.pool2d_vjp(X, 2, Y, mode)

registry.load(backend)
found = [held()]
for number, shape in enumerate(shapes(), 1):
    run(*shape)
    if number % (count // readings) == 0:
        found.append(held())
print(json.dumps(found))
"""


def measure(
    backend: str,
    kind: str,
    count: int,
    readings: int = READINGS,
    environment: dict[str, str] | None = None,
    program: str = PROGRAM,
) -> list[int]:
    """Return the bytes that a fresh process held, at the start and after every part of the work.

    Parameters
    ----------
    backend : str
        A canonical name.
    kind : {"calls", "shapes"}
        What is repeated.
    count : int
        How often; ``readings`` divides it.
    readings : int
        How many.
    environment : dict, optional
        More variables of the environment.
    program : str
        What runs; another one to try out the measurement itself.

    Returns
    -------
    list of int
        ``readings + 1`` numbers.
    """
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", program, backend, kind, str(count), str(readings)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    variables = {**inherited, "PYTHONPATH": paths, "PYTHONHASHSEED": "0", **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
    return [int(number) for number in json.loads(done.stdout.splitlines()[-1])]


def growth(found: list[int], since: int) -> float:
    """Return by how many bytes the last quarter of the readings lies above an earlier one.

    Parameters
    ----------
    found : list of int
        From :func:`measure`.
    since : {1, 2, 3}
        Number of the earlier quarter.

    Returns
    -------
    float
    """
    quarter = (len(found) - 1) // 4
    earlier = found[1 + (since - 1) * quarter : 1 + since * quarter]
    return statistics.median(found[-quarter:]) - statistics.median(earlier)


def measure_backends(names: Sequence[str], counts: dict[str, int] | None = None) -> list[dict[str, Any]]:
    """Measure both kinds of work on some backends.

    Parameters
    ----------
    names : sequence of str
        Canonical names.
    counts : dict, optional
        How often "calls" and "shapes" are repeated; :data:`READINGS` divides
        both. Default: 10,000 and 2,000.

    Returns
    -------
    list of dict
        ``backend``, ``kind``, ``count``, and the ``bytes`` of every reading.

    Examples
    --------
    >>> (row,) = measure_backends(["numpy"], {"calls": 40})
    >>> row["kind"], len(row["bytes"])
    ('calls', 41)
    """
    rows = []
    for name in names:
        for kind, count in (counts or {"calls": 10_000, "shapes": 2_000}).items():
            progress(f"growth: {name}, {count} {kind}")
            rows.append({"backend": name, "kind": kind, "count": count, "bytes": measure(name, kind, count)})
    progress("")
    return rows


def text(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table.

    Parameters
    ----------
    rows : sequence of dict
        From :func:`measure_backends`.

    Yields
    ------
    str
        At most 80 characters.

    Examples
    --------
    >>> next(text([]))
    'growth: resident memory in MB, loaded and after each quarter of the work'
    """
    yield "growth: resident memory in MB, loaded and after each quarter of the work"
    yield f"{'':25}{'start':>7}{'1/4':>7}{'1/2':>7}{'3/4':>7}{'end':>7}{'last 1/4':>9}{'each':>11}"
    for row in rows:
        found, count = row["bytes"], row["count"]
        shown = "".join(f"{found[READINGS * part // 4] / 2**20:7.1f}" for part in range(5))
        grown = growth(found, since=3)
        each = f"{grown / (count / 4) / 1024:+.3f} kB"
        work = f"{count} {row['kind']}"
        yield f"{row['backend']:11}{work:14}{shown}{grown / 2**20:+9.2f}{each:>11}"
