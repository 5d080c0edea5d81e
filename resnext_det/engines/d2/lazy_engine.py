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

    def build_model(self, cfg: CfgNode) -> nn.Module:
        """Builds the file's `model` for the classes of the data; see `Engine.build_model`."""
        join_run()
        return seed_draws(checked(lambda: instantiate(with_classes(self._lazy, cfg).model)))

    def build_mapper(self, cfg: CfgNode, *, is_train: bool) -> SeededMapper:
        """Returns the file's mapper, for training or for testing."""
        loader = self._lazy.dataloader.train if is_train else self._lazy.dataloader.test
        return SeededMapper(instantiate(loader.mapper), cfg.SEED)

    def build_validation_mapper(self, cfg: CfgNode) -> SeededMapper:
        """Returns the training mapper with the augmentation of the test mapper."""
        mapper = deepcopy(self._lazy.dataloader.train.mapper)
        mapper.augmentations = self._lazy.dataloader.test.mapper.augmentations
        return SeededMapper(instantiate(mapper), cfg.SEED)

    def build_solver(
        self, cfg: CfgNode, model: nn.Module
    ) -> tuple[torch.optim.Optimizer, LRSchedule]:
        """Returns the file's `optimizer`, and its `lr_multiplier` as the schedule."""
        node = deepcopy(self._lazy.optimizer)
        node.params.model = model
        optimizer = checked(lambda: instantiate(node))
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        multiplier = checked(lambda: instantiate(self._lazy.lr_multiplier))
        return optimizer, LRSchedule(multiplier, cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER)
