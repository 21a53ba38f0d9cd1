"""How the benchmarks measure: the process, the samples, the ratios. Nothing about what is measured.

A ratio of two libraries is easy to get wrong. What is done against it:

one thread, fixed heap
    Threads and the allocator are set before a library is loaded, so the script
    starts itself again with the right environment. Without a fixed heap a
    large result costs page faults, and the comparison is about those.
random order, warm calls
    In every round the contenders run in a new random order, each after a call
    that is not counted: nobody inherits the caches of the one before.
the control
    The reference runs twice under two names. How far their ratio is from 1 is
    how far any other ratio can be trusted.
minima
    The headline ratio is that of the fastest samples: on a machine with other
    work the minimum is what repeats. The least, the median and the largest
    ratio of a round are printed too.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "MXNET_CPU_WORKER_NTHREADS": "1",
}

REFERENCE = "PyTorch"
CONTROL = "PyTorch again"


#: What is read before and after. ``time.process_time`` leaves out what other processes took of a shared machine.
clock: Callable[[], float] = time.perf_counter


def fix_process() -> None:
    """Start this script again with one thread and a fixed heap, unless it already runs so."""
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ENVIRONMENT})


def header(packages: Iterable[str]) -> dict[str, Any]:
    """Describe the machine and the versions."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, Any] = {"python": platform.python_version(), "cpus": os.cpu_count()}
    try:
        with open("/proc/cpuinfo", encoding="ascii") as lines:
            entries = dict(line.split(":", 1) for line in lines if ":" in line)
        found["processor"] = next(v.strip() for k, v in entries.items() if k.startswith("model name"))
        flags = next(v.split() for k, v in entries.items() if k.startswith("flags"))
        found["vectors"] = next((flag for flag in ("avx512f", "avx2", "avx") if flag in flags), "")
    except (OSError, StopIteration, ValueError):
        found["processor"] = platform.machine()
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    found["load"] = ", ".join(f"{load:.2f}" for load in os.getloadavg()) if hasattr(os, "getloadavg") else ""
    return found


class Result(NamedTuple):
    """What one case took: seconds per call of each contender, one number a round."""

    family: str
    name: str
    seconds: dict[str, list[float]]

    def ratio(self, who: str, reference: str = REFERENCE) -> float:
        """Divide the fastest samples."""
        return min(self.seconds[who]) / min(self.seconds[reference])

    def spread(self, who: str, reference: str = REFERENCE) -> tuple[float, float, float]:
        """Return the least, the median and the largest ratio of a round."""
        ratios = [a / b for a, b in zip(self.seconds[who], self.seconds[reference])]
        return min(ratios), statistics.median(ratios), max(ratios)


class Case(NamedTuple):
    """Something to measure; ``build`` makes the arrays and returns the calls, reference included."""

    family: str
    name: str
    build: Callable[[], dict[str, Callable[[], Any]]]


def _time(call: Callable[[], Any], number: int) -> float:
    start = clock()
    for _ in range(number):
        call()
    return (clock() - start) / number


def measure(case: Case, rounds: int, least: float = 0.002, budget: float = math.inf) -> Result:
    """Measure a case.

    Parameters
    ----------
    case : Case
        Its calls are built first, outside what is timed.
    rounds : int
        Samples of each contender.
    least : float
        Seconds that a sample takes at least; short calls are repeated.
    budget : float
        Seconds after which a case with three rounds ends early.
    """
    calls = case.build()
    if REFERENCE in calls:
        calls[CONTROL] = calls[REFERENCE]
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    number = {name: max(1, math.ceil(least / max(_time(call, 1), 1e-7))) for name, call in calls.items()}
    order = list(calls)
    began = time.perf_counter()
    gc.collect()
    gc.disable()
    try:
        for turn in range(rounds):
            if turn >= 3 and time.perf_counter() - began > budget:
                break
            random.shuffle(order)
            for name in order:
                calls[name]()
                seconds[name].append(_time(calls[name], number[name]))
    finally:
        gc.enable()
    return Result(case.family, case.name, seconds)


def run(cases: list[Case], passes: int, rounds: int, budget: float = math.inf) -> list[Result]:
    """Measure all cases, in a new random order in every pass, and join what the passes found."""
    joined: dict[tuple[str, str], Result] = {}
    for number in range(passes):
        order = list(cases)
        random.shuffle(order)
        for done, case in enumerate(order):
            if sys.stderr.isatty():
                print(f"\rpass {number + 1}/{passes}, {done}/{len(order)}: {case.name:60}", end="", file=sys.stderr)
            found = measure(case, rounds, budget=budget)
            known = joined.setdefault((case.family, case.name), found)
            if known is not found:
                for name, values in found.seconds.items():
                    known.seconds[name] += values
    if sys.stderr.isatty():
        print("\r" + " " * 90 + "\r", end="", file=sys.stderr)
    return [joined[case.family, case.name] for case in cases]


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean."""
    return math.exp(statistics.fmean(map(math.log, values)))


def show(title: str, results: list[Result], reference: str = REFERENCE, note: str = "") -> dict[str, Any]:
    """Print a table of ratios, and return its numbers.

    One line a case: the reference's time, then for each contender the ratio of
    the fastest samples and, in parentheses, the least, the median and the
    largest of the rounds.
    """
    contenders = list(dict.fromkeys(name for result in results for name in result.seconds if name != reference))
    print(f"\n{title}\n{note}".rstrip())
    print(f"{'':14}{'':46}{reference + ' ms':>13}" + "".join(f"{name:>28}" for name in contenders))
    for result in results:
        line = f"{result.family:14}{result.name:46}{min(result.seconds[reference]) * 1e3:13.3f}"
        for name in contenders:
            if name in result.seconds:
                low, middle, high = result.spread(name, reference)
                line += f"{result.ratio(name, reference):8.2f} ({low:5.2f} {middle:5.2f} {high:5.2f})"
            else:
                line += f"{'-':>28}"
        print(line)
    summary: dict[str, Any] = {}
    families = list(dict.fromkeys(result.family for result in results))
    for family in [*families, "all"]:
        chosen = [result for result in results if family in (result.family, "all")]
        means = {}
        for name in contenders:
            ratios = [result.ratio(name, reference) for result in chosen if name in result.seconds]
            if ratios:
                means[name] = {"geometric mean": geometric_mean(ratios), "worst": max(ratios), "cases": len(ratios)}
        summary[family] = means
    print(f"{'geometric means (worst)':74}" + "".join(f"{name:>28}" for name in contenders))
    for family, means in summary.items():
        line = f"{family:73}"
        for name in contenders:
            found = means.get(name)
            line += f"{found['geometric mean']:14.3f} ({found['worst']:8.2f})   " if found else f"{'-':>28}"
        print(line, flush=True)
    return {
        "title": title,
        "summary": summary,
        "cases": [{"family": r.family, "name": r.name, "seconds": r.seconds} for r in results],
    }
