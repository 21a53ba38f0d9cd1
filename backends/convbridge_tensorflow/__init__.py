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
    symbol_types=("keras:KerasTensor",),
    symbol_hint="A symbolic tensor of Keras gets its numbers inside a layer: call the function in a Lambda or in your "
    "own layer's call, or use the layers Conv2D, MaxPool2D and AvgPool2D of convbridge.",
    aliases=("tf",),
    install_hint="pip install 'convbridge[tensorflow]'",
    unsupported={},
    max_elements=2**31,
)
