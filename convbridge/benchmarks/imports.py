"""How much ``import convbridge`` costs beyond ``import numpy``: printed, not asserted.

Each sample is a fresh interpreter that imports NumPy, then convbridge, then
names a function and a layer, which is when most of convbridge is imported; it
prints the times; the fastest and the median of many are shown, since
everything that disturbs a sample makes it slower. The compiled files are
written by a first run that is not counted, to a folder of their own, so that
an environment that forbids writing them measures the same thing.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from convbridge.benchmarks.timing import progress

__all__ = ["TARGET", "measure", "text"]

#: Milliseconds that the last two parts may take together.
TARGET = 3.0
PARTS = ("import numpy", "import convbridge after numpy", "its functions and layers named")
PROGRAM = """
import time
start = time.perf_counter()
import numpy
middle = time.perf_counter()
import convbridge
end = time.perf_counter()
convbridge.conv2d, convbridge.Conv2D
print(middle - start, end - middle, time.perf_counter() - end)
"""


def sample(environment: dict[str, str]) -> list[float]:
    """Return the milliseconds of the two imports and of the first names in a fresh interpreter."""
    command = [sys.executable, "-c", PROGRAM]
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    return [1000 * float(word) for word in output.split()]


def measure(samples: int = 30) -> dict[str, Any]:
    """Measure the imports.

    Parameters
    ----------
    samples : int
        Fresh interpreters.

    Returns
    -------
    dict
        ``samples``, and for each part its milliseconds, ``min`` and ``median``.

    Examples
    --------
    >>> [row["part"] for row in measure(1)["rows"]][:2]
    ['import numpy', 'import convbridge after numpy']
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        sample(environment)
        found = []
        for number in range(samples):
            progress(f"import, {number}/{samples}")
            found.append(sample(environment))
    progress("")
    columns = zip(PARTS, zip(*found))
    return {
        "samples": samples,
        "rows": [{"part": part, "min": min(times), "median": statistics.median(times)} for part, times in columns],
    }


def text(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table.

    Parameters
    ----------
    found : dict
        From :func:`measure`.

    Yields
    ------
    str
        At most 80 characters.

    Examples
    --------
    >>> next(text({"samples": 3, "rows": []}))
    'import: milliseconds in 3 fresh interpreters     fastest  median'
    """
    heading = f"import: milliseconds in {found['samples']} fresh interpreters"
    yield f"{heading:48}{'fastest':>8}{'median':>8}"
    for row in found["rows"]:
        yield f"{row['part']:48}{row['min']:8.2f}{row['median']:8.2f}"
    yield f"target: the last two together at most {TARGET:g} ms"
