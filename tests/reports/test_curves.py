"""Curves from metrics.json."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from resnext_det.errors import UserError
from resnext_det.reports.curves import curves_svg, read_metrics, series
from resnext_det.reports.study import read_study


def test_series_counts_iterations_from_one(study_file: Path) -> None:
    iterations, values = series(study_file.parent / "run0", "bbox/AP50")
    assert iterations == [100, 200, 300, 400]
    assert values == pytest.approx([52.34 / 4, 52.34 / 2, 52.34 * 0.75, 52.34])


def test_a_resumed_run_counts_once_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(
        '{"iteration": 19, "total_loss": 3.0}\n{"iteration": 39, "total_loss": 2.0}\n'
        '{"iteration": 39, "total_loss": 1.5}\n{"iteration": 39, "bbox/AP": 7.0}\n{"iterat'
    )
    assert series(tmp_path, "total_loss") == ([20, 40], [3.0, 1.5])
    assert series(tmp_path, "bbox/AP") == ([40], [7.0])


def test_null_and_nan_are_no_points(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(
        '{"iteration": 0, "bbox/APl": null}\n{"iteration": 1, "bbox/APl": NaN}\n'
    )
    assert series(tmp_path, "bbox/APl") == ([], [])


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"total_loss": 1}\n{"iteration": 1}\n')
    with pytest.raises(UserError, match=r"metrics\.json: line 1 is not a metrics line"):
        read_metrics(tmp_path)


def test_nothing_to_draw_gives_no_figure(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []
    assert curves_svg({"none": tmp_path}, "total_loss", ylabel="loss") is None
    assert curves_svg({}, "total_loss", ylabel="loss") is None


def test_the_svg_is_whole_scalable_and_takes_the_pages_colour(study_file: Path) -> None:
    runs = {row.label: row.run for row in read_study(study_file).rows}
    svg = curves_svg(runs, "total_loss", ylabel="total <loss>")
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert root.tag == "svg"
    assert set(root.attrib) >= {"viewBox"}
    assert not {"width", "height"} & set(root.attrib)
    assert "http" not in svg
    assert "currentColor" in svg
    words = [element.text for element in root.iter("text")]
    assert {"ResNet-26, pretrained", "total <loss>", "iteration"} <= set(words)
    assert svg == curves_svg(runs, "total_loss", ylabel="total <loss>")  # the same every time
