"""What may have been computed instead: the closed list of mistakes about a call.

Convolutions go wrong in a few ways, again and again: a padding word is read in
another framework's sense, a kernel is flipped, two axes change places, a
divisor counts what it should not. Each *hypothesis* here has a name, a sentence
in :data:`CAUSES`, and alters a call, so that the oracle can be asked what would
have come out. :mod:`convbridge.parity.explain` compares that with what did.

A family of hypotheses is a generator: given a call (and the result that is to
be explained, which few of them look at), it yields the altered calls. To add a
hypothesis, add its sentence and let a family yield it. What can be told from a
result alone, whatever was called, is in :mod:`convbridge.parity.symptoms`;
precision has a file of its own, :mod:`convbridge.parity.precision`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import permutations, product
from typing import Any, NamedTuple, Protocol

import numpy as np

from convbridge.parity import bounds, oracle
from convbridge.parity.calls import Call, Ends, Finish, Prediction, extend

__all__ = ["CAUSES", "Alternative", "alternatives"]

Array = np.ndarray[Any, Any]

NOWHERE = ((0, 0), (0, 0))

#: Every hypothesis about a call: name to the sentence that a report shows.
CAUSES = {
    "padding-swapped": "the padding of opposite sides swapped",
    "same-upper": "SAME_UPPER padding",
    "same-lower": "SAME_LOWER padding",
    "symmetric-padding": "the same padding on opposite sides",
    "chapter-padding": "the chapters' padding, k - 1 in all whatever the stride",
    "padding-transposed": "the padding of the two axes swapped",
    "padding-dropped": "padding dropped",
    "padding-mode": "padding with pixels, not with zeros",
    "zero-padding": "padding with zeros, not with minus infinity",
    "lowest-padding": "padding with the lowest finite number, not with minus infinity",
    "padding-counted": "count_include_pad the other way round",
    "divisor-not-clipped": "averages divided by the whole window, what sticks out of the padding included",
    "ceil-mode": "ceil_mode the other way round",
    "full-convention": "output sizes rounded up without dropping windows that start outside",
    "window-phase": "windows that start elsewhere",
    "window-count": "the last windows missing",
    "stride-swapped": "stride swapped between the axes",
    "stride-ignored": "stride ignored",
    "dilation-swapped": "dilation swapped between the axes",
    "dilation-ignored": "dilation ignored",
    "flipped-kernel": "a flipped kernel (true convolution)",
    "transposed-kernel": "the spatial axes of the kernel swapped",
    "transposed-image": "the spatial axes of the image swapped",
    "kernel-layout": "the kernel in another layout",
    "image-layout": "NCHW and NHWC mixed up",
    "bias-missing": "no bias",
    "bias-doubled": "the bias added twice",
    "bias-order": "the bias in another order of channels",
    "group-order": "channels dealt to the groups in another order",
    "groups-ignored": "groups ignored: each reads the first one's channels",
    "nan-lost": "NaN lost in a maximum",
    "infinity-lost": "minus infinity replaced by the lowest finite number",
    "ties-last": "the gradient of ties given to the last maximum",
    "ties-split": "the gradient of ties split evenly",
    "ties-all": "the gradient of ties given whole to every maximum",
    "one-image": "one image's gradient, not the sum over the batch",
    "first-image": "the first image's result for all of them",
}


class Predictable(Protocol):
    """A computation whose exact result and rounding bound can be told."""

    @property
    def is_possible(self) -> bool:
        """Whether the computation is legal."""

    def predict(self) -> Prediction:
        """Return the two."""


class Alternative(NamedTuple):
    """A hypothesis about one call.

    Attributes
    ----------
    name : str
        A key of :data:`CAUSES`.
    detail : str
        Which of its forms, "" if it has but one.
    call : Call
        What would have been computed: a :class:`Call`, or whatever else has
        its ``is_possible`` and ``predict``.
    finish : callable, optional
        What would have been done with the result: it moves elements, or cuts,
        or puts zeros around them, and does the same to the bound.
    evidence : callable, optional
        What must also be true of the result, where lying within the bound says
        too little.
    """

    name: str
    detail: str
    call: Predictable
    finish: Finish | None = None
    evidence: Callable[[Array], bool] | None = None


Family = Callable[[Call, Array], Iterator[Alternative]]


def alternatives(call: Call, actual: Array) -> Iterator[Alternative]:
    """Yield every hypothesis that can be asked about a call, the likelier of a family first.

    Parameters
    ----------
    call : Call
        What should have been computed.
    actual : numpy.ndarray
        What came out instead.

    Yields
    ------
    Alternative
        Always in the same order.

    Examples
    --------
    >>> from convbridge.parity.cases import random_case
    >>> call = Call.of(random_case(0, 3), "Y")
    >>> next(alternatives(call, np.zeros(1))).name
    'same-upper'
    """
    for family in FAMILIES:
        for alternative in family(call, actual):
            if alternative.call.is_possible:
                yield alternative


# --------------------------------------------------------------------------- padding and windows


def _padding(call: Call, actual: Array) -> Iterator[Alternative]:
    """Pad with other numbers of zeros, or on other sides."""
    (top, bottom), (left, right) = call.sides
    swapped = (
        ("padding-swapped", "", ((bottom, top), (right, left))),
        ("padding-swapped", "top and bottom only", ((bottom, top), (left, right))),
        ("padding-swapped", "left and right only", ((top, bottom), (right, left))),
    )
    words = [
        (name, "", oracle.sides(word, call.size, call.span, call.stride))
        for name, word in (("same-upper", "same_upper"), ("same-lower", "same_lower"), ("chapter-padding", "chapter"))
    ]
    symmetric = [
        ("symmetric-padding", f"{height} and {width}", ((height, height), (width, width)))
        for height, width in dict.fromkeys(
            (
                (call.span[0] // 2, call.span[1] // 2),
                ((call.span[0] - 1) // 2, (call.span[1] - 1) // 2),
                (max(top, bottom), max(left, right)),
                (min(top, bottom), min(left, right)),
            )
        )
        if (height, width) != (0, 0)
    ]
    # who wrote a word, means a word
    yield from _with_sides(call, [*words, *symmetric, *swapped] if call.word else [*swapped, *words, *symmetric])
    yield from _with_sides(
        call,
        [("padding-transposed", "", ((left, right), (top, bottom))), ("padding-dropped", "", NOWHERE)],
    )
    if call.kind == "conv" and call.result in ("Y", "dW") and any(map(any, call.sides)):
        for mode in ("reflect", "edge", "wrap"):
            if mode != "reflect" or all(max(ends) < n for ends, n in zip(call.sides, call.size)):
                image = np.pad(call.operands["X"], ((0, 0), (0, 0), *call.sides), mode=mode)
                yield Alternative("padding-mode", mode, call.altered(X=image)._replace(sides=NOWHERE))


def _with_sides(call: Call, others: list[tuple[str, str, Any]]) -> Iterator[Alternative]:
    for name, detail, sides in others:
        if sides != call.sides:
            yield Alternative(name, detail, call._replace(sides=sides))


def _on_explicit_image(
    call: Call, fill: float, *, shift: Ends = (0, 0), outputs: Ends | None = None
) -> tuple[Call, Finish | None]:
    """Put the padding on the image itself, or cut it, until exactly the windows fit; they may start elsewhere."""
    ends = []
    for i, n in enumerate(outputs or call.output_size):
        before = call.sides[i][0] + shift[i]
        ends.append((before, (n - 1) * call.stride[i] + call.span[i] - call.size[i] - before))
    explicit = call.altered(X=extend(call.operands["X"], ends, fill))
    return explicit._replace(sides=NOWHERE, ceil_mode=False, counted=True), _cut_from_gradient(call, ends)


def _cut_from_gradient(call: Call, ends: Sequence[Ends]) -> Finish | None:
    """Give the gradient of an extended image the size of the image again."""
    back = [(-before, -after) for before, after in ends]
    return (lambda dX: extend(dX, back, 0.0)) if call.result == "dX" else None


def _pooling(call: Call, actual: Array) -> Iterator[Alternative]:
    """Change what a window holds beside pixels, and what an average divides by."""
    if call.kind == "conv":
        return
    if call.kind == "max":
        for name, fill in (("zero-padding", 0.0), ("lowest-padding", _lowest(call.dtype))):
            yield Alternative(name, "", *_on_explicit_image(call, fill))
            # in ceil mode a backend may fill what was asked for, and not what sticks out of it
            asked = call.altered(X=extend(call.operands["X"], call.sides, fill))._replace(sides=NOWHERE)
            yield Alternative(name, "in the padding alone", asked, _cut_from_gradient(call, call.sides))
    else:
        yield Alternative("padding-counted", "", call._replace(counted=not call.counted))
        yield Alternative("divisor-not-clipped", "", *_on_explicit_image(call, 0.0))
    yield Alternative("ceil-mode", "", call._replace(ceil_mode=not call.ceil_mode))
    full: Any = tuple(
        (before, after + -(n + before + after - span) % step)
        for n, (before, after), span, step in zip(call.size, call.sides, call.span, call.stride)
    )
    yield Alternative("full-convention", "", call._replace(sides=full, ceil_mode=False))


def _geometry(call: Call, actual: Array) -> Iterator[Alternative]:
    """Put strides and dilations on the wrong axis, or leave them out; start windows elsewhere."""
    (sh, sw), (dh, dw) = call.stride, call.dilation
    # an explicit image counts every element, which an average without padding does too
    explicit = call.kind != "avg" or call.sides == NOWHERE
    fill = -np.inf if call.kind == "max" else 0.0
    if sh != sw:
        yield Alternative("stride-swapped", "", call._replace(stride=(sw, sh)))
    if dh != dw:
        yield Alternative("dilation-swapped", "", call._replace(dilation=(dw, dh)))
    for name, ones in (("stride-ignored", call.stride), ("dilation-ignored", call.dilation)):
        if ones == (1, 1):
            continue
        altered = call._replace(stride=(1, 1)) if name == "stride-ignored" else call._replace(dilation=(1, 1))
        yield Alternative(name, "", altered)
        if explicit:
            forced = _on_explicit_image(altered, fill, outputs=call.output_size)
            yield Alternative(name, "in a result of the right size", *forced)
    if explicit:
        rows, columns = (range(-max(step - 1, 1), max(step - 1, 1) + 1) for step in call.stride)
        for down, across in product(rows, columns):
            if (down, across) != (0, 0):
                detail = f"{-down:+d} rows and {-across:+d} columns off"
                yield Alternative("window-phase", detail, *_on_explicit_image(call, fill, shift=(down, across)))
    if call.result == "Y":
        for detail, r, c in (("a row", 1, 0), ("a column", 0, 1), ("a row and a column", 1, 1)):
            yield Alternative("window-count", detail, call, partial(_cut_end, rows=r, columns=c))


def _cut_end(Y: Array, rows: int, columns: int) -> Array:
    return Y[:, :, : Y.shape[2] - rows, : Y.shape[3] - columns]


# --------------------------------------------------------------------------- layouts


def _kernel(call: Call, actual: Array) -> Iterator[Alternative]:
    """Turn the kernel round, or exchange its axes, with its memory or without."""
    if call.kind != "conv":
        return
    weight = call.operands["weight"]
    for detail, axes in (("", (2, 3)), ("rows only", (2,)), ("columns only", (3,))):
        if any(weight.shape[axis] > 1 for axis in axes):
            yield _reordered(call, "flipped-kernel", detail, lambda w, axes=axes: np.flip(w, axes))  # type: ignore[misc]
    yield _reordered(call, "transposed-kernel", "", lambda w: w.swapaxes(2, 3))
    letters = "OIHW"
    for order in permutations(range(4)):
        if order in ((0, 1, 2, 3), (0, 1, 3, 2)):
            continue
        name = "".join(letters[axis] for axis in order)
        moved = weight.transpose(order)
        back = tuple(np.argsort(order))
        if moved.shape[:2] == weight.shape[:2]:
            yield _reordered(call, "kernel-layout", f"{name} taken for OIHW", lambda w, o=order: w.transpose(o))  # type: ignore[misc]
        yield _reordered(
            call,
            "kernel-layout",
            f"the memory of OIHW read as {name}",
            lambda w, s=moved.shape, b=back: w.reshape(s).transpose(b),  # type: ignore[misc]
        )
        yield _reordered(
            call,
            "kernel-layout",
            f"the memory of {name} read as OIHW",
            lambda w, o=order: w.transpose(o).reshape(w.shape),  # type: ignore[misc]
        )


def _reordered(call: Call, name: str, detail: str, reorder: Callable[[Array], Array]) -> Alternative:
    """Move the elements of the kernel; where its gradient is asked for, those of the gradient."""
    if call.result == "dW":
        return Alternative(name, detail, call, reorder)
    return Alternative(name, detail, call.altered(weight=reorder(call.operands["weight"])))


def _to_last(image: Array) -> Array:
    """Read the memory of NHWC as NCHW."""
    return image.transpose(0, 2, 3, 1).reshape(image.shape)


def _to_first(image: Array) -> Array:
    """Read the memory of NCHW as NHWC."""
    n, c, h, w = image.shape
    return image.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def _layout(call: Call, actual: Array) -> Iterator[Alternative]:
    """Exchange the axes of the image or the result, with their memory or without."""
    image = call.operands["X"]
    readings: tuple[tuple[str, Finish], ...] = (
        ("the memory of NHWC read as NCHW", _to_last),
        ("the memory of NCHW read as NHWC", _to_first),
    )
    if call.result != "dX":
        for detail, read in readings:
            yield Alternative("image-layout", f"in X, {detail}", call.altered(X=read(image)))
    if call.result in ("Y", "dX"):
        for detail, read in readings:
            yield Alternative("image-layout", f"in {call.result}, {detail}", call, read)
    if call.result == "Y":
        for (detail, read), (_, back) in zip(readings, readings[::-1]):
            yield Alternative("image-layout", f"in X and back in Y, {detail}", call.altered(X=read(image)), back)
        taken: tuple[tuple[str, Any, Any], ...] = (
            ("NCHW taken for NHWC", (0, 3, 1, 2), (0, 2, 3, 1)),
            ("NHWC taken for NCHW", (0, 2, 3, 1), (0, 3, 1, 2)),
        )
        for detail, order, back_order in taken:
            moved = call.altered(X=image.transpose(order))
            yield Alternative("image-layout", detail, moved, lambda Y, order=back_order: Y.transpose(order))  # type: ignore[misc]
    if "weight" in call.operands or call.window[0] != call.window[1] or call.result == "Y":
        turned = {name: call.operands[name].swapaxes(2, 3) for name in ("X", "grad_output") if name in call.operands}
        if call.result in ("Y", "dX"):
            yield Alternative("transposed-image", "", call.altered(**turned), lambda Y: Y.swapaxes(2, 3))
        if call.result in ("Y", "dW"):
            yield Alternative("transposed-image", "", call.altered(**turned))


# --------------------------------------------------------------------------- bias, channels, batch


def _bias(call: Call, actual: Array) -> Iterator[Alternative]:
    """Leave the bias out, add it twice, or that of another channel."""
    bias = call.operands.get("bias")
    if bias is None or call.result != "Y":
        return
    without = call.altered(bias=None)
    yield Alternative("bias-missing", "", without)
    yield Alternative("bias-doubled", "", call.altered(bias=2 * bias))
    exact = without.predict().value
    if actual.shape == exact.shape and exact.size:
        with np.errstate(invalid="ignore"):
            left = np.moveaxis(actual - exact, 1, 0).reshape(len(bias), -1)
        added = [np.median(numbers) if numbers.size else 0.0 for numbers in (row[np.isfinite(row)] for row in left)]
        rank = np.argsort(np.argsort(added))
        order = np.argsort(bias, kind="stable")[rank]
        if not np.array_equal(bias[order], bias):
            yield Alternative("bias-order", f"that of channels {_listed(order)}", call.altered(bias=bias[order]))


def _listed(numbers: Any) -> str:
    return ", ".join(map(str, numbers))


def _dealt(array: Array, axis: int, groups: int) -> Array:
    """Deal channels out like cards, to ``groups`` in turn, instead of cutting them into groups."""
    shape = array.shape
    split = array.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])
    return split.swapaxes(axis, axis + 1).reshape(shape)


def _groups(call: Call, actual: Array) -> Iterator[Alternative]:
    """Let channels meet the wrong kernels."""
    if call.groups == 1:
        return
    image, weight = call.operands["X"], call.operands["weight"]
    per_group = image.shape[1] // call.groups
    for n in dict.fromkeys((call.groups, per_group)):
        detail = "input channels dealt out in turn"
        if call.result == "dX":
            yield Alternative("group-order", detail, call, lambda dX, n=n: _dealt(dX, 1, n))  # type: ignore[misc]
        else:
            yield Alternative("group-order", detail, call.altered(X=_dealt(image, 1, n)))
    outputs = len(weight)
    for n in dict.fromkeys((call.groups, outputs // call.groups)):
        yield _reordered(call, "group-order", "kernels dealt out in turn", lambda w, n=n: _dealt(w, 0, n))  # type: ignore[misc]
        if call.result == "Y":
            detail = "output channels dealt out in turn"
            yield Alternative("group-order", detail, call, lambda Y, n=n: _dealt(Y, 1, n))  # type: ignore[misc]
    backwards = np.arange(image.shape[1]).reshape(call.groups, per_group)[::-1].ravel()
    if call.result != "dX":
        yield Alternative("group-order", "input groups backwards", call.altered(X=image[:, backwards]))
        first = np.tile(image[:, :per_group], (1, call.groups, 1, 1))
        yield Alternative("groups-ignored", "", call.altered(X=first))
    if call.result == "Y":
        order = np.arange(outputs).reshape(call.groups, -1)[::-1].ravel()
        yield Alternative("group-order", "output groups backwards", call, lambda Y: Y[:, order])


def _batch(call: Call, actual: Array) -> Iterator[Alternative]:
    """Take one image for the batch."""
    image = call.operands["X"]
    if len(image) < 2:
        return
    if call.result in ("Y", "dX"):
        yield Alternative("first-image", "", call, lambda Y: np.broadcast_to(Y[:1], Y.shape))
        return
    grad = call.operands["grad_output"]
    for detail, part in (("of the first image", slice(0, 1)), ("of the last image", slice(-1, None))):
        yield Alternative("one-image", detail, call.altered(X=image[part], grad_output=grad[part]))


# --------------------------------------------------------------------------- maxima


def _lowest(dtype: str) -> float:
    return float(np.finfo("float32" if dtype == "bfloat16" else dtype).min)


def _maxima(call: Call, actual: Array) -> Iterator[Alternative]:
    """Lose NaN and minus infinity; give the gradient of equals to others."""
    if call.kind != "max":
        return
    image, lowest = call.operands["X"], _lowest(call.dtype)
    raised: Finish = lambda Y: np.where(np.isneginf(Y), lowest, Y)  # noqa: E731
    if call.result == "Y":
        yield Alternative("infinity-lost", "", call, raised)
    if np.isnan(image).any():
        without = call.altered(X=np.where(np.isnan(image), -np.inf, image).astype(image.dtype))
        yield Alternative("nan-lost", "", without)
        if call.result == "Y":
            yield Alternative("nan-lost", "and minus infinity with it", without, raised)
    if call.result == "Y":
        return
    explicit, finish = _on_explicit_image(call, -np.inf)
    assert finish is not None
    turned = {name: explicit.operands[name][..., ::-1, ::-1] for name in ("X", "grad_output")}
    yield Alternative("ties-last", "", explicit.altered(**turned), lambda dX: finish(dX[..., ::-1, ::-1]))
    for name, evenly in (("ties-split", True), ("ties-all", False)):
        yield Alternative(name, "", _SharedByTies(explicit, evenly), finish)


class _SharedByTies(NamedTuple):
    """A maximum without padding whose gradient goes to all equals of a window: evenly, or whole to each."""

    call: Call
    evenly: bool

    @property
    def is_possible(self) -> bool:
        return self.call.is_possible

    def predict(self) -> Prediction:
        """Return the gradient of the image, and its rounding bound."""
        call = self.call
        image, grad = (call.operands[name].astype(np.longdouble) for name in ("X", "grad_output"))
        taps: list[tuple[Any, ...]] = []
        for p, q in np.ndindex(call.window):
            rows, columns = (
                slice(t * d, t * d + (n - 1) * s + 1, s)
                for t, d, n, s in zip((p, q), call.dilation, call.output_size, call.stride)
            )
            taps.append((..., rows, columns))
        seen = np.stack([image[tap] for tap in taps])
        largest = seen.max(axis=0)
        equal = (seen == largest) | (np.isnan(seen) & np.isnan(largest))
        shares = equal / (equal.sum(axis=0) if self.evenly else np.longdouble(1))
        value, magnitude = np.zeros_like(image), np.zeros_like(image)
        with np.errstate(invalid="ignore"):  # the gradients of outputs that do not count here
            for tap, share in zip(taps, shares):
                value[tap] += np.where(share > 0, share * grad, 0)
                magnitude[tap] += np.where(share > 0, share * np.abs(grad), 0)
        return Prediction(value, (magnitude * bounds.gamma(len(taps) + 1, call.dtype)).astype(np.float64))


#: In the order in which they are tried; of several that explain a result the first is named.
FAMILIES: tuple[Family, ...] = (_pooling, _padding, _geometry, _kernel, _layout, _bias, _groups, _batch, _maxima)
