"""The array operations: those of the NumPy backend, because SciPy computes on NumPy arrays.

A framework with tensors of its own would define these sixteen functions for
them; ``convbridge.protocol.ArraysModule`` says what each must do.
"""

from convbridge_numpy.arrays import *  # noqa: F403
