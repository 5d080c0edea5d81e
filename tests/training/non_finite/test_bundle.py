"""What a bundle holds, that it is bounded, and how it is read back. Engine-neutral."""

import errno
import json
import math
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from resnext_det.cli.reproduce import _lines
from resnext_det.config import load_config
from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of
from resnext_det.seeding import derive_seed
from resnext_det.training.checkpoint import load_checkpoint
from resnext_det.training.non_finite import bundle as writing
from resnext_det.training.non_finite import reading
from resnext_det.training.non_finite.facts import last_good_checkpoint
from resnext_det.training.non_finite.reading import read_bundle
from resnext_det.training.non_finite.reproduction import Task, reproduce
from tests.training.conftest import NormNet
from tests.training.non_finite.conftest import FORM, Spoiled, run
from tests.training.runs import assert_equal, batches


@pytest.fixture
def stopped(cfg) -> Path:
    """The bundle of a run that stopped at iteration 7, with a checkpoint of iteration 4."""
    cfg.SOLVER.CHECKPOINT_PERIOD = 5
    with pytest.raises(FloatingPointError):
        run(cfg, Spoiled(loss=(7,)))
    return Path(cfg.OUTPUT_DIR, "non_finite/iter_0000007")


def test_all_that_it_holds(stopped, cfg):
    names = {path.name for path in stopped.iterdir()}
    assert names == {
        *("bundle.json", "config.yaml", "model.safetensors"),
        *("rank_0.json", "rank_0.safetensors"),
    }
    said = json.loads((stopped / "bundle.json").read_text())
    assert (said["format"], said["engine"], said["iteration"]) == (1, "portable", 7)
    assert (said["processes"], said["seed"]) == (1, 3)
    assert said["terms"]["loss_b"] == said["terms"]["gradient norm"] == "nan"
    assert math.isfinite(said["terms"]["loss_a"])
    assert said["not_finite"] == ["loss_b", "gradient norm"]
    assert said["learning_rates"][0] == pytest.approx(0.1 * 0.1)  # one step of STEPS is past
    good = Path(cfg.OUTPUT_DIR, "model_0000004.pth")
    expected = {"name": good.name, "sha256": sha256_of(good), "iteration": 4}
    assert said["last_good_checkpoint"] == expected
    assert said["shares"][0]["torch_seed"] == derive_seed(3, 7, 0)
    assert said["shares"][0]["images"] == [{"file_name": f"{n}.jpg"} for n in range(4)]
    assert said["suggested_base_lr"]["value"] == 0.02
    assert {"torch", "python"} <= said["versions"].keys()
    assert said["command"] == f"resnext-det reproduce {stopped}"
    assert said["bytes"]["model.safetensors"] == (stopped / "model.safetensors").stat().st_size
    images = load_file(stopped / "rank_0.safetensors")
    for place, image in enumerate(next(batches(7))):
        assert torch.equal(images[str(place)], image)
    assert load_config(str(stopped / "config.yaml")).cfg.SEED == 3


def test_norms_come_largest_first(cfg):
    net = NormNet()
    with pytest.raises(FloatingPointError):
        run(cfg, Spoiled(gradient=(0,)), net=net)
    said = json.loads(Path(cfg.OUTPUT_DIR, "non_finite/iter_0000000/bundle.json").read_text())
    expected = {name: float(p.detach().norm()) for name, p in net.named_parameters()}
    found = {entry["name"]: entry["norm"] for entry in said["weights"]}
    assert found == pytest.approx(expected, rel=1e-6)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert {entry["norm"] for entry in said["gradients"]} == {"nan"}
    assert [entry["name"] for entry in said["gradients"]] == [n for n, _ in net.named_parameters()]


def test_it_does_the_update_again(stopped, cfg):
    bundle = read_bundle(stopped)
    spoiled = Spoiled(loss=(0,))  # the first call here
    found = reproduce(bundle, Task(cfg, NormNet(), spoiled, FORM))
    assert found.agrees_with(bundle)
    assert found.not_finite == bundle.not_finite
    assert found.terms["loss_a"] == pytest.approx(bundle.terms["loss_a"], rel=1e-6)
    assert found.module is None  # no module: the loss itself
    assert found.parameter == "fc.bias"  # the backward pass comes to it first
    assert found.bad_parameters == len(list(NormNet().parameters()))
    mended = reproduce(bundle, Task(cfg, NormNet(), Spoiled(), FORM))
    assert not mended.agrees_with(bundle)
    assert (mended.not_finite, mended.parameter) == ((), None)


def test_the_first_module_is_named_with_its_inputs_and_weights(cfg):
    net = NormNet()
    with torch.no_grad():
        net.norm.weight[1] = math.inf
    with pytest.raises(FloatingPointError):
        run(cfg, Spoiled(), net=net)
    bundle = read_bundle(Path(cfg.OUTPUT_DIR, "non_finite/iter_0000000"))
    found = reproduce(bundle, Task(cfg, NormNet(), Spoiled(), FORM))
    assert found.module is not None
    assert (found.module.name, found.module.kind) == ("norm", "BatchNorm2d")
    assert found.module.inputs_are_finite
    assert found.module.bad_weights == ("weight",)
    assert found.bad_weights == ("norm.weight",)


def test_statistics_that_the_pass_itself_spoils_are_not_its_cause(cfg):
    net = ConvWithNorm()
    with torch.no_grad():
        net.conv.weight.fill_(1e38)
    with pytest.raises(FloatingPointError):
        run(cfg, Spoiled(), net=net)
    bundle = read_bundle(Path(cfg.OUTPUT_DIR, "non_finite/iter_0000000"))
    found = reproduce(bundle, Task(cfg, ConvWithNorm(), Spoiled(), FORM))
    assert found.agrees_with(bundle)
    assert found.module is not None
    assert found.module.name == "conv"
    assert (found.module.bad_weights, found.bad_weights) == ((), ())


def test_statistics_alone_are_reproduced(cfg):
    net = NormNet()
    with torch.no_grad():
        net.conv.weight.fill_(1e25)
    with pytest.raises(FloatingPointError, match="the losses are finite, running statistics are"):
        run(cfg, Spoiled(), net=net)
    bundle = read_bundle(Path(cfg.OUTPUT_DIR, "non_finite/iter_0000000"))
    found = reproduce(bundle, Task(cfg, NormNet(), Spoiled(), FORM))
    assert found.agrees_with(bundle)
    assert "running statistics" in found.not_finite
    assert found.bad_weights == ()


def test_gradients_too_large_together_are_said_to_be_finite(cfg):
    net = with_large_gradients()
    with pytest.raises(FloatingPointError) as error:
        run(cfg, Spoiled(), net=net)
    said = "gradient norm (inf) not finite though each gradient is, the largest that of fc.bias"
    # 2 gradients of 1e30
    assert f"iteration 0: {said} (1.41e+30), learning rate" in str(error.value)
    bundle = read_bundle(Path(cfg.OUTPUT_DIR, "non_finite/iter_0000000"))
    found = reproduce(bundle, Task(cfg, with_large_gradients(), Spoiled(), FORM))
    assert found.agrees_with(bundle)
    assert found.largest_gradient == ("fc.bias", pytest.approx(2**0.5 * 1e30))
    lines = dict(_lines(bundle, found))
    assert lines["gradients"].endswith("the largest is that of fc.bias, 1.41e+30")
    assert lines["first module"] == "none has an output that is not finite, nor is a gradient"


class ConvWithNorm(torch.nn.Module):
    """A convolution whose norm is a part of it, as Detectron2's is."""

    class Conv(torch.nn.Conv2d):
        def __init__(self) -> None:
            super().__init__(3, 2, 3)
            self.norm = torch.nn.BatchNorm2d(2)

        def forward(self, x):
            return self.norm(super().forward(x))

    def __init__(self) -> None:
        super().__init__()
        self.conv = self.Conv()

    def forward(self, x):
        return self.conv(x).mean((2, 3))


def with_large_gradients():
    net = NormNet()
    net.fc.bias.register_hook(lambda gradient: torch.full_like(gradient, 1e30))
    return net


def test_a_full_disk_hides_nothing(cfg, monkeypatch):
    def full(tensors, path):
        Path(path).write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "save_file", full)
    with pytest.raises(FloatingPointError) as error:
        run(cfg, Spoiled(loss=(1,)))
    assert str(error.value) == (
        "iteration 1: loss_b (nan) not finite, learning rate 0.0334; no bundle was kept (No space "
        "left on device); try SOLVER.BASE_LR 0.02 (usual for 16 images per update; a rule of "
        "thumb), or SOLVER.CLIP_GRADIENTS.ENABLED True"
    )
    assert list(Path(cfg.OUTPUT_DIR, "non_finite").iterdir()) == []


def test_a_batch_of_other_objects_is_said_not_to_be_kept(cfg, monkeypatch):
    monkeypatch.setattr(Spoiled, "__call__", _lose_all)
    monkeypatch.setattr("tests.training.non_finite.conftest.batches", _odd)
    with pytest.raises(FloatingPointError):
        run(cfg, Spoiled())
    bundle = read_bundle(Path(cfg.OUTPUT_DIR, "non_finite/iter_0000000"))
    with pytest.raises(UserError, match="the batch was not kept: 0 is a Path, which no bundle"):
        bundle.batch(0, ())


def _lose_all(self, model, batch):
    return {"loss": sum(p.sum() for p in model.parameters()) * math.nan}


def _odd(start):
    while True:
        yield [type("Path", (), {})()]


def test_the_number_of_bundles_is_bounded(cfg):
    for iteration in (4, 1, 3, 2, 5):
        with pytest.raises(FloatingPointError):
            run(cfg, Spoiled(loss=(iteration,)))
    kept = {path.name for path in Path(cfg.OUTPUT_DIR, "non_finite").iterdir()}
    assert kept == {f"iter_{number:07d}" for number in (3, 2, 5)}


def test_the_last_good_checkpoint_is_one_whose_weights_are_finite(tmp_path, cfg):
    cfg.SOLVER.CHECKPOINT_PERIOD = 4
    run(cfg, Spoiled())
    folder = Path(cfg.OUTPUT_DIR)
    final = load_checkpoint(folder / "model_final.pth")
    final["model"]["fc.bias"][0] = math.nan
    torch.save(final, folder / "model_final.pth")
    (folder / "model_0000007.pth").write_bytes(b"torn")
    found = last_good_checkpoint(folder)
    assert found is not None
    assert (found["name"], found["iteration"]) == ("model_0000003.pth", 3)
    assert last_good_checkpoint(tmp_path / "nowhere") is None


def _without(folder, name):
    (folder / name).unlink()


def _said(folder, **changes):
    file = folder / "bundle.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: _without(f, "bundle.json"), "is no bundle, it has no bundle.json"),
        (lambda f: (f / "bundle.json").write_text("{"), "bundle.json: is damaged, it is no JSON"),
        (lambda f: (f / "bundle.json").write_text("[]"), "is damaged, it holds a list"),
        (lambda f: (f / "bundle.json").write_text("[" * 9999), "is damaged, it is no JSON"),
        (lambda f: _said(f, format=9), "has the format 9, this version reads 1"),
        (lambda f: _said(f, engine="os"), "is damaged (ValueError: unknown engine)"),
        (lambda f: _said(f, processes=2), "not a share for each process"),
        (lambda f: _said(f, processes="x"), "bundle.json: is damaged (ValueError"),
        (lambda f: _said(f, terms=3), "bundle.json: is damaged (AttributeError"),
        (lambda f: _said(f, shares=[{"torch_seed": 2**80}]), "a seed out of range"),
        (lambda f: _without(f, "model.safetensors"), "is not there: the bundle is not whole"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x" * 99), "safetensors: is damaged"),
        (lambda f: shutil.copy(f / "rank_0.safetensors", f / "model.safetensors"), "not fit"),
        (lambda f: shutil.copy(f / "model.safetensors", f / "rank_0.safetensors"), "is damaged (K"),
        (lambda f: (f / "rank_0.json").write_text('{"batch": 3}'), "does not go through the model"),
        (lambda f: (f / "rank_0.json").write_text('{"batch": {}}'), "rank_0.json: is damaged"),
    ],
    ids=[
        *("none", "torn", "list", "deep", "format", "engine", "processes", "text", "terms", "seed"),
        *("no model", "model", "other model", "other batch", "number", "empty"),
    ],
)  # fmt: skip
def test_a_damaged_bundle_is_refused_in_one_line(stopped, cfg, damage, message):
    damage(stopped)
    with pytest.raises(UserError) as error:
        reproduce(read_bundle(stopped), Task(cfg, NormNet(), Spoiled(), FORM))
    assert message in str(error.value)
    assert str(stopped) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["bundle.json", "config.yaml", "model.safetensors", "rank_0.json", "rank_0.safetensors"]
)
def test_links_and_pipes_in_a_bundle_are_not_followed(stopped, cfg, name):
    for make in (lambda path: path.symlink_to("/dev/zero"), os.mkfifo):
        (stopped / name).unlink()
        make(stopped / name)
        with pytest.raises(UserError) as error:
            reproduce(read_bundle(stopped), Task(cfg, NormNet(), Spoiled(), FORM))
        assert f"{stopped / name}: cannot be read (not a plain file)" in str(error.value)


def test_what_is_read_of_a_bundle_is_bounded(stopped, monkeypatch):
    monkeypatch.setattr(reading, "_MOST_BYTES", 9)
    with pytest.raises(UserError, match=r"bundle\.json: cannot be read \(is larger than 9 bytes"):
        read_bundle(stopped)


def test_a_model_put_back_is_the_one_before(stopped, cfg):
    net = NormNet()
    net.load_state_dict(read_bundle(stopped).model())
    state = load_checkpoint(Path(cfg.OUTPUT_DIR, "model_0000004.pth"))["model"]
    assert_equal([p.shape for p in net.state_dict().values()], [p.shape for p in state.values()])
    assert int(net.norm.num_batches_tracked) == 7
