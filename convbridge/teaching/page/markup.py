"""Elements that every part of the page writes in the same way."""

from __future__ import annotations

from convbridge.teaching.page.texts import TEXTS

__all__ = ["text"]


def text(tag: str, key: str, attributes: str = "") -> str:
    """Write an element whose content is a text; the page's script replaces it by that of the chosen language.

    Parameters
    ----------
    tag : str
        Name of the element.
    key : str
        Of :data:`convbridge.teaching.page.texts.TEXTS`.
    attributes : str, optional
        Further ones, as HTML.

    Returns
    -------
    str

    Examples
    --------
    >>> text("p", "missing", 'class="small"')
    '<p data-text="missing" class="small">missing</p>'
    """
    return f'<{tag} data-text="{key}"{attributes and " " + attributes}>{TEXTS[key][0]}</{tag}>'
