"""Which backend runs.

One function decides, :func:`resolve`, in this order:

1. the argument ``backend=``;
2. the innermost ``with use_backend(...)``;
3. the framework of a tensor among the arguments;
4. ``set_backend(...)``;
5. the environment variable ``CONVBRIDGE_BACKEND``, read at its first use;
6. NumPy.

NumPy arrays, scalars and nested lists are neutral: they are converted for
whoever runs. A framework's tensor is never converted silently, because its
gradient would be lost on the way.

Choices live in context variables and in nothing else, so threads and asyncio
tasks keep their own. A new thread starts without a choice, that is at steps
5 and 6; run it in ``contextvars.copy_context()`` to hand a choice down.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from convbridge import registry
from convbridge.errors import ArgumentError, MixedBackendsError, describe, received
from convbridge.protocol import BackendSpec

__all__ = [
    "PRECISIONS",
    "framework_of",
    "framework_of_layer",
    "framework_of_symbol",
    "get_backend",
    "note_trade",
    "precision",
    "resolve",
    "set_backend",
    "use_backend",
    "use_precision",
    "watch_trades",
]

ENVIRONMENT_VARIABLE = "CONVBRIDGE_BACKEND"

PRECISIONS = ("exact", "fast")


class _Choices:
    """What was chosen in a context. Equal choices are one object, which is quickly part of a key."""

    __slots__ = ("precision", "set_backend", "use_backend")

    def __init__(self, use_backend: str | None, set_backend: str | None, precision: str) -> None:
        self.use_backend, self.set_backend, self.precision = use_backend, set_backend, precision


_known_choices = cache(_Choices)
_NONE_CHOSEN = _known_choices(None, None, "exact")

_choices: ContextVar[_Choices] = ContextVar("convbridge_choices", default=_NONE_CHOSEN)
_trades: ContextVar[set[str] | None] = ContextVar("convbridge_trades", default=None)

_from_environment: str | None = None
_owner_of_class: dict[type, str | None] = {}
_owner_of_layer: dict[type, str | None] = {}
_owner_of_symbol: dict[type, str | None] = {}

#: Classes that are certainly no tensors; the usual ones, decided without a look-up.
_NEUTRAL_MODULES = ("builtins", "numpy")


def forget() -> None:
    """Drop what was cached about the environment and about classes."""
    global _from_environment
    _from_environment = None
    for known in (_owner_of_class, _owner_of_layer, _owner_of_symbol):
        known.clear()


def _owner_among(specs: Iterable[BackendSpec], kind: type, field: str) -> str | None:
    for facts in specs:
        for entry in getattr(facts, field):
            module, _, qualified = entry.partition(":")
            owned = getattr(sys.modules.get(module), qualified, None)
            if isinstance(owned, type) and issubclass(kind, owned):
                return facts.name
    return None


def _find_owner(kind: type, field: str) -> str | None:
    """Find the backend whose classes (of ``field``) include one; never imports a framework."""
    if kind.__module__ in _NEUTRAL_MODULES:
        return None
    # the built-in backends first: asking for the third parties' costs tens of milliseconds
    builtin = (registry.spec(name) for name in registry.BUILTIN)
    return _owner_among(builtin, kind, field) or _owner_among(registry.readable_specs(), kind, field)


def framework_of(obj: Any) -> str | None:
    """Return the backend that owns a tensor, or None for what is neutral.

    Parameters
    ----------
    obj : object
        Anything.

    Returns
    -------
    str or None

    Examples
    --------
    >>> framework_of([[1.0, 2.0]]) is None
    True
    """
    kind = type(obj)
    try:
        return _owner_of_class[kind]
    except KeyError:
        owner = _owner_of_class[kind] = _find_owner(kind, "array_types")
        return owner


def framework_of_layer(layer: Any) -> str | None:
    """Return the backend that owns a layer, or None for any other callable.

    Parameters
    ----------
    layer : object
        Anything.

    Returns
    -------
    str or None

    Examples
    --------
    >>> import convbridge
    >>> framework_of_layer(convbridge.Conv2D(3, backend="numpy"))
    'numpy'
    """
    kind = type(layer)
    if kind not in _owner_of_layer:
        _owner_of_layer[kind] = _find_owner(kind, "layer_types")
    return _owner_of_layer[kind]


def framework_of_symbol(obj: Any) -> str | None:
    """Return the backend that owns a symbolic value, which stands for a tensor and has no numbers, or None.

    Parameters
    ----------
    obj : object
        Anything.

    Returns
    -------
    str or None

    Examples
    --------
    >>> framework_of_symbol([[1.0, 2.0]]) is None
    True
    """
    kind = type(obj)
    if kind not in _owner_of_symbol:
        _owner_of_symbol[kind] = _find_owner(kind, "symbol_types")
    return _owner_of_symbol[kind]


def current_choice() -> str | None:
    """Return the backend of the innermost ``use_backend``, or None.

    Returns
    -------
    str or None

    Examples
    --------
    >>> current_choice() is None
    True
    """
    return _choices.get().use_backend


def _default() -> str:
    """Follow steps 4 to 6."""
    global _from_environment
    chosen = _choices.get().set_backend
    if chosen is not None:
        return chosen
    if _from_environment is None:
        name = os.environ.get(ENVIRONMENT_VARIABLE, "")
        _from_environment = registry.canonical_name(name, ENVIRONMENT_VARIABLE) if name else "numpy"
    return _from_environment


def resolve(backend: str | None, *arrays: Any, layer: Any = None) -> registry.Backend:
    """Decide which backend runs a call, and load it.

    Parameters
    ----------
    backend : str or None
        The call's ``backend=``.
    *arrays : object
        The call's array arguments; None is skipped.
    layer : object, optional
        A layer among the arguments; it counts as a tensor of its framework.

    Returns
    -------
    Backend

    Raises
    ------
    UnknownBackendError, BackendNotInstalledError, BackendBrokenError
        For the backend that was chosen.
    MixedBackendsError
        For tensors of two frameworks, or one that contradicts step 1 or 2.
    """
    owner = None if layer is None else framework_of_layer(layer)
    for array in arrays:
        found = framework_of(array)
        if found is not None and found != owner:
            if owner is not None:
                raise MixedBackendsError(
                    f"All tensors of a call must belong to one framework, not to {owner} and {found}; convert one "
                    "with convbridge.asarray or convbridge.to_numpy. Received: "
                    + ", ".join(describe(item) for item in arrays if item is not None)
                )
            owner = found
    source = "backend="
    if backend is not None:
        chosen: str | None = registry.canonical_name(backend, source)
    else:
        source = "use_backend"
        chosen = _choices.get().use_backend
    if chosen is not None and owner is not None and chosen != owner:
        raise MixedBackendsError(
            f"A tensor of {owner} cannot be computed by the backend {chosen!r} (from {source}), because its gradient "
            "would be lost; convert it with convbridge.asarray or convbridge.to_numpy. Received: "
            + ", ".join(describe(item) for item in arrays if item is not None)
        )
    return registry.load(chosen or owner or _default())


def get_backend() -> str:
    """Return the name of the backend that runs calls on neutral arguments here.

    Returns
    -------
    str
        Steps 2 and 4 to 6 of the selection order.

    Examples
    --------
    >>> with use_backend("np"):
    ...     get_backend()
    'numpy'
    """
    return _choices.get().use_backend or _default()


def set_backend(name: str | None) -> None:
    """Choose the backend for the rest of this thread or asyncio task.

    Parameters
    ----------
    name : str or None
        A backend or an alias. None takes the choice back.

    Raises
    ------
    UnknownBackendError, BackendNotInstalledError, BackendBrokenError
        At once, not at the first call that would have used it.

    Examples
    --------
    >>> set_backend("numpy")
    >>> set_backend(None)
    """
    chosen = None
    if name is not None:
        chosen = registry.canonical_name(name, "set_backend")
        registry.load(chosen)
    now = _choices.get()
    _choices.set(_known_choices(now.use_backend, chosen, now.precision))


@contextmanager
def use_backend(name: str) -> Iterator[str]:
    """Choose the backend for a ``with`` block; blocks nest.

    Parameters
    ----------
    name : str
        A backend or an alias.

    Yields
    ------
    str
        The backend's canonical name.

    Raises
    ------
    UnknownBackendError, BackendNotInstalledError, BackendBrokenError
        When the block is entered.

    Examples
    --------
    >>> import convbridge
    >>> with use_backend("numpy") as name:
    ...     print(name, convbridge.corr2d([[1, 2], [3, 4]], [[1, 1]]).tolist())
    numpy [[3.0], [7.0]]
    """
    chosen = registry.canonical_name(name, "use_backend")
    registry.load(chosen)
    before = _choices.get()
    _choices.set(_known_choices(chosen, before.set_backend, before.precision))
    try:
        yield chosen
    finally:  # what set_backend chose in the block stays
        now = _choices.get()
        _choices.set(_known_choices(before.use_backend, now.set_backend, now.precision))


@contextmanager
def use_precision(mode: str) -> Iterator[str]:
    """Choose between the rounding bound and speed for a ``with`` block.

    Parameters
    ----------
    mode : {"exact", "fast"}
        "exact", the default everywhere: every result is within the rounding
        bound of a dot product, so there is no TF32 and no Winograd. "fast":
        engines and hardware modes that trade accuracy for speed are allowed.

    Yields
    ------
    str
        The mode.

    Raises
    ------
    ArgumentError
        For any other word.

    Examples
    --------
    >>> with use_precision("fast") as mode:
    ...     mode
    'fast'
    """
    if mode not in PRECISIONS:
        raise ArgumentError(f"mode must be 'exact' or 'fast'. {received(mode=mode)}")
    before = _choices.get()
    _choices.set(_known_choices(before.use_backend, before.set_backend, mode))
    try:
        yield mode
    finally:
        now = _choices.get()
        _choices.set(_known_choices(now.use_backend, now.set_backend, before.precision))


def precision() -> str:
    """Return the precision in force, "exact" or "fast".

    Returns
    -------
    str

    Examples
    --------
    >>> precision()
    'exact'
    """
    return _choices.get().precision


def note_trade(name: str) -> None:
    """Say that an engine which trades accuracy for speed is computing; for engines to call.

    Parameters
    ----------
    name : str
        One that :mod:`convbridge.parity.bounds_fast` has a bound for.

    Examples
    --------
    >>> note_trade("Winograd F(4x4, 3x3)")  # nobody watches
    """
    noted = _trades.get()
    if noted is not None:
        noted.add(name)


@contextmanager
def watch_trades() -> Iterator[set[str]]:
    """Learn which engines traded accuracy for speed in a ``with`` block.

    Yields
    ------
    set of str
        Their names, filled as they compute.

    Examples
    --------
    >>> with watch_trades() as noted:
    ...     note_trade("Winograd F(4x4, 3x3)")
    >>> noted
    {'Winograd F(4x4, 3x3)'}
    """
    noted: set[str] = set()
    token = _trades.set(noted)
    try:
        yield noted
    finally:
        _trades.reset(token)
