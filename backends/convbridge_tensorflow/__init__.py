"""The TensorFlow backend.

``arrays`` converts, ``chapter`` teaches, ``ops`` computes with ``tf.nn``,
``layers`` holds ``keras.layers.Layer`` classes. This file imports nothing but
the description of a backend.
"""

from convbridge.protocol import BackendSpec

SPEC = BackendSpec(
    name="tensorflow",
    package="convbridge_tensorflow",
    framework="tensorflow",
    array_types=("tensorflow:Tensor", "tensorflow:Variable", "keras:Variable"),
    layer_types=("keras:Layer",),
    aliases=("tf",),
    install_hint="pip install 'convbridge[tensorflow]'",
    unsupported={},
    max_elements=2**31,
)
