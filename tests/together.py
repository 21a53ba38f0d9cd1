"""Functions that run at the same time, each in a thread of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor


def together(*functions):
    """Wait for all of them, and raise what one of them raised."""
    with ThreadPoolExecutor(len(functions)) as pool:
        for running in [pool.submit(function) for function in functions]:
            running.result()
