"""Mixed precision: real bfloat16 on the CPU, and what each device is given. Engine-neutral."""

import copy

import pytest
import torch
from torch import nn

from resnext_det.errors import UserError
from resnext_det.training.passes import Passes
from resnext_det.training.precision import FLOAT32, Precision, build_precision
from tests.training.runs import squares, train

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def amp(cfg, dtype):
    cfg.SOLVER.AMP.ENABLED, cfg.SOLVER.AMP.DTYPE = True, dtype
    return cfg


def test_off_is_float32(cfg, caplog):
    assert build_precision(cfg, GPU) == FLOAT32
    assert not caplog.records


@pytest.mark.parametrize("dtype", ["float16", "auto"])
def test_what_needs_a_gpu_is_left_out_without_one_and_said_once(cfg, caplog, dtype):
    assert build_precision(amp(cfg, dtype), CPU) == FLOAT32
    (record,) = caplog.records
    assert record.getMessage() == (
        f"SOLVER.AMP.ENABLED with DTYPE {dtype} needs a GPU: training in float32 on cpu"
    )


@pytest.mark.parametrize(
    ("dtype", "has_bfloat16", "expected"),
    [
        ("float16", True, torch.float16),
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float16),
        ("bfloat16", True, torch.bfloat16),
    ],
)
def test_what_a_gpu_is_given(cfg, monkeypatch, dtype, has_bfloat16, expected):
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: has_bfloat16
    )
    precision = build_precision(amp(cfg, dtype), GPU)
    assert precision == Precision("cuda", expected)


def test_bfloat16_on_a_gpu_without_it_is_refused(cfg, monkeypatch):
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )
    with pytest.raises(UserError) as error:
        build_precision(amp(cfg, "bfloat16"), GPU)
    assert str(error.value) == (
        "SOLVER.AMP.DTYPE is bfloat16, which this GPU does not have: set float16 or auto"
    )


def test_only_float16_scales_its_gradients():
    assert not Precision("cpu", torch.bfloat16).build_scaler().is_enabled()
    assert not FLOAT32.build_scaler().is_enabled()


def test_bfloat16_on_the_cpu_computes_in_it_and_keeps_float32_weights(cfg, norm_net):
    seen = []
    norm_net.conv.register_forward_hook(lambda module, args, out: seen.append(out.dtype))
    batch = list(torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    low = Passes(squares, precision=build_precision(amp(cfg, "bfloat16"), CPU))
    losses = low.backward(norm_net, batch)
    exact = Passes(squares).backward(copy.deepcopy(norm_net), batch)
    assert seen == [torch.bfloat16, torch.float32]
    for name, value in losses.items():
        # bfloat16 keeps 8 bits: 2 ** -8 of relative rounding, in each of four layers.
        assert float(value) == pytest.approx(float(exact[name]), rel=4 * 2**-8)
        assert float(value) != float(exact[name])
    assert {p.dtype for p in norm_net.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in norm_net.parameters()} == {torch.float32}


def test_a_whole_run_in_bfloat16_learns_as_in_float32(cfg, norm_net):
    other = copy.deepcopy(norm_net)
    train(cfg, norm_net)
    cfg.OUTPUT_DIR += "_bfloat16"
    train(amp(cfg, "bfloat16"), other)
    batch = list(torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(5)))
    exact, low = (squares(net, batch)["loss_a"].item() for net in (norm_net, other))
    assert low == pytest.approx(exact, rel=0.1)
    assert low != exact
    assert all(p.dtype == torch.float32 for p in other.parameters())


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "auto"])
def test_every_type_trains_on_a_gpu(dtype):
    precision = Precision("cuda", torch.float16 if dtype == "float16" else torch.bfloat16)
    net = nn.Conv2d(3, 4, 3).cuda()
    passes = Passes(lambda m, x: {"loss": m(x.cuda()).square().mean()}, precision=precision)
    passes.backward(net, torch.rand(2, 3, 8, 8))
    assert passes.scaler.is_enabled() == (dtype == "float16")
    assert all(p.grad.dtype == torch.float32 for p in net.parameters())
