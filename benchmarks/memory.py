"""Whether memory grows with calls or shapes, in minutes: ``convbridge bench --only growth --full``.

Every option of ``convbridge bench`` may be added. The code is in
``convbridge/benchmarks/``.
"""

from __future__ import annotations

import sys

from convbridge.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", "--full", "--only", "growth", *sys.argv[1:]]))
