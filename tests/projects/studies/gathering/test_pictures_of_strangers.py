"""Pictures of a study open images of its set alone, and as a run does. Engine-neutral."""

import base64
import io

import pytest
from PIL import Image

from projects.studies.gathering.pictures import reduced_copy
from resnext_det.data.opened_image import UnreadableImage


def test_a_small_copy_upright(tmp_path):
    image = Image.new("RGB", (960, 480), "red")
    exif = Image.Exif()
    exif[274] = 6  # the first row is the right side
    image.save(tmp_path / "1.jpg", exif=exif)
    found = reduced_copy(tmp_path, {"file_name": "1.jpg", "width": 480, "height": 960})
    assert (found["width"], found["height"]) == (480, 960)
    data = base64.b64decode(found["address"].removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(data)).size == (240, 480)


@pytest.mark.parametrize("name", ["../secret.png", "missing.png"])
def test_no_copy_of_what_is_not_in_the_folder(name, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    (tmp_path / "images").mkdir()
    stated = {"file_name": name, "width": 8, "height": 9}
    found = reduced_copy(tmp_path / "images", stated)
    assert found == {"width": 8, "height": 9, "address": None}


def test_an_absolute_name(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    stated = {"file_name": str(tmp_path / "secret.png"), "width": 8, "height": 8}
    assert reduced_copy(tmp_path / "images", stated)["address"] is None


def test_a_bomb(tmp_path):
    head = b"P6 9000 9000 255\n"
    (tmp_path / "1.ppm").write_bytes(head)
    with pytest.raises(UnreadableImage, match="9000x9000"):
        reduced_copy(tmp_path, {"file_name": "1.ppm", "width": 9000, "height": 9000})
