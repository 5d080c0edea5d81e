"""The hierarchical paired bootstrap over images and seeds. Engine-neutral.

One sample draws as many seeds and as many images as there are, with replacement: the seeds once
for both networks, since seed s of both saw the data in one order, and the images once for all
networks. A metric counts an image as often as it was drawn; the sample's difference is the mean
over the drawn seeds of second minus first. (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13: the percentile interval.)
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from resnext_det.errors import UserError
from resnext_det.statistics.summary import t_interval

Verdict = Literal["larger", "smaller", "not told apart"]

_GENERATOR_SEED = 0


@dataclass(frozen=True)
class PairedDifference:
    """What the second network scores above the first.

    Attributes:
        metric: its name.
        value: mean over seeds of second minus first, percent points.
        low: lower end of the bootstrap interval.
        high: upper end of it.
        confidence: of both intervals, 0 … 1.
        num_images: images that were drawn from.
        num_seeds: seeds that were drawn from.
        per_seed: second minus first at each seed.
        t_low: lower end of Student's t interval of `per_seed`; None with one seed.
        t_high: upper end of it.
        verdict: of the second against the first; None with one seed, which cannot tell
            architectures apart.
    """

    metric: str
    value: float
    low: float
    high: float
    confidence: float
    num_images: int
    num_seeds: int
    per_seed: tuple[float, ...]
    t_low: float | None
    t_high: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class Draws:
    """The bootstrap's samples; they depend on nothing but these three numbers.

    Attributes:
        num_images: I, drawn from.
        num_seeds: N, drawn from.
        num_samples: S.
    """

    num_images: int
    num_seeds: int
    num_samples: int

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise UserError(f"num_samples {self.num_samples}: the bootstrap takes at least one")

    @cached_property
    def seed_counts(self) -> np.ndarray:
        """(S, N) int64, how often each sample drew each seed."""
        drawn = [_counts(_generator(n), self.num_seeds) for n in range(self.num_samples)]
        return np.stack(drawn)

    def image_counts(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Returns how often images were drawn in the samples `start` … `stop` - 1.

        Args:
            start: 0 for the data set itself, each image once; n for the n-th sample.
            stop: at most S + 1; None for S + 1.

        Returns:
            (stop - start, I) int32.
        """
        stop = self.num_samples + 1 if stop is None else stop
        counts = np.ones((stop - start, self.num_images), dtype=np.int32)
        for row, sample in enumerate(range(start, stop)):
            if sample:
                generator = _generator(sample - 1)
                _counts(generator, self.num_seeds)
                counts[row] = _counts(generator, self.num_images)
        return counts


def _generator(sample: int) -> np.random.Generator:
    return np.random.default_rng([_GENERATOR_SEED, sample])


def _counts(generator: np.random.Generator, number: int) -> np.ndarray:
    """Draws `number` of as many things; returns (number,) how often each was drawn."""
    drawn = generator.integers(max(number, 1), size=number)
    return np.bincount(drawn, minlength=number)


def differences_of(
    metrics: tuple[str, ...],
    first: np.ndarray,
    second: np.ndarray,
    draws: Draws,
    confidence: float,
) -> list[PairedDifference]:
    """Turns both networks' scores on the samples into differences with their intervals.

    A sample that leaves a metric undefined, because no image with such ground truth was drawn,
    does not count for it.

    Args:
        metrics: the M names.
        first: (N, S + 1, M) float64 scores in percent of N seeds on each row of
            `draws.image_counts()`; NaN where undefined, for both networks alike.
        second: the same of the second network.
        draws: what was drawn.
        confidence: of the intervals, 0 … 1, both excluded.

    Returns:
        One difference for each metric that the data set defines, in their order.

    Raises:
        UserError: `confidence` is out of its range.
    """
    if not 0 < confidence < 1:
        raise UserError(f"confidence {confidence}: it lies between 0 and 1, for example 0.95")
    gaps = second - first  # (N, S + 1, M)
    shares = draws.seed_counts / draws.num_seeds  # (S, N)
    drawn = np.einsum("sn,nsm->sm", shares, gaps[:, 1:])
    found = []
    for index, metric in enumerate(metrics):
        per_seed = gaps[:, 0, index]
        defined = drawn[:, index][~np.isnan(drawn[:, index])]
        if np.isnan(per_seed).any() or not len(defined):
            continue
        ends = np.percentile(defined, [50 * (1 - confidence), 50 * (1 + confidence)])
        student = t_interval(per_seed.tolist(), confidence)
        bootstrap = float(ends[0]), float(ends[1])
        found.append(
            PairedDifference(
                metric=metric,
                value=float(per_seed.mean()),
                low=bootstrap[0],
                high=bootstrap[1],
                confidence=confidence,
                num_images=draws.num_images,
                num_seeds=draws.num_seeds,
                per_seed=tuple(per_seed.tolist()),
                t_low=student[0] if student else None,
                t_high=student[1] if student else None,
                verdict=verdict_of(bootstrap, student),
            )
        )
    return found


def verdict_of(
    bootstrap: tuple[float, float], student: tuple[float, float] | None
) -> Verdict | None:
    """Says what both intervals say together.

    A percentile bootstrap of a few seeds is too narrow (it can draw only what they are, and with
    divisor n), and Student's interval alone knows nothing of the images. So both must exclude 0 on
    one side.

    Args:
        bootstrap: low and high over images and seeds.
        student: low and high over seeds; None with one seed.
    """
    if student is None:
        return None
    if min(bootstrap[0], student[0]) > 0:
        return "larger"
    if max(bootstrap[1], student[1]) < 0:
        return "smaller"
    return "not told apart"
