"""What every golden file has to hold, whoever made it."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.golden.compare import match_detections
from tests.golden.formula import TINY_NETS, hashed, scene, uniform, weights

FILES = sorted(Path(__file__).parent.glob("*.npz"))


def read(path):
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("header"))), arrays


def test_one_file_per_net_and_small():
    assert [path.stem for path in FILES] == sorted(TINY_NETS)
    assert sum(path.stat().st_size for path in FILES) < 5_000_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_header(path):
    header, _ = read(path)
    assert len(header["detectron2_commit"]) == 40
    # A formula or a setting that changed afterwards would leave the file stale.
    assert header["settings"] == TINY_NETS[path.stem]
    settings = header["spread"]["settings"]
    assert {threads for _, threads, _ in settings} == {1, 2, 4}
    assert {onednn for _, _, onednn in settings} == {True, False}
    assert header["spread"]["unmatched"] == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_enough_proposals_and_detections(path):
    _, arrays = read(path)
    assert sum(len(arrays[f"proposals_test.{i}"]) for i in range(2)) >= 100
    assert sum(len(arrays[f"final_boxes.{i}"]) for i in range(2)) >= 10
    assert len(set(arrays["final_classes.0"])) > 1
    assert sum((arrays[f"region_classes.{i}"] < 5).sum() for i in range(2)) > 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_activations_stay_near_1(path):
    _, arrays = read(path)
    names = [n for n in arrays if n.startswith(("images", "bottom_up.", "features."))]
    for name in [*names, "roi_features", "cls_logits", "box_deltas"]:
        if name != "image_sizes":
            assert 0.2 < arrays[name].std() < 5, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_scene_is_the_formulas(path):
    _, arrays = read(path)
    for i, sample in enumerate(scene("tiny")):
        np.testing.assert_array_equal(arrays[f"image.{i}"], sample["image"])
        np.testing.assert_array_equal(arrays[f"gt_boxes.{i}"], sample["boxes"])


def test_the_formula_is_splitmix64():
    # The first outputs of the generator with seed 0, as published with it
    # (https://prng.di.unimi.it/splitmix64.c); crc32 of the empty name is 0.
    assert [hex(int(v)) for v in hashed("", 2)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4"]
    values = uniform("a", (50, 40))
    assert values.dtype == np.float32
    assert values.min() >= -1
    assert values.max() < 1
    assert abs(float(values.std()) - 3**-0.5) < 0.01


def test_weights_answer_no_constant_input():
    weight = weights({"conv.weight": (4, 6, 3, 3)})["conv.weight"]
    np.testing.assert_allclose(weight.sum(axis=(1, 2, 3)), 0, atol=1e-5)


def test_matching_detections():
    boxes = np.array([[0.0, 0, 8, 8], [20, 20, 30, 30]])
    classes = np.array([1, 2])
    swapped = (boxes[::-1] + 0.25, classes[::-1])
    assert match_detections((boxes, classes), swapped) == ([(0, 1), (1, 0)], 0)
    assert match_detections((boxes, classes), (boxes, classes[::-1]))[1] == 4
    assert match_detections((boxes, classes), (boxes[:1], classes[:1])) == ([(0, 0)], 1)
    assert match_detections((boxes[:0], classes[:0]), (boxes, classes)) == ([], 2)
