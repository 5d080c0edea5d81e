"""The table in its three forms."""

import io
from pathlib import Path

from rich.console import Console

from resnext_det.reports.seeds import group_rows
from resnext_det.reports.study import Row, read_study
from resnext_det.reports.table import Column, markdown_table, rich_table


def test_markdown(study_file: Path) -> None:
    assert markdown_table(read_study(study_file).rows).splitlines() == [
        "| Model | Pretrained | AP@0.5 | AP | APs | APm | APl | GFLOPs | Params (M) |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| ResNet-26 | digits, 78.1 % top-1 | 52.3 | 27.3 | 1.0 | – | 2.0 | 0.71 | 13.96 |",
        "| ResNeXt-26 32x4d | digits, 78.1 % top-1 | 55.0 | 29.0 | 1.0 | – | 2.0 | 0.71 | 13.40 |",
        "| ResNeXt-26 32x4d | no | 8.0 | 3.0 | 1.0 | – | 2.0 | 0.71 | 13.40 |",
    ]


def test_the_papers_figures_stand_beside_its_models() -> None:
    rows = [
        Row("ResNeXt-50 32x4d", True, 0, {"AP": 41.23, "AP50": 62.0}),
        Row("My net", None, 1, {}),
    ]
    heading, _, ours, other = markdown_table(rows).splitlines()
    assert heading.endswith("| paper AP@0.5 | paper AP | Seed |")
    assert ours == "| ResNeXt-50 32x4d | yes | 62.0 | 41.2 | – | – | – | 49.7 | 27.5 | 0 |"
    assert other == "| My net | – | – | – | – | – | – | – | – | 1 |"


def test_a_pipe_in_a_name_does_not_break_the_markdown() -> None:
    line = markdown_table([Row("a|b", False, 0, {})]).splitlines()[2]
    assert line.startswith("| a\\|b | no |")


def test_without_rows_there_is_a_heading() -> None:
    assert len(markdown_table([]).splitlines()) == 2
    assert rich_table([]).row_count == 0


def test_the_terminal_shows_the_same_cells(study_file: Path) -> None:
    rows = read_study(study_file).rows
    file = io.StringIO()
    Console(file=file, width=140).print(rich_table(rows, title="ours"))
    for line in markdown_table(rows).splitlines()[2:]:
        for cell in line.strip("| ").split(" | "):
            assert cell in file.getvalue()


def test_seeds_of_a_network_are_one_line() -> None:
    """30, 31 and 35: mean 32, and (4 + 1 + 9) / 2 = 7 is the sample variance."""
    values = {0: 30.0, 1: 31.0, 2: 35.0}
    rows = [
        Row(
            "a",
            True,
            s,
            {"AP": ap, "APs": None},
            pretraining=f"digits, 9{s}.0 % top-1",
            pretraining_metrics={"top1": 90.0 + s},
        )
        for s, ap in values.items()
    ]
    rows.append(Row("b", None, 0, {"AP": 1.0}))
    heading, _, first, second = markdown_table(rows, [Column("s", lambda r: str(r.seed))]).split(
        "\n"
    )[:4]
    assert heading.endswith("| APl | Seeds | s |")
    start = "digits, 91.0 ± 1.0 % top-1"
    assert first == f"| a | {start} | – | 32.0 ± 2.6 | – | – | – | 3 | 0, 1, 2 |"
    assert second == "| b | – | – | 1.0 | – | – | – | 1 | 0 |"


def test_rows_without_a_seed_or_with_the_same_stay_apart() -> None:
    rows = [Row("a", None, seed, {"AP": 1.0}) for seed in (None, None, 3, 3, 4)]
    assert [len(group.rows) for group in group_rows(rows)] == [1, 1, 2, 1]


def test_classifiers_have_errors_and_the_published_ones_decimals() -> None:
    rows = [Row("ResNeXt-29 8x64d", None, seed, {"top1": 96.0 + seed}) for seed in (0, 1)]
    heading, _, line = markdown_table(rows, published=["table7"]).splitlines()
    assert heading == "| Model | top-1 err | Table 7 CIFAR-10 err | Table 7 CIFAR-100 err | Seeds |"
    assert line == "| ResNeXt-29 8x64d | 3.50 ± 0.71 | 3.65 | 17.77 | 2 |"


def test_a_row_that_is_set_apart_stands_beside_its_like_alone() -> None:
    rows = [
        Row("ResNet-50", None, 0, {"top1": 76.0}, note=note) for note in ("", "without shortcuts")
    ]
    lines = markdown_table(rows, published=["table3", "no_shortcuts"]).splitlines()
    assert lines[2] == "| ResNet-50 | 24.0 | 23.9 | 23.9 | – |"
    assert lines[3] == "| ResNet-50, without shortcuts | 24.0 | – | – | 31.2 |"
