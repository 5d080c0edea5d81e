"""Weights written for other libraries, and read back by them and by us. Engine-neutral."""

import json
from dataclasses import replace

import pytest
import safetensors.torch
import timm
import torch
import torchvision

from resnext_det.errors import UserError
from resnext_det.modeling import build_classifier
from resnext_det.weights import writing
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.side_car import SideCar, path_beside
from resnext_det.weights.side_car_files import digest_of
from resnext_det.weights.sources import Weights, read_weights
from resnext_det.weights.targets import TARGETS
from resnext_det.weights.writing import prepare, write_weights

RGB = torchvision_convention()
BGR_STD_1 = Convention("BGR", RGB.mean[::-1], (1.0, 1.0, 1.0))
NAMES = tuple(f"class {i}" for i in range(10))
FORMS = [
    pytest.param(target.name, suffix, id=f"{target.name}{suffix}")
    for target in TARGETS.values()
    for suffix in target.forms
]


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    model = build_classifier("resnext26_32x4d", 10)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.num_batches_tracked += 5
    return model.state_dict()


@pytest.fixture
def weights(state):
    known = SideCar(
        naming="detectron2",
        convention=RGB,
        class_names=NAMES,
        licence="CC-BY-NC-4.0",
        norm_eps=1e-5,
    )
    return Weights(dict(state), "run/source.pth", known, file_sha256="ab" * 32)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    assert [key for key in found if not torch.equal(found[key], expected[key])] == []


@pytest.mark.parametrize(("to", "suffix"), FORMS)
def test_ours_there_and_back_is_the_same(to, suffix, weights, state, tmp_path):
    path = tmp_path / "folder" / f"net{suffix}"
    written = write_weights(path, weights, to)
    back = read_weights(str(path))
    if to == "pycls":  # its channels are reversed
        stem = "stem.conv1.weight"
        assert torch.equal(back.state[stem].flip(1), state[stem])
        back.state[stem] = state[stem]
    assert_same(back.state, state)
    assert back.side_car == written
    assert (back.class_names, back.side_car.licence) == (NAMES, "CC-BY-NC-4.0")
    assert back.side_car.origin == "source.pth"
    assert back.side_car.origin_sha256 == "ab" * 32
    assert back.side_car.architecture == "resnext26_32x4d"
    assert (back.side_car.norm, back.side_car.norm_eps) == ("BN", 1e-5)
    beside = sorted(p.name for p in path.parent.iterdir())
    assert beside == [path.name] + ([] if suffix == ".safetensors" else [f"{path.name}.json"])


def test_torchvision_and_timm_load_the_file(tmp_path):
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18().state_dict()
    source = Weights(build_classifier("resnet18").state_dict(), "x", SideCar(convention=RGB))
    plain = tmp_path / "net.pth"
    write_weights(plain, source, "torchvision")
    loaded = torch.load(plain, weights_only=True)
    assert loaded.keys() == theirs.keys()
    torchvision.models.resnet18().load_state_dict(loaded, strict=True)
    header = tmp_path / "net.safetensors"
    write_weights(header, source, "timm")
    model = timm.create_model("resnet18", checkpoint_path=str(header))
    assert_same(model.state_dict(), loaded)


def test_a_detectron2_file_fills_models_by_their_names_endings(weights, state, tmp_path):
    path = tmp_path / "net.pth"
    write_weights(path, weights, "detectron2")
    loaded = torch.load(path, weights_only=True)
    assert loaded["matching_heuristics"] is True
    assert loaded["class_names"] == list(NAMES)
    assert_same(loaded["model"], state)


def test_an_mmpretrain_file_has_its_entries(weights, tmp_path):
    path = tmp_path / "net.pth"
    write_weights(path, weights, "mmpretrain")
    loaded = torch.load(path, weights_only=True)
    assert loaded["meta"]["dataset_meta"]["classes"] == list(NAMES)
    assert {key.split(".")[0] for key in loaded["state_dict"]} == {"backbone", "head"}


@pytest.mark.parametrize("to", ["torchvision", "timm", "mmpretrain"])
def test_another_order_and_std_is_re_expressed(to, weights, state, tmp_path):
    source = replace(weights, side_car=replace(weights.side_car, convention=BGR_STD_1))
    path = tmp_path / "net.pth"
    assert write_weights(path, source, to).convention == RGB
    back = read_weights(str(path))
    pixels = 255 * torch.rand(1, 3, 50, 50, generator=torch.Generator().manual_seed(5))
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (RGB.mean, RGB.std))
    with torch.no_grad():
        expected = model_of(state)((pixels - mean).flip(1))
        found = model_of(back.state)((pixels - mean) / std)
    assert (expected - found).abs().max() <= 1e-5 * expected.abs().max()
    assert_same(source.state, state)  # the input is not changed


def model_of(state):
    model = build_classifier("resnext26_32x4d", 10).eval()
    model.load_state_dict(state)
    return model


def test_another_epsilon_moves_into_the_variances(weights, state):
    source = replace(weights, side_car=replace(weights.side_car, norm_eps=1e-3))
    prepared = prepare(source, "torchvision")
    key = "layer1.0.bn1.running_var"
    expected = state["res2.0.conv1.norm.running_var"].double() + 1e-3 - 1e-5
    assert torch.equal(prepared.tensors[key], expected.float())
    assert prepared.side_car.norm_eps == 1e-5
    assert "epsilon 0.001 of the norms moved into their variances" in prepared.notes


@pytest.mark.parametrize("to", TARGETS)
def test_a_detector_has_a_place_or_is_refused_by_name(to, state, tmp_path):
    detector = {f"backbone.bottom_up.{k}": v for k, v in state.items() if "linear" not in k}
    detector["backbone.fpn_lateral2.weight"] = torch.zeros(4, 4, 1, 1)
    detector["roi_heads.box_predictor.cls_score.weight"] = torch.zeros(11, 8)
    source = Weights(detector, "det.pth", SideCar(convention=RGB, class_names=NAMES))
    if TARGETS[to].whole_detectors:
        assert_same(prepare(source, to).state, detector)
    else:
        with pytest.raises(UserError, match=r"det.pth is a detector \(.*10 classes\), for which "
                           rf"{to} has no names: give .*--part backbone"):  # fmt: skip
            prepare(source, to)
    part = prepare(source, to, part="backbone")
    assert part.state.keys() == {key for key in state if not key.startswith("linear.")}
    assert part.side_car.class_names == ()
    assert "2 tensors left out, beside the backbone: backbone, roi_heads" in part.notes


def test_of_a_c4_detector_res5_belongs_to_the_backbone(state):
    c4 = {
        f"roi_heads.{key}" if key.startswith("res5") else f"backbone.{key}": value
        for key, value in state.items()
        if not key.startswith("linear.")
    }
    part = prepare(Weights(c4, "c4.pth", SideCar(convention=RGB)), "timm", part="backbone")
    assert part.state.keys() == {key for key in state if not key.startswith("linear.")}


def test_bfloat16_stays_but_in_a_pkl(weights, tmp_path):
    half = {key: v.bfloat16() if v.is_floating_point() else v for key, v in weights.state.items()}
    source = replace(weights, state=half)
    assert prepare(source, "timm").tensors["fc.bias"].dtype == torch.bfloat16
    path = tmp_path / "net.pkl"
    write_weights(path, source, "detectron2-pkl")
    assert read_weights(str(path)).state["linear.bias"].dtype == torch.float32


def test_tensors_that_share_memory_are_written_alone(tmp_path):
    model = build_classifier("resnet18", 10).state_dict()
    whole = torch.zeros(10**6)
    model["linear.bias"] = whole[:10]
    source = Weights(model, "x", SideCar(convention=RGB))
    write_weights(tmp_path / "a.pth", source, "torchvision")
    write_weights(tmp_path / "a.safetensors", source, "torchvision")
    numbers = sum(t.numel() * t.element_size() for t in model.values())
    for suffix in ("pth", "safetensors"):
        assert (tmp_path / f"a.{suffix}").stat().st_size < numbers + 10**5


def test_an_empty_state_is_refused(tmp_path):
    source = Weights({}, "x.pth", SideCar(convention=RGB))
    with pytest.raises(UserError, match="x.pth holds no weights"):
        write_weights(tmp_path / "a.pth", source, "torchvision")


def with_side_car(weights, **changes):
    return replace(weights, side_car=replace(weights.side_car, **changes))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"convention": None}, ("source.pth does not say how its images were normalised, and all "
         "of timm's are RGB 0-255, mean 123.675 116.28 103.53, .* say it in a side-car")),
        ({"convention": replace(RGB, stride_in_1x1=True)}, ("source.pth cannot be written for "
         "timm: its stages stride in the 1x1, not in the 3x3")),
        ({"convention": replace(RGB, mean=(127.5,) * 3)}, ("source.pth cannot be written for "
         "timm: the mean is 127.5, 127.5, 127.5 .*; give --to detectron2 or --to safetensors")),
        ({"norm": "affine"}, ("source.pth has BatchNorm folded into scale and bias, for which "
         "timm's networks have no place")),
        ({"norm": "GN"}, "source.pth has GroupNorm, for which timm's networks have no place"),
    ],
    ids=["unknown", "stride", "mean", "affine", "GN"],
)  # fmt: skip
def test_what_a_target_cannot_hold_is_refused_and_ours_keeps_it(changes, told, weights):
    source = with_side_car(weights, **changes)
    with pytest.raises(UserError, match=told):
        prepare(source, "timm")
    kept = prepare(source, "safetensors")
    assert kept.side_car.convention == source.convention
    assert_same(kept.tensors, source.state)


def test_names_that_a_target_has_not_are_refused(weights):
    weights.state["res2.0.conv2_offset.weight"] = torch.zeros(1)
    with pytest.raises(UserError, match="timm has no names for res2.0.conv2_offset.weight: give"):
        prepare(weights, "timm")


@pytest.mark.parametrize("name", ["net.pth", "net.pth.json"])
def test_what_is_there_is_not_written_over_without_force(name, weights, tmp_path):
    (tmp_path / name).write_text("old")
    with pytest.raises(UserError, match=f"{name}: is there already: give another name, or --force"):
        write_weights(tmp_path / "net.pth", weights, "torchvision")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"
    write_weights(tmp_path / "net.pth", weights, "torchvision", force=True)
    assert read_weights(str(tmp_path / "net.pth")).class_names == NAMES


def test_the_source_is_not_written_over_even_with_force(weights, tmp_path):
    path = tmp_path / "net.pth"
    write_weights(path, weights, "torchvision")
    before = path.read_bytes()
    with pytest.raises(UserError, match="net.pth: is the file that is read"):
        write_weights(path, read_weights(str(path)), "timm", force=True)
    assert path.read_bytes() == before


def test_a_folder_is_no_file(weights, tmp_path):
    (tmp_path / "net.pth").mkdir()
    with pytest.raises(UserError, match=r"net.pth: is a folder: name a file"):
        write_weights(tmp_path / "net.pth", weights, "timm", force=True)


@pytest.mark.parametrize(
    ("to", "name", "told"),
    [
        ("mmpretrain", "a.safetensors", (r"--to mmpretrain writes .pth, not .safetensors: name the "
         r"file NAME.pth")),
        ("timm", "a", "--to timm writes .pth or .safetensors, not no suffix"),
        ("detectron2", "a.pkl", "--to detectron2 writes .pth, not .pkl"),
        ("caffe", "a.pth", "--to caffe: no such target: choose one of torchvision, timm"),
    ],
    ids=["form", "no-suffix", "pkl", "target"],
)  # fmt: skip
def test_other_files_and_targets_are_refused(to, name, told, weights, tmp_path):
    with pytest.raises(UserError, match=told):
        write_weights(tmp_path / name, weights, to)
    assert list(tmp_path.iterdir()) == []


def test_another_part_is_refused(weights):
    with pytest.raises(UserError, match="--part head: choose one of all, backbone"):
        prepare(weights, "timm", part="head")


@pytest.mark.parametrize("before", [None, "old"], ids=["new", "forced"])
def test_a_full_disk_leaves_what_was_there(before, weights, tmp_path, monkeypatch):
    path = tmp_path / "net.pth"
    if before:
        path.write_text(before)
        path_beside(path).write_text(before)

    def full(path, write):
        raise UserError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr(writing, "write_whole", full)
    with pytest.raises(UserError, match="No space left"):
        write_weights(path, weights, "timm", force=True)
    assert {p.read_text() for p in tmp_path.iterdir()} == ({before} if before else set())


def test_what_the_disk_gives_back_is_compared(weights, tmp_path, monkeypatch):
    def write_another(path, write):
        model = safetensors.torch.load(safetensors.torch.save(prepare(weights, "timm").tensors))
        model["fc.bias"] += 1
        path.write_bytes(safetensors.torch.save(model))

    monkeypatch.setattr(writing, "write_whole", write_another)
    with pytest.raises(UserError, match="the disk gave back other tensors than were written"):
        write_weights(tmp_path / "net.safetensors", weights, "timm")


def test_the_digest_is_of_the_tensors_in_the_file(weights, tmp_path):
    path = tmp_path / "net.pth"
    side_car = write_weights(path, weights, "torchvision")
    assert side_car.sha256 == digest_of(torch.load(path, weights_only=True))
    assert json.loads(path_beside(path).read_text())["sha256"] == side_car.sha256
