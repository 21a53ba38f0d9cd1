"""``convbridge backends``: what is installed here, and what is not."""

from __future__ import annotations

import platform
from typing import Annotated

import typer

from convbridge.commands.console import output, print_json
from convbridge.commands.probe import Finding, probe

__all__ = ["backends"]


def backends(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show which backends are installed: versions, devices, import times.

    Every backend is imported in a process of its own, one after the other, so
    a broken one costs nothing. The import time runs from an empty Python to a
    backend that can compute.
    """
    import convbridge
    from convbridge import registry

    names = registry.names()
    if as_json:
        print_json(
            {
                "convbridge": convbridge.__version__,
                "python": platform.python_version(),
                "backends": [probe(name)._asdict() for name in names],
            }
        )
        return
    console = output(stderr=True)
    findings = []
    with console.status("") as status:
        for name in names:
            status.update(f"importing {name}")
            findings.append(probe(name))
    _show(findings)


def _show(findings: list[Finding]) -> None:
    """Print a table, and below it a line for everything that needs one."""
    from rich.markup import escape
    from rich.table import Table

    import convbridge

    console = output()
    console.print(f"convbridge {convbridge.__version__}, Python {platform.python_version()}\n")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in ("backend", "state", "version"):
        table.add_column(column, no_wrap=True)
    table.add_column("import", justify="right", no_wrap=True)
    table.add_column("devices", overflow="fold")
    colours = {"ready": "green", "missing": "yellow", "broken": "red"}
    for finding in findings:
        table.add_row(
            f"[bold]{escape(finding.backend)}[/bold]",
            f"[{colours[finding.state]}]{finding.state}[/]",
            escape(finding.version),
            "" if finding.seconds is None else f"{finding.seconds:.2f} s",
            escape(", ".join(finding.devices)),
        )
    console.print(table)
    for finding in findings:
        if finding.state == "missing":
            console.print(f"\n{finding.backend} is not installed. To install it:")
            console.print(f"  {finding.install}", markup=False)
        elif finding.state == "broken":
            console.print(f"\n{finding.backend} is installed and does not work:", style="red", markup=False)
            console.print(f"  {finding.problem}", markup=False)
            if finding.install:
                console.print(f"  To install it again: {finding.install}", markup=False)
