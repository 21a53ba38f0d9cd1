"""What ``import convbridge`` costs: ``convbridge bench --only import --backends numpy --full``.

Every option of ``convbridge bench`` may be added. The code is in
``convbridge/benchmarks/``.
"""

from __future__ import annotations

import sys

from convbridge.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "--full", "--only", "import", "--backends", "numpy", *sys.argv[1:]]))
