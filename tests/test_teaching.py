"""The chapters' examples, how they are compared, and the language of stacks of layers."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from convbridge import registry
from convbridge.errors import ArgumentError, ConvbridgeError, ShapeError
from convbridge.geometry import output_shape, receptive_field
from convbridge.teaching import compare as comparing
from convbridge.teaching import stack
from convbridge.teaching.examples import EXAMPLES, Call, Example, find

BAR_EDGES = [[0, 1, 0, 0, 0, -1, 0]] * 6
DIAGONAL = np.eye(6, 7) - np.eye(6, 7, -1)

#: What the book prints.
GOLDEN = {
    "corr2d": [[19, 25], [37, 43]],
    "layer-bias": [[19.5, 25.5], [37.5, 43.5]],
    "layer-bias-channels": [
        [[56.5, 72.5], [104.5, 120.5]],
        [[77, 101], [149, 173]],
        [[95, 127], [191, 223]],
    ],
    "convolution": [[5, 11], [23, 29]],
    "padding": [[0, 3, 8, 4], [9, 19, 25, 10], [21, 37, 43, 16], [6, 7, 8, 0]],
    "padding-stride": [[0, 8], [6, 8]],
    "edges-vertical": BAR_EDGES,
    "edges-horizontal": np.transpose(BAR_EDGES),
    "edges-transposed": np.zeros((8, 5)),
    "edges-diagonal": DIAGONAL,
    "channels-in": [[56, 72], [104, 120]],
    "channels-out": [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]],
    "pool-max": [[4, 5], [7, 8]],
    "pool-avg": [[2, 3], [5, 6]],
    "pool-layer": [[10]],
    "pool-layer-stride": [[5, 7], [13, 15]],
    "pool-layer-rectangle": [[5, 7], [13, 15]],
    "pool-layer-channels": [[[5, 7], [13, 15]], [[6, 8], [14, 16]]],
    "pool-layer-negative": [[-15, -13], [-7, -5]],
}

#: Examples on random numbers, of which the book prints the shape.
SHAPES = {
    "channels-1x1": (2, 3, 3),
    "layer-padding": (8, 8),
    "layer-padding-rectangle": (8, 8),
    "layer-stride": (4, 4),
    "layer-stride-rectangle": (2, 2),
}


# --------------------------------------------------------------------------- examples


def test_every_example_has_an_expectation():
    assert {example.name for example in EXAMPLES} == {*GOLDEN, *SHAPES}
    assert len({example.name for example in EXAMPLES}) == len(EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_call_returns_the_books_numbers(example, backend):
    run = comparing.run_on(example, backend)
    assert [result.error for result in run.results] == [""] * len(example.calls)
    for result in run.results:
        assert result.output.dtype == np.float32
        if example.name in GOLDEN:
            np.testing.assert_array_equal(result.output, GOLDEN[example.name])
        else:
            assert result.output.shape == SHAPES[example.name]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_bound_has_the_shape_of_the_result(example):
    bound = comparing.rounding_bound(example)
    output = comparing.run_on(example, "numpy").results[-1].output
    assert bound.shape == output.shape
    assert (bound <= 1e-5 * (1 + np.abs(output).max())).all()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_text_of_a_call_is_what_runs(example):
    """The expression that a reader sees, evaluated, gives the output that stands below it."""
    import convbridge
    from convbridge import chapter

    def layer(make):
        def of(window, **options):
            has_weight, bias = "Pool" not in make.__name__, example.inputs.get("b")
            weights = {"use_bias": bias is not None} if has_weight else {}
            built = make(window, **options, **weights, backend="numpy")
            if has_weight:
                weight = example.inputs["K"].astype(np.float32)
                built.weight = weight.reshape((1,) * (4 - weight.ndim) + weight.shape)
                built.bias = bias
            return built

        return of

    public = {name: getattr(convbridge, name) for name in convbridge.__all__ if "2d" in name}

    class Chapter:
        """The chapter's functions, and its layer with the example's numbers."""

        def __getattr__(self, name):
            return getattr(chapter, name)

        def Conv2D(self, window):
            built = chapter.Conv2D(window, backend="numpy")
            built.weight, built.bias = (example.inputs[name].astype(np.float32) for name in ("K", "b"))
            return lambda X: built(X.astype(np.float32))

    names = {
        **public,
        **example.inputs,
        "chapter": Chapter(),
        "Conv2D": layer(convbridge.Conv2D),
        "MaxPool2D": layer(convbridge.MaxPool2D),
    }
    with convbridge.use_backend("numpy"):
        for result in comparing.run_on(example, "numpy").results:
            np.testing.assert_array_equal(eval(result.call, names), result.output)


def test_a_layer_of_a_backend_without_lesson_gets_its_numbers(monkeypatch):
    monkeypatch.setattr(registry.load("numpy"), "lesson", None)
    run = comparing.run_on(find(["layer-bias"])[0], "numpy")
    assert [result.output.tolist() for result in run.results] == [GOLDEN["layer-bias"]] * 3


def test_a_bias_inside_is_found(monkeypatch):
    """The mistake of one of the notes, corr2d(X, K + b), is a real difference."""
    own = registry.load("numpy")
    monkeypatch.setattr(own.chapter.Conv2D, "__call__", lambda self, X: own.chapter.corr2d(X, self.weight + self.bias))
    comparison = comparing.compare(find(["layer-bias"])[0], ["numpy"])
    assert comparison.runs[0].results[0].output.tolist() == [[23, 31], [47, 55]]
    assert comparison.kind == "REAL DIFFERENCE"


def test_inputs_cannot_be_changed():
    for example in EXAMPLES:
        for array in example.inputs.values():
            assert not array.flags.writeable


def test_find():
    assert find() == EXAMPLES
    assert [example.name for example in find(["padding"])] == ["padding"]
    assert [example.name for example in find(["pool-max", "edges", "pool-max"])] == [
        *(name for name in GOLDEN if name.startswith("edges")),
        "pool-max",
    ]
    with pytest.raises(ArgumentError, match="Did you mean 'edges-vertical'"):
        find(["edges-verticl"])


# --------------------------------------------------------------------------- sources


def test_sources_are_those_of_the_installed_files(backend):
    chapter = registry.load(backend).chapter
    with open(chapter.__file__, encoding="utf-8") as file:
        text = file.read()
    for example in EXAMPLES:
        run = comparing.run_on(example, backend)
        functions = {call.source for call in example.calls if call.kind == "chapter"}
        assert functions <= set(run.sources)
        assert bool(run.sources) == bool(functions)
        for name, source in run.sources.items():
            assert re.match(rf"(@.*\n)*(def|class) {name}\b", source)
            assert source in text


def test_a_source_brings_what_it_needs(backend):
    assert list(comparing.chapter_sources(backend, "corr2d_multi_in_out"))[-1] == "corr2d_multi_in_out"
    assert "corr2d" in comparing.chapter_sources(backend, "corr2d_multi_in_out")
    assert {"corr2d", "Conv2D"} <= set(comparing.chapter_sources(backend, "Conv2D"))


def test_a_missing_source_is_said(monkeypatch):
    def missing(member):
        raise OSError("no source")

    monkeypatch.setattr(comparing.inspect, "getsourcelines", missing)
    assert "not installed" in comparing.chapter_sources("numpy", "corr2d")["corr2d"]


# --------------------------------------------------------------------------- judging


def run_of(backend, *outputs):
    results = tuple(comparing.Result("operator", "f(X)", output, "") for output in outputs)
    return comparing.BackendRun(backend, "1", {}, results)


@pytest.fixture
def pretend(monkeypatch):
    """Compare made-up outputs of the first example, one a backend."""

    def compare(**outputs):
        example = find(["corr2d"])[0]._replace(calls=(Call("operator", "corr2d", ("X", "K")),))
        monkeypatch.setattr(comparing, "run_on", lambda example, name: run_of(name, outputs[name]))
        return comparing.compare(example, list(outputs))

    return compare


GOOD = np.array(GOLDEN["corr2d"], np.float32)


def test_equal(pretend):
    comparison = pretend(a=GOOD, b=GOOD.copy())
    assert (comparison.kind, comparison.difference, comparison.agrees) == ("equal", 0, True)


def test_rounding(pretend):
    comparison = pretend(a=GOOD, b=np.nextafter(GOOD, np.float32(100)), c=GOOD)
    assert comparison.kind == "rounding"
    assert comparison.agrees
    assert 0 < comparison.fraction < 1
    assert comparison.between == ("a operator", "b operator")
    assert "rounding" in comparison.sentence


@pytest.mark.parametrize(
    "wrong",
    [GOOD + 1, GOOD + np.float32(0.001), GOOD * np.nan, GOOD[:1], GOOD.astype(np.float64), GOOD + np.float32(np.inf)],
    ids=["one", "a little", "NaN", "shape", "dtype", "infinity"],
)
def test_real_difference(pretend, wrong):
    comparison = pretend(a=GOOD, b=wrong)
    assert comparison.kind == "REAL DIFFERENCE"
    assert not comparison.agrees
    assert "REAL DIFFERENCE" in comparison.sentence
    json.dumps(comparison.to_json(), allow_nan=False)


def test_an_error_is_a_result(monkeypatch):
    example = Example("x", "t", "n", find(["corr2d"])[0].inputs, (Call("operator", "conv2d", ("X", "K")),))
    comparison = comparing.compare(example, ["numpy"])
    assert comparison.kind == "ERROR"
    assert not comparison.agrees
    assert comparison.runs[0].results[0].error.startswith("ShapeError: X must have 4 axes")
    assert "error" in json.loads(json.dumps(comparison.to_json()))["backends"][0]["results"][0]


# --------------------------------------------------------------------------- stacks of layers


def test_stack_of_an_alexnet():
    text = (
        "conv 11 s4 p2 c64 | pool 3 s2 | conv 5 p2 c192 | pool 3 s2 | conv 3 p1 c384 | conv 3 p1 c256 | conv 3 p1 c256"
    )
    steps = stack.walk(stack.parse(text + " | pool 3 s2"), 224, 3)
    assert [step.size[0] for step in steps] == [55, 27, 27, 13, 13, 13, 13, 6]
    assert steps[-1].field == (195, 195)
    assert sum(step.parameters for step in steps) == 2_469_696
    assert steps[-1].channels == 256


def test_stack_agrees_with_geometry():
    layers = [
        {"kernel_size": (7, 5), "stride": (2, 1), "padding": ((3, 2), (0, 1)), "dilation": 1},
        {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2},
        {"kernel_size": (2, 3), "stride": (2, 3), "padding": 0, "dilation": 1},
    ]
    steps = stack.walk(stack.parse("conv 7x5 s2x1 p3:2x0:1; conv 3 s2 p1 d2\npool 2x3"), (64, 80))
    size = (64, 80)
    for layer, step in zip(layers, steps):
        size = output_shape(size, **layer)
        assert step.size == size
    field = receptive_field(layers)
    assert (steps[-1].field, steps[-1].jump, steps[-1].start) == (field.size, field.jump, field.start)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("conv 5", 10),
        ("conv 5 psame", 14),
        ("conv 5 psame s2", 7),
        ("conv 4 pchapter s2", 7),
        ("conv 4 psame_lower", 14),
        ("conv 5 PVALID", 10),
        ("conv 3 d3", 8),
        ("conv 3 p2", 16),
        ("conv 3 p=2", 16),
        ("pool 3", 4),
        ("pool 3 ceil", 5),
        ("pool 3 s1", 12),
        ("2 * conv 3", 10),
        ("maxpool 3", 4),
        ("avgpool 3", 4),
        ("conv 3 c8 g4", 12),
        ("conv 3 |\n\n conv 3\n", 10),
    ],
)
def test_words_of_a_layer(text, size):
    assert stack.walk(stack.parse(text), 14)[-1].size == (size, size)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "layers must not be empty"),
        ("conv 3 || pool 2", "layers must not be empty"),
        ("conv 3 |", "layers must not be empty"),
        ("conv", r"layer 1 \('conv', at character 1\): conv must be followed by"),
        ("conv 3 | konv 3", r"layer 2 \('konv 3', at character 10\).*Did you mean 'conv'"),
        ("conv x", "kernel_size must be N or HxW"),
        ("conv 3 s0", "stride must be positive"),
        ("conv 3 s2 s3", "stride must be given once"),
        ("conv 3 p-1", "padding must be N"),
        ("conv 3 psum", "padding must be N"),
        ("conv 3 q7", "a layer is"),
        ("conv 3 c0", "channels must be positive"),
        ("conv 3 ceil", "ceil is for pooling only"),
        ("pool 3 c4", "channels are for convolutions only"),
        ("pool 3 g4", "groups are for convolutions only"),
        ("conv 3 cx", "channels must be a whole number"),
        ("conv 3 c²", "channels must be a whole number"),
        ("conv 3 g0", "groups must be positive"),
        ("conv 3 c6 g4", r"groups must divide the output channels \(6\)"),
        ("conv 3 c6 | conv 3 c8 g4", r"layer 2.*groups must divide the input channels \(6\)"),
        ("avgpol 3", "Did you mean 'avgpool'"),
        ("pool 3 p3", "padding of each side must be smaller"),
        ("conv 9999999999", "kernel_size must be below"),
        ("9999 * conv 1", "layers must be at most"),
        ("0 * conv 1", "repetition must be positive"),
        ("conv 3 | conv 300", r"layer 2 \('conv 300', at character 10\): kernel_size must fit"),
        ("1000 * conv 1 s2000000000", "layers must not see farther"),
    ],
)
def test_bad_stacks(text, message):
    with pytest.raises(ConvbridgeError, match=message) as caught:
        stack.walk(stack.parse(text), 224)
    assert "Received: " in str(caught.value)


def test_parameters_and_multiply_adds():
    text = "conv 3x5 p1x2 c8 | avgpool 2 | conv 3 c4 g2 | conv 1 | pool 2 | conv 2 c3"
    first, pooled, grouped, *unknown = stack.walk(stack.parse(text), (20, 24), 3)
    assert (first.parameters, first.multiply_adds) == (3 * 15 * 8 + 8, 20 * 24 * 8 * 3 * 15)
    assert (pooled.layer.mode, pooled.channels, pooled.parameters, pooled.multiply_adds) == ("avg", 8, 0, 0)
    # each output channel looks at the four input channels of its group
    assert (grouped.parameters, grouped.multiply_adds) == (4 * 9 * 4 + 4, 8 * 10 * 4 * 4 * 9)
    assert [step.parameters for step in unknown] == [None, 0, None]
    assert [step.multiply_adds for step in unknown] == [None, 0, None]


def test_a_layer_that_does_not_fit_is_a_shape_error():
    with pytest.raises(ShapeError):
        stack.walk(stack.parse("conv 3"), 2)


@pytest.mark.parametrize("text", ["", "0", "-3", "3x", "x3", "3x3x3", "224.0", "99999999999"])
def test_bad_sizes(text):
    with pytest.raises(ArgumentError, match="input"):
        stack.parse_size(text, "input")
