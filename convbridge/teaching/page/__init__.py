"""The chapters as one page: made from a run of the installed backends, so that it cannot drift from them.

What lives where: :mod:`~convbridge.teaching.page.running` runs the examples and
reads the sources, :mod:`~convbridge.teaching.page.sections` says which section
shows which examples, :mod:`~convbridge.teaching.page.texts` holds every
sentence in English and in Chinese, :mod:`~convbridge.teaching.page.rendering`
puts them together, ``assets`` is what happens in the browser. A new section is
an entry in ``sections`` and its sentences in ``texts``; one with another
component than the explorer brings a script that registers it.
"""

from convbridge.teaching.page.rendering import render
from convbridge.teaching.page.running import Run, run

__all__ = ["Run", "render", "run"]
