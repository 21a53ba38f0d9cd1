"""Reports: what a run of the matrix found, for people and for programs.

Each report has a file of its own, reads a :class:`convbridge.parity.results.Matrix`
and computes nothing that the run did not:

``terminal``
    A summary for the terminal, 80 columns wide; needs rich.
``html``
    One self-contained page, with every number behind the cells that matter.
``json``
    Everything, by a published schema.
``junit``
    One test a cell, for a continuous integration server.

``judgements``
    What the tests of a user's code compared, as a page of its own.

``words`` and ``data`` hold what they share: symbols, sentences and commands;
a matrix as dictionaries and lists.
"""
