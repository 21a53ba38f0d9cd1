"""The exercises: what stands around them. Their own sentences are in :mod:`convbridge.teaching.exercises`."""

from __future__ import annotations

from convbridge.teaching import exercises

__all__ = ["TEXTS"]

_FRAME = {
    "section.exercises.title": ("Exercises", "练习"),
    "section.exercises.1": (
        "The exercises of the chapters. Nothing is compared with a stored answer: the page computes with what you "
        "enter, so every kernel that does what is asked is right. Numbers may be fractions such as 1/4.",
        "各章的练习。您的答案不是与存好的答案比较：本页用您输入的数来计算，所以凡是能做到题目要求的核都算对。"
        "可以输入 1/4 这样的分数。",
    ),
    "section.exercises.2": (
        'In the terminal, <code translate="no">convbridge exercise</code> asks the same questions.',
        '在终端中，<code translate="no">convbridge exercise</code> 提出同样的问题。',
    ),
    "exercises.progress": ("{solved} of {all} solved", "已解出 {solved} / {all} 题"),
    "exercises.solved": ("solved", "已解出"),
    "exercises.check": ("Check", "检查"),
    "exercises.wrong": ("Not yet.", "还不对。"),
    "exercises.hint": ("Hint", "提示"),
    "exercises.solution": ("Solution", "答案"),
    "exercises.answer": ("Your answer", "您的答案"),
    "exercises.output": ("What your answer gives", "您的答案给出的结果"),
    "exercises.less": ("One column less", "减少一列"),
    "exercises.more": ("One column more", "增加一列"),
    "exercises.empty": ("{name}, row {i}, column {j}", "{name}，第 {i} 行第 {j} 列"),
}

TEXTS: dict[str, tuple[str, str]] = {**_FRAME, **exercises.texts()}
