"""``convbridge page``: the chapters as one page, made from a run of the installed backends."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Annotated

import typer

from convbridge.commands.compare import choose_backends
from convbridge.commands.console import BAD_USAGE, DIFFERENCE, output, report

__all__ = ["page"]


def page(
    file: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the page.", show_default=False)
    ],
    backends: Annotated[
        str | None, typer.Option("--backends", metavar="A,B", help="Only these. Default: all that are installed.")
    ] = None,
) -> None:
    """Write the chapters as a page that can be tried out, in English and Chinese.

    One file that needs no network: the chapters' examples, to step through and
    to change, beside the source and the output of every backend, the atlas of
    their disagreements and the parity matrix, all from a run that takes a minute
    or two. A backend that is not installed is shown as missing. Exit code 1 if
    the backends differ by more than rounding explains.
    """
    if not file.parent.is_dir():  # rather now than after minutes
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    names, absent, broken = choose_backends(backends)
    from convbridge.teaching.page import render, run
    from convbridge.teaching.page.components import COMPONENTS

    with output(stderr=True).status(f"running {', '.join(names)}"):
        found = run(names, {**absent, **broken})
    file.write_text(render(found), encoding="utf-8")
    report(f"the page is in {file}")
    different = [comparison.example.name for comparison in found.comparisons if not comparison.agrees]
    for name in different:
        report(f"the backends differ in {name}: convbridge compare {name} shows how")
    others = [line for name, gathered in found.gathered.items() for line in COMPONENTS[name].differences(gathered)]
    for line in others:
        report(line)
    for name, problem in broken.items():
        report(f"{name} is installed and does not work: {problem}")
    if different or others:
        raise typer.Exit(DIFFERENCE)
    if broken:
        raise typer.Exit(BAD_USAGE)
