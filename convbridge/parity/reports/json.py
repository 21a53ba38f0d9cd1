"""The report for programs: everything that a run found, as JSON by a published schema.

The schema is ``schema/report-1.json`` beside this file. A field may be added
under the same name of the schema; one that changes its meaning or goes gets
"convbridge/parity-report/2".
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from convbridge.parity.reports.data import cell_data, cells_in_order, comparison_data, detail_data, plain
from convbridge.parity.reports.words import summary
from convbridge.parity.results import VERDICTS, Matrix

__all__ = ["SCHEMA", "dump", "render", "schema"]

#: What a report names as its schema.
SCHEMA = "convbridge/parity-report/1"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the report.

    Returns
    -------
    dict

    Examples
    --------
    >>> schema()["$schema"]
    'https://json-schema.org/draft/2020-12/schema'
    """
    text = files("convbridge.parity.reports").joinpath("schema/report-1.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def dump(matrix: Matrix) -> dict[str, Any]:
    """Return a matrix as JSON has it.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    dict
        Dictionaries, lists, strings, finite numbers, booleans and None. NaN and infinities are
        the strings "nan", "inf" and "-inf".

    Examples
    --------
    >>> dump(Matrix())["schema"], dump(Matrix())["agrees"]
    ('convbridge/parity-report/1', False)
    """
    counts = matrix.counts()
    return {
        "schema": SCHEMA,
        "agrees": matrix.agrees,
        "summary": summary(matrix),
        "seconds": plain(float(matrix.seconds)),
        "facts": dict(matrix.facts),
        "counts": {verdict: counts[verdict] for verdict in VERDICTS},
        "participants": [participant._asdict() for participant in matrix.participants],
        "cases": [
            {
                "name": case.name,
                "function": case.function,
                "kind": case.kind,
                "implementation": case.implementation,
                "dtype": case.dtype,
                "text": str(case),
            }
            for case in matrix.cases.values()
        ],
        "rows": [
            {**row._asdict(), "cells": [cell_data(left, right, cell) for (left, right), cell in cells.items()]}
            for row, cells in cells_in_order(matrix).items()
        ],
        "comparisons": [comparison_data(comparison) for comparison in matrix.comparisons],
        "details": [
            detail_data(matrix.cases[case], result, detail) for (case, result), detail in matrix.details.items()
        ],
    }


def render(matrix: Matrix) -> str:
    """Return the report as text, one comparison or detail a line.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    str
        It ends with a newline.

    Examples
    --------
    >>> json.loads(render(Matrix())) == dump(Matrix())
    True
    """
    fields = []
    for name, value in dump(matrix).items():
        if isinstance(value, list) and value:
            items = ",\n    ".join(json.dumps(item, allow_nan=False) for item in value)
            fields.append(f"  {json.dumps(name)}: [\n    {items}\n  ]")
        else:
            fields.append(f"  {json.dumps(name)}: {json.dumps(value, allow_nan=False)}")
    return "{\n" + ",\n".join(fields) + "\n}\n"
