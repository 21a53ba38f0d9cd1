"""Train a small net in TensorFlow: ``keras.Sequential``, ``compile`` and ``fit``."""

import keras
from bars import SIZE, make

from convbridge import AvgPool2D, Conv2D, MaxPool2D

RATE, EPOCHS, BATCH = 0.5, 15, 16


def build():
    """Return the net."""
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((1, SIZE, SIZE)),
            Conv2D(3, 1, 8, padding="same", seed=0, backend="tensorflow"),
            keras.layers.ReLU(),
            MaxPool2D(2, backend="tensorflow"),
            Conv2D(3, 8, 8, padding="same", seed=1, backend="tensorflow"),
            keras.layers.ReLU(),
            AvgPool2D(4, backend="tensorflow"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )


def main():
    """Train, and return the last epoch's mean loss and the accuracy on new images."""
    X, y = make(512, seed=0)
    net = build()
    net.compile(
        optimizer=keras.optimizers.SGD(RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    losses = net.fit(X, y, batch_size=BATCH, epochs=EPOCHS, verbose=0).history["loss"]
    for epoch, loss in enumerate(losses):
        print(f"epoch {epoch + 1}: loss {loss:.4f}")
    X, y = make(256, seed=1)
    _, accuracy = net.evaluate(X, y, verbose=0)
    print(f"accuracy {accuracy:.3f}")
    return float(losses[-1]), float(accuracy)


if __name__ == "__main__":
    main()
