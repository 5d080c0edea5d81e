"""Draws by image: the same ones in any batch, and Detectron2's. Portable."""

import pytest
import torch

from resnext_det.engines.portable.sampling import generator_of, sample_labels
from resnext_det.seeding import ANCHORS, REGIONS, draw_seed
from tests.engines.portable import references

LABELS = torch.tensor([0, 1] * 200)
CPU = torch.device("cpu")


def drawn(sampling_seed: int | None, stream: int) -> list[int]:
    generator = generator_of(sampling_seed, stream, CPU)
    return torch.cat(sample_labels(LABELS, 64, 0.5, 0, generator)).tolist()


def test_a_seed_draws_what_the_global_generator_draws_after_it():
    with torch.random.fork_rng():
        torch.manual_seed(draw_seed(5, REGIONS))
        assert drawn(None, REGIONS) == drawn(5, REGIONS)


def test_streams_and_seeds_draw_differently_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    found = [drawn(5, ANCHORS), drawn(5, REGIONS), drawn(6, ANCHORS)]
    assert len({tuple(one) for one in found}) == 3
    assert drawn(5, ANCHORS) == found[0]
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("order", [[0, 1], [1, 0], [1]])
def test_an_image_is_sampled_alike_in_every_batch(order):
    """Anchors by label, regions by box, whatever stands beside the image."""
    model = references.portable("tiny_resnext")
    reference = references.golden("tiny_resnext")
    boxes, sizes = reference.all("gt_boxes"), reference.image_sizes()
    rpn, seeds = model.proposal_generator, [31, 32]
    torch.manual_seed(sum(order))  # is not drawn from
    labels, _ = rpn.label_anchors(
        reference.all("anchors"), *([x[i] for i in order] for x in (boxes, sizes, seeds))
    )
    alone, _ = rpn.label_anchors(reference.all("anchors"), boxes[1:], sizes[1:], seeds[1:])
    assert torch.equal(labels[order.index(1)], alone[0])
    proposals, classes = reference["proposals_train.1"], reference["gt_classes.1"]
    twice = [model.roi_heads.sample_regions(proposals, boxes[1], classes, 32) for _ in range(2)]
    assert torch.equal(twice[0].boxes, twice[1].boxes)
