"""``convbridge learn``: a kernel learned from two images, on every backend."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from convbridge.commands.compare import _labelled, _side_by_side, choose_backends
from convbridge.commands.console import BAD_USAGE, DIFFERENCE, CommandError, output, print_json, report
from convbridge.commands.filter import read_kernel, read_padding

if TYPE_CHECKING:
    from convbridge.teaching.learning import Lesson, Problem

__all__ = ["learn"]

#: What the book's example uses.
_BOOK_RATE, _BOOK_STEPS, _BOOK_SIZE = 0.03, 10, (1, 2)

#: Steps and products beyond which a run takes long enough for a progress bar.
_MANY_STEPS, _LONG = 100, 2**28

#: Rows of the table if the user says nothing; the book prints every second step of ten.
_ROWS = 10

#: Most elements of a kernel that is learned: the work grows with the square.
_LARGEST_KERNEL = 1024


class Images(NamedTuple):
    """What is learned from.

    Attributes
    ----------
    X, Y : numpy.ndarray of float64
    notes : tuple of str
        What the user should know about how they were read.
    """

    X: Any
    Y: Any
    notes: tuple[str, ...] = ()


def learn(
    source: Annotated[Path | None, typer.Option("--input", "-i", metavar="PHOTO", help="Your own image.")] = None,
    target: Annotated[Path | None, typer.Option("--target", "-t", metavar="IMAGE", help="Its filtered copy.")] = None,
    kernel_size: Annotated[
        str | None, typer.Option("--kernel-size", metavar="HxW", help="Default: what the images' sizes say, or 1x2.")
    ] = None,
    padding: Annotated[
        str | None, typer.Option("--padding", metavar="P", help="How the target was padded: as for filter.")
    ] = None,
    use_bias: Annotated[bool, typer.Option("--bias", help="Learn a bias too.")] = False,
    learning_rate: Annotated[
        str | None, typer.Option("--learning-rate", metavar="RATE", help="A number, or auto. Default: see above.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", min=1, max=10**6, help="How many. Default: see above.")
    ] = None,
    initial: Annotated[
        str | None, typer.Option("--initial", metavar="KERNEL", help="Where to start, such as '[[0, 0]]'.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Draws the start if there is none.")] = 0,
    every: Annotated[
        int | None, typer.Option("--every", metavar="N", min=1, help="Show the loss at every N-th step.")
    ] = None,
    dtype: Annotated[str, typer.Option("--dtype", metavar="D", help="float64 or float32.")] = "float64",
    backends: Annotated[
        str | None, typer.Option("--backends", metavar="A,B", help="Only these. Default: all that are installed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Learn the kernel that turns one image into another.

    The chapter's loop: predict, sum the squared errors, take a step against
    the gradient; on every backend from the same start. Shown are the losses
    side by side, what was learned, and whether rounding explains the
    differences. Exit code 1 if it does not.

    Without --input: the book's image of a black bar and its edges, with the
    learning rate 0.03 and 10 steps.

    With --input and --target: pixels are scaled to 0..1, colours averaged,
    opacity ignored. The target is what `convbridge filter` writes: of the
    valid size, from which the kernel's size follows, or of the photo's size
    if it was padded, where pixels that saw padding are left out. Its 8 bits
    are rounded, and --range auto writes absolute values of edges, which no
    kernel gives: so the smallest loss that a kernel can reach is shown too.
    --range centre keeps the signs; learn that with --bias.

    The sum over a photo's pixels makes gradients so large that 0.03 diverges:
    a learning rate must be below 1 / the largest eigenvalue of the Gram matrix
    of the windows. The default for your own images, auto, is 0.9 of that, and
    as many steps as shrink the kernel's error to a hundredth, between 10 and
    500.
    """
    import numpy as np

    from convbridge.teaching import learning

    if dtype not in ("float64", "float32"):
        raise CommandError(f"--dtype must be float64 or float32, not {dtype!r}")
    rate = _read_rate(learning_rate)
    asked = None if kernel_size is None else _read_size(kernel_size)
    start = None if initial is None else _read_initial(initial)
    if start is not None:
        asked = asked or start.shape
        if start.shape != asked:
            raise CommandError(f"--initial must have the size of --kernel-size, {_by(asked)}, not {_by(start.shape)}")
    if (source is None) != (target is None):
        raise CommandError("--input and --target belong together: an image, and its filtered copy")
    own = source is not None and target is not None
    if source is not None and target is not None:
        size, images = _read_images(source, target, asked, padding)
    else:
        if padding is not None:
            raise CommandError("--padding is about --target")
        size, images = _book_images(asked or _BOOK_SIZE)
    X, Y = images.X.astype(dtype), images.Y.astype(dtype)
    problem = learning.Problem.of(X, Y, size, use_bias=use_bias)
    automatic = learning_rate == "auto" or (own and learning_rate is None)
    chosen_rate = problem.safe_rate if automatic else _BOOK_RATE if rate is None else rate
    count = steps if steps is not None else problem.steps if automatic else _BOOK_STEPS
    if start is None:
        bound = 1 / math.sqrt(math.prod(size))
        start = np.random.default_rng(seed).uniform(-bound, bound, (1, 1, *size))[0, 0]
    names, absent, broken = choose_backends(backends)

    long = count >= _MANY_STEPS or count * X.size * math.prod(size) > _LONG
    with _progress(names, count, long) as advance:
        lesson = learning.learn(X, Y, start, names, rate=chosen_rate, steps=count, use_bias=use_bias, progress=advance)
    if as_json:
        _print_json(lesson, dtype, start, images.notes, absent, broken)
    else:
        title = f"{source} to {target}" if own else "The book's edges: a black bar, and where it begins and ends"
        _show(lesson, images, title, dtype, every, absent)
    for name, problem_text in broken.items():
        report(f"{name} is installed and does not work: {problem_text}")
    if lesson.diverged:
        report(_divergence(lesson))
    if lesson.kind == "REAL DIFFERENCE":
        raise typer.Exit(DIFFERENCE)
    if broken or lesson.diverged:
        raise typer.Exit(BAD_USAGE)


def _divergence(lesson: Lesson) -> str:
    problem = lesson.problem
    why = (
        f"must be below {_number(problem.largest_rate)} for these images"
        if lesson.rate >= problem.largest_rate
        else "is so close to what these images allow that rounding makes the loss grow"
    )
    first, last = lesson.runs[0].losses[0], lesson.runs[0].losses[-1]
    return (
        f"the loss grew from {_number(first)} to {_number(last)}: the learning rate {_number(lesson.rate)} {why}; "
        "--learning-rate auto is safe"
    )


# --------------------------------------------------------------------------- arguments


def _read_rate(text: str | None) -> float | None:
    if text is None or text == "auto":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise CommandError(f"--learning-rate must be a positive number or auto, not {text!r}")
    return rate


def _read_size(text: str) -> tuple[int, int]:
    from convbridge.teaching.stack import parse_size

    size = parse_size(text, "--kernel-size")
    if math.prod(size) > _LARGEST_KERNEL:
        raise CommandError(f"--kernel-size must have at most {_LARGEST_KERNEL} elements, not {math.prod(size)}")
    return size


def _read_initial(text: str) -> Any:
    try:
        return read_kernel(text)
    except CommandError as error:
        raise CommandError(str(error).replace("--kernel", "--initial")) from None


# --------------------------------------------------------------------------- images


def _book_images(size: tuple[int, int]) -> tuple[tuple[int, int], Images]:
    from convbridge.teaching.learning import chapter_images

    X, Y = chapter_images()
    if (X.shape[0] - size[0] + 1, X.shape[1] - size[1] + 1) != Y.shape:
        raise CommandError(f"the book's images need a kernel of {_by(_BOOK_SIZE)}, not {_by(size)}; --input has yours")
    return size, Images(X, Y)


def _read_grey(path: Path) -> tuple[Any, list[str]]:
    """Read an image as numbers from 0 to 1, one a pixel; and what there is to say about it."""
    import numpy as np

    from convbridge.commands.images import read

    picture = read(path)
    colours = picture.colours.astype(np.float64)
    if picture.colours.dtype.kind == "u":
        colours /= np.iinfo(picture.colours.dtype).max
    if not np.isfinite(colours).all():
        raise CommandError(f"{path}: holds pixels that are no finite numbers")
    notes = []
    if colours.shape[2] > 1:
        notes.append("colours are averaged")
    if picture.alpha is not None:
        notes.append("opacity is ignored")
    if picture.frames > 1:
        notes.append(f"only the first of {picture.frames} images is used")
    return colours.mean(axis=2), notes


def _read_images(
    source: Path, target: Path, size: tuple[int, int] | None, padding: str | None
) -> tuple[tuple[int, int], Images]:
    """Read a pair of images and cut from the target what saw nothing but the photo."""
    from convbridge.geometry import check_fit, output_size, parse_padding, resolve_padding

    X, about_source = _read_grey(source)
    Y, about_target = _read_grey(target)
    if size is None:
        size = (X.shape[0] - Y.shape[0] + 1, X.shape[1] - Y.shape[1] + 1)
        if padding is not None or size == (1, 1):
            raise CommandError("--kernel-size is needed: the target is padded, so its size does not say")
        if min(size) < 1 or math.prod(size) > _LARGEST_KERNEL:
            raise CommandError(
                f"{target}: {_pixels(Y)} cannot be a filtered copy of {_pixels(X)}; give --kernel-size if it is"
            )
    for n, k, axis in zip(X.shape, size, ("height", "width")):
        check_fit(n, k, 0, 0, axis, "--kernel-size")
    if padding is None:
        padding = "same" if Y.shape == X.shape else "valid"
    sides = resolve_padding(parse_padding(read_padding(padding)), X.shape, size, (1, 1), (1, 1))
    whole = (
        output_size(X.shape[0], size[0], 1, sides.top, sides.bottom),
        output_size(X.shape[1], size[1], 1, sides.left, sides.right),
    )
    if Y.shape != whole:
        raise CommandError(
            f"{target}: must have {whole[1]}x{whole[0]} pixels for a kernel of {_by(size)} and padding {padding}, "
            f"and has {_pixels(Y)}"
        )
    height, width = X.shape[0] - size[0] + 1, X.shape[1] - size[1] + 1
    if whole != (height, width):
        about_target.append(f"pixels that saw padding ({padding}) are left out")
    notes = [f"{path.name}: {', '.join(about)}" for path, about in ((source, about_source), (target, about_target))]
    notes = [note for note, about in zip(notes, (about_source, about_target)) if about]
    return size, Images(X, Y[sides.top : sides.top + height, sides.left : sides.left + width], tuple(notes))


def _by(size: Any) -> str:
    return "x".join(map(str, size))


def _pixels(image: Any) -> str:
    return f"{image.shape[1]}x{image.shape[0]} pixels"


# --------------------------------------------------------------------------- output


@contextmanager
def _progress(names: list[str], count: int, long: bool) -> Iterator[Callable[[str, int], None]]:
    """Yield what moves a progress bar, which is shown on a terminal and for a long run alone."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = output(stderr=True)
    shown = long and console.is_terminal
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not shown,
    )
    task = bar.add_task("", total=len(names) * count)

    def advance(name: str, step: int) -> None:
        bar.update(task, description=name, completed=names.index(name) * count + step)

    with bar:
        yield advance


def _number(value: float) -> str:
    """Write a number in at most ten characters: six decimals, as the book does, where they fit."""
    if value == 0 or 1e-3 <= abs(value) < 1000:
        return f"{value:.6f}"
    return f"{value:.3e}"


def _show(lesson: Lesson, images: Images, title: str, dtype: str, every: int | None, absent: dict[str, str]) -> None:
    """Print the losses side by side, what was learned, the verdict."""
    from rich.table import Table
    from rich.text import Text

    console = output()
    runs = lesson.runs
    count = len(runs[0].losses)
    what = f"a kernel of {_by(runs[0].weight.shape)}{'' if runs[0].bias is None else ' and a bias'}"
    console.print(Text(title, style="bold"))
    console.print(
        Text(f"{what}, learning rate {_number(lesson.rate)}, {count} steps, {dtype}", style="dim"), soft_wrap=True
    )
    for note in images.notes:
        console.print(Text(note, style="dim"))
    console.print()

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("step", justify="right", no_wrap=True)
    for run in runs:
        table.add_column(run.backend, justify="right", no_wrap=True)
    for step in _steps_to_show(count, every):
        table.add_row(str(step), *(_number(float(run.losses[step - 1])) for run in runs))
    console.print("loss, the sum of squared errors before each step")
    console.print(table)
    if math.isfinite(runs[0].losses[-1]):
        console.print(Text(_about_the_loss(lesson)))
    console.print()

    console.print("learned")
    flat = runs[0].weight.shape[0] == 1
    width = max(len(run.backend) for run in runs) if flat else 0
    kernels = []
    for run in runs:
        parts = [_labelled(run.backend.ljust(width), run.weight)]
        if run.bias is not None:
            parts.append(Text.assemble(("bias", "bold"), f" = {_number(run.bias)}"))
        kernels.append(_side_by_side(parts))
    if flat:
        for kernel in kernels:
            console.print(kernel)
    else:
        console.print(_side_by_side(kernels))
    console.print()
    good = lesson.kind != "REAL DIFFERENCE"
    console.print(Text(lesson.sentence, style="green" if good else "bold red"))
    for name, command in absent.items():
        console.print(Text(f"{name} is not installed and took no part: {command}", style="yellow"))


def _steps_to_show(count: int, every: int | None) -> list[int]:
    """Return the steps of the table: every second of ten, as the book; about ten of more; always the last."""
    apart = every or max(min(2, count), -(-count // _ROWS))
    shown = list(range(apart, count + 1, apart))
    return shown if shown and shown[-1] == count else [*shown, count]


def _about_the_loss(lesson: Lesson) -> str:
    """Say how good the last loss is: what remains, and what remains of the best kernel."""
    problem, last = lesson.problem, float(lesson.runs[0].losses[-1])
    return (
        f"at the end {_per_pixel(last, problem)} a pixel (root mean square); "
        f"the best kernel of this size: {_per_pixel(problem.smallest_loss, problem)}"
    )


def _per_pixel(loss: float, problem: Problem) -> str:
    # below the root of the unit roundoff there is nothing but what cancels in float64
    mean = math.sqrt(loss / problem.rows)
    return f"{mean:.2g}" if mean > 2e-8 * math.sqrt(problem.energy / problem.rows) else "0"


def _plain(value: float) -> float | str:
    """Replace what JSON has no number for by its name."""
    return value if math.isfinite(value) else str(value)


def _print_json(
    lesson: Lesson,
    dtype: str,
    start: Any,
    notes: tuple[str, ...],
    absent: dict[str, str],
    broken: dict[str, str],
) -> None:
    import convbridge

    problem = lesson.problem
    print_json(
        {
            "convbridge": convbridge.__version__,
            "agrees": lesson.kind != "REAL DIFFERENCE",
            "diverged": lesson.diverged,
            "dtype": dtype,
            "learning_rate": lesson.rate,
            "largest_learning_rate": _plain(problem.largest_rate),
            "smallest_loss": problem.smallest_loss,
            "initial": start.tolist(),
            "notes": list(notes),
            "backends": [
                {
                    "backend": run.backend,
                    "weight": [[_plain(value) for value in row] for row in run.weight.tolist()],
                    "bias": None if run.bias is None else _plain(run.bias),
                    "losses": [_plain(value) for value in run.losses.tolist()],
                }
                for run in lesson.runs
            ],
            "verdict": {
                "kind": lesson.kind,
                "difference": _plain(lesson.difference),
                "fraction_of_bound": _plain(lesson.fraction),
                "between": list(lesson.between),
                "sentence": lesson.sentence,
            },
            "not_installed": [{"backend": name, "install": command} for name, command in absent.items()],
            "broken": [{"backend": name, "problem": problem_text} for name, problem_text in broken.items()],
        }
    )
