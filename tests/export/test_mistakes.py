"""What a person may do wrong, and the one line that says so."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from resnext_det.cli import main
from resnext_det.config import config_of_text, dump_config, with_values
from resnext_det.errors import UserError
from resnext_det.export.comparison import Differences
from resnext_det.export.formats import FixedShape, check_target, parse_fixed
from resnext_det.export.packages import load_package
from resnext_det.export.pictures import in_batches, pictures_of
from resnext_det.export.proving import AveragePrecisions, Proof, Tolerances, read_test_set
from resnext_det.export.source import read_source
from tests.export.conftest import Trained


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("model", "the suffix says what to write: .onnx (ONNX), .pt2 (a torch.export package), "),
        ("model.pth", "the suffix says what to write: "),
        ("folder.onnx", "is a folder"),
        ("missing/model.onnx", "no such folder: "),
        ("photo.onnx", "exists and is not ONNX: name another file"),
        ("photo.pt2", "exists and is not a torch.export package: name another file"),
        ("photo.xml", "exists and is not OpenVINO IR: name another file"),
    ],
)
def test_where_nothing_can_be_written(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder.onnx").mkdir()
    for suffix in ("onnx", "pt2", "xml"):
        Image.new("RGB", (4, 4)).save(tmp_path / f"photo.{suffix}", format="PNG")
    with pytest.raises(UserError) as caught:
        check_target(tmp_path / name)
    assert str(caught.value).startswith(f"-o {tmp_path / name}: {says}")


def test_what_is_read_or_lies_beside_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\x08\x0a\x12\x0bresnext_det")
    with pytest.raises(UserError, match=r"a\.onnx: is one of the files that this command reads"):
        check_target(tmp_path / "a.onnx", [tmp_path / "a.onnx"])
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(UserError) as caught:
        check_target(tmp_path / "a.xml")
    assert str(caught.value) == (
        f"-o {tmp_path / 'a.bin'}: exists and would be replaced by the weights of a.xml: name "
        "another file"
    )
    (tmp_path / "a.xml").write_bytes(b'<?xml version="1.0"?>\n<net name="x" version="11">')
    assert check_target(tmp_path / "a.xml") == "openvino"


def test_no_write_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(UserError, match=r"^-o .*model\.onnx: Permission denied$"):
        check_target(tmp_path / "model.onnx")


def test_what_was_exported_may_be_replaced(tmp_path: Path) -> None:
    for name, head in [
        ("a.onnx", b"\x08\x0a\x12\x0bresnext_det"),
        ("a.pt2", b"PK\x03\x04"),
        ("a.xml", b'<?xml version="1.0"?>\n<net name="x" version="11">'),
    ]:
        (tmp_path / name).write_bytes(head)
    kinds = [check_target(tmp_path / name) for name in ("a.onnx", "a.pt2", "a.xml")]
    assert kinds == ["onnx", "torch", "openvino"]


@pytest.mark.parametrize("text", ["", "800", "800x", "0x10", "8x8x0", "8x8x1x1", "-8x8", "axb"])
def test_no_shape(text: str) -> None:
    with pytest.raises(UserError, match="^--fixed '.*': give HxW or HxWxN, as in 800x1216 or "):
        parse_fixed(text)


def test_shapes() -> None:
    assert parse_fixed("800x1216") == FixedShape(800, 1216, 1)
    assert parse_fixed("48x64x8") == FixedShape(48, 64, 8)


@pytest.mark.parametrize(
    ("package", "extra"),
    [("onnx", "export"), ("onnxruntime.quantization", "export"), ("openvino", "openvino")],
)
def test_a_missing_package(monkeypatch: pytest.MonkeyPatch, package: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError) as caught:
        load_package(package)
    name = package.split(".")[0]
    assert str(caught.value) == (
        f"this export needs {name}, which is not installed: pip install 'resnext-det[{extra}]'"
    )


def test_folders_of_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^--calibration {tmp_path}: holds no image$"):
        pictures_of(tmp_path, "--calibration", 3)
    with pytest.raises(UserError, match="^--images .*none: no such folder$"):
        pictures_of(tmp_path / "none", "--images", 3)
    for name in "abcd":
        Image.new("RGB", (4, 6)).save(tmp_path / f"{name}.png")
    (tmp_path / "note.txt").write_text("no image")
    assert [p.shape for p in pictures_of(tmp_path, "--images", 3)] == [(6, 4, 3)] * 3
    (tmp_path / "photos").mkdir()
    (tmp_path / "d.png").rename(tmp_path / "photos" / "d.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "photos", target_is_directory=True)
    assert len(pictures_of(tmp_path / "set", "--images", 3)) == 1
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"a\.png"):
        pictures_of(tmp_path, "--images", 3)


def test_batches() -> None:
    one, two, three = (np.full((4, 6, 3), k, np.uint8) for k in range(3))
    assert [len(batch) for batch in in_batches([one, two, three], None)] == [2, 1, 1]
    batches = in_batches([one, two, three], FixedShape(8, 9, 2))
    assert [pixels.shape for batch in batches for pixels in batch] == [(8, 9, 3)] * 4
    assert [int(batch[1][0, 0, 0]) for batch in batches] == [1, 0]


def said_by_export(portable: Trained, capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["export", str(portable.checkpoint), *map(str, words)]) == 2
    return capsys.readouterr().err


def test_numbers_that_cannot_be(
    portable: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = tmp_path / "m.onnx"
    for words, expected in [
        (("--tolerance", "nan"), "--tolerance nan: give a number from 0 on\n"),
        (("--score-tolerance", "-1"), "--score-tolerance -1: give a number from 0 on\n"),
        (("--ap-tolerance", "inf"), "--ap-tolerance inf: give a number from 0 on\n"),
        (("--fixed", "9999x9999"), "--fixed 9999x9999: more than 67,108,864 pixels in all: give "),
    ]:
        assert said_by_export(portable, capsys, "-o", onnx, *words).startswith(f"error: {expected}")


def test_int8_and_its_images_go_together(
    portable: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx, torch_file = tmp_path / "m.onnx", tmp_path / "m.pt2"
    for words, expected in [
        (("-o", onnx, "--int8"), "--int8 needs --calibration FOLDER, images such as it will be "),
        (("-o", onnx, "--calibration", tmp_path), "--calibration is of --int8 only: "),
        (("-o", torch_file, "--int8"), "--int8 writes .onnx files, not a torch.export package: "),
        (("-o", onnx, "--int8", "--calibration", tmp_path), f"--calibration {tmp_path}: holds no "),
    ]:
        assert said_by_export(portable, capsys, *words).startswith(f"error: {expected}")


@pytest.mark.parametrize("name", ["model.pth", "a.json", "m.onnx"])
def test_json_replaces_nothing_that_is_read_or_written(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("model.pth", "a.json"):
        (tmp_path / file).write_text("{}")
    words = [tmp_path / "model.pth", "-o", tmp_path / "m.onnx", "--json", tmp_path / name]
    words += ["--test-data", f"a={tmp_path / 'a.json'}:images"]
    assert main(["export", *map(str, words)]) == 2
    assert capsys.readouterr().err == (
        f"error: --json {tmp_path / name}: is one of the files that this command reads or writes: "
        "name another\n"
    )


def test_a_checkpoint_without_a_head(
    portable: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {k: v for k, v in portable.content()["model"].items() if k.startswith("backbone.bott")}
    file = tmp_path / "backbone.pth"
    torch.save(state, file)
    with pytest.raises(UserError, match=f"^{file}: a backbone without a detector's head; "):
        read_source(file)


RETINANET = {
    "MODEL.META_ARCHITECTURE": "RetinaNet",
    "MODEL.RETINANET.IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (RETINANET, "MODEL.META_ARCHITECTURE is 'RetinaNet'"),
        ({"MODEL.MASK_ON": True}, "MODEL.MASK_ON is True"),
        ({"MODEL.ROI_MASK_HEAD.CONV_DIM": 64}, "the portable engine does not honour "),
    ],
    ids=["RetinaNet", "masks", "a key of Detectron2's"],
)
def test_a_detector_that_is_not_exported(
    portable: Trained, tmp_path: Path, values: dict[str, object], says: str
) -> None:
    content, file = portable.content(), tmp_path / "other.pth"
    cfg = with_values(config_of_text(content["config"], "test"), values)
    torch.save(content | {"config": dump_config(cfg)}, file)
    with pytest.raises(UserError) as caught:
        read_source(file)
    assert str(caught.value).startswith(f"{file}: cannot be exported: {says}")
    assert str(caught.value).endswith("; Faster R-CNN with FPN is what can be exported")


def test_a_test_set_of_other_classes(portable: Trained) -> None:
    data = f"shapes={portable.annotations}:{portable.bench.entry.image_root}"
    with pytest.raises(UserError) as caught:
        read_test_set(data, ("cat", "dog", "cow"))
    assert str(caught.value) == (
        "--test-data shapes: its classes are red, green (2), the detector's cat, dog, cow (3)"
    )
    with pytest.raises(UserError, match="^--test-data a=b/: give NAME=annotations.json:images/$"):
        read_test_set("a=b/", ())


def test_what_speaks_against_an_export() -> None:
    tolerances = Tolerances(box=0.1, score=0.01, ap=0.5)

    def problems(found: Differences) -> list[str]:
        return Proof("", found, None).box_problems(tolerances)

    assert problems(Differences(2, 5, 0, 0.1, 0.01)) == []
    assert problems(Differences(2, 5, 1, 0.2, 0.02)) == [
        "1 boxes are found by one of the two only",
        "a box differs by 0.2 px (--tolerance 0.1)",
        "a score differs by 0.02 (--score-tolerance 0.01)",
    ]
    nothing = "nothing was found in the images, so nothing is proven: give others"
    assert problems(Differences(2, 0, 0, 0.0, 0.0)) == [nothing]
    lost = AveragePrecisions("set", 3, 40.0, 39.0)
    assert Proof("", Differences(2, 5, 0, 0.0, 0.0), lost).ap_problems(tolerances) == [
        "1.00 AP are lost on set (--ap-tolerance 0.5)"
    ]
    gained = AveragePrecisions("set", 3, None, None)
    assert Proof("", Differences(2, 5, 0, 0.0, 0.0), gained).ap_problems(tolerances) == []
