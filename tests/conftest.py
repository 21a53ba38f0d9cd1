"""Which backends are tested, what the header says, and what every test may use.

``CONVBRIDGE_TEST_BACKENDS=numpy,torch`` names the backends that MUST be tested:
one of them missing or broken fails the run before its first test. Without the
variable the built-in backends that are installed are tested, and the header
and every skip say which ones are not, and why.
"""

from __future__ import annotations

import os

# Read by TensorFlow when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Read by OpenMP with the first framework that brings it: its threads sleep while they wait. By default they spin, which
# on a busy machine takes many times the computation from whoever is waited for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# A choice made outside would change what the tests of the default see.
os.environ.pop("CONVBRIDGE_BACKEND", None)

import importlib
import itertools
import platform
import shutil
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from layer_cases import installed
from page_browser import Opened

import convbridge
from convbridge import dispatch, registry, selection
from convbridge.errors import BackendNotInstalledError, ConvbridgeError

VARIABLE = "CONVBRIDGE_TEST_BACKENDS"

_required: list[str] = []
#: Backend to the reason why it is not tested, or "".
_missing: dict[str, str] = {}


def _load_all():
    named = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    try:
        _required.extend(registry.canonical_name(name, VARIABLE) for name in named)
    except ConvbridgeError as error:
        raise pytest.UsageError(str(error)) from None
    # In the registry's order: PyTorch must be imported before TensorFlow.
    for name in registry.BUILTIN:
        if _required and name not in _required:
            continue
        try:
            registry.load(name)
            _missing[name] = ""
        except BackendNotInstalledError as error:
            if _required:
                raise pytest.UsageError(f"{VARIABLE} names a backend that is missing: {error}") from None
            _missing[name] = str(error)
        except ConvbridgeError as error:
            raise pytest.UsageError(f"A backend is installed and broken: {error}") from error


def pytest_configure(config):
    if not _missing:
        _load_all()


def pytest_report_header(config):
    lines = [f"convbridge {convbridge.__version__}, Python {platform.python_version()}, NumPy {np.__version__}"]
    for name, reason in _missing.items():
        module = sys.modules.get(registry.spec(name).framework)
        lines.append(f"backend {name}: {reason or 'tested, ' + getattr(module, '__version__', '?')}")
    if not _required:
        lines.append(f"{VARIABLE} is unset: what is not installed is skipped")
    return lines


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        names = [
            pytest.param(name, marks=pytest.mark.skip(reason=reason)) if reason else name
            for name, reason in _missing.items()
        ]
        metafunc.parametrize("backend", names)


@pytest.fixture(autouse=True)
def no_plans_of_other_tests():
    """Let every test check its calls from the start: a plan would go around what a test puts in an operator's place."""
    dispatch.forget()
    yield
    dispatch.forget()


@pytest.fixture(autouse=True)
def selection_is_left_alone():
    """Fail a test that leaves a choice of backend behind, in the environment or in a context."""
    yield
    convbridge.set_backend(None)
    assert "CONVBRIDGE_BACKEND" not in os.environ
    assert selection.current_choice() is None


@pytest.fixture
def environment(monkeypatch):
    """Set CONVBRIDGE_BACKEND, as the process would have found it at its start."""

    def choose(name):
        monkeypatch.setenv("CONVBRIDGE_BACKEND", name)
        registry.refresh()

    yield choose
    monkeypatch.undo()
    registry.refresh()


@pytest.fixture
def set_small_products(monkeypatch):
    """Let NumPy's planner take this machine for one where small products are fast, or not."""
    from convbridge_numpy.engine import machine, plan

    def choose(fast):
        monkeypatch.setattr(machine, "small_products", lambda: fast)
        plan.plan.cache_clear()

    yield choose
    plan.plan.cache_clear()


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def keras():
    installed("tensorflow")
    import keras

    return keras


@pytest.fixture
def mx():
    installed("mxnet")
    return convbridge.import_framework("mxnet")


@pytest.fixture
def nothing_is_planned():
    dispatch.forget()
    yield
    dispatch.forget()


@pytest.fixture
def plans_run():
    """Count the plans that give a result: one that raises, whose call goes the whole way unseen, does not count."""
    ran = []

    class Counting(dict):
        def __getitem__(self, key):
            plan = super().__getitem__(key)

            def counted(*arrays):
                result = plan(*arrays)
                ran.append(key)
                return result

            return counted

    counting = Counting()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatch, "PLANS", counting)
        patch.setattr(convbridge.functional, "PLANS", counting)
        yield ran


@pytest.fixture
def agree():
    """Compare a result with exact numbers: whose array it is, dtype, shape, values."""

    def compare(result, numbers, backend, dtype="float32"):
        owner = selection.framework_of(result)
        assert (owner or "numpy") == backend, f"a {type(result)}"
        assert backend != "numpy" or type(result) is np.ndarray
        values = convbridge.to_numpy(result)
        wanted = np.asarray(numbers)
        assert values.dtype.name == dtype
        assert values.shape == wanted.shape
        np.testing.assert_array_equal(values, wanted)

    return compare


# --------------------------------------------------------------------------- the command line


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command of convbridge in this process: exit code, standard output, standard error."""
    from convbridge.cli import main

    monkeypatch.setenv("COLUMNS", "80")

    def command(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def fails(run):
    """Run a command that must fail with exit code 2, one line, and no traceback; return the line."""

    def command(*arguments):
        code, out, err = run(*arguments)
        assert code == 2, err
        assert out == ""
        assert err.startswith("convbridge: ")
        assert err.count("\n") == 1, err
        return err

    return command


# --------------------------------------------------------------------------- a browser

#: ``CONVBRIDGE_TEST_BROWSER=chromium`` names the browser that MUST be there, as a command or a path. Without the
#: variable Debian's Chromium or whatever is found in its place is used, and no page is opened where there is none.
BROWSER = "CONVBRIDGE_TEST_BROWSER"


def _no_browser(reason):
    if os.environ.get(BROWSER):
        pytest.fail(f"{BROWSER} is set: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    """Start a real browser, for the tests of pages."""
    named = os.environ.get(BROWSER)
    found = [shutil.which(name) for name in ([named] if named else ["chromium", "chromium-browser", "google-chrome"])]
    path = next(filter(None, found), None)
    if path is None:
        _no_browser(f"no browser is found ({named or 'chromium'}): apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _no_browser("playwright is not installed: pip install playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


# --------------------------------------------------------------------------- the chapters' page


@pytest.fixture(scope="session")
def page_run():
    """Run all that the page shows, on all backends, once for all of its tests."""
    from convbridge.teaching import page

    installed = [name for name in registry.available_backends() if name in registry.BUILTIN]
    return page.run(installed, {name: "not installed" for name in registry.BUILTIN if name not in installed})


@pytest.fixture(scope="session")
def page_address(page_run, tmp_path_factory):
    """Write the page of that run, and say where it is."""
    from convbridge.teaching import page

    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(page.render(page_run), encoding="utf-8")
    return file.as_uri()


@pytest.fixture
def unopened(browser, page_address):
    """Open the page, with nothing loaded yet; in the end nothing must have been complained of or asked for."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-GB")
    page.emulate_media(reduced_motion="reduce")
    watched = Opened(page, page_address)
    yield watched
    page.close()
    assert watched.complaints == []
    assert {url for url in watched.requests if not url.startswith(("data:", "about:"))} == {
        url for url in watched.requests if url.split("#")[0] == page_address
    }


@pytest.fixture
def opened(unopened):
    """Open the page at its first example."""
    unopened.load("#corr2d")
    return unopened


# --------------------------------------------------------------------------- a third-party backend

FAKE_ARRAYS = """
import numpy as np
from convbridge_numpy import arrays as base

class Tensor(np.ndarray):
    '''What this backend computes with; not neutral, unlike its parent.'''

def asarray(obj, dtype=None, like=None):
    return base.asarray(np.asarray(obj), dtype).view(Tensor)

def to_numpy(x):
    return np.array(x)

def empty_batch(shape, inputs):
    return base.empty_batch(shape, inputs).view(Tensor)

def zeros(shape, like):
    return np.zeros(shape, like.dtype).view(Tensor)

def tensordot(a, b):
    with np.errstate(all="ignore"):
        return np.tensordot(np.asarray(a), np.asarray(b), axes=1)

def deliver(x, like):
    return x.view(Tensor)

def survives_fork():
    return True

dtype_name, shape, length, flip = base.dtype_name, base.shape, base.length, base.flip
add_leading_axes, drop_leading_axes, reshape = base.add_leading_axes, base.drop_leading_axes, base.reshape
on_host, devices = base.on_host, base.devices
"""

FAKE_OPS = """
import numpy as np
from convbridge_numpy import ops as base
from {package}.arrays import Tensor

def conv2d(X, weight, bias, **keywords):
    bias = None if bias is None else np.asarray(bias)
    return base.conv2d(np.asarray(X), np.asarray(weight), bias, **keywords).view(Tensor)

def max_pool2d(X, pool_size, **keywords):
    return base.max_pool2d(np.asarray(X), pool_size, **keywords).view(Tensor)

def avg_pool2d(X, pool_size, **keywords):
    return base.avg_pool2d(np.asarray(X), pool_size, **keywords).view(Tensor)

def conv2d_vjp(X, weight, bias, grad_output, **keywords):
    arrays = (np.asarray(X), np.asarray(weight), None if bias is None else np.asarray(bias), np.asarray(grad_output))
    return tuple(None if x is None else x.view(Tensor) for x in base.conv2d_vjp(*arrays, **keywords))

def max_pool2d_vjp(X, pool_size, grad_output, **keywords):
    return base.max_pool2d_vjp(np.asarray(X), pool_size, np.asarray(grad_output), **keywords).view(Tensor)

def avg_pool2d_vjp(X, pool_size, grad_output, **keywords):
    return base.avg_pool2d_vjp(np.asarray(X), pool_size, np.asarray(grad_output), **keywords).view(Tensor)
"""

FAKE_SPEC = """
from convbridge.protocol import BackendSpec

SPEC = BackendSpec(
    name={name!r}, package={package!r}, framework={framework!r},
    array_types=({package!r} + ".arrays:Tensor",),
    layer_types=({package!r} + ".layers:Conv2D", {package!r} + ".layers:_Pool2D", {package!r} + ".chapter:Conv2D"),
    aliases={aliases!r}, install_hint="pip install it", unsupported={gaps!r},
)
"""


def _as_its_own(module, package, name):
    """Return the source of a module of the NumPy backend, as if it were another backend's."""
    source = Path(importlib.import_module(f"convbridge_numpy.{module}").__file__).read_text()
    source = source.replace("convbridge_numpy", package).replace('backend="numpy"', f"backend={name!r}")
    return source.replace(f"{package}.engine", "convbridge_numpy.engine")  # its operators are NumPy's, and so is that


NO_BFLOAT16 = {
    f"{operation}[bfloat16]": "This backend has no bfloat16."
    for operation in ("asarray", "conv2d", "max_pool2d", "avg_pool2d")
}


@pytest.fixture
def register():
    """Write, beside a package, what pip would leave there: an entry point that makes it a backend."""

    def write(folder, package, name, entry_point=None):
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[convbridge.backends]\n{name} = {entry_point or package}\n")

    return write


@pytest.fixture
def findable(monkeypatch):
    """Let this process find the packages of a folder, and forget them when the test ends."""
    folders = []

    def add(folder):
        folders.append(folder)
        if str(folder) not in sys.path:
            monkeypatch.syspath_prepend(str(folder))
        registry.refresh()

    yield add
    monkeypatch.undo()
    packages = {init.parent.name for folder in folders for init in folder.glob("*/__init__.py")}
    for module in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[module]
    registry.refresh()


@pytest.fixture
def install(tmp_path, register, findable):
    """Install a third-party backend: a package with an entry point, found as pip would leave it."""
    numbers = itertools.count()

    def write(name, *, init=None, ops="", aliases=(), framework=None, entry_point=None, gaps=()):
        package = f"fake_{name}_{next(numbers)}"
        root = tmp_path / package
        root.mkdir()
        facts = {"name": name, "package": package, "framework": framework or package, "aliases": aliases}
        facts["gaps"] = {**NO_BFLOAT16, **dict(gaps)}
        (root / "__init__.py").write_text(FAKE_SPEC.format(**facts) if init is None else init)
        (root / "arrays.py").write_text(FAKE_ARRAYS)
        (root / "ops.py").write_text(FAKE_OPS.format(package=package) + textwrap.dedent(ops))
        for module in ("chapter", "layers"):
            (root / f"{module}.py").write_text(_as_its_own(module, package, name))
        register(tmp_path, package, name, entry_point)
        findable(tmp_path)
        return package

    return write
