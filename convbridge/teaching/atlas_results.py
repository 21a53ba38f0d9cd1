"""What a run of the atlas found: plain data, how it is judged, and its numbers as text.

What may live here: the results, the verdicts, and what both the terminal and
the page show of them; nothing that runs an entry. The words: an *outcome* is
what one call came to; an *answer* is what one framework said to one entry,
beside what convbridge said there; a *finding* is an entry with all its answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from convbridge.parity.bounds import judge
from convbridge.teaching.divergences import Entry

__all__ = [
    "LOUD",
    "NONE",
    "OK",
    "SILENT",
    "VERDICTS",
    "Answer",
    "Atlas",
    "Finding",
    "Outcome",
    "Participant",
    "as_text",
]

Array = np.ndarray[Any, Any]

OK, LOUD, SILENT, NONE = "ok", "loud", "silent", "none"

#: What a native answer can be next to what convbridge promises: agreement, a difference that says so, one that
#: does not (a dead process says nothing that a program could hear), or nothing; and a word for narrow columns.
VERDICTS = {
    "as promised": (OK, "same"),
    "refuses too": (OK, "refuses"),
    "raises an error": (LOUD, "raises"),
    "other numbers": (SILENT, "differs"),
    "another shape": (SILENT, "shape"),
    "None, no error": (SILENT, "None"),
    "accepts it": (SILENT, "accepts"),
    "ends the process": (SILENT, "dies"),
    "hangs": (SILENT, "hangs"),
    "no operator": (NONE, "-"),
    "missing": (NONE, "missing"),
}


class Outcome(NamedTuple):
    """What one call came to.

    Attributes
    ----------
    kind : {"numbers", "error", "no operator", "missing", "died", "hung"}
        "no operator": the framework has nothing to ask. "missing": the
        framework, or a library that the call needs, is not installed.
    arrays : mapping
        Name to result, "" for a result without a name; None where a framework
        returned None instead of an array. Empty unless the kind is "numbers".
    error : str
        The class of the exception, or how the process ended.
    message : str
        What it said, in one line, without the framework's own stack.
    """

    kind: str
    arrays: Mapping[str, Array | None] = MappingProxyType({})
    error: str = ""
    message: str = ""

    @property
    def sentence(self) -> str:
        """What there is instead of numbers."""
        if self.kind in ("no operator", "missing"):
            return self.message
        error = f"the process ended with {self.error}" if self.kind == "died" else self.error
        return ": ".join(part for part in (error, self.message) if part)

    def equals(self, other: Outcome, *, as_errors: str = "words") -> bool:
        """Tell whether two outcomes are the same: bit by bit, and word by word or by the "class" of the error."""
        if self.kind != other.kind or self.arrays.keys() != other.arrays.keys() or self.error != other.error:
            return False
        if as_errors == "words" and self.message != other.message:
            return False
        return all(_equal(array, other.arrays[label]) for label, array in self.arrays.items())

    @property
    def text(self) -> str:
        """All of it: the numbers, or what there is instead."""
        if self.kind != "numbers":
            return self.sentence
        return "\n\n".join(as_text(label, array) for label, array in self.arrays.items())

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as dictionaries, lists and strings; NaN and infinities as strings."""
        if self.kind == "numbers":
            return {"kind": self.kind, "arrays": {label: _plain(array) for label, array in self.arrays.items()}}
        return {"kind": self.kind, "error": self.error, "message": self.message}


class Answer(NamedTuple):
    """One entry on one backend, with one set of its framework's kernels.

    Attributes
    ----------
    backend : str
    variant : str
        "oneDNN on"; "" where there is one, or where all answered the same.
    promise : Outcome
        What convbridge answered.
    native : Outcome
        What the framework's own operator answered.
    verdict : str
        One of :data:`VERDICTS`.
    """

    backend: str
    variant: str
    promise: Outcome
    native: Outcome
    verdict: str

    @property
    def title(self) -> str:
        """The backend, and the variant if there is one."""
        return f"{self.backend} ({self.variant})" if self.variant else self.backend

    @property
    def kind(self) -> str:
        """One of OK, LOUD, SILENT, NONE."""
        return VERDICTS[self.verdict][0]

    @property
    def word(self) -> str:
        """The verdict for a narrow column."""
        return VERDICTS[self.verdict][1]


class Finding(NamedTuple):
    """One entry on all backends.

    Attributes
    ----------
    entry : Entry
    answers : tuple of Answer
        In the order of the backends, all variants of one next to each other.
    sources : dict
        Backend to the source of its native call, "" if it has no operator.
    kept : bool
        Whether convbridge answered the same on all backends, where it promises that.
    """

    entry: Entry
    answers: tuple[Answer, ...]
    sources: dict[str, str]
    kept: bool

    @classmethod
    def judged(
        cls, entry: Entry, found: Sequence[tuple[str, str, Outcome, Outcome]], sources: dict[str, str]
    ) -> Finding:
        """Judge the answers to an entry: (backend, variant, what convbridge said, what the framework said)."""
        said = [promise for _, _, promise, _ in found if promise.kind != "missing"]
        answers: list[Answer] = []
        for _, group in groupby(found, key=lambda one: one[0]):
            mine = [Answer(*one, _verdict(one[3], said[0] if said else one[2])) for one in group]
            first, *others = mine
            if all(first.native.equals(o.native) and first.promise.equals(o.promise) for o in others):
                mine = [first._replace(variant="")]
            answers += mine
        # a death or a hang is no answer that could be kept
        kept = all(said[0].equals(other, as_errors="class") and other.kind in ("numbers", "error") for other in said)
        return cls(entry, tuple(answers), sources, kept or not entry.promised)

    @property
    def promises(self) -> list[tuple[list[str], Outcome]]:
        """What convbridge answered, and on which backends: one answer, unless a promise is broken or none was made."""
        found: list[tuple[list[Answer], Outcome]] = []
        for answer in self.answers:
            if answer.promise.kind == "missing":
                continue
            same = next((those for those, other in found if answer.promise.equals(other, as_errors="class")), None)
            if same is None:
                found.append(([answer], answer.promise))
            else:
                same.append(answer)
        everywhere = self.by_backend()

        def named(those: list[Answer]) -> list[str]:
            """Name backends, and variants only where the others of the backend answered something else."""
            backends = {
                answer.backend: [other for other in those if other.backend == answer.backend] for answer in those
            }
            return [
                name
                for backend, mine in backends.items()
                for name in ([backend] if mine == everywhere[backend] else [answer.title for answer in mine])
            ]

        return [(named(those), outcome) for those, outcome in found]

    def __repr__(self) -> str:
        # without the inputs and sources, which a tuple would print
        said = "; ".join(f"{answer.title} {self.says(answer)}" for answer in self.answers)
        return f"<Finding {self.entry.name}: {said}>"

    def _repr_html_(self) -> str:
        from convbridge.notebook import teaching

        return teaching.finding(self)

    def says(self, answer: Answer) -> str:
        """Return the verdict on an answer, in words that promise nothing where nothing is promised."""
        return answer.verdict if self.entry.promised else answer.word

    def who(self, *kinds: str) -> list[Answer]:
        """Return the answers of these kinds."""
        return [answer for answer in self.answers if answer.kind in kinds]

    def by_backend(self) -> dict[str, list[Answer]]:
        """Return the answers of each backend."""
        return {backend: list(mine) for backend, mine in groupby(self.answers, key=lambda answer: answer.backend)}

    def to_json(self) -> dict[str, Any]:
        """Return the finding as dictionaries, lists and strings."""
        entry = self.entry
        return {
            "name": entry.name,
            "title": entry.title,
            "question": entry.question,
            "inputs": {name: _plain(array) for name, array in entry.inputs.items()},
            "call": entry.call,
            "convbridge": [{"backends": names, "outcome": outcome.to_json()} for names, outcome in self.promises],
            "promised": entry.promised,
            "kept": self.kept,
            "why": entry.why,
            "promise": entry.promise,
            "threads": list(entry.threads),
            "answers": [
                {
                    "backend": answer.backend,
                    "variant": answer.variant,
                    "verdict": answer.verdict,
                    "source": self.sources[answer.backend],
                    "outcome": answer.native.to_json(),
                }
                for answer in self.answers
            ],
        }


class Participant(NamedTuple):
    """A framework that was asked, or that is not there.

    Attributes
    ----------
    backend : str
    version : str
    variants : tuple of str
    problem : str
        Why it is missing or broken; "" if it answered.
    installed : bool
    """

    backend: str
    version: str
    variants: tuple[str, ...]
    problem: str = ""
    installed: bool = True


class Atlas(NamedTuple):
    """A run of the atlas.

    Attributes
    ----------
    findings : tuple of Finding
    participants : tuple of Participant
    circumstances : dict
        What the answers may depend on: date, platform, versions, the processor.
    """

    findings: tuple[Finding, ...]
    participants: tuple[Participant, ...]
    circumstances: dict[str, str]

    @property
    def kept(self) -> bool:
        """Whether convbridge answered the same on all backends, to every entry."""
        return all(finding.kept for finding in self.findings)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.findings))

    def _repr_html_(self) -> str:
        from convbridge.notebook import teaching

        return teaching.atlas(self)

    def to_json(self) -> dict[str, Any]:
        """Return the run as dictionaries, lists and strings."""
        return {
            "circumstances": self.circumstances,
            "frameworks": [participant._asdict() for participant in self.participants],
            "kept": self.kept,
            "entries": [finding.to_json() for finding in self.findings],
        }


# --------------------------------------------------------------------------- judging


def _equal(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is b
    return judge(a, b, 0.0).kind == "equal"


def _verdict(native: Outcome, promise: Outcome) -> str:
    """Say in a word or two how a native answer relates to what convbridge promises.

    Dtypes are shown, and not judged by: a framework may well answer in another
    one, as long as the numbers are the same.
    """
    words = {"died": "ends the process", "hung": "hangs", "no operator": "no operator", "missing": "missing"}
    if native.kind in words:
        return words[native.kind]
    if native.kind == "error":
        return "refuses too" if promise.kind == "error" else "raises an error"
    if promise.kind != "numbers":
        return "accepts it"
    verdict = "as promised"
    for label, array in native.arrays.items():
        wanted = promise.arrays[label] if label in promise.arrays else next(iter(promise.arrays.values()))
        if array is None or wanted is None:
            return "None, no error"
        if array.shape != wanted.shape:
            return "another shape"
        if not _equal(array.astype(np.longdouble), wanted.astype(np.longdouble)):
            verdict = "other numbers"
    return verdict


# --------------------------------------------------------------------------- numbers as text

#: An array of several matrices with more numbers than this is not printed, not even in part.
_TOO_MANY = 1000


def _plain(array: Array | None) -> Any:
    """Return an array as JSON has it; what JSON has no number for by its name."""

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(item) for item in value]
        return value if math.isfinite(value) else str(value)

    if array is None:
        return None
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": named(array.tolist())}


def as_text(label: str, array: Array | None) -> str:
    """Write an array: its name, shape and dtype in one line, its numbers below, leading axes of length 1 left out.

    Parameters
    ----------
    label : str
        "" for none.
    array : numpy.ndarray or None

    Returns
    -------
    str

    Examples
    --------
    >>> print(as_text("Y", np.ones((1, 1, 2, 2), "float32")))
    Y, float32 of shape (1, 1, 2, 2)
    [[1. 1.]
     [1. 1.]]
    """
    if array is None:
        return f"{label}: None" if label else "None"
    head = f"{label}, {array.dtype.name}" if label else array.dtype.name
    if array.ndim == 0:
        return f"{head}\n{array}"
    head += f" of shape {array.shape}"
    shown = array
    while shown.ndim > 2 and shown.shape[0] == 1:
        shown = shown[0]
    if not shown.size:
        return f"{head}\nno numbers"
    if shown.ndim > 2 and shown.size > _TOO_MANY:
        return f"{head}\n{shown.size} numbers"
    return f"{head}\n{np.array2string(shown, max_line_width=74, threshold=100, edgeitems=2, precision=8)}"
