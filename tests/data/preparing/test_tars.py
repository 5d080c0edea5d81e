"""Tar archives that should not be: what they hold is refused by name, and nothing is written."""

import io
import tarfile
from pathlib import Path

import pytest

from resnext_det.data.preparing import tars
from resnext_det.data.preparing.archives import CHUNK, ForwardReader, open_archive
from resnext_det.data.preparing.imagenet_1k import prepare_train
from resnext_det.data.preparing.tars import Member, is_plain, members, read_member
from resnext_det.errors import UserError
from tests.data.preparing.tiny_imagenet import TINY, tar_bytes


class Source:
    """Bytes in memory, read forward."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self._file.read(size)

    def skip(self, size: int) -> None:
        self._file.seek(size, io.SEEK_CUR)


def listed(data: bytes, **given) -> list[Member]:
    return list(members(ForwardReader(Source(data), "a.tar"), **given))


def refusal(data: bytes, **given) -> str:
    with pytest.raises(UserError) as caught:
        listed(data, **given)
    message = str(caught.value)
    assert message.startswith("a.tar: ")
    assert "\n" not in message
    return message.removeprefix("a.tar: ")


def one(name: str = "a.JPEG", kind: bytes = tarfile.REGTYPE, **fields) -> bytes:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


@pytest.mark.parametrize(
    "format",
    [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT],
    ids=["ustar", "gnu", "pax"],
)
def test_members_and_their_bytes(format, tmp_path):
    long = "x" * 120
    files = {"a.JPEG": b"a", "n1/b.JPEG": bytes(513), f"{long}.JPEG": b"", "./c.JPEG": b"c" * 2000}
    if format == tarfile.USTAR_FORMAT:
        del files[f"{long}.JPEG"]  # longer than such a header takes
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=format) as archive:
        folder = tarfile.TarInfo("n1")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    for digest in (False, True):
        with open_archive(path, digest=digest, chunk=512) as opened:
            reader = ForwardReader(opened.file, "a.tar")
            found = {member: read_member(reader, member) for member in members(reader)}
        assert [member.name for member in found] == [name.rpartition("/")[2] for name in files]
        assert list(found.values()) == list(files.values())
        assert [m.folder for m in found] == ["n1" if name[:2] == "n1" else "" for name in files]
        assert opened.source.size == path.stat().st_size


def test_an_archive_without_files_is_empty():
    assert listed(bytes(1024)) == []


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../a.JPEG", "n1/../../a.JPEG", "n1/..", "n1//a.JPEG", "a\\b", "a b", "é.JPEG",
     "\x1b[31m.JPEG", "a\nb", "-", "~/a", ".hidden", "n1/", "x" * 201],
    ids=repr,
)  # fmt: skip
def test_names_that_lead_elsewhere(name):
    if name == "-":
        assert listed(one(name))[0].name == "-"  # harmless: it is no option of any command here
        return
    message = refusal(one(name))
    assert "is no name for an image" in message or "not a plain file" in message


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"],
    ids=["symlink", "hardlink", "character", "block", "fifo", "unknown"],
)
def test_what_is_no_plain_file(kind):
    data = one(kind=kind, linkname="/etc/passwd")
    assert refusal(data) == "'a.JPEG' is a link, a device or sparse, not a plain file"


def test_sparse_files():
    data = one(pax_headers={})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("a.JPEG")
        info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "99"}
        archive.addfile(info)
    assert "sparse" in refusal(buffer.getvalue())
    assert listed(data)


def test_a_file_that_is_there_twice():
    data = one()[:512] + one()
    assert refusal(data) == "'a.JPEG' is in it twice"
    other = one("./a.JPEG")[:512] + one("a.JPEG")
    assert refusal(other) == "'a.JPEG' is in it twice"


@pytest.mark.parametrize("size", [1001, 1 << 33, 1 << 62])
def test_huge_sizes(size):
    assert refusal(one(size=size), largest=1000) == (
        f"'a.JPEG' claims {size:,} bytes; at most 1,000"
    )


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_headers_that_claim_gigabytes(kind):
    message = refusal(one(kind=kind, size=1 << 40))
    assert message == "a member claims 1,099,511,627,776 bytes: damaged, or not meant"


def test_negative_sizes():
    header = bytearray(one()[:512])
    header[124:136] = b"\xff" * 12  # -1, in the base of 256
    checksum = sum(header[:148]) + 8 * 32 + sum(header[156:])
    header[148:156] = b"%06o\0 " % checksum
    message = refusal(bytes(header) + bytes(1024))
    assert "damaged" in message or "claims -1 bytes" in message


def test_garbage_between_members_is_no_end():
    whole = tar_bytes({"a.JPEG": b"a", "b.JPEG": b"b"})
    broken = whole[:1024] + b"\x07" * 512 + whole[1536:]
    assert refusal(broken).startswith("cut off or damaged after 1 files")


def test_more_files_than_an_archive_has(monkeypatch):
    monkeypatch.setattr(tars, "MOST_MEMBERS", 2)
    whole = tar_bytes({"a.JPEG": b"a", "b.JPEG": b"b", "c.JPEG": b"c"})
    assert refusal(whole) == "more than 2 files"


@pytest.mark.parametrize("name", ["../../evil.JPEG", "/tmp/evil.JPEG", "x/../../evil.JPEG"])
@pytest.mark.parametrize("nested", [False, True], ids=["outer", "inner"])
def test_nothing_is_written_outside(tmp_path, name, nested):
    data = tar_bytes({name: b"evil"})
    path = tmp_path / "a/b/train.tar"
    path.parent.mkdir(parents=True)
    path.write_bytes(tar_bytes({"n00000001.tar": data}) if nested else data)
    with pytest.raises(UserError, match="is no name for an image"):
        prepare_train(path, tmp_path / "a/b/target", reference=TINY)
    assert not list(tmp_path.rglob("evil*"))
    assert not Path("/tmp/evil.JPEG").exists()


def test_plain_names():
    assert all(map(is_plain, ["a", "n01440764", "a_b-c.JPEG", "aquarium_fish"]))
    assert not any(map(is_plain, ["", ".", "..", ".a", "a/b", "a b", "a\0", "x" * 201]))


def test_large_members_are_gone_over_without_reading(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("a.JPEG")
        info.size = 3 * CHUNK + 5
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    read = []
    with open_archive(path, digest=False, chunk=512, advance=read.append) as opened:
        assert [m.size for m in members(ForwardReader(opened.file, "a"))] == [3 * CHUNK + 5]
    assert sum(read) <= path.stat().st_size
