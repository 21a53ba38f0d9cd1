"""The section about learning a kernel: what is seen, what can be typed, what can be wrong with it."""

from __future__ import annotations

__all__ = ["TEXTS"]

TEXTS: dict[str, tuple[str, str]] = {
    "section.learning.title": ("Learning the kernel", "学习由 X 生成 Y 的卷积核"),
    "section.learning.1": (
        "The kernel (1, −1) was designed by hand. It can also be found from the image X and its edges Y alone: start "
        "anywhere, compare the output with Y, and move the kernel against the gradient of the loss, the sum of the "
        "squared errors.",
        "核 (1, −1) 是人工设计的。其实只凭图像 X 和它的边缘 Y 也能找到它：从任意的核开始，把输出与 Y 比较，"
        "再让核沿损失（误差的平方和）的梯度的反方向移动。",
    ),
    "section.learning.2": (
        "The gradient of the kernel is a cross-correlation itself, of X with twice the error; that of a bias is twice "
        "the sum of the errors. A step subtracts the gradient times the learning rate.",
        "核的梯度本身也是互相关运算：用 X 与误差的两倍做互相关；偏置的梯度是误差之和的两倍。"
        "每一步减去梯度与学习率的乘积。",
    ),
    "section.learning.3": (
        "The starts to choose from were recorded on every backend. Type other numbers, and the page follows the "
        "gradient itself. Try a learning rate that is too large.",
        "可选的起点都在每个后端上真实运行并记录。输入其他的数，则由本页自己沿梯度计算。也请试试过大的学习率。",
    ),
    "learning.from": ("From ({start})", "从 ({start}) 开始"),
    "learning.from.bias": ("With a bias, from ({start})", "带偏置，从 ({start}) 开始"),
    "learning.start": ("Kernel to start from", "起始的核"),
    "learning.start.label": ("Kernel to start from, column {j}", "起始的核，第 {j} 列"),
    "learning.rate": ("Learning rate", "学习率"),
    "learning.steps": ("Steps", "步数"),
    "learning.bias": ("learn a bias", "同时学习偏置"),
    "what.steps": ("The number of steps", "步数"),
    "learning.recorded": (
        'Recorded: <code translate="no">convbridge.learn_kernel</code> on each backend, in float64. The output and '
        "the gradient of a step are computed in the page from the recorded kernel.",
        '真实记录：在各后端上以 float64 运行 <code translate="no">convbridge.learn_kernel</code>。'
        "每一步的输出和梯度由本页根据记录下来的核计算。",
    ),
    "learning.computed": (
        "Computed in the page, in float64: nobody recorded these values. The frameworks below show a recorded lesson.",
        "由本页以 float64 计算：这些数值没有运行记录。下面各框架显示的仍是已记录的那一次。",
    ),
    "learning.page": ("this page", "本页"),
    "learning.curve": ("Loss before each step, logarithmic", "每一步之前的损失（对数刻度）"),
    "learning.curve.label": (
        "Curve of the loss on a logarithmic axis, {names}: {first} before the first step, {last} before step {step}. "
        "The table holds its numbers.",
        "损失曲线（对数刻度），{names}：第一步之前为 {first}，第 {step} 步之前为 {last}。数值见表格。",
    ),
    "learning.curve.zero": ("The loss is 0: there is nothing to learn.", "损失为 0：没有什么可学的。"),
    "learning.axis": ("step", "步"),
    "learning.table": ("Loss and kernel, step by step", "逐步的损失和核"),
    "learning.of": ("Numbers of", "数值来自"),
    "learning.column.step": ("step", "步"),
    "learning.column.loss": ("loss before", "之前的损失"),
    "learning.column.kernel": ("kernel after", "之后的核"),
    "learning.column.bias": ("bias after", "之后的偏置"),
    "learning.stepper": ("Steps of the descent; the arrow keys work too", "下降的步骤；也可以使用方向键"),
    "learning.where": ("Step {step} of {all}", "第 {step} 步，共 {all} 步"),
    "learning.kernel": ("Kernel before the step", "这一步之前的核"),
    "learning.bias.now": ("Bias before the step", "这一步之前的偏置"),
    "learning.output": ("Output", "输出"),
    "learning.wanted": ("Wanted: Y", "期望：Y"),
    "learning.gradient": ("Gradient", "梯度"),
    "learning.gradient.bias": ("Gradient of the bias", "偏置的梯度"),
    "learning.loss": ("Loss: {value}, the sum of the squared errors", "损失：{value}，即误差的平方和"),
    "learning.update": ("kernel, column {j}: {sum}", "核，第 {j} 列：{sum}"),
    "learning.update.bias": ("bias: {sum}", "偏置：{sum}"),
    "learning.verdict.equal": (
        "All {count} loops, the library’s on each backend and each framework’s own, coincide: the largest difference "
        "of two losses is 0.",
        "全部 {count} 个循环（各后端上的库函数，以及各框架自己的写法）的曲线重合：损失的最大差别为 0。",
    ),
    "learning.verdict.rounding": (
        "All {count} loops, the library’s on each backend and each framework’s own, coincide: the largest difference "
        "of two losses, {difference} between {left} and {right}, is {share} of what rounding can explain.",
        "全部 {count} 个循环（各后端上的库函数，以及各框架自己的写法）的曲线重合：损失的最大差别为 {difference}"
        "（{left} 与 {right} 之间），是舍入所能解释的 {share}。",
    ),
    "learning.verdict.different": (
        "A real difference between the losses of {left} and {right}: {difference}, more than rounding can explain.",
        "{left} 与 {right} 的损失之间有真正的差别：{difference}，超出了舍入所能解释的范围。",
    ),
    "learning.own": ("own loop", "自己的循环"),
    "learning.loop": ("The loop as one writes it in this framework", "用此框架写出的循环"),
    "learning.loops": ("The loop in the frameworks", "各框架中的循环"),
    "learning.no-loop": (
        "This backend brings no loop of its own; the library’s ran on it.",
        "此后端没有自带的循环；在它上面运行的是库函数。",
    ),
    "learning.grows": (
        "The loss grows, from {first} to {last}: the steps overshoot. For these images every learning rate below "
        "{largest} converges.",
        "损失在增大，从 {first} 变为 {last}：每一步都走过了头。对于这对图像，小于 {largest} 的学习率都收敛。",
    ),
    "learning.overflow": (
        "Before step {step} the loss is no finite number any more: float64 cannot hold it. The curve ends there.",
        "到第 {step} 步之前，损失已不是有限的数：float64 容纳不下。曲线到此为止。",
    ),
    "learning.problem.number": (
        "{what} must be a finite number: 2, −0.5, 1/9. Given: {value}. The last number still counts.",
        "{what}必须是有限的数：2、−0.5、1/9。输入的是：{value}。仍使用上一个数。",
    ),
    "learning.problem.rate": (
        "The learning rate must be a finite number greater than 0. Given: {value}. The last one still counts.",
        "学习率必须是大于 0 的有限的数。输入的是：{value}。仍使用上一个数。",
    ),
}
