#!/usr/bin/env python
"""Trains a public detector that stands on Detectron2, with this project's backbone. Engine-neutral.

    python projects/OtherDetectors/launch.py SparseR-CNN path/to/checkout \
        --config-file CONFIG MODEL.BACKBONE.NAME build_resnext_fpn_backbone …

Runs the checkout's own training script, unchanged, with the two lines of README.md put in from
outside. Everything after the checkout's path is that script's.
"""

import importlib
import runpy
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torchvision

from resnext_det.errors import UserError


@dataclass(frozen=True)
class Detector:
    """Where a repository keeps what has to be called.

    Attributes:
        script: its training script, in the checkout.
        module: the module that its script takes `adds_keys` from.
        adds_keys: its function that adds its keys to Detectron2's tree.
        old_torchvision: it imports two names of torchvision that went away with 0.10 and calls
            neither: its comparison takes version 0.29 for 0.2.
    """

    script: str
    module: str
    adds_keys: str
    old_torchvision: bool = False


DETECTORS = {
    "SparseR-CNN": Detector(
        "projects/SparseRCNN/train_net.py", "sparsercnn", "add_sparsercnn_config", True
    ),
    "CenterNet2": Detector("train_net.py", "centernet.config", "add_centernet_config"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the training script; returns 2 after a mistake the user can mend."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        detector, script = find(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sys.path.insert(0, str(script.parent))
    if detector.old_torchvision:
        provide_old_names()
    add_our_keys(detector)
    sys.argv = [str(script), *arguments[2:]]
    runpy.run_path(str(script), run_name="__main__")
    return 0


def find(arguments: Sequence[str]) -> tuple[Detector, Path]:
    """Finds the detector and its training script.

    Raises:
        UserError: no such detector, or the checkout lacks the script.
    """
    if len(arguments) < 2 or arguments[0] not in DETECTORS:
        raise UserError(f"give a detector ({', '.join(DETECTORS)}) and the path of its checkout")
    detector = DETECTORS[arguments[0]]
    script = (Path(arguments[1]) / detector.script).resolve()
    if not script.is_file():
        raise UserError(f"{script}: not there; is {arguments[1]} a checkout of {arguments[0]}?")
    return detector, script


def provide_old_names() -> None:
    """Gives torchvision the two names back, so that the import passes."""
    for module, name in (
        (torchvision.ops, "_new_empty_tensor"),
        (torchvision.ops.misc, "_output_size"),
    ):
        if not hasattr(module, name):
            setattr(module, name, None)


def add_our_keys(detector: Detector) -> None:
    """Registers our backbones, and lets the detector's function add our keys too."""
    import resnext_det.engines.d2 as resnext_d2

    module = importlib.import_module(detector.module)
    add_theirs = getattr(module, detector.adds_keys)

    def add_both(cfg: Any) -> None:
        add_theirs(cfg)
        resnext_d2.add_config(cfg)

    setattr(module, detector.adds_keys, add_both)


if __name__ == "__main__":
    sys.exit(main())
