"""Where the frameworks disagree: verdicts, and the sentences of the atlas, whose English is the catalogue's own."""

from __future__ import annotations

from convbridge.teaching.divergences import ENTRIES, GROUPS
from convbridge.teaching.divergences.chinese import CHINESE, CHINESE_GROUPS

__all__ = ["TEXTS"]

_SECTION = {
    "section.atlas.title": ("Where frameworks disagree", "框架之间的分歧"),
    "section.atlas.1": (
        "A network that is carried from one framework to another keeps its words: padding, stride, 'same'. The words "
        "do not always mean the same. Here each framework was asked the same question in its own words, by its own "
        "operator, in a process of its own: some answers end the process.",
        "把网络从一个框架移植到另一个框架时，用词没有变：填充、步幅、'same'，含义却不总是相同。"
        "这里用各框架自己的写法、自己的算子向它们提出同一个问题，每个框架都在单独的进程中运行：有些回答会使进程终止。",
    ),
    "section.atlas.2": (
        "Open a question to see what each of them was told, what it answered, why, and what convbridge answers on "
        "every backend. All of it comes from the run that made this page.",
        "展开一个问题，可以看到给每个框架的代码、它的回答、原因，以及 convbridge 在所有后端上给出的回答。"
        "这一切都来自生成本页的那次运行。",
    ),
    "section.atlas.3": (
        "A loud difference costs an afternoon; a silent one costs a paper.",
        "报错的差别耽误一个下午；无声的差别可能毁掉一篇论文。",
    ),
}

_FRAME = {
    "atlas.find": ("Find", "查找"),
    "atlas.silent": ("Only silent differences", "只看无声的差别"),
    "atlas.count": ("{left} of {all} questions", "{all} 个问题中的 {left} 个"),
    "atlas.why": ("Why they differ", "分歧的原因"),
    "atlas.does": ("What convbridge does", "convbridge 的做法"),
    "atlas.threads": ("Reported in", "公开的报告："),
    "atlas.kind.ok": ("same, refuses", "相同、同样拒绝"),
    "atlas.kind.loud": ("raises", "报错"),
    "atlas.kind.silent": ("differs, shape, accepts, dies", "数值不同、形状不同、接受、进程终止"),
    "atlas.legend.ok": (
        "what convbridge promises: the same numbers, or an error where it raises one too",
        "与 convbridge 的承诺一致：数值相同，或者在它也报错的地方报错",
    ),
    "atlas.legend.loud": ("an error where convbridge computes", "convbridge 能够计算，而该框架报错"),
    "atlas.legend.silent": (
        "another answer without a word, an answer where there is no right one, or the end of the process, which Python "
        "cannot catch",
        "悄悄给出另一个答案；本无正确答案却给出答案；或者进程终止，Python 无法捕获",
    ),
    "atlas.promise.kept": ("promised", "承诺"),
    "atlas.promise.broken": ("broken promise", "未兑现的承诺"),
    "atlas.promise.none": ("not promised", "未作承诺"),
}

_VERDICTS = {
    "as-promised": ("as promised", "与承诺一致"),
    "refuses-too": ("refuses too", "同样拒绝"),
    "raises-an-error": ("raises an error", "报错"),
    "other-numbers": ("other numbers", "数值不同"),
    "another-shape": ("another shape", "形状不同"),
    "None-no-error": ("None, no error", "返回 None，不报错"),
    "accepts-it": ("accepts it", "接受了"),
    "ends-the-process": ("ends the process", "进程终止"),
    "hangs": ("hangs", "停止响应"),
    "no-operator": ("no operator", "没有此算子"),
    "missing": ("missing", "未安装"),
}

_WORDS = {
    "as-promised": ("same", "相同"),
    "refuses-too": ("refuses", "拒绝"),
    "raises-an-error": ("raises", "报错"),
    "other-numbers": ("differs", "不同"),
    "another-shape": ("shape", "形状不同"),
    "None-no-error": ("None", "得到 None"),
    "accepts-it": ("accepts", "接受"),
    "ends-the-process": ("dies", "进程终止"),
    "hangs": ("hangs", "停止响应"),
    "no-operator": ("no operator", "无此算子"),
    "missing": ("missing", "未安装"),
}

TEXTS: dict[str, tuple[str, str]] = {
    **_SECTION,
    **_FRAME,
    **{f"atlas.verdict.{name}": texts for name, texts in _VERDICTS.items()},
    **{f"atlas.word.{name}": texts for name, texts in _WORDS.items()},
    **{f"atlas.group.{i}": (group.capitalize(), CHINESE_GROUPS[group]) for i, group in enumerate(GROUPS, 1)},
    **{f"atlas.title.{entry.name}": (entry.title, CHINESE[entry.name].title) for entry in ENTRIES},
    **{f"atlas.question.{entry.name}": (entry.question, CHINESE[entry.name].question) for entry in ENTRIES},
    **{f"atlas.why.{entry.name}": (entry.why, CHINESE[entry.name].why) for entry in ENTRIES},
    **{f"atlas.does.{entry.name}": (entry.promise, CHINESE[entry.name].promise) for entry in ENTRIES},
}
