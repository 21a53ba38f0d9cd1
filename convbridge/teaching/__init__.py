"""Teaching: the chapters' examples, computed side by side, and the arithmetic of layers.

``examples``
    The examples as data: inputs and calls, no results.
``compare``
    Runs an example on several backends and judges the results.
``stack``
    A little language for stacks of layers: sizes and receptive fields.
"""

from __future__ import annotations
