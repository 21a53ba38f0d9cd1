"""``convbridge learn``: what it prints, what it learns from photographs, and how it fails."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convbridge
from convbridge import learn_kernel
from convbridge.cli import main
from convbridge.commands import learn as command
from convbridge.teaching import learning

PHOTO = Path(__file__).parent / "data" / "photo.jpg"


@pytest.fixture
def run(run):
    """Run this command, or another one."""
    return lambda *arguments, name="learn": run(name, *arguments)


@pytest.fixture
def small(tmp_path):
    """A piece of the photograph, large enough to learn from and small enough to be quick."""
    with Image.open(PHOTO) as image:
        image.convert("L").crop((60, 60, 100, 96)).save(tmp_path / "small.png")
    return tmp_path / "small.png"


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(np.float64) / 255


def save(path, numbers):
    Image.fromarray(np.asarray(numbers)).save(path)
    return path


# --------------------------------------------------------------------------- the book's example


def test_the_books_losses_beside_each_other(run):
    names = convbridge.available_backends()
    code, out, err = run("--initial", "[[0, 0]]")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("step"))
    assert lines[at].split() == ["step", *names]
    for line, (step, loss) in zip(
        lines[at + 1 :], {2: 4.915200, 4: 0.824634, 6: 0.138351, 8: 0.023211, 10: 0.003894}.items()
    ):
        assert line.split() == [str(step), *[f"{loss:.6f}"] * len(names)]
    assert out.count("[[ 0.988471 -0.988471]]") == len(names)
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in out
    assert "learning rate 0.03" in out


def test_the_other_start(run, backend):
    _, out, _ = run("--initial", "[[.5, .5]]", "--backends", backend)
    for loss in ("14.515200", "4.756794", "1.748963", "0.682918", "0.274110"):
        assert loss in out
    assert "[[ 1.042158 -0.934784]]" in out


def test_the_variant_with_a_bias(run, backend):
    code, out, _ = run(
        "--bias", "--learning-rate", 0.01, "--steps", 100, "--initial", "[[0,0]]", "--json", "--backends", backend
    )
    assert code == 0
    (found,) = json.loads(out)["backends"]
    assert [f"{value:.4f}" for value in found["weight"][0]] == ["1.0000", "-1.0000"]
    assert abs(found["bias"]) < 0.5e-4
    assert len(found["losses"]) == 100


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_json(run, backend, dtype):
    code, out, err = run("--json", "--backends", backend, "--seed", 7, "--dtype", dtype, "--steps", 3)
    assert (code, err) == (0, "")
    found = json.loads(out)
    X, Y = (array.astype(dtype) for array in learning.chapter_images())
    wanted = learn_kernel(X, Y, (1, 2), steps=3, seed=7, backend=backend)
    assert found["backends"][0]["losses"] == list(wanted.losses)
    assert found["backends"][0]["weight"] == convbridge.to_numpy(wanted.weight).tolist()
    assert found["dtype"] == dtype
    assert found["agrees"] is True
    assert found["diverged"] is False
    assert abs(found["largest_learning_rate"] - 1 / 30) < 1e-15


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ((), [2, 4, 6, 8, 10]),
        (("--every", 3), [3, 6, 9, 10]),
        (("--every", 50), [10]),
        (("--steps", 1), [1]),
        (("--steps", 45), [5, 10, 15, 20, 25, 30, 35, 40, 45]),
        (("--steps", 101), [11, 22, 33, 44, 55, 66, 77, 88, 99, 101]),
    ],
)
def test_steps_that_are_shown(run, options, steps):
    _, out, _ = run("--backends", "numpy", *options)
    lines = out.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("step"))
    assert [int(line.split()[0]) for line in lines[at + 1 : at + 1 + len(steps)]] == steps
    assert lines[at + 1 + len(steps)].startswith("at the end")


def test_an_automatic_rate_for_the_book(run):
    """0.9 / 30, for the eigenvalues are 6 and 30; the slower factor is 1 - 2 * 0.03 * 6 = 0.64."""
    found = json.loads(run("--learning-rate", "auto", "--json", "--backends", "numpy")[1])
    assert abs(found["learning_rate"] - 0.03) < 1e-15
    assert len(found["backends"][0]["losses"]) == max(np.ceil(np.log(0.01) / np.log(0.8)), 10)


def test_help(run):
    code, out, _ = run("--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "largest eigenvalue" in out


# --------------------------------------------------------------------------- the user's own images


@pytest.mark.parametrize("padding", ["valid", "same", "same_lower", "chapter", "1", "2x1"])
def test_what_filter_writes_can_be_learned(run, small, tmp_path, padding):
    """A kernel whose results need no clipping: what remains is the rounding to 8 bits."""
    target = tmp_path / "target.png"
    kernel = np.array([[0.1, 0.3], [0.2, 0.4]])
    code, _, err = run(
        small, "--kernel", kernel.tolist(), "--padding", padding, "--output", target, "--range", "clip", name="filter"
    )
    assert code == 0, err
    size = () if padding == "valid" else ("--kernel-size", 2)
    given = () if padding in ("valid", "same") else ("--padding", padding)
    code, out, err = run("-i", small, "-t", target, *size, *given, "--json", "--backends", "numpy")
    assert code == 0, err
    found = json.loads(out)
    count = 35 * 39
    assert found["smallest_loss"] <= count * (0.5 / 255) ** 2  # the true kernel is off by half a grey value at most
    losses = found["backends"][0]["losses"]
    assert losses[-1] < 0.02 * losses[0]
    assert len(losses) == 500 or losses[-1] < 1.1 * found["smallest_loss"]
    assert bool(found["notes"]) == (padding != "valid")
    # the pixels that are left are the right ones: the best kernel is the one that was used
    X, Y = pixels_of(small), pixels_of(target)
    top, left = {"valid": (0, 0), "same": (0, 0), "same_lower": (1, 1), "chapter": (1, 1), "1": (1, 1), "2x1": (2, 1)}[
        padding
    ]
    problem = learning.Problem.of(X, Y[top : top + 35, left : left + 39], (2, 2))
    assert abs(problem.optimum.reshape(2, 2) - kernel).max() < 0.02
    assert abs(problem.smallest_loss - found["smallest_loss"]) < 1e-9


def test_edges_of_a_photograph_on_all_backends(run, small, tmp_path):
    """--range centre keeps the sign, --bias learns the grey in the middle."""
    target = tmp_path / "edges.png"
    run(small, "--kernel", "vertical-edges", "--range", "centre", "--output", target, name="filter")
    names = convbridge.available_backends()
    code, out, err = run("-i", small, "-t", target, "--bias", "--json", "--steps", 60)
    assert code == 0, err
    found = json.loads(out)
    assert [entry["backend"] for entry in found["backends"]] == list(names)
    assert found["agrees"] is True
    assert found["verdict"]["kind"] in ("equal", "rounding")
    assert found["verdict"]["fraction_of_bound"] <= 1
    losses = [entry["losses"] for entry in found["backends"]]
    assert abs(np.array(losses) - losses[0]).max() < 1e-9 * losses[0][0]
    assert losses[0][-1] < 0.5 * losses[0][0]


def test_absolute_values_cannot_be_learned_and_it_says_so(run, small, tmp_path):
    target = tmp_path / "edges.png"
    run(small, "--kernel", "vertical-edges", "--output", target, name="filter")
    code, out, _ = run("-i", small, "-t", target, "--backends", "numpy")
    assert code == 0
    X, Y = pixels_of(small), pixels_of(target)
    problem = learning.Problem.of(X, Y, (1, 2))
    remains = np.sqrt(problem.smallest_loss / Y.size)
    assert remains > 0.005
    assert f"the best kernel of this size: {remains:.2g}" in " ".join(out.split())
    assert "a kernel of 1x2" in out  # which the sizes say


def test_colours_opacity_and_16_bits(run, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (12, 14, 4), dtype=np.uint8)
    source = save(tmp_path / "in.png", X)
    grey = X[..., :3].mean(axis=2) / 255
    Y = 0.5 * grey[:, :-1] + 0.25 * grey[:, 1:]
    target = save(tmp_path / "out.png", np.rint(Y * 65535).astype(np.uint16))
    code, out, _ = run("-i", source, "-t", target, "--json", "--backends", "numpy", "--steps", 500)
    found = json.loads(out)
    assert code == 0
    assert found["notes"] == ["in.png: colours are averaged, opacity is ignored"]
    assert abs(np.array(found["backends"][0]["weight"]) - [[0.5, 0.25]]).max() < 1e-4
    assert found["smallest_loss"] < Y.size * (0.5 / 65535) ** 2


def test_the_automatic_rate_is_safe_and_a_larger_one_is_not(run, small, tmp_path):
    target = tmp_path / "blurred.png"
    run(small, "--kernel", "box-3", "--output", target, name="filter")
    code, out, err = run("-i", small, "-t", target, "--json", "--backends", "numpy", "--learning-rate", 0.03)
    assert code == 2
    found = json.loads(out)
    assert found["diverged"] is True
    assert err.count("\n") == 1
    assert "the loss grew from" in err
    assert "--learning-rate auto is safe" in err
    limit = found["largest_learning_rate"]
    for factor, code in ((0.99, 0), (1.05, 2)):
        assert run("-i", small, "-t", target, "--learning-rate", factor * limit, "--steps", 300)[0] == code


def test_a_loss_that_leaves_the_numbers(run):
    code, out, err = run("--learning-rate", 1e6, "--steps", 60, "--backends", "numpy")
    assert code == 2
    assert "nan" in out
    assert err.count("\n") == 1
    assert "RuntimeWarning" not in err
    found = json.loads(run("--learning-rate", 1e6, "--steps", 60, "--json")[1])
    assert found["backends"][0]["losses"][-1] == "nan"


# --------------------------------------------------------------------------- verdict and progress


def test_a_wrong_backend_turns_it_red(run, install):
    install(
        "wrong",
        ops="""
        def conv2d_vjp(X, weight, bias, grad, **keywords):
            bias = None if bias is None else np.asarray(bias)
            found = base.conv2d_vjp(np.asarray(X), np.asarray(weight), bias, np.asarray(grad), **keywords)
            return tuple(None if x is None else (1.0000001 * x).view(Tensor) for x in found)
        """,
    )
    code, out, _ = run("--backends", "numpy,wrong")
    assert code == 1
    assert "REAL DIFFERENCE" in out
    code, out, _ = run("--backends", "numpy,wrong", "--json")
    assert code == 1
    assert json.loads(out)["agrees"] is False


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_for_long_runs_on_a_terminal(run, monkeypatch):
    for steps, shown in ((300, True), (10, False)):
        screen = Terminal()
        monkeypatch.setattr("sys.stderr", screen)
        monkeypatch.setenv("TERM", "xterm")
        assert main(["learn", "--backends", "numpy", "--steps", str(steps), "--every", "100"]) == 0
        assert (f"{steps}/{steps}" in screen.getvalue()) is shown
    code, _, err = run("--backends", "numpy", "--steps", 300)
    assert (code, err) == (0, "")


# --------------------------------------------------------------------------- bad usage


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning-rate", "0"], "--learning-rate must be a positive number or auto"),
        (["--learning-rate", "fast"], "--learning-rate must be a positive number or auto"),
        (["--learning-rate", "nan"], "--learning-rate must be a positive number or auto"),
        (["--steps", "0"], "--steps"),
        (["--every", "0"], "--every"),
        (["--seed", "-1"], "--seed"),
        (["--dtype", "float16"], "--dtype must be float64 or float32"),
        (["--initial", "[[1, 2, 3]]"], "the book's images need a kernel of 1x2, not 1x3"),
        (["--initial", "[1, 2]"], "--initial must be a matrix"),
        (["--initial", "[[1, 'a']]"], "--initial must be"),
        (["--initial", "[[0, 0]]", "--kernel-size", "2"], "--initial must have the size of --kernel-size, 2x2"),
        (["--kernel-size", "2"], "the book's images need a kernel of 1x2"),
        (["--kernel-size", "x"], "--kernel-size"),
        (["--kernel-size", "99x99"], "--kernel-size must have at most 1024 elements"),
        (["--padding", "same"], "--padding is about --target"),
        (["--input", PHOTO], "--input and --target belong together"),
        (["--target", PHOTO], "--input and --target belong together"),
        (["-i", PHOTO, "-t", PHOTO], "--kernel-size is needed"),
        (["-i", PHOTO, "-t", PHOTO, "--padding", "same"], "--kernel-size is needed"),
        (["-i", PHOTO, "-t", PHOTO, "--kernel-size", "3", "--padding", "valid"], "must have 254x254 pixels"),
        (["-i", PHOTO, "-t", PHOTO, "--kernel-size", "3", "--padding", "sum"], "padding"),
        (["-i", "nowhere.png", "-t", PHOTO], "nowhere.png: No such file"),
        (["-i", __file__, "-t", PHOTO], "not an image"),
        (["--backends", "nonsense"], "must be one of numpy"),
    ],
)
def test_bad_usage(fails, arguments, message):
    assert message in fails(*arguments)


def test_images_that_do_not_fit(fails, tmp_path, small):
    tiny = save(tmp_path / "tiny.png", np.zeros((3, 3), np.uint8))
    larger = save(tmp_path / "larger.png", np.zeros((37, 40), np.uint8))
    assert "cannot be a filtered copy" in fails("-i", small, "-t", tiny)
    assert "cannot be a filtered copy" in fails("-i", small, "-t", larger)
    assert "must have 38x34 pixels for a kernel of 3x3" in fails("-i", small, "-t", tiny, "--kernel-size", "3")
    assert "must fit" in fails("-i", tiny, "-t", tiny, "--kernel-size", "5")
    broken = save(tmp_path / "nan.tif", np.full((5, 5), np.nan, np.float32))
    assert "no finite numbers" in fails("-i", broken, "-t", tiny)


def test_the_steps_of_the_table():
    for count in range(1, 60):
        for every in (None, 1, 7, 100):
            shown = command._steps_to_show(count, every)
            assert shown[-1] == count
            assert shown == sorted(set(shown))
            assert every is not None or len(shown) <= 11
