"""A trained detector's file: its weights, its config and its classes. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fvcore.common.config import CfgNode

from resnext_det.config import config_of_text, get_value, load_config, task_of, with_values
from resnext_det.engines.numbers import NUM_CLASSES_KEYS
from resnext_det.errors import UserError, few
from resnext_det.weights.config_of_weights import apply_to_config
from resnext_det.weights.naming.detectron2 import is_backbone_key
from resnext_det.weights.sources import Weights, read_weights

NO_BOXES = {
    "ProposalNetwork": "finds proposals of no class",
    "SemanticSegmentor": "labels pixels",
}
_CODE = (
    "a config in Python syntax is code, which prediction does not run; `train_net.py "
    "--config-file FILE.py --eval-only` evaluates such a detector"
)
_GIVE = "give a detector's checkpoint, such as model_final.pth of a run"


@dataclass(frozen=True)
class DetectorFile:
    """What a detector is built from.

    Attributes:
        cfg: the config, frozen, as the weights want it.
        weights: all tensors of the detector, on the CPU.
        class_names: the K names, in the order of the head.
    """

    cfg: CfgNode
    weights: Weights
    class_names: tuple[str, ...]


def read_detector_file(
    path: str | Path, *, config_file: str | None = None, class_names: Sequence[str] = ()
) -> DetectorFile:
    """Reads a detector's checkpoint, of which nothing is executed.

    Args:
        path: the file, or an address of one.
        config_file: of a file that carries no config, or another project's.
        class_names: of a file that carries none, in the order of the head.

    Raises:
        UserError: it is no detector's, or what is asked of it is not in it; one line says which.
    """
    weights = read_weights(str(path))
    cfg = _config(weights, config_file)
    _check_task(cfg, weights.source)
    names = _class_names(weights, tuple(class_names))
    if config_file is not None:  # a config file leaves the number of classes to the data
        cfg = with_values(cfg, dict.fromkeys(NUM_CLASSES_KEYS, len(names)))
    cfg = apply_to_config(cfg, frozenset(), weights)
    number = get_value(cfg, f"{head_section(cfg)}.NUM_CLASSES")
    if number != len(names):
        raise UserError(
            f"{weights.source}: its head has {number} classes, but {len(names)} are named "
            f"({few(names)}): give the names of all, in the order of the head"
        )
    return DetectorFile(cfg, weights, names)


def _config(weights: Weights, config_file: str | None) -> CfgNode:
    if config_file is not None:
        if config_file.endswith(".py"):
            raise UserError(f"{config_file}: {_CODE}")
        return load_config(config_file).cfg
    if weights.config:
        return config_of_text(weights.config, weights.source)
    if any(key.startswith("linear.") for key in weights.state):
        raise UserError(f"{weights.source}: a classifier's weights, which find no boxes; {_GIVE}")
    if all(map(is_backbone_key, weights.state)):
        raise UserError(f"{weights.source}: a backbone without a detector's head; {_GIVE}")
    raise UserError(
        f"{weights.source}: holds no config, so that nobody knows what to build: give the config "
        "it was trained with (--config-file; config_file=)"
    )


def _check_task(cfg: CfgNode, source: str) -> None:
    if task_of(cfg) == "classification":
        raise UserError(f"{source}: a classifier's checkpoint, which finds no boxes; {_GIVE}")
    if cfg.LAZY_CONFIG:
        raise UserError(f"{source}: {_CODE}")
    architecture = cfg.MODEL.META_ARCHITECTURE
    if architecture in NO_BOXES:
        raise UserError(f"{source}: a {architecture}, which {NO_BOXES[architecture]}; {_GIVE}")
    if cfg.MODEL.LOAD_PROPOSALS:
        raise UserError(
            f"{source}: needs stored proposals for each image (MODEL.LOAD_PROPOSALS): evaluate it "
            "with `train_net.py --eval-only`"
        )


def _class_names(weights: Weights, given: tuple[str, ...]) -> tuple[str, ...]:
    known = weights.class_names
    if given and known and given != known:
        raise UserError(
            f"{weights.source}: was trained on the classes {few(known)} ({len(known)}), but "
            f"{few(given)} ({len(given)}) are given: leave them out"
        )
    if not (given or known):
        raise UserError(
            f"{weights.source}: holds no class names: give them, in the order of the head "
            "(--class-names FILE; class_names=)"
        )
    return known or given


def left_out_of(cfg: CfgNode) -> tuple[str, ...]:
    """Returns what else a detector finds than the boxes, which alone are given."""
    parts = {
        "masks": cfg.MODEL.MASK_ON,
        "keypoints": cfg.MODEL.KEYPOINT_ON,
        "labels of pixels": cfg.MODEL.META_ARCHITECTURE == "PanopticFPN",
    }
    return tuple(name for name, found in parts.items() if found)


def head_section(cfg: CfgNode) -> str:
    """Returns where a config says how final boxes are chosen: the dotted name of a group."""
    is_dense = cfg.MODEL.META_ARCHITECTURE == "RetinaNet"
    return "MODEL.RETINANET" if is_dense else "MODEL.ROI_HEADS"
