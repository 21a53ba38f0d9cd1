"""The PyTorch backend.

``arrays`` converts, ``chapter`` teaches, ``ops`` computes with
``torch.nn.functional``, ``layers`` holds ``torch.nn.Module`` classes. This file
imports nothing but the description of a backend.
"""

from convbridge.protocol import BackendSpec

SPEC = BackendSpec(
    name="torch",
    package="convbridge_torch",
    framework="torch",
    array_types=("torch:Tensor",),
    layer_types=("torch.nn:Module",),
    symbol_types=("torch.fx:Proxy",),
    symbol_hint="torch.fx traces with proxies: keep the layers of convbridge whole, by a Tracer whose is_leaf_module "
    "says so, or use torch.export.",
    aliases=("pytorch",),
    install_hint="pip install 'convbridge[torch]'",
    unsupported={
        f"asarray[{dtype}]": "PyTorch neither adds nor orders unsigned integers wider than uint8 on the CPU."
        for dtype in ("uint16", "uint32", "uint64")
    },
)
