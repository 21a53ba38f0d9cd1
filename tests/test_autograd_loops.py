"""Differentiating the chapters' loops: right, or one clear error of convbridge; never a silent None.

The inputs are whole numbers, so right gradients are equal bit for bit.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

import convbridge
from convbridge import chapter, registry, to_numpy
from convbridge.cli import main
from convbridge.errors import (
    BackendBrokenError,
    BackendOperationError,
    ConvbridgeError,
    ShapeError,
    UnsupportedOperationError,
)
from convbridge.teaching import autograd
from convbridge.teaching.examples import AUTOGRAD, EXAMPLES, find

X = np.arange(9, dtype="float32").reshape(3, 3)
K = np.arange(4, dtype="float32").reshape(2, 2)

#: Of the sum of corr2d(X, K): each pixel meets the kernel elements that look at it, each element four pixels.
DX = [[0, 1, 1], [2, 6, 4], [2, 5, 3]]
DK = [[8, 12], [20, 24]]


def right(found, wanted):
    assert found is not None
    assert to_numpy(found).tolist() == wanted


# --------------------------------------------------------------------------- the four answers


def test_the_listing_computes_what_the_loop_computes(backend):
    own = registry.load(backend)
    arrays = [own.arrays.asarray(array) for array in (X, K)]
    right(own.listing.corr2d_in_place(*arrays), [[19, 25], [37, 43]])


def test_the_outcomes_are_those_that_the_chapter_speaks_of(backend):
    run = autograd.attempts_on(backend)
    found = {attempt.kind: attempt for attempt in run.results}
    assert list(found) == ["listing", "chapter", "operator", "vjp"]
    expected = {"numpy": "refused", "torch": "gradients", "tensorflow": "None", "mxnet": "raised"}
    assert found["listing"].outcome == expected[backend]
    for kind in ("chapter", "operator", "vjp"):
        if backend == "numpy" and kind != "vjp":
            assert found[kind].outcome == "refused"
            assert "convbridge.conv2d_vjp" in found[kind].message
            continue
        dX, dK = found[kind].gradients
        assert (dX.tolist(), dK.tolist()) == (DX, DK)
        assert dX.dtype == dK.dtype == np.float32


def test_mxnets_own_message():
    if "mxnet" not in convbridge.available_backends():
        pytest.skip("mxnet is not installed")
    listing = autograd.attempts_on("mxnet").results[0]
    assert listing.message.startswith("MXNetError: Check failed")
    assert "not supported when recording with autograd" in listing.message
    assert "/" not in listing.message  # nothing about where on its makers' machine it was raised
    # and the failure leaves nothing behind
    assert autograd.attempts_on("mxnet").results[1].outcome == "gradients"


def test_numpy_says_what_to_use_instead():
    with pytest.raises(UnsupportedOperationError, match=r"NumPy has no autograd.*convbridge\.conv2d_vjp"):
        registry.load("numpy").listing.differentiate(chapter.corr2d, X, K)


# --------------------------------------------------------------------------- the command


def run(capsys, *arguments):
    capsys.readouterr()
    code = main(list(arguments))
    return code, *capsys.readouterr()


def test_compare_autograd(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(capsys, "compare", "autograd")
    assert (code, err) == (0, "")
    names = convbridge.available_backends()
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("def corr2d_in_place(") == out.count("def corr2d(") == len(names)
    assert out.count("dX = [[0. 1. 1.]") == sum(
        attempt.gradients is not None for name in names for attempt in autograd.attempts_on(name).results
    )
    assert "equal: all gradients hold the same numbers" in out
    text = " ".join(out.replace("│", " ").split())
    assert "convbridge.conv2d_vjp returns the gradients, written by hand" in text
    if "tensorflow" in names:
        assert "None instead of a gradient, and no error" in text
        assert "tensorflow None, no error gradients gradients gradients" in text
    if "mxnet" in names:
        assert "not supported when recording with autograd" in text
        assert "mxnet raises MXNetError gradients gradients gradients" in text


def test_compare_autograd_as_json(capsys, backend):
    code, out, err = run(capsys, "compare", "autograd", "corr2d", "--json", "--backends", backend)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [example["name"] for example in found["examples"]] == ["corr2d", "autograd"]
    (own,) = found["examples"][1]["backends"]
    assert "def corr2d_in_place(" in own["source"]
    vjp = own["results"][-1]
    assert vjp["gradients"] == {"dX": DX, "dK": DK}
    assert {result["outcome"] for result in own["results"]} <= {"gradients", "None", "refused", "raised"}


def test_autograd_is_in_the_list(capsys):
    assert run(capsys, "compare", "--list")[1].splitlines()[-1].startswith("autograd  ")
    names = [entry["name"] for entry in json.loads(run(capsys, "compare", "--list", "--json")[1])]
    assert names == [*(example.name for example in EXAMPLES), "autograd"]
    assert find(["autograd"], (AUTOGRAD,)) == (AUTOGRAD,)
    code, _, err = run(capsys, "compare", "autogradd")
    assert code == 2
    assert "Did you mean 'autograd'" in err


def pretend(monkeypatch, **changed):
    """Compare NumPy with a backend whose last attempts were changed."""
    honest = autograd.attempts_on("numpy")

    def attempts_on(name):
        if name == "numpy":
            return honest
        good = honest.results[-1]
        results = [good._replace(kind=kind, **changed.get(kind, {})) for kind in ("listing", "chapter", "vjp")]
        return honest._replace(backend=name, results=tuple(results))

    monkeypatch.setattr(autograd, "attempts_on", attempts_on)
    return autograd.compare(["numpy", "other"])


def test_a_wrong_gradient_is_a_real_difference(monkeypatch):
    wrong = (np.array(DX, "float32"), np.array(DK, "float32") + 1)
    comparison = pretend(monkeypatch, chapter={"gradients": wrong})
    assert comparison.kind == "REAL DIFFERENCE"
    assert not comparison.agrees
    assert "other chapter" in comparison.sentence
    json.dumps(comparison.to_json(), allow_nan=False)


@pytest.mark.parametrize("kind", ["chapter", "vjp"])
@pytest.mark.parametrize(("outcome", "message"), [("None", ""), ("raised", "RuntimeError: out of order")])
def test_no_gradient_without_a_word_is_an_error(monkeypatch, kind, outcome, message):
    comparison = pretend(monkeypatch, **{kind: {"gradients": None, "outcome": outcome, "message": message}})
    assert comparison.kind == "ERROR"
    assert comparison.sentence == f"ERROR: other {kind} returned no gradient"


def test_the_listing_may_fail(monkeypatch):
    failed = {"gradients": None, "outcome": "raised", "message": "RuntimeError: out of order"}
    assert pretend(monkeypatch, listing=failed).agrees


def test_a_third_party_needs_no_listing(install):
    install("other")
    assert registry.load("other").listing is None
    assert [attempt.kind for attempt in autograd.attempts_on("other").results] == ["vjp"]
    assert autograd.compare(["numpy", "other"]).kind == "equal"


def test_a_third_party_may_have_a_listing(install, tmp_path):
    (tmp_path / install("other") / "listing.py").write_text("from convbridge_numpy.listing import *\n")
    assert [attempt.kind for attempt in autograd.attempts_on("other").results] == list(autograd.TITLES)


@pytest.mark.parametrize("source", ["import no_such_module", "raise RuntimeError('out of order')", "def"])
def test_a_listing_that_cannot_be_imported_is_not_taken_for_none(install, tmp_path, source):
    (tmp_path / install("other") / "listing.py").write_text(source)
    with pytest.raises(BackendBrokenError, match=r"'other' is installed and cannot be imported: .*Received: "):
        _ = registry.load("other").listing


# --------------------------------------------------------------------------- PyTorch, in all its ways


LOOPS = {
    "corr2d": lambda k: chapter.corr2d(X, k),
    "corr2d_multi_in": lambda k: chapter.corr2d_multi_in(X[None], k[None]),
    "corr2d_multi_in_out": lambda k: chapter.corr2d_multi_in_out(X[None], k[None, None])[0],
}


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize("name", LOOPS)
def test_torch_func(torch, name):
    loop = LOOPS[name]
    k = torch.tensor(K)
    right(torch.func.grad(lambda k: loop(k).sum())(k), DK)
    right(torch.func.jacrev(loop)(k).sum((0, 1)), DK)
    right(torch.func.jvp(loop, (k,), (torch.ones_like(k),))[1], [[8, 12], [20, 24]])
    right(torch.func.vjp(loop, k)[1](torch.ones(2, 2))[0], DK)


def test_torch_layer(torch):
    layer = chapter.Conv2D((2, 2), backend="torch")
    layer(torch.tensor(X)).sum().backward()
    right(layer.weight.grad, DK)
    right(layer.bias.grad, [4])
    parameters = dict(layer.named_parameters())
    found = torch.func.grad(lambda p: torch.func.functional_call(layer, p, (torch.tensor(X),)).sum())(parameters)
    right(found["weight"], DK)
    right(found["bias"], [4])


def vmapped(torch):
    images, kernels = torch.tensor(np.stack([X, X + 1])), torch.tensor(np.stack([K, K + 1]))
    layer = chapter.Conv2D((2, 2), backend="torch")
    matrices = torch.arange(8.0).reshape(2, 2, 1, 2)
    return {
        "images": (lambda x: chapter.corr2d(x, K), (images,)),
        "kernels": (lambda k: chapter.corr2d(X, k), (kernels,)),
        "both": (chapter.corr2d, (images, kernels)),
        "gradients": (torch.func.grad(lambda k, x: chapter.corr2d(x, k).sum()), (kernels, images)),
        "channels": (lambda x, k: chapter.corr2d_multi_in_out(x[None], k[None, None]), (images, kernels)),
        "1x1": (lambda x: chapter.corr2d_multi_in_out_1x1(x, torch.ones(3, 2, 1, 1)), (matrices,)),
        "max": (lambda x: chapter.pool2d(x, 2), (images,)),
        "avg": (lambda x: chapter.pool2d(x, 2, "avg"), (images,)),
        "layer": (layer, (images,)),
    }


@pytest.mark.parametrize("case", ["images", "kernels", "both", "gradients", "channels", "1x1", "max", "avg", "layer"])
def test_torch_vmap(torch, case):
    """Right, or refused in convbridge's words, which name the operator that can."""
    function, batches = vmapped(torch)[case]
    found = refusal = None
    try:
        found = torch.func.vmap(function)(*batches)
    except ConvbridgeError as error:
        refusal = str(error)
    if found is None:
        assert "vmap" in refusal
        assert "convbridge." in refusal
        return
    for index, result in enumerate(found):
        right(result, function(*(batch[index] for batch in batches)).tolist())


def test_torch_vmap_of_the_operator(torch):
    images, kernels = torch.tensor(np.stack([X, X + 1])), torch.tensor(np.stack([K, K + 1]))
    found = torch.func.vmap(convbridge.corr2d)(images, kernels)
    for index in (0, 1):
        right(found[index], chapter.corr2d(images[index], kernels[index]).tolist())
    gradient = torch.func.vmap(torch.func.grad(lambda k, x: convbridge.corr2d(x, k).sum()), (None, 0))
    right(gradient(torch.tensor(K), images)[0], DK)


# --------------------------------------------------------------------------- TensorFlow, in all its ways


@pytest.fixture
def tf():
    return pytest.importorskip("tensorflow")


@pytest.mark.parametrize("options", [None, {}, {"reduce_retracing": True}, {"autograph": False}], ids=str)
def test_tensorflow_tape(tf, options):
    loop = chapter.corr2d if options is None else tf.function(chapter.corr2d, **options)
    inputs = [tf.constant(X), tf.constant(K)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(loop(*inputs))
    for found, wanted in zip(tape.gradient(total, inputs), (DX, DK)):
        right(found, wanted)


def test_tensorflow_variables(tf):
    """Watched by themselves; a tensor made of one would lose its gradient if it were read outside the tape."""
    import keras

    for kernel in (tf.Variable(K), keras.Variable(K)):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(chapter.corr2d(X, kernel))
        right(
            tape.gradient(total, getattr(kernel, "value", kernel) if isinstance(kernel, keras.Variable) else kernel), DK
        )


@pytest.mark.parametrize("traced", [False, True])
def test_tensorflow_layer(tf, traced):
    """The kernel learns too; in the book's layer the bias trained alone."""
    layer = chapter.Conv2D((2, 2), backend="tensorflow")
    call = tf.function(lambda x: layer(x)) if traced else layer
    image = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(image)
        total = tf.reduce_sum(call(image))
    dX, dW, db = tape.gradient(total, [image, layer.weight.value, layer.bias.value])
    right(dW, DK)
    right(db, [4])
    wanted = chapter.corr2d(np.pad(np.ones((2, 2), "float32"), 1), to_numpy(layer.weight)[::-1, ::-1], backend="numpy")
    np.testing.assert_allclose(to_numpy(dX), wanted, rtol=0, atol=4 * np.finfo("float32").eps)
    assert len(layer.trainable_variables) == 2


def test_tensorflow_jacobian_and_batches(tf):
    kernel = tf.constant(K)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        result = chapter.corr2d(X, kernel)
    right(tf.reduce_sum(tape.jacobian(result, kernel), (0, 1)), DK)
    images = tf.constant(np.stack([X, X + 1]))
    for each in (tf.vectorized_map, tf.map_fn):
        found = each(lambda x: chapter.corr2d(x, K), images)
        for index in (0, 1):
            right(found[index], to_numpy(chapter.corr2d(images[index], K)).tolist())


def test_tensorflow_unknown_sizes_are_refused(tf):
    """A Python loop must know how often; the error says so, and the operator can."""
    unknown = [tf.TensorSpec((None, None)), tf.TensorSpec((2, 2))]
    with pytest.raises(ShapeError, match="fully known shape"):
        tf.function(chapter.corr2d, input_signature=unknown)(tf.constant(X), tf.constant(K))
    right(tf.function(convbridge.corr2d, input_signature=unknown)(tf.constant(X), tf.constant(K)), [[19, 25], [37, 43]])


def test_tensorflow_layer_of_unknown_size_is_refused(tf):
    layer = chapter.Conv2D((2, 2), backend="tensorflow")
    with pytest.raises(ConvbridgeError, match="fully known shape"):
        tf.function(layer, input_signature=[tf.TensorSpec((None, None))])(tf.constant(X))


# --------------------------------------------------------------------------- MXNet, in all its ways


@pytest.fixture
def mx():
    if "mxnet" not in convbridge.available_backends():
        pytest.skip("mxnet is not installed")
    return convbridge.import_framework("mxnet")


@pytest.mark.parametrize("kind", ["nd", "np"])
def test_mxnet_record(mx, kind):
    array = mx.nd.array if kind == "nd" else mx.np.array
    inputs = [array(X), array(K)]
    for x in inputs:
        x.attach_grad()
    with mx.autograd.record():
        total = chapter.corr2d(*inputs).sum()
    total.backward()
    for x, wanted in zip(inputs, (DX, DK)):
        right(x.grad, wanted)


def test_mxnet_grad_function(mx):
    inputs = [mx.nd.array(X), mx.nd.array(K)]
    for x in inputs:
        x.attach_grad()
    with mx.autograd.record():
        total = chapter.corr2d(*inputs).sum()
    for found, wanted in zip(mx.autograd.grad(total, inputs), (DX, DK)):
        right(found, wanted)


@pytest.mark.parametrize("hybridized", [False, True])
def test_mxnet_layer(mx, hybridized):
    """The chapter's layer is a Block, which ``hybridize`` leaves as it is."""
    layer = chapter.Conv2D((2, 2), backend="mxnet")
    net = mx.gluon.nn.Sequential()
    net.add(layer)
    if hybridized:
        net.hybridize()
    with mx.autograd.record():
        total = net(mx.nd.array(X)).sum()
    total.backward()
    right(layer.weight.grad(), DK)
    right(layer.bias.grad(), [4])


@pytest.mark.parametrize("function", ["loop", "operator"])
def test_mxnet_symbols_are_refused(mx, function):
    """In a hybridized block an image is a symbol, without a size: the error says what to use there."""
    correlate = chapter.corr2d if function == "loop" else convbridge.corr2d

    class Net(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            return correlate(x, K, backend="mxnet")

    net = Net()
    right(net(mx.nd.array(X)), [[19, 25], [37, 43]])
    net.hybridize()
    with pytest.raises(ConvbridgeError, match=r"(?i)symbol") as caught:
        net(mx.nd.array(X))
    assert not isinstance(caught.value, BackendOperationError)


# --------------------------------------------------------------------------- NumPy


def test_numpys_chapter_layer_says_what_differentiates():
    layer = chapter.Conv2D((2, 2), backend="numpy")
    layer(X)
    with pytest.raises(UnsupportedOperationError, match="conv2d_vjp"):
        layer.backward(np.ones((2, 2), "float32"))


def test_numpys_vjp_is_the_gradient_of_the_loop():
    """By differences of the loop itself, which are exact: it is linear in X and in K."""
    dX, dK, _ = convbridge.conv2d_vjp(X[None, None], K[None, None], None, np.ones((1, 1, 2, 2)), backend="numpy")
    for gradient, which in ((dX[0, 0], 0), (dK[0, 0], 1)):
        for index in np.ndindex(gradient.shape):
            moved = [X.copy(), K.copy()]
            moved[which][index] += 1
            change = chapter.corr2d(*moved, backend="numpy").sum() - chapter.corr2d(X, K, backend="numpy").sum()
            assert gradient[index] == change
