"""One file for each split: by content, or as the folder says."""

import json
import shutil
from pathlib import Path

import pytest

from resnext_det.data.converting.convert import ConvertOptions, convert
from resnext_det.errors import UserError
from tests.data.converting.folders import (
    coco_content,
    labelme_json,
    picture,
    shape,
    voc_object,
    voc_xml,
    write,
)


def labelme_photos(root: Path, number: int) -> Path:
    for shade in range(number):
        picture(root / f"{shade:02}.png", shade)
        text = labelme_json(shape("cat", (1, 1), (5, 5)), called=f"{shade:02}.png")
        write(root / f"{shade:02}.json", text)
    return root


def splits_of(root: Path, split: float | str) -> dict[str, list[str]]:
    """The names of the images of each file that is written."""
    done = convert(root, root.parent / "set.json", ConvertOptions(split=split))
    categories = [content["categories"] for content in done.contents.values()]
    assert all(names == categories[0] for names in categories)
    return {
        path.name: [image["file_name"] for image in json.loads(path.read_text())["images"]]
        for path in done.contents
    }


def test_a_share_is_chosen_by_content(tmp_path):
    root = labelme_photos(tmp_path / "a", 10)
    split = splits_of(root, 0.8)
    assert list(split) == ["set_train.json", "set_val.json"]
    assert [len(names) for names in split.values()] == [8, 2]
    assert sorted(split["set_train.json"] + split["set_val.json"]) == [
        f"{shade:02}.png" for shade in range(10)
    ]
    other = tmp_path / "b"
    other.mkdir()
    for path in root.glob("*.png"):  # the same pictures by other names are split in the same way
        shutil.copy(path, other / f"x{99 - int(path.stem)}.png")
        text = labelme_json(shape("cat", (1, 1), (5, 5)), called="no.png")
        write(other / f"x{99 - int(path.stem)}.json", text)
    renamed = splits_of(other, 0.8)["set_val.json"]
    assert sorted(99 - int(name[1:3]) for name in renamed) == sorted(
        int(name[:2]) for name in split["set_val.json"]
    )


def test_copies_stay_together(tmp_path):
    root = labelme_photos(tmp_path / "a", 3)
    for number in range(3):
        shutil.copy(root / "00.png", root / f"copy{number}.png")
    assert all(
        len({name for name in names if name[:4] in ("00.p", "copy")}) in (0, 4)
        for names in splits_of(root, 0.5).values()
    )


def test_each_class_is_trained_on(tmp_path):
    root = labelme_photos(tmp_path / "a", 10)
    for number in range(10):
        write(
            root / f"{number:02}.json",
            labelme_json(shape(f"c{number // 2}", (1, 1), (5, 5)), called=""),
        )
    convert(root, tmp_path / "set.json", ConvertOptions(split=0.5))
    trained = json.loads((tmp_path / "set_train.json").read_text())
    assert len({a["category_id"] for a in trained["annotations"]}) == 5 == len(trained["images"])


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_no_part_is_empty(tmp_path, share):
    assert all(splits_of(labelme_photos(tmp_path / "a", 2), share).values())


def test_one_image_is_not_split(tmp_path):
    with pytest.raises(UserError, match=r"has 1 different image\(s\); a split needs two or more"):
        splits_of(labelme_photos(tmp_path / "a", 1), 0.5)


def yolo_photos(root: Path, yaml: str) -> Path:
    for number, name in enumerate(("train/a", "train/b", "valid/c")):
        picture(root / f"images/{name}.png", number)
        write(root / f"labels/{name}.txt", "0 .5 .5 .5 .5")
    write(root / "data.yaml", f"names: [cat]\n{yaml}")
    return root


LISTED = {
    "set_train.json": ["images/train/a.png", "images/train/b.png"],
    "set_val.json": ["images/valid/c.png"],
}


@pytest.mark.parametrize(
    "yaml",
    [
        "train: images/train\nval: images/valid\n",
        "path: images\ntrain: train\nval: valid\n",
        "path: /home/somebody/set\ntrain: images/train/\nval: images/valid/\n",
        "train: ../images/train\nval: ../images/valid\ntest: ../images/test\n",
        "train: train.txt\nval: [images/valid]\n",
    ],
    ids=["plain", "path", "elsewhere", "one too high", "list"],
)
def test_yolos_own_splits(tmp_path, yaml):
    root = yolo_photos(tmp_path / "yolo", yaml)
    write(root / "train.txt", "./images/train/a.png\n/home/somebody/images/train/b.png\n")
    assert splits_of(root, "own") == LISTED


def test_own_splits_beside_classes_of_a_file(tmp_path):
    root = yolo_photos(tmp_path / "yolo", "train: images/train\nval: images/valid\n")
    write(root / "other.yaml", "names: [dog]\n")
    classes = write(tmp_path / "names.txt", "zebra\n")
    options = ConvertOptions(split="own", classes=classes)
    done = convert(root, tmp_path / "set.json", options)
    assert [path.name for path in done.contents] == list(LISTED)
    assert done.class_names == ("zebra",)


def test_own_splits_are_told_where_they_are_not_asked_for(tmp_path):
    root = yolo_photos(tmp_path / "yolo", "train: images/train\nval: images/valid\n")
    done = convert(root, tmp_path / "set.json", ConvertOptions())
    assert [len(content["images"]) for content in done.contents.values()] == [3]
    told = "2 split(s) are the folder's own; --split own keeps them apart (train, val); first:"
    assert done.notes[0].startswith(told)


def test_vocs_own_splits(tmp_path):
    root = tmp_path / "voc"
    for number, name in enumerate("abc"):
        picture(root / f"JPEGImages/{name}.png", number)
        write(root / f"Annotations/{name}.xml", voc_xml(voc_object("cat", 1, 2, 3, 4)))
    write(root / "ImageSets/Main/train.txt", "a\n")
    write(root / "ImageSets/Main/val.txt", "b\n")
    write(root / "ImageSets/Main/cat_train.txt", "c  1\n")
    assert splits_of(root, "own") == {
        "set_train.json": ["JPEGImages/a.png"],
        "set_val.json": ["JPEGImages/b.png"],
    }


def test_cocos_own_splits(tmp_path):
    root = tmp_path / "coco"
    for number, split in enumerate(("train", "valid")):
        picture(root / split / "x.png", number)
        content = coco_content({"x.png": [[1, 2, 3, 4]]})
        write(root / split / "_annotations.coco.json", json.dumps(content))
    expected = {"set_train.json": ["train/x.png"], "set_val.json": ["valid/x.png"]}
    assert splits_of(root, "own") == expected


def test_what_was_made_is_split_once_more_where_it_stands_alone(tmp_path):
    root = labelme_photos(tmp_path / "a", 4)
    convert(root, root / "made.json", ConvertOptions())
    options = ConvertOptions(format="coco", split=0.5)
    contents = convert(root, root / "again.json", options).contents.values()
    assert [len(content["images"]) for content in contents] == [2, 2]
    write(root / "other.json", json.dumps(coco_content({"00.png": [[1, 2, 3, 4]]})))
    done = convert(root, tmp_path / "set.json", ConvertOptions(format="coco"))
    assert [len(content["images"]) for content in done.contents.values()] == [1]


def test_no_splits_of_its_own(tmp_path):
    with pytest.raises(UserError, match=r"--split own: its files name no two splits; give a share"):
        splits_of(labelme_photos(tmp_path / "a", 2), "own")
