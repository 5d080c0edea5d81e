"""Rows, runs and grids of studies of classifiers. Engine-neutral."""

from pathlib import Path

from projects.studies.classification import classifiers
from projects.studies.classification.classifiers import (
    NETWORK_KEYS,
    Classifier,
    Scale,
    classifier_cells,
    classifier_grid,
    network,
    row_pairs,
)
from projects.studies.classification.mini import schedule
from projects.studies.grid import StudyRow, TestSet
from projects.studies.options import StudyOptions

MINI_CONFIG = str(Path(classifiers.__file__).parents[2] / "Cardinality" / "mini.yaml")
ROWS = (
    Classifier(StudyRow("first", "a"), MINI_CONFIG),
    Classifier(StudyRow("second", "b"), MINI_CONFIG, network(26, 32, 2, shortcuts=False)),
)


def test_every_row_at_every_seed_is_a_run_of_its_own(tmp_path):
    sets = ("train", "val")
    cells = classifier_cells(ROWS, (0, 1), tmp_path, sets=sets, overrides=schedule(5))
    assert [(cell.row.tag, cell.seed) for cell in cells] == [
        (tag, seed) for tag in "ab" for seed in (0, 1)
    ]
    [job] = cells[3].jobs
    assert job.folder == tmp_path / "b" / "seed_1"
    assert job.max_iter == 5
    words = " ".join(job.arguments)
    assert "--train-data mini_train=train --test-data mini_val=val" in words
    assert "MODEL.RESNETS.NUM_GROUPS 32" in words
    assert "SEED 1" in words
    assert len({cell.jobs[0].digest for cell in cells}) == 4


def test_pairs_are_named_by_tags():
    assert row_pairs(ROWS, [("a", "b")]) == ((ROWS[0].row, ROWS[1].row),)


def test_a_grid_is_the_scale_and_the_rows(tmp_path):
    scale = Scale("mini", TestSet("val", "Letters."), ("train", "val"), schedule(5))
    given = StudyOptions(output=tmp_path, engine="portable", seeds=(0, 1))
    grid = classifier_grid(scale, ROWS, [("a", "b")], given, title="Two", published=("table7",))
    assert grid.cells == classifier_cells(
        ROWS, (0, 1), tmp_path, sets=("train", "val"), overrides=schedule(5)
    )
    assert grid.pairs == ((ROWS[0].row, ROWS[1].row),)
    assert (grid.title, grid.kind, grid.scale) == ("Two", "classification", "mini")
    assert (grid.test_set, grid.compared) == (scale.test_set, NETWORK_KEYS)
    assert (grid.output, grid.published) == (tmp_path, ("table7",))
