"""The command line: what it prints, what it writes, and how it fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import convbridge
from convbridge import kernels, registry
from convbridge.cli import main
from convbridge.commands import images, pixels
from convbridge.commands.filter import read_kernel

PHOTO = Path(__file__).parent / "data" / "photo.jpg"


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command in this process: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "80")

    def command(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


@pytest.fixture
def fails(run):
    """Run a command that must fail with exit code 2, one line, and no traceback; return the line."""

    def command(*arguments):
        code, out, err = run(*arguments)
        assert code == 2, err
        assert out == ""
        assert err.startswith("convbridge: ")
        assert err.count("\n") == 1, err
        return err

    return command


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


def make(path, pixels_, **options):
    Image.fromarray(np.asarray(pixels_)).save(path, **options)
    return path


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


def random_pixels(*shape, dtype=np.uint8):
    return np.random.default_rng(7).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


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


def third_party(folder, name, *, framework, arrays, hint="pip install it"):
    package = folder / f"{name}_package"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from convbridge.protocol import BackendSpec\n"
        f"SPEC = BackendSpec(name={name!r}, package={package.name!r}, framework={framework!r}, install_hint={hint!r})\n"
    )
    (package / "arrays.py").write_text(arrays)
    for module in ("ops", "chapter", "layers"):
        (package / f"{module}.py").write_text(f"from convbridge_numpy.{module} import *\n")
    register(folder, name, package.name)


def register(folder, name, package):
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[convbridge.backends]\n{name} = {package}\n")


@pytest.fixture
def crowd(tmp_path):
    """A missing backend, one that does not import, and one that ends the process."""
    folder = tmp_path / "site"
    folder.mkdir()
    third_party(folder, "absent", framework="no_such_framework", arrays="")
    third_party(folder, "broken", framework="numpy", arrays="raise ImportError('lib.so: not found')")
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)" if os.name != "nt" else "import os; os._exit(3)"
    third_party(folder, "crashing", framework="numpy", arrays=crash)
    register(folder, "unreadable", "nothing_here")
    return folder


def test_backends_that_do_not_work(crowd):
    done = start("backends", "--json", path=[crowd])
    assert done.returncode == 0, done.stderr
    found = {entry["backend"]: entry for entry in json.loads(done.stdout)["backends"]}
    assert found["numpy"]["state"] == "ready"
    assert found["absent"]["state"] == "missing"
    assert found["absent"]["install"] == "pip install it"
    assert found["broken"]["state"] == "broken"
    assert "lib.so: not found" in found["broken"]["problem"]
    assert found["crashing"]["state"] == "broken"
    assert found["unreadable"]["state"] == "broken"
    if os.name != "nt":
        assert signal.Signals.SIGSEGV.name in found["crashing"]["problem"]

    done = start("backends", path=[crowd])
    assert (done.returncode, done.stderr) == (0, "")
    assert "absent is not installed. To install it:\n  pip install it" in done.stdout
    assert "broken is installed and does not work" in done.stdout


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


def test_compare_says_who_took_no_part(crowd):
    shutil.rmtree(crowd / "crashing_package-1.0.dist-info")
    done = start("compare", "corr2d", path=[crowd])
    assert "no real difference" in done.stdout
    assert "absent is not installed and took no part: pip install it" in done.stdout
    assert done.returncode == 2
    assert "broken is installed and does not work" in done.stderr
    assert "unreadable is installed and does not work" in done.stderr


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
def test_a_wrong_backend_turns_the_comparison_red(tmp_path, ops, words):
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
    assert lines[1] == ["1", "conv", "11", "s4", "p2", "c96", "55x55", "96", "11x11", "4", "34,944"]
    assert lines[2] == ["2", "pool", "3", "s2", "27x27", "96", "19x19", "8", "0"]


def test_shapes_as_json(run):
    code, out, _ = run("shapes", "10 * conv 5", "--input", "240x300", "--json")
    assert code == 0
    last = json.loads(out)["layers"][-1]
    assert last["number"] == 10
    assert last["output_size"] == [200, 260]
    assert last["receptive_field"] == {"size": [41, 41], "jump": [1, 1], "start": [0, 0]}


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


# --------------------------------------------------------------------------- filter: what comes out


def reference(image, kernel):
    """Cross-correlate a matrix without any backend."""
    windows = np.lib.stride_tricks.sliding_window_view(image.astype(np.float64), kernel.shape)
    return np.einsum("ijkl,kl->ij", windows, kernel)


@pytest.mark.parametrize(
    "name",
    [
        "vertical-edges",
        "second-derivative",
        "box-3",
        "gaussian-5",
        "sharpen",
        "sobel-x",
        # weights that binary fractions do not hold, and results that are halves: 0.05 * 1 + 0.45 * 1 = 0.5
        "[[0.05, 0.15], [0.35, 0.45]]",
    ],
)
def test_a_photograph_with_every_backend(run, tmp_path, backend, name):
    """Every backend writes the file that NumPy writes, byte for byte."""
    out, same = tmp_path / "out.png", tmp_path / "numpy.png"
    code, _, err = run("filter", PHOTO, "--kernel", name, "--output", out, "--backend", backend)
    assert code == 0, err
    assert f"computed by {backend}" in err
    assert run("filter", PHOTO, "--kernel", name, "--output", same, "--backend", "numpy")[0] == 0
    assert out.read_bytes() == same.read_bytes()
    kernel = read_kernel(name)
    photo = pixels_of(PHOTO)
    for channel in range(3):
        exact = reference(photo[..., channel], kernel)
        exact = abs(exact) if abs(kernel.sum()) < 1e-9 else exact
        assert abs(pixels_of(out)[..., channel] - exact.clip(0, 255)).max() <= 0.5 + 1e-6


def test_the_environment_chooses(tmp_path, backend):
    out = tmp_path / "edges.png"
    done = start("filter", PHOTO, "--kernel", "vertical-edges", "--output", out, CONVBRIDGE_BACKEND=backend)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"convbridge: {out}: 255x256 pixels, computed by {backend}\n"


DTYPES = [np.uint8, np.uint16]


@pytest.mark.parametrize("dtype", DTYPES, ids=["8", "16"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4], ids=["grey", "grey+alpha", "rgb", "rgb+alpha"])
def test_kinds_of_png(run, tmp_path, channels, dtype):
    stored = random_pixels(9, 11, channels, dtype=dtype)
    source, out = tmp_path / "in.png", tmp_path / "out.png"
    colours, alpha = (stored[..., :-1], stored[..., -1]) if channels in (2, 4) else (stored, None)
    images.write(images.Picture(colours, alpha), source)
    assert run("filter", source, "--kernel", "horizontal-edges", "--output", out)[0] == 0
    result = images.read(out)
    assert result.colours.dtype == dtype
    for channel in range(colours.shape[2]):
        expected = abs(reference(colours[..., channel], kernels.horizontal_edges()))
        np.testing.assert_array_equal(result.colours[..., channel], expected)
    if alpha is None:
        assert result.alpha is None
    else:  # cropped like the colours
        np.testing.assert_array_equal(result.alpha, alpha[:8])


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_16_bit_colour_of_other_writers(tmp_path, channels, byte_order):
    """PNG with every filter, and TIFF of both byte orders, written here by the book."""
    stored = random_pixels(6, 5, channels, dtype=np.uint16)
    png, tif = tmp_path / "in.png", tmp_path / "in.tif"
    png.write_bytes(encode_png(stored))
    picture = images.read(png)
    got = picture.colours if picture.alpha is None else np.dstack([picture.colours, picture.alpha])
    np.testing.assert_array_equal(got, stored)
    if channels > 2:  # Pillow opens no TIFF of 16-bit grey with opacity
        tif.write_bytes(encode_tiff(stored, byte_order))
        picture = images.read(tif)
        got = picture.colours if picture.alpha is None else np.dstack([picture.colours, picture.alpha])
        np.testing.assert_array_equal(got, stored)


def encode_png(pixels_):
    """Encode with filter types 0 to 4 in turn, pixel by pixel."""
    height, width, channels = pixels_.shape
    step = 2 * channels
    raw = pixels_.astype(">u2").tobytes()
    rows = [raw[y * width * step : (y + 1) * width * step] for y in range(height)]
    lines = b""
    above = bytes(width * step)
    for y, row in enumerate(rows):
        kind = y % 5
        line = bytearray([kind])
        for x, value in enumerate(row):
            a = row[x - step] if x >= step else 0
            b = above[x]
            c = above[x - step] if x >= step else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line.append((value - (0, a, b, (a + b) // 2, paeth)[kind]) % 256)
        lines += line
        above = row

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def encode_tiff(pixels_, order):
    height, width, channels = pixels_.shape
    data = pixels_.astype(f"{order}u2").tobytes()
    count = 10 + (channels == 4)
    bits_at = 8 + 2 + 12 * count + 4
    data_at = bits_at + 2 * channels
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, channels, bits_at),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, data_at),
        (277, 3, 1, channels),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
        (284, 3, 1, 1),
    ]
    if channels == 4:
        entries.append((338, 3, 1, 2))
    body = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, 8) + struct.pack(f"{order}H", count)
    for tag, kind, number, value in entries:
        short = kind == 3 and number == 1
        body += struct.pack(f"{order}HHI", tag, kind, number)
        body += struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
    return body + struct.pack(f"{order}I", 0) + struct.pack(f"{order}{channels}H", *[16] * channels) + data


@pytest.mark.parametrize(
    ("mode", "suffix", "plain_mode"),
    [("1", ".png", "L"), ("P", ".png", "RGB"), ("CMYK", ".tif", "RGB"), ("YCbCr", ".tif", "RGB")],
)
def test_other_modes_become_grey_or_colour(tmp_path, mode, suffix, plain_mode):
    path = tmp_path / f"in{suffix}"
    Image.fromarray(random_pixels(6, 5, 3)).convert(mode).save(path)
    picture = images.read(path)
    assert picture.alpha is None
    with Image.open(path) as opened:
        np.testing.assert_array_equal(picture.colours.squeeze(), np.asarray(opened.convert(plain_mode)))


def test_transparent_colours_become_opacity(tmp_path):
    grey = random_pixels(4, 4)
    path = make(tmp_path / "in.png", grey, transparency=int(grey[1, 2]))
    np.testing.assert_array_equal(images.read(path).alpha == 0, grey == grey[1, 2])
    wide = random_pixels(4, 4, dtype=np.uint16)
    path = make(tmp_path / "wide.png", wide, transparency=int(wide[1, 2]))
    np.testing.assert_array_equal(images.read(path).alpha == 0, wide == wide[1, 2])


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation, suffix):
    path = tmp_path / f"in{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(random_pixels(16, 24)).save(path, exif=exif)
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    np.testing.assert_array_equal(images.read(path).colours[..., 0], expected)


@pytest.mark.parametrize("values", [random_pixels(6, 7, dtype=np.int32), np.linspace(-1, 1, 42).reshape(6, 7)])
def test_numbers_without_limits(run, tmp_path, values):
    stored = values if values.dtype == np.int32 else values.astype(np.float32)
    source = make(tmp_path / "in.tif", stored)
    out = tmp_path / "out.tif"
    assert run("filter", source, "--kernel", "vertical-edges", "--output", out)[0] == 0
    expected = reference(stored, kernels.vertical_edges())
    if stored.dtype == np.int32:
        expected = expected.clip(-(2**31), 2**31 - 1)
    np.testing.assert_array_equal(pixels_of(out), expected.astype(stored.dtype))


def test_profiles_are_kept(run, tmp_path):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = make(tmp_path / "in.png", random_pixels(5, 5, 3), icc_profile=profile)
    wide = tmp_path / "wide.png"
    images.write(images.Picture(random_pixels(5, 5, 3, dtype=np.uint16), None, profile), wide)
    for path in (source, wide):
        assert run("filter", path, "-k", "box", "-o", tmp_path / f"out-{path.name}")[0] == 0
        with Image.open(tmp_path / f"out-{path.name}") as out:
            assert out.info["icc_profile"] == profile
    with Image.open(source) as grey:
        grey.convert("CMYK").save(tmp_path / "in.jpg", icc_profile=profile[:16] + b"CMYK" + profile[20:])
    assert images.read(tmp_path / "in.jpg").profile is None


@pytest.mark.parametrize(
    ("padding", "size"), [("valid", (9, 8)), ("same", (11, 11)), ("chapter", (11, 11)), ("1x2", (11, 12))]
)
@pytest.mark.parametrize("border", ["zero", "edge", "reflect"])
def test_padding_and_opacity(run, tmp_path, padding, size, border):
    """Opacity stays with its pixels: filtering it with the kernel's middle alone gives the same."""
    stored = random_pixels(11, 11, 2)
    source, out = make(tmp_path / "in.png", stored), tmp_path / "out.png"
    kernel = np.zeros((3, 4))
    words = {"same": (1, 1), "chapter": (1, 2)}
    middle = words.get(padding, (1, 1))
    kernel[middle] = 1
    options = ["--padding", padding, "--border", border]
    assert run("filter", source, "--kernel", json.dumps(kernel.tolist()), "--output", out, *options)[0] == 0
    result = pixels_of(out)
    assert result.shape[:2] == size
    whole = np.pad(stored, ((3, 3), (3, 3), (0, 0)), {"zero": "constant"}.get(border, border))
    dy, dx = {"valid": (1, 1), "1x2": (0, -1)}.get(padding, (0, 0))
    np.testing.assert_array_equal(result, whole[3 + dy : 3 + dy + size[0], 3 + dx : 3 + dx + size[1]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auto", [200, 0, 200, 255]),
        ("clip", [0, 0, 200, 0]),
        ("absolute", [200, 0, 200, 255]),
        ("centre", [0, 128, 255, 0]),
        ("scale", [31, 143, 255, 0]),
    ],
)
def test_ranges(run, tmp_path, name, expected):
    source, out = make(tmp_path / "in.png", np.array([[0, 200, 200, 0, 255]], np.uint8)), tmp_path / "out.png"
    assert run("filter", source, "-k", "vertical-edges", "-o", out, "--range", name)[0] == 0
    assert pixels_of(out).tolist() == [expected]


def test_smoothing_is_clipped_and_centre_of_16_bits_is_its_own():
    assert pixels.to_pixels(np.array([-5.0, 300.0]), np.uint8, "auto", derivative=False).tolist() == [0, 255]
    assert pixels.to_pixels(np.array([0.0]), np.uint16, "centre", derivative=True).tolist() == [32768]
    assert pixels.to_pixels(np.array([7.0, 7.0]), np.uint8, "scale", derivative=True).tolist() == [0, 0]


def test_halves_do_not_depend_on_rounding():
    near = np.array([12.5, np.nextafter(12.5, 0), np.nextafter(12.5, 20), 13.5 - 1e-12, 13.5 + 1e-12])
    assert pixels.to_pixels(near, np.uint8, "clip", derivative=False).tolist() == [12, 12, 12, 14, 14]


def test_strips_are_seamless(monkeypatch):
    picture = images.Picture(random_pixels(40, 9, 3), None)
    options = {"padding": "same", "border": "zero", "range_name": "clip", "backend": "numpy"}
    whole = pixels.apply(picture, kernels.gaussian(5), **options)
    monkeypatch.setattr(pixels, "_PRODUCTS", 25 * 9 * 7)
    parts = []
    strips = pixels.apply(picture, kernels.gaussian(5), **options, advance=parts.append)
    np.testing.assert_array_equal(strips.colours, whole.colours)
    assert len(parts) == 3 * 6
    assert sum(parts) == pytest.approx(1)


# --------------------------------------------------------------------------- filter: kernels


@pytest.mark.parametrize("text", ["[[1, -1]]", "((1, -1),)", "[[1.0, -1e0]]", " [[+1,-1]] ", "vertical-edges"])
def test_ways_to_write_a_kernel(run, tmp_path, text):
    out, same = tmp_path / "out.png", tmp_path / "same.png"
    np.save(tmp_path / "kernel.npy", np.array([[1, -1]], np.int8))
    assert run("filter", PHOTO, "--kernel", text, "--output", out)[0] == 0
    assert run("filter", PHOTO, "--kernel", tmp_path / "kernel.npy", "--output", same)[0] == 0
    assert out.read_bytes() == same.read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vertical-edgs", "Did you mean 'vertical-edges'"),
        ("box-0", "size must be positive"),
        ("[[1, 2], [3]]", "rectangular"),
        ("[1, -1]", "matrix of numbers"),
        ("[[]]", "matrix of numbers"),
        ("[[1, NaN]]", "finite"),
        ("[[1e308, 1e308]]", "finite"),
        ('[["a"]]', "matrix of numbers"),
        ("[[1j]]", "matrix of numbers"),
        ("[[", "matrix such as"),
        ("[__import__('os')]", "matrix such as"),
        ("[" * 5000, "matrix such as"),
        ("[[" + "1," * 60000 + "1]]", "too long"),
        ("missing.npy", "No such file"),
        ("box-300", "kernel must fit into the padded input"),
    ],
)
def test_bad_kernels(fails, tmp_path, text, message):
    assert message in fails("filter", PHOTO, "--kernel", text, "--output", tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


def test_list_kernels(run):
    code, out, _ = run("filter", "--list-kernels")
    assert code == 0
    assert all(name in out for name in kernels.names())


@pytest.mark.parametrize("content", ["junk", "object", "lying", "empty"])
def test_bad_kernel_files(fails, tmp_path, content):
    path = tmp_path / "kernel.npy"
    if content == "object":
        np.save(path, np.array([[None]], dtype=object), allow_pickle=True)
    elif content == "lying":
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(117) + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header)
    else:
        path.write_bytes(b"" if content == "empty" else b"junk")
    assert "kernel.npy: not a file of NumPy" in fails(
        "filter", PHOTO, "--kernel", path, "--output", tmp_path / "out.png"
    )
    assert not (tmp_path / "out.png").exists()


# --------------------------------------------------------------------------- filter: files


def broken_images(folder):
    good = PHOTO.read_bytes()
    (folder / "text.png").write_text("not an image")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(good[: len(good) // 2])
    make(folder / "whole.png", random_pixels(20, 20, 3))
    whole = (folder / "whole.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    # a compressed stream that is garbage, with a correct checksum
    at = whole.index(b"IDAT")
    length = struct.unpack(">I", whole[at - 4 : at])[0]
    data = b"IDAT" + bytes(length)
    (folder / "garbage.png").write_bytes(
        whole[:at] + data + struct.pack(">I", zlib.crc32(data)) + whole[at + 8 + length :]
    )
    (folder / "whole.png").unlink()
    return sorted(folder.iterdir())


def test_broken_images(fails, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    for path in broken_images(folder):
        line = fails("filter", path, "--kernel", "box", "--output", tmp_path / "out.png")
        assert path.name in line
        assert not (tmp_path / "out.png").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["broken"]


def test_decompression_bomb(fails, tmp_path):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0))
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b""))
    assert "pixels, which is refused" in fails("filter", bomb, "--kernel", "box", "--output", tmp_path / "out.png")


def test_16_bit_colour_that_would_lose(fails, tmp_path):
    path = tmp_path / "in.ppm"
    path.write_bytes(b"P6 2 2 65535\n" + random_pixels(2, 2, 3, dtype=np.uint16).astype(">u2").tobytes())
    assert "without loss" in fails("filter", path, "--kernel", "box-1", "--output", tmp_path / "out.png")


@pytest.mark.parametrize(
    ("stored", "name", "message"),
    [
        (random_pixels(5, 5, 4), "out.jpg", "JPEG cannot hold this image"),
        (random_pixels(5, 5, dtype=np.uint16), "out.jpg", "JPEG cannot hold this image"),
        (random_pixels(5, 5, 3, dtype=np.uint16), "out.tif", "16-bit colour can be written as .png only"),
        (random_pixels(5, 5, dtype=np.int32), "out.png", "32-bit numbers can be written as .tif only"),
        (np.ones((5, 5), np.float32), "out.png", "PNG cannot hold this image"),
    ],
    ids=["alpha", "16 bits", "16-bit colour", "32 bits", "floats"],
)
def test_formats_that_cannot_hold_the_result(fails, tmp_path, stored, name, message):
    folder = tmp_path / "in"
    folder.mkdir()
    if stored.dtype == np.uint16 and stored.ndim == 3:
        source = folder / "in.png"
        source.write_bytes(encode_png(stored))
    else:
        source = make(folder / ("in.tif" if stored.dtype.itemsize == 4 else "in.png"), stored)
    assert message in fails("filter", source, "--kernel", "box-1", "--output", tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


def test_never_overwrites_without_force(run, fails, tmp_path):
    out = tmp_path / "out.png"
    out.write_text("precious")
    assert "--force" in fails("filter", PHOTO, "--kernel", "box", "--output", out)
    assert out.read_text() == "precious"
    assert run("filter", PHOTO, "--kernel", "box", "--output", out, "--force")[0] == 0
    assert pixels_of(out).shape == (254, 254, 3)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]


def test_the_file_that_is_replaced_survives_a_failure(fails, tmp_path, monkeypatch):
    out = tmp_path / "out.png"
    out.write_text("precious")

    def full(self, file, **options):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert "No space left" in fails("filter", PHOTO, "--kernel", "box", "--output", out, "--force")
    assert out.read_text() == "precious"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_files_are_readable_like_any_other(run, tmp_path):
    before = os.umask(0o022)
    try:
        run("filter", PHOTO, "--kernel", "box", "--output", tmp_path / "out.png")
    finally:
        os.umask(before)
    assert (tmp_path / "out.png").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jpg", "-k", "box", "-o", "out.png"], "nowhere.jpg: there is no such file"),
        ([PHOTO, "-k", "box", "-o", "out.xyz"], "the name must end in the suffix"),
        ([PHOTO, "-k", "box", "-o", "out"], "the name must end in the suffix"),
        ([PHOTO, "-k", "box", "-o", "no/such/folder/out.png"], "there is no folder"),
        ([PHOTO, "-k", "box", "-o", "out.png", "--suffix", ".png"], "--suffix is for an output folder"),
        ([PHOTO, "-k", "box", "-o", "out.png", "--range", "huge"], "--range must be one of auto"),
        ([PHOTO, "-k", "box", "-o", "out.png", "--border", "huge"], "--border must be one of zero"),
        ([PHOTO, "-k", "box", "-o", "out.png", "--padding", "-1"], "padding must be N"),
        ([PHOTO, "-k", "box", "-o", "out.png", "--padding", "1000000"], "must fit into memory"),
        ([PHOTO, "-k", "box", "-o", "out.png", "--backend", "huge"], "must be one of numpy"),
        ([PHOTO, PHOTO, "-k", "box", "-o", "out"], "would both be written to"),
        (["empty", "-k", "box", "-o", "out"], "the folder holds no images"),
        ([PHOTO, "empty", "-k", "box", "-o", "file"], "the folder holds no images"),
    ],
)
def test_bad_files_and_options(fails, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert message in fails("filter", *arguments)
    assert [entry.name for entry in tmp_path.iterdir()] == ["empty"]


def test_a_folder_that_cannot_be_written(fails, tmp_path, monkeypatch):
    def denied(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(images.tempfile, "mkstemp", denied)
    line = fails("filter", PHOTO, "--kernel", "box", "--output", tmp_path / "out.png")
    assert "out.png: cannot be written (Permission denied)" in line
    assert list(tmp_path.iterdir()) == []


def test_several_images_go_into_a_folder(run, fails, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "deeper").mkdir(parents=True)
    make(folder / "b.png", random_pixels(6, 6))
    shutil.copy(PHOTO, folder / "a.jpg")
    (folder / "notes.txt").write_text("no image")
    make(folder / "deeper" / "c.png", random_pixels(6, 6))
    code, _, err = run("filter", folder, "--kernel", "box", "--output", out)
    assert code == 0
    assert err == f"convbridge: 2 of 2 images written to {out}, computed by numpy\n"
    assert sorted(entry.name for entry in out.iterdir()) == ["a.jpg", "b.png"]
    assert "(and 1 more); --force replaces it" in fails("filter", folder, "-k", "box", "-o", out)
    assert run("filter", folder, "-k", "box", "-o", out, "--force", "--suffix", "tif")[0] == 0
    assert sorted(entry.suffix for entry in out.iterdir()) == [".jpg", ".png", ".tif", ".tif"]
    (tmp_path / "file").write_text("")
    assert "must be a folder" in fails("filter", folder, "-k", "box", "-o", tmp_path / "file")


def test_one_broken_image_does_not_stop_the_others(run, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    make(folder / "a.png", random_pixels(6, 6))
    (folder / "b.png").write_text("broken")
    make(folder / "c.png", random_pixels(6, 6))
    code, _, err = run("filter", folder, "--kernel", "box", "--output", out)
    assert code == 2
    assert "b.png: not an image" in err.splitlines()[0]
    assert "2 of 3 images written" in err.splitlines()[1]
    assert sorted(entry.name for entry in out.iterdir()) == ["a.png", "c.png"]


def test_an_output_folder_that_exists_takes_one_image(run, tmp_path):
    assert run("filter", PHOTO, "--kernel", "box", "--output", tmp_path)[0] == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo.jpg"]


def test_animations_are_said_to_lose_frames(run, tmp_path):
    frames = [Image.fromarray(random_pixels(6, 6)), Image.fromarray(255 - random_pixels(6, 6))]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    code, _, err = run("filter", tmp_path / "in.gif", "--kernel", "box", "--output", tmp_path / "out.png")
    assert code == 0
    assert "only the first of the 2 images" in err


def test_a_missing_backend_leaves_nothing_behind(crowd, tmp_path):
    done = start("filter", PHOTO, PHOTO.parent, "-k", "box", "-o", tmp_path / "out", "-b", "absent", path=[crowd])
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_progress_is_for_terminals_alone(run, tmp_path):
    _, out, err = run("filter", PHOTO, "--kernel", "gaussian-65", "--output", tmp_path / "out.png")
    assert out == ""
    assert err.count("\n") == 1
