"""A classification run's config and data, checked before it starts. Engine-neutral."""

from collections.abc import Mapping
from dataclasses import dataclass

from fvcore.common.config import CfgNode

from resnext_det.classification.honoured import HONOURED
from resnext_det.config import LoadedConfig, check_honoured, check_weights, with_values
from resnext_det.data.catalog import DatasetEntry, find_dataset
from resnext_det.data.classification_forms import load_classification_set
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.image_folder import check_same_folders
from resnext_det.errors import UserError
from resnext_det.training.distributed import main_first
from resnext_det.weights.sources import Weights, resolve_weights

ENGINE = "classification"  # as checkpoints and result.json name what wrote them
_NUM_CLASSES = "MODEL.CLASSIFIER.NUM_CLASSES"


@dataclass(frozen=True)
class ClassificationJob:
    """What a run works on.

    Attributes:
        cfg: with NUM_CLASSES settled, frozen.
        user_given: dotted keys that the user gave, in the named file or on the command line.
        train: the training set; None when only evaluating.
        test: the evaluation set; None where DATASETS.TEST is empty.
    """

    cfg: CfgNode
    user_given: frozenset[str]
    train: ClassificationSet | None
    test: ClassificationSet | None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        dataset = self.train or self.test
        assert dataset is not None
        return dataset.class_names


def prepare_classification(
    loaded: LoadedConfig, datasets: Mapping[str, DatasetEntry], *, training: bool
) -> ClassificationJob:
    """Finds the data and checks that config and data agree.

    Raises:
        UserError: a key that classification does not honour; no or several data sets;
            sets with different classes; a number of classes other than NUM_CLASSES.
    """
    cfg = loaded.cfg
    check_honoured(cfg, HONOURED, "classification")
    train = _only_dataset(cfg, "TRAIN", datasets) if training else None
    test = _only_dataset(cfg, "TEST", datasets)
    if train is None and test is None:
        raise UserError(f"DATASETS.{'TRAIN' if training else 'TEST'} is empty: name a data set")
    if training and train is None:
        raise UserError("DATASETS.TRAIN is empty: name a data set, or use --eval-only")
    if train and test:
        check_same_folders(train, test)
    if training:
        check_weights(cfg)
    dataset = train or test
    assert dataset is not None
    cfg = _with_num_classes(loaded, dataset, from_command_line=dataset.entry.name in datasets)
    return ClassificationJob(cfg, loaded.user_given, train, test)


def fetch_weights(spec: str) -> Weights | None:
    """Reads what MODEL.WEIGHTS names; a machine's first process downloads for the others."""
    with main_first():
        return resolve_weights(spec)


def _only_dataset(
    cfg: CfgNode, split: str, datasets: Mapping[str, DatasetEntry]
) -> ClassificationSet | None:
    names = list(cfg.DATASETS[split])
    if len(names) > 1:
        raise UserError(
            f"DATASETS.{split} names {len(names)} sets ({', '.join(names)}): classification "
            "takes one"
        )
    if not names:
        return None
    return load_classification_set(
        find_dataset(names[0], datasets),
        training=split == "TRAIN",
        skip_broken=cfg.INPUT.CLASSIFICATION.SKIP_BROKEN,
    )


def _with_num_classes(
    loaded: LoadedConfig, dataset: ClassificationSet, *, from_command_line: bool
) -> CfgNode:
    cfg, found = loaded.cfg, len(dataset.class_names)
    if found == cfg.MODEL.CLASSIFIER.NUM_CLASSES:
        return cfg
    if not from_command_line or _NUM_CLASSES in loaded.user_given:
        raise UserError(
            f"{_NUM_CLASSES} is {cfg.MODEL.CLASSIFIER.NUM_CLASSES}, but "
            f"{dataset.entry.location} has {found} class folders: set {_NUM_CLASSES} {found}"
        )
    return with_values(cfg, {_NUM_CLASSES: found})
