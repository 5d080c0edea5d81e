"""A JPEG's header is bounded before Pillow makes objects of what it says. Engine-neutral."""

import io
import struct
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnext_det.data import jpeg_segments, pillow_opening
from resnext_det.data.decoding import build_decoder
from resnext_det.data.image_files import read_header, read_image
from resnext_det.data.jpeg_segments import MOST_EXIF_PARTS, MOST_PARTS, check_segments
from resnext_det.data.opened_image import UnreadableImage
from tests.data.odd_images import HEIGHT, WIDTH, encode, picture, turned_file
from tests.data.test_tiff_directories import FRACTION, TOO_MANY, X_RESOLUTION, directory, sharing

NAME = b"Exif\0\0"  # which begins the segment of an EXIF block
APP1, APP2, APP5, FRAME = 0xE1, 0xE2, 0xE5, 0xC0
TOLD = "its TIFF tag 282 has 131,073 numbers; at most 131,072 are read"
# What Pillow steps over on its way: other bytes, fill bytes, an escaped byte, markers without a
# segment, and a segment that claims to be shorter than its own length.
STEPPED_OVER = {
    "nothing": b"",
    "other_bytes": b"\0\x12Exif",
    "fill_bytes": b"\xff\xff\xff",
    "escaped": b"\xff\0\xff\0\xe1",
    "restart": b"\xff\xd0\xff\xd8\xff\xd9",
    "extension": b"\xff\xc8\xff\xf0",
    "short": b"\xff\xe3\0\0\xff\xe4\0\1",
}


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


EMPTY = segment(APP5, b"")


def exif_parts(block: bytes, size: int = 65_000) -> bytes:
    """An EXIF block in as many segments as it takes, each of which has the name before it."""
    starts = range(0, len(block), size)
    return b"".join(segment(APP1, NAME + block[i : i + size]) for i in starts)


def jpeg_with(header: bytes) -> bytes:
    """A JPEG with these bytes in place of its first segment, JFIF's, which has a resolution."""
    jpeg = encode(picture(), "JPEG")
    assert jpeg[2:4] == b"\xff\xe0"
    return jpeg[:2] + header + jpeg[20:]


def orientation_block(orientation: int, order: str = "<") -> bytes:
    """An EXIF block of one tag."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}LHHHLHHL", 8, 1, 274, 3, 1, orientation, 0, 0)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(UnreadableImage) as error:
        act()
    return str(error.value)


@pytest.fixture
def _unopened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("Pillow opens it")

    monkeypatch.setattr(pillow_opening.Image, "open", refuse)


@pytest.mark.usefixtures("_unopened")
@pytest.mark.parametrize("between", STEPPED_OVER)
def test_a_block_of_too_many_numbers_is_not_shown_to_pillow(between: str, tmp_path: Path) -> None:
    parts = exif_parts(directory(X_RESOLUTION, FRACTION, TOO_MANY))
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(EMPTY + STEPPED_OVER[between] + parts))
    assert refusal(lambda: read_header(str(path))) == TOLD
    assert refusal(lambda: read_image(str(path), "RGB")) == TOLD
    for name in ("exact", "fast"):
        decoder = build_decoder(name, "bilinear")
        assert refusal(lambda: decoder.open(path.read_bytes())) == TOLD  # noqa: B023  called here


@pytest.mark.parametrize("between", STEPPED_OVER)
def test_pillow_finds_a_block_behind_all_that(between: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    parts = exif_parts(orientation_block(6))
    path.write_bytes(jpeg_with(EMPTY + STEPPED_OVER[between] + parts))
    header = read_header(str(path))
    assert (header.height, header.width) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("start", [b"", NAME, b"http"], ids=["plain", "named", "other"])
def test_a_name_before_the_block_is_taken_off_as_pillow_does(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(exif_parts(start + orientation_block(6))))
    assert read_header(str(path)).is_turned == (start != b"http")
    path.write_bytes(jpeg_with(exif_parts(start + directory(X_RESOLUTION, FRACTION, TOO_MANY))))
    if start != b"http":
        assert refusal(lambda: read_header(str(path))) == TOLD


def test_memory_does_not_grow_with_the_numbers() -> None:
    data = jpeg_with(exif_parts(directory(X_RESOLUTION, FRACTION, TOO_MANY)))
    file = io.BytesIO(data)
    tracemalloc.start()
    try:
        assert refusal(lambda: pillow_opening.open_still(file)) == TOLD
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(data)  # Pillow takes 39 times as much


def test_the_walk_finds_the_block_that_pillow_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against Pillow's own walk, over headers drawn at random from pieces of all kinds."""
    blocks: list[bytes] = []
    monkeypatch.setattr(jpeg_segments, "check_block", blocks.append)
    random = np.random.RandomState(0)
    jpeg = encode(picture(), "JPEG")
    pieces = [
        *STEPPED_OVER.values(),
        *(exif_parts(orientation_block(6), size) for size in (5, 12, 65_000)),
        *(segment(APP1, name) for name in (b"Exif\0", NAME, NAME + NAME, b"http://")),
        *(segment(marker, NAME + b"\xff\xe1") for marker in (0xC4, APP2, APP5, 0xFE)),
        *(b"\xff", b"\xff\xe1", b"\xff\xe1\0", jpeg[2:20], b"\xff\xda\0\2", b"\xff\xd8\xff"),
    ]
    opened = 0
    for _ in range(400):
        header = b"".join(pieces[i] for i in random.randint(0, len(pieces), random.randint(6)))
        data = jpeg[:2] + header + jpeg[20 : random.choice([20, len(jpeg)])]
        blocks.clear()
        check_segments(io.BytesIO(data))
        try:
            with warnings.catch_warnings(action="ignore"):
                found = Image.open(io.BytesIO(data), formats=["JPEG"]).info.get("exif")
        except Exception:  # Pillow looks no further, and makes nothing of it
            continue
        opened += found is not None
        assert blocks == ([] if found is None else [found]), data[:200]
    assert opened > 30


def test_the_index_of_several_pictures_is_bounded() -> None:
    index = b"MPF\0" + sharing(FRACTION, *[5000] * 27, length=8 + 5000 * 8)
    told = refusal(lambda: check_segments(io.BytesIO(jpeg_with(segment(APP2, index)))))
    assert told == "its TIFF tag 1026 has 5,000 numbers; at most 1,072 are read"


@pytest.mark.usefixtures("_unopened")
@pytest.mark.parametrize(
    "part", [EMPTY, b"\xff\xd0", b"\0", b"\xff"], ids=["empty", "bare", "junk", "fill"]
)
def test_a_header_of_too_many_parts_is_refused(part: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(EMPTY + part * MOST_PARTS))
    assert refusal(lambda: read_header(str(path))) == "its header has more than 65,536 parts"


def test_many_parts_are_read_and_more_of_a_block_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(EMPTY * (MOST_PARTS - 30) + b"\0" * 10))
    assert read_header(str(path)).width == WIDTH
    path.write_bytes(jpeg_with(exif_parts(orientation_block(6) + bytes(MOST_EXIF_PARTS - 26), 1)))
    assert read_header(str(path)).height == WIDTH
    path.write_bytes(jpeg_with(exif_parts(orientation_block(6) + bytes(MOST_EXIF_PARTS - 25), 1)))
    assert refusal(lambda: read_header(str(path))) == "its EXIF block has more than 64 parts"


@pytest.mark.usefixtures("_unopened")
def test_a_frame_of_more_components_than_an_image_has_is_refused(tmp_path: Path) -> None:
    frame = b"\x08\0\x10\0\x10\x03" + bytes([1, 0x11, 0]) * 21_000
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(segment(FRAME, frame)))
    told = "its frame header has 63,008 bytes; at most 20 are read"
    assert refusal(lambda: read_header(str(path))) == told


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_a_photograph_with_a_thumbnail_is_turned(order: str, tmp_path: Path) -> None:
    """Layout: EXIF 2.32, section 4.5.1: the second directory describes a small JPEG behind it."""
    thumbnail = encode(picture().resize((15, 10)), "JPEG")
    first, second, behind = 8, 8 + 2 + 2 * 12 + 4, 8 + 2 * (2 + 2 * 12 + 4)
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", first)
    block += struct.pack(f"{order}HHHLHHHHLLL", 2, 274, 3, 1, 6, 0, 282, 5, 1, behind, second)
    place, size = behind + 8, len(thumbnail)
    block += struct.pack(f"{order}HHHLLHHLLL", 2, 513, 4, 1, place, 514, 4, 1, size, 0)
    block += struct.pack(f"{order}LL", 300, 1) + thumbnail
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(exif_parts(block)))
    assert read_header(str(path)).is_turned
    upright = read_image(str(path), "RGB")
    stored = np.asarray(Image.open(io.BytesIO(jpeg_with(b""))))
    assert np.array_equal(upright, stored[::-1].transpose(1, 0, 2))  # TIFF 6.0, tag 274


def test_several_pictures_in_one_file_are_turned_as_the_first_says(tmp_path: Path) -> None:
    more = {"save_all": True, "append_images": [picture().rotate(180)]}
    path = tmp_path / "a.jpg"
    path.write_bytes(turned_file("MPO", 6, **more))
    header = read_header(str(path))
    assert (header.format, header.height, header.width) == ("MPO", WIDTH, HEIGHT)
    assert read_image(str(path), "RGB").shape == (WIDTH, HEIGHT, 3)


def test_the_limits_are_those_that_are_promised() -> None:
    text = " ".join((Path(__file__).parents[2] / "SECURITY.md").read_text().split())
    assert "the header of a JPEG at most 2¹⁶ parts, 64 of them of EXIF" in text
    assert (MOST_PARTS, MOST_EXIF_PARTS) == (2**16, 64)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\0", b"GIF"])
def test_what_is_cut_off_is_left_to_pillow(data: bytes) -> None:
    file = io.BytesIO(data)
    check_segments(file)
    assert file.tell() == 0
