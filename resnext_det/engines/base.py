"""What a detection engine must do, and which one runs. Engine-neutral."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.data.coco import CocoDataset
from resnext_det.errors import UserError
from resnext_det.training.run_directory import RunStart
from resnext_det.weights.sources import Weights

EngineName = Literal["auto", "d2", "portable"]
Metrics = dict[str, float | None]
"""Percent by Detectron2's names: AP AP50 AP75 APs APm APl, and AP-CLASS for each of several
classes; None where there is no ground truth."""


@dataclass(frozen=True)
class DetectionRun:
    """Everything a detection run needs, read and checked before it starts.

    Attributes:
        cfg: the final config, frozen.
        train: the training set; None when only evaluating.
        tests: the evaluation sets by name, in the order of `DATASETS.TEST`.
        weights: what to start from or to evaluate: `MODEL.WEIGHTS`, or the checkpoint of the run
            that is continued; None when training from scratch.
    """

    cfg: CfgNode
    train: CocoDataset | None
    tests: Mapping[str, CocoDataset]
    weights: Weights | None

    def inference_folder(self, name: str) -> Path:
        """Returns where the results on a test set go: `inference/`, or a folder each of several."""
        folder = Path(self.cfg.OUTPUT_DIR) / "inference"
        return folder if len(self.tests) == 1 else folder / name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes, in the order of the detector's outputs."""
        datasets = [self.train, *self.tests.values()]
        return next((tuple(d.class_names) for d in datasets if d is not None), ())


class Engine(Protocol):
    """The contract of both detection engines: same config, same files, same numbers."""

    name: str

    def check_config(self, cfg: CfgNode) -> None:
        """Refuses settings that the engine does not honour.

        Raises:
            UserError: a key differs from its default and is not honoured.
        """
        ...

    def build_model(self, cfg: CfgNode) -> nn.Module:
        """Returns the detector with Detectron2's parameter names, newly initialised."""
        ...

    def train(self, run: DetectionRun, start: RunStart) -> Mapping[str, Metrics]:
        """Trains up to `SOLVER.MAX_ITER`, evaluates, and writes Detectron2's files.

        Args:
            run: the checked inputs.
            start: the iteration and the checkpoint to begin from.

        Returns:
            The final metrics by test set name; empty on ranks other than the first.
        """
        ...

    def evaluate(self, run: DetectionRun) -> Mapping[str, Metrics]:
        """Evaluates `run.weights` on every test set and writes `inference/`.

        Returns:
            The metrics by test set name; empty on ranks other than the first.

        Raises:
            UserError: the weights hold no whole detector of this config.
        """
        ...


def detectron2_is_installed() -> bool:
    """Tells whether Detectron2 can be imported, without importing it."""
    return importlib.util.find_spec("detectron2") is not None


def resolve_engine(name: EngineName) -> Engine:
    """Returns the engine of that name; "auto" takes Detectron2 where it is installed.

    Raises:
        UserError: `d2` is asked for and Detectron2 is not installed.
    """
    if name == "d2" and not detectron2_is_installed():
        raise UserError(
            "--engine d2 needs Detectron2, which is not installed: `make detectron2` tries to "
            "(or requirements-detectron2.txt by hand); or use --engine portable"
        )
    if name == "portable" or not detectron2_is_installed():
        from resnext_det.engines.portable.engine import PortableEngine

        return PortableEngine()
    from resnext_det.engines.d2.engine import D2Engine

    return D2Engine()
