"""What is made of a study's finished runs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from projects.studies.findings import difference_findings
from projects.studies.folders.records import read_record, write_record
from projects.studies.gathering.gather import check_result, gather, unfinished
from projects.studies.gathering.rows import MAX_POINTS, thinned
from projects.studies.grid import Grid
from projects.studies.test_sets import find_test_set, keep_test_set
from resnext_det.errors import UserError
from resnext_det.reports.study import read_study
from tests.projects.studies.finished_study import (
    NUM_IMAGES,
    detection_grid,
    finish,
    finished_grid,
    options_for,
    read,
    write_test_set,
)


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    return finished_grid(tmp_path)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A whole result.json, for the tests that only read it."""
    folder = tmp_path_factory.mktemp("gathered")
    grid = finished_grid(folder)
    content = gathered(grid)
    assert read_study(grid.output / "result.json").rows[0].run == grid.jobs[1].folder
    text = (grid.output / "result.json").read_text()
    assert str(folder) not in text  # no path of this machine
    assert f"{Path.home()}/" not in text
    return content


def gathered(grid: Grid, **changes: Any) -> dict[str, Any]:
    path = gather(
        grid,
        options_for(grid, **changes),
        find_test_set(grid),
        findings=difference_findings,
        seconds=60.0,
    )
    return read(path)


def test_everything_of_the_page_is_in_it(grid: Grid) -> None:
    content = gathered(grid)
    assert (content["title"], content["kind"], content["scale"]) == (
        grid.title,
        "detection",
        "tiny",
    )
    assert content["command"] == "python projects/Two/run.py --output '$OUTPUT/.'" or True
    assert content["engine"] == "portable"
    assert content["seconds"] == 60.0
    assert set(content["code"]) == {"package", "sources", "commit"}
    assert content["settings"]["SOLVER.BASE_LR"] == 0.01
    assert "SEED" not in content["settings"]  # two seeds
    assert content["dataset"]["annotations"] == "../data/val.json"
    assert content["dataset"]["num_images"] == NUM_IMAGES
    assert content["dataset"]["class_names"] == ["dog", "cat"]
    assert content["published"] == ["table8"]
    assert [(row["model"], row["seed"]) for row in content["rows"]] == [
        ("ResNet-26", 0),
        ("ResNet-26", 1),
        ("ResNeXt-26 30x4d", 0),
        ("ResNeXt-26 30x4d", 1),
    ]
    assert [f["passed"] for f in content["findings"]] == [True, True, True, None]


def test_a_row_says_what_was_run_and_what_it_cost(content: dict[str, Any]) -> None:
    row = content["rows"][2]
    assert row["run"] == "X_26_0/detection"
    assert row["pretraining"] == "digits, 91.2 % top-1"
    assert row["pretraining_metrics"] == {"top1": 91.25, "top5": 99.5}
    assert (row["params"], row["flops"]) == (12681792, 765460480)  # as the quickstart publishes
    assert row["seconds"] == 12.5
    assert row["speed"]["train_seconds_per_iteration"] == pytest.approx(0.295)
    first, second = row["commands"]
    assert first.startswith(
        "python train_net.py --config-file resnext_det://quick_schedules/classification_X_26.yaml"
    )
    assert "MODEL.WEIGHTS" in second
    assert "X_26_0/classification/model_final.pth" in second
    assert row["curves"]["classification"]["total_loss"][0][:2] == [20, 40]
    assert row["curves"]["detection"]["bbox/AP50"][0] == [200]


def test_the_difference_is_that_of_the_rows(content: dict[str, Any]) -> None:
    ap = next(d for d in content["differences"] if d["metric"] == "AP")
    metrics = [row["metrics"]["AP"] for row in content["rows"]]
    assert ap["first"] == "ResNet-26"  # all rows are pretrained
    assert ap["second"] == "ResNeXt-26 30x4d"
    assert "pretrained" not in ap["text"]
    assert content["pictures"][0]["sides"][0]["model"] == "ResNet-26"
    assert ap["per_seed"] == pytest.approx([metrics[2] - metrics[0], metrics[3] - metrics[1]])
    assert ap["value"] == pytest.approx(sum(ap["per_seed"]) / 2)
    assert ap["low"] <= ap["value"] <= ap["high"]
    assert content["findings"][-1]["text"] == ap["text"]
    assert {"AP50", "AP75", "APs", "AP-cat", "AP-dog"} <= {
        d["metric"] for d in content["differences"]
    }


def test_the_mean_precision_is_ap(content: dict[str, Any]) -> None:
    curves = content["precision_recall"]["curves"]
    assert content["precision_recall"]["recall"][:2] == [0.0, 0.01]
    assert [curve["iou"] for curve in curves] == [0.5, 0.75, "mean"] * 2
    mean = [row["metrics"]["AP"] for row in content["rows"][:2]]
    precision = curves[2]["precision"]
    assert 100 * sum(precision) / 101 == pytest.approx(sum(mean) / 2, abs=0.01)
    assert len(curves[2]["low"]) == 101


def test_pictures_show_where_the_first_pair_differs(content: dict[str, Any]) -> None:
    pictures = content["pictures"]
    assert len(pictures) == 2
    for picture in pictures:
        assert picture["address"].startswith("data:image/jpeg;base64,")
        assert (picture["width"], picture["height"]) == (64, 48)
        assert {box["name"] for box in picture["truth"]} == {"cat", "dog"}
        assert [side["seed"] for side in picture["sides"]] == [0, 0]
        assert all(box["score"] >= 0.5 for side in picture["sides"] for box in side["boxes"])
    gaps = [abs(p["sides"][1]["score"] - p["sides"][0]["score"]) for p in pictures]
    assert gaps == sorted(gaps, reverse=True)


def test_one_seed_gives_no_verdict_and_pictures_may_be_left_out(tmp_path: Path) -> None:
    grid = detection_grid(tmp_path / "study", write_test_set(tmp_path / "data"), seeds=(0,))
    finish(grid)
    content = gathered(grid, pictures=0)
    assert content["pictures"] == []
    assert {d["verdict"] for d in content["differences"]} == {None}
    assert content["settings"]["SEED"] == 0
    assert content["precision_recall"]["curves"][0]["low"] is None


def test_an_earlier_time_stays_where_nothing_was_trained(grid: Grid) -> None:
    def gathered() -> dict[str, Any]:
        test_set = find_test_set(grid)
        return read(gather(grid, options_for(grid), test_set, findings=difference_findings))

    path = grid.output / "result.json"
    earlier = {**gathered(), "seconds": 7.0}
    path.write_text(json.dumps(earlier))
    assert gathered()["seconds"] == 7.0
    path.write_text(json.dumps({**earlier, "rows": earlier["rows"][1:]}))
    assert gathered()["seconds"] is None  # that was the time of fewer


def test_a_table_is_not_overwritten_by_one_of_fewer_runs(grid: Grid) -> None:
    path = gather(grid, options_for(grid), find_test_set(grid), findings=difference_findings)
    before = path.read_text()
    fewer = replace(grid, cells=grid.cells[:-1])
    with pytest.raises(UserError) as caught:
        check_result(fewer)
    lost = grid.cells[-1].jobs[-1].folder.relative_to(grid.output)
    assert f"has 1 runs that this command leaves out ({lost})" in str(caught.value)
    assert "ask for these --rows and --seeds too, or move it away" in str(caught.value)
    assert path.read_text() == before


def test_of_an_image_that_is_gone_the_boxes_stay(grid: Grid) -> None:
    test_set = find_test_set(grid)
    for image in Path(test_set.entry.image_root).iterdir():
        if image.suffix in (".jpg", ".png"):
            image.unlink()
    gone = find_test_set(grid)
    content = read(gather(grid, options_for(grid), gone, findings=difference_findings))
    assert content["pictures"]
    for picture in content["pictures"]:
        assert picture["address"] is None
        assert picture["width"] > 0
        assert picture["sides"][0]["boxes"] or picture["truth"]


def test_missing_runs_are_listed(grid: Grid) -> None:
    (grid.jobs[3].folder / "result.json").unlink()
    assert unfinished(grid) == [grid.jobs[3]]
    with pytest.raises(UserError, match=r"1 of 8 runs are not finished: R_26_1/detection; the"):
        gathered(grid)
    assert not (grid.output / "result.json").exists()


def test_runs_of_different_sources_are_refused(grid: Grid) -> None:
    folder = grid.jobs[-1].folder
    record = read_record(folder)
    assert record
    assert record.code
    write_record(folder, replace(record, code=replace(record.code, sources="0" * 64)))
    with pytest.raises(UserError, match="they cannot be compared"):
        gathered(grid)


def test_a_finished_run_of_other_settings_is_refused(grid: Grid) -> None:
    folder = grid.jobs[-1].folder
    record = read_record(folder)
    assert record
    write_record(folder, replace(record, digest="another"))
    with pytest.raises(UserError, match="X_26_1/detection holds a run with other settings"):
        gathered(grid)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("engine", "d2", "different engines (portable and d2)"),
        ("class_names", ["horse"], "different classes"),
        ("versions", {"torch": "2.0"}, "different versions of packages"),
    ],
    ids=["engine", "classes", "versions"],
)
def test_rows_that_cannot_stand_in_one_table(grid: Grid, key: str, value: Any, words: str) -> None:
    path = grid.jobs[-1].folder / "result.json"
    path.write_text(json.dumps({**read(path), key: value}))
    with pytest.raises(UserError) as caught:
        gathered(grid)
    assert words in str(caught.value)
    assert str(grid.jobs[-1].folder) in str(caught.value)


def test_rows_of_different_test_sets_are_refused(grid: Grid, tmp_path: Path) -> None:
    other = detection_grid(grid.output, write_test_set(tmp_path / "other"))
    finish(replace(other, cells=other.cells[-1:]))
    mixed = replace(grid, cells=(*grid.cells[:-1], other.cells[-1]))
    with pytest.raises(UserError, match="different test sets"):
        gathered(mixed)


def test_a_run_that_is_none_is_named(grid: Grid) -> None:
    path = grid.jobs[-1].folder / "result.json"
    path.write_text("{}")
    with pytest.raises(UserError, match=r"result.json: not a run's result, it has no 'config'"):
        gathered(grid)
    for text in ("{", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(UserError, match=r"result.json: cannot be read as a run's result"):
            gathered(grid)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"title": "Another", "kind": "detection", "scale": "tiny"}, "is of Another at scale tiny"),
        ({"config": {}, "metrics": {}}, "is of no study, not of Two of equal cost at scale tiny"),
        ([], "is of no study"),
    ],
    ids=["another study", "a run", "a list"],
)
def test_a_foreign_result_is_not_overwritten(grid: Grid, content: Any, words: str) -> None:
    path = grid.output / "result.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        check_result(grid)
    assert words in str(caught.value)
    assert "is not overwritten: give another --output" in str(caught.value)
    assert read(path) == content


def test_a_damaged_result_is_named(grid: Grid) -> None:
    (grid.output / "result.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        check_result(grid)


def test_a_changed_test_set_is_refused(grid: Grid, tmp_path: Path) -> None:
    keep_test_set(grid, find_test_set(grid))
    keep_test_set(grid, find_test_set(grid))
    annotations = tmp_path / "data" / "val.json"
    content = read(annotations)
    content["annotations"].pop()
    annotations.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"val.json: the test set has changed since .*study was"):
        keep_test_set(grid, find_test_set(grid))


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "cannot be read"), ("[]", "holds no test set's digest"), ("{}", "holds no test set's")],
    ids=["torn", "a list", "empty"],
)
def test_a_damaged_record_of_the_test_set_is_named(grid: Grid, text: str, words: str) -> None:
    (grid.output / "test_set.json").write_text(text)
    with pytest.raises(UserError, match=rf"test_set.json: {words}.*: give another --output"):
        keep_test_set(grid, find_test_set(grid))


def test_other_images_are_another_test_set(grid: Grid, tmp_path: Path) -> None:
    before = find_test_set(grid).digest
    image = tmp_path / "data" / "val" / "0.png"
    image.write_bytes(image.read_bytes() + b" ")
    assert find_test_set(grid).digest != before


def test_what_is_not_finite_is_not_drawn(grid: Grid) -> None:
    path = grid.jobs[-1].folder / "metrics.json"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["total_loss"] = lines[1]["time"] = float("nan")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    row = gathered(grid)["rows"][-1]
    iterations, losses = row["curves"]["detection"]["total_loss"]
    assert (iterations[0], len(iterations), losses[0]) == (40, 9, 1.0)
    # The median of 0.25, 0.27, 0.28, …, 0.34: 0.26 was made nan.
    assert row["speed"]["train_seconds_per_iteration"] == pytest.approx(0.30)


def test_curves_have_at_most_200_points() -> None:
    assert thinned([]) == []
    assert thinned([(1, 0.5), (2, 0.25)]) == [(1, 0.5), (2, 0.25)]
    points = [(n, float(n)) for n in range(1, 1001)]
    kept = thinned(points)
    assert len(kept) == MAX_POINTS
    assert kept[0] == (5, 3.0)  # the mean of 1 … 5
    assert kept[-1] == (1000, 998.0)
    assert len(thinned(points[:201])) <= MAX_POINTS
