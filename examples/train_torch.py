"""Train a small net in PyTorch: ``torch.nn.Sequential`` and ``torch.optim.SGD``."""

import numpy as np
import torch
from bars import batches, make

from convbridge import AvgPool2D, Conv2D, MaxPool2D

RATE, EPOCHS, BATCH = 0.5, 15, 16


def build():
    """Return the net."""
    torch.manual_seed(2)
    return torch.nn.Sequential(
        Conv2D(3, 1, 8, padding="same", seed=0, backend="torch"),
        torch.nn.ReLU(),
        MaxPool2D(2, backend="torch"),
        Conv2D(3, 8, 8, padding="same", seed=1, backend="torch"),
        torch.nn.ReLU(),
        AvgPool2D(4, backend="torch"),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 2 * 2, 2),
    )


def main():
    """Train, and return the last epoch's mean loss and the accuracy on new images."""
    X, y = (torch.from_numpy(array) for array in make(512, seed=0))
    net = build()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    for epoch in range(EPOCHS):
        losses = []
        for batch in batches(len(X), BATCH, seed=epoch):
            loss = torch.nn.functional.cross_entropy(net(X[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")
    X, y = (torch.from_numpy(array) for array in make(256, seed=1))
    with torch.no_grad():
        accuracy = float((net(X).argmax(dim=1) == y).float().mean())
    print(f"accuracy {accuracy:.3f}")
    return float(np.mean(losses)), accuracy


if __name__ == "__main__":
    main()
