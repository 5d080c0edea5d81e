"""Differences in top-k accuracy against a loop over the drawn images."""

import json
from pathlib import Path

import numpy as np
import pytest

from resnext_det.errors import UserError
from resnext_det.statistics.bootstrap import Draws
from resnext_det.statistics.classification import paired_topk_differences


def write(path: Path, ranks: np.ndarray, **more: object) -> Path:
    names = [f"class/{index}.jpg" for index in range(len(ranks))]
    path.write_text(json.dumps({"images": names, "ranks": ranks.tolist(), **more}))
    return path


@pytest.fixture
def ranks() -> np.ndarray:
    """(2 sides, 3 seeds, 25 images), the second better."""
    random = np.random.default_rng(3)
    return np.stack([random.geometric(p, size=(3, 25)) - 1 for p in (0.2, 0.4)])


@pytest.fixture
def sides(ranks: np.ndarray, tmp_path: Path) -> list[list[Path]]:
    return [
        [write(tmp_path / f"{side}{seed}.json", ranks[side, seed]) for seed in range(3)]
        for side in range(2)
    ]


def test_equals_a_loop_over_the_drawn_images(
    sides: list[list[Path]], ranks: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnext_det.statistics.classification._BUDGET", 100)  # four samples each
    found = paired_topk_differences(*sides, num_samples=30, confidence=0.9)
    assert [d.metric for d in found] == ["top1", "top5"]
    draws = Draws(25, 3, 30)
    for difference, k in zip(found, (1, 5), strict=True):
        gaps = 100 * ((ranks[1] < k).astype(float) - (ranks[0] < k))  # (3, 25)
        samples = []
        for images, seeds in zip(draws.image_counts()[1:], draws.seed_counts, strict=True):
            drawn = [
                gaps[seed, image]
                for seed in np.repeat(range(3), seeds)
                for image in np.repeat(range(25), images)
            ]
            samples.append(np.mean(drawn))
        assert difference.per_seed == pytest.approx(gaps.mean(axis=1))
        assert (difference.low, difference.high) == pytest.approx(
            tuple(np.percentile(samples, [5, 95]))
        )
        assert (difference.num_images, difference.num_seeds) == (25, 3)


def test_other_ways_of_scoring_have_their_own_lines(tmp_path: Path) -> None:
    ranks = np.array([0, 1, 7, 0])
    path = write(tmp_path / "a.json", ranks, **{"1000_way/ranks": [0, 0, 3, 0]})
    found = paired_topk_differences([path], [path], num_samples=5)
    # No image's rank among the thousand reaches 5.
    assert [d.metric for d in found] == ["top1", "top5", "1000_way/top1"]
    assert all((d.value, d.low, d.high, d.verdict) == (0, 0, 0, None) for d in found)


def test_no_image_gives_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", np.array([], int))
    assert paired_topk_differences([path], [path], num_samples=5) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read as JSON of ranks"),
        ("[]", "not a file of ranks"),
        ('{"images": ["a"]}', "not a file of ranks"),
        ('{"images": ["a"], "ranks": [1, 2]}', "ranks are not 1 numbers from 0"),
        ('{"images": ["a"], "ranks": [-1]}', "ranks are not 1 numbers from 0"),
        ('{"images": ["a"], "ranks": ["x"]}', "not a file of ranks"),
        ('{"images": ["a"], "ranks": [0.5]}', "ranks are not 1 numbers from 0"),
    ],
)
def test_a_malformed_file_is_named(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "ranks.json"
    path.write_text(content)
    with pytest.raises(UserError, match=words) as caught:
        paired_topk_differences([path], [path])
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "one.json", np.array([0, 1]))
    other = write(tmp_path / "other.json", np.array([0, 1, 2]))
    with pytest.raises(UserError, match=r"other\.json: its 3 images are not the 2 of .*one\.json"):
        paired_topk_differences([one], [other])
    with pytest.raises(UserError, match=r"nowhere\.json: no such file of ranks"):
        paired_topk_differences([one], [tmp_path / "nowhere.json"])
    with pytest.raises(UserError, match="seeds are compared in pairs"):
        paired_topk_differences([one], [one, one])
