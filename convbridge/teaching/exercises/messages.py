"""What is said about answers to any exercise, in English and in Chinese."""

from __future__ import annotations

from convbridge.teaching.exercises.exercise import Text

__all__ = ["MESSAGES"]

#: Name to text; the places are filled by :mod:`convbridge.teaching.exercises.checking`.
MESSAGES: dict[str, Text] = {
    # what cannot be read
    "parts": ("The answer has {parts} parts, not {typed}.", "答案有 {parts} 个部分，而不是 {typed} 个。"),
    "nothing": ("{part}: nothing is chosen yet.", "{part}：还没有选择。"),
    "option": (
        "{part}: choose one of {letters}. Received: {typed}",
        "{part}：请从 {letters} 中选择一项。收到的是：{typed}",
    ),
    "shape": ("{part}: {rows} × {columns} numbers are wanted.", "{part}：需要 {rows} × {columns} 个数。"),
    "empty": ("{part}: row {row}, column {column} is still empty.", "{part}：第 {row} 行第 {column} 列还空着。"),
    "number": (
        "{part}, row {row}, column {column}: “{typed}” is no number. 2, −1.5 and 1/4 are.",
        "{part}，第 {row} 行第 {column} 列：“{typed}”不是数。可以写 2、−1.5 或 1/4。",
    ),
    "large": (
        "{part}, row {row}, column {column}: {typed} is too large, {largest} is the limit.",
        "{part}，第 {row} 行第 {column} 列：{typed} 太大，上限是 {largest}。",
    ),
    "whole": (
        "{part}: only whole numbers from {least} to {largest} are possible, not {typed}.",
        "{part}：只能是 {least} 到 {largest} 的整数，不能是 {typed}。",
    ),
    # what is wrong
    "impossible": ("{about}: with these numbers nothing can be computed.", "{about}：用这些数无法计算。"),
    "output-shape": (
        "{about}: {got} numbers come out, where {wanted} should.",
        "{about}：得到 {got} 个数，应为 {wanted} 个。",
    ),
    "should-be-zero": (
        "{about}: in row {row}, column {column} of the output your kernel gives {got}, where 0 should be.",
        "{about}：您的核在输出的第 {row} 行第 {column} 列给出 {got}，那里应为 0。",
    ),
    "should-not-be-zero": (
        "{about}: in row {row}, column {column} of the output your kernel gives 0, where something should be seen.",
        "{about}：您的核在输出的第 {row} 行第 {column} 列给出 0，那里应当不为 0。",
    ),
    "should-be-equal": (
        "{about}: your kernel gives {first} in the first place and {got} in row {row}, column {column}; all outputs "
        "should be the same.",
        "{about}：您的核在第一个位置给出 {first}，在第 {row} 行第 {column} 列却给出 {got}；所有输出应当相同。",
    ),
    "off": (
        "{about}: {count} of {all} numbers are not right yet. The first of them stands in row {row}, column {column}.",
        "{about}：{all} 个数中有 {count} 个还不对，第一个在第 {row} 行第 {column} 列。",
    ),
    "differs": (
        "{about}: {got} comes out in row {row}, column {column}, where {wanted} should.",
        "{about}：第 {row} 行第 {column} 列得到 {got}，应为 {wanted}。",
    ),
}
