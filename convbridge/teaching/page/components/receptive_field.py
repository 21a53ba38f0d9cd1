"""The receptive field: a stack of layers to edit, and what its elements see of the input.

All of it is computed and drawn by the scripts; the page brings the networks
that can be chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convbridge.teaching.networks import NETWORKS
from convbridge.teaching.page.components.component import Component, Gathered

__all__ = ["COMPONENT"]

#: The network that is shown first: the chapter's.
_START = "two-layers"


def _gather(_: Sequence[str]) -> dict[str, Any]:
    return {"networks": [network._asdict() for network in NETWORKS], "start": _START}


def _body(_: Gathered) -> str:
    return """<div class="choice"></div>
<div class="explorer card"></div>"""


COMPONENT = Component(
    name="receptive-field",
    gather=_gather,
    body=_body,
    scripts=("stack.js", "stack-picture.js", "stack-editor.js", "receptive-field.js"),
    styles=("stack.css",),
)
