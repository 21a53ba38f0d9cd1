"""The backends that exist, and the only place that imports them.

The design constraints that this file lives by:

* a framework may be absent, may take seconds to import, may be installed and
  broken: nothing here is imported before somebody needs it;
* the built-in backends are named here, not discovered;
* third parties register under the entry-point group ``convbridge.backends``;
  the group is read at most once, when a name or a tensor class is met that
  the built-in backends do not know, because reading it costs tens of
  milliseconds. :func:`refresh` reads it again;
* "not installed", "installed and broken" and "has no such operation" are
  three different errors.
"""

from __future__ import annotations

import _thread
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any, cast

from convbridge import dispatch
from convbridge.errors import (
    BackendBrokenError,
    BackendNotInstalledError,
    BackendOperationError,
    ConvbridgeError,
    UnknownBackendError,
    UnsupportedOperationError,
    received,
)
from convbridge.protocol import (
    ArraysModule,
    BackendSpec,
    ChapterModule,
    LayersModule,
    LessonModule,
    ListingModule,
    OpsModule,
)

__all__ = [
    "BUILTIN",
    "Backend",
    "available_backends",
    "canonical_name",
    "import_framework",
    "load",
    "names",
    "readable_specs",
    "refresh",
    "spec",
]

#: The built-in backends, in the order in which they are listed everywhere,
#: and the package that holds each.
BUILTIN = {
    "numpy": "convbridge_numpy",
    "torch": "convbridge_torch",
    "tensorflow": "convbridge_tensorflow",
    "mxnet": "convbridge_mxnet",
}

ENTRY_POINT_GROUP = "convbridge.backends"

#: What a backend need not have.
OPTIONAL_MODULES = ("listing", "lesson", "atlas")

_lock = _thread.RLock()  # threading's own; that module takes a fifth of the time of importing this package
_specs: dict[str, BackendSpec] = {}
_loaded: dict[str, Backend] = {}
_third_party: dict[str, str] | None = None


class Backend:
    """A backend that is ready to compute; its modules are imported at first use.

    Attributes
    ----------
    spec : BackendSpec
    arrays, ops, chapter, layers : module
        See :mod:`convbridge.protocol`.
    listing, lesson, atlas : module or None
        None where the backend has no such module.
    framework, version : str
        The framework with its version, and the version alone.

    Examples
    --------
    >>> backend = load("numpy")
    >>> backend.framework == f"numpy {backend.version}"
    True
    """

    arrays: ArraysModule
    ops: OpsModule
    chapter: ChapterModule
    layers: LayersModule
    listing: ListingModule | None
    lesson: LessonModule | None
    atlas: ModuleType | None

    def __init__(self, spec: BackendSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.has_computed = False
        self.was_forked = False
        self.arrays = cast(ArraysModule, self._import("arrays"))
        self.ops = cast(OpsModule, self._import("ops"))

    def __getattr__(self, module: str) -> Any:
        # Reached only for what __init__ left out: a layer class may drag in a
        # large part of its framework that functions do not need.
        if module not in ("chapter", "layers", *OPTIONAL_MODULES):
            raise AttributeError(module)
        loaded = self._import(module)
        setattr(self, module, loaded)
        return loaded

    @property
    def version(self) -> str:
        """The framework's version, "" if it does not say."""
        return str(getattr(sys.modules.get(self.spec.framework), "__version__", ""))

    @property
    def framework(self) -> str:
        """The framework and its version, such as "numpy 1.26.4"."""
        return f"{self.spec.framework} {self.version}".strip()

    def _import(self, module: str) -> ModuleType | None:
        name = f"{self.spec.package}.{module}"
        try:
            return importlib.import_module(name)
        except ConvbridgeError:
            raise
        except Exception as cause:
            if module in OPTIONAL_MODULES and isinstance(cause, ModuleNotFoundError) and cause.name == name:
                return None
            raise BackendBrokenError(
                f"The backend {self.spec.name!r} is installed and cannot be imported: "
                f"{type(cause).__name__}: {cause}. {received(backend=self.spec.name)}"
            ) from cause

    def __repr__(self) -> str:
        return f"<convbridge backend {self.name!r}>"

    def start(self, operation: str, dtype: str) -> None:
        """Raise if this operation cannot run: a known gap, or a process that was forked.

        A framework's threads do not survive a fork; an operation in the child
        of a process that had already computed hangs for ever in most of them.

        Parameters
        ----------
        operation : str
            Name of an operation of :class:`convbridge.protocol.OpsModule`.
        dtype : str
            Of the computation.

        Raises
        ------
        UnsupportedOperationError
            With the reason from the backend's table of known gaps.
        BackendOperationError
            In a forked process, naming the way out.
        """
        if self.was_forked and not self.arrays.survives_fork():
            raise BackendOperationError(
                f"The backend {self.name!r} had computed before this process was forked, and would hang here; start "
                f"processes with multiprocessing's 'spawn'. {received(operation=operation)}"
            )
        self.has_computed = True
        table = self.spec.unsupported
        if not table:
            return
        reason = table.get(operation) or table.get(f"{operation}[{dtype}]")
        if reason:
            raise UnsupportedOperationError(
                f"{operation} in {dtype} is not supported by the backend {self.name!r}: {reason} "
                f"{received(dtype=dtype, backend=self.name)}"
            )


def _mark_forked() -> None:
    for backend in _loaded.values():
        backend.was_forked = backend.was_forked or backend.has_computed


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_mark_forked)


def _is_installed(module: str) -> bool:
    """Tell whether a top-level module can be found, without importing it.

    A folder of the same name somewhere on the path makes a namespace package,
    which has no file of its own and is not the framework.
    """
    found = sys.modules.get(module)
    if found is not None:
        return getattr(found, "__file__", None) is not None
    try:
        where = PathFinder.find_spec(module)
    except (ImportError, ValueError):
        return False
    return where is not None and where.origin is not None


def _read_entry_points() -> dict[str, str]:
    """Return the third-party backends, name to ``package`` or ``package:SPEC``."""
    from importlib.metadata import entry_points  # tens of milliseconds: only when needed

    found: dict[str, str] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name in BUILTIN or point.name in _builtin_aliases():
            raise BackendBrokenError(
                f"The entry point {point.name!r} of the group {ENTRY_POINT_GROUP!r} shadows a built-in backend; "
                f"uninstall the package that registers it. {received(entry_point=point.value)}"
            )
        found[point.name] = point.value
    return found


def _third_parties() -> dict[str, str]:
    global _third_party
    if _third_party is None:
        with _lock:
            if _third_party is None:
                _third_party = _read_entry_points()
    return _third_party


def _builtin_aliases() -> dict[str, str]:
    return {alias: name for name in BUILTIN for alias in spec(name).aliases}


def refresh() -> None:
    """Forget what was found, so that newly installed backends are seen.

    Reads the entry points, the installed frameworks and the environment
    variable again at their next use. Backends already loaded stay loaded.

    Examples
    --------
    >>> refresh()
    """
    global _third_party
    from convbridge import selection

    with _lock:
        _third_party = None
        for name in [name for name in _specs if name not in BUILTIN]:
            del _specs[name]
            _loaded.pop(name, None)
    importlib.invalidate_caches()
    selection.forget()
    dispatch.forget()


def spec(name: str) -> BackendSpec:
    """Return the facts about a backend; imports no framework.

    Parameters
    ----------
    name : str
        A canonical name, see :func:`canonical_name`.

    Returns
    -------
    BackendSpec

    Examples
    --------
    >>> spec("torch").framework
    'torch'
    """
    found = _specs.get(name)
    if found is not None:
        return found
    package = BUILTIN.get(name)
    if package is not None:
        found = cast(BackendSpec, importlib.import_module(package).SPEC)
    else:
        target, _, attribute = _third_parties()[name].partition(":")
        try:
            found = cast(BackendSpec, getattr(importlib.import_module(target), attribute or "SPEC"))
            if found.name != name:
                raise ValueError(f"its SPEC says name={found.name!r}")
        except Exception as cause:
            raise BackendBrokenError(
                f"The third-party backend {name!r} cannot be read: {type(cause).__name__}: {cause}. "
                f"{received(entry_point=_third_parties()[name])}"
            ) from cause
    _specs[name] = found
    return found


def readable_specs() -> Iterator[BackendSpec]:
    """Yield the facts about every backend that can be read; a broken third party costs only itself.

    Yields
    ------
    BackendSpec

    Examples
    --------
    >>> next(readable_specs()).name
    'numpy'
    """
    for name in names():
        with suppress(BackendBrokenError):
            yield spec(name)


def names() -> tuple[str, ...]:
    """Return every registered backend, installed or not, built-in ones first.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> names()[:4]
    ('numpy', 'torch', 'tensorflow', 'mxnet')
    """
    return (*BUILTIN, *_third_parties())


def canonical_name(name: Any, source: str) -> str:
    """Resolve a name or alias.

    Parameters
    ----------
    name : str
        As the user wrote it.
    source : str
        Where the name comes from, for the message: "backend=",
        "CONVBRIDGE_BACKEND", ...

    Returns
    -------
    str

    Raises
    ------
    UnknownBackendError
        With the known names and the nearest one.

    Examples
    --------
    >>> canonical_name("tf", "backend=")
    'tensorflow'
    """
    if isinstance(name, str):
        if name in BUILTIN:
            return name
        alias = _builtin_aliases().get(name)
        if alias:
            return alias
        others = _third_parties()
        if name in others:
            return name
        for other in readable_specs():
            if name in other.aliases:
                return other.name
    known = names()
    hint = ""
    if isinstance(name, str):
        from difflib import get_close_matches  # only a message needs it

        near = get_close_matches(name.lower(), [*known, *_builtin_aliases()], n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownBackendError(
        f"backend (from {source}) must be one of {', '.join(known)}, or an alias of one.{hint} {received(backend=name)}"
    )


def load(name: str) -> Backend:
    """Import a backend, once.

    Parameters
    ----------
    name : str
        A canonical name, see :func:`canonical_name`.

    Returns
    -------
    Backend

    Raises
    ------
    BackendNotInstalledError
        If the framework is missing; the message holds the command that
        installs it.
    BackendBrokenError
        If it is installed and its import fails.

    Examples
    --------
    >>> load("numpy")
    <convbridge backend 'numpy'>
    """
    found = _loaded.get(name)
    if found is not None:
        return found
    facts = spec(name)
    if not _is_installed(facts.framework):
        raise BackendNotInstalledError(
            f"The backend {name!r} needs {facts.framework}, which is not installed: {facts.install_hint}. "
            f"{received(backend=name)}"
        )
    with _lock:
        if name not in _loaded:
            _loaded[name] = Backend(facts)
        return _loaded[name]


def available_backends() -> tuple[str, ...]:
    """Return the backends whose framework is installed, without importing any.

    Returns
    -------
    tuple of str
        In the order numpy, torch, tensorflow, mxnet, then third parties.

    Examples
    --------
    >>> "numpy" in available_backends()
    True
    """
    return tuple(facts.name for facts in readable_specs() if _is_installed(facts.framework))


def import_framework(name: str) -> Any:
    """Import a backend's framework the way the backend needs it, and return it.

    For most frameworks this is the import statement. MXNet 1.9.1 does not
    import on current NumPy without help; this call gives it that help.

    Parameters
    ----------
    name : str
        A backend or an alias.

    Returns
    -------
    module

    Raises
    ------
    UnknownBackendError, BackendNotInstalledError, BackendBrokenError
        As for :func:`load`.

    Examples
    --------
    >>> import_framework("np").__name__
    'numpy'
    """
    backend = load(canonical_name(name, "import_framework"))
    return importlib.import_module(backend.spec.framework)
