"""Classifiers as the rows of a study, at whatever scale. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from projects.studies.grid import Cell, Grid, StudyRow, TestSet
from projects.studies.jobs import make_job
from projects.studies.options import StudyOptions

NETWORK_KEYS = tuple(
    f"MODEL.RESNETS.{key}"
    for key in ("VARIANT", "DEPTH", "NUM_GROUPS", "WIDTH_PER_GROUP", "SHORTCUTS")
)
"""What rows that differ in their network alone may differ in."""


@dataclass(frozen=True)
class Classifier:
    """One row and how it is trained.

    Attributes:
        row: of the table.
        config: the config file.
        overrides: KEY VALUE pairs.
    """

    row: StudyRow
    config: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scale:
    """What every row of a study trains on and is scored on, and for how long.

    Attributes:
        name: as --scale has it.
        test_set: what all are scored on.
        sets: folders that stand for the configs' training and test set; None takes these.
        overrides: KEY VALUE pairs of every run.
    """

    name: str
    test_set: TestSet
    sets: tuple[str, str] | None = None
    overrides: tuple[str, ...] = ()


def network(
    depth: int, num_groups: int, width_per_group: int, *, shortcuts: bool = True
) -> tuple[str, ...]:
    """Returns KEY VALUE pairs that name a network."""
    values = {
        "DEPTH": depth,
        "NUM_GROUPS": num_groups,
        "WIDTH_PER_GROUP": width_per_group,
        "SHORTCUTS": shortcuts,
    }
    return tuple(
        word for key, value in values.items() for word in (f"MODEL.RESNETS.{key}", str(value))
    )


def classifier_cells(
    classifiers: Sequence[Classifier],
    seeds: Sequence[int],
    output: Path,
    *,
    sets: tuple[str, str] | None = None,
    overrides: Sequence[str] = (),
) -> tuple[Cell, ...]:
    """Returns every row at every seed, one run each.

    Args:
        classifiers: the rows.
        seeds: of the study.
        output: the study's folder.
        sets: folders that stand for the config's training and test set; None takes these.
        overrides: KEY VALUE pairs of every run.

    Raises:
        UserError: a config is missing or malformed.
    """
    return tuple(
        Cell(
            classifier.row,
            seed,
            (
                make_job(
                    f"{classifier.row.label}, seed {seed}",
                    output / classifier.row.tag / f"seed_{seed}",
                    classifier.config,
                    seed=seed,
                    sets=sets,
                    overrides=(*classifier.overrides, *overrides),
                ),
            ),
        )
        for classifier in classifiers
        for seed in seeds
    )


def row_pairs(
    classifiers: Sequence[Classifier], tags: Sequence[tuple[str, str]]
) -> tuple[tuple[StudyRow, StudyRow], ...]:
    """Returns the pairs of rows that these tags name."""
    found = {classifier.row.tag: classifier.row for classifier in classifiers}
    return tuple((found[first], found[second]) for first, second in tags)


def classifier_grid(
    scale: Scale,
    classifiers: Sequence[Classifier],
    tags: Sequence[tuple[str, str]],
    options: StudyOptions,
    *,
    title: str,
    published: Sequence[str],
    compared: Sequence[str] = NETWORK_KEYS,
) -> Grid:
    """Returns a study of classifiers.

    Args:
        scale: what they train on and are scored on.
        classifiers: the rows.
        tags: of the pairs of rows whose difference is asked.
        options: the shared ones.
        title: of the page.
        published: as in `Grid`.
        compared: as in `Grid`.

    Raises:
        UserError: a config is missing or malformed.
    """
    return Grid(
        title=title,
        kind="classification",
        scale=scale.name,
        output=options.output,
        cells=classifier_cells(
            classifiers,
            options.seeds,
            options.output,
            sets=scale.sets,
            overrides=scale.overrides,
        ),
        pairs=row_pairs(classifiers, tags),
        test_set=scale.test_set,
        compared=compared,
        published=published,
    )
