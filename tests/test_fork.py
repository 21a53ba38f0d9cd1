"""A forked child of a process that had computed gets an error instead of a hang (trap T8)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
import convbridge

backend, forked_first = sys.argv[1], sys.argv[2] == "first"
X, K = [[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]]
convbridge.registry.load(backend)
if not forked_first:
    convbridge.corr2d(X, K, backend=backend)
child = os.fork()
if child == 0:
    try:
        numbers = convbridge.to_numpy(convbridge.corr2d(X, K, backend=backend)).tolist()
        code = 10 if numbers == [[19, 25], [37, 43]] else 11
    except convbridge.BackendOperationError as error:
        code = 12 if "spawn" in str(error) and "Received: " in str(error) else 13
    os._exit(code)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""


def child_of(backend, when, **environment):
    command = [sys.executable, "-c", PROGRAM, backend, when]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=True, env={**os.environ, **environment}
    )
    return int(run.stdout.split()[-1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_computes_or_says_why_not(backend):
    computes, says = 10, 12
    assert child_of(backend, "later", OMP_NUM_THREADS="2") == (computes if backend == "numpy" else says)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_pytorch_without_threads_survives_a_fork(backend):
    if backend != "torch":
        pytest.skip("about PyTorch's data loaders, whose workers fork and use one thread")
    assert child_of(backend, "later", OMP_NUM_THREADS="1") == 10
