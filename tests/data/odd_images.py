"""Image files of every odd and broken kind, made of one picture of 40 x 60 pixels."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 60
# One pixel more than is decoded (`opened_image.MAX_PIXELS`), and fewer than Pillow itself refuses.
TOO_WIDE, TOO_HIGH = 1 << 13, (1 << 13) + 1


def picture() -> Image.Image:
    """Noise, which no format stores in a few bytes."""
    pixels = np.random.RandomState(0).randint(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encode(image: Image.Image, suffix: str, **how: Any) -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, suffix, **how)
    return stream.getvalue()


def readable_files() -> dict[str, bytes]:
    """Odd files of which every reader makes a picture, by their names."""
    image = picture()
    gray_16 = np.random.RandomState(0).randint(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16)
    half_clear = bytes([0] * 8 + [255] * 8)
    # It ends in the first of five entries, an orientation.
    torn_exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03"
    files = {
        "cmyk.jpg": encode(image.convert("CMYK"), "JPEG"),
        "progressive.jpg": encode(image, "JPEG", progressive=True),
        "torn_exif.jpg": encode(image, "JPEG", exif=torn_exif),
        "several.mpo": encode(picture(), "MPO", **_more()),
        "16_bit.png": encode(Image.fromarray(gray_16), "PNG"),
        "palette_transparent.png": encode(image.quantize(16), "PNG", transparency=half_clear),
        "gray_transparent.png": encode(image.convert("LA"), "PNG"),
        "torn_profile.png": _with_chunk(b"iCCP", b"a\0\0not compressed"),
        "animated.png": encode(picture(), "PNG", **_more()),
        "without_end.png": encode(image, "PNG")[:-12],
        "animated.gif": encode(image.quantize(), "GIF", **_more()),
        "pages.tiff": encode(picture(), "TIFF", **_more()),
        "cmyk.tiff": encode(image.convert("CMYK"), "TIFF"),
        "a_png.jpg": encode(image, "PNG"),
        "a_jpeg.png": encode(image, "JPEG"),
        "animated.webp": encode(picture(), "WEBP", lossless=True, **_more()),
    }
    return files


def broken_files() -> dict[str, tuple[bytes, str]]:
    """Files of which no reader makes a picture, by their names, with words of the reason."""
    jpeg, png = encode(picture(), "JPEG"), encode(picture(), "PNG")
    bomb = zlib.compress(bytes(80 << 20), 9)  # 80 kB for 80 MB
    no_image, cut = "not an image in a format that can be read", "truncated"
    claims = f"its header claims {TOO_WIDE}x{TOO_HIGH} pixels; at most 67,108,864 are decoded"
    return {
        "empty.jpg": (b"", "the file is empty"),
        "text.jpg": (b"<html>not found</html>", no_image),
        "cut_in_signature.jpg": (jpeg[:2], no_image),
        "cut_in_header.jpg": (jpeg[:200], "Truncated"),
        "cut_in_half.jpg": (jpeg[: len(jpeg) // 2], cut),
        "cut_at_end.jpg": (jpeg[:-2], cut),
        "cut_in_header.png": (png[:20], "Truncated"),
        "cut_behind_header.png": (png[:40], no_image),
        "cut_in_half.png": (png[: len(png) // 2], cut),
        "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n", no_image),
        "many_channels.tiff": (_five_channels(), no_image),
        "decoded_while_opened.ico": (encode(picture(), "ICO"), no_image),
        "text_bomb.png": (_with_chunk(b"zTXt", b"a\0\0" + bomb), "Decompressed data too large"),
        "long_text_bomb.png": (_with_chunk(b"iTXt", b"a\0\1\0\0\0" + bomb), "Decompressed data"),
        "profile_bomb.png": (_with_chunk(b"iCCP", b"a\0\0" + bomb), "Decompressed data too large"),
        "huge.png": (_png_of(100_000, 100_000), "its header claims far too many pixels"),
        "huge.jpg": (_jpeg_of(65_535, 65_535), "far too many pixels|65535x65535 pixels; at most"),
        "large.png": (_png_of(TOO_WIDE, TOO_HIGH), claims),
        "large.jpg": (_jpeg_of(TOO_WIDE, TOO_HIGH), claims),
    }


def no_files(folder: Path) -> dict[str, str]:
    """Puts things into a folder that are no image files; returns words of the reason by name."""
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    reasons = {
        "folder.jpg": "not a plain file|Is a directory",
        "pipe.jpg": "not a plain file",
        "loop.jpg": "Too many levels of symbolic links",
        "device.jpg": "not a plain file",
    }
    if os.geteuid() != 0:  # who reads whatever it is
        (folder / "locked.jpg").write_bytes(encode(picture(), "JPEG"))
        (folder / "locked.jpg").chmod(0)
        reasons["locked.jpg"] = "Permission denied"
    return reasons


def turned_file(suffix: str, orientation: int, **how: Any) -> bytes:
    """A file that is to be turned; four corners of other colours tell how."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90))
    for place, color in zip(
        ((0, 0), (WIDTH // 2, 0), (0, HEIGHT // 2)),
        ((250, 0, 0), (0, 250, 0), (0, 0, 250)),
        strict=True,
    ):
        image.paste(color, (*place, place[0] + WIDTH // 2, place[1] + HEIGHT // 2))
    exif = Image.Exif()
    exif[274] = orientation
    return encode(image, suffix, exif=exif, **how)


def _more() -> dict[str, Any]:
    """A second picture; a new one, for Pillow notes settings of a JPEG in what it has written."""
    return {"save_all": True, "append_images": [picture().rotate(180)]}


def _chunk(name: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + check


def _with_chunk(name: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk behind its header, which takes 33 bytes with the signature."""
    png = encode(picture(), "PNG")
    return png[:33] + _chunk(name, content) + png[33:]


def _png_of(width: int, height: int) -> bytes:
    """A PNG whose header claims another size, in 8-bit RGB."""
    png = encode(picture(), "PNG")
    return (
        png[:8] + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + png[33:]
    )


def _jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    jpeg = encode(picture(), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def _five_channels() -> bytes:
    """An uncompressed TIFF of five channels of 16 bits, as microscopes write."""
    pixels = bytes(HEIGHT * WIDTH * 5 * 2)
    # tag, type (3: 16 bits, 4: 32 bits), count, value
    entries = [
        (256, 3, 1, WIDTH),
        (257, 3, 1, HEIGHT),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, 5),
        (278, 3, 1, HEIGHT),
        (279, 4, 1, len(pixels)),
    ]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory
