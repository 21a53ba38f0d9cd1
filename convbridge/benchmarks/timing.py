"""How the benchmarks measure: the process, the samples, the ratios. Nothing about what is measured.

A ratio of two libraries is easy to get wrong. What is done against it:

one thread, fixed heap
    Threads and the allocator are set before a library is loaded, so what
    measures is started with the right environment. Without a fixed heap a
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

__all__ = [
    "ENVIRONMENT",
    "Call",
    "Case",
    "Result",
    "clock",
    "control_of",
    "geometric_mean",
    "machine",
    "measure",
    "progress",
    "run",
]

Call = Callable[[], Any]

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

#: What is read before and after. ``time.process_time`` leaves out what other processes took of a shared machine.
clock: Callable[[], float] = time.perf_counter


def machine() -> dict[str, Any]:
    """Describe the machine: processor, its widest vectors, its number, and how busy it is now.

    Returns
    -------
    dict

    Examples
    --------
    >>> sorted(machine())
    ['cpus', 'load', 'processor', 'system', 'vectors']
    """
    processor, vectors = platform.processor() or platform.machine(), ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        processor = entries.get("model name", processor)
        flags = entries.get("flags", "").split()
        vectors = next((flag for flag in ("avx512f", "avx2", "avx") if flag in flags), "")
    except OSError:  # another system, which has no such file
        pass
    return {
        "processor": processor,
        "vectors": vectors,
        "cpus": os.cpu_count(),
        "system": platform.system(),
        "load": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else [],
    }


def control_of(reference: str) -> str:
    """Name the reference's second run.

    Parameters
    ----------
    reference : str

    Returns
    -------
    str

    Examples
    --------
    >>> control_of("PyTorch")
    'PyTorch again'
    """
    return f"{reference} again"


class Result(NamedTuple):
    """What one case took.

    Parameters
    ----------
    family : str
        What it is summed up with.
    name : str
        Unique within its table.
    seconds : dict
        For each contender the seconds of a call, one number a round.
    failed : dict
        For each contender that could not compute the case, its message.

    Examples
    --------
    >>> result = Result("1x1", "a layer", {"PyTorch": [2.0, 2.0, 4.0], "NumPy": [3.0, 1.0, 2.0]}, {})
    >>> result.ratio("NumPy", "PyTorch")
    0.5
    >>> result.spread("NumPy", "PyTorch")
    (0.5, 0.5, 1.5)
    """

    family: str
    name: str
    seconds: dict[str, list[float]]
    failed: dict[str, str]

    def ratio(self, who: str, reference: str) -> float:
        """Divide the fastest samples."""
        return min(self.seconds[who]) / min(self.seconds[reference])

    def spread(self, who: str, reference: str) -> tuple[float, float, float]:
        """Return the least, the median and the largest ratio of a round."""
        ratios = [a / b for a, b in zip(self.seconds[who], self.seconds[reference])]
        return min(ratios), statistics.median(ratios), max(ratios)


class Case(NamedTuple):
    """Something to measure.

    Parameters
    ----------
    family : str
        What it is summed up with.
    name : str
        Unique within its table.
    build : callable
        Makes the arrays; returns for each contender what makes its call. Both
        run outside what is timed, and a contender may refuse in either.
    """

    family: str
    name: str
    build: Callable[[], dict[str, Callable[[], Call]]]


def _time(call: Call, number: int) -> float:
    start = clock()
    for _ in range(number):
        call()
    return (clock() - start) / number


def measure(case: Case, reference: str, rounds: int, least: float = 0.002, budget: float = math.inf) -> Result:
    """Measure a case.

    Parameters
    ----------
    case : Case
        Its calls are built first, outside what is timed.
    reference : str
        Who runs twice.
    rounds : int
        Samples of each contender.
    least : float
        Seconds that a sample takes at least; short calls are repeated.
    budget : float
        Seconds after which a case with three rounds ends early.

    Returns
    -------
    Result

    Examples
    --------
    >>> case = Case("none", "nothing", lambda: {"a": lambda: int, "b": lambda: float})
    >>> result = measure(case, "a", rounds=2, least=1e-6)
    >>> {who: len(samples) for who, samples in result.seconds.items()}
    {'a': 2, 'b': 2, 'a again': 2}
    """
    calls: dict[str, Call] = {}
    failed: dict[str, str] = {}
    for name, make in case.build().items():
        try:
            call = make()
            call()
        except Exception as error:  # what a framework lacks, it says in its own ways; the others go on
            failed[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
        else:
            calls[name] = call
    if reference in calls:
        calls[control_of(reference)] = calls[reference]
    seconds: dict[str, list[float]] = {name: [] for name in calls}
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
    return Result(case.family, case.name, seconds, failed)


def run(
    cases: list[Case], reference: str, passes: int, rounds: int, budget: float = math.inf, title: str = ""
) -> list[Result]:
    """Measure all cases, in a new random order in every pass, and join what the passes found.

    Parameters
    ----------
    cases : list of Case
    reference : str
        Who runs twice.
    passes : int
        Over all cases.
    rounds : int
        Samples of each contender in a pass.
    budget : float
        Seconds after which a case with three rounds ends early.
    title : str
        Shown with the progress, on a terminal.

    Returns
    -------
    list of Result
        In the order of ``cases``.

    Examples
    --------
    >>> (result,) = run([Case("none", "nothing", lambda: {"a": lambda: int})], "a", passes=2, rounds=1)
    >>> len(result.seconds["a"])
    2
    """
    joined: dict[tuple[str, str], Result] = {}
    for number in range(passes):
        order = list(cases)
        random.shuffle(order)
        for done, case in enumerate(order):
            progress(f"{title}, pass {number + 1}/{passes}, {done}/{len(order)}: {case.name}")
            found = measure(case, reference, rounds, budget=budget)
            known = joined.setdefault((case.family, case.name), found)
            if known is not found:
                known.failed.update(found.failed)
                for name, values in found.seconds.items():
                    known.seconds.setdefault(name, []).extend(values)
    progress("")
    return [joined[case.family, case.name] for case in cases]


def progress(text: str) -> None:
    """Show on a terminal what is measured now, in place of what was; elsewhere nothing.

    Parameters
    ----------
    text : str
        Empty to wipe the line.

    Examples
    --------
    >>> progress("")
    """
    if sys.stderr.isatty():
        print(f"\r\033[K{text[:79]}", end="", file=sys.stderr, flush=True)


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean, which ratios have: of 2 and 1/2 it is 1.

    Parameters
    ----------
    values : iterable of float
        Positive, at least one.

    Returns
    -------
    float

    Examples
    --------
    >>> geometric_mean([2.0, 0.5])
    1.0
    """
    return math.exp(statistics.fmean(map(math.log, values)))
