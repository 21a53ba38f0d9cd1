"""What the chapters do with a layer, in PyTorch: give it numbers, and learn a kernel.

The same two functions in the three other backends use their framework's
layers and autograd; the page of ``convbridge page`` shows all four next to
each other. Here is only what a reader of the book would type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

Array = np.ndarray[Any, Any]


def fill(layer: Any, weight: Array, bias: Array) -> None:
    """Give the chapter's layer a weight and a bias."""
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))


def learn(
    X: Array, Y: Array, weight: Array, learning_rate: float, steps: int, use_bias: bool
) -> tuple[Array, float | None, list[float]]:
    """Learn the kernel that turns X into Y; also return its bias and the loss before each step."""
    image, wanted = torch.tensor(X)[None, None], torch.tensor(Y)[None, None]
    height, width = weight.shape
    conv2d = torch.nn.Conv2d(1, 1, (height, width), bias=use_bias, dtype=image.dtype)
    conv2d.weight.data[0, 0] = torch.tensor(weight)
    if conv2d.bias is not None:
        conv2d.bias.data.zero_()
    descent = torch.optim.SGD(conv2d.parameters(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = ((conv2d(image) - wanted) ** 2).sum()
        losses.append(loss.item())
        descent.zero_grad()
        loss.backward()
        descent.step()
    bias = None if conv2d.bias is None else conv2d.bias.item()
    return conv2d.weight.detach().numpy()[0, 0], bias, losses
