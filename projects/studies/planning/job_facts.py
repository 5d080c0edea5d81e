"""What a job will need, read from its command before it runs. Engine-neutral."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from projects.studies.job_words import is_made_by, job_words
from projects.studies.jobs import Job
from resnext_det.cli.source import WEIGHTS, ConfigSource
from resnext_det.config import task_of, with_values
from resnext_det.data.catalog import (
    DatasetEntry,
    entries_by_name,
    find_dataset,
    parse_data_argument,
)
from resnext_det.data.classification_forms import load_classification_set
from resnext_det.data.coco_checks import check_layout
from resnext_det.engines.base import EngineName, detectron2_is_installed
from resnext_det.errors import UserError
from resnext_det.json_files import read_json

_CLASSES = {
    "classification": ("MODEL.CLASSIFIER.NUM_CLASSES",),
    "detection": ("MODEL.ROI_HEADS.NUM_CLASSES", "MODEL.RETINANET.NUM_CLASSES"),
}
PROPOSALS = ("DATASETS.PROPOSAL_FILES_TRAIN", "DATASETS.PROPOSAL_FILES_TEST")
# What differs between jobs that take the same time.
_FREE = ("SEED", "OUTPUT_DIR", *WEIGHTS, *PROPOSALS)


@dataclass(frozen=True)
class JobFacts:
    """A job, and what its command says.

    Attributes:
        job: the job.
        cfg: its config, with the data's number of classes where the data are there.
        engine: what its command asks for: auto, d2 or portable.
        front: its arguments before the KEY VALUE pairs.
        pairs: its KEY VALUE pairs.
        train: its training sets, as far as they are known.
        tests: its test sets, likewise.
        train_images: of all training sets; None where one is not there.
        test_images: of all test sets, likewise.
        missing: what is not here and no other job of the study makes: one sentence each.
        key: equal for jobs that differ in seed, folder and starting weights alone.
    """

    job: Job
    cfg: CfgNode
    engine: EngineName
    front: tuple[str, ...]
    pairs: tuple[str, ...]
    train: tuple[DatasetEntry, ...]
    tests: tuple[DatasetEntry, ...]
    train_images: int | None
    test_images: int | None
    missing: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def classifies(self) -> bool:
        """Whether it trains a classifier."""
        return task_of(self.cfg) == "classification"


class DataSets:
    """Counts images and classes of data sets, of each once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Any, ...], tuple[int, int] | UserError] = {}

    def sizes(self, entry: DatasetEntry, *, classifies: bool) -> tuple[int, int]:
        """Returns the numbers of images and of classes.

        Raises:
            UserError: the set is not there, or is no such set.
        """
        key = (classifies, entry.address, *entry.places)
        if key not in self._found:
            try:
                self._found[key] = _sizes(entry, classifies=classifies)
            except UserError as error:
                self._found[key] = error
        found = self._found[key]
        if isinstance(found, UserError):
            raise found
        return found


def read_job(job: Job, made: Collection[Path], data: DataSets) -> JobFacts:
    """Reads a job's command.

    Args:
        job: the job.
        made: folders of the study's jobs; what lies in them need not be there yet.
        data: counts the images.

    Raises:
        UserError: its config is missing or malformed.
    """
    args = job_words(job)
    sets = [parse_data_argument(text) for text in (*args.train_data, *args.test_data)]
    named = entries_by_name(sets)
    names = {
        key: [parse_data_argument(text).name for text in texts]
        for key, texts in (("DATASETS.TRAIN", args.train_data), ("DATASETS.TEST", args.test_data))
        if texts
    }
    pairs = tuple(args.opts)
    cfg = ConfigSource(args.config_file, pairs, names).load(args.engine).cfg
    missing: list[str] = []
    front = job.arguments[: len(job.arguments) - len(pairs)]
    train, train_images, classes = _look(cfg, "TRAIN", named, data, missing)
    tests, test_images, _ = _look(cfg, "TEST", named, data, missing)
    missing += _missing_files(cfg, made)
    if args.engine == "d2" and not detectron2_is_installed():
        missing.append("Detectron2, which --engine d2 needs, is not installed")
    if classes is not None:
        cfg = with_values(cfg, dict.fromkeys(_CLASSES[task_of(cfg)], classes))
    return JobFacts(
        job=job,
        cfg=cfg,
        engine=args.engine,
        front=front,
        pairs=pairs,
        train=train,
        tests=tests,
        train_images=train_images,
        test_images=test_images,
        missing=tuple(dict.fromkeys(missing)),
        key=(*front, "", *_without(pairs, _FREE)),
    )


def _look(
    cfg: CfgNode,
    split: str,
    named: Mapping[str, DatasetEntry],
    data: DataSets,
    missing: list[str],
) -> tuple[tuple[DatasetEntry, ...], int | None, int | None]:
    """Returns the sets of a split, their images, and the classes of the first."""
    entries, images, classes = [], 0, []
    for name in cfg.DATASETS[split]:
        try:
            entry = find_dataset(name, named)
            entries.append(entry)
            count, num_classes = data.sizes(entry, classifies=task_of(cfg) == "classification")
        except UserError as error:
            missing.append(str(error))
            images = None
            continue
        images = None if images is None else images + count
        classes.append(num_classes)
    return tuple(entries), images, classes[0] if classes else None


def _missing_files(cfg: CfgNode, made: Collection[Path]) -> Iterator[str]:
    """Says which files are not there, and not in a folder that a job of the study fills."""
    files = {"MODEL.WEIGHTS": [cfg.MODEL.WEIGHTS]}
    if cfg.MODEL.LOAD_PROPOSALS:
        files |= {key: list(cfg.DATASETS[key.rsplit(".", 1)[-1]]) for key in PROPOSALS}
    for key, names in files.items():
        for name in names:
            comes = is_made_by(made, name)
            if name and "://" not in name and not comes and not Path(name).expanduser().exists():
                yield f"{name}: no such file ({key})"


def _without(pairs: Sequence[str], keys: Collection[str]) -> list[str]:
    return [
        word
        for key, value in zip(pairs[::2], pairs[1::2], strict=False)
        if key not in keys
        for word in (key, value)
    ]


def _sizes(entry: DatasetEntry, *, classifies: bool) -> tuple[int, int]:
    if classifies:
        found = load_classification_set(entry, training=False, skip_broken=True)
        return len(found), len(found.class_names)
    if entry.json_file is None:
        raise UserError(f"data set '{entry.name}' has no annotation file ({entry.location})")
    if not entry.json_file.is_file():
        raise UserError(f"{entry.json_file}: no such file{entry.hint}")
    if not entry.image_root.is_dir():
        raise UserError(f"{entry.image_root}: no such folder{entry.hint}")
    content = read_json(entry.json_file)
    if isinstance(content, dict):
        content.setdefault("annotations", [])  # COCO's test sets have none
    check_layout(entry.json_file, content)
    return len(content["images"]), len(content["categories"])
