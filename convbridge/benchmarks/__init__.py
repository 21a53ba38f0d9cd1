"""What ``convbridge bench`` measures, how, and how the result is shown.

``timing`` is how a sample is taken, ``shapes`` the sizes, ``contenders`` how
each library spells a problem; ``convolution``, ``dispatch``, ``imports`` and
``memory`` measure; ``run`` puts them together in a process of its own;
``tables`` and ``plot`` show what it found. Nothing here is imported with
``convbridge``, and a framework only by the process that measures it.
"""

from __future__ import annotations
