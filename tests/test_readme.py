"""What the README shows is run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import convbridge

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_tour_runs_and_prints_what_its_comments_say():
    missing = set(convbridge.registry.BUILTIN) - set(convbridge.available_backends())
    if missing:
        pytest.skip(f"the tour shows all four frameworks, and these are not installed: {', '.join(sorted(missing))}")
    tour, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    run = subprocess.run([sys.executable, "-c", tour], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    printed = " ".join(run.stdout.split())
    assert printed.startswith("[[19. 25.] [37. 43.]] tensor([[19., 25.], [37., 43.]])")
    assert "[[2. 3.] [5. 6.]] <NDArray 2x2 @cpu(0)>" in printed
    assert printed.endswith("(15, 15)")


def test_the_layer_that_was_moved_fails_for_the_cause_that_is_shown():
    if not {"torch", "tensorflow"} <= set(convbridge.available_backends()):
        pytest.skip("the example moves a layer from PyTorch to Keras, and not both are installed")
    _, example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    run = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 1
    assert "ParityError" in run.stderr
    (shown,) = re.findall(r"```text\nlikely cause: (.*?) \(", README)
    assert f"likely cause: {shown}" in run.stderr


def test_the_commands_of_the_readme_exist():
    pytest.importorskip("typer", reason="the command line is an extra")
    from convbridge.teaching import examples

    names = {example.name for example in examples.EXAMPLES}
    for command in re.findall(r"^convbridge (\w+)(.*?)(?:#.*)?$", README, re.MULTILINE):
        run = subprocess.run(
            [sys.executable, "-m", "convbridge.cli", command[0], "--help"], capture_output=True, check=False
        )
        assert run.returncode == 0, command
    for wanted in re.search(r"convbridge compare (corr2d .*?)#", README).group(1).split():
        assert wanted in names


def test_the_selection_order_is_the_one_of_the_code():
    """The README's list and the docstring of the one function's module say the same."""
    from convbridge import selection

    listed = re.findall(r"^\d\. (.*?)[;.]$", README.split("## Which backend runs")[1].split("##")[0], re.MULTILINE)
    coded = re.findall(r"^\d\. (.*?)[;.]$", selection.__doc__, re.MULTILINE)
    strip = [re.sub(r"[`*]|the innermost |the argument |with ", "", line).replace("``", "") for line in listed]
    assert len(listed) == len(coded) == 6
    for short, long in zip(strip, coded):
        assert short.split()[0].strip("`") in long
