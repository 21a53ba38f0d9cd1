"""The matrix: every case on every backend, compared with the oracle and with each other.

:func:`run_matrix` takes cases, gets an outcome for each from every participant
and an answer from the oracle, and judges them as they come. Participants
compute in processes of their own (``isolated``), where one that dies or hangs
costs its own cells only, or in this one, which is quicker to start; recorded
ones have answered before. What comes out is plain data, a
:class:`convbridge.parity.results.Matrix`.
"""

from __future__ import annotations

import itertools
import os
import platform
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np

import convbridge
from convbridge import registry
from convbridge.errors import ArgumentError, ConvbridgeError, received
from convbridge.geometry import integer, word_argument
from convbridge.parity import journal
from convbridge.parity.cases import Case
from convbridge.parity.expected import Answer, relaxed
from convbridge.parity.lattice import lattice
from convbridge.parity.observe import Judgement, Outcome, judge_outcome, judge_pair, observe
from convbridge.parity.results import (
    FAILURES,
    MISSING,
    ORACLE,
    REAL_DIFFERENCE,
    Comparison,
    Detail,
    Matrix,
    Participant,
    Row,
    row_of,
    severity,
)
from convbridge.parity.worker import Worker, agreed
from convbridge.selection import PRECISIONS

__all__ = ["Record", "name_causes", "run_matrix"]

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int], None]
#: Called with a case and the outcomes of all participants; a recorder is one.
Watcher = Callable[[Case, Mapping[str, Outcome]], None]

#: Failures whose numbers are kept; the others are listed without.
_MOST_DETAILS = 200
#: Failures whose cause is looked for, at a tenth of a second or more each.
_MOST_CAUSES = 20


class Record(Protocol):
    """Answers that were given elsewhere; :class:`convbridge.parity.recorded.Vectors` is one."""

    @property
    def participants(self) -> Sequence[Participant]:
        """Who answered."""

    def outcome(self, participant: Participant, case: Case) -> Outcome:
        """Return what one of them made of a case."""


def run_matrix(
    backends: Sequence[str] | None = None,
    *,
    cases: Iterable[Case] | None = None,
    isolated: bool = False,
    jobs: int | None = None,
    patience: float = 60.0,
    records: Sequence[Record] = (),
    watch: Watcher | None = None,
    progress: Progress | None = None,
    precision: str = "exact",
) -> Matrix:
    """Run cases on backends and compare all results.

    Parameters
    ----------
    backends : sequence of str, optional
        Names or aliases. Default: those that are installed. One that is named
        and missing fails the matrix.
    cases : iterable of Case, optional
        Default: the lattice.
    isolated : bool, default False
        Run every backend, and the oracle, in processes of their own.
    jobs : int, optional
        How many processes compute at a time; default: the number of processors.
    patience : float, default 60
        Seconds that one case may take in a process of its own.
    records : sequence of Record, optional
        Answers given elsewhere; they are compared like those of a backend.
    watch : callable, optional
        Called with each case and the outcomes of the backends.
    progress : callable, optional
        Called with the number of cases done and of all cases.
    precision : {"exact", "fast"}
        In which the backends compute. In "fast" the lattice has some cases
        more, and results of engines that trade accuracy for speed are judged
        by the bounds of these (:mod:`convbridge.parity.bounds_fast`), all
        others as ever.

    Returns
    -------
    Matrix

    Raises
    ------
    UnknownBackendError
        If a name is unknown.
    ArgumentError
        If there is nothing to compare, or for another word for the precision.

    Examples
    --------
    >>> from convbridge.parity.lattice import lattice
    >>> matrix = run_matrix(["numpy"], cases=lattice(lambda case: "stride2/NCHW/float64" in case.name))
    >>> matrix.agrees, sorted(matrix.counts())
    (True, ['equal', 'rounding'])
    """
    if jobs is not None:
        jobs = integer(jobs, "jobs", 1)
    chosen = registry.available_backends() if backends is None else backends
    named = {registry.canonical_name(name, "backends") for name in chosen}
    names = [name for name in registry.names() if name in named]
    precision = word_argument(precision, "precision", PRECISIONS)
    todo = lattice(precision=precision) if cases is None else list(cases)
    if not todo or not (names or records):
        what = "cases" if names or records else "backends"
        raise ArgumentError(f"{what} must not be empty. {received(**{what: ()})}")
    start = time.monotonic()
    judge = _Judge(todo, records)
    if precision != "exact":
        judge.matrix.facts["precision"] = precision
    if isolated:
        run = _in_processes(todo, names, jobs or os.cpu_count() or 1, patience, precision)
    else:
        run = _in_process(todo, names, precision)
    with closing(run):  # its processes end with it
        judge.introduce(next(run))
        for number, (case, answer, outcomes) in enumerate(run, 1):
            judge.add(case, answer, outcomes)
            if watch is not None:
                watch(case, outcomes)
            if progress is not None:
                progress(number, len(todo))
    judge.matrix.seconds = time.monotonic() - start
    judge.finish()
    journal.record_matrix(judge.matrix)
    return judge.matrix


def name_causes(matrix: Matrix, most: int = _MOST_CAUSES) -> None:
    """Look for the causes of real differences, and add them to the reasons.

    Of each cell against the oracle the first failure is explained, as long as
    there are not too many.

    Parameters
    ----------
    matrix : Matrix
        Its comparisons are replaced by those that say more.
    most : int
        How many failures to explain.

    Examples
    --------
    >>> matrix = run_matrix(["numpy"], cases=lattice(lambda case: "stride2/NCHW/float64" in case.name))
    >>> name_causes(matrix)  # nothing to explain
    >>> matrix.agrees
    True
    """
    from convbridge.parity.explain import explain

    explained: set[tuple[Row, str, str]] = set()
    for number, comparison in enumerate(matrix.comparisons):
        if len(explained) >= most:
            return
        if comparison.right != ORACLE or comparison.verdict != REAL_DIFFERENCE:
            continue
        case, detail = matrix.cases[comparison.case], matrix.details.get((comparison.case, comparison.result))
        where = (row_of(case), comparison.left, comparison.result)
        if where in explained or detail is None or comparison.left not in detail.outputs:
            continue
        explained.add(where)
        cause = explain(detail.outputs[comparison.left], case, result=comparison.result)
        matrix.comparisons[number] = comparison._replace(reason=f"{comparison.reason}; {cause}")


# --------------------------------------------------------------------------- getting the outcomes

#: First the participants, then each case with its answer and its outcomes.
_Run = Generator[Any, None, None]


def _in_process(cases: Sequence[Case], names: Sequence[str], precision: str) -> _Run:
    participants, loaded = [], []
    for name in names:
        try:
            backend = registry.load(name)
            participants.append(Participant(name, name, backend.framework))
            loaded.append(name)
        except ConvbridgeError as error:
            participants.append(Participant(name, name, problem=str(error)))
    yield participants
    missing = {p.name: Outcome(MISSING, reason=p.problem) for p in participants if p.problem}
    for case in cases:
        outcomes = {name: observe(case, name, precision) for name in loaded}
        yield case, agreed(case), {name: outcomes.get(name) or missing[name] for name in names}


def _in_processes(cases: Sequence[Case], names: Sequence[str], jobs: int, patience: float, precision: str) -> _Run:
    """Run every backend in a thread that talks to its process, and the oracle in ``jobs`` of them."""
    workers = {name: Worker(name, patience, precision) for name in names}
    oracles = [Worker(ORACLE, patience) for _ in range(min(jobs, len(cases)))]
    answers: queue.SimpleQueue[tuple[int, str, Any]] = queue.SimpleQueue()
    gate, stop = threading.Semaphore(jobs), threading.Event()
    numbers = itertools.count()  # next() of it is atomic: each case goes to one oracle

    def compute(name: str, worker: Worker) -> None:
        try:
            with gate:
                worker.start()
        except Exception as error:
            worker.problem = f"{name} could not be started: {error}"
        answers.put((-1, name, Participant(name, name, worker.framework, problem=worker.problem)))
        for number, case in enumerate(cases):
            with gate:
                if stop.is_set():
                    return
                answers.put((number, name, worker.observe(case)))

    def consult(worker: Worker) -> None:
        for number in numbers:
            if number >= len(cases) or stop.is_set():
                return
            try:
                with gate:
                    answers.put((number, ORACLE, worker.expected(cases[number])))
            except Exception as error:
                answers.put((number, ORACLE, error))
                return

    threads = [threading.Thread(target=compute, args=pair, daemon=True) for pair in workers.items()]
    threads += [threading.Thread(target=consult, args=(worker,), daemon=True) for worker in oracles]
    for thread in threads:
        thread.start()
    arrived: dict[int, dict[str, Any]] = {}

    def collect(number: int, wanted: int) -> dict[str, Any]:
        while len(arrived.get(number, ())) < wanted:
            where, name, what = answers.get()
            if isinstance(what, Exception):
                raise what
            arrived.setdefault(where, {})[name] = what
        return arrived.pop(number, {})

    try:
        participants = collect(-1, len(names))
        yield [participants[name] for name in names]
        for number, case in enumerate(cases):
            found = collect(number, len(names) + 1)
            yield case, found.pop(ORACLE), {name: found[name] for name in names}
    finally:
        stop.set()
        for worker in (*workers.values(), *oracles):
            worker.kill()
        for thread in threads:
            thread.join(timeout=10)
        for worker in (*workers.values(), *oracles):
            worker.close()


# --------------------------------------------------------------------------- judging them


class _Judge:
    """Compares outcomes and keeps what a report needs."""

    def __init__(self, cases: Sequence[Case], records: Sequence[Record]) -> None:
        self.records = records
        self.recorded: list[tuple[Participant, Record]] = []
        self.matrix = Matrix(cases={case.name: case for case in cases}, facts=_facts())
        if len(self.matrix.cases) < len(cases):
            raise ArgumentError(f"cases must have different names. {received(cases=len(cases))}")
        self.severities: dict[tuple[Row, str, str], tuple[int, float]] = {}
        self.failures = 0

    def introduce(self, participants: Sequence[Participant]) -> None:
        """Learn who answers; recorded participants stand behind the others and get names of their own."""
        taken = {participant.name for participant in participants}
        for number, record in enumerate(self.records, 1):
            for participant in record.participants:
                name = f"{participant.backend} (recorded)"
                if name in taken:
                    name = f"{participant.backend} (recorded {number})"
                taken.add(name)
                self.recorded.append((participant._replace(name=name, recorded=True), record))
        self.matrix.participants = [*participants, *(participant for participant, _ in self.recorded)]

    def add(self, case: Case, answer: Answer, outcomes: Mapping[str, Outcome]) -> None:
        """Compare everything about one case."""
        known = {
            **outcomes,
            **{participant.name: record.outcome(participant, case) for participant, record in self.recorded},
        }
        own = {name: relaxed(case, answer, outcome.traded) for name, outcome in known.items()}
        judged = {name: judge_outcome(case, outcome, own[name]) for name, outcome in known.items()}
        for result, wanted in answer.items():
            if wanted is None:
                # where None belongs and an array came, there is nothing else to compare
                for name, judgements in judged.items():
                    if result in judgements:
                        self._note(case, result, name, ORACLE, judgements[result], None)
                continue
            values = {}
            for name, outcome in known.items():
                array = outcome.values.get(result)
                if outcome.status == "answered" and array is not None:
                    values[name] = array
            bound = np.zeros(wanted.value.shape) if wanted.exact else wanted.bound
            detail = Detail(case.exact_operands(), wanted.rounded if wanted.exact else wanted.value, bound, values)
            for name, judgements in judged.items():
                self._note(case, result, name, ORACLE, judgements[result], detail)
            for left, right in itertools.combinations(values, 2):
                pair = own[left][result] or wanted, own[right][result] or wanted
                self._note(case, result, left, right, judge_pair(values[left], values[right], *pair), detail)

    def _note(self, case: Case, result: str, left: str, right: str, found: Judgement, detail: Detail | None) -> None:
        comparison = Comparison(case.name, result, left, right, *found)
        self.matrix.comparisons.append(comparison)
        if detail is None:
            return
        failed = comparison.verdict in FAILURES and comparison.verdict != MISSING
        where, how = (row_of(case), left, right), severity(comparison)
        if how > self.severities.get(where, (-2, 0.0)) or (failed and self.failures < _MOST_DETAILS):
            self.severities[where] = max(how, self.severities.get(where, how))
            self.matrix.details[case.name, result] = detail
            self.failures += failed

    def finish(self) -> None:
        """Forget the numbers that no cell shows any more."""
        cells = [cell for row in self.matrix.cells().values() for cell in row.values()]
        wanted = {(cell.worst.case, cell.worst.result) for cell in cells if cell.worst is not None}
        wanted |= {(comparison.case, comparison.result) for comparison in self.matrix.failures[:_MOST_DETAILS]}
        self.matrix.details = {key: detail for key, detail in self.matrix.details.items() if key in wanted}


def _facts() -> dict[str, str]:
    """Return what identifies a run."""
    facts = {
        "convbridge": convbridge.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    # TensorFlow computes with other kernels with it and without
    switch = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    return facts if switch is None else {**facts, "TF_ENABLE_ONEDNN_OPTS": switch}


def _processor() -> str:
    """Return the processor's name, where the system says it."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
