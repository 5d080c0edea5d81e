"""`resnext-det evaluate`: what it writes, and the line for each thing that can be wrong."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resnext_det.analysis.errors import KINDS
from resnext_det.cli import main
from resnext_det.evaluation.coco_ap import METRICS, evaluate_coco
from tests.evaluation.conftest import write_vector

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def evaluate(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the verb; returns the exit status, stdout and stderr."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        status = main(["evaluate", *map(str, words)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_vector(tmp_path, seed=0, num_images=8)


def as_run(folder: Path, files: tuple[Path, Path], **result: Any) -> Path:
    """Writes a finished run's folder."""
    gt, dt = files
    (folder / "inference").mkdir(parents=True)
    (folder / "inference" / "coco_instances_results.json").write_text(dt.read_text())
    sets = {"val": {"annotations": str(gt), "images": str(gt.parent)}}
    (folder / "result.json").write_text(json.dumps({"test_sets": sets, **result}))
    return folder


def test_everything_is_written(evaluate: Run, files: tuple[Path, Path], tmp_path: Path) -> None:
    gt, dt = files
    out, copy = tmp_path / "new" / "out", tmp_path / "copy.json"
    status, said, errors = evaluate(
        dt, "--annotations", gt, "--samples", "20", "-o", out, "--json", copy
    )
    assert (status, errors) == (0, "")
    assert "costliest error" in said
    content = json.loads((out / "evaluation.json").read_text())
    assert content == json.loads(copy.read_text())
    reference = evaluate_coco(gt, dt, backend="pycocotools")
    assert content["metrics"] == pytest.approx(reference, abs=1e-9, nan_ok=True)
    assert list(content["errors"]["costs"]) == list(KINDS)
    low, high = content["intervals"]["ends"]["AP"]
    assert 0 <= low < content["metrics"]["AP"] < high <= 100
    with (out / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == list(content["classes"])
    assert float(rows[0]["AP"]) == content["classes"][rows[0]["class"]]["metrics"]["AP"]
    assert len((out / "images.csv").read_text().splitlines()) == 1 + 8
    assert len((out / "confusion.csv").read_text().splitlines()) == 1 + 3 + 1
    page = (out / "evaluation.html").read_text()
    assert "Costliest kind of error" in page
    assert "<script" not in page
    assert "src=" not in page


def test_a_runs_folder_knows_its_set(
    evaluate: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    run = as_run(tmp_path / "run", files)
    status, said, _ = evaluate(run, "--samples", "0", "--json", "-")
    assert status == 0
    assert json.loads(said)["annotations"] == str(files[0])


def test_a_comparison_says_one_sentence(
    evaluate: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    gt, dt = files
    worse = tmp_path / "worse.json"
    worse.write_text(json.dumps([r for r in json.loads(dt.read_text()) if r["score"] < 0.8]))
    words = ("--annotations", gt, "--samples", "20", "-o", tmp_path / "out")
    status, said, _ = evaluate("--compare", dt, worse, *words)
    assert status == 0
    assert "worse.json minus dt.json is -" in said
    content = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    first, second = (content[side]["metrics"]["AP"] for side in ("first", "second"))
    found = {one["metric"]: one for one in content["differences"]}
    assert found["AP"]["value"] == pytest.approx(second - first)
    assert found["AP"]["low"] <= found["AP"]["value"] <= found["AP"]["high"]
    assert set(METRICS[:6]) <= set(found)
    assert "worse.json beside dt.json" in (tmp_path / "out" / "evaluation.html").read_text()


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (("r50", "x50"), ("r50", "x50")),
        (("study/r50/run", "study/x50/run"), ("r50", "x50")),
        (("r50/seed_0/dt.json", "x50/seed_1/dt.json"), ("r50/seed_0", "x50/seed_1")),
        (("run", "new/run"), ("run", "new/run")),
        (("run", "run"), ("run", "run")),
    ],
)
def test_names_are_what_two_paths_differ_in(
    evaluate: Run,
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    paths: tuple[str, str],
    names: tuple[str, str],
) -> None:
    gt, dt = files
    monkeypatch.chdir(tmp_path)
    for path in set(paths):
        place = Path(path)
        if place.suffix:
            place.parent.mkdir(parents=True)
            place.write_text(dt.read_text())
        else:
            as_run(place, files)
    status, said, _ = evaluate("--compare", *paths, "--annotations", gt, "--samples", "2")
    assert status == 0
    assert f"{names[1]} minus {names[0]} is" in " ".join(said.split())


def test_no_detection_scores_0_and_says_so(evaluate: Run, tmp_path: Path) -> None:
    gt, dt = write_vector(tmp_path, seed=0, max_detections=0)
    status, said, errors = evaluate(dt, "--annotations", gt, "--samples", "5", "--json", "-")
    assert status == 0
    assert errors == f"{dt}: holds no detection, so nothing is found\n"
    content = json.loads(said)
    assert content["metrics"]["AP"] == 0
    assert content["errors"]["costs"]["missed"] == pytest.approx(100)


def test_no_object_is_undefined_and_says_so(evaluate: Run, tmp_path: Path) -> None:
    gt, dt = write_vector(tmp_path, seed=0, max_boxes=0)
    status, said, errors = evaluate(dt, "--annotations", gt, "--samples", "5", "--json", "-")
    assert status == 0
    assert errors == f"{gt}: has no object, so nothing can be found\n"
    content = json.loads(said)
    assert content["metrics"]["AP"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give SOURCE, or --compare A B"),
        (("a", "--compare", "b", "c"), "give SOURCE, or --compare A B"),
        (("none.json",), "none.json: no such run folder, checkpoint or results file"),
        (("dt.json",), "does not say what it was made for: give --annotations JSON"),
        (("dt.json", "--annotations", "none.json"), "none.json: no such annotation file"),
        (("dt.json", "--annotations", "dt.json"), "it has no list 'images'"),
        (("gt.json", "--annotations", "gt.json"), "COCO results are a list of records"),
        (("other.json", "--annotations", "gt.json"), "other.json: record 0 has image_id -5"),
        (("classes.json", "--annotations", "gt.json"), "classes.json: record 0 has category_id -5"),
        (
            ("broken.json", "--annotations", "gt.json"),
            "broken.json: cannot be read as COCO",
        ),
        (("unfinished",), "unfinished: the run is not finished, it has no inference/coco_"),
        (("untested",), "untested: the run was tested on no set"),
        (("empty",), "empty: not a detection run's folder"),
        (("old",), "old: nothing there says where the test set lies"),
        (("old/result.json",), "without its boxes: give the run's folder"),
        (("two",), "two: was tested on 2 sets: give one's results file"),
        (("dt.json", "--test-data", "a=b.json:c"), "--test-data is for a checkpoint"),
        (("a.pth",), "a.pth: a checkpoint is run first: give --test-data NAME="),
        (("a.pth", "--test-data", "a=b.json:c"), "a.pth: give -o FOLDER"),
        (("--compare", "first", "second"), "only results on the same images can be compared"),
        (("--compare", "dt.json", "dt.json", "--samples", "0"), "--compare takes at least one"),
        (("dt.json", "--samples", "-1"), "--samples -1: give 0 for no intervals"),
        (("dt.json", "--confidence", "95"), "--confidence 95.0: it lies between 0 and 1"),
        (("dt.json", "--score-thresh", "50"), "--score-thresh 50.0: it lies between 0 and 1"),
        (("dt.json", "--annotations", "gt.json", "-o", "gt.json"), "-o gt.json: is a file"),
        (("dt.json", "--annotations", "gt.json", "-o", "gt.json/x"), "cannot be made (Not a dir"),
        (("dt.json", "--annotations", "gt.json", "-o", "strange"), "bears no mark of a page"),
        (("dt.json", "--annotations", "gt.json", "--json", "none/a"), "--json none/a: No such"),
    ],
    ids=lambda value: "_".join(value)[:60].replace("/", ".") if isinstance(value, tuple) else "",
)
def test_each_mistake_has_its_line(
    words: tuple[str, ...],
    message: str,
    evaluate: Run,
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    record = json.loads(files[1].read_text())[0]
    for name, change in (("other", {"image_id": -5}), ("classes", {"category_id": -5})):
        Path(f"{name}.json").write_text(json.dumps([record | change]))
    Path("broken.json").write_text("[{")
    for name in ("unfinished", "untested", "empty", "strange"):
        Path(name).mkdir()
    Path("unfinished/metrics.json").touch()
    Path("untested/metrics.json").touch()
    Path("untested/result.json").write_text("{}")
    Path("strange/evaluation.html").write_text("mine")
    as_run(Path("old"), files, test_sets=None)
    for name in ("a", "b"):
        folder = Path("two/inference") / name
        folder.mkdir(parents=True)
        (folder / "coco_instances_results.json").write_text("[]")
    as_run(Path("first"), files)
    Path("more").mkdir()
    as_run(Path("second"), write_vector(Path("more"), seed=1))
    status, _, errors = evaluate(*words)
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user who may not write everywhere")
def test_no_write_access_is_said_before_anything_is_read(evaluate: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    status, _, errors = evaluate("none.json", "-o", tmp_path / "out")
    assert status == 2
    assert "Permission denied" in errors


def test_no_write_access_as_the_system_tells_it(
    evaluate: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    status, _, errors = evaluate("none.json", "-o", tmp_path / "out")
    assert status == 2
    assert errors == (
        f"error: -o {tmp_path / 'out'}: Permission denied; give a folder that can be written to\n"
    )


def test_partial_results_are_told_in_a_line(
    evaluate: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    gt, dt = files
    words = ("--annotations", gt, "--samples", "0")
    assert "at all" not in evaluate(dt, *words)[1]
    records = json.loads(dt.read_text())
    objects = {row["image_id"] for row in json.loads(gt.read_text())["annotations"]}
    one = next(iter({row["image_id"] for row in records} & objects))
    partial = tmp_path / "partial" / "coco_instances_results.json"
    partial.parent.mkdir()
    partial.write_text(json.dumps([row for row in records if row["image_id"] != one]))
    said = evaluate(partial.parent, *words)[1]
    assert f"\n1 of the {len(objects)} images with objects have no detection at all: if " in said
    seen = [{"id": row["id"]} for row in json.loads(gt.read_text())["images"] if row["id"] != one]
    (partial.parent / "result.json").write_text(
        json.dumps({"test_sets": {"own": {"annotations": str(gt), "images": ""}}})
    )
    said = evaluate(partial.parent, "--samples", "0")[1]  # a run looks at all
    assert f"\n1 of the {len(objects)} images with objects have no detection at all.\n" in said
    (partial.parent / "images.json").write_text(json.dumps({"images": seen}))
    assert "\nOnly 7 of the 8 images were looked at: the objects in" in evaluate(partial, *words)[1]


def test_results_on_images_numbered_otherwise_are_refused(
    evaluate: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    gt, dt = files
    named = json.loads(gt.read_text())
    for row in named["images"]:
        row["file_name"] = f"photos/{row['id']}.jpg"
    truth, results = tmp_path / "named.json", tmp_path / "found" / "coco_instances_results.json"
    truth.write_text(json.dumps(named))
    results.parent.mkdir()
    results.write_text(dt.read_text())
    seen = [{"id": row["id"], "file_name": f"{row['id']}.jpg"} for row in named["images"]]
    (results.parent / "images.json").write_text(json.dumps({"images": seen}))
    words = ("--annotations", truth, "--samples", "0")
    assert evaluate(results, *words)[0] == 0
    seen[2]["file_name"] = "other.jpg"
    (results.parent / "images.json").write_text(json.dumps({"images": seen}))
    line = (
        f"error: {results}: its image {seen[2]['id']} is other.jpg, and photos/{seen[2]['id']}.jpg "
        f"in {truth}: numbered on their own; give predict --annotations {truth}\n"
    )
    for command in ((results, *words), ("--compare", dt, results, *words[:2])):
        assert evaluate(*command)[::2] == (2, line)


@pytest.mark.parametrize("name", ["gt.json", "dt.json", "out/evaluation.json"])
def test_json_does_not_replace_what_is_read_or_written(
    name: str, evaluate: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    gt, dt = files
    words = (dt, "--annotations", gt, "-o", tmp_path / "out", "--json", tmp_path / name)
    (tmp_path / "out").mkdir()
    before = gt.read_text(), dt.read_text()
    status, _, errors = evaluate(*words)
    assert status == 2
    assert "is one of the files that this command reads or writes: name another" in errors
    assert (gt.read_text(), dt.read_text()) == before
