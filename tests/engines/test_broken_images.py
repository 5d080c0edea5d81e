"""Detection runs on images that cannot be read: set aside by name, counted, limited."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from resnext_det.config import load_config, with_values
from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.coco import load_coco
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.engines.base import DetectionRun, Engine
from resnext_det.engines.detection import evaluate_detector, train_detector
from resnext_det.engines.pictures import prediction_pictures
from resnext_det.errors import UserError
from tests.engines.conftest import Bench

SHORT = ("SOLVER.MAX_ITER", 4, "SOLVER.STEPS", "[]", "SOLVER.CHECKPOINT_PERIOD", 2)


@pytest.fixture
def broken(bench: Bench) -> list[str]:
    """Spoils two of the six images: one has pixels that are cut off, one is none at all."""
    cut, empty = bench.entry.image_root / "1.png", bench.entry.image_root / "4.png"
    cut.write_bytes(cut.read_bytes()[:300])
    empty.write_bytes(b"")
    return [str(cut), str(empty)]


def result_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


def names_in(result: dict[str, Any]) -> list[str]:
    assert result["set_aside"]["count"] == len(result["set_aside"]["images"])
    assert all(image["reason"] for image in result["set_aside"]["images"])
    return [image["name"] for image in result["set_aside"]["images"]]


def test_a_resumed_run_goes_on_without_the_same_images(
    engine: Engine, bench: Bench, broken: list[str]
) -> None:
    train_detector(engine, bench.job("whole", *SHORT))
    bench.cut("whole", "model_0000001.pth", to="cut")
    train_detector(engine, bench.job("cut", *SHORT, resume=True))
    whole, cut = (result_of(bench.folder / run) for run in ("whole", "cut"))
    assert names_in(whole) == names_in(cut) == broken
    states = [
        torch.load(bench.folder / run / "model_final.pth", weights_only=True)
        for run in ("whole", "cut")
    ]
    assert list(states[0]["set_aside"]["reasons"]) == broken
    assert states[0]["set_aside"] == states[1]["set_aside"]
    for key, value in states[0]["model"].items():
        assert torch.equal(value, states[1]["model"][key]), key
    log = (bench.folder / "whole" / "log.txt").read_text()
    for name in broken:
        assert log.count(f"Set aside: {name}: ") == 1


def test_a_broken_image_counts_as_one_without_detections(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run", *SHORT))
    weights = ("MODEL.WEIGHTS", bench.folder / "run/model_final.pth")
    weights += ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)
    evaluate_detector(engine, bench.job("sound", *weights))
    path = bench.entry.image_root / "1.png"
    path.write_bytes(path.read_bytes()[:300])
    evaluate_detector(engine, bench.job("spoilt", *weights))
    rows = {}
    for run in ("sound", "spoilt"):
        found = bench.folder / run / "inference" / "coco_instances_results.json"
        rows[run] = json.loads(found.read_text())
    kept = [row for row in rows["sound"] if row["image_id"] != image_id_of(bench, "1.png")]
    assert len(kept) < len(rows["sound"])
    assert rows["spoilt"] == kept
    assert names_in(result_of(bench.folder / "spoilt" / "inference")) == [str(path)]
    assert names_in(result_of(bench.folder / "sound" / "inference")) == []


def image_id_of(bench: Bench, name: str) -> int:
    assert bench.entry.json_file is not None
    content = json.loads(bench.entry.json_file.read_text())
    return next(image["id"] for image in content["images"] if image["file_name"] == name)


def test_more_than_the_limit_end_the_run_before_it_starts(
    engine: Engine, bench: Bench, broken: list[str]
) -> None:
    Path(broken[0]).write_bytes(b"no image")
    with pytest.raises(UserError, match=r"1\.png: .*first of 2 .*MAX_BROKEN_IMAGES is 1: mend"):
        train_detector(engine, bench.job("run", "DATASETS.MAX_BROKEN_IMAGES", 1))
    with pytest.raises(UserError, match=r"1\.png: .*; DATASETS\.MAX_BROKEN_IMAGES above 0 sets"):
        train_detector(engine, bench.job("run", "DATASETS.MAX_BROKEN_IMAGES", 0))
    assert not (bench.folder / "run").exists()


def test_a_test_set_of_broken_images_is_refused(engine: Engine, bench: Bench) -> None:
    run = make_run(engine, bench)
    for path in bench.entry.image_root.iterdir():
        path.write_bytes(path.read_bytes()[:300])
    model = engine.build_model(run.cfg)
    engine.evaluate(model, run)
    with pytest.raises(UserError, match=r"'shapes': none of its images can be read; the first is"):
        run.set_aside.check_set(
            "shapes", [record.file_name for record in run.tests["shapes"].records]
        )


def test_nothing_is_found_in_a_broken_image_and_no_picture_is_made(
    engine: Engine, bench: Bench, broken: list[str]
) -> None:
    run = make_run(engine, bench, "TEST.PICTURES", 6)
    model = engine.build_model(run.cfg)
    found = engine.detect(model, run, run.tests["shapes"].records)
    assert [len(detections) > 0 for detections in found] == [
        record.file_name not in broken for record in run.tests["shapes"].records
    ]
    assert names_in({"set_aside": run.set_aside.summary()}) == broken
    assert len(prediction_pictures(engine, model, run)) == 4


def test_validation_losses_are_of_readable_images(
    engine: Engine, bench: Bench, broken: list[str]
) -> None:
    run = make_run(engine, bench)
    assert len(list(engine.validation_batches(run, "shapes"))) == 4
    assert names_in({"set_aside": run.set_aside.summary()}) == broken


def make_run(engine: Engine, bench: Bench, *words: Any) -> DetectionRun:
    torch.manual_seed(0)
    given = bench.job("x", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0, *words).loaded.cfg
    cfg = with_values(given, {"MODEL.ROI_HEADS.NUM_CLASSES": 2})
    test = load_coco(bench.entry, training=False)
    return DetectionRun(cfg, None, {"shapes": test}, None, SetAsideImages(100))


def test_the_key_of_older_versions_tells_the_new_one(bench: Bench) -> None:
    key = "INPUT.CLASSIFICATION.SKIP_BROKEN"
    with pytest.raises(UserError, match=rf"{key} is no longer a key; write DATASETS\.MAX_BROKEN_"):
        load_config(str(bench.config), [key, "False"])
    with pytest.raises(UserError, match=r"MAX_BROKEN_IMAGES"):
        load_config(str(bench.config), ["DATASETS.MAX_BROKEN_IMAGES", "-1"])


def test_real_odd_images_through_a_run(
    engine: Engine, bench: Bench, shared: Callable[[str], Path]
) -> None:
    """Training and evaluation name those that cannot be decoded, and go on with all others."""
    folder = shared("malformed")
    content: dict[str, Any] = {"images": [], "annotations": []}
    content["categories"] = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    for number, item in enumerate(json.loads((folder / "index.json").read_text())):
        width, height = item.get("size") or (10, 10)
        if (item.get("exif_orientation") or 1) > 4:
            width, height = height, width
        size = {"width": width, "height": height}
        content["images"].append({"id": number, "file_name": item["file"], **size})
        box = {"image_id": number, "category_id": 1, "bbox": [0, 0, width, height]}
        content["annotations"].append({"id": number, **box})
    (bench.folder.parent / "odd.json").write_text(json.dumps(content))
    entry = DatasetEntry("odd", bench.folder.parent / "odd.json", folder)
    words = ("DATASETS.TRAIN", "['odd']", "DATASETS.TEST", "['odd']", "TEST.PICTURES", 3)
    job = bench.job("run", *SHORT, *words, "SOLVER.IMS_PER_BATCH", 4, "INPUT.MIN_SIZE_TEST", 32)
    train_detector(engine, replace(job, datasets={"odd": entry}))
    index = json.loads((folder / "index.json").read_text())
    broken = [str(folder / item["file"]) for item in index if item["pillow"] != "ok"]
    assert names_in(result_of(bench.folder / "run")) == sorted(broken)
    log = (bench.folder / "run" / "log.txt").read_text()
    assert "Corrupt EXIF" not in log
