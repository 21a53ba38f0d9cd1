"""The test vectors of the ONNX standard, from the ``onnx`` package itself, on every backend.

Three of the package's sets are read when the tests run: "node", which its
authors wrote or generate, and two that were exported from PyTorch. Of their
vectors for Conv and the poolings each is either in :data:`SELECTED` or, with
the reason, in :data:`EXCLUDED`.

convbridge and ONNX agree on all that the vectors ask: SAME_UPPER and SAME_LOWER
are "same_upper" and "same_lower"; ceil mode is PyTorch's in both. ONNX leaves
padding out of an average unless it is told otherwise, convbridge counts it, so
the flag is always passed. One thing differs, and no vector asks for it: where
the last window of an average sticks out by two or more, the reference evaluator
of onnx 1.23 moves all windows towards the beginning by half of that, which
neither the text of the standard nor PyTorch does.

The vectors hold float32, computed by others in another order; so both sides are
allowed the rounding bound of float32, and maxima and whole numbers nothing. One
vector was written down with four decimals, input and output, from numbers that
had more; it is allowed what half of the last decimal can do.
"""

from __future__ import annotations

import pathlib
import warnings
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

import convbridge
from convbridge.parity import bounds, oracle, second_oracle

onnx = pytest.importorskip("onnx", reason="the vectors are read from the onnx package, which is not installed")


def _names(prefix, rest):
    return [prefix + name for name in rest.split()]


SELECTED = {
    "node": [
        *_names("test_basic_conv_", "with_padding without_padding"),
        *_names("test_conv_with_", "strides_padding strides_no_padding strides_and_asymmetric_padding autopad_same"),
        *_names("test_maxpool_2d_", "default pads strides same_upper same_lower dilations ceil"),
        *_names("test_maxpool_2d_", "ceil_output_size_reduce_by_one"),
        *_names("test_maxpool_2d_precomputed_", "pads strides same_upper"),
        *_names("test_averagepool_2d_", "default pads pads_count_include_pad strides same_upper same_lower"),
        *_names("test_averagepool_2d_", "dilations ceil ceil_last_window_starts_on_pad"),
        *_names("test_averagepool_2d_precomputed_", "pads pads_count_include_pad strides same_upper"),
        *_names("test_global", "averagepool averagepool_precomputed maxpool maxpool_precomputed"),
    ],
    "pytorch-converted": [
        *_names("test_Conv2d", "_depthwise _depthwise_padded _depthwise_strided _depthwise_with_multiplier _dilated"),
        *_names("test_Conv2d", "_groups _groups_thnn _no_bias _padding _strided"),
        *_names("test_", "Conv2d MaxPool2d MaxPool2d_stride_padding_dilation AvgPool2d AvgPool2d_stride"),
    ],
    "pytorch-operator": ["test_operator_conv"],
}
#: With how many decimals a vector was written down, where its output is not that of its input.
DECIMALS = {"test_averagepool_2d_ceil_last_window_starts_on_pad": 4}

ONE, THREE = "one spatial axis; convbridge has two", "three spatial axes; convbridge has two"
INDICES = "asks for the places of the maxima, which convbridge does not return"
EXCLUDED = {
    "node": {
        "test_maxpool_2d_uint8": "maxima of integers as integers; convbridge computes integers as float32",
        **dict.fromkeys(_names("test_maxpool_with_argmax_2d_precomputed_", "pads strides"), INDICES),
        **dict.fromkeys(["test_maxpool_1d_default", "test_averagepool_1d_default"], ONE),
        **dict.fromkeys(_names("test_maxpool_3d_", "default dilations dilations_use_ref_impl"), THREE),
        **dict.fromkeys(_names("test_maxpool_3d_", "dilations_use_ref_impl_large"), THREE),
        **dict.fromkeys(_names("test_averagepool_3d_", "default dilations_small"), THREE),
        **{
            f"test_averagepool_3d_dilations_large_count_include_pad_is_{counted}_ceil_mode_is_{ceil}": THREE
            for counted in (0, 1)
            for ceil in (True, False)
        },
    },
    "pytorch-converted": {
        **dict.fromkeys(_names("test_Conv1d", "_dilated _groups _pad1 _pad1size1 _pad2 _pad2size1 _stride"), ONE),
        **dict.fromkeys(_names("test_MaxPool1d", "_stride _stride_padding_dilation"), ONE),
        **dict.fromkeys(_names("test_", "Conv1d MaxPool1d AvgPool1d AvgPool1d_stride"), ONE),
        **dict.fromkeys(_names("test_Conv3d", "_dilated _dilated_strided _groups _no_bias _stride"), THREE),
        **dict.fromkeys(_names("test_", "Conv3d Conv3d_stride_padding MaxPool3d MaxPool3d_stride AvgPool3d"), THREE),
        **dict.fromkeys(_names("test_", "MaxPool3d_stride_padding AvgPool3d_stride"), THREE),
        "test_AvgPool3d_stride1_pad0_gpu_input": THREE,
    },
    "pytorch-operator": {"test_operator_maxpool": ONE},
}
NAMES = [(kind, name) for kind, names in SELECTED.items() for name in names]
OPERATORS = {"Conv", "MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"}


class Vector(NamedTuple):
    """One node, what goes in and what must come out."""

    operator: str
    attributes: dict
    inputs: list
    output: np.ndarray


@cache
def _vectors(kind):
    """Read all vectors of a set that have one of the operators: name to test case and model."""
    from onnx.backend.test.loader import load_model_tests

    state = np.random.get_state()  # noqa: NPY002  (the package seeds and draws from it)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operators that are not looked at here
        cases = load_model_tests(kind=kind)
    np.random.set_state(state)  # noqa: NPY002
    found = {}
    for case in cases:
        model = case.model or onnx.load(pathlib.Path(case.model_dir) / "model.onnx")
        # an expanded vector is one of another operator, written with these
        if OPERATORS & {node.op_type for node in model.graph.node} and "_expanded" not in case.name:
            found[case.name] = case, model
    return found


def _numbers(path):
    return onnx.numpy_helper.to_array(onnx.load_tensor(path))


def _vector(kind, name):
    case, model = _vectors(kind)[name]
    (node,) = model.graph.node
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if case.data_sets:
        ((inputs, (output,)),) = case.data_sets
    else:
        folder = pathlib.Path(case.model_dir)
        (folder,) = folder.glob("test_data_set_*")
        weights = [onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer]
        inputs, output = [_numbers(folder / "input_0.pb"), *weights], _numbers(folder / "output_0.pb")
    return Vector(node.op_type, attributes, list(inputs), output)


def _padding(attributes):
    """Translate; ONNX writes the beginnings of all axes, then the ends."""
    word = attributes.get("auto_pad", b"NOTSET").decode()
    if word != "NOTSET":
        return word.lower()
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    return ((top, bottom), (left, right))


def _call(vector):
    """Write a vector as a call: the function's name, its arguments, its keywords."""
    attributes = vector.attributes
    keywords = {
        "stride": attributes.get("strides", 1),
        "dilation": attributes.get("dilations", 1),
        "padding": _padding(attributes),
    }
    if vector.operator == "Conv":
        return "conv2d", vector.inputs, {**keywords, "groups": attributes.get("group", 1)}
    (X,) = vector.inputs
    mode = "max" if "Max" in vector.operator else "avg"
    if vector.operator.startswith("Global"):
        return "pool2d", [X, X.shape[2:], mode], {}
    keywords["ceil_mode"] = bool(attributes.get("ceil_mode", 0))
    keywords["count_include_pad"] = bool(attributes.get("count_include_pad", 0))
    return "pool2d", [X, attributes["kernel_shape"], mode], keywords


def _judge(name, vector, result, arguments, keywords):
    """Compare; what needs no rounding gets none."""
    if name in DECIMALS:  # each pixel may be off by half of the last decimal, and the average of them too
        half = 0.5 * 10.0 ** -DECIMALS[name]
        written = [np.full_like(arguments[0], half), *arguments[1:]]
        allowed = (
            half + oracle.pool2d(*written, **keywords) + bounds.pool2d_bound(*arguments, dtype="float32", **keywords)
        )
    elif any((array != np.rint(array)).any() for array in vector.inputs):
        bound = bounds.conv2d_bound if vector.operator == "Conv" else bounds.pool2d_bound
        allowed = 2 * bound(*arguments, dtype="float32", **keywords)  # 0 for maxima
    else:  # sums of small integers, and averages of them, which are one division
        allowed = 0.0
    return bounds.judge(result, vector.output, allowed)


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=[name for _, name in NAMES])
def test_onnx_vector(backend, kind, name):
    vector = _vector(kind, name)
    assert {array.dtype.name for array in (*vector.inputs, vector.output)} == {"float32"}
    function, arguments, keywords = _call(vector)
    result = convbridge.to_numpy(getattr(convbridge, function)(*arguments, **keywords, backend=backend))
    verdict = _judge(name, vector, result, arguments, keywords)
    assert verdict.kind in ("equal", "rounding"), verdict


@pytest.mark.parametrize("module", [oracle, second_oracle], ids=["first", "second"])
def test_the_oracles_pass_too(module):
    for kind, name in NAMES:
        vector = _vector(kind, name)
        function, arguments, keywords = _call(vector)
        result = getattr(module, function)(*arguments, **keywords).astype(np.float32)
        assert _judge(name, vector, result, arguments, keywords).kind in ("equal", "rounding"), name


def test_every_vector_is_selected_or_excluded_with_a_reason():
    for kind, names in SELECTED.items():
        assert set(names).isdisjoint(EXCLUDED[kind])
        assert set(names) | set(EXCLUDED[kind]) == set(_vectors(kind))
        assert all(EXCLUDED[kind].values())
    assert len(set(NAMES)) == 50
    operators = [_vector(*name).operator for name in NAMES]
    assert set(operators) == OPERATORS
    exact = [name for name in NAMES if all((array == np.rint(array)).all() for array in _vector(*name).inputs)]
    assert len(exact) >= 18


# --------------------------------------------------------------------------- the vectors see mistakes


def _replaced(name, change):
    """Build a misreading of one attribute, where a vector has it."""

    def misread(attributes):
        return {**attributes, name: change(attributes[name])} if name in attributes else attributes

    return misread


#: How a translation of the attributes could go wrong.
MISREADINGS = {
    "height and width swapped": _replaced("pads", lambda pads: [pads[i] for i in (1, 0, 3, 2)]),
    "pairs of sides": _replaced("pads", lambda pads: [pads[i] for i in (0, 2, 1, 3)]),
    "SAME_UPPER for SAME_LOWER": _replaced("auto_pad", lambda word: b"SAME_UPPER"),
    "SAME_LOWER for SAME_UPPER": _replaced("auto_pad", lambda word: b"SAME_LOWER"),
    "padding always counted": lambda attributes: {**attributes, "count_include_pad": 1},
    "padding never counted": _replaced("count_include_pad", lambda flag: 0),
    "ceil mode forgotten": _replaced("ceil_mode", lambda flag: 0),
    "strides forgotten": _replaced("strides", lambda strides: [1, 1]),
    "dilations forgotten": _replaced("dilations", lambda dilations: [1, 1]),
}


def _wrong(misread):
    """Count the vectors that fail under a misreading, by numbers or by a refusal."""
    count = 0
    for name in SELECTED["node"]:
        vector = _vector("node", name)
        function, arguments, keywords = _call(vector._replace(attributes=misread(vector.attributes)))
        try:
            result = getattr(convbridge, function)(*arguments, **keywords, backend="numpy")
            verdict = _judge(name, vector, result, *_call(vector)[1:])
            count += verdict.kind == "REAL DIFFERENCE"
        except convbridge.ConvbridgeError:
            count += 1
    return count


@pytest.mark.parametrize("misreading", MISREADINGS)
def test_a_misreading_fails(misreading):
    assert _wrong(MISREADINGS[misreading]) > 0


def test_the_right_reading_does_not():
    assert _wrong(lambda attributes: attributes) == 0
