"""Configs in Detectron2's Python syntax, from the command line to result.json. Detectron2."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from resnext_det.cli import main as reproduce_verb
from resnext_det.cli.verbs.train import main
from resnext_det.config import config_root
from resnext_det.modeling.resnet import ResNet
from resnext_det.weights.convention import Convention, torchvision_convention
from resnext_det.weights.side_car import SideCar
from resnext_det.weights.side_car_files import write_beside
from tests.engines.conftest import Bench

pytestmark = pytest.mark.d2

# The shipped FCOS, made so small that a CPU trains it in a second.
TINY = """
from detectron2.layers import ShapeSpec
from resnext_det.engines.d2.fcos import fcos_1x

model, optimizer, lr_multiplier, dataloader, train = fcos_1x("resnext50_32x4d", "")
net = model.backbone.bottom_up
del net.variant
net.depth, net.num_groups, net.width_per_group = 26, 4, 4
net.stem_out_channels, net.res2_out_channels, net.norm, net.freeze_at = 16, 32, "BN", 0
model.backbone.out_channels = 32
model.backbone.top_block.in_channels = model.backbone.top_block.out_channels = 32
model.head.input_shape = [ShapeSpec(channels=32)] * 5
for loader in (dataloader.train, dataloader.test):
    loader.num_workers = 0
    loader.mapper.augmentations[0].update(short_edge_length=64, max_size=128)
dataloader.train.total_batch_size = 2
train.update(device="cpu", max_iter=6, eval_period=0, seed=7)
train.checkpointer.period = 3
"""


@pytest.fixture
def lazy_file(bench: Bench) -> Path:
    path = bench.config.with_name("tiny_fcos.py")
    path.write_text(TINY)
    return path


def run(bench: Bench, file: Path, name: str, *words: str) -> int:
    data = f"shapes={bench.entry.json_file}:{bench.entry.image_root}"
    options = [word for word in words if word.startswith("--")]
    sets = [word for word in words if not word.startswith("--")]
    output = f"train.output_dir={bench.folder / name}"
    arguments = ["--train-data", data, "--test-data", data, *options, output, *sets]
    return main(["--config-file", str(file), *arguments])


def test_fcos_trains_scores_and_resumes_to_the_bit(bench: Bench, lazy_file: Path) -> None:
    assert run(bench, lazy_file, "whole") == 0
    result = json.loads((bench.folder / "whole" / "result.json").read_text())
    assert result["engine"] == "d2"
    assert result["metrics"]["AP"] >= 0.0
    assert "FCOS" in result["config"]["LAZY_CONFIG"]
    assert run(bench, lazy_file, "cut", "train.max_iter=6") == 0
    (bench.folder / "cut" / "last_checkpoint").write_text("model_0000002.pth")
    (bench.folder / "cut" / "result.json").unlink()
    assert run(bench, lazy_file, "cut", "--resume") == 0
    whole, cut = (_weights(bench, name) for name in ("whole", "cut"))
    assert whole["head.cls_score.weight"].shape[0] == 2  # the classes of the data
    assert all(torch.equal(whole[key], cut[key]) for key in whole)


def test_a_resumed_run_names_what_changed_and_not_the_whole_file(
    bench: Bench, lazy_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(bench, lazy_file, "run") == 0
    with caplog.at_level("INFO"):
        assert run(bench, lazy_file, "run", "--resume", "train.max_iter=8") == 0
    assert "SOLVER.MAX_ITER was 6 before and is 8 from here on" in caplog.text
    assert "_target_" not in caplog.text


def test_checkpoint_evaluates_to_the_runs_metrics(bench: Bench, lazy_file: Path) -> None:
    assert run(bench, lazy_file, "run") == 0
    weights = f"train.init_checkpoint={bench.folder / 'run' / 'model_final.pth'}"
    assert run(bench, lazy_file, "again", "--eval-only", weights) == 0
    ours = json.loads((bench.folder / "run" / "result.json").read_text())
    again = json.loads((bench.folder / "again" / "inference" / "result.json").read_text())
    assert again["metrics"] == ours["metrics"]


def test_an_update_gone_wrong_is_done_again_with_its_file(
    bench: Bench, lazy_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("optimizer.lr=1e6", "train.max_iter=50")
    assert run(bench, lazy_file, "run", *words) == 3
    (folder,) = (bench.folder / "run" / "non_finite").iterdir()
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"see `resnext-det reproduce {folder} --config-file FILE.py`; try optimizer.lr" in said
    again = ["reproduce", str(folder), "--config-file", str(lazy_file), *words]
    assert reproduce_verb(again) == 0


def test_overrides_of_parts_and_of_the_trainer(bench: Bench, lazy_file: Path) -> None:
    words = ("optimizer.lr=0.003", "model.head.prior_prob=0.05", "trainer.SOLVER.EMA.ENABLED=True")
    assert run(bench, lazy_file, "run", *words) == 0
    config = json.loads((bench.folder / "run" / "result.json").read_text())["config"]
    assert config["SOLVER"]["BASE_LR"] == 0.003
    assert config["SOLVER"]["EMA"]["ENABLED"] is True
    assert "prior_prob: 0.05" in config["LAZY_CONFIG"]


MISTAKES = {
    ("train.max_itr=9",): "unknown key train.max_itr; train.max_iter is meant?",
    ("model.head.prior=0.1",): "unexpected keyword argument 'prior'",
    ("SOLVER.MAX_ITER", "9"): "'SOLVER.MAX_ITER' has no value; write key=value for a .py config",
    ("train.max_iter=many",): "SOLVER.MAX_ITER is an int",
    ("trainer.SOLVER.EMA.ENABLD=True",): "unknown key trainer.SOLVER.EMA.ENABLD; "
    "trainer.SOLVER.EMA.ENABLED is meant?",
    ("model.num_classes=5",): "has 2 categories",
    ("--engine=portable",): "a .py config needs Detectron2, and --engine portable reads none",
    ("model.backbone.bottom_up.norm=XN",): "MODEL.RESNETS.NORM is 'XN'; it can be",
    ("--resume", "train.init_checkpoint=x.pth"): "--resume and train.init_checkpoint 'x.pth' contr",
    ("model.num_classes=abc",): "tiny_fcos.py: model.num_classes is an int",
    ("model=3",): "tiny_fcos.py: model is 3: it must be a part with keys of its own",
    ("model.backbone=null",): "Detectron2 cannot build this config: 'NoneType' object has no",
    ("model.pixel_mean='${foo}'",): "Detectron2 cannot build this config: Interpolation key 'foo'",
    ("model.test_score_thresh=abc",): "model.test_score_thresh is 'abc': it must be a number",
    ("optimizer._target_=torch.optim.Nope",): "Detectron2 cannot build this config: ",
    ("optimizer.params=null",): "optimizer.params is None: it must be a LazyCall(Class)(...)",
    ("lr_multiplier=null",): "lr_multiplier is None: it must be a part with keys of its own",
    ("lr_multiplier.warmup_length=5",): "Detectron2 cannot build this config: ",
    ("dataloader.train.mapper=null",): "dataloader.train.mapper is None: it must be a LazyCall(",
    ("dataloader.train.mapper._target_=foo.bar",): "Detectron2 cannot build this config: ",
    ("dataloader.test.mapper.augmentations=5",): "Detectron2 cannot build this config: ",
    ("trainer.SOLVER.BASE_LR=1",): "trainer.SOLVER.BASE_LR is optimizer.lr in a .py config",
    ("SOLVER.MAX_ITER=5",): "unknown key SOLVER.MAX_ITER; train.max_iter is meant?",
    ("trainer=5",): "tiny_fcos.py: trainer is 5: it must hold keys",
    ("optimizer.lr=0.1", "optimizer.lr=[1"): "command line: optimizer.lr=[1: ",
    ("trainer.TEST.BEST_METRIC=bbox/APP",): "there are bbox/AP, bbox/AP-green, bbox/AP-red, bbox/A",
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_line(
    words: tuple[str, ...], bench: Bench, lazy_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bench, lazy_file, "run", *words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert MISTAKES[words] in error
    assert not (bench.folder / "run" / "model_final.pth").exists()


BROKEN = {
    "x = 1\ny = (": "cannot be run as a config: SyntaxError: line 2: '(' was never closed",
    "raise SystemExit(0)": "cannot be run as a config: SystemExit: 0",
    "model = optimizer = lr_multiplier = train = dict(a=3)\n"
    "dataloader = dict(train=dict(a=3), test=dict(a=3))": "model is {'a': 3}: it must be a Lazy",
    "import no_such_module": "cannot be run as a config: ModuleNotFoundError",
    "model = dict()": "no LazyConfig of a detector: it has no optimizer, lr_multiplier, train",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_named(
    text: str, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bench.config.with_name("broken.py")
    path.write_text(text)
    assert run(bench, path, "run") == 2
    assert f"error: {path}: {BROKEN[text]}" in capsys.readouterr().err


def test_the_record_of_such_a_run_is_no_yaml_config(
    bench: Bench, lazy_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bench, lazy_file, "run") == 0
    assert main(["--config-file", str(bench.folder / "run" / "config.yaml"), "--eval-only"]) == 2
    assert "give that file as --config-file" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted((config_root() / "COCO-Detection").glob("*.py")), ids=str)
def test_shipped_files_load_and_build_on_the_meta_device(path: Path) -> None:
    from detectron2.config import instantiate

    from resnext_det.engines.d2.lazy_file import read_lazy_config
    from resnext_det.engines.d2.lazy_keys import load_lazy_config

    lazy = read_lazy_config(str(path))
    loaded = load_lazy_config(str(path), lazy)
    assert loaded.cfg.SOLVER.IMS_PER_BATCH == 16
    assert (loaded.cfg.SOLVER.MAX_ITER, loaded.cfg.SOLVER.BASE_LR) == (90000, 0.01)
    assert list(loaded.cfg.DATASETS.TEST) == ["coco_2017_val"]
    with torch.device("meta"):
        model = instantiate(lazy.model)
    assert set(model.backbone.output_shape()) == {"p3", "p4", "p5", "p6", "p7"}


def _weights(bench: Bench, name: str) -> dict[str, torch.Tensor]:
    return torch.load(bench.folder / name / "model_final.pth", weights_only=True)["model"]


def test_weights_that_the_model_contradicts_are_refused(
    bench: Bench, lazy_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    options = {"depth": 26, "num_groups": 4, "width_per_group": 4, "out_features": ["res5"]}
    narrow = {"stem_out_channels": 16, "res2_out_channels": 32}
    state = ResNet(**options, **narrow, norm="BN").state_dict()
    path = bench.config.with_name("start.pth")
    torch.save(state, path)
    other = Convention("BGR", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0), True)
    start = f"train.init_checkpoint={path}"

    def refused(side_car: SideCar, *words: str) -> str:
        write_beside(path, side_car)
        capsys.readouterr()
        assert run(bench, lazy_file, "refused", start, *words) == 2
        return capsys.readouterr().err

    message = refused(SideCar(convention=other))
    assert f"INPUT.FORMAT is RGB, but {path} was trained with BGR" in message
    ours = replace(torchvision_convention(), stride_in_1x1=True)
    message = refused(SideCar(convention=ours))
    assert f"STRIDE_IN_1X1 is False, but {path} was trained with True" in message
    message = refused(SideCar(), "model.backbone.bottom_up.width_per_group=8")
    assert "is 4x4d (depth 26), the config says 4x8d (depth 26)" in message
    assert "has norm affine" in refused(SideCar(norm="affine"))
    policy = "trainer.MODEL.WEIGHTS_LICENCE_POLICY=known_commercial"
    assert f"known_commercial, but the licence of {path} is not known" in refused(SideCar(), policy)
    write_beside(path, SideCar(convention=torchvision_convention(), licence="MIT"))
    assert run(bench, lazy_file, "run", start, policy, "train.max_iter=1") == 0
    result = json.loads((bench.folder / "run" / "result.json").read_text())
    assert result["weights"]["licence"] == "MIT"
    assert result["config"]["MODEL"]["RESNETS"]["STRIDE_IN_1X1"] is False
