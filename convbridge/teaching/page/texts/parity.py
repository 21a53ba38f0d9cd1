"""The parity matrix: what a cell, a verdict and the bound are."""

from __future__ import annotations

__all__ = ["TEXTS"]

TEXTS: dict[str, tuple[str, str]] = {
    "section.parity.title": ("The parity matrix", "一致性矩阵"),
    "section.parity.1": (
        "Two frameworks add the same products in another order, so they need not return the same bits. How far "
        "rounding can carry a sum is a theorem and no tolerance to guess: for n products in a precision with unit "
        "roundoff u it is n u / (1 − n u) times the sum of the absolute values of the products, in any order.",
        "两个框架以不同的次序把相同的乘积相加，所以结果不必逐位相同。"
        "舍入能使和偏离多远，是一条定理，而不是猜测的容差：设 u 为该精度的单位舍入误差，"
        "n 个乘积之和的误差不超过 n u / (1 − n u) 乘以各乘积绝对值之和，与相加的次序无关。",
    ),
    "section.parity.2": (
        "Every backend is compared with an exact result, computed by an oracle that shares no code with any of them, "
        "and with every other backend. What can be computed without rounding has to be equal bit for bit.",
        "每个后端都与精确结果比较，也与其他每个后端比较；精确结果由一个不与任何后端共享代码的参照程序计算。"
        "无需舍入就能算出的结果必须逐位相同。",
    ),
    "section.parity.3": (
        "A row holds the cases of one operation, in values or gradients and one precision; a column two that were "
        "compared. The number is the largest fraction of the bound that was used. Open a cell to see where.",
        "一行是某个运算在一种精度下的数值或梯度用例；一列是相互比较的双方。数字是用掉的误差界的最大比例。"
        "打开一个单元格，可以看到出现在哪里。",
    ),
    "parity.summary": (
        "{comparisons} comparisons of {cases} cases, taken evenly from the {lattice} of the lattice: {equal} equal "
        "({exact} of them had to be), {rounding} within rounding (at most {share} of the bound), {unsupported} "
        "unsupported.",
        "从全部 {lattice} 个用例中均匀选取 {cases} 个，共比较 {comparisons} 次："
        "{equal} 次相同（其中 {exact} 次必须相同），{rounding} 次在舍入范围之内"
        "（最多用掉误差界的 {share}），{unsupported} 次不受支持。",
    ),
    "parity.good": ("no real difference", "没有真正的差别"),
    "parity.bad": ("real differences", "有真正的差别"),
    "parity.with-exact": ("against the exact result", "与精确结果比较"),
    "parity.with-others": ("against each other", "相互比较"),
    "parity.exact": ("exact result", "精确结果"),
    "parity.against": ("{left} against {right}", "{left} 与 {right} 比较"),
    "parity.implementation.native": ("operator", "算子"),
    "parity.implementation.chapter": ("chapter", "书中函数"),
    "parity.kind.value": ("values", "数值"),
    "parity.kind.gradient": ("gradients", "梯度"),
    "parity.verdict.equal": ("equal", "相同"),
    "parity.verdict.rounding": ("rounding", "舍入"),
    "parity.verdict.unsupported": ("unsupported", "不受支持"),
    "parity.verdict.missing": ("missing", "未安装"),
    "parity.verdict.real-difference": ("real difference", "真正的差别"),
    "parity.verdict.crashed": ("crashed", "崩溃"),
    "parity.legend.equal": ("the same numbers", "数值完全相同"),
    "parity.legend.rounding": (
        "other numbers, and rounding explains it: the fraction of the bound",
        "数值不同，舍入可以解释：用掉的误差界比例",
    ),
    "parity.legend.unsupported": ("the backend refuses it, and says why", "后端拒绝，并说明原因"),
    "parity.legend.missing": ("asked for, and not there", "需要而未安装"),
    "parity.legend.real-difference": ("more than rounding can explain, so many times", "超出舍入所能解释的次数"),
    "parity.legend.crashed": (
        "a call raised an error or ended its process, so many times",
        "调用报错或进程终止的次数",
    ),
    "parity.open": ("Open a cell to see what it was made of.", "打开一个单元格，看看它由什么组成。"),
    "parity.exactly": ("({count} of them had to be, bit for bit)", "（其中 {count} 次必须逐位相同）"),
    "parity.worst": ("Where most of the bound was used", "误差界用掉最多之处"),
    "parity.example": ("One of the cases", "其中一个用例"),
    "parity.call": ("The call", "该调用"),
    "parity.at": ("element", "元素"),
    "parity.difference": ("difference", "差别"),
    "parity.allowed": ("allowed by rounding", "舍入所允许"),
    "parity.again": ("Once more:", "再次运行："),
    "parity.whole": ("All cases, in a report of their own:", "全部用例的完整报告："),
}
