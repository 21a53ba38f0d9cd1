"""Which backend runs: the order, its isolation, its errors, and third parties."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import numpy as np
import pytest

import convbridge
from convbridge import registry
from convbridge.errors import (
    ArgumentError,
    BackendBrokenError,
    BackendNotInstalledError,
    ConvbridgeError,
    MixedBackendsError,
    UnknownBackendError,
)
from convbridge.selection import framework_of, precision

X, K = np.arange(9.0).reshape(3, 3), np.arange(4.0).reshape(2, 2)
GOLDEN = [[19, 25], [37, 43]]


def owner(result):
    return framework_of(result) or "numpy"


def runs():
    """Tell who computes neutral arguments here."""
    return owner(convbridge.corr2d(X, K))


# --------------------------------------------------------------------------- order


def test_the_six_steps(backend, install, environment):
    """Each step beats the next one; two made-up backends make the steps distinguishable for every backend."""
    install("one")
    install("two")
    assert runs() == "numpy"  # 6
    environment("one")
    assert runs() == convbridge.get_backend() == "one"  # 5
    convbridge.set_backend("two")
    assert runs() == convbridge.get_backend() == "two"  # 4
    tensor = convbridge.asarray(X, backend=backend)
    if framework_of(tensor):  # a NumPy array chooses nobody
        assert owner(convbridge.corr2d(tensor, K)) == backend  # 3
        assert owner(convbridge.corr2d(X, convbridge.asarray(K, backend=backend))) == backend
    with convbridge.use_backend("one"):
        assert runs() == convbridge.get_backend() == "one"  # 2
        assert owner(convbridge.corr2d(X, K, backend=backend)) == backend  # 1
    assert runs() == "two"
    convbridge.set_backend(None)
    assert runs() == "one"


def test_use_backend_nests_and_survives_exceptions(backend, install):
    install("fake")
    with convbridge.use_backend(backend) as outer:
        assert outer == backend == convbridge.get_backend()
        with convbridge.use_backend("fake") as inner:
            assert inner == "fake" == convbridge.get_backend()
            with pytest.raises(ZeroDivisionError), convbridge.use_backend(backend):
                raise ZeroDivisionError
            assert convbridge.get_backend() == "fake"
        assert convbridge.get_backend() == backend
    assert convbridge.get_backend() == "numpy"


def test_a_failed_entry_leaves_the_choice_alone(backend):
    with convbridge.use_backend(backend):
        with pytest.raises(UnknownBackendError), convbridge.use_backend("nonsense"):
            pass
        with pytest.raises(UnknownBackendError):
            convbridge.set_backend("nonsense")
        assert convbridge.get_backend() == backend


def test_aliases(backend, environment):
    for alias in registry.spec(backend).aliases:
        assert owner(convbridge.corr2d(X, K, backend=alias)) == backend
        with convbridge.use_backend(alias) as name:
            assert name == backend
        convbridge.set_backend(alias)
        assert convbridge.get_backend() == backend
        convbridge.set_backend(None)
        environment(alias)
        assert convbridge.get_backend() == backend


def test_the_known_aliases():
    assert {name: registry.spec(name).aliases for name in registry.BUILTIN} == {
        "numpy": ("np",),
        "torch": ("pytorch",),
        "tensorflow": ("tf",),
        "mxnet": ("mx",),
    }


def test_every_result_is_right(backend, agree):
    agree(convbridge.corr2d(X, K, backend=backend), GOLDEN, backend, "float64")


# --------------------------------------------------------------------------- the environment variable


def test_empty_means_unset(environment):
    environment("")
    assert runs() == "numpy"


def test_the_variable_is_read_once_until_refresh(install, monkeypatch):
    install("fake")
    assert runs() == "numpy"
    monkeypatch.setenv("CONVBRIDGE_BACKEND", "fake")
    assert runs() == "numpy"
    registry.refresh()
    assert runs() == "fake"
    monkeypatch.delenv("CONVBRIDGE_BACKEND")
    registry.refresh()
    assert runs() == "numpy"


@pytest.mark.parametrize("wrong", ["torhc", "TENSORFLOW", "Numpy", "mxnt"])
def test_unknown_names_say_where_they_come_from_and_what_was_meant(wrong, environment):
    meant = {"torhc": "torch", "TENSORFLOW": "tensorflow", "Numpy": "numpy", "mxnt": "mxnet"}[wrong]

    def context():
        with convbridge.use_backend(wrong):
            pass

    environment(wrong)
    calls = {
        "backend=": lambda: convbridge.corr2d(X, K, backend=wrong),
        "use_backend": context,
        "set_backend": lambda: convbridge.set_backend(wrong),
        "CONVBRIDGE_BACKEND": lambda: convbridge.corr2d(X, K),
    }
    for source, call in calls.items():
        with pytest.raises(UnknownBackendError) as caught:
            call()
        message = str(caught.value)
        assert isinstance(caught.value, ValueError)
        assert f"(from {source})" in message
        assert f"Did you mean {meant!r}?" in message
        for name in registry.BUILTIN:
            assert name in message
        assert message.endswith(f"Received: backend={wrong!r}")


@pytest.mark.parametrize("wrong", ["", "zzzzzz", 3, ["numpy"], b"numpy"])
def test_names_that_resemble_nothing(wrong):
    with pytest.raises(UnknownBackendError, match=r"Received: backend=") as caught:
        convbridge.corr2d(X, K, backend=wrong)
    assert "Did you mean" not in str(caught.value)


# --------------------------------------------------------------------------- threads and tasks


def test_threads_keep_their_own_choice(backend, install):
    install("fake")
    inside, checked = threading.Barrier(2, timeout=30), threading.Barrier(2, timeout=30)
    seen = {}

    def work(name):
        seen[name, "at first"] = convbridge.get_backend()
        with convbridge.use_backend(name):
            inside.wait()  # both threads are inside their block now
            seen[name, "inside"] = runs()
            checked.wait()
        convbridge.set_backend(name)
        inside.wait()
        seen[name, "set"] = runs()
        checked.wait()

    with convbridge.use_backend(backend):
        threads = [threading.Thread(target=work, args=(name,)) for name in (backend, "fake")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert convbridge.get_backend() == backend
    # a new thread starts without a choice, whatever its parent chose
    wanted = {(name, when): name for name in (backend, "fake") for when in ("inside", "set")}
    assert seen == {**wanted, (backend, "at first"): "numpy", ("fake", "at first"): "numpy"}
    assert convbridge.get_backend() == "numpy"


def test_a_choice_can_be_handed_to_a_thread(backend):
    seen = []
    with convbridge.use_backend(backend):
        context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(lambda: seen.append(runs()),))
    thread.start()
    thread.join(60)
    assert seen == [backend]


def test_tasks_keep_their_own_choice(backend, install):
    install("fake")

    async def work(name, way):
        if way == "set":
            convbridge.set_backend(name)
            await asyncio.sleep(0)
            return runs()
        with convbridge.use_backend(name):
            await asyncio.sleep(0)
            first = runs()
            await asyncio.sleep(0)
            return first if first == runs() else "changed"

    async def everything():
        names = [backend, "fake"] * 4
        ways = ["set", "set", "use", "use"] * 2
        results = await asyncio.gather(*(work(name, way) for name, way in zip(names, ways)))
        return names, results, convbridge.get_backend()

    names, results, afterwards = asyncio.run(everything())
    assert results == names
    assert afterwards == "numpy"


def test_precision_is_a_context_too():
    assert precision() == "exact"
    with convbridge.use_precision("fast"):
        with convbridge.use_precision("exact"):
            assert precision() == "exact"
        assert precision() == "fast"
        assert contextvars.Context().run(precision) == "exact"
    assert precision() == "exact"
    with (
        pytest.raises(ArgumentError, match=r"mode must be .*Received: mode='turbo'"),
        convbridge.use_precision("turbo"),
    ):
        pass


# --------------------------------------------------------------------------- mixing


def mixed(call, *names):
    with pytest.raises(MixedBackendsError) as caught:
        call()
    message = str(caught.value)
    assert isinstance(caught.value, TypeError)
    for word in (*names, "convbridge.asarray", "convbridge.to_numpy", "Received: "):
        assert word in message


def test_mixed_backends(backend, install):
    install("fake")
    tensor, other = convbridge.asarray(X, backend=backend), convbridge.asarray(K, backend="fake")
    if framework_of(tensor) is None:  # NumPy arrays are neutral: nothing is mixed
        assert owner(convbridge.corr2d(tensor, other)) == "fake"
        assert owner(convbridge.corr2d(tensor, K, backend="fake")) == "fake"
        mixed(lambda: convbridge.corr2d(X, other, backend="numpy"), "fake", "numpy", "backend=")
        return
    mixed(lambda: convbridge.corr2d(tensor, other), backend, "fake")
    mixed(lambda: convbridge.corr2d(tensor, K, backend="numpy"), backend, "numpy", "backend=")
    mixed(lambda: convbridge.pool2d(tensor, 2, backend="fake"), backend, "fake", "backend=")
    batch, bank = convbridge.asarray(X.reshape(1, 1, 3, 3), backend=backend), K.reshape(1, 1, 2, 2)
    bias = convbridge.asarray([0.0], backend="fake")
    mixed(lambda: convbridge.conv2d(batch, bank, bias), backend, "fake")
    with convbridge.use_backend("fake"):
        mixed(lambda: convbridge.corr2d(tensor, K), backend, "fake", "use_backend")
        mixed(lambda: convbridge.chapter.pool2d(tensor, 2), backend, "fake", "use_backend")


def test_layers_count_as_tensors_of_their_framework(backend, install):
    install("fake")
    layer = convbridge.Conv2D(2, backend=backend)
    other = convbridge.asarray(X, backend="fake")
    mixed(lambda: convbridge.comp_conv2d(layer, other), backend, "fake")
    mixed(lambda: convbridge.chapter.comp_conv2d(layer, X, backend="fake"), backend, "fake", "backend=")
    assert owner(convbridge.comp_conv2d(layer, X)) == backend


@pytest.mark.parametrize(
    "nest", [lambda t: [t, t], lambda t: (t,), lambda t: [[t], [t]]], ids=["list", "tuple", "deep"]
)
def test_tensors_in_lists_are_refused(nest, backend, install):
    """A list of tensors would be converted element by element, and the gradient lost without a word."""
    name = backend if backend != "numpy" else install("fake") and "fake"
    tensor = convbridge.asarray(X, backend=name)
    with pytest.raises(TypeError, match=r"X must .*Received: ") as caught:
        convbridge.corr2d(nest(tensor), K)
    assert isinstance(caught.value, ConvbridgeError)


def test_asarray_is_the_explicit_way(backend, install, agree):
    install("fake")
    tensor, other = convbridge.asarray(X, backend=backend), convbridge.asarray(K, backend="fake")
    agree(
        convbridge.corr2d(tensor, convbridge.asarray(other, backend=backend), backend=backend),
        GOLDEN,
        backend,
        "float64",
    )
    agree(
        convbridge.corr2d(convbridge.to_numpy(tensor), convbridge.to_numpy(other), backend=backend),
        GOLDEN,
        backend,
        "float64",
    )
    with convbridge.use_backend(backend):
        assert owner(convbridge.asarray(other)) == backend
    assert owner(convbridge.asarray(other)) == "fake"


# --------------------------------------------------------------------------- what counts as a tensor


def _torch_kinds():
    import torch

    class Image(torch.Tensor):
        pass

    matrix = torch.tensor(X)
    return [matrix, torch.nn.Parameter(matrix), matrix.as_subclass(Image), matrix.clone().requires_grad_()]


def _tensorflow_kinds():
    import keras
    import tensorflow as tf

    return [tf.constant(X), tf.Variable(X), keras.Variable(X, dtype="float64")]


def _mxnet_kinds():
    mx = convbridge.import_framework("mxnet")
    return [convbridge.asarray(X, backend="mxnet"), mx.np.array(X, dtype="float64")]


def _numpy_kinds():
    class Image(np.ndarray):
        pass

    return [X, X.view(Image), X.tolist(), tuple(map(tuple, X.tolist())), memoryview(X)]


KINDS = {"numpy": _numpy_kinds, "torch": _torch_kinds, "tensorflow": _tensorflow_kinds, "mxnet": _mxnet_kinds}


def test_subclasses_parameters_and_variables_count(backend):
    for tensor in KINDS[backend]():
        assert owner(tensor) == backend, type(tensor)
        assert owner(convbridge.corr2d(tensor, K)) == backend
        np.testing.assert_array_equal(convbridge.to_numpy(convbridge.corr2d(tensor, K)), GOLDEN)
        np.testing.assert_array_equal(convbridge.to_numpy(tensor), X)


# --------------------------------------------------------------------------- third parties


def test_a_third_party_backend_is_found_through_its_entry_point(install, agree):
    assert "fake" not in convbridge.available_backends()
    package = install("fake", aliases=("fk",))
    assert convbridge.available_backends()[-1] == "fake"
    assert registry.names()[:4] == ("numpy", "torch", "tensorflow", "mxnet")
    for name in ("fake", "fk"):
        result = convbridge.corr2d(X, K, backend=name)
        assert owner(result) == "fake"
        np.testing.assert_array_equal(result, GOLDEN)
    assert type(result).__module__ == f"{package}.arrays"


def test_an_entry_point_may_name_its_attribute(install):
    package = install("fake", entry_point="fake_fake_0:SPEC")
    assert package == "fake_fake_0"
    assert owner(convbridge.corr2d(X, K, backend="fake")) == "fake"


def test_refresh_forgets_what_is_gone(install, tmp_path):
    package = install("fake")
    assert runs_on("fake") == "fake"
    (tmp_path / f"{package}-1.0.dist-info" / "entry_points.txt").write_text("")
    registry.refresh()
    with pytest.raises(UnknownBackendError):
        runs_on("fake")


def runs_on(name):
    return owner(convbridge.corr2d(X, K, backend=name))


def test_a_third_party_backend_that_is_not_installed(install):
    install("fake", framework="no_such_framework_at_all")
    assert "fake" not in convbridge.available_backends()
    with pytest.raises(
        BackendNotInstalledError, match=r"no_such_framework_at_all.*pip install it.*Received: backend='fake'"
    ):
        runs_on("fake")
    with pytest.raises(ImportError):
        convbridge.set_backend("fake")
    assert runs() == "numpy"


@pytest.mark.parametrize(
    ("init", "reason"),
    [
        ("raise RuntimeError('compiled for another machine')", "compiled for another machine"),
        ("import no_such_module_at_all", "no_such_module_at_all"),
        ("", "SPEC"),
        ("from convbridge_numpy import SPEC", "name='numpy'"),
    ],
)
def test_a_broken_third_party_backend(init, reason, install):
    install("fake", init=init)
    with pytest.raises(BackendBrokenError, match=r"third-party backend 'fake'.*Received: ") as caught:
        runs_on("fake")
    assert reason in str(caught.value)
    assert caught.value.__cause__ is not None
    assert isinstance(caught.value, ImportError)


def test_a_broken_operator_module_is_broken_not_missing(install):
    install("fake", ops="raise OSError('libfake.so: cannot open shared object file')")
    with pytest.raises(
        BackendBrokenError, match=r"installed and cannot be imported: OSError: libfake.so.*Received: "
    ) as caught:
        runs_on("fake")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_broken_third_party_does_not_take_the_others_along(install):
    """One broken plug-in must not cost the user NumPy, nor hide which name was wrong."""
    install("broken", init="raise RuntimeError('broken')")
    install("fake")
    assert runs_on("fake") == "fake"
    assert owner(convbridge.corr2d(memoryview(X), K)) == "numpy"  # a class that no built-in backend knows
    available = convbridge.available_backends()
    assert "fake" in available
    assert "broken" not in available
    with pytest.raises(UnknownBackendError):
        runs_on("nonsense")


@pytest.mark.parametrize("name", ["numpy", "torch", "tf", "mx"])
def test_a_third_party_that_shadows_a_builtin_is_an_error(name, install):
    install(name)
    assert runs() == "numpy"  # nobody asked for a third party yet
    with pytest.raises(BackendBrokenError, match=rf"entry point '{name}'.*shadows a built-in.*Received: "):
        convbridge.available_backends()


def test_what_set_backend_chose_in_a_block_stays(install):
    install("fake")
    with convbridge.use_backend("numpy"), convbridge.use_precision("fast"):
        convbridge.set_backend("fake")
        assert (convbridge.get_backend(), precision()) == ("numpy", "fast")
    assert (convbridge.get_backend(), precision()) == ("fake", "exact")
    convbridge.set_backend(None)
    assert convbridge.get_backend() == "numpy"
