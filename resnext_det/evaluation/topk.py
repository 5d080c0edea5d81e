"""Top-1 and top-5 accuracy of a classifier. Engine-neutral."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def true_class_ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns how many classes come before each image's own.

    Of classes that score the same the lower number comes first, and NaN before all, so that a
    network which has nothing to say is not always right.

    Args:
        logits: (N, K) scores, N may be 0.
        labels: (N,) int64 in 0 … K-1.

    Returns:
        (N,) int64; 0 where the true class comes first.
    """
    scores = logits.masked_fill(logits.isnan(), float("inf"))
    own = scores.gather(1, labels[:, None])  # (N, 1)
    numbers = torch.arange(scores.shape[1], device=scores.device)
    before = (scores > own) | ((scores == own) & (numbers < labels[:, None]))
    return before.sum(1)


class TopKCounter:
    """Counts images whose class is among the k best scored.

    Args:
        ks: the k that are asked for.
        classes: the M class numbers to choose among; all where it is None. Each image's class
            is one of them.
    """

    def __init__(self, ks: tuple[int, ...] = (1, 5), classes: Sequence[int] | None = None) -> None:
        self._ks = ks
        self._classes = None if classes is None else torch.tensor(sorted(classes))
        self._ranks: list[Tensor] = []
        self._choices: set[int] = set()  # numbers of classes that were chosen among

    @property
    def ranks(self) -> Tensor:
        """(N,) int64, of each image in the order of the updates; see `true_class_ranks`."""
        return torch.cat([torch.zeros(0, dtype=torch.int64), *self._ranks])

    @property
    def total(self) -> int:
        """How many images were counted."""
        return sum(map(len, self._ranks))

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Takes one batch.

        With fewer than k classes there is no top-k: every answer would be right.

        Args:
            logits: (N, K) scores, N may be 0.
            labels: (N,) int64 in 0 … K-1.
        """
        if self._classes is not None:
            logits = logits[:, self._classes]  # (N, M)
            labels = torch.searchsorted(self._classes, labels)
        self._choices.add(logits.shape[1])
        self._ranks.append(true_class_ranks(logits, labels))

    def merge(self, others: Iterable["TopKCounter"]) -> "TopKCounter":
        """Returns all the others together, one after another, for several processes."""
        merged = TopKCounter(self._ks)
        for other in others:
            merged._ranks.append(other.ranks)
            merged._choices |= other._choices
        return merged

    def result(self) -> dict[str, float | None]:
        """Returns top1, top5, … in percent; None without images or with fewer classes."""
        ranks = self.ranks
        return {
            f"top{k}": 100.0 * int((ranks < k).sum()) / len(ranks)
            if len(ranks) and min(self._choices) >= k
            else None
            for k in self._ks
        }
