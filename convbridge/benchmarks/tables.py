"""What a run found, as text of at most 80 columns."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from convbridge.benchmarks import dispatch, imports, memory
from convbridge.benchmarks.timing import Result, control_of, geometric_mean

__all__ = ["by_family", "conditions", "contenders", "lines", "machine", "results"]

WIDTH = 80


def results(table: dict[str, Any], reference: str) -> list[Result]:
    """Return a table's cases that the reference could compute.

    Parameters
    ----------
    table : dict
        One of a document's ``tables``.
    reference : str
        A label.

    Returns
    -------
    list of Result

    Examples
    --------
    >>> results({"cases": []}, "PyTorch")
    []
    """
    return [found for found in (Result(**case) for case in table["cases"]) if reference in found.seconds]


def contenders(found: Sequence[Result], reference: str) -> list[str]:
    """Name all that can be compared with the reference, the control last.

    Parameters
    ----------
    found : sequence of Result
    reference : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> contenders([Result("", "", {"MXNet": [1.0], "MXNet again": [1.0], "NumPy": [1.0]}, {})], "MXNet")
    ['NumPy', 'MXNet again']
    """
    control = control_of(reference)
    names = dict.fromkeys(name for result in found for name in result.seconds)
    return [name for name in names if name not in (reference, control)] + [name for name in names if name == control]


def by_family(found: Sequence[Result]) -> list[Result]:
    """Put families together, in the order in which they first come.

    Parameters
    ----------
    found : sequence of Result

    Returns
    -------
    list of Result

    Examples
    --------
    >>> [result.name for result in by_family([Result(name[0], name, {}, {}) for name in ("b1", "a1", "b2")])]
    ['b1', 'b2', 'a1']
    """
    families = list(dict.fromkeys(result.family for result in found))
    return sorted(found, key=lambda result: families.index(result.family))


def machine(document: dict[str, Any]) -> str:
    """Describe where a run took place, in one line.

    Parameters
    ----------
    document : dict

    Returns
    -------
    str

    Examples
    --------
    >>> machine({"machine": {"processor": "a CPU", "vectors": "avx2", "cpus": 2, "system": "Linux", "load": [0.5]}})
    'a CPU, avx2, 2 CPUs, Linux, load 0.5'
    """
    known = document["machine"]
    load = f"load {' '.join(map(str, known['load']))}" if known["load"] else ""
    cpus = f"{known['cpus']} CPU{'' if known['cpus'] == 1 else 's'}"
    return ", ".join(filter(None, (known["processor"], known["vectors"], cpus, known["system"], load)))


def conditions(document: dict[str, Any]) -> str:
    """Describe how a run was made, in one line.

    Parameters
    ----------
    document : dict

    Returns
    -------
    str
    """
    how = document["conditions"]
    samples = how["passes"] * how["rounds"]
    threads = "one thread" if how["threads"] == 1 else f"{how['threads']} threads"
    kinds = {"operator": "NumPy's operators", "facade": "NumPy through the facade", "layer": "NumPy through layers"}
    return (
        f"{how['run']} run, {samples} samples of each call, {how['clock']} time, {threads}, "
        f"heap {how['heap']}, precision {how['precision']}, {kinds[how['call']]}"
    )


def lines(document: dict[str, Any], *, verbose: bool = False) -> Iterator[str]:
    """Yield the whole result.

    Parameters
    ----------
    document : dict
        From ``run``.
    verbose : bool
        Also every case.

    Yields
    ------
    str
        At most 80 characters.
    """
    reference = document["reference"]
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    for paragraph in (machine(document), versions, conditions(document)):
        yield from _wrapped(paragraph)
    for row in document["libraries"]:
        if row["state"] in ("missing", "broken"):
            yield from _wrapped(f"{row['name']} is {row['state']}: {row['note']}")
    alone = sum(row["state"] == "measured" for row in document["libraries"]) == 1
    if document["tables"]:
        yield ""
        if alone:
            yield from _wrapped(
                f"There is nothing to compare with: {reference} alone was measured. What follows are milliseconds, "
                "and the ratio of a second run to the first."
            )
        else:
            yield from _wrapped(
                f"Ratios of time to {reference}'s: below 1 is faster. A family's number is the geometric mean over "
                f"its cases, fastest samples. {reference} runs twice: as far as {control_of(reference)} is from 1, "
                "a ratio says nothing."
            )
        yield from _wrapped(
            "Names: b8 is a batch of 8; 3->64 channels; @224, the image's size; the kernel; s stride, p padding, "
            "g groups, d dilation, where they are not 1, 0, 1, 1."
        )
    for table in document["tables"]:
        yield ""
        part = "" if len(table["cases"]) == table["of"] else f" ({len(table['cases'])} of {table['of']} cases)"
        yield f"{table['name']}: {table['title']}{part}"
        found = results(table, reference)
        names = contenders(found, reference)
        if verbose or len(names) < 2:
            yield from _cases(found, reference)
        if len(names) > 1:
            yield from _families(found, names, reference)
        yield from _failures(table)
        if table["name"] == "forward":
            yield from _stacks(document.get("stacks", ()), reference, names)
    if document.get("memory"):
        yield ""
        yield from _memory(document["memory"])
    for name, show in (("dispatch", dispatch.text), ("import", imports.text), ("growth", memory.text)):
        if name in document:
            yield ""
            yield from show(document[name])


def _wrapped(text: str) -> Iterator[str]:
    yield from textwrap.wrap(text, WIDTH, break_long_words=True, break_on_hyphens=False)


def _row(label: str, count: str, cells: Sequence[str], names: Sequence[str]) -> str:
    numbers = "".join(f"{cell:>{max(len(name), 6) + 2}}" for cell, name in zip(cells, names))
    return f"{label:14}{count:>6}{numbers}".rstrip()


def _number(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:.0f}"


def _families(found: Sequence[Result], names: Sequence[str], reference: str) -> Iterator[str]:
    """Sum up: a line a family, then all cases together, and how far they spread."""
    yield _row("", "cases", names, names)
    families = list(dict.fromkeys(result.family for result in found))
    for family in [*families, "all"] if len(families) > 1 else families:
        chosen = [result for result in found if family in (result.family, "all")]
        ratios = {name: [r.ratio(name, reference) for r in chosen if name in r.seconds] for name in names}
        cells = [_number(geometric_mean(ratios[name])) if ratios[name] else "-" for name in names]
        yield _row(family, str(len(chosen)), cells, names)
    for label, pick in (("  least", min), ("  median", statistics.median), ("  largest", max)):
        yield _row(label, "", [_number(pick(ratios[name])) for name in names], names)
    if "NumPy" in names:
        worst = max((r for r in found if "NumPy" in r.seconds), key=lambda result: result.ratio("NumPy", reference))
        yield f"NumPy's largest: {worst.name}"


def _cases(found: Sequence[Result], reference: str) -> Iterator[str]:
    """List the cases: the reference's time, each ratio, and in parentheses the least, median and largest of a round."""
    family = ""
    for result in by_family(found):
        if result.family != family:
            family = result.family
            yield f"{family}:"
        label = result.name
        yield f"{label:41}{reference:14}{min(result.seconds[reference]) * 1e3:8.3f} ms"
        for name in contenders([result], reference):
            spread = " ".join(map(_number, result.spread(name, reference)))
            yield f"{'':41}{name:14}{_number(result.ratio(name, reference)):>5} ({spread})"


def _failures(table: dict[str, Any]) -> Iterator[str]:
    """Say who could not compute what: the number of cases, and the first message."""
    messages: dict[str, list[str]] = {}
    for case in table["cases"]:
        for name, message in case["failed"].items():
            messages.setdefault(name, []).append(message)
    for name, said in messages.items():
        yield from _wrapped(f"{name} could not compute {len(said)} of {len(table['cases'])}: {said[0]}")


def _stacks(rows: Sequence[dict[str, Any]], reference: str, names: Sequence[str]) -> Iterator[str]:
    if not rows or len(names) < 2:
        return
    yield ""
    yield f"whole networks, all their convolutions summed, to {reference}'s sum"
    yield _row("", "ms", names, names)
    for row in rows:
        base = row["seconds"][reference]
        cells = [_number(row["seconds"][name] / base) if name in row["seconds"] else "-" for name in names]
        yield _row(f"{row['network']} b{row['batch']}", f"{base * 1e3:.0f}", cells, names)


def _memory(rows: Sequence[dict[str, Any]], most: int = 10) -> Iterator[str]:
    ordered = sorted(rows, key=lambda row: row["extra"] / row["allowed"], reverse=True)
    yield f"memory: MiB of a call of NumPy's beyond its result, the most of {len(rows)}"
    yield f"{'':50}{'extra':>10}{'allowed':>10}{'share':>8}"
    for row in ordered[:most]:
        extra, allowed = row["extra"] / 2**20, row["allowed"] / 2**20
        yield f"{row['name']:50}{extra:10.2f}{allowed:10.2f}{extra / allowed:8.2f}"
