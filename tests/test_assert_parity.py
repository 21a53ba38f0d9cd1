"""Two callables of any two frameworks: what agrees, what does not, and the words for it."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest

import convbridge
from convbridge.errors import ArgumentError, ArgumentTypeError, UnknownBackendError, UnsupportedOperationError
from convbridge.parity import yardsticks
from convbridge.parity.differences import difference, neighbourhood
from convbridge.parity.tree import flatten
from convbridge.testing import ParityError, assert_parity

RNG = np.random.default_rng(7)
X = RNG.standard_normal((2, 3, 7, 6)).astype("float32")
K = RNG.standard_normal((4, 3, 3, 3)).astype("float32")
MATRIX = RNG.standard_normal((5, 8)).astype("float32")


def needs(*backends):
    """Skip a test unless these backends are tested in this run: then their frameworks are imported by now."""
    missing = [name for name in backends if convbridge.registry.spec(name).framework not in sys.modules]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not tested")


def message_of(*arguments, **keywords):
    with pytest.raises(ParityError) as caught:
        assert_parity(*arguments, **keywords)
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value, convbridge.ConvbridgeError)
    return str(caught.value)


def conv(backend, **keywords):
    return convbridge.Conv2D(3, 3, 4, seed=3, backend=backend, **keywords)


# --------------------------------------------------------------------------- known calls: the derived bound


def test_layers_of_every_backend_agree_with_numpy(backend):
    report = assert_parity(conv("numpy", stride=2, padding="same"), conv(backend, stride=2, padding="same"), X)
    assert [check.name for check in report.checks] == ["output"]
    assert report.checks[0].judgement.startswith("the derived bound, that of rounding: conv2d in float32")
    assert report.checks[0].shape == (2, 4, 4, 3)
    assert 0 <= report.fraction <= 1


def test_gradients_of_every_backend_agree_with_numpy(backend):
    report = assert_parity(conv("numpy", padding=1), conv(backend, padding=1), X, gradients=True)
    assert [check.name for check in report.checks] == ["output", "gradient of output with respect to inputs"]
    assert "conv2d_vjp in float32" in report.checks[1].judgement
    assert report.checks[1].shape == X.shape
    assert report.fraction <= 1


@pytest.mark.parametrize("mode", ["MaxPool2D", "AvgPool2D"])
def test_poolings_of_every_backend_agree_with_numpy(backend, mode):
    layers = [getattr(convbridge, mode)(3, stride=2, padding=1, ceil_mode=True, backend=b) for b in ("numpy", backend)]
    report = assert_parity(*layers, X, gradients=True)
    assert all("derived" in check.judgement and "pool2d" in check.judgement for check in report.checks)
    assert report.fraction <= 1


def test_a_native_layer_of_every_backend_is_known(backend):
    native = conv(backend, padding=1).to_native()
    report = assert_parity(conv("numpy", padding=1), native, X, backends=(None, backend))
    assert report.fraction <= 1
    wrong = message_of(conv("numpy", padding=2, stride=2), conv(backend, padding="same", stride=2), X)
    assert "likely cause: g is f's call, explained by: " in wrong


def test_partial_functions_are_known(backend):
    f, g = (partial(convbridge.conv2d, weight=K, padding=1, backend=b) for b in ("numpy", backend))
    assert "derived" in assert_parity(f, g, X).checks[0].judgement
    f, g = (partial(convbridge.pool2d, pool_size=2, mode="avg", backend=b) for b in ("numpy", backend))
    assert "derived" in assert_parity(f, g, X).checks[0].judgement


def test_the_cause_is_named_by_the_oracle(backend):
    f, g = (conv(b, stride=2, padding=word) for b, word in (("numpy", "same"), (backend, "same_lower")))
    message = message_of(f, g, X[..., :-1, :])
    assert message.startswith(f"f (numpy, Conv2D) and g ({backend}, Conv2D) differ in output: ")
    assert "likely cause: g is f's call, explained by: SAME_LOWER padding (largest difference left " in message


def test_the_wrong_one_of_two_known_calls_is_found():
    class Wrong(type(conv("numpy"))):
        def forward(self, X):
            return super().forward(X[..., ::-1, ::-1])[..., ::-1, ::-1].copy()

    good = conv("numpy")
    bad = Wrong(good.config, good.weight, good.bias)
    assert "likely cause: g is not what it should be, explained by: a flipped kernel" in message_of(good, bad, X)
    assert "likely cause: f is not what it should be, explained by: a flipped kernel" in message_of(bad, good, X)


def test_a_gradient_that_is_accumulated_twice_is_found():
    class Twice(type(conv("numpy"))):
        def backward(self, grad_output):
            return 2 * super().backward(grad_output)

    good = conv("numpy")
    message = message_of(good, Twice(good.config, good.weight, good.bias), X, gradients=True)
    assert "differ in gradient of output with respect to inputs: " in message
    assert "explained by: a gradient accumulated twice" in message


def test_images_with_channels_last(backend):
    first, last = conv("numpy", padding=1), conv(backend, padding=1, data_format="NHWC")
    report = assert_parity(first, last, X, layouts=("NCHW", "NHWC"), gradients=True)
    assert "derived" in report.checks[0].judgement
    assert report.checks[0].shape == (2, 4, 7, 6)
    wrong = conv(backend, padding=((0, 2), (1, 1)), data_format="NHWC")
    message = message_of(first, wrong, X, layouts=("NCHW", "NHWC"))
    assert "windows that start elsewhere: +1 rows and +0 columns off" in message


def test_what_is_too_large_for_the_oracle_is_measured(monkeypatch):
    monkeypatch.setattr(yardsticks, "MOST_PRODUCTS", 100)
    assert "statistical" in assert_parity(conv("numpy"), conv("numpy"), X).checks[0].judgement
    with pytest.raises(ArgumentError, match="bound='derived' must have two calls"):
        assert_parity(conv("numpy"), conv("numpy"), X, bound="derived")


# --------------------------------------------------------------------------- unknown calls: the measured bound


def dense(W):
    return lambda x: x @ W


def one_by_one(W):
    """Add products one by one, which rounds most."""
    return lambda x: np.cumsum(x[:, :, None] * W, axis=1, dtype=x.dtype)[:, -1]


@pytest.mark.parametrize("kind", ["normal", "positive", "spread"])
@pytest.mark.parametrize("terms", [1, 3, 30, 300, 3000, 20000])
def test_another_order_of_summation_is_within_the_measured_bound(terms, kind):
    rng = np.random.default_rng(terms)
    x, W = (rng.standard_normal(shape).astype("float32") for shape in ((4, terms), (terms, 8)))
    if kind == "positive":
        x, W = abs(x), abs(W)
    if kind == "spread":
        x *= (10.0 ** rng.uniform(-3, 3, x.shape)).astype("float32")
    report = assert_parity(dense(W), one_by_one(W), x)
    assert report.fraction < 0.8
    assert report.checks[0].judgement.startswith("the statistical bound: 256 times the error measured")


@pytest.mark.parametrize("terms", [3, 300, 20000])
@pytest.mark.parametrize("bits", [11, 8])
def test_lower_precision_is_beyond_the_measured_bound(terms, bits):
    def cut(array):
        mantissa, exponent = np.frexp(array)
        return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits).astype(array.dtype)

    rng = np.random.default_rng(terms)
    x, W = (rng.standard_normal(shape).astype("float32") for shape in ((4, terms), (terms, 8)))
    noisy = dense(cut(W))
    # whichever side it is on: the quieter one is asked how large errors are
    message_of(dense(W), lambda x: noisy(cut(x)), x)
    message_of(lambda x: noisy(cut(x)), dense(W), x)


def test_a_net_that_forgets_what_moved_still_has_a_bound():
    W = RNG.standard_normal((8, 40)).astype("float32")
    assert assert_parity(lambda x: np.sign(x) @ W, lambda x: one_by_one(W)(np.sign(x)), MATRIX).fraction <= 1


def test_elements_that_a_threshold_switches_off():
    W = RNG.standard_normal((8, 400)).astype("float32")
    assert (
        assert_parity(lambda x: np.maximum(x @ W, 0), lambda x: np.maximum(one_by_one(W)(x), 0), MATRIX).fraction <= 1
    )


def test_several_inputs_and_nested_outputs():
    def f(a, b):
        return {"sum": a + b, "parts": (a, [b, None])}

    def g(a, b):
        return {"parts": (a * 1, [b * 1]), "sum": b + a}

    report = assert_parity(f, g, (MATRIX, 2 * MATRIX))
    assert [check.name for check in report.checks] == ["output['sum']", "output['parts'][0]", "output['parts'][1][0]"]
    assert report.fraction == 0
    assert_parity(f, g, {"b": MATRIX, "a": 2 * MATRIX})
    message = message_of(f, lambda a, b: {"sum": a, "parts": (a, [b])}, [MATRIX, 2 * MATRIX])
    assert message.startswith("f (any framework, f) and g (any framework, <lambda>) differ in output['sum']: 40 of 40")


@needs("torch", "tensorflow")
def test_a_whole_net_of_two_frameworks():
    torch = convbridge.import_framework("torch")
    convbridge.import_framework("tensorflow")
    import keras

    torch.manual_seed(0)
    first = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2)),
        *(torch.nn.Flatten(), torch.nn.Linear(32, 10), torch.nn.Softmax(1)),
    ).eval()
    weights = [parameter.detach().numpy() for parameter in first.parameters()]
    layers = [keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.MaxPool2D(2)]
    layers += [keras.layers.Permute((3, 1, 2)), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    second = keras.Sequential([keras.Input((7, 6, 3)), *layers])
    second.set_weights([weights[0].transpose(2, 3, 1, 0), weights[1], weights[2].T, weights[3]])
    report = assert_parity(first, second, X, layouts=("NCHW", "NHWC"), gradients=True)
    assert all("statistical" in check.judgement for check in report.checks)
    assert report.fraction <= 1
    second.set_weights([weights[0].transpose(2, 3, 1, 0), weights[1], weights[2].T, weights[3] + 1e-3 * np.arange(10)])
    assert "differ in output: " in message_of(first, second, X, layouts=("NCHW", "NHWC"))


@needs("mxnet")
def test_a_gluon_block():
    mx = convbridge.import_framework("mxnet")
    block = mx.gluon.nn.Dense(4, in_units=8)
    with pytest.raises(ArgumentError, match=r"g must run on the inputs .* Parameter .* has not been initialized"):
        assert_parity(lambda x: x, block, MATRIX)
    block.initialize()
    W, b = block.weight.data().asnumpy(), block.bias.data().asnumpy()
    assert assert_parity(lambda x: x @ W.T + b, block, MATRIX).fraction <= 1
    assert assert_parity(block, block, MATRIX, gradients=True).fraction == 0


def test_methods_and_functions_of_a_named_framework(backend):
    layer = conv(backend)
    assert (
        "statistical"
        in assert_parity(layer.__call__, lambda x: layer(x), X, backends=(None, backend)).checks[0].judgement
    )


# --------------------------------------------------------------------------- what the message says


def test_the_whole_message():
    def g(x):
        y = x.copy()
        y[1, 2, 3, 4] += 0.5
        y[1, 2, 0, 0] = np.nan
        return y

    message = message_of(lambda x: x, g, np.arange(252, dtype="float64").reshape(2, 3, 7, 6), bound=0.25)
    assert message.splitlines() == [
        "f (any framework, <lambda>) and g (any framework, g) differ in output: 2 of 252 elements differ, all at "
        "index 1 of axis 0, the last and index 2 of axis 1, the last",
        "  judged by the given bound 0.25",
        "  first at (1, 2, 0, 0): 210.0 and nan, inf apart, inf times the bound 0.25",
        "  worst at (1, 2, 0, 0): 210.0 and nan, inf apart, inf times the bound 0.25",
        "  around [1, 2, 0, 0], that is [1, 2, 0:2, 0:3]",
        "    f            g",
        "    210 211 212  nan 211 212",
        "    216 217 218  216 217 218",
        "  no likely cause: g is not f in another order, scaled, shifted, or in fewer bits",
    ]


@pytest.mark.parametrize(
    ("g", "cause"),
    [
        (lambda x: 3 * x, "the same values, scaled: by 3"),
        (lambda x: x + 1, "a constant added"),
        (lambda x: x[:, ::-1], "the same values, flipped: along axis 1"),
        (lambda x: x + np.arange(8, dtype=x.dtype), "a constant added to each channel"),
        (lambda x: np.where(x == x.max(), np.nan, x), "NaN where none belongs, the rest right: all at index"),
        (lambda x: 0 * x, "nothing but zeros"),
        (
            lambda x: x.astype("float16").astype(x.dtype),
            "lower precision: the last bits of every number are zero: float16",
        ),
        (lambda x: np.concatenate([x[:, :1], x[:, :-1]], 1), "the same values, one element further: +1 along axis 1"),
    ],
)
def test_the_cause_is_read_off_the_numbers(g, cause):
    assert f"likely cause: g is f with {cause}" in message_of(lambda x: x, g, MATRIX)


def test_the_report_in_words():
    report = assert_parity(lambda x: x, lambda x: x + np.float32(2.0**-20), np.ones((2, 2), "float32"), bound=2.0**-19)
    assert str(report) == (
        "output (2, 2) float32: at most 9.5e-07 apart, 0.5 of the bound\njudged by the given bound 1.90735e-06"
    )
    assert str(assert_parity(np.negative, np.negative, MATRIX)).startswith("output (5, 8) float32: equal\njudged by ")


def test_shapes_and_structures_that_differ():
    assert "differ in what they return: output and output[0], output[1]" in message_of(
        lambda x: x, lambda x: (x, x), MATRIX
    )
    message = message_of(lambda x: x, lambda x: x.transpose(0, 2, 3, 1), X)
    assert "differ in the shape of output: (2, 3, 7, 6) and (2, 7, 6, 3)" in message
    assert 'layouts=("NCHW", "NHWC")' in message
    assert "likely cause: g is f's call, explained by: stride ignored" in message_of(
        conv("numpy", stride=2), conv("numpy"), X
    )


def test_dtypes_that_differ():
    def wide(x):
        return x.astype("float64")

    message = message_of(lambda x: x, wide, MATRIX)
    assert "differ in the dtype of output: float32 and float64 (check_dtype=False ignores that)" in message
    assert assert_parity(lambda x: x, wide, MATRIX, check_dtype=False).fraction == 0
    W = RNG.standard_normal((8, 300))
    single = W.astype("float32")
    report = assert_parity(lambda x: x @ single, lambda x: x.astype("float64") @ single, MATRIX, check_dtype=False)
    assert 0 < report.fraction <= 1


# --------------------------------------------------------------------------- bounds that are given


def test_a_number_of_roundings():
    x, W = np.ones((1, 1000), "float32"), np.full((1000, 1), 0.1, "float32")
    report = assert_parity(dense(W), one_by_one(W), x, ops=1000)
    assert "1000 roundings on each side" in report.checks[0].judgement
    assert 0 < report.fraction <= 1
    message_of(dense(W), one_by_one(W), x, ops=2)


def test_a_bound_for_each_element():
    bound = np.zeros((5, 8))
    bound[2] = 1.0

    def g(x):
        y = x.copy()
        y[2] += 0.5
        return y

    assert assert_parity(lambda x: x, g, MATRIX, bound=bound).fraction == pytest.approx(0.5, rel=1e-6)
    message_of(lambda x: x, g, MATRIX, bound=np.roll(bound, 1, axis=0))
    message_of(lambda x: x, g, MATRIX, bound=0)


def test_a_seed_gives_the_same_numbers_again():
    W = RNG.standard_normal((8, 300)).astype("float32")
    again = [assert_parity(dense(W), one_by_one(W), MATRIX, seed=seed).fraction for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


# --------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"f": 3}, ArgumentTypeError, "f must be callable"),
        ({"inputs": "text"}, ArgumentTypeError, "inputs must hold real numbers"),
        ({"inputs": [np.ones(2), [[1], [1, 2]]]}, ArgumentError, r"inputs\[1\] must be a rectangular array"),
        ({"inputs": np.arange(3)}, ArgumentError, "inputs must hold floats that can be moved"),
        ({"backends": "torch"}, ArgumentError, "backends must be a pair"),
        ({"backends": ("nonsense", None)}, UnknownBackendError, "nonsense"),
        ({"layouts": ("NCHW", "CHWN")}, ArgumentError, "layouts must be"),
        ({"layouts": "NHWC"}, ArgumentError, "layouts must be a pair"),
        ({"bound": "loose"}, ArgumentError, "bound must be"),
        ({"bound": -1.0}, ArgumentError, "bound must be"),
        ({"bound": np.ones(7)}, ArgumentError, "bound must be"),
        ({"bound": {}}, ArgumentError, "bound must be"),
        ({"bound": "derived"}, ArgumentError, "two calls that convbridge can read"),
        ({"bound": 1.0, "ops": 3}, ArgumentError, "ops must not be given beside bound"),
        ({"ops": 0}, ArgumentError, "ops"),
        ({"seed": -1}, ArgumentError, "seed"),
        ({"g": lambda x: None}, ArgumentError, "g must return at least one array"),
        ({"g": lambda x: "text"}, ArgumentError, "g must return arrays"),
        ({"g": lambda: 0}, ArgumentError, "g must run on the inputs"),
        ({"gradients": True}, ArgumentError, "f must belong to a framework that differentiates"),
    ],
)
def test_bad_arguments(keywords, error, message):
    asked = {"f": lambda x: x, "g": lambda x: x, "inputs": MATRIX, **keywords}
    with pytest.raises(error, match=message) as caught:
        assert_parity(asked.pop("f"), asked.pop("g"), asked.pop("inputs"), **asked)
    assert "Received: " in str(caught.value)


def test_numpy_does_not_differentiate():
    with pytest.raises(UnsupportedOperationError, match="f cannot be differentiated: NumPy has no autograd"):
        assert_parity(np.negative, np.negative, MATRIX, gradients=True, backends=("numpy", "numpy"))


def test_inputs_must_not_be_tensors(backend):
    tensor = convbridge.asarray(MATRIX, backend=backend)
    if backend == "numpy":
        assert assert_parity(np.negative, np.negative, tensor).fraction == 0
    else:
        with pytest.raises(ArgumentTypeError, match="inputs must be a NumPy array"):
            assert_parity(np.negative, np.negative, tensor)


def test_a_backend_without_a_listing_does_not_differentiate(install):
    install("fake")
    with pytest.raises(ArgumentError, match="f must belong to a framework that differentiates"):
        assert_parity(lambda x: x, lambda x: x, MATRIX, gradients=True, backends=("fake", "fake"))


# --------------------------------------------------------------------------- the parts


def test_difference_of_special_numbers():
    a, b = np.array([np.nan, np.inf, np.inf, 1.0, 2.0]), np.array([np.nan, np.inf, -np.inf, np.nan, 2.5])
    found = difference(a, b, np.array([0.0, 0.0, 1.0, 1.0, np.nan]))
    assert found.wrong.tolist() == [False, False, True, True, True]
    assert found.first == (2,)
    assert found.worst in ((2,), (3,), (4,))


def test_neighbourhoods_at_the_edges():
    a = np.arange(24.0).reshape(2, 3, 4)
    assert neighbourhood(a, a, (1, 2, 3), ("f", "g")).splitlines()[0] == "around [1, 2, 3], that is [1, 1:3, 1:4]"
    assert neighbourhood(a[0, 0], a[0, 0], (0,), ("f", "g")).splitlines() == [
        "around [0], that is [0:3]",
        *("  f      g", "  0 1 2  0 1 2"),
    ]
    assert neighbourhood(np.array(1.0), np.array(2.0), (), ("f", "g")) == ""


def test_flatten_names_the_way_to_every_leaf():
    tree = {"a": [1, (2,)], 3: None}
    assert flatten(tree) == {"output['a'][0]": 1, "output['a'][1][0]": 2}
    assert flatten(5, "x") == {"x": 5}
    assert flatten([]) == {}
