"""Sources as HTML: keywords, strings, numbers and comments marked, and what differs between backends.

What may live here: tokens in, HTML out; nothing about any function or page.
"""

from __future__ import annotations

import io
import keyword
import tokenize
from collections.abc import Mapping
from difflib import SequenceMatcher
from html import escape
from typing import NamedTuple

__all__ = ["highlight"]

_KINDS = {tokenize.STRING: "s", tokenize.NUMBER: "n", tokenize.COMMENT: "c"}
#: Layout and remarks are no difference in what is computed.
_SILENT = (
    tokenize.NEWLINE,
    tokenize.NL,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.COMMENT,
)


class _Token(NamedTuple):
    kind: str
    text: str
    start: tuple[int, int]
    end: tuple[int, int]


def _tokens(source: str) -> list[_Token]:
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = "k" if token.type == tokenize.NAME and keyword.iskeyword(token.string) else _KINDS.get(token.type, "")
        if token.type not in _SILENT or kind:
            found.append(_Token(kind, token.string, token.start, token.end))
    return found


def _is_remark(token: _Token) -> bool:
    return token.kind == "c" or token.text.startswith('"""')


def highlight(sources: Mapping[str, str]) -> dict[str, str]:
    r"""Write the same function of several backends as HTML.

    A token is marked as different if one of the others has no counterpart of
    it; docstrings and comments never are.

    Parameters
    ----------
    sources : mapping
        Backend to source.

    Returns
    -------
    dict
        Backend to HTML, whose text is the source.

    Examples
    --------
    >>> marked = highlight({"a": "return np.sum(x)\n", "b": "return tf.sum(x)\n"})
    >>> print(marked["a"], end="")
    <span class="k">return</span> <mark>np</mark>.sum(x)
    """
    tokens = {name: _tokens(source) for name, source in sources.items()}
    compared = {name: [token for token in found if not _is_remark(token)] for name, found in tokens.items()}
    return {name: _written(source, tokens[name], _different(name, compared)) for name, source in sources.items()}


def _different(name: str, compared: Mapping[str, list[_Token]]) -> set[tuple[int, int]]:
    """Find the places of a source's tokens that another source does not have."""
    own = compared[name]
    different: set[tuple[int, int]] = set()
    for other, theirs in compared.items():
        if other == name:
            continue
        matcher = SequenceMatcher(None, [token.text for token in own], [token.text for token in theirs], autojunk=False)
        for change, first, last, _, _ in matcher.get_opcodes():
            if change != "equal":
                different.update(token.start for token in own[first:last])
    return different


def _written(source: str, tokens: list[_Token], different: set[tuple[int, int]]) -> str:
    lines = source.splitlines(keepends=True)
    written: list[str] = []
    row, column = 1, 0

    def until(end: tuple[int, int]) -> str:
        nonlocal row, column
        text = ""
        while row < end[0]:
            text, row, column = text + lines[row - 1][column:], row + 1, 0
        if row <= len(lines):
            text, column = text + lines[row - 1][column : end[1]], end[1]
        return escape(text, quote=False)

    for token in tokens:
        written.append(until(token.start))
        text = until(token.end)
        if token.kind:
            text = f'<span class="{token.kind}">{text}</span>'
        written.append(f"<mark>{text}</mark>" if token.start in different else text)
    written.append(until((len(lines) + 1, 0)))
    return "".join(written)
