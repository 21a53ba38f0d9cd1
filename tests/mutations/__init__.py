"""Faults to be planted into a backend, one at a time: what a parity matrix is there to find.

A fault wraps one operator of one backend. It has a name, the fixed cases that
it is run on, and the causes that are right for it: those in whose words it may
be explained. A fault outside the list of hypotheses has no cause; it must be
caught all the same. One file holds those of an operation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Fault(NamedTuple):
    """One deliberate mistake.

    ``plant(right, ...)`` computes what the operator ``right`` should, wrongly. ``select`` chooses the fixed cases
    in which that makes a difference, or might.
    """

    name: str
    backend: str
    operator: str
    plant: Callable[..., Any]
    select: str
    causes: tuple[str, ...]

    @property
    def function(self) -> str:
        """The public function behind the operator."""
        return self.operator.replace("max_", "").replace("avg_", "")


FAULTS: list[Fault] = []

#: Padding on the other side, which may be what another word means.
SIDES = ("padding-swapped", "same-upper", "same-lower")


def fault(name, operator, *causes, select="", backend="numpy"):
    """Enter a fault into the list; ``select`` chooses among the fixed cases of the operator."""

    def enter(plant):
        FAULTS.append(Fault(name, backend, operator, plant, select, causes))
        return plant

    return enter


def image_axes(data_format):
    return (2, 3) if data_format == "NCHW" else (1, 2)


def channel_axis(data_format):
    return 1 if data_format == "NCHW" else 3


from . import convolution, gradients, others, pooling, precision  # noqa: E402, F401  (they fill the list)
