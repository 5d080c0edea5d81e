"""torch.hub finds the detector and every backbone in a checkout."""

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from resnext_det import build_classifier, list_variants
from resnext_det.errors import UserError
from tests.inference.conftest import Trained, portable  # noqa: F401

REPOSITORY = str(Path(__file__).parents[1])


def load(name: str, *args: Any, **options: Any) -> Any:
    return torch.hub.load(REPOSITORY, name, *args, source="local", **options)


def test_a_checkpoint_becomes_a_detector(portable: Trained) -> None:  # noqa: F811
    found = load("detector", portable.checkpoint, device="cpu")(portable.images)
    assert len(found) == len(portable.images)
    assert found[0].class_names == ("red", "green")


def test_every_variant_is_listed_and_explained() -> None:
    entries = runpy.run_path(f"{REPOSITORY}/hubconf.py")
    assert set(entries) >= {"detector", *list_variants()}
    assert "resnext50_32x4d: (N, 3, H, W)" in entries["resnext50_32x4d"].__doc__
    assert set(entries["dependencies"]) <= set(sys.modules) | {"safetensors"}


def test_a_backbone_comes_with_random_weights_or_with_given_ones(tmp_path: Path) -> None:
    classifier = build_classifier("resnet18", num_classes=3)
    torch.save(classifier.state_dict(), tmp_path / "weights.pth")
    backbone = load("resnet18", weights=tmp_path / "weights.pth", norm="BN", out_features=["res5"])
    state = classifier.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in backbone.state_dict().items())
    assert backbone(torch.zeros(1, 3, 64, 64))["res5"].shape == (1, 512, 2, 2)
    with pytest.raises(UserError, match="weights.pth"):
        load("resnet34", weights=tmp_path / "weights.pth", norm="BN")
