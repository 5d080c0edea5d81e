"""The networks of Tables 3 and 4 and of the ablation without shortcuts. Engine-neutral."""

from pathlib import Path

from projects.studies.classification.classifiers import Classifier, network
from projects.studies.classification.paper_tables import ErrorColumn, PaperLine, PaperTable
from projects.studies.grid import StudyRow

CONFIGS = "resnext_det://ImageNet-Classification"
MINI_CONFIG = str(Path(__file__).parent / "mini.yaml")
WITHOUT = "without shortcuts"
_NO = "_no_shortcuts"
# Table 2: cardinality, width of a group in res2.
WIDTHS = ((1, 64), (2, 40), (4, 24), (8, 14), (32, 4))
# Table 4: tag, network; the first two are the complexity that the others have twice.
_TWICE = (
    ("R_101", "ResNet-101"),
    ("X_101_32x4d", "ResNeXt-101 32x4d"),
    ("R_200", "ResNet-200"),
    ("R_101_1x100d", "ResNet-101 1x100d"),
    ("X_101_2x64d", "ResNeXt-101 2x64d"),
    ("X_101_64x4d", "ResNeXt-101 64x4d"),
)


def _name(depth: int, groups: int, width: int) -> str:
    return f"ResNeXt-{depth} {groups}x{width}d" if groups > 1 else f"ResNet-{depth}"


def _tag(depth: int, groups: int, width: int) -> str:
    return f"X_{depth}_{groups}x{width}d" if groups > 1 else f"R_{depth}"


def imagenet_rows() -> tuple[Classifier, ...]:
    """Returns every row of the two tables, then the two without shortcuts, by their configs."""
    named = [(_tag(d, c, w), _name(d, c, w)) for d in (50, 101) for c, w in WIDTHS]
    rows = [StudyRow(name, tag) for tag, name in dict.fromkeys((*named, *_TWICE))]
    rows += [
        StudyRow("ResNet-50", f"R_50{_NO}", note=WITHOUT),
        StudyRow("ResNeXt-50 32x4d", f"X_50_32x4d{_NO}", note=WITHOUT),
    ]
    return tuple(Classifier(row, f"{CONFIGS}/{row.tag}_paper.yaml") for row in rows)


def mini_rows() -> tuple[Classifier, ...]:
    """Returns the same comparison with 26 layers for 50 and 101, 50 for 200, and half the widths.

    The widths are Table 2's and Table 4's, halved, which is also what Eq. 4 gives when all the
    network's channels are halved.
    """
    networks = [(26, groups, width // 2) for groups, width in WIDTHS]
    networks += [(50, 1, 32), (26, 1, 50), (26, 2, 32), (26, 64, 2)]
    rows = [_mini(*numbers) for numbers in networks]
    rows += [_mini(26, 1, 32, shortcuts=False), _mini(26, 32, 2, shortcuts=False)]
    return tuple(rows)


def _mini(depth: int, groups: int, width: int, *, shortcuts: bool = True) -> Classifier:
    kind, letter = ("ResNet", "R") if groups == 1 else ("ResNeXt", "X")
    row = StudyRow(
        f"{kind}-{depth} {groups}x{width}d, half width",
        f"{letter}_{depth}_{groups}x{width}d{'' if shortcuts else _NO}",
        note="" if shortcuts else WITHOUT,
    )
    return Classifier(row, MINI_CONFIG, network(depth, groups, width, shortcuts=shortcuts))


# (first, second) whose difference, second minus first, is asked.
IMAGENET_PAIRS = (
    *(("R_50", _tag(50, *numbers)) for numbers in WIDTHS[1:]),
    *(("R_101", _tag(101, *numbers)) for numbers in WIDTHS[1:]),
    ("R_101", "R_200"),
    ("R_101", "R_101_1x100d"),
    ("R_101", "X_101_64x4d"),
    ("R_200", "X_101_64x4d"),
    ("R_101_1x100d", "X_101_64x4d"),
    ("R_50", f"R_50{_NO}"),
    ("X_50_32x4d", f"X_50_32x4d{_NO}"),
    (f"R_50{_NO}", f"X_50_32x4d{_NO}"),
)
MINI_PAIRS = (
    *(("R_26_1x32d", f"X_26_{groups}x{width // 2}d") for groups, width in WIDTHS[1:]),
    ("R_26_1x32d", "R_50_1x32d"),
    ("R_26_1x32d", "R_26_1x50d"),
    ("R_26_1x32d", "X_26_64x2d"),
    ("R_50_1x32d", "X_26_64x2d"),
    ("R_26_1x50d", "X_26_64x2d"),
    ("R_26_1x32d", f"R_26_1x32d{_NO}"),
    ("X_26_32x2d", f"X_26_32x2d{_NO}"),
    (f"R_26_1x32d{_NO}", f"X_26_32x2d{_NO}"),
)
# Tags of what is to be of one complexity, the first of them the reference.
IMAGENET_EQUAL = tuple(tuple(_tag(d, *numbers) for numbers in WIDTHS) for d in (50, 101))
MINI_EQUAL = (("R_26_1x32d", *(f"X_26_{c}x{w // 2}d" for c, w in WIDTHS[1:])),)

_TOP1 = ErrorColumn("top-1 err")
_TOP5 = ErrorColumn("top-5 err", "top5")
_KEYS = ("top1_err", "top5_err")


def imagenet_tables() -> dict[str, PaperTable]:
    """Returns Tables 3 and 4 and the ablation, by name."""
    row = {classifier.row.tag: classifier.row for classifier in imagenet_rows()}
    third = [_tag(depth, *numbers) for depth in (50, 101) for numbers in WIDTHS]
    fourth = [tag for tag, _ in _TWICE]
    without = ("R_50", f"R_50{_NO}", "X_50_32x4d", f"X_50_32x4d{_NO}")
    return {
        "table 3": _table("table3", [(row[tag], row[tag].model) for tag in third], top5=False),
        "table 4": _table("table4", [(row[tag], row[tag].model) for tag in fourth]),
        "without shortcuts": _ablation([(row[tag], row[tag].model) for tag in without]),
    }


def mini_tables() -> dict[str, PaperTable]:
    """Returns the mini scale's, beside the paper's figures of what each network stands for."""
    row = {classifier.row.tag: classifier.row for classifier in mini_rows()}
    third = [(f"X_26_{c}x{w // 2}d", _name(50, c, w)) for c, w in WIDTHS[1:]]
    third.insert(0, ("R_26_1x32d", "ResNet-50"))
    tags = ("R_26_1x32d", "X_26_32x2d", "R_50_1x32d", "R_26_1x50d", "X_26_2x32d", "X_26_64x2d")
    fourth = zip(tags, (name for _, name in _TWICE), strict=True)
    without = [
        (tag + end, name)
        for tag, name in (("R_26_1x32d", "ResNet-50"), ("X_26_32x2d", "ResNeXt-50 32x4d"))
        for end in ("", _NO)
    ]
    return {
        "mini table 3": _table("table3", [(row[tag], name) for tag, name in third], top5=False),
        "mini table 4": _table("table4", [(row[tag], name) for tag, name in fourth]),
        "mini without shortcuts": _ablation([(row[tag], name) for tag, name in without]),
    }


def _table(name: str, lines: list[tuple[StudyRow, str]], *, top5: bool = True) -> PaperTable:
    columns, keys = ((_TOP1, _TOP5), _KEYS) if top5 else ((_TOP1,), _KEYS[:1])
    return PaperTable(name, columns, tuple(PaperLine(row, model, keys) for row, model in lines))


def _ablation(lines: list[tuple[StudyRow, str]]) -> PaperTable:
    made = [
        PaperLine(row, model, ("top1_err_without" if row.note else "top1_err",), row.note)
        for row, model in lines
    ]
    return PaperTable("no_shortcuts", (_TOP1,), tuple(made))
