"""The networks of Table 6 and what they answer to. Engine-neutral."""

from pathlib import Path

from projects.studies.classification.classifiers import Classifier, network
from projects.studies.classification.paper_tables import OWN_WAY, ErrorColumn, PaperLine, PaperTable
from projects.studies.grid import StudyRow

CONFIGS = "resnext_det://ImageNet-5K"
MINI_CONFIG = str(Path(__file__).parent / "mini.yaml")
PAPER_PAIRS = (("R_50", "X_50_32x4d"), ("R_101", "X_101_32x4d"))
MINI_PAIRS = (("R_26_1x32d", "X_26_32x2d"), ("R_50_1x32d", "X_50_32x2d"))
_KEYS = ("top1_err_5k", "top5_err_5k", "top1_err", "top5_err")
_METRICS = ("top1", "top5", f"{OWN_WAY}top1", f"{OWN_WAY}top5")
_MODELS = ("ResNet-50", "ResNeXt-50 32x4d", "ResNet-101", "ResNeXt-101 32x4d")


def paper_rows() -> tuple[Classifier, ...]:
    """Returns the table's networks, by their configs."""
    tags = ("R_50", "X_50_32x4d", "R_101", "X_101_32x4d")
    return tuple(
        Classifier(StudyRow(model, tag), f"{CONFIGS}/{tag}.yaml")
        for model, tag in zip(_MODELS, tags, strict=True)
    )


def mini_rows() -> tuple[Classifier, ...]:
    """Returns the same pairs with 26 and 50 layers and half of the usual channels."""
    return tuple(
        Classifier(
            StudyRow(f"{kind}-{depth} {groups}x{width}d, half width", tag),
            MINI_CONFIG,
            network(depth, groups, width),
        )
        for depth in (26, 50)
        for kind, groups, width, tag in (
            ("ResNet", 1, 32, f"R_{depth}_1x32d"),
            ("ResNeXt", 32, 2, f"X_{depth}_32x2d"),
        )
    )


def paper_table() -> PaperTable:
    """Returns Table 6."""
    return _table(paper_rows(), ("5K-way", "1K-way"))


def mini_table() -> PaperTable:
    """Returns the mini scale's, beside the paper's figures of what each network stands for."""
    return _table(mini_rows(), ("among all", "among its own"))


def _table(rows: tuple[Classifier, ...], ways: tuple[str, str]) -> PaperTable:
    titles = [f"{way} top-{k} err" for way in ways for k in (1, 5)]
    columns = [ErrorColumn(t, metric) for t, metric in zip(titles, _METRICS, strict=True)]
    lines = [PaperLine(c.row, model, _KEYS) for c, model in zip(rows, _MODELS, strict=True)]
    return PaperTable("table6", tuple(columns), tuple(lines))
