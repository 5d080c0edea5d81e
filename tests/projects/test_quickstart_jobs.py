"""What the quickstart trains."""

from pathlib import Path

import pytest
import torch

from projects.Quickstart.jobs import Data, detectors
from projects.Quickstart.study import _COMPARED, _backbone, flat_config
from resnext_det.config import load_config
from resnext_det.modeling.complexity import measure_complexity

DATA = Data("crops/train", "crops/val", "train.json:train", "val.json:val")


def config_of(arguments: tuple[str, ...]) -> dict:
    """The config that train_net.py would read: what follows the options is KEY VALUE."""
    keys = [word for word in arguments if word.isupper() or word.startswith("MODEL.")]
    overrides = [pair for key in keys for pair in (key, arguments[arguments.index(key) + 1])]
    return flat_config(load_config(arguments[1], overrides).cfg)


def test_rows_differ_in_backbone_and_starting_weights_alone(tmp_path: Path) -> None:
    rows = detectors(DATA, tmp_path, "portable")
    starts = [(row.model.tag, row.pretraining is not None) for row in rows]
    assert starts == [("R_26", True), ("X_26", True), ("R_26", False), ("X_26", False)]
    configs = [config_of(row.job.arguments) for row in rows]
    for config in configs:
        differing = {key for key in config if config[key] != configs[0].get(key)}
        assert differing <= set(_COMPARED)
    assert configs[0]["MODEL.BACKBONE.FREEZE_AT"] == 0
    assert configs[2]["MODEL.WEIGHTS"] == ""


def test_a_pretrained_row_starts_from_its_own_backbone(tmp_path: Path) -> None:
    for row in detectors(DATA, tmp_path, "portable")[:2]:
        assert row.job.needs == (row.pretraining.folder,)
        assert row.model.tag in row.pretraining.folder.name
        assert str(row.pretraining.folder / "model_final.pth") in row.job.arguments


def test_another_engine_or_set_is_another_run(tmp_path: Path) -> None:
    first = detectors(DATA, tmp_path, "portable")[0].job.digest
    assert first == detectors(DATA, tmp_path, "portable")[0].job.digest
    assert first != detectors(DATA, tmp_path, "d2")[0].job.digest
    other = Data("crops/train", "crops/val", "other.json:train", "val.json:val")
    assert first != detectors(other, tmp_path, "portable")[0].job.digest


def test_the_backbones_are_equal_within_two_percent(tmp_path: Path) -> None:
    rows = detectors(DATA, tmp_path, "portable")[:2]
    jobs = [job for row in rows for job in (row.pretraining, row.job)]
    flops = []
    for job in jobs:
        loaded = load_config(job.arguments[1]).cfg
        with torch.device("meta"):
            flops.append(measure_complexity(_backbone(loaded), 128).flops)
    assert flops[0] == flops[1]  # the detector's backbone is the classifier's
    assert flops[2] == flops[3]
    assert flops[2] == pytest.approx(flops[0], rel=0.02)
