"""Seeds by place in the run. Engine-neutral."""

from resnext_det.seeding import ANCHORS, REGIONS, derive_seed, draw_seed, image_seed


def test_every_place_and_every_purpose_has_its_own_seed():
    places = [(i, p) for i in range(20) for p in range(8)]
    images = [image_seed(7, *place) for place in places]
    draws = [draw_seed(seed, stream) for seed in images for stream in (ANCHORS, REGIONS)]
    augmentations = [derive_seed(7, *place) for place in places]
    orders = [derive_seed(7, epoch, 0, 0, 1) for epoch in range(20)]  # data/samplers.py
    seeds = [*images, *draws, *augmentations, *orders]
    assert len(set(seeds)) == len(seeds)


def test_seeds_depend_on_the_runs_seed():
    assert image_seed(7, 3, 2) == image_seed(7, 3, 2) != image_seed(8, 3, 2)
