"""The best evaluation of a run, and when to stop waiting for a better one. Engine-neutral."""

import logging
import math
from collections.abc import Collection, Mapping
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.config import meant
from resnext_det.errors import UserError
from resnext_det.training.distributed import broadcast_object

TOTAL_LOSS = "val/total_loss"
_KEY = "TEST.BEST_METRIC"

logger = logging.getLogger(__name__)


class BestMetric:
    """Follows TEST.BEST_METRIC through the evaluations of a run, in every process alike.

    Args:
        metric: its name in metrics.json; one with "loss" in it is minimised.
        patience: TEST.PATIENCE, evaluations without a better value that end the run; 0 never.

    Attributes:
        value: the best so far; None before the first.
        iteration: when it was measured.
        misses: evaluations since then.
    """

    def __init__(self, metric: str, patience: int = 0) -> None:
        self.metric = metric
        self.patience = patience
        self.value: float | None = None
        self.iteration: int | None = None
        self.misses = 0
        self._evaluated = -1

    @property
    def is_spent(self) -> bool:
        """Whether the run has waited long enough."""
        return self.misses >= self.patience > 0

    def __str__(self) -> str:
        best = "has no value" if self.value is None else f"is best at {self.value:.6g}"
        return (
            f"{_KEY} {self.metric} {best} (iteration {self.iteration}), "
            f"{self.misses} evaluations ago"
        )

    def update(self, metrics: Mapping[str, float | None], iteration: int) -> bool:
        """Takes an evaluation's metrics; one of an iteration that was taken before is not new.

        Args:
            metrics: of the main process, which decides for all.
            iteration: the last finished one.

        Returns:
            Whether they are the best so far.

        Raises:
            UserError: the metric is not among them.
        """
        known, value = broadcast_object((sorted(metrics), metrics.get(self.metric)))
        if self.metric not in known:
            raise UserError(_unknown(self.metric, known))
        if iteration <= self._evaluated:
            return False
        self._evaluated = iteration
        if value is None:
            logger.warning("%s %s has no value on this test set", _KEY, self.metric)
            return False
        if not self._is_better(value):
            self.misses += 1
            return False
        self.value, self.iteration, self.misses = value, iteration, 0
        return True

    def summary(self) -> dict[str, Any]:
        """Returns metric, value and iteration of the best evaluation, as result.json has them."""
        return {"metric": self.metric, "value": self.value, "iteration": self.iteration}

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint needs."""
        return {**self.summary(), "misses": self.misses, "evaluated": self._evaluated}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave; for another metric it starts anew."""
        if state["metric"] != self.metric:
            return
        self.value, self.iteration = state["value"], state["iteration"]
        self.misses, self._evaluated = state["misses"], state["evaluated"]

    def _is_better(self, value: float) -> bool:
        if math.isnan(value) or self.value is None:
            return not math.isnan(value)
        return value < self.value if "loss" in self.metric else value > self.value


def build_best(cfg: CfgNode) -> BestMetric | None:
    """Builds what TEST.BEST_METRIC and TEST.PATIENCE ask for."""
    return BestMetric(cfg.TEST.BEST_METRIC, cfg.TEST.PATIENCE) if cfg.TEST.BEST_METRIC else None


def check_best_metric(cfg: CfgNode, known: Collection[str]) -> None:
    """Checks, before training, that TEST.BEST_METRIC is one of the metrics there will be.

    Single losses have no names yet: they are checked at the first evaluation.

    Args:
        cfg: the configuration.
        known: the names that an evaluation writes to metrics.json; a name that ends in `*`
            stands for all that begin so.

    Raises:
        UserError: it is none; names all and the nearest.
    """
    metric = cfg.TEST.BEST_METRIC
    open_ended = tuple(name[:-1] for name in known if name.endswith("*"))
    if metric and metric not in known and not metric.startswith(open_ended or ("*",)):
        raise UserError(_unknown(metric, sorted(known)))


def has_stopped(cfg: CfgNode, state: Mapping[str, Any]) -> bool:
    """Tells whether a checkpoint is of a run that TEST.PATIENCE has ended."""
    best = build_best(cfg)
    if best is not None and "best" in state:
        best.load_state_dict(state["best"])
    return best is not None and best.is_spent


def _unknown(metric: str, known: Collection[str]) -> str:
    close = meant(metric, known)
    unmeasured = "loss" in metric and not any("val/" in name for name in known)
    loss = "; losses need TEST.VALIDATION_LOSS True" if unmeasured else ""
    return f"{_KEY} is {metric}, but there are {', '.join(known) or 'none'}{close}{loss}"
