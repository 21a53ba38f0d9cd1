"""The command line: ``convbridge COMMAND`` and ``python -m convbridge.cli``.

This file is what runs when the extra ``cli`` may be missing, so it imports the
standard library alone; the commands are in :mod:`convbridge.commands`.

Exit codes: 0 good; 1 the comparison found a real difference; 2 bad usage, a
missing backend, a file that cannot be read or written, with one line on
standard error; 130 interrupted; 141 whoever read the output has left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

#: What the extra ``cli`` brings.
_EXTRA = ("typer", "click", "rich", "PIL")

#: 128 and the number of the signal, as a shell reports SIGINT and SIGPIPE.
_INTERRUPTED = 130
_READER_LEFT = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.

    Returns
    -------
    int
        The exit code.

    Examples
    --------
    >>> main(["shapes", "conv 3", "--input", "0"])
    2
    """
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # `convbridge compare | head` is no mistake, so nothing is said. Python would complain
        # when it flushes at exit; give it something to flush to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_LEFT
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print(
            f"convbridge: the command line needs {error.name}, which is not installed: pip install 'convbridge[cli]'",
            file=sys.stderr,
        )
        return 2


def _run(arguments: list[str]) -> int:
    from convbridge.commands import app

    return app.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
