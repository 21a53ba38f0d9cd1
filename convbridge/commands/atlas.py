"""``convbridge atlas``: where the frameworks' own operators disagree, found out by asking them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convbridge.commands.compare import NARROWEST
from convbridge.commands.compare import fold as fold
from convbridge.commands.console import BAD_USAGE, DIFFERENCE, CommandError, output, print_json, report

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from convbridge.teaching.atlas_results import Answer, Atlas, Finding, Participant
    from convbridge.teaching.divergences import Entry

__all__ = ["atlas"]

#: Of verdicts, by their kind.
_COLOURS = {"ok": "dim green", "loud": "yellow", "silent": "bold red", "none": "dim"}


def atlas(
    entries: Annotated[
        list[str] | None, typer.Argument(metavar="ENTRY", help="Names from the list. Default: a line for each.")
    ] = None,
    backends: Annotated[
        str | None, typer.Option("--backends", metavar="A,B", help="Only these. Default: all that are installed.")
    ] = None,
    only_list: Annotated[bool, typer.Option("--list", help="List the entries, ask nobody, and exit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with everything to a file.")
    ] = None,
) -> None:
    """Ask the frameworks' own operators the same questions, and show where they disagree.

    Each framework answers in its own words, in a process of its own, since
    some answers end it. Without ENTRY: a line for each entry, and who says
    what. With ENTRY: the question, the inputs, every framework's source and its
    numbers or its error, what convbridge promises instead, and why. Exit code
    1 if convbridge itself does not answer the same on all backends.
    """
    from convbridge.teaching.divergences import find

    chosen = find(entries or ())
    if only_list:
        _list(chosen, as_json)
        return
    found = _ask(chosen, _choose(backends))
    if html is not None:
        from convbridge.teaching.atlas_page import page

        html.write_text(page(found), encoding="utf-8")
    if as_json:
        print_json(found.to_json())
    elif entries:
        for finding in found.findings:
            _show(output(), finding, found.participants)
    else:
        _show_all(output(), found)
    if html is not None:
        report(f"the page is in {html}")
    broken = [who for who in found.participants if who.installed and who.problem]
    for who in broken:
        report(f"{who.backend} is installed and does not work: {who.problem}")
    if not found.kept:
        raise typer.Exit(DIFFERENCE)
    if broken:
        raise typer.Exit(BAD_USAGE)


def _choose(wanted: str | None) -> tuple[str, ...]:
    """Return the backends to ask; one that was named must be there."""
    from convbridge import registry
    from convbridge.teaching.atlas import cartographers

    if wanted is None:
        return cartographers()
    written = [name.strip() for name in wanted.split(",") if name.strip()]
    if not written:
        raise CommandError(f"--backends must name at least one of {', '.join(cartographers())}")
    names = tuple(dict.fromkeys(registry.canonical_name(name, "--backends") for name in written))
    for name in names:
        if name not in registry.available_backends():
            raise CommandError(f"{name} is not installed: {registry.spec(name).install_hint}")
    return names


def _ask(entries: tuple[Entry, ...], backends: tuple[str, ...]) -> Atlas:
    """Run the entries, with a line on standard error that says how far it is."""
    from convbridge.teaching.atlas import run

    with output(stderr=True).status(f"asking {', '.join(backends)}") as status:
        return run(entries, backends, lambda done, total: status.update(f"{done} of {total} answers"))


def _list(entries: tuple[Entry, ...], as_json: bool) -> None:
    if as_json:
        print_json([{"name": entry.name, "title": entry.title, "question": entry.question} for entry in entries])
        return
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for entry in entries:
        table.add_row(entry.name, entry.title)
    output().print(table)


# --------------------------------------------------------------------------- all entries, a line each


def _show_all(console: Console, found: Atlas) -> None:
    from rich.table import Table
    from rich.text import Text

    from convbridge.teaching.divergences import GROUPS

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for who in found.participants:
        table.add_column(who.backend, no_wrap=True)
    findings = {finding.entry.name: finding for finding in found.findings}
    for group, members in GROUPS.items():
        mine = [findings[entry.name] for entry in members if entry.name in findings]
        table.add_row(Text(group, style="bold"))
        for finding in mine:
            cells = [_cell(answers) for answers in finding.by_backend().values()]
            table.add_row(Text(finding.entry.name, style="" if finding.kept else "bold red"), *cells)
        table.add_row()
    console.print(table)
    console.print(
        Text.assemble(
            ("same", _COLOURS["ok"]),
            " and ",
            ("refuses", _COLOURS["ok"]),
            ": what convbridge promises. ",
            ("raises", _COLOURS["loud"]),
            ": an error where convbridge computes. ",
            ("differs", _COLOURS["silent"]),
            ", ",
            ("shape", _COLOURS["silent"]),
            ", ",
            ("None", _COLOURS["silent"]),
            ": another answer, without a word. ",
            ("accepts", _COLOURS["silent"]),
            ": numbers where convbridge refuses. ",
            ("dies", _COLOURS["silent"]),
            ": the process ends. Two words: with oneDNN/without.",
        )
    )
    console.print("convbridge atlas ENTRY shows one in full.", style="dim")
    console.print()
    _show_participants(console, found.participants)
    _show_sum(console, found)


def _cell(answers: list[Answer]) -> Text:
    from rich.text import Text

    words = list(dict.fromkeys((answer.word, _COLOURS[answer.kind]) for answer in answers))
    separated = [part for word in words for part in (word, "/")][:-1]
    return Text.assemble(*separated)


def _show_participants(console: Console, participants: tuple[Participant, ...]) -> None:
    from rich.text import Text

    present = [f"{who.backend} {who.version}" for who in participants if not who.problem]
    console.print(Text(", ".join(present), style="dim"))
    for who in participants:
        if not who.installed:
            console.print(Text(f"{who.backend} is not installed and was not asked: {who.problem}", style="yellow"))


def _show_sum(console: Console, found: Atlas) -> None:
    from rich.text import Text

    total = len(found.findings)
    broken = [finding.entry.name for finding in found.findings if not finding.kept]
    if broken:
        text = f"{total} entries: convbridge does not keep its promise in {', '.join(broken)}"
        console.print(Text(text, style="bold red"))
        return
    none = sum(not finding.entry.promised for finding in found.findings)
    asked = ", ".join(who.backend for who in found.participants if not who.problem)
    text = f"convbridge gives one answer on {asked} in {total - none} of {total} entries"
    console.print(Text(text + (f", and promises nothing in {none}" if none else ""), style="bold green"))


# --------------------------------------------------------------------------- one entry in full


def _show(console: Console, finding: Finding, participants: tuple[Participant, ...]) -> None:
    from rich.columns import Columns
    from rich.rule import Rule
    from rich.text import Text

    from convbridge.teaching.atlas_results import as_text

    entry = finding.entry
    console.print(Rule(Text(entry.name, style="bold"), align="left"))
    console.print(Text(entry.title, style="bold"))
    console.print(Text(entry.question))
    console.print()
    for name, array in entry.inputs.items():
        console.print(Text(as_text(name, array)))
        console.print()
    versions = {who.backend: who.version for who in participants}
    codes = (*finding.sources.values(), entry.call)
    longest = max(len(line) for code in codes for line in code.splitlines())
    # Two columns of frame and two of space around a source.
    per_row = max(1, console.width // max(longest + 4, NARROWEST))
    width = console.width // min(per_row, len(finding.sources))
    panels = [_panel(finding, backend, versions[backend], width) for backend in finding.sources]
    for start in range(0, len(panels), per_row):
        console.print(Columns(panels[start : start + per_row], width=width, padding=0))
    console.print(_promise(finding, console.width))
    console.print()
    console.print(Text.assemble(("Why. ", "bold"), entry.why))
    console.print()
    console.print(Text.assemble(("convbridge. ", "bold"), entry.promise))
    if entry.threads:
        console.print(Text(f"\nReported in {', '.join(entry.threads)}.", style="dim"))
    console.print()


def _panel(finding: Finding, backend: str, version: str, width: int) -> RenderableType:
    """Frame one framework: its native call, then what came of it."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    parts: list[RenderableType] = []
    if finding.sources[backend]:
        parts += [_code(finding.sources[backend], width), ""]
    for index, answer in enumerate(finding.by_backend()[backend]):
        if index:
            parts.append("")
        variant = f"{answer.variant}: " if answer.variant else ""
        parts.append(Text.assemble((variant, "bold"), (finding.says(answer), _COLOURS[answer.kind])))
        parts.append(Text(answer.native.text))
    title = Text.assemble((backend, "bold"), " ", (version, "dim"))
    return Panel(Group(*parts), title=title, title_align="left", width=width, border_style="dim")


def _promise(finding: Finding, width: int) -> RenderableType:
    """Frame what convbridge was asked and what it answered."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    parts: list[RenderableType] = [_code(finding.entry.call, width)]
    for names, outcome in finding.promises:
        style = "green" if finding.kept and finding.entry.promised else "yellow" if finding.kept else "bold red"
        parts += ["", Text(f"on {', '.join(names)}", style=style), Text(outcome.text)]
    return Panel(Group(*parts), title=Text("convbridge", style="bold"), title_align="left", border_style="cyan")


def _code(source: str, width: int) -> RenderableType:
    from rich.syntax import Syntax

    folded = fold(source, width - 4)
    return Syntax(folded, "python", theme="ansi_light", background_color="default", word_wrap=True)
