"""``convbridge filter``: a kernel over image files."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from convbridge.commands.console import BAD_USAGE, CommandError, load_backends, one_line, output, report
from convbridge.errors import ConvbridgeError

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["filter_images", "read_kernel", "read_padding"]

#: Products beyond which one image takes long enough for a progress bar.
_LONG = 2**28

#: Most characters of a kernel that is typed.
_LONGEST_TEXT = 100_000


def _list_kernels(wanted: bool) -> None:
    """Print the table of names and leave."""
    if not wanted:
        return
    from rich.table import Table

    from convbridge import kernels

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, design in kernels.designs().items():
        table.add_row(f"{name}[-N]" if design.parameter else name, design.summary)
    output().print(table, markup=False)
    raise typer.Exit


def filter_images(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Image files, or folders of them.", show_default=False)
    ],
    kernel: Annotated[
        str,
        typer.Option(
            "--kernel",
            "-k",
            metavar="KERNEL",
            help="A name (--list-kernels), '[[1, -1]]' or FILE.npy.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="OUT", help="A file; for several images a folder.", show_default=False),
    ],
    padding: Annotated[
        str, typer.Option("--padding", metavar="P", help="valid, same, same_lower, chapter, N or HEIGHTxWIDTH.")
    ] = "valid",
    border: Annotated[
        str, typer.Option("--border", metavar="B", help="What padding is made of: zero, edge, reflect.")
    ] = "zero",
    range_name: Annotated[
        str,
        typer.Option("--range", metavar="R", help="How results become pixels: auto, clip, absolute, centre, scale."),
    ] = "auto",
    backend: Annotated[
        str | None,
        typer.Option("--backend", "-b", metavar="NAME", help="Who computes. Default: CONVBRIDGE_BACKEND, else numpy."),
    ] = None,
    suffix: Annotated[
        str | None, typer.Option("--suffix", metavar=".EXT", help="Format of the files in an output folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace files that exist.")] = False,
    list_kernels: Annotated[
        bool, typer.Option("--list-kernels", help="List the names and exit.", callback=_list_kernels, is_eager=True)
    ] = False,
) -> None:
    """Filter images: cross-correlate them with a kernel.

    Grey and RGB images, with or without opacity, of 8 or 16 bits; opacity
    passes through. The format of OUT is that of its suffix. A folder stands
    for the images directly in it.

    Results below 0 or above white must become pixels. --range auto takes
    absolute values for kernels that find changes (their weights sum to 0), so
    that edges of both directions are bright, and clips for all others. centre
    shows zero as mid grey, scale stretches the results over the whole range.

    Without padding an image loses a kernel's size less one; --padding same
    keeps its size.
    """
    from convbridge.commands.pixels import BORDERS, RANGES

    weights = read_kernel(kernel)
    pad = read_padding(padding)
    _one_of("--range", range_name, RANGES)
    _one_of("--border", border, tuple(BORDERS))
    jobs = _plan(images, out, suffix, force)
    name = _load(backend)
    if jobs[0].target != out:
        out.mkdir(parents=True, exist_ok=True)
    written = 0
    console = output(stderr=True)
    with _progress(console, len(jobs)) as bar:
        for job in jobs:
            try:
                line = _run(job, weights, bar, padding=pad, border=border, range_name=range_name, backend=name)
            except (ConvbridgeError, OSError) as error:
                message = one_line(error)
                where = "" if str(job.source) in message or str(job.target) in message else f"{job.source}: "
                report(where + message)
                continue
            written += 1
            if line:
                report(line)
    if len(jobs) > 1:
        report(f"{written} of {len(jobs)} images written to {out}, computed by {name}")
    if written < len(jobs):
        raise typer.Exit(BAD_USAGE)


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise CommandError(f"{option} must be one of {', '.join(allowed)}, not {value!r}")


# --------------------------------------------------------------------------- arguments


def read_kernel(text: str) -> Any:
    """Read ``--kernel``: a name, a matrix in brackets, or a file of NumPy.

    Parameters
    ----------
    text : str

    Returns
    -------
    numpy.ndarray of float64, shape (kh, kw)

    Raises
    ------
    ConvbridgeError, OSError
        For an unknown name, for what is no matrix of finite numbers, for a
        file that cannot be read.

    Examples
    --------
    >>> read_kernel("[[1, -1]]").tolist(), read_kernel("vertical-edges").tolist()
    ([[1.0, -1.0]], [[1.0, -1.0]])
    """
    import numpy as np

    from convbridge import kernels

    written = text.strip()
    if written.lower().endswith(".npy"):
        found = _read_npy(Path(written))
    elif written.startswith(("[", "(")):
        found = _read_literal(written)
    else:
        return kernels.named(written)
    try:
        matrix = np.asarray(found)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise CommandError(f"--kernel must be a rectangular matrix of numbers, not {_short(text)}") from None
    if matrix.dtype.kind not in "biuf" or matrix.ndim != 2 or not matrix.size:
        raise CommandError(
            f"--kernel must be a matrix of numbers, such as [[1, -1]], not {_short(text)} "
            f"of shape {matrix.shape} and dtype {matrix.dtype}"
        )
    weights = matrix.astype(np.float64)
    # Times the largest pixel, the sum must still be a number.
    with np.errstate(over="ignore"):
        reach = np.abs(weights).sum() * 2.0**32
    if not np.isfinite(reach):
        raise CommandError(f"--kernel must hold finite numbers of a reasonable size: {_short(text)}")
    return weights


def _read_npy(path: Path) -> Any:
    import numpy as np

    try:
        # Mapped, so that a header which lies about the shape is found out before memory is allocated for it.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except OSError as error:
        if error.strerror:
            raise
        raise CommandError(f"{path}: not a file of NumPy ({error})") from None
    except (ValueError, EOFError, TypeError, SyntaxError, OverflowError) as error:
        raise CommandError(f"{path}: not a file of NumPy that holds a matrix of numbers ({one_line(error)})") from None


def _read_literal(text: str) -> Any:
    if len(text) > _LONGEST_TEXT:
        raise CommandError("--kernel is too long to be typed; save it with numpy.save and name the file")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)  # also (1, 2), 1. and +1, which JSON does not have
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise CommandError(f"--kernel must be a matrix such as [[1, -1]], not {_short(text)}") from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def read_padding(text: str) -> Any:
    """Read ``--padding``: a word, N, HEIGHTxWIDTH or TOP:BOTTOMxLEFT:RIGHT.

    Parameters
    ----------
    text : str

    Returns
    -------
    str or ((int, int), (int, int))
        As :func:`convbridge.conv2d` takes it.

    Raises
    ------
    ArgumentError
        For anything else.

    Examples
    --------
    >>> read_padding("same"), read_padding("1x2")
    ('same', ((1, 1), (2, 2)))
    """
    from convbridge.teaching.stack import parse_padding_text

    return parse_padding_text(text.strip().lower())


def _load(backend: str | None) -> str:
    """Return the backend that computes, imported, or raise why it cannot be."""
    from convbridge import get_backend, registry

    name = get_backend() if backend is None else registry.canonical_name(backend, "--backend")
    found = load_backends([name])[name]
    if isinstance(found, ConvbridgeError):
        raise found
    return name


# --------------------------------------------------------------------------- the work


class Job(NamedTuple):
    """One image to read and where its result goes."""

    source: Path
    target: Path


def _plan(images: list[Path], out: Path, suffix: str | None, force: bool) -> list[Job]:
    """Decide what is written where, and refuse before anything is computed."""
    from convbridge.commands.images import can_write, is_image_name

    sources = []
    folders = False
    for path in images:
        if path.is_dir():
            folders = True
            inside = sorted(entry for entry in path.iterdir() if entry.is_file() and is_image_name(entry))
            if not inside:
                raise CommandError(f"{path}: the folder holds no images")
            sources += inside
        elif path.is_file():
            sources.append(path)
        elif path.exists():
            raise CommandError(f"{path}: is not a regular file")
        else:
            raise CommandError(f"{path}: there is no such file")
    into_folder = folders or len(sources) > 1 or out.is_dir()
    if suffix is not None and not into_folder:
        raise CommandError("--suffix is for an output folder; a file's format is that of --output")
    if into_folder:
        if out.exists() and not out.is_dir():
            raise CommandError(f"{out}: must be a folder for several images, and is a file")
        ending = None if suffix is None else "." + suffix.lstrip(".")
        targets = [out / (path.name if ending is None else path.with_suffix(ending).name) for path in sources]
    else:
        targets = [out]
    for target in targets:
        can_write(target)
    taken: dict[Path, Path] = {}
    for source, target in zip(sources, targets):
        if target in taken:
            raise CommandError(f"{source} and {taken[target]} would both be written to {target}")
        taken[target] = source
        if target.exists() and not target.is_file():
            raise CommandError(f"{target}: is not a regular file")
    existing = [target for target in targets if target.exists()]
    if existing and not force:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise CommandError(f"{existing[0]}: exists{more}; --force replaces it")
    if not into_folder and not out.parent.is_dir():
        raise CommandError(f"{out}: there is no folder {out.parent}")
    return [Job(source, target) for source, target in zip(sources, targets)]


@contextmanager
def _progress(console: Any, count: int) -> Iterator[_Bar]:
    """Yield a progress bar that stays hidden until there is something to wait for."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()]
    if count > 1:
        columns.insert(2, MofNCompleteColumn())
    bar = _Bar(Progress(*columns, console=console, transient=True, disable=not console.is_terminal), count)
    try:
        yield bar
    finally:
        bar.progress.stop()


class _Bar:
    """Counts images, or the parts of the only one."""

    def __init__(self, progress: Progress, count: int) -> None:
        self.progress = progress
        self.count = count
        self.task = progress.add_task("", total=count)

    def begin(self, name: str, products: int) -> None:
        """Show an image's name; the bar appears with the second image or a long one."""
        self.progress.update(self.task, description=name)
        if self.count > 1 or products > _LONG:
            self.progress.start()

    def advance(self, part: float) -> None:
        """Move on by a part of one image."""
        self.progress.update(self.task, advance=part)


def _run(job: Job, weights: Any, bar: _Bar, **options: Any) -> str:
    """Filter one image; return what there is to say about it."""
    from convbridge.commands.images import read, write
    from convbridge.commands.pixels import apply

    picture = read(job.source)
    bar.begin(job.source.name, picture.colours.size * weights.size)
    result = apply(picture, weights, advance=bar.advance, **options)
    write(result, job.target)
    if picture.frames > 1:
        return f"{job.target}: only the first of the {picture.frames} images in {job.source.name}"
    height, width = result.colours.shape[:2]
    return f"{job.target}: {width}x{height} pixels, computed by {options['backend']}" if bar.count == 1 else ""
