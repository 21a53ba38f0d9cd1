"""The pytest plugin, in runs of pytest of its own: each test here writes a small suite and runs it in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convbridge.parity.journal import Entry, record, recording
from convbridge.parity.reports import judgements
from convbridge.testing import ParityError, assert_parity

pytest_plugins = ["pytester"]

FAILED, USAGE_ERROR = 1, 4


@pytest.fixture
def run(pytester, monkeypatch):
    """Run the suite of ``pytester`` with the plugin, and with nothing from the run around it."""
    for name in ("CONVBRIDGE_TEST_BACKENDS", "PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def in_a_process(*options):
        # the modules of this process, and the third-party backends that the test has installed
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        plugins = ("-p", "convbridge.pytest_plugin", "-p", "no:cacheprovider")
        return pytester.runpytest_subprocess(*plugins, "-rs", *options)

    return in_a_process


NAMES = """
    def test_name(backend):
        print("on", backend)
"""


# --------------------------------------------------------------------------- what it costs


def test_the_plugin_imports_nothing_but_pytest_and_the_standard_library():
    program = (
        "import sys, pytest; known = set(sys.modules); import convbridge.pytest_plugin; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - known}; "
        "print(sorted(new - sys.stdlib_module_names))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "['convbridge']"


def test_a_run_that_does_not_use_it_does_not_import_convbridge(pytester, run):
    pytester.makepyfile("""
        import sys

        def test_modules():
            assert "numpy" not in sys.modules
            assert {name for name in sys.modules if name.startswith("convbridge")} == {
                "convbridge", "convbridge.pytest_plugin"
            }
    """)
    run().assert_outcomes(passed=1)


# --------------------------------------------------------------------------- which backends


def test_named_backends_are_tested_and_their_versions_shown(pytester, run, install):
    install("fake")
    pytester.makepyfile(test_it=NAMES)
    result = run("--convbridge-backends= fake, np ", "-v", "-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["convbridge *, Python *, NumPy *", "backend numpy: numpy *", "backend fake: fake_fake_0"]
    )
    result.stdout.fnmatch_lines(["*::test_name[[]numpy[]]*", "*::test_name[[]fake[]]*"])  # in the registry's order


def test_the_environment_variable_names_them_too_and_the_option_wins(pytester, run, install, monkeypatch):
    install("fake")
    pytester.makepyfile(test_it=NAMES)
    monkeypatch.setenv("CONVBRIDGE_TEST_BACKENDS", "fake")
    result = run("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::test_name[[]fake[]]*"])
    result = run("-v", "--convbridge-backends=numpy")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::test_name[[]numpy[]]*"])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("numpy,absent", "needs no_such_framework, which is not installed: pip install it"),
        ("broken", "is installed and cannot be imported: RuntimeError: not on this machine"),
        ("numpi", "Did you mean 'numpy'?"),
        (",", "must name a backend"),
    ],
)
def test_a_named_backend_that_cannot_be_tested_ends_the_run(pytester, run, install, named, message):
    install("absent", framework="no_such_framework")
    install("broken", ops="raise RuntimeError('not on this machine')")
    pytester.makepyfile(test_it=NAMES)
    result = run(f"--convbridge-backends={named}")
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *--convbridge-backends*{message}*"])
    assert "test_name" not in result.stdout.str()


def test_unnamed_installed_backends_are_tested_others_skipped_and_broken_ones_fail(pytester, run, install):
    install("absent", framework="no_such_framework")
    install("broken", ops="raise RuntimeError('not on this machine')")
    pytester.makepyfile(test_it=NAMES)
    result = run("-k", "numpy or absent or broken")
    result.assert_outcomes(passed=1, skipped=1, errors=1)
    result.stdout.fnmatch_lines(["backend numpy: numpy *", "backend absent: skipped, *", "backend broken: broken, *"])
    result.stdout.fnmatch_lines(["SKIPPED *needs no_such_framework, which is not installed: pip install it*"])
    result.stdout.fnmatch_lines(["*cannot be imported: RuntimeError: not on this machine*"])


def test_a_fixture_of_a_session_may_use_it(pytester, run):
    pytester.makepyfile("""
        import convbridge, pytest

        @pytest.fixture(scope="session")
        def layer(backend):
            return convbridge.Conv2D(2, backend=backend)

        def test_one(layer, backend):
            assert convbridge.comp_conv2d(layer, [[1.0, 2.0], [3.0, 4.0]], backend=backend).shape == (1, 1)

        def test_by_name(request):
            request.getfixturevalue("backend")
    """)
    result = run("--convbridge-backends=numpy")
    result.assert_outcomes(passed=1, errors=0, failed=1)
    result.stdout.fnmatch_lines(["*the fixture backend must be an argument of a test or of a fixture*"])


# --------------------------------------------------------------------------- a suite's own backend


def test_a_fixture_of_the_user_wins(pytester, run):
    pytester.makeconftest("""
        import pytest

        @pytest.fixture(params=["mine", "yours"])
        def backend(request):
            return request.param
    """)
    pytester.makepyfile(test_it="def test_it(backend): assert backend in ('mine', 'yours')")
    run("--convbridge-backends=numpy").assert_outcomes(passed=2)


def test_values_of_the_user_win(pytester, run):
    pytester.makeconftest("""
        def pytest_generate_tests(metafunc):
            if "backend" in metafunc.fixturenames and metafunc.function.__name__ == "test_by_hook":
                metafunc.parametrize("backend", ["mine", "yours"])
    """)
    pytester.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.parametrize("backend", ["mine", "yours"])
        def test_by_mark(backend):
            assert backend in ("mine", "yours")

        def test_by_hook(backend):
            assert backend in ("mine", "yours")
    """
    )
    run("--convbridge-backends=numpy").assert_outcomes(passed=4)


def test_a_fixture_of_the_user_may_build_on_it(pytester, run, install):
    install("fake")
    pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def backend(backend):
            return backend.upper()
    """)
    pytester.makepyfile(test_it="def test_it(backend): assert backend in ('NUMPY', 'FAKE')")
    run("--convbridge-backends=numpy,fake").assert_outcomes(passed=2)


# --------------------------------------------------------------------------- the marker


def test_a_requirement_that_a_backend_does_not_meet_skips(pytester, run, install):
    install("fake", gaps={"conv2d[float16]": "No halves here.", "avg_pool2d": "No averages here."})
    pytester.makepyfile("""
        import pytest

        @pytest.mark.convbridge(requires="conv2d[float16]")
        def test_half(backend): pass

        @pytest.mark.convbridge(requires=["max_pool2d[float16]", "avg_pool2d[float64]"])
        def test_average(backend): pass

        @pytest.mark.convbridge(requires="conv2d")
        def test_convolution(backend): pass
    """)
    result = run("--convbridge-backends=numpy,fake", "--strict-markers")
    result.assert_outcomes(passed=4, skipped=2)
    result.stdout.fnmatch_lines_random(
        [
            "SKIPPED *fake has no conv2d[[]float16[]]: No halves here.",
            "SKIPPED *fake has no avg_pool2d: No averages here.",
        ]
    )


@pytest.mark.parametrize(
    ("marker", "argument", "message"),
    [
        ('requires="conv3d"', "backend", "a gap must be one of asarray, conv2d*Received: gap='conv3d'"),
        ('requires="conv2d[int8]"', "backend", "a dtype that it meets*Received: gap='conv2d[[]int8[]]'"),
        ('require="conv2d"', "backend", "must be written convbridge(requires=*"),
        ('"conv2d"', "backend", "must be written convbridge(requires=*"),
        ('requires="conv2d"', "tmp_path", "needs a test that takes backend"),
    ],
)
def test_a_requirement_that_means_nothing_ends_the_run(pytester, run, marker, argument, message):
    pytester.makepyfile(f"""
        import pytest

        @pytest.mark.convbridge({marker})
        def test_it({argument}): pass
    """)
    result = run("--convbridge-backends=numpy")
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *::test_it*{message}*"])


# --------------------------------------------------------------------------- the report

JUDGED = """
    import pytest
    from convbridge.parity import run_matrix
    from convbridge.parity.conformance import cases_of_conformance
    from convbridge.parity.journal import Entry, record, record_matrix

    @pytest.fixture
    def checked(backend):
        record(Entry("a <fixture>", backend, "numpy", "equal", basis="must be equal"))

    def test_right(checked, backend):
        record(Entry("output", backend, "numpy", "rounding", 0.25, 1e-7, "rounding bound"))

    def test_wrong(backend):
        record(Entry("output", backend, "numpy", "REAL DIFFERENCE", 321, 0.5, "rounding bound", "SAME_LOWER padding"))
        assert False

    def test_matrix(backend):
        record_matrix(run_matrix([backend], cases=cases_of_conformance(0)[:12]))
"""


@pytest.mark.parametrize("processes", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "xdist"])
def test_the_report_holds_every_judgement(pytester, run, processes):
    pytester.makepyfile(test_it=JUDGED)
    page = pytester.path / "page.html"
    result = run("--convbridge-backends=numpy", f"--convbridge-report={page}", *processes)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines([f"convbridge: * judgements in {page}"])
    text = page.read_text(encoding="utf-8")
    for piece in (
        " judgements failed</h1>",
        "backend numpy: numpy",
        'scope="rowgroup">test_it.py::test_right[numpy]</th>',
        "a &lt;fixture&gt;",
        "likely cause: SAME_LOWER padding",
        "conv2d native value float32 (",
    ):
        assert piece in text, piece
    assert text.count("<tr class=failed>") == 1


def test_a_run_without_judgements_says_so(pytester, run):
    pytester.makepyfile("def test_nothing(): pass")
    page = pytester.path / "page.html"
    run(f"--convbridge-report={page}").assert_outcomes(passed=1)
    assert "Nothing was judged" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["no/such/folder.html", "."])
def test_a_report_that_cannot_be_written_ends_the_run_before_its_tests(pytester, run, page):
    pytester.makepyfile(test_it=NAMES)
    result = run(f"--convbridge-report={page}")
    assert result.ret == USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --convbridge-report must name a file in a folder that exists. Received: *"])


def test_xdist_runs_every_backend(pytester, run, install):
    install("fake")
    pytester.makepyfile(test_it=NAMES)
    run("--convbridge-backends=numpy,fake", "-p", "xdist", "-n", "2").assert_outcomes(passed=2)


# --------------------------------------------------------------------------- the journal and its page


def test_nothing_is_kept_unless_a_journal_is_open():
    record(Entry("before", "a", "b", "equal"))
    with recording() as outer:
        record(Entry("one", "a", "b", "equal"))
        with recording() as inner:
            record(Entry("two", "a", "b", "equal"))
        record(Entry("three", "a", "b", "equal"))
    assert [entry.what for entry in outer] == ["one", "two", "three"]
    assert [entry.what for entry in inner] == ["two"]


def test_what_assert_parity_finds_is_kept():
    X = np.array([[1.0, 2.0], [3.0, 5.0]])
    with recording() as entries:
        assert_parity(np.negative, lambda X: 0.0 - X, X)
        with pytest.raises(ParityError) as raised:
            assert_parity(np.negative, lambda X: X[::-1], X)
    assert [(entry.what, entry.verdict) for entry in entries] == [("output", "equal"), ("output", "REAL DIFFERENCE")]
    assert [entry.left.partition(" ")[0] for entry in entries] == ["f", "f"]
    assert entries[0].basis
    assert entries[1].reason == str(raised.value)
    page = judgements.render(entries)
    assert page.count("<summary>") == 1
    assert str(raised.value).splitlines()[-1].strip() in page


def test_the_headline_of_the_page():
    good, bad = Entry("x", "a", "b", "rounding"), Entry("x", "a", "b", "crashed", test="t")
    for entries, title in (
        ([good], "The one judgement agrees"),
        ([good, good], "All 2 judgements agree"),
        ([good, bad], "1 of 2 judgements failed"),
        ([good, bad, bad], "2 of 3 judgements failed"),
    ):
        assert f"<h1>{title}</h1>" in judgements.render(entries)
    page = judgements.render([bad], ["one fact", "<another>"])
    assert "1 crashed, from 1 test." in page
    assert "<li>&lt;another&gt;</li>" in page


def test_the_plugin_is_registered_under_the_name_of_its_module():
    """Or ``-p convbridge.pytest_plugin`` would register it twice where convbridge is installed."""
    project = Path(__file__).parent.parent / "pyproject.toml"
    assert '"convbridge.pytest_plugin" = "convbridge.pytest_plugin"' in project.read_text(encoding="utf-8")
