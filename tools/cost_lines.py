"""The Cost lines of the classifiers' headers, from configs/costs.json. Engine-neutral."""

import functools
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from resnext_det.config import load_config
from resnext_det.modeling.variants import get_variant
from tools.config_headers import CONFIGS, runnable

COSTS = CONFIGS / "costs.json"
FOLDERS = ("ImageNet-Classification", "ImageNet-5K", "CIFAR")
WIDTH = 100
PAPER_GPUS, PAPER_BATCH, PAPER_CROP = 8, 256, 224
# Seconds of a mini-batch on 8 M40 (the paper, section 5.1, and its Table 5's text).
PAPER_SECONDS = {"resnet101": 0.70, "resnext101_32x4d": 0.95, "resnext101_64x4d": 1.7}


@dataclass(frozen=True)
class Cost:
    """What a recipe costs.

    Attributes:
        cpu_hours: core-hours of the processor in costs.json.
        cpu_ms: milliseconds of an image there.
        gpu_hours: hours of the GPU in costs.json; None where none was measured.
        gpu: that GPU's name, or "".
        m40_hours: GPU-hours of an M40 by the paper's seconds; None for CIFAR.
        m40_of: whose seconds those are: the network itself, or one it is scaled from.
    """

    cpu_hours: float
    cpu_ms: float
    gpu_hours: float | None
    gpu: str
    m40_hours: float | None
    m40_of: str


def recipe_files() -> list[Path]:
    """Returns the classifiers' files that can be run."""
    return [path for folder in FOLDERS for path in runnable(folder)]


def cost_key(cfg: CfgNode) -> str:
    """Names a network at the size it is trained at; its last layer's classes are left out."""
    net = cfg.MODEL.RESNETS
    without = "" if net.SHORTCUTS else " without shortcuts"
    return f"{net.VARIANT}{without}, {cfg.INPUT.CLASSIFICATION.TRAIN_CROP} px"


@functools.cache
def measured() -> dict[str, Any]:
    """Returns costs.json: device -> what was measured on it."""
    return json.loads(COSTS.read_text(encoding="utf-8"))


def cost_of(path: Path) -> Cost:
    """Works out the cost of a recipe: its images times the seconds of one."""
    cfg = load_config(str(path)).cfg
    images = cfg.SOLVER.MAX_ITER * cfg.SOLVER.IMS_PER_BATCH
    key = cost_key(cfg)
    cpu = measured()["cpu"]["rows"][key]["seconds_per_image"]
    cuda = measured().get("cuda", {})
    on_gpu = cuda.get("rows", {}).get(key)
    m40, of = m40_seconds(cfg)
    return Cost(
        cpu_hours=images * cpu / 3600,
        cpu_ms=1000 * cpu,
        gpu_hours=images * on_gpu["seconds_per_image"] / 3600 if on_gpu else None,
        gpu=cuda["hardware"].get("gpu", "GPU") if on_gpu else "",
        m40_hours=None if m40 is None else images * m40 / 3600,
        m40_of=of,
    )


def m40_seconds(cfg: CfgNode) -> tuple[float | None, str]:
    """Returns an M40's seconds for an image, and whose these are.

    The paper timed three networks; others are scaled by multiply-adds: ResNets from its ResNet-101,
    ResNeXts from its ResNeXt-101 32x4d. CIFAR's networks are too unlike these: None.
    """
    variant = get_variant(cfg.MODEL.RESNETS.VARIANT)
    if variant.stem == "cifar":
        return None, ""
    of = variant.name
    if of not in PAPER_SECONDS:
        of = "resnet101" if variant.num_groups == 1 else "resnext101_32x4d"
    counted = json.loads((CONFIGS / "complexity.json").read_text(encoding="utf-8"))["variants"]
    share = counted[variant.name]["flops"] / counted[of]["flops"]
    share *= (cfg.INPUT.CLASSIFICATION.TRAIN_CROP / PAPER_CROP) ** 2
    return share * PAPER_SECONDS[of] * PAPER_GPUS / PAPER_BATCH, of


def cost_text(path: Path) -> str:
    """Returns what a header's Cost says."""
    cost, cfg = cost_of(path), load_config(str(path)).cfg
    text = f"about {rounded(cost.cpu_hours)} CPU core-hours, from {cost.cpu_ms:.0f} ms an image "
    text += "measured here (configs/costs.json)"
    if cost.gpu_hours is None:
        text += "; on GPUs not measured here"
    else:
        text += f"; {rounded(cost.gpu_hours)} hours of one {cost.gpu}, measured likewise"
    if cost.m40_hours is not None:
        text += f"; about {rounded(cost.m40_hours)} M40 GPU-hours by the paper's "
        text += f"{PAPER_SECONDS[cost.m40_of]} s for 256 images on 8"
        own = cost.m40_of == cfg.MODEL.RESNETS.VARIANT
        if not own or cfg.INPUT.CLASSIFICATION.TRAIN_CROP != PAPER_CROP:
            name = "its 224 px" if own else _title(cost.m40_of)
            text += f", scaled from {name} by multiply-adds"
    return text


def with_cost(path: Path) -> str:
    """Returns the text of a config file with its Cost in its header."""
    lines = textwrap.wrap(
        cost_text(path),
        WIDTH,
        initial_indent="# Cost:     ",
        subsequent_indent="#           ",
        break_on_hyphens=False,
    )
    pattern = r"(?<=\n)# Cost:.*?(?=\n# Expected:)"
    text = path.read_text(encoding="utf-8")
    return re.sub(pattern, lambda _: "\n".join(lines), text, flags=re.DOTALL)


def rounded(hours: float) -> str:
    """Three digits: 13,800 or 0.123."""
    return f"{float(f'{hours:.3g}'):,.0f}" if hours >= 100 else f"{hours:.3g}"


def _title(variant: str) -> str:
    return variant.replace("resnext", "ResNeXt-").replace("resnet", "ResNet-").replace("_", " ")
