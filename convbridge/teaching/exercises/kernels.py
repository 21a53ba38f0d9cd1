"""Exercises on cross-correlation, edges and kernels that are designed by hand."""

from __future__ import annotations

import numpy as np

from convbridge.teaching.examples import BAR, EDGE, K22, X33
from convbridge.teaching.exercises.exercise import Case, Exercise, Given, Part, Text
from convbridge.teaching.exercises.formulas import answer, columns, convolve, correlate, flat, pick, product, varies

__all__ = ["EXERCISES"]

_X, _K = X33.tolist(), K22.tolist()
#: The four outputs, as a sentence names them.
_OUTPUTS = dict(zip("abcd", (pick(correlate(_X, _K), i, j) for i in range(2) for j in range(2))))
_INPUT: Text = ("Input X", "输入 X")
_KERNEL: Text = ("Kernel K", "核 K")
_OUTPUT: Text = ("Output Y", "输出 Y")
_YOUR_KERNEL: Text = ("Your kernel", "您的核")

_EDGE = EDGE.tolist()
_DIAGONAL = np.eye(4, 5, dtype=int).tolist()
_VERTICAL = BAR[:4, 1:6].tolist()
_FALLING = np.triu(np.ones((4, 4), int)).tolist()  # an edge that falls from left to right
_RISING = np.fliplr(np.triu(np.ones((4, 4), int))).tolist()
_FALLING_EDGE: Text = ("Falling edge", "从左上到右下的边缘")
_RISING_EDGE: Text = ("Rising edge", "从左下到右上的边缘")

_CONSTANT = [[1] * 8]
_LINE, _SQUARES, _CUBES = ([[i**power for i in range(8)]] for power in (1, 2, 3))
_ONE = np.pad([[1]], 1).tolist()
_IMPULSE = np.pad([[1]], 2).tolist()


def _unit(shape: tuple[int, int], place: int) -> list[list[int]]:
    """Return a matrix with a single 1."""
    rows: list[list[int]] = np.eye(shape[0] * shape[1], dtype=int)[place].reshape(shape).tolist()
    return rows


_BIAS = 0.5

EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        "bias",
        ("The layer adds a bias", "卷积层加上偏差"),
        (
            "A convolutional layer cross-correlates the input with its weight and adds the bias, here 0.5. "
            "What is its output?",
            "卷积层将输入和卷积核做互相关运算，再加上偏差，这里偏差为 0.5。它的输出是什么？",
        ),
        (
            "The first window, without the bias, is 0×0 + 1×1 + 3×2 + 4×3. The bias is added once to each output.",
            "不加偏差时，第一个窗口是 0×0 + 1×1 + 3×2 + 4×3。每个输出只加一次偏差。",
        ),
        (
            "The first output is {inside} without the bias and {first} with it. Added to the weight instead, the bias "
            "would count once for every element of the window, with the pixel as its factor: {mistaken}.",
            "第一个输出不加偏差是 {inside}，加上偏差是 {first}。如果把偏差加到权重上，"
            "它就会与窗口中的每个像素相乘后计入：{mistaken}。",
        ),
        (Part(_OUTPUT, 2, 2),),
        (
            Case(
                answer(),
                correlate(_X, _K, bias=_BIAS),
                mistakes=(
                    (correlate(_X, (K22 + _BIAS).tolist()), "inside"),
                    (correlate(_X, _K), "without"),
                    (convolve(_X, _K), "flipped"),
                ),
            ),
        ),
        (correlate(_X, _K, bias=_BIAS),),
        (Given(_INPUT, _X), Given(_KERNEL, _K)),
        {
            "inside": (
                "You added the bias to the weight, so it was multiplied by every pixel of the window. It is added to "
                "the sum, once.",
                "您把偏差加到了权重上，它就与窗口中的每个像素相乘了。偏差应加到和上，只加一次。",
            ),
            "without": ("The bias is still missing.", "还没有加上偏差。"),
            "flipped": (
                "You flipped the kernel and left out the bias: that is true convolution. The layer does not flip.",
                "您翻转了核，也没有加偏差：那是真正的卷积运算。卷积层不翻转核。",
            ),
        },
        {
            "inside": pick(correlate(_X, _K), 0, 0),
            "first": pick(correlate(_X, _K, bias=_BIAS), 0, 0),
            "mistaken": pick(correlate(_X, (K22 + _BIAS).tolist()), 0, 0),
        },
    ),
    Exercise(
        "diagonal",
        ("A diagonal line", "对角线"),
        (
            "The kernel (1, −1) finds vertical edges. What does it make of an image with a diagonal line?",
            "核 (1, −1) 用来检测竖直边缘。把它应用于具有对角线的图像，会得到什么？",
        ),
        (
            "Each output is a pixel minus its right neighbour. Go along one row at a time.",
            "每个输出是一个像素减去它右边的像素。请逐行计算。",
        ),
        (
            "Every row meets the line once: {on} on the line, {before} just left of it, 0 elsewhere. The kernel sees a "
            "change along the row, whatever the direction of the line.",
            "每一行都与这条线相遇一次：线上为 {on}，线的左侧为 {before}，其余为 0。"
            "核只看沿着行的变化，与线的方向无关。",
        ),
        (Part(_OUTPUT, 4, 4),),
        (
            Case(
                answer(),
                correlate(_DIAGONAL, _EDGE),
                mistakes=((convolve(_DIAGONAL, _EDGE), "flipped"),),
            ),
        ),
        (correlate(_DIAGONAL, _EDGE),),
        (Given(_INPUT, _DIAGONAL), Given(_KERNEL, _EDGE)),
        {
            "flipped": (
                "All signs are the other way round: that is the right neighbour minus the pixel, with the kernel "
                "flipped.",
                "符号全反了：那是右边的像素减去这个像素，即翻转了核。",
            )
        },
        {"on": pick(correlate(_DIAGONAL, _EDGE), 0, 0), "before": pick(correlate(_DIAGONAL, _EDGE), 1, 0)},
    ),
    Exercise(
        "transposes",
        ("Transpose the image, transpose the kernel", "转置图像，转置核"),
        (
            "Below is an image with a vertical edge. What does the kernel (1, −1) return for the transposed image? "
            "And what does the transposed kernel return for the image as it is?",
            "下面是一幅具有竖直边缘的图像。对转置后的图像，核 (1, −1) 给出什么？对原图像，转置后的核又给出什么？",
        ),
        (
            "The transposed image has 5 rows and 4 columns; does any of its rows change? The transposed kernel "
            "subtracts from each pixel the one below it.",
            "转置后的图像有 5 行 4 列；它的某一行有变化吗？转置后的核用每个像素减去它下面的像素。",
        ),
        (
            "All zeros, both times. The kernel looks along the rows, and the edge of the transposed image lies along "
            "them; the transposed kernel looks along the columns, and so does the edge. Only with both transposed does "
            "the edge come back.",
            "两次都全是零。核沿着行看，而转置图像的边缘正是沿着行的；转置后的核沿着列看，而边缘正是沿着列的。"
            "只有两者都转置，边缘才会重新出现。",
        ),
        (
            Part(("Output for the transposed image", "转置图像的输出"), 5, 3),
            Part(("Output of the transposed kernel", "转置的核的输出"), 3, 5),
        ),
        (
            Case(answer(0), correlate(np.transpose(_VERTICAL).tolist(), _EDGE)),
            Case(answer(1), correlate(_VERTICAL, np.transpose(_EDGE).tolist())),
        ),
        (
            correlate(np.transpose(_VERTICAL).tolist(), _EDGE),
            correlate(_VERTICAL, np.transpose(_EDGE).tolist()),
        ),
        (Given(_INPUT, _VERTICAL), Given(_KERNEL, _EDGE)),
    ),
    Exercise(
        "diagonal-edges",
        ("A kernel for one diagonal", "检测一种对角线边缘的核"),
        (
            "Design a kernel that sees edges falling from left to right, and is blind to those that rise: its output "
            "is 0 all over the image of the rising edge, and different from 0 exactly at the falling one.",
            "设计一个核，它能检测从左上到右下的边缘，而看不到从左下到右上的边缘："
            "对后一幅图像，输出处处为 0；对前一幅图像，输出恰好在边缘处不为 0。",
        ),
        (
            "Subtract from a pixel its neighbour across the edge. Which of the two diagonals of the kernel crosses a "
            "falling edge?",
            "用一个像素减去边缘另一侧的像素。核的两条对角线中，哪一条跨过从左上到右下的边缘？",
        ),
        (
            "The pixel at the upper right minus the one at the lower left, or the other way round, times any number: "
            "Roberts’ cross. Along a rising edge both lie on the same side.",
            "右上的像素减去左下的像素，或者反过来，再乘以任意非零的数：这就是 Roberts 算子。"
            "对于从左下到右上的边缘，这两个像素在同一侧。",
        ),
        (Part(_YOUR_KERNEL, 2, 2),),
        (
            Case(correlate(_RISING, answer()), "zero", about=1, say="sees-rising"),
            Case(correlate(_FALLING, answer()), varies(_FALLING, 2), about=0, zeros=True),
        ),
        ([[0, 1], [-1, 0]],),
        (Given(_FALLING_EDGE, _FALLING), Given(_RISING_EDGE, _RISING)),
        {
            "sees-rising": (
                "{about}: your kernel gives {got} in row {row}, column {column} of the output, where it should be "
                "blind.",
                "{about}：您的核在输出的第 {row} 行第 {column} 列给出 {got}，而它应当看不到这里。",
            ),
        },
    ),
    Exercise(
        "second-derivative",
        ("The second derivative", "二阶导数"),
        (
            "Design a kernel for the second derivative along a row. It gives 0 where the numbers are constant or grow "
            "evenly, and on the squares 0, 1, 4, 9 … everywhere the same.",
            "设计一个沿着行求二阶导数的核。当各数不变或均匀增长时，它给出 0；"
            "对平方数 0、1、4、9……，它处处给出相同的数。",
        ),
        (
            "A first difference is (−1, 1). Take the difference of two neighbouring differences.",
            "一阶差分是 (−1, 1)。再求相邻两个差分的差。",
        ),
        (
            "The difference of the differences: (x₂ − x₁) − (x₁ − x₀). On the squares it gives {squares}, which is "
            "the second derivative of x². Any multiple of it is the same up to a factor.",
            "差分的差分：(x₂ − x₁) − (x₁ − x₀)。对平方数它给出 {squares}，正是 x² 的二阶导数。"
            "它的任意非零倍数只差一个因子。",
        ),
        (Part(_YOUR_KERNEL, 1, 3),),
        (
            Case(correlate(_CONSTANT, answer()), "zero", about=0),
            Case(correlate(_LINE, answer()), "zero", about=1),
            Case(correlate(_SQUARES, answer()), "equal", about=2),
        ),
        ([[1, -2, 1]],),
        (
            Given(("Constant", "常数"), _CONSTANT),
            Given(("Even growth", "均匀增长"), _LINE),
            Given(("Squares", "平方数"), _SQUARES),
        ),
        numbers={"squares": pick(correlate(_SQUARES, [[1, -2, 1]]), 0, 0)},
    ),
    Exercise(
        "integral",
        ("The integral over a window", "窗口上的积分"),
        (
            "Design a kernel that adds up the pixels of a 3 × 3 window, all with the same weight. A single bright "
            "pixel must then give the same in every window that holds it.",
            "设计一个核，把 3 × 3 窗口中的像素以相同的权重相加。这样，单个亮像素在每个包含它的窗口中都给出相同的数。",
        ),
        (
            "Cross-correlating a single 1 shows the kernel itself, flipped. What must all its elements be?",
            "与单个 1 做互相关运算，得到的就是翻转后的核本身。它的所有元素应当怎样？",
        ),
        (
            "All elements are the same: 1 for the sum, that is the integral, and 1/{elements} for the mean, which is "
            "called a box blur.",
            "所有元素都相同：取 1 得到和，即积分；取 1/{elements} 得到平均值，称为方框模糊。",
        ),
        (Part(_YOUR_KERNEL, 3, 3),),
        (Case(correlate(_IMPULSE, answer()), "equal", about=0),),
        ([[1, 1, 1]] * 3,),
        (Given(("A single bright pixel", "单个亮像素"), _IMPULSE),),
        numbers={"elements": pick(correlate([[1] * 3] * 3, [[1] * 3] * 3), 0, 0)},
    ),
    Exercise(
        "third-derivative",
        ("The smallest kernel for a third derivative", "三阶导数的最小核"),
        (
            "Design the smallest kernel for the third derivative along a row: 0 where the numbers are constant, grow "
            "evenly or are squares, and the same everywhere on the cubes. How many elements it has is up to you.",
            "设计沿着行求三阶导数的最小的核：当各数不变、均匀增长或为平方数时给出 0，对立方数则处处给出相同的数。"
            "核有多少个元素，由您决定。",
        ),
        (
            "The first derivative needs 2 elements, the second 3. Take the difference of two neighbouring second "
            "differences.",
            "一阶导数需要 2 个元素，二阶需要 3 个。再求相邻两个二阶差分的差。",
        ),
        (
            "{size} elements: the binomial coefficients with alternating signs, which give {cubes} on the cubes, times "
            "any number. For the d-th derivative it is d + 1 elements: fewer cannot be 0 on all lower powers.",
            "{size} 个元素：符号交替的二项式系数，对立方数给出 {cubes}，可以再乘以任意非零的数。"
            "d 阶导数需要 d + 1 个元素：更少的元素不可能对所有更低的幂都给出 0。",
        ),
        (Part(_YOUR_KERNEL, 1, 2, most=6),),
        (
            *(
                Case(correlate(powers, answer()), "zero", about=i)
                for i, powers in enumerate((_CONSTANT, _LINE, _SQUARES))
            ),
            Case(correlate(_CUBES, answer()), "equal", about=3),
            Case(columns(answer()), [[4]], say="too-many"),
        ),
        ([[-1, 3, -3, 1]],),
        (
            Given(("Constant", "常数"), _CONSTANT),
            Given(("Even growth", "均匀增长"), _LINE),
            Given(("Squares", "平方数"), _SQUARES),
            Given(("Cubes", "立方数"), _CUBES),
        ),
        {
            "too-many": (
                "It is a third derivative, and it has {got} elements. There is a smaller one.",
                "这确实是三阶导数，但有 {got} 个元素。还有更小的核。",
            )
        },
        {
            "size": columns([[-1, 3, -3, 1]]),
            "cubes": pick(correlate(_CUBES, [[-1, 3, -3, 1]]), 0, 0),
        },
    ),
    Exercise(
        "unrolled-input",
        ("One matrix product: unroll the input", "表示为矩阵乘法：展开输入"),
        (
            "Write the cross-correlation as one matrix product, A times the kernel as a column (its elements row after "
            "row). Each row of A makes one output. Fill in A for this input and any kernel of 2 × 2.",
            "把互相关运算表示为一次矩阵乘法：A 乘以写成一列的核（按行依次排列）。A 的每一行得到一个输出。"
            "请为这个输入和任意 2 × 2 的核填写 A。",
        ),
        (
            "A row of A is what lies under the kernel in one window, row after row.",
            "A 的一行就是一个窗口中核所覆盖的元素，按行依次排列。",
        ),
        (
            "Each row is one window: that is im2col, with which many libraries compute convolutions. A times "
            "(0, 1, 2, 3) is {a}, {b}, {c}, {d}.",
            "每一行是一个窗口：这就是 im2col，许多库用它来计算卷积。A 乘以 (0, 1, 2, 3) 得到 {a}、{b}、{c}、{d}。",
        ),
        (Part(("Matrix A", "矩阵 A"), 4, 4),),
        (
            Case(product(answer(), _K), flat(correlate(_X, _K)), say="first"),
            *(
                Case(product(answer(), _unit((2, 2), i)), flat(correlate(_X, _unit((2, 2), i))), say=f"kernel-{i}")
                for i in range(4)
            ),
        ),
        ([[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]],),
        (Given(_INPUT, _X), Given(_KERNEL, _K)),
        {
            "first": (
                "Row {row} of A times the kernel is {got}, and output number {row} is {wanted}.",
                "A 的第 {row} 行乘以核得到 {got}，而第 {row} 个输出是 {wanted}。",
            ),
            **{
                f"kernel-{i}": (
                    f"For this kernel it is right, but for one with a 1 in row {i // 2}, column {i % 2} and zeros "
                    "elsewhere, row {row} of A gives {got}, and the output is {wanted}.",
                    f"对这个核是对的，但若核只在第 {i // 2} 行第 {i % 2} 列为 1、其余为 0，"
                    "则 A 的第 {row} 行给出 {got}，而输出是 {wanted}。",
                )
                for i in range(4)
            },
        },
        _OUTPUTS,
    ),
    Exercise(
        "unrolled-kernel",
        ("One matrix product: unroll the kernel", "表示为矩阵乘法：展开核"),
        (
            "Now the other way: T times the input as a column (its elements row after row). Fill in T for this kernel "
            "and any input of 3 × 3. Empty cells are zeros.",
            "现在反过来：T 乘以写成一列的输入（按行依次排列）。请为这个核和任意 3 × 3 的输入填写 T。空格表示零。",
        ),
        (
            "Row 0 makes the first output, from the inputs number 0, 1, 3 and 4. Which element of the kernel meets "
            "each of them? Row 1 is one step further to the right.",
            "第 0 行得到第一个输出，它用到第 0、1、3、4 个输入。它们分别与核的哪个元素相乘？第 1 行向右移动一步。",
        ),
        (
            "Each row holds the kernel, shifted: a doubly blocked Toeplitz matrix. T times the input is {a}, {b}, {c}, "
            "{d}. Most of T is zeros, so it is rarely written down; its transpose carries the gradient back.",
            "每一行都是移动后的核：这是双重分块的 Toeplitz 矩阵。T 乘以输入得到 {a}、{b}、{c}、{d}。"
            "T 的大部分是零，所以很少真正写出来；梯度正是通过它的转置传回去的。",
        ),
        (Part(("Matrix T", "矩阵 T"), 4, 9, blanks=True),),
        (
            Case(product(answer(), _X), flat(correlate(_X, _K)), say="first"),
            *(
                Case(product(answer(), _unit((3, 3), i)), flat(correlate(_unit((3, 3), i), _K)), say=f"pixel-{i}")
                for i in range(9)
            ),
        ),
        (
            [
                [0, 1, 0, 2, 3, 0, 0, 0, 0],
                [0, 0, 1, 0, 2, 3, 0, 0, 0],
                [0, 0, 0, 0, 1, 0, 2, 3, 0],
                [0, 0, 0, 0, 0, 1, 0, 2, 3],
            ],
        ),
        (Given(_INPUT, _X), Given(_KERNEL, _K)),
        {
            "first": (
                "Row {row} of T times the input is {got}, and output number {row} is {wanted}.",
                "T 的第 {row} 行乘以输入得到 {got}，而第 {row} 个输出是 {wanted}。",
            ),
            **{
                f"pixel-{i}": (
                    f"For this input it is right, but for one with a 1 in row {i // 3}, column {i % 3} and zeros "
                    "elsewhere, row {row} of T gives {got}, and the output is {wanted}.",
                    f"对这个输入是对的，但若输入只在第 {i // 3} 行第 {i % 3} 列为 1、其余为 0，"
                    "则 T 的第 {row} 行给出 {got}，而输出是 {wanted}。",
                )
                for i in range(9)
            },
        },
        _OUTPUTS,
    ),
    Exercise(
        "flip",
        ("Convolution instead of cross-correlation", "用卷积代替互相关"),
        (
            "A layer has learned the kernel K by cross-correlation. Which kernel must true convolution have to return "
            "the same, for every input?",
            "某层用互相关运算学到了核 K。真正的卷积运算要用哪个核，才能对任何输入都给出相同的结果？",
        ),
        (
            "Convolution flips its kernel before it is laid on the input, left to right and top to bottom.",
            "卷积运算先把核左右翻转、上下翻转，再放到输入上。",
        ),
        (
            "K flipped both ways: flipping twice is no flip at all. A network that learns its kernels does not care "
            "which of the two it computes.",
            "上下、左右都翻转的 K：翻转两次等于没有翻转。对于自己学习核的网络，用哪一种运算都一样。",
        ),
        (Part(_YOUR_KERNEL, 2, 2),),
        (
            # what comes out of a single 1 shows every element of a kernel
            Case(
                convolve(_ONE, answer()),
                correlate(_ONE, _K),
                about=1,
                mistakes=(
                    (convolve(_ONE, _K), "same"),
                    (convolve(_ONE, K22[:, ::-1].tolist()), "one-way"),
                    (convolve(_ONE, K22[::-1].tolist()), "one-way"),
                    (convolve(_ONE, K22.T.tolist()), "transposed"),
                ),
            ),
        ),
        (K22[::-1, ::-1].tolist(),),
        (Given(_KERNEL, _K), Given(("A single bright pixel", "单个亮像素"), _ONE)),
        {
            "same": ("That is K itself: convolution would flip it.", "这就是 K 本身：卷积运算会把它翻转。"),
            "one-way": ("You flipped it one way. It takes both.", "您只翻转了一个方向，两个方向都要翻转。"),
            "transposed": (
                "You transposed it. Flipping both ways is something else.",
                "您转置了它。上下左右都翻转与转置不同。",
            ),
        },
    ),
)
