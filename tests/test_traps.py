"""What the frameworks get wrong, kill the process with, or are silent about: what convbridge answers instead.

The programs in ``traps/`` run in processes of their own, because the native
operators would take this one with them; TensorFlow and MXNet with oneDNN on and
off, which is what two processors make of the same program. What leaves a
process alive is in ``test_divergences.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import convbridge_numpy
import pytest

import convbridge
from convbridge import (
    processes,
)

FOLDER = Path(__file__).with_name("traps")

TENSORFLOW = ("tensorflow with oneDNN", "tensorflow without oneDNN")
MXNET = ("mxnet with oneDNN", "mxnet without oneDNN")
TORCH = ("torch",)

#: What the processes differ in.
_SETTINGS = {
    "tensorflow with oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "1"},
    "tensorflow without oneDNN": {"TF_ENABLE_ONEDNN_OPTS": "0"},
    "mxnet with oneDNN": {"MXNET_MKLDNN_ENABLED": "1"},
    "mxnet without oneDNN": {"MXNET_MKLDNN_ENABLED": "0", "MXNET_STORAGE_FALLBACK_LOG_VERBOSE": "0"},
    "torch": {},
}

#: Mode to the traps that a test asks it for.
_asked_for = {mode: set() for mode in _SETTINGS}


def _environment(**settings):
    """Return the environment of a process that finds the code under test and nobody's choices."""
    here = {str(Path(package.__file__).resolve().parents[1]) for package in (convbridge, convbridge_numpy)}
    path = [*sorted(here), os.environ.get("PYTHONPATH", "")]
    ours = {
        "PYTHONPATH": os.pathsep.join(part for part in path if part),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # memory that nobody initialised holds no zeros, which could be taken for an answer
        "MALLOC_PERTURB_": "165",
    }
    dropped = ("CONVBRIDGE_BACKEND", "OMP_NUM_THREADS", "KERAS_BACKEND")
    return {**{name: value for name, value in os.environ.items() if name not in dropped}, **ours, **settings}


def _how_it_ended(returncode):
    if returncode is None:
        return "it hung"
    return processes.how_it_ended(returncode)


class Outcome:
    """What one process said about its traps, and how it ended."""

    def __init__(self, mode):
        self.mode = mode
        script = FOLDER / f"in_{mode.partition(' ')[0]}.py"
        try:
            done = subprocess.run(
                [sys.executable, str(script)],
                env=_environment(**_SETTINGS[mode]),
                capture_output=True,
                text=True,
                timeout=180,
            )
            self.returncode, output, self.stderr = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired as error:
            self.returncode = None
            output, self.stderr = ((text or b"").decode() for text in (error.stdout, error.stderr))
        self.errors, self.last, self.finished = {}, "nothing", False
        for line in output.splitlines():
            said = json.loads(line)
            self.last = said.get("started", self.last)
            self.finished = said.get("finished", self.finished)
            if "trap" in said:
                self.errors[said["trap"]] = said["error"]

    def demand(self, trap):
        if trap not in self.errors:
            pytest.fail(
                f"no answer to {trap} ({self.mode}): {_how_it_ended(self.returncode)}, while {self.last} ran. "
                f"stderr ends: {self.stderr[-2000:]}"
            )
        if self.errors[trap]:
            pytest.fail(f"{trap} ({self.mode})\n{self.errors[trap]}", pytrace=False)


def _is_here(framework):
    return framework in convbridge.available_backends()


@pytest.fixture(scope="session")
def outcomes():
    """Start all the processes, two at a time, and let every test wait for its own."""
    with ThreadPoolExecutor(2) as pool:
        started = {mode: pool.submit(Outcome, mode) for mode in _SETTINGS if _is_here(mode.partition(" ")[0])}
        yield {mode: future.result for mode, future in started.items()}


def _needs(mode):
    framework = mode.partition(" ")[0]
    return pytest.param(mode, marks=pytest.mark.skipif(not _is_here(framework), reason=f"{framework} is not installed"))


def springs(trap, *groups):
    """Run a test for each process that has met a trap."""
    modes = [mode for group in groups for mode in group]
    for mode in modes:
        _asked_for[mode].add(trap)
    return pytest.mark.parametrize("mode", [_needs(mode) for mode in modes])


# --------------------------------------------------------------------------- T1 to T8: the process dies


@springs("T1", TENSORFLOW)
def test_t1_rank(mode, outcomes):
    """tf.nn.conv2d aborts the process on an image of less than four axes, and accepts five."""
    outcomes[mode]().demand("T1")


@springs("T2", TENSORFLOW)
def test_t2_pool_larger_than_image(mode, outcomes):
    """tf.nn.max_pool2d divides by zero when its window is one larger than the image."""
    outcomes[mode]().demand("T2")


@springs("T3", TENSORFLOW)
def test_t3_integers_beyond_32_bits(mode, outcomes):
    """TensorFlow aborts the process on a stride that does not fit into 32 bits."""
    outcomes[mode]().demand("T3")


@springs("T4", TENSORFLOW)
def test_t4_huge_padding(mode, outcomes):
    """An explicit padding of 2**20 is a segmentation fault in TensorFlow, one near 2**31 a hang."""
    outcomes[mode]().demand("T4")


@springs("T5", TENSORFLOW)
def test_t5_strided_1x1_gradient(mode, outcomes):
    """Training a 1x1 convolution with a stride and few channels corrupts TensorFlow's heap within 200 steps."""
    outcome = outcomes[mode]()
    outcome.demand("T5")
    # A corrupted heap often shows only when it is taken down.
    assert outcome.returncode == 0, _how_it_ended(outcome.returncode)


@springs("T6", MXNET)
def test_t6_no_groups(mode, outcomes):
    """MXNet divides by num_group=0, and the process dies."""
    outcomes[mode]().demand("T6")


@springs("T7", MXNET)
def test_t7_threads_that_share_arrays(mode, outcomes):
    """MXNet's backward pass crashes in threads that share an array; under convbridge's lock it is right."""
    outcomes[mode]().demand("T7")


@springs("T8", TORCH, TENSORFLOW, MXNET)
def test_t8_another_process(mode, outcomes):
    """A child forked after an operation hangs in PyTorch and TensorFlow; a spawned one computes."""
    outcomes[mode]().demand("T8")


# --------------------------------------------------------------------------- T9 to T16: silent garbage


@springs("T9", TENSORFLOW)
def test_t9_one_column_of_output(mode, outcomes):
    """TensorFlow returns uninitialised memory for one channel, a stride along the width and one output column."""
    outcomes[mode]().demand("T9")


@springs("T10", TENSORFLOW)
def test_t10_output_of_size_zero(mode, outcomes):
    """A kernel larger than the image returns uninitialised memory in the shape of the input, its gradient too."""
    outcomes[mode]().demand("T10")


@springs("T11", TENSORFLOW)
def test_t11_empty_batch(mode, outcomes):
    """TensorFlow gives an empty batch the height, width and channels of the input."""
    outcomes[mode]().demand("T11")


@springs("T12", MXNET)
def test_t12_second_read_after_an_error(mode, outcomes):
    """MXNet delivers an error once; who reads the array again gets uninitialised memory."""
    outcomes[mode]().demand("T12")


@springs("T13", MXNET, TENSORFLOW)
def test_t13_windows_of_padding_alone(mode, outcomes):
    """MXNet pools a window of padding alone to the lowest finite number."""
    outcomes[mode]().demand("T13")


@springs("T14", TORCH, MXNET)
def test_t14_sizes_that_wrap(mode, outcomes):
    """PyTorch's dilation and MXNet's padding wrap around at 2**63 and 2**31, and a result comes back."""
    outcomes[mode]().demand("T14")


@springs("T15", TENSORFLOW)
def test_t15_batch_padding(mode, outcomes):
    """TensorFlow takes padding of the batch axis and ignores it."""
    outcomes[mode]().demand("T15")


@springs("T16", TORCH, MXNET)
def test_t16_negative_padding(mode, outcomes):
    """Negative padding crops in MXNet and in PyTorch's pad."""
    outcomes[mode]().demand("T16")


# --------------------------------------------------------------------------- T17 to T24: wrong numbers


@springs("T17", TENSORFLOW)
def test_t17_depthwise_with_stride_and_dilation(mode, outcomes):
    """tf.nn.depthwise_conv2d computes something else with a stride and a dilation."""
    outcomes[mode]().demand("T17")


@springs("T18", MXNET)
def test_t18_gradient_of_ceil_average(mode, outcomes):
    """In ceil mode MXNet's average has a gradient that is not its derivative."""
    outcomes[mode]().demand("T18")


@springs("T19", TENSORFLOW, MXNET)
def test_t19_demotion(mode, outcomes):
    """Frameworks turn float64 into float32, and a float kernel into an integer one, without a word."""
    outcomes[mode]().demand("T19")


@springs("T20", TENSORFLOW)
def test_t20_channels_that_become_groups(mode, outcomes):
    """TensorFlow takes a kernel with too few channels for a grouped convolution."""
    outcomes[mode]().demand("T20")


@springs("T21", TENSORFLOW)
def test_t21_fractions(mode, outcomes):
    """TensorFlow cuts a stride of 1.5 to 1."""
    outcomes[mode]().demand("T21")


@springs("T22", TENSORFLOW, MXNET)
def test_t22_gradient_of_the_loop(mode, outcomes):
    """The chapter's loop as it was printed has no gradient in TensorFlow, and raises in MXNet."""
    outcomes[mode]().demand("T22")


@springs("T23", TORCH)
def test_t23_nnpack(mode, outcomes):
    """Without oneDNN PyTorch gives batches of 16 to NNPACK, which breaks the rounding bound."""
    outcomes[mode]().demand("T23")


@springs("T23-threads", TORCH)
def test_t23_nnpack_in_threads(mode, outcomes):
    """The switch that keeps NNPACK off belongs to the process: threads must not restore it too early."""
    outcomes[mode]().demand("T23-threads")


@springs("T24", TORCH)
def test_t24_edits_between_forward_and_backward(mode, outcomes):
    """An edit through .data between forward and backward gives a wrong gradient; convbridge makes none."""
    outcomes[mode]().demand("T24")


# --------------------------------------------------------------------------- T25: the wrong address


@springs("T25", MXNET)
def test_t25_errors_at_the_wrong_address(mode, outcomes):
    """MXNet reports an error at whatever operation waits next, or never; convbridge reports it at the call."""
    outcomes[mode]().demand("T25")


@springs("gradients", TENSORFLOW)
def test_gradients_that_processors_lack(mode, outcomes):
    """Row 43: whether grouped and dilated kernels have gradients depends on the processor and the dtype."""
    outcomes[mode]().demand("gradients")


@pytest.mark.parametrize("mode", [_needs(mode) for mode in _SETTINGS])
def test_every_process_ends_well_and_every_trap_has_a_test(mode, outcomes):
    outcome = outcomes[mode]()
    assert outcome.finished
    assert outcome.returncode == 0, f"{_how_it_ended(outcome.returncode)}\n{outcome.stderr[-2000:]}"
    assert set(outcome.errors) == _asked_for[mode]


# --------------------------------------------------------------------------- the import of MXNet


def _run(code, *options, **settings):
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        env=_environment(**settings),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{_how_it_ended(done.returncode)}\n{done.stderr}"
    return done


mxnet_only = pytest.mark.skipif(not _is_here("mxnet"), reason="mxnet is not installed")


@mxnet_only
def test_importing_mxnet_leaves_no_trace_in_numpy_and_says_nothing():
    code = """
import types
import numpy as np
before = dict(vars(np))
import convbridge
mx = convbridge.import_framework("mxnet")
Y = convbridge.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), backend="mxnet")
assert Y.asnumpy().tolist() == [[[[4, 4], [4, 4]]]]
after = dict(vars(np))
# what NumPy itself imports when it is asked for: its submodules, and what its own __getattr__ put there
new = {name: value for name, value in after.items() if name not in before}
left = {name: value for name, value in new.items() if not isinstance(value, types.ModuleType)}
assert not left, left
assert all(value.__name__ == "numpy." + name for name, value in new.items()), new
assert {name for name in before if name not in after} == set()
changed = [name for name, value in before.items() if after[name] is not value and not name.startswith("__")]
assert changed == [], changed
for name in ("bool", "int", "float", "object"):
    if name not in before:
        assert name not in vars(np)
assert mx.nd.ones((2,)).asnumpy().tolist() == [1, 1]
"""
    done = _run(code, "-W", "error")
    assert (done.stdout, done.stderr) == ("", "")


@mxnet_only
@pytest.mark.skipif(not _is_here("torch"), reason="torch is not installed")
def test_importing_mxnet_leaves_torch_its_threads():
    """Row 98: MXNet halves the threads of the OpenMP runtime that it shares with PyTorch."""
    first = """
import os, torch
alone = torch.get_num_threads()
import convbridge
convbridge.import_framework("mxnet")
print(alone, torch.get_num_threads(), "OMP_NUM_THREADS" in os.environ)
"""
    second = """
import os, convbridge
convbridge.import_framework("mxnet")
import torch
print(torch.get_num_threads(), "OMP_NUM_THREADS" in os.environ)
"""
    chosen = """
import torch
torch.set_num_threads(3)
import convbridge
convbridge.import_framework("mxnet")
print(torch.get_num_threads())
"""
    alone, after, left = _run(first).stdout.split()
    assert (after, left) == (alone, "False")
    assert _run(second).stdout.split() == [alone, "False"]
    assert _run(chosen).stdout.split() == ["3"]
