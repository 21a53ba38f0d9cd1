"""What a section can be made of, besides the examples of the chapters.

A component is found in the run, drawn in Python, and brought to life by a
script. What may live here: one file for each component, with a
:class:`~convbridge.teaching.page.components.component.Component` named
``COMPONENT``, and the one list of them. Its script in ``assets`` calls
``components.register``; ``components.js`` says what it must return.
"""

from __future__ import annotations

from convbridge.teaching.page.components import atlas, exercises, learning, parity, receptive_field
from convbridge.teaching.page.components.component import Component

__all__ = ["COMPONENTS", "Component"]

#: In the order in which their scripts stand in the page.
_ALL: tuple[Component, ...] = (
    learning.COMPONENT,
    receptive_field.COMPONENT,
    atlas.COMPONENT,
    parity.COMPONENT,
    exercises.COMPONENT,
)

#: Name to component.
COMPONENTS: dict[str, Component] = {one.name: one for one in _ALL}
