"""Results that are nested: tuples, lists and dictionaries of arrays, as nets return them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["flatten"]


def flatten(tree: Any, name: str = "output") -> dict[str, Any]:
    """Take a nest of arrays apart.

    Parameters
    ----------
    tree : object
        Mappings, tuples, named tuples and lists of whatever; None is nothing.
    name : str
        What the whole is called.

    Returns
    -------
    dict
        The way to each leaf, as Python writes it, to the leaf.

    Examples
    --------
    >>> flatten({"logits": 1.0, "states": (2.0, None, 3.0)})
    {"output['logits']": 1.0, "output['states'][0]": 2.0, "output['states'][2]": 3.0}
    """
    if tree is None:
        return {}
    if isinstance(tree, Mapping):
        branches = [(f"{name}[{key!r}]", branch) for key, branch in tree.items()]
    elif isinstance(tree, (tuple, list)):
        branches = [(f"{name}[{number}]", branch) for number, branch in enumerate(tree)]
    else:
        return {name: tree}
    return {way: leaf for branch_name, branch in branches for way, leaf in flatten(branch, branch_name).items()}
