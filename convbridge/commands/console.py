"""What the commands share: where output goes, exit codes, and frameworks that print.

Results go to standard output, messages and progress to standard error. Both
are plain text where they do not reach a terminal.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from convbridge import registry
from convbridge.errors import ConvbridgeError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["BAD_USAGE", "DIFFERENCE", "CommandError", "load_backends", "one_line", "output", "print_json", "report"]

#: Exit codes beside 0.
DIFFERENCE = 1
BAD_USAGE = 2


class CommandError(ConvbridgeError):
    """Something that a command cannot do; its message is one line."""


def output(*, stderr: bool = False) -> Console:
    """Return a console of rich on standard output or standard error.

    Made anew for every use: the streams may have been replaced since.
    """
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            """Leave a reader that has gone to the command line; rich would exit with 1, a difference here."""
            raise BrokenPipeError

    return Screen(stderr=stderr, highlight=False)


def report(message: str, stream: TextIO | None = None) -> None:
    """Write one line to standard error, as it is: no markup, no wrapping."""
    print(f"convbridge: {message}", file=stream or sys.stderr)


def one_line(error: BaseException) -> str:
    r"""Describe an error in one line, without a traceback.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    str

    Examples
    --------
    >>> one_line(FileNotFoundError(2, "No such file or directory", "photo.jpg"))
    'photo.jpg: No such file or directory'
    >>> one_line(ValueError("two\nlines"))
    'two lines'
    """
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return where + error.strerror
    text = " ".join(str(error).split())
    return text or type(error).__name__


def print_json(value: Any) -> None:
    """Write JSON to standard output; numbers that JSON does not have are a mistake here."""
    print(json.dumps(value, indent=2, allow_nan=False))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what frameworks print while they are imported off the screen.

    They write to the file descriptors from C++, below ``sys.stderr``. If the
    block fails, what they wrote is shown after all, on standard error: it may
    say why.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        saved = os.dup(1), os.dup(2)
    except OSError:  # a process without standard streams has no screen to keep clean
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 1)
        os.dup2(kept.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, copy in zip((1, 2), saved):
                os.dup2(copy, descriptor)
                os.close(copy)
            if failed:
                kept.seek(0)
                text = kept.read().decode(errors="replace").strip()
                if text:
                    print(text, file=sys.stderr)


def load_backends(names: Sequence[str]) -> dict[str, registry.Backend | ConvbridgeError]:
    """Import backends without their noise.

    Parameters
    ----------
    names : sequence of str
        Canonical names.

    Returns
    -------
    dict
        In the order of ``names``: each backend, or the error that its import
        raised.
    """
    # TensorFlow's own switch for its log; it is read when TensorFlow is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    found: dict[str, registry.Backend | ConvbridgeError] = {}
    # Imported in the registry's order, whatever the user's: frameworks that bring
    # their own copies of a library get along in this order.
    for name in sorted(names, key=registry.names().index):
        try:
            with quiet():
                backend = registry.load(name)
                # also now, because they may import more of the framework
                _ = backend.chapter, backend.layers
                found[name] = backend
        except ConvbridgeError as error:
            found[name] = error
    return {name: found[name] for name in names}
