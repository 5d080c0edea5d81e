"""What a detection engine must do, and which one runs. Engine-neutral."""

import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from fvcore.common.config import CfgNode
from torch import nn

from resnext_det.config import LoadedConfig, with_values
from resnext_det.data.coco import CocoDataset, CocoRecord
from resnext_det.data.opened_image import Pixels
from resnext_det.data.set_aside import SetAsideImages
from resnext_det.errors import UserError
from resnext_det.structures import Detections
from resnext_det.training.loop import Losses
from resnext_det.training.non_finite.bundle import BatchForm
from resnext_det.training.parts import OwnState
from resnext_det.training.schedule import LRSchedule
from resnext_det.training.writers import RunWriter
from resnext_det.weights.sources import Weights

EngineName = Literal["auto", "d2", "portable"]
Metrics = dict[str, float | None]
"""Percent by Detectron2's names. Boxes: AP AP50 AP75 APs APm APl, and AP-CLASS for each of
several classes; other tasks with their prefix, segm/AP. None where there is no ground truth."""
Predictor = Callable[[Sequence[Pixels]], list[Detections]]
"""From images, (H, W, 3) uint8 RGB, to what is found in each, in its own pixels, on the CPU."""


@dataclass(frozen=True)
class DetectionRun:
    """Everything a detection run needs, read and checked before it starts.

    Attributes:
        cfg: the final config, frozen.
        train: the training set; None when only evaluating.
        tests: the evaluation sets by name, in the order of `DATASETS.TEST`.
        weights: what to start from or to evaluate: `MODEL.WEIGHTS`, or the checkpoint of the run
            that is continued; None when training from scratch.
        set_aside: takes down broken images; without one given, the first ends the run.
    """

    cfg: CfgNode
    train: CocoDataset | None
    tests: Mapping[str, CocoDataset]
    weights: Weights | None
    set_aside: SetAsideImages = field(default_factory=lambda: SetAsideImages(limit=0))

    def inference_folder(self, name: str) -> Path:
        """Returns where the results on a test set go: `inference/`, or a folder each of several."""
        folder = Path(self.cfg.OUTPUT_DIR) / "inference"
        return folder if len(self.tests) == 1 else folder / name

    def metric_prefix(self, name: str) -> str:
        """Returns what stands before a test set's names in metrics.json; see `metric_prefix`."""
        return metric_prefix(name, self.tests)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes, in the order of the detector's outputs."""
        datasets = [self.train, *self.tests.values()]
        return next((tuple(d.class_names) for d in datasets if d is not None), ())


class Engine(Protocol):
    """The contract of both detection engines: same config, same files, same numbers.

    An engine makes the parts; `resnext_det.engines.detection` trains and evaluates with them.
    """

    name: str

    @property
    def batch_form(self) -> BatchForm:
        """How a batch is kept that made losses or gradients that are not finite."""
        ...

    def check_config(self, cfg: CfgNode) -> None:
        """Refuses settings that the engine does not honour.

        Raises:
            UserError: a key differs from its default and is not honoured.
        """
        ...

    def build_model(self, cfg: CfgNode) -> nn.Module:
        """Returns the detector with Detectron2's parameter names, newly initialised, on the CPU.

        Raises:
            UserError: a name or value in the config that no part can be built from.
        """
        ...

    def build_solver(
        self, cfg: CfgNode, model: nn.Module
    ) -> tuple[torch.optim.Optimizer, LRSchedule]:
        """Returns what updates the model, and the learning rate of each iteration.

        Raises:
            UserError: SOLVER describes no schedule, or no parameter is trainable.
        """
        ...

    def build_losses(self, writer: RunWriter | None) -> Losses:
        """Returns the function from (model, batch) to losses by name, 0-d tensors.

        Args:
            writer: takes what the model tells beside the losses; None where nobody listens.
        """
        ...

    def stateful(self, model: nn.Module) -> Mapping[str, OwnState]:
        """Returns what checkpoints keep of each process beside the optimizer, by entry."""
        ...

    def train_batches(self, run: DetectionRun, start_iteration: int) -> Iterator[Any]:
        """Yields this process's batches of the iterations from `start_iteration` on.

        The place of a broken image is taken by another one.
        """
        ...

    def validation_batches(self, run: DetectionRun, name: str) -> Iterator[Any]:
        """Yields this process's images of a test set one by one, with their ground truth.

        They are resized as for testing, and nothing is drawn but anchors and regions. Broken
        ones are left out.
        """
        ...

    def evaluate(self, model: nn.Module, run: DetectionRun) -> Mapping[str, Metrics]:
        """Scores the detector on every test set and writes `inference/`.

        In a broken image nothing is found; of the semantic labels of pixels, which every pixel
        has, such an image is left out.

        Args:
            model: on its device, not wrapped; its mode afterwards is the caller's to set.
            run: the config and the test sets.

        Returns:
            The metrics by test set name; empty on ranks other than the first.
        """
        ...

    def detect(
        self, model: nn.Module, run: DetectionRun, records: Sequence[CocoRecord]
    ) -> list[Detections]:
        """Returns the boxes found in each image, in pixels of the image on disk.

        In a broken image nothing is found, and `run.set_aside` takes it down.
        """
        ...

    def build_predictor(self, model: nn.Module, cfg: CfgNode) -> Predictor:
        """Returns the function that finds boxes in images that are in memory.

        It resizes as for evaluating, and takes the images it is given as one batch, in which
        smaller ones are padded. Nothing is drawn.

        Args:
            model: on its device, in evaluation mode.
            cfg: what it was built from.
        """
        ...


def as_validation(cfg: CfgNode) -> CfgNode:
    """Returns the config under which training inputs are resized as test inputs, and no more."""
    return with_values(
        cfg,
        {
            "INPUT.MIN_SIZE_TRAIN": [cfg.INPUT.MIN_SIZE_TEST],
            "INPUT.MAX_SIZE_TRAIN": cfg.INPUT.MAX_SIZE_TEST,
            "INPUT.MIN_SIZE_TRAIN_SAMPLING": "choice",
            "INPUT.RANDOM_FLIP": "none",
            "INPUT.CROP.ENABLED": False,
        },
    )


def metric_prefix(name: str, sets: Collection[str]) -> str:
    """Returns what stands before the names of one of several test sets: NAME/; else nothing."""
    return "" if len(sets) == 1 else f"{name}/"


def flat_metrics(results: Mapping[str, Metrics]) -> Metrics:
    """Names metrics as Detectron2's metrics.json does: bbox/AP, or NAME/bbox/AP for several."""
    return {
        f"{metric_prefix(name, results)}{_with_task(metric)}": value
        for name, metrics in results.items()
        for metric, value in metrics.items()
    }


def _with_task(metric: str) -> str:
    # A class name may hold a slash: AP-CLASS is a box metric all the same.
    task, slash, _ = metric.partition("/")
    return metric if slash and not task.startswith("AP") else f"bbox/{metric}"


def detectron2_is_installed() -> bool:
    """Tells whether Detectron2 can be imported, without importing it."""
    return importlib.util.find_spec("detectron2") is not None


def panopticapi_is_installed() -> bool:
    """Tells whether panoptic quality can be computed."""
    return importlib.util.find_spec("panopticapi") is not None


def resolve_lazy(
    name: str, words: Sequence[str], datasets: Mapping[str, Sequence[str]], engine: EngineName
) -> tuple[Engine, LoadedConfig]:
    """Returns the engine of a config in Detectron2's Python syntax, and what it says.

    Args:
        name: the `.py` file.
        words: overrides, `key=value`.
        datasets: DATASETS.TRAIN and DATASETS.TEST -> names that replace the file's.
        engine: what the user asked for.

    Raises:
        UserError: Detectron2 is not installed or not wanted, or the file is no such config.
    """
    if engine == "portable" or not detectron2_is_installed():
        reason = "--engine portable reads none" if engine == "portable" else "it is not installed"
        raise UserError(f"{name}: a .py config needs Detectron2, and {reason}: take a .yaml config")
    from resnext_det.engines.d2.lazy_engine import LazyEngine
    from resnext_det.engines.d2.lazy_file import read_lazy_config
    from resnext_det.engines.d2.lazy_keys import load_lazy_config

    lazy = read_lazy_config(name, words, datasets)
    return LazyEngine(lazy), load_lazy_config(name, lazy, words)


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
