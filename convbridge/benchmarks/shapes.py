"""What the convolution benchmarks measure: layers of networks, image filters, poolings. Numbers only."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "DEPTHWISE",
    "FILTER_KERNELS",
    "FILTER_SIZE",
    "GROUPED",
    "NETWORKS",
    "POOLINGS",
    "STACKS",
    "UNSEEN",
    "Layer",
]


class Layer(NamedTuple):
    """A convolution of square images, or a pooling where ``outputs`` is 0.

    Examples
    --------
    >>> layer = Layer("AlexNet", 3, 64, 224, 11, 4, 2)
    >>> layer.name, layer.family, layer.output_size
    ('AlexNet 3->64 @224 11x11 s4 p2', 'few channels', (55, 55))
    """

    network: str
    channels: int
    outputs: int
    size: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    width: int = 0  # where it is not the height
    kernel_width: int = 0  # where it is not the kernel's height
    dilation: int = 1

    @property
    def name(self) -> str:
        """Network, channels, size of the image, kernel, and what is not the default."""
        width = f"x{self.width}" if self.width else ""
        kernel = f"{self.kernel}x{self.kernel_width or self.kernel}"
        extras = (("s", self.stride, 1), ("p", self.padding, 0), ("g", self.groups, 1), ("d", self.dilation, 1))
        more = "".join(f" {letter}{value}" for letter, value, default in extras if value != default)
        channels = f"{self.channels}->{self.outputs}" if self.outputs else str(self.channels)
        return f"{self.network} {channels} @{self.size}{width} {kernel}{more}"

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the result."""
        lost = 2 * self.padding + self.stride - 1
        height = self.size + lost - self.dilation * (self.kernel - 1)
        width = (self.width or self.size) + lost - self.dilation * ((self.kernel_width or self.kernel) - 1)
        return height // self.stride, width // self.stride

    @property
    def family(self) -> str:
        """What the layer is summed up with."""
        if self.groups > 1:
            return "depthwise" if self.groups == self.channels else "grouped"
        if self.channels < 16:
            return "few channels"
        if self.kernel == 1:
            return "1x1"
        if self.kernel == 3:
            return f"3x3 s{self.stride}"
        return "large kernel"


_RESNET_18 = [
    Layer("ResNet-18", 3, 64, 224, 7, 2, 3),
    Layer("ResNet-18", 64, 64, 56, 3, 1, 1),
    Layer("ResNet-18", 64, 128, 56, 3, 2, 1),
    Layer("ResNet-18", 64, 128, 56, 1, 2),
    Layer("ResNet-18", 128, 128, 28, 3, 1, 1),
    Layer("ResNet-18", 128, 256, 28, 3, 2, 1),
    Layer("ResNet-18", 128, 256, 28, 1, 2),
    Layer("ResNet-18", 256, 256, 14, 3, 1, 1),
    Layer("ResNet-18", 256, 512, 14, 3, 2, 1),
    Layer("ResNet-18", 256, 512, 14, 1, 2),
    Layer("ResNet-18", 512, 512, 7, 3, 1, 1),
]

#: Those that ResNet-18 has not; the stride is in the 3x3 convolution.
_RESNET_50 = [
    Layer("ResNet-50", 64, 64, 56, 1),
    Layer("ResNet-50", 64, 256, 56, 1),
    Layer("ResNet-50", 256, 64, 56, 1),
    Layer("ResNet-50", 256, 128, 56, 1),
    Layer("ResNet-50", 128, 128, 56, 3, 2, 1),
    Layer("ResNet-50", 128, 512, 28, 1),
    Layer("ResNet-50", 256, 512, 56, 1, 2),
    Layer("ResNet-50", 512, 128, 28, 1),
    Layer("ResNet-50", 512, 256, 28, 1),
    Layer("ResNet-50", 256, 256, 28, 3, 2, 1),
    Layer("ResNet-50", 256, 1024, 14, 1),
    Layer("ResNet-50", 512, 1024, 28, 1, 2),
    Layer("ResNet-50", 1024, 256, 14, 1),
    Layer("ResNet-50", 1024, 512, 14, 1),
    Layer("ResNet-50", 512, 512, 14, 3, 2, 1),
    Layer("ResNet-50", 512, 2048, 7, 1),
    Layer("ResNet-50", 1024, 2048, 14, 1, 2),
    Layer("ResNet-50", 2048, 512, 7, 1),
]

_VGG_16 = [
    Layer("VGG-16", 3, 64, 224, 3, 1, 1),
    Layer("VGG-16", 64, 64, 224, 3, 1, 1),
    Layer("VGG-16", 64, 128, 112, 3, 1, 1),
    Layer("VGG-16", 128, 128, 112, 3, 1, 1),
    Layer("VGG-16", 128, 256, 56, 3, 1, 1),
    Layer("VGG-16", 256, 256, 56, 3, 1, 1),
    Layer("VGG-16", 256, 512, 28, 3, 1, 1),
    Layer("VGG-16", 512, 512, 28, 3, 1, 1),
    Layer("VGG-16", 512, 512, 14, 3, 1, 1),
]

_OTHERS = [
    Layer("LeNet", 1, 6, 28, 5, 1, 2),
    Layer("LeNet", 6, 16, 14, 5),
    Layer("AlexNet", 3, 64, 224, 11, 4, 2),
    Layer("AlexNet", 64, 192, 27, 5, 1, 2),
    Layer("AlexNet", 192, 384, 13, 3, 1, 1),
    Layer("AlexNet", 384, 256, 13, 3, 1, 1),
    Layer("AlexNet", 256, 256, 13, 3, 1, 1),
]

#: The 45 layers of the targets, each with a batch of 1 and of 8.
NETWORKS = _RESNET_18 + _RESNET_50 + _VGG_16 + _OTHERS

#: How often each layer occurs in a network's stack of convolutions.
STACKS = {
    "VGG-16": dict(zip((layer.name for layer in _VGG_16), (1, 1, 1, 1, 1, 2, 1, 2, 3))),
    "ResNet-50": {
        "ResNet-18 3->64 @224 7x7 s2 p3": 1,
        "ResNet-50 64->64 @56 1x1": 1,
        "ResNet-18 64->64 @56 3x3 p1": 3,
        "ResNet-50 64->256 @56 1x1": 4,
        "ResNet-50 256->64 @56 1x1": 2,
        "ResNet-50 256->128 @56 1x1": 1,
        "ResNet-50 128->128 @56 3x3 s2 p1": 1,
        "ResNet-50 128->512 @28 1x1": 4,
        "ResNet-50 256->512 @56 1x1 s2": 1,
        "ResNet-50 512->128 @28 1x1": 3,
        "ResNet-18 128->128 @28 3x3 p1": 3,
        "ResNet-50 512->256 @28 1x1": 1,
        "ResNet-50 256->256 @28 3x3 s2 p1": 1,
        "ResNet-50 256->1024 @14 1x1": 6,
        "ResNet-50 512->1024 @28 1x1 s2": 1,
        "ResNet-50 1024->256 @14 1x1": 5,
        "ResNet-18 256->256 @14 3x3 p1": 5,
        "ResNet-50 1024->512 @14 1x1": 1,
        "ResNet-50 512->512 @14 3x3 s2 p1": 1,
        "ResNet-50 512->2048 @7 1x1": 3,
        "ResNet-50 1024->2048 @14 1x1 s2": 1,
        "ResNet-50 2048->512 @7 1x1": 2,
        "ResNet-18 512->512 @7 3x3 p1": 2,
    },
}

#: MobileNet's.
DEPTHWISE = [
    Layer("MobileNet", 32, 32, 112, 3, 1, 1, 32),
    Layer("MobileNet", 64, 64, 112, 3, 2, 1, 64),
    Layer("MobileNet", 128, 128, 56, 3, 1, 1, 128),
    Layer("MobileNet", 128, 128, 56, 3, 2, 1, 128),
    Layer("MobileNet", 256, 256, 28, 3, 1, 1, 256),
    Layer("MobileNet", 256, 256, 28, 3, 2, 1, 256),
    Layer("MobileNet", 512, 512, 14, 3, 1, 1, 512),
    Layer("MobileNet", 512, 512, 14, 3, 2, 1, 512),
    Layer("MobileNet", 1024, 1024, 7, 3, 1, 1, 1024),
]

#: Shapes on which the planner was never tuned: it is judged by what it picks for them.
UNSEEN = [
    Layer("unseen", 16, 16, 32, 3, 1, 1),
    Layer("unseen", 20, 50, 12, 5),
    Layer("unseen", 24, 96, 40, 1),
    Layer("unseen", 32, 48, 75, 3, 1, 1),
    Layer("unseen", 32, 32, 150, 3, 1, 1),
    Layer("unseen", 40, 120, 28, 1),
    Layer("unseen", 48, 192, 33, 3, 2, 1),
    Layer("unseen", 64, 96, 96, 3, 1, 1),
    Layer("unseen", 64, 64, 100, 5, 1, 2),
    Layer("unseen", 72, 72, 45, 3, 1, 2, dilation=2),
    Layer("unseen", 80, 160, 20, 3, 1, 1),
    Layer("unseen", 96, 24, 56, 1),
    Layer("unseen", 96, 96, 27, 7, 1, 3),
    Layer("unseen", 100, 200, 31, 3, 1, 1),
    Layer("unseen", 112, 224, 14, 3, 2, 1),
    Layer("unseen", 128, 64, 64, 1),
    Layer("unseen", 160, 320, 10, 3, 1, 1),
    Layer("unseen", 160, 960, 7, 1),
    Layer("unseen", 192, 48, 35, 1),
    Layer("unseen", 192, 192, 17, 7, 1, 3, kernel_width=7),
    Layer("unseen", 240, 40, 28, 1),
    Layer("unseen", 288, 384, 35, 3, 2),
    Layer("unseen", 320, 192, 8, 1),
    Layer("unseen", 384, 384, 12, 3, 1, 1),
    Layer("unseen", 448, 384, 8, 3, 1, 1),
    Layer("unseen", 640, 160, 16, 1),
    Layer("unseen", 768, 192, 17, 1),
    Layer("unseen", 3, 32, 299, 3, 2),
    Layer("unseen", 3, 96, 227, 11, 4),
    Layer("unseen", 3, 48, 128, 9, 1, 4),
    Layer("unseen", 4, 32, 84, 8, 4),
    Layer("unseen", 1, 32, 28, 3),
    Layer("unseen", 1, 20, 28, 5),
    Layer("unseen", 8, 16, 60, 3, 1, 1),
    Layer("unseen", 12, 24, 64, 5, 2, 2),
    Layer("unseen", 128, 128, 30, 3, 1, 1, width=90),
    Layer("unseen", 64, 32, 24, 3, 1, 1, width=200),
    Layer("unseen", 512, 21, 34, 1),
]

#: Grouped convolutions of ResNeXt-50 and AlexNet's original, which no target names.
GROUPED = [
    Layer("ResNeXt", 128, 128, 56, 3, 1, 1, 32),
    Layer("ResNeXt", 256, 256, 28, 3, 1, 1, 32),
    Layer("ResNeXt", 512, 512, 14, 3, 1, 1, 32),
    Layer("AlexNet", 96, 256, 27, 5, 1, 2, 2),
]

#: One image of one channel and a square kernel.
FILTER_SIZE = (1080, 1920)
FILTER_KERNELS = (3, 5, 7, 15, 31)

#: Poolings of CNNs: ``outputs`` 0.
POOLINGS = [
    Layer("ResNet", 64, 0, 112, 3, 2, 1),
    Layer("VGG-16", 64, 0, 224, 2, 2),
    Layer("VGG-16", 128, 0, 112, 2, 2),
    Layer("VGG-16", 256, 0, 56, 2, 2),
    Layer("VGG-16", 512, 0, 28, 2, 2),
    Layer("VGG-16", 512, 0, 14, 2, 2),
    Layer("LeNet", 6, 0, 28, 2, 2),
    Layer("AlexNet", 64, 0, 55, 3, 2),
    Layer("AlexNet", 192, 0, 27, 3, 2),
    Layer("AlexNet", 256, 0, 13, 3, 2),
    Layer("Inception", 192, 0, 35, 3, 1, 1),
    Layer("ResNet", 2048, 0, 7, 7),
    Layer("SPP", 256, 0, 20, 5, 1, 2),
    Layer("SPP", 256, 0, 20, 13, 1, 6),
]
