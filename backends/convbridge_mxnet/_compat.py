"""Keeping Apache MXNet 1.9.1 importable, and leaving no trace of it.

MXNet was retired before NumPy 1.24 removed the aliases that it reads while it
is imported (``np.bool``, and on NumPy 2 a dozen more). This module supplies
them for the length of that import and takes them away again. What MXNet reads
later, when it runs, it finds in :class:`_NumpyWithAliases`, which takes the
place of NumPy inside MXNet's modules alone.

Three more things about the import: MXNet keeps one compiled kernel for every
shape that it ever saw, without bound, and writes notes about its storage to
the screen, unless environment variables set beforehand say otherwise; and it
halves the number of threads of the OpenMP runtime, which it shares with
PyTorch.

Any other file of this backend imports MXNet from here.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from convbridge_mxnet import autograd_lock

__all__ = ["autograd_lock", "mxnet"]

#: How many compiled kernels MXNet's oneDNN keeps.
_KERNEL_CACHE = "64"

_lock = threading.RLock()


def _removed(name: str) -> Callable[..., Any]:
    """Stand in for a function that NumPy no longer has and that convolution never calls."""

    def missing(*args: Any, **kwargs: Any) -> Any:
        raise AttributeError(f"numpy.{name} was removed from NumPy {np.__version__}")

    missing.__name__ = name
    return missing


def _trapz(*args: Any, **kwargs: Any) -> Any:
    return np.trapezoid(*args, **kwargs)  # type: ignore[attr-defined, unused-ignore]  # NumPy 2 only


#: What MXNet 1.9.1 reads of NumPy that newer versions lack, and what it meant.
_ALIASES: dict[str, Any] = {
    "bool": bool,
    "int": int,
    "float": float,
    "object": object,
    "NaN": np.nan,
    "NAN": np.nan,
    "Inf": np.inf,
    "PINF": np.inf,
    "NINF": -np.inf,
    "PZERO": 0.0,
    "NZERO": -0.0,
    "alltrue": np.all,
    "sometrue": np.any,
    "product": np.prod,
    "cumproduct": np.cumprod,
    "in1d": np.isin,
    "msort": lambda a: np.sort(a, axis=0),
    "row_stack": np.vstack,
    "round_": np.round,
    "trapz": _trapz,
    **{name: _removed(name) for name in ("mirr", "npv", "pmt", "ppmt", "pv", "rate")},
}


class _NumpyWithAliases(types.ModuleType):
    """NumPy, and the aliases for what it no longer has."""

    def __getattr__(self, name: str) -> Any:
        # vars() and not getattr(): NumPy 1.26 answers for some old names with a warning
        if name in _ALIASES and name not in vars(np):
            return _ALIASES[name]
        return getattr(np, name)

    def __dir__(self) -> list[str]:
        return dir(np)


@contextmanager
def _aliases_in_numpy() -> Iterator[None]:
    """Put the missing names into NumPy's namespace for a moment."""
    missing = [name for name in _ALIASES if name not in vars(np)]
    for name in missing:
        vars(np)[name] = _ALIASES[name]
    try:
        yield
    finally:
        for name in missing:
            vars(np).pop(name, None)


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Keep the OpenMP runtime's number of threads, which MXNet's import halves.

    MXNet leaves it alone where ``OMP_NUM_THREADS`` is set, so a process that
    has not set it sees it set while MXNet is imported. PyTorch, if it is
    there already, is given back the number that it had.
    """
    torch = sys.modules.get("torch")
    threads = None if torch is None else torch.get_num_threads()
    unset = "OMP_NUM_THREADS" not in os.environ
    if unset:
        os.environ["OMP_NUM_THREADS"] = str(threads or len(os.sched_getaffinity(0)))
    try:
        yield
    finally:
        if unset:
            os.environ.pop("OMP_NUM_THREADS", None)
        if torch is not None and torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


def _import() -> Any:
    """Import MXNet, with the help that it needs."""
    with _lock:
        if "mxnet" in sys.modules:
            return sys.modules["mxnet"]
        os.environ.setdefault("MXNET_MKLDNN_CACHE_NUM", _KERNEL_CACHE)
        os.environ.setdefault("MXNET_STORAGE_FALLBACK_LOG_VERBOSE", "0")
        with warnings.catch_warnings(), _threads_kept(), _aliases_in_numpy():
            warnings.simplefilter("ignore")
            try:
                module = importlib.import_module("mxnet")
            except BaseException:
                # half an import would look like a whole one to whoever tries next
                for name in [name for name in sys.modules if name.partition(".")[0] == "mxnet"]:
                    del sys.modules[name]
                raise
        helper = _NumpyWithAliases("numpy", np.__doc__)
        for name, part in list(sys.modules.items()):
            if name.partition(".")[0] == "mxnet":
                for attribute, value in list(vars(part).items()):
                    if value is np:
                        setattr(part, attribute, helper)
        return module


mxnet: Any = _import()
