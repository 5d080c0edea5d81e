"""Every stage of the portable engine, fed Detectron2's own input, gives Detectron2's output."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.engines.portable import stages
from tests.golden.tolerances import FEATURES, FINAL_PIXELS, LOSS, LOSSES, PIXELS, SCORES


def close(ours: Tensor, theirs: Tensor, atol: float) -> None:
    assert_close(ours, theirs, rtol=0, atol=atol, check_dtype=False)


def close_features(ours: Tensor, theirs: Tensor) -> None:
    close(ours, theirs, FEATURES * float(theirs.abs().max()))


def close_detections(found: dict[str, stages.Pairs]) -> None:
    for ours, theirs in found["boxes"]:
        close(ours, theirs, FINAL_PIXELS)
    for ours, theirs in found["scores"]:
        close(ours, theirs, SCORES)
    assert all(torch.equal(ours, theirs) for ours, theirs in found["classes"])


def test_state_dict_names_and_shapes(reference, model):
    ours = {name: list(value.shape) for name, value in model.state_dict().items()}
    assert ours == reference.header["state_dict"]


@torch.no_grad()
def test_preprocessing(reference, model):
    images, sizes = model.preprocess(reference.samples())
    close(images, reference["images"], 1e-6)
    assert sizes == reference.image_sizes()


@torch.no_grad()
def test_bottom_up(reference, model):
    found = model.backbone.bottom_up(reference["images"])
    for name, feature in found.items():
        close_features(feature, reference[f"bottom_up.{name}"])


@torch.no_grad()
def test_pyramid(reference, model):
    found = model.backbone(reference["images"])
    assert list(found) == list(reference.features())
    for name, theirs in reference.features().items():
        close_features(found[name], theirs)


def test_anchors(reference, model):
    for ours, theirs in stages.anchors(reference, model):
        close(ours, theirs, PIXELS)


@torch.no_grad()
def test_rpn_head(reference, model):
    rpn = model.proposal_generator
    logits, deltas = rpn.rpn_head([reference.features()[name] for name in rpn.in_features])
    for ours, theirs in zip(logits, reference.all("rpn_logits"), strict=True):
        close_features(ours, theirs)
    for ours, theirs in zip(deltas, reference.all("rpn_deltas"), strict=True):
        close_features(ours, theirs)


@pytest.mark.parametrize("mode", ["train", "test"])
def test_proposals(reference, model, mode):
    found = stages.proposals(reference, model, mode)
    assert sum(len(ours) for ours, _ in found["boxes"]) >= 100
    for ours, theirs in found["boxes"]:
        close(ours, theirs, PIXELS)
    for ours, theirs in found["logits"]:
        close(ours, theirs, SCORES)


@pytest.mark.parametrize(
    "stage", [stages.anchor_matches, stages.sampled_anchors, stages.sampled_regions]
)
def test_matches_and_samples(reference, model, stage):
    for ours, theirs in stage(reference, model):
        assert torch.equal(ours, theirs)


def test_losses(reference, model):
    found = stages.losses(reference, model)
    assert sorted(found) == sorted(LOSSES)
    for ours, theirs in found.values():
        assert float(theirs) > 0
        assert_close(ours, theirs, rtol=LOSS, atol=0)


def test_roi_features(reference, model):
    close_features(*stages.roi_features(reference, model))


def test_box_head_and_predictor(reference, model):
    for ours, theirs in stages.predictions(reference, model).values():
        close_features(ours, theirs)


def test_detections(reference, model):
    found = stages.detections(reference, model)
    close_detections(found)
    assert sum(len(ours) for ours, _ in found["boxes"]) >= 10


def test_rescaling(reference):
    close_detections(stages.rescaled(reference))
