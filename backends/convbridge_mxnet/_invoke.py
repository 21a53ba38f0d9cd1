"""MXNet's operators with their parameters written down once.

``mx.nd.Convolution(X, ...)`` turns every parameter into text and that into C
strings at each call, and ``X.reshape(...)`` computes two products of shapes
with NumPy; both take longer than a small convolution. Here this is done once
for many calls, and then the same functions of MXNet's C interface are called
(``MXImperativeInvokeEx``, ``MXNDArrayReshape64``), so that autograd records
what it always records. Of two operators that follow each other a graph can be
made (``MXInvokeCachedOpEx``), which is handed to MXNet's engine as one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from convbridge_mxnet._compat import mxnet as mx

Array = Any

_library = mx.base._LIB
_Handle = mx.base.NDArrayHandle
_Handles = ctypes.POINTER(_Handle)
_Kinds = ctypes.POINTER(ctypes.c_int)
_NDArray = mx.nd.NDArray


def operator(name: str, inputs: int, parameters: dict[str, Any]) -> Callable[..., Array]:
    """Return an operator of one output as a function of its arrays alone."""
    handle = ctypes.c_void_p()
    mx.base.check_call(_library.NNGetOpHandle(mx.base.c_str(name), ctypes.byref(handle)))
    arrays = _Handle * inputs
    count, items = ctypes.c_int(inputs), ctypes.c_int(len(parameters))
    keys = mx.base.c_str_array(list(parameters))
    values = mx.base.c_str_array([str(value) for value in parameters.values()])
    invoke, check, byref = _library.MXImperativeInvokeEx, mx.base.check_call, ctypes.byref

    def run(*given: Array) -> Array:
        found, outputs, kinds = ctypes.c_int(0), _Handles(), _Kinds()
        check(
            invoke(
                handle,
                count,
                arrays(*[array.handle for array in given]),
                byref(found),
                byref(outputs),
                items,
                keys,
                values,
                byref(kinds),
            )
        )
        # an object of its own: what ``outputs`` points at is overwritten by the next call of this thread
        return _NDArray(_Handle(outputs[0]))

    return run


def reshape(shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """Return the reshape to a known shape of as many elements as a function of the array alone."""
    wanted = (ctypes.c_int64 * len(shape))(*shape)
    call, check, byref, rank = _library.MXNDArrayReshape64, mx.base.check_call, ctypes.byref, ctypes.c_int(len(shape))

    def run(array: Array) -> Array:
        handle = _Handle()
        check(call(array.handle, rank, wanted, False, byref(handle)))
        return _NDArray(handle, writable=array.writable)

    return run


def graph(symbol: Any) -> Callable[..., Array]:
    """Return a graph of operators, with one output and known shapes, as a function of its arrays alone.

    What the operators hand to each other lies in memory that the graph keeps
    from call to call; the result does not. MXNet locks a graph while it hands
    it to the engine, and the engine lets the next call wait for the memory.
    """
    cached: Callable[..., Array] = mx.nd.CachedOp(symbol, (("static_alloc", True), ("static_shape", True)))
    return cached
