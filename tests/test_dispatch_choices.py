"""Plans follow the choices in force, are bounded, and belong to one process; and what is never planned."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from together import together

import convbridge
from convbridge import conv2d, corr2d, dispatch, memory, registry, to_numpy
from convbridge.errors import (
    MixedBackendsError,
    UnsupportedOperationError,
)

pytestmark = pytest.mark.usefixtures("nothing_is_planned")


def needs(framework):
    return pytest.mark.skipif(framework not in convbridge.available_backends(), reason=f"{framework} is not installed")


def numbers(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def own(values, backend):
    return convbridge.asarray(values, backend=backend)


def same(a, b):
    a, b = to_numpy(a), to_numpy(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# --------------------------------------------------------------------------- the choices in force


def test_choices_are_followed_after_a_plan(environment):
    X, K = numbers(4, 4), numbers(2, 2)

    def who():
        return convbridge.selection.framework_of(corr2d(X, K)) or "numpy"

    others = [name for name in convbridge.available_backends() if name != "numpy"]
    assert who() == who() == "numpy"
    for other in others:
        with convbridge.use_backend(other):
            assert who() == who() == other
            with convbridge.use_backend("numpy"):
                assert who() == "numpy"
            assert who() == other
        assert who() == "numpy"
        convbridge.set_backend(other)
        assert who() == who() == other
        convbridge.set_backend(None)
        assert who() == "numpy"
        assert (convbridge.selection.framework_of(corr2d(X, K, backend=other))) == other
        assert who() == "numpy"
        environment(other)
        assert who() == who() == other
        environment("numpy")
        assert who() == "numpy"


def test_a_tensor_contradicts_a_choice_also_after_a_plan(backend):
    if backend == "numpy":
        pytest.skip("NumPy's arrays are neutral")
    X, K = own(numbers(4, 4), backend), own(numbers(2, 2), backend)
    corr2d(X, K)
    corr2d(X, K)
    with convbridge.use_backend("numpy"), pytest.raises(MixedBackendsError):
        corr2d(X, K)
    with pytest.raises(MixedBackendsError):
        corr2d(X, K, backend="numpy")
    convbridge.set_backend("numpy")
    assert same(corr2d(X, K), corr2d(X, K, backend=backend))


def test_each_precision_has_its_plan(backend):
    X, K = own(numbers(4, 4), backend), own(numbers(2, 2), backend)
    corr2d(X, K)
    with convbridge.use_precision("fast"):
        corr2d(X, K)
        assert len(dispatch.PLANS) == 2
    corr2d(X, K)
    assert {key[-1].precision for key in dispatch.PLANS} == {"exact", "fast"}


def test_refresh_forgets(backend):
    X, K = own(numbers(4, 4), backend), own(numbers(2, 2), backend)
    corr2d(X, K)
    assert dispatch.PLANS
    registry.refresh()
    assert not dispatch.PLANS


def test_a_call_that_refresh_overtakes_leaves_no_plan(monkeypatch):
    module = registry.load("numpy").ops
    compute = module.conv2d

    def overtaken(*arrays, **keywords):
        registry.refresh()
        return compute(*arrays, **keywords)

    monkeypatch.setattr(module, "conv2d", overtaken)
    corr2d(numbers(4, 4), numbers(2, 2))
    assert not dispatch.PLANS
    monkeypatch.undo()
    corr2d(numbers(4, 4), numbers(2, 2))
    assert dispatch.PLANS


FORK = """
import os, sys
import numpy as np
import convbridge
from convbridge import dispatch

X, K = (convbridge.asarray(np.ones(shape, "float32"), backend=sys.argv[1]) for shape in ((4, 4), (2, 2)))
convbridge.corr2d(X, K)
assert len(dispatch.PLANS) == 1
child = os.fork()
if child == 0:
    assert len(dispatch.PLANS) == 0
    try:
        convbridge.corr2d(X, K)
        convbridge.corr2d(X, K)
        code = 10
    except convbridge.BackendOperationError:
        code = 12
    os._exit(code + len(dispatch.PLANS))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(dispatch.PLANS))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_has_no_plans(backend):
    command = [sys.executable, "-c", FORK, backend]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    assert run.stdout.split()[-2:] == ["10" if backend == "numpy" else "12", "1"]


# --------------------------------------------------------------------------- what is never planned


def test_never_planned(backend, monkeypatch):
    X, K = own(numbers(1, 1, 5, 5), backend), own(numbers(1, 1, 2, 2), backend)
    conv2d(numbers(0, 1, 5, 5), K)
    conv2d(X.numpy() if hasattr(X, "numpy") else X.tolist() if backend == "numpy" else X.asnumpy(), K)
    conv2d(X, K, own(numbers(1), backend), stride=[1, 1])
    monkeypatch.setattr(memory, "_ALWAYS_FINE", 50)  # whether it fits depends on the moment
    conv2d(X, K)
    assert not dispatch.PLANS
    monkeypatch.undo()
    conv2d(X, K)
    assert len(dispatch.PLANS) == 1


def test_gaps_are_refused_each_time(backend):
    spec = registry.spec(backend)
    if f"conv2d[{'float16'}]" not in spec.unsupported:
        pytest.skip("this backend has no such gap in a dtype that every backend can store")
    X, K = own(numbers(1, 1, 5, 5, dtype="float16"), backend), own(numbers(1, 1, 2, 2, dtype="float16"), backend)
    for _ in range(3):
        with pytest.raises(UnsupportedOperationError):
            conv2d(X, K)
    assert not dispatch.PLANS


def test_third_parties_need_not_take_part(install):
    install("other")
    for _ in range(2):
        corr2d(numbers(4, 4), numbers(2, 2), backend="other")
    assert not dispatch.PLANS
    install("more", ops="PLAIN = ()\n")
    corr2d(numbers(4, 4), numbers(2, 2), backend="more")
    assert not dispatch.PLANS


# --------------------------------------------------------------------------- bounds, threads


def test_the_number_of_plans_is_bounded(monkeypatch):
    monkeypatch.setattr(dispatch, "LIMIT", 8)
    for size in range(3, 40):
        assert same(corr2d(np.ones((size, 3), "float32"), np.ones((2, 2), "float32")), np.full((size - 1, 2), 4, "f4"))
        assert 1 <= len(dispatch.PLANS) <= 8


def test_threads(monkeypatch):
    monkeypatch.setattr(dispatch, "LIMIT", 5)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(300):
            h, w = rng.integers(2, 8, 2)
            X = np.full((h, w), seed, "float32")
            if not same(corr2d(X, np.ones((2, 2), "float32")), np.full((h - 1, w - 1), 4 * seed, "float32")):
                wrong.append((seed, h, w))
            if rng.random() < 0.02:
                dispatch.forget()

    together(*(partial(work, seed) for seed in range(6)))
    assert not wrong


def test_a_thread_does_not_inherit_a_choice_through_a_plan():
    X, K, found = numbers(4, 4), numbers(2, 2), []
    others = [name for name in convbridge.available_backends() if name != "numpy"]
    if not others:
        pytest.skip("a second backend is needed")
    with convbridge.use_backend(others[0]):
        corr2d(X, K)
        together(lambda: found.append(type(corr2d(X, K))))
    assert found == [np.ndarray]
