"""Fresh interpreters: what they find, what they are told, and how their end is put into words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from convbridge import processes


def run(program, *arguments, cwd, **settings):
    command, environment = processes.command(program, *arguments), processes.environment(**settings)
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def test_the_same_modules_from_another_directory(tmp_path, monkeypatch):
    here, elsewhere = tmp_path / "a 'quoted' näme", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    (here / "only_here.py").write_text("WORDS = 'found'")
    (elsewhere / "json.py").write_text("raise ImportError('the working directory is not searched')")
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    done = run("import json, only_here\nprint(only_here.WORDS)", cwd=elsewhere)
    assert (done.returncode, done.stdout) == (0, "found\n"), done.stderr


def test_arguments_arrive_as_they_are(tmp_path):
    arguments = ["", "two words", '["json"]', "-c", "ü"]
    done = run("import sys; assert sys.argv[1:] == " + repr(arguments), *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_environment(monkeypatch):
    monkeypatch.setenv("KEPT", "1")
    for name, default in {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_WAIT_POLICY": "PASSIVE"}.items():
        monkeypatch.delenv(name, raising=False)
        assert processes.environment()[name] == default
        monkeypatch.setenv(name, "a user's own choice")
        assert processes.environment()[name] == "a user's own choice"
    assert processes.environment(KEPT="2")["KEPT"] == "2"
    assert os.environ["KEPT"] == "1"


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("pass", "exit code 0"),
        ("import os; os._exit(3)", "exit code 3"),
        pytest.param(
            "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
            "SIGTERM",
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows has no signals"),
        ),
    ],
)
def test_how_it_ended(program, how, tmp_path):
    assert processes.how_it_ended(run(program, cwd=tmp_path).returncode) == how


def test_a_signal_without_a_name():
    unknown = max(signal.valid_signals()) + 1
    assert processes.how_it_ended(-unknown) == f"signal {unknown}"
