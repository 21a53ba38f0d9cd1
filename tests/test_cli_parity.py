"""``convbridge parity``: what it prints and writes, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from convbridge.cli import main

FEW = ["--select", "conv2d/3x3-stride2 and float64 and NCHW", "--in-process", "--backends", "numpy"]


@pytest.fixture(autouse=True)
def width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_a_run_that_agrees(capsys):
    assert main(["parity", *FEW]) == 0
    shown = capsys.readouterr().out
    assert "within rounding" in " ".join(shown.split())
    assert "0 REAL DIFFERENCE, 0 crashed" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown


def test_processes_of_their_own_are_the_default(capsys, install):
    install("fake", ops="import os\nconv2d = lambda *_, **__: os._exit(7)")
    assert main(["parity", "--select", "conv2d/1x1/NCHW/float64/whole", "--backends", "numpy,fake"]) == 1
    assert "ended by exit code 7" in capsys.readouterr().out


def test_a_difference_is_exit_code_1_and_can_be_run_again(capsys, install):
    install("fake", ops="max_pool2d_ = max_pool2d\ndef max_pool2d(X, *a, **k): return max_pool2d_(X, *a, **k) + 1")
    arguments = ["--backends", "fake", "--in-process"]
    assert main(["parity", "--select", "pool2d/max-2x2/ and float32", *arguments]) == 1
    shown = capsys.readouterr().out
    assert "REAL DIFFERENCE" in shown
    again = next(line for line in shown.splitlines() if "--only" in line)
    name = again.partition("--only ")[2].split()[0].strip("'\"")
    assert main(["parity", "--only", name, *arguments]) == 1


def test_the_cause_of_a_difference_is_named(capsys, install):
    install(
        "fake",
        ops="""
        _conv2d = conv2d
        def conv2d(X, weight, bias, *, padding, **keywords):
            top, bottom, left, right = padding
            return _conv2d(X, weight, bias, padding=type(padding)(bottom, top, right, left), **keywords)
        """,
    )
    arguments = [
        "--backends",
        "fake",
        "--in-process",
        "--select",
        "conv2d/2x4-same_upper/NCHW/float64 and value",
    ]
    assert main(["parity", *arguments]) == 1
    assert "explained by: SAME_LOWER padding" in " ".join(capsys.readouterr().out.split())


def test_a_missing_backend_is_exit_code_2(capsys, install):
    install("absent", framework="no_such_framework")
    assert main(["parity", "--only", "conv2d/1x1/NCHW/float64/whole", "--backends", "numpy,absent"]) == 2
    assert "pip install it" in capsys.readouterr().out


def test_random_cases_are_added(capsys):
    assert (
        main(["parity", "--select", "random: or gradient:", "--cases", "9", "--in-process", "--backends", "numpy"]) == 0
    )
    shown = " ".join(capsys.readouterr().out.split())
    assert "of 9 cases" in shown
    assert "seed 0" in shown


def test_reports_are_written(capsys, tmp_path):
    html, junit = tmp_path / "report.html", tmp_path / "report.xml"
    assert main(["parity", *FEW, "--html", str(html), "--junit", str(junit), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "convbridge/parity-report/1"
    assert html.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(list(ElementTree.parse(junit).iter("testcase"))) > 0


def test_recorded_and_compared(capsys, tmp_path):
    file = tmp_path / "vectors.npz"
    assert main(["parity", *FEW, "--record", str(file)]) == 0
    capsys.readouterr()
    assert main(["parity", "--against", str(file), "--in-process", "--backends", "numpy"]) == 0
    assert "numpy (recorded)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--select", "nothing-like-this"], "chooses no case"),
        (["--select", "(conv2d"], "a parenthesis is not closed"),
        (["--only", "conv2d/9x9"], "the name of a case must be"),
        (["--against", "no_such_file.npz"], "no_such_file.npz"),
        (["--against", __file__], "cut off"),
        (["--html", "no/such/folder/x.html"], "there is no such directory"),
        (["--backends", "nmupy"], "Did you mean 'numpy'"),
        (["--backends", ","], "backends must not be empty"),
        (["--cases", "-1"], "--cases"),
        (["--jobs", "0"], "--jobs"),
        (["--against", str(Path(__file__).parent / "data" / "lattice.npz"), "--cases", "3"], "--cases cannot be used"),
        (["--against", str(Path(__file__).parent / "data" / "lattice.npz"), "--only", "x"], "must name recorded cases"),
    ],
    ids=str,
)
def test_bad_usage_is_one_line_and_exit_code_2(capsys, arguments, message):
    assert main(["parity", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert shown.out == ""
