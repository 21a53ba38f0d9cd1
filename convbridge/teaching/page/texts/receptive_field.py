"""The receptive field: paragraphs, networks, the picture in words, the editor, and what can be wrong with a stack."""

from __future__ import annotations

__all__ = ["TEXTS"]

_SECTION = {
    "section.receptive-field.title": ("Feature map and receptive field", "特征图和感受野"),
    "section.receptive-field.1": (
        "What a convolutional layer puts out is also called a <em>feature map</em>: it says of every place of the "
        "input how much of a feature is there. The <em>receptive field</em> of an element x is made of all elements "
        "of the layers before it that may affect x. On the input it can be larger than the input itself.",
        "卷积层的输出也叫<em>特征图</em>（feature map）：它表示输入的每个位置上某种特征有多强。元素 x 的<em>感受野</em>"
        "（receptive field）由之前各层中可能影响 x 的所有元素组成。输入上的感受野可以大于输入本身。",
    ),
    "section.receptive-field.2": (
        "The 3×3 input X of the first example and the 2×2 kernel K give a 2×2 feature map Y; the four elements 0, 1, "
        "3, 4 of X are the receptive field of 19. Let a second 2×2 layer follow: its only element z sees all four "
        "elements of Y, and through them all nine of X.",
        "第一个例子中 3×3 的输入 X 与 2×2 的核 K 得到 2×2 的特征图 Y；X 中的 0、1、3、4 四个元素就是 19 的感受野。"
        "再接一个 2×2 的层：它唯一的元素 z 看到 Y 的全部四个元素，并通过它们看到 X 的全部九个元素。",
    ),
    "section.receptive-field.3": (
        "So a deeper network sees larger features. Every layer adds (k − 1) times the distance of two neighbours to "
        "the field; every stride multiplies that distance. Choose a network, or write your own.",
        "因此，更深的网络能看到更大的特征。每一层使感受野增加 (k − 1) 乘以相邻元素的间距；步幅使这个间距成倍增大。"
        "请选择一个网络，或者自己编写。",
    ),
}

_NETWORKS = {
    "networks": ("Networks", "网络"),
    "network.one-layer": ("One 2×2 layer", "一个 2×2 层"),
    "network.two-layers": ("Two 2×2 layers", "两个 2×2 层"),
    "network.ten-layers": ("Ten 5×5 layers", "十个 5×5 层"),
    "network.googlenet": ("GoogLeNet, stem", "GoogLeNet 主干"),
    "network.resnet18": ("ResNet-18, main path", "ResNet-18 主路径"),
    "network.densenet": ("DenseNet, stem", "DenseNet 主干"),
    "network.one-layer.note": (
        "The chapter’s first example: an element of Y sees 2 × 2 elements of X.",
        "本章的第一个例子：Y 的一个元素看到 X 的 2 × 2 个元素。",
    ),
    "network.two-layers.note": (
        "The same twice: z sees all of Y, and 3 × 3 elements of X.",
        "同样的层用两次：z 看到整个 Y，以及 X 的 3 × 3 个元素。",
    ),
    "network.ten-layers.note": (
        "Without padding every 5×5 layer takes four rows and columns: 240 × 240 become 200 × 200.",
        "若不填充，每个 5×5 层会减少四行四列：240 × 240 变成 200 × 200。",
    ),
    "network.lenet.note": (
        "As in the book. The fully connected layers are left out; the first of them equals a convolution with a 5×5 "
        "kernel and 120 output channels: add it, and one element sees the whole image.",
        "与书中相同，省略了全连接层；其中第一个等同于 5×5 核、120 个输出通道的卷积：加上它，一个元素就能看到整幅图像。",
    ),
    "network.alexnet.note": (
        "As in the book: one input channel and no groups, where the paper has colour images and two groups. The "
        "fully connected layers are left out.",
        "与书中相同：一个输入通道，不分组；原论文用的是彩色图像，分为两组。省略了全连接层。",
    ),
    "network.vgg11.note": (
        "As in the book: five blocks of 3×3 convolutions, each with a pooling that halves height and width. The "
        "fully connected layers are left out.",
        "与书中相同：五个由 3×3 卷积组成的块，每块之后用池化使高和宽减半。省略了全连接层。",
    ),
    "network.nin.note": (
        "As in the book: 1×1 convolutions work on the channels and see no farther; the last pooling averages all "
        "that is left.",
        "与书中相同：1×1 卷积只作用于通道，不会看得更远；最后的池化对剩下的所有元素取平均。",
    ),
    "network.googlenet.note": (
        "What comes before the first Inception block, as in the book. Inception blocks have four branches side by "
        "side, which a stack cannot say.",
        "第一个 Inception 块之前的部分，与书中相同。Inception 块有四条并行的分支，层的堆叠无法表示。",
    ),
    "network.resnet18.note": (
        "The layers along the main path, as in the book. Left out are the connections around every two of them, "
        "which are added to the result, with the 1×1 convolutions on three of these connections, batch normalization, "
        "and the fully connected layer.",
        "主路径上的各层，与书中相同。省略了每两层之外的残差连接（结果与之相加）、其中三条连接上的 1×1 卷积，"
        "以及批量归一化和全连接层。",
    ),
    "network.densenet.note": (
        "What comes before the first dense block, as in the book. A dense block joins its input to every output, "
        "which a stack cannot say.",
        "第一个稠密块之前的部分，与书中相同。稠密块把输入与每一层的输出连结在一起，层的堆叠无法表示。",
    ),
    "network.own": ("A stack of your own.", "您自己编写的网络。"),
}

_PICTURE = {
    "map": ("Feature map of layer {layer}: {size}", "第 {layer} 层的特征图：{size}"),
    "map.keys": ("The arrow keys move the element.", "用方向键移动元素。"),
    "sees": (
        "An element of layer {layer} sees {height} × {width} pixels.",
        "第 {layer} 层的一个元素看到 {height} × {width} 个像素。",
    ),
    "sees.next": (
        "The field of the next element lies {rows} further down, or {columns} further right.",
        "下一个元素的感受野下移 {rows} 行，或者右移 {columns} 列。",
    ),
    "sees.here": (
        "Row {i}, column {j} sees rows {top} to {bottom} and columns {left} to {right} of the input.",
        "第 {i} 行第 {j} 列看到输入的第 {top} 至 {bottom} 行、第 {left} 至 {right} 列。",
    ),
    "sees.less": (
        "Only {count} of the {all} take part: the others lie in the padding, between the taps of a dilated kernel, "
        "or where a layer dropped them.",
        "其中只有 {count} 个（共 {all} 个）参与计算：其余的在填充中、在膨胀核的空隙里，或者被某一层丢弃。",
    ),
    "sees.whole": ("It depends on every pixel of the input.", "它依赖于输入的每一个像素。"),
    "legend.element": ("the element", "所选元素"),
    "legend.seen": ("what it sees", "它所看到的"),
    "legend.field": ("its field, not part of the input or not used", "感受野中不属于输入或未用到的部分"),
    "legend.nested": (
        "fields of the layers below, of the element in the middle",
        "下面各层中间元素的感受野",
    ),
    "what.element": ("Element", "元素"),
    "at.row": ("row", "行"),
    "at.column": ("column", "列"),
}

_EDITOR = {
    "layers.caption": (
        "Layers from the input upwards; choose one to change it. Sizes are channels × height × width. Multiply-adds "
        "include those with the padding’s zeros; pooling has none.",
        "从输入开始的各层；选择一层即可修改。大小为 通道 × 高 × 宽。乘加次数包括与填充的零相乘的次数；池化没有乘加。",
    ),
    "column.layer": ("Layer", "层"),
    "column.output": ("Output", "输出"),
    "column.sees": ("Sees", "感受野"),
    "column.step": ("Step", "间距"),
    "column.start": ("Starts at", "起点"),
    "column.parameters": ("Parameters", "参数"),
    "column.products": ("Multiply-adds", "乘加次数"),
    "in-all": ("In all", "合计"),
    "layer.fields": ("Layer {layer}", "第 {layer} 层"),
    "layer.actions": ("Place of layer {layer}", "第 {layer} 层的位置"),
    "layer.kind": ("Kind", "种类"),
    "kind.conv": ("Convolution", "卷积"),
    "kind.max": ("Maximum pooling", "最大池化"),
    "kind.avg": ("Average pooling", "平均池化"),
    "side.channels": ("channels", "通道"),
    "side.groups": ("groups", "组"),
    "layer.add": ("Add a layer", "添加一层"),
    "layer.up": ("Move up", "上移"),
    "layer.down": ("Move down", "下移"),
    "layer.remove": ("Remove", "删除"),
    "stack.text": ("The layers as text", "用文字表示各层"),
    "stack.hint": (
        "{conv}, {pool} or {avgpool}, then {s} stride, {p} padding (a number or a word), {d} dilation, {c} output "
        "channels, {g} groups, {ceil}; layers stand between {or}, and {times} is three of them.",
        "{conv}、{pool} 或 {avgpool}，之后可加 {s} 步幅、{p} 填充（数字或单词）、{d} 膨胀、{c} 输出通道、{g} 组、"
        "{ceil}；各层之间用 {or} 隔开，{times} 表示三层。",
    ),
    "stack.command": ("The same in the terminal", "在终端中查看同样的内容"),
    "what.depth": ("Input size", "输入大小"),
    "what.outputs": ("Output channels", "输出通道"),
    "what.groups": ("Groups", "组数"),
    "what.layers": ("The number of layers", "层数"),
    "what.times": ("A repetition", "重复次数"),
}

_PROBLEMS = {
    "layer.problem": ("Layer {layer} ({text}): {problem}", "第 {layer} 层（{text}）：{problem}"),
    "problem.empty": (
        "There must be a layer before and after every separator.",
        "每个分隔符的前后都必须有一层。",
    ),
    "problem.kind": (
        "A layer begins with conv, pool or avgpool. Given: {value}.",
        "每一层必须以 conv、pool 或 avgpool 开头。输入的是：{value}。",
    ),
    "problem.kernel-missing": (
        "{value} must be followed by the size of its kernel or window: 3 or 3x5.",
        "{value} 之后必须是核或窗口的大小：3 或 3x5。",
    ),
    "problem.pair": (
        "{what} must be a whole number or HEIGHTxWIDTH, such as 3 or 3x5. Given: {value}.",
        "{what}必须是整数或“高x宽”，例如 3 或 3x5。输入的是：{value}。",
    ),
    "problem.padding": (
        "Padding must be a number, HEIGHTxWIDTH, TOP:BOTTOMxLEFT:RIGHT, or one of valid, same, same_upper, "
        "same_lower, chapter. Given: {value}.",
        "填充必须是整数、“高x宽”、“上:下x左:右”，或者 valid、same、same_upper、same_lower、chapter 之一。"
        "输入的是：{value}。",
    ),
    "problem.twice": ("Something is given twice: {value}.", "重复给出：{value}。"),
    "problem.unknown": (
        "After the kernel come s, p, d, c, g with their numbers, or ceil. Given: {value}.",
        "核之后可以是带数字的 s、p、d、c、g，或者 ceil。输入的是：{value}。",
    ),
    "problem.not-for-convolution": (
        "Only pooling has a ceil mode. Given: {value}.",
        "只有池化才有向上取整模式。输入的是：{value}。",
    ),
    "problem.not-for-pooling": (
        "Pooling keeps its channels: it has neither output channels nor groups. Given: {value}.",
        "池化保持通道不变：没有输出通道，也没有分组。输入的是：{value}。",
    ),
    "problem.groups": (
        "The groups must divide the input channels and the output channels. {channels} cannot be divided by {value}.",
        "组数必须能整除输入通道数和输出通道数。{channels} 不能被 {value} 整除。",
    ),
    "problem.far": (
        "It would see farther than this page can count.",
        "它看到的范围超出了本页能够计算的大小。",
    ),
}

TEXTS: dict[str, tuple[str, str]] = {**_SECTION, **_NETWORKS, **_PICTURE, **_EDITOR, **_PROBLEMS}
