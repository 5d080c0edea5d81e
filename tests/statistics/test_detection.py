"""Differences of two detectors against a bootstrap by pycocotools on repeated images."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from resnext_det.errors import UserError
from resnext_det.evaluation.coco_ap import evaluate_boxes, evaluate_coco
from resnext_det.evaluation.coco_input import read_ground_truth
from resnext_det.statistics.bootstrap import Draws, verdict_of
from resnext_det.statistics.detection import paired_differences
from tests.statistics.duplicated import reference_scores

Vectors = Callable[..., tuple[Path, Path]]


@pytest.fixture
def study(make_vector: Vectors) -> tuple[Path, list[Path], list[Path]]:
    """A set of 10 images, two detectors and three seeds: shares and shifts of one set of boxes."""
    gt, dt = make_vector(seed=4, num_images=10, tied_scores=True, crowd_share=0.1)
    records = json.loads(dt.read_text())
    sides = []
    for side, share in (("first", 0.5), ("second", 0.8)):
        paths = []
        for seed in range(3):
            random = np.random.default_rng([seed, int(10 * share)])
            kept = [
                {**r, "bbox": (np.array(r["bbox"]) + random.normal(size=4)).tolist()}
                for r in records
                if random.random() < share
            ]
            paths.append(gt.with_name(f"{side}{seed}.json"))
            paths[-1].write_text(json.dumps(kept))
        sides.append(paths)
    return gt, sides[0], sides[1]


def test_equals_a_bootstrap_by_pycocotools(study: tuple[Path, list[Path], list[Path]]) -> None:
    gt, first, second = study
    draws = Draws(num_images=10, num_seeds=3, num_samples=6)
    images, seeds = draws.image_counts(), draws.seed_counts

    def gaps(counts: np.ndarray) -> np.ndarray:
        """(3 seeds, M) second minus first."""
        pairs = zip(first, second, strict=True)
        return 100 * np.stack(
            [reference_scores(gt, b, counts) - reference_scores(gt, a, counts) for a, b in pairs]
        )

    whole = gaps(images[0])
    samples = np.stack(
        [
            np.repeat(gaps(counts), drawn, axis=0).mean(axis=0)
            for counts, drawn in zip(images[1:], seeds, strict=True)
        ]
    )
    found = paired_differences(gt, first, second, num_samples=6, confidence=0.8)
    names = [*("AP", "AP50", "AP75", "APs", "APm", "APl")]
    names += [f"AP-{name}" for name in read_ground_truth(gt).class_names]
    assert [d.metric for d in found] == names
    for index, difference in enumerate(found):
        assert difference.per_seed == pytest.approx(whole[:, index], abs=1e-9)
        assert difference.value == pytest.approx(whole[:, index].mean(), abs=1e-9)
        defined = samples[:, index][~np.isnan(samples[:, index])]
        assert difference.low == pytest.approx(np.percentile(defined, 10), abs=1e-9)
        assert difference.high == pytest.approx(np.percentile(defined, 90), abs=1e-9)


def test_the_difference_is_that_of_the_two_evaluations(
    study: tuple[Path, list[Path], list[Path]],
) -> None:
    gt, first, second = study
    found = {d.metric: d for d in paired_differences(gt, first, second, num_samples=100)}
    truth = read_ground_truth(gt)
    for seed, (a, b) in enumerate(zip(first, second, strict=True)):
        before, after = evaluate_boxes(truth, a), evaluate_boxes(truth, b)
        assert set(found) == {name for name, value in before.items() if value is not None}
        for name, difference in found.items():
            assert difference.per_seed[seed] == pytest.approx(after[name] - before[name], abs=1e-9)
    ap = found["AP"]
    assert ap.low < ap.value < ap.high
    assert (ap.num_images, ap.num_seeds, ap.confidence) == (10, 3, 0.95)
    assert ap.t_low is not None
    assert ap.t_high is not None
    assert ap.verdict == verdict_of((ap.low, ap.high), (ap.t_low, ap.t_high))


def test_a_choice_of_metrics_in_its_order(study: tuple[Path, list[Path], list[Path]]) -> None:
    gt, first, second = study
    some = paired_differences(gt, first, second, metrics=["AP75", "AP"], num_samples=20)
    every = {d.metric: d for d in paired_differences(gt, first, second, num_samples=20)}
    assert some == [every["AP75"], every["AP"]]


def test_one_seed_and_one_image(make_vector: Vectors) -> None:
    gt, dt = make_vector(seed=3, num_images=1)
    empty = dt.with_name("empty.json")
    empty.write_text("[]")
    difference = paired_differences(gt, [empty], [dt], num_samples=10)[0]
    ap = evaluate_coco(gt, dt)["AP"]
    # The one image is drawn every time.
    assert (difference.value, difference.low, difference.high) == pytest.approx((ap, ap, ap))
    assert (difference.num_images, difference.num_seeds, difference.verdict) == (1, 1, None)


def test_equal_detectors_are_not_told_apart(make_vector: Vectors) -> None:
    gt, dt = make_vector(seed=3)
    for difference in paired_differences(gt, [dt, dt], [dt, dt], num_samples=20):
        assert (difference.value, difference.low, difference.high) == (0, 0, 0)
        assert difference.verdict == "not told apart"


def test_a_metric_without_ground_truth_is_left_out(make_vector: Vectors) -> None:
    gt, dt = make_vector("none", seed=3, max_boxes=0)
    assert paired_differences(gt, [dt], [dt], num_samples=5) == []
    gt, dt = make_vector("one", seed=3, num_classes=1)
    content = json.loads(gt.read_text())
    content["categories"].append({"id": 999, "name": "absent"})
    gt.write_text(json.dumps(content))
    names = [d.metric for d in paired_differences(gt, [dt], [dt], num_samples=5)]
    assert "AP-absent" not in names
    assert names[-1].startswith("AP-class")


def test_hotcocos_own_interval_counts_a_drawn_image_once(make_vector: Vectors) -> None:
    """Why the draws are ours: an image drawn thrice counts once there.

    So a sample is about 63 % of the images without repetition, and its spread is √(0.37/0.63) =
    0.76 of the bootstrap's.
    """
    import hotcoco

    from resnext_det.evaluation.coco_ap import evaluate_with_hotcoco
    from resnext_det.evaluation.coco_input import result_rows

    gt, dt = make_vector(seed=1, num_images=60)
    records = json.loads(dt.read_text())
    some = dt.with_name("some.json")
    some.write_text(json.dumps(records[::2]))
    truth = read_ground_truth(gt)
    sides = [
        evaluate_with_hotcoco(truth.dataset, result_rows("dt", part, truth))
        for part in (records[::2], records)
    ]
    theirs = hotcoco.compare(*sides, n_bootstrap=1000, confidence=0.95)["ci"]["AP"]
    ours = paired_differences(gt, [some], [dt], metrics=["AP"])[0]
    ratio = 100 * (theirs["upper"] - theirs["lower"]) / (ours.high - ours.low)
    assert ratio == pytest.approx(0.76, abs=0.08)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((0, 0), "a comparison needs the results of at least one seed on both sides"),
        ((1, 0), "a comparison needs the results of at least one seed on both sides"),
        ((1, 2), r"1 results beside 2 \(first .*dt\.json and .*dt\.json\): seeds are compared in"),
    ],
    ids=["nothing", "one side", "unpaired"],
)
def test_what_does_not_pair_is_refused(
    counts: tuple[int, int], words: str, make_vector: Vectors
) -> None:
    gt, dt = make_vector(seed=0)
    with pytest.raises(UserError, match=words) as caught:
        paired_differences(gt, [dt] * counts[0], [dt] * counts[1])
    assert "\n" not in str(caught.value)


def test_an_unknown_metric_is_named(make_vector: Vectors) -> None:
    gt, dt = make_vector(seed=0)
    with pytest.raises(UserError, match=r"metric 'AP60': .*gt\.json has AP, AP50, AP75, APs"):
        paired_differences(gt, [dt], [dt], metrics=["AP60"])


def test_results_of_another_data_set_are_named(make_vector: Vectors) -> None:
    gt, dt = make_vector("one", seed=0)
    _, other = make_vector("other", seed=1)
    with pytest.raises(UserError, match=r"other.*dt\.json: record 0 has image_id .* does not have"):
        paired_differences(gt, [dt], [other], num_samples=2)
