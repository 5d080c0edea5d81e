"""An accelerated detector finds what the detector it was made of finds."""

import itertools

import pytest
import torch
from torch import nn

from resnext_det.acceleration import apply, winograd
from resnext_det.acceleration.apply import accelerate
from resnext_det.acceleration.detector import FastDetector
from resnext_det.acceleration.setting import EXACT, Acceleration, acceleration_of_words
from resnext_det.acceleration.winograd import WinogradConv
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.errors import UserError
from resnext_det.structures import Detections
from tests.acceleration.tiny import assert_near, samples, tiny

ON_CPU = ("channels_last", "fold_norms", "fast_pooling")
IMAGES = samples((64, 96), (50, 70))
NETWORKS = {
    "frozen": {},
    "batch norm": {"MODEL.RESNETS.NORM": "BN", "MODEL.BACKBONE.FREEZE_AT": 0},
    "group norm": {
        "MODEL.RESNETS.NORM": "GN",
        "MODEL.FPN.NORM": "GN",
        "MODEL.ROI_BOX_HEAD.NORM": "GN",
        "MODEL.FPN.OUT_CHANNELS": 32,
        "MODEL.RESNETS.STEM_OUT_CHANNELS": 32,
        "MODEL.RESNETS.NUM_GROUPS": 4,
        "MODEL.RESNETS.WIDTH_PER_GROUP": 8,
    },
    "averaged pyramid": {"MODEL.FPN.FUSE_TYPE": "avg"},
    "convolutions in the box head": {
        "MODEL.ROI_BOX_HEAD.NUM_CONV": 2,
        "MODEL.ROI_BOX_HEAD.NUM_FC": 0,
        "MODEL.ROI_BOX_HEAD.CONV_DIM": 12,
    },
    "both in the box head": {
        "MODEL.ROI_BOX_HEAD.NUM_CONV": 1,
        "MODEL.ROI_BOX_HEAD.NUM_FC": 1,
        "MODEL.ROI_BOX_HEAD.CONV_DIM": 12,
    },
    "basic blocks": {
        "MODEL.RESNETS.DEPTH": 18,
        "MODEL.RESNETS.NUM_GROUPS": 1,
        "MODEL.RESNETS.RES2_OUT_CHANNELS": 64,
    },
    "deformable": {"MODEL.RESNETS.DEFORM_ON_PER_STAGE": [False, True, False, True]},
    "split": {"MODEL.RESNETS.BLOCK_FORM": "split"},
    "two layers in the RPN": {"MODEL.RPN.CONV_DIMS": [12, -1]},
    "one box for all classes": {"MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True},
}


@pytest.fixture(scope="module")
def model() -> FasterRCNN:
    return tiny()


def found_by(model: nn.Module) -> list[Detections]:
    with torch.no_grad():
        return model(IMAGES)


def switches(number: int) -> list[str]:
    return [" ".join(words) for words in itertools.combinations(ON_CPU, number)]


@pytest.mark.parametrize("words", [*switches(1), *switches(2), *switches(3)])
def test_each_switch_keeps_the_boxes(model: FasterRCNN, words: str) -> None:
    expected = found_by(model)
    assert sum(map(len, expected)) > 10
    assert_near(found_by(accelerate(model, acceleration_of_words(words))), expected)


def test_memory_is_kept_where_it_is_asked_for(
    model: FasterRCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(apply, "keep_memory", lambda: asked.append(True))
    expected = found_by(model)
    accelerate(model, Acceleration(channels_last=True))
    assert not asked
    assert_near(found_by(accelerate(model, Acceleration(keep_memory=True))), expected)
    assert asked


def test_winograd_keeps_the_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "MIN_CHANNELS", 16)
    monkeypatch.setattr(winograd, "MIN_PIXELS", 0)
    network = tiny(6)
    expected = found_by(network)
    fast = accelerate(network, acceleration_of_words("channels_last fold_norms winograd"))
    assert sum(isinstance(module, WinogradConv) for module in fast.modules()) == 5
    assert_near(found_by(fast), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_other_networks_keep_their_boxes(name: str) -> None:
    network = tiny(5, **NETWORKS[name])
    expected = found_by(network)
    assert sum(map(len, expected)) > 5
    setting = Acceleration(channels_last=True, fold_norms=True, fast_pooling=True)
    assert_near(found_by(accelerate(network, setting)), expected)


@pytest.mark.parametrize("name", ["frozen", "group norm", "deformable", "split"])
@pytest.mark.parametrize("words", ["", "channels_last", "channels_last fold_norms fast_pooling"])
def test_bfloat16_stays_near(name: str, words: str) -> None:
    network = tiny(2, **NETWORKS[name])
    expected = found_by(network)
    fast = accelerate(network, acceleration_of_words(f"bfloat16 {words}"))
    for some, others in zip(found_by(fast), expected, strict=True):
        assert some.boxes.dtype == some.scores.dtype == torch.float32
        # Which of many boxes of equal scores survive is a matter of rounding; the best do.
        assert abs(len(some) - len(others)) <= 0.1 * len(others) + 1
        assert abs(float(some.scores[0] - others.scores[0])) < 0.02


def test_the_model_stays_as_it_is(model: FasterRCNN) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = found_by(model)
    setting = Acceleration("bfloat16", True, True, True)
    fast = accelerate(model, setting)
    assert isinstance(fast, FastDetector)
    found_by(fast)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.dtype == before[name].dtype
    for some, others in zip(found_by(model), expected, strict=True):
        assert torch.equal(some.boxes, others.boxes)
    assert accelerate(model, EXACT) is model
    assert all(parameter.requires_grad for parameter in model.roi_heads.parameters())


def test_anchors_of_few_sizes_are_kept(model: FasterRCNN) -> None:
    fast = accelerate(model, Acceleration(channels_last=True))
    assert isinstance(fast, FastDetector)
    for width in range(32, 32 * 12, 32):
        fast(samples((32, width)))
    assert len(fast.stage._anchors) == 8


@pytest.mark.long
def test_compiled_code_keep_the_boxes(model: FasterRCNN) -> None:
    expected = found_by(model)
    fast = accelerate(model, acceleration_of_words("channels_last fold_norms compile"))
    assert_near(found_by(fast), expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("float16", "acceleration 'float16' on cpu: float16 needs a GPU: give bfloat16 or float32"),
        ("winograd", "winograd goes with float32, channels_last and fold_norms on the CPU alone"),
        ("bfloat16 channels_last fold_norms winograd", "winograd goes with float32"),
        ("cuda_graphs", "cuda_graphs needs a CUDA device: leave it out"),
    ],
)
def test_what_the_device_lacks_is_said(model: FasterRCNN, words: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        accelerate(model, acceleration_of_words(words))


def test_a_missing_compiler_is_said(model: FasterRCNN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"compile needs a C\+\+ compiler \(g\+\+\): install one"):
        accelerate(model, Acceleration(compile=True))


def test_another_engines_model_is_refused() -> None:
    with pytest.raises(UserError, match="not for Linear: give --engine portable, or exact"):
        accelerate(nn.Linear(2, 2), Acceleration(channels_last=True))


@pytest.mark.gpu
@pytest.mark.parametrize(
    "words", ["channels_last fold_norms", "channels_last fold_norms cuda_graphs"]
)
def test_on_a_gpu(words: str) -> None:
    network = tiny(3).cuda()
    fast = accelerate(network, acceleration_of_words(words))
    # With the 10 bits of TF32 other kernels for another layout would find others.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        expected = found_by(network)
        for _ in range(3):  # the third replays what the second recorded
            assert_near(found_by(fast), expected)
