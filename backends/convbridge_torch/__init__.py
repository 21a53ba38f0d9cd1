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
    aliases=("pytorch",),
    install_hint="pip install 'convbridge[torch]'",
    unsupported={
        f"asarray[{dtype}]": "PyTorch computes with no wider unsigned integers than uint8."
        for dtype in ("uint16", "uint32", "uint64")
    },
)
