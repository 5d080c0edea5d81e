"""Numbers that the data settle, and stored proposals beside their sets. Engine-neutral."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from resnext_det.config import LoadedConfig, load_config
from resnext_det.data.coco import CocoDataset
from resnext_det.data.proposals import write_proposals
from resnext_det.engines.datasets import read_test_sets, read_train_set
from resnext_det.engines.numbers import with_numbers_of_data
from resnext_det.errors import UserError
from tests.data.annotated import Content, write_annotated
from tests.engines.conftest import CONFIG

PANOPTIC = ("MODEL.META_ARCHITECTURE", "PanopticFPN", "MODEL.MASK_ON", True)
KEYPOINTS = ("MODEL.KEYPOINT_ON", True)
SIGMAS = ("TEST.KEYPOINT_OKS_SIGMAS", "[0.1, 0.1, 0.1, 0.1, 0.1]")
STORED = ("MODEL.LOAD_PROPOSALS", True, "MODEL.PROPOSAL_GENERATOR.NAME", "PrecomputedProposals")

Loader = Callable[..., tuple[LoadedConfig, CocoDataset, dict[str, CocoDataset]]]


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Reads the sets of a config; training and testing on the same one."""

    def read(*overrides: object, change: Callable[[Content], None] = lambda _: None) -> tuple:
        entry = write_annotated(tmp_path / f"set {len(list(tmp_path.iterdir()))}", change)
        sets = {"TRAIN": ["annotated"], "TEST": ["annotated"]}
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump({**CONFIG, "DATASETS": sets}))
        loaded = load_config(str(config), [str(word) for word in overrides])
        known = {"annotated": entry}
        return loaded, read_train_set(loaded.cfg, known), read_test_sets(loaded.cfg, known)

    return read


def settled(load: Loader, *overrides: object) -> LoadedConfig:
    loaded, train, tests = load(*overrides)
    return with_numbers_of_data(loaded, [train, *tests.values()])


def test_numbers_come_from_the_data(load: Loader) -> None:
    cfg = settled(load, *PANOPTIC, *KEYPOINTS, *SIGMAS).cfg
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == 2
    assert cfg.MODEL.RETINANET.NUM_CLASSES == 2
    assert cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS == 5
    assert cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES == 3
    assert cfg.MODEL.POINT_HEAD.NUM_CLASSES == 80


def test_what_no_detector_reads_keeps_its_default(load: Loader) -> None:
    cfg = settled(load).cfg
    assert cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS == 17
    assert cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES == 54


def test_pointrends_classes_are_the_datas(load: Loader) -> None:
    head = ("MODEL.ROI_MASK_HEAD.NAME", "PointRendMaskHead", "INPUT.MASK_FORMAT", "bitmask")
    assert settled(load, "MODEL.MASK_ON", True, *head).cfg.MODEL.POINT_HEAD.NUM_CLASSES == 2


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("MODEL.ROI_HEADS.NUM_CLASSES", r"annotated\.json has 2 categories"),
        ("MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS", r"annotated\.json has 5 keypoints"),
        ("MODEL.SEM_SEG_HEAD.NUM_CLASSES", r"panoptic\.json has 3 semantic labels"),
    ],
)
def test_numbers_that_contradict_the_data_are_refused(load: Loader, key: str, found: str) -> None:
    with pytest.raises(UserError, match=rf"^{key} is 7, but .*{found}.*: leave {key} out$"):
        settled(load, *PANOPTIC, *KEYPOINTS, *SIGMAS, key, 7)


def test_sigmas_are_needed_for_other_than_cocos_keypoints(load: Loader) -> None:
    with pytest.raises(UserError, match=r"SIGMAS has 0 values, but .*annotated\.json has 5 keyp"):
        settled(load, *KEYPOINTS)
    with pytest.raises(UserError, match="SIGMAS has 2 values"):
        settled(load, *KEYPOINTS, "TEST.KEYPOINT_OKS_SIGMAS", "[0.1, 0.2]")


def test_cocos_keypoints_have_known_sigmas(load: Loader) -> None:
    def rename(content: Content) -> None:
        for category in content["categories"]:
            category["keypoints"] = [f"point {number}" for number in range(17)]
        for annotation in content["annotations"]:
            annotation["keypoints"] = [1, 1, 2] * 17

    loaded, train, tests = load(*KEYPOINTS, change=rename)
    cfg = with_numbers_of_data(loaded, [train, *tests.values()]).cfg
    assert cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS == 17


def test_training_alone_needs_no_sigmas(load: Loader) -> None:
    loaded, train, _ = load(*KEYPOINTS, *SIGMAS)
    assert with_numbers_of_data(loaded, [train])
    loaded, train, _ = load(*KEYPOINTS)
    assert with_numbers_of_data(loaded, [train])


def test_each_set_gets_the_proposals_of_its_file(load: Loader, tmp_path: Path) -> None:
    files = {}
    for name, count in (("TRAIN", 1), ("TEST", 2)):
        path = tmp_path / f"{name}.npz"
        boxes = [np.ones((count, 4), np.float32)] * 6
        write_proposals(path, range(6), boxes, [b[:, 0] for b in boxes])
        files[f"DATASETS.PROPOSAL_FILES_{name}"] = f"['{path}']"
    _, train, tests = load(*STORED, *[word for pair in files.items() for word in pair])
    for dataset, count in ((train, 1), (tests["annotated"], 2)):
        rows = dataset.records[2].proposals
        assert rows is not None
        assert (rows.start, rows.stop) == (2 * count, 3 * count)


def test_there_is_a_file_for_each_set(load: Loader) -> None:
    with pytest.raises(UserError) as error:
        load(*STORED)
    assert str(error.value) == (
        "DATASETS.PROPOSAL_FILES_TRAIN has 0 file(s), but DATASETS.TRAIN has 1 set(s): "
        "MODEL.LOAD_PROPOSALS True needs one for each, in their order"
    )
