"""The atlas: the frameworks' own operators, asked the same question, each in a process that may die of it.

An entry (:mod:`convbridge.teaching.divergences`) is run on every backend, and
where a framework has several sets of kernels, with each of them: first what
convbridge answers, then the native call from the backend's ``atlas.py``. What
may live here: reading those files and running them; what comes of it is in
:mod:`convbridge.teaching.atlas_results`.

Native calls can end a process, hang it or damage its memory, so they run in
interpreters of their own (:mod:`convbridge.teaching.atlas_worker`), one for
each backend and set of kernels, and a new one after a death, which is then the
answer.
"""

from __future__ import annotations

import ast
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import queue
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convbridge import processes, registry
from convbridge.errors import ArgumentError, received
from convbridge.teaching.atlas_results import Atlas, Finding, Outcome, Participant
from convbridge.teaching.divergences import Entry

__all__ = ["cartographers", "run", "source", "variants"]

#: Seconds after which an import, and one call, is called a hang.
IMPORT_PATIENCE = 300.0
PATIENCE = 120.0

#: The longest message of an error that is kept.
LONGEST = 320

#: In standard error, a line that starts with this stands before each call.
MARK = "convbridge atlas:"

_PROGRAM = "import sys; from convbridge.teaching.atlas_worker import main; main(sys.argv[1], sys.argv[2:])"

#: Of the flags of an x86 processor, those with which TensorFlow for Linux turns oneDNN on by itself.
_ONEDNN_FLAGS = ("avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16")


# --------------------------------------------------------------------------- what the backends bring


@cache
def _module(backend: str) -> tuple[str, ast.Module] | None:
    """Read a backend's ``atlas.py`` without importing it, for that would import its framework."""
    found = importlib.util.find_spec(f"{registry.spec(backend).package}.atlas")
    if found is None or found.origin is None:
        return None
    text = Path(found.origin).read_text(encoding="utf-8")
    return text, ast.parse(text)


def cartographers() -> tuple[str, ...]:
    """Return the backends that have an ``atlas.py``, whether or not their framework is installed.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> cartographers()[:4]
    ('numpy', 'torch', 'tensorflow', 'mxnet')
    """
    return tuple(spec.name for spec in registry.readable_specs() if _module(spec.name) is not None)


def variants(backend: str) -> dict[str, dict[str, str]]:
    """Return the sets of kernels that a framework is asked with.

    Parameters
    ----------
    backend : str
        One of :func:`cartographers`.

    Returns
    -------
    dict
        Name to environment variables: ``VARIANTS`` in its ``atlas.py``.

    Examples
    --------
    >>> list(variants("tensorflow"))
    ['oneDNN on', 'oneDNN off']
    """
    found = _module(backend)
    for node in found[1].body if found else ():
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "VARIANTS" and node.value is not None:
            chosen: dict[str, dict[str, str]] = ast.literal_eval(node.value)
            return chosen
    return {"": {}}


def source(backend: str, function: str) -> str:
    """Return the source of a native call, from the installed file, without its docstring.

    Parameters
    ----------
    backend : str
        One of :func:`cartographers`.
    function : str
        :attr:`Entry.function`.

    Returns
    -------
    str
        "" for a function that only says that there is no operator.

    Examples
    --------
    >>> print(source("torch", "default_stride"))
    def default_stride(X: Input) -> Any:
        return F.max_pool2d(torch.tensor(X), 2)
    >>> source("numpy", "ties")
    ''
    """
    found = _module(backend)
    nodes = found[1].body if found else []
    node = next((node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == function), None)
    if found is None or node is None or isinstance(node.body[-1], ast.Raise):
        return ""
    docstring, lines = node.body[0], found[0].splitlines()
    return "\n".join(lines[node.lineno - 1 : docstring.lineno - 1] + lines[docstring.end_lineno : node.end_lineno])


# --------------------------------------------------------------------------- one process


def _one_line(message: str) -> str:
    """Shorten a framework's message: no stack of its own, no list of what else there is, no line breaks."""
    for beginning in ("Stack trace", ", but expected one of", " ; NodeDef:", "; NodeDef:"):
        message = message.partition(beginning)[0]
    lines = [line.strip() for line in message.splitlines()]
    kept = " ".join(line for line in lines if line and not line.startswith(("Traceback (", 'File "')))
    kept = re.sub(r"\{\{function_node [^}]*\}\}\s*", "", kept)  # TensorFlow's name for what it ran
    kept = re.sub(r" name:$", "", re.sub(r"^\w*Error: ", "", kept))
    return kept if len(kept) <= LONGEST else kept[:LONGEST].rsplit(" ", 1)[0] + " …"


def _read_outcome(line: dict[str, Any]) -> Outcome:
    def array(found: Any) -> Any:
        return None if found is None else np.array(found["values"], dtype=found["dtype"]).reshape(found["shape"])

    if line["kind"] == "numbers":
        return Outcome("numbers", {label: array(found) for label, found in line["arrays"].items()})
    return Outcome(line["kind"], error=line["error"], message=_one_line(line["message"]))


class _Child:
    """An interpreter that runs entries, and the lines that it says."""

    def __init__(self, backend: str, environment: Mapping[str, str], entries: Sequence[str]) -> None:
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115  (closed in end)
        self.process = subprocess.Popen(
            processes.command(_PROGRAM, backend, *entries),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            env=processes.environment(**environment),
        )
        self._said: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._said.put(line)
        self._said.put(b"")

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield what the process says until it ends; queue.Empty if it says nothing for too long."""
        patience = IMPORT_PATIENCE
        # a process that is killed may leave half a line
        while (line := self._said.get(timeout=patience)).endswith(b"\n"):
            patience = PATIENCE
            yield json.loads(line)

    def end(self) -> Outcome:
        """End the process if it still runs; return how it ended, and what it said last."""
        self.process.kill()
        code = self.process.wait()
        self._reader.join()
        with self._noise as noise:
            noise.seek(0)
            text = noise.read().decode(errors="replace").rpartition(MARK)[2].partition("\n")[2]
        # TensorFlow prints its stack of calls below its message
        lines = [line.strip() for line in text.splitlines()]
        told = [line for line in lines if line and not line.startswith(("@", "***", "PC:"))]
        # without "2025-01-01 00:00:00: F file.cc:1] "
        message = _one_line(re.sub(r"^.*?\] ", "", told[-1]) if told else "")
        return Outcome("died", error=processes.how_it_ended(code), message=message)


# --------------------------------------------------------------------------- all processes


class _Log(NamedTuple):
    """What one backend, with one set of kernels, answered: (entry, "promise" or "native") to outcome."""

    version: str
    problem: str
    outcomes: dict[tuple[str, str], Outcome]


class _Expedition:
    """The processes of one run, started from several threads, and ended all at once if the run is left."""

    def __init__(self, entries: Sequence[Entry], told: Callable[[], None]) -> None:
        # What damages memory has a process of its own: nothing else may run after it, and it shows best in a new one.
        self.batches = [
            [entry.name for entry in entries if not entry.destroys],
            *([entry.name] for entry in entries if entry.destroys),
        ]
        self.told = told
        self._running: set[_Child] = set()
        self._left = False

    def leave(self) -> None:
        """End all processes and start no more."""
        self._left = True
        for child in list(self._running):
            child.process.kill()

    def ask(self, backend: str, environment: Mapping[str, str]) -> _Log:
        """Run the entries in an interpreter, and after each death in a new one."""
        log = _Log("", "", {})
        for batch in self.batches:
            remaining = batch
            while remaining and not log.problem and not self._left:
                log, remaining = self._ask(backend, environment, remaining, log)
        return log

    def _ask(self, backend: str, environment: Mapping[str, str], names: list[str], log: _Log) -> tuple[_Log, list[str]]:
        """Run entries in one interpreter; return the answers so far, and the entries that it did not live to see."""
        current = part = ""
        hung = False
        child = _Child(backend, environment, names)
        self._running.add(child)
        try:
            for line in child.lines():
                log = log._replace(version=line.get("version", log.version), problem=line.get("problem", log.problem))
                current, part = line.get("entry", current), line.get("part", part)
                if "kind" in line:
                    log.outcomes[current, part] = _read_outcome(line)
                    if part == "native":
                        self.told()
                if "finished" in line:
                    return log, []
        except queue.Empty:
            hung = True
        finally:
            ended = child.end()
            self._running.discard(child)
        if hung:
            ended = Outcome("hung", message=f"no answer within {PATIENCE:.0f} seconds")
        if not current:
            return log._replace(problem=f"its import came to nothing: {ended.sentence}"), []
        log.outcomes[current, part] = ended
        log.outcomes.setdefault((current, "native"), ended)
        self.told()
        return log, names[names.index(current) + 1 :]


def run(
    entries: Sequence[Entry], backends: Sequence[str], told: Callable[[int, int], None] = lambda done, total: None
) -> Atlas:
    """Put questions to frameworks.

    Parameters
    ----------
    entries : sequence of Entry
    backends : sequence of str
        Canonical names, of :func:`cartographers`. One whose framework is not
        installed takes part as missing.
    told : callable, optional
        Called with the number of answers so far and of all, from any thread.

    Returns
    -------
    Atlas

    Raises
    ------
    ArgumentError
        For a backend that has no ``atlas.py``.

    Examples
    --------
    >>> from convbridge.teaching.divergences import find
    >>> finding = run(find(["fractional-stride"]), ["numpy"]).findings[0]
    >>> finding.promises[0][1].error, finding.answers[0].verdict
    ('ArgumentTypeError', 'refuses too')
    """
    known = cartographers()
    for name in backends:
        if name not in known:
            raise ArgumentError(f"backends must be among {', '.join(known)}. {received(backend=name)}")
    installed = [name for name in registry.available_backends() if name in backends]
    asked = [(name, variant) for name in installed for variant in variants(name)]
    total, lock, done = len(asked) * len(entries), threading.Lock(), 0

    def count() -> None:
        nonlocal done
        with lock:
            done += 1
            told(done, total)

    expedition = _Expedition(entries, count)
    with ThreadPoolExecutor(max(1, min(len(asked), os.cpu_count() or 1))) as pool:
        futures = {
            (name, variant): pool.submit(expedition.ask, name, variants(name)[variant]) for name, variant in asked
        }
        try:
            logs = {who: future.result() for who, future in futures.items()}
        except BaseException:
            expedition.leave()
            raise
    return _chart(entries, backends, logs)


def _chart(entries: Sequence[Entry], backends: Sequence[str], logs: Mapping[tuple[str, str], _Log]) -> Atlas:
    """Put the answers together."""
    participants: list[Participant] = []
    rows: dict[str, list[tuple[str, str, Outcome, Outcome]]] = {entry.name: [] for entry in entries}
    for name in backends:
        absent = _Log("", registry.spec(name).install_hint, {})
        mine = {variant: logs.get((name, variant), absent) for variant in variants(name)}
        for variant, log in mine.items():
            gone = Outcome("missing", message=log.problem)
            for entry in entries:
                promise, native = (log.outcomes.get((entry.name, part), gone) for part in ("promise", "native"))
                rows[entry.name].append((name, variant, promise, native))
        version = next((log.version for log in mine.values() if log.version), "")
        problem = next((log.problem for log in mine.values() if log.problem), "")
        named = tuple(variant for variant in mine if variant)
        participants.append(Participant(name, version, named, problem, absent not in mine.values()))
    findings = tuple(
        Finding.judged(entry, rows[entry.name], {name: source(name, entry.function) for name in backends})
        for entry in entries
    )
    return Atlas(findings, tuple(participants), _circumstances())


def _circumstances() -> dict[str, str]:
    """Return what the answers may depend on."""
    import convbridge

    found = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "convbridge": convbridge.__version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "SciPy": "not installed",
        "platform": f"{platform.system()} {platform.machine()}",
    }
    with suppress(importlib.metadata.PackageNotFoundError):
        found["SciPy"] = importlib.metadata.version("scipy")
    with suppress(OSError):  # no Linux
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
        found["processor flags"] = ", ".join(flag for flag in _ONEDNN_FLAGS if flag in flags) or "none of those"
    return found
