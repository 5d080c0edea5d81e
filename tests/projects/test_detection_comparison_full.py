"""The comparison's full networks: what is trained at each scale, and what they start from."""

from pathlib import Path

import pytest

from projects.DetectionComparison import full
from projects.DetectionComparison.rows import FULL
from projects.DetectionComparison.starts import Starts, read_weights
from projects.studies.grid import Cell
from projects.studies.jobs import Job
from resnext_det.config import changed_keys, load_config
from resnext_det.errors import UserError

PAIR = FULL.choose(["R_50", "X_50_32x4d"])


def value(job: Job, key: str) -> str:
    return job.arguments[job.arguments.index(key) + 1]


def coco(output: Path, starts: Starts, seeds: tuple[int, ...] = (0, 1)) -> tuple[Cell, ...]:
    return full.coco_cells(PAIR, seeds, starts, output, "portable")


def test_coco_is_one_run_of_the_1x_config_from_its_own_weights(tmp_path: Path) -> None:
    cells = coco(tmp_path, Starts())
    assert [(cell.row.tag, cell.seed) for cell in cells] == [
        *(("R_50", 0), ("R_50", 1)),
        *(("X_50_32x4d", 0), ("X_50_32x4d", 1)),
    ]
    for cell in cells:
        (job,) = cell.jobs
        assert job.max_iter == 90_000
        assert value(job, "--config-file") == full.FPN.format(cell.row.tag)
        assert value(job, "--engine") == "portable"
        assert value(job, "SEED") == str(cell.seed)
        assert "MODEL.WEIGHTS" not in job.arguments
        assert not job.needs


def test_given_weights_go_before_the_configs(tmp_path: Path) -> None:
    cells = coco(tmp_path, Starts({"R_50": "mine.pth"}), seeds=(0,))
    assert value(cells[0].jobs[0], "MODEL.WEIGHTS") == "mine.pth"
    assert "MODEL.WEIGHTS" not in cells[1].jobs[0].arguments


def test_all_seeds_of_a_row_share_one_pretraining_by_the_papers_recipe(tmp_path: Path) -> None:
    cells = coco(tmp_path, Starts({"R_50": "mine.pth"}, pretrain=True))
    assert [len(cell.jobs) for cell in cells] == [1, 1, 2, 2]
    first, second = cells[2].jobs[0], cells[3].jobs[0]
    assert first == second
    assert value(first, "--config-file").endswith("ImageNet-Classification/X_50_32x4d_paper.yaml")
    for cell in cells[2:]:
        assert cell.jobs[1].needs == (first.folder,)
        assert value(cell.jobs[1], "MODEL.WEIGHTS") == str(first.folder / "model_final.pth")


def test_the_papers_rows_are_two_runs_and_the_second_takes_the_firsts_proposals(
    tmp_path: Path,
) -> None:
    cells = full.paper_cells(PAIR, (0, 1), Starts({"R_50": "mine.pth"}), tmp_path)
    assert len({job.folder for cell in cells for job in cell.jobs}) == 8
    for cell in cells:
        rpn, fast_rcnn = cell.jobs
        assert (rpn.max_iter, fast_rcnn.max_iter) == (180_000, 180_000)  # section 5.4
        assert fast_rcnn.needs == (rpn.folder,)
        for job in cell.jobs:
            assert value(job, "--engine") == "d2"
            assert value(job, "SEED") == str(cell.seed)
            assert ("MODEL.WEIGHTS" in job.arguments) == (cell.row.tag == "R_50")


def test_proposals_are_one_file_for_each_set_in_the_order_of_the_config(tmp_path: Path) -> None:
    (cell,) = full.paper_cells(PAIR[:1], (0,), Starts(), tmp_path)
    rpn, fast_rcnn = cell.jobs
    at = fast_rcnn.arguments.index("DATASETS.PROPOSAL_FILES_TRAIN")
    words = fast_rcnn.arguments[at:]
    cfg = load_config(full.FAST_RCNN.format("R_50"), list(words)).cfg
    folder = rpn.folder / "inference"
    assert [
        str(folder / name / "box_proposals.npz") for name in cfg.DATASETS.TRAIN
    ] == cfg.DATASETS.PROPOSAL_FILES_TRAIN
    assert [
        str(folder / "coco_2014_minival" / "box_proposals.npz")
    ] == cfg.DATASETS.PROPOSAL_FILES_TEST


@pytest.mark.parametrize("row", FULL.rows, ids=[row.tag for row in FULL.rows])
@pytest.mark.parametrize(
    "pattern", [full.FPN, full.RPN, full.FAST_RCNN], ids=["fpn", "rpn", "fast"]
)
def test_every_row_has_its_configs_and_152_alone_names_no_weights(row, pattern: str) -> None:
    cfg = load_config(pattern.format(row.tag)).cfg
    groups, width = cfg.MODEL.RESNETS.NUM_GROUPS, cfg.MODEL.RESNETS.WIDTH_PER_GROUP
    name = f"ResNet-{cfg.MODEL.RESNETS.DEPTH}"
    if groups > 1:
        name = f"ResNeXt-{cfg.MODEL.RESNETS.DEPTH} {groups}x{width}d"
    assert row.model == name
    assert bool(full.named_weights(row, pattern)) == (row.tag != "X_152_32x4d")


def test_pretraining_recipes_differ_in_the_network_alone(tmp_path: Path) -> None:
    starts = Starts(pretrain=True)
    jobs = [starts.pretraining(row, tmp_path) for row in FULL.rows]
    changed = [
        changed_keys(load_config(value(job, "--config-file"), ["TEST.MORE_CROPS", "[]"]).cfg)
        for job in jobs
        if job
    ]
    assert len(changed) == len(FULL.rows)
    assert all(value(job, "TEST.MORE_CROPS") == "[]" for job in jobs if job)
    for other in changed[1:]:
        differing = {k for k in {*changed[0], *other} if changed[0].get(k) != other.get(k)}
        assert all(key.startswith("MODEL.RESNETS.") for key in differing)


def test_words_on_the_start_name_no_folder() -> None:
    starts = Starts({"R_50": "/home/me/mine.pth"})
    first, second = full.described(PAIR, starts, full.FPN)
    assert (first.pretraining, second.pretraining) == (
        "ImageNet, mine.pth",
        "ImageNet, torchvision",
    )
    assert Starts(pretrain=True).words(PAIR[0], "torchvision://resnet50/V1") == "ImageNet"


def test_weights_are_read() -> None:
    found = read_weights(["R_50=a=b.pth", "X_50_32x4d=timm://net"], PAIR)
    assert found == {"R_50": "a=b.pth", "X_50_32x4d": "timm://net"}
    assert read_weights([], PAIR) == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.pth"], r"--weights model\.pth: write TAG=FILE, as R_50=model\.pth"),
        (["R_50="], r"--weights R_50=: write TAG=FILE"),
        (["R_101=a.pth"], r"no row R_101 is trained; the rows are R_50, X_50_32x4d"),
        (["R_50=a.pth", "R_50=b.pth"], r"--weights R_50=b\.pth: R_50 has a\.pth already"),
    ],
    ids=["no tag", "no file", "another row", "twice"],
)
def test_weights_that_are_not_of_that_form(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_weights(words, PAIR)


def test_no_rows_or_seeds_are_no_cells(tmp_path: Path) -> None:
    assert full.coco_cells((), (0,), Starts(), tmp_path, "portable") == ()
    assert full.paper_cells(PAIR, (), Starts(), tmp_path) == ()
