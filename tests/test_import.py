"""What importing costs, what it must not load, and the names and signatures of every backend.

Names and signatures are tested before values: a backend whose ``conv2d`` has
other parameters is wrong however right its numbers are.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import convbridge
from convbridge import protocol, registry

FRAMEWORKS = ("torch", "tensorflow", "keras", "mxnet")
NOT_NEEDED = (*FRAMEWORKS, "typer", "click", "rich", "PIL", "scipy", "importlib.metadata", "asyncio", "unittest")
#: Where the two source roots are, installed or not.
SOURCES = sorted(
    {str(Path(importlib.import_module(name).__file__).parents[1]) for name in ("convbridge", "convbridge_numpy")}
)


def run_python(code, tmp_path, **environment):
    """Run a program in a fresh interpreter, away from the repository, and return what it prints as JSON."""
    path = os.pathsep.join([environment.pop("PYTHONPATH", ""), *SOURCES])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LOADED_BY = """
    import json, sys
    import numpy
    before = set(sys.modules)
    {statements}
    print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(statements, tmp_path, **environment):
    return run_python(LOADED_BY.format(statements=statements), tmp_path, **environment)


def test_import_loads_no_framework_and_nothing_heavy(tmp_path):
    loaded = loaded_by("import convbridge", tmp_path)
    for heavy in NOT_NEEDED:
        assert not [name for name in loaded if name == heavy or name.startswith(f"{heavy}.")]
    for later in (
        "convbridge.parity",
        "convbridge.benchmarks",
        "convbridge.kernels",
        "convbridge.cli",
        "convbridge_numpy.ops",
    ):
        assert later not in loaded


def test_computing_with_numpy_loads_no_framework(tmp_path):
    statements = "import convbridge; assert convbridge.corr2d([[1, 2]], [[3]]).tolist() == [[3.0, 6.0]]"
    loaded = loaded_by(statements, tmp_path)
    for heavy in NOT_NEEDED:
        assert not [name for name in loaded if name == heavy or name.startswith(f"{heavy}.")]
    assert "convbridge_numpy.ops" in loaded


def test_asking_what_is_available_imports_no_framework(tmp_path):
    loaded = loaded_by("import convbridge; assert 'numpy' in convbridge.available_backends()", tmp_path)
    assert not [name for name in loaded if name.partition(".")[0] in FRAMEWORKS]


def test_tensors_of_one_framework_load_no_other(backend, tmp_path):
    statements = f"import convbridge; convbridge.pool2d([[1.0, 2.0]], 1, backend={backend!r})"
    loaded = {name.partition(".")[0] for name in loaded_by(statements, tmp_path)}
    wanted = registry.spec(backend).framework
    for other in ("torch", "tensorflow", "mxnet"):
        assert (other in loaded) == (other == wanted)


@pytest.fixture
def without_frameworks(tmp_path):
    """Return a folder that hides every framework from an interpreter that has it on its path."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        textwrap.dedent(f"""
            from importlib.machinery import PathFinder

            class Without:  # an instance, so that it can be kept as a class attribute and stay unbound
                found = PathFinder.find_spec

                def __call__(self, name, path=None, target=None):
                    if name.partition(".")[0] in {FRAMEWORKS!r}:
                        return None
                    return type(self).found(name, path, target)

            PathFinder.find_spec = Without()
        """)
    )
    return str(hidden)


def test_numpy_alone_is_enough(without_frameworks, tmp_path):
    """With every framework hidden, the NumPy backend works and the others say what is missing."""
    program = """
        import json
        import convbridge

        def why(name):
            try:
                convbridge.corr2d([[1]], [[1]], backend=name)
            except convbridge.BackendNotInstalledError as error:
                return str(error)

        result = convbridge.conv2d([[[[1, 2]]]], [[[[3]]]], padding="same").tolist()
        missing = {name: why(name) for name in ("torch", "tensorflow", "mxnet")}
        print(json.dumps([result, convbridge.available_backends(), missing]))
    """
    result, available, missing = run_python(program, tmp_path, PYTHONPATH=without_frameworks)
    assert result == [[[[3.0, 6.0]]]]
    assert available == ["numpy"]
    for name, message in missing.items():
        assert f"needs {name}, which is not installed: pip install" in message
        assert message.endswith(f"Received: backend='{name}'")


@pytest.mark.parametrize(
    ("wanted", "code", "shown"),
    [
        ("numpy,torch", 4, "CONVBRIDGE_TEST_BACKENDS names a backend that is missing: The backend 'torch' needs torch"),
        ("numpy,nonsense", 4, "backend (from CONVBRIDGE_TEST_BACKENDS) must be one of"),
        ("numpy", 0, "backend numpy: tested"),
        ("", 0, "backend mxnet: The backend 'mxnet' needs mxnet, which is not installed"),
    ],
)
def test_a_backend_that_was_asked_for_and_is_missing_fails_the_run(wanted, code, shown, without_frameworks, tmp_path):
    """And one that nobody asked for is skipped, with its reason; the tests' own configuration at work."""
    done = run_tests("test_selection.py::test_every_result_is_right", wanted, without_frameworks, tmp_path)
    assert done.returncode == code, done.stdout + done.stderr
    assert shown in done.stdout + done.stderr
    if not wanted:
        assert "1 passed, 3 skipped" in done.stdout
        assert done.stdout.count("which is not installed: pip install") >= 6  # in the header, and at every skip


def run_tests(selected, wanted, path, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([path, *SOURCES])}
    environment["CONVBRIDGE_TEST_BACKENDS"] = wanted
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", str(Path(__file__).parent / selected)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        env=environment,
        check=False,
    )


def test_a_framework_that_is_half_installed_is_broken_not_missing(tmp_path):
    """A package that is found and fails to import is another error, with its cause."""
    (tmp_path / "path" / "torch").mkdir(parents=True)
    (tmp_path / "path" / "torch" / "__init__.py").write_text("raise OSError('libtorch.so: not for this processor')")
    program = """
        import json
        import convbridge
        try:
            convbridge.corr2d([[1]], [[1]], backend="torch")
        except convbridge.BackendBrokenError as error:
            print(json.dumps([str(error), type(error.__cause__).__name__]))
    """
    # a torch of its own before the real one, if there is one
    message, cause = run_python(
        f"import sys; sys.path.insert(0, {str(tmp_path / 'path')!r})\n" + textwrap.dedent(program), tmp_path
    )
    assert "not for this processor" in message
    assert cause == "OSError"


def test_public_names_exist():
    for name in convbridge.__all__:
        assert getattr(convbridge, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = convbridge.nonsense


# --------------------------------------------------------------------------- names and signatures

PROTOCOLS = {
    "arrays": protocol.ArraysModule,
    "ops": protocol.OpsModule,
    "chapter": protocol.ChapterModule,
    "layers": protocol.LayersModule,
    "listing": protocol.ListingModule,
    "lesson": protocol.LessonModule,
}


def parameters(function):
    """List names, kinds and defaults, without ``self`` and without annotations."""
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in found if p.name != "self"]


@pytest.mark.parametrize("module", PROTOCOLS)
def test_backend_has_the_names_and_signatures_of_the_protocol(module, backend):
    wanted = PROTOCOLS[module]
    found = getattr(registry.load(backend), module)
    for name, member in vars(wanted).items():
        if not name.startswith("_"):
            assert parameters(getattr(found, name)) == parameters(member), f"{found.__name__}.{name}"
    for name in wanted.__annotations__:
        assert inspect.isclass(getattr(found, name)), f"{found.__name__}.{name}"


def test_layers_are_built_from_the_same_parameters(backend):
    layers = registry.load(backend).layers
    names = {
        kind: [name for name, *_ in parameters(getattr(layers, kind).__init__)]
        for kind in ("Conv2D", "MaxPool2D", "AvgPool2D")
    }
    assert names == {"Conv2D": ["config", "weight", "bias"], "MaxPool2D": ["config"], "AvgPool2D": ["config"]}
    assert [name for name, *_ in parameters(registry.load(backend).chapter.Conv2D.__init__)] == ["kernel_size"]


def test_chapter_functions_stand_in_the_same_order(backend):
    """Two backends' chapter.py can be put next to each other."""

    def order(name):
        module = registry.load(name).chapter
        own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
        public = [value.__name__ for value in own if inspect.isfunction(value) or inspect.isclass(value)]
        return [name for name in public if not name.startswith("_")]

    assert order(backend) == order("numpy")


@pytest.mark.parametrize(
    "name", ["corr2d", "corr2d_multi_in", "corr2d_multi_in_out", "corr2d_multi_in_out_1x1", "comp_conv2d"]
)
def test_chapter_and_native_functions_have_the_same_signature(name):
    assert parameters(getattr(convbridge.chapter, name)) == parameters(getattr(convbridge, name))


def test_every_public_function_takes_backend_by_keyword():
    chapter = convbridge.chapter
    functions = [
        *(convbridge.asarray, convbridge.conv2d, convbridge.convolve2d, convbridge.pool2d, convbridge.comp_conv2d),
        *(getattr(chapter, name) for name in chapter.__all__),
        *(kind.__new__ for kind in (convbridge.Conv2D, convbridge.MaxPool2D, convbridge.AvgPool2D)),
    ]
    for function in functions:
        found = inspect.signature(function).parameters["backend"]
        assert found.kind is inspect.Parameter.KEYWORD_ONLY
        assert found.default is None


def test_a_spec_holds_nothing_that_needs_its_framework(tmp_path):
    packages = ", ".join(registry.BUILTIN.values())
    loaded = loaded_by(f"import {packages}", tmp_path)
    assert not [name for name in loaded if name.partition(".")[0] in FRAMEWORKS]
