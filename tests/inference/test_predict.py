"""The command, from a folder of images to pictures, COCO JSON and CSV, and on where it ended."""

import csv
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnext_det import Detector
from resnext_det.cli import main
from resnext_det.config import with_values
from resnext_det.evaluation.drawing import CLASS_COLORS
from resnext_det.evaluation.results_json import detections_to_coco
from resnext_det.inference import workers
from resnext_det.inference.detector_file import left_out_of, read_detector_file
from resnext_det.inference.findings import FILE
from resnext_det.inference.tiles import Tiling
from resnext_det.inference.video import Video, VideoFile
from tests.inference.conftest import Trained

RESULTS, IMAGES, CSV = "coco_instances_results.json", "images.json", "detections.csv"


@pytest.fixture
def photos(portable: Trained, tmp_path: Path) -> Path:
    """Three images, one of them in a folder of its own."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for path, name in zip(portable.images, ("0.png", "1.png", "sub/2.png"), strict=False):
        shutil.copy(path, folder / name)
    return folder


@pytest.fixture
def predict(portable: Trained, tmp_path: Path) -> Any:
    def run(*words: object, out: str = "out") -> int:
        given = [str(portable.checkpoint), *map(str, words), "-o", str(tmp_path / out)]
        return main(["predict", *given, "--engine", "portable", "--device", "cpu"])

    return run


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / CSV).read_text().splitlines()))


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_writes_pictures_coco_json_and_csv(
    portable: Trained, predict: Any, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = photos.parent / "out"
    assert predict(photos) == 0
    pictures = {"pictures/0.jpg", "pictures/1.jpg", "pictures/sub/2.jpg"}
    assert files_below(out) == {RESULTS, IMAGES, CSV, FILE, *pictures}
    found = Detector.from_checkpoint(portable.checkpoint, engine="portable", device="cpu")(
        [photos / "0.png", photos / "1.png", photos / "sub/2.png"]
    )
    expected = [r for i, d in enumerate(found, 1) for r in detections_to_coco(d, i, (1, 2))]
    assert read(out, RESULTS) == expected
    images = read(out, IMAGES)
    assert [(row["id"], row["file_name"]) for row in images["images"]] == [
        (1, "0.png"), (2, "1.png"), (3, "sub/2.png")
    ]  # fmt: skip
    assert images["images"][0]["width"] == 96
    assert images["categories"] == [{"id": 1, "name": "red"}, {"id": 2, "name": "green"}]
    rows = table(out)
    assert len(rows) == len(expected)
    first = rows[0]
    assert (first["image"], first["frame"], first["class"]) == ("0.png", "", found[0].class_names[
        int(found[0].classes[0])])  # fmt: skip
    assert float(first["x1"]) == pytest.approx(float(found[0].boxes[0, 2]), abs=0.005)
    with Image.open(out / "pictures/0.jpg") as picture:
        assert picture.size == (96, 64)
    drawn = sum(row["score"] >= 0.5 for row in expected)
    said = (
        f"3 image(s): {len(expected)} box(es), {drawn} of them drawn (scores of 0.5 and better); "
    )
    assert f"{said}0 left out" in capsys.readouterr().out


def test_with_annotations_the_file_is_the_evaluations(trained: Trained, tmp_path: Path) -> None:
    """On both engines, from the command to all its files."""
    words = [trained.checkpoint, trained.bench.entry.image_root, "-o", tmp_path / "out"]
    words += ["--annotations", trained.annotations, "--acceleration", "exact"]
    words += ["--engine", trained.engine, "--device", "cpu"]
    assert main(["predict", *map(str, words)]) == 0
    trained.evaluated()
    evaluated = trained.bench.folder / "evaluated" / "inference" / RESULTS
    assert (tmp_path / "out" / RESULTS).read_bytes() == evaluated.read_bytes()
    pictures = {f"pictures/{path.stem}.jpg" for path in trained.images}
    assert files_below(tmp_path / "out") == {RESULTS, IMAGES, CSV, FILE, *pictures}


def test_says_what_the_detector_is_run_with(
    predict: Any, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(photos, "--acceleration", "channels_last") == 0
    assert "portable engine on cpu: float32 channels_last\n" in capsys.readouterr().out
    assert read(photos.parent / "out", IMAGES)["info"] == {
        "engine": "portable", "device": "cpu", "acceleration": "float32 channels_last"
    }  # fmt: skip
    assert predict(photos, "--acceleration", "exact") == 2  # results of another setting
    assert "--acceleration" in capsys.readouterr().err
    assert predict(photos, "--acceleration", "quick", out="other") == 2
    assert "error: --acceleration 'quick': not known" in capsys.readouterr().err


def test_threshold_and_classes(predict: Any, photos: Path) -> None:
    predict(photos, "--save", "json", out="all")
    everything = read(photos.parent / "all", RESULTS)
    thresh = float(np.median([record["score"] for record in everything]))
    predict(photos, "--save", "json", "--score-thresh", thresh, "--classes", "green", out="some")
    kept = [r for r in everything if r["score"] >= thresh and r["category_id"] == 2]
    assert read(photos.parent / "some", RESULTS) == kept
    assert 0 < len(kept) < len(everything)


def test_goes_on_where_it_ended(
    predict: Any, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(photos, out="whole")
    seen: list[str] = []
    detect = workers.Worker.__call__

    def stops_at_third(self: Any, work: Any) -> Any:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(work.images[0])
        return detect(self, work)

    with monkeypatch.context() as patch:
        patch.setattr(workers.Worker, "__call__", stops_at_third)
        assert predict(photos) == 130
    assert "interrupted; the same command goes on where it ended" in capsys.readouterr().err
    out = photos.parent / "out"
    assert not (out / RESULTS).exists()
    with (out / FILE).open("a") as file:
        file.write('{"key": "cut o')  # as a crash leaves it
    (out / ".x.jpg.abc.partial").touch()
    seen.clear()
    with monkeypatch.context() as patch:
        patch.setattr(workers.Worker, "__call__", stops_at_third)
        assert predict(photos) == 0
    assert [Path(path).name for path in seen] == ["2.png"]
    for name in files_below(photos.parent / "whole"):
        assert (out / name).read_bytes() == (photos.parent / "whole" / name).read_bytes()
    assert files_below(out) == files_below(photos.parent / "whole")


def test_a_finished_command_builds_no_detector_and_new_images_are_looked_at(
    predict: Any, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(photos)
    out = photos.parent / "out"
    before = (out / RESULTS).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(workers, "Worker", None)
        assert predict(photos) == 0
    assert (out / RESULTS).read_bytes() == before
    shutil.copy(photos / "0.png", photos / "3.png")
    (out / "pictures/1.jpg").unlink()
    assert predict(photos) == 0
    assert [row["file_name"] for row in read(out, IMAGES)["images"]] == [
        "0.png", "1.png", "3.png", "sub/2.png"
    ]  # fmt: skip
    assert (out / "pictures/1.jpg").exists()


def test_a_broken_image_is_left_out_by_name(
    predict: Any, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "1.png").write_bytes(b"no image")
    (photos / "4.png").symlink_to("nowhere")
    os.mkfifo(photos / "5.png")
    assert predict(photos) == 1
    told = capsys.readouterr()
    for name in ("1.png (not an image in a format", "4.png (is gone, or a link to nothing",
                 "5.png (not a plain file"):  # fmt: skip
        assert name in told.err
    assert "2 image(s)" in told.out
    assert "3 left out" in told.out
    out = photos.parent / "out"
    assert [(row["id"], row["file_name"]) for row in read(out, IMAGES)["images"]] == [
        (1, "0.png"), (5, "sub/2.png")
    ]  # fmt: skip
    assert predict(photos) == 1  # and again, with nothing left to do


def test_too_many_broken_images_end_it(
    predict: Any, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "1.png").write_bytes(b"no image")
    assert predict(photos, "--max-broken", 0) == 2
    assert "1.png: cannot be read as an image (not an image" in capsys.readouterr().err
    assert predict(photos / "1.png", out="other") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.endswith("1.png: cannot be read as an image (not an image in a format that can be "
                          "read)\n")  # fmt: skip
    assert predict(photos / "0.png", out="other") == 0  # which holds nothing to go on with


def test_a_decompression_bomb_is_left_out(predict: Any, photos: Path) -> None:
    header = b"P6\n100000 100000\n255\n"
    (photos / "bomb.ppm").write_bytes(header + bytes(100))
    assert predict(photos) == 1


def test_standard_input(predict: Any, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = photos.parent / "out"
    for data, name in (
        ((photos / "0.png").read_bytes(), "standard_input"),
        (f"{photos / '0.png'}\n".encode(), "0.png"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert predict("-") == 0
        assert [row["file_name"] for row in read(out, IMAGES)["images"]] == [name]
        assert (out / "pictures" / f"{Path(name).stem}.jpg").exists()
        shutil.rmtree(out)


def test_standard_input_may_be_closed(
    predict: Any, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert predict(photos / "0.png", "--save", "json") == 0
    capsys.readouterr()
    assert predict("-", out="other") == 2
    assert capsys.readouterr().err.startswith("error: standard input is empty: give an image")


def test_images_that_are_one_thin_line_or_of_16_bits(
    predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (9000, 1)).save(tmp_path / "thin.png")
    Image.fromarray(np.full((40, 40), 9000, np.uint16)).save(tmp_path / "deep.png")
    assert predict(tmp_path / "thin.png", tmp_path / "deep.png") == 0
    assert (
        f"1 image(s) of more than 8 bits ({tmp_path / 'deep.png'}): what is above 255 is white"
        in (capsys.readouterr().out)
    )


def test_no_folder_to_write_to_and_no_video_are_a_line_each(
    predict: Any, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = photos / "0.png" / "out"
    assert predict(photos / "0.png", out=str(out)) == 2
    assert capsys.readouterr().err == (
        f"error: -o {out}: no folder that can be written to (Not a directory)\n"
    )
    pytest.importorskip("cv2", reason="needs OpenCV (pip install opencv-python-headless)")
    (photos / "clip.mp4").write_text("no video")
    assert predict(photos / "clip.mp4") == 2
    assert capsys.readouterr().err == (
        f"error: {photos / 'clip.mp4'}: cannot be read as a video (no video that OpenCV can read)\n"
    )


def test_a_detector_of_masks_says_that_boxes_are_written(portable: Trained) -> None:
    cfg = read_detector_file(portable.checkpoint).cfg
    assert left_out_of(cfg) == ()
    masks = with_values(cfg, {"MODEL.MASK_ON": True, "MODEL.META_ARCHITECTURE": "PanopticFPN"})
    assert left_out_of(masks) == ("masks", "labels of pixels")


def test_tiles(portable: Trained, predict: Any, photos: Path) -> None:
    assert predict(photos / "0.png", "--tile", 64, "--overlap", 0.5, "--save", "json") == 0
    detector = Detector.from_checkpoint(portable.checkpoint, engine="portable", device="cpu")
    found = detector(photos / "0.png", tiling=Tiling(64, 0.5))
    assert read(photos.parent / "out", RESULTS) == detections_to_coco(found, 1, (1, 2))
    assert len(found) > len(detector(photos / "0.png"))


def test_a_video_is_written_and_its_frames_are_numbered(
    portable: Trained, predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cv2", reason="needs OpenCV (pip install opencv-python-headless)")
    file = VideoFile(tmp_path / "clip", 10.0)
    for path in portable.images[:3]:
        file.write(np.asarray(Image.open(path)))
    file.finish()
    words = (file.path, portable.images[0], "--batch-size", 2)
    assert predict(*words) == 0
    out, written = tmp_path / "out", tmp_path / "out" / "videos" / file.path.name
    assert f"{written}: 3 frames, written as {file.codec}" in capsys.readouterr().out
    assert sum(1 for _ in Video(str(written)).frames()) == 3
    images = [(r["id"], r["file_name"], r.get("frame")) for r in read(out, IMAGES)["images"]]
    clip = file.path.name
    assert images == [(1, clip, 0), (2, clip, 1), (3, clip, 2), (4, "0.png", None)]
    assert {row["frame"] for row in table(out)} == {"0", "1", "2", ""}
    first = next(Video(str(file.path)).frames())
    detector = Detector.from_checkpoint(portable.checkpoint, engine="portable", device="cpu")
    scores = [r["score"] for r in read(out, RESULTS) if r["image_id"] == 1]
    assert scores == pytest.approx(detector(first).scores.tolist(), abs=1e-5)
    _check_resumed_video(predict, words, out)


def _check_resumed_video(predict: Any, words: tuple[Any, ...], out: Path) -> None:
    """After a crash within the video its frames are looked at from the batch that is missing."""
    whole = {name: (out / name).read_bytes() for name in files_below(out)}
    lines = (out / FILE).read_bytes().splitlines(keepends=True)
    (out / FILE).write_bytes(b"".join(lines[:3]))  # the command, and the first two frames
    for name in (RESULTS, CSV, IMAGES):
        (out / name).unlink()
    shutil.rmtree(out / "videos")
    assert predict(*words) == 0
    assert {name: (out / name).read_bytes() for name in files_below(out)} == whole


def test_a_picture_shows_sure_boxes_in_their_colours() -> None:
    finding = workers.Finding(
        64, 96, ((8.0, 20.0, 40.0, 60.0), (50.0, 20.0, 90.0, 60.0)), (0.9, 0.4), (1, 0)
    )
    pixels = np.zeros((64, 96, 3), np.uint8)
    drawn = np.asarray(workers.draw_finding(pixels, finding, ("red", "green"), 0.5))
    color = tuple(int(CLASS_COLORS[1][i : i + 2], 16) for i in (1, 3, 5))
    assert drawn.shape == pixels.shape
    assert tuple(drawn[60, 20]) == tuple(drawn[40, 8]) == color
    assert not drawn[25:55, 50:].any()  # not sure enough


@pytest.mark.slow
def test_several_processes_write_what_one_does(predict: Any, photos: Path) -> None:
    (photos / "1.png").write_bytes(b"no image")
    assert predict(photos, "--batch-size", 2, out="one") == 1
    assert predict(photos, "--batch-size", 2, "--processes", 2, out="two") == 1
    one, two = photos.parent / "one", photos.parent / "two"
    assert files_below(one) == files_below(two)
    assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files_below(one))
