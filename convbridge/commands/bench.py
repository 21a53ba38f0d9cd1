"""``convbridge bench``: NumPy's engine timed beside the installed frameworks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from convbridge.commands.console import BAD_USAGE, CommandError, report

__all__ = ["bench"]


def bench(
    full: Annotated[
        bool,
        typer.Option("--full/--quick", help="All cases, many samples: over an hour. Default: some, a minute."),
    ] = False,
    only: Annotated[
        str | None, typer.Option("--only", metavar="T,T", help="Only these tables; their names stand above.")
    ] = None,
    backends: Annotated[
        str | None,
        typer.Option("--backends", metavar="A,B", help="Only these; a missing one fails. Default: the installed."),
    ] = None,
    match: Annotated[
        str, typer.Option("--match", metavar="TEXT", help="All cases whose names hold this, such as 'VGG' or '3x3'.")
    ] = "",
    passes: Annotated[
        int | None, typer.Option("--passes", metavar="N", min=1, help="Over each table. Default: 3, or 1 if quick.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option("--rounds", metavar="N", min=1, help="Samples in a pass. Default: 7, or 3 if quick.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="WORD", help="'fast' lets NumPy's engines trade accuracy.")
    ] = "exact",
    facade: Annotated[
        bool, typer.Option("--facade", help="Call convbridge.conv2d, not NumPy's operator behind it.")
    ] = False,
    layer: Annotated[
        bool, typer.Option("--layer", help="Call a Conv2D on NumPy, which keeps what it made of its weights.")
    ] = False,
    cpu_time: Annotated[
        bool, typer.Option("--cpu-time", help="The processor's time, for a machine with other work.")
    ] = False,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Show what --json wrote; measure nothing.")
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every sample, machine and versions.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw the ratios, as SVG.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every case with its spread.")] = False,
) -> None:
    """Measure NumPy's engine beside PyTorch, TensorFlow, MXNet and SciPy.

    Tables: forward, unseen, depthwise, grouped, filter, pool, dX, dW, memory,
    dispatch, import, growth. All but the last run unless --only names some;
    --full runs that too. All libraries run in one process with one thread and
    a fixed heap, in random order, each after a warm call; the reference runs
    twice, and what is not 1.00 there is noise. What is not installed is left
    out and named.
    """
    from convbridge.benchmarks import plot as picture
    from convbridge.benchmarks import tables
    from convbridge.benchmarks.convolution import TABLES as RATIOS
    from convbridge.benchmarks.run import TABLES, Options, read, start
    from convbridge.selection import PRECISIONS

    for path in (as_json, plot):
        if path is not None and not path.absolute().parent.is_dir():
            raise CommandError(f"{path}: there is no such directory")
    if precision not in PRECISIONS:
        raise CommandError(f"--precision must be one of {', '.join(PRECISIONS)}. Received: {precision}")
    if facade and layer:
        raise CommandError("--facade and --layer cannot be used together")
    if source is not None:
        document = read(source)
    else:
        call = "facade" if facade else "layer" if layer else "operator"
        options = Options(
            _words(only, "--only", tuple(TABLES)),
            _backends(backends),
            full,
            match,
            passes,
            rounds,
            precision,
            call,
            cpu_time,
        )
        if plot is not None and not set(RATIOS).intersection(options.tables()):
            raise CommandError(f"--plot draws ratios: --only must name one of {', '.join(RATIOS)}. Received: {only}")
        document = start(options)
    if as_json is not None:
        as_json.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for line in tables.lines(document, verbose=verbose):
        print(line)
    if plot is not None:
        plot.write_text(picture.render(document), encoding="utf-8")
        report(f"the plot is in {plot}")
    if any(row["state"] == "broken" for row in document["libraries"]):
        raise typer.Exit(BAD_USAGE)


def _words(text: str | None, option: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Read a list separated by commas."""
    if text is None:
        return ()
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    for word in words or ("nothing",):
        if word not in allowed:
            raise CommandError(f"{option} must be some of {', '.join(allowed)}. Received: {word}")
    return words


def _backends(text: str | None) -> tuple[str, ...] | None:
    """Read --backends; one that is missing is found out here, before anything is started."""
    from convbridge import registry

    if text is None:
        return None
    names = tuple(registry.canonical_name(word.strip(), "--backends") for word in text.split(",") if word.strip())
    if not names:
        raise CommandError(f"--backends must name at least one of {', '.join(registry.names())}")
    for name in names:
        if name not in registry.available_backends():
            registry.load(name)  # raises, and says how to install it
    return names
