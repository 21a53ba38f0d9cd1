"""Answers of backends in a file, to be compared where a framework cannot be installed.

A file of recorded vectors holds cases, what each backend made of them, and
what identifies the run: versions, platform, date. It is an ``.npz`` archive
without pickle: one array of numbers for each dtype, in which equal arrays are
stored once, and one of JSON text that says where everything lies. Checksums
over all of it tell a damaged file from a good one before a number is used.

``convbridge parity --record FILE`` writes one, ``--against FILE`` compares
with one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from convbridge.errors import ArgumentError, received
from convbridge.parity.cases import Case
from convbridge.parity.observe import Outcome
from convbridge.parity.results import Participant
from convbridge.parity.serial import Message, case_from, case_to, outcome_from, outcome_to

__all__ = ["SCHEMA", "Recorder", "Vectors", "read"]

Array = np.ndarray[Any, Any]

#: Files of this version and of older ones can be read.
SCHEMA = 1
_FORMAT = "convbridge recorded vectors"
#: The numbers that cases and outcomes are made of; bfloat16 is held as float32.
_DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint32", "uint16", "uint8", "bool")


class _Pool:
    """One long array for each dtype, in which other arrays find a place."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Array]] = {}
        self.lengths: dict[str, int] = {}
        self.known: dict[tuple[str, bytes], int] = {}

    def put(self, array: Array) -> list[Any]:
        """Store an array; return what finds it again: dtype, place, shape."""
        name = array.dtype.name
        if name not in _DTYPES:
            raise ArgumentError(f"an array must hold one of {', '.join(_DTYPES)}. {received(dtype=name)}")
        flat = np.ascontiguousarray(array).reshape(-1)
        content = flat.tobytes()
        place = self.known.get((name, content))
        if place is None:
            place = self.known[name, content] = self.lengths.get(name, 0)
            self.parts.setdefault(name, []).append(flat)
            self.lengths[name] = place + flat.size
        return [name, place, list(array.shape)]

    def arrays(self) -> dict[str, Array]:
        """Return the long arrays, dtype to numbers."""
        return {name: np.concatenate(parts) for name, parts in sorted(self.parts.items())}


class Recorder:
    """Collects cases and outcomes during a run, and writes them.

    An object of this class is what ``watch`` of
    :func:`convbridge.parity.run_matrix` takes.

    Examples
    --------
    >>> from convbridge.parity.lattice import lattice
    >>> from convbridge.parity.matrix import run_matrix
    >>> recorder = Recorder()
    >>> cases = lattice(lambda case: "conv2d/1x1/NCHW" in case.name)
    >>> matrix = run_matrix(["numpy"], cases=cases, watch=recorder)
    >>> file = io.BytesIO()
    >>> recorder.write(file, matrix.participants, matrix.facts)
    >>> vectors = read(io.BytesIO(file.getvalue()))
    >>> len(vectors.cases) == len(cases), [one.backend for one in vectors.participants]
    (True, ['numpy'])
    """

    def __init__(self) -> None:
        self.pool = _Pool()
        self.cases: list[dict[str, Any]] = []

    def __call__(self, case: Case, outcomes: Mapping[str, Outcome]) -> None:
        """Remember one case."""
        entry = self._stored(case_to(case, whole=True))
        answers = {name: self._stored(outcome_to(outcome)) for name, outcome in outcomes.items()}
        self.cases.append({"case": entry, "outcomes": answers})

    def _stored(self, message: Message) -> dict[str, Any]:
        facts, arrays = message
        return {"facts": facts, "arrays": {name: self.pool.put(array) for name, array in arrays.items()}}

    def write(
        self,
        file: str | os.PathLike[str] | io.BytesIO,
        participants: Iterable[Participant],
        facts: Mapping[str, str],
    ) -> None:
        """Write a file.

        Parameters
        ----------
        file : path or binary stream
            A path is replaced only when all of it has been written.
        participants : iterable of Participant
            Who answered.
        facts : mapping
            What identifies the run.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        pools = self.pool.arrays()
        manifest = {
            "format": _FORMAT,
            "schema": SCHEMA,
            "facts": dict(facts),
            "participants": [[one.name, one.backend, one.framework, one.problem] for one in participants],
            "cases": self.cases,
            "checksums": {name: _checksum(pool) for name, pool in pools.items()},
        }
        text = np.frombuffer(json.dumps(manifest, allow_nan=False, separators=(",", ":")).encode(), np.uint8)
        arrays = {
            "manifest": text,
            "checksum": np.frombuffer(hashlib.sha256(text.tobytes()).digest(), np.uint8),
            **pools,
        }
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)
        if isinstance(file, io.BytesIO):
            file.write(stream.getvalue())
            return
        path = Path(file)
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_bytes(stream.getvalue())
        unfinished.replace(path)


def _checksum(pool: Array) -> str:
    return hashlib.sha256(pool.tobytes()).hexdigest()


class Vectors:
    """What a file of recorded vectors holds; see :func:`read`.

    Attributes
    ----------
    facts : dict
        What identifies the run that was recorded.
    participants : list of Participant
        Who answered.
    cases : list of Case
        With the numbers that were computed with.
    """

    def __init__(self, manifest: dict[str, Any], pools: Mapping[str, Array]) -> None:
        self._pools = pools
        self.facts: dict[str, str] = manifest["facts"]
        self.participants = [
            Participant(name, backend, framework, True, problem)
            for name, backend, framework, problem in manifest["participants"]
        ]
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        self.cases: list[Case] = []
        for entry in manifest["cases"]:
            case = case_from(*self._message(entry["case"]))
            self.cases.append(case)
            for backend, stored in entry["outcomes"].items():
                self._outcomes[case.name, backend] = outcome_from(*self._message(stored))

    def _message(self, entry: Mapping[str, Any]) -> Message:
        arrays = {}
        for name, (dtype, place, shape) in entry["arrays"].items():
            size = int(np.prod(shape, dtype=object))
            arrays[name] = self._pools[dtype][place : place + size].reshape(shape).copy()
        return entry["facts"], arrays

    def outcome(self, participant: Participant, case: Case) -> Outcome:
        """Return what a participant made of a case.

        Parameters
        ----------
        participant : Participant
            One of those of this file.
        case : Case
            Found by its name.

        Returns
        -------
        Outcome
            "missing" if the file has none.
        """
        missing = Outcome("missing", reason="the case is not among the recorded ones")
        return self._outcomes.get((case.name, participant.backend), missing)


def read(file: str | os.PathLike[str] | io.BytesIO) -> Vectors:
    """Read a file of recorded vectors.

    Parameters
    ----------
    file : path or binary stream
        As :class:`Recorder` wrote it.

    Returns
    -------
    Vectors

    Raises
    ------
    ArgumentError
        If it is damaged, cut off, of another kind, or of a newer schema.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> read(io.BytesIO(b"something else"))
    Traceback (most recent call last):
    ...
    convbridge.errors.ArgumentError: file must be one of recorded vectors: it is no archive, or it is cut off.
    Received: file='a stream'
    """
    source = "a stream" if isinstance(file, io.BytesIO) else os.fspath(file)

    def wrong(what: str) -> ArgumentError:
        return ArgumentError(f"file must be one of recorded vectors: {what}. {received(file=source)}")

    stream = file if isinstance(file, io.BytesIO) else io.BytesIO(Path(file).read_bytes())
    if not zipfile.is_zipfile(stream):
        raise wrong("it is no archive, or it is cut off")
    stream.seek(0)
    try:
        with np.load(stream, allow_pickle=False) as archive:
            if not {"manifest", "checksum"} <= set(archive.files):
                raise wrong("it is an archive of something else")
            text = archive["manifest"].tobytes()
            if hashlib.sha256(text).digest() != archive["checksum"].tobytes():
                raise wrong("its description is damaged")
            manifest = json.loads(text)
            if manifest.get("format") != _FORMAT:
                raise wrong("it is an archive of something else")
            if manifest["schema"] > SCHEMA:
                raise wrong(
                    f"its schema is {manifest['schema']}, this version of convbridge reads {SCHEMA} and older, so a "
                    "newer version wrote it"
                )
            pools = {name: archive[name] for name in manifest["checksums"]}
        for name, checksum in manifest["checksums"].items():
            if _checksum(pools[name]) != checksum:
                raise wrong(f"its numbers of {name} are damaged")
        return Vectors(manifest, pools)
    except ArgumentError:
        raise
    # a foreign or damaged archive fails in as many ways as there are readers below
    except (
        zipfile.BadZipFile,
        zlib.error,
        LookupError,
        TypeError,
        ValueError,
        EOFError,
        OSError,
        RuntimeError,
    ) as error:
        raise wrong(f"it is damaged ({type(error).__name__}: {error})") from error
