"""A matrix as dictionaries, lists, strings and numbers: what the reports of JSON and HTML are made of.

Numbers keep every bit. A float64 is the shortest decimal that reads back to
it; so is a float32, which makes it shorter: read it as a float32. JSON has no
NaN and no infinities, so they are the strings "nan", "inf" and "-inf".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from convbridge.parity import oracle
from convbridge.parity.cases import Case
from convbridge.parity.results import FAILURES, MISSING, ORACLE, Cell, Comparison, Detail, Matrix, Row, row_of

__all__ = [
    "Place",
    "array_data",
    "axes",
    "by_cell",
    "cell_data",
    "cells_in_order",
    "comparison_data",
    "detail_data",
    "failing_cells",
    "plain",
]

Array = np.ndarray[Any, Any]
Data = dict[str, Any]
#: A cell: its row, left and right.
Place = tuple[Row, str, str]


_DTYPES = ("float64", "float32", "float16", "bfloat16")


def cells_in_order(matrix: Matrix) -> dict[Row, dict[tuple[str, str], Cell]]:
    """Sum the comparisons up, rows of one operation below each other.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    dict
        As :meth:`Matrix.cells`: operations in the order in which they first ran, the values of
        each before its gradients, the widest dtype first.

    Examples
    --------
    >>> cells_in_order(Matrix())
    {}
    """
    cells = matrix.cells()
    first: dict[tuple[str, str], int] = {}
    for row in cells:
        first.setdefault((row.operation, row.implementation), len(first))

    def place(row: Row) -> tuple[int, bool, int, str]:
        width = _DTYPES.index(row.dtype) if row.dtype in _DTYPES else len(_DTYPES)
        return first[row.operation, row.implementation], row.kind == "gradient", width, row.dtype

    return {row: cells[row] for row in sorted(cells, key=place)}


def by_cell(matrix: Matrix) -> dict[Place, list[Comparison]]:
    """Sort the comparisons into their cells.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    dict
        Row, left and right to comparisons, in the order in which they were made.

    Examples
    --------
    >>> by_cell(Matrix())
    {}
    """
    rows = {name: row_of(case) for name, case in matrix.cases.items()}
    found: dict[Place, list[Comparison]] = {}
    for comparison in matrix.comparisons:
        found.setdefault((rows[comparison.case], comparison.left, comparison.right), []).append(comparison)
    return found


def failing_cells(matrix: Matrix) -> tuple[dict[Place, list[Comparison]], list[Place]]:
    """Find the cells to describe.

    Parameters
    ----------
    matrix : Matrix

    Returns
    -------
    failing : dict
        Cell to its failures, in the order of the rows. Who is missing is not among them: it
        fails everywhere for one reason.
    new : list
        The failing cells without the pairs in which one differs from the exact result, too: who
        is wrong differs from everybody.

    Examples
    --------
    >>> failing_cells(Matrix())
    ({}, [])
    """
    order = list(cells_in_order(matrix))
    failing = {
        place: [comparison for comparison in comparisons if comparison.verdict in FAILURES - {MISSING}]
        for place, comparisons in sorted(by_cell(matrix).items(), key=lambda item: order.index(item[0][0]))
    }
    failing = {place: failures for place, failures in failing.items() if failures}
    wrong = {(row, left) for row, left, right in failing if right == ORACLE}
    new = [
        (row, left, right) for row, left, right in failing if right == ORACLE or not {(row, left), (row, right)} & wrong
    ]
    return failing, new


def plain(number: float) -> float | str:
    """Replace what JSON has no number for by its name.

    Parameters
    ----------
    number : float

    Returns
    -------
    float or str

    Examples
    --------
    >>> plain(0.5), plain(float("-inf"))
    (0.5, '-inf')
    """
    return number if np.isfinite(number) else str(number)


def axes(case: Case, name: str, rank: int) -> str:
    """Name the axes of an operand or a result.

    Parameters
    ----------
    case : Case
    name : str
        "X", "weight", "dW", ...
    rank : int
        How many axes it has.

    Returns
    -------
    str
        A letter an axis: N (batch), C (channels), H, W, O (output channels), I (input channels);
        "" where there are more axes or fewer than there can be.

    Examples
    --------
    >>> case = Case(0, 0, "conv2d", {}, {"data_format": "NHWC"}, "float32")
    >>> axes(case, "X", 4), axes(case, "weight", 4), axes(case, "bias", 1)
    ('NHWC', 'OIHW', 'O')
    """
    if name in ("bias", "db"):
        return "O" if rank == 1 else ""
    if not 2 <= rank <= 4:
        return ""
    if name in ("weight", "K", "dW"):
        return "OIHW"[-rank:]
    channels_last = case.keywords.get("data_format") == "NHWC" and rank > 2
    return ("NHWC" if channels_last else "NCHW")[-rank:]


def array_data(array: Array, dtype: str = "") -> Data:
    """Write an array.

    Parameters
    ----------
    array : numpy.ndarray
        Of a float type or of integers. What float64 cannot hold of a longdouble comes apart.
    dtype : str, optional
        Its dtype, where it is not the array's: "bfloat16", which NumPy holds as float32.

    Returns
    -------
    dict
        "dtype", "shape", "values" in row-major order and, if it is not zero, "rest": what is to
        be added to the values to have all of a longdouble.

    Examples
    --------
    >>> array_data(np.array([[0.1, np.nan]], np.float32))
    {'dtype': 'float32', 'shape': [1, 2], 'values': [0.1, 'nan']}
    >>> array_data(np.array([1, 3], np.longdouble) / 3)["dtype"]
    'float64'
    """
    rest: list[float | str] = []
    if array.dtype == np.longdouble:
        narrow = array.astype(np.float64)
        with np.errstate(invalid="ignore"):  # infinity less infinity
            lost = np.where(np.isfinite(narrow), array - narrow.astype(np.longdouble), 0).astype(np.float64)
        rest = lost.ravel().tolist() if lost.any() else []
        array = narrow
    if array.dtype == np.float32:
        values = [plain(float(str(number))) for number in array.ravel()]
    else:
        values = [plain(number) for number in array.ravel().tolist()]
    written: Data = {"dtype": dtype or array.dtype.name, "shape": list(array.shape), "values": values}
    return {**written, "rest": rest} if rest else written


def detail_data(case: Case, result: str, detail: Detail) -> Data:
    """Write the numbers behind one result of one case.

    Parameters
    ----------
    case : Case
    result : str
    detail : Detail

    Returns
    -------
    dict
        Each array with its "axes". "exact" says that the results had to be equal: then the value
        is rounded to their dtype, as they are.

    Examples
    --------
    >>> case = Case(0, 0, "corr2d", {}, {}, "float32")
    >>> ones = np.ones((2, 2))
    >>> written = detail_data(case, "Y", Detail({"X": ones}, ones, ones, {"numpy": ones.astype("float32")}))
    >>> written["inputs"]["X"]["axes"], written["outputs"]["numpy"]["dtype"], written["exact"]
    ('HW', 'float32', False)
    """
    exact = not detail.bound.any()
    value = oracle.round_to(detail.value, case.dtype) if exact else detail.value

    def write(name: str, array: Array) -> Data:
        own = case.dtype if case.dtype == "bfloat16" and array.dtype == np.float32 else ""
        return {"axes": axes(case, name, array.ndim), **array_data(array, own)}

    return {
        "case": case.name,
        "result": result,
        "exact": exact,
        "inputs": {name: write(name, array) for name, array in detail.inputs.items()},
        "value": write(result, value),
        "bound": write(result, detail.bound),
        "outputs": {name: write(result, array) for name, array in detail.outputs.items()},
    }


def comparison_data(comparison: Comparison) -> Data:
    """Write one comparison.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict
        The fields of :class:`Comparison`.

    Examples
    --------
    >>> comparison_data(Comparison("random:0:3", "Y", "torch", "oracle", "equal"))["fraction"]
    0.0
    """
    return {
        **comparison._asdict(),
        "exact": bool(comparison.exact),
        "difference": plain(float(comparison.difference)),
        "fraction": plain(float(comparison.fraction)),
    }


def cell_data(left: str, right: str, cell: Cell) -> Data:
    """Sum the comparisons of a row between two participants up.

    Parameters
    ----------
    left, right : str
    cell : Cell

    Returns
    -------
    dict

    Examples
    --------
    >>> cell = Cell()
    >>> cell.add(Comparison("random:0:3", "Y", "torch", "oracle", "equal", True))
    >>> cell_data("torch", "oracle", cell)["counts"]
    {'equal': 1}
    """
    return {
        "left": left,
        "right": right,
        "verdict": cell.verdict,
        "counts": dict(cell.counts),
        "exact": cell.exact,
        "fraction": plain(float(cell.fraction)),
        "reasons": dict(cell.reasons),
        "worst": None if cell.worst is None else comparison_data(cell.worst),
    }
