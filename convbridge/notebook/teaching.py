"""Teaching in a notebook: comparisons, lessons, learned kernels, receptive fields, the atlas.

What may live here: one function for each result that has a display, which
takes the result and returns HTML. Nothing is computed that the result does not
hold; what it looks like is in :mod:`convbridge.notebook.parts`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from convbridge.notebook.parts import arrays, code, curves, details, grid, output, paragraph, row, table, verdict

if TYPE_CHECKING:
    from convbridge.geometry import Pair, ReceptiveField
    from convbridge.learning import LearnedKernel
    from convbridge.teaching.atlas_results import Atlas, Finding, Outcome
    from convbridge.teaching.compare import Comparison
    from convbridge.teaching.learning import Lesson
    from convbridge.teaching.stack import Walk

__all__ = ["atlas", "comparison", "field", "finding", "learned", "lesson", "walk"]

Array = np.ndarray[Any, Any]


def comparison(found: Comparison) -> str:
    """Show an example: its inputs, what each framework computed, the verdict, and the sources folded away.

    Results that are the same bit for bit are shown once.

    Parameters
    ----------
    found : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge.teaching.compare import compare
    >>> from convbridge.teaching.examples import find
    >>> shown = comparison(compare(find(["corr2d"])[0], ["numpy"]))
    >>> "chapter.corr2d(X, K)" in shown, ">43</td>" in shown
    (True, True)
    """
    example = found.example
    return output(
        paragraph(example.title, bold=example.name),
        paragraph(example.note),
        row(arrays(name, array) for name, array in example.inputs.items()),
        *(_attempts(found) if found.what == "gradients" else _results(found)),
        _verdict(found.kind, found.sentence),
        _sources({run.backend: "\n\n".join(run.sources.values()) for run in found.runs if run.sources}),
    )


def _results(found: Comparison) -> list[str]:
    outputs, errors = [], []
    for run in found.runs:
        for result in run.results:
            if result.output is None:
                errors.append((run.backend, result.call, result.error))
            else:
                outputs.append((run.backend, result.call, {"Y": result.output}))
    return [*_grouped(outputs), _errors(errors)]


def _attempts(found: Comparison) -> list[str]:
    from convbridge.teaching.autograd import TITLES

    answers = {run.backend: {attempt.kind: attempt for attempt in run.results} for run in found.runs}
    kinds = [kind for kind in TITLES if any(kind in mine for mine in answers.values())]
    rows = [
        [backend, *(mine[kind].in_short if kind in mine else None for kind in kinds)]
        for backend, mine in answers.items()
    ]
    heads = ["", *(TITLES[kind] for kind in kinds)]
    gradients = [
        (run.backend, attempt.call, dict(zip(("dX", "dK"), attempt.gradients)))
        for run in found.runs
        for attempt in run.results
        if attempt.gradients is not None
    ]
    messages = [(run.backend, one.call, one.message) for run in found.runs for one in run.results if one.message]
    return [
        table("What comes of differentiating", heads, rows, numbers=False),
        *_grouped(gradients),
        details("What was said", _errors(messages)) if messages else "",
    ]


def _grouped(results: Iterable[tuple[str, str, dict[str, Array]]]) -> list[str]:
    """Show the arrays of (backend, call, arrays), those that are the same once, below whose they are."""
    groups: dict[Any, dict[str, list[str]]] = {}
    shown: dict[Any, dict[str, Array]] = {}
    for backend, call, found in results:
        key = tuple((name, array.shape, array.dtype.name, array.tobytes()) for name, array in found.items())
        shown[key] = found
        groups.setdefault(key, {}).setdefault(call, []).append(backend)
    blocks = []
    for key, calls in groups.items():
        whose = "<br>".join(
            f"<code>{escape(call)}</code> on {escape(', '.join(backends))}" for call, backends in calls.items()
        )
        blocks.append(f"<p>{whose}</p>{row(arrays(name, array) for name, array in shown[key].items())}")
    return blocks


def _errors(errors: list[tuple[str, str, str]]) -> str:
    return table("What was raised", ["", "call", "error"], errors, numbers=False) if errors else ""


def _verdict(kind: str, sentence: str) -> str:
    return verdict(kind, sentence.removeprefix(kind).lstrip(": "), good=kind in ("equal", "rounding"))


def _sources(sources: dict[str, str]) -> str:
    """Show the frameworks' sources next to each other; what one has and another has not is marked."""
    if not sources:
        return ""
    from convbridge.teaching.page.code import highlight

    marked = highlight(sources)
    return details("The sources", row(f"{paragraph('', bold=name)}{code(text)}" for name, text in marked.items()))


def lesson(found: Lesson) -> str:
    """Show what several backends learned: kernels, the curves of their losses over each other, the verdict.

    Parameters
    ----------
    found : Lesson

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge.teaching.learning import chapter_images, learn
    >>> shown = lesson(learn(*chapter_images(), np.zeros((1, 2)), ["numpy"], rate=0.03, steps=10))
    >>> "weight on numpy" in shown, "<svg" in shown
    (True, True)
    """
    return output(
        row(grid(f"weight on {run.backend}", run.weight) for run in found.runs),
        *_biases({run.backend: run.bias for run in found.runs if run.bias is not None}),
        curves("loss", {run.backend: run.losses.tolist() for run in found.runs}),
        _verdict(found.kind, found.sentence),
    )


def learned(found: LearnedKernel) -> str:
    """Show a learned kernel, and how the loss fell.

    Parameters
    ----------
    found : LearnedKernel

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge import learn_kernel
    >>> shown = learned(learn_kernel(np.eye(3), np.eye(3)[:, :2], (1, 2), seed=0, backend="numpy"))
    >>> "weight, 1 × 2" in shown, "loss over 10 steps" in shown
    (True, True)
    """
    from convbridge.functional import to_numpy

    bias = None if found.bias is None else float(to_numpy(found.bias)[0])
    return output(
        grid("weight", to_numpy(found.weight)),
        *_biases({} if bias is None else {"": bias}),
        curves("loss", {"loss": found.losses}),
    )


def _biases(biases: dict[str, float]) -> list[str]:
    return [table("bias", ["", "bias"], biases.items())] if biases else []


def field(found: ReceptiveField) -> str:
    """Show a receptive field.

    Parameters
    ----------
    found : ReceptiveField

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge.geometry import receptive_field
    >>> '<th scope="row">height</th><td class="number">3</td>' in field(receptive_field([2, 2]))
    True
    """
    rows = zip(("height", "width"), found.size, found.jump, found.start)
    heads = ("axis", "sees", "step to the next", "the first starts at")
    return output(table("What one element of the output sees of the input", heads, rows))


def walk(found: Walk) -> str:
    """Show a stack of layers: sizes and receptive fields, layer by layer.

    Parameters
    ----------
    found : Walk

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge.teaching import stack
    >>> shown = walk(stack.walk(stack.parse("conv 5 | pool 2"), 28))
    >>> "24×24" in shown, "6×6" in shown
    (True, True)
    """
    # columns that say nothing are left out
    channels = any(step.channels is not None for step in found)
    parameters = any(step.parameters for step in found)
    heads = ["layer", "output", *["channels"] * channels, "sees", "step", *["parameters"] * parameters]
    rows: list[list[str | None]] = [
        ["input", _by(found.size), *[_count(found.channels)] * channels, _by((1, 1)), "1", *[None] * parameters]
    ]
    rows += [
        [
            step.layer.text,
            _by(step.size),
            *[_count(step.channels)] * channels,
            _by(step.field),
            str(step.jump[0]) if step.jump[0] == step.jump[1] else _by(step.jump),
            *[_count(step.parameters)] * parameters,
        ]
        for step in found
    ]
    caption = "Sees: the part of the input that one element depends on. Step: how far apart two neighbours' parts lie."
    return output(table(caption, heads, rows))


def _by(size: Pair) -> str:
    return f"{size[0]}×{size[1]}"


def _count(count: int | None) -> str | None:
    return None if count is None else f"{count:,}"


# --------------------------------------------------------------------------- the atlas


def finding(found: Finding) -> str:
    """Show one question to all frameworks: their answers, convbridge's, and why they differ.

    Parameters
    ----------
    found : Finding

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge.teaching.atlas import run
    >>> from convbridge.teaching.divergences import find
    >>> shown = finding(run(find(["fractional-stride"]), ["numpy"]).findings[0])
    >>> "Why they differ" in shown
    True
    """
    entry = found.entry
    answers = [
        paragraph(found.says(answer), bold=answer.title)
        + (code(escape(found.sources[answer.backend], quote=False)) if found.sources[answer.backend] else "")
        + _outcome(answer.native)
        for answer in found.answers
    ]
    promises = [
        paragraph(f"on {', '.join(backends)}", bold="convbridge")
        + code(escape(entry.call, quote=False))
        + _outcome(outcome)
        for backends, outcome in found.promises
    ]
    return output(
        paragraph(entry.question, bold=f"{entry.title}."),
        row(arrays(name, array) for name, array in entry.inputs.items()),
        row(answers),
        row(promises),
        paragraph(entry.why, bold="Why they differ."),
        paragraph(entry.promise, bold="What convbridge does."),
    )


def _outcome(outcome: Outcome) -> str:
    if outcome.kind != "numbers":
        return paragraph(outcome.sentence)
    return "".join(
        paragraph(f"{label or 'answer'}: None") if array is None else arrays(label or "answer", array)
        for label, array in outcome.arrays.items()
    )


def atlas(found: Atlas) -> str:
    """Show a run of the atlas: what each framework did with each question, in a word.

    Parameters
    ----------
    found : Atlas

    Returns
    -------
    str

    Examples
    --------
    >>> from convbridge.teaching.atlas import run
    >>> from convbridge.teaching.divergences import find
    >>> '<th scope="col">numpy</th>' in atlas(run(find(["fractional-stride"]), ["numpy"]))
    True
    """

    def words(one: Finding, backend: str) -> str:
        mine = one.by_backend()[backend]
        if len({answer.word for answer in mine}) == 1:
            return mine[0].word
        return ", ".join(f"{answer.word} ({answer.variant})" for answer in mine)

    backends = [who.backend for who in found.participants]
    rows = [[one.entry.title, *(words(one, backend) for backend in backends)] for one in found.findings]
    caption = "What the frameworks' own operators do, beside what convbridge promises"
    return output(table(caption, ["question", *backends], rows, numbers=False))
