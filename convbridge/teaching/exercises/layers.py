"""Exercises on what layers add: sizes, padding and stride, channels, receptive fields, pooling, gradients."""

from __future__ import annotations

import numpy as np

from convbridge.teaching.examples import K222, X33, X44, X233
from convbridge.teaching.exercises.exercise import Case, Exercise, Given, Part, Text
from convbridge.teaching.exercises.formulas import (
    answer,
    average,
    correlate,
    fact,
    field,
    maximum,
    minimum,
    mix,
    pick,
    scale,
    size,
)

__all__ = ["CHANNELS", "OUTCOMES", "POOLING", "SIZES", "gradient"]

_X33, _X44, _K22 = X33.tolist(), X44.tolist(), K222[0].tolist()
_NEGATIVE = X44 - 20
_ZEROS_AROUND = np.pad(_NEGATIVE, 1).tolist()
_IMPULSE = np.pad([[4]], ((1, 2), (1, 2))).tolist()
_MIXED = [[3, -1, 4, -2], [0, -5, 2, 6], [7, 1, -3, 8], [-4, 5, 9, -6]]

_INPUT: Text = ("Input X", "输入 X")
_OUTPUT: Text = ("Output Y", "输出 Y")
_HEIGHT_WIDTH: Text = ("Height and width", "高和宽")

# --------------------------------------------------------------------------- sizes

_IMAGE, _WIDE = [[8, 8]], [[3, 5]]
_SEEN, _LAYERS, _KEEPS = field(2, 2), [[3]], [[2, 1]]
_ONES33, _ONES77 = ([[1] * k] * k for k in (3, 7))
_STRIDED = size(_IMAGE, _WIDE, padding=[[0, 1]], stride=[[3, 4]])

SIZES: tuple[Exercise, ...] = (
    Exercise(
        "receptive-field",
        ("The receptive field", "感受野"),
        (
            "Two layers with 2 × 2 kernels lie on each other. What part of the input does one element of the last "
            "output see? And how many layers with 3 × 3 kernels see as much as one with a 7 × 7 kernel?",
            "两个 2 × 2 卷积层叠在一起。最后输出中的一个元素能看到多大的输入？"
            "又需要多少个 3 × 3 卷积层，才能与一个 7 × 7 卷积层看到同样多？",
        ),
        (
            "Go backwards from one element: a layer with a k × k kernel adds k − 1 rows and columns.",
            "从一个元素往回推：每个 k × k 的层增加 k − 1 行和 k − 1 列。",
        ),
        (
            "The first stack sees {two} × {two}. With 3 × 3 kernels each layer adds 2 rows and columns, so {layers} "
            "layers see 7 × 7, with {few} weights instead of {many}.",
            "前者看到 {two} × {two}。3 × 3 的核每层增加 2 行和 2 列，所以 {layers} 层看到 7 × 7，"
            "只用 {few} 个权重，而不是 {many} 个。",
        ),
        (
            Part(("Seen by the two layers: height and width", "两层看到的高和宽"), 1, 2, least=1),
            Part(("Layers with 3 × 3 kernels", "3 × 3 卷积层的个数"), 1, 1, least=1),
        ),
        (
            Case(answer(0), _SEEN, say="two", mistakes=(([[4, 4]], "sum"), (field(2, 1), "one"))),
            Case(field(3, answer(1)), field(7, 1), say="layers"),
        ),
        (_SEEN, _LAYERS),
        says={
            "two": (
                "Two layers see another size. Draw the windows of the second layer’s four inputs.",
                "两层看到的不是这个大小。请画出第二层的四个输入各自的窗口。",
            ),
            "sum": (
                "The windows of neighbours overlap, so the sizes do not add up.",
                "相邻元素的窗口互相重叠，所以大小不能直接相加。",
            ),
            "one": ("That is what one layer sees.", "这是一层看到的大小。"),
            "layers": (
                "So many layers see {got} × {got}, and {wanted} × {wanted} is asked for.",
                "这么多层看到 {got} × {got}，而要求的是 {wanted} × {wanted}。",
            ),
        },
        numbers={
            "two": pick(_SEEN, 0, 0),
            "layers": _LAYERS,
            "few": scale(_LAYERS, correlate(_ONES33, _ONES33)),
            "many": correlate(_ONES77, _ONES77),
        },
    ),
    Exercise(
        "same-size",
        ("Padding that keeps the size", "保持大小的填充"),
        (
            "A layer has a 5 × 3 kernel and stride 1. How many rows, and how many columns, of zeros must be put on "
            "each side of an 8 × 8 input to keep it 8 × 8?",
            "某层的核为 5 × 3，步幅为 1。要使 8 × 8 的输入保持 8 × 8，上下两侧各填充多少行零，左右两侧各填充多少列零？",
        ),
        (
            "A kernel of k rows takes k − 1 rows away; both sides together have to give them back.",
            "k 行的核会减少 k − 1 行；两侧合起来要把它们补回来。",
        ),
        (
            "Half of k − 1 on each side: {rows} rows and {columns} column. It comes out even since k is odd, one "
            "reason why kernels mostly are.",
            "每侧为 k − 1 的一半：{rows} 行、{columns} 列。k 为奇数时恰好平分，这也是核的大小多为奇数的原因之一。",
        ),
        (Part(("Rows and columns on each side", "每侧的行数和列数"), 1, 2, least=0),),
        (Case(size(_IMAGE, [[5, 3]], padding=answer()), _IMAGE, say="size"),),
        (_KEEPS,),
        says={
            "size": (
                "With this padding the output has {got} elements along an axis where {wanted} are wanted.",
                "用这样的填充，输出在某一方向上有 {got} 个元素，应为 {wanted} 个。",
            )
        },
        numbers={"rows": pick(_KEEPS, 0, 0), "columns": pick(_KEEPS, 0, 1)},
    ),
    Exercise(
        "output-size",
        ("The size of an output", "输出的大小"),
        (
            "An 8 × 8 input, a 3 × 5 kernel, stride 3 down and 4 across, padding 0 at the top and bottom and 1 on the "
            "left and right. How large is the output?",
            "输入为 8 × 8，核为 3 × 5，高上步幅为 3，宽上步幅为 4，上下填充 0，左右两侧各填充 1。输出有多大？",
        ),
        (
            "Along each axis ⌊(n − k + p + s) / s⌋, with p the padding of both sides together.",
            "每个方向上为 ⌊(n − k + p + s) / s⌋，其中 p 是两侧填充之和。",
        ),
        (
            "⌊(8 − 3 + 0 + 3) / 3⌋ = {height} rows and ⌊(8 − 5 + 2 + 4) / 4⌋ = {width} columns. One edition of the "
            "book prints another size, since its listing loses the padding.",
            "⌊(8 − 3 + 0 + 3) / 3⌋ = {height} 行，⌊(8 − 5 + 2 + 4) / 4⌋ = {width} 列。"
            "书的某一版打印出另一个大小，因为它的代码丢掉了填充。",
        ),
        (Part(_HEIGHT_WIDTH, 1, 2, least=1),),
        (
            Case(
                answer(),
                _STRIDED,
                say="size",
                mistakes=(
                    (size(_IMAGE, _WIDE, stride=[[3, 4]]), "no-padding"),
                    (size(_IMAGE, _WIDE, padding=[[0, 1]]), "no-stride"),
                    # a pixel less than a stride more lets the last window fit
                    (size([[8 + 2, 8 + 3]], _WIDE, padding=[[0, 1]], stride=[[3, 4]]), "up"),
                ),
            ),
        ),
        (_STRIDED,),
        says={
            "size": (
                "Not this size. Where does the last window begin, and what is left after it?",
                "不是这个大小。最后一个窗口从哪里开始，后面还剩多少？",
            ),
            "no-padding": ("That is the size without the padding.", "这是没有填充时的大小。"),
            "no-stride": ("That is the size with stride 1.", "这是步幅为 1 时的大小。"),
            "up": (
                "You rounded up. A window that does not fit is dropped.",
                "您向上取整了。放不下的窗口会被丢弃。",
            ),
        },
        numbers={"height": pick(_STRIDED, 0, 0), "width": pick(_STRIDED, 0, 1)},
    ),
)

# --------------------------------------------------------------------------- channels

_PIXELS = [[1, 0, 5], [2, 3, 0], [3, 1, 2]]
_W = [[1, 1, 1], [1, 0, -1]]
_MULTI = correlate(X233.tolist(), K222.tolist())

CHANNELS: tuple[Exercise, ...] = (
    Exercise(
        "channels",
        ("Two input channels", "两个输入通道"),
        (
            "An input with two channels and one kernel for each of them. What is the output?",
            "输入有两个通道，每个通道有自己的核。输出是什么？",
        ),
        (
            "Cross-correlate each channel with its own kernel. You get two results, and there is one output.",
            "每个通道与各自的核做互相关运算，得到两个结果；而输出只有一个。",
        ),
        (
            "The first channel makes {a} in the first place, the second {b}. They are added: {sum}.",
            "在第一个位置上，第一个通道得到 {a}，第二个通道得到 {b}。两者相加：{sum}。",
        ),
        (Part(_OUTPUT, 2, 2),),
        (
            Case(
                answer(),
                _MULTI,
                mistakes=(
                    (correlate(X233[0].tolist(), K222[0].tolist()), "one"),
                    (correlate(X233[1].tolist(), K222[1].tolist()), "one"),
                    (scale([[0.5]], _MULTI), "mean"),
                ),
            ),
        ),
        (_MULTI,),
        (
            Given(("Input X, channel 0", "输入 X，通道 0"), X233[0].tolist()),
            Given(("Input X, channel 1", "输入 X，通道 1"), X233[1].tolist()),
            Given(("Kernel K, channel 0", "核 K，通道 0"), K222[0].tolist()),
            Given(("Kernel K, channel 1", "核 K，通道 1"), K222[1].tolist()),
        ),
        {
            "one": ("That is one of the channels alone.", "这只是其中一个通道的结果。"),
            "mean": ("The results are added, not averaged.", "结果是相加，而不是取平均。"),
        },
        {
            "a": pick(correlate(X233[0].tolist(), K222[0].tolist()), 0, 0),
            "b": pick(correlate(X233[1].tolist(), K222[1].tolist()), 0, 0),
            "sum": pick(_MULTI, 0, 0),
        },
    ),
    Exercise(
        "one-by-one",
        ("The 1 × 1 kernel as a matrix", "把 1 × 1 卷积写成矩阵"),
        (
            "Three channels go in, two come out: the sum of all three, and the first minus the last. Which 1 × 1 "
            "kernels do that, with a row for each output channel and a column for each input channel?",
            "三个通道输入，两个通道输出：三者之和，以及第一个减去最后一个。"
            "用哪些 1 × 1 的核可以做到？每个输出通道一行，每个输入通道一列。",
        ),
        (
            "A 1 × 1 kernel is one weight for each input channel, as in a fully connected layer. The columns of the "
            "input are its pixels.",
            "1 × 1 的核对每个输入通道有一个权重，与全连接层相同。输入矩阵的每一列是一个像素。",
        ),
        (
            "The convolution is the product of this matrix with the matrix of channels × pixels: the first pixel gives "
            "{sum} and {difference}.",
            "这个卷积就是该矩阵与“通道 × 像素”矩阵的乘积：第一个像素得到 {sum} 和 {difference}。",
        ),
        (Part(("Weights: outputs × inputs", "权重：输出 × 输入"), 2, 3),),
        (Case(mix(answer(), _PIXELS), [[6, 4, 7], [-2, -1, 3]], say="pixel"),),
        (_W,),
        (
            Given(("Input, channels × pixels", "输入，通道 × 像素"), _PIXELS),
            Given(("Wanted output, channels × pixels", "要求的输出，通道 × 像素"), [[6, 4, 7], [-2, -1, 3]]),
        ),
        {
            "pixel": (
                "Output channel {row} of pixel {column} becomes {got}, where {wanted} is wanted.",
                "第 {column} 个像素的第 {row} 个输出通道得到 {got}，应为 {wanted}。",
            )
        },
        {"sum": pick(mix(_W, _PIXELS), 0, 0), "difference": pick(mix(_W, _PIXELS), 1, 0)},
    ),
)

# --------------------------------------------------------------------------- pooling

_QUARTERS = [[1 / 4] * 2] * 2
_NEGATIVE_POOL = maximum(_NEGATIVE.tolist(), 3, stride=2, padding=1)

POOLING: tuple[Exercise, ...] = (
    Exercise(
        "max-padding",
        ("Padding of a maximum", "最大池化的填充"),
        (
            "Maximum pooling with a 3 × 3 window, stride 2 and padding 1 on every side. What is the output for this "
            "negative image?",
            "最大池化，窗口 3 × 3，步幅 2，每侧填充 1。对这幅负数图像，输出是什么？",
        ),
        (
            "Padding must never win. Which number is never larger than a pixel?",
            "填充不应该成为最大值。什么数绝不会大于任何像素？",
        ),
        (
            "The padding of a maximum is minus infinity, so the first window gives {first}, the largest of its pixels. "
            "Padded with zeros, the first output would be {zero}.",
            "最大池化的填充是负无穷，所以第一个窗口得到其中像素的最大值 {first}。如果用零填充，第一个输出会是 {zero}。",
        ),
        (Part(_OUTPUT, 2, 2),),
        (
            Case(
                answer(),
                _NEGATIVE_POOL,
                mistakes=(
                    (maximum(_ZEROS_AROUND, 3, stride=2), "zeros"),
                    (maximum(_NEGATIVE.tolist(), 3), "unpadded"),
                ),
            ),
        ),
        (_NEGATIVE_POOL,),
        (Given(_INPUT, _NEGATIVE.tolist()),),
        {
            "zeros": (
                "You padded with zeros, and a zero is larger than every pixel here.",
                "您用零填充了，而零比这里的所有像素都大。",
            ),
            "unpadded": (
                "Those are the windows with stride 1 and no padding.",
                "这是步幅为 1、没有填充时的窗口。",
            ),
        },
        {
            "first": pick(_NEGATIVE_POOL, 0, 0),
            "zero": pick(maximum(_ZEROS_AROUND, 3, stride=2), 0, 0),
        },
    ),
    Exercise(
        "average-pooling",
        ("Average pooling as a convolution", "用卷积实现平均池化"),
        (
            "Which kernel, moved with which stride, gives the same as average pooling with a 2 × 2 window whose stride "
            "is 2?",
            "用什么核、以什么步幅移动，可以得到与窗口 2 × 2、步幅 2 的平均池化相同的结果？",
        ),
        (
            "A mean is a sum with weights, all of them the same. Fractions such as 1/3 can be typed.",
            "平均值是所有权重都相同的加权和。可以输入 1/3 这样的分数。",
        ),
        (
            "Every element of the kernel is one over the number of pixels of the window, here {weight}, and the stride "
            "is that of the pooling. With several channels each needs a kernel of its own, a depthwise convolution.",
            "核的每个元素都是窗口像素数的倒数，这里是 {weight}；步幅与池化相同。"
            "有多个通道时，每个通道各用一个核，即逐通道卷积。",
        ),
        (
            Part(("Your kernel", "您的核"), 2, 2),
            Part(("Stride down and across", "高和宽上的步幅"), 1, 2, least=1),
        ),
        (
            Case(correlate(_X44, answer(0), stride=answer(1)), average(_X44, 2, stride=2), about=0),
            Case(correlate(_IMPULSE, answer(0), stride=answer(1)), average(_IMPULSE, 2, stride=2), about=1),
            *(
                Case(
                    correlate(np.roll(_IMPULSE, shift, (0, 1)).tolist(), answer(0), stride=answer(1)),
                    average(np.roll(_IMPULSE, shift, (0, 1)).tolist(), 2, stride=2),
                    say="moved",
                )
                for shift in ((0, 1), (1, 0), (1, 1))
            ),
        ),
        (_QUARTERS, [[2, 2]]),
        (Given(_INPUT, _X44), Given(("A single bright pixel", "单个亮像素"), _IMPULSE)),
        {
            "moved": (
                "If the single bright pixel stood elsewhere, {got} would come out in row {row}, column {column}, where "
                "{wanted} should: all pixels of a window count the same.",
                "如果亮像素在别处，第 {row} 行第 {column} 列会得到 {got}，而应为 {wanted}：窗口中的所有像素权重相同。",
            )
        },
        {"weight": pick(_QUARTERS, 0, 0)},
    ),
    Exercise(
        "min-pooling",
        ("Minimum pooling out of maximum pooling", "用最大池化实现最小池化"),
        (
            "Frameworks have no minimum pooling. Which numbers a and b make a × maxpool(b × X) the smallest number of "
            "every window?",
            "各框架没有最小池化。a 和 b 取什么数，能使 a × maxpool(b × X) 等于每个窗口中的最小值？",
        ),
        (
            "What turns the smallest number into the largest? And then back again?",
            "怎样把最小的数变成最大的数？然后又怎样变回来？",
        ),
        (
            "With −1 and −1: the negative of the maximum of the negatives. The first window gives {first}. Any "
            "negative b will do, if a = 1 / b.",
            "取 −1 和 −1：相反数的最大值，再取相反数。第一个窗口得到 {first}。b 可以是任何负数，只要 a = 1 / b。",
        ),
        (Part(("Number a", "数 a")), Part(("Number b", "数 b"))),
        (
            Case(
                scale(answer(0), maximum(scale(answer(1), _MIXED), 2)),
                minimum(_MIXED, 2),
                about=0,
                mistakes=(
                    (maximum(_MIXED, 2), "maximum"),
                    (scale([[-1]], maximum(_MIXED, 2)), "negative"),
                    (scale([[-1]], minimum(_MIXED, 2)), "half"),
                ),
            ),
        ),
        ([[-1]], [[-1]]),
        (Given(_INPUT, _MIXED),),
        {
            "maximum": ("That is the maximum itself.", "这就是最大值本身。"),
            "negative": ("That is the maximum with another sign.", "这是变了符号的最大值。"),
            "half": (
                "The right pixels win, with the wrong sign: {got} in row {row}, column {column}, where {wanted} should "
                "be.",
                "选中的像素是对的，但符号反了：第 {row} 行第 {column} 列得到 {got}，应为 {wanted}。",
            ),
        },
        {"first": pick(minimum(_MIXED, 2), 0, 0)},
    ),
)

# --------------------------------------------------------------------------- gradients

#: What differentiating can come to, in the order of the options; see :mod:`convbridge.teaching.autograd`.
OUTCOMES: dict[str, Text] = {
    "gradients": ("the gradients", "得到梯度"),
    "None": ("None, and no error", "得到 None，不报错"),
    "raised": ("an error", "报错"),
}

_FRAMEWORKS_DO: Text = (
    "The book’s loop fills its output by assigning to Y[i, j]. What does each framework return for the "
    "gradient of the sum of its outputs?",
    "书中的循环通过对 Y[i, j] 赋值来填写输出。对输出之和求梯度，各框架给出什么？",
)


def gradient(backends: tuple[str, ...]) -> Exercise:
    """Return the exercise on differentiating the book's loop, with a part for each framework that was run.

    Parameters
    ----------
    backends : tuple of str
        Canonical names; :func:`~convbridge.teaching.exercises.formulas.fact`
        has to know each.

    Returns
    -------
    Exercise

    Examples
    --------
    >>> [part.name for part in gradient(("torch",)).parts]
    ['torch']
    """
    return Exercise(
        "loop-gradient",
        ("Differentiating the loop", "对循环自动求导"),
        _FRAMEWORKS_DO,
        (
            "Three answers are possible: the assignments are recorded, they are not seen, or they are refused.",
            "有三种可能：赋值被记录下来，没有被看到，或者被拒绝。",
        ),
        (
            "That is what the installed versions answered when they were asked. The worst is the silent one: training "
            "goes on and learns nothing. convbridge’s own loops give gradients or raise one clear error.",
            "这是已安装的版本在运行时的回答。最糟糕的是不报错的那一种：训练照常进行，却什么也没学到。"
            "convbridge 自己的循环要么给出梯度，要么给出一条清楚的错误。",
        ),
        tuple(Part(("", ""), chooses=True, name=name) for name in backends),
        tuple(Case(answer(i), fact(name), say="run") for i, name in enumerate(backends)),
        tuple(fact(name) for name in backends),
        says={"run": ("In the run, {about} did something else.", "实际运行时，{about} 并非如此。")},
        options=tuple(OUTCOMES.values()),
    )
