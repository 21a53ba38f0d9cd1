"""Fresh interpreters: their command line, their environment, and the words for how one ended.

A framework may take seconds to import, end its process or damage its memory,
so what is not trusted runs in an interpreter of its own. What may live here is
what all who start one have in common; what they say to each other is theirs.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["command", "environment", "how_it_ended"]


def command(program: str, *arguments: str) -> list[str]:
    r"""Return the command line of an interpreter that finds the same modules as this one.

    Parameters
    ----------
    program : str
        Python source. The working directory may be another one: the entries of
        ``sys.path`` are made absolute.
    *arguments : str
        The program's ``sys.argv[1:]``.

    Returns
    -------
    list of str

    Examples
    --------
    >>> import subprocess
    >>> done = subprocess.run(command("import sys; print(sys.argv[1:])", "a", "b"), capture_output=True, text=True)
    >>> done.stdout
    "['a', 'b']\n"
    """
    path = [os.path.abspath(entry) for entry in sys.path]
    return [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}\n{program}", *arguments]


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of such an interpreter: this one's, but quiet and considerate.

    TensorFlow's notes about itself are turned off, and OpenMP's threads sleep
    while they wait: several such processes compute at a time, and threads that
    spin take the processors from the others. What this process' own
    environment says of either stays.

    Parameters
    ----------
    **settings : str
        What is to stand in it in any case.

    Returns
    -------
    dict

    Examples
    --------
    >>> environment(TF_ENABLE_ONEDNN_OPTS="0")["TF_ENABLE_ONEDNN_OPTS"]
    '0'
    """
    return {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_WAIT_POLICY": "PASSIVE", **os.environ, **settings}


def how_it_ended(code: int) -> str:
    """Say how a process ended.

    Parameters
    ----------
    code : int
        As :attr:`subprocess.Popen.returncode` has it: negative for a signal.

    Returns
    -------
    str

    Examples
    --------
    >>> how_it_ended(3), how_it_ended(-6), how_it_ended(-99)
    ('exit code 3', 'SIGABRT', 'signal 99')
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
