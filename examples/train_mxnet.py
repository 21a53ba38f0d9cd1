"""Train a small net in MXNet: ``gluon.nn.HybridSequential``, hybridized, and ``gluon.Trainer``."""

import numpy as np
from bars import batches, make

from convbridge import AvgPool2D, Conv2D, MaxPool2D, import_framework

mx = import_framework("mxnet")

RATE, EPOCHS, BATCH = 0.5, 15, 16


def build():
    """Return the net."""
    mx.random.seed(2)
    net = mx.gluon.nn.HybridSequential()
    net.add(
        Conv2D(3, 1, 8, padding="same", seed=0, backend="mxnet"),
        mx.gluon.nn.Activation("relu"),
        MaxPool2D(2, backend="mxnet"),
        Conv2D(3, 8, 8, padding="same", seed=1, backend="mxnet"),
        mx.gluon.nn.Activation("relu"),
        AvgPool2D(4, backend="mxnet"),
        mx.gluon.nn.Dense(2),
    )
    net.initialize()
    net.hybridize()
    return net


def main():
    """Train, and return the last epoch's mean loss and the accuracy on new images."""
    X, y = (mx.nd.array(array) for array in make(512, seed=0))
    net = build()
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": RATE})
    cross_entropy = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    for epoch in range(EPOCHS):
        losses = []
        for batch in batches(len(X), BATCH, seed=epoch):
            with mx.autograd.record():
                loss = cross_entropy(net(X[batch]), y[batch])
            loss.backward()
            trainer.step(len(batch))
            losses.append(float(loss.mean().asscalar()))
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")
    X, y = (mx.nd.array(array) for array in make(256, seed=1))
    accuracy = float((net(X).argmax(axis=1) == y).mean().asscalar())
    print(f"accuracy {accuracy:.3f}")
    return float(np.mean(losses)), accuracy


if __name__ == "__main__":
    main()
