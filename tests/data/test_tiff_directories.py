"""Tags of far too many numbers are refused before Pillow makes objects of them. Engine-neutral."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from resnext_det.data.image_files import read_header, read_image
from resnext_det.data.opened_image import UnreadableImage
from resnext_det.data.tiff_directories import check_directory

FRACTION, SHORT, LONG = 5, 3, 4
X_RESOLUTION, STRIP_OFFSETS, ORIENTATION = 282, 273, 274
TOO_MANY = (1 << 17) + 1  # fractions of 8 bytes: one more than 1 MiB


def directory(tag: int, kind: int, count: int) -> bytes:
    """A TIFF of 16 x 16 gray pixels, one of whose tags has its numbers behind them.

    Layout: TIFF 6.0, section 2.
    """
    pixels = 8 + 2 + 12 * 12 + 4
    entries = {256: (4, 1, 16), 257: (4, 1, 16), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    entries |= {273: (4, 1, pixels), 277: (3, 1, 1), 278: (4, 1, 16), 279: (4, 1, 256)}
    entries[tag] = (kind, count, pixels + 256)
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
    data += b"".join(struct.pack("<HHII", name, *entries[name]) for name in sorted(entries))
    return data.ljust(pixels, b"\0") + bytes(256) + bytes(range(1, 9)) * count


def sharing(kind: int, *counts: int, length: int) -> bytes:
    """A directory whose tags 1000, 1001, … have their numbers in the same bytes, after 8."""
    entries = [struct.pack("<HHII", 1000 + i, kind, count, 8) for i, count in enumerate(counts)]
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", len(counts)) + b"".join(entries)
    return data.ljust(length, b"\0")


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(UnreadableImage) as error:
        act()
    return str(error.value)


def test_a_tag_of_too_many_fractions_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "a.jpg")
    Path(path).write_bytes(directory(X_RESOLUTION, FRACTION, TOO_MANY))
    told = "its TIFF tag 282 has 131,073 numbers; at most 131,072 are read"
    assert refusal(lambda: read_header(path)) == told
    assert refusal(lambda: read_image(path, "RGB")) == told
    Path(path).write_bytes(directory(X_RESOLUTION, FRACTION, 1))
    assert read_header(path).width == 16


def test_a_table_of_too_many_strips_is_refused() -> None:
    data = directory(STRIP_OFFSETS, SHORT, (1 << 20) + 1)
    told = "its TIFF tag 273 has 1,048,577 numbers; at most 1,048,576 are read"
    assert refusal(lambda: check_directory(io.BytesIO(data))) == told
    check_directory(io.BytesIO(directory(STRIP_OFFSETS, LONG, 1 << 20)))
    data = directory(STRIP_OFFSETS, FRACTION, TOO_MANY)  # of a table only whole numbers
    assert refusal(lambda: check_directory(io.BytesIO(data))).startswith("its TIFF tag 273 has 131")


def test_a_big_tiff_is_looked_at() -> None:
    start = b"II\x2b\0" + struct.pack("<HHQ", 8, 0, 16)
    many = start + struct.pack("<Q", 1 << 40)
    assert "1,099,511,627,776 entries" in refusal(lambda: check_directory(io.BytesIO(many)))
    one = start + struct.pack("<QHHQQ", 1, X_RESOLUTION, FRACTION, TOO_MANY, 16)
    told = "its TIFF tag 282 has 131,073 numbers; at most 131,072 are read"
    assert refusal(lambda: check_directory(io.BytesIO(one + bytes(8 * TOO_MANY)))) == told
    check_directory(io.BytesIO(one))  # they are not there


def test_the_numbers_of_all_tags_are_added_up() -> None:
    def fractions(tags: int) -> io.BytesIO:
        return io.BytesIO(sharing(FRACTION, *[1 << 15] * tags, length=8 + (1 << 18)))

    check_directory(fractions(4))
    told = "its TIFF tag 1004 has 32,768 numbers; at most 0 are read"
    assert refusal(lambda: check_directory(fractions(5))) == told


@pytest.mark.parametrize("kind", [1, 2, 7], ids=["bytes", "text", "unsaid"])
def test_bytes_are_claimed_by_few_tags(kind: int) -> None:
    def claims(length: int, *sizes: int) -> io.BytesIO:
        return io.BytesIO(sharing(kind, *sizes, length=length))

    check_directory(claims(1000, 992, 992, 16))
    check_directory(claims(1000, 992, 1 << 31, 993, 992, 16))  # two have bytes that are not there
    told = "its TIFF tags claim more than twice the bytes that there are"
    assert refusal(lambda: check_directory(claims(1000, 992, 992, 17))) == told
    assert refusal(lambda: check_directory(claims(60_000, *[50_000] * 4000))) == told


NOT_THERE = {
    "fractions": [(0, FRACTION, 2_457_600, 0x12345678)],
    "whole numbers": [(0, SHORT, 1_277_952, 8), (5, LONG, 76_840_960, 8)],
    "text": [(270 + place, 2, 400, 60) for place in range(3)],
    "unsaid": [(100 + place, 7, 1 << 24, 256) for place in range(3)],
    "strips": [(STRIP_OFFSETS, LONG, 1 << 21, 8)],
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of the tag that it passes over
@pytest.mark.parametrize("entries", NOT_THERE.values(), ids=NOT_THERE)
def test_tags_whose_numbers_are_not_there_spoil_no_photograph(
    entries: list[tuple[int, int, int, int]], tmp_path: Path
) -> None:
    """Such as cameras left them in well-known data sets; Pillow passes over them."""
    words = [struct.pack("<HHII", *entry) for entry in [(ORIENTATION, SHORT, 1, 6), *entries]]
    block = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(words)) + b"".join(words)
    picture = Image.new("RGB", (8, 4), (250, 120, 0))
    for suffix in ("JPEG", "PNG", "WEBP"):
        path = str(tmp_path / f"a.{suffix}")
        picture.save(path, suffix, exif=block + bytes(4))
        header = read_header(path)
        assert (header.height, header.width) == (8, 4)  # turned
        assert read_image(path, "RGB").shape == (8, 4, 3)


@pytest.mark.parametrize("suffix", ["PNG", "WEBP"])
def test_an_exif_block_is_bounded_alike(suffix: str, tmp_path: Path) -> None:
    block = b"Exif\0\0" + directory(ORIENTATION, FRACTION, TOO_MANY)
    path = tmp_path / "a.jpg"
    Image.new("RGB", (4, 4)).save(path, suffix, exif=block)
    told = "its TIFF tag 274 has 131,073 numbers; at most 131,072 are read"
    assert refusal(lambda: read_header(str(path))) == told
    assert refusal(lambda: read_image(str(path), "RGB")) == told


def test_a_block_in_a_text_is_bounded_alike(tmp_path: Path) -> None:
    """As ImageMagick writes it: two lines of its name and length, then hexadecimal digits."""
    block = b"Exif\0\0" + sharing(FRACTION, *[5000] * 27, length=8 + 5000 * 8)
    path = tmp_path / "a.png"
    text = PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    Image.new("RGB", (4, 4)).save(path, pnginfo=text)
    told = "its TIFF tag 1026 has 5,000 numbers; at most 1,072 are read"
    assert refusal(lambda: read_header(str(path))) == told


def test_a_name_that_pillow_takes_off_twice_hides_no_block(tmp_path: Path) -> None:
    block = b"Exif\0\0" + directory(ORIENTATION, FRACTION, TOO_MANY)
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "PNG")
    png = stream.getvalue()
    check = struct.pack(">I", zlib.crc32(b"eXIf" + block))
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + check
    path = tmp_path / "a.png"
    path.write_bytes(png[:33] + chunk + png[33:])  # behind the signature and the header
    told = "its TIFF tag 274 has 131,073 numbers; at most 131,072 are read"
    assert refusal(lambda: read_header(str(path))) == told


@pytest.mark.parametrize(
    "data", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\x05\0\x12"]
)
def test_what_is_cut_off_is_left_to_pillow(data: bytes) -> None:
    file = io.BytesIO(data)
    check_directory(file)
    assert file.tell() == 0
