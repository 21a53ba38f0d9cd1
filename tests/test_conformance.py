"""The conformance of backends: that right ones pass, and that every check catches what it is for.

The wrong backends are copies of the SciPy backend in ``examples/third_party_backend``, each with one deliberate fault.
"""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

import pytest

from convbridge.errors import ArgumentError, BackendNotInstalledError, UnknownBackendError
from convbridge.parity import conformance, contract
from convbridge.parity.conformance import CHECKS, run_check, run_conformance
from convbridge.parity.matrix import run_matrix
from convbridge.parity.results import row_of

EXAMPLE = Path(__file__).parent.parent / "examples" / "third_party_backend" / "convbridge_scipy"

_numbers = count()


@pytest.fixture
def variant(tmp_path, register, findable):
    """Register a copy of the SciPy backend in which texts are replaced: triples of file, old text, new text."""

    def make(*changes):
        package = f"variant{next(_numbers)}"
        root = tmp_path / package
        root.mkdir()
        texts = {file.name: file.read_text(encoding="utf-8") for file in EXAMPLE.glob("*.py")}
        for file, old, new in changes:
            assert old in texts[file], f"{file} has no {old!r}"
            texts[file] = texts[file].replace(old, new)
        for name, text in texts.items():
            text = text.replace("convbridge_scipy", package).replace('aliases=("sp"', f'aliases=("{package}x"')
            for word in ("name", "backend"):
                text = text.replace(f'{word}="scipy"', f'{word}="{package}"')
            (root / name).write_text(text, encoding="utf-8")
        register(tmp_path, package, package)
        findable(tmp_path)
        return package

    return make


def problems(backend, section, check):
    return "\n".join(run_check(backend, section, check))


# --------------------------------------------------------------------------- right backends


@pytest.mark.parametrize("section", ["names", "gaps", "layers"])  # the laws have a file of tests of their own
def test_backends_pass_every_check(backend, section):
    for check in CHECKS[section]:
        assert run_check(backend, section, check) == [], check


def test_a_right_third_party_conforms_and_the_report_says_what_was_done(variant):
    name = variant()
    seen = []
    result = run_conformance(name, cases=60, progress=lambda done, total: seen.append((done, total)))
    assert result.conforms, str(result)
    assert result.checks == sum(map(len, CHECKS.values()))
    assert set(result.matrix.cases) >= {"conv2d/1x1/NCHW/float32/whole", "random:0:39", "gradient:0:19"}
    assert len(seen) == len(result.matrix.cases) + result.checks
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]
    text = str(result)
    assert re.match(rf"{name} \(scipy [0-9.]+\) conforms: 0 problems", text)
    assert "0 REAL DIFFERENCE, 0 crashed" in text
    assert "SciPy's filters have no half precision" in text


def test_what_cannot_be_checked_is_an_error(install):
    install("absent", framework="no_such_framework")
    with pytest.raises(UnknownBackendError):
        run_conformance("nobody")
    with pytest.raises(BackendNotInstalledError, match="no_such_framework"):
        run_conformance("absent")
    with pytest.raises(ArgumentError, match="cases must be at least 0"):
        run_conformance("numpy", cases=-1)


# --------------------------------------------------------------------------- names and signatures come first


def test_every_wrong_name_is_listed_and_nothing_else_is_run(variant):
    name = variant(
        ("ops.py", "def max_pool2d(X: Array, ", "def max_pool2d(image: Array, "),
        ("ops.py", "def avg_pool2d_vjp(", "def average_vjp("),
        ("ops.py", "    groups: int,\n    data_format: str,\n) -> Array:", "    data_format: str,\n) -> Array:"),
        ("layers.py", "self, config: Conv2DConfig, weight: Array, bias", "self, weight: Array, config: Any, bias"),
        ("layers.py", "class MaxPool2D:", "MaxPool2D = print\n\n\nclass Maximum:"),
        ("layers.py", "class AvgPool2D(MaxPool2D):", "class AvgPool2D(Maximum):"),
        ("chapter.py", "class Conv2D:", "del pool2d\n\n\nclass Conv2D:"),
    )
    result = run_conformance(name, cases=0)
    assert not result.conforms
    assert result.matrix is None
    text = str(result)
    for piece in (
        "does not conform: 7 problems",
        "ops.max_pool2d must have the parameters (X, pool_size, *, stride, padding, dilation, data_format), "
        "not (image, pool_size, *, stride, padding, dilation, data_format).",
        "ops.avg_pool2d_vjp must be a function. Received: avg_pool2d_vjp=None",
        "padding, dilation, groups, data_format), not (X, weight, bias, *, stride, padding, dilation, data_format).",
        "layers.Conv2D must have the parameters (config, weight, bias), not (weight, config, bias).",
        "layers.MaxPool2D must be a class. Received: MaxPool2D=<built-in function print>",
        "chapter.pool2d must be a function",
        "SPEC.layer_types names 'variant",
        "the matrix was not run",
    ):
        assert piece in text, piece
    assert len(result.problems) == 7


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("array_types=()", 'array_types=("numpy.ndarray",)', "SPEC.array_types must be a tuple of texts of the form"),
        ('aliases=("sp",)', 'aliases=["sp"]', "SPEC.aliases must be a tuple of texts"),
        ('aliases=("sp",)', 'aliases=("np",)', "SPEC.aliases holds 'np', which already means 'numpy'"),
        ('install_hint="pip install scipy"', 'install_hint=""', "SPEC.install_hint must be a text that is not empty"),
        ("[float16]", "[half]", "a gap must be one of asarray, conv2d, max_pool2d, avg_pool2d"),
        ("}[bfloat16]", "}[bfloat16", "Received: gap='conv2d[bfloat16'"),
        ('"avg_pool2d")', '"avg_pool2d", "conv2d_vjp")', "Received: gap='conv2d_vjp[float16]'"),
        ('_NO_HALF = "', '_NO_HALF = " "\n_OLD = "', "must be a reason in words"),
        ("    unsupported={", "    max_elements=0,\n    unsupported={", "SPEC.max_elements must be a positive integer"),
    ],
)
def test_a_wrong_description_is_told(variant, old, new, message):
    assert message in problems(variant(("__init__.py", old, new)), "names", "SPEC")


def test_a_description_of_another_type_is_told(variant):
    other = "from types import SimpleNamespace\n\nSPEC = SimpleNamespace("
    name = variant(("__init__.py", "SPEC = BackendSpec(", other))
    assert problems(name, "names", "SPEC").startswith("SPEC must be a convbridge.protocol.BackendSpec. Received: ")


def test_importing_the_framework_too_early_is_told(variant):
    name = variant(("__init__.py", "from convbridge", "import scipy\nfrom convbridge"))
    assert f"{name}/__init__.py must not import scipy" in problems(name, "names", "importing the package")


def test_a_backend_that_cannot_be_imported_is_one_problem(variant):
    result = run_conformance(variant(("ops.py", "import ndimage, signal", "import ndimage, no_such_filter")))
    assert [problem.check for problem in result.problems] == ["arrays.py"]
    assert "ImportError: cannot import name 'no_such_filter'" in str(result)


def test_classes_that_do_not_exist_are_told(variant):
    name = variant(("__init__.py", "array_types=()", 'array_types=("numpy:no_such_class",)'))
    found = problems(name, "names", "whose arrays")
    assert "SPEC.array_types names 'numpy:no_such_class', which is no class." in found
    assert "arrays.asarray returns a numpy.ndarray, which belongs to NumPy, to convbridge: SPEC.array_types" in found


def test_arrays_that_belong_to_nobody_are_told(variant):
    own = "\n\nclass Tensor:\n    pass\n\n\ndef asarray(obj, dtype=None, like=None):\n    return Tensor()\n"
    name = variant(("arrays.py", "import *  # noqa: F403\n", "import *  # noqa: F403\n" + own))
    assert "arrays.asarray returns what convbridge cannot tell from" in problems(name, "names", "whose arrays")


# --------------------------------------------------------------------------- the table of gaps


def test_a_gap_that_is_none_is_told(variant):
    name = variant(
        ("__init__.py", "    unsupported={", '    unsupported={\n        "max_pool2d[float64]": "Too slow.",')
    )
    found = run_check(name, "gaps", "gaps are real")
    assert len(found) == 1  # the others are real
    assert found[0].startswith("SPEC.unsupported['max_pool2d[float64]'] is no gap: the backend computed 8 such cases")


def test_a_gap_that_ends_the_process_is_believed_and_the_next_is_tried(variant):
    rows = '    unsupported={\n        "avg_pool2d[float64]": "Dies.",\n        "max_pool2d[float32]": "Slow.",'
    name = variant(
        ("__init__.py", "    unsupported={", rows),
        ("ops.py", "    averages: Array = ", "    __import__('os').abort()\n    averages: Array = "),
    )
    found = run_check(name, "gaps", "gaps are real")
    assert [text.partition(" is ")[0] for text in found] == ["SPEC.unsupported['max_pool2d[float32]']"]


def test_a_backend_that_refuses_everything_does_not_conform(variant):
    rows = '    unsupported={\n        **dict.fromkeys(_OPERATIONS, "No."),'
    name = variant(("__init__.py", "    unsupported={", rows))
    assert problems(name, "gaps", "something is left") == "SPEC.unsupported leaves no operation in float32."


@pytest.mark.parametrize("key", ["conv2d", "avg_pool2d[bfloat16]", "asarray[uint64]"])
def test_gaps_that_a_call_can_meet(key):
    operation, dtype = contract.gap_parts(key)
    assert key == operation + (f"[{dtype}]" if dtype else "")


@pytest.mark.parametrize("key", ["", "conv2d[]", "conv2d[float32", "conv2d[float32]x", "conv2d[uint8]", "corr2d", None])
def test_gaps_that_no_call_can_meet(key):
    with pytest.raises(ArgumentError, match="a gap must be one of"):
        contract.gap_parts(key)


# --------------------------------------------------------------------------- the matrix

#: A fault of ops.py (old text, new text), the row of the matrix that must show it, and in which words.
FAULTS = {
    "padding on the other side": (
        "    top, bottom, left, right = padding\n    return np.pad(",
        "    bottom, top, left, right = padding\n    return np.pad(",
        "conv2d native value float32",
        "elements differ",
    ),
    "a NaN lost": ("if not missing.any():", "if True:", "max_pool2d native value float32", "not nan"),
    "the last of equal maxima": (
        "(image, np.argmax, size)",
        "(image, lambda window: window.size - 1 - np.argmax(window[::-1]), size)",
        "max_pool2d native gradient float32",
        "elements differ",
    ),
    "a gradient scaled": ("data_format), dW, db", "data_format), dW * 1.01, db", "conv2d native gradient float64", ""),
    "float32 inside float64": (
        "signal.correlate2d(part, kernel, mode",
        "signal.correlate2d(part.astype('float32').astype(part.dtype), kernel, mode",
        "conv2d native value float64",
        "times the rounding bound",
    ),
    "another dtype": (
        "bias.reshape(-1, 1, 1)",
        "bias.reshape(-1, 1, 1).astype(float)",
        "conv2d native value float32",
        "returned float64, not float32",
    ),
    "a warning": (
        "    pooled = [",
        "    __import__('warnings').warn('slow')\n    pooled = [",
        "max_pool2d native value float64",
        "warned: UserWarning: slow",
    ),
    "its input changed": (
        "    averages: Array = ",
        "    X *= 2\n    averages: Array = ",
        "avg_pool2d native value float32",
        "changed its input X",
    ),
    "an error": (
        "    dX = np.zeros_like(image)\n",
        "    dX = image[0, 0, 0, 99]\n",
        "max_pool2d native gradient float32",
        "raised IndexError",
    ),
}


def cases_of(row):
    return [case for case in conformance.cases_of_conformance(0) if str(row_of(case)) == row]


@pytest.mark.parametrize("fault", FAULTS)
def test_the_matrix_finds_a_fault(variant, fault):
    old, new, row, words = FAULTS[fault]
    found = conformance.matrix_problems(run_matrix([variant(("ops.py", old, new))], cases=cases_of(row)))
    assert found
    assert {where for where, _ in found} == {row}
    assert any(words in text for _, text in found), found[:3]
    assert all("again: convbridge parity --only " in text for _, text in found)


def test_a_fault_is_in_the_report_and_costs_the_conformance(variant, monkeypatch):
    name = variant(("ops.py", "if not missing.any():", "if True:"))
    few = cases_of("max_pool2d native value float32")
    monkeypatch.setattr(conformance, "cases_of_conformance", lambda count, seed: few)
    result = run_conformance(name)
    assert not result.conforms
    assert {problem.section for problem in result.problems} == {"matrix"}
    shown = str(result).splitlines()
    assert shown[0].startswith(f"{name} (scipy ")
    assert "does not conform: " in shown[0]
    assert shown[1].startswith("  matrix, max_pool2d native ")
    assert sum(line.startswith("  matrix, ") for line in shown) == min(30, len(result.problems))


# --------------------------------------------------------------------------- laws and layers


def test_a_law_that_is_broken_is_told(variant):
    name = variant(("ops.py", "sums[n, o] + part if (n, o) in sums else part", "part"))
    found = problems(name, "laws", "channels add up")
    assert found.startswith("The results of the first channels and of the others add up to the result of all. Not so")
    assert problems(name, "laws", "two maxima are one") == ""


#: A fault of layers.py (old text, new text), the check that must find it, and in which words.
LAYER_FAULTS = {
    "other weights than the seed's": (
        "config, weight, bias\n",
        "config, weight + 1, bias\n",
        "weights from a seed",
        "the weight drawn from a seed is other numbers",
    ),
    "weights of another dtype": (
        "config, weight, bias\n",
        "config, weight.astype(float), bias\n",
        "weights from a seed",
        "float64 (1, 1, 3, 3), not float32 (1, 1, 3, 3)",
    ),
    "the weights themselves": (
        "[np.array(array) for",
        "[array for",
        "get_weights and set_weights",
        "must return copies",
    ),
    "weights not checked": (
        "checked = check_weights(self.config, weights)",
        "checked = [np.array(array) for array in weights]",
        "get_weights and set_weights",
        "must refuse arrays of a wrong number or shape",
    ),
    "half of the weights changed": (
        "checked = check_weights(self.config, weights)",
        "self.weight = np.array(weights[0])\n        checked = check_weights(self.config, weights)",
        "get_weights and set_weights",
        "must check all weights before it changes one",
    ),
    "a stride forgotten": (
        '("stride", "padding",',
        '("padding",',
        "Conv2D computes what conv2d computes",
        "than conv2d",
    ),
    "the other mode": (
        'mode = "avg"',
        'mode = "max"',
        "MaxPool2D and AvgPool2D compute what pool2d computes",
        "AvgPool2D, Pool2DConfig",
    ),
    "layouts mixed up": ('"NCHW") == "NHWC"', '"NCHW") == "none"', "comp_conv2d", "raised ShapeError"),
    "two channels let through": (
        "    check_one_channel(Y.shape, channels_last, layer)\n",
        "",
        "comp_conv2d",
        "must refuse a layer of two channels",
    ),
    "anything read as a layer": (
        '"""Say that there is nothing to read."""\n',
        '"""Say that there is nothing to read."""\n    return None, []\n',
        "layers of the framework itself",
        "must refuse what is no layer",
    ),
}


@pytest.mark.parametrize("fault", LAYER_FAULTS)
def test_a_fault_of_the_layers_is_told(variant, fault):
    old, new, check, words = LAYER_FAULTS[fault]
    assert words in problems(variant(("layers.py", old, new)), "layers", check)


def test_a_layer_that_nobody_knows_is_told(variant):
    name = variant(("__init__.py", '        "convbridge_scipy.layers:Conv2D",\n', ""))
    assert f"SPEC.layer_types must name {name}.layers:Conv2D" in problems(name, "layers", "weights from a seed")
