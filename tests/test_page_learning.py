"""What the section about learning shows: recorded lessons, and loops that each framework's users would write."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

from convbridge import learn_kernel, registry, to_numpy
from convbridge.teaching.learning import Problem, chapter_images, drift
from convbridge.teaching.page.components import learning

X, Y = chapter_images()

#: What the book prints: the loss at every second step, and the kernel.
GOLDEN = {
    0: ([4.915200, 0.824634, 0.138351, 0.023211, 0.003894], [0.9884708, -0.9884708]),
    1: ([14.515200, 4.756794, 1.748963, 0.682918, 0.274110], [1.042158, -0.934784]),
}


def run_loop(backend, start, dtype):
    weight = np.array([start.weight], dtype)
    images = X.astype(dtype), Y.astype(dtype)
    return registry.load(backend).lesson.learn(*images, weight, start.rate, start.steps, start.use_bias)


@pytest.mark.parametrize("number", GOLDEN)
def test_the_frameworks_own_loops_print_the_books_numbers(backend, number):
    losses, kernel = GOLDEN[number]
    weight, bias, found = run_loop(backend, learning.START[number], "float64")
    assert bias is None
    assert [f"{loss:.6f}" for loss in found[1::2]] == [f"{loss:.6f}" for loss in losses]
    np.testing.assert_allclose(weight, [kernel], rtol=0, atol=0.5e-6)


def test_the_note_s_loop_learns_a_bias_too(backend):
    weight, bias, losses = run_loop(backend, learning.START[2], "float64")
    assert [f"{value:.4f}" for value in weight[0]] == ["1.0000", "-1.0000"]
    assert f"{abs(bias):.4f}" == "0.0000"
    assert len(losses) == 100


@pytest.mark.parametrize("start", learning.START)
def test_they_are_the_library_s_loop_up_to_rounding(backend, start):
    """Also in float32, where their own sum of the squares rounds too."""
    weight, _, losses = run_loop(backend, start, "float32")
    images = [array.astype("float32") for array in (X, Y)]
    initial = np.array([start.weight], "float32")
    options = {"learning_rate": start.rate, "steps": start.steps, "use_bias": start.use_bias}
    wanted = np.array(learn_kernel(*images, (1, 2), initial=initial, backend=backend, **options).losses)
    problem = Problem.of(X, Y, (1, 2), use_bias=start.use_bias)
    begin = np.append(initial, [0.0] * start.use_bias).reshape(-1, 1)
    bound = drift(problem, np.stack([wanted, losses]), begin, start.rate, "float32")
    bound += 43 * np.finfo("float32").eps * wanted  # 42 squares and their sum
    assert (abs(wanted - losses) <= bound).all()
    assert weight.dtype == np.float32


def test_inputs_of_a_loop_are_not_written_to(backend):
    weight = np.array([[0.5, 0.5]])
    for array in (X, Y, weight):
        array.flags.writeable = False
    registry.load(backend).lesson.learn(X, Y, weight, 0.03, 2, True)
    assert weight.tolist() == [[0.5, 0.5]]


def test_what_is_gathered_is_the_run(backend):
    gathered = learning.gather([backend])
    assert np.array_equal(gathered["X"], X)
    source = re.sub(r"<[^>]+>", "", gathered["code"][backend])
    assert source.splitlines()[0] == "def learn("
    for start, lesson in zip(learning.START, gathered["lessons"], strict=True):
        run = lesson["runs"][backend]
        assert (len(run["losses"]), len(run["weights"])) == (start.steps, start.steps)
        for steps in (1, start.steps):
            options = {"learning_rate": start.rate, "steps": steps, "use_bias": start.use_bias}
            same = learn_kernel(X, Y, (1, 2), initial=[start.weight], backend=backend, **options)
            assert run["weights"][steps - 1] == to_numpy(same.weight)[0].tolist()
            assert tuple(run["losses"][:steps]) == same.losses
            assert (run["biases"] is None) == (not start.use_bias)
            if start.use_bias:
                assert run["biases"][steps - 1] == float(to_numpy(same.bias)[0])
        assert lesson["verdict"]["kind"] in ("equal", "rounding")
        assert lesson["verdict"]["count"] == 2
        assert len(lesson["own"][backend]["losses"]) == 5


def test_the_shown_loop_returns_what_is_shown(backend):
    """The listing as the page shows it, run, with no function of its installed file."""
    from html import unescape

    gathered = learning.gather([backend])
    module = registry.load(backend).lesson
    source = unescape(re.sub(r"<[^>]+>", "", gathered["code"][backend]))
    assert source == inspect.getsource(module.learn)
    names = {
        name: value
        for name, value in vars(module).items()
        if not inspect.isfunction(value) or value.__module__ != module.__name__
    }
    exec(source, names)
    for lesson in gathered["lessons"]:
        found = {**names, "X": X, "Y": Y, "np": np}
        exec(lesson["call"], found)
        shown = lesson["own"][backend]
        every = lesson["every"]
        np.testing.assert_allclose(found["losses"][every - 1 :: every], shown["losses"], rtol=1e-12)
        np.testing.assert_allclose(found["weight"], shown["weight"], rtol=1e-12)


def test_a_wrong_loop_is_told(monkeypatch):
    own = registry.load("numpy").lesson
    right = own.learn
    monkeypatch.setattr(own, "learn", lambda X, Y, weight, rate, *rest: right(X, Y, weight, rate * 1.001, *rest))
    found = learning.record(learning.START[0], ["numpy"])
    assert found.lesson.kind == "REAL DIFFERENCE"
    assert found.lesson.between == ("numpy", "numpy loop")


def test_a_backend_without_loop_takes_part(monkeypatch):
    monkeypatch.setattr(registry.load("numpy"), "lesson", None)
    gathered = learning.gather(["numpy"])
    assert gathered["code"] == {}
    assert gathered["lessons"][0]["own"] == {}
    assert gathered["lessons"][0]["verdict"]["count"] == 1
