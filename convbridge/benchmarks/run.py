"""A run of the benchmarks: in a process of its own, with one thread and a fixed heap; its result is one JSON document.

The caller's process starts the other one (:func:`start`), which loads the
libraries, measures table after table, and writes a file. What the document
holds is in ``result-1.json`` beside this file, a JSON schema.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import convbridge
from convbridge import registry, selection
from convbridge.benchmarks import convolution, dispatch, imports, memory, shapes, timing
from convbridge.benchmarks.contenders import Library, library
from convbridge.commands.console import quiet
from convbridge.errors import BackendNotInstalledError, ConvbridgeError

__all__ = ["FORMAT", "NOT_QUICK", "TABLES", "Options", "RunError", "child", "measure", "read", "start"]

#: The first line of a document says what it is.
FORMAT = "convbridge-bench-1"

#: Everything there is, in the order in which it runs and is shown.
TABLES: dict[str, str] = {
    **convolution.TABLES,
    "memory": "what a call of NumPy's allocates beyond its result",
    "dispatch": "what convbridge adds to a raw call",
    "import": "what import convbridge costs",
    "growth": "whether memory grows with calls or shapes; takes minutes",
}

#: What a quick run leaves out unless it is named.
NOT_QUICK = ("growth",)

#: Who is the reference, the first that is measured: a ratio needs one name for everybody.
_REFERENCES = ("torch", "tensorflow", "mxnet", "numpy")

#: Seconds of a case after which three rounds are enough.
_QUICK_BUDGET, _FULL_BUDGET = 0.15, 3.0

#: The interpreter finds what its parent finds.
_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from convbridge.benchmarks.run import child
sys.exit(child(sys.argv[2], sys.argv[3]))
"""


class RunError(ConvbridgeError):
    """The benchmarks could not be run, or a file holds no result of them."""


@dataclass(frozen=True)
class Options:
    """What is measured.

    Parameters
    ----------
    only : tuple of str
        Some of :data:`TABLES`; empty for all, but in a quick run for
        :data:`NOT_QUICK`.
    backends : tuple of str, optional
        Canonical names that must be there. None: what is installed.
    full : bool
        All cases and many samples, instead of some cases and few.
    match : str
        Only cases whose names hold this.
    passes, rounds : int, optional
        Over each table, and samples of a contender in each. Default: 3 and 7,
        or 1 and 3 in a quick run.
    precision : {"exact", "fast"}
        What NumPy may trade.
    call : {"operator", "facade", "layer"}
        How NumPy's forward convolution is called.
    cpu_time : bool
        Read the processor's time, for a machine with other work.

    Examples
    --------
    >>> Options().tables()[0], Options(only=("growth",)).tables()
    ('forward', ('growth',))
    """

    only: tuple[str, ...] = ()
    backends: tuple[str, ...] | None = None
    full: bool = False
    match: str = ""
    passes: int | None = None
    rounds: int | None = None
    precision: str = "exact"
    call: str = "operator"
    cpu_time: bool = False

    def tables(self) -> tuple[str, ...]:
        """Return what is run, in order."""
        if self.only:
            return tuple(name for name in TABLES if name in self.only)
        return tuple(name for name in TABLES if self.full or name not in NOT_QUICK)


def start(options: Options) -> dict[str, Any]:
    """Measure in a fresh process with one thread and a fixed heap; progress goes to its standard error.

    Parameters
    ----------
    options : Options

    Returns
    -------
    dict
        The document.

    Raises
    ------
    RunError
        If a backend that was asked for cannot be loaded, or the process ended
        without a result.

    Examples
    --------
    >>> found = start(Options(only=("memory",), backends=("numpy",), match="LeNet 1->6"))
    >>> [row["name"] for row in found["memory"]]
    ['b1 LeNet 1->6 @28 5x5 p2', 'b8 LeNet 1->6 @28 5x5 p2']
    """
    _check(options)
    paths = [os.path.abspath(entry) for entry in sys.path]
    environment = {**os.environ, **timing.ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "found.json")
        command = [sys.executable, "-c", _PROGRAM, json.dumps(paths), json.dumps(asdict(options)), str(file)]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
        if done.returncode or not file.exists():
            raise RunError(f"the process that measures ended with exit code {done.returncode}")
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if "error" in found:
        raise RunError(found["error"])
    return found


def _check(options: Options) -> None:
    """Refuse what would measure nothing, before anything is started."""
    if options.match:
        tables = [name for name in options.tables() if name in convolution.TABLES]
        names = [case.name for table in tables for case in convolution.cases(table, [])]
        if "memory" in options.tables():
            names += [f"b{batch} {layer.name}" for layer, batch in _layers()]
        if not any(options.match in name for name in names):
            raise RunError(f"--match must be in the name of a case of these tables. Received: {options.match}")


def child(options: str, file: str) -> int:
    """Measure in this process, which :func:`start` has started; both arguments come from there.

    Parameters
    ----------
    options : str
        :class:`Options` as JSON.
    file : str
        Where the document is written.

    Returns
    -------
    int
        The exit code.
    """
    values = json.loads(options)
    values["only"] = tuple(values["only"])
    try:
        found = measure(Options(**values))
    except KeyboardInterrupt:
        return 130
    except ConvbridgeError as error:
        found = {"error": str(error)}
    Path(file).write_text(json.dumps(found, allow_nan=False), encoding="utf-8")
    sys.stdout.flush()
    # Without the frameworks' own farewells, some of which hang or crash.
    os._exit(0)


def read(file: Path) -> dict[str, Any]:
    """Read a document that an earlier run wrote.

    Parameters
    ----------
    file : Path

    Returns
    -------
    dict

    Raises
    ------
    RunError
        If it is no such document.
    OSError
        If it cannot be read.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise RunError(f"{file}: must be a file that convbridge bench --json wrote")
    return found


def measure(options: Options) -> dict[str, Any]:
    """Measure in this process. What it finds can be trusted in the environment that :func:`start` makes.

    Parameters
    ----------
    options : Options

    Returns
    -------
    dict
        The document.

    Raises
    ------
    BackendNotInstalledError, BackendBrokenError
        For a backend that was asked for.

    Examples
    --------
    >>> found = measure(Options(only=("import",), backends=("numpy",)))
    >>> found["reference"], list(found["import"])
    ('NumPy', ['samples', 'rows'])
    """
    began = time.perf_counter()
    timing.clock = time.process_time if options.cpu_time else time.perf_counter
    libraries, listed = _load(options.backends, options.call)
    reference = next((found.label for name in _REFERENCES for found in libraries if found.name == name), None)
    passes = options.passes or (3 if options.full else 1)
    rounds = options.rounds or (7 if options.full else 3)
    document: dict[str, Any] = {
        "format": FORMAT,
        "machine": timing.machine(),
        "versions": _versions(libraries, options.tables()),
        "conditions": {
            "run": "full" if options.full else "quick",
            "passes": passes,
            "rounds": rounds,
            "clock": "processor" if options.cpu_time else "wall",
            "precision": options.precision,
            "call": options.call,
            "threads": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
            "heap": "fixed" if "MALLOC_TRIM_THRESHOLD_" in os.environ else "as usual",
        },
        "libraries": listed,
        "reference": reference or libraries[0].label,
        "tables": [],
    }
    with selection.use_precision(options.precision) if options.precision != "exact" else nullcontext():
        for name in options.tables():
            if name in convolution.TABLES:
                all_of = convolution.cases(name, libraries)
                cases = _some([(*case[:2], case) for case in all_of], name, options)
                if not cases:
                    continue
                budget = _FULL_BUDGET if options.full else _QUICK_BUDGET
                results = timing.run(cases, document["reference"], passes, rounds, budget, name)
                found = [result._asdict() for result in results]
                document["tables"].append({"name": name, "title": TABLES[name], "of": len(all_of), "cases": found})
                if name == "forward":
                    document["stacks"] = convolution.stacks(results)
            else:
                document[name] = _other(name, libraries, options)
    document["seconds"] = time.perf_counter() - began
    return document


def _load(asked: tuple[str, ...] | None, call: str) -> tuple[list[Library], list[dict[str, str]]]:
    """Load the contenders, NumPy first in the tables; what is missing or broken is listed with what it said."""
    libraries: list[Library] = []
    listed: list[dict[str, str]] = []
    # In the registry's order: PyTorch must be imported before TensorFlow.
    for name in registry.names():
        row = {"name": name, "label": name, "state": "measured", "note": ""}
        listed.append(row)
        if asked is not None and name not in asked:
            row["state"] = "left out"
            continue
        timing.progress(f"loading {name}")
        try:
            with quiet():
                loaded = library(name, call)
        except ConvbridgeError as error:
            if asked is not None:
                raise
            absent = isinstance(error, BackendNotInstalledError)
            row["state"] = "missing" if absent else "broken"
            row["note"] = registry.spec(name).install_hint if absent else " ".join(str(error).split())
        else:
            libraries.append(loaded)
            row["label"] = loaded.label
    timing.progress("")
    return libraries, listed


def _versions(libraries: list[Library], tables: tuple[str, ...]) -> dict[str, str]:
    found = {"Python": platform.python_version(), "convbridge": convbridge.__version__, "NumPy": np.__version__}
    for loaded in libraries:
        module = sys.modules.get(registry.spec(loaded.name).framework)
        found[loaded.label] = str(getattr(module, "__version__", "?"))
    for label, package, table in (("SciPy", "scipy", "filter"), ("Keras", "keras", "dispatch")):
        try:
            if table in tables and len(libraries) > 1:
                found[label] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _some(named: Sequence[tuple[str, str, Any]], table: str, options: Options) -> list[Any]:
    """Choose cases, given with family and name: those that match; else, in a quick run, a few of every family."""
    if options.match or options.full:
        return [case for _, name, case in named if options.match in name]
    if table == "filter":  # for the large kernels some libraries need seconds
        named = [row for row in named if row[1].endswith((" 3x3", " 5x5"))]
    # Odd, so that batches of 1 and of 8 take turns.
    step = {"forward": 7, "unseen": 7, "dX": 15, "dW": 15}.get(table, 3)
    place: Counter[str] = Counter()
    chosen = []
    for family, _, case in named:
        if place[family] % step == 0:
            chosen.append(case)
        place[family] += 1
    return chosen


def _layers() -> list[tuple[shapes.Layer, int]]:
    """Return what a call's memory is measured on."""
    layers = shapes.NETWORKS + shapes.UNSEEN + shapes.DEPTHWISE + shapes.GROUPED
    return [(layer, batch) for layer in layers for batch in convolution.BATCHES]


def _other(name: str, libraries: list[Library], options: Options) -> Any:
    """Measure what is no table of ratios."""
    names = [loaded.name for loaded in libraries]
    if name == "memory":
        named = [(layer.family, f"b{batch} {layer.name}", (layer, batch)) for layer, batch in _layers()]
        return convolution.memory(_some(named, name, options))
    if name == "dispatch":
        return dispatch.measure_backends(names, 300 if options.full else 60)
    if name == "import":
        return imports.measure(30 if options.full else 10)
    return memory.measure_backends(names)
