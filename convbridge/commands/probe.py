"""What is learnt about one backend in a process of its own.

Importing a framework can take seconds, fail, or end the process; so each
backend is imported in a fresh interpreter, which reports what it saw and
leaves. :func:`probe` starts that interpreter, :func:`main` runs inside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any, NamedTuple

from convbridge import processes

__all__ = ["Finding", "main", "probe"]

#: Seconds after which an import is called a hang.
PATIENCE = 300.0

#: The clock starts before convbridge, and with it NumPy, is imported.
_PROGRAM = (
    "import sys, time; start = time.perf_counter(); "
    "from convbridge.commands.probe import main; main(sys.argv[1], start)"
)


class Finding(NamedTuple):
    """What holds for one backend here.

    Attributes
    ----------
    backend : str
    state : {"ready", "missing", "broken"}
        "broken" is installed and does not import.
    framework : str
        Import name of the framework.
    version : str
        Of the framework.
    devices : tuple of str
    seconds : float or None
        From an empty interpreter to a backend that can compute.
    problem : str
        Why it is missing or broken.
    install : str
        The command that would install it.
    aliases : tuple of str
    """

    backend: str
    state: str
    framework: str = ""
    version: str = ""
    devices: tuple[str, ...] = ()
    seconds: float | None = None
    problem: str = ""
    install: str = ""
    aliases: tuple[str, ...] = ()


def main(name: str, start: float) -> None:
    """Import one backend and print a :class:`Finding` as the last line of standard output.

    Parameters
    ----------
    name : str
        A registered name.
    start : float
        ``time.perf_counter()`` at the start of the interpreter.
    """
    from convbridge import registry
    from convbridge.errors import BackendNotInstalledError, ConvbridgeError

    finding = Finding(name, "broken")
    try:
        spec = registry.spec(name)
        finding = finding._replace(framework=spec.framework, install=spec.install_hint, aliases=tuple(spec.aliases))
        backend = registry.load(name)
        seconds = time.perf_counter() - start
        finding = finding._replace(
            state="ready",
            seconds=seconds,
            version=str(getattr(sys.modules.get(spec.framework), "__version__", "")),
            devices=tuple(backend.arrays.devices()),
        )
    except BackendNotInstalledError as error:
        finding = finding._replace(state="missing", problem=str(error))
    except ConvbridgeError as error:
        finding = finding._replace(problem=str(error))
    except Exception as error:  # a backend's own mistake, which is what this process is for
        finding = finding._replace(state="broken", problem=f"{type(error).__name__}: {error}")
    sys.stdout.flush()
    print("\n" + json.dumps(finding._asdict()), flush=True)
    # Without the frameworks' own farewells, some of which hang or crash.
    os._exit(0)


def probe(name: str) -> Finding:
    """Import a backend in a fresh interpreter.

    Parameters
    ----------
    name : str
        A registered name.

    Returns
    -------
    Finding
        "broken" also for an interpreter that crashed or did not finish.

    Examples
    --------
    >>> probe("numpy").state
    'ready'
    """
    try:
        child = subprocess.run(
            processes.command(_PROGRAM, name),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            env=processes.environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _broken(name, f"its import did not finish within {PATIENCE:.0f} seconds")
    lines = child.stdout.decode(errors="replace").strip().splitlines()
    if child.returncode == 0 and lines:
        fields: dict[str, Any] = json.loads(lines[-1])
        fields["devices"], fields["aliases"] = tuple(fields["devices"]), tuple(fields["aliases"])
        return Finding(**fields)
    said = child.stderr.decode(errors="replace").strip().splitlines()
    last = f": {said[-1]}" if said else ""
    return _broken(name, f"its import ended the process with {processes.how_it_ended(child.returncode)}{last}")


def _broken(name: str, problem: str) -> Finding:
    """Describe a backend whose interpreter could not report; what is known without it is added."""
    from convbridge import registry
    from convbridge.errors import ConvbridgeError

    finding = Finding(name, "broken", problem=problem)
    try:
        spec = registry.spec(name)
    except ConvbridgeError:
        return finding
    return finding._replace(framework=spec.framework, install=spec.install_hint, aliases=tuple(spec.aliases))
