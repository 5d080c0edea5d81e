"""Mixing the images of a batch, and their labels with them: MixUp and CutMix. Engine-neutral.

torchvision's own transforms, on the normalised batch, where it is computed. Each image is mixed
with the one before it, which a shuffled batch makes a random one.
"""

from collections.abc import Callable

from fvcore.common.config import CfgNode
from torch import Tensor
from torchvision.transforms import v2

from resnext_det.errors import UserError
from resnext_det.training.acceleration import memory_format
from resnext_det.training.distributed import world_size

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(N, 3, H, W) float images and (N,) int64 labels -> as many images and (N, K) float targets,
which add up to 1 for each image."""


def build_mix(cfg: CfgNode) -> Mix | None:
    """Returns what SOLVER.MIXUP_ALPHA and CUTMIX_ALPHA ask for, or None.

    With both, each batch is mixed in one way or the other, each with probability 1/2. Shares
    and places are drawn from torch's generator on the CPU, which the loop seeds for each
    iteration and process; a pass of several mixes the images of its own.

    Sources: MixUp, arXiv 1710.09412, Eq. 2; CutMix, arXiv 1905.04899, Eqs. 1-3.
    """
    classes = cfg.MODEL.CLASSIFIER.NUM_CLASSES
    ways: list[v2.Transform] = []
    if cfg.SOLVER.MIXUP_ALPHA > 0:
        ways.append(v2.MixUp(alpha=cfg.SOLVER.MIXUP_ALPHA, num_classes=classes))
    if cfg.SOLVER.CUTMIX_ALPHA > 0:
        ways.append(v2.CutMix(alpha=cfg.SOLVER.CUTMIX_ALPHA, num_classes=classes))
    if not ways:
        return None
    way, layout = ways[0] if len(ways) == 1 else v2.RandomChoice(ways), memory_format(cfg)

    def mix(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        images, targets = way(images, labels)
        return images.contiguous(memory_format=layout), targets  # rolling may lose the layout

    return mix


def check_mixing(cfg: CfgNode) -> None:
    """Checks that there are images to mix.

    Raises:
        UserError: a process sees one image, or none, in each pass.
    """
    solver, given = cfg.SOLVER, _given(cfg)
    if not given:
        return
    processes, passes = world_size(), solver.GRADIENT_ACCUMULATION
    if solver.IMS_PER_BATCH // (processes * passes) < 2:
        raise UserError(
            f"{given}, but SOLVER.IMS_PER_BATCH {solver.IMS_PER_BATCH} leaves one image to each "
            f"of {processes} process(es) times GRADIENT_ACCUMULATION {passes}, with none to mix "
            "it with; take a larger batch, or set it to 0"
        )


def check_classes_to_mix(cfg: CfgNode) -> None:
    """Checks, when the data are known, that there are classes to mix.

    Raises:
        UserError: there is one only.
    """
    given = _given(cfg)
    if given and cfg.MODEL.CLASSIFIER.NUM_CLASSES < 2:
        raise UserError(f"{given}, but there is one class only; set it to 0")


def _given(cfg: CfgNode) -> str:
    """Says which key asks for mixing; nothing where none does."""
    for key in ("MIXUP_ALPHA", "CUTMIX_ALPHA"):
        if cfg.SOLVER[key] > 0:
            return f"SOLVER.{key} is {cfg.SOLVER[key]}"
    return ""
