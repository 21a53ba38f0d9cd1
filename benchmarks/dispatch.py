"""What convbridge adds to a framework's call: ``convbridge bench --only dispatch --full``.

Every option of ``convbridge bench`` may be added. The code is in
``convbridge/benchmarks/``.
"""

from __future__ import annotations

import sys

from convbridge.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "--full", "--only", "dispatch", *sys.argv[1:]]))
