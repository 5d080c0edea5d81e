"""What is wrong with labels, and what is said of it: one line each, and nothing is written."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from resnext_det.data.converting import folder as folder_module
from resnext_det.data.converting.convert import ConvertOptions, convert
from resnext_det.data.converting.recognising import FORMATS
from resnext_det.errors import UserError
from tests.data.converting.folders import (
    coco_content,
    labelme_folder,
    labelme_json,
    picture,
    shape,
    voc_folder,
    voc_object,
    voc_xml,
    write,
    yolo_folder,
)

BOX = "0 .5 .5 .5 .5"
Made = Callable[[Path], object]
BOMB = (
    '<!DOCTYPE annotation [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<annotation><object><name>&b;</name></object></annotation>"
)


def refused(root: Path, **options) -> str:
    output = root.parent / "made" / "out.json"
    with pytest.raises(UserError) as caught:
        convert(root, output, ConvertOptions(**options))
    assert not output.parent.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{root}", "ROOT")


def noted(root: Path, **options) -> tuple[list[list[float]], list[str]]:
    """The boxes, and the notes."""
    output = root.parent / "out.json"
    done = convert(root, output, ConvertOptions(**options))
    notes = [note.replace(f"{root}", "ROOT") for note in done.notes]
    boxes = [a["bbox"] for a in json.loads(output.read_text())["annotations"]]
    return boxes, notes


def voc_of(text: str) -> Made:
    def make(root: Path) -> None:
        picture(root / "JPEGImages/a.jpg")
        write(root / "Annotations/a.xml", text)

    return make


def voc_with(*objects: str, **more) -> Made:
    return lambda root: voc_folder(root, *objects, **more)


def yolo_with(*lines: str, **more) -> Made:
    return lambda root: yolo_folder(root, *lines, **more)


def labelme_with(*shapes, **more) -> Made:
    return lambda root: labelme_folder(root, *shapes, **more)


def yolo_listed(text: str) -> Made:
    def make(root: Path) -> None:
        yolo_folder(root, BOX, names="")
        write(root / "classes.txt", text)

    return make


def labelme_of(text: str) -> Made:
    def make(root: Path) -> None:
        picture(root / "a.jpg")
        write(root / "a.json", text)

    return make


def coco_of(**changes) -> Made:
    def make(root: Path) -> None:
        picture(root / "a.jpg")
        content = coco_content({"a.jpg": [[1, 2, 3, 4]]})
        content["annotations"][0] |= changes
        write(root / "c.json", json.dumps(content))

    return make


REFUSED: dict[str, tuple[Made, str, str]] = {
    "voc cut off": (
        voc_of("<annotation><object>"),
        "voc",
        "ROOT/Annotations/a.xml: not XML, or cut off (no element found: line 1, column 20)",
    ),
    "voc entities": (
        voc_of(BOMB),
        "voc",
        (
            "ROOT/Annotations/a.xml: cannot be read as XML (it declares a document type "
            "(<!DOCTYPE); VOC's files have none)"
        ),
    ),
    "voc without a corner": (
        voc_of("<annotation><object><name>cat</name><bndbox/></object></annotation>"),
        "voc",
        "ROOT/Annotations/a.xml: object 1 (cat): xmin is missing",
    ),
    "voc without a box": (
        voc_of("<annotation><object><name>cat</name></object></annotation>"),
        "voc",
        "ROOT/Annotations/a.xml: object 1 (cat): has no <bndbox>",
    ),
    "voc of text": (
        voc_of(voc_xml(voc_object("cat", 1, 2, 3, 4).replace("3", "wide"))),
        "voc",
        "ROOT/Annotations/a.xml: object 1 (cat): xmax is 'wide', not a number",
    ),
    "voc of not a number": (
        voc_of(voc_xml(voc_object("cat", 1, 2, 3, float("nan")))),
        "voc",
        "ROOT/Annotations/a.xml: object 1 (cat): ymax is 'nan', not a number",
    ),
    "voc without a class": (
        voc_with(voc_object(" ", 1, 2, 3, 4)),
        "voc",
        "ROOT/Annotations/a.xml: object 1: the class is ' '; give it a name of one line",
    ),
    "voc of another size": (
        voc_with(voc_object("cat", 1, 2, 3, 4), size=(80, 60)),
        "voc",
        (
            "Annotations/a.xml: says 80x60, but JPEGImages/a.jpg is 40x30 (width x height, after "
            "EXIF rotation): was it resized after it was labelled? Put the labelled image in its "
        ),
    ),
    "voc without an object": (
        voc_with(),
        "voc",
        "no object is labelled, so there is no class; give names as --classes FILE",
    ),
    "yolo without names": (
        yolo_with(BOX, names=""),
        "yolo",
        (
            "ROOT: names no class (data.yaml, classes.txt or obj.names); give a file with one on "
            "each line as --classes"
        ),
    ),
    "yolo of an unknown class": (
        yolo_with(BOX, "2 .5 .5 .1 .1"),
        "yolo",
        "ROOT/labels/a.txt: line 2: class 2 is unknown; data.yaml names 2, 0 to 1",
    ),
    "yolo of a negative class": (
        yolo_with("-1 .5 .5 .1 .1"),
        "yolo",
        "ROOT/labels/a.txt: line 1: class -1 is unknown; data.yaml names 2, 0 to 1",
    ),
    "yolo of pixels": (
        yolo_with("0 20 15 10 10"),
        "yolo",
        "ROOT/labels/a.txt: line 1: 20 is no share of the image's side, 0 to 1 (pixels?)",
    ),
    "yolo of words": (
        yolo_with("cat .5 .5 .1 .1"),
        "yolo",
        "ROOT/labels/a.txt: line 1: 'cat' is not a number",
    ),
    "yolo of not a number": (
        yolo_with("0 .5 .5 nan .1"),
        "yolo",
        "ROOT/labels/a.txt: line 1: 'nan' is not a number",
    ),
    "yolo of predictions": (
        yolo_with("0 .5 .5 .1 .1 .93"),
        "yolo",
        (
            "ROOT/labels/a.txt: line 1: has 6 values, as predictions with scores have; a label has "
            "5, or an outline's corners"
        ),
    ),
    "yolo cut off": (
        yolo_with("0 .5 .5"),
        "yolo",
        "ROOT/labels/a.txt: line 1: has 3 values, neither a box nor an outline",
    ),
    "yolo names with a gap": (
        yolo_with(BOX, names="names: {0: cat, 2: dog}"),
        "yolo",
        "ROOT/data.yaml: 'names' is neither a list nor numbered from 0 without a gap",
    ),
    "yolo names of one class twice": (
        yolo_with(BOX, names="names: [cat, cat]"),
        "yolo",
        "ROOT/data.yaml: class 'cat' is named twice; give each a name of its own",
    ),
    "yolo names that are no yaml": (
        yolo_with(BOX, names="names: [cat"),
        "yolo",
        "ROOT/data.yaml: not YAML at line 1 (expected ',' or ']', but got '<stream end>')",
    ),
    "labelme cut off": (
        labelme_of(labelme_json(shape("cat", (1, 1), (5, 5)))[:70]),
        "labelme",
        (
            "ROOT/a.json: not JSON, or cut off: Expecting ':' delimiter at line 1 column 71; write "
            "or copy it anew"
        ),
    ),
    "labelme without points": (
        labelme_with({"label": "cat", "shape_type": "polygon"}),
        "labelme",
        "ROOT/a.json: shape 1 (cat): 'points' is no list of pairs of finite numbers",
    ),
    "labelme of not a number": (
        labelme_with(shape("cat", (float("nan"), 1), (5, 5))),
        "labelme",
        "ROOT/a.json: shape 1 (cat): 'points' is no list of pairs of finite numbers",
    ),
    "labelme of too few points": (
        labelme_with(shape("cat", (1, 1), (5, 5), kind="polygon")),
        "labelme",
        "ROOT/a.json: shape 1 (cat): has 2 point(s), a polygon has 3 or more",
    ),
    "labelme without a label": (
        labelme_with({"points": []}),
        "labelme",
        "ROOT/a.json: shape 1: is no object with a 'label'",
    ),
    "labelme of another size": (
        labelme_with(shape("cat", (1, 1), (5, 5)), size=(41, 30)),
        "labelme",
        (
            "a.json: says 41x30, but a.jpg is 40x30 (width x height, after EXIF rotation): was it "
            "resized after it was labelled? Put the labelled image in its place"
        ),
    ),
    "coco of another image": (
        coco_of(image_id=77),
        "coco",
        "ROOT/c.json: annotation 100 has image_id 77, which is not in 'images'",
    ),
    "coco of no area": (
        coco_of(area=float("inf")),
        "coco",
        "ROOT: a 'segmentation' or 'area' holds what JSON cannot (Out of range float values are",
    ),
    "coco of torn text": (
        coco_of(area="\ud800"),
        "coco",
        "ROOT: a 'segmentation' or 'area' holds what JSON cannot ('utf-8' codec can't encode",
    ),
    "yolo of a name that YAML takes for none": (
        yolo_with(BOX, names="names: [mask, no]\n"),
        "yolo",
        "ROOT/data.yaml: 'names': YAML reads a class as False; put it in quotes",
    ),
    "yolo of a blank line between classes": (  # without it, dog would be 1
        yolo_listed("cat\n\ndog\n"),
        "yolo",
        "ROOT/classes.txt: the class is ''; give it a name of one line",
    ),
    "yolo of a class listed twice": (
        yolo_listed("cat\ndog\ncat\n"),
        "yolo",
        "ROOT/classes.txt: class 'cat' is named twice; give each a name of its own",
    ),
    "coco of not a number": (
        coco_of(bbox=[1, 2, float("nan"), 4]),
        "coco",
        "ROOT/c.json: annotation 100: bbox is not four finite numbers; see `dataset check --fix`",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case):
    make, kind, expected = REFUSED[case]
    make(tmp_path / "set")
    said = refused(tmp_path / "set")
    assert said.startswith(expected)
    assert kind in FORMATS
    assert refused(tmp_path / "set", format=kind) == said


INSIDE = voc_object("cat", 1, 2, 30, 20)
MENDED: dict[str, tuple[Made, list[list[float]], str]] = {
    "cut": (
        voc_with(INSIDE, INSIDE, voc_object("dog", 30, 20, 60, 90)),
        [[0, 1, 30, 19], [0, 1, 30, 19], [29, 19, 11, 11]],
        (
            "1 box(es) reach beyond their image, and are cut at its edge; first: "
            "ROOT/Annotations/a.xml: object 3 (dog)"
        ),
    ),
    "outside": (
        voc_with(INSIDE, voc_object("dog", 50, 20, 60, 90)),
        [[0, 1, 30, 19]],
        (
            "1 box(es) lie wholly outside their image, and are left out; first: "
            "ROOT/Annotations/a.xml: object 2 (dog)"
        ),
    ),
    "flat": (
        yolo_with(BOX, "1 .5 .5 0 .1"),
        [[10, 7.5, 20, 15]],
        "1 box(es) have no area, and are left out; first: ROOT/labels/a.txt: line 2",
    ),
    "swapped": (
        voc_with(voc_object("dog", 20, 15, 11, 6)),
        [[10, 5, 10, 10]],
        (
            "1 box(es) have their corners swapped, and are read the other way; first: "
            "ROOT/Annotations/a.xml: object 1 (dog)"
        ),
    ),
    "beyond by rounding": (yolo_with("0 .5 .5 1.0001 1"), [[0, 0, 40, 30]], ""),
}


@pytest.mark.parametrize("case", MENDED)
def test_mended(tmp_path, case):
    make, expected, note = MENDED[case]
    make(tmp_path / "set")
    assert noted(tmp_path / "set") == (expected, [note] if note else [])


def test_a_shape_of_no_known_kind_is_left_out(tmp_path):
    shapes = [shape("cat", (1, 1), (5, 5)), shape("cat", (1, 1), kind=[])]
    boxes, notes = noted(labelme_folder(tmp_path / "set", *shapes))
    assert boxes == [[1, 1, 4, 4]]
    assert notes[0].startswith("1 shape(s) enclose nothing (points, lines), and are left out")


def test_more_than_half_outside_is_no_slip(tmp_path):
    voc_folder(tmp_path / "set", INSIDE, *[voc_object("dog", 50, 20, 60, 90)] * 2)
    assert refused(tmp_path / "set") == (
        "ROOT/Annotations/a.xml: object 2 (dog): 2 of 3 box(es) lie wholly outside their image, "
        "and are left out; are these the labels of other images, or of images of another size?"
    )


def test_labels_without_an_image(tmp_path):
    root = yolo_folder(tmp_path / "set", BOX)
    write(root / "labels/b.txt", BOX)
    _, notes = noted(root)
    assert notes == ["1 label file(s) have no image, and are left out; first: labels/b.txt"]
    write(root / "labels/c.txt", BOX)
    assert refused(root) == (
        "labels/b.txt: 2 of 3 label file(s) have no image, and are left out; name the folder of "
        "the images as --images"
    )


def test_broken_images(tmp_path):
    root = yolo_folder(tmp_path / "set", BOX)
    write(root / "images/b.jpg", "no image")
    write(root / "labels/b.txt", BOX)
    boxes, notes = noted(root)
    assert len(boxes) == 1
    assert notes == [
        (
            "1 image(s) cannot be read, and are left out; first: images/b.jpg: not an image in a "
            "format that can be read"
        )
    ]


def test_two_images_of_one_name(tmp_path):
    root = yolo_folder(tmp_path / "set", BOX)
    picture(root / "images/a.png")
    assert refused(root) == (
        "labels/a.txt: may mean any of 2 images: images/a.jpg, images/a.png; leave one in the "
        "folder, or give them names of their own"
    )


def test_images_of_one_name_in_two_folders_are_two(tmp_path):
    root = yolo_folder(tmp_path / "set", names="names: [cat]")
    for number, split in enumerate(("train", "val")):
        picture(root / f"images/{split}/x.jpg", number)
        write(root / f"labels/{split}/x.txt", f"0 .5 .5 .{number + 1} .5")
    boxes, _ = noted(root)
    assert boxes == [[18, 7.5, 4, 15], [16, 7.5, 8, 15]]


def test_frames_of_many_videos_are_found_by_their_folder(tmp_path, monkeypatch):
    root = tmp_path / "set"
    for video in ("a", "b", "C"):
        picture(root / video / "images/1.jpg")
        write(root / video / "labels/1.txt", BOX)
    folder = folder_module.Folder(root)
    monkeypatch.setattr(folder, "_by_stem", {})  # as long as there are videos
    for video in ("a", "b", "C"):
        assert folder.image_of(f"{video}/labels/1.txt") == f"{video}/images/1.jpg"
        assert folder.image_called(f"{video}/labels", "../1.jpg") == f"{video}/images/1.jpg"


def test_one_image_labelled_twice(tmp_path):
    root = voc_folder(tmp_path / "set", INSIDE)
    write(root / "Annotations/copy.xml", voc_xml(INSIDE, name="a.jpg"))
    assert refused(root) == (
        "image JPEGImages/a.jpg: is labelled twice, in Annotations/a.xml and Annotations/copy.xml; "
        "leave one"
    )


def test_a_file_that_calls_its_image_otherwise(tmp_path):
    root = labelme_folder(tmp_path / "set", shape("cat", (1, 1), (5, 5)), called="..\\set\\a.jpg")
    assert noted(root)[0] == [[1, 1, 4, 4]]
    picture(root / "b.jpg")
    labelme_folder(root, shape("cat", (1, 1), (5, 5)), called="b.jpg")
    assert refused(root).startswith("a.json: may mean any of 2 images: a.jpg, b.jpg; leave one")


def test_a_class_that_is_not_in_the_file_of_classes(tmp_path):
    root = voc_folder(tmp_path / "set", voc_object("dogs", 1, 2, 3, 4))
    classes = write(tmp_path / "names.txt", "cat\ndog\n")
    assert refused(root, classes=classes) == (
        f"ROOT/Annotations/a.xml: object 1 (dogs): class 'dogs' is not in --classes {classes} (did "
        "you mean 'dog'?)"
    )


def test_names_that_differ(tmp_path):
    root = yolo_folder(tmp_path / "set", BOX, names="names: [cat, dog]")
    write(root / "other.yaml", "names: [dog, cat]")
    assert refused(root) == (
        "ROOT: names of classes differ between data.yaml, other.yaml; give the file that is right "
        "as --classes"
    )


def test_several_formats(tmp_path):
    root = voc_folder(yolo_folder(tmp_path / "set", BOX), INSIDE)
    assert refused(root) == (
        "ROOT: has labels of several formats: VOC (Annotations/a.xml), YOLO (labels/a.txt); choose "
        "one with --from, or name the folder of one"
    )


def test_no_labels_or_no_images(tmp_path):
    picture(tmp_path / "set/a.jpg")
    write(tmp_path / "set/README.txt", "Photographs of cats.\n")
    nothing = "no labels of VOC, YOLO, labelme, COCO in this folder or below it; name their folder"
    assert refused(tmp_path / "set").startswith(f"ROOT: {nothing}")
    assert refused(tmp_path / "set", format="voc") == (
        "ROOT: no labels of VOC in this folder or below it"
    )
    write(tmp_path / "labels/a.xml", voc_xml(INSIDE))
    assert refused(tmp_path / "labels") == (
        "ROOT: no image in this folder or below it; name their folder as --images"
    )
    assert refused(tmp_path / "set", image_root=tmp_path / "no").endswith("no: no such folder")


@pytest.mark.parametrize("name", ["x\\..\\a.jpg", "C:a.jpg", "\udcff.jpg"])
def test_a_name_that_is_no_path_elsewhere(tmp_path, name):
    root = tmp_path / "set"
    picture(root / name)
    write(root / f"{name[:-4]}.txt", BOX)
    write(root / "classes.txt", "cat")
    assert refused(root) == (f"image {name!r}: its name is no path on other systems; rename it")


def test_a_pipe_is_not_waited_on(tmp_path):
    root = yolo_folder(tmp_path / "set", BOX)
    picture(root / "images/b.jpg")
    os.mkfifo(root / "labels/b.txt")
    assert refused(root) == "ROOT/labels/b.txt: cannot be read (not a plain file)"
    (root / "labels/b.txt").unlink()
    (root / "images/b.jpg").unlink()
    os.mkfifo(root / "images/b.jpg")
    assert "images/b.jpg: not a plain file" in noted(root)[1][-1]


def test_outputs_are_no_inputs(tmp_path):
    root = labelme_folder(tmp_path / "set", shape("cat", (1, 1), (5, 5)))
    before = (root / "a.json").read_bytes()
    with pytest.raises(UserError, match=r"-o .*a\.json: is one of the files that this command"):
        convert(root, root / "a.json", ConvertOptions())
    other = write(tmp_path / "notes.json", "{}")
    with pytest.raises(UserError, match=r"notes\.json: exists and was not written by this command"):
        convert(root, other, ConvertOptions())
    assert (other.read_text(), (root / "a.json").read_bytes()) == ("{}", before)
    for _ in range(2):  # what it wrote itself is written anew, and is no label
        done = convert(root, root / "made.json", ConvertOptions())
        assert done.notes == ()


def test_no_write_access(tmp_path, monkeypatch):
    root = labelme_folder(tmp_path / "set", shape("cat", (1, 1), (5, 5)))
    with pytest.raises(UserError, match=r"-o .*set: is a folder; name a file in it"):
        convert(root, root, ConvertOptions())
    with pytest.raises(UserError, match=r"-o .*: .*a\.jpg is no folder"):
        convert(root, root / "a.jpg" / "out.json", ConvertOptions())
    closed = tmp_path / "closed"
    closed.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != closed)  # root may all
    with pytest.raises(UserError, match=r"-o .*closed: Permission denied"):
        convert(root, closed / "out.json", ConvertOptions())


def test_endings_are_those_that_a_check_looks_for():
    from torchvision.datasets.folder import IMG_EXTENSIONS

    assert set(IMG_EXTENSIONS) <= set(folder_module.IMAGE_ENDINGS)
