"""Layout, compilation and cuDNN: the same names, and the same run after a cut. Engine-neutral."""

import copy

import pytest
import torch
from torch import nn

from resnext_det.config import with_values
from resnext_det.errors import UserError
from resnext_det.training.acceleration import (
    check_compile,
    check_speed_keys,
    compiled,
    in_layout,
    set_cudnn,
)
from resnext_det.training.checkpoint import load_checkpoint
from resnext_det.training.distributed import unwrap_model
from tests.training.conftest import NormNet
from tests.training.runs import Interrupted, train

COMPILER = "resnext_det.training.acceleration.which"


def test_channels_last_is_a_layout_alone(cfg, norm_net):
    before = copy.deepcopy(norm_net)
    assert in_layout(with_values(cfg, {"SOLVER.CHANNELS_LAST": False}), norm_net) is norm_net
    assert norm_net.conv.weight.is_contiguous()
    model = in_layout(with_values(cfg, {"SOLVER.CHANNELS_LAST": True}), norm_net)
    assert model.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert all(map(torch.equal, model.parameters(), before.parameters()))


def test_cudnn_measures_where_it_is_asked_to(cfg, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    set_cudnn(with_values(cfg, {"CUDNN_BENCHMARK": True}))
    assert torch.backends.cudnn.benchmark
    set_cudnn(cfg)
    assert not torch.backends.cudnn.benchmark


def test_nothing_is_compiled_by_default(cfg, norm_net):
    assert compiled(cfg, norm_net) is norm_net
    check_compile(cfg)


def test_the_model_inside_is_the_one_that_was_given(cfg, norm_net):
    names = list(norm_net.state_dict())
    model = compiled(with_values(cfg, {"SOLVER.COMPILE": True}), norm_net)  # compiles when called
    assert model is not norm_net
    assert unwrap_model(model) is norm_net
    assert list(unwrap_model(model).state_dict()) == names
    model.eval()
    assert not norm_net.training


def test_without_a_compiler_a_run_is_refused(cfg, monkeypatch):
    monkeypatch.setattr(COMPILER, lambda _: None)
    cfg = with_values(cfg, {"SOLVER.COMPILE": True, "MODEL.DEVICE": "cpu"})
    with pytest.raises(UserError, match=r"SOLVER.COMPILE is True, which needs a C\+\+ compiler"):
        check_compile(cfg)
    monkeypatch.setattr(COMPILER, lambda name: name)
    check_compile(cfg)


def test_a_gpu_needs_triton(cfg, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("resnext_det.training.acceleration.find_spec", lambda _: None)
    with pytest.raises(UserError, match="triton is not installed: pip install triton"):
        check_compile(with_values(cfg, {"SOLVER.COMPILE": True, "MODEL.DEVICE": "cuda"}))


def test_compilation_and_activation_checkpointing_are_refused(cfg, monkeypatch):
    monkeypatch.setattr(COMPILER, lambda name: name)
    both = {"SOLVER.COMPILE": True, "MODEL.RESNETS.ACTIVATION_CHECKPOINTING": True}
    with pytest.raises(UserError, match="ACTIVATION_CHECKPOINTING are both True"):
        check_compile(with_values(cfg, both))


@pytest.mark.parametrize(
    ("name", "device", "where"),
    [
        ("FAST_POOLING", "cuda", "the CPU"),
        ("KEEP_MEMORY", "cuda", "the CPU"),
        ("FAST_SUPPRESSION", "cpu", "GPUs"),
    ],
)
def test_what_is_for_another_kind_of_device(cfg, monkeypatch, name, device, where):
    monkeypatch.setattr("torch.cuda.is_available", lambda: device == "cuda")
    cfg = with_values(cfg, {f"SOLVER.{name}": True, "MODEL.DEVICE": device})
    with pytest.raises(UserError) as caught:
        check_speed_keys(cfg)
    assert str(caught.value) == (
        f"SOLVER.{name} is True, which is for {where} alone; set it to False"
    )


def test_keeping_memory_needs_a_c_library_that_can(cfg, monkeypatch):
    monkeypatch.setattr("resnext_det.training.acceleration.can_keep_memory", lambda: False)
    with pytest.raises(UserError, match="KEEP_MEMORY is True, which needs the GNU C library"):
        check_speed_keys(with_values(cfg, {"SOLVER.KEEP_MEMORY": True, "MODEL.DEVICE": "cpu"}))


@pytest.mark.slow
def test_a_compiled_run_trains_the_same_and_resumes_to_the_bit(cfg, tmp_path):
    try:
        check_compile(with_values(cfg, {"SOLVER.COMPILE": True, "MODEL.DEVICE": "cpu"}))
    except UserError as error:
        pytest.skip(str(error))
    torch.manual_seed(0)
    whole = NormNet()
    models = [copy.deepcopy(whole) for _ in range(2)]
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.CHECKPOINT_PERIOD = 4, 3
    cfg = with_values(cfg, {"SOLVER.GRADIENT_ACCUMULATION": 2, "SOLVER.EMA.ENABLED": True})
    train(with_values(cfg, {"OUTPUT_DIR": str(tmp_path / "eager")}), models[0])
    cfg = with_values(cfg, {"SOLVER.COMPILE": True})
    loop, _ = train(with_values(cfg, {"OUTPUT_DIR": str(tmp_path / "whole")}), whole)
    assert isinstance(loop.model, torch._dynamo.eval_frame.OptimizedModule)
    cfg = with_values(cfg, {"OUTPUT_DIR": str(tmp_path / "cut")})
    with pytest.raises(Interrupted):
        train(cfg, models[1], interrupt_after=3)
    torch._dynamo.reset()  # another start compiles anew
    train(cfg, NormNet(), resume=True)
    eager, ours, cut = (
        load_checkpoint(tmp_path / run / "model_final.pth") for run in ("eager", "whole", "cut")
    )
    for entry in ("model", "training_model"):
        assert ours[entry].keys() == eager[entry].keys()
        for name, value in ours[entry].items():
            assert torch.equal(value, cut[entry][name]), name
            torch.testing.assert_close(value, eager[entry][name], rtol=1e-4, atol=1e-6)


def test_a_model_without_maps_has_no_layout(cfg):
    model = in_layout(with_values(cfg, {"SOLVER.CHANNELS_LAST": True}), nn.Linear(2, 3))
    assert model.weight.is_contiguous()
