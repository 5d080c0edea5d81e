"""Architectures read from shapes, for every variant. Engine-neutral."""

import pytest
import torch

from resnext_det.modeling import build_backbone, build_classifier, list_variants
from resnext_det.modeling.variants import get_variant
from resnext_det.weights.architecture import infer_architecture


@pytest.mark.parametrize("name", list_variants())
def test_every_variant_is_recognised(name):
    with torch.device("meta"):
        state = build_classifier(name).state_dict()
    variant, found = get_variant(name), infer_architecture(state)
    assert found is not None
    assert found.depth == variant.depth
    expected = (variant.num_groups, variant.width_per_group)
    assert (found.num_groups, found.width_per_group) == expected


def test_words():
    with torch.device("meta"):
        state = build_classifier("resnext101_64x4d").state_dict()
    assert str(infer_architecture(state)) == "64x4d (depth 101)"


def test_a_detectors_prefix_and_missing_stages_do_not_matter():
    with torch.device("meta"):
        whole = build_classifier("resnext50_32x4d").state_dict()
        part = build_backbone("resnext50_32x4d", out_features=("res4",)).state_dict()
        other = build_classifier("resnext101_32x4d").state_dict()
    whole, part, other = (infer_architecture(s) for s in (whole, part, other))
    assert whole is not None
    assert part is not None
    assert other is not None
    assert whole.fits(part)
    assert part.fits(whole)
    assert not whole.fits(other)
    with torch.device("meta"):
        state = build_backbone("resnext50_32x4d").state_dict()
    inside = infer_architecture({f"backbone.bottom_up.{k}": v for k, v in state.items()})
    assert inside == whole


def test_nothing_known():
    assert infer_architecture({}) is None
    assert infer_architecture({"linear.weight": torch.zeros(1, 1)}) is None
