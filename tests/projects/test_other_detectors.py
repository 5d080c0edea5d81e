"""The trial of other detectors: its data, its launcher on a stand-in checkout, its checks."""

import json
import sys

import pytest
from PIL import Image

from projects.OtherDetectors import data, launch, settings, tables, trial
from resnext_det.errors import UserError
from resnext_det.reports.page_tables import insert

ADDS_KEYS = """
def add_centernet_config(cfg):
    cfg.THEIRS = 1
"""
SCRIPT = """
import sys
from centernet.config import add_centernet_config
from detectron2.config import get_cfg
from detectron2.modeling import BACKBONE_REGISTRY

cfg = get_cfg()
add_centernet_config(cfg)
known = "build_resnext_fpn_backbone" in BACKBONE_REGISTRY
print(cfg.THEIRS, repr(cfg.MODEL.RESNETS.VARIANT), known)
print(__name__, sys.argv[1:])
"""


@pytest.fixture
def checkout(tmp_path):
    """What the launcher needs of a checkout of CenterNet2."""
    folder = tmp_path / "checkout"
    (folder / "centernet").mkdir(parents=True)
    (folder / "centernet" / "__init__.py").write_text("")
    (folder / "centernet" / "config.py").write_text(ADDS_KEYS)
    (folder / "train_net.py").write_text(SCRIPT)
    return folder


@pytest.mark.d2
def test_the_detectors_own_script_runs_with_our_keys_and_backbones(checkout, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", [])
    for name in ("centernet", "centernet.config"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert launch.main(["CenterNet2", str(checkout), "--config-file", "x.yaml", "KEY", "1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2:] == ["1 '' True", "__main__ ['--config-file', 'x.yaml', 'KEY', '1']"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give a detector (SparseR-CNN, CenterNet2) and the path of its checkout"),
        (["CenterNet3", "."], "give a detector"),
        (["CenterNet2", "."], "is . a checkout of CenterNet2?"),
    ],
)
def test_launcher_mistakes_are_one_line(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert launch.main(arguments) == 2
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 1
    assert words in printed[0]


def annotation(image_id, area, **more):
    return {"image_id": image_id, "area": area, "bbox": [0, 0, 1, area], **more}


@pytest.fixture
def coco(tmp_path):
    """Five images: two easy ones, one empty, one with a small box, one with a crowd."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "1.jpg")
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in (1, 2, 3, 4, 5)],
        "annotations": [
            annotation(1, 4000.0),
            annotation(3, 5000.0),
            annotation(3, 100.0),
            annotation(4, 9000.0, iscrowd=1),
            *[annotation(5, 9000.0) for _ in range(3)],
        ],
        "categories": [{"id": 7, "name": "cat"}],
    }
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    return path


def test_a_few_easy_images_lie_where_detectron2_looks(coco, tmp_path):
    for _ in range(2):  # a second trial in the same folder
        truth = data.write_coco_folder(coco, tmp_path / "images", tmp_path / "data", 2)
    assert truth == tmp_path / "data/coco/annotations/instances_val2017.json"
    train = truth.with_name("instances_train2017.json")
    assert truth.read_text() == train.read_text()
    content = json.loads(truth.read_text())
    assert [image["id"] for image in content["images"]] == [1, 5]
    assert [entry["image_id"] for entry in content["annotations"]] == [1, 5, 5, 5]
    assert content["categories"] == [{"id": 7, "name": "cat"}]
    for folder in ("train2017", "val2017"):
        assert (tmp_path / "data" / "coco" / folder / "1.jpg").is_file()


def test_too_few_images_are_refused(coco, tmp_path):
    with pytest.raises(UserError, match=r"annotations.json: only 2 images have 1 … 3 large boxes"):
        data.write_coco_folder(coco, tmp_path / "images", tmp_path / "data", 3)


def test_keys_are_a_command_line():
    keys = settings.full_keys("CenterNet2", "w.pth")
    assert keys["MODEL.BACKBONE.NAME"] == "build_retinanet_resnext_fpn_backbone"
    arguments = settings.as_arguments({"A.B": [1.5, 2], "C": "", "D": False})
    assert arguments == ["A.B", "[1.5, 2]", "C", "", "D", "False"]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ({19: 3.0, 39: 2.0}, True),
        ({39: 2.0, 19: 3.0}, True),
        ({19: 2.0, 39: 2.0}, False),
        ({19: 3.0}, False),
        ({19: 3.0, 39: float("nan"), 59: 1.0}, False),
    ],
)
def test_a_loss_has_to_fall(losses, expected):
    assert trial.falls(losses) is expected


RESULTS = sorted(trial.LAUNCH.parent.glob("results/*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_kept_results_passed_their_checks(path):
    result = json.loads(path.read_text())
    runs = result["runs"]
    for run in runs.values():
        run["losses"] = {int(iteration): loss for iteration, loss in run["losses"].items()}
    assert trial.checks(runs) == result["checks"]
    assert all(result["checks"].values())
    detector = result["detector"]
    assert {run["config"] for run in runs.values()} == {settings.SETTINGS[detector].config}
    assert runs["full"]["keys"] == settings.full_keys(detector, "classifier.pth")
    assert runs["small"]["keys"] == settings.small_keys(detector)


def test_there_are_kept_results():
    assert {json.loads(path.read_text())["detector"] for path in RESULTS} == set(settings.SETTINGS)


def test_the_page_has_the_table_of_the_kept_results():
    page = (tables.FOLDER / "README.md").read_text()
    found = tables.tables()
    assert found["results"].count("\n") == 2 + 2 * len(RESULTS)
    assert insert(page, found) == page
