"""The data sets of a run, read as its detector needs them. Engine-neutral."""

from collections.abc import Mapping, Sequence

from fvcore.common.config import CfgNode

from resnext_det.data.catalog import DatasetEntry, find_dataset
from resnext_det.data.coco import CocoDataset, join_datasets, load_coco
from resnext_det.data.needs import needs_of
from resnext_det.data.proposals import attach_proposals
from resnext_det.errors import UserError


def read_train_set(cfg: CfgNode, known: Mapping[str, DatasetEntry]) -> CocoDataset:
    """Reads and joins the sets of `DATASETS.TRAIN`.

    Args:
        cfg: the config tree.
        known: the sets named on the command line.

    Raises:
        UserError: none is named, or one cannot be trained on; see `load_coco`.
    """
    return join_datasets(_read(cfg, known, training=True))


def read_test_sets(cfg: CfgNode, known: Mapping[str, DatasetEntry]) -> dict[str, CocoDataset]:
    """Reads the sets of `DATASETS.TEST`; see `read_train_set`."""
    return dict(zip(cfg.DATASETS.TEST, _read(cfg, known, training=False), strict=True))


def _read(cfg: CfgNode, known: Mapping[str, DatasetEntry], *, training: bool) -> list[CocoDataset]:
    key = "TRAIN" if training else "TEST"
    names = cfg.DATASETS[key]
    files = _proposal_files(cfg, key, names)
    datasets = [
        load_coco(
            find_dataset(name, known),
            training=training,
            drop_bad_boxes=cfg.DATASETS.DROP_BAD_BOXES,
            trust_file_names=cfg.DATASETS.TRUST_FILE_NAMES,
            needs=needs_of(cfg),
        )
        for name in names
    ]
    if not files:
        return datasets
    return [
        attach_proposals(dataset, file, training=training)
        for dataset, file in zip(datasets, files, strict=True)
    ]


def _proposal_files(cfg: CfgNode, key: str, names: Sequence[str]) -> Sequence[str]:
    """Returns a file for each set; none unless `MODEL.LOAD_PROPOSALS`.

    Raises:
        UserError: there are more or fewer files than sets.
    """
    if not cfg.MODEL.LOAD_PROPOSALS:
        return ()
    files = cfg.DATASETS[f"PROPOSAL_FILES_{key}"]
    if len(files) != len(names):
        raise UserError(
            f"DATASETS.PROPOSAL_FILES_{key} has {len(files)} file(s), but DATASETS.{key} has "
            f"{len(names)} set(s): MODEL.LOAD_PROPOSALS True needs one for each, in their order"
        )
    return files
