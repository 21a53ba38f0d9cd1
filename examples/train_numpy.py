"""Train a small net in NumPy: no autograd, so every layer has its backward pass."""

import numpy as np
from bars import batches, make

from convbridge import AvgPool2D, Conv2D, MaxPool2D

RATE, EPOCHS, BATCH = 0.5, 15, 16


class ReLU:
    """Keep what is positive, and pass on the gradient where it was."""

    def forward(self, X):
        """Return max(X, 0)."""
        self.positive = X > 0
        return X * self.positive

    def backward(self, grad_output):
        """Return the gradient of X."""
        return grad_output * self.positive


class Dense:
    """Flatten and multiply with a matrix, whose gradient ``backward`` keeps."""

    def __init__(self, inputs, outputs, seed):
        bound = 1 / np.sqrt(inputs)
        self.weight = np.random.default_rng(seed).uniform(-bound, bound, (outputs, inputs)).astype("float32")
        self.bias = np.zeros(outputs, "float32")

    def forward(self, X):
        """Return one row of outputs for each image."""
        self.shape, self.flat = X.shape, X.reshape(len(X), -1)
        return self.flat @ self.weight.T + self.bias

    def backward(self, grad_output):
        """Keep the gradients of weight and bias, and return that of X."""
        self.grad_weight, self.grad_bias = grad_output.T @ self.flat, grad_output.sum(axis=0)
        return (grad_output @ self.weight).reshape(self.shape)


def build():
    """Return the net."""
    return [
        Conv2D(3, 1, 8, padding="same", seed=0, backend="numpy"),
        ReLU(),
        MaxPool2D(2, backend="numpy"),
        Conv2D(3, 8, 8, padding="same", seed=1, backend="numpy"),
        ReLU(),
        AvgPool2D(4, backend="numpy"),
        Dense(8 * 2 * 2, 2, seed=2),
    ]


def forward(net, X):
    """Return what the net makes of a batch of images."""
    for layer in net:
        X = layer.forward(X)
    return X


def loss_and_gradient(outputs, labels):
    """Return the mean cross-entropy of a softmax, and its gradient."""
    exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(probabilities[rows, labels]).mean()
    probabilities[rows, labels] -= 1
    return loss, probabilities / len(labels)


def main():
    """Train, and return the last epoch's mean loss and the accuracy on new images."""
    X, y = make(512, seed=0)
    net = build()
    for epoch in range(EPOCHS):
        losses = []
        for batch in batches(len(X), BATCH, seed=epoch):
            loss, gradient = loss_and_gradient(forward(net, X[batch]), y[batch])
            for layer in reversed(net):
                gradient = layer.backward(gradient)
            for layer in net:
                if hasattr(layer, "weight"):
                    layer.weight -= RATE * layer.grad_weight
                    layer.bias -= RATE * layer.grad_bias
            losses.append(float(loss))
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")
    X, y = make(256, seed=1)
    accuracy = float((forward(net, X).argmax(axis=1) == y).mean())
    print(f"accuracy {accuracy:.3f}")
    return float(np.mean(losses)), accuracy


if __name__ == "__main__":
    main()
