"""The comparison of the frameworks: listings, outputs, verdicts."""

from __future__ import annotations

__all__ = ["TEXTS"]

TEXTS: dict[str, tuple[str, str]] = {
    "frameworks.title": ("The same in the frameworks", "各框架中的同一运算"),
    "frameworks.legend": (
        "Marked: what another framework writes differently.",
        "标记之处：与其他框架写法不同。",
    ),
    "frameworks.tabs": ("Framework", "框架"),
    "source.chapter": ("The chapter’s function", "书中的函数"),
    "source.layer": ("The framework’s layer", "框架的层"),
    "source.operator": ("The framework’s operator", "框架的算子"),
    "source.show": ("Source of the operator", "算子的源代码"),
    "source.show.layer": ("Source of the layer", "层的源代码"),
    "copy": ("Copy", "复制"),
    "copied": ("Copied", "已复制"),
    "selected": ("Selected", "已选中"),
    "copy.label": ("Copy the code of {name}", "复制 {name} 的代码"),
    "code.label": ("Code of {name}", "{name} 的代码"),
    "absent": ("This backend was not there when the page was made.", "生成本页时没有此后端。"),
    "failed": ("It failed: {error}", "出错：{error}"),
    "kind.chapter": ("chapter", "书中函数"),
    "kind.layer": ("layer", "层"),
    "kind.operator": ("operator", "算子"),
    "verdict.equal": (
        "All {count} results hold the same numbers. Largest difference: 0.",
        "全部 {count} 个结果的数字完全相同。最大差别：0。",
    ),
    "verdict.rounding": (
        "The largest difference, {difference} between {left} and {right}, is {share} of what rounding can explain.",
        "最大差别为 {difference}（{left} 与 {right} 之间），是舍入所能解释的 {share}。",
    ),
    "verdict.different": (
        "A real difference between {left} and {right}: {difference}, more than rounding can explain.",
        "{left} 与 {right} 之间有真正的差别：{difference}，超出了舍入所能解释的范围。",
    ),
    "verdict.error": ("{left} returned no result.", "{left} 没有返回结果。"),
    "badge.equal": ("equal", "相同"),
    "badge.rounding": ("rounding", "舍入"),
    "badge.different": ("real difference", "真正的差别"),
    "badge.error": ("error", "出错"),
}
