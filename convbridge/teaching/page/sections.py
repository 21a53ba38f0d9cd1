"""The sections of the page, in the order of the chapters. A section is a name and what it is made of."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["SECTIONS", "Section"]


class Section(NamedTuple):
    """A section of the page.

    Attributes
    ----------
    name : str
        Its anchor is "section-" and this; its sentences are the texts that
        begin with "section." and this.
    paragraphs : int
        How many paragraphs it has: the texts that end with ".1", ".2" and so on.
    examples : tuple of str
        Names from :mod:`convbridge.teaching.examples`; each has a link.
    component : str
        What it is made of instead, from
        :mod:`convbridge.teaching.page.components`; the section's name is its
        link. "" for examples.
    """

    name: str
    paragraphs: int
    examples: tuple[str, ...] = ()
    component: str = ""

    @property
    def links(self) -> tuple[str, ...]:
        """What the address bar can name in it."""
        return self.examples or (self.name,)


SECTIONS: tuple[Section, ...] = (
    Section("cross-correlation", 2, ("corr2d",)),
    Section("layer", 3, ("layer-bias", "layer-bias-channels")),
    Section("edges", 2, ("edges-vertical", "edges-horizontal", "edges-transposed", "edges-diagonal")),
    Section("learning", 3, component="learning"),
    Section("convolution", 2, ("convolution",)),
    Section("receptive-field", 3, component="receptive-field"),
    Section(
        "padding-and-stride",
        3,
        (
            "padding",
            "padding-stride",
            "layer-padding",
            "layer-padding-rectangle",
            "layer-stride",
            "layer-stride-rectangle",
        ),
    ),
    Section("channels", 2, ("channels-in", "channels-out")),
    Section("1x1", 1, ("channels-1x1",)),
    Section(
        "pooling",
        3,
        (
            "pool-max",
            "pool-avg",
            "pool-layer",
            "pool-layer-stride",
            "pool-layer-rectangle",
            "pool-layer-channels",
            "pool-layer-negative",
        ),
    ),
    Section("atlas", 3, component="atlas"),
    Section("parity", 3, component="parity"),
    Section("exercises", 2, component="exercises"),
)
