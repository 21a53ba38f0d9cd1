"""Refusing results that cannot be held, before anything is allocated.

Frameworks meet a result of terabytes in their own ways: a clear error, an
abort of the process, a hang, a size that wraps around. The facade computes
every size first and asks here.
"""

from __future__ import annotations

import os
from math import prod

from convbridge.errors import ShapeError, received

__all__ = ["check_size"]

#: Below this nobody looks at the machine: two system calls cost more than the check is worth.
_ALWAYS_FINE = 2**28

_ITEM_SIZE = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}


def _available() -> int:
    """Return how many bytes a process may still allocate here, as far as the system tells."""
    limits = []
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            limits += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError):
        pass
    if not limits:
        try:
            limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        except (AttributeError, OSError, ValueError):
            limits.append(2**36)  # a system that does not say; 64 GiB stops what is hopeless
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path, encoding="ascii") as file:
                limits.append(int(file.read()))
        except (OSError, ValueError):
            continue
    return min(limits)


def in_words(size: int) -> str:
    """Write a number of bytes with the unit a person would use.

    Parameters
    ----------
    size : int
        In bytes.

    Returns
    -------
    str

    Examples
    --------
    >>> in_words(3 * 2**40)
    '3.0 TiB'
    """
    amount = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if amount < 1024:
            return f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} EiB"


def check_size(
    result: tuple[int, ...], padded: tuple[int, ...], dtype: str, max_elements: int, *, on_host: bool = True
) -> bool:
    """Refuse a call whose padded input and result do not fit into memory.

    Parameters
    ----------
    result, padded : tuple of int
        Shapes of the result and of the input after padding.
    dtype : str
        Of both.
    max_elements : int
        The most elements that one array of the backend may hold.
    on_host : bool, default True
        Whether the arrays live in the machine's memory rather than a device's.

    Returns
    -------
    bool
        Whether the answer is always the same, however much memory there is.

    Raises
    ------
    ShapeError
        With the sizes in words.

    Examples
    --------
    >>> check_size((1, 1, 2, 2), (1, 1, 3, 3), "float32", 2**31)
    True
    """
    largest = max(prod(result), prod(padded))
    needed = (prod(result) + prod(padded)) * _ITEM_SIZE[dtype]
    if needed < _ALWAYS_FINE and largest < max_elements:
        return True
    shapes = received(padded_input_shape=padded, result_shape=result, dtype=dtype)
    if largest >= max_elements:
        raise ShapeError(
            f"The padded input and the result must each have fewer than {max_elements} elements in this backend, "
            f"not {largest}. {shapes}"
        )
    if on_host and needed > _available():
        raise ShapeError(
            f"The padded input and the result must fit into memory: together they take {in_words(needed)}, of which "
            f"{in_words(_available())} are available. {shapes}"
        )
    return False
