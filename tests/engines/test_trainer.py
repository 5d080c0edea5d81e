"""What the trainer can do, on both engines: each wish gives its files and its numbers."""

import importlib.util
import json
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode

from resnext_det.config import with_values
from resnext_det.data.catalog import PanopticFiles
from resnext_det.data.coco import CocoDataset
from resnext_det.data.panoptic import Stuff
from resnext_det.engines.base import Engine
from resnext_det.engines.datasets import read_test_sets
from resnext_det.engines.detection import evaluate_detector, train_detector
from resnext_det.engines.metric_names import metric_names
from resnext_det.errors import UserError
from tests.engines.conftest import Bench

LOSSES = ("loss_cls", "loss_box_reg", "loss_rpn_cls", "loss_rpn_loc")
EVERYTHING = (
    *("SOLVER.AMP.ENABLED", True, "SOLVER.AMP.DTYPE", "bfloat16"),
    *("SOLVER.GRADIENT_ACCUMULATION", 2, "SOLVER.EMA.ENABLED", True, "SOLVER.EMA.DECAY", 0.5),
    *("SOLVER.CHECKPOINT_PERIOD", 2, "SOLVER.KEEP_CHECKPOINTS", 1, "TEST.EVAL_PERIOD", 2),
    *("TEST.BEST_METRIC", "val/total_loss", "TEST.VALIDATION_LOSS", True, "TEST.PICTURES", 2),
)


def test_everything_at_once(engine: Engine, bench: Bench) -> None:
    train_detector(engine, bench.job("run", *EVERYTHING))
    folder = bench.folder / "run"
    names = {path.name for path in folder.glob("*.pth")}
    assert names == {"model_best.pth", "model_0000005.pth", "model_final.pth"}
    lines = _metrics(folder)
    evaluations = [line for line in lines if "val/total_loss" in line]
    assert [line["iteration"] for line in evaluations] == [1, 3, 5]
    for line in evaluations:
        losses = [line[f"val/{name}"] for name in LOSSES]
        assert line["val/total_loss"] == pytest.approx(sum(losses), rel=1e-6)
        assert line["bbox/AP"] is not None
    # 2 images in each iteration, 6 in the set
    assert [line["epoch"] for line in evaluations] == pytest.approx([2 / 3, 4 / 3, 2], abs=1e-6)
    best = torch.load(folder / "model_best.pth", weights_only=True)["best"]
    values = {line["iteration"]: line["val/total_loss"] for line in evaluations}
    assert best["value"] == min(values.values()) == values[best["iteration"]]
    result = json.loads((folder / "result.json").read_text())
    assert (result["best"], result["stopped_at"], result["iteration"]) == (best, None, 5)
    final = torch.load(folder / "model_final.pth", weights_only=True)
    assert all(
        value.dtype == torch.float32
        for value in final["training_model"].values()
        if value.is_floating_point()
    )


def test_with_everything_on_a_resumed_run_is_the_uninterrupted_one(
    engine: Engine, bench: Bench
) -> None:
    words = (*EVERYTHING, "SOLVER.KEEP_CHECKPOINTS", 0)
    train_detector(engine, bench.job("whole", *words))
    bench.cut("whole", "model_0000001.pth", "cut")
    train_detector(engine, bench.job("cut", *words, resume=True))
    one, other = (
        torch.load(bench.folder / name / "model_final.pth", weights_only=True)
        for name in ("whole", "cut")
    )
    for entry in ("model", "training_model"):
        assert all(torch.equal(value, other[entry][key]) for key, value in one[entry].items())
    assert (one["ema"], one["best"]) == (other["ema"], other["best"])
    written = [_metrics(bench.folder / name)[-1] for name in ("whole", "cut")]
    assert written[0] == written[1]


def test_what_is_evaluated_and_exported_is_the_average(engine: Engine, bench: Bench) -> None:
    words = ("SOLVER.EMA.ENABLED", True, "SOLVER.EMA.DECAY", 0.5)
    train_detector(engine, bench.job("run", *words))
    evaluate_detector(engine, bench.job("run", *words, resume=True))
    trained = json.loads((bench.folder / "run" / "result.json").read_text())
    again = json.loads((bench.folder / "run" / "inference" / "result.json").read_text())
    assert again["metrics"] == trained["metrics"]
    final = torch.load(bench.folder / "run" / "model_final.pth", weights_only=True)
    name = "roi_heads.box_predictor.cls_score.weight"
    assert not torch.equal(final["model"][name], final["training_model"][name])


@pytest.mark.parametrize(
    "words", [(), ("SOLVER.AMP.ENABLED", True, "SOLVER.AMP.DTYPE", "bfloat16")], ids=["", "bf16"]
)
def test_passes_give_the_losses_of_one(engine: Engine, bench: Bench, words: Any) -> None:
    frozen = ("MODEL.RESNETS.NORM", "GN", "MODEL.RESNETS.RES2_OUT_CHANNELS", 64)
    groups = ("MODEL.RESNETS.STEM_OUT_CHANNELS", 32, "MODEL.RESNETS.WIDTH_PER_GROUP", 8)
    short = ("SOLVER.MAX_ITER", 1, "SOLVER.STEPS", "[]", "DATASETS.TEST", "[]")
    shared = (*frozen, *groups, *short, "SOLVER.IMS_PER_BATCH", 4)
    train_detector(engine, bench.job("exact", *shared))
    train_detector(engine, bench.job("run", *shared, *words, "SOLVER.GRADIENT_ACCUMULATION", 2))
    exact, several = (_metrics(bench.folder / name)[0] for name in ("exact", "run"))
    for name in LOSSES:
        assert several[name] == pytest.approx(exact[name], rel=2**-5 if words else 1e-4)


def test_a_run_stops_when_it_gets_no_better(engine: Engine, bench: Bench) -> None:
    # With a learning rate of 0 the second evaluation is as good as the first, not better.
    words = ("SOLVER.BASE_LR", 0.0, "MODEL.RESNETS.NORM", "GN", "MODEL.RESNETS.WIDTH_PER_GROUP", 8)
    groups = ("MODEL.RESNETS.STEM_OUT_CHANNELS", 32, "MODEL.RESNETS.RES2_OUT_CHANNELS", 64)
    watch = ("TEST.EVAL_PERIOD", 1, "TEST.BEST_METRIC", "bbox/AP50", "TEST.PATIENCE", 2)
    job = bench.job("run", *words, *groups, *watch)
    train_detector(engine, job)
    result = json.loads((bench.folder / "run" / "result.json").read_text())
    assert (result["stopped_at"], result["iteration"], result["best"]["iteration"]) == (2, 2, 0)
    assert result["metrics"]["AP50"] == result["best"]["value"]
    final = torch.load(bench.folder / "run" / "model_final.pth", weights_only=True)
    assert final["iteration"] == 2
    stamp = (bench.folder / "run" / "model_final.pth").stat().st_mtime_ns
    train_detector(engine, bench.job("run", *words, *groups, *watch, resume=True))
    assert (bench.folder / "run" / "model_final.pth").stat().st_mtime_ns == stamp


def test_an_unknown_metric_is_refused_before_the_folder_is_made(
    engine: Engine, bench: Bench
) -> None:
    with pytest.raises(UserError) as error:
        train_detector(engine, bench.job("run", "TEST.BEST_METRIC", "bbox/ap50"))
    assert str(error.value) == (
        "TEST.BEST_METRIC is bbox/ap50, but there are bbox/AP, bbox/AP-green, bbox/AP-red, "
        "bbox/AP50, bbox/AP75, bbox/APl, bbox/APm, bbox/APs; bbox/AP50 is meant?"
    )
    assert not (bench.folder / "run").exists()


def test_the_names_known_before_training_are_those_that_are_written(
    engine: Engine, bench: Bench
) -> None:
    job = bench.job("run", "SOLVER.MAX_ITER", 1, "SOLVER.STEPS", "[]")
    train_detector(engine, job)
    (line,) = (line for line in _metrics(bench.folder / "run") if "bbox/AP" in line)
    tests = read_test_sets(job.loaded.cfg, job.datasets)
    assert set(metric_names(job.loaded.cfg, tests)) == set(line) - {"iteration", "epoch"}


def test_names_of_several_sets_and_of_other_tasks(bench: Bench) -> None:
    job = bench.job("run", "TEST.VALIDATION_LOSS", True)
    (dataset,) = read_test_sets(job.loaded.cfg, job.datasets).values()
    names = metric_names(job.loaded.cfg, {"a": dataset, "b": dataset})
    assert {"a/bbox/AP", "b/bbox/AP-red", "b/val/total_loss", "a/val/loss*"} <= set(names)
    assert "bbox/AP-red" in _names_for(job.loaded.cfg, "FCOS", dataset)
    assert "bbox/APP" not in _names_for(job.loaded.cfg, "FCOS", dataset)
    assert "box_proposals/AR@1000" in _names_for(job.loaded.cfg, "ProposalNetwork", dataset)


@pytest.mark.parametrize("is_installed", [True, False])
def test_names_of_panoptic_quality(
    is_installed: bool, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.job("run")
    (dataset,) = read_test_sets(job.loaded.cfg, job.datasets).values()
    dataset = replace(dataset, stuff=Stuff(PanopticFiles(*[Path("x")] * 3), ("sky",), (7,)))
    spec = ModuleSpec("panopticapi", None) if is_installed else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    names = _names_for(job.loaded.cfg, "PanopticFPN", dataset)
    assert ("panoptic_seg/PQ_th" in names) == is_installed
    assert {"bbox/AP", "sem_seg/mIoU", "sem_seg/IoU-sky", "sem_seg/ACC-things"} <= names


def _names_for(cfg: CfgNode, architecture: str, dataset: CocoDataset) -> set[str]:
    cfg = with_values(cfg, {"MODEL.META_ARCHITECTURE": architecture})
    return set(metric_names(cfg, {"a": dataset}))


def test_a_batch_that_passes_cannot_divide_is_refused(engine: Engine, bench: Bench) -> None:
    with pytest.raises(UserError, match="IMS_PER_BATCH is 2, which SOLVER.GRADIENT_ACCUMULATION 3"):
        bench.job("run", "SOLVER.GRADIENT_ACCUMULATION", 3)


def test_pictures_of_the_same_images_at_each_evaluation(engine: Engine, bench: Bench) -> None:
    words = ("TEST.EVAL_PERIOD", 3, "TEST.PICTURES", 2)
    train_detector(engine, bench.job("run", *words))
    pictures = _pictures(bench.folder / "run")
    steps = {name: [step for step, _ in found] for name, found in pictures.items()}
    assert steps == {"predictions/0": [2, 5], "predictions/1": [2, 5]}
    before, after = (picture for _, picture in pictures["predictions/0"])
    assert before.shape == (256, 2 * 384, 3)  # 96 x 64 px, enlarged, twice
    truth = np.s_[:, :384]
    assert np.array_equal(before[truth], after[truth])
    assert (before[truth] == (0x56, 0xB4, 0xE9)).all(axis=2).sum() > 500  # the truth's colour


def _metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


def _pictures(folder: Path) -> dict[str, list[tuple[int, np.ndarray]]]:
    """The pictures in the event files, by name: (step, (H, W, 3) uint8)."""
    import io

    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"images": 0})
    events.Reload()
    found = {}
    for name in events.Tags()["images"]:
        encoded = [(event.step, event.encoded_image_string) for event in events.Images(name)]
        found[name] = [(step, np.asarray(Image.open(io.BytesIO(data)))) for step, data in encoded]
    return found
