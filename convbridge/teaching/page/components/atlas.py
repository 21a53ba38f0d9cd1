"""The atlas in the page: every question to the frameworks' own operators, with what each of them answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convbridge.teaching import atlas
from convbridge.teaching.atlas_results import Finding, Outcome, as_text
from convbridge.teaching.divergences import ENTRIES, GROUPS
from convbridge.teaching.page.code import highlight
from convbridge.teaching.page.components.component import Component

__all__ = ["COMPONENT"]


def _gather(names: Sequence[str]) -> dict[str, Any]:
    """Ask the backends all questions; the answers, with what stands for numbers as text."""
    found = atlas.run(ENTRIES, [name for name in names if name in atlas.cartographers()])
    findings = {finding.entry.name: _finding(finding) for finding in found.findings}
    return {
        "backends": [who.backend for who in found.participants],
        "groups": [[findings[entry.name] for entry in entries] for entries in GROUPS.values()],
        "kept": found.kept,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    entry = finding.entry
    return {
        "name": entry.name,
        "inputs": [as_text(name, array) for name, array in entry.inputs.items()],
        "call": _marked(entry.call),
        "promised": entry.promised,
        "kept": finding.kept,
        "promises": [{"backends": names, **_outcome(outcome)} for names, outcome in finding.promises],
        "threads": list(entry.threads),
        "answers": [
            {
                "backend": backend,
                "source": _marked(finding.sources[backend]),
                "given": [
                    {"variant": one.variant, "verdict": one.verdict, "kind": one.kind, **_outcome(one.native)}
                    for one in given
                ],
            }
            for backend, given in finding.by_backend().items()
        ],
    }


def _marked(source: str) -> str:
    return highlight({"": source})[""] if source else ""


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {"numbers": outcome.kind == "numbers", "text": outcome.text}


def _body(_: Any) -> str:
    """Leave everything to the script: the sentences are in the language that is chosen."""
    return '<div class="atlas"></div>'


def _differences(gathered: dict[str, Any]) -> list[str]:
    broken = [one["name"] for group in gathered["groups"] for one in group if not one["kept"]]
    return [f"the promise of {name} is not kept: convbridge atlas {name} shows how" for name in broken]


COMPONENT = Component("atlas", _gather, _body, scripts=("atlas.js",), styles=("atlas.css",), differences=_differences)
