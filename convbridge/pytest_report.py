"""The page of ``--convbridge-report``: every judgement that the tests of a run made.

Judgements travel with the reports of the tests, as their user properties, so
they arrive from the processes of pytest-xdist as well.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from convbridge.parity import journal
from convbridge.parity.reports import judgements

#: Under which name an entry stands among a test's user properties.
PROPERTY = "convbridge"


class Report:
    """The hooks that collect the judgements and write the page."""

    def __init__(self, config: pytest.Config, page: Path, facts: Callable[[], list[str]]) -> None:
        self.config = config
        self.page = page
        self.facts = facts
        self.entries: list[journal.Entry] = []
        self._open = ExitStack()
        self._new = self._open.enter_context(journal.recording())

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> None:
        """Hand a test what was judged since the last report: in its setup, its call or its teardown."""
        item.user_properties.extend((PROPERTY, list(entry._replace(test=item.nodeid))) for entry in self._new)
        self._new.clear()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect them where the reports arrive."""
        if report.when == "teardown":  # whose properties are all of the test's
            found: list[tuple[str, Any]] = report.user_properties
            self.entries += [journal.Entry(*values) for name, values in found if name == PROPERTY]

    def pytest_sessionfinish(self) -> None:
        """Write the page, in the process that the user started."""
        self._open.close()
        if not hasattr(self.config, "workerinput"):
            self.page.write_text(judgements.render(self.entries, self.facts()), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the page is."""
        terminalreporter.write_line(f"convbridge: {len(self.entries)} judgements in {self.page}")
