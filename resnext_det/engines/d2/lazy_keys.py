"""What a config in Detectron2's Python syntax says, in this project's keys. Detectron2."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from fvcore.common.config import CfgNode
from omegaconf import DictConfig, ListConfig, OmegaConf

from resnext_det.config import LoadedConfig, flatten, get_cfg, meant, validate_config
from resnext_det.config.coerce import coerce
from resnext_det.config.tree import set_value
from resnext_det.engines.d2.build import checked
from resnext_det.errors import UserError
from resnext_det.weights.convention import stride_of_lazy_model

# Key of ours -> where a LazyConfig says it. Both trees say the same from here on.
PLACES: dict[str, str] = {
    "OUTPUT_DIR": "train.output_dir",
    "SEED": "train.seed",
    "MODEL.WEIGHTS": "train.init_checkpoint",
    "MODEL.DEVICE": "train.device",
    "MODEL.PIXEL_MEAN": "model.pixel_mean",
    "MODEL.PIXEL_STD": "model.pixel_std",
    "MODEL.MASK_ON": "dataloader.train.mapper.use_instance_mask",
    "MODEL.KEYPOINT_ON": "dataloader.train.mapper.use_keypoint",
    "INPUT.FORMAT": "dataloader.train.mapper.image_format",
    "INPUT.MASK_FORMAT": "dataloader.train.mapper.instance_mask_format",
    "DATASETS.TRAIN": "dataloader.train.dataset.names",
    "DATASETS.TEST": "dataloader.test.dataset.names",
    "DATALOADER.NUM_WORKERS": "dataloader.train.num_workers",
    "DATALOADER.ASPECT_RATIO_GROUPING": "dataloader.train.aspect_ratio_grouping",
    "DATALOADER.FILTER_EMPTY_ANNOTATIONS": "dataloader.train.dataset.filter_empty",
    "SOLVER.IMS_PER_BATCH": "dataloader.train.total_batch_size",
    "SOLVER.BASE_LR": "optimizer.lr",
    "SOLVER.MAX_ITER": "train.max_iter",
    "SOLVER.AMP.ENABLED": "train.amp.enabled",
    "SOLVER.CHECKPOINT_PERIOD": "train.checkpointer.period",
    "SOLVER.KEEP_CHECKPOINTS": "train.checkpointer.max_to_keep",
    "TEST.EVAL_PERIOD": "train.eval_period",
}
# What the model itself says of its backbone, where it is this project's.
BACKBONE_PLACES: dict[str, str] = {
    "MODEL.RESNETS.NORM": "model.backbone.bottom_up.norm",
    "MODEL.BACKBONE.FREEZE_AT": "model.backbone.bottom_up.freeze_at",
}
CLASS_PLACES = ("model.num_classes", "model.roi_heads.num_classes")
# Keys of the YAML tree that a section `trainer` may set, as a tree of their own.
TRAINER_KEYS = (
    "DATASETS.DROP_BAD_BOXES",
    "DATASETS.MAX_BROKEN_IMAGES",
    "DATASETS.TRUST_FILE_NAMES",
    "MODEL.WEIGHTS_LICENCE_POLICY",
    "MODEL.WEIGHTS_MIN_SHARE",
    "SOLVER.AMP.DTYPE",
    "SOLVER.CLIP_GRADIENTS.",
    "SOLVER.EMA.",
    "SOLVER.GRADIENT_ACCUMULATION",
    "SOLVER.NON_FINITE",
    "TEST.BEST_METRIC",
    "TEST.PATIENCE",
    "TEST.PICTURES",
    "TEST.VALIDATION_LOSS",
    "WANDB.",
)


def load_lazy_config(name: str, lazy: DictConfig, words: Sequence[str] = ()) -> LoadedConfig:
    """Says in this project's keys what a LazyConfig says.

    Args:
        name: the file, for messages.
        lazy: what `read_lazy_config` returned.
        words: the overrides that it was read with.

    Raises:
        UserError: a value of another type than its key's, or with which no run could work.
    """
    cfg = get_cfg()
    given = checked(lambda: dict(_translated(lazy)))
    for key, value in _trainer_keys(lazy, name):
        given[key] = value
    known = dict(flatten(cfg))
    for key, value in given.items():
        set_value(cfg, key, coerce(value, known[key], key=key, where=name))
    cfg.LAZY_CONFIG = _as_yaml(lazy)
    cfg.MODEL.META_ARCHITECTURE = _target_name(lazy.model)
    if any(word.split("=")[0] in CLASS_PLACES for word in words):
        given["MODEL.ROI_HEADS.NUM_CLASSES"] = cfg.MODEL.ROI_HEADS.NUM_CLASSES = _classes(
            lazy, name
        )
    validate_config(cfg, where=name)
    cfg.freeze()
    return LoadedConfig(cfg, name, frozenset(given), frozenset(given))


def with_classes(lazy: DictConfig, cfg: CfgNode) -> DictConfig:
    """Returns a copy whose model has the number of classes of the data."""
    copy = lazy.copy()
    for place in CLASS_PLACES:
        if OmegaConf.select(copy, place) is not None:
            OmegaConf.update(copy, place, cfg.MODEL.ROI_HEADS.NUM_CLASSES)
    return copy


def _translated(lazy: DictConfig) -> Iterator[tuple[str, Any]]:
    # Another backbone's freezing is not known here: nothing is asked of its weights.
    yield "MODEL.RESNETS.NORM", "BN"
    yield "MODEL.BACKBONE.FREEZE_AT", 0
    # The schedule is `lr_multiplier`'s alone.
    yield "SOLVER.STEPS", []
    yield "SOLVER.WARMUP_ITERS", 0
    stride = stride_of_lazy_model(OmegaConf.select(lazy, "model"))
    if stride is not None:
        yield "MODEL.RESNETS.STRIDE_IN_1X1", stride
    for key, place in (PLACES | BACKBONE_PLACES).items():
        value = OmegaConf.select(lazy, place)
        if isinstance(value, ListConfig):
            value = OmegaConf.to_container(value, resolve=True)
        if key.startswith("DATASETS.") and isinstance(value, str):
            value = [value]
        if value is not None:
            yield key, list(value) if isinstance(value, tuple) else value


def _trainer_keys(lazy: DictConfig, name: str) -> Iterator[tuple[str, Any]]:
    section = OmegaConf.create({}) if lazy.get("trainer") is None else lazy.trainer
    if not isinstance(section, DictConfig):
        raise UserError(f"{name}: trainer is {section}: it must hold keys, trainer.TEST.PATIENCE=2")
    tree = checked(lambda: OmegaConf.to_container(section, resolve=True))
    assert isinstance(tree, dict)
    known = [key for key, _ in flatten(get_cfg()) if key.startswith(TRAINER_KEYS)]
    for key, value in flatten(tree):
        if key in PLACES:
            raise UserError(f"{name}: trainer.{key} is {PLACES[key]} in a .py config; set that")
        if key not in known:
            hint = meant(key, known, "trainer.")
            raise UserError(f"{name}: unknown key trainer.{key}{hint}")
        yield key, value


def _target_name(node: DictConfig) -> str:
    target = node.get("_target_", "")
    return target.rsplit(".", 1)[-1] if isinstance(target, str) else target.__name__


def _classes(lazy: DictConfig, name: str) -> int:
    found = ((place, OmegaConf.select(lazy, place)) for place in CLASS_PLACES)
    place, value = next((place, value) for place, value in found if value is not None)
    return coerce(value, 0, key=place, where=name)


def _as_yaml(lazy: DictConfig) -> str:
    """The whole config as text for the record; classes and functions by their names."""
    return yaml.safe_dump(_named(plain_tree(lazy)), sort_keys=False)


def _named(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _named(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_named(item) for item in value]
    if callable(value):
        return f"{value.__module__}.{getattr(value, '__qualname__', value)}"
    plain = value is None or isinstance(value, bool | int | float | str)
    return value if plain else str(value)


def plain_tree(lazy: DictConfig) -> dict[str, Any]:
    """Returns the tree as dicts and lists, references unresolved."""
    plain = OmegaConf.to_container(lazy, resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
