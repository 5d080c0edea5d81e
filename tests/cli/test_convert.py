"""`resnext-det dataset convert`: what it prints; the check takes what it writes."""

import json
from pathlib import Path

import hotcoco
import pytest

from resnext_det.cli import main
from tests.data.converting.folders import boxes_of, picture, shape, write
from tests.data.converting.test_splitting import labelme_photos


def run(*words: str | Path) -> int:
    return main(["dataset", *map(str, words)])


def test_what_is_printed(tmp_path, capsys, monkeypatch):
    labelme_photos(tmp_path / "photos", 5)
    picture(tmp_path / "photos/none.png", 200)
    monkeypatch.chdir(tmp_path)
    assert run("convert", "photos", "-o", "set.json", "--split", "0.8") == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "photos: labels of labelme",
        (
            "1 image(s) have no label file, and count as images of nothing (--skip-unlabelled "
            "leaves them out); first: none.png"
        ),
        "1 class(es): cat",
        "set_train.json: 5 image(s), 4 object(s)",
        "set_val.json: 1 image(s), 1 object(s)",
        (
            "Look at it next: resnext-det dataset check train=set_train.json:photos "
            "val=set_val.json:photos"
        ),
    ]
    assert printed.err == ""
    assert run("check", "train=set_train.json:photos", "val=set_val.json:photos") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing", "-o", "a.json"), "error: nothing: no such folder"),
        ((".", "-o", "a.txt"), "error: -o a.txt: name a file that ends in .json"),
        ((".", "-o", "a.json"), "error: .: no image in this folder or below it; name their"),
        ((".", "-o", "a.json", "--split", "2"), "'2' is neither a share between 0 and 1 nor 'own'"),
        ((".", "-o", "a.json", "--from", "pascal"), "invalid choice: 'pascal'"),
    ],
    ids=["folder", "ending", "empty", "split", "format"],
)
def test_mistakes(tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    try:
        status = run("convert", *words)
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_zero_based_is_vocs_alone(tmp_path, capsys):
    root = labelme_photos(tmp_path / "photos", 1)
    assert run("convert", root, "-o", tmp_path / "a.json", "--zero-based") == 2
    said = "error: --zero-based is for VOC's labels; these are labelme's\n"
    assert capsys.readouterr().err == said


def labelme_of(content: dict, folder: Path) -> None:
    """Writes COCO's boxes as labelme would; its images lie elsewhere."""
    names = {category["id"]: category["name"] for category in content["categories"]}
    for image in content["images"]:
        shapes = [
            shape(names[a["category_id"]], (x, y), (x + width, y + height))
            for a in content["annotations"]
            if a["image_id"] == image["id"]
            for x, y, width, height in [a["bbox"]]
        ]
        stated = {"imageHeight": image["height"], "imageWidth": image["width"]}
        text = json.dumps({"shapes": shapes, "imagePath": image["file_name"], **stated})
        write(folder / f"{Path(image['file_name']).stem}.json", text)


@pytest.mark.parametrize("kind", ["voc", "yolo", "labelme", "coco"])
def test_real_photographs_come_back(shared, tmp_path, capsys, kind):
    """Blood cells, whatever format they were in, are what they were; the check finds no problem."""
    bccd = shared("bccd")
    source = bccd / "val.json"
    content = json.loads(source.read_text())
    images, labels = bccd / "images", tmp_path / kind
    wanted = {image["file_name"] for image in content["images"]}
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in wanted:
        (photos / name).symlink_to(images / name)
    if kind == "labelme":
        labelme_of(content, labels)
    elif kind == "coco":
        write(labels / "val.json", source.read_text())
    else:
        getattr(hotcoco.COCO(content), f"to_{kind}")(str(labels))
    target = tmp_path / "out.json"
    assert run("convert", labels, "--images", photos, "-o", target) == 0
    expected, found = boxes_of(content), boxes_of(json.loads(target.read_text()))
    assert len(found) == len(expected) > 500
    for (name, class_name, box), (other_name, other_class, other) in zip(
        sorted(expected, key=_place), sorted(found, key=_place), strict=True
    ):
        assert (name, class_name) == (other_name, other_class)
        # hotcoco writes VOC's corners rounded to whole pixels, YOLO's shares with six digits
        assert box == pytest.approx(other, abs=1e-3 if kind != "yolo" else 2e-3)
    assert run("check", f"val={target}:{photos}") == 0
    assert "\n0 problem(s)" in capsys.readouterr().out


def _place(item: tuple[str, str, list[float]]) -> tuple:
    name, class_name, box = item
    return name, class_name, [round(value) for value in box]
