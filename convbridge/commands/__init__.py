"""The commands of ``convbridge``, one file each.

``app`` puts them together; ``console`` holds what they share. A command's file
imports a framework, rich or pillow inside its functions, so that ``convbridge
--help`` costs nothing.
"""

from __future__ import annotations
