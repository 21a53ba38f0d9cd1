"""The reports: what each verdict looks like, and that no number is lost on the way."""

from __future__ import annotations

import io
import json
import re
import runpy
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest
from rich.console import Console

from convbridge.parity.cases import Case, Operand, random_case
from convbridge.parity.gradient_cases import random_gradient_case
from convbridge.parity.reports import data, html, junit, terminal, words
from convbridge.parity.reports import json as report
from convbridge.parity.results import (
    CRASHED,
    EQUAL,
    FAILURES,
    MISSING,
    ORACLE,
    REAL_DIFFERENCE,
    ROUNDING,
    UNSUPPORTED,
    VERDICTS,
    Comparison,
    Detail,
    Matrix,
    Participant,
)

samples = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("report_samples.py"))))


@pytest.fixture(scope="module")
def matrix():
    return samples.every_verdict()


@pytest.fixture(scope="module")
def sound():
    return samples.sound()


def printed(matrix, width=80, **options):
    stream = io.StringIO()
    terminal.render(matrix, Console(file=stream, width=width, highlight=False), **options)
    return stream.getvalue()


def embedded(page):
    [text] = re.findall(r'<script type="application/json" id="report-data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def numbers(written):
    """Read an array back, as whoever reads the JSON does."""
    dtype = "float32" if written["dtype"] == "bfloat16" else written["dtype"]
    return np.array([float(value) for value in written["values"]], dtype).reshape(written["shape"])


def test_the_samples_show_every_verdict(matrix, sound):
    assert set(matrix.counts()) == set(VERDICTS)
    assert {cell.verdict for cells in matrix.cells().values() for cell in cells.values()} == set(VERDICTS)
    assert sound.agrees
    assert sound.counts()[UNSUPPORTED]


# --------------------------------------------------------------------------- words


def test_the_summary_counts_what_there_is(matrix):
    counts = Counter(comparison.verdict for comparison in matrix.comparisons)
    exact = sum(c.exact for c in matrix.comparisons if c.verdict == EQUAL)
    most = max(c.fraction for c in matrix.comparisons if c.verdict == ROUNDING)
    assert words.summary(matrix) == (
        f"{len(matrix.comparisons):,} comparisons of 120 cases: {counts[EQUAL]} equal ({exact} of them had to be), "
        f"{counts[ROUNDING]} within rounding (at most {words.share(most)} of the bound), "
        f"{counts[UNSUPPORTED]} unsupported, {counts[MISSING]} missing, "
        f"{counts[REAL_DIFFERENCE]} REAL DIFFERENCE, {counts[CRASHED]} crashed, in 2 min 31 s"
    )


@pytest.mark.parametrize("draw", [random_case, random_gradient_case])
def test_the_call_in_python_is_the_case(draw):
    for number in range(40):
        case = draw(3, number)
        if case.dtype == "bfloat16":  # which NumPy has not
            assert "bfloat16(X)" in words.call(case)
            continue
        import convbridge

        scope = {"np": np, "convbridge": convbridge, "BACKEND": "numpy", **case.exact_operands()}
        returned = eval(words.call(case), scope)
        returned = returned if isinstance(returned, tuple) else (returned,)
        for ours, its in zip(case.call("numpy", case.arguments("numpy")), returned, strict=True):
            assert (ours is None) == (its is None)
            assert ours is None or data.array_data(ours) == data.array_data(its)


def test_the_call_of_a_differentiated_loop_is_python():
    ones = {name: Operand(np.ones((2, 2)), "float64", "contiguous", False) for name in ("X", "K")}
    text = words.call(Case(0, 0, "chapter.corr2d_vjp", ones, {}, "float64"))
    seen = []
    listing = SimpleNamespace(differentiate=lambda loop, X, K: seen.append(loop(X, K)))
    chapter = SimpleNamespace(corr2d=lambda X, K, backend: (X, K, backend))
    registry = SimpleNamespace(load=lambda name: SimpleNamespace(listing=listing))
    scope = {"convbridge": SimpleNamespace(chapter=chapter, registry=registry), "BACKEND": "torch", "X": 1, "K": 2}
    eval(text, scope)
    assert seen == [(1, 2, "torch")]


def test_a_command_names_what_it_needs():
    participants = [
        Participant("numpy", "numpy"),
        Participant("torch", "torch"),
        Participant("mxnet (recorded)", "mxnet", recorded=True),
    ]
    matrix = Matrix(participants)

    def command(left, right):
        return words.command(matrix, Comparison("conv2d/it's", "Y", left, right, EQUAL))

    start = """convbridge parity --only 'conv2d/it'"'"'s'"""
    assert command("torch", ORACLE) == f"{start} --backends torch"
    assert command("numpy", "torch") == f"{start} --backends numpy,torch"
    assert command("mxnet (recorded)", ORACLE) == f"{start} --against FILE"
    matrix.facts["against"] = "old answers.npz"
    assert command("numpy", "mxnet (recorded)") == f"{start} --backends numpy --against 'old answers.npz'"


# --------------------------------------------------------------------------- terminal


def test_the_terminal_report_says_all_in_eighty_columns_without_colour(matrix):
    text = printed(matrix)
    assert "\x1b" not in text
    assert "\x00" not in text
    lines = [line.rstrip() for line in text.splitlines()]
    # commands stay in one piece, to be copied
    assert max(len(line) for line in lines if "again:" not in line) <= 80
    assert " ".join(text.split()).endswith(words.summary(matrix))
    [legend] = [line for line in lines if line.startswith("= equal")]
    for symbol in ("~0.43 of bound", "! REAL DIFFERENCE", "x crashed", "- unsupported", "? missing"):
        assert symbol in legend
    for participant in matrix.participants:
        assert any(line.startswith(participant.name) for line in lines)
    for reason, count in words.unsupported_reasons(matrix.comparisons).items():
        assert lines.count(f"{count} unsupported:  {reason}") == 1
    failures = [c for c in matrix.failures if c.verdict != MISSING]
    assert any(f"    again: {words.command(matrix, failure)}" in lines for failure in failures)


def test_the_terminal_matrix_has_every_cell(matrix):
    lines = [" ".join(line.split()) for line in printed(matrix).splitlines()]
    names = [participant.name for participant in matrix.participants]
    above = 0
    for row, cells in data.cells_in_order(matrix).items():
        shown = " ".join(words.cell_text(cells[name, ORACLE]) for name in names)
        above = max(above, lines.index(f"{row.operation} {row.implementation}"))
        above += 1
        assert lines[above].startswith(f"{row.kind} {row.dtype} {shown}")


def test_a_long_command_stays_in_one_piece(sound):
    name = "conv2d/" + "x" * 100
    case = next(iter(sound.cases.values()))._replace(label=name)
    found = [Comparison(name, "Y", "numpy", ORACLE, REAL_DIFFERENCE, reason="no " * 60)]
    lines = printed(Matrix([Participant("numpy", "numpy")], {name: case}, found)).splitlines()
    assert f"    again: convbridge parity --only {name} --backends numpy" in lines


def test_verbose_describes_every_failure(matrix):
    failures = [c for c in matrix.failures if c.verdict != MISSING]
    assert printed(matrix, verbose=True).count("again:") == len(failures)
    assert printed(matrix).count("again:") <= 10 < len(failures)


def test_who_is_wrong_is_described_once(matrix):
    failing, new = data.failing_cells(matrix)
    wrong = {(row, left) for row, left, right in failing if right == ORACLE}
    assert wrong
    assert all(right == ORACLE or not {(row, left), (row, right)} & wrong for row, left, right in new)
    assert f"{len(failing) - len(new)} cells of pairs failed because of these" in printed(matrix)


def test_a_good_run_is_short(sound):
    text = printed(sound)
    assert "again:" not in text
    assert "! REAL" not in text
    assert "0 REAL DIFFERENCE, 0 crashed" in " ".join(text.split())


def test_many_participants_are_numbered(sound):
    crowd = [Participant(f"participant-{n}", "numpy", "numpy") for n in range(9)]
    case = next(iter(sound.cases))
    found = [Comparison(case, "Y", who.name, ORACLE, EQUAL) for who in crowd]
    lines = printed(Matrix(crowd, {case: sound.cases[case]}, found)).splitlines()
    assert lines[8].startswith("9 participant-8")
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert any(line.split()[-10:] == [*"123456789", "pairs"] for line in lines)


# --------------------------------------------------------------------------- JSON


def test_json_follows_its_schema():
    small = samples.every_verdict(18)
    assert set(small.counts()) == set(VERDICTS)
    schema = report.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(report.render(small)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda written: written.update(schema="convbridge/parity-report/2"),
        lambda written: written.pop("participants"),
        lambda written: written["comparisons"][0].update(verdict="fine"),
        lambda written: written["comparisons"][0].update(fraction="NaN"),
        lambda written: written["rows"][0]["cells"][0].update(counts={"equal": -1}),
        lambda written: written["details"][0]["value"].update(values=[None]),
    ],
)
def test_the_schema_refuses_what_is_no_report(spoil):
    written = report.dump(samples.sound(5))
    spoil(written)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(report.schema()).validate(written)


def test_json_has_every_comparison_and_every_number(matrix):
    written = json.loads(report.render(matrix))
    assert written["agrees"] is False
    assert written["counts"] == {verdict: matrix.counts()[verdict] for verdict in VERDICTS}
    assert len(written["comparisons"]) == len(matrix.comparisons)
    for found, comparison in zip(written["comparisons"], matrix.comparisons):
        assert {**found, "fraction": float(found["fraction"]), "difference": float(found["difference"])} == (
            comparison._asdict()
        )
    assert sum(sum(cell["counts"].values()) for row in written["rows"] for cell in row["cells"]) == len(
        matrix.comparisons
    )
    assert len(written["details"]) == len(matrix.details) > 20
    special = 0
    for found in written["details"]:
        detail = matrix.details[found["case"], found["result"]]
        for name, array in (*detail.inputs.items(), *detail.outputs.items()):
            again = numbers({**found["inputs"], **found["outputs"]}[name])
            assert again.dtype == array.dtype
            assert again.tobytes() == np.where(np.isnan(array), np.array(np.nan, array.dtype), array).tobytes()
            special += not np.isfinite(array).all()
        if not found["exact"]:
            rest = np.array(found["value"].get("rest", 0.0), np.longdouble).reshape(-1)
            value = numbers(found["value"]).astype(np.longdouble).ravel() + rest
            np.testing.assert_array_equal(value, detail.value.ravel())
        np.testing.assert_array_equal(numbers(found["bound"]), detail.bound)
    assert special


def test_a_float32_is_short_and_a_longdouble_is_whole():
    third = np.array([1, -np.inf], np.float32) / 3
    assert data.array_data(third) == {"dtype": "float32", "shape": [2], "values": [0.33333334, "-inf"]}
    wide = np.array([1, 2, np.nan], np.longdouble) / 3
    written = data.array_data(wide)
    if np.finfo(np.longdouble).nmant > 52:
        again = np.array(written["values"][:2], np.longdouble) + np.array(written["rest"][:2], np.longdouble)
        assert (again == wide[:2]).all()
        assert written["rest"][2] == 0


# --------------------------------------------------------------------------- JUnit


def test_junit_has_a_test_for_every_cell(matrix):
    root = ElementTree.fromstring(junit.render(matrix))
    [suite] = root.findall("testsuite")
    tests = suite.findall("testcase")
    cells = {(str(row), f"{a} vs {b}"): cell for row, found in matrix.cells().items() for (a, b), cell in found.items()}
    assert {(test.get("classname"), test.get("name")) for test in tests} == set(cells)
    tags = {REAL_DIFFERENCE: "failure", CRASHED: "error", MISSING: "error", UNSUPPORTED: "skipped"}
    found = Counter()
    for test in tests:
        cell = cells[test.get("classname"), test.get("name")]
        outcome = [child for child in test if child.tag != "system-out"]
        found.update(child.tag for child in outcome)
        assert [child.tag for child in outcome] == ([tags[cell.verdict]] if cell.verdict in tags else [])
        assert all(child.get("message") for child in outcome)
        assert f"{cell.exact} had to be equal" in test.find("system-out").text
        if cell.verdict == UNSUPPORTED:
            assert all(reason in outcome[0].get("message") for reason in cell.reasons)
        elif outcome:
            assert outcome[0].get("type") == cell.verdict
            assert "again: convbridge parity --only " in outcome[0].text
    assert suite.get("tests") == str(len(cells))
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        str(found["failure"]),
        str(found["error"]),
        str(found["skipped"]),
    )
    properties = {item.get("name"): item.get("value") for item in suite.iter("property")}
    assert properties["participant.neighbour (recorded)"] == "neighbour 1.0 <&>"
    assert properties["seed"] == "0"
    assert suite.find("system-out").text == words.summary(matrix)


def test_junit_leaves_out_what_xml_cannot_hold(matrix):
    assert samples.CRASH in {comparison.reason for comparison in matrix.comparisons}
    spoiled = Matrix(
        matrix.participants, matrix.cases, matrix.comparisons, facts={"plat\x00form": "a\x1b\ufffe\ud800b"}
    )
    text = junit.render(spoiled)
    text.encode()
    assert 'name="platform" value="ab"' in text
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", text)


def test_a_good_run_has_no_failure_in_junit(sound):
    suite = ElementTree.fromstring(junit.render(sound)).find("testsuite")
    assert (suite.get("failures"), suite.get("errors")) == ("0", "0")
    assert int(suite.get("skipped")) > 0


# --------------------------------------------------------------------------- HTML


def test_the_page_loads_nothing_and_runs_no_text(matrix):
    page = html.render(matrix)
    assert "default-src 'none'" in page
    assert not re.search(r"""\b(src|action)\s*=|@import|\burl\(|https?:|//\w|eval\(|innerHTML|new Function""", page)
    assert set(re.findall(r'href="([^"]*)"', page)) == {"data:,", "#main"}
    # what a framework said cannot end the element that holds the data, nor become markup
    assert page.count("</script>") == 2
    assert "<b>" not in page
    assert "<dilation>" not in page


def test_the_page_shows_every_cell(matrix):
    page = html.render(matrix)
    shown = embedded(page)
    cells = data.cells_in_order(matrix)
    assert shown["rows"] == [str(row) for row in cells]
    assert [(column["left"], column["right"]) for column in shown["columns"]] == matrix.pairs
    for row, found in enumerate(cells.values()):
        for pair, cell in found.items():
            key = f"{row}-{matrix.pairs.index(pair)}"
            [label, text] = re.search(rf'id="cell-{key}"[^>]* aria-label="([^"]*)"[^>]*>([^<]*)<', page).groups()
            assert text == words.cell_text(cell)
            assert f": {cell.verdict}" in label
            listed = shown["cells"][key]
            assert {verdict: int(count) for verdict, count, _ in listed["counts"]} == dict(cell.counts)
            failures = sum(cell.counts[verdict] for verdict in FAILURES)
            shown_failures = sum(verdict in FAILURES for _, _, verdict, _ in listed["shown"])
            assert shown_failures + int(listed["unlisted"]) == failures
            assert len(listed["shown"]) == min(5, cell.counts.total() - failures) + shown_failures


def test_the_page_keeps_every_bit_of_what_it_shows(matrix):
    shown = embedded(html.render(matrix))
    seen = 0
    for case, found in shown["details"].items():
        for result, part in found["results"].items():
            detail = matrix.details[case, result]
            for name, array in detail.outputs.items():
                output = part["outputs"][name]
                again = numbers(part["outputs"][output["as"]] if "as" in output else output)
                np.testing.assert_array_equal(again, array, strict=True)
                seen += 1
            for name, array in detail.inputs.items():
                np.testing.assert_array_equal(numbers(found["inputs"][name]), array, strict=True)
    assert seen > 100


def test_a_page_has_a_largest_size_and_says_what_is_left_out():
    count, width = 2500, 4000
    who = [Participant(name, "numpy", "numpy") for name in "abcd"]
    ones = np.random.default_rng(0).standard_normal((1, 1, 1, width))
    matrix = Matrix(who)
    for number in range(count):
        dtype = ("float64", "float32", "float16", "bfloat16")[number % 4]
        case = Case(0, number, ("corr2d", "convolve2d", "corr2d_multi_in")[number % 3], {}, {}, dtype)
        matrix.cases[case.name] = case
        matrix.comparisons += [
            Comparison(case.name, "Y", a, b, REAL_DIFFERENCE, False, 1.0, 9.0, f"{number} of {width}: " + "why " * 30)
            for a, b in matrix.pairs
        ]
        if number % 20 == 0:
            matrix.details[case.name, "Y"] = Detail({"X": ones}, ones, ones, dict.fromkeys("abcd", ones))
    assert len(matrix.comparisons) == 25_000
    page = html.render(matrix)
    assert len(page.encode()) < 3_000_000
    kept = embedded(page)["details"]
    assert 0 < len(kept) < len(matrix.details)
    assert "The numbers of this case are not in this file" in page


def test_an_empty_matrix_has_reports():
    empty = Matrix()
    assert "Nothing was compared" in html.render(empty)
    assert printed(empty).startswith("0 comparisons")
    assert ElementTree.fromstring(junit.render(empty)).find("testsuite").get("tests") == "0"
    jsonschema.Draft202012Validator(report.schema()).validate(report.dump(empty))
