"""Whole files of Detectron and Detectron2 from the disk to a model, as a user gives them."""

import io
import pickle
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.modeling.resnet import ResNet
from resnext_det.weights.heads import infer_head
from resnext_det.weights.load import load_weights
from resnext_det.weights.sources import resolve_weights
from tests.weights import caffe2_files as build
from tests.weights.caffe2_files import R50, Net, random_values, with_momentum
from tests.weights.caffe2_kinds import KINDS

CFG = (Path(__file__).parent / "naming" / "detectron_cfg.yaml").read_text()


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes alike as Python 2's `str`, as Detectron's files have them."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_text(self, value: str | bytes) -> None:
        data = value.encode("latin-1") if isinstance(value, str) else value
        is_short = len(data) < 256
        self.write((b"U" if is_short else b"T") + struct.pack("B" if is_short else "<i", len(data)))
        self.write(data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_text


def write(path, content):
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(content)
    # As NumPy 1 called it.
    path.write_bytes(buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    return str(path)


def arrays(blobs):
    return {name: value.numpy() for name, value in blobs.items()}


def slim_r50(norm):
    """An R-50 with half the channels: GroupNorm wants 32."""
    net = Net(random_values(0), norm)
    build.add_body(net, R50, slim=2)
    return net.blobs


def slim_model(norm):
    return ResNet(
        depth=50, norm=norm, width_per_group=32, stem_out_channels=32, res2_out_channels=128
    )


@pytest.mark.parametrize("kind", ["mask_c4", "mask_fpn_gn", "keypoint_fpn"])
def test_a_whole_detector_is_read_from_the_disk(kind, tmp_path, caplog):
    caplog.set_level("INFO")
    blobs = KINDS[kind]().blobs
    content = {"blobs": arrays(with_momentum(blobs)), "cfg": CFG}
    weights = resolve_weights(write(tmp_path / "model_final.pkl", content))
    assert weights.side_car.naming == "caffe2"
    assert weights.convention.mean == (102.9801, 115.9465, 122.7717)
    assert not any("momentum" in key for key in weights.state)
    assert torch.equal(weights.state["cls_score.bias"][-1], blobs["cls_score_b"][0])
    words = {"mask_c4": "Mask R-CNN C4, 4", "mask_fpn_gn": "Mask R-CNN FPN, 4"}
    assert str(infer_head(weights.state)).startswith(words.get(kind, "Keypoint R-CNN FPN, 1"))
    assert any("a detector of Detectron" in line for line in caplog.messages)


@pytest.mark.d2
def test_detectron2_reads_the_same_file_the_same(tmp_path):
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.checkpoint.c2_model_loading import convert_c2_detectron_names

    blobs = KINDS["mask_fpn"]().blobs
    path = write(tmp_path / "model_final.pkl", {"blobs": arrays(with_momentum(blobs)), "cfg": CFG})
    loaded = DetectionCheckpointer(torch.nn.Identity())._load_file(path)
    tensors = {name: torch.from_numpy(value) for name, value in loaded["model"].items()}
    theirs, _ = convert_c2_detectron_names(tensors)
    ours = resolve_weights(path).state
    assert theirs.keys() <= ours.keys()
    assert [key for key in theirs if not torch.equal(theirs[key], ours[key])] == []


@pytest.mark.parametrize(
    ("norm", "model_norm", "message"),
    [
        ("affine", "BN", r"R-50.pkl has norm affine .*, the model has BN"),
        ("affine", "GN", r"R-50.pkl has norm affine .*, the model has GN"),
        ("GN", "BN", r"R-50.pkl has norm GN .*the model has BN"),
        ("BN", "GN", r"R-50.pkl has norm BN .*the model has GN"),
    ],
)
def test_norms_that_do_not_suit_are_refused(norm, model_norm, message, tmp_path):
    weights = resolve_weights(write(tmp_path / "R-50.pkl", arrays(slim_r50(norm))))
    model = slim_model(model_norm)
    with pytest.raises(UserError, match=message):
        load_weights(model, weights, min_share=0.9)


@pytest.mark.parametrize(
    ("norm", "model_norm"), [("affine", "FrozenBN"), ("BN", "BN"), ("GN", "GN")]
)
def test_norms_that_suit_fill_the_whole_backbone(norm, model_norm, tmp_path):
    weights = resolve_weights(write(tmp_path / "R-50.pkl", arrays(slim_r50(norm))))
    model = slim_model(model_norm)
    report = load_weights(model, weights, min_share=1.0)
    assert (report.missing, report.unexpected) == ((), ())
    each = 3 if norm == "GN" else 5
    assert len(report.loaded) == 53 * each


def test_detectron2s_zoo_is_read_from_the_disk(tmp_path):
    model = {"backbone.bottom_up.res2.0.conv2.weight": np.ones((256, 8, 3, 3), np.float32)}
    content = {"model": model, "__author__": "Detectron2 Model Zoo"}
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps(content))
    weights = resolve_weights(str(path))
    assert list(weights.state) == list(model)
    assert weights.side_car.licence == "CC-BY-SA-3.0"
