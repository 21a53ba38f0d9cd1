"""A backend, or the oracle, in a process of its own.

Some legal calls end the process or never return. A :class:`Worker` starts a
fresh interpreter, hands it one case after the other, and turns its death or
its silence into an outcome like any other; the next case gets a new process.
:func:`serve` is what runs inside. They speak the messages of
:mod:`convbridge.parity.serial` over a pipe.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import IO

from convbridge import processes, registry
from convbridge.errors import ConvbridgeError
from convbridge.parity import agreement
from convbridge.parity.cases import Case
from convbridge.parity.expected import Answer, expected
from convbridge.parity.observe import Outcome, observe
from convbridge.parity.results import CRASHED, MISSING, ORACLE
from convbridge.parity.serial import (
    Message,
    answer_from,
    answer_to,
    case_from,
    case_to,
    outcome_from,
    outcome_to,
    pack,
    unpack,
)

__all__ = ["OracleError", "Worker", "agreed", "serve"]

#: Seconds that an import may take.
_IMPORT_PATIENCE = 300.0
#: After so many deaths, or so many silences, a backend is not started again.
_MOST_DEATHS, _MOST_SILENCES = 20, 3

_PROGRAM = "import sys; from convbridge.parity.worker import serve; serve(*sys.argv[1:])"


class OracleError(AssertionError):
    """The oracle failed, so nothing can be judged."""


class _Ended(Exception):  # noqa: N818 - not an error: it becomes an outcome
    """A process ended or did not answer."""


def agreed(case: Case) -> Answer:
    """Ask both oracles, and insist that they agree.

    Parameters
    ----------
    case : Case

    Returns
    -------
    dict
        What :func:`convbridge.parity.expected.expected` says.

    Raises
    ------
    OracleDisagreement
        If the two differ.

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> list(agreed(random_case(0, 3)))
    ['Y']
    """
    answer = expected(case)
    agreement.check(case, answer)
    return answer


# --------------------------------------------------------------------------- inside


def serve(name: str, precision: str = "exact") -> None:
    """Answer cases from standard input until it ends.

    Parameters
    ----------
    name : str
        A canonical name, or "oracle".
    precision : {"exact", "fast"}
        In which the backend computes.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a framework prints goes where errors go

    def send(message: Message) -> None:
        answers.write(pack(*message))
        answers.flush()

    try:
        facts = {"framework": "" if name == ORACLE else registry.load(name).framework}
    except ConvbridgeError as error:
        facts = {"problem": str(error)}
    send((facts, {}))
    while True:
        try:
            case = case_from(*unpack(sys.stdin.buffer.read))
        except EOFError:
            return
        if name != ORACLE:
            send(outcome_to(observe(case, name, precision)))
            continue
        try:
            send(answer_to(agreed(case)))
        except Exception as error:  # the other side decides what it means
            send(({"error": f"{type(error).__name__}: {error}"}, {}))


# --------------------------------------------------------------------------- outside


class Worker:
    """One backend, or the oracle, in a process that is replaced when it ends.

    Parameters
    ----------
    name : str
        A canonical name, or "oracle".
    patience : float
        Seconds that one case may take.
    precision : {"exact", "fast"}
        In which the backend computes.

    Attributes
    ----------
    framework : str
        With its version, once a process has started.
    problem : str
        Why the backend cannot be imported; "" if it can.
    """

    def __init__(self, name: str, patience: float = 60.0, precision: str = "exact") -> None:
        self.name = name
        self.patience = patience
        self.precision = precision
        self.framework = self.problem = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._answers: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._deaths = self._silences = 0

    def observe(self, case: Case) -> Outcome:
        """Let the backend compute a case, whatever happens to it.

        Parameters
        ----------
        case : Case

        Returns
        -------
        Outcome
        """
        if self._deaths >= _MOST_DEATHS or self._silences >= _MOST_SILENCES:
            often = f"{self._deaths} times" if self._deaths >= _MOST_DEATHS else f"{self._silences} times by force"
            return Outcome(CRASHED, reason=f"not started again: its process had ended {often}")
        try:
            self.start()
            if self.problem:
                return Outcome(MISSING, reason=self.problem)
            return outcome_from(*self._ask(case))
        except _Ended as ended:
            return Outcome(CRASHED, reason=str(ended))

    def expected(self, case: Case) -> Answer:
        """Let the oracle answer a case.

        Parameters
        ----------
        case : Case

        Returns
        -------
        dict

        Raises
        ------
        OracleError
            If it does not.
        """
        try:
            self.start()
            message, arrays = self._ask(case)
        except _Ended as ended:
            raise OracleError(f"{case.name}: the oracle's process {ended}") from None
        if "error" in message:
            raise OracleError(f"{case.name}: {message['error']}")
        return answer_from(message, arrays)

    def start(self) -> None:
        """Start a process if none is running; find the framework's version, or why it is missing."""
        if self._process is not None or self.problem:
            return
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            processes.command(_PROGRAM, self.name, self.precision),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=processes.environment(),
        )
        assert self._process.stdout is not None
        # A thread reads, because not every system can wait for a pipe with a time limit.
        self._answers = queue.SimpleQueue()
        threading.Thread(target=_listen, args=(self._process.stdout, self._answers), daemon=True).start()
        facts, _ = self._receive(_IMPORT_PATIENCE)
        self.problem = facts.get("problem", "")
        self.framework = facts.get("framework", "")

    def kill(self) -> None:
        """End the process, also while another thread waits for its answer, which then reports the death."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process and forget it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            with suppress(OSError):  # what could not be sent any more
                self._process.stdin.close()
            self._process = None
        if self._said is not None:
            self._said.close()
            self._said = None

    def _ask(self, case: Case) -> Message:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended since its last answer; reading says how
            self._process.stdin.write(pack(*case_to(case)))
            self._process.stdin.flush()
        return self._receive(self.patience)

    def _receive(self, patience: float) -> Message:
        try:
            message = self._answers.get(timeout=patience)
        except queue.Empty:
            self._silences += 1
            self.close()
            raise _Ended(f"gave no answer for {patience:g} seconds and was ended") from None
        if message is None:
            raise self._death()
        return message

    def _death(self) -> _Ended:
        """Say how the process ended, with the last line that it wrote."""
        assert self._process is not None
        assert self._said is not None
        self._deaths += 1
        code = self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        self.close()
        return _Ended(f"ended by {processes.how_it_ended(code)}" + (f": {lines[-1].strip()}" if lines else ""))


def _listen(stream: IO[bytes], answers: queue.SimpleQueue[Message | None]) -> None:
    """Hand on every message, and None when the stream ends."""
    with stream:
        try:
            while True:
                answers.put(unpack(stream.read))
        except EOFError:
            answers.put(None)
