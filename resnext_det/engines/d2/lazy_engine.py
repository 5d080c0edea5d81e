"""The Detectron2 engine on a config in its Python syntax. Detectron2."""

from copy import deepcopy

import torch
from detectron2.config import instantiate
from detectron2.evaluation import COCOEvaluator
from fvcore.common.config import CfgNode
from omegaconf import DictConfig, OmegaConf
from torch import nn

from resnext_det.engines.d2.build import checked
from resnext_det.engines.d2.engine import D2Engine, join_run
from resnext_det.engines.d2.honoured import check_honoured_by_trainer
from resnext_det.engines.d2.lazy_keys import with_classes
from resnext_det.engines.d2.loader import SeededMapper
from resnext_det.engines.d2.seeding import seed_draws
from resnext_det.errors import UserError
from resnext_det.training.schedule import LRSchedule


class LazyEngine(D2Engine):
    """Takes model, optimizer, schedule and mappers from the file; all else is `D2Engine`'s.

    Args:
        lazy: from `read_lazy_config`.
    """

    def __init__(self, lazy: DictConfig) -> None:
        self._lazy = lazy

    def check_config(self, cfg: CfgNode) -> None:
        """Refuses what is not run here.

        Raises:
            UserError: naming what the file asks for.
        """
        check_honoured_by_trainer(cfg)
        evaluator = OmegaConf.select(self._lazy, "dataloader.evaluator._target_")
        if evaluator not in (None, COCOEvaluator):
            raise UserError(
                f"dataloader.evaluator is {getattr(evaluator, '__name__', evaluator)}, which is "
                "not run here: results are scored as COCOEvaluator does"
            )
        for is_train in (True, False):
            self.build_mapper(cfg, is_train=is_train)
        self.build_validation_mapper(cfg)
        schedule = self._build_schedule(cfg)
        checked(lambda: [schedule.lr_at(at) for at in (0, cfg.SOLVER.MAX_ITER - 1)])

    def build_model(self, cfg: CfgNode) -> nn.Module:
        """Builds the file's `model` for the classes of the data; see `Engine.build_model`."""
        join_run()
        model = checked(lambda: instantiate(with_classes(self._lazy, cfg).model))
        _check_thresholds(model)
        return seed_draws(model)

    def build_mapper(self, cfg: CfgNode, *, is_train: bool) -> SeededMapper:
        """Returns the file's mapper, for training or for testing."""
        loader = self._lazy.dataloader.train if is_train else self._lazy.dataloader.test
        return _built_mapper(loader.mapper, cfg)

    def build_validation_mapper(self, cfg: CfgNode) -> SeededMapper:
        """Returns the training mapper with the augmentation of the test mapper."""
        mapper = deepcopy(self._lazy.dataloader.train.mapper)
        augmentations = OmegaConf.select(self._lazy, "dataloader.test.mapper.augmentations")
        mapper.augmentations = augmentations
        return _built_mapper(mapper, cfg)

    def build_solver(
        self, cfg: CfgNode, model: nn.Module
    ) -> tuple[torch.optim.Optimizer, LRSchedule]:
        """Returns the file's `optimizer`, and its `lr_multiplier` as the schedule."""
        node = deepcopy(self._lazy.optimizer)
        node.params.model = model
        optimizer = checked(lambda: instantiate(node))
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        return optimizer, self._build_schedule(cfg)

    def _build_schedule(self, cfg: CfgNode) -> LRSchedule:
        multiplier = checked(lambda: instantiate(self._lazy.lr_multiplier))
        return LRSchedule(multiplier, cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER)


def _built_mapper(node: DictConfig, cfg: CfgNode) -> SeededMapper:
    return SeededMapper(checked(lambda: instantiate(node)), cfg.SEED)


def _check_thresholds(model: nn.Module) -> None:
    """Refuses text as a threshold, which would be compared with scores only after training."""
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if key.endswith("_thresh") and isinstance(value, str):
                place = ".".join(filter(None, ("model", name, key)))
                raise UserError(f"{place} is {value!r}: it must be a number")
