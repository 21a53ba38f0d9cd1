"""What an entry of the atlas consists of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Entry", "count", "ones"]

Array = np.ndarray[Any, Any]


def count(*shape: int, start: int = 1) -> Array:
    """Return the numbers from ``start`` on, as float32.

    Examples
    --------
    >>> count(2, 2).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return np.arange(start, start + np.prod(shape, dtype=int), dtype="float32").reshape(shape)


def ones(*shape: int) -> Array:
    """Return ones, as float32.

    Examples
    --------
    >>> ones(1, 2).tolist()
    [[1.0, 1.0]]
    """
    return np.ones(shape, "float32")


class Entry(NamedTuple):
    """One question to all frameworks.

    Attributes
    ----------
    name : str
        Lower case, words joined by hyphens; with underscores it is the
        function in each backend's ``atlas.py``.
    title : str
        The divergence in a line.
    question : str
        What is asked, in a sentence.
    inputs : dict
        Name to array, also the arguments of the functions.
    call : str
        What convbridge is asked: Python, whose last line is the answer.
    why : str
        The cause.
    promise : str
        What convbridge does, and why.
    threads : tuple of str
        Public reports of it, as ``owner/repository#number``.
    promised : bool
        Whether the four backends must give the same answer to ``call``.
    destroys : bool
        Whether the native call may damage the memory of its process.
    """

    name: str
    title: str
    question: str
    inputs: dict[str, Array]
    call: str
    why: str
    promise: str
    threads: tuple[str, ...] = ()
    promised: bool = True
    destroys: bool = False

    @property
    def function(self) -> str:
        """The name of the function in each backend's ``atlas.py``."""
        return self.name.replace("-", "_")

    def arrays(self) -> dict[str, Array]:
        """Return copies of the inputs, which may be changed."""
        return {name: array.copy() for name, array in self.inputs.items()}
