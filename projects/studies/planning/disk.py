"""What a run leaves on disk, before there is a run. Engine-neutral."""

from collections.abc import Iterable
from pathlib import Path

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from projects.studies.planning.job_facts import JobFacts
from resnext_det.engines.base import resolve_engine
from resnext_det.modeling.from_config import classifier_from_config

_DETECTION_BYTES = 150  # of one box in coco_instances_results.json
_PROPOSAL_BYTES = 20  # of one in box_proposals.npz: four corners and a logit, float32
_LINE_BYTES = 2000  # of one line of metrics.json, with what the log and TensorBoard keep of it
_LINE_PERIOD = 20  # iterations between lines
_ENTRY_BYTES = 250  # around each tensor of a file


def run_bytes(facts: JobFacts) -> int:
    """Returns the bytes that a whole run's folder will hold.

    Raises:
        UserError: the engine is not there, or cannot build the network.
    """
    cfg, model = facts.cfg, network(facts)
    count = num_checkpoints(cfg)
    weights = _tensor_bytes(model.state_dict().values()) if cfg.TEST.BEST_METRIC else 0
    found = 0 if facts.classifies else (facts.test_images or 0) * found_bytes(cfg)
    lines = cfg.SOLVER.MAX_ITER // _LINE_PERIOD * _LINE_BYTES
    return count * checkpoint_bytes(cfg, model) + weights + found + lines


def network(facts: JobFacts) -> nn.Module:
    """Builds a job's network without its numbers, where the engine can.

    Raises:
        UserError: as `run_bytes`.
    """
    if facts.classifies:
        with torch.device("meta"):
            return classifier_from_config(facts.cfg)
    engine = resolve_engine(facts.engine)
    if engine.name == "d2":  # Detectron2 moves its models to a device, which "meta" is not
        return engine.build_model(facts.cfg)
    with torch.device("meta"):
        return engine.build_model(facts.cfg)


def checkpoint_bytes(cfg: CfgNode, model: nn.Module) -> int:
    """Returns the bytes of a checkpoint: weights, their average, and the optimizer's momentum."""
    state = list(model.state_dict().values())
    copies = 2 if cfg.SOLVER.EMA.ENABLED else 1
    trained = [p for p in model.parameters() if p.requires_grad] if cfg.SOLVER.MOMENTUM else []
    tensors = len(state) * copies + len(trained)
    return copies * _tensor_bytes(state) + _tensor_bytes(trained) + tensors * _ENTRY_BYTES


def num_checkpoints(cfg: CfgNode) -> int:
    """Returns how many checkpoints with the optimizer's state a run leaves, model_final too."""
    period, keep = cfg.SOLVER.CHECKPOINT_PERIOD, cfg.SOLVER.KEEP_CHECKPOINTS
    periodic = cfg.SOLVER.MAX_ITER // period if period > 0 else 0
    return (min(periodic, keep) if keep else periodic) + 1


def folder_bytes(folder: Path) -> int:
    """Returns the bytes of the files below a folder; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def found_bytes(cfg: CfgNode) -> int:
    """Returns the bytes of what is kept of a test image, at most."""
    if cfg.MODEL.META_ARCHITECTURE == "ProposalNetwork":
        return cfg.MODEL.RPN.POST_NMS_TOPK_TEST * _PROPOSAL_BYTES
    return cfg.TEST.DETECTIONS_PER_IMAGE * _DETECTION_BYTES


def _tensor_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
