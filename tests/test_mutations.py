"""The matrix finds every fault that is planted, and names the cause of those that it has a word for.

The faults are in ``mutations/``. Each is planted into a backend alone, and
the matrix runs over some fixed cases. The list and the score are shown when
the tests run.
"""

from __future__ import annotations

import sys
from collections import Counter
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import NamedTuple

import pytest

from convbridge import registry
from convbridge.parity import run_matrix
from convbridge.parity.choose import chooser
from convbridge.parity.explain import explain
from convbridge.parity.lattice import lattice
from convbridge.parity.results import CRASHED, ORACLE

# pytest imports test files by their path, and puts their folder on no other path
_folder = Path(__file__).parent / "mutations"
_spec = spec_from_file_location("convbridge_mutations", _folder / "__init__.py")
sys.modules[_spec.name] = mutations = module_from_spec(_spec)
_spec.loader.exec_module(mutations)
FAULTS, Fault = mutations.FAULTS, mutations.Fault

#: The backends that are tested in this run: their frameworks are imported by now.
TESTED = {name for name in registry.BUILTIN if registry.spec(name).framework in sys.modules}

#: Cases for each fault, and failures of each that are explained.
CASES, EXPLAINED = 16, 3


class Finding(NamedTuple):
    """What the matrix made of a fault."""

    failed: int
    compared: int
    #: Name of the cause to how often it was given.
    names: Counter[str]

    def right(self, fault: Fault) -> int:
        return sum(self.names[name] for name in fault.causes)


def evenly(items: list, most: int) -> list:
    step = max(len(items) / most, 1)
    return [items[int(number * step)] for number in range(min(most, len(items)))]


fixed_cases = cache(lattice)


def cases_of(fault: Fault) -> list:
    chosen = chooser(fault.select)
    return evenly([case for case in fixed_cases() if _asks(case, fault) and chosen(case)], CASES)


def _asks(case, fault: Fault) -> bool:
    return case.function == fault.function and case.operation == fault.operator.removesuffix("_vjp")


@cache
def find(fault: Fault) -> Finding:
    """Plant a fault, run the matrix, explain some of what it found."""
    operators = registry.load(fault.backend).ops
    right = getattr(operators, fault.operator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operators, fault.operator, lambda *arrays, **keywords: fault.plant(right, *arrays, **keywords))
        matrix = run_matrix([fault.backend], cases=cases_of(fault))
    failures = [comparison for comparison in matrix.failures if comparison.right == ORACLE]
    names: Counter[str] = Counter()
    wrong = [
        (matrix.cases[failure.case], failure.result, matrix.details[failure.case, failure.result].outputs)
        for failure in failures
        if failure.verdict != CRASHED
    ]
    for case, result, outputs in evenly([found for found in wrong if fault.backend in found[2]], EXPLAINED):
        names[explain(outputs[fault.backend], case, result=result).name] += 1
    return Finding(len(failures), len(matrix.comparisons), names)


def planted() -> list:
    """Return the faults as parameters."""
    return [
        pytest.param(
            fault,
            id=f"{fault.backend}-{fault.operator}-{fault.name.replace(' ', '-')}",
            marks=() if fault.backend in TESTED else pytest.mark.skip(reason=f"{fault.backend} is not tested"),
        )
        for fault in FAULTS
    ]


@pytest.mark.parametrize("fault", planted())
def test_a_fault_is_caught(fault):
    assert find(fault).failed


@pytest.mark.parametrize("operator", sorted({fault.operator for fault in FAULTS}))
def test_without_a_fault_nothing_is_found(operator):
    cases = {case.name: case for fault in FAULTS if fault.operator == operator for case in cases_of(fault)}
    matrix = run_matrix(["numpy"], cases=evenly(list(cases.values()), 120))
    assert matrix.agrees, matrix.failures[:3]


def test_the_causes_of_the_faults_are_named(capsys):
    found = {fault: find(fault) for fault in FAULTS if fault.backend in TESTED}
    table, right, explained = score(found)
    with capsys.disabled():  # for whoever runs the tests
        print("", *table, sep="\n")
    assert max(map(len, table)) <= 80
    assert all(finding.failed for finding in found.values())
    assert len(found) >= 25
    assert explained >= 100
    assert right / explained >= 0.95


def score(found: dict[Fault, Finding]) -> tuple[list[str], int, int]:
    """Write the table, 80 characters wide; return also how many explanations there are, and how many are right."""
    lines = [f"{'fault':30} {'operator':18} {'caught':6} {'named cause':19} right"[:80], "-" * 80]
    right = explained = 0
    for fault, finding in found.items():
        where = fault.operator if fault.backend == "numpy" else f"{fault.operator} ({fault.backend})"
        name = finding.names.most_common(1)[0][0] if finding.names else ""
        verdict = "-"
        if fault.causes:
            of = sum(finding.names.values())
            right, explained = right + finding.right(fault), explained + of
            verdict = f"{finding.right(fault)}/{of}"
        caught = f"{finding.failed}/{finding.compared}"
        lines.append(f"{fault.name:30} {where:18} {caught:>6} {name or '-':19} {verdict}")
    listed = sum(bool(fault.causes) for fault in found)
    caught = sum(bool(finding.failed) for finding in found.values())
    share = right / max(explained, 1)
    return (
        [
            *lines,
            "-" * 80,
            f"{caught} of {len(found)} faults caught, {listed} of them with a cause in the list",
            f"{explained} of their results were explained, {right} of them rightly ({share:.1%})",
        ],
        right,
        explained,
    )


def test_a_wrong_cause_counts_as_wrong():
    fault = next(fault for fault in FAULTS if fault.name == "true convolution")
    table, right, explained = score({fault._replace(causes=("bias-missing",)): find(fault)})
    assert (right, explained) == (0, EXPLAINED)
    assert "0/3" in table[2]
    assert "(0.0%)" in table[-1]


# --------------------------------------------------------------------------- no false alarm


def test_results_of_a_right_backend_need_no_explanation(backend):
    gaps = registry.spec(backend).unsupported
    cases = evenly([case for case in fixed_cases() if case.gap(gaps) is None], 300)
    alarms = []

    def watch(case, outcomes):
        for result, values in outcomes[backend].values.items():
            if values is not None:
                found = explain(values, case, result=result)
                if found.differs:
                    alarms.append(f"{case.name}: {result}: {found}")

    matrix = run_matrix([backend], cases=cases, watch=watch)
    assert matrix.agrees, matrix.failures[:3]
    assert len(matrix.comparisons) >= 300
    assert not alarms


def test_a_right_backend_agrees_with_numpy(backend):
    matrix = run_matrix({"numpy", backend}, cases=evenly(fixed_cases(), 150))
    assert matrix.agrees, matrix.failures[:3]
