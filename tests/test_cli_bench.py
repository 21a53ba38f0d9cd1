"""The benchmarks: what is compared is the same computation, how it is timed, and what the command shows of it.

No test judges a speed. One run, of tiny layers on whatever is installed, goes
through the command as a user's would; what is shown is tested on a made-up run.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import convbridge
from convbridge import geometry, registry
from convbridge.benchmarks import contenders, convolution, dispatch, memory, plot, shapes, tables, timing
from convbridge.benchmarks import run as running
from convbridge.benchmarks.run import NOT_QUICK, TABLES, Options, RunError
from convbridge.benchmarks.shapes import Layer
from convbridge.cli import main
from convbridge.errors import BackendBrokenError, BackendNotInstalledError

SCHEMA = json.loads(Path(running.__file__).with_name("result-1.json").read_text(encoding="utf-8"))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def run(capsys):
    """Run a command in this process: exit code, standard output, standard error."""

    def command(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def fails(run):
    """Run a command that must fail with exit code 2 and one line; return the line."""

    def command(*arguments):
        code, _, err = run("bench", *arguments)
        assert code == 2, err
        assert err.startswith("convbridge: ")
        assert err.count("\n") == 1, err
        return err

    return command


# --------------------------------------------------------------------------- what is compared

LAYERS = [
    Layer("plain", 3, 4, 7, 3),
    Layer("strided and padded", 2, 3, 8, 3, 2, 1),
    Layer("dilated", 2, 3, 9, 3, 1, 2, dilation=2),
    Layer("not square", 2, 3, 6, 2, width=9, kernel_width=3),
    Layer("grouped", 4, 6, 6, 3, 1, 1, 2),
    Layer("depthwise", 4, 4, 7, 3, 2, 1, 4),
    Layer("one channel", 1, 1, 6, 3),
]


def integers(*shape):
    """Return small numbers, whose sums are exact: all libraries must agree bit for bit."""
    return np.random.default_rng(3).integers(-4, 5, shape).astype(np.float32)


def problem(layer):
    X = integers(2, layer.channels, layer.size, layer.width or layer.size)
    weight = integers(layer.outputs, layer.channels // layer.groups, layer.kernel, layer.kernel_width or layer.kernel)
    return X, weight, integers(2, layer.outputs, *layer.output_size)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.network)
def test_all_libraries_compute_the_same_convolution(layer, backend):
    X, weight, _ = problem(layer)
    library = contenders.library(backend)
    p = layer.padding
    wanted = convbridge.conv2d(X, weight, **{**contenders.geometry(layer), "padding": ((p, p), (p, p))})
    np.testing.assert_array_equal(library.host(library.convolution(layer, X, weight)()), wanted)


@pytest.mark.parametrize("which", ["dX", "dW"])
@pytest.mark.parametrize("layer", LAYERS[:2], ids=lambda layer: layer.network)
def test_all_libraries_compute_the_same_gradient(layer, which, backend):
    X, weight, grad = problem(layer)
    library = contenders.library(backend)
    p = layer.padding
    dX, dW, _ = convbridge.conv2d_vjp(X, weight, None, grad, stride=layer.stride, padding=p)
    call = library.gradient(which, layer, X, weight, grad)
    call()  # a second call must not add to the first
    found = library.host(call(), "image" if which == "dX" else "weight")
    np.testing.assert_array_equal(found, dX if which == "dX" else dW)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("mode", ["max", "avg"])
def test_all_libraries_compute_the_same_pooling(mode, padding, backend):
    layer = Layer("pool", 3, 0, 8, 4, 2, padding)  # windows of 16: averages of integers are exact
    X = integers(2, 3, 8, 8)
    library = contenders.library(backend)
    wanted = convbridge.pool2d(X, 4, mode, stride=2, padding=padding)
    np.testing.assert_array_equal(library.host(library.pooling(layer, X, mode)()), wanted)


def test_scipy_filters_with_the_same_kernel():
    pytest.importorskip("scipy")
    X, K = integers(9, 11), integers(3, 3)
    found = contenders.SciPy().filter_image(X, K)()
    np.testing.assert_array_equal(found[1:-1, 1:-1], convbridge.corr2d(X, K))


@pytest.mark.parametrize(("call", "used"), [("operator", []), ("facade", ["conv2d"]), ("layer", ["Conv2D"])])
def test_numpy_is_called_as_operator_or_through_the_facade_or_a_layer(call, used, monkeypatch):
    layer = LAYERS[1]
    X, weight, _ = problem(layer)
    wanted = convbridge.conv2d(X, weight, stride=2, padding=1)
    calls = []
    for name in ("conv2d", "Conv2D"):
        real = getattr(convbridge, name)
        watch = lambda *a, real=real, name=name, **k: calls.append(name) or real(*a, **k)  # noqa: E731
        monkeypatch.setattr(convbridge, name, watch)
    np.testing.assert_array_equal(contenders.library("numpy", call).convolution(layer, X, weight)(), wanted)
    assert calls == used


def test_a_third_partys_backend_is_measured_through_its_operators():
    layer = LAYERS[1]
    X, weight, grad = problem(layer)
    library = contenders.Library("numpy")
    wanted = convbridge.conv2d(X, weight, stride=2, padding=1)
    np.testing.assert_array_equal(library.host(library.convolution(layer, X, weight)()), wanted)
    pooled = library.pooling(Layer("pool", 2, 0, 8, 4, 2), X, "avg")()
    np.testing.assert_array_equal(library.host(pooled), convbridge.pool2d(X, 4, "avg", stride=2))
    with pytest.raises(NotImplementedError, match="no operator for one gradient alone"):
        library.gradient("dX", layer, X, weight, grad)


def test_sizes_of_results():
    for layer in [*LAYERS, *shapes.NETWORKS, *shapes.UNSEEN, *shapes.DEPTHWISE, *shapes.GROUPED]:
        p, kernel = layer.padding, (layer.kernel, layer.kernel_width or layer.kernel)
        image = (layer.size, layer.width or layer.size)
        wanted = [
            geometry.output_size(size, geometry.window_size(k, layer.dilation), layer.stride, p, p)
            for size, k in zip(image, kernel)
        ]
        assert list(layer.output_size) == wanted, layer.name


def test_names_are_unique_and_networks_are_made_of_layers():
    for table in convolution.TABLES:
        keys = [(case.family, case.name) for case in convolution.cases(table, [])]
        assert len(set(keys)) == len(keys)
    known = {layer.name for layer in shapes.NETWORKS}
    for layers in shapes.STACKS.values():
        assert set(layers) <= known
    assert len(shapes.NETWORKS) == 45
    assert len(shapes.UNSEEN) >= 30


@pytest.mark.parametrize("table", convolution.TABLES)
def test_a_quick_run_has_some_of_every_family(table):
    cases = convolution.cases(table, [])
    named = [(case.family, case.name, case) for case in cases]
    quick = running._some(named, table, Options())
    assert {case.family for case in quick} == {case.family for case in cases}
    assert len(quick) <= len(cases) / 2
    assert running._some(named, table, Options(full=True)) == cases
    everything = running._some(named, table, Options(match=cases[0].name))
    assert cases[0] in everything


# --------------------------------------------------------------------------- how time is taken


def test_every_sample_follows_a_warm_call_and_the_reference_runs_twice(monkeypatch):
    log = []
    seconds = iter(range(10**6))
    monkeypatch.setattr(timing, "clock", lambda: log.append("clock") or float(next(seconds)))
    build = lambda: {name: lambda name=name: lambda: log.append(name) for name in "abc"}  # noqa: E731
    found = timing.measure(timing.Case("family", "case", build), "a", rounds=4)
    assert {who: len(samples) for who, samples in found.seconds.items()} == dict.fromkeys(("a", "b", "c", "a again"), 4)
    assert log[:3] == ["a", "b", "c"]
    estimates, samples = log[3 : 3 + 4 * 3], log[3 + 4 * 3 :]
    assert estimates.count("clock") == 8
    rows = [samples[i : i + 4] for i in range(0, len(samples), 4)]  # warm call, clock, call, clock
    assert len(rows) == 16
    assert all(row[0] == row[2] in "abc" and row[1] == row[3] == "clock" for row in rows)


def test_the_order_changes_from_round_to_round():
    orders, current = set(), []
    build = lambda: {name: lambda name=name: lambda: current.append(name) for name in "abcd"}  # noqa: E731
    for _ in range(8):
        current.clear()
        timing.measure(timing.Case("family", "case", build), "none", rounds=1, least=1e-9)
        orders.add("".join(current[8:]))
    assert len(orders) > 1


def test_what_a_library_cannot_do_stops_nobody_else():
    def refuse():
        raise NotImplementedError("no grouped\nconvolution")

    case = timing.Case("grouped", "case", lambda: {"a": lambda: int, "b": refuse, "c": lambda: refuse})
    (found,) = timing.run([case], "a", passes=2, rounds=2)
    assert found.failed == dict.fromkeys("bc", "NotImplementedError: no grouped convolution")
    assert {who: len(samples) for who, samples in found.seconds.items()} == {"a": 4, "a again": 4}


def test_ratios():
    result = timing.Result("", "", {"a": [2.0, 4.0, 4.0], "b": [4.0, 2.0, 12.0]}, {})
    assert result.ratio("b", "a") == 1.0
    assert result.spread("b", "a") == (0.5, 2.0, 3.0)
    assert timing.geometric_mean([4.0, 0.25]) == pytest.approx(1)


def test_growth_tells_a_leak_from_a_cache():
    readings = range(memory.READINGS + 1)
    assert memory.growth([10 * reading for reading in readings], since=3) == 100
    assert memory.growth([min(10 * reading, 200) for reading in readings], since=3) == 0


def test_a_raw_call_that_computes_something_else_is_no_benchmark():
    row = dispatch.Case("numpy", "wrong", lambda: np.zeros(3), lambda: np.ones(3))
    with pytest.raises(RuntimeError, match="numpy wrong: the raw call computes something else"):
        dispatch.measure([row], 1)


# --------------------------------------------------------------------------- a run


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Run the command once on all that is installed, with the smallest layers."""
    folder = tmp_path_factory.mktemp("bench")
    arguments = ["bench", "--only", "forward,dX,memory,dispatch,import", "--rounds", "2", "--passes", "2", "--match"]
    plotted = ["--plot", str(folder / "a.svg")] if len(convbridge.available_backends()) > 1 else []  # it draws ratios
    code = main([*arguments, "LeNet 6->16", "--json", str(folder / "a.json"), *plotted])
    return code, folder


def test_a_run(measured):
    code, folder = measured
    assert code == 0
    found = json.loads((folder / "a.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, SCHEMA)
    assert [table["name"] for table in found["tables"]] == ["forward", "dX"]
    labels = [contenders.library(name).label for name in convbridge.available_backends()]
    assert found["reference"] == ([label for label in labels if label != "NumPy"] or labels)[0]
    for table in found["tables"]:
        for case in table["cases"]:
            assert not case["failed"]
            assert set(case["seconds"]) == {*labels, f"{found['reference']} again"}
            assert all(len(samples) == 4 for samples in case["seconds"].values())
    assert (found["conditions"]["heap"], found["conditions"]["threads"]) == ("fixed", 1)
    assert [row["name"] for row in found["memory"]] == ["b1 LeNet 6->16 @14 5x5", "b8 LeNet 6->16 @14 5x5"]
    assert {row["backend"] for row in found["dispatch"]["rows"]} == set(convbridge.available_backends())
    assert len(found["import"]["rows"]) == 3
    assert found["versions"]["NumPy"] == np.__version__
    assert all(len(line) <= 80 for line in tables.lines(found, verbose=True))
    if len(labels) > 1:
        ET.parse(folder / "a.svg")


def test_shown_again_from_its_file(measured, run, tmp_path):
    _, folder = measured
    code, out, err = run("bench", "--from", folder / "a.json", "--json", tmp_path / "b.json", "-v")
    assert (code, err) == (0, "")
    assert "forward: 45 layers of networks, batches of 1 and 8 (2 of 90 cases)" in out
    assert "b8 LeNet 6->16 @14 5x5" in out
    assert (tmp_path / "b.json").read_text() == (folder / "a.json").read_text()


def pretend(monkeypatch, errors):
    """Let backends fail to load."""
    real = running.library

    def library(name, call):
        if name in errors:
            raise errors[name]
        return real(name, call)

    monkeypatch.setattr(running, "library", library)


def test_numpy_alone(monkeypatch, run, tmp_path):
    missing = {name: BackendNotInstalledError(f"no {name}") for name in registry.BUILTIN if name != "numpy"}
    pretend(monkeypatch, missing)
    found = running.measure(Options(only=("forward",), match="LeNet 6->16"))
    jsonschema.validate(found, SCHEMA)
    assert found["reference"] == "NumPy"
    (tmp_path / "a.json").write_text(json.dumps(found))
    code, out, err = run("bench", "--from", tmp_path / "a.json", "--plot", tmp_path / "a.svg")
    assert code == 2
    assert err == "convbridge: --plot draws ratios, and this run compared nothing: only one library was measured\n"
    assert not (tmp_path / "a.svg").exists()
    words = " ".join(out.split())
    assert "There is nothing to compare with: NumPy alone was measured." in words
    assert f"torch is missing: {registry.spec('torch').install_hint}" in words
    assert re.search(r"b1 LeNet 6->16 @14 5x5 +NumPy +[\d.]+ ms", out)
    assert "NumPy again" in out


def test_a_broken_backend_is_named_and_the_others_run(monkeypatch, run, tmp_path):
    pretend(monkeypatch, {name: BackendBrokenError(f"no lib{name}.so") for name in ("tensorflow", "mxnet")})
    found = running.measure(Options(only=("memory",), match="LeNet 6->16"))
    assert {row["name"]: row["state"] for row in found["libraries"]}["mxnet"] == "broken"
    (tmp_path / "a.json").write_text(json.dumps(found))
    code, out, _ = run("bench", "--from", tmp_path / "a.json")
    assert code == 2
    assert "tensorflow is broken: no libtensorflow.so" in out


def test_a_backend_that_was_asked_for_and_does_not_load_fails_the_run(monkeypatch):
    pretend(monkeypatch, {"numpy": BackendBrokenError("no libnumpy.so")})
    with pytest.raises(BackendBrokenError):
        running.measure(Options(only=("memory",), backends=("numpy",), match="LeNet 6->16"))


def test_what_goes_wrong_in_the_process_that_measures_is_reported(capfd):
    with pytest.raises(RunError, match="must be 'exact' or 'fast'"):
        running.start(Options(only=("import",), backends=("numpy",), precision="huge"))
    with pytest.raises(RunError, match="ended with exit code 1"):
        running.start(Options(only=("import",), backends=("no such",)))
    assert "Traceback" in capfd.readouterr().err


# --------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "forward,backward"], "--only must be some of forward, unseen"),
        (["--only", ","], "--only must be some of forward"),
        (["--backends", "huge"], "must be one of numpy"),
        (["--backends", ","], "--backends must name at least one of numpy"),
        (["--precision", "huge"], "--precision must be one of exact, fast. Received: huge"),
        (["--facade", "--layer"], "--facade and --layer cannot be used together"),
        (["--rounds", "0"], "Invalid value for '--rounds'"),
        (["--match", "LeNet-5"], "--match must be in the name of a case of these tables. Received: LeNet-5"),
        (["--only", "dispatch", "--plot", "a.svg"], "--plot draws ratios: --only must name one of forward"),
        (["--json", "no/such/folder/a.json"], "there is no such directory"),
        (["--from", "missing.json"], "missing.json: No such file or directory"),
        (["--from", "other.json"], "other.json: must be a file that convbridge bench --json wrote"),
        (["--from", "text.json"], "text.json: must be a file that convbridge bench --json wrote"),
    ],
)
def test_bad_options(fails, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running.subprocess, "run", None)  # nothing may be started
    (tmp_path / "other.json").write_text('{"format": "something else"}')
    (tmp_path / "text.json").write_text("[1,")
    assert message in fails(*arguments)


def test_what_runs_without_being_named():
    assert Options().tables() == tuple(name for name in TABLES if name not in NOT_QUICK)
    assert Options(full=True).tables() == tuple(TABLES)
    assert Options(only=("dispatch", "forward")).tables() == ("forward", "dispatch")


def test_help_fits_and_names_every_table(run):
    code, out, err = run("bench", "--help")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    for name in TABLES:
        assert re.search(rf"\b{name}\b", out.split("Options:")[0])


# --------------------------------------------------------------------------- what is shown


def case(family, name, failed=(), **seconds):
    seconds["PyTorch again"] = seconds["PyTorch"]
    return {"family": family, "name": name, "seconds": seconds, "failed": dict(failed)}


def made_up():
    """Return a run whose ratios are known."""
    forward = [
        case("1x1", "b1 VGG-16 64->64 @56 1x1", PyTorch=[1.0, 2.0], NumPy=[2.0, 2.0], MXNet=[4.0, 6.0]),
        case("3x3 s1", "b8 MobileNet 1024->1024 @7 3x3 p1 g1024", PyTorch=[0.001] * 2, NumPy=[0.5, 0.9]),
        case("1x1", "b8 VGG-16 64->64 @56 1x1", [("MXNet", "Error: no")], PyTorch=[2.0, 2.0], NumPy=[1.0, 1.0]),
    ]
    image = case("any kernel", "1080x1920 3x3", PyTorch=[1.0], NumPy=[0.25], SciPy=[2.0], TensorFlow=[1.0], MXNet=[8.0])
    again, readings = {"PyTorch again": 2.1}, [2**30] * (memory.READINGS + 1)
    libraries = [("numpy", "NumPy", "measured"), ("torch", "PyTorch", "measured"), ("mxnet", "MXNet", "measured")]
    return {
        "format": running.FORMAT,
        "machine": {
            "processor": "A <CPU> & more",
            "vectors": "avx2",
            "cpus": 2,
            "system": "Linux",
            "load": [0.5],
        },
        "versions": {"Python": "3.11.7", "NumPy": "2.4.0", "PyTorch": "2.13.0+cpu", "MXNet": "1.9.1"},
        "conditions": {
            **{"run": "quick", "passes": 1, "rounds": 2, "clock": "wall", "precision": "exact"},
            **{"call": "operator", "threads": 1, "heap": "fixed"},
        },
        "libraries": [{"name": name, "label": label, "state": state, "note": ""} for name, label, state in libraries]
        + [{"name": "tensorflow", "label": "tensorflow", "state": "missing", "note": "pip install 'convbridge[x]'"}],
        "reference": "PyTorch",
        "tables": [
            {"name": "forward", "title": "layers", "of": 90, "cases": forward},
            {"name": "filter", "title": "one image", "of": 1, "cases": [image]},
        ],
        "stacks": [{"network": "ResNet-50", "batch": 8, "seconds": {**again, "PyTorch": 2.0, "NumPy": 3.0}}],
        "memory": [{"name": name, "extra": mib * 2**20, "allowed": 2**23} for name, mib in (("b1 x", 1), ("b2 x", 4))],
        "growth": [{"backend": "tensorflow", "kind": "shapes", "count": 2000, "bytes": readings}],
        "seconds": 1.0,
    }


def test_the_text_of_a_run():
    jsonschema.validate(made_up(), SCHEMA)
    lines = list(tables.lines(made_up(), verbose=True))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert lines[0] == "A <CPU> & more, avx2, 2 CPUs, Linux, load 0.5"
    assert "tensorflow is missing: pip install 'convbridge[x]'" in lines
    assert "forward: layers (3 of 90 cases)" in lines
    assert "filter: one image" in lines
    assert "1x1                2    1.00    4.00           1.00" in text  # 2 and 1/2; MXNet has one of them
    assert "3x3 s1             1     500       -           1.00" in text
    assert "all                3    7.94    4.00           1.00" in text
    assert "  least                 0.50    4.00           1.00" in text
    assert "  median                2.00    4.00           1.00" in text
    assert "  largest                500    4.00           1.00" in text
    assert "NumPy's largest: b8 MobileNet 1024->1024 @7 3x3 p1 g1024" in lines
    assert "MXNet could not compute 1 of 3: Error: no" in lines
    assert "ResNet-50 b8    2000    1.50       -           1.05" in text
    assert re.search(r"NumPy +2\.00 \(1\.00 1\.50 2\.00\)", text)  # the least, the median, the largest of a round
    assert [line for line in lines if line.endswith(":")] == ["1x1:", "3x3 s1:", "any kernel:"]
    assert text.index("b2 x") < text.index("b1 x")
    assert re.search(r"tensorflow 2000 shapes +(1024\.0 *){5} \+0\.00 +\+0\.000 kB", text)


def test_the_text_names_cases_only_when_asked():
    lines = list(tables.lines(made_up()))
    assert not any("VGG" in line for line in lines)


def elements(svg, tag):
    return list(ET.fromstring(svg).iter(SVG + tag))


def test_the_plot_stands_alone_and_every_row_has_a_name():
    svg = plot.render(made_up())
    root = ET.fromstring(svg)
    ids = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    assert root.get("aria-labelledby") == "title description"
    assert ids["title"] == "convbridge bench: time beside PyTorch's"
    assert "A <CPU> & more" in ids["description"]
    rows = [element for element in root.iter(SVG + "g") if element.get("role") == "img"]
    named = [row.get("aria-label") for row in rows]
    assert named == [
        # the overview: geometric means of the fastest samples
        "1×1 (2): NumPy 1.00, from 0.50 to 2.00; MXNet 4.00, from 4.00 to 4.00",
        "3×3 s1 (1): NumPy 500.00, from 500.00 to 500.00",
        "any kernel (1): NumPy 0.25, from 0.25 to 0.25; SciPy 2.00, from 2.00 to 2.00; "
        "TensorFlow 1.00, from 1.00 to 1.00; MXNet 8.00, from 8.00 to 8.00",
        # the cases, families together: medians of the rounds
        "b1 VGG-16 64→64 @56 1×1: NumPy 1.50, from 1.00 to 2.00; MXNet 3.50, from 3.00 to 4.00",
        "b8 VGG-16 64→64 @56 1×1: NumPy 0.50, from 0.50 to 0.50",
        "b8 MobileNet 1024→1024 @7 3×3 p1 g1024: NumPy 700.00, from 500.00 to 900.00",
        named[2].replace("any kernel (1)", "1080×1920 3×3"),
    ]
    assert all(row.find(SVG + "title").text == label for row, label in zip(rows, named))
    assert "prefers-color-scheme: dark" in svg
    assert not re.search(r"(?:href|src)=|url\(|@import|<script", svg)
    assert svg.count("http") == 1  # the namespace


def test_the_axis_is_logarithmic_and_its_one_is_where_equals_lie():
    svg = plot.render(made_up())
    ones = {float(line.get("x1")) for line in elements(svg, "line") if line.get("class") == "one"}
    assert len(ones) == 1
    scale = plot._Scale(0.25, 8.0)
    assert scale.x(1) - scale.x(0.5) == pytest.approx(scale.x(2) - scale.x(1))
    assert (scale.x(0.01), scale.x(100)) == (plot.LEFT, plot.RIGHT)
    assert scale.ticks() == pytest.approx([0.5, 1, 2, 5])
    assert plot._Scale(0.5, 2.0).ticks() == pytest.approx([0.5, 0.7, 1, 1.5, 2])


def test_a_whisker_beyond_the_axis_has_an_arrow():
    scale = plot._Scale(0.5, 2.0)
    arrow = re.compile(r"l-?4 3")
    assert len(arrow.findall(plot._whisker(scale, 0.6, 1.9, 0))) == 0
    assert len(arrow.findall(plot._whisker(scale, 0.1, 1.9, 0))) == 1
    assert len(arrow.findall(plot._whisker(scale, 0.1, 9.0, 0))) == 2


def test_the_band_is_the_controls_spread():
    document = made_up()
    document["tables"][0]["cases"][0]["seconds"]["PyTorch again"] = [1.5, 3.0]
    assert plot._panel(document["tables"][0], "PyTorch").band == (1.0, 1.5)


def test_the_plot_from_a_file(run, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(made_up()))
    code, out, err = run("bench", "--from", tmp_path / "a.json", "--plot", tmp_path / "a.svg")
    assert (code, err) == (0, f"convbridge: the plot is in {tmp_path / 'a.svg'}\n")
    assert out.startswith("A <CPU>")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == plot.render(made_up())
