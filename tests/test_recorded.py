"""Recorded vectors: written, read, compared; and every file that must be refused."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from convbridge import parity
from convbridge.errors import ArgumentError
from convbridge.parity import recorded
from convbridge.parity.cases import random_cases
from convbridge.parity.choose import chooser
from convbridge.parity.gradient_cases import random_gradient_case
from convbridge.parity.lattice import lattice

#: The four frameworks' answers for the whole lattice, on NumPy 1.26.
SHIPPED = Path(__file__).parent / "data" / "lattice.npz"

CASES = [
    *lattice(chooser("conv2d and stride2-bias and (float32 or float16)")),
    *random_cases(20, 2),
    *random_cases(20, 2, random_gradient_case),
]


@pytest.fixture(scope="module")
def good():
    recorder = recorded.Recorder()
    matrix = parity.run_matrix(["numpy"], cases=CASES, watch=recorder)
    stream = io.BytesIO()
    recorder.write(stream, matrix.participants, matrix.facts)
    return stream.getvalue()


def test_what_is_read_is_what_was_computed(good):
    vectors = recorded.read(io.BytesIO(good))
    assert [case.name for case in vectors.cases] == [case.name for case in CASES]
    assert vectors.facts["numpy"] == np.__version__
    assert vectors.facts["platform"]
    matrix = parity.run_matrix(["numpy"], cases=vectors.cases, records=[vectors])
    assert matrix.agrees, matrix.failures[:3]
    pairs = [c for c in matrix.comparisons if (c.left, c.right) == ("numpy", "numpy (recorded)")]
    assert {c.verdict for c in pairs} == {"equal"}
    assert any(c.verdict == "unsupported" and c.left == "numpy (recorded)" for c in matrix.comparisons)


def test_a_recorded_mistake_is_found(good):
    vectors = recorded.read(io.BytesIO(good))
    keys = [key for key, outcome in vectors._outcomes.items() if "conv2d/" in key[0] and outcome.status == "answered"]
    wrong = vectors._outcomes[keys[0]].values["Y"].copy()
    wrong.flat[-1] += 1
    vectors._outcomes[keys[0]] = vectors._outcomes[keys[0]]._replace(values={"Y": wrong})
    matrix = parity.run_matrix(["numpy"], cases=vectors.cases, records=[vectors])
    assert {c.case for c in matrix.failures} == {keys[0][0]}
    assert {(c.left, c.right) for c in matrix.failures} == {
        ("numpy (recorded)", "oracle"),
        ("numpy", "numpy (recorded)"),
    }


def test_the_file_has_no_pickle_and_no_clock(good):
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        assert set(archive.namelist()) >= {"manifest.npy", "checksum.npy", "float32.npy"}
        for name in archive.namelist():
            assert archive.read(name)[:6] == b"\x93NUMPY"
            assert b"|O" not in archive.read(name)[:128]


def test_equal_arrays_are_stored_once():
    recorder = recorded.Recorder()
    matrix = parity.run_matrix(["numpy"], cases=CASES[:4], watch=recorder)
    once = io.BytesIO()
    recorder.write(once, matrix.participants, matrix.facts)
    recorder.cases *= 2
    twice = io.BytesIO()
    recorder.write(twice, matrix.participants, matrix.facts)
    with zipfile.ZipFile(once) as a, zipfile.ZipFile(twice) as b:
        assert a.getinfo("float32.npy").file_size == b.getinfo("float32.npy").file_size


def rewritten(good, change):
    """Return the file with its manifest changed and its checksum right again."""
    with np.load(io.BytesIO(good)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    manifest = json.loads(arrays["manifest"].tobytes())
    change(manifest)
    text = json.dumps(manifest).encode()
    arrays["manifest"] = np.frombuffer(text, np.uint8)
    arrays["checksum"] = np.frombuffer(recorded.hashlib.sha256(text).digest(), np.uint8)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def archive_of(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def with_a_bit_flipped(good, member):
    with np.load(io.BytesIO(good)) as archive:
        arrays = {name: archive[name].copy() for name in archive.files}
    arrays[member].view(np.uint8)[arrays[member].nbytes // 2] ^= 1
    return archive_of(**arrays)


BAD = {
    "empty": (lambda good: b"", "no archive, or it is cut off"),
    "text": (lambda good: b"not an archive", "no archive, or it is cut off"),
    "cut in half": (lambda good: good[: len(good) // 2], "no archive, or it is cut off"),
    "cut at the end": (lambda good: good[:-30], "no archive, or it is cut off"),
    "a byte changed": (lambda good: good[:3000] + bytes([good[3000] ^ 1]) + good[3001:], "it is damaged|are damaged"),
    "one array": (lambda good: (s := io.BytesIO(), np.save(s, np.ones(3)))[0].getvalue(), "no archive"),
    "a pickle": (lambda good: archive_of(manifest=np.array([{}], dtype=object), checksum=np.ones(3)), "it is damaged"),
    "foreign": (lambda good: archive_of(weights=np.ones(3)), "an archive of something else"),
    "foreign manifest": (lambda good: rewritten(good, lambda m: m.update(format="other")), "archive of something else"),
    "newer": (lambda good: rewritten(good, lambda m: m.update(schema=recorded.SCHEMA + 1)), "newer version wrote it"),
    "manifest damaged": (lambda good: with_a_bit_flipped(good, "manifest"), "description is damaged"),
    "numbers damaged": (lambda good: with_a_bit_flipped(good, "float32"), "numbers of float32 are damaged"),
    "does not fit": (
        lambda good: rewritten(good, lambda m: m["cases"][0]["case"]["arrays"]["X"].__setitem__(1, 10**12)),
        "it is damaged",
    ),
    "without cases": (lambda good: rewritten(good, lambda m: m.pop("cases")), "it is damaged"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_with_the_reason(good, tmp_path, kind):
    make, reason = BAD[kind]
    path = tmp_path / "vectors.npz"
    path.write_bytes(make(good))
    with pytest.raises(ArgumentError, match=reason) as raised:
        recorded.read(path)
    assert "vectors.npz" in str(raised.value)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "vectors.npz"
    path.write_bytes(b"precious")
    recorder = recorded.Recorder()
    matrix = parity.run_matrix(["numpy"], cases=CASES[:2], watch=recorder)
    with pytest.raises(TypeError):
        recorder.write(path, matrix.participants, {"date": {1}})
    assert path.read_bytes() == b"precious"
    recorder.write(path, matrix.participants, matrix.facts)
    assert len(recorded.read(path).cases) == 2
    assert [one.name for one in tmp_path.iterdir()] == ["vectors.npz"]


def test_every_backend_agrees_with_the_shipped_vectors(backend):
    vectors = recorded.read(SHIPPED)
    assert {one.backend for one in vectors.participants} == {"numpy", "torch", "tensorflow", "mxnet"}
    assert not any(one.problem for one in vectors.participants)
    assert [case.name for case in vectors.cases] == [case.name for case in lattice()]
    matrix = parity.run_matrix([backend], cases=vectors.cases[::5], records=[vectors])
    assert matrix.agrees, matrix.failures[:3]
    assert len(matrix.comparisons) > 5000


def test_the_shipped_inputs_are_those_of_the_lattice():
    for recorded_case, case in zip(recorded.read(SHIPPED).cases, lattice(), strict=True):
        for name, operand in case.operands.items():
            np.testing.assert_array_equal(recorded_case.operands[name].values, operand.values)
        assert recorded_case.keywords == dict(case.keywords)
