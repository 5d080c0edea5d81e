"""What the quickstart trains and compares."""

from pathlib import Path

import pytest
import torch

from projects.Quickstart.jobs import (
    COMPARED,
    MAX_FLOPS_DIFFERENCE,
    PRETRAINED,
    SCRATCH,
    Data,
    quickstart_grid,
)
from projects.studies.gathering.checks import flat_config
from projects.studies.grid import Grid
from resnext_det.config import load_config
from resnext_det.modeling.complexity import measure_complexity
from resnext_det.modeling.from_config import backbone_from_config

DATA = Data("crops/train", "crops/val", "train.json:train", "val.json:val")


def grid_of(output: Path, data: Data = DATA, engine: str = "portable", seeds: int = 1) -> Grid:
    return quickstart_grid(data, output, engine, range(seeds))


def config_of(arguments: tuple[str, ...]) -> dict:
    """The config that train_net.py would read: what follows the options is KEY VALUE."""
    keys = [word for word in arguments if word.isupper() or word.startswith("MODEL.")]
    overrides = [pair for key in keys for pair in (key, arguments[arguments.index(key) + 1])]
    return flat_config(load_config(arguments[1], overrides).cfg)


def test_rows_differ_in_backbone_and_starting_weights_alone(tmp_path: Path) -> None:
    grid = grid_of(tmp_path)
    starts = [(cell.row.tag, len(cell.jobs) == 2) for cell in grid.cells]
    assert starts == [("R_26", True), ("X_26", True), ("R_26", False), ("X_26", False)]
    configs = [config_of(cell.jobs[-1].arguments) for cell in grid.cells]
    for config in configs:
        differing = {key for key in config if config[key] != configs[0].get(key)}
        assert differing <= {*COMPARED, "OUTPUT_DIR"}
    assert configs[0]["MODEL.BACKBONE.FREEZE_AT"] == 0
    assert configs[2]["MODEL.WEIGHTS"] == ""


def test_a_pretrained_row_starts_from_its_own_backbone(tmp_path: Path) -> None:
    for cell in grid_of(tmp_path).cells[:2]:
        pretraining, detection = cell.jobs
        assert detection.needs == (pretraining.folder,)
        assert cell.row.tag in pretraining.folder.name
        assert str(pretraining.folder / "model_final.pth") in detection.arguments


def test_the_architectures_are_compared_first_then_what_pretraining_gave(tmp_path: Path) -> None:
    assert grid_of(tmp_path).pairs == (
        PRETRAINED,
        (SCRATCH[0], PRETRAINED[0]),
        (SCRATCH[1], PRETRAINED[1]),
    )


def test_every_run_is_there_once(tmp_path: Path) -> None:
    names = [job.folder.name for job in grid_of(tmp_path).jobs]
    assert names == [
        "classification_R_26",
        "detection_R_26_pretrained",
        "classification_X_26",
        "detection_X_26_pretrained",
        "detection_R_26_scratch",
        "detection_X_26_scratch",
    ]


def test_more_seeds_are_more_runs_beside_the_first(tmp_path: Path) -> None:
    one, two = grid_of(tmp_path), grid_of(tmp_path, seeds=2)
    assert set(one.jobs) < set(two.jobs)
    assert len(two.jobs) == 2 * len(one.jobs)
    folders = [job.folder for job in two.jobs]
    assert len(set(folders)) == len(folders)
    assert all("seed1" in str(job.folder) for job in set(two.jobs) - set(one.jobs))


def test_another_engine_or_set_is_another_run(tmp_path: Path) -> None:
    def digest(*given: object) -> str:
        return grid_of(tmp_path, *given).cells[0].jobs[-1].digest

    assert digest() == digest()
    assert digest() != digest(DATA, "d2")
    assert digest() != digest(Data("crops/train", "crops/val", "other.json:train", "val.json:val"))


def test_the_backbones_are_equal_within_two_percent(tmp_path: Path) -> None:
    flops = []
    for cell in grid_of(tmp_path).cells[:2]:
        for job in cell.jobs:
            loaded = load_config(job.arguments[1]).cfg
            with torch.device("meta"):
                backbone = backbone_from_config(loaded, out_features=("res5",))
            flops.append(measure_complexity(backbone, 128).flops)
    assert flops[0] == flops[1]  # the detector's backbone is the classifier's
    assert flops[2] == flops[3]
    assert flops[2] == pytest.approx(flops[0], rel=MAX_FLOPS_DIFFERENCE / 100)
