"""Whole detectors in turn: the roofline's arithmetic, what a run writes, tables and pictures."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from projects.SpeedComparison import detector_cases, detectors, plot
from projects.SpeedComparison.detector_tables import RESULTS, roofline_table, speed_table
from projects.SpeedComparison.roofline import Layer, Peaks, bound, layers_of, measure_peaks
from resnext_det import build_classifier
from resnext_det.modeling.complexity import measure_complexity
from tests.benchmarking.conftest import InProcess

KEPT = sorted(RESULTS.glob("*.json"))
SMALL = ["--tiny", "--image", "64x96", "--rounds", "1", "--warm-up", "1", "--device", "cpu"]


def test_layers_are_those_of_an_independent_count():
    net = build_classifier("resnext50_32x4d", num_classes=10).eval()
    with torch.no_grad():
        layers = layers_of(net, lambda: net(torch.zeros(1, 3, 64, 64)))
    with torch.device("meta"):
        counted = measure_complexity(build_classifier("resnext50_32x4d", num_classes=10), 64)
    assert sum(layer.flops for layer in layers) == 2 * counted.flops
    assert len(layers) == 54  # 1 + 16 * 3 + 4 shortcuts + the last linear one


def test_numbers_are_those_of_input_weight_and_output():
    net = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2, padding=1), nn.Flatten(), nn.Linear(24, 5))
    (conv, linear) = layers_of(net, lambda: net(torch.zeros(3, 4, 2, 2)))
    assert conv == Layer(2 * (3 * 6 * 2 * 2) * (2 * 9), 3 * 4 * 4 + 6 * 2 * 9 + 3 * 6 * 4)
    assert linear == Layer(2 * 3 * 5 * 24, 3 * 24 + 5 * 24 + 3 * 5)
    assert not net[0]._forward_hooks


def test_bound_takes_the_slower_of_operations_and_bytes():
    peaks = Peaks({"float32": 100.0, "bfloat16": 400.0}, bytes_per_second=10.0)
    layers = [Layer(flops=1000, numbers=5), Layer(flops=10, numbers=50)]
    # float32: 1000 / 100 s against 20 bytes / 10; 10 / 100 against 200 bytes / 10
    assert bound(layers, "float32", peaks) == 10 + 20
    assert bound(layers, "bfloat16", peaks) == 2.5 + 10


def test_peaks_are_measured():
    peaks = measure_peaks("cpu", side=32, megabytes=1)
    assert set(peaks.flops_per_second) == {"float32", "bfloat16"}
    assert min(*peaks.flops_per_second.values(), peaks.bytes_per_second) > 1e6


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A run without Detectron2 and without processes."""
    path = tmp_path_factory.mktemp("speed") / "cpu.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector_cases, "Contestant", InProcess)
        patch.setattr(detector_cases, "detectron2_is_installed", lambda: False)
        settings = ["--settings", "float32 channels_last", "float16"]
        assert detectors.main([*SMALL, *settings, "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_a_run_says_who_was_timed_and_who_was_not(result):
    (case,) = result["inference"]
    ours = ["ours, exact", "ours, float32 channels_last"]
    assert list(case["clocks"]["wall"]) == list(case["clocks"]["cpu"]) == ours
    assert set(case["skipped"]) == {"Detectron2", "Detectron2, bfloat16 autocast", "ours, float16"}
    assert "needs a GPU" in case["skipped"]["ours, float16"]
    found = case["boxes"]["ours, float32 channels_last"]
    assert found["against"] == "ours, exact"
    assert found["matched"] == found["boxes"] > 10
    assert found["pixels"][1] < 0.01
    assert case["maps"]["ours, float32 channels_last"] < 1e-4
    assert result["trained"] is False
    least = result["roofline"]["bound_seconds"]["float32"]
    for times in case["clocks"]["wall"].values():
        assert times["share_of_bound"] == pytest.approx(least / times["seconds"]["median"])
        assert times["speed"] is None
    assert {"command", "hardware", "versions", "threads"} <= result.keys()


def test_tables_have_a_line_for_each(result):
    lines = speed_table(result).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert lines[3].startswith("| 1 | ours, float32 channels_last | ")
    head, _, *formats = roofline_table(result).splitlines()
    assert head.startswith("| Number format | GFLOP | GB |")
    assert [line.split(" | ")[0] for line in formats] == ["| float32", "| bfloat16"]


def test_picture_is_the_same_every_time(result, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        plot.draw(result, tmp_path / name / "cpu.svg")
    assert (tmp_path / "a" / "cpu.svg").read_text() == (tmp_path / "b" / "cpu.svg").read_text()


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_results_follow_from_their_rounds_and_have_a_picture(path: Path):
    kept = json.loads(path.read_text())
    for case in kept["inference"]:
        for clock, found in detector_cases.summary(case["rounds"]).items():
            for name, times in found.items():
                stored = case["clocks"][clock][name]
                assert stored["seconds"] == pytest.approx(times["seconds"])
                assert stored["speed"] == pytest.approx(times["speed"])
    assert path.with_suffix(".svg").is_file()


def test_mistakes_are_told_in_one_line(tmp_path, capsys):
    words = ["--settings", "warp", "--json", str(tmp_path / "a.json")]
    assert detectors.main([*SMALL, *words]) == 2
    assert capsys.readouterr().err.startswith("error: --settings 'warp': not known")


@pytest.mark.d2
@pytest.mark.long
def test_detectron2_finds_the_same_boxes(tmp_path):
    path = tmp_path / "cpu.json"
    assert detectors.main([*SMALL, "--json", str(path)]) == 0
    (inference,) = json.loads(path.read_text())["inference"]
    for name in ("ours, exact", *(n for n in inference["boxes"] if n.startswith("ours, float32"))):
        boxes = inference["boxes"][name]
        assert boxes["matched"] == boxes["boxes"] > 10
        assert boxes["pixels"][1] < 0.01
    assert inference["spread"]["share"] > 0.99
    assert inference["clocks"]["wall"]["Detectron2"]["speed"]["median"] == 1
