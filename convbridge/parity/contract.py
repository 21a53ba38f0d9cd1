"""What a backend must have before anything is computed: its description, its names, its signatures, its table of gaps.

Each check looks at one backend by its name and returns every problem that it
finds, not the first one, in words for whoever writes the backend. The checks
need nothing but the protocols of :mod:`convbridge.protocol`; what the backend
computes is judged elsewhere (:mod:`convbridge.parity.matrix`).
"""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from convbridge import processes, protocol, registry, selection
from convbridge.errors import ArgumentError, ConvbridgeError, received
from convbridge.operands import FLOAT_DTYPES
from convbridge.parity.cases import INTEGERS, Case, random_cases
from convbridge.parity.expected import expected
from convbridge.parity.observe import judge_outcome, observe
from convbridge.parity.results import EQUAL, ROUNDING

__all__ = [
    "arrays_are_recognised",
    "description",
    "gap_parts",
    "gaps_are_real",
    "names_and_signatures",
    "no_framework_at_import",
    "something_is_left",
    "try_gaps",
]

#: The modules of a backend, and what each must satisfy.
MODULES = {
    "arrays": protocol.ArraysModule,
    "ops": protocol.OpsModule,
    "chapter": protocol.ChapterModule,
    "layers": protocol.LayersModule,
    "listing": protocol.ListingModule,
    "lesson": protocol.LessonModule,
}
#: Those that need not be there.
OPTIONAL = ("listing", "lesson")

#: The classes that convbridge builds, and from what.
CONSTRUCTED: dict[str, dict[str, tuple[str, ...]]] = {
    "layers": {"Conv2D": ("config", "weight", "bias"), "MaxPool2D": ("config",), "AvgPool2D": ("config",)},
    "chapter": {"Conv2D": ("kernel_size",)},
}

#: What a table of gaps may name.
OPERATIONS = ("asarray", "conv2d", "max_pool2d", "avg_pool2d")

#: Cases that a gap is tried on; a gap that computes all of them is none.
_TRIALS = 8
#: Seconds for the trials of one backend.
_PATIENCE = 300.0


# --------------------------------------------------------------------------- the description


def description(backend: str) -> list[str]:
    """Check the types and the sense of a backend's SPEC.

    Parameters
    ----------
    backend : str
        A canonical name.

    Returns
    -------
    list of str
        The problems.

    Examples
    --------
    >>> description("numpy")
    []
    """
    spec: Any = registry.spec(backend)
    if not isinstance(spec, protocol.BackendSpec):
        return [f"SPEC must be a convbridge.protocol.BackendSpec. {received(SPEC=spec)}"]
    problems = [
        f"SPEC.{field} must be {what}. {received(**{field: getattr(spec, field)})}"
        for field, what in _wrong_fields(spec)
    ]
    if problems:
        return problems
    for alias in spec.aliases:
        try:
            owner = registry.canonical_name(alias, "aliases")
        except ConvbridgeError:  # an alias shadows nothing, so it can only be unknown if it is not text
            owner = ""
        if owner != backend:
            problems.append(f"SPEC.aliases holds {alias!r}, which already means {owner!r}.")
    for key, reason in spec.unsupported.items():
        try:
            gap_parts(key)
        except ArgumentError as error:
            problems.append(f"SPEC.unsupported: {error}")
        if not isinstance(reason, str) or not reason.strip():
            problems.append(f"SPEC.unsupported[{key!r}] must be a reason in words. {received(reason=reason)}")
    return problems


def _wrong_fields(spec: protocol.BackendSpec) -> Iterator[tuple[str, str]]:
    for field in ("name", "package", "framework", "install_hint"):
        value: Any = getattr(spec, field)
        if not isinstance(value, str) or not value:
            yield field, "a text that is not empty"
    for field in ("array_types", "layer_types", "symbol_types"):
        value = getattr(spec, field)
        if not _is_tuple_of_text(value) or not all(entry.count(":") == 1 for entry in value):
            yield field, "a tuple of texts of the form 'module:Class'"
    if not _is_tuple_of_text(spec.aliases):
        yield "aliases", "a tuple of texts"
    if not isinstance(spec.symbol_hint, str):
        yield "symbol_hint", "a text"
    if not isinstance(spec.unsupported, Mapping):
        yield "unsupported", "a mapping of gaps to reasons"
    if type(spec.max_elements) is not int or spec.max_elements < 1:
        yield "max_elements", "a positive integer"


def _is_tuple_of_text(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(entry, str) for entry in value)


def gap_parts(key: Any) -> tuple[str, str]:
    """Split an entry of a table of gaps.

    Parameters
    ----------
    key : str
        ``"operation"`` or ``"operation[dtype]"``.

    Returns
    -------
    operation, dtype : str
        The dtype is "" where the entry names none.

    Raises
    ------
    ArgumentError
        For an entry that no call can match: the operations are asarray, conv2d,
        max_pool2d and avg_pool2d, each for both directions; operators compute
        in floats only, and integers are float32 when they get there.

    Examples
    --------
    >>> gap_parts("conv2d[float16]"), gap_parts("avg_pool2d")
    (('conv2d', 'float16'), ('avg_pool2d', ''))
    """
    operation, bracket, dtype = key.partition("[") if isinstance(key, str) else ("", "", "")
    dtypes = (*FLOAT_DTYPES, *INTEGERS, "uint64") if operation == "asarray" else FLOAT_DTYPES
    if (
        operation not in OPERATIONS
        or (bracket and dtype.removesuffix("]") not in dtypes)
        or (bracket and not dtype.endswith("]"))
    ):
        raise ArgumentError(
            f"a gap must be one of {', '.join(OPERATIONS)}, or one of them with a dtype that it meets "
            f"({', '.join(dtypes)}), such as 'conv2d[float16]'. {received(gap=key)}"
        )
    return operation, dtype.removesuffix("]")


def no_framework_at_import(backend: str) -> list[str]:
    """Check, in a fresh process, that importing the package imports no framework.

    Parameters
    ----------
    backend : str
        A canonical name.

    Returns
    -------
    list of str
        The problems.

    Examples
    --------
    >>> no_framework_at_import("numpy")
    []
    """
    spec = registry.spec(backend)
    program = (
        "import importlib, sys, convbridge; known = set(sys.modules); "
        f"importlib.import_module({spec.package!r}); print({spec.framework!r} in set(sys.modules) - known)"
    )
    done = _python(program)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        return [f"{spec.package} cannot be imported: {' '.join(last)}"]
    if done.stdout.split()[-1:] == ["True"]:
        return [f"{spec.package}/__init__.py must not import {spec.framework}, which may be absent, heavy or broken."]
    return []


def _python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter that finds the same modules."""
    return subprocess.run(
        processes.command(program, *arguments),
        capture_output=True,
        text=True,
        env=processes.environment(),
        timeout=_PATIENCE,
        check=False,
    )


# --------------------------------------------------------------------------- names and signatures


def names_and_signatures(backend: str, module: str) -> list[str]:
    """Compare a module of a backend with its protocol.

    Parameters
    ----------
    backend : str
        A canonical name.
    module : str
        "arrays", "ops", "chapter", "layers", "listing" or "lesson"; only the
        last two may be absent.

    Returns
    -------
    list of str
        The problems: names that are missing, parameters of another name, kind,
        order or default.

    Examples
    --------
    >>> names_and_signatures("numpy", "ops")
    []
    """
    try:
        found = getattr(registry.load(backend), module)
    except ConvbridgeError as error:
        return [str(error)]
    if found is None and module in OPTIONAL:
        return []
    wanted = MODULES[module]
    problems = []
    for name, member in vars(wanted).items():
        if not name.startswith("_"):
            problems += _signature_problems(f"{module}.{name}", getattr(found, name, None), _parameters(member))
    for name in wanted.__annotations__:
        value = getattr(found, name, None)
        if not inspect.isclass(value):
            problems.append(f"{module}.{name} must be a class. {received(**{name: value})}")
            continue
        plain = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = [inspect.Parameter(each, plain) for each in CONSTRUCTED[module][name]]
        problems += _signature_problems(f"{module}.{name}", value.__init__, parameters)
    return problems


def _parameters(function: Any) -> list[inspect.Parameter]:
    """List the parameters without ``self`` and without annotations."""
    found = inspect.signature(function).parameters.values()
    return [each.replace(annotation=each.empty) for each in found if each.name != "self"]


def _signature_problems(name: str, function: Any, wanted: list[inspect.Parameter]) -> list[str]:
    if not callable(function):
        return [f"{name} must be a function. {received(**{name.rpartition('.')[2]: function})}"]
    try:
        found = _parameters(function)
    except (TypeError, ValueError):  # a function written in C may keep its signature to itself
        return [f"{name} has no signature that could be compared; wrap it in a Python function."]
    if [(each.name, each.kind, each.default) for each in found] == [
        (each.name, each.kind, each.default) for each in wanted
    ]:
        return []
    has, needs = (str(inspect.Signature(parameters)) for parameters in (found, wanted))
    return [f"{name} must have the parameters {needs}, not {has}."]


def arrays_are_recognised(backend: str) -> list[str]:
    """Check that the classes which SPEC names exist, and that the backend's arrays are among them.

    Parameters
    ----------
    backend : str
        A canonical name.

    Returns
    -------
    list of str
        The problems.

    Examples
    --------
    >>> arrays_are_recognised("numpy")
    []
    """
    loaded = registry.load(backend)
    array = loaded.arrays.asarray(np.ones((2, 3), "float32"), "float32")
    problems = []
    entries = [(field, entry) for field in ("array_types", "layer_types") for entry in getattr(loaded.spec, field)]
    for field, entry in entries:
        module, _, name = entry.partition(":")
        try:
            known = isinstance(getattr(importlib.import_module(module), name, None), type)
        except ImportError:
            known = False
        if not known:
            problems.append(f"SPEC.{field} names {entry!r}, which is no class.")
    owner = selection.framework_of(array)
    if owner != (backend if loaded.spec.array_types else None):
        kind = f"{type(array).__module__}.{type(array).__qualname__}"
        whose = "NumPy, to convbridge" if owner is None else repr(owner)
        problems.append(f"arrays.asarray returns a {kind}, which belongs to {whose}: SPEC.array_types must name it.")
    if owner is None and not isinstance(array, np.ndarray):
        problems.append(
            f"arrays.asarray returns what convbridge cannot tell from other objects. {received(array=array)}"
        )
    return problems


# --------------------------------------------------------------------------- the table of gaps


def something_is_left(backend: str) -> list[str]:
    """Check that a backend computes something, so that its refusals do not pass for agreement.

    Parameters
    ----------
    backend : str
        A canonical name.

    Returns
    -------
    list of str
        The problems.

    Examples
    --------
    >>> something_is_left("numpy")
    []
    """
    gaps = registry.spec(backend).unsupported
    for operation in ("conv2d", "max_pool2d", "avg_pool2d"):
        if not gaps.keys() & {operation, f"{operation}[float32]", "asarray", "asarray[float32]"}:
            return []
    return ["SPEC.unsupported leaves no operation in float32."]


def gaps_are_real(backend: str) -> list[str]:
    """Try to compute what a backend's table of gaps says that it cannot.

    The table is put aside and a few cases of every entry run, in a process of
    their own, since a gap may well be that the framework crashes there. An
    entry is out of date if all of them come out right. Entries of ``asarray``
    are believed: a dtype that can be stored and not be computed with is of no
    use.

    Parameters
    ----------
    backend : str
        A canonical name.

    Returns
    -------
    list of str
        The entries that are no gaps.

    Examples
    --------
    >>> gaps_are_real("numpy")
    []
    """
    left = [key for key in registry.spec(backend).unsupported if gap_parts(key)[0] != "asarray"]
    program = "import sys; from convbridge.parity import contract; contract.try_gaps(*sys.argv[1:])"
    problems = []
    while left:
        try:
            said = _python(program, backend, *left).stdout
        except subprocess.TimeoutExpired as expired:
            said = expired.stdout.decode() if isinstance(expired.stdout, bytes) else expired.stdout or ""
        done: list[tuple[str, bool]] = [json.loads(line) for line in said.splitlines() if line.startswith('["')]
        problems += [
            f"SPEC.unsupported[{key!r}] is no gap: the backend computed {_TRIALS} such cases, and all were right."
            for key, works in done
            if works
        ]
        left = left[len(done) + 1 :]  # the one at which the process ended is real
    return problems


def try_gaps(backend: str, *keys: str) -> None:
    """Print, for each entry of a table of gaps, whether the backend computes it; run in a process of its own.

    Parameters
    ----------
    backend : str
        A canonical name.
    *keys : str
        Entries of its table.
    """
    loaded = registry.load(backend)
    loaded.spec = loaded.spec._replace(unsupported={})
    for key, cases in _trials(keys).items():
        works = all(_is_right(case, backend) for case in cases)
        print(json.dumps([key, works]), flush=True)


def _trials(keys: Sequence[str]) -> dict[str, list[Case]]:
    """Draw cases until every entry has enough that it matches."""
    found: dict[str, list[Case]] = {key: [] for key in keys}
    for case in random_cases(None, 0):
        for key, cases in found.items():
            if len(cases) < _TRIALS and case.gap({key: "it"}):
                cases.append(case)
        if all(len(cases) == _TRIALS for cases in found.values()):
            break
    return found


def _is_right(case: Case, backend: str) -> bool:
    judged = judge_outcome(case, observe(case, backend), expected(case))
    return all(each.verdict in (EQUAL, ROUNDING) for each in judged.values())
