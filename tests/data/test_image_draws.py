"""What is drawn for a training image, against torchvision and the authors' Lua. Engine-neutral."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from torchvision.transforms import v2

from resnext_det.data.image_draws import (
    ColorDraw,
    PaddedCrop,
    ResizedCrop,
    Torch7Crop,
    ViewDraw,
    draws_from_config,
    seeded,
)
from resnext_det.data.views import Box, View

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)
PAPER = Torch7Crop(224, SCALE, RATIO)
# (height, width): of ImageNet's usual size, tall, and so long that most parts do not fit.
SIZES = [(375, 500), (640, 427), (60, 900)]


class TorchRandom:
    """torch.uniform and torch.random of Lua's Torch, with both ends as there."""

    def uniform(self, low: float, high: float) -> float:
        return torch.empty(1, dtype=torch.float64).uniform_(low, high).item()

    def integer(self, low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,)))


class NumpyRandom:
    """The same, from another generator."""

    def __init__(self) -> None:
        self._random = np.random.RandomState(1)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high + 1)


def lua_random_sized_crop(random: TorchRandom | NumpyRandom, height: int, width: int) -> Box | None:
    """RandomSizedCrop of datasets/transforms.lua, line by line; None where it falls back."""
    for _ in range(10):
        area = height * width
        target_area = random.uniform(0.08, 1.0) * area
        aspect_ratio = random.uniform(3 / 4, 4 / 3)
        w = round(math.sqrt(target_area * aspect_ratio))
        h = round(math.sqrt(target_area / aspect_ratio))
        if random.uniform(0.0, 1.0) < 0.5:
            w, h = h, w
        if h <= height and w <= width:
            y1 = random.integer(0, height - h)
            x1 = random.integer(0, width - w)
            return Box(y1, x1, h, w)
    return None


def drawn(draw: ViewDraw, size: tuple[int, int], count: int = 2000) -> list[View]:
    with seeded(7):
        return [draw.draw(*size) for _ in range(count)]


def ranks_apart(one: list[float], other: list[float]) -> float:
    """The two-sample Kolmogorov-Smirnov distance."""
    both = np.sort(np.concatenate([one, other]))
    cdfs = [np.searchsorted(np.sort(x), both, side="right") / len(x) for x in (one, other)]
    return float(np.abs(cdfs[0] - cdfs[1]).max())


MEASURES: dict[str, Callable[[Box], float]] = {
    "area": lambda box: box.height * box.width,
    "log_ratio": lambda box: math.log(box.width / box.height),
    "top": lambda box: box.top,
    "left": lambda box: box.left,
}


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_torch7_crops_are_the_lua_replayed(size: tuple[int, int]) -> None:
    for seed in range(300):
        with seeded(seed):
            wanted = lua_random_sized_crop(TorchRandom(), *size)
        with seeded(seed):
            assert PAPER.draw(*size).part == (wanted or Box(0, 0, *size))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_torch7_crops_are_the_luas_in_distribution(size: tuple[int, int]) -> None:
    whole = Box(0, 0, *size)
    mine = [view.part for view in drawn(PAPER, size)]
    random = NumpyRandom()
    theirs = [lua_random_sized_crop(random, *size) or whole for _ in range(2000)]
    # The distance that two samples of one distribution exceed once in 10,000 times.
    limit = math.sqrt(-0.5 * math.log(0.5e-4)) * math.sqrt(2 / 2000)
    for name, measure in MEASURES.items():
        assert ranks_apart([*map(measure, mine)], [*map(measure, theirs)]) < limit, name
    fallbacks = [sum(box == whole for box in boxes) for boxes in (mine, theirs)]
    assert abs(fallbacks[0] - fallbacks[1]) < 4 * math.sqrt(sum(fallbacks) + 1)


def test_torch7_ratios_are_not_torchvisions() -> None:
    """Both densities of the ratio r are known: (1 + 1 / r^2) / 2 / (7 / 12), and 1 / r / ln(16/9).

    Parts of 8 % of a large square image always fit, so that nothing is drawn twice.
    """
    size = (4000, 4000)
    ends = np.linspace(3 / 4, 4 / 3, 8)
    densities = {
        Torch7Crop: lambda r: (r - 1 / r) / 2 / (7 / 12),
        ResizedCrop: lambda r: np.log(r) / math.log(16 / 9),
    }
    shares = {}
    for kind, integral in densities.items():
        views = drawn(kind(224, (0.08, 0.08), RATIO), size, 10000)
        ratios = [view.part.width / view.part.height for view in views]
        counts, _ = np.histogram(ratios, ends)
        shares[kind] = np.diff(integral(ends))
        errors = np.abs(counts / 10000 - shares[kind])
        assert errors.max() < 4.5 * math.sqrt(0.15 / 10000)
    # The real difference: up to 3 % more or fewer of a shape.
    assert 0.015 < np.abs(shares[Torch7Crop] / shares[ResizedCrop] - 1).max() < 0.03


def test_torch7_falls_back_to_the_scaled_centre() -> None:
    """Parts of the whole area and a ratio near 1 never fit into a long image."""
    (view,) = drawn(Torch7Crop(224, (1.0, 1.0), (0.9, 1.1)), (100, 400), 1)
    assert view.part == Box(0, 0, 100, 400)
    assert view.resized == (224, 896)
    assert view.windows == (Box(0, 336, 224, 224),)
    # torchvision's largest part in the middle with a ratio in range is another.
    (other,) = drawn(ResizedCrop(224, (1.0, 1.0), (0.9, 1.1)), (100, 400), 1)
    assert other.part == Box(0, 145, 100, 110)


@pytest.mark.parametrize("size", [*SIZES, (1, 1), (1, 50)], ids=str)
def test_resized_crops_are_torchvisions_own(size: tuple[int, int]) -> None:
    crop = v2.RandomResizedCrop(224, SCALE, RATIO)
    image = torch.zeros(3, *size)
    for seed in range(50):
        torch.manual_seed(seed)
        wanted = crop.make_params([image])
        with seeded(seed):
            view = ResizedCrop(224, SCALE, RATIO).draw(*size)
        assert view.part._asdict() == wanted
        assert view.windows == (Box(0, 0, 224, 224),)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (2, 3)], ids=str)
def test_tiny_images_have_parts(size: tuple[int, int]) -> None:
    for view in drawn(PAPER, size, 200):
        assert view.part.height >= 1
        assert view.part.width >= 1


def test_padded_crops_are_everywhere_alike() -> None:
    views = drawn(PaddedCrop(32, 4), (32, 32), 8100)
    places = [(view.windows[0].top, view.windows[0].left) for view in views]
    tops, lefts = np.array(places).T
    assert (tops.min(), tops.max(), lefts.min(), lefts.max()) == (-4, 4, -4, 4)
    counts = np.histogram2d(tops, lefts, bins=9)[0]
    assert np.abs(counts - 100).max() < 50  # five standard deviations
    assert {view.resized for view in views} == {(32, 32)}


def test_colour_draws_have_the_authors_distribution() -> None:
    with seeded(0):
        draws = [ColorDraw((0.4, 0.2, 0.0), 0.1).draw() for _ in range(6000)]
    orders = [tuple(draw.order.tolist()) for draw in draws if draw]
    counts = [orders.count(order) for order in sorted(set(orders))]
    assert len(counts) == 6
    assert max(abs(count - 1000) for count in counts) < 150
    factors = torch.stack([draw.factors for draw in draws if draw])
    assert torch.all((factors - 1).abs().amax(0) <= torch.tensor([0.4, 0.2, 0.0]) + 1e-6)
    # The standard deviation of uniform(-v, v) is v / sqrt(3).
    expected = torch.tensor([0.4, 0.2, 0.0]) / math.sqrt(3)
    torch.testing.assert_close(factors.std(0), expected, rtol=0.03, atol=0)
    lighting = torch.stack([draw.lighting for draw in draws if draw])
    torch.testing.assert_close(lighting.std(), torch.tensor(0.1), rtol=0.03, atol=0)


def test_no_change_of_colours_draws_nothing() -> None:
    with seeded(0):
        assert ColorDraw((0.0, 0.0, 0.0), 0.0).draw() is None
        first = torch.rand(1)
    with seeded(0):
        assert torch.equal(torch.rand(1), first)


def test_crop_and_flip_do_not_depend_on_the_colours(cfg: CfgNode) -> None:
    plain = draws_from_config(cfg)
    cfg.INPUT.CLASSIFICATION.COLOR_JITTER = [0.4, 0.4, 0.4]
    colourful = draws_from_config(cfg)
    flips = 0
    for seed in range(100):
        views = []
        for draws in (plain, colourful):
            with seeded(seed):
                views.append(draws.draw(60, 80)[0])
        assert views[0] == views[1]
        flips += views[0].flipped[0]
    assert 30 < flips < 70
