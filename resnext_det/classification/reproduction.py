"""A classifier's update, done again from its bundle. Engine-neutral."""

from fvcore.common.config import CfgNode

from resnext_det.classification.batch_form import KINDS
from resnext_det.classification.device_batch import build_device_batch
from resnext_det.classification.losses import classification_losses
from resnext_det.classification.mixing import build_mix
from resnext_det.classification.prepare import ENGINE
from resnext_det.data.classification_batch import ClassificationBatch
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.training.acceleration import in_layout
from resnext_det.training.device import resolve_device
from resnext_det.training.non_finite.bundle import BatchForm
from resnext_det.training.non_finite.reproduction import Task


def classification_task(cfg: CfgNode) -> Task:
    """Builds what an update of a classifier is made of; without compiled code.

    Args:
        cfg: of the run, with its number of classes.
    """
    device = resolve_device(cfg)
    model = in_layout(cfg, classifier_from_config(cfg).to(device))
    to_inputs = build_device_batch(cfg, device)
    losses = classification_losses(cfg.SOLVER.LABEL_SMOOTHING, to_inputs, build_mix(cfg))
    form = BatchForm(ENGINE, KINDS, lambda batch: [])
    return Task(cfg, model, losses, form, split=ClassificationBatch.split)
