"""The files in examples/: each learns its task, and all say the same in their framework's words."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import convbridge

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ("numpy", "torch", "tensorflow", "mxnet")


@pytest.fixture
def load(monkeypatch):
    """Import a file of the folder, as a script beside its neighbours would be."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    loaded = []

    def module(name):
        loaded.append(name)
        return importlib.import_module(name)

    yield module
    for name in (*loaded, "bars"):
        sys.modules.pop(name, None)


def test_the_net_learns(load, backend, capsys):
    """Half of the answers would be right by chance; nine in ten of 256 are 12 standard deviations above that."""
    loss, accuracy = load(f"train_{backend}").main()
    assert accuracy > 0.9
    assert loss < 0.35 < np.log(2)
    assert f"accuracy {accuracy:.3f}" in capsys.readouterr().out


def test_all_start_from_the_same_convolutions(load, backend):
    net = load(f"train_{backend}").build()
    layers = list(getattr(net, "layers", net))
    convolutions = [layer for layer in layers if hasattr(getattr(layer, "config", None), "groups")]
    for seed, layer in enumerate(convolutions):
        expected = convbridge.Conv2D(3, (1, 8)[seed], 8, padding="same", seed=seed, backend="numpy")
        for mine, theirs in zip(layer.get_weights(), expected.get_weights()):
            assert mine.tobytes() == theirs.tobytes()
    assert len(convolutions) == 2


def test_the_task_is_fair_and_the_same_each_time(load):
    bars = load("bars")
    X, y = bars.make(400, seed=0)
    again, _ = bars.make(400, seed=0)
    other, _ = bars.make(400, seed=1)
    assert (again == X).all()
    assert not (other == X).all()
    assert X.shape == (400, 1, 16, 16)
    assert 150 < y.sum() < 250
    # the brightness gives nothing away
    assert abs(X[y == 0].mean() - X[y == 1].mean()) < 0.01


def test_the_files_are_short_and_parallel():
    for name in NAMES:
        lines = (EXAMPLES / f"train_{name}.py").read_text(encoding="utf-8").splitlines()
        assert len(lines) < 100
        assert "RATE, EPOCHS, BATCH = 0.5, 15, 16" in lines
        for text in ("def build():", "def main():", f'seed=0, backend="{name}"', f'seed=1, backend="{name}"'):
            assert any(text in line for line in lines), (name, text)
        assert f"`train_{name}.py`" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
