"""Gradient accumulation: several passes do what one does. Engine-neutral."""

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from resnext_det.errors import UserError
from resnext_det.training import distributed, passes
from resnext_det.training.launch import launch
from resnext_det.training.passes import Passes, check_passes, split_list
from resnext_det.training.place import Request
from tests.training.runs import squares, train


def images(count=6):
    return list(torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1)))


def net_with_frozen_norm():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    net[1].running_mean.uniform_(-0.1, 0.1)
    net[1].running_var.uniform_(0.5, 2.0)
    return net.eval()


def test_lists_are_split_in_order():
    assert split_list([1, 2, 3, 4, 5, 6], 3) == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("count", [2, 3, 6])
def test_several_passes_give_the_gradients_and_losses_of_one(count):
    net = net_with_frozen_norm()
    other = copy.deepcopy(net)
    once = Passes(squares).backward(net, images())
    several = Passes(squares, count).backward(other, images())
    assert once.keys() == several.keys()
    for name, value in once.items():
        assert float(several[name]) == pytest.approx(float(value), rel=1e-6)
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        scale = mine.grad.abs().max()
        assert (mine.grad - theirs.grad).abs().max() <= 1e-6 * scale


def test_a_run_in_passes_is_the_run_in_one(cfg):
    def exactly(model, batch):
        return squares(model, [image.double() for image in batch])

    cfg.SOLVER.IMS_PER_BATCH = 4
    one, several = (net_with_frozen_norm().double() for _ in range(2))
    for net in (one, several):  # the loop's train() must not wake the norm
        net.train = lambda mode=True, net=net: net
    train(cfg, one, losses=exactly)
    cfg.SOLVER.GRADIENT_ACCUMULATION = 2
    cfg.OUTPUT_DIR += "_passes"
    train(cfg, several, losses=exactly)
    for mine, theirs in zip(one.parameters(), several.parameters(), strict=True):
        assert (mine - theirs).abs().max() <= 1e-12 * mine.abs().max()


def test_each_pass_sees_its_share_alone():
    sizes = []

    def losses(model, batch):
        sizes.append(len(batch))
        return squares(model, batch)

    Passes(losses, 3).backward(net_with_frozen_norm(), images())
    assert sizes == [2, 2, 2]


def test_a_batch_that_cannot_be_divided_is_refused(cfg, monkeypatch):
    cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.GRADIENT_ACCUMULATION = 8, 4
    check_passes(cfg)
    monkeypatch.setattr(passes, "world_size", lambda: 4)
    with pytest.raises(UserError) as error:
        check_passes(cfg)
    assert str(error.value) == (
        "SOLVER.IMS_PER_BATCH is 8, which cannot be shared by 4 process(es) times "
        "SOLVER.GRADIENT_ACCUMULATION 4"
    )


def accumulate(folder: str) -> None:
    """Runs in each process: three passes over its half of 12 images, gradients compared."""
    mine = distributed.rank()
    torch.manual_seed(0)
    net = distributed.wrap_model(net_with_frozen_norm(), torch.device("cpu"))
    exchanges = []

    def count(state, bucket):
        exchanges.append(1)
        return torch.distributed.all_reduce(
            bucket.buffer().div_(2), async_op=True
        ).get_future().then(lambda future: future.value()[0])  # fmt: skip

    net.register_comm_hook(None, count)
    Passes(squares, 3).backward(net, images(12)[6 * mine : 6 * mine + 6])
    gradients = [p.grad.flatten().tolist() for p in net.parameters()]
    Path(folder, f"{mine}.json").write_text(json.dumps([len(exchanges), gradients]))


def test_two_processes_exchange_their_gradients_in_the_last_pass_alone(tmp_path):
    launch(accumulate, Request(num_gpus=2), (str(tmp_path),))
    net = net_with_frozen_norm()
    Passes(squares).backward(net, images(12))
    for rank in (0, 1):
        exchanges, gradients = json.loads((tmp_path / f"{rank}.json").read_text())
        assert exchanges == 1  # one bucket holds all parameters
        for parameter, gradient in zip(net.parameters(), gradients, strict=True):
            expected = parameter.grad.flatten()
            difference = (torch.tensor(gradient) - expected).abs().max()
            assert difference <= 1e-6 * expected.abs().max()
