"""A detector's update, done again from its bundle. Engine-neutral."""

from fvcore.common.config import CfgNode

from resnext_det.engines.base import Engine
from resnext_det.training.acceleration import in_layout
from resnext_det.training.device import resolve_device
from resnext_det.training.non_finite.reproduction import Task


def detection_task(engine: Engine, cfg: CfgNode) -> Task:
    """Builds what an update of a detector is made of.

    Args:
        engine: the one that the run had.
        cfg: of the run, with its number of classes.

    Raises:
        UserError: the engine cannot build what the config describes.
    """
    engine.check_config(cfg)
    model = in_layout(cfg, engine.build_model(cfg).to(resolve_device(cfg)))
    return Task(
        cfg,
        model,
        engine.build_losses(None),
        engine.batch_form,
        parts=engine.stateful(model),
    )
