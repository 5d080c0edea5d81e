"""What is left over and lacking of a backbone. Engine-neutral."""

import torch

from resnext_det.modeling import build_backbone, build_classifier
from resnext_det.weights.architecture import infer_architecture
from resnext_det.weights.completeness import compare_with_network
from resnext_det.weights.naming.detectron2 import backbone_ending


def state_of(build, *args, **kwargs):
    with torch.device("meta"):
        return build(*args, **kwargs).state_dict()


def test_a_whole_classifier_lacks_nothing():
    state = state_of(build_classifier, "resnext50_32x4d")
    found = compare_with_network(state, infer_architecture(state))
    assert (found.unknown, found.missing) == ((), ())


def test_lost_foreign_and_misshapen_tensors():
    state = state_of(build_classifier, "resnet18")
    del state["res3.1.conv2.norm.bias"], state["res4.0.conv1.norm.num_batches_tracked"]
    state["res5.1.conv1.weight"] = torch.zeros(3)
    state["optimizer.step"] = torch.zeros(())
    found = compare_with_network(state, infer_architecture(state))
    assert set(found.unknown) == {"res5.1.conv1.weight", "optimizer.step"}
    assert found.missing == ("res3.1.conv2.norm.bias",)


def test_a_network_that_cannot_be_built_is_compared_by_names():
    state = state_of(build_backbone, "resnet50", deform_on_per_stage=(False, False, False, True))
    found = compare_with_network(state, infer_architecture(state))
    assert found.missing == ()
    assert {name.split(".")[2] for name in found.unknown} == {"conv2_offset"}
    assert compare_with_network({}, None).unknown == ()


def test_endings():
    assert backbone_ending("backbone.bottom_up.res2.0.conv1.weight") == "res2.0.conv1.weight"
    assert backbone_ending("stem.conv1.weight") == "stem.conv1.weight"
    assert backbone_ending("linear.weight") is None
