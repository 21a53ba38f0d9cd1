"""What a notebook shows: whole, escaped, scoped HTML for every result; and the tour, which is run."""

from __future__ import annotations

import re
import runpy
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

import convbridge
from convbridge import learn_kernel, receptive_field, registry
from convbridge.notebook import parts
from convbridge.parity import run_matrix
from convbridge.parity.comparison import Check, ParityReport
from convbridge.parity.conformance import Conformance, Problem
from convbridge.parity.explain import Explanation
from convbridge.parity.lattice import lattice
from convbridge.teaching import atlas, autograd, divergences, stack
from convbridge.teaching.compare import Comparison, compare
from convbridge.teaching.examples import EXAMPLES, find
from convbridge.teaching.learning import chapter_images, learn

tour = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("tour.py"))))

EVIL = "<script>alert('&')</script>"


class Output(HTMLParser):
    """Reads an output: its tags must match; its texts, table by table."""

    def __init__(self, html):
        super().__init__()
        self.stack, self.tags, self.rows, self.text = [], [], [], ""
        self.feed(html)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag != "br":
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, text):
        if "style" not in self.stack:
            self.text += text
        if self.stack[-1:] in (["td"], ["th"]):
            self.rows[-1][-1] += text

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def small_matrix():
    return run_matrix(["numpy"], cases=lattice(lambda case: "max-2x2/NCHW/float32" in case.name))


def small_atlas():
    return atlas.run(divergences.find(["half-kernel-padding"]), ["numpy"])


#: Every result that has a display.
SAMPLES = {
    "comparison": lambda: compare(find(["channels-out"])[0], ["numpy"]),
    "gradients": lambda: autograd.compare(["numpy"]),
    "lesson": lambda: learn(*chapter_images(), np.zeros((1, 2)), ["numpy"], rate=0.03, steps=10, use_bias=True),
    "learned": lambda: learn_kernel(*chapter_images(), (1, 2), seed=0, steps=10, use_bias=True, backend="numpy"),
    "field": lambda: receptive_field([{"kernel_size": 7, "stride": 2, "padding": 3}, 3]),
    "walk": lambda: stack.walk(stack.parse("conv 11 s4 p2 c96 | pool 3 s2"), 224, 3),
    "finding": lambda: small_atlas().findings[0],
    "atlas": small_atlas,
    "matrix": small_matrix,
    "explained": lambda: Explanation("same-lower", "SAME_LOWER", 0.0, 0.0, ("same-lower",), ("same-upper",)),
    "unexplained": lambda: Explanation("", None, 2.0, 9.0, ("same-lower",), (), "a flipped kernel"),
    "report": lambda: ParityReport((Check("output", (2, 2), "float32", 1e-7, 0.25, "the rounding bound"),)),
    "conformance": lambda: Conformance("numpy", "numpy 1", [Problem("laws", "shifting", "no")], 3, small_matrix(), 1.0),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_an_output_is_whole_and_keeps_to_itself(name):
    result = SAMPLES[name]()
    html = result._repr_html_()
    found = Output(html)
    assert found.tags[0] == ("div", {"class": "convbridge"})
    assert len(found.all("style")) == 1
    # two outputs stand in one page, so nothing has a name of its own; and nothing is loaded or run
    assert not any({"id", "href", "src", "onclick"} & set(attributes) for _, attributes in found.tags)
    assert not re.search(r"<script|https?:|url\(|@import", html)
    assert len(html) < 20_000
    for table in re.findall(r"<table.*?</table>", html):
        assert re.match(r'<table(?: class="grid")?><caption>.+?</caption>', table)
        if 'class="grid"' not in table:
            assert all("scope" in attributes for attributes in Output(table).all("th"))
            assert len({len(row) for row in Output(table).rows}) == 1
    assert all(attributes.get("role") == "img" and attributes["aria-label"] for attributes in found.all("svg"))
    assert len(repr(result)) < 1000


def test_every_rule_is_for_the_inside_of_an_output():
    css = files("convbridge.notebook").joinpath("style.css").read_text(encoding="utf-8").partition("*/")[2]
    selectors = [one.strip() for rule in re.findall(r"([^{}]+)\{", css) for one in rule.split(",")]
    assert selectors
    assert all(re.match(r"\.convbridge(\.convbridge)?( |$)", selector) for selector in selectors)
    # what is coloured is translucent, so that the text on it keeps the contrast that it has around
    assert all("/" in colour for colour in re.findall(r"rgb\(.*?\)|#[0-9a-f]{3,}", css))


def test_a_comparison_shows_the_numbers_of_the_backend(backend):
    for example in EXAMPLES:
        comparison = compare(example, [backend])
        found = Output(comparison._repr_html_())
        shown = [text for row in found.rows for text in row]
        for array in (*example.inputs.values(), *(result.output for result in comparison.runs[0].results)):
            if max(array.shape) <= 12:  # of a larger one the middle is left out
                assert {parts.number(float(value)) for value in array.ravel()} <= set(shown), example.name
        assert f"on {backend}" in found.text


def test_results_that_differ_are_shown_apart_and_equal_ones_once():
    one = compare(find(["corr2d"])[0], ["numpy"])
    run = one.runs[0]
    other = run._replace(
        backend="torch",
        results=(run.results[0], run.results[1]._replace(output=run.results[1].output + np.float32(0.5))),
    )
    found = Output(one._replace(runs=(run, other), kind="REAL DIFFERENCE", between=("a", "b"))._repr_html_())
    assert sum(text == "19" for row in found.rows for text in row) == 1
    assert sum(text == "19.5" for row in found.rows for text in row) == 1
    assert "REAL DIFFERENCE" in found.text
    assert ("span", {"class": "verdict bad"}) in found.tags


def test_what_was_raised_is_shown_and_escaped():
    one = compare(find(["corr2d"])[0], ["numpy"])
    run = one.runs[0]
    broken = run._replace(backend=EVIL, sources={}, results=(run.results[0]._replace(output=None, error=EVIL),))
    html = Comparison(one.example._replace(title=EVIL, note=EVIL), (broken,), "ERROR", 0.0, 0.0, (EVIL, EVIL))
    assert html._repr_html_().count("<script") == 0
    assert Output(html._repr_html_()).text.count(EVIL) == 5


@pytest.mark.parametrize(
    "result",
    [
        Explanation("same-lower", EVIL, 0.0, 0.0, ()),
        Explanation("", None, 0.0, 0.0, (), (), EVIL),
        ParityReport((Check(EVIL, (2,), "float32", 0.0, 0.0, EVIL),)),
        Conformance(EVIL, EVIL, [Problem(EVIL, "", "")]),
    ],
)
def test_text_is_escaped(result):
    html = result._repr_html_()
    assert "<script" not in html
    assert EVIL in Output(html).text


def test_a_failure_of_the_matrix_is_shown():
    matrix = small_matrix()
    wrong = matrix.comparisons[0]._replace(verdict="REAL DIFFERENCE", difference=1.0, reason=EVIL)
    html = type(matrix)(matrix.participants, matrix.cases, [wrong, *matrix.comparisons[1:]])._repr_html_()
    found = Output(html)
    assert ("span", {"class": "verdict bad"}) in found.tags
    assert "1 real difference" in found.text
    assert [wrong.case, "Y", "numpy against the exact result", f"{EVIL}; largest difference 1"] in found.rows


def test_a_grid_shows_all_or_leaves_out_the_middle():
    assert Output(parts.grid("X", np.array([[1.0, -2.5], [np.nan, np.inf]]))).rows == [["1", "-2.5"], ["nan", "inf"]]
    assert Output(parts.grid("X", np.float64(3.0))).rows == [["3"]]
    assert Output(parts.grid("X", np.array([True, False]))).rows == [["1", "0"]]
    rows = Output(parts.grid("X", np.arange(13 * 2).reshape(13, 2))).rows
    assert [row[0] for row in rows] == ["0", "2", "4", "6", "…", "18", "20", "22", "24"]
    assert Output(parts.grid("X", np.zeros((1, 1, 0, 2)))).rows == []
    assert parts.arrays("X", np.zeros((1, 1, 2, 2))).count("<table") == 1
    assert parts.arrays("X", np.zeros((3, 4, 2, 2))).count("<table") == 8
    assert "and 4 more of X (3, 4, 2, 2)" in parts.arrays("X", np.zeros((3, 4, 2, 2)))


def test_a_curve_has_its_points_and_its_numbers():
    falling = [8.0, 4.0, 2.0]
    found = Output(parts.curves("loss", {"a": falling, "b": [8.0, np.nan, np.inf]}))
    first, second = [line["points"].split() for line in found.all("polyline")]
    assert len(first) == 3
    heights = [float(point.split(",")[1]) for point in first]
    assert heights == sorted(heights)  # downwards is larger
    assert len(set(second)) == 1
    assert found.rows == [["step", "a", "b"], ["1", "8", "8"], ["2", "4", "nan"], ["3", "2", "inf"]]
    assert "<svg" not in parts.curves("loss", {"a": [np.nan]})
    assert "no steps" in parts.curves("loss", {"a": []})
    long = Output(parts.curves("loss", {"a": np.geomspace(1, 1e-6, 5000)}))
    assert len(long.all("polyline")[0]["points"].split()) < 300
    assert long.rows[-1][0] == "5000"


# --------------------------------------------------------------------------- the tour


def test_the_tour_shows_what_it_is_committed_with():
    missing = set(registry.BUILTIN) - set(convbridge.available_backends())
    if missing:
        pytest.skip(f"the tour shows all four frameworks, and these are not installed: {', '.join(sorted(missing))}")
    committed = nbformat.read(tour.TOUR, as_version=4)
    again = nbformat.read(tour.TOUR, as_version=4)
    for cell in again.cells:
        cell.pop("outputs", None)
    tour.run(again)
    for before, now in zip(committed.cells, again.cells):
        assert tour.outputs(now) == tour.outputs(before), f"{before.source}\n\nIf that is right: make tour"


def test_the_tour_is_committed_with_outputs_and_without_traces():
    notebook = nbformat.read(tour.TOUR, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = {output["output_type"] for cell in code for output in cell.outputs}
    assert kinds == {"stream", "execute_result"}
    assert all(output.get("name") != "stderr" for cell in code for output in cell.outputs)
    text = tour.TOUR.read_text(encoding="utf-8")
    assert not re.search(r"/(home|tmp|root|usr|Users)/|\b0x[0-9a-f]{6,}|iopub|site-packages", text)
    assert all(cell.metadata == {} for cell in notebook.cells)


def test_the_tour_s_comparison_can_fail():
    assert tour.steady("rounding: the largest difference of two losses, 1e-16 between a and b, x") == "agrees"
    assert tour.steady("REAL DIFFERENCE: 3 between") == "REAL DIFFERENCE: 3 between"
    assert tour.steady("4.9152000000000005, 0.8246337208319996") == tour.steady("4.9152000000000009, 0.82463372083")
    assert tour.steady("4.91520") != tour.steady("4.91530")
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", name="stdout", text="19")])
    other = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", name="stdout", text="25")])
    assert tour.outputs(cell) != tour.outputs(other)
