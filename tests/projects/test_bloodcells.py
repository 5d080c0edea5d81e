"""The blood cells project: its data preparation, its configs, and its README's tables."""

import json
from pathlib import Path

import pytest
from PIL import Image

from projects.BloodCells import prepare, prepare_tiny_imagenet, tables
from resnext_det.config import load_config, task_of
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import load_coco
from resnext_det.errors import UserError
from resnext_det.reports.page_tables import insert

FOLDER = Path(tables.__file__).parent
CONFIGS = sorted(FOLDER.glob("*.yaml"))

Box = tuple[str, tuple[int, int, int, int]]


def write_xml(folder: Path, stem: str, objects: list[Box], *, image: bool = True) -> Path:
    """Writes one VOC annotation of a 64x48 image, and the image."""
    for name in ("Annotations", "JPEGImages"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    items = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, (x0, y0, x1, y1) in objects
    )
    size = "<size><width>64</width><height>48</height><depth>3</depth></size>"
    path = folder / "Annotations" / f"{stem}.xml"
    path.write_text(f"<annotation>{size}{items}</annotation>")
    if image:
        Image.new("RGB", (64, 48)).save(folder / "JPEGImages" / f"{stem}.jpg")
    return path


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """Ten images, each with one WBC at its own place; the last also has an RBC."""
    folder = tmp_path / "voc"
    for i in range(10):
        more: list[Box] = [("RBC", (30, 20, 64, 48))] if i == 9 else []
        write_xml(folder, f"cell_{i}", [("WBC", (i, 2, i + 10, 22)), *more])
    return folder


def test_voc_becomes_a_set_that_loads(voc: Path, tmp_path: Path) -> None:
    line = prepare.prepare(voc, tmp_path / "out")
    assert line.endswith("8 + 2 images, 2 classes, 0 boxes without area left out")
    train, val = (
        load_coco(
            DatasetEntry(name, tmp_path / "out" / f"{name}.json", tmp_path / "out" / "images"),
            training=True,
        )
        for name in ("train", "val")
    )
    assert train.class_names == val.class_names == ("RBC", "WBC")
    assert [record.image_id for record in train.records] == list(range(1, 9))
    assert [record.image_id for record in val.records] == [9, 10]
    assert val.records[1].boxes.tolist() == [[9, 2, 19, 22], [30, 20, 64, 48]]
    assert val.records[1].classes.tolist() == [1, 0]


def test_boxes_are_xywh_with_ids_going_on_in_val(voc: Path, tmp_path: Path) -> None:
    prepare.prepare(voc, tmp_path / "out")
    val = json.loads((tmp_path / "out" / "val.json").read_text())
    first = val["annotations"][0]
    assert (first["id"], first["image_id"]) == (9, 9)
    assert first["bbox"] == [8, 2, 10, 20]
    assert first["area"] == 200
    assert [category["name"] for category in val["categories"]] == ["RBC", "WBC"]


def test_boxes_without_area_and_images_without_boxes(tmp_path: Path) -> None:
    path = write_xml(tmp_path, "a", [("WBC", (5, 5, 5, 9)), ("RBC", (1, 2, 3, 4))])
    found = prepare.read_voc(path)
    assert (found.objects, found.dropped) == ((("RBC", (1, 2, 3, 4)),), 1)
    assert prepare.read_voc(write_xml(tmp_path, "b", [])).objects == ()


@pytest.mark.parametrize(("count", "num_val"), [(0, 0), (1, 0), (4, 1), (10, 2), (364, 73)])
def test_the_last_fifth_is_val(count: int, num_val: int) -> None:
    images = [prepare.VocImage(f"{i}.jpg", 1, 1, (), 0) for i in range(count)]
    train, val = prepare.split_tail(images)
    assert len(val) == num_val
    assert [*train, *val] == images


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no Annotations/\*\.xml"):
        prepare.prepare(tmp_path, tmp_path / "out")
    path = write_xml(tmp_path, "a", [("WBC", (1, 2, 3, 4))], image=False)
    with pytest.raises(UserError, match=r"a\.jpg: annotated, but there is no such image"):
        prepare.prepare(tmp_path, tmp_path / "out")
    text = path.read_text()
    path.write_text(text.replace("<xmin>1</xmin>", ""))
    with pytest.raises(UserError, match=r"a\.xml: <object> has no bndbox/xmin"):
        prepare.read_voc(path)
    path.write_text(text.replace("<xmin>1<", "<xmin>one<"))
    with pytest.raises(UserError, match=r"bndbox/xmin is 'one', not a whole number"):
        prepare.read_voc(path)
    path.write_text(text[:-5])
    with pytest.raises(UserError, match=r"a\.xml: not XML"):
        prepare.read_voc(path)


def test_every_tenth_class_of_tiny_imagenet(tmp_path: Path) -> None:
    source, wnids = tmp_path / "tiny", [f"n{i:02d}" for i in reversed(range(20))]
    (source / "val" / "images").mkdir(parents=True)
    (source / "wnids.txt").write_text("\n".join(wnids) + "\n")
    lines = []
    for i, wnid in enumerate(wnids):
        folder = source / "train" / wnid / "images"
        folder.mkdir(parents=True)
        (folder / f"{wnid}_0.JPEG").write_bytes(wnid.encode())
        (source / "val" / "images" / f"val_{i}.JPEG").write_bytes(wnid.encode())
        lines.append(f"val_{i}.JPEG\t{wnid}\t0\t0\t9\t9")
    (source / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    assert prepare_tiny_imagenet.prepare(source, out).endswith("2 classes, 2 + 2 images")
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.JPEG"))
    assert written == [
        "train/n00/n00_0.JPEG",
        "train/n10/n10_0.JPEG",
        "val/n00/val_19.JPEG",
        "val/n10/val_9.JPEG",
    ]
    assert (out / "val/n10/val_9.JPEG").read_bytes() == b"n10"
    with pytest.raises(UserError, match=r"wnids\.txt: no such file"):
        prepare_tiny_imagenet.prepare(out, tmp_path / "again")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_configs_load_and_say_what_they_cost(path: Path) -> None:
    loaded = load_config(str(path))
    assert task_of(loaded.cfg) in ("classification", "detection")
    header = path.read_text().split("_BASE_")[0]
    for word in ("Command:", "Cost:", "Expected:", "Source:", path.name):
        assert word in header


def test_both_configs_build_the_same_backbone() -> None:
    first, second = (load_config(str(path)).cfg for path in CONFIGS)
    assert first.MODEL.RESNETS.NORM == second.MODEL.RESNETS.NORM
    for key in ("DEPTH", "NUM_GROUPS", "WIDTH_PER_GROUP", "STEM_OUT_CHANNELS", "RES2_OUT_CHANNELS"):
        assert first.MODEL.RESNETS[key] == second.MODEL.RESNETS[key]


def test_the_readme_holds_the_tables_of_the_results() -> None:
    text = (FOLDER / "README.md").read_text()
    assert insert(text, tables.tables()) == text
    for table in tables.tables().values():
        assert table.count("\n") > 2
        assert table in text


def test_a_run_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    assert all(table.count("\n") == 2 for table in tables.tables(tmp_path).values())
    (tmp_path / "d2.json").write_text(
        json.dumps({"engine": "d2", "seed": 1, "metrics": {"AP": 1.25, "AP50": None}, "seconds": 9})
    )
    (row,) = tables.tables(tmp_path)["fine-tuned"].splitlines()[2:]
    assert row.startswith(
        "| ResNeXt-26 32x2d, `d2`, 300 iterations | Tiny ImageNet, 20 classes | – | 1.2 |"
    )
    assert row.endswith("| 9 |")


def test_differences_show_their_sign_and_interval(tmp_path: Path) -> None:
    difference = {"value": 1.25, "low": -0.5, "high": 3.0, "confidence": 0.95, "num_images": 4}
    rows = [{"engine": "d2", "differences": {"AP": difference}}]
    (tmp_path / "differences.json").write_text(json.dumps({"rows": rows}))
    text = tables.tables(tmp_path)["differences"]
    assert text == "| Engine | AP |\n| --- | --- |\n| `d2` | +1.2 (-0.5 to +3.0) |\n"
