"""The draws, the intervals' coverage where the truth is known, and the verdict."""

import numpy as np
import pytest

from resnext_det.errors import UserError
from resnext_det.statistics.bootstrap import Draws, PairedDifference, differences_of, verdict_of


def mean_differences(
    first: np.ndarray,
    second: np.ndarray,
    draws: Draws,
    confidence: float = 0.95,
    weights: np.ndarray | None = None,
) -> PairedDifference:
    """Compares by the mean over images. first and second: (N, I) scores; weights: of `draws`."""
    weights = draws.image_counts() if weights is None else weights
    scores = [(side @ weights.T / draws.num_images)[:, :, None] for side in (first, second)]
    (found,) = differences_of(("mean",), *scores, draws, confidence)
    return found


def test_a_sample_draws_as_many_as_there_are() -> None:
    draws = Draws(num_images=9, num_seeds=3, num_samples=40)
    images, seeds = draws.image_counts(), draws.seed_counts
    assert images.shape == (41, 9)
    assert seeds.shape == (40, 3)
    assert (images.sum(axis=1) == 9).all()
    assert (seeds.sum(axis=1) == 3).all()
    assert (images[0] == 1).all()
    assert len(np.unique(images, axis=0)) > 35


def test_draws_are_fixed_and_may_be_taken_in_parts() -> None:
    draws = Draws(7, 2, 30)
    parts = [draws.image_counts(start, min(start + 8, 31)) for start in range(0, 31, 8)]
    np.testing.assert_array_equal(np.concatenate(parts), Draws(7, 2, 30).image_counts())
    np.testing.assert_array_equal(draws.image_counts()[:11], Draws(7, 2, 10).image_counts())


def test_each_thing_is_drawn_once_on_average_with_a_binomials_variance() -> None:
    """A count of 20 draws among 20 is binomial (20, 1/20): mean 1, variance 0.95."""
    counts = Draws(20, 20, 2000).image_counts()[1:]
    assert counts.mean(axis=0) == pytest.approx(np.ones(20), abs=5 * (0.95 / 2000) ** 0.5)
    assert counts.var() == pytest.approx(0.95, abs=0.05)
    seeds = Draws(20, 20, 2000).seed_counts
    assert seeds.var() == pytest.approx(0.95, abs=0.05)
    # Drawn apart: counts of seeds say nothing of counts of images.
    assert abs(np.corrcoef(seeds.ravel(), counts.ravel())[0, 1]) < 5 / 40000**0.5


def test_nothing_to_draw_from() -> None:
    assert Draws(0, 1, 2).image_counts().shape == (3, 0)


def test_the_spread_is_that_of_seeds_and_images() -> None:
    """Of scores seed + image, the bootstrap variance is the sum of both means' own."""
    random = np.random.default_rng(4)
    seeds, images = random.normal(size=(8, 1)), random.normal(size=(1, 50))
    found = mean_differences(np.zeros((8, 50)), seeds + images, Draws(50, 8, 4000))
    deviation = (seeds.var() / 8 + images.var() / 50) ** 0.5
    assert found.high - found.low == pytest.approx(2 * 1.96 * deviation, rel=0.06)
    assert found.value == pytest.approx(seeds.mean() + images.mean())
    assert found.per_seed == pytest.approx((seeds + images.mean()).ravel())


def test_what_both_sides_share_cancels() -> None:
    """Hard images and a lucky order of the data move both networks alike."""
    random = np.random.default_rng(0)
    shared = 10 * random.normal(size=(4, 30))
    found = mean_differences(shared, shared + 1.5, Draws(30, 4, 100))
    assert (found.low, found.high) == pytest.approx((1.5, 1.5))
    assert found.verdict == "larger"


@pytest.mark.parametrize(("num_seeds", "least"), [(5, 0.80), (20, 0.90)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(
    num_seeds: int, least: float
) -> None:
    """300 studies with a true difference of 1, seeds' and images' own noise, at 95 %.

    With few seeds a percentile interval is too narrow, as its module says: by √(4/5) in width at
    5 seeds, and a normal quantile where Student's belongs.
    """
    random = np.random.default_rng(7)
    draws = Draws(40, num_seeds, 200)
    weights = draws.image_counts()
    held = 0
    for _ in range(300):
        gaps = 1 + random.normal(size=(num_seeds, 1)) + 2 * random.normal(size=(1, 40))
        gaps = gaps + random.normal(size=(num_seeds, 40))
        found = mean_differences(np.zeros_like(gaps), gaps, draws, weights=weights)
        held += found.low <= 1 <= found.high
    assert least <= held / 300 <= 0.98


def test_equal_networks_are_seldom_told_apart() -> None:
    """Of 300 studies without a difference, both intervals exclude 0 in at most the 5 % of one."""
    random = np.random.default_rng(11)
    draws = Draws(30, 3, 200)
    weights = draws.image_counts()
    told = 0
    for _ in range(300):
        gaps = random.normal(size=(3, 1)) + random.normal(size=(3, 30))
        found = mean_differences(np.zeros_like(gaps), gaps, draws, weights=weights)
        told += found.verdict != "not told apart"
    assert told / 300 <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5


def test_equal_scores_differ_by_nothing() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 20))
    found = mean_differences(scores, scores, Draws(20, 3, 50))
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert (found.t_low, found.t_high) == (0, 0)
    assert found.verdict == "not told apart"


def test_one_seed_has_no_verdict() -> None:
    found = mean_differences(np.zeros((1, 20)), np.ones((1, 20)), Draws(20, 1, 50))
    assert (found.value, found.low, found.high) == (1, 1, 1)
    assert (found.t_low, found.t_high, found.verdict) == (None, None, None)
    assert found.num_seeds == 1


def test_a_sample_without_ground_truth_does_not_count() -> None:
    draws = Draws(4, 1, 3)
    first = np.zeros((1, 4, 2))
    second = np.array([[[1.0, np.nan], [1.0, np.nan], [np.nan, np.nan], [3.0, np.nan]]])
    (found,) = differences_of(("some", "never"), first, second, draws, 0.5)
    assert found.metric == "some"
    assert (found.low, found.high) == pytest.approx((1.5, 2.5))  # quartiles of 1 and 3


@pytest.mark.parametrize(
    ("bootstrap", "student", "verdict"),
    [
        ((0.1, 2.0), (0.2, 3.0), "larger"),
        ((-2.0, -0.1), (-3.0, -0.2), "smaller"),
        ((0.1, 2.0), (-0.2, 3.0), "not told apart"),
        ((-0.1, 2.0), (0.2, 3.0), "not told apart"),
        ((-2.0, -0.1), (-3.0, 0.2), "not told apart"),
        ((0.0, 2.0), (0.2, 3.0), "not told apart"),
        ((0.1, 2.0), (-3.0, -0.2), "not told apart"),
        ((0.1, 2.0), None, None),
    ],
)
def test_both_intervals_decide(
    bootstrap: tuple[float, float], student: tuple[float, float] | None, verdict: str | None
) -> None:
    assert verdict_of(bootstrap, student) == verdict


def test_numbers_that_make_no_interval_are_refused() -> None:
    with pytest.raises(UserError, match="num_samples 0: the bootstrap takes at least one"):
        Draws(3, 1, 0)
    for confidence in (0.0, 1.0, 95.0):
        with pytest.raises(UserError, match=f"confidence {confidence}: it lies between 0 and 1"):
            mean_differences(np.zeros((1, 3)), np.zeros((1, 3)), Draws(3, 1, 5), confidence)
