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

SAMPLES = 30
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


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = folder
        sample(environment)
        samples = [sample(environment) for _ in range(SAMPLES)]
    print(f"{SAMPLES} fresh interpreters, milliseconds    fastest  median")
    for column, name in enumerate(("import numpy", "import convbridge after numpy", "its functions and layers named")):
        times = [row[column] for row in samples]
        print(f"{name:40}{min(times):8.2f}{statistics.median(times):8.2f}")
    print("target: the last two together at most 3 ms")


if __name__ == "__main__":
    main()
