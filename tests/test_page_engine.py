"""The engine of the page, in a real browser, against the recorded answers of the lattice and against random cases.

Thousands of cases go to the browser in chunks, as the bytes of float64 numbers, and come back the same way. The engine
computes in float64 whatever a case's dtype is, so each result is judged three times: by the oracle within the bound
of float64, by every recorded backend within that and the backend's own, and where sums of whole numbers are exact, bit
for bit.
"""

from __future__ import annotations

import base64
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from convbridge.parity.bounds import judge
from convbridge.parity.cases import random_cases
from convbridge.parity.expected import expected
from convbridge.parity.lattice import lattice
from convbridge.parity.oracle import round_to
from convbridge.parity.recorded import read

SHIPPED = Path(__file__).parent / "data" / "lattice.npz"
ENGINE = files("convbridge.teaching") / "page" / "assets" / "engine.js"
CHUNK = 150

#: Runs calls that came as JSON with base64, and sends back shapes and bytes; a Problem as its code.
RUN = """(calls) => {
  const numbers = (text) => new Float64Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const nest = (flat, [n, ...rest]) => {
    if (!rest.length) return Array.from(flat);
    const size = rest.reduce((a, b) => a * b, 1);
    return Array.from({ length: n }, (_, i) => nest(flat.subarray(i * size, (i + 1) * size), rest));
  };
  const shapeOf = (x) => (Array.isArray(x) ? [x.length, ...(x.length ? shapeOf(x[0]) : [])] : []);
  const encode = (x) => {
    let text = "";
    for (const byte of new Uint8Array(Float64Array.from(x.flat(3)).buffer)) text += String.fromCharCode(byte);
    return btoa(text);
  };
  return calls.map(({ operation, arrays, window, mode, options }) => {
    const { X, weight, bias } = Object.fromEntries(
      Object.entries(arrays).map(([name, { shape, bytes }]) => [name, nest(numbers(bytes), shape)]),
    );
    try {
      const Y =
        operation === "pool2d"
          ? engine.pool2d(X, window, mode, options)
          : engine.conv2d(X, operation === "convolve2d" ? engine.flip(weight) : weight, bias ?? null, options);
      return { shape: shapeOf(Y), bytes: encode(Y) };
    } catch (error) {
      return { error: error.code ?? String(error.stack) };
    }
  });
}"""


@pytest.fixture(scope="module")
def engine(browser):
    page = browser.new_page()
    page.add_script_tag(content=ENGINE.read_text(encoding="utf-8"))
    yield page
    page.close()


def packed(array):
    array = np.ascontiguousarray(array, np.float64)
    return {"shape": list(array.shape), "bytes": base64.b64encode(array.tobytes()).decode()}


def four(array):
    """Put the axes in front that an operation on fewer lacks."""
    return np.asarray(array)[(None,) * (4 - np.ndim(array))]


def channels_last(case):
    """Tell whether channels are the last axis, which a matrix does not have."""
    return case.keywords.get("data_format") == "NHWC" and case.operands["X"].values.ndim > 2


def call_of(case):
    """Write a case as a call of the engine: channels first, four axes."""
    operands, keywords = case.exact_operands(), dict(case.keywords)
    keywords.pop("data_format", None)
    if channels_last(case):
        operands["X"] = np.moveaxis(operands["X"], -1, -3)
    weight = operands.get("weight", operands.get("K"))
    arrays = {"X": packed(four(operands["X"]))}
    if weight is not None:
        arrays["weight"] = packed(four(weight))
    if operands.get("bias") is not None:
        arrays["bias"] = packed(operands["bias"])
    window, mode = keywords.pop("pool_size", None), keywords.pop("mode", "")
    if "ceil_mode" in keywords:
        keywords["ceil"] = keywords.pop("ceil_mode")
    if "count_include_pad" in keywords:
        keywords["counted"] = keywords.pop("count_include_pad")
    if window is not None and "stride" in keywords and keywords["stride"] is None:
        keywords["stride"] = window
    plain = {name: np.asarray(v).tolist() if not isinstance(v, (str, bool)) else v for name, v in keywords.items()}
    operation = case.base_function if case.base_function in ("pool2d", "convolve2d") else "conv2d"
    window = None if window is None else np.asarray(window).tolist()
    return {"operation": operation, "arrays": arrays, "window": window, "mode": mode, "options": plain}


def answers(page, cases):
    """Run cases in the browser; return what NumPy would: the axes of the case, its channels where it has them."""
    found = []
    for start in range(0, len(cases), CHUNK):
        some = cases[start : start + CHUNK]
        for case, answer in zip(some, page.evaluate(RUN, [call_of(case) for case in some])):
            assert "error" not in answer, (case.name, str(case), case.keywords, answer)
            Y = np.frombuffer(base64.b64decode(answer["bytes"])).reshape(answer["shape"])
            if channels_last(case):
                Y = np.moveaxis(Y, -3, -1)
            found.append(Y)
    return found


def without_leading(Y, rank, case):
    """Drop the axes that were put in front."""
    assert Y.shape[: 4 - rank] == (1,) * (4 - rank), case.name
    return Y.reshape(Y.shape[4 - rank :])


def wrong(case, Y, others=()):
    """Say what is wrong with the engine's answer; nothing, if it is right."""
    wanted = expected(case._replace(dtype="float64"))["Y"]
    own = expected(case)["Y"]
    Y = without_leading(Y, wanted.value.ndim, case)
    # the oracle's value is longdouble; its own rounding is in the bound
    verdict = judge(Y.astype(np.longdouble), wanted.value.astype(np.longdouble), wanted.bound)
    if verdict.kind == "REAL DIFFERENCE":
        yield f"{case.name}: the oracle says otherwise, {verdict}"
    if own.exact and judge(round_to(Y, case.dtype), own.rounded, 0.0).kind != "equal":
        yield f"{case.name}: must be exact, and is not"
    for name, values in others:
        rounded = round_to(Y, case.dtype)
        bound = own.bound * 2 + wanted.bound
        verdict = judge(rounded, values.astype(rounded.dtype), 0.0 if own.exact else bound)
        if verdict.kind == "REAL DIFFERENCE":
            yield f"{case.name}: {name} recorded otherwise, {verdict}"


def test_the_engine_returns_what_the_lattice_recorded(engine):
    vectors = read(SHIPPED)
    # an empty batch has no sizes in nested arrays, and nothing to compute
    cases = [case for case in vectors.cases if case.kind == "value" and 0 not in case.operands["X"].values.shape]
    assert len(cases) > 1700
    problems, compared = [], 0
    for case, Y in zip(cases, answers(engine, cases)):
        outcomes = [(who.name, vectors.outcome(who, case)) for who in vectors.participants]
        others = [(name, outcome.values["Y"]) for name, outcome in outcomes if outcome.status == "answered"]
        compared += len(others)
        problems += wrong(case, Y, others)
    assert not problems, (len(problems), problems[:5])
    assert compared > 6000
    # what the lattice is to hold, so that none of it is lost unseen
    keywords = [case.keywords for case in cases]
    assert {"chapter", "same_lower", "same_upper", "valid"} <= {str(k.get("padding")) for k in keywords}
    assert sum(bool(k.get("ceil_mode")) for k in keywords) > 100
    assert sum(k.get("count_include_pad") is False for k in keywords) > 100
    assert sum(not np.isfinite(case.operands["X"].values.astype(float)).all() for case in cases) > 100


def test_the_engine_returns_what_random_cases_must(engine):
    cases = [case for case in random_cases(1500, 6) if 0 not in case.operands["X"].values.shape]
    cases = [case for case in cases if sum(operand.values.size for operand in case.operands.values()) < 20000]
    assert len(cases) > 1300
    problems = [problem for case, Y in zip(cases, answers(engine, cases)) for problem in wrong(case, Y)]
    assert not problems, (len(problems), problems[:5])


@pytest.mark.parametrize(
    ("right", "broken"),
    [
        ("[small, total - small] : [total - small, small]", "[total - small, small] : [small, total - small]"),
        ("largest = -Infinity", "largest = 0"),
        ("rows.isPadded(at.i) && columns.isPadded(at.j)", "true"),
        ("o * stride + k * dilation - before", "o * stride + k - before"),
        ("bias === null ? sum : sum + bias[o]", "sum"),
        ("(inside ? image[first + c][at.i][at.j] : 0) * K", "(inside ? image[c][at.i][at.j] : 0) * K"),
    ],
)
def test_a_broken_engine_is_found(browser, right, broken):
    source = ENGINE.read_text(encoding="utf-8")
    assert source.count(right) == 1
    page = browser.new_page()
    page.add_script_tag(content=source.replace(right, broken))
    words = ("same_upper", "pad1", "ceil", "dilation2", "bias", "groups2")
    cases = lattice(lambda case: case.kind == "value" and "float64" in case.name and any(w in case.name for w in words))
    found = []
    for case in cases:
        answer = page.evaluate(RUN, [call_of(case)])[0]
        if "error" in answer:
            found.append(case.name)
            continue
        Y = np.frombuffer(base64.b64decode(answer["bytes"])).reshape(answer["shape"])
        if channels_last(case):
            Y = np.moveaxis(Y, -3, -1)
        if list(Y.shape)[-expected(case)["Y"].value.ndim :] != list(expected(case)["Y"].value.shape) or list(
            wrong(case, Y)
        ):
            found.append(case.name)
            break
    page.close()
    assert found
