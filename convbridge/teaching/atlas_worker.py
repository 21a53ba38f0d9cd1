"""One process of the atlas: it runs entries on one backend and says how each went as soon as it is known.

Some native calls end the process, hang it, or damage memory that something
later trips over; so they run here and not in the process of the user, and what
this process has said survives it. :func:`main` is called in a fresh interpreter
by :mod:`convbridge.teaching.atlas`, which reads the lines of JSON.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from convbridge.teaching.divergences import Entry

__all__ = ["evaluate", "main"]


def evaluate(code: str, names: Mapping[str, Any]) -> Any:
    r"""Run the call of an entry, and return the value of its last line.

    Parameters
    ----------
    code : str
        Python, whose last statement is an expression.
    names : mapping
        What it can use beside ``np`` and the public names of convbridge.

    Returns
    -------
    object

    Examples
    --------
    >>> evaluate("Y = corr2d(X, X)\nY + 1", {"X": np.ones((2, 2))}).tolist()
    [[5.0]]
    """
    import convbridge

    space = {name: getattr(convbridge, name) for name in convbridge.__all__} | {"np": np, **names}
    *statements, last = ast.parse(code).body
    assert isinstance(last, ast.Expr), code
    exec(compile(ast.Module(statements, []), "<entry>", "exec"), space)
    return eval(compile(ast.Expression(last.value), "<entry>", "eval"), space)


def _promise(entry: Entry, backend: str) -> Any:
    from convbridge.selection import use_backend

    with use_backend(backend):
        return evaluate(entry.call, entry.arrays())


def _native(entry: Entry, module: Any) -> Any:
    return getattr(module, entry.function)(**entry.arrays())


def _numbers(value: Any) -> dict[str, Any] | None:
    from convbridge import to_numpy

    if value is None:
        return None
    array = to_numpy(value)
    return {"dtype": array.dtype.name, "shape": array.shape, "values": array.ravel().tolist()}


def _outcome(compute: Callable[[], Any]) -> dict[str, Any]:
    """Run a call and describe what it came to, as :class:`convbridge.teaching.atlas_results.Outcome` has it."""
    from convbridge.errors import UnsupportedOperationError

    try:
        value = compute()
        named = value if isinstance(value, Mapping) else {"": value}
        # Here, and not later: some frameworks report an error only when the numbers are read.
        return {"kind": "numbers", "arrays": {label: _numbers(one) for label, one in named.items()}}
    except Exception as error:  # whatever a framework raises is the result that is shown
        kind = "error"
        if isinstance(error, UnsupportedOperationError):
            kind = "no operator"
        elif isinstance(error, ModuleNotFoundError):
            kind = "missing"
        return {"kind": kind, "error": type(error).__name__, "message": str(error)}


def main(backend: str, names: Sequence[str]) -> None:
    """Run entries on one backend: first what convbridge answers, then the native call.

    Parameters
    ----------
    backend : str
        A canonical name.
    names : sequence of str
        Of entries, in the order in which they run.
    """
    # What frameworks print goes to standard error, below Python's own streams, so that our lines stand alone.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**line: Any) -> None:
        print(json.dumps(line), file=out, flush=True)

    from convbridge import registry
    from convbridge.errors import ConvbridgeError
    from convbridge.teaching.atlas import MARK
    from convbridge.teaching.divergences import find

    try:
        loaded = registry.load(backend)
        module = loaded.atlas
    except ConvbridgeError as error:
        say(problem=str(error))
        names = ()
    else:
        say(version=loaded.version)
    for name in names:
        (entry,) = find([name])
        for part, compute in (
            ("promise", partial(_promise, entry, backend)),
            ("native", partial(_native, entry, module)),
        ):
            print(f"\n{MARK} {name}", file=sys.stderr, flush=True)
            say(entry=name, part=part)
            say(entry=name, part=part, **_outcome(compute))
    say(finished=True)
    # Without the frameworks' own farewells, some of which hang or crash.
    sys.stderr.flush()
    os._exit(0)
