"""The speed of a training step: packing is exact, options do what they say, the page is kept."""

import json
import multiprocessing
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from projects.TrainingSpeed import contestants, measure, options, profiling, run, tables, workers
from projects.TrainingSpeed.contestants import Contestant, Work
from projects.TrainingSpeed.measure import Effort
from projects.TrainingSpeed.options import PLAIN, Setting, add
from projects.TrainingSpeed.packing import PackedConv2d, expand_weight, pack_groups
from projects.TrainingSpeed.workers import Workers
from resnext_det import build_classifier
from resnext_det.modeling.classifier import Classifier
from resnext_det.reports.page_tables import insert
from resnext_det.timing.intervals import ratio

RESULTS = sorted(run.RESULTS.glob("*.json"))
WORK = Work(batch=2, size=32, device="cpu")


def tiny_net(num_groups: int = 8) -> nn.Module:
    return Classifier(
        num_classes=1000, depth=26, num_groups=num_groups, width_per_group=2,
        stem_out_channels=8, res2_out_channels=16,
    )  # fmt: skip


@pytest.fixture
def tiny(monkeypatch):
    """Puts tiny networks in the places of the real ones."""
    for name in contestants.NETS:
        monkeypatch.setitem(contestants.NETS, name, tiny_net)


@pytest.mark.parametrize("pack", [1, 2, 4, 8])
def test_expanded_weight_is_block_diagonal(pack):
    weight = torch.arange(8 * 3 * 2 * 9.0).view(8 * 2, 3, 3, 3)  # 8 groups, 3 -> 2 channels each
    found = expand_weight(weight, 8, pack)
    expected = torch.zeros(16, pack * 3, 3, 3)
    for output in range(16):
        place = (output // 2) % pack  # of its group among the merged ones
        expected[output, place * 3 : place * 3 + 3] = weight[output]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("pack", [2, 4, 8, 32])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_packing_is_exact_to_the_bit(pack, stride, dilation):
    """In whole numbers, whose sums do not depend on their order: maps and all gradients."""
    torch.manual_seed(0)
    conv = nn.Conv2d(
        64, 96, 3, stride=stride, padding=dilation, dilation=dilation, groups=32, bias=True
    )
    for parameter in conv.parameters():
        parameter.data = torch.randint(-8, 9, parameter.shape).float()
    images = torch.randint(-8, 9, (2, 64, 9, 7)).float()
    outputs = {}
    for name, layer in {"grouped": conv, "packed": PackedConv2d(conv, pack)}.items():
        x = images.clone().requires_grad_()
        out = layer(x)
        conv.zero_grad()
        (out * (torch.arange(out.numel()) % 5 - 2).view(out.shape)).sum().backward()
        outputs[name] = (out, x.grad, conv.weight.grad, conv.bias.grad)
    for grouped, packed in zip(outputs["grouped"], outputs["packed"], strict=True):
        assert torch.equal(grouped, packed)


def test_a_packed_network_has_the_grouped_ones_gradients():
    """In float64, where the order of sums does not show; the parameters are the same objects."""
    torch.manual_seed(0)
    images, labels = torch.randn(4, 3, 32, 32, dtype=torch.float64), torch.arange(4)
    model = tiny_net().double().train()
    names = dict(model.named_parameters())
    found = []
    for pack in (1, 4):
        assert pack_groups(model, pack) == (8 if pack > 1 else 0)  # one 3x3 in each of 8 blocks
        assert {id(p) for p in model.parameters()} == {id(p) for p in names.values()}
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        found.append({name: parameter.grad.clone() for name, parameter in names.items()})
    for name, grouped in found[0].items():
        torch.testing.assert_close(found[1][name], grouped, rtol=1e-9, atol=1e-12)
        assert grouped.abs().max() > 0


def test_packing_takes_what_divides_the_groups_and_leaves_dense_ones_alone():
    model = nn.Sequential(
        nn.Conv2d(12, 12, 3, groups=6), nn.Conv2d(12, 12, 1), nn.Conv2d(6, 6, 3, groups=3)
    )
    assert pack_groups(model, 4) == 1
    assert isinstance(model[0], PackedConv2d)
    assert model[0].pack == 2
    assert pack_groups(model, 4) == 0  # not packed twice
    assert pack_groups(nn.Sequential(), 4) == 0


def test_packing_finds_the_3x3_of_every_block_of_the_real_network():
    with torch.device("meta"):
        assert pack_groups(build_classifier("resnext50_32x4d"), 8) == 16
        assert pack_groups(build_classifier("resnet50"), 8) == 0


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("channels_last", 1e-5), ("pack4", 1e-5), ("pack8", 1e-5), ("bf16", 2e-2)],
)
def test_an_option_changes_the_speed_and_not_what_is_computed(tiny, monkeypatch, name, tolerance):
    """The first loss; those after updates of a drawn network amplify every rounding."""
    found, cross_entropy = [], torch.nn.functional.cross_entropy

    def kept(logits, labels, **more):
        loss = cross_entropy(logits, labels, **more)
        found.append(loss.item())
        return loss

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", kept)
    for setting in (PLAIN, add(PLAIN, name)):
        step = Contestant(setting=setting).build(Work(batch=8, size=64, device="cpu"))
        step()
        step()
    plain, after, other, other_after = found
    assert other == pytest.approx(plain, rel=tolerance)
    assert abs(after - plain) > 0.01  # an update changes it
    assert abs(other_after - other) > 0.01


def test_settings_are_the_keys_that_a_user_sets():
    cfg = contestants.config(Setting(bf16=True, channels_last=True, compile=True), "cpu")
    assert (cfg.SOLVER.AMP.ENABLED, cfg.SOLVER.AMP.DTYPE) == (True, "bfloat16")
    assert (cfg.SOLVER.CHANNELS_LAST, cfg.SOLVER.COMPILE, cfg.CUDNN_BENCHMARK) == (
        True,
        True,
        False,
    )
    assert contestants.config(Setting(cudnn_benchmark=True), "cpu").CUDNN_BENCHMARK
    solver = contestants.config(PLAIN, "cpu").SOLVER
    assert (solver.AMP.ENABLED, solver.CHANNELS_LAST, solver.COMPILE) == (False, False, False)
    assert solver.NESTEROV  # the paper's recipe


def test_settings_say_what_differs():
    assert PLAIN.changed() == {}
    assert add(add(PLAIN, "pack4"), "pack8").changed() == {"pack": 8}
    assert options.why_not(Setting(bf16=True, channels_last=True, pack=8), "cpu") is None
    assert options.why_not(add(PLAIN, "CUDA graph"), "cpu") == "needs a CUDA device"
    assert options.why_not(add(PLAIN, "cuDNN benchmark"), "cpu") == "needs a CUDA device"


def test_what_cannot_run_is_skipped_with_a_reason(tiny, monkeypatch):
    def missing():
        raise ModuleNotFoundError("No module named 'timm'")

    def too_large():
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate\nfurther lines")

    monkeypatch.setitem(contestants.NETS, "absent", missing)
    monkeypatch.setitem(contestants.NETS, "large", too_large)
    given = {"plain": Contestant(), "absent": Contestant("absent"), "large": Contestant("large")}
    given["graph"] = Contestant(setting=Setting(cuda_graph=True))
    with Workers(given, WORK, 1) as built:
        assert list(built.steps) == ["plain"]
        assert built.skipped == {
            "graph": "needs a CUDA device",
            "absent": "ModuleNotFoundError: No module named 'timm'",
            "large": "OutOfMemoryError: CUDA out of memory. Tried to allocate",
        }


def test_another_process_runs_the_steps_it_is_asked_for(monkeypatch):
    """What it does, in a thread of this one."""
    done = []
    monkeypatch.setattr(Contestant, "build", lambda c, work: lambda: done.append(c.net))
    ours, theirs = multiprocessing.Pipe()
    given = {"a": Contestant("first"), "b": Contestant("second")}
    thread = threading.Thread(target=workers._serve, args=(theirs, given, WORK, 1))
    thread.start()
    assert ours.recv() == {}
    for name in ("b", "a"):
        ours.send(name)
        assert ours.recv() is None
    ours.close()
    thread.join(60)
    assert not thread.is_alive()
    assert done == ["first", "second", "second", "first"]  # one each to warm up


@pytest.mark.slow  # a process that imports torch anew
def test_contestants_with_cudnn_benchmark_run_in_a_process_of_their_own(monkeypatch):
    """On the CPU, where it changes nothing, as far as who runs what goes."""
    monkeypatch.setattr(workers, "why_not", lambda setting, device: None)
    given = {"a": Contestant(contestants.OURS, add(PLAIN, "cuDNN benchmark"))}
    with Workers(given, WORK, 1) as opened:
        assert opened.skipped == {}
        step = opened.steps["a"]
        step()
    with pytest.raises(OSError, match="closed"):
        step()


def test_speeds_are_images_and_inverse_ratios_of_seconds():
    rounds = {"wall": [{"plain": 4.0, "fast": 2.0}, {"plain": 4.0, "fast": 2.0}], "cpu": []}
    found = measure.summary(rounds, "plain", batch=8)
    assert found.keys() == {"wall"}
    assert found["wall"]["fast"]["images_per_second"] == {"median": 4.0, "low": 4.0, "high": 4.0}
    assert found["wall"]["fast"]["speed"]["median"] == 2.0
    assert found["wall"]["plain"]["speed"]["median"] == 1.0
    assert measure.summary(rounds, "absent", 8)["wall"]["fast"]["speed"] is None


def test_options_are_kept_where_they_make_it_faster(monkeypatch):
    seconds = {"bf16": 0.5, "channels_last": 1.2, "pack4": 0.8, "pack8": 0.7, "compile": 1.0}
    taken = []

    def compare(given, against, work, effort):
        first, (name, contestant) = given.items()
        taken.append((name, first[1].setting, contestant.setting))
        rounds = [{"so far": 1.0, name: seconds.get(name, 1.0)}] * 3
        return {"clocks": measure.summary({"wall": rounds}, against, 1)}

    monkeypatch.setattr(measure, "compare", compare)
    effort = Effort(3, without=["compile"])
    found, setting = measure.one_upon_another(WORK, effort)
    assert setting == Setting(bf16=True, pack=8)
    assert [name for name, _, _ in taken] == [n for n in options.OPTIONS if n != "compile"]
    assert [c["kept"] for c in found] == [True, False, False, True, True, False]
    assert taken[3][1:] == (Setting(bf16=True), Setting(bf16=True, pack=4))


def test_time_is_told_apart_by_kind(tiny):
    step = Contestant(setting=add(PLAIN, "pack4")).build(WORK)
    found = profiling.profile_step(step, "cpu")
    assert tuple(found) == profiling.KINDS
    assert all(found[kind] > 0 for kind in profiling.KINDS)


class Event:
    device_type = torch.autograd.DeviceType.CPU

    def __init__(self, name, parent=None, own=0.0, shapes=()):
        self.name, self.cpu_parent, self.input_shapes = name, parent, shapes
        self.self_cpu_time_total, self.self_device_time_total = own, 10 * own


def test_own_time_counts_for_the_innermost_operation_with_a_kind():
    grouped = [[2, 64, 8, 8], [64, 2, 3, 3]]
    outer = Event("aten::conv2d", None, 1.0, grouped)
    backward = Event(
        "aten::convolution_backward", None, 5.0, [[2, 64, 8, 8], [2, 32, 8, 8], [64, 32, 1, 1]]
    )
    update = Event("Optimizer.step#SGD.step", None, 1.0)
    events = [
        outer,
        Event("aten::mkldnn_convolution", outer, 100.0, grouped),
        Event("aten::as_strided", Event("aten::mkldnn_convolution", outer, 0, grouped), 2.0),
        backward,
        Event("aten::_foreach_add_", update, 3.0),
        Event("aten::native_batch_norm_backward", None, 7.0),
        Event("aten::max_pool2d", None, 11.0),
    ]  # fmt: skip
    found = profiling.seconds_by_kind(events, "cpu")
    assert found["grouped convolution"] == pytest.approx(103e-6)
    assert found["dense convolution"] == pytest.approx(5e-6)
    assert found["update"] == pytest.approx(3e-6)
    assert found["BatchNorm"] == pytest.approx(7e-6)
    assert found["other"] == pytest.approx(11e-6)
    on_gpu = profiling.seconds_by_kind(events, "cuda")
    assert on_gpu["BatchNorm"] == pytest.approx(70e-6)
    assert profiling.seconds_by_kind([], "cpu") == dict.fromkeys(profiling.KINDS, 0.0)


def test_the_command_measures_all_parts(tiny, tmp_path, capsys):
    path = tmp_path / "new" / "speed.json"
    arguments = ["--device", "cpu", "--batch", "2", "--size", "32", "--rounds", "2"]
    assert (
        run.main([*arguments, "--warm-up", "1", "--without", "compile", "--json", str(path)]) == 0
    )
    result = json.loads(path.read_text())
    assert result["images"] == {"batch": 2, "size": 32, "device": "cpu"}
    check_kept(result)
    assert "skipped: needs a CUDA device" in capsys.readouterr().out
    assert set(tables.tables_of(result)) >= {"profile", "alone", "together", "others_plain"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_one_line(capsys):
    assert run.main(["--device", "cuda"]) == 2
    assert capsys.readouterr().err == "error: --device cuda: torch finds no GPU here\n"


@pytest.mark.gpu
def test_all_options_on_a_gpu(tiny, tmp_path):
    path = tmp_path / "speed.json"
    arguments = ["--device", "cuda", "--batch", "8", "--size", "64", "--rounds", "2"]
    assert run.main([*arguments, "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    check_kept(result)
    assert result["alone"]["skipped"] == {}


def check_kept(result) -> None:
    """Numbers follow from the rounds beside them."""
    comparisons = [value for key, value in result.items() if key.startswith(("alone", "others"))]
    for comparison in [*comparisons, *result.get("together", [])]:
        for clock, found in comparison["clocks"].items():
            rounds = comparison["rounds"][clock]
            assert found.keys() == rounds[0].keys()
            for name, numbers in found.items():
                speed = ratio(rounds, comparison["against"], name)
                assert numbers["speed"]["median"] == pytest.approx(speed.median)
                assert numbers["speed"]["low"] == pytest.approx(speed.low)
        named = comparison["contestants"].keys()
        measured = comparison["rounds"]["wall"][0].keys() if comparison["rounds"]["wall"] else set()
        assert measured <= named
        assert comparison["skipped"].keys() <= named


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_kept_numbers_follow_from_the_kept_rounds(path):
    check_kept(json.loads(path.read_text()))


def test_the_page_has_the_tables_of_the_kept_results():
    page = (Path(run.__file__).parent / "README.md").read_text()
    assert insert(page, tables.tables()) == page
