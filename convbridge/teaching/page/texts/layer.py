"""The section about the layer: what it adds to the cross-correlation."""

from __future__ import annotations

__all__ = ["TEXTS"]

TEXTS: dict[str, tuple[str, str]] = {
    "section.layer.title": ("The layer", "卷积层"),
    "section.layer.1": (
        "A convolution layer is a cross-correlation that keeps its numbers. Its weight is the kernel, made once, at "
        "random, and changed by training; its bias is one number that is added to every element of the output. These "
        "two are its parameters, and all that it learns.",
        "卷积层就是保存了自己参数的互相关运算。权重就是卷积核，只创建一次，随机初始化，在训练中更新；"
        "偏置是一个标量，加到输出的每个元素上。这两者就是它的模型参数，也是它所学习的全部。",
    ),
    "section.layer.2": (
        "The bias comes after the sum: 0×0 + 1×1 + 3×2 + 4×3 + 0.5 = 19.5. One of the notes adds it to the weight "
        "instead and gets 23, for then it counts once for each of the four pixels of the window, times that pixel: "
        "19 + 0.5 × (0 + 1 + 3 + 4).",
        "偏置在求和之后相加：0×0 + 1×1 + 3×2 + 4×3 + 0.5 = 19.5。有一份笔记把它加到了权重上，于是得到 23，"
        "因为这样一来，窗口中的四个像素各要乘一次偏置：19 + 0.5 × (0 + 1 + 3 + 4)。",
    ),
    "section.layer.3": (
        "With several output channels each has a bias of its own, however many input channels there are. Change a "
        "bias, or add a channel below the grids.",
        "有多个输出通道时，每个输出通道各有一个偏置，与输入通道数无关。请改动偏置，或在网格下方增加通道。",
    ),
    "example.layer-bias": ("Weight and bias", "权重和偏置"),
    "example.layer-bias-channels": ("A bias for each output channel", "每个输出通道一个偏置"),
}
