"""The numbers of the page's stacks of layers, in a real browser, against those of the library."""

from __future__ import annotations

import json
import random
import re
from importlib.resources import files

import numpy as np
import pytest

import convbridge
from convbridge.errors import ConvbridgeError
from convbridge.geometry import output_shape, receptive_field
from convbridge.teaching import stack
from convbridge.teaching.networks import NETWORKS

ASSETS = files("convbridge.teaching") / "page" / "assets"

#: Follows stacks through the page's arithmetic, and sends back what `convbridge shapes --json` says.
WALK = """(cases) => cases.map(([text, size, depth]) => {
  try {
    const layers = stack.parse(text);
    const { steps, problem } = stack.walk(layers, size, depth);
    if (problem) throw problem;
    return {
      written: stack.write(layers),
      steps: steps.map((one) => [
        one.axes.map((axis) => [axis.before, axis.after]), one.size, one.channels, one.field, one.jump, one.start,
        ...[one.parameters, one.products].map((count) => count === null ? null : String(count)),
      ]),
      totals: ["parameters", "products"].map((what) => String(stack.total(steps.map((one) => one[what])))),
    };
  } catch (problem) {
    if (!(problem instanceof engine.Problem)) throw problem;
    return { layer: problem.layer ?? 0, code: problem.code };
  }
})"""


def load(browser, broken=("", "")):
    page = browser.new_page()
    page.add_script_tag(content=ASSETS.joinpath("engine.js").read_text(encoding="utf-8"))
    page.add_script_tag(content=ASSETS.joinpath("stack.js").read_text(encoding="utf-8").replace(*broken))
    return page


@pytest.fixture(scope="module")
def engine(browser):
    page = load(browser)
    yield page
    page.close()


def library(text, size, depth):
    """What the library says of a stack: as WALK."""
    try:
        layers = stack.parse(text)
        steps = stack.walk(layers, size, depth)
    except ConvbridgeError as error:
        found = re.match(r"layer (\d+) ", str(error))
        return {"layer": int(found[1]) if found else 0}
    counts = [[step.parameters for step in steps], [step.multiply_adds for step in steps]]
    return {
        "steps": [
            [step.padding, step.size, step.channels, step.field, step.jump, step.start]
            + [None if count is None else str(count) for count in (step.parameters, step.multiply_adds)]
            for step in steps
        ],
        "totals": ["null" if None in some else str(sum(some)) for some in counts],
    }


def random_text(rng):
    """Write a stack that mostly works, within what the page offers."""

    def pair(most):
        return rng.choice([str(rng.randint(1, most)), f"{rng.randint(1, most)}x{rng.randint(1, most)}"])

    def side():
        return rng.choice([str(rng.randint(0, 3)), f"{rng.randint(0, 3)}:{rng.randint(0, 3)}"])

    layers = []
    for _ in range(rng.randint(1, 7)):
        kind = rng.choice(["conv", "conv", "CONV", "pool", "maxpool", "avgpool"])
        words = []
        if rng.random() < 0.5:
            words.append(f"s{pair(3)}")
        if rng.random() < 0.6:
            words.append(
                rng.choice([f"p{side()}", f"p{side()}x{side()}", "psame", "psame_lower", "pchapter", "pvalid"])
            )
        if rng.random() < 0.3:
            words.append(f"d{pair(3)}")
        if kind.lower() == "conv":
            if rng.random() < 0.8:
                words.append(f"c{rng.choice([1, 2, 4, 6, 8, 512])}")
            if rng.random() < 0.2:
                words.append(f"g={rng.choice([1, 2, 3, 4])}")
        elif rng.random() < 0.4:
            words.append("ceil")
        rng.shuffle(words)
        if rng.random() < 0.04:
            words.append(rng.choice(["s0", "q3", "p-1", "c0", "ceil", "c4", "s2", "d1.5", "psum"]))
        times = f"{rng.randint(1, 3)} * " if rng.random() < 0.2 else ""
        layers.append(" ".join([times + kind, pair(5), *words]))
    return rng.choice([" | ", "; ", "\n"]).join(layers)


def random_stacks(count, seed=6):
    rng = random.Random(seed)
    return [
        (random_text(rng), [rng.randint(1, 200), rng.randint(1, 200)], rng.choice([None, 1, 3, 4, 8]))
        for _ in range(count)
    ]


def differences(page, cases):
    """Name the stacks of which the page says something else than the library."""
    shown = page.evaluate(WALK, [list(case) for case in cases])
    found, worked = [], 0
    for case, there in zip(cases, shown, strict=True):
        here = json.loads(json.dumps(library(*case)))
        same = there.get("layer") == here["layer"] if "layer" in here else there.get("steps") == here["steps"]
        if "steps" in here and same:
            same = there["totals"] == here["totals"]
            # the text that the page writes means the same, to the library
            same &= library(there["written"], *case[1:]).get("steps") == library(*case)["steps"]
            worked += 1
        if not same:
            found.append((case, there, here))
    return found, worked


def test_random_stacks_have_the_librarys_numbers(engine):
    found, worked = differences(engine, random_stacks(1500))
    assert not found, (len(found), found[:2])
    assert 500 < worked < 1400  # both kinds, many of each


def test_the_networks_have_the_librarys_numbers(engine):
    cases = [(network.layers, list(network.size), network.channels) for network in NETWORKS]
    found, worked = differences(engine, cases)
    assert not found
    assert worked == len(NETWORKS)
    # and those of the functions that everybody calls
    for (_, size, _), shown in zip(cases, engine.evaluate(WALK, [list(case) for case in cases]), strict=True):
        layers = stack.parse(shown["written"])
        named = [
            {"kernel_size": one.kernel_size, "stride": one.stride, "padding": one.padding, "dilation": one.dilation}
            for one in layers
        ]
        field = receptive_field(named)
        assert [tuple(part) for part in shown["steps"][-1][3:6]] == [field.size, field.jump, field.start]
        for one, step in zip(named, shown["steps"], strict=True):
            size = output_shape(size, **one)
            assert tuple(step[1]) == size


BAD = [
    ("", 0),
    ("conv 3 || pool 2", 0),
    ("conv 3 |", 0),
    ("conv", 1),
    ("conv 3 | konv 3", 2),
    ("conv x", 1),
    ("conv 3 s0", 1),
    ("conv 3 s2 s3", 1),
    ("conv 3 p-1", 1),
    ("conv 3 psum", 1),
    ("conv 3 q7", 1),
    ("conv 3 c0", 1),
    ("conv 3 cx", 1),
    ("conv 3 ceil", 1),
    ("pool 3 c4", 1),
    ("avgpool 3 g4", 1),
    ("pool 3 p3", 1),
    ("0 * conv 1", 1),
    ("conv 3 | conv 300", 2),
    ("conv 3 c6 | conv 3 c8 g4", 2),
]


def test_bad_stacks_are_refused_by_both(engine):
    shown = engine.evaluate(WALK, [[text, [224, 224], None] for text, _ in BAD])
    assert [there.get("layer") for there in shown] == [layer for _, layer in BAD]
    here = [library(text, (224, 224), None).get("layer") for text, _ in BAD]
    assert here == [layer for _, layer in BAD]
    # the page counts in float64 and gives up earlier than the library, before a number is wrong
    far = engine.evaluate(WALK, [["8 * conv 1 s255", [224, 224], None]])
    assert far == [{"layer": 7, "code": "far"}]


@pytest.mark.parametrize(
    "broken",
    [
        ("(axes[i].window - 1) * before.jump[i]", "axes[i].window * before.jump[i]"),
        ("first - axes[i].before * before.jump[i]", "first - axes[i].before"),
        ("depth / layer.groups", "depth"),
        ("ceil: pooling && layer.ceil", "ceil: false"),
        ('kind === "conv" ? [1, 1] : [...kernel]', "[1, 1]"),
        ('stride !== (pooling ? kernel : "1")', 'stride !== "1"'),
    ],
)
def test_broken_numbers_are_found(browser, broken):
    assert ASSETS.joinpath("stack.js").read_text(encoding="utf-8").count(broken[0]) == 1
    page = load(browser, broken)
    assert differences(page, random_stacks(200))[0]
    page.close()


def run_on_single_pixels(layers, size):
    """Send images with one bright pixel each through a stack of ones; what answers, depends on that pixel."""
    Y = np.eye(size[0] * size[1]).reshape(-1, 1, *size)
    for one in layers:
        options = {"stride": one.stride, "padding": one.padding, "dilation": one.dilation, "backend": "numpy"}
        if one.kind == "conv":
            Y = convbridge.conv2d(Y, np.ones((1, 1, *one.kernel_size)), **options)
        else:  # the maximum is above zero if any pixel is; an average without padding would divide by zero
            Y = convbridge.pool2d(Y, one.kernel_size, "max", ceil_mode=one.ceil_mode, **options)
        Y = (Y > 0).astype(np.float64)
    return Y[:, 0].reshape(*size, *Y.shape[2:])


SEEN = """([text, size]) => {
  const { steps } = stack.walk(stack.parse(text), size, 1);
  const [height, width] = steps.at(-1).size;
  return engine.range(height).map((i) => engine.range(width).map((j) => stack.seen(steps, [i, j])));
}"""


def test_what_is_seen_is_what_the_library_depends_on(engine):
    rng = random.Random(3)
    less = compared = 0
    while compared < 120:
        text = re.sub(r" [cg]=?\d+", "", random_text(rng))
        size = [rng.randint(2, 8), rng.randint(2, 8)]
        if "steps" not in library(text, size, 1):
            continue
        compared += 1
        layers = stack.parse(text)
        last = stack.walk(layers, size, 1)[-1]
        depends = run_on_single_pixels(layers, size)
        for i, row in enumerate(engine.evaluate(SEEN, [text, size])):
            for j, (rows, columns) in enumerate(row):
                wanted = np.zeros(size)
                wanted[np.ix_(rows, columns)] = 1
                np.testing.assert_array_equal(wanted, depends[:, :, i, j], text)
                # and nothing of it lies outside of the receptive field
                for seen, at, start, jump, field in zip(
                    (rows, columns), (i, j), last.start, last.jump, last.field, strict=True
                ):
                    first = start + at * jump
                    assert all(first <= pixel < first + field for pixel in seen)
                less += len(rows) * len(columns) < last.field[0] * last.field[1]
    assert less > 100
