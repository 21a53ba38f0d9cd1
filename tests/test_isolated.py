"""Backends in processes of their own: a crash or a hang costs the cells that it hit, and no others."""

from __future__ import annotations

import pytest

import convbridge
from convbridge import parity
from convbridge.parity import worker
from convbridge.parity.choose import chooser
from convbridge.parity.lattice import lattice
from convbridge.parity.results import ORACLE

CASES = lattice(chooser("(conv2d/3x3-stride2 or pool2d/max-2x2/ or pool2d/avg-2x2/) and float64"))


def run(*backends, **keywords):
    return parity.run_matrix(backends, cases=CASES, isolated=True, **keywords)


def test_processes_find_what_one_process_finds():
    names = convbridge.available_backends()
    apart, together = run(*names), parity.run_matrix(names, cases=CASES)
    assert apart.agrees
    assert [(c.case, c.result, c.left, c.right) for c in apart.comparisons] == [
        (c.case, c.result, c.left, c.right) for c in together.comparisons
    ]
    assert apart.participants == together.participants


FATAL = {
    "segfault": ("import ctypes; ctypes.string_at(0)", "ended by SIGSEGV"),
    "abort": ("import os; os.write(2, b'corrupted size vs. prev_size\\n'); os.abort()", "SIGABRT: corrupted size"),
    "exit": ("import os; os._exit(3)", "ended by exit code 3"),
    "hang": ("import time; time.sleep(1000)", "gave no answer for 2 seconds"),
}


@pytest.mark.parametrize("death", FATAL)
def test_a_death_costs_its_own_cells_only(install, death):
    body, reason = FATAL[death]
    install("fake", ops=f"def avg_pool2d(X, pool_size, *, counted, **keywords):\n    {body}")
    matrix = run("numpy", "fake", patience=2.0)
    assert not matrix.agrees
    found = {row.operation: cells["fake", ORACLE] for row, cells in matrix.cells().items() if row.kind == "value"}
    assert found["conv2d"].verdict in ("equal", "rounding")
    assert found["max_pool2d"].verdict == "equal"
    assert found["avg_pool2d"].verdict == "crashed"
    assert any(reason in said for said in found["avg_pool2d"].reasons), found["avg_pool2d"].reasons
    assert {(c.left, c.right) for c in matrix.failures} == {("fake", ORACLE)}
    assert all(c.verdict in ("equal", "rounding") for c in matrix.comparisons if c.left == "numpy")
    # what the two can be compared on is everything but that
    both = {row for row, cells in matrix.cells().items() if ("numpy", "fake") in cells}
    assert {(row.operation, row.kind) for row in set(matrix.cells()) - both} == {("avg_pool2d", "value")}


def test_a_backend_that_always_dies_is_given_up(install, monkeypatch):
    monkeypatch.setattr(worker, "_MOST_DEATHS", 2)
    install("fake", ops="import os\nconv2d = max_pool2d = avg_pool2d = lambda *_, **__: os._exit(7)")
    matrix = run("numpy", "fake")
    reasons = [c.reason for c in matrix.failures if "vjp" not in c.case]
    assert reasons[0] == "ended by exit code 7"
    assert reasons[-1] == "not started again: its process had ended 2 times"


def test_a_backend_that_cannot_be_imported(install):
    install("absent", framework="no_such_framework")
    install("broken", ops="raise RuntimeError('a broken wheel')")
    matrix = run("numpy", "absent", "broken")
    assert {c.verdict for c in matrix.failures} == {"missing"}
    problems = {participant.name: participant.problem for participant in matrix.participants}
    assert problems["numpy"] == ""
    assert "pip install it" in problems["absent"]
    assert "a broken wheel" in problems["broken"]


def test_an_oracle_that_fails_ends_the_run(monkeypatch):
    wrong = CASES[0]._replace(keywords={"stride": "two"})
    with pytest.raises(worker.OracleError, match=wrong.label.replace("/", ".")):
        parity.run_matrix(["numpy"], cases=[*CASES[1:3], wrong], isolated=True)


def test_no_process_is_left(install):
    started = []
    begin = worker.subprocess.Popen

    def watched(*arguments, **keywords):
        started.append(begin(*arguments, **keywords))
        return started[-1]

    worker.subprocess.Popen = watched
    try:
        run("numpy")
        with pytest.raises(KeyboardInterrupt):
            run("numpy", progress=lambda done, total: (_ for _ in ()).throw(KeyboardInterrupt))
    finally:
        worker.subprocess.Popen = begin
    assert len(started) >= 4
    assert all(process.poll() is not None for process in started)
