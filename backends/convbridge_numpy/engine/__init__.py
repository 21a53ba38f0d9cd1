"""The algorithms behind the NumPy backend, one idea a file.

``plan``
    Which of them computes a convolution, and why.
``convolve``, ``prepared``
    The plan, carried out; and once for many calls.
``pointwise``, ``lowered``, ``im2col``, ``depthwise``, ``banded``, ``shifted``, ``toeplitz``
    Convolution.
``winograd``, ``cook_toom``, ``winograd_tile``, ``fourier``
    Convolution in "fast": the filtering, its transforms, its tiles; and large kernels.
``kept``
    What a layer keeps of its weights.
``products``, ``machine``
    Small matrix products, and where they are fast.
``pool``
    Pooling.
``gradients``, ``lowered_weight``
    The backward passes of both.
``window``, ``arena``, ``passes``
    Geometry, scratch memory, and passes over arrays.

They take channels-first arrays of float32 or float64 with any strides, and
return arrays of their own. None of them loops over pixels: Python runs once
per kernel element or once per block, NumPy does the rest.
"""
