"""What the engines must know about the machine: two facts, read once and the same in every run.

Threads
    How many threads BLAS uses for one product: what the environment says, else
    the processors this process may run on.
Small products
    OpenBLAS on processors with AVX-512 has kernels for small products (at most
    a million multiplications) that read both factors where they lie, instead of
    copying them into panels first. On thin matrices, as convolutions have them,
    they run at 150 to 200 GF/s where the others reach 100 to 140. They use one
    thread, so a large product is divided into them only where one thread is all
    there is.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np

#: OpenBLAS, ``sgemm_small_kernel_permit``: more multiplications go the usual way.
SMALL_PRODUCT = 10**6

#: AVX-512, as NumPy names it before and since version 2.4.
_WIDE = {"AVX512_SKX", "X86_V4"}

_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")


@cache
def threads() -> int:
    """Return how many threads a matrix product uses.

    Returns
    -------
    int

    Examples
    --------
    >>> threads() >= 1
    True
    """
    for name in _VARIABLES:
        value = os.environ.get(name, "").split(",")[0]
        if value.isdigit() and int(value) > 0:
            return int(value)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def small_kernels() -> bool:
    """Tell whether BLAS has kernels for small products here.

    Returns
    -------
    bool

    Examples
    --------
    >>> small_kernels() in (True, False)
    True
    """
    show: Any = np.show_config
    try:
        found = show(mode="dicts")
        blas, vectors = found["Build Dependencies"]["blas"]["name"], found["SIMD Extensions"]["found"]
    except (TypeError, KeyError):  # before NumPy 1.25 it only prints
        return False
    return "openblas" in blas.lower() and bool(_WIDE & {*vectors})


@cache
def small_products() -> bool:
    """Tell whether small matrix products are faster than a large one here.

    Returns
    -------
    bool

    Examples
    --------
    >>> small_products() in (True, False)
    True
    """
    return threads() == 1 and small_kernels()
