"""The Cost lines of the classifiers' headers, and the measurement that they come from."""

import json
import re

import pytest

from resnext_det.config import load_config
from tools import cost_lines, recipe_costs
from tools.config_headers import CONFIGS
from tools.cost_lines import cost_key, cost_of, cost_text, recipe_files, rounded, with_cost
from tools.recipe_tables import cost_cells

NAMES = [path.relative_to(CONFIGS).as_posix() for path in recipe_files()]
IMAGENET = CONFIGS / "ImageNet-Classification"


@pytest.fixture
def measured(monkeypatch):
    """Half a second for each image of ResNeXt-101 32x4d on a CPU, 1 ms on a GPU."""
    rows = {"resnext101_32x4d, 224 px": {"seconds_per_image": 0.5}}
    on_gpu = {"resnext101_32x4d, 224 px": {"seconds_per_image": 0.001}}
    found = {"cpu": {"rows": rows}, "cuda": {"rows": on_gpu, "hardware": {"gpu": "X9"}}}
    monkeypatch.setattr(cost_lines, "measured", lambda: found)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_headers_say_what_was_measured(name):
    path = CONFIGS / name
    assert path.read_text() == with_cost(path), "run: python -m tools.recipe_costs --write"


def test_the_kept_file_says_what_was_measured_where():
    kept = json.loads(cost_lines.COSTS.read_text())["cpu"]
    assert kept["command"].startswith("python -m tools.recipe_costs --measure")
    assert set(kept["rows"]) == set(recipe_costs.measured_networks())
    assert {"versions", "hardware", "threads", "load_average_at_the_end"} <= set(kept)
    counted = recipe_costs.rows(
        {k: row["rounds"] for k, row in kept["rows"].items()}, kept["batch"]
    )
    assert counted == kept["rows"]


def test_hours_are_images_times_seconds(measured):
    cost = cost_of(IMAGENET / "X_101_32x4d.yaml")
    images = 100 * 1_281_167
    assert cost.cpu_hours == pytest.approx(images * 0.5 / 3600, rel=1e-5)
    assert cost.gpu_hours == pytest.approx(images * 0.001 / 3600, rel=1e-5)
    # The paper: 0.95 s for a mini-batch on 8 GPUs.
    assert cost.m40_hours == pytest.approx(500_456 * 0.95 * 8 / 3600)


def test_text_with_a_gpu_and_without(measured):
    text = cost_text(IMAGENET / "X_101_32x4d.yaml")
    assert text == (
        "about 17,800 CPU core-hours, from 500 ms an image measured here (configs/costs.json); "
        "35.6 hours of one X9, measured likewise; about 1,060 M40 GPU-hours by the paper's 0.95 s "
        "for 256 images on 8"
    )
    del measured["cuda"]
    assert "(configs/costs.json); on GPUs not measured here; " in cost_text(
        IMAGENET / "X_101_32x4d_paper.yaml"
    )


@pytest.mark.parametrize(
    ("name", "seconds", "of"),
    [
        ("R_101", 0.70, "resnet101"),
        ("R_50", 0.70 * 4.089 / 7.801, "resnet101"),
        ("R_200", 0.70 * 14.97 / 7.801, "resnet101"),
        ("X_101_64x4d", 1.7, "resnext101_64x4d"),
        ("X_50_32x4d", 0.95 * 4.230 / 7.970, "resnext101_32x4d"),
        ("X_101_32x4d_modern", 0.95 * (176 / 224) ** 2, "resnext101_32x4d"),
    ],
)
def test_m40_hours_are_scaled_by_multiply_adds(name, seconds, of):
    found = cost_lines.m40_seconds(load_config(str(IMAGENET / f"{name}.yaml")).cfg)
    assert found == (pytest.approx(seconds * 8 / 256, rel=0.003), of)


def test_a_network_is_named_by_what_changes_its_time():
    keys = [
        cost_key(load_config(str(CONFIGS / name)).cfg)
        for name in (
            "ImageNet-Classification/R_50_paper.yaml",
            "ImageNet-Classification/R_50_no_shortcuts_paper.yaml",
            "ImageNet-Classification/R_50_modern.yaml",
            "CIFAR/X_29_8x64d_cifar10.yaml",
        )
    ]
    assert keys == [
        "resnet50, 224 px",
        "resnet50 without shortcuts, 224 px",
        "resnet50, 176 px",
        "resnext29_8x64d, 32 px",
    ]


def test_cifar_has_no_m40_hours():
    assert cost_lines.m40_seconds(
        load_config(str(CONFIGS / "CIFAR" / "R_29_1x64d_cifar10.yaml")).cfg
    ) == (None, "")


def test_seconds_are_the_ratio_times_the_references_median():
    """A time in which all takes twice as long, or one slow step, changes no network's cost."""
    rounds = {
        "quiet": [{"reference": 2.0, "network": 3.0}, {"reference": 2.0, "network": 3.0}],
        "disturbed": [{"reference": 3.5, "network": 3.0}, {"reference": 2.0, "network": 9.0}],
        "slow": [{"reference": 4.0, "network": 6.0}],
    }
    rows = recipe_costs.rows(rounds, batch=4)
    assert [rows[key]["of_reference"] for key in rounds] == [1.5] * 3
    assert [rows[key]["seconds_per_image"] for key in rounds] == [0.75] * 3  # 1.5 * 2 / 4


def test_measures_a_step():
    cfg = load_config(
        str(CONFIGS / "CIFAR" / "R_29_1x64d_cifar10.yaml"),
        ["INPUT.CLASSIFICATION.TRAIN_CROP", "8"],
    ).cfg
    args = recipe_costs.parse(["--batch", "2", "--rounds", "2"])
    found = recipe_costs.measure({"tiny": cfg}, cfg, args)
    row = found["rows"]["tiny"]
    assert found["reference"] == "resnet29_1x64d, 8 px"
    assert len(row["rounds"]) == 2
    assert row["seconds_per_image"] > 0


def test_a_gpu_that_is_not_there_is_said(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit):
        recipe_costs.parse(["--measure", "--device", "cuda"])
    assert "--device cuda: this torch sees no GPU" in capsys.readouterr().err


@pytest.mark.parametrize(("hours", "text"), [(13_842.0, "13,800"), (99.7, "99.7"), (0.1, "0.1")])
def test_three_digits(hours, text):
    assert rounded(hours) == text


def test_costs_of_one_length_stand_once(measured):
    cost = cost_of(IMAGENET / "X_101_32x4d.yaml")
    assert cost_cells([cost, cost]) == ("17,800", "1,060")
    assert re.fullmatch(r"[\d,]+", cost_cells([cost])[0])
