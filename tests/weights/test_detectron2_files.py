"""Detectron2's .pkl as we write it: what is in it, who reads it, and what it fills."""

import pickle
import pickletools
from importlib import resources

import numpy as np
import pytest
import torch

from resnext_det.modeling import build_classifier
from resnext_det.weights.content import FileContent
from resnext_det.weights.detectron2_files import detectron2_pkl
from resnext_det.weights.naming.detectron2 import from_ours
from resnext_det.weights.naming.registry import give_our_names
from resnext_det.weights.sources import weights_from_content, weights_from_state
from resnext_det.weights.writing import write_weights
from tests.weights.caffe2_kinds import KINDS

STATE = {
    "res2.0.conv2.weight": torch.arange(36.0).reshape(2, 2, 3, 3).transpose(0, 1),
    "linear.weight": torch.ones(3, 2, dtype=torch.float16),
    "stem.conv1.norm.num_batches_tracked": torch.tensor(7),
}


def test_it_holds_arrays_and_strings_alone():
    content = pickle.loads(detectron2_pkl(STATE), encoding="latin1")  # as Detectron2 reads it
    assert content.keys() == {"model", "__author__", "matching_heuristics"}
    assert (content["__author__"], content["matching_heuristics"]) == ("resnext_det", True)
    for key, value in STATE.items():
        assert isinstance(content["model"][key], np.ndarray)
        assert np.array_equal(content["model"][key], value.numpy())
        assert content["model"][key].dtype == value.numpy().dtype


def test_it_names_nothing_but_numpys_arrays_as_every_numpy_knows_them():
    opcodes = list(pickletools.genops(detectron2_pkl(STATE)))
    named = {argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"}
    assert named == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
    assert not any(opcode.name in ("STACK_GLOBAL", "INST", "OBJ") for opcode, _, _ in opcodes)
    assert opcodes[0][1] == 3  # the protocol


def test_bytes_that_look_like_a_name_are_left_alone():
    lookalike = b"cnumpy._core.multiarray\n_reconstruct\n" * 8
    value = torch.frombuffer(bytearray(lookalike), dtype=torch.uint8)
    content = pickle.loads(detectron2_pkl({"a": value}))
    assert content["model"]["a"].tobytes() == lookalike


def test_bfloat16_becomes_float32():
    content = pickle.loads(detectron2_pkl({"a": torch.tensor([1.5], dtype=torch.bfloat16)}))
    assert content["model"]["a"].dtype == np.float32
    assert content["model"]["a"].tolist() == [1.5]


def test_nothing_is_a_file_too():
    assert pickle.loads(detectron2_pkl({}))["model"] == {}


def test_names_stay_and_come_back():
    state = build_classifier("resnext50_32x4d", 7).state_dict()
    written = pickle.loads(detectron2_pkl(from_ours(state)))
    tensors = {key: torch.from_numpy(array) for key, array in written["model"].items()}
    back = give_our_names(FileContent("pickle", tensors, written), "X.pkl")
    assert list(back.state) == list(state)
    assert all(torch.equal(back.state[key], value) for key, value in state.items())
    assert (back.side_car.naming, back.side_car.norm) == ("detectron2", "BN")
    assert back.side_car.convention is None


# Detectron2's models that a backbone alone has to fill.
MODELS = (
    "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            "COCO-Detection/retinanet_R_50_FPN_1x.yaml",
            "COCO-Detection/faster_rcnn_R_50_C4_1x.yaml",
            "COCO-Detection/faster_rcnn_R_50_DC5_1x.yaml",
        )
    ),
)


def detectron2_model(name):
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    cfg = get_cfg()
    cfg.merge_from_file(str(resources.files("detectron2") / "model_zoo/configs" / name))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RESNETS.update({"NUM_GROUPS": 32, "WIDTH_PER_GROUP": 4, "STRIDE_IN_1X1": False})
    return build_model(cfg)


# What the command writes for Detectron2: the target and the file's suffix.
FORMS = {"detectron2": ".pth", "detectron2-pkl": ".pkl"}


@pytest.mark.d2
@pytest.mark.parametrize("to", FORMS)
@pytest.mark.parametrize("name", MODELS)
def test_a_backbone_fills_detectron2s_models(name, to, tmp_path):
    from detectron2.checkpoint import DetectionCheckpointer

    classifier = build_classifier("resnext50_32x4d", 7).state_dict()
    path = tmp_path / f"X-50{FORMS[to]}"
    write_weights(path, weights_from_state(classifier, "X-50"), to)
    model = detectron2_model(name)
    DetectionCheckpointer(model).load(str(path))
    filled = 0
    for key, value in model.state_dict().items():
        short = next((k for k in classifier if key == k or key.endswith(f".{k}")), None)
        if short and short.startswith(("stem.", "res")):
            assert torch.equal(value, classifier[short]), key
            filled += 1
    assert filled == 53 * 5  # convolutions, each with four tensors of its norm


@pytest.mark.d2
@pytest.mark.slow
@pytest.mark.parametrize("to", FORMS)
@pytest.mark.parametrize("name", MODELS)
def test_a_whole_detector_comes_back_key_for_key(name, to, tmp_path):
    from detectron2.checkpoint import DetectionCheckpointer

    model = detectron2_model(name)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    path = tmp_path / f"model_final{FORMS[to]}"
    write_weights(path, weights_from_state(state, "model_final"), to)
    other = detectron2_model(name)
    DetectionCheckpointer(other).load(str(path))
    back = other.state_dict()
    assert list(back) == list(state)
    assert [key for key in state if not torch.equal(state[key], back[key])] == []


@pytest.mark.d2
@pytest.mark.parametrize("to", FORMS)
def test_folded_norms_reach_detectron2_exactly(to, tmp_path):
    """Its own reading of Detectron's file leaves a variance of 1; ours brings the exact one."""
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.layers import FrozenBatchNorm2d

    blobs = KINDS["detectron_r50"]().blobs
    weights = weights_from_content(FileContent("pickle", blobs), "R-50.pkl")
    path = tmp_path / f"R-50{FORMS[to]}"
    write_weights(path, weights, to)
    layer = torch.nn.ModuleDict({"stem": torch.nn.ModuleDict({"conv1": torch.nn.ModuleDict()})})
    layer["stem"]["conv1"]["norm"] = FrozenBatchNorm2d(4)
    DetectionCheckpointer(layer).load(str(path))
    norm = layer["stem"]["conv1"]["norm"]
    assert torch.equal(norm.weight, blobs["res_conv1_bn_s"])
    assert norm.running_var.tolist() == pytest.approx([1 - 1e-5] * 4, abs=1e-7)
