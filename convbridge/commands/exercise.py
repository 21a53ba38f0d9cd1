"""``convbridge exercise``: the chapters' exercises, asked, checked, hinted at and solved in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convbridge.commands.console import BAD_USAGE, DIFFERENCE, CommandError, output, report

if TYPE_CHECKING:
    from rich.console import RenderableType

    from convbridge.teaching.exercises import Exercise, Part, Verdict

__all__ = ["exercise"]

_LANGUAGES = ("en", "zh")

#: Of a form to fill in, in characters.
_WIDEST = 30

#: What stands around the exercises, in both languages.
_WORDS = {
    "list": ("Exercises of the chapters. To see one: {command}", "各章的练习。显示其中一题：{command}"),
    "with": ("To answer: ", "回答的写法："),
    "more": ("--hint and --solution help.", "--hint 给出提示，--solution 给出答案。"),
    "widths": ("1 to {most} columns", "1 到 {most} 列"),
    "wrong": ("Not yet.", "还不对。"),
    "output": ("What your answer gives", "您的答案给出的结果"),
    "hint": ("Hint", "提示"),
    "solution": ("Solution", "答案"),
    "row": ("row {i}", "第 {i} 行"),
    "again": (
        "Type numbers between commas or blanks; “hint”, “solution”, or nothing to leave.",
        "请输入以逗号或空格分隔的数；也可输入 hint（提示）、solution（答案），直接回车则退出。",
    ),
}


def exercise(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Default: list them all.")] = None,
    answer: Annotated[
        str | None, typer.Option("--answer", "-a", metavar="TEXT", help="Check an answer and ask nothing.")
    ] = None,
    hint: Annotated[bool, typer.Option("--hint", help="Show a hint.")] = False,
    solution: Annotated[bool, typer.Option("--solution", help="Show the solution.")] = False,
    language: Annotated[str, typer.Option("--language", metavar="en|zh", help="English or Chinese.")] = "en",
) -> None:
    """Show the chapters' exercises, and check answers by computing with them.

    An answer is a grid: commas between the numbers of a row, semicolons between
    rows, such as '0,1;2,3'; numbers may be fractions such as 1/4. If there are
    several parts, a | stands between them. Exit code 0 if the answer is right,
    1 if it is wrong, 2 if it cannot be read. In a terminal, the answer is asked
    for.
    """
    from convbridge.teaching import exercises

    if language not in _LANGUAGES:
        raise CommandError(f"--language must be en or zh, not {language!r}")
    spoken = _LANGUAGES.index(language)
    if name is None:
        if answer is not None or hint or solution:
            raise CommandError("--answer, --hint and --solution need the name of an exercise")
        _list(spoken)
        return
    chosen = exercises.find(name)
    facts: dict[str, int] = {}
    if chosen is exercises.ASKS_FRAMEWORKS:
        chosen, facts = _with_frameworks()
    shown = _Shown(chosen, facts, spoken)
    code = None if answer is None else shown.check(_parse(answer, len(chosen.parts)))
    if answer is None:
        shown.question()
    if hint:
        shown.hint()
    if solution:
        shown.solution()
    if code is None and not hint and not solution:
        if sys.stdin.isatty():
            code = shown.ask()
        else:
            shown.how_to_answer()
    raise typer.Exit(code or 0)


def _list(spoken: int) -> None:
    from rich.table import Table

    from convbridge.teaching.exercises import EXERCISES

    table = Table.grid(padding=(0, 2, 0, 0))
    for i, one in enumerate(EXERCISES, 1):
        table.add_row(f"{i:2}", one.name, one.title[spoken])
    console = output()
    console.print(_WORDS["list"][spoken].format(command="convbridge exercise NAME") + "\n", soft_wrap=True)
    console.print(table)


def _with_frameworks() -> tuple[Exercise, dict[str, int]]:
    """Run the frameworks that are installed, so that the answer is what they do."""
    from convbridge.commands.compare import choose_backends
    from convbridge.commands.console import quiet
    from convbridge.teaching import exercises

    with output(stderr=True).status("..."):
        names, _, broken = choose_backends(None)
        with quiet():
            facts = exercises.ask(names)
    for backend, problem in broken.items():
        report(f"{backend} is installed and does not work: {problem}")
    if not facts:
        raise CommandError("this exercise is about frameworks with gradients, and none is installed")
    return next(one for one in exercises.together(facts) if one.name == exercises.ASKS_FRAMEWORKS.name), facts


def _parse(text: str, parts: int) -> list[list[list[str]]]:
    """Split an answer into parts, rows and cells."""
    written = text.split("|") if parts > 1 else [text]
    return [[_cells(row) for row in part.split(";")] for part in written]


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.split(",")] if "," in row else row.split() or [""]


class _Shown:
    """One exercise on the screen."""

    def __init__(self, chosen: Exercise, facts: dict[str, int], spoken: int):
        self.exercise, self.facts, self.spoken = chosen, facts, spoken
        self.console = output()

    def word(self, key: str, **values: Any) -> str:
        return _WORDS[key][self.spoken].format_map(values)

    def label(self, part: Part) -> str:
        return part.name or part.label[self.spoken]

    def question(self) -> None:
        """Print title, question, the matrices that belong to it, and an empty answer."""
        from rich.text import Text

        from convbridge.teaching.exercises import compute, letter

        one = self.exercise
        self.console.print(Text(one.title[self.spoken], style="bold"))
        self._paragraph(one.question[self.spoken])
        self.console.print()
        if one.given:
            self._side_by_side(
                [_grid(given.label[self.spoken], _cells_of(compute(given.value))) for given in one.given]
            )
            self.console.print()
        if one.options:
            for i, option in enumerate(one.options):
                self.console.print(f"  {letter(i)}  {option[self.spoken]}")
            self.console.print()
        blanks = [
            _grid(self._with_widths(part), [["_"] * (part.most or part.columns)] * part.rows, style="bold")
            for part in one.parts
        ]
        self._side_by_side(blanks)
        self.console.print()

    def _with_widths(self, part: Part) -> str:
        return f"{self.label(part)} ({self.word('widths', most=part.most)})" if part.most else self.label(part)

    def how_to_answer(self) -> None:
        """Print what an answer looks like on the command line."""
        written = "|".join(";".join([",".join("_" * part.columns)] * part.rows) for part in self.exercise.parts)
        if len(written) > _WIDEST:
            written = f"{written.partition(';')[0]};..."
        line = f"{self.word('with')}convbridge exercise {self.exercise.name} --answer '{written}'"
        self.console.print(line, soft_wrap=True, style="dim", markup=False)
        self.console.print(self.word("more"), style="dim")

    def hint(self) -> None:
        """Print the hint."""
        self._headed("hint", self.exercise.hint[self.spoken])

    def solution(self) -> None:
        """Print an answer that is right, and why."""
        from convbridge.teaching.exercises import compute, numbers_of

        one = self.exercise
        self._headed("solution", one.solution[self.spoken].format_map(numbers_of(one)))
        self.console.print()
        answers = [compute(formula, (), self.facts) for formula in one.answer]
        cells = [
            [[one.options[int(value[0, 0])][self.spoken]]] if part.chooses else _cells_of(value)
            for part, value in zip(one.parts, answers)
        ]
        self._side_by_side([_grid(self.label(part), rows) for part, rows in zip(one.parts, cells)])

    def check(self, typed: Sequence[Any]) -> int:
        """Print what an answer is, and return the exit code."""
        from convbridge.teaching import exercises

        verdict = exercises.check(self.exercise, typed, self.facts)
        said = exercises.sentence(verdict, self.spoken, self.exercise)
        if verdict.kind == "unreadable":
            report(said)
            return BAD_USAGE
        if verdict.is_right:
            self._paragraph(said, style="green")
            return 0
        self._paragraph(f"{self.word('wrong')} {said}", style="yellow")
        self._output(verdict)
        return DIFFERENCE

    def _output(self, verdict: Verdict) -> None:
        """Print what came out of an answer, unless it is the answer itself or a single number."""
        result = verdict.output
        asked = [(part.rows, part.columns) for part in self.exercise.parts]
        if result is not None and result.size > 1 and (verdict.at is None or result.shape not in asked):
            self.console.print()
            self._side_by_side([_grid(self.word("output"), _cells_of(result), at=verdict.at)])

    def ask(self) -> int:
        """Ask until the answer is right or nothing is answered; return the exit code."""
        self._paragraph(self.word("again"), style="dim")
        code = 0
        while True:
            typed = self._typed()
            if typed == "":
                return code
            if isinstance(typed, str):
                getattr(self, typed)()
                continue
            code = self.check(typed)
            if code == 0:
                return 0

    def _typed(self) -> list[list[list[str]]] | str:
        """Return an answer as it was typed, or instead of it "hint", "solution", or "" for no answer."""
        typed = []
        for part in self.exercise.parts:
            rows = []
            for i in range(part.rows):
                where = f", {self.word('row', i=i)}" if part.rows > 1 else ""
                line = _input(f"{self.label(part)}{where}: ")
                if line in ("", "hint", "solution"):
                    return line
                rows.append(_cells(line))
            typed.append(rows)
        return typed

    def _headed(self, word: str, text: str) -> None:
        self._paragraph(f"{self.word(word)}{'：' if self.spoken else ': '}{text}")

    def _paragraph(self, text: str, style: str = "") -> None:
        from rich.text import Text

        self.console.print(Text(text, style=style))

    def _side_by_side(self, grids: Sequence[RenderableType]) -> None:
        """Print grids beside each other, as many as the terminal has room for."""
        from rich.table import Table

        row: list[RenderableType] = []
        used = 0
        for grid in [*grids, None]:
            width = 0 if grid is None else self.console.measure(grid).maximum + 4
            if row and (grid is None or used + width > self.console.width + 4):
                table = Table.grid(padding=(0, 4, 0, 0))
                table.add_row(*row)
                self.console.print(table)
                row, used = [], 0
                if grid is not None:
                    self.console.print()
            if grid is not None:
                row.append(grid)
                used += width


def _input(prompt: str) -> str:
    try:
        return input(prompt).strip()
    except EOFError:
        print()
        return ""


def _cells_of(array: Any) -> list[list[str]]:
    from convbridge.teaching.exercises import short

    return [[short(float(value)) for value in row] for row in array]


def _grid(label: str, cells: Sequence[Sequence[str]], at: tuple[int, int] | None = None, style: str = "") -> Any:
    """Draw a grid of numbers below its name; what stands at a place is marked."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in cells[0]:
        table.add_column(justify="right", no_wrap=True)
    for i, row in enumerate(cells):
        marked = [Text(f"[{cell}]" if at == (i, j) else cell, style=style) for j, cell in enumerate(row)]
        table.add_row(*marked)
    return Group(Text(label, style="cyan"), table)
