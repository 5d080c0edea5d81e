"""A detector's losses on its test sets. Engine-neutral."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from resnext_det.engines.base import DetectionRun, Engine, Metrics
from resnext_det.training.parts import Stateful
from resnext_det.training.validation import mean_losses


def validation_losses(
    engine: Engine, model: nn.Module, run: DetectionRun, training: Mapping[str, Stateful]
) -> Metrics:
    """Averages the losses over the images of each test set, in all processes alike.

    Args:
        engine: computes them.
        model: on its device, not wrapped.
        run: the config and the test sets.
        training: state of the trained model beside its weights, `Engine.stateful`. Every image
            is judged with it, and it stays as it is.

    Returns:
        The losses by their names in metrics.json: val/total_loss, val/loss_cls, …, or
        NAME/val/total_loss for several test sets.
    """
    losses = engine.build_losses(None)
    state = {name: part.state_dict() for name, part in training.items()}
    parts = engine.stateful(model)

    def reset() -> None:
        for name, part in parts.items():
            part.load_state_dict(state[name])

    def compute(model: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        reset()
        return losses(model, batch)

    results: Metrics = {}
    for name in run.tests:
        means = mean_losses(model, engine.validation_batches(run, name), compute)
        prefix = f"{run.metric_prefix(name)}val/"
        results |= {f"{prefix}{loss}": value for loss, value in means.items()}
    reset()
    return results
