"""What stands around the sections: title, contents, footer."""

from __future__ import annotations

__all__ = ["TEXTS"]

TEXTS: dict[str, tuple[str, str]] = {
    "title": ("Convolution, step by step, in four frameworks", "卷积：逐步演示，四个框架对照"),
    "lede": (
        "The convolution chapters of <em>Dive into Deep Learning</em> as a page to try out. Every listing is read from "
        "the installed files, every output of a framework comes from one run of them; what you change is computed "
        "right here.",
        "《动手学深度学习》中卷积章节的可操作版本。每段代码都读自已安装的文件，每个框架的输出都来自同一次真实运行；"
        "您改动数字之后，结果就在本页中计算。",
    ),
    "language": ("Language", "语言"),
    "contents": ("Sections", "章节"),
    "noscript": (
        "This page computes in your browser and needs JavaScript. 本页在浏览器中计算，需要启用 JavaScript。",
        "本页在浏览器中计算，需要启用 JavaScript。",
    ),
    "skip": ("Skip to the content", "跳到正文"),
    "missing": ("missing", "未安装"),
    "footer.title": ("How this page was made", "本页的由来"),
    "footer.text": (
        "Made by <code>convbridge page</code>. The frameworks' outputs and listings come from one run on the versions "
        "below. Results of the grids are computed in the page in float64; the frameworks compute in float32.",
        "由 <code>convbridge page</code> 生成。各框架的输出与代码来自下列版本的同一次运行。"
        "网格中的结果由本页以 float64 计算，各框架以 float32 计算。",
    ),
    "fact.convbridge": ("convbridge", "convbridge 版本"),
    "fact.Python": ("Python", "Python 版本"),
    "fact.NumPy": ("NumPy", "NumPy 版本"),
    "fact.platform": ("Platform", "平台"),
    "fact.date": ("Date", "日期"),
    "fact.backends": ("Backends", "后端"),
}
