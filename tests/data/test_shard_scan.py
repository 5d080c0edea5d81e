"""Foreign shards: where labels are, and what a sample may not be. Engine-neutral."""

import json

import pytest

from resnext_det.data.class_names import names_of_classes
from resnext_det.data.shard_scan import scan_shard
from resnext_det.errors import UserError
from tests.data.sharded import make_tar


def scanned(tmp_path, *members: tuple[str, str]):
    path = make_tar(tmp_path / "s.tar", [(name, data.encode()) for name, data in members])
    return path, scan_shard(path)


def test_labels_and_bytes_are_found(tmp_path):
    path, table = scanned(
        tmp_path,
        ("a/0.cls", "3\n"), ("a/0.jpg", "JPEG"), ("a/0.txt", "a caption"),
        ("a/1.PNG", "PNG bytes"), ("a/1.json", json.dumps({"label": 0, "width": 5})),
        ("2.webp", "W"), ("2.json", json.dumps({"cls": 12})), ("2.seg.png", "a mask"),
        ("3.json", json.dumps({"key": "x"})), ("3.jpeg", ""), ("3.cls", "07"),
        (".hidden", "?"), ("readme", "?"), ("4.txt", "no image, no sample"),
    )  # fmt: skip
    assert table.labels.tolist() == [3, 0, 12, 7]
    assert [table.name(i) for i in range(4)] == ["a/0.jpg", "a/1.PNG", "2.webp", "3.jpeg"]
    data = path.read_bytes()
    spans = zip(table.offsets.tolist(), table.lengths.tolist(), strict=True)
    assert [data[o : o + n] for o, n in spans] == [b"JPEG", b"PNG bytes", b"W", b""]


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ([("0.jpg", "x")], "s.tar: 0: no label; a sample needs .cls"),
        ([("0.jpg", "x"), ("0.json", "{}")], "s.tar: 0: no label"),
        ([("0.jpg", "x"), ("1.cls", "2")], "s.tar: 0: no label"),
        ([("0.jpg", "x"), ("0.cls", "cat")], "s.tar: 0.cls: label 'cat' is no class number"),
        ([("0.jpg", "x"), ("0.cls", "-1")], "label '-1' is no class number"),
        ([("0.jpg", "x"), ("0.cls", "1.0")], "label '1.0' is no class number"),
        ([("0.jpg", "x"), ("0.cls", "")], "label '' is no class number"),
        ([("0.jpg", "x"), ("0.cls", "1000000")], "is no class number, 0 … 999999"),
        ([("0.jpg", "x"), ("0.cls", "9" * 60)], "is no class number"),
        ([("0.jpg", "x"), ("0.cls", "1" * 65)], "0.cls: 65 bytes, too long for a label"),
        ([("0.jpg", "x"), ("0.json", '{"label": true}')], "label 'True' is no class number"),
        ([("0.jpg", "x"), ("0.json", '{"label": 1.5}')], "label '1.5' is no class number"),
        ([("0.jpg", "x"), ("0.json", "{")], "label '{' is no class number"),
        ([("0.jpg", "x"), ("0.json", "[" * 5000)], "is no class number"),
        ([("0.jpg", "x"), ("0.png", "y"), ("0.cls", "1")], "0: has 2 images"),
        ([("0.jpg", "x"), ("0.jpg", "x"), ("0.cls", "1")], "key '0' comes twice, with 'jpg'"),
        (
            [("0.jpg", "x"), ("0.cls", "1"), ("1.txt", ""), ("0.cls", "1")],
            "comes twice, with other",
        ),
        ([("0.txt", "x"), ("0.cls", "1")], "s.tar: no image in this shard"),
        ([], "s.tar: no image in this shard"),
    ],
    ids=lambda value: None if isinstance(value, list) else value[:30],
)
def test_a_wrong_sample_is_named(tmp_path, members, fault):
    with pytest.raises(UserError) as error:
        scanned(tmp_path, *members)
    assert fault in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_an_image_of_a_gigabyte_is_no_image(tmp_path):
    path = tmp_path / "s.tar"
    data = make_tar(tmp_path / "small.tar", [("0.cls", b"1")]).read_bytes()[:1024]
    big = make_tar(tmp_path / "small.tar", [("0.jpg", b"")]).read_bytes()[:512]
    size = 1 << 30
    big = big[:124] + b"%011o\0" % size + b" " * 20 + big[156:]
    big = big[:136] + b"%011o\0" % 0 + b" " * 8 + big[156:]
    big = big[:148] + b"%06o\0 " % sum(big) + big[156:]
    with path.open("wb") as file:
        file.write(data + big)
        file.truncate(1536 + size + 1024)
    with pytest.raises(UserError, match="more than 256 MiB"):
        scan_shard(path)


def test_class_names():
    assert names_of_classes(None, 10, "s") == tuple(f"{n:02d}" for n in range(11))
    assert names_of_classes(["a", "b", "c"], 1, "s") == ("a", "b", "c")
    with pytest.raises(UserError, match="s: a label is 3, but there are 3 class names"):
        names_of_classes(["a", "b", "c"], 3, "s")
