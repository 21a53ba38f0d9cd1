"""The pytest plugin: the fixture ``backend``, a marker for requirements, a report.

pytest imports this file in every run of everybody who has convbridge
installed. So it imports pytest and the standard library alone; NumPy and the
rest of convbridge come when a test uses them or an option asks for them.

``--convbridge-backends=numpy,torch``, or the environment variable
``CONVBRIDGE_TEST_BACKENDS``, names the backends that must be tested; one that
is missing or broken ends the run before its first test. Without either, a test
that takes ``backend`` runs on every backend that is installed, and is skipped
with the reason on the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "CONVBRIDGE_TEST_BACKENDS"
BACKENDS_OPTION, REPORT_OPTION = "--convbridge-backends", "--convbridge-report"

#: The fixture that is parametrized. Whoever overrides ``backend`` does not use it, and is left alone.
CHOSEN = "_convbridge_backend"


class Choice:
    """Which backends are tested in this run, and what became of them."""

    def __init__(self, named: str | None, source: str) -> None:
        #: Whether somebody named them.
        self.named = bool(named)
        #: Backend to why it is skipped, or "", in the registry's order.
        self.skipped: dict[str, str] = {}
        #: Backend to why it cannot run, for those that were not named.
        self.broken: dict[str, str] = {}
        #: Those that tests of this run take.
        self.used: list[str] = []
        if named:
            self._load_named([name.strip() for name in named.split(",") if name.strip()], source)

    def _load_named(self, named: list[str], source: str) -> None:
        from convbridge import registry
        from convbridge.errors import ConvbridgeError

        try:
            wanted = {registry.canonical_name(name, source) for name in named}
            # In the registry's order: PyTorch must be imported before TensorFlow.
            for name in [name for name in registry.names() if name in wanted]:
                registry.load(name)
                self.skipped[name] = ""
        except ConvbridgeError as error:
            raise pytest.UsageError(f"{source} names a backend that cannot be tested. {error}") from error
        self.used = list(self.skipped)

    def backends(self) -> dict[str, str]:
        """Return each backend that tests run on, and why it is skipped, if it is; imports no framework."""
        if not self.skipped:
            from convbridge import registry
            from convbridge.errors import BackendNotInstalledError, ConvbridgeError

            installed = registry.available_backends()
            for name in registry.names():
                self.skipped[name] = ""
                if name not in installed:
                    try:
                        registry.load(name)
                    except BackendNotInstalledError as error:
                        self.skipped[name] = str(error)
                    except ConvbridgeError as error:
                        self.broken[name] = str(error)
        return self.skipped

    def load_used(self, names: set[str]) -> None:
        """Import the frameworks that tests are going to need, in the registry's order."""
        from convbridge import registry
        from convbridge.errors import ConvbridgeError

        for name, skipped in self.skipped.items():
            if name in names:
                self.used = [*dict.fromkeys((*self.used, name))]
                if not skipped and name not in self.broken:
                    try:
                        registry.load(name)
                    except ConvbridgeError as error:
                        self.broken[name] = str(error)

    def lines(self) -> list[str]:
        """Describe the backends of this run, with versions."""
        import platform

        import numpy as np

        import convbridge
        from convbridge import registry

        lines = [f"convbridge {convbridge.__version__}, Python {platform.python_version()}, NumPy {np.__version__}"]
        for name in self.used:
            problem = self.skipped[name] or self.broken.get(name, "")
            state = "skipped" if self.skipped[name] else "broken"
            lines.append(f"backend {name}: " + (f"{state}, {problem}" if problem else registry.load(name).framework))
        return lines


_CHOICE: pytest.StashKey[Choice] = pytest.StashKey()


# --------------------------------------------------------------------------- options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options."""
    group = parser.getgroup("convbridge")
    group.addoption(
        BACKENDS_OPTION,
        metavar="NAMES",
        help=f"backends that must be tested, separated by commas (default: ${VARIABLE}, or all that are installed)",
    )
    group.addoption(
        REPORT_OPTION,
        metavar="FILE.html",
        help="write every judgement of convbridge.testing and of the matrix to a page",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker; find the backends that were named."""
    config.addinivalue_line(
        "markers",
        'convbridge(requires="conv2d[float16]"): skip where the backend says that it cannot do this; '
        "one operation, with or without a dtype, or a list of them",
    )
    named = config.getoption(BACKENDS_OPTION)
    source = BACKENDS_OPTION if named is not None else VARIABLE
    named = os.environ.get(VARIABLE, "") if named is None else named
    if source == BACKENDS_OPTION and not named.strip(" ,"):
        raise pytest.UsageError(f"{BACKENDS_OPTION} must name a backend. Received: {named!r}")
    choice = config.stash[_CHOICE] = Choice(named.strip(" ,"), source)
    page = config.getoption(REPORT_OPTION)
    if page is not None:
        from convbridge.pytest_report import Report

        if not Path(page).absolute().parent.is_dir() or Path(page).is_dir():
            raise pytest.UsageError(f"{REPORT_OPTION} must name a file in a folder that exists. Received: {page!r}")
        config.pluginmanager.register(Report(config, Path(page).absolute(), choice.lines), "convbridge-report")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Show the versions of the backends that were named."""
    choice = config.stash[_CHOICE]
    return choice.lines() if choice.named else []


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Show the versions of the backends that nobody named and tests take."""
    choice = config.stash[_CHOICE]
    return choice.lines() if choice.used and not choice.named else []


# --------------------------------------------------------------------------- the fixture


@pytest.fixture(scope="session", name=CHOSEN)
def _chosen(request: pytest.FixtureRequest) -> str:
    """Name the backend that pytest_generate_tests chose."""
    if not hasattr(request, "param"):
        raise pytest.UsageError(
            "the fixture backend must be an argument of a test or of a fixture, not asked for by name"
        )
    name: str = request.param
    broken = request.config.stash[_CHOICE].broken.get(name)
    if broken:
        pytest.fail(broken, pytrace=False)
    return name


@pytest.fixture(scope="session")
def backend(_convbridge_backend: str) -> str:
    """Name of a convbridge backend: the test runs once for every one that was asked for."""
    return _convbridge_backend


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes our ``backend`` once for every backend."""
    if CHOSEN not in metafunc.fixturenames or _is_parametrized(metafunc, "backend"):
        return
    skipped = metafunc.config.stash[_CHOICE].backends()
    metafunc.parametrize(
        CHOSEN,
        [pytest.param(name, marks=pytest.mark.skip(reason=why) if why else ()) for name, why in skipped.items()],
        indirect=True,
        scope="session",
    )


def _is_parametrized(metafunc: pytest.Metafunc, name: str) -> bool:
    """Tell whether another plugin or a conftest.py has given this argument its values."""
    return any(name in call.params for call in metafunc._calls)


@pytest.hookimpl(tryfirst=True)  # before the terminal shows what was collected
def pytest_collection_finish(session: pytest.Session) -> None:
    """Import what the selected tests need."""
    names = {backend_of(item) for item in session.items} - {None}
    if names and not session.config.option.collectonly:
        session.config.stash[_CHOICE].load_used({name for name in names if name})


def backend_of(item: pytest.Item) -> str | None:
    """Return the backend that a test runs on, or None."""
    params: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    name = params.get(CHOSEN, params.get("backend"))
    return name if isinstance(name, str) else None


# --------------------------------------------------------------------------- the marker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests that require what their backend says that it cannot do."""
    for item in items:
        for key in _required(item):
            reason = _gap(item, key)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def _required(item: pytest.Item) -> Iterator[str]:
    for mark in item.iter_markers("convbridge"):
        requires = mark.kwargs.get("requires")
        if mark.args or set(mark.kwargs) != {"requires"} or not isinstance(requires, (str, list, tuple)):
            raise pytest.UsageError(
                f'{item.nodeid}: the marker must be written convbridge(requires="conv2d[float16]"), with one '
                f"operation or a list of them. Received: {mark.args} {mark.kwargs}"
            )
        yield from [requires] if isinstance(requires, str) else requires


def _gap(item: pytest.Item, key: str) -> str:
    """Look a requirement up in the backend's table; return the reason why it cannot be met, or ""."""
    from convbridge import registry
    from convbridge.errors import ConvbridgeError
    from convbridge.parity.contract import gap_parts

    name = backend_of(item)
    if name is None:
        raise pytest.UsageError(f"{item.nodeid}: the marker convbridge(requires=...) needs a test that takes backend")
    try:
        operation, _ = gap_parts(key)
        table = registry.spec(registry.canonical_name(name, "backend")).unsupported
    except ConvbridgeError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from error
    entry = next((entry for entry in (operation, key) if entry in table), None)
    return "" if entry is None else f"{name} has no {entry}: {table[entry]}"
