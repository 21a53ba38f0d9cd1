"""The catalogue's sentences in Chinese, for readers of the Chinese chapters.

What may live here: a translation of each entry, under its name. Numbers,
names of functions and words of code stay as they are. A test finds an entry
without one.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CHINESE", "CHINESE_GROUPS", "Translation"]


class Translation(NamedTuple):
    """What is said of an entry; as in :class:`convbridge.teaching.divergences.entry.Entry`."""

    title: str
    question: str
    why: str
    promise: str


#: Name of a group to its Chinese one.
CHINESE_GROUPS = {
    "padding": "填充",
    "strides and dilations": "步幅和膨胀",
    "shapes and layouts": "形状和布局",
    "pooling": "池化",
    "numbers and dtypes": "数值和数据类型",
    "gradients, errors and layers": "梯度、错误和层",
}

#: Name of an entry to its Chinese sentences.
CHINESE: dict[str, Translation] = {
    "same-even-kernel": Translation(
        "偶数大小的核下，'same' 有两种含义",
        "2×2 的核需要填充一行一列才能保持图像大小。填充在哪一侧？",
        "这个词没有说明多出的一行放在哪里。TensorFlow、"
        "PyTorch 和 SciPy 的 correlate2d 把它放在底端，多出的一列放在右侧；"
        "书中和 SciPy 的 correlate 放在顶端和左侧。MXNet 的算子不认识这个词。",
        "在所有后端中，'same' 就是 TensorFlow 和 ONNX 的 SAME_UPPER；"
        "'same_lower' 和 'chapter' 把多出的一行放在顶端。"
        "每个词在交给后端之前都变成四个整数。",
    ),
    "same-with-stride": Translation(
        "带步幅的 'same' 有第三种含义",
        "同一个词，3×3 的核以步幅 2 在 4×4 的图像上移动：它看的是哪些窗口？",
        "TensorFlow 根据步幅计算填充：两个大小为 3 的窗口只比图像多需要一行，于是只在底端填充一行。"
        "像这里的 SciPy 那样取步幅 1 结果中的每第二个，则两侧都要填充，每个窗口都早一个像素开始。"
        "PyTorch 拒绝这种组合。",
        "在所有后端中都是 ceil(n / s) 个结果和 TensorFlow 的窗口。"
        "'chapter' 则与书中一样，总是填充 d (k - 1)，与步幅无关。",
    ),
    "half-kernel-padding": Translation(
        "padding=k//2 与 'SAME' 形状相同而数值不同",
        "奇数大小的核，填充为核的一半，步幅为 2：PyTorch 的教程写作 padding=1，TensorFlow 的写作 'SAME'。",
        "对于奇数大小的图像，两者相同。对于偶数大小，TensorFlow 在顶端少填充一行，"
        "所有窗口都向右下方移动一个像素。形状一致，所以移植到另一框架的网络能够运行，"
        "而每个带步幅的层都看偏了位置。",
        "padding=1 就是每侧一行，无论由谁来计算。",
    ),
    "one-sided-padding": Translation(
        "只在一侧填充：各框架写法不同，或者无法写出",
        "顶端一行零，左侧一列零，其他两侧什么也没有。",
        "PyTorch 和 MXNet 的算子每个方向只有一个数，两侧填充相同，其他情况都要先用填充算子。"
        "TensorFlow 接受一个列表，四个方向各一对数。",
        "在所有后端中都写作 ((top, bottom), (left, right))。先运行框架的填充算子，再做不带填充的卷积。",
    ),
    "negative-padding": Translation(
        "负数填充会裁剪图像，或者不会",
        "填充为负一的卷积。",
        "没有人定义过它。在不检查符号的地方，结果大小的公式仍能给出一个数，核就在裁剪后的图像上计算。",
        "填充至少为 0；要裁剪请用切片。",
    ),
    "infinite-kernel": Translation(
        "填充并不总是参与乘法",
        "核中有一个无穷大的元素，它遇到填充的零。零乘以无穷大是 NaN，前提是真的做了乘法。",
        "oneDNN 的一些内核省略与填充的乘积。TensorFlow 自己的内核把零写出来再相乘。"
        "程序遇到哪个内核，取决于框架、通道数和处理器。",
        "填充由填充算子完成，所以像其他像素一样参与乘法：按照定义，结果是 NaN。",
    ),
    "padded-maximum": Translation(
        "最大池化四周的零会掩盖负数像素",
        "对负数图像做带填充的最大池化。",
        "池化算子用负无穷填充，它永远不会成为最大值。若像在 NumPy 中常做的那样、"
        "也像书中代码移植到 TensorFlow 时那样，事先填充图像，填充的就是零，而零大于任何负数像素。"
        "在书中 0 到 15 的例子上看不出来。",
        "在所有后端中，最大池化用负无穷填充，平均池化用零填充。",
    ),
    "padding-beyond-window": Translation(
        "只含填充的窗口",
        "float64 的最大池化，填充与窗口一样宽。",
        "没有像素就没有最大值。MXNet 从该数据类型最小的有限数开始并返回它；NumPy 返回给它的填充；"
        "其他框架拒绝，PyTorch 从超过窗口的一半起就拒绝。",
        "每侧的填充小于窗口，所以每个窗口都含有像素。",
    ),
    "depthwise-dilation": Translation(
        "带步幅和膨胀的深度卷积算出了别的东西",
        "每个通道单独计算，窗口隔一个取一个，窗口中的像素也隔一个取一个。",
        "tf.nn.depthwise_conv2d 先把膨胀变成图像的重新排列（space to batch）"
        "，再把步幅用在重新排列后的图像上，而那里相邻的像素原本相隔两个。它的窗口中只有一部分是所要求的；"
        "对另一些大小，连形状都不同。无论在即时模式、计算图还是 XLA 中，都没有任何提示。",
        "与定义一致；从不让 TensorFlow 的深度卷积算子同时带有两者。",
    ),
    "depthwise-strides": Translation(
        "两个方向步幅不同：只在某些处理器上可行",
        "深度卷积，向下移动 2，向右移动 1。",
        "TensorFlow 自己的深度卷积内核只有一个步幅。oneDNN 的有两个，TensorFlow 根据所在的处理器在两者之间选择。",
        "在所有后端中都有两个步幅：TensorFlow 改为对每一组运行普通卷积。",
    ),
    "fractional-stride": Translation(
        "一又二分之一的步幅",
        "stride=1.5 的卷积。",
        "TensorFlow 把算子的每个属性转换为它需要的类型，小数变成整数时直接舍去小数部分。",
        "只接受整数，不接受需要取整才能成为整数的数。",
    ),
    "default-stride": Translation(
        "没有给出步幅时池化的步幅",
        "2×2 窗口的池化，别的什么也没说。",
        "PyTorch 的函数和所有框架的层按窗口大小移动；TensorFlow 和 MXNet 的函数移动 1。",
        "函数 pool2d 与书中一致：若不另说，步幅为 1，stride=None 表示窗口大小。"
        "层 MaxPool2D 和 AvgPool2D 与每个框架一样，按窗口大小移动。",
    ),
    "huge-stride": Translation(
        "超过 32 位的步幅",
        "步幅为 2 的 40 次方的卷积，只剩一个窗口。",
        "TensorFlow 的计算图用 64 位保存步幅，而内核用 32 位。"
        "一条路径检查数值是否放得下并报错；另一条为 oneDNN 内核做准备的路径用断言检查，"
        "断言失败就终止进程，Python 的 try 和 except 无法捕获。",
        "每个大小都小于 2**31，在框架看到之前就已检查。",
    ),
    "one-output-column": Translation(
        "合法的卷积返回没有人写过的内存",
        "两幅单通道图像，1×2 的核，步幅为 2，该方向上只放得下一个窗口。",
        "使用 oneDNN 时，若只有一个通道、多于一幅图像、输出只有一列且带步幅，"
        "TensorFlow 会漏写一部分结果：每隔一个数就是内存中原有的内容，每次运行都不同。换成两个通道、"
        "一幅图像或 float64，同样的调用就是正确的。",
        "只有一个窗口的方向，在交给 TensorFlow 之前步幅改为 1，并裁剪到该窗口。",
    ),
    "ported-stride": Translation(
        "书中的层移植之后打印出另一个形状",
        "书中的例子：核 (3, 5)，填充 (0, 1)，步幅 (3, 4)，输入 8×8。",
        "TensorFlow 的层不接受数字形式的填充，只有 'same' 和 'valid'，所以移植时省去了填充，每行就少放一个窗口。",
        "同样的调用，在所有后端中得到同样的形状和同样的数值。",
    ),
    "channels-first": Translation(
        "通道在前：在一台电脑上可用，在另一台上报错",
        "NCHW 布局的图像。",
        "TensorFlow 自己没有处理器上的 NCHW 内核，oneDNN 有。"
        "Linux 版 TensorFlow 在处理器具有某些指令时自动启用 oneDNN，所以同一个安装包、"
        "同一个程序是否可用，取决于机器。",
        "在所有后端、所有处理器上都支持 NCHW 和 NHWC：框架只有其中一种时，就转置数组。",
    ),
    "channels-last": Translation(
        "通道在后：报的却是另一件事的错",
        "NHWC 布局的图像。",
        "MXNet 的卷积接受 NHWC 这个词，但在处理器上没有对应的内核；它的池化有。"
        "使用 oneDNN 时，错误来自该库内部，在读取结果时才出现，说的却是膨胀。",
        "在所有后端中都支持 data_format='NHWC'；核保持 OIHW。",
    ),
    "kernel-layout": Translation(
        "另一框架布局的核被接受了",
        "核有 2 个输入通道、1 个输出通道，采用另一框架的布局："
        "给其他三个框架的是 TensorFlow 的轴次序，给 TensorFlow 的是 PyTorch 的。",
        "只得到两个数组的函数，从核中读取核大小和通道数。如果各轴碰巧吻合，它就以另一个核大小和另外的通道来计算。"
        "MXNet 还另外得知 kernel 和 num_filter，比较之后拒绝。",
        "在所有后端中只有一种布局：OIHW。层知道自己的核大小和通道数，拒绝其他任何形状的权重。",
    ),
    "channel-mismatch": Translation(
        "不匹配的通道变成了分组",
        "4 个通道的图像，和两个各有 2 个通道的核。",
        "tf.nn.conv2d 没有分组参数：它用图像的通道数除以核的通道数。于是，"
        "为另一幅图像准备的核只要整除，就成了分组卷积。",
        "通道数必须匹配；分组要用 groups= 明确要求。",
    ),
    "three-axes": Translation(
        "少写一个轴：另一个结果、报错，或者进程终止",
        "没有批量轴的图像。",
        "PyTorch 把它当作单幅图像。使用 oneDNN 的 TensorFlow 去找一个不存在的轴，"
        "发现这一点的检查是断言，会终止进程。不用 oneDNN、"
        "用 float64 或在 tf.function 之中，同样的调用会报错。",
        "conv2d 接受四个轴并这样说明；corr2d 接受矩阵。",
    ),
    "kernel-too-large": Translation(
        "比图像还大的核：照样有回答",
        "3×3 的核，2×2 的图像，没有填充。没有窗口放得下。",
        "公式给出 0 行，谁也不必反对。SciPy 的 'valid' 在只有交换参数才放得下时就交换两者，"
        "用核去与图像做互相关。使用 oneDNN 的 TensorFlow 返回一个与图像形状相同、"
        "没有人写过的数组，其中的数是内存原有的内容，每次运行都不同；不用 oneDNN 则返回空数组。",
        "核必须能放进填充后的图像。",
    ),
    "empty-batch": Translation(
        "没有图像的批量",
        "筛选后的数据集，最后一个批量可能是空的。它的卷积是什么？",
        "似乎应当是空的结果，形状与平常一样。使用 oneDNN 的 TensorFlow 提前返回，"
        "形状却是输入的形状。在 MXNet 中，大小 0 表示尚未知道。",
        "形状正确的空结果，梯度为零；不去询问任何框架。",
    ),
    "zero-channels": Translation(
        "没有通道的图像，加上偏置",
        "5 个没有通道的核，偏置全为一。",
        "没有乘积的和是 0，所以结果就是偏置：NumPy 这样说。PyTorch 返回一个没有通道的数组，"
        "丢掉了 5 个核，也不加偏置。其他框架由各自的内核决定是否反对。",
        "除批量外，每个轴至少有一个元素。",
    ),
    "zero-groups": Translation(
        "零个分组：除以零，进程终止",
        "groups=0 的卷积。",
        "MXNet 先用通道数除以组数，然后才检查这个数。C++ 中的整数除以零是处理器的信号而不是异常，Python 无法捕获。",
        "groups 为正数并整除通道数，在框架看到之前就已检查。",
    ),
    "flipped-kernel": Translation(
        "卷积，以及被称作卷积的运算",
        "图像与核的卷积。",
        "数学中的卷积把核沿两个方向翻转，SciPy 的 convolve2d 也是如此。"
        "深度学习把互相关称作卷积：学到的核是否翻转，由运算的需要决定。",
        "在所有后端中，conv2d 和 corr2d 都是互相关；convolve2d 才翻转。",
    ),
    "one-nan": Translation(
        "一个坏像素影响多远，取决于算法",
        "16 幅 128×128、元素全为一的图像，第一幅的中央有一个 NaN，核为 9×9。"
        "81 个窗口看得到这个 NaN。有多少个结果是 NaN？",
        "直接求和只在像素所属的窗口中用到它。快速算法对像素块或整幅图像做变换再计算："
        "在没有或关闭 oneDNN 时，PyTorch 从 16 幅图像起使用的 NNPACK，"
        "以及 SciPy 预计更快时使用的傅里叶变换。这时一个 NaN 会波及整个块，"
        "一个很大的像素会使整个块失去全部有效数字。",
        "直接算法，除非用 use_precision('fast') 允许其他算法：每个结果只取决于自己的窗口。",
    ),
    "window-too-large": Translation(
        "比图像大一的池化窗口",
        "3×3 的窗口，2×2 的图像。没有窗口放得下。",
        "使用 oneDNN 时，TensorFlow 除以一个在这里为零的大小："
        "整数除以零是处理器的信号而不是异常，因此进程终止。不用 oneDNN 则返回空数组。",
        "窗口必须能放进填充后的图像。",
    ),
    "nan-in-window": Translation(
        "NaN 在最大池化中消失",
        "含有一个 NaN 的窗口的最大值，以及除 NaN 外什么也没有的窗口的最大值。",
        "NaN 不大于也不小于任何数。保留两数中较大者、从最小的有限数开始的循环，永远不会保留 NaN；"
        "若没有别的数，就返回起始值。产生了 NaN 的网络，在下一个池化层之后似乎又正常了。",
        "在所有后端中，窗口中的 NaN 就是它的最大值；MXNet 和 TensorFlow 由本库协助做到。",
    ),
    "minus-infinity": Translation(
        "负无穷的最大值不是负无穷",
        "对全是负无穷的图像做最大池化。",
        "TensorFlow 和 MXNet 从最小的有限数开始，它大于负无穷。",
        "在所有后端中都是负无穷。",
    ),
    "average-at-border": Translation(
        "边缘处的平均值除以多少",
        "图像元素全为九，四周填充一行，取 3×3 窗口的平均值。",
        "若不另行指定，PyTorch 和 MXNet 把填充算作像素，处处除以 9。"
        "TensorFlow 的 'SAME' 除以图像像素的个数，在角上是 4，而且没有开关。",
        "除非 count_include_pad=False，填充都计入；除数由本库在所有后端中计算，"
        "方法是像池化图像那样池化一幅全为一的图像。",
    ),
    "ceil-mode": Translation(
        "伸出边界的窗口，和一个不存在的窗口",
        "最后的窗口可以伸出图像的最大池化：PyTorch 的 ceil 模式、MXNet 的 'full' 约定、TensorFlow 的 'SAME'。",
        "窗口数向上取整之后，最后一个窗口可能完全落在填充之中。PyTorch 舍弃它。MXNet 保留它，"
        "并返回最小的有限数。TensorFlow 没有 ceil 模式；'SAME' 在这里窗口数相同，"
        "但从另一个像素开始。",
        "在所有后端中采用 PyTorch 的规则：最后一个窗口必须从图像或前侧填充之内开始。"
        "从不调用框架自己的模式，因为它不过是末尾多一些填充。",
    ),
    "global-average": Translation(
        "保留或去掉轴的全局平均",
        "每个通道整体的平均值。",
        "除非要求保留，Keras 和 NumPy 去掉两个轴；PyTorch 和 MXNet 保留它们，长度为 1，以便后面接卷积。",
        "池化保留所有的轴。",
    ),
    "half-average": Translation(
        "256 个一千的平均值是无穷大",
        "float16 中 16×16 个值为 1000 的像素的平均值。",
        "和是 256000，而 float16 的最大数是 65504。TensorFlow 以 float16 相加；其他框架以更宽的类型相加，最后再舍入。",
        "在所有后端中，半精度数以 float32 相加，只舍入一次。",
    ),
    "integer-average": Translation(
        "整数 1、2、3、4 的平均值",
        "int64 图像的平均池化。",
        "PyTorch 保持数据类型，舍去小数部分。TensorFlow 和 MXNet 只对浮点数求平均，而 MXNet 在读取结果时才说出来。",
        "在所有后端中，整数先转换为 float32。",
    ),
    "float64-maximum": Translation(
        "float64 的最大池化返回 float32",
        "一个 float64 数组的最大值，其中有 float32 没有的数。",
        "tf.nn.max_pool2d 按自己的规则转换 NumPy 数组，一切都变成 float32。"
        "tf.constant(X) 会保持数据类型；对同一个数组，"
        "tf.nn.avg_pool2d 和 tf.nn.conv2d 也会保持。",
        "每个数组在算子看到之前，都连同其数据类型一起转换；float64 就以 float64 计算。",
    ),
    "array-of-float64": Translation(
        "由 float64 创建的数组是 float32",
        "由 NumPy 数组创建框架的数组。",
        "凡是没有给出数据类型的，nd.array 一律变成 float32，无论来源是什么。",
        "在所有后端中，asarray 都保持数据类型。",
    ),
    "integers-times-floats": Translation(
        "整数图像乘以二分之一的核等于零",
        "int32 与 float32 的卷积。",
        "图像是张量，核是 NumPy 数组：TensorFlow 把数组转换为张量的数据类型，"
        "而 0.5 作为 int32 就是 0。若两者都是张量，"
        "它会像 PyTorch 和 MXNet 那样报错。",
        "在框架看到之前，整数变为 float32，浮点数之间按 NumPy 的规则提升。",
    ),
    "int8-overflow": Translation(
        "八位整数中的四个 100",
        "int8 中四个值为 100 的像素之和，而 int8 最大是 127。",
        "NumPy 和 PyTorch 以 int8 相加，发生回绕。"
        "使用 oneDNN 的 MXNet 以 32 位相加再饱和，这是量化网络所要的。"
        "TensorFlow 没有这样的内核。",
        "整数以 float32 计算，结果也是 float32，与书中的输出一致。",
    ),
    "denormals": Translation(
        "小于最小正规数的数是零，或者不是",
        "float32 中 1e-40 乘以 1，最小的正规数约为 1.2e-38。",
        "处理器计算非正规数很慢。TensorFlow 因此在它的线程中打开开关，把它们当作零；其他框架不去动它。",
        "这里不作承诺：没有框架允许为每次调用分别选择。",
    ),
    "reversed-image": Translation(
        "反向读取的图像",
        "步幅为负的 NumPy 视图，例如镜像的图像。",
        "PyTorch 的张量没有负步幅，所以带负步幅的数组不能原样接过来。",
        "接受任何 NumPy 数组，在框架需要时复制。",
    ),
    "loop-gradient": Translation(
        "对书中的循环求导：得到梯度、None，或者报错",
        "书中在循环里逐个计算 Y 的元素并赋值。它们之和的梯度是什么？",
        "PyTorch 像记录其他运算一样记录对元素的赋值。在 TensorFlow 中只有变量可以赋值，"
        "而所赋的值会被忘记：梯度是 None，不报错，这样写成的层只训练它的偏置。MXNet 在记录时拒绝赋值。",
        "conv2d_vjp 在所有后端中返回梯度；在赋值不可导的地方，本库的循环由各元素组成 Y。",
    ),
    "two-backwards": Translation(
        "第二次反向传播：累加、覆盖，或者重新开始",
        "两次求核的梯度。",
        "PyTorch 把梯度加到 .grad 上，直到有人把它清零。除非 grad_req='add'，"
        "MXNet 会覆盖它。TensorFlow 返回梯度，什么也不保留。",
        "conv2d_vjp 返回新的数组；没有任何累加。",
    ),
    "ties": Translation(
        "相等的数取最大值时的梯度：全给第一个、各得四分之一，或者各得一",
        "四个一的最大值的梯度：各框架中是对数组取 max 的算子，convbridge 中是最大池化。",
        "数相等的地方，最大值不可导，各框架自行选择：PyTorch 和 TensorFlow 平分梯度，"
        "MXNet 给每个元素全部梯度，合计为 4。它们的池化算子都不是这样：梯度归第一个相等的元素。",
        "在所有后端中，梯度归窗口中按行次序的第一个最大值。",
    ),
    "nan-gradient": Translation(
        "前向传播丢掉了 NaN，它的梯度呢",
        "对含有 NaN 的窗口做最大池化，并求梯度。",
        "TensorFlow 的前向传播返回 3，反向传播又以另一种方式去找最大值：它把梯度交给了 NaN，而结果并不来自这个像素。",
        "NaN 就是最大值，梯度归它。",
    ),
    "ceil-gradient": Translation(
        "不是自身前向传播之导数的梯度",
        "最后的窗口伸出图像、只含两个或一个像素的平均池化，以及它的梯度。",
        "前向传播除以窗口中的像素数，使用 oneDNN 的 MXNet 的反向传播却除以窗口的大小。"
        "最后一个像素独自组成它的窗口，所以它的梯度是 1，而不是四分之一。其他项目也各自犯过同样的错误。",
        "前向和反向使用同样的除数，由本库计算。",
    ),
    "grouped-gradient": Translation(
        "分组卷积只在某些处理器上有梯度",
        "分为两组的卷积，求核的梯度。",
        "TensorFlow 自己的处理器内核只能计算分组卷积的前向；使用 oneDNN 时，float32 也有梯度。",
        "处处都有梯度：TensorFlow 对每一组运行一次卷积。",
    ),
    "dilated-gradient": Translation(
        "膨胀卷积只在某些处理器上有梯度",
        "膨胀为 2 的核的梯度。",
        "与分组一样：TensorFlow 自己的处理器内核没有膨胀核的反向传播。",
        "处处都有梯度：TensorFlow 重新排列图像，使核不必膨胀。",
    ),
    "integer-gradient": Translation(
        "对整数求梯度",
        "乘积之和，即卷积的一个窗口，对 int32 图像的梯度。",
        "PyTorch 立即拒绝。TensorFlow 在日志中写一条警告，返回 None。MXNet 返回整数，所以任何非整数都会被截断。",
        "整数以 float32 计算，梯度也是如此。",
    ),
    "strided-1x1-training": Translation(
        "训练带步幅的 1×1 卷积会破坏内存",
        "带步幅的 1×1 卷积（残差网络中就有）的核的梯度，计算 500 次。",
        "使用 oneDNN 时，如果核只有一个元素、通道很少，而且步幅使一些像素剩下来，"
        "TensorFlow 求核梯度时会写到不该写的地方。进程通常在若干步之后终止，而终止之处与此毫无关系。",
        "先对图像抽稀，再以步幅 1 做卷积，所以步幅从不到达算子。",
    ),
    "error-read-twice": Translation(
        "错误只报一次，之后就是数字",
        "int32 的最大池化。如果报错，就像在笔记本中那样显示错误，然后再次读取结果。",
        "MXNet 在后台计算：调用立即返回，第一次读取结果时才报错。第二次读取不再报错，"
        "得到的是没有人写过的内存，其中的数是原有的内容，每次运行都不同。",
        "整数以 float32 计算。本库等待结果，使错误出现在引发它的调用处，失败的数组从不交给用户。",
    ),
    "fresh-layer": Translation(
        "新建的层对全零图像返回什么",
        "按类的默认方式新建的卷积层，输入全零：输出的就是它的偏置。",
        "PyTorch 以与权重相同的分布抽取偏置，TensorFlow 和 MXNet 从零开始。权重也来自三种不同的分布。",
        "偏置为零，权重由 NumPy 根据种子抽取：在所有后端中逐位相同。",
    ),
}
