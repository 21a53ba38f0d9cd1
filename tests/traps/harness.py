"""Run the traps of one framework one after another, and say how each went as soon as it is known.

Some of these traps end the process when the framework meets them unguarded, so
every trap announces itself before it starts and prints one line of JSON when it
is through: whoever reads the lines knows which trap killed a process that died.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import traceback

import numpy as np

_traps = {}


def trap(name):
    """Register a function that raises if the trap is sprung."""

    def register(function):
        assert name not in _traps, name
        _traps[name] = function
        return function

    return register


def _say(**line):
    print(json.dumps(line), flush=True)


def main():
    wanted = sys.argv[1:] or list(_traps)
    for name in wanted:
        _say(started=name)
        try:
            _traps[name]()
        except Exception:
            _say(trap=name, error=traceback.format_exc())
        else:
            _say(trap=name, error="")
    _say(finished=True)


# --------------------------------------------------------------------------- what traps have in common


def integers(seed, *shape, low=-9, high=10):
    """Return small whole numbers, whose sums and products are exact in float32."""
    return np.random.default_rng(seed).integers(low, high, shape).astype("float32")


def exact(result, wanted):
    """Demand the same shape and the same numbers, bit for bit."""
    result = np.asarray(result)
    assert result.dtype in (np.float32, np.float64), result.dtype
    assert result.shape == np.shape(wanted), f"shape {result.shape}, wanted {np.shape(wanted)}"
    np.testing.assert_array_equal(result, np.asarray(wanted, result.dtype))


def derivative(function, at, cotangent):
    """Return the gradient of ``sum(function(at) * cotangent)``, for a function that is linear or affine.

    Central differences with a step of 1 are its exact gradient, and with whole
    numbers they are computed without rounding.
    """
    gradient = np.empty(at.shape, np.longdouble)
    for index in np.ndindex(*at.shape):
        step = np.zeros(at.shape, np.longdouble)
        step[index] = 1
        gradient[index] = ((function(at + step) - function(at - step)) * cotangent).sum() / 2
    return gradient


def refused(kind, call, *words):
    """Demand an error of exactly this class whose message has these words and says what was received."""
    try:
        result = call()
    except kind as error:
        kind_raised, message = type(error), str(error)
    else:
        raise AssertionError(f"not refused: {result!r}")
    assert kind_raised is kind, kind_raised
    for word in ("Received: ", *words):
        assert word in message, f"{word!r} is not in {message!r}"


def fails(kind, call, *words):
    """Demand an error of a framework's own whose message has these words."""
    try:
        result = call()
    except kind as error:
        message = str(error)
    else:
        raise AssertionError(f"no error: {result!r}")
    for word in words:
        assert word in message, f"{word!r} is not in {message!r}"


def spawned(function):
    """Demand that a function runs to its end in a process of its own."""
    child = multiprocessing.get_context("spawn").Process(target=function)
    child.start()
    child.join(60)
    exitcode = child.exitcode
    child.kill()
    assert exitcode == 0, exitcode
