"""Shapes and padding, against brute force and against definitions written in another way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import convbridge
from convbridge import geometry
from convbridge.parity import oracle

SIZES, KERNELS, STRIDES, DILATIONS = range(1, 9), range(1, 5), range(1, 5), range(1, 4)
GRID = list(itertools.product(SIZES, KERNELS, STRIDES, DILATIONS))


def count_windows(n, window, stride, before, after):
    """Count by trying every start."""
    return sum(start + window <= before + n + after for start in range(0, before + n + after, stride))


def count_windows_ceil(n, window, stride, before, after):
    """Count as PyTorch's documentation says it.

    A further window is kept if the one before left something over, unless it
    would start in the padding at the end.
    """
    count = 0
    while count * stride < n + before and (count - 1) * stride + window < before + n + after:
        count += 1
    return count


@pytest.mark.parametrize("padding", [0, 1, 3])
def test_output_shape_counts_windows(padding):
    for n, k, s, d in GRID:
        window = d * (k - 1) + 1
        wanted = count_windows(n, window, s, padding, padding)
        keywords = {"stride": s, "dilation": d, "padding": padding}
        if wanted:
            assert convbridge.output_shape(n, k, **keywords) == (wanted, wanted)
        else:
            with pytest.raises(convbridge.ShapeError, match="kernel_size must fit"):
                convbridge.output_shape(n, k, **keywords)


def test_ceil_mode_is_pytorchs_rule():
    tried = 0
    for n, k, s, d in GRID:
        window = d * (k - 1) + 1
        for before, after in itertools.product(range(min(window, 4)), repeat=2):
            wanted = count_windows_ceil(n, window, s, before, after)
            assert wanted == max(oracle.output_size(n, window, s, (before, after), ceil_mode=True), 0)
            keywords = {"stride": s, "dilation": d, "padding": ((before, after), (before, after)), "ceil_mode": True}
            if wanted:
                tried += 1
                assert convbridge.output_shape(n, k, **keywords) == (wanted, wanted), (n, k, keywords)
            else:
                with pytest.raises(convbridge.ShapeError, match="kernel_size must fit"):
                    convbridge.output_shape(n, k, **keywords)
    assert tried > 1000


def test_ceil_mode_is_what_pytorch_does(backend):
    if backend != "torch":
        pytest.skip("asks PyTorch itself")
    import torch

    for n, k, s, d in GRID:
        for padding in range(k // 2 + 1):
            keywords = {"stride": s, "padding": padding, "dilation": d, "ceil_mode": True}
            try:
                wanted = torch.nn.functional.max_pool2d(torch.zeros(1, 1, n, n), k, **keywords).shape[2:]
            except RuntimeError:  # no window fits
                with pytest.raises(convbridge.ShapeError):
                    convbridge.output_shape(n, k, **keywords)
            else:
                assert convbridge.output_shape(n, k, **keywords) == tuple(wanted), (n, k, keywords)


def test_pool2d_returns_the_shapes_that_geometry_promises(backend):
    for n, k, s, d in itertools.product((1, 4, 7), (1, 2, 3), (1, 2, 4), (1, 2)):
        keywords = {"stride": s, "dilation": d, "padding": min(1, d * (k - 1)), "ceil_mode": True}
        try:
            wanted = convbridge.output_shape(n, k, **keywords)
        except convbridge.ShapeError:
            continue
        assert tuple(convbridge.pool2d(np.zeros((n, n)), k, **keywords, backend=backend).shape) == wanted


# --------------------------------------------------------------------------- padding words


@pytest.mark.parametrize("mode", ["same", "SAME", "same_upper", "Same_Upper", "same_lower", "SAME_LOWER"])
def test_same_is_what_tensorflow_and_onnx_define(mode):
    """TensorFlow's documentation computes the total from the remainder of n / s; ONNX places the odd one."""
    for n, k, s, d in GRID:
        window = d * (k - 1) + 1
        total = max(window - s, 0) if n % s == 0 else max(window - n % s, 0)
        wanted = (total - total // 2, total // 2) if "lower" in mode.lower() else (total // 2, total - total // 2)
        assert convbridge.same_padding(n, k, stride=s, dilation=d, mode=mode) == (wanted, wanted), (n, k, s, d)
        assert convbridge.output_shape(n, k, stride=s, dilation=d, padding=mode)[0] == -(-n // s)


def test_chapter_pads_the_window_less_one_and_more_at_the_start():
    for n, k, s, d in GRID:
        before, after = convbridge.same_padding(n, k, stride=s, dilation=d, mode="chapter")[0]
        assert before + after == d * (k - 1)
        assert before - after in (0, 1)
        assert convbridge.output_shape(n, k, stride=s, dilation=d, padding="chapter")[0] == (n + s - 1) // s


def test_words_agree_for_stride_1_and_part_ways_after():
    lower = [convbridge.same_padding(8, k, mode="same_lower") for k in KERNELS]
    assert lower == [convbridge.same_padding(8, k, mode="chapter") for k in KERNELS]
    assert convbridge.same_padding(4, 3, stride=2, mode="same_lower") != convbridge.same_padding(
        4, 3, stride=2, mode="chapter"
    )
    assert convbridge.same_padding(5, 3, mode="valid") == ((0, 0), (0, 0))


def test_words_agree_with_the_oracle():
    for word in geometry.PADDING_WORDS:
        for n, k, s, d in GRID:
            window = d * (k - 1) + 1
            first = convbridge.same_padding((n, 9), (k, 2), stride=(s, 1), dilation=(d, 1), mode=word)
            assert first == oracle.sides(word, (n, 9), (window, 2), (s, 1))


@pytest.mark.parametrize("word", geometry.PADDING_WORDS)
def test_words_mean_their_numbers_in_every_backend(word, backend):
    X = np.arange(2 * 3 * 7 * 6, dtype=np.float32).reshape(2, 3, 7, 6) % 11
    W = np.arange(2 * 3 * 4 * 3, dtype=np.float32).reshape(2, 3, 4, 3) % 5
    numbers = convbridge.same_padding((7, 6), (4, 3), stride=(2, 3), mode=word)
    by_word, by_numbers = (
        convbridge.to_numpy(convbridge.conv2d(X, W, stride=(2, 3), padding=padding, backend=backend))
        for padding in (word.upper(), numbers)
    )
    np.testing.assert_array_equal(by_word, by_numbers)
    np.testing.assert_array_equal(by_word, oracle.conv2d(X, W, stride=(2, 3), padding=word).astype(np.float32))


@pytest.mark.parametrize(
    ("form", "sides"),
    [
        (2, (2, 2, 2, 2)),
        (np.int64(2), (2, 2, 2, 2)),
        ((1, 2), (1, 1, 2, 2)),
        ([1, 2], (1, 1, 2, 2)),
        (np.array([1, 2]), (1, 1, 2, 2)),
        (((1, 2), (3, 4)), (1, 2, 3, 4)),
        (np.array([[1, 2], [3, 4]]), (1, 2, 3, 4)),
        ("VALID", (0, 0, 0, 0)),
    ],
    ids=repr,
)
def test_forms_of_padding(form, sides):
    assert geometry.parse_padding(form).sides == sides


# --------------------------------------------------------------------------- receptive fields

STACKS = [
    [2],
    [2, 2],
    [(1, 3), (2, 1)],
    [{"kernel_size": 3, "stride": 2}, {"kernel_size": 2}],
    [{"kernel_size": 3, "padding": 1}, {"kernel_size": 3, "stride": (2, 1), "padding": (1, 0)}],
    [{"kernel_size": (2, 3), "dilation": (3, 2)}, {"kernel_size": 2, "stride": 2}],
    [{"kernel_size": 4, "padding": "chapter"}, {"kernel_size": 2, "padding": "same"}, 3],
    [{"kernel_size": 3, "stride": 3, "padding": ((2, 0), (1, 3))}, {"kernel_size": 2, "padding": 1}],
]


@pytest.mark.parametrize("layers", STACKS, ids=repr)
def test_receptive_field_is_what_a_touched_pixel_reaches(layers):
    """Touch every pixel, one at a time, and look which outputs move."""
    size = 14
    touched = np.eye(size * size).reshape(size * size, 1, size, size)
    for layer in layers:
        fields = layer if isinstance(layer, dict) else {"kernel_size": layer}
        keywords = {name: value for name, value in fields.items() if name != "kernel_size"}
        kernel = np.ones((1, 1, *np.broadcast_to(fields["kernel_size"], 2)))
        touched = convbridge.conv2d(touched, kernel, **keywords, backend="numpy")
    reaches = touched[:, 0].reshape(size, size, *touched.shape[2:]) > 0
    field = convbridge.receptive_field(layers)
    for axis in (0, 1):
        seen = reaches.any(axis=(1 - axis, 3 - axis))  # (input positions, output positions) along the axis
        whole = 0
        for output in range(seen.shape[1]):
            first = field.start[axis] + output * field.jump[axis]
            last = first + field.size[axis] - 1
            inputs = np.flatnonzero(seen[:, output])
            if not inputs.size:  # an output that sees nothing but padding
                assert last < 0 or first >= size
                continue
            assert inputs.min() >= max(first, 0)
            assert inputs.max() <= min(last, size - 1)
            if first >= 0 and last < size:  # the whole field lies in the image: its ends are seen
                whole += 1
                assert (inputs.min(), inputs.max()) == (first, last)
        assert whole > 0


def test_receptive_field_reads_layers(backend):
    layer = convbridge.Conv2D((2, 3), stride=(1, 2), padding=1, dilation=2, backend=backend)
    pooling = convbridge.MaxPool2D(2, backend=backend)
    same = [
        {"kernel_size": (2, 3), "stride": (1, 2), "padding": 1, "dilation": 2},
        {"kernel_size": 2, "stride": 2},
    ]
    assert convbridge.receptive_field([layer, pooling]) == convbridge.receptive_field(same)
