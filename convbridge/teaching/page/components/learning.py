"""Learning a kernel: what every backend recorded, and the loop that each of them would write itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from convbridge import registry
from convbridge.teaching.compare import sources_in
from convbridge.teaching.learning import Lesson, Run, chapter_images, judge_runs, learn
from convbridge.teaching.page.code import highlight
from convbridge.teaching.page.components.component import Component, Gathered

__all__ = ["COMPONENT", "START", "Recorded", "gather", "record"]

#: So that all digits that the book prints are seen; in float32 the last of them may be another.
DTYPE = "float64"


class Start(NamedTuple):
    """Where a lesson starts, and how it goes on.

    Attributes
    ----------
    weight : (float, float)
        The kernel, one row.
    rate : float
        The learning rate.
    steps : int
    use_bias : bool
        Whether a bias is learned too, from 0.
    """

    weight: tuple[float, float]
    rate: float
    steps: int
    use_bias: bool


#: The chapters' three: two of the book, one of the notes.
START = (
    Start((0.0, 0.0), 0.03, 10, False),
    Start((0.5, 0.5), 0.03, 10, False),
    Start((0.5, 0.5), 0.01, 100, True),
)


class Recorded(NamedTuple):
    """A lesson on several backends.

    Attributes
    ----------
    lesson : Lesson
        Of :func:`convbridge.learn_kernel` on each backend, and of each
        backend's own loop; the verdict is on all of them.
    library, own : dict
        Backend to run. ``own`` lacks a backend that has no ``lesson.py``.
    """

    lesson: Lesson
    library: dict[str, Run]
    own: dict[str, Run]


def record(start: Start, names: Sequence[str]) -> Recorded:
    """Run a lesson on several backends.

    Parameters
    ----------
    start : Start
    names : sequence of str
        Canonical names.

    Returns
    -------
    Recorded

    Raises
    ------
    BackendNotInstalledError, BackendBrokenError
        As for :func:`convbridge.registry.load`.

    Examples
    --------
    >>> found = record(START[0], ["numpy"])
    >>> found.own["numpy"].weight.round(7).tolist(), found.lesson.kind
    ([[0.9884708, -0.9884708]], 'equal')
    """
    X, Y = chapter_images()
    weight = np.array([start.weight], DTYPE)
    lesson = learn(X, Y, weight, names, rate=start.rate, steps=start.steps, use_bias=start.use_bias)
    own = {}
    for name in names:
        module = registry.load(name).lesson
        if module is not None:
            learned, bias, losses = module.learn(X, Y, weight.copy(), start.rate, start.steps, start.use_bias)
            # what lies between is not asked of it
            own[name] = Run(f"{name} loop", learned, bias, np.array(losses), weight[:0], None)
    library = {run.backend: run for run in lesson.runs}
    judged = judge_runs(lesson.problem, [*library.values(), *own.values()], weight, start.rate, DTYPE)
    return Recorded(judged, library, own)


def gather(names: Sequence[str]) -> Gathered:
    """Record the chapters' lessons, and read the sources of the backends' own loops.

    Parameters
    ----------
    names : sequence of str
        Canonical names of the backends that take part.

    Returns
    -------
    dict
        X, Y; code, backend to HTML; lessons, each with where it starts, the
        runs, the verdict, and the learning rate below which it converges.
    """
    X, Y = chapter_images()
    modules = {name: registry.load(name).lesson for name in names}
    sources = {name: sources_in(module, "learn")["learn"] for name, module in modules.items() if module is not None}
    return {
        "X": X.tolist(),
        "Y": Y.tolist(),
        "code": highlight(sources),
        "lessons": [_plain(start, record(start, names)) for start in START],
    }


def _plain(start: Start, recorded: Recorded) -> dict[str, Any]:
    lesson, every = recorded.lesson, start.steps // 5  # the book prints every second of ten losses
    finite = {name: getattr(lesson, name) for name in ("difference", "fraction")}
    text = f"learn(X, Y, np.array([{list(start.weight)}]), {start.rate}, {start.steps}, {start.use_bias})"
    return {
        "start": list(start.weight),
        "rate": start.rate,
        "steps": start.steps,
        "bias": start.use_bias,
        "largest_rate": lesson.problem.largest_rate,
        "every": every,
        "call": f"weight, bias, losses = {text}",
        "runs": {
            name: {
                "losses": run.losses.tolist(),
                "weights": [weight[0].tolist() for weight in run.weights],
                "biases": None if run.biases is None else run.biases.tolist(),
            }
            for name, run in recorded.library.items()
        },
        "own": {
            name: {"losses": run.losses[every - 1 :: every].tolist(), "weight": run.weight.tolist(), "bias": run.bias}
            for name, run in recorded.own.items()
        },
        "verdict": {
            "kind": lesson.kind,
            **{name: value if np.isfinite(value) else str(value) for name, value in finite.items()},
            "between": list(lesson.between),
            "count": len(lesson.runs),
        },
    }


def _differences(gathered: dict[str, Any]) -> list[str]:
    starts = [one["start"] for one in gathered["lessons"] if one["verdict"]["kind"] == "REAL DIFFERENCE"]
    return [f"the backends learn differently from {start}: convbridge learn shows how" for start in starts]


#: What the script fills: links to the lessons, the lesson, the loops side by side.
_BODY = """<div class="choice"></div>
<div class="explorer lesson card"></div>
<div class="frameworks"></div>"""

COMPONENT = Component(
    name="learning",
    gather=gather,
    body=lambda gathered: _BODY,
    scripts=("descent.js", "chart.js", "learning.js"),
    styles=("learning.css",),
    differences=_differences,
)
