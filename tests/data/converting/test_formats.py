"""Each format against another library's reading and writing of it, and against its definition."""

import json
from pathlib import Path

import hotcoco
import numpy as np
import pytest
from PIL import Image

from resnext_det.data.converting.convert import Conversion, ConvertOptions, convert
from resnext_det.data.image_files import read_image
from tests.data.converting import folders
from tests.data.converting.folders import (
    HEIGHT,
    WIDTH,
    boxes_of,
    labelme_folder,
    picture,
    shape,
    voc_folder,
    voc_object,
    yolo_folder,
)

CONTENT = folders.coco_content(
    {
        "a.jpg": [[0, 0, WIDTH, HEIGHT], [10, 5, 20, 10]],
        "b.jpg": [[39, 29, 1, 1]],
        "c.jpg": [],
    }
)


def converted(root: Path, output: Path | None = None, **options) -> tuple[dict, Conversion]:
    target = output or root.parent / "out.json"
    done = convert(root, target, ConvertOptions(**options))
    assert {path: json.loads(path.read_text()) for path in done.contents} == done.contents
    return json.loads(target.read_text()), done


@pytest.mark.parametrize("kind", ["voc", "yolo"])
def test_what_another_library_writes_comes_back(tmp_path, kind):
    images = tmp_path / "images"
    for number, image in enumerate(CONTENT["images"]):
        picture(images / image["file_name"], number)
    labels = tmp_path / "labels"
    getattr(hotcoco.COCO(CONTENT), f"to_{kind}")(str(labels))
    content, done = converted(labels, image_root=images)
    assert done.format == kind
    assert boxes_of(content) == boxes_of(CONTENT)
    assert [(i["file_name"], i["width"], i["height"]) for i in content["images"]] == [
        (i["file_name"], i["width"], i["height"]) for i in CONTENT["images"]
    ]


def test_voc_is_read_as_another_library_reads_it(tmp_path):
    root = voc_folder(
        tmp_path / "voc",
        voc_object("dog", 1, 1, WIDTH, HEIGHT),
        voc_object("cat", 5, 6, 5, 6, difficult=1),
        voc_object("cat", 2.5, 3, 20.25, 9),
        name="a.jpg",
    )
    other = hotcoco.COCO.from_voc(str(root)).dataset
    content, done = converted(root)
    content["images"][0]["file_name"] = "a.jpg"  # hotcoco gives no folder
    assert boxes_of(content) == boxes_of(other)
    assert [a["iscrowd"] for a in content["annotations"]] == [0, 1, 0]
    assert [a["area"] for a in content["annotations"]] == [a["area"] for a in other["annotations"]]
    assert done.class_names == ("cat", "dog")
    assert any("marked difficult" in note for note in done.notes)


def test_vocs_pixels_are_counted_from_one(tmp_path):
    root = voc_folder(tmp_path / "voc", voc_object("cat", 11, 6, 20, 15))
    content, _ = converted(root)
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[6 - 1 : 15, 11 - 1 : 20] = True  # rows 6 … 15 and columns 11 … 20, counted from 1
    rows, columns = np.nonzero(pixels)
    x, y, width, height = content["annotations"][0]["bbox"]
    assert (x, y) == (columns.min(), rows.min())
    assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)
    content, _ = converted(root, from_zero=True)
    assert content["annotations"][0]["bbox"] == [11, 6, 9, 9]


def test_a_voc_file_that_counts_from_zero_is_told(tmp_path):
    root = voc_folder(tmp_path / "voc", voc_object("cat", 0, 0, 20, 15))
    content, done = converted(root)
    assert content["annotations"][0]["bbox"] == [0, 0, 20, 15]
    assert "--zero-based reads them so" in " ".join(done.notes)


def test_yolos_boxes_and_outlines(tmp_path):
    lines = ("1 0.5 0.5 0.5 0.2", "0 0.1 0.1 0.6 0.1 0.6 0.5", "")
    content, _ = converted(yolo_folder(tmp_path / "yolo", *lines))
    box, outline = content["annotations"]
    assert box["bbox"] == [10, 12, 20, 6]
    assert "segmentation" not in box
    assert outline["bbox"] == [4, 3, 20, 12]
    assert outline["segmentation"] == [[4, 3, 24, 3, 24, 15]]
    assert outline["area"] == 20 * 12 / 2  # a triangle's
    assert [category["name"] for category in content["categories"]] == ["cat", "dog"]


@pytest.mark.parametrize(
    "names",
    ["names: {0: cat, 1: dog}", "names:\n- cat\n- dog  # bark", "nc: 2\nnames: ['cat', \"dog\"]"],
    ids=["numbered", "lines", "list"],
)
def test_yolos_names_in_yaml(tmp_path, names):
    root = yolo_folder(tmp_path / "yolo", "1 0.5 0.5 0.5 0.2", names=names)
    content, done = converted(root)
    assert done.class_names == ("cat", "dog")
    assert content["annotations"][0]["category_id"] == 2


@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt", "obj.names"])
def test_yolos_names_in_a_list(tmp_path, place):
    root = yolo_folder(tmp_path / "yolo", "1 0.5 0.5 0.5 0.2", names="")
    folders.write(root / place, "cat\ndog\n \n\n")
    assert converted(root)[1].class_names == ("cat", "dog")


def test_yolos_keypoints_are_left_out(tmp_path):
    names = "names: [cat]\nkpt_shape: [2, 3]\n"
    root = yolo_folder(tmp_path / "yolo", "0 .5 .5 .5 .2 .1 .1 2 .2 .2 2", names=names)
    assert converted(root)[0]["annotations"][0]["bbox"] == [10, 12, 20, 6]


def test_labelmes_shapes(tmp_path):
    root = labelme_folder(
        tmp_path / "labelme",
        shape("dog", (30, 20), (10, 5)),  # its corners may stand in any order
        shape("cat", (4, 3), (24, 3), (24, 15), kind="polygon"),
        shape("cat", (20, 10), (23, 14), kind="circle"),
        shape("cat", (2, 2), kind="point"),
    )
    content, done = converted(root)
    rectangle, polygon, circle = content["annotations"]
    assert rectangle["bbox"] == [10, 5, 20, 15]
    assert polygon["bbox"] == [4, 3, 20, 12]
    assert polygon["segmentation"] == [[4, 3, 24, 3, 24, 15]]
    assert circle["bbox"] == [15, 5, 10, 10]  # of radius 5 = |(3, 4)|
    assert "1 shape(s) enclose nothing" in " ".join(done.notes)


def test_labelmes_groups_are_one_object(tmp_path):
    halves = [
        shape("cat", (0, 0), (4, 0), (4, 4), kind="polygon", group_id=1),
        shape("cat", (10, 10), (14, 10), (14, 14), kind="polygon", group_id=1),
        shape("dog", (10, 10), (14, 10), (14, 14), kind="polygon", group_id=1),
    ]
    content, _ = converted(labelme_folder(tmp_path / "labelme", *halves))
    both, other = content["annotations"]
    assert both["bbox"] == [0, 0, 14, 14]
    assert len(both["segmentation"]) == 2
    assert both["area"] == 4 * 4 / 2 * 2
    assert other["bbox"] == [10, 10, 4, 4]


def test_coco_keeps_masks_and_crowds(tmp_path):
    root = tmp_path / "coco"
    picture(root / "images/a.jpg")
    content = folders.coco_content({"a.jpg": [[1, 2, 3, 4], [5, 6, 7, 8]]})
    mask = {"size": [HEIGHT, WIDTH], "counts": [0, 5, WIDTH * HEIGHT - 5]}
    content["annotations"][1] |= {"iscrowd": 1, "segmentation": mask, "area": 5}
    folders.write(root / "instances.json", json.dumps(content))
    read, _ = converted(root)
    assert boxes_of(read) == [
        ("images/a.jpg", "cat", [1, 2, 3, 4]),
        ("images/a.jpg", "dog", [5, 6, 7, 8]),
    ]
    crowd = read["annotations"][1]
    assert (crowd["iscrowd"], crowd["segmentation"], crowd["area"]) == (1, mask, 5)


TURNS = [*((number, "seen") for number in range(1, 9)), *((n, "stored") for n in (1, 5, 6, 7, 8))]


@pytest.mark.parametrize(("orientation", "drawn_on"), TURNS)
def test_labels_of_turned_photographs(tmp_path, orientation, drawn_on):
    """A white block is labelled in the image as it is seen or as it is stored, and is found.

    An image that is only mirrored or upside down has the size that is stored: labels are taken as
    drawn on what is seen.
    """
    root = tmp_path / "voc"
    (root / "JPEGImages").mkdir(parents=True)
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[4:10, 20:36] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    path = root / "JPEGImages/a.png"
    image.save(path, exif=exif)
    seen = read_image(str(path), "RGB")
    rows, columns = np.nonzero((seen if drawn_on == "seen" else pixels)[:, :, 0])
    box = (columns.min() + 1, rows.min() + 1, columns.max() + 1, rows.max() + 1)
    size = seen.shape[1::-1] if drawn_on == "seen" else (WIDTH, HEIGHT)
    folders.write(
        root / "Annotations/a.xml",
        folders.voc_xml(voc_object("block", *box), size=size),
    )
    content, done = converted(root)
    x, y, width, height = (int(value) for value in content["annotations"][0]["bbox"])
    inside = np.zeros(seen.shape[:2], bool)
    inside[y : y + height, x : x + width] = True
    assert np.array_equal(inside, seen[:, :, 0] > 0)
    assert (content["images"][0]["width"], content["images"][0]["height"]) == seen.shape[1::-1]
    turned = drawn_on == "stored" and orientation > 4
    assert any("labels are turned" in note for note in done.notes) == turned


def test_negatives(tmp_path):
    root = yolo_folder(tmp_path / "yolo", "0 .5 .5 .5 .5")
    picture(root / "images/b.jpg", 1)
    folders.write(root / "labels/b.txt", "")  # says that there is nothing
    picture(root / "images/c.jpg", 2)  # says nothing
    picture(root / "SegmentationClass/a.png", 3)  # is of another kind
    content, done = converted(root)
    names = [image["file_name"] for image in content["images"]]
    assert names == ["images/a.jpg", "images/b.jpg", "images/c.jpg"]
    assert done.notes[0].startswith("1 image(s) have no label file, and count as images of nothing")
    content, done = converted(root, skip_unlabelled=True)
    assert [image["file_name"] for image in content["images"]] == names[:2]


def test_classes_in_the_order_of_a_file(tmp_path):
    root = voc_folder(tmp_path / "voc", voc_object("cat", 1, 1, 9, 9))
    classes = folders.write(tmp_path / "names.txt", "zebra\ncat\n")
    content, _ = converted(root, classes=classes)
    assert content["categories"] == [{"id": 1, "name": "zebra"}, {"id": 2, "name": "cat"}]
    assert content["annotations"][0]["category_id"] == 2
