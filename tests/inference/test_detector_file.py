"""Files that are no detector's are refused, each in a line that says what it is."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from resnext_det import build_classifier
from resnext_det.config import dump_config, get_cfg
from resnext_det.errors import UserError
from resnext_det.inference.detector_file import read_detector_file
from tests.inference.conftest import Trained

BACKBONE = "backbone.bottom_up."


def refused(path: Path, content: Any, **options: Any) -> str:
    torch.save(content, path)
    with pytest.raises(UserError) as caught:
        read_detector_file(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_carries_config_and_class_names(portable: Trained) -> None:
    file = read_detector_file(portable.checkpoint)
    assert file.class_names == ("red", "green")
    assert file.cfg.MODEL.ROI_HEADS.NUM_CLASSES == 2
    assert file.cfg.MODEL.FPN.OUT_CHANNELS == 16


@pytest.mark.parametrize(("was", "is_now"), [("true", 100), ("false", 0)])
def test_a_key_of_older_versions_is_understood(
    portable: Trained, tmp_path: Path, was: str, is_now: int
) -> None:
    content, path = portable.content(), tmp_path / "old.pth"
    tree = yaml.safe_load(content["config"])
    del tree["DATASETS"]["MAX_BROKEN_IMAGES"]
    tree["INPUT"]["CLASSIFICATION"]["SKIP_BROKEN"] = was == "true"
    torch.save(content | {"config": yaml.safe_dump(tree)}, path)
    assert is_now == read_detector_file(path).cfg.DATASETS.MAX_BROKEN_IMAGES


def test_a_classifier_finds_no_boxes(tmp_path: Path) -> None:
    state = build_classifier("resnet18", num_classes=3).state_dict()
    cfg = get_cfg()
    cfg.MODEL.META_ARCHITECTURE = "ImageClassifier"
    run = {"model": state, "config": dump_config(cfg), "class_names": ["a", "b", "c"]}
    assert refused(tmp_path / "run.pth", run) == (
        "a classifier's checkpoint, which finds no boxes; give a detector's checkpoint, such as "
        "model_final.pth of a run"
    )
    message = refused(tmp_path / "bare.pth", {"model": state})
    assert message.startswith("a classifier's weights, which find no boxes; give a detector's")


def test_a_backbone_has_no_head(portable: Trained, tmp_path: Path) -> None:
    model = portable.content()["model"]
    state = {k.removeprefix(BACKBONE): v for k, v in model.items() if k.startswith(BACKBONE)}
    message = refused(tmp_path / "backbone.pth", {"model": state})
    assert message.startswith("a backbone without a detector's head; give a detector's checkpoint")


def test_a_file_without_config_or_classes_says_what_to_give(
    portable: Trained, tmp_path: Path
) -> None:
    content = portable.content()
    path, config_file = tmp_path / "bare.pth", str(portable.bench.config)
    bare = {"model": content["model"]}
    assert refused(path, bare).endswith("the config it was trained with (--config-file; "
                                        "config_file=)")  # fmt: skip
    message = refused(path, bare, config_file=config_file)
    assert message.startswith("holds no class names: give them, in the order of the head")
    file = read_detector_file(path, config_file=config_file, class_names=["a", "b"])
    assert (file.class_names, file.cfg.MODEL.ROI_HEADS.NUM_CLASSES) == (("a", "b"), 2)
    message = refused(path, content | {"class_names": ["red"]})
    assert message.startswith("its head has 2 classes, but 1 are named (red)")
    message = refused(path, content, class_names=["red", "blue"])
    assert message.startswith("was trained on the classes red, green (2), but red, blue (2)")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"MODEL.META_ARCHITECTURE": "ProposalNetwork"}, "a ProposalNetwork, which finds propos"),
        ({"MODEL.META_ARCHITECTURE": "SemanticSegmentor"}, "a SemanticSegmentor, which labels"),
        ({"MODEL.LOAD_PROPOSALS": True}, "needs stored proposals for each image"),
        ({"LAZY_CONFIG": "model: {}"}, "a config in Python syntax is code, which prediction does"),
    ],
    ids=["proposals", "labels", "stored", "lazy"],
)
def test_a_detector_of_another_kind(
    portable: Trained, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    ((key, value),) = changes.items()
    portable.with_config(tmp_path / "other.pth", key, value)
    with pytest.raises(UserError, match=message):
        read_detector_file(tmp_path / "other.pth")


def test_a_config_in_python_syntax_is_not_run(portable: Trained, tmp_path: Path) -> None:
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UserError, match=r"trap\.py: a config in Python syntax is code"):
        read_detector_file(portable.checkpoint, config_file=str(trap))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "its config holds no keys"),
        ("MODEL: {NOSUCH: 1}", r"its config: unknown key MODEL\.NOSUCH"),
        ("a: !!python/object:os.system {}", "its config is not plain YAML"),
        ("INPUT: {MIN_SIZE_TEST: -1}", r"its config: INPUT\.MIN_SIZE_TEST is -1"),
    ],
    ids=["list", "unknown", "tag", "value"],
)
def test_a_strangers_config_is_read_as_data(
    portable: Trained, tmp_path: Path, text: str, message: str
) -> None:
    torch.save(portable.content() | {"config": text}, tmp_path / "odd.pth")
    with pytest.raises(UserError, match=message):
        read_detector_file(tmp_path / "odd.pth")


def test_what_is_no_weights_file(tmp_path: Path) -> None:
    (tmp_path / "notes.pth").write_text("not weights")
    for path, message in (
        (tmp_path / "notes.pth", "torn, or no weights file"),
        (tmp_path / "absent.pth", "no such file"),
        (tmp_path, "a folder; give one of the files in it"),
    ):
        with pytest.raises(UserError, match=message):
            read_detector_file(path)


def test_a_detector_of_other_names(tmp_path: Path) -> None:
    message = refused(tmp_path / "yolo.pth", {"model": {"model.0.conv.weight": torch.zeros(2, 2)}})
    assert message.startswith("its names (0.conv.weight …) are of no ResNet or ResNeXt")
