"""The task of the examples: noisy images of a bar that is horizontal (0) or vertical (1)."""

import numpy as np

SIZE = 16


def make(count, seed):
    """Return ``count`` images, shape (count, 1, 16, 16), and their labels."""
    rng = np.random.default_rng(seed)
    X = 0.2 * rng.standard_normal((count, 1, SIZE, SIZE))
    y = rng.integers(0, 2, count)
    for image, label in zip(X[:, 0], y):
        length, width = rng.integers(6, 12), rng.integers(1, 3)
        top, left = rng.integers(0, SIZE - width), rng.integers(0, SIZE - length)
        bar = (slice(top, top + width), slice(left, left + length))
        image[bar[::-1] if label else bar] += 1
    return X.astype("float32"), y.astype("int64")


def batches(count, size, seed):
    """Yield the indices of one epoch's batches, in random order."""
    order = np.random.default_rng(seed).permutation(count)
    for start in range(0, count, size):
        yield order[start : start + size]
