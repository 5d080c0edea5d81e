"""The digits, the pictures they are laid on, and the sets on disk. Engine-neutral."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from resnext_det.data.coco import check_same_classes, load_coco
from resnext_det.data.digits import draw_colour, ink_extent, load_digit_bank, render_ink
from resnext_det.data.image_folder import load_image_folder
from resnext_det.data.quickstart import QuickstartParams, build_quickstart_data
from resnext_det.data.scenes import ScenePainter, SceneStyle
from resnext_det.errors import UserError

SMALL = QuickstartParams(train_scenes=3, val_scenes=2, train_crops=20, val_crops=10)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_held_out_digits_are_others() -> None:
    train, val = load_digit_bank("train"), load_digit_bank("val")
    assert len(train) + len(val) == 1797
    everything = np.concatenate([train.scans, val.scans]).reshape(-1, 64) * 16
    np.testing.assert_array_equal(everything, load_digits().data)
    assert set(val.classes) == set(range(10))


@pytest.mark.parametrize("longest", [16, 37, 80])
def test_every_scan_gives_ink_of_the_size_asked_for(longest: int) -> None:
    for split in ("train", "val"):
        bank = load_digit_bank(split)
        for scan in bank.scans[:: 40 if longest != 16 else 4]:
            ink = render_ink(scan, longest, angle=9.0, stretch=0.85)
            assert max(ink.shape) == longest
            assert ink.dtype == np.float32
            assert 0 <= ink.min() <= ink.max() <= 1
            rim = (ink[0], ink[-1], ink[:, 0], ink[:, -1])
            assert all(side.max() > 0.2 for side in rim)


def test_upright_ink_looks_like_its_scan() -> None:
    """Averaged back onto the scan's grid, strokes correlate with it."""
    for scan in load_digit_bank("train").scans[::100]:
        rows, columns = ink_extent(scan)
        ink = Image.fromarray(render_ink(scan, 64))
        shape = (columns.stop - columns.start, rows.stop - rows.start)
        small = np.asarray(ink.resize(shape, Image.Resampling.BOX))
        assert np.corrcoef(small.ravel(), scan[rows, columns].ravel())[0, 1] > 0.6


def test_ink_extent_by_hand() -> None:
    alpha = np.zeros((5, 6), np.float32)
    alpha[1, 2] = alpha[3, 4] = 0.9
    alpha[0, 0] = 0.4
    assert ink_extent(alpha) == (slice(1, 4), slice(2, 5))


@pytest.mark.parametrize("shade", [0, 90, 255])
def test_colours_stand_out(shade: int) -> None:
    under = np.full((4, 4, 3), shade, np.float32)
    for seed in range(50):
        colour = draw_colour(np.random.RandomState(seed), under, contrast=50)
        assert abs(colour @ [0.299, 0.587, 0.114] - shade) >= 50


def test_scenes_keep_their_promises() -> None:
    style = SceneStyle(digits=(0, 6), overlap=0.1)
    painter = ScenePainter("val")
    counts = set()
    for seed in range(60):
        scene = painter.paint(np.random.RandomState(seed), style)
        counts.add(len(scene.boxes))
        assert scene.image.shape == (128, 128, 3)
        assert scene.boxes.shape == (len(scene.classes), 4)
        assert (scene.boxes >= 0).all()
        assert (scene.boxes <= 128).all()
        sides = (scene.boxes[:, 2:] - scene.boxes[:, :2]).max(axis=1, initial=16)
        assert (sides >= 16).all()
        assert (sides <= 80).all()
        for i, a in enumerate(scene.boxes):
            for b in scene.boxes[:i]:
                common = np.prod(
                    np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
                )
                smaller = min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))
                assert common <= 0.1 * smaller
    assert 0 in counts
    assert max(counts) >= 4


def test_boxes_are_where_the_ink_is() -> None:
    """The same draws with ink that cannot be seen differ only inside the boxes."""
    painter = ScenePainter("train")
    for seed in range(10):
        seen = painter.paint(np.random.RandomState(seed), SceneStyle())
        blank = painter.paint(np.random.RandomState(seed), SceneStyle(opacity=(0.0, 0.0)))
        np.testing.assert_array_equal(seen.boxes[:1], blank.boxes[:1])
        box = seen.boxes[0].astype(int)
        changed = np.abs(seen.image.astype(int) - blank.image).max(axis=2) > 40
        inside = changed[box[1] : box[3], box[0] : box[2]]
        assert inside.mean() > 0.15


def test_splits_share_no_part_of_a_photograph() -> None:
    train, val = (ScenePainter(split)._photographs for split in ("train", "val"))
    for upper, lower in zip(train, val, strict=True):
        assert upper.height + lower.height == 427
        assert lower.height >= SceneStyle().cut[1]


def test_sets_load_and_are_tight(tmp_path: Path) -> None:
    made = build_quickstart_data(tmp_path, params=SMALL)
    assert made.made
    assert "digit" in made.description
    train, val = (load_coco(e, training=True) for e in (made.scenes_train, made.scenes_val))
    check_same_classes(train, val)
    assert train.class_names == tuple("0123456789")
    assert (len(train.records), len(val.records)) == (3, 2)
    crops, held = load_image_folder(made.crops_train), load_image_folder(made.crops_val)
    assert crops.class_names == held.class_names
    assert (
        np.bincount([crops.images.label(place) for place in range(len(crops))]).tolist() == [2] * 10
    )
    assert size_of(crops.images.name(0)) == (32, 32)
    for record in train.records:
        assert size_of(record.file_name) == (128, 128)


def size_of(path: str) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_made_once_and_the_same_again(tmp_path: Path) -> None:
    first = build_quickstart_data(tmp_path / "a", params=SMALL)
    before = files(tmp_path / "a")
    again = build_quickstart_data(tmp_path / "a", params=SMALL)
    assert not again.made
    assert dataclasses.replace(again, made=True) == first
    build_quickstart_data(tmp_path / "b", params=SMALL)
    assert files(tmp_path / "b") == before
    other = build_quickstart_data(tmp_path / "c", params=dataclasses.replace(SMALL, seed=1))
    assert other.made
    now = files(tmp_path / "c")
    assert now.keys() == before.keys()
    assert all(now[name] != before[name] for name in now if name.endswith(".jpg"))


def test_a_set_of_other_parameters_is_never_replaced(tmp_path: Path) -> None:
    build_quickstart_data(tmp_path, params=SMALL)
    before = files(tmp_path)
    words = (
        f"{tmp_path}/digit_scenes: its pictures were made with other parameters, and whatever was "
        "trained on them needs them: choose another folder, or remove this one if nothing does"
    )
    with pytest.raises(UserError) as caught:
        build_quickstart_data(tmp_path, params=dataclasses.replace(SMALL, val_scenes=5))
    assert str(caught.value) == words
    assert files(tmp_path) == before


def test_whole_sets_are_read_where_they_are_ready(tmp_path: Path) -> None:
    first = build_quickstart_data(tmp_path / "a", params=SMALL)
    (tmp_path / "a" / "digit_crops" / "manifest.json").unlink()
    before = files(tmp_path / "a")
    made = build_quickstart_data(tmp_path / "b", params=SMALL, ready=tmp_path / "a")
    assert made.scenes_train == first.scenes_train
    assert made.crops_train.image_root.is_relative_to(tmp_path / "b")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["digit_crops"]
    assert files(tmp_path / "a") == before


def test_number_of_scenes_changes_none_of_them(tmp_path: Path) -> None:
    few = build_quickstart_data(tmp_path / "few", params=SMALL)
    more = build_quickstart_data(
        tmp_path / "more", params=dataclasses.replace(SMALL, train_scenes=5)
    )
    name = "00003.jpg"
    roots = (few.scenes_train.image_root, more.scenes_train.image_root)
    assert (roots[0] / name).read_bytes() == (roots[1] / name).read_bytes()


def test_half_made_sets_are_made_again(tmp_path: Path) -> None:
    build_quickstart_data(tmp_path, params=SMALL)
    whole = files(tmp_path)
    (tmp_path / "digit_scenes" / "train" / "00001.jpg").unlink()
    (tmp_path / ".digit_scenes.partial").mkdir()
    assert build_quickstart_data(tmp_path, params=SMALL).made
    assert files(tmp_path) == whole


def test_an_interrupted_build_leaves_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("PIL.Image.Image.save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_quickstart_data(tmp_path, params=SMALL)
    assert not (tmp_path / "digit_scenes").exists()
    assert (tmp_path / ".digit_scenes.partial" / "train").exists()
    assert build_quickstart_data(tmp_path, params=SMALL).made


@pytest.mark.parametrize(
    "name",
    [
        "digit_scenes/thesis.tex",
        "digit_scenes/train/holiday.jpg",
        "digit_scenes/manifest.json",
        ".digit_scenes.partial/train/holiday.jpg",
    ],
)
def test_other_peoples_files_are_left_alone(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=r"digit_scenes.*: .* did not make"):
        build_quickstart_data(tmp_path, params=SMALL)
    assert (tmp_path / name).exists()


def test_pictures_put_into_a_set_are_left_alone(tmp_path: Path) -> None:
    build_quickstart_data(tmp_path, params=SMALL)
    mine = tmp_path / "digit_scenes" / "train" / "holiday.jpg"
    mine.touch()
    with pytest.raises(UserError, match=r"digit_scenes: .* did not make"):
        build_quickstart_data(tmp_path, params=SMALL)
    assert mine.exists()


def test_a_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "digit_scenes").symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match=r"digit_scenes: .* did not make"):
        build_quickstart_data(tmp_path, params=SMALL)
