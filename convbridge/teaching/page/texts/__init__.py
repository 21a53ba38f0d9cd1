"""Every sentence of the page, in English and in Chinese.

A text may hold inline HTML and places such as {n} that the page's script
fills in. What may live here: texts, a file for each part of the page. A test
finds a key that one language lacks, one that two files have, and one that
nobody uses.
"""

from __future__ import annotations

from convbridge.teaching.page.texts import (
    atlas,
    chapters,
    exercises,
    explorer,
    frame,
    frameworks,
    layer,
    learning,
    parity,
    receptive_field,
)

__all__ = ["LANGUAGES", "PARTS", "TEXTS"]

#: In the order of a text's two versions.
LANGUAGES = {"en": "English", "zh": "中文"}

#: The files, in the order of the page.
PARTS = (frame, chapters, explorer, layer, frameworks, learning, receptive_field, atlas, parity, exercises)

#: Key to the English and the Chinese text.
TEXTS: dict[str, tuple[str, str]] = {key: texts for part in PARTS for key, texts in part.TEXTS.items()}
