"""Top-1 and top-5 accuracy of a classifier. Engine-neutral."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


class TopKCounter:
    """Counts images whose class is among the k best scored.

    Args:
        ks: the k that are asked for.
        classes: the M class numbers to choose among; all where it is None. Each image's class
            is one of them.
    """

    def __init__(self, ks: tuple[int, ...] = (1, 5), classes: Sequence[int] | None = None) -> None:
        self.correct: dict[int, int | None] = dict.fromkeys(ks, 0)
        self.total = 0
        self._classes = None if classes is None else torch.tensor(sorted(classes))

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
        for k, count in self.correct.items():
            if logits.shape[1] < k or count is None:
                self.correct[k] = None
                continue
            best = logits.topk(k, dim=1).indices  # (N, k)
            self.correct[k] = count + int((best == labels[:, None]).sum())
        self.total += len(labels)

    def merge(self, others: Iterable["TopKCounter"]) -> "TopKCounter":
        """Returns the counts of all the others together, for several processes."""
        merged = TopKCounter(tuple(self.correct))
        for other in others:
            merged.total += other.total
            for k, count in other.correct.items():
                mine = merged.correct[k]
                merged.correct[k] = None if count is None or mine is None else mine + count
        return merged

    def result(self) -> dict[str, float | None]:
        """Returns top1, top5, … in percent; None without images or with fewer classes."""
        return {
            f"top{k}": 100.0 * count / self.total if self.total and count is not None else None
            for k, count in self.correct.items()
        }
