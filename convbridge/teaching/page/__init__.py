"""The chapters as one page: made from a run of the installed backends, so that it cannot drift from them.

What lives where: :mod:`~convbridge.teaching.page.running` runs the examples and
reads the sources, :mod:`~convbridge.teaching.page.sections` says what each
section is made of, :mod:`~convbridge.teaching.page.components` holds what is
more than examples, :mod:`~convbridge.teaching.page.texts` every sentence in
English and in Chinese, :mod:`~convbridge.teaching.page.rendering` puts them
together, ``assets`` is what happens in the browser. A new section is an entry
in ``sections`` and its sentences in ``texts``; a new kind of section is a file
in ``components`` and a script.
"""

from convbridge.teaching.page.rendering import render
from convbridge.teaching.page.running import Run, run

__all__ = ["Run", "render", "run"]
