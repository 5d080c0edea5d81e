"""Members of tars: sound ones as tarfile finds them, hostile ones by name. Engine-neutral."""

import bz2
import gzip
import lzma
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from resnext_det.data.tar_members import tar_members
from resnext_det.errors import UserError
from tests.data.sharded import make_tar

LONG = "a/" * 90 + "b.jpg"  # needs a GNU or PAX header


def header(name: str = "a.jpg", *, kind: bytes = tarfile.REGTYPE, size: int = 0, **more) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    for key, value in more.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def error_of(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(UserError) as error:
        list(tar_members(path))
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_tarfiles_own(tmp_path, form):
    path = tmp_path / "a.tar"
    names = ["a.jpg", "x/b.cls", "ä.png", *([] if form == tarfile.USTAR_FORMAT else [LONG])]
    for name in {n.rpartition("/")[0] for n in names if "/" in n}:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for number, name in enumerate(names):
            (tmp_path / name).write_bytes(b"x" * 700 * number)
            archive.add(tmp_path / name, name)
        archive.add(tmp_path / "x", "folder", recursive=False)
    with tarfile.open(path) as archive:
        expected = [(m.name, m.offset_data, m.size) for m in archive if m.isreg()]
    assert [tuple(m) for m in tar_members(path)] == expected
    assert [name for name, *_ in expected] == names


def test_an_empty_tar_has_no_members(tmp_path):
    assert list(tar_members(make_tar(tmp_path / "a.tar", []))) == []


@pytest.mark.parametrize(("compress", "name"), [(gzip, "gzip"), (bz2, "bzip2"), (lzma, "xz")])
def test_a_compressed_tar_is_named(tmp_path, compress, name):
    data = make_tar(tmp_path / "a.tar", [("a.jpg", b"x")]).read_bytes()
    assert error_of(tmp_path / "b.tar", compress.compress(data)).startswith(f"compressed ({name})")


@pytest.mark.parametrize(
    ("member", "fault"),
    [
        (header(size=1 << 42), "claims 4398046511104 bytes, but the tar ends before"),
        (header(size=1 << 60), "claims 1152921504606846976 bytes"),
        (header(kind=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link, a device"),
        (header(kind=tarfile.LNKTYPE, linkname="b"), "is a link, a device"),
        (header(kind=tarfile.CHRTYPE, devmajor=1, devminor=5), "is a link, a device"),
        (header(kind=tarfile.FIFOTYPE), "is a link, a device"),
        (header("a\nb.jpg"), "which no line can hold"),
        (header("a\x1b[2J.jpg"), "which no line can hold"),
    ],
    ids=["4 TiB", "1 EiB", "symlink", "hard link", "device", "fifo", "line break", "escape"],
)
def test_a_hostile_member_is_named(tmp_path, member, fault):
    assert fault in error_of(tmp_path / "a.tar", member + bytes(1024))


def negative_size(data: bytes, size: int) -> bytes:
    """Writes a negative size in base 256 into a header and mends its check sum."""
    field = b"\xff" + (256**11 + size).to_bytes(11, "big")
    data = data[:124] + field + data[136:148] + b" " * 8 + data[156:512]
    return data[:148] + b"%06o\0 " % sum(data) + data[156:]


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_negative_size_is_named(tmp_path, kind):
    data = negative_size(header(kind=kind), -1024)
    assert "claim" in error_of(tmp_path / "a.tar", data + bytes(2048))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_bomb_takes_no_memory(tmp_path, kind):
    path, size = tmp_path / "a.tar", 1 << 28
    with path.open("wb") as file:
        file.write(header(kind=kind, size=size))
        file.truncate(512 + size + 1024)  # sparse on disk
    tracemalloc.start()
    with pytest.raises(UserError, match="a member's headers claim 268435456 bytes"):
        list(tar_members(path))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_headers_without_end_are_named(tmp_path):
    record = b"13 comment=a\n".ljust(512, b"\0")
    chain = (header(kind=tarfile.XHDTYPE, size=13) + record) * 2000
    assert "headers claim" in error_of(tmp_path / "a.tar", chain + bytes(1024))


def test_a_cut_tar_is_named(tmp_path):
    data = make_tar(tmp_path / "b.tar", [("a.jpg", b"x" * 900), ("b.jpg", b"y")]).read_bytes()
    for size, fault in {
        0: "empty", 300: "not a tar", 1000: "the tar ends before", 1536: "no end mark",
        1700: "no end mark",
    }.items():  # fmt: skip
        assert fault in error_of(tmp_path / "a.tar", data[:size]), size


def test_rubbish_between_members_is_not_the_end(tmp_path):
    data = make_tar(tmp_path / "b.tar", [("a.jpg", b"x"), ("b.jpg", b"y")]).read_bytes()
    assert "damaged at byte 1024" in error_of(tmp_path / "a.tar", data[:1024] + b"?" * len(data))
    assert "not a tar" in error_of(tmp_path / "a.tar", b"\xff\xd8\xff" + b"?" * 5000)


def test_a_missing_tar_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        list(tar_members(tmp_path / "a.tar"))
