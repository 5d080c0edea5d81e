"""The mini scale of the comparison: its rows, its jobs, its networks' complexity."""

from pathlib import Path

import pytest
import torch

from projects.DetectionComparison import mini
from projects.DetectionComparison.rows import FULL, MINI
from resnext_det.config import load_config
from resnext_det.errors import UserError
from resnext_det.modeling import ResNet
from resnext_det.modeling.complexity import measure_complexity
from tests.config.shipped import differing_keys

COMPARED = {
    "MODEL.RESNETS.DEPTH",
    "MODEL.RESNETS.NUM_GROUPS",
    "MODEL.RESNETS.WIDTH_PER_GROUP",
}
DATA = mini.MiniData(("crops/train", "crops/val"), ("train.json:train", "val.json:val"))
KINDS = ("classification_{}", "faster_rcnn_{}_FPN")


def default_cells(output: Path, seeds: tuple[int, ...] = (0, 1), data: mini.MiniData = DATA):
    return mini.cells(MINI.choose(None), seeds, data, output, "portable")


def config(kind: str, tag: str):
    return load_config(f"{mini.CONFIGS}/{kind.format(tag)}.yaml").cfg


def flops(cfg, image_size: int) -> float:
    net = cfg.MODEL.RESNETS
    with torch.device("meta"):
        backbone = ResNet(
            depth=net.DEPTH,
            num_groups=net.NUM_GROUPS,
            width_per_group=net.WIDTH_PER_GROUP,
            stem_out_channels=net.STEM_OUT_CHANNELS,
            res2_out_channels=net.RES2_OUT_CHANNELS,
        )
        return measure_complexity(backbone, image_size).flops


@pytest.mark.parametrize("kind", KINDS)
def test_rows_differ_in_the_backbone_alone(kind: str) -> None:
    configs = [config(kind, row.tag) for row in MINI.choose(None)]
    for other in configs[1:]:
        assert differing_keys(configs[0], other) <= COMPARED


@pytest.mark.parametrize(
    ("pair", "percent"), [(MINI.pairs[0], 0.2), (MINI.pairs[1], 3.4)], ids=["shallow", "deep"]
)
def test_pairs_are_of_equal_complexity(pair: tuple[str, str], percent: float) -> None:
    """The paper's own pair, 4.089 and 4.230 G, differs by 3.4 %, too."""
    for kind in KINDS:
        first, second = (flops(config(kind, tag), 224) for tag in pair)
        assert 100 * (second / first - 1) == pytest.approx(percent, abs=0.05)


def test_half_the_channels_have_a_quarter_of_the_cost() -> None:
    """All but the stem, whose input has three channels still: a little over a quarter."""
    half = flops(config(KINDS[1], "R_50_1x32d_half"), 224)
    assert half / 4.089e9 == pytest.approx(0.25, abs=0.01)


def test_every_row_at_every_seed_is_pretrained_and_fine_tuned(tmp_path: Path) -> None:
    cells = default_cells(tmp_path)
    assert [(cell.row.tag, cell.seed) for cell in cells] == [
        (row.tag, seed) for row in MINI.choose(None) for seed in (0, 1)
    ]
    folders = [job.folder for cell in cells for job in cell.jobs]
    assert len(set(folders)) == len(folders) == 16
    for cell in cells:
        pretraining, detection = cell.jobs
        assert detection.needs == (pretraining.folder,)
        assert str(pretraining.folder / "model_final.pth") in detection.arguments
        for job in cell.jobs:
            assert job.arguments[job.arguments.index("SEED") + 1] == str(cell.seed)
            assert job.folder.is_relative_to(tmp_path)


def test_a_row_from_scratch_has_one_job_and_the_same_detector(tmp_path: Path) -> None:
    rows = MINI.choose(["R_26_1x32d_half", "R_26_1x32d_half_scratch"])
    pretrained, scratch = mini.cells(rows, (0,), DATA, tmp_path, "portable")
    (job,) = scratch.jobs
    assert job.arguments[job.arguments.index("MODEL.WEIGHTS") + 1] == ""
    assert job.arguments[1] == pretrained.jobs[1].arguments[1]
    assert MINI.pairs_of(rows) == ((rows[1], rows[0]),)


def test_what_the_data_need_is_in_every_command(tmp_path: Path) -> None:
    data = mini.MiniData(
        DATA.classification,
        DATA.detection,
        classification_overrides=("INPUT.CLASSIFICATION.TRAIN_CROP", "64"),
        detection_overrides=("INPUT.MIN_SIZE_TEST", "192"),
    )
    for cell in default_cells(tmp_path, data=data):
        for job, key in zip(cell.jobs, ("TRAIN_CROP", "MIN_SIZE_TEST"), strict=True):
            assert any(word.endswith(key) for word in job.arguments)


def test_no_rows_or_seeds_are_no_cells(tmp_path: Path) -> None:
    assert mini.cells((), (0,), DATA, tmp_path, "portable") == ()
    assert default_cells(tmp_path, seeds=()) == ()


def test_an_unknown_row_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"--rows X_50_32x2: no row \(did you mean 'X_50_32x2d_"):
        MINI.choose(["R_26_1x32d_half", "X_50_32x2"])
    with pytest.raises(UserError, match=r"--rows resnet: no row; there are R_50, X_50_32x4d"):
        FULL.choose(["resnet"])


def test_rows_keep_the_order_of_the_table_and_half_of_a_pair_is_none() -> None:
    rows = FULL.choose(["R_101", "X_50_32x4d", "R_50"])
    assert [row.tag for row in rows] == ["R_50", "X_50_32x4d", "R_101"]
    assert FULL.pairs_of(rows) == ((rows[0], rows[1]),)
