"""The worked example of a third-party backend, installed beside convbridge in an environment of its own.

What runs there is what a user runs: the wheels of convbridge and of the example, their entry points, the conformance
tests by ``--pyargs``. NumPy, SciPy and pytest are those of this environment, found through a ``.pth`` file, so that
nothing large is installed again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "third_party_backend"
CONFORMANCE = ("-m", "pytest", "--pyargs", "convbridge.conformance", "--convbridge-backends=scipy", "-q", "-rs")


def call(*command, cwd, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CONVBRIDGE", "PY"))}
    return subprocess.run(
        command, cwd=cwd, env={**environment, **variables}, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with an environment in ``venv``, in which both packages are installed."""
    folder = tmp_path_factory.mktemp("third_party")
    # a checkout has convbridge's source; where only the tests were copied, this environment has its wheel
    projects = [ROOT, EXAMPLE] if (ROOT / "convbridge").is_dir() else [EXAMPLE]
    python = folder / "venv" / "bin" / "python"
    steps = [
        (sys.executable, "-m", "venv", "--without-pip", "venv"),
        (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "wheels", *map(str, projects)),
        (sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"),
    ]
    for step in steps:
        wheels = map(str, (folder / "wheels").glob("*.whl")) if "--no-index" in step else ()
        done = call(*step, *wheels, cwd=folder)
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
    (site_packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    here = [path for path in sys.path if Path(path).name == "site-packages"]
    (site_packages / "environment_of_the_tests.pth").write_text("\n".join(here))
    return folder


def python(home, *arguments, **variables):
    return call(str(home / "venv" / "bin" / "python"), *arguments, cwd=home, **variables)


def test_the_backend_is_found_and_computes(home):
    program = (
        "import convbridge, sys; assert 'scipy' not in sys.modules; "
        "print(convbridge.available_backends()[-1], convbridge.__file__); "
        "print(convbridge.corr2d([[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[0, 1], [2, 3]], backend='sp').tolist())"
    )
    done = python(home, "-c", program)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    name, _, file = first.partition(" ")
    assert name == "scipy"
    assert Path(file).parent.parent.name == "site-packages"
    assert second == "[[19.0, 25.0], [37.0, 43.0]]"


def test_it_conforms(home):
    done = python(home, *CONFORMANCE)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.strip().splitlines()[-1]
    assert " passed" in last
    assert "failed" not in last
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    reasons = ("has no bfloat16", "have no half precision", "it has no listing.py")
    assert skipped
    assert all(any(reason in line for reason in reasons) for line in skipped), skipped


def test_a_sabotaged_copy_does_not_conform(home, tmp_path):
    """The copy comes first on the path, so the entry point finds it."""
    shutil.copytree(EXAMPLE / "convbridge_scipy", tmp_path / "convbridge_scipy")
    ops = tmp_path / "convbridge_scipy" / "ops.py"
    text = ops.read_text(encoding="utf-8")
    assert "if not missing.any():" in text
    ops.write_text(text.replace("if not missing.any():", "if True:"), encoding="utf-8")
    done = python(home, *CONFORMANCE, "-k", "max_pool2d or SPEC", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    assert " failed" in done.stdout
    assert "not nan" in done.stdout
    assert "again: convbridge parity --only " in done.stdout
    assert " passed" in done.stdout.strip().splitlines()[-1]  # its description is still right
