"""Curves from metrics.json."""

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from resnext_det.errors import UserError
from resnext_det.reports.curves import (
    band,
    curves_svg,
    group_curves,
    read_metrics,
    row_curve,
    series,
)
from resnext_det.reports.seeds import group_rows
from resnext_det.reports.study import Row, read_study


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


@pytest.mark.parametrize("line", ["[" * 100_000, '{"iteration": 1e999}'], ids=["deep", "infinite"])
def test_a_line_made_to_fail_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "metrics.json").write_text(f'{line}\n{{"iteration": 1}}\n')
    with pytest.raises(UserError, match=r"metrics\.json: line 1 is not a metrics line"):
        read_metrics(tmp_path)


def test_a_pipe_is_not_waited_on(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.json")
    with pytest.raises(UserError, match=r"metrics\.json: cannot be read \(not a plain file\)"):
        read_metrics(tmp_path)


def test_nothing_to_draw_gives_no_figure(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []
    assert curves_svg({"none": [series(tmp_path, "total_loss")]}, ylabel="loss") is None
    assert curves_svg({}, ylabel="loss") is None


def test_the_svg_is_whole_scalable_and_takes_the_pages_colours(study_file: Path) -> None:
    curves = group_curves(group_rows(read_study(study_file).rows), "detection", "total_loss")
    svg = str(curves_svg(curves, ylabel="total <loss>"))
    root = ElementTree.fromstring(svg)
    assert root.tag == "svg"
    assert set(root.attrib) >= {"viewBox"}
    assert not {"width", "height"} & set(root.attrib)
    assert "http" not in svg
    assert "currentColor" in svg
    assert {f"var(--series-{number})" in svg for number in (1, 2, 3)} == {True}
    words = [element.text for element in root.iter("text")]
    assert {"ResNet-26, pretrained", "total <loss>", "iteration"} <= set(words)
    assert svg == curves_svg(curves, ylabel="total <loss>")  # the same every time


def test_a_band_spans_the_seeds() -> None:
    """At 15, halfway between 10 and 20: (2 + 3) / 2 of the first, 8 of the second."""
    x, mean, low, high = band([((10, 20), (2, 3)), ((5, 15, 25), (6, 8, 8)), ((), ())])
    assert x.tolist() == [10, 15, 20]
    assert mean.tolist() == [(2 + 7) / 2, (2.5 + 8) / 2, (3 + 8) / 2]
    assert low.tolist() == [2, 2.5, 3]
    assert high.tolist() == [7, 8, 8]


def test_seeds_of_a_network_are_one_line_with_a_band() -> None:
    rows = [
        Row("a", None, seed, {}, curves={"detection": {"total_loss": ((1, 2), (3.0, 1.0 + seed))}})
        for seed in (0, 1)
    ]
    curves = group_curves(group_rows(rows), "detection", "total_loss")
    assert curves == {"a": [((1, 2), (3.0, 1.0)), ((1, 2), (3.0, 2.0))]}
    several = str(curves_svg(curves, ylabel="loss"))
    one = str(curves_svg({"a": curves["a"][:1]}, ylabel="loss"))
    assert ("fill-opacity: 0.2" in several, "fill-opacity: 0.2" in one) == (True, False)


def test_curves_in_the_file_need_no_folder_and_a_shared_start_is_drawn_once(
    study_file: Path,
) -> None:
    rows = read_study(study_file).rows
    assert row_curve(rows[0], "classification", "total_loss")[0][0] == 20  # beside the file
    assert row_curve(rows[2], "classification", "total_loss") == ((), ())  # from scratch
    shared = {"classification": {"total_loss": ((1,), (2.0,))}}
    pair = [Row("a", True, 0, {}, note=note, curves=shared) for note in ("", "frozen")]
    assert list(group_curves(group_rows(pair), "classification", "total_loss")) == ["a"]
    assert row_curve(pair[0], "detection", "total_loss") == ((), ())
