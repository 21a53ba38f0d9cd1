"""How the atlas runs its entries and judges the answers: verdicts, messages, processes that die, hang and lie.

What the frameworks answer is in ``test_atlas.py``; here nobody real is asked.
"""

from __future__ import annotations

import numpy as np
import pytest

from convbridge import registry
from convbridge.cli import main
from convbridge.errors import ArgumentError
from convbridge.teaching import atlas
from convbridge.teaching.atlas_page import page
from convbridge.teaching.atlas_results import (
    LOUD,
    NONE,
    OK,
    SILENT,
    VERDICTS,
    Atlas,
    Finding,
    Outcome,
    Participant,
    as_text,
)
from convbridge.teaching.divergences import ENTRIES, find

# --------------------------------------------------------------------------- judging


def numbers(*values, dtype="float32", **named):
    arrays = {"": np.array(values, dtype)} if values else {}
    return Outcome("numbers", arrays | named)


PROMISED = numbers(1, np.nan)
REFUSED = Outcome("error", error="ShapeError", message="X must fit. Received: X=3")


@pytest.mark.parametrize(
    ("native", "promise", "verdict"),
    [
        (PROMISED, PROMISED, "as promised"),
        (numbers(1, np.nan, dtype="float64"), PROMISED, "as promised"),
        (numbers(1, 2), PROMISED, "other numbers"),
        (numbers(1), PROMISED, "another shape"),
        (numbers(Y=None), PROMISED, "None, no error"),
        (Outcome("error", error="RuntimeError", message="no"), PROMISED, "raises an error"),
        (Outcome("error", error="RuntimeError", message="no"), REFUSED, "refuses too"),
        (PROMISED, REFUSED, "accepts it"),
        (Outcome("died", error="SIGSEGV"), REFUSED, "ends the process"),
        (Outcome("hung"), PROMISED, "hangs"),
        (Outcome("no operator"), PROMISED, "no operator"),
        (Outcome("missing"), PROMISED, "missing"),
    ],
)
def test_verdicts(native, promise, verdict):
    finding = Finding.judged(ENTRIES[0], [("torch", "", promise, native)], {"torch": ""})
    assert finding.answers[0].verdict == verdict
    assert finding.answers[0].kind in (OK, LOUD, SILENT, NONE)


def test_every_verdict_can_be_reached():
    reached = {mark.args[1][i][2] for mark in test_verdicts.pytestmark for i in range(len(mark.args[1]))}
    assert reached == set(VERDICTS)


def test_named_results_are_compared_with_their_namesakes():
    promise = numbers(Y=np.float32([1]), dX=np.float32([2]))
    wrong = numbers(Y=np.float32([2]), dX=np.float32([2]))
    finding = Finding.judged(ENTRIES[0], [("torch", "", promise, promise), ("mxnet", "", promise, wrong)], {})
    assert [answer.verdict for answer in finding.answers] == ["as promised", "other numbers"]


@pytest.mark.parametrize(
    "other",
    [
        numbers(1, 2),
        numbers(1, np.nan, dtype="float64"),
        REFUSED,
        Outcome("error", error="ArgumentError", message="X must fit. Received: X=3"),
        Outcome("died", error="SIGSEGV"),
    ],
)
def test_a_broken_promise_is_seen(other):
    first = REFUSED if other.error == "ArgumentError" else PROMISED
    found = [("numpy", "", first, first), ("torch", "", other, first)]
    assert not Finding.judged(ENTRIES[0], found, {}).kept
    unpromised = ENTRIES[0]._replace(promised=False)
    assert Finding.judged(unpromised, found, {}).kept
    assert len(Finding.judged(unpromised, found, {}).promises) == 2


def test_a_promise_that_dies_everywhere_is_broken():
    dead = Outcome("died", error="SIGSEGV")
    assert not Finding.judged(ENTRIES[0], [("numpy", "", dead, dead), ("torch", "", dead, dead)], {}).kept


def test_errors_agree_by_their_class():
    other = REFUSED._replace(message="X must fit. Received: X=4")
    finding = Finding.judged(ENTRIES[0], [("numpy", "", REFUSED, REFUSED), ("torch", "", other, REFUSED)], {})
    assert finding.kept
    assert [names for names, _ in finding.promises] == [["numpy", "torch"]]


def test_variants_that_answer_the_same_stand_there_once():
    same = [("mxnet", "on", PROMISED, PROMISED), ("mxnet", "off", PROMISED, numbers(1, np.nan))]
    finding = Finding.judged(ENTRIES[0], same, {})
    assert [answer.title for answer in finding.answers] == ["mxnet"]
    other = [*same[:1], ("mxnet", "off", PROMISED, numbers(1, 2))]
    finding = Finding.judged(ENTRIES[0], other, {})
    assert [answer.title for answer in finding.answers] == ["mxnet (on)", "mxnet (off)"]
    assert [names for names, _ in finding.promises] == [["mxnet"]]


# --------------------------------------------------------------------------- what is told of errors


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            'Traceback (most recent call last):\n  File "../src/a.cc", line 99\nMXNetError: Check failed: a > 0: bad\n'
            "Stack trace:\n  [bt] (0) libmxnet.so\n",
            "Check failed: a > 0: bad",
        ),
        (
            "{{function_node __wrapped__Conv2D_device_/job:localhost}} No NCHW [Op:Conv2D] name: ",
            "No NCHW [Op:Conv2D]",
        ),
        (
            "Value for attr 'T' of int8 is not allowed\n\t; NodeDef: {{node Conv2D}}; Op<...>",
            "Value for attr 'T' of int8 is not allowed",
        ),
        ("got (Tensor, float), but expected one of:\n * (Tensor input)\n", "got (Tensor, float)"),
        ("two\n  lines", "two lines"),
        ("", ""),
    ],
)
def test_messages_are_shortened(message, told):
    assert atlas._one_line(message) == told


def test_a_long_message_ends_after_a_word():
    told = atlas._one_line("word " * 200)
    assert len(told) <= atlas.LONGEST + 2
    assert told.endswith("word …")


# --------------------------------------------------------------------------- processes that die, hang and lie

BAD_ATLAS = """
import os, signal, sys, time
from convbridge.errors import UnsupportedOperationError

VARIANTS: dict[str, dict[str, str]] = {"kind": {"ATLAS_TEST_MOOD": "kind"}, "rude": {"ATLAS_TEST_MOOD": "rude"}}
rude = os.environ["ATLAS_TEST_MOOD"] == "rude"

def default_stride(X):
    os.write(1, b"noise below Python's streams\\n")
    print("noise")
    return X if rude else {"Y": None}

def fractional_stride(X, K):
    print("2025-01-01 00:00:00: F kernel.cc:1] Check failed: x > 0", file=sys.stderr, flush=True)
    print("    @ 0x0123 a_frame()", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL if rude else signal.SIGTERM)

def huge_stride(X, K):
    if rude:
        time.sleep(60)
    os._exit(3)

def global_average(X):
    raise UnsupportedOperationError("There is none.")

def ties(X):
    import a_library_that_nobody_has
"""

BAD_ENTRIES = ("default-stride", "fractional-stride", "huge-stride", "global-average", "ties")


@pytest.fixture
def install_atlas(install):
    """Install a third-party backend that has an ``atlas.py``."""

    def write(name, text, **facts):
        package = install(name, **facts)
        atlas._module.cache_clear()
        registry.spec(name)
        (folder,) = registry.sys.modules[package].__path__
        with open(f"{folder}/atlas.py", "w") as file:
            file.write(text)
        return package

    yield write
    atlas._module.cache_clear()


def test_a_death_costs_its_own_entry(install_atlas, monkeypatch):
    monkeypatch.setattr(atlas, "PATIENCE", 10.0)
    install_atlas("bad", BAD_ATLAS)
    told = []
    found = atlas.run(find(BAD_ENTRIES), ["bad"], lambda done, total: told.append(done))
    findings = {finding.entry.name: finding for finding in found.findings}
    said = {name: [(a.variant, a.verdict, a.native.text) for a in one.answers] for name, one in findings.items()}
    assert said["default-stride"] == [
        ("kind", "None, no error", "Y: None"),
        ("rude", "another shape", as_text("", findings["default-stride"].entry.inputs["X"])),
    ]
    assert said["fractional-stride"] == [
        ("kind", "ends the process", "the process ended with SIGTERM: Check failed: x > 0"),
        ("rude", "ends the process", "the process ended with SIGKILL: Check failed: x > 0"),
    ]
    assert said["huge-stride"] == [
        ("kind", "ends the process", "the process ended with exit code 3"),
        ("rude", "hangs", "no answer within 10 seconds"),
    ]
    assert said["global-average"] == [("", "no operator", "There is none.")]
    assert said["ties"] == [("", "missing", "No module named 'a_library_that_nobody_has'")]
    # what convbridge said before is not lost with the process
    assert found.kept
    assert all(one.promises[0][0] == ["bad"] for one in findings.values() if one.entry.name != "ties")
    assert sorted(told) == list(range(1, 2 * len(BAD_ENTRIES) + 1))


def test_a_backend_that_lies_breaks_the_promise(install_atlas, capsys):
    wrong = "def max_pool2d(X, pool_size, **k): return base.max_pool2d(np.asarray(X), pool_size, **k).view(Tensor) + 1"
    install_atlas("liar", "def default_stride(X):\n    '''Lie.'''\n    return X", ops=wrong)
    found = atlas.run(find(["default-stride"]), ["numpy", "liar"])
    assert not found.kept
    assert [names for names, _ in found.findings[0].promises] == [["numpy"], ["liar"]]
    assert "broken promise" in page(found)
    assert main(["atlas", "default-stride", "--backends", "numpy,liar"]) == 1
    assert main(["atlas", "--backends", "numpy,liar", "--json", "default-stride"]) == 1
    capsys.readouterr()


def test_a_framework_that_is_not_there_is_missing(install_atlas, capsys):
    install_atlas("absent", "def ties(X):\n    '''Ask.'''\n    return X", framework="no_such_framework")
    found = atlas.run(find(["ties"]), ["numpy", "absent"])
    assert found.kept
    assert not found.participants[1].installed
    assert found.findings[0].by_backend()["absent"][0].verdict == "missing"
    text = page(found)
    assert '<span class="badge missing">missing</span> absent: pip install it' in text
    assert main(["atlas", "ties", "--backends", "absent"]) == 2
    assert "absent is not installed: pip install it" in capsys.readouterr().err


def test_a_framework_that_does_not_import_is_told(install_atlas, capsys):
    install_atlas("broken", "raise RuntimeError('half installed')\ndef ties(X):\n    '''Ask.'''\n    return X")
    found = atlas.run(find(["ties"]), ["broken"])
    assert found.participants[0].installed
    assert "half installed" in found.participants[0].problem
    assert main(["atlas", "ties", "--backends", "broken"]) == 2
    assert "broken is installed and does not work" in capsys.readouterr().err


def test_an_import_that_dies_is_told(install_atlas):
    install_atlas("dead", "import os\nos._exit(7)\ndef ties(X):\n    '''Ask.'''\n    return X")
    (who,) = atlas.run(find(["ties"]), ["dead"]).participants
    assert who.problem == "its import came to nothing: the process ended with exit code 7"


def test_a_backend_without_an_atlas_is_refused(install):
    install("plain")
    with pytest.raises(ArgumentError, match=r"backends must be among numpy, .*Received: backend='plain'"):
        atlas.run(ENTRIES[:1], ["plain"])
    assert "plain" not in atlas.cartographers()


# --------------------------------------------------------------------------- the page of such a run


def test_a_page_escapes_what_it_is_told():
    nasty = Outcome("error", error="Error", message='<script>alert("1")</script> & more')
    finding = Finding.judged(ENTRIES[0], [("torch", "", PROMISED, nasty)], {"torch": "a < b"})
    found = Atlas((finding,), (Participant("torch", "<2>", ()),), {"date": "<today>"})
    text = page(found)
    assert '<script>alert("1")' not in text
    assert "&lt;script&gt;alert(" in text
    assert "&lt;today&gt;" in text
    assert "a &lt; b" in text
    assert "&lt;2&gt;" in text
