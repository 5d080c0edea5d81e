"""`resnext-det dataset check`: what it prints and writes, and its exit statuses."""

import json
import shutil
from pathlib import Path

import pytest

from resnext_det.cli import check as check_verb
from resnext_det.cli import main
from resnext_det.data.catalog import DatasetEntry
from tests.data.checking.small_sets import content, picture, write_set, write_spoilt_set

QUICK = "resnext_det://quick_schedules/faster_rcnn_R_26_1x32d_half_FPN.yaml"
CONFIG = "resnext_det://COCO-Detection/faster_rcnn_X_50_32x4d_FPN_1x.yaml"

CLASSIFIER = "resnext_det://quick_schedules/classification_R_26.yaml"


def check(*words: str | Path) -> int:
    return main(["dataset", "check", *map(str, words)])


def word(entry: DatasetEntry) -> str:
    return f"{entry.name}={entry.json_file}:{entry.image_root}"


@pytest.fixture
def sound(tmp_path: Path) -> str:
    return word(write_set(tmp_path, "train", [1, 2]))


@pytest.fixture
def spoilt(tmp_path: Path) -> str:
    made = content(["1.png", "2.png"])
    made["annotations"][0]["bbox"] = [1, 2, 0, 4]
    made["annotations"][1]["bbox"] = [50, 2, 30, 4]
    return word(write_set(tmp_path, "train", [1, 2], made))


def test_a_sound_set(sound, capsys):
    assert check(sound) == 0
    printed = capsys.readouterr()
    assert printed.err == ""  # no bar in a pipe
    lines = printed.out.splitlines()
    assert lines[0] == (
        "train: 2 images, 4 objects of 2 classes; 4 small, 0 medium, 0 large; at most 2 in an "
        "image, none in 0"
    )
    assert lines[-1] == "0 problem(s), 0 note(s)"
    assert "Problems" not in printed.out


def test_problems_are_grouped_and_written(spoilt, tmp_path, capsys):
    assert check(spoilt, "--json", tmp_path / "found.json", "--config-file", CONFIG) == 1
    printed = capsys.readouterr().out
    assert "Problems\n  train: 1 × box size\n      annotation 1 of image 1.png" in printed
    assert "  train: 1 × box overhang\n" in printed
    assert "      → Mend the file, or set DATASETS.DROP_BAD_BOXES True" in printed
    assert printed.endswith("\n2 problem(s), 0 note(s)\n")
    found = json.loads((tmp_path / "found.json").read_text())
    assert [finding["kind"] for finding in found["findings"]] == ["box_size", "box_overhang"]
    assert sum(found["datasets"][0]["facts"]["overlaps"].values()) == 3


def test_of_many_findings_the_first_are_printed(tmp_path, capsys):
    made = content(["1.png"])
    made["annotations"] = [{**made["annotations"][0], "id": n, "area": "x"} for n in range(9)]
    check(word(write_set(tmp_path, "train", [1], made)))
    printed = capsys.readouterr().out
    assert printed.count("area is 'x'") == 3
    assert "      … and 6 more (-o FOLDER shows more, --json FILE lists all)\n" in printed


def test_leaks(tmp_path, capsys):
    train, val = write_set(tmp_path, "train", [1, 2]), write_set(tmp_path, "val", [3])
    shutil.copy(train.image_root / "1.png", val.image_root / "3.png")
    assert check(word(train), word(val)) == 1
    printed = capsys.readouterr().out
    assert "  val: 1 × same file in two sets\n" in printed
    assert "      image 3.png is the same file as 1.png of train\n" in printed
    assert "      → take it out of one of the sets\n" in printed


def test_fix_and_page(spoilt, tmp_path, capsys):
    fixed, page = tmp_path / "fixed", tmp_path / "page"
    words = ["--fix", fixed, "-o", page, "--json", tmp_path / "found.json"]
    assert check(spoilt, *words) == 1
    printed = capsys.readouterr().out
    assert f"{fixed}/train.json is the mended copy of {tmp_path}/train.json:\n" in printed
    assert "  1 × boxes clipped to their image\n" in printed
    assert "  1 × annotations without a usable box, taken out\n" in printed
    assert f"{page}/check.html is written.\n" in printed
    assert (page / "check.html").read_text().startswith("<!doctype html>")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["fixes"][0]["mended"]["box_clipped"]["count"] == 1
    assert check(f"train={fixed}/train.json:{tmp_path}/train") == 0
    capsys.readouterr()
    assert check(spoilt, "--fix", fixed) == 2
    assert capsys.readouterr().err == (
        f"error: --fix {fixed}: train.json is there already, and nothing is overwritten; give "
        "another folder\n"
    )


def test_what_could_not_be_mended_is_printed(tmp_path, capsys):
    made = content(["1.png"])
    made["images"][0]["height"] = 60
    set_word = word(write_set(tmp_path, "train", [1], made))
    assert check(set_word, "--fix", tmp_path / "fixed") == 1
    printed = capsys.readouterr().out
    assert "  not mended: 1 × image of another size than its annotation says\n" in printed
    (tmp_path / "train.json").write_text("[1")
    assert check(set_word, "--fix", tmp_path / "again") == 1
    assert f"{tmp_path}/train.json: cannot be mended: it cannot be read\n" in (
        capsys.readouterr().out
    )


def test_a_file_whose_names_all_leave_the_folder_is_not_mended(tmp_path, capsys):
    made = content(["../1.png", "/2.png"])
    assert check(word(write_set(tmp_path, "train", [], made)), "--fix", tmp_path / "fixed") == 1
    printed = capsys.readouterr().out
    assert "; this check then takes --trust-file-names\n" in printed
    assert printed.endswith(
        "train.json: cannot be mended: no image would be left, 2 of them missing, broken, without "
        "a name or with one that leaves the folder\n"
    )
    assert not (tmp_path / "fixed").exists()


def test_of_many_findings_left_the_first_are_printed_and_say_why(tmp_path, capsys):
    made = content(["1.png"])
    made["images"][0]["height"] = 6  # the file has 40; the boxes fit neither
    box = {**made["annotations"][0], "bbox": [1, 2, 900, 900], "area": 4}
    made["annotations"] = [{**box, "id": n} for n in range(5)]
    check(word(write_set(tmp_path, "train", [1], made)), "--fix", tmp_path / "fixed")
    printed = capsys.readouterr().out
    assert "      … and 2 more (train.fixes.json lists all)\n" in printed
    assert (
        "      → left, because the image file is of another size than the annotation file says: "
        "mend that size, and use --fix again\n"
    ) in printed


def test_json_on_stdout_is_all_there_is(spoilt, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check(spoilt, "--fix", "fixed", "-o", "page", "--json", "-") == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["fixes"][0]["mended"]["box_clipped"]["count"] == 1
    assert printed.err == ""
    assert not (tmp_path / "-").exists()


def test_a_config_for_other_sets(sound, tmp_path, capsys):
    assert check(sound, "--config-file", CLASSIFIER) == 2
    assert capsys.readouterr().err == (
        f"error: --config-file {CLASSIFIER}: is for classification, but 'train' is a set for "
        "detection; give a config for detection, or leave it out\n"
    )
    assert check(f"folders={tmp_path}", "--config-file", CONFIG) == 2
    assert "is for detection, but 'folders' is a set for classification" in capsys.readouterr().err


def test_nothing_to_mend(sound, tmp_path, capsys):
    assert check(sound, "--fix", tmp_path / "fixed") == 0
    assert "  nothing was to be mended\n" in capsys.readouterr().out


def test_class_folders(tmp_path, capsys):
    for name, seed in (("train/ant", 1), ("train/cat", 2), ("val/ant", 1), ("val/cat", 3)):
        (tmp_path / name).mkdir(parents=True)
        picture(seed).save(tmp_path / name / "a.png")
    words = [f"train={tmp_path}/train", f"val={tmp_path}/val"]
    assert check(*words) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("train: 2 images of 2 classes\nval: 2 images of 2 classes\n")
    assert "  val: 1 × same file in two sets\n" in printed
    assert check(*words, "--fix", tmp_path / "fixed") == 2
    assert (
        "--fix mends annotation files; a set of class folders has none" in capsys.readouterr().err
    )


def test_a_published_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    assert check("coco_2017_val") == 2
    assert "instances_val2017.json: no such file" in capsys.readouterr().err
    made = content(["1.png"])
    made["annotations"][0]["bbox"] = [1, 2, 3, 0]  # as two of train2017 are
    (tmp_path / "coco/annotations").mkdir(parents=True)
    write_set(tmp_path / "coco", "val2017", [1], made)
    target = tmp_path / "coco/annotations/instances_val2017.json"
    (tmp_path / "coco/val2017.json").rename(target)
    assert check("coco_2017_val") == 0
    assert "Notes\n  coco_2017_val: 1 × box size\n" in capsys.readouterr().out


def test_mistakes_in_the_command(sound, tmp_path, capsys):
    def complaint(*words: str | Path) -> str:
        assert check(*words) == 2
        return capsys.readouterr().err.removeprefix("error: ").rstrip("\n")

    assert complaint(sound, sound) == "data set 'train' is named twice; name each set once"
    assert complaint("cocoo_2017_val").startswith("data set 'cocoo_2017_val' is not known")
    assert complaint("a=b.json").startswith("data argument 'a=b.json'")
    assert complaint(sound, "--processes", "0") == "--processes 0: give 1 or more"
    assert complaint(sound, "--json", tmp_path) == f"--json {tmp_path}: is a folder"
    assert complaint("foo") == (
        "data set 'foo' is not known; name your own as foo=annotations.json:images/ (detection) or "
        "foo=folder/ (classification)"
    )
    (tmp_path / "file").touch()
    assert complaint(sound, "-o", tmp_path / "file") == (
        f"-o {tmp_path}/file: is a file; give a folder"
    )
    (tmp_path / "check.html").write_text("mine")
    assert complaint(sound, "-o", tmp_path).startswith(
        f"{tmp_path}/check.html: exists and bears no mark"
    )
    assert "no.yaml" in complaint(sound, "--config-file", "no.yaml")
    with pytest.raises(SystemExit) as ended:
        check()
    assert ended.value.code == 2


def test_an_interrupt(sound, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(check_verb, "check_sets", interrupt)
    assert check(sound) == 130
    assert capsys.readouterr().err == "interrupted; nothing was written\n"


def test_names_with_control_characters_are_one_line(tmp_path, capsys):
    made = content(["a\n\x1b[31mb.png"])
    entry = write_set(tmp_path, "train", [], made)
    assert check(word(entry)) == 1
    printed = capsys.readouterr().out
    assert "image a\\n\\x1b[31mb.png (id 1) is not in" in printed
    assert "\x1b" not in printed


@pytest.mark.slow  # a detector is built, and trained for one iteration
@pytest.mark.usefixtures("no_handlers_left")
def test_a_run_refuses_the_original_and_trains_on_the_mended_copy(tmp_path, capsys):
    entry = write_spoilt_set(tmp_path)
    assert check(word(entry), "--fix", tmp_path / "fixed") == 1

    def train(annotations: Path) -> int:
        named = f"mine={annotations}:{entry.image_root}"
        words = ["train", "--config-file", QUICK, "--engine", "portable"]
        words += ["--train-data", named, "--test-data", named, "OUTPUT_DIR", str(tmp_path / "run")]
        words += ["SOLVER.MAX_ITER", "1", "SOLVER.STEPS", "[]", "SOLVER.IMS_PER_BATCH", "2"]
        words += ["INPUT.MIN_SIZE_TRAIN", "[48]", "INPUT.MIN_SIZE_TEST", "48"]
        return main([*words, "MODEL.DEVICE", "cpu", "DATALOADER.NUM_WORKERS", "0"])

    assert train(tmp_path / "train.json") == 2
    assert train(tmp_path / "fixed/train.json") == 0
    assert json.loads((tmp_path / "run/result.json").read_text())["metrics"]
