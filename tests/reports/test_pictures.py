"""Sample pictures with boxes."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnext_det.reports.pictures import NamedBox, draw, sample_pictures


def decode(address: str) -> Image.Image:
    head, _, data = address.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_box_is_drawn_where_it_is() -> None:
    """A 96x48 black image is shown 4 times as large; the line is where the box is."""
    image = Image.new("RGB", (96, 48))
    shown = np.asarray(decode(draw(image, [NamedBox((20, 20, 40, 20), "")], "#ffffff"))).max(2)
    assert shown.shape == (192, 384)
    rows, columns = np.nonzero(shown[100:] > 128)
    assert abs(columns.min() - 80) <= 2
    assert abs(columns.max() - 240) <= 2
    assert abs(rows.max() + 100 - 160) <= 2
    assert shown[110:150, 100:220].max() < 60  # the inside is left alone


def test_no_boxes_and_boxes_outside_leave_a_picture() -> None:
    image = Image.new("RGB", (64, 64), "#808080")
    assert np.asarray(decode(draw(image, [], "red"))).std() < 3
    assert decode(draw(image, [NamedBox((-9, -9, 200, 0), "wide " * 30)], "red")).size == (384, 384)


def test_one_row_per_image_with_boxes_and_one_picture_per_model(study_file: Path) -> None:
    folder = study_file.parent
    truth = json.loads((folder / "val.json").read_text())
    records = json.loads((folder / "run0/inference/coco_instances_results.json").read_text())
    results = {"ours": records, "none": []}
    rows = sample_pictures(truth, folder / "images", results, count=5)
    assert [[picture.caption for picture in row] for row in rows] == [
        ["ground truth", "ours", "none"]
    ] * 5  # of six images, the one without a box is left out
    assert len(sample_pictures(truth, folder / "images", results, count=2)) == 2
    assert sample_pictures(truth, folder / "images", results, count=0) == []
    first, last = rows[0], rows[-1]
    assert first[1].address == first[2].address  # scored 0.4: below the threshold
    assert last[1].address != last[2].address  # scored 0.8


def test_a_rotated_photograph_is_turned_upright_and_a_broken_one_left_out(tmp_path: Path) -> None:
    image = Image.new("RGB", (60, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    truth = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "cell"}],
    }
    ((picture,),) = sample_pictures(truth, tmp_path, {})
    assert decode(picture.address).size == (192, 384)
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    assert sample_pictures(truth, tmp_path, {}) == []


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "a\0.jpg"])
def test_names_that_leave_the_folder_are_not_opened(name: str, tmp_path: Path) -> None:
    truth = {
        "images": [{"id": 1, "file_name": name}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}],
        "categories": [{"id": 1, "name": "cell"}],
    }
    with pytest.raises(ValueError, match="leaves the image folder"):
        sample_pictures(truth, tmp_path, {})
