"""Draws by image: the same ones in any batch, and Detectron2's. Portable."""

import pytest
import torch

from resnext_det.engines.portable.sampling import generator_of, sample_batch, sample_labels
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


@pytest.mark.parametrize("seeded", [True, False])
def test_a_batch_draws_what_its_images_draw(seeded):
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 4, (3, 200), generator=draw)
    labels[1] = -1
    labels[2, 5:] = 3  # few foreground ones

    def generators():
        return [generator_of(seed if seeded else None, ANCHORS, CPU) for seed in (7, 8, 9)]

    torch.manual_seed(1)
    found = sample_batch(labels, 40, 0.25, 3, generators())
    torch.manual_seed(1)
    for one, image, generator in zip(found, labels, generators(), strict=True):
        expected = sample_labels(image, 40, 0.25, 3, generator)
        assert [kind.tolist() for kind in one] == [kind.tolist() for kind in expected]


def test_regions_of_images_together_are_those_of_each():
    heads = references.portable("tiny_resnext").roi_heads
    draw = torch.Generator().manual_seed(0)

    def boxes(number):
        corner = 60 * torch.rand(number, 2, generator=draw)
        return torch.cat([corner, corner + 5 + 40 * torch.rand(number, 2, generator=draw)], dim=1)

    proposals, truths = [boxes(300), boxes(200)], [boxes(3), boxes(5)]
    classes = [torch.tensor([0, 1, 2]), torch.tensor([4, 3, 2, 1, 0])]
    candidates = [torch.cat(pair) for pair in zip(proposals, truths, strict=True)]
    found = heads._sample_together(candidates, truths, classes, [31, 32])
    images = zip(proposals, truths, classes, (31, 32), strict=True)
    for one, image in zip(found, images, strict=True):
        expected = heads.sample_regions(*image)
        assert torch.equal(one.boxes, expected.boxes)
        assert torch.equal(one.gt_classes, expected.gt_classes)
        assert torch.equal(one.gt_boxes, expected.gt_boxes)
        assert 3 <= int((one.gt_classes < heads.box_predictor.num_classes).sum()) < len(one.boxes)
