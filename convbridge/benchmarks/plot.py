"""The ratios as a picture: one SVG that loads nothing, light and dark, whose rows have names for a screen reader.

First an overview, a row a family: the geometric mean of its cases' ratios, and
a whisker from the least to the largest. Then a row a case: the median of the
rounds' ratios, and a whisker over the rounds. One logarithmic axis for all, on
which twice as fast and twice as slow lie equally far from 1. The band behind
the rows of a table is the control's: what lies in it is noise.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, NamedTuple

from convbridge.benchmarks.run import RunError
from convbridge.benchmarks.tables import by_family, conditions, contenders, machine, results
from convbridge.benchmarks.timing import Result, control_of, geometric_mean

__all__ = ["render"]

# Units of the picture, pixels of a window as wide; a browser scales it.
WIDTH, MARGIN, INDENT = 880, 28, 12
LEFT, RIGHT = 346, WIDTH - MARGIN - 66
ROW, HEADING, AXIS = 24, 28, 30
#: Panels with more rows have their axis again at the end.
LONG = 24

#: For each contender a class of the style and a mark, so that nobody depends on the colours.
MARKS = {
    "NumPy": ("a", '<circle r="4.6"/>'),
    "PyTorch": ("e", '<circle r="4"/>'),
    "TensorFlow": ("b", '<rect x="-3.6" y="-3.6" width="7.2" height="7.2" rx="1"/>'),
    "MXNet": ("c", '<path d="M0-4.8 4.7 3.6-4.7 3.6Z"/>'),
    "SciPy": ("d", '<path d="M0-5 5 0 0 5-5 0Z"/>'),
}
OTHER = ("e", '<path d="M-4-4 4 4M-4 4 4-4"/>')

STYLE = """
svg { color-scheme: light dark; display: block; width: 100%; max-width: 1040px; height: auto; margin: 0 auto;
  --surface: #fbfaf7; --line: #e2e0d8; --strong: #8d9096; --text: #1d2023; --muted: #5a5f66; --band: #e9e6dc;
  --a: #0f5a9c; --b: #c2590a; --c: #1f7a45; --d: #7b3fa6; --e: #5a5f66;
  background: var(--surface); font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans",
  sans-serif; font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) { svg {
  --surface: #16181b; --line: #2c3036; --strong: #767c85; --text: #e7e6e2; --muted: #a3a9b1; --band: #31363d;
  --a: #7db9f0; --b: #f4a259; --c: #86cf9b; --d: #cfa8f0; --e: #a3a9b1; } }
text { fill: var(--text); }
.surface { fill: var(--surface); }
.title { font-size: 24px; font-weight: 600; letter-spacing: -0.01em; }
.heading { font-size: 17px; font-weight: 600; }
.family { font-size: 12px; font-weight: 600; }
.muted, .tick { fill: var(--muted); }
.muted, .tick, .note { font-size: 12px; }
.tick { text-anchor: middle; }
.end { text-anchor: end; }
.number { text-anchor: end; fill: var(--a); font-weight: 600; }
.grid { stroke: var(--line); }
.one { stroke: var(--strong); stroke-width: 1.5; }
.band { fill: var(--band); }
.a { --colour: var(--a); } .b { --colour: var(--b); } .c { --colour: var(--c); } .d { --colour: var(--d); }
.e { --colour: var(--e); }
.mark { fill: var(--colour); stroke: var(--surface); stroke-width: 1; }
.whisker { fill: none; stroke: var(--colour); stroke-width: 1.4; stroke-linecap: round; opacity: 0.75; }
.row:hover .label { font-weight: 600; }
@media print { svg { max-width: none; } }
"""


class _Row(NamedTuple):
    """A label, and for each contender the least ratio, where its mark stands, and the largest."""

    label: str
    group: str
    ratios: dict[str, tuple[float, float, float]]


class _Panel(NamedTuple):
    name: str
    title: str
    rows: list[_Row]
    band: tuple[float, float]
    names: list[str]


class _Scale(NamedTuple):
    """The axis, from ``low`` to ``high``."""

    low: float
    high: float

    def x(self, ratio: float) -> float:
        """Return where a ratio lies; beyond an end, the end."""
        inside = min(max(ratio, self.low), self.high)
        return LEFT + (RIGHT - LEFT) * math.log(inside / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        """Return 0.1, 0.2, 0.5, 1, 2, 5, ..., as far as they lie on the axis, and more on a short one."""
        digits = (1.0, 2.0, 5.0) if self.high > 20 * self.low else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found = [digit * 10.0**decade for decade in decades for digit in digits]
        return [tick for tick in found if self.low <= tick <= self.high]


def render(document: dict[str, Any]) -> str:
    """Draw a run.

    Parameters
    ----------
    document : dict
        From ``run``.

    Returns
    -------
    str
        SVG, with a newline at its end; write it as UTF-8.

    Raises
    ------
    RunError
        If the run compared nothing.

    Examples
    --------
    >>> case = {"family": "1x1", "name": "a layer", "failed": {}}
    >>> case["seconds"] = {"PyTorch": [1.0, 1.1], "NumPy": [1.2, 1.3], "PyTorch again": [1.0, 1.0]}
    >>> how = dict(run="quick", passes=1, rounds=2, clock="wall", precision="exact", call="operator")
    >>> svg = render({
    ...     "reference": "PyTorch",
    ...     "machine": {"processor": "a CPU", "vectors": "", "cpus": 2, "system": "Linux", "load": []},
    ...     "versions": {"NumPy": "2.4"},
    ...     "conditions": {**how, "threads": 1, "heap": "fixed"},
    ...     "tables": [{"name": "forward", "title": "one layer", "of": 1, "cases": [case]}],
    ... })
    >>> "a layer: NumPy 1.19, from 1.18 to 1.20" in svg
    True
    """
    reference = document["reference"]
    panels = [panel for panel in (_panel(table, reference) for table in document["tables"]) if panel.names]
    if not panels:
        raise RunError("--plot draws ratios, and this run compared nothing: only one library was measured")
    overview = _overview([(table, results(table, reference)) for table in document["tables"]], reference)
    panels.insert(0, overview)
    middles = [ratio[1] for panel in panels for row in panel.rows for ratio in row.ratios.values()]
    scale = _Scale(min(0.5, min(middles) / 1.2), max(2.0, max(middles) * 1.2))
    parts: list[str] = []
    y = _head(parts, document, overview.names)
    for panel in panels:
        y = _draw(parts, panel, scale, y + 36, reference)
    height = y + MARGIN
    title = f"convbridge bench: time beside {reference}'s"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="group" '
            f'aria-labelledby="title description" lang="en">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="description">{escape(_description(reference))} {escape(machine(document))}.</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="surface" width="{WIDTH}" height="{height:.0f}"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _description(reference: str) -> str:
    return (
        f"Ratios of time to {reference}'s on a logarithmic axis: left of 1 is faster, right is slower. "
        "A mark is the median of the rounds, in the overview the geometric mean of a family; a whisker goes from the "
        f"least to the largest. The band is {reference} against itself: what lies in it is noise."
    )


def _panel(table: dict[str, Any], reference: str) -> _Panel:
    """Return a table, a row a case."""
    found = results(table, reference)
    control = control_of(reference)
    names = [name for name in contenders(found, reference) if name != control]
    rows = [
        _Row(result.name, result.family, {name: result.spread(name, reference) for name in _in(result, names)})
        for result in by_family(found)
    ]
    middles = [result.spread(control, reference)[1] for result in found] or [1.0]
    part = "" if len(table["cases"]) == table["of"] else f", {len(table['cases'])} of {table['of']} cases"
    return _Panel(table["name"], table["title"] + part, rows, (min(middles), max(middles)), names)


def _in(result: Result, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in result.seconds]


def _overview(tables: Sequence[tuple[dict[str, Any], list[Result]]], reference: str) -> _Panel:
    """Return all tables, a row a family; the ratios are those of the fastest samples, as in the text."""
    control = control_of(reference)
    rows, middles = [], []
    names: dict[str, None] = {}
    for table, found in tables:
        for family in dict.fromkeys(result.family for result in found):
            chosen = [result for result in found if result.family == family]
            ratios = {}
            for name in contenders(chosen, reference):
                values = [result.ratio(name, reference) for result in chosen if name in result.seconds]
                if name == control:
                    middles.append(geometric_mean(values))
                else:
                    ratios[name] = min(values), geometric_mean(values), max(values)
            names.update(dict.fromkeys(ratios))
            rows.append(_Row(f"{family} ({len(chosen)})", table["name"], ratios))
    band = (min(middles), max(middles))
    return _Panel("Overview", "geometric means of families, and how many cases each has", rows, band, list(names))


def _head(parts: list[str], document: dict[str, Any], names: Sequence[str]) -> float:
    """Write title, caption and legend; return where they end."""
    reference = document["reference"]
    y = MARGIN + 22.0
    parts.append(f'<text class="title" x="{MARGIN}" y="{y}">Time beside {escape(reference)}’s</text>')
    y += 24
    parts.append(
        f'<text class="muted" x="{MARGIN}" y="{y}">Ratios of time; left of 1 is faster. '
        "A mark is a median, its whisker goes from the least to the largest.</text>"
    )
    versions = ", ".join(f"{name}\u00a0{version}" for name, version in document["versions"].items())
    y += 6
    for paragraph in (machine(document), versions, conditions(document)):
        for line in textwrap.wrap(paragraph, 116, break_on_hyphens=False):
            y += 17
            parts.append(f'<text class="muted" x="{MARGIN}" y="{y}">{escape(line)}</text>')
    y += 34
    x = float(MARGIN)
    for name in names:
        kind, mark = MARKS.get(name, OTHER)
        parts.append(f'<g class="{kind}" transform="translate({x + 6} {y - 4.5})"><g class="mark">{mark}</g></g>')
        parts.append(f'<text x="{x + 18}" y="{y}">{escape(name)}</text>')
        x += max(104, 34 + 8 * len(name))
    parts.append(f'<rect class="band" x="{x}" y="{y - 12}" width="16" height="15"/>')
    parts.append(f'<text x="{x + 22}" y="{y}">{escape(control_of(reference))}: what lies in it is noise</text>')
    return y


def _draw(parts: list[str], panel: _Panel, scale: _Scale, y: float, reference: str) -> float:
    """Draw a panel from ``y`` on; return where it ends."""
    groups = list(dict.fromkeys(row.group for row in panel.rows))
    several = len(groups) > 1
    name = escape(panel.name)
    parts.append(f'<g role="group" aria-label="{name}: {escape(panel.title)}">')
    parts.append(
        f'<text x="{MARGIN}" y="{y}"><tspan class="heading">{name}</tspan>'
        f'<tspan class="muted" dx="10">{escape(panel.title)}</tspan></text>'
    )
    top = y + AXIS + 8
    bottom = top + ROW * len(panel.rows) + (HEADING * len(groups) if several else 8)
    left, right = (scale.x(value) for value in panel.band)
    parts.append(
        f'<rect class="band" x="{left:.1f}" y="{top}" width="{max(right - left, 1):.1f}" height="{bottom - top}"/>'
    )
    parts.extend(_axis(scale, top, bottom, len(panel.rows) > LONG))
    parts.append(f'<text class="muted" x="{MARGIN}" y="{top - 6}">ratio to {escape(reference)}</text>')
    if "NumPy" in panel.names:
        parts.append(f'<text class="number note" x="{WIDTH - MARGIN}" y="{top - 6}">NumPy</text>')
    y = top + (0 if several else 4)
    group = ""
    for row in panel.rows:
        if several and row.group != group:
            group = row.group
            parts.append(f'<text class="family" x="{MARGIN}" y="{y + HEADING - 8}">{escape(_typeset(group))}</text>')
            y += HEADING
        parts.extend(_row(row, panel.names, scale, y + ROW / 2))
        y += ROW
    parts.append("</g>")
    return bottom + (AXIS if len(panel.rows) > LONG else 0)


def _axis(scale: _Scale, top: float, bottom: float, again: bool) -> Iterator[str]:
    for tick in scale.ticks():
        x = scale.x(tick)
        kind = "one" if tick == 1 else "grid"
        yield f'<line class="{kind}" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>'
        for y in (top - 6, bottom + 16) if again else (top - 6,):
            yield f'<text class="tick" x="{x:.1f}" y="{y}">{tick:g}</text>'


def _row(row: _Row, names: Sequence[str], scale: _Scale, y: float) -> Iterator[str]:
    """Draw a row whose middle is at ``y``: the contenders above each other, NumPy last and so in front."""
    label = escape(_typeset(row.label))
    said = "; ".join(f"{name} {mid:.2f}, from {low:.2f} to {high:.2f}" for name, (low, mid, high) in row.ratios.items())
    yield f'<g class="row" role="img" aria-label="{label}: {escape(said)}"><title>{label}: {escape(said)}</title>'
    # Something to point at between the marks.
    yield f'<rect x="{MARGIN}" y="{y - ROW / 2}" width="{WIDTH - 2 * MARGIN}" height="{ROW}" fill="transparent"/>'
    yield f'<text class="label" x="{MARGIN + INDENT}" y="{y + 4.5}">{label}</text>'
    present = [name for name in names if name in row.ratios]
    step = min(6.5, 13 / max(len(present) - 1, 1))
    for place, name in reversed(list(enumerate(present))):
        low, middle, high = row.ratios[name]
        kind, mark = MARKS.get(name, OTHER)
        level = y + step * (place - (len(present) - 1) / 2)
        yield f'<g class="{kind}">{_whisker(scale, low, high, level)}'
        yield f'<g class="mark" transform="translate({scale.x(middle):.1f} {level:.1f})">{mark}</g></g>'
    if "NumPy" in row.ratios:
        yield f'<text class="number" x="{WIDTH - MARGIN}" y="{y + 4.5}">{row.ratios["NumPy"][1]:.2f}</text>'
    yield "</g>"


def _whisker(scale: _Scale, low: float, high: float, y: float) -> str:
    """Return a line, with an arrow where it goes on beyond the axis."""
    left, right = scale.x(low), scale.x(high)
    path = f"M{left:.1f} {y:.1f}H{right:.1f}"
    if low < scale.low:
        path += f"M{left + 4:.1f} {y - 3:.1f}l-4 3 4 3"
    if high > scale.high:
        path += f"M{right - 4:.1f} {y - 3:.1f}l4 3-4 3"
    return f'<path class="whisker" d="{path}"/>'


def _typeset(label: str) -> str:
    """Spell a name with the arrow and the times sign that plain text lacks."""
    words = label.replace("->", "→").split(" ")
    return " ".join(word.replace("x", "×") if word.replace("x", "").lstrip("@").isdigit() else word for word in words)
