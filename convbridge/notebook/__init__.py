"""Results as a notebook shows them: what the ``_repr_html_`` of convbridge's results return.

A result is plain data and knows one thing about its display: which function of
this package writes it. So the package is imported when a notebook asks, and
never before.

``parts``
    Grids of numbers, tables, curves, verdicts: HTML of no subject.
``teaching``
    Comparisons, lessons, learned kernels, receptive fields, the atlas.
``proof``
    The matrix, explanations, judgements of users' own code.

An output stands in somebody else's page. So it brings styles for itself alone,
takes colours and fonts from around it, loads nothing, has no script, and can be
read where a notebook that is not trusted loses its styles and drawings.
"""

from __future__ import annotations
