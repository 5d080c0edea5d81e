"""Detectron2's models draw by image: as portable, in any batch, in a copy. Detectron2."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from resnext_det.engines.base import resolve_engine
from tests.engines.conftest import Bench
from tests.engines.d2.test_engine import OTHER_DETECTORS
from tests.engines.portable import references
from tests.golden.tolerances import LOSS

pytestmark = pytest.mark.d2

SEEDS = [41, 42]
DETECTORS = {"FPN": (), **{name: OTHER_DETECTORS[name] for name in ("C4", "DC5", "Cascade")}}


def inputs(*order: int) -> list[dict[str, Any]]:
    from tests.golden import make_golden

    # Of one size: another's padding would move what the net sees at its border.
    first = make_golden.detectron2_inputs("tiny_resnext")[0]
    scene = [first, first | {"image": first["image"].flip(0)}]
    return [scene[i] | {"sampling_seed": SEEDS[i]} for i in order]


def sampled(model: nn.Module, batch: list[dict[str, Any]]) -> list[list[Tensor]]:
    """What the stages sample in a forward pass: per stage one tensor an image."""
    from detectron2.utils.events import EventStorage

    found: list[list[Tensor]] = []
    for part in (model.proposal_generator, model.roi_heads):
        name = "_subsample_labels" if part is model.proposal_generator else "_sample_proposals"
        found.append([])
        part.__dict__[name] = _Recorder(part.__dict__[name], found[-1])
    with EventStorage(), torch.no_grad():
        model(batch)
    for part in (model.proposal_generator, model.roi_heads):
        name = "_subsample_labels" if part is model.proposal_generator else "_sample_proposals"
        part.__dict__[name] = part.__dict__[name].draw
    return found


class _Recorder:
    def __init__(self, draw: Any, found: list[Tensor]) -> None:
        self.draw, self.found = draw, found

    def __call__(self, *args: Tensor) -> Any:
        drawn = self.draw(*args)
        self.found.append((drawn if isinstance(drawn, Tensor) else drawn[0]).clone())
        return drawn


@pytest.mark.parametrize("detector", DETECTORS)
def test_an_image_is_sampled_alike_in_every_batch_and_in_a_copy(
    detector: str, bench: Bench
) -> None:
    options = ("MODEL.ROI_HEADS.NUM_CLASSES", 5, "MODEL.RESNETS.NORM", "FrozenBN")
    job = bench.job("x", *DETECTORS[detector], *options)
    torch.manual_seed(0)
    model = resolve_engine("d2").build_model(job.loaded.cfg).train()
    whole = sampled(model, inputs(0, 1))
    copied = copy.deepcopy(model)
    for other in (sampled(model, inputs(1, 0)), sampled(copied, inputs(1))):
        for stage, images in zip(other, whole, strict=True):
            assert torch.equal(stage[0], images[1])
    assert sampled(model, [inputs(0)[0] | {"sampling_seed": 9}])[0][0].ne(whole[0][0]).any()
    assert not [name for name in model.state_dict() if "draw" in name or "seed" in name]


def test_both_engines_draw_the_same_whatever_torch_was_seeded_with() -> None:
    from detectron2.utils.events import EventStorage

    from resnext_det.engines.d2.seeding import seed_draws
    from tests.golden import make_golden

    samples = references.golden("tiny_resnext").samples()
    for sample, seed in zip(samples, SEEDS, strict=True):
        sample.sampling_seed = seed
    ours = references.portable("tiny_resnext").train()
    scene = make_golden.detectron2_inputs("tiny_resnext")
    scene = [image | {"sampling_seed": seed} for image, seed in zip(scene, SEEDS, strict=True)]
    theirs = seed_draws(make_golden.detectron2_model("tiny_resnext")).train()
    with torch.no_grad(), EventStorage():
        torch.manual_seed(1)
        found = {name: float(loss) for name, loss in ours(samples).items()}
        torch.manual_seed(2)
        expected = {name: float(loss) for name, loss in theirs(scene).items()}
    ours.eval()
    assert found == pytest.approx(expected, rel=LOSS)
