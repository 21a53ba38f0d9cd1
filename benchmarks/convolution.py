"""Convolution and pooling, every case printed: ``convbridge bench`` without dispatch, import time and growth.

``python benchmarks/convolution.py`` runs everything, an hour or more;
``--quick`` a part of every table in about a minute; every option of
``convbridge bench`` may be added. The code is in ``convbridge/benchmarks/``.
"""

from __future__ import annotations

import sys

from convbridge.benchmarks.convolution import TABLES
from convbridge.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "--full", "--verbose", "--only", ",".join([*TABLES, "memory"]), *sys.argv[1:]]))
