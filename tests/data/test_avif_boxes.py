"""Pillow is not shown an AVIF's EXIF block, and makes the same image of it. Engine-neutral."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnext_det.data.avif_boxes import MOST_PLACES, without_exif
from resnext_det.data.image_files import read_header, read_image
from resnext_det.data.opened_image import UnreadableImage
from tests.data.avif import needs_avif
from tests.data.odd_images import HEIGHT, WIDTH, encode, picture
from tests.data.test_tiff_directories import FRACTION, directory

OTHER, ORIENTATION, SHORT = 275, 274, 3
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'


def box(name: bytes, content: bytes, is_wide: bool = False) -> bytes:
    """A box with its size in 4 bytes, or in 8. Layout: ISO/IEC 14496-12, section 4.2."""
    if is_wide:
        return struct.pack(">L4sQ", 1, name, len(content) + 16) + content
    return struct.pack(">L4s", len(content) + 8, name) + content


START = box(b"ftyp", b"avif\0\0\0\0mif1")


def avif(kind: int, count: int, irot: int = 1, xmp: bytes = b"") -> bytes:
    """An AVIF whose EXIF block has an orientation of some numbers.

    Pillow takes the tag out where it saves: it is saved by another name, which is then changed.
    """
    block = b"Exif\0\0" + directory(OTHER, kind, count)
    if irot != 1:
        exif = Image.Exif()
        exif.load(block)
        exif[ORIENTATION] = irot
        block = exif.tobytes()
    how = {"xmp": xmp} if xmp else {}
    data = encode(picture(), "AVIF", exif=block, **how)
    entry = struct.pack("<HHL", OTHER, kind, count)
    assert data.count(entry) == 1
    return data.replace(entry, struct.pack("<HHL", ORIENTATION, kind, count))


@needs_avif
def test_numbers_of_the_block_are_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    path = tmp_path / "a.jpg"
    path.write_bytes(avif(FRACTION, 20_000))
    stored = encode(picture(), "AVIF")
    monkeypatch.setattr(Image.Exif, "load", lambda _, block: seen.append(block))
    header = read_header(str(path))
    assert (header.format, header.height, header.width) == ("AVIF", HEIGHT, WIDTH)
    assert not header.is_turned
    pixels = np.asarray(Image.open(io.BytesIO(stored)))
    assert np.array_equal(read_image(str(path), "RGB"), pixels)
    assert seen == []
    Image.open(path).close()
    assert [len(block) > 160_000 for block in seen] == [True]  # as Pillow does otherwise


@needs_avif
@pytest.mark.parametrize("irot", [1, 3, 6])
@pytest.mark.parametrize("xmp", [b"", XMP], ids=["alone", "with_xmp"])
def test_an_image_lies_as_pillow_says_with_the_block(irot: int, xmp: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(avif(SHORT, 1, irot, xmp))
    with Image.open(path) as image:
        assert image.getexif()[ORIENTATION] == irot
        stored = np.asarray(image)
    assert read_header(str(path)).is_turned == (irot != 1)
    upright = {1: stored, 3: stored[::-1, ::-1], 6: stored[::-1].transpose(1, 0, 2)}[irot]
    assert np.array_equal(read_image(str(path), "RGB"), upright)


@needs_avif
def test_xmp_alone_is_asked_as_pillow_does(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(picture(), "AVIF", xmp=XMP))
    with Image.open(path) as image:
        assert image.getexif()[ORIENTATION] == 6
    assert read_header(str(path)).is_turned


@pytest.mark.parametrize("is_wide", [False, True], ids=["of_4_bytes", "of_8_bytes"])
def test_media_is_left_as_it_is(is_wide: bool) -> None:
    media = box(b"mdat", b"Exif application/rdf+xml", is_wide)
    both = box(b"meta", b"..Exif.application/rdf+xml")
    hidden = box(b"meta", b"..none.application/nothing")
    file = without_exif(io.BytesIO(START + media + both + media))
    assert file.read() == START + media + hidden + media
    file = io.BytesIO(START + media + box(b"meta", b"application/rdf+xml"))
    assert without_exif(file) is file
    assert file.tell() == 0


def table(version: int, items: int, count: int, sizes: int) -> bytes:
    """A table of places, all of which are zero; each of its four kinds of number has this size."""
    number = {0: ">H", 1: ">H", 2: ">L"}[version]
    item = struct.pack(number, 1) + (bytes(2) if version else b"") + bytes(2 + sizes)
    item += struct.pack(">H", count) + bytes((3 if version else 2) * sizes * count)
    start = bytes([version, 0, 0, 0, sizes << 4 | sizes, sizes << 4 | (sizes if version else 0)])
    return box(b"meta", bytes(4) + box(b"iloc", start + struct.pack(number, items) + item * items))


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("sizes", [0, 4])
def test_places_of_items_are_counted(version: int, sizes: int) -> None:
    few = table(version, 4, MOST_PLACES // 4 - 2, sizes)
    assert without_exif(io.BytesIO(START + few)).read() == START + few
    told = "its items have more than 16,384 places in the file"
    for many in (table(version, 4, MOST_PLACES // 4, sizes), few + few, few + box(b"moov", few)):
        with pytest.raises(UnreadableImage, match=told):
            without_exif(io.BytesIO(START + many))


@needs_avif
def test_places_without_bytes_are_not_shown_to_pillow(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(START + table(0, 200, 65_535, 0))  # 1.3 kB, of which libavif makes 200 MiB
    with pytest.raises(UnreadableImage, match="its items have more than 16,384 places"):
        read_header(str(path))


@pytest.mark.parametrize("cut", range(24, 48))
def test_a_table_that_is_cut_off_is_left_to_pillow(cut: int) -> None:
    data = (START + table(1, 2, 3, 4))[:cut]
    assert without_exif(io.BytesIO(data)).read() == data


@pytest.mark.parametrize(
    "odd",
    [
        box(b"mdat", b"")[:7] + b"\0Exif",
        b"\0\0\0\7mdatExif",
        b"\0\0\0\1mdat\0\0\0\0\0\0\0\7Exif",
        box(b"free", b"") * 2000 + box(b"mdat", b"Exif"),
        b"\0\0\0\0metaExif",
        b"\0\0\xff\xffmetaExif",
    ],
    ids=["misnamed", "too_short", "too_short_of_8_bytes", "many", "to_the_end", "beyond_the_end"],
)
def test_what_is_no_box_is_taken_for_one_with_a_block(odd: bytes) -> None:
    file = without_exif(io.BytesIO(START + odd))
    assert file.read() == START + odd.replace(b"Exif", b"none")


@pytest.mark.parametrize(
    "data", [b"", b"Exif", START, box(b"ftyp", b"heicExif"), START + b"\0\0\0\0mdatExif"]
)
def test_another_file_is_handed_on(data: bytes) -> None:
    file = io.BytesIO(data)
    assert without_exif(file) is file
    assert file.tell() == 0
