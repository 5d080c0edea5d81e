"""The keys that make training faster: the losses and gradients of the plain detector's."""

import numpy as np
import pytest
import torch

from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.from_config import check_values
from resnext_det.errors import UserError
from resnext_det.training.acceleration import in_layout
from tests.engines.portable import references
from tests.engines.portable.whole import assert_gradients_close
from tests.golden.compare import match_detections
from tests.golden.formula import NETS, TINY_NETS, as_list, weights
from tests.golden.tolerances import FIRST_UPDATE, UNLIKE

NET = "tiny_resnext"
OPTIONS = ("FOLD_NORMS", "FAST_POOLING", "FAST_SUPPRESSION", "SAMPLED_ANCHORS", "CHANNELS_LAST")
CASES = [(option,) for option in OPTIONS] + [OPTIONS]
Found = tuple[dict[str, float], dict[str, torch.Tensor]]


def detector(net: str, options: tuple[str, ...], norm: str = "FrozenBN") -> FasterRCNN:
    settings = NETS[net] | {f"SOLVER.{option}": True for option in options}
    settings["MODEL.RESNETS.NORM"] = norm
    model = references.build(settings)
    state = model.state_dict()
    shapes = {n: tuple(v.shape) for n, v in state.items() if v.is_floating_point()}
    model.load_state_dict(state | {n: torch.from_numpy(v) for n, v in weights(shapes).items()})
    cfg = references.get_cfg()
    cfg.SOLVER.CHANNELS_LAST = "CHANNELS_LAST" in options
    in_layout(cfg, model)
    return model


def in_double(model: FasterRCNN) -> FasterRCNN:
    """Where a gradient jumps (ReLU, L1), float32's rounding would decide on which side it is."""
    rpn = model.double().proposal_generator
    propose = rpn.propose  # boxes are float32 always, and torchvision's operator wants one type
    rpn.propose = lambda anchors, logits, *more: propose(
        anchors, [x.float() for x in logits], *more
    )
    return model


def losses_and_gradients(model: FasterRCNN, dtype: torch.dtype | None = None) -> Found:
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        losses = model.train()(references.golden(NET).samples())
    torch.stack(list(losses.values())).sum().backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {name: value.item() for name, value in losses.items()}, gradients


@pytest.fixture(scope="module")
def plain() -> dict[str, Found]:
    return {
        norm: losses_and_gradients(in_double(detector(NET, (), norm)))
        for norm in ("FrozenBN", "BN")
    }


@pytest.mark.parametrize("norm", ["FrozenBN", "BN"])
@pytest.mark.parametrize("options", CASES, ids="+".join)
def test_losses_and_gradients_are_the_plain_ones(plain, options, norm):
    losses, gradients = losses_and_gradients(in_double(detector(NET, options, norm)))
    expected, wanted = plain[norm]
    assert losses == pytest.approx(expected, rel=FIRST_UPDATE)
    assert gradients.keys() == wanted.keys()
    assert_gradients_close({name: (gradients[name], wanted[name]) for name in wanted})


def test_in_bfloat16_every_weight_still_learns():
    losses, gradients = losses_and_gradients(detector(NET, OPTIONS), torch.bfloat16)
    plain, wanted = losses_and_gradients(detector(NET, ()), torch.bfloat16)
    assert losses == pytest.approx(plain, rel=0.05)
    assert gradients.keys() == wanted.keys()
    for name in wanted:
        if name.startswith("proposal_generator"):
            ratio = float(gradients[name].norm() / wanted[name].norm())
            assert ratio == pytest.approx(1, abs=0.1), name


@pytest.mark.parametrize("net", TINY_NETS)
def test_names_and_detections_stay(net):
    several = len(NETS[net].get("MODEL.RPN.CONV_DIMS", [-1])) > 1
    left_out = {"CHANNELS_LAST"} | ({"SAMPLED_ANCHORS"} if several else set())
    options = {f"SOLVER.{name}": True for name in OPTIONS if name not in left_out}
    fast, exact = references.build(NETS[net] | options), references.portable(net)
    fast.load_state_dict(exact.state_dict())
    samples = references.golden(net).samples()
    with torch.no_grad():
        for mine, theirs in zip(fast.eval()(samples), exact.eval()(samples), strict=True):
            assert torch.equal(mine.boxes, theirs.boxes)
            assert torch.equal(mine.scores, theirs.scores)


def test_channels_last_detections_are_the_same_but_for_rounding():
    samples = references.golden(NET).samples()
    with torch.no_grad():
        fast = detector(NET, ("CHANNELS_LAST",)).eval()(samples)
        exact = references.portable(NET).eval()(samples)
    for mine, theirs in zip(fast, exact, strict=True):
        pairs, unmatched = match_detections(
            (mine.boxes.numpy(), mine.classes.numpy()),
            (theirs.boxes.numpy(), theirs.classes.numpy()),
        )
        ours, others = (list(side) for side in zip(*pairs, strict=True))
        assert unmatched == UNLIKE
        np.testing.assert_allclose(mine.scores[ours], theirs.scores[others], atol=1e-5)


def test_sampled_anchors_take_a_head_of_one_convolution():
    settings = {"MODEL.RPN.CONV_DIMS": [-1, -1], "SOLVER.SAMPLED_ANCHORS": True}
    cfg = references.get_cfg()
    cfg.merge_from_list(as_list(NETS[NET] | settings))
    with pytest.raises(UserError, match="SAMPLED_ANCHORS is True, but MODEL.RPN.CONV_DIMS has 2"):
        check_values(cfg)
