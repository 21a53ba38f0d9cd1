"""Memory does not grow with the number of calls, nor with the number of shapes.

Measured by ``convbridge.benchmarks.memory``, which prints the long runs, each in a
process of its own. For the shapes the frameworks' caches of compiled kernels,
and convbridge's of plans, are made small here, so that they are full after the
first quarter of the work; whatever grows later is no cache. Between the medians
of the second and of the last quarter lies half of the work: 1,000 calls, or 160
shapes.

On an idle machine the readings of the calls differ by 10 kB from each other and
those of the shapes by some 100 kB. So the thresholds stand far above the
noise, 1 MB and 640 kB, and a leak of one small array a call (1 kB) or of one
compiled kernel a shape (4 kB at least) is above them. Tests at the end plant
such leaks.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import convbridge
from convbridge.benchmarks import memory

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="needs /proc, to read what a process holds"
)

CALLS, SHAPES = 2000, 320
KILOBYTE = 1024
A_CALL, A_SHAPE = 1 * KILOBYTE, 4 * KILOBYTE

#: oneDNN in PyTorch, oneDNN in MXNet, PyTorch's own, and TensorFlow's, which can only be switched off.
SMALL_CACHES = {
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",
    "DNNL_PRIMITIVE_CACHE_CAPACITY": "16",
    "LRU_CACHE_CAPACITY": "16",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


def grown(backend, kind, count, **keywords):
    program = keywords.pop("program", memory.PROGRAM)
    line = "registry.load(backend)\n"
    assert line in program
    keywords["program"] = program.replace(line, f"{line}import convbridge.dispatch\nconvbridge.dispatch.LIMIT = 16\n")
    found = memory.measure(backend, kind, count, **keywords)
    return memory.growth(found, since=2) / (count / 2)


def test_memory_does_not_grow_with_calls(backend):
    assert grown(backend, "calls", CALLS) < A_CALL


def test_memory_does_not_grow_with_shapes(backend):
    assert grown(backend, "shapes", SHAPES, environment=SMALL_CACHES) < A_SHAPE


@pytest.mark.parametrize(
    ("kind", "count", "size"), [("calls", CALLS, 2 * A_CALL), ("shapes", SHAPES, 2 * A_SHAPE)], ids=["calls", "shapes"]
)
def test_a_planted_leak_is_seen(kind, count, size):
    line = "    run(*shape)\n"
    assert line in memory.PROGRAM
    program = memory.PROGRAM.replace(line, line + f"    found_no_more.append(bytearray({size}))\n")
    program = program.replace("found = [held()]", "found, found_no_more = [held()], []")
    limit = A_CALL if kind == "calls" else A_SHAPE
    assert grown("numpy", kind, count, program=program) > limit


@pytest.mark.skipif("mxnet" not in convbridge.available_backends(), reason="MXNet is not installed")
def test_without_its_bound_mxnet_would_grow():
    """The variable that the backend sets before it imports MXNet is what keeps the cache small."""
    unbounded = {**SMALL_CACHES, "MXNET_MKLDNN_CACHE_NUM": "-1"}
    assert grown("mxnet", "shapes", 120, environment=unbounded) > 10 * A_SHAPE
