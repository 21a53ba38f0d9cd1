"""The paragraphs of the sections, and the names of the chapters' examples."""

from __future__ import annotations

__all__ = ["TEXTS"]

_SECTIONS = {
    "section.cross-correlation.title": ("Cross-correlation", "互相关运算"),
    "section.cross-correlation.1": (
        "A small matrix, the kernel, is laid on the top left corner of the input. Numbers that lie on each other are "
        "multiplied, and the products are added: that is one element of the output. Then the kernel moves one column "
        "to the right, and at the end of the row to the start of the next.",
        "把一个小矩阵（核）放在输入的左上角，将重叠的数两两相乘再求和，就得到输出的一个元素。"
        "然后核向右移动一列；到了行尾，就从下一行的开头继续。",
    ),
    "section.cross-correlation.2": (
        "Step through the windows, or change any number and see what follows. Point at an output element to see its "
        "window, at an input element to see all outputs that it feeds.",
        "请逐步移动窗口，或者改动任意一个数，看看结果如何变化。指向输出元素，可以看到它的窗口；"
        "指向输入元素，可以看到它参与计算的所有输出。",
    ),
    "section.edges.title": ("Edges in an image", "图像中的边缘检测"),
    "section.edges.1": (
        "The kernel (1, −1) subtracts from each pixel its right neighbour. Where the two are equal the output is 0; "
        "from white (1) to black (0) it is 1, from black to white −1.",
        "核 (1, −1) 用每个像素减去它右边的像素。两者相同则输出为 0；从白（1）到黑（0）输出 1，从黑到白输出 −1。",
    ),
    "section.edges.2": (
        "It sees changes along a row and nothing else. Transpose the image alone and the edges disappear; transpose "
        "the kernel too and they are back. A diagonal line changes along every row.",
        "它只能看到沿着行的变化。只转置图像，边缘就消失了；再转置核，边缘又出现。对角线在每一行上都有变化。",
    ),
    "section.convolution.title": ("Convolution and cross-correlation", "卷积运算与互相关运算"),
    "section.convolution.1": (
        "What deep learning calls convolution is cross-correlation. Mathematics flips the kernel first, left to right "
        "and top to bottom. With the same kernel the two return different numbers.",
        "深度学习中所说的卷积其实是互相关运算。数学中的卷积要先把核左右翻转、上下翻转。使用相同的核，两者的结果通常不同。",
    ),
    "section.convolution.2": (
        "For a network that learns its kernels it makes no difference: it would learn the flipped one. Switch the "
        "operation and compare.",
        "对于要学习核的网络来说，这没有区别：它学到的会是翻转后的核。请切换运算并比较。",
    ),
    "section.padding-and-stride.title": ("Padding and stride", "填充和步幅"),
    "section.padding-and-stride.1": (
        "A kernel of k rows makes the output k − 1 rows smaller. Padding puts rows and columns of zeros around the "
        "input; k − 1 of them in total keep the size. If k is even, one side gets one more: the chapter puts it at the "
        "top and left, TensorFlow and PyTorch at the bottom and right.",
        "k 行的核会使输出减少 k − 1 行。填充是在输入四周添加由零组成的行和列；总共添加 k − 1 行可以保持大小不变。"
        "若 k 为偶数，则有一侧要多一行：书中放在顶端和左侧，TensorFlow 和 PyTorch 放在底端和右侧。",
    ),
    "section.padding-and-stride.2": (
        "The stride is how far the window moves from one output to the next. Rows and columns that no window "
        "reaches any more are grey: they are dropped without a word.",
        "步幅是窗口从一个输出移动到下一个输出的距离。窗口到达不了的行和列显示为灰色：它们被悄悄丢弃。",
    ),
    "section.padding-and-stride.3": (
        "With n the size of the input, p the padding of both sides together, k the kernel and s the stride, an axis "
        "has ⌊(n − k + p + s) / s⌋ outputs. Below each example the formula stands with its numbers.",
        "设 n 为输入的大小，p 为两侧填充之和，k 为核的大小，s 为步幅，则该方向上有 ⌊(n − k + p + s) / s⌋ 个输出。"
        "每个例子下面都有代入数字的公式。",
    ),
    "section.channels.title": ("Channels", "多输入通道和多输出通道"),
    "section.channels.1": (
        "A colour image has three channels. Each input channel is cross-correlated with a kernel of its own, and the "
        "results are added: any number of input channels makes one output channel.",
        "彩色图像有三个通道。每个输入通道与各自的核做互相关运算，再把结果相加：无论有多少输入通道，都得到一个输出通道。",
    ),
    "section.channels.2": (
        "For several output channels there is a whole set of kernels for each of them.",
        "若要多个输出通道，则每个输出通道都有自己的一组核。",
    ),
    "section.1x1.title": ("The 1×1 kernel", "1×1 卷积层"),
    "section.1x1.1": (
        "A 1×1 kernel sees no neighbours. At every place it adds up the channels with weights, as a fully connected "
        "layer does: the pixels are the samples, the channels are the features. Computed as one matrix product and as "
        "a convolution, the results may differ by rounding, and by no more.",
        "1×1 的核看不到相邻元素。它在每个位置上对各通道加权求和，与全连接层相同：像素是样本，通道是特征。"
        "分别用一次矩阵乘法和卷积来计算，结果可能因舍入而略有差别，仅此而已。",
    ),
    "section.pooling.title": ("Pooling", "池化层"),
    "section.pooling.1": (
        "Pooling has no kernel: it takes the maximum or the average of every window. Where an edge moves by a pixel, "
        "the maximum often stays the same.",
        "池化没有核：它取每个窗口的最大值或平均值。当边缘移动一个像素时，最大值往往不变。",
    ),
    "section.pooling.2": (
        "A pooling layer’s stride is its window unless told otherwise. The padding of a maximum is minus infinity, or "
        "a negative image would get zeros at its rim; that of an average is zero, which may count in the divisor or "
        "not.",
        "若不另行指定，池化层的步幅等于窗口大小。最大池化的填充是负无穷，否则负数图像的边缘会变成零；"
        "平均池化的填充是零，可以计入除数，也可以不计入。",
    ),
    "section.pooling.3": (
        "Channels stay apart: nothing is added up. In ceil mode a last window may stick out, if it starts inside the "
        "image or its leading padding.",
        "各通道互不相干：不做相加。在向上取整模式下，最后一个窗口可以伸出边界，只要它的起点在图像或前侧填充之内。",
    ),
}

_EXAMPLES = {
    "corr2d": ("3×3 input, 2×2 kernel", "3×3 输入，2×2 核"),
    "edges-vertical": ("Vertical edges", "竖直边缘"),
    "edges-horizontal": ("Image and kernel transposed", "图像和核都转置"),
    "edges-transposed": ("Image alone transposed: nothing", "只转置图像：什么也没有"),
    "edges-diagonal": ("A diagonal line", "对角线"),
    "convolution": ("The kernel flipped both ways", "核上下左右都翻转"),
    "padding": ("Padding 1", "填充 1"),
    "padding-stride": ("Stride 3 and 2", "步幅 3 和 2"),
    "layer-padding": ("3×3 kernel, padding 1: 8×8 stays", "3×3 核，填充 1：保持 8×8"),
    "layer-padding-rectangle": ("5×3 kernel, padding 2 and 1: 8×8 stays", "5×3 核，填充 2 和 1：保持 8×8"),
    "layer-stride": ("Stride 2 halves: 4×4", "步幅 2 减半：4×4"),
    "layer-stride-rectangle": ("3×5 kernel, stride 3 and 4: 2×2", "3×5 核，步幅 3 和 4：2×2"),
    "channels-in": ("Two input channels", "两个输入通道"),
    "channels-out": ("Three output channels", "三个输出通道"),
    "channels-1x1": ("Three channels in, two out", "三个输入通道，两个输出通道"),
    "pool-max": ("Maximum", "最大池化"),
    "pool-avg": ("Average", "平均池化"),
    "pool-layer": ("3×3 window: stride 3", "3×3 窗口：步幅为 3"),
    "pool-layer-stride": ("Padding 1, stride 2", "填充 1，步幅 2"),
    "pool-layer-rectangle": ("2×3 window, padding 0 and 1", "2×3 窗口，填充 0 和 1"),
    "pool-layer-channels": ("Two channels", "两个通道"),
    "pool-layer-negative": ("A negative image", "负数图像"),
}

TEXTS: dict[str, tuple[str, str]] = {
    **_SECTIONS,
    **{f"example.{name}": texts for name, texts in _EXAMPLES.items()},
}
