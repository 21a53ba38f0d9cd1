"""The atlas: its entries, how they are run and judged, the page; and that the frameworks still differ as they did.

One run of all entries, on whatever is installed, serves most of the tests. The
table of what the frameworks answer is for the pinned versions: where it fails,
a framework has changed, and the prose of that entry has to be looked at.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

from convbridge import registry
from convbridge.cli import main
from convbridge.errors import ArgumentError
from convbridge.teaching import atlas
from convbridge.teaching.atlas_page import _code, page
from convbridge.teaching.atlas_results import (
    LOUD,
    SILENT,
    as_text,
)
from convbridge.teaching.divergences import ENTRIES, GROUPS, find

BUILTIN = tuple(registry.BUILTIN)

#: What numpy, torch, tensorflow and mxnet answer, next to convbridge's promise; where a framework has two sets of
#: kernels that differ, with oneDNN and without. "?" stands where memory that nobody wrote to decides, or the processor.
ANSWERS = {
    "same-even-kernel": "differs same same raises",
    "same-with-stride": "differs raises same raises",
    "half-kernel-padding": "same same differs same",
    "one-sided-padding": "same raises same raises",
    "negative-padding": "refuses refuses refuses refuses/accepts",
    "infinite-kernel": "same same differs/same same",
    "padded-maximum": "differs same differs same",
    "padding-beyond-window": "accepts refuses refuses accepts",
    "depthwise-dilation": "same same differs same",
    "depthwise-strides": "same same same/raises same",
    "fractional-stride": "refuses refuses accepts refuses",
    "default-stride": "same shape same same",
    "huge-stride": "accepts accepts dies/refuses refuses",
    "one-output-column": "same same ?/same same",
    "ported-stride": "same same shape same",
    "channels-first": "same same same/raises same",
    "channels-last": "same same same raises",
    "kernel-layout": "accepts accepts accepts refuses",
    "channel-mismatch": "refuses refuses accepts refuses",
    "three-axes": "refuses accepts dies/refuses refuses",
    "kernel-too-large": "accepts refuses accepts refuses",
    "empty-batch": "same same shape/same raises",
    "zero-channels": "accepts accepts refuses refuses/accepts",
    "zero-groups": "refuses refuses refuses dies",
    "flipped-kernel": "differs same same same",
    "one-nan": "differs ? same same",
    "window-too-large": "refuses refuses dies/accepts refuses",
    "nan-in-window": "same same differs differs",
    "minus-infinity": "same same differs differs",
    "average-at-border": "same same differs same",
    "ceil-mode": "- same differs shape",
    "global-average": "shape same shape same",
    "half-average": "same same differs same",
    "integer-average": "same differs raises raises",
    "float64-maximum": "same same differs same",
    "array-of-float64": "same same same differs",
    "integers-times-floats": "same raises differs raises",
    "int8-overflow": "differs differs raises differs/raises",
    "denormals": "same same differs same",
    "reversed-image": "same raises same same",
    "loop-gradient": "- same None raises",
    "two-backwards": "- differs same same",
    "ties": "- differs differs differs",
    "nan-gradient": "- same differs differs",
    "ceil-gradient": "- same same differs/same",
    "grouped-gradient": "- same same/raises same",
    "dilated-gradient": "- same same/raises same",
    "integer-gradient": "- raises None same",
    "strided-1x1-training": "- same ?/same same",
    "error-read-twice": "same same same differs",
    "fresh-layer": "- differs same same",
}


# --------------------------------------------------------------------------- the entries


def test_there_are_enough_entries_and_each_is_told():
    assert len(ENTRIES) >= 25
    assert [entry.name for entry in ENTRIES] == list(ANSWERS)
    assert sum(len(entries) for entries in GROUPS.values()) == len(ENTRIES)
    for text in ("name", "title", "question", "why", "promise"):
        assert max(Counter(getattr(entry, text) for entry in ENTRIES).values()) == 1, text


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_is_well_formed(entry):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.name)
    assert not entry.title.endswith(".")
    for text in (entry.question, entry.why, entry.promise):
        assert re.search(r"[.?]$", text)
        assert "  " not in text
    assert isinstance(ast.parse(entry.call).body[-1], ast.Expr)
    for thread in entry.threads:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", thread)
    copies = entry.arrays()
    for name, array in entry.inputs.items():
        assert copies[name] is not array
        np.testing.assert_array_equal(copies[name], array)


def test_an_unknown_entry_is_refused_with_the_nearest():
    with pytest.raises(ArgumentError, match=r"Did you mean 'ceil-mode'\? Received: entry='ceil_mode'"):
        find(["ceil_mode"])
    assert find([]) == ENTRIES
    assert [entry.name for entry in find(["ties", "one-nan"])] == ["one-nan", "ties"]


# --------------------------------------------------------------------------- the four files


def functions_of(backend):
    text, module = atlas._module(backend)
    return text, {node.name: node for node in module.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("cartographer", BUILTIN)
def test_every_backend_has_every_entry_in_the_same_words(cartographer):
    """The same functions in the same order with the same parameters and docstrings, so that two files can be diffed."""
    _, functions = functions_of(cartographer)
    _, reference = functions_of("numpy")
    assert set(functions) == {entry.function for entry in ENTRIES}
    assert list(functions) == list(reference)
    for entry in ENTRIES:
        function, other = functions[entry.function], reference[entry.function]
        assert ast.unparse(function.args) == ast.unparse(other.args)
        assert ast.unparse(function.returns) == ast.unparse(other.returns)
        assert ast.get_docstring(function) == ast.get_docstring(other)
        assert [argument.arg for argument in function.args.args] == list(entry.inputs)


@pytest.mark.parametrize("cartographer", BUILTIN)
def test_a_source_is_what_runs_without_its_docstring(cartographer):
    text, functions = functions_of(cartographer)
    for entry in ENTRIES:
        shown = atlas.source(cartographer, entry.function)
        function = functions[entry.function]
        if isinstance(function.body[-1], ast.Raise):
            assert shown == ""
            continue
        assert all(line in text.splitlines() for line in shown.splitlines())
        (parsed,) = ast.parse(shown).body
        assert ast.unparse(parsed.body) == ast.unparse(function.body[1:])


@pytest.mark.parametrize("cartographer", BUILTIN)
def test_native_calls_do_not_use_the_library(cartographer):
    """What is shown is the framework's own: nothing of convbridge but the way to say that there is no operator."""
    _, module = atlas._module(cartographer)
    imported = {
        alias.name
        for node in ast.walk(module)
        if isinstance(node, (ast.Import, ast.ImportFrom)) and "convbridge" in (getattr(node, "module", "") or "")
        for alias in node.names
    }
    assert imported <= {"UnsupportedOperationError", "mxnet"}


def test_the_variants_are_read_without_a_framework():
    assert atlas.cartographers()[:4] == BUILTIN
    assert atlas.variants("numpy") == {"": {}}
    assert atlas.variants("tensorflow")["oneDNN off"] == {"TF_ENABLE_ONEDNN_OPTS": "0"}
    assert list(atlas.variants("mxnet")) == ["oneDNN on", "oneDNN off"]


# --------------------------------------------------------------------------- the run


@pytest.fixture(scope="module")
def charted():
    told = []
    found = atlas.run(ENTRIES, BUILTIN, lambda done, total: told.append((done, total)))
    return found, told


@pytest.fixture(scope="module")
def findings(charted):
    return {finding.entry.name: finding for finding in charted[0].findings}


def present(charted):
    return [who for who in charted[0].participants if who.installed]


def test_who_is_installed_answers_everything(charted):
    found, told = charted
    assert [who.backend for who in found.participants] == list(BUILTIN)
    for who in found.participants:
        assert who.installed == (who.backend in registry.available_backends())
        assert bool(who.version) == who.installed
        assert bool(who.problem) != who.installed, who.problem
    asked = sum(len(atlas.variants(who.backend)) for who in present(charted))
    assert [done for done, _ in told] == list(range(1, asked * len(ENTRIES) + 1))
    assert {total for _, total in told} == {asked * len(ENTRIES)}


@pytest.mark.parametrize("name", ANSWERS)
def test_convbridge_keeps_its_promise(name, charted, findings):
    """The same answer on every backend with every set of kernels: numbers bit for bit, or an error of one class."""
    finding = findings[name]
    assert finding.kept, [(names, outcome.text) for names, outcome in finding.promises]
    if finding.entry.promised:
        ((names, outcome),) = finding.promises
        assert names == [who.backend for who in present(charted)]
        assert outcome.kind in ("numbers", "error")
        assert outcome.kind == "numbers" or outcome.message.count("Received: ") == 1


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("cartographer", BUILTIN)
def test_a_framework_answers_as_it_did(name, cartographer, findings):
    if cartographer not in registry.available_backends():
        pytest.skip(f"{cartographer} is not installed")
    answers = findings[name].by_backend()[cartographer]
    if answers[0].verdict == "missing":
        assert answers[0].native.error == "ModuleNotFoundError"
        pytest.skip(answers[0].native.message)
    said = [answer.word for answer in answers]
    expected = ANSWERS[name].split()[BUILTIN.index(cartographer)].split("/")
    if "?" in expected:
        wanted = expected * len(said) if len(expected) == 1 else expected
        # what was the same with all kernels stands there once
        said = said * len(wanted) if len(said) == 1 else said
        assert [word for word, want in zip(said, wanted) if want != "?"] == [want for want in wanted if want != "?"]
    else:
        assert list(dict.fromkeys(said)) == expected, [answer.native.text for answer in answers]


@pytest.mark.parametrize("name", ANSWERS)
def test_somebody_differs(name, findings):
    """That is why it is an entry."""
    missing = [name for name in BUILTIN if name not in registry.available_backends()]
    finding = findings[name]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    if any(answer.verdict == "missing" for answer in finding.answers):
        pytest.skip("SciPy is not installed")
    if "?" in ANSWERS[name] and not finding.who(LOUD, SILENT):
        pytest.skip("the memory that nobody wrote to happened to be right, or this processor has other kernels")
    assert finding.who(LOUD, SILENT)


def test_numbers_and_errors_are_the_frameworks_own(findings):
    """Some that everybody can check by hand."""
    outcome = {
        (finding.entry.name, answer.backend, answer.variant): answer.native
        for finding in findings.values()
        for answer in finding.answers
    }
    flipped = outcome["flipped-kernel", "numpy", ""]
    assert flipped.kind == "missing" or flipped.arrays[""].tolist() == [[[[5, 11], [23, 29]]]]
    if ("ties", "torch", "") in outcome and outcome["ties", "torch", ""].kind != "missing":
        assert outcome["ties", "torch", ""].arrays[""].tolist() == [[0.25, 0.25], [0.25, 0.25]]
        refusal = outcome["same-with-stride", "torch", ""]
        assert refusal.text == "RuntimeError: padding='same' is not supported for strided convolutions"
    if ("three-axes", "tensorflow", "oneDNN on") in outcome:
        assert outcome["three-axes", "tensorflow", "oneDNN on"].text.startswith(
            "the process ended with SIGABRT: Check failed: "
        )
    if outcome["zero-groups", "mxnet", ""].kind != "missing":
        assert outcome["zero-groups", "mxnet", ""].text == "the process ended with SIGFPE"
        assert outcome["loop-gradient", "mxnet", ""].text.endswith("not supported when recording with autograd.")


# --------------------------------------------------------------------------- the page


class Reader(HTMLParser):
    """What a page holds: its attributes, its headings, its text."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.attributes, self.open = [], [], [], []
        self.text = ""
        self.feed(text)

    VOID = ("meta", "link", "input", "br")

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name == "href":
                self.links.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += text


@pytest.fixture(scope="module")
def html(charted):
    return page(charted[0])


def test_the_page_is_one_file(html):
    reader = Reader(html)
    assert not reader.open
    assert len(set(reader.ids)) == len(reader.ids)
    for link in reader.links:
        assert link == "data:," or (link.startswith("#") and link[1:] in reader.ids), link
    assert not [value for _, name, value in reader.attributes if name in ("src", "srcset", "action", "background")]
    assert not re.search(r"url\(|@import|https?://|=\s*[\"']//", html)
    assert {tag for tag, _, _ in reader.attributes} >= {"main", "header", "footer", "article", "input", "table"}


def test_the_page_says_everything_that_the_run_found(html, charted):
    found = charted[0]
    text = Reader(html).text
    for finding in found.findings:
        entry = finding.entry
        for told in (entry.title, entry.question, entry.why, entry.promise, *entry.threads):
            assert told in text
        for name, array in entry.inputs.items():
            assert as_text(name, array) in text
        for answer in finding.answers:
            assert answer.native.text in text
        for _, outcome in finding.promises:
            assert outcome.text in text
        for source in finding.sources.values():
            assert source in text
    for who in found.participants:
        assert (who.version if who.installed else who.problem) in text
    for fact in found.circumstances.values():
        assert fact in text


@pytest.mark.parametrize("cartographer", BUILTIN)
def test_marked_code_is_the_code(cartographer):
    for entry in ENTRIES:
        for source in (atlas.source(cartographer, entry.function), entry.call):
            if source:
                assert unescape(re.sub(r"<[^>]*>", "", _code(source))) == source


# --------------------------------------------------------------------------- the command


def test_the_list_asks_nobody(capsys):
    assert main(["atlas", "--list"]) == 0
    told = capsys.readouterr().out
    assert all(entry.name in told for entry in ENTRIES)
    assert main(["atlas", "--list", "--json", "ties"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == ["ties"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["tise"], "Did you mean 'ties'?"),
        (["--backends", "nupmy"], "Did you mean 'numpy'?"),
        (["--backends", ","], "--backends must name at least one of numpy"),
    ],
)
def test_bad_usage(arguments, complaint, capsys):
    assert main(["atlas", *arguments]) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_an_entry_in_full(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    file = tmp_path / "atlas.html"
    assert main(["atlas", "fractional-stride", "--backends", "np", "--html", str(file)]) == 0
    captured = capsys.readouterr()
    entry = find(["fractional-stride"])[0]
    told = " ".join(captured.out.split())
    for text in (
        entry.title,
        entry.question,
        entry.why,
        entry.promise,
        "refuses too",
        "ArgumentTypeError: stride must",
    ):
        assert text in told
    assert "def fractional_stride(X: Input, K: Input) -> Any:" in captured.out
    assert max(len(line) for line in captured.out.splitlines()) <= 80
    assert captured.err == f"convbridge: the page is in {file}\n"
    assert entry.title in unescape(file.read_text(encoding="utf-8"))


def test_all_entries_a_line_each(capsys, monkeypatch, charted):
    monkeypatch.setattr("convbridge.commands.atlas._ask", lambda entries, backends: charted[0])
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["atlas"]) == 0
    captured = capsys.readouterr()
    lines = {line.split()[0]: line for line in captured.out.splitlines() if line.strip()}
    for finding in charted[0].findings:
        words = lines[finding.entry.name].split()[1:]
        assert len(words) == len(BUILTIN)
        for cell, answers in zip(words, finding.by_backend().values()):
            assert cell == "/".join(dict.fromkeys(answer.word for answer in answers))
    assert max(len(line) for line in captured.out.splitlines()) <= 80
    asked = ", ".join(who.backend for who in present(charted))
    promised = sum(entry.promised for entry in ENTRIES)
    told = " ".join(captured.out.split())
    assert f"convbridge gives one answer on {asked} in {promised} of {len(ENTRIES)} entries" in told


def test_json(capsys, monkeypatch, charted):
    monkeypatch.setattr("convbridge.commands.atlas._ask", lambda entries, backends: charted[0])
    assert main(["atlas", "--json"]) == 0

    def no_constants(name):
        raise AssertionError(name)

    told = json.loads(capsys.readouterr().out, parse_constant=no_constants)
    assert told["kept"] is True
    assert [entry["name"] for entry in told["entries"]] == list(ANSWERS)
    (entry,) = [entry for entry in told["entries"] if entry["name"] == "nan-in-window"]
    assert entry["inputs"]["X"]["values"][0][0][0] == ["nan", 1.0, "nan", "nan"]
    assert [framework["backend"] for framework in told["frameworks"]] == list(BUILTIN)


def test_a_page_that_cannot_be_written(capsys, monkeypatch, charted, tmp_path):
    monkeypatch.setattr("convbridge.commands.atlas._ask", lambda entries, backends: charted[0])
    assert main(["atlas", "--html", str(tmp_path / "no" / "such.html")]) == 2
    assert "such.html: No such file or directory" in capsys.readouterr().err
