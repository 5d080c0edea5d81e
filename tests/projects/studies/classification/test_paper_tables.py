"""Tables of errors, ours beside the paper's. Engine-neutral."""

import io
import json
import statistics

import pytest
from rich.console import Console

from projects.studies.classification.paper_tables import (
    OWN_WAY,
    ErrorColumn,
    PaperLine,
    PaperTable,
    PrintedErrors,
    error_lines,
    markdown_errors,
    read_content,
)
from projects.studies.grid import StudyRow
from resnext_det.errors import UserError

FIRST, SECOND = StudyRow("ResNet-50", "R_50"), StudyRow("ResNeXt-50 32x4d", "X_50_32x4d")
WITHOUT = StudyRow("ResNet-50", "R_50_no", note="without shortcuts")
TOP1, TOP5 = ErrorColumn("top-1 err"), ErrorColumn("top-5 err", "top5", 2)


def table(*rows, published="table3", columns=(TOP1,), keys=("top1_err",), model=None):
    lines = [PaperLine(row, model or row.model, keys, row.note) for row in rows]
    return PaperTable(published, columns, tuple(lines))


def row(of, top1, **more):
    return {"model": of.model, "note": of.note, "metrics": {"top1": top1, **more}}


def test_nothing_measured_leaves_the_papers_figures():
    expected = [
        ["Network", "top-1 err", "Seeds", "paper, top-1 err"],
        ["ResNet-50", "not run", "–", "23.9"],
        ["ResNeXt-50 32x4d", "not run", "–", "22.2"],
    ]
    assert error_lines(table(FIRST, SECOND), None) == expected
    assert error_lines(table(FIRST, SECOND), {"rows": []}) == expected
    assert markdown_errors(table(FIRST), None).splitlines() == [
        "| Network | top-1 err | Seeds | paper, top-1 err |",
        "| --- | ---: | ---: | ---: |",
        "| ResNet-50 | not run | – | 23.9 |",
    ]


def test_errors_are_what_accuracy_leaves_over_seeds():
    accuracies = [76.0, 77.5, 78.1]
    content = {"rows": [row(FIRST, value) for value in accuracies] + [row(SECOND, 80.0)]}
    mean = statistics.mean(100 - value for value in accuracies)
    spread = f"{mean:.1f} ± {statistics.stdev(accuracies):.1f}"
    lines = error_lines(table(FIRST, SECOND), content)
    assert [line[1:3] for line in lines[1:]] == [[spread, "3"], ["20.0", "1"]]


def test_rows_are_told_apart_by_their_notes():
    content = {"rows": [row(WITHOUT, 60.0)]}
    lines = error_lines(table(FIRST, WITHOUT), content)
    assert [line[0] for line in lines[1:]] == ["ResNet-50", "ResNet-50, without shortcuts"]
    assert [line[1] for line in lines[1:]] == ["not run", "40.0"]


def test_an_accuracy_that_there_is_not_is_a_dash():
    columns, keys = (TOP1, TOP5), ("top1_err", "top5_err")
    shown = table(FIRST, published="table5", columns=columns, keys=keys, model="ResNet-101")
    content = {"rows": [row(FIRST, 90.0, top5=None)]}
    assert error_lines(shown, content)[1] == [
        *("ResNet-50", "10.0", "–", "1"),
        *("ResNet-101", "22.0", "6.00"),
    ]


def test_another_network_than_the_papers_is_named_beside_it():
    small = StudyRow("small", "s")
    lines = error_lines(table(small, model="ResNet-50"), None)
    assert lines[0] == ["Network", "top-1 err", "Seeds", "the paper's network", "paper, top-1 err"]
    assert lines[1] == ["small", "not run", "–", "ResNet-50", "23.9"]


def test_a_subsets_own_errors_are_found_whatever_their_number_of_classes():
    column = ErrorColumn("own", f"{OWN_WAY}top1")
    content = {"rows": [row(FIRST, 50.0, **{"12_way/top1": 75.0, "12_way/top5": 90.0})]}
    assert error_lines(table(FIRST, columns=(column,)), content)[1][1] == "25.0"


def test_a_line_of_the_paper_alone():
    line = PaperLine(None, "Wide ResNet", ("cifar10_err",))
    shown = PaperTable("table7", (ErrorColumn("err", decimals=2),), (line,))
    assert error_lines(shown, {"rows": []})[1] == ["Wide ResNet", "–", "–", "4.17"]


def printed(tables, *contents):
    kept = PrintedErrors(tables, lambda content: [])
    console = Console(file=io.StringIO(), width=120)
    assert [kept(content) for content in contents] == [[] for _ in contents]
    kept.print(console)
    return console.file.getvalue()


def test_only_tables_of_what_was_gathered_are_printed():
    of_first, of_second = table(FIRST), table(SECOND, published="table4")
    assert printed([of_first]) == ""
    assert printed([of_first], {"rows": []}) == ""
    shown = printed([of_first, of_second], {"rows": [row(FIRST, 80.0)]})
    assert "Table 3: ImageNet-1K, cardinality at equal complexity, error in %" in shown
    assert "20.0" in shown
    assert "deeper, wider" not in shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"r\.json: not JSON, or cut off: .*; write or copy it anew$"),
        ("[1]", r"r\.json: not a study's result\.json"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, text, message):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_content(tmp_path / "r.json")


def test_a_result_is_read_and_a_missing_one_is_none(tmp_path):
    assert read_content(tmp_path / "none.json") is None
    (tmp_path / "r.json").write_text(json.dumps({"rows": []}))
    assert read_content(tmp_path / "r.json") == {"rows": []}
