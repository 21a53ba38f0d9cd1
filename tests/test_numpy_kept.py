"""What a layer of the NumPy backend keeps of its weights, and how it notices that they have changed."""

from __future__ import annotations

import copy
import pickle
import threading
from functools import partial

import numpy as np
import pytest
from convbridge_numpy.engine import arena, cook_toom, kept, plan, products, winograd
from test_fast import fast, normal
from together import together

import convbridge
from convbridge import selection
from convbridge.errors import ShapeError
from convbridge.parity import bounds_fast, oracle


def make_layer(**more):
    options = {"in_channels": 64, "out_channels": 64, "seed": 0, "backend": "numpy", **more}
    return convbridge.Conv2D(kernel_size=3, **options)


class Counted:
    """Counts how often weights are transformed."""

    def __init__(self, monkeypatch):
        self.count = 0
        transform = winograd.transform_weights

        def counting(*arguments):
            self.count += 1
            return transform(*arguments)

        monkeypatch.setattr(winograd, "transform_weights", counting)


def same_as_without(layer, X, precision="fast"):
    with convbridge.use_precision(precision):
        ours = layer(X)
        alone = convbridge.conv2d(X, layer.weight, layer.bias, groups=layer.config.groups, backend="numpy")
    return (ours == alone).all()


def halve(layer):
    layer.weight *= 0.5


def set_one(layer):
    layer.weight[3, 4, 1, 1] += 1


def set_the_last_bit(layer):
    layer.weight.reshape(-1).view("i4")[-1] ^= 1


def replace(layer):
    layer.weight = layer.weight + 1


def replace_by_another_layout(layer):
    layer.weight = np.asfortranarray(layer.weight[:, ::-1])


def set_weights(layer):
    layer.set_weights([array + 1 for array in layer.get_weights()])


def step(layer):
    layer.weight -= 0.1 * layer.grad_weight


def write_through_a_view(layer):
    np.copyto(layer.weight[:, :, 0], 2.0)


def swap_two(layer):
    layer.weight[[0, 1]] = layer.weight[[1, 0]]


CHANGES = [halve, set_one, set_the_last_bit, replace, replace_by_another_layout, set_weights, step]
CHANGES += [write_through_a_view, swap_two]


@pytest.mark.parametrize("change", CHANGES)
def test_a_layer_notices_every_change_of_its_weights(change, monkeypatch):
    counted, layer, X = Counted(monkeypatch), make_layer(), normal(1, 1, 64, 34, 34)
    with convbridge.use_precision("fast"):
        layer(X)
        Y = layer(X)
        assert counted.count == 1
        layer.backward(Y)
        change(layer)
        assert same_as_without(layer, X)
        layer(X)
    assert counted.count == 3  # again after the change, and once without the layer


def test_a_layer_keeps_every_group(monkeypatch):
    counted, layer, X = Counted(monkeypatch), make_layer(in_channels=128), normal(1, 2, 128, 34, 34)
    grouped = make_layer(in_channels=128, out_channels=128, groups=2)
    with convbridge.use_precision("fast"):
        for one in (layer, grouped):
            one(X)
        before = counted.count
        for one in (layer, grouped):
            one(X[:1])
        assert (before, counted.count) == (3, 3)
        grouped.weight[0, 0, 0, 0] += 1
        grouped(X)
        assert counted.count == 4  # the other group is what it was
    assert same_as_without(grouped, X)


# Each lets go of its layer's weights only when the test says so.
HOLDS = {
    "the array": lambda layer: layer.weight,
    "a view": lambda layer: layer.weight[3:4],
    "a memoryview": lambda layer: memoryview(layer.weight),
    "an array of a buffer": lambda layer: np.frombuffer(layer.weight, dtype="float32"),
    "a closure": lambda layer: (lambda weight: lambda: weight)(layer.weight),
    "a copy of the layer": copy.copy,
}


@pytest.mark.parametrize("hold", HOLDS)
def test_weights_are_compared_only_while_somebody_else_could_write_to_them(hold, monkeypatch):
    compared, same_bits, layer, X = [], kept.same_bits, make_layer(), normal(1, 1, 64, 34, 34)
    monkeypatch.setattr(kept, "same_bits", lambda *arrays: compared.append(1) or same_bits(*arrays))
    with convbridge.use_precision("fast"):
        for _ in range(3):
            layer(X)
        assert not compared
        held = HOLDS[hold](layer)
        for count in (1, 2, 3):
            layer(X)
            assert len(compared) == count
        del held
        layer(X)
        before = len(compared)
        layer(X)
        assert len(compared) == before <= 4


def test_a_reference_that_was_there_before_is_seen():
    layer, X = make_layer(), normal(1, 1, 64, 34, 34)
    view = layer.weight[3]
    assert same_as_without(layer, X)
    view *= 2
    assert same_as_without(layer, X)
    numbers = memoryview(layer.weight).cast("B")
    del view
    assert same_as_without(layer, X)
    numbers[0] ^= 1
    assert same_as_without(layer, X)


def test_two_layers_may_share_their_weights():
    """Also if one of them is gone by the time that the other computes again."""
    layer, X = make_layer(), normal(1, 1, 64, 34, 34)
    assert same_as_without(layer, X)
    other = copy.copy(layer)
    assert same_as_without(other, X)
    layer.weight *= 2
    del layer
    assert same_as_without(other, X)


def test_weights_in_the_memory_of_something_else_are_compared():
    layer, memory, X = make_layer(), np.ones((65, 64, 3, 3), "float32"), normal(1, 1, 64, 34, 34)
    layer.weight = memory[1:]
    assert layer._weight.look()[1] is None
    for _ in range(2):
        assert same_as_without(layer, X)
        memory *= 2


def test_where_references_are_not_counted_weights_are_compared(monkeypatch):
    monkeypatch.setattr(kept, "_count", kept._uncounted)
    monkeypatch.setattr(kept, "_ALONE", 0)
    layer, X = make_layer(), normal(1, 1, 64, 34, 34)
    assert layer._weight.look()[1] is None
    for change in CHANGES:
        with convbridge.use_precision("fast"):
            layer.backward(layer(X))
        change(layer)
        assert same_as_without(layer, X)


def test_weights_that_are_replaced_while_they_are_looked_at():
    """Whatever a thread has seen in between, it finds that something has changed."""
    held, arrays = kept.Held(np.zeros(1)), [np.full(1, value) for value in (1.0, 2.0)]
    known, wrong, done = {}, [], threading.Event()

    def look():
        try:
            for _ in range(20_000):
                array, since = held.look()
                if since is not None and known.setdefault(id(since), (since, array[0]))[1] != array[0]:
                    wrong.append(since)
        finally:
            done.set()

    def change():
        while not done.is_set():
            for array in arrays:
                held.replace(array.copy())

    together(look, change)
    assert known
    assert not wrong


def test_weights_that_are_looked_at_while_they_are_handed_out():
    """What another thread sees just then does not hold once somebody has had the array."""
    seen = []

    class Interrupted(kept.Held):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if hasattr(self, "_array") and hasattr(self, "_since"):
                seen.append(self.look()[1])

    held = Interrupted(np.zeros(1))
    before = held.look()[1]
    seen.clear()
    held.hand_out()
    assert seen == [None]
    after = held.look()[1]
    assert before is not after
    seen.clear()
    held.replace(np.zeros(1))
    assert held.look()[1] not in [after, *seen[:-1]]


DIRECT = [
    {"in_channels": 3, "out_channels": 32},
    {"in_channels": 64, "out_channels": 40, "stride": 2},
    {"in_channels": 512, "out_channels": 32, "stride": 2},  # in parts of the channels
    {"in_channels": 128, "out_channels": 64, "groups": 2, "dilation": 2},
]


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("options", DIRECT, ids=str)
def test_direct_engines_keep_the_order_of_the_weights(options, precision, monkeypatch, set_small_products):
    counted = []
    own = products._own_blocks
    set_small_products(True)
    monkeypatch.setattr(products, "_own_blocks", lambda *arguments: counted.append(1) or own(*arguments))
    layer, sizes = make_layer(**options), (24, 40)
    images = [normal(size, 2, options["in_channels"], size, size) for size in sizes]
    with convbridge.use_precision(precision):
        for _ in range(2):
            for X in images:
                layer(X)
        made = len(counted)
        assert made >= 1
        for X in images:
            layer(X)
        assert len(counted) == made
        for change in (halve, set_the_last_bit, replace_by_another_layout):
            change(layer)
            for X in images:
                Y = layer(X)
                alone = convbridge.conv2d(X, layer.get_weights()[0], layer.bias, **layer._keywords())
                np.testing.assert_array_equal(Y, alone)
        assert len(counted) > made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_kept_begins_at_a_cache_line(dtype):
    """Else every vector of it would lie across two."""
    weight = normal(1, 96, 64, 3, 3, dtype=dtype)
    kept_arrays = [winograd.transform_weights(weight, cook_toom.form(tile, 3)) for tile in (2, 3, 4)]
    kept_arrays += [block.array for block in products._own_blocks(weight, True, 32)]
    assert [array.ctypes.data % arena.ALIGNMENT for array in kept_arrays] == [0] * len(kept_arrays)


def test_copies_of_a_layer_are_on_their_own():
    layer, X = make_layer(), normal(1, 1, 64, 34, 34)
    with convbridge.use_precision("fast"):
        layer(X)
    size = len(pickle.dumps(layer.weight))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), layer.to_native(), copy.copy(layer)):
        other.weight = other.weight + 1
        assert same_as_without(other, X)
        assert same_as_without(layer, X)
    layer._input = None
    assert len(pickle.dumps(layer)) < 1.2 * size


def test_in_exact_a_layer_transforms_nothing_and_is_exact(monkeypatch):
    counted, layer, X = Counted(monkeypatch), make_layer(), normal(1, 1, 64, 34, 34)
    before = layer(X)
    assert counted.count == 0
    with convbridge.use_precision("fast"):
        assert (layer(X) != before).any()
    assert (layer(X) == before).all()
    assert kept.KEPT.get() is None


@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_a_layer_of_other_dtypes(precision, set_small_products):
    set_small_products(True)
    layer, X = make_layer(), normal(1, 1, 64, 34, 34, dtype="float64")
    assert same_as_without(layer, X.astype("float32"), precision)
    assert same_as_without(layer, X, precision)
    assert same_as_without(layer, X.astype("float16"), precision)


@pytest.mark.parametrize("precision", ["exact", "fast"])
def test_a_layer_of_weights_in_half_precision(precision, set_small_products):
    """They are computed with as float32 whatever the image: what is kept serves both."""
    set_small_products(True)
    layer, X = make_layer(), normal(1, 1, 64, 34, 34)
    layer.weight = layer.weight.astype("float16")
    for dtype in ("float16", "float32", "float64", "float16"):
        with convbridge.use_precision(precision):
            Y = layer(X.astype(dtype))
            alone = convbridge.conv2d(X.astype(dtype), layer.get_weights()[0], layer.bias, backend="numpy")
        np.testing.assert_array_equal(Y, alone)
    assert same_as_without(layer, X.astype("float32"))


def test_a_call_that_fails_leaves_nothing_behind():
    layer = make_layer()
    with convbridge.use_precision("fast"), pytest.raises(ShapeError):
        layer(np.zeros((1, 64, 2, 2), "float32"))
    assert kept.KEPT.get() is None


def test_weights_that_change_while_threads_compute():
    """Each result belongs to one of the two weights that the layer had, never to a mixture."""
    layer, X = make_layer(use_bias=False), normal(1, 1, 64, 34, 34)
    both = [layer.weight, layer.weight[::-1] * 2]
    wanted = [fast(X, weight)[0] for weight in both]
    finished, wrong = [], []

    def compute():
        try:
            with convbridge.use_precision("fast"):
                for _ in range(40):
                    Y = layer(X)
                    if not any((one == Y).all() for one in wanted):
                        wrong.append(Y)
        finally:
            finished.append(True)

    def change():
        while len(finished) < 3:
            layer.weight = both[0]
            layer.weight = both[1]

    together(compute, compute, compute, change)
    assert not wrong


def test_threads_with_layers_of_their_own():
    X, wrong = normal(1, 1, 64, 34, 34), []

    def compute(seed):
        layer = make_layer(seed=seed)
        for _ in range(10):
            if not same_as_without(layer, X):
                wrong.append(seed)
            layer.weight *= np.float32(1.01)

    together(*(partial(compute, seed) for seed in range(4)))
    assert not wrong


@pytest.mark.parametrize("block", [1, 50, 2**16])
def test_same_bits(block, monkeypatch):
    monkeypatch.setattr(kept, "BLOCK", block)
    a = normal(0, 7, 5, 3, 3)
    assert kept.same_bits(a, a.copy())
    assert kept.same_bits(a, np.asfortranarray(a))
    assert kept.same_bits(a[:0], a[:0])
    assert not kept.same_bits(a, a[:6])
    assert not kept.same_bits(a, a.astype("float64"))
    for place in range(0, a.size, 37):
        b = a.copy()
        b.reshape(-1).view("i4")[place] ^= 1
        assert not kept.same_bits(a, b)
    a[0, 0, 0, 0] = np.nan
    assert kept.same_bits(a, a.copy())


def test_the_planner_takes_larger_weights_that_are_kept():
    shape = (1, 512, 512, (3, 3), (28, 28))
    assert plan.plan(*shape, padded=True, fast=True, kept=True).engine == "winograd.four_by_four"
    assert plan.plan(*shape, padded=True, fast=True).engine != "winograd.four_by_four"
    assert plan.plan(*shape, padded=True, kept=True).engine != "winograd.four_by_four"


@pytest.mark.parametrize(("channels", "outputs", "batch", "size"), [(128, 130, 1, 14), (128, 128, 2, 8)])
def test_a_layer_of_many_channels_takes_small_tiles_for_small_images(channels, outputs, batch, size):
    layer, X = make_layer(in_channels=channels, out_channels=outputs, padding=1), normal(1, batch, channels, size, size)
    wanted = oracle.conv2d(X, layer.weight, layer.bias, padding=1)
    with convbridge.use_precision("fast"):
        for _ in range(2):
            with selection.watch_trades() as noted:
                Y = layer(X)
            bound = bounds_fast.conv2d_bound(noted, X, layer.weight, layer.bias, dtype="float32", padding=1)
            assert noted == {bounds_fast.WINOGRAD_TWO}
            assert (np.abs(Y - wanted) <= bound).all()
        large = normal(1, 1, channels, 40, 40)
        with selection.watch_trades() as noted:
            layer(large)  # another form of the same weights
        assert noted == {bounds_fast.WINOGRAD}
        layer.weight *= 2
        assert (
            np.abs(layer(X) - layer.bias[:, None, None] - 2 * (wanted - layer.bias[:, None, None])) <= 3 * bound
        ).all()
        X[0, 5, 3, 3] = np.inf
        with selection.watch_trades() as noted:
            Y = layer(X)
        assert noted == set()
        assert np.isfinite(Y[0, :, 6:]).all()
