"""Image files to arrays and back, without losing what the file holds.

Pillow reads and writes. Three things are done here because Pillow does not:
16-bit colour (Pillow hands out the high bytes alone, and writes none), writing
without ever leaving half a file, and one clear line for whatever a broken file
makes Pillow raise. What may live here: files and pixels as stored; nothing
about filtering.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from convbridge.commands.console import CommandError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Picture", "can_write", "is_image_name", "read", "write"]

Array = np.ndarray[Any, Any]


class Picture(NamedTuple):
    """An image as stored.

    Attributes
    ----------
    colours : numpy.ndarray, shape (H, W, 1) or (H, W, 3)
        Grey or RGB; uint8, uint16, int32 or float32.
    alpha : numpy.ndarray of the same dtype, shape (H, W), or None
        Opacity.
    profile : bytes or None
        The ICC profile that says what the colours look like.
    frames : int
        How many images the file holds; this is the first.
    """

    colours: Array
    alpha: Array | None
    profile: bytes | None = None
    frames: int = 1


# --------------------------------------------------------------------------- reading


def is_image_name(path: Path) -> bool:
    """Tell whether a file is called like an image that Pillow reads.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    bool

    Examples
    --------
    >>> is_image_name(Path("photo.JPG")), is_image_name(Path("notes.txt"))
    (True, False)
    """
    from PIL import Image

    Image.init()
    return Image.EXTENSION.get(path.suffix.lower()) in Image.OPEN


def read(path: Path) -> Picture:
    """Read an image file, turned as its EXIF orientation says.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    Picture
        Palettes become RGB; CMYK and other colour spaces too.

    Raises
    ------
    CommandError
        For a file that is no image, is broken, is too large, or holds 16-bit
        colour in a form that cannot be read without loss.
    OSError
        For a file that cannot be opened.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow warns where an image is large and refuses where it is huge; a large photograph is fine.
            warnings.simplefilter("ignore")
            return _decode(path)
    except CommandError:
        raise
    except Image.DecompressionBombError:
        raise CommandError(
            f"{path}: the image claims more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels, which is refused"
        ) from None
    except UnidentifiedImageError:
        raise CommandError(f"{path}: not an image in a format that can be read") from None
    except MemoryError:
        raise
    except Exception as error:  # a broken file makes Pillow raise almost anything
        if isinstance(error, OSError) and error.strerror:
            raise
        raise CommandError(
            f"{path}: the image is broken ({' '.join(str(error).split()) or type(error).__name__})"
        ) from None


def _decode(path: Path) -> Picture:
    from PIL import Image

    with Image.open(path) as opened:
        # A photograph with a preview inside (MPO) is one picture, whatever else the file holds.
        frames = 1 if opened.format == "MPO" else getattr(opened, "n_frames", 1)
        profile = opened.info.get("icc_profile")
        transparent = opened.info.get("transparency")
        wide = _read_wide_colours(opened, path)
        if wide is not None:
            colours, alpha = wide
        elif opened.mode.startswith("I;16") or (opened.mode == "I" and opened.format in ("PNG", "PPM")):
            colours, alpha = np.asarray(opened).astype(np.uint16)[..., None], None
        elif opened.mode in ("I", "F"):
            return Picture(_turned(opened, np.array(opened)[..., None]), None, None, frames)
        else:
            colours, alpha = _split(np.asarray(opened.convert(_plain_mode(opened))))
        if colours.dtype == np.uint16 and alpha is None and transparent is not None:
            # One colour that stands for transparent; Pillow applies it to 8 bits only.
            hidden = (colours == np.atleast_1d(transparent)).all(axis=2)
            alpha = np.where(hidden, 0, 65535).astype(np.uint16)
        # Asked after loading: some formats turn the image themselves, and then say so.
        colours = _turned(opened, colours)
        alpha = None if alpha is None else _turned(opened, alpha)
    space = {1: b"GRAY", 3: b"RGB "}[colours.shape[2]]
    return Picture(colours, alpha, profile if profile and profile[16:20] == space else None, frames)


def _plain_mode(opened: Image.Image) -> str:
    """Return the 8-bit mode that holds an image's colours and opacity."""
    transparent = opened.has_transparency_data
    if opened.mode in ("1", "L", "LA", "La"):
        return "LA" if transparent else "L"
    return "RGBA" if transparent else "RGB"


def _split(pixels: Array) -> tuple[Array, Array | None]:
    """Separate opacity from colours."""
    if pixels.ndim == 2:
        return pixels[..., None], None
    if pixels.shape[2] in (2, 4):
        return pixels[..., :-1], pixels[..., -1]
    return pixels, None


def _turned(opened: Image.Image, pixels: Array) -> Array:
    """Apply the EXIF orientation to an array."""
    turns: dict[int, Callable[[Array], Array]] = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a),
    }
    turn = turns.get(opened.getexif().get(0x0112, 1))
    return np.ascontiguousarray(pixels if turn is None else turn(pixels))


def _read_wide_colours(opened: Image.Image, path: Path) -> tuple[Array, Array | None] | None:
    """Read 16-bit colours, or grey with opacity; None for any other image.

    Pillow's decoders turn two bytes into one by taking the high one. Which of
    the two is high is a matter of byte order, so decoding the file once as big
    endian and once as little endian yields both.
    """
    from PIL import Image

    raw_modes = {_raw_mode(tile) for tile in getattr(opened, "tile", ())}
    if opened.mode not in ("RGB", "RGBA", "RGBX", "LA") or not any(";16" in raw for raw in raw_modes):
        maximum = max((_maximum(tile) for tile in getattr(opened, "tile", ())), default=0)
        if opened.mode == "RGB" and maximum > 255:
            raise CommandError(f"{path}: 16-bit colour of this format cannot be read without loss; convert it to PNG")
        return None
    raw = raw_modes.pop()
    name, _, order = raw.partition(";16")
    other = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}.get(order)
    if raw_modes or other is None or name not in ("RGB", "RGBA", "RGBX", "LA"):
        raise CommandError(f"{path}: 16-bit colour of this kind ({raw}) cannot be read without loss; convert it to PNG")
    with Image.open(path) as again:
        if name == "LA":
            # Pillow has no 16-bit LA; its four bytes a pixel read as RGBA are both bytes of both numbers.
            again.tile = [_with_raw_mode(tile, "RGBA") for tile in again.tile]
            four = np.asarray(again)
            high, low = four[..., 0::2], four[..., 1::2]
            if order != "B":
                high, low = low, high
        else:
            again.tile = [_with_raw_mode(tile, f"{name};16{other}") for tile in again.tile]
            high, low = np.asarray(opened), np.asarray(again)
    opened.load()
    pixels = high.astype(np.uint16) * 256 + low
    return _split(pixels[..., :3] if name == "RGBX" else pixels)


def _raw_mode(tile: Any) -> str:
    """Return how a decoder of Pillow reads pixels: the last field of a tile, or its first element."""
    arguments = tile[3]
    return str(arguments if isinstance(arguments, str) else arguments[0] if arguments else "")


def _maximum(tile: Any) -> int:
    """Return the largest number that a PPM file holds, or 0 for any other."""
    arguments = tile[3]
    if str(tile[0]).startswith("ppm") and isinstance(arguments, tuple) and len(arguments) > 1:
        return int(arguments[-1])
    return 0


def _with_raw_mode(tile: Any, raw: str) -> Any:
    arguments = raw if isinstance(tile[3], str) else (raw, *tile[3][1:])
    fields = (tile[0], tile[1], tile[2], arguments)
    return type(tile)(*fields) if hasattr(tile, "_fields") else fields


# --------------------------------------------------------------------------- writing


#: How lossy formats are written: the little that a filter finds must survive.
_OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}


def can_write(path: Path) -> None:
    """Check, before any work is done, that a path's suffix names a format that can be written.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    CommandError
        Otherwise.

    Examples
    --------
    >>> can_write(Path("edges.png"))
    """
    from PIL import Image

    Image.init()
    if Image.EXTENSION.get(path.suffix.lower()) not in Image.SAVE:
        raise CommandError(
            f"{path}: the name must end in the suffix of an image format that can be written, such as "
            f".png, .jpg, .tif or .webp, not {path.suffix or 'nothing'!r}"
        )


def write(picture: Picture, path: Path) -> None:
    """Write an image file in the format of its suffix, whole or not at all.

    Parameters
    ----------
    picture : Picture
    path : pathlib.Path
        Replaced if it exists.

    Raises
    ------
    CommandError
        If the format cannot hold the picture: 16 bits or opacity in a JPEG.
    OSError
        If the file cannot be written.
    """
    from PIL import Image

    can_write(path)
    kind = Image.EXTENSION[path.suffix.lower()]
    pixels = picture.colours if picture.alpha is None else np.dstack([picture.colours, picture.alpha])
    pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if kind == "PNG" and pixels.dtype == np.uint16:
        with _whole(path) as file:
            file.write(_encode_png16(pixels, picture.profile))
        return
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        raise CommandError(f"{path}: 16-bit colour can be written as .png only")
    if pixels.dtype == np.int32 and kind != "TIFF":
        raise CommandError(f"{path}: 32-bit numbers can be written as .tif only")
    options: dict[str, Any] = dict(_OPTIONS.get(kind, {}))
    if picture.profile:
        options["icc_profile"] = picture.profile
    with _whole(path) as file:
        try:
            Image.fromarray(pixels).save(file, format=kind, **options)
        except Exception as error:
            if isinstance(error, OSError) and error.strerror:
                raise
            raise CommandError(f"{path}: {kind} cannot hold this image ({error}); .png can") from None


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file next to ``path``, and give it that name when all is written."""
    target = Path(os.path.realpath(path))
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem[:40]}-", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise CommandError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        # mkstemp makes files that only their owner may read; this one is like any other.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _encode_png16(pixels: Array, profile: bytes | None) -> bytes:
    """Encode 16-bit grey or colour, with or without opacity, as PNG (ISO/IEC 15948)."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels, ">u2").view(np.uint8).reshape(height, width * channels * 2)
    # Filter type 1: each byte minus that of the pixel on its left, modulo 256.
    lines = np.empty((height, 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = 1
    lines[:, 1:] = rows
    lines[:, 1 + 2 * channels :] -= rows[:, : -2 * channels]
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header)]
    if profile:
        chunks.append((b"iCCP", b"icc\0\0" + zlib.compress(profile)))
    chunks += [(b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
