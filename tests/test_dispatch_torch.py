"""Plans of PyTorch's calls: whatever a tensor is and whatever is active, a planned call ends as one without a plan."""

from __future__ import annotations

import numpy as np
import pytest

import convbridge
from convbridge import conv2d, corr2d, dispatch, to_numpy

pytestmark = [
    pytest.mark.skipif("torch" not in convbridge.available_backends(), reason="torch is not installed"),
    pytest.mark.filterwarnings("ignore"),  # of PyTorch, about what it calls experimental or old
]

FUNCTIONS = {
    "corr2d": corr2d,
    "conv2d": conv2d,
    "conv2d, a bias": lambda X, K: conv2d(X, K, X[0, 0, 0, :1] * 2),
    "conv2d, padded": lambda X, K: conv2d(X, K, padding=1),
    "conv2d, strided": lambda X, K: conv2d(X, K, stride=2),
}


def operands(name):
    import torch

    axes = () if name == "corr2d" else (1, 1)
    rng = np.random.default_rng(1)
    return [torch.tensor(rng.standard_normal((*axes, n, n)).astype("float32")) for n in (8, 3)]


def kinds():
    """Name what may become of a tensor, to what makes it so."""
    import torch

    found = {
        "plain": lambda x: x,
        "transposed": lambda x: x.mT.contiguous().mT,
        "strided": lambda x: x.repeat_interleave(2, -1)[..., ::2],
        "expanded": lambda x: x[..., :1].expand(x.shape),
        "negated": torch._neg_view,
        "of the same size": lambda x: x.reshape(*x.shape[:-2], -1, 1),
        "with one axis more": lambda x: x[None],
        "of one row": lambda x: x[..., :1, :],
        "empty": lambda x: x[..., :0],
        "double": torch.Tensor.double,
        "half": torch.Tensor.half,
        "whole": torch.Tensor.long,
        "complex": lambda x: x.to(torch.complex64),
        "sparse": torch.Tensor.to_sparse,
        "of a subclass": lambda x: x.as_subclass(type("Mine", (torch.Tensor,), {})),
        "a parameter": torch.nn.Parameter,
        "NumPy's": torch.Tensor.numpy,
    }
    if torch.backends.mkldnn.is_available():
        found["of oneDNN"] = torch.Tensor.to_mkldnn
    return found


def circumstances():
    """Name what may be active during a call, to what calls a function of (X, K) in it."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.autograd import forward_ad
    from torch.fx.experimental.proxy_tensor import make_fx

    def inside(mode):
        def run(f, X, K):
            with mode():
                return f(X, K)

        return run

    def gradients(f, X, K):
        X, K = X.clone().requires_grad_(), torch.nn.Parameter(K)
        Y = f(X, K)
        return [Y, *torch.autograd.grad((Y**2).sum(), (X, K), create_graph=True)]

    def dual(f, X, K):
        with forward_ad.dual_level():
            return list(forward_ad.unpack_dual(f(forward_ad.make_dual(X, X + 1), K)))

    def compiled(f, X, K):
        torch.compiler.reset()
        return torch.compile(f, backend="eager")(X, K)

    def noticed(f, X, K):
        with Noticing() as mode:
            return [f(X, K), torch.tensor(len(mode.seen) > 0)]

    class Noticing(torch.overrides.TorchFunctionMode):
        def __init__(self):
            self.seen = []

        def __torch_function__(self, function, types, arguments=(), keywords=None):
            self.seen.append(function)
            return function(*arguments, **(keywords or {}))

    return {
        # of one meta tensor beside a dense one PyTorch returns whatever lies in memory
        "meta": lambda f, X, K: f(X.to("meta"), K.to("meta")),
        "meta, doubles": lambda f, X, K: f(X.to("meta"), K.to("meta", torch.float64)),
        "inference mode": inside(torch.inference_mode),
        "autocast": inside(lambda: torch.autocast("cpu", torch.bfloat16)),
        "another device": inside(lambda: torch.device("meta")),
        "a function mode": noticed,
        "fake tensors": inside(FakeTensorMode),
        "gradients": gradients,
        "no gradients": lambda f, X, K: torch.no_grad()(f)(X, torch.nn.Parameter(K)),
        "forward gradients": dual,
        "vmap": lambda f, X, K: torch.vmap(f, (0, None))(torch.stack([X, X + 1]), K),
        "vmap over both": lambda f, X, K: torch.vmap(f)(torch.stack([X, X + 1]), torch.stack([K, K + 1])),
        "grad": lambda f, X, K: torch.func.grad(lambda x, k: (f(x, k) ** 2).sum(), 1)(X, K),
        "jvp": lambda f, X, K: list(torch.func.jvp(f, (X, K), (X + 1, K + 1))),
        "make_fx": lambda f, X, K: make_fx(f)(X, K)(X + 1, K + 1),
        "script": lambda f, X, K: torch.jit.trace(f, (X, K), check_trace=False)(X + 1, K + 1),
        "compiled": compiled,
    }


def ways():
    """Name every kind of image, of kernel and of both, and every circumstance, to what calls a function so."""
    found = circumstances()
    for name, change in kinds().items():
        found[f"image {name}"] = lambda f, X, K, change=change: f(change(X), K)
        found[f"kernel {name}"] = lambda f, X, K, change=change: f(X, change(K))
        found[f"both {name}"] = lambda f, X, K, change=change: f(change(X), change(K))
    return found


def outcome(call):
    """Return all that a user sees of a call: the values and what kind of tensor holds them, or the error."""
    import torch

    def seen(Y):
        kind = (type(Y).__name__, Y.dtype, tuple(Y.shape), Y.stride(), Y.device.type, Y.requires_grad, Y.is_inference())
        return (*kind, None if Y.is_meta or type(Y) is not torch.Tensor else to_numpy(Y).tobytes())

    try:
        found = call()
        return [seen(Y) for Y in (found if isinstance(found, list) else [found])]
    except Exception as error:
        return type(error), str(error), error.__context__ is None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_planned_call_ends_as_one_without_a_plan(name, plans_run):
    function = FUNCTIONS[name]
    X, K = operands(name)
    plain = outcome(lambda: function(X, K))
    for way, run in ways().items():
        dispatch.forget()
        without = outcome(lambda run=run: run(function, X, K))
        assert outcome(lambda: function(X, K)) == plain, f"after the plan of: {way}"
        dispatch.forget()
        function(X, K)  # leaves the plan of plain tensors
        for _ in range(2):
            assert outcome(lambda run=run: run(function, X, K)) == without, way
        assert outcome(lambda: function(X, K)) == plain, f"after: {way}"
    assert len(plans_run) > 80


def test_a_tracer_sees_the_operators_and_nothing_of_the_plan():
    from torch.fx.experimental.proxy_tensor import make_fx

    X, K = operands("corr2d")
    for last in ("squeeze", "view", "view"):  # the whole way, and twice its plan
        graph = make_fx(lambda X, K: corr2d(X, K))(X, K).graph
        seen = [node.name.rstrip("_0123456789") for node in graph.nodes if node.op not in ("placeholder", "output")]
        assert seen == ["view", "view", "convolution", last]
