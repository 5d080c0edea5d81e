"""A data set's fingerprint: what is in it, and what is not."""

import hashlib
import json
from pathlib import Path

from projects.studies.set_digests import is_there, set_digest
from resnext_det.data.catalog import DatasetEntry, parse_data_argument
from tests.projects.small_folders import class_folder


def of_files(*files: tuple[str, int]) -> str:
    lines = "".join(f"\n{name}\0{size}" for name, size in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def test_pictures_count_by_name_and_size_in_the_order_of_paths(tmp_path: Path) -> None:
    for name, content in (("a b/0.png", b"123"), ("a/1.png", b"12"), ("a/0.png", b"1")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    digest, number = set_digest(DatasetEntry("set", None, tmp_path))
    assert number == 3
    assert digest == of_files(("a/0.png", 1), ("a/1.png", 2), ("a b/0.png", 3))


def test_class_folders_may_be_links(tmp_path: Path) -> None:
    class_folder(tmp_path / "away", "ab")
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in "ab":
        (linked / name).symlink_to(tmp_path / "away" / name)
    expected = set_digest(DatasetEntry("set", None, tmp_path / "away"))
    assert set_digest(DatasetEntry("set", None, linked)) == expected


def test_shards_count_with_their_folder_whether_one_is_named_or_many(tmp_path: Path) -> None:
    (tmp_path / "train-0.tar").write_bytes(b"12345")
    for name in ("train-0.tar", "train-{0..1}.tar"):
        entry = parse_data_argument(f"set={tmp_path / name}")
        assert is_there(entry)
        assert set_digest(entry) == (of_files(("train-0.tar", 5)), 1)


def test_what_a_server_has_is_not_looked_at() -> None:
    entry = parse_data_argument("set=http://localhost/index.json")
    assert is_there(entry)
    assert set_digest(entry) == (of_files(("http://localhost/index.json", 0)), 1)


def test_annotations_count_and_so_does_a_picture_that_is_missing(tmp_path: Path) -> None:
    content = json.dumps({"images": [{"file_name": "0.png"}, {"file_name": "1.png"}]}).encode()
    (tmp_path / "val.json").write_bytes(content)
    (tmp_path / "0.png").write_bytes(b"1234")
    entry = DatasetEntry("set", tmp_path / "val.json", tmp_path)
    expected = hashlib.sha256(hashlib.sha256(content).hexdigest().encode())
    expected.update(b"\n0.png\x004\n1.png\x00-1")
    assert set_digest(entry) == (expected.hexdigest(), 2)


def test_a_folder_that_is_missing_is_not_there(tmp_path: Path) -> None:
    assert not is_there(DatasetEntry("set", None, tmp_path / "val"))
    assert not is_there(DatasetEntry("set", tmp_path / "val.json", tmp_path))
