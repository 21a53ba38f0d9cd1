"""The algorithms behind the NumPy backend, one idea a file.

``convolve``
    Convolution as matrix products over blocks of output rows (im2col).
``pool``
    Pooling, rows first and then columns.
``gradients``
    The backward passes of both.

They take channels-first arrays of float32 or float64 that are already padded,
and return arrays of their own. None of them loops over pixels: Python runs
once per kernel element or once per block, NumPy does the rest.
"""
