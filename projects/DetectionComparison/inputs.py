"""What a study needs and cannot make: data sets and weights. Engine-neutral."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from projects.studies.grid import StudyRow
from projects.studies.job_words import WEIGHTS, given_value, is_made_by, job_words
from projects.studies.jobs import Job
from resnext_det.config import load_config
from resnext_det.data.catalog import DatasetEntry, builtin_names, find_dataset, parse_data_argument
from resnext_det.errors import UserError


def check_sets(sources: Sequence[str]) -> None:
    """Checks that data sets are where they are said to be.

    Args:
        sources: names of the catalogue, FOLDER or JSON:IMAGES.

    Raises:
        UserError: files and folders are missing; it names them all.
    """
    missing: dict[str, str] = {}
    for source in sources:
        entry = _entry(source)
        missing |= {str(path): entry.hint for path in _places(entry) if not path.exists()}
    if missing:
        raise UserError(
            f"not found: {', '.join(missing)}{next(filter(None, missing.values()), '')}"
        )


def check_weights(rows: Sequence[StudyRow], jobs: Sequence[Job], without: Sequence[str]) -> None:
    """Checks that every row has weights to start from.

    Args:
        rows: of the study.
        jobs: of the study; weights that one of them makes are not sought.
        without: tags of rows whose config names no weights and that were given none.

    Raises:
        UserError: rows have none, or files are missing; it names them all.
    """
    wrong: list[str] = []
    if without:
        names = [row.model for row in rows if row.tag in without]
        given = " ".join(f"{tag}=FILE" for tag in without)
        wrong.append(
            f"{', '.join(names)}: no public weights; give --weights {given}, or --pretrain"
        )
    if files := list(dict.fromkeys(_missing_files(jobs))):
        wrong.append(f"--weights: no such file: {', '.join(files)}")
    if wrong:
        raise UserError("; ".join(wrong))


def sets_of(grid_jobs: Sequence[Job]) -> list[str]:
    """Returns the data sets that jobs train and are tested on, each once.

    What the command names is returned as it says, else what the config names.
    """
    found: dict[str, None] = {}
    for job in grid_jobs:
        found |= dict.fromkeys(_sets(job))
    return list(found)


def _sets(job: Job) -> Iterator[str]:
    words = job_words(job)
    named = [text.partition("=")[2] for text in (*words.train_data, *words.test_data)]
    if named:
        yield from named
        return
    datasets = load_config(words.config_file).cfg.DATASETS
    yield from (*datasets.TRAIN, *datasets.TEST)


def _entry(source: str) -> DatasetEntry:
    if source in builtin_names():
        return find_dataset(source, {})
    return parse_data_argument(f"set={source}")


def _places(entry: DatasetEntry) -> list[Path]:
    return [path for path in (entry.json_file, entry.image_root) if path is not None]


def _missing_files(jobs: Sequence[Job]) -> Iterator[str]:
    folders = [job.folder for job in jobs]
    for job in jobs:
        file = given_value(job, WEIGHTS) or ""
        made = is_made_by(folders, file)
        if file and "://" not in file and not made and not Path(file).expanduser().exists():
            yield file
