"""The networks of Table 7 and what they answer to. Engine-neutral."""

from itertools import pairwise
from pathlib import Path

from projects.studies.classification.classifiers import Classifier, network
from projects.studies.classification.paper_tables import ErrorColumn, PaperLine, PaperTable
from projects.studies.grid import StudyRow

CONFIGS = "resnext_det://CIFAR"
MINI_CONFIG = str(Path(__file__).parent / "mini.yaml")
GROUPS = (1, 8, 16)
DATA_SETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}


def _names(groups: int, width: int) -> tuple[str, str]:
    """The network's name and tag; the first has no number in Table 7 (Figure 7 draws it)."""
    kind, letter = ("ResNet", "R") if groups == 1 else ("ResNeXt", "X")
    return f"{kind}-29 {groups}x{width}d", f"{letter}_29_{groups}x{width}d"


def paper_rows(data_set: str) -> tuple[Classifier, ...]:
    """Returns the networks on `cifar10` or `cifar100`, by their configs."""
    rows = [StudyRow(*_names(groups, 64)) for groups in GROUPS]
    return tuple(Classifier(row, f"{CONFIGS}/{row.tag}_{data_set}.yaml") for row in rows)


def mini_rows() -> tuple[Classifier, ...]:
    """Returns the same networks with an eighth of the channels throughout."""
    names = [_names(groups, 8) for groups in GROUPS]
    return tuple(
        Classifier(StudyRow(f"{name}, an eighth of the width", tag), MINI_CONFIG, network(29, c, 8))
        for (name, tag), c in zip(names, GROUPS, strict=True)
    )


def row_tags(rows: tuple[Classifier, ...]) -> tuple[tuple[str, str], ...]:
    """Returns the pairs whose difference is asked: from one network to the next."""
    tags = [classifier.row.tag for classifier in rows]
    return tuple(pairwise(tags))


def paper_tables() -> dict[str, PaperTable]:
    """Returns Table 7 by data set, as the names of its parts."""
    return {
        name: _table(name, [(c.row, c.row.model) for c in paper_rows(name)]) for name in DATA_SETS
    }


def mini_table() -> PaperTable:
    """Returns the mini scale's, beside the paper's figures on CIFAR-10."""
    models = [_names(groups, 64)[0] for groups in GROUPS]
    return _table("cifar10", list(zip((c.row for c in mini_rows()), models, strict=True)))


def _table(data_set: str, rows: list[tuple[StudyRow, str]]) -> PaperTable:
    keys = (f"{data_set}_err",)
    lines = [PaperLine(row, model, keys) for row, model in rows]
    column = ErrorColumn("err", decimals=2)
    title = f"{DATA_SETS[data_set]}, test"
    return PaperTable("table7", (column,), (PaperLine(None, "Wide ResNet", keys), *lines), title)
