"""``convbridge compare``: the chapters' examples on every backend, side by side."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convbridge.commands.console import (
    BAD_USAGE,
    DIFFERENCE,
    CommandError,
    load_backends,
    one_line,
    output,
    print_json,
    report,
)

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement

    from convbridge.teaching.autograd import Attempt
    from convbridge.teaching.compare import BackendRun, Comparison, Result
    from convbridge.teaching.examples import Example

__all__ = ["choose_backends", "compare"]

#: Columns narrower than this are harder to read than one below the other.
NARROWEST = 56

_COLOURS = {"equal": "green", "rounding": "green", "REAL DIFFERENCE": "bold red", "ERROR": "bold red"}


def compare(
    examples: Annotated[
        list[str] | None,
        typer.Argument(metavar="EXAMPLE", help="Names from --list; 'edges' is all edges-*. Default: all."),
    ] = None,
    backends: Annotated[
        str | None, typer.Option("--backends", metavar="A,B", help="Only these. Default: all that are installed.")
    ] = None,
    only_list: Annotated[bool, typer.Option("--list", help="List the examples and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    all_sources: Annotated[
        bool, typer.Option("--all-sources", help="Print a function's source with every example, not only the first.")
    ] = False,
) -> None:
    """Run the chapters' examples on every backend and compare the results.

    For each example: the source of every backend's chapter function, read
    from the installed file; its output; the output of the framework's own
    operator; the largest difference between any two results, and whether
    rounding explains it. Exit code 1 if it does not. The example autograd
    differentiates instead: the book's in-place listing, the loop, the operator.
    """
    from convbridge.teaching import examples as catalogue

    chosen = catalogue.find(examples or (), (*catalogue.EXAMPLES, catalogue.AUTOGRAD))
    if only_list:
        _list(chosen, as_json)
        return
    names, absent, broken = choose_backends(backends)
    from convbridge.teaching.autograd import compare as differentiate
    from convbridge.teaching.compare import compare as run

    comparisons = []
    page = None if as_json else _Page(output(), all_sources)
    for example in chosen:
        comparison = differentiate(names) if example is catalogue.AUTOGRAD else run(example, names)
        comparisons.append(comparison)
        if page is not None:
            page.show(comparison)
    if page is None:
        _print_json(comparisons, absent, broken)
    else:
        page.show_summary(comparisons, names, absent)
    for name, problem in broken.items():
        report(f"{name} is installed and does not work: {problem}")
    if not all(comparison.agrees for comparison in comparisons):
        raise typer.Exit(DIFFERENCE)
    if broken:
        raise typer.Exit(BAD_USAGE)


def choose_backends(wanted: str | None) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Import the backends to compare.

    Parameters
    ----------
    wanted : str or None
        What ``--backends`` names; None for all that are installed.

    Returns
    -------
    names : list of str
        What runs.
    absent : dict
        What is not installed, with the command that installs it.
    broken : dict
        What is installed and does not import, with the reason.

    Raises
    ------
    ConvbridgeError
        For a backend that was asked for and cannot run.
    """
    from convbridge import registry
    from convbridge.errors import BackendNotInstalledError, ConvbridgeError

    if wanted is None:
        asked = registry.names()
    else:
        written = [name.strip() for name in wanted.split(",") if name.strip()]
        if not written:
            raise CommandError(f"--backends must name at least one of {', '.join(registry.names())}")
        asked = tuple(dict.fromkeys(registry.canonical_name(name, "--backends") for name in written))
    names: list[str] = []
    absent: dict[str, str] = {}
    broken: dict[str, str] = {}
    for name, found in load_backends(asked).items():
        if not isinstance(found, ConvbridgeError):
            names.append(name)
        elif wanted is not None:
            raise found
        elif isinstance(found, BackendNotInstalledError):
            absent[name] = registry.spec(name).install_hint
        else:
            broken[name] = one_line(found)
    return names, absent, broken


def _list(examples: tuple[Example, ...], as_json: bool) -> None:
    if as_json:
        print_json([{"name": example.name, "title": example.title, "note": example.note} for example in examples])
        return
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for example in examples:
        table.add_row(example.name, example.title)
    output().print(table)


def _print_json(comparisons: list[Comparison], absent: dict[str, str], broken: dict[str, str]) -> None:
    import convbridge

    print_json(
        {
            "convbridge": convbridge.__version__,
            "agrees": all(comparison.agrees for comparison in comparisons),
            "examples": [comparison.to_json() for comparison in comparisons],
            "not_installed": [{"backend": name, "install": command} for name, command in absent.items()],
            "broken": [{"backend": name, "problem": problem} for name, problem in broken.items()],
        }
    )


# --------------------------------------------------------------------------- the page


class _Page:
    """Prints comparisons, and remembers which sources stand above already."""

    def __init__(self, console: Console, all_sources: bool) -> None:
        self.console = console
        self.all_sources = all_sources
        self.printed: dict[tuple[str, str], str] = {}  # backend and function to the example above

    def show(self, comparison: Comparison) -> None:
        """Print one example: inputs, backends, verdict."""
        from rich.rule import Rule
        from rich.text import Text

        example, console = comparison.example, self.console
        console.print(Rule(Text(example.name, style="bold"), align="left"))
        console.print(Text(example.title, style="bold"))
        console.print(Text(example.note, style="dim"))
        console.print()
        console.print(_side_by_side([_labelled(name, array) for name, array in example.inputs.items()]))
        console.print()
        self._show_runs(comparison)
        outcomes = _outcome_table(comparison)
        if outcomes is not None:
            console.print(outcomes)
            console.print()
        console.print(Text(comparison.sentence, style=_COLOURS[comparison.kind]))
        console.print()

    def _show_runs(self, comparison: Comparison) -> None:
        """Print the backends: beside each other where the terminal is wide enough."""
        from rich.columns import Columns

        sources = [self._source(comparison.example, run) for run in comparison.runs]
        longest = max((len(line) for source in sources for line in source.splitlines()), default=0)
        # Two columns of frame and two of space around a source.
        per_row = max(1, min(len(sources), self.console.width // max(longest + 4, NARROWEST)))
        width = self.console.width // per_row
        panels = [self._panel(run, source, width) for run, source in zip(comparison.runs, sources)]
        if per_row == 1:
            for panel in panels:
                self.console.print(panel)
        else:
            self.console.print(Columns(panels, width=width, padding=0))

    def _source(self, example: Example, run: BackendRun[Any]) -> str:
        """Return what to print as the source: the functions, and where those are that stand above already."""
        above, new = [], []
        for name, source in run.sources.items():
            first = self.printed.setdefault((run.backend, name), example.name)
            if first == example.name or self.all_sources:
                new.append(source.rstrip("\n"))
            else:
                above.append(f"# {name}: see {first}, above")
        return "\n\n".join(["\n".join(above), *new] if above else new)

    def _panel(self, run: BackendRun[Any], source: str, width: int) -> RenderableType:
        """Frame one backend: its source, then its results."""
        from rich.console import Group
        from rich.panel import Panel
        from rich.syntax import Syntax
        from rich.text import Text

        inner = width - 4
        parts: list[RenderableType] = []
        if source:
            code = fold(source, inner)
            parts += [Syntax(code, "python", theme="ansi_light", background_color="default", word_wrap=True), ""]
        parts.append(_side_by_side(_outcomes(run)))
        title = Text.assemble((run.backend, "bold"), " ", (run.version, "dim"))
        return Panel(Group(*parts), title=title, title_align="left", width=width, border_style="dim")

    def show_summary(self, comparisons: list[Comparison], names: list[str], absent: dict[str, str]) -> None:
        """Print a line an example, the total, and what could not take part."""
        from rich.rule import Rule
        from rich.table import Table
        from rich.text import Text

        console = self.console
        if len(comparisons) > 1:
            console.print(Rule(Text("summary", style="bold"), align="left"))
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
            for column in ("example", "verdict"):
                table.add_column(column, no_wrap=True)
            table.add_column("largest difference", justify="right", no_wrap=True)
            table.add_column("of the bound", justify="right", no_wrap=True)
            for comparison in comparisons:
                failed = comparison.kind == "ERROR"
                table.add_row(
                    comparison.example.name,
                    Text(comparison.kind, style=_COLOURS[comparison.kind]),
                    "" if failed else f"{comparison.difference:.3g}",
                    "" if failed or not comparison.difference else f"{comparison.fraction:.0%}",
                )
            console.print(table)
            console.print()
        bad = sum(not comparison.agrees for comparison in comparisons)
        what = f"{_count(len(comparisons), 'example')} on {_count(len(names), 'backend')} ({', '.join(names)})"
        if bad:
            console.print(Text(f"{what}: {bad} with a real difference or an error", style="bold red"))
        else:
            console.print(Text(f"{what}: no real difference", style="bold green"))
        for name, command in absent.items():
            console.print(Text(f"{name} is not installed and took no part: {command}", style="yellow"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def fold(source: str, width: int) -> str:
    """Break lines that are too long after a space, and indent what follows."""
    lines = []
    for line in source.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        lines += (
            [line]
            if len(line) <= width
            else textwrap.wrap(
                line,
                width,
                subsequent_indent=f"{indent}        ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return "\n".join(lines)


def _numbers(array: Any) -> RenderableType:
    """Write all of an array, floats with six digits, the matrices of more axes next to each other."""
    import numpy as np
    from rich.console import Group
    from rich.text import Text

    if array.ndim > 3:
        rows = [_numbers(part) for part in array]
        return Group(rows[0], *(part for row in rows[1:] for part in ("", row)))
    if array.ndim == 3:
        return _side_by_side([_numbers(part) for part in array], gap=2)
    return Text(np.array2string(array, precision=6, suppress_small=True, max_line_width=10**6, threshold=10**6))


def _labelled(name: str, array: Any) -> RenderableType:
    """Put a name in front of an array, and its shape where the numbers do not show it."""
    from rich.table import Table
    from rich.text import Text

    label = Text.assemble((name, "bold"), f" {array.shape} = " if array.ndim > 2 else " = ")
    table = Table.grid()
    table.add_row(label, _numbers(array))
    return table


def _outcome(result: Result) -> RenderableType:
    """Show a call, and below it what it returned or raised."""
    from rich.console import Group
    from rich.text import Text

    head = Text(result.call, style="cyan")
    if result.output is None:
        return Group(head, Text(" ".join(result.error.split()), style="bold red"))
    return Group(head, _numbers(result.output))


def _outcomes(run: BackendRun[Any]) -> list[RenderableType]:
    """Show what a backend returned or raised, call by call."""
    from convbridge.teaching.autograd import Attempt

    if not any(isinstance(result, Attempt) for result in run.results):
        return [_outcome(result) for result in run.results]
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for index, attempt in enumerate(run.results):
        parts.append(Text(attempt.call, style="cyan"))
        following = run.results[index + 1 : index + 2]
        if attempt.message and any(other.message == attempt.message for other in following):
            continue  # several calls with one answer: it stands below the last
        parts.append(_answer(attempt))
        if following:
            parts.append("")
    return [Group(*parts)]


def _answer(attempt: Attempt) -> RenderableType:
    """Show the gradients, or what came instead."""
    from rich.text import Text

    if attempt.gradients is not None:
        return _side_by_side([_labelled(name, array) for name, array in zip(("dX", "dK"), attempt.gradients)])
    text = attempt.message or "None instead of a gradient, and no error"
    return Text(text, style="bold yellow" if attempt.acceptable else "bold red")


def _outcome_table(comparison: Comparison) -> RenderableType | None:
    """Put the outcomes of differentiating next to each other; None for any other example."""
    from rich.table import Table
    from rich.text import Text

    from convbridge.teaching.autograd import TITLES, Attempt

    rows: dict[str, dict[str, Attempt]] = {
        run.backend: {attempt.kind: attempt for attempt in run.results if isinstance(attempt, Attempt)}
        for run in comparison.runs
    }
    kinds = [kind for kind in TITLES if any(kind in attempts for attempts in rows.values())]
    if not kinds:
        return None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", style="bold", no_wrap=True)
    for kind in kinds:
        table.add_column(TITLES[kind])
    for backend, attempts in rows.items():
        cells = []
        for kind in kinds:
            attempt = attempts.get(kind)
            if attempt is None:
                cells.append(Text(""))
            else:
                colour = "green" if attempt.gradients else "yellow" if attempt.acceptable else "bold red"
                cells.append(Text(attempt.in_short, style=colour))
        table.add_row(backend, *cells)
    return table


class _SideBySide:
    """Parts next to each other if they fit, otherwise below each other; known when it is printed."""

    def __init__(self, parts: list[RenderableType], gap: int) -> None:
        self.parts = parts
        self.gap = gap

    def _width(self, console: Console, options: ConsoleOptions) -> int:
        widths = [console.measure(part, options=options.update(width=10**4)).maximum for part in self.parts]
        return sum(widths) + self.gap * (len(widths) - 1)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        widest = max(console.measure(part, options=options).maximum for part in self.parts)
        together = self._width(console, options)
        return Measurement(widest, together if together <= options.max_width else widest)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.table import Table

        if self._width(console, options) <= options.max_width:
            table = Table.grid(padding=(0, self.gap, 0, 0), pad_edge=False)
            table.add_row(*self.parts)
            yield table
            return
        for index, part in enumerate(self.parts):
            if index:
                yield ""
            yield part


def _side_by_side(parts: list[RenderableType], gap: int = 4) -> RenderableType:
    return _SideBySide(parts, gap) if len(parts) > 1 else parts[0]
