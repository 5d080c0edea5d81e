"""A classification run's config and data, checked before it starts. Engine-neutral."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass

from fvcore.common.config import CfgNode

from resnext_det.classification.honoured import HONOURED
from resnext_det.classification.mixing import check_classes_to_mix, check_mixing
from resnext_det.config import LoadedConfig, check_honoured, check_weights, with_values
from resnext_det.data.catalog import DatasetEntry, find_dataset
from resnext_det.data.class_alignment import SUBSET_KEY, AlignedSet, align_classes
from resnext_det.data.classification_forms import load_classification_set
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.device_decoding import check_decoder
from resnext_det.errors import UserError
from resnext_det.training.distributed import main_first
from resnext_det.training.from_config import check_training
from resnext_det.weights.sources import Weights, resolve_weights

ENGINE = "classification"  # as checkpoints and result.json name what wrote them
_NUM_CLASSES = "MODEL.CLASSIFIER.NUM_CLASSES"


@dataclass(frozen=True)
class ClassificationJob:
    """What a run works on.

    Attributes:
        cfg: with NUM_CLASSES settled, frozen.
        user_given: dotted keys that the user gave, in the named file or on the command line.
        class_names: of the model, in the order of the logits.
        train: the training set; None when only evaluating.
        test: the evaluation set in the model's class numbers; None where DATASETS.TEST is empty.
        recipe_rate: see `LoadedConfig`.
    """

    cfg: CfgNode
    user_given: frozenset[str]
    class_names: tuple[str, ...]
    train: ClassificationSet | None
    test: AlignedSet | None
    recipe_rate: float = math.inf


def check_config(cfg: CfgNode, *, training: bool) -> None:
    """Checks what can be told before data or weights are read.

    Raises:
        UserError: a key that classification does not honour; no data set, or several; a decoder
            without its GPU; for training also what its loop would stumble on, nothing to mix, or
            frozen layers without weights.
    """
    check_honoured(cfg, HONOURED, "classification")
    check_decoder(cfg)
    for split in ("TRAIN", "TEST"):
        names = list(cfg.DATASETS[split])
        if len(names) > 1:
            raise UserError(
                f"DATASETS.{split} names {len(names)} sets ({', '.join(names)}): classification "
                "takes one"
            )
    if training and not cfg.DATASETS.TRAIN:
        raise UserError("DATASETS.TRAIN is empty: name a data set, or use --eval-only")
    if not training and not cfg.DATASETS.TEST:
        raise UserError("DATASETS.TEST is empty: name a data set")
    if training:
        check_training(cfg)
        check_mixing(cfg)
        check_weights(cfg)


def prepare_training(
    loaded: LoadedConfig, datasets: Mapping[str, DatasetEntry]
) -> ClassificationJob:
    """Finds the data of a training run and checks that config and data agree.

    Raises:
        UserError: as `check_config`; sets with different classes; a number of classes other than
            NUM_CLASSES.
    """
    cfg = loaded.cfg
    check_config(cfg, training=True)
    train = _only_dataset(cfg, "TRAIN", datasets)
    assert train is not None
    known = train.entry.name in datasets
    found = f"{train.entry.location} has {len(train.class_names)} classes"
    cfg = _with_num_classes(loaded, len(train.class_names), found, is_known=known)
    check_classes_to_mix(cfg)
    test = _only_dataset(cfg, "TEST", datasets)
    aligned = None
    if test is not None:
        subset = cfg.TEST.CLASS_SUBSET
        place = train.entry.location
        aligned = align_classes(test, train.class_names, place, allow_subset=subset)
    return ClassificationJob(
        cfg, loaded.user_given, train.class_names, train, aligned, loaded.recipe_rate
    )


def prepare_evaluation(
    loaded: LoadedConfig, datasets: Mapping[str, DatasetEntry], weights: Weights
) -> ClassificationJob:
    """Finds the test set and puts its classes into the order of the weights' own.

    Args:
        loaded: the config and which keys the user gave.
        datasets: the data sets named on the command line, by name.
        weights: what is evaluated; where they do not say the names of their classes, these are
            taken to be the set's.

    Raises:
        UserError: other classes than the weights'; a number of classes other than NUM_CLASSES.
    """
    cfg = loaded.cfg
    test = _only_dataset(cfg, "TEST", datasets)
    assert test is not None, "check_config comes first"
    names = weights.class_names or test.class_names
    found = f"{test.entry.location} has {len(names)} classes"
    if weights.class_names:
        found = f"{weights.source} was trained on {len(names)} classes"
    aligned = align_classes(test, names, weights.source, allow_subset=cfg.TEST.CLASS_SUBSET)
    known = test.entry.name in datasets
    if cfg.TEST.CLASS_SUBSET and not weights.class_names:
        _check_all_classes(weights, test)
    known = known or bool(weights.class_names)
    cfg = _with_num_classes(loaded, len(names), found, is_known=known)
    return ClassificationJob(cfg, loaded.user_given, names, None, aligned)


def fetch_weights(spec: str) -> Weights | None:
    """Reads what MODEL.WEIGHTS names; a machine's first process downloads for the others."""
    with main_first():
        return resolve_weights(spec)


def _only_dataset(
    cfg: CfgNode, split: str, datasets: Mapping[str, DatasetEntry]
) -> ClassificationSet | None:
    names = list(cfg.DATASETS[split])
    if not names:
        return None
    return load_classification_set(
        find_dataset(names[0], datasets),
        training=split == "TRAIN",
        skip_broken=cfg.DATASETS.MAX_BROKEN_IMAGES > 0,
    )


def _check_all_classes(weights: Weights, test: ClassificationSet) -> None:
    """Refuses a subset of classes that cannot be told by name."""
    head = next((v for k, v in weights.state.items() if k.endswith("linear.weight")), None)
    if head is not None and len(head) != len(test.class_names):
        raise UserError(
            f"{SUBSET_KEY} is True, but {weights.source} does not say the names of its "
            f"{len(head)} classes, which tell those of {test.entry.location}; evaluate on a set "
            "with all of them, or give a checkpoint of this trainer"
        )


def _with_num_classes(loaded: LoadedConfig, number: int, found: str, *, is_known: bool) -> CfgNode:
    """Settles NUM_CLASSES; `found` says, for the log and the message, where the number is from.

    Only data named on the command line and weights with class names change what a base says.
    """
    cfg = loaded.cfg
    if number == cfg.MODEL.CLASSIFIER.NUM_CLASSES:
        return cfg
    if not is_known or _NUM_CLASSES in loaded.user_given:
        raise UserError(
            f"{_NUM_CLASSES} is {cfg.MODEL.CLASSIFIER.NUM_CLASSES}, but {found}: set "
            f"{_NUM_CLASSES} {number}"
        )
    logging.getLogger(__name__).info("%s is set to %d: %s", _NUM_CLASSES, number, found)
    return with_values(cfg, {_NUM_CLASSES: number})
