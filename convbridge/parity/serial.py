"""Cases and outcomes as bytes, without pickle: for pipes and for files.

A message is one line of JSON and the memory of its arrays behind it, in order.
JSON has no tuples, no NaN and no NumPy integers; what a case's keywords are
made of is therefore written as numbers, strings and lists, and lists are read
back as tuples. A case that was drawn at random travels as the integers that
draw it again, so that the exact forms of its arguments arrive.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from convbridge.errors import ArgumentError, received
from convbridge.parity.cases import Case, Operand, random_case
from convbridge.parity.expected import Answer, Expected
from convbridge.parity.gradient_cases import random_gradient_case
from convbridge.parity.observe import Outcome

__all__ = [
    "answer_from",
    "answer_to",
    "case_from",
    "case_named",
    "case_to",
    "outcome_from",
    "outcome_to",
    "pack",
    "plain",
    "unpack",
]

Array = np.ndarray[Any, Any]
#: The part of a message that is JSON, and the arrays that go with it.
Message = tuple[dict[str, Any], dict[str, Array]]

#: What an array's memory may hold; anything else in a message is refused.
_KINDS = "fiub"


def pack(message: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Write a message.

    Parameters
    ----------
    message : mapping
        Of what JSON has.
    arrays : mapping
        Name to array of numbers or truth values.

    Returns
    -------
    bytes

    Examples
    --------
    >>> import io
    >>> stream = io.BytesIO(pack({"a": 1}, {"X": np.arange(3)}))
    >>> unpack(stream.read)
    ({'a': 1}, {'X': array([0, 1, 2])})
    """
    parts = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    shapes = [[name, part.dtype.str, list(part.shape)] for name, part in parts.items()]
    body = json.dumps({"message": message, "arrays": shapes}, allow_nan=False).encode()
    head = len(body).to_bytes(8, "little")
    return b"".join([head, body, *(part.tobytes() for part in parts.values())])


def unpack(read: Callable[[int], bytes]) -> Message:
    """Read what :func:`pack` wrote.

    Parameters
    ----------
    read : callable
        Returns exactly so many bytes, or fewer at the end of the stream.

    Returns
    -------
    message, arrays : dict

    Raises
    ------
    EOFError
        If the stream ends before the message does.
    """

    def exactly(count: int) -> bytes:
        data = read(count)
        if len(data) != count:
            raise EOFError(f"{count} bytes announced, {len(data)} came")
        return data

    found = json.loads(exactly(int.from_bytes(exactly(8), "little")))
    arrays = {}
    for name, code, shape in found["arrays"]:
        dtype = np.dtype(code)
        size = int(np.prod(shape, dtype=object))
        arrays[name] = np.frombuffer(exactly(size * dtype.itemsize), dtype).reshape(shape).copy()
    return found["message"], arrays


# --------------------------------------------------------------------------- cases


def plain(value: Any) -> Any:
    """Write a keyword of a case with what JSON has.

    Parameters
    ----------
    value : object
        A number, a word, None, or pairs of them.

    Returns
    -------
    object

    Examples
    --------
    >>> plain(((np.int64(1), 2), "same"))
    [[1, 2], 'same']
    """
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


def case_named(name: str) -> Case:
    """Draw or look up the case that has a name.

    Parameters
    ----------
    name : str
        :attr:`Case.name`: "random:7:12", "gradient:7:12", or one of the
        lattice.

    Returns
    -------
    Case

    Raises
    ------
    ArgumentError
        If there is none.

    Examples
    --------
    >>> case_named("random:0:3").number, case_named("conv2d/1x1/NCHW/float32/whole").dtype
    (3, 'float32')
    """
    stream, _, numbers = name.partition(":")
    draw = {"random": random_case, "gradient": random_gradient_case}.get(stream)
    seed, _, number = numbers.partition(":")
    if draw is not None and seed.isdigit() and number.isdigit():
        return draw(int(seed), int(number))
    from convbridge.parity.lattice import lattice

    found = lattice(lambda case: case.label == name, precision="fast")
    if not found:
        from difflib import get_close_matches

        near = get_close_matches(name, [case.label for case in lattice(precision="fast")], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(
            f"the name of a case must be 'random:SEED:NUMBER', 'gradient:SEED:NUMBER' or one of the lattice.{hint} "
            f"{received(name=name)}"
        )
    return found[0]


def case_to(case: Case, *, whole: bool = False) -> Message:
    """Write a case.

    Parameters
    ----------
    case : Case
        Any.
    whole : bool, default False
        Write a random case's numbers too, for a reader who may draw others.

    Returns
    -------
    message, arrays : dict

    Examples
    --------
    >>> case = random_case(0, 3)
    >>> str(case_from(*case_to(case))) == str(case)
    True
    """
    if not (case.label or whole):
        return {"draw": case.name}, {}
    message = {
        "seed": case.seed,
        "number": case.number,
        "function": case.function,
        "dtype": case.dtype,
        "label": case.name if whole else case.label,
        "keywords": {name: plain(value) for name, value in case.keywords.items()},
        "operands": {name: [part.dtype, part.layout, part.native] for name, part in case.operands.items()},
    }
    return message, {name: operand.values for name, operand in case.operands.items()}


def case_from(message: Mapping[str, Any], arrays: Mapping[str, Array]) -> Case:
    """Read what :func:`case_to` wrote.

    Parameters
    ----------
    message, arrays : mapping
        Its parts.

    Returns
    -------
    Case
    """
    if "draw" in message:
        return case_named(message["draw"])
    operands = {
        name: Operand(arrays[name], dtype, layout, native)
        for name, (dtype, layout, native) in message["operands"].items()
    }
    keywords = {name: _tuples(value) for name, value in message["keywords"].items()}
    drawn = message["seed"], message["number"]
    return Case(*drawn, message["function"], operands, keywords, message["dtype"], message["label"])


# --------------------------------------------------------------------------- outcomes and answers


def outcome_to(outcome: Outcome) -> Message:
    """Write what a backend did with a case.

    Parameters
    ----------
    outcome : Outcome

    Returns
    -------
    message, arrays : dict

    Examples
    --------
    >>> outcome_from(*outcome_to(Outcome("unsupported", reason="No.")))
    Outcome(status='unsupported', values={}, dtypes={}, reason='No.', traded=())
    """
    arrays = {name: values for name, values in outcome.values.items() if values is not None}
    nothing = [name for name, values in outcome.values.items() if values is None]
    message = {
        "status": outcome.status,
        "dtypes": dict(outcome.dtypes),
        "reason": outcome.reason,
        "nothing": nothing,
    }
    if outcome.traded:
        message["traded"] = list(outcome.traded)
    odd = [name for name, values in arrays.items() if values.dtype.kind not in _KINDS]
    if odd:
        message.update(status="wrong", reason=f"{odd[0]} holds {arrays[odd[0]].dtype}", nothing=[], dtypes={})
        arrays = {}
    return message, arrays


def outcome_from(message: Mapping[str, Any], arrays: Mapping[str, Array]) -> Outcome:
    """Read what :func:`outcome_to` wrote.

    Parameters
    ----------
    message, arrays : mapping
        Its parts.

    Returns
    -------
    Outcome
    """
    values: dict[str, Array | None] = {**arrays, **dict.fromkeys(message["nothing"])}
    return Outcome(message["status"], values, message["dtypes"], message["reason"], tuple(message.get("traded", ())))


def answer_to(answer: Answer) -> Message:
    """Write what the oracle says about a case.

    Parameters
    ----------
    answer : dict

    Returns
    -------
    message, arrays : dict

    Examples
    --------
    >>> from convbridge.parity.expected import expected
    >>> answer = expected(random_case(0, 3))
    >>> again = answer_from(*answer_to(answer))
    >>> np.array_equal(again["Y"].value, answer["Y"].value), again["Y"].exact == answer["Y"].exact
    (True, True)
    """
    message = {name: None if part is None else bool(part.exact) for name, part in answer.items()}
    arrays: dict[str, Array] = {}
    for name, part in answer.items():
        if part is not None:
            arrays[f"{name} value"], arrays[f"{name} rounded"], arrays[f"{name} bound"] = part[:3]
    return {"exact": message}, arrays


def answer_from(message: Mapping[str, Any], arrays: Mapping[str, Array]) -> Answer:
    """Read what :func:`answer_to` wrote.

    Parameters
    ----------
    message, arrays : mapping
        Its parts.

    Returns
    -------
    dict
    """
    answer: Answer = {}
    for name, exact in message["exact"].items():
        answer[name] = (
            None
            if exact is None
            else Expected(arrays[f"{name} value"], arrays[f"{name} rounded"], arrays[f"{name} bound"], exact)
        )
    return answer
