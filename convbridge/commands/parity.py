"""``convbridge parity``: every backend against the oracle and against every other, as a matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convbridge.commands.console import BAD_USAGE, DIFFERENCE, CommandError, output

if TYPE_CHECKING:
    from convbridge.parity.cases import Case
    from convbridge.parity.recorded import Vectors
    from convbridge.parity.results import Matrix

__all__ = ["parity"]


def parity(
    backends: Annotated[
        str | None,
        typer.Option("--backends", metavar="A,B", help="Only these; a missing one fails. Default: the installed."),
    ] = None,
    select: Annotated[
        str, typer.Option("--select", metavar="WORDS", help="Only cases with these words: 'conv2d and not float16'.")
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Only this case. May be given again.")
    ] = None,
    cases: Annotated[
        int,
        typer.Option("--cases", metavar="N", min=0, help="Add N random cases, half of them gradients."),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", metavar="S", min=0, help="Draws the random cases.")] = 0,
    precision: Annotated[
        str,
        typer.Option("--precision", metavar="WORD", help="'fast' lets engines trade accuracy, by their own bounds."),
    ] = "exact",
    in_process: Annotated[
        bool,
        typer.Option(
            "--in-process/--isolated",
            help="Run all backends in this process, or each in one of its own, where a crash costs its cells only.",
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", metavar="N", min=1, help="Processes that compute at once. Default: all cores."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="After which one case is called a hang.")
    ] = 60.0,
    record: Annotated[
        Path | None,
        typer.Option("--record", metavar="FILE", help="Write inputs and results to compare elsewhere."),
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="FILE", help="Compare with recorded results, on their inputs.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page to look at.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every failure.")] = False,
) -> None:
    """Compare all backends, values and gradients, and say whether rounding explains what differs.

    Every case runs on every backend. Each result is compared with the exact
    one, which two independent oracles agree on, and with every other backend's.
    What can be computed without rounding must be equal bit for bit; everything
    else must be within the rounding bound. With --precision fast, that holds but
    for engines that trade accuracy for speed and name a bound of their own. Exit code 1 for a real difference or
    a crash, 2 for a backend that was asked for and is missing.
    """
    from convbridge.parity import recorded
    from convbridge.parity.matrix import name_causes, run_matrix
    from convbridge.selection import PRECISIONS

    for path in (record, html, junit):
        if path is not None and not path.absolute().parent.is_dir():
            raise CommandError(f"{path}: there is no such directory")
    vectors = None if against is None else recorded.read(against)
    if precision not in PRECISIONS:
        raise CommandError(f"--precision must be {' or '.join(PRECISIONS)}, not {precision!r}")
    chosen = _cases(vectors, select, only or [], cases, seed, precision)
    names = None if backends is None else [name.strip() for name in backends.split(",") if name.strip()]
    recorder = None if record is None else recorded.Recorder()
    with _progress(len(chosen)) as advance:
        matrix = run_matrix(
            names,
            cases=chosen,
            isolated=not in_process,
            jobs=jobs,
            patience=timeout,
            records=[] if vectors is None else [vectors],
            watch=recorder,
            progress=advance,
            precision=precision,
        )
    name_causes(matrix)
    matrix.facts["selection"] = _selection(select, only or [], cases, against)
    if against is not None:
        matrix.facts["against"] = str(against)
    if cases:
        matrix.facts["seed"] = str(seed)
    if recorder is not None and record is not None:
        live = [participant for participant in matrix.participants if not participant.recorded]
        recorder.write(record, live, matrix.facts)
    _report(matrix, html, junit, as_json, verbose)
    verdicts = matrix.counts()
    if verdicts["REAL DIFFERENCE"] or verdicts["crashed"]:
        raise typer.Exit(DIFFERENCE)
    if verdicts["missing"]:
        raise typer.Exit(BAD_USAGE)


def _cases(vectors: Vectors | None, select: str, only: list[str], count: int, seed: int, precision: str) -> list[Case]:
    """Put together what is run."""
    from convbridge.parity.cases import random_cases
    from convbridge.parity.choose import chooser
    from convbridge.parity.gradient_cases import random_gradient_case
    from convbridge.parity.lattice import lattice
    from convbridge.parity.serial import case_named

    wanted = chooser(select)
    if vectors is not None:
        if count:
            raise CommandError("--cases cannot be used with --against: only what was recorded can be compared")
        known = {case.name: case for case in vectors.cases}
        unknown = [name for name in only if name not in known]
        if unknown:
            raise CommandError(f"--only must name recorded cases. Received: {unknown[0]}")
        chosen = [known[name] for name in only] if only else [case for case in vectors.cases if wanted(case)]
    elif only:
        chosen = [case_named(name) for name in dict.fromkeys(only)]
    else:
        gradients = count // 2
        chosen = lattice(wanted, precision=precision)
        chosen += filter(wanted, random_cases(count - gradients, seed))
        chosen += filter(wanted, random_cases(gradients, seed, random_gradient_case))
    if not chosen:
        raise CommandError(f"--select chooses no case. Received: {select}")
    return chosen


def _selection(select: str, only: list[str], count: int, against: Path | None) -> str:
    """Say in words what was run."""
    if only:
        return f"{len(only)} named cases" if len(only) > 1 else only[0]
    parts = [f"the cases of {against.name}" if against is not None else "the fixed lattice"]
    if count:
        parts.append(f"{count} random cases")
    return " and ".join(parts) + (f", those with {select}" if select.strip() else "")


def _report(matrix: Matrix, html: Path | None, junit: Path | None, as_json: bool, verbose: bool) -> None:
    if html is not None:
        from convbridge.parity.reports import html as page

        html.write_text(page.render(matrix), encoding="utf-8")
    if junit is not None:
        from convbridge.parity.reports import junit as tests

        junit.write_text(tests.render(matrix), encoding="utf-8")
    if as_json:
        from convbridge.parity.reports import json

        print(json.render(matrix), end="")
    else:
        from convbridge.parity.reports import terminal

        terminal.render(matrix, output(), verbose=verbose)


@contextmanager
def _progress(count: int) -> Iterator[Callable[[int, int], None]]:
    """Yield what moves a progress bar with the time left, which only a terminal shows."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = output(stderr=True)
    columns = (TextColumn("cases"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=count)
        yield lambda done, total: bar.update(task, completed=done, total=total)
