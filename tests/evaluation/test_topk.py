"""Top-k counts against scikit-learn's. Engine-neutral."""

import pytest
import torch

from resnext_det.evaluation.topk import TopKCounter, true_class_ranks

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def test_equals_sklearn_over_batches():
    logits = torch.rand(50, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(50) % 10
    counter = TopKCounter()
    for start in (0, 20, 40):
        counter.update(logits[start : start + 20], labels[start : start + 20])
    for k in (1, 5):
        expected = sklearn_metrics.top_k_accuracy_score(labels, logits.numpy(), k=k)
        assert counter.result()[f"top{k}"] == pytest.approx(100 * expected)


def test_fewer_than_five_classes_have_no_top5():
    counter = TopKCounter()
    counter.update(torch.eye(3), torch.tensor([0, 1, 0]))
    assert counter.result() == {"top1": pytest.approx(200 / 3), "top5": None}


def test_no_images():
    assert TopKCounter().result() == {"top1": None, "top5": None}
    counter = TopKCounter()
    counter.update(torch.zeros(0, 10), torch.zeros(0, dtype=torch.int64))
    assert counter.result() == {"top1": None, "top5": None}


def test_shares_of_processes_add_up():
    logits, labels = torch.eye(8), torch.tensor([0, 1, 2, 3, 0, 0, 0, 0])
    parts = [TopKCounter() for _ in range(3)]
    parts[0].update(logits[:5], labels[:5])
    parts[1].update(logits[5:], labels[5:])  # the third process had none
    merged = TopKCounter().merge(parts)
    assert merged.total == 8
    assert merged.result()["top1"] == 50.0


def test_among_some_classes_equals_sklearn_on_these_alone():
    logits = torch.rand(60, 12, generator=torch.Generator().manual_seed(1))
    own = [7, 2, 11, 4, 9, 0]
    labels = torch.tensor(own)[torch.arange(60) % 6]
    counter = TopKCounter(classes=own)
    counter.update(logits, labels)
    places = sorted(own)
    numbers = torch.tensor([places.index(label) for label in labels.tolist()])
    for k in (1, 5):
        expected = sklearn_metrics.top_k_accuracy_score(numbers, logits[:, places].numpy(), k=k)
        assert counter.result()[f"top{k}"] == pytest.approx(100 * expected)


def test_among_four_classes_there_is_no_top5():
    counter = TopKCounter(classes=[0, 1, 2, 5])
    counter.update(torch.eye(6)[:3], torch.tensor([0, 1, 2]))
    assert counter.result() == {"top1": 100.0, "top5": None}


def test_ranks_are_places_in_the_order_of_the_scores():
    logits = torch.rand(40, 9, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(40) % 9
    counter = TopKCounter()
    counter.update(logits[:30], labels[:30])
    counter.update(logits[30:], labels[30:])
    order = logits.argsort(dim=1, descending=True)
    assert counter.ranks.tolist() == (order == labels[:, None]).int().argmax(1).tolist()


def test_of_equal_scores_the_lower_class_comes_first():
    logits = torch.tensor([[1.0, 2.0, 2.0, 2.0, 0.0]]).repeat(5, 1)
    assert true_class_ranks(logits, torch.arange(5)).tolist() == [3, 0, 1, 2, 4]


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_network_with_nothing_to_say_is_right_by_chance(value):
    counter = TopKCounter()
    counter.update(torch.full((10, 10), value), torch.arange(10))
    assert counter.result() == {"top1": 10.0, "top5": 50.0}


def test_a_score_that_is_no_number_comes_first():
    logits = torch.tensor([[5.0, float("nan"), 1.0]]).repeat(3, 1)
    assert true_class_ranks(logits, torch.arange(3)).tolist() == [1, 0, 2]
