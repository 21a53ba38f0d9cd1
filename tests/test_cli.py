"""The command line: the program itself, its backends, and the commands compare and shapes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import convbridge
from convbridge import registry
from convbridge.cli import main
from convbridge.teaching import networks

PHOTO = Path(__file__).parent / "data" / "photo.jpg"


def start(*arguments, path=(), **environment):
    """Run a command in a process of its own."""
    folders = [*map(str, path), *(entry for entry in sys.path if entry)]
    return subprocess.run(
        [sys.executable, "-m", "convbridge.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders), "COLUMNS": "80", **environment},
    )


# --------------------------------------------------------------------------- the program itself


def test_version(run):
    assert run("--version") == (0, f"convbridge {convbridge.__version__}\n", "")


def test_help(run):
    for arguments in (["--help"], ["-h"], *([name, "--help"] for name in ("backends", "compare", "filter", "shapes"))):
        code, out, err = run(*arguments)
        assert (code, err) == (0, "")
        assert out.startswith("Usage: convbridge")
        assert max(map(len, out.splitlines())) <= 80


def test_no_arguments_show_the_help(run):
    code, out, err = run()
    assert (code, err) == (2, "")
    assert "Usage" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["foo"], "No such command"),
        (["compare", "--foo"], "No such option"),
        (["filter", "x.png"], "Missing option"),
        (["shapes", "conv 3"], "Missing option '--input'"),
        (["shapes", "conv 3", "--input", "8", "--channels", "x"], "--channels"),
    ],
)
def test_bad_usage(fails, arguments, message):
    line = fails(*arguments)
    assert message in line
    assert "--help" in line


def test_help_imports_no_framework_and_little_else():
    program = (
        "import sys; from convbridge.cli import main; main(['--help']); "
        "bad = {'torch', 'tensorflow', 'mxnet', 'PIL', 'rich.syntax', 'importlib.metadata'} & set(sys.modules); "
        "sys.exit(str(bad) if bad - {'importlib.metadata'} else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["typer", "rich", "PIL"])
def test_a_missing_extra_is_one_line(tmp_path, missing):
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules[{missing!r}] = None\n")
    done = start("filter", PHOTO, "--kernel", "box", "--output", tmp_path / "out.png", path=[tmp_path])
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert "pip install 'convbridge[cli]'" in done.stderr


def test_a_mistake_of_ours_is_not_hidden(monkeypatch):
    def broken(arguments):
        raise ModuleNotFoundError("no module", name="something_else")

    monkeypatch.setattr("convbridge.cli._run", broken)
    with pytest.raises(ModuleNotFoundError):
        main(["backends"])


def test_ctrl_c_is_quiet(run, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("convbridge.teaching.stack.walk", interrupted)
    assert run("shapes", "conv 3", "--input", "8") == (130, "", "")


@pytest.mark.skipif(os.name == "nt", reason="sends a signal of POSIX")
def test_ctrl_c_leaves_no_file(tmp_path):
    program = (
        "import os, signal, sys; from convbridge.cli import main; from convbridge.commands import images\n"
        "from PIL import Image\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell ignores it in what runs behind a &
        "def save(self, file, **options):\n"
        "    file.write(b'half'); os.kill(os.getpid(), signal.SIGINT)\n"
        "Image.Image.save = save\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "filter", PHOTO, "--kernel", "box", "--output", tmp_path / "out.png"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_hears_nothing():
    command = [sys.executable, "-m", "convbridge.cli", "compare", "--backends", "numpy"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait() == 141
    assert said == ""


# --------------------------------------------------------------------------- backends


def test_backends_as_json(run):
    code, out, err = run("backends", "--json")
    assert (code, err) == (0, "")
    found = {entry["backend"]: entry for entry in json.loads(out)["backends"]}
    assert list(found) == list(registry.names())
    for name in registry.names():
        installed = name in convbridge.available_backends()
        assert found[name]["state"] == ("ready" if installed else "missing"), found[name]["problem"]
        assert found[name]["install"] == registry.spec(name).install_hint
        if installed:
            assert re.match(r"\d+\.\d+", found[name]["version"])
            assert found[name]["devices"]
            assert 0 < found[name]["seconds"] < 300


@pytest.fixture
def third_party(register):
    """Write a backend that takes everything but its arrays from NumPy's."""

    def write(folder, name, *, framework, arrays, hint="pip install it"):
        package = folder / f"{name}_package"
        package.mkdir()
        facts = f"name={name!r}, package={package.name!r}, framework={framework!r}, install_hint={hint!r}"
        (package / "__init__.py").write_text(
            f"from convbridge.protocol import BackendSpec\nSPEC = BackendSpec({facts})\n"
        )
        (package / "arrays.py").write_text(arrays)
        for module in ("ops", "chapter", "layers"):
            (package / f"{module}.py").write_text(f"from convbridge_numpy.{module} import *\n")
        register(folder, package.name, name)

    return write


@pytest.fixture
def crowd(tmp_path, register, third_party):
    """A missing backend, one that does not import, and one that ends the process."""
    folder = tmp_path / "site"
    folder.mkdir()
    third_party(folder, "absent", framework="no_such_framework", arrays="")
    third_party(folder, "broken", framework="numpy", arrays="raise ImportError('lib.so: not found')")
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)" if os.name != "nt" else "import os; os._exit(3)"
    third_party(folder, "crashing", framework="numpy", arrays=crash)
    register(folder, "nothing_here", "unreadable")
    return folder


def test_backends_that_do_not_work(crowd, findable, run, monkeypatch):
    findable(crowd)
    # the others are asked above, and their imports take most of the time
    monkeypatch.setattr(registry, "names", lambda: ("numpy", "absent", "broken", "crashing", "unreadable"))
    code, out, err = run("backends", "--json")
    assert (code, err) == (0, "")
    found = {entry["backend"]: entry for entry in json.loads(out)["backends"]}
    assert found["numpy"]["state"] == "ready"
    assert found["absent"]["state"] == "missing"
    assert found["absent"]["install"] == "pip install it"
    assert found["broken"]["state"] == "broken"
    assert "lib.so: not found" in found["broken"]["problem"]
    assert found["crashing"]["state"] == "broken"
    assert found["unreadable"]["state"] == "broken"
    if os.name != "nt":
        assert signal.Signals.SIGSEGV.name in found["crashing"]["problem"]

    code, out, err = run("backends")
    assert (code, err) == (0, "")
    assert "absent is not installed. To install it:\n  pip install it" in out
    assert "broken is installed and does not work" in out


# --------------------------------------------------------------------------- compare


def test_compare_all_backends():
    """On the screen there is nothing but the comparison, whatever the frameworks print."""
    names = convbridge.available_backends()
    done = start("compare", "corr2d", "channels-1x1", "pool-layer")
    assert (done.returncode, done.stderr) == (0, "")
    for name in names:
        assert f"─ {name} " in done.stdout
    assert done.stdout.count("def corr2d(") == len(names)
    assert "[[19. 25.]" in done.stdout
    noun = "backend" if len(names) == 1 else "backends"
    assert f"3 examples on {len(names)} {noun} ({', '.join(names)}): no real difference" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout


def test_compare_side_by_side(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    names = convbridge.available_backends()
    code, out, _ = run("compare", "corr2d")
    assert code == 0
    frames = [line for line in out.splitlines() if line.startswith("╭")]
    assert len(frames) == -(-len(names) // 2)


def test_compare_as_json(run, backend):
    code, out, err = run("compare", "corr2d", "pool-avg", "--json", "--backends", backend)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["agrees"] is True
    assert [example["name"] for example in found["examples"]] == ["corr2d", "pool-avg"]
    corr2d = found["examples"][0]
    assert corr2d["inputs"] == {"X": [[0, 1, 2], [3, 4, 5], [6, 7, 8]], "K": [[0, 1], [2, 3]]}
    assert corr2d["verdict"]["kind"] == "equal"
    assert [entry["backend"] for entry in corr2d["backends"]] == [backend]
    assert "def corr2d(" in corr2d["backends"][0]["source"]
    for result in corr2d["backends"][0]["results"]:
        assert result["output"] == [[19, 25], [37, 43]]
        assert result["dtype"] == "float32"


def test_compare_a_layer_with_its_bias(run):
    code, out, _ = run("compare", "layer-bias", "--backends", "numpy")
    assert code == 0
    assert "b = [0.5]" in out
    assert "class Conv2D:" in out
    for call in ("chapter.Conv2D((2, 2))(X)", "Conv2D(2)(X[None, None])[0, 0]", "bias=b)[0, 0]"):
        assert call in out
    assert out.count("[[19.5 25.5]") == 3


def test_compare_lists_examples(run):
    code, out, _ = run("compare", "--list")
    assert code == 0
    assert out.splitlines()[0].startswith("corr2d ")
    code, out, _ = run("compare", "--list", "--json", "edges")
    assert len(json.loads(out)) == 4


def test_sources_are_printed_once_unless_asked(run):
    _, out, _ = run("compare", "corr2d", "edges-vertical", "--backends", "numpy")
    assert out.count("def corr2d(") == 1
    assert "# corr2d: see corr2d, above" in out
    _, out, _ = run("compare", "corr2d", "edges-vertical", "--backends", "numpy", "--all-sources")
    assert out.count("def corr2d(") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["corr2"], "Did you mean 'corr2d'"),
        (["--backends", "nonsense"], "must be one of numpy"),
        (["--backends", " , "], "--backends must name at least one"),
    ],
)
def test_compare_bad_usage(fails, arguments, message):
    assert message in fails("compare", *arguments)


def test_compare_with_missing_and_broken_backends(crowd):
    done = start("compare", "corr2d", "--backends", "numpy,absent", path=[crowd])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install it" in done.stderr


def test_compare_says_who_took_no_part(crowd, findable, run):
    shutil.rmtree(crowd / "crashing_package-1.0.dist-info")
    findable(crowd)
    code, out, err = run("compare", "corr2d")
    assert "no real difference" in out
    assert "absent is not installed and took no part: pip install it" in out
    assert code == 2
    assert "broken is installed and does not work" in err
    assert "unreadable is installed and does not work" in err


WRONG_OPS = """
from convbridge_numpy.ops import *
from convbridge_numpy import ops as base

def conv2d(X, weight, bias, **keywords):
    Y = base.conv2d(X, weight, bias, **keywords)
    Y[..., 0, 0] += 1
    return Y
"""

RAISING_OPS = """
from convbridge_numpy.ops import *

def conv2d(X, weight, bias, **keywords):
    raise RuntimeError("out of order")
"""


@pytest.mark.parametrize(
    ("ops", "words"),
    [(WRONG_OPS, "REAL DIFFERENCE: 1 between"), (RAISING_OPS, "RuntimeError: out of order")],
    ids=["wrong", "raising"],
)
def test_a_wrong_backend_turns_the_comparison_red(tmp_path, third_party, ops, words):
    third_party(tmp_path, "wrong", framework="numpy", arrays="from convbridge_numpy.arrays import *\n")
    (tmp_path / "wrong_package" / "ops.py").write_text(textwrap.dedent(ops))
    done = start("compare", "corr2d", "pool-max", "--backends", "numpy,wrong", path=[tmp_path])
    assert done.returncode == 1, done.stderr
    assert words in " ".join(done.stdout.split())
    assert "1 with a real difference or an error" in done.stdout
    done = start("compare", "corr2d", "--backends", "numpy,wrong", "--json", path=[tmp_path])
    assert done.returncode == 1
    assert json.loads(done.stdout)["agrees"] is False
    done = start("compare", "pool-max", "--backends", "numpy,wrong", path=[tmp_path])
    assert done.returncode == 0


# --------------------------------------------------------------------------- shapes


def test_shapes(run):
    code, out, err = run("shapes", "conv 11 s4 p2 c96 | pool 3 s2", "--input", "224", "--channels", "3")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()[1:4]]
    assert lines[0] == ["input", "224x224", "3", "1x1", "1"]
    assert lines[1] == ["1", "conv", "11", "s4", "p2", "c96", "55x55", "96", "11x11", "4", "34,944", "105,415,200"]
    assert lines[2] == ["2", "pool", "3", "s2", "27x27", "96", "19x19", "8", "0", "0"]
    assert out.splitlines()[4].split() == ["in", "all", "34,944", "105,415,200"]


def test_shapes_as_json(run):
    code, out, _ = run("shapes", "10 * conv 5", "--input", "240x300", "--json")
    assert code == 0
    last = json.loads(out)["layers"][-1]
    assert last["number"] == 10
    assert last["output_size"] == [200, 260]
    assert last["receptive_field"] == {"size": [41, 41], "jump": [1, 1], "start": [0, 0]}


def test_shapes_of_a_network(run, fails):
    code, out, _ = run("shapes", "LeNet", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["input"] == {"size": [28, 28], "channels": 1}
    layers = found["layers"]
    assert [layer["output_size"] for layer in layers] == [[28, 28], [14, 14], [10, 10], [5, 5]]
    assert [layer["mode"] for layer in layers] == ["", "avg", "", "avg"]
    assert [layer["parameters"] for layer in layers] == [156, 0, 2416, 0]
    assert [layer["multiply_adds"] for layer in layers] == [117_600, 0, 240_000, 0]
    # the same for another image
    _, out, _ = run("shapes", "lenet", "--input", "32x40", "--channels", "3", "--json")
    assert json.loads(out)["layers"][0]["parameters"] == 456
    assert json.loads(out)["layers"][-1]["output_size"] == [6, 8]
    assert "layer 1 ('lenett'" in fails("shapes", "lenett", "--input", "28")
    _, out, _ = run("shapes", "--help")
    assert all(name in out for name in networks.names())


def test_what_is_not_known_is_not_added_up(run):
    _, out, _ = run("shapes", "conv 3 c4 | conv 3 | conv 3 c2", "--input", "9", "--channels", "1")
    assert "in all" in out
    assert out.splitlines()[5].split() == ["in", "all"]


@pytest.mark.parametrize(
    ("stack", "size", "message"),
    [
        ("conv 3 | pool x", "8", "layer 2 ('pool x', at character 10)"),
        ("conv 3", "2", "kernel_size must fit"),
        ("conv 3", "0", "input must be positive"),
        ("conv 3", "8x8x8", "input must be a number or HEIGHTxWIDTH"),
        ("", "8", "layers must not be empty"),
    ],
)
def test_shapes_bad_usage(fails, stack, size, message):
    assert message in fails("shapes", stack, "--input", size)


# --------------------------------------------------------------------------- filter: who computes


def test_the_environment_chooses(tmp_path, backend):
    out = tmp_path / "edges.png"
    done = start("filter", PHOTO, "--kernel", "vertical-edges", "--output", out, CONVBRIDGE_BACKEND=backend)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"convbridge: {out}: 255x256 pixels, computed by {backend}\n"


def test_a_missing_backend_leaves_nothing_behind(crowd, tmp_path):
    done = start("filter", PHOTO, PHOTO.parent, "-k", "box", "-o", tmp_path / "out", "-b", "absent", path=[crowd])
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
